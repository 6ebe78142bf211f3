package moments

import (
	"cmp"
	"slices"
	"sync"
)

// A node covers the blocks [index<<level, (index+1)<<level) of a sequence.
type node struct {
	level uint8
	index int64
}

func (n node) first() int64 { return n.index << n.level }

// A forest adds up the blocks of a sequence in an order that depends on their positions alone: two
// neighbours that make up a larger aligned range are merged, left with right, as soon as both are there, and
// what cannot be paired is folded from left to right at the end. So the bits of the
// sum do not depend on which goroutine, or which shard, brought which block, or when.
type forest[T any] struct {
	merge func(left, right T) T // may reuse either

	mu    sync.Mutex
	trees map[node]T
}

// add brings a block, or a range of blocks merged elsewhere. A range that is there already (shards that were not given
// their positions) is merged with: right up to rounding, in the order of arrival.
func (f *forest[T]) add(n node, v T) {
	for {
		f.mu.Lock()
		if f.trees == nil {
			f.trees = map[node]T{}
		}
		if old, ok := f.trees[n]; ok {
			delete(f.trees, n)
			f.mu.Unlock()
			v = f.merge(old, v)
			continue
		}
		sibling := node{n.level, n.index ^ 1}
		other, ok := f.trees[sibling]
		if !ok || n.level == 62 {
			f.trees[n] = v
			f.mu.Unlock()
			return
		}
		delete(f.trees, sibling)
		f.mu.Unlock() // merging is the long part
		if n.index&1 == 0 {
			v = f.merge(v, other)
		} else {
			v = f.merge(other, v)
		}
		n = node{n.level + 1, n.index >> 1}
	}
}

// nodes lists the ranges from left to right.
func (f *forest[T]) nodes() []node {
	out := make([]node, 0, len(f.trees))
	for n := range f.trees {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b node) int {
		return cmp.Or(cmp.Compare(a.first(), b.first()), cmp.Compare(a.level, b.level))
	})
	return out
}

// fold merges everything from left to right into zero, which must be a value of its own.
func (f *forest[T]) fold(zero T) T {
	for _, n := range f.nodes() {
		zero = f.merge(zero, f.trees[n])
	}
	return zero
}
