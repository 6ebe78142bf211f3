package kernel

import "math"

// The portable loops of training. Products are converted before they are added, as in rows_go.go.

func reluGo[T float](y, x []T) {
	for i, v := range x {
		if v < 0 {
			v = 0
		}
		y[i] = v
	}
}

func reluBackwardGo[T float](dx, dy, y []T) {
	for i, v := range dy {
		if y[i] <= 0 {
			v = 0
		}
		dx[i] = v
	}
}

// exponential is that of the type.
func exponential[T float](x T) T {
	if sizeOf(x) == 4 {
		return T(exp32(float32(x)))
	}
	return T(exp64(float64(x)))
}

func sigmoidGo[T float](y, x []T) {
	for i, v := range x {
		y[i] = 1 / (1 + exponential(-v))
	}
}

func siluGo[T float](y, x []T) {
	for i, v := range x {
		y[i] = v * (1 / (1 + exponential(-v)))
	}
}

func siluBackwardGo[T float](dx, dy, x []T) {
	for i, v := range x {
		s := 1 / (1 + exponential(-v))
		dx[i] = dy[i] * (s * (1 + T(v*(1-s))))
	}
}

func tanhGo[T float](y, x []T) {
	for i, v := range x {
		y[i] = T(math.Tanh(float64(v)))
	}
}

func geluGo[T float](y, x []T) {
	for i, v := range x {
		y[i] = T(0.5 * float64(v) * math.Erfc(-float64(v)/math.Sqrt2))
	}
}

func geluBackwardGo[T float](dx, dy, x []T) {
	for i, v := range x {
		v := float64(v)
		density := math.Exp(-0.5*v*v) / math.Sqrt(2*math.Pi)
		dx[i] = T(float64(dy[i]) * (0.5*math.Erfc(-v/math.Sqrt2) + float64(v*density)))
	}
}

func addGo[T float](y, a, b []T) {
	for i := range y {
		y[i] = a[i] + b[i]
	}
}

func addReLUGo[T float](y, a, b []T) {
	for i := range y {
		v := a[i] + b[i]
		if v < 0 {
			v = 0
		}
		y[i] = v
	}
}

func addScaledGo[T float](y []T, a T, x []T) {
	for i, v := range x {
		y[i] += T(a * v)
	}
}

func scaleIntoGo[T float](y []T, a T, x []T) {
	for i, v := range x {
		y[i] = a * v
	}
}

func addBiasGo[T float](y, x, bias []T, relu bool) {
	for c := len(bias); len(x) > 0; y, x = y[c:], x[c:] {
		if relu {
			addReLUGo(y[:c], x[:c], bias)
		} else {
			addGo(y[:c], x[:c], bias)
		}
	}
}

func columnSumsGo[T float](sum []float64, x []T) {
	for c := len(sum); len(x) > 0; x = x[c:] {
		for j, v := range x[:c] {
			sum[j] += float64(v)
		}
	}
}

func momentsGo[T float](sum, square []float64, x, shift []T) {
	for c := len(shift); len(x) > 0; x = x[c:] {
		for j, v := range x[:c] {
			d := float64(v) - float64(shift[j])
			sum[j] += d
			square[j] += float64(d * d)
		}
	}
}

// at is the value of the map at x in channel j, before the ReLU, and the centred x.
func (n *Norm[T]) at(x T, j int) (y, d T) {
	d = x - n.Mean[j]
	return T(d*n.Scale[j]) + n.Shift[j], d
}

func (n *Norm[T]) forwardGo(y, x []T) {
	for c := len(n.Mean); len(x) > 0; y, x = y[c:], x[c:] {
		for j, v := range x[:c] {
			v, _ = n.at(v, j)
			if n.ReLU && v < 0 {
				v = 0
			}
			y[j] = v
		}
	}
}

func (n *Norm[T]) sumsGo(sum, dot []float64, dy, x []T) {
	for c := len(n.Mean); len(x) > 0; dy, x = dy[c:], x[c:] {
		for j, v := range x[:c] {
			y, d := n.at(v, j)
			if n.ReLU && y <= 0 {
				continue
			}
			sum[j] += float64(dy[j])
			dot[j] += float64(float64(dy[j]) * float64(d))
		}
	}
}

