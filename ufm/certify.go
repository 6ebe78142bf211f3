package ufm

import (
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
)

// Certificate is what can be proved about a point without knowing how it was found. It rests on convexity of the loss in the
// logits: a factorisation W H^T with decays costs at least sqrt(lambda_W lambda_H) times the nuclear norm of the product
// (Srebro 2004), so the optimum is bounded from below by a dual point, which the gradient G in the logits supplies.
type Certificate struct {
	// Kind is "spectral" (decays: |G|_2 against sqrt(lambda_W lambda_H); Zhu et al. 2021, Lemma C.4), "duality" (bounds of
	// norms: the gap of Frank and Wolfe on the nuclear-norm ball), "convex" (fixed classifier) or "none".
	Kind string
	// SpectralNorm is the largest singular value of G, Threshold what it is at most at a global optimum. Columns of samples
	// are scaled to the norm that H pays. NaN where the kind has none.
	SpectralNorm, Threshold float64
	// LowerBound is a value that no point is below, Gap how far the point is above it. NaN where there is none.
	LowerBound, Gap float64
	// Global tells that the gap is at most 1e-7 max(1, |value|): the point is a global minimum to that.
	Global bool
	// Words say what follows, and what does not.
	Words string
}

// tightGap is the gap that counts as none, relative to the value.
const tightGap = 1e-7

// Certify bounds the optimum of a problem from below, by the gradient at any point. H holds the features of all samples, or
// where it has K rows, one for each class.
func (p Problem) Certify(at Point) (*Certificate, error) {
	o, err := p.objectiveFor(at)
	if err != nil {
		return nil, err
	}
	return o.certify(at)
}

// objectiveFor is the objective of all samples, or of class means where a point has K rows of features.
func (p *Problem) objectiveFor(at Point) (*objective, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	collapsed := float64(len(at.H)) != p.samples()*float64(p.Dim)
	o, err := newObjective(*p, collapsed)
	if err != nil {
		return nil, err
	}
	if len(at.H) != len(o.h.v) {
		return nil, fmt.Errorf("H: %d numbers, wanted %d for each sample, or for each class", len(at.H), p.Dim)
	}
	if o.w != nil && len(at.W) != len(o.w.v) {
		return nil, fmt.Errorf("W: %d numbers, wanted %d x %d", len(at.W), o.w.rows, o.w.cols)
	}
	if len(at.Layers) != len(o.layers) {
		return nil, fmt.Errorf("layers: %d, wanted %d", len(at.Layers), len(o.layers))
	}
	for i, f := range o.layers {
		if len(at.Layers[i]) != len(f.v) {
			return nil, fmt.Errorf("layers[%d]: %d numbers, wanted %d x %d", i, len(at.Layers[i]), f.rows, f.cols)
		}
	}
	if o.b != nil && len(at.B) != o.k {
		return nil, fmt.Errorf("b: %d numbers, wanted %d", len(at.B), o.k)
	}
	return o, nil
}

func (o *objective) certify(at Point) (*Certificate, error) {
	c := &Certificate{Kind: "none", SpectralNorm: math.NaN(), Threshold: math.NaN(), LowerBound: math.NaN(), Gap: math.NaN()}
	p := &o.p
	value := o.valueAt(at)
	loss := o.lossAt()
	switch {
	case o.w == nil:
		c.Words = "The loss is not convex: nothing bounds the optimum but the best of the searches."
		return c, nil
	case p.Loss.Kind == Focal:
		c.Words = "The focal loss is not convex in the logits: nothing bounds the optimum but the best of the searches."
		return c, nil
	case len(p.Layers) > 0:
		c.Words = "A product of three and more factors has local minima, and no bound is known that is tight: nothing bounds the optimum but the best of the searches."
		return c, nil
	case p.Classifier != Free:
		if err := o.certifyConvex(c); err != nil {
			return nil, err
		}
	case p.W.Kind == DecayKind && p.H.Kind == DecayKind:
		if err := o.certifyDecays(c, loss); err != nil {
			return nil, err
		}
	case p.W.Kind != Unregularised && p.H.Kind != Unregularised && p.W.Kind != DecayKind && p.H.Kind != DecayKind:
		if err := o.certifyNorms(c, value); err != nil {
			return nil, err
		}
	default:
		c.Words = "No bound is known for this way to hold the norms: nothing bounds the optimum but the best of the searches."
		return c, nil
	}
	if !math.IsNaN(c.LowerBound) {
		c.Gap = value - c.LowerBound
	}
	c.Global = c.Gap <= tightGap*max(1, math.Abs(value))
	switch {
	case c.Global:
		c.Words = fmt.Sprintf("Global optimum, proved by duality: nothing is lower by more than %.0e.", max(c.Gap, 1e-9*max(1, math.Abs(value))))
	case math.IsNaN(c.LowerBound) && c.Kind == "convex":
		c.Words = "With the classifier fixed the problem is convex in the features: where it is stationary it is optimal."
	case math.IsNaN(c.LowerBound):
		c.Words = "No bound is known: nothing supports the point but the best of the searches."
	case p.NonNegative:
		c.Words = "The bound leaves out that features are not negative, so it is not attained; that no point is lower is supported by the searches alone."
	case p.Dim < o.k-1:
		c.Words = fmt.Sprintf("The bound is that of enough dimensions and not attained with %d; that no point is lower is supported by the searches alone.", p.Dim)
	default:
		c.Words = fmt.Sprintf("Not proved: the optimum may be lower by up to %.3g.", c.Gap)
	}
	return c, nil
}

