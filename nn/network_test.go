package nn

import (
	"math"
	"testing"

	"github.com/collapsar/collapsar/internal/random"
)

func TestSmallNetworks(t *testing.T) {
	for name, layers := range map[string][]Layer{
		"conv":     {Conv{Name: "c", Out: 4, Kernel: 3, Pad: 1, Bias: true}, Mark{"c"}, ReLU{}, MaxPool{Kernel: 2}, Flatten{}},
		"norm":     {Conv{Name: "c", Out: 4, Kernel: 2}, BatchNorm{Name: "n"}, ReLU{}, Mark{"n"}, GlobalAveragePool{}},
		"identity": {Conv{Name: "c", Out: 4, Kernel: 3}, Residual{Body: []Layer{Conv{Name: "d", Out: 4, Kernel: 3, Pad: 1}, BatchNorm{Name: "n"}}}, ReLU{}, GlobalAveragePool{}},
		"projection": {Conv{Name: "c", Out: 4, Kernel: 3, Pad: 1}, Residual{
			Body:     []Layer{Conv{Name: "d", Out: 6, Kernel: 3, Pad: 1, Stride: 2}, BatchNorm{Name: "n"}},
			Shortcut: []Layer{Conv{Name: "e", Out: 6, Kernel: 1, Stride: 2}, BatchNorm{Name: "o"}}}, ReLU{}, Mark{"r"}, GlobalAveragePool{}},
		"nested": {Conv{Name: "c", Out: 4, Kernel: 3}, Residual{Body: []Layer{
			Residual{Body: []Layer{Conv{Name: "d", Out: 4, Kernel: 3, Pad: 1}}}, ReLU{}, Mark{"r"}, Residual{}}}, Flatten{}},
		"input":   {Residual{Body: []Layer{Conv{Name: "d", Out: 2, Kernel: 3, Pad: 1}}}, ReLU{}, Flatten{}},
		"dropout": {Flatten{}, Dense{Name: "f", Out: 7, Bias: true}, Dropout{P: 0.5}, ReLU{}},
	} {
		t.Run(name, func(t *testing.T) {
			a := Architecture{Name: name, Input: Shape{5, 6, 2}, Layers: layers, Head: Dense{Name: "fc", Out: 3, Bias: true}}
			net, err := New[float64](a, 4)
			if err != nil {
				t.Fatal(err)
			}
			if err := net.Init("pytorch", 1); err != nil {
				t.Fatal(err)
			}
			checkGradients(t, net, 4)
			checkGradients(t, net, 3)
		})
	}
}

func TestMLP(t *testing.T) {
	a, err := Build("mlp", ArchitectureOptions{Input: Shape{4, 4, 1}, Classes: 3, Width: 8})
	if err != nil {
		t.Fatal(err)
	}
	net, err := New[float64](a, 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := net.Init("pytorch", 1); err != nil {
		t.Fatal(err)
	}
	checkGradients(t, net, 5)
}

// checkGradients compares Grads with central differences of a random linear function of logits and taps.
func checkGradients(t *testing.T, net *Network[float64], n int) {
	t.Helper()
	r := random.New(7)
	normal := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		return x
	}
	x := normal(n * net.Architecture.Input.Size())
	_, _, k, _ := net.Classifier()
	dLogits := normal(n * k)
	dTaps := make([][]float64, len(net.Taps()))
	for i, tap := range net.Taps() {
		dTaps[i] = normal(n * tap.Dim)
	}
	loss := func() (sum float64) {
		for i, v := range net.Forward(x, n, Train) {
			sum += v * dLogits[i]
		}
		for i, d := range dTaps {
			for j, v := range net.Output(i) {
				sum += v * d[j]
			}
		}
		return sum
	}
	loss()
	net.Backward(dLogits, dTaps)
	for i := range net.Params {
		const h = 1e-6
		old := net.Params[i]
		net.Params[i] = old + h
		up := loss()
		net.Params[i] = old - h
		down := loss()
		net.Params[i] = old
		if want, got := (up-down)/(2*h), net.Grads[i]; math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) {
			t.Errorf("parameter %d: gradient %g, difference %g", i, got, want)
		}
	}
}
