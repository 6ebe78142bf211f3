package kernel

import "github.com/collapsar/collapsar/internal/parallel"

// Gemm32 forms a matrix product, for row-major slices with the given row lengths (lda, ldb, ldc):
//
//	C = alpha op(A) op(B) + beta C
//
// op(A) is m x k: A itself (m x k), or the transpose of A (k x m) if transA. op(B) is k x n: B
// (k x n), or the transpose of B (n x k) if transB. C is m x n. With beta 0, C is written and never
// read. C must not overlap A or B. The work is divided over the pool; the bits of the result depend
// on the level and the shape, not on the number of workers.
func Gemm32(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	gemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Gemm64 is [Gemm32] for float64.
func Gemm64(transA, transB bool, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	gemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Syrk32 forms the product of a matrix with its own transpose and fills both triangles of the
// n x n result: C = A A^T for A n x k, or C = A^T A for A k x n if trans.
func Syrk32(trans bool, n, k int, a []float32, lda int, c []float32, ldc int) {
	gemm(trans, !trans, n, n, k, 1, a, lda, a, lda, 0, c, ldc)
}

// Syrk64 is [Syrk32] for float64.
func Syrk64(trans bool, n, k int, a []float64, lda int, c []float64, ldc int) {
	gemm(trans, !trans, n, n, k, 1, a, lda, a, lda, 0, c, ldc)
}

func gemm[T float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	parallel.For(m, func(_, i int) {
		for j := range n {
			var s T
			for p := range k {
				x, y := i*lda+p, p*ldb+j
				if transA {
					x = p*lda + i
				}
				if transB {
					y = j*ldb + p
				}
				s += T(a[x] * b[y])
			}
			s *= alpha
			if beta != 0 {
				s += T(beta * c[i*ldc+j])
			}
			c[i*ldc+j] = s
		}
	})
}

// A Panel32 is a right operand, packed once and used for many products.
type Panel32 struct {
	n, k int
	b    []float32
}

// NewPanel32 packs B, n x k, row-major with row length ldb, for use as B^T. B may be changed
// afterwards.
func NewPanel32(n, k int, b []float32, ldb int) *Panel32 {
	p := &Panel32{n: n, k: k, b: make([]float32, n*k)}
	for i := range n {
		copy(p.b[i*k:(i+1)*k], b[i*ldb:])
	}
	return p
}

// Mul writes the product of A (m x k) and B^T to C (m x n). It runs on the calling goroutine alone;
// several goroutines may use one panel at the same time for different C.
func (p *Panel32) Mul(c []float32, ldc int, a []float32, lda int, m int) {
	mul(c, ldc, a, lda, m, p.n, p.k, p.b)
}

// A Panel64 is a [Panel32] for float64.
type Panel64 struct {
	n, k int
	b    []float64
}

// NewPanel64 is [NewPanel32] for float64.
func NewPanel64(n, k int, b []float64, ldb int) *Panel64 {
	p := &Panel64{n: n, k: k, b: make([]float64, n*k)}
	for i := range n {
		copy(p.b[i*k:(i+1)*k], b[i*ldb:])
	}
	return p
}

// Mul is [Panel32.Mul] for float64.
func (p *Panel64) Mul(c []float64, ldc int, a []float64, lda int, m int) {
	mul(c, ldc, a, lda, m, p.n, p.k, p.b)
}

func mul[T float](c []T, ldc int, a []T, lda, m, n, k int, b []T) {
	for i := range m {
		x := a[i*lda : i*lda+k]
		for j := range n {
			y := b[j*k : j*k+k]
			var s T
			for p, v := range x {
				s += T(v * y[p])
			}
			c[i*ldc+j] = s
		}
	}
}
