package collapse_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/collapse"
)

// Data with known means and spread. About each mean lie 2d rows, one step of sigma away along every axis and back, so that
// Sigma_W is sigma^2/d times the identity. Where means and sigma are sums of few powers of two, all of this is exact.

// star puts such rows about k means.
func star(means []float64, dim int, sigma float64) *data {
	out := &data{dim: dim}
	for c := 0; c < len(means)/dim; c++ {
		for j := range dim {
			for _, s := range []float64{sigma, -sigma} {
				row := clone(means[c*dim : (c+1)*dim])
				row[j] += s
				out.rows = append(out.rows, row...)
				out.labels = append(out.labels, int64(c))
			}
		}
	}
	return out
}

// corners are k means r e_c in d dimensions, after an offset: a simplex whose edges are r sqrt 2 long.
func corners(k, dim int, r, offset float64) []float64 {
	m := make([]float64, k*dim)
	for i := range m {
		m[i] = offset
	}
	for c := range k {
		m[c*dim+c] += r
	}
	return m
}

// spanned are k centred means with given singular values along the first axes: M = Q' diag(s), Q the Helmert
// basis of the complement of (1, ..., 1).
func spanned(k, dim int, s []float64) []float64 {
	m := make([]float64, k*dim)
	for j, v := range s {
		n := math.Sqrt(float64((j + 1) * (j + 2)))
		for c := range j + 1 {
			m[c*dim+j] = v / n
		}
		m[(j+1)*dim+j] = -v * float64(j+1) / n
	}
	return m
}

func undefinedFor(t *testing.T, r *collapse.Result, reason collapse.Reason, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if v, ok := r.Metrics[id]; !ok || v.Reason != reason {
			t.Errorf("%s is %+v, want null for %s", id, v, reason)
		}
	}
}

func warned(t *testing.T, r *collapse.Result, codes ...string) {
	t.Helper()
	var got []string
	for _, w := range r.Warnings {
		got = append(got, w.Code)
		if w.Message == "" {
			t.Errorf("warning %s says nothing", w.Code)
		}
	}
	if !slices.Equal(got, codes) {
		t.Errorf("warnings %v, want %v", got, codes)
	}
}

// precisions of the second pass and what they keep of a closed form.
var precisions = map[string]float64{"float64": 1e-9, "auto": 1e-9, "float32": 3e-6}

// Means may differ 400-fold in size: the small directions count most in nc1, and a pseudo-inverse in float32 cuts them off.
func TestTrapMeansOfDifferentSize(t *testing.T) {
	const sigma = 1.0 / 64
	for _, ratio := range []float64{1.0 / 400, 1.0 / 400 / 400} {
		s := []float64{1, 0.5, ratio, 3 * ratio}
		want := 0.0
		for _, v := range s {
			want += sigma * sigma / 8 / v / v
		}
		for precision, tol := range precisions {
			r := star(spanned(5, 8, s), 8, sigma).measure(t, collapse.Options{Precision: precision})
			near(t, precision+" nc1", value(t, r, "nc1"), want, max(tol, 4e-15/ratio), 0)
			near(t, precision+" nc1_svd", value(t, r, "nc1_svd"), want, max(tol, 4e-15/ratio), 0)
			near(t, precision+" sb_condition", value(t, r, "sb_condition"), 1/ratio/ratio, 1e-9, 0)
			near(t, precision+" sb_rank", value(t, r, "sb_rank"), 4, 0, 0)
			warned(t, r)
		}
	}
}

// Sigma_B of a condition up to 1e11, known in closed form: squaring it, as a Gram matrix does, would leave 5 digits; singular
// vectors leave 16 less half the condition's. What is under the cut of 1e-12 does not count.
func TestTrapCondition(t *testing.T) {
	const sigma, k, dim = 1.0 / 1024, 6, 9
	for _, condition := range []float64{1, 1e2, 1e6, 1e8, 1e10, 1e11, 1e13} {
		low := 1 / math.Sqrt(condition)
		s := []float64{1, math.Sqrt(low), 0.3, 0.7, low}
		directions := s
		if condition > 1e12 {
			directions = s[:4]
		}
		want := 0.0
		for _, v := range directions {
			want += sigma * sigma / dim / v / v
		}
		r := star(spanned(k, dim, s), dim, sigma).measure(t, collapse.Options{Precision: "float64"})
		if r.Route != "svd" {
			t.Errorf("condition %.0e: route %q", condition, r.Route)
		}
		near(t, fmt.Sprintf("nc1 at condition %.0e", condition), value(t, r, "nc1"), want, 2e-15*math.Sqrt(condition)+1e-14, 0)
		near(t, "sb_rank", value(t, r, "sb_rank"), float64(len(directions)), 0, 0)
		if condition > 1e12 {
			undefinedFor(t, r, collapse.RankDeficient, "nc1_svd")
			warned(t, r, "rank_deficient")
		} else {
			near(t, "sb_condition", value(t, r, "sb_condition"), 1/min(low*low, low, 0.09), 1e-9, 0)
		}
	}
}

