package ufm

import (
	"context"
	"errors"
	"slices"
)

var modelQuestions = []Question{
	{"model", "any combination of loss, norms, bias, counts, depth and classifier, with or without a theorem",
		"loss=ce [alpha] [gamma] [target] [counts] [K] [n] d [lambda_W] [lambda_H] [E_W] [E_H] [constraint] bias [lambda_b] [layers] [nonnegative] [classifier] [logit_scale]", modelQuestion},
}

// model reads a problem choice by choice. What is left out is not there: no decay, no layers, a free classifier.
func (p *params) model() Problem {
	m := Problem{Loss: Loss{Kind: LossKind(p.oneOf("loss", string(CrossEntropy), string(SquaredError), string(Focal), string(DotRegression)))}}
	if m.Loss.Kind == CrossEntropy && p.has("alpha") {
		m.Loss.Smoothing = p.smoothingShare()
	}
	switch m.Loss.Kind {
	case Focal:
		m.Loss.Focus = p.nonNegative("gamma")
	case DotRegression:
		m.Loss.Target = p.positive("target")
	}
	if p.has("counts") {
		m.Counts = p.classCounts("counts")
	} else if K, n := p.classes("K"), p.count("n"); p.err == nil {
		m.Counts = slices.Repeat([]int{n}, K)
	}
	m.Dim = p.count("d")
	kind := EnergyKind
	if p.has("constraint") {
		kind = RegulariserKind(p.oneOf("constraint", string(EnergyKind), string(BallKind), string(SphereKind)))
	}
	held := func(lambda, energy string) Regulariser {
		switch {
		case p.has(lambda) && p.has(energy):
			p.fail(energy, "not together with %s", lambda)
		case p.has(lambda):
			return Decay(p.positive(lambda))
		case p.has(energy):
			return Regulariser{kind, p.positive(energy)}
		}
		return Regulariser{}
	}
	if p.has("classifier") {
		m.Classifier = Polytope(p.oneOf("classifier", string(Simplex), string(Orthoplex), string(Cube), string(Identity)))
		m.W = Sphere(p.positive("E_W"))
	} else {
		m.W = held("lambda_W", "E_W")
	}
	m.H = held("lambda_H", "E_H")
	m.Bias, m.B = p.bias()
	if p.has("layers") {
		for _, l := range p.objects("layers") {
			layer := Layer{Width: l.count("width")}
			if l.has("lambda") {
				layer.Decay = l.positive("lambda")
			}
			if l.has("relu") {
				layer.ReLU = l.yes("relu")
			}
			l.done()
			m.Layers = append(m.Layers, layer)
		}
	}
	if p.has("nonnegative") {
		m.NonNegative = p.yes("nonnegative")
	}
	if p.has("logit_scale") {
		m.Scale = p.positive("logit_scale")
	}
	return m
}

func modelQuestion(ctx context.Context, p *params, o Options) (*Report, error) {
	m := p.model()
	if err := p.done(); err != nil {
		return nil, err
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	r := &Report{}
	best, err := m.Optimum()
	switch {
	case err == nil:
		r.ClosedForm, r.Words = best.Fields, best.Words
	case errors.Is(err, ErrNoTheory):
		r.Words = []string{"No closed form is known for this combination: the answer is that of the search."}
	default:
		return nil, err
	}
	o.Numeric = true // theory or not, this problem is there to be solved
	return r, r.searchInto(ctx, m, o)
}
