package dataset

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/suggest"
)

// Options are the settings of Open. The zero value is what is wanted most often.
type Options struct {
	Root     string                  // the folder in which names are looked for; "" is $COLLAPSAR_DATA and then ./data
	Stem     string                  // MNIST family: what the names of the training files begin with, "" is "train"
	Memory   int64                   // bytes that the pixels of a split may take; 0 is DefaultMemory
	Progress func(done, total int64) // called now and then while images are decoded, by any goroutine; may be nil
}

// DefaultMemory is the budget when none is given: 8 GiB.
const DefaultMemory = 8 << 30

func (o Options) memory() int64 {
	return cmp.Or(max(0, o.Memory), DefaultMemory)
}

// A known data set goes by a name.
type known struct {
	name    string
	places  []string // below the root, as its own archive, torchvision and we lay it out; the first that is there counts
	files   string   // what is expected in the first place
	url     string
	classes []string // nil: as the files say
}

var knowns = []known{
	{"mnist", []string{"mnist", "MNIST/raw"}, "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz",
		"https://ossci-datasets.s3.amazonaws.com/mnist/", numbers(10)},
	{"fashion-mnist", []string{"fashion-mnist", "FashionMNIST/raw"}, "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz",
		"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
		[]string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}},
	{"kmnist", []string{"kmnist", "KMNIST/raw"}, "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz",
		"http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
		[]string{"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"}},
	{"cifar10", []string{"cifar-10-binary.tar.gz", "cifar-10-batches-bin", "cifar10"}, "", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", cifar10Classes},
	{"cifar100", []string{"cifar-100-binary.tar.gz", "cifar-100-binary", "cifar100"}, "", "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", nil},
	{"svhn", []string{"svhn"}, "train_32x32.mat, test_32x32.mat", "http://ufldl.stanford.edu/housenumbers/", nil},
}

// knownURL is where a data set comes from.
func knownURL(name string) string {
	for _, k := range knowns {
		if k.name == name {
			return k.url
		}
	}
	return ""
}

// Names are the data sets that Open knows by name.
func Names() []string {
	names := []string{"geomnist"}
	for _, k := range knowns {
		names = append(names, k.name)
	}
	return names
}

// Open reads a data set. The source is a name (see Names), looked for below the root; "geomnist", or
// "geomnist:train=480,noise=0.1" with any of the parameters of ParseGeoMNIST, which is made on the fly; or the
// path, also below the root, of
//
//   - a folder with IDX files, CIFAR batches, SVHN's .mat files or NumPy arrays, or one of these files;
//   - a folder or a tar archive (also .tar.gz) of PNG and JPEG images, CLASS/NAME or train/CLASS/NAME and test/CLASS/NAME;
//   - an .npz file of images and labels;
//   - an .arff file of rows with several labels, also gzipped: NAME-train.arff with NAME-test.arff and NAME.xml beside it.
//
// Errors are *Error, or speak of the parameters.
func Open(source string, o Options) (*Set, error) {
	if source == "geomnist" || strings.HasPrefix(source, "geomnist:") {
		g, err := ParseGeoMNIST(strings.TrimPrefix(strings.TrimPrefix(source, "geomnist"), ":"))
		if err != nil {
			return nil, err
		}
		return g.Make()
	}
	path, name, err := find(source, o.Root)
	if err != nil {
		return nil, err
	}
	set, err := openPath(path, o)
	if err != nil {
		return nil, err
	}
	set.Name = filepath.Base(path)
	for _, end := range []string{".gz", ".tar", ".arff", "-train", "-test"} {
		set.Name = strings.TrimSuffix(set.Name, end)
	}
	if name != nil {
		set.Name = name.name
		if k := len(set.Classes); name.classes != nil {
			if k > len(name.classes) {
				return nil, &Error{File: path, Kind: array.BadLabel, Message: fmt.Sprintf("labels up to %d, %s has classes 0 to %d", k-1, name.name, len(name.classes)-1)}
			}
			set.Classes = name.classes[:k]
		}
	}
	if err := set.Check(); err != nil {
		return nil, &Error{File: path, Kind: array.Inconsistent, Message: err.Error(), Err: err}
	}
	return set, nil
}

