package nn

import "fmt"

// Kind says what a tensor is for; weight decay and initialisation go by it.
type Kind int

const (
	Weight    Kind = iota // of a dense layer or a convolution
	Bias                  // of the same
	Norm                  // scale and shift of a normalisation
	Statistic             // running mean, running variance, number of batches: not trained
)

func (k Kind) String() string { return [...]string{"weight", "bias", "norm", "statistic"}[k] }

// A Tensor is one entry of PyTorch's state_dict. Its elements lie in Params or Stats, in the order that suits the
// layer; Get and Set convert.
type Tensor[T Float] struct {
	Name      string
	Shape     []int // as in PyTorch; empty for a number
	Kind      Kind
	Trainable bool
	Offset    int // of its Len() elements in Params, in Stats for a Statistic; -1 for a frozen weight, which is in neither

	data  []T
	order []int32 // order[i] is where element i of PyTorch's lies in data; nil: at i
	start T       // what norms and statistics are initialised to
	fanIn int     // how many inputs reach one output; of a bias, as of its weight
	gain  bool    // a weight that no activation follows: the head's
}

// Len is the number of elements.
func (t Tensor[T]) Len() int {
	n := 1
	for _, s := range t.Shape {
		n *= s
	}
	return n
}

// Get copies the elements to dst, in PyTorch's order (row-major, [out][in][height][width]).
func (t Tensor[T]) Get(dst []T) error {
	if len(dst) != t.Len() {
		return fmt.Errorf("nn: %s has %d elements, not %d", t.Name, t.Len(), len(dst))
	}
	if t.order == nil {
		copy(dst, t.data)
		return nil
	}
	for i, at := range t.order {
		dst[i] = t.data[at]
	}
	return nil
}

// Set copies the elements from src, in PyTorch's order.
func (t Tensor[T]) Set(src []T) error {
	if len(src) != t.Len() {
		return fmt.Errorf("nn: %s has %d elements, not %d", t.Name, t.Len(), len(src))
	}
	if t.order == nil {
		copy(t.data, src)
		return nil
	}
	for i, at := range t.order {
		t.data[at] = src[i]
	}
	return nil
}
