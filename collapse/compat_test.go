package collapse

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

	"github.com/collapsar/collapsar/features"
)

// TestCompatDumps compares every script with its formulas evaluated in float64 by an independent program, on feature
// dumps that lie beside the repository where it is developed.
func TestCompatDumps(t *testing.T) {
	text, err := os.ReadFile("../../shared/reference/metrics.json")
	if err != nil {
		t.Skip("no reference values beside the repository")
	}
	var reference map[string]struct {
		Compat map[string]map[string]map[string]any `json:"_compat_float64"` // layer, script, quantity
	}
	if err := json.Unmarshal(text, &reference); err != nil {
		t.Fatal(err)
	}
	// What rounding alone decides is given a reason here; the other program prints what it finds.
	rounding := map[[3]string]Reason{
		{"edge_equal_means.npz", "papyan", "Sw_invSb"}:               RankDeficient,
		{"edge_equal_means.npz", "rhubarb", "nc1_svd"}:               RankDeficient,
		{"edge_zero_mean_row.npz", "papyan", "Sw_invSb"}:             RankDeficient,
		{"edge_zero_mean_row.npz", "rhubarb", "nc1_svd"}:             RankDeficient,
		{"edge_zero_mean_row.npz", "papyan", "cos_M"}:                ZeroNormMean,
		{"edge_zero_mean_row.npz", "rhubarb", "nc2g_dist"}:           ZeroNormMean,
		{"edge_zero_mean_row.npz", "rhubarb", "nc2g_log"}:            ZeroNormMean,
		{"edge_zero_mean_row.npz", "lpm", "features_avg_cos"}:        ZeroNormMean,
		{"edge_zero_mean_row.npz", "lpm", "features_std_cos"}:        ZeroNormMean,
		{"edge_zero_mean_row.npz", "lpm", "features_avg_cos_to_etf"}: ZeroNormMean,
		{"edge_d1.npz", "rhubarb", "nc2g_log"}:                       CoincidentDirections,
	}
	// In synth_shift_f64 an offset of 1e4 lies under a spread of 1e-3: W mu + b, which is 0, is left with the rounding of its
	// parts, and distances expanded as |h|^2 - 2 h.mu + |mu|^2, as the other program has them, have no digits: 45 of 600 rows
	// agree there, by differences 60.
	rounded := map[[3]string]float64{
		{"synth_shift_f64.npz", "zhu", "Wh_b_relation_metric"}:  1e-8,
		{"synth_shift_f64.npz", "zhou", "Wh_b_relation_metric"}: 1e-8,
		{"synth_shift_f64.npz", "rhubarb", "nc4_agree"}:         0.025 + 1e-12,
	}
	worst := map[string]float64{}
	compared := 0
	for file, want := range reference {
		if want.Compat == nil {
			continue
		}
		set, err := features.Open(filepath.Join("../../shared/data/features", file), features.Options{})
		if err != nil {
			t.Fatal(err)
		}
		report, err := Measure(context.Background(), set, Options{Compat: Scripts()})
		set.Close()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		tolerance := 1e-9
		switch file {
		case "mnist_minority_collapse.npz":
			tolerance = 1e-7
		case "synth_shift_f32.npz", "synth_shift_f64.npz":
			tolerance = 1e-6
		}
		for _, r := range report.Results {
			for _, s := range scripts {
				quantities := want.Compat[r.Layer][s.name]
				for q, got := range r.Compat[s.name] {
					value, isNumber := quantities[q].(float64)
					if reason, ok := rounding[[3]string{file, s.name, q}]; ok {
						if got.Reason != reason {
							t.Errorf("%s %s %s: %v, expected %s", file, s.name, q, got, reason)
						}
						continue
					}
					if quantities["_error"] != nil && got.Defined() {
						continue // the program gives up as a whole
					}
					if isNumber != got.Defined() {
						t.Errorf("%s %s %s %s: %v, expected %v", file, r.Layer, s.name, q, got, quantities[q])
						continue
					}
					if !isNumber {
						t.Logf("%s %s %s %s: %v for %v", file, r.Layer, s.name, q, got.Reason, quantities[q])
						continue
					}
					compared++
					absolute := math.Abs(got.Number - value)
					relative := absolute / math.Abs(value)
					if absolute <= 1e-12 || absolute <= rounded[[3]string{file, s.name, q}] {
						continue
					}
					worst[s.name] = max(worst[s.name], relative/tolerance)
					if relative > tolerance {
						t.Errorf("%s %s %s %s: %v, expected %v, relative error %.2g", file, r.Layer, s.name, q, got.Number, value, relative)
					}
				}
				for q := range quantities {
					if _, ok := r.Compat[s.name][q]; !ok && q != "_error" {
						t.Errorf("%s %s: no %s", file, s.name, q)
					}
				}
			}
		}
	}
	for name, e := range worst {
		t.Logf("%s: largest error %.2g of what is allowed", name, e)
	}
	t.Logf("%d numbers compared", compared)
}

