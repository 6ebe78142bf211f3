package ufm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/optimize"
)

// Point is a place in a problem, with the norms as the problem wants them.
type Point struct {
	W      []float64   // K x (width of the last layer): rows of the classifier; nil where the loss is of the features
	Layers [][]float64 // further layers in the order of the computation, width x (width before)
	H      []float64   // N x d: features of the samples; or K x d, one for each class, see Solution.ClassMeans
	B      []float64   // K biases; nil where there are none
}

// objective is loss and decays of a problem as a function of one flat vector, with gradient and Hessian-vector products. The
// vector is [W | layers | H | b]. What is held by a norm, or non-negative, is written as a smooth function of free numbers
// (see held), so that there are no constraints left.
//
// All derivatives are carried through the same steps twice: a tangent goes forward with every value, and the gradient goes
// back with its own tangent, which is the Hessian times the direction (Pearlmutter 1994).
type objective struct {
	p     Problem
	k     int // outputs
	n     int // variables
	rows  []sampleRow
	loss  outputLoss
	scale float64

	w      *factor // nil where the loss is of the features
	layers []*factor
	h      *factor
	b      *node
	bAt    int
	acts   []*node // after each layer; acts[0] is h
	z      *node

	at []float64 // where the values stand
}

// node is a matrix with its tangent, its gradient, and the tangent of that.
type node struct {
	rows, cols       int
	v, dv, grad, dgr []float64
}

func newNode(rows, cols int) *node {
	n := rows * cols
	a := make([]float64, 4*n)
	return &node{rows, cols, a[:n:n], a[n : 2*n : 2*n], a[2*n : 3*n : 3*n], a[3*n:]}
}

// factor is a matrix of variables: where they stand, how they are held, and their decay.
type factor struct {
	*node
	at    int       // in the flat vector
	fixed bool      // no variables
	decay float64   // lambda
	times []float64 // samples that each row stands for; nil for one each
	held  held
}

// newObjective makes the objective of a problem: of every sample, or, where collapsed, of class means only, which
// stand for their samples.
func newObjective(p Problem, collapsed bool) (*objective, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	o := &objective{p: p, k: p.classes(), scale: p.Scale}
	if o.scale == 0 {
		o.scale = 1
	}
	o.rows = p.rows(collapsed)
	width := p.Dim
	if p.Loss.Kind == SupervisedContrastive {
		loss, err := newSupcon(p)
		if err != nil {
			return nil, err
		}
		o.loss, o.k = loss, 0
	} else {
		loss, err := newRowLoss(p.Loss, o.rows, o.k)
		if err != nil {
			return nil, err
		}
		o.loss = loss
		for _, l := range p.Layers {
			width = l.Width
		}
		o.w = &factor{node: newNode(o.k, width), held: held{kind: p.W.Kind, size: p.W.Size}}
		switch {
		case p.Classifier != Free:
			w, err := FixedClassifier(p.Classifier, o.k, width, p.W.Size)
			if err != nil {
				return nil, err
			}
			copy(o.w.v, w)
			o.w.fixed, o.w.held = true, held{}
		case p.W.Kind == DecayKind:
			o.w.decay = p.W.Size
		}
		o.place(o.w)
	}
	o.z = &node{}
	in := p.Dim
	for _, l := range p.Layers {
		f := &factor{node: newNode(l.Width, in), decay: l.Decay}
		o.layers = append(o.layers, f)
		o.place(f)
		in = l.Width
	}
	o.h = &factor{node: newNode(len(o.rows), p.Dim), held: held{kind: p.H.Kind, size: p.H.Size, squared: p.NonNegative}}
	o.h.held.row = make([]float64, len(o.rows))
	o.h.times = make([]float64, len(o.rows))
	for i, r := range o.rows {
		o.h.times[i] = r.times
		switch p.H.Kind {
		case EnergyKind: // of all samples of a class together: n_k times |h|^2/n_k
			o.h.held.row[i] = math.Sqrt(p.classSize(r) / r.times)
		case BallKind, SphereKind:
			o.h.held.row[i] = 1
		default: // a row that stands for many weighs as many
			o.h.held.row[i] = 1 / math.Sqrt(r.times)
		}
	}
	if p.H.Kind == DecayKind {
		o.h.decay = p.H.Size
	}
	o.place(o.h)
	o.acts = []*node{o.h.node}
	for _, l := range p.Layers {
		o.acts = append(o.acts, newNode(len(o.rows), l.Width))
	}
	if o.w != nil {
		o.z = newNode(len(o.rows), o.k)
		if p.Bias != NoBias && p.Bias != "" {
			o.b, o.bAt = newNode(1, o.k), o.n
			o.n += o.k
		}
	}
	return o, nil
}

