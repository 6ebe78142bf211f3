package parquet

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
)

func tagLists(data []byte, column string) (string, error) {
	f, err := Open(bytes.NewReader(data), int64(len(data)), array.Options{Memory: 1 << 20})
	if err != nil {
		return "", err
	}
	var rows []string
	err = f.(array.Lister).TagLists(column, func(row int, words []string) error {
		if row != len(rows) {
			return errors.New("rows out of order")
		}
		rows = append(rows, strings.Join(words, "+"))
		return nil
	})
	return strings.Join(rows, " "), err
}

// Lists of words and of numbers, with dictionaries and plain, of both versions of pages; empty and null lists are no tags.
func TestTagLists(t *testing.T) {
	words, numbers := "cat+dog  dog  ant+cat+dog é", "0+3  2  0+1+3 7"
	thrice := func(s string) string { return s + " " + s + " " + s }
	for _, c := range []struct{ file, column, want string }{
		{"tags_words.parquet", "labels", thrice(words)},
		{"tags_plain_v2.parquet", "tags", thrice(words)},
		{"tags_numbers.parquet", "labels", thrice(numbers)},
		{"tags_even.parquet", "tags", "0+4 1+4 2+4 3+4 0+4 1+4 2+4 3+4 0+4 1+4 2+4 3+4 0+4 1+4 2+4 3+4 0+4 1+4"},
	} {
		data := fixture(t, strings.TrimSuffix(c.file, ".parquet"))
		if got, err := tagLists(data, c.column); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, expected %q", c.file, got, err, c.want)
		}
		for n := len(data) - 1; n > 0; n -= 7 { // damaged files are refused, or read as something
			broken := bytes.Clone(data)
			broken[n] ^= 0x55
			tagLists(broken, c.column)
		}
	}
	if _, err := tagLists(fixture(t, "bad_null_tag"), "tags"); err == nil || err.Error() != "tags: inconsistent: row 0 holds a null among its tags" {
		t.Error(err)
	}
}

// Whatever a file holds, its lists are read or refused.
func FuzzTagLists(f *testing.F) {
	for _, name := range []string{"tags_words", "tags_plain_v2", "tags_numbers", "tags_even", "bad_null_tag"} {
		f.Add(fixture(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, column := range []string{"tags", "labels"} {
			tagLists(data, column)
		}
	})
}
