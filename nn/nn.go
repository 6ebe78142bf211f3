// Package nn holds the networks that are trained past zero error: layers, heads and losses with exact
// gradients, in one flat parameter vector, on the kernels of internal/kernel.
//
// An [Architecture] is a description, a value that says which layers stand in which order; [Build] makes
// the usual ones by name. [New] compiles it into a [Network] for batches of at most so many rows, in float32
// for training or in float64 where a derivative is to be checked:
//
//	a, err := nn.Build("mlp", nn.ArchitectureOptions{Input: nn.Shape{Height: 28, Width: 28, Channels: 1}, Classes: 10})
//	net, err := nn.New[float32](a, 128)
//	err = net.Init("pytorch", 1)
//	logits := net.Forward(x, 128, nn.Train) // x is 128 x 28 x 28 x 1
//	// a loss writes the gradient of the logits
//	net.Backward(dLogits, nil)              // fills net.Grads
//	// an optimiser moves net.Params against net.Grads
//
// Images are n x height x width x channels throughout, so that the channels of a pixel lie together; a
// vector is an image of one pixel. What the layers compute, and the names and shapes of their tensors, are
// those of PyTorch: [Network.Tensors] converts both ways.
//
// Every output with a [Mark] can be read after a forward pass ([Network.Output]) and can be given a gradient
// of its own in the backward pass. The last tap is always "features", the input of the head.
//
// All memory is taken when a network is made or first used: after that neither pass allocates. The bits of a
// result depend on the kernel level, the batch and the parameters, not on the number of workers. A network is
// used by one goroutine at a time.
//
// The rooms: network.go is what one does with a network; op.go is what a layer is inside, and plan.go gives
// the layers their memory; each layer has a file of its own name; architectures.go puts them together, init.go
// fills them, tensors.go hands them over.
package nn

import "fmt"

// Float is what a network computes in.
type Float interface{ float32 | float64 }

// Shape is the shape of one sample. A vector of d numbers is 1 x 1 x d.
type Shape struct{ Height, Width, Channels int }

// Vector is the shape of a vector of d numbers.
func Vector(d int) Shape { return Shape{1, 1, d} }

// Size is how many numbers a sample has.
func (s Shape) Size() int { return s.Height * s.Width * s.Channels }

func (s Shape) String() string { return fmt.Sprintf("%dx%dx%d", s.Height, s.Width, s.Channels) }

// Mode says what a forward pass is for.
type Mode int

const (
	Evaluate Mode = iota // running statistics, no dropout
	Train                // statistics of the batch, which are also entered into the running ones; dropout
)

// Architecture describes a network.
type Architecture struct {
	Name   string
	Input  Shape
	Layers []Layer // in order
	Head   Layer   // the classifier, from features to logits
}

// Layer describes one layer: Dense, Conv, BatchNorm, ReLU, Residual and the others of this package. The field
// Name, where there is one, is the name of the module in PyTorch, "layer1.0.conv1", and begins the names
// of its tensors.
type Layer interface {
	kind() string // for messages
}

// Mark makes the output of the layer before it a tap: one that can be measured.
type Mark struct{ Name string }

func (Mark) kind() string { return "mark" }