func (o *objective) place(f *factor) {
	f.at = o.n
	if f.held.kind == EnergyKind {
		f.held.size *= float64(o.p.classes()) // of all rows together
	}
	if !f.fixed {
		o.n += len(f.v)
	}
}

// classes is K.
func (p *Problem) classes() int {
	if p.Loss.Kind == PickAllLabel {
		return p.Loss.Classes
	}
	return len(p.Counts)
}

// rows lists the samples, or one for all samples with the same labels.
func (p *Problem) rows(collapsed bool) []sampleRow {
	var rows []sampleRow
	add := func(r sampleRow, times int) {
		if collapsed {
			r.times = float64(times)
			rows = append(rows, r)
			return
		}
		r.times = 1
		for range times {
			rows = append(rows, r)
		}
	}
	if p.Loss.Kind == PickAllLabel {
		for _, m := range sortedKeys(p.Loss.Sets) {
			for _, set := range subsets(p.Loss.Classes, m) {
				add(sampleRow{class: set[0], set: set}, p.Loss.Sets[m])
			}
		}
		for _, s := range p.Loss.TagSets {
			add(sampleRow{set: s.Tags}, s.Count)
		}
		return rows
	}
	for k, n := range p.Counts {
		add(sampleRow{class: k}, n)
	}
	return rows
}

// classSize is the number of samples of a row's class, for the mean energy of the class.
func (p *Problem) classSize(r sampleRow) float64 {
	if p.Loss.Kind == PickAllLabel {
		return p.samples() / float64(p.Loss.Classes)
	}
	return float64(p.Counts[r.class])
}

// start is a random place, the same for the same seed on every machine.
func (o *objective) start(seed uint64) []float64 {
	lot := rand.New(rand.NewPCG(seed, 0x5eed))
	x := make([]float64, o.n)
	for _, f := range o.factors() {
		scale := 0.5
		switch f.held.kind {
		case EnergyKind:
			scale = 1 / math.Sqrt(float64(len(f.v)))
		case BallKind, SphereKind:
			scale = 1 / math.Sqrt(float64(f.cols))
		}
		for i := range f.v {
			x[f.at+i] = scale * lot.NormFloat64()
		}
	}
	return x
}

// factors lists those with variables.
func (o *objective) factors() []*factor {
	var all []*factor
	if o.w != nil && !o.w.fixed {
		all = append(all, o.w)
	}
	all = append(all, o.layers...)
	return append(all, o.h)
}

// problem is the objective for a method of optimisation.
func (o *objective) problem() optimize.Problem {
	return optimize.Problem{Value: o.value, Product: o.product}
}

// value returns loss and decays at x and writes the gradient to g.
func (o *objective) value(x, g []float64) float64 {
	v := o.forward(x)
	v += o.loss.eval(o.out().v, nil, o.out().grad, nil)
	o.backward(x, g)
	o.at = append(o.at[:0], x...)
	return v
}

// product writes the Hessian at x times v to hv.
func (o *objective) product(x, v, hv []float64) {
	if !slices.Equal(o.at, x) {
		o.value(x, make([]float64, o.n))
	}
	o.forwardTangent(x, v)
	o.loss.eval(o.out().v, o.out().dv, o.out().grad, o.out().dgr)
	o.backwardTangent(x, v, hv)
}

// out is what the loss sees.
func (o *objective) out() *node {
	if o.w == nil {
		return o.acts[len(o.acts)-1]
	}
	return o.z
}

// forward computes all values at x and returns the decays.
func (o *objective) forward(x []float64) float64 {
	for _, f := range o.factors() {
		f.held.apply(f.node, x[f.at:f.at+len(f.v)])
	}
	if o.b != nil {
		copy(o.b.v, x[o.bAt:])
	}
	return o.outputs()
}

// outputs computes what follows from the matrices, and returns the decays.
func (o *objective) outputs() float64 {
	decays := 0.0
	for _, f := range o.factors() {
		decays += f.penalty()
	}
	for l, f := range o.layers {
		a := o.acts[l+1]
		product(a, o.acts[l].v, f.v, a.v, 1, 0)
		if o.p.Layers[l].ReLU {
			for i, v := range a.v {
				a.v[i] = max(v, 0)
			}
		}
	}
	if o.w != nil {
		product(o.z, o.last().v, o.w.v, o.z.v, o.scale, 0)
	}
	if o.b != nil {
		addRows(o.z.v, o.b.v)
		if o.p.Bias == DecayedBias {
			decays += o.p.B / 2 * kernel.SumSquares64(o.b.v)
		}
	}
	return decays
}

