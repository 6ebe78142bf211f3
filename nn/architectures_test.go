package nn

import (
	"math"
	"strings"
	"testing"
)

// Numbers of parameters: of LeNet as published with the GeoMNIST runs, of the reference MLP and a CNN by hand,
// of the others what PyTorch counts in the usual implementations for CIFAR-10 (one dense layer behind the
// convolutions).
func TestParameterCounts(t *testing.T) {
	gray, colour := Shape{28, 28, 1}, Shape{32, 32, 3}
	for _, c := range []struct {
		name string
		o    ArchitectureOptions
		want int
	}{
		{"lenet", ArchitectureOptions{Input: Shape{32, 32, 1}, Classes: 3}, 61111},
		{"lenet", ArchitectureOptions{Input: Shape{32, 32, 3}, Classes: 3}, 61411},
		{"mlp", ArchitectureOptions{Input: gray, Classes: 10}, 784*512 + 2*512 + 512*512 + 2*512 + 512*10 + 10},
		{"mlp", ArchitectureOptions{Input: gray, Classes: 10, Width: 7, Depth: 1, Norm: "none"}, 785*7 + 80},
		{"mlp", ArchitectureOptions{Input: gray, Classes: 10, Width: 32, Norm: "group", FeatureDim: 10}, 784*32 + 64 + 32*10 + 20 + 110},
		{"cnn", ArchitectureOptions{Input: gray, Classes: 10}, 32*10 + 64*(32*9+1) + 128*(14*14*64+1) + 10*129},
		{"cnn_linear", ArchitectureOptions{Input: gray, Classes: 10}, 16*26 + 32*(16*25+1) + 256*(7*7*32+1) + 2*256 + 32*257 + 10*33},
		{"vgg11", ArchitectureOptions{Input: colour, Classes: 10}, 9231114},
		{"vgg13", ArchitectureOptions{Input: colour, Classes: 10}, 9416010},
		{"vgg16", ArchitectureOptions{Input: colour, Classes: 10}, 14728266},
		{"resnet18", ArchitectureOptions{Input: colour, Classes: 10}, 11173962},
		{"resnet34", ArchitectureOptions{Input: colour, Classes: 10}, 21282122},
		{"resnet50", ArchitectureOptions{Input: colour, Classes: 10}, 23520842},
	} {
		a, err := Build(c.name, c.o)
		if err != nil {
			t.Fatal(err)
		}
		d, err := sketch[float32](a, 1)
		if err != nil {
			t.Fatal(err)
		}
		if d.params != c.want {
			t.Errorf("%s has %d parameters, want %d", c.name, d.params, c.want)
		}
	}
}

func TestFeatureDimension(t *testing.T) {
	for _, name := range Architectures() {
		a, err := Build(name, ArchitectureOptions{Input: Shape{32, 32, 1}, Classes: 4, FeatureDim: 5})
		if err != nil {
			t.Fatal(err)
		}
		net, err := New[float32](a, 2)
		if err != nil {
			t.Fatal(err)
		}
		taps := net.Taps()
		if last := taps[len(taps)-1]; last.Name != "features" || last.Dim != 5 {
			t.Errorf("%s: the last tap is %v, want 5 features", name, last)
		}
		if w, b, k, d := net.Classifier(); len(w) != 20 || len(b) != 4 || k != 4 || d != 5 {
			t.Errorf("%s: classifier of %d x %d", name, k, d)
		}
	}
}

