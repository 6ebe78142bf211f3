// Package root finds zeros of functions of one variable.
package root

import "math"

// Between returns the zero between a and b of a function whose values there have different signs (or are 0), to
// the resolution of float64. Values may be infinite. The method is that of Chandrupatla, "A new hybrid
// quadratic/bisection algorithm for finding the zero of a nonlinear function without using
// derivatives", Adv. Eng. Software 28 (1997) 145-149: inverse quadratic interpolation where three points
// allow it, else bisection. Where the signs do not differ, or f is NaN, the result is NaN.
func Between(f func(float64) float64, a, b float64) float64 {
	fa, fb := f(a), f(b)
	switch {
	case fa == 0:
		return a
	case fb == 0:
		return b
	case !(fa < 0 && fb > 0 || fa > 0 && fb < 0):
		return math.NaN()
	}
	// The zero lies between a, the newest point, and b; c is the point before, on either side.
	c, fc := b, fb
	t := 0.5
	// Bisection alone takes at most 2,100 steps, the number of binades and then of digits; the method a dozen.
	for range 3000 {
		best, smallest := a, math.Abs(fa)
		if math.Abs(fb) < smallest {
			best, smallest = b, math.Abs(fb)
		}
		resolution := 0x1p-53 * math.Abs(best)
		if math.Abs(b-a) <= 4*resolution || smallest == 0 {
			return best
		}
		t = math.Min(1-2*resolution/math.Abs(b-a), math.Max(2*resolution/math.Abs(b-a), t))
		x := a + t*(b-a)
		if x == a || x == b {
			return best
		}
		fx := f(x)
		if math.IsNaN(fx) {
			return fx
		}
		if (fx > 0) == (fa > 0) {
			c, fc = a, fa
		} else {
			c, fc = b, fb
			b, fb = a, fa
		}
		a, fa = x, fx
		xi, phi := (a-b)/(c-b), (fa-fb)/(fc-fb)
		t = 0.5
		if 1-math.Sqrt(1-xi) < phi && phi < math.Sqrt(xi) {
			t = fa/(fb-fa)*fc/(fb-fc) + (c-a)/(b-a)*fa/(fc-fa)*fb/(fc-fb)
		}
		if math.IsNaN(t) {
			t = 0.5
		}
	}
	return a
}
