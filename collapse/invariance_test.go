package collapse_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/collapsar/collapsar/collapse"
)

// invariances says what leaves each metric of the default set as it is. s: features scaled, the classifier fixed; S: features
// scaled and W divided by the same; r: all rotated; t: all shifted, the bias made up for it; A: any invertible linear map, W by
// its inverse. Every metric bears another order of the rows, other names of the classes, and every row twice.
var invariances = map[string]string{
	"nc1": "srt", "nc1_svd": "srt", "nc1_quotient": "srt", "nc1_class_max": "srt", "within_fraction": "srt", "cdnv_mean": "srt", "cdnv_max": "srt",

	"nc2_equinorm": "srt", "nc2_equiangle": "srt", "nc2_max_angle": "srt", "nc2_cos_mean": "srt", "nc2_cos_max": "srt", "nc2_etf": "srt",
	"gnc2_dist_mean": "srt", "gnc2_dist_var": "srt", "gnc2_log_mean": "srt", "gnc2_log_var": "srt", "gnc2_log_cov": "srt", "gnc2_riesz_mean": "srt", "gnc2_min_angle": "srt",

	"nc2w_equinorm": "sSrt", "nc2w_equiangle": "sSrt", "nc2w_max_angle": "sSrt", "nc2w_cos_mean": "sSrt", "nc2w_cos_max": "sSrt", "nc2w_etf": "sSrt",
	"nc2w_etf_centred": "sSrt", "nc2w_offset": "sSrt",

	"nc3_distance": "sSrt", "nc3_alignment": "sSrt", "nc3_alignment_min": "sSrt", "nc3_uniform": "sSrt", "nc3_etf": "sSrtA", "nc3_etf_centred": "sSrtA",
	"nc3_bias": "SrtA", "nc3_bias_centred": "SrtA", "nc3_scale": "rt",

	"nc4_disagreement": "Srt", "ncc_error": "srt", "classifier_error": "SrtA", "ce_loss": "SrtA",
	"margin_min": "SrtA", "margin_mean": "SrtA", "margin_normalised": "Sr", "cos_margin_min": "sSrt", "cos_margin_mean": "sSrt",

	"nc1_test": "srt", "nc1_quotient_test": "srt", "cdnv_test_mean": "srt", "cdnv_test_max": "srt",
	"test_collapse_strong": "srt", "test_collapse_weak": "srt", "test_collapse_strong_quotient": "srt", "test_collapse_weak_quotient": "srt",
	"nc4_disagreement_test": "Srt", "ncc_error_test": "srt", "classifier_error_test": "SrtA", "ce_loss_test": "SrtA",
	"class_separation_r2": "sSr", "class_separation_r2_test": "sSr", "nc5_orthodev": "sSr",

	"sb_rank": "srtA", "sb_condition": "srt", "erank_means": "srt", "srank_means": "srt", "pr_means": "srt",
	"erank_weights": "sSrt", "srank_weights": "sSrt", "global_mean_ratio": "sSr",

	"imbalance_ratio": "sSrtA", "minority_cos_mean": "srt", "majority_cos_mean": "srt", "minority_cos_w": "sSrt", "majority_cos_w": "sSrt", "minority_angle_w": "sSrt",
	"minority_norm_ratio_mean": "srt", "minority_norm_ratio_w": "sSrt",

	"polytope_simplex": "srt", "polytope_orthoplex": "srt", "polytope_cube": "srt", "polytope_w_simplex": "sSrt", "polytope_w_orthoplex": "sSrt", "polytope_w_cube": "sSrt",
}

// A moved copy of the data, and the kind of invariance that it shows ("" shows that of every metric).
type motion struct {
	kind string
	data *data
}

// over applies a linear map to all rows.
func (d *data) over(f func(rows []float64) []float64) *data {
	c := *d
	c.rows, c.testRows, c.oodRows = f(d.rows), f(d.testRows), f(d.oodRows)
	return &c
}

