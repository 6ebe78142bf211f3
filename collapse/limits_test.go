package collapse

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"testing"

	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
)

// metrics are what endless samples of a world would show.
func (w world) metrics(f *fixed) map[string]float64 {
	k, h := w.k, w.head()
	more := float64(w.d - h)
	means := geometry.New(k, h, f.means)
	h0 := &redrawn{k: k, means: means, weights: geometry.New(k, h, f.weights), cross: make([]float64, k*k), atCentre: make([]float64, k)}
	kernel.Gemm64(false, true, k, k, h, 1, f.means, h, f.weights, h, 0, h0.cross, k)
	out := map[string]float64{}
	for _, m := range shapeMetrics {
		out[m.id] = m.eval(h0)
	}
	tau := make([]float64, k)
	within := 0.0
	for c := range k {
		for j := range h {
			tau[c] += f.axes[c*h+j] * f.axes[c*h+j]
		}
		tau[c] += more * f.rest[c] * f.rest[c]
		within += tau[c] / float64(k)
	}
	out["nc1_quotient"] = within / (means.Square() / float64(k))
	out["cdnv_mean"] = mean(means.Pairs(func(i, j int) float64 { return (tau[i] + tau[j]) / (2 * means.Distance2(i, j)) }))
	sv, axes := means.SingularValues(), means.Axes()
	for j := range min(k-1, h) {
		for c := range k {
			for x := range h {
				a := axes[j*h+x] * f.axes[c*h+x] / sv[j]
				out["nc1"] += a * a / float64(k)
			}
		}
	}
	return out
}

// Confidence limits of metrics hold what endless samples show.
func TestLimitsAgainstTruth(t *testing.T) {
	times := 100
	list := []world{
		{k: 3, d: 8, n: 40, v: 0.1, D: 0.1}, {k: 10, d: 32, n: 20, v: 0.03, D: 0.1}, {k: 10, d: 32, n: 100, v: 0.1, D: 0.2, unequal: true},
	}
	if *simulate > 0 {
		times = min(*simulate, 300)
		list = nil
		for _, c := range [][3]int{{2, 8, 50}, {3, 8, 20}, {5, 5, 50}, {10, 16, 5}, {10, 64, 20}, {10, 64, 200}, {10, 512, 100}, {30, 64, 50}, {100, 128, 50}, {150, 200, 20}} {
			for _, v := range []float64{0.01, 0.1, 0.2} {
				for _, unequal := range []bool{false, true} {
					list = append(list, world{k: c[0], d: c[1], n: c[2], v: v, D: []float64{0.03, 0.1, 0.3}[len(list)%3], unequal: unequal})
				}
			}
		}
	}
	for _, w := range list {
		if ok, err := path.Match(*cells, w.String()); err != nil || !ok {
			continue
		}
		w.U = 0.2
		r := rand.New(rand.NewPCG(4, uint64(w.k*w.d*w.n)))
		f := w.draw(r)
		truth := w.metrics(f)
		tallies := map[string]*tally{}
		share := 0.0
		var mu sync.Mutex
		var wait sync.WaitGroup
		for part := range 2 {
			wait.Go(func() {
				for i := part; i < times; i += 2 {
					s, err := w.measure(rand.New(rand.NewPCG(uint64(i), 5)), f)
					if err != nil {
						t.Error(err)
						return
					}
					values := Values{}
					for _, m := range registry {
						if _, ok := truth[m.ID]; ok {
							values[m.ID] = s.evaluate(m)
						}
					}
					v := s.verdict(values)
					mu.Lock()
					if x := v.Levels.Variability.NoiseShare; x != nil {
						share += *x / float64(times)
					}
					for id, x := range values {
						if tallies[id] == nil {
							tallies[id] = &tally{}
						}
						tallies[id].add(&x.Number, x.Low, x.High, truth[id])
					}
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		ids := slices.Sorted(func(yield func(string) bool) {
			for id := range tallies {
				if !yield(id) {
					return
				}
			}
		})
		if *simulate > 0 {
			fmt.Printf("%v share %.2g\n", w, share)
		}
		for _, id := range ids {
			a := tallies[id]
			if math.Abs(truth[id]) < 1e-9 {
				continue
			}
			if *simulate > 0 {
				b, _ := a.bias(truth[id])
				mark := ""
				if a.given > 0 && a.coverage() < 0.9 {
					mark = "  <<<"
				}
				fmt.Printf("   %-18s truth %-10.4g plain %+.1f %% given %d covered %.1f %% below %d%s\n", id, truth[id], 100*b, a.given, 100*a.coverage(), a.below, mark)
				continue
			}
			if a.given > 0 && a.coverage() < 0.90-3*math.Sqrt(0.09/float64(times)) {
				t.Errorf("%v: %s covered %.2f of the times", w, id, a.coverage())
			}
		}
	}
}
