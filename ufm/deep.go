package ufm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/root"
)

var deepQuestions = []Question{
	{"deep_linear_mse", "squared error behind several linear layers (Tirer, Bruna 2022)", "K n widths lambdas bias", deepLinearMSE},
	{"two_layer_relu_mse", "squared error behind two layers with ReLU between (Tirer, Bruna 2022, Theorem 4.2)", "K n widths lambdas bias", twoLayerReLU},
	{"mse_nonneg_features", "squared error of features that are not negative", "K n d lambda_W lambda_H bias constraint=nonneg", mseNonNegative},
	{"ce_nonneg_features", "cross-entropy of features that are not negative", "K n d lambda_W lambda_H bias constraint=nonneg", ceNonNegative},
	{"deep_linear_ce", "cross-entropy behind several linear layers: simplex or orthoplex", "K n widths lambdas bias", deepLinearCE},
}

// A depth is a product of M factors with decays, the outermost weight first, the features last.
type depth struct {
	classes, samples int // K, n
	widths           []int
	decays           []float64
	bias             Bias
}

// depth reads the parameters of deep problems; biases are the rules that theory has.
func (p *params) depth(biases ...Bias) depth {
	d := depth{classes: p.classes("K"), samples: p.count("n"), widths: p.counts("widths"), decays: p.positives("lambdas")}
	words := make([]string, len(biases))
	for i, b := range biases {
		words[i] = string(b)
	}
	d.bias = Bias(p.oneOf("bias", words...))
	if len(d.decays) != len(d.widths)+1 {
		p.fail("lambdas", "%d decays, wanted %d: one for each factor, one more than widths", len(d.decays), len(d.widths)+1)
	}
	for i, w := range d.widths {
		if w < d.classes {
			p.fail(fmt.Sprintf("widths[%d]", i), "%d, wanted at least the %d classes", w, d.classes)
		}
	}
	return d
}

// problem is the model: features of the last width, layers from the inside out, the classifier.
func (d depth) problem(loss LossKind, relu bool) Problem {
	p := Problem{Loss: Loss{Kind: loss}, Counts: slices.Repeat([]int{d.samples}, d.classes), Bias: d.bias,
		W: Decay(d.decays[0]), H: Decay(d.decays[len(d.decays)-1]), Dim: d.widths[len(d.widths)-1]}
	for i := len(d.widths) - 2; i >= 0; i-- {
		p.Layers = append(p.Layers, Layer{Width: d.widths[i], Decay: d.decays[i+1], ReLU: relu})
	}
	return p
}

// mean is B = (n lambda_1 ... lambda_M)^(1/M).
func (d depth) mean() float64 {
	sum := math.Log(float64(d.samples))
	for _, l := range d.decays {
		sum += math.Log(l)
	}
	return math.Exp(sum / float64(len(d.decays)))
}

// A deepSquare is the squared error behind M factors. Singular directions of the logits are independent (trace inequality of von
// Neumann), and each costs ((1-s)^2 + M KB s^(2/M))/(2K), which has its minimum at 0 or at the largest root of
// s^(1-2/M) (1-s) = KB.
type deepSquare struct {
	factors    float64 // M
	kb         float64 // K B
	global     float64 // KB up to which the root is the minimum: there s jumps from atGlobal to 0
	atGlobal   float64
	existence  float64 // KB up to which there is a root
	branch     float64 // the largest root, NaN where there is none
	s          float64 // at the minimum
	directions float64 // K, or K-1 with a free bias, which takes the mean
	value      float64
}

func (d depth) square() deepSquare {
	m := float64(len(d.decays))
	k := float64(d.classes)
	q := deepSquare{factors: m, kb: k * d.mean(), atGlobal: (m - 2) / (m - 1), branch: math.NaN(), directions: k}
	if d.bias == FreeBias {
		q.directions--
	}
	slope := func(s float64) float64 { return math.Pow(s, 1-2/m) * (1 - s) }
	turn := (m - 2) / (2*m - 2) // where the slope is largest
	q.existence, q.global = slope(turn), slope(q.atGlobal)
	if q.kb <= q.existence {
		q.branch = root.Between(func(s float64) float64 { return slope(s) - q.kb }, turn, 1)
	}
	if q.kb < q.global { // at the threshold itself both are minima; zero is the simpler one
		q.s = q.branch
	}
	q.value = q.directions / (2 * k) * q.per(q.s)
	return q
}

// per is what a direction costs, times 2K, at a root s or at 0.
func (q deepSquare) per(s float64) float64 { return (1-s)*(1-s) + q.factors*s*(1-s) }

