package linalg

import (
	"cmp"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// Divide and conquer for the symmetric tridiagonal eigenproblem (Cuppen 1981; Gu and Eisenstat 1995).
// An off-diagonal element b between rows m-1 and m is taken out as the rank-one matrix b u u^T, with u
// one at these two places and zero elsewhere; given the eigenvectors of what is left, which is two
// separate blocks, the eigenproblem is that of a diagonal matrix plus a rank-one matrix. Its
// eigenvalues are the roots of a rational function, its eigenvectors have a closed form, and the
// eigenvectors of the whole are a matrix product.

// tridiagonalVectors replaces d by the eigenvalues, ascending, of the symmetric tridiagonal matrix
// with diagonal d and off-diagonal e, and writes the eigenvectors to the rows of z, an n x n matrix
// that is zero.
func tridiagonalVectors(d, e, z []float64) {
	n := len(d)
	if n == 0 {
		return
	}
	for i := range n {
		z[i*n+i] = 1
		if i > 0 {
			b := math.Abs(e[i-1])
			d[i-1] -= b
			d[i] -= b
		}
	}
	c := &conquest{n: n, e: e, d: d, z: z, order: make([]int, n), gathered: make([]float64, n*n), y: make([]float64, n*n), product: make([]float64, n*n)}
	// The smaller blocks are solved each on one goroutine.
	cuts := []int{0, n}
	var levels [][]int
	for len(cuts) < 33 && n/len(cuts) > 32 {
		levels = append(levels, cuts)
		next := make([]int, 0, 2*len(cuts))
		for i, to := range cuts[1:] {
			next = append(next, cuts[i], (cuts[i]+to)/2)
		}
		cuts = append(next, n)
	}
	parallel.For(len(cuts)-1, func(_, i int) { c.solve(cuts[i], cuts[i+1]) })
	for _, cuts := range slices.Backward(levels) {
		if len(cuts) == 2 {
			c.merge(0, n)
			break
		}
		parallel.For(len(cuts)-1, func(_, i int) { c.merge(cuts[i], cuts[i+1]) })
	}
}

// A conquest holds the matrices of tridiagonalVectors. The block of rows [from, to) has its
// eigenvectors in rows and columns [from, to) of z, and uses the scratch matrices from element from*n
// on, with rows of length to-from.
type conquest struct {
	n                    int
	e                    []float64
	d, z                 []float64
	order                []int
	gathered, y, product []float64
}

func (c *conquest) solve(from, to int) {
	if to-from > 1 {
		mid := (from + to) / 2
		c.solve(from, mid)
		c.solve(mid, to)
		c.merge(from, to)
	}
}

// Where the eigenvector of a half is not zero.
const (
	first = iota
	both
	second
	deflated // any of these; needs nothing more
)

// merge makes the eigenvectors of rows [from, to) out of those of the two halves.
func (c *conquest) merge(from, to int) {
	n, size, mid := c.n, to-from, (from+to)/2
	d := c.d[from:to]
	row := func(j int) []float64 { return c.z[(from+j)*n+from : (from+j)*n+to] }

	// The matrix is diag(d) + rho u u^T, u of unit length.
	rho := 2 * math.Abs(c.e[mid-1])
	u := make([]float64, size)
	kind := make([]int, size)
	for j := range u {
		if j < mid-from {
			u[j] = row(j)[mid-from-1] * math.Sqrt2 / 2
		} else {
			u[j] = math.Copysign(math.Sqrt2/2, c.e[mid-1]) * row(j)[mid-from]
			kind[j] = second
		}
	}
	order := c.order[from:to]
	for j := range order {
		order[j] = j
	}
	byValue := func(i, j int) int { return cmp.Or(cmp.Compare(d[i], d[j]), cmp.Compare(i, j)) }
	slices.SortFunc(order, byValue)

	// Deflation. An eigenvector with a negligible u is one of the whole; of two with nearly equal
	// eigenvalues, a rotation makes one such.
	tol := 16 * ulp * max(largest(d), rho)
	active := make([]int, 0, size)
	pending := -1
	for _, j := range order {
		if rho*math.Abs(u[j]) <= tol {
			kind[j] = deflated
			continue
		}
		if pending >= 0 {
			p := pending
			r := math.Hypot(u[p], u[j])
			cos, sin := u[j]/r, u[p]/r
			if math.Abs((d[j]-d[p])*cos*sin) <= tol {
				a, b := row(p), row(j)
				for i, v := range a {
					w := b[i]
					a[i] = float64(cos*v) - float64(sin*w)
					b[i] = float64(sin*v) + float64(cos*w)
				}
				x, y := d[p], d[j]
				d[p] = float64(cos*cos*x) + float64(sin*sin*y)
				d[j] = float64(sin*sin*x) + float64(cos*cos*y)
				u[p], u[j] = 0, r
				if kind[p] != kind[j] {
					kind[j] = both
				}
				kind[p] = deflated
			} else {
				active = append(active, p)
			}
		}
		pending = j
	}
	if pending >= 0 {
		active = append(active, pending)
	}

	// Gather the old eigenvectors by kind; place is the column of an active one in y.
	k := len(active)
	count := [4]int{}
	for _, j := range active {
		count[kind[j]]++
	}
	at := [4]int{0, count[first], count[first] + count[both], k}
	begin := at
	gathered := c.gathered[from*n:]
	where := make([]int, size)
	put := func(j int) {
		where[j] = at[kind[j]]
		at[kind[j]]++
		copy(gathered[where[j]*size:(where[j]+1)*size], row(j))
	}
	poles, weights, place := make([]float64, k), make([]float64, k), make([]int, k)
	for i, j := range active {
		put(j)
		poles[i], weights[i], place[i] = d[j], u[j], where[j]
	}
	values := make([]float64, size) // by row of product, then of the deflated ones in gathered
	for j := range size {
		if kind[j] == deflated {
			put(j)
			values[where[j]] = d[j]
		}
	}

	y, product := c.y[from*n:], c.product[from*n:]
	if k > 0 {
		rankOne(poles, weights, rho, place, values[:k], product, y)
		left, right := count[first]+count[both], begin[both]
		half := mid - from
		kernel.Gemm64(false, false, k, half, left, 1, y, k, gathered, size, 0, product, size)
		kernel.Gemm64(false, false, k, size-half, k-right, 1, y[right:], k, gathered[right*size+half:], size, 0, product[half:], size)
	}
	for j := range order {
		order[j] = j
	}
	copy(d, values)
	slices.SortFunc(order, byValue)
	for j, source := range order {
		d[j] = values[source]
		if source < k {
			copy(row(j), product[source*size:])
		} else {
			copy(row(j), gathered[source*size:(source+1)*size])
		}
	}
}

// rankOne solves the eigenproblem of diag(d) + rho u u^T, d ascending and without the cases that merge
// deflates: the eigenvalues, ascending, and the eigenvectors as the rows of the k x k matrix y, with
// the component that belongs to d[j] in column place[j]. gaps is a k x k scratch matrix.
func rankOne(d, u []float64, rho float64, place []int, values, gaps, y []float64) {
	k := len(d)
	const group = 8
	workers := parallel.Workers()
	if k < 64 {
		workers = 1
	}
	loop := func(f func(i int)) {
		parallel.Each(workers, (k+group-1)/group, func(_, item int) {
			for i := item * group; i < min(k, (item+1)*group); i++ {
				f(i)
			}
		})
	}
	loop(func(i int) { values[i] = root(i, d, u, rho, gaps[i*k:(i+1)*k]) })

	// The eigenvectors are orthogonal to full precision if they are formed with the u for which the
	// computed values are the exact ones (Gu and Eisenstat).
	exact := make([]float64, k)
	const wide = 32
	parallel.Each(workers, (k+wide-1)/wide, func(_, item int) {
		from, to := item*wide, min(k, (item+1)*wide)
		part := exact[from:to]
		fill(part, 1)
		for i := range k {
			pole := d[i]
			row := gaps[i*k+from : i*k+to]
			for q, gap := range row {
				if j := from + q; j != i {
					part[q] *= gap / (d[j] - pole)
				} else {
					part[q] *= gap
				}
			}
		}
		for q, v := range part {
			part[q] = math.Copysign(math.Sqrt(math.Abs(v)), u[from+q])
		}
	})
	loop(func(i int) {
		row, out := gaps[i*k:(i+1)*k], y[i*k:(i+1)*k]
		var sum float64
		for j, gap := range row {
			v := exact[j] / gap
			sum += float64(v * v)
			row[j] = v
		}
		by := 1 / math.Sqrt(sum)
		for j, v := range row {
			out[place[j]] = v * by
		}
	})
}

// root returns eigenvalue i of diag(d) + rho u u^T, the zero of
//
//	f(x) = 1/rho + sum over j of u[j]^2 / (d[j] - x)
//
// between d[i] and d[i+1], and writes the differences d[j] - x to gaps; these are accurate also where x
// is close to d[j], because x is represented by its distance t from the nearer end. f is replaced by a
// constant and one pole at each end, which match the value and the slope of the sums over the poles
// below and above x, and whose zero is the next x; the zero is kept between bounds that f has proved.
func root(i int, d, u []float64, rho float64, gaps []float64) float64 {
	k := len(d)
	last := i == k-1
	origin, sign := i, 1.0
	var gap, low, high float64
	if last {
		high = rho * kernel.SumSquares64(u) * (1 + 0x1p-40)
	} else {
		gap = d[i+1] - d[i]
		high = gap / 2
	}
	t := high
	if last {
		t = high / 2
	}
	for j, v := range d {
		gaps[j] = v - d[origin]
	}
	u = u[:len(gaps)]
	for step := range 200 {
		x := sign * t
		var below, above, slopeBelow, slopeAbove float64
		for j, g := range gaps[:i+1] {
			w := u[j]
			q := w / (g - x)
			below += float64(w * q)
			slopeBelow += float64(q * q)
		}
		for j := i + 1; j < k; j++ {
			w := u[j]
			q := w / (gaps[j] - x)
			above += float64(w * q)
			slopeAbove += float64(q * q)
		}
		f := 1/rho + below + above
		noise := ulp * (8*(1/rho-below+above) + t*(slopeBelow+slopeAbove))
		if step == 0 && !last && f < 0 { // beyond the middle: the other end is nearer
			origin, sign = i+1, -1
			for j, v := range d {
				gaps[j] = v - d[origin]
			}
		}
		if math.Abs(f) <= noise {
			break
		}
		if step > 0 || last {
			if (f > 0) == (sign > 0) {
				high = t
			} else {
				low = t
			}
		}
		x = sign * t
		near, far := gaps[i]-x, 0.0
		c := f - float64(near*slopeBelow)
		weight, other := near*near*slopeBelow, 0.0
		var next float64
		if last {
			next = weight / c
		} else {
			far = gaps[i+1] - x
			c -= float64(far * slopeAbove)
			other = far * far * slopeAbove
			if sign < 0 {
				c, weight, other = -c, other, weight
			}
			a := float64(c*gap) + weight + other
			s := math.Sqrt(max(0, float64(a*a)-4*c*weight*gap))
			if a > 0 {
				next = 2 * weight * gap / (a + s)
			} else {
				next = (a - s) / (2 * c)
			}
		}
		if !(next > low && next < high) || step > 40 {
			switch {
			case low == 0:
				next = high / 256
			case high > 4*low:
				next = math.Sqrt(low) * math.Sqrt(high)
			default:
				next = (low + high) / 2
			}
			if !(next > low && next < high) {
				break
			}
		}
		if math.Abs(next-t) <= ulp*t {
			break
		}
		t = next
	}
	x := sign * t
	at := d[origin]
	for j := range gaps {
		gaps[j] -= x
	}
	return at + x
}
