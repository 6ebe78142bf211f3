package csv

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/formattest"
)

var format = formattest.Format{Name: "csv", Sniff: Sniff, Open: Open}

// The files are made by testdata/formats/make_tables.py, which says what they hold.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../testdata/formats", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const rows, width = 12, 4

func features() formattest.Array {
	a := formattest.Array{Name: "features", DType: array.Float64, Shape: []int{rows, width}}
	for i := range rows {
		for j := range width {
			a.Values = append(a.Values, float64((31*i+17*j)%64)/7-4)
		}
	}
	return a
}

func labels(name string) formattest.Array {
	a := formattest.Array{Name: name, DType: array.Int64, Shape: []int{rows}}
	for i := range rows {
		a.Values = append(a.Values, float64(i%3))
	}
	return a
}

func TestReal(t *testing.T) {
	formattest.Run(t, format, formattest.Case{Name: "pandas", Table: true, Data: fixture(t, "table_pandas.csv"),
		Arrays: []formattest.Array{labels("label"), features()}})
	formattest.Run(t, format, formattest.Case{Name: "savetxt", Table: true, Data: fixture(t, "table_savetxt.csv"),
		Arrays: []formattest.Array{labels("y"), features()}})
	tsv := format
	tsv.Name = "tsv"
	formattest.Run(t, tsv, formattest.Case{Name: "tabs", Table: true, Data: fixture(t, "table.tsv"),
		Arrays: []formattest.Array{labels("target"), features()}})
}

