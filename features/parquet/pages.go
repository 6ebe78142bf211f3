package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/collapsar/collapsar/internal/array"
)

// pages is a column as a stream of the bytes of its elements, in little-endian order: what
// array.Stream wants. It holds one page and one dictionary at a time.
type pages struct {
	r      io.ReaderAt
	col    *column
	memory *memory

	group       int   // chunks begun
	offset, end int64 // of the chunk's pages still to come
	values      int64 // of the chunk's pages still to come
	row         int64 // rows complete so far
	at          int   // place in the list of the row begun

	stored     []byte // a page as in the file
	plain      []byte // the same, decompressed
	dictionary []byte // elements

	left  int64             // values of the page not yet decoded
	fill  func([]byte) bool // decodes the next values; false if the page ends before
	block [8 << 10]byte     // decoded values

	lists *lists // of a column of tags
	rest  []byte // of block, to be handed out
}

func (p *pages) Read(dst []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.left == 0 {
			if err := p.next(); err != nil {
				return 0, err
			}
			continue
		}
		size := p.col.dtype.Size()
		n := min(p.left, int64(len(p.block)/size))
		if p.rest = p.block[:int(n)*size]; !p.fill(p.rest) {
			p.rest, p.left = nil, 0
			return 0, p.malformed("the values of a page end early, or are not in its dictionary")
		}
		p.left -= n
	}
	n := copy(dst, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pages) Close() error {
	for _, b := range []*[]byte{&p.stored, &p.plain, &p.dictionary} {
		p.memory.put(*b)
		*b = nil
	}
	return nil
}

// next reads a page, with its values in rest if it has any. It is io.EOF after the last page.
func (p *pages) next() error {
	for p.values == 0 {
		if p.group == len(p.col.chunks) {
			if p.at != 0 {
				return array.Errorf(array.Inconsistent, "", "row %d has %d elements, %d were expected", p.row, p.at, p.col.width)
			}
			return io.EOF
		}
		c := p.col.chunks[p.group]
		p.group++
		p.offset, p.end, p.values = c.offset, c.offset+c.size, c.values
		p.dictionary = p.dictionary[:0]
		if p.lists != nil {
			p.lists.words = nil
		}
	}
	h, err := p.header()
	if err != nil {
		return err
	}
	if h.kind != pageData && h.kind != pageData2 && h.kind != pageDictionary {
		p.offset += h.stored // an index
		return nil
	}
	if err := p.grow(&p.stored, h.stored); err != nil {
		return err
	}
	if err := array.ReadFull(p.r, p.stored, p.offset); err != nil {
		return err
	}
	p.offset += h.stored
	if h.hasCRC && crc32.ChecksumIEEE(p.stored) != h.crc {
		return p.malformed("the check sum of a page does not match: the file is damaged")
	}

	switch h.kind {
	case pageDictionary:
		data, err := p.decompress(p.stored, h.plain)
		if err != nil {
			return err
		}
		if h.encoding != encPlain && h.encoding != encPlainDictionary {
			return p.unsupported("a dictionary in encoding %d", h.encoding)
		}
		size := int64(p.col.dtype.Size())
		if p.col.text {
			if err := p.grow(&p.dictionary, int64(len(data))); err != nil {
				return err
			}
			copy(p.dictionary, data)
			p.lists.words, err = texts(p.dictionary, h.values)
			return err
		}
		if p.col.dtype == array.Bool || h.values > int64(len(data))/size {
			return p.malformed("a dictionary of %d values in %d bytes", h.values, len(data))
		}
		if err := p.grow(&p.dictionary, h.values*size); err != nil {
			return err
		}
		copy(p.dictionary, data)
		return nil
	case pageData:
		data, err := p.decompress(p.stored, h.plain)
		if err != nil {
			return err
		}
		var rep, def []byte
		if p.col.maxRep > 0 {
			if rep, data, err = p.prefixed(data, h.repEncoding); err != nil {
				return err
			}
		}
		if p.col.maxDef > 0 {
			if def, data, err = p.prefixed(data, h.defEncoding); err != nil {
				return err
			}
		}
		return p.data(h, rep, def, data)
	default:
		levels := h.repBytes + h.defBytes
		if h.repBytes < 0 || h.defBytes < 0 || levels > h.stored || levels > h.plain {
			return p.malformed("a page of %d bytes with %d bytes of levels", h.stored, levels)
		}
		rep, def, data := p.stored[:h.repBytes], p.stored[h.repBytes:levels], p.stored[levels:]
		if h.compressed {
			if data, err = p.decompress(data, h.plain-levels); err != nil {
				return err
			}
		}
		return p.data(h, rep, def, data)
	}
}

// data checks the levels of a page, which must describe full rows without nulls, and decodes its
// values.
func (p *pages) data(h *header, rep, def, data []byte) error {
	if h.values > p.values {
		return p.malformed("a page of %d values, %d are left in the row group", h.values, p.values)
	}
	if p.col.tags {
		p.values -= h.values
		return p.listPage(h, rep, def, data)
	}
	if err := p.levels(rep, def, h.values); err != nil {
		return err
	}
	p.values -= h.values
	return p.decode(h, data)
}

