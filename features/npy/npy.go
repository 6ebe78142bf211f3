// Package npy reads NumPy's .npy files: one array behind a short header.
//
// Versions 1 to 3 of the format, both byte orders, C and Fortran order. Types: float16, float32,
// float64, bool and all integers. Text, objects (pickles), dates, complex numbers and records are
// refused by name. The header is read by a small grammar; nothing in it is evaluated.
package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/collapsar/collapsar/internal/array"
)

// Name is what the one array of a .npy file is called, for the format gives it no name.
const Name = "array"

const magic = "\x93NUMPY"

// MaxHeader is the longest header that is read; NumPy has the same limit.
const MaxHeader = 10_000

// MaxAxes is the largest number of axes; NumPy has the same limit.
const MaxAxes = 64

// Sniff reports whether head, the first bytes of a file, begins a .npy file.
func Sniff(head []byte) bool {
	return len(head) >= len(magic) && string(head[:len(magic)]) == magic
}

// Open reads the header of a .npy file.
func Open(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
	h, err := ReadHeader(io.NewSectionReader(r, 0, size), Name)
	if err != nil {
		return nil, err
	}
	if err := h.CheckSize(size); err != nil {
		return nil, err
	}
	return &file{r, h}, nil
}

type file struct {
	r io.ReaderAt
	h Header
}

func (f *file) Format() string       { return "npy" }
func (f *file) Arrays() []array.Info { return []array.Info{f.h.Info} }
func (f *file) Close() error         { return nil }

func (f *file) Open(name string) (array.Array, error) {
	if name != Name {
		return nil, array.Errorf(array.NotFound, name, "a .npy file holds one array, called %s here", Name)
	}
	if f.h.Info.Refused != nil {
		return nil, f.h.Info.Refused
	}
	return array.At(f.h.Info, f.r, f.h.Size, f.h.Layout), nil
}

// A Header says what an .npy file holds.
type Header struct {
	Info   array.Info
	Layout array.Layout
	Size   int64 // bytes before the data
}

// CheckSize compares the size of the whole file with what the header declares.
func (h Header) CheckSize(size int64) error {
	if h.Info.Refused != nil {
		return nil
	}
	n, ok := h.Info.Bytes() // ok: the header was refused otherwise
	data := size - h.Size
	switch {
	case !ok || data < n:
		return array.Errorf(array.Truncated, h.Info.Name, "%s takes %d bytes, the file has %d", h.Info, n, data)
	case data > n:
		return array.Errorf(array.Malformed, h.Info.Name, "%d bytes follow the data of %s", data-n, h.Info)
	}
	return nil
}

