// Package csv reads tables of numbers with a header line, separated by commas, tabs or semicolons.
//
// The label columns (label, labels, y, target) are arrays, and the other columns of numbers, in
// order, form the array "features", in float64. A column whose first cell is text is listed as
// refused; every other cell that is no number is an error that names its line and column. A label
// column of lists, "cat;dog", "cat|dog" or ["cat","dog"], is an array of tags; an empty cell is no tag.
//
// Open goes over the file once, to count its rows and check that all have the cells of the header.
// Reading runs forward; memory is bounded by the longest line.
package csv

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/collapsar/collapsar/features/internal/table"
	"github.com/collapsar/collapsar/internal/array"
)

// Limits that no table of use comes near.
const (
	maxLine    = 32 << 20
	maxColumns = 1 << 16
)

const bom = "\ufeff"

// Sniff reports whether a file that begins with head may be a table: it is text, and its first
// line has a separator or its second line a number.
func Sniff(head []byte) bool {
	if utf16(head) {
		return true // which Open refuses with advice
	}
	head = bytes.TrimPrefix(head, []byte(bom))
	if len(head) == 0 || strings.IndexByte("{[<%@\r\n", head[0]) >= 0 {
		return false
	}
	for b := head; len(b) > 0; {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 && utf8.FullRune(b) || r < ' ' && r != '\t' && r != '\r' && r != '\n' {
			return false
		}
		b = b[n:]
	}
	first, rest, more := bytes.Cut(head, []byte{'\n'})
	if bytes.ContainsAny(first, ",\t;") {
		return true
	}
	second, _, _ := bytes.Cut(rest, []byte{'\n'})
	_, ok := number(second)
	return more && ok
}

func utf16(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff"))
}

type file struct {
	r     io.ReaderAt
	size  int64
	limit int
	sep   byte
	begin int64 // of the header
	names []string
	rows  int

	infos  []array.Info
	lists  []int // columns of lists of tags
	tagSep string
	groups map[string][]int // columns of each array
}

// Open reads the header, and goes over the rows.
func Open(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
	f := &file{r: r, size: size, limit: int(min(maxLine, o.Budget())), tagSep: o.TagSeparator}
	head := make([]byte, min(size, 512))
	if err := array.ReadFull(r, head, 0); err != nil {
		return nil, err
	}
	if utf16(head) {
		return nil, array.Errorf(array.Unsupported, "", "the text is UTF-16: save it as UTF-8")
	}
	if bytes.HasPrefix(head, []byte(bom)) {
		f.begin = int64(len(bom))
	}
	s := f.scanner()
	if err := f.header(s); err != nil {
		return nil, err
	}
	return f, f.table(s, o)
}

func (f *file) scanner() *scanner {
	return &scanner{r: f.r, offset: f.begin, size: f.size, sep: f.sep, limit: f.limit}
}

// header finds the separator and reads the names of the columns.
func (f *file) header(s *scanner) error {
	record, err := s.next()
	if err == io.EOF {
		return array.Errorf(array.Empty, "", "no header")
	}
	if err != nil {
		return err
	}
	// numpy.savetxt writes its header as a comment.
	if bytes.HasPrefix(record, []byte("#")) {
		record = bytes.TrimLeft(record, "# ")
	}
	f.sep = separator(record)
	s.sep = f.sep
	cells, err := s.split(record, 0)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	numbers := true
	for i, c := range cells {
		name := string(bytes.TrimSpace(c))
		switch {
		case name == "":
			return array.Errorf(array.Malformed, "", "column %d has no name (an index, as pandas writes it? to_csv(index=False))", i+1)
		case !utf8.ValidString(name) || strings.ContainsAny(name, "\x00\r\n"):
			return array.Errorf(array.Malformed, "", "the name of column %d is no text: %.40q", i+1, name)
		case seen[name]:
			return array.Errorf(array.Malformed, "", "two columns are named %.40q", name)
		}
		_, ok := number(c)
		numbers = numbers && ok
		seen[name] = true
		f.names = append(f.names, name)
	}
	if numbers {
		return array.Errorf(array.Malformed, "", "line 1 holds numbers: a header with the names of the columns is expected")
	}
	return nil
}