// levels walks the repetition levels (0 begins a row) and definition levels (less than the highest
// is a null or an empty list) of n values.
func (p *pages) levels(rep, def []byte, n int64) error {
	if n > 0 && p.col.maxRep == 0 && p.col.maxDef == 0 {
		p.row += n
		return nil
	}
	var reps, defs [512]uint32
	r, d := hybrid{b: rep, width: 1}, hybrid{b: def, width: uint(bits.Len(uint(p.col.maxDef)))}
	for n > 0 {
		k := int(min(n, int64(len(reps))))
		if p.col.maxRep > 0 && !r.read(reps[:k]) || p.col.maxDef > 0 && !d.read(defs[:k]) {
			return p.malformed("the levels of a page end early")
		}
		for i := range k {
			if p.col.maxRep == 0 {
				if defs[i] != uint32(p.col.maxDef) {
					return p.null()
				}
				p.row++
				continue
			}
			switch {
			case reps[i] == 0 && p.at > 0:
				return array.Errorf(array.Inconsistent, "", "row %d has %d elements, %d were expected", p.row, p.at, p.col.width)
			case reps[i] != 0 && p.at == 0 && p.row == 0:
				return p.malformed("the first row does not begin")
			case reps[i] != 0 && p.at == 0:
				return array.Errorf(array.Inconsistent, "", "row %d has more than the %d elements that were expected", p.row-1, p.col.width)
			case defs[i] != uint32(p.col.maxDef):
				return p.null()
			}
			if p.at++; p.at == p.col.width {
				p.at = 0
				p.row++
			}
		}
		n -= int64(k)
	}
	return nil
}

func (p *pages) null() error {
	if p.col.maxRep > 0 {
		return array.Errorf(array.Inconsistent, "", "row %d holds a null or an empty list", p.row)
	}
	return array.Errorf(array.Inconsistent, "", "row %d holds a null", p.row)
}

// decode prepares fill for the page's values. All of them are there, as there are no nulls.
func (p *pages) decode(h *header, data []byte) error {
	size := p.col.dtype.Size()
	isBool := p.col.dtype == array.Bool
	switch {
	case isBool && h.encoding == encPlain:
		p.fill = indexes(hybrid{packed: data, left: math.MaxInt64, width: 1}, []byte{0, 1}, 1)
	case isBool && h.encoding == encRLE:
		bits, _, err := p.prefixed(data, encRLE)
		if err != nil {
			return err
		}
		p.fill = indexes(hybrid{b: bits, width: 1}, []byte{0, 1}, 1)
	case h.encoding == encPlain:
		p.fill = func(dst []byte) bool {
			n := copy(dst, data)
			data = data[n:]
			return n == len(dst)
		}
	case isBool:
		return p.unsupported("booleans in encoding %d: write them with plain encoding", h.encoding)
	case h.encoding == encDictionary || h.encoding == encPlainDictionary:
		if h.values > 0 && (len(data) == 0 || data[0] > 32) {
			return p.malformed("dictionary indexes without their width")
		}
		if h.values > 0 {
			p.fill = indexes(hybrid{b: data[1:], width: uint(data[0])}, p.dictionary, size)
		}
	case h.encoding == encSplit:
		if h.values > int64(len(data)/size) {
			return p.malformed("%d values of %d bytes in a page of %d", h.values, size, len(data))
		}
		p.fill = split(data, int(h.values), size)
	case h.encoding == encDelta && p.col.dtype.IsInteger():
		p.fill = deltas(data, size)
	default:
		return p.unsupported("values in encoding %d: write them with plain or dictionary encoding", h.encoding)
	}
	p.left = h.values
	return nil
}

// prefixed takes off a part that its length precedes, as the levels of a first-version page have it.
func (p *pages) prefixed(data []byte, encoding int) (part, rest []byte, err error) {
	if encoding != encRLE {
		return nil, nil, p.unsupported("levels in encoding %d", encoding)
	}
	if len(data) >= 4 {
		if n := uint64(binary.LittleEndian.Uint32(data)); n <= uint64(len(data)-4) {
			return data[4 : 4+n], data[4+n:], nil
		}
	}
	return nil, nil, p.malformed("the levels of a page end early")
}

