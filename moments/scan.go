package moments

import (
	"context"
	"sync"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/parallel"
)

// BlockRows is the number of rows of a block. Sums are formed within blocks, row after row, and
// then across blocks in the order of their positions, so they do not depend on the number of goroutines.
const BlockRows = 4096

// A Visitor takes the rows of one block after another. It is used by one goroutine at a time.
type Visitor interface {
	Begin(block int)        // a new block: rows from block*BlockRows on
	Rows(b *features.Batch) // its next rows, in order; valid during the call
	End()                   // no more rows in this block
}

// ScanOptions say how to read a split. The zero value is good.
type ScanOptions struct {
	Workers   int            // goroutines, 0 for all processors
	ChunkRows int            // rows handed over at a time; 0 for about 256 kB of them
	Progress  func(rows int) // told of rows done, by several goroutines; may be nil

	large bool // the sums of a block are much memory
}

// Scan reads a split once, in blocks, as many at a time as there are workers, each with a visitor of its own.
func Scan(ctx context.Context, s *features.Split, o ScanOptions, visitor func() Visitor) error {
	workers := o.Workers
	if workers <= 0 {
		workers = parallel.Workers()
	}
	chunk := o.ChunkRows
	if chunk <= 0 {
		chunk = max(16, min(BlockRows, (1<<18)/(4*s.Dim)))
	}
	blocks := (s.Rows + BlockRows - 1) / BlockRows
	visitors := make([]Visitor, workers)
	batches := make([]features.Batch, workers)
	turn := newTurnstile(!s.Random())
	var mu sync.Mutex
	var failed error
	fail := func(err error) {
		mu.Lock()
		if failed == nil {
			failed = err
		}
		mu.Unlock()
	}
	ok := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = ctx.Err()
		}
		return failed == nil
	}
	waiting := max(1, workers/2) // sums of blocks; without any, whoever is first would wait for the others at every block
	if o.large {
		waiting = 1
	}
	ahead := newWindow(blocks, workers+waiting)
	parallel.Each(workers, blocks, func(w, block int) {
		ahead.wait(block)
		defer ahead.done(block)
		if !ok() {
			turn.skip(block)
			return
		}
		if visitors[w] == nil {
			visitors[w] = visitor()
		}
		v, b := visitors[w], &batches[w]
		first, end := block*BlockRows, min((block+1)*BlockRows, s.Rows)
		v.Begin(block)
		if turn.needed { // a stream is read whole blocks at a time, in order; what follows runs beside the next read
			turn.wait(block)
			err := s.Read(b, first, end-first)
			turn.done()
			if err != nil {
				fail(err)
				return
			}
			whole := *b
			for i := 0; i < whole.Rows && ok(); i += chunk {
				part := rowsOf(&whole, i, min(chunk, whole.Rows-i))
				v.Rows(&part)
			}
		} else {
			for i := first; i < end && ok(); i += chunk {
				if err := s.Read(b, i, min(chunk, end-i)); err != nil {
					fail(err)
					return
				}
				v.Rows(b)
			}
		}
		if ok() {
			v.End()
			if o.Progress != nil {
				o.Progress(end - first)
			}
		}
	})
	return failed
}

// rowsOf is a part of a batch.
func rowsOf(b *features.Batch, i, n int) features.Batch {
	p := features.Batch{First: b.First + i, Rows: n, Dim: b.Dim}
	if b.Float64 != nil {
		p.Float64 = b.Float64[i*b.Dim : (i+n)*b.Dim]
	} else {
		p.Float32 = b.Float32[i*b.Dim : (i+n)*b.Dim]
	}
	if b.Labels != nil {
		p.Labels = b.Labels[i : i+n]
	}
	return p
}

// A window keeps blocks from being begun while one far before them is not done: sums of blocks wait for their left
// neighbours, and a goroutine that the system has put aside would let many of them pile up.
type window struct {
	size     int
	mu       sync.Mutex
	cond     *sync.Cond
	finished []bool
	first    int // block that is not done
}

func newWindow(blocks, size int) *window {
	w := &window{size: size, finished: make([]bool, blocks)}
	w.cond = sync.NewCond(&w.mu)
	return w
}

func (w *window) wait(block int) {
	w.mu.Lock()
	for block >= w.first+w.size {
		w.cond.Wait()
	}
	w.mu.Unlock()
}

func (w *window) done(block int) {
	w.mu.Lock()
	w.finished[block] = true
	for w.first < len(w.finished) && w.finished[w.first] {
		w.first++
	}
	w.mu.Unlock()
	w.cond.Broadcast()
}

// A turnstile lets blocks through in order.
type turnstile struct {
	needed bool
	mu     sync.Mutex
	cond   *sync.Cond
	next   int
}

func newTurnstile(needed bool) *turnstile {
	t := &turnstile{needed: needed}
	t.cond = sync.NewCond(&t.mu)
	return t
}

func (t *turnstile) wait(i int) {
	t.mu.Lock()
	for t.next != i {
		t.cond.Wait()
	}
	t.mu.Unlock()
}

func (t *turnstile) done() {
	t.mu.Lock()
	t.next++
	t.mu.Unlock()
	t.cond.Broadcast()
}

// skip passes a block that nobody will read.
func (t *turnstile) skip(i int) {
	if t.needed {
		t.wait(i)
		t.done()
	}
}
