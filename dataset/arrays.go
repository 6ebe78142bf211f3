package dataset

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/features/npy"
	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/internal/array"
)

// The names under which arrays are found, the first that is there.
var (
	arrayTrainX = []string{"x_train", "X_train", "train_images", "images_train", "train_x", "train_data", "images", "x", "X", "data"}
	arrayTrainY = []string{"y_train", "Y_train", "train_labels", "labels_train", "train_y", "labels", "y", "Y", "targets"}
	arrayTestX  = []string{"x_test", "X_test", "test_images", "images_test", "test_x", "test_data", "x_val", "val_images"}
	arrayTestY  = []string{"y_test", "Y_test", "test_labels", "labels_test", "test_y", "y_val", "val_labels"}
)

// arrays is an .npz file, or the .npy files of a folder by their names.
type arrays struct {
	file   string
	folder string     // "" for an .npz file
	npz    array.File // of an .npz file
	names  []string
}

// openArrays reads images N x H x W (x C) or rows N x d, of bytes or floating-point numbers, and labels: N, or N x K of 0 and 1. The
// path is an .npz file, a folder of .npy files, or the .npy file with the training images in such a folder.
func openArrays(path string, o Options) (*Set, error) {
	a := &arrays{file: path, folder: path}
	trainX := arrayTrainX
	info, err := os.Stat(path)
	if err != nil {
		return nil, array.InFile(err, path, "")
	}
	if !info.IsDir() {
		f, err := os.Open(path)
		if err != nil {
			return nil, array.InFile(err, path, "")
		}
		defer f.Close()
		var magic [6]byte
		if err := array.ReadFull(f, magic[:], 0); err != nil {
			return nil, array.Locate(err, path, "")
		}
		if npy.Sniff(magic[:]) {
			a.folder = filepath.Dir(path)
			trainX = []string{strings.TrimSuffix(filepath.Base(path), ".npy")}
		} else {
			a.folder = ""
			if a.npz, err = npz.Open(f, info.Size(), array.Options{Memory: o.memory()}); err != nil {
				return nil, array.Locate(err, path, "")
			}
		}
	}
	return a.read(trainX, o)
}

// read finds the arrays by their names.
func (a *arrays) read(trainX []string, o Options) (*Set, error) {
	if a.npz != nil {
		for _, info := range a.npz.Arrays() {
			a.names = append(a.names, info.Name)
		}
	} else {
		entries, err := os.ReadDir(a.folder)
		if err != nil {
			return nil, array.InFile(err, a.folder, "")
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".npy"); ok {
				a.names = append(a.names, name)
			}
		}
	}
	set := &Set{}
	var k int
	var err error
	if set.Train, set.Shape, k, err = a.split(a.find(trainX), a.find(arrayTrainY), o); err != nil {
		return nil, err
	}
	if x := a.find(arrayTestX); x != "" {
		var shape Shape
		var n int
		if set.Test, shape, n, err = a.split(x, a.find(arrayTestY), o); err != nil {
			return nil, err
		}
		train, test := &set.Train, &set.Test
		if shape != set.Shape || (train.Pixels == nil) != (test.Pixels == nil) || (train.Tags == nil) != (test.Tags == nil) || train.Tags != nil && n != k {
			return nil, inFile(a.file, array.Errorf(array.Mismatch, x, "test rows are %s with %d classes, training rows %s with %d; types of images and labels must agree too", shape, n, set.Shape, k))
		}
		k = max(k, n)
	}
	set.Classes = numbers(k)
	return set, nil
}

func (a *arrays) find(names []string) string {
	for _, name := range names {
		if slices.Contains(a.names, name) {
			return name
		}
	}
	return ""
}

// split reads images and labels; k is the number of classes.
func (a *arrays) split(x, y string, o Options) (p Split, shape Shape, k int, err error) {
	if x == "" || y == "" {
		return p, shape, 0, inFile(a.file, array.Errorf(array.NotFound, "", "expected are images (x_train, train_images, images, x ...) and labels (y_train, train_labels, labels, y ...), and x_test and y_test for the test; there are %s", strings.Join(a.names, ", ")))
	}
	if err = a.with(x, func(v array.Array) (err error) { shape, err = p.readImages(v, o); return err }); err != nil {
		return p, shape, 0, err
	}
	err = a.with(y, func(v array.Array) (err error) { k, err = p.readLabels(v); return err })
	return p, shape, k, err
}

