package parquet

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// pack is bit-packing by its definition: one bit after the other, lowest first.
func pack(values []uint64, width uint) []byte {
	b := make([]byte, (len(values)*int(width)+7)/8)
	for i, v := range values {
		for k := range width {
			bit := i*int(width) + int(k)
			b[bit/8] |= byte(v>>k&1) << (bit % 8)
		}
	}
	return b
}

// Runs and packed groups in any order, read in pieces of any size, in every width.
func TestHybrid(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for width := uint(0); width <= 32; width++ {
		var want []uint32
		var data []byte
		for range 20 {
			if rng.IntN(2) == 0 {
				n, v := rng.IntN(40), uint32(rng.Uint64()&(1<<width-1))
				data = binary.AppendUvarint(data, uint64(n)<<1)
				data = append(data, binary.LittleEndian.AppendUint32(nil, v)[:(width+7)/8]...)
				want = append(want, slices.Repeat([]uint32{v}, n)...)
				continue
			}
			groups := rng.IntN(5)
			values := make([]uint64, groups*8)
			for i := range values {
				values[i] = rng.Uint64() & (1<<width - 1)
				want = append(want, uint32(values[i]))
			}
			data = binary.AppendUvarint(data, uint64(groups)<<1|1)
			data = append(data, pack(values, width)...)
		}
		h := hybrid{b: data, width: width}
		got := make([]uint32, len(want))
		for rest := got; len(rest) > 0; {
			n := min(len(rest), rng.IntN(30))
			if !h.read(rest[:n]) {
				t.Fatalf("width %d: the data end early", width)
			}
			rest = rest[n:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("width %d: other values than were written", width)
		}
		if h.read(make([]uint32, 1)) {
			t.Errorf("width %d: a value after the end", width)
		}
	}
}

// Differences of every width, also such that wrap around.
func TestDeltas(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for width := uint(0); width <= 64; width++ {
		const block, minis, per = 128, 4, 32
		n := 1 + rng.IntN(400)
		want := []uint64{rng.Uint64()}
		data := binary.AppendUvarint(binary.AppendUvarint(nil, block), minis)
		data = binary.AppendUvarint(data, uint64(n))
		data = binary.AppendVarint(data, int64(want[0]))
		for len(want) < n {
			least := rng.Uint64()
			data = binary.AppendVarint(data, int64(least))
			data = append(data, slices.Repeat([]byte{byte(width)}, minis)...)
			for range minis {
				values := make([]uint64, per)
				for i := range values {
					if width > 0 {
						values[i] = rng.Uint64() >> (64 - width)
					}
					want = append(want, want[len(want)-1]+least+values[i])
				}
				if len(want)-per < n { // those beyond the end are not written
					data = append(data, pack(values, width)...)
				}
			}
		}
		want = want[:n]
		fill := deltas(data, 8)
		got := make([]byte, 8*n)
		for rest := got; len(rest) > 0; {
			k := 8 * min(len(rest)/8, rng.IntN(50))
			if !fill(rest[:k]) {
				t.Fatalf("width %d, %d values: the data end early", width, n)
			}
			rest = rest[k:]
		}
		for i, v := range want {
			if g := binary.LittleEndian.Uint64(got[8*i:]); g != v {
				t.Fatalf("width %d: value %d is %d, expected %d", width, i, g, v)
			}
		}
		if fill(make([]byte, 8)) {
			t.Errorf("width %d: a value after the end", width)
		}
	}
}
