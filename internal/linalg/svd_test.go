package linalg

import (
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

func TestSVD(t *testing.T) {
	eachRectangle(t, func(t *testing.T, m, n int, a []float64) {
		by := unit(a)
		s, v, err := SVD(m, n, clone(a))
		if err != nil {
			t.Fatal(err)
		}
		r := min(m, n)
		if len(s) != r || len(v) != r*n {
			t.Fatalf("%d values and %d numbers in vectors", len(s), len(v))
		}
		if r == 0 {
			return
		}
		if !descending(s) || s[r-1] < 0 {
			t.Fatalf("not in descending order: %v", s)
		}
		s = scaled(s, by)
		a = scaled(a, by)
		bound := eigenBound(r) * s[0]
		atMost(t, "V V^T - I", offIdentity(r, n, v), eigenBound(r))
		// Rows of V A^T are orthogonal, of lengths s; what is orthogonal to V vanishes.
		w := multiply(false, true, r, m, n, v, a)
		g := multiply(false, true, r, r, m, w, w)
		var angle float64
		for i := range r {
			length := math.Sqrt(g[i*r+i])
			atMost(t, "|A v| - s", math.Abs(length-s[i]), bound)
			for j := range r {
				if i != j {
					angle = max(angle, math.Abs(g[i*r+j])/(s[min(i, j)]+bound+1e-300))
				}
			}
		}
		atMost(t, "(A v_i)(A v_j)", angle, 2*bound)
		atMost(t, "A - A V^T V", difference(multiply(true, false, m, n, r, w, v), a), bound)
		var f mat.SVD
		f.Factorize(mat.NewDense(m, n, clone(a)), mat.SVDNone)
		atMost(t, "difference from gonum", difference(s, f.Values(nil)), bound)
		values, err := SingularValues(m, n, scaled(a, 1/by))
		if err != nil {
			t.Fatal(err)
		}
		atMost(t, "difference from SingularValues", difference(scaled(values, by), s), bound)
	})
}

func TestSVDNotFinite(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		a := normal(1, 20*30)
		a[77] = bad
		if _, _, err := SVD(20, 30, clone(a)); !errors.Is(err, ErrNotFinite) {
			t.Errorf("%v: SVD: %v", bad, err)
		}
		if _, err := SingularValues(30, 20, a); !errors.Is(err, ErrNotFinite) {
			t.Errorf("%v: SingularValues: %v", bad, err)
		}
	}
}