// decompress returns the size bytes that data stand for. Every decoder is held to that size.
func (p *pages) decompress(data []byte, size int64) ([]byte, error) {
	codec := p.col.chunks[p.group-1].codec
	if codec == 0 {
		if int64(len(data)) != size {
			return nil, p.malformed("an uncompressed page of %d bytes that declares %d", len(data), size)
		}
		return data, nil
	}
	if expands := map[int]int64{1: 64, 2: 1100, 6: 1 << 15}[codec]; expands > 0 && size/expands > int64(len(data)) { // the most that is possible
		return nil, p.malformed("%d bytes of %s cannot stand for %d", len(data), codecName(codec), size)
	}
	if err := p.grow(&p.plain, size); err != nil {
		return nil, err
	}
	switch codec {
	case 1:
		if n, err := snappy.DecodedLen(data); err != nil || int64(n) != size {
			return nil, p.malformed("a page whose Snappy data do not have the %d bytes declared", size)
		}
		if _, err := snappy.Decode(p.plain, data); err != nil {
			return nil, p.malformed("a page does not decompress: %v", err)
		}
	case 2:
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err == nil {
			if _, err = io.ReadFull(z, p.plain); err == nil {
				var one [1]byte
				if n, end := io.ReadFull(z, one[:]); n > 0 || end != io.EOF {
					return nil, p.malformed("a page whose gzip data do not have the %d bytes declared", size)
				}
			}
		}
		if err != nil {
			return nil, p.malformed("a page does not decompress: %v", err)
		}
	case 6:
		z, err := unzip()
		if err != nil {
			return nil, err
		}
		out, err := z.DecodeAll(data, p.plain[:0:size])
		if err != nil {
			return nil, p.malformed("a page does not decompress: %v", err)
		}
		if int64(len(out)) != size {
			return nil, p.malformed("a page whose Zstandard data do not have the %d bytes declared", size)
		}
	default:
		return nil, p.unsupported("compression %s: write the file with snappy, gzip, zstd or none", codecName(codec))
	}
	return p.plain, nil
}

// unzip is the decoder that all share; it starts nothing and fills no more than it is given.
var unzip = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
})

func codecName(codec int) string {
	names := []string{"none", "snappy", "gzip", "LZO", "Brotli", "LZ4 (old)", "zstd", "LZ4"}
	if codec < 0 || codec >= len(names) {
		return "of an unknown kind"
	}
	return names[codec]
}

// grow makes a buffer n bytes long. What it held is lost.
func (p *pages) grow(b *[]byte, n int64) error {
	if n <= int64(cap(*b)) {
		*b = (*b)[:n]
		return nil
	}
	p.memory.put(*b)
	if *b = p.memory.get(n); *b == nil {
		return array.Errorf(array.TooLarge, "", "a page of %d bytes needs more than the memory budget of %d", n, p.memory.budget)
	}
	return nil
}

// Page headers.

const (
	pageData       = 0
	pageDictionary = 2
	pageData2      = 3

	encPlain           = 0
	encPlainDictionary = 2
	encRLE             = 3
	encDelta           = 5
	encDictionary      = 8
	encSplit           = 9
)

type header struct {
	kind          int
	plain, stored int64 // bytes decompressed, and in the file
	crc           uint32
	hasCRC        bool
	values        int64
	encoding      int

	defEncoding, repEncoding int   // first version
	defBytes, repBytes       int64 // second version
	compressed               bool
}

// header reads the next page's header. Statistics may make it long, but rarely do.
func (p *pages) header() (*header, error) {
	for _, window := range []int64{1 << 10, 1 << 20} {
		window = min(window, p.end-p.offset)
		if err := p.grow(&p.stored, window); err != nil {
			return nil, err
		}
		if err := array.ReadFull(p.r, p.stored, p.offset); err != nil {
			return nil, err
		}
		t := &thrift{b: p.stored}
		h := readHeader(t)
		if t.err != nil {
			if t.err.Kind == array.Truncated && window < p.end-p.offset {
				continue
			}
			t.err.Message = "a page header: " + t.err.Message
			return nil, t.err
		}
		p.offset += int64(t.pos)
		if h.plain < 0 || h.values < 0 || h.stored < 0 || h.stored > p.end-p.offset {
			return nil, p.malformed("a page of %d bytes and %d values, with %d bytes left", h.stored, h.values, p.end-p.offset)
		}
		return h, nil
	}
	return nil, p.malformed("a page header of more than a megabyte")
}

func readHeader(t *thrift) *header {
	h := &header{kind: -1, plain: -1, stored: -1, encoding: -1, compressed: true}
	for id, typ := range t.fields(tStruct) {
		switch id {
		case 1:
			h.kind = int(t.int(typ))
		case 2:
			h.plain = t.int(typ)
		case 3:
			h.stored = t.int(typ)
		case 4:
			h.crc, h.hasCRC = uint32(t.int(typ)), true
		case 5, 7:
			for id, typ := range t.fields(typ) {
				switch id {
				case 1:
					h.values = t.int(typ)
				case 2:
					h.encoding = int(t.int(typ))
				case 3:
					if typ == tTrue || typ == tFalse { // a dictionary's: sorted
						continue
					}
					h.defEncoding = int(t.int(typ))
				case 4:
					h.repEncoding = int(t.int(typ))
				default:
					t.skip(typ)
				}
			}
		case 8:
			for id, typ := range t.fields(typ) {
				switch id {
				case 1:
					h.values = t.int(typ)
				case 4:
					h.encoding = int(t.int(typ))
				case 5:
					h.defBytes = t.int(typ)
				case 6:
					h.repBytes = t.int(typ)
				case 7:
					h.compressed = t.bool(typ)
				default:
					t.skip(typ)
				}
			}
		default:
			t.skip(typ)
		}
	}
	return h
}

func (p *pages) malformed(format string, args ...any) error {
	return array.Errorf(array.Malformed, "", format, args...)
}

func (p *pages) unsupported(format string, args ...any) error {
	return array.Errorf(array.Unsupported, "", format, args...)
}
