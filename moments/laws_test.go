package moments_test

import (
	"encoding"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/moments"
)

// accumulator is what State and Pass2 have in common: sums over rows that merge.
type accumulator[A any] interface {
	Add(*features.Batch) error
	Merge(A) error
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// laws holds what every accumulator must obey, whatever it adds up.
type laws[A accumulator[A]] struct {
	rows    *rows
	empty   func(first int) A // for rows from first on
	numbers func(A) []float64 // everything it says; the accumulator is not used afterwards
	tol     float64           // when rows are added in another order; 0 asks for the same bits
	lone    func() A          // empty, without a pivot of its own, where that is possible
}

func (l laws[A]) add(t testing.TB, a A, i, j int) A {
	t.Helper()
	if err := a.Add(l.rows.batch(i, j)); err != nil {
		t.Fatal(err)
	}
	return a
}

// part is the accumulator of rows [i, j).
func (l laws[A]) part(t testing.TB, i, j int) A {
	t.Helper()
	return l.add(t, l.empty(i), i, j)
}

func (l laws[A]) merge(t testing.TB, a, b A) A {
	t.Helper()
	if err := a.Merge(b); err != nil {
		t.Fatal(err)
	}
	return a
}

func (l laws[A]) check(t *testing.T) {
	n := l.rows.len()
	want := l.numbers(l.part(t, 0, n))
	third, half := n/3+17, n/2+29

	t.Run("identity", func(t *testing.T) {
		same(t, "empty + whole", l.numbers(l.merge(t, l.lone(), l.part(t, 0, n))), want, 0)
		same(t, "whole + empty", l.numbers(l.merge(t, l.part(t, 0, n), l.lone())), want, 0)
		a, b := l.lone(), l.lone()
		same(t, "empty + empty", l.numbers(l.merge(t, a, b)), l.numbers(l.lone()), 0)
	})
	t.Run("commutative", func(t *testing.T) {
		ab := l.numbers(l.merge(t, l.part(t, 0, half), l.part(t, half, n)))
		ba := l.numbers(l.merge(t, l.part(t, half, n), l.part(t, 0, half)))
		same(t, "b + a against a + b", ba, ab, l.tol)
		same(t, "a + b against the whole", ab, want, l.tol)
	})
	t.Run("associative", func(t *testing.T) {
		a, b, c := func() A { return l.part(t, 0, third) }, func() A { return l.part(t, third, half) }, func() A { return l.part(t, half, n) }
		left := l.numbers(l.merge(t, l.merge(t, a(), b()), c()))
		right := l.numbers(l.merge(t, a(), l.merge(t, b(), c())))
		same(t, "a + (b + c) against (a + b) + c", right, left, l.tol)
		same(t, "against the whole", left, want, l.tol)
	})
	t.Run("any split in any order", func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 5))
		for trial := range 8 {
			cuts := []int{0, n}
			for range 1 + rng.IntN(6) {
				cuts = append(cuts, rng.IntN(n+1)) // equal cuts make empty parts
			}
			got := l.tree(t, rng, cuts)
			same(t, fmt.Sprintf("trial %d, cuts %v", trial, cuts), got, want, l.tol)
		}
	})
	t.Run("batches of any size", func(t *testing.T) {
		for _, size := range []int{1, 2, 7, 64, 100, 1000, moments.BlockRows - 1, moments.BlockRows, moments.BlockRows + 1, 3 * moments.BlockRows} {
			a := l.empty(0)
			for i := 0; i < n; i += size {
				l.add(t, a, i, min(n, i+size))
			}
			same(t, fmt.Sprintf("batches of %d", size), l.numbers(a), want, 0)
		}
	})
	t.Run("blocks in any order", func(t *testing.T) {
		rng := rand.New(rand.NewPCG(11, 5))
		for trial := range 12 {
			cuts := []int{0, n}
			for b := moments.BlockRows; b < n; b += moments.BlockRows {
				if trial < 4 || rng.IntN(2) == 0 {
					cuts = append(cuts, b)
				}
			}
			same(t, fmt.Sprintf("trial %d, cuts %v", trial, cuts), l.tree(t, rng, cuts), want, 0)
		}
	})
	t.Run("marshal", func(t *testing.T) {
		for _, at := range []int{0, 1, moments.BlockRows, moments.BlockRows + 5, 2 * moments.BlockRows, n} {
			first := l.part(t, 0, at)
			text, err := first.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			tol := l.tol // an open block is closed when written
			if at%moments.BlockRows == 0 {
				tol = 0
			}
			second := l.empty(0)
			if err := second.UnmarshalBinary(text); err != nil {
				t.Fatalf("%d rows: %v", at, err)
			}
			same(t, fmt.Sprintf("%d rows, continued after reading", at), l.numbers(l.add(t, second, at, n)), want, tol)
			// Flushing what is kept for later must not be seen either.
			same(t, fmt.Sprintf("%d rows, continued after writing", at), l.numbers(l.add(t, first, at, n)), want, l.tol)

			third := l.empty(0)
			if err := third.UnmarshalBinary(text); err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("%d rows, merged after reading", at), l.numbers(l.merge(t, third, l.part(t, at, n))), want, tol)
		}
	})
	t.Run("other dimension", func(t *testing.T) {
		other := &rows{dim: l.rows.dim + 1, f32: make([]float32, l.rows.dim+1), labels: []int64{0}}
		if l.empty(0).Add(other.batch(0, 1)) == nil {
			t.Error("rows of another width were taken")
		}
		b := l.rows.batch(0, 2)
		b.Labels = b.Labels[:1]
		if l.empty(0).Add(b) == nil {
			t.Error("two rows with one label were taken")
		}
	})
}