// ReadHeader reads a header and nothing beyond it. The array is called name.
func ReadHeader(r io.Reader, name string) (Header, error) {
	fail := func(kind array.Kind, format string, args ...any) (Header, error) {
		return Header{}, array.Errorf(kind, name, format, args...)
	}
	short := func(err error, format string, args ...any) (Header, error) {
		if err != io.EOF && err != io.ErrUnexpectedEOF {
			return Header{}, err // reading failed, for a reason that the reader says
		}
		return fail(array.Truncated, format, args...)
	}
	var pre [12]byte
	if n, err := io.ReadFull(r, pre[:8]); err != nil {
		if n == 0 {
			return short(err, "no bytes, expected an npy header")
		}
		return short(err, "the header ends after %d bytes", n)
	}
	if !Sniff(pre[:]) {
		return fail(array.Malformed, "begins with %q, expected %q", pre[:6], magic)
	}
	var length int
	switch major := pre[6]; {
	case major == 1 && pre[7] == 0:
		if _, err := io.ReadFull(r, pre[8:10]); err != nil {
			return short(err, "the header ends before its length")
		}
		length = int(binary.LittleEndian.Uint16(pre[8:]))
	case (major == 2 || major == 3) && pre[7] == 0:
		if _, err := io.ReadFull(r, pre[8:12]); err != nil {
			return short(err, "the header ends before its length")
		}
		length = int(min(binary.LittleEndian.Uint32(pre[8:]), MaxHeader+1))
	default:
		return fail(array.Unsupported, "format version %d.%d, known are 1.0, 2.0 and 3.0", major, pre[7])
	}
	if length > MaxHeader {
		return fail(array.TooLarge, "the header is longer than %d bytes", MaxHeader)
	}
	text := make([]byte, length)
	if n, err := io.ReadFull(r, text); err != nil {
		return short(err, "the header ends after %d of %d bytes", n, length)
	}
	if pre[6] == 3 && !utf8.Valid(text) {
		return fail(array.Malformed, "the header is not UTF-8")
	}

	p := parser{text: text}
	d, err := p.dict()
	if err != nil {
		return fail(array.Malformed, "header: %v", err)
	}
	h := Header{Info: array.Info{Name: name, Shape: d.shape}, Size: int64(length) + 10}
	if pre[6] > 1 {
		h.Size += 2
	}
	h.Info.DType, h.Layout.BigEndian, err = dtype(d.descr, d.record)
	if err != nil {
		h.Info.Refused = array.Errorf(array.Unsupported, name, "%v", err)
	}
	if _, ok := h.Info.Bytes(); !ok {
		return fail(array.Malformed, "shape %v: the number of elements overflows", d.shape)
	}
	if d.fortran && len(d.shape) > 1 {
		h.Layout.Strides = array.Fortran(d.shape)
	}
	return h, nil
}

// dtype is the meaning of a descr such as "<f4".
func dtype(descr string, record bool) (t array.DType, big bool, err error) {
	if record {
		return 0, false, fmt.Errorf("a record array; save its fields as arrays of their own")
	}
	if len(descr) < 2 {
		return 0, false, fmt.Errorf("unknown type %q", descr)
	}
	order, kind := descr[0], descr[1:]
	switch kind[0] {
	case 'O':
		return 0, false, fmt.Errorf("an object array, which is a pickle and could run code; save plain numbers, e.g. np.stack(list)")
	case 'U', 'S', 'a':
		return 0, false, fmt.Errorf("text (%s), expected numbers", descr)
	case 'V':
		if kind == "V2" {
			return 0, false, fmt.Errorf("raw 2-byte values (%s); if they are bfloat16, save x.view(np.uint16) and read it with --bfloat16", descr)
		}
		return 0, false, fmt.Errorf("raw bytes (%s), expected numbers", descr)
	case 'M', 'm':
		return 0, false, fmt.Errorf("dates (%s), expected numbers", descr)
	case 'c':
		return 0, false, fmt.Errorf("complex numbers (%s), expected real ones", descr)
	}
	t, ok := kinds[kind]
	if !ok || order != '<' && order != '>' && order != '|' && order != '=' {
		return 0, false, fmt.Errorf("unknown type %q", descr)
	}
	return t, order == '>', nil
}

var kinds = map[string]array.DType{
	"b1": array.Bool,
	"i1": array.Int8, "i2": array.Int16, "i4": array.Int32, "i8": array.Int64,
	"u1": array.Uint8, "u2": array.Uint16, "u4": array.Uint32, "u8": array.Uint64,
	"f2": array.Float16, "f4": array.Float32, "f8": array.Float64,
}

// dict is what a header holds: the three keys, each once, in any order.
type dict struct {
	descr   string
	record  bool // descr is a list: a record array
	fortran bool
	shape   []int
}

// parser reads the header's grammar:
//
//	dict  = "{" [ pair { "," pair } [ "," ] ] "}"
//	pair  = string ":" ( string | list | "True" | "False" | tuple )
//	tuple = "(" [ int { "," int } [ "," ] ] ")"
type parser struct {
	text []byte
	at   int
}

