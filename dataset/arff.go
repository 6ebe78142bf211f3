package dataset

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/suggest"
)

// Limits that no ARFF file of use comes near.
const (
	maxARFFLine       = 64 << 20
	maxARFFAttributes = 1 << 20
)

// openARFF reads multi-label data as Mulan and MEKA keep them: NAME-train.arff and NAME-test.arff, or one file of training
// rows, plain or gzipped. Which attributes are labels is said, by name, by NAME.xml (Mulan); else by "-C n" in the name of the
// relation (MEKA: the first n, the last -n).
func openARFF(path string, o Options) (*Set, error) {
	end := ".arff"
	base, gz := strings.CutSuffix(path, ".gz")
	if gz {
		end = ".arff.gz"
	}
	base = strings.TrimSuffix(base, ".arff")
	stem := strings.TrimSuffix(strings.TrimSuffix(base, "-train"), "-test")
	train, test := path, ""
	if stem != base {
		train, test = stem+"-train"+end, stem+"-test"+end
	}
	labels, err := mulanLabels(stem + ".xml")
	if err != nil {
		return nil, err
	}
	set := &Set{}
	first, err := readARFF(train, labels, stem+".xml", o, nil)
	if err != nil {
		return nil, err
	}
	first.into(set, &set.Train)
	if test != "" && exists(test) {
		second, err := readARFF(test, labels, stem+".xml", o, first)
		if err != nil {
			return nil, err
		}
		second.into(set, &set.Test)
	}
	return set, nil
}

// mulanLabels reads the names of the labels, nil where there is no such file. Their order is not that of the columns.
func mulanLabels(path string) ([]string, error) {
	const most = 16 << 20
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, array.InFile(err, path, "")
	}
	defer f.Close()
	d := xml.NewDecoder(io.LimitReader(f, most))
	var names []string
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, &Error{File: path, Kind: array.Malformed, Message: err.Error(), Err: err}
		}
		e, ok := t.(xml.StartElement)
		if !ok || e.Name.Local != "label" { // labels may stand inside labels: a hierarchy
			continue
		}
		for _, a := range e.Attr {
			if a.Name.Local == "name" {
				names = append(names, a.Value)
			}
		}
	}
	if len(names) == 0 {
		return nil, &Error{File: path, Kind: array.Empty, Message: "no labels: expected <label name=\"...\"/> for each"}
	}
	return names, nil
}

// arff is a file: its attributes, and its rows once they are read.
type arff struct {
	s          *stream
	line       int
	relation   string
	attributes []attribute
	label      []int // by attribute: which tag it is, -1 for a feature
	features   int
	tags       int

	rows   int
	values []float32
	marks  []uint8
}

// attribute is a column.
type attribute struct {
	name    string
	nominal []string // the values; nil for a number
}

