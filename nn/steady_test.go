package nn

import (
	"runtime"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/random"
)

// trainable is a network of each family with a batch for it.
func trainable[T Float](t testing.TB, name string, o ArchitectureOptions, rows int) (net *Network[T], x, dLogits []T) {
	t.Helper()
	a, err := Build(name, o)
	if err != nil {
		t.Fatal(err)
	}
	net, err = New[T](a, rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := net.Init("kaiming", 3); err != nil {
		t.Fatal(err)
	}
	r := random.New(5)
	x, dLogits = make([]T, rows*a.Input.Size()), make([]T, rows*o.Classes)
	for _, v := range [][]T{x, dLogits} {
		for i := range v {
			v[i] = T(r.NormFloat64())
		}
	}
	return net, x, dLogits
}

var steadyNetworks = map[string]ArchitectureOptions{
	"mlp":        {Input: Shape{9, 9, 1}, Classes: 10, Width: 200},
	"cnn":        {Input: Shape{12, 12, 1}, Classes: 3, Width: 8},
	"cnn_linear": {Input: Shape{12, 12, 1}, Classes: 10},
	"lenet":      {Input: Shape{28, 28, 1}, Classes: 10},
	"vgg11":      {Input: Shape{32, 32, 3}, Classes: 10, Width: 8},
	"resnet18":   {Input: Shape{16, 16, 3}, Classes: 10, Width: 16},
	"resnet50":   {Input: Shape{8, 8, 3}, Classes: 10, Width: 8},
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector makes pools forget")
	}
	for name, o := range steadyNetworks {
		net, x, dLogits := trainable[float32](t, name, o, 16)
		steps := func() {
			net.Forward(x, 16, Train)
			net.Backward(dLogits, nil)
			net.Forward(x, 16, Evaluate)
		}
		if n := testing.AllocsPerRun(3, steps); n != 0 { // on one processor
			t.Errorf("%s: %v allocations", name, n)
		}
		steps() // wakes the pool
		const times = 10
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range times {
			steps()
		}
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > times*uint64(len(net.nodes))/3 { // the runtime's own, and scratch space that grows or that a collection took
			t.Errorf("%s: %d allocations in %d steps on %d processors", name, n, times, runtime.GOMAXPROCS(0))
		}
	}
}

func TestWorkersDoNotMatter(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, o := range steadyNetworks {
		var first [4][]float32
		for _, workers := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(workers)
			net, x, dLogits := trainable[float32](t, name, o, 33)
			net.Forward(x, 33, Train)
			net.Backward(dLogits, nil)
			for i, v := range net.Grads { // a step, so that the next pass depends on every gradient
				net.Params[i] -= 0.01 * v
			}
			logits := slices.Clone(net.Forward(x, 33, Train))
			net.Backward(dLogits, nil)
			for i, got := range [4][]float32{logits, net.Params, net.Grads, net.Stats} {
				if workers == 1 {
					first[i] = got
				} else if !slices.Equal(first[i], got) {
					t.Errorf("%s: %s differ between 1 and %d workers", name, [4]string{"logits", "parameters", "gradients", "statistics"}[i], workers)
				}
			}
		}
	}
}

// A batch smaller than the largest leaves nothing behind: its results are those of a network made for it.
func TestSmallerBatch(t *testing.T) {
	for name, o := range steadyNetworks {
		large, x, dLogits := trainable[float64](t, name, o, 9)
		small, _, _ := trainable[float64](t, name, o, 4)
		large.Forward(x, 9, Train)
		large.Backward(dLogits, nil)
		large.Forward(x, 9, Evaluate)
		copy(small.Stats, large.Stats)
		x, dLogits = x[:4*o.Input.Size()], dLogits[:4*o.Classes]
		if got, want := large.Forward(x, 4, Train), small.Forward(x, 4, Train); !slices.Equal(got, want) {
			t.Errorf("%s: logits differ", name)
		}
		logits := small.logits.rows(4)
		before := slices.Clone(logits)
		large.Backward(dLogits, nil)
		small.Backward(dLogits, nil)
		if !slices.Equal(logits, before) {
			t.Errorf("%s: Backward wrote over the logits", name)
		}
		if !slices.Equal(large.Grads, small.Grads) {
			t.Errorf("%s: gradients differ", name)
		}
	}
}
