package kernel

// The portable convolution of one sample, for any shape. Products are rounded before they are added,
// so the bits are the same on every processor.

// taps returns the part [from, to) of a kernel of size k that output position o has inside an input
// of size n.
func taps(o, stride, pad, k, n int) (from, to int) {
	return min(k, max(0, pad-o*stride)), max(0, min(k, n+pad-o*stride))
}

func convGo[T float](c Conv, y, x, w, bias []T) {
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

func convDataGo[T float](c Conv, dx, dy, w []T) {
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

func convWeightsGo[T float](c Conv, dw, x, dy []T) {
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
