package moments

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

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
			s.pivot = make([]float64, s.dim)
			if s.open.wide != nil {
				copy(s.pivot, s.open.wide)
			} else {
				kernel.Widen(s.pivot, s.open.narrow[:s.dim])
			}
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
		s.forest.add(index, s.open.finish(s.pivot))
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
	for _, p := range o.forest.parts() {
		p.sum.rebase(o.pivot, s.pivot)
		s.forest.put(p)
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
	var tables spare[*table]
	s.forest.merge = func(a, b *table) *table {
		mergeTables(a, b)
		b.reset()
		tables.put(b)
		return a
	}
	var seen index
	o.large = seen.distinct(split.Labels, 0)*split.Dim > 1<<20
	err = Scan(ctx, split, o, func() Visitor { return &collector{state: s, labels: split.Labels, spare: &tables} })
	s.forest.merge = mergeTables
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
	state  *State
	labels []int64 // of the split; nil if it has none
	spare  *spare[*table]
	block  *block
	seen   index
	index  int64
	bad    Nonfinite
}

func (c *collector) Begin(index int) {
	switch {
	case c.block == nil:
		c.block = newBlock(c.state.dim)
	case c.block.table == nil: // only now: the table of the last block is likely merged by now, and spare
		var ok bool
		if c.block.table, ok = c.spare.get(); !ok {
			c.block.table = newTable(c.state.dim)
		}
	}
	c.index, c.bad = int64(index), Nonfinite{}
	c.block.reserve(c.seen.distinct(c.labels, index))
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
		s.forest.add(c.index, c.block.finish(s.pivot))
	}
}

// A table is the statistics of a range of rows: a line for every class in it, in order of appearance.
type table struct {
	dim     int
	index   index
	classes []int64
	count   []int64
	zero    []int64   // rows that are 0 throughout
	m2      []float64 // sum |h - mu_c|^2
	square  []float64 // sum |h|^2
	mean    []float64 // classes x dim, less the pivot
	unit    []float64 // classes x dim, sum of h/|h|
}

func newTable(dim int) *table { return &table{dim: dim} }

func (t *table) row(m []float64, i int) []float64 { return m[i*t.dim : (i+1)*t.dim] }

// line finds or makes the line of a class.
func (t *table) line(label int64) (i int, isNew bool) {
	if i, ok := t.index.get(label); ok {
		return int(i), false
	}
	i = len(t.classes)
	t.index.set(label, int32(i))
	t.classes = append(t.classes, label)
	t.count, t.zero = append(t.count, 0), append(t.zero, 0)
	t.m2, t.square = append(t.m2, 0), append(t.square, 0)
	t.mean, t.unit = extend(t.mean, t.dim), extend(t.unit, t.dim)
	return i, true
}

// extend lengthens v by a row of n zeros. It grows by an eighth: tables are the most of the memory.
func extend(v []float64, n int) []float64 {
	old := len(v)
	if old+n > cap(v) {
		v = append(make([]float64, 0, old+old/8+8*n), v...)
	}
	v = v[:old+n]
	clear(v[old:])
	return v
}

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

// mergeTables adds the right range to the left one, class by class:
// D = mu_b - mu_a, mu = mu_a + D n_b/n, M2 = M2_a + M2_b + |D|^2 n_a n_b/n.
func mergeTables(a, b *table) *table {
	diff := make([]float64, a.dim)
	for j, label := range b.classes {
		i, _ := a.line(label)
		na, nb := float64(a.count[i]), float64(b.count[j])
		n := na + nb
		mean := a.row(a.mean, i)
		sq := kernel.Diff64(diff, b.row(b.mean, j), mean)
		if na == 0 {
			copy(mean, b.row(b.mean, j))
		} else {
			kernel.Axpy64(mean, nb/n, diff)
		}
		a.m2[i] += b.m2[j] + float64(sq*(na*nb/n))
		a.square[i] += b.square[j]
		a.count[i] += b.count[j]
		a.zero[i] += b.zero[j]
		kernel.Add64(a.row(a.unit, i), b.row(b.unit, j))
	}
	return a
}

// pick is a copy with the classes in a given order.
func (t *table) pick(classes []int64) *table {
	out := newTable(t.dim)
	out.mean, out.unit = make([]float64, 0, len(classes)*t.dim), make([]float64, 0, len(classes)*t.dim)
	for _, label := range classes {
		j, _ := t.index.get(label)
		i, _ := out.line(label)
		out.count[i], out.zero[i], out.m2[i], out.square[i] = t.count[j], t.zero[j], t.m2[j], t.square[j]
		copy(out.row(out.mean, i), t.row(t.mean, int(j)))
		copy(out.row(out.unit, i), t.row(t.unit, int(j)))
	}
	return out
}

