package decode

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/internal/array"
)

// Write writes the prototypes of a model as an .npz file: vectors (K x d, float64), multiplicities (M, int64), scale (M, float64),
// square (1, float64), and names (UTF-8, one on a line, uint8) where tags have names. It is all that Decode needs of the training
// data: 8 K d bytes and a little. The classifier is not in it.
func (m *Model) Write(w io.Writer) error {
	if m.Prototypes == nil {
		return errors.New("there are no prototypes")
	}
	var sizes []int64
	for _, n := range m.Multiplicities {
		sizes = append(sizes, int64(n))
	}
	p := m.Prototypes
	arrays := []npz.Values{
		{Name: "vectors", Shape: []int{m.Tags, m.Dim}, Floats: p.Vectors},
		{Name: "multiplicities", Shape: []int{len(sizes)}, Ints: sizes},
		{Name: "scale", Shape: []int{len(p.Scale)}, Floats: p.Scale},
		{Name: "square", Shape: []int{1}, Floats: []float64{p.Square}},
	}
	if m.Names != nil {
		text := []byte(strings.Join(m.Names, "\n"))
		arrays = append(arrays, npz.Values{Name: "names", Shape: []int{len(text)}, Bytes: text})
	}
	return npz.Write(w, arrays...)
}

// Open reads what Write wrote. Every error is an *array.Error.
func Open(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, array.InFile(err, path, "")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, array.InFile(err, path, "")
	}
	m, err := read(f, info.Size())
	return m, array.InFile(err, path, "")
}

func read(r io.ReaderAt, size int64) (*Model, error) {
	head := make([]byte, min(size, 512))
	if err := array.ReadFull(r, head, 0); err != nil {
		return nil, err
	}
	if !npz.Sniff(head) {
		return nil, array.Errorf(array.Unsupported, "", "no .npz file: expected one of --prototypes-out")
	}
	file, err := npz.Open(r, size, array.Options{})
	if err != nil {
		return nil, err
	}
	defer file.Close()
	infos := map[string]array.Info{}
	for _, i := range file.Arrays() {
		infos[i.Name] = i
	}
	floats := func(name string, dims int) (v []float64, shape []int, err error) {
		i, ok := infos[name]
		if !ok {
			return nil, nil, array.Errorf(array.NotFound, name, "no such array: expected a file of --prototypes-out")
		}
		if len(i.Shape) != dims || i.Rows()*i.Width() == 0 {
			return nil, nil, array.Errorf(array.Malformed, name, "%s, expected %d axes", i, dims)
		}
		if bytes, ok := i.Bytes(); !ok || bytes > array.DefaultMemory {
			return nil, nil, array.Errorf(array.TooLarge, name, "%s", i)
		}
		a, err := file.Open(name)
		if err != nil {
			return nil, nil, err
		}
		v = make([]float64, i.Rows()*i.Width())
		if err := a.Float64s(v, 0); err != nil {
			return nil, nil, err
		}
		for _, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return nil, nil, array.Errorf(array.NonFinite, name, "holds %v", x)
			}
		}
		return v, i.Shape, nil
	}
	m, p := &Model{}, &Prototypes{}
	vectors, shape, err := floats("vectors", 2)
	if err != nil {
		return nil, err
	}
	m.Tags, m.Dim, p.Vectors, m.Prototypes = shape[0], shape[1], vectors, p
	if p.Scale, _, err = floats("scale", 1); err != nil {
		return nil, err
	}
	square, _, err := floats("square", 1)
	if err != nil {
		return nil, err
	}
	if p.Square = square[0]; len(square) != 1 || !(p.Square > 0) {
		return nil, array.Errorf(array.Malformed, "square", "%v, expected one number above 0", square)
	}
	sizes, _, err := floats("multiplicities", 1)
	if err != nil {
		return nil, err
	}
	for i, x := range sizes {
		if x != math.Trunc(x) || x < 1 || x >= float64(m.Tags) || i > 0 && x <= sizes[i-1] {
			return nil, array.Errorf(array.Malformed, "multiplicities", "%v, expected increasing numbers of 1..%d", sizes, m.Tags-1)
		}
		m.Multiplicities = append(m.Multiplicities, int(x))
	}
	if len(p.Scale) != len(sizes) {
		return nil, array.Errorf(array.Mismatch, "scale", "%d numbers, multiplicities: %d", len(p.Scale), len(sizes))
	}
	if _, ok := infos["names"]; ok {
		text, _, err := floats("names", 1)
		if err != nil {
			return nil, err
		}
		b := make([]byte, len(text))
		for i, x := range text {
			b[i] = byte(x)
		}
		m.Names = strings.Split(string(b), "\n")
		if len(m.Names) != m.Tags {
			return nil, array.Errorf(array.Mismatch, "names", "%d names, vectors: %d rows", len(m.Names), m.Tags)
		}
	}
	return m, nil
}

// TagNames are the names of tags, or their numbers.
func (m *Model) TagNames(tags []int) []string {
	out := make([]string, len(tags))
	for i, k := range tags {
		if out[i] = fmt.Sprint(k); m.Names != nil {
			out[i] = m.Names[k]
		}
	}
	return out
}
