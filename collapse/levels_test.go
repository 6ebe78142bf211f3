package collapse

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/features"
)

var simulate = flag.Int("simulate", 0, "repetitions of every cell of the simulated truth; prints a table")

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

// A world has known levels. Classes lie about the corners of a simplex at distance 1.
type world struct {
	k, d, n int
	v       float64 // spread along a direction, root mean square over classes
	unequal bool    // axes of each class log-normal, of its own
	bend    float64 // first mean moved along another axis: the means are no simplex
	turn    float64 // noise of the classifier against the means
}

func (w world) String() string {
	kind := "equal"
	if w.unequal {
		kind = "unequal"
	}
	return fmt.Sprintf("K=%d d=%d n=%d v=%g %s", w.k, w.d, w.n, w.v, kind)
}

// truth draws the fixed part: means, axes of the noise, classifier; and the levels that they have.
func (w world) truth(rng *rand.Rand) (means, axes, weights []float64, v, D, U float64) {
	k, d := w.k, w.d
	means, axes = make([]float64, k*d), make([]float64, k*d)
	for c := range k { // corners of a simplex on k axes, or on Helmert's k-1 where d is too small
		if d >= k {
			means[c*d+c] = math.Sqrt(0.5)
			continue
		}
		for j := range k - 1 {
			switch {
			case c <= j:
				means[c*d+j] = math.Sqrt(0.5) / math.Sqrt(float64((j+1)*(j+2)))
			case c == j+1:
				means[c*d+j] = -float64(j+1) * math.Sqrt(0.5) / math.Sqrt(float64((j+1)*(j+2)))
			}
		}
	}
	means[d-1] += w.bend
	total := 0.0
	for c := range k {
		for j := range d {
			axes[c*d+j] = 1
			if w.unequal {
				axes[c*d+j] = math.Exp(0.7 * rng.NormFloat64())
			}
		}
		for o := range k {
			if o != c {
				gap, along := 0.0, 0.0
				for j := range d {
					x := means[c*d+j] - means[o*d+j]
					gap += x * x
					along += x * x * axes[c*d+j] * axes[c*d+j]
				}
				total += along / gap / gap / float64(k*(k-1))
			}
		}
	}
	for i := range axes {
		axes[i] *= w.v / math.Sqrt(total)
	}
	centred := slices.Clone(means)
	removeMean(centred, k, d)
	weights = slices.Clone(centred)
	for i := range weights {
		weights[i] += w.turn * rng.NormFloat64() / math.Sqrt(float64(d))
	}
	wc := slices.Clone(weights)
	removeMean(wc, k, d)
	cross, trace, square := 0.0, 0.0, 0.0
	for a := range k {
		for b := range k {
			dot := 0.0
			for j := range d {
				dot += centred[a*d+j] * centred[b*d+j]
			}
			square += dot * dot
			if a == b {
				trace += dot
			}
		}
	}
	for i := range wc {
		cross += wc[i] * centred[i]
	}
	if k > 2 {
		D = root(2 - 2*trace/math.Sqrt(square*float64(k-1)))
	}
	return means, axes, weights, w.v, D, root(2 - 2*cross/(norm(wc)*norm(centred)))
}

// draw measures a sample of a world.
func (w world) draw(t testing.TB, rng *rand.Rand, means, axes, weights []float64) *Levels {
	k, d := w.k, w.d
	rows, labels := make([]float32, k*w.n*d), make([]int64, k*w.n)
	for i := range labels {
		c := i % k
		labels[i] = int64(c)
		for j := range d {
			rows[i*d+j] = float32(means[c*d+j] + axes[c*d+j]*rng.NormFloat64())
		}
	}
	set, err := features.From(rows, d, labels, &features.Classifier{Classes: k, Dim: d, Weights: weights, Bias: make([]float64, k)})
	if err != nil {
		t.Fatal(err)
	}
	report, err := Measure(context.Background(), set, Options{Metrics: []string{"nc1"}, Precision: "float64"})
	if err != nil {
		t.Fatal(err)
	}
	return &report.Results[0].Verdict.Levels
}

// tally is what came of the repetitions for one level.
type tally struct {
	given, inside int
	sum, square   float64
}

func (a *tally) add(l *Level, truth float64) {
	if l.Value == nil || l.High == nil {
		return
	}
	a.given++
	if *l.Low <= truth && truth <= *l.High {
		a.inside++
	}
	a.sum += *l.Value
	a.square += *l.Value * *l.Value
}

func (a *tally) coverage() float64 { return float64(a.inside) / float64(max(a.given, 1)) }

