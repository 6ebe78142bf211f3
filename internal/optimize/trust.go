package optimize

import (
	"context"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
)

// TrustRegion minimises by Newton steps that conjugate gradients find inside a ball (Steihaug 1983; Nocedal and Wright
// 2006, algorithms 4.1 and 7.2), with exact products of the Hessian. It follows negative curvature to the edge of the ball, so
// it leaves a saddle that it does not hit exactly, and converges faster than linearly where the minimum is not flat. It
// needs Problem.Product.
func TrustRegion(ctx context.Context, p Problem, x []float64, s Settings) Result {
	r := begin(ctx, p, x, s)
	n := len(x)
	cg := newSteihaug(n)
	nextX, nextG := make([]float64, n), make([]float64, n)
	radius := max(1, norm(x)) / 4
	last := 0.0 // gradient before this step, for the forcing term
	for !r.done() {
		// As accurate as the last step has earned (Eisenstat and Walker 1996), so that it ends quadratically.
		forcing := 0.1
		if last > 0 {
			forcing = min(0.1, math.Pow(r.GradientNorm/last, 1.5), math.Sqrt(r.GradientNorm))
		}
		promised, edge := cg.solve(r, radius, max(forcing, 1e-12))
		length := norm(cg.step)
		addTo(nextX, r.X, 1, cg.step)
		value := r.eval(nextX, nextG)
		ratio := (r.Value - value) / promised
		if promised < noise(r.Value) { // too small to be seen in the value: judge by the gradient
			ratio = 0
			if norm(nextG) < r.GradientNorm {
				ratio = 1
			}
		}
		switch {
		case !finite(value) || !finite(norm(nextG)) || !(ratio >= 0.25):
			radius = length / 4
		case ratio > 0.75 && edge:
			radius = min(2*radius, 1e200)
		}
		if ratio > 1e-4 && finite(value) && finite(norm(nextG)) {
			last = r.GradientNorm
			nextX, nextG = r.move(nextX, nextG, value)
			continue
		}
		r.Iterations++
		if radius < 1e-14*(1e-3+norm(r.X)) {
			r.Status = Stalled
			break
		}
	}
	return r.Result
}

// steihaug holds the vectors of a conjugate gradient solution.
type steihaug struct{ step, residual, direction, product []float64 }

func newSteihaug(n int) *steihaug {
	return &steihaug{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
}

// solve finds a step that lowers the quadratic model within the radius, by how much, and whether it ends at the edge.
func (c *steihaug) solve(r *run, radius, forcing float64) (promised float64, edge bool) {
	clear(c.step)
	copy(c.residual, r.g)
	copy(c.direction, r.g)
	kernel.Scale64(c.direction, -1)
	rr := dot(c.residual, c.residual)
	target := forcing * math.Sqrt(rr)
	for range 2*len(c.step) + 20 {
		r.p.Product(r.X, c.direction, c.product)
		r.Products++
		curvature := dot(c.direction, c.product)
		alpha := rr / curvature
		if curvature <= 1e-16*dot(c.direction, c.direction) || dist2(c.step, alpha, c.direction) >= radius*radius {
			tau := toEdge(c.step, c.direction, radius)
			// The model falls by tau (direction.direction-residual) - tau^2/2 curvature.
			promised += -tau*dot(c.residual, c.direction) - tau*tau/2*curvature
			kernel.Axpy64(c.step, tau, c.direction)
			return promised, true
		}
		kernel.Axpy64(c.step, alpha, c.direction)
		promised += alpha * rr / 2
		kernel.Axpy64(c.residual, alpha, c.product)
		next := dot(c.residual, c.residual)
		if math.Sqrt(next) <= target || r.ctx.Err() != nil {
			return promised, false
		}
		kernel.Scale64(c.direction, next/rr)
		kernel.Axpy64(c.direction, -1, c.residual)
		rr = next
	}
	return promised, false
}

// dist2 is the squared norm of x + a y.
func dist2(x []float64, a float64, y []float64) float64 {
	return dot(x, x) + 2*a*dot(x, y) + a*a*dot(y, y)
}

// toEdge is the positive a for which x + a y has the norm radius.
func toEdge(x, y []float64, radius float64) float64 {
	xx, xy, yy := dot(x, x), dot(x, y), dot(y, y)
	rest := max(radius*radius-xx, 0)
	root := math.Sqrt(xy*xy + yy*rest)
	if xy > 0 {
		return rest / (xy + root)
	}
	return (root - xy) / yy
}
