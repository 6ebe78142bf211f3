package collapse

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/internal/kernel"
)

// Noise cut into classes at random shows the variability that the null says, before any correction: from the definition, row by row.
func TestVariabilityNull(t *testing.T) {
	for _, c := range []struct{ k, d, n, times int }{{10, 512, 3, 40}, {5, 2048, 10, 20}, {20, 64, 20, 40}} {
		r := rand.New(rand.NewPCG(7, uint64(c.d)))
		total := 0.0
		for range c.times {
			rows := normals(r, c.k*c.n*c.d, 1)
			means := make([]float64, c.k*c.d)
			for i := range c.k * c.n {
				kernel.Axpy64(means[i%c.k*c.d:][:c.d], 1/float64(c.n), rows[i*c.d:(i+1)*c.d])
			}
			for i := range c.k * c.n {
				own := means[i%c.k*c.d:][:c.d]
				for j := range c.k {
					if j == i%c.k {
						continue
					}
					other := means[j*c.d : (j+1)*c.d]
					way, gap := 0.0, 0.0
					for x, h := range rows[i*c.d : (i+1)*c.d] {
						way += (h - own[x]) * (own[x] - other[x])
						gap += (own[x] - other[x]) * (own[x] - other[x])
					}
					total += way / gap * way / gap / float64(c.k*c.n*(c.k-1)*c.times)
				}
			}
		}
		s := &sample{d: c.d}
		l := &layout{used: make([]int, c.k), n: make([]float64, c.k)}
		for i := range l.n {
			l.n[i] = float64(c.n)
		}
		if got, want := s.variabilityNull(l), math.Sqrt(total); math.Abs(got-want) > 0.02*want {
			t.Errorf("K = %d, d = %d, n = %d: chance shows %.4f, drawn %.4f", c.k, c.d, c.n, got, want)
		}
	}
}

// A classifier of random directions is sqrt(2) from the means, and seldom nearer than the 1 % quantile.
func TestDualityNull(t *testing.T) {
	const k, d, times = 10, 64, 4000
	r := rand.New(rand.NewPCG(8, 8))
	m := normals(r, k*d, 1)
	removeMean(m, k, d)
	low := dualityNull(k, d)
	total, below := 0.0, 0
	for range times {
		w := normals(r, k*d, 1)
		removeMean(w, k, d)
		u := apart(w, m)
		total += u / times
		if u < low {
			below++
		}
	}
	if math.Abs(total-math.Sqrt2) > 0.02*math.Sqrt2 {
		t.Errorf("mean %v", total)
	}
	if below < times/200 || below > times/50 {
		t.Errorf("%d of %d below the 1 %% quantile", below, times)
	}
}

// The floors are what perfect simplices and classifiers show for the noise of their means.
func TestFloors(t *testing.T) {
	for _, w := range []world{{k: 3, d: 8, n: 20, v: 0.03}, {k: 10, d: 32, n: 20, v: 0.1}, {k: 10, d: 16, n: 50, v: 0.05, unequal: true}, {k: 30, d: 64, n: 20, v: 0.05}} {
		const times = 200
		f := w.draw(rand.New(rand.NewPCG(9, uint64(w.k))))
		f.weights = f.means // the classifier is the means
		var plain, floor [2]float64
		for i := range times {
			s, err := w.measure(rand.New(rand.NewPCG(uint64(i), 9)), f)
			if err != nil {
				t.Fatal(err)
			}
			l := s.verdict(nil).Levels
			for j, x := range []Level{l.Simplex, l.Duality} {
				plain[j] += *x.Plain * *x.Plain / times
				floor[j] += *x.Floor * *x.Floor / times
			}
		}
		for j, name := range []string{"simplex", "duality"} {
			if got, want := math.Sqrt(floor[j]), math.Sqrt(plain[j]); math.Abs(got-want) > 0.1*want {
				t.Errorf("%v: floor of %s %.4f, perfect ones show %.4f", w, name, got, want)
			}
		}
	}
}
