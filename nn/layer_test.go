package nn

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/random"
)

// A bench is a few layers by themselves, whose input has a gradient.
type bench[T Float] struct {
	nodes          []node[T]
	in, out        *value[T]
	input, slope   *buffer[T]
	params, grads  []T
	stats          []T
	dx, dy, output []T // of the last pass
}

func newBench[T Float](t testing.TB, layers []Layer, in Shape, rows int) *bench[T] {
	t.Helper()
	b := &builder[T]{rows: rows, key: &key{}, seen: map[string]bool{}}
	s := &bench[T]{in: &value[T]{shape: in, data: &buffer[T]{}}, slope: &buffer[T]{}}
	s.input = s.in.data
	out, err := b.sequence(layers, s.in)
	if err != nil {
		t.Fatal(err)
	}
	s.nodes, s.out = b.nodes, out
	s.params, s.grads, s.stats = make([]T, b.params), make([]T, b.params), make([]T, b.stats)
	for _, bind := range b.binds {
		bind(s.params, s.grads, s.stats)
	}
	for _, tensor := range b.tensors {
		to := s.params
		if tensor.Kind == Statistic {
			to = s.stats
		}
		for i := range tensor.Len() {
			to[tensor.Offset+i] = tensor.start
		}
	}
	lay(s.nodes, rows, s.input, s.slope)
	return s
}

func (s *bench[T]) forward(x []T, n int, m Mode) []T {
	s.input.memory = x
	for _, nd := range s.nodes {
		nd.op.forward(n, m)
	}
	return s.out.rows(n)
}

func (s *bench[T]) backward(dy []T, n int) []T {
	s.slope.memory = dy
	for _, nd := range slices.Backward(s.nodes) {
		nd.op.backward(n)
	}
	return s.in.grad(n)
}

func normal[T Float](n int, stream uint64, mean, deviation float64) []T {
	r := random.New(11, stream)
	x := make([]T, n)
	for i := range x {
		x[i] = T(mean + deviation*r.NormFloat64())
	}
	return x
}

// single are the layers of this file, each in a form whose every path is used.
var single = map[string][]Layer{
	"batch norm":           {BatchNorm{Name: "n"}},
	"batch norm and ReLU":  {BatchNorm{Name: "n"}, ReLU{}},
	"group norm":           {GroupNorm{Name: "n", Groups: 3}},
	"group norm and ReLU":  {GroupNorm{Name: "n", Groups: 2}, ReLU{}},
	"layer norm":           {GroupNorm{Name: "n", Groups: 1}},
	"max":                  {MaxPool{Kernel: 2}},
	"overlapping max":      {MaxPool{Kernel: 3, Stride: 2, Pad: 1}},
	"ReLU and max":         {ReLU{}, MaxPool{Kernel: 2}},
	"average":              {AveragePool{Kernel: 2}},
	"overlapping average":  {AveragePool{Kernel: 3, Stride: 1, Pad: 1}},
	"global average":       {GlobalAveragePool{}},
	"ReLU":                 {ReLU{}},
	"leaky":                {LeakyReLU{}},
	"ELU":                  {ELU{Alpha: 0.7}},
	"GELU":                 {GELU{}},
	"SiLU":                 {SiLU{}},
	"sigmoid":              {Sigmoid{}},
	"tanh":                 {Tanh{}},
	"two after each other": {SiLU{}, BatchNorm{Name: "n"}, Tanh{}, GroupNorm{Name: "m", Groups: 6}, ReLU{}, AveragePool{Kernel: 2}},
}

// Gradients of parameters and of the input against central differences.
func TestLayerGradients(t *testing.T) {
	shape, n := Shape{4, 5, 6}, 3
	for name, layers := range single {
		t.Run(name, func(t *testing.T) {
			s := newBench[float64](t, layers, shape, n+1)
			copy(s.params, normal[float64](len(s.params), 1, 0.5, 1))
			x := normal[float64](n*shape.Size(), 2, 0.3, 2)
			dy := normal[float64](n*s.out.shape.Size(), 3, 0, 1)
			loss := func() (sum float64) {
				for i, v := range s.forward(x, n, Train) {
					sum += v * dy[i]
				}
				return sum
			}
			loss()
			dx := slices.Clone(s.backward(dy, n))
			grads := slices.Clone(s.grads)
			check := func(what string, at, gradient []float64) {
				for i := range at {
					want := 0.0
					for _, h := range []float64{1e-5, 1e-6, 1e-7} { // shorter where a kink lies in between
						old := at[i]
						at[i] = old + h
						up := loss()
						at[i] = old - h
						want = (up - loss()) / (2 * h)
						at[i] = old
						if math.Abs(gradient[i]-want) <= 1e-6*math.Max(1, math.Abs(want)) {
							break
						}
					}
					if math.Abs(gradient[i]-want) > 1e-6*math.Max(1, math.Abs(want)) {
						t.Errorf("%s %d: gradient %g, difference %g", what, i, gradient[i], want)
					}
				}
			}
			check("input", x, dx)
			check("parameter", s.params, grads)
		})
	}
}

