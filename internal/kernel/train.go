package kernel

import (
	"fmt"
	"math"
)

// The loops of training that are not products. Every function works on one goroutine; who calls it
// divides the work into blocks that do not depend on the number of workers. Operands may be the same
// slice, but may not overlap otherwise. Comparisons are made such that a NaN passes through: it shows
// in the loss instead of becoming 0.
//
// Matrices are rows of channels: len(x) is a multiple of the number of channels, which is the length
// of the vectors that belong to a row. A batch of images in the order sample, height, width, channel
// is such a matrix, and so is a batch of vectors.

// ReLU writes the positive part:
//
//	for i, v := range x { y[i] = max(v, 0) }
func ReLU[T float](y, x []T) {
	y = y[:len(x)]
	for ; len(x) > piece; y, x = y[piece:], x[piece:] {
		relu(y[:piece], x[:piece])
	}
	relu(y, x)
}

// ReLUBackward writes the gradient of the operand of a ReLU whose result was y:
//
//	for i, v := range dy { if y[i] > 0 { dx[i] = v } else { dx[i] = 0 } }
func ReLUBackward[T float](dx, dy, y []T) {
	dx, y = dx[:len(dy)], y[:len(dy)]
	for ; len(dy) > piece; dx, dy, y = dx[piece:], dy[piece:], y[piece:] {
		reluBackward(dx[:piece], dy[:piece], y[:piece])
	}
	reluBackward(dx, dy, y)
}

// Sigmoid writes the logistic function, with the error of [SumExp32]:
//
//	for i, v := range x { y[i] = 1 / (1 + exp(-v)) }
func Sigmoid[T float](y, x []T) {
	y = y[:len(x)]
	for ; len(x) > piece; y, x = y[piece:], x[piece:] {
		sigmoid(y[:piece], x[:piece])
	}
	sigmoid(y, x)
}

// SiLU writes x sigmoid(x):
//
//	for i, v := range x { y[i] = v / (1 + exp(-v)) }
func SiLU[T float](y, x []T) {
	y = y[:len(x)]
	for ; len(x) > piece; y, x = y[piece:], x[piece:] {
		silu(y[:piece], x[:piece])
	}
	silu(y, x)
}

// Tanh writes the hyperbolic tangent, of small numbers by its Taylor series:
//
//	for i, v := range x { y[i] = tanh(v) }
func Tanh[T float](y, x []T) {
	y = y[:len(x)]
	for ; len(x) > piece; y, x = y[piece:], x[piece:] {
		tanh(y[:piece], x[:piece])
	}
	tanh(y, x)
}

// GELU writes x times the normal distribution function of x; in float32 the relative error of that is about 1e-7 near 0
// and grows as x^2, with the rounding of the exponent:
//
//	for i, v := range x { y[i] = v * erfc(-v/sqrt(2)) / 2 }
func GELU[T float](y, x []T) {
	y = y[:len(x)]
	for ; len(x) > piece; y, x = y[piece:], x[piece:] {
		gelu(y[:piece], x[:piece])
	}
	gelu(y, x)
}

// SiLUBackward writes the gradient of the operand of [SiLU]:
//
//	for i, v := range dy { s := sigmoid(x[i]); dx[i] = v * s * (1 + x[i]*(1-s)) }
func SiLUBackward[T float](dx, dy, x []T) {
	dx, x = dx[:len(dy)], x[:len(dy)]
	for ; len(dy) > piece; dx, dy, x = dx[piece:], dy[piece:], x[piece:] {
		siluBackward(dx[:piece], dy[:piece], x[:piece])
	}
	siluBackward(dx, dy, x)
}

// GELUBackward writes the gradient of the operand of [GELU]:
//
//	for i, v := range dy { dx[i] = v * (erfc(-x[i]/sqrt(2))/2 + x[i]*exp(-x[i]^2/2)/sqrt(2 pi)) }
func GELUBackward[T float](dx, dy, x []T) {
	dx, x = dx[:len(dy)], x[:len(dy)]
	for ; len(dy) > piece; dx, dy, x = dx[piece:], dy[piece:], x[piece:] {
		geluBackward(dx[:piece], dy[:piece], x[:piece])
	}
	geluBackward(dx, dy, x)
}

