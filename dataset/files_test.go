package dataset

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/random"
)

// Files made for tests.

func gz(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func idxBytes(data []byte, axes ...int) []byte {
	b := []byte{0, 0, 8, byte(len(axes))}
	for _, n := range axes {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return append(b, data...)
}

// cifarBytes is n records whose last label is the number of the image mod classes, with random pixels.
func cifarBytes(n, labels, classes int) []byte {
	r := random.New(uint64(n), uint64(labels))
	var b []byte
	for i := range n {
		if labels == 2 {
			b = append(b, byte(i%20))
		}
		b = append(b, byte(i%classes))
		for range 3072 {
			b = append(b, byte(r.Uint32()))
		}
	}
	return b
}

func tarBytes(names []string, files map[string][]byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatUSTAR})
		w.Write(files[name])
	}
	w.Close()
	return b.Bytes()
}

// picturePNG is an image of a type whose pixels are made from a seed.
func pictureOf(m image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func greyImage(h, w int, seed uint64) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	r := random.New(seed)
	for i := range m.Pix {
		m.Pix[i] = uint8(r.Uint32())
	}
	return m
}

func colourImage(h, w int, seed uint64) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	r := random.New(seed)
	for i := range m.Pix {
		m.Pix[i] = uint8(r.Uint32())
		if i%4 == 3 {
			m.Pix[i] |= 1 // not quite transparent: PNG has colours there too
		}
	}
	return m
}

// folder writes files below a temporary folder.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	for name, data := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func open(t testing.TB, path string, o Options) *Set {
	t.Helper()
	set, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// refused checks the complaint about a source; ROOT stands for the folder.
