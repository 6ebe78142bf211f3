package kernel

import "github.com/collapsar/collapsar/internal/parallel"

// Syrk32 forms the product of a matrix with its own transpose and fills both triangles of the
// n x n result: C = A A^T for A n x k, or C = A^T A for A k x n if trans. The result is exactly
// symmetric. The work is divided over the pool; the bits do not depend on the number of workers.
func Syrk32(trans bool, n, k int, a []float32, lda int, c []float32, ldc int) {
	set32[level].syrk(trans, n, k, a, lda, c, ldc)
}

// Syrk64 is [Syrk32] for float64.
func Syrk64(trans bool, n, k int, a []float64, lda int, c []float64, ldc int) {
	set64[level].syrk(trans, n, k, a, lda, c, ldc)
}

// syrkRanged is the largest n for which a long contraction is cut into ranges with a result each.
const syrkRanged = 256

// The length of a contraction block. In a range the packed block is to stay in the second-level
// cache, since both operands come from it; for large n the result is to pass by less often.
const (
	syrkBlock       = 384
	syrkSharedBlock = 512
)

func (s *set[T]) syrk(trans bool, n, k int, a []T, lda int, c []T, ldc int) {
	check(trans, n, k, len(a), lda, "A")
	check(false, n, n, len(c), ldc, "C")
	if n == 0 {
		return
	}
	if k == 0 {
		scaleRows(n, n, 0, c, ldc)
		return
	}
	if n <= syrkRanged && k >= 8*syrkBlock && k >= 4*n {
		s.syrkRanges(trans, n, k, a, lda, c, ldc)
	} else {
		s.syrkShared(trans, n, k, a, lda, c, ldc)
	}
	s.mirror(n, c, ldc)
}

// syrkRows forms the rows of panel p of the upper triangle from the packed panels of one contraction
// block: both operands are read from them, the left one by columns of its panel.
func (s *set[T]) syrkRows(packed []T, p, n, kc int, load bool, c []T, ldc int) {
	np, last := s.panels(n)
	w := s.width()
	i := p * w
	width, rows := w, w
	if p == np-1 {
		width, rows = last*s.lanes, n-i
	}
	left := packed[i*kc:]
	for q := p; q < np; q++ {
		j := q * w
		v, cols := 2, w
		if q == np-1 {
			v, cols = last, n-j
		}
		for r := 0; r < rows; r += s.mr {
			s.tile(v, kc, left[r:], 1, width, packed[j*kc:], v*s.lanes, c[(i+r)*ldc+j:], ldc, min(s.mr, rows-r), cols, 1, 1, load)
		}
	}
}

// packSyrk packs panels [from, to) of one block.
func (s *set[T]) packSyrk(dst []T, from, to int, trans bool, a []T, lda, pc, kc, n int) {
	s.packRight(dst, from, to, !trans, a, lda, pc, kc, n)
}

// syrkShared packs each block once for all workers and divides the rows of tiles.
func (s *set[T]) syrkShared(trans bool, n, k int, a []T, lda int, c []T, ldc int) {
	nb, kc := blocks(k, syrkSharedBlock)
	buffer := take[T](s.packedSize(n, kc))
	defer give(buffer)
	np, _ := s.panels(n)
	for block := range nb {
		pc := block * kc
		length := min(kc, k-pc)
		parallel.Ranges(np, 4, func(from, to int) {
			s.packSyrk(buffer.s, from, to, trans, a, lda, pc, length, n)
		})
		parallel.For(np, func(_, p int) {
			s.syrkRows(buffer.s, p, n, length, block > 0, c, ldc)
		})
	}
}

// syrkRanges cuts the contraction into ranges with a result each and adds these in order.
func (s *set[T]) syrkRanges(trans bool, n, k int, a []T, lda int, c []T, ldc int) {
	const parts = ranges / 2
	size := (k + parts - 1) / parts
	results := take[T](parts * n * n)
	defer give(results)
	np, _ := s.panels(n)
	parallel.For(parts, func(_, i int) {
		begin := i * size
		span := min(size, k-begin)
		part := results.s[i*n*n : (i+1)*n*n]
		if span <= 0 {
			clear(part)
			return
		}
		nb, kc := blocks(span, syrkBlock)
		packed := take[T](s.packedSize(n, kc))
		for block := range nb {
			pc := begin + block*kc
			length := min(kc, begin+span-pc)
			s.packSyrk(packed.s, 0, np, trans, a, lda, pc, length, n)
			for p := range np {
				s.syrkRows(packed.s, p, n, length, block > 0, part, n)
			}
		}
		give(packed)
	})
	parallel.For(n, func(_, i int) {
		row := c[i*ldc+i : i*ldc+n]
		copy(row, results.s[i*n+i:])
		for q := 1; q < parts; q++ {
			other := results.s[q*n*n+i*n+i:][:len(row)]
			for j, v := range other {
				row[j] += v
			}
		}
	})
}

// mirror copies the upper triangle to the lower one, in square blocks.
func (s *set[T]) mirror(n int, c []T, ldc int) {
	const side = 32
	parallel.For((n+side-1)/side, func(_, q int) {
		j := q * side // columns of the source, rows of the target
		rows := min(side, n-j)
		for i := 0; i < j; i += side {
			s.transpose(c[j*ldc+i:], ldc, c[i*ldc+j:], ldc, side, rows)
		}
		for i := j; i < j+rows; i++ {
			for p := j; p < i; p++ {
				c[i*ldc+p] = c[p*ldc+i]
			}
		}
	})
}
