package linalg

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Eigenvalues returns the eigenvalues of a symmetric n x n matrix in descending order. Both triangles
// of a must be filled; a is destroyed. The error of each is a few eps times the largest magnitude;
// zero rows give eigenvalues that are exactly zero. A matrix with NaN or an infinity gives n NaN.
func Eigenvalues(n int, a []float64) []float64 {
	check(n, n, a)
	values := make([]float64, n)
	if n == 0 {
		return values
	}
	undo, ok := normalise(a[:n*n])
	if !ok {
		fill(values, math.NaN())
		return values
	}
	var e mat.EigenSym
	if !e.Factorize(mat.NewSymDense(n, a[:n*n]), false) {
		fill(values, math.NaN())
		return values
	}
	e.Values(values)
	slices.Reverse(values)
	scale(values, undo)
	return values
}

// EigenSym returns the eigenvalues of a symmetric n x n matrix in descending order and orthonormal
// eigenvectors, one per row: vectors[j*n:(j+1)*n] belongs to values[j]. Both triangles of a must be
// filled; a is destroyed. A matrix with NaN or an infinity gives NaN throughout.
func EigenSym(n int, a []float64) (values []float64, vectors []float64) {
	check(n, n, a)
	values, vectors = make([]float64, n), make([]float64, n*n)
	if n == 0 {
		return values, vectors
	}
	undo, ok := normalise(a[:n*n])
	var e mat.EigenSym
	if !ok || !e.Factorize(mat.NewSymDense(n, a[:n*n]), true) {
		fill(values, math.NaN())
		fill(vectors, math.NaN())
		return values, vectors
	}
	e.Values(values)
	slices.Reverse(values)
	scale(values, undo)
	var v mat.Dense
	e.VectorsTo(&v)
	for j := range n {
		for i := range n {
			vectors[j*n+i] = v.At(i, n-1-j)
		}
	}
	return values, vectors
}
