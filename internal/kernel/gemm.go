package kernel

import (
	"sync"

	"github.com/collapsar/collapsar/internal/parallel"
)

// Gemm32 forms a matrix product, for row-major slices with the given row lengths (lda, ldb, ldc):
//
//	C = alpha op(A) op(B) + beta C
//
// op(A) is m x k: A itself (m x k), or the transpose of A (k x m) if transA. op(B) is k x n: B
// (k x n), or the transpose of B (n x k) if transB. C is m x n. With beta 0, C is written and never
// read. C must not overlap A or B. The work is divided over the pool; the bits of the result depend
// on the level and the shape, not on the number of workers.
func Gemm32(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	set32[level].gemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Gemm64 is [Gemm32] for float64.
func Gemm64(transA, transB bool, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	set64[level].gemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// A set is what one level offers for matrix products of one type. The loops around the tile are the
// same for all levels.
//
// A tile is mr rows by v groups of columns, a group being one vector of lanes columns. Columns are
// cut into panels of two groups; a last single group joins the panel before it where the tile goes
// up to three, and is a panel of its own otherwise. A packed panel holds the kc rows of one block of
// the contraction one after the other.
type set[T float] struct {
	mr, lanes int
	widest    int // largest v
	kc        int // length of a contraction block
	whole     int // length up to which a contraction is one block
	masks     bool
	// tile forms, for r < rows and j < cols <= v*lanes,
	//
	//	s = sum over p < k of a[r*ars+p*acs] * b[p*brs+j]
	//	c[r*crs+j] = alpha*s, or alpha*s + beta*c[r*crs+j] if load
	//
	// with one chain of sums per element. v may carry the mark stream. It reads a for all mr rows, whatever rows is, and, unless
	// the set masks columns, b for all v*lanes columns.
	tile func(v, k int, a []T, ars, acs int, b []T, brs int, c []T, crs, rows, cols int, alpha, beta T, load bool)
	// packRows copies, for q < rows and p < panels, width() elements from src[q*lds+p*width()] to
	// dst[p*distance+q*width()].
	packRows func(dst []T, distance int, src []T, lds, rows, panels int)
	// transpose writes dst[p*ldd+i] = src[i*lds+p] for i < rows, p < n.
	transpose func(dst []T, ldd int, src []T, lds, rows, n int)
	// dots, where it is there, does without tiles what they do badly, n columns from dotsFrom to dotsTo: it forms
	//
	//	c[r*ldc+j] = alpha*s, or alpha*s + beta*c[r*ldc+j] if load, s = sum over p < k of a[r*lda+p] * b[j, p]
	//
	// for r < rows and j < n, with one chain of sums per lane. b is packed: see packDots.
	dots             func(n, rows, k int, a []T, lda int, b, c []T, ldc int, alpha, beta T, load bool)
	dotsFrom, dotsTo int
}

// stream marks the v of a tile whose left operand comes from memory and is followed there by the rows
// of the next tile. A tile may then ask for them early.
const stream = 8

// slack is how many elements past a packed block a tile may read.
const slack = 64

// panels returns the number of panels of n columns and the number of groups in the last one.
func (s *set[T]) panels(n int) (count, last int) {
	groups := (n + s.lanes - 1) / s.lanes
	switch {
	case groups%2 == 0:
		return groups / 2, 2
	case groups > 1 && s.widest == 3:
		return groups / 2, 3
	default:
		return groups/2 + 1, 1
	}
}

// width is the number of columns of every panel but the last.
func (s *set[T]) width() int { return 2 * s.lanes }

// blocks divides a contraction evenly into blocks of at most limit.
func blocks(k, limit int) (count, size int) {
	count = (k + limit - 1) / limit
	return count, (k + count - 1) / count
}

// block is the largest contraction block of a product of n columns. Few columns, packed, are small enough for
// a long one, which passes over the left operand and the result but once.
func (s *set[T]) block(n, k int) int {
	if s.dotted(n) { // all columns are read for every row: they are to stay in the first-level cache
		var zero T
		return min(k, 24<<10/(n*sizeOf(zero)))
	}
	if k <= s.whole || n <= 4*s.width() && k <= 1024 {
		return k
	}
	return s.kc
}

// packRight packs the columns of panels [from, to) of op(B), kc rows beginning at row pc.
func (s *set[T]) packRight(dst []T, from, to int, trans bool, b []T, ldb, pc, kc, n int) {
	count, last := s.panels(n)
	w := s.width()
	if trans {
		for p := from; p < to; p++ {
			width := w
			if p == count-1 {
				width = last * s.lanes
			}
			j := p * w
			s.transpose(dst[j*kc:], width, b[j*ldb+pc:], ldb, min(width, n-j), kc)
		}
		return
	}
	// Four panels at a time: the source is read along its rows.
	for ; from < to; from += 4 {
		group := min(4, to-from)
		j := from * w
		src := b[pc*ldb+j:]
		if from+group == count { // the last panel, which may be narrow or incomplete
			group--
			j := (count - 1) * w
			width := last * s.lanes
			for q := range kc {
				copy(dst[j*kc+q*width:], b[(pc+q)*ldb+j:(pc+q)*ldb+n])
			}
		}
		if group > 0 {
			s.packRows(dst[j*kc:], w*kc, src, ldb, kc, group)
		}
	}
}

// packRowsGo copies the pieces of width w of each row to one panel after the other.
func packRowsGo[T float](w int, dst []T, distance int, src []T, lds, rows, panels int) {
	for q := range rows {
		row := src[q*lds : q*lds+panels*w]
		for p := range panels {
			copy(dst[p*distance+q*w:], row[p*w:(p+1)*w])
		}
	}
}

// A right is a right operand as the tile reads it: kc rows, either packed or B itself. Where tiles
// have no masks, an incomplete last panel is packed even then.
type right[T float] struct {
	b      []T
	ldb    int
	packed bool
	last   []T
	stream bool // the left operand is to be read as a stream from memory
}

// streamed tells whether m rows of a left operand, used for n columns, come from memory: they are too
// many to be in the caches, and few products are formed with each.
func (s *set[T]) streamed(transA bool, m, n, k int) bool {
	var zero T
	return !transA && n <= 2*s.width() && m*k*sizeOf(zero) > 2<<20
}

// unpacked is B itself, the n columns from row pc on, with its incomplete last panel packed into edge
// if need be.
func (s *set[T]) unpacked(b []T, ldb, pc, kc, n int, edge []T) right[T] {
	r := right[T]{b: b[pc*ldb:], ldb: ldb}
	np, last := s.panels(n)
	from := (np - 1) * s.width()
	if width := last * s.lanes; !s.masks && from+width > n {
		for q := range kc {
			copy(edge[q*width:], r.b[q*ldb+from:q*ldb+n])
		}
		r.last = edge
	}
	return r
}

// dotted tells whether products of n columns with rows as they lie are formed by dots.
func (s *set[T]) dotted(n int) bool { return s.dots != nil && s.dotsFrom <= n && n <= s.dotsTo }

// packDots packs n columns of op(B), kc rows beginning at row pc, for dots: a vector of lanes rows of each column, then the next
// vectors, zeros making up for the last of them, an even number.
func (s *set[T]) packDots(dst []T, trans bool, b []T, ldb, pc, kc, n int) {
	lanes := s.lanes
	whole := kc / lanes
	clear(dst[whole*lanes*n : dotsSize(s.lanes, n, kc)])
	if !trans {
		for q := 0; q < kc; q += lanes {
			s.transpose(dst[q*n:], lanes, b[(pc+q)*ldb:], ldb, min(lanes, kc-q), n)
		}
		return
	}
	for j := range n {
		row := b[j*ldb+pc : j*ldb+pc+kc]
		for q := 0; q < kc; q += lanes {
			copy(dst[q*n+j*lanes:], row[q:min(kc, q+lanes)])
		}
	}
}

// dotsSize is the space of columns that are packed for dots.
func dotsSize(lanes, n, kc int) int { return (kc + 2*lanes - 1) / (2 * lanes) * 2 * lanes * n }

// edgeSize is the space of such an edge.
func (s *set[T]) edgeSize(kc int) int { return s.widest*s.lanes*kc + slack }

// strip is how many rows of op(A) are packed together: whole tiles of 2, 6 or 8.
const strip = 48

// leftSize is the scratch space that rows needs for a strip.
func leftSize(strip, kc int) int { return strip*kc + slack }

func sizeOf[T float](v T) int {
	if _, ok := any(v).(float32); ok {
		return 4
	}
	return 8
}

// rows multiplies the m rows of op(A) by a right operand of n columns, for the contraction block
// [pc, pc+kc), strip by strip, of whole tiles. Where many columns use a row, the rows of a tile are packed: read in place they may
// collide in the first-level cache.
func (s *set[T]) rows(strip int, transA bool, m, n, pc, kc int, alpha T, a []T, lda int, r right[T], beta T, load bool, c []T, ldc int, scratch []T) {
	mr := s.mr
	for i := 0; i < m; i += strip {
		count := min(strip, m-i)
		left, step, ars, acs := scratch, mr*kc, 1, mr
		switch {
		case transA:
			s.packColumns(scratch, a[pc*lda+i:], lda, count, kc)
		case n > 4*s.width() || count%mr != 0:
			for q := 0; q < count; q += mr {
				s.transpose(scratch[q*kc:], mr, a[(i+q)*lda+pc:], lda, min(mr, count-q), kc)
			}
		default:
			left, step, ars, acs = a[i*lda+pc:], mr*lda, lda, 1
		}
		s.row(left, step, ars, acs, count, n, kc, alpha, r, beta, load, c[i*ldc:], ldc)
	}
}

// dotRows multiplies m rows as they lie by columns packed for dots, a strip at a time: a call into assembly is to be short.
func (s *set[T]) dotRows(m, n, kc int, alpha T, a []T, lda int, b []T, beta T, load bool, c []T, ldc int) {
	for i := 0; i < m; i += strip {
		s.dots(n, min(strip, m-i), kc, a[i*lda:], lda, b, c[i*ldc:], ldc, alpha, beta, load)
	}
}

// packColumns packs the first count columns of kc rows of A for the tiles of its transpose.
func (s *set[T]) packColumns(dst, a []T, lda, count, kc int) {
	mr := s.mr
	for q := range kc {
		row := a[q*lda:]
		row = row[:count]
		at := q * mr
		for len(row) >= mr {
			switch mr {
			case 8:
				*(*[8]T)(dst[at:]) = *(*[8]T)(row)
			case 6:
				*(*[6]T)(dst[at:]) = *(*[6]T)(row)
			default:
				copy(dst[at:at+mr], row)
			}
			row = row[mr:]
			at += kc * mr
		}
		if len(row) > 0 {
			copy(dst[at:], row)
		}
	}
}

// row multiplies a strip of rows, panel by panel; step is the distance of the tiles' left operands.
func (s *set[T]) row(left []T, step, ars, acs, count, n, kc int, alpha T, r right[T], beta T, load bool, c []T, ldc int) {
	np, last := s.panels(n)
	w := s.width()
	for p := range np {
		j := p * w
		v, cols := 2, w
		if p == np-1 {
			v, cols = last, n-j
		}
		b, brs := r.b[j:], r.ldb
		if r.packed {
			b, brs = r.b[j*kc:], v*s.lanes
		} else if p == np-1 && r.last != nil {
			b, brs = r.last, v*s.lanes
		}
		if r.stream && p == 0 {
			v |= stream
		}
		at := 0
		for i := 0; i < count; i += s.mr {
			s.tile(v, kc, left[at:], ars, acs, b, brs, c[i*ldc+j:], ldc, min(s.mr, count-i), cols, alpha, beta, load)
			at += step
		}
	}
}

// packedSize is the space of a packed right operand.
func (s *set[T]) packedSize(n, kc int) int {
	return (n+s.lanes-1)/s.lanes*s.lanes*kc + slack
}

// direct tells whether op(B) is better read where it lies than packed: it is used by few rows, or its
// kc rows stay in the second-level cache.
func (s *set[T]) direct(transB bool, m, kc, ldb int) bool {
	var zero T
	return !transB && (m <= 4*s.mr || s.masks && m <= 256 && kc*ldb*sizeOf(zero) <= 1<<20)
}

// A way is how the rows of A are read.
type way int

const (
	asLies   way = iota // by tiles
	asStream            // by tiles, from memory
	byDots
)

// way decides how a product of m rows goes.
func (s *set[T]) way(transA bool, m, n, k int) way {
	switch {
	case !transA && s.dotted(n) && m >= 24 && k >= 32:
		return byDots
	case s.streamed(transA, m, n, k):
		return asStream
	}
	return asLies
}

// serial is a whole product on one goroutine, in contraction blocks of at most limit.
func (s *set[T]) serial(transA, transB bool, m, n, k, limit int, how way, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	nb, kc := blocks(k, limit)
	if how == byDots {
		buffer := take[T](dotsSize(s.lanes, n, kc))
		defer give(buffer)
		for pc := 0; pc < k; pc += kc {
			length := min(kc, k-pc)
			s.packDots(buffer.s, transB, b, ldb, pc, length, n)
			scale := beta
			if pc > 0 {
				scale = 1
			}
			s.dotRows(m, n, length, alpha, a[pc:], lda, buffer.s, scale, scale != 0, c, ldc)
		}
		return
	}
	direct := s.direct(transB, m, kc, ldb)
	size := s.edgeSize(kc)
	if !direct {
		size = s.packedSize(min(n, maxColumns), kc)
	}
	buffer := take[T](size + leftSize(strip, kc))
	defer give(buffer)
	packed, scratch := buffer.s[:size], buffer.s[size:]
	for j := 0; j < n; j += maxColumns {
		cols := min(maxColumns, n-j)
		for block := range nb {
			pc := block * kc
			length := min(kc, k-pc)
			var r right[T]
			if direct {
				r = s.unpacked(b[j:], ldb, pc, length, cols, packed)
			} else {
				np, _ := s.panels(cols)
				at := j
				if transB {
					at = j * ldb
				}
				s.packRight(packed, 0, np, transB, b[at:], ldb, pc, length, cols)
				r = right[T]{b: packed, packed: true}
			}
			r.stream = how == asStream
			scale := beta
			if block > 0 {
				scale = 1
			}
			s.rows(strip, transA, m, cols, pc, length, alpha, a, lda, r, scale, scale != 0, c[j:], ldc, scratch)
		}
	}
}

// maxColumns is how many columns of op(B) are packed at a time.
const maxColumns = 4096

func (s *set[T]) gemm(transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	check(transA, m, k, len(a), lda, "A")
	check(transB, k, n, len(b), ldb, "B")
	check(false, m, n, len(c), ldc, "C")
	switch {
	case m == 0 || n == 0:
		return
	case k == 0 || alpha == 0:
		scaleRows(m, n, beta, c, ldc)
		return
	case m*n*k < 1<<16:
		s.serial(transA, transB, m, n, k, s.block(n, k), s.way(transA, m, n, k), alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	p := takeProduct[T]()
	defer p.giveBack()
	p.s, p.transA, p.transB, p.m, p.n, p.k = s, transA, transB, m, n, k
	p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc = alpha, a, lda, b, ldb, beta, c, ldc
	switch {
	case k >= 4096 && k >= 16*min(m, n) && min(m, n) <= 64 && max(m, n) <= 8192:
		p.long()
	default:
		p.divide(parallel.Workers())
		parallel.For(p.down*p.across, p.blocks)
	}
}

// A product is one call whose work is divided. Products are kept between calls: the bodies of their loops are
// made once, so that steady work allocates nothing.
type product[T float] struct {
	s              *set[T]
	transA, transB bool
	m, n, k        int
	alpha, beta    T
	a, b, c        []T
	lda, ldb, ldc  int
	buffer         *scratch[T]
	part           int // of k in a range
	down, across   int // the numbers of blocks
	height, width  int // of a block
	blocks, ranges func(worker, i int)
}

var (
	products32 = sync.Pool{New: func() any { return newProduct[float32]() }}
	products64 = sync.Pool{New: func() any { return newProduct[float64]() }}
)

func newProduct[T float]() *product[T] {
	p := new(product[T])
	p.blocks, p.ranges = p.blockItem, p.rangeItem
	return p
}

func takeProduct[T float]() *product[T] {
	var zero T
	if _, ok := any(zero).(float32); ok {
		return products32.Get().(*product[T])
	}
	return products64.Get().(*product[T])
}

// giveBack keeps p for the next call, without hold of anybody's memory.
func (p *product[T]) giveBack() {
	p.a, p.b, p.c = nil, nil, nil
	if p.buffer != nil {
		give(p.buffer)
		p.buffer = nil
	}
	var zero T
	if _, ok := any(zero).(float32); ok {
		products32.Put(p)
	} else {
		products64.Put(p)
	}
}

// The largest block of C that is one item. Its columns of op(B), in one contraction block, fill the
// second-level cache; its rows are enough to make up for packing them.
const (
	blockRows    = 1024
	blockColumns = 512
)

// divide cuts C into blocks, which workers take from a counter and form from beginning to end, each
// packing what it needs: nobody waits for others. There are at least as many blocks as workers, twice
// as many if they take milliseconds, since a worker may fall behind.
func (p *product[T]) divide(workers int) {
	const packing = 16 // packing a row or a column costs as much as so many of its products
	wanted := min(workers, p.m*p.n*p.k>>15)
	if p.m*p.n*p.k > 1<<28 {
		wanted = 2 * workers
	}
	down, across := (p.m+blockRows-1)/blockRows, (p.n+blockColumns-1)/blockColumns
	least := 0
	for last := max(across, wanted); across <= last; across++ {
		d, height := cut(p.m, max(down, (wanted+across-1)/across), p.s.mr)
		a, width := cut(p.n, across, p.s.width())
		time := (d*a + workers - 1) / workers * (height + packing) * (width + packing)
		if least == 0 || time < least {
			least = time
			p.down, p.height, p.across, p.width = d, height, a, width
		}
	}
}

// cut divides n into parts of equal size, a multiple of step, and returns how many are needed.
func cut(n, parts, step int) (count, size int) {
	size = (n + parts - 1) / parts
	size = (size + step - 1) / step * step
	return (n + size - 1) / size, size
}

// blockItem is one block of C.
func (p *product[T]) blockItem(_, item int) {
	i, j := item%p.down*p.height, item/p.down*p.width
	x, y := i*p.lda, j
	if p.transA {
		x = i
	}
	if p.transB {
		y = j * p.ldb
	}
	p.s.serial(p.transA, p.transB, min(p.height, p.m-i), min(p.width, p.n-j), p.k, p.s.block(p.n, p.k), p.s.way(p.transA, p.m, p.n, p.k),
		p.alpha, p.a[x:], p.lda, p.b[y:], p.ldb, p.beta, p.c[i*p.ldc+j:], p.ldc)
}

// ranges is the number of parts into which a long contraction is cut, each with a result of its own.
// It must not depend on the number of workers: it decides the order of summation.
const ranges = 16

// longBlock is the contraction block within such a part, short so that the rows of both operands
// stay in the second-level cache while all tiles pass over them.
const longBlock = 128

// long divides a long contraction of a small result into ranges and adds their results in order.
func (p *product[T]) long() {
	m, n := p.m, p.n
	p.part = (p.k + ranges - 1) / ranges
	p.buffer = take[T](ranges * m * n)
	parallel.For(ranges, p.ranges)
	for i := range m {
		row := p.c[i*p.ldc : i*p.ldc+n]
		for j := range row {
			at := i*n + j
			sum := p.buffer.s[at]
			for q := 1; q < ranges; q++ {
				sum += p.buffer.s[q*m*n+at]
			}
			sum *= p.alpha
			if p.beta != 0 {
				sum += T(p.beta * row[j])
			}
			row[j] = sum
		}
	}
}

// rangeItem is the product of one range.
func (p *product[T]) rangeItem(_, i int) {
	m, n := p.m, p.n
	pc := i * p.part
	length := min(p.part, p.k-pc)
	part := p.buffer.s[i*m*n : (i+1)*m*n]
	if length <= 0 {
		clear(part)
		return
	}
	x, y := pc, pc*p.ldb
	if p.transA {
		x = pc * p.lda
	}
	if p.transB {
		y = pc
	}
	limit := longBlock
	if !p.transA && p.transB { // both are read along their rows anyway
		limit = p.s.kc
	}
	p.s.serial(p.transA, p.transB, m, n, length, limit, asLies, 1, p.a[x:], p.lda, p.b[y:], p.ldb, 0, part, n)
}

// scaleRows is the product with an empty contraction.
func scaleRows[T float](m, n int, beta T, c []T, ldc int) {
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		if beta == 0 {
			clear(row)
			continue
		}
		for j := range row {
			row[j] *= beta
		}
	}
}

// check panics if a slice is too short for its matrix, before anything is written.
func check(trans bool, rows, cols, length, ld int, name string) {
	if trans {
		rows, cols = cols, rows
	}
	if rows < 0 || cols < 0 || rows > 0 && cols > 0 && (ld < cols || length < (rows-1)*ld+cols) {
		panic("kernel: matrix " + name + " is shorter than its shape")
	}
}
