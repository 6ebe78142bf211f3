package collapse

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"testing"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/moments"
)

var (
	simulate = flag.Int("simulate", 0, "repetitions of every cell of the simulated truth; prints a table")
	cells    = flag.String("cells", "*", "glob over the cells that are simulated")
)

// A world has known levels. Classes lie about the corners of a simplex at distance 1, moved at random by bend.
type world struct {
	k, d, n int
	v       float64 // variability
	D, U    float64 // distances of means and classifier that are aimed at; D = 0 is an exact simplex
	unequal bool    // axes of the noise log-normal, of its own in every class
	tails   bool    // the noise has axes of its own in k+1 dimensions and is alike in the others, so that those need not be drawn
}

func (w world) String() string {
	kind := "equal"
	if w.unequal {
		kind = "unequal"
	}
	return fmt.Sprintf("K=%d d=%d n=%d v=%g D=%g %s", w.k, w.d, w.n, w.v, w.D, kind)
}

// head is how many dimensions the means have, and axes are drawn for.
func (w world) head() int {
	if w.tails {
		return w.k + 1
	}
	return w.d
}

// fixed is what all samples of a world have in common.
type fixed struct {
	means, axes, weights []float64 // k x head
	rest                 []float64 // k, spread in each of the other dimensions
	levels               [3]float64
}

// bisect finds x in (0, high) with f(x) = y, f increasing.
func bisect(high, y float64, f func(float64) float64) float64 {
	low := 0.0
	for range 60 {
		if m := (low + high) / 2; f(m) < y {
			low = m
		} else {
			high = m
		}
	}
	return high
}

func normals(r *rand.Rand, n int, scale float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = scale * r.NormFloat64()
	}
	return out
}

// moved is a + x b, its rows centred.
func moved(k, d int, a []float64, x float64, b []float64) []float64 {
	out := slices.Clone(a)
	kernel.Axpy64(out, x, b)
	removeMean(out, k, d)
	return out
}

func apart(a, b []float64) float64 {
	return root(2 - 2*kernel.Dot64(a, b)/(norm(a)*norm(b)))
}

// draw makes the fixed part.
func (w world) draw(r *rand.Rand) *fixed {
	k, h := w.k, w.head()
	f := &fixed{means: make([]float64, k*h), axes: make([]float64, k*h), rest: make([]float64, k)}
	for c := range k { // corners of a simplex on k axes, or on Helmert's k-1 where there are fewer
		if h >= k {
			f.means[c*h+c] = math.Sqrt(0.5)
			continue
		}
		for j := range k - 1 {
			switch {
			case c <= j:
				f.means[c*h+j] = math.Sqrt(0.5) / math.Sqrt(float64((j+1)*(j+2)))
			case c == j+1:
				f.means[c*h+j] = -float64(j+1) * math.Sqrt(0.5) / math.Sqrt(float64((j+1)*(j+2)))
			}
		}
	}
	etf := func(m []float64) float64 { e, _ := geometry.New(k, h, m).ETFError(); return e }
	if w.D > 0 && k > 2 {
		by := normals(r, k*h, 1/math.Sqrt(float64(h)))
		f.means = moved(k, h, f.means, bisect(3, w.D, func(x float64) float64 { return etf(moved(k, h, f.means, x, by)) }), by)
	} else {
		removeMean(f.means, k, h)
	}
	by := normals(r, k*h, 1/math.Sqrt(float64(h)))
	f.weights = moved(k, h, f.means, bisect(3, w.U, func(x float64) float64 { return apart(f.means, moved(k, h, f.means, x, by)) }), by)
	f.levels = [3]float64{w.v, etf(f.means), apart(f.means, f.weights)}
	if k == 2 || w.D == 0 {
		f.levels[1] = 0
	}
	for i := range f.axes {
		f.axes[i] = 1
		if w.unequal {
			f.axes[i] = math.Exp(0.7 * r.NormFloat64())
		}
	}
	for c := range k {
		f.rest[c] = 1
		if w.unequal {
			f.rest[c] = math.Exp(0.7 * r.NormFloat64())
		}
	}
	total := 0.0
	for c := range k {
		for o := range k {
			if o != c {
				gap, along := 0.0, 0.0
				for j := range h {
					x := f.means[c*h+j] - f.means[o*h+j]
					gap += x * x
					along += x * x * f.axes[c*h+j] * f.axes[c*h+j]
				}
				total += along / gap / gap / float64(k*(k-1))
			}
		}
	}
	kernel.Scale64(f.axes, w.v/math.Sqrt(total))
	kernel.Scale64(f.rest, w.v/math.Sqrt(total))
	return f
}