func deepLinearMSE(ctx context.Context, p *params, o Options) (*Report, error) {
	d := p.depth(NoBias, FreeBias)
	if err := p.done(); err != nil {
		return nil, err
	}
	q := d.square()
	r := &Report{}
	r.ClosedForm = Fields{{"M", len(d.decays)}, {"K_times_B", q.kb}, {"K_times_B_global_threshold", q.global}, {"K_times_B_existence", q.existence},
		{"s_at_threshold", q.atGlobal}, {"s_nonzero_branch", q.branch}, {"trivial", q.s == 0}, {"s", q.s}, {"value", q.value}}
	if q.s > 0 {
		m := q.factors
		product := 0.0
		for _, l := range d.decays {
			product += math.Log(l)
		}
		size := q.directions * math.Pow(math.Sqrt(float64(d.samples))*q.s, 2/m) * math.Exp(product/m)
		norms := make([]float64, len(d.decays))
		for i, l := range d.decays {
			norms[i] = size / l
		}
		r.ClosedForm.Add("factor_fro2", norms)
	}
	r.ClosedForm.Add("theorem", "Tirer, Bruna 2022, Theorem 4.1 (M = 3); trace inequality of von Neumann for any M")
	r.ClosedForm.Add("proved", true)
	shape := "an orthogonal frame"
	if d.bias == FreeBias {
		shape = "a simplex"
	}
	if q.s > 0 {
		r.Words = append(r.Words, fmt.Sprintf("The features, and every product of layers on them, are %s: each direction is kept at %.6g of its target.", shape, q.s))
	} else {
		r.Words = append(r.Words, "Everything is zero: the decays are too large for the depth.")
	}
	r.Words = append(r.Words, fmt.Sprintf("K B = %.6g; at %.6g the optimum jumps from s = %.6g to 0, up to %.6g other solutions remain as local minima.", q.kb, q.global, q.atGlobal, q.existence))
	if len(d.decays) > 2 {
		r.Words = append(r.Words, "Zero, and solutions in which some directions are lost, are local minima for any decays: one search proves nothing.")
	}
	if err := r.searchInto(ctx, d.problem(SquaredError, false), o); err != nil {
		return nil, err
	}
	if r.Solved != nil && !math.IsNaN(q.branch) {
		// the values at which searches stop, with some directions at the root and the others at zero
		levels := make([]float64, int(q.directions)+1)
		for j := range levels {
			levels[j] = (float64(j)*q.per(q.branch) + q.directions - float64(j)) / (2 * float64(d.classes))
		}
		r.Solved.Add("local_minima", levels)
	}
	return r, nil
}

