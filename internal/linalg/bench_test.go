package linalg

import (
	"fmt"
	"testing"

	"github.com/collapsar/collapsar/internal/kernel"
	"gonum.org/v1/gonum/mat"
)

// Run with -bench . -benchtime 1x: each case is timed beside gonum's.
func bench(b *testing.B, sizes []int, ours, gonum func(n int) func()) {
	for _, n := range sizes {
		for _, c := range []struct {
			name string
			make func(n int) func()
		}{{"ours", ours}, {"gonum", gonum}} {
			if c.make == nil {
				continue
			}
			b.Run(fmt.Sprintf("%d/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				f := c.make(n)
				for b.Loop() {
					f()
				}
			})
		}
	}
}

var benchSizes = []int{100, 512, 1000, 2048}

// covariance is a random positive definite matrix.
func covariance(n int) []float64 {
	x := normal(n, 2*n*n)
	a := make([]float64, n*n)
	kernel.Syrk64(true, n, 2*n, x, n, a, n)
	return a
}

func BenchmarkCholesky(b *testing.B) {
	bench(b, benchSizes, func(n int) func() {
		a, l := covariance(n), make([]float64, n*n)
		return func() { copy(l, a); Cholesky(n, l) }
	}, func(n int) func() {
		a := mat.NewSymDense(n, covariance(n))
		var c mat.Cholesky
		return func() { c.Factorize(a) }
	})
}

func BenchmarkCholeskyInverse(b *testing.B) {
	bench(b, benchSizes, func(n int) func() {
		l := covariance(n)
		Cholesky(n, l)
		return func() { CholeskyInverse(n, l) }
	}, func(n int) func() {
		var c mat.Cholesky
		c.Factorize(mat.NewSymDense(n, covariance(n)))
		s := mat.NewSymDense(n, nil)
		return func() { c.InverseTo(s) }
	})
}

func BenchmarkSolveLower(b *testing.B) {
	bench(b, benchSizes, func(n int) func() {
		l, x, y := covariance(n), normal(n, n*n), make([]float64, n*n)
		Cholesky(n, l)
		return func() { copy(y, x); SolveLower(n, l, n, y) }
	}, func(n int) func() {
		a := covariance(n)
		Cholesky(n, a)
		l := mat.NewTriDense(n, mat.Lower, a)
		x := mat.NewDense(n, n, normal(n, n*n))
		var y mat.Dense
		return func() { y.Reset(); y.Solve(l, x) }
	})
}

func BenchmarkEigenvalues(b *testing.B) {
	bench(b, benchSizes, func(n int) func() {
		a, w := covariance(n), make([]float64, n*n)
		return func() { copy(w, a); Eigenvalues(n, w) }
	}, func(n int) func() {
		a := mat.NewSymDense(n, covariance(n))
		var e mat.EigenSym
		return func() { e.Factorize(a, false) }
	})
}

func BenchmarkEigenSym(b *testing.B) {
	bench(b, benchSizes, func(n int) func() {
		a, w := covariance(n), make([]float64, n*n)
		return func() { copy(w, a); EigenSym(n, w) }
	}, nil)
	bench(b, []int{100, 512}, nil, func(n int) func() {
		a := mat.NewSymDense(n, covariance(n))
		var e mat.EigenSym
		return func() { e.Factorize(a, true) }
	})
}

func benchSVD(b *testing.B, vectors bool) {
	for _, shape := range [][2]int{{100, 100}, {512, 512}, {1000, 2048}, {2048, 1000}} {
		m, n := shape[0], shape[1]
		x, w := normal(m, m*n), make([]float64, m*n)
		b.Run(fmt.Sprintf("%dx%d/ours", m, n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				copy(w, x)
				if vectors {
					SVD(m, n, w)
				} else {
					SingularValues(m, n, w)
				}
			}
		})
		if m > 512 {
			continue
		}
		b.Run(fmt.Sprintf("%dx%d/gonum", m, n), func(b *testing.B) {
			kind := mat.SVDNone
			if vectors {
				kind = mat.SVDThinV
			}
			var f mat.SVD
			for b.Loop() {
				f.Factorize(mat.NewDense(m, n, x), kind)
			}
		})
	}
}

func BenchmarkSVD(b *testing.B)            { benchSVD(b, true) }
func BenchmarkSingularValues(b *testing.B) { benchSVD(b, false) }

func BenchmarkQR(b *testing.B) {
	for _, shape := range [][2]int{{100, 100}, {512, 512}, {1000, 1000}, {2048, 1000}, {20000, 512}} {
		m, n := shape[0], shape[1]
		x, w := normal(m, m*n), make([]float64, m*n)
		b.Run(fmt.Sprintf("%dx%d/ours", m, n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				copy(w, x)
				QR(m, n, w)
			}
		})
		b.Run(fmt.Sprintf("%dx%d/gonum", m, n), func(b *testing.B) {
			var f mat.QR
			for b.Loop() {
				f.Factorize(mat.NewDense(m, n, x))
			}
		})
	}
}

func BenchmarkGemm(b *testing.B) {
	bench(b, benchSizes, func(n int) func() {
		x, y, c := normal(n, n*n), normal(n, n*n), make([]float64, n*n)
		return func() { kernel.Gemm64(false, false, n, n, n, 1, x, n, y, n, 0, c, n) }
	}, nil)
}
