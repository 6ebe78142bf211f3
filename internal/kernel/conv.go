package kernel

import (
	"fmt"
	"math"
)

// Conv is a two-dimensional convolution (cross-correlation) of one sample, as PyTorch's Conv2d
// without dilation. Samples are height x width x channels, channels fastest (NHWC).
type Conv struct {
	Height, Width    int // of the input
	In, Out          int // channels
	KernelH, KernelW int
	Stride, Pad      int // in both directions; Pad zeros are thought around the input
	Groups           int // output channels of group g see only the input channels of group g
}

// largestSample is the largest number of elements of a sample with its border.
const largestSample = 1 << 28

// OutH is the height of the output.
func (c Conv) OutH() int { return (c.Height+2*c.Pad-c.KernelH)/c.Stride + 1 }

// OutW is the width of the output.
func (c Conv) OutW() int { return (c.Width+2*c.Pad-c.KernelW)/c.Stride + 1 }

// InputSize, OutputSize and WeightSize are numbers of elements: of a sample of the input, of the
// output, and of the weights.
func (c Conv) InputSize() int  { return c.Height * c.Width * c.In }
func (c Conv) OutputSize() int { return c.OutH() * c.OutW() * c.Out }
func (c Conv) WeightSize() int { return c.KernelH * c.KernelW * c.In / c.Groups * c.Out }

// Check tells what is wrong with the description, if anything.
func (c Conv) Check() error {
	for _, v := range []struct {
		name  string
		value int
		least int
	}{
		{"height", c.Height, 1}, {"width", c.Width, 1}, {"input channels", c.In, 1}, {"output channels", c.Out, 1},
		{"kernel height", c.KernelH, 1}, {"kernel width", c.KernelW, 1}, {"stride", c.Stride, 1}, {"padding", c.Pad, 0},
		{"groups", c.Groups, 1},
	} {
		if v.value < v.least || v.value > math.MaxInt16 {
			return fmt.Errorf("convolution: %s is %d, must be %d to %d", v.name, v.value, v.least, math.MaxInt16)
		}
	}
	if c.KernelH > c.Height+2*c.Pad || c.KernelW > c.Width+2*c.Pad {
		return fmt.Errorf("convolution: the kernel of %d x %d is larger than the input of %d x %d with padding %d",
			c.KernelH, c.KernelW, c.Height, c.Width, c.Pad)
	}
	if c.In%c.Groups != 0 || c.Out%c.Groups != 0 {
		return fmt.Errorf("convolution: %d groups do not divide %d input and %d output channels", c.Groups, c.In, c.Out)
	}
	// Tables of places are int32; a sample with its border, in strips, is to stay far below that.
	if bordered := (c.Height + 2*c.Pad) * (c.Width + 2*c.Pad); bordered > largestSample/max(c.In, stripWidth) || c.OutputSize() > largestSample {
		return fmt.Errorf("convolution: a sample of %d x %d x %d with padding %d, or its output of %d x %d x %d, has more than %d elements",
			c.Height, c.Width, c.In, c.Pad, c.OutH(), c.OutW(), c.Out, largestSample)
	}
	return nil
}

// A Convolver performs one convolution and its derivatives on batches. It holds the scratch space, so
// it is used by one goroutine at a time; the work is divided over the pool. Results have the same bits
// on any number of workers. It belongs to the level at which it was made.
type Convolver[T float32 | float64] struct {
	c    Conv
	rows int
	// The passes; nil where groups are too narrow for tiles and the direct loops run instead.
	forward, data *convSums[T]
	weights       *convGradient[T]
	direct        *convDirect[T]
}

// NewConvolver makes a convolver for batches of up to rows samples. c must pass [Conv.Check].
func NewConvolver[T float32 | float64](c Conv, rows int) *Convolver[T] {
	v := &Convolver[T]{c: c, rows: rows}
	if c.Groups > 1 && min(c.In, c.Out)/c.Groups < 4 {
		v.direct = newConvDirect[T](c)
		return v
	}
	v.forward = newConvForward[T](c, rows)
	v.data = newConvData[T](c, rows)
	v.weights = newConvGradient[T](c, rows)
	return v
}

// Forward writes the convolution of n samples x, n x Height x Width x In, with the weights w,
// KernelH x KernelW x In/Groups x Out, to y, n x OutH x OutW x Out:
//
//	y[o,p,q] = bias[q] + sum over taps (r,s), channels c { x[o*Stride+r-Pad, p*Stride+s-Pad, c] * w[r,s,c,q] }
//
// bias has Out elements, or is nil for zeros. y must not overlap the others.
func (v *Convolver[T]) Forward(y, x, w, bias []T, n int) {
	v.check(y, x, w, n)
	if bias != nil && len(bias) != v.c.Out {
		panic(fmt.Sprintf("kernel: a bias of %d for %d channels", len(bias), v.c.Out))
	}
	if v.direct != nil {
		v.direct.run(v.direct.forward, y, x, w, bias, n)
		return
	}
	v.forward.run(y, x, w, bias, n)
}

// BackwardData writes to dx the gradient for x of a function whose gradient for y is dy, the
// transposed convolution. Shapes are as in [Convolver.Forward].
func (v *Convolver[T]) BackwardData(dx, dy, w []T, n int) {
	v.check(dy, dx, w, n)
	if v.direct != nil {
		v.direct.run(v.direct.data, dy, dx, w, nil, n)
		return
	}
	v.data.run(dx, dy, w, nil, n)
}

// BackwardWeights writes to dw the gradient for w, summed over the n samples. Shapes are as in
// [Convolver.Forward].
func (v *Convolver[T]) BackwardWeights(dw, x, dy []T, n int) {
	v.check(dy, x, dw, n)
	if v.direct != nil {
		v.direct.gradient(dw, x, dy, n)
		return
	}
	v.weights.run(dw, x, dy, n)
}

func (v *Convolver[T]) check(y, x, w []T, n int) {
	if n < 0 || n > v.rows || len(x) < n*v.c.InputSize() || len(y) < n*v.c.OutputSize() || len(w) < v.c.WeightSize() {
		panic(fmt.Sprintf("kernel: convolution of %d samples (at most %d) with operands of %d, %d and %d elements", n, v.rows, len(x), len(y), len(w)))
	}
}
