package collapsar_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the output of the commands into the pages that show it")

var (
	session = regexp.MustCompile("(?s)<!-- checked: console -->\n```console\n(.*?)```\n")
	metrics = regexp.MustCompile(`(?s)<!-- checked: metrics -->\n(.*?)<!-- end -->\n`)
)

// TestPages runs the commands that README.md and docs/solve.md show, and compares what they say is printed.
func TestPages(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build the program with")
	}
	program := filepath.Join(t.TempDir(), "collapsar")
	if out, err := exec.Command(tool, "build", "-o", program, "./cmd/collapsar").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for page, least := range map[string]int{"README.md": 2, "docs/solve.md": 2} {
		t.Run(page, func(t *testing.T) { check(t, program, page, least) })
	}
}

// check compares the blocks of a page that are marked as checked, at least so many, or writes them anew.
func check(t *testing.T, program, page string, least int) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	fresh := session.ReplaceAllFunc(text, func(block []byte) []byte {
		blocks++
		body := string(session.FindSubmatch(block)[1])
		var b strings.Builder
		for line := range strings.Lines(body) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				b.WriteString(line)
				b.WriteString(run(t, program, strings.TrimSpace(command)))
			}
		}
		compare(t, page, body, b.String())
		return []byte("<!-- checked: console -->\n```console\n" + b.String() + "```\n")
	})
	fresh = metrics.ReplaceAllFunc(fresh, func(block []byte) []byte {
		blocks++
		table := run(t, program, "collapsar metrics --markdown")
		compare(t, page, string(metrics.FindSubmatch(block)[1]), table)
		return []byte("<!-- checked: metrics -->\n" + table + "<!-- end -->\n")
	})
	if blocks < least {
		t.Errorf("%d checked blocks in %s", blocks, page)
	}
	if *update && !bytes.Equal(fresh, text) {
		if err := os.WriteFile(page, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// run returns what a command prints on both streams, and its exit status where that is not 0.
func run(t *testing.T, program, command string) string {
	t.Helper()
	words := strings.Fields(command)
	if words[0] != "collapsar" {
		t.Fatalf("not a command of ours: %s", command)
	}
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "'", "")
	}
	c := exec.Command(program, words[1:]...)
	c.Env = append(os.Environ(), "NO_COLOR=1", "COLUMNS=120")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			t.Fatal(err)
		}
		out.WriteString("[exit status " + strconv.Itoa(exit.ExitCode()) + "]\n")
	}
	return out.String()
}

// compare allows a number to differ in its last printed digit, by rounding on another processor.
func compare(t *testing.T, page, says, program string) {
	t.Helper()
	if *update {
		return
	}
	want, got := strings.Split(says, "\n"), strings.Split(program, "\n")
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if !same(strings.Fields(w), strings.Fields(g)) {
			t.Errorf("%s says\n\t%s\nthe program prints\n\t%s\n(go test . -update writes it)", page, w, g)
			return
		}
	}
}

func same(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, errX := strconv.ParseFloat(a[i], 64)
		y, errY := strconv.ParseFloat(b[i], 64)
		if a[i] != b[i] && (errX != nil || errY != nil || max(x-y, y-x) > 2e-3*max(x, -x, y, -y)) {
			return false
		}
	}
	return true
}
