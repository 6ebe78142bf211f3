package collapse_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
)

// data is a labelled data set in memory, with what may go with it.
type data struct {
	dim    int
	rows   []float64
	labels []int64
	w, b   []float64 // nil without a classifier

	testRows   []float64
	testLabels []int64
	oodRows    []float64
	narrow     bool // store float32
}

func (d *data) n() int { return len(d.labels) }

func (d *data) row(i int) []float64 { return d.rows[i*d.dim : (i+1)*d.dim] }

func (d *data) classes() int { return len(d.b) }

// failer is the part of testing.TB that helpers need.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// set is the data as Measure takes them.
func (d *data) set(t failer) *features.Set {
	t.Helper()
	var c *features.Classifier
	if d.w != nil {
		c = &features.Classifier{Classes: len(d.b), Dim: d.dim, Weights: d.w, Bias: d.b, HasBias: true}
	}
	from := func(rows []float64, labels []int64, c *features.Classifier) *features.Set {
		var set *features.Set
		var err error
		if d.narrow {
			set, err = features.From(narrowed(rows), d.dim, labels, c)
		} else {
			set, err = features.From(rows, d.dim, labels, c)
		}
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
		return set
	}
	set := from(d.rows, d.labels, c)
	if d.testRows != nil {
		set.Layers[0].Test = from(d.testRows, d.testLabels, nil).Layers[0].Train
	}
	if d.oodRows != nil {
		ood := from(d.oodRows, make([]int64, len(d.oodRows)/d.dim), nil).Layers[0].Train
		ood.Labels = nil
		set.Layers[0].OOD = ood
	}
	return set
}

func narrowed(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}

// measure is the result of the one layer.
func (d *data) measure(t testing.TB, o collapse.Options) *collapse.Result {
	t.Helper()
	report, err := collapse.Measure(context.Background(), d.set(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return report.Results[0]
}

// value is a metric that must be defined.
func value(t testing.TB, r *collapse.Result, id string) float64 {
	t.Helper()
	v, ok := r.Metrics[id]
	if !ok || !v.Defined() {
		t.Fatalf("%s has no value: %+v", id, v)
	}
	return v.Number
}

// near wants a number within a relative or an absolute distance of another.
func near(t testing.TB, what string, got, want, relative, absolute float64) {
	t.Helper()
	if math.Abs(got-want) <= absolute || math.Abs(got-want) <= relative*math.Abs(want) {
		return
	}
	t.Errorf("%s is %v, want %v (relative %.1e)", what, got, want, math.Abs(got-want)/math.Abs(want))
}

func clone(v []float64) []float64 { return append([]float64(nil), v...) }

// rotation is a random orthogonal matrix.
func rotation(rng *rand.Rand, d int) []float64 {
	q := make([]float64, 0, d*d)
	for len(q) < d*d {
		v := make([]float64, d)
		for j := range v {
			v[j] = rng.NormFloat64()
		}
		for range 2 {
			for r := 0; r < len(q); r += d {
				p := inner(v, q[r:r+d])
				for j := range v {
					v[j] -= p * q[r+j]
				}
			}
		}
		n := math.Sqrt(inner(v, v))
		if n < 1e-3 {
			continue
		}
		for j := range v {
			v[j] /= n
		}
		q = append(q, v...)
	}
	return q
}

func inner(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// times is rows (n x d) times the transpose of m (e x d).
func times(rows []float64, d int, m []float64) []float64 {
	e := len(m) / d
	out := make([]float64, len(rows)/d*e)
	for i := 0; i < len(rows)/d; i++ {
		for j := range e {
			out[i*e+j] = inner(rows[i*d:(i+1)*d], m[j*d:(j+1)*d])
		}
	}
	return out
}

// gaussian draws n rows of k classes about random means, with a classifier near the means, test and ood rows.
func gaussian(seed uint64, n, d, k int, spread float64) *data {
	rng := rand.New(rand.NewPCG(seed, 99))
	out := &data{dim: d}
	mu := make([]float64, k*d)
	for i := range mu {
		mu[i] = rng.NormFloat64()
	}
	draw := func(n int, at func(i int) int, off float64) (rows []float64, labels []int64) {
		for i := range n {
			c := at(i)
			labels = append(labels, int64(c))
			for j := range d {
				rows = append(rows, off+mu[c*d+j]+spread*(1+0.3*float64(j%3))*rng.NormFloat64())
			}
		}
		return rows, labels
	}
	out.rows, out.labels = draw(n, func(i int) int {
		if i < 2*k {
			return i % k // every class has two rows
		}
		return rng.IntN(k)
	}, 0)
	out.testRows, out.testLabels = draw(n/2+2*k, func(i int) int { return i % k }, 0.1)
	out.oodRows, _ = draw(9, func(int) int { return 0 }, 2)
	out.w, out.b = make([]float64, k*d), make([]float64, k)
	for i := range out.w {
		out.w[i] = mu[i] + 0.2*rng.NormFloat64()
	}
	for c := range out.b {
		out.b[c] = -inner(mu[c*d:(c+1)*d], mu[c*d:(c+1)*d])/2 + 0.1*rng.NormFloat64()
	}
	return out
}
