package linalg

import (
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// The routines of this file halve their matrix until triangle rows are left and leave the rest to
// Gemm64.
const (
	triangle = 32
	strip    = 256 // columns per item of a triangular solve
)

// half is where a matrix of n > triangle rows is cut: a multiple of triangle.
func half(n int) int { return (n/triangle + 1) / 2 * triangle }

// Cholesky replaces a symmetric n x n matrix A by the lower triangular L with A = L L^T. Only the
// lower triangle is read; on return the upper one is zero. It returns false, with a destroyed, when A
// is not positive definite to rounding, that is when a pivot is at most n eps times the diagonal
// element of A in its place, or when A holds NaN. It costs n^3/3 operations.
func Cholesky(n int, a []float64) bool {
	check(n, n, a)
	floor := make([]float64, n)
	for i := range floor {
		floor[i] = float64(n) * 0x1p-52 * a[i*n+i]
	}
	if !cholesky(n, a, n, floor) {
		return false
	}
	for i := range n {
		clear(a[i*n+i+1 : (i+1)*n])
	}
	return true
}

func cholesky(n int, a []float64, ld int, floor []float64) bool {
	if n <= triangle {
		for j := range n {
			row := a[j*ld : j*ld+j+1]
			for k := range j {
				other := a[k*ld : k*ld+k+1]
				row[k] = (row[k] - dot(row[:k], other)) / other[k]
			}
			pivot := row[j] - dot(row[:j], row)
			if !(pivot > floor[j]) || math.IsInf(pivot, 1) {
				return false
			}
			row[j] = math.Sqrt(pivot)
		}
		return true
	}
	p := half(n)
	below, corner := a[p*ld:], a[p*ld+p:]
	if !cholesky(p, a, ld, floor[:p]) {
		return false
	}
	solveRight(n-p, p, a, ld, below, ld)
	downdate(n-p, p, below, ld, corner, ld)
	return cholesky(n-p, corner, ld, floor[p:])
}

// dot is for vectors so short that a call costs more than the loop.
func dot(x, y []float64) float64 {
	var s float64
	y = y[:len(x)]
	for i, v := range x {
		s += float64(v * y[i])
	}
	return s
}

// downdate subtracts X X^T, X n x k, from the lower triangle of C; a little of what lies above the
// diagonal is destroyed.
func downdate(n, k int, x []float64, ldx int, c []float64, ldc int) {
	if n <= 4*triangle {
		kernel.Gemm64(false, true, n, n, k, -1, x, ldx, x, ldx, 1, c, ldc)
		return
	}
	p := half(n)
	downdate(p, k, x, ldx, c, ldc)
	kernel.Gemm64(false, true, n-p, p, k, -1, x[p*ldx:], ldx, x, ldx, 1, c[p*ldc:], ldc)
	downdate(n-p, k, x[p*ldx:], ldx, c[p*ldc+p:], ldc)
}

// solveRight replaces the m x n matrix B by the solution X of X L^T = B.
func solveRight(m, n int, l []float64, ldl int, b []float64, ldb int) {
	if n <= triangle {
		const rows = 16
		parallel.Ranges(m, rows, func(from, to int) {
			for i := from; i < to; i++ {
				row := b[i*ldb : i*ldb+n]
				for j := range row {
					other := l[j*ldl : j*ldl+j+1]
					row[j] = (row[j] - dot(row[:j], other)) / other[j]
				}
			}
		})
		return
	}
	p := half(n)
	solveRight(m, p, l, ldl, b, ldb)
	kernel.Gemm64(false, true, m, n-p, p, -1, b, ldb, l[p*ldl:], ldl, 1, b[p:], ldb)
	solveRight(m, n-p, l[p*ldl+p:], ldl, b[p:], ldb)
}

// SolveLower replaces the n x cols matrix B by the solution X of L X = B. Only the lower triangle of l
// is read. A zero on the diagonal gives infinities or NaN. It costs n^2 cols operations.
func SolveLower(n int, l []float64, cols int, b []float64) {
	check(n, n, l)
	check(n, cols, b)
	if n > 0 && cols > 0 {
		solveLower(n, l, n, cols, b, cols)
	}
}

func solveLower(n int, l []float64, ldl, cols int, b []float64, ldb int) {
	if n <= triangle {
		parallel.Ranges(cols, strip, func(from, to int) {
			for i := range n {
				row := b[i*ldb+from : i*ldb+to]
				for k := range i {
					kernel.Axpy64(row, -l[i*ldl+k], b[k*ldb+from:k*ldb+to])
				}
				divide(row, l[i*ldl+i])
			}
		})
		return
	}
	p := half(n)
	solveLower(p, l, ldl, cols, b, ldb)
	kernel.Gemm64(false, false, n-p, cols, p, -1, l[p*ldl:], ldl, b, ldb, 1, b[p*ldb:], ldb)
	solveLower(n-p, l[p*ldl+p:], ldl, cols, b[p*ldb:], ldb)
}

// SolveLowerTransposed replaces the n x cols matrix B by the solution X of L^T X = B. Only the lower
// triangle of l is read. A zero on the diagonal gives infinities or NaN. It costs n^2 cols operations.
func SolveLowerTransposed(n int, l []float64, cols int, b []float64) {
	check(n, n, l)
	check(n, cols, b)
	if n > 0 && cols > 0 {
		solveLowerTransposed(n, l, n, cols, b, cols)
	}
}

func solveLowerTransposed(n int, l []float64, ldl, cols int, b []float64, ldb int) {
	if n <= triangle {
		parallel.Ranges(cols, strip, func(from, to int) {
			for i := n - 1; i >= 0; i-- {
				row := b[i*ldb+from : i*ldb+to]
				for k := i + 1; k < n; k++ {
					kernel.Axpy64(row, -l[k*ldl+i], b[k*ldb+from:k*ldb+to])
				}
				divide(row, l[i*ldl+i])
			}
		})
		return
	}
	p := half(n)
	solveLowerTransposed(n-p, l[p*ldl+p:], ldl, cols, b[p*ldb:], ldb)
	kernel.Gemm64(true, false, p, cols, n-p, -1, l[p*ldl:], ldl, b[p*ldb:], ldb, 1, b, ldb)
	solveLowerTransposed(p, l, ldl, cols, b, ldb)
}

func divide(x []float64, by float64) {
	if r := 1 / by; finite(r) {
		kernel.Scale64(x, r)
		return
	}
	for i := range x {
		x[i] /= by
	}
}

// CholeskyInverse returns the inverse of A = L L^T, both triangles filled, exactly symmetric. Only the
// lower triangle of l is read. A zero on the diagonal gives infinities or NaN.
func CholeskyInverse(n int, l []float64) []float64 {
	check(n, n, l)
	inverse := make([]float64, n*n)
	if n == 0 {
		return inverse
	}
	w := make([]float64, n*n)
	invertLower(n, l, n, w)
	kernel.Syrk64(true, n, n, w, n, inverse, n)
	return inverse
}

// invertLower writes the inverse of L to the lower triangle of w, which is zero; both have row length
// ld.
func invertLower(n int, l []float64, ld int, w []float64) {
	if n <= triangle {
		for i := range n {
			w[i*ld+i] = 1
		}
		solveLower(n, l, ld, n, w, ld)
		return
	}
	p := half(n)
	invertLower(p, l, ld, w)
	kernel.Gemm64(false, false, n-p, p, p, -1, l[p*ld:], ld, w, ld, 0, w[p*ld:], ld)
	solveLower(n-p, l[p*ld+p:], ld, p, w[p*ld:], ld)
	invertLower(n-p, l[p*ld+p:], ld, w[p*ld+p:])
}

// LogDetCholesky returns the logarithm of the determinant of A = L L^T, 0 for n = 0.
func LogDetCholesky(n int, l []float64) float64 {
	check(n, n, l)
	var sum float64
	for i := range n {
		sum += math.Log(l[i*n+i])
	}
	return 2 * sum
}
