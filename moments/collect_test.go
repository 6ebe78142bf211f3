package moments_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/formattest"
	"github.com/collapsar/collapsar/moments"
)

// archive is rows as an .npz, whose arrays are streams where it is deflated.
func archive(t testing.TB, r *rows, deflate bool) (data []byte) {
	t.Helper()
	a := formattest.Array{Name: "features", DType: array.Float64, Shape: []int{r.len(), r.dim}, Values: r.f64}
	if r.f32 != nil {
		a.DType = array.Float32
		for _, v := range r.f32 {
			a.Values = append(a.Values, float64(v))
		}
	}
	y := formattest.Array{Name: "labels", DType: array.Int64, Shape: []int{r.len()}}
	for _, v := range r.labels {
		y.Values = append(y.Values, float64(v))
	}
	return formattest.NPZ(deflate, a, y)
}

// narrow is a budget that leaves nothing to keep what was inflated in: deflated arrays are streams then.
func narrow(r *rows) features.Options { return features.Options{Memory: 20 * int64(r.len())} }

// inArchive is a split that is read from such a file.
func inArchive(t testing.TB, r *rows, deflate bool) *features.Split {
	t.Helper()
	data := archive(t, r, deflate)
	set, err := features.OpenReaderAt(bytes.NewReader(data), int64(len(data)), "test.npz", narrow(r))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	s := set.Layers[0].Train
	if s.Random() == deflate {
		t.Fatalf("random is %v with deflate %v", s.Random(), deflate)
	}
	return s
}

