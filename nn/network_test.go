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
		"preactivation": {Conv{Name: "c", Out: 4, Kernel: 3}, Residual{Body: []Layer{ReLU{}, Conv{Name: "d", Out: 4, Kernel: 3, Pad: 1}}}, GlobalAveragePool{}},
		"input":         {Residual{Body: []Layer{Conv{Name: "d", Out: 2, Kernel: 3, Pad: 1}}}, ReLU{}, Flatten{}},
		"dropout":       {Flatten{}, Dense{Name: "f", Out: 7, Bias: true}, Dropout{P: 0.5}, ReLU{}},
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

// Every architecture, made tiny.
func TestArchitectures(t *testing.T) {
	for name, o := range map[string]ArchitectureOptions{
		"mlp":        {Input: Shape{4, 4, 1}, Width: 8, Depth: 3, FeatureDim: 3},
		"cnn":        {Input: Shape{6, 4, 1}, Width: 2, FeatureDim: 5},
		"cnn_linear": {Input: Shape{7, 6, 2}, Width: 2, FeatureDim: 4},
		"lenet":      {Input: Shape{16, 16, 1}},
		"vgg11":      {Input: Shape{32, 32, 2}, Width: 1, FeatureDim: 3},
		"vgg13":      {Input: Shape{32, 32, 1}, Width: 1, Norm: "none"},
		"vgg16":      {Input: Shape{32, 32, 1}, Width: 1},
		"resnet18":   {Input: Shape{9, 8, 3}, Width: 2, FeatureDim: 3},
		"resnet34":   {Input: Shape{12, 12, 1}, Width: 2, Norm: "group"},
		"resnet50":   {Input: Shape{12, 12, 1}, Width: 2, FeatureDim: 3},
	} {
		t.Run(name, func(t *testing.T) {
			o.Classes = 3
			a, err := Build(name, o)
			if err != nil {
				t.Fatal(err)
			}
			const rows = 6
			net, err := New[float64](a, rows)
			if err != nil {
				t.Fatal(err)
			}
			if err := net.Init("pytorch", 1); err != nil {
				t.Fatal(err)
			}
			checkGradients(t, net, rows)
		})
	}
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
	// Some entries of each tensor, so that deep networks take no longer than small ones.
	entries := max(1, 60/len(net.Tensors()))
	for _, tensor := range net.Tensors() {
		if !tensor.Trainable {
			continue
		}
		for range min(entries, tensor.Len()) {
			i := tensor.Offset + r.IntN(tensor.Len())
			got, want := net.Grads[i], 0.0
			// Where a ReLU or a maximum changes sides within the step, the difference is wrong, and a shorter
			// step is tried.
			for _, h := range []float64{1e-6, 1e-7, 1e-8} {
				old := net.Params[i]
				net.Params[i] = old + h
				up := loss()
				net.Params[i] = old - h
				want = (up - loss()) / (2 * h)
				net.Params[i] = old
				if math.Abs(got-want) <= 1e-5*math.Max(1, math.Abs(want)) {
					break
				}
			}
			if math.Abs(got-want) > 1e-5*math.Max(1, math.Abs(want)) {
				t.Errorf("%s, parameter %d: gradient %g, difference %g", tensor.Name, i, got, want)
			}
		}
	}
}
