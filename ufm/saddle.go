package ufm

import (
	"context"
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/optimize"
)

// Saddle is the way out of a critical point of a convex loss with decays that is not global (Zhu et al. 2021, strict
// saddle property): with u, v the leading singular vectors of the gradient G in the logits and a unit vector a that W maps to zero, the objective
// falls along (u a^T, -v a^T), with curvature -2 (|G|_2 - sqrt(lambda_W lambda_H)).
type Saddle struct {
	Value        float64
	GradientNorm float64 // of the whole objective: 0 at a critical point
	SpectralNorm float64 // |G|_2
	Threshold    float64 // sqrt(lambda_W lambda_H)
	Curvature    float64 // by the formula
	Measured     float64 // the same by evaluating the Hessian along the direction
	Direction    Point   // dW, dH
	// Escape is where a descent from the point along the direction ends, having left Escapes saddles, this one included.
	Escape  Start
	Escapes int
}

// Saddle examines a critical point and leaves it, and leaves the saddles that the descent meets, for the descent from a symmetric
// point stays as symmetric as it can. It wants a convex loss, decays of both factors, no layers, and a W with a null
// vector. An error says which is missing, or that |G|_2 is not above the threshold.
func (p Problem) Saddle(ctx context.Context, at Point) (*Saddle, error) {
	o, err := p.objectiveFor(at)
	if err != nil {
		return nil, err
	}
	if o.w == nil || len(p.Layers) > 0 || p.W.Kind != DecayKind || p.H.Kind != DecayKind || p.Classifier != Free || p.NonNegative || p.Loss.Kind == Focal {
		return nil, fmt.Errorf("saddle: wants a convex loss with decays of W and H, a free classifier and no layers")
	}
	s, dx, err := o.wayOut(at)
	if err != nil {
		return nil, err
	}
	x, err := o.values(at)
	if err != nil {
		return nil, err
	}
	gradient, hd := make([]float64, o.n), make([]float64, o.n)
	o.value(x, gradient)
	s.GradientNorm = math.Sqrt(kernel.SumSquares64(gradient))
	o.product(x, dx, hd)
	s.Measured = kernel.Dot64(dx, hd)
	for range o.k {
		kernel.Axpy64(x, 1e-3, dx)
		r := o.minimise(ctx, SolveOptions{Method: "auto"}, x)
		if r.Status == optimize.Interrupted {
			return nil, ctx.Err()
		}
		x = r.X
		s.Escapes++
		s.Escape = Start{Value: r.Value, GradientNorm: r.GradientNorm, Status: string(r.Status), Iterations: s.Escape.Iterations + r.Iterations}
		if _, dx, err = o.wayOut(o.pointOfRows(x)); err != nil {
			break // no saddle any more
		}
	}
	return s, nil
}

// wayOut finds the direction of negative curvature at a critical point, in the variables of the search too.
func (o *objective) wayOut(at Point) (*Saddle, []float64, error) {
	p := &o.p
	s := &Saddle{Value: o.valueAt(at), Threshold: math.Sqrt(p.W.Size * p.H.Size)}
	o.lossAt()
	price := func(r sampleRow) float64 { return math.Sqrt(r.times) }
	g := o.columns(price)
	rows, d := len(o.rows), p.Dim
	sv, right, err := linalg.SVD(rows, o.k, append([]float64(nil), g...)) // rows of right are vectors of the classes
	if err != nil {
		return nil, nil, err
	}
	s.SpectralNorm = sv[0]
	s.Curvature = -2 * (s.SpectralNorm - s.Threshold)
	if !(s.SpectralNorm > s.Threshold*(1+1e-6)) {
		return nil, nil, fmt.Errorf("no saddle: the spectral norm %.6g is not above %.6g", s.SpectralNorm, s.Threshold)
	}
	null, err := nullVector(at.W, d)
	if err != nil {
		return nil, nil, err
	}
	u := right[:o.k]
	v := make([]float64, rows)
	kernel.Gemm64(false, true, rows, 1, o.k, 1/s.SpectralNorm, g, o.k, u, o.k, 0, v, 1)
	ratio := math.Pow(p.H.Size/p.W.Size, 0.25)
	s.Direction = Point{W: make([]float64, o.k*d), H: make([]float64, rows*d)}
	for k := range o.k {
		kernel.Axpy64(s.Direction.W[k*d:(k+1)*d], ratio*u[k], null)
	}
	for i, r := range o.rows {
		kernel.Axpy64(s.Direction.H[i*d:(i+1)*d], -v[i]/(ratio*price(r)), null)
	}
	dx, err := o.values(s.Direction)
	return s, dx, err
}

