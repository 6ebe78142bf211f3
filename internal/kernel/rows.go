package kernel

// The row loops. The length of a loop is that of x (of src for a conversion); a shorter companion
// panics before anything is written. Arithmetic is in float64 whatever the type of x. Every sum is
// formed in an order fixed by the level and the length alone: at level "go" in four parts, element i
// in part i mod 4; at the vector levels in 4 L parts (L = 8 lanes for AVX-512, 4 for AVX2), element i
// in part i mod 4L, the elements after the last full 4L in parts 0 to L-1; products are fused into
// the sums there. A destination may be the same slice as an input of its type, but not overlap it
// otherwise.

// SumSquares32 returns the sum of squares:
//
//	for _, v := range x { s += float64(v) * float64(v) }
func SumSquares32(x []float32) float64 {
	return sumSquares32(x)
}

// SumSquares64 is [SumSquares32] for float64.
func SumSquares64(x []float64) float64 { return sumSquares64(x) }

// AddDiff32 adds x - p to sum and returns the sum of squares of the differences:
//
//	for i, v := range x { d := float64(v) - p[i]; sum[i] += d; sq += d * d }
func AddDiff32(sum []float64, x []float32, p []float64) (sq float64) {
	return addDiff32(sum[:len(x)], x, p[:len(x)])
}

// AddDiff64 is [AddDiff32] for float64.
func AddDiff64(sum, x, p []float64) (sq float64) {
	return addDiff64(sum[:len(x)], x, p[:len(x)])
}

// Axpy32 adds a multiple of x to sum:
//
//	for i, v := range x { sum[i] += a * float64(v) }
func Axpy32(sum []float64, a float64, x []float32) { axpy32(sum[:len(x)], a, x) }

// Axpy64 is [Axpy32] for float64.
func Axpy64(sum []float64, a float64, x []float64) { axpy64(sum[:len(x)], a, x) }

// Diff32 writes x - mu, taken in float64 and rounded to float32, and returns the sum of squares of
// the differences before rounding:
//
//	for i, v := range x { d := float64(v) - mu[i]; dst[i] = float32(d); sq += d * d }
func Diff32(dst, x []float32, mu []float64) (sq float64) {
	return diff32(dst[:len(x)], x, mu[:len(x)])
}

// Diff32To64 is [Diff32] with a float64 result.
func Diff32To64(dst []float64, x []float32, mu []float64) (sq float64) {
	return diff32To64(dst[:len(x)], x, mu[:len(x)])
}

// Diff64 is [Diff32] for float64 input and result.
func Diff64(dst, x, mu []float64) (sq float64) {
	return diff64(dst[:len(x)], x, mu[:len(x)])
}

// Diff64To32 is [Diff32] for float64 input.
func Diff64To32(dst []float32, x, mu []float64) (sq float64) {
	return diff64To32(dst[:len(x)], x, mu[:len(x)])
}

// ScaledDistance32 returns the squared distance of a x and u:
//
//	for i, v := range x { d := a*float64(v) - u[i]; s += d * d }
func ScaledDistance32(x []float32, a float64, u []float64) float64 {
	return scaledDistance32(x, a, u[:len(x)])
}

// ScaledDistance64 is [ScaledDistance32] for float64.
func ScaledDistance64(x []float64, a float64, u []float64) float64 {
	return scaledDistance64(x, a, u[:len(x)])
}

// Dot32 returns the inner product of a float32 and a float64 vector:
//
//	for i, v := range x { s += float64(v) * y[i] }
func Dot32(x []float32, y []float64) float64 { return dot32(x, y[:len(x)]) }

// Dot64 is [Dot32] for float64.
func Dot64(x, y []float64) float64 { return dot64(x, y[:len(x)]) }

// Distance64 returns the squared distance of two vectors:
//
//	for i, v := range x { d := v - y[i]; s += d * d }
func Distance64(x, y []float64) float64 { return scaledDistance64(x, 1, y[:len(x)]) }

// Scale64 multiplies a vector by a number:
//
//	for i := range x { x[i] *= a }
func Scale64(x []float64, a float64) { scale64(x, a) }

// Add64 adds x to dst:
//
//	for i, v := range x { dst[i] += v }
func Add64(dst, x []float64) { axpy64(dst[:len(x)], 1, x) }

// ArgMax32 returns the lowest index of the largest element. A NaN is never the largest; the result
// is 0 for an empty slice and for one that holds nothing but NaN.
func ArgMax32(x []float32) int { return argMax32(x) }

// ArgMax64 is [ArgMax32] for float64.
func ArgMax64(x []float64) int { return argMax64(x) }

// SumExp32 returns the sum of exponentials, each formed in float32 with a relative error of about
// 1e-7, added in float64:
//
//	for _, v := range x { s += float64(exp(v - shift)) }
func SumExp32(x []float32, shift float32) float64 { return sumExp32(x, shift) }

// SumExp64 is [SumExp32] in float64 with a relative error of a few units in the last place.
func SumExp64(x []float64, shift float64) float64 { return sumExp64(x, shift) }

// Widen converts float32 to float64:
//
//	for i, v := range src { dst[i] = float64(v) }
func Widen(dst []float64, src []float32) { widen(dst[:len(src)], src) }

// Narrow converts float64 to float32, rounding to nearest even:
//
//	for i, v := range src { dst[i] = float32(v) }
func Narrow(dst []float32, src []float64) { narrow(dst[:len(src)], src) }

// Half converts IEEE half precision to float32, exactly. A signalling NaN becomes quiet and keeps
// its payload.
func Half(dst []float32, src []uint16) { halfToFloat(dst[:len(src)], src) }

// BFloat16 converts bfloat16 to float32: the sixteen bits become the upper half of the word.
func BFloat16(dst []float32, src []uint16) { bfloat16ToFloat(dst[:len(src)], src) }
