package kernel

// The row loops. The length of a loop is that of x (of src for a conversion); a shorter companion
// panics before anything is written. Arithmetic is in float64 whatever the type of x, except in
// SumExp32. A destination may be the same slice as an input of its type, but not overlap one
// otherwise.
//
// The order of summation depends on the level and the length alone. A vector is cut into pieces of
// 32768 elements, whose sums are added in order. Within a piece, level "go" keeps four partial sums,
// element i in sum i mod 4. The vector levels keep 4 L of them, L being the float64 lanes (8 for
// AVX-512, 4 for AVX2), element i in sum i mod 4L; after the last full 4L elements they use the first
// L sums only (in the exponential loops, which step by 2L: the first 2L for float32, the first 2L of
// 2L for float64, then the first L). The sums are closed in a fixed tree. Products are fused into the
// sums at the vector levels and rounded first at level "go".

// piece is the longest vector that is handed to the assembly at once: a call cannot be interrupted,
// and the garbage collector has to wait for it.
const piece = 1 << 15

// SumSquares32 returns the sum of squares:
//
//	for _, v := range x { s += float64(v) * float64(v) }
func SumSquares32(x []float32) (sum float64) {
	for ; len(x) > piece; x = x[piece:] {
		sum += sumSquares32(x[:piece])
	}
	return sum + sumSquares32(x)
}

// SumSquares64 is [SumSquares32] for float64.
func SumSquares64(x []float64) (sum float64) {
	for ; len(x) > piece; x = x[piece:] {
		sum += sumSquares64(x[:piece])
	}
	return sum + sumSquares64(x)
}

// AddRow32 adds x - p to sum and a multiple of x to unit, and returns the sum of squares of the differences:
//
//	for i, v := range x { d := float64(v) - float64(p[i]); sum[i] += d; sq += d * d; unit[i] += a * float64(v) }
func AddRow32(sum, unit []float64, a float64, x, p []float32) (sq float64) {
	sum, unit, p = sum[:len(x)], unit[:len(x)], p[:len(x)]
	for ; len(x) > piece; sum, unit, x, p = sum[piece:], unit[piece:], x[piece:], p[piece:] {
		sq += addRow32(sum[:piece], unit[:piece], a, x[:piece], p[:piece])
	}
	return sq + addRow32(sum, unit, a, x, p)
}

// AddRow64 is [AddRow32] for float64.
func AddRow64(sum, unit []float64, a float64, x, p []float64) (sq float64) {
	sum, unit, p = sum[:len(x)], unit[:len(x)], p[:len(x)]
	for ; len(x) > piece; sum, unit, x, p = sum[piece:], unit[piece:], x[piece:], p[piece:] {
		sq += addRow64(sum[:piece], unit[:piece], a, x[:piece], p[:piece])
	}
	return sq + addRow64(sum, unit, a, x, p)
}

// Axpy32 adds a multiple of x to sum:
//
//	for i, v := range x { sum[i] += a * float64(v) }
func Axpy32(sum []float64, a float64, x []float32) {
	sum = sum[:len(x)]
	for ; len(x) > piece; sum, x = sum[piece:], x[piece:] {
		axpy32(sum[:piece], a, x[:piece])
	}
	axpy32(sum, a, x)
}

// Axpy64 is [Axpy32] for float64.
func Axpy64(sum []float64, a float64, x []float64) {
	sum = sum[:len(x)]
	for ; len(x) > piece; sum, x = sum[piece:], x[piece:] {
		axpy64(sum[:piece], a, x[:piece])
	}
	axpy64(sum, a, x)
}

// Diff64 writes x - mu and returns the sum of squares of the differences:
//
//	for i, v := range x { d := v - mu[i]; dst[i] = d; sq += d * d }
func Diff64(dst, x, mu []float64) (sq float64) {
	dst, mu = dst[:len(x)], mu[:len(x)]
	for ; len(x) > piece; dst, x, mu = dst[piece:], x[piece:], mu[piece:] {
		sq += diff64(dst[:piece], x[:piece], mu[:piece])
	}
	return sq + diff64(dst, x, mu)
}