func twoLayerReLU(ctx context.Context, p *params, o Options) (*Report, error) {
	d := p.depth(NoBias)
	if len(d.decays) != 3 {
		p.fail("lambdas", "%d decays, wanted 3", len(d.decays))
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	q := d.square()
	r := &Report{}
	r.ClosedForm = Fields{{"value", q.value}, {"s", q.s}, {"trivial", q.s == 0},
		{"theorem", "Tirer, Bruna 2022, Theorem 4.2: the value of three linear factors"}, {"proved", false}}
	r.Words = []string{"Behind the ReLU the features of different classes share no coordinate: a non-negative orthogonal frame.",
		"Before it they are not unique. That no point is lower is known from many searches, not proved here."}
	return r, r.searchInto(ctx, d.problem(SquaredError, true), o)
}

// nonNegative reads the parameters of problems with features that are not negative, and gives the model.
func (p *params) nonNegativeFeatures(loss LossKind, biases ...Bias) (problem Problem, lambda, kw float64) {
	k, n, d := p.classes("K"), p.count("n"), p.count("d")
	lw, lh := p.positive("lambda_W"), p.positive("lambda_H")
	words := make([]string, len(biases))
	for i, b := range biases {
		words[i] = string(b)
	}
	bias := Bias(p.oneOf("bias", words...))
	p.oneOf("constraint", "nonneg")
	if d < k {
		p.fail("d", "%d, wanted at least the %d classes: orthogonal non-negative features need as many coordinates", d, k)
	}
	problem = Problem{Loss: Loss{Kind: loss}, Dim: d, W: Decay(lw), H: Decay(lh), Bias: bias, NonNegative: true}
	if p.err == nil {
		problem.Counts = slices.Repeat([]int{n}, k)
	}
	return problem, math.Sqrt(float64(n) * lw * lh), math.Sqrt(float64(n) * lh / lw)
}

func mseNonNegative(ctx context.Context, p *params, o Options) (*Report, error) {
	problem, lambda, kw := p.nonNegativeFeatures(SquaredError, NoBias, FreeBias)
	if err := p.done(); err != nil {
		return nil, err
	}
	k := float64(len(problem.Counts))
	// Without a bias the orthogonal frame, which is optimal anyway, is not negative in its own axes. With one, the frame
	// has to bring its mean along, which the bias cannot take from features that are not negative.
	cost, directions, size := k*lambda, k, k
	if problem.Bias == FreeBias {
		cost *= math.Sqrt(k / (k - 1))
		directions, size = k-1, math.Sqrt(k*(k-1))
	}
	s := max(0, 1-cost)
	r := &Report{}
	r.ClosedForm = Fields{{"value", directions / k * ((1-s)*(1-s)/2 + cost*s)}, {"s", s}, {"W_fro2", kw * size * s}, {"trivial", s == 0},
		{"theorem", "derived for this project; without a bias it follows from Tirer, Bruna 2022, Theorem 3.1"}, {"proved", problem.Bias == NoBias}}
	r.Words = nonNegativeWords(s == 0, problem.Bias)
	return r, r.searchInto(ctx, problem, o)
}

func nonNegativeWords(trivial bool, bias Bias) []string {
	if trivial {
		return []string{"Everything is zero."}
	}
	words := []string{"The features are an orthogonal frame, each class on coordinates of its own; cosines between classes are 0."}
	if bias != NoBias {
		words = append(words, "The classifier is a simplex, so that the two are not dual. That no point is lower is known from many searches, not proved.")
	}
	return words
}

func ceNonNegative(ctx context.Context, p *params, o Options) (*Report, error) {
	problem, lambda, kw := p.nonNegativeFeatures(CrossEntropy, NoBias)
	if err := p.done(); err != nil {
		return nil, err
	}
	k := float64(len(problem.Counts))
	gap := 0.0
	if odds := math.Sqrt((k-1)/k)/lambda - (k - 1); odds > 1 {
		gap = math.Log(odds)
	}
	size := math.Sqrt(k * (k - 1))
	r := &Report{}
	r.ClosedForm = Fields{{"value", math.Log1p((k-1)*math.Exp(-gap)) + lambda*size*gap}, {"gap", gap}, {"W_fro2", kw * size * gap}, {"trivial", gap == 0},
		{"theorem", "derived for this project"}, {"proved", false}}
	r.Words = nonNegativeWords(gap == 0, FreeBias)
	return r, r.searchInto(ctx, problem, o)
}

func deepLinearCE(ctx context.Context, p *params, o Options) (*Report, error) {
	d := p.depth(NoBias)
	if err := p.done(); err != nil {
		return nil, err
	}
	m, k, b := float64(len(d.decays)), float64(d.classes), d.mean()
	// The nuclear "norm" of exponent 2/M of the logits costs M/2 B times the sum of s^(2/M).
	simplex := func(g float64) float64 {
		return math.Log1p((k-1)*math.Exp(-g)) + m/2*(k-1)*b*math.Pow(g, 2/m)
	}
	orthoplex := func(x float64) float64 {
		return math.Log1p((k-2)*math.Exp(-x)+math.Exp(-2*x)) + m/2*(k/2)*b*math.Pow(2*x, 2/m)
	}
	gap, simplexValue := lowest(simplex, func(g float64) float64 {
		e := (k - 1) * math.Exp(-g)
		return -e/(1+e) + (k-1)*b*math.Pow(g, 2/m-1)
	})
	logit, orthoplexValue := math.NaN(), math.NaN()
	if d.classes%2 == 0 && d.classes > 2 {
		logit, orthoplexValue = lowest(orthoplex, func(x float64) float64 {
			e, e2 := (k-2)*math.Exp(-x), math.Exp(-2*x)
			return -(e+2*e2)/(1+e+e2) + k*b*math.Pow(2*x, 2/m-1)
		})
	}
	best, value := "simplex", simplexValue
	if orthoplexValue < value {
		best, value = "orthoplex", orthoplexValue
	}
	r := &Report{}
	r.ClosedForm = Fields{{"value", value}, {"simplex_branch_value", simplexValue}, {"simplex_gap", gap},
		{"orthoplex_branch_value", orthoplexValue}, {"orthoplex_own_logit", logit}, {"best", best}, {"trivial", gap == 0 && !(logit > 0)},
		{"theorem", "the lower of two families, each by a scalar root; the simplex for M = 2 is Zhu et al. 2021, Theorem 3.1"}, {"proved", len(d.decays) == 2}}
	r.Words = []string{fmt.Sprintf("Of simplex and orthoplex the %s is lower, by %.3g.", best, math.Abs(simplexValue-orthoplexValue)),
		"That nothing else is lower is known from searches, not proved: behind three or more factors cross-entropy need not collapse to a simplex."}
	if math.IsNaN(orthoplexValue) {
		r.Words[0] = "Only the simplex has a formula here: an orthoplex needs an even number of classes, four at least."
	}
	return r, r.searchInto(ctx, d.problem(CrossEntropy, false), o)
}

// lowest returns where f is lowest on [0, infinity), and its value there: at 0, or at the last zero of its slope.
func lowest(f, slope func(float64) float64) (float64, float64) {
	// Beyond 800 the exponentials are gone and the slope is positive. Downwards from there the slope stays positive until
	// the last minimum; it is met by steps short enough for the shape of these functions.
	high := 800.0
	for high > 1e-6 && slope(high) >= 0 {
		high /= 1.02
	}
	if !(slope(high) < 0) {
		return 0, f(0)
	}
	x := root.Between(slope, high, high*1.02)
	if v := f(x); v < f(0) {
		return x, v
	}
	return 0, f(0)
}