// lossAt is the loss without decays where the values stand, which are those of valueAt.
func (o *objective) lossAt() float64 {
	return o.loss.eval(o.out().v, nil, o.out().grad, nil)
}

// columns is the gradient in the logits, a row for each row of H, multiplied by the scale of the logits and by 1/price:
// price is the root of what H pays for a unit in the row.
func (o *objective) columns(price func(r sampleRow) float64) []float64 {
	g := make([]float64, len(o.z.grad))
	copy(g, o.z.grad)
	for i, r := range o.rows {
		kernel.Scale64(g[i*o.k:(i+1)*o.k], o.scale/price(r))
	}
	return g
}

// spectralNorm is the largest singular value of the matrix of rows of the given width.
func spectralNorm(a []float64, width int) (float64, error) {
	rows := len(a) / width
	if rows > 4*width { // the same as of its triangular factor
		r := linalg.NewRFactor(width)
		work := make([]float64, 256*width)
		for i := 0; i < rows; i += 256 {
			n := min(256, rows-i)
			copy(work, a[i*width:(i+n)*width])
			r.Add(work[:n*width], n)
		}
		a, rows = r.R(), width
	}
	s, err := linalg.SingularValues(rows, width, append([]float64(nil), a...))
	if err != nil {
		return 0, err
	}
	return s[0], nil
}

// certifyDecays fills in the bound of theory for decays of both factors:
//
//	f >= -g*(s G) - s^2 |sum_i G_i|^2/(2 lambda_b),   s = min(1, sqrt(lambda_W lambda_H)/|G|_2)
//
// with g* the conjugate of the loss; a free bias wants the rows of G to sum to zero.
func (o *objective) certifyDecays(c *Certificate, loss float64) error {
	p := &o.p
	g := o.columns(func(r sampleRow) float64 { return math.Sqrt(r.times) })
	norm, err := spectralNorm(g, o.k)
	if err != nil {
		return err
	}
	c.Kind, c.SpectralNorm, c.Threshold = "spectral", norm, math.Sqrt(p.W.Size*p.H.Size)
	s := 1.0
	if norm > c.Threshold {
		s = c.Threshold / norm
	}
	bound, ok := o.dual(s)
	if !ok {
		return nil
	}
	if o.b != nil {
		sum := make([]float64, o.k)
		sumRows(sum, o.z.grad)
		off := kernel.SumSquares64(sum)
		switch {
		case p.Bias == DecayedBias:
			bound -= s * s * off / (2 * p.B)
		case math.Sqrt(off) > 1e-9:
			return nil // not a dual point
		}
	}
	c.LowerBound = bound
	return nil
}