// float32 gives what float64 gives, at sizes that enter every loop; neither the number of workers nor a second pass
// changes a bit, and nothing is allocated.
func TestLayersInFloat32(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, layers := range single {
		for _, shape := range []Shape{{9, 8, 6}, {12, 12, 24}, {3, 4, 300}} {
			t.Run(fmt.Sprintf("%s %v", name, shape), func(t *testing.T) {
				const n = 17
				x := normal[float32](n*shape.Size(), 2, 0.3, 2)
				run := func(workers int) (y, dx, grads, stats, dy []float32) {
					runtime.GOMAXPROCS(workers)
					s := newBench[float32](t, layers, shape, n)
					copy(s.params, normal[float32](len(s.params), 1, 0.5, 1))
					dy = normal[float32](n*s.out.shape.Size(), 3, 0, 1)
					y = slices.Clone(s.forward(x, n, Train))
					stats = slices.Clone(s.stats)
					dx = slices.Clone(s.backward(dy, n))
					grads = slices.Clone(s.grads)
					if again := s.forward(x, n, Train); !slices.Equal(again, y) {
						t.Error("a second forward pass gives other bits")
					}
					if again := s.backward(dy, n); !slices.Equal(again, dx) || !slices.Equal(s.grads, grads) {
						t.Error("a second backward pass gives other bits")
					}
					if workers == 1 && !raced {
						if a := testing.AllocsPerRun(5, func() { s.forward(x, n, Train); s.backward(dy, n); s.forward(x, n, Evaluate) }); a != 0 {
							t.Errorf("%v allocations", a)
						}
					}
					return y, dx, grads, stats, dy
				}
				y, dx, grads, stats, dy := run(1)
				for _, workers := range []int{2, 5} {
					y2, dx2, grads2, stats2, _ := run(workers)
					if !slices.Equal(y, y2) || !slices.Equal(dx, dx2) || !slices.Equal(grads, grads2) || !slices.Equal(stats, stats2) {
						t.Errorf("%d workers give other bits than one", workers)
					}
				}
				wide := newBench[float64](t, layers, shape, n)
				copy(wide.params, widened(normal[float32](len(wide.params), 1, 0.5, 1)))
				// Where float32 falls on the other side of a kink than float64 the derivative jumps: such places are few,
				// and the gradients are compared at the float64 signs only if there are none.
				near(t, "output", y, wide.forward(widened(x), n, Train), 2e-6)
				kinks := disagree(y, wide.out.rows(n))
				wdx := wide.backward(widened(dy), n)
				if kinks == 0 {
					near(t, "gradient of the input", dx, wdx, 5e-6)
					near(t, "gradient of the parameters", grads, wide.grads, 2e-5)
				} else if kinks > 5 {
					t.Errorf("%d outputs have another sign than in float64", kinks)
				}
				near(t, "statistics", stats, wide.stats, 2e-6)
			})
		}
	}
}

// disagree counts the places where just one of two numbers is 0.
func disagree(x []float32, y []float64) (n int) {
	for i := range x {
		if (x[i] == 0) != (y[i] == 0) {
			n++
		}
	}
	return n
}