// Add writes a sum:
//
//	for i := range y { y[i] = a[i] + b[i] }
func Add[T float](y, a, b []T) {
	a, b = a[:len(y)], b[:len(y)]
	for ; len(y) > piece; y, a, b = y[piece:], a[piece:], b[piece:] {
		add(y[:piece], a[:piece], b[:piece])
	}
	add(y, a, b)
}

// AddReLU writes the positive part of a sum:
//
//	for i := range y { y[i] = max(a[i] + b[i], 0) }
func AddReLU[T float](y, a, b []T) {
	a, b = a[:len(y)], b[:len(y)]
	for ; len(y) > piece; y, a, b = y[piece:], a[piece:], b[piece:] {
		addReLU(y[:piece], a[:piece], b[:piece])
	}
	addReLU(y, a, b)
}

// AddScaled adds a multiple:
//
//	for i, v := range x { y[i] += a * v }
func AddScaled[T float](y []T, a T, x []T) {
	y = y[:len(x)]
	for ; len(x) > piece; y, x = y[piece:], x[piece:] {
		addScaled(y[:piece], a, x[:piece])
	}
	addScaled(y, a, x)
}

// Scale writes a multiple:
//
//	for i, v := range x { y[i] = a * v }
func Scale[T float](y []T, a T, x []T) {
	y = y[:len(x)]
	for ; len(x) > piece; y, x = y[piece:], x[piece:] {
		scale(y[:piece], a, x[:piece])
	}
	scale(y, a, x)
}

// AddBias adds a vector to every row:
//
//	for i, v := range x { y[i] = v + bias[i % len(bias)] }
func AddBias[T float](y, x, bias []T) { addBias(y[:len(x)], x, bias, false) }

// AddBiasReLU is [AddBias] followed by a ReLU.
func AddBiasReLU[T float](y, x, bias []T) { addBias(y[:len(x)], x, bias, true) }

// chunk is the number of rows over which the loops by column add in the precision of the data;
// sums over chunks are added in float64.
const chunk = 64

// ColumnSums adds the sum of every column to sum:
//
//	for i, v := range x { sum[i % len(sum)] += float64(v) }
func ColumnSums[T float](sum []float64, x []T) {
	c := len(sum)
	for ; len(x) > chunk*c; x = x[chunk*c:] {
		columnSums(sum, x[:chunk*c])
	}
	columnSums(sum, x)
}

// Moments adds, for every column, the sum of the differences from a shift and the sum of their
// squares:
//
//	for i, v := range x { d := float64(v) - float64(shift[i % c]); sum[i % c] += d; square[i % c] += d * d }
//
// float32 rows are taken in chunks, relative to the first row of each, and moved to the shift in float64. So the
// variance square/n - (sum/n)^2 keeps a relative error of about 1e-6 at any mean, whatever the shift; should the first
// row of a chunk be far from all the others, still of about 1e-4, for it is at most sqrt(64) standard deviations
// away from the mean of the 64.
func Moments[T float](sum, square []float64, x, shift []T) {
	c := len(shift)
	sum, square = sum[:c], square[:c]
	for ; len(x) > chunk*c; x = x[chunk*c:] {
		moments(sum, square, x[:chunk*c], shift)
	}
	moments(sum, square, x, shift)
}

// A Norm is an affine map of every channel, as batch and group normalisation apply it:
//
//	y[i] = (x[i] - Mean[i % c]) * Scale[i % c] + Shift[i % c]
//
// with a ReLU behind it if ReLU is set. The difference comes first, so nothing is lost at a large mean.
type Norm[T float] struct {
	Mean, Scale, Shift []T
	ReLU               bool
}

