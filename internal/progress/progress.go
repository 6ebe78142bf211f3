// Package progress keeps one status line on a terminal: what is being done, how far it is, how fast, and how
// long it will take.
//
// The line shows up when the work has lasted a moment, is drawn a few times a second by a goroutine of its own,
// and is erased by Stop. What else goes to the same terminal is written through the Line, which makes way for it.
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	patience = 400 * time.Millisecond // work that ends sooner shows no line
	period   = 150 * time.Millisecond
)

// A Line is a status line. A nil *Line shows nothing, and its methods may be called.
type Line struct {
	w     io.Writer
	width func() int // columns of the terminal

	done, total atomic.Int64 // rows of the current item

	mu          sync.Mutex // what follows, and writing
	name        string
	item, items int
	begun, ago  time.Time // the work, and the current item
	drawn, over bool
	stop        chan struct{}
	stopped     sync.WaitGroup
}

// Start begins a line on w, for work on a number of items.
func Start(w io.Writer, width func() int, items int) *Line {
	now := time.Now()
	l := &Line{w: w, width: width, items: items, begun: now, ago: now, stop: make(chan struct{})}
	l.stopped.Go(func() {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case now := <-tick.C:
				l.mu.Lock()
				if now.Sub(l.begun) >= patience {
					l.draw(now)
				}
				l.mu.Unlock()
			}
		}
	})
	return l
}

// Item says which item, from 0, comes next.
func (l *Line) Item(i int, name string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.item, l.name, l.ago = i, name, time.Now()
	l.done.Store(0)
	l.total.Store(0)
}

// Name changes what stands at the end of the line.
func (l *Line) Name(name string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.name = name
	l.mu.Unlock()
}

// Rows says how many of how many rows of the item are done. It may be called by any goroutine, and costs nothing.
func (l *Line) Rows(done, total int64) {
	if l != nil {
		l.done.Store(done)
		l.total.Store(total)
	}
}

// Stop erases the line for good.
func (l *Line) Stop() {
	if l == nil {
		return
	}
	l.mu.Lock()
	if !l.over {
		close(l.stop)
		l.over = true
	}
	l.erase()
	l.mu.Unlock()
	l.stopped.Wait()
}

// Writer writes to w with the line out of the way.
func (l *Line) Writer(w io.Writer) io.Writer {
	if l == nil {
		return w
	}
	return writer{l, w}
}

type writer struct {
	l *Line
	w io.Writer
}

func (w writer) Write(p []byte) (int, error) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.erase()
	return w.w.Write(p)
}

func (l *Line) erase() {
	if l.drawn {
		io.WriteString(l.w, "\r\x1b[K")
		l.drawn = false
	}
}

func (l *Line) draw(now time.Time) {
	if l.over {
		return
	}
	text := l.text(now)
	if width := l.width() - 1; len(text) > width { // the name, which comes last, gives way
		text = text[:max(0, width)]
	}
	io.WriteString(l.w, "\r\x1b[K"+text)
	l.drawn = true
}

// text is the line at a time: "12 of 1000  34%  1.2e+06 rows/s  1m40s left  ckpt_0012.npz".
func (l *Line) text(now time.Time) string {
	var parts []string
	done, total := l.done.Load(), l.total.Load()
	share := 0.0
	if total > 0 {
		share = min(1, float64(done)/float64(total))
	}
	if l.items > 1 {
		parts = append(parts, fmt.Sprintf("%d of %d", l.item+1, l.items))
		share = (float64(l.item) + share) / float64(l.items)
	}
	parts = append(parts, fmt.Sprintf("%3.0f%%", 100*share))
	if spent := now.Sub(l.ago).Seconds(); done > 0 && spent > 0.2 {
		parts = append(parts, count(float64(done)/spent)+" rows/s")
	}
	if spent := now.Sub(l.begun); share > 0.005 {
		left := time.Duration(float64(spent) * (1 - share) / share)
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	return strings.Join(append(parts, l.name), "  ")
}

// count is a number with two or three digits that count.
func count(x float64) string {
	for _, unit := range []string{"", "k", "M"} {
		switch {
		case x < 9.95:
			return fmt.Sprintf("%.1f%s", x, unit)
		case x < 999.5:
			return fmt.Sprintf("%.0f%s", x, unit)
		}
		x /= 1000
	}
	return fmt.Sprintf("%.1fG", x)
}
