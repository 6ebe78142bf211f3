//go:build !purego

package kernel

import (
	"math"
	"unsafe"
)

// The row loops by level. They are called directly, not through function values, so that their
// arguments stay on the stack.

func sumSquares32(x []float32) float64 {
	switch level {
	case levelAVX512:
		return sumSquares32AVX512(unsafe.SliceData(x), len(x))
	case levelAVX2:
		return sumSquares32AVX2(unsafe.SliceData(x), len(x))
	}
	return sumSquaresGo(x)
}

func sumSquares64(x []float64) float64 {
	switch level {
	case levelAVX512:
		return sumSquares64AVX512(unsafe.SliceData(x), len(x))
	case levelAVX2:
		return sumSquares64AVX2(unsafe.SliceData(x), len(x))
	}
	return sumSquaresGo(x)
}

func addRow32(sum, unit []float64, a float64, x []float32, p []float32) float64 {
	switch level {
	case levelAVX512:
		return addRow32AVX512(unsafe.SliceData(sum), unsafe.SliceData(unit), unsafe.SliceData(x), unsafe.SliceData(p), a, len(x))
	case levelAVX2:
		return addRow32AVX2(unsafe.SliceData(sum), unsafe.SliceData(unit), unsafe.SliceData(x), unsafe.SliceData(p), a, len(x))
	}
	return addRowGo(sum, unit, a, x, p)
}

func addRow64(sum, unit []float64, a float64, x, p []float64) float64 {
	switch level {
	case levelAVX512:
		return addRow64AVX512(unsafe.SliceData(sum), unsafe.SliceData(unit), unsafe.SliceData(x), unsafe.SliceData(p), a, len(x))
	case levelAVX2:
		return addRow64AVX2(unsafe.SliceData(sum), unsafe.SliceData(unit), unsafe.SliceData(x), unsafe.SliceData(p), a, len(x))
	}
	return addRowGo(sum, unit, a, x, p)
}

func axpy32(sum []float64, a float64, x []float32) {
	switch level {
	case levelAVX512:
		axpy32AVX512(unsafe.SliceData(sum), unsafe.SliceData(x), a, len(x))
	case levelAVX2:
		axpy32AVX2(unsafe.SliceData(sum), unsafe.SliceData(x), a, len(x))
	default:
		axpyGo(sum, a, x)
	}
}

func axpy64(sum []float64, a float64, x []float64) {
	switch level {
	case levelAVX512:
		axpy64AVX512(unsafe.SliceData(sum), unsafe.SliceData(x), a, len(x))
	case levelAVX2:
		axpy64AVX2(unsafe.SliceData(sum), unsafe.SliceData(x), a, len(x))
	default:
		axpyGo(sum, a, x)
	}
}

func diff32To64(dst []float64, x []float32, mu []float64) float64 {
	switch level {
	case levelAVX512:
		return diff32To64AVX512(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(mu), len(x))
	case levelAVX2:
		return diff32To64AVX2(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(mu), len(x))
	}
	return diffGo(dst, x, mu)
}

func diff64(dst, x, mu []float64) float64 {
	switch level {
	case levelAVX512:
		return diff64AVX512(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(mu), len(x))
	case levelAVX2:
		return diff64AVX2(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(mu), len(x))
	}
	return diffGo(dst, x, mu)
}

func residual32(dst, x []float32, p, mu []float64) float64 {
	switch level {
	case levelAVX512:
		return residual32AVX512(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(p), unsafe.SliceData(mu), len(x))
	case levelAVX2:
		return residual32AVX2(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(p), unsafe.SliceData(mu), len(x))
	}
	return residualGo(dst, x, p, mu)
}

func residual32To64(dst []float64, x []float32, p, mu []float64) float64 {
	switch level {
	case levelAVX512:
		return residual32To64AVX512(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(p), unsafe.SliceData(mu), len(x))
	case levelAVX2:
		return residual32To64AVX2(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(p), unsafe.SliceData(mu), len(x))
	}
	return residualGo(dst, x, p, mu)
}

func residual64(dst, x, p, mu []float64) float64 {
	switch level {
	case levelAVX512:
		return residual64AVX512(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(p), unsafe.SliceData(mu), len(x))
	case levelAVX2:
		return residual64AVX2(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(p), unsafe.SliceData(mu), len(x))
	}
	return residualGo(dst, x, p, mu)
}

func residual64To32(dst []float32, x, p, mu []float64) float64 {
	switch level {
	case levelAVX512:
		return residual64To32AVX512(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(p), unsafe.SliceData(mu), len(x))
	case levelAVX2:
		return residual64To32AVX2(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(p), unsafe.SliceData(mu), len(x))
	}
	return residualGo(dst, x, p, mu)
}

func scaledDistance32(x []float32, a float64, u []float64) float64 {
	switch level {
	case levelAVX512:
		return scaledDistance32AVX512(unsafe.SliceData(x), unsafe.SliceData(u), a, len(x))
	case levelAVX2:
		return scaledDistance32AVX2(unsafe.SliceData(x), unsafe.SliceData(u), a, len(x))
	}
	return scaledDistanceGo(x, a, u)
}

func scaledDistance64(x []float64, a float64, u []float64) float64 {
	switch level {
	case levelAVX512:
		return scaledDistance64AVX512(unsafe.SliceData(x), unsafe.SliceData(u), a, len(x))
	case levelAVX2:
		return scaledDistance64AVX2(unsafe.SliceData(x), unsafe.SliceData(u), a, len(x))
	}
	return scaledDistanceGo(x, a, u)
}

