package train

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/dataset"
	"github.com/collapsar/collapsar/nn"
)

// Six steps of every optimiser go where PyTorch's go (testdata/make_optimizers.py).
func TestOptimizers(t *testing.T) {
	data, err := os.ReadFile("testdata/optimizers.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for name, raw := range all {
		if strings.HasPrefix(name, "_") {
			continue
		}
		var c struct {
			Options struct {
				LR, Momentum, Eps float64
				Decay             float64 `json:"weight_decay"`
				Betas             []float64
				Nesterov          bool
			}
			W []float64
		}
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		o := Default().Optimizer
		o.Name, o.LR, o.Momentum, o.WeightDecay, o.Nesterov = "sgd", c.Options.LR, c.Options.Momentum, c.Options.Decay, c.Options.Nesterov
		for _, kind := range []string{"adamw", "adam"} {
			if strings.HasPrefix(name, kind) {
				o.Name = kind
				break
			}
		}
		if c.Options.Betas != nil {
			o.Beta1, o.Beta2 = c.Options.Betas[0], c.Options.Betas[1]
		}
		if c.Options.Eps != 0 {
			o.Epsilon = c.Options.Eps
		}
		a := nn.Architecture{Input: nn.Vector(5), Head: nn.Dense{Name: "fc", Out: 1}}
		net, err := nn.New[float64](a, 1)
		if err != nil {
			t.Fatal(err)
		}
		copy(net.Params, []float64{-1, -0.5, 0, 0.5, 1})
		s := newOptimizer(net, o)
		for step := range 6 {
			for i, w := range net.Params {
				net.Grads[i] = math.Sin(float64(3*step+i)) + w*w/2
			}
			s.step(net.Params, net.Grads, o.LR)
		}
		for i, want := range c.W {
			if got := net.Params[i]; math.Abs(got-want) > 1e-13 {
				t.Errorf("%s: %v, PyTorch has %v", name, net.Params, c.W)
				break
			}
		}
	}
}

