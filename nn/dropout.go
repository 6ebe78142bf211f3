package nn

import (
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/internal/random"
)

// Dropout sets every number to 0 with probability P when training and multiplies the others by 1/(1-P), so that
// the mean is kept (Srivastava et al. 2014). Which ones depends on the seed and the step of Network.Step, on
// the layer and on the place alone.
type Dropout struct{ P float64 }

func (Dropout) kind() string { return "dropout" }

type dropout[T Float] struct {
	in, out   *value[T]
	key       *key
	layer     uint64
	limit     uint32 // a number stays if its word is not below
	factor    T
	words     []uint64 // drawn in forward, two numbers a word
	n         int
	forth, to func(worker, block int)
}

func compileDropout[T Float](b *builder[T], l Dropout, in *value[T]) (*value[T], error) {
	if !(l.P >= 0 && l.P < 1) {
		return nil, fmt.Errorf("dropout with probability %v, which must be in [0, 1)", l.P)
	}
	o := &dropout[T]{
		in: in, out: b.like(in), key: b.key, layer: uint64(len(b.nodes)),
		limit: uint32(math.Min(math.Round(l.P*(1<<32)), math.MaxUint32)), factor: T(1 / (1 - l.P)),
		words: make([]uint64, (b.rows*in.shape.Size()+1)/2),
	}
	o.forth, o.to = o.forwardBlock, o.backwardBlock
	b.add(o, traits{inPlace: true, gradOver: true}, in, o.out)
	return o.out, nil
}

func (o *dropout[T]) forward(n int, m Mode) {
	o.n = n
	if m == Train {
		parallel.For(blocks(n*o.in.shape.Size()), o.forth)
	} else {
		pass(o.out.rows(n), o.in.rows(n))
	}
}

func (o *dropout[T]) forwardBlock(_, i int) {
	y, x := o.out.rows(o.n), o.in.rows(o.n)
	lo, hi := span(i, len(y))
	random.Fill(o.words[lo/2:(hi+1)/2], o.key.seed, o.key.step, o.layer, uint64(i))
	o.mask(y, x, lo, hi)
}

func (o *dropout[T]) backward(n int) {
	if o.in.slope != nil {
		parallel.For(blocks(n*o.in.shape.Size()), o.to)
	}
}

func (o *dropout[T]) backwardBlock(_, i int) {
	dx, dy := o.in.grad(o.n), o.out.grad(o.n)
	lo, hi := span(i, len(dx))
	o.mask(dx, dy, lo, hi)
}

// mask writes what stays of y[lo:hi] to x[lo:hi]; lo is even.
func (o *dropout[T]) mask(y, x []T, lo, hi int) {
	for i := lo; i < hi; i++ {
		v := x[i] * o.factor
		if uint32(o.words[i/2]>>(32*(i&1))) < o.limit {
			v = 0
		}
		y[i] = v
	}
}
