package ufm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/linalg"
)

var normQuestions = []Question{
	{"ce_layer_peeled", "cross-entropy with bounded energies, equal counts (Fang et al. 2021)", "K n d E_W E_H constraint=energy bias", ceLayerPeeled},
	{"ce_sphere", "cross-entropy on spheres with a temperature (Lu, Steinerberger 2022; Yaras et al. 2022)", "K n d logit_scale constraint=sphere bias", ceSphere},
	{"ce_sphere_low_dim", "the same in the plane", "K n d logit_scale constraint=sphere bias", cePolygon},
	{"ce_output_ball", "cross-entropy of outputs in a ball (Wojtowytsch et al. 2020)", "K n radius constraint=ball", ceOutputBall},
	{"max_margin", "the largest margin, any counts (Ji et al. 2021; Thrampoulidis et al. 2022)", "counts bias", maxMargin},
	{"ce_jensen", "what the outputs of a class lose by differing", "K n logits", ceJensen},
}

// simplexLoss is ln(1 + (K-1) e^-g), the cross-entropy of logits with the gap g.
func simplexLoss(K, g float64) float64 { return math.Log1p((K - 1) * math.Exp(-g)) }

func ceLayerPeeled(ctx context.Context, p *params, o Options) (*Report, error) {
	K, n, d := p.classes("K"), p.count("n"), p.count("d")
	ew, eh := p.energies()
	kind := RegulariserKind(p.oneOf("constraint", string(EnergyKind), string(BallKind)))
	bias := Bias(p.oneOf("bias", string(NoBias), string(FreeBias)))
	if err := p.done(); err != nil {
		return nil, err
	}
	r := &Report{}
	if d >= K-1 {
		k := float64(K)
		g := math.Sqrt(ew*eh) * k / (k - 1)
		r.ClosedForm = Fields{{"value", simplexLoss(k, g)}, {"gap", g}, {"own_logit", g * (k - 1) / k}, {"other_logit", -g / k},
			{"w_row_norm", math.Sqrt(ew)}, {"h_row_norm", math.Sqrt(eh)}, {"theorem", "Fang et al. 2021"}, {"proved", true}}
		r.Words = []string{fmt.Sprintf("Neural collapse: every class is a point, the class means form a simplex, and the classifier is its copy. Both bounds are reached; only their product counts, and the own logit is %.4g above every other.", g)}
	} else if !o.Numeric {
		return nil, tooFewDimensions(K, d)
	}
	model := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: slices.Repeat([]int{n}, K), Dim: d, W: Regulariser{kind, ew}, H: Regulariser{kind, eh}, Bias: bias}
	return r, r.searchInto(ctx, model, o)
}

// onSphere reads the parameters of problems on unit spheres.
func (p *params) onSphere() (K, d int, scale float64, model Problem) {
	K, n, d := p.classes("K"), p.count("n"), p.count("d")
	scale = p.positive("logit_scale")
	p.oneOf("constraint", string(SphereKind))
	bias := Bias(p.oneOf("bias", string(NoBias)))
	if p.err == nil {
		model = Problem{Loss: Loss{Kind: CrossEntropy}, Counts: slices.Repeat([]int{n}, K), Dim: d, W: Sphere(1), H: Sphere(1), Scale: scale, Bias: bias}
	}
	return K, d, scale, model
}

func ceSphere(ctx context.Context, p *params, o Options) (*Report, error) {
	K, d, scale, model := p.onSphere()
	if err := p.done(); err != nil {
		return nil, err
	}
	r := &Report{}
	if d >= K-1 {
		k := float64(K)
		g := scale * k / (k - 1)
		r.ClosedForm = Fields{{"value", simplexLoss(k, g)}, {"gap", g}, {"cos_between_means", -1 / (k - 1)}, {"cos_w_h", 1.0},
			{"theorem", "Lu, Steinerberger 2022; Yaras et al. 2022"}, {"proved", true}}
		r.Words = []string{fmt.Sprintf("Neural collapse: the classes are the corners of a simplex on the sphere, classifier and features at the same places, cosines %.4g.", -1/(k-1))}
	} else if !o.Numeric {
		return nil, tooFewDimensions(K, d)
	}
	return r, r.searchInto(ctx, model, o)
}

func cePolygon(ctx context.Context, p *params, o Options) (*Report, error) {
	K, d, scale, model := p.onSphere()
	if err := p.done(); err != nil {
		return nil, err
	}
	r := &Report{}
	if d == 2 {
		sum := 0.0
		for j := range K {
			sum += math.Exp(scale * (math.Cos(2*math.Pi*float64(j)/float64(K)) - 1))
		}
		r.ClosedForm = Fields{{"value", math.Log(sum)}, {"geometry", "polygon"}, {"cos_w_h", 1.0}, {"theorem", "regular polygon; value derived here"}, {"proved", K <= 3}}
		r.Words = []string{fmt.Sprintf("The classes are the corners of a regular polygon of %d.", K)}
		if K > 3 {
			r.Words = append(r.Words, "That no point is lower is known from many searches, not proved.")
		}
	} else if !o.Numeric {
		return nil, fmt.Errorf("d: %d, the formula is for the plane, d = 2; --numeric solves it without one", d)
	}
	return r, r.searchInto(ctx, model, o)
}

