package parquet

import (
	"encoding/binary"
	"math/bits"
)

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

func bitLen(n int) int { return bits.Len(uint(n)) }

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
				h.run, h.value = head>>1, le32(v[:])
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

// deltas decodes integers of size bytes that are stored as packed differences, until dst is full;
// it reports false if the data end before, or break the rules.
func deltas(dst []byte, size int, data []byte) bool {
	uvarint := func() uint64 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			data = nil
			return 0
		}
		data = data[n:]
		return v
	}
	varint := func() uint64 { v := uvarint(); return v>>1 ^ -(v & 1) }
	put := func(v uint64) {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], v)
		dst = dst[copy(dst, b[:size]):]
	}

	block, minis, total := uvarint(), uvarint(), uvarint()
	value := varint()
	if block == 0 || block%128 != 0 || block > 1<<20 || minis == 0 || block%minis != 0 || block/minis%32 != 0 ||
		total != uint64(len(dst)/size) || data == nil {
		return total == 0 && len(dst) == 0
	}
	if len(dst) > 0 {
		put(value)
	}
	for len(dst) > 0 {
		least := varint()
		if uint64(len(data)) < minis {
			return false
		}
		widths := data[:minis]
		data = data[minis:]
		for _, w := range widths {
			if len(dst) == 0 {
				break
			}
			n := block / minis
			if w > 64 || uint64(len(data)) < n*uint64(w)/8 {
				return false
			}
			for i := uint64(0); i < n && len(dst) > 0; i++ {
				value += least + unpack(data, i*uint64(w), uint(w))
				put(value)
			}
			data = data[n*uint64(w)/8:]
		}
	}
	return true
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
