// Package suggest finds what a mistyped name was meant to be.
package suggest

import "strings"

// Nearest is the name most like the wanted one, "" if none is like it. A name is like it that begins or ends
// with it, or of which at most a third of the letters are others. Of names equally like it, the first is taken.
func Nearest(want string, names []string) string {
	w := strings.ToLower(want)
	best, least := "", max(2, len(w)/3+1)
	for _, name := range names {
		n := strings.ToLower(name)
		d := distance(w, n)
		if len(w) > 2 && (strings.HasPrefix(n, w) || strings.HasSuffix(n, w)) {
			d = min(d, 1)
		}
		if d < least {
			best, least = name, d
		}
	}
	return best
}

// Hint is Nearest as the end of a message: "; did you mean NAME?", or "".
func Hint(want string, names []string) string {
	if near := Nearest(want, names); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// distance counts letters to insert, to delete, to replace, and neighbours to swap. Only the last three rows of
// the table of prefixes are kept.
func distance(a, b string) int {
	const long = 128 // names beyond this are not typed by hand
	if len(a) > long || len(b) > long {
		return long
	}
	var before, last, row [long + 1]int
	for j := range b {
		last[j+1] = j + 1
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
