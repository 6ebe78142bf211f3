package npz

import (
	"hash/crc32"
	"io"
	"sort"
	"sync"

	"github.com/collapsar/collapsar/internal/array"
)

// checked compares the check sum of a stored entry while it is read in pieces, in any order and by
// several goroutines: every byte is summed when it is first read, and sums of neighbouring pieces
// are combined. The read that completes the entry compares, so a first pass over all rows is
// also the check, at the cost of summing bytes that lie in the cache. From then on it is free.
type checked struct {
	r    io.ReaderAt
	size int64
	want uint32

	mu     sync.Mutex
	pieces []piece // of what has been read: sorted, apart from each other
	done   bool
	err    error
}

type piece struct {
	lo, hi int64
	crc    uint32
}

func (c *checked) ReadAt(p []byte, offset int64) (int, error) {
	n, err := c.r.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		return n, err
	}
	if bad := c.add(p[:n], offset); bad != nil {
		return 0, bad
	}
	return n, err
}

// add sums what is new of p.
func (c *checked) add(p []byte, lo int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return c.err
	}
	fresh := c.missing(lo, lo+int64(len(p)))
	sums := make([]uint32, len(fresh))

	c.mu.Unlock() // this is the part that takes time
	for i, f := range fresh {
		sums[i] = crc32.ChecksumIEEE(p[f.lo-lo : f.hi-lo])
	}
	c.mu.Lock()

	for i, f := range fresh {
		for _, g := range c.missing(f.lo, f.hi) {
			g.crc = sums[i]
			if g != (piece{f.lo, f.hi, sums[i]}) { // others have read a part of it meanwhile
				g.crc = crc32.ChecksumIEEE(p[g.lo-lo : g.hi-lo])
			}
			c.insert(g)
		}
	}
	if !c.done && len(c.pieces) == 1 && c.pieces[0].lo == 0 && c.pieces[0].hi == c.size {
		c.done = true
		if got := c.pieces[0].crc; got != c.want {
			c.err = array.Errorf(array.Malformed, "", "CRC-32 of the data is %08x, the archive has %08x: the file is damaged", got, c.want)
		}
		c.pieces = nil
	}
	return c.err
}

// missing is the parts of [lo, hi) that have not been read.
func (c *checked) missing(lo, hi int64) (gaps []piece) {
	if c.done {
		return nil
	}
	i := sort.Search(len(c.pieces), func(i int) bool { return c.pieces[i].hi > lo })
	for ; lo < hi; i++ {
		if i == len(c.pieces) || c.pieces[i].lo >= hi {
			return append(gaps, piece{lo: lo, hi: hi})
		}
		if c.pieces[i].lo > lo {
			gaps = append(gaps, piece{lo: lo, hi: c.pieces[i].lo})
		}
		lo = c.pieces[i].hi
	}
	return gaps
}

// insert adds a missing piece and joins it with its neighbours.
func (c *checked) insert(f piece) {
	i := sort.Search(len(c.pieces), func(i int) bool { return c.pieces[i].hi > f.lo })
	left := i > 0 && c.pieces[i-1].hi == f.lo
	right := i < len(c.pieces) && c.pieces[i].lo == f.hi
	switch {
	case left && right:
		l, r := &c.pieces[i-1], c.pieces[i]
		l.crc = combine(combine(l.crc, f.crc, f.hi-f.lo), r.crc, r.hi-r.lo)
		l.hi = r.hi
		c.pieces = append(c.pieces[:i], c.pieces[i+1:]...)
	case left:
		l := &c.pieces[i-1]
		l.crc, l.hi = combine(l.crc, f.crc, f.hi-f.lo), f.hi
	case right:
		r := &c.pieces[i]
		r.crc, r.lo = combine(f.crc, r.crc, r.hi-r.lo), f.lo
	default:
		c.pieces = append(c.pieces, piece{})
		copy(c.pieces[i+1:], c.pieces[i:])
		c.pieces[i] = f
	}
}

// combine is the check sum of two pieces, one after the other, the second n bytes long. A check sum
// is a polynomial over GF(2) modulo the polynomial of CRC-32; n bytes more multiply it by x^(8n),
// and the initial and final complements cancel.
func combine(a, b uint32, n int64) uint32 {
	return multiply(power(n), a) ^ b
}

// multiply is the product of two polynomials in the reflected representation: the highest bit is
// the coefficient of x^0.
func multiply(a, b uint32) uint32 {
	var p uint32
	for bit := uint32(1) << 31; a != 0; bit >>= 1 {
		if a&bit != 0 {
			p ^= b
			a ^= bit
		}
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return p
}

// powers[i] is x^(8 * 2^i).
var powers = func() (p [64]uint32) {
	p[0] = 1 << (31 - 8)
	for i := range p[1:] {
		p[i+1] = multiply(p[i], p[i])
	}
	return p
}()

// power is x^(8n).
func power(n int64) uint32 {
	p := uint32(1) << 31
	for i := 0; n != 0; i, n = i+1, n>>1 {
		if n&1 != 0 {
			p = multiply(powers[i], p)
		}
	}
	return p
}