// tree adds up the parts between the cuts, merged in a random order and shape.
func (l laws[A]) tree(t testing.TB, rng *rand.Rand, cuts []int) []float64 {
	t.Helper()
	sorted := append([]int(nil), cuts...)
	for i := range sorted { // few and small
		for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
			sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
		}
	}
	var parts []A
	for i := 1; i < len(sorted); i++ {
		parts = append(parts, l.part(t, sorted[i-1], sorted[i]))
	}
	for len(parts) > 1 {
		i := rng.IntN(len(parts))
		a := parts[i]
		parts = append(parts[:i], parts[i+1:]...)
		j := rng.IntN(len(parts))
		parts[j] = l.merge(t, parts[j], a)
	}
	return l.numbers(parts[0])
}

// TestStateLaws: rows and their pivot may be large against the spread, labels sparse, and some rows not finite.
func TestStateLaws(t *testing.T) {
	sparse := []int64{0, 3, 17, 16383, 16384, 4e9, math.MaxInt64}
	broken := clusters(4, 3*moments.BlockRows+701, 3, few(4), 2, false)
	for i := 13; i < len(broken.f32); i += 1009 {
		broken.f32[i] = float32([]float64{math.NaN(), math.Inf(1), math.Inf(-1)}[i%3])
	}
	broken.f32[0] = float32(math.NaN()) // the pivot is the first row that is finite
	for name, c := range map[string]struct {
		rows *rows
		tol  float64
	}{
		"float32":       {clusters(1, 3*moments.BlockRows+701, 5, few(6), 0, false), 1e-12},
		"float64":       {clusters(2, 4*moments.BlockRows+1, 3, few(6), 0, true), 1e-12},
		"sparse labels": {clusters(3, 3*moments.BlockRows+5, 4, sparse, 1, false), 1e-12},
		"not finite":    {broken, 1e-12},
		"offset":        {clusters(5, 2*moments.BlockRows+99, 5, few(3), 1e3, true), 1e-12},
		"one class":     {clusters(6, 7*moments.BlockRows+9, 2, few(1), 1, true), 1e-12},
		"whole blocks":  {clusters(7, 4*moments.BlockRows, 2, few(3), 1, false), 1e-12},
	} {
		t.Run(name, func(t *testing.T) {
			pivot := c.rows.at(1)
			laws[*moments.State]{
				rows: c.rows, tol: c.tol, numbers: numbersOfState,
				empty: func(first int) *moments.State { return moments.NewShard(c.rows.dim, pivot, int64(first)) },
				lone:  func() *moments.State { return moments.New(c.rows.dim) },
			}.check(t)
		})
	}
}