// readARFF reads a file. like is one whose attributes it must have, nil for none.
func readARFF(path string, labels []string, xmlPath string, o Options, like *arff) (*arff, error) {
	s, err := openStream(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	f := &arff{s: s}
	if err := f.header(); err != nil {
		return nil, err
	}
	if err := f.findLabels(labels, xmlPath); err != nil {
		return nil, err
	}
	if like != nil {
		if err := f.sameAs(like); err != nil {
			return nil, err
		}
	}
	return f, f.data(o.memory())
}

func (f *arff) into(set *Set, p *Split) {
	set.Shape = Shape{1, 1, f.features}
	set.Classes = nil
	for i, a := range f.attributes {
		if f.label[i] >= 0 {
			set.Classes = append(set.Classes, a.name)
		}
	}
	p.Rows, p.Values, p.Tags = f.rows, f.values, f.marks
	if p.Rows == 0 {
		p.Values, p.Tags = nil, nil
	}
}

func (f *arff) errorf(kind array.Kind, format string, args ...any) error {
	return f.s.errorf(kind, "line %d: %s", f.line, fmt.Sprintf(format, args...))
}

// next returns a line without its end and comments, io.EOF after the last. Empty lines are left out.
func (f *arff) next() ([]byte, error) {
	for {
		var line []byte
		var err error
		for {
			var part []byte
			part, err = f.s.r.ReadSlice('\n')
			f.s.read += int64(len(part))
			line = append(line, part...)
			if err == nil || err == io.EOF {
				break
			}
			if len(line) > maxARFFLine {
				f.line++
				return nil, f.errorf(array.TooLarge, "more than %d bytes", maxARFFLine)
			}
			if err.Error() != "bufio: buffer full" {
				return nil, f.s.failed(err)
			}
		}
		if err == io.EOF && len(line) == 0 {
			return nil, io.EOF
		}
		f.line++
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '%' {
			return line, nil
		}
		if err == io.EOF {
			return nil, io.EOF
		}
	}
}

// header reads up to the line @data.
func (f *arff) header() error {
	seen := map[string]bool{}
	for {
		line, err := f.next()
		if err == io.EOF {
			return f.s.errorf(array.Truncated, "no line @data in %d lines", f.line)
		}
		if err != nil {
			return err
		}
		word, rest := line, []byte(nil)
		if i := bytes.IndexAny(line, " \t"); i >= 0 {
			word, rest = line[:i], bytes.TrimSpace(line[i:])
		}
		switch strings.ToLower(string(word)) {
		case "@relation":
			name, _, err := f.word(rest, "")
			if err != nil {
				return err
			}
			f.relation = name
		case "@attribute":
			a, err := f.attribute(rest)
			if err != nil {
				return err
			}
			if seen[a.name] {
				return f.errorf(array.Malformed, "two attributes are called %.60q", a.name)
			}
			seen[a.name] = true
			if f.attributes = append(f.attributes, a); len(f.attributes) > maxARFFAttributes {
				return f.errorf(array.TooLarge, "more than %d attributes", maxARFFAttributes)
			}
		case "@data":
			if len(f.attributes) == 0 {
				return f.errorf(array.Empty, "no attributes")
			}
			return nil
		default:
			return f.errorf(array.Malformed, "%.40q, expected @relation, @attribute or @data", word)
		}
	}
}

// word takes a name or a value off the front, quoted or not. Unquoted it ends at a blank or at one of the bytes in ends.
func (f *arff) word(b []byte, ends string) (word string, rest []byte, err error) {
	if len(b) == 0 {
		return "", nil, f.errorf(array.Malformed, "a name or value is missing")
	}
	if q := b[0]; q == '\'' || q == '"' {
		var out []byte
		for i := 1; i < len(b); i++ {
			switch {
			case b[i] == '\\' && i+1 < len(b):
				i++
				out = append(out, b[i])
			case b[i] == q:
				return string(out), bytes.TrimSpace(b[i+1:]), nil
			default:
				out = append(out, b[i])
			}
		}
		return "", nil, f.errorf(array.Malformed, "a quote is not closed")
	}
	i := bytes.IndexAny(b, ends+" \t")
	if i < 0 {
		i = len(b)
	}
	return string(b[:i]), bytes.TrimSpace(b[i:]), nil
}

// attribute reads NAME TYPE.
func (f *arff) attribute(b []byte) (a attribute, err error) {
	if a.name, b, err = f.word(b, "{"); err != nil {
		return a, err
	}
	if len(b) > 0 && b[0] == '{' {
		if b[len(b)-1] != '}' {
			return a, f.errorf(array.Malformed, "attribute %.60q: its values have no closing brace", a.name)
		}
		b = bytes.TrimSpace(b[1 : len(b)-1])
		a.nominal = []string{}
		for len(b) > 0 {
			var v string
			if v, b, err = f.word(b, ","); err != nil {
				return a, err
			}
			a.nominal = append(a.nominal, v)
			if len(b) > 0 {
				if b[0] != ',' {
					return a, f.errorf(array.Malformed, "attribute %.60q: %.20q, expected a comma", a.name, b)
				}
				b = bytes.TrimSpace(b[1:])
			}
		}
		if len(a.nominal) == 0 {
			return a, f.errorf(array.Malformed, "attribute %.60q has no values", a.name)
		}
		return a, nil
	}
	switch kind := strings.ToLower(string(b)); kind {
	case "numeric", "real", "integer":
		return a, nil
	default:
		return a, f.errorf(array.Unsupported, "attribute %.60q is of type %.20q, expected numeric, real, integer or {values}", a.name, kind)
	}
}

// findLabels tells which attributes are labels: by their names, or by the relation.
func (f *arff) findLabels(labels []string, xmlPath string) error {
	f.label = make([]int, len(f.attributes))
	for i := range f.label {
		f.label[i] = -1
	}
	var names []string
	for _, a := range f.attributes {
		names = append(names, a.name)
	}
	wanted := make([]bool, len(names))
	if labels == nil {
		n, ok := mekaLabels(f.relation)
		if !ok || n == 0 || max(n, -n) >= len(names) {
			return f.s.errorf(array.NotFound, "which of the %d attributes are labels is not known: expected %s, or \"-C n\" in the name of the relation", len(names), filepath.Base(xmlPath))
		}
		for i := range wanted {
			wanted[i] = n > 0 && i < n || n < 0 && i >= len(names)+n
		}
	}
	for _, l := range labels {
		i := slices.Index(names, l)
		if i < 0 {
			return f.s.errorf(array.NotFound, "%s names the label %.60q, which is no attribute%s", filepath.Base(xmlPath), l, suggest.Hint(l, names))
		}
		if wanted[i] {
			return f.s.errorf(array.Inconsistent, "%s names the label %.60q twice", filepath.Base(xmlPath), l)
		}
		wanted[i] = true
	}
	for i, a := range f.attributes { // the order is that of the columns
		if !wanted[i] {
			f.features++
			continue
		}
		if a.nominal != nil && yes(a.nominal) < 0 {
			return f.s.errorf(array.Unsupported, "label %.60q has the values %s, expected {0,1}", a.name, strings.Join(a.nominal[:min(len(a.nominal), 6)], ","))
		}
		f.label[i] = f.tags
		f.tags++
	}
	if f.features == 0 {
		return f.s.errorf(array.Empty, "all %d attributes are labels", len(names))
	}
	return nil
}

// mekaLabels is n of "name: -C n" in the name of a relation.
func mekaLabels(relation string) (n int, ok bool) {
	fields := strings.Fields(relation)
	for i, w := range fields {
		if (w == "-C" || w == "-c") && i+1 < len(fields) {
			n, err := strconv.Atoi(fields[i+1])
			return n, err == nil
		}
	}
	return 0, false
}

// yes is the place of the value that says that a tag is there, -1 if that cannot be told.
func yes(values []string) int {
	if len(values) != 2 {
		return -1
	}
	for _, pair := range [][2]string{{"0", "1"}, {"false", "true"}, {"no", "yes"}, {"-1", "1"}} {
		for i := range 2 {
			if strings.EqualFold(values[i], pair[1]) && strings.EqualFold(values[1-i], pair[0]) {
				return i
			}
		}
	}
	return -1
}

// sameAs wants the attributes of another file.
func (f *arff) sameAs(like *arff) error {
	if len(f.attributes) != len(like.attributes) {
		return f.s.errorf(array.Mismatch, "%d attributes, %s has %d", len(f.attributes), filepath.Base(like.s.name), len(like.attributes))
	}
	for i, a := range f.attributes {
		b := like.attributes[i]
		if a.name != b.name || !slices.Equal(a.nominal, b.nominal) || f.label[i] != like.label[i] {
			return f.s.errorf(array.Mismatch, "attribute %d is %.60q, in %s it is %.60q or has other values", i+1, a.name, filepath.Base(like.s.name), b.name)
		}
	}
	return nil
}

// data reads the rows.
func (f *arff) data(budget int64) error {
	row := make([]float64, len(f.attributes))
	for {
		line, err := f.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if line[0] == '{' {
			err = f.sparse(row, line)
		} else {
			err = f.dense(row, line)
		}
		if err != nil {
			return err
		}
		for i, v := range row {
			if f.label[i] < 0 {
				f.values = append(f.values, float32(v))
			}
		}
		for i, v := range row {
			if f.label[i] >= 0 {
				f.marks = append(f.marks, uint8(v))
			}
		}
		if f.rows++; 4*int64(len(f.values))+int64(len(f.marks)) > budget {
			return f.errorf(array.TooLarge, "the first %d rows take more than the budget of %d bytes", f.rows, budget)
		}
	}
	if f.rows == 0 {
		return f.s.errorf(array.Empty, "no rows after @data")
	}
	return nil
}

// dense reads a row of all values.
func (f *arff) dense(row []float64, b []byte) error {
	for i := range row {
		if len(b) == 0 {
			return f.errorf(array.Malformed, "%d values, expected %d", i, len(row))
		}
		text, rest, err := f.word(b, ",")
		if err != nil {
			return err
		}
		if row[i], err = f.value(i, text); err != nil {
			return err
		}
		if len(rest) > 0 && rest[0] != ',' {
			return f.errorf(array.Malformed, "%.20q after value %d, expected a comma", rest, i+1)
		}
		if b = rest; len(b) > 0 {
			if b = bytes.TrimSpace(b[1:]); len(b) == 0 || i+1 == len(row) {
				return f.errorf(array.Malformed, "%d values, expected %d", i+2+bytes.Count(b, []byte{','}), len(row))
			}
		}
	}
	return nil
}

// sparse reads {place value, ...}: what is not there is 0, and of a nominal attribute the first value.
func (f *arff) sparse(row []float64, b []byte) error {
	if b[len(b)-1] != '}' {
		return f.errorf(array.Malformed, "a sparse row without a closing brace")
	}
	for i, a := range f.attributes {
		row[i] = 0
		if a.nominal != nil {
			var err error
			if row[i], err = f.value(i, a.nominal[0]); err != nil {
				return err
			}
		}
	}
	b = bytes.TrimSpace(b[1 : len(b)-1])
	last := -1
	for len(b) > 0 {
		place, rest, err := f.word(b, ",")
		if err != nil {
			return err
		}
		i, err := strconv.Atoi(place)
		if err != nil || i <= last || i >= len(row) {
			return f.errorf(array.Malformed, "place %.20q of a sparse row, expected %d to %d", place, last+1, len(row)-1)
		}
		text, rest, err := f.word(rest, ",")
		if err != nil {
			return err
		}
		if row[i], err = f.value(i, text); err != nil {
			return err
		}
		if len(rest) > 0 && rest[0] != ',' {
			return f.errorf(array.Malformed, "%.20q in a sparse row, expected a comma", rest)
		}
		if b = rest; len(b) > 0 {
			b = bytes.TrimSpace(b[1:])
		}
		last = i
	}
	return nil
}

// value reads a cell: of a label 0 or 1, of a nominal feature the place of the value.
func (f *arff) value(i int, text string) (float64, error) {
	a := &f.attributes[i]
	if text == "?" {
		return 0, f.errorf(array.Malformed, "attribute %.60q: the value is missing (?); fill it in, or leave the row out", a.name)
	}
	if a.nominal != nil {
		at := slices.Index(a.nominal, text)
		switch {
		case at < 0:
			return 0, f.errorf(array.Malformed, "attribute %.60q: %.40q is none of its values", a.name, text)
		case f.label[i] < 0:
			return float64(at), nil
		case at == yes(a.nominal):
			return 1, nil
		}
		return 0, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return 0, f.errorf(array.Malformed, "attribute %.60q: %.40q, expected a number", a.name, text)
	case math.IsNaN(v) || math.IsInf(float64(float32(v)), 0):
		return 0, f.errorf(array.NonFinite, "attribute %.60q: %v", a.name, text)
	case f.label[i] >= 0 && v != 0 && v != 1:
		return 0, f.errorf(array.BadLabel, "label %.60q: %v, expected 0 or 1", a.name, text)
	}
	return v, nil
}