// Forward writes y.
func (n Norm[T]) Forward(y, x []T) {
	y = y[:len(x)]
	for c := chunk * len(n.Mean); len(x) > c; y, x = y[c:], x[c:] {
		n.forward(y[:c], x[:c])
	}
	n.forward(y, x)
}

// Sums adds what the gradient of a normalisation needs, the sum of dy over every column and that of
// its products with the centred x, where the ReLU let x pass:
//
//	for i, v := range dy { if y[i] > 0 { sum[i % c] += v; dot[i % c] += v * (x[i] - Mean[i % c]) } }
//
// y is formed again from x, with the same bits as in Forward.
func (n Norm[T]) Sums(sum, dot []float64, dy, x []T) {
	dy = dy[:len(x)]
	for c := chunk * len(n.Mean); len(x) > c; dy, x = dy[c:], x[c:] {
		n.sums(sum, dot, dy[:c], x[:c])
	}
	n.sums(sum, dot, dy, x)
}

// Backward writes the gradient of x, which is linear in dy and the centred x:
//
//	for i, v := range dy {
//		if y[i] <= 0 { v = 0 } // with ReLU only
//		dx[i] = Scale[i % c] * v + (x[i] - Mean[i % c]) * slope[i % c] + offset[i % c]
//	}
func (n Norm[T]) Backward(dx, dy, x, slope, offset []T) {
	dx, dy = dx[:len(x)], dy[:len(x)]
	for c := chunk * len(n.Mean); len(x) > c; dx, dy, x = dx[c:], dy[c:], x[c:] {
		n.backward(dx[:c], dy[:c], x[:c], slope, offset)
	}
	n.backward(dx, dy, x, slope, offset)
}

// A Pool describes a pooling of one sample, Height x Width x Channels. A window that reaches into
// the padding is cut for a maximum; for an average the padding counts as zeros.
type Pool struct {
	Height, Width, Channels int
	KernelH, KernelW        int
	Stride, Pad             int
}

// OutH and OutW are the height and the width of the result.
func (p Pool) OutH() int { return (p.Height+2*p.Pad-p.KernelH)/p.Stride + 1 }
func (p Pool) OutW() int { return (p.Width+2*p.Pad-p.KernelW)/p.Stride + 1 }

// Check returns an error unless the pooling is possible. As in PyTorch the padding is at most half
// the window, so that no window lies outside; a window has at most 256 places, since its maximum is
// remembered in a byte.
func (p Pool) Check() error {
	switch {
	case p.Height < 1 || p.Width < 1 || p.Channels < 1:
		return fmt.Errorf("pooling of %d x %d x %d: every size must be at least 1", p.Height, p.Width, p.Channels)
	case p.KernelH < 1 || p.KernelW < 1 || p.KernelH > 256/p.KernelW:
		return fmt.Errorf("pooling window %d x %d: it must have 1 to 256 places", p.KernelH, p.KernelW)
	case p.Stride < 1:
		return fmt.Errorf("pooling stride %d: it must be at least 1", p.Stride)
	case p.Pad < 0 || 2*p.Pad > min(p.KernelH, p.KernelW):
		return fmt.Errorf("pooling padding %d: it must be 0 to half the window, which is %d x %d", p.Pad, p.KernelH, p.KernelW)
	case p.Height+2*p.Pad < p.KernelH || p.Width+2*p.Pad < p.KernelW:
		return fmt.Errorf("pooling window %d x %d is larger than %d x %d with padding %d", p.KernelH, p.KernelW, p.Height, p.Width, p.Pad)
	}
	return nil
}

// A window is the part inside the image of the window of one output: rows [h0, h1), columns [w0, w1).
// first is the number of its first place, counted row by row in the whole window.
type window struct {
	h0, h1, w0, w1 int
	first          int
}