// TestCollect: the same bits from memory, from a stored archive and from a stream, with one worker and
// several, in chunks of any size; and the bits of adding the rows one batch after another.
func TestCollect(t *testing.T) {
	for _, wide := range []bool{false, true} {
		r := clusters(3, 5*moments.BlockRows+117, 3, []int64{0, 1, 2, 40, 5}, 2, wide)
		state := whole(t, r)
		want := numbersOfState(state)
		known := *r
		plans := map[string]*moments.Plan{}
		for name, o := range map[string]option{
			"axes":           {kind: moments.OnAxes, double: true, weak: true},
			"float32 axes":   {kind: moments.OnAxes},
			"float32 scores": {kind: moments.OfScores, weak: true},
			"rows":           {kind: moments.OfRows, double: true},
		} {
			plans[name] = planOf(state, o)
		}
		passes := map[string][]float64{}
		for name, p := range plans {
			pass, err := moments.NewPass2(p, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := pass.Add(known.batch(0, r.len())); err != nil {
				t.Fatal(err)
			}
			passes[name] = numbersOfPass(pass)
		}
		for source, split := range map[string]*features.Split{
			"memory": r.split(t), "stored": inArchive(t, r, false), "deflated": inArchive(t, r, true),
		} {
			for _, procs := range []int{1, 3} {
				old := runtime.GOMAXPROCS(procs)
				for _, o := range []moments.ScanOptions{{}, {Workers: 1}, {Workers: 2, ChunkRows: 19}, {Workers: 7}, {ChunkRows: 5000}} {
					what := fmt.Sprintf("wide %v, %s, %d processors, %+v", wide, source, procs, o)
					same(t, what, numbersOfState(collect(t, split, o)), want, 0)
					for name, p := range plans {
						sums, err := p.Collect(t.Context(), split, o)
						if err != nil {
							t.Fatal(err)
						}
						same(t, what+", "+name, numbersOfSums(sums), passes[name], 0)
					}
				}
				runtime.GOMAXPROCS(old)
			}
		}
	}
}

// Progress adds up to the rows, once.
func TestScanProgress(t *testing.T) {
	r := clusters(4, 2*moments.BlockRows+5, 2, few(3), 0, false)
	for _, split := range []*features.Split{r.split(t), inArchive(t, r, true)} {
		var rows atomic.Int64
		collect(t, split, moments.ScanOptions{Progress: func(n int) { rows.Add(int64(n)) }})
		if rows.Load() != int64(r.len()) {
			t.Errorf("%d rows reported of %d", rows.Load(), r.len())
		}
	}
}

// flaky is a file that can be read up to some byte.
type flaky struct {
	data  []byte
	until atomic.Int64
	reads atomic.Int64
}

var errDisk = errors.New("the disk is gone")

func (f *flaky) ReadAt(p []byte, at int64) (int, error) {
	f.reads.Add(1)
	if at+int64(len(p)) > f.until.Load() {
		return 0, errDisk
	}
	n := copy(p, f.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// What goes wrong while reading ends the scan with the file's error.
func TestReadError(t *testing.T) {
	r := clusters(5, 9*moments.BlockRows, 3, few(3), 0, false)
	for _, deflate := range []bool{false, true} {
		data := archive(t, r, deflate)
		f := &flaky{data: data}
		f.until.Store(int64(len(data)))
		set, err := features.OpenReaderAt(f, int64(len(data)), "f.npz", narrow(r))
		if err != nil {
			t.Fatal(err)
		}
		plan := planOf(collect(t, set.Layers[0].Train, moments.ScanOptions{}), option{kind: moments.OnAxes})
		f.until.Store(int64(len(data) / 2))
		for _, workers := range []int{1, 4} {
			_, err1 := moments.Collect(t.Context(), set.Layers[0].Train, moments.ScanOptions{Workers: workers})
			_, err2 := plan.Collect(t.Context(), set.Layers[0].Train, moments.ScanOptions{Workers: workers})
			for _, err := range []error{err1, err2} {
				var e *features.Error
				if !errors.As(err, &e) || e.File != "f.npz" || e.Array != "features" || !strings.Contains(e.Error(), errDisk.Error()) {
					t.Errorf("deflate %v, %d workers: %v", deflate, workers, err)
				}
			}
		}
		set.Close()
	}
}

// A cancelled scan ends with the context's error, and reads no further.
func TestCancel(t *testing.T) {
	r := clusters(6, 30*moments.BlockRows, 2, few(3), 0, false)
	plan := planOf(whole(t, r), option{kind: moments.OnAxes})
	for _, deflate := range []bool{false, true} {
		split := inArchive(t, r, deflate)
		for _, workers := range []int{1, 3} {
			for name, pass := range map[string]func(context.Context, moments.ScanOptions) error{
				"first": func(ctx context.Context, o moments.ScanOptions) error {
					_, err := moments.Collect(ctx, split, o)
					return err
				},
				"second": func(ctx context.Context, o moments.ScanOptions) error {
					_, err := plan.Collect(ctx, split, o)
					return err
				},
			} {
				ctx, cancel := context.WithCancel(t.Context())
				var blocks atomic.Int64
				err := pass(ctx, moments.ScanOptions{Workers: workers, Progress: func(int) {
					if blocks.Add(1) == 2 {
						cancel()
					}
				}})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("deflate %v, %d workers, %s pass: %v", deflate, workers, name, err)
				}
				// Those under way may end; 30 blocks would be all.
				if n := blocks.Load(); n > int64(2+workers) {
					t.Errorf("deflate %v, %d workers, %s pass: %d blocks after cancelling at 2", deflate, workers, name, n)
				}
				cancel()
				if err := pass(ctx, moments.ScanOptions{Workers: workers}); !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled before: %v", err)
				}
			}
		}
	}
}

// Close is Summary, in the state's own memory.
func TestClose(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, n := range []int{1, 7, 300, 2*moments.BlockRows + 5} {
		s := moments.New(3)
		b := features.Batch{Rows: n, Dim: 3, Float32: make([]float32, 3*n), Labels: make([]int64, n)}
		for i := range b.Float32 {
			b.Float32[i] = float32(rng.NormFloat64())
		}
		for i := range b.Labels {
			b.Labels[i] = int64(rng.IntN(1 + n/2))
		}
		if err := s.Add(&b); err != nil {
			t.Fatal(err)
		}
		if want, got := s.Summary(), s.Close(); !reflect.DeepEqual(want, got) {
			t.Errorf("%d rows: %+v, want %+v", n, got, want)
		}
	}
}
