// Package matfile reads numeric arrays from MATLAB's level 5 MAT-files ("MAT-File Format", The MathWorks), the format of
// save -v6 and -v7: a header of 128 bytes, then elements with a tag of type and length, each a matrix or, deflated by zlib,
// a matrix inside. Level 4 files and level 7.3 files, which are HDF5, are refused; text, cells, structures, sparse and complex
// arrays are passed over.
//
// Files are hostile: a length is checked against what holds it, and memory grows with what is really there.
package matfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/klauspost/compress/zlib"

	"github.com/collapsar/collapsar/internal/array"
)

// A Variable is a numeric array. The first axis runs fastest, as MATLAB has it.
type Variable struct {
	array.Info
	Data  []byte // elements of DType
	order binary.ByteOrder
}

// Size is the number of elements.
func (v *Variable) Size() int { return len(v.Data) / v.DType.Size() }

// Float is element i.
func (v *Variable) Float(i int) float64 {
	d := v.Data[i*v.DType.Size():]
	switch v.DType {
	case array.Int8:
		return float64(int8(d[0]))
	case array.Uint8:
		return float64(d[0])
	case array.Int16:
		return float64(int16(v.order.Uint16(d)))
	case array.Uint16:
		return float64(v.order.Uint16(d))
	case array.Int32:
		return float64(int32(v.order.Uint32(d)))
	case array.Uint32:
		return float64(v.order.Uint32(d))
	case array.Int64:
		return float64(int64(v.order.Uint64(d)))
	case array.Uint64:
		return float64(v.order.Uint64(d))
	case array.Float32:
		return float64(math.Float32frombits(v.order.Uint32(d)))
	}
	return math.Float64frombits(v.order.Uint64(d))
}

// The types of elements.
const (
	typeInt8       = 1
	typeInt32      = 5
	typeUint32     = 6
	typeMatrix     = 14
	typeCompressed = 15
)

// dtypes is the element types of numbers as they are stored. Arrays of doubles that are small integers are stored as such.
var dtypes = map[uint32]array.DType{
	1: array.Int8, 2: array.Uint8, 3: array.Int16, 4: array.Uint16, 5: array.Int32, 6: array.Uint32,
	7: array.Float32, 9: array.Float64, 12: array.Int64, 13: array.Uint64,
}

const (
	headerLen = 128
	maxName   = 63 // letters of a name, by MATLAB's rules
	maxAxes   = 32
)

// Read reads a file of size bytes. Arrays that would take more than limit bytes together are an error.
func Read(r io.Reader, size, limit int64) ([]Variable, error) {
	head := make([]byte, headerLen)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, failed("", err)
	}
	f := &file{limit: limit}
	switch string(head[126:]) {
	case "IM":
		f.order = binary.LittleEndian
	case "MI":
		f.order = binary.BigEndian
	default:
		return nil, array.Errorf(array.Malformed, "", "bytes 126 and 127 are %q, a MAT-file of level 5 has IM or MI", head[126:])
	}
	if version := f.order.Uint16(head[124:]); version != 0x0100 {
		return nil, array.Errorf(array.Unsupported, "", "version %04x, expected 0100; a file of version 7.3 can be saved again with -v7", version)
	}
	left := size - headerLen
	for {
		kind, n, _, err := f.tag(r, left)
		if err == io.EOF {
			return f.variables, nil
		}
		if err != nil {
			return nil, failed("", err)
		}
		left -= 8 + n
		body := &io.LimitedReader{R: r, N: n}
		if kind == typeCompressed {
			err = f.inflate(body, n)
		} else if kind == typeMatrix {
			err = f.matrix(body, n)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		if err == nil && body.N > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, failed("", err)
		}
	}
}

type file struct {
	order     binary.ByteOrder
	limit     int64
	variables []Variable
}

// tag reads the tag of an element and checks its length against what is left. A short element, whose at most four bytes
// lie in the tag, has them in small.
func (f *file) tag(r io.Reader, left int64) (kind uint32, n int64, small []byte, err error) {
	var raw [8]byte
	if _, err = io.ReadFull(r, raw[:]); err != nil {
		return 0, 0, nil, err
	}
	kind = f.order.Uint32(raw[:])
	if short := kind >> 16; short != 0 {
		if short > 4 {
			return 0, 0, nil, array.Errorf(array.Malformed, "", "a short element of %d bytes, at most 4 fit", short)
		}
		return kind & 0xffff, 0, raw[4 : 4+short : 8], nil
	}
	n = int64(f.order.Uint32(raw[4:]))
	if n > left-8 {
		return 0, 0, nil, array.Errorf(array.Truncated, "", "an element of %d bytes is declared, %d are left", n, max(0, left-8))
	}
	return kind, n, nil, nil
}

