package nn

import (
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// ReLU is max(x, 0). At 0 its derivative is taken as 0.
type ReLU struct{}

// LeakyReLU is x where x is positive and Slope x elsewhere (Maas, Hannun, Ng 2013).
type LeakyReLU struct {
	Slope float64 // 0: 0.01
}

// ELU is x where x is positive and Alpha (exp(x) - 1) elsewhere (Clevert, Unterthiner, Hochreiter 2016).
type ELU struct {
	Alpha float64 // 0: 1
}

// GELU is x times the normal distribution function of x, not its tanh approximation (Hendrycks, Gimpel 2016).
type GELU struct{}

// SiLU is x sigmoid(x) (Elfwing, Uchibe, Doya 2018).
type SiLU struct{}

// Sigmoid is 1 / (1 + exp(-x)).
type Sigmoid struct{}

// Tanh is the hyperbolic tangent.
type Tanh struct{}

func (ReLU) kind() string      { return "ReLU" }
func (LeakyReLU) kind() string { return "leaky ReLU" }
func (ELU) kind() string       { return "ELU" }
func (GELU) kind() string      { return "GELU" }
func (SiLU) kind() string      { return "SiLU" }
func (Sigmoid) kind() string   { return "sigmoid" }
func (Tanh) kind() string      { return "tanh" }

// A curve is what an activation does to a block of numbers. y and x may be the same slice, and so may dx and dy.
type curve[T Float] struct {
	forward  func(y, x []T)
	backward func(dx, dy, kept []T) // kept is y, or x if the curve keeps its input
	keepsIn  bool
}

func curveOf[T Float](l Layer) (curve[T], error) {
	switch l := l.(type) {
	case ReLU:
		return curve[T]{forward: kernel.ReLU[T], backward: kernel.ReLUBackward[T]}, nil
	case LeakyReLU:
		if l.Slope < 0 {
			return curve[T]{}, fmt.Errorf("leaky ReLU of slope %v, which must not be negative", l.Slope)
		}
		return leaky(T(orReal(l.Slope, 0.01))), nil
	case ELU:
		if l.Alpha < 0 {
			return curve[T]{}, fmt.Errorf("ELU with alpha %v, which must be positive", l.Alpha)
		}
		return elu(T(orReal(l.Alpha, 1))), nil
	case GELU:
		return curve[T]{kernel.GELU[T], kernel.GELUBackward[T], true}, nil
	case SiLU:
		return curve[T]{kernel.SiLU[T], kernel.SiLUBackward[T], true}, nil
	case Sigmoid:
		return curve[T]{forward: kernel.Sigmoid[T], backward: sigmoidBackward[T]}, nil
	case Tanh:
		return curve[T]{forward: kernel.Tanh[T], backward: tanhBackward[T]}, nil
	}
	return curve[T]{}, fmt.Errorf("a %s is no activation", l.kind())
}

// orReal is v, or the default if v is 0.
func orReal(v, preset float64) float64 {
	if v == 0 {
		return preset
	}
	return v
}

// An activation applies a curve.
type activation[T Float] struct {
	curve       curve[T]
	in, out     *value[T]
	n           int
	forth, back func(_, block int)
}

func compileActivation[T Float](b *builder[T], l Layer, in *value[T]) (*value[T], error) {
	c, err := curveOf[T](l)
	if err != nil {
		return nil, err
	}
	o := &activation[T]{curve: c, in: in, out: b.like(in)}
	o.forth, o.back = o.forwardBlock, o.backwardBlock
	b.add(o, traits{keepsIn: c.keepsIn, keepsOut: !c.keepsIn, inPlace: !c.keepsIn, gradOver: true}, in, o.out)
	return o.out, nil
}

func (o *activation[T]) forward(n int, _ Mode) {
	o.n = n
	parallel.For(blocks(n*o.in.shape.Size()), o.forth)
}

func (o *activation[T]) forwardBlock(_, i int) {
	x := o.in.rows(o.n)
	lo, hi := span(i, len(x))
	o.curve.forward(o.out.rows(o.n)[lo:hi], x[lo:hi])
}

func (o *activation[T]) backward(n int) {
	o.n = n
	if o.in.slope != nil {
		parallel.For(blocks(n*o.in.shape.Size()), o.back)
	}
}

func (o *activation[T]) backwardBlock(_, i int) {
	kept := o.out
	if o.curve.keepsIn {
		kept = o.in
	}
	dx := o.in.grad(o.n)
	lo, hi := span(i, len(dx))
	o.curve.backward(dx[lo:hi], o.out.grad(o.n)[lo:hi], kept.rows(o.n)[lo:hi])
}

func leaky[T Float](slope T) curve[T] {
	return curve[T]{
		forward: func(y, x []T) {
			for i, v := range x {
				if v <= 0 {
					v *= slope
				}
				y[i] = v
			}
		},
		backward: func(dx, dy, y []T) {
			for i, d := range dy {
				if y[i] <= 0 {
					d *= slope
				}
				dx[i] = d
			}
		},
	}
}

func elu[T Float](alpha T) curve[T] {
	return curve[T]{
		forward: func(y, x []T) {
			for i, v := range x {
				if v <= 0 {
					v = alpha * T(math.Expm1(float64(v)))
				}
				y[i] = v
			}
		},
		backward: func(dx, dy, y []T) {
			for i, d := range dy {
				if y[i] <= 0 {
					d *= y[i] + alpha
				}
				dx[i] = d
			}
		},
	}
}

func sigmoidBackward[T Float](dx, dy, y []T) {
	for i, v := range y {
		dx[i] = dy[i] * v * (1 - v)
	}
}

func tanhBackward[T Float](dx, dy, y []T) {
	for i, v := range y {
		dx[i] = dy[i] * (1 - v) * (1 + v)
	}
}
