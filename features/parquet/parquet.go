// Package parquet reads tables of numbers from Parquet files: what pandas, pyarrow, polars, Spark
// and DuckDB write, compressed or not.
//
// A list column is an array of rows, one for each list; the lists must have one length and no
// nulls. LIST and FIXED_SIZE_LIST are stored alike. In a table without list columns the label columns (label,
// labels, y, target) are arrays, and the other columns of numbers, in order, form the array "features".
// Columns of strings and other things are left out.
//
// Reading runs forward, a page at a time, so that memory is bounded by the pages of the columns
// read. The package has a reader of its own because a general one decodes what a page claims:
// here every size is compared with the file or the memory budget before anything is allocated.
package parquet

import (
	"fmt"
	"io"
	"slices"

	"github.com/collapsar/collapsar/features/internal/table"
	"github.com/collapsar/collapsar/internal/array"
)

// Sniff reports whether a file that begins with head is parquet.
func Sniff(head []byte) bool {
	return len(head) >= 4 && (string(head[:4]) == "PAR1" || string(head[:4]) == "PARE")
}

type file struct {
	r      io.ReaderAt
	budget int64
	infos  []array.Info
	open   map[string]func() array.Array
	other  map[string]string // columns that are no array, and why
}

// Open reads the footer.
func Open(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
	ft, err := readFooter(r, size, o.Budget())
	if err != nil {
		return nil, err
	}
	f := &file{r: r, budget: o.Budget(), open: map[string]func() array.Array{}, other: map[string]string{}}
	var scalars []scalar
	lists, leaf := false, 0
	for _, n := range ft.root.children {
		name := n.name
		_, twice := f.open[name]
		if twice || f.other[name] != "" || slices.ContainsFunc(scalars, func(s scalar) bool { return s.name == name }) {
			return nil, array.Errorf(array.Malformed, name, "two columns have this name")
		}
		c, reason := ft.column(n, leaf)
		leaf += n.leaves
		switch {
		case c == nil:
			f.other[name] = reason
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
	if len(f.infos) == 0 {
		return nil, array.Errorf(array.Unsupported, "", "no column of numbers%s", f.reasons())
	}
	return f, nil
}

// reasons lists the first columns that were left out.
func (f *file) reasons() string {
	names := make([]string, 0, len(f.other))
	for name := range f.other {
		names = append(names, name)
	}
	slices.Sort(names)
	s := ""
	for _, name := range names[:min(len(names), 4)] {
		s += fmt.Sprintf("; %.40s is %s", name, f.other[name])
	}
	return s
}

type scalar struct {
	name string
	col  *column
}

// add lists an array that is one column.
func (f *file) add(info array.Info, c *column) {
	f.infos = append(f.infos, info)
	f.open[info.Name] = func() array.Array {
		return f.stream(info, c, new(int64))
	}
}

// stream reads a column; held counts the bytes that it, and others with it, keep.
func (f *file) stream(info array.Info, c *column, held *int64) array.Array {
	return array.Stream(info, false, func() (io.ReadCloser, error) {
		return &pages{r: f.r, col: c, held: held, budget: f.budget}, nil
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
		if _, twice := f.open[g.Name]; twice {
			return array.Errorf(array.Inconsistent, g.Name, "a list column has the name of the columns that are joined")
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

// join lists an array that is columns side by side. The budget is shared: every column holds a page.
func (f *file) join(info array.Info, columns []scalar) {
	f.infos = append(f.infos, info)
	f.open[info.Name] = func() array.Array {
		j := &joined{info: info}
		for _, s := range columns {
			j.columns = append(j.columns, f.stream(array.Info{Name: s.name, DType: s.col.dtype, Shape: info.Shape[:1]}, s.col, &j.held))
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
	if reason := f.other[name]; reason != "" {
		return nil, array.Errorf(array.Unsupported, name, "the column is %s", reason)
	}
	return nil, array.Errorf(array.NotFound, name, "no such column of numbers")
}

// joined is columns side by side.
type joined struct {
	info    array.Info
	columns []array.Array
	held    int64 // bytes that the columns' pages take
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
