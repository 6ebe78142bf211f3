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

var update = flag.Bool("update", false, "write the output of the commands into README.md")

var (
	session = regexp.MustCompile("(?s)<!-- checked: console -->\n```console\n(.*?)```\n")
	metrics = regexp.MustCompile(`(?s)<!-- checked: metrics -->\n(.*?)<!-- end -->\n`)
)

// TestReadme runs the commands of the README and compares what it says they print.
func TestReadme(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build the program with")
	}
	program := filepath.Join(t.TempDir(), "collapsar")
	if out, err := exec.Command(tool, "build", "-o", program, "./cmd/collapsar").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile("README.md")
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
		compare(t, body, b.String())
		return []byte("<!-- checked: console -->\n```console\n" + b.String() + "```\n")
	})
	fresh = metrics.ReplaceAllFunc(fresh, func(block []byte) []byte {
		blocks++
		table := run(t, program, "collapsar metrics --markdown")
		compare(t, string(metrics.FindSubmatch(block)[1]), table)
		return []byte("<!-- checked: metrics -->\n" + table + "<!-- end -->\n")
	})
	if blocks < 2 {
		t.Errorf("%d checked blocks in README.md", blocks)
	}
	if *update && !bytes.Equal(fresh, text) {
		if err := os.WriteFile("README.md", fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// run returns what a command prints on both streams, and its exit status where that is not 0.
func run(t *testing.T, program, command string) string {
	t.Helper()
	words := strings.Fields(command)
	if words[0] != "collapsar" {
		t.Fatalf("README.md: not a command of ours: %s", command)
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
func compare(t *testing.T, readme, program string) {
	t.Helper()
	if *update {
		return
	}
	want, got := strings.Split(readme, "\n"), strings.Split(program, "\n")
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if !same(strings.Fields(w), strings.Fields(g)) {
			t.Errorf("README.md says\n\t%s\nthe program prints\n\t%s\n(go test . -update writes it)", w, g)
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
