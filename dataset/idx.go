package dataset

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
)

// openIDX reads the MNIST family: pairs STEM-images-idx3-ubyte and STEM-labels-idx1-ubyte, plain or gzipped, with a
// point for the second hyphen in some distributions (LeCun, Cortes and Burges 1998).
func openIDX(folder string, o Options) (*Set, error) {
	stems, err := idxStems(folder)
	if err != nil {
		return nil, err
	}
	train, err := trainStem(folder, stems, o.Stem)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	if set.Train, set.Shape, err = readPair(folder, train, o); err != nil {
		return nil, err
	}
	for _, stem := range []string{"t10k", "test"} {
		if !slices.Contains(stems, stem) || stem == train {
			continue
		}
		var shape Shape
		if set.Test, shape, err = readPair(folder, stem, o); err != nil {
			return nil, err
		}
		if shape != set.Shape {
			return nil, inFile(idxFile(folder, stem, "images-idx3"), array.Errorf(array.Mismatch, "", "images of %s, those of %s are %s", shape, train, set.Shape))
		}
		break
	}
	set.Classes = numbers(1 + int(max(slices.Max(set.Train.Labels), slices.Max(append([]int32{0}, set.Test.Labels...)))))
	return set, nil
}

// idxStems lists what stands before "-images-idx3-ubyte" in the names of a folder.
func idxStems(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, array.InFile(err, folder, "")
	}
	var stems []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".gz")
		for _, end := range []string{"-images-idx3-ubyte", "-images.idx3-ubyte"} {
			if stem, ok := strings.CutSuffix(name, end); ok && !slices.Contains(stems, stem) {
				stems = append(stems, stem)
			}
		}
	}
	return stems, nil
}

// trainStem is the stem wanted, or "train", or the only one that begins so.
func trainStem(folder string, stems []string, want string) (string, error) {
	if want == "" {
		want = "train"
	}
	if slices.Contains(stems, want) {
		return want, nil
	}
	var begin []string
	for _, s := range stems {
		if strings.HasPrefix(s, want) {
			begin = append(begin, s)
		}
	}
	if len(begin) == 1 {
		return begin[0], nil
	}
	kind, have := array.NotFound, stems
	if len(begin) > 1 {
		kind, have = array.Ambiguous, begin
	}
	return "", inFile(folder, array.Errorf(kind, "", "training images are expected in %s-images-idx3-ubyte.gz (or another stem, named by an option); there are %s", want, strings.Join(have, ", ")))
}

// idxFile is the path of one file of a pair, "" if there is none; kind is "images-idx3" or "labels-idx1".
func idxFile(folder, stem, kind string) string {
	for _, name := range []string{kind, strings.Replace(kind, "-", ".", 1)} {
		for _, end := range []string{"-ubyte", "-ubyte.gz"} {
			path := filepath.Join(folder, stem+"-"+name+end)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return path
			}
		}
	}
	return ""
}

// readPair reads the images and labels of a stem.
func readPair(folder, stem string, o Options) (Split, Shape, error) {
	images, labels := idxFile(folder, stem, "images-idx3"), idxFile(folder, stem, "labels-idx1")
	if labels == "" {
		return Split{}, Shape{}, inFile(images, array.Errorf(array.NotFound, "", "no labels: %s-labels-idx1-ubyte or .gz is expected beside it", stem))
	}
	pixels, shape, err := readIDXFile(images, 3, o)
	if err != nil {
		return Split{}, Shape{}, err
	}
	if shape[0] == 0 || shape[1] == 0 || shape[2] == 0 {
		return Split{}, Shape{}, inFile(images, array.Errorf(array.Empty, "", "%d images of %d x %d", shape[0], shape[1], shape[2]))
	}
	bytes, count, err := readIDXFile(labels, 1, o)
	if err != nil {
		return Split{}, Shape{}, err
	}
	if count[0] != shape[0] {
		return Split{}, Shape{}, inFile(labels, array.Errorf(array.Mismatch, "", "%d labels, %s has %d images", count[0], filepath.Base(images), shape[0]))
	}
	return Split{Rows: shape[0], Pixels: pixels, Labels: widen(bytes)}, Shape{shape[1], shape[2], 1}, nil
}

func readIDXFile(path string, axes int, o Options) ([]byte, []int, error) {
	s, err := openStream(path)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	return readIDX(s, axes, o)
}

// readIDX reads an array of bytes with a number of axes: magic 0, 0, 8 (bytes), axes; then big-endian lengths.
func readIDX(s *stream, axes int, o Options) ([]byte, []int, error) {
	head, err := s.bytes(int64(4 + 4*axes))
	if err != nil {
		return nil, nil, err
	}
	if want := uint32(8<<8 | axes); binary.BigEndian.Uint32(head) != want {
		return nil, nil, s.errorf(array.Malformed, "begins with %08x, an IDX file of bytes with %d axes begins with %08x", head[:4], axes, want)
	}
	info := array.Info{DType: array.Uint8, Shape: make([]int, axes)}
	for i := range axes {
		info.Shape[i] = int(binary.BigEndian.Uint32(head[4+4*i:]))
	}
	n, ok := info.Bytes()
	if !ok || n > o.memory() {
		return nil, nil, s.errorf(array.TooLarge, "%s, the budget is %d bytes", info, o.memory())
	}
	data, err := s.bytes(n)
	if err != nil {
		return nil, nil, err
	}
	return data, info.Shape, s.end()
}
