package ufm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/linalg"
)

var certificateQuestions = []Question{
	{"certificate_spectral", "the gradient in the logits at the optimum (Zhu et al. 2021, Lemma C.4)", "K n d lambda_W lambda_H bias [lambda_b] loss=ce", certificateSpectral},
	{"saddle_two_pairs", "four classes, merged in two pairs: a saddle", "K n d lambda_W lambda_H bias loss=ce", saddleTwoPairs},
	{"saddle_zero", "zero, where it is a saddle", "K n d lambda_W lambda_H bias [lambda_b] loss=ce", saddleZero},
	{"saddle_partial_rank", "squared error, some classes not learned: a saddle", "K n d lambda_W lambda_H bias loss=mse classes_learned", saddlePartialRank},
	{"duality_gap", "a lower bound on the optimum from any point", "counts d [lambda_W] [lambda_H] [E_W] [E_H] [constraint] bias [lambda_b] loss=ce W H [b]", dualityGap},
}

// balancedModel reads the parameters of a balanced problem with decays.
func (p *params) balancedModel(losses ...string) (K, n, d int, lambda decays, loss LossKind) {
	K, n, d = p.classes("K"), p.count("n"), p.count("d")
	lambda = p.decays()
	loss = LossKind(p.oneOf("loss", losses...))
	if p.err == nil && (K > 2000 || d > 100_000) {
		p.fail("K", "%d classes in %d dimensions, wanted at most 2000 in 100000", K, d)
	}
	return K, n, d, lambda, loss
}

// diagonal is a I + b J, K x K.
func diagonal(K int, a, b float64) []float64 {
	m := make([]float64, K*K)
	for i := range m {
		m[i] = b
	}
	for i := range K {
		m[i*K+i] += a
	}
	return m
}

func certificateSpectral(ctx context.Context, p *params, o Options) (*Report, error) {
	K, n, d, lambda, loss := p.balancedModel(string(CrossEntropy), string(SquaredError))
	if err := p.done(); err != nil {
		return nil, err
	}
	var logits []float64
	var value, b float64
	if loss == CrossEntropy {
		c := newCEBalanced(K, n, 0, lambda)
		logits, value = diagonal(K, c.gap, -c.gap/c.K), c.value()
	} else {
		m := newMSEBalanced(K, n, d, lambda)
		if math.IsNaN(m.t) {
			return nil, fmt.Errorf("d: %d, wanted at least K = %d: the optimum is not unique", d, K)
		}
		logits, value, b = diagonal(K, m.s, (m.t-m.s)/m.K), m.value(), m.b
	}
	if d < K-1 {
		return nil, tooFewDimensions(K, d)
	}
	at, err := factorise(logits, K, n, d, lambda)
	if err != nil {
		return nil, err
	}
	model := balanced(Loss{Kind: loss}, K, n, d, lambda)
	if lambda.Bias != NoBias {
		at.B = make([]float64, K)
		for i := range at.B {
			at.B[i] = b
		}
	}
	f, err := model.objectiveFor(at)
	if err != nil {
		return nil, err
	}
	c, err := f.certify(at)
	if err != nil {
		return nil, err
	}
	s, err := linalg.SingularValues(len(f.rows), K, f.columns(func(r sampleRow) float64 { return math.Sqrt(r.times) }))
	if err != nil {
		return nil, err
	}
	same := 0
	for _, v := range s {
		if v > s[0]*(1-1e-6) {
			same++
		}
	}
	r := &Report{NotSolved: "nothing_to_solve", Certificate: c.fields(), Words: []string{c.Words}}
	r.Certificate = append(r.Certificate, Fields{{"multiplicity", same}, {"value", f.valueAt(at)}}...)
	r.ClosedForm = Fields{{"value", value}, {"theorem", "Zhu et al. 2021, Lemma C.4"}, {"proved", true}}
	return r, nil
}

