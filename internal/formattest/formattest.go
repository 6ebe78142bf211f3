// Package formattest is the suite that every file format passes, and small writers of the formats to
// make files for tests.
package formattest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
)

// Open is the function that a format's package has.
type Open = func(r io.ReaderAt, size int64, o array.Options) (array.File, error)

// A Format is what the suite is run on.
type Format struct {
	Name  string // what File.Format says
	Sniff func(head []byte) bool
	Open  Open
}

// A Case is a good file and what it holds.
type Case struct {
	Name   string
	Data   []byte
	Arrays []Array
	Random bool // all arrays may be read at any place
	Table  bool // text or the like: rows are counted by reading, and a shorter file may be a good one
}

// An Array is one that a file holds.
type Array struct {
	Name   string
	DType  array.DType
	Shape  []int
	Values []float64 // in C order; exact for every type that is tested
}

// AllocLimit is what reading a small hostile file may allocate, in bytes.
const AllocLimit = 64 << 20

// Run puts one good file through everything that any caller does with it.
func Run(t *testing.T, f Format, c Case) {
	t.Run(c.Name, func(t *testing.T) {
		if !f.Sniff(c.Data[:min(len(c.Data), 512)]) {
			t.Error("Sniff does not know it")
		}
		count := &counting{r: bytes.NewReader(c.Data)}
		file, err := f.Open(count, int64(len(c.Data)), array.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if n := count.n.Load(); n > 200<<10 && !c.Table {
			t.Errorf("Open read %d bytes, expected headers only", n)
		}
		if file.Format() != f.Name {
			t.Errorf("Format is %q, expected %q", file.Format(), f.Name)
		}
		t.Run("list", func(t *testing.T) { list(t, file, c) })
		for _, want := range c.Arrays {
			a, err := file.Open(want.Name)
			if err != nil {
				t.Errorf("%s: %v", want.Name, err)
				continue
			}
			t.Run(want.Name, func(t *testing.T) { readings(t, a, want, c.Random) })
		}
		t.Run("cut", func(t *testing.T) { cut(t, f, c) })
		t.Run("damaged", func(t *testing.T) { damaged(t, f, c) })
	})
}

func list(t *testing.T, file array.File, c Case) {
	infos := file.Arrays()
	if len(infos) != len(c.Arrays) {
		t.Fatalf("%d arrays, expected %d: %v", len(infos), len(c.Arrays), infos)
	}
	for i, want := range c.Arrays {
		got := infos[i]
		if got.Name != want.Name || got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || got.Refused != nil {
			t.Errorf("array %d is %s (%s), expected %s %s %v", i, got.Name, got, want.Name, want.DType, want.Shape)
		}
	}
	if _, err := file.Open("no such array"); !errors.Is(err, array.NotFound) {
		t.Errorf("opening an unknown name: %v, expected %s", err, array.NotFound)
	}
}

// readings reads an array in batches of odd sizes, again, backwards, at any place and by several
// goroutines at once.
func readings(t *testing.T, a array.Array, want Array, random bool) {
	if a.Random() != random {
		t.Errorf("Random is %v", a.Random())
	}
	if got := a.Info(); got.Name != want.Name || got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) {
		t.Errorf("Info is %s %s, expected %s %s %v", got.Name, got, want.Name, want.DType, want.Shape)
	}
	rows, width := a.Info().Rows(), a.Info().Width()
	read := func(lo, n int) {
		t.Helper()
		f64, f32 := make([]float64, n*width), make([]float32, n*width)
		err64 := a.Float64s(f64, lo)
		err32 := a.Float32s(f32, lo)
		if err64 != nil || err32 != nil {
			t.Fatalf("rows %d..%d: %v, %v", lo, lo+n-1, err64, err32)
		}
		for i, v := range want.Values[lo*width : (lo+n)*width] {
			if !same(f64[i], v) {
				t.Fatalf("row %d, column %d is %v, expected %v", lo+i/width, i%width, f64[i], v)
			}
			if !same(float64(f32[i]), float64(float32(v))) {
				t.Fatalf("row %d, column %d as float32 is %v, expected %v", lo+i/width, i%width, f32[i], float32(v))
			}
		}
		ints := make([]int64, n*width)
		if err := a.Int64s(ints, lo); err == nil {
			for i, v := range want.Values[lo*width : (lo+n)*width] {
				if float64(ints[i]) != v {
					t.Fatalf("row %d, column %d as integer is %d, expected %v", lo+i/width, i%width, ints[i], v)
				}
			}
		} else if !errors.Is(err, array.BadLabel) || whole(want.Values[lo*width:(lo+n)*width]) {
			t.Fatalf("as integers: %v", err)
		}
	}
	for _, n := range []int{rows, 1, 2, 3, 7, 64} {
		if rows > 256 && n < 7 {
			continue
		}
		for lo := 0; lo < rows; lo += n {
			read(lo, min(n, rows-lo))
		}
	}
	for lo := rows - 1; lo >= max(0, rows-4); lo-- {
		read(lo, 1)
	}
	for _, lo := range []int{-1, rows} {
		if err := a.Float64s(make([]float64, width), lo); err == nil && width > 0 {
			t.Errorf("row %d of %d was read", lo, rows)
		}
	}
	if width > 1 {
		if err := a.Float32s(make([]float32, width-1), 0); err == nil {
			t.Error("a part of a row was read")
		}
	}
	if !random {
		return
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(g)))
			row := make([]float64, width)
			for range 50 {
				if rows == 0 {
					return
				}
				lo := rng.IntN(rows)
				if err := a.Float64s(row, lo); err != nil {
					t.Error(err)
					return
				}
				for i, v := range want.Values[lo*width : (lo+1)*width] {
					if !same(row[i], v) {
						t.Errorf("row %d read at once with others: column %d is %v, expected %v", lo, i, row[i], v)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

func whole(v []float64) bool {
	for _, x := range v {
		if x != math.Trunc(x) || math.Abs(x) >= 1<<62 {
			return false
		}
	}
	return true
}

// cut opens the file at every shorter length: each is refused, at the latest when it is read.
func cut(t *testing.T, f Format, c Case) {
	for n := range lengths(len(c.Data)) {
		err := Read(f.Open, c.Data[:n])
		var known *array.Error
		switch {
		case err == nil && !c.Table:
			t.Errorf("cut to %d of %d bytes it is still read", n, len(c.Data))
		case err != nil && !errors.As(err, &known):
			t.Errorf("cut to %d bytes: %v is no *array.Error", n, err)
		}
	}
}

// lengths is all, or for a large file those near both ends and some between.
func lengths(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		near, step := 256, max(1, n/512)
		if testing.Short() {
			near, step = 32, max(1, n/64)
		}
		for i := 0; i < n; {
			if !yield(i) {
				return
			}
			if i < near || i >= n-near {
				i++
			} else {
				i = min(i+step, max(i+1, n-near))
			}
		}
	}
}

// damaged changes bytes: whatever comes of it, it is a result or an *array.Error, with little memory.
func damaged(t *testing.T, f Format, c Case) {
	if len(c.Data) > 1<<16 {
		return
	}
	rng := rand.New(rand.NewPCG(7, uint64(len(c.Data))))
	data := make([]byte, len(c.Data))
	times := 1000
	if testing.Short() {
		times = 100
	}
	for i := range times {
		copy(data, c.Data)
		at := make([]int, 1+rng.IntN(3))
		for j := range at {
			at[j] = rng.IntN(len(data))
			if i%2 == 0 { // headers and directories lie at the ends
				at[j] = rng.IntN(min(256, len(data)))
				if i%4 == 0 {
					at[j] = len(data) - 1 - at[j]
				}
			}
			data[at[j]] = byte(rng.Uint32())
		}
		if err := checkRead(f.Open, data); err != nil {
			t.Fatalf("bytes %v changed: %v", at, err)
		}
	}
}

// Fuzz is the body of the fuzz target of a format.
func Fuzz(f *testing.F, open Open, seeds ...[]byte) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := checkRead(open, data); err != nil {
			t.Fatal(err)
		}
	})
}

