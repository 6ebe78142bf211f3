package ufm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
)

var supconQuestions = []Question{
	{"supcon", "supervised contrastive loss of free features, in one batch or many (Khosla et al. 2020; Graf et al. 2021)",
		"K n d tau radius constraint=sphere self_included batches", supcon},
}

// Contrast holds the parameters of the supervised contrastive loss. For an anchor i with the positives P (the other samples of
// its class in its batch) and all A (the other samples of its batch), similarities s_ij = h_i.h_j/Temperature,
//
//	loss = ln sum over A of exp(s_ik) - mean over P of s_ij
//
// and 0 where P is empty; the mean over all anchors of all batches.
type Contrast struct {
	Temperature  float64
	SelfIncluded bool    // i belongs to its own P and A (Fang et al. 2021), or not (Khosla et al. 2020)
	Batches      [][]int // samples of each batch; nil for one batch of all
}

// supconLoss is the loss as a function of the features, N x d.
type supconLoss struct {
	Contrast
	labels  []int
	dim     int
	anchors float64
}

func newSupcon(p Problem) (outputLoss, error) {
	l := &supconLoss{Contrast: p.Loss.Contrast, dim: p.Dim}
	if !(l.Temperature > 0) || math.IsInf(l.Temperature, 0) {
		return nil, fmt.Errorf("temperature: %v, wanted a finite number above 0", l.Temperature)
	}
	for k, n := range p.Counts {
		l.labels = append(l.labels, slices.Repeat([]int{k}, n)...)
	}
	if l.Batches == nil {
		all := make([]int, len(l.labels))
		for i := range all {
			all[i] = i
		}
		l.Batches = [][]int{all}
	}
	for i, batch := range l.Batches {
		for _, s := range batch {
			if s < 0 || s >= len(l.labels) {
				return nil, fmt.Errorf("batches[%d]: sample %d of %d", i, s, len(l.labels))
			}
		}
		l.anchors += float64(len(batch))
	}
	return l, nil
}

func (l *supconLoss) eval(z, dz, g, dg []float64) float64 {
	clear(g)
	if dz != nil {
		clear(dg)
	}
	d, total := l.dim, 0.0
	row := func(m []float64, i int) []float64 { return m[i*d : (i+1)*d] }
	var sim, dsim []float64
	for _, batch := range l.Batches {
		sim = slices.Grow(sim[:0], len(batch))[:len(batch)]
		dsim = slices.Grow(dsim[:0], len(batch))[:len(batch)]
		for a, i := range batch {
			positives, top := 0, math.Inf(-1)
			for b, j := range batch {
				if a == b && !l.SelfIncluded {
					continue
				}
				sim[b] = kernel.Dot64(row(z, i), row(z, j)) / l.Temperature
				top = max(top, sim[b])
				if l.labels[i] == l.labels[j] {
					positives++
				}
			}
			if positives == 0 {
				continue
			}
			sum, mean, change := 0.0, 0.0, 0.0
			for b, j := range batch {
				if a == b && !l.SelfIncluded {
					continue
				}
				if l.labels[i] == l.labels[j] {
					mean += sim[b] / float64(positives)
				}
				sim[b] = math.Exp(sim[b] - top)
				sum += sim[b]
				if dz != nil {
					dsim[b] = (kernel.Dot64(row(dz, i), row(z, j)) + kernel.Dot64(row(z, i), row(dz, j))) / l.Temperature
					change += sim[b] * dsim[b]
				}
			}
			total += math.Log(sum) + top - mean
			for b, j := range batch {
				if a == b && !l.SelfIncluded {
					continue
				}
				p := sim[b] / sum
				slope := p
				if l.labels[i] == l.labels[j] {
					slope -= 1 / float64(positives)
				}
				slope /= l.Temperature * l.anchors
				kernel.Axpy64(row(g, i), slope, row(z, j))
				kernel.Axpy64(row(g, j), slope, row(z, i))
				if dz != nil {
					bend := p * (dsim[b] - change/sum) / (l.Temperature * l.anchors)
					for _, at := range [2][2]int{{i, j}, {j, i}} {
						kernel.Axpy64(row(dg, at[0]), bend, row(z, at[1]))
						kernel.Axpy64(row(dg, at[0]), slope, row(dz, at[1]))
					}
				}
			}
		}
	}
	return total / l.anchors
}

// A batching is a family of batches of K n samples.
type batching struct {
	size   int            // m, samples of a batch
	least  int            // the smallest number of samples of the anchor's class, itself included, in its batch
	shares []float64      // shares of the anchors with least, least + 1, ... such samples
	list   func() [][]int // nil where they are too many
	words  string
	joined bool // a sample meets every other one, so that classes have one place
}