func (p Pool) window(i, j int) window {
	h, w := i*p.Stride-p.Pad, j*p.Stride-p.Pad
	in := window{h0: max(h, 0), h1: min(h+p.KernelH, p.Height), w0: max(w, 0), w1: min(w+p.KernelW, p.Width)}
	in.first = (in.h0-h)*p.KernelW + in.w0 - w
	return in
}

// windows is the window of output (i, j), and how many from there on can be taken together: whole ones are alike, and one call
// should not last long.
func (p Pool) windows(i, j int) (in window, n int) {
	in = p.window(i, j)
	if in.w1-in.w0 < p.KernelW {
		return in, 1
	}
	n = (p.Width-in.w1)/p.Stride + 1
	return in, max(1, min(n, 8*piece/(p.Channels*p.KernelH*p.KernelW)))
}

// right is the window n further to the right.
func (in window) right(n int, p Pool) window {
	in.w0 += n * p.Stride
	in.w1 += n * p.Stride
	return in
}

// MaxPool writes the largest element of every window of one sample and its place, counted row by row in
// the window; of equal ones the first:
//
//	for each output (i, j), each channel c: y[i, j, c] = max over (h, w) of x[i*Stride-Pad+h, j*Stride-Pad+w, c]
func MaxPool[T float](y []T, place []uint8, x []T, p Pool) {
	c := p.Channels
	oh, ow := p.OutH(), p.OutW()
	y, place, x = y[:oh*ow*c], place[:oh*ow*c], x[:p.Height*p.Width*c]
	for i := range oh {
		for j := 0; j < ow; {
			in, n := p.windows(i, j)
			o := (i*ow + j) * c
			maxWindows(y[o:o+n*c], place[o:o+n*c], x, p, in, n)
			j += n
		}
	}
}

// MaxPoolBackward writes the gradient of the operand of [MaxPool]: every element of dy is added at the
// place of its maximum, the rest is 0.
func MaxPoolBackward[T float](dx, dy []T, place []uint8, p Pool) {
	c := p.Channels
	oh, ow := p.OutH(), p.OutW()
	dy, place, dx = dy[:oh*ow*c], place[:oh*ow*c], dx[:p.Height*p.Width*c]
	clear(dx)
	for i := range oh {
		for j := 0; j < ow; {
			in, n := p.windows(i, j)
			o := (i*ow + j) * c
			maxWindowsBackward(dx, dy[o:o+n*c], place[o:o+n*c], p, in, n)
			j += n
		}
	}
}

// AveragePool writes the mean of every window of one sample; elements of the padding count as 0.
func AveragePool[T float](y, x []T, p Pool) {
	c := p.Channels
	oh, ow := p.OutH(), p.OutW()
	y, x = y[:oh*ow*c], x[:p.Height*p.Width*c]
	share := 1 / T(p.KernelH*p.KernelW)
	clear(y)
	for i := range oh {
		for j := range ow {
			in, o := p.window(i, j), (i*ow+j)*c
			for h := in.h0; h < in.h1; h++ {
				for w := in.w0; w < in.w1; w++ {
					from := (h*p.Width + w) * c
					addScaled(y[o:o+c], share, x[from:from+c])
				}
			}
		}
	}
}

// AveragePoolBackward writes the gradient of the operand of [AveragePool].
func AveragePoolBackward[T float](dx, dy []T, p Pool) {
	c := p.Channels
	oh, ow := p.OutH(), p.OutW()
	dy, dx = dy[:oh*ow*c], dx[:p.Height*p.Width*c]
	share := 1 / T(p.KernelH*p.KernelW)
	clear(dx)
	for i := range oh {
		for j := range ow {
			in, o := p.window(i, j), (i*ow+j)*c
			for h := in.h0; h < in.h1; h++ {
				for w := in.w0; w < in.w1; w++ {
					to := (h*p.Width + w) * c
					addScaled(dx[to:to+c], share, dy[o:o+c])
				}
			}
		}
	}
}

