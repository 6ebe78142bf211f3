// Package linalg is the small dense linear algebra behind the metrics: symmetric eigenvalues, singular
// values, QR and Cholesky factors of matrices of up to a few thousand rows.
//
// Matrices are row-major []float64 without gaps: an m x n matrix is m*n numbers, row i begins at i*n.
// Vectors that belong to values (eigenvectors, singular vectors) are rows. Values are in descending
// order. Lengths that do not fit the shape panic; numbers never do: what NaN, infinities and singular
// matrices give is written at each function.
//
// Work is divided over the pool of internal/parallel. The bits of a result depend on the kernel level
// and the shape, not on the number of workers.
package linalg

import (
	"errors"
	"math"

	"github.com/collapsar/collapsar/internal/parallel"
)

// ErrNotFinite is returned for a matrix that holds NaN or an infinity.
var ErrNotFinite = errors.New("linalg: matrix holds NaN or an infinity")

// check panics unless a holds rows*cols numbers.
func check(rows, cols int, a []float64) {
	if rows < 0 || cols < 0 || len(a) < rows*cols {
		panic("linalg: matrix is shorter than its shape")
	}
}

// largest returns the largest magnitude in a, NaN if there is a NaN.
func largest(a []float64) float64 {
	var top float64
	for _, v := range a {
		if v = math.Abs(v); !(v <= top) {
			top = v
			if v != v {
				return v
			}
		}
	}
	return top
}

func finite(v float64) bool { return v-v == 0 }

func fill(a []float64, v float64) {
	for i := range a {
		a[i] = v
	}
}

// normalise multiplies a by a power of two that brings its largest magnitude near 1, and returns the
// power that undoes it; ok is false for a matrix with NaN or an infinity, which is left alone. What is
// smaller than 1e-300 times the largest element may lose digits or vanish.
func normalise(a []float64) (undo float64, ok bool) {
	top := largest(a)
	switch {
	case !finite(top):
		return 0, false
	case top == 0 || top >= 0x1p-10 && top <= 0x1p10:
		return 1, true
	}
	_, e := math.Frexp(top)
	e = min(max(e, -1000), 1000) // so that both factors are finite
	by := math.Ldexp(1, -e)
	for i := range a {
		a[i] *= by
	}
	return math.Ldexp(1, e), true
}

func scale(a []float64, by float64) {
	if by != 1 {
		for i := range a {
			a[i] *= by
		}
	}
}

// transpose returns the transpose of an m x n matrix.
func transpose(m, n int, a []float64) []float64 {
	t := make([]float64, m*n)
	const side = 32
	parallel.For((n+side-1)/side, func(_, item int) {
		from, to := item*side, min(n, (item+1)*side)
		for top := 0; top < m; top += side {
			for j := from; j < to; j++ {
				row := t[j*m : (j+1)*m]
				for i := top; i < min(m, top+side); i++ {
					row[i] = a[i*n+j]
				}
			}
		}
	})
	return t
}
