package train

import (
	"context"
	"fmt"
	"math"

	"github.com/collapsar/collapsar/features/safetensors"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/optimize"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/nn"
)

// Optimizers are the names: sgd with momentum (Polyak 1964) or Nesterov's; adam (Kingma and Ba 2015) and adamw (Loshchilov and
// Hutter 2019), all as PyTorch defines them; and lbfgs, which takes a large batch, or all rows, and minimises its loss by a number of
// steps of the limited-memory method (Liu and Nocedal 1989) with strong Wolfe conditions, before it goes on to the next batch.
func Optimizers() []string { return []string{"sgd", "adam", "adamw", "lbfgs"} }

// A segment is a range of the parameters that decays alike.
type segment struct {
	lo, hi int
	decay  float64
}

// segments divides the parameters of a network by their weight decay. Neighbours that decay alike are one.
func segments[T nn.Float](net *nn.Network[T], o *Optimizer) (out []segment) {
	head := headWeights(net)
	for _, t := range net.Tensors() {
		if !t.Trainable {
			continue
		}
		decay := o.WeightDecay
		switch {
		case t.Name == head:
			decay = o.classifierDecay()
		case o.Decay == "weights" && t.Kind != nn.Weight:
			decay = 0
		}
		s := segment{t.Offset, t.Offset + t.Len(), decay}
		if n := len(out); n > 0 && out[n-1].decay == decay && out[n-1].hi == s.lo {
			out[n-1].hi = s.hi
			continue
		}
		out = append(out, s)
	}
	return out
}

// headWeights is the name of the weights that the head multiplies the features with, "" if they are not trained.
func headWeights[T nn.Float](net *nn.Network[T]) string {
	w, _, _, _ := net.Classifier()
	for _, t := range net.Tensors() {
		if t.Trainable && t.Kind == nn.Weight && len(w) == t.Len() && &w[0] == &net.Params[t.Offset] {
			return t.Name
		}
	}
	return ""
}

// blockSize is the number of parameters of a piece of work.
const blockSize = 1 << 15

// An optimizer moves parameters against their gradient. Its state is the slices, and the number of steps taken.
type optimizer[T nn.Float] struct {
	o        Optimizer
	segments []segment
	blocks   []segment // the segments, cut
	steps    int
	first    []T // velocity, or mean of the gradient
	second   []T // mean of its squares

	w, g []T // of the step under way
	rate float64
	work func(_, i int)
}

func newOptimizer[T nn.Float](net *nn.Network[T], o Optimizer) *optimizer[T] {
	s := &optimizer[T]{o: o, segments: segments(net, &o)}
	for _, part := range s.segments {
		for lo := part.lo; lo < part.hi; lo += blockSize {
			s.blocks = append(s.blocks, segment{lo, min(lo+blockSize, part.hi), part.decay})
		}
	}
	n := len(net.Params)
	switch o.Name {
	case "sgd":
		s.first = make([]T, n)
		s.work = s.sgd
	case "adam", "adamw":
		s.first, s.second = make([]T, n), make([]T, n)
		s.work = s.adam
	}
	return s
}

// step takes a step at a learning rate.
func (s *optimizer[T]) step(w, g []T, rate float64) {
	s.steps++
	s.w, s.g, s.rate = w, g, rate
	parallel.For(len(s.blocks), s.work)
	s.w, s.g = nil, nil
}

func (s *optimizer[T]) sgd(_, i int) {
	b := s.blocks[i]
	kernel.SGD(s.w[b.lo:b.hi], s.first[b.lo:b.hi], s.g[b.lo:b.hi], kernel.SGDStep{Rate: s.rate, Momentum: s.o.Momentum, Decay: b.decay, Nesterov: s.o.Nesterov})
}

func (s *optimizer[T]) adam(_, i int) {
	b := s.blocks[i]
	kernel.Adam(s.w[b.lo:b.hi], s.first[b.lo:b.hi], s.second[b.lo:b.hi], s.g[b.lo:b.hi], kernel.AdamStep{
		Rate: s.rate, Beta1: s.o.Beta1, Beta2: s.o.Beta2, Epsilon: s.o.Epsilon, Decay: b.decay, Decoupled: s.o.Name == "adamw", Step: s.steps,
	})
}

// penalty is the sum of decay/2 |w|^2.
func (s *optimizer[T]) penalty(w []T) float64 {
	total := 0.0
	for _, b := range s.blocks {
		if b.decay == 0 {
			continue
		}
		square := 0.0
		for _, v := range w[b.lo:b.hi] {
			square += float64(v) * float64(v)
		}
		total += b.decay / 2 * square
	}
	return total
}

// minimise takes steps of L-BFGS on a function of the parameters: value returns it at w and leaves its gradient in g. The decay is
// added here. The history begins anew with every call, so that between calls the parameters are all the state there is.
func (s *optimizer[T]) minimise(ctx context.Context, w, g []T, value func() float64) optimize.Result {
	s.steps++
	x := make([]float64, len(w))
	for i, v := range w {
		x[i] = float64(v)
	}
	f := func(x, gradient []float64) float64 {
		for i, v := range x {
			w[i] = T(v)
		}
		loss := value() + s.penalty(w)
		for i, v := range g {
			gradient[i] = float64(v)
		}
		for _, b := range s.segments {
			for i := b.lo; i < b.hi; i++ {
				gradient[i] += b.decay * float64(w[i])
			}
		}
		return loss
	}
	r := optimize.LBFGS(ctx, optimize.Problem{Value: f}, x, optimize.Settings{Iterations: s.o.Iterations, Memory: s.o.History})
	for i, v := range r.X {
		w[i] = T(v)
	}
	return r
}

// state is what a step depends on besides parameters and gradient.
func (s *optimizer[T]) state() []safetensors.Values {
	var out []safetensors.Values
	for _, part := range s.parts() {
		out = append(out, tensorValues(part.name, []int{len(part.v)}, part.v))
	}
	return out
}

// part is a slice of the state under its name in a checkpoint.
type part[T nn.Float] struct {
	name string
	v    []T
}

func (s *optimizer[T]) parts() (out []part[T]) {
	for _, p := range []part[T]{{statePrefix + "first", s.first}, {statePrefix + "second", s.second}} {
		if p.v != nil {
			out = append(out, p)
		}
	}
	return out
}

// statePrefix begins the names of what a checkpoint holds besides the network.
const statePrefix = "optimizer/"

// tensorValues is a slice of either type as a tensor.
func tensorValues[T nn.Float](name string, shape []int, v []T) safetensors.Values {
	out := safetensors.Values{Name: name, Shape: shape}
	switch v := any(v).(type) {
	case []float32:
		out.Singles = v
	case []float64:
		out.Floats = v
	}
	return out
}

// finite reports whether a loss is a number.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// parameterCount is for people: "407k".
func parameterCount(n int) string {
	switch {
	case n >= 10_000_000:
		return fmt.Sprintf("%dM", (n+500_000)/1_000_000)
	case n >= 1_000_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	case n >= 10_000:
		return fmt.Sprintf("%dk", (n+500)/1000)
	}
	return fmt.Sprint(n)
}
