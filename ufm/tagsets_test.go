package ufm

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
)

// multilabelReference is the part of ../shared/reference/multilabel.json about the model: formulas and minimisations in numpy.
type multilabelReference struct {
	Balanced []struct {
		K       int
		Counts  map[string]int
		LW      float64 `json:"lambda_W"`
		LH      float64 `json:"lambda_H"`
		Loss    string
		Optimum palReference
	} `json:"ufm_balanced"`
	Fixed []struct {
		K      int
		N      float64
		LH     float64 `json:"lambda_H"`
		A2     float64
		Margin map[string]float64
		Scale  map[string]float64 `json:"scale_C"`
	} `json:"ufm_fixed_etf"`
	Dimension []struct {
		K, D        int
		Counts      map[string]int
		Certificate float64
		Best        float64 `json:"best_minus_closed"`
	} `json:"ufm_feature_dimension"`
	Beyond map[string]struct {
		K       int
		TagSets [][]int `json:"tag_sets"`
		Counts  []float64
		LW      float64 `json:"lambda_W"`
		LH      float64 `json:"lambda_H"`
		LB      float64 `json:"lambda_b"`
		Value   float64 `json:"objective"`
		Bias    []float64
		Margin1 float64  `json:"margin_mean_m1"`
		Margin2 float64  `json:"margin_mean_m2"`
		Angle2  *float64 `json:"ml_tagwise_angle_m2"`
		Scale2  *float64 `json:"ml_scale_m2"`
		Spread2 *float64 `json:"ml_scale_spread_m2"`
	} `json:"ufm_beyond"`
	ReLU []struct {
		K         int
		Counts    map[string]int
		LW        float64 `json:"lambda_W"`
		LH        float64 `json:"lambda_H"`
		Candidate palReference
		Best      float64 `json:"best_found"`
	} `json:"ufm_relu"`
}

type palReference struct {
	N         float64
	Floor     float64
	Threshold float64 `json:"zero_threshold_lambda_W_lambda_H"`
	Zero      bool    `json:"collapsed_to_zero"`
	Value     float64 `json:"objective"`
	Loss      float64
	Margin    map[string]float64
	A2        float64            `json:"a2"`
	W2        float64            `json:"w_row_norm2"`
	H2        map[string]float64 `json:"h_norm2"`
	T         float64            `json:"common_constant"`
	Scale     map[string]float64 `json:"scale_C"`
}

func multilabel(t *testing.T) (ref multilabelReference) {
	t.Helper()
	data, err := os.ReadFile("../../shared/reference/multilabel.json")
	if err != nil {
		t.Skip("reference cases are not here: ", err)
	}
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	return ref
}

func setsOf(counts map[string]int) map[int]int {
	sets := map[int]int{}
	for m, n := range counts {
		k, _ := strconv.Atoi(m)
		sets[k] = n
	}
	return sets
}

// off compares to a relative tolerance, absolute below 1.
func off(t *testing.T, what string, have, want, tol float64) {
	t.Helper()
	if !(math.Abs(have-want) <= tol*max(1, math.Abs(want))) {
		t.Errorf("%s: %.15g, expected %.15g", what, have, want)
	}
}

func palProblem(K int, sets map[int]int, average bool, d int, lw, lh float64) Problem {
	return Problem{Loss: Loss{Kind: PickAllLabel, Classes: K, Sets: sets, Average: average}, Dim: d, W: Decay(lw), H: Decay(lh)}
}

