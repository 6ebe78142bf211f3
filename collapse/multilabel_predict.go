package collapse

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/collapsar/collapsar/decode"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/moments"
)

// Prediction is how well tag sets are found by each rule, on rows of a split, with what the training rows give.
type Prediction struct {
	Rules      map[string]decode.Sets `json:"rules"`
	Ranking    decode.Ranking         `json:"ranking"`
	Scale      map[string]float64     `json:"scale,omitempty"`  // C_m of the prototypes, by m; nil without prototypes
	Square     float64                `json:"square,omitempty"` // mean squared norm of their vectors
	FromWeight bool                   `json:"from_weights"`     // vectors are rows of the classifier, for tags without rows of their own
	Unseen     int                    `json:"unseen_rows"`      // rows whose tag set no training row has
}

// predictor is what the training rows give to predict by.
type predictor struct {
	train   *tagSample
	sizes   []int
	vectors *decode.Prototypes
	weights bool // vectors come from the classifier
}

// newPredictor makes the prototypes of training rows: v_k = P u_k less their mean, in the coordinates of the features, and
// scales fitted on the tag-set means. Where a tag has no rows of its own, the rows of the classifier take the place of the u_k.
// Without a classifier P is the identity, and every tag needs rows of its own.
func newPredictor(s *tagSample) *predictor {
	p := &predictor{train: s, weights: len(s.ones) < s.k}
	for _, g := range s.groups {
		if g.size < s.k {
			p.sizes = append(p.sizes, g.size)
		}
	}
	frame, r := &s.projected, len(s.basis)/s.d
	if s.weights == nil && !p.weights {
		frame, r = &s.raw, s.d
	}
	if r == 0 || len(p.sizes) == 0 {
		return p
	}
	v := make([]float64, s.k*r)
	if p.weights {
		kernel.Gemm64(false, true, s.k, r, s.d, 1, s.centred, s.d, s.basis, s.d, 0, v, r)
	} else {
		copy(v, frame.u)
	}
	removeMean(v, s.k, r)
	p.vectors = &decode.Prototypes{Vectors: v, Square: kernel.SumSquares64(v) / float64(s.k)}
	if s.weights != nil {
		p.vectors.Vectors = make([]float64, s.k*s.d)
		kernel.Gemm64(false, false, s.k, s.d, r, 1, v, r, s.basis, s.d, 0, p.vectors.Vectors, s.d)
	}
	f := tagFrame{dim: r, u: v}
	x := make([]float64, r)
	for _, m := range p.sizes {
		g := s.group(m)
		xx, xy := 0.0, 0.0
		for c := g.first; c < g.first+g.sets; c++ {
			f.sum(x, s.set(c))
			xx += kernel.SumSquares64(x)
			xy += kernel.Dot64(x, frame.row(c))
		}
		if xx == 0 {
			p.vectors = nil
			return p
		}
		p.vectors.Scale = append(p.vectors.Scale, xy/xx)
	}
	return p
}

// FitModel takes from the training rows of a layer what tag sets are predicted with: the prototypes, the multiplicities that occur,
// and the classifier, where there is one. There are no prototypes where a tag neither has rows of its own nor a classifier.
func FitModel(ctx context.Context, set *features.Set, l *features.Layer, o Options) (*decode.Model, error) {
	if err := o.resolve(); err != nil {
		return nil, err
	}
	t := l.Train.Tags
	if t == nil {
		return nil, &features.Error{File: set.Source, Array: l.Array, Kind: features.MultiLabel, Message: "rows have one label each, expected tag sets; --multi-label yes takes labels as tags"}
	}
	m := &measurement{ctx: ctx, set: set, opts: &o, scan: moments.ScanOptions{Workers: o.Workers}}
	sum, _, err := m.collect(l.Train, l.Array)
	if err != nil {
		return nil, err
	}
	if last := sum.Classes[len(sum.Classes)-1]; len(t.Sets[last]) == 0 {
		return nil, &features.Error{File: set.Source, Array: l.Array, Kind: features.Empty, Message: "no finite row has a tag"}
	}
	p := newPredictor(newTagSample(l.Train, sum, l.Classifier, o.RankTol))
	model := &decode.Model{Tags: t.Count, Dim: l.Dim, Names: t.Names, Multiplicities: p.sizes, Prototypes: p.vectors}
	if c := l.Classifier; c != nil {
		model.Weights, model.Bias = c.Weights, c.Bias
	}
	return model, nil
}

