package nn

import (
	"cmp"
	"slices"
)

// A buffer is the memory of one or more values. It is in use from its first to its last moment: op i of m runs
// forward at moment i and backward at moment 2m-1-i.
type buffer[T Float] struct {
	size        int // elements, for the largest batch
	first, last int
	kept        bool // nobody may write over it
	memory      []T
	offset      int
}

func (f *buffer[T]) touch(moment int) {
	f.first, f.last = min(f.first, moment), max(f.last, moment)
}

// A plan gives values their buffers, and buffers their place in one piece of memory.
type plan[T Float] struct {
	rows    int
	buffers []*buffer[T]
}

func (p *plan[T]) buffer(v *value[T]) *buffer[T] {
	f := &buffer[T]{size: p.rows * v.shape.Size(), first: int(^uint(0) >> 1), last: -1}
	p.buffers = append(p.buffers, f)
	return f
}

// lay returns the elements taken. input and slope are the two buffers that the caller of a pass provides: the rows that
// go in, and the gradient of what comes out.
func lay[T Float](nodes []node[T], rows int, input, slope *buffer[T]) int {
	p := &plan[T]{rows: rows}
	end := 2 * len(nodes)
	input.kept, slope.kept = true, true

	for i, nd := range nodes {
		from := nd.in[0].data
		for _, v := range nd.in {
			v.data.touch(i)
			if nd.traits.keepsIn {
				v.data.kept = true
				v.data.touch(end - 1 - i)
			}
		}
		for _, v := range nd.out {
			switch {
			case nd.traits.alias:
				v.data = from
				v.isData = nd.in[0].isData
				from.kept = from.kept || len(nd.out) > 1
			case nd.traits.inPlace && !from.kept:
				v.data = from
			default:
				v.data = p.buffer(v)
			}
			v.data.touch(i)
			if nd.traits.keepsOut {
				v.data.kept = true
				v.data.touch(end - 1 - i)
			}
			if v.isTap {
				v.data.kept = true
				v.data.touch(end - 1 - i)
			}
		}
	}
	last := nodes[len(nodes)-1].out[0]
	last.data.touch(end)
	last.slope = slope

	for i, nd := range slices.Backward(nodes) {
		moment := end - 1 - i
		to := nd.out[0].slope
		if to == nil { // the input under another name
			continue
		}
		for _, v := range nd.out {
			v.slope.touch(moment)
		}
		if !nd.traits.gradOver || to.kept {
			to = p.buffer(nd.in[0])
		}
		to.touch(moment)
		to.kept = len(nd.in) > 1
		for _, v := range nd.in {
			if !v.isData {
				v.slope = to
			}
		}
	}
	return p.place()
}

// place gives every buffer an offset so that no two that are in use at the same moment overlap: the largest
// first, each at the lowest offset that is free for as long as it lives.
func (p *plan[T]) place() (total int) {
	const line = 16 // elements; every buffer begins at a cache line
	slices.SortStableFunc(p.buffers, func(a, b *buffer[T]) int { return cmp.Compare(b.size, a.size) })
	var placed []*buffer[T] // by offset
	for _, f := range p.buffers {
		at := 0
		for _, g := range placed {
			if g.last < f.first || f.last < g.first {
				continue
			}
			if g.offset >= at+f.size {
				break
			}
			at = max(at, (g.offset+g.size+line-1)/line*line)
		}
		f.offset = at
		i, _ := slices.BinarySearchFunc(placed, at, func(g *buffer[T], at int) int { return cmp.Compare(g.offset, at) })
		placed = slices.Insert(placed, i, f)
		total = max(total, at+f.size)
	}
	memory := make([]T, total)
	for _, f := range p.buffers {
		f.memory = memory[f.offset : f.offset+f.size : f.offset+f.size]
	}
	return total
}
