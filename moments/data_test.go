package moments_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/moments"
)

// rows is a data set of the tests: n rows of dim numbers in either precision, with labels.
type rows struct {
	dim    int
	f32    []float32
	f64    []float64
	labels []int64
}

func (r *rows) len() int { return len(r.labels) }

// batch is the rows [i, j), their first one counted from 0.
func (r *rows) batch(i, j int) *features.Batch {
	b := &features.Batch{First: i, Rows: j - i, Dim: r.dim, Labels: r.labels[i:j]}
	if r.f32 != nil {
		b.Float32 = r.f32[i*r.dim : j*r.dim]
	} else {
		b.Float64 = r.f64[i*r.dim : j*r.dim]
	}
	return b
}

// at is one row in float64.
func (r *rows) at(i int) []float64 {
	if r.f32 == nil {
		return r.f64[i*r.dim : (i+1)*r.dim]
	}
	out := make([]float64, r.dim)
	for j, v := range r.f32[i*r.dim : (i+1)*r.dim] {
		out[j] = float64(v)
	}
	return out
}

// split is the rows as Collect takes them.
func (r *rows) split(t testing.TB) *features.Split {
	t.Helper()
	var set *features.Set
	var err error
	if r.f32 != nil {
		set, err = features.From(r.f32, r.dim, r.labels, nil)
	} else {
		set, err = features.From(r.f64, r.dim, r.labels, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return set.Layers[0].Train
}

// clusters draws n rows about one centre for each of the labels, after a common offset; every ninth row is 0.
func clusters(seed uint64, n, dim int, labels []int64, offset float64, wide bool) *rows {
	rng := rand.New(rand.NewPCG(seed, 1))
	centres := make([]float64, len(labels)*dim)
	for i := range centres {
		centres[i] = rng.NormFloat64()
	}
	r := &rows{dim: dim}
	for i := range n {
		c := rng.IntN(len(labels))
		r.labels = append(r.labels, labels[c])
		for j := range dim {
			v := offset + centres[c*dim+j] + 0.7*rng.NormFloat64()
			if i%9 == 5 {
				v = 0
			}
			if wide {
				r.f64 = append(r.f64, v)
			} else {
				r.f32 = append(r.f32, float32(v))
			}
		}
	}
	return r
}

func few(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

// whole is the state of all rows, taken at once.
func whole(t testing.TB, r *rows) *moments.State {
	t.Helper()
	s := moments.New(r.dim)
	if err := s.Add(r.batch(0, r.len())); err != nil {
		t.Fatal(err)
	}
	return s
}

// numbersOfState lists what a state says. Means are about zero, so that pivots may differ.
func numbersOfState(s *moments.State) []float64 {
	sum := s.Summary()
	out := []float64{float64(sum.Rows), float64(s.Nonfinite().Count)}
	for i, c := range sum.Classes {
		out = append(out, float64(c), float64(sum.Count[i]), float64(sum.Zero[i]), sum.Scatter[i], sum.Square[i])
	}
	out = append(out, sum.Unit...)
	if len(sum.Classes) > 0 {
		out = append(out, sum.Absolute()...)
	}
	return out
}

// numbersOfPass lists what a second pass says.
func numbersOfPass(p *moments.Pass2) []float64 { return numbersOfSums(p.Sums()) }

func numbersOfSums(s *moments.Sums) []float64 {
	out := []float64{
		float64(s.Rows), s.WeakSq, float64(s.Disagreements), s.Loss, s.Margin.Min, s.Margin.Sum, float64(s.Margin.Class),
		s.CosMargin.Min, s.CosMargin.Sum, float64(s.CosMargin.Class), s.MinNorm2, s.MaxNorm2,
	}
	for _, c := range s.Class {
		out = append(out, float64(c.Rows), c.Scatter, c.UnitScatter, float64(c.NCCErrors), float64(c.Errors))
	}
	return append(append(out, s.Moments...), s.Weak...)
}

// same compares lists of numbers: bit for bit where tol is 0, else each relative to its size or to 1.
func same(t testing.TB, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers for %d", what, len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if math.Float64bits(g) == math.Float64bits(w) || tol > 0 && math.Abs(g-w) <= tol*max(1, math.Abs(w)) {
			continue
		}
		t.Fatalf("%s: number %d of %d is %v, want %v (difference %.1e, tolerance %.0e)", what, i, len(got), g, w, g-w, tol)
	}
}

// option is one way to lay out a plan.
type option struct {
	kind        moments.Moments
	double      bool
	exact, weak bool
	classifier  bool
	scored      bool // scores from products with the means though there are axes
}

// planOf lays out a second pass for the classes of a state.
func planOf(s *moments.State, o option) *moments.Plan {
	sum := s.Summary()
	k, d := len(sum.Classes), sum.Dim
	p := &moments.Plan{
		Summary: sum, Centre: sum.Centre(false), Moments: o.kind, Double: o.double, Exact: o.exact, Weak: o.weak, Units: true,
		Gram: make([]float64, k*k), Means: make([]float64, k*d),
	}
	for c := range k {
		for j := range d {
			p.Means[c*d+j] = sum.Mean[c*d+j] - p.Centre[j]
		}
	}
	for a := range k {
		for b := range k {
			p.Gram[a*k+b] = dot(p.Means[a*d:(a+1)*d], p.Means[b*d:(b+1)*d])
		}
	}
	if o.kind == moments.OnAxes {
		for c := range k { // Gram-Schmidt, twice
			v := append([]float64(nil), p.Means[c*d:(c+1)*d]...)
			for range 2 {
				for r := range p.Rank {
					u := p.Axes[r*d : (r+1)*d]
					q := dot(v, u)
					for j := range v {
						v[j] -= q * u[j]
					}
				}
			}
			left := math.Sqrt(dot(v, v))
			if left <= 1e-8*math.Sqrt(p.Gram[0]) {
				continue
			}
			for j := range v {
				v[j] /= left
			}
			p.Axes = append(p.Axes, v...)
			p.Rank++
		}
		p.Whole = !o.scored
	}
	if o.classifier {
		rng := rand.New(rand.NewPCG(7, 7))
		w := &moments.Weights{Classes: k + 2, Cosines: true}
		mean := make([]float64, d)
		raw := make([]float64, w.Classes*d)
		for i := range raw {
			raw[i] = rng.NormFloat64()
			if i < k*d {
				raw[i] = 0.5*raw[i] + p.Means[i]
			}
			mean[i%d] += raw[i] / float64(w.Classes)
		}
		for c := range w.Classes {
			at := rng.NormFloat64()
			row := raw[c*d : (c+1)*d]
			for j := range row {
				row[j] -= mean[j]
			}
			w.Centred = append(w.Centred, row...)
			for i := range k {
				w.Cross = append(w.Cross, dot(row, p.Means[i*d:(i+1)*d]))
			}
			w.Norm = append(w.Norm, math.Sqrt(dot(row, row)))
			w.AtCentre = append(w.AtCentre, at)
		}
		p.Weights = w
	}
	return p
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

func collect(t testing.TB, s *features.Split, o moments.ScanOptions) *moments.State {
	t.Helper()
	state, err := moments.Collect(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return state
}
