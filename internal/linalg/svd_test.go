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

// The leading values and vectors are those of the whole decomposition: the values to rounding, and the vectors in that A v has the
// length of the value and is orthogonal to the other A v. A dozen large values over a spectrum that falls to nothing are told apart too.
func TestLeading(t *testing.T) {
	check := func(t *testing.T, m, n int, a []float64) {
		by := unit(a)
		all, _, err := SVD(m, n, clone(a))
		if err != nil {
			t.Fatal(err)
		}
		all, a = scaled(all, by), scaled(a, by)
		for _, r := range []int{0, 1, 2, min(m, n) / 2, min(m, n), min(m, n) + 3} {
			s, v, err := Leading(m, n, r, clone(a))
			r = min(r, m, n)
			if err != nil || len(s) != r || len(v) != r*n {
				t.Fatalf("%d of %d: %d values, %d numbers in vectors, %v", r, min(m, n), len(s), len(v), err)
			}
			if r == 0 {
				continue
			}
			bound := eigenBound(min(m, n)) * all[0]
			atMost(t, "difference from SVD", difference(s, all[:r]), bound)
			atMost(t, "V V^T - I", offIdentity(r, n, v), eigenBound(min(m, n)))
			w := multiply(false, true, r, m, n, v, a)
			g := multiply(false, true, r, r, m, w, w)
			for i := range r {
				atMost(t, "|A v| - s", math.Abs(math.Sqrt(g[i*r+i])-s[i]), bound)
				for j := range i {
					atMost(t, "(A v_i)(A v_j)", math.Abs(g[i*r+j]), 2*bound*(s[j]+bound))
				}
			}
		}
	}
	eachRectangle(t, check)
	t.Run("over small ones", func(t *testing.T) {
		const m, n, r = 60, 70, 12
		u, v := normal(2, m*r), normal(3, r*n)
		a := multiply(false, false, m, n, r, u, v)
		for i, x := range normal(4, m*n) {
			a[i] += 1e-3 * x
		}
		check(t, m, n, a)
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
