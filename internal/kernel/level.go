package kernel

import "os"

// The levels, in order.
const (
	levelGo = iota
	levelAVX2
	levelAVX512
)

var levelNames = [...]string{"go", "avx2", "avx512"}

// level is the level in use; it is at most best.
var (
	best  = detect()
	level = initial()
)

func initial() int {
	if l, ok := levelNumber(os.Getenv("COLLAPSAR_KERNEL")); ok && l <= best {
		return l
	}
	return best
}

func levelNumber(name string) (int, bool) {
	for i, n := range levelNames {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

// Level returns the instruction set in use: "avx512", "avx2" or "go". It is the best that the
// processor has, unless the environment variable COLLAPSAR_KERNEL named a lower one when the
// program started.
func Level() string { return levelNames[level] }

// SetLevel changes the level and returns a function that restores it; ok is false, and nothing is
// changed, if the processor (or this build) lacks the level. It is for tests: no kernel may run
// while the level changes, and a panel may be used only at the level it was packed at.
func SetLevel(name string) (restore func(), ok bool) {
	l, ok := levelNumber(name)
	if !ok || l > best {
		return func() {}, false
	}
	old := level
	level = l
	return func() { level = old }, true
}
