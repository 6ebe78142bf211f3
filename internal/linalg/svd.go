package linalg

import "gonum.org/v1/gonum/mat"

// SVD returns the thin singular value decomposition of an m x n matrix without its left vectors: the
// r = min(m, n) singular values in descending order, and r right singular vectors of length n as
// rows, orthonormal whatever the rank. The error of a value is a few eps times the largest, also for
// the small ones. a is destroyed. The error is ErrNotFinite for a matrix with NaN or an infinity.
func SVD(m, n int, a []float64) (s []float64, v []float64, err error) {
	check(m, n, a)
	r := min(m, n)
	s, v = make([]float64, r), make([]float64, r*n)
	if r == 0 {
		return s, v, nil
	}
	undo, ok := normalise(a[:m*n])
	if !ok {
		return nil, nil, ErrNotFinite
	}
	var f mat.SVD
	if !f.Factorize(mat.NewDense(m, n, a[:m*n]), mat.SVDThinV) {
		return nil, nil, ErrNoConvergence
	}
	f.Values(s)
	scale(s, undo)
	var d mat.Dense
	f.VTo(&d)
	for j := range r {
		for i := range n {
			v[j*n+i] = d.At(i, j)
		}
	}
	return s, v, nil
}

// SingularValues returns the min(m, n) singular values of an m x n matrix in descending order, with
// the accuracy and the errors of [SVD]. a is destroyed.
func SingularValues(m, n int, a []float64) ([]float64, error) {
	check(m, n, a)
	s := make([]float64, min(m, n))
	if len(s) == 0 {
		return s, nil
	}
	undo, ok := normalise(a[:m*n])
	if !ok {
		return nil, ErrNotFinite
	}
	var f mat.SVD
	if !f.Factorize(mat.NewDense(m, n, a[:m*n]), mat.SVDNone) {
		return nil, ErrNoConvergence
	}
	f.Values(s)
	scale(s, undo)
	return s, nil
}
