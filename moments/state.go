package moments

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/kernel"
)

// State is the first pass: for every class that occurs, the number of rows, their mean, their
// scatter about it and the mean of their unit vectors. States of parts of a data set merge
// into the state of the whole (Chan, Golub, LeVeque 1979, the pairwise update).
//
// Means are kept relative to a pivot, so that a common offset of the features costs no digits.
// Memory is K x d float64 for the means and as much for the unit vectors, times the logarithm of the number of blocks.
type State struct {
	dim    int
	pivot  []float64 // nil until there is a row
	next   int64     // index of the next row
	forest forest[*table]
	open   *block // the block that next is in; nil between blocks
	bad    Nonfinite
}

// Nonfinite tells of rows with NaN or infinity. They are never part of a State.
type Nonfinite struct {
	Count int64  // of rows
	First []Cell // the first few, by row
}

// Cell is a place in a feature matrix.
type Cell struct {
	Row    int64
	Column int
	Value  float64
}

const cellsKept = 5

func (n *Nonfinite) add(other Nonfinite) {
	n.Count += other.Count
	n.First = append(n.First, other.First...)
	slices.SortFunc(n.First, func(a, b Cell) int { return int(min(1, max(-1, a.Row-b.Row))) })
	n.First = n.First[:min(len(n.First), cellsKept)]
}

// New returns an empty State for rows of dim numbers, the first of which is row 0. Its pivot will be its first row.
func New(dim int) *State { return NewShard(dim, nil, 0) }

// NewShard returns an empty State for rows from first on. Shards that start at multiples of BlockRows and share a
// pivot (any vector near the data; the first row is usual; nil takes the shard's own) merge
// to the very bits of the state of the whole, in whatever order they are merged.
func NewShard(dim int, pivot []float64, first int64) *State {
	s := &State{dim: dim, pivot: slices.Clone(pivot), next: first}
	s.forest.merge = mergeTables
	return s
}

// Dim is the number of columns.
func (s *State) Dim() int { return s.dim }

// Nonfinite tells of the rows that were left out.
func (s *State) Nonfinite() Nonfinite { return s.bad }

// Add takes the next rows, which must carry labels. However the rows are cut into batches, the result is the same.
func (s *State) Add(b *features.Batch) error {
	if b.Dim != s.dim || len(b.Labels) != b.Rows || max(len(b.Float32), len(b.Float64)) != b.Rows*b.Dim {
		return fmt.Errorf("moments: batch of %d rows x %d with %d numbers and %d labels, state has dimension %d",
			b.Rows, b.Dim, max(len(b.Float32), len(b.Float64)), len(b.Labels), s.dim)
	}
	for i := 0; i < b.Rows; {
		if s.open == nil {
			s.open = newBlock(s.dim)
		}
		n := min(b.Rows-i, BlockRows-int(s.next%BlockRows))
		part := rowsOf(b, i, n)
		s.bad.add(s.open.add(&part, s.next))
		if s.pivot == nil && len(s.open.classes) > 0 {
			s.pivot = slices.Clone(s.open.origin(0))
		}
		i, s.next = i+n, s.next+int64(n)
		if s.next%BlockRows == 0 {
			s.close(s.next/BlockRows - 1)
		}
	}
	return nil
}

// close makes the open block part of the forest.
func (s *State) close(index int64) {
	if s.open != nil && len(s.open.classes) > 0 {
		s.forest.add(node{0, index}, s.open.table(s.pivot))
	}
	s.open = nil
}

// Merge adds the rows of another state of the same dimension, which must not be used afterwards.
func (s *State) Merge(o *State) error {
	if o.dim != s.dim {
		return fmt.Errorf("moments: merging a state of dimension %d into one of %d", o.dim, s.dim)
	}
	s.close(s.next / BlockRows)
	o.close(o.next / BlockRows)
	if s.pivot == nil {
		s.pivot = o.pivot
	}
	for _, n := range o.forest.nodes() {
		t := o.forest.trees[n]
		t.rebase(o.pivot, s.pivot)
		s.forest.add(n, t)
	}
	s.bad.add(o.bad)
	s.next = max(s.next, o.next)
	return nil
}

// Collect reads a split whole and returns its state. The result does not depend on the number of workers.
func Collect(ctx context.Context, split *features.Split, o ScanOptions) (*State, error) {
	pivot, err := firstFinite(ctx, split)
	if err != nil {
		return nil, err
	}
	s := NewShard(split.Dim, pivot, int64(split.Rows))
	err = Scan(ctx, split, o, func() Visitor { return &collector{state: s} })
	if err != nil {
		return nil, err
	}
	return s, nil
}

