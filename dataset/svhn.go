package dataset

import (
	"path/filepath"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/matfile"
)

// openSVHN reads train_32x32.mat and, where it is there, test_32x32.mat of a folder, or the same beside a file that is named: X, uint8
// of 32 x 32 x 3 x N, and y, N labels of 1 to 10, of which 10 is the digit 0 (Netzer et al. 2011).
func openSVHN(path string, o Options) (*Set, error) {
	train := path
	if filepath.Ext(path) != ".mat" {
		train = filepath.Join(path, "train_32x32.mat")
	}
	set := &Set{Classes: numbers(10)}
	var err error
	if set.Train, set.Shape, err = readSVHNFile(train, o); err != nil {
		return nil, err
	}
	test := filepath.Join(filepath.Dir(train), "test_32x32.mat")
	if test == train || !exists(test) {
		return set, nil
	}
	var shape Shape
	if set.Test, shape, err = readSVHNFile(test, o); err == nil && shape != set.Shape {
		err = inFile(test, array.Errorf(array.Mismatch, "X", "images of %s, the training images are %s", shape, set.Shape))
	}
	return set, err
}

func readSVHNFile(path string, o Options) (Split, Shape, error) {
	s, err := openStream(path)
	if err != nil {
		return Split{}, Shape{}, err
	}
	defer s.Close()
	return readSVHN(s, o)
}

func readSVHN(s *stream, o Options) (Split, Shape, error) {
	bad := func(e *Error) (Split, Shape, error) { return Split{}, Shape{}, inFile(s.name, e) }
	variables, err := matfile.Read(s, s.size, o.memory())
	if err != nil {
		return Split{}, Shape{}, array.Locate(err, s.name, "")
	}
	var x, y *matfile.Variable
	for i, v := range variables {
		switch v.Name {
		case "X":
			x = &variables[i]
		case "y":
			y = &variables[i]
		}
	}
	if x == nil || y == nil {
		return bad(array.Errorf(array.NotFound, "", "X (images) and y (labels) are expected"))
	}
	if x.DType != array.Uint8 || len(x.Shape) < 3 || len(x.Shape) > 4 {
		return bad(array.Errorf(array.Unsupported, "X", "%s, expected uint8 H x W x C x N", x.Info))
	}
	dims := append([]int{}, x.Shape...)
	if len(dims) == 3 { // a last axis of length 1 is not written
		dims = append(dims, 1)
	}
	shape, n := Shape{dims[0], dims[1], dims[2]}, dims[3]
	if shape.Size() == 0 || n == 0 {
		return bad(array.Errorf(array.Empty, "X", "%s", x.Info))
	}
	if y.Size() != n {
		return bad(array.Errorf(array.Mismatch, "y", "%d labels, X has %d images", y.Size(), n))
	}
	p := Split{Rows: n, Pixels: make([]uint8, len(x.Data)), Labels: make([]int32, n)}
	for i := range p.Labels {
		label := y.Float(i)
		if label != float64(int(label)) || label < 0 || label > 10 {
			return bad(array.Errorf(array.BadLabel, "y", "label %d is %g, expected 1 to 10, or 0", i, label))
		}
		p.Labels[i] = int32(label) % 10
	}
	// Columns come first in the file: row r, column q, channel c of image i lies at r + H (q + W (c + C i)).
	h, w, channels := shape.Height, shape.Width, shape.Channels
	at := 0
	for i := range n {
		for c := range channels {
			for q := range w {
				for r := range h {
					p.Pixels[((i*h+r)*w+q)*channels+c] = x.Data[at]
					at++
				}
			}
		}
	}
	return p, shape, nil
}