func scaled(a float64) func([]float64) []float64 {
	return func(v []float64) []float64 {
		out := make([]float64, len(v))
		for i, x := range v {
			out[i] = a * x
		}
		return out
	}
}

func motions(d *data, scale float64, shift float64, rng *rand.Rand) []motion {
	dim, k := d.dim, d.classes()
	out := []motion{{"s", d.over(scaled(scale))}}

	c := d.over(scaled(scale))
	c.w = scaled(1 / scale)(d.w)
	out = append(out, motion{"S", c})

	q := rotation(rng, dim)
	rotate := func(v []float64) []float64 { return times(v, dim, q) }
	c = d.over(rotate)
	c.w = rotate(d.w)
	out = append(out, motion{"r", c})

	to := make([]float64, dim)
	for j := range to {
		to[j] = shift * rng.NormFloat64()
	}
	c = d.over(func(v []float64) []float64 {
		v = clone(v)
		for i := range v {
			v[i] += to[i%dim]
		}
		return v
	})
	c.b = clone(d.b)
	for i := range c.b {
		c.b[i] -= inner(d.w[i*dim:(i+1)*dim], to)
	}
	out = append(out, motion{"t", c})

	stretch, p := make([]float64, dim), rotation(rng, dim)
	for j := range stretch {
		stretch[j] = 0.5 + 1.5*rng.Float64()
	}
	linear := func(power float64) func(v []float64) []float64 {
		return func(v []float64) []float64 {
			v = times(v, dim, q)
			for i := range v {
				v[i] *= math.Pow(stretch[i%dim], power)
			}
			return times(v, dim, p)
		}
	}
	c = d.over(linear(1))
	c.w = linear(-1)(d.w)
	out = append(out, motion{"A", c})

	// Other names: class c becomes perm[c].
	perm := rng.Perm(k)
	rename := func(labels []int64) []int64 {
		out := slices.Clone(labels)
		for i, y := range out {
			out[i] = int64(perm[y])
		}
		return out
	}
	copied := *d
	c = &copied
	c.labels, c.testLabels = rename(d.labels), rename(d.testLabels)
	c.w, c.b = make([]float64, len(d.w)), make([]float64, k)
	for i, to := range perm {
		copy(c.w[to*dim:(to+1)*dim], d.w[i*dim:(i+1)*dim])
		c.b[to] = d.b[i]
	}
	out = append(out, motion{"", c})

	// Every row twice, in another order.
	again := func(rows []float64, labels []int64) (r []float64, y []int64) {
		n := len(rows) / dim
		for _, i := range rng.Perm(2 * n) {
			r = append(r, rows[i%n*dim:(i%n+1)*dim]...)
			if labels != nil {
				y = append(y, labels[i%n])
			}
		}
		return r, y
	}
	twice := *d
	c = &twice
	c.rows, c.labels = again(d.rows, d.labels)
	c.testRows, c.testLabels = again(d.testRows, d.testLabels)
	c.oodRows, _ = again(d.oodRows, nil)
	return append(out, motion{"", c})
}