func dot32(x []float32, y []float64) float64 {
	switch level {
	case levelAVX512:
		return dot32AVX512(unsafe.SliceData(x), unsafe.SliceData(y), len(x))
	case levelAVX2:
		return dot32AVX2(unsafe.SliceData(x), unsafe.SliceData(y), len(x))
	}
	return dotGo(x, y)
}

func dot64(x, y []float64) float64 {
	switch level {
	case levelAVX512:
		return dot64AVX512(unsafe.SliceData(x), unsafe.SliceData(y), len(x))
	case levelAVX2:
		return dot64AVX2(unsafe.SliceData(x), unsafe.SliceData(y), len(x))
	}
	return dotGo(x, y)
}

func scale64(x []float64, a float64) {
	switch level {
	case levelAVX512:
		scale64AVX512(unsafe.SliceData(x), a, len(x))
	case levelAVX2:
		scale64AVX2(unsafe.SliceData(x), a, len(x))
	default:
		scaleGo(x, a)
	}
}

func sumExp32(x []float32, shift float32) float64 {
	switch level {
	case levelAVX512:
		return sumExp32AVX512(unsafe.SliceData(x), len(x), shift)
	case levelAVX2:
		return sumExp32AVX2(unsafe.SliceData(x), len(x), shift)
	}
	return sumExp32Go(x, shift)
}

func sumExp64(x []float64, shift float64) float64 {
	switch level {
	case levelAVX512:
		return sumExp64AVX512(unsafe.SliceData(x), len(x), shift)
	case levelAVX2:
		return sumExp64AVX2(unsafe.SliceData(x), len(x), shift)
	}
	return sumExp64Go(x, shift)
}

func widen(dst []float64, src []float32) {
	switch level {
	case levelAVX512:
		widenAVX512(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
	case levelAVX2:
		widenAVX2(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
	default:
		widenGo(dst, src)
	}
}

func narrow(dst []float32, src []float64) {
	switch level {
	case levelAVX512:
		narrowAVX512(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
	case levelAVX2:
		narrowAVX2(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
	default:
		narrowGo(dst, src)
	}
}

func halfToFloat(dst []float32, src []uint16) {
	whole := 0
	switch level {
	case levelAVX512:
		whole = len(src) &^ 15
		halfAVX512(unsafe.SliceData(dst), unsafe.SliceData(src), whole)
	case levelAVX2:
		whole = len(src) &^ 7
		halfAVX2(unsafe.SliceData(dst), unsafe.SliceData(src), whole)
	}
	halfGo(dst[whole:], src[whole:])
}

func bfloat16ToFloat(dst []float32, src []uint16) {
	whole := 0
	switch level {
	case levelAVX512:
		whole = len(src) &^ 15
		bfloat16AVX512(unsafe.SliceData(dst), unsafe.SliceData(src), whole)
	case levelAVX2:
		whole = len(src) &^ 7
		bfloat16AVX2(unsafe.SliceData(dst), unsafe.SliceData(src), whole)
	}
	bfloat16Go(dst[whole:], src[whole:])
}

// argMax32 looks for the largest number first and for its place afterwards; both take whole
// registers, the rest is compared one by one.
func argMax32(x []float32) int {
	switch level {
	case levelAVX512:
		if whole := len(x) &^ 15; whole > 0 {
			best := max32AVX512(&x[0], whole)
			return argMaxRest(x, find32AVX512(&x[0], whole, best), whole)
		}
	case levelAVX2:
		if whole := len(x) &^ 7; whole > 0 {
			best := max32AVX2(&x[0], whole)
			return argMaxRest(x, find32AVX2(&x[0], whole, best), whole)
		}
	}
	return argMaxGo(x)
}

// argMax64 looks for the largest number first and for its place afterwards; both take whole
// registers, the rest is compared one by one.
func argMax64(x []float64) int {
	switch level {
	case levelAVX512:
		if whole := len(x) &^ 7; whole > 0 {
			best := max64AVX512(&x[0], whole)
			return argMaxRest(x, find64AVX512(&x[0], whole, best), whole)
		}
	case levelAVX2:
		if whole := len(x) &^ 3; whole > 0 {
			best := max64AVX2(&x[0], whole)
			return argMaxRest(x, find64AVX2(&x[0], whole, best), whole)
		}
	}
	return argMaxGo(x)
}

func peaks64(dst, x []float64, run int) {
	for i := range dst {
		part := x[i*run : min((i+1)*run, len(x))]
		best, whole := math.Inf(-1), 0
		switch level {
		case levelAVX512:
			if whole = len(part) &^ 7; whole > 0 {
				best = max64AVX512(&part[0], whole)
			}
		case levelAVX2:
			if whole = len(part) &^ 3; whole > 0 {
				best = max64AVX2(&part[0], whole)
			}
		}
		dst[i] = peakGo(best, part[whole:])
	}
}

// argMaxRest compares the element at place, the largest of the first whole ones, with the rest. Where
// there is no number among the first, place is whole.
func argMaxRest[T float](x []T, place, whole int) int {
	if place == whole {
		place = 0
	}
	for i := whole; i < len(x); i++ {
		if v := x[i]; v > x[place] || (x[place] != x[place] && v == v) {
			place = i
		}
	}
	return place
}
