package nn

import (
	"fmt"
	"math"
	"strings"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/random"
	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/collapsar/collapsar/ufm"
)

// HeadSpec says what the classifier is, as a file holds it. The zero value is a trained matrix with bias.
type HeadSpec struct {
	Name string `json:"name,omitempty" yaml:"name,omitempty"` // one of Heads; "" is linear
	// Bias is ufm.FreeBias or ufm.NoBias; "" is free for linear and none for the others. The cosine head has none.
	Bias ufm.Bias `json:"bias,omitempty" yaml:"bias,omitempty"`
	// Scale is the length of the rows of a fixed or a cosine head (sqrt(E_W) in package ufm; the inverse of a temperature for
	// cosines); 0 stands for 1. A linear head has none.
	Scale float64 `json:"scale,omitempty" yaml:"scale,omitempty"`
	// UnitFeatures scales the features to length 1 before the head, and before they are measured. The cosine head
	// has it in any case; dot regression and losses of unit features go with it.
	UnitFeatures bool `json:"unit_features,omitempty" yaml:"unit_features,omitempty"`
}

// HeadInfo describes a head that HeadSpec can name.
type HeadInfo struct {
	Name   string
	Words  string // what it is, in a line
	Dim    string // which feature dimensions d fit K classes
	Source string
}

var headInfos = []HeadInfo{
	{"linear", "a trained matrix, with bias", "any", ""},
	{"simplex", "rows fixed to a simplex, cosines -1/(K-1)", "d >= K-1", "Zhu et al. 2021; Yang et al. 2022"},
	{"orthoplex", "rows fixed to opposite pairs on orthogonal axes", "d = K/2", "Pernici et al. 2022"},
	{"cube", "rows fixed to the corners of a cube", "K = 2^d", "Pernici et al. 2022"},
	{"identity", "rows fixed to an orthonormal frame", "d >= K", "Hoffer et al. 2018"},
	{"cosine", "a trained matrix whose rows, and the features, have unit length; no bias", "any", "Wang et al. 2018; Yaras et al. 2022"},
}

// Heads lists the heads.
func Heads() []HeadInfo { return append([]HeadInfo(nil), headInfos...) }

// layers returns the head for a number of classes, its module called name, and the layers that go before it.
func (s HeadSpec) layers(name string, classes int) (before []Layer, head Layer, err error) {
	kind := s.Name
	if kind == "" {
		kind = "linear"
	}
	var names []string
	known := false
	for _, h := range headInfos {
		names = append(names, h.Name)
		known = known || h.Name == kind
	}
	bias := s.Bias == ufm.FreeBias
	switch {
	case !known:
		return nil, nil, fmt.Errorf("no head %q, there are %s%s", kind, strings.Join(names, ", "), suggest.Hint(kind, names))
	case s.Bias != "" && s.Bias != ufm.FreeBias && s.Bias != ufm.NoBias:
		return nil, nil, fmt.Errorf("head %s: bias %q, wanted free or none", kind, s.Bias)
	case !(s.Scale >= 0) || math.IsInf(s.Scale, 0):
		return nil, nil, fmt.Errorf("head %s: scale %v, wanted a number above 0", kind, s.Scale)
	case kind == "linear" && s.Scale != 0:
		return nil, nil, fmt.Errorf("head linear: scale %v, but its rows have no fixed length", s.Scale)
	case kind == "cosine" && bias:
		return nil, nil, fmt.Errorf("head cosine: it has no bias")
	}
	scale := s.Scale
	if scale == 0 {
		scale = 1
	}
	if s.UnitFeatures || kind == "cosine" {
		before = []Layer{UnitLength{}}
	}
	switch kind {
	case "linear":
		return before, Dense{Name: name, Out: classes, Bias: s.Bias != ufm.NoBias}, nil
	case "cosine":
		return before, CosineHead{Name: name, Out: classes, Scale: scale}, nil
	}
	return before, FixedHead{Name: name, Out: classes, Shape: ufm.Polytope(kind), Scale: scale, Bias: bias}, nil
}

