// Package safetensors reads and writes .safetensors files: a JSON header with names, types and places, then
// the bytes of all tensors without a gap.
//
// The header is checked whole before anything else: tensors that overlap, leave a hole or do not
// end with the file are refused, and so are keys that occur twice, which readers of JSON resolve
// differently.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/collapsar/collapsar/internal/array"
)

// MaxHeader is the longest header that is read, the limit of the reference implementation.
const MaxHeader = 100_000_000

const (
	maxTensors = 1 << 16
	maxAxes    = 64
)

// Sniff reports whether head, the first bytes of a file, begins a safetensors file: a length and a
// brace.
func Sniff(head []byte) bool {
	return len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= MaxHeader
}

// Open reads and checks the header.
func Open(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, array.Errorf(array.Truncated, "", "%d bytes, expected the length of the header in the first 8", size)
	}
	if err := array.ReadFull(r, prefix[:], 0); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	switch {
	case length > MaxHeader:
		return nil, array.Errorf(array.TooLarge, "", "a header of %d bytes, at most %d are read", length, MaxHeader)
	case length > uint64(size-8):
		return nil, array.Errorf(array.Truncated, "", "a header of %d bytes, the file has %d", length, size-8)
	case 4*int64(length) > o.Budget(): // its longest string is held several times
		return nil, array.Errorf(array.TooLarge, "", "a header of %d bytes takes four times as many to read, the budget is %d; raise --memory", length, o.Budget())
	}
	header := make([]byte, length)
	if err := array.ReadFull(r, header, 8); err != nil {
		return nil, err
	}
	tensors, err := parse(header)
	if err != nil {
		return nil, err
	}
	f := &file{r: r, data: 8 + int64(length), tensors: tensors}
	return f, f.check(size - f.data)
}

type file struct {
	r       io.ReaderAt
	data    int64 // where the bytes of the tensors begin
	tensors []tensor
}

type tensor struct {
	info       array.Info
	dtype      string
	begin, end int64 // in the data
}

func (f *file) Format() string { return "safetensors" }
func (f *file) Close() error   { return nil }

func (f *file) Arrays() []array.Info {
	infos := make([]array.Info, len(f.tensors))
	for i, t := range f.tensors {
		infos[i] = t.info
	}
	return infos
}

func (f *file) Open(name string) (array.Array, error) {
	for _, t := range f.tensors {
		if t.info.Name == name {
			if t.info.Refused != nil {
				return nil, t.info.Refused
			}
			return array.At(t.info, f.r, f.data+t.begin, array.Layout{}), nil
		}
	}
	return nil, array.Errorf(array.NotFound, name, "no such tensor")
}

// dtypes is the types of the format with their sizes in bits; those that are not read are Invalid.
var dtypes = map[string]struct {
	t    array.DType
	bits int64
}{
	"BOOL": {array.Bool, 8}, "I8": {array.Int8, 8}, "U8": {array.Uint8, 8},
	"I16": {array.Int16, 16}, "U16": {array.Uint16, 16}, "F16": {array.Float16, 16}, "BF16": {array.BFloat16, 16},
	"I32": {array.Int32, 32}, "U32": {array.Uint32, 32}, "F32": {array.Float32, 32},
	"I64": {array.Int64, 64}, "U64": {array.Uint64, 64}, "F64": {array.Float64, 64},
	"F8_E4M3": {bits: 8}, "F8_E5M2": {bits: 8}, "F8_E8M0": {bits: 8}, "F8_E4M3FNUZ": {bits: 8}, "F8_E5M2FNUZ": {bits: 8},
	"F4": {bits: 4}, "F6_E2M3": {bits: 6}, "F6_E3M2": {bits: 6}, "C64": {bits: 64}, "C128": {bits: 128},
}

// check compares every tensor's place with its type and shape, and all places with the file.
func (f *file) check(size int64) error {
	for i := range f.tensors {
		t := &f.tensors[i]
		name := t.info.Name
		d, ok := dtypes[t.dtype]
		if !ok {
			return array.Errorf(array.Malformed, name, "unknown type %q", t.dtype)
		}
		t.info.DType = d.t
		if d.t == array.Invalid {
			t.info.Refused = array.Errorf(array.Unsupported, name, "type %s; save it as F16, BF16, F32 or F64", t.dtype)
		}
		elements := array.Info{Shape: t.info.Shape}
		n, ok := elements.Bytes() // of one byte each
		if !ok || n > (1<<62)/128 {
			return array.Errorf(array.Malformed, name, "shape %v: the number of elements overflows", t.info.Shape)
		}
		if n*d.bits%8 != 0 || t.end-t.begin != n*d.bits/8 {
			return array.Errorf(array.Malformed, name, "%s %v takes %d bytes, data_offsets are [%d, %d]", t.dtype, t.info.Shape, (n*d.bits+7)/8, t.begin, t.end)
		}
	}
	places := make([]*tensor, len(f.tensors))
	for i := range places {
		places[i] = &f.tensors[i]
	}
	sort.SliceStable(places, func(i, j int) bool {
		a, b := places[i], places[j]
		return a.begin < b.begin || a.begin == b.begin && a.end < b.end
	})
	var at int64
	for _, t := range places {
		if t.begin != at {
			what := "overlaps the tensor before"
			if t.begin > at {
				what = "leaves a hole"
			}
			return array.Errorf(array.Malformed, t.info.Name, "%s: it begins at byte %d of the data, expected %d", what, t.begin, at)
		}
		at = t.end
	}
	switch {
	case at > size:
		return array.Errorf(array.Truncated, "", "%d bytes of data are declared, the file has %d", at, size)
	case at < size:
		return array.Errorf(array.Malformed, "", "%d bytes follow the data", size-at)
	}
	return nil
}

