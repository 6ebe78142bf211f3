package csv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
)

func lists(text string, o array.Options, column string) (string, error) {
	f, err := Open(strings.NewReader(text), int64(len(text)), o)
	if err != nil {
		return "", err
	}
	var rows []string
	err = f.(array.Lister).TagLists(column, func(row int, words []string) error {
		if row != len(rows) {
			return fmt.Errorf("row %d after %d", row, len(rows))
		}
		rows = append(rows, strings.Join(words, "+"))
		return nil
	})
	return strings.Join(rows, " "), err
}

// Lists of tags in one cell, in every way to write them.
func TestTagLists(t *testing.T) {
	for _, c := range []struct {
		text   string
		o      array.Options
		column string
		want   string
	}{
		{"a,tags\n1,cat;dog\n2,\n3, cat | dog |\n4,dog\n", array.Options{}, "tags", "cat+dog  cat+dog dog"},
		{"a,tags\n1,3\n2,4\n", array.Options{}, "tags", "3 4"},
		{"a,tags\n1,\"[\"\"cat\"\", \"\"dog\"\"]\"\n2,[]\n3,[7]\n", array.Options{}, "tags", "cat+dog  7"},
		{"a,labels\n1,1\n2,1;2\n3,\n", array.Options{}, "labels", "1 1+2 "},
		{"a,labels\n1,cat\n2,cat;dog\n", array.Options{}, "labels", "cat cat+dog"},
		{"a,labels\n1,a b\n2,a\n", array.Options{TagSeparator: " "}, "labels", "a+b a"},
		{"a,mine\n1,a/b\n2,a\n", array.Options{Labels: "mine", TagSeparator: "/"}, "mine", "a+b a"},
		{"a;y\n1;\"cat;dog\"\n2;x|y\n", array.Options{}, "y", "cat+dog x+y"},
	} {
		got, err := lists(c.text, c.o, c.column)
		if err != nil || got != c.want {
			t.Errorf("%q: %q, %v, expected %q", c.text, got, err, c.want)
		}
	}
	for text, want := range map[string]string{
		"a,tags\n1,[3\n":     `tags: malformed: line 2: "[3": no JSON list: unexpected EOF`,
		"a,tags\n1,[3] 4\n":  `tags: malformed: line 2: "[3] 4": more follows after the list`,
		"a,tags\n1,[null]\n": `tags: malformed: line 2: "[null]": <nil> in a list, expected words or numbers`,
	} {
		if _, err := lists(text, array.Options{}, "tags"); err == nil || err.Error() != want {
			t.Errorf("%q: %v, expected %s", text, err, want)
		}
	}
	// Columns of numbers stay what they were, and the rows beside lists are features.
	text := "a,tags,b\n1,x;y,2\n"
	f, err := Open(strings.NewReader(text), int64(len(text)), array.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(f.Arrays()); got != "[tags 1 float64 1 x 2]" {
		t.Error(got)
	}
	if _, err := f.Open("tags"); err == nil || err.Error() != "tags: unsupported: the column holds lists of tags, not numbers" {
		t.Error(err)
	}
}

// Whatever a file holds, its lists are read or refused, and lists have a row each.
func FuzzTagLists(f *testing.F) {
	f.Add("a,tags\n1,cat;dog\n2,\n", "")
	f.Add("a,tags\n1,\"[\"\"cat\"\", 3]\"\n", "")
	f.Add("tags;a\n\"x|y\";1\n", "|")
	f.Fuzz(func(t *testing.T, text, separator string) {
		lists(text, array.Options{TagSeparator: separator, Memory: 1 << 20}, "tags")
	})
}
