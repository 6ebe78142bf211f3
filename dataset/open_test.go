package dataset

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/internal/array"
)

func npzBytes(t testing.TB, a ...npz.Values) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := npz.Write(&b, a...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func npyBytes(t testing.TB, a npz.Values) []byte { // the one member of an archive, which is stored
	t.Helper()
	data := npzBytes(t, a)
	begin := bytes.Index(data, []byte("\x93NUMPY"))
	return data[begin : begin+bytes.LastIndex(data[begin:], []byte("PK\x07\x08"))]
}

func TestArrays(t *testing.T) {
	bytes24 := make([]byte, 24)
	for i := range bytes24 {
		bytes24[i] = byte(10 * i)
	}
	x := npz.Values{Name: "x_train", Shape: []int{4, 2, 3}, Bytes: bytes24}
	y := npz.Values{Name: "y_train", Shape: []int{4}, Ints: []int64{0, 2, 1, 0}}
	tx := npz.Values{Name: "x_test", Shape: []int{1, 2, 3}, Bytes: bytes24[6:12]}
	ty := npz.Values{Name: "y_test", Shape: []int{1, 1}, Ints: []int64{3}}
	root := folder(t, map[string][]byte{"a.npz": npzBytes(t, x, y, tx, ty), "f/x_train.npy": npyBytes(t, x), "f/y_train.npy": npyBytes(t, y), "f/x_test.npy": npyBytes(t, tx), "f/y_test.npy": npyBytes(t, ty)})
	set := open(t, "a", Options{Root: root})
	if set.Shape != (Shape{2, 3, 1}) || !slices.Equal(set.Train.Pixels, bytes24) || !slices.Equal(set.Train.Labels, []int32{0, 2, 1, 0}) || len(set.Classes) != 4 || set.Test.Labels[0] != 3 || set.Name != "a.npz" {
		t.Errorf("%+v", set)
	}
	for _, path := range []string{"f", "f/x_train.npy"} {
		if same := open(t, filepath.Join(root, path), Options{}); same.Hash() != set.Hash() {
			t.Errorf("%s: other data", path)
		}
	}

	rows := npz.Values{Name: "images", Shape: []int{3, 2}, Floats: []float64{0, 0.5, -1, 2, 3, 4}}
	labels := func(shape []int, v ...int64) npz.Values { return npz.Values{Name: "labels", Shape: shape, Ints: v} }
	many := labels([]int{3, 2}, 1, 0, 1, 1, 0, 0)
	root = folder(t, map[string][]byte{"tags.npz": npzBytes(t, rows, many), "onehot.npz": npzBytes(t, rows, labels([]int{3, 2}, 1, 0, 0, 1, 1, 0))})
	tags := open(t, "tags", Options{Root: root})
	if tags.Shape != (Shape{1, 1, 2}) || tags.Train.Values[2] != -1 || tags.Train.Labels != nil || !slices.Equal(tags.Train.Tags, []uint8{1, 0, 1, 1, 0, 0}) || len(tags.Classes) != 2 {
		t.Errorf("%+v", tags)
	}
	if hot := open(t, "onehot", Options{Root: root}); hot.Train.Tags != nil || !slices.Equal(hot.Train.Labels, []int32{0, 1, 0}) {
		t.Errorf("%+v", hot)
	}

	for name, c := range map[string]struct {
		arrays []npz.Values
		want   string
	}{
		"count":    {[]npz.Values{rows, labels([]int{2}, 1, 0)}, "labels: length_mismatch: int64 2, expected one for each of 3 images"},
		"negative": {[]npz.Values{rows, labels([]int{3}, 1, -1, 0)}, "labels: label_out_of_range: row 1 has label -1, expected 0, 1, ..."},
		"wild":     {[]npz.Values{rows, labels([]int{3}, 1, 1<<40, 0)}, "labels: label_out_of_range: row 1 has label 1099511627776, expected 0, 1, ..."},
		"tag":      {[]npz.Values{rows, labels([]int{3, 2}, 1, 0, 1, 2, 0, 0)}, "labels: label_out_of_range: row 1 has 2 for tag 1, expected 0 or 1"},
		"nan":      {[]npz.Values{{Name: "x", Shape: []int{2, 1}, Floats: []float64{1, math.NaN()}}, labels([]int{2}, 1, 0)}, "x: nonfinite_rows: row 1 holds NaN"},
		"channels": {[]npz.Values{{Name: "x", Shape: []int{1, 3, 5, 5}, Bytes: make([]byte, 75)}, labels([]int{1}, 0)}, "x: unsupported: uint8 1 x 3 x 5 x 5 looks like N x C x H x W; save x.transpose(0, 2, 3, 1), which is N x H x W x C"},
		"integers": {[]npz.Values{{Name: "x", Shape: []int{1, 2}, Ints: []int64{1, 2}}, labels([]int{1}, 0)}, "x: unsupported: int64 1 x 2, expected uint8 or floating-point numbers"},
		"nothing":  {[]npz.Values{{Name: "weights", Shape: []int{1, 2}, Ints: []int64{1, 2}}}, "not_found: expected are images (x_train, train_images, images, x ...) and labels (y_train, train_labels, labels, y ...), and x_test and y_test for the test; there are weights"},
		"test":     {[]npz.Values{x, y, {Name: "x_test", Shape: []int{1, 3, 2}, Bytes: make([]byte, 6)}, ty}, "x_test: length_mismatch: test rows are 3 x 2 x 1 with 4 classes, training rows 2 x 3 x 1 with 3; types of images and labels must agree too"},
		"budget":   {[]npz.Values{x, y}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := folder(t, map[string][]byte{"x.npz": npzBytes(t, c.arrays...)})
			if c.want == "" {
				if _, err := Open("x", Options{Root: root, Memory: 23}); !errors.Is(err, array.TooLarge) {
					t.Error(err)
				}
				return
			}
			refused(t, root, "x", Options{Root: root}, "ROOT/x.npz: "+c.want)
		})
	}
	cut := npyBytes(t, x)
	root = folder(t, map[string][]byte{"x_train.npy": cut[:len(cut)-1], "y_train.npy": npyBytes(t, y)})
	if _, err := Open(root, Options{}); !errors.Is(err, array.Truncated) || !strings.Contains(err.Error(), "x_train.npy") {
		t.Error(err)
	}
}

