package kernel

import (
	"fmt"
	"testing"
)

// BenchmarkTraining gives the rates of the loops of training on one core, in memory traffic: what is read and
// written, without the lines that a store fetches first.
func BenchmarkTraining(b *testing.B) {
	for _, size := range []int{1 << 15, 1 << 23} { // elements: in the second-level cache, in memory
		const c = 64
		r := newRand()
		x, y, z, u := newGuarded[float32](size, 0).random(r).s, newGuarded[float32](size, 0).random(r).s, newGuarded[float32](size, 0).random(r).s, newGuarded[float32](size, 0).random(r).s
		sum, square := make([]float64, c), make([]float64, c)
		place, bytes := make([]uint8, size), make([]uint8, size)
		norm := Norm[float32]{Mean: x[:c], Scale: y[:c], Shift: z[:c], ReLU: true}
		pool := Pool{Height: size / (32 * c), Width: 32, Channels: c, KernelH: 2, KernelW: 2, Stride: 2}
		for _, l := range []struct {
			name   string
			arrays float64 // read or written, of float32
			f      func()
		}{
			{"relu", 2, func() { ReLU(y, x) }},
			{"relu-backward", 3, func() { ReLUBackward(y, x, z) }},
			{"add-relu", 3, func() { AddReLU(y, x, z) }},
			{"bias", 2, func() { AddBias(y, x, u[:c]) }},
			{"column-sums", 1, func() { ColumnSums(sum, x) }},
			{"moments", 1, func() { Moments(sum, square, x, u[:c]) }},
			{"norm-forward", 2, func() { norm.Forward(u, x) }},
			{"norm-sums", 2, func() { norm.Sums(sum, square, u, x) }},
			{"norm-backward", 3, func() { norm.Backward(u, u, x, y[:c], z[:c]) }},
			{"maxpool", 1.3125, func() { MaxPool(y, place, x, pool) }},
			{"maxpool-backward", 1.3125, func() { MaxPoolBackward(z, y, place, pool) }},
			{"exp", 2, func() { Exp(y, x, 1) }},
			{"silu", 2, func() { SiLU(y, x) }},
			{"gelu-backward", 3, func() { GELUBackward(u, y, x) }},
			{"momentum", 5, func() { SGD(x, y, z, SGDStep{Rate: 1e-9, Momentum: 0.9, Decay: 1e-4}) }},
			{"adam", 7, func() {
				Adam(x, y, u, z, AdamStep{Rate: 1e-9, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Step: 1})
			}},
			{"standardize", 1.25, func() { Standardize(y, bytes, []float32{1, 2, 3}, []float32{1, 2, 3}) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", l.name, size), func(b *testing.B) {
				b.SetBytes(int64(4 * l.arrays * float64(size)))
				for b.Loop() {
					l.f()
				}
			})
		}
	}
}