// with opens an array for a function.
func (a *arrays) with(name string, do func(array.Array) error) error {
	if a.npz != nil {
		v, err := a.npz.Open(name)
		if err == nil {
			err = do(v)
		}
		return array.Locate(err, a.file, name)
	}
	path := filepath.Join(a.folder, name+".npy")
	f, err := os.Open(path)
	if err != nil {
		return array.InFile(err, path, "")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return array.InFile(err, path, "")
	}
	file, err := npy.Open(f, info.Size(), array.Options{})
	if err == nil {
		var v array.Array
		if v, err = file.Open(npy.Name); err == nil {
			err = do(v)
		}
	}
	return array.Locate(err, path, "")
}

// readImages reads the numbers.
func (p *Split) readImages(v array.Array, o Options) (Shape, error) {
	info := v.Info()
	var shape Shape
	switch s := info.Shape; {
	case len(s) == 2:
		shape = Shape{1, 1, s[1]}
	case len(s) == 3:
		shape = Shape{s[1], s[2], 1}
	case len(s) == 4 && s[3] > 4 && s[1] <= 4:
		return shape, array.Errorf(array.Unsupported, "", "%s looks like N x C x H x W; save x.transpose(0, 2, 3, 1), which is N x H x W x C", info)
	case len(s) == 4:
		shape = Shape{s[1], s[2], s[3]}
	default:
		return shape, array.Errorf(array.Unsupported, "", "%s, expected N x H x W, N x H x W x C or N x d", info)
	}
	n, ok := info.Bytes()
	switch {
	case info.DType != array.Uint8 && !info.DType.IsFloat():
		return shape, array.Errorf(array.Unsupported, "", "%s, expected uint8 or floating-point numbers", info)
	case !ok || n > o.memory():
		return shape, array.Errorf(array.TooLarge, "", "%s, the budget is %d bytes", info, o.memory())
	case info.Rows() == 0 || shape.Size() == 0:
		return shape, array.Errorf(array.Empty, "", "%s", info)
	}
	p.Rows = info.Rows()
	size := shape.Size()
	step := max(1, (1<<16)/size) // rows at a time
	if info.DType != array.Uint8 {
		for lo := 0; lo < p.Rows; lo += step {
			n := min(step, p.Rows-lo) * size
			p.Values = slices.Grow(p.Values, n)[:len(p.Values)+n]
			if err := v.Float32s(p.Values[lo*size:], lo); err != nil {
				return shape, err
			}
			for i, x := range p.Values[lo*size:] {
				if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
					return shape, array.Errorf(array.NonFinite, "", "row %d holds %g", lo+i/size, x)
				}
			}
		}
		return shape, nil
	}
	part := make([]float32, min(step, p.Rows)*size)
	for lo := 0; lo < p.Rows; lo += step {
		part = part[:min(step, p.Rows-lo)*size]
		if err := v.Float32s(part, lo); err != nil {
			return shape, err
		}
		for _, x := range part {
			p.Pixels = append(p.Pixels, uint8(x))
		}
	}
	return shape, nil
}

// maxClasses bounds what a wrong label can ask for.
const maxClasses = 1 << 20

// readLabels reads N classes, or N x K tags; rows that have one tag each are classes. It returns K.
func (p *Split) readLabels(v array.Array) (int, error) {
	info := v.Info()
	n, k := info.Rows(), info.Width()
	if n != p.Rows || len(info.Shape) == 0 {
		return 0, array.Errorf(array.Mismatch, "", "%s, expected one for each of %d images", info, p.Rows)
	}
	if k == 0 || k > maxClasses {
		return 0, array.Errorf(array.Unsupported, "", "%s, expected N labels, or N x K of 0 and 1", info)
	}
	step := max(1, (1<<16)/k)
	part := make([]int64, min(step, n)*k)
	most := int64(0)
	single := true // every row has one tag
	for lo := 0; lo < n; lo += step {
		part = part[:min(step, n-lo)*k]
		if err := v.Int64s(part, lo); err != nil {
			return 0, err
		}
		if k == 1 {
			for i, y := range part {
				if y < 0 || y >= maxClasses {
					return 0, array.Errorf(array.BadLabel, "", "row %d has label %d, expected 0, 1, ...", lo+i, y)
				}
				most = max(most, y)
				p.Labels = append(p.Labels, int32(y))
			}
			continue
		}
		tags := 0
		for i, y := range part {
			if y < 0 || y > 1 {
				return 0, array.Errorf(array.BadLabel, "", "row %d has %d for tag %d, expected 0 or 1", lo+i/k, y, i%k)
			}
			if tags += int(y); i%k == k-1 {
				single, tags = single && tags == 1, 0
			}
			p.Tags = append(p.Tags, uint8(y))
		}
	}
	if k == 1 {
		return int(most) + 1, nil
	}
	if single {
		for i, y := range p.Tags {
			if y == 1 {
				p.Labels = append(p.Labels, int32(i%k))
			}
		}
		p.Tags = nil
	}
	return k, nil
}
