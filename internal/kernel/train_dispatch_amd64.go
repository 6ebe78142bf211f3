//go:build !purego

package kernel

import "unsafe"

// The loops of training by level. The assembly is for float32; the level of a float64 loop is always "go".

func levelOf[T float]() int {
	var zero T
	if unsafe.Sizeof(zero) == 4 {
		return level
	}
	return levelGo
}

// data is the first element of a slice whose elements are known to be float32.
func data[T float](x []T) *float32 { return (*float32)(unsafe.Pointer(unsafe.SliceData(x))) }

func relu[T float](y, x []T) {
	switch levelOf[T]() {
	case levelAVX512:
		reluAVX512(data(y), data(x), len(x))
	case levelAVX2:
		reluAVX2(data(y), data(x), len(x))
	default:
		reluGo(y, x)
	}
}

func reluBackward[T float](dx, dy, y []T) {
	switch levelOf[T]() {
	case levelAVX512:
		reluBackwardAVX512(data(dx), data(dy), data(y), len(dy))
	case levelAVX2:
		reluBackwardAVX2(data(dx), data(dy), data(y), len(dy))
	default:
		reluBackwardGo(dx, dy, y)
	}
}

func sigmoid[T float](y, x []T) {
	switch levelOf[T]() {
	case levelAVX512:
		sigmoidAVX512(data(y), data(x), len(x))
	case levelAVX2:
		sigmoidAVX2(data(y), data(x), len(x))
	default:
		sigmoidGo(y, x)
	}
}

func silu[T float](y, x []T) {
	switch levelOf[T]() {
	case levelAVX512:
		siluAVX512(data(y), data(x), len(x))
	case levelAVX2:
		siluAVX2(data(y), data(x), len(x))
	default:
		siluGo(y, x)
	}
}

func tanh[T float](y, x []T) {
	switch levelOf[T]() {
	case levelAVX512:
		tanhAVX512(data(y), data(x), len(x))
	case levelAVX2:
		tanhAVX2(data(y), data(x), len(x))
	default:
		tanhGo(y, x)
	}
}

func gelu[T float](y, x []T) {
	switch levelOf[T]() {
	case levelAVX512:
		geluAVX512(data(y), data(x), len(x))
	case levelAVX2:
		geluAVX2(data(y), data(x), len(x))
	default:
		geluGo(y, x)
	}
}

func siluBackward[T float](dx, dy, x []T) {
	switch levelOf[T]() {
	case levelAVX512:
		siluBackwardAVX512(data(dx), data(dy), data(x), len(dy))
	case levelAVX2:
		siluBackwardAVX2(data(dx), data(dy), data(x), len(dy))
	default:
		siluBackwardGo(dx, dy, x)
	}
}

func geluBackward[T float](dx, dy, x []T) {
	switch levelOf[T]() {
	case levelAVX512:
		geluBackwardAVX512(data(dx), data(dy), data(x), len(dy))
	case levelAVX2:
		geluBackwardAVX2(data(dx), data(dy), data(x), len(dy))
	default:
		geluBackwardGo(dx, dy, x)
	}
}

func add[T float](y, a, b []T) {
	switch levelOf[T]() {
	case levelAVX512:
		addAVX512(data(y), data(a), data(b), len(y))
	case levelAVX2:
		addAVX2(data(y), data(a), data(b), len(y))
	default:
		addGo(y, a, b)
	}
}

func addReLU[T float](y, a, b []T) {
	switch levelOf[T]() {
	case levelAVX512:
		addReLUAVX512(data(y), data(a), data(b), len(y))
	case levelAVX2:
		addReLUAVX2(data(y), data(a), data(b), len(y))
	default:
		addReLUGo(y, a, b)
	}
}

func addScaled[T float](y []T, a T, x []T) {
	switch levelOf[T]() {
	case levelAVX512:
		addScaledAVX512(data(y), data(x), len(x), float32(a))
	case levelAVX2:
		addScaledAVX2(data(y), data(x), len(x), float32(a))
	default:
		addScaledGo(y, a, x)
	}
}