func (p *parser) dict() (d dict, err error) {
	if err := p.expect('{'); err != nil {
		return d, err
	}
	seen := map[string]bool{}
	for p.peek() != '}' {
		key, err := p.string()
		if err != nil {
			return d, err
		}
		if seen[key] {
			return d, fmt.Errorf("key %q twice", key)
		}
		seen[key] = true
		if err := p.expect(':'); err != nil {
			return d, err
		}
		switch key {
		case "descr":
			if d.record = p.peek() == '['; d.record {
				err = p.list()
			} else {
				d.descr, err = p.string()
			}
		case "fortran_order":
			d.fortran, err = p.bool()
		case "shape":
			d.shape, err = p.tuple()
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return d, err
		}
		if p.peek() != ',' {
			break
		}
		p.at++
	}
	if err := p.expect('}'); err != nil {
		return d, err
	}
	if p.peek() != 0 || p.at < len(p.text) {
		return d, fmt.Errorf("%q after the dictionary", p.rest())
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return d, fmt.Errorf("no key %q", key)
		}
	}
	return d, nil
}

// peek is the next character that is no space, 0 at the end.
func (p *parser) peek() byte {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; c {
		case ' ', '\n', '\t', '\r':
			p.at++
		default:
			return c
		}
	}
	return 0
}

func (p *parser) rest() string {
	return string(p.text[p.at:min(len(p.text), p.at+12)])
}

func (p *parser) expect(c byte) error {
	if p.peek() != c || p.at == len(p.text) {
		return fmt.Errorf("%q at byte %d, expected %q", p.rest(), p.at, c)
	}
	p.at++
	return nil
}

func (p *parser) string() (string, error) {
	quote := p.peek()
	if quote != '\'' && quote != '"' {
		return "", fmt.Errorf("%q at byte %d, expected a string", p.rest(), p.at)
	}
	for end := p.at + 1; end < len(p.text); end++ {
		switch p.text[end] {
		case quote:
			s := string(p.text[p.at+1 : end])
			p.at = end + 1
			return s, nil
		case '\\', '\n':
			return "", fmt.Errorf("a string with an escape at byte %d", end)
		}
	}
	return "", fmt.Errorf("a string without an end at byte %d", p.at)
}

// list skips the description of a record array: brackets are matched, strings are skipped whole.
func (p *parser) list() error {
	for depth := 0; ; {
		switch p.peek() {
		case 0:
			return fmt.Errorf("a list without an end")
		case '[', '(':
			depth++
			p.at++
		case ']', ')':
			depth--
			p.at++
		case '\'', '"':
			if _, err := p.string(); err != nil {
				return err
			}
		default:
			p.at++
		}
		if depth == 0 {
			return nil
		}
	}
}

func (p *parser) bool() (bool, error) {
	p.peek()
	for word, v := range map[string]bool{"True": true, "False": false} {
		if end := p.at + len(word); end <= len(p.text) && string(p.text[p.at:end]) == word {
			p.at = end
			return v, nil
		}
	}
	return false, fmt.Errorf("%q at byte %d, expected True or False", p.rest(), p.at)
}

func (p *parser) tuple() ([]int, error) {
	if err := p.expect('('); err != nil {
		return nil, err
	}
	shape := []int{}
	for p.peek() != ')' {
		start := p.at
		for p.at < len(p.text) && (p.text[p.at] == '-' || '0' <= p.text[p.at] && p.text[p.at] <= '9') {
			p.at++
		}
		n, err := strconv.Atoi(string(p.text[start:p.at]))
		switch {
		case start == p.at:
			return nil, fmt.Errorf("%q at byte %d, expected a length", p.rest(), p.at)
		case err != nil || n < 0:
			return nil, fmt.Errorf("an axis of length %s", p.text[start:p.at])
		case len(shape) == MaxAxes:
			return nil, fmt.Errorf("more than %d axes", MaxAxes)
		}
		if p.at < len(p.text) && p.text[p.at] == 'L' { // Python 2 wrote long integers so
			p.at++
		}
		shape = append(shape, n)
		if p.peek() != ',' {
			break
		}
		p.at++
	}
	return shape, p.expect(')')
}
