package optimize

import (
	"context"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
)

// LBFGS minimises by the limited-memory method of Liu and Nocedal (1989): the steps and changes of the gradient of the last
// Memory iterations stand for the Hessian. Step lengths fulfil the Wolfe conditions, near the minimum the approximate ones
// of Hager and Zhang (2005), which need no difference of values. It costs 4 Memory + 6 passes over the variables an
// iteration, and 2 Memory + 5 vectors.
func LBFGS(ctx context.Context, p Problem, x []float64, s Settings) Result {
	r := begin(ctx, p, x, s)
	n := len(x)
	past := history{most: r.s.Memory}
	direction, nextX, nextG := make([]float64, n), make([]float64, n), make([]float64, n)
	for !r.done() {
		past.newton(direction, r.g)
		slope := dot(direction, r.g)
		first := 1.0
		if past.empty() {
			first = min(1, max(1, norm(r.X))/r.GradientNorm)
		}
		if !(slope < 0) { // rounding made it no descent
			if past.empty() {
				r.Status = Stalled
				break
			}
			past.clear()
			continue
		}
		value, ok := r.wolfe(direction, slope, first, nextX, nextG)
		if !ok {
			if past.empty() {
				r.Status = Stalled
				break
			}
			past.clear()
			r.Iterations++ // so that it ends
			continue
		}
		past.add(r.X, nextX, r.g, nextG)
		nextX, nextG = r.move(nextX, nextG, value)
	}
	return r.Result
}

// history is the last steps s and changes of the gradient y, oldest first.
type history struct {
	most  int
	s, y  [][]float64
	rho   []float64 // 1/(s.y)
	gamma float64   // s.y/y.y of the last pair
	alpha []float64
}

func (h *history) empty() bool { return len(h.s) == 0 }
func (h *history) clear()      { h.s, h.y, h.rho = nil, nil, nil }

func (h *history) add(x, nextX, g, nextG []float64) {
	var s, y []float64
	if len(h.s) == h.most {
		s, y = h.s[0], h.y[0]
		h.s, h.y, h.rho = append(h.s[:0], h.s[1:]...), append(h.y[:0], h.y[1:]...), append(h.rho[:0], h.rho[1:]...)
	} else {
		s, y = make([]float64, len(x)), make([]float64, len(x))
	}
	addTo(s, nextX, -1, x)
	addTo(y, nextG, -1, g)
	sy, yy := dot(s, y), dot(y, y)
	if !(sy > 1e-12*math.Sqrt(yy*dot(s, s))) {
		return // no curvature along s that could be used
	}
	h.s, h.y, h.rho = append(h.s, s), append(h.y, y), append(h.rho, 1/sy)
	h.gamma = sy / yy
}

// newton writes minus the inverse Hessian times g (Nocedal and Wright 2006, algorithm 7.4).
func (h *history) newton(direction, g []float64) {
	copy(direction, g)
	kernel.Scale64(direction, -1)
	if h.empty() {
		return
	}
	h.alpha = append(h.alpha[:0], h.rho...)
	for i := len(h.s) - 1; i >= 0; i-- {
		h.alpha[i] = h.rho[i] * dot(h.s[i], direction)
		kernel.Axpy64(direction, -h.alpha[i], h.y[i])
	}
	kernel.Scale64(direction, h.gamma)
	for i := range h.s {
		beta := h.rho[i] * dot(h.y[i], direction)
		kernel.Axpy64(direction, h.alpha[i]-beta, h.s[i])
	}
}

// wolfe goes from X along a direction of the given slope, until the value has fallen enough and the slope is less steep, and
// writes that point and its gradient.
func (r *run) wolfe(direction []float64, slope, step float64, x, g []float64) (value float64, ok bool) {
	const decrease, curvature = 1e-4, 0.9
	start := r.Value
	blur := noise(start)
	low, high := 0.0, math.Inf(1) // the step is sought between
	lowSlope := slope
	for range 60 {
		addTo(x, r.X, step, direction)
		value = r.eval(x, g)
		here := dot(g, direction)
		switch {
		case !finite(value) || !finite(here):
			high = step
			step = low + (step-low)/10
			continue
		case value > start+decrease*step*slope && !(value <= start+blur && here <= (2*decrease-1)*slope):
			high = step
		case here < curvature*slope: // still too steep
			low, lowSlope = step, here
		case here > -curvature*slope && value > start+blur: // past the minimum, and above the start
			high = step
		default:
			return value, true
		}
		if math.IsInf(high, 1) {
			if value < -1e100 {
				return value, true
			}
			step *= 4
			if lowSlope > slope && lowSlope < 0 { // where the slope, were it linear, is zero
				step = min(step, max(1.5*low, low+2*low*lowSlope/(slope-lowSlope)))
			}
			continue
		}
		width := high - low
		next := low + width/2
		if here > 0 && lowSlope < 0 { // zero of the slope, between the ends
			next = low + (step-low)*lowSlope/(lowSlope-here)
			next = min(max(next, low+width/10), high-width/10)
		}
		if !(next > low && next < high) {
			return value, false
		}
		step = next
	}
	return value, value <= start+decrease*step*slope
}
