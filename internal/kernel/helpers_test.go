package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// atEveryLevel runs a test once for each level that the processor has.
func atEveryLevel(t *testing.T, f func(t *testing.T)) {
	for _, name := range levelNames {
		t.Run(name, func(t *testing.T) {
			restore, ok := SetLevel(name)
			if !ok {
				t.Skipf("this processor or build has no %s", name)
			}
			defer restore()
			f(t)
		})
	}
}

// guardLength is how many NaNs lie on either side of a guarded slice.
const guardLength = 64

// A guarded slice lies between NaNs with a bit pattern of their own: a kernel that reads past an end
// spoils its result, one that writes past it spoils the pattern. shift moves the beginning by single
// elements, so that all alignments occur.
type guarded[T float] struct {
	all, s []T
}

func newGuarded[T float](n, shift int) *guarded[T] {
	g := &guarded[T]{all: make([]T, n+2*guardLength+shift)}
	for i := range g.all {
		g.all[i] = guardValue[T]()
	}
	g.s = g.all[guardLength+shift : guardLength+shift+n : guardLength+shift+n]
	return g
}

func guardValue[T float]() T {
	var zero T
	switch any(zero).(type) {
	case float32:
		return any(math.Float32frombits(0x7fc5a5a5)).(T)
	default:
		return any(math.Float64frombits(0x7ff85a5a5a5a5a5a)).(T)
	}
}

func sameBits[T float](x, y T) bool {
	switch x := any(x).(type) {
	case float32:
		return math.Float32bits(x) == math.Float32bits(any(y).(float32))
	default:
		return math.Float64bits(any(x).(float64)) == math.Float64bits(any(y).(float64))
	}
}

func (g *guarded[T]) check(t *testing.T, what string) {
	t.Helper()
	start := len(g.all) - guardLength - len(g.s)
	for i, v := range g.all {
		if (i < start || i >= start+len(g.s)) && !sameBits(v, guardValue[T]()) {
			t.Fatalf("%s: element %d past an end of %d was written", what, i-start, len(g.s))
		}
	}
}

func (g *guarded[T]) random(r *rand.Rand) *guarded[T] {
	for i := range g.s {
		g.s[i] = T(r.NormFloat64())
	}
	return g
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func epsilon[T float]() float64 {
	var zero T
	if sizeOf(zero) == 4 {
		return 0x1p-24
	}
	return 0x1p-53
}
