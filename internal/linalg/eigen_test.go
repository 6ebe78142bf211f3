package linalg

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// reference returns gonum's eigenvalues in descending order.
func reference(n int, a []float64) []float64 {
	values := make([]float64, n)
	if n == 0 {
		return values
	}
	var e mat.EigenSym
	e.Factorize(mat.NewSymDense(n, clone(a)), false)
	e.Values(values)
	for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
		values[i], values[j] = values[j], values[i]
	}
	return values
}

// A backward stable method is allowed a small multiple of sqrt(n) eps; the bounds here are some ten
// times what is observed.
func eigenBound(n int) float64 { return (10 + 2*float64(n)) * eps }

func TestEigenvalues(t *testing.T) {
	each(t, symmetric, func(t *testing.T, n int, a []float64) {
		by := unit(a)
		want := reference(n, scaled(a, by))
		got := Eigenvalues(n, clone(a))
		if !descending(got) {
			t.Fatalf("not in descending order: %v", got)
		}
		atMost(t, "difference from gonum", difference(scaled(got, by), want), eigenBound(n)*float64(n+1)/10)
	})
}

func TestEigenSym(t *testing.T) {
	each(t, symmetric, func(t *testing.T, n int, a []float64) {
		by := unit(a)
		values, v := EigenSym(n, clone(a))
		if !descending(values) {
			t.Fatalf("not in descending order: %v", values)
		}
		norm := 1.0
		if n > 0 {
			norm = max(math.Abs(values[0]*by), math.Abs(values[n-1]*by))
		}
		atMost(t, "V V^T - I", offIdentity(n, n, v), eigenBound(n))
		left := multiply(false, false, n, n, n, v, scaled(a, by))
		for j := range n {
			for i := range n {
				left[j*n+i] -= values[j] * by * v[j*n+i]
			}
		}
		atMost(t, "V A - diag(values) V", difference(left, make([]float64, n*n)), eigenBound(n)*norm)
		atMost(t, "difference from Eigenvalues", difference(scaled(values, by), scaled(Eigenvalues(n, clone(a)), by)), eigenBound(n)*norm)
	})
}

func TestZeroRowsStayZero(t *testing.T) {
	for _, n := range sizes {
		a := normal(n, n*n)
		symmetrise(n, a)
		zeros := 0
		for k := 1; k < n; k += 4 {
			zeros++
			for j := range n {
				a[k*n+j], a[j*n+k] = 0, 0
			}
		}
		count := func(values []float64) (c int) {
			for _, v := range values {
				if v == 0 {
					c++
				}
			}
			return c
		}
		if got := count(Eigenvalues(n, clone(a))); got < zeros {
			t.Errorf("n = %d: %d eigenvalues are exactly zero, want %d", n, got, zeros)
		}
		values, _ := EigenSym(n, a)
		if got := count(values); got < zeros {
			t.Errorf("n = %d: %d eigenvalues with vectors are exactly zero, want %d", n, got, zeros)
		}
	}
}

func TestEigenNotFinite(t *testing.T) {
	for _, n := range []int{1, 2, 10, 100} {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			a := normal(n, n*n)
			symmetrise(n, a)
			a[n/2*n+n/2] = bad
			values, vectors := EigenSym(n, clone(a))
			for _, s := range [][]float64{values, vectors, Eigenvalues(n, a)} {
				for _, v := range s {
					if v == v {
						t.Fatalf("n = %d, %v: got %v, want NaN", n, bad, v)
					}
				}
			}
		}
	}
}

func TestSimplexSpectrum(t *testing.T) {
	for _, n := range []int{2, 10, 100, 300} {
		values := Eigenvalues(n, simplexGram(n))
		for j, v := range values {
			want := 1.0
			if j == n-1 {
				want = 0
			}
			if math.Abs(v-want) > eigenBound(n)/4 {
				t.Errorf("n = %d: eigenvalue %d is %v, want %v", n, j, v, want)
			}
		}
	}
}

// Large matrices are reduced by one triangle.
func TestEigenSymByTriangle(t *testing.T) {
	defer func(old int) { full = old }(full)
	full = 40
	for _, n := range []int{41, 100, 300} {
		a := normal(n, n*n)
		symmetrise(n, a)
		want := reference(n, a)
		atMost(t, "difference from gonum", difference(Eigenvalues(n, clone(a)), want), eigenBound(n)*want[0])
		values, v := EigenSym(n, clone(a))
		atMost(t, "V V^T - I", offIdentity(n, n, v), eigenBound(n))
		atMost(t, "difference from gonum", difference(values, want), eigenBound(n)*want[0])
		left := multiply(false, false, n, n, n, v, a)
		for i := range left {
			left[i] -= values[i/n] * v[i]
		}
		atMost(t, "V A - diag(values) V", difference(left, make([]float64, n*n)), eigenBound(n)*want[0])
	}
}

// The ends of the range of float64.
func TestExtremes(t *testing.T) {
	for _, x := range []float64{math.MaxFloat64, 0x1p1023, 0x1p-1022, math.SmallestNonzeroFloat64} {
		if got := Eigenvalues(2, []float64{x, 0, 0, -x}); got[0] != x || got[1] != -x {
			t.Errorf("eigenvalues of diag(x, -x), x = %v: %v", x, got)
		}
		if s, _, err := SVD(2, 2, []float64{0, x, 0, 0}); err != nil || math.Abs(s[0]/2-x/2) > x*4*eps || s[1] != 0 {
			t.Errorf("singular values of a matrix with one element %v: %v, %v", x, s, err)
		}
		if r := QR(1, 1, []float64{-x}); r[0] != x {
			t.Errorf("R of %v is %v", -x, r[0])
		}
	}
}