// Diff32To64 is [Diff64] for float32 input.
func Diff32To64(dst []float64, x []float32, mu []float64) (sq float64) {
	dst, mu = dst[:len(x)], mu[:len(x)]
	for ; len(x) > piece; dst, x, mu = dst[piece:], x[piece:], mu[piece:] {
		sq += diff32To64(dst[:piece], x[:piece], mu[:piece])
	}
	return sq + diff32To64(dst, x, mu)
}

// Residual32 writes x - p - mu, taken in float64 and rounded to float32, and returns the sum of squares
// of the differences before rounding:
//
//	for i, v := range x { d := (float64(v) - p[i]) - mu[i]; dst[i] = float32(d); sq += d * d }
func Residual32(dst, x []float32, p, mu []float64) (sq float64) {
	dst, p, mu = dst[:len(x)], p[:len(x)], mu[:len(x)]
	for ; len(x) > piece; dst, x, p, mu = dst[piece:], x[piece:], p[piece:], mu[piece:] {
		sq += residual32(dst[:piece], x[:piece], p[:piece], mu[:piece])
	}
	return sq + residual32(dst, x, p, mu)
}

// Residual32To64 is [Residual32] with a float64 result.
func Residual32To64(dst []float64, x []float32, p, mu []float64) (sq float64) {
	dst, p, mu = dst[:len(x)], p[:len(x)], mu[:len(x)]
	for ; len(x) > piece; dst, x, p, mu = dst[piece:], x[piece:], p[piece:], mu[piece:] {
		sq += residual32To64(dst[:piece], x[:piece], p[:piece], mu[:piece])
	}
	return sq + residual32To64(dst, x, p, mu)
}

// Residual64 is [Residual32] for float64 input and result.
func Residual64(dst, x, p, mu []float64) (sq float64) {
	dst, p, mu = dst[:len(x)], p[:len(x)], mu[:len(x)]
	for ; len(x) > piece; dst, x, p, mu = dst[piece:], x[piece:], p[piece:], mu[piece:] {
		sq += residual64(dst[:piece], x[:piece], p[:piece], mu[:piece])
	}
	return sq + residual64(dst, x, p, mu)
}

// Residual64To32 is [Residual32] for float64 input.
func Residual64To32(dst []float32, x, p, mu []float64) (sq float64) {
	dst, p, mu = dst[:len(x)], p[:len(x)], mu[:len(x)]
	for ; len(x) > piece; dst, x, p, mu = dst[piece:], x[piece:], p[piece:], mu[piece:] {
		sq += residual64To32(dst[:piece], x[:piece], p[:piece], mu[:piece])
	}
	return sq + residual64To32(dst, x, p, mu)
}

// ScaledDistance32 returns the squared distance of a x and u:
//
//	for i, v := range x { d := a*float64(v) - u[i]; s += d * d }
func ScaledDistance32(x []float32, a float64, u []float64) (sum float64) {
	u = u[:len(x)]
	for ; len(x) > piece; x, u = x[piece:], u[piece:] {
		sum += scaledDistance32(x[:piece], a, u[:piece])
	}
	return sum + scaledDistance32(x, a, u)
}

// ScaledDistance64 is [ScaledDistance32] for float64.
func ScaledDistance64(x []float64, a float64, u []float64) (sum float64) {
	u = u[:len(x)]
	for ; len(x) > piece; x, u = x[piece:], u[piece:] {
		sum += scaledDistance64(x[:piece], a, u[:piece])
	}
	return sum + scaledDistance64(x, a, u)
}

// Dot32 returns the inner product of a float32 and a float64 vector:
//
//	for i, v := range x { s += float64(v) * y[i] }
func Dot32(x []float32, y []float64) (sum float64) {
	y = y[:len(x)]
	for ; len(x) > piece; x, y = x[piece:], y[piece:] {
		sum += dot32(x[:piece], y[:piece])
	}
	return sum + dot32(x, y)
}

// Dot64 is [Dot32] for float64.
func Dot64(x, y []float64) (sum float64) {
	y = y[:len(x)]
	for ; len(x) > piece; x, y = x[piece:], y[piece:] {
		sum += dot64(x[:piece], y[:piece])
	}
	return sum + dot64(x, y)
}

