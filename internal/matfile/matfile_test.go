package matfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
)

func load(t testing.TB, name string) []byte {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Files that SciPy wrote.
func TestRead(t *testing.T) {
	for _, name := range []string{"plain.mat", "deflated.mat"} {
		data := load(t, name)
		v, err := Read(bytes.NewReader(data), int64(len(data)), 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(v) != 2 || v[0].Name != "X" || v[1].Name != "y" || v[0].DType != array.Uint8 || !slices.Equal(v[0].Shape, []int{2, 3, 3, 4}) || !slices.Equal(v[1].Shape, []int{4, 1}) {
			t.Fatalf("%s: %v", name, v)
		}
		for at, want := range map[int]float64{0: 0, 1: 36, 2: 12, 6: 4, 18: 1, 71: 71} { // the first axis runs fastest
			if got := v[0].Float(at); got != want {
				t.Errorf("%s: element %d of X is %g, want %g", name, at, got, want)
			}
		}
		for i, want := range []float64{10, 1, 2, 9} {
			if got := v[1].Float(i); got != want {
				t.Errorf("%s: y[%d] is %g, want %g", name, i, got, want)
			}
		}
	}
	data := load(t, "types.mat")
	v, err := Read(bytes.NewReader(data), int64(len(data)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if len(v) != 10 {
		t.Fatalf("%d arrays of numbers, want 10", len(v))
	}
	for _, v := range v {
		for i, want := range []float64{1, 100, 2, 5, 3, 6} {
			if got := v.Float(i); got != want {
				t.Errorf("%s: element %d is %g, want %g", v.Name, i, got, want)
			}
		}
	}
}

// fileOf is a file of one array, in either order of bytes: big-endian is what no machine at hand writes any more.
func fileOf(order binary.AppendByteOrder, dims []int32, kind uint32, data []byte) []byte {
	word := order.AppendUint32
	element := func(b []byte, kind uint32, data []byte) []byte {
		b = append(word(word(b, kind), uint32(len(data))), data...)
		return append(b, make([]byte, -len(data)&7)...)
	}
	var d []byte
	for _, n := range dims {
		d = word(d, uint32(n))
	}
	body := element(nil, typeUint32, word(word(nil, 4+kind), 0)) // class int16 is 10, type 6 smaller by 4
	body = element(element(element(body, typeInt32, d), typeInt8, []byte("wide name")), kind, data)
	head := make([]byte, 124, 4096)
	copy(head, "MATLAB 5.0 MAT-file")
	head = append(order.AppendUint16(head, 0x0100), "IM"...)
	if order.String() == "BigEndian" {
		copy(head[126:], "MI")
	}
	return element(head, typeMatrix, body)
}

func TestOrders(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
		data := fileOf(order, []int32{3, 1}, 6, order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, 7), 70000), 1<<31))
		v, err := Read(bytes.NewReader(data), int64(len(data)), 1<<20)
		if err != nil || len(v) != 1 || v[0].Name != "wide name" || v[0].Float(1) != 70000 || v[0].Float(2) != 1<<31 {
			t.Errorf("%s: %v, %v", order, v, err)
		}
	}
}

func TestDamaged(t *testing.T) {
	le := binary.LittleEndian
	good := fileOf(le, []int32{3, 1}, 6, make([]byte, 12))
	change := func(at int, b ...byte) []byte {
		data := slices.Clone(good)
		copy(data[at:], b)
		return data
	}
	deflated := load(t, "deflated.mat")
	flipped := slices.Clone(deflated)
	flipped[200] ^= 0x10
	for name, c := range map[string]struct {
		data  []byte
		limit int64
		want  string
	}{
		"header":   {good[:100], 1 << 20, "truncated: the data end early"},
		"order":    {change(126, 'X', 'X'), 1 << 20, `malformed: bytes 126 and 127 are "XX", a MAT-file of level 5 has IM or MI`},
		"hdf5":     {change(124, 0, 2), 1 << 20, "unsupported: version 0200, expected 0100; a file of version 7.3 can be saved again with -v7"},
		"length":   {change(132, 0xff, 0xff, 0xff), 1 << 20, "truncated: an element of 16777215 bytes is declared, 80 are left"},
		"axes":     {fileOf(le, []int32{3, 2}, 6, make([]byte, 12)), 1 << 20, "wide name: malformed: uint32 3 x 2, but 12 bytes of data"},
		"negative": {fileOf(le, []int32{-3, -1}, 6, make([]byte, 12)), 1 << 20, "wide name: malformed: uint32 -3 x -1, but 12 bytes of data"},
		"overflow": {fileOf(le, []int32{1 << 30, 1 << 30, 1 << 30}, 6, make([]byte, 12)), 1 << 20, "wide name: malformed: uint32 1073741824 x 1073741824 x 1073741824, but 12 bytes of data"},
		"budget":   {good, 11, "wide name: too_large: uint32 3 x 1, the budget is 11 bytes"},
		"cut":      {deflated[:len(deflated)-3], 1 << 20, "truncated: an element of 51 bytes is declared, 48 are left"},
		"flipped":  {flipped, 1 << 20, ""},
	} {
		_, err := Read(bytes.NewReader(c.data), int64(len(c.data)), c.limit)
		if err == nil || c.want != "" && err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// Whatever the bytes: no panic, an *array.Error or arrays whose data fill their shape, within the limit.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"plain.mat", "deflated.mat", "types.mat"} {
		f.Add(load(f, name))
	}
	f.Add(fileOf(binary.BigEndian, []int32{3, 1}, 6, make([]byte, 12)))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		variables, err := Read(bytes.NewReader(data), int64(len(data)), limit)
		if err != nil {
			if known := new(array.Error); !errors.As(err, &known) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		total := 0
		for _, v := range variables {
			total += len(v.Data)
			if n, ok := v.Bytes(); !ok || n != int64(len(v.Data)) {
				t.Fatalf("%s has %d bytes", v.Info, len(v.Data))
			}
			if v.Size() > 0 {
				v.Float(v.Size() - 1)
			}
		}
		if total > limit {
			t.Fatalf("%d bytes, the limit is %d", total, limit)
		}
	})
}
