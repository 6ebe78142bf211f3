package nn

import (
	"fmt"

	"github.com/collapsar/collapsar/internal/kernel"
)

// An op is a compiled layer. It holds pointers to the values that it reads and writes, and the parameters that the
// builder gave it; both are in place before the first call.
//
// forward computes the first n rows of the output from those of the input. backward, called after a forward of
// the same n in mode Train, reads the gradient of the output, writes the gradient of the input unless that is
// nil, and writes (does not add to) the gradients of its parameters. Neither allocates; loops over rows are
// divided into blocks that do not depend on the number of workers.
type op[T Float] interface {
	forward(n int, m Mode)
	backward(n int)
}

// A value is what flows from one op to the next: rows of numbers, and in the backward pass their gradients. Every
// value has one producer and one consumer (a fork makes two of one).
type value[T Float] struct {
	shape  Shape
	image  Shape // where a vector was flattened from an image, the shape of that: PyTorch orders it by channels first
	isData bool  // the network's input, which needs no gradient
	isTap  bool  // readable after the pass
	data   *buffer[T]
	slope  *buffer[T] // of the gradient; nil where none is wanted
}

// rows are the first n rows.
func (v *value[T]) rows(n int) []T { return v.data.memory[:n*v.shape.Size()] }

// grad is the gradient of the first n rows, nil where nobody wants it.
func (v *value[T]) grad(n int) []T {
	if v.slope == nil {
		return nil
	}
	return v.slope.memory[:n*v.shape.Size()]
}

// traits says what an op does to its values, so that the plan can let values share memory.
type traits struct {
	keepsIn  bool // backward reads the input's rows
	keepsOut bool // backward reads the output's rows
	inPlace  bool // forward may write the output over the input (the first of them)
	gradOver bool // backward may write the input's gradient (the first one's) over the output's
	alias    bool // outputs are the input under another name: the rows are the same, and forward does nothing
}

// A node is an op in its place.
type node[T Float] struct {
	op      op[T]
	traits  traits
	in, out []*value[T]
}

// A builder compiles layers. It hands out values, and ranges of the flat vectors.
type builder[T Float] struct {
	rows    int // of the largest batch
	nodes   []node[T]
	tensors []Tensor[T]
	binds   []func(params, grads, stats []T)
	params  int // elements handed out
	stats   int
	inlets  []*inlet[T] // of the taps
	names   []string    // of the taps
	key     *key
	seen    map[string]bool
}

// key names the stream of random numbers of a training step.
type key struct{ seed, step uint64 }

// value is a new output of the given shape.
func (b *builder[T]) value(s Shape) *value[T] { return &value[T]{shape: s} }

// like is a new output of the shape of v.
func (b *builder[T]) like(v *value[T]) *value[T] { return &value[T]{shape: v.shape, image: v.image} }

// add appends an op with one input and one output.
func (b *builder[T]) add(o op[T], t traits, in, out *value[T]) {
	b.nodes = append(b.nodes, node[T]{o, t, []*value[T]{in}, []*value[T]{out}})
}

// param sets *w and *dw to a range of Params and Grads as long as the tensor's shape says.
func (b *builder[T]) param(w, dw *[]T, t Tensor[T]) error {
	t.Trainable, t.Offset = true, b.params
	lo, hi := b.params, b.params+t.Len()
	b.params = hi
	b.binds = append(b.binds, func(params, grads, _ []T) {
		*w, *dw = params[lo:hi:hi], grads[lo:hi:hi]
	})
	return b.enter(t)
}

// stat sets *s to a range of Stats.
func (b *builder[T]) stat(s *[]T, t Tensor[T]) error {
	t.Kind, t.Offset = Statistic, b.stats
	lo, hi := b.stats, b.stats+t.Len()
	b.stats = hi
	b.binds = append(b.binds, func(_, _, stats []T) { *s = stats[lo:hi:hi] })
	return b.enter(t)
}