func TestRefusals(t *testing.T) {
	image := Shape{8, 8, 3}
	for _, c := range []struct {
		name string
		o    ArchitectureOptions
		want string
	}{
		{"resnet19", ArchitectureOptions{Input: image, Classes: 2}, `no architecture "resnet19"; did you mean resnet18?`},
		{"mlp", ArchitectureOptions{Input: image}, "mlp: 0 classes"},
		{"mlp", ArchitectureOptions{Input: image, Classes: 2, Width: -1}, "width -1"},
		{"mlp", ArchitectureOptions{Classes: 2}, "input of shape 0x0x0"},
		{"mlp", ArchitectureOptions{Input: image, Classes: 2, Width: 1 << 40}, "l1 has 1099511627776 outputs"},
		{"mlp", ArchitectureOptions{Input: Shape{256, 256, 3}, Classes: 2, Width: 1 << 16}, "l1 has 65536 x 196608 weights"},
		{"vgg11", ArchitectureOptions{Input: image, Classes: 2, Depth: 3}, "the name of this architecture says its depth"},
		{"lenet", ArchitectureOptions{Input: image, Classes: 2, Width: 3}, "fixed widths"},
		{"lenet", ArchitectureOptions{Input: image, Classes: 2}, "conv2: convolution: the kernel of 5 x 5 is larger than the input of 2 x 2"},
		{"vgg11", ArchitectureOptions{Input: image, Classes: 2}, "pooling window 2 x 2 is larger than 1 x 1"},
		{"cnn", ArchitectureOptions{Input: image, Classes: 2, Norm: "bach"}, `no normalisation "bach", there are batch, group, none; did you mean batch?`},
	} {
		a, err := Build(c.name, c.o)
		if err == nil {
			_, err = New[float32](a, 2)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: %v, want %q", c.name, c.o, err, c.want)
		}
	}
	head := Dense{Name: "fc", Out: 2}
	for _, c := range []struct {
		layers []Layer
		head   Layer
		want   string
	}{
		{nil, head, "the head takes a vector, but the layer before it gives 8x8x3"},
		{[]Layer{Flatten{}}, nil, "no head"},
		{[]Layer{Flatten{}}, ReLU{}, "is no head"},
		{[]Layer{nil}, head, "layer 0 is nil"},
		{[]Layer{Dense{Name: "a", Out: 2}}, head, "a takes a vector, not an image 8x8x3: flatten or pool before it"},
		{[]Layer{Flatten{}, Dense{Name: "fc", Out: 2}}, head, "two tensors have the name fc.weight"},
		{[]Layer{Residual{Body: []Layer{Conv{Name: "c", Out: 2, Kernel: 1}}}}, head, "a residual block adds 8x8x2 and 8x8x3"},
		{[]Layer{Dropout{P: 1}}, head, "probability 1"},
		{[]Layer{Conv{Name: "c", Out: 2, Kernel: 1, Groups: 2}}, head, "2 groups do not divide 3 input"},
	} {
		_, err := New[float32](Architecture{Name: "test", Input: image, Layers: c.layers, Head: c.head}, 2)
		if err == nil || !strings.HasPrefix(err.Error(), "nn: test: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.layers, err, c.want)
		}
	}
}

func TestInit(t *testing.T) {
	a := Architecture{Name: "test", Input: Shape{6, 6, 4}, Layers: []Layer{
		Conv{Name: "c", Out: 64, Kernel: 3, Bias: true}, BatchNorm{Name: "n"}, ReLU{}, Flatten{},
		Dense{Name: "f", Out: 50, Bias: true}, ReLU{}}, Head: Dense{Name: "fc", Out: 10, Bias: true}}
	net, err := New[float64](a, 1)
	if err != nil {
		t.Fatal(err)
	}
	fan := map[string][2]float64{"c": {36, 576}, "f": {1024, 50}, "fc": {50, 10}} // in, out
	for _, c := range []struct {
		scheme string
		sd     func(in, out float64) float64
		limit  func(in, out float64) float64 // of uniform numbers
		bias   float64                       // sd times sqrt(3 fan_in)
	}{
		{"pytorch", func(in, _ float64) float64 { return math.Sqrt(1 / in / 3) }, func(in, _ float64) float64 { return math.Sqrt(1 / in) }, 1},
		{"scaled:0.5", func(in, _ float64) float64 { return math.Sqrt(1/in/3) / 2 }, func(in, _ float64) float64 { return math.Sqrt(1/in) / 2 }, 0.5},
		{"kaiming", func(in, _ float64) float64 { return math.Sqrt(2 / in) }, nil, 0},
		{"xavier", func(in, out float64) float64 { return math.Sqrt(2 / (in + out)) }, func(in, out float64) float64 { return math.Sqrt(6 / (in + out)) }, 0},
		{"orthogonal", nil, nil, 0},
	} {
		if err := net.Init(c.scheme, 4); err != nil {
			t.Fatal(err)
		}
		for _, tensor := range net.Tensors() {
			x := get(t, tensor)
			module, part, _ := strings.Cut(tensor.Name, ".")
			in, out := fan[module][0], fan[module][1]
			var sum, square, largest float64
			for _, v := range x {
				sum += v
				square += v * v
				largest = max(largest, math.Abs(v))
			}
			n := float64(len(x))
			sd := math.Sqrt(square / n)
			// Five standard errors of a mean and of a standard deviation.
			near := func(want float64) bool {
				return math.Abs(sd-want) <= 5*want/math.Sqrt(2*n) && math.Abs(sum/n) <= 5*want/math.Sqrt(n)
			}
			switch {
			case tensor.Kind == Norm && part == "weight", part == "running_var":
				if sum != n || square != n {
					t.Errorf("%s: %s is not 1", c.scheme, tensor.Name)
				}
			case tensor.Kind == Norm, tensor.Kind == Statistic:
				if square != 0 {
					t.Errorf("%s: %s is not 0", c.scheme, tensor.Name)
				}
			case tensor.Kind == Bias:
				if !near(c.bias * math.Sqrt(1/in/3)) {
					t.Errorf("%s: %s has standard deviation %g", c.scheme, tensor.Name, sd)
				}
			case c.sd != nil:
				if !near(c.sd(in, out)) {
					t.Errorf("%s: %s has standard deviation %g, want %g", c.scheme, tensor.Name, sd, c.sd(in, out))
				}
				if c.limit != nil && largest > c.limit(in, out) {
					t.Errorf("%s: %s reaches %g, want at most %g", c.scheme, tensor.Name, largest, c.limit(in, out))
				}
			default:
				gain := 2.0
				if module == "fc" {
					gain = 1
				}
				checkOrthogonal(t, tensor.Name, tensor.Shape[0], x, gain)
			}
		}
	}
	for scheme, want := range map[string]string{
		"kaimin":    `no initialisation "kaimin"; did you mean kaiming?`,
		"scaled":    "a factor belongs to scaled",
		"scaled:0":  "the factor must be a positive number",
		"xavier:2":  "a factor belongs to scaled",
		"scaled:1x": "the factor must be a positive number",
	} {
		if err := net.Init(scheme, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", scheme, err, want)
		}
	}
	// The same seed gives the same numbers, another seed others.
	fill := func(seed uint64) float64 {
		if err := net.Init("", seed); err != nil {
			t.Fatal(err)
		}
		return net.Params[0]
	}
	if one := fill(1); one != fill(1) || one == fill(2) {
		t.Error("the parameters do not follow the seed")
	}
}