// measure draws a sample of a world and measures it. In the other dimensions of a world with tails the noise is alike in all directions
// of a class. There the means' noise spans at most k of them, in which its Gram matrix is drawn (Bartlett 1933) and the
// residuals' parts too; of what is left only lengths and the residuals drawn by lot are ever used. The result has the
// distribution that it would have had if everything had been drawn.
func (w world) measure(r *rand.Rand, f *fixed) (*sample, error) {
	k, h, n := w.k, w.head(), w.n
	width, beyond := h, 0 // dimensions that are drawn of every row, and those beyond
	if w.tails {
		width = h + k
		beyond = w.d - width
	}
	rows, labels := make([]float64, k*n*width), make([]int64, k*n)
	for i := range labels {
		c, row := i%k, rows[i*width:(i+1)*width]
		labels[i] = int64(c)
		for j := range h {
			row[j] = f.means[c*h+j] + f.axes[c*h+j]*r.NormFloat64()
		}
		for j := h; j < width; j++ {
			row[j] = f.rest[c] * r.NormFloat64()
		}
	}
	tail := make([]float64, k)
	if w.tails {
		for c := range k {
			mean := make([]float64, width)
			for i := c; i < k*n; i += k {
				kernel.Axpy64(mean, 1/float64(n), rows[i*width:(i+1)*width])
			}
			for j := range k { // what the mean is to be
				x := 0.0
				switch {
				case j < c:
					x = r.NormFloat64()
				case j == c:
					x = math.Sqrt(chiSquare(r, float64(w.d-h-c)))
				}
				mean[h+j] -= x * f.rest[c] / math.Sqrt(float64(n))
			}
			for i := c; i < k*n; i += k {
				kernel.Axpy64(rows[i*width+h:(i+1)*width], -1, mean[h:])
			}
			tail[c] = f.rest[c] * f.rest[c] * chiSquare(r, float64((n-1)*beyond))
		}
	}
	pad := func(m []float64, from, to int) []float64 {
		out := make([]float64, k*to)
		for c := range k {
			copy(out[c*to:], m[c*from:(c+1)*from])
		}
		return out
	}
	set, err := features.From(rows, width, labels, &features.Classifier{Classes: k, Dim: width, Weights: pad(f.weights, h, width), Bias: make([]float64, k)})
	if err != nil {
		return nil, err
	}
	o := Options{Precision: "float64", Workers: 1}
	if err := o.resolve(); err != nil {
		return nil, err
	}
	m := measurement{ctx: context.Background(), set: set, opts: &o, scan: moments.ScanOptions{Workers: 1}}
	s, _, err := m.first(set.Layers[0].Train, "features")
	if err != nil {
		return nil, err
	}
	s.use(set.Classifier)
	s.choose()
	p := s.plan(true)
	s.d = w.d
	kernel.Add64(s.sum.Scatter, tail)
	if s.layoutOf = s.layout(); s.layoutOf != nil {
		p.Levels = s.layoutOf.plan
	}
	if s.pass, err = p.Collect(m.ctx, s.split, m.scan); err != nil {
		return nil, err
	}
	s.within = 0
	for c := range k {
		s.sum.Scatter[c] = s.pass.Class[c].Scatter + tail[c]
		s.within += s.sum.Scatter[c] / s.n
	}
	if w.tails {
		w.beyond(r, s, f, width, tail)
		s.means = geometry.New(k, w.d, pad(s.means.Data, width, w.d))
		s.class.present = geometry.New(k, w.d, pad(s.class.present.Data, width, w.d))
	}
	return s, nil
}

// beyond draws what the residuals drawn by lot are in the dimensions that were left out: centred over the rows of their class,
// of which the others have what is left of the class's scatter there.
func (w world) beyond(r *rand.Rand, s *sample, f *fixed, width int, tail []float64) {
	lots := moments.Lots(s.pass.Residuals)
	more, n := w.d-width, float64(w.n)
	for from := 0; from < len(lots); {
		to := from
		c := int(lots[from].Class)
		for to < len(lots) && int(lots[to].Class) == c {
			to++
		}
		m := float64(to - from)
		mean := normals(r, more, math.Sqrt(n-m)) // sum over the others
		parts := make([][]float64, to-from)
		for i := range parts {
			parts[i] = normals(r, more, 1)
			kernel.Add64(mean, parts[i])
		}
		kernel.Scale64(mean, 1/n)
		square, sum := 0.0, make([]float64, more)
		for _, x := range parts {
			kernel.Axpy64(x, -1, mean)
			kernel.Add64(sum, x)
			square += kernel.SumSquares64(x)
		}
		if n > m { // the others' residuals add up to -sum
			square += kernel.SumSquares64(sum) / (n - m)
			if n > m+1 {
				square += chiSquare(r, (n-m-1)*float64(more))
			}
		}
		scale := math.Sqrt(tail[c]/square) * s.layoutOf.plan.Scale[c]
		for i, x := range parts {
			row := make([]float32, w.d)
			copy(row, lots[from+i].Row)
			kernel.Scale64(x, scale)
			kernel.Narrow(row[width:], x)
			lots[from+i].Row = row
		}
		from = to
	}
	s.pass.Residuals = lots
}