// Every parameter decays as it should, and none twice.
func TestDecays(t *testing.T) {
	set, err := dataset.Open("geomnist:train=3,test=0", dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	head := 0.25
	for name, c := range map[string]struct {
		o    Optimizer
		want func(nn.Tensor[float64]) float64
	}{
		"all":        {Optimizer{Decay: "all", WeightDecay: 1}, func(nn.Tensor[float64]) float64 { return 1 }},
		"weights":    {Optimizer{Decay: "weights", WeightDecay: 1}, func(t nn.Tensor[float64]) float64 { return map[bool]float64{true: 1}[t.Kind == nn.Weight] }},
		"classifier": {Optimizer{Decay: "all", ClassifierDecay: &head}, func(t nn.Tensor[float64]) float64 { return map[bool]float64{true: head}[t.Name == "fc.weight"] }},
	} {
		net, err := network[float64](&Model{Name: "mlp", Width: 7, Depth: 2, Head: nn.HeadSpec{Name: "linear"}, Init: "pytorch"}, set, 0, 2)
		if err != nil {
			t.Fatal(err)
		}
		c.o.Name = "sgd"
		got := make([]float64, len(net.Params))
		for _, b := range newOptimizer(net, c.o).blocks {
			for i := b.lo; i < b.hi; i++ {
				if got[i] != 0 {
					t.Errorf("%s: parameter %d decays twice", name, i)
				}
				got[i] = b.decay
			}
		}
		for _, tensor := range net.Tensors() {
			if !tensor.Trainable {
				continue
			}
			for i := range tensor.Len() {
				if want := c.want(tensor); got[tensor.Offset+i] != want {
					t.Fatalf("%s: %s decays by %v, wanted %v", name, tensor.Name, got[tensor.Offset+i], want)
				}
			}
		}
	}
}

// L-BFGS finds the minimum of a convex loss, logistic regression with decay, where the gradient is zero.
func TestLBFGS(t *testing.T) {
	const n, d, k = 40, 6, 3
	a := nn.Architecture{Input: nn.Vector(d), Head: nn.Dense{Name: "fc", Out: k, Bias: true}}
	net, err := nn.New[float64](a, n)
	if err != nil {
		t.Fatal(err)
	}
	loss, err := nn.NewLoss[float64](nn.LossSpec{Name: "ce"})
	if err != nil {
		t.Fatal(err)
	}
	x, b := make([]float64, n*d), nn.Batch[float64]{Rows: n, Classes: k, DLogits: make([]float64, n*k), Labels: make([]int32, n)}
	for i := range x {
		x[i] = math.Sin(float64(i * i))
	}
	for i := range b.Labels {
		b.Labels[i] = int32(i % k)
	}
	s := newOptimizer(net, Optimizer{Name: "lbfgs", Decay: "all", WeightDecay: 1e-2, Iterations: 200, History: 10})
	value := func() float64 {
		b.Logits = net.Forward(x, n, nn.Train)
		v := loss.Value(&b)
		net.Backward(b.DLogits, nil)
		return v
	}
	r := s.minimise(t.Context(), net.Params, net.Grads, value)
	value()
	norm := 0.0
	for i, g := range net.Grads {
		g += 1e-2 * net.Params[i]
		norm += g * g
	}
	if norm = math.Sqrt(norm); norm > 1e-9 || r.Iterations < 5 { // optimize stops at 1e-10
		t.Errorf("the gradient's norm is %v after %d steps", norm, r.Iterations)
	}
}

// A row with several tags is wrong when one of them has not a larger logit than every other.
func TestWrongRows(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		logits []float64
		tags   []float64
		label  int32
		wrong  int
	}{
		{[]float64{3, 1, 2}, nil, 0, 0}, {[]float64{3, 1, 2}, nil, 2, 1}, {[]float64{2, 2, 1}, nil, 0, 0}, {[]float64{2, 2, 1}, nil, 1, 1}, {[]float64{nan, 0, 0}, nil, 0, 1},
		{[]float64{3, 1, 2}, []float64{1, 0, 1}, 0, 0}, {[]float64{3, 1, 2}, []float64{1, 1, 0}, 0, 1}, {[]float64{2, 2, 1}, []float64{1, 0, 0}, 0, 1},
		{[]float64{2, 2, 1}, []float64{0, 0, 0}, 0, 0}, {[]float64{2, 2, 1}, []float64{1, 1, 1}, 0, 0}, {[]float64{nan, 2, 1}, []float64{1, 0, 0}, 0, 1},
	} {
		b := &nn.Batch[float64]{Rows: 1, Classes: 3, Logits: c.logits, Tags: c.tags}
		if c.tags == nil {
			b.Labels = []int32{c.label}
		}
		if got := wrongRows(b); got != c.wrong {
			t.Errorf("%v, tags %v, label %d: %d wrong", c.logits, c.tags, c.label, got)
		}
	}
}

// Class weights, oversampling and logit adjustment reach the loss; float64 and float32 go the same way at first.
func TestClassesOfUnequalSize(t *testing.T) {
	c := small()
	c.Data.PerClass, c.Data.Majority, c.Data.Ratio, c.Epochs = 40, 1, 8, 2
	losses := map[string]float64{}
	for name, set := range map[string]func(*Config){
		"plain":      func(*Config) {},
		"weights":    func(c *Config) { c.Data.ClassWeights = "inverse_frequency" },
		"oversample": func(c *Config) { c.Data.Sampler = "oversample" },
		"adjustment": func(c *Config) { c.Loss.Adjustment = 1 },
		"double":     func(c *Config) { c.DType = "float64" },
	} {
		one := c
		set(&one)
		r := train(t, t.Context(), one, Options{}).Runs[0]
		losses[name] = r.Train.Loss
		if !slices.Equal(r.MeasuredEpochs, []int{0, 1, 2}) {
			t.Errorf("%s: measured %v", name, r.MeasuredEpochs)
		}
	}
	for name, v := range losses {
		if same := math.Abs(v-losses["plain"]) < 1e-3; same != (name == "plain" || name == "double") {
			t.Errorf("%s: loss %v, plain %v", name, v, losses["plain"])
		}
	}
}
