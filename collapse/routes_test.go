package collapse_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/geometry"
)

// many draws k classes of a few rows in d dimensions, their means of a condition of about that given, unequal in
// number, with a classifier.
func many(seed uint64, k, dim int, condition float64) *data {
	rng := rand.New(rand.NewPCG(seed, 3))
	r := min(k-1, dim)
	s := make([]float64, r)
	for j := range s { // from 1 down to the root of the condition
		s[j] = math.Pow(condition, -0.5*float64(j)/float64(r-1))
	}
	means := times(spanned(k, dim, s), dim, rotation(rng, dim))
	d := &data{dim: dim, w: clone(means), b: make([]float64, k)}
	draw := func(rows int) (out []float64, labels []int64) {
		for c := range k {
			for range rows + c%3/2 { // and the mirror image of each, so that the means stay what they are
				noise := make([]float64, dim)
				for j := range noise {
					noise[j] = 0.01 * (1 + float64(j%4)) * rng.NormFloat64()
				}
				for _, sign := range []float64{1, -1} {
					labels = append(labels, int64(c))
					for j, v := range noise {
						out = append(out, 0.3+means[c*dim+j]+sign*v)
					}
				}
			}
		}
		return out, labels
	}
	d.rows, d.labels = draw(2)
	d.testRows, d.testLabels = draw(1)
	for i := range d.w {
		d.w[i] += 0.01 * rng.NormFloat64()
	}
	return d
}

// TestGramRoute: for many classes nc1 comes from the Gram matrix of the means, where it is well conditioned, and agrees with
// singular vectors by another library; as do all metrics that go through the route.
func TestGramRoute(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of direct computation")
	}
	for _, size := range []struct{ k, dim int }{{150, 180}, {150, 149}, {190, 140}} {
		if min(size.k-1, size.dim) <= geometry.SmallRank {
			t.Fatalf("%+v is not large", size)
		}
		for _, condition := range []float64{10, 1e5, 1e7} {
			d := many(uint64(size.k), size.k, size.dim, condition)
			for _, mean := range []string{"class", "sample"} {
				// Rounding of the Gram matrix counts condition times; so does that of float32 residuals, unless sums of their
				// products are exact, and rounding averages out over the rows.
				want := directNC1(d, mean == "sample")
				for precision, tol := range map[string]float64{"float64": 1e-14 + 1e-15*condition, "float32": 3e-6} {
					what := fmt.Sprintf("K=%d, d=%d, condition %.0e, %s, %s: ", size.k, size.dim, condition, mean, precision)
					r := d.measure(t, collapse.Options{Precision: precision, GlobalMean: mean, Metrics: []string{"nc1*", "test_collapse_*", "ncc_error*", "sb_*"}})
					if r.Route != "gram" {
						t.Errorf("%sroute %q", what, r.Route)
					}
					near(t, what+"nc1", value(t, r, "nc1"), want, max(tol, 1e-11), 0)
					if mean == "class" {
						near(t, what+"sb_condition", value(t, r, "sb_condition"), condition, 1e-6, 0)
					}
					near(t, what+"nc1_svd", value(t, r, "nc1_svd"), value(t, r, "nc1"), 0, 0)
					near(t, what+"sb_rank", value(t, r, "sb_rank"), float64(min(size.k-1, size.dim)), 0, 0)
					strong, weak := directTest(d, mean == "sample")
					near(t, what+"test_collapse_strong", value(t, r, "test_collapse_strong"), strong, max(tol, 1e-11), 0)
					near(t, what+"test_collapse_weak", value(t, r, "test_collapse_weak"), weak, max(tol, 1e-11), 0)
				}
			}
		}
	}
}

// Where the Gram matrix is ill-conditioned, or the means span fewer directions than they could, singular vectors take over.
func TestRouteChoice(t *testing.T) {
	for _, c := range []struct {
		k, dim    int
		condition float64
		route     string
	}{
		{129, 140, 10, "svd"}, // rank 128: small
		{140, 128, 10, "svd"},
		{130, 140, 10, "gram"},
		{140, 129, 10, "gram"},
		{140, 150, 1e10, "svd"},
	} {
		d := many(7, c.k, c.dim, c.condition)
		r := d.measure(t, collapse.Options{Metrics: []string{"nc1"}})
		if r.Route != c.route {
			t.Errorf("%+v: route %q", c, r.Route)
		}
		near(t, fmt.Sprintf("%+v: nc1", c), value(t, r, "nc1"), directNC1(d, false), 1e-9, 0)
	}
	d := many(8, 140, 150, 10)
	for i, y := range d.labels { // two classes the same: a direction less
		if y == 5 {
			copy(d.row(i), d.row(3))
		}
		if y == 6 {
			copy(d.row(i), d.row(3))
		}
	}
	r := d.measure(t, collapse.Options{Metrics: []string{"nc1", "nc1_svd", "sb_rank"}})
	if r.Route != "svd" || r.Metrics["nc1_svd"].Reason != collapse.RankDeficient {
		t.Errorf("equal means: route %q, nc1_svd %+v", r.Route, r.Metrics["nc1_svd"])
	}
	near(t, "equal means: sb_rank", value(t, r, "sb_rank"), 138, 0, 0)
	near(t, "equal means: nc1", value(t, r, "nc1"), directNC1(d, false), 1e-9, 0)
}

// The route must not show in what does not go through it.
func TestRouteElsewhere(t *testing.T) {
	d := many(9, 150, 160, 100)
	all := d.measure(t, collapse.Options{Precision: "float64"})
	narrow := d.measure(t, collapse.Options{Precision: "float32"})
	for _, m := range collapse.Metrics() {
		if m.Cost == collapse.Full {
			continue
		}
		a, b := all.Metrics[m.ID], narrow.Metrics[m.ID]
		if a.Reason != b.Reason {
			t.Errorf("%s: %+v in float64, %+v in float32", m.ID, a, b)
		}
		near(t, m.ID, b.Number, a.Number, 1e-5, 1e-6)
	}
}
