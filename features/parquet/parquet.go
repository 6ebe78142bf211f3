// Package parquet reads tables of numbers from Parquet files: what pandas, pyarrow, polars, Spark
// and DuckDB write, compressed or not.
//
// A list column is an array of rows, one for each list; the lists must have one length and no
// nulls. LIST and FIXED_SIZE_LIST are stored alike. In a table without list columns the label
// columns (label, labels, y, target) are arrays, and the other columns of numbers, in order, form
// the array "features". Columns of strings and other things are listed as refused.
//
// In a column of labels (or called tags) lists of text are tags, and so are lists of whole numbers that
// differ in length; null and empty lists are no tags.
//
// Reading runs forward, a page at a time, so that memory is bounded by the pages of the columns
// read. The package has a reader of its own because a general one decodes what a page claims:
// here every size is compared with the file or the memory budget before anything is allocated.
package parquet

import (
	"io"
	"unicode/utf8"

	"github.com/collapsar/collapsar/features/internal/table"
	"github.com/collapsar/collapsar/internal/array"
)

// Sniff reports whether a file that begins with head is parquet.
func Sniff(head []byte) bool {
	return len(head) >= 4 && (string(head[:4]) == "PAR1" || string(head[:4]) == "PARE")
}

type file struct {
	r      io.ReaderAt
	budget int64 // for the pages that an array holds at a time
	infos  []array.Info
	open   map[string]func() array.Array
	tags   map[string]*column
}

// Open reads the footer.
func Open(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
	ft, err := readFooter(r, size, o.Budget())
	if err != nil {
		return nil, err
	}
	f := &file{r: r, budget: o.Budget(), open: map[string]func() array.Array{}, tags: map[string]*column{}}
	var scalars []scalar
	seen := map[string]bool{}
	lists, leaf := false, 0
	for _, n := range ft.root.children {
		name := n.name
		if !utf8.ValidString(name) {
			return nil, array.Errorf(array.Malformed, "", "the name of a column is no text: %.40q", name)
		}
		if seen[name] {
			return nil, array.Errorf(array.Malformed, name, "two columns have this name")
		}
		seen[name] = true
		c, reason := ft.column(n, leaf, table.IsLabel(name, o))
		leaf += n.leaves
		switch {
		case c == nil:
			f.infos = append(f.infos, array.Info{Name: name, Refused: array.Errorf(array.Unsupported, name, "the column is %s", reason)})
		case c.tags:
			f.infos = append(f.infos, array.Info{Name: name, DType: array.Tags, Shape: []int{int(ft.rows)}})
			f.tags[name] = c
		case c.maxRep > 0:
			lists = true
			f.add(array.Info{Name: name, DType: c.dtype, Shape: []int{int(ft.rows), c.width}}, c)
		default:
			scalars = append(scalars, scalar{name, c})
		}
	}
	if err := f.table(scalars, int(ft.rows), lists, o); err != nil {
		return nil, err
	}
	for _, a := range f.infos {
		if _, ok := a.Bytes(); !ok {
			return nil, array.Errorf(array.Malformed, a.Name, "%d rows of %d elements are more than any file holds", a.Rows(), a.Width())
		}
	}
	return f, nil
}

type scalar struct {
	name string
	col  *column
}

// add lists an array that is one column.
func (f *file) add(info array.Info, c *column) {
	f.infos = append(f.infos, info)
	f.open[info.Name] = func() array.Array {
		return f.stream(info, c, &memory{budget: f.budget})
	}
}

func (f *file) stream(info array.Info, c *column, m *memory) array.Array {
	return array.Stream(info, false, func() (io.ReadCloser, error) {
		return &pages{r: f.r, col: c, memory: m}, nil
	})
}

// table makes arrays of the scalar columns.
func (f *file) table(scalars []scalar, rows int, lists bool, o array.Options) error {
	names := make([]string, len(scalars))
	for i, s := range scalars {
		names[i] = s.name
	}
	groups, err := table.Groups(names, lists, o)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := table.Free(f.infos, g.Name); err != nil {
			return err
		}
		if !g.Joined {
			c := scalars[g.Columns[0]].col
			f.add(array.Info{Name: g.Name, DType: c.dtype, Shape: []int{rows}}, c)
			continue
		}
		columns := make([]scalar, len(g.Columns))
		types := make([]array.DType, len(g.Columns))
		for i, k := range g.Columns {
			columns[i], types[i] = scalars[k], scalars[k].col.dtype
		}
		f.join(array.Info{Name: g.Name, DType: table.DType(types), Shape: []int{rows, len(columns)}}, columns)
	}
	return nil
}

// join lists an array that is columns side by side.
func (f *file) join(info array.Info, columns []scalar) {
	f.infos = append(f.infos, info)
	f.open[info.Name] = func() array.Array {
		j, m := &joined{info: info}, &memory{budget: f.budget}
		for _, s := range columns {
			j.columns = append(j.columns, f.stream(array.Info{Name: s.name, DType: s.col.dtype, Shape: info.Shape[:1]}, s.col, m))
		}
		return j
	}
}

func (f *file) Format() string       { return "parquet" }
func (f *file) Arrays() []array.Info { return f.infos }
func (f *file) Close() error         { return nil }

func (f *file) Open(name string) (array.Array, error) {
	if open := f.open[name]; open != nil {
		return open(), nil
	}
	for _, a := range f.infos {
		if a.Name == name && a.DType == array.Tags {
			return nil, array.Errorf(array.Unsupported, name, "the column holds lists of tags, not numbers")
		}
		if a.Name == name {
			return nil, a.Refused
		}
	}
	return nil, array.Errorf(array.NotFound, name, "no such column of numbers")
}

// joined is columns side by side.
type joined struct {
	info    array.Info
	columns []array.Array
}

func (j *joined) Info() array.Info { return j.info }
func (j *joined) Random() bool     { return false }

func (j *joined) Float32s(dst []float32, lo int) error {
	return interleave(j, dst, lo, array.Array.Float32s)
}
func (j *joined) Float64s(dst []float64, lo int) error {
	return interleave(j, dst, lo, array.Array.Float64s)
}
func (j *joined) Int64s(dst []int64, lo int) error { return interleave(j, dst, lo, array.Array.Int64s) }

// interleave reads a block of rows of one column after the other.
func interleave[T any](j *joined, dst []T, lo int, read func(array.Array, []T, int) error) error {
	w := len(j.columns)
	if len(dst)%w != 0 || lo < 0 || lo > j.info.Rows() || len(dst)/w > j.info.Rows()-lo {
		return array.Errorf(array.Inconsistent, j.info.Name, "%d elements from row %d on were asked for, the array has %d rows of %d",
			len(dst), lo, j.info.Rows(), w)
	}
	block := make([]T, min(512, len(dst)/w))
	for len(dst) > 0 {
		n := min(len(block), len(dst)/w)
		for i, c := range j.columns {
			if err := read(c, block[:n], lo); err != nil {
				return err
			}
			for k, v := range block[:n] {
				dst[k*w+i] = v
			}
		}
		dst = dst[n*w:]
		lo += n
	}
	return nil
}
