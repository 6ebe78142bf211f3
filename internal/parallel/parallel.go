// Package parallel is the one worker pool of the program.
//
// A loop over independent items is written as
//
//	parallel.For(len(items), func(worker, i int) { ... })
//
// Items are handed out one at a time from a shared counter, so the order in which they run, and the
// worker that runs each of them, differ from call to call. A body whose result must not depend on
// that writes item i only to places that belong to i; sums over items are formed afterwards, in the
// order of the items. The worker number is for scratch space: two bodies that run at the same time
// never have the same one.
//
// The pool has GOMAXPROCS-1 helpers besides the caller. After a loop a helper looks out for the next
// one for about a millisecond, during which a call costs well under a microsecond, and then parks; waking a
// parked helper takes some tens of microseconds, an idle pool takes no processor time. The pool is
// occupied by one loop at a time: a loop started inside a body, or from another goroutine while the
// pool is occupied, runs on the goroutine that started it. Nothing ever waits for the pool, so
// nothing can deadlock on it.
package parallel

import (
	"runtime"
	"sync/atomic"
	"time"
)

// spinTime is how long a helper without work looks out for the next loop before it parks.
const spinTime = time.Millisecond

// Workers is the largest number of goroutines that a loop uses: GOMAXPROCS.
func Workers() int { return runtime.GOMAXPROCS(0) }

// For calls body(worker, i) once for every i in [0, n), on up to Workers() goroutines, and returns
// when all calls have returned. The worker number is in [0, Workers()). If a body panics, no further
// items are started and the panic is raised again in the caller with the same value.
func For(n int, body func(worker, i int)) { Each(Workers(), n, body) }

// Ranges is For over ranges [from, to) of at most size of the n items, where one alone is too little work to hand out.
func Ranges(n, size int, body func(from, to int)) {
	For((n+size-1)/size, func(_, i int) { body(i*size, min(n, (i+1)*size)) })
}

// Each is For on at most the given number of goroutines; 1 runs the plain loop on the caller.
func Each(workers, n int, body func(worker, i int)) {
	if w := Workers(); workers > w {
		workers = w
	}
	if workers > n {
		workers = n
	}
	if workers <= 1 || !busy.CompareAndSwap(false, true) {
		for i := 0; i < n; i++ {
			body(0, i)
		}
		return
	}
	start(workers, n, body)
	defer finish()
	loop.work(0)
}

// A job is one loop. There is one at a time, so there is one job, used again and again; it is open while its
// number is odd. Helpers enter it, take items until the counter passes n, and leave it. A helper that has
// entered and finds the number that it came for may read the other fields, since they are written only
// while the job is closed and nobody is inside.
type job struct {
	number atomic.Uint64
	_      [56]byte     // keep the counters apart
	next   atomic.Int64 // the next item
	_      [56]byte
	inside atomic.Int64 // helpers that have entered and not left
	_      [56]byte

	n       int64
	workers int
	body    func(worker, i int)
	failure atomic.Pointer[any] // what a helper's body panicked with, the first of them
}

// work runs items until none are left.
func (j *job) work(worker int) {
	for {
		i := j.next.Add(1) - 1
		if i >= j.n {
			return
		}
		j.body(worker, int(i))
	}
}

// A helper is one goroutine of the pool besides the caller.
type helper struct {
	worker int
	parked atomic.Bool
	wake   chan struct{} // holds one token for a helper that was found parked
	_      [40]byte
}

var (
	busy    atomic.Bool // a loop occupies the pool; guards helpers and the closed job
	loop    job
	helpers []*helper
)

// start opens the job and wakes the helpers that it needs.
func start(workers, n int, body func(worker, i int)) {
	for len(helpers) < workers-1 {
		h := &helper{worker: len(helpers) + 1, wake: make(chan struct{}, 1)}
		helpers = append(helpers, h)
		go h.run(loop.number.Load())
	}
	loop.n, loop.workers, loop.body = int64(n), workers, body
	loop.next.Store(0)
	loop.number.Add(1)
	for _, h := range helpers[:workers-1] {
		if h.parked.Load() && h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

// finish closes the job, waits for the helpers inside, frees the pool and passes on a helper's panic. It is
// deferred, so that a panic of the caller's own body does the same.
func finish() {
	loop.next.Store(loop.n) // after a panic of the caller's body no further item starts
	loop.number.Add(1)
	for spins := 0; loop.inside.Load() != 0; spins++ {
		if spins < 4096 {
			pause()
		} else {
			runtime.Gosched()
		}
	}
	loop.body = nil
	failure := loop.failure.Swap(nil)
	busy.Store(false)
	if failure != nil {
		panic(*failure)
	}
}

// run is the life of a helper; last is the number of the last job that it has seen.
func (h *helper) run(last uint64) {
	normal := false
	defer func() {
		if !normal { // the body ended its goroutine: put another in its place
			go h.run(last)
		}
	}()
	for {
		last = h.await(last)
		h.help(last)
	}
}

// help takes part in a job, if it is still open.
func (h *helper) help(number uint64) {
	j := &loop
	j.inside.Add(1)
	returned := false
	defer func() {
		if !returned {
			reason := recover()
			if reason == nil {
				reason = "parallel: a loop body ended its goroutine"
			}
			j.failure.CompareAndSwap(nil, &reason)
			j.next.Store(j.n)
		}
		j.inside.Add(-1)
	}()
	if j.number.Load() == number && h.worker < j.workers {
		j.work(h.worker)
	}
	returned = true
}

// await returns the number of an open job other than last, spinning first and parking after spinTime.
func (h *helper) await(last uint64) uint64 {
	for {
		begin := time.Now()
		for round := 0; ; round++ {
			for range 256 {
				if number := loop.number.Load(); number != last && number&1 == 1 {
					return number
				}
				pause()
			}
			if round&3 == 3 {
				runtime.Gosched()
				if time.Since(begin) > spinTime {
					break
				}
			}
		}
		h.parked.Store(true)
		if number := loop.number.Load(); number != last && number&1 == 1 && h.parked.CompareAndSwap(true, false) {
			return number
		}
		<-h.wake
	}
}
