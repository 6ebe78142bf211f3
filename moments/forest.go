package moments

import (
	"cmp"
	"slices"
	"sync"
)

// A forest adds up the blocks of a sequence in an order that depends on their positions alone, so that the bits of
// the sum do not depend on which goroutine, or which shard, brought which block, or when. Blocks are merged from left to
// right into groups of fanOut, finished groups likewise into groups of groups, and so on; what comes before
// its left neighbour waits. So a sequence that comes more or less in order takes the memory of one sum for every
// level, of which there is one to a few.
type forest[T any] struct {
	merge func(left, right T) T // may use left for the result

	mu      sync.Mutex
	waiting map[place]T         // whole blocks, or groups, whose left neighbours are missing
	groups  map[place]*group[T] // by place among the groups of their level
}

// fanOut is the number of blocks in a group.
const fanOut = 16

// A place is an index among the blocks (level 0), the groups of blocks (1), the groups of those (2), ...
type place struct {
	level uint8
	index int64
}

// A group is the sum of the first few of its members.
type group[T any] struct {
	sum    T
	length int
	busy   bool // somebody is merging
}

// A part is what a forest holds for a range: a whole block or group at a place, or with length above 0 the
// first so many members of the group there.
type part[T any] struct {
	at     place
	length int
	sum    T
}

// first is the first block of the range.
func (p *part[T]) first() int64 {
	shift := 4 * p.at.level
	if p.length > 0 {
		shift += 4
	}
	return p.at.index << shift
}

const maxLevel = 14 // 16^15 blocks fill an int64

// add brings a block. One that is there already (shards that were not told their positions) is merged with: right up to
// rounding, in the order of arrival.
func (f *forest[T]) add(block int64, v T) { f.put(part[T]{at: place{0, block}, sum: v}) }

// put brings a part, of this forest or another.
func (f *forest[T]) put(p part[T]) {
	f.mu.Lock()
	if f.groups == nil {
		f.waiting, f.groups = map[place]T{}, map[place]*group[T]{}
	}
	in := p.at
	if p.length == 0 {
		if old, ok := f.waiting[p.at]; ok {
			p.sum = f.merge(old, p.sum)
		}
		f.waiting[p.at] = p.sum
		in = place{p.at.level, p.at.index / fanOut}
	} else if g := f.groups[p.at]; g == nil || g.length == 0 && !g.busy {
		f.groups[p.at] = &group[T]{sum: p.sum, length: p.length}
	} else {
		g.sum, g.length = f.merge(g.sum, p.sum), max(g.length, p.length)
	}
	f.advance(in)
}

// advance merges into a group what waits for it, as far as there are no gaps. It is called with the lock held, and releases it.
func (f *forest[T]) advance(at place) {
	g := f.groups[at]
	if g == nil {
		g = &group[T]{}
		f.groups[at] = g
	}
	if g.busy {
		f.mu.Unlock()
		return // whoever is at it will find what is new
	}
	for g.length < fanOut {
		next := place{at.level, at.index*fanOut + int64(g.length)}
		v, ok := f.waiting[next]
		if !ok {
			f.mu.Unlock()
			return
		}
		delete(f.waiting, next)
		if g.length == 0 {
			g.sum = v
		} else {
			g.busy = true
			f.mu.Unlock() // merging is the long part
			sum := f.merge(g.sum, v)
			f.mu.Lock()
			g.sum, g.busy = sum, false
		}
		g.length++
	}
	delete(f.groups, at)
	f.mu.Unlock()
	f.put(part[T]{at: place{min(at.level+1, maxLevel), at.index}, sum: g.sum})
}

// parts lists what is held, from left to right.
func (f *forest[T]) parts() []part[T] {
	var out []part[T]
	for at, v := range f.waiting {
		out = append(out, part[T]{at: at, sum: v})
	}
	for at, g := range f.groups {
		if g.length > 0 {
			out = append(out, part[T]{at, g.length, g.sum})
		}
	}
	slices.SortFunc(out, func(a, b part[T]) int {
		return cmp.Or(cmp.Compare(a.first(), b.first()), cmp.Compare(a.at.level, b.at.level), cmp.Compare(a.length, b.length))
	})
	return out
}