// separator is the most frequent of the characters that separate, outside quotes.
func separator(record []byte) byte {
	var count [256]int
	quoted := false
	for _, c := range record {
		if c == '"' {
			quoted = !quoted
		} else if !quoted {
			count[c]++
		}
	}
	best := byte(',')
	for _, c := range []byte{'\t', ';'} {
		if count[c] > count[best] {
			best = c
		}
	}
	return best
}

// table goes over the rows and makes the list of arrays.
func (f *file) table(s *scanner, o array.Options) error {
	var numeric []int       // columns, by the first row
	lists := map[int]bool{} // label columns: whether their cells are lists of tags
	var groups []table.Group
	var whole []bool // of each group: integers so far
	begin := func(cells [][]byte) error {
		var names []string
		for i, name := range f.names {
			if table.IsLabel(name, o) && (o.TagSeparator != "" || name == "tags") {
				lists[i] = true
				continue
			}
			if cells != nil && isText(cells[i]) {
				f.infos = append(f.infos, array.Info{Name: name, Refused: array.Errorf(array.Unsupported, name,
					"the column is text (line %d: %.40q), not numbers", s.line, cells[i])})
				continue
			}
			numeric = append(numeric, i)
			names = append(names, name)
		}
		var err error
		groups, err = table.Groups(names, false, o)
		for _, g := range groups {
			whole = append(whole, g.Name != "features" || !g.Joined)
		}
		return err
	}
	for {
		record, err := s.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		cells, err := s.split(record, len(f.names))
		if err != nil {
			return err
		}
		if f.rows == 0 {
			if err := begin(cells); err != nil {
				return err
			}
		}
		for i, name := range f.names {
			if !lists[i] && table.IsLabel(name, o) && isList(cells[i]) {
				lists[i] = true
			}
		}
		for i := range groups {
			for _, c := range groups[i].Columns {
				if !whole[i] {
					break
				}
				_, whole[i] = integer(cells[numeric[c]])
			}
		}
		f.rows++
	}
	if f.rows == 0 {
		if err := begin(nil); err != nil {
			return err
		}
	}
	f.groups = map[string][]int{}
	for i := range lists {
		f.lists = append(f.lists, i)
	}
	slices.Sort(f.lists)
	f.infos = slices.DeleteFunc(f.infos, func(a array.Info) bool { return lists[slices.Index(f.names, a.Name)] })
	refused := f.infos
	for _, i := range f.lists {
		f.infos = append(f.infos, array.Info{Name: f.names[i], DType: array.Tags, Shape: []int{f.rows}})
	}
	for i, g := range groups {
		if !g.Joined && lists[numeric[g.Columns[0]]] { // numbers at first, lists further down
			continue
		}
		if err := table.Free(refused, g.Name); err != nil {
			return err
		}
		info := array.Info{Name: g.Name, DType: array.Float64, Shape: []int{f.rows}}
		if whole[i] {
			info.DType = array.Int64
		}
		if g.Joined {
			info.Shape = append(info.Shape, len(g.Columns))
		}
		columns := make([]int, len(g.Columns))
		for j, c := range g.Columns {
			columns[j] = numeric[c]
		}
		f.groups[g.Name] = columns
		f.infos = append(f.infos, info)
	}
	return nil
}

func (f *file) Format() string {
	if f.sep == '\t' {
		return "tsv"
	}
	return "csv"
}

func (f *file) Arrays() []array.Info { return f.infos }
func (f *file) Close() error         { return nil }

func (f *file) Open(name string) (array.Array, error) {
	for _, info := range f.infos {
		if info.Name == name {
			if info.Refused != nil {
				return nil, info.Refused
			}
			if info.DType == array.Tags {
				return nil, array.Errorf(array.Unsupported, name, "the column holds lists of tags, not numbers")
			}
			return &columns{file: f, info: info, columns: f.groups[name]}, nil
		}
	}
	return nil, array.Errorf(array.NotFound, name, "no such column of numbers")
}

// columns is an array: some cells of every row.
type columns struct {
	file    *file
	info    array.Info
	columns []int

	mu   sync.Mutex
	scan *scanner // nil before the first row and after the last
	row  int      // that it reads next
}

