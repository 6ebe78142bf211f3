package ufm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/linalg"
)

var squaredQuestions = []Question{
	{"mse_decay", "squared error with decays, equal counts (Tirer, Bruna 2022)", "K n d lambda_W lambda_H bias [lambda_b]", mseDecay},
	{"mse_decay_imbalanced", "squared error with decays, any counts (Dang et al. 2023)", "counts d lambda_W lambda_H bias", mseImbalanced},
}

// mseBalanced is the optimum of squared error with decays and equal counts: logits s (I - J/K) + t J/K of the class
// means. Every direction is by itself: its singular value in units of sqrt(n) costs ((1-s)^2/2 + kl s)/K.
type mseBalanced struct {
	K, n       float64
	lambda     decays
	Lambda     float64
	kl         float64 // K Lambda, the price of a unit
	directions float64 // that are learned, the mean one aside
	left       float64 // that cannot be, for want of dimensions
	s, t       float64 // of the directions, and of the mean
	b          float64 // every bias
}

func newMSEBalanced(K, n, d int, lambda decays) mseBalanced {
	m := mseBalanced{K: float64(K), n: float64(n), lambda: lambda, directions: float64(K - 1)}
	m.Lambda = math.Sqrt(m.n * lambda.W * lambda.H)
	m.kl = m.K * m.Lambda
	m.s = max(0, 1-m.kl)
	switch lambda.Bias {
	case NoBias:
		m.t = m.s
		if d < K { // any d directions
			m.directions, m.left, m.t = float64(d), float64(K-d), math.NaN()
		}
	case FreeBias:
		m.b = 1 / m.K
	case DecayedBias:
		m.t = max(0, 1-m.kl*(1+lambda.B)/lambda.B)
		m.b = (1 - m.t) / (m.K * (1 + lambda.B))
	}
	return m
}

func (m mseBalanced) price(s float64) float64 { return (1-s)*(1-s)/2 + m.kl*s }

func (m mseBalanced) value() float64 {
	v := m.directions*m.price(m.s) + m.left/2
	switch {
	case m.lambda.Bias == DecayedBias:
		v += (1-m.t)*(1-m.t)/2*m.lambda.B/(1+m.lambda.B) + m.kl*m.t
	case m.lambda.Bias == NoBias && m.left == 0:
		v += m.price(m.t)
	}
	return v / m.K
}

// sum is that of the singular values of the logits of the means.
func (m mseBalanced) sum() float64 {
	if math.IsNaN(m.t) {
		return m.directions * m.s
	}
	return m.directions*m.s + m.t
}

func (m mseBalanced) words() []string {
	switch {
	case m.s == 0:
		return []string{fmt.Sprintf("The decays are too strong: K sqrt(n lambda_W lambda_H) = %.4g is not below 1, and everything but the bias is zero.", m.kl)}
	case m.left > 0:
		return []string{"Every class is a point, but the optimum is not unique: any projection onto so many directions does, and the classes need not be alike."}
	case m.t == m.s:
		return []string{"Every class is a point; the class means and the classifier are an orthogonal frame, whose centred means are a simplex. The classifier is not centred, so it is the copy of the means before centring, not after."}
	case m.t == 0:
		return []string{"Neural collapse: every class is a point, the class means form a simplex, and the classifier is its copy."}
	default:
		return []string{fmt.Sprintf("Every class is a point; the class means lie between an orthogonal frame and a simplex, with cosines %.4g, for the decay keeps the bias from taking the mean.", (m.t-m.s)/((m.K-1)*m.s+m.t))}
	}
}

