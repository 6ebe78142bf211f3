package linalg

import (
	"math"
	"runtime"
	"testing"
)

// Every result must have the same bits for any number of workers.
func TestWorkers(t *testing.T) {
	join := func(parts ...[]float64) (all []float64) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, n := range []int{10, 65, 300} {
		m := n + n/2
		sym := normal(n, n*n)
		symmetrise(n, sym)
		rect := normal(n, m*n)
		low := multiply(false, false, n, m, 7, normal(1, n*7), normal(2, 7*m))
		pos := definite(n)
		for _, c := range []struct {
			name string
			run  func() []float64
		}{
			{"Eigenvalues", func() []float64 { return Eigenvalues(n, clone(sym)) }},
			{"EigenSym", func() []float64 { s, v := EigenSym(n, clone(sym)); return join(s, v) }},
			{"EigenSym simplex", func() []float64 { s, v := EigenSym(n, simplexGram(n)); return join(s, v) }},
			{"SVD tall", func() []float64 { s, v, _ := SVD(m, n, clone(rect)); return join(s, v) }},
			{"SVD wide", func() []float64 { s, v, _ := SVD(n, m, clone(low)); return join(s, v) }},
			{"SingularValues", func() []float64 { s, _ := SingularValues(n, m, clone(rect)); return s }},
			{"QR", func() []float64 { return QR(m, n, clone(rect)) }},
			{"Cholesky", func() []float64 {
				l := clone(pos)
				Cholesky(n, l)
				x := clone(rect)
				SolveLower(n, l, m, x)
				SolveLowerTransposed(n, l, m, x)
				return join(l, CholeskyInverse(n, l), x)
			}},
		} {
			var want []float64
			for _, workers := range []int{1, 2, 3, 8} {
				old := runtime.GOMAXPROCS(workers)
				got := c.run()
				runtime.GOMAXPROCS(old)
				if want == nil {
					want = got
				}
				for i, v := range got {
					if math.Float64bits(v) != math.Float64bits(want[i]) {
						t.Errorf("n = %d, %s: number %d is %v with %d workers, %v with 1", n, c.name, i, v, workers, want[i])
						break
					}
				}
			}
		}
	}
}
