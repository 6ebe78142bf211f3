package collapse

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"testing"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/kernel"
)

// A tagWorld has known levels: single tags about the corners of a simplex, tag sets about scaled sums of theirs, both moved at random.
type tagWorld struct {
	k, d, alone, n, most int     // tags, dimensions, rows of a single tag, of a set of several, largest set
	spread, bend         float64 // of the rows; of the means
	unequal              bool    // axes of the noise log-normal, of its own in every tag set
	times                int     // of the short form
}

func (w tagWorld) String() string {
	return fmt.Sprintf("K=%d d=%d n=%d,%d m=%d spread=%g bend=%g unequal=%v", w.k, w.d, w.alone, w.n, w.most, w.spread, w.bend, w.unequal)
}

// A tagTruth is what all samples of a world have in common.
type tagTruth struct {
	sets    [][]int
	means   []float64 // sets x d
	axes    []float64 // sets x d
	weights []float64
}

func (w tagWorld) truth(r *rand.Rand) *tagTruth {
	f := &tagTruth{}
	for bits := 1; bits < 1<<w.k; bits++ {
		var set []int
		for k := range w.k {
			if bits>>k&1 == 1 {
				set = append(set, k)
			}
		}
		if len(set) <= w.most && (len(set) == 1 || r.IntN(4) > 0) { // some do not occur
			f.sets = append(f.sets, set)
		}
	}
	u := normals(r, w.k*w.d, w.bend/math.Sqrt(float64(w.d)))
	for k := range w.k {
		u[k*w.d+k]++
	}
	scale := []float64{0, 1, .9, .85, .8}
	for _, set := range f.sets {
		row := normals(r, w.d, w.bend/math.Sqrt(float64(w.d)))
		if len(set) == 1 {
			row = u[set[0]*w.d : (set[0]+1)*w.d]
		} else {
			for _, k := range set {
				kernel.Axpy64(row, scale[len(set)], u[k*w.d:(k+1)*w.d])
			}
		}
		f.means = append(f.means, row...)
		for range w.d {
			a := w.spread
			if w.unequal {
				a *= math.Exp(0.7 * r.NormFloat64())
			}
			f.axes = append(f.axes, a)
		}
	}
	f.weights = normals(r, w.k*w.d, 0.2/math.Sqrt(float64(w.d)))
	kernel.Add64(f.weights, u)
	return f
}

// split draws rows about the means of a world.
func (w tagWorld) split(t *testing.T, r *rand.Rand, f *tagTruth) *features.Split {
	t.Helper()
	return w.set(t, r, f, 1).Layers[0].Train
}

// result measures rows about the means of a world, with or without their noise.
func (w tagWorld) result(t *testing.T, r *rand.Rand, f *tagTruth, noise float64) *Result {
	t.Helper()
	report, err := Measure(context.Background(), w.set(t, r, f, noise), Options{Workers: 1, Metrics: []string{"ml_scale_m*"}})
	if err != nil {
		t.Fatal(err)
	}
	return report.Results[0]
}

