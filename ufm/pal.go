package ufm

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/collapsar/collapsar/internal/root"
)

var palQuestions = []Question{
	{"pick_all_label_decay", "several labels a sample: pick-all-label cross-entropy with decays (Li et al. 2023)", "K samples_per_set d lambda_W lambda_H bias [lambda_b] loss=pal", pickAllLabelDecay},
	{"pal", "pick-all-label cross-entropy of any counts of tag sets: scales, margins, what is weakest (Li et al. 2023)", tagSetParams, tagSetQuestion(false)},
	{"pal_mean", "the same divided by the number of tags of the sample", tagSetParams, tagSetQuestion(true)},
}

// palShape says what holds the model of balanced tag sets together: how a margin is paid for.
type palShape int

const (
	palLinear      palShape = iota // a free classifier, features of any sign
	palNonNegative                 // a free classifier, features of at least 0: a candidate, found by search only
	palFixed                       // a classifier fixed to a simplex: every tag set by itself
)

// palBalanced is the optimum of pick-all-label cross-entropy where all sets of m labels have equally many samples, or, of a
// fixed classifier, any number: the logits of a set are t_m (1_S - m/K), and one number T gives every margin t_m (the margin law).
type palBalanced struct {
	K, N, T   float64
	threshold float64 // of sqrt(lambda_W lambda_H), from which on everything is zero; NaN for a fixed classifier
	a2        float64 // W W^T = a2 (I - J/K)
	size      float64 // what W and H pay for: their product has the nuclear norm (K-1) size
	loss      float64
	value     float64
	shape     palShape
	all       []multiplicity
}

// multiplicity is all samples with m labels.
type multiplicity struct {
	m       int
	samples float64
	omega   float64 // weight of a label: 1, or 1/m
	margin  float64 // t_m at the optimum, 0 for the set of all labels
}

// gap solves g (m e^g + K - m) = aim.
func (u multiplicity) gap(K, aim float64) float64 {
	m := float64(u.m)
	high := min(aim/K, max(1, math.Log(aim/m)))
	if !(high > 0) {
		return 0
	}
	return root.Between(func(g float64) float64 { return g*(m*math.Exp(g)+K-m) - aim }, 0, high*(1+1e-15))
}

// marginAt is t_m for a T: the right side of the margin law is omega T, times (K - m)/K for features that are not negative.
func (b *palBalanced) marginAt(u multiplicity, T float64) float64 {
	m := float64(u.m)
	switch {
	case m == b.K:
		return 0
	case b.shape == palNonNegative:
		return u.gap(b.K, u.omega*T*(b.K-m)/b.K)
	}
	return u.gap(b.K, u.omega*T)
}

// feature is the squared norm of the features of samples with m labels times a2, at a margin of 1.
func (b *palBalanced) feature(u multiplicity) float64 {
	m := float64(u.m)
	if b.shape == palNonNegative {
		return m
	}
	return m * (b.K - m) / b.K
}

// newPAL finds the optimum: of a fixed classifier with rows of squared norm w2, else by the one unknown
// T = K R(T)/(N sqrt(lambda_W lambda_H)), R the size of the logits.
func newPAL(K int, samples map[int]float64, average bool, shape palShape, lambda decays, w2 float64) *palBalanced {
	k := float64(K)
	b := &palBalanced{K: k, shape: shape, threshold: math.NaN()}
	for _, m := range slices.Sorted(maps.Keys(samples)) {
		b.N += samples[m]
		if m == 0 {
			continue
		}
		u := multiplicity{m: m, samples: samples[m], omega: 1}
		if average {
			u.omega = 1 / float64(m)
		}
		b.all = append(b.all, u)
	}
	sizeOf := func(margin func(u multiplicity) float64) float64 {
		sum := 0.0
		for _, u := range b.all {
			t := margin(u)
			sum += u.samples * b.feature(u) / (k - 1) * t * t
		}
		return math.Sqrt(sum)
	}
	size := func(T float64) float64 {
		return sizeOf(func(u multiplicity) float64 { return b.marginAt(u, T) })
	}
	l0 := math.Sqrt(lambda.W * lambda.H)
	if shape == palFixed {
		b.a2 = w2 * k / (k - 1)
		b.T = k * b.a2 / (b.N * lambda.H)
	} else {
		b.threshold = k / b.N * sizeOf(func(u multiplicity) float64 { // the margins of a small T, over T
			if shape == palNonNegative {
				return u.omega * (k - float64(u.m)) / (k * k)
			}
			return u.omega / k
		})
		if l0 < b.threshold {
			rest := func(T float64) float64 { return k*size(T)/(b.N*l0) - T }
			high := 1.0
			for rest(high) > 0 && high < 1e300 {
				high *= 4
			}
			low := high / 4
			for rest(low) < 0 && low > 1e-300 {
				low /= 4
			}
			b.T = root.Between(rest, low, high)
		}
	}
	b.size = size(b.T)
	if shape != palFixed {
		b.a2 = math.Sqrt(lambda.H/lambda.W) * b.size
	}
	for i := range b.all {
		u := &b.all[i]
		u.margin = b.marginAt(*u, b.T)
		g, m := u.margin, float64(u.m)
		b.loss += u.samples * m * u.omega * (math.Log(m*math.Exp(g)+k-m) - g) / b.N
	}
	b.value = b.loss + l0*(k-1)*b.size
	if shape == palFixed {
		b.value = b.loss + lambda.H/2*(k-1)/b.a2*b.size*b.size
	}
	return b
}

