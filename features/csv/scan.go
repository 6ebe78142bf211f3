package csv

import (
	"bytes"
	"io"

	"github.com/collapsar/collapsar/internal/array"
)

// scanner reads records: lines of cells, where a quoted cell may go over several lines.
type scanner struct {
	r      io.ReaderAt
	offset int64 // of what is not in buf yet
	size   int64
	sep    byte
	limit  int // of a record, in bytes

	buf   []byte
	lo    int // the next record begins here
	lines int // that end before it
	line  int // on which the record returned last begins, from 1
	blank int // line of the first of the empty lines before it, 0 if there is none
	cells [][]byte
}

// next returns the next record without its line end, or io.EOF. It is valid until the next call.
func (s *scanner) next() ([]byte, error) {
	for {
		record, err := s.raw()
		if err != nil {
			return nil, err
		}
		if len(record) > 0 {
			if s.blank > 0 { // at the end of a file they are nothing
				return nil, array.Errorf(array.Malformed, "", "line %d is empty", s.blank)
			}
			return record, nil
		}
		if s.blank == 0 {
			s.blank = s.line
		}
	}
}

func (s *scanner) raw() ([]byte, error) {
	s.line = s.lines + 1
	end, quotes := 0, 0 // what is known not to end the record, and the quotes in it
	for {
		if i := bytes.IndexByte(s.buf[s.lo+end:], '\n'); i >= 0 {
			quotes += bytes.Count(s.buf[s.lo+end:s.lo+end+i], quote)
			end += i + 1
			s.lines++
			if quotes%2 == 0 {
				return s.cut(end, end-1), nil
			}
			continue
		}
		quotes += bytes.Count(s.buf[s.lo+end:], quote)
		end = len(s.buf) - s.lo
		if s.offset == s.size {
			break
		}
		if err := s.more(); err != nil {
			return nil, err
		}
	}
	switch {
	case end == 0:
		return nil, io.EOF
	case quotes%2 != 0:
		return nil, array.Errorf(array.Malformed, "", "line %d: a quote is not closed", s.line)
	}
	s.lines++
	return s.cut(end, end), nil
}

var quote = []byte{'"'}

// cut takes n bytes off the buffer and returns those that are the record.
func (s *scanner) cut(n, record int) []byte {
	b := s.buf[s.lo : s.lo+record]
	s.lo += n
	return bytes.TrimSuffix(b, []byte{'\r'})
}

// more reads more of the file behind the record begun.
func (s *scanner) more() error {
	begun := len(s.buf) - s.lo
	if begun > s.limit {
		return array.Errorf(array.TooLarge, "", "line %d has more than %d bytes", s.line, s.limit)
	}
	if begun > cap(s.buf)/2 || s.buf == nil {
		b := make([]byte, begun, max(64<<10, 2*cap(s.buf)))
		copy(b, s.buf[s.lo:])
		s.buf = b
	} else {
		copy(s.buf, s.buf[s.lo:])
		s.buf = s.buf[:begun]
	}
	s.lo = 0
	n := int(min(int64(cap(s.buf)-begun), s.size-s.offset))
	s.buf = s.buf[:begun+n]
	if err := array.ReadFull(s.r, s.buf[begun:], s.offset); err != nil {
		return err
	}
	s.offset += int64(n)
	return nil
}

// split returns the cells of a record, which it may change. There must be want of them, any number
// if that is 0.
func (s *scanner) split(record []byte, want int) ([][]byte, error) {
	s.cells = s.cells[:0]
	if bytes.IndexByte(record, '"') < 0 {
		n := bytes.Count(record, []byte{s.sep}) + 1
		if err := s.count(n, want); err != nil {
			return nil, err
		}
		for ; n > 1; n-- {
			i := bytes.IndexByte(record, s.sep)
			s.cells = append(s.cells, record[:i])
			record = record[i+1:]
		}
		s.cells = append(s.cells, record)
		return s.cells, nil
	}
	for {
		var cell []byte
		if len(record) > 0 && record[0] == '"' {
			n, rest := 0, record[1:] // the cell is moved to the front of record, without its quotes
			for {
				i := bytes.IndexByte(rest, '"')
				if i < 0 {
					return nil, array.Errorf(array.Malformed, "", "line %d: a quote is not closed", s.line)
				}
				n += copy(record[n:], rest[:i])
				rest = rest[i+1:]
				if len(rest) == 0 || rest[0] != '"' {
					break
				}
				n += copy(record[n:], quote)
				rest = rest[1:]
			}
			cell, record = record[:n], rest
			if len(record) > 0 && record[0] != s.sep {
				return nil, array.Errorf(array.Malformed, "", "line %d: %.1q follows a closing quote", s.line, record)
			}
		} else {
			i := bytes.IndexByte(record, s.sep)
			if i < 0 {
				i = len(record)
			}
			cell, record = record[:i], record[i:]
			if bytes.IndexByte(cell, '"') >= 0 {
				return nil, array.Errorf(array.Malformed, "", "line %d: a quote inside a cell that does not begin with one", s.line)
			}
		}
		if len(s.cells) == maxColumns {
			return nil, s.count(maxColumns+1, 0)
		}
		s.cells = append(s.cells, cell)
		if len(record) == 0 {
			return s.cells, s.count(len(s.cells), want)
		}
		record = record[1:]
	}
}

func (s *scanner) count(n, want int) error {
	if n > maxColumns {
		return array.Errorf(array.TooLarge, "", "line %d has more than %d cells", s.line, maxColumns)
	}
	if want > 0 && n != want {
		return array.Errorf(array.Malformed, "", "line %d has %d cells, the header has %d", s.line, n, want)
	}
	return nil
}