func (n *Norm[T]) backwardGo(dx, dy, x, slope, offset []T) {
	for c := len(n.Mean); len(x) > 0; dx, dy, x = dx[c:], dy[c:], x[c:] {
		for j, v := range x[:c] {
			y, d := n.at(v, j)
			g := dy[j]
			if n.ReLU && y <= 0 {
				g = 0
			}
			dx[j] = T(n.Scale[j]*g) + (T(d*slope[j]) + offset[j])
		}
	}
}

// maxWindowGo takes the channels from the given one on.
func maxWindowGo[T float](y []T, place []uint8, x []T, p Pool, in window, from int) {
	c := p.Channels
	y, place = y[from:], place[from:]
	for h := in.h0; h < in.h1; h++ {
		for w := in.w0; w < in.w1; w++ {
			number := uint8(in.first + (h-in.h0)*p.KernelW + w - in.w0)
			x := x[(h*p.Width+w)*c+from:][:len(y)]
			if h == in.h0 && w == in.w0 {
				copy(y, x)
				for k := range place {
					place[k] = number
				}
				continue
			}
			for k, v := range x {
				if v > y[k] || v != v {
					y[k], place[k] = v, number
				}
			}
		}
	}
}

// maxWindowBackwardGo takes the channels from the given one on.
func maxWindowBackwardGo[T float](dx, dy []T, place []uint8, p Pool, in window, from int) {
	for k := from; k < len(dy); k++ {
		t := int(place[k]) - in.first
		h, w := in.h0+t/p.KernelW, in.w0+t%p.KernelW
		dx[(h*p.Width+w)*p.Channels+k] += dy[k]
	}
}

func largestGo[T float](x []T) T { return x[argMaxGo(x)] }

func exponentialsGo[T float](y, x []T, shift T) float64 {
	var s [4]float64
	for i, v := range x {
		y[i] = exponential(v - shift)
		s[i&3] += float64(y[i])
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func descendGo[T float](w, g []T, s SGDStep) {
	rate, decay := T(s.Rate), T(s.Decay)
	for i, v := range w {
		d := g[i] + T(decay*v)
		w[i] = v - T(rate*d)
	}
}

func descendMomentumGo[T float](w, v, g []T, s SGDStep) {
	rate, decay, momentum := T(s.Rate), T(s.Decay), T(s.Momentum)
	for i, u := range w {
		d := g[i] + T(decay*u)
		v[i] = T(momentum*v[i]) + d
		if s.Nesterov {
			d += T(momentum * v[i])
		} else {
			d = v[i]
		}
		w[i] = u - T(rate*d)
	}
}

// adamFactors are the numbers of a step of Adam in the precision of the weights:
//
//	w = keep*w - rate*m / (root*sqrt(v) + epsilon)
//
// after d = g + decay*w, m = beta1*m + gain1*d and v = beta2*v + gain2*d*d.
type adamFactors[T float] struct {
	keep, decay, beta1, gain1, beta2, gain2, rate, root, epsilon T
}

func adamNumbers[T float](s AdamStep) adamFactors[T] {
	a := adamFactors[T]{
		keep: 1, decay: T(s.Decay),
		beta1: T(s.Beta1), gain1: T(1 - s.Beta1), beta2: T(s.Beta2), gain2: T(1 - s.Beta2),
		rate:    T(s.Rate / (1 - math.Pow(s.Beta1, float64(s.Step)))),
		root:    T(1 / math.Sqrt(1-math.Pow(s.Beta2, float64(s.Step)))),
		epsilon: T(s.Epsilon),
	}
	if s.Decoupled {
		a.keep, a.decay = T(1-s.Rate*s.Decay), 0
	}
	return a
}

func adamGo[T float](w, m, v, g []T, a adamFactors[T]) {
	for i, u := range w {
		d := g[i] + T(a.decay*u)
		m[i] = T(a.beta1*m[i]) + T(a.gain1*d)
		v[i] = T(a.beta2*v[i]) + T(a.gain2*T(d*d))
		root := T(math.Sqrt(float64(v[i])))
		w[i] = T(a.keep*u) - T(a.rate*m[i])/(T(a.root*root)+a.epsilon)
	}
}

func standardizeGo[T float](dst []T, src []uint8, scale, shift []T) {
	for c := len(scale); len(src) > 0; {
		n := min(c, len(src))
		for j, b := range src[:n] {
			dst[j] = T(T(b)*scale[j]) + shift[j]
		}
		dst, src = dst[n:], src[n:]
	}
}
