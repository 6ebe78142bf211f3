package collapse_test

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
)

// What four trained networks come to, property by property: collapsed in all four; variability gone and yet no tag-wise average; and
// nothing that holds of test rows.
func TestTagVerdictOfNetworks(t *testing.T) {
	for name, want := range map[string]map[string]collapse.Mark{
		"mlab_m12":  {"variability": collapse.Holds, "simplex": collapse.Holds, "duality": collapse.Holds, "tagwise": collapse.Holds},
		"mlab_m123": {"variability": collapse.Holds, "simplex": collapse.Holds, "duality": collapse.Holds, "tagwise": collapse.Holds},
		// The single-tag means are 12 % from a simplex, the rows of the classifier 2.4 %.
		"mlab_m12_relu": {"variability": collapse.Holds, "simplex": collapse.Fails, "duality": collapse.Fails, "tagwise": collapse.Fails},
	} {
		report, err := collapse.Measure(context.Background(), dump(t, name), collapse.Options{})
		if err != nil {
			t.Fatal(err)
		}
		train, test := report.Results[0].Verdict, report.Results[1].Verdict
		for property, mark := range want {
			if got := train.Levels.Level(property).Verdict; got != mark {
				t.Errorf("%s: %s %s, expected %s: %s", name, property, got, mark, train.Sentence)
			}
			if got := test.Levels.Level(property).Verdict; got == collapse.Holds {
				t.Errorf("%s: %s holds of the test rows: %s", name, property, test.Sentence)
			}
		}
		if report.Sentence() != train.Sentence {
			t.Errorf("%s: the file's sentence is not that of the training rows", name)
		}
		if name == "mlab_m12_relu" && (!strings.Contains(train.Sentence, "the rows of the classifier are within 2.4 %") || *train.Levels.TagwiseProjected.Value > 0.12) {
			t.Errorf("%s: %s", name, train.Sentence)
		}
		for id, v := range report.Results[0].Metrics {
			if strings.HasPrefix(id, "ml_scale_m") && (!v.Bounded || v.Low == nil || !(*v.Low < v.Number && v.Number < *v.High)) {
				t.Errorf("%s: %s without limits", name, id)
			}
		}
	}
}

// The plain level against its definition, by going through all other subsets of tags.
func TestTagwiseDefinition(t *testing.T) {
	r := small(11, .4)
	l := r.measure(t, collapse.Options{}).Verdict.Levels
	mean, rows := map[string][]float64{}, map[string]float64{}
	key := func(tags []int) string { b, _ := json.Marshal(tags); return string(b) }
	for i, tags := range r.tags {
		k := key(tags)
		if mean[k] == nil {
			mean[k] = make([]float64, r.dim)
		}
		rows[k]++
		for j := range r.dim {
			mean[k][j] += (r.x[i*r.dim+j] - mean[k][j]) / rows[k]
		}
	}
	sum := func(tags []int) []float64 {
		x := make([]float64, r.dim)
		for _, k := range tags {
			for j, v := range mean[key([]int{k})] {
				x[j] += v
			}
		}
		return x
	}
	dot := func(a, b []float64) (s float64) {
		for j := range a {
			s += a[j] * b[j]
		}
		return s
	}
	total, sizes := 0.0, 0.0
	for m := 2; m < r.k; m++ {
		var subsets [][]int
		for bits := range 1 << r.k {
			var tags []int
			for k := range r.k {
				if bits>>k&1 == 1 {
					tags = append(tags, k)
				}
			}
			if len(tags) == m {
				subsets = append(subsets, tags)
			}
		}
		xy, xx := 0.0, 0.0
		for _, s := range subsets {
			if mu := mean[key(s)]; mu != nil {
				xy, xx = xy+dot(sum(s), mu), xx+dot(sum(s), sum(s))
			}
		}
		own, other, n := 0.0, 0.0, 0.0
		for _, s := range subsets {
			mu := mean[key(s)]
			if mu == nil {
				continue
			}
			n++
			for _, o := range subsets {
				gap := 0.0
				for j, x := range sum(o) {
					gap += (mu[j] - xy/xx*x) * (mu[j] - xy/xx*x)
				}
				if slices.Equal(s, o) {
					own += gap
				} else {
					other += gap / float64(len(subsets)-1)
				}
			}
		}
		total, sizes = total+own/other, sizes+1
	}
	if want := math.Sqrt(total / sizes); math.Abs(*l.Tagwise.Plain-want) > 1e-12 {
		t.Errorf("plain level %v, by its definition %v", *l.Tagwise.Plain, want)
	}
	if *l.Tagwise.Value >= *l.Tagwise.Plain || *l.Tagwise.Low > *l.Tagwise.Value || *l.Tagwise.High < *l.Tagwise.Value {
		t.Errorf("level %+v", l.Tagwise)
	}
}

