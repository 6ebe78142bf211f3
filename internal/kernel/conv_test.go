package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// convShapes are small convolutions of every kind: odd and even kernels, strides, paddings up to
// beyond the kernel, groups, and channel numbers around the widths of the tiles.
func convShapes() []Conv {
	var shapes []Conv
	add := func(h, w, in, out, kh, kw, stride, pad, groups int) {
		c := Conv{h, w, in, out, kh, kw, stride, pad, groups}
		if c.Check() == nil {
			shapes = append(shapes, c)
		}
	}
	channels := []int{1, 3, 6, 16, 17, 24, 64}
	count := 0
	for _, kernel := range [][2]int{{1, 1}, {3, 3}, {2, 2}, {5, 5}, {4, 1}, {2, 3}} {
		for stride := 1; stride <= 3; stride++ {
			for pad := range 4 {
				for _, size := range [][2]int{{1, 1}, {3, 5}, {4, 4}, {7, 6}} {
					// Sizes of channels go round, so that all pairs meet all of the above in turn.
					for range 2 {
						add(size[0], size[1], channels[count%7], channels[count/7%7], kernel[0], kernel[1], stride, pad, 1)
						count++
					}
					add(size[0], size[1], 6, 6, kernel[0], kernel[1], stride, pad, 6)
					add(size[0], size[1], 4, 8, kernel[0], kernel[1], stride, pad, 4)
					add(size[0], size[1], 32, 48, kernel[0], kernel[1], stride, pad, 2)
				}
			}
		}
	}
	for _, in := range channels {
		for _, out := range channels {
			add(4, 5, in, out, 3, 3, 1, 1, 1)
			add(5, 4, in, out, 1, 1, 1, 0, 1)
		}
	}
	return shapes
}

// The direct loops, in float64, with the sum of absolute products to measure errors by.

// directConv calls f for every product of one sample: with the indices of the elements of y, x and w.
func directConv(c Conv, f func(y, x, w int)) {
	in, out := c.In/c.Groups, c.Out/c.Groups
	for o := range c.OutH() {
		for p := range c.OutW() {
			for r := range c.KernelH {
				for s := range c.KernelW {
					i, j := o*c.Stride+r-c.Pad, p*c.Stride+s-c.Pad
					if i < 0 || j < 0 || i >= c.Height || j >= c.Width {
						continue
					}
					for q := range c.Out {
						for k := range in {
							f((o*c.OutW()+p)*c.Out+q, (i*c.Width+j)*c.In+q/out*in+k, ((r*c.KernelW+s)*in+k)*c.Out+q)
						}
					}
				}
			}
		}
	}
}

// A convProblem holds guarded operands of one shape, and what the direct loops make of them.
type convProblem[T float32 | float64] struct {
	c             Conv
	n             int
	x, y, w, bias *guarded[T]
	biased        bool
	forward       convExpected
	data          convExpected
	weights       convExpected
}

// convExpected is a result, the sum of absolute products behind each element, and the largest number of
// them.
type convExpected struct {
	sum, size []float64
	terms     int
}

func (e convExpected) add(i int, v float64) {
	e.sum[i] += v
	e.size[i] += math.Abs(v)
}

func newConvExpected(n, terms int) convExpected {
	return convExpected{make([]float64, n), make([]float64, n), terms}
}

func newConvOperands[T float32 | float64](c Conv, n, shift int) *convProblem[T] {
	r := rand.New(rand.NewPCG(3, uint64(shift)))
	return &convProblem[T]{c: c, n: n, x: newGuarded[T](n*c.InputSize(), shift).random(r), y: newGuarded[T](n*c.OutputSize(), shift+1).random(r),
		w: newGuarded[T](c.WeightSize(), shift+2).random(r), bias: newGuarded[T](c.Out, shift+3).random(r)}
}