func TestInvariances(t *testing.T) {
	ids, _ := collapse.Match([]string{"default"})
	for _, id := range ids {
		if _, ok := invariances[id]; !ok {
			t.Errorf("%s is not in the table of invariances", id)
		}
	}
	if len(invariances) != len(ids) {
		t.Errorf("%d metrics in the table, %d in the default set", len(invariances), len(ids))
	}
	defined := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 8).Draw(t, "K")
		dim := rapid.IntRange(1, 9).Draw(t, "d")
		n := rapid.IntRange(2*k, 80).Draw(t, "N")
		spread := rapid.SampledFrom([]float64{0.01, 0.3, 1}).Draw(t, "spread")
		scale := rapid.SampledFrom([]float64{1e-3, 0.3, 7, 1e4}).Draw(t, "scale")
		shift := rapid.SampledFrom([]float64{0.1, 1, 100}).Draw(t, "shift")
		mean := rapid.SampledFrom([]string{"class", "sample"}).Draw(t, "global mean")
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 5))
		d := gaussian(seed, n, dim, k, spread)
		if rapid.Bool().Draw(t, "minority") { // classes 0 and 1 have four times the rows
			for i := range 4 * n {
				at := i % (2 * k)
				if at%k > 1 {
					continue
				}
				for j := range dim {
					d.rows = append(d.rows, d.rows[at*dim+j]+spread*rng.NormFloat64())
				}
				d.labels = append(d.labels, d.labels[at])
			}
		}
		o := collapse.Options{Precision: "float64", GlobalMean: mean}
		base, err := collapse.Measure(t.Context(), d.set(forRapid{t}), o)
		if err != nil {
			t.Fatal(err)
		}
		want := base.Results[0].Metrics
		for _, id := range ids {
			defined[id] = defined[id] || want[id].Defined()
		}
		for _, m := range motions(d, scale, shift, rng) {
			moved, err := collapse.Measure(t.Context(), m.data.set(forRapid{t}), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if !strings.Contains(invariances[id], m.kind) {
					continue
				}
				w, g := want[id], moved.Results[0].Metrics[id]
				if w.Reason != g.Reason {
					t.Fatalf("%q: %s is %+v, was %+v", m.kind, id, g, w)
				}
				// Rounding is 1e-16 of the largest number in a sum: of the shift, of the logits, of the inverse of a
				// small direction. Metrics that are 0, as nc2 is of two means, are so to 1e-9 after a shift by 100.
				if e := math.Abs(w.Number - g.Number); e > 1e-8*math.Abs(w.Number)+1e-9 {
					t.Fatalf("%q: %s is %v, was %v", m.kind, id, g.Number, w.Number)
				}
			}
		}
	})
	for _, id := range ids {
		if !defined[id] {
			t.Errorf("%s was never defined", id)
		}
	}
}

// forRapid lets helpers for testing.TB take a *rapid.T.
type forRapid struct{ t *rapid.T }

func (f forRapid) Helper()           {}
func (f forRapid) Fatal(args ...any) { f.t.Fatal(args...) }

// With at least d+1 classes Sigma_B has full rank, and nc1 bears any linear map.
func TestNC1LinearWithManyClasses(t *testing.T) {
	for seed := range uint64(20) {
		d := gaussian(seed, 90, 4, 8, 0.4)
		rng := rand.New(rand.NewPCG(seed, 6))
		want := value(t, d.measure(t, collapse.Options{}), "nc1")
		for _, m := range motions(d, 2, 1, rng) {
			if m.kind == "A" {
				near(t, fmt.Sprintf("seed %d: nc1", seed), value(t, m.data.measure(t, collapse.Options{}), "nc1"), want, 1e-10, 0)
			}
		}
	}
}

