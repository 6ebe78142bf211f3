package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/internal/kernel"
)

const eps = 0x1p-52

// sizes are those over which the invariants are tested.
var sizes = []int{0, 1, 2, 3, 5, 10, 33, 64, 65, 100, 200, 300}

func newRand(seed int) *rand.Rand { return rand.New(rand.NewPCG(7, uint64(seed))) }

func normal(seed, count int) []float64 {
	r := newRand(seed)
	a := make([]float64, count)
	for i := range a {
		a[i] = r.NormFloat64()
	}
	return a
}

func clone(a []float64) []float64 { return append([]float64(nil), a...) }

func multiply(transA, transB bool, m, n, k int, a, b []float64) []float64 {
	c := make([]float64, m*n)
	lda, ldb := k, n
	if transA {
		lda = m
	}
	if transB {
		ldb = k
	}
	kernel.Gemm64(transA, transB, m, n, k, 1, a, max(lda, 1), b, max(ldb, 1), 0, c, max(n, 1))
	return c
}

// difference is the largest magnitude of a - b; NaN counts as infinite.
func difference(a, b []float64) float64 {
	var top float64
	for i, v := range a {
		d := math.Abs(v - b[i])
		if d != d {
			return math.Inf(1)
		}
		top = max(top, d)
	}
	return top
}

// offIdentity is the largest magnitude of V V^T - I.
func offIdentity(rows, n int, v []float64) float64 {
	g := multiply(false, true, rows, rows, n, v, v)
	for i := range rows {
		g[i*rows+i]--
	}
	return difference(g, make([]float64, len(g)))
}

func descending(s []float64) bool {
	for i := 1; i < len(s); i++ {
		if !(s[i] <= s[i-1]) {
			return false
		}
	}
	return true
}

var orthonormals = map[[2]int][]float64{}

// orthonormal returns an n x n orthonormal matrix, by Gram-Schmidt taken twice.
func orthonormal(seed, n int) []float64 {
	if q, ok := orthonormals[[2]int{seed, n}]; ok {
		return clone(q)
	}
	q := normal(seed, n*n)
	for i := range n {
		row := q[i*n : (i+1)*n]
		for range 2 {
			for j := range i {
				other := q[j*n : (j+1)*n]
				kernel.Axpy64(row, -kernel.Dot64(row, other), other)
			}
			kernel.Scale64(row, 1/math.Sqrt(kernel.SumSquares64(row)))
		}
	}
	orthonormals[[2]int{seed, n}] = clone(q)
	return q
}

// withSpectrum returns Q diag(values) Q^T, exactly symmetric.
func withSpectrum(seed int, values []float64) []float64 {
	n := len(values)
	q := orthonormal(seed, n)
	scaled := clone(q)
	for j := range n {
		kernel.Scale64(scaled[j*n:(j+1)*n], values[j])
	}
	a := multiply(true, false, n, n, n, q, scaled)
	symmetrise(n, a)
	return a
}

func symmetrise(n int, a []float64) {
	for i := range n {
		for j := range i {
			a[i*n+j] = a[j*n+i]
		}
	}
}

func scaled(a []float64, by float64) []float64 {
	b := clone(a)
	for i := range b {
		b[i] *= by
	}
	return b
}

func geometric(n int, last float64) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = math.Pow(last, float64(i)/float64(max(n-1, 1)))
	}
	return s
}

func simplexGram(n int) []float64 {
	a := make([]float64, n*n)
	for i := range a {
		a[i] = -1 / float64(n)
	}
	for i := range n {
		a[i*n+i]++
	}
	return a
}

type class struct {
	name string
	make func(n int) []float64
}

// symmetric are the classes of symmetric matrices.
var symmetric = []class{
	{"random", func(n int) []float64 { a := normal(n, n*n); symmetrise(n, a); return a }},
	{"graded", func(n int) []float64 { return withSpectrum(n, geometric(n, 1e-14)) }},
	{"scaled rows", func(n int) []float64 {
		a := normal(n, n*n)
		symmetrise(n, a)
		g := geometric(n, 1e-12)
		for i := range a {
			a[i] *= g[i/n] * g[i%n]
		}
		return a
	}},
	{"low rank", func(n int) []float64 {
		r := min(n, 7)
		b := normal(n, n*r)
		a := multiply(false, true, n, n, r, b, b)
		symmetrise(n, a)
		return a
	}},
	{"zero", func(n int) []float64 { return make([]float64, n*n) }},
	{"identity", func(n int) []float64 {
		a := make([]float64, n*n)
		for i := range n {
			a[i*n+i] = 1
		}
		return a
	}},
	{"diagonal", func(n int) []float64 {
		a := make([]float64, n*n)
		for i := range n {
			a[i*n+i] = math.Sin(float64(5 * i))
		}
		return a
	}},
	{"duplicates", func(n int) []float64 {
		s := make([]float64, n)
		for i := range s {
			s[i] = float64(i%3) - 1
		}
		return withSpectrum(n, s)
	}},
	{"glued", func(n int) []float64 { // blocks with nearly equal spectra, weakly coupled
		a := make([]float64, n*n)
		for i := range n {
			a[i*n+i] = math.Abs(float64(i%21) - 10)
			if i > 0 {
				c := 1.0
				if i%21 == 0 {
					c = 1e-9
				}
				a[i*n+i-1], a[(i-1)*n+i] = c, c
			}
		}
		return a
	}},
	{"zero rows", func(n int) []float64 {
		a := normal(n, n*n)
		symmetrise(n, a)
		for i := range n {
			for j := range n {
				if i%4 == 1 || j%4 == 1 {
					a[i*n+j] = 0
				}
			}
		}
		return a
	}},
	{"simplex", simplexGram},
	{"tiny", func(n int) []float64 { a := normal(n, n*n); symmetrise(n, a); return scaled(a, 1e-300) }},
	{"huge", func(n int) []float64 { a := normal(n, n*n); symmetrise(n, a); return scaled(a, 1e300) }},
}

func each(t *testing.T, classes []class, f func(t *testing.T, n int, a []float64)) {
	for _, c := range classes {
		for _, n := range sizes {
			if testing.Short() && n > 100 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", c.name, n), func(t *testing.T) { f(t, n, c.make(n)) })
		}
	}
}

// atMost fails the test if the value is above the bound or NaN.
func atMost(t *testing.T, what string, value, bound float64) {
	t.Helper()
	if !(value <= bound) {
		t.Errorf("%s: %.3g, want at most %.3g", what, value, bound)
	}
}

// unit returns the power of two by which a is to be multiplied for a largest magnitude near 1.
func unit(a []float64) float64 {
	top := largest(a)
	if top == 0 {
		return 1
	}
	_, e := math.Frexp(top)
	return math.Ldexp(1, -e)
}

func name(m, n int) string { return fmt.Sprintf("%dx%d", m, n) }
