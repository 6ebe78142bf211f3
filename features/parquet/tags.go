package parquet

import (
	"encoding/binary"
	"io"
	"math/bits"
	"strconv"

	"github.com/collapsar/collapsar/internal/array"
)

// lists collects the tags of rows while pages pass by.
type lists struct {
	words [][]byte // the dictionary, of text
	visit func(row int, words []string) error
	row   []string // begun
	begun bool
}

// TagLists goes over the lists of tags of a column; null and empty lists are rows without tags.
func (f *file) TagLists(name string, visit func(row int, words []string) error) error {
	c := f.tags[name]
	if c == nil {
		return array.Errorf(array.NotFound, name, "no such column of tags")
	}
	if c.elements > f.budget { // runs make any number of them out of a few bytes
		return array.Errorf(array.TooLarge, name, "%d tags, more than the memory budget of %d bytes; raise --memory", c.elements, f.budget)
	}
	p := &pages{r: f.r, col: c, memory: &memory{budget: f.budget}, lists: &lists{visit: visit}}
	defer p.Close()
	for {
		err := p.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return array.Locate(err, "", name)
		}
	}
	if err := p.endRow(); err != nil {
		return err
	}
	for _, info := range f.infos {
		if info.Name == name && p.row != int64(info.Rows()) {
			return array.Errorf(array.Malformed, name, "%d lists in %d rows", p.row, info.Rows())
		}
	}
	return nil
}

// endRow hands out the row that was begun.
func (p *pages) endRow() error {
	if !p.lists.begun {
		return nil
	}
	rows := int64(0)
	for _, c := range p.col.chunks {
		rows += c.rows
	}
	if p.row >= rows {
		return p.malformed("more than the %d lists that the file has", rows)
	}
	err := p.lists.visit(int(p.row), p.lists.row)
	p.row++
	p.lists.begun, p.lists.row = false, p.lists.row[:0]
	return err
}

// listPage takes the lists of a page.
func (p *pages) listPage(h *header, rep, def, data []byte) error {
	// The values first: how many there are is told by the definition levels.
	full := uint32(p.col.maxDef)
	width := uint(bits.Len(uint(p.col.maxDef)))
	count := int64(0)
	var reps, defs [512]uint32
	for n, d := h.values, (hybrid{b: def, width: width}); n > 0; {
		k := int(min(n, int64(len(defs))))
		if !d.read(defs[:k]) {
			return p.malformed("the levels of a page end early")
		}
		for _, v := range defs[:k] {
			if v == full {
				count++
			}
		}
		n -= int64(k)
	}
	next, err := p.words(h, data, count)
	if err != nil {
		return err
	}
	r, d := hybrid{b: rep, width: 1}, hybrid{b: def, width: width}
	for n := h.values; n > 0; {
		k := int(min(n, int64(len(reps))))
		if !r.read(reps[:k]) || !d.read(defs[:k]) {
			return p.malformed("the levels of a page end early")
		}
		for i := range k {
			if reps[i] == 0 {
				if err := p.endRow(); err != nil {
					return err
				}
				p.lists.begun = true
			} else if !p.lists.begun {
				return p.malformed("the first row does not begin")
			}
			if len(p.lists.row) == maxList {
				return array.Errorf(array.TooLarge, "", "row %d has more than %d tags", p.row, maxList)
			}
			switch {
			case defs[i] == full:
				word, ok := next()
				if !ok {
					return p.malformed("the values of a page end early, or are not in its dictionary")
				}
				p.lists.row = append(p.lists.row, word)
			case p.col.nullable && defs[i]+1 == full:
				return array.Errorf(array.Inconsistent, "", "row %d holds a null among its tags", p.row)
			}
		}
		n -= int64(k)
	}
	return nil
}

// words returns what gives the values of a page as words, one after the other.
func (p *pages) words(h *header, data []byte, count int64) (next func() (string, bool), err error) {
	if !p.col.text {
		numbers := *h
		numbers.values = count
		if count == 0 {
			return func() (string, bool) { return "", false }, nil
		}
		if err := p.decode(&numbers, data); err != nil {
			return nil, err
		}
		fill := p.fill
		p.left = 0 // the values are taken here
		var b [8]byte
		return func() (string, bool) {
			v := b[:p.col.dtype.Size()]
			if !fill(v) {
				return "", false
			}
			switch p.col.dtype {
			case array.Int32:
				return strconv.Itoa(int(int32(binary.LittleEndian.Uint32(v)))), true
			case array.Uint32:
				return strconv.FormatUint(uint64(binary.LittleEndian.Uint32(v)), 10), true
			case array.Uint64:
				return strconv.FormatUint(binary.LittleEndian.Uint64(v), 10), true
			}
			return strconv.FormatInt(int64(binary.LittleEndian.Uint64(v)), 10), true
		}, nil
	}
	switch h.encoding {
	case encPlain:
		return func() (string, bool) {
			word, rest, ok := text(data)
			data = rest
			return string(word), ok
		}, nil
	case encDictionary, encPlainDictionary:
		if count > 0 && (len(data) == 0 || data[0] > 32) {
			return nil, p.malformed("dictionary indexes without their width")
		}
		var index hybrid
		if count > 0 {
			index = hybrid{b: data[1:], width: uint(data[0])}
		}
		var at [1]uint32
		return func() (string, bool) {
			if !index.read(at[:]) || int64(at[0]) >= int64(len(p.lists.words)) {
				return "", false
			}
			return string(p.lists.words[at[0]]), true
		}, nil
	}
	return nil, p.unsupported("text in encoding %d: write it with plain or dictionary encoding", h.encoding)
}

// text takes a piece of text off the front: its length, and its bytes.
func text(data []byte) (word, rest []byte, ok bool) {
	if len(data) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.LittleEndian.Uint32(data))
	if n > uint64(len(data)-4) {
		return nil, nil, false
	}
	return data[4 : 4+n], data[4+n:], true
}

// texts lists n pieces of text, each of which takes 4 bytes at least.
func texts(data []byte, n int64) ([][]byte, error) {
	if n > int64(len(data))/4 {
		return nil, array.Errorf(array.Malformed, "", "a dictionary of %d words in %d bytes", n, len(data))
	}
	words := make([][]byte, 0, n)
	for range n {
		word, rest, ok := text(data)
		if !ok {
			return nil, array.Errorf(array.Malformed, "", "a dictionary ends early")
		}
		words, data = append(words, word), rest
	}
	return words, nil
}
