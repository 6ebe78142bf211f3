package ufm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Optimum is what theory says about the minimum of a problem.
type Optimum struct {
	Value   float64 // loss and decays
	Theorem string  // authors, year, theorem
	Proved  bool    // false where the formula is supported by searches only
	Fields  Fields  // everything that the formula gives, by the names of docs/solve.md
	Words   []string
}

// ErrNoTheory says that no closed form is known for a problem. It can be solved all the same.
var ErrNoTheory = errors.New("no closed form is known")

// Optimum returns the closed form of the minimum where theory has one. Otherwise the error is ErrNoTheory, with what the
// nearest theorem wants.
func (p Problem) Optimum() (*Optimum, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	spec, ok := p.spec()
	if !ok {
		return nil, ErrNoTheory
	}
	r, err := answer(context.Background(), theoryQuestions(), spec, Options{Method: methodNone})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTheory, err)
	}
	if r.ClosedForm == nil {
		return nil, ErrNoTheory
	}
	theorem, _ := r.ClosedForm.Get("theorem")
	proved, _ := r.ClosedForm.Get("proved")
	best := &Optimum{Value: r.ClosedForm.Number("value"), Fields: r.ClosedForm, Words: r.Words}
	best.Theorem, _ = theorem.(string)
	best.Proved, _ = proved.(bool)
	return best, nil
}

// spec names the problem among Questions.
func (p *Problem) spec() (Spec, bool) {
	q := Spec{Params: map[string]any{}}
	put := func(name string, value any) { q.Params[name] = value }
	if p.Loss.Sum || p.Loss.Kind != SupervisedContrastive && p.Scale != 0 && p.Scale != 1 && p.W.Kind != SphereKind {
		return q, false
	}
	put("d", p.Dim)
	counts := func() {
		list := make([]any, len(p.Counts))
		for i, n := range p.Counts {
			list[i] = n
		}
		put("counts", list)
	}
	equal := len(p.Counts) > 0 && slices.Max(p.Counts) == slices.Min(p.Counts)
	same := func() {
		put("K", len(p.Counts))
		put("n", p.Counts[0])
	}
	bias := func() {
		b := p.Bias
		if b == "" {
			b = NoBias
		}
		put("bias", string(b))
		if b == DecayedBias {
			put("lambda_b", p.B)
		}
	}
	decayed := p.H.Kind == DecayKind && (p.W.Kind == DecayKind || p.Classifier != Free)
	decay := func() {
		put("lambda_W", p.W.Size)
		put("lambda_H", p.H.Size)
		bias()
	}
	named := func(name string) (Spec, bool) { q.Problem = name; return q, true }
	kind := p.Loss.Kind
	plainCE := kind == CrossEntropy && p.Loss.Smoothing == 0
	switch {
	case kind == SupervisedContrastive:
		if !equal || p.Loss.Contrast.Batches != nil || p.H.Kind != SphereKind && p.H.Kind != EnergyKind || len(p.Layers) > 0 || p.NonNegative {
			return q, false
		}
		same()
		put("tau", p.Loss.Contrast.Temperature)
		put("radius", math.Sqrt(p.H.Size))
		put("constraint", string(p.H.Kind))
		put("self_included", p.Loss.Contrast.SelfIncluded)
		put("batches", map[string]any{"kind": "full"})
		return named("supcon")
	case p.Classifier != Free:
		if len(p.Layers) > 0 || p.NonNegative || p.Bias != NoBias && p.Bias != "" {
			return q, false
		}
		put("E_W", p.W.Size)
		if kind == DotRegression && p.Classifier == Simplex && (p.H.Kind == DecayKind || p.H.Kind == BallKind) {
			counts()
			put("E_H", p.Loss.Target*p.Loss.Target/p.W.Size)
			if p.H.Kind == DecayKind {
				put("lambda_H", p.H.Size)
				return named("dot_regression_decay")
			}
			return named("dot_regression")
		}
		if !plainCE || !equal {
			return q, false
		}
		same()
		switch {
		case p.H.Kind == BallKind:
			put("radius", math.Sqrt(p.H.Size))
			return named("fixed_" + string(p.Classifier) + "_ball")
		case p.H.Kind == DecayKind && p.Classifier != Identity:
			put("lambda_H", p.H.Size)
			return named("fixed_" + string(p.Classifier) + "_decay")
		}
	case len(p.Layers) > 0:
		if !equal || !decayed || p.NonNegative {
			return q, false
		}
		relu := false
		widths, lambdas := []any{p.Dim}, []any{p.H.Size}
		for _, l := range p.Layers {
			relu = relu || l.ReLU
			widths, lambdas = append([]any{l.Width}, widths...), append([]any{l.Decay}, lambdas...)
		}
		delete(q.Params, "d")
		same()
		put("widths", widths)
		put("lambdas", append([]any{p.W.Size}, lambdas...))
		bias()
		switch {
		case kind == SquaredError && !relu:
			return named("deep_linear_mse")
		case kind == SquaredError && len(p.Layers) == 1:
			return named("two_layer_relu_mse")
		case plainCE && !relu:
			return named("deep_linear_ce")
		}
	case kind == PickAllLabel:
		counts, ok := p.Loss.balanced()
		if !decayed || p.NonNegative || !ok {
			return q, false
		}
		sets := map[string]any{}
		for m, n := range counts {
			sets[strconv.Itoa(m)] = n
		}
		put("K", p.Loss.Classes)
		put("samples_per_set", sets)
		put("loss", map[bool]string{false: "pal", true: "pal_mean"}[p.Loss.Average])
		decay()
		return named("pick_all_label_decay")
	case p.NonNegative:
		if !equal || !decayed {
			return q, false
		}
		same()
		decay()
		put("constraint", "nonneg")
		switch {
		case kind == SquaredError:
			return named("mse_nonneg_features")
		case plainCE:
			return named("ce_nonneg_features")
		}
	case decayed && !equal:
		counts()
		decay()
		switch {
		case kind == SquaredError:
			return named("mse_decay_imbalanced")
		case plainCE:
			return named("ce_decay_imbalanced")
		}
	case decayed:
		same()
		decay()
		switch {
		case plainCE && p.Dim < len(p.Counts)-1:
			return named("ce_decay_low_dim")
		case plainCE:
			return named("ce_decay")
		case kind == CrossEntropy:
			put("alpha", p.Loss.Smoothing)
			return named("label_smoothing_decay")
		case kind == Focal:
			put("gamma", p.Loss.Focus)
			return named("focal_decay")
		case kind == SquaredError:
			return named("mse_decay")
		}
	case plainCE && equal && p.W.Kind == p.H.Kind:
		same()
		bias()
		switch p.W.Kind {
		case SphereKind:
			scale := math.Sqrt(p.W.Size * p.H.Size)
			if p.Scale != 0 {
				scale *= p.Scale
			}
			put("logit_scale", scale)
			put("constraint", "sphere")
			if p.Dim < len(p.Counts)-1 {
				return named("ce_sphere_low_dim")
			}
			return named("ce_sphere")
		case EnergyKind, BallKind:
			put("E_W", p.W.Size)
			put("E_H", p.H.Size)
			put("constraint", string(p.W.Kind))
			return named("ce_layer_peeled")
		}
	}
	return q, false
}