// checkOrthogonal checks that the shorter of rows and columns are orthogonal, of squared length gain.
func checkOrthogonal(t *testing.T, name string, m int, x []float64, gain float64) {
	t.Helper()
	n := len(x) / m
	if m > n {
		m, n, x = n, m, transposed(m, n, x)
	}
	for i := range m {
		for j := range i + 1 {
			var dot, want float64
			for k := range n {
				dot += x[i*n+k] * x[j*n+k]
			}
			if i == j {
				want = gain
			}
			if math.Abs(dot-want) > 1e-10 {
				t.Fatalf("%s: vectors %d and %d have the product %g, want %g", name, i, j, dot, want)
			}
		}
	}
}

func TestTensorLengths(t *testing.T) {
	net, x, _ := trainable[float32](t, "mlp", ArchitectureOptions{Input: Shape{2, 2, 1}, Classes: 2, Width: 3}, 2)
	w := net.Tensors()[0]
	if err := w.Get(make([]float32, 5)); err == nil || err.Error() != "nn: l1.weight has 12 elements, not 5" {
		t.Error(err)
	}
	if err := w.Set(x[:5]); err == nil || err.Error() != "nn: l1.weight has 12 elements, not 5" {
		t.Error(err)
	}
}

// Dropout is a function of seed, step and place, keeps the mean, and does nothing in evaluation.
func TestDropout(t *testing.T) {
	a := Architecture{Name: "test", Input: Vector(30000), Layers: []Layer{Dropout{P: 0.25}}, Head: Dense{Name: "fc", Out: 1}}
	net, err := New[float64](a, 2)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, 2*30000)
	for i := range x {
		x[i] = 3
	}
	drop := func(seed, step uint64, m Mode) (zeros int, pattern uint64) {
		net.Step(seed, step)
		net.Forward(x, 2, m)
		for i, v := range net.Output(0) {
			switch {
			case v == 0:
				zeros++
				pattern = pattern*31 + uint64(i)
			case m == Train && v != 4 || m == Evaluate && v != 3:
				t.Fatalf("3 became %v", v)
			}
		}
		return zeros, pattern
	}
	zeros, first := drop(1, 1, Train)
	if math.Abs(float64(zeros)-15000) > 5*math.Sqrt(60000*0.25*0.75) {
		t.Errorf("%d zeros, want about 15000", zeros)
	}
	if _, again := drop(1, 1, Train); again != first {
		t.Error("the same seed and step give another pattern")
	}
	for _, other := range [][2]uint64{{1, 2}, {2, 1}} {
		if _, p := drop(other[0], other[1], Train); p == first {
			t.Errorf("seed and step %v give the same pattern", other)
		}
	}
	if zeros, _ := drop(1, 1, Evaluate); zeros != 0 {
		t.Error("dropout in evaluation")
	}
}
