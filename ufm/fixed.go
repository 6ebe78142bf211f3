package ufm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/root"
)

var fixedQuestions = []Question{
	{"fixed_simplex_decay", "a classifier fixed to a simplex, decay of the features", "K n d E_W lambda_H", fixedDecay(Simplex)},
	{"fixed_simplex_ball", "the same, features in a ball", "K n d E_W radius", fixedBall(Simplex)},
	{"fixed_orthoplex_decay", "a classifier fixed to an orthoplex, K = 2d", "K n d E_W lambda_H", fixedDecay(Orthoplex)},
	{"fixed_orthoplex_ball", "the same, features in a ball", "K n d E_W radius", fixedBall(Orthoplex)},
	{"fixed_cube_decay", "a classifier fixed to a cube, K = 2^d", "K n d E_W lambda_H", fixedDecay(Cube)},
	{"fixed_cube_ball", "the same, features in a ball", "K n d E_W radius", fixedBall(Cube)},
	{"fixed_identity_ball", "a classifier fixed to the unit vectors, features in a ball", "K n d E_W radius", fixedIdentity},
	{"dot_regression", "dot regression on a fixed simplex, any counts (Yang et al. 2022)", "counts d E_W E_H", dotRegressionBall},
	{"dot_regression_decay", "the same with a decay instead of the bound", "counts d E_W E_H lambda_H", dotRegressionDecay},
}

// polytopeLoss is the cross-entropy of features along the rows of a polytope, as a function of the own logit x, and
// its slope. By symmetry they are optimal there.
func polytopeLoss(shape Polytope, K, x float64) (loss, slope float64) {
	switch shape {
	case Orthoplex:
		return orthoplexLoss(K, x)
	case Cube: // a binary problem in each of d dimensions
		d := math.Log2(K)
		return d * math.Log1p(math.Exp(-2*x/d)), -2 / (1 + math.Exp(2*x/d))
	default: // gap K/(K-1) x
		g := K / (K - 1) * x
		return simplexLoss(K, g), -K / (K - 1 + math.Exp(g))
	}
}

var polytopeWords = map[Polytope]string{
	Simplex:   "Every feature lies along the row of its class: the classes form the simplex of the classifier.",
	Orthoplex: "Every feature lies along the row of its class: opposite pairs on orthogonal axes.",
	Cube:      "Every feature lies along the row of its class: the corners of a cube.",
}

// fixedShape reads the parameters that these problems share.
func (p *params) fixedShape(shape Polytope) (K, n, d int, ew float64) {
	K, n, d, ew = p.classes("K"), p.count("n"), p.count("d"), p.positive("E_W")
	if p.err == nil {
		if err := shape.fits(K, d); err != nil {
			p.fail("d", "%v", err)
		}
	}
	return K, n, d, ew
}

func fixedDecay(shape Polytope) func(context.Context, *params, Options) (*Report, error) {
	return func(ctx context.Context, p *params, o Options) (*Report, error) {
		K, n, d, ew := p.fixedShape(shape)
		lambda := p.positive("lambda_H")
		if err := p.done(); err != nil {
			return nil, err
		}
		k := float64(K)
		price := k * float64(n) * lambda / ew // times x^2/2
		high := 1.0
		slope := func(x float64) float64 { _, s := polytopeLoss(shape, k, x); return s + price*x }
		for slope(high) < 0 {
			high *= 2
		}
		x := root.Between(slope, 0, high)
		loss, _ := polytopeLoss(shape, k, x)
		r := &Report{ClosedForm: Fields{{"value", loss + price*x*x/2}, {"data_loss", loss}, {"own_logit", x}, {"h_over_w", x / ew},
			{"theorem", "convex in H: scalar root by symmetry, derived here"}, {"proved", true}}, Words: []string{polytopeWords[shape]}}
		if shape == Simplex {
			r.ClosedForm.Add("gap", k/(k-1)*x)
		}
		model := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: slices.Repeat([]int{n}, K), Dim: d, W: Sphere(ew), Classifier: shape, H: Decay(lambda)}
		return r, r.searchInto(ctx, model, o)
	}
}

