package root

import (
	"math"
	"testing"
)

func TestBetween(t *testing.T) {
	for _, c := range []struct {
		name       string
		f          func(float64) float64
		a, b, want float64
		calls      int // more would say that interpolation does not work
	}{
		{"line", func(x float64) float64 { return 2*x - 3 }, 0, 10, 1.5, 6},
		{"falling", func(x float64) float64 { return 1 - x*x }, 0, 7, 1, 15},
		{"bounds exchanged", func(x float64) float64 { return x*x*x - 2 }, 5, 0, math.Cbrt(2), 15},
		{"exponential", func(x float64) float64 { return math.Exp(x) - 1e10 }, -100, 100, math.Log(1e10), 40},
		{"zero at zero", math.Sin, -1, 2, 0, 20},
		{"flat", func(x float64) float64 { return math.Pow(x-1, 9) }, 0, 3, 1, 400},
		{"infinite on one side", func(x float64) float64 { return math.Log(x) }, 0, 1e6, 1, 60},
		{"infinite on both sides", func(x float64) float64 {
			if x < 2 {
				return math.Inf(-1)
			} else if x > 2.001 {
				return math.Inf(1)
			}
			return x - 2.0004
		}, -50, 60, 2.0004, 60},
		{"jump", func(x float64) float64 { return math.Copysign(1, x-math.Pi) }, 0, 4, math.Pi, 60},
		{"at the bound", func(x float64) float64 { return x }, 0, 1, 0, 2},
	} {
		calls := 0
		got := Between(func(x float64) float64 { calls++; return c.f(x) }, c.a, c.b)
		// a function flat of ninth order has no digits beyond its own rounding
		tolerance := 4e-16 * max(1e-3, math.Abs(c.want))
		if c.name == "flat" {
			tolerance = 1e-15
		}
		if !(math.Abs(got-c.want) <= tolerance) || calls > c.calls {
			t.Errorf("%s: %.17g after %d calls, want %.17g within %d", c.name, got, calls, c.want, c.calls)
		}
	}
	for _, f := range []func(float64) float64{
		func(x float64) float64 { return x*x + 1 },
		func(x float64) float64 { return math.NaN() },
	} {
		if got := Between(f, -1, 1); !math.IsNaN(got) {
			t.Errorf("no zero: %g", got)
		}
	}
}