// dual is minus the conjugate of the loss at s times its gradient, where the values stand.
func (o *objective) dual(s float64) (float64, bool) {
	loss := o.loss.(*rowLoss)
	k, bound := o.k, 0.0
	kind, alpha := o.p.Loss.Kind, o.p.Loss.Smoothing
	target := make([]float64, k)
	for i, r := range o.rows {
		g, w := o.z.grad[i*k:(i+1)*k], loss.weight[i]
		switch kind {
		case CrossEntropy, PickAllLabel:
			// The gradient is w (m p - t), so t + s g/w is a mixture of targets and m times probabilities: with entropy.
			m := 1.0
			clear(target)
			if kind == PickAllLabel {
				m = float64(len(r.set))
				for _, j := range r.set {
					target[j] = 1
				}
			} else {
				for j := range target {
					target[j] = alpha / float64(k)
				}
				target[r.class] += 1 - alpha
			}
			for j, t := range target {
				if q := (t + s*g[j]/w) / m; q > 0 {
					bound -= w * m * q * math.Log(q)
				}
			}
		case SquaredError:
			bound -= s*s/(2*w)*kernel.SumSquares64(g) + s*g[r.class]
		default:
			return 0, false
		}
	}
	return bound, true
}

// certifyNorms fills in the gap r |G|_2 + <G, Z> over the nuclear-norm ball that holds every product of bounded factors:
// radius K sqrt(E_W E_H), columns of samples scaled by the root of the class size (Jaggi 2013). Bounds of each row imply those of
// the energies.
func (o *objective) certifyNorms(c *Certificate, value float64) error {
	p := &o.p
	g := o.columns(func(r sampleRow) float64 { return math.Sqrt(r.times / p.classSize(r)) })
	norm, err := spectralNorm(g, o.k)
	if err != nil {
		return err
	}
	c.Kind, c.SpectralNorm = "duality", norm
	inner := kernel.Dot64(o.z.grad, o.z.v)
	if o.b != nil {
		sum := make([]float64, o.k)
		sumRows(sum, o.z.grad)
		for j, s := range sum {
			inner -= s * o.b.v[j]
		}
		if p.Bias == FreeBias && math.Sqrt(kernel.SumSquares64(sum)) > 1e-9 {
			return nil
		}
		if p.Bias == DecayedBias { // the bias has its own gap, that of its decay
			for j, s := range sum {
				inner += (s + p.B*o.b.v[j]) * (s + p.B*o.b.v[j]) / (2 * p.B)
			}
		}
	}
	radius := float64(o.k) * math.Sqrt(p.W.Size*p.H.Size)
	c.LowerBound = value - (radius*norm + inner)
	return nil
}

// certifyConvex fills in the gap of a problem that is convex in H because the classifier is fixed: strong convexity for decays,
// Frank and Wolfe for bounds.
func (o *objective) certifyConvex(c *Certificate) error {
	p := &o.p
	c.Kind = "convex"
	if p.H.Kind == SphereKind || p.NonNegative || o.b != nil {
		if p.H.Kind == SphereKind || p.NonNegative { // points off the edge of the set, or a search that is not convex
			c.Kind = "none"
		}
		return nil
	}
	d, gap := p.Dim, 0.0
	gh := make([]float64, d)
	inner, most := 0.0, 0.0
	for i, r := range o.rows {
		kernel.Gemm64(false, false, 1, d, o.k, o.scale, o.z.grad[i*o.k:(i+1)*o.k], o.k, o.w.v, d, 0, gh, d)
		h := o.h.v[i*d : (i+1)*d]
		switch p.H.Kind {
		case DecayKind:
			kernel.Axpy64(gh, p.H.Size*r.times, h)
			gap += kernel.SumSquares64(gh) / (2 * p.H.Size * r.times)
		case BallKind:
			gap += math.Sqrt(p.H.Size*kernel.SumSquares64(gh)) + kernel.Dot64(gh, h)
		case EnergyKind:
			most += kernel.SumSquares64(gh) * p.classSize(r) / r.times
			inner += kernel.Dot64(gh, h)
		default:
			return nil
		}
	}
	if p.H.Kind == EnergyKind {
		gap = math.Sqrt(most*p.H.Size*float64(o.k)) + inner
	}
	value := o.lossAt()
	if p.H.Kind == DecayKind {
		value += o.h.penalty()
	}
	c.LowerBound = value - gap
	return nil
}

// fields are those of a certificate in a report.
func (c *Certificate) fields() Fields {
	f := Fields{{"kind", c.Kind}}
	if math.IsNaN(c.LowerBound) {
		f.Add("global", nil)
	} else {
		f.Add("global", c.Global)
	}
	return append(f, Fields{{"spectral_norm", c.SpectralNorm}, {"threshold", c.Threshold}, {"lower_bound", c.LowerBound}, {"gap", c.Gap}}...)
}
