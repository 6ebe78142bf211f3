package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/formattest"
)

var format = formattest.Format{Name: "pt", Sniff: Sniff, Open: Open}

// The files are made by testdata/formats/make_torch.py, which says what they hold.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../testdata/formats", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const rows, width = 8, 5

func element(i, j int) float64 { return float64((31*i+17*j)%64)/8 - 4 }

// matrix is the values f gives for every row and column.
func matrix(name string, t array.DType, rows, width int, f func(i, j int) float64) formattest.Array {
	a := formattest.Array{Name: name, DType: t, Shape: []int{rows, width}}
	for i := range rows {
		for j := range width {
			a.Values = append(a.Values, f(i, j))
		}
	}
	return a
}

func vector(name string, t array.DType, n int, f func(i int) float64) formattest.Array {
	a := matrix(name, t, n, 1, func(i, _ int) float64 { return f(i) })
	a.Shape = a.Shape[:1]
	return a
}

func label(i int) float64 { return float64(i % 3) }

func TestReal(t *testing.T) {
	everything := []formattest.Array{
		matrix("features/block1", array.Float32, rows, width, element),
		matrix("features/block2", array.Float64, rows, width, element),
		vector("labels", array.Int64, rows, label),
		matrix("model/fc.weight", array.Float32, 3, width, element),
		vector("model/fc.bias", array.Float32, 3, label),
		matrix("weight", array.Float32, 3, width, element),
		vector("lists/0", array.Float16, width, func(j int) float64 { return element(0, j) }),
		vector("lists/1/0", array.BFloat16, width, func(j int) float64 { return element(1, j) }),
		vector("7", array.Uint8, rows, label),
		matrix("numpy", array.Float32, rows, width, element),
		matrix("fortran", array.Float64, rows, width, element),
		matrix("empty", array.Float64, 0, width, element),
	}
	run := func(name, file string, arrays ...formattest.Array) {
		formattest.Run(t, format, formattest.Case{Name: name, Data: fixture(t, file), Random: true, Arrays: arrays})
	}
	run("PyTorch 2.15", "torch.pt", everything...)
	run("PyTorch 1.13", "torch_1.13.pt", everything...)
	run("protocol 4", "torch_protocol4.pt",
		matrix("features", array.Float32, rows, width, element), matrix("numpy", array.Float32, rows, width, element))
	run("a tensor alone", "torch_tensor.pt", matrix("tensor", array.Float32, rows, width, element))
	run("types", "torch_types.pt",
		vector("bool", array.Bool, rows, func(i int) float64 { return min(1, label(i)) }),
		vector("int8", array.Int8, rows, label), vector("uint8", array.Uint8, rows, label),
		vector("int16", array.Int16, rows, label), vector("int32", array.Int32, rows, label),
		vector("int64", array.Int64, rows, label), vector("float16", array.Float16, rows, label),
		vector("bfloat16", array.BFloat16, rows, label), vector("float32", array.Float32, rows, label),
		vector("float64", array.Float64, rows, label), vector("uint16", array.Uint16, rows, label),
		vector("uint32", array.Uint32, rows, label), vector("uint64", array.Uint64, rows, label))

	scalar := formattest.Array{Name: "5", DType: array.Float32, Values: []float64{element(2, 2)}}
	turned := formattest.Array{Name: "6", DType: array.Float32, Shape: []int{width, 2, 4}}
	for k := range width {
		for i := range rows {
			turned.Values = append(turned.Values, element(i, k))
		}
	}
	run("views", "torch_views.pt",
		matrix("0", array.Float32, rows, width, element),
		matrix("1", array.Float32, width, rows, func(i, j int) float64 { return element(j, i) }),
		matrix("2", array.Float32, 3, 3, func(i, j int) float64 { return element(1+2*i, 1+j) }),
		vector("3", array.Float32, rows, func(i int) float64 { return element(i, 2) }),
		matrix("4", array.Float32, 4, width, func(_, j int) float64 { return element(3, j) }),
		scalar, turned,
		matrix("7", array.Float32, 0, width, element))
}