func (w tagWorld) set(t *testing.T, r *rand.Rand, f *tagTruth, noise float64) *features.Set {
	t.Helper()
	var rows []float64
	var tags [][]int
	for c, set := range f.sets {
		n := w.n
		if len(set) == 1 {
			n = w.alone
		}
		for range n {
			for j := range w.d {
				rows = append(rows, f.means[c*w.d+j]+noise*f.axes[c*w.d+j]*r.NormFloat64())
			}
			tags = append(tags, set)
		}
	}
	set, err := features.FromTags(rows, w.d, w.k, tags, &features.Classifier{Classes: w.k, Dim: w.d, Weights: f.weights, Bias: make([]float64, w.k)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// variability is the level of the world, from its definition.
func (w tagWorld) variability(f *tagTruth) float64 {
	n, total := len(f.sets), 0.0
	for c := range n {
		for o := range n {
			if o == c {
				continue
			}
			gap, along := 0.0, 0.0
			for j := range w.d {
				x, a := f.means[c*w.d+j]-f.means[o*w.d+j], f.axes[c*w.d+j]
				gap += x * x
				along += x * x * a * a
			}
			total += along / (gap * gap) / float64(n*(n-1))
		}
	}
	return math.Sqrt(total)
}

var tagWorlds = []tagWorld{
	{k: 4, d: 8, alone: 20, n: 20, most: 2, spread: .03, bend: .05, times: 150},
	{k: 5, d: 16, alone: 50, n: 20, most: 3, spread: .1, bend: .2, times: 80},
	{k: 5, d: 16, alone: 50, n: 20, most: 3, spread: .1, bend: .2, unequal: true, times: 80},
	{k: 8, d: 32, alone: 60, n: 15, most: 2, spread: .05, bend: 0, times: 60},
	{k: 5, d: 64, alone: 100, n: 40, most: 2, spread: .02, bend: .6, times: 60},
	{k: 5, d: 16, alone: 100, n: 100, most: 4, spread: .1, bend: .3},
	{k: 5, d: 16, alone: 20, n: 10, most: 3, spread: .2, bend: .3},
	{k: 5, d: 16, alone: 20, n: 10, most: 3, spread: .05, bend: .1, unequal: true},
	{k: 8, d: 128, alone: 40, n: 20, most: 3, spread: .05, bend: .1},
	{k: 8, d: 128, alone: 40, n: 20, most: 3, spread: .05, bend: .1, unequal: true},
	{k: 4, d: 256, alone: 20, n: 20, most: 2, spread: .1, bend: .1},
	{k: 10, d: 32, alone: 150, n: 30, most: 2, spread: .05, bend: .02},
	{k: 10, d: 32, alone: 60, n: 10, most: 3, spread: .05, bend: .02},
	{k: 10, d: 32, alone: 60, n: 10, most: 3, spread: .05, bend: .02, unequal: true},
}

// Levels of tag sets against worlds of which they are known: no bias, and intervals that cover. -simulate prints a table of more.
func TestTagLevelsAgainstTruth(t *testing.T) {
	if testing.Short() && *simulate == 0 {
		t.Skip("short")
	}
	names := []string{"variability", "simplex", "duality", "tagwise", "ml_scale_m2"}
	if *simulate > 0 {
		fmt.Println("| K | d | n | m | noise | v | bias, covered | D | bias, covered | U | bias, covered | T | bias, covered | C_2 covered |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	}
	for i, w := range tagWorlds {
		times := w.times
		if *simulate > 0 {
			times = *simulate
		}
		if ok, _ := path.Match(*cells, w.String()); times == 0 || !ok {
			continue
		}
		f := w.truth(rand.New(rand.NewPCG(21, uint64(i))))
		exact := w.result(t, rand.New(rand.NewPCG(0, 0)), f, 0) // without noise, measured values are those of the world
		truth := []float64{w.variability(f), 0, 0, 0, exact.Metrics["ml_scale_m2"].Number}
		for j := 1; j < 4; j++ {
			truth[j] = *exact.Verdict.Levels.Level(names[j]).Plain
		}
		tallies := make([]tally, len(names))
		floors := make([]float64, 4)
		for at := range times {
			r := w.result(t, rand.New(rand.NewPCG(uint64(at), uint64(100+i))), f, 1)
			for j, name := range names[:4] {
				l := r.Verdict.Levels.Level(name)
				tallies[j].add(l.Value, l.Low, l.High, truth[j])
				if l.Floor != nil {
					floors[j] += *l.Floor / float64(times)
				}
			}
			v := r.Metrics["ml_scale_m2"]
			tallies[4].add(&v.Number, v.Low, v.High, truth[4])
		}
		if *simulate > 0 {
			kind := "equal"
			if w.unequal {
				kind = "unequal"
			}
			fmt.Printf("| %d | %d | %d, %d | 1-%d | %s |", w.k, w.d, w.alone, w.n, w.most, kind)
			for j := range 4 {
				b, _ := tallies[j].bias(truth[j])
				what := fmt.Sprintf("%+.1f %%", 100*b)
				if truth[j] < 3*floors[j] && j > 0 {
					what = "below 3 floors"
				}
				fmt.Printf(" %.3g | %s, %.1f %% |", truth[j], what, 100*tallies[j].coverage())
			}
			fmt.Printf(" %.1f %% |\n", 100*tallies[4].coverage())
		}
		for j, a := range tallies {
			if a.given < times*9/10 {
				continue
			}
			n := float64(a.given)
			if slack := 3 * math.Sqrt(.9*.1/n); a.coverage() < .9-slack {
				t.Errorf("%v: %s covered %.3f of %d times", w, names[j], a.coverage(), a.given)
			}
			if b, se := a.bias(truth[j]); j != 4 && (j == 0 || truth[j] > 3*floors[j]) && math.Abs(b) > .02+3*se {
				t.Errorf("%v: %s is off by %+.3f +- %.3f", w, names[j], b, se)
			}
		}
	}
}

// Means of tag sets that know nothing of their tags are as far from their sums as from others, and seldom below the quantile.
func TestTagwiseNull(t *testing.T) {
	const times = 300
	w := tagWorld{k: 6, d: 16, alone: 3, n: 3, most: 2, spread: 0}
	total, below := 0.0, 0
	for at := range times {
		r := rand.New(rand.NewPCG(uint64(at), 31))
		f := w.truth(r)
		f.means = normals(r, len(f.means), 1)
		l := w.result(t, r, f, 0).Verdict.Levels.Tagwise
		total += *l.Plain / times
		if *l.Plain < *l.NullLow {
			below++
		}
	}
	if math.Abs(total-1) > .03 || below > times/20 {
		t.Errorf("random means: %v on average, %d of %d below the 1 %% quantile", total, below, times)
	}
}
