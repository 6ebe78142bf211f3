package kernel

import "github.com/collapsar/collapsar/internal/parallel"

// convDirect runs the direct loops, sample by sample.
type convDirect[T float] struct {
	c     Conv
	parts []T // gradients of the weights, one for each group of samples
	// The call in progress, for the loop bodies, which are made once.
	y, x, w, bias               []T
	n                           int
	forward, data, partGradient func(worker, i int)
}

// directParts is the number of groups of samples whose weight gradients are formed apart.
const directParts = 8

func newConvDirect[T float](c Conv) *convDirect[T] {
	d := &convDirect[T]{c: c, parts: make([]T, directParts*c.WeightSize())}
	in, out, size := c.InputSize(), c.OutputSize(), c.WeightSize()
	d.forward = func(_, i int) {
		convDirectForward(c, d.y[i*out:(i+1)*out], d.x[i*in:(i+1)*in], d.w, d.bias)
	}
	d.data = func(_, i int) {
		convDirectData(c, d.x[i*in:(i+1)*in], d.y[i*out:(i+1)*out], d.w)
	}
	d.partGradient = func(_, i int) {
		part := d.parts[i*size : (i+1)*size]
		clear(part)
		for s := i * d.n / directParts; s < (i+1)*d.n/directParts; s++ {
			convDirectWeights(c, part, d.x[s*in:(s+1)*in], d.y[s*out:(s+1)*out])
		}
	}
	return d
}

// run runs the loop body of a pass on every sample.
func (d *convDirect[T]) run(body func(worker, i int), y, x, w, bias []T, n int) {
	d.y, d.x, d.w, d.bias = y, x, w, bias
	parallel.For(n, body)
	d.y, d.x, d.w, d.bias = nil, nil, nil, nil
}

func (d *convDirect[T]) gradient(dw, x, dy []T, n int) {
	d.y, d.x, d.n = dy, x, n
	parallel.For(directParts, d.partGradient)
	size := d.c.WeightSize()
	copy(dw, d.parts[:size])
	for i := 1; i < directParts; i++ {
		for j, p := range d.parts[i*size : (i+1)*size] {
			dw[j] += p
		}
	}
	d.y, d.x = nil, nil
}

// taps returns the part [from, to) of a kernel of size k that output position o has inside an input
// of size n.
func taps(o, stride, pad, k, n int) (from, to int) {
	return min(k, max(0, pad-o*stride)), max(0, min(k, n+pad-o*stride))
}

func convDirectForward[T float](c Conv, y, x, w, bias []T) {
	in, out := c.In/c.Groups, c.Out/c.Groups
	for o := range c.OutH() {
		r0, r1 := taps(o, c.Stride, c.Pad, c.KernelH, c.Height)
		for p := range c.OutW() {
			s0, s1 := taps(p, c.Stride, c.Pad, c.KernelW, c.Width)
			pixel := y[:c.Out]
			y = y[c.Out:]
			clear(pixel)
			copy(pixel, bias)
			for r := r0; r < r1; r++ {
				for s := s0; s < s1; s++ {
					from := x[((o*c.Stride+r-c.Pad)*c.Width+p*c.Stride+s-c.Pad)*c.In:]
					for g := range c.Groups {
						sum := pixel[g*out : (g+1)*out]
						for i, a := range from[g*in : (g+1)*in] {
							row := w[((r*c.KernelW+s)*in+i)*c.Out+g*out:][:len(sum)]
							for q := range sum {
								sum[q] += T(a * row[q])
							}
						}
					}
				}
			}
		}
	}
}

func convDirectData[T float](c Conv, dx, dy, w []T) {
	in, out := c.In/c.Groups, c.Out/c.Groups
	clear(dx)
	for o := range c.OutH() {
		r0, r1 := taps(o, c.Stride, c.Pad, c.KernelH, c.Height)
		for p := range c.OutW() {
			s0, s1 := taps(p, c.Stride, c.Pad, c.KernelW, c.Width)
			pixel := dy[:c.Out]
			dy = dy[c.Out:]
			for r := r0; r < r1; r++ {
				for s := s0; s < s1; s++ {
					to := dx[((o*c.Stride+r-c.Pad)*c.Width+p*c.Stride+s-c.Pad)*c.In:]
					for g := range c.Groups {
						part := pixel[g*out : (g+1)*out]
						sums := to[g*in : (g+1)*in]
						for i := range sums {
							row := w[((r*c.KernelW+s)*in+i)*c.Out+g*out:][:len(part)]
							var sum T
							for q := range part {
								sum += T(part[q] * row[q])
							}
							sums[i] += sum
						}
					}
				}
			}
		}
	}
}

func convDirectWeights[T float](c Conv, dw, x, dy []T) {
	in, out := c.In/c.Groups, c.Out/c.Groups
	for o := range c.OutH() {
		r0, r1 := taps(o, c.Stride, c.Pad, c.KernelH, c.Height)
		for p := range c.OutW() {
			s0, s1 := taps(p, c.Stride, c.Pad, c.KernelW, c.Width)
			pixel := dy[:c.Out]
			dy = dy[c.Out:]
			for r := r0; r < r1; r++ {
				for s := s0; s < s1; s++ {
					from := x[((o*c.Stride+r-c.Pad)*c.Width+p*c.Stride+s-c.Pad)*c.In:]
					for g := range c.Groups {
						part := pixel[g*out : (g+1)*out]
						for i, a := range from[g*in : (g+1)*in] {
							row := dw[((r*c.KernelW+s)*in+i)*c.Out+g*out:][:len(part)]
							for q := range part {
								row[q] += T(a * part[q])
							}
						}
					}
				}
			}
		}
	}
}
