package dataset

import (
	"bytes"
	"compress/gzip"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
)

const pets = `% a comment
@RELATION 'pets at home'

@attribute 'body weight' numeric
@attribute dog {0,1}
@attribute size {small, 'very large', middle}
@attribute cat {0,1}
@attribute "say \"hello\"" REAL

@data
1.5,1,small,0,-2
% another
2, 0 ,'very large',1,1e3
{0 4,2 middle,3 1}
{}
`

const petLabels = `<?xml version="1.0" encoding="utf-8"?>
<labels xmlns="http://mulan.sourceforge.net/labels"><label name="cat"></label><label name="dog"></label></labels>`

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		data := []byte(text)
		if strings.HasSuffix(name, ".gz") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(data)
			z.Close()
			data = b.Bytes()
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Labels are found by name, and stand in the order of the columns; quotes, comments, nominal values and sparse rows are read.
func TestARFF(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"p.arff":         {"p.arff": pets, "p.xml": petLabels},
		"p-train.arff":   {"p-train.arff": pets, "p-test.arff": pets, "p.xml": petLabels},
		"p-test.arff.gz": {"p-train.arff.gz": pets, "p-test.arff.gz": pets, "p.xml": petLabels},
		"windows p.arff": {"windows p.arff": strings.ReplaceAll(pets, "\n", "\r\n"), "windows p.xml": petLabels},
		"no end p.arff":  {"no end p.arff": strings.TrimSpace(pets), "no end p.xml": petLabels},
		"nested p.arff":  {"nested p.arff": pets, "nested p.xml": `<labels><label name="dog"><label name="cat"/></label></labels>`},
	} {
		s, err := openARFF(filepath.Join(writeFiles(t, files), name), Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.Check(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		values, tags := []float32{1.5, 0, -2, 2, 1, 1000, 4, 2, 0, 0, 0, 0}, []uint8{1, 0, 0, 1, 0, 1, 0, 0}
		if !slices.Equal(s.Classes, []string{"dog", "cat"}) || !slices.Equal(s.Train.Values, values) || !slices.Equal(s.Train.Tags, tags) {
			t.Errorf("%s: %v %v %v", name, s.Classes, s.Train.Values, s.Train.Tags)
		}
		if len(files) == 3 && !slices.Equal(s.Test.Values, values) {
			t.Errorf("%s: test rows %v", name, s.Test.Values)
		}
	}
}

// MEKA says in the relation how many of the first (or, below 0, the last) attributes are labels.
func TestARFFRelation(t *testing.T) {
	for n, want := range map[string]string{"2": "a b", "-2": "c d"} {
		text := "@relation 'x: -C " + n + "'\n@attribute a {0,1}\n@attribute b {0,1}\n@attribute c {0,1}\n@attribute d {no,yes}\n@data\n1,0,1,no\n"
		s, err := openARFF(filepath.Join(writeFiles(t, map[string]string{"x.arff": text}), "x.arff"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.Classes, " "); got != want || s.Train.Tags[0] != 1 || s.Train.Tags[1] != 0 {
			t.Errorf("-C %s: %s, %v", n, got, s.Train.Tags)
		}
	}
}

// What is wrong is said with the number of the line.
func TestARFFErrors(t *testing.T) {
	head := "@relation r\n@attribute x numeric\n@attribute l {0,1}\n@data\n"
	const labels = `<labels><label name="l"/></labels>`
	for _, c := range []struct {
		text, xml string
		kind      error
		want      string
	}{
		{head + "1,1\n?,0\n", labels, array.Malformed, `line 6: attribute "x": the value is missing (?); fill it in, or leave the row out`},
		{head + "1,1\n1,?\n", labels, array.Malformed, `line 6: attribute "l": the value is missing (?); fill it in, or leave the row out`},
		{head + "1\n", labels, array.Malformed, "line 5: 1 values, expected 2"},
		{head + "1,0,4,5\n", labels, array.Malformed, "line 5: 4 values, expected 2"},
		{head + "1,\n", labels, array.Malformed, "line 5: 2 values, expected 2"},
		{head + "1,2\n", labels, array.Malformed, `line 5: attribute "l": "2" is none of its values`},
		{head + "a,1\n", labels, array.Malformed, `line 5: attribute "x": "a", expected a number`},
		{head + "1e60,1\n", labels, array.NonFinite, `line 5: attribute "x": 1e60`},
		{head + "nan,1\n", labels, array.NonFinite, `line 5: attribute "x": nan`},
		{head + "'1,1\n", labels, array.Malformed, "line 5: a quote is not closed"},
		{head + "{0 1\n", labels, array.Malformed, "line 5: a sparse row without a closing brace"},
		{head + "{2 1}\n", labels, array.Malformed, `line 5: place "2" of a sparse row, expected 0 to 1`},
		{head + "{1 1,0 1}\n", labels, array.Malformed, `line 5: place "0" of a sparse row, expected 2 to 1`},
		{head + "{0}\n", labels, array.Malformed, "line 5: a name or value is missing"},
		{head, labels, array.Empty, "no rows after @data"},
		{head + "1,1\n", `<labels><label name="k"/></labels>`, array.NotFound, `x.xml names the label "k", which is no attribute`},
		{head + "1,1\n", `<labels><label name="l"/><label name="l"/></labels>`, array.Inconsistent, `x.xml names the label "l" twice`},
		{head + "1,1\n", "", array.NotFound, `which of the 2 attributes are labels is not known: expected x.xml, or "-C n" in the name of the relation`},
		{head + "1,1\n", "<labels/>", array.Empty, `no labels: expected <label name="..."/> for each`},
		{head + "1,1\n", "<labels", array.Malformed, "XML syntax error"},
		{"@relation r\n@attribute x numeric\n", labels, array.Truncated, "no line @data in 2 lines"},
		{"@relation r\n@data\n1\n", labels, array.Empty, "line 2: no attributes"},
		{"@relation r\n1,2\n", labels, array.Malformed, `line 2: "1,2", expected @relation, @attribute or @data`},
		{"@attribute x numeric\n@attribute x numeric\n", labels, array.Malformed, `line 2: two attributes are called "x"`},
		{"@attribute x string\n", labels, array.Unsupported, `line 1: attribute "x" is of type "string", expected numeric, real, integer or {values}`},
		{"@attribute x {a,b\n", labels, array.Malformed, `line 1: attribute "x": its values have no closing brace`},
		{"@attribute x {}\n", labels, array.Malformed, `line 1: attribute "x" has no values`},
		{"@attribute x numeric\n@attribute l {a,b,c}\n@data\n1,a\n", labels, array.Unsupported, `label "l" has the values a,b,c, expected {0,1}`},
		{"@attribute x numeric\n@attribute l numeric\n@data\n1,0.5\n", labels, array.BadLabel, `line 4: label "l": 0.5, expected 0 or 1`},
		{"@attribute l {0,1}\n@data\n1\n", labels, array.Empty, "all 1 attributes are labels"},
	} {
		files := map[string]string{"x.arff": c.text}
		if c.xml != "" {
			files["x.xml"] = c.xml
		}
		_, err := openARFF(filepath.Join(writeFiles(t, files), "x.arff"), Options{})
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), ": "+c.want) {
			t.Errorf("%q: %v, expected %s", c.text, err, c.want)
		}
	}
	// A second file has to agree with the first, and rows with the budget.
	dir := writeFiles(t, map[string]string{"x-train.arff": head + "1,1\n", "x-test.arff": "@attribute y numeric\n@attribute l {0,1}\n@data\n1,1\n", "x.xml": labels})
	if _, err := openARFF(filepath.Join(dir, "x-train.arff"), Options{}); !errors.Is(err, array.Mismatch) {
		t.Error(err)
	}
	dir = writeFiles(t, map[string]string{"x.arff": head + strings.Repeat("1,1\n", 100), "x.xml": labels})
	if _, err := openARFF(filepath.Join(dir, "x.arff"), Options{Memory: 64}); !errors.Is(err, array.TooLarge) {
		t.Error(err)
	}
}