// last is what the classifier sees.
func (o *objective) last() *node { return o.acts[len(o.acts)-1] }

// product writes scale a b^T + beta out, where out has the shape of dst and b has as many columns as a.
func product(dst *node, a, b, out []float64, scale, beta float64) {
	inner := len(a) / dst.rows
	kernel.Gemm64(false, true, dst.rows, dst.cols, inner, scale, a, inner, b, inner, beta, out, dst.cols)
}

func addRows(z, b []float64) {
	for i := 0; i < len(z); i += len(b) {
		kernel.Add64(z[i:i+len(b)], b)
	}
}

// backward computes the gradient at x from that of the outputs.
func (o *objective) backward(x, g []float64) {
	if o.w != nil {
		a := o.last()
		back(o.z, o.z.grad, a, a.v, o.w.node, o.w.v, a.grad, o.w.grad, o.scale, 0)
	}
	if o.b != nil {
		gb := g[o.bAt:]
		sumRows(gb, o.z.grad)
		if o.p.Bias == DecayedBias {
			kernel.Axpy64(gb, o.p.B, o.b.v)
		}
	}
	for l := len(o.layers) - 1; l >= 0; l-- {
		f, a, in := o.layers[l], o.acts[l+1], o.acts[l]
		if o.p.Layers[l].ReLU {
			for i, v := range a.v {
				if v <= 0 {
					a.grad[i] = 0
				}
			}
		}
		back(a, a.grad, in, in.v, f.node, f.v, in.grad, f.grad, 1, 0)
	}
	for _, f := range o.factors() {
		f.addDecay(f.grad, f.v)
		f.held.pull(f.node, x[f.at:f.at+len(f.v)], g[f.at:f.at+len(f.v)])
	}
}

// back adds to beta times gin and gw the gradients of the inputs, scale gout w, and of the weights, scale gout^T in.
func back(out *node, gout []float64, in *node, vin []float64, w *node, vw, gin, gw []float64, scale, beta float64) {
	kernel.Gemm64(false, false, in.rows, in.cols, out.cols, scale, gout, out.cols, vw, w.cols, beta, gin, in.cols)
	kernel.Gemm64(true, false, w.rows, w.cols, out.rows, scale, gout, out.cols, vin, in.cols, beta, gw, w.cols)
}

func sumRows(sum, z []float64) {
	clear(sum)
	for i := 0; i < len(z); i += len(sum) {
		kernel.Add64(sum, z[i:i+len(sum)])
	}
}

// forwardTangent computes all tangents at x along v.
func (o *objective) forwardTangent(x, v []float64) {
	for _, f := range o.factors() {
		f.held.applyTangent(f.node, x[f.at:f.at+len(f.v)], v[f.at:f.at+len(f.v)])
	}
	for l, f := range o.layers {
		a, in := o.acts[l+1], o.acts[l]
		product(a, in.dv, f.v, a.dv, 1, 0)
		product(a, in.v, f.dv, a.dv, 1, 1)
		if o.p.Layers[l].ReLU {
			for i, v := range a.v {
				if v <= 0 {
					a.dv[i] = 0
				}
			}
		}
	}
	if o.w == nil {
		return
	}
	product(o.z, o.last().dv, o.w.v, o.z.dv, o.scale, 0)
	if !o.w.fixed {
		product(o.z, o.last().v, o.w.dv, o.z.dv, o.scale, 1)
	}
	if o.b != nil {
		addRows(o.z.dv, v[o.bAt:])
	}
}