// nullVector is a unit vector that is orthogonal to the rows of w, of length d.
func nullVector(w []float64, d int) ([]float64, error) {
	gram := make([]float64, d*d)
	kernel.Gemm64(true, false, d, d, len(w)/d, 1, w, d, w, d, 0, gram, d)
	values, vectors := linalg.EigenSym(d, gram)
	if !(values[d-1] <= 1e-12*(values[0]+1e-300) || values[0] == 0) {
		return nil, fmt.Errorf("no direction: W has the full rank %d, so that the point is global (docs/solve.md)", d)
	}
	return vectors[(d-1)*d:], nil
}

// factorise returns class means and classifier of the cheapest factorisation of the logits of class means: row c of logits are
// those of class c, which has n samples.
func factorise(logits []float64, K, n, d int, lambda decays) (Point, error) {
	s, right, err := linalg.SVD(K, K, append([]float64(nil), logits...))
	if err != nil {
		return Point{}, err
	}
	at := Point{W: make([]float64, K*d), H: make([]float64, K*d)}
	root := math.Sqrt(float64(n)) // logits of all samples have sqrt(n) times the singular values
	w, h := math.Pow(lambda.H/lambda.W, 0.25), math.Pow(lambda.W/lambda.H, 0.25)
	for j, sj := range s {
		if sj <= 1e-14*s[0] {
			break
		}
		if j == d {
			return Point{}, fmt.Errorf("d: %d, the logits have a higher rank", d)
		}
		u := right[j*K : (j+1)*K]
		for c := range K {
			at.W[c*d+j] = w * math.Sqrt(root*sj) * u[c]
			left := kernel.Dot64(logits[c*K:(c+1)*K], u) / sj
			at.H[c*d+j] = h * math.Sqrt(root*sj) * left / root
		}
	}
	return at, nil
}

// fields are those of a saddle in a report.
func (s *Saddle) fields() Fields {
	return Fields{{"value", s.Value}, {"gradient_norm", s.GradientNorm}, {"spectral_norm", s.SpectralNorm}, {"threshold", s.Threshold},
		{"negative_curvature", s.Curvature}, {"curvature_measured", s.Measured}, {"escape_value", s.Escape.Value}, {"escape_status", s.Escape.Status},
		{"escape_iterations", s.Escape.Iterations}, {"saddles_left", s.Escapes}}
}

func (s *Saddle) words() []string {
	others := ""
	switch {
	case s.Escapes == 2:
		others = " and leaves another saddle like it"
	case s.Escapes > 2:
		others = fmt.Sprintf(" and leaves %d more saddles like it", s.Escapes-1)
	}
	gradient := "below 1e-10"
	if s.GradientNorm >= 1e-10 {
		gradient = fmt.Sprintf("%.1e", s.GradientNorm)
	}
	return []string{
		fmt.Sprintf("The point is critical (gradient %s) and not global: the gradient in the logits has the spectral norm %.6g, above %.6g.", gradient, s.SpectralNorm, s.Threshold),
		fmt.Sprintf("Along its leading singular vectors, in a dimension that W does not use, the curvature is %.6g by formula and %.6g by evaluation.", s.Curvature, s.Measured),
		fmt.Sprintf("A descent that sets out that way%s ends at %.10g (%s).", others, s.Escape.Value, s.Escape.Status),
	}
}

// explainZero adds the saddle at W = 0, H = 0 with the best bias to a report. There the gradient in W and H is zero whatever
// the bias, so a search for the bias does not leave it.
func (r *Report) explainZero(ctx context.Context, p Problem) error {
	f, err := newObjective(p, p.collapses())
	if err != nil {
		return err
	}
	best := optimize.LBFGS(ctx, f.problem(), make([]float64, f.n), optimize.Settings{})
	at := f.pointOfRows(best.X)
	s, err := p.Saddle(ctx, at)
	if err != nil {
		r.Words = append(r.Words, fmt.Sprintf("Zero is not explained as a saddle: %v.", err))
		return ctx.Err()
	}
	r.Saddle = s.fields()
	r.Words = append(r.Words, append([]string{fmt.Sprintf("Zero features have the value %.10g.", s.Value)}, s.words()...)...)
	return nil
}
