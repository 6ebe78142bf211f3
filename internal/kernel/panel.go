package kernel

import "github.com/collapsar/collapsar/internal/parallel"

// A Panel32 is a right operand, packed once and used for many products. It belongs to the level at
// which it was packed.
type Panel32 struct{ panel[float32] }

// NewPanel32 packs B, n x k, row-major with row length ldb, for use as B^T. B may be changed
// afterwards.
func NewPanel32(n, k int, b []float32, ldb int) *Panel32 {
	return &Panel32{newPanel(set32[level], n, k, b, ldb)}
}

// Mul writes the product of A (m x k) and B^T to C (m x n):
//
//	for i in m, j in n { c[i*ldc+j] = sum over p < k of a[i*lda+p] * b[j*ldb+p] }
//
// It runs on the calling goroutine alone; several goroutines may use one panel at the same time for
// different C. Every row is computed by itself: its bits do not depend on m.
func (p *Panel32) Mul(c []float32, ldc int, a []float32, lda int, m int) {
	p.mul(c, ldc, a, lda, m)
}

// A Panel64 is a [Panel32] for float64.
type Panel64 struct{ panel[float64] }

// NewPanel64 is [NewPanel32] for float64.
func NewPanel64(n, k int, b []float64, ldb int) *Panel64 {
	return &Panel64{newPanel(set64[level], n, k, b, ldb)}
}

// Mul is [Panel32.Mul] for float64.
func (p *Panel64) Mul(c []float64, ldc int, a []float64, lda int, m int) {
	p.mul(c, ldc, a, lda, m)
}

// One goroutine has all the rows that a panel is used for: a block beyond the second-level cache is read once for as many of
// them as fill half of that cache.
const (
	largeBlock = 768 << 10 // what the cache can hold beside the rest
	stripBytes = 512 << 10
)

type panel[T float] struct {
	s      *set[T]
	n, k   int
	kc     int // contraction block
	strip  int // rows of a left operand for which a large block is read once
	blocks int
	size   int // of one packed block
	packed []T
}

func newPanel[T float](s *set[T], n, k int, b []T, ldb int) panel[T] {
	check(false, n, k, len(b), ldb, "B")
	p := panel[T]{s: s, n: n, k: k}
	if n == 0 || k == 0 {
		return p
	}
	p.blocks, p.kc = blocks(k, s.block(n, k))
	if s.dotted(n) {
		p.size = dotsSize(s.lanes, n, p.kc)
		p.packed = make([]T, p.blocks*p.size)
		for i := range p.blocks {
			s.packDots(p.packed[i*p.size:], true, b, ldb, i*p.kc, min(p.kc, k-i*p.kc), n)
		}
		return p
	}
	p.size = s.packedSize(n, p.kc)
	p.strip = strip
	var zero T
	if row := p.kc * sizeOf(zero); n*row > largeBlock {
		p.strip = max(strip, stripBytes/row/s.mr*s.mr)
	}
	p.packed = make([]T, p.blocks*p.size)
	np, _ := s.panels(n)
	const some = 16 // panels
	parts := (np + some - 1) / some
	parallel.For(p.blocks*parts, func(_, at int) {
		i, from := at/parts, at%parts*some
		s.packRight(p.packed[i*p.size:], from, min(np, from+some), true, b, ldb, i*p.kc, min(p.kc, k-i*p.kc), n)
	})
	return p
}

func (p *panel[T]) mul(c []T, ldc int, a []T, lda, m int) {
	check(false, m, p.k, len(a), lda, "A")
	check(false, m, p.n, len(c), ldc, "C")
	if m == 0 || p.n == 0 {
		return
	}
	if p.k == 0 {
		scaleRows(m, p.n, 0, c, ldc)
		return
	}
	if p.s.dotted(p.n) {
		for i := range p.blocks {
			pc := i * p.kc
			p.s.dotRows(m, p.n, min(p.kc, p.k-pc), 1, a[pc:], lda, p.packed[i*p.size:], 1, i > 0, c, ldc)
		}
		return
	}
	buffer := take[T](leftSize(p.strip, p.kc))
	for i := range p.blocks {
		pc := i * p.kc
		r := right[T]{b: p.packed[i*p.size : (i+1)*p.size], packed: true, stream: p.s.streamed(false, m, p.n, p.k)}
		p.s.rows(p.strip, false, m, p.n, pc, min(p.kc, p.k-pc), 1, a, lda, r, 1, i > 0, c, ldc, buffer.s)
	}
	give(buffer)
}
