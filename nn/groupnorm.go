package nn

import (
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// GroupNorm normalises every sample by itself, over the pixels and the channels of each of Groups groups of
// neighbouring channels (Wu, He 2018), with the biased variance; each channel has its own weight and bias. One group
// is layer normalisation over the whole sample, of vectors that of Ba, Kiros, Hinton 2016.
type GroupNorm struct {
	Name    string
	Groups  int     // divides the channels
	Epsilon float64 // 0: 1e-5
}

func (GroupNorm) kind() string { return "group norm" }

// A groupNorm keeps what it prepared for every sample until the backward pass.
type groupNorm[T Float] struct {
	in, out *value[T]
	groups  int
	epsilon float64
	relu    bool

	weight, bias, dWeight, dBias []T

	vectors []T       // of every sample: mean, scale, shift, slope, offset by channel
	state   []float64 // of every sample and group: what the mean lost when it was rounded to T, 1/sqrt(variance + epsilon)
	sums    []float64 // of every sample: c sums, then c sums of squares or products

	n           int
	forth, back func(_, sample int)
}

func compileGroupNorm[T Float](b *builder[T], l GroupNorm, relu bool, in *value[T]) (*value[T], error) {
	c := in.shape.Channels
	if l.Groups < 1 || c%l.Groups != 0 {
		return nil, fmt.Errorf("%s: %d channels cannot be divided into %d groups", l.Name, c, l.Groups)
	}
	if l.Epsilon < 0 {
		return nil, fmt.Errorf("%s: epsilon %v must be positive", l.Name, l.Epsilon)
	}
	o := &groupNorm[T]{
		in: in, out: b.like(in), groups: l.Groups, epsilon: orReal(l.Epsilon, 1e-5), relu: relu,
		vectors: make([]T, b.rows*5*c), state: make([]float64, b.rows*2*l.Groups), sums: make([]float64, b.rows*2*c),
	}
	if err := b.param(&o.weight, &o.dWeight, Tensor[T]{Name: l.Name + ".weight", Shape: []int{c}, Kind: Norm, start: 1}); err != nil {
		return nil, err
	}
	if err := b.param(&o.bias, &o.dBias, Tensor[T]{Name: l.Name + ".bias", Shape: []int{c}, Kind: Norm}); err != nil {
		return nil, err
	}
	o.forth, o.back = o.forwardSample, o.backwardSample
	b.add(o, traits{keepsIn: true, gradOver: true}, in, o.out)
	return o.out, nil
}

// norm is the map of sample i, and the two vectors of its gradient.
func (o *groupNorm[T]) norm(i int) (n kernel.Norm[T], slope, offset []T) {
	c := o.in.shape.Channels
	v := sample(o.vectors, i, 5*c)
	return kernel.Norm[T]{Mean: v[:c], Scale: v[c : 2*c], Shift: v[2*c : 3*c], ReLU: o.relu}, v[3*c : 4*c], v[4*c:]
}

func (o *groupNorm[T]) forward(n int, _ Mode) {
	o.n = n
	parallel.For(n, o.forth)
}

func (o *groupNorm[T]) forwardSample(_, i int) {
	size, c := o.in.shape.Size(), o.in.shape.Channels
	x, y := sample(o.in.rows(o.n), i, size), sample(o.out.rows(o.n), i, size)
	sums := sample(o.sums, i, 2*c)
	clear(sums)
	sum, square := sums[:c], sums[c:]
	pivot := x[:c]
	kernel.Moments(sum, square, x, pivot)

	norm, _, _ := o.norm(i)
	state := sample(o.state, i, 2*o.groups)
	width := c / o.groups
	pixels := float64(size / c)
	for g := range o.groups {
		from, to := g*width, (g+1)*width
		mean := 0.0
		for j := from; j < to; j++ {
			mean += float64(pivot[j]) + sum[j]/pixels
		}
		mean /= float64(width)
		variance := 0.0
		for j := from; j < to; j++ {
			e := float64(pivot[j]) - mean
			variance += square[j] + e*(2*sum[j]+pixels*e)
		}
		variance = max(variance/(pixels*float64(width)), 0)
		scale := 1 / math.Sqrt(variance+o.epsilon)
		rest := mean - float64(T(mean))
		state[2*g], state[2*g+1] = rest, scale
		for j := from; j < to; j++ {
			norm.Mean[j] = T(mean)
			norm.Scale[j] = T(scale * float64(o.weight[j]))
			norm.Shift[j] = T(float64(o.bias[j]) - rest*float64(norm.Scale[j]))
		}
	}
	norm.Forward(y, x)
}

// backward: with d = x - mean, s the standard deviation and averages over a group,
//
//	dx = (weight dy - average(weight dy) - d average(weight dy d) / s^2) / s
func (o *groupNorm[T]) backward(n int) {
	o.n = n
	parallel.For(n, o.back)
	c := o.in.shape.Channels
	all := o.sums[:2*c]
	for i := 1; i < n; i++ {
		kernel.Add64(all, sample(o.sums, i, 2*c))
	}
	round(o.dBias, all[:c])
	round(o.dWeight, all[c:])
}

// round rounds to T.
func round[T Float](dst []T, src []float64) {
	for i, v := range src {
		dst[i] = T(v)
	}
}

// backwardSample leaves in the sums what the sample adds to the gradients of bias and weight.
func (o *groupNorm[T]) backwardSample(_, i int) {
	size, c := o.in.shape.Size(), o.in.shape.Channels
	x, dy := sample(o.in.rows(o.n), i, size), sample(o.out.grad(o.n), i, size)
	sums := sample(o.sums, i, 2*c)
	clear(sums)
	sum, dot := sums[:c], sums[c:]
	norm, slope, offset := o.norm(i)
	norm.Sums(sum, dot, dy, x)

	state := sample(o.state, i, 2*o.groups)
	width := c / o.groups
	count := float64(size / o.groups)
	for g := range o.groups {
		rest, scale := state[2*g], state[2*g+1]
		var all, product float64
		for j := g * width; j < (g+1)*width; j++ {
			w := float64(o.weight[j])
			d := dot[j] - rest*sum[j]
			all += w * sum[j]
			product += w * d
			dot[j] = d * scale
		}
		m := -scale * scale * scale * product / count
		for j := g * width; j < (g+1)*width; j++ {
			slope[j], offset[j] = T(m), T(-scale*all/count-m*rest)
		}
	}
	if o.in.slope != nil {
		norm.Backward(sample(o.in.grad(o.n), i, size), dy, x, slope, offset)
	}
}
