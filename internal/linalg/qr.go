package linalg

import (
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// QR returns the triangular factor of an m x n matrix A: the upper triangular n x n matrix R with
// non-negative diagonal and R^T R = A^T A; when m < n its last n - m rows are zero. It is formed by Householder
// reflections, so it keeps the digits that A^T A loses. a is destroyed. NaN or an infinity in a gives
// NaN throughout. It costs 2 m n^2 operations.
func QR(m, n int, a []float64) (r []float64) {
	f := NewRFactor(n)
	f.Add(a, m)
	return f.R()
}

// An RFactor is the triangular factor of a matrix whose rows arrive in blocks. It holds n^2 numbers.
type RFactor struct {
	n, rows   int
	exponent  int // r is to be multiplied by 2^exponent
	notFinite bool
	r         []float64 // the rows themselves while they are fewer than n, then the factor
	buffer    []float64
}

// NewRFactor returns the factor of a matrix of n columns and no rows.
func NewRFactor(n int) *RFactor { return &RFactor{n: n, r: make([]float64, n*n)} }

// block is the number of rows that are taken in at a time: few enough that a panel of columns stays in
// the second-level cache.
const block = 1024

// Add appends count rows to the matrix; rows is destroyed. How the rows are divided into calls changes
// the result by rounding only. Blocks of some hundred rows and more are fast.
func (f *RFactor) Add(rows []float64, count int) {
	n := f.n
	check(count, n, rows)
	rows = rows[:count*n]
	if n == 0 || count == 0 {
		return
	}
	f.rescale(rows)
	if f.notFinite {
		return
	}
	if f.rows < n {
		taken := min(n-f.rows, count)
		copy(f.r[f.rows*n:], rows[:taken*n])
		f.rows += taken
		rows, count = rows[taken*n:], count-taken
		if f.rows < n {
			return
		}
		f.r = triangular(n, n, f.r)
	}
	if need := panel * (min(block, count) + 2*n); len(f.buffer) < need {
		f.buffer = make([]float64, need)
	}
	for start := 0; start < count; start += block {
		c := min(block, count-start)
		f.add(rows[start*n:(start+c)*n], c, f.buffer)
	}
}

// triangular returns the triangular factor of an m x n matrix, m <= n, with diagonal elements of any
// sign.
func triangular(m, n int, a []float64) []float64 {
	x := transpose(m, n, a)
	diagonal, _ := lq(n, m, x)
	r := make([]float64, n*n)
	for i := range m {
		r[i*n+i] = diagonal[i]
		for j := i + 1; j < n; j++ {
			r[i*n+j] = x[j*m+i]
		}
	}
	return r
}

// rescale chooses the exponent so that squares neither overflow nor vanish, and brings rows to it.
func (f *RFactor) rescale(rows []float64) {
	top := largest(rows)
	if !finite(top) {
		f.notFinite = true
		return
	}
	_, e := math.Frexp(top)
	if top != 0 && e-f.exponent > 300 || f.rows == 0 && e < -300 {
		for i, v := range f.r {
			f.r[i] = math.Ldexp(v, f.exponent-e)
		}
		f.exponent = e
	}
	if f.exponent != 0 {
		for i, v := range rows {
			rows[i] = math.Ldexp(v, -f.exponent)
		}
	}
}

// add folds c rows into r. The reflection of column j acts on row j of r and on the new rows: V has
// the identity above a block that is kept, transposed, in v.
func (f *RFactor) add(rows []float64, c int, buffer []float64) {
	n, r := f.n, f.r
	var tau [panel]float64
	var t [panel * panel]float64
	v, w, product := buffer[:panel*c], buffer[panel*c:panel*(c+n)], buffer[panel*(c+n):]
	for start := 0; start < n; start += panel {
		count := min(panel, n-start)
		end := start + count
		parallel.Ranges(c, 64, func(from, to int) {
			for i := from; i < to; i++ {
				for k, x := range rows[i*n+start : i*n+end] {
					v[k*c+i] = x
				}
			}
		})
		for k := range count {
			at := (start + k) * (n + 1)
			x := v[k*c : (k+1)*c]
			r[at], tau[k] = reflector(r[at], x)
			if tau[k] == 0 {
				continue
			}
			after := count - k - 1
			workers := 1
			if after*c > 1<<14 {
				workers = parallel.Workers()
			}
			parallel.Each(workers, after, func(_, i int) {
				other := v[(k+1+i)*c : (k+2+i)*c]
				s := tau[k] * (r[at+1+i] + kernel.Dot64(x, other))
				r[at+1+i] -= s
				kernel.Axpy64(other, -s, x)
			})
		}
		cols := n - end
		if cols == 0 {
			break
		}
		accumulate(count, c, v, tau[:], t[:])
		for k := range count {
			copy(w[k*cols:(k+1)*cols], r[(start+k)*n+end:(start+k+1)*n])
		}
		kernel.Gemm64(false, false, count, cols, c, 1, v, c, rows[end:], n, 1, w, cols)
		kernel.Gemm64(true, false, count, cols, count, 1, t[:], panel, w, cols, 0, product, cols)
		for k := range count {
			kernel.Axpy64(r[(start+k)*n+end:(start+k+1)*n], -1, product[k*cols:(k+1)*cols])
		}
		kernel.Gemm64(true, false, c, cols, count, -1, v, c, product, cols, 1, rows[end:], n)
	}
}

// R returns the factor as [QR] does: upper triangular, n x n, the diagonal non-negative.
func (f *RFactor) R() []float64 {
	n := f.n
	r := append(make([]float64, 0, n*n), f.r...)
	if f.notFinite {
		fill(r, math.NaN())
		return r
	}
	if f.rows < n {
		r = triangular(f.rows, n, r)
	}
	for i := range n {
		row := r[i*n : (i+1)*n]
		if f.exponent != 0 {
			for j, v := range row {
				row[j] = math.Ldexp(v, f.exponent)
			}
		}
		if row[i] < 0 {
			for j := i; j < n; j++ {
				row[j] = -row[j]
			}
		}
	}
	return r
}
