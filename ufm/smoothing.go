package ufm

import (
	"context"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/root"
)

var smoothingQuestions = []Question{
	{"label_smoothing_decay", "cross-entropy with label smoothing and decays (Zhou et al. 2022)", "K n d alpha lambda_W lambda_H bias [lambda_b]", labelSmoothing},
	{"label_smoothing_logits", "label smoothing over free logits", "K alpha", labelSmoothingLogits},
	{"focal_decay", "focal loss with decays (Zhou et al. 2022)", "K n d gamma lambda_W lambda_H bias [lambda_b]", focalDecay},
}

// smoothingShare reads alpha, in [0, 1).
func (p *params) smoothingShare() float64 {
	alpha := p.nonNegative("alpha")
	if alpha >= 1 {
		p.fail("alpha", "%v, wanted a number below 1", alpha)
	}
	return alpha
}

func labelSmoothing(ctx context.Context, p *params, o Options) (*Report, error) {
	K, n, d, alpha := p.classes("K"), p.count("n"), p.count("d"), p.smoothingShare()
	lambda := p.decays()
	if err := p.done(); err != nil {
		return nil, err
	}
	r := &Report{}
	if d >= K-1 {
		c := newCEBalanced(K, n, alpha, lambda)
		w, h := c.norms()
		r.ClosedForm = Fields{{"value", c.value()}, {"data_loss", c.dataLoss()}, {"trivial", c.trivial()}, {"Lambda", c.Lambda}, {"gap", c.gap},
			{"W_fro2", w}, {"H_fro2", h}, {"theorem", "Zhou et al. 2022; gap derived here"}, {"proved", true}}
		r.Words = c.words(lambda.Bias)
	} else if !o.Numeric {
		return nil, tooFewDimensions(K, d)
	}
	return r, r.searchInto(ctx, balanced(Loss{Kind: CrossEntropy, Smoothing: alpha}, K, n, d, lambda), o)
}

// labelSmoothingLogits is the limit without decays, in which the features are the logits.
func labelSmoothingLogits(ctx context.Context, p *params, o Options) (*Report, error) {
	K, alpha := p.classes("K"), p.nonNegative("alpha")
	if !(alpha > 0 && alpha < 1) {
		p.fail("alpha", "%v, wanted a number between 0 and 1: without smoothing the loss has no minimum", alpha)
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	c := newCEBalanced(K, 1, alpha, decays{})
	r := &Report{ClosedForm: Fields{{"value", c.value()}, {"gap", c.gap}, {"theorem", "Zhou et al. 2022; gap derived here"}, {"proved", true}},
		Words: []string{"The loss itself holds the logits: they stop where the probabilities are the smoothed targets."}}
	model := Problem{Loss: Loss{Kind: CrossEntropy, Smoothing: alpha}, Counts: slices.Repeat([]int{1}, K), Dim: K, W: Sphere(1), Classifier: Identity}
	return r, r.searchInto(ctx, model, o)
}

// focalDecay solves the scalar problem of a simplex. It may have several stationary points, and is not known to be the whole
// problem: the loss is not convex in the logits.
func focalDecay(ctx context.Context, p *params, o Options) (*Report, error) {
	K, n, d, gamma := p.classes("K"), p.count("n"), p.count("d"), p.nonNegative("gamma")
	lambda := p.decays()
	if err := p.done(); err != nil {
		return nil, err
	}
	r := &Report{}
	if d >= K-1 {
		c := newCEBalanced(K, n, 0, lambda)
		k := c.K
		price := (k - 1) * c.Lambda
		// With the gap g, own probability 1/(1 + q), q = (K-1) e^-g: stationary where the slope in g is zero.
		odds := func(g float64) (miss, own, log float64) { // 1-p, p, ln p
			q := (k - 1) * math.Exp(-g)
			return q / (1 + q), 1 / (1 + q), -math.Log1p(q)
		}
		value := func(g float64) float64 {
			miss, _, log := odds(g)
			return -math.Pow(miss, gamma)*log + price*g
		}
		slope := func(g float64) float64 {
			miss, own, log := odds(g)
			return price - math.Pow(miss, gamma)*(miss-gamma*own*log)
		}
		gap := 0.0
		const steps = 4000
		top := 2*math.Log(4*k) + 2*math.Log(1+(1+gamma)/price) // beyond it the price is more than the loss gains
		for i := range steps {
			a, b := top*float64(i)/steps, top*float64(i+1)/steps
			if slope(a) < 0 && slope(b) >= 0 {
				if g := root.Between(slope, a, b); value(g) < value(gap) {
					gap = g
				}
			}
		}
		c.gap = gap
		_, own, _ := odds(gap)
		w, h := c.norms()
		r.ClosedForm = Fields{{"value", value(gap)}, {"data_loss", value(gap) - price*gap}, {"trivial", gap == 0}, {"Lambda", c.Lambda}, {"gap", gap}, {"p_own", own},
			{"zero_is_local_min_above_Lambda", math.Pow(1-1/k, gamma) / k * (1 + gamma*math.Log(k)/(k-1))}, {"W_fro2", w}, {"H_fro2", h},
			{"theorem", "scalar problem of the simplex, after Zhou et al. 2022"}, {"proved", false}}
		if gap > 0 {
			r.Words = c.words(lambda.Bias)
		} else {
			r.Words = []string{"The decays are too strong: everything is zero."}
		}
		r.Words = append(r.Words, "That no point is lower than the simplex is known from many searches, not proved.")
	} else if !o.Numeric {
		return nil, tooFewDimensions(K, d)
	}
	return r, r.searchInto(ctx, balanced(Loss{Kind: Focal, Focus: gamma}, K, n, d, lambda), o)
}