// explain adds what a saddle is, and where the way out of it leads.
func (r *Report) explain(ctx context.Context, model Problem, at Point) error {
	s, err := model.Saddle(ctx, at)
	if err != nil {
		return err
	}
	r.NotSolved = "nothing_to_solve"
	r.Certificate = append(Fields{{"global", false}}, s.fields()...)
	r.Words = append(r.Words, s.words()...)
	r.Metrics, err = model.measure(ctx, at)
	return err
}

// noRoom refuses a saddle that has no dimension left to leave by.
func (p *params) noRoom(d, rank int) {
	if p.err == nil && d <= rank {
		p.fail("d", "%d, wanted more than %d: the way out needs a dimension that W does not use", d, rank)
	}
}

func saddleTwoPairs(ctx context.Context, p *params, _ Options) (*Report, error) {
	K, n, d, lambda, _ := p.balancedModel(string(CrossEntropy))
	if p.err == nil && K != 4 {
		p.fail("K", "%d, wanted 4", K)
	}
	p.noRoom(d, 1)
	if err := p.done(); err != nil {
		return nil, err
	}
	c := newCEBalanced(K, n, 0, lambda)
	if !(4*c.Lambda < 1) {
		return nil, fmt.Errorf("lambda_W and lambda_H: K sqrt(n lambda_W lambda_H) = %.4g is not below 1, so that zero is the optimum", 4*c.Lambda)
	}
	gap := math.Log(1/(2*c.Lambda) - 1)
	sign := []float64{1, 1, -1, -1}
	logits := make([]float64, 16)
	for i := range logits {
		logits[i] = gap / 2 * sign[i/4] * sign[i%4]
	}
	at, err := factorise(logits, 4, n, d, lambda)
	if err != nil {
		return nil, err
	}
	r := &Report{ClosedForm: Fields{{"value", math.Ln2 - math.Log1p(-2*c.Lambda) + 2*c.Lambda*gap}, {"between_pair_gap", gap}, {"global_value", c.value()},
		{"theorem", "strict saddle as in Zhu et al. 2021; derived here"}, {"proved", true}},
		Words: []string{"The classes are merged in two pairs."}}
	return r, r.explain(ctx, balanced(Loss{Kind: CrossEntropy}, K, n, d, lambda), at)
}

func saddleZero(ctx context.Context, p *params, _ Options) (*Report, error) {
	K, n, d, lambda, loss := p.balancedModel(string(CrossEntropy), string(SquaredError))
	if err := p.done(); err != nil {
		return nil, err
	}
	value, global, trivial := math.Log(float64(K)), 0.0, false
	at := Point{W: make([]float64, K*d), H: make([]float64, K*d)}
	if lambda.Bias != NoBias {
		at.B = make([]float64, K)
	}
	if loss == CrossEntropy {
		c := newCEBalanced(K, n, 0, lambda)
		global, trivial = c.value(), c.trivial()
	} else {
		m := newMSEBalanced(K, n, d, lambda)
		global, trivial, value = m.value(), m.kl >= 1, 0.5
		for i := range at.B { // the best bias of zero features
			at.B[i] = 1 / (float64(K) * (1 + lambda.B))
			value = 0.5 - 1/(2*float64(K)*(1+lambda.B))
		}
	}
	if trivial {
		return nil, fmt.Errorf("lambda_W and lambda_H: so strong that zero is the optimum, not a saddle")
	}
	r := &Report{ClosedForm: Fields{{"value", value}, {"theorem", "Zhu et al. 2021, strict saddles"}, {"proved", true}}, Words: []string{"W and H are zero."}}
	if loss == CrossEntropy && d >= K-1 || loss == SquaredError && d >= K {
		r.ClosedForm.Add("global_value", global)
	}
	return r, r.explain(ctx, balanced(Loss{Kind: loss}, K, n, d, lambda), at)
}

