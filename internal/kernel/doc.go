// Package kernel holds the loops in which the program spends its time: matrix products (Gemm32,
// Syrk32, Panel32 and their float64 forms), row loops with float64 accumulation (SumSquares32 to
// SumExp64), conversions (Widen, Narrow, Half, BFloat16), convolutions ([Convolver]) and the loops of
// training (train.go), which are generic.
//
// Matrices are row-major slices with a row length. Every loop exists in portable Go, and on amd64 in
// AVX2 and AVX-512 assembly made by the generator in gen; the best level that the processor has is
// chosen when the program starts, see [Level]. The build tag purego leaves the assembly out.
package kernel
