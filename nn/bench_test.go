package nn

import (
	"testing"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// A whole training step at batch 128: forward, cross-entropy, backward, SGD with momentum and weight decay.
// bench/train_step.py times the same in PyTorch.
func BenchmarkTrainingStep(b *testing.B) {
	for _, c := range []struct {
		name, architecture string
		options            ArchitectureOptions
	}{
		{"mlp", "mlp", ArchitectureOptions{Input: Shape{28, 28, 1}}},
		{"cnn", "cnn", ArchitectureOptions{Input: Shape{28, 28, 1}}},
		{"resnet18-16", "resnet18", ArchitectureOptions{Input: Shape{32, 32, 3}, Width: 16}},
		{"resnet18-64", "resnet18", ArchitectureOptions{Input: Shape{32, 32, 3}, Width: 64}},
	} {
		b.Run(c.name, func(b *testing.B) {
			const rows = 128
			c.options.Classes = 10
			net, x, dLogits := trainable[float32](b, c.architecture, c.options, rows)
			loss, err := NewLoss[float32](LossSpec{Name: "ce"})
			if err != nil {
				b.Fatal(err)
			}
			batch := Batch[float32]{Rows: rows, Classes: 10, DLogits: dLogits, Labels: make([]int32, rows)}
			for i := range batch.Labels {
				batch.Labels[i] = int32(i % 10)
			}
			velocity := make([]float32, len(net.Params))
			step := func(_, i int) {
				lo, hi := span(i, len(velocity))
				kernel.SGD(net.Params[lo:hi], velocity[lo:hi], net.Grads[lo:hi], kernel.SGDStep{Rate: 0.01, Momentum: 0.9, Decay: 5e-4})
			}
			b.ReportAllocs()
			for b.Loop() {
				batch.Logits = net.Forward(x, rows, Train)
				loss.Value(&batch)
				net.Backward(dLogits, nil)
				parallel.For(blocks(len(velocity)), step)
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "samples/s")
			b.ReportMetric(float64(4*net.memory)/(1<<20), "MiB-of-rows")
		})
	}
}