func (want palReference) compare(t *testing.T, b *palBalanced) {
	t.Helper()
	off(t, "value", b.value, want.Value, 1e-9)
	off(t, "loss", b.loss, want.Loss, 1e-9)
	off(t, "floor", b.floor(), want.Floor, 1e-12)
	if b.trivial() != want.Zero {
		t.Errorf("zero: %v, expected %v", b.trivial(), want.Zero)
	}
	off(t, "a2", b.a2, want.A2, 1e-9)
	off(t, "w_row_norm2", b.a2*(b.K-1)/b.K, want.W2, 1e-9)
	if !want.Zero {
		off(t, "T", b.T, want.T, 1e-9)
	}
	for _, u := range b.all {
		m := strconv.Itoa(u.m)
		if g, ok := want.Margin[m]; ok && float64(u.m) < b.K {
			off(t, "margin "+m, u.margin, g, 1e-9)
			off(t, "|h|^2 "+m, b.norm2(u), want.H2[m], 1e-9)
		}
		if c, ok := want.Scale[m]; ok && !want.Zero && float64(u.m) < b.K {
			off(t, "scale "+m, b.scale(u), c, 1e-9)
		}
	}
}

// The margin law in all balanced cases of the reference, to 1e-9, and the search from five seeds, to 1e-8.
func TestBalancedTagSets(t *testing.T) {
	ref := multilabel(t)
	if len(ref.Balanced) != 75 {
		t.Fatalf("%d cases, expected 75", len(ref.Balanced))
	}
	for _, c := range ref.Balanced {
		p := palProblem(c.K, setsOf(c.Counts), c.Loss == "pal_mean", c.K, c.LW, c.LH)
		b, ok := p.palClosedForm()
		if !ok {
			t.Fatal("no closed form")
		}
		c.Optimum.compare(t, b)
		off(t, "threshold", b.threshold*b.threshold, c.Optimum.Threshold, 1e-9)
		s, err := p.Solve(context.Background(), SolveOptions{Seeds: 5})
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range s.Starts {
			off(t, "search", start.Value, c.Optimum.Value, 1e-8)
		}
		if t.Failed() {
			t.Fatalf("K %d, counts %v, lambda_W %v, lambda_H %v, %s", c.K, c.Counts, c.LW, c.LH, c.Loss)
		}
	}
}

