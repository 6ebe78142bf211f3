// Package torch reads the arrays in files that PyTorch's torch.save wrote (.pt, .pth) since
// version 1.6: a zip of one pickle, which says what there is, and one record of raw bytes for every
// storage.
//
// Nothing in the pickle is imported or called. The names that it may hold are listed in
// globals.go; they are those that tensors, parameters, NumPy arrays and the settings beside them
// need, and a file with any other is refused by that name.
//
// Tensors are found at any depth of dicts, lists and tuples and named by the way to them:
// {"features": {"block1": t}} holds "features/block1", and a tensor alone is "tensor". Whatever else is
// in the file is passed over. Tensors are read in place, at any row, whatever their strides.
package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/collapsar/collapsar/internal/array"
)

// Limits that no file of use comes near.
const (
	maxDirectory = 8 << 20 // bytes of the zip directory: some 100,000 storages
	maxArrays    = 1 << 16
	maxDepth     = 64
	maxNames     = 8 << 20 // bytes of all names together
	maxNodes     = 1 << 20 // values visited in search of arrays, shared ones counted every time
	maxRank      = 16
)

// Sniff reports whether a file that begins with head is what PyTorch writes: a zip whose first
// record is one of those below, in a folder. It knows older forms too, and a pickle without a zip,
// which Open refuses with advice.
func Sniff(head []byte) bool {
	if old(head) != "" {
		return true
	}
	if len(head) < 30 || string(head[:4]) != "PK\x03\x04" {
		return false
	}
	name := head[30:]
	name = name[:min(len(name), int(binary.LittleEndian.Uint16(head[26:])))]
	_, name, _ = bytes.Cut(name, []byte("/"))
	return records.Match(name)
}

var records = regexp.MustCompile(`^(data\.pkl|constants\.pkl|version|byteorder|archive_format|\.format_version|(data|code|models|constants|\.data)/.*)$`)

// old says what a file is that is no zip but that PyTorch or pickle wrote.
func old(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x80\x02\x8a\x0a")):
		return "a file of PyTorch before 1.6 (stacked pickles)"
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return "a tar, as PyTorch before 0.2 wrote"
	case len(head) > 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5:
		return "a pickle without the zip around it"
	}
	return ""
}

// Open reads the directory of the zip and the pickle in it.
func Open(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
	head := make([]byte, min(size, 512))
	if err := array.ReadFull(r, head, 0); err != nil {
		return nil, err
	}
	if form := old(head); form != "" {
		return nil, array.Errorf(array.Unsupported, "",
			"this is %s, which is not read: load it in PyTorch and torch.save it again", form)
	}
	f := &file{r: r, size: size, budget: o.Budget(), checked: map[string]bool{}}
	if err := f.directory(head); err != nil {
		return nil, err
	}
	pickle, err := f.pickle()
	if err != nil {
		return nil, err
	}
	root, err := unpickle(pickle, f.budget-int64(len(pickle)))
	if err != nil {
		return nil, err
	}
	if err := f.collect(root, nil); err != nil {
		return nil, err
	}
	return f, nil
}

type file struct {
	r       io.ReaderAt
	size    int64
	budget  int64
	records map[string]record // by name, without the folder that all share

	mu      sync.Mutex
	checked map[string]bool // records whose check sum was compared

	nodes  int // visited by collect
	names  int // bytes of the arrays' names so far
	infos  []array.Info
	arrays map[string]any // *tensor or *ndarray
}

// record is a stored entry of the zip.
type record struct {
	offset, size int64
	crc          uint32 // 0 if the writer was told not to compute it
}

func (f *file) Format() string       { return "pt" }
func (f *file) Arrays() []array.Info { return f.infos }
func (f *file) Close() error         { return nil }