func newConvProblem[T float32 | float64](c Conv, n, shift int, biased bool) *convProblem[T] {
	p := newConvOperands[T](c, n, shift)
	p.biased = biased
	in, out := c.InputSize(), c.OutputSize()
	taps := c.KernelH * c.KernelW
	p.forward = newConvExpected(n*out, taps*c.In+1)
	p.data = newConvExpected(n*in, taps*c.Out)
	p.weights = newConvExpected(c.WeightSize(), n*c.OutH()*c.OutW())
	if biased {
		for i := range p.forward.sum {
			p.forward.add(i, float64(p.bias.s[i%c.Out]))
		}
	}
	for s := range n {
		directConv(c, func(i, j, k int) {
			i, j = s*out+i, s*in+j
			y, x, w := float64(p.y.s[i]), float64(p.x.s[j]), float64(p.w.s[k])
			p.forward.add(i, x*w)
			p.data.add(j, y*w)
			p.weights.add(k, y*x)
		})
	}
	return p
}

// check runs the three passes. Their results begin as guards, so that none is read.
func (p *convProblem[T]) check(t *testing.T, v *Convolver[T]) {
	t.Helper()
	var bias []T
	if p.biased {
		bias = p.bias.s
	}
	name := fmt.Sprintf("%+v, %d samples, %T", p.c, p.n, T(0))
	compare := func(pass string, got *guarded[T], want convExpected) {
		t.Helper()
		got.check(t, pass+", "+name)
		for i, v := range got.s {
			if !(math.Abs(float64(v)-want.sum[i]) <= 2*float64(want.terms+3)*epsilon[T]()*want.size[i]) {
				t.Fatalf("%s, %s: element %d is %v, want %v", pass, name, i, v, want.sum[i])
			}
		}
	}
	result := newGuarded[T](len(p.y.s), 5)
	v.Forward(result.s, p.x.s, p.w.s, bias, p.n)
	compare("forward", result, p.forward)
	result = newGuarded[T](len(p.x.s), 6)
	v.BackwardData(result.s, p.y.s, p.w.s, p.n)
	compare("data", result, p.data)
	result = newGuarded[T](len(p.w.s), 7)
	v.BackwardWeights(result.s, p.x.s, p.y.s, p.n)
	compare("weights", result, p.weights)
	for _, g := range []*guarded[T]{p.x, p.y, p.w, p.bias} {
		g.check(t, name)
	}
}

func TestConvSmall(t *testing.T) {
	var problems []*convProblem[float32]
	var problems64 []*convProblem[float64]
	for i, c := range convShapes() {
		if testing.Short() && i%8 != 0 {
			continue
		}
		problems = append(problems, newConvProblem[float32](c, 1+i%3, i%16, i%2 == 0))
		if i%3 == 0 {
			problems64 = append(problems64, newConvProblem[float64](c, i%4, i%16, i%2 == 0))
		}
	}
	atEveryLevel(t, func(t *testing.T) {
		for i, p := range problems {
			p.check(t, NewConvolver[float32](p.c, p.n+i%2)) // there may be room for more samples
		}
		for _, p := range problems64 {
			p.check(t, NewConvolver[float64](p.c, p.n))
		}
	})
}

// convLarger are shapes of whole layers, which enter every way of dividing the work.
var convLarger = []Conv{
	{32, 32, 3, 16, 3, 3, 1, 1, 1},
	{28, 28, 1, 32, 3, 3, 1, 1, 1},
	{16, 16, 16, 32, 3, 3, 2, 1, 1},
	{8, 8, 64, 64, 3, 3, 1, 1, 1},
	{4, 4, 96, 80, 3, 3, 1, 1, 1},
	{9, 9, 64, 40, 1, 1, 2, 0, 1},
	{7, 7, 24, 24, 3, 3, 1, 1, 24},
	{40, 30, 17, 8, 40, 29, 1, 0, 1}, // the kernel is nearly the whole sample
}

func TestConvLarger(t *testing.T) {
	if testing.Short() {
		t.Skip("the direct loops take seconds")
	}
	var problems []*convProblem[float32]
	for _, c := range convLarger {
		problems = append(problems, newConvProblem[float32](c, 11, 1, true))
	}
	atEveryLevel(t, func(t *testing.T) {
		for _, p := range problems {
			v := NewConvolver[float32](p.c, 13)
			p.check(t, v)
			p.check(t, v) // nothing is left of the first run
		}
	})
}