func widened(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// near compares relative to the root mean square of what is wanted, times 10.
func near(t *testing.T, what string, got []float32, want []float64, tolerance float64) {
	t.Helper()
	size := 0.0
	for _, v := range want {
		size += v * v
	}
	size = 10 * math.Sqrt(size/float64(max(1, len(want))))
	for i, v := range got {
		if !(math.Abs(float64(v)-want[i]) <= tolerance*(size+math.Abs(want[i]))) {
			t.Errorf("%s: element %d is %v, want %v", what, i, v, want[i])
			return
		}
	}
}

// A batch norm of float32 features far from 0, which a pass with sums of squares would spoil.
func TestNormsAtLargeMean(t *testing.T) {
	shape, n := Shape{8, 8, 16}, 32
	for name, layer := range map[string]Layer{"batch": BatchNorm{Name: "n"}, "group": GroupNorm{Name: "n", Groups: 4}} {
		x := normal[float32](n*shape.Size(), 4, 1e4, 1)
		dy := normal[float32](n*shape.Size(), 5, 0, 1)
		narrow, wide := newBench[float32](t, []Layer{layer}, shape, n), newBench[float64](t, []Layer{layer}, shape, n)
		near(t, name+", output", narrow.forward(x, n, Train), wide.forward(widened(x), n, Train), 1e-6)
		near(t, name+", gradient", narrow.backward(dy, n), wide.backward(widened(dy), n), 1e-6)
		near(t, name+", statistics", narrow.stats, wide.stats, 1e-6)
		near(t, name+", evaluation", narrow.forward(x, n, Evaluate), wide.forward(widened(x), n, Evaluate), 1e-6)
	}
}

// The statistics of a batch norm by their definition, in two batches of different size.
func TestBatchNormStatistics(t *testing.T) {
	shape := Shape{3, 2, 5}
	s := newBench[float64](t, []Layer{BatchNorm{Name: "n"}}, shape, 7)
	mean, variance := make([]float64, 5), []float64{1, 1, 1, 1, 1}
	for step, n := range []int{7, 4} {
		x := normal[float64](n*shape.Size(), uint64(step), 3, 2)
		y := s.forward(x, n, Train)
		rows := float64(n * 6)
		for j := range 5 {
			m, v := 0.0, 0.0
			for i := j; i < len(x); i += 5 {
				m += x[i] / rows
			}
			for i := j; i < len(x); i += 5 {
				v += (x[i] - m) * (x[i] - m) / rows
			}
			for i := j; i < len(x); i += 5 {
				if want := (x[i] - m) / math.Sqrt(v+1e-5); math.Abs(y[i]-want) > 1e-12 {
					t.Fatalf("step %d: output %d is %v, want %v", step, i, y[i], want)
				}
			}
			mean[j] += 0.1 * (m - mean[j])
			variance[j] += 0.1 * (v*rows/(rows-1) - variance[j])
			if math.Abs(s.stats[j]-mean[j]) > 1e-13 || math.Abs(s.stats[5+j]-variance[j]) > 1e-13 {
				t.Errorf("step %d, channel %d: running %v and %v, want %v and %v", step, j, s.stats[j], s.stats[5+j], mean[j], variance[j])
			}
		}
	}
	if s.stats[10] != 2 {
		t.Errorf("%v batches tracked, want 2", s.stats[10])
	}
	x := normal[float64](shape.Size(), 9, 3, 2)
	for i, v := range s.forward(x, 1, Evaluate) {
		if want := (x[i] - mean[i%5]) / math.Sqrt(variance[i%5]+1e-5); math.Abs(v-want) > 1e-12 {
			t.Errorf("evaluation: output %d is %v, want %v", i, v, want)
		}
	}
}

// One vector in training: no variance, no NaN.
func TestBatchNormOfOneRow(t *testing.T) {
	s := newBench[float32](t, []Layer{BatchNorm{Name: "n"}}, Vector(3), 1)
	copy(s.params[3:], []float32{5, 6, 7})
	if y := s.forward([]float32{1, 2, 3}, 1, Train); !slices.Equal(y, []float32{5, 6, 7}) {
		t.Errorf("output %v, want the bias", y)
	}
	if v := s.stats[3:6]; !slices.Equal(v, []float32{1, 1, 1}) {
		t.Errorf("running variance %v, want it as it was", v)
	}
	for _, d := range s.backward([]float32{1, 2, 3}, 1) { // 3/sqrt(1e-5) less itself, rounded
		if !(math.Abs(float64(d)) <= 3*316*0x1p-23) {
			t.Errorf("gradient %v, want 0", d)
		}
	}
}

// Small numbers keep their digits in tanh, large ones do not overflow.
func TestTanhAccuracy(t *testing.T) {
	var x []float64
	for e := -30.0; e < 8; e += 0.01 {
		x = append(x, math.Exp2(e), -math.Exp2(e))
	}
	x = append(x, 0, math.Inf(1), math.Inf(-1))
	y, narrow := make([]float64, len(x)), make([]float32, len(x))
	kernel.Tanh(y, x)
	for i, v := range x {
		narrow[i] = float32(v)
	}
	kernel.Tanh(narrow, narrow)
	for i, v := range x {
		if want := math.Tanh(v); math.Abs(y[i]-want) > 4e-15*math.Abs(want) {
			t.Errorf("tanh(%v) = %v, want %v", v, y[i], want)
		}
		if want := math.Tanh(float64(float32(v))); math.Abs(float64(narrow[i])-want) > 4e-7*math.Abs(want) {
			t.Errorf("float32 tanh(%v) = %v, want %v", v, narrow[i], want)
		}
	}
}

// Single layers give PyTorch's outputs, gradients and statistics.
func TestLayersAgainstPyTorch(t *testing.T) {
	file, err := os.ReadFile("testdata/norms.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Layer             string
		Options           json.RawMessage
		Input, Output     [3]int
		Offset            float64
		Forward, Backward float64
		Weight, Bias      float64
		Mean, Variance    float64
		Batches           float64
		Evaluated         float64
	}
	if err := json.Unmarshal(file, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Layer+string(c.Options), func(t *testing.T) {
			layer, err := layerNamed(c.Layer, c.Options)
			if err != nil {
				t.Fatal(err)
			}
			const n = 5
			shape := Shape{c.Input[0], c.Input[1], c.Input[2]}
			s := newBench[float64](t, []Layer{layer}, shape, n)
			if want := (Shape{c.Output[0], c.Output[1], c.Output[2]}); s.out.shape != want {
				t.Fatalf("output of shape %v, want %v", s.out.shape, want)
			}
			near := func(what string, got, want float64) {
				t.Helper()
				// The digests have 12 digits; at an offset of 10,000 the features themselves have four less.
				if math.Abs(got-want) > (1e-10+1e-13*c.Offset)*math.Max(1, math.Abs(want)) {
					t.Errorf("%s is %.12g, PyTorch has %.12g", what, got, want)
				}
			}
			channels := shape.Channels
			if len(s.params) > 0 {
				copy(s.params, fill(100, channels))
				copy(s.params[channels:], fill(101, channels))
			}
			x := fill(2, n*shape.Size())
			for i := range x {
				x[i] = 3*x[i] + c.Offset
			}
			near("output", digest(s.forward(x, n, Train)), c.Forward)
			near("gradient of the input", digest(s.backward(fill(3, n*s.out.shape.Size()), n)), c.Backward)
			if len(s.params) > 0 {
				near("gradient of the weight", digest(s.grads[:channels]), c.Weight)
				near("gradient of the bias", digest(s.grads[channels:]), c.Bias)
			}
			if len(s.stats) > 0 {
				near("running mean", digest(s.stats[:channels]), c.Mean)
				near("running variance", digest(s.stats[channels:2*channels]), c.Variance)
				near("number of batches", s.stats[2*channels], c.Batches)
				near("output in evaluation", digest(s.forward(x, n, Evaluate)), c.Evaluated)
			}
		})
	}
}

