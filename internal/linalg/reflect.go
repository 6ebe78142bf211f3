package linalg

import (
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// A reflection is H = I - tau v v^T with v[0] = 1. Products of them are taken in panels as
// H_0 H_1 ... = I - V T V^T, with the vectors in the rows of V^T and T upper triangular, so that most
// of the work is in Gemm64.

// panel is the number of reflections that are gathered before the rest of a matrix is updated.
const panel = 32

// reflector returns the reflection that maps the vector (alpha, rest) to (beta, 0); rest becomes the
// rest of v.
func reflector(alpha float64, rest []float64) (beta, tau float64) {
	sum := kernel.SumSquares64(rest)
	if sum == 0 {
		clear(rest)
		return alpha, 0
	}
	beta = -math.Copysign(math.Sqrt(float64(alpha*alpha)+sum), alpha)
	divide(rest, alpha-beta)
	return beta, (beta - alpha) / beta
}

// accumulate writes T to the upper triangle of the square matrix t of row length panel, and zeros
// below it. The vectors are the rows of v, of length cols; of each pair only the inner product counts,
// so that components in which no two of them overlap may be left out.
func accumulate(count, cols int, v, tau, t []float64) {
	var inner [panel * panel]float64
	kernel.Gemm64(false, true, count, count, cols, 1, v, cols, v, cols, 0, inner[:], panel)
	for j := range count {
		for i := range count {
			t[i*panel+j] = 0
		}
		for i := range j {
			var s float64
			for k := i; k < j; k++ {
				s += float64(t[i*panel+k] * inner[k*panel+j])
			}
			t[i*panel+j] = -tau[j] * s
		}
		t[j*panel+j] = tau[j]
	}
}

// lq reduces the m x n matrix A to the lower triangular (or, for m > n, trapezoidal) L = A H_0 H_1 ...
// by min(m, n) reflections: the part of L left of the diagonal is left in a, its diagonal is returned,
// and the vector of H_j is left in row j from the diagonal on.
func lq(m, n int, a []float64) (diagonal, tau []float64) {
	steps := min(m, n)
	diagonal, tau = make([]float64, steps), make([]float64, steps)
	p := newPanels(m, n)
	for start := 0; start < steps; start += panel {
		end := min(start+panel, steps)
		for j := start; j < end; j++ {
			v := a[j*n+j : (j+1)*n]
			diagonal[j], tau[j] = reflector(v[0], v[1:])
			v[0] = 1
			if tau[j] == 0 {
				continue
			}
			below := end - j - 1
			workers := 1
			if below*(n-j) > 1<<14 {
				workers = parallel.Workers()
			}
			parallel.Each(workers, below, func(_, i int) {
				row := a[(j+1+i)*n+j : (j+2+i)*n]
				kernel.Axpy64(row, -tau[j]*kernel.Dot64(row, v), v)
			})
		}
		if end < m {
			p.load(n, a, 0, start, end-start, tau)
			p.apply(false, m-end, n, a[end*n:])
		}
	}
	return diagonal, tau
}

// reflectRows multiplies the rows of the m x n matrix z by (H_0 H_1 ... )^T, count reflections whose
// vectors are in the rows of a, of length n, that of H_j beginning in column j+offset.
func reflectRows(m, n int, a []float64, offset, count int, tau, z []float64) {
	p := newPanels(m, n)
	for start := (count - 1) / panel * panel; start >= 0 && start < count; start -= panel {
		p.load(n, a, offset, start, min(panel, count-start), tau)
		p.apply(true, m, n, z)
	}
}

// panels is one panel of reflections and the space to apply it to a matrix of rows.
type panels struct {
	from, count, cols int // it acts on columns from to from+cols
	v, left, right    []float64
	t                 [panel * panel]float64
}

func newPanels(m, n int) *panels {
	return &panels{v: make([]float64, panel*n), left: make([]float64, m*panel), right: make([]float64, m*panel)}
}

func (p *panels) load(n int, a []float64, offset, start, count int, tau []float64) {
	p.from, p.count = start+offset, count
	p.cols = n - p.from
	for k := range count {
		row := p.v[k*p.cols : (k+1)*p.cols]
		clear(row[:k])
		copy(row[k:], a[(start+k)*n+p.from+k:(start+k+1)*n])
	}
	accumulate(count, p.cols, p.v, tau[start:], p.t[:])
}

// apply multiplies the rows of the m x n matrix z by I - V T V^T or its transpose.
func (p *panels) apply(transposed bool, m, n int, z []float64) {
	z = z[p.from:]
	kernel.Gemm64(false, true, m, p.count, p.cols, 1, z, n, p.v, p.cols, 0, p.left, panel)
	kernel.Gemm64(false, transposed, m, p.count, p.count, 1, p.left, panel, p.t[:], panel, 0, p.right, panel)
	kernel.Gemm64(false, false, m, p.cols, p.count, -1, p.right, panel, p.v, p.cols, 1, z, n)
}