// parse reads the header: names with their type, shape and place, and perhaps __metadata__.
func parse(header []byte) ([]tensor, error) {
	bad := func(name, format string, args ...any) ([]tensor, error) {
		return nil, array.Errorf(array.Malformed, name, format, args...)
	}
	switch {
	case len(header) == 0 || header[0] != '{':
		return bad("", "the header does not begin with a brace")
	case !utf8.Valid(header):
		return bad("", "the header is not UTF-8")
	case !json.Valid(header):
		return bad("", "the header is not JSON")
	}
	p := parser{json.NewDecoder(bytes.NewReader(header))}
	p.UseNumber()
	p.next() // the brace
	var tensors []tensor
	names := map[string]bool{}
	for p.More() {
		name := p.next().(string) // a key: the JSON is valid
		switch {
		case names[name]:
			return bad(name, "two tensors of this name")
		case len(tensors) == maxTensors:
			return nil, array.Errorf(array.TooLarge, "", "more than %d tensors", maxTensors)
		}
		names[name] = true
		if name == "__metadata__" {
			if err := p.metadata(); err != nil {
				return bad(name, "%v", err)
			}
			continue
		}
		t, err := p.tensor()
		if err != nil {
			return bad(name, "%v", err)
		}
		t.info.Name = name
		tensors = append(tensors, t)
	}
	return tensors, nil
}

// parser walks over JSON that is known to be valid.
type parser struct{ *json.Decoder }

func (p parser) next() json.Token {
	t, _ := p.Token()
	return t
}

func (p parser) metadata() error {
	if p.next() != json.Delim('{') {
		return fmt.Errorf("expected an object")
	}
	seen := map[string]bool{}
	for p.More() {
		key := p.next().(string)
		if seen[key] {
			return fmt.Errorf("key %q twice", key)
		}
		seen[key] = true
		if _, ok := p.next().(string); !ok {
			return fmt.Errorf("the value of %q is not a string", key)
		}
	}
	p.next()
	return nil
}

func (p parser) tensor() (t tensor, err error) {
	if p.next() != json.Delim('{') {
		return t, fmt.Errorf("expected an object")
	}
	seen := map[string]bool{}
	for p.More() {
		key := p.next().(string)
		if seen[key] {
			return t, fmt.Errorf("key %q twice", key)
		}
		seen[key] = true
		switch key {
		case "dtype":
			var ok bool
			if t.dtype, ok = p.next().(string); !ok {
				return t, fmt.Errorf("dtype is not a string")
			}
		case "shape":
			shape, err := p.numbers(key, maxAxes)
			if err != nil {
				return t, err
			}
			t.info.Shape = []int{}
			for _, n := range shape {
				t.info.Shape = append(t.info.Shape, int(n))
			}
		case "data_offsets":
			at, err := p.numbers(key, 2)
			if err != nil {
				return t, err
			}
			if len(at) != 2 || at[0] > at[1] {
				return t, fmt.Errorf("data_offsets are %v, expected begin and end", at)
			}
			t.begin, t.end = at[0], at[1]
		default:
			return t, fmt.Errorf("unknown key %q", key)
		}
	}
	p.next()
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[key] {
			return t, fmt.Errorf("no %s", key)
		}
	}
	return t, nil
}

// numbers reads a list of whole numbers, none negative.
func (p parser) numbers(key string, most int) ([]int64, error) {
	if p.next() != json.Delim('[') {
		return nil, fmt.Errorf("%s is not a list", key)
	}
	var list []int64
	for p.More() {
		n, ok := p.next().(json.Number)
		if !ok {
			return nil, fmt.Errorf("%s holds something else than numbers", key)
		}
		v, err := strconv.ParseUint(n.String(), 10, 62)
		if err != nil || int64(int(v)) != int64(v) {
			return nil, fmt.Errorf("%s holds %s, expected a whole number from 0 on", key, n)
		}
		if len(list) == most {
			return nil, fmt.Errorf("%s has more than %d numbers", key, most)
		}
		list = append(list, int64(v))
	}
	p.next()
	return list, nil
}
