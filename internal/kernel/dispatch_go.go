//go:build !amd64 || purego

package kernel

// Without assembly every loop is the portable one.

func sumSquares32(x []float32) float64 { return sumSquaresGo(x) }
func sumSquares64(x []float64) float64 { return sumSquaresGo(x) }
func addRow32(sum, unit []float64, a float64, x, p []float32) float64 {
	return addRowGo(sum, unit, a, x, p)
}
func addRow64(sum, unit []float64, a float64, x, p []float64) float64 {
	return addRowGo(sum, unit, a, x, p)
}
func axpy32(sum []float64, a float64, x []float32)                { axpyGo(sum, a, x) }
func axpy64(sum []float64, a float64, x []float64)                { axpyGo(sum, a, x) }
func diff32To64(dst []float64, x []float32, mu []float64) float64 { return diffGo(dst, x, mu) }
func diff64(dst, x, mu []float64) float64                         { return diffGo(dst, x, mu) }
func residual32(dst, x []float32, p, mu []float64) float64        { return residualGo(dst, x, p, mu) }
func residual32To64(dst []float64, x []float32, p, mu []float64) float64 {
	return residualGo(dst, x, p, mu)
}
func residual64(dst, x, p, mu []float64) float64                   { return residualGo(dst, x, p, mu) }
func residual64To32(dst []float32, x, p, mu []float64) float64     { return residualGo(dst, x, p, mu) }
func scaledDistance32(x []float32, a float64, u []float64) float64 { return scaledDistanceGo(x, a, u) }
func scaledDistance64(x []float64, a float64, u []float64) float64 { return scaledDistanceGo(x, a, u) }
func dot32(x []float32, y []float64) float64                       { return dotGo(x, y) }
func dot64(x, y []float64) float64                                 { return dotGo(x, y) }
func scale64(x []float64, a float64)                               { scaleGo(x, a) }
func argMax32(x []float32) int                                     { return argMaxGo(x) }
func argMax64(x []float64) int                                     { return argMaxGo(x) }
func peaks64(dst, x []float64, run int)                            { peaksGo(dst, x, run) }
func sumExp32(x []float32, shift float32) float64                  { return sumExp32Go(x, shift) }
func sumExp64(x []float64, shift float64) float64                  { return sumExp64Go(x, shift) }
func widen(dst []float64, src []float32)                           { widenGo(dst, src) }
func narrow(dst []float32, src []float64)                          { narrowGo(dst, src) }
func halfToFloat(dst []float32, src []uint16)                      { halfGo(dst, src) }
func bfloat16ToFloat(dst []float32, src []uint16)                  { bfloat16Go(dst, src) }
