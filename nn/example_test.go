package nn_test

import (
	"fmt"
	"log"

	"github.com/collapsar/collapsar/nn"
)

// A network learns which of two points it sees.
func Example() {
	a, err := nn.Build("mlp", nn.ArchitectureOptions{Input: nn.Vector(2), Classes: 2, Width: 8, Norm: "none"})
	if err != nil {
		log.Fatal(err)
	}
	net, err := nn.New[float32](a, 2)
	if err != nil {
		log.Fatal(err)
	}
	if err := net.Init("pytorch", 1); err != nil {
		log.Fatal(err)
	}
	loss, err := nn.NewLoss[float32](nn.LossSpec{Name: "ce"})
	if err != nil {
		log.Fatal(err)
	}
	x := []float32{1, 0, 0, 1}
	batch := nn.Batch[float32]{Rows: 2, Classes: 2, Labels: []int32{0, 1}, DLogits: make([]float32, 4)}
	var value float64
	for range 200 {
		batch.Logits = net.Forward(x, 2, nn.Train)
		value = loss.Value(&batch)
		net.Backward(batch.DLogits, nil)
		for i, g := range net.Grads {
			net.Params[i] -= 0.5 * g
		}
	}
	for _, tap := range net.Taps() {
		fmt.Println(tap.Name, tap.Dim)
	}
	for _, t := range net.Tensors() {
		fmt.Println(t.Name, t.Shape)
	}
	fmt.Println("learned:", value < 0.01)
	// Output:
	// l1 8
	// features 8
	// l1.weight [8 2]
	// l1.bias [8]
	// l2.weight [8 8]
	// l2.bias [8]
	// fc.weight [2 8]
	// fc.bias [2]
	// learned: true
}
