package linalg

import "math"

// Cholesky replaces the lower triangle of a symmetric n x n matrix by L with A = L L^T. The upper
// triangle is neither read nor written. It returns false, with the lower triangle destroyed, when A is
// not positive definite to rounding or holds NaN.
func Cholesky(n int, a []float64) bool {
	check(n, n, a)
	for j := range n {
		for i := j; i < n; i++ {
			sum := a[i*n+j]
			for k := range j {
				sum -= a[i*n+k] * a[j*n+k]
			}
			if i > j {
				a[i*n+j] = sum / a[j*n+j]
				continue
			}
			if !(sum > 0) || math.IsInf(sum, 1) {
				return false
			}
			a[j*n+j] = math.Sqrt(sum)
		}
	}
	return true
}

// CholeskyInverse returns the inverse of A = L L^T, both triangles filled, exactly symmetric. Only the
// lower triangle of l is read.
func CholeskyInverse(n int, l []float64) []float64 {
	inverse := make([]float64, n*n)
	for i := range n {
		inverse[i*n+i] = 1
	}
	SolveLower(n, l, n, inverse)
	SolveLowerTransposed(n, l, n, inverse)
	for i := range n {
		for j := range i {
			inverse[j*n+i] = inverse[i*n+j]
		}
	}
	return inverse
}

// LogDetCholesky returns the logarithm of the determinant of A = L L^T.
func LogDetCholesky(n int, l []float64) float64 {
	check(n, n, l)
	var sum float64
	for i := range n {
		sum += math.Log(l[i*n+i])
	}
	return 2 * sum
}

// SolveLower replaces the n x cols matrix B by the solution X of L X = B. Only the lower triangle of l
// is read. A zero on the diagonal gives infinities or NaN.
func SolveLower(n int, l []float64, cols int, b []float64) {
	check(n, n, l)
	check(n, cols, b)
	for i := range n {
		row := b[i*cols : (i+1)*cols]
		for k := range i {
			for j, v := range b[k*cols : (k+1)*cols] {
				row[j] -= l[i*n+k] * v
			}
		}
		for j := range row {
			row[j] /= l[i*n+i]
		}
	}
}

// SolveLowerTransposed replaces the n x cols matrix B by the solution X of L^T X = B. Only the lower
// triangle of l is read. A zero on the diagonal gives infinities or NaN.
func SolveLowerTransposed(n int, l []float64, cols int, b []float64) {
	check(n, n, l)
	check(n, cols, b)
	for i := n - 1; i >= 0; i-- {
		row := b[i*cols : (i+1)*cols]
		for k := i + 1; k < n; k++ {
			for j, v := range b[k*cols : (k+1)*cols] {
				row[j] -= l[k*n+i] * v
			}
		}
		for j := range row {
			row[j] /= l[i*n+i]
		}
	}
}