// frozen enters a tensor that is not trained. Its values stay where they are.
func (b *builder[T]) frozen(w []T, t Tensor[T]) error {
	t.data, t.Offset = w, -1
	return b.enter(t)
}

func (b *builder[T]) enter(t Tensor[T]) error {
	if b.seen[t.Name] {
		return fmt.Errorf("nn: two tensors have the name %s", t.Name)
	}
	b.seen[t.Name] = true
	b.tensors = append(b.tensors, t)
	return nil
}

// sequence compiles layers one after another. A norm takes in the ReLU that follows it, and so does the
// sum at the end of a residual block; a max-pooling goes before the ReLU in front of it.
func (b *builder[T]) sequence(layers []Layer, in *value[T]) (out *value[T], err error) {
	for i := 0; i < len(layers); i++ {
		var next Layer
		if i+1 < len(layers) {
			next = layers[i+1]
		}
		_, relu := next.(ReLU)
		fused := false
		switch l := layers[i].(type) {
		case Mark:
			in = b.tap(l.Name, in)
		case Dense:
			in, err = compileDense(b, l, in)
		case FixedHead:
			in, err = compileFixedHead(b, l, in)
		case CosineHead:
			in, err = compileCosineHead(b, l, in)
		case UnitLength:
			in, err = compileUnitLength(b, in)
		case ReLU:
			// The largest positive part is the positive part of the largest, and there are fewer of those.
			if pool, ok := next.(MaxPool); ok {
				if in, err = compilePool(b, pool.Kernel, pool.Stride, pool.Pad, true, in); err != nil {
					return nil, err
				}
				i++
			}
			in, err = compileActivation(b, l, in)
		case LeakyReLU, ELU, GELU, SiLU, Sigmoid, Tanh:
			in, err = compileActivation(b, l, in)
		case Conv:
			in, err = compileConv(b, l, in)
		case BatchNorm:
			in, err = compileBatchNorm(b, l, relu, in)
			fused = relu
		case GroupNorm:
			in, err = compileGroupNorm(b, l, relu, in)
			fused = relu
		case MaxPool:
			in, err = compilePool(b, l.Kernel, l.Stride, l.Pad, true, in)
		case AveragePool:
			in, err = compilePool(b, l.Kernel, l.Stride, l.Pad, false, in)
		case GlobalAveragePool:
			in, err = compileGlobalAverage(b, in)
		case Residual:
			in, err = compileResidual(b, l, relu, in)
			fused = relu
		case Dropout:
			in, err = compileDropout(b, l, in)
		case Flatten:
			in, err = compileFlatten(b, in)
		case nil:
			err = fmt.Errorf("nn: layer %d is nil", i)
		default:
			err = fmt.Errorf("nn: layer %d: a %s cannot stand here", i, l.kind())
		}
		if err != nil {
			return nil, err
		}
		if relu && fused {
			i++
		}
	}
	return in, nil
}

// tap makes a value readable from outside, and lets gradients in.
func (b *builder[T]) tap(name string, in *value[T]) *value[T] {
	out := b.like(in)
	out.isTap = true
	b.names = append(b.names, name)
	o := &inlet[T]{in: in, out: out}
	b.inlets = append(b.inlets, o)
	b.add(o, traits{alias: true, gradOver: true}, in, out)
	return out
}

// An inlet is where the gradient of a tap comes in.
type inlet[T Float] struct {
	in, out *value[T]
	extra   []T  // for this backward pass; nil: none
	shut    bool // nothing comes through from above
}

func (*inlet[T]) forward(int, Mode) {}

func (o *inlet[T]) backward(n int) {
	to := o.in.grad(n)
	if o.shut {
		clear(to)
	} else {
		pass(to, o.out.grad(n))
	}
	if to != nil && o.extra != nil {
		kernel.AddScaled(to, 1, o.extra[:len(to)])
	}
}
