package linalg

import (
	"cmp"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
)

// SVD returns the thin singular value decomposition of an m x n matrix without its left vectors: the
// r = min(m, n) singular values in descending order, and r right singular vectors of length n as
// rows, orthonormal whatever the rank. Every value, also a small one, has an error of a few eps times
// the largest, and so has the length of A v - s u. a is destroyed. The error is ErrNotFinite for a
// matrix with NaN or an infinity. It costs a QR factorisation and about two EigenSym of size r; up to
// some four of them for a spectrum that falls all the way to eps.
func SVD(m, n int, a []float64) (s []float64, v []float64, err error) {
	return Leading(m, n, min(m, n), a)
}

// Leading returns the first r of the singular values and vectors that [SVD] returns. What is below a sixteenth of the last of them
// is not looked at further, which saves half the time where most of the matrix is small. a is destroyed.
func Leading(m, n, r int, a []float64) (s []float64, v []float64, err error) {
	check(m, n, a)
	r = min(r, m, n)
	a = a[:m*n]
	undo, ok := normalise(a)
	if !ok {
		return nil, nil, ErrNotFinite
	}
	if r == 0 {
		return nil, nil, nil
	}
	if m >= n {
		square := a
		if m > n {
			square = QR(m, n, a)
		}
		s, v = decompose(n, r, transpose(n, n, square))
	} else {
		// A = L Q with Q = (H_0 H_1 ...)^T; the right vectors of A are those of L times Q.
		diagonal, tau := lq(m, n, a)
		var w []float64
		s, w = decompose(m, r, transpose(m, m, lower(0, m, n, diagonal, a)))
		v = make([]float64, r*n)
		for j := range r {
			copy(v[j*n:], w[j*m:(j+1)*m])
		}
		reflectRows(r, n, a, 0, m, tau, v)
	}
	scale(s, undo)
	return s, v, nil
}

// SingularValues returns the min(m, n) singular values of an m x n matrix in descending order, with
// the accuracy, the errors and the cost of [SVD]. a is destroyed.
func SingularValues(m, n int, a []float64) ([]float64, error) {
	s, _, err := SVD(m, n, a)
	return s, err
}

// lower returns rows and columns [from, m) of the L that lq has left in a, as a square matrix.
func lower(from, m, n int, diagonal, a []float64) []float64 {
	k := m - from
	l := make([]float64, k*k)
	for i := range k {
		copy(l[i*k:i*k+i], a[(from+i)*n+from:])
		l[i*k+i] = diagonal[from+i]
	}
	return l
}

// settled is how far the singular values may fall within a block that is decomposed at once.
const settled = 1.0 / 16

// decompose returns the first r singular values of the k x k matrix X, descending, and its left singular
// vectors as rows. x is destroyed.
//
// The eigenvectors V of X X^T make the rows of V X nearly orthogonal, but only to eps times the square
// of the largest value; so the eigenvalues know nothing of values below sqrt(eps). The rows are right
// where their length is near the largest: the triangle L of the LQ factorisation of V X is diagonal
// there to about eps/settled. The remaining rows and columns of L are a matrix of their own, of the size of
// the small values, without error beyond eps times the largest: they are decomposed in the same way.
// A spectrum without small values takes one round.
func decompose(k, r int, x []float64) (s, v []float64) {
	s = make([]float64, k)
	unit, first := 1.0, 0.0 // x times unit is the true block; the largest element of all
	done := 0
	for done < r {
		left := k - done
		undo, ok := normalise(x)
		unit *= undo
		size := unit * largest(x)
		if done == 0 {
			first = size
		}
		if !ok || size == 0 {
			if done == 0 {
				v = identity(k)
			}
			break
		}
		g := make([]float64, left*left)
		kernel.Syrk64(false, left, left, x, left, g, left)
		_, u := EigenSym(left, g)
		w := g
		kernel.Gemm64(false, false, left, left, left, 1, u, left, x, left, 0, w, left)
		if done == 0 {
			v = u
		} else {
			old := append([]float64(nil), v[done*k:]...)
			kernel.Gemm64(false, false, left, k, left, 1, u, left, old, k, 0, v[done*k:], k)
		}
		diagonal, _ := lq(left, left, w)
		cut := 1
		for cut < left && math.Abs(diagonal[cut]) > settled*math.Abs(diagonal[0]) {
			cut++
		}
		if size <= 4*ulp*first {
			cut = left // rounding of the larger values, nothing to be resolved
		}
		for j := range cut {
			s[done+j] = math.Abs(diagonal[j]) * unit
		}
		x = lower(cut, left, left, diagonal, w)
		done += cut
	}
	s, v = sorted(k, s[:max(done, r)], v) // what is left where the loop was broken off is 0
	return s[:r], v[:r*k]
}

// sorted puts values in descending order, and their rows, of length k, with them.
func sorted(k int, s, v []float64) ([]float64, []float64) {
	if slices.IsSortedFunc(s, func(x, y float64) int { return cmp.Compare(y, x) }) {
		return s, v
	}
	order := make([]int, len(s))
	for j := range order {
		order[j] = j
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(s[j], s[i]) })
	values, rows := make([]float64, len(s)), make([]float64, 0, len(s)*k)
	for j, from := range order {
		values[j] = s[from]
		rows = append(rows, v[from*k:(from+1)*k]...)
	}
	return values, rows
}

func identity(n int) []float64 {
	a := make([]float64, n*n)
	for i := range n {
		a[i*n+i] = 1
	}
	return a
}
