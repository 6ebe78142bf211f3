package parquet

import "encoding/binary"

// hybrid reads parquet's mixture of runs and bit-packed groups: levels, dictionary indexes,
// booleans.
type hybrid struct {
	b     []byte
	width uint // bits of a value, at most 32

	run   uint64 // values left of a run
	value uint32 // the value of it

	packed []byte // what is left of bit-packed groups
	left   uint64 // values left of them
	acc    uint64 // bits taken from packed, lowest first
	have   uint   // how many
}

// read fills dst; it reports false if the data end before.
func (h *hybrid) read(dst []uint32) bool {
	for len(dst) > 0 {
		switch {
		case h.run > 0:
			n := int(min(h.run, uint64(len(dst))))
			for i := range n {
				dst[i] = h.value
			}
			h.run -= uint64(n)
			dst = dst[n:]
		case h.left > 0:
			n := int(min(h.left, uint64(len(dst))))
			mask := uint32(1)<<h.width - 1
			for i := range n {
				for h.have < h.width {
					if len(h.packed) == 0 { // the last group may be cut short
						return false
					}
					h.acc |= uint64(h.packed[0]) << h.have
					h.packed = h.packed[1:]
					h.have += 8
				}
				dst[i] = uint32(h.acc) & mask
				h.acc >>= h.width
				h.have -= h.width
			}
			h.left -= uint64(n)
			dst = dst[n:]
		default:
			head, n := binary.Uvarint(h.b)
			if n <= 0 {
				return false
			}
			h.b = h.b[n:]
			if head&1 == 0 {
				size := int(h.width+7) / 8
				if len(h.b) < size {
					return false
				}
				var v [4]byte
				copy(v[:], h.b[:size])
				h.b = h.b[size:]
				h.run, h.value = head>>1, binary.LittleEndian.Uint32(v[:])
				continue
			}
			groups := min(head>>1, 1<<40)
			size := min(groups*uint64(h.width), uint64(len(h.b)))
			h.packed, h.b = h.b[:size], h.b[size:]
			h.left, h.acc, h.have = groups*8, 0, 0
		}
	}
	return true
}

// What follows makes the functions that fill a slice with the next elements of a page. They report
// false if the page ends before.

// indexes looks elements of size bytes up in a table.
func indexes(h hybrid, table []byte, size int) func([]byte) bool {
	count := uint32(len(table) / size)
	var block [512]uint32
	return func(dst []byte) bool {
		for len(dst) > 0 {
			k := block[:min(len(dst)/size, len(block))]
			if !h.read(k) {
				return false
			}
			for i, v := range k {
				if v >= count {
					return false
				}
				copy(dst[i*size:(i+1)*size], table[int(v)*size:])
			}
			dst = dst[len(k)*size:]
		}
		return true
	}
}

// split gathers n elements whose first bytes come first, then all second bytes, and so on.
func split(data []byte, n, size int) func([]byte) bool {
	at := 0
	return func(dst []byte) bool {
		for i := 0; i < len(dst); i += size {
			for j := range size {
				dst[i+j] = data[j*n+at]
			}
			at++
		}
		return true
	}
}

// deltas adds up bit-packed differences. They come in blocks of so many values, each made of small
// blocks with a width of their own; a block's least difference is stored apart.
func deltas(data []byte, size int) func([]byte) bool {
	bad := false
	uvarint := func() uint64 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			bad = true
			return 0
		}
		data = data[n:]
		return v
	}
	varint := func() uint64 { v := uvarint(); return v>>1 ^ -(v & 1) }

	block, minis := uvarint(), uvarint()
	left := uvarint() // values, of which the first is stored apart
	next, least := varint(), uint64(0)
	if block == 0 || block > 1<<20 || minis == 0 || block%minis != 0 || block/minis%8 != 0 {
		bad = true
	}
	var widths []byte // of the small blocks to come
	var packed []byte // the small block begun
	at, end := uint64(0), uint64(0)
	return func(dst []byte) bool {
		for ; len(dst) > 0; dst = dst[size:] {
			if bad || left == 0 {
				return false
			}
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], next)
			copy(dst[:size], b[:])
			if left--; left == 0 {
				continue
			}
			if at == end {
				if len(widths) == 0 {
					least = varint()
					if bad || uint64(len(data)) < minis {
						return false
					}
					widths, data = data[:minis], data[minis:]
				}
				at, end = 0, block/minis
				bytes := end / 8 * uint64(widths[0])
				if widths[0] > 64 || bytes > uint64(len(data)) {
					return false
				}
				packed, data = data[:bytes], data[bytes:]
			}
			next += least + unpack(packed, at*uint64(widths[0]), uint(widths[0]))
			if at++; at == end {
				widths = widths[1:]
			}
		}
		return true
	}
}

// unpack is the number of width bits that begins at a bit of b, lowest bit first.
func unpack(b []byte, bit uint64, width uint) (v uint64) {
	for have := uint(0); have < width; {
		at := uint(bit & 7)
		take := min(8-at, width-have)
		v |= uint64(b[bit>>3]>>at) & (1<<take - 1) << have
		have += take
		bit += uint64(take)
	}
	return v
}