// layerNamed is a layer of make_norms.py.
func layerNamed(name string, options json.RawMessage) (l Layer, err error) {
	switch name {
	case "batch":
		l, err = read[BatchNorm](options)
	case "group":
		l, err = read[GroupNorm](options)
	case "max":
		l, err = read[MaxPool](options)
	case "average":
		l, err = read[AveragePool](options)
	case "global":
		l = GlobalAveragePool{}
	case "relu":
		l = ReLU{}
	case "leaky":
		l, err = read[LeakyReLU](options)
	case "elu":
		l, err = read[ELU](options)
	case "gelu":
		l = GELU{}
	case "silu":
		l = SiLU{}
	case "sigmoid":
		l = Sigmoid{}
	case "tanh":
		l = Tanh{}
	default:
		err = fmt.Errorf("no layer %q", name)
	}
	return l, err
}

func read[L Layer](options json.RawMessage) (Layer, error) {
	var l L
	err := json.Unmarshal(options, &l)
	return l, err
}

// Options that make no sense are refused when a network is made.
func TestLayerErrors(t *testing.T) {
	for _, l := range []Layer{
		GroupNorm{Groups: 0}, GroupNorm{Groups: 4}, GroupNorm{Groups: 3, Epsilon: -1}, BatchNorm{Momentum: 2}, BatchNorm{Epsilon: -1},
		MaxPool{}, MaxPool{Kernel: 7}, MaxPool{Kernel: 2, Stride: -1}, AveragePool{Kernel: 2, Pad: 2}, LeakyReLU{Slope: -1}, ELU{Alpha: -1},
	} {
		b := &builder[float32]{rows: 1, key: &key{}, seen: map[string]bool{}}
		if _, err := b.sequence([]Layer{l}, &value[float32]{shape: Shape{5, 5, 6}}); err == nil {
			t.Errorf("%#v: no error", l)
		}
	}
}
