package nn

import (
	"fmt"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// Residual is the sum of two ways from the same input: Body, and Shortcut, which is the input itself where
// it is empty (He, Zhang, Ren, Sun 2016). A ReLU that follows is taken in one loop with the sum.
type Residual struct{ Body, Shortcut []Layer }

func (Residual) kind() string { return "residual block" }

func compileResidual[T Float](b *builder[T], l Residual, relu bool, in *value[T]) (*value[T], error) {
	left, right := b.like(in), b.like(in)
	f := &fork[T]{in: in, left: left, right: right}
	f.add = func(_, i int) {
		lo, hi := span(i, len(f.dx))
		kernel.Add(f.dx[lo:hi], f.dLeft[lo:hi], f.dRight[lo:hi])
	}
	b.nodes = append(b.nodes, node[T]{f, traits{alias: true, gradOver: true}, []*value[T]{in}, []*value[T]{left, right}})

	body, err := b.sequence(l.Body, left)
	if err != nil {
		return nil, err
	}
	shortcut, err := b.sequence(l.Shortcut, right)
	if err != nil {
		return nil, err
	}
	if body.shape != shortcut.shape {
		return nil, fmt.Errorf("a residual block adds %v and %v", body.shape, shortcut.shape)
	}
	s := &sum[T]{a: body, b: shortcut, out: b.like(body), relu: relu}
	s.add, s.mask = s.addBlock, s.maskBlock
	b.nodes = append(b.nodes, node[T]{s, traits{keepsOut: relu, inPlace: true, gradOver: true}, []*value[T]{body, shortcut}, []*value[T]{s.out}})
	return s.out, nil
}

// A fork gives a value two consumers.
type fork[T Float] struct {
	in, left, right   *value[T]
	dx, dLeft, dRight []T // of the running pass
	add               func(_, block int)
}

func (*fork[T]) forward(int, Mode) {}

func (f *fork[T]) backward(n int) {
	f.dx = f.in.grad(n)
	if f.dx == nil {
		return
	}
	f.dLeft, f.dRight = f.left.grad(n), f.right.grad(n)
	parallel.For(blocks(len(f.dx)), f.add)
}

// A sum adds two values, and may take the positive part.
type sum[T Float] struct {
	a, b, out *value[T]
	relu      bool
	n         int
	add, mask func(_, block int)
}

func (s *sum[T]) forward(n int, _ Mode) {
	s.n = n
	parallel.For(blocks(n*s.out.shape.Size()), s.add)
}

func (s *sum[T]) addBlock(_, i int) {
	y, a, b := s.out.rows(s.n), s.a.rows(s.n), s.b.rows(s.n)
	lo, hi := span(i, len(y))
	if s.relu {
		kernel.AddReLU(y[lo:hi], a[lo:hi], b[lo:hi])
	} else {
		kernel.Add(y[lo:hi], a[lo:hi], b[lo:hi])
	}
}

func (s *sum[T]) backward(n int) {
	s.n = n
	if s.relu {
		parallel.For(blocks(n*s.out.shape.Size()), s.mask)
	} else if s.a.slope != nil {
		pass(s.a.grad(n), s.out.grad(n))
	} else {
		pass(s.b.grad(n), s.out.grad(n))
	}
}

// maskBlock writes the one gradient that both operands share.
func (s *sum[T]) maskBlock(_, i int) {
	dx := s.a.grad(s.n)
	if dx == nil { // the network's input
		dx = s.b.grad(s.n)
	}
	lo, hi := span(i, len(dx))
	kernel.ReLUBackward(dx[lo:hi], s.out.grad(s.n)[lo:hi], s.out.rows(s.n)[lo:hi])
}