// imitateRows measures rows under all scripts.
func imitateRows(t *testing.T, rows []float64, d int, labels []int64, c *features.Classifier, o Options) *Result {
	t.Helper()
	set, err := features.From(rows, d, labels, c)
	if err != nil {
		t.Fatal(err)
	}
	o.Compat = Scripts()
	report, err := Measure(context.Background(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	return report.Results[0]
}

// twoClasses are rows about (1, 0, 0), along the first axis, and twice as many about (-1, 0, 0), along the second.
const spreadA, spreadB = 0.5, 0.25

var (
	twoRows = []float64{
		1 + spreadA, 0, 0, 1 - spreadA, 0, 0,
		-1, spreadB, 0, -1, -spreadB, 0, -1, spreadB, 0, -1, -spreadB, 0,
	}
	twoLabels = []int64{0, 0, 1, 1, 1, 1}
	twoWeight = features.Classifier{Classes: 2, Dim: 3, Weights: []float64{2, 0, 0, -1, 1, 0}, Bias: []float64{0, 3}, HasBias: true}
)

// TestCompatByHand checks quantities in which the scripts differ from one another on rows where all of them are fractions.
func TestCompatByHand(t *testing.T) {
	const a2, b2 = spreadA * spreadA, spreadB * spreadB
	margin := func(x, y float64) float64 { // of a row at (x, y, 0), from the mean of all rows at (-1/3, 0, 0)
		own, other := 2*x, -x+y
		if x < 0 {
			own, other = other, own
		}
		return (own - other) / math.Hypot(x+1./3, y) / math.Sqrt(2.5)
	}
	margins := (margin(1+spreadA, 0) + margin(1-spreadA, 0) + 2*margin(-1, spreadB) + 2*margin(-1, -spreadB)) / 6
	loss := func(x, y, e0, e1 float64) float64 {
		z0, z1 := 2*x-e0, -x+y+3-e1
		return z0*z0 + z1*z1
	}
	losses := (loss(1+spreadA, 0, 1, 0) + loss(1-spreadA, 0, 1, 0) + 2*loss(-1, spreadB, 0, 1) + 2*loss(-1, -spreadB, 0, 1)) / 6
	want := map[string]map[string]float64{
		"papyan": {"Sw_invSb": a2 / 3, "norm_M_CoV": 0, "norm_W_CoV": (2 - math.Sqrt2) / math.Sqrt2 / (1 + math.Sqrt2/2),
			"cos_M": 0, "cos_W": 1 - 1/math.Sqrt2, "W_M_dist": 2 - math.Sqrt(3), "NCC_mismatch": 1. / 6},
		"han": {"MSE_wd_features": (losses + 2.5e-4*(6+9)) / 2},
		"zhu": {"collapse_metric": a2 / 3 / (10. / 9) / 2, "Wh_b_relation_metric": math.Sqrt(104) / 3},
		"zhou": {"collapse_metric": a2 / 3 / (10. / 9) / 2, "Wh_b_relation_metric": math.Sqrt(104) / 3, "ETF_metric": 0,
			"WH_relation_metric": math.Sqrt(2 - 6/math.Sqrt(10)), "avg_cos_margin": margins},
		"rhubarb": {"nc1_pinv": a2 / 6, "nc1_svd": a2 / 6, "nc1_quot": a2/3 + 2*b2/3, "nc1_cdnv": (a2 + b2) / 8, "nc2_etf_err": 0,
			"nc2g_dist": 0, "nc2g_log": 0, "nc3u_uni_dual": 0.5, "nc4_agree": 1},
		"lpm": {"avg_square_feature_norm": (a2 + b2 + 20./9) / 2, "features_norm_cov": 1. / 3, "features_avg_cos": -1,
			"weights_avg_cos": -1 / math.Sqrt2, "weights_norm_cov": (2 - math.Sqrt2) / (2 + math.Sqrt2),
			"dual_distance_square": 2 - 2*(2*4./3+2./3)/math.Sqrt(6*20./9)},
	}
	reasons := map[string]map[string]Reason{
		"rhubarb": {"nc5_ood_dev": NeedsOOD},
		"lpm":     {"features_avg_cos_small": TooFewClasses, "weights_norm_cov_small": TooFewClasses},
	}
	for _, o := range []Options{{}, {GlobalMean: "sample"}, {Precision: "float32"}, {RankTol: 0.5}} {
		r := imitateRows(t, twoRows, 3, twoLabels, &twoWeight, o)
		for script, quantities := range want {
			for q, w := range quantities {
				got := r.Compat[script][q]
				tolerance := 1e-14
				if script == "han" && o.Precision == "float32" {
					tolerance = 1e-6
				}
				if !got.Defined() || math.Abs(got.Number-w) > tolerance*max(1, w) {
					t.Errorf("%+v: %s %s: %v, expected %v", o, script, q, got, w)
				}
			}
		}
		for script, quantities := range reasons {
			for q, w := range quantities {
				if got := r.Compat[script][q]; got.Reason != w {
					t.Errorf("%s %s: %v, expected %s", script, q, got, w)
				}
			}
		}
		if len(r.Notes) != len(scripts) {
			t.Errorf("%d notes", len(r.Notes))
		}
	}
}

// TestCompatAbsent adds a row of W without samples: a script has no means then, or a zero mean.
func TestCompatAbsent(t *testing.T) {
	c := features.Classifier{Classes: 3, Dim: 3, Weights: append(slices.Clone(twoWeight.Weights), 0, 0, 1), Bias: make([]float64, 3)}
	r := imitateRows(t, twoRows, 3, twoLabels, &c, Options{})
	const a2, b2 = spreadA * spreadA, spreadB * spreadB
	for q, w := range map[string]float64{"nc1_quot": (a2 + 2*b2) / 3 / (2. / 3), "nc1_pinv": a2 / 3 / (2. / 3) / 3,
		"nc1_cdnv": ((a2+b2)/8 + a2/2 + b2/2) / 3, "nc3u_uni_dual": 1} {
		if got := r.Compat["rhubarb"][q]; !got.Defined() || math.Abs(got.Number-w) > 1e-14 {
			t.Errorf("rhubarb %s: %v, expected %v", q, got, w)
		}
	}
	if got := r.Compat["rhubarb"]["nc1_svd"]; got.Reason != RankDeficient {
		t.Errorf("nc1_svd of three means on a line: %v", got)
	}
	for _, at := range []string{"papyan Sw_invSb", "papyan NCC_mismatch", "han LNC1", "zhu collapse_metric", "zhou nuclear_metric", "lpm dual_distance"} {
		script, q, _ := strings.Cut(at, " ")
		if got := r.Compat[script][q]; got.Reason != AbsentClasses {
			t.Errorf("%s: %v", at, got)
		}
	}
	for _, at := range []string{"papyan cos_W", "zhu ETF_metric", "zhou ETF_metric", "lpm weights_avg_cos"} {
		script, q, _ := strings.Cut(at, " ")
		if got := r.Compat[script][q]; !got.Defined() {
			t.Errorf("%s: %v", at, got)
		}
	}
}

// TestCompatUndefined goes through the reasons that belong to a whole file. Every quantity is always there.
func TestCompatUndefined(t *testing.T) {
	one := imitateRows(t, []float64{1, 2, 3}, 1, []int64{0, 0, 0}, nil, Options{})
	line := imitateRows(t, []float64{1, 1.5, 2, 2.5, 4, 5}, 1, []int64{0, 0, 1, 1, 2, 2}, nil, Options{})
	for _, s := range scripts {
		for _, q := range s.quantities {
			q, needsW := strings.CutPrefix(q, "*")
			want := NeedsTwoClasses
			if needsW {
				want = NeedsClassifier
			}
			if got, ok := one.Compat[s.name][q]; !ok || got.Reason != want {
				t.Errorf("%s %s of one class: %v, expected %s", s.name, q, got, want)
			}
		}
		if n := len(s.quantities); len(one.Compat[s.name]) != n || len(line.Compat[s.name]) != n {
			t.Errorf("%s: %d and %d quantities, expected %d", s.name, len(one.Compat[s.name]), len(line.Compat[s.name]), n)
		}
	}
	for _, v := range []Value{line.Compat["papyan"]["Sw_invSb"], line.Compat["rhubarb"]["nc1_svd"]} {
		if v.Reason != TooManyClasses {
			t.Errorf("three classes on a line: %v", v)
		}
	}
}

// TestCompatBalanced: with equally many rows in every class han's parts add up, and the global means agree.
func TestCompatBalanced(t *testing.T) {
	for _, d := range []int{7, 900} { // more rows than dimensions, and fewer
		testCompatBalanced(t, d)
	}
}

func testCompatBalanced(t *testing.T, d int) {
	rows, labels, c := randomRows(600, d, 5, func(i int) int64 { return int64(i % 5) })
	r := imitateRows(t, rows, d, labels, c, Options{})
	h := r.Compat["han"]
	sum := h["LNC1"].Number + h["LNC23"].Number + h["Lperp"].Number
	if total := h["MSE_wd_features"].Number; math.Abs(sum-total) > 1e-13*total {
		t.Errorf("parts add up to %v, total %v", sum, total)
	}
	p, z, b := r.Compat["papyan"]["Sw_invSb"].Number/5, r.Compat["zhu"]["collapse_metric"].Number, r.Compat["rhubarb"]["nc1_svd"].Number
	if math.Abs(p-z) > 1e-13*z || math.Abs(b-z) > 1e-13*z || math.Abs(r.Metrics["nc1"].Number-z) > 1e-13*z {
		t.Errorf("nc1 %v: papyan %v, zhu %v, rhubarb %v", r.Metrics["nc1"].Number, p, z, b)
	}
}

// TestCompatWorkers: the bits do not depend on the number of goroutines.
func TestCompatWorkers(t *testing.T) {
	rows, labels, c := randomRows(9000, 7, 5, func(i int) int64 { return int64(i % 9 / 2) })
	one := imitateRows(t, rows, 7, labels, c, Options{Workers: 1})
	many := imitateRows(t, rows, 7, labels, c, Options{Workers: 5})
	if !reflect.DeepEqual(one.Compat, many.Compat) {
		t.Errorf("1 worker: %v\n5 workers: %v", one.Compat, many.Compat)
	}
}

func randomRows(n, d, k int, label func(i int) int64) (rows []float64, labels []int64, c *features.Classifier) {
	rng := rand.New(rand.NewPCG(1, 2))
	c = &features.Classifier{Classes: k, Dim: d, Weights: make([]float64, k*d), Bias: make([]float64, k)}
	for i := range c.Weights {
		c.Weights[i] = rng.NormFloat64()
	}
	for i := range c.Bias {
		c.Bias[i] = rng.NormFloat64()
	}
	for i := range n {
		y := label(i)
		labels = append(labels, y)
		for j := range d {
			rows = append(rows, c.Weights[int(y)*d+j]+0.3*rng.NormFloat64())
		}
	}
	return rows, labels, c
}
