// Package dataset turns files of labelled images into sets in memory, changes them (subsets, imbalance,
// random labels) and hands them out in batches.
//
//	set, err := dataset.Open("mnist", dataset.Options{Root: "data"})
//	if err != nil { ... }
//	set, err = set.FirstPerClass(500)
//	mean, std := set.Standardisation(false)
//	loader, err := dataset.NewLoader[float32](set, set.Train, dataset.LoaderOptions{Batch: 128, Shuffle: true, Mean: mean, Std: std})
//	x, labels := make([]float32, 128*set.Shape.Size()), make([]int32, 128)
//	for batch := range loader.Batches() {
//		n := loader.Fill(x, labels, nil, epoch, batch)
//		...
//	}
//
// Files are taken as hostile: what they declare is checked against their length before anything is allocated,
// and every complaint is an *Error that names the file, the member and what was expected.
package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"

	"github.com/collapsar/collapsar/internal/array"
)

// Error is a complaint about a file. It prints as "FILE: MEMBER: code: message".
type Error = array.Error

// Shape is the shape of one sample, H x W x C. A vector of d numbers is 1 x 1 x d.
type Shape struct{ Height, Width, Channels int }

// Size is the number of values of a sample.
func (s Shape) Size() int { return s.Height * s.Width * s.Channels }

// String is e.g. "32 x 32 x 3".
func (s Shape) String() string { return fmt.Sprintf("%d x %d x %d", s.Height, s.Width, s.Channels) }

// A Set is training and test rows of one shape over the same K classes (or K tags). Functions that change a set
// return another one and leave it alone; slices may be shared between the two, so they are read only.
type Set struct {
	Name        string // "mnist", or the base name of the file
	Shape       Shape
	Classes     []string // K names
	Train, Test Split    // Test may have no rows
}

// A Split is rows of a set. One of Pixels and Values is set, and one of Labels and Tags.
type Split struct {
	Rows   int
	Pixels []uint8   // Rows x H x W x C, 0..255; a Loader divides by 255
	Values []float32 // Rows x H x W x C, of data that are no bytes
	Labels []int32   // Rows, the class of each in 0..K-1
	Tags   []uint8   // Rows x K of 0 and 1, for rows with several tags
}

// TagSets is the tags of each row of k possible ones in ascending order, as features.Labels has them.
func (s *Split) TagSets(k int) [][]int {
	sets := make([][]int, s.Rows)
	for i := range sets {
		for tag, on := range s.Tags[i*k : (i+1)*k] {
			if on != 0 {
				sets[i] = append(sets[i], tag)
			}
		}
	}
	return sets
}

// The streams of randomness that a seed has here, apart from those of other packages.
const (
	streamOrder    = 0x64617461<<8 + iota // of the rows of an epoch, then its number
	streamSample                          // the parts of classes in an epoch
	streamAugment                         // moves and mirrors in an epoch
	streamBalanced                        // rows of a balanced subset, then the class
	streamLabels                          // random labels
	streamBlur                            // GeoMNIST, then the class
	streamShuffle
	streamNoise // and the image
)

// Check tells whether lengths and labels agree; sets from Open do.
func (s *Set) Check() error {
	k, size := len(s.Classes), s.Shape.Size()
	if s.Shape.Height < 1 || s.Shape.Width < 1 || s.Shape.Channels < 1 || k < 1 {
		return fmt.Errorf("data set %s: samples of %s in %d classes, expected at least one of each", s.Name, s.Shape, k)
	}
	for _, part := range []struct {
		name string
		Split
	}{{"train", s.Train}, {"test", s.Test}} {
		data, labels := len(part.Pixels)+len(part.Values), len(part.Labels)*k+len(part.Tags)
		both := part.Pixels != nil && part.Values != nil || part.Labels != nil && part.Tags != nil
		if part.Rows < 0 || data != part.Rows*size || labels != part.Rows*k || both {
			return fmt.Errorf("data set %s, %s: %d rows of %s in %d classes with %d pixels, %d values, %d labels and %d tags",
				s.Name, part.name, part.Rows, s.Shape, k, len(part.Pixels), len(part.Values), len(part.Labels), len(part.Tags))
		}
		for i, label := range part.Labels {
			if label < 0 || int(label) >= k {
				return fmt.Errorf("data set %s, %s: row %d has label %d, expected 0..%d", s.Name, part.name, i, label, k-1)
			}
		}
		for i, tag := range part.Tags {
			if tag > 1 {
				return fmt.Errorf("data set %s, %s: row %d has %d for tag %d, expected 0 or 1", s.Name, part.name, i/k, tag, i%k)
			}
		}
	}
	return nil
}

// Counts is the number of training rows of each class, or with each tag.
func (s *Set) Counts() []int { return s.Train.Counts(len(s.Classes)) }

// Counts is the number of rows of each of k classes, or with each of k tags.
func (p *Split) Counts(k int) []int {
	counts := make([]int, k)
	for _, label := range p.Labels {
		counts[label]++
	}
	for i, tag := range p.Tags {
		counts[i%k] += int(tag)
	}
	return counts
}

// Hash is a SHA-256, in hexadecimal, over shape, number of classes, and pixels and labels of both splits: two sets with
// the same hash train alike. Names do not enter.
func (s *Set) Hash() string {
	h := sha256.New()
	write := func(v ...int) {
		for _, x := range v {
			binary.Write(h, binary.LittleEndian, int64(x))
		}
	}
	write(s.Shape.Height, s.Shape.Width, s.Shape.Channels, len(s.Classes))
	for _, p := range []Split{s.Train, s.Test} {
		write(p.Rows, len(p.Pixels), len(p.Values), len(p.Labels), len(p.Tags))
		h.Write(p.Pixels)
		hash32(h, p.Values, math.Float32bits)
		hash32(h, p.Labels, func(v int32) uint32 { return uint32(v) })
		h.Write(p.Tags)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hash32 writes numbers of four bytes, little-endian.
func hash32[T any](h hash.Hash, values []T, bits func(T) uint32) {
	var buffer [4096]byte
	for len(values) > 0 {
		n := min(len(values), len(buffer)/4)
		for i, v := range values[:n] {
			binary.LittleEndian.PutUint32(buffer[4*i:], bits(v))
		}
		h.Write(buffer[:4*n])
		values = values[n:]
	}
}
