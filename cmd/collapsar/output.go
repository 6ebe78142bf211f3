package main

// The rules of output.
//
//   - Results go to standard output: at the end, in one piece, and only if they are whole.
//   - Everything else goes to standard error, a line each, beginning with "collapsar: ": in lower case, without a full
//     stop. An error reads "collapsar: FILE: ARRAY: code: message".
//   - Progress is shown on a terminal only. Warnings and progress are silenced by --quiet, errors are not.
//   - With --json there is no decoration, and warnings stand in the JSON.
//   - Colour and cutting to the width are for terminals; NO_COLOR is honoured. What colour says, a word or sign says too.
//   - Names that come from files are printed with their control characters escaped.

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/collapsar/collapsar/internal/progress"
	"golang.org/x/term"
)

// ui is where everything that is printed goes through.
type ui struct {
	page
	stdout, stderr io.Writer
	watched        bool       // standard error is a terminal
	errWidth       func() int // its width
	json, quiet    bool
	line           atomic.Pointer[progress.Line] // an interrupt erases it from a goroutine of its own
	grace          atomic.Int64                  // nanoseconds that a command has to end by itself after an interrupt; 0 for a moment
}

func newUI(stdout, stderr *os.File) *ui {
	u := &ui{stdout: stdout, stderr: stderr}
	dumb := os.Getenv("TERM") == "dumb" || runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == "" // the old console shows codes
	if fd := int(stdout.Fd()); term.IsTerminal(fd) {
		u.colour = os.Getenv("NO_COLOR") == "" && !dumb
		u.width = max(40, columns(fd))
	}
	fd := int(stderr.Fd())
	u.watched = term.IsTerminal(fd) && !dumb
	u.errWidth = func() int { return columns(fd) }
	return u
}

func columns(fd int) int {
	if w, _, err := term.GetSize(fd); err == nil && w > 0 {
		return w
	}
	return 80
}

// flush writes the results.
func (u *ui) flush() error {
	if _, err := u.page.WriteTo(u.stdout); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// progress starts a status line for work on a number of items, where one is wanted.
func (u *ui) progress(items int) {
	if u.watched && !u.quiet && !u.json {
		u.line.Store(progress.Start(u.stderr, u.errWidth, items))
	}
}

// errorLine prints an error.
func (u *ui) errorLine(err error) { u.say(err.Error()) }

// warn prints a warning, which does not stand in the results.
func (u *ui) warn(format string, args ...any) {
	if !u.quiet && !u.json {
		u.say(fmt.Sprintf(format, args...))
	}
}

func (u *ui) say(text string) {
	fmt.Fprintf(u.line.Load().Writer(u.stderr), "collapsar: %s\n", clean(text))
}

// page is text for a terminal or a file.
type page struct {
	bytes.Buffer
	width  int // 0 where it is no terminal
	colour bool
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// style is how a piece of text looks where there is colour.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (p *page) styled(s style, text string) string {
	if !p.colour || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// wrapped prints text in lines that fit the terminal, all but the first indented.
func (p *page) wrapped(s style, indent int, text string) {
	if p.width == 0 {
		p.printf("%s\n", p.styled(s, text))
		return
	}
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && cells(line)+1+cells(word) > p.width-1 {
			p.printf("%s\n", p.styled(s, line))
			line = strings.Repeat(" ", indent) + word
			continue
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	p.printf("%s\n", p.styled(s, line))
}

// clean escapes what would move the cursor, or worse.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// plural is "1 row", "2 rows".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "s") {
		one += "e"
	}
	return strconv.Itoa(n) + " " + one + "s"
}
