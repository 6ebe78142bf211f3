package optimize

import (
	"context"

	"github.com/collapsar/collapsar/internal/kernel"
)

// Descent goes down the gradient with momentum (Polyak 1964): v = Momentum v - Rate g, x = x + v. With Rate 0 the rate is
// halved where the value would rise and grows by a tenth where it falls, and momentum is dropped where it leads
// uphill. It is slow, and goes where training goes.
func Descent(ctx context.Context, p Problem, x []float64, s Settings) Result {
	r := begin(ctx, p, x, s)
	n := len(x)
	velocity, nextX, nextG := make([]float64, n), make([]float64, n), make([]float64, n)
	rate, fixed := r.s.Rate, r.s.Rate > 0
	if !fixed {
		rate = 1
	}
	for !r.done() {
		kernel.Scale64(velocity, r.s.Momentum)
		kernel.Axpy64(velocity, -rate, r.g)
		addTo(nextX, r.X, 1, velocity)
		value := r.eval(nextX, nextG)
		if !fixed && !(value <= r.Value+noise(r.Value)) || !finite(value) {
			if fixed || rate < 1e-300 {
				r.Status = Stalled
				break
			}
			clear(velocity)
			rate /= 2
			r.Iterations++
			continue
		}
		nextX, nextG = r.move(nextX, nextG, value)
		if !fixed {
			rate *= 1.1
		}
	}
	return r.Result
}