// A fixed simplex: counts do not matter, so the closed form holds for any.
func TestFixedSimplexTagSets(t *testing.T) {
	check := func(K int, sets map[int]int, N, lh, a2 float64, margin, scale map[string]float64) {
		p := palProblem(K, sets, false, K, 0, lh)
		p.Classifier, p.W = Simplex, Sphere(a2*float64(K-1)/float64(K))
		b, ok := p.palClosedForm()
		if !ok {
			t.Fatal("no closed form")
		}
		off(t, "N", b.N, N, 0)
		for _, u := range b.all {
			off(t, "margin", u.margin, margin[strconv.Itoa(u.m)], 1e-9)
			off(t, "scale", b.scale(u), scale[strconv.Itoa(u.m)], 1e-9)
		}
	}
	lot := rand.New(rand.NewPCG(1, 2))
	var sets []TagSet
	for m := 1; m <= 3; m++ {
		for _, s := range subsets(4, m) {
			if lot.IntN(3) > 0 {
				sets = append(sets, TagSet{s, 1 + lot.IntN(9)})
			}
		}
	}
	p := Problem{Loss: Loss{Kind: PickAllLabel, Classes: 4, TagSets: sets}, Dim: 4, Classifier: Simplex, W: Sphere(1), H: Decay(2e-3)}
	b, _ := p.palClosedForm()
	s, err := p.Solve(context.Background(), SolveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	off(t, "search", s.Value, b.value, 1e-9)
	at, err := s.tagSets()
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range b.all {
		off(t, "margin of the search", at.Sizes[i].Margin, u.margin, 1e-6)
		if v := at.Sizes[i].Angle; v > 1e-4 {
			t.Errorf("the tag-wise average is off by %v degrees", v)
		}
	}
	ref := multilabel(t)
	counts := []map[int]int{{1: 5, 2: 5}, {1: 5, 2: 10}, {1: 900}} // any with N samples
	for i, c := range ref.Fixed {
		check(c.K, counts[i], c.N, c.LH, c.A2, c.Margin, c.Scale)
	}
}

// Counts of every kind, against minimisations in numpy: value, margins, bias, scales, and a certificate of 1.
func TestTagSetCounts(t *testing.T) {
	ref := multilabel(t)
	for name, c := range ref.Beyond {
		var sets []TagSet
		for i, s := range c.TagSets {
			sets = append(sets, TagSet{s, int(c.Counts[i])})
		}
		p := Problem{Loss: Loss{Kind: PickAllLabel, Classes: c.K, TagSets: sets}, Dim: c.K, W: Decay(c.LW), H: Decay(c.LH), Bias: DecayedBias, B: c.LB}
		s, err := p.Solve(context.Background(), SolveOptions{Seeds: 5})
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range s.Starts {
			off(t, name+" search", start.Value, c.Value, 1e-8)
		}
		at, err := s.tagSets()
		if err != nil {
			t.Fatal(err)
		}
		off(t, name+" certificate", at.Certificate.SpectralNorm/at.Certificate.Threshold, 1, 1e-4)
		if !at.Certificate.Global {
			t.Errorf("%s: not certified", name)
		}
		for k, b := range c.Bias {
			off(t, name+" bias", at.Bias[k], b, 1e-6)
		}
		off(t, name+" margin of singles", at.Sizes[0].Margin, c.Margin1, 1e-6)
		off(t, name+" margin of pairs", at.Sizes[1].Margin, c.Margin2, 1e-6)
		for _, v := range []struct {
			what string
			have float64
			want *float64
			tol  float64
		}{{"angle", at.Sizes[1].Angle, c.Angle2, 1e-4}, {"scale", at.Sizes[1].Scale, c.Scale2, 1e-6}, {"spread", at.Sizes[1].Spread, c.Spread2, 1e-6}} {
			if v.want != nil {
				off(t, name+" "+v.what, v.have, *v.want, v.tol)
			}
		}
		if !slices.IsSortedFunc(at.Sets, func(a, b TagSetPart) int {
			if a.Least < b.Least-1e-6 {
				return -1
			}
			return 0
		}) {
			t.Errorf("%s: tag sets do not stand weakest first", name)
		}
	}
}

// Fewer dimensions than a simplex needs: the certificate is far above 1.
func TestTooFewDimensionsTagSets(t *testing.T) {
	for _, c := range multilabel(t).Dimension {
		p := palProblem(c.K, setsOf(c.Counts), false, c.D, 5e-3, 2e-4)
		p.Bias = FreeBias
		s, err := p.Solve(context.Background(), SolveOptions{Seeds: 8})
		if err != nil {
			t.Fatal(err)
		}
		cert, err := p.Certify(s.Point)
		if err != nil {
			t.Fatal(err)
		}
		full := palProblem(c.K, setsOf(c.Counts), false, c.K, 5e-3, 2e-4)
		b, _ := full.palClosedForm()
		off(t, "above the closed form", s.Value-b.value, c.Best, 1e-6)
		ratio := cert.SpectralNorm / cert.Threshold
		if c.D == c.K-2 && ratio <= 2 {
			t.Errorf("K %d, d %d: certificate %v, expected above 2", c.K, c.D, ratio)
		}
		if c.D >= c.K-1 {
			off(t, "certificate", ratio, 1, 1e-4)
		}
	}
}

// Features that are not negative: the orthogonal frame, and where a search finds less.
func TestNonNegativeTagSets(t *testing.T) {
	for _, c := range multilabel(t).ReLU {
		p := palProblem(c.K, setsOf(c.Counts), false, c.K, c.LW, c.LH)
		p.NonNegative = true
		b, ok := p.palClosedForm()
		if !ok {
			t.Fatal("no closed form")
		}
		c.Candidate.compare(t, b)
		if c.K > 6 {
			continue
		}
		s, err := p.Solve(context.Background(), SolveOptions{Seeds: 8})
		if err != nil {
			t.Fatal(err)
		}
		if s.Value > b.value+1e-8 { // with three tags of four or five there is less symmetric ground below
			t.Errorf("K %d, %v: search ends at %v, above the candidate %v", c.K, c.Counts, s.Value, b.value)
		}
	}
}

// The worked example: K = 4, five samples of each single tag and of each pair.
func TestWorkedTagSets(t *testing.T) {
	var sets []TagSet
	for m := 1; m <= 2; m++ {
		for _, s := range subsets(4, m) {
			sets = append(sets, TagSet{s, 5})
		}
	}
	p := Problem{Loss: Loss{Kind: PickAllLabel, Classes: 4, TagSets: sets}, Dim: 9, W: Decay(5e-3), H: Decay(2e-4)}
	at, err := p.TagSets(context.Background(), SolveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !at.ClosedForm {
		t.Error("balanced tag sets are searched")
	}
	off(t, "t_1", at.Sizes[0].Margin, 5.656074, 1e-6)
	off(t, "t_2", at.Sizes[1].Margin, 5.075447, 1e-6)
	off(t, "C_2", at.Sizes[1].Scale, .897345, 1e-6)
	off(t, "|w|^2", at.Norms[0]*at.Norms[0], 3.065134, 1e-6)
	off(t, "value", at.Value, .904728, 1e-6)
	off(t, "floor", at.Floor, .831777, 1e-6)
	// The same by search, as one more sample without tags would be: N grows, nothing else.
	p.Loss.TagSets = append(p.Loss.TagSets, TagSet{nil, 1})
	p.W, p.H = Decay(5e-3*50/51), Decay(2e-4*50/51)
	with, err := p.TagSets(context.Background(), SolveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if with.ClosedForm {
		t.Error("a sample without tags counts as balanced")
	}
	off(t, "value with an empty tag set", with.Value, at.Value*50/51, 1e-9)
	off(t, "certificate", with.Certificate.SpectralNorm/with.Certificate.Threshold, 1, 1e-4)
	off(t, "C_2 with an empty tag set", with.Sizes[1].Scale, at.Sizes[1].Scale, 1e-6)
}

// Questions refuse what they cannot read.
func TestTagSetRefusals(t *testing.T) {
	for text, want := range map[string]string{
		`{"K": 3, "d": 3, "tag_sets": [{"tags": [0, 3], "count": 2}]`:                            "tag_sets[0]: [0 3], wanted increasing tags of 0..2",
		`{"K": 3, "d": 3, "tag_sets": [{"tags": [1], "count": 2}, {"tags": [1], "count": 4}]`:    "tag_sets[1]: [1] a second time",
		`{"K": 3, "d": 3, "tag_sets": [{"tags": [1], "count": 0}]`:                               "tag_sets[0].count: 0, wanted at least 1",
		`{"K": 3, "d": 3, "tag_sets": [{"tags": [0.5], "count": 1}]`:                             "tag_sets[0].tags[0]: 0.5, wanted the number of a tag, from 0 on",
		`{"K": 3, "d": 3, "tag_sets": [{"tags": [0], "count": 1}], "names": ["a", "b"]`:          "names: 2 names, wanted 3",
		`{"K": 3, "d": 3, "tag_sets": [{"tags": [0], "count": 1}], "samples_per_set": {"1": 3}`:  "samples_per_set: not together with tag_sets",
		`{"K": 5, "d": 3, "tag_sets": [{"tags": [0], "count": 1}, {"tags": [1, 2], "count": 1}]`: "d: 3, the theorem wants at least K-1 = 4",
	} {
		spec, err := ReadSpec([]byte(`{"problem": "pal", "params": ` + text + `, "lambda_W": 1e-3, "lambda_H": 1e-3, "bias": "none"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Answer(context.Background(), spec, Options{}); err == nil || len(err.Error()) < 5 || err.Error()[:min(len(err.Error()), 5+len(want))] != "pal: "+want {
			t.Errorf("%s: %v, expected %s", text, err, want)
		}
	}
}
