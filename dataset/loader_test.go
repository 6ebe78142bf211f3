package dataset

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/random"
)

// toy is rows of random pixels whose counts are given.
func toy(shape Shape, counts ...int) *Set {
	r := random.New(1, 2, 3)
	set := &Set{Name: "toy", Shape: shape, Classes: numbers(len(counts))}
	for c, n := range counts {
		for range n {
			set.Train.Labels = append(set.Train.Labels, int32(c))
			for range shape.Size() {
				set.Train.Pixels = append(set.Train.Pixels, uint8(r.Uint32()))
			}
		}
	}
	set.Train.Rows = len(set.Train.Labels)
	r.Shuffle(set.Train.Rows, func(i, j int) {
		y := set.Train.Labels
		y[i], y[j] = y[j], y[i]
	})
	set.Test = set.Train
	return set
}

func newLoader[T float32 | float64](t testing.TB, set *Set, o LoaderOptions) *Loader[T] {
	t.Helper()
	l, err := NewLoader[T](set, set.Train, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOrder(t *testing.T) {
	set := toy(Shape{1, 1, 1}, 40, 30, 30)
	l := newLoader[float32](t, set, LoaderOptions{Batch: 7, Seed: 5, Shuffle: true})
	epochs := make([][]int32, 4)
	for e := range epochs {
		epochs[e] = slices.Clone(l.Order(e))
		sorted := slices.Clone(epochs[e])
		slices.Sort(sorted)
		for i, row := range sorted {
			if int(row) != i {
				t.Fatalf("epoch %d is no permutation: %v", e, sorted)
			}
		}
		for before := range e {
			if slices.Equal(epochs[e], epochs[before]) {
				t.Errorf("epochs %d and %d have the same order", before, e)
			}
		}
	}
	// A loader that has seen nothing before has the same order.
	if fresh := newLoader[float64](t, set, LoaderOptions{Batch: 9, Seed: 5, Shuffle: true}); !slices.Equal(fresh.Order(2), epochs[2]) {
		t.Error("the order of epoch 2 depends on what was asked before")
	}
	if other := newLoader[float64](t, set, LoaderOptions{Batch: 7, Seed: 6, Shuffle: true}); slices.Equal(other.Order(2), epochs[2]) {
		t.Error("another seed has the same order")
	}
	plain := newLoader[float32](t, set, LoaderOptions{Batch: 7})
	if !slices.IsSorted(plain.Order(3)) {
		t.Error("without Shuffle the rows come in another order than that of the file")
	}
}

func TestBatches(t *testing.T) {
	set := toy(Shape{1, 1, 2}, 10, 13)
	for _, c := range []struct {
		batch   int
		drop    bool
		batches int
		last    int
	}{{23, false, 1, 23}, {23, true, 1, 23}, {10, false, 3, 3}, {10, true, 2, 10}, {100, false, 1, 23}, {1, true, 23, 1}} {
		l := newLoader[float32](t, set, LoaderOptions{Batch: c.batch, DropLast: c.drop})
		x, y := make([]float32, c.batch*2), make([]int32, c.batch)
		if l.Batches() != c.batches {
			t.Errorf("batches of %d, drop %v: %d, want %d", c.batch, c.drop, l.Batches(), c.batches)
		}
		if n := l.Fill(x, y, nil, 0, c.batches-1); n != c.last {
			t.Errorf("batches of %d, drop %v: the last has %d rows, want %d", c.batch, c.drop, n, c.last)
		}
	}
	for want, o := range map[string]LoaderOptions{
		"loader: batches of 0 rows, expected at least 1":       {},
		"loader: an epoch of 23 rows has no whole batch of 24": {Batch: 24, DropLast: true},
		"loader: 3 means and 0 deviations for 2 channels":      {Batch: 1, Mean: make([]float64, 3)},
		"loader: deviation 0 of channel 0, expected above 0":   {Batch: 1, Std: make([]float64, 1)},
		"loader: crop by -1 pixels, expected at least 0":       {Batch: 1, Crop: -1},
	} {
		if _, err := NewLoader[float32](set, set.Train, o); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Every value of a batch against its definition, for pixels and values, with augmentation and without, of both types, on one
// goroutine and several. Moves and mirrors are read off the first image that shows them, then checked on all channels.
func TestFill(t *testing.T) {
	for _, channels := range []int{1, 2, 3} {
		shape := Shape{5, 6, channels}
		set := toy(shape, 30, 41)
		mean, std := set.Standardisation(true)
		for _, o := range []LoaderOptions{
			{Batch: 16, Mean: mean, Std: std, Shuffle: true},
			{Batch: 71},
			{Batch: 16, Mean: mean[:1], Std: std[:1], Shuffle: true, Flip: true, Crop: 2, Seed: 3},
			{Batch: 5, Crop: 7, Seed: 3},
			{Batch: 8, Flip: true, DropLast: true},
		} {
			for _, pixels := range []bool{true, false} {
				s := *set
				if !pixels {
					s.Train.Pixels, s.Train.Values = nil, make([]float32, len(set.Train.Pixels))
					for i, v := range set.Train.Pixels {
						s.Train.Values[i] = float32(v) / 8
					}
				}
				t.Run(fmt.Sprint(shape, o.Batch, o.Crop, o.Flip, pixels), func(t *testing.T) {
					checkFill[float32](t, &s, o)
					checkFill[float64](t, &s, o)
				})
			}
		}
	}
}

func checkFill[T float32 | float64](t *testing.T, set *Set, o LoaderOptions) {
	l := newLoader[T](t, set, o)
	size := set.Shape.Size()
	x, again := make([]T, o.Batch*size), make([]T, o.Batch*size)
	labels := make([]int32, o.Batch)
	moves := map[[3]int]bool{}
	const epochs = 3
	for epoch := range epochs {
		for batch := range l.Batches() {
			n := l.Fill(x, labels, nil, epoch, batch)
			for i := range n {
				row := l.Order(epoch)[batch*o.Batch+i]
				if labels[i] != set.Train.Labels[row] {
					t.Fatalf("row %d has label %d, want %d", row, labels[i], set.Train.Labels[row])
				}
				move, ok := findMove(x[i*size:(i+1)*size], set, int(row), o)
				if !ok {
					t.Fatalf("epoch %d, batch %d, row %d of the set: no move and mirror gives these values", epoch, batch, row)
				}
				moves[move] = true
			}
		}
	}
	for _, m := range [][3]int{{o.Crop, -o.Crop, 0}, {-o.Crop, o.Crop, 0}} {
		if set.Train.Rows*epochs > 20*(2*o.Crop+1)*(2*o.Crop+1) && !moves[m] {
			t.Errorf("a move by %v never came in %d images", m, set.Train.Rows*epochs)
		}
	}
	if o.Flip != moves[[3]int{0, 0, 1}] && o.Crop == 0 {
		t.Errorf("mirrored: %v, want %v", !o.Flip, o.Flip)
	}

	// Backwards, on one goroutine, with another loader: the same bits.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	other := newLoader[T](t, set, o)
	for epoch := epochs - 1; epoch >= 0; epoch-- {
		for batch := l.Batches() - 1; batch >= 0; batch-- {
			runtime.GOMAXPROCS(3)
			n := l.Fill(x, nil, nil, epoch, batch)
			runtime.GOMAXPROCS(1)
			if m := other.Fill(again, nil, nil, epoch, batch); m != n || !slices.Equal(x[:n*size], again[:n*size]) {
				t.Fatalf("epoch %d, batch %d: other values on one goroutine", epoch, batch)
			}
		}
	}
}

// findMove tries all moves and mirrors on an image padded with black.
func findMove[T float32 | float64](x []T, set *Set, row int, o LoaderOptions) ([3]int, bool) {
	s := set.Shape
	epsilon := 0x1p-52
	if _, single := any(x).([]float32); single {
		epsilon = 0x1p-23
	}
	value := func(y, q, c int) float64 {
		v := 0.0
		if y >= 0 && y < s.Height && q >= 0 && q < s.Width {
			at := row*s.Size() + (y*s.Width+q)*s.Channels + c
			if set.Train.Pixels != nil {
				v = float64(set.Train.Pixels[at]) / 255
			} else {
				v = float64(set.Train.Values[at])
			}
		}
		mean, std := 0.0, 1.0
		if len(o.Mean) > 0 {
			mean, std = o.Mean[c%len(o.Mean)], o.Std[c%len(o.Std)]
		}
		return (v - mean) / std
	}
	for dy := -o.Crop; dy <= o.Crop; dy++ {
		for dx := -o.Crop; dx <= o.Crop; dx++ {
		mirrors:
			for mirror := range 2 {
				for y := range s.Height {
					for q := range s.Width {
						from := q
						if mirror == 1 {
							from = s.Width - 1 - q
						}
						for c := range s.Channels {
							// Scale and shift are rounded, and product and sum: a few units in the last place.
							got, want := float64(x[(y*s.Width+q)*s.Channels+c]), value(y-dy, from-dx, c)
							if math.Abs(got-want) > 4*epsilon*(math.Abs(want)+8) {
								continue mirrors
							}
						}
					}
				}
				return [3]int{dy, dx, mirror}, mirror == 0 || o.Flip
			}
		}
	}
	return [3]int{}, false
}

func TestSamplers(t *testing.T) {
	set := toy(Shape{1, 1, 1}, 50, 20, 7, 0)
	for _, c := range []struct {
		sampler Sampler
		each    int
	}{{Oversample, 50}, {Undersample, 7}} {
		l := newLoader[float32](t, set, LoaderOptions{Batch: 10, Seed: 2, Shuffle: true, Sampler: c.sampler})
		if l.Rows() != 3*c.each {
			t.Fatalf("an epoch has %d rows, want %d", l.Rows(), 3*c.each)
		}
		for epoch := range 3 {
			counts, times := make([]int, 4), make([]int, set.Train.Rows)
			for _, row := range l.Order(epoch) {
				counts[set.Train.Labels[row]]++
				times[row]++
			}
			if !slices.Equal(counts, []int{c.each, c.each, c.each, 0}) {
				t.Errorf("epoch %d has %v rows of the classes, want %d of each", epoch, counts, c.each)
			}
			for row, n := range times { // whole rounds, and a part of another
				per := float64(c.each) / float64(set.Counts()[set.Train.Labels[row]])
				if float64(n) < math.Floor(per) || float64(n) > math.Ceil(per) {
					t.Fatalf("row %d came %d times, want %g", row, n, per)
				}
			}
		}
		if slices.Equal(slices.Clone(l.Order(0)), l.Order(1)) {
			t.Error("two epochs are the same")
		}
	}
	tagged := &Set{Name: "tags", Shape: Shape{1, 1, 1}, Classes: numbers(2), Train: Split{Rows: 2, Pixels: []uint8{1, 2}, Tags: []uint8{1, 0, 1, 1}}}
	if _, err := NewLoader[float32](tagged, tagged.Train, LoaderOptions{Batch: 1, Sampler: Oversample}); err == nil {
		t.Error("rows with tags were oversampled by class")
	}
	x, tags := make([]float32, 2), make([]float32, 4)
	l := newLoader[float32](t, tagged, LoaderOptions{Batch: 2})
	if l.Fill(x, nil, tags, 0, 0); !slices.Equal(tags, []float32{1, 0, 1, 1}) {
		t.Errorf("tags %v", tags)
	}
}

// In the middle of an epoch nothing is allocated.
func TestFillAllocates(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	set := toy(Shape{32, 32, 3}, 64, 64)
	l := newLoader[float32](t, set, LoaderOptions{Batch: 32, Shuffle: true, Flip: true, Crop: 4})
	x, labels := make([]float32, 32*set.Shape.Size()), make([]int32, 32)
	batch := 0
	if n := testing.AllocsPerRun(100, func() {
		l.Fill(x, labels, nil, 0, batch%l.Batches())
		batch++
	}); n != 0 {
		t.Errorf("%g allocations for a batch", n)
	}
}

// go test ./dataset -bench Fill: the time of one batch of 128, to be held against that of a training step.
func BenchmarkFill(b *testing.B) {
	for _, c := range []struct {
		name  string
		shape Shape
		o     LoaderOptions
	}{
		{"mnist", Shape{28, 28, 1}, LoaderOptions{Batch: 128, Shuffle: true, Mean: []float64{0.5}, Std: []float64{0.3}}},
		{"cifar", Shape{32, 32, 3}, LoaderOptions{Batch: 128, Shuffle: true, Mean: []float64{0.5}, Std: []float64{0.3}}},
		{"cifar_augmented", Shape{32, 32, 3}, LoaderOptions{Batch: 128, Shuffle: true, Mean: []float64{0.5}, Std: []float64{0.3}, Flip: true, Crop: 4}},
	} {
		b.Run(c.name, func(b *testing.B) {
			set := toy(c.shape, 2560, 2560)
			l := newLoader[float32](b, set, c.o)
			x, labels := make([]float32, 128*c.shape.Size()), make([]int32, 128)
			b.SetBytes(int64(4 * len(x)))
			i := 0
			for b.Loop() {
				l.Fill(x, labels, nil, i/l.Batches(), i%l.Batches())
				i++
			}
		})
	}
}
