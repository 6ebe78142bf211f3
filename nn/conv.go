package nn

import (
	"fmt"

	"github.com/collapsar/collapsar/internal/kernel"
)

// Conv is a convolution in PyTorch's sense, a cross-correlation: every output pixel is the product of a window
// of Kernel x Kernel pixels of the input, Stride apart and reaching Pad pixels of zeros beyond the border, with
// a matrix. With Groups, channels are divided into so many groups that do not see each other. Stride and Groups
// 0 mean 1.
type Conv struct {
	Name                        string
	Out                         int // channels
	Kernel, Stride, Pad, Groups int
	Bias                        bool
}

func (Conv) kind() string { return "convolution" }

type conv[T Float] struct {
	in, out      *value[T]
	w, dw, b, db []T
	columns      *columnSums[T]
	kernel       *kernel.Convolver[T]
}

func compileConv[T Float](b *builder[T], l Conv, in *value[T]) (*value[T], error) {
	c := kernel.Conv{
		Height: in.shape.Height, Width: in.shape.Width, In: in.shape.Channels, Out: l.Out,
		KernelH: l.Kernel, KernelW: l.Kernel, Stride: or(l.Stride, 1), Pad: l.Pad, Groups: or(l.Groups, 1),
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", l.Name, err)
	}
	o := &conv[T]{in: in, out: b.value(Shape{c.OutH(), c.OutW(), l.Out}), kernel: kernel.NewConvolver[T](c, b.rows)}
	group := c.In / c.Groups
	fanIn := group * l.Kernel * l.Kernel
	weight := Tensor[T]{Name: l.Name + ".weight", Shape: []int{l.Out, group, l.Kernel, l.Kernel}, fanIn: fanIn, order: kernelOrder(l.Out, group, l.Kernel*l.Kernel)}
	if err := b.param(&o.w, &o.dw, weight); err != nil {
		return nil, err
	}
	if l.Bias {
		o.columns = newColumnSums[T](b.rows*c.OutH()*c.OutW(), l.Out)
		if err := b.param(&o.b, &o.db, Tensor[T]{Name: l.Name + ".bias", Shape: []int{l.Out}, Kind: Bias, fanIn: fanIn}); err != nil {
			return nil, err
		}
	}
	b.add(o, traits{keepsIn: true}, in, o.out)
	return o.out, nil
}

// kernelOrder says where the elements of PyTorch's [out][in][window] lie in our [window][in][out].
func kernelOrder(out, in, window int) []int32 {
	order := make([]int32, 0, out*in*window)
	for o := range out {
		for i := range in {
			for p := range window {
				order = append(order, int32((p*in+i)*out+o))
			}
		}
	}
	return order
}

func (o *conv[T]) forward(n int, _ Mode) { o.kernel.Forward(o.out.rows(n), o.in.rows(n), o.w, o.b, n) }

func (o *conv[T]) backward(n int) {
	dy := o.out.grad(n)
	o.kernel.BackwardWeights(o.dw, o.in.rows(n), dy, n)
	if o.b != nil {
		o.columns.write(o.db, dy)
	}
	if dx := o.in.grad(n); dx != nil {
		o.kernel.BackwardData(dx, dy, o.w, n)
	}
}
