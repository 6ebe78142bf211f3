package collapse

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/features"
)

func TestStudent(t *testing.T) {
	for _, c := range []struct{ confidence, degrees, want float64 }{ // tables of Student's distribution
		{0.95, 1, 12.7062047}, {0.95, 2, 4.3026527}, {0.95, 5, 2.5705818}, {0.99, 10, 3.1692727}, {0.95, 100, 1.9839715},
		{0.95, 2990, 1.9607577}, {0.95, 1e9, 1.9599640}, {0.5, 3, 0.7648923},
	} {
		if got := student(c.confidence, c.degrees); math.Abs(got-c.want) > 2e-6*c.want {
			t.Errorf("confidence %v, %v degrees: %v, want %v", c.confidence, c.degrees, got, c.want)
		}
	}
}

func TestWilson(t *testing.T) {
	for _, c := range []struct{ p, n, low, high float64 }{ // z = 1.96
		{0, 400, 0, 0.00951237}, {0.5, 100, 0.40382982, 0.59617018}, {1, 10, 0.72246007, 1},
	} {
		low, high := wilson(c.p, c.n, 1.96)
		if math.Abs(low-c.low) > 1e-6 || math.Abs(high-c.high) > 1e-6 {
			t.Errorf("%v of %v: %v to %v, want %v to %v", c.p, c.n, low, high, c.low, c.high)
		}
	}
}

// What random directions show, against directions drawn one by one.
func TestSimplexNull(t *testing.T) {
	draws := 400
	if testing.Short() {
		draws = 100
	}
	for _, c := range []struct{ k, d int }{{3, 8}, {5, 16}, {10, 64}, {10, 512}, {50, 64}, {60, 128}} {
		rng := rand.New(rand.NewPCG(uint64(c.k), uint64(c.d)))
		values := make([]float64, draws)
		for i := range values {
			m := make([]float64, c.k*c.d)
			for j := range m {
				m[j] = rng.NormFloat64()
			}
			removeMean(m, c.k, c.d)
			trace, square := 0.0, 0.0
			for a := range c.k {
				for b := range c.k {
					dot := 0.0
					for j := range c.d {
						dot += m[a*c.d+j] * m[b*c.d+j]
					}
					square += dot * dot
					if a == b {
						trace += dot
					}
				}
			}
			values[i] = math.Sqrt(2 - 2*trace/math.Sqrt(square*float64(c.k-1)))
		}
		slices.Sort(values)
		middle, low := simplexNull(c.k, c.d, 1)
		se := deviation(values) / math.Sqrt(float64(draws))
		if want := mean(values); math.Abs(middle-want) > 0.02*want+3*se {
			t.Errorf("K = %d, d = %d: chance shows %v, drawn %v", c.k, c.d, middle, want)
		}
		if want := quantile(values, 0.01); math.Abs(low-want) > 0.05*want+5*se {
			t.Errorf("K = %d, d = %d: 1 %% quantile %v, drawn %v", c.k, c.d, low, want)
		}
	}
}

// The residuals drawn by lot give the traces that they stand for.
func TestFourth(t *testing.T) {
	w := world{k: 5, d: 20, n: 300, v: 0.1, unequal: true}
	rng := rand.New(rand.NewPCG(5, 5))
	known := w.draw(rng)
	means, axes := known.means, known.axes
	same, other := 0.0, 0.0
	for c := range w.k {
		for o := range w.k {
			dot := 0.0
			for j := range w.d {
				a, b := axes[c*w.d+j], axes[o*w.d+j]
				dot += a * a * b * b
			}
			if c == o {
				same += dot / float64(w.k)
			} else {
				other += dot / float64(w.k*(w.k-1))
			}
		}
	}
	rows, labels := make([]float64, w.k*w.n*w.d), make([]int64, w.k*w.n)
	for i := range labels {
		c := i % w.k
		labels[i] = int64(c)
		for j := range w.d {
			rows[i*w.d+j] = means[c*w.d+j] + axes[c*w.d+j]*rng.NormFloat64()
		}
	}
	set, err := features.From(rows, w.d, labels, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{}
	o.resolve()
	m := measurement{ctx: context.Background(), set: set, opts: &o}
	s, _, err := m.first(set.Layers[0].Train, "features")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.measure(m.ctx, m.scan, true); err != nil {
		t.Fatal(err)
	}
	l := s.layoutOf
	f := s.draw(l).fourth(l)
	own, all := 0.0, 0.0
	for _, tau := range l.tau {
		own, all = own+tau*tau, all+tau
	}
	k := float64(w.k)
	same /= own / k
	other /= (all*all - own) / (k * (k - 1))
	if math.Abs(f.same.value-same) > 0.05*same+4*f.same.err || math.Abs(f.other.value-other) > 0.05*other+4*f.other.err || f.same.err > 0.2*same {
		t.Errorf("traces %v and %v, want %v and %v", f.same, f.other, same, other)
	}
}