// Names are looked for below the root; what is not there is described.
func TestNames(t *testing.T) {
	root := folder(t, map[string][]byte{"letter.txt": []byte("Dear reader")})
	refused(t, root, "mnist", Options{Root: root}, "mnist: not_found: get train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz from https://ossci-datasets.s3.amazonaws.com/mnist/ and put them, as they are, into the folder ROOT/mnist; the folder for data is --data-root, or $COLLAPSAR_DATA, or ./data")
	refused(t, root, "cifar10", Options{Root: root}, "cifar10: not_found: get https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz and put it, as it is, at ROOT/cifar-10-binary.tar.gz; the folder for data is --data-root, or $COLLAPSAR_DATA, or ./data")
	refused(t, root, "fashion_mnist", Options{Root: root}, "fashion_mnist: not_found: no such file or folder, here or in ROOT; did you mean fashion-mnist?")
	refused(t, root, "imagenet", Options{Root: root}, "imagenet: not_found: no such file or folder, here or in ROOT; known names: geomnist, mnist, fashion-mnist, kmnist, cifar10, cifar100, svhn")
	refused(t, root, "letter.txt", Options{Root: root}, "ROOT/letter.txt: unsupported: no data set that is read here: expected are IDX (MNIST), CIFAR binary, SVHN .mat, .npz, .npy, .arff, a tar archive of PNG or JPEG images, or a folder of these")

	// As torchvision lays it out; by the environment; names of classes; the name wins over a folder of the same name here.
	files := map[string][]byte{}
	for name, data := range mnistLike() {
		files["FashionMNIST/raw/"+name] = data
	}
	root = folder(t, files)
	t.Setenv("COLLAPSAR_DATA", root)
	t.Chdir(t.TempDir())
	if err := os.Mkdir("fashion-mnist", 0o755); err != nil {
		t.Fatal(err)
	}
	set := open(t, "fashion-mnist", Options{})
	if set.Name != "fashion-mnist" || set.Classes[1] != "Trouser" || len(set.Classes) != 4 {
		t.Errorf("%s, %v", set.Name, set.Classes)
	}
	files["FashionMNIST/raw/train-labels-idx1-ubyte.gz"] = gz(idxBytes([]byte{0, 2, 200, 1, 0}, 5))
	damaged := folder(t, files)
	refused(t, damaged, "fashion-mnist", Options{Root: damaged}, "ROOT/FashionMNIST/raw: label_out_of_range: labels up to 200, fashion-mnist has classes 0 to 9")
	refused(t, root, "svhn", Options{}, "svhn: not_found: get train_32x32.mat, test_32x32.mat from http://ufldl.stanford.edu/housenumbers/ and put them, as they are, into the folder ROOT/svhn (or into data); the folder for data is --data-root, or $COLLAPSAR_DATA, or ./data")
}