// predict decides for the rows of a split by every rule. Memory is K logits a row.
func (p *predictor) predict(ctx context.Context, file string, split *features.Split, memory int64) (*Prediction, error) {
	s := p.train
	if need := 16 * int64(split.Rows) * int64(s.k); need > memory {
		return nil, &features.Error{File: file, Kind: features.TooLarge, Message: "the logits of all rows take " + strconv.FormatInt(need, 10) +
			" bytes, the budget is " + strconv.FormatInt(memory, 10) + "; raise --memory"}
	}
	const block = 1024
	logits := make([]float64, 0, split.Rows*s.k)
	var truth [][]int
	var rules []decode.Rule
	var names []string
	for _, rule := range decode.Rules() {
		if p.vectors != nil || !rule.ByPrototypes() {
			rules, names = append(rules, rule), append(names, rule.Name)
		}
	}
	names = append(names, decode.NearestMean, decode.TopM)
	found := make([][][]int, len(names)) // by rule and row of a block
	tallies := make([]*decode.Tally, len(names))
	for i := range tallies {
		found[i], tallies[i] = make([][]int, block), decode.NewTally(s.k)
	}
	decoders := make([]*decode.Decoder, parallel.Workers())
	n := len(s.sum.Classes) - s.first
	half := make([]float64, n)
	for i := range half {
		half[i] = kernel.SumSquares64(s.row(s.first+i)) / 2
	}
	for b, err := range split.Batches(ctx, block) {
		if err != nil {
			return nil, err
		}
		x := b.Float64
		if x == nil {
			x = make([]float64, b.Rows*b.Dim)
			kernel.Widen(x, b.Float32)
		}
		kept := 0
		for i := range b.Rows { // rows that are not finite were refused or are to be left out
			row := x[i*b.Dim : (i+1)*b.Dim]
			if !finiteRow(row) {
				continue
			}
			copy(x[kept*b.Dim:], row)
			kept++
			truth = append(truth, split.Tags.Sets[b.Labels[i]])
		}
		z := make([]float64, kept*s.k)
		kernel.Gemm64(false, true, kept, s.k, s.d, 1, x, s.d, s.weights.Weights, s.d, 0, z, s.k)
		for i := range kept {
			kernel.Add64(z[i*s.k:(i+1)*s.k], s.weights.Bias)
		}
		logits = append(logits, z...)
		var products []float64
		if p.vectors != nil {
			products = make([]float64, kept*s.k)
			kernel.Gemm64(false, true, kept, s.k, s.d, 1, x, s.d, p.vectors.Vectors, s.d, 0, products, s.k)
		}
		near := make([]float64, kept*n)
		kernel.Gemm64(false, true, kept, n, s.d, 1, x, s.d, s.mu[s.first*s.d:], s.d, 0, near, n)

		first := len(truth) - kept
		parallel.For(kept, func(w, i int) {
			if decoders[w] == nil {
				decoders[w] = &decode.Decoder{Tags: s.k, Multiplicities: p.sizes, Prototypes: p.vectors}
			}
			row := z[i*s.k : (i+1)*s.k]
			decide := func(scores []float64, byPrototypes bool) {
				decoders[w].Rank(scores)
				for j, rule := range rules {
					if rule.ByPrototypes() == byPrototypes {
						found[j][i] = decoders[w].Decide(found[j][i], rule)
					}
				}
			}
			decide(row, false)
			found[len(rules)+1][i] = decoders[w].First(found[len(rules)+1][i], len(truth[first+i]))
			if products != nil {
				decide(products[i*s.k:(i+1)*s.k], true)
			}
			at, most := 0, math.Inf(-1)
			for c, h := range half {
				if v := near[i*n+c] - h; v > most {
					at, most = c, v
				}
			}
			found[len(rules)][i] = s.set(s.first + at)
		})
		for j, t := range tallies {
			for i := range kept {
				t.Add(found[j][i], truth[first+i])
			}
		}
	}
	r := &Prediction{Rules: map[string]decode.Sets{}, Ranking: decode.Rank(logits, truth, s.k), FromWeight: p.weights}
	for i, name := range names {
		r.Rules[name] = tallies[i].Sets()
	}
	if p.vectors != nil {
		r.Square, r.Scale = p.vectors.Square, map[string]float64{}
		for i, m := range p.sizes {
			r.Scale[strconv.Itoa(m)] = p.vectors.Scale[i]
		}
	}
	r.Unseen = p.unseen(truth)
	return r, nil
}

// unseen counts rows whose tag set no training row has.
func (p *predictor) unseen(truth [][]int) (n int) {
	for _, set := range truth {
		if _, ok := slices.BinarySearchFunc(p.train.tags.Sets, set, func(a, b []int) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), slices.Compare(a, b))
		}); !ok {
			n++
		}
	}
	return n
}

func finiteRow(row []float64) bool {
	square := kernel.SumSquares64(row)
	return !math.IsNaN(square) && !math.IsInf(square, 0)
}
