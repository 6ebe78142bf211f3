package linalg

import (
	"math"
	"testing"
)

// shapes are those of the rectangular tests.
var shapes = [][2]int{{0, 0}, {0, 5}, {5, 0}, {1, 1}, {1, 7}, {7, 1}, {2, 3}, {3, 2}, {10, 10}, {10, 33}, {33, 10},
	{64, 65}, {65, 64}, {100, 40}, {40, 100}, {200, 200}, {300, 129}, {129, 300}, {1500, 70}}

type rectangle struct {
	name string
	make func(m, n int) []float64
}

// product returns U diag(s) V^T with random U and V.
func product(m, n int, s []float64) []float64 {
	u, v := orthonormal(1, m), orthonormal(2, n)
	r := min(m, n)
	for j := range r {
		for i := range n {
			v[j*n+i] *= s[j]
		}
	}
	return multiply(true, false, m, n, r, u[:r*m], v[:r*n])
}

var rectangles = []rectangle{
	{"random", func(m, n int) []float64 { return normal(m+n, m*n) }},
	{"graded", func(m, n int) []float64 { return product(m, n, geometric(min(m, n), 1e-15)) }},
	{"halves", func(m, n int) []float64 {
		s := make([]float64, min(m, n))
		for i := range s {
			s[i] = 1
			if i > len(s)/2 {
				s[i] = 1e-9
			}
		}
		return product(m, n, s)
	}},
	{"low rank", func(m, n int) []float64 {
		r := min(m, n, 7)
		return multiply(false, false, m, n, r, normal(m, m*r), normal(n, n*r))
	}},
	{"scaled columns", func(m, n int) []float64 {
		a := normal(m+n, m*n)
		g := geometric(n, 1e-20)
		for i := range a {
			a[i] *= g[i%n]
		}
		return a
	}},
	{"centred", func(m, n int) []float64 { // rows that sum to zero
		a := normal(m+n, m*n)
		for j := range n {
			var mean float64
			for i := range m {
				mean += a[i*n+j] / float64(m)
			}
			for i := range m {
				a[i*n+j] -= mean
			}
		}
		return a
	}},
	{"simplex", func(m, n int) []float64 {
		a := make([]float64, m*n)
		for i := range m {
			for j := range n {
				a[i*n+j] = -1 / float64(m)
				if i == j {
					a[i*n+j]++
				}
			}
		}
		return a
	}},
	{"zero", func(m, n int) []float64 { return make([]float64, m*n) }},
	{"zero rows", func(m, n int) []float64 {
		a := normal(m+n, m*n)
		for i := range a {
			if i/n%3 == 0 || i%n%4 == 2 {
				a[i] = 0
			}
		}
		return a
	}},
	{"tiny", func(m, n int) []float64 { return scaled(normal(m+n, m*n), 1e-300) }},
	{"huge", func(m, n int) []float64 { return scaled(normal(m+n, m*n), 1e300) }},
}

func eachRectangle(t *testing.T, f func(t *testing.T, m, n int, a []float64)) {
	for _, c := range rectangles {
		for _, shape := range shapes {
			m, n := shape[0], shape[1]
			if (testing.Short() || m > 1000 && c.name != "random") && max(m, n) > 100 {
				continue
			}
			t.Run(c.name+"/"+name(m, n), func(t *testing.T) { f(t, m, n, c.make(m, n)) })
		}
	}
}

// checkR compares R^T R with A^T A.
func checkR(t *testing.T, m, n int, a, r []float64) {
	t.Helper()
	by := unit(a)
	a = scaled(a, by)
	r = scaled(r, by)
	for i := range n {
		for j := range i {
			if r[i*n+j] != 0 {
				t.Fatalf("element %d, %d below the diagonal is %v", i, j, r[i*n+j])
			}
		}
		if !(r[i*n+i] >= 0) {
			t.Fatalf("diagonal element %d is %v", i, r[i*n+i])
		}
		if i >= m && largest(r[i*n:(i+1)*n]) != 0 {
			t.Fatalf("row %d of R is not zero, A has %d", i, m)
		}
	}
	g := multiply(true, false, n, n, m, a, a)
	atMost(t, "R^T R - A^T A", difference(multiply(true, false, n, n, n, r, r), g), 50*eps*math.Sqrt(float64(m+1))*(largest(g)))
}

func TestQR(t *testing.T) {
	eachRectangle(t, func(t *testing.T, m, n int, a []float64) {
		r := QR(m, n, clone(a))
		checkR(t, m, n, a, r)
		for _, step := range []int{1, 7, 50} {
			if m > 30*step || m <= step {
				continue
			}
			f := NewRFactor(n)
			b := clone(a)
			for i := 0; i < m; i += step {
				f.Add(b[i*n:], min(step, m-i))
			}
			checkR(t, m, n, a, f.R())
		}
	})
}

// Small elements of R are as accurate as A allows, where A^T A would have lost them.
func TestQRKeepsDigits(t *testing.T) {
	const h = 1e-10
	r := QR(3, 2, []float64{1, 1, h, 0, 0, h})
	if want := h * math.Sqrt2; math.Abs(r[3]-want) > 1e-5*want {
		t.Errorf("R[1][1] is %v, want %v", r[3], want)
	}
}

func TestRFactorScales(t *testing.T) {
	f := NewRFactor(2)
	f.Add([]float64{3e-300, 0}, 1)
	f.Add([]float64{4e-300, 0}, 1)
	if r := f.R(); math.Abs(r[0]-5e-300) > 1e-314 {
		t.Errorf("R[0][0] is %v, want 5e-300", r[0])
	}
	f.Add([]float64{3e300, 0, 0, 1}, 2)
	f.Add([]float64{4e300, 0}, 1)
	if r := f.R(); math.Abs(r[0]-5e300) > 1e286 {
		t.Errorf("R[0][0] is %v, want 5e300", r[0])
	}
	f.Add([]float64{1, math.Inf(1)}, 1)
	f.Add([]float64{1, 2}, 1)
	for _, v := range f.R() {
		if v == v {
			t.Fatalf("R is %v after an infinity, want NaN", f.R())
		}
	}
}