// bias is the mean value over the truth, less one, and its standard error.
func (a *tally) bias(truth float64) (b, se float64) {
	n := float64(max(a.given, 1))
	m := a.sum / n
	return m/truth - 1, math.Sqrt(max(0, a.square/n-m*m)/n) / truth
}

func (w world) repeat(t testing.TB, times int) (v, d, u tally, share float64, truth [3]float64) {
	rng := rand.New(rand.NewPCG(11, uint64(w.k*1000003+w.d*1009+w.n)))
	means, axes, weights, tv, td, tu := w.truth(rng)
	for range times {
		l := w.draw(t, rng, means, axes, weights)
		v.add(&l.Variability, tv)
		d.add(&l.Simplex, td)
		u.add(&l.Duality, tu)
		if l.Variability.NoiseShare != nil {
			share += *l.Variability.NoiseShare / float64(times)
		}
	}
	return v, d, u, share, [3]float64{tv, td, tu}
}

// Samples of worlds with known levels: values are right on average, intervals cover the truth as often as they say.
func TestLevelsAgainstTruth(t *testing.T) {
	if *simulate > 0 {
		table(t, *simulate)
		return
	}
	times := 120
	if testing.Short() {
		times = 40
	}
	for _, w := range []world{
		{k: 2, d: 2, n: 50, v: 0.05, turn: 0.2}, {k: 4, d: 3, n: 30, v: 0.1, bend: 0.3, turn: 0.2}, {k: 10, d: 32, n: 40, v: 0.03, bend: 0.4, turn: 0.2},
		{k: 10, d: 32, n: 100, v: 0.1, unequal: true, bend: 0.5, turn: 0.3}, {k: 30, d: 64, n: 20, v: 0.05, bend: 0.5, turn: 0.3},
	} {
		v, d, u, _, truth := w.repeat(t, times)
		for i, a := range []*tally{&v, &d, &u} {
			name := Properties()[i]
			if a.given < times || truth[i] == 0 {
				if truth[i] > 0 {
					t.Errorf("%v: %s given %d times of %d", w, name, a.given, times)
				}
				continue
			}
			b, se := a.bias(truth[i])
			if math.Abs(b) > 0.02+4*se {
				t.Errorf("%v: %s off by %.3f +- %.3f of %.4g", w, name, b, se, truth[i])
			}
			if low := 0.93 - 4*math.Sqrt(0.95*0.05/float64(times)); a.coverage() < low {
				t.Errorf("%v: %s covered %.3f of the times", w, name, a.coverage())
			}
		}
	}
}

// table prints how the levels do over a grid.
func table(t *testing.T, times int) {
	fmt.Println("| K | d | n | v | noise | noise share | v: bias | covered | D: truth | bias | covered | U: truth | bias | covered |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, w := range grid {
		v, d, u, share, truth := w.repeat(t, times)
		kind := "equal"
		if w.unequal {
			kind = "unequal"
		}
		fmt.Printf("| %d | %d | %d | %g | %s | %.2g |", w.k, w.d, w.n, w.v, kind, share)
		for i, a := range []*tally{&v, &d, &u} {
			if i > 0 {
				fmt.Printf(" %.3f |", truth[i])
			}
			if a.given == 0 || truth[i] == 0 {
				fmt.Printf(" – | – |")
				continue
			}
			b, _ := a.bias(truth[i])
			fmt.Printf(" %+.1f %% | %.1f %% |", 100*b, 100*a.coverage())
		}
		fmt.Println()
	}
}

// grid is what docs/verdict.md shows.
var grid = func() (out []world) {
	for _, c := range [][3]int{{2, 2, 20}, {2, 64, 100}, {3, 8, 20}, {10, 16, 5}, {10, 16, 20}, {10, 64, 20}, {10, 64, 200}, {10, 512, 20}, {30, 64, 20}, {100, 128, 20}} {
		for _, v := range []float64{0.003, 0.03, 0.1, 0.3} {
			for _, unequal := range []bool{false, true} {
				out = append(out, world{k: c[0], d: c[1], n: c[2], v: v, unequal: unequal, bend: 0.4, turn: 0.3})
			}
		}
	}
	return out
}()

// The residuals drawn by lot give the traces that they stand for.
func TestFourth(t *testing.T) {
	w := world{k: 5, d: 20, n: 300, v: 0.1, unequal: true}
	rng := rand.New(rand.NewPCG(5, 5))
	means, axes, _, _, _, _ := w.truth(rng)
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
	f := s.fourth(s.layoutOf)
	if math.Abs(f.same-same) > 0.05*same+4*f.errSame || math.Abs(f.other-other) > 0.05*other+4*f.errOth || f.errSame > 0.2*same {
		t.Errorf("traces %v +- %v and %v +- %v, want %v and %v", f.same, f.errSame, f.other, f.errOth, same, other)
	}
}