// Real data sets beside the repository, against the numbers of their README, which another program counted.
func TestRealMNIST(t *testing.T) {
	if testing.Short() {
		t.Skip("reads whole data sets")
	}
	root := images(t)
	for _, c := range []struct {
		name      string
		counts    []int
		mean, std float64
		error     float64 // of the nearest class mean
	}{
		{"mnist", []int{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}, 0.130660, 0.308108, 0.1797},
		{"fashion-mnist", slices.Repeat([]int{3000}, 10), 0.286116, 0.353136, 0.3220},
	} {
		set := open(t, c.name, Options{Root: root})
		if !slices.Equal(set.Counts(), c.counts) || set.Test.Rows != 10000 || set.Shape != (Shape{28, 28, 1}) {
			t.Errorf("%s: counts %v, %d test rows of %s", c.name, set.Counts(), set.Test.Rows, set.Shape)
		}
		mean, std := set.Standardisation(false)
		if math.Abs(mean[0]-c.mean) > 5e-7 || math.Abs(std[0]-c.std) > 5e-7 {
			t.Errorf("%s: mean %.6f, deviation %.6f, want %.6f, %.6f", c.name, mean[0], std[0], c.mean, c.std)
		}
		if e := nearestMeanError(set.Train.Pixels, set.Train.Labels, set.Test.Pixels, set.Test.Labels, 784, 10); math.Abs(e-c.error) > 5e-5 {
			t.Errorf("%s: the nearest class mean errs on %.4f, want %.4f", c.name, e, c.error)
		}
	}
}

func TestRealCIFAR(t *testing.T) {
	if testing.Short() {
		t.Skip("reads whole data sets")
	}
	set := open(t, "cifar10-jpeg", Options{Root: images(t)})
	if !slices.Equal(set.Counts(), slices.Repeat([]int{2500}, 10)) || !slices.Equal(set.Test.Counts(10), slices.Repeat([]int{500}, 10)) || !slices.Equal(set.Classes, cifar10Classes) {
		t.Errorf("counts %v and %v, classes %v", set.Counts(), set.Test.Counts(10), set.Classes)
	}
	mean, std := set.Standardisation(true)
	for c, want := range [][2]float64{{0.491836, 0.247069}, {0.482172, 0.244482}, {0.446237, 0.262321}} { // those of Go's decoder
		if math.Abs(mean[c]-want[0]) > 5e-7 || math.Abs(std[c]-want[1]) > 5e-7 {
			t.Errorf("channel %d: mean %.6f, deviation %.6f, want %.6f, %.6f", c, mean[c], std[c], want[0], want[1])
		}
	}
}

// go test ./dataset -bench Open: reading and decoding 30,000 JPEG images of 32 x 32.
func BenchmarkOpenCIFAR(b *testing.B) {
	root := images(b)
	for b.Loop() {
		open(b, "cifar10-jpeg", Options{Root: root})
	}
	b.ReportMetric(30000*float64(b.N)/b.Elapsed().Seconds(), "images/s")
}