// FixedHead is a dense layer whose rows are the vertices of a polytope and are not trained: y = W h + b. They depend on shape, number of
// classes and of features only. A trained bias is optional.
type FixedHead struct {
	Name  string
	Out   int
	Shape ufm.Polytope // see HeadInfo.Dim for what fits
	Scale float64      // length of the rows
	Bias  bool
}

func (FixedHead) kind() string { return "fixed head" }

func compileFixedHead[T Float](b *builder[T], l FixedHead, in *value[T]) (*value[T], error) {
	d := in.shape.Channels
	rows, err := fixedRows(l.Shape, l.Out, d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: choose another head or feature dimension", l.Name, err)
	}
	o := &dense[T]{in: in, out: b.value(Vector(l.Out)), w: make([]T, len(rows))}
	weight := Tensor[T]{Name: l.Name + ".weight", Shape: []int{l.Out, d}, fanIn: d, order: channelsFirst(l.Out, in.image)}
	if err := b.frozen(o.w, weight); err != nil {
		return nil, err
	}
	for i, v := range rows {
		o.w[i] = T(l.Scale * v)
	}
	if l.Bias {
		o.columns = newColumnSums[T](b.rows, l.Out)
		if err := b.param(&o.b, &o.db, Tensor[T]{Name: l.Name + ".bias", Shape: []int{l.Out}, Kind: Bias, fanIn: d}); err != nil {
			return nil, err
		}
	}
	b.add(o, traits{}, in, o.out)
	return o.out, nil
}

// fixedRows returns K unit rows in d dimensions. With d = K the simplex is sqrt(K/(K-1)) (I - J/K), which treats coordinates alike: features
// behind a ReLU can then point along the unit vectors, which are as good as the rows. In more dimensions it is turned at
// random (Yang et al. 2022), always in the same way, so that every feature takes part.
func fixedRows(shape ufm.Polytope, K, d int) ([]float64, error) {
	w, err := ufm.FixedClassifier(shape, K, d, 1)
	if err != nil || d < K || shape != ufm.Simplex && shape != ufm.Identity {
		return w, err
	}
	frame := make([]float64, K*d)
	if d == K {
		for k := range K {
			frame[k*d+k] = 1
		}
	} else {
		r := random.New(0, uint64(K), uint64(d))
		for i := range frame {
			frame[i] = r.NormFloat64()
		}
		orthogonal(K, d, frame, 1)
	}
	if shape == ufm.Identity {
		return frame, nil
	}
	mean := make([]float64, d)
	for k := range K {
		kernel.Axpy64(mean, 1/float64(K), frame[k*d:(k+1)*d])
	}
	length := math.Sqrt(float64(K) / float64(K-1))
	for i, v := range frame {
		w[i] = length * (v - mean[i%d])
	}
	return w, nil
}

// CosineHead gives Scale times the cosines of features and rows, if UnitLength stands before it: y = Scale W' h with the rows of the
// trained W scaled to unit length (Wang et al. 2018). A row that is zero stays zero and has no gradient.
type CosineHead struct {
	Name  string
	Out   int
	Scale float64
}

func (CosineHead) kind() string { return "cosine head" }

// cosineHead is a dense layer of the scaled rows, which it makes anew for each pass.
type cosineHead[T Float] struct {
	dense[T]
	raw, draw []T
	norms     []float64
	scale     float64
}

func compileCosineHead[T Float](b *builder[T], l CosineHead, in *value[T]) (*value[T], error) {
	d := in.shape.Channels
	o := &cosineHead[T]{scale: l.Scale, norms: make([]float64, l.Out)}
	o.in, o.out, o.w, o.dw = in, b.value(Vector(l.Out)), make([]T, l.Out*d), make([]T, l.Out*d)
	weight := Tensor[T]{Name: l.Name + ".weight", Shape: []int{l.Out, d}, fanIn: d, order: channelsFirst(l.Out, in.image)}
	if err := b.param(&o.raw, &o.draw, weight); err != nil {
		return nil, err
	}
	b.add(o, traits{keepsIn: true}, in, o.out)
	return o.out, nil
}

