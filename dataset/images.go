package dataset

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/parallel"
)

const (
	maxImage = 1 << 24 // pixels of an image
	maxFile  = 1 << 28 // bytes of its file
	maxDepth = 8       // folders below one another
)

// A picture is an image file, of a folder or in an archive.
type picture struct {
	name string // relative to the root, with slashes
	path string // the file, "" for a member of an archive
	data []byte // the member
}

// open is a reader of the file, and what closes it.
func (p *picture) open() (io.Reader, func() error, error) {
	if p.path == "" {
		return bytes.NewReader(p.data), func() error { return nil }, nil
	}
	f, err := os.Open(p.path)
	if err != nil {
		return nil, nil, err
	}
	return bufio.NewReader(io.LimitReader(f, maxFile)), f.Close, nil
}

// isPicture knows an image by its name. Names that begin with a point are left out: resource forks and the like.
func isPicture(name string) bool {
	base := path.Base(name)
	switch strings.ToLower(path.Ext(base)) {
	case ".png", ".jpg", ".jpeg":
		return base[0] != '.'
	}
	return false
}

// openImageFolder reads CLASS/NAME, or train/CLASS/NAME and test/CLASS/NAME.
func openImageFolder(root string, o Options) (*Set, error) {
	var pictures []picture
	var walk func(folder string, depth int) error
	walk = func(folder string, depth int) error {
		entries, err := os.ReadDir(filepath.Join(root, folder))
		if err != nil {
			return array.InFile(err, filepath.Join(root, folder), "")
		}
		for _, e := range entries {
			name := path.Join(folder, e.Name())
			at := filepath.Join(root, name)
			if isPicture(name) {
				pictures = append(pictures, picture{name: name, path: at})
			} else if info, err := os.Stat(at); err == nil && info.IsDir() && depth < maxDepth { // a link to a folder counts
				if err := walk(name, depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk("", 0); err != nil {
		return nil, err
	}
	return openPictures(root, pictures, o)
}

// openTar reads an archive of images, or the one of CIFAR.
func openTar(s *stream, o Options) (*Set, error) {
	t := tar.NewReader(s)
	var pictures []picture
	var arena []byte // all members, one after the other
	var ends []int
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, s.failed(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if c := cifarOf(path.Base(h.Name)); c != nil {
			return openCIFARTar(s, t, h, c, o)
		}
		if strings.HasPrefix(path.Base(h.Name), "data_batch_") {
			return nil, array.Locate(s.errorf(array.Unsupported, "pickles of Python are not read; get the binary version, %s", knownURL("cifar10")), "", h.Name)
		}
		if !isPicture(h.Name) {
			continue
		}
		switch left := s.size - s.read; {
		case h.Size > left:
			return nil, array.Locate(s.errorf(array.Truncated, "%d bytes are declared, the archive has at most %d more", h.Size, left), "", h.Name)
		case h.Size > maxFile, int64(len(arena))+h.Size > o.memory():
			return nil, array.Locate(s.errorf(array.TooLarge, "%d bytes, expected at most %d, and %d in all", h.Size, maxFile, o.memory()), "", h.Name)
		}
		arena = slices.Grow(arena, int(min(h.Size, 1<<20)))
		buffer := bytes.NewBuffer(arena)
		if _, err := io.CopyN(buffer, t, h.Size); err != nil {
			return nil, array.Locate(s.failed(err), "", h.Name)
		}
		arena = buffer.Bytes()
		ends = append(ends, len(arena))
		pictures = append(pictures, picture{name: path.Clean(h.Name)})
	}
	if _, err := io.Copy(io.Discard, s); err != nil { // the check sum of a gzip file comes last
		return nil, err
	}
	begin := 0
	for i, end := range ends {
		pictures[i].data, begin = arena[begin:end], end
	}
	stripPrefix(pictures)
	slices.SortStableFunc(pictures, func(a, b picture) int { return strings.Compare(a.name, b.name) })
	return openPictures(s.name, pictures, o)
}

// The names that folders of a split have.
var (
	trainNames = []string{"train", "training"}
	testNames  = []string{"test", "testing", "val", "valid", "validation"}
)

func isSplit(name string) bool {
	return slices.Contains(trainNames, name) || slices.Contains(testNames, name)
}

// stripPrefix takes away folders that hold everything, down to those of splits or classes.
func stripPrefix(pictures []picture) {
	for len(pictures) > 0 {
		first, rest, _ := strings.Cut(pictures[0].name, "/")
		if isSplit(first) || !strings.Contains(rest, "/") {
			return
		}
		for _, p := range pictures {
			if below, ok := strings.CutPrefix(p.name, first+"/"); !ok || !strings.Contains(below, "/") {
				return
			}
		}
		for i := range pictures {
			pictures[i].name = pictures[i].name[len(first)+1:]
		}
	}
}

// openPictures sorts pictures into splits and classes by their names, and decodes them.
func openPictures(file string, pictures []picture, o Options) (*Set, error) {
	byFolder := map[string][]picture{} // of a split, "" where there is none
	for _, p := range pictures {
		split, _, _ := strings.Cut(p.name, "/")
		if !isSplit(split) {
			split = ""
		}
		byFolder[split] = append(byFolder[split], p)
	}
	var train, test []picture
	for _, name := range append(trainNames, "") {
		if train == nil {
			train = byFolder[name]
		}
	}
	for _, name := range testNames { // the first that is there: test before val
		if test == nil {
			test = byFolder[name]
		}
	}
	if len(train) == 0 {
		return nil, inFile(file, array.Errorf(array.NotFound, "", "no training images; expected are PNG or JPEG files CLASS/NAME, or train/CLASS/NAME and test/CLASS/NAME"))
	}
	set := &Set{}
	for _, part := range [][]picture{train, test} {
		for _, p := range part {
			class, err := className(file, p.name)
			if err != nil {
				return nil, err
			}
			set.Classes = append(set.Classes, class)
		}
	}
	slices.Sort(set.Classes)
	set.Classes = slices.Compact(set.Classes)
	shape, err := commonShape(file, slices.Concat(train, test))
	if err != nil {
		return nil, err
	}
	if n := int64(len(train) + len(test)); n*int64(shape.Size()) > o.memory() {
		return nil, inFile(file, array.Errorf(array.TooLarge, "", "%d images of %s, the budget is %d bytes", n, shape, o.memory()))
	}
	set.Shape = shape
	count := &counter{total: int64(len(train) + len(test)), report: o.Progress}
	if set.Train, err = decode(file, train, shape, set.Classes, count); err != nil {
		return nil, err
	}
	set.Test, err = decode(file, test, shape, set.Classes, count)
	return set, err
}

// className is the folder that stands for the class: the first, or the first below the split.
func className(file, name string) (string, error) {
	parts := strings.Split(name, "/")
	if isSplit(parts[0]) {
		parts = parts[1:]
	}
	if len(parts) < 2 {
		return "", inFile(file, array.Errorf(array.Malformed, name, "lies in no folder of a class; expected CLASS/NAME, or train/CLASS/NAME and test/CLASS/NAME"))
	}
	return parts[0], nil
}

// commonShape reads the headers. All images have the size of the first, and three channels unless all are grey.
func commonShape(file string, pictures []picture) (Shape, error) {
	shapes := make([]Shape, len(pictures))
	err := each(len(pictures), func(i int) error {
		c, err := config(&pictures[i])
		if err != nil {
			return badImage(file, pictures[i].name, err)
		}
		channels := 3
		if c.ColorModel == color.GrayModel || c.ColorModel == color.Gray16Model {
			channels = 1
		}
		shapes[i] = Shape{c.Height, c.Width, channels}
		return nil
	})
	if err != nil {
		return Shape{}, err
	}
	common := shapes[0]
	if common.Size() == 0 || common.Width > maxImage || common.Height > maxImage || common.Width*common.Height > maxImage {
		return Shape{}, inFile(file, array.Errorf(array.TooLarge, pictures[0].name, "%d x %d pixels, expected 1 to %d", common.Height, common.Width, maxImage))
	}
	for i, s := range shapes {
		if s.Height != common.Height || s.Width != common.Width {
			return Shape{}, inFile(file, array.Errorf(array.Mismatch, pictures[i].name, "%d x %d pixels, %s has %d x %d: bring them to one size first", s.Height, s.Width, pictures[0].name, common.Height, common.Width))
		}
		common.Channels = max(common.Channels, s.Channels)
	}
	return common, nil
}

func badImage(file, name string, err error) error {
	var known *Error
	var system *os.PathError
	e := array.Errorf(array.Malformed, name, "%v", err)
	switch {
	case errors.As(err, &known):
		return array.Locate(err, file, name)
	case errors.As(err, &system):
		return array.InFile(err, system.Path, "")
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		e = array.Errorf(array.Truncated, name, "the image ends early")
	}
	e.Err = err
	return inFile(file, e)
}

// A codec reads one format.
type codec struct {
	magic  string
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

var codecs = []codec{
	{"\x89PNG", png.DecodeConfig, png.Decode},
	{"\xff\xd8", jpeg.DecodeConfig, jpeg.Decode},
}

// codecOf knows a format by its first bytes, which it puts back.
func codecOf(r io.Reader) (*codec, io.Reader, error) {
	var head [4]byte
	n, err := io.ReadFull(r, head[:])
	for i, c := range codecs {
		if bytes.HasPrefix(head[:n], []byte(c.magic)) {
			return &codecs[i], io.MultiReader(bytes.NewReader(head[:n]), r), nil
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, array.Errorf(array.Unsupported, "", "begins with %q, neither PNG nor JPEG", head[:])
}

func config(p *picture) (image.Config, error) {
	r, done, err := p.open()
	if err != nil {
		return image.Config{}, err
	}
	defer done()
	c, r, err := codecOf(r)
	if err != nil {
		return image.Config{}, err
	}
	return c.config(r)
}

// decode reads images of a known shape, in parallel.
func decode(file string, pictures []picture, shape Shape, classes []string, count *counter) (Split, error) {
	p := Split{Rows: len(pictures), Labels: make([]int32, len(pictures)), Pixels: make([]uint8, len(pictures)*shape.Size())}
	err := each(len(pictures), func(i int) error {
		name := pictures[i].name
		class, err := className(file, name)
		if err != nil {
			return err
		}
		label, _ := slices.BinarySearch(classes, class)
		p.Labels[i] = int32(label)
		if err := decodeOne(&pictures[i], p.Pixels[i*shape.Size():(i+1)*shape.Size()], shape); err != nil {
			return badImage(file, name, err)
		}
		count.add()
		return nil
	})
	return p, err
}

func decodeOne(p *picture, dst []uint8, shape Shape) error {
	r, done, err := p.open()
	if err != nil {
		return err
	}
	defer done()
	c, r, err := codecOf(r)
	if err != nil {
		return err
	}
	m, err := c.decode(r)
	if err != nil {
		return err
	}
	if b := m.Bounds(); b.Dx() != shape.Width || b.Dy() != shape.Height {
		return array.Errorf(array.Inconsistent, "", "decodes to %d x %d pixels, its header has %s", b.Dy(), b.Dx(), shape)
	}
	if shape.Channels == 1 {
		grey(dst, m)
	} else {
		colour(dst, m)
	}
	return nil
}

// grey writes the bytes of a grey image.
func grey(dst []uint8, m image.Image) {
	b := m.Bounds()
	for y := range b.Dy() {
		row := dst[y*b.Dx() : (y+1)*b.Dx()]
		if g, ok := m.(*image.Gray); ok {
			copy(row, g.Pix[y*g.Stride:])
			continue
		}
		for x := range row {
			row[x] = color.GrayModel.Convert(m.At(b.Min.X+x, b.Min.Y+y)).(color.Gray).Y
		}
	}
}

// colour writes R, G, B; transparency is left out, as if every pixel were opaque.
func colour(dst []uint8, m image.Image) {
	b := m.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		row := dst[(y-b.Min.Y)*3*b.Dx():][:3*b.Dx()]
		switch m := m.(type) { // the common types, and all others
		case *image.YCbCr:
			luma := m.Y[m.YOffset(b.Min.X, y):]
			for x := range b.Dx() {
				c := m.COffset(b.Min.X+x, y)
				row[3*x], row[3*x+1], row[3*x+2] = color.YCbCrToRGB(luma[x], m.Cb[c], m.Cr[c])
			}
		case *image.NRGBA:
			for x := range b.Dx() {
				copy(row[3*x:3*x+3], m.Pix[m.PixOffset(b.Min.X+x, y):])
			}
		case *image.RGBA: // of a PNG without transparency; others are made NRGBA by its decoder
			for x := range b.Dx() {
				copy(row[3*x:3*x+3], m.Pix[m.PixOffset(b.Min.X+x, y):])
			}
		default:
			for x := range b.Dx() {
				c := color.NRGBAModel.Convert(m.At(b.Min.X+x, y)).(color.NRGBA)
				row[3*x], row[3*x+1], row[3*x+2] = c.R, c.G, c.B
			}
		}
	}
}

// each runs a function for every index in parallel and returns the error of the lowest index that has one: items are begun in
// order, so those before the first failure are done.
func each(n int, do func(i int) error) error {
	var least atomic.Int64
	least.Store(int64(n))
	errs := make([]error, n)
	parallel.For(n, func(_, i int) {
		if int64(i) > least.Load() {
			return
		}
		if errs[i] = do(i); errs[i] == nil {
			return
		}
		for {
			old := least.Load()
			if int64(i) >= old || least.CompareAndSwap(old, int64(i)) {
				return
			}
		}
	})
	if i := least.Load(); i < int64(n) {
		return errs[i]
	}
	return nil
}

// A counter reports progress now and then.
type counter struct {
	done   atomic.Int64
	total  int64
	report func(done, total int64)
}

func (c *counter) add() {
	if n := c.done.Add(1); c.report != nil && (n%64 == 0 || n == c.total) {
		c.report(n, c.total)
	}
}
