package collapse_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/decode"
	"github.com/collapsar/collapsar/features"
)

// tagRows is rows with tags in memory.
type tagRows struct {
	dim, k int
	x      []float64
	tags   [][]int
	c      *features.Classifier
}

func (r *tagRows) measure(t *testing.T, o collapse.Options) *collapse.Result {
	t.Helper()
	set, err := features.FromTags(r.x, r.dim, r.k, r.tags, r.c)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	report, err := collapse.Measure(context.Background(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	return report.Results[0]
}

// rowsOf reads a split of a dump.
func rowsOf(t *testing.T, set *features.Set, split *features.Split) *tagRows {
	t.Helper()
	r := &tagRows{dim: split.Dim, k: split.Tags.Count, c: set.Classifier}
	for b, err := range split.Batches(context.Background(), 1000) {
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range b.Float32 {
			r.x = append(r.x, float64(v))
		}
		for _, y := range b.Labels {
			r.tags = append(r.tags, split.Tags.Sets[y])
		}
	}
	return r
}

func (r *tagRows) only(keep func(tags []int) bool) *tagRows {
	out := &tagRows{dim: r.dim, k: r.k, c: r.c}
	for i, tags := range r.tags {
		if keep(tags) {
			out.x, out.tags = append(out.x, r.x[i*r.dim:(i+1)*r.dim]...), append(out.tags, tags)
		}
	}
	return out
}

func tagReference(t *testing.T, into map[string]any) {
	t.Helper()
	text, err := os.ReadFile("../../shared/reference/multilabel.json")
	if err != nil {
		t.Skip("no reference values beside the repository")
	}
	if err := json.Unmarshal(text, &into); err != nil {
		t.Fatal(err)
	}
}

func dump(t *testing.T, name string) *features.Set {
	t.Helper()
	set, err := features.Open(filepath.Join("../../shared/data/features", name+".npz"), features.Options{})
	if err != nil {
		t.Skip("no feature dumps beside the repository")
	}
	t.Cleanup(func() { set.Close() })
	return set
}

// agree wants every number of the reference, and no other number than these and those that the reference lacks for a reason.
func agree(t *testing.T, r *collapse.Result, want map[string]any, tol float64) {
	t.Helper()
	for id, w := range want {
		v, ok := r.Metrics[id]
		x := w.(float64)
		if !ok || !v.Defined() || math.Abs(v.Number-x) > tol*max(1e-3, math.Abs(x)) {
			t.Errorf("%s is %v (%s), expected %v", id, v.Number, v.Reason, x)
		}
	}
	for id, v := range r.Metrics {
		if _, known := want[id]; v.Defined() && !known {
			t.Errorf("%s is %v, expected none", id, v.Number)
		}
	}
}

// All numbers of three trained networks, against a numpy implementation: whatever the precision, and with rows left out or
// given other labels by hand.
func TestMultiLabelReference(t *testing.T) {
	ref := map[string]any{}
	tagReference(t, ref)
	for _, name := range []string{"mlab_m12", "mlab_m123", "mlab_m12_relu"} {
		set := dump(t, name)
		report, err := collapse.Measure(context.Background(), set, collapse.Options{Compat: []string{"mlab"}})
		if err != nil {
			t.Fatal(err)
		}
		scripts := ref[name].(map[string]any)["_published_scripts"].(map[string]any)["mlab"].(map[string]any)
		for _, r := range report.Results {
			agree(t, r, ref[name].(map[string]any)[r.Split].(map[string]any), 1e-6)
			for q, v := range r.Compat["mlab"] {
				if w := scripts[r.Split].(map[string]any)[q].(float64); math.Abs(v.Number-w) > 1e-6*w {
					t.Errorf("%s %s: mlab %s is %v, expected %v", name, r.Split, q, v.Number, w)
				}
			}
		}
		single, err := collapse.Measure(context.Background(), set, collapse.Options{Precision: "float32"})
		if err != nil {
			t.Fatal(err)
		}
		agree(t, single.Results[0], ref[name].(map[string]any)["train"].(map[string]any), 2e-5)
	}
	set := dump(t, "mlab_m12")
	all := rowsOf(t, set, set.Layers[0].Train)
	agree(t, all.only(func(tags []int) bool { return len(tags) > 1 || tags[0] != 3 }).measure(t, collapse.Options{}), ref["mlab_m12__drop_single_3"].(map[string]any), 1e-6)
	agree(t, all.only(func(tags []int) bool { return len(tags) == 2 }).measure(t, collapse.Options{}), ref["mlab_m12__pairs_only"].(map[string]any), 1e-6)
	for i := range 5 {
		all.tags[i], all.tags[5+i] = nil, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	}
	agree(t, all.measure(t, collapse.Options{}), ref["mlab_m12__first5_empty_next5_full"].(map[string]any), 1e-6)
}

// small draws rows about the tag-wise average.
func small(seed uint64, noise float64) *tagRows {
	rng := rand.New(rand.NewPCG(seed, 7))
	r := &tagRows{dim: 7, k: 5, c: &features.Classifier{Classes: 5, Dim: 7, Bias: make([]float64, 5)}}
	u := make([]float64, 5*7)
	for i := range u {
		u[i] = rng.NormFloat64()
		r.c.Weights = append(r.c.Weights, u[i]+noise*rng.NormFloat64())
	}
	for range 300 {
		var tags []int
		for k := range 5 {
			if rng.IntN(3) == 0 {
				tags = append(tags, k)
			}
		}
		row := make([]float64, 7)
		scale := []float64{1, 1, .9, .8, .7, .6}[len(tags)]
		for j := range row {
			for _, k := range tags {
				row[j] += scale * u[k*7+j]
			}
			row[j] += noise * rng.NormFloat64()
		}
		r.x, r.tags = append(r.x, row...), append(r.tags, tags)
	}
	return r
}

// The bits do not depend on the number of workers, and the order of rows shows in rounding only.
func TestMultiLabelOrder(t *testing.T) {
	r := small(1, .3)
	for range 5 { // several blocks
		r.x, r.tags = append(r.x, r.x...), append(r.tags, r.tags...)
	}
	one := r.measure(t, collapse.Options{Workers: 1})
	if many := r.measure(t, collapse.Options{Workers: 5}); !reflect.DeepEqual(one.Metrics, many.Metrics) {
		t.Error("results depend on the number of workers")
	}
	rng := rand.New(rand.NewPCG(3, 4))
	rng.Shuffle(len(r.tags), func(i, j int) {
		r.tags[i], r.tags[j] = r.tags[j], r.tags[i]
		for c := range r.dim {
			r.x[i*r.dim+c], r.x[j*r.dim+c] = r.x[j*r.dim+c], r.x[i*r.dim+c]
		}
	})
	shuffled := r.measure(t, collapse.Options{})
	for id, v := range one.Metrics {
		if w := shuffled.Metrics[id]; w.Reason != v.Reason || math.Abs(w.Number-v.Number) > 1e-11*max(1, math.Abs(v.Number)) {
			t.Errorf("%s: %v, shuffled %v", id, v, w)
		}
	}
}

// Rows on the tag-wise average itself show it: no spread, no angle, the scales that were put in, for the features and for
// what the classifier sees of them.
func TestTagwiseAverage(t *testing.T) {
	r := small(2, 0)
	m := r.measure(t, collapse.Options{}).Metrics
	for id, want := range map[string]float64{
		"ml_nc1_trace": 0, "ml_tagwise_angle_m2": 0, "ml_tagwise_angle_ratio_m3": 0, "ml_tagwise_angle_proj_m2": 0, "ml_tagwise_residual_m3": 0,
		"ml_scale_m2": .9, "ml_scale_m3": .8, "ml_scale_m4": .7, "ml_scale_proj_m3": .8, "ml_scale_spread_m2": 0, "ml_tagwise_covered_m4": 1, "ml_additive_r2_m2": 1,
	} {
		if v := m[id]; !v.Defined() || math.Abs(v.Number-want) > 1e-6 {
			t.Errorf("%s is %v, expected %v", id, v, want)
		}
	}
	// A shift of the features moves every sum of means, but not what is measured about means.
	shifted := small(2, 0)
	for i := range shifted.x {
		shifted.x[i] += 3
	}
	s := shifted.measure(t, collapse.Options{}).Metrics
	for _, id := range []string{"ml_nc1", "ml_nc2_single_etf", "ml_nc3_dual", "ml_additive_r2_m2"} {
		if math.Abs(s[id].Number-m[id].Number) > 1e-9 {
			t.Errorf("%s: %v, shifted %v", id, m[id], s[id])
		}
	}
	if s["ml_tagwise_angle_m2"].Number < 1 {
		t.Error("a shift leaves the tag-wise angle as it was")
	}
}

// Whatever a file lacks, each metric of each multiplicity is there, as a finite number or with a reason.
func TestMultiLabelGaps(t *testing.T) {
	whole := small(3, .3)
	no := func(*tagRows) {}
	for name, c := range map[string]struct {
		change func(*tagRows)
		id     string
		reason collapse.Reason
	}{
		"no classifier":  {func(r *tagRows) { r.c = nil }, "ml_margin_m2", collapse.NeedsClassifier},
		"zero weights":   {func(r *tagRows) { r.c.Weights = make([]float64, 35) }, "ml_nc2_w_etf", collapse.ZeroMatrix},
		"zero features":  {func(r *tagRows) { clear(r.x) }, "ml_nc1", collapse.BetweenZero},
		"one tag set":    {func(r *tagRows) { *r = *r.only(func(s []int) bool { return len(s) == 2 && s[0] == 1 && s[1] == 2 }) }, "ml_nc1", collapse.TooFewTagSets},
		"no single tags": {func(r *tagRows) { *r = *r.only(func(s []int) bool { return len(s) != 1 }) }, "ml_scale_m2", collapse.NoSingleTags},
		"all tags":       {func(r *tagRows) { r.tags[0] = []int{0, 1, 2, 3, 4} }, "ml_margin_m5", collapse.AllTags},
		"absent tag":     {func(r *tagRows) { *r = *r.only(func(s []int) bool { return len(s) < 3 && (len(s) == 0 || s[0] != 0) }) }, "ml_tagwise_covered_m2", ""},
		"as it is":       {no, "ml_additive_r2_m1", collapse.NoDegrees},
	} {
		r := &tagRows{whole.dim, whole.k, append([]float64(nil), whole.x...), append([][]int(nil), whole.tags...), &features.Classifier{
			Classes: 5, Dim: 7, Weights: append([]float64(nil), whole.c.Weights...), Bias: whole.c.Bias}}
		c.change(r)
		result := r.measure(t, collapse.Options{})
		if v := result.Metrics[c.id]; v.Reason != c.reason {
			t.Errorf("%s: %s is %v, expected the reason %q", name, c.id, v, c.reason)
		}
		var parsed struct {
			Labels         string
			Multiplicities []int
			Metrics        map[string]struct {
				Value  *float64
				Reason string
			}
		}
		text, err := json.Marshal(result)
		if err != nil || json.Unmarshal(text, &parsed) != nil || parsed.Labels != "multi" {
			t.Fatalf("%s: %v %s", name, err, parsed.Labels)
		}
		for _, m := range collapse.MetricsOf(result) {
			if v, ok := parsed.Metrics[m.ID]; !ok || (v.Value == nil) == (v.Reason == "") {
				t.Errorf("%s: %s: %v", name, m.ID, v)
			}
		}
		for _, m := range parsed.Multiplicities {
			if _, ok := parsed.Metrics["ml_nc1_m"+strconv.Itoa(m)]; !ok {
				t.Errorf("%s: nothing of %d tags", name, m)
			}
		}
	}
}

// Metrics of a multiplicity are found by its number or by M.
func TestMultiLabelNames(t *testing.T) {
	for id, ok := range map[string]bool{"ml_scale_mM": true, "ml_scale_m2": true, "ml_scale_m12": true, "ml_scale_m1": false, "ml_nc1": true, "ml_nc1_m1": true, "ml_nc1_m0": false, "ml_x": false} {
		if _, found := collapse.Lookup(id); found != ok {
			t.Errorf("%s: found %v", id, found)
		}
	}
	r := small(4, .3).measure(t, collapse.Options{Metrics: []string{"ml_nc1*", "ml_scale_m3"}})
	for id, ok := range map[string]bool{"ml_nc1": true, "ml_nc1_m2": true, "ml_scale_m3": true, "ml_scale_m2": false, "ml_set_error": false} {
		if v := r.Metrics[id]; (v.Reason == collapse.NotRequested) == ok {
			t.Errorf("%s: %v", id, v)
		}
	}
	if _, bad := collapse.Match([]string{"ml_*_m2", "ml_scale_m70", "mlx*"}); bad != "mlx*" {
		t.Errorf("unmatched %q", bad)
	}
}

// Every rule on the test rows of the networks, against numpy; prototypes by sorting agree with a search through all of them as
// often as they should.
func TestPredictReference(t *testing.T) {
	ref := map[string]any{}
	tagReference(t, ref)
	for _, name := range []string{"mlab_m12", "mlab_m123", "mlab_m12_relu"} {
		report, err := collapse.Measure(context.Background(), dump(t, name), collapse.Options{Predict: true, Metrics: []string{"ml_n_tagsets"}})
		if err != nil {
			t.Fatal(err)
		}
		want := ref[name].(map[string]any)
		check := func(what string, got any, want map[string]any) {
			text, _ := json.Marshal(got)
			have := map[string]float64{}
			if err := json.Unmarshal(text, &have); err != nil {
				t.Fatal(err)
			}
			for id, w := range want {
				if v, ok := have[id]; !ok || math.Abs(v-w.(float64)) > 1e-9 {
					t.Errorf("%s: %s: %s is %v, expected %v", name, what, id, v, w)
				}
			}
		}
		for i, split := range []string{"train_ranking", "test_ranking"} {
			check(split, report.Results[i].Predict.Ranking, want[split].(map[string]any))
		}
		test := report.Results[1].Predict
		for rule, w := range want["test_decoders"].(map[string]any) {
			if rule == "onn_euclid_exhaustive" {
				continue // the oracle of the test of package decode
			}
			check(rule, test.Rules[rule], w.(map[string]any))
		}
		parameters := want["decoder_parameters"].(map[string]any)
		for m, c := range test.Scale {
			if w := parameters["scale_fitted"].(map[string]any)["m"+m].(float64); math.Abs(c-w) > 1e-9 {
				t.Errorf("%s: scale of %s tags is %v, expected %v", name, m, c, w)
			}
		}
		if math.Abs(test.Square-parameters["r2"].(float64)) > 1e-9*test.Square {
			t.Errorf("%s: square %v, expected %v", name, test.Square, parameters["r2"])
		}
	}
}

// Real data as they are, without a classifier and with most tags never alone: every number that exists, and nothing else.
func TestMultiLabelRaw(t *testing.T) {
	ref := map[string]any{}
	tagReference(t, ref)
	for name, k := range map[string]int{"emotions": 6, "scene": 6, "yeast": 14} {
		f, err := os.Open("../../shared/data/multilabel/" + name + "-train.arff.gz")
		if err != nil {
			t.Skip("no tables beside the repository")
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		r, data := &tagRows{k: k}, false
		lines := bufio.NewScanner(z)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			line := strings.TrimSpace(lines.Text())
			if data && line != "" {
				cells := strings.Split(line, ",")
				r.dim = len(cells) - k
				var tags []int
				for i, c := range cells {
					v, err := strconv.ParseFloat(c, 64)
					switch {
					case err != nil:
						t.Fatal(err)
					case i < r.dim:
						r.x = append(r.x, v)
					case v > 0:
						tags = append(tags, i-r.dim)
					}
				}
				r.tags = append(r.tags, tags)
			}
			data = data || strings.EqualFold(line, "@data")
		}
		agree(t, r.measure(t, collapse.Options{}), ref[name+"_train_raw"].(map[string]any), 1e-6)
	}
}

// The model that is fitted decides like the prediction of the measurement, by every rule; without a classifier it has prototypes all
// the same.
func TestFitModel(t *testing.T) {
	ctx := context.Background()
	set, err := features.Open("../testdata/multilabel.npz", features.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	layer := &set.Layers[0]
	report, err := collapse.Measure(ctx, set, collapse.Options{Predict: true, Metrics: []string{"ml_n_tagsets"}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := collapse.FitModel(ctx, set, layer, collapse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	test := rowsOf(t, set, layer.Test)
	for _, rule := range decode.Rules() {
		out := make([]decode.Answer, len(test.tags))
		if err := m.Decode(test.x, rule, 0, out); err != nil {
			t.Fatal(err)
		}
		tally := decode.NewTally(test.k)
		for i := range out {
			tally.Add(out[i].Tags, test.tags[i])
		}
		if want := report.Results[1].Predict.Rules[rule.Name]; tally.Sets() != want {
			t.Errorf("%s: %v, the measurement has %v", rule.Name, tally.Sets(), want)
		}
	}
	layer.Classifier = nil
	bare, err := collapse.FitModel(ctx, set, layer, collapse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if bare.Prototypes == nil || len(bare.Prototypes.Scale) != 2 || bare.Check(decode.Rules()[0]) != nil || bare.Check(decode.Rules()[2]) == nil {
		t.Error("without a classifier:", bare.Prototypes)
	}
}

// Tag sets with too few rows are as if they were not there, and that is said.
func TestMinCount(t *testing.T) {
	r := small(5, .3)
	counts := map[string]int{}
	for _, tags := range r.tags {
		counts[fmt.Sprint(tags)]++
	}
	const least = 4
	with := r.measure(t, collapse.Options{MinCount: least})
	without := r.only(func(tags []int) bool { return len(tags) == 0 || counts[fmt.Sprint(tags)] >= least }).measure(t, collapse.Options{})
	for id, v := range without.Metrics {
		if w := with.Metrics[id]; w.Reason != v.Reason || math.Abs(w.Number-v.Number) > 1e-9*max(1, math.Abs(v.Number)) {
			t.Errorf("%s: %v, without the rows %v", id, w, v)
		}
	}
	said := 0
	for _, w := range with.Warnings {
		if w.Code == "rare_tag_sets" {
			said = w.Count
		}
	}
	rare := 0
	for key, n := range counts {
		if key != "[]" && n < least {
			rare++
		}
	}
	if rare == 0 || said != rare {
		t.Errorf("%d rare tag sets, said are %d", rare, said)
	}
	set, err := features.FromTags(r.x, r.dim, r.k, r.tags, r.c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := collapse.Measure(context.Background(), set, collapse.Options{MinCount: 1000}); !errors.Is(err, features.Empty) {
		t.Error(err)
	}
}
