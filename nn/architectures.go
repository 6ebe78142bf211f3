package nn

import (
	"fmt"
	"slices"

	"github.com/collapsar/collapsar/internal/suggest"
)

// ArchitectureOptions are the free choices of the architectures of Build. Zero is the default of each.
type ArchitectureOptions struct {
	Input      Shape
	Classes    int
	Width      int   // of hidden layers, or channels of the first stage
	Depth      int   // hidden layers of an MLP
	Plain      bool  // an MLP without batch norm
	FeatureDim int   // adds a dense layer of so many outputs before the head
	Head       Layer // default: Dense with bias, named as in PyTorch
}

var architectures = map[string]func(ArchitectureOptions) (Architecture, error){
	"mlp": mlp,
}

// Architectures lists the names that Build knows.
func Architectures() []string {
	names := make([]string, 0, len(architectures))
	for name := range architectures {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Build describes a network by name. The error names an unknown name's nearest, or the option that does not fit.
func Build(name string, o ArchitectureOptions) (Architecture, error) {
	build := architectures[name]
	if build == nil {
		return Architecture{}, fmt.Errorf("nn: no architecture %q%s", name, suggest.Hint(name, Architectures()))
	}
	if o.Classes < 2 {
		return Architecture{}, fmt.Errorf("nn: %s: %d classes, at least 2 are needed", name, o.Classes)
	}
	a, err := build(o)
	if err != nil {
		return Architecture{}, fmt.Errorf("nn: %s: %w", name, err)
	}
	a.Name, a.Input = name, o.Input
	return a, nil
}

// mlp is Depth (2) times a dense layer of Width (512) without bias, batch norm and ReLU; then the head.
func mlp(o ArchitectureOptions) (Architecture, error) {
	a := Architecture{Layers: []Layer{Flatten{}}}
	for i := range or(o.Depth, 2) {
		a.Layers = append(a.Layers, Dense{Name: fmt.Sprintf("fc%d", i+1), Out: or(o.Width, 512), Bias: true}, ReLU{}, Mark{fmt.Sprintf("fc%d", i+1)})
	}
	a.Head = Dense{Name: "fc", Out: o.Classes, Bias: true}
	return a, nil
}

// or is v, or the default if v is 0.
func or(v, preset int) int {
	if v == 0 {
		return preset
	}
	return v
}