// Exp writes exponentials and returns their sum, added in float64; the error is that of
// [SumExp32]:
//
//	for i, v := range x { y[i] = exp(v - shift); s += float64(y[i]) }
func Exp[T float](y, x []T, shift T) (sum float64) {
	y = y[:len(x)]
	for ; len(x) > piece; y, x = y[piece:], x[piece:] {
		sum += exponentials(y[:piece], x[:piece], shift)
	}
	return sum + exponentials(y, x, shift)
}

// Softmax writes the softmax of one row and returns the logarithm of the sum of its exponentials, both
// relative to the largest element, so that nothing overflows:
//
//	for i, v := range z { p[i] = exp(v - m) / s }; return m + log(s)
//
// p is the softmax rounded to T. The row must not be empty.
func Softmax[T float](p, z []T) (logSum float64) {
	m := largest(z)
	s := Exp(p, z, m)
	Scale(p[:len(z)], T(1/s), p)
	return float64(m) + math.Log(s)
}

// An SGDStep is a step of stochastic gradient descent as PyTorch takes it, with dampening 0.
type SGDStep struct {
	Rate     float64 // learning rate
	Momentum float64 // 0: none, the velocity is neither read nor written
	Decay    float64 // of the weights, added to the gradient
	Nesterov bool
}

// SGD takes a step on the weights w with the gradient g; v is the velocity, 0 before the first step:
//
//	for i := range w {
//		d := g[i] + Decay*w[i]
//		v[i] = Momentum*v[i] + d
//		if Nesterov { d += Momentum*v[i] } else { d = v[i] }
//		w[i] -= Rate*d
//	}
func SGD[T float](w, v, g []T, s SGDStep) {
	g = g[:len(w)]
	if s.Momentum == 0 {
		for ; len(w) > piece; w, g = w[piece:], g[piece:] {
			descend(w[:piece], g[:piece], s)
		}
		descend(w, g, s)
		return
	}
	v = v[:len(w)]
	for ; len(w) > piece; w, v, g = w[piece:], v[piece:], g[piece:] {
		descendMomentum(w[:piece], v[:piece], g[:piece], s)
	}
	descendMomentum(w, v, g, s)
}

// An AdamStep is a step of Adam (Kingma, Ba 2015, algorithm 1), or with Decoupled of AdamW
// (Loshchilov, Hutter 2019, algorithm 2), as PyTorch takes it.
type AdamStep struct {
	Rate         float64
	Beta1, Beta2 float64
	Epsilon      float64
	Decay        float64
	Decoupled    bool
	Step         int // 1 is the first
}

// Adam takes a step on the weights w with the gradient g; m and v are the moments, 0 before the first:
//
//	for i := range w {
//		if Decoupled { d = g[i]; w[i] *= 1 - Rate*Decay } else { d = g[i] + Decay*w[i] }
//		m[i] = Beta1*m[i] + (1-Beta1)*d
//		v[i] = Beta2*v[i] + (1-Beta2)*d*d
//		w[i] -= Rate/(1-Beta1^Step) * m[i] / (sqrt(v[i]/(1-Beta2^Step)) + Epsilon)
//	}
func Adam[T float](w, m, v, g []T, s AdamStep) {
	m, v, g = m[:len(w)], v[:len(w)], g[:len(w)]
	a := adamNumbers[T](s)
	for ; len(w) > piece; w, m, v, g = w[piece:], m[piece:], v[piece:], g[piece:] {
		adam(w[:piece], m[:piece], v[:piece], g[:piece], a)
	}
	adam(w, m, v, g, a)
}

// Standardize converts bytes, whose channels alternate, to numbers:
//
//	for i, b := range src { dst[i] = T(b)*scale[i % c] + shift[i % c] }
func Standardize[T float](dst []T, src []uint8, scale, shift []T) {
	dst, shift = dst[:len(src)], shift[:len(scale)]
	n := piece - piece%len(scale)
	for ; len(src) > n; dst, src = dst[n:], src[n:] {
		standardize(dst[:n], src[:n], scale, shift)
	}
	standardize(dst, src, scale, shift)
}
