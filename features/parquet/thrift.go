package parquet

import (
	"encoding/binary"
	"iter"

	"github.com/collapsar/collapsar/internal/array"
)

// thrift reads the compact protocol that parquet's footer and page headers are written in. The
// first complaint stays in err, after which everything is zero and every loop ends.
type thrift struct {
	b     []byte
	pos   int
	depth int
	err   *array.Error
}

// Types of the protocol.
const (
	tTrue   = 1
	tFalse  = 2
	tByte   = 3
	tI16    = 4
	tI32    = 5
	tI64    = 6
	tDouble = 7
	tBinary = 8
	tList   = 9
	tSet    = 10
	tMap    = 11
	tStruct = 12
	tUUID   = 13
)

func (t *thrift) fail(kind array.Kind, format string, args ...any) {
	if t.err == nil {
		t.err = array.Errorf(kind, "", format, args...)
		t.pos = len(t.b)
	}
}

func (t *thrift) take(n uint64) []byte {
	if n > uint64(len(t.b)-t.pos) {
		t.fail(array.Truncated, "metadata end early")
		return nil
	}
	b := t.b[t.pos : t.pos+int(n)]
	t.pos += int(n)
	return b
}

func (t *thrift) byte() byte {
	if b := t.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (t *thrift) uvarint() uint64 {
	v, n := binary.Uvarint(t.b[t.pos:])
	if n == 0 {
		t.fail(array.Truncated, "metadata end early")
	} else if n < 0 {
		t.fail(array.Malformed, "a number in the metadata has more than 64 bits")
	} else {
		t.pos += n
	}
	return v
}

func (t *thrift) varint() int64 {
	v := t.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// fields walks the fields of a struct: number and type. The body reads the value.
func (t *thrift) fields(typ byte) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		if typ != tStruct {
			t.fail(array.Malformed, "metadata hold type %d in place of a struct", typ)
		}
		if t.depth++; t.depth > 32 {
			t.fail(array.Malformed, "metadata nested deeper than 32")
		}
		for id := 0; t.err == nil; {
			head := t.byte()
			if head == 0 {
				break
			}
			if delta := int(head >> 4); delta != 0 {
				id += delta
			} else {
				id = int(int16(t.varint()))
			}
			if !yield(id, head&15) {
				break
			}
		}
		t.depth--
	}
}

// list walks the elements of a list and yields their type. The body reads the element.
func (t *thrift) list(typ byte) iter.Seq[byte] {
	return func(yield func(byte) bool) {
		if typ != tList && typ != tSet {
			t.fail(array.Malformed, "metadata hold type %d in place of a list", typ)
		}
		head := t.byte()
		n := uint64(head >> 4)
		if n == 15 {
			n = t.uvarint()
		}
		if n > uint64(len(t.b)-t.pos) { // every element takes a byte
			t.fail(array.Truncated, "a list of %d in %d bytes of metadata", n, len(t.b)-t.pos)
		}
		for ; n > 0 && t.err == nil; n-- {
			if !yield(head & 15) {
				break
			}
		}
	}
}

func (t *thrift) int(typ byte) int64 {
	switch typ {
	case tByte:
		return int64(int8(t.byte()))
	case tI16, tI32, tI64:
		return t.varint()
	}
	t.fail(array.Malformed, "metadata hold type %d in place of an integer", typ)
	return 0
}

func (t *thrift) bool(typ byte) bool {
	if typ != tTrue && typ != tFalse {
		t.fail(array.Malformed, "metadata hold type %d in place of a boolean", typ)
	}
	return typ == tTrue
}

func (t *thrift) binary(typ byte) []byte {
	if typ != tBinary {
		t.fail(array.Malformed, "metadata hold type %d in place of a string", typ)
		return nil
	}
	return t.take(t.uvarint())
}

// skip passes over a field's value.
func (t *thrift) skip(typ byte) {
	if typ == tTrue || typ == tFalse { // in the type
		return
	}
	t.skipElement(typ)
}

// skipElement passes over a value in a list, where booleans take a byte.
func (t *thrift) skipElement(typ byte) {
	switch typ {
	case tTrue, tFalse, tByte:
		t.take(1)
	case tI16, tI32, tI64:
		t.uvarint()
	case tDouble:
		t.take(8)
	case tUUID:
		t.take(16)
	case tBinary:
		t.take(t.uvarint())
	case tList, tSet:
		if t.depth++; t.depth > 32 {
			t.fail(array.Malformed, "metadata nested deeper than 32")
		}
		for typ := range t.list(typ) {
			t.skipElement(typ)
		}
		t.depth--
	case tMap:
		if t.depth++; t.depth > 32 {
			t.fail(array.Malformed, "metadata nested deeper than 32")
		}
		if n := t.uvarint(); n > 0 {
			kv := t.byte()
			for ; n > 0 && t.err == nil; n-- {
				t.skipElement(kv >> 4)
				t.skipElement(kv & 15)
			}
		}
		t.depth--
	case tStruct:
		for _, typ := range t.fields(typ) {
			t.skip(typ)
		}
	default:
		t.fail(array.Malformed, "metadata hold the unknown type %d", typ)
	}
}
