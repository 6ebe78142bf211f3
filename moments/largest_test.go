package moments

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The places are those of a stable sort from the largest on, with NaN behind everything that is above -Inf.
func TestLargest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	nan, inf := math.NaN(), math.Inf(1)
	for range 2000 {
		z := make([]float64, 1+rng.IntN(40))
		for i := range z {
			z[i] = float64(rng.IntN(9) - 4)
			switch rng.IntN(20) {
			case 0:
				z[i] = nan
			case 1:
				z[i] = -inf
			}
		}
		order := make([]int, len(z))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			x, y := z[a], z[b]
			if math.IsNaN(x) {
				x = -inf
			}
			if math.IsNaN(y) {
				y = -inf
			}
			switch {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return 0
		})
		was := slices.Clone(z)
		m := rng.IntN(len(z) + 3)
		got := largest(nil, z, m)
		if want := order[:min(m, len(z))]; !slices.Equal(got, want) {
			t.Fatalf("the %d largest of %v: %v, want %v", m, z, got, want)
		}
		for i, v := range was {
			if math.Float64bits(v) != math.Float64bits(z[i]) {
				t.Fatalf("%v has become %v", was, z)
			}
		}
	}
}
