package linalg

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// full is the number of rows up to which the product by a symmetric matrix reads all of it. A larger
// matrix does not stay in the caches, and is read by one triangle: at 2048 rows that saves a third of
// the time, at 1000 nothing. It is a variable for the tests.
var full = 1024

// tridiagonalise reduces the symmetric matrix A, both triangles filled and of magnitude near 1, to
// T = Q^T A Q with diagonal d and off-diagonal e. Q is the product H_0 H_1 ... of reflections; the
// vector of H_j, of length n-1-j, is left in row j of a right of the diagonal.
//
// Reflections are gathered in panels. Within a panel the matrix that remains is only read, once for
// each reflection, row by row. Full rows instead of one triangle make every product an inner product
// of contiguous numbers, and leave nothing to add up across workers.
func tridiagonalise(n int, a []float64) (d, e, tau []float64) {
	d, e, tau = make([]float64, n), make([]float64, n), make([]float64, n)
	// Rows of v and w: A - sum of v w^T + w v^T is the matrix as it should be. v is stored twice, so
	// that (v; w) and (w; v) can both be taken as one operand.
	buffer := make([]float64, 3*panel*n)
	partial := make([]float64, groups*n)
	block := func(i int) []float64 { return buffer[i*panel*n : (i+1)*panel*n] }
	v, w, again := block(0), block(1), block(2)
	halfOnly := n > full
	for start := 0; start < n; start += panel {
		end := min(start+panel, n)
		if halfOnly && n-start <= full {
			halfOnly = false
			mirror(n-start, a[start*n+start:], n)
		}
		for j := start; j < end; j++ {
			row := a[j*n+j : (j+1)*n]
			for k := range j - start {
				kernel.Axpy64(row, -v[k*n+j], w[k*n+j:(k+1)*n])
				kernel.Axpy64(row, -w[k*n+j], v[k*n+j:(k+1)*n])
			}
			d[j] = row[0]
			if j == n-1 {
				break
			}
			u := row[1:]
			e[j], tau[j] = reflector(u[0], u[1:])
			u[0] = 1
			m := n - 1 - j
			at := (j-start)*n + j + 1
			copy(v[at:], u)
			copy(again[at:], u)
			p := w[at : at+m]
			if tau[j] == 0 {
				clear(p)
				continue
			}
			if halfOnly {
				symvUpper(m, a[(j+1)*n+j+1:], n, u, p, partial)
			} else {
				symv(m, a[(j+1)*n+j+1:], n, u, p)
			}
			for k := range j - start {
				vk, wk := v[k*n+j+1:(k+1)*n], w[k*n+j+1:(k+1)*n]
				s, t := kernel.Dot64(wk, u), kernel.Dot64(vk, u)
				kernel.Axpy64(p, -s, vk)
				kernel.Axpy64(p, -t, wk)
			}
			kernel.Scale64(p, tau[j])
			kernel.Axpy64(p, -tau[j]/2*kernel.Dot64(p, u), u)
		}
		if m := n - end; m > 0 {
			rows := m
			if halfOnly {
				rows = 256
			}
			for i := end; i < n; i += rows {
				kernel.Gemm64(true, false, min(rows, n-i), n-i, 2*panel, -1, buffer[i:], n, buffer[panel*n+i:], n, 1, a[i*n+i:], n)
			}
		}
	}
	return d, e, tau
}

// symv writes the product of a symmetric matrix and x to y.
func symv(m int, a []float64, ld int, x, y []float64) {
	const rows = 16
	workers := parallel.Workers()
	if m < 96 {
		workers = 1
	}
	parallel.Each(workers, (m+rows-1)/rows, func(_, item int) {
		for i := item * rows; i < min(m, (item+1)*rows); i++ {
			y[i] = kernel.Dot64(x, a[i*ld:i*ld+m])
		}
	})
}

// groups is the number of parts of a product by one triangle, each with a result of its own.
const groups = 8

// symvUpper is symv by the upper triangle alone.
func symvUpper(m int, a []float64, ld int, x, y, partial []float64) {
	const rows, piece = 8, 1024
	parallel.For(groups, func(_, g int) {
		sum := partial[g*m : (g+1)*m]
		clear(sum)
		// Rows become shorter; blocks from both ends of each stretch even the work out.
		for stretch := 0; stretch < m; stretch += 2 * groups * rows {
			for _, b := range [2]int{g, 2*groups - 1 - g} {
				top := stretch + b*rows
				for i := top; i < min(m, top+rows); i++ {
					row := a[i*ld : i*ld+m]
					s := row[i] * x[i]
					for from := i + 1; from < m; from += piece {
						to := min(m, from+piece)
						s += kernel.Dot64(row[from:to], x[from:to])
						kernel.Axpy64(sum[from:to], x[i], row[from:to])
					}
					sum[i] += s
				}
			}
		}
	})
	copy(y, partial[:m])
	for g := 1; g < groups; g++ {
		kernel.Add64(y, partial[g*m:(g+1)*m])
	}
}

