package nn

import (
	"fmt"
	"testing"
)

// Layers by themselves, forward and backward; bench/kernels/layers.py times the same in PyTorch.
func BenchmarkLayer(b *testing.B) {
	for _, c := range []struct {
		name   string
		layers []Layer
		shapes []Shape
	}{
		{"batchnorm-relu", []Layer{BatchNorm{Name: "n"}, ReLU{}}, []Shape{{32, 32, 16}, {16, 16, 32}, {8, 8, 64}, {32, 32, 64}, {1, 1, 512}}},
		{"groupnorm-relu", []Layer{GroupNorm{Name: "n", Groups: 8}, ReLU{}}, []Shape{{32, 32, 16}, {8, 8, 64}}},
		{"maxpool", []Layer{MaxPool{Kernel: 2}}, []Shape{{28, 28, 64}, {32, 32, 16}}},
		{"globalaverage", []Layer{GlobalAveragePool{}}, []Shape{{8, 8, 64}, {4, 4, 512}}},
		{"relu", []Layer{ReLU{}}, []Shape{{32, 32, 16}}},
		{"gelu", []Layer{GELU{}}, []Shape{{1, 1, 512}}},
		{"silu", []Layer{SiLU{}}, []Shape{{32, 32, 16}}},
		{"tanh", []Layer{Tanh{}}, []Shape{{32, 32, 16}}},
	} {
		for _, shape := range c.shapes {
			b.Run(fmt.Sprintf("%s/%v", c.name, shape), func(b *testing.B) {
				const n = 128
				s := newBench[float32](b, c.layers, shape, n)
				x, dy := normal[float32](n*shape.Size(), 1, 0, 1), normal[float32](n*s.out.shape.Size(), 2, 0, 1)
				for b.Loop() {
					s.forward(x, n, Train)
					s.backward(dy, n)
				}
			})
		}
	}
}