// backwardTangent computes the change of the gradient.
func (o *objective) backwardTangent(x, v, hv []float64) {
	if o.w != nil {
		a := o.last()
		back(o.z, o.z.dgr, a, a.v, o.w.node, o.w.v, a.dgr, o.w.dgr, o.scale, 0)
		if !o.w.fixed {
			kernel.Gemm64(false, false, a.rows, a.cols, o.k, o.scale, o.z.grad, o.k, o.w.dv, a.cols, 1, a.dgr, a.cols)
		}
		kernel.Gemm64(true, false, o.k, a.cols, a.rows, o.scale, o.z.grad, o.k, a.dv, a.cols, 1, o.w.dgr, a.cols)
	}
	if o.b != nil {
		hb := hv[o.bAt:]
		sumRows(hb, o.z.dgr)
		if o.p.Bias == DecayedBias {
			kernel.Axpy64(hb, o.p.B, v[o.bAt:])
		}
	}
	for l := len(o.layers) - 1; l >= 0; l-- {
		f, a, in := o.layers[l], o.acts[l+1], o.acts[l]
		if o.p.Layers[l].ReLU {
			for i, v := range a.v {
				if v <= 0 {
					a.dgr[i] = 0
				}
			}
		}
		back(a, a.dgr, in, in.v, f.node, f.v, in.dgr, f.dgr, 1, 0)
		back(a, a.grad, in, in.dv, f.node, f.dv, in.dgr, f.dgr, 1, 1)
	}
	for _, f := range o.factors() {
		f.addDecay(f.dgr, f.dv)
		f.held.pullTangent(f.node, x[f.at:f.at+len(f.v)], v[f.at:f.at+len(f.v)], hv[f.at:f.at+len(f.v)])
	}
}

// penalty is decay/2 times the sum of squares over the samples.
func (f *factor) penalty() float64 {
	if f.decay == 0 {
		return 0
	}
	if f.times == nil {
		return f.decay / 2 * kernel.SumSquares64(f.v)
	}
	sum := 0.0
	for i, t := range f.times {
		sum += t * kernel.SumSquares64(f.v[i*f.cols:(i+1)*f.cols])
	}
	return f.decay / 2 * sum
}

// addDecay adds decay times v.
func (f *factor) addDecay(g, v []float64) {
	if f.decay == 0 {
		return
	}
	if f.times == nil {
		kernel.Axpy64(g, f.decay, v)
		return
	}
	for i, t := range f.times {
		kernel.Axpy64(g[i*f.cols:(i+1)*f.cols], f.decay*t, v[i*f.cols:(i+1)*f.cols])
	}
}

// point is the place that x stands for; class means are repeated for their samples.
func (o *objective) point(x []float64) Point {
	at := o.pointOfRows(x)
	rows, d := at.H, o.p.Dim
	at.H = nil
	for i, r := range o.rows {
		for range int(r.times) {
			at.H = append(at.H, rows[i*d:(i+1)*d]...)
		}
	}
	return at
}

// pointOfRows is the place with the features as they are searched, be they of samples or of classes.
func (o *objective) pointOfRows(x []float64) Point {
	o.forward(x)
	o.at = o.at[:0]
	var at Point
	if o.w != nil {
		at.W = slices.Clone(o.w.v)
	}
	for _, f := range o.layers {
		at.Layers = append(at.Layers, slices.Clone(f.v))
	}
	at.H = slices.Clone(o.h.v)
	if o.b != nil {
		at.B = slices.Clone(o.b.v)
	}
	return at
}

// values is the vector of a place, for problems in which nothing is held by a norm.
func (o *objective) values(at Point) ([]float64, error) {
	x := make([]float64, o.n)
	put := func(name string, f *factor, v []float64) error {
		if f.held.kind != Unregularised && f.held.kind != DecayKind || f.held.squared {
			return fmt.Errorf("%s: held by %s, cannot be set", name, f.held.kind)
		}
		if len(v) != len(f.v) {
			return fmt.Errorf("%s: %d numbers, wanted %d x %d", name, len(v), f.rows, f.cols)
		}
		for i, v := range v {
			row := 1.0
			if f.held.row != nil {
				row = f.held.row[i/f.cols]
			}
			x[f.at+i] = v / row
		}
		return nil
	}
	if o.w != nil && !o.w.fixed {
		if err := put("W", o.w, at.W); err != nil {
			return nil, err
		}
	}
	for l, f := range o.layers {
		if err := put(fmt.Sprintf("layer %d", l), f, at.Layers[l]); err != nil {
			return nil, err
		}
	}
	if err := put("H", o.h, at.H); err != nil {
		return nil, err
	}
	if o.b != nil {
		copy(x[o.bAt:], at.B)
	}
	return x, nil
}

// valueAt is loss and decays at a place, whatever holds its norms.
func (o *objective) valueAt(at Point) float64 {
	put := func(n *node, v []float64) { copy(n.v, v) }
	if o.w != nil {
		put(o.w.node, at.W)
	}
	for l, f := range o.layers {
		put(f.node, at.Layers[l])
	}
	put(o.h.node, at.H)
	if o.b != nil {
		copy(o.b.v, at.B)
	}
	o.at = o.at[:0]
	v := o.outputs()
	return v + o.loss.eval(o.out().v, nil, o.out().grad, nil)
}