// mirror copies the upper triangle to the lower one.
func mirror(m int, a []float64, ld int) {
	const side = 32
	parallel.For((m+side-1)/side, func(_, item int) {
		to := min(m, (item+1)*side)
		for top := 0; top < to; top += side {
			for j := item * side; j < to; j++ {
				for i := top; i < min(j, top+side); i++ {
					a[j*ld+i] = a[i*ld+j]
				}
			}
		}
	})
}

// tridiagonalValues replaces d by the eigenvalues, in descending order, of the symmetric tridiagonal
// matrix with diagonal d and off-diagonal e (e[i] couples i and i+1); e is destroyed. It is the QL
// iteration with implicit shifts in the root-free form of Pal, Walker and Kahan, which works on the
// squares of the off-diagonal (Parlett, The symmetric eigenvalue problem, section 8.15). ok is false
// if the iteration does not end.
func tridiagonalValues(d, e []float64) (ok bool) {
	n := len(d)
	if n == 0 {
		return true
	}
	e = e[:n-1]
	floor := max(largest(d), largest(e)) * ulp * 0x1p-10 // anything below it may be dropped
	for i := range e {
		e[i] *= e[i]
	}
	steps := 60 * n
	known := -1 // the end of the block whose direction has been chosen
	for begin := 0; begin < n; {
		end := begin // the last row of the block that begins here
		for end < n-1 && !(e[end] <= ulp*math.Abs(d[end])*(ulp*math.Abs(d[end+1])) || e[end] <= floor*floor) {
			end++
		}
		switch end - begin {
		case 0:
			begin++
			continue
		case 1:
			d[begin], d[end] = pair(d[begin], math.Sqrt(e[begin]), d[end])
			begin += 2
			continue
		}
		if end != known {
			// A sweep makes the first element converge. That is faster, and loses less of a graded
			// matrix, at the small end.
			if math.Abs(d[end]) < math.Abs(d[begin]) {
				slices.Reverse(d[begin : end+1])
				slices.Reverse(e[begin:end])
			}
			known = end
		}
		if steps--; steps < 0 {
			return false
		}
		sweep(d[begin:end+1], e[begin:end])
	}
	slices.Sort(d)
	slices.Reverse(d)
	return true
}

// ulp is half the distance from 1 to the next float64.
const ulp = 0x1p-53

// sweep is one step of the root-free iteration on an unreduced block of at least two rows; e2 holds
// the squares of its off-diagonal.
func sweep(d, e2 []float64) {
	off := math.Sqrt(e2[0])
	s := (d[1] - d[0]) / (2 * off)
	shift := d[0] - off/(s+math.Copysign(math.Hypot(s, 1), s))
	last := len(e2)
	d = d[:last+1]
	cos2, sin2 := 1.0, 0.0
	gamma := d[last] - shift
	p := gamma * gamma
	for i := last - 1; i >= 0; i-- {
		b := e2[i]
		r := p + b
		if i < last-1 {
			e2[i+1] = sin2 * r
		}
		before := cos2
		cos2, sin2 = p/r, b/r
		old := gamma
		gamma = float64(cos2*(d[i]-shift)) - float64(sin2*old)
		d[i+1] = old + (d[i] - gamma)
		if cos2 != 0 {
			p = gamma * gamma / cos2
		} else {
			p = before * b
		}
	}
	e2[0] = sin2 * p
	d[0] = shift + gamma
}

// pair returns the eigenvalues of the matrix with rows (a, b) and (b, c).
func pair(a, b, c float64) (float64, float64) {
	mean, r := (a+c)/2, math.Hypot((a-c)/2, b)
	far := mean + math.Copysign(r, mean)
	if far == 0 {
		return r, -r
	}
	// The product of the two is a c - b^2; from it the smaller is more accurate than mean - r.
	big, little := a, c
	if math.Abs(c) > math.Abs(a) {
		big, little = c, a
	}
	return far, big/far*little - b/far*b
}
