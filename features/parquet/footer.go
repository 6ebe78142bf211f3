package parquet

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/collapsar/collapsar/internal/array"
)

// Codes of the format that matter here.
const (
	typeBoolean = 0
	typeInt32   = 1
	typeInt64   = 2
	typeInt96   = 3
	typeFloat   = 4
	typeDouble  = 5
	typeBytes   = 6
	typeFixed   = 7

	required = 0
	optional = 1
	repeated = 2

	convertedList   = 3
	convertedUint8  = 11 // to Uint64, 14
	convertedInt8   = 15 // to Int64, 18
	logicalList     = 3
	logicalInteger  = 10
	logicalFloat16  = 15
	maxFooter       = 64 << 20
	maxList         = 1 << 20
	bytesPerElement = 256 // memory charged for a node of the schema, at least what it takes
	bytesPerChunk   = 96
)

// node is an element of the schema.
type node struct {
	name       string
	typ        int // -1 for a group
	length     int // of a fixed-length byte array
	repetition int
	converted  int // -1 for none
	logical    int // 0 for none
	unsigned   bool
	children   []*node
	leaves     int // columns below, itself included
}

// chunk is the part of a column that lies in one row group.
type chunk struct {
	codec  int
	typ    int
	values int64 // levels stored: elements, and a place for every null and empty list
	offset int64
	size   int64 // in the file
	rows   int64
}

// column is a leaf of the schema with its chunks.
type column struct {
	dtype    array.DType
	typ      int
	width    int // list length, 0 for a scalar column
	maxRep   int
	maxDef   int
	tags     bool // lists of tags, of any length: numbers, or text
	text     bool
	nullable bool  // an element of a list may be null
	elements int64 // stored in all chunks
	chunks   []chunk
}

// footer is what the end of the file says.
type footer struct {
	rows   int64
	root   *node
	chunks [][]chunk // by leaf, then by row group
}