// ceOutputBall has the outputs themselves as its variables: features in a ball, with the identity for a classifier.
func ceOutputBall(ctx context.Context, p *params, o Options) (*Report, error) {
	K, n, radius := p.classes("K"), p.count("n"), p.positive("radius")
	p.oneOf("constraint", string(BallKind))
	if err := p.done(); err != nil {
		return nil, err
	}
	k := float64(K)
	g := radius * math.Sqrt(k/(k-1))
	r := &Report{ClosedForm: Fields{{"value", simplexLoss(k, g)}, {"gap", g}, {"own_output", g * (k - 1) / k}, {"other_output", -g / k},
		{"theorem", "Wojtowytsch et al. 2020"}, {"proved", true}},
		Words: []string{"The outputs of every class are one point at the edge of the ball, corners of a simplex."}}
	model := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: slices.Repeat([]int{n}, K), Dim: K, W: Sphere(1), H: Ball(radius * radius), Classifier: Identity}
	return r, r.searchInto(ctx, model, o)
}

// maxMargin has logits I - J/K whatever the counts; the norms follow from their nuclear norm, columns weighted by sqrt(n_k).
func maxMargin(_ context.Context, p *params, _ Options) (*Report, error) {
	counts := p.classCounts("counts")
	p.oneOf("bias", string(NoBias))
	if err := p.done(); err != nil {
		return nil, err
	}
	nuclear, err := centredNuclearNorm(counts)
	if err != nil {
		return nil, err
	}
	same := slices.Max(counts) == slices.Min(counts)
	words := "Every logit gap is the same and the classes are a simplex"
	if !same {
		words = "Every logit gap is the same, but norms and angles depend on the counts: simplex-encoded labels"
	}
	return &Report{NotSolved: "nothing_to_solve", ClosedForm: Fields{{"min_half_norms", nuclear}, {"W_fro2", nuclear}, {"H_fro2", nuclear}, {"max_margin_unit_norm", 1 / (2 * nuclear)},
		{"theorem", "Ji et al. 2021 (equal counts); Thrampoulidis et al. 2022 (any)"}, {"proved", true}}, Words: []string{words + "."}}, nil
}

// centredNuclearNorm is |(I - J/K) diag(sqrt(n_k))|_*. Classes of the same size share a singular value, sqrt(n); what is
// left is as large as the number of sizes, so any number of classes will do.
func centredNuclearNorm(counts []int) (float64, error) {
	var sizes []int // different ones, with multiplicities
	var times []float64
	for _, n := range counts {
		if i := slices.Index(sizes, n); i >= 0 {
			times[i]++
		} else {
			sizes, times = append(sizes, n), append(times, 1)
		}
	}
	g, k := len(sizes), float64(len(counts))
	sum := 0.0
	m := make([]float64, g*g) // on the unit vectors of the groups
	for i := range g {
		sum += (times[i] - 1) * math.Sqrt(float64(sizes[i]))
		for j := range g {
			m[i*g+j] = -math.Sqrt(times[i]*times[j]) / k * math.Sqrt(float64(sizes[j]))
		}
		m[i*g+i] += math.Sqrt(float64(sizes[i]))
	}
	s, err := linalg.SingularValues(g, g, m)
	for _, v := range s {
		sum += v
	}
	return sum, err
}

// ceJensen compares the cross-entropy of outputs with that of their class means, and with a quadratic bound on the difference
// from the least curvature of the loss in a ball.
func ceJensen(_ context.Context, p *params, _ Options) (*Report, error) {
	K, n := p.classes("K"), p.count("n")
	if K*n > 1_000_000 {
		p.fail("n", "%d samples, wanted at most a million", K*n)
	}
	if p.err != nil {
		return nil, p.done()
	}
	logits := p.matrix("logits", K*n, K, 0)
	if err := p.done(); err != nil {
		return nil, err
	}
	risk, ofMeans, radius, spread := 0.0, 0.0, 0.0, 0.0
	scratch, g := make([]float64, K), make([]float64, K)
	centred := func(z []float64) []float64 {
		mean := 0.0
		for _, v := range z {
			mean += v / float64(K)
		}
		c := make([]float64, K)
		norm := 0.0
		for j, v := range z {
			c[j] = v - mean
			norm += c[j] * c[j]
		}
		radius = max(radius, math.Sqrt(norm))
		return c
	}
	ce := crossEntropy(0)
	for c := range K {
		row := sampleRow{class: c}
		mean := make([]float64, K)
		for i := range n {
			z := logits[(c*n+i)*K : (c*n+i+1)*K]
			risk += ce(row, z, nil, g, nil, scratch) / float64(K*n)
			for j, v := range z {
				mean[j] += v / float64(n)
			}
		}
		ofMeans += ce(row, mean, nil, g, nil, scratch) / float64(K)
		m := centred(mean)
		for i := range n {
			for j, v := range centred(logits[(c*n+i)*K : (c*n+i+1)*K]) {
				spread += (v - m[j]) * (v - m[j]) / float64(K*n)
			}
		}
	}
	bound := math.Exp(-math.Sqrt2*radius) / (2 * float64(K)) * spread
	return &Report{NotSolved: "nothing_to_solve", ClosedForm: Fields{{"risk", risk}, {"risk_of_class_means", ofMeans}, {"gap", risk - ofMeans}, {"quadratic_lower_bound", bound},
		{"theorem", "Jensen's inequality; quadratic bound derived here"}, {"proved", true}},
		Words: []string{"Replacing the outputs of a class by their mean lowers the risk, unless they differ by multiples of the all-ones vector only."}}, nil
}