func scale[T float](y []T, a T, x []T) {
	switch levelOf[T]() {
	case levelAVX512:
		scaleIntoAVX512(data(y), data(x), len(x), float32(a))
	case levelAVX2:
		scaleIntoAVX2(data(y), data(x), len(x), float32(a))
	default:
		scaleIntoGo(y, a, x)
	}
}

func addBias[T float](y, x, bias []T, positive bool) {
	c := len(bias)
	l := levelOf[T]()
	switch {
	case l == levelAVX512 && positive:
		addBiasReLUAVX512(data(y), data(x), data(bias), len(x)/c, c)
	case l == levelAVX512:
		addBiasAVX512(data(y), data(x), data(bias), len(x)/c, c)
	case l == levelAVX2 && positive:
		addBiasReLUAVX2(data(y), data(x), data(bias), len(x)/c, c)
	case l == levelAVX2:
		addBiasAVX2(data(y), data(x), data(bias), len(x)/c, c)
	default:
		addBiasGo(y, x, bias, positive)
	}
}

// The sums of a chunk are formed in float32 and then added in float64.

func columnSums[T float](sum []float64, x []T) {
	l := levelOf[T]()
	if l == levelGo {
		columnSumsGo(sum, x)
		return
	}
	c := len(sum)
	b := take[float32](c)
	defer give(b)
	clear(b.s)
	if l == levelAVX512 {
		columnSumsAVX512(data(x), data(b.s), len(x)/c, c)
	} else {
		columnSumsAVX2(data(x), data(b.s), len(x)/c, c)
	}
	axpy32(sum, 1, b.s)
}

func moments[T float](sum, square []float64, x, shift []T) {
	l := levelOf[T]()
	if l == levelGo || len(x) == 0 {
		momentsGo(sum, square, x, shift)
		return
	}
	c := len(shift)
	b := take[float32](2 * c)
	defer give(b)
	clear(b.s)
	s, q, rows := b.s[:c], b.s[c:], len(x)/c
	if l == levelAVX512 {
		columnMomentsAVX512(data(x), data(s), data(q), data(x), rows, c)
		moveMomentsAVX512(&sum[0], &square[0], &s[0], &q[0], data(x), data(shift), float64(rows), c)
	} else {
		columnMomentsAVX2(data(x), data(s), data(q), data(x), rows, c)
		moveMomentsAVX2(&sum[0], &square[0], &s[0], &q[0], data(x), data(shift), float64(rows), c)
	}
}

func (n *Norm[T]) forward(y, x []T) {
	c := len(n.Mean)
	l := levelOf[T]()
	switch {
	case l == levelAVX512 && n.ReLU:
		normForwardReLUAVX512(data(y), data(x), data(n.Mean), data(n.Scale), data(n.Shift), len(x)/c, c)
	case l == levelAVX512:
		normForwardAVX512(data(y), data(x), data(n.Mean), data(n.Scale), data(n.Shift), len(x)/c, c)
	case l == levelAVX2 && n.ReLU:
		normForwardReLUAVX2(data(y), data(x), data(n.Mean), data(n.Scale), data(n.Shift), len(x)/c, c)
	case l == levelAVX2:
		normForwardAVX2(data(y), data(x), data(n.Mean), data(n.Scale), data(n.Shift), len(x)/c, c)
	default:
		n.forwardGo(y, x)
	}
}