// readFooter reads and checks the metadata, which the memory budget bounds.
func readFooter(r io.ReaderAt, size, budget int64) (*footer, error) {
	var head, tail [8]byte
	if size < 12 {
		return nil, array.Errorf(array.Truncated, "", "%d bytes are no parquet file", size)
	}
	if err := array.ReadFull(r, head[:4], 0); err != nil {
		return nil, err
	}
	if err := array.ReadFull(r, tail[:], size-8); err != nil {
		return nil, err
	}
	const encrypted = "the file is encrypted: only plain parquet is read"
	switch {
	case string(head[:4]) == "PARE" || string(tail[4:]) == "PARE":
		return nil, array.Errorf(array.Unsupported, "", encrypted)
	case string(head[:4]) != "PAR1":
		return nil, array.Errorf(array.Malformed, "", "the file does not begin with PAR1")
	case string(tail[4:]) != "PAR1":
		return nil, array.Errorf(array.Truncated, "", "the file does not end with PAR1: is it whole?")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if n > size-12 {
		return nil, array.Errorf(array.Malformed, "", "a footer of %d bytes in a file of %d", n, size)
	}
	if n > min(maxFooter, budget) {
		return nil, array.Errorf(array.TooLarge, "", "a footer of %d bytes, at most %d are read", n, min(maxFooter, budget))
	}
	b := make([]byte, n)
	if err := array.ReadFull(r, b, size-8-n); err != nil {
		return nil, err
	}

	t := &thrift{b: b}
	f := &footer{rows: -1}
	budget -= n
	var nodes []*node
	var groups []int64 // rows of each row group
	for id, typ := range t.fields(tStruct) {
		switch id {
		case 2:
			for typ := range t.list(typ) {
				if budget -= bytesPerElement; budget < 0 {
					t.fail(array.TooLarge, "a schema that needs more than the memory budget")
				}
				nodes = append(nodes, readNode(t, typ))
			}
		case 3:
			f.rows = t.int(typ)
		case 4:
			for typ := range t.list(typ) {
				if f.chunks == nil { // the schema comes first, as its number is lower
					f.chunks = make([][]chunk, len(nodes))
				}
				groups = append(groups, f.readGroup(t, typ, &budget))
			}
		case 8:
			t.fail(array.Unsupported, encrypted)
		default:
			t.skip(typ)
		}
	}
	if t.err != nil {
		return nil, t.err
	}
	if err := f.tree(nodes); err != nil {
		return nil, err
	}
	return f, f.check(groups, size-8-n)
}

func readNode(t *thrift, typ byte) *node {
	n := &node{typ: -1, converted: -1}
	children := int64(0)
	for id, typ := range t.fields(typ) {
		switch id {
		case 1:
			n.typ = int(t.int(typ))
		case 2:
			n.length = int(t.int(typ))
		case 3:
			n.repetition = int(t.int(typ))
		case 4:
			n.name = string(t.binary(typ))
		case 5:
			children = t.int(typ)
		case 6:
			n.converted = int(t.int(typ))
		case 10:
			for id, typ := range t.fields(typ) { // a union
				n.logical = id
				if id != logicalInteger {
					t.skip(typ)
					continue
				}
				for id, typ := range t.fields(typ) {
					if id == 2 {
						n.unsigned = !t.bool(typ)
					} else {
						t.skip(typ)
					}
				}
			}
		default:
			t.skip(typ)
		}
	}
	if children < 0 || children > int64(len(t.b)) || children > 0 && n.typ >= 0 {
		t.fail(array.Malformed, "schema element %.80q with %d children", n.name, children)
	}
	n.leaves = int(children) // until the tree is made
	return n
}

// tree puts the schema's elements, which come depth first, below each other.
func (f *footer) tree(nodes []*node) error {
	next := 0
	var build func(depth int) *node
	build = func(depth int) *node {
		if next == len(nodes) || depth > 32 {
			return nil
		}
		n := nodes[next]
		next++
		children := n.leaves
		n.leaves = 0
		if n.typ >= 0 {
			n.leaves = 1
		}
		for range children {
			c := build(depth + 1)
			if c == nil {
				return nil
			}
			n.children = append(n.children, c)
			n.leaves += c.leaves
		}
		return n
	}
	if f.root = build(0); f.root == nil || next != len(nodes) {
		return array.Errorf(array.Malformed, "", "a schema of %d elements that is no tree", len(nodes))
	}
	return nil
}

func (f *footer) readGroup(t *thrift, typ byte, budget *int64) (rows int64) {
	leaf := 0
	for id, typ := range t.fields(typ) {
		switch id {
		case 1:
			for typ := range t.list(typ) {
				if *budget -= bytesPerChunk; *budget < 0 {
					t.fail(array.TooLarge, "row groups that need more than the memory budget")
				}
				c := readChunk(t, typ)
				if leaf == len(f.chunks) {
					t.fail(array.Malformed, "a row group of more columns than the schema has")
				}
				if t.err == nil {
					f.chunks[leaf] = append(f.chunks[leaf], c)
					leaf++
				}
			}
		case 3:
			rows = t.int(typ)
		default:
			t.skip(typ)
		}
	}
	for _, chunks := range f.chunks[:leaf] {
		chunks[len(chunks)-1].rows = rows
	}
	return rows
}

func readChunk(t *thrift, typ byte) chunk {
	c := chunk{typ: -1, codec: -1, values: -1, offset: -1, size: -1}
	dictionary := int64(0)
	for id, typ := range t.fields(typ) {
		switch id {
		case 1:
			if name := t.binary(typ); len(name) > 0 {
				t.fail(array.Unsupported, "a column lies in another file, %.80q", name)
			}
		case 3:
			for id, typ := range t.fields(typ) {
				switch id {
				case 1:
					c.typ = int(t.int(typ))
				case 4:
					c.codec = int(t.int(typ))
				case 5:
					c.values = t.int(typ)
				case 7:
					c.size = t.int(typ)
				case 9:
					c.offset = t.int(typ)
				case 11:
					dictionary = t.int(typ)
				default:
					t.skip(typ)
				}
			}
		case 8:
			t.fail(array.Unsupported, "a column is encrypted: only plain parquet is read")
		default:
			t.skip(typ)
		}
	}
	if dictionary > 0 && dictionary < c.offset {
		c.offset = dictionary
	}
	return c
}

// check compares the row groups with the schema, with each other and with the file, whose data end
// at end.
func (f *footer) check(groups []int64, end int64) error {
	total := int64(0)
	for i, n := range groups {
		if n < 0 || total > math.MaxInt64-n {
			return array.Errorf(array.Malformed, "", "row group %d has %d rows", i, n)
		}
		total += n
	}
	if f.rows != total || int64(int(total)) != total {
		return array.Errorf(array.Malformed, "", "the file has %d rows, its row groups have %d", f.rows, total)
	}
	if f.chunks == nil {
		f.chunks = make([][]chunk, f.root.leaves)
	}
	if len(f.chunks) < f.root.leaves {
		return array.Errorf(array.Malformed, "", "row groups come before the schema")
	}
	for i, chunks := range f.chunks {
		want := len(groups)
		if i >= f.root.leaves {
			want = 0
		}
		if len(chunks) != want {
			return array.Errorf(array.Malformed, "", "column %d has data in %d of %d row groups", i, len(chunks), want)
		}
		for _, c := range chunks {
			if c.values < 0 || c.offset < 4 || c.size < 0 || c.offset > end || c.size > end-c.offset {
				return array.Errorf(array.Malformed, "", "column %d: %d values in %d bytes at byte %d of %d do not fit",
					i, c.values, c.size, c.offset, end)
			}
		}
	}
	f.chunks = f.chunks[:f.root.leaves]
	return nil
}

// column makes a column of numbers from a field of the table, whose first leaf is given, or says
// why it is none. Of a column of labels lists of text are taken too, as tags, and lists of whole numbers that
// differ in length, or that are called so.
func (f *footer) column(n *node, leaf int, label bool) (*column, string) {
	c := &column{}
	called := n.name == "tags"
	if n.repetition != required {
		c.maxDef++
	}
	list := n.repetition == repeated // as old writers do, without a group around it
	if n.typ < 0 {
		if n.converted != convertedList && n.logical != logicalList || len(n.children) != 1 || n.children[0].repetition != repeated || list {
			return nil, "a group of columns, not numbers"
		}
		list = true
		n = n.children[0]
		c.maxDef++
		if n.typ < 0 {
			if len(n.children) != 1 {
				return nil, "a list of groups, not numbers"
			}
			n = n.children[0]
			if n.repetition == repeated || n.typ < 0 {
				return nil, "a list of lists or groups: flatten the inner ones"
			}
			if n.repetition == optional {
				c.maxDef++
				c.nullable = true
			}
		}
	}
	c.text = label && list && n.typ == typeBytes && (n.converted == 0 || n.logical == 1)
	if c.dtype = n.dtype(); c.dtype == array.Invalid && !c.text {
		return nil, n.kind() + ", not numbers"
	}
	c.typ = n.typ
	c.chunks = f.chunks[leaf]
	for i, k := range c.chunks {
		if k.typ != n.typ {
			return nil, fmt.Sprintf("of type %d in row group %d and of type %d in the schema", k.typ, i, n.typ)
		}
		if c.elements > math.MaxInt64-k.values {
			return nil, "of more values than a number can count"
		}
		c.elements += k.values
		if !list && k.values != k.rows {
			return nil, fmt.Sprintf("of %d values in row group %d of %d rows", k.values, i, k.rows)
		}
	}
	if list {
		c.maxRep = 1
		ragged := f.rows > 0 && c.elements%f.rows != 0
		if c.tags = c.text || label && c.dtype.IsInteger() && c.dtype != array.Bool && (called || ragged); c.tags {
			return c, ""
		}
		if f.rows > 0 { // rows of unequal length are found on the way
			n := c.elements / f.rows
			if c.elements%f.rows != 0 {
				n++
			}
			if n > maxList {
				return nil, fmt.Sprintf("of lists of %d elements, at most %d are read", n, maxList)
			}
			c.width = int(n)
		}
	}
	return c, ""
}

// kind says what a leaf that does not hold numbers holds.
func (n *node) kind() string {
	switch {
	case n.typ == typeBytes && (n.converted == 0 || n.logical == 1):
		return "text"
	case n.typ == typeBytes || n.typ == typeFixed:
		return "bytes"
	case n.typ == typeInt96:
		return "times"
	}
	return fmt.Sprintf("values with a meaning (logical type %d, converted type %d)", n.logical, n.converted)
}

// dtype is the element type of a leaf, Invalid if it holds something other than numbers.
func (n *node) dtype() array.DType {
	plain := n.logical == 0 && n.converted < 0
	integer := n.logical == logicalInteger || n.logical == 0 && n.converted >= convertedUint8 && n.converted < convertedInt8+4
	unsigned := n.unsigned || n.logical == 0 && n.converted >= convertedUint8 && n.converted < convertedInt8
	switch {
	case n.typ == typeBoolean && plain:
		return array.Bool
	case n.typ == typeInt32 && integer && unsigned:
		return array.Uint32
	case n.typ == typeInt64 && integer && unsigned:
		return array.Uint64
	case n.typ == typeInt32 && (plain || integer):
		return array.Int32
	case n.typ == typeInt64 && (plain || integer):
		return array.Int64
	case n.typ == typeFloat && plain:
		return array.Float32
	case n.typ == typeDouble && plain:
		return array.Float64
	case n.typ == typeFixed && n.length == 2 && n.logical == logicalFloat16:
		return array.Float16
	}
	return array.Invalid
}