// TestIdentities holds what is true of all data.
func TestIdentities(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 77))
		k, dim := 2+rng.IntN(9), 1+rng.IntN(12)
		balanced := seed%2 == 0
		d := gaussian(seed, 2*k+rng.IntN(100), dim, k, 0.05+rng.Float64())
		if balanced {
			d.rows, d.labels = d.testRows, d.testLabels
			d.rows, d.labels = d.rows[:len(d.labels)/k*k*dim], d.labels[:len(d.labels)/k*k]
		}
		r := d.measure(t, collapse.Options{})
		get := func(id string) float64 { return value(t, r, id) }
		what := func(s string) string { return fmt.Sprintf("seed %d, K=%d, d=%d: %s", seed, k, dim, s) }

		// The distance from a simplex is a matter of the spectrum of M.
		etf := get("nc2_etf")
		near(t, what("nc2_etf^2"), etf*etf, 2-2*math.Sqrt(get("pr_means")/float64(k-1)), 1e-12, 1e-13)
		if dim < k-1 {
			if floor := math.Sqrt(2 - 2*math.Sqrt(float64(dim)/float64(k-1))); etf < floor-1e-12 {
				t.Error(what("nc2_etf"), etf, "under its floor", floor)
			}
		}
		if c := get("nc2_cos_mean"); c < -1/float64(k-1)-1e-14 {
			t.Error(what("nc2_cos_mean"), c)
		}

		// Duality in terms of the product of W and M.
		m := centredMeans(d)
		trace, wm, ww, mm := 0.0, 0.0, inner(d.w, d.w), inner(m, m)
		for a := range k {
			for b := range k {
				g := inner(d.w[a*dim:(a+1)*dim], m[b*dim:(b+1)*dim])
				wm += g * g
				if a == b {
					trace += g
				}
			}
		}
		x := get("nc3_etf")
		near(t, what("nc3_etf^2"), x*x, 2-2*trace/math.Sqrt(float64(k-1)*wm), 1e-11, 1e-12)
		x = get("nc3_distance")
		near(t, what("nc3_distance^2"), x*x, 2-2*trace/math.Sqrt(ww*mm), 1e-11, 1e-12)
		near(t, what("nc3_scale"), get("nc3_scale"), math.Sqrt(ww/mm), 1e-12, 0)

		// The total variance about the mean of all rows.
		near(t, what("nc1_quotient / within_fraction"), get("nc1_quotient")/get("within_fraction"), totalVariance(d)/(mm/float64(k)), 1e-11, 0)
		if balanced {
			q := get("nc1_quotient")
			near(t, what("within_fraction"), get("within_fraction"), q/(1+q), 1e-12, 0)
		}
		if weak, strong := get("test_collapse_weak_quotient"), get("test_collapse_strong_quotient"); weak > strong*(1+1e-12) {
			t.Error(what("test_collapse_weak_quotient"), weak, "above strong", strong)
		}
		sample := d.measure(t, collapse.Options{GlobalMean: "sample"})
		if s, c := value(t, sample, "nc1"), get("nc1"); s > c*(1+1e-9) {
			t.Error(what("nc1 by sample"), s, "above that by class", c)
		}
		if balanced {
			for _, id := range []string{"nc1", "nc2_etf", "nc3_distance", "sb_condition"} {
				near(t, what("balanced, by sample: "+id), value(t, sample, id), get(id), 1e-9, 1e-12)
			}
		}
	}
	// On an exact simplex nc1 is the part of nc1_quotient that lies in the span of the means.
	rng := rand.New(rand.NewPCG(6, 6))
	for _, k := range []int{2, 3, 6, 9} {
		const dim, sigma = 11, 0.25
		means := times(corners(k, dim, 2, 0.5), dim, rotation(rng, dim))
		r := star(means, dim, sigma).measure(t, collapse.Options{})
		q := value(t, r, "nc1_quotient")
		near(t, "nc1", value(t, r, "nc1"), float64(k-1)/float64(k)*float64(k-1)/dim*q, 1e-12, 0)
		near(t, "cdnv_mean", value(t, r, "cdnv_mean"), float64(k-1)/float64(2*k)*q, 1e-12, 0)
		if v := value(t, r, "nc1"); v >= q {
			t.Errorf("nc1 %v, nc1_quotient %v", v, q)
		}
	}
}

// centredMeans is M by its definition.
func centredMeans(d *data) []float64 {
	k := d.classes()
	m, n := make([]float64, k*d.dim), make([]float64, k)
	for i, y := range d.labels {
		n[y]++
		for j, v := range d.row(i) {
			m[int(y)*d.dim+j] += v
		}
	}
	centre := make([]float64, d.dim)
	for i := range m {
		m[i] /= n[i/d.dim]
		centre[i%d.dim] += m[i] / float64(k)
	}
	for i := range m {
		m[i] -= centre[i%d.dim]
	}
	return m
}

func totalVariance(d *data) float64 {
	mean := make([]float64, d.dim)
	for i, v := range d.rows {
		mean[i%d.dim] += v / float64(d.n())
	}
	sum := 0.0
	for i, v := range d.rows {
		sum += (v - mean[i%d.dim]) * (v - mean[i%d.dim])
	}
	return sum / float64(d.n())
}