// The cut on the eigenvalues is an option.
func TestTrapRankTol(t *testing.T) {
	d := star(spanned(4, 5, []float64{1, 0.1, 0.001}), 5, 0.25)
	for tol, rank := range map[float64]float64{1e-12: 3, 1e-5: 2, 0.1: 1} {
		r := d.measure(t, collapse.Options{RankTol: tol})
		near(t, fmt.Sprintf("rank with cut %v", tol), value(t, r, "sb_rank"), rank, 0, 0)
		want := 0.0
		for _, s := range []float64{1, 0.1, 0.001}[:int(rank)] {
			want += 0.25 * 0.25 / 5 / s / s
		}
		near(t, fmt.Sprintf("nc1 with cut %v", tol), value(t, r, "nc1"), want, 1e-12, 0)
	}
}

// Two classes with the same mean: one direction less, and no distance between the two.
func TestTrapEqualMeans(t *testing.T) {
	const sigma = 0.125
	means := corners(4, 6, 1, 0)
	copy(means[3*6:], means[2*6:3*6])
	r := star(means, 6, sigma).measure(t, collapse.Options{})
	near(t, "sb_rank", value(t, r, "sb_rank"), 2, 0, 0)
	// e_1, e_2 and e_3 twice about their mean: eigenvalues of M'M by hand.
	m := [3][3]float64{}
	for c := range 4 {
		v := [3]float64{-0.25, -0.25, -0.5}
		v[min(c, 2)]++
		for i := range 3 {
			for j := range 3 {
				m[i][j] += v[i] * v[j]
			}
		}
	}
	trace := m[0][0] + m[1][1] + m[2][2]
	minors := m[0][0]*m[1][1] - m[0][1]*m[0][1] + m[0][0]*m[2][2] - m[0][2]*m[0][2] + m[1][1]*m[2][2] - m[1][2]*m[1][2]
	near(t, "nc1", value(t, r, "nc1"), sigma*sigma/6*trace/minors, 1e-12, 0) // sum 1/s^2 = trace/minors: the third is 0
	undefinedFor(t, r, collapse.RankDeficient, "nc1_svd")
	undefinedFor(t, r, collapse.CoincidentMeans, "cdnv_mean", "cdnv_max")
	undefinedFor(t, r, collapse.CoincidentDirections, "gnc2_log_mean", "gnc2_log_var", "gnc2_log_cov", "gnc2_riesz_mean")
	near(t, "gnc2_min_angle", value(t, r, "gnc2_min_angle"), 0, 0, 0)
	near(t, "nc2_cos_max", value(t, r, "nc2_cos_max"), 1, 1e-15, 0)
	if w := r.Metrics["nc2_cos_max"].Worst; !slices.Equal(w, []int64{2, 3}) {
		t.Errorf("worst pair %v, want 2 and 3", w)
	}
	near(t, "ncc_error", value(t, r, "ncc_error"), 0.25, 1e-15, 0) // ties go to the lower class
	warned(t, r, "rank_deficient")
}

