//go:build !amd64 || purego

package kernel

// Every loop is the portable one.

func relu[T float](y, x []T)                   { reluGo(y, x) }
func reluBackward[T float](dx, dy, y []T)      { reluBackwardGo(dx, dy, y) }
func sigmoid[T float](y, x []T)                { sigmoidGo(y, x) }
func silu[T float](y, x []T)                   { siluGo(y, x) }
func tanh[T float](y, x []T)                   { tanhGo(y, x) }
func gelu[T float](y, x []T)                   { geluGo(y, x) }
func siluBackward[T float](dx, dy, x []T)      { siluBackwardGo(dx, dy, x) }
func geluBackward[T float](dx, dy, x []T)      { geluBackwardGo(dx, dy, x) }
func add[T float](y, a, b []T)                 { addGo(y, a, b) }
func addReLU[T float](y, a, b []T)             { addReLUGo(y, a, b) }
func addScaled[T float](y []T, a T, x []T)     { addScaledGo(y, a, x) }
func scale[T float](y []T, a T, x []T)         { scaleIntoGo(y, a, x) }
func addBias[T float](y, x, bias []T, on bool) { addBiasGo(y, x, bias, on) }
func columnSums[T float](sum []float64, x []T) { columnSumsGo(sum, x) }
func moments[T float](sum, square []float64, x, shift []T) {
	momentsGo(sum, square, x, shift)
}
func (n *Norm[T]) forward(y, x []T)                      { n.forwardGo(y, x) }
func (n *Norm[T]) sums(sum, dot []float64, dy, x []T)    { n.sumsGo(sum, dot, dy, x) }
func (n *Norm[T]) backward(dx, dy, x, slope, offset []T) { n.backwardGo(dx, dy, x, slope, offset) }
func maxWindows[T float](y []T, place []uint8, x []T, p Pool, in window, n int) {
	for k, c := 0, p.Channels; k < n; k++ {
		maxWindowGo(y[k*c:(k+1)*c], place[k*c:(k+1)*c], x, p, in.right(k, p), 0)
	}
}
func maxWindowsBackward[T float](dx, dy []T, place []uint8, p Pool, in window, n int) {
	for k, c := 0, p.Channels; k < n; k++ {
		maxWindowBackwardGo(dx, dy[k*c:(k+1)*c], place[k*c:(k+1)*c], p, in.right(k, p), 0)
	}
}
func largest[T float](x []T) T                            { return largestGo(x) }
func exponentials[T float](y, x []T, shift T) float64     { return exponentialsGo(y, x, shift) }
func descend[T float](w, g []T, s SGDStep)                { descendGo(w, g, s) }
func descendMomentum[T float](w, v, g []T, s SGDStep)     { descendMomentumGo(w, v, g, s) }
func adam[T float](w, m, v, g []T, a adamFactors[T])      { adamGo(w, m, v, g, a) }
func standardize[T float](dst []T, src []uint8, a, b []T) { standardizeGo(dst, src, a, b) }