func (n *Norm[T]) sums(sum, dot []float64, dy, x []T) {
	l := levelOf[T]()
	if l == levelGo {
		n.sumsGo(sum, dot, dy, x)
		return
	}
	c := len(n.Mean)
	b := take[float32](2 * c)
	defer give(b)
	clear(b.s)
	s, d, rows := b.s[:c], b.s[c:], len(x)/c
	switch {
	case l == levelAVX512 && n.ReLU:
		normSumsReLUAVX512(data(dy), data(x), data(s), data(d), data(n.Mean), data(n.Scale), data(n.Shift), rows, c)
	case l == levelAVX512:
		normSumsAVX512(data(dy), data(x), data(s), data(d), data(n.Mean), data(n.Scale), data(n.Shift), rows, c)
	case n.ReLU:
		normSumsReLUAVX2(data(dy), data(x), data(s), data(d), data(n.Mean), data(n.Scale), data(n.Shift), rows, c)
	default:
		normSumsAVX2(data(dy), data(x), data(s), data(d), data(n.Mean), data(n.Scale), data(n.Shift), rows, c)
	}
	axpy32(sum, 1, s)
	axpy32(dot, 1, d)
}

func (n *Norm[T]) backward(dx, dy, x, slope, offset []T) {
	c := len(n.Mean)
	l := levelOf[T]()
	switch {
	case l == levelAVX512 && n.ReLU:
		normBackwardReLUAVX512(data(dx), data(dy), data(x), data(n.Mean), data(n.Scale), data(n.Shift), data(slope), data(offset), len(x)/c, c)
	case l == levelAVX512:
		normBackwardAVX512(data(dx), data(dy), data(x), data(n.Mean), data(n.Scale), data(n.Shift), data(slope), data(offset), len(x)/c, c)
	case l == levelAVX2 && n.ReLU:
		normBackwardReLUAVX2(data(dx), data(dy), data(x), data(n.Mean), data(n.Scale), data(n.Shift), data(slope), data(offset), len(x)/c, c)
	case l == levelAVX2:
		normBackwardAVX2(data(dx), data(dy), data(x), data(n.Mean), data(n.Scale), data(n.Shift), data(slope), data(offset), len(x)/c, c)
	default:
		n.backwardGo(dx, dy, x, slope, offset)
	}
}

// maxWindows takes whole registers of channels in assembly, the rest in Go. Windows go together where there is no rest.
func maxWindows[T float](y []T, place []uint8, x []T, p Pool, in window, n int) {
	l, c := levelOf[T](), p.Channels
	whole := c &^ (floats[l] - 1)
	if whole < c && n > 1 {
		for k := range n {
			maxWindows(y[k*c:(k+1)*c], place[k*c:(k+1)*c], x, p, in.right(k, p), 1)
		}
		return
	}
	if whole > 0 {
		pixel, stride, skip := 4*c, 4*c*p.Width, 4*(p.Stride*c-whole)
		h, w := in.h1-in.h0, in.w1-in.w0
		first, jump := int32(in.first), int32(p.KernelW-w)
		x := data(x[(in.h0*p.Width+in.w0)*c:])
		if l == levelAVX512 {
			maxWindowsAVX512(data(y), &place[0], x, n, skip, whole, h, w, pixel, stride, first, jump)
		} else {
			maxWindowsAVX2(data(y), &place[0], x, n, skip, whole, h, w, pixel, stride, first, jump)
		}
	}
	if whole < c {
		maxWindowGo(y, place, x, p, in, whole)
	}
}

func maxWindowsBackward[T float](dx, dy []T, place []uint8, p Pool, in window, n int) {
	l, c := levelOf[T](), p.Channels
	whole := c &^ (floats[l] - 1)
	if whole < c && n > 1 {
		for k := range n {
			maxWindowsBackward(dx, dy[k*c:(k+1)*c], place[k*c:(k+1)*c], p, in.right(k, p), 1)
		}
		return
	}
	if whole > 0 {
		pixel, stride, skip := 4*c, 4*c*p.Width, 4*(p.Stride*c-whole)
		h, w := in.h1-in.h0, in.w1-in.w0
		first, jump := int32(in.first), int32(p.KernelW-w)
		dx := data(dx[(in.h0*p.Width+in.w0)*c:])
		if l == levelAVX512 {
			maxWindowsBackwardAVX512(data(dy), &place[0], dx, n, skip, whole, h, w, pixel, stride, first, jump)
		} else {
			maxWindowsBackwardAVX2(data(dy), &place[0], dx, n, skip, whole, h, w, pixel, stride, first, jump)
		}
	}
	if whole < c {
		maxWindowBackwardGo(dx, dy, place, p, in, whole)
	}
}

