package linalg

import "gonum.org/v1/gonum/mat"

// QR returns the triangular factor of an m x n matrix A: the upper triangular n x n matrix R with
// non-negative diagonal and R^T R = A^T A, its last rows zero when m < n. It is formed by Householder
// reflections, so it keeps the digits that A^T A loses. a is destroyed. NaN and infinities in a give
// NaN in R.
func QR(m, n int, a []float64) (r []float64) {
	check(m, n, a)
	r = make([]float64, n*n)
	if m == 0 || n == 0 {
		return r
	}
	rows := max(m, n)
	d := mat.NewDense(rows, n, nil)
	copy(d.RawMatrix().Data, a[:m*n])
	var f mat.QR
	f.Factorize(d)
	var t mat.Dense
	f.RTo(&t)
	for i := range n {
		sign := 1.0
		if t.At(i, i) < 0 {
			sign = -1
		}
		for j := i; j < n; j++ {
			r[i*n+j] = sign * t.At(i, j)
		}
	}
	return r
}

// An RFactor is the triangular factor of a matrix whose rows arrive in blocks.
type RFactor struct {
	n int
	r []float64
}

// NewRFactor returns the factor of a matrix of n columns and no rows.
func NewRFactor(n int) *RFactor { return &RFactor{n: n, r: make([]float64, n*n)} }

// Add appends count rows to the matrix. rows is destroyed. The result depends on how the rows are
// divided into calls, by rounding.
func (f *RFactor) Add(rows []float64, count int) {
	n := f.n
	check(count, n, rows)
	stack := make([]float64, 0, (n+count)*n)
	stack = append(append(stack, f.r...), rows[:count*n]...)
	f.r = QR(n+count, n, stack)
}

// R returns the factor as [QR] does: upper triangular, n x n, the diagonal non-negative. It is the
// RFactor's own storage.
func (f *RFactor) R() []float64 { return f.r }