func (o *cosineHead[T]) classifier() (w, b []T) {
	toLength(o.w, o.raw, o.norms, o.scale)
	return o.w, nil
}

func (o *cosineHead[T]) forward(n int, m Mode) {
	toLength(o.w, o.raw, o.norms, o.scale)
	o.dense.forward(n, m)
}

func (o *cosineHead[T]) backward(n int) {
	o.dense.backward(n)
	fromLength(o.draw, o.dw, o.w, o.norms, o.scale)
}

// UnitLength scales every sample, a vector, to length 1. One that is zero stays zero and has no gradient.
type UnitLength struct{}

func (UnitLength) kind() string { return "scaling to unit length" }

type unitLength[T Float] struct {
	in, out *value[T]
	norms   []float64
}

func compileUnitLength[T Float](b *builder[T], in *value[T]) (*value[T], error) {
	if in.shape != Vector(in.shape.Channels) {
		return nil, fmt.Errorf("scaling to unit length takes a vector, not an image %v", in.shape)
	}
	o := &unitLength[T]{in: in, out: b.like(in), norms: make([]float64, b.rows)}
	b.add(o, traits{keepsOut: true, inPlace: true, gradOver: true}, in, o.out)
	return o.out, nil
}

func (o *unitLength[T]) forward(n int, _ Mode) { toLength(o.out.rows(n), o.in.rows(n), o.norms[:n], 1) }

func (o *unitLength[T]) backward(n int) {
	if dx := o.in.grad(n); dx != nil {
		fromLength(dx, o.out.grad(n), o.out.rows(n), o.norms[:n], 1)
	}
}

// toLength writes the rows of x, one for each norm, scaled to the given length, and their lengths to norms.
func toLength[T Float](y, x []T, norms []float64, length float64) {
	d := len(x) / len(norms)
	for i := range norms {
		row, out := x[i*d:(i+1)*d], y[i*d:(i+1)*d]
		top := T(0)
		for _, v := range row {
			top = max(top, v, -v)
		}
		norms[i] = 0
		if top == 0 {
			clear(out)
			continue
		}
		squares := 0.0
		for _, v := range row { // by the largest first, so that no square overflows
			r := float64(v) / float64(top)
			squares += r * r
		}
		norms[i] = float64(top) * math.Sqrt(squares)
		scale := length / norms[i]
		for j, v := range row {
			out[j] = T(scale * float64(v))
		}
	}
}

// fromLength carries the gradient dy at the rows y of toLength to the rows before; dx may be dy.
func fromLength[T Float](dx, dy, y []T, norms []float64, length float64) {
	d := len(y) / len(norms)
	for i, norm := range norms {
		row, from, to := y[i*d:(i+1)*d], dy[i*d:(i+1)*d], dx[i*d:(i+1)*d]
		if norm == 0 {
			clear(to)
			continue
		}
		along := 0.0
		for j, v := range row {
			along += float64(v) * float64(from[j])
		}
		along /= length * length
		scale := length / norm
		for j, v := range row {
			to[j] = T(scale * (float64(from[j]) - along*float64(v)))
		}
	}
}

// Count says how many parameters a network of an architecture trains, and how many weights of it are frozen. It takes no memory for
// those that are trained. What a fixed head or a feature dimension saves is the difference of two architectures.
func Count(a Architecture) (trained, frozen int, err error) {
	b, err := sketch[float32](a, 1)
	if err != nil {
		return 0, 0, fmt.Errorf("nn: %s: %w", a.Name, err)
	}
	for _, t := range b.tensors {
		if t.Kind != Statistic && !t.Trainable {
			frozen += t.Len()
		}
	}
	return b.params, frozen, nil
}