func mseDecay(ctx context.Context, p *params, o Options) (*Report, error) {
	K, n, d := p.classes("K"), p.count("n"), p.count("d")
	lambda := p.decays()
	if err := p.done(); err != nil {
		return nil, err
	}
	m := newMSEBalanced(K, n, d, lambda)
	r := &Report{}
	switch enough := d >= K-1 && (d >= K || m.t == 0); {
	case lambda.Bias == NoBias || enough:
		sum := m.sum()
		kw := math.Sqrt(m.n * lambda.H / lambda.W)
		r.ClosedForm = Fields{{"value", m.value()}, {"trivial", m.kl >= 1}, {"Lambda", m.Lambda}, {"s", m.s}}
		if !math.IsNaN(m.t) {
			r.ClosedForm.Add("t_mean_direction", m.t)
		}
		r.ClosedForm = append(r.ClosedForm, Fields{{"bias", m.b}, {"W_fro2", kw * sum}, {"H_fro2", math.Sqrt(m.n*lambda.W/lambda.H) * sum}}...)
		if lambda.Bias == NoBias && d >= K && m.s > 0 {
			r.ClosedForm.Add("cos_W_Mcentred", math.Sqrt((m.K-1)/m.K))
		}
		if lambda.Bias == DecayedBias {
			change := math.NaN()
			if m.kl < 1 {
				change = m.kl / (1 - m.kl)
			}
			r.ClosedForm.Add("bias_decay_switch", change)
		}
		theorem := map[Bias]string{NoBias: "Tirer, Bruna 2022, Theorem 3.1", FreeBias: "Tirer, Bruna 2022, Theorem 3.2", DecayedBias: "derived here, after Tirer, Bruna 2022"}
		r.ClosedForm = append(r.ClosedForm, Fields{{"theorem", theorem[lambda.Bias]}, {"proved", true}}...)
		r.Words = m.words()
	case !o.Numeric:
		if d >= K-1 {
			return nil, fmt.Errorf("d: %d, with this decay of the bias the theorem wants at least K = %d; --numeric solves it without a theorem", d, K)
		}
		return nil, tooFewDimensions(K, d)
	}
	return r, r.searchInto(ctx, balanced(Loss{Kind: SquaredError}, K, n, d, lambda), o)
}

func mseImbalanced(ctx context.Context, p *params, o Options) (*Report, error) {
	counts, d := p.classCounts("counts"), p.count("d")
	lambda := p.decays()
	if err := p.done(); err != nil {
		return nil, err
	}
	model := Problem{Loss: Loss{Kind: SquaredError}, Counts: counts, Dim: d, W: Decay(lambda.W), H: Decay(lambda.H), Bias: lambda.Bias, B: lambda.B}
	k, n, l0 := len(counts), model.samples(), math.Sqrt(lambda.W*lambda.H)
	r := &Report{}
	switch {
	case lambda.Bias == NoBias && d >= k:
		s, rows := make([]float64, k), make([]float64, k)
		value, gone := 0.0, 0
		for i, c := range counts {
			root := math.Sqrt(float64(c))
			s[i] = max(0, 1-n*l0/root)
			rows[i] = math.Sqrt(math.Sqrt(lambda.H/lambda.W) * root * s[i])
			value += float64(c)*(1-s[i])*(1-s[i])/(2*n) + l0*root*s[i]
			if s[i] == 0 {
				gone++
			}
		}
		r.ClosedForm = Fields{{"value", value}, {"s", s}, {"w_row_norm", rows}, {"vanishing_count", n * n * lambda.W * lambda.H},
			{"theorem", "Dang et al. 2023 (general orthogonal frame); derived here"}, {"proved", true}}
		r.Words = []string{fmt.Sprintf("Without a bias the classes do not see one another: orthogonal directions, longer for larger classes. Classes of at most %.4g samples are not learned: %d of %d.", n*n*lambda.W*lambda.H, gone, k)}
	case lambda.Bias == FreeBias && d >= k-1 && k <= 1000:
		// Labels centred over the samples have the class columns (e_c - pi) sqrt(n_c).
		y, bias := make([]float64, k*k), make([]float64, k)
		for i, c := range counts {
			bias[i] = float64(c) / n
		}
		for i := range counts {
			for j, c := range counts {
				y[i*k+j] = -bias[i] * math.Sqrt(float64(c))
				if i == j {
					y[i*k+j] += math.Sqrt(float64(c))
				}
			}
		}
		v, err := linalg.SingularValues(k, k, y)
		if err != nil {
			return nil, err
		}
		z := slices.Clone(v)
		value := 0.0
		for i := range z {
			z[i] = max(0, v[i]-n*l0)
			value += (v[i]-z[i])*(v[i]-z[i])/(2*n) + l0*z[i]
		}
		r.ClosedForm = Fields{{"value", value}, {"singular_values_of_centred_Y", v}, {"singular_values_of_Z", z}, {"bias", bias},
			{"theorem", "singular values of the centred labels less N sqrt(lambda_W lambda_H); derived here"}, {"proved", true}}
		r.Words = []string{"The bias is the frequency of the class; the logits are the centred labels with every singular value lowered by the same amount, so weak directions, those of rare classes, go first."}
	case !o.Numeric:
		if lambda.Bias == DecayedBias {
			return nil, fmt.Errorf("bias: decayed, there is no theorem for it with unequal counts; --numeric solves it")
		}
		return nil, tooFewDimensions(k, d)
	}
	return r, r.searchInto(ctx, model, o)
}