// The published sets: rows, features, labels, sums of values, samples of each label.
func TestMulan(t *testing.T) {
	for _, c := range []struct {
		name           string
		train, test, d int
		sum, testSum   float64
		low, high      float64 // of the training values
		perTag         []int
		multiplicity   map[int]int
	}{
		{"emotions", 391, 202, 72, 77550.03357, 41501.568601, -99.090802, 237, []int{119, 107, 168, 89, 95, 131}, map[int]int{1: 131, 2: 202, 3: 58}},
		{"scene", 1211, 1196, 294, 109279.075549, 108869.604604, 0, 1, []int{227, 165, 197, 196, 277, 224}, map[int]int{1: 1137, 2: 73, 3: 1}},
		{"yeast", 1500, 917, 103, -3.196784, 18.569867, -0.797436, 0.70034, []int{476, 645, 598, 532, 441, 378, 261, 289, 98, 161, 198, 1128, 1116, 21},
			map[int]int{1: 24, 2: 254, 3: 68, 4: 684, 5: 114, 6: 248, 7: 64, 8: 36, 9: 5, 10: 2, 11: 1}},
	} {
		path := "../../shared/data/multilabel/" + c.name + "-train.arff.gz"
		if !exists(path) {
			t.Skip("no published sets beside the repository")
		}
		s, err := Open(c.name, Options{Root: "../../shared/data/multilabel"})
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != c.name {
			t.Errorf("%s is called %s", c.name, s.Name)
		}
		if s.Train.Rows != c.train || s.Test.Rows != c.test || s.Shape.Size() != c.d || !slices.Equal(s.Counts(), c.perTag) {
			t.Errorf("%s: %d and %d rows of %s, labels %v", c.name, s.Train.Rows, s.Test.Rows, s.Shape, s.Counts())
		}
		for _, part := range []struct {
			values []float32
			sum    float64
		}{{s.Train.Values, c.sum}, {s.Test.Values, c.testSum}} {
			sum, size := 0.0, 0.0
			for _, v := range part.values {
				sum += float64(v)
				size += math.Abs(float64(v))
			}
			if math.Abs(sum-part.sum) > 1e-7*size { // values are rounded to float32
				t.Errorf("%s: sum %v, expected %v", c.name, sum, part.sum)
			}
		}
		if low, high := slices.Min(s.Train.Values), slices.Max(s.Train.Values); low != float32(c.low) || high != float32(c.high) {
			t.Errorf("%s: from %v to %v", c.name, low, high)
		}
		counts, k := map[int]int{}, len(s.Classes)
		for row := range s.Train.Rows {
			m := 0
			for _, v := range s.Train.Tags[row*k : (row+1)*k] {
				m += int(v)
			}
			counts[m]++
		}
		for m, n := range c.multiplicity {
			if counts[m] != n {
				t.Errorf("%s: %d rows of %d tags, expected %d", c.name, counts[m], m, n)
			}
		}
	}
}

// Whatever a file holds, it is read or refused; what is read is a set that agrees with itself.
func FuzzARFF(f *testing.F) {
	for _, text := range []string{pets, strings.ReplaceAll(pets, "@RELATION 'pets at home'", "@relation 'p: -C -2'"),
		"@relation 'x: -C 1'\n@attribute a {1,0}\n@attribute b numeric\n@data\n{}\n{1 2}\n1,2\n", "@attribute a {", "@data\n", "@attribute '\\"} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.xml"), []byte(petLabels), 0o644); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, labels := range [][]string{nil, {"cat", "dog"}} {
			s, err := newStream("x.arff", bytes.NewReader(data), int64(len(data)))
			if err != nil {
				continue
			}
			a := &arff{s: s}
			if a.header() != nil || a.findLabels(labels, "x.xml") != nil || a.data(1<<20) != nil {
				continue
			}
			set := &Set{}
			a.into(set, &set.Train)
			if err := set.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