// inflate reads the one matrix in a deflated element of n bytes.
func (f *file) inflate(r io.Reader, n int64) error {
	z, err := zlib.NewReader(r)
	if err != nil {
		return failed("", err)
	}
	const most = 1032 // bytes that one byte of deflated data stands for at most
	kind, length, _, err := f.tag(z, n*most)
	if err != nil {
		return failed("", err)
	}
	if kind != typeMatrix {
		return array.Errorf(array.Malformed, "", "a deflated element of type %d, expected a matrix", kind)
	}
	if err := f.matrix(io.LimitReader(z, length), length); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, z); err != nil { // the check sum comes last
		return failed("", err)
	}
	return nil
}

// matrix reads an array of n bytes: flags, lengths of the axes, name, numbers.
func (f *file) matrix(r io.Reader, n int64) error {
	m := &matrix{file: f, r: r, left: n}
	flags := m.element(typeUint32, 8)
	dims := m.element(typeInt32, 4*maxAxes)
	name := m.element(typeInt8, maxName)
	if m.err != nil {
		return failed(string(name), m.err)
	}
	if len(flags) < 8 || len(dims) < 8 || len(dims)%4 != 0 {
		return array.Errorf(array.Malformed, string(name), "%d bytes of flags and %d of lengths", len(flags), len(dims))
	}
	word := f.order.Uint32(flags)
	if class := word & 0xff; class < 6 || class > 15 || word&0x0800 != 0 { // no numbers, or complex ones
		_, err := io.Copy(io.Discard, r)
		if err != nil {
			return failed(string(name), err)
		}
		return nil
	}
	v := Variable{Info: array.Info{Name: string(name)}, order: f.order}
	for i := 0; i < len(dims); i += 4 {
		v.Shape = append(v.Shape, int(int32(f.order.Uint32(dims[i:]))))
	}
	kind, length, small, err := f.tag(r, m.left)
	if err != nil {
		return failed(v.Name, err)
	}
	var ok bool
	if v.DType, ok = dtypes[kind]; !ok {
		return array.Errorf(array.Malformed, v.Name, "numbers of type %d", kind)
	}
	want, ok := v.Bytes()
	switch declared := length + int64(len(small)); {
	case !ok || want != declared:
		return array.Errorf(array.Malformed, v.Name, "%s, but %d bytes of data", v.Info, declared)
	case want > f.limit:
		return array.Errorf(array.TooLarge, v.Name, "%s, the budget is %d bytes", v.Info, f.limit)
	case small != nil:
		v.Data = small
	default:
		var data bytes.Buffer
		data.Grow(int(min(want, 1<<20)))
		if got, err := io.CopyN(&data, r, want); err != nil {
			if err == io.EOF {
				err = array.Errorf(array.Truncated, v.Name, "%d of %d bytes are there", got, want)
			}
			return failed(v.Name, err)
		}
		v.Data = data.Bytes()
	}
	f.limit -= want
	f.variables = append(f.variables, v)
	_, err = io.Copy(io.Discard, r)
	if err != nil {
		return failed(v.Name, err)
	}
	return nil
}

// A matrix is read element by element.
type matrix struct {
	*file
	r    io.Reader
	left int64
	err  error
}

// element reads a small element, and what fills it up to a multiple of eight bytes.
func (m *matrix) element(want uint32, most int64) []byte {
	if m.err != nil {
		return nil
	}
	kind, n, small, err := m.tag(m.r, m.left)
	m.left -= 8
	switch {
	case err != nil:
		m.err = err
		return nil
	case kind != want || n > most:
		m.err = array.Errorf(array.Malformed, "", "an element of type %d with %d bytes, expected type %d with at most %d", kind, n, want, most)
		return nil
	case small != nil:
		return small
	}
	padded := (n + 7) &^ 7
	data := make([]byte, padded)
	_, m.err = io.ReadFull(m.r, data)
	m.left -= padded
	return data[:n]
}

// failed is the complaint that reading failed.
func failed(name string, err error) error {
	var known *array.Error
	switch {
	case errors.As(err, &known):
		return err
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return array.Errorf(array.Truncated, name, "the data end early")
	}
	e := array.Errorf(array.Malformed, name, "deflated data: %v: the file is damaged", err)
	e.Err = err
	return e
}