// More classes than dimensions: Sigma_B has full rank d, nc1 sums d terms, and NC2 has a floor.
func TestTrapMoreClassesThanDimensions(t *testing.T) {
	const k, dim = 100, 16
	rng := rand.New(rand.NewPCG(1, 2))
	means := make([]float64, k*dim)
	for i := range means {
		means[i] = rng.NormFloat64()
	}
	d := star(means, dim, 0.1)
	r := d.measure(t, collapse.Options{})
	near(t, "sb_rank", value(t, r, "sb_rank"), dim, 0, 0)
	near(t, "nc1", value(t, r, "nc1"), directNC1(d, false), 1e-11, 0)
	near(t, "nc1_svd", value(t, r, "nc1_svd"), value(t, r, "nc1"), 0, 0)
	floor := math.Sqrt(2 - 2*math.Sqrt(float64(dim)/float64(k-1)))
	if e := value(t, r, "nc2_etf"); e < floor {
		t.Errorf("nc2_etf %v under its floor %v", e, floor)
	}
	if v := value(t, r, "gnc2_dist_mean"); v > math.Sqrt(2*float64(k)/float64(k-1)) {
		t.Errorf("gnc2_dist_mean %v above that of a simplex", v)
	}
	warned(t, r)
}

// A mean of 1e4 over a spread of 1e-3. The numbers of this construction are exact even in float32.
func TestTrapOffset(t *testing.T) {
	const k, dim, r0, sigma = 6, 10, 1.0 / 256, 1.0 / 1024
	for _, offset := range []float64{0, 1e4, -12345} {
		for precision, tol := range precisions {
			for _, narrow := range []bool{false, true} {
				what := fmt.Sprintf("offset %v, %s, float32 file %v: ", offset, precision, narrow)
				d := star(corners(k, dim, r0, offset), dim, sigma)
				d.narrow = narrow
				r := d.measure(t, collapse.Options{Precision: precision})
				near(t, what+"nc1", value(t, r, "nc1"), sigma*sigma/dim*(k-1)/(r0*r0), tol, 0)
				near(t, what+"cdnv_mean", value(t, r, "cdnv_mean"), sigma*sigma/(2*r0*r0), 1e-9, 0)
				near(t, what+"cdnv_max", value(t, r, "cdnv_max"), sigma*sigma/(2*r0*r0), 1e-9, 0)
				near(t, what+"nc1_quotient", value(t, r, "nc1_quotient"), sigma*sigma/(r0*r0*(k-1)/k), 1e-9, 0)
				near(t, what+"nc2_etf", value(t, r, "nc2_etf"), 0, 0, 1e-11)
				near(t, what+"nc2_equiangle", value(t, r, "nc2_equiangle"), 0, 0, 1e-11)
				near(t, what+"ncc_error", value(t, r, "ncc_error"), 0, 0, 0)
			}
		}
	}
	// Pivoting leaves the digits of random data too: exact differences, the same data without the offset.
	rng := rand.New(rand.NewPCG(4, 4))
	plain, moved := &data{dim: 5}, &data{dim: 5}
	for i := range 300 {
		c := int64(i % 4)
		for j := range 5 {
			v := math.Round((float64((int(c)*7+j*3)%5)*0.004+0.001*rng.NormFloat64())*(1<<36)) / (1 << 36)
			plain.rows, moved.rows = append(plain.rows, v), append(moved.rows, 1e4+v)
		}
		plain.labels, moved.labels = append(plain.labels, c), append(moved.labels, c)
	}
	a, b := plain.measure(t, collapse.Options{}), moved.measure(t, collapse.Options{})
	for _, id := range []string{"nc1", "nc1_quotient", "nc1_class_max", "cdnv_mean", "cdnv_max", "within_fraction", "nc2_equinorm", "nc2_equiangle", "nc2_etf", "gnc2_dist_var", "sb_condition", "ncc_error"} {
		near(t, "moved by 1e4: "+id, value(t, b, id), value(t, a, id), 1e-11, 0)
	}
}

// Classes a hundred million times smaller than their distances still have a size.
func TestTrapTightClasses(t *testing.T) {
	const k, dim = 5, 7
	for _, sigma := range []float64{0x1p-27, 0x1p-35} {
		for _, offset := range []float64{0, 3} {
			for precision, tol := range precisions {
				r := star(corners(k, dim, 1, offset), dim, sigma).measure(t, collapse.Options{Precision: precision})
				what := fmt.Sprintf("sigma %.0e, offset %v, %s: ", sigma, offset, precision)
				near(t, what+"nc1", value(t, r, "nc1"), sigma*sigma/dim*(k-1), tol, 0)
				near(t, what+"cdnv_mean", value(t, r, "cdnv_mean"), sigma*sigma/2, 1e-9, 0)
				near(t, what+"nc1_quotient", value(t, r, "nc1_quotient"), sigma*sigma*k/(k-1), 1e-9, 0)
				near(t, what+"within_fraction", value(t, r, "within_fraction"), sigma*sigma*k/(k-1), 1e-9, 0)
			}
		}
	}
}

