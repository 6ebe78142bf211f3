// Package optimize finds minima of smooth functions of many variables: by the limited-memory method LBFGS, by TrustRegion with
// exact products of the Hessian, by gradient Descent with momentum, and on products of Spheres. What a method found, why it
// stopped and what it cost are values of its Result. None of them is random: the same start gives the same point.
//
//	r := optimize.LBFGS(ctx, optimize.Problem{Value: f}, x, optimize.Settings{})
//	if r.Status != optimize.Converged { ... }
//
// A converged point is stationary to the tolerance and no more: whether it is a minimum, and which, is for the caller to prove.
package optimize

import (
	"context"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
)

// Problem is a function to be minimised.
type Problem struct {
	// Value returns the value at x and writes the gradient to g.
	Value func(x, g []float64) float64
	// Product writes the Hessian at x times v to hv. Only TrustRegion needs it.
	Product func(x, v, hv []float64)
}

// Settings say when to stop, and how to go. The zero value is the documented default.
type Settings struct {
	Gradient   float64 // norm of the gradient that counts as zero; default 1e-10
	Iterations int     // the largest number of steps; default 10,000
	Memory     int     // LBFGS: pairs that are kept; default 20
	Rate       float64 // Descent: length of a step in gradients; 0 finds it by halving and doubling
	Momentum   float64 // Descent: share of the last step that is added to the next, in [0, 1)

	// Step, where not nil, sees every point from the start on; it may not keep or change x.
	Step func(iteration int, x []float64, value, gradient float64)
}

// Status is why a method stopped.
type Status string

const (
	Converged   Status = "converged"         // the gradient is as small as wanted
	Stalled     Status = "stalled"           // no step lowers the value any more, to its last digit
	OutOfSteps  Status = "out_of_iterations" // Settings.Iterations are used up
	Unbounded   Status = "unbounded"         // the value falls below -1e100, or the point runs away beyond 1e50
	Interrupted Status = "interrupted"       // the context was cancelled
	NotFinite   Status = "not_finite"        // value or gradient are not finite at the start
)

// Result is where a method stopped, why, and what it cost. X is the best point found, also where the status is not Converged.
type Result struct {
	X            []float64
	Value        float64
	GradientNorm float64 // Euclidean
	Status       Status
	Iterations   int // steps taken
	Evaluations  int // of Value
	Products     int // of Product
}

func (s Settings) resolve() Settings {
	if s.Gradient == 0 {
		s.Gradient = 1e-10
	}
	if s.Iterations == 0 {
		s.Iterations = 10_000
	}
	if s.Memory == 0 {
		s.Memory = 20
	}
	return s
}

// run is a minimisation under way.
type run struct {
	Result
	p   Problem
	s   Settings
	ctx context.Context
	g   []float64 // gradient at X
}

func begin(ctx context.Context, p Problem, x []float64, s Settings) *run {
	r := &run{p: p, s: s.resolve(), ctx: ctx, g: make([]float64, len(x))}
	r.X = append([]float64(nil), x...)
	r.Value = r.eval(r.X, r.g)
	r.GradientNorm = norm(r.g)
	return r
}

// eval is the function, counted.
func (r *run) eval(x, g []float64) float64 {
	r.Evaluations++
	return r.p.Value(x, g)
}

// done shows the point to Step, and tells whether it is the last one.
func (r *run) done() bool {
	if r.s.Step != nil {
		r.s.Step(r.Iterations, r.X, r.Value, r.GradientNorm)
	}
	switch {
	case !finite(r.Value) || !finite(r.GradientNorm):
		r.Status = NotFinite
	case r.GradientNorm <= r.s.Gradient:
		r.Status = Converged
	case r.Value < -1e100 || norm(r.X) > 1e50:
		r.Status = Unbounded
	case r.Iterations >= r.s.Iterations:
		r.Status = OutOfSteps
	case r.ctx.Err() != nil:
		r.Status = Interrupted
	}
	return r.Status != ""
}

// move makes x, with its value and gradient, the point, and hands the old slices back.
func (r *run) move(x, g []float64, value float64) (oldX, oldG []float64) {
	oldX, oldG = r.X, r.g
	r.X, r.g, r.Value, r.GradientNorm = x, g, value, norm(g)
	r.Iterations++
	return oldX, oldG
}

// noise is how much of a difference between values at v may be rounding.
func noise(v float64) float64 { return 1e-15 * math.Abs(v) * 8 }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func norm(x []float64) float64 { return math.Sqrt(dot(x, x)) }

func dot(x, y []float64) float64 { return kernel.Dot64(x, y) }

// addTo writes x + a y to z.
func addTo(z, x []float64, a float64, y []float64) {
	copy(z, x)
	kernel.Axpy64(z, a, y)
}