func (c *columns) Info() array.Info { return c.info }
func (c *columns) Random() bool     { return false }

func (c *columns) Float32s(dst []float32, lo int) error {
	return read(c, dst, lo, array.Malformed, "a number", func(cell []byte) (float32, bool) {
		v, ok := number(cell)
		return float32(v), ok
	})
}

func (c *columns) Float64s(dst []float64, lo int) error {
	return read(c, dst, lo, array.Malformed, "a number", number)
}

func (c *columns) Int64s(dst []int64, lo int) error {
	return read(c, dst, lo, array.BadLabel, "an integer", integer)
}

func read[T any](c *columns, dst []T, lo int, kind array.Kind, what string, parse func([]byte) (T, bool)) error {
	w := len(c.columns)
	if len(dst)%w != 0 || lo < 0 || lo > c.info.Rows() || len(dst)/w > c.info.Rows()-lo {
		return array.Errorf(array.Inconsistent, c.info.Name, "%d elements from row %d on were asked for, the array is %s", len(dst), lo, c.info)
	}
	if len(dst) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scan == nil || lo < c.row {
		c.scan, c.row = c.file.scanner(), -1 // at the header
	}
	for ; c.row < lo; c.row++ {
		if _, err := c.record(); err != nil {
			return err
		}
	}
	for ; len(dst) > 0; dst = dst[w:] {
		record, err := c.record()
		if err != nil {
			return err
		}
		c.row++
		cells, err := c.scan.split(record, len(c.file.names))
		if err != nil {
			c.scan = nil
			return array.Locate(err, "", c.info.Name)
		}
		for i, k := range c.columns {
			v, ok := parse(cells[k])
			if !ok {
				defer func() { c.scan = nil }()
				if _, ok := number(cells[k]); !ok { // whatever was asked for
					kind, what = array.Malformed, "a number"
				}
				return c.bad(kind, what, k, cells[k])
			}
			dst[i] = v
		}
	}
	if c.row == c.info.Rows() {
		if _, err := c.scan.next(); err != io.EOF {
			return c.changed()
		}
		c.scan = nil
	}
	return nil
}

func (c *columns) record() ([]byte, error) {
	record, err := c.scan.next()
	if err == io.EOF {
		err = c.changed()
	}
	if err != nil {
		c.scan = nil
	}
	return record, array.Locate(err, "", c.info.Name)
}

func (c *columns) changed() error {
	c.scan = nil
	return array.Errorf(array.Inconsistent, c.info.Name, "the file does not have the %d rows that it had when it was opened", c.info.Rows())
}

func (c *columns) bad(kind array.Kind, what string, column int, cell []byte) error {
	at := fmt.Sprintf("line %d, column %.40q", c.scan.line, c.file.names[column])
	if len(bytes.TrimSpace(cell)) == 0 {
		return array.Errorf(array.Malformed, c.info.Name, "%s: the cell is empty, expected a number", at)
	}
	return array.Errorf(kind, c.info.Name, "%s: %.40q, expected %s", at, cell, what)
}

// number reads a cell; spaces around a number are nothing.
func number(cell []byte) (float64, bool) {
	cell = bytes.TrimSpace(cell)
	if len(cell) > 400 { // more digits than any float64 has
		return 0, false
	}
	v, err := strconv.ParseFloat(string(cell), 64)
	if err != nil && math.IsInf(v, 0) { // out of range
		return v, true
	}
	return v, err == nil
}

// integer reads a cell that holds an int64, "3" or "3.0".
func integer(cell []byte) (int64, bool) {
	cell = bytes.TrimSpace(cell)
	if len(cell) > 400 {
		return 0, false
	}
	if v, err := strconv.ParseInt(string(cell), 10, 64); err == nil {
		return v, true
	}
	v, ok := number(cell)
	if !ok || v != math.Trunc(v) || v < -1<<63 || v >= 1<<63 {
		return 0, false
	}
	return int64(v), true
}

// isText tells text from numbers and from the ways to leave a number out.
func isText(cell []byte) bool {
	if _, ok := number(cell); ok {
		return false
	}
	switch strings.ToLower(string(bytes.TrimSpace(cell))) {
	case "", "na", "n/a", "null", "none", "?", "-":
		return false
	}
	return true
}