// perfect is perfect collapse: every row on its mean, the means a centred simplex after a rotation and a shift, and the
// classifier along them.
func perfect(k, dim int, a float64, shift []float64, rng *rand.Rand) *data {
	m := corners(k, dim, 1, 0)
	for c := range k {
		for j := range k {
			m[c*dim+j] -= 1 / float64(k)
		}
	}
	m = times(m, dim, rotation(rng, dim))
	d := &data{dim: dim, w: make([]float64, k*dim), b: make([]float64, k)}
	for i, v := range m {
		d.w[i] = a * v
	}
	for c := range k {
		row := clone(m[c*dim : (c+1)*dim])
		for j := range row {
			row[j] += shift[j]
		}
		for range 3 {
			d.rows = append(d.rows, row...)
			d.labels = append(d.labels, int64(c))
		}
		d.b[c] = -inner(d.w[c*dim:(c+1)*dim], shift)
	}
	d.testRows, d.testLabels = d.rows, d.labels
	return d
}

// TestPerfectCollapse: every metric of which the registry says what it is at collapse, is that.
func TestPerfectCollapse(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, k := range []int{2, 3, 4, 7, 10, 16} {
		dim := k + 3
		shift := make([]float64, dim)
		for _, scale := range []float64{0, 1} {
			for j := range shift {
				shift[j] = scale * rng.NormFloat64()
			}
			d := perfect(k, dim, 2.5, shift, rng)
			if scale == 0 {
				d.oodRows = orthogonal(d.rows, dim, rng)
			}
			minority := []int64{0, 1}
			if k < 4 {
				minority = nil
			}
			r := d.measure(t, collapse.Options{Precision: "float64", Metrics: []string{"all"}, Minority: minority})
			seen := 0
			for _, m := range collapse.Metrics() {
				want, ok := m.IdealAt(k)
				v := r.Metrics[m.ID]
				if !ok || !v.Defined() {
					continue
				}
				if scale != 0 && (m.ID == "nc5_orthodev" || m.ID == "clf_push_pull_max" || m.ID == "clf_push_pull_mean") {
					continue // not invariant under shifts
				}
				if m.ID == "mse_perp" {
					continue // 0 on the central path: where W minimises the squared error too
				}
				near(t, fmt.Sprintf("K=%d, shift %v: %s", k, scale, m.ID), v.Number, want, 1e-12, 1e-12)
				seen++
			}
			if seen < 45 {
				t.Errorf("K=%d: %d metrics with an ideal value", k, seen)
			}
			near(t, "nc3_scale", value(t, r, "nc3_scale"), 2.5, 1e-12, 0)
			near(t, "margin_min", value(t, r, "margin_min"), 2.5, 1e-12, 0) // a K/(K-1) |m|^2, |m|^2 = (K-1)/K
			near(t, "margin_mean", value(t, r, "margin_mean"), 2.5, 1e-12, 0)
			if scale == 0 {
				near(t, "margin_normalised", value(t, r, "margin_normalised"), 1, 1e-12, 0)
			}
			near(t, "ce_loss", value(t, r, "ce_loss"), math.Log1p(float64(k-1)*math.Exp(-2.5)), 1e-12, 0)
		}
	}
}

// orthogonal are rows at right angles to all given ones.
func orthogonal(rows []float64, dim int, rng *rand.Rand) []float64 {
	var basis []float64
	project := func(v []float64) {
		for range 2 {
			for r := 0; r < len(basis); r += dim {
				p := inner(v, basis[r:r+dim])
				for j := range v {
					v[j] -= p * basis[r+j]
				}
			}
		}
	}
	for i := 0; i < len(rows); i += dim {
		v := clone(rows[i : i+dim])
		project(v)
		if n := math.Sqrt(inner(v, v)); n > 1e-8 {
			for j := range v {
				v[j] /= n
			}
			basis = append(basis, v...)
		}
	}
	v := make([]float64, dim)
	for j := range v {
		v[j] = rng.NormFloat64()
	}
	project(v)
	return v
}

