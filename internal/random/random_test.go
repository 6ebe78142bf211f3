package random

import (
	"math"
	"testing"
)

// The known answers published with the generator (Random123, kat_vectors).
func TestPhilox(t *testing.T) {
	const all = 0xffffffff
	for _, c := range []struct {
		counter, want [4]uint32
		key           [2]uint32
	}{
		{want: [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{all, all, all, all}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, [2]uint32{all, all}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}, [2]uint32{0xa4093822, 0x299f31d0}},
	} {
		if got := philox(c.counter, c.key); got != c.want {
			t.Errorf("philox(%x, %x) = %x, want %x", c.counter, c.key, got, c.want)
		}
	}
}

// Paths are streams of their own, and the same path is the same stream.
func TestPaths(t *testing.T) {
	seen := map[uint64]string{}
	for _, p := range []struct {
		name string
		path []uint64
	}{{"none", nil}, {"0", []uint64{0}}, {"1", []uint64{1}}, {"0,0", []uint64{0, 0}}, {"0,1", []uint64{0, 1}}, {"1,0", []uint64{1, 0}}} {
		for seed := range uint64(3) {
			a, b := New(seed, p.path...), New(seed, p.path...)
			for range 100 {
				v := a.Uint64()
				if v != b.Uint64() {
					t.Fatalf("path %s: two generators differ", p.name)
				}
				if other, ok := seen[v]; ok {
					t.Fatalf("path %s repeats a word of path %s", p.name, other)
				}
				seen[v] = p.name
			}
		}
	}
}

func TestFill(t *testing.T) {
	var got [7]uint64
	if n := testing.AllocsPerRun(10, func() { Fill(got[:], 3, 1, 2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	r := New(3, 1, 2)
	for i, v := range got {
		if want := r.Uint64(); v != want {
			t.Errorf("word %d is %x, want %x", i, v, want)
		}
	}
}

// The mean and variance of a million uniform numbers lie within five standard errors.
func TestMoments(t *testing.T) {
	const n = 1_000_000
	r := New(7, 1, 2, 3)
	var sum, squares float64
	for range n {
		v := r.Float64() - 0.5
		sum += v
		squares += v * v
	}
	if mean := sum / n; math.Abs(mean) > 5*math.Sqrt(1./12/n) {
		t.Errorf("mean %g", mean)
	}
	if v := squares / n; math.Abs(v-1./12) > 5*math.Sqrt(1./180/n) {
		t.Errorf("variance %g, want %g", v, 1./12)
	}
}
