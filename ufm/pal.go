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
}

// multiplicity is all samples with m labels: each of the binomial(K, m) sets n times.
type multiplicity struct {
	m, sets int
	n       int
	kappa   float64 // binomial(K-2, m-1): pairs that a label inside and one outside make
	omega   float64 // weight of a label: 1, or 1/m
}

// gap solves g (m e^g + K - m) = omega T.
func (u multiplicity) gap(K, T float64) float64 {
	m, aim := float64(u.m), u.omega*T
	high := min(aim/K, max(1, math.Log(aim/m)))
	if !(high > 0) {
		return 0
	}
	return root.Between(func(g float64) float64 { return g*(m*math.Exp(g)+K-m) - aim }, 0, high*(1+1e-15))
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

// pickAllLabelDecay finds the one number T that all gaps come from: T = K R(T)/(N sqrt(lambda_W lambda_H)), with R the size of
// the logits.
func pickAllLabelDecay(ctx context.Context, p *params, o Options) (*Report, error) {
	K := p.classes("K")
	sets := p.setSizes(K)
	d := p.count("d")
	lambda := p.decays()
	average := p.oneOf("loss", "pal", "pal_mean") == "pal_mean"
	if err := p.done(); err != nil {
		return nil, err
	}
	var all []multiplicity
	samples := 0
	for _, m := range sortedKeys(sets) {
		u := multiplicity{m: m, sets: binomial(K, m), n: sets[m], kappa: float64(binomial(K-2, m-1)), omega: 1}
		if average {
			u.omega = 1 / float64(m)
		}
		samples += u.n * u.sets
		all = append(all, u)
	}
	r := &Report{}
	if d >= K-1 {
		k, N, l0 := float64(K), float64(samples), math.Sqrt(lambda.W*lambda.H)
		threshold := 0.0
		for _, u := range all {
			threshold += float64(u.n) * u.kappa * u.omega * u.omega
		}
		threshold = math.Sqrt(threshold) / N
		size := func(T float64) float64 {
			sum := 0.0
			for _, u := range all {
				if g := u.gap(k, T); u.kappa > 0 {
					sum += float64(u.n) * u.kappa * g * g
				}
			}
			return math.Sqrt(sum)
		}
		T := 0.0
		if l0 < threshold {
			rest := func(T float64) float64 { return k*size(T)/(N*l0) - T }
			high := 1.0
			for rest(high) > 0 && high < 1e300 {
				high *= 4
			}
			low := high / 4
			for rest(low) < 0 && low > 1e-300 {
				low /= 4
			}
			T = root.Between(rest, low, high)
		}
		R := size(T)
		loss := 0.0
		var gaps, ratios Fields
		single := math.NaN()
		for _, u := range all {
			g, m := u.gap(k, T), float64(u.m)
			loss += float64(u.n) * float64(u.sets) * m * u.omega * (math.Log(m*math.Exp(g)+k-m) - g) / N
			name := strconv.Itoa(u.m)
			if u.m == K {
				gaps.Add(name, nil)
				ratios.Add(name, nil)
				continue
			}
			if u.m == 1 && T > 0 {
				single = g
			}
			gaps.Add(name, g)
			ratios.Add(name, g/single)
		}
		nuclear := (k - 1) * R
		r.ClosedForm = Fields{{"value", loss + l0*nuclear}, {"data_loss", loss}, {"trivial", T == 0}, {"N", samples}, {"T", T}, {"gaps", gaps}, {"ratio_to_m1", ratios},
			{"nuclear_norm", nuclear}, {"trivial_threshold_sqrt_lWlH", threshold}, {"W_fro2", math.Sqrt(lambda.H/lambda.W) * nuclear},
			{"theorem", "Li et al. 2023 (tag-wise average); gaps and threshold derived here"}, {"proved", true}}
		if T > 0 {
			r.Words = []string{"The classifier is one simplex whatever the numbers of labels; the feature of a set of labels is a shortened sum of those of its labels."}
		} else {
			r.Words = []string{fmt.Sprintf("The decays are too strong: sqrt(lambda_W lambda_H) = %.4g is not below %.4g, and everything is zero.", l0, threshold)}
		}
	} else if !o.Numeric {
		return nil, tooFewDimensions(K, d)
	}
	model := Problem{Loss: Loss{Kind: PickAllLabel, Classes: K, Sets: sets, Average: average}, Dim: d, W: Decay(lambda.W), H: Decay(lambda.H), Bias: lambda.Bias, B: lambda.B}
	return r, r.searchInto(ctx, model, o)
}
