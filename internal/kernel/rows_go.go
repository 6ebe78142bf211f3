package kernel

import "math"

// The portable row loops. They run at level "go" and are what the assembly is tested against.
// Products are converted before they are added, so that no compiler fuses the two and the bits are
// the same on every processor. Sums are kept in four parts, element i in part i mod 4, and closed as
// (s0 + s1) + (s2 + s3).

type float interface{ float32 | float64 }

func sumSquaresGo[T float](x []T) float64 {
	var s [4]float64
	for ; len(x) >= 4; x = x[4:] {
		for i := range 4 {
			v := float64(x[i])
			s[i] += float64(v * v)
		}
	}
	for i, v := range x {
		s[i] += float64(float64(v) * float64(v))
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func addRowGo[T float](sum, unit []float64, a float64, x, p []T) float64 {
	var s [4]float64
	sum, unit, p = sum[:len(x)], unit[:len(x)], p[:len(x)]
	for i, v := range x {
		d := float64(v) - float64(p[i])
		sum[i] += d
		s[i&3] += float64(d * d)
		unit[i] += float64(a * float64(v))
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func axpyGo[T float](sum []float64, a float64, x []T) {
	sum = sum[:len(x)]
	for i, v := range x {
		sum[i] += float64(a * float64(v))
	}
}

func diffGo[T float](dst []float64, x []T, mu []float64) float64 {
	var s [4]float64
	dst, mu = dst[:len(x)], mu[:len(x)]
	for i, v := range x {
		d := float64(v) - mu[i]
		dst[i] = d
		s[i&3] += float64(d * d)
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func residualGo[D, T float](dst []D, x []T, p, mu []float64) float64 {
	var s [4]float64
	dst, p, mu = dst[:len(x)], p[:len(x)], mu[:len(x)]
	for i, v := range x {
		d := (float64(v) - p[i]) - mu[i]
		dst[i] = D(d)
		s[i&3] += float64(d * d)
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func scaledDistanceGo[T float](x []T, a float64, u []float64) float64 {
	var s [4]float64
	u = u[:len(x)]
	for i, v := range x {
		d := float64(a*float64(v)) - u[i]
		s[i&3] += float64(d * d)
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func dotGo[T float](x []T, y []float64) float64 {
	var s [4]float64
	y = y[:len(x)]
	for i, v := range x {
		s[i&3] += float64(float64(v) * y[i])
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func scaleGo(x []float64, a float64) {
	for i := range x {
		x[i] *= a
	}
}

func argMaxGo[T float](x []T) int {
	best := 0
	for i, v := range x {
		// The second condition lets the first number replace a NaN at the front.
		if v > x[best] || (x[best] != x[best] && v == v) {
			best = i
		}
	}
	return best
}

// peakGo is the largest of some elements and another.
func peakGo(best float64, x []float64) float64 {
	for _, v := range x {
		if v > best {
			best = v
		}
	}
	return best
}

func peaksGo(dst, x []float64, run int) {
	for i := range dst {
		dst[i] = peakGo(math.Inf(-1), x[i*run:min((i+1)*run, len(x))])
	}
}

// The range outside which a float32 exponential is exactly 0 or +Inf, and the same for float64.
const (
	expLow32, expHigh32 = -104, 89
	expLow64, expHigh64 = -746, 710
)

// exp32 is the exponential of x rounded to float32; it is formed in float64, so its relative error
// is that of the rounding.
func exp32(x float32) float32 {
	switch {
	case x != x:
		return x
	case x < expLow32:
		return 0
	case x > expHigh32:
		return float32(math.Inf(1))
	}
	v := float64(x)
	n := math.Floor(float64(v*math.Log2E) + 0.5)
	r := v - float64(n*math.Ln2)
	// The Taylor polynomial of degree 7; |r| <= 0.347, the rest is below 6e-9.
	p := 1.0 / 5040
	p = float64(p*r) + 1.0/720
	p = float64(p*r) + 1.0/120
	p = float64(p*r) + 1.0/24
	p = float64(p*r) + 1.0/6
	p = float64(p*r) + 0.5
	p = float64(p*r) + 1
	p = float64(p*r) + 1
	return float32(float64(p * math.Float64frombits(uint64(int64(n)+1023)<<52)))
}

// exp64 is the exponential of x, by the same steps as the assembly but without fused products.
func exp64(x float64) float64 {
	const (
		high = 6.93147180369123816490e-01 // the upper bits of ln 2: an exponent times high is exact
		low  = 1.90821492927058770002e-10
	)
	switch {
	case x != x:
		return x
	case x < expLow64:
		return 0
	case x > expHigh64:
		return math.Inf(1)
	}
	n := math.Floor(float64(x*math.Log2E) + 0.5)
	r := (x - float64(n*high)) - float64(n*low)
	// The Taylor polynomial of degree 13; the rest is below 5e-18.
	p := 1.0 / 6227020800
	p = float64(p*r) + 1.0/479001600
	p = float64(p*r) + 1.0/39916800
	p = float64(p*r) + 1.0/3628800
	p = float64(p*r) + 1.0/362880
	p = float64(p*r) + 1.0/40320
	p = float64(p*r) + 1.0/5040
	p = float64(p*r) + 1.0/720
	p = float64(p*r) + 1.0/120
	p = float64(p*r) + 1.0/24
	p = float64(p*r) + 1.0/6
	p = float64(p*r) + 0.5
	p = 1 + (r + float64(float64(p*r)*r))
	// Two factors, so that neither leaves the range of normal numbers.
	half := int64(n) >> 1
	return p * math.Float64frombits(uint64(half+1023)<<52) * math.Float64frombits(uint64(int64(n)-half+1023)<<52)
}

func sumExp32Go(x []float32, shift float32) float64 {
	var s [4]float64
	for i, v := range x {
		s[i&3] += float64(exp32(v - shift))
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func sumExp64Go(x []float64, shift float64) float64 {
	var s [4]float64
	for i, v := range x {
		s[i&3] += float64(exp64(v - shift))
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func widenGo(dst []float64, src []float32) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = float64(v)
	}
}

func narrowGo(dst []float32, src []float64) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = float32(v)
	}
}

// half is the value of an IEEE half-precision number. A signalling NaN becomes quiet and keeps its
// payload.
func half(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent := uint32(h>>10) & 31
	fraction := uint32(h & 0x3ff)
	switch exponent {
	case 0: // zero and denormals: the fraction is a count of 2^-24, exact in float32
		v := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(v))
	case 31:
		bits := sign | 0x7f800000 | fraction<<13
		if fraction != 0 {
			bits |= 0x00400000
		}
		return math.Float32frombits(bits)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

func halfGo(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = half(h)
	}
}

func bfloat16Go(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = math.Float32frombits(uint32(h) << 16)
	}
}
