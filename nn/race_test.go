//go:build race

package nn

// raced is whether the race detector is at work: it makes pools forget what they hold, so that allocations cannot be counted.
const raced = true
