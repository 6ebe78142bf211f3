package optimize

import (
	"context"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
)

// Spheres minimises where blocks of the variables keep their norm: block i is x[ends[i-1]:ends[i]], and its norm is that of
// the start; variables behind the last block are free. It goes by conjugate gradients of Polak and Ribiere, projected to the
// tangent spaces, and returns to the spheres by rescaling (Absil, Mahony and Sepulchre 2008, section 8.3).
// Result.GradientNorm is that of the Riemannian gradient.
func Spheres(ctx context.Context, p Problem, x []float64, ends []int, s Settings) Result {
	m := spheres{ends: ends, radius: make([]float64, len(ends))}
	m.each(func(i, from, to int) { m.radius[i] = norm(x[from:to]) })
	flat := Problem{Value: func(x, g []float64) float64 {
		v := p.Value(x, g)
		m.project(x, g)
		return v
	}}
	r := begin(ctx, flat, x, s)
	n := len(x)
	direction, nextX, nextG := make([]float64, n), make([]float64, n), make([]float64, n)
	step, old := 1/max(r.GradientNorm, 1e-300), 0.0
	for !r.done() {
		if old == 0 {
			copy(direction, r.g)
			kernel.Scale64(direction, -1)
		}
		slope := dot(direction, r.g)
		if !(slope < 0) {
			copy(direction, r.g)
			kernel.Scale64(direction, -1)
			slope = -r.GradientNorm * r.GradientNorm
		}
		value, ok := m.search(r, direction, slope, &step, nextX, nextG)
		if !ok {
			if old == 0 {
				r.Status = Stalled
				break
			}
			old = 0
			r.Iterations++
			continue
		}
		gg := r.GradientNorm * r.GradientNorm
		m.project(nextX, direction)
		m.project(nextX, r.g) // the old gradient, carried to the new point
		beta := max(0, (dot(nextG, nextG)-dot(nextG, r.g))/gg)
		nextX, nextG = r.move(nextX, nextG, value)
		kernel.Scale64(direction, beta)
		kernel.Axpy64(direction, -1, r.g)
		old = gg
	}
	return r.Result
}

// spheres is a product of spheres.
type spheres struct {
	ends   []int
	radius []float64
}

func (m spheres) each(f func(i, from, to int)) {
	from := 0
	for i, to := range m.ends {
		f(i, from, to)
		from = to
	}
}

// project takes from g what leads away from the spheres at x.
func (m spheres) project(x, g []float64) {
	m.each(func(_, from, to int) {
		x, g := x[from:to], g[from:to]
		if xx := dot(x, x); xx > 0 {
			kernel.Axpy64(g, -dot(x, g)/xx, x)
		}
	})
}

// retract rescales x to the spheres.
func (m spheres) retract(x []float64) {
	m.each(func(i, from, to int) {
		x := x[from:to]
		if l := norm(x); l > 0 {
			kernel.Scale64(x, m.radius[i]/l)
		}
	})
}

// search halves the step until the value falls, guessing the minimum of a parabola first.
func (m spheres) search(r *run, direction []float64, slope float64, step *float64, x, g []float64) (float64, bool) {
	start := r.Value
	blur := noise(start)
	t := *step
	for range 60 {
		addTo(x, r.X, t, direction)
		m.retract(x)
		value := r.eval(x, g)
		here := dot(g, direction)
		if finite(value) && (value <= start+1e-4*t*slope || value <= start+blur && math.Abs(here) <= -0.9*slope) {
			switch { // where the slope, were it linear, would be zero: the next step begins there
			case here < 0.5*slope:
				*step = 2 * t
			case here > slope:
				*step = t * min(max(slope/(slope-here), 0.2), 2)
			}
			if math.Abs(here) <= -0.4*slope || *step == t {
				return value, true
			}
			second := *step
			bestX, bestG := append([]float64(nil), x...), append([]float64(nil), g...)
			addTo(x, r.X, second, direction)
			m.retract(x)
			if again := r.eval(x, g); again <= value {
				return again, true
			}
			copy(x, bestX)
			copy(g, bestG)
			return value, true
		}
		if finite(value) && here > 0 {
			t *= min(max(slope/(slope-here), 0.1), 0.5)
		} else {
			t /= 4
		}
	}
	return start, false
}
