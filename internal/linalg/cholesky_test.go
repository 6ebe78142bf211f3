package linalg

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// definite returns a positive definite matrix of condition number up to 1e6.
func definite(n int) []float64 { return withSpectrum(n, geometric(n, 1e-6)) }

func TestCholesky(t *testing.T) {
	for _, n := range sizes {
		a := definite(n)
		l := clone(a)
		for i := range n {
			for j := i + 1; j < n; j++ {
				l[i*n+j] = math.NaN() // must not be read
			}
		}
		if !Cholesky(n, l) {
			t.Fatalf("n = %d: not positive definite", n)
		}
		for i := range n {
			for j := i + 1; j < n; j++ {
				if l[i*n+j] != 0 {
					t.Fatalf("n = %d: element %d, %d above the diagonal is %v", n, i, j, l[i*n+j])
				}
			}
		}
		atMost(t, "L L^T - A", difference(multiply(false, true, n, n, n, l, l), a), 10*eps)

		inverse := CholeskyInverse(n, l)
		unit := multiply(false, false, n, n, n, a, inverse)
		for i := range n {
			unit[i*n+i]--
			for j := range i {
				if inverse[i*n+j] != inverse[j*n+i] {
					t.Fatalf("n = %d: the inverse is not symmetric", n)
				}
			}
		}
		atMost(t, "A A^-1 - I", difference(unit, make([]float64, n*n)), 1e6*20*eps)
		if n == 0 {
			continue
		}
		var c mat.Cholesky
		c.Factorize(mat.NewSymDense(n, a))
		atMost(t, "log det", math.Abs(LogDetCholesky(n, l)-c.LogDet()), 1e-10*float64(n))
	}
}

func TestSolveLower(t *testing.T) {
	for _, n := range sizes {
		for _, cols := range []int{0, 1, 3, 64, 300} {
			l := definite(n)
			Cholesky(n, l)
			b := normal(n+cols, n*cols)
			x := clone(b)
			SolveLower(n, l, cols, x)
			atMost(t, "L X - B", difference(multiply(false, false, n, cols, n, l, x), b), 1e3*100*eps)
			copy(x, b)
			SolveLowerTransposed(n, l, cols, x)
			atMost(t, "L^T X - B", difference(multiply(true, false, n, cols, n, l, x), b), 1e3*100*eps)
		}
	}
}

func TestNotPositiveDefinite(t *testing.T) {
	for _, n := range sizes {
		if n < 2 {
			continue
		}
		for name, a := range map[string][]float64{
			"simplex":  simplexGram(n),
			"negative": withSpectrum(n, append(make([]float64, n-1), -1)),
			"zero":     make([]float64, n*n),
		} {
			if Cholesky(n, a) {
				t.Errorf("n = %d, %s: positive definite", n, name)
			}
		}
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			a := definite(n)
			a[(n-1)*n+n/2] = bad
			if Cholesky(n, a) {
				t.Errorf("n = %d: positive definite with %v", n, bad)
			}
		}
	}
}
