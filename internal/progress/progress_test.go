package progress

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestText(t *testing.T) {
	begin := time.Unix(1000, 0)
	l := &Line{items: 1, begun: begin, ago: begin, name: "run.npz"}
	if got, want := l.text(begin), "  0%  run.npz"; got != want {
		t.Errorf("at the beginning %q, want %q", got, want)
	}
	l.Rows(250_000, 1_000_000)
	if got, want := l.text(begin.Add(2*time.Second)), " 25%  125k rows/s  6s left  run.npz"; got != want {
		t.Errorf("on the way %q, want %q", got, want)
	}
	l.items, l.item, l.name = 1000, 499, "ckpt_499.npz"
	l.ago = begin.Add(100 * time.Second)
	l.Rows(50, 100)
	if got, want := l.text(begin.Add(101*time.Second)), "500 of 1000   50%  50 rows/s  1m41s left  ckpt_499.npz"; got != want {
		t.Errorf("with many files %q, want %q", got, want)
	}
}

func TestCount(t *testing.T) {
	for x, want := range map[float64]string{0.25: "0.2", 3.14: "3.1", 42: "42", 999.7: "1.0k", 1234: "1.2k", 56789: "57k", 7.5e6: "7.5M", 2e9: "2.0G", 4e12: "4000.0G"} {
		if got := count(x); got != want {
			t.Errorf("count(%v) = %q, want %q", x, got, want)
		}
	}
}

// guarded is a screen that is read while the line writes to it.
type guarded struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(p)
}

func (g *guarded) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}

func (g *guarded) Len() int { return len(g.String()) }

func (g *guarded) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.b.Reset()
}

// A line shows after a moment, makes way for what else is written, fits its terminal, and leaves nothing behind.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen guarded
		l := Start(&screen, func() int { return 20 }, 1)
		l.Item(0, "a-file-with-a-long-name.npz")
		time.Sleep(patience / 2)
		if screen.Len() > 0 {
			t.Errorf("a line after %v: %q", patience/2, &screen)
		}
		l.Rows(1, 2)
		time.Sleep(2 * patience)
		for _, line := range strings.Split(screen.String(), "\r\x1b[K") {
			if len(line) > 19 {
				t.Errorf("%q is wider than its terminal", line)
			}
		}
		if !strings.Contains(screen.String(), "50%") {
			t.Errorf("no line: %q", &screen)
		}
		screen.Reset()
		l.Writer(&screen).Write([]byte("a warning\n"))
		if got, want := screen.String(), "\r\x1b[Ka warning\n"; got != want {
			t.Errorf("a warning is written as %q, want %q", got, want)
		}
		time.Sleep(period)
		l.Stop()
		if got := screen.String(); !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("%q is left behind", got)
		}
		l.Stop()
	})
}

func TestNone(t *testing.T) {
	var l *Line
	var b bytes.Buffer
	l.Item(0, "x")
	l.Rows(1, 2)
	l.Writer(&b).Write([]byte("x"))
	l.Stop()
	if b.String() != "x" {
		t.Errorf("wrote %q", &b)
	}
}
