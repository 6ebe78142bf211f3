package moments

import (
	"cmp"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
)

// Summary is a finished State: the class statistics that every metric starts from. K is the number of classes present.
type Summary struct {
	Dim     int
	Rows    int64     // N
	Classes []int64   // K labels, increasing
	Count   []int64   // n_c
	Zero    []int64   // rows of the class that are 0 throughout
	Scatter []float64 // sum |h - mu_c|^2 over the class
	Square  []float64 // sum |h|^2 over the class
	Pivot   []float64 // d
	Mean    []float64 // K x d, mu_c less the pivot
	Unit    []float64 // K x d, means of the unit vectors h/|h|
}

// Summary finishes the state, which stays as it is and can take more rows.
func (s *State) Summary() *Summary {
	parts := s.forest.parts()
	if s.open != nil && len(s.open.classes) > 0 { // it meets its neighbours as it will when it is full, or merged
		all := forest[*table]{merge: func(a, b *table) *table { return mergeTables(a.pick(a.classes), b) }}
		for _, p := range parts {
			all.put(p)
		}
		all.add(s.next/BlockRows, s.open.copy().finish(s.pivot))
		parts = all.parts()
	}
	t := newTable(s.dim)
	for i, p := range parts {
		if i == 0 && len(parts) == 1 {
			t = p.sum
		} else {
			mergeTables(t, p.sum)
		}
	}
	return t.pick(slices.Sorted(slices.Values(t.classes))).summary(s.pivot) // a copy: the state goes on
}

// Close finishes the state for good, and takes its memory for the summary.
func (s *State) Close() *Summary {
	s.close(s.next / BlockRows)
	t := newTable(s.dim)
	for i, p := range s.forest.parts() {
		if i == 0 {
			t = p.sum
		} else {
			mergeTables(t, p.sum)
		}
	}
	s.forest = forest[*table]{}
	t.sort()
	return t.summary(s.pivot)
}

// summary makes sums of unit vectors into means, in place.
func (t *table) summary(pivot []float64) *Summary {
	out := &Summary{
		Dim: t.dim, Classes: t.classes, Count: t.count, Zero: t.zero, Scatter: t.m2, Square: t.square,
		Pivot: pivot, Mean: t.mean, Unit: t.unit,
	}
	for i, n := range t.count {
		out.Rows += n
		kernel.Scale64(t.row(t.unit, i), 1/float64(n))
	}
	return out
}

// sort brings the lines into the order of the classes, the long ones in place. The index is lost.
func (t *table) sort() {
	from := make([]int, len(t.classes)) // by place, the line that belongs there
	for i := range from {
		from[i] = i
	}
	slices.SortFunc(from, func(i, j int) int { return cmp.Compare(t.classes[i], t.classes[j]) })
	t.index = index{}
	t.classes, t.count, t.zero = gather(t.classes, from), gather(t.count, from), gather(t.zero, from)
	t.m2, t.square = gather(t.m2, from), gather(t.square, from)
	permute(t.mean, t.dim, from)
	permute(t.unit, t.dim, from)
}

func gather[T any](v []T, from []int) []T {
	out := make([]T, len(from))
	for i, j := range from {
		out[i] = v[j]
	}
	return out
}

// permute moves row from[i] of a matrix to row i, in place: along the cycles of the permutation.
func permute(m []float64, dim int, from []int) {
	row := func(i int) []float64 { return m[i*dim : (i+1)*dim] }
	done, first := make([]bool, len(from)), make([]float64, dim)
	for i := range from {
		if done[i] || from[i] == i {
			continue
		}
		copy(first, row(i))
		at := i
		for ; from[at] != i; at = from[at] {
			copy(row(at), row(from[at]))
			done[at] = true
		}
		copy(row(at), first)
		done[at] = true
	}
}

// copy is the block so far, to be finished while the block goes on.
func (b *block) copy() *block {
	return &block{table: b.pick(b.classes), narrow: slices.Clone(b.narrow), wide: slices.Clone(b.wide), row64: make([]float64, b.dim)}
}

// Absolute is mu_c: the pivot added back, K x d.
func (s *Summary) Absolute() []float64 {
	out := append([]float64(nil), s.Mean...)
	for i := range s.Classes {
		kernel.Add64(out[i*s.Dim:(i+1)*s.Dim], s.Pivot)
	}
	return out
}

// Centre is the global mean less the pivot: the mean of the class means, or of all rows (bySample).
func (s *Summary) Centre(bySample bool) []float64 {
	out := make([]float64, s.Dim)
	for i := range s.Classes {
		w := 1 / float64(len(s.Classes))
		if bySample {
			w = float64(s.Count[i]) / float64(s.Rows)
		}
		kernel.Axpy64(out, w, s.Mean[i*s.Dim:(i+1)*s.Dim])
	}
	return out
}

// Var is the mean square distance of a class's rows from their mean.
func (s *Summary) Var(c int) float64 { return s.Scatter[c] / float64(s.Count[c]) }

// Within is tr Sigma_W.
func (s *Summary) Within() float64 {
	sum := 0.0
	for _, v := range s.Scatter {
		sum += v
	}
	return sum / float64(s.Rows)
}

// MaxAbsMean is the largest entry of Mean in size.
func (s *Summary) MaxAbsMean() float64 {
	big := 0.0
	for _, v := range s.Mean {
		big = max(big, math.Abs(v))
	}
	return big
}