// mostSubsets is the number of batches up to which all subsets are listed for a search.
const mostSubsets = 2000

func (p *params) batching(k, n int) batching {
	o := p.object("batches")
	kind := o.oneOf("kind", "full", "all_subsets", "fixed_disjoint")
	b := batching{size: k * n, joined: true}
	switch kind {
	case "full":
		b.least, b.shares = n, []float64{1}
		b.list = func() [][]int { return nil }
		b.words = "in one batch of all samples"
	case "all_subsets":
		if b.size = o.count("size"); b.size > k*n {
			o.fail("size", "%d, wanted at most the %d samples", b.size, k*n)
			b.size = k * n
		}
		// The other m-1 of the batch are drawn from n-1 of the class and K n - n of the others.
		b.least = 1
		const most = 10_000_000
		for l := 1; l <= min(n, b.size, most); l++ {
			b.shares = append(b.shares, math.Exp(logBinomial(n-1, l-1)+logBinomial(k*n-n, b.size-l)-logBinomial(k*n-1, b.size-1)))
		}
		if min(n, b.size) > most {
			o.fail("size", "%d of %d samples of each class, wanted at most %d of either", b.size, n, most)
		}
		if logBinomial(k*n, b.size) <= math.Log(mostSubsets) {
			b.list = func() [][]int { return subsets(k*n, b.size) }
		}
		b.words = fmt.Sprintf("in all batches of %d samples", b.size)
	case "fixed_disjoint":
		b.size = o.count("size")
		c := o.count("per_class")
		if b.size != k*c {
			o.fail("size", "%d, wanted %d: %d of each class", b.size, k*c, c)
		}
		if n%c != 0 {
			o.fail("per_class", "%d, wanted a divisor of the %d samples of a class", c, n)
		}
		b.least, b.shares = c, []float64{1}
		b.joined = c == n
		b.list = func() [][]int {
			batches := make([][]int, n/c)
			for j := range batches {
				for class := range k {
					for i := range c {
						batches[j] = append(batches[j], class*n+j*c+i)
					}
				}
			}
			return batches
		}
		b.words = fmt.Sprintf("in fixed batches of %d samples of every class", c)
	}
	o.done()
	return b
}

// logBinomial is the logarithm of n over k, minus infinity where that is 0.
func logBinomial(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

func supcon(ctx context.Context, p *params, o Options) (*Report, error) {
	k, n, d := p.classes("K"), p.count("n"), p.count("d")
	tau, radius := p.positive("tau"), p.positive("radius")
	constraint := p.oneOf("constraint", string(SphereKind), string(EnergyKind))
	self := p.yes("self_included")
	batches := p.batching(k, n)
	if err := p.done(); err != nil {
		return nil, err
	}
	if d < k-1 && !o.Numeric {
		return nil, tooNarrow(k, d)
	}
	r := &Report{}
	// Anchors see l-1 (or l) samples at the similarity of their own class, and m-l at that of the corner opposite.
	lift := math.Exp(-float64(k) / float64(k-1) * radius * radius / tau)
	value := 0.0
	for i, share := range batches.shares {
		own := float64(batches.least + i)
		others := float64(batches.size) - own
		if !self {
			own--
		}
		if own > 0 && share > 0 {
			value += share * (math.Log(own) + math.Log1p(others*lift/own))
		}
	}
	if d >= k-1 {
		r.ClosedForm = Fields{{"value", value}, {"cos_between_means", -1 / float64(k-1)}, {"collapsed", batches.joined},
			{"theorem", "Graf et al. 2021 (batches that are symmetric in the classes, or balanced); Fang et al. 2021 (self included)"}, {"proved", true}}
		r.Words = append(r.Words, fmt.Sprintf("Supervised contrastive loss %s: the classes are points, the corners of a simplex of radius %g.", batches.words, radius))
		if !batches.joined {
			r.Words = append(r.Words, "No batch meets another, so a class may sit at different corners in different batches: the same loss without collapse.")
		}
	}
	if batches.list == nil {
		r.NotSolved = fmt.Sprintf("more than %d batches", mostSubsets)
		return r, nil
	}
	problem := Problem{Counts: slices.Repeat([]int{n}, k), Dim: d, H: Regulariser{RegulariserKind(constraint), radius * radius},
		Loss: Loss{Kind: SupervisedContrastive, Contrast: Contrast{Temperature: tau, SelfIncluded: self, Batches: batches.list()}}}
	found, why, err := search(ctx, problem, o)
	if err != nil {
		return nil, err
	}
	if r.NotSolved = why; found != nil {
		r.Solved = found.fields()
	}
	return r, nil
}