// tally is what came of the repetitions for one level.
type tally struct {
	given, inside, below int
	sum, square          float64
}

func (a *tally) add(value, low, high *float64, truth float64) {
	if value == nil || high == nil {
		return
	}
	a.given++
	if *low <= truth && truth <= *high {
		a.inside++
	}
	if *high < truth {
		a.below++
	}
	a.sum += *value
	a.square += *value * *value
}

func (a *tally) coverage() float64 { return float64(a.inside) / float64(max(a.given, 1)) }

// bias is the mean value over the truth, less one, and its standard error.
func (a *tally) bias(truth float64) (b, se float64) {
	n := float64(max(a.given, 1))
	m := a.sum / n
	return m/truth - 1, math.Sqrt(max(0, a.square/n-m*m)/n) / truth
}

// A cell is what came of a world.
type cell struct {
	world
	truth  [3]float64
	levels [3]tally
	share  float64 // of noise in the squared distances, mean
	floor  float64 // of the simplex level, mean
	floors float64 // of the duality, mean
	times  int
}

func (w world) repeat(times int) (*cell, error) {
	if w.U == 0 {
		w.U = 0.3
	}
	f := w.draw(rand.New(rand.NewPCG(11, uint64(w.k*1000003+w.d*1009+w.n))))
	c := &cell{world: w, truth: f.levels, times: times}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var failed error
	next := 0
	for range 2 {
		wait.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= times {
					return
				}
				s, err := w.measure(rand.New(rand.NewPCG(uint64(i)+12, uint64(w.k*1000003+w.d*1009+w.n))), f) // 11 made the world
				if err != nil {
					failed = err
					return
				}
				l := &s.verdict(nil).Levels
				mu.Lock()
				for j, name := range []string{"variability", "simplex", "duality"} {
					x := l.Level(name)
					c.levels[j].add(x.Value, x.Low, x.High, c.truth[j])
				}
				if x := l.Variability.NoiseShare; x != nil {
					c.share += *x / float64(times)
				}
				if x := l.Simplex.Floor; x != nil {
					c.floor += *x / float64(times)
				}
				if x := l.Duality.Floor; x != nil {
					c.floors += *x / float64(times)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return c, failed
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
		{k: 2, d: 2, n: 50, v: 0.05}, {k: 4, d: 3, n: 30, v: 0.1, D: 0.2}, {k: 10, d: 32, n: 40, v: 0.03, D: 0.1},
		{k: 10, d: 32, n: 100, v: 0.1, unequal: true, D: 0.2}, {k: 30, d: 64, n: 20, v: 0.05, D: 0.2},
		{k: 10, d: 32, n: 200, v: 0.3, unequal: true, D: 0.5},                       // curvature counts
		{k: 10, d: 512, n: 20, v: 0.03, D: 0.2, tails: true},                        // few dimensions drawn, and
		{k: 10, d: 64, n: 20, v: 0.1, D: 0.5, tails: true},                          // the same world
		{k: 10, d: 64, n: 20, v: 0.1, D: 0.5}, {k: 5, d: 16, n: 5, v: 0.03, D: 0.2}, // with all of them
		{k: 10, d: 16, n: 2, v: 0.01, D: 0.2}, {k: 10, d: 16, n: 3, v: 0.02, D: 0.2}, // residuals depend on each other
	} {
		c, err := w.repeat(times)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range c.levels {
			name := Properties()[i]
			if a.given < times || c.truth[i] == 0 {
				if c.truth[i] > 0 {
					t.Errorf("%v: %s given %d times of %d", w, name, a.given, times)
				}
				continue
			}
			b, se := a.bias(c.truth[i])
			if math.Abs(b) > 0.02+4*se {
				t.Errorf("%v: %s off by %.3f +- %.3f of %.4g", w, name, b, se, c.truth[i])
			}
			if low := 0.93 - 4*math.Sqrt(0.95*0.05/float64(times)); a.coverage() < low {
				t.Errorf("%v: %s covered %.3f of the times", w, name, a.coverage())
			}
		}
	}
}

// table prints how the levels do over a grid, and counts what is outside of what docs/verdict.md promises by more than chance explains.
func table(t *testing.T, most int) {
	fmt.Println("| K | d | n | noise | times | noise share | v | bias | covered | D | floor | bias | covered | U: bias | covered |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	var checks int
	var outside []string
	for _, w := range grid {
		if ok, err := path.Match(*cells, w.String()); err != nil || !ok {
			continue
		}
		times := min(most, w.most())
		c, err := w.repeat(times)
		if err != nil {
			t.Fatal(err)
		}
		kind := "equal"
		if w.unequal {
			kind = "unequal"
		}
		fmt.Printf("| %d | %d | %d | %s | %d | %.2g |", w.k, w.d, w.n, kind, times, c.share)
		for i, a := range c.levels {
			truth := c.truth[i]
			switch i {
			case 0:
				fmt.Printf(" %.3g |", truth)
			case 1:
				fmt.Printf(" %.3g | %.2g |", truth, c.floor)
			}
			if truth == 0 || a.given < times {
				fmt.Printf(" – | – |")
				continue
			}
			b, se := a.bias(truth)
			fmt.Printf(" %+.1f %% | %.1f %% |", 100*b, 100*a.coverage())
			fault := func(bad bool, what string) {
				if checks++; bad {
					outside = append(outside, fmt.Sprintf("%v: %s %s: %+.3f +- %.3f, covered %.3f", w, Properties()[i], what, b, se, a.coverage()))
				}
			}
			covered := func(p float64) float64 { return 3 * math.Sqrt(p*(1-p)/float64(times)) } // what chance may take away
			off := math.Abs(b) > 0.02+3*se
			switch i {
			case 0:
				fault(off, "bias")
				if w.n >= 20 && c.share < 0.2 {
					if low := 0.93; w.unequal {
						fault(a.coverage() < 0.90-covered(0.90), "coverage")
					} else {
						fault(a.coverage() < low-covered(low) || a.coverage() > 0.97+covered(0.97), "coverage")
					}
				}
			case 1:
				if truth >= 3*c.floor {
					fault(off, "bias")
				}
				fault(a.coverage() < 0.93-covered(0.93), "coverage")
			case 2:
				if truth >= 3*c.floors {
					fault(off, "bias")
				}
				fault(a.coverage() < 0.93-covered(0.93), "coverage")
			}
		}
		fmt.Println()
	}
	fmt.Printf("\n%d of %d checks outside\n", len(outside), checks)
	for _, o := range outside {
		fmt.Println(o)
	}
}

// grid is what docs/verdict.md shows: for every shape, spreads and distances from 0.1 % to 30 %, each with the others in turn.
var grid = func() (out []world) {
	sizes := []float64{0.001, 0.01, 0.03, 0.1, 0.3}
	for i, c := range [][3]int{
		{2, 2, 5}, {2, 2, 20}, {2, 64, 100}, {2, 512, 5000}, {2, 2048, 20}, {3, 8, 20}, {3, 512, 200}, {5, 5, 50},
		{10, 16, 2}, {10, 16, 5}, {10, 16, 20}, {10, 10, 1000}, {10, 64, 20}, {10, 64, 200},
		{10, 512, 20}, {10, 512, 500}, {10, 512, 5000}, {10, 2048, 20}, {10, 2048, 100},
		{30, 64, 20}, {30, 64, 200}, {30, 1024, 50}, {100, 100, 50}, {100, 128, 5}, {100, 128, 20}, {100, 512, 20},
		{300, 300, 5}, {300, 1024, 10}, {1000, 1024, 5}, {1000, 2048, 3},
	} {
		for j, v := range sizes {
			if c[0] == 1000 && j%2 != 0 {
				continue
			}
			for _, unequal := range []bool{false, true} {
				out = append(out, world{k: c[0], d: c[1], n: c[2], v: v, D: sizes[(i+2*j)%len(sizes)], unequal: unequal,
					tails: c[1] > 2*c[0]+2 && c[0]*c[1]*c[2] > 50000})
			}
		}
	}
	return out
}()

// most is how often a world of the grid is drawn where -simulate asks for more: a second each is too much for thousands.
func (w world) most() int {
	switch {
	case w.k >= 1000:
		return 30
	case w.k >= 300:
		return 250
	}
	return math.MaxInt
}
