package parallel

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func setProcs(t *testing.T, n int) {
	old := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
}

func TestEveryItemOnce(t *testing.T) {
	for _, procs := range []int{1, 2, 3, 8} {
		t.Run(fmt.Sprint(procs), func(t *testing.T) {
			setProcs(t, procs)
			for n := range 300 {
				seen := make([]atomic.Int32, n)
				For(n, func(worker, i int) {
					if worker < 0 || worker >= procs {
						t.Errorf("worker %d of %d", worker, procs)
					}
					seen[i].Add(1)
				})
				for i := range seen {
					if got := seen[i].Load(); got != 1 {
						t.Fatalf("n %d: item %d ran %d times", n, i, got)
					}
				}
			}
		})
	}
}

func TestAllocatesNothing(t *testing.T) {
	setProcs(t, 2)
	body := func(worker, i int) {}
	For(100, body) // makes the helper
	const calls = 10000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		For(100, body)
	}
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > calls/100 { // the runtime's own
		t.Errorf("%d allocations in %d calls", n, calls)
	}
}

func TestWorkersAreExclusive(t *testing.T) {
	setProcs(t, 4)
	var inUse [4]atomic.Int32
	For(2000, func(worker, i int) {
		if inUse[worker].Add(1) != 1 {
			t.Errorf("worker %d runs two items at once", worker)
		}
		if i%100 == 0 {
			runtime.Gosched()
		}
		inUse[worker].Add(-1)
	})
}

func TestEachLimit(t *testing.T) {
	setProcs(t, 8)
	for limit := 1; limit < 9; limit++ {
		var inside, most atomic.Int32
		Each(limit, 100, func(worker, i int) {
			if worker >= limit {
				t.Errorf("worker %d with limit %d", worker, limit)
			}
			now := inside.Add(1)
			for {
				m := most.Load()
				if now <= m || most.CompareAndSwap(m, now) {
					break
				}
			}
			runtime.Gosched()
			inside.Add(-1)
		})
		if got := most.Load(); got > int32(limit) {
			t.Errorf("limit %d: %d at once", limit, got)
		}
	}
}

func TestNestedRunsInline(t *testing.T) {
	setProcs(t, 4)
	var count atomic.Int32
	For(20, func(_, i int) {
		plain := 0 // not atomic: the inner loop must stay on this goroutine
		For(50, func(worker, _ int) {
			if worker != 0 {
				t.Errorf("nested worker %d", worker)
			}
			plain++
		})
		count.Add(int32(plain))
	})
	if count.Load() != 1000 {
		t.Fatalf("%d nested items", count.Load())
	}
}

func TestConcurrentCallers(t *testing.T) {
	setProcs(t, 4)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				var sum atomic.Int64
				For(37, func(_, i int) { sum.Add(int64(i)) })
				if sum.Load() != 37*36/2 {
					t.Errorf("sum %d", sum.Load())
				}
			}
		})
	}
	wg.Wait()
}

func TestPanicReachesCaller(t *testing.T) {
	setProcs(t, 4)
	for round := range 200 {
		want := fmt.Sprintf("boom %d", round)
		got := func() (v any) {
			defer func() { v = recover() }()
			For(64, func(_, i int) {
				if i == round%64 {
					panic(want)
				}
			})
			return nil
		}()
		if got != want {
			t.Fatalf("recovered %v, want %v", got, want)
		}
	}
	n := atomic.Int32{}
	For(100, func(_, _ int) { n.Add(1) })
	if n.Load() != 100 {
		t.Fatal("the pool is unusable after a panic")
	}
}

func TestBodyEndsGoroutine(t *testing.T) {
	setProcs(t, 2)
	for range 20 {
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			var caller atomic.Bool
			For(2, func(worker, _ int) {
				if worker != 0 {
					runtime.Goexit()
				}
				for start := time.Now(); !caller.Load() && time.Since(start) < 5*time.Millisecond; {
					runtime.Gosched()
				}
			})
		}()
		<-done
	}
	n := atomic.Int32{}
	For(100, func(_, _ int) { n.Add(1) })
	if n.Load() != 100 {
		t.Fatal("the pool is unusable after Goexit")
	}
}

func TestParkedHelpersWake(t *testing.T) {
	setProcs(t, 3)
	for _, wait := range []time.Duration{0, spinTime / 2, spinTime, 3 * spinTime, 10 * spinTime} {
		for range 10 {
			time.Sleep(wait)
			var n atomic.Int32
			For(10, func(_, _ int) { n.Add(1) })
			if n.Load() != 10 {
				t.Fatal("lost items")
			}
		}
	}
}

func BenchmarkFor(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		For(2, func(_, _ int) {})
	}
}

// Ranges cover every item once, none is longer than asked.
func TestRanges(t *testing.T) {
	for n := range 20 {
		for size := 1; size < 8; size++ {
			var seen [20]atomic.Int32
			Ranges(n, size, func(from, to int) {
				if from >= to || to-from > size || to > n {
					t.Errorf("%d by %d: range [%d, %d)", n, size, from, to)
				}
				for i := from; i < min(to, n); i++ {
					seen[i].Add(1)
				}
			})
			for i := range n {
				if seen[i].Load() != 1 {
					t.Errorf("%d by %d: item %d came %d times", n, size, i, seen[i].Load())
				}
			}
		}
	}
}
