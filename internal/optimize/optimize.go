// Package optimize finds minima of smooth functions of many variables.
package optimize

import "context"

// Problem is a function to be minimised.
type Problem struct {
	// Value returns the value at x and writes the gradient to g.
	Value func(x, g []float64) float64
	// Product writes the Hessian at x times v to hv. Only TrustRegion needs it.
	Product func(x, v, hv []float64)
}

// Settings say when to stop. The zero value is the documented default.
type Settings struct {
	// Gradient is the norm of the gradient that counts as zero; default 1e-10.
	Gradient float64
	// Iterations is the largest number of steps; default 10,000.
	Iterations int
	// Memory is the number of pairs that LBFGS keeps; default 20.
	Memory int
	// Step, where not nil, sees every point; it may not keep or change x.
	Step func(iteration int, x []float64, value, gradient float64)
}

// Status is why a method stopped.
type Status string

const (
	Converged   Status = "converged" // the gradient is as small as wanted
	Stalled     Status = "stalled"   // no step lowers the value any more, to the last digit
	OutOfSteps  Status = "out_of_iterations"
	Unbounded   Status = "unbounded"
	Interrupted Status = "interrupted"
	NotFinite   Status = "not_finite" // the value or gradient at the start
)

// Result is where a method stopped, and why.
type Result struct {
	X            []float64
	Value        float64
	GradientNorm float64
	Status       Status
	Iterations   int
	Evaluations  int // of Value
	Products     int // of Product
}

// LBFGS minimises by the limited-memory method of Liu and Nocedal (1989).
func LBFGS(ctx context.Context, p Problem, x []float64, s Settings) Result { return Result{} }