// directory lists the records, which must be stored as they are, apart from each other, in one
// folder.
func (f *file) directory(head []byte) error {
	if len(head) < 30 || string(head[:4]) != "PK\x03\x04" {
		return array.Errorf(array.Malformed, "", "the file does not begin with a zip record (PK)")
	}
	z, err := zip.NewReader(&frugal{f.r, maxDirectory}, f.size)
	if err != nil {
		if errors.Is(err, errDirectory) {
			return array.Errorf(array.TooLarge, "", "the zip directory is larger than %d MB", maxDirectory>>20)
		}
		return array.Errorf(array.Truncated, "", "no zip directory at the end of the file (%v): is the file whole?", err)
	}
	end := make([]byte, 4)
	if err := array.ReadFull(f.r, end, f.size-22-int64(len(z.Comment))); err != nil || string(end) != "PK\x05\x06" {
		return array.Errorf(array.Malformed, "", "bytes follow the end of the zip")
	}

	folder := ""
	for _, e := range z.File {
		if name, ok := strings.CutSuffix(e.Name, "/data.pkl"); ok && !strings.Contains(name, "/") {
			if folder != "" {
				return array.Errorf(array.Malformed, "", "two pickles, %.80q and %.80q: a .pt holds one", folder, e.Name)
			}
			folder = name + "/"
		}
	}
	if folder == "" {
		return array.Errorf(array.Unsupported, "", "a zip without a data.pkl: an exported program, or not written by torch.save")
	}
	if slices.ContainsFunc(z.File, func(e *zip.File) bool { return e.Name == folder+"constants.pkl" }) {
		return array.Errorf(array.Unsupported, "", "a TorchScript program: save a state_dict or features with torch.save")
	}
	f.records = make(map[string]record, len(z.File))
	spans := make([]record, 0, len(z.File))
	for _, e := range z.File {
		name, ok := strings.CutPrefix(e.Name, folder)
		switch _, twice := f.records[name]; {
		case !ok:
			return array.Errorf(array.Malformed, "", "record %.80q lies outside the folder %.80q", e.Name, folder)
		case twice:
			return array.Errorf(array.Malformed, "", "two records are named %.80q", e.Name)
		case e.Flags&1 != 0:
			return array.Errorf(array.Unsupported, "", "record %.80q is encrypted", e.Name)
		case e.Method != zip.Store || e.CompressedSize64 != e.UncompressedSize64:
			return array.Errorf(array.Unsupported, "", "record %.80q is compressed: the file was packed again after torch.save", e.Name)
		}
		offset, err := e.DataOffset()
		if n := int64(e.UncompressedSize64); err != nil || n < 0 || offset > f.size || n > f.size-offset {
			return array.Errorf(array.Truncated, "", "record %.80q (%d bytes) does not lie inside the file", e.Name, e.UncompressedSize64)
		}
		f.records[name] = record{offset, int64(e.UncompressedSize64), e.CRC32}
		spans = append(spans, f.records[name])
	}
	slices.SortFunc(spans, func(a, b record) int { return int(min(1, max(-1, a.offset-b.offset))) })
	for i, s := range spans {
		if i > 0 && spans[i-1].offset+spans[i-1].size > s.offset {
			return array.Errorf(array.Malformed, "", "records of the zip overlap at byte %d", s.offset)
		}
	}
	first := 30 + int64(binary.LittleEndian.Uint16(head[26:])) + int64(binary.LittleEndian.Uint16(head[28:]))
	if spans[0].offset != first {
		return array.Errorf(array.Malformed, "", "data before the first record of the zip")
	}

	if b, ok := f.records["byteorder"]; ok {
		order := make([]byte, min(b.size, 16))
		if err := array.ReadFull(f.r, order, b.offset); err != nil {
			return err
		}
		if string(order) != "little" {
			return array.Errorf(array.Unsupported, "", "byte order %q: only little-endian files are read", order)
		}
	}
	return nil
}

func (f *file) pickle() ([]byte, error) {
	p := f.records["data.pkl"]
	if p.size > f.budget {
		return nil, array.Errorf(array.TooLarge, "", "data.pkl has %d bytes, the memory budget is %d", p.size, f.budget)
	}
	data := make([]byte, p.size)
	if err := array.ReadFull(f.r, data, p.offset); err != nil {
		return nil, err
	}
	if p.crc != 0 && crc32.ChecksumIEEE(data) != p.crc {
		return nil, array.Errorf(array.Malformed, "", "the check sum of data.pkl does not match: the file is damaged")
	}
	return data, nil
}

