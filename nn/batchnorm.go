package nn

import (
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// BatchNorm normalises every channel over the batch and the pixels (Ioffe, Szegedy 2015),
//
//	y = (x - mean) / sqrt(variance + Epsilon) * weight + bias
//
// with the biased variance. In training, mean and unbiased variance enter the running ones with weight Momentum;
// evaluation uses those. A batch of one row gives the bias, and leaves the running variance alone.
type BatchNorm struct {
	Name     string
	Epsilon  float64 // 0: 1e-5
	Momentum float64 // 0: 0.1
}

func (BatchNorm) kind() string { return "batch norm" }

// A batchNorm takes its sums over fixed blocks of rows and adds them in order.
type batchNorm[T Float] struct {
	in, out           *value[T]
	epsilon, momentum float64

	weight, bias, dWeight, dBias []T
	runMean, runVar, batches     []T

	norm          kernel.Norm[T]
	slope, offset []T       // of the gradient, see kernel.Norm
	rest, scale   []float64 // what Mean lost when it was rounded to T; 1/sqrt(variance + epsilon)
	sums          []float64 // of every block: c sums, then c sums of squares or products

	n                           int
	moments, apply, total, back func(_, block int)
}

// normBlocks is the largest number of blocks that sums are taken over.
const normBlocks = 64

func compileBatchNorm[T Float](b *builder[T], l BatchNorm, relu bool, in *value[T]) (*value[T], error) {
	c := in.shape.Channels
	o := &batchNorm[T]{in: in, out: b.like(in), epsilon: l.Epsilon, momentum: l.Momentum}
	if o.epsilon == 0 {
		o.epsilon = 1e-5
	}
	if o.momentum == 0 {
		o.momentum = 0.1
	}
	if o.epsilon < 0 || !(o.momentum >= 0 && o.momentum <= 1) {
		return nil, fmt.Errorf("%s: epsilon %v must be positive, momentum %v in 0 to 1", l.Name, o.epsilon, o.momentum)
	}
	each := func(name string, kind Kind, start T) Tensor[T] {
		return Tensor[T]{Name: l.Name + name, Shape: []int{c}, Kind: kind, start: start}
	}
	if err := b.param(&o.weight, &o.dWeight, each(".weight", Norm, 1)); err != nil {
		return nil, err
	}
	if err := b.param(&o.bias, &o.dBias, each(".bias", Norm, 0)); err != nil {
		return nil, err
	}
	if err := b.stat(&o.runMean, each(".running_mean", Statistic, 0)); err != nil {
		return nil, err
	}
	if err := b.stat(&o.runVar, each(".running_var", Statistic, 1)); err != nil {
		return nil, err
	}
	if err := b.stat(&o.batches, Tensor[T]{Name: l.Name + ".num_batches_tracked"}); err != nil {
		return nil, err
	}
	vectors := make([]T, 5*c)
	vector := func(i int) []T { return vectors[i*c : (i+1)*c : (i+1)*c] }
	o.norm = kernel.Norm[T]{Mean: vector(0), Scale: vector(1), Shift: vector(2), ReLU: relu}
	o.slope, o.offset = vector(3), vector(4)
	wide := make([]float64, 2*c+2*c*normBlocks)
	o.rest, o.scale, o.sums = wide[:c], wide[c:2*c], wide[2*c:]
	o.moments, o.apply, o.total, o.back = o.momentsBlock, o.applyBlock, o.totalBlock, o.backBlock
	b.add(o, traits{keepsIn: true, gradOver: true}, in, o.out)
	return o.out, nil
}

// span is the range of elements of block i of the batch, and count the number of blocks. A block has at
// least 64 rows and about 32,768 elements; it depends on the batch and the shape only.
func (o *batchNorm[T]) span(i int) (lo, hi int) {
	c, size := o.in.shape.Channels, o.n*o.in.shape.Size()
	block := o.blockRows() * c
	return i * block, min((i+1)*block, size)
}

func (o *batchNorm[T]) blockRows() int {
	const unit = 64 // rows
	rows := o.n * o.in.shape.Height * o.in.shape.Width
	most := (rows + normBlocks*unit - 1) / (normBlocks * unit) * unit
	return max(unit, 32768/o.in.shape.Channels/unit*unit, most)
}

func (o *batchNorm[T]) count() int {
	rows, block := o.n*o.in.shape.Height*o.in.shape.Width, o.blockRows()
	return (rows + block - 1) / block
}

// part are the sums of a block.
func (o *batchNorm[T]) part(i int) (sum, other []float64) {
	c := o.in.shape.Channels
	s := o.sums[2*c*i : 2*c*(i+1)]
	return s[:c], s[c:]
}

// collect runs the loop that takes the sums of every block, and adds them in order.
func (o *batchNorm[T]) collect(body func(_, block int)) (sum, other []float64) {
	blocks := o.count()
	parallel.For(blocks, body)
	c := o.in.shape.Channels
	all := o.sums[:2*c]
	for i := 1; i < blocks; i++ {
		kernel.Add64(all, o.sums[2*c*i:2*c*(i+1)])
	}
	return all[:c], all[c:]
}

func (o *batchNorm[T]) forward(n int, m Mode) {
	o.n = n
	if m == Train {
		o.statistics()
	} else {
		for j, v := range o.runMean {
			o.set(j, float64(v), float64(o.runVar[j]))
		}
	}
	parallel.For(o.count(), o.apply)
}

// statistics takes mean and variance of the batch.
func (o *batchNorm[T]) statistics() {
	sum, square := o.collect(o.moments)
	rows := float64(o.n * o.in.shape.Height * o.in.shape.Width)
	unbiased := rows / (rows - 1)
	pivot := o.in.rows(o.n)[:len(sum)]
	for j, s := range sum {
		mean := s / rows
		variance := max(square[j]/rows-mean*mean, 0)
		mean += float64(pivot[j])
		o.set(j, mean, variance)
		o.runMean[j] += T(o.momentum * (mean - float64(o.runMean[j])))
		if rows > 1 {
			o.runVar[j] += T(o.momentum * (variance*unbiased - float64(o.runVar[j])))
		}
	}
	o.batches[0]++
}

// set prepares the map of channel j.
func (o *batchNorm[T]) set(j int, mean, variance float64) {
	n := &o.norm
	scale := 1 / math.Sqrt(variance+o.epsilon)
	n.Mean[j] = T(mean)
	o.rest[j] = mean - float64(n.Mean[j])
	o.scale[j] = scale
	n.Scale[j] = T(scale * float64(o.weight[j]))
	n.Shift[j] = T(float64(o.bias[j]) - o.rest[j]*float64(n.Scale[j]))
}

func (o *batchNorm[T]) momentsBlock(_, i int) {
	x := o.in.rows(o.n)
	lo, hi := o.span(i)
	sum, square := o.part(i)
	clear(sum)
	clear(square)
	kernel.Moments(sum, square, x[lo:hi], x[:len(sum)])
}

func (o *batchNorm[T]) applyBlock(_, i int) {
	lo, hi := o.span(i)
	o.norm.Forward(o.out.rows(o.n)[lo:hi], o.in.rows(o.n)[lo:hi])
}

// backward: with d = x - mean, s the standard deviation and averages over the rows,
//
//	dx = weight / s * (dy - average(dy) - d * average(dy d) / s^2)
func (o *batchNorm[T]) backward(n int) {
	o.n = n
	sum, dot := o.collect(o.total)
	rows := float64(n * o.in.shape.Height * o.in.shape.Width)
	for j, s := range sum {
		d := dot[j] - o.rest[j]*s
		o.dBias[j] = T(s)
		o.dWeight[j] = T(d * o.scale[j])
		scale := float64(o.norm.Scale[j])
		slope := -scale * o.scale[j] * o.scale[j] * d / rows
		o.slope[j] = T(slope)
		o.offset[j] = T(-scale*s/rows - slope*o.rest[j])
	}
	if o.in.slope != nil {
		parallel.For(o.count(), o.back)
	}
}

func (o *batchNorm[T]) totalBlock(_, i int) {
	lo, hi := o.span(i)
	sum, dot := o.part(i)
	clear(sum)
	clear(dot)
	o.norm.Sums(sum, dot, o.out.grad(o.n)[lo:hi], o.in.rows(o.n)[lo:hi])
}

func (o *batchNorm[T]) backBlock(_, i int) {
	lo, hi := o.span(i)
	o.norm.Backward(o.in.grad(o.n)[lo:hi], o.out.grad(o.n)[lo:hi], o.in.rows(o.n)[lo:hi], o.slope, o.offset)
}
