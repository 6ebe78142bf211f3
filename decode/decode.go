// Package decode turns logits and features of rows with several tags into tag sets, and scores what comes out.
//
// A rule ranks the tags of a row and decides how many of the first it takes. Rules on logits need nothing else; the
// nearest of all 2^K tag-wise prototypes needs the K vectors and the scales of Prototypes, and K log K steps a row.
// Equal scores stand in the order of their tags.
package decode

import (
	"cmp"
	"math"
	"slices"
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
		return d.least(func(_, m int) float64 { return -math.Log(float64(m)) - (r.sum(m)-float64(m)*r.lse)/float64(m) })
	}},
	{"relative_half", "tags with half the probability of the first", func(_ *Decoder, r *ranked) int {
		return r.above(r.score(0) - r.lse + math.Log(.5))
	}},
	{"gap", "the largest gap between logits", func(d *Decoder, r *ranked) int {
		return d.least(func(_, m int) float64 { return r.score(m) - r.score(m-1) })
	}},
	{"threshold_half", "tags with probability 1/2", func(_ *Decoder, r *ranked) int { return r.above(math.Log(.5)) }},
	{"threshold_1_over_2M", "tags with probability 1/(2M), M the largest training multiplicity", func(d *Decoder, r *ranked) int {
		return r.above(-math.Log(2 * float64(slices.Max(d.Multiplicities))))
	}},
}

// Rules lists what a Decoder can do.
func Rules() []Rule { return slices.Clone(rules) }

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

// A Decoder decides for tag sets.
type Decoder struct {
	Tags           int         // K
	Multiplicities []int       // that can be chosen, increasing, each from 1 to K-1
	Prototypes     *Prototypes // nil without

	r ranked
}

// ranked is the scores of a row in descending order.
type ranked struct {
	order []int
	of    []float64
	sums  []float64 // of the first scores in order, 0 to K of them
	lse   float64   // log sum exp, for logits
}

func (r *ranked) score(i int) float64 { return r.of[r.order[i]] }

func (r *ranked) sum(m int) float64 { return r.sums[m] }

// above counts the tags whose probability has at least the logarithm given.
func (r *ranked) above(limit float64) int {
	n := 0
	for n < len(r.order) && r.score(n)-r.lse >= limit {
		n++
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

// Rank sorts the scores of a row: K logits, or for rules by prototypes the products of the row with the K vectors. Decide then
// answers for this row. A decoder is used by one goroutine at a time.
func (d *Decoder) Rank(scores []float64) {
	d.r.order, d.r.sums = d.r.order[:0], append(d.r.sums[:0], 0)
	d.r.of, d.r.lse = scores, logSumExp(scores)
	for k := range scores {
		d.r.order = append(d.r.order, k)
	}
	slices.SortFunc(d.r.order, func(i, j int) int { return cmp.Or(cmp.Compare(scores[j], scores[i]), cmp.Compare(i, j)) })
	for i := range scores {
		d.r.sums = append(d.r.sums, d.r.sums[i]+d.r.score(i))
	}
}

// Decide applies a rule to the row that was ranked. It returns the tags in increasing order.
func (d *Decoder) Decide(rule Rule) []int {
	tags := slices.Clone(d.r.order[:rule.decide(d, &d.r)])
	slices.Sort(tags)
	return tags
}

func logSumExp(z []float64) float64 {
	top, sum := slices.Max(z), 0.0
	for _, x := range z {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum)
}

// ByPrototypes reports whether the rule takes products with the vectors of the prototypes instead of logits.
func (r Rule) ByPrototypes() bool { return len(r.Name) > 3 && r.Name[:3] == "onn" }
