// Package decode turns logits and features of rows with several tags into tag sets, and scores what comes out.
//
// A rule ranks the tags of a row and decides how many of the first it takes. Rules on logits need nothing else; the
// nearest of all 2^K tag-wise prototypes needs the K vectors and the scales of Prototypes. No row is sorted: only as many of
// the first scores as a rule can take are picked out while the others pass by.
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

	decide func(d *Decoder, r *ranked) int // how many tags of the ranking
}

// The rules. Those that begin with "onn" go by prototypes, the others by logits.
var rules = []Rule{
	{"onn_euclid", "nearest tag-wise prototype", func(d *Decoder, r *ranked) int {
		return d.least(func(i, m int) float64 {
			c, k := d.Prototypes.Scale[i], float64(d.Tags)
			return -2*c*r.sum(m) + c*c*d.Prototypes.Square*float64(m)*(k-float64(m))/(k-1)
		})
	}},
	{"onn_cosine", "nearest tag-wise prototype by angle", func(d *Decoder, r *ranked) int {
		return d.least(func(_, m int) float64 { return -r.sum(m) / math.Sqrt(float64(m*(d.Tags-m))) })
	}},
	{"pal_kl", "the softmax nearest to a uniform one", func(d *Decoder, r *ranked) int {
		return d.least(func(_, m int) float64 { return -math.Log(float64(m)) - (r.sum(m)-float64(m)*r.logSumExp())/float64(m) })
	}},
	{"relative_half", "tags with half the probability of the first", func(_ *Decoder, r *ranked) int {
		return r.above(r.top + math.Log(.5))
	}},
	{"gap", "the largest gap between logits", func(d *Decoder, r *ranked) int {
		return d.least(func(_, m int) float64 { return r.score(m) - r.score(m-1) })
	}},
	{"threshold_half", "tags with probability 1/2", func(_ *Decoder, r *ranked) int { return r.above(r.logSumExp() + math.Log(.5)) }},
	{"threshold_1_over_2M", "tags with probability 1/(2M), M the largest training multiplicity", func(d *Decoder, r *ranked) int {
		return r.above(r.logSumExp() - math.Log(2*float64(slices.Max(d.Multiplicities))))
	}},
	{sigmoidHalf, "tags with a logit from 0 on: probability 1/2 where each was trained by itself", func(_ *Decoder, r *ranked) int { return r.above(0) }},
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

// ranked is the scores of a row, and the first of them in descending order: as many as any rule asked for.
type ranked struct {
	of    []float64
	order []int
	best  []float64 // the scores of order
	sums  []float64 // of the first scores in order, from 0 of them on
	top   float64
	lse   float64 // log sum exp, for logits; NaN before it is asked for
}

// first makes sure that the first m places are known.
func (r *ranked) first(m int) {
	k := len(r.of)
	if m <= len(r.order) {
		return
	}
	m = min(k, max(m, 2*len(r.order)))
	const few = 32 // so many are kept in order while the scores pass by; above, all are sorted
	r.order, r.best, r.sums = r.order[:0], r.best[:0], append(r.sums[:0], 0)
	if m > few {
		for i := range k {
			r.order = append(r.order, i)
		}
		slices.SortFunc(r.order, func(i, j int) int { return cmp.Or(cmp.Compare(r.of[j], r.of[i]), cmp.Compare(i, j)) })
		for _, i := range r.order {
			r.best = append(r.best, r.of[i])
		}
	} else {
		for i, x := range r.of[:m] {
			r.order, r.best = append(r.order, i), append(r.best, x)
			r.rise()
		}
		least := r.best[m-1]
		for i, x := range r.of[m:] {
			if x > least { // of equal ones the first stays
				r.order[m-1], r.best[m-1] = m+i, x
				r.rise()
				least = r.best[m-1]
			}
		}
	}
	for i, x := range r.best {
		r.sums = append(r.sums, r.sums[i]+x)
	}
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

// above counts the tags whose score is at least the limit.
func (r *ranked) above(limit float64) int {
	n := 0
	for _, x := range r.of {
		if x >= limit {
			n++
		}
	}
	return n
}

// least is the multiplicity of least cost, the smaller of two.
func (d *Decoder) least(cost func(i, m int) float64) int {
	best, least := 0, math.Inf(1)
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
	d.r.of, d.r.order, d.r.lse = scores, d.r.order[:0], math.NaN()
	most := 1
	if n := len(d.Multiplicities); n > 0 {
		most = d.Multiplicities[n-1] + 1
	}
	d.r.first(min(most, len(scores)))
	d.r.top = d.r.best[0]
}

// Decide applies a rule to the row that was ranked. It writes the tags to dst, in increasing order.
func (d *Decoder) Decide(dst []int, rule Rule) []int { return d.First(dst, rule.decide(d, &d.r)) }

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