// firstFinite is the first row without NaN or infinity, nil if there is none.
func firstFinite(ctx context.Context, split *features.Split) ([]float64, error) {
	var b features.Batch
	for i := 0; i < split.Rows; i++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := split.Read(&b, i, 1); err != nil {
			return nil, err
		}
		row := make([]float64, split.Dim)
		copy(row, b.Float64)
		kernel.Widen(row[:len(b.Float32)], b.Float32)
		if j := firstNonfinite(row); j < 0 {
			return row, nil
		}
	}
	return nil, nil
}

func firstNonfinite(row []float64) int {
	return slices.IndexFunc(row, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

type collector struct {
	state *State
	block *block
	index int64
	bad   Nonfinite
}

func (c *collector) Begin(index int) {
	if c.block == nil {
		c.block = newBlock(c.state.dim)
	}
	c.block.reset()
	c.index, c.bad = int64(index), Nonfinite{}
}

func (c *collector) Rows(b *features.Batch) {
	c.bad.add(c.block.add(b, int64(b.First)))
}

func (c *collector) End() {
	s := c.state
	if c.bad.Count > 0 {
		s.forest.mu.Lock()
		s.bad.add(c.bad)
		s.forest.mu.Unlock()
	}
	if len(c.block.classes) > 0 {
		s.forest.add(node{0, c.index}, c.block.table(s.pivot))
	}
}

// A block accumulates rows about the first row of their class within the block: a point no further from the
// mean than the class is wide, so that neither the mean nor the scatter loses digits.
type block struct {
	dim     int
	index   index
	classes []int64
	count   []int64
	zero    []int64
	sq      []float64 // sum |x - origin|^2
	square  []float64 // sum |x|^2
	data    []float64 // for each class: origin, sum of x - origin, sum of x/|x|
	rowBuf  []float64
}

func newBlock(dim int) *block { return &block{dim: dim, rowBuf: make([]float64, dim)} }

func (b *block) reset() {
	b.index.reset()
	b.classes, b.count, b.zero = b.classes[:0], b.count[:0], b.zero[:0]
	b.sq, b.square, b.data = b.sq[:0], b.square[:0], b.data[:0]
}

func (b *block) origin(c int) []float64 { return b.data[3*c*b.dim:][:b.dim] }
func (b *block) sum(c int) []float64    { return b.data[(3*c+1)*b.dim:][:b.dim] }
func (b *block) unit(c int) []float64   { return b.data[(3*c+2)*b.dim:][:b.dim] }

// class finds or makes the place of a label.
func (b *block) class(label int64) (c int, isNew bool) {
	if c, ok := b.index.get(label); ok {
		return int(c), false
	}
	c = len(b.classes)
	b.index.set(label, int32(c))
	b.classes = append(b.classes, label)
	b.count, b.zero = append(b.count, 0), append(b.zero, 0)
	b.sq, b.square = append(b.sq, 0), append(b.square, 0)
	n := len(b.data)
	b.data = slices.Grow(b.data, 3*b.dim)[:n+3*b.dim]
	clear(b.data[n:])
	return c, true
}

// add takes rows and returns the ones it left out. first is the index of the first row. Rows without labels are one class.
func (b *block) add(x *features.Batch, first int64) (bad Nonfinite) {
	for i := range x.Rows {
		var square float64
		var x32 []float32
		var x64 []float64
		if x.Float64 != nil {
			x64 = x.Float64[i*b.dim : (i+1)*b.dim]
			square = kernel.SumSquares64(x64)
		} else {
			x32 = x.Float32[i*b.dim : (i+1)*b.dim]
			square = kernel.SumSquares32(x32)
		}
		if math.IsInf(square, 0) || math.IsNaN(square) {
			copy(b.rowBuf, x64)
			kernel.Widen(b.rowBuf[:len(x32)], x32)
			if j := firstNonfinite(b.rowBuf); j >= 0 {
				bad.add(Nonfinite{1, []Cell{{first + int64(i), j, b.rowBuf[j]}}})
				continue
			}
		}
		var label int64
		if x.Labels != nil {
			label = x.Labels[i]
		}
		c, isNew := b.class(label)
		if isNew {
			copy(b.origin(c), x64)
			kernel.Widen(b.origin(c)[:len(x32)], x32)
		}
		b.count[c]++
		b.square[c] += square
		scale := 0.0
		if square > 0 {
			scale = 1 / math.Sqrt(square)
		} else {
			b.zero[c]++
		}
		if x64 != nil {
			b.sq[c] += kernel.AddDiff64(b.sum(c), x64, b.origin(c))
			kernel.Axpy64(b.unit(c), scale, x64)
		} else {
			b.sq[c] += kernel.AddDiff32(b.sum(c), x32, b.origin(c))
			kernel.Axpy32(b.unit(c), scale, x32)
		}
	}
	return bad
}

// table is the block's statistics about the pivot, classes in increasing order.
func (b *block) table(pivot []float64) *table {
	t := newTable(b.dim, len(b.classes))
	copy(t.classes, b.classes)
	slices.Sort(t.classes)
	for i, label := range t.classes {
		c32, _ := b.index.get(label)
		c := int(c32)
		n := float64(b.count[c])
		mean, origin, sum := t.row(t.mean, i), b.origin(c), b.sum(c)
		t.count[i], t.zero[i], t.square[i] = b.count[c], b.zero[c], b.square[c]
		t.m2[i] = max(0, b.sq[c]-kernel.SumSquares64(sum)/n)
		kernel.Diff64(mean, origin, pivot)
		kernel.Axpy64(mean, 1/n, sum)
		copy(t.row(t.unit, i), b.unit(c))
	}
	return t
}

// A table is the statistics of a range of rows: a line for every class in it.
type table struct {
	dim     int
	classes []int64 // increasing
	count   []int64
	zero    []int64   // rows that are 0 throughout
	m2      []float64 // sum |h - mu_c|^2
	square  []float64 // sum |h|^2
	mean    []float64 // classes x dim, less the pivot
	unit    []float64 // classes x dim, sum of h/|h|
}

func newTable(dim, classes int) *table {
	return &table{
		dim: dim, classes: make([]int64, classes), count: make([]int64, classes), zero: make([]int64, classes),
		m2: make([]float64, classes), square: make([]float64, classes),
		mean: make([]float64, classes*dim), unit: make([]float64, classes*dim),
	}
}

func (t *table) row(m []float64, i int) []float64 { return m[i*t.dim : (i+1)*t.dim] }

// rebase moves the means from one pivot to another.
func (t *table) rebase(from, to []float64) {
	if slices.Equal(from, to) {
		return
	}
	shift := make([]float64, t.dim)
	kernel.Diff64(shift, from, to)
	for i := range t.classes {
		kernel.Add64(t.row(t.mean, i), shift)
	}
}

// mergeTables merges the right range into the left one. Either may be used for the result.
func mergeTables(a, b *table) *table {
	classes := union(a.classes, b.classes)
	out := a
	if len(classes) != len(a.classes) {
		out = newTable(a.dim, len(classes))
		copy(out.classes, classes)
	}
	ia, ib := 0, 0
	diff := make([]float64, a.dim)
	for i, label := range classes {
		inA := ia < len(a.classes) && a.classes[ia] == label
		inB := ib < len(b.classes) && b.classes[ib] == label
		if inA {
			if out != a {
				out.set(i, a, ia)
			}
			ia++
		}
		if inB {
			if inA {
				out.combine(i, b, ib, diff)
			} else {
				out.set(i, b, ib)
			}
			ib++
		}
	}
	return out
}

func (t *table) set(i int, from *table, j int) {
	t.count[i], t.zero[i], t.m2[i], t.square[i] = from.count[j], from.zero[j], from.m2[j], from.square[j]
	copy(t.row(t.mean, i), from.row(from.mean, j))
	copy(t.row(t.unit, i), from.row(from.unit, j))
}

// combine adds line j of b to line i: D = mu_b - mu_a, mu = mu_a + D n_b/n, M2 = M2_a + M2_b + |D|^2 n_a n_b/n.
func (t *table) combine(i int, b *table, j int, diff []float64) {
	na, nb := float64(t.count[i]), float64(b.count[j])
	n := na + nb
	mean := t.row(t.mean, i)
	sq := kernel.Diff64(diff, b.row(b.mean, j), mean)
	kernel.Axpy64(mean, nb/n, diff)
	t.m2[i] += b.m2[j] + float64(sq*(na*nb/n))
	t.square[i] += b.square[j]
	t.count[i] += b.count[j]
	t.zero[i] += b.zero[j]
	kernel.Add64(t.row(t.unit, i), b.row(b.unit, j))
}

// union merges two increasing lists.
func union(a, b []int64) []int64 {
	if slices.Equal(a, b) {
		return a
	}
	out := make([]int64, 0, len(a)+len(b))
	out = append(append(out, a...), b...)
	slices.Sort(out)
	return slices.Compact(out)
}
