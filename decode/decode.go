// Package decode turns logits and features of rows with several tags into tag sets, and scores what comes out.
//
// A rule takes the first tags of a row, by their scores, and decides how many, or takes all from a score on. Rules on logits need
// nothing else; the nearest of all 2^K tag-wise prototypes needs the K vectors and the scales of Prototypes. No row is sorted: the
// largest score of every stretch of tags tells in which of them to look for the first ones, or for those from a score on.
// Equal scores stand in the order of their tags.
package decode

import (
	"cmp"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
)

// A Rule is a way to decide for a tag set.
type Rule struct {
	Name string
	Text string // in a few words

	size  func(d *Decoder, r *ranked) int     // how many tags of the ranking; nil for a rule with a limit
	limit func(d *Decoder, r *ranked) float64 // the score from which on tags are taken
}

// The rules. Those that begin with "onn" go by prototypes, the others by logits.
var rules = []Rule{
	{Name: "onn_euclid", Text: "nearest tag-wise prototype", size: func(d *Decoder, r *ranked) int {
		return d.least(func(i, m int) float64 {
			c, k := d.Prototypes.Scale[i], float64(d.Tags)
			return -2*c*r.sum(m) + c*c*d.Prototypes.Square*float64(m)*(k-float64(m))/(k-1)
		})
	}},
	{Name: "onn_cosine", Text: "nearest tag-wise prototype by angle", size: func(d *Decoder, r *ranked) int {
		return d.least(func(_, m int) float64 { return -r.sum(m) / math.Sqrt(float64(m*(d.Tags-m))) })
	}},
	{Name: "pal_kl", Text: "the softmax nearest to a uniform one", size: func(d *Decoder, r *ranked) int {
		return d.least(func(_, m int) float64 { return -math.Log(float64(m)) - r.sum(m)/float64(m) }) // and log sum exp, whatever m
	}},
	{Name: "relative_half", Text: "tags with half the probability of the first", limit: func(_ *Decoder, r *ranked) float64 {
		return r.top + math.Log(.5)
	}},
	{Name: "gap", Text: "the largest gap between logits", size: func(d *Decoder, r *ranked) int {
		return d.least(func(_, m int) float64 { return r.score(m) - r.score(m-1) })
	}},
	{Name: "threshold_half", Text: "tags with probability 1/2", limit: func(_ *Decoder, r *ranked) float64 { return r.logSumExp() + math.Log(.5) }},
	{Name: "threshold_1_over_2M", Text: "tags with probability 1/(2M), M the largest training multiplicity", limit: func(d *Decoder, r *ranked) float64 {
		return r.logSumExp() - math.Log(2*float64(slices.Max(d.Multiplicities)))
	}},
	{Name: sigmoidHalf, Text: "tags with a logit from 0 on: probability 1/2 where each was trained by itself", limit: func(*Decoder, *ranked) float64 { return 0 }},
}

// Rules lists what a Decoder can do.
func Rules() []Rule { return slices.Clone(rules) }

// sigmoidHalf is the rule of binary cross-entropy, of whose logits each is that of a probability. Others take logits up to a constant.
const sigmoidHalf = "sigmoid_half"

// Names of rules that need more than the scores of a row.
const (
	NearestMean = "nearest_tagset_mean"
	TopM        = "top_m_oracle"
)

// Others are rules to compare with. A Decoder does not know them: one needs all training means, the other the answer.
func Others() []Rule {
	return []Rule{
		{Name: NearestMean, Text: "tag set of the nearest training mean"},
		{Name: TopM, Text: "told the number of tags: no rule on logits can do better"},
	}
}

// Prototypes stand for the means of all tag sets: that of S is Scale_m times the sum of its tags' vectors, m = |S|
// (Li et al. 2023, tag-wise average).
type Prototypes struct {
	Vectors []float64 // K x d, centred, in the space of the classifier
	Scale   []float64 // C_m, for each of the decoder's multiplicities
	Square  float64   // mean squared norm of the vectors
}

// A Decoder decides for tag sets, a row at a time. It is used by one goroutine.
type Decoder struct {
	Tags           int         // K
	Multiplicities []int       // that can be chosen, increasing, each from 1 to K-1
	Prototypes     *Prototypes // nil without

	r ranked
}

// stretch is how many scores have one peak.
const stretch = 64

// ranked is the scores of a row, and the first of them in descending order: as many as any rule asked for.
type ranked struct {
	of    []float64
	peaks []float64 // the largest score of every stretch
	top   float64   // of all
	order []int
	best  []float64 // the scores of order
	sums  []float64 // of the first scores in order, from 0 of them on
	lse   float64   // log sum exp, for logits; NaN before it is asked for
}

// stretchOf is where the scores of a peak begin and end.
func (r *ranked) stretchOf(peak int) (from, to int) {
	return peak * stretch, min((peak+1)*stretch, len(r.of))
}

