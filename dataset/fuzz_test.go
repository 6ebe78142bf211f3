package dataset

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Whatever the bytes: no panic, and an *Error or a set that agrees with itself.
func fuzz(f *testing.F, read func(s *stream) (*Set, error)) {
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := newStream("file", bytes.NewReader(data), int64(len(data)))
		var set *Set
		if err == nil {
			set, err = read(s)
		}
		if err == nil {
			err = set.Check()
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if known := new(Error); !errors.As(err, &known) || known.File != "file" {
			t.Fatalf("%T: %v", err, err)
		}
	})
}

var small = Options{Memory: 1 << 20}

func FuzzIDX(f *testing.F) {
	f.Add(idxBytes(make([]byte, 24), 2, 4, 3))
	f.Add(gz(idxBytes(make([]byte, 24), 2, 4, 3)))
	fuzz(f, func(s *stream) (*Set, error) {
		pixels, axes, err := readIDX(s, 3, small)
		if err != nil || len(pixels) == 0 {
			return toy(Shape{1, 1, 1}, 1), err
		}
		return &Set{Shape: Shape{axes[1], axes[2], 1}, Classes: numbers(1), Train: Split{Rows: axes[0], Pixels: pixels, Labels: make([]int32, axes[0])}}, nil
	})
}

func FuzzCIFAR(f *testing.F) {
	f.Add(cifarBytes(2, 1, 10))
	f.Add(gz(cifarBytes(2, 1, 10)))
	fuzz(f, func(s *stream) (*Set, error) {
		p, err := cifars[0].read(s, small)
		return &Set{Shape: Shape{32, 32, 3}, Classes: numbers(10), Train: p}, err
	})
}

func FuzzSVHN(f *testing.F) {
	for _, name := range []string{"plain.mat", "deflated.mat", "types.mat"} {
		data, err := os.ReadFile(filepath.Join("..", "internal", "matfile", "testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	fuzz(f, func(s *stream) (*Set, error) {
		p, shape, err := readSVHN(s, small)
		return &Set{Shape: shape, Classes: numbers(10), Train: p}, err
	})
}

func FuzzTar(f *testing.F) {
	names := []string{"train/a/1.png", "test/a/2.png"}
	f.Add(tarBytes(names, map[string][]byte{names[0]: pictureOf(colourImage(2, 3, 1)), names[1]: pictureOf(greyImage(2, 3, 1))}))
	f.Add(gz(tarBytes([]string{"x/test_batch.bin"}, map[string][]byte{"x/test_batch.bin": cifarBytes(1, 1, 10)})))
	fuzz(f, func(s *stream) (*Set, error) { return openTar(s, small) })
}

// FuzzImage is one image, in an archive that is sound.
func FuzzImage(f *testing.F) {
	f.Add(pictureOf(colourImage(2, 3, 1)))
	f.Add(pictureOf(greyImage(8, 8, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		archive := tarBytes([]string{"a/1.png"}, map[string][]byte{"a/1.png": data})
		s, err := newStream("file", bytes.NewReader(archive), int64(len(archive)))
		if err != nil {
			t.Fatal(err)
		}
		set, err := openTar(s, small)
		if known := new(Error); err != nil && (!errors.As(err, &known) || known.Array != "a/1.png" && known.File != "file") {
			t.Fatalf("%T: %v", err, err)
		}
		if err == nil && set.Check() != nil {
			t.Fatal(set.Check())
		}
	})
}