// trivial tells that everything is zero.
func (b *palBalanced) trivial() bool { return b.T == 0 }

// norm2 is the squared norm of the features of samples with m labels.
func (b *palBalanced) norm2(u multiplicity) float64 {
	if b.trivial() {
		return 0
	}
	return u.margin * u.margin * b.feature(u) / b.a2
}

// scale is C_m, the factor between the feature of m labels and the sum of those of each label alone; NaN where it has none.
func (b *palBalanced) scale(u multiplicity) float64 {
	if len(b.all) == 0 || b.all[0].m != 1 || float64(u.m) == b.K || b.trivial() {
		return math.NaN()
	}
	return u.margin / b.all[0].margin
}

// floor is what the loss cannot fall below: m tags share the probability.
func (b *palBalanced) floor() float64 {
	sum := 0.0
	for _, u := range b.all {
		sum += u.samples * u.omega * float64(u.m) * math.Log(float64(u.m))
	}
	return sum / b.N
}

// setSizes reads how many samples each set of m labels has.
func (p *params) setSizes(K int) map[int]int {
	sets := map[int]int{}
	object := p.object("samples_per_set")
	total := 0.0
	for _, key := range slices.Sorted(maps.Keys(object.values)) {
		n := object.count(key)
		m, err := strconv.Atoi(key)
		if err != nil || m < 1 || m > K {
			object.fail(key, "wanted a number of labels between 1 and K = %d", K)
			continue
		}
		if b := math.Exp(lchoose(K, m)); b*float64(n) > 1e9 {
			object.fail(key, "%.3g sets of labels are too many", b)
			continue
		}
		sets[m] = n
		total += float64(n) * float64(binomial(K, m))
	}
	if len(sets) == 0 {
		object.fail("", "no samples")
	}
	return sets
}

// lchoose is the logarithm of a binomial coefficient.
func lchoose(n, m int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(m + 1))
	c, _ := math.Lgamma(float64(n - m + 1))
	return a - b - c
}

func pickAllLabelDecay(ctx context.Context, p *params, o Options) (*Report, error) {
	K := p.classes("K")
	sets := p.setSizes(K)
	d := p.count("d")
	lambda := p.decays()
	average := p.oneOf("loss", "pal", "pal_mean") == "pal_mean"
	if err := p.done(); err != nil {
		return nil, err
	}
	r := &Report{}
	if d >= K-1 {
		samples := map[int]float64{}
		for m, n := range sets {
			samples[m] = float64(n) * float64(binomial(K, m))
		}
		b := newPAL(K, samples, average, palLinear, lambda, 0)
		var gaps, ratios Fields
		for _, u := range b.all {
			name := strconv.Itoa(u.m)
			if u.m == K {
				gaps.Add(name, nil)
			} else {
				gaps.Add(name, u.margin)
			}
			ratios.Add(name, b.scale(u))
		}
		nuclear := (b.K - 1) * b.size
		r.ClosedForm = Fields{{"value", b.value}, {"data_loss", b.loss}, {"trivial", b.trivial()}, {"N", int(b.N)}, {"T", b.T}, {"gaps", gaps}, {"ratio_to_m1", ratios},
			{"nuclear_norm", nuclear}, {"trivial_threshold_sqrt_lWlH", b.threshold}, {"W_fro2", math.Sqrt(lambda.H/lambda.W) * nuclear},
			{"theorem", "Li et al. 2023 (tag-wise average); gaps and threshold derived here"}, {"proved", true}}
		r.Words = b.words(lambda)
	} else if !o.Numeric {
		return nil, tooFewDimensions(K, d)
	}
	model := Problem{Loss: Loss{Kind: PickAllLabel, Classes: K, Sets: sets, Average: average}, Dim: d, W: Decay(lambda.W), H: Decay(lambda.H), Bias: lambda.Bias, B: lambda.B}
	return r, r.searchInto(ctx, model, o)
}

// words say what the optimum is.
func (b *palBalanced) words(lambda decays) []string {
	if b.trivial() {
		return []string{fmt.Sprintf("The decays are too strong: sqrt(lambda_W lambda_H) = %.4g is not below %.4g, and everything is zero.", math.Sqrt(lambda.W*lambda.H), b.threshold)}
	}
	return []string{"The classifier is one simplex whatever the numbers of labels; the feature of a set of labels is a shortened sum of those of its labels."}
}
