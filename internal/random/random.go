// Package random is where the program's randomness comes from: streams that are keyed by what they are
// for, never by who asks first. The same seed and path give the same numbers on any machine, in any
// order of calls and on any number of goroutines, so work can be stopped and taken up again without
// saving a generator.
package random

import (
	"math/bits"
	"math/rand/v2"
)

// New returns a generator for the stream that a seed and a path name, for instance the seed of a run,
// the number of a purpose, the epoch and the sample. Different paths, also of different lengths, are
// different streams of Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011), each 2^65 words long.
func New(seed uint64, path ...uint64) *rand.Rand {
	s := at(seed, path)
	return rand.New(&s)
}

// Fill writes the first words of a stream to dst, the same that Uint64 of New(seed, path...) returns one after
// another. It allocates nothing.
func Fill(dst []uint64, seed uint64, path ...uint64) {
	s := at(seed, path)
	for i := range dst {
		dst[i] = s.Uint64()
	}
}

// at is the beginning of a stream.
func at(seed uint64, path []uint64) stream {
	to := mix(uint64(len(path)))
	for _, p := range path {
		to = mix(to ^ p)
	}
	return stream{key: [2]uint32{uint32(seed), uint32(seed >> 32)}, path: to}
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014), after its additive step.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// stream is one path: the upper half of the counter is the path, the lower half counts blocks of 128 bits.
type stream struct {
	key   [2]uint32
	path  uint64
	block uint64
	spare uint64
	half  bool // spare holds the second half of the last block
}

func (s *stream) Uint64() uint64 {
	if s.half {
		s.half = false
		return s.spare
	}
	w := philox([4]uint32{uint32(s.block), uint32(s.block >> 32), uint32(s.path), uint32(s.path >> 32)}, s.key)
	s.block++
	s.spare, s.half = uint64(w[2])|uint64(w[3])<<32, true
	return uint64(w[0]) | uint64(w[1])<<32
}

// philox is Philox4x32 with ten rounds.
func philox(c [4]uint32, k [2]uint32) [4]uint32 {
	for range 10 {
		h0, l0 := bits.Mul32(0xd2511f53, c[0])
		h1, l1 := bits.Mul32(0xcd9e8d57, c[2])
		c = [4]uint32{h1 ^ c[1] ^ k[0], l1, h0 ^ c[3] ^ k[1], l0}
		k[0] += 0x9e3779b9
		k[1] += 0xbb67ae85
	}
	return c
}