// checkRead reads what may be a hostile file and says what was wrong with the way it went.
func checkRead(open Open, data []byte) error {
	before := allocated()
	err := Read(open, data)
	n := allocated() - before
	var known *array.Error
	if err != nil && !errors.As(err, &known) {
		return fmt.Errorf("%v (%T) is no *array.Error", err, err)
	}
	if n > AllocLimit+16*uint64(len(data)) {
		return fmt.Errorf("%d bytes were allocated for a file of %d", n, len(data))
	}
	return nil
}

// allocated is the bytes allocated by the program so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Read opens a file with a small budget and reads a good part of every array. It returns the
// first error.
func Read(open Open, data []byte) error {
	file, err := open(bytes.NewReader(data), int64(len(data)), array.Options{Memory: 16 << 20})
	if err != nil {
		return err
	}
	defer file.Close()
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	const most = 1 << 18 // numbers of an array
	f32, f64 := make([]float32, 1<<12), make([]float64, 1<<12)
	left := 4 * most
	for _, info := range file.Arrays() {
		a, err := file.Open(info.Name)
		if err != nil {
			if !errors.Is(err, array.Unsupported) {
				keep(err)
			}
			continue
		}
		rows, width := info.Rows(), info.Width()
		if width == 0 || rows == 0 || width > len(f64) {
			continue
		}
		n := len(f64) / width
		if total := rows * width; total <= most && left > 0 {
			left -= total
			for lo := 0; lo < rows; lo += n {
				m := min(n, rows-lo)
				keep(a.Float64s(f64[:m*width], lo))
				if first != nil {
					return first
				}
			}
		}
		m := min(n, rows)
		keep(a.Float32s(f32[:m*width], 0))
		if a.Random() {
			keep(a.Float32s(f32[:m*width], rows-m))
		}
		if err := a.Int64s(make([]int64, m*width), 0); !errors.Is(err, array.BadLabel) {
			keep(err)
		}
	}
	return first
}

// counting counts the bytes that are read.
type counting struct {
	r io.ReaderAt
	n atomic.Int64
}

func (c *counting) ReadAt(p []byte, offset int64) (int, error) {
	n, err := c.r.ReadAt(p, offset)
	c.n.Add(int64(n))
	return n, err
}

// Matrix is an array of small numbers that every type holds exactly; those of unsigned types are
// not negative.
func Matrix(name string, t array.DType, rows, cols int) Array {
	a := Array{Name: name, DType: t, Shape: []int{rows, cols}}
	for i := range rows * cols {
		v := float64(i*7%101) - 50
		switch {
		case t == array.Bool:
			v = float64(i * 5 % 3 % 2)
		case t.IsFloat():
			v /= 4
		case t == array.Uint8 || t == array.Uint16 || t == array.Uint32 || t == array.Uint64:
			v += 50
		}
		a.Values = append(a.Values, v)
	}
	return a
}

// Vector is the same with one axis.
func Vector(name string, t array.DType, n int) Array {
	a := Matrix(name, t, n, 1)
	a.Shape = []int{n}
	return a
}

// Types is every element type.
var Types = []array.DType{
	array.Bool, array.Int8, array.Uint8, array.Int16, array.Uint16, array.Int32, array.Uint32, array.Int64, array.Uint64,
	array.Float16, array.BFloat16, array.Float32, array.Float64,
}