// floats is the number of float32 in a register at each level; at level "go" more than any row has.
var floats = [...]int{levelGo: 1 << 62, levelAVX2: 8, levelAVX512: 16}

func largest[T float](x []T) T {
	whole := 0
	m := x[0]
	switch levelOf[T]() {
	case levelAVX512:
		if whole = len(x) &^ 15; whole > 0 {
			m = T(max32AVX512(data(x), whole))
		}
	case levelAVX2:
		if whole = len(x) &^ 7; whole > 0 {
			m = T(max32AVX2(data(x), whole))
		}
	}
	for _, v := range x[whole:] {
		if v > m || m != m {
			m = v
		}
	}
	return m
}

func exponentials[T float](y, x []T, shift T) float64 {
	switch levelOf[T]() {
	case levelAVX512:
		return exponentialsAVX512(data(y), data(x), len(x), float32(shift))
	case levelAVX2:
		return exponentialsAVX2(data(y), data(x), len(x), float32(shift))
	}
	return exponentialsGo(y, x, shift)
}

func descend[T float](w, g []T, s SGDStep) {
	switch levelOf[T]() {
	case levelAVX512:
		descendAVX512(data(w), data(g), len(w), float32(s.Rate), float32(s.Decay))
	case levelAVX2:
		descendAVX2(data(w), data(g), len(w), float32(s.Rate), float32(s.Decay))
	default:
		descendGo(w, g, s)
	}
}

func descendMomentum[T float](w, v, g []T, s SGDStep) {
	rate, decay, momentum := float32(s.Rate), float32(s.Decay), float32(s.Momentum)
	l := levelOf[T]()
	switch {
	case l == levelAVX512 && s.Nesterov:
		descendNesterovAVX512(data(w), data(v), data(g), len(w), rate, decay, momentum)
	case l == levelAVX512:
		descendMomentumAVX512(data(w), data(v), data(g), len(w), rate, decay, momentum)
	case l == levelAVX2 && s.Nesterov:
		descendNesterovAVX2(data(w), data(v), data(g), len(w), rate, decay, momentum)
	case l == levelAVX2:
		descendMomentumAVX2(data(w), data(v), data(g), len(w), rate, decay, momentum)
	default:
		descendMomentumGo(w, v, g, s)
	}
}

func adam[T float](w, m, v, g []T, a adamFactors[T]) {
	switch levelOf[T]() {
	case levelAVX512:
		adamAVX512(data(w), data(m), data(v), data(g), len(w), float32(a.keep), float32(a.decay), float32(a.beta1), float32(a.gain1), float32(a.beta2), float32(a.gain2), float32(a.rate), float32(a.root), float32(a.epsilon))
	case levelAVX2:
		adamAVX2(data(w), data(m), data(v), data(g), len(w), float32(a.keep), float32(a.decay), float32(a.beta1), float32(a.gain1), float32(a.beta2), float32(a.gain2), float32(a.rate), float32(a.root), float32(a.epsilon))
	default:
		adamGo(w, m, v, g, a)
	}
}

// standardize repeats scale and shift over three registers where their length allows it.
func standardize[T float](dst []T, src []uint8, scale, shift []T) {
	whole := 0
	if l := levelOf[T](); l != levelGo && 24%len(scale) == 0 {
		n := 3 * floats[l]
		var a, b [48]float32
		for i := range n {
			a[i], b[i] = float32(scale[i%len(scale)]), float32(shift[i%len(scale)])
		}
		whole = len(src) / n * n
		if l == levelAVX512 {
			standardizeAVX512(data(dst), unsafe.SliceData(src), whole, &a[0], &b[0])
		} else {
			standardizeAVX2(data(dst), unsafe.SliceData(src), whole, &a[0], &b[0])
		}
	}
	standardizeGo(dst[whole:], src[whole:], scale, shift)
}