func refused(t *testing.T, root, source string, o Options, want string) {
	t.Helper()
	_, err := Open(source, o)
	if err == nil {
		t.Errorf("%s: no error, want %s", source, want)
		return
	}
	if known := new(Error); !errors.As(err, &known) {
		t.Errorf("%s: %T is no *Error", source, err)
	}
	if got := strings.ReplaceAll(err.Error(), root, "ROOT"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func mnistLike() map[string][]byte {
	pixels := make([]byte, 5*4*3)
	for i := range pixels {
		pixels[i] = byte(i)
	}
	return map[string][]byte{
		"train-images-idx3-ubyte.gz": gz(idxBytes(pixels, 5, 4, 3)),
		"train-labels-idx1-ubyte.gz": gz(idxBytes([]byte{0, 2, 1, 1, 0}, 5)),
		"t10k-images.idx3-ubyte":     idxBytes(pixels[:24], 2, 4, 3),
		"t10k-labels.idx1-ubyte":     idxBytes([]byte{3, 1}, 2),
	}
}

func TestIDX(t *testing.T) {
	root := folder(t, mnistLike())
	set := open(t, root, Options{})
	if set.Train.Rows != 5 || set.Test.Rows != 2 || set.Shape != (Shape{4, 3, 1}) || len(set.Classes) != 4 ||
		!slices.Equal(set.Train.Labels, []int32{0, 2, 1, 1, 0}) || set.Train.Pixels[59] != 59 || !slices.Equal(set.Test.Labels, []int32{3, 1}) {
		t.Errorf("%+v", set)
	}
	same := open(t, filepath.Join(root, "train-images-idx3-ubyte.gz"), Options{})
	if same.Hash() != set.Hash() {
		t.Error("the file with the images is another data set than its folder")
	}

	// Several stems: the wanted one, "train" before others, the only one.
	files := mnistLike()
	files["train30k-images-idx3-ubyte"], files["train30k-labels-idx1-ubyte"] = idxBytes(make([]byte, 12), 1, 4, 3), idxBytes([]byte{1}, 1)
	root = folder(t, files)
	if set := open(t, root, Options{}); set.Train.Rows != 5 {
		t.Errorf("%d training rows, want those of train", set.Train.Rows)
	}
	if set := open(t, root, Options{Stem: "train30k"}); set.Train.Rows != 1 || set.Test.Rows != 2 {
		t.Errorf("%d training rows, want those of train30k", set.Train.Rows)
	}
	refused(t, root, root, Options{Stem: "x"}, "ROOT: not_found: training images are expected in x-images-idx3-ubyte.gz (or another stem, named by an option); there are t10k, train, train30k")
	delete(files, "train-images-idx3-ubyte.gz")
	root = folder(t, files)
	if set := open(t, root, Options{}); set.Train.Rows != 1 {
		t.Error("train30k is not found where it is the only one")
	}
}

// Every kind of damage, with the file named.
func TestIDXDamaged(t *testing.T) {
	const images, labels = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
	for name, c := range map[string]struct {
		file string
		data []byte
		want string
	}{
		"cut":      {images, gz(idxBytes(cifarBytes(1, 1, 10), 7, 439, 1))[:1000], "ROOT/" + images + ": truncated: the file ends early, after 985 bytes of data"},
		"sum":      {images, flip(gz(idxBytes(make([]byte, 60), 5, 4, 3)), -6), "ROOT/" + images + ": malformed: gzip: invalid checksum: the file is damaged"},
		"short":    {images, idxBytes(make([]byte, 59), 5, 4, 3), "ROOT/" + images + ": truncated: 60 bytes are declared from byte 16 on, the file has at most 59"},
		"long":     {images, idxBytes(make([]byte, 61), 5, 4, 3), "ROOT/" + images + ": malformed: data go on after the 76 bytes that were declared"},
		"magic":    {images, idxBytes(make([]byte, 60), 5, 4), "ROOT/" + images + ": malformed: begins with 00000802, an IDX file of bytes with 3 axes begins with 00000803"},
		"huge":     {images, gz(idxBytes(nil, 1<<32-1, 1<<32-1, 1<<32-1)), "ROOT/" + images + ": too_large: uint8 4294967295 x 4294967295 x 4294967295, the budget is 8589934592 bytes"},
		"bomb":     {images, gz(idxBytes(nil, 1<<30, 1, 1)), ""},
		"none":     {images, idxBytes(nil, 0, 28, 28), "ROOT/" + images + ": empty: 0 images of 28 x 28"},
		"text":     {images, []byte("no images at all"), "ROOT/" + images + ": malformed: begins with 6e6f2069, an IDX file of bytes with 3 axes begins with 00000803"},
		"count":    {labels, gz(idxBytes([]byte{1, 2, 3, 0}, 4)), "ROOT/" + labels + ": length_mismatch: 4 labels, train-images-idx3-ubyte.gz has 5 images"},
		"nothing":  {labels, nil, "ROOT/" + labels + ": truncated: 8 bytes are declared from byte 0 on, the file has at most 0"},
		"gzip":     {labels, []byte{0x1f, 0x8b}, "ROOT/" + labels + ": truncated: the file ends early, after 0 bytes of data"},
		"rotten":   {labels, []byte{0x1f, 0x8b, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, "ROOT/" + labels + ": malformed: gzip: invalid header: the file is damaged"},
		"deflated": {labels, append(gz([]byte("x"))[:10], 0xff, 0xff, 0xff, 0xff, 0xff), "ROOT/" + labels + ": malformed: after 0 bytes: flate: corrupt input before offset 1"},
	} {
		t.Run(name, func(t *testing.T) {
			files := mnistLike()
			files[c.file] = c.data
			root := folder(t, files)
			if c.want != "" {
				refused(t, root, root, Options{}, c.want)
			} else if _, err := Open(root, Options{}); !errors.Is(err, array.Truncated) {
				t.Error(err)
			}
		})
	}
	files := mnistLike()
	delete(files, labels)
	root := folder(t, files)
	refused(t, root, root, Options{}, "ROOT/"+images+": not_found: no labels: train-labels-idx1-ubyte or .gz is expected beside it")
	files = mnistLike()
	files["t10k-images.idx3-ubyte"] = idxBytes(make([]byte, 24), 2, 3, 4)
	root = folder(t, files)
	refused(t, root, root, Options{}, "ROOT/t10k-images.idx3-ubyte: length_mismatch: images of 3 x 4 x 1, those of train are 4 x 3 x 1")
}

// flip changes a byte; -1 is the last.
func flip(data []byte, at int) []byte {
	data = slices.Clone(data)
	data[(at+len(data))%len(data)] ^= 0xff
	return data
}

func TestCIFAR(t *testing.T) {
	files := map[string][]byte{"test_batch.bin": cifarBytes(11, 1, 10)}
	var names []string
	var all []byte
	for i, name := range cifars[0].train {
		files[name] = cifarBytes(3+i, 1, 10)
		all = append(all, files[name]...)
		names = append(names, name)
	}
	slices.Reverse(names) // the order in the archive does not count
	set := open(t, folder(t, files), Options{})
	if set.Train.Rows != 3+4+5+6+7 || set.Test.Rows != 11 || set.Shape != (Shape{32, 32, 3}) || set.Classes[3] != "cat" {
		t.Fatalf("%d and %d rows of %s, classes %v", set.Train.Rows, set.Test.Rows, set.Shape, set.Classes)
	}
	for i := range set.Train.Rows {
		record := all[i*3073:]
		if set.Train.Labels[i] != int32(record[0]) {
			t.Fatalf("label %d is %d, want %d", i, set.Train.Labels[i], record[0])
		}
		for c := range 3 {
			for _, at := range []int{0, 1, 31, 32, 1023} {
				if got, want := set.Train.Pixels[(i*1024+at)*3+c], record[1+1024*c+at]; got != want {
					t.Fatalf("image %d, pixel %d, channel %d is %d, want %d", i, at, c, got, want)
				}
			}
		}
	}
	packed := map[string][]byte{}
	for name, data := range files {
		packed[name+".gz"] = gz(data)
	}
	inTar := map[string][]byte{"cifar-10-batches-bin/readme.html": []byte("<html>"), "cifar-10-batches-bin/batches.meta.txt": []byte("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n")}
	order := []string{"cifar-10-batches-bin/readme.html"}
	for _, name := range append(names, "test_batch.bin", "batches.meta.txt") {
		order = append(order, "cifar-10-batches-bin/"+name)
		if files[name] != nil {
			inTar["cifar-10-batches-bin/"+name] = files[name]
		}
	}
	archive := gz(tarBytes(order, inTar))
	root := folder(t, map[string][]byte{"cifar-10-binary.tar.gz": archive, "other.tar": tarBytes(order, inTar)})
	for name, other := range map[string]*Set{
		"gzipped": open(t, folder(t, packed), Options{}),
		"archive": open(t, "cifar10", Options{Root: root}),
		"tar":     open(t, filepath.Join(root, "other.tar"), Options{}),
	} {
		if other.Hash() != set.Hash() {
			t.Errorf("%s: other data", name)
		}
		if name == "tar" && other.Classes[1] != "b" {
			t.Errorf("classes %v, want those of batches.meta.txt", other.Classes)
		}
	}

	hundred := open(t, folder(t, map[string][]byte{"train.bin": cifarBytes(120, 2, 100), "test.bin": gz(cifarBytes(7, 2, 100))}), Options{})
	if hundred.Train.Rows != 120 || hundred.Test.Rows != 7 || len(hundred.Classes) != 100 || hundred.Train.Labels[101] != 1 || hundred.Train.Labels[99] != 99 {
		t.Errorf("%d, %d rows, %d classes", hundred.Train.Rows, hundred.Test.Rows, len(hundred.Classes))
	}

	bad := func(what, file string, data []byte, want string) {
		t.Run(what, func(t *testing.T) {
			f := map[string][]byte{}
			for name := range files {
				f[name] = files[name]
			}
			f[file] = data
			if data == nil {
				delete(f, file)
			}
			root := folder(t, f)
			refused(t, root, root, Options{}, want)
		})
	}
	bad("length", "data_batch_2.bin", make([]byte, 3074), "ROOT/data_batch_2.bin: malformed: 3074 bytes, expected a multiple of 3073: images of 32 x 32 x 3 with 1 label bytes")
	bad("label", "data_batch_2.bin", bytes.Repeat([]byte{10}, 3073), "ROOT/data_batch_2.bin: label_out_of_range: image 0 has label 10, expected 0 to 9")
	bad("cut", "data_batch_2.bin", gz(cifarBytes(2, 1, 10)[:4000]), "ROOT/data_batch_2.bin: truncated: image 1 has 927 of 3073 bytes")
	bad("empty", "test_batch.bin", []byte{}, "ROOT/test_batch.bin: empty: no images")
	bad("missing", "data_batch_4.bin", nil, "ROOT: data_batch_4.bin: not_found: not there; expected are data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin, and test_batch.bin for the test")
	root = folder(t, map[string][]byte{"c.tar.gz": archive[:len(archive)/2], "p.tar": tarBytes([]string{"cifar-10-batches-py/data_batch_4"}, nil)})
	if _, err := Open(root+"/c.tar.gz", Options{}); !errors.Is(err, array.Truncated) || !strings.Contains(err.Error(), "c.tar.gz: cifar-10-batches-bin/data_batch_") {
		t.Error(err)
	}
	refused(t, root, root+"/p.tar", Options{}, "ROOT/p.tar: cifar-10-batches-py/data_batch_4: unsupported: pickles of Python are not read; get the binary version, https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")
}

// Files that SciPy wrote: internal/matfile/testdata/make_mat.py.
func TestSVHN(t *testing.T) {
	load := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("..", "internal", "matfile", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	root := folder(t, map[string][]byte{"svhn/train_32x32.mat": load("deflated.mat"), "svhn/test_32x32.mat": load("plain.mat")})
	set := open(t, "svhn", Options{Root: root})
	if set.Shape != (Shape{2, 3, 3}) || set.Train.Rows != 4 || len(set.Classes) != 10 || !slices.Equal(set.Train.Labels, []int32{0, 1, 2, 9}) || !slices.Equal(set.Train.Pixels, set.Test.Pixels) {
		t.Fatalf("%+v", set)
	}
	at := 0
	for i := range 4 {
		for r := range 2 {
			for q := range 3 {
				for c := range 3 {
					if want := uint8(((r*3+q)*3+c)*4 + i); set.Train.Pixels[at] != want {
						t.Fatalf("image %d, row %d, column %d, channel %d is %d, want %d", i, r, q, c, set.Train.Pixels[at], want)
					}
					at++
				}
			}
		}
	}
	deflated := load("deflated.mat")
	root = folder(t, map[string][]byte{"a/train_32x32.mat": load("types.mat"), "b/train_32x32.mat": deflated[:300]})
	refused(t, root, root+"/a", Options{}, "ROOT/a/train_32x32.mat: not_found: X (images) and y (labels) are expected")
	refused(t, root, root+"/b", Options{}, "ROOT/b/train_32x32.mat: truncated: an element of 115 bytes is declared, 114 are left")
}

// Folders and archives of images: all types of PNG, JPEG, in both layouts.
func TestImages(t *testing.T) {
	colours, greys := map[string][]byte{}, map[string][]byte{}
	want := map[string]*image.NRGBA{}
	for i, class := range []string{"b", "a", "c"} {
		for j, split := range []string{"train", "train", "test"} {
			name := split + "/" + class + "/" + string(rune('0'+j)) + ".png"
			m := colourImage(6, 5, uint64(10*i+j))
			colours[name], want[name] = pictureOf(m), m
			greys[name] = pictureOf(greyImage(6, 5, uint64(10*i+j)))
		}
	}
	colours["train/README.txt"], colours["train/a/._0.png"] = []byte("no image"), []byte("fork")
	root := folder(t, colours)
	var done int64
	set := open(t, root, Options{Progress: func(n, total int64) { done = n*100 + total }})
	if done != 909 {
		t.Errorf("progress ended at %d", done)
	}
	if set.Train.Rows != 6 || set.Test.Rows != 3 || set.Shape != (Shape{6, 5, 3}) || !slices.Equal(set.Classes, []string{"a", "b", "c"}) || !slices.Equal(set.Train.Labels, []int32{0, 0, 1, 1, 2, 2}) {
		t.Fatalf("%d, %d rows of %s, %v, %v", set.Train.Rows, set.Test.Rows, set.Shape, set.Classes, set.Train.Labels)
	}
	for row, name := range []string{"train/a/0.png", "train/a/1.png", "train/b/0.png"} {
		for i := range 30 {
			if got := set.Train.Pixels[(row*30+i)*3:][:3]; !bytes.Equal(got, want[name].Pix[4*i:4*i+3]) {
				t.Fatalf("%s, pixel %d is %v, want %v", name, i, got, want[name].Pix[4*i:4*i+3])
			}
		}
	}
	if grey := open(t, folder(t, greys), Options{}); grey.Shape.Channels != 1 || !bytes.Equal(grey.Train.Pixels[:30], greyImage(6, 5, 10).Pix) {
		t.Errorf("grey images are %s", grey.Shape)
	}
	// One image in colour makes all have three channels.
	greys["train/a/0.png"] = colours["train/a/0.png"]
	if mixed := open(t, folder(t, greys), Options{}); mixed.Shape.Channels != 3 || mixed.Train.Pixels[90] != mixed.Train.Pixels[92] {
		t.Error("grey images beside colour are not grey")
	}

	// Archives, also below other folders and in another order, are the same set; without splits all rows are for training.
	var names, deep []string
	below := map[string][]byte{}
	for name := range colours {
		names, deep = append(names, name), append(deep, "./data/set/"+name)
		below["./data/set/"+name] = colours[name]
	}
	slices.Sort(names)
	slices.Reverse(names)
	archives := folder(t, map[string][]byte{"x.tar": tarBytes(names, colours), "y.tar.gz": gz(tarBytes(deep, below)),
		"z.tar": tarBytes([]string{"top/one/1.png", "top/two/1.png"}, map[string][]byte{"top/one/1.png": colours["train/a/0.png"], "top/two/1.png": colours["train/a/1.png"]})})
	for _, name := range []string{"x", "y", "x.tar"} {
		if other := open(t, name, Options{Root: archives}); other.Hash() != set.Hash() {
			t.Errorf("%s: other data than the folder", name)
		}
	}
	if flat := open(t, "z", Options{Root: archives}); flat.Train.Rows != 2 || flat.Test.Rows != 0 || !slices.Equal(flat.Classes, []string{"one", "two"}) {
		t.Errorf("%d rows in %v", flat.Train.Rows, flat.Classes)
	}
}

// All colour models give what Go's converters make of them.
func TestColours(t *testing.T) {
	rect := image.Rect(3, 2, 12, 9) // bounds need not begin at 0
	models := map[string]image.Image{
		"YCbCr": image.NewYCbCr(rect, image.YCbCrSubsampleRatio420), "NRGBA": image.NewNRGBA(rect), "RGBA": image.NewRGBA(rect),
		"Gray": image.NewGray(rect), "Gray16": image.NewGray16(rect), "NRGBA64": image.NewNRGBA64(rect), "CMYK": image.NewCMYK(rect),
		"Paletted": image.NewPaletted(rect, color.Palette{color.White, color.NRGBA{10, 20, 30, 255}, color.Black}),
	}
	r := random.New(9)
	for name, m := range models {
		switch m := m.(type) {
		case *image.YCbCr:
			for _, p := range [][]uint8{m.Y, m.Cb, m.Cr} {
				for i := range p {
					p[i] = uint8(r.Uint32())
				}
			}
		case *image.Paletted:
			for i := range m.Pix {
				m.Pix[i] = uint8(r.IntN(3))
			}
		case interface {
			image.Image
			Set(x, y int, c color.Color)
		}:
			for y := rect.Min.Y; y < rect.Max.Y; y++ {
				for x := rect.Min.X; x < rect.Max.X; x++ {
					m.Set(x, y, color.NRGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), 255})
				}
			}
		}
		rgb, one := make([]uint8, 3*63), make([]uint8, 63)
		colour(rgb, m)
		grey(one, m)
		for i := range 63 {
			at := m.At(3+i%9, 2+i/9)
			want := color.NRGBAModel.Convert(at).(color.NRGBA)
			if got := rgb[3*i : 3*i+3]; !bytes.Equal(got, []uint8{want.R, want.G, want.B}) {
				t.Fatalf("%s: pixel %d is %v, want %v", name, i, got, want)
			}
			if y := color.GrayModel.Convert(at).(color.Gray).Y; one[i] != y {
				t.Fatalf("%s: pixel %d is %d in grey, want %d", name, i, one[i], y)
			}
		}
	}
}

func TestImagesDamaged(t *testing.T) {
	good := pictureOf(colourImage(6, 5, 1))
	var j bytes.Buffer
	jpeg.Encode(&j, colourImage(6, 5, 2), nil)
	for what, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"corrupt":  {map[string][]byte{"a/1.png": good, "a/2.png": flip(good, 60)}, "ROOT: a/2.png: malformed: png: invalid format: zlib: invalid checksum"},
		"cut":      {map[string][]byte{"a/1.jpg": j.Bytes(), "b/2.jpg": j.Bytes()[:j.Len()-20]}, "ROOT: b/2.jpg: malformed: invalid JPEG format: short Huffman data"},
		"nothing":  {map[string][]byte{"a/1.jpg": j.Bytes(), "b/2.jpg": nil}, "ROOT: b/2.jpg: truncated: the image ends early"},
		"text":     {map[string][]byte{"a/1.jpg": []byte("GIF89a")}, `ROOT: a/1.jpg: unsupported: begins with "GIF8", neither PNG nor JPEG`},
		"size":     {map[string][]byte{"a/1.png": good, "b/2.png": pictureOf(greyImage(5, 6, 1))}, "ROOT: b/2.png: length_mismatch: 5 x 6 pixels, a/1.png has 6 x 5: bring them to one size first"},
		"huge":     {map[string][]byte{"a/1.png": pictureOf(image.NewGray(image.Rect(0, 0, 1<<24+1, 1)))}, "ROOT: a/1.png: too_large: 1 x 16777217 pixels, expected 1 to 16777216"},
		"no class": {map[string][]byte{"train/1.png": good}, "ROOT: train/1.png: malformed: lies in no folder of a class; expected CLASS/NAME, or train/CLASS/NAME and test/CLASS/NAME"},
		"no train": {map[string][]byte{"test/a/1.png": good}, "ROOT: not_found: no training images; expected are PNG or JPEG files CLASS/NAME, or train/CLASS/NAME and test/CLASS/NAME"},
	} {
		t.Run(what, func(t *testing.T) {
			root := folder(t, c.files)
			refused(t, root, root, Options{}, c.want)
			var names []string
			for name := range c.files {
				names = append(names, name)
			}
			at := filepath.Join(t.TempDir(), "x.tar.gz")
			if err := os.WriteFile(at, gz(tarBytes(names, c.files)), 0o644); err != nil {
				t.Fatal(err)
			}
			if what != "no class" && what != "no train" {
				refused(t, at, at, Options{}, c.want) // the member is named as the file is
			}
		})
	}
	root := folder(t, map[string][]byte{"a/1.png": good})
	refused(t, root, root, Options{Memory: 89}, "ROOT: too_large: 1 images of 6 x 5 x 3, the budget is 89 bytes")
}

// What small files declare is not allocated before it is there.
func TestDeclaredSizes(t *testing.T) {
	member := tarBytes([]string{"a/1.png"}, nil)
	var long bytes.Buffer
	w := tar.NewWriter(&long)
	if err := w.WriteHeader(&tar.Header{Name: "a/1.png", Typeflag: tar.TypeReg, Size: maxFile}); err != nil {
		t.Fatal(err)
	}
	mat, err := os.ReadFile(filepath.Join("..", "internal", "matfile", "testdata", "plain.mat"))
	if err != nil {
		t.Fatal(err)
	}
	dims := bytes.Index(mat, []byte{2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0})
	mat[dims+14] = 0x40 // 4 images become 4 million, of which 72 bytes are there
	for name, data := range map[string][]byte{
		"idx.gz": gz(idxBytes(nil, 1<<20, 30, 30)),
		"idx":    idxBytes(nil, 1<<20, 30, 30),
		"tar":    long.Bytes(),
		"tar.gz": gz(append(long.Bytes(), member...)),
		"mat":    mat,
		"mat.gz": gz(mat),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := newStream(name, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		switch name[:3] {
		case "idx":
			_, _, err = readIDX(s, 3, Options{})
		case "tar":
			_, err = openTar(s, Options{})
		case "mat":
			_, _, err = readSVHN(s, Options{})
		}
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("%s: %d bytes were allocated for a file of %d: %v", name, took, len(data), err)
		}
		t.Log(err)
	}
}
