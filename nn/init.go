package nn

import (
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/random"
	"github.com/collapsar/collapsar/internal/suggest"
)

// Initialisations lists the schemes that Init knows.
func Initialisations() []string { return []string{"pytorch"} }

// Init fills the parameters: "pytorch" draws weights and biases uniformly within 1/sqrt(fan_in), as PyTorch does by
// default. Scales of norms become 1, shifts 0, running means 0, running variances 1. Every
// tensor has a stream of its own.
func (net *Network[T]) Init(scheme string, seed uint64) error {
	if !slices.Contains(Initialisations(), scheme) {
		return fmt.Errorf("nn: no initialisation %q%s", scheme, suggest.Hint(scheme, Initialisations()))
	}
	for i, t := range net.tensors {
		switch {
		case t.Kind == Norm || t.Kind == Statistic:
			for j := range t.data {
				t.data[j] = t.start
			}
		case t.Trainable:
			r := random.New(seed, uint64(i))
			limit := 1 / math.Sqrt(float64(t.fanIn))
			for j := range t.data {
				t.data[j] = T((2*r.Float64() - 1) * limit)
			}
		}
	}
	return nil
}