// A check sum of 0 is one that torch was told not to compute (torch.serialization.set_crc32_options).
func TestNoCheckSum(t *testing.T) {
	data := fixture(t, "torch_tensor.pt")
	entries := 0
	for i := range data {
		if bytes.HasPrefix(data[i:], []byte("PK\x01\x02")) { // in the directory
			clear(data[i+16 : i+20])
			entries++
		}
	}
	if err := readAll(data, array.Options{}); err != nil || entries < 5 {
		t.Errorf("%d entries: %v", entries, err)
	}
}

// archive is a file of one pickle and its storages, without what torch adds.
func archive(pickle string, storages ...string) []byte {
	entries := []formattest.Entry{{Name: "x/data.pkl", Data: []byte(pickle)}}
	for i, s := range storages {
		entries = append(entries, formattest.Entry{Name: "x/data/" + string(rune('0'+i)), Data: []byte(s)})
	}
	return formattest.Zip(entries...)
}

// pickled is a view of the float32 storage "0" of n elements; the arguments are pickled themselves.
func pickled(n, offset, size, stride string) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu" + n + "tQ" + offset + size + stride + "\x89)tR"
}

// view is the pickle of {"t": tensor}.
func view(n, offset, size, stride string) string {
	return "\x80\x02}U\x01t" + pickled(n, offset, size, stride) + "s."
}

