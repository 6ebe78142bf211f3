package nn

import (
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// MaxPool takes the largest element of every window. Padding, at most half the window, never wins. Of equal
// elements the first in the window gets the gradient.
type MaxPool struct {
	Kernel int
	Stride int // 0: Kernel
	Pad    int
}

func (MaxPool) kind() string { return "max pooling" }

// AveragePool takes the mean of every window; the padding counts as zeros, as in PyTorch.
type AveragePool struct {
	Kernel int
	Stride int // 0: Kernel
	Pad    int
}

func (AveragePool) kind() string { return "average pooling" }

// GlobalAveragePool takes the mean of every channel over the pixels, and makes a vector of the image.
type GlobalAveragePool struct{}

func (GlobalAveragePool) kind() string { return "global average" }

// A pool works on one sample after the other.
type pool[T Float] struct {
	in, out     *value[T]
	pool        kernel.Pool
	place       []uint8 // of the maxima; nil for an average
	n           int
	forth, back func(_, sample int)
}

func compilePool[T Float](b *builder[T], size, stride, pad int, maximum bool, in *value[T]) (*value[T], error) {
	s := in.shape
	p := kernel.Pool{Height: s.Height, Width: s.Width, Channels: s.Channels, KernelH: size, KernelW: size, Stride: or(stride, size), Pad: pad}
	if err := p.Check(); err != nil {
		return nil, err
	}
	o := &pool[T]{in: in, out: b.value(Shape{p.OutH(), p.OutW(), s.Channels}), pool: p}
	if maximum {
		o.place = make([]uint8, b.rows*o.out.shape.Size())
	}
	o.forth, o.back = o.forwardSample, o.backwardSample
	b.add(o, traits{}, in, o.out)
	return o.out, nil
}

func (o *pool[T]) forward(n int, _ Mode) {
	o.n = n
	parallel.For(n, o.forth)
}

func (o *pool[T]) backward(n int) {
	o.n = n
	if o.in.slope != nil {
		parallel.For(n, o.back)
	}
}

// sample is sample i of rows of the given size.
func sample[E any](rows []E, i, size int) []E { return rows[i*size : (i+1)*size] }

func (o *pool[T]) forwardSample(_, i int) {
	in, out := o.in.shape.Size(), o.out.shape.Size()
	y, x := sample(o.out.rows(o.n), i, out), sample(o.in.rows(o.n), i, in)
	if o.place != nil {
		kernel.MaxPool(y, sample(o.place, i, out), x, o.pool)
	} else {
		kernel.AveragePool(y, x, o.pool)
	}
}

func (o *pool[T]) backwardSample(_, i int) {
	in, out := o.in.shape.Size(), o.out.shape.Size()
	dx, dy := sample(o.in.grad(o.n), i, in), sample(o.out.grad(o.n), i, out)
	if o.place != nil {
		kernel.MaxPoolBackward(dx, dy, sample(o.place, i, out), o.pool)
	} else {
		kernel.AveragePoolBackward(dx, dy, o.pool)
	}
}

// A globalAverage adds the pixels of a sample in float64.
type globalAverage[T Float] struct {
	in, out     *value[T]
	sums        []float64 // n x c
	n           int
	forth, back func(_, sample int)
}

func compileGlobalAverage[T Float](b *builder[T], in *value[T]) (*value[T], error) {
	c := in.shape.Channels
	o := &globalAverage[T]{in: in, out: b.value(Vector(c)), sums: make([]float64, b.rows*c)}
	o.forth, o.back = o.forwardSample, o.backwardSample
	b.add(o, traits{}, in, o.out)
	return o.out, nil
}

func (o *globalAverage[T]) forward(n int, _ Mode) {
	o.n = n
	parallel.For(n, o.forth)
}

func (o *globalAverage[T]) backward(n int) {
	o.n = n
	if o.in.slope != nil {
		parallel.For(n, o.back)
	}
}

func (o *globalAverage[T]) forwardSample(_, i int) {
	c := o.in.shape.Channels
	sums := sample(o.sums, i, c)
	clear(sums)
	kernel.ColumnSums(sums, sample(o.in.rows(o.n), i, o.in.shape.Size()))
	y, pixels := sample(o.out.rows(o.n), i, c), float64(o.in.shape.Height*o.in.shape.Width)
	for j, s := range sums {
		y[j] = T(s / pixels)
	}
}

func (o *globalAverage[T]) backwardSample(_, i int) {
	c := o.in.shape.Channels
	dx, dy := sample(o.in.grad(o.n), i, o.in.shape.Size()), sample(o.out.grad(o.n), i, c)
	share := 1 / T(o.in.shape.Height*o.in.shape.Width)
	kernel.Scale(dx[:c], share, dy)
	for first := dx[:c]; len(dx) > c; {
		dx = dx[c:]
		copy(dx[:c], first)
	}
}