// first makes sure that the first m places are known.
func (r *ranked) first(m int) {
	k := len(r.of)
	if m <= len(r.order) {
		return
	}
	m = min(k, max(m, 2*len(r.order)))
	const few = 32 // so many are kept in order while the scores pass by; above, all are sorted
	r.order, r.best = r.order[:0], r.best[:0]
	if m > few {
		for i := range k {
			r.order = append(r.order, i)
		}
		slices.SortFunc(r.order, func(i, j int) int { return cmp.Or(cmp.Compare(r.of[j], r.of[i]), cmp.Compare(i, j)) })
		for _, i := range r.order {
			r.best = append(r.best, r.of[i])
		}
	} else {
		least := math.Inf(-1) // m scores are as large at least
		if m <= len(r.peaks) {
			for _, x := range r.peaks {
				r.keep(m, 0, x)
			}
			least = r.best[m-1]
			r.order, r.best = r.order[:0], r.best[:0]
		}
		for p, peak := range r.peaks {
			if peak < least {
				continue
			}
			from, to := r.stretchOf(p)
			for i, x := range r.of[from:to] {
				if x >= least {
					r.keep(m, from+i, x)
				}
			}
		}
	}
	r.sums = append(r.sums[:0], 0)
	for i, x := range r.best {
		r.sums = append(r.sums, r.sums[i]+x)
	}
}

// keep adds a score to the m best, if it is one of them. Of equal ones the first stays.
func (r *ranked) keep(m, i int, x float64) {
	n := len(r.best)
	switch {
	case n < m:
		r.order, r.best = append(r.order, i), append(r.best, x)
	case x > r.best[n-1]:
		r.order[n-1], r.best[n-1] = i, x
	default:
		return
	}
	r.rise()
}

// rise moves the last of the best to its place, behind those that equal it.
func (r *ranked) rise() {
	j := len(r.best) - 1
	i, x := r.order[j], r.best[j]
	for ; j > 0 && r.best[j-1] < x; j-- {
		r.order[j], r.best[j] = r.order[j-1], r.best[j-1]
	}
	r.order[j], r.best[j] = i, x
}

func (r *ranked) score(i int) float64 { r.first(i + 1); return r.best[i] }

func (r *ranked) sum(m int) float64 { r.first(m); return r.sums[m] }

func (r *ranked) logSumExp() float64 {
	if math.IsNaN(r.lse) {
		r.lse = logSumExp(r.of, r.top)
	}
	return r.lse
}

// above lists the tags whose score is at least the limit in dst, with the least of these scores and the largest of the others; +Inf and
// -Inf where there are none.
func (r *ranked) above(dst []int, limit float64) (tags []int, least, other float64) {
	tags, least, other = dst[:0], math.Inf(1), math.Inf(-1)
	for p, peak := range r.peaks {
		if peak < limit {
			other = max(other, peak)
			continue
		}
		from, to := r.stretchOf(p)
		for i, x := range r.of[from:to] {
			if x >= limit {
				tags, least = append(tags, from+i), min(least, x)
			} else {
				other = max(other, x)
			}
		}
	}
	return tags, least, other
}

// least is the multiplicity of least cost, the smaller of two.
func (d *Decoder) least(cost func(i, m int) float64) int {
	best, least := 0, math.Inf(1)
	if n := len(d.Multiplicities); n > 0 {
		d.r.first(min(d.Multiplicities[n-1]+1, len(d.r.of))) // all at once
	}
	for i, m := range d.Multiplicities {
		if c := cost(i, m); c < least || best == 0 {
			best, least = m, c
		}
	}
	return best
}

// Rank takes the scores of a row: K logits, or for rules by prototypes the products of the row with the K vectors. Decide then
// answers for this row. The scores must be finite, and stay as they are as long as they are asked about.
func (d *Decoder) Rank(scores []float64) {
	r := &d.r
	r.of, r.order, r.best, r.lse = scores, r.order[:0], r.best[:0], math.NaN()
	peaks := (len(scores) + stretch - 1) / stretch
	r.peaks = slices.Grow(r.peaks[:0], peaks)[:peaks]
	kernel.Peaks64(r.peaks, scores, stretch)
	r.top = slices.Max(r.peaks)
}

// Decide applies a rule to the row that was ranked. It writes the tags to dst, in increasing order.
func (d *Decoder) Decide(dst []int, rule Rule) []int {
	tags, _ := d.decide(dst, rule)
	return tags
}

// decide also tells by how much the last tag taken is above the first one left; NaN where one of the two is missing.
func (d *Decoder) decide(dst []int, rule Rule) (tags []int, margin float64) {
	if rule.limit != nil {
		tags, least, other := d.r.above(dst, rule.limit(d, &d.r))
		if len(tags) == 0 || len(tags) == len(d.r.of) {
			return tags, math.NaN()
		}
		return tags, least - other
	}
	n := rule.size(d, &d.r)
	margin = math.NaN()
	if n > 0 && n < len(d.r.of) {
		margin = d.r.score(n-1) - d.r.score(n)
	}
	return d.First(dst, n), margin
}

// First writes the tags of the m largest scores to dst, in increasing order; of equal scores those of the first tags.
func (d *Decoder) First(dst []int, m int) []int {
	d.r.first(m)
	dst = append(dst[:0], d.r.order[:m]...)
	slices.Sort(dst)
	return dst
}

// logSumExp is log sum exp(z); top is the largest.
func logSumExp(z []float64, top float64) float64 { return top + math.Log(kernel.SumExp64(z, top)) }

// ByPrototypes reports whether the rule takes products with the vectors of the prototypes instead of logits.
func (r Rule) ByPrototypes() bool { return len(r.Name) > 3 && r.Name[:3] == "onn" }
