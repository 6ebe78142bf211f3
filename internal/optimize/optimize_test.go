package optimize_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/internal/optimize"
	"github.com/collapsar/collapsar/internal/optimize/testproblems"
)

func TestDerivatives(t *testing.T) {
	lot := rand.New(rand.NewPCG(1, 2))
	for _, p := range testproblems.All() {
		for range 20 {
			x, v := make([]float64, len(p.Start)), make([]float64, len(p.Start))
			for i := range x {
				x[i], v[i] = p.Start[i]+lot.NormFloat64(), lot.NormFloat64()
			}
			if err := testproblems.Check(p.Value, p.Product, x, v, 1e-7); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
		if p.At != nil {
			g := make([]float64, len(p.At))
			if v := p.Value(p.At, g); v != p.Minimum {
				t.Errorf("%s: value %v where the minimum %v is", p.Name, v, p.Minimum)
			}
		}
	}
}

// TestMinima: every method finds every minimum. Where the minimum is singular the point is less accurate than the value.
func TestMinima(t *testing.T) {
	methods := map[string]func(context.Context, optimize.Problem, []float64, optimize.Settings) optimize.Result{
		"lbfgs": optimize.LBFGS, "trust region": optimize.TrustRegion,
		"descent": func(ctx context.Context, p optimize.Problem, x []float64, s optimize.Settings) optimize.Result {
			s.Iterations, s.Momentum, s.Gradient = 2_000_000, 0.9, 1e-6
			return optimize.Descent(ctx, p, x, s)
		},
	}
	for name, method := range methods {
		for _, p := range testproblems.All() {
			steps := 0
			r := method(context.Background(), optimize.Problem{Value: p.Value, Product: p.Product}, p.Start,
				optimize.Settings{Gradient: 1e-9, Step: func(int, []float64, float64, float64) { steps++ }})
			value := 1e-12
			if name == "descent" {
				value = 1e-7
				if p.Name == "monkey saddle" {
					continue // its gradient is below the tolerance near the saddle, where it begins
				}
			}
			if r.Status != optimize.Converged || math.Abs(r.Value-p.Minimum) > value {
				t.Errorf("%s, %s: %s, value %v, wanted %v; gradient %.2g after %d steps, %d evaluations", name, p.Name, r.Status, r.Value, p.Minimum, r.GradientNorm, r.Iterations, r.Evaluations)
				continue
			}
			if p.At != nil && name != "descent" && p.Name != "Powell singular" {
				for i := range p.At {
					if math.Abs(r.X[i]-p.At[i]) > 1e-7 {
						t.Errorf("%s, %s: x[%d] = %v, wanted %v", name, p.Name, i, r.X[i], p.At[i])
						break
					}
				}
			}
			t.Logf("%s, %s: %d steps, %d evaluations, %d products, gradient %.2g", name, p.Name, r.Iterations, r.Evaluations, r.Products, r.GradientNorm)
		}
	}
}

// TestSpheres: the lowest Rayleigh quotient is the smallest eigenvalue, and points stay on their spheres.
func TestSpheres(t *testing.T) {
	// Two blocks with a coupling: f = x'Ax/2 + y'Ay/2 + c x.y, A = diag(1..5). For c = 0 each block ends at e_1.
	const n = 5
	f := func(x, g []float64) (v float64) {
		for i := range n {
			for b := range 2 {
				a := float64(i + 1)
				v += a * x[b*n+i] * x[b*n+i] / 2
				g[b*n+i] = a * x[b*n+i]
			}
		}
		return v
	}
	x := []float64{0.1, 1, 1, 1, 1, -0.2, 1, 2, 1, 0.5}
	r := optimize.Spheres(context.Background(), optimize.Problem{Value: f}, x, []int{n, 2 * n}, optimize.Settings{Gradient: 1e-10})
	want := 0.0
	for _, v := range x {
		want += v * v / 2
	}
	if r.Status != optimize.Converged || math.Abs(r.Value-want) > 1e-12 {
		t.Errorf("%s, value %v, wanted %v", r.Status, r.Value, want)
	}
	for b := range 2 {
		before, after := 0.0, 0.0
		for i := range n {
			before += x[b*n+i] * x[b*n+i]
			after += r.X[b*n+i] * r.X[b*n+i]
		}
		if math.Abs(before-after) > 1e-12 {
			t.Errorf("block %d: squared norm %v, was %v", b, after, before)
		}
	}
}

func TestWhyItStops(t *testing.T) {
	bowl := optimize.Problem{
		Value:   func(x, g []float64) float64 { g[0] = x[0]; return x[0] * x[0] / 2 },
		Product: func(x, v, hv []float64) { hv[0] = v[0] },
	}
	slope := optimize.Problem{
		Value:   func(x, g []float64) float64 { g[0] = -x[0]; return -x[0] * x[0] / 2 },
		Product: func(x, v, hv []float64) { hv[0] = -v[0] },
	}
	hole := optimize.Problem{
		Value:   func(x, g []float64) float64 { g[0] = math.NaN(); return 0 },
		Product: func(x, v, hv []float64) { hv[0] = math.NaN() },
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, method := range map[string]func(context.Context, optimize.Problem, []float64, optimize.Settings) optimize.Result{
		"lbfgs": optimize.LBFGS, "trust region": optimize.TrustRegion, "descent": optimize.Descent,
	} {
		for _, c := range []struct {
			want optimize.Status
			ctx  context.Context
			p    optimize.Problem
			s    optimize.Settings
		}{
			{optimize.Converged, context.Background(), bowl, optimize.Settings{}},
			{optimize.Unbounded, context.Background(), slope, optimize.Settings{}},
			{optimize.NotFinite, context.Background(), hole, optimize.Settings{}},
			{optimize.Interrupted, cancelled, bowl, optimize.Settings{}},
			{optimize.OutOfSteps, context.Background(), testproblemsRosenbrock(), optimize.Settings{Iterations: 1}},
		} {
			x := []float64{2}
			if c.want == optimize.OutOfSteps {
				x = testproblems.All()[0].Start
			}
			if r := method(c.ctx, c.p, x, c.s); r.Status != c.want {
				t.Errorf("%s: %s, wanted %s", name, r.Status, c.want)
			}
		}
	}
}

func testproblemsRosenbrock() optimize.Problem {
	p := testproblems.All()[0]
	return optimize.Problem{Value: p.Value, Product: p.Product}
}
