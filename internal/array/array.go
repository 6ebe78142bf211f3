// Package array is what the file formats below features share: a file is a list of named
// arrays, and an array is read by rows.
//
// Every reader treats its file as hostile: sizes are checked against the file before anything is
// allocated, and every complaint is an *Error that names the array, what was found and what was
// expected.
package array

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
)

// DType is the element type of an array as stored.
type DType uint8

// The element types that the formats can hold. Anything else is refused by its reader.
const (
	Invalid DType = iota
	Tags          // a list of words or numbers in every row, read by Lister
	Bool
	Int8
	Uint8
	Int16
	Uint16
	Int32
	Uint32
	Int64
	Uint64
	Float16
	BFloat16
	Float32
	Float64
)

var dtypes = [...]struct {
	name string
	size int
}{
	Invalid: {"invalid", 0}, Tags: {"tags", 0}, Bool: {"bool", 1},
	Int8: {"int8", 1}, Uint8: {"uint8", 1}, Int16: {"int16", 2}, Uint16: {"uint16", 2},
	Int32: {"int32", 4}, Uint32: {"uint32", 4}, Int64: {"int64", 8}, Uint64: {"uint64", 8},
	Float16: {"float16", 2}, BFloat16: {"bfloat16", 2}, Float32: {"float32", 4}, Float64: {"float64", 8},
}

// String is the name that numpy and PyTorch use, e.g. "float32".
func (t DType) String() string { return dtypes[t].name }

// Size is the number of bytes of one element.
func (t DType) Size() int { return dtypes[t].size }

// IsFloat reports whether elements are floating-point numbers.
func (t DType) IsFloat() bool { return t >= Float16 }

// IsInteger reports whether elements are integers or booleans.
func (t DType) IsInteger() bool { return t >= Bool && t <= Uint64 }

// Info describes an array without its data.
type Info struct {
	Name  string
	DType DType
	Shape []int // row-major sense: Shape[0] rows; nil for a scalar

	// Refused says why the array is listed but cannot be opened, e.g. because it holds text; its
	// DType is then Invalid. Open returns it.
	Refused *Error
}

// String is the type and shape, e.g. "float32 3000 x 64".
func (a Info) String() string {
	s := a.DType.String()
	for i, n := range a.Shape {
		if i == 0 {
			s += " "
		} else {
			s += " x "
		}
		s += strconv.Itoa(n)
	}
	return s
}

// Rows is the length of the first axis, 1 for a scalar.
func (a Info) Rows() int {
	if len(a.Shape) == 0 {
		return 1
	}
	return a.Shape[0]
}

// Width is the number of elements in a row: the product of the other axes.
func (a Info) Width() int {
	w := 1
	for _, n := range a.Shape[min(1, len(a.Shape)):] {
		w *= n
	}
	return w
}

// An Array is read by rows. dst holds whole rows (len(dst) is a multiple of Width) and is filled
// from row lo on, in row-major order whatever the order in the file.
//
// Float32s is exact for float types up to 32 bits and integers up to 16, and rounds the others; Float64s is exact
// for all but 64-bit integers; Int64s is exact for integers, and refuses floats that are not integral or do not fit.
//
// A random array may be read by several goroutines at once, at any row. Another one is a stream: reads must
// come one at a time and run forward; reading at a row before the last one starts the stream again.
type Array interface {
	Info() Info
	Random() bool
	Float32s(dst []float32, lo int) error
	Float64s(dst []float64, lo int) error
	Int64s(dst []int64, lo int) error
}

// A File is an opened container of named arrays. Arrays lists them, in the order of the file, from headers alone.
type File interface {
	Format() string // "npy", "npz", "safetensors", "pt", "parquet", "csv", "tsv"
	Arrays() []Info
	Open(name string) (Array, error)
	io.Closer
}

// A Lister is a File with arrays of type Tags, which have no numbers to open: TagLists goes over the rows of one. The words are
// valid until visit returns.
type Lister interface {
	TagLists(name string, visit func(row int, words []string) error) error
}

// Kind says what sort of complaint an Error is; test it with errors.Is.
type Kind string

func (k Kind) Error() string { return string(k) }

// The kinds of errors. The string is the code printed on the error line.
const (
	Malformed    Kind = "malformed"       // the bytes break the rules of the format
	Truncated    Kind = "truncated"       // the file ends before the data it declares
	Unsupported  Kind = "unsupported"     // legal in the format, not read here
	TooLarge     Kind = "too_large"       // needs more than the memory budget or a fixed limit
	NotFound     Kind = "not_found"       // no such array
	Mismatch     Kind = "length_mismatch" // arrays that must agree in length do not
	BadLabel     Kind = "label_out_of_range"
	BadWeights   Kind = "weights_mismatch"
	NonFinite    Kind = "nonfinite_rows"
	Inconsistent Kind = "inconsistent"
	Empty        Kind = "empty" // no rows or no columns
	MultiLabel   Kind = "multi_label"
	Ambiguous    Kind = "ambiguous"  // several arrays could be meant
	Unreadable   Kind = "unreadable" // the system refuses the file, or it is none
)

// Error is a complaint about a file. It prints as "FILE: ARRAY: code: message" with empty parts left out.
type Error struct {
	File    string
	Array   string
	Kind    Kind
	Message string // what was found, what was expected, what to do
	Err     error  // the cause below, may be nil
}

func (e *Error) Error() string {
	s := string(e.Kind) + ": " + e.Message
	if e.Array != "" {
		s = e.Array + ": " + s
	}
	if e.File != "" {
		s = e.File + ": " + s
	}
	return s
}

// Is matches a Kind.
func (e *Error) Is(target error) bool { k, ok := target.(Kind); return ok && k == e.Kind }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error about an array; the file is filled in by the caller that knows it.
func Errorf(kind Kind, name, format string, args ...any) *Error {
	return &Error{Array: name, Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Locate fills in the file and the array of the Error in err's chain, each where the Error names none and the name given is
// not empty. Any other error, nil too, is returned as it is.
func Locate(err error, file, name string) error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	located := *e
	located.File = cmp.Or(e.File, file)
	located.Array = cmp.Or(e.Array, name)
	return &located
}

// InFile is Locate that makes an Error of any other error too: the system cannot read the file, and its words are given
// without the path, which the Error says already.
func InFile(err error, file, name string) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return Locate(err, file, name)
	}
	message := err.Error()
	var path *fs.PathError
	if errors.As(err, &path) {
		message = path.Err.Error()
	}
	return &Error{File: file, Array: name, Kind: Unreadable, Message: message, Err: err}
}

// About says which file any error is about: an Error that names none is located, what is cancelled stays as it is, and to
// others the path is put in front.
func About(err error, file string) error {
	var e *Error
	if errors.As(err, &e) || errors.Is(err, context.Canceled) {
		return Locate(err, file, "")
	}
	return fmt.Errorf("%s: %w", file, err)
}
