package nn

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// fill is the function of the same name in testdata/make_fixtures.py.
func fill(stream uint64, n int) []float64 {
	u := make([]float64, n)
	for i := range u {
		x := stream<<32 + uint64(i) + 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
		u[i] = float64(x>>11)/(1<<52) - 1
	}
	return u
}

// Networks with PyTorch's state give PyTorch's logits, outputs, gradients and running statistics: names, shapes,
// layouts, the order after a flatten, and the meaning of every layer.
func TestPyTorch(t *testing.T) {
	file, err := os.ReadFile("testdata/networks.json")
	if err != nil {
		t.Fatal(err)
	}
	var fixtures []struct {
		Architecture      string
		Options           ArchitectureOptions
		Input             [3]int
		Rows              int
		State             [][3]any // name, shape, and the digest of the gradient or, of a statistic, of itself after the pass
		Taps              []float64
		Logits, Evaluated []float64
	}
	if err := json.Unmarshal(file, &fixtures); err != nil {
		t.Fatal(err)
	}
	for _, f := range fixtures {
		t.Run(f.Architecture, func(t *testing.T) {
			f.Options.Input = Shape{f.Input[0], f.Input[1], f.Input[2]}
			f.Options.Classes = len(f.Logits) / f.Rows
			a, err := Build(f.Architecture, f.Options)
			if err != nil {
				t.Fatal(err)
			}
			net, err := New[float64](a, f.Rows+1)
			if err != nil {
				t.Fatal(err)
			}
			setState(t, net, f.State)

			near := func(what string, got, want float64) {
				t.Helper()
				if math.Abs(got-want) > 1e-8*math.Max(1, math.Abs(want)) { // the file has ten digits
					t.Errorf("%s is %.10g, PyTorch has %.10g", what, got, want)
				}
			}
			x := fill(2, f.Rows*a.Input.Size())
			logits := net.Forward(x, f.Rows, Train)
			for i, want := range f.Logits {
				near("a logit", logits[i], want)
			}
			dTaps := make([][]float64, len(net.Taps()))
			for i, tap := range net.Taps() {
				near(tap.Name, digest(net.Output(i)), f.Taps[i])
				dTaps[i] = fill(10+uint64(i), f.Rows*tap.Dim)
				for j := range dTaps[i] {
					dTaps[i][j] *= 0.1
				}
			}
			net.Backward(fill(3, len(logits)), dTaps)
			for k, tensor := range net.Tensors() {
				what := tensor.Name
				if tensor.Kind != Statistic {
					what = "the gradient of " + what
					tensor.data = net.Grads[tensor.Offset : tensor.Offset+tensor.Len()]
				}
				near(what, digest(get(t, tensor)), f.State[k][2].(float64))
			}
			logits = net.Forward(x, f.Rows, Evaluate)
			for i, want := range f.Evaluated {
				near("a logit in evaluation", logits[i], want)
			}
		})
	}
}

// setState checks names and shapes and fills the tensors as make_fixtures.py does.
func setState(t *testing.T, net *Network[float64], state [][3]any) {
	t.Helper()
	tensors := net.Tensors()
	if len(tensors) != len(state) {
		t.Fatalf("%d tensors, PyTorch has %d", len(tensors), len(state))
	}
	for k, entry := range state {
		name := entry[0].(string)
		shape := []int{}
		for _, s := range entry[1].([]any) {
			shape = append(shape, int(s.(float64)))
		}
		tensor := tensors[k]
		if tensor.Name != name || !slices.Equal(tensor.Shape, shape) {
			t.Fatalf("tensor %d is %s %v, PyTorch has %s %v", k, tensor.Name, tensor.Shape, name, shape)
		}
		u := fill(100+uint64(k), tensor.Len())
		for i := range u {
			switch {
			case len(shape) == 0:
				u[i] = 5
			case strings.HasSuffix(name, "running_var"):
				u[i] = 1 + 0.5*u[i]
			case len(shape) >= 2:
				u[i] *= math.Sqrt(3 / float64(tensor.Len()/shape[0]))
			case strings.HasSuffix(name, "weight"):
				u[i] = 1 + 0.2*u[i]
			}
		}
		if err := tensor.Set(u); err != nil {
			t.Fatal(err)
		}
		if got := get(t, tensor); !slices.Equal(got, u) {
			t.Fatalf("%s: Get does not return what Set was given", name)
		}
	}
}

func get(t *testing.T, tensor Tensor[float64]) []float64 {
	t.Helper()
	x := make([]float64, tensor.Len())
	if err := tensor.Get(x); err != nil {
		t.Fatal(err)
	}
	return x
}

func digest(x []float64) (sum float64) {
	for i, u := range fill(1, len(x)) {
		sum += x[i] * u
	}
	return sum
}
