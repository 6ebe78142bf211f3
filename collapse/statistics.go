package collapse

import (
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
)

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// variance is the population form.
func variance(v []float64) float64 {
	m, sum := mean(v), 0.0
	for _, x := range v {
		sum += (x - m) * (x - m)
	}
	return sum / float64(len(v))
}

func deviation(v []float64) float64 { return math.Sqrt(variance(v)) }

func distance2(a, b []float64) float64 { return kernel.Distance64(a, b) }

// largest is the maximum of f over classes, and the class it comes from; the first of several.
func largest(classes []int64, f func(c int) float64) Value {
	v := Value{Number: math.Inf(-1)}
	for c, label := range classes {
		if x := f(c); x > v.Number {
			v = Value{Number: x, Worst: []int64{label}}
		}
	}
	return v
}

// smallest is the minimum, likewise.
func smallest(classes []int64, f func(c int) float64) Value {
	v := largest(classes, func(c int) float64 { return -f(c) })
	v.Number = -v.Number
	return v
}

// largestPair is the maximum over a list by pairs c < c', and the pair it comes from.
func largestPair(classes []int64, list []float64) Value {
	v, i := Value{Number: math.Inf(-1)}, 0
	for a := range classes {
		for b := a + 1; b < len(classes); b++ {
			if list[i] > v.Number {
				v = Value{Number: list[i], Worst: []int64{classes[a], classes[b]}}
			}
			i++
		}
	}
	return v
}

// allClasses are the labels 0..k-1 of the rows of W.
func allClasses(k int) []int64 {
	out := make([]int64, k)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}