// A column of text is listed as refused, and stands in nobody's way.
func TestText(t *testing.T) {
	data := fixture(t, "table_excel.csv")
	if !Sniff(data[:512]) {
		t.Error("Sniff does not know it")
	}
	f, err := Open(bytes.NewReader(data), int64(len(data)), array.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range f.Arrays() {
		_, err := f.Open(a.Name)
		got = append(got, fmt.Sprint(a.Name, ": ", a, ", ", err))
	}
	want := []string{
		`file name: invalid, file name: unsupported: the column is text (line 2: "\"row\"; 0\nsecond line"), not numbers`,
		"label: int64 12, <nil>", "features: float64 12 x 4, <nil>",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, want := range []formattest.Array{labels("label"), features()} {
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

// Which columns become which arrays.
func TestListing(t *testing.T) {
	for _, test := range []struct {
		name string
		text string
		o    array.Options
		want []string
	}{
		{"labels alone", "label\n0\n1\n", array.Options{}, []string{"label: int64 2"}},
		{"features alone", "a,b\n0,1\n", array.Options{}, []string{"features: float64 1 x 2"}},
		{"two label columns", "y,a,label\n0.5,1,2\n", array.Options{}, []string{"y: float64 1", "label: int64 1", "features: float64 1 x 1"}},
		{"named label column", "y,a,class\n0.5,1,2\n", array.Options{Labels: "class"}, []string{"class: int64 1", "features: float64 1 x 2"}},
		{"tags first", "a,b,c,d\n1,0,7,8\n", array.Options{LabelColumns: "first:2"}, []string{"labels: int64 1 x 2", "features: float64 1 x 2"}},
		{"tags last, past text", "a,s,b,label\n1,x,0,0.5\n", array.Options{LabelColumns: "last:2"},
			[]string{"s: invalid", "labels: float64 1 x 2", "features: float64 1 x 1"}},
		{"no rows", "a,label\n", array.Options{}, []string{"label: int64 0", "features: float64 0 x 1"}},
		{"integer beyond int64", "label\n99999999999999999999\n", array.Options{}, []string{"label: float64 1"}},
		{"blank lines at the end", "a\n1\n\r\n\n", array.Options{}, []string{"features: float64 1 x 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Open(strings.NewReader(test.text), int64(len(test.text)), test.o)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range f.Arrays() {
				got = append(got, a.Name+": "+a.String())
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestBad(t *testing.T) {
	for _, test := range []struct {
		name, text string
		o          array.Options
		want       string
	}{
		{"empty", "", array.Options{}, "empty: no header"},
		{"blank", "\n\n", array.Options{}, "empty: no header"},
		{"UTF-16", "\xff\xfea\x00", array.Options{}, "unsupported: the text is UTF-16: save it as UTF-8"},
		{"no header", "0.5,1\n2,3\n", array.Options{}, "malformed: line 1 holds numbers: a header with the names of the columns is expected"},
		{"pandas index", string(fixture(t, "bad_index.csv")), array.Options{},
			"malformed: column 1 has no name (an index, as pandas writes it? to_csv(index=False))"},
		{"same name", "a,b,a\n1,2,3\n", array.Options{}, `malformed: two columns are named "a"`},
		{"binary name", "a\x00,b\n1,2\n", array.Options{}, `malformed: the name of column 1 is no text: "a\x00"`},
		{"ragged", "a,b\n1,2\n3\n", array.Options{}, "malformed: line 3 has 1 cells, the header has 2"},
		{"ragged, quoted", "a,b\n1,2\n\"3\",4,5\n", array.Options{}, "malformed: line 3 has 3 cells, the header has 2"},
		{"empty line", "a,b\n1,2\n\n3,4\n", array.Options{}, "malformed: line 3 is empty"},
		{"open quote", "a,b\n1,\"2\n", array.Options{}, "malformed: line 2: a quote is not closed"},
		{"text after quote", "a,b\n1,\"2\"3\n", array.Options{}, `malformed: line 2: "3" follows a closing quote`},
		{"quote in a cell", "a,b\n1,5\"\"\n", array.Options{}, "malformed: line 2: a quote inside a cell that does not begin with one"},
		{"text", "a,b\n1,2\n3,x\n", array.Options{}, `features: malformed: line 3, column "b": "x", expected a number`},
		{"decimal comma", "a;b\n1;2\n1,5;2\n", array.Options{}, `features: malformed: line 3, column "a": "1,5", expected a number`},
		{"empty cell", "a,b\n1,2\n3, \n", array.Options{}, `features: malformed: line 3, column "b": the cell is empty, expected a number`},
		{"missing at once", "a,b\n1,NA\n", array.Options{}, `features: malformed: line 2, column "b": "NA", expected a number`},
		{"text label", "a,label\n1,cat\n", array.Options{}, `label: unsupported: the column is text (line 2: "cat"), not numbers`},
		{"lists as text", "features,a,label\n\"[1, 2]\",1,0\n", array.Options{},
			`features: unsupported: the column is text (line 2: "[1, 2]"), not numbers`},
		{"names collide", "a,labels\n1,2\n", array.Options{Labels: "labels", LabelColumns: "first:1"},
			"labels: inconsistent: a single column has the name of the columns that are joined"},
		{"long line", "a,b\n" + strings.Repeat("1", 300000) + ",2\n", array.Options{Memory: 100000}, "too_large: line 2 has more than 100000 bytes"},
		{"columns", strings.Repeat(",", 1<<16), array.Options{}, "too_large: line 1 has more than 65536 cells"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := "no error"
			if err := readAll(strings.NewReader(test.text), int64(len(test.text)), test.o); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func readAll(r io.ReaderAt, size int64, o array.Options) error {
	f, err := Open(r, size, o)
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

func TestIntegers(t *testing.T) {
	text := "label,y\n9007199254740993,0\n2.0,0.5\n"
	f, err := Open(strings.NewReader(text), int64(len(text)), array.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := make([]int64, 2)
	a, _ := f.Open("label")
	if err := a.Int64s(v, 0); err != nil || v[0] != 1<<53+1 || v[1] != 2 {
		t.Errorf("%v, %v: expected exact integers", v, err)
	}
	a, _ = f.Open("y")
	const want = `y: label_out_of_range: line 3, column "y": "0.5", expected an integer`
	if err := a.Int64s(v, 0); err == nil || err.Error() != want {
		t.Errorf("%v, expected %s", err, want)
	}
}

func TestSniff(t *testing.T) {
	for text, want := range map[string]bool{
		"a,b\n1,2\n": true, "label\n3\n": true, "a\tb": true, bom + "x;y\n": true,
		"": false, "\n": false, "PK\x03\x04": false, `{"a": 1, "b": 2}`: false, "<html>": false,
		"some prose\nwithout numbers\n": false, "PAR1,": true, "a,\x00": false, "a,\xff": false, "a,b,é"[:6]: true,
	} {
		if got := Sniff([]byte(text)); got != want {
			t.Errorf("Sniff(%q) is %v", text, got)
		}
	}
}

// generated is a table that is made as it is read, so that only the reader takes memory.
type generated struct{ line []byte }

func (g generated) ReadAt(p []byte, offset int64) (int, error) {
	const header = "label,a,b,c\n"
	n := 0
	if offset < int64(len(header)) {
		n = copy(p, header[offset:])
	}
	for n < len(p) {
		at := (offset + int64(n) - int64(len(header))) % int64(len(g.line))
		n += copy(p[n:], g.line[at:])
	}
	return n, nil
}

func TestMemory(t *testing.T) {
	g := generated{[]byte("1,0.123456789,-1e-3,4\n")}
	const lines = 400000
	size := int64(len("label,a,b,c\n") + lines*len(g.line))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := Open(g, size, array.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.Open("features")
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float64, 300)
	sum := 0.0
	for range 2 {
		for lo := 0; lo < lines; lo += 100 {
			if err := a.Float64s(v, lo); err != nil {
				t.Fatal(err)
			}
			sum += v[0]
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated to read %d, expected at most a megabyte", n, size)
	}
	if want := 0.123456789 * lines / 100 * 2; math.Abs(sum-want) > 1e-6*want {
		t.Errorf("sum %v, expected %v", sum, want)
	}
}

func FuzzOpen(f *testing.F) {
	seeds := [][]byte{
		[]byte("\"a\"\"b\",label\r\n\"1\",2\r\n"), []byte("a;b\n1;\"2\n3\"\n"), []byte("# a,b\n1, 2\n,NA\n"), []byte("a\n\n1"),
	}
	for _, name := range []string{"table_pandas.csv", "table_savetxt.csv", "table.tsv", "table_excel.csv", "bad_index.csv"} {
		seeds = append(seeds, fixture(f, name))
	}
	formattest.Fuzz(f, formattest.Again(Open), seeds...)
}

func BenchmarkRead(b *testing.B) {
	g := generated{[]byte("1,0.12345678901234567,-1.2345678901234567e-3,4.123456789012345\n")}
	const lines = 20000
	size := int64(len("label,a,b,c\n") + lines*len(g.line))
	f, err := Open(g, size, array.Options{})
	if err != nil {
		b.Fatal(err)
	}
	a, err := f.Open("features")
	if err != nil {
		b.Fatal(err)
	}
	v := make([]float64, 3*lines)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Float64s(v, 0); err != nil {
			b.Fatal(err)
		}
	}
}
