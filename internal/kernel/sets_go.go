//go:build !amd64 || purego

package kernel

var (
	set32 = [3]*set[float32]{levelGo: goSet[float32](512)}
	set64 = [3]*set[float64]{levelGo: goSet[float64](256)}
)