// reset empties the table and keeps its memory.
func (t *table) reset() {
	t.index.reset()
	t.classes, t.count, t.zero = t.classes[:0], t.count[:0], t.zero[:0]
	t.m2, t.square, t.mean, t.unit = t.m2[:0], t.square[:0], t.mean[:0], t.unit[:0]
}

// A spare keeps sums to be used again: fresh memory for K x d numbers a block costs as much as filling it.
type spare[T any] struct {
	mu   sync.Mutex
	sums []T
}

func (s *spare[T]) put(v T) {
	s.mu.Lock()
	s.sums = append(s.sums, v)
	s.mu.Unlock()
}

func (s *spare[T]) get() (v T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.sums)
	if n == 0 {
		return v, false
	}
	v = s.sums[n-1]
	s.sums = s.sums[:n-1]
	return v, true
}

// A block accumulates rows about the first row of their class within the block: a point no further from the
// mean than the class is wide, so that neither the mean nor the scatter loses digits. While rows come in, mean holds
// the sum of x - origin, and m2 that of its squares.
type block struct {
	*table
	narrow []float32 // origins, classes x dim, while all rows are float32
	wide   []float64 // the same from the first float64 row on
	row64  []float64
}

func newBlock(dim int) *block { return &block{table: newTable(dim), row64: make([]float64, dim)} }

// reserve makes room for some classes in an empty block, and for a few more, which the next block may have: memory
// of one size can be used again.
func (b *block) reserve(classes int) {
	if classes > 64 {
		classes = (classes + classes/32 + 63) / 64 * 64
	}
	b.mean, b.unit = room(b.mean, classes*b.dim), room(b.unit, classes*b.dim)
	if b.wide == nil {
		b.narrow = room(b.narrow, classes*b.dim)
	}
}

// room is an empty slice for n numbers, v where they fit. What is new is not touched: slices.Grow would clear it in one stretch, for
// which a garbage collection waits.
func room[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, 0, n)
	}
	return v[:0]
}

// add takes rows and returns the ones it left out. first is the index of the first row. Rows without labels are one class.
func (b *block) add(x *features.Batch, first int64) (bad Nonfinite) {
	if x.Float64 != nil && b.wide == nil {
		b.wide = make([]float64, len(b.narrow))
		kernel.Widen(b.wide, b.narrow)
		b.narrow = nil
	}
	for i := range x.Rows {
		var square float64
		var x32 []float32
		var x64 []float64
		switch {
		case x.Float64 != nil:
			x64 = x.Float64[i*b.dim : (i+1)*b.dim]
		case b.wide != nil:
			x64 = b.row64
			kernel.Widen(x64, x.Float32[i*b.dim:(i+1)*b.dim])
		default:
			x32 = x.Float32[i*b.dim : (i+1)*b.dim]
		}
		if x64 != nil {
			square = kernel.SumSquares64(x64)
		} else {
			square = kernel.SumSquares32(x32)
		}
		if math.IsInf(square, 0) || math.IsNaN(square) {
			copy(b.row64, x64)
			kernel.Widen(b.row64[:len(x32)], x32)
			if j := firstNonfinite(b.row64); j >= 0 {
				bad.add(Nonfinite{1, []Cell{{first + int64(i), j, b.row64[j]}}})
				continue
			}
		}
		var label int64
		if x.Labels != nil {
			label = x.Labels[i]
		}
		c, isNew := b.line(label)
		if isNew {
			b.narrow = append(b.narrow, x32...)
			b.wide = append(b.wide, x64...)
		}
		b.count[c]++
		b.square[c] += square
		scale := 0.0
		if square > 0 {
			scale = 1 / math.Sqrt(square)
		} else {
			b.zero[c]++
		}
		sum, unit := b.row(b.mean, c), b.row(b.unit, c)
		if x64 != nil {
			b.m2[c] += kernel.AddRow64(sum, unit, scale, x64, b.row(b.wide, c))
		} else {
			b.m2[c] += kernel.AddRow32(sum, unit, scale, x32, b.narrow[c*b.dim:(c+1)*b.dim])
		}
	}
	return bad
}

// finish hands the table over, its means about the pivot. The block needs another one to go on.
func (b *block) finish(pivot []float64) *table {
	t := b.table
	for c := range t.classes {
		n := float64(t.count[c])
		mean := t.row(t.mean, c)
		t.m2[c] = max(0, t.m2[c]-kernel.SumSquares64(mean)/n)
		kernel.Scale64(mean, 1/n)
		if b.wide != nil {
			kernel.Diff64(b.row64, b.row(b.wide, c), pivot)
		} else {
			kernel.Diff32To64(b.row64, b.narrow[c*b.dim:(c+1)*b.dim], pivot)
		}
		kernel.Add64(mean, b.row64)
	}
	b.table, b.narrow, b.wide = nil, b.narrow[:0], b.wide[:0]
	return t
}
