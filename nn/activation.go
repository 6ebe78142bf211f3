package nn

// ReLU is max(x, 0). At 0 its derivative is taken as 0.
type ReLU struct{}

func (ReLU) kind() string { return "ReLU" }

type relu[T Float] struct{ in, out *value[T] }

func compileReLU[T Float](b *builder[T], in *value[T]) (*value[T], error) {
	o := &relu[T]{in, b.like(in)}
	b.add(o, traits{keepsOut: true, inPlace: true, gradOver: true}, in, o.out)
	return o.out, nil
}

func (o *relu[T]) forward(n int, _ Mode) {
	y := o.out.rows(n)
	for i, v := range o.in.rows(n) {
		y[i] = max(v, 0)
	}
}

func (o *relu[T]) backward(n int) {
	dx := o.in.grad(n)
	if dx == nil {
		return
	}
	dy := o.out.grad(n)
	for i, v := range o.out.rows(n) {
		d := dy[i]
		if v <= 0 {
			d = 0
		}
		dx[i] = d
	}
}
