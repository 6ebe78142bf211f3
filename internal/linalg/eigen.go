package linalg

import (
	"cmp"
	"math"
	"slices"
)

// Eigenvalues returns the eigenvalues of a symmetric n x n matrix in descending order. Both triangles
// of a must be filled; a is destroyed. The error of each is a small multiple of eps times the largest
// magnitude, about 20 eps at n = 300; zero rows give eigenvalues that are exactly zero. A matrix with
// NaN or an infinity gives n NaN. It costs 4/3 n^3 operations, half of them at the speed at which the
// matrix can be read.
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
	kept := nonzero(n, a)
	r := len(kept)
	d, e, _ := tridiagonalise(r, a[:r*r])
	if !tridiagonalValues(d, e) {
		fill(values, math.NaN())
		return values
	}
	copy(values, d)
	slices.SortFunc(values, func(x, y float64) int { return cmp.Compare(y, x) })
	scale(values, undo)
	return values
}

// nonzero moves the rows and columns of a that are not zero together and returns their numbers.
func nonzero(n int, a []float64) (kept []int) {
	for i := range n {
		for _, v := range a[i*n : (i+1)*n] {
			if v != 0 {
				kept = append(kept, i)
				break
			}
		}
	}
	if r := len(kept); r < n {
		for i, from := range kept {
			for j, col := range kept {
				a[i*r+j] = a[from*n+col]
			}
		}
	}
	return kept
}

// EigenSym returns the eigenvalues of a symmetric n x n matrix in descending order and orthonormal
// eigenvectors, one per row: vectors[j*n:(j+1)*n] belongs to values[j]. Both triangles of a must be
// filled; a is destroyed. Values are as accurate as those of [Eigenvalues], and vectors orthonormal and
// A v - value v small to the same extent. A matrix with NaN or an infinity gives NaN throughout. It
// costs about twice the time of the values, and five more matrices of memory.
func EigenSym(n int, a []float64) (values []float64, vectors []float64) {
	check(n, n, a)
	values, vectors = make([]float64, n), make([]float64, n*n)
	undo, ok := normalise(a[:n*n])
	if !ok {
		fill(values, math.NaN())
		fill(vectors, math.NaN())
		return values, vectors
	}
	kept := nonzero(n, a)
	r := len(kept)
	d, e, tau := tridiagonalise(r, a[:r*r])
	z := make([]float64, r*r)
	tridiagonalVectors(d, e, z)
	reflectRows(r, r, a, 1, max(r-1, 0), tau, z)

	// Ascending values become descending, and the zero rows take their places.
	zeros := make([]int, 0, n-r)
	for i, next := 0, 0; i < n; i++ {
		if next < r && kept[next] == i {
			next++
		} else {
			zeros = append(zeros, i)
		}
	}
	j := 0
	for i := r - 1; i >= 0 || len(zeros) > 0; j++ {
		row := vectors[j*n : (j+1)*n]
		if len(zeros) > 0 && (i < 0 || d[i] < 0) {
			row[zeros[0]] = 1
			zeros = zeros[1:]
			continue
		}
		values[j] = d[i] * undo
		for q, v := range z[i*r : (i+1)*r] {
			row[kept[q]] = v
		}
		i--
	}
	return values, vectors
}