// TestConvAdjoint checks <y, conv(x)> = <data(y), x> = <weights(x, y), w>, in float64 sums.
func TestConvAdjoint(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		for i, c := range append(convLarger, convShapes()...) {
			if i > len(convLarger) && (i%5 != 0 || testing.Short()) {
				continue
			}
			const n = 5
			p := newConvOperands[float32](c, n, i%8)
			v := NewConvolver[float32](c, n)
			y, dx, dw := make([]float32, n*c.OutputSize()), make([]float32, n*c.InputSize()), make([]float32, c.WeightSize())
			v.Forward(y, p.x.s, p.w.s, nil, n)
			v.BackwardData(dx, p.y.s, p.w.s, n)
			v.BackwardWeights(dw, p.x.s, p.y.s, n)
			inner := func(a, b []float32) (sum, size float64) {
				for i := range a {
					sum += float64(a[i]) * float64(b[i])
					size += math.Abs(float64(a[i]) * float64(b[i]))
				}
				return sum, size
			}
			forward, size := inner(y, p.y.s)
			data, _ := inner(dx, p.x.s)
			weights, _ := inner(dw, p.w.s)
			// Rounding errors of single elements, each within 1e-5 of its terms, average out.
			if limit := 1e-5 * size; math.Abs(forward-data) > limit || math.Abs(forward-weights) > limit {
				t.Errorf("%+v: <y, conv x> is %v, <data y, x> %v, <weights, w> %v", c, forward, data, weights)
			}
		}
	})
}

func TestConvWorkersDoNotMatter(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
		for i, c := range convLarger {
			if testing.Short() && i < 2 {
				continue
			}
			const n = 19
			p := newConvOperands[float32](c, n, i)
			var want [3][]float32
			for _, procs := range []int{1, 2, 5} {
				runtime.GOMAXPROCS(procs)
				v := NewConvolver[float32](c, n)
				got := [3][]float32{make([]float32, n*c.OutputSize()), make([]float32, n*c.InputSize()), make([]float32, c.WeightSize())}
				v.Forward(got[0], p.x.s, p.w.s, p.bias.s, n)
				v.BackwardData(got[1], p.y.s, p.w.s, n)
				v.BackwardWeights(got[2], p.x.s, p.y.s, n)
				if procs == 1 {
					want = got
				}
				for pass := range got {
					for j := range got[pass] {
						if !sameBits(got[pass][j], want[pass][j]) {
							t.Fatalf("%+v: pass %d, element %d with %d workers is %v, with one %v", c, pass, j, procs, got[pass][j], want[pass][j])
						}
					}
				}
			}
		}
	})
}

func TestConvAllocatesNothing(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		for i, c := range convLarger {
			const n = 4
			p := newConvOperands[float32](c, n, i)
			v := NewConvolver[float32](c, n)
			dx, dw := make([]float32, n*c.InputSize()), make([]float32, c.WeightSize())
			if count := testing.AllocsPerRun(3, func() {
				v.Forward(p.y.s, p.x.s, p.w.s, p.bias.s, n)
				v.BackwardData(dx, p.y.s, p.w.s, n)
				v.BackwardWeights(dw, p.x.s, p.y.s, n)
			}); count != 0 {
				t.Errorf("%+v: %v allocations", c, count)
			}
		}
	})
}

func TestConvCheck(t *testing.T) {
	good := Conv{5, 5, 4, 6, 3, 3, 1, 1, 2}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(c *Conv){
		func(c *Conv) { c.Height = 0 },
		func(c *Conv) { c.In = -4 },
		func(c *Conv) { c.Stride = 0 },
		func(c *Conv) { c.Pad = -1 },
		func(c *Conv) { c.KernelW = 8 },
		func(c *Conv) { c.Groups = 3 },
		func(c *Conv) { c.Groups = 0 },
		func(c *Conv) { c.Height, c.Width, c.In = 30000, 30000, 30000 },
		func(c *Conv) { c.Pad = 30000 },
	} {
		c := good
		change(&c)
		if c.Check() == nil {
			t.Errorf("%+v passes", c)
		}
	}
}
