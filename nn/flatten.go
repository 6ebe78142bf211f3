package nn

// Flatten makes a vector of an image. The numbers stay where they are, pixel by pixel; the matrix of a dense
// layer behind it is handed over with its columns in PyTorch's order.
type Flatten struct{}

func (Flatten) kind() string { return "flatten" }

type flatten[T Float] struct{ in, out *value[T] }

func compileFlatten[T Float](b *builder[T], in *value[T]) (*value[T], error) {
	out := b.value(Vector(in.shape.Size()))
	if out.image = in.image; in.shape != out.shape {
		out.image = in.shape
	}
	b.add(&flatten[T]{in, out}, traits{alias: true, gradOver: true}, in, out)
	return out, nil
}

func (*flatten[T]) forward(int, Mode) {}

func (o *flatten[T]) backward(n int) { pass(o.in.grad(n), o.out.grad(n)) }

// pass hands a gradient on as it is: nothing is to be done unless the plan had to give it memory of its own.
func pass[T Float](to, from []T) {
	if to != nil && &to[0] != &from[0] {
		copy(to, from)
	}
}