// Distance64 returns the squared distance of two vectors:
//
//	for i, v := range x { d := v - y[i]; s += d * d }
func Distance64(x, y []float64) float64 { return ScaledDistance64(x, 1, y) }

// Scale64 multiplies a vector by a number:
//
//	for i := range x { x[i] *= a }
func Scale64(x []float64, a float64) {
	for ; len(x) > piece; x = x[piece:] {
		scale64(x[:piece], a)
	}
	scale64(x, a)
}

// Add64 adds x to dst:
//
//	for i, v := range x { dst[i] += v }
func Add64(dst, x []float64) { Axpy64(dst, 1, x) }

// ArgMax32 returns the lowest index of the largest element. A NaN is never the largest; the result
// is 0 for an empty slice and for one that holds nothing but NaN.
func ArgMax32(x []float32) int {
	best := argMax32(x[:min(len(x), piece)])
	for from := piece; from < len(x); from += piece {
		i := from + argMax32(x[from:min(len(x), from+piece)])
		if x[i] > x[best] || (x[best] != x[best] && x[i] == x[i]) {
			best = i
		}
	}
	return best
}

// ArgMax64 is [ArgMax32] for float64.
func ArgMax64(x []float64) int {
	best := argMax64(x[:min(len(x), piece)])
	for from := piece; from < len(x); from += piece {
		i := from + argMax64(x[from:min(len(x), from+piece)])
		if x[i] > x[best] || (x[best] != x[best] && x[i] == x[i]) {
			best = i
		}
	}
	return best
}

// Peaks64 writes the largest element of every run of so many elements of x to dst, and of what is left behind the last one:
//
//	for i, v := range x { dst[i/run] = max(dst[i/run], v) }
//
// with dst from -Inf on. A NaN is never the largest. Runs are to be short.
func Peaks64(dst, x []float64, run int) {
	dst = dst[:(len(x)+run-1)/run]
	peaks64(dst, x, run)
}

// SumExp32 returns the sum of exponentials, each formed in float32 with a relative error of about
// 1e-7, added in float64:
//
//	for _, v := range x { s += float64(exp(v - shift)) }
func SumExp32(x []float32, shift float32) (sum float64) {
	for ; len(x) > piece; x = x[piece:] {
		sum += sumExp32(x[:piece], shift)
	}
	return sum + sumExp32(x, shift)
}

// SumExp64 is [SumExp32] in float64 with a relative error of a few units in the last place.
func SumExp64(x []float64, shift float64) (sum float64) {
	for ; len(x) > piece; x = x[piece:] {
		sum += sumExp64(x[:piece], shift)
	}
	return sum + sumExp64(x, shift)
}

// Widen converts float32 to float64:
//
//	for i, v := range src { dst[i] = float64(v) }
func Widen(dst []float64, src []float32) {
	dst = dst[:len(src)]
	for ; len(src) > piece; dst, src = dst[piece:], src[piece:] {
		widen(dst[:piece], src[:piece])
	}
	widen(dst, src)
}

// Narrow converts float64 to float32, rounding to nearest even:
//
//	for i, v := range src { dst[i] = float32(v) }
func Narrow(dst []float32, src []float64) {
	dst = dst[:len(src)]
	for ; len(src) > piece; dst, src = dst[piece:], src[piece:] {
		narrow(dst[:piece], src[:piece])
	}
	narrow(dst, src)
}

// Half converts IEEE half precision to float32, exactly. A signalling NaN becomes quiet and keeps
// its payload.
func Half(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for ; len(src) > piece; dst, src = dst[piece:], src[piece:] {
		halfToFloat(dst[:piece], src[:piece])
	}
	halfToFloat(dst, src)
}

// BFloat16 converts bfloat16 to float32: the sixteen bits become the upper half of the word.
func BFloat16(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for ; len(src) > piece; dst, src = dst[piece:], src[piece:] {
		bfloat16ToFloat(dst[:piece], src[:piece])
	}
	bfloat16ToFloat(dst, src)
}