func fixedBall(shape Polytope) func(context.Context, *params, Options) (*Report, error) {
	return func(ctx context.Context, p *params, o Options) (*Report, error) {
		K, n, d, ew := p.fixedShape(shape)
		radius := p.positive("radius")
		if err := p.done(); err != nil {
			return nil, err
		}
		k := float64(K)
		x := radius * math.Sqrt(ew)
		loss, _ := polytopeLoss(shape, k, x)
		r := &Report{ClosedForm: Fields{{"value", loss}, {"own_logit", x}, {"h_over_w", radius / math.Sqrt(ew)},
			{"theorem", "convex in H: at the edge of the ball, by symmetry, derived here"}, {"proved", true}}, Words: []string{polytopeWords[shape]}}
		if shape == Simplex {
			r.ClosedForm.Add("gap", k/(k-1)*x)
		}
		model := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: slices.Repeat([]int{n}, K), Dim: d, W: Sphere(ew), Classifier: shape, H: Ball(radius * radius)}
		return r, r.searchInto(ctx, model, o)
	}
}

// fixedIdentity has features that are centred, so they do not lie along the rows of the classifier.
func fixedIdentity(ctx context.Context, p *params, o Options) (*Report, error) {
	K, n, d, ew := p.fixedShape(Identity)
	radius := p.positive("radius")
	if err := p.done(); err != nil {
		return nil, err
	}
	k := float64(K)
	g := radius * math.Sqrt(ew*k/(k-1))
	r := &Report{ClosedForm: Fields{{"value", simplexLoss(k, g)}, {"gap", g}, {"cos_h", -1 / (k - 1)},
		{"theorem", "convex in H: at the edge of the ball, derived here"}, {"proved", true}},
		Words: []string{"The features are a simplex although the classifier is orthogonal: only the part of a row that the others have not counts."}}
	model := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: slices.Repeat([]int{n}, K), Dim: d, W: Sphere(ew), Classifier: Identity, H: Ball(radius * radius)}
	return r, r.searchInto(ctx, model, o)
}

// dotShape reads the parameters of dot regression, and gives the model without what holds H.
func (p *params) dotShape() (ew, eh float64, model Problem) {
	counts, d := p.classCounts("counts"), p.count("d")
	ew, eh = p.energies()
	if d < len(counts)-1 {
		p.fail("d", "%d, a simplex of %d classes needs at least %d", d, len(counts), len(counts)-1)
	}
	return ew, eh, Problem{Loss: Loss{Kind: DotRegression, Target: math.Sqrt(ew * eh)}, Counts: counts, Dim: d, W: Sphere(ew), Classifier: Simplex}
}

func dotRegressionBall(ctx context.Context, p *params, o Options) (*Report, error) {
	ew, eh, model := p.dotShape()
	if err := p.done(); err != nil {
		return nil, err
	}
	model.H = Ball(eh)
	r := &Report{ClosedForm: Fields{{"value", 0.0}, {"h_over_w", math.Sqrt(eh / ew)}, {"theorem", "Yang et al. 2022"}, {"proved", true}},
		Words: []string{"Every feature lies along the row of its class, at the edge of the ball, whatever the counts: no minority collapse."}}
	return r, r.searchInto(ctx, model, o)
}

func dotRegressionDecay(ctx context.Context, p *params, o Options) (*Report, error) {
	ew, eh, model := p.dotShape()
	lambda := p.positive("lambda_H")
	if err := p.done(); err != nil {
		return nil, err
	}
	model.H = Decay(lambda)
	n := model.samples()
	target := model.Loss.Target
	a := 1 / (math.Sqrt(ew/eh) + n*lambda/ew)
	off := a*ew - target
	r := &Report{ClosedForm: Fields{{"value", off*off/(2*target) + lambda*n*a*a*ew/2}, {"h_over_w", a}, {"theorem", "each sample by itself, after Yang et al. 2022"}, {"proved", true}},
		Words: []string{fmt.Sprintf("Every feature is %.4g times the row of its class, whatever the counts: no minority collapse.", a)}}
	return r, r.searchInto(ctx, model, o)
}