func TestBad(t *testing.T) {
	saved := fixture(t, "torch_tensor.pt")
	edit := func(f func(b []byte)) []byte {
		b := bytes.Clone(saved)
		f(b)
		return b
	}
	storage := strings.Repeat("\x00\x00\x80\x3f", 6) // six ones
	var names []formattest.Entry                     // too long for a directory that is read
	for i := range 140 {
		names = append(names, formattest.Entry{Name: "x/" + strings.Repeat("n", 60000+i)})
	}
	one := pickled("K\x06", "K\x00", "K\x06\x85", "K\x01\x85")
	const data = "malformed: data.pkl, byte "
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		// Other forms.
		{"empty", nil, "malformed: the file does not begin with a zip record (PK)"},
		{"module", fixture(t, "bad_module.pt"), "unsupported: data.pkl, byte 2: the pickle holds an object of class torch.nn.modules.container.Sequential, " +
			"so this is a saved module or a program's own object: save a state_dict or features (torch.save({\"features\": h, \"labels\": y}, path))"},
		{"argparse", fixture(t, "bad_namespace.pt"), "unsupported: data.pkl, byte 183: the pickle names argparse.Namespace, " +
			"which is not on the list of what is read; nothing was run. Save tensors in dicts and lists"},
		{"os.system", fixture(t, "bad_global.pt"), "unsupported: data.pkl, byte 13: the pickle names posix.system, " +
			"which is not on the list of what is read; nothing was run. Save tensors in dicts and lists"},
		{"object array", fixture(t, "bad_object.pt"), `unsupported: data.pkl, byte 214: a NumPy array of Python objects (dtype "O8"): save numbers`},
		{"stacked pickles", fixture(t, "bad_legacy.pt"),
			"unsupported: this is a file of PyTorch before 1.6 (stacked pickles), which is not read: load it in PyTorch and torch.save it again"},
		{"bare pickle", fixture(t, "bad_pickle.pkl"),
			"unsupported: this is a pickle without the zip around it, which is not read: load it in PyTorch and torch.save it again"},
		{"tar", append(make([]byte, 257), "ustar\x00"...),
			"unsupported: this is a tar, as PyTorch before 0.2 wrote, which is not read: load it in PyTorch and torch.save it again"},
		{"TorchScript", formattest.Zip(formattest.Entry{Name: "x/data.pkl", Data: []byte("\x80\x02N.")}, formattest.Entry{Name: "x/code/a.py", Deflate: true}, formattest.Entry{Name: "x/constants.pkl"}),
			"unsupported: a TorchScript program: save a state_dict or features with torch.save"},
		{"big-endian", formattest.Zip(formattest.Entry{Name: "x/data.pkl", Data: []byte("\x80\x02N.")}, formattest.Entry{Name: "x/byteorder", Data: []byte("big")}),
			`unsupported: byte order "big": only little-endian files are read`},

		// The zip.
		{"cut", saved[:len(saved)-30], "truncated: no zip directory at the end of the file (zip: not a valid zip file): is the file whole?"},
		{"trailing", append(bytes.Clone(saved), 0), "malformed: bytes follow the end of the zip"},
		{"leading", append([]byte("PK\x03\x04"+strings.Repeat("\x00", 26)), archive("N.")...), "malformed: data before the first record of the zip"},
		{"directory", formattest.Zip(names...), "too_large: the zip directory is larger than 8 MB"},
		{"no pickle", formattest.Zip(formattest.Entry{Name: "x/version"}), "unsupported: a zip without a data.pkl: an exported program, or not written by torch.save"},
		{"two folders", formattest.Zip(formattest.Entry{Name: "x/data.pkl"}, formattest.Entry{Name: "y/data.pkl"}),
			`malformed: two pickles, "x/" and "y/data.pkl": a .pt holds one`},
		{"outside", formattest.Zip(formattest.Entry{Name: "x/data.pkl"}, formattest.Entry{Name: "../evil"}),
			`malformed: record "../evil" lies outside the folder "x/"`},
		{"twice", formattest.Zip(formattest.Entry{Name: "x/data.pkl"}, formattest.Entry{Name: "x/data.pkl"}),
			`malformed: two pickles, "x/" and "x/data.pkl": a .pt holds one`},
		{"record twice", formattest.Zip(formattest.Entry{Name: "x/data.pkl"}, formattest.Entry{Name: "x/data/0"}, formattest.Entry{Name: "x/data/0"}),
			`malformed: two records are named "x/data/0"`},
		{"compressed", formattest.Zip(formattest.Entry{Name: "x/data.pkl", Data: []byte("\x80\x02N."), Deflate: true}),
			`unsupported: record "x/data.pkl" is compressed: the file was packed again after torch.save`},
		{"damaged pickle", edit(func(b []byte) { b[bytes.Index(b, []byte("storage"))]++ }), "malformed: the check sum of data.pkl does not match: the file is damaged"},
		{"damaged storage", edit(func(b []byte) { b[bytes.Index(b, []byte("\x00\x00\x80\xc0"))]++ }),
			`tensor: malformed: the check sum of its storage "0" does not match: the file is damaged`},

		// The pickle.
		{"empty pickle", archive(""), "truncated: data.pkl, byte 0: the pickle ends early: 1 bytes wanted, 0 left"},
		{"protocol", archive("\x80\x01N."), "unsupported: data.pkl, byte 0: pickle protocol 1 (2 to 5 are read)"},
		{"opcode", archive("\x80\x02i."), "unsupported: data.pkl, byte 2: pickle opcode 0x69 is not among those that torch.save writes"},
		{"memo", archive("\x80\x02h\x05."), data + "2: memo number 5 was never set"},
		{"memo far away", archive("\x80\x02Nr\xff\xff\xff\xff."), data + "3: memo number 4294967295 in a pickle of 9 bytes"},
		{"underflow", archive("\x80\x02."), data + "2: the stack is empty"},
		{"past a mark", archive("\x80\x02N(0."), data + "4: the stack is empty"},
		{"no mark", archive("\x80\x02t."), data + "2: no mark is open"},
		{"left over", archive("\x80\x02NN."), data + "4: values are left on the stack at the end"},
		{"after the end", archive("\x80\x02N.N"), data + "3: 1 bytes follow the end"},
		{"string length", archive("\x80\x02X\xff\xff\xff\x7fa."), "truncated: data.pkl, byte 2: the pickle ends early: 2147483647 bytes wanted, 2 left"},
		{"odd dict", archive("\x80\x02}(Nu."), data + "5: a dict key without its value"},
		{"call of a value", archive("\x80\x02N)R."), data + "4: a call of something that is no global"},
		{"call of a class", archive("\x80\x02cnumpy\nndarray\n)R."), "unsupported: data.pkl, byte 18: the pickle calls numpy.ndarray"},
		{"encode", archive("\x80\x02c_codecs\nencode\nU\x01aU\x05utf-8\x86R."), "unsupported: data.pkl, byte 29: _codecs.encode with something other than text and latin1"},
		{"persistent", archive("\x80\x02NQ."), data + "3: a persistent id that describes no storage"},
		{"state", archive("\x80\x02]Nb."), data + "4: BUILD of something that takes no state"},
		{"eval", archive("\x80\x02c__builtin__\neval\n."), "unsupported: data.pkl, byte 2: the pickle names __builtin__.eval, " +
			"which is not on the list of what is read; nothing was run. Save tensors in dicts and lists"},
		{"deep", archive("\x80\x02" + strings.Repeat("]", 100) + strings.Repeat("a", 99) + "."), "too_large: more than 1048576 values, or values nested deeper than 64"},
		{"in itself", archive("\x80\x02]q\x00h\x00a."), "too_large: more than 1048576 values, or values nested deeper than 64"},
		{"doubling", archive("\x80\x02]q\x00" + strings.Repeat("0](h\x00h\x00eq\x00", 40) + "."), "too_large: more than 1048576 values, or values nested deeper than 64"},
		{"budget", archive("\x80\x02(" + strings.Repeat("}", 20000) + "t."), "too_large: data.pkl, byte 15315: the pickle needs more than the memory budget"},
		{"same name", archive("\x80\x02}(U\x03a/b"+one+"U\x01a}U\x01b"+one+"su.", storage), "a/b: malformed: two arrays have this name"},
		{"no name", archive("\x80\x02}U\x00"+one+"s.", storage), "malformed: an array has the empty name"},

		// Tensors.
		{"good", archive(view("K\x06", "K\x00", "K\x02K\x03\x86", "K\x03K\x01\x86"), storage), "no error"},
		{"no storage", archive(view("K\x06", "K\x00", "K\x06\x85", "K\x01\x85")), `t: malformed: its storage "0" is not in the file`},
		{"storage size", archive(view("K\x07", "K\x00", "K\x06\x85", "K\x01\x85"), storage), "t: malformed: its storage has 7 elements of 4 bytes, the record has 24 bytes"},
		{"storage size below 0", archive(view("J\xff\xff\xff\xff", "K\x00", "K\x06\x85", "K\x01\x85"), storage),
			"t: malformed: its storage has -1 elements of 4 bytes, the record has 24 bytes"},
		{"offset", archive(view("K\x06", "K\x01", "K\x06\x85", "K\x01\x85"), storage),
			"t: malformed: size [6], stride [1] and offset 1 reach outside the storage of 6 elements"},
		{"offset below 0", archive(view("K\x06", "J\xff\xff\xff\xff", "K\x02\x85", "K\x01\x85"), storage),
			"t: malformed: size [2], stride [1] and offset -1 reach outside the storage of 6 elements"},
		{"stride", archive(view("K\x06", "K\x00", "K\x02K\x03\x86", "K\x04K\x01\x86"), storage),
			"t: malformed: size [2 3], stride [4 1] and offset 0 reach outside the storage of 6 elements"},
		{"stride below 0", archive(view("K\x06", "K\x03", "K\x02\x85", "J\xff\xff\xff\xff\x85"), storage),
			"t: malformed: size [2], stride [-1] and offset 3 reach outside the storage of 6 elements"},
		{"stride overflow", archive(view("K\x06", "K\x00", "K\x03\x85", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"), storage),
			"t: malformed: size [3], stride [9223372036854775807] and offset 0 reach outside the storage of 6 elements"},
		{"size below 0", archive(view("K\x06", "K\x00", "J\xff\xff\xff\xff\x85", "K\x01\x85"), storage), "t: malformed: size [-1] is negative or too large for any file"},
		{"size overflow", archive(view("K\x06", "K\x00", "\x8a\x05\x00\x00\x00\x00\x01\x8a\x05\x00\x00\x00\x00\x01\x86", "K\x00K\x00\x86"), storage),
			"t: malformed: size [4294967296 4294967296] is negative or too large for any file"},
		{"expanded", archive(view("K\x06", "K\x00", "J\x00\x00\x00\x40\x85", "K\x00\x85"), storage),
			"t: too_large: an expanded view of 4294967296 bytes, the memory budget is 1000000: save a copy (.contiguous())"},
		{"ranks", archive(view("K\x06", "K\x00", "K\x02K\x03\x86", "K\x01\x85"), storage), "t: malformed: size [2 3] with stride [1]"},
		{"axes", archive(view("K\x06", "K\x00", "("+strings.Repeat("K\x01", 17)+"t", "("+strings.Repeat("K\x01", 17)+"t"), storage), "t: unsupported: 17 axes, at most 16 are read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := "no error"
			if err := readAll(test.data, array.Options{Memory: 1000000}); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// NumPy arrays of other than numbers are listed with the reason why they are not read.
func TestNumPyText(t *testing.T) {
	pickle := "\x80\x02}U\x01tcnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x01\x85cnumpy\ndtype\nU\x02U1\x89\x88\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89C\x04abcdtbs."
	data := archive(pickle)
	f, err := Open(bytes.NewReader(data), int64(len(data)), array.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Open("t")
	const want = `t: unsupported: NumPy dtype "U1": only numbers and booleans are read`
	if err == nil || err.Error() != want {
		t.Errorf("%v, expected %s", err, want)
	}
}

func readAll(data []byte, o array.Options) error {
	f, err := Open(bytes.NewReader(data), int64(len(data)), o)
	if err != nil {
		return err
	}
	for _, info := range f.Arrays() {
		a, err := f.Open(info.Name)
		if err != nil {
			return err
		}
		if err := a.Float64s(make([]float64, info.Rows()*info.Width()), 0); err != nil {
			return err
		}
	}
	return nil
}

func TestSniff(t *testing.T) {
	zip := func(first string) string {
		return string(formattest.Zip(formattest.Entry{Name: first}, formattest.Entry{Name: "x/data.pkl"}))
	}
	for head, want := range map[string]bool{
		zip("x/data.pkl"): true, zip("x/version"): true, zip("x/code/a.py"): true, zip("x/.format_version"): true,
		zip("features.npy"): false, zip("x/features.npy"): false, zip("word/document.xml"): false,
		"": false, "PK\x03\x04": false, "\x80\x04x": true, "\x80\x02\x8a\x0al\xfc": true, "\x80\x00x": false,
	} {
		if got := Sniff([]byte(head)); got != want {
			t.Errorf("Sniff(%.60q) is %v", head, got)
		}
	}
}

// The fuzzer sees pickles without their zip, so that it does not spend its time on check sums.
func FuzzPickle(f *testing.F) {
	var seeds [][]byte
	for _, name := range []string{"torch.pt", "torch_1.13.pt", "torch_protocol4.pt", "torch_views.pt", "torch_types.pt", "bad_object.pt"} {
		b := fixture(f, name)
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range z.File {
			if strings.HasSuffix(e.Name, "/data.pkl") {
				at, _ := e.DataOffset()
				seeds = append(seeds, b[at:at+int64(e.UncompressedSize64)])
			}
		}
	}
	seeds = append(seeds, []byte(view("K\x06", "K\x00", "K\x06\x85", "K\x01\x85")))
	ones := bytes.Repeat(binary.LittleEndian.AppendUint32(nil, 0x3f800000), 40)
	open := func(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
		pickle := make([]byte, size)
		if err := array.ReadFull(r, pickle, 0); err != nil {
			return nil, err
		}
		data := archive(string(pickle), string(ones), string(ones[:96]), string(ones))
		return Open(bytes.NewReader(data), int64(len(data)), o)
	}
	formattest.Fuzz(f, formattest.Again(open), seeds...)
}

func FuzzOpen(f *testing.F) {
	var seeds [][]byte
	for _, name := range []string{"torch_views.pt", "torch_tensor.pt", "bad_legacy.pt", "bad_object.pt"} {
		seeds = append(seeds, fixture(f, name))
	}
	formattest.Fuzz(f, formattest.Again(Open), append(seeds, archive(view("K\x06", "K\x00", "K\x06\x85", "K\x01\x85"), strings.Repeat("a", 24)))...)
}
