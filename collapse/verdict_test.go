package collapse_test

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
)

// cloud is n rows a class about the corners of a simplex at distance 1 in d >= k dimensions, with the corners as classifier.
func cloud(seed uint64, k, d, n int, spread float64) *data {
	rng := rand.New(rand.NewPCG(seed, 3))
	out := &data{dim: d, w: make([]float64, k*d), b: make([]float64, k)}
	for c := range k {
		out.w[c*d+c%d] = math.Sqrt(0.5)
	}
	for i := range k * n {
		c := i % k
		out.labels = append(out.labels, int64(c))
		for j := range d {
			out.rows = append(out.rows, out.w[c*d+j]+spread*rng.NormFloat64())
		}
	}
	return out
}

func verdict(t *testing.T, d *data, o collapse.Options) *collapse.Verdict {
	t.Helper()
	v := d.measure(t, o).Verdict
	if _, err := json.Marshal(v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerdictOfPerfectSimplex(t *testing.T) {
	d := cloud(1, 10, 32, 40, 0)
	for i := range d.rows {
		d.rows[i] = d.rows[i]*1.7 + 0.3 // neither is exact in float32
	}
	for c := range d.b {
		d.b[c] = -0.3 * math.Sqrt(0.5)
	}
	d.narrow = true
	v := verdict(t, d, collapse.Options{})
	if v.Whole != collapse.Collapsed || !strings.HasPrefix(v.Sentence, "Collapsed in all 4 properties.") {
		t.Errorf("%s: %s", v.Whole, v.Sentence)
	}
}

// Three samples a class in many dimensions look collapsed whatever the network does.
func TestVerdictOfFewSamples(t *testing.T) {
	noise := cloud(2, 10, 4096, 3, 1)
	for i := range noise.rows {
		noise.rows[i] -= noise.w[int(noise.labels[i/4096])*4096+i%4096] // labels mean nothing
	}
	noise.w, noise.b = nil, nil
	for name, d := range map[string]*data{"noise": noise, "classes": cloud(2, 10, 4096, 3, 0.02)} {
		v := verdict(t, d, collapse.Options{})
		l := v.Levels.Variability
		if l.Verdict != collapse.Undecidable || l.Needed == nil || *l.Needed <= 3 || !strings.Contains(v.Sentence, "samples a class") {
			t.Errorf("%s: %s %v: %s", name, l.Verdict, l.Needed, v.Sentence)
		}
		if v.Whole != collapse.WholeUndecided && name == "noise" {
			t.Errorf("%s: %s", v.Whole, v.Sentence)
		}
	}
}

func TestVerdictOfShapes(t *testing.T) {
	two := verdict(t, cloud(3, 2, 8, 300, 0.01), collapse.Options{})
	if two.Levels.Simplex.Verdict != collapse.Vacuous || two.Whole != collapse.Collapsed {
		t.Errorf("two classes: %s: %s", two.Levels.Simplex.Verdict, two.Sentence)
	}
	many := cloud(4, 10, 64, 60, 0.01)
	flat := &data{dim: 5, labels: many.labels, w: make([]float64, 50), b: make([]float64, 10)}
	rng := rand.New(rand.NewPCG(4, 4))
	for i := range flat.w {
		flat.w[i] = rng.NormFloat64()
	}
	for i := range flat.labels {
		for j := range 5 {
			flat.rows = append(flat.rows, flat.w[int(flat.labels[i])*5+j]+0.01*rng.NormFloat64())
		}
	}
	r := flat.measure(t, collapse.Options{})
	l := r.Verdict.Levels.Simplex
	if l.Verdict != collapse.Impossible || l.Bound == nil || *l.Bound <= 0 || *l.Plain < *l.Bound || !strings.Contains(l.Reason, "gnc2") || !r.Metrics["gnc2_log_cov"].Defined() {
		t.Errorf("ten classes in five dimensions: %+v", l)
	}
	near(t, "bound", *l.Bound, math.Sqrt(2-2*math.Sqrt(5.0/9)), 1e-12, 0)
	bare := cloud(5, 4, 8, 50, 0.01)
	bare.w, bare.b = nil, nil
	v := verdict(t, bare, collapse.Options{})
	if v.Whole != collapse.Collapsed || v.Levels.Duality.Verdict != collapse.Absent || v.Levels.Centre.Verdict != collapse.Absent {
		t.Errorf("without a classifier: %s", v.Sentence)
	}
	one := &data{dim: 2, rows: []float64{1, 2, 3, 4, 5, 7}, labels: []int64{0, 0, 0}}
	if v := verdict(t, one, collapse.Options{}); v.Whole != collapse.WholeUndecided || v.Levels.Variability.Verdict != collapse.Vacuous {
		t.Errorf("one class: %s", v.Sentence)
	}
	single := cloud(6, 5, 8, 20, 0.01)
	single.rows, single.labels = single.rows[:8*96], append(slices.Clone(single.labels[:95]), 4)
	for i := range single.labels[:95] {
		if single.labels[i] == 4 {
			single.labels[i] = 3
		}
	}
	if v := verdict(t, single, collapse.Options{}); !slices.Equal(v.LeftOut, []int64{4}) || v.Levels.Simplex.Value == nil {
		t.Errorf("a class of one sample: left out %v: %s", v.LeftOut, v.Sentence)
	}
	if r := cloud(7, 3, 4, 10, 0.1).measure(t, collapse.Options{NoVerdict: true}); r.Verdict != nil {
		t.Error("a verdict that was not asked for")
	}
}

// Levels mean the same for every number of classes, dimensions and samples, whatever the units.
func TestLevelsAreComparable(t *testing.T) {
	for _, c := range [][3]int{{2, 4, 2000}, {10, 16, 400}, {10, 256, 400}, {40, 64, 100}} {
		d := cloud(8, c[0], c[1], c[2], 0.05)
		v := verdict(t, d, collapse.Options{})
		near(t, "variability", *v.Levels.Variability.Value, 0.05, 0.03, 0)
		near(t, "nc1", *v.Levels.NC1.Value, 0.05, 0.04, 0)
		for i := range d.rows {
			d.rows[i] *= 1000
		}
		for i := range d.b {
			d.w[i] *= 1 // the classifier's length does not matter
		}
		scaled := verdict(t, d, collapse.Options{})
		near(t, "variability in other units", *scaled.Levels.Variability.Value, *v.Levels.Variability.Value, 1e-9, 0)
		near(t, "its upper limit", *scaled.Levels.Variability.High, *v.Levels.Variability.High, 1e-5, 0)
		near(t, "simplex in other units", *scaled.Levels.Simplex.High, *v.Levels.Simplex.High, 1e-9, 1e-12)
	}
}

// Neither workers nor the cut into chunks change a bit; the seed changes what is drawn, not what is found.
func TestVerdictSameBits(t *testing.T) {
	d := cloud(9, 7, 40, 2000, 0.1)
	d.narrow = true
	var first string
	for _, o := range []collapse.Options{{Workers: 1}, {Workers: 3}, {Workers: 8}} {
		text, err := json.Marshal(verdict(t, d, o))
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(text)
		}
		if string(text) != first {
			t.Errorf("%d workers: %s\nwant %s", o.Workers, text, first)
		}
	}
	other := verdict(t, d, collapse.Options{Seed: 5})
	again := verdict(t, d, collapse.Options{})
	if reflect.DeepEqual(other.Levels.Variability, again.Levels.Variability) {
		t.Error("the seed draws nothing")
	}
	near(t, "variability of another seed", *other.Levels.Variability.Value, *again.Levels.Variability.Value, 1e-3, 0)
}

// The verdicts on trained networks that the project's data have.
func TestVerdictOfNetworks(t *testing.T) {
	measure := func(name string) *collapse.Verdict {
		path := filepath.Join(dumpFolder, name)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("no %s", path)
		}
		set, err := features.Open(path, features.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		report, err := collapse.Measure(context.Background(), set, collapse.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Sentence() != report.Results[0].Verdict.Sentence {
			t.Error("the sentence of a file of one layer is that of the layer")
		}
		return report.Results[0].Verdict
	}
	v := measure("mnist_mlp_e120.npz")
	for _, c := range []struct {
		name string
		mark collapse.Mark
		at   float64
	}{{"variability", collapse.Holds, 0.032}, {"simplex", collapse.Fails, 0.206}, {"duality", collapse.Fails, 0.105}, {"centre", collapse.Holds, 0}} {
		if l := v.Levels.Level(c.name); l.Verdict != c.mark || math.Abs(*l.Value-c.at) > 5e-4 {
			t.Errorf("%s %v %s, want %v %s", c.name, *l.Value, l.Verdict, c.at, c.mark)
		}
	}
	for _, part := range []string{"Not collapsed: 2 of 4", "3.2 %", "20.6 %", "10.5 %", "always picks the nearest"} {
		if !strings.Contains(v.Sentence, part) {
			t.Errorf("sentence without %q: %s", part, v.Sentence)
		}
	}
	v = measure("mnist_minority_collapse.npz")
	if v.Whole != collapse.NotCollapsed || v.Levels.Variability.Verdict != collapse.Undecidable || !strings.Contains(v.Sentence, "classes 5 and 7, 6 and 7 coincide") {
		t.Errorf("minority collapse: %s: %s", v.Whole, v.Sentence)
	}
}
