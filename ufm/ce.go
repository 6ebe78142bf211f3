package ufm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/root"
)

var ceQuestions = []Question{
	{"ce_decay", "cross-entropy with decays, equal counts (Zhu et al. 2021)", "K n d lambda_W lambda_H bias [lambda_b]", ceDecay},
	{"ce_decay_lower_bound", "the tangent bound on cross-entropy with decays (Zhu et al. 2021)", "K n lambda_W lambda_H", ceTangent},
	{"ce_decay_low_dim", "cross-entropy with decays in K/2 dimensions", "K n d lambda_W lambda_H bias [lambda_b]", ceOrthoplex},
}

// ceBalanced is the optimum of cross-entropy with decays, targets (1-alpha) e_y + alpha/K and equal counts in d >= K-1 dimensions:
// logits g (I - J/K) of the class means. Zhu et al. 2021, Theorem 3.1, gives the geometry; the gap g in closed form is
// derived in docs/solve.md, and with alpha 0 also follows from their scalar problem.
type ceBalanced struct {
	K, n   float64
	alpha  float64
	lambda decays
	Lambda float64 // sqrt(n lambda_W lambda_H), the price of a unit of a singular value of the logits of the means
	gap    float64 // own logit less any other
}

func newCEBalanced(K, n int, alpha float64, lambda decays) ceBalanced {
	c := ceBalanced{K: float64(K), n: float64(n), alpha: alpha, lambda: lambda}
	c.Lambda = math.Sqrt(c.n * lambda.W * lambda.H)
	// g = ln(1/price - (K-1)), price = Lambda + alpha/K
	if over := 1 - c.K*c.Lambda - alpha; over > 0 {
		c.gap = math.Log1p(over / (c.Lambda + alpha/c.K))
	}
	return c
}

func (c ceBalanced) trivial() bool { return c.gap == 0 }

// dataLoss is ln(e^g + K-1) - (1 - alpha + alpha/K) g.
func (c ceBalanced) dataLoss() float64 {
	return math.Log1p((c.K-1)*math.Exp(-c.gap)) + c.alpha*(c.K-1)/c.K*c.gap
}

func (c ceBalanced) value() float64 { return c.dataLoss() + (c.K-1)*c.Lambda*c.gap }

// norms are the squared Frobenius norms of W and H.
func (c ceBalanced) norms() (w, h float64) {
	s := math.Sqrt(c.n) * (c.K - 1) * c.gap // nuclear norm of the logits of all samples
	return s * math.Sqrt(c.lambda.H/c.lambda.W), s * math.Sqrt(c.lambda.W/c.lambda.H)
}

func (c ceBalanced) words(bias Bias) []string {
	if c.trivial() {
		return []string{fmt.Sprintf("The decays are too strong: K sqrt(n lambda_W lambda_H) = %.4g is not below 1, everything is zero, and every class gets the same probability.", c.K*c.Lambda+c.alpha)}
	}
	words := fmt.Sprintf("Neural collapse: every class is a point, the class means form a simplex, and the classifier is its copy, scaled by %.4g. The own logit is %.4g above every other.", math.Sqrt(c.n*c.lambda.H/c.lambda.W), c.gap)
	switch bias {
	case FreeBias:
		words += " The bias is the same for all classes, whatever it is."
	case DecayedBias:
		words += " The bias is 0."
	}
	return []string{words}
}

// tooFewDimensions is the refusal of a formula that wants a simplex.
func tooFewDimensions(K, d int) error {
	return fmt.Errorf("d: %d, the theorem wants at least K-1 = %d: fewer dimensions have no simplex; --numeric solves it without a theorem", d, K-1)
}

// balanced is a model with n samples in each of K classes.
func balanced(loss Loss, K, n, d int, lambda decays) Problem {
	return Problem{Loss: loss, Counts: slices.Repeat([]int{n}, K), Dim: d, W: Decay(lambda.W), H: Decay(lambda.H), Bias: lambda.Bias, B: lambda.B}
}

