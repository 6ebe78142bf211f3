package parquet

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/formattest"
)

var format = formattest.Format{Name: "parquet", Sniff: Sniff, Open: Open}

// The files are made by testdata/formats/make_parquet.py, which says what they hold.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../testdata/formats", name+".parquet"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const rows, width = 40, 5

func matrix(name string, t array.DType, f func(x float64) float64) formattest.Array {
	a := formattest.Array{Name: name, DType: t, Shape: []int{rows, width}}
	for i := range rows {
		for j := range width {
			a.Values = append(a.Values, f(float64((31*i+17*j)%64)/8-4))
		}
	}
	return a
}

func labels(name string, t array.DType, f func(label int) float64) formattest.Array {
	a := formattest.Array{Name: name, DType: t, Shape: []int{rows}}
	for i := range rows {
		a.Values = append(a.Values, f(i%3))
	}
	return a
}

func same(x float64) float64   { return x }
func number(label int) float64 { return float64(label) }
func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func TestReal(t *testing.T) {
	formattest.Run(t, format, formattest.Case{Name: "gzip, second version", Data: fixture(t, "scalars_gzip_v2"),
		Arrays: []formattest.Array{labels("label", array.Int32, number), matrix("features", array.Float32, same)}})
	formattest.Run(t, format, formattest.Case{Name: "zstd, rare encodings", Data: fixture(t, "encodings_zstd"),
		Arrays: []formattest.Array{
			matrix("features", array.Float32, same),
			matrix("wide", array.Int64, func(x float64) float64 { return 1000 * x }),
			matrix("flags", array.Bool, func(x float64) float64 { return is(x > 0) }),
			labels("target", array.Int32, number),
		}})
}

// A file with everything that pandas users have in one: lists, scalars, text and structures.
func TestMixed(t *testing.T) {
	data := fixture(t, "lists")
	f, err := Open(bytes.NewReader(data), int64(len(data)), array.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range f.Arrays() {
		s := a.Name + ": " + a.String()
		if a.Refused != nil {
			s = a.Refused.Error()
		}
		got = append(got, s)
	}
	want := []string{
		"features: float32 40 x 5",
		"fixed: float64 40 x 5",
		"name: unsupported: the column is text, not numbers",
		"struct: unsupported: the column is a group of columns, not numbers",
		"nested: unsupported: the column is a list of lists or groups: flatten the inner ones",
		"label: int64 40",
		"flag: bool 40",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("listing (-want +got):\n%s", d)
	}
	for _, want := range []formattest.Array{
		matrix("features", array.Float32, same), matrix("fixed", array.Float64, same),
		labels("label", array.Int64, number), labels("flag", array.Bool, func(k int) float64 { return is(k == 1) }),
	} {
		a, err := f.Open(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		v := make([]float64, len(want.Values))
		if err := a.Float64s(v, 0); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.Values, v); d != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, d)
		}
	}
}

// Every numeric type of the format, and columns joined to the one type that holds them.
func TestTypes(t *testing.T) {
	data := fixture(t, "types")
	for _, test := range []struct {
		options array.Options
		want    []string
	}{
		{array.Options{}, []string{"features: float64 40 x 7"}},
		{array.Options{Labels: "u1"}, []string{"u1: uint32 40", "features: float64 40 x 6"}},
		{array.Options{LabelColumns: "first:3"}, []string{"labels: int64 40 x 3", "features: float64 40 x 4"}},
		{array.Options{LabelColumns: "last:1"}, []string{"labels: float64 40 x 1", "features: float64 40 x 6"}},
	} {
		f, err := Open(bytes.NewReader(data), int64(len(data)), test.options)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, info := range f.Arrays() {
			got = append(got, info.Name+": "+info.String())
			a, _ := f.Open(info.Name)
			v := make([]float64, info.Rows()*info.Width())
			if err := a.Float64s(v, 0); err != nil {
				t.Fatal(err)
			}
			for k, x := range v {
				if want := float64(k / info.Width() % 3 * 3); x != want {
					t.Fatalf("%s: element %d is %v, expected %v", info.Name, k, x, want)
				}
			}
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%+v (-want +got):\n%s", test.options, d)
		}
	}
}

func TestBad(t *testing.T) {
	lists := fixture(t, "lists")
	edit := func(f func(b []byte)) []byte {
		b := bytes.Clone(lists)
		f(b)
		return b
	}
	for _, test := range []struct {
		name string
		data []byte
		o    array.Options
		want string
	}{
		{"empty", nil, array.Options{}, "truncated: 0 bytes are no parquet file"},
		{"ragged", fixture(t, "bad_ragged"), array.Options{}, "features: inconsistent: row 1 has 1 elements, 2 were expected"},
		{"null element", fixture(t, "bad_null_element"), array.Options{}, "features: inconsistent: row 1 holds a null or an empty list"},
		{"null list", fixture(t, "bad_null_list"), array.Options{}, "features: inconsistent: row 1 holds a null or an empty list"},
		{"null", fixture(t, "bad_null"), array.Options{}, "x: inconsistent: row 1 holds a null"},
		{"nested", fixture(t, "bad_nested"), array.Options{}, "features: unsupported: the column is a list of lists or groups: flatten the inner ones"},
		{"text", fixture(t, "bad_no_numbers"), array.Options{}, "name: unsupported: the column is text, not numbers"},
		{"brotli", fixture(t, "bad_brotli"), array.Options{}, "x: unsupported: compression Brotli: write the file with snappy, gzip, zstd or none"},
		{"label columns", fixture(t, "types"), array.Options{LabelColumns: "3"}, `inconsistent: label columns "3": first:L or last:L was expected, e.g. last:20`},
		{"label columns", fixture(t, "types"), array.Options{LabelColumns: "last:8"}, "inconsistent: label columns last:8: the table has 7 columns of numbers"},
		{"magic", edit(func(b []byte) { b[0] = 'X' }), array.Options{}, "malformed: the file does not begin with PAR1"},
		{"cut", lists[:len(lists)-1], array.Options{}, "truncated: the file does not end with PAR1: is it whole?"},
		{"encrypted", edit(func(b []byte) { copy(b, "PARE") }), array.Options{}, "unsupported: the file is encrypted: only plain parquet is read"},
		{"footer length", edit(func(b []byte) { binary.LittleEndian.PutUint32(b[len(b)-8:], 1<<30) }), array.Options{},
			"malformed: a footer of 1073741824 bytes in a file of 5542"},
		{"footer budget", lists, array.Options{Memory: 1000}, "too_large: a footer of 2711 bytes, at most 1000 are read"},
		{"page check sum", func() []byte {
			b := fixture(t, "encodings_zstd")
			b[80]++
			return b
		}(), array.Options{}, "features: malformed: the check sum of a page does not match: the file is damaged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := "no error"
			if err := readAll(test.data, test.o); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// readAll reads all arrays of a file whole and returns the first error.
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

func FuzzOpen(f *testing.F) {
	var seeds [][]byte
	for _, name := range []string{"scalars_gzip_v2", "encodings_zstd", "types", "bad_ragged", "bad_null_list", "bad_nested", "bad_brotli"} {
		seeds = append(seeds, fixture(f, name))
	}
	formattest.Fuzz(f, formattest.Again(Open), seeds...)
}