func saddlePartialRank(ctx context.Context, p *params, _ Options) (*Report, error) {
	K, n, d, lambda, _ := p.balancedModel(string(SquaredError))
	learned := p.count("classes_learned")
	if p.err == nil && lambda.Bias != NoBias {
		p.fail("bias", "%s, wanted none", lambda.Bias)
	}
	if p.err == nil && learned >= K {
		p.fail("classes_learned", "%d, wanted fewer than the %d classes", learned, K)
	}
	p.noRoom(d, learned)
	if err := p.done(); err != nil {
		return nil, err
	}
	m := newMSEBalanced(K, n, d, lambda)
	if m.s == 0 {
		return nil, fmt.Errorf("lambda_W and lambda_H: so strong that zero is the optimum, not a saddle")
	}
	logits := make([]float64, K*K)
	for i := range learned {
		logits[i*K+i] = m.s
	}
	at, err := factorise(logits, K, n, d, lambda)
	if err != nil {
		return nil, err
	}
	rest := float64(K - learned)
	r := &Report{ClosedForm: Fields{{"value", (float64(learned)*m.price(m.s) + rest/2) / m.K}, {"global_value", m.value()},
		{"theorem", "strict saddle as in Zhu et al. 2021; derived here"}, {"proved", true}},
		Words: []string{fmt.Sprintf("%d of %d classes are learned, the others are zero.", learned, K)}}
	return r, r.explain(ctx, balanced(Loss{Kind: SquaredError}, K, n, d, lambda), at)
}

// dualityGap evaluates a point that need not be critical, and searches the optimum beside it.
func dualityGap(ctx context.Context, p *params, o Options) (*Report, error) {
	counts, d := p.classCounts("counts"), p.count("d")
	model := Problem{Counts: counts, Dim: d}
	rows, ew, eh := 0, 0.0, 0.0
	for _, n := range counts {
		rows += n
	}
	if p.has("E_W") || p.has("E_H") || p.has("constraint") {
		ew, eh = p.energies()
		p.oneOf("constraint", string(EnergyKind))
		model.W, model.H = Energy(ew), Energy(eh)
		model.Bias = Bias(p.oneOf("bias", string(NoBias)))
		rows = len(counts)
	} else {
		lambda := p.decays()
		model.W, model.H, model.Bias, model.B = Decay(lambda.W), Decay(lambda.H), lambda.Bias, lambda.B
	}
	model.Loss.Kind = LossKind(p.oneOf("loss", string(CrossEntropy), string(SquaredError)))
	if p.err == nil && float64(max(rows, len(counts)))*float64(d) > 1e7 {
		p.fail("counts", "%d samples in %d dimensions, wanted at most ten million numbers", rows, d)
	}
	if p.err != nil {
		return nil, p.done()
	}
	at := Point{W: p.matrix("W", len(counts), d, ew), H: p.matrix("H", rows, d, eh)}
	if model.Bias != NoBias {
		if at.B = p.reals("b"); p.err == nil && len(at.B) != len(counts) {
			p.fail("b", "%d numbers, wanted %d", len(at.B), len(counts))
		}
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	c, err := model.Certify(at)
	if err != nil {
		return nil, err
	}
	f, err := model.objectiveFor(at)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := r.searchInto(ctx, model, o); err != nil {
		return nil, err
	}
	optimum := any(nil)
	if r.Solved != nil {
		optimum = r.Solved.Number("value")
	}
	found := r.Certificate
	if i := slices.IndexFunc(r.Solved, func(f Field) bool { return f.Name == "gap" }); i >= 0 {
		r.Solved[i].Name = "logit_gap" // gap is that of the duality here
	}
	r.Certificate = append(Fields{{"objective", f.valueAt(at)}}, c.fields()...)
	r.Certificate = append(r.Certificate, Fields{{"optimum", optimum}, {"optimum_certificate", found}}...)
	r.Words = append([]string{fmt.Sprintf("The gradient at the point proves that nothing is below %.10g.", c.LowerBound)}, r.Words...)
	return r, nil
}