// Rows of ReLU features that are 0 throughout have no direction: their cosine with every row, and with themselves, is 0.
func TestTrapZeroRows(t *testing.T) {
	d := &data{dim: 2, rows: []float64{1, 0, 0, 0, 0, 1, 0, 1}, labels: []int64{0, 0, 1, 1}}
	r := d.measure(t, collapse.Options{})
	// Distances 1 - cos: in class 0 3/4 on average, in class 1 none, between them all 1.
	near(t, "class_separation_r2", value(t, r, "class_separation_r2"), 1-(0.75/2)/((0.75+1+1+0)/4), 1e-15, 0)
	d = &data{dim: 3, rows: make([]float64, 18), labels: []int64{0, 0, 0, 1, 1, 1}, w: make([]float64, 6), b: make([]float64, 2)}
	d.rows[0] = 1
	r = d.measure(t, collapse.Options{Metrics: []string{"all"}})
	for id, v := range r.Metrics {
		if math.IsNaN(v.Number) || math.IsInf(v.Number, 0) {
			t.Errorf("%s is %v", id, v.Number)
		}
	}
	undefinedFor(t, r, collapse.ZeroNormWeight, "nc2w_equiangle", "nc3_alignment", "cos_margin_min")
	undefinedFor(t, r, collapse.ZeroMatrix, "nc2w_equinorm", "nc2w_etf", "nc3_distance", "nc3_etf")
}

func TestTrapConstant(t *testing.T) {
	for _, at := range []float64{0, 0.1, 1e4} {
		d := &data{dim: 3, w: []float64{1, 0, 0, 0, 1, 0, 0, 0, 1}, b: []float64{0, 1, 0}}
		for i := range 12 {
			d.rows = append(d.rows, at, -at, at/3)
			d.labels = append(d.labels, int64([]int{0, 1, 1, 2}[i%4]))
		}
		r := d.measure(t, collapse.Options{})
		undefinedFor(t, r, collapse.BetweenZero, "nc1", "nc1_svd", "nc1_quotient", "nc1_class_max", "cdnv_mean", "nc2_equinorm", "nc2_etf", "nc2_cos_mean", "gnc2_dist_mean",
			"nc3_distance", "nc3_alignment", "nc3_etf", "nc3_scale", "polytope_simplex", "sb_condition")
		undefinedFor(t, r, collapse.ConstantFeatures, "within_fraction")
		near(t, "ncc_error", value(t, r, "ncc_error"), 1-3.0/12, 1e-15, 0) // all rows are the first class's
		if r.Route != "" {
			t.Errorf("route %q of nothing", r.Route)
		}
	}
}

// A row each: classes have means and no spread.
func TestTrapOneRowPerClass(t *testing.T) {
	d := &data{dim: 3, rows: []float64{1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 1, 1}, labels: []int64{0, 1, 2, 3}}
	r := d.measure(t, collapse.Options{})
	undefinedFor(t, r, collapse.NoWithinSamples, "nc1", "nc1_svd", "nc1_quotient", "nc1_class_max", "within_fraction", "cdnv_mean", "cdnv_max")
	value(t, r, "nc2_etf")
	near(t, "ncc_error", value(t, r, "ncc_error"), 0, 0, 0)
	warned(t, r, "singleton_classes")
	if w := r.Warnings[0]; w.Count != 4 || !slices.Equal(w.Classes, []int64{0, 1, 2, 3}) {
		t.Errorf("warning %+v", w)
	}
	d.rows, d.labels = append(d.rows, 1, 1, 2), append(d.labels, 3) // one class with two rows is enough
	r = d.measure(t, collapse.Options{})
	value(t, r, "nc1")
	warned(t, r, "singleton_classes")
}

// Two centred means are opposite, whatever the data: a simplex, and said to be trivial.
func TestTrapTwoClasses(t *testing.T) {
	d := gaussian(5, 60, 4, 2, 0.5)
	r := d.measure(t, collapse.Options{})
	for _, id := range []string{"nc2_equinorm", "nc2_equiangle", "nc2_max_angle", "nc2_etf"} {
		near(t, id, value(t, r, id), 0, 0, 1e-12)
	}
	near(t, "nc2_cos_mean", value(t, r, "nc2_cos_mean"), -1, 1e-15, 0)
	near(t, "gnc2_min_angle", value(t, r, "gnc2_min_angle"), 180, 1e-7, 0)
	near(t, "nc1", value(t, r, "nc1"), directNC1(d, false), 1e-12, 0)
	warned(t, r, "trivial_simplex")
}