// TestPassLaws: every kind of second moments, with decisions and without, in both precisions.
func TestPassLaws(t *testing.T) {
	for name, o := range map[string]option{
		"axes":             {kind: moments.OnAxes, double: true, classifier: true},
		"axes, weak":       {kind: moments.OnAxes, double: true, weak: true, scored: true},
		"scores":           {kind: moments.OfScores, double: true, weak: true, classifier: true},
		"rows":             {kind: moments.OfRows, double: true, classifier: true, weak: true},
		"float32":          {kind: moments.OnAxes, classifier: true, weak: true},
		"float32 scores":   {kind: moments.OfScores, weak: true},
		"float32 rows":     {kind: moments.OfRows, classifier: true},
		"exact of float32": {kind: moments.OfScores, exact: true, weak: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := clusters(8, 3*moments.BlockRows+701, 9, few(5), 1, o.double)
			r.labels[77] = 5 // a row of the second pass without a class mean
			known := *r
			known.labels = append([]int64(nil), r.labels...)
			known.labels[77] = 4
			plan := planOf(whole(t, &known), o)
			empty := func(first int) *moments.Pass2 {
				p, err := moments.NewPass2(plan, int64(first))
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			tol := 1e-12
			if !o.double && !o.exact && o.kind != moments.OnAxes {
				tol = 1e-5 // products of some 1000 rows are added up in float32, in other portions
			}
			laws[*moments.Pass2]{rows: r, tol: tol, numbers: numbersOfPass, empty: empty, lone: func() *moments.Pass2 { return empty(0) }}.check(t)
		})
	}
}

// Shards that know nothing of one another, neither pivot nor position, merge all the same.
func TestStateShardsApart(t *testing.T) {
	r := clusters(9, 9001, 4, few(5), 50, true)
	want := numbersOfState(whole(t, r))
	var all *moments.State
	for i := 0; i < r.len(); i += 1500 {
		s := moments.New(r.dim) // the first row of the shard is its pivot, its rows count from 0
		if err := s.Add(r.batch(i, min(i+1500, r.len()))); err != nil {
			t.Fatal(err)
		}
		if all == nil {
			all = s
		} else if err := all.Merge(s); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "shards", numbersOfState(all), want, 1e-12)
}

// A state of rows and one of other rows about a far pivot: the shift costs its rounding, no more.
func TestStatePivots(t *testing.T) {
	r := clusters(10, 5000, 3, few(4), 0, true)
	want := numbersOfState(whole(t, r))
	for _, far := range []float64{1, 1e3, 1e6} {
		a := moments.NewShard(3, []float64{far, -far, far / 3}, 0)
		b := moments.NewShard(3, []float64{-far / 7, far, 0}, 4096)
		if err := a.Add(r.batch(0, 4096)); err != nil {
			t.Fatal(err)
		}
		if err := b.Add(r.batch(4096, 5000)); err != nil {
			t.Fatal(err)
		}
		if err := a.Merge(b); err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprintf("pivot %v", far), numbersOfState(a), want, 1e-12+4e-16*far)
	}
}

func TestMergeRefuses(t *testing.T) {
	if err := moments.New(3).Merge(moments.New(4)); err == nil {
		t.Error("states of dimensions 3 and 4 merged")
	}
	r := clusters(1, 50, 3, few(4), 0, true)
	s := whole(t, r)
	a, err := moments.NewPass2(planOf(s, option{kind: moments.OnAxes, double: true}), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []option{{kind: moments.OfRows}, {kind: moments.OfScores}, {kind: moments.OnAxes, weak: true}} {
		b, err := moments.NewPass2(planOf(s, o), 0)
		if err != nil {
			t.Fatal(err)
		}
		if a.Merge(b) == nil {
			t.Errorf("passes of different plans merged: %+v", o)
		}
	}
	bad := planOf(s, option{kind: moments.OnAxes})
	bad.Gram = bad.Gram[1:]
	if _, err := moments.NewPass2(bad, 0); err == nil {
		t.Error("a plan whose parts do not fit was taken")
	}
}