// Levels do not change with the scale, a turn, the order of rows or the number of workers; the tag-wise level of shifted features goes to that
// of no relation, for what all means have in common says nothing.
func TestTagLevelLaws(t *testing.T) {
	base := small(12, .2)
	want := base.measure(t, collapse.Options{Workers: 1}).Verdict
	compare := func(name string, r *tagRows, tol float64, o collapse.Options) {
		t.Helper()
		got := r.measure(t, o).Verdict
		for _, property := range collapse.Properties() {
			a, b := want.Levels.Level(property), got.Levels.Level(property)
			for _, field := range collapse.Fields() {
				x, _ := a.Field(field)
				y, _ := b.Field(field)
				if (x == nil) != (y == nil) || x != nil && math.Abs(*x-*y) > tol*max(1e-2, math.Abs(*x)) {
					t.Errorf("%s: %s %s: %v and %v", name, property, field, show(x), show(y))
				}
			}
		}
	}
	compare("workers", base, 0, collapse.Options{Workers: 5})
	larger := small(12, .2)
	for i := range larger.x {
		larger.x[i] *= 1024
	}
	compare("scaled", larger, 1e-6, collapse.Options{})
	turned := small(12, .2)
	turn := func(v []float64, d int) {
		for i := 0; i < len(v); i += d {
			v[i], v[i+1] = .6*v[i]-.8*v[i+1], .8*v[i]+.6*v[i+1]
		}
	}
	turn(turned.x, turned.dim)
	turn(turned.c.Weights, turned.dim)
	compare("turned", turned, 1e-5, collapse.Options{})
	shuffled := small(12, .2)
	rng := rand.New(rand.NewPCG(3, 4))
	rng.Shuffle(len(shuffled.tags), func(i, j int) {
		shuffled.tags[i], shuffled.tags[j] = shuffled.tags[j], shuffled.tags[i]
		for c := range shuffled.dim {
			shuffled.x[i*shuffled.dim+c], shuffled.x[j*shuffled.dim+c] = shuffled.x[j*shuffled.dim+c], shuffled.x[i*shuffled.dim+c]
		}
	})
	compare("shuffled", shuffled, 1e-5, collapse.Options{})
	shifted := small(12, .2)
	for i := range shifted.x {
		shifted.x[i] += 1e3
	}
	if v := shifted.measure(t, collapse.Options{}).Verdict.Levels.Tagwise; v.Verdict != collapse.Fails || *v.Value < .5 {
		t.Errorf("far from the origin: %+v", v)
	}
}

func show(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

// What a file lacks shows in the marks, and in words.
func TestTagVerdictGaps(t *testing.T) {
	few := func(r *tagRows) {
		*r = *r.only(func(s []int) bool { return len(s) != 1 })
	}
	for name, c := range map[string]struct {
		change   func(*tagRows)
		property string
		mark     collapse.Mark
		words    string
	}{
		"no classifier":        {func(r *tagRows) { r.c = nil }, "duality", collapse.Absent, "no classifier"},
		"only single tags":     {func(r *tagRows) { *r = *r.only(func(s []int) bool { return len(s) == 1 }) }, "tagwise", collapse.Vacuous, "nothing to average"},
		"no single tags":       {few, "tagwise", collapse.Undecidable, "no tag set has all its tags in rows of one tag"},
		"no single-tag means":  {few, "duality", collapse.Undecidable, "two tags with two rows of their own"},
		"classifier's simplex": {few, "simplex", collapse.Fails, ""},
		"one tag set":          {func(r *tagRows) { *r = *r.only(func(s []int) bool { return len(s) == 2 && s[0] == 1 && s[1] == 2 }) }, "variability", collapse.Vacuous, ""},
		"a row each": {func(r *tagRows) {
			seen := map[string]bool{}
			*r = *r.only(func(s []int) bool { b, _ := json.Marshal(s); ok := !seen[string(b)]; seen[string(b)] = true; return ok })
		}, "tagwise", collapse.Undecidable, "tag sets of two rows"},
		"coincident": {func(r *tagRows) {
			rng := rand.New(rand.NewPCG(5, 5))
			for i := range r.x {
				r.x[i] = rng.NormFloat64()
			}
		}, "variability", collapse.Undecidable, "the means of tag sets {"},
		"zero": {func(r *tagRows) { clear(r.x) }, "tagwise", collapse.Undecidable, "too few"},
	} {
		r := small(3, .1)
		c.change(r)
		v := r.measure(t, collapse.Options{}).Verdict
		if got := v.Levels.Level(c.property).Verdict; got != c.mark || !strings.Contains(v.Sentence, c.words) {
			t.Errorf("%s: %s %s, expected %s: %s", name, c.property, got, c.mark, v.Sentence)
		}
		if text, err := json.Marshal(v); err != nil || strings.Contains(string(text), "NaN") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r := small(3, .1).measure(t, collapse.Options{NoVerdict: true}); r.Verdict != nil {
		t.Error("a verdict that was not wanted")
	}
}

// Rows of one tag each, as tag sets, have the levels of classes.
func TestTagLevelsOfClasses(t *testing.T) {
	r := small(7, .1).only(func(s []int) bool { return len(s) == 1 })
	got := r.measure(t, collapse.Options{}).Verdict.Levels
	labels := make([]int64, len(r.tags))
	for i, s := range r.tags {
		labels[i] = int64(s[0])
	}
	set, err := features.From(r.x, r.dim, labels, r.c)
	if err != nil {
		t.Fatal(err)
	}
	report, err := collapse.Measure(context.Background(), set, collapse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := report.Results[0].Verdict.Levels
	for _, property := range []string{"variability", "spread", "simplex", "duality"} {
		for _, field := range collapse.Fields() {
			x, _ := want.Level(property).Field(field)
			y, _ := got.Level(property).Field(field)
			if (x == nil) != (y == nil) || x != nil && math.Abs(*x-*y) > 1e-5*math.Abs(*x)+1e-9 {
				t.Errorf("%s %s: %v, of classes %v", property, field, show(y), show(x))
			}
		}
	}
}