func TestTrapOneClass(t *testing.T) {
	d := &data{dim: 2, rows: []float64{1, 2, 3, 4, 5, 7}, labels: []int64{0, 0, 0}, w: []float64{1, 1}, b: []float64{0}}
	r := d.measure(t, collapse.Options{})
	undefinedFor(t, r, collapse.NeedsTwoClasses, "nc1", "nc1_quotient", "cdnv_mean", "nc2_equinorm", "nc2w_equinorm", "nc3_distance", "ncc_error", "nc4_disagreement", "margin_min",
		"ce_loss", "imbalance_ratio", "sb_rank", "class_separation_r2", "polytope_simplex")
	near(t, "within_fraction", value(t, r, "within_fraction"), 1, 1e-15, 0)
	near(t, "classifier_error", value(t, r, "classifier_error"), 0, 0, 0)
}

// One dimension: means to the left and the right, cosines +-1.
func TestTrapOneDimension(t *testing.T) {
	d := &data{dim: 1, rows: []float64{-3, -1, 0, 2, 8, 12}, labels: []int64{0, 0, 1, 1, 2, 2}}
	r := d.measure(t, collapse.Options{})
	// Means -2, 1, 10 about 3: -5, -2, 7.
	near(t, "sb_rank", value(t, r, "sb_rank"), 1, 0, 0)
	near(t, "nc1", value(t, r, "nc1"), 2.0/((25.0+4+49)/3)/3, 1e-14, 0)
	near(t, "nc2_cos_mean", value(t, r, "nc2_cos_mean"), -1.0/3, 1e-15, 0)
	near(t, "nc2_cos_max", value(t, r, "nc2_cos_max"), 1, 1e-15, 0)
	near(t, "cdnv_max", value(t, r, "cdnv_max"), (1+1)/(2*9.0), 1e-14, 0)
	near(t, "ncc_error", value(t, r, "ncc_error"), 0, 0, 0)
	undefinedFor(t, r, collapse.CoincidentDirections, "gnc2_log_mean", "gnc2_riesz_mean")
}

// Labels without rows leave the means alone, and rows of W are found by label.
func TestTrapAbsentClasses(t *testing.T) {
	full := gaussian(6, 90, 5, 4, 0.5)
	few := &data{dim: 5, w: full.w, b: full.b}
	packed := &data{dim: 5}
	for i, y := range full.labels {
		if y != 1 {
			few.rows, few.labels = append(few.rows, full.row(i)...), append(few.labels, y)
			packed.rows, packed.labels = append(packed.rows, full.row(i)...), append(packed.labels, max(0, y-1))
		}
	}
	packed.w = append(clone(full.w[:5]), full.w[10:]...)
	packed.b = append(clone(full.b[:1]), full.b[2:]...)
	a, b := few.measure(t, collapse.Options{}), packed.measure(t, collapse.Options{})
	warned(t, a, "absent_classes")
	if w := a.Warnings[0]; w.Count != 1 || !slices.Equal(w.Classes, []int64{1}) || a.Classes != 4 || a.PresentClasses != 3 {
		t.Errorf("warning %+v, classes %d, present %d", w, a.Classes, a.PresentClasses)
	}
	for _, id := range []string{"nc1", "cdnv_mean", "nc2_equiangle", "nc2_etf", "nc3_distance", "nc3_alignment", "nc3_alignment_min", "nc3_etf", "nc3_scale", "ncc_error"} {
		near(t, id, value(t, a, id), value(t, b, id), 1e-13, 0)
	}
	if x, y := value(t, a, "nc2w_equinorm"), value(t, b, "nc2w_equinorm"); x == y {
		t.Error("nc2w_equinorm is of all rows of W")
	}
	// One row with a label of 4e9 costs a warning.
	d := &data{dim: 2, rows: []float64{0, 1, 1, 0, 2, 2, 0, 3}, labels: []int64{0, 4e9, 4e9, 0}}
	r := d.measure(t, collapse.Options{})
	value(t, r, "nc1")
	if int64(r.Classes) != 4e9+1 || r.PresentClasses != 2 || r.Warnings[0].Code != "absent_classes" || int64(r.Warnings[0].Count) != 4e9-1 || len(r.Warnings[0].Classes) != 20 {
		t.Errorf("classes %d, present %d, warning %+v", r.Classes, r.PresentClasses, r.Warnings[0])
	}
}