// find is the path of a source, and the data set if it goes by a name.
func find(source, root string) (string, *known, error) {
	roots := []string{root}
	if root == "" {
		roots = []string{"data"}
		if env := os.Getenv("COLLAPSAR_DATA"); env != "" {
			roots = []string{env, "data"}
		}
	}
	for i, k := range knowns {
		if k.name == source {
			for _, r := range roots {
				for _, place := range k.places {
					if path := filepath.Join(r, place); exists(path) {
						return path, &knowns[i], nil
					}
				}
			}
			return "", nil, k.missing(roots)
		}
	}
	if exists(source) {
		return source, nil, nil
	}
	if !filepath.IsAbs(source) {
		for _, r := range roots {
			for _, end := range []string{"", ".npz", ".tar.gz", ".tgz", ".tar", "-train.arff", "-train.arff.gz"} {
				if path := filepath.Join(r, source+end); exists(path) {
					return path, nil, nil
				}
			}
		}
	}
	message := "no such file or folder, here or in " + strings.Join(roots, " or ")
	if hint := suggest.Hint(source, Names()); hint != "" {
		message += hint
	} else {
		message += "; known names: " + strings.Join(Names(), ", ")
	}
	return "", nil, &Error{File: source, Kind: array.NotFound, Message: message, Err: os.ErrNotExist}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// missing says what to get, and where to put it.
func (k *known) missing(roots []string) *Error {
	place := filepath.Join(roots[0], k.places[0])
	var message string
	if k.files == "" {
		message = "get " + k.url + " and put it, as it is, at " + place
	} else {
		message = "get " + k.files + " from " + k.url + " and put them, as they are, into the folder " + place
	}
	if len(roots) > 1 {
		message += " (or into " + strings.Join(roots[1:], ", ") + ")"
	}
	message += "; the folder for data is --data-root, or $COLLAPSAR_DATA, or ./data"
	return &Error{File: k.name, Kind: array.NotFound, Message: message, Err: os.ErrNotExist}
}

// openPath reads whatever lies at a path.
func openPath(path string, o Options) (*Set, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, array.InFile(err, path, "")
	}
	if info.IsDir() {
		return openFolder(path, o)
	}
	return openFile(path, o)
}

func openFolder(path string, o Options) (*Set, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, array.InFile(err, path, "")
	}
	var idx, mat, npy bool
	var bins *cifar
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".gz")
		idx = idx || strings.HasSuffix(name, "-images-idx3-ubyte") || strings.HasSuffix(name, "-images.idx3-ubyte")
		if c := cifarOf(name); c != nil && bins == nil {
			bins = c
		}
		mat = mat || strings.HasSuffix(name, "_32x32.mat")
		npy = npy || strings.HasSuffix(name, ".npy")
	}
	switch {
	case idx:
		return openIDX(path, o)
	case bins != nil:
		return openCIFARFolder(path, bins, o)
	case mat:
		return openSVHN(path, o)
	case npy:
		return openArrays(path, o)
	}
	return openImageFolder(path, o)
}

func openFile(path string, o Options) (*Set, error) {
	s, err := openStream(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	head, err := s.r.Peek(512)
	folder, base := filepath.Split(path)
	folder = filepath.Clean(folder)
	switch {
	case s.exact && (bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("\x93NUMPY"))):
		return openArrays(path, o)
	case bytes.HasPrefix(head, []byte("MATLAB")):
		return openSVHN(path, o)
	case bytes.HasPrefix(head, []byte{0, 0, 8, 3}):
		for _, end := range []string{"-images-idx3-ubyte", "-images.idx3-ubyte"} {
			if stem, ok := strings.CutSuffix(strings.TrimSuffix(base, ".gz"), end); ok {
				o.Stem = stem
				return openIDX(folder, o)
			}
		}
	case len(head) == 512 && string(head[257:262]) == "ustar":
		return openTar(s, o)
	case err != nil && err != io.EOF:
		return nil, s.failed(err)
	case strings.HasSuffix(strings.TrimSuffix(base, ".gz"), ".arff"):
		return openARFF(path, o)
	}
	return nil, s.errorf(array.Unsupported, "no data set that is read here: expected are IDX (MNIST), CIFAR binary, SVHN .mat, .npz, .npy, .arff, a tar archive of PNG or JPEG images, or a folder of these")
}

// numbers is the names "0", "1", ... of k classes.
func numbers(k int) []string {
	names := make([]string, k)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}

// widen is bytes as labels.
func widen(bytes []byte) []int32 {
	labels := make([]int32, len(bytes))
	for i, b := range bytes {
		labels[i] = int32(b)
	}
	return labels
}