func ceDecay(ctx context.Context, p *params, o Options) (*Report, error) {
	K, n, d := p.classes("K"), p.count("n"), p.count("d")
	lambda := p.decays()
	if err := p.done(); err != nil {
		return nil, err
	}
	r := &Report{}
	if d >= K-1 {
		c := newCEBalanced(K, n, 0, lambda)
		w, h := c.norms()
		r.ClosedForm = Fields{{"value", c.value()}, {"data_loss", c.dataLoss()}, {"trivial", c.trivial()}, {"Lambda", c.Lambda}, {"gap", c.gap},
			{"own_logit", c.gap * (c.K - 1) / c.K}, {"other_logit", -c.gap / c.K}, {"W_fro2", w}, {"H_fro2", h},
			{"w_row_norm", math.Sqrt(w / c.K)}, {"h_row_norm", math.Sqrt(h / (c.K * c.n))},
			{"theorem", "Zhu et al. 2021, Theorem 3.1"}, {"proved", true}}
		r.Words = c.words(lambda.Bias)
	} else if !o.Numeric {
		return nil, tooFewDimensions(K, d)
	}
	return r, r.searchInto(ctx, balanced(Loss{Kind: CrossEntropy}, K, n, d, lambda), o)
}

// ceTangent is the bound f >= -rho/((1+c1)(K-1)) sqrt(lambda_W/(n lambda_H)) + c2 + lambda_W rho, rho = |W|^2, at the c1
// that makes it an equality at the optimum (Zhu et al. 2021, tangent of the cross-entropy).
func ceTangent(_ context.Context, p *params, _ Options) (*Report, error) {
	K, n := p.classes("K"), p.count("n")
	lambda := decays{W: p.positive("lambda_W"), H: p.positive("lambda_H")}
	if err := p.done(); err != nil {
		return nil, err
	}
	c := newCEBalanced(K, n, 0, lambda)
	rho, _ := c.norms()
	c1 := math.Exp(c.gap) / (c.K - 1)
	c2 := math.Log((1+c1)*(c.K-1))/(1+c1) + c1/(1+c1)*math.Log1p(1/c1)
	bound := -rho/((1+c1)*(c.K-1))*math.Sqrt(lambda.W/(c.n*lambda.H)) + c2 + lambda.W*rho
	return &Report{NotSolved: "nothing_to_solve", ClosedForm: Fields{{"value", bound}, {"rho", rho}, {"c1", c1}, {"c2", c2}, {"optimum", c.value()},
		{"theorem", "Zhu et al. 2021, tangent of the cross-entropy"}, {"proved", true}},
		Words: []string{"The tangent to the loss touches it at the optimum: bound and optimum agree."}}, nil
}

// orthoplexLoss is ln(1 + (K-2) e^-x + e^-2x), the loss of logits (x, 0, ..., 0, -x), and its derivative.
func orthoplexLoss(K, x float64) (loss, slope float64) {
	e := math.Exp(-x)
	rest := (K-2)*e + e*e
	return math.Log1p(rest), -((K-2)*e + 2*e*e) / (1 + rest)
}

func ceOrthoplex(ctx context.Context, p *params, o Options) (*Report, error) {
	K, n, d := p.classes("K"), p.count("n"), p.count("d")
	lambda := p.decays()
	if err := p.done(); err != nil {
		return nil, err
	}
	r := &Report{}
	if K == 2*d {
		simplex := newCEBalanced(K, n, 0, lambda)
		k := simplex.K
		price := k * simplex.Lambda // (K/2) singular values 2x, sqrt n each
		x := 0.0
		if price < 1 {
			x = root.Between(func(x float64) float64 { _, s := orthoplexLoss(k, x); return s + price }, 0, 2*math.Log(4*k/price))
		}
		loss, _ := orthoplexLoss(k, x)
		r.ClosedForm = Fields{{"value", loss + price*x}, {"trivial", x == 0}, {"own_logit", x}, {"geometry", "orthoplex"}, {"simplex_value", simplex.value()},
			{"theorem", "scalar problem of the orthoplex, derived here"}, {"proved", false}}
		r.Words = []string{fmt.Sprintf("%d dimensions have no room for a simplex of %d classes. The classes pair up as opposite points on the axes, an orthoplex; a simplex in more dimensions would reach %.6g.", d, K, simplex.value()),
			"That no point is lower is known from many searches, not proved."}
	} else if !o.Numeric {
		return nil, fmt.Errorf("d: %d, the formula is for d = K/2 = %g; --numeric solves it without one", d, float64(K)/2)
	}
	return r, r.searchInto(ctx, balanced(Loss{Kind: CrossEntropy}, K, n, d, lambda), o)
}
