package csv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
)

// isList tells whether a cell of a label column lists tags.
func isList(cell []byte) bool {
	cell = bytes.TrimSpace(cell)
	return bytes.ContainsAny(cell, ";|") || bytes.HasPrefix(cell, []byte("["))
}

// TagLists goes over the lists of tags of a column.
func (f *file) TagLists(name string, visit func(row int, words []string) error) error {
	column := -1
	for _, i := range f.lists {
		if f.names[i] == name {
			column = i
		}
	}
	if column < 0 {
		return array.Errorf(array.NotFound, name, "no such column of tags")
	}
	s := f.scanner()
	if _, err := s.next(); err != nil { // the header
		return array.Locate(err, "", name)
	}
	var words []string
	for row := 0; ; row++ {
		record, err := s.next()
		if err == io.EOF && row == f.rows {
			return nil
		}
		if err == io.EOF || err == nil && row == f.rows {
			return array.Errorf(array.Inconsistent, name, "the file does not have the %d rows that it had when it was opened", f.rows)
		}
		if err != nil {
			return array.Locate(err, "", name)
		}
		cells, err := s.split(record, len(f.names))
		if err != nil {
			return array.Locate(err, "", name)
		}
		if words, err = Words(words[:0], cells[column], f.tagSep); err != nil {
			return array.Errorf(array.Malformed, name, "line %d: %.60q: %v", s.line, cells[column], err)
		}
		if err := visit(row, words); err != nil {
			return err
		}
	}
}

// Words appends the tags of a cell: of a JSON list of words or numbers, or of words with the separator between them; "" stands
// for ; and |.
func Words(words []string, cell []byte, separator string) ([]string, error) {
	cell = bytes.TrimSpace(cell)
	if bytes.HasPrefix(cell, []byte("[")) {
		d := json.NewDecoder(bytes.NewReader(cell))
		d.UseNumber()
		var list []any
		if err := d.Decode(&list); err != nil {
			return nil, fmt.Errorf("no JSON list: %w", err)
		}
		if d.More() || len(bytes.TrimSpace(cell[d.InputOffset():])) > 0 {
			return nil, fmt.Errorf("more follows after the list")
		}
		for _, v := range list {
			switch v := v.(type) {
			case string:
				words = appendWord(words, v)
			case json.Number:
				words = append(words, v.String())
			default:
				return nil, fmt.Errorf("%v in a list, expected words or numbers", v)
			}
		}
		return words, nil
	}
	text := string(cell)
	if separator != "" {
		for part := range strings.SplitSeq(text, separator) {
			words = appendWord(words, part)
		}
		return words, nil
	}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '|' }) {
		words = appendWord(words, part)
	}
	return words, nil
}

func appendWord(words []string, part string) []string {
	if part = strings.TrimSpace(part); part != "" {
		words = append(words, part)
	}
	return words
}
