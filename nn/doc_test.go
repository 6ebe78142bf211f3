package nn

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of losses and heads into docs/losses.md")

// TestPage compares the tables of docs/losses.md with Losses and Heads.
func TestPage(t *testing.T) {
	const page = "../docs/losses.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	losses := [][]string{{"name", "what", "of one row", "options", "at the optimum", "source"}}
	for _, l := range Losses() {
		name := "`" + l.Name + "`"
		if l.Tags {
			name = "**" + name + "**"
		}
		options := ""
		if l.Options != "" {
			options = "`" + strings.ReplaceAll(l.Options, " ", "` `") + "`"
		}
		losses = append(losses, []string{name, l.Words, l.Formula, options, l.Collapse, l.Source})
	}
	heads := [][]string{{"name", "what", "dimensions", "source"}}
	for _, h := range Heads() {
		heads = append(heads, []string{"`" + h.Name + "`", h.Words, h.Dim, h.Source})
	}
	fresh := text
	for name, rows := range map[string][][]string{"losses": losses, "heads": heads} {
		begin := []byte("<!-- " + name + " -->\n")
		before, rest, ok := bytes.Cut(fresh, begin)
		_, after, end := bytes.Cut(rest, []byte("<!-- end -->\n"))
		if !ok || !end {
			t.Fatalf("%s: no place for the table of %s", page, name)
		}
		fresh = bytes.Join([][]byte{before, begin, []byte(table(rows)), []byte("<!-- end -->\n"), after}, nil)
	}
	if bytes.Equal(fresh, text) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what Losses and Heads say; go test ./nn -run TestPage -update writes it", page)
	}
	if err := os.WriteFile(page, fresh, 0o644); err != nil {
		t.Fatal(err)
	}
}

// table is a table in Markdown; the first row is its head.
func table(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		for _, cell := range row {
			fmt.Fprintf(&b, "| %s ", strings.ReplaceAll(cell, "|", `\|`))
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}