// collect finds the arrays in a value. A pickle may share a value, or hold itself, so depth and
// number of visits are bounded.
func (f *file) collect(v any, path []string) error {
	if f.nodes++; f.nodes > maxNodes || len(path) > maxDepth {
		return array.Errorf(array.TooLarge, "", "more than %d values, or values nested deeper than %d", maxNodes, maxDepth)
	}
	in := func(key string, v any) error {
		switch v.(type) {
		case tuple, *list, *dict, *tensor, *ndarray:
			return f.collect(v, append(path, key))
		}
		return nil
	}
	switch v := v.(type) {
	case *tensor, *ndarray:
		return f.add(path, v)
	case tuple:
		return each(v, in)
	case *list:
		return each(v.items, in)
	case *dict:
		for i, k := range v.keys {
			key := strconv.Itoa(i)
			switch k := k.(type) {
			case string:
				key = k
			case int64:
				key = strconv.FormatInt(k, 10)
			}
			if err := in(key, v.values[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func each(items []any, in func(string, any) error) error {
	for i, v := range items {
		if err := in(strconv.Itoa(i), v); err != nil {
			return err
		}
	}
	return nil
}

// add lists an array, once it is known to be one that can be read.
func (f *file) add(path []string, v any) error {
	for _, key := range path { // before they are joined: a key may be long, and shared by many
		f.names += len(key) + 1
	}
	if len(f.infos) >= maxArrays || f.names > maxNames {
		return array.Errorf(array.TooLarge, "", "more than %d arrays, or names longer than %d MB together", maxArrays, maxNames>>20)
	}
	name := strings.Join(path, "/")
	if len(path) == 0 {
		name = "tensor"
	}
	_, twice := f.arrays[name]
	switch {
	case !utf8.ValidString(name):
		return array.Errorf(array.Malformed, "", "an array's name is no text: %.40q", name)
	case name == "":
		return array.Errorf(array.Malformed, "", "an array has the empty name")
	case twice:
		return array.Errorf(array.Malformed, name, "two arrays have this name")
	}
	var info array.Info
	var err error
	switch v := v.(type) {
	case *tensor:
		info, err = f.checkTensor(name, v)
	case *ndarray:
		info, err = checkNumPy(name, v)
	}
	if err != nil {
		return err
	}
	if f.arrays == nil {
		f.arrays = map[string]any{}
	}
	f.infos = append(f.infos, info)
	f.arrays[name] = v
	return nil
}

// checkTensor proves that every element of the tensor lies inside its storage, and the storage
// inside its record.
func (f *file) checkTensor(name string, t *tensor) (array.Info, error) {
	info := array.Info{Name: name, DType: t.dtype, Shape: t.shape}
	fail := func(kind array.Kind, format string, args ...any) (array.Info, error) {
		return info, array.Errorf(kind, name, format, args...)
	}
	if n := max(len(t.shape), len(t.strides)); n > maxRank {
		return fail(array.Unsupported, "%d axes, at most %d are read", n, maxRank)
	}
	if len(t.strides) != len(t.shape) {
		return fail(array.Malformed, "size %v with stride %v", t.shape, t.strides)
	}
	bytes, ok := info.Bytes()
	if !ok {
		return fail(array.Malformed, "size %v is negative or too large for any file", t.shape)
	}
	rec, ok := f.records["data/"+t.key]
	if !ok {
		return fail(array.Malformed, "its storage %.40q is not in the file", t.key)
	}
	unit := int64(max(1, t.storage.dtype.Size())) // an untyped storage counts bytes
	if t.size < 0 || t.size != rec.size/unit || rec.size%unit != 0 {
		return fail(array.Malformed, "its storage has %d elements of %d bytes, the record has %d bytes", t.size, unit, rec.size)
	}
	item := int64(t.dtype.Size())
	elements := rec.size / item
	if last, ok := t.last(); !ok || last >= elements {
		return fail(array.Malformed, "size %v, stride %v and offset %d reach outside the storage of %d elements",
			t.shape, t.strides, t.offset, elements)
	}
	if bytes/item > elements && bytes > f.budget { // an expanded view: bounded by no file
		return fail(array.TooLarge, "an expanded view of %d bytes, the memory budget is %d: save a copy (.contiguous())", bytes, f.budget)
	}
	return info, nil
}

// last is the index in the storage of the tensor's last element; it reports false if that is no
// index.
func (t *tensor) last() (int64, bool) {
	if t.offset < 0 {
		return 0, false
	}
	last := t.offset
	for i, n := range t.shape {
		if t.strides[i] < 0 {
			return 0, false
		}
		if n == 0 {
			return t.offset - 1, true
		}
		hi, span := bits.Mul64(uint64(n-1), uint64(t.strides[i]))
		last += int64(span)
		if hi != 0 || int64(span) < 0 || last < 0 {
			return 0, false
		}
	}
	return last, true
}

// codes are the NumPy dtypes that are read.
var codes = map[string]array.DType{
	"b1": array.Bool, "i1": array.Int8, "u1": array.Uint8, "i2": array.Int16, "u2": array.Uint16,
	"i4": array.Int32, "u4": array.Uint32, "i8": array.Int64, "u8": array.Uint64,
	"f2": array.Float16, "f4": array.Float32, "f8": array.Float64,
}

func checkNumPy(name string, a *ndarray) (array.Info, error) {
	info := array.Info{Name: name, Shape: a.shape}
	if a.dtype == nil {
		return info, array.Errorf(array.Malformed, name, "a NumPy array without its contents")
	}
	if info.DType = codes[a.dtype.code]; info.DType == array.Invalid {
		info.Refused = array.Errorf(array.Unsupported, name, "NumPy dtype %.20q: only numbers and booleans are read", a.dtype.code)
		return info, nil
	}
	if len(a.shape) > maxRank {
		return info, array.Errorf(array.Unsupported, name, "%d axes, at most %d are read", len(a.shape), maxRank)
	}
	if n, ok := info.Bytes(); !ok || n != int64(len(a.data)) {
		return info, array.Errorf(array.Malformed, name, "%s in %d bytes", info, len(a.data))
	}
	return info, nil
}

// Open makes an array to read from. The check sum of a tensor's record is compared the first time,
// so that reading at any row afterwards reads what was written.
func (f *file) Open(name string) (array.Array, error) {
	i := slices.IndexFunc(f.infos, func(a array.Info) bool { return a.Name == name })
	if i < 0 {
		return nil, array.Errorf(array.NotFound, name, "no such array")
	}
	info := f.infos[i]
	if info.Refused != nil {
		return nil, info.Refused
	}
	switch a := f.arrays[name].(type) {
	case *ndarray:
		l := array.Layout{BigEndian: a.dtype.bigEndian}
		if a.fortran {
			l.Strides = array.Fortran(a.shape)
		}
		return array.At(info, bytes.NewReader(a.data), 0, l), nil
	case *tensor:
		if err := f.compare(a.key); err != nil {
			return nil, array.Errorf(array.Malformed, name, "%v", err)
		}
		offset := f.records["data/"+a.key].offset + a.offset*int64(a.dtype.Size())
		return array.At(info, f.r, offset, array.Layout{Strides: a.layout()}), nil
	}
	panic("unreachable")
}

// layout is the tensor's strides, nil if they are those of C order.
func (t *tensor) layout() []int {
	s := slices.Clone(t.strides)
	order, n := true, 1
	for i := len(s) - 1; i >= 0; i-- {
		if t.shape[i] == 1 {
			s[i] = n // any stride will do
		}
		order = order && s[i] == n
		n *= t.shape[i]
	}
	if order {
		return nil
	}
	return s
}

func (f *file) compare(key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	rec := f.records["data/"+key]
	if f.checked[key] || rec.crc == 0 {
		return nil
	}
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, io.NewSectionReader(f.r, rec.offset, rec.size)); err != nil {
		return err
	}
	if sum.Sum32() != rec.crc {
		return fmt.Errorf("the check sum of its storage %q does not match: the file is damaged", key)
	}
	f.checked[key] = true
	return nil
}

// frugal hands out no more than left bytes: archive/zip reads only the directory through it, into
// memory.
type frugal struct {
	io.ReaderAt
	left int64
}

var errDirectory = errors.New("the directory is too large")

func (r *frugal) ReadAt(p []byte, offset int64) (int, error) {
	if r.left -= int64(len(p)); r.left < 0 {
		return 0, errDirectory
	}
	return r.ReaderAt.ReadAt(p, offset)
}
