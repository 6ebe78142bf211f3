package decode

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// A Model is what tag sets of rows are decided with: prototypes, a classifier, or both.
type Model struct {
	Tags, Dim      int      // K and d
	Names          []string // of the tags; nil for numbers
	Multiplicities []int    // that can be chosen, increasing, each from 1 to K-1
	Prototypes     *Prototypes
	Weights, Bias  []float64 // K x d and K; nil without a classifier

	packed struct {
		sync.Mutex
		vectors, weights *kernel.Panel64
	}
}

// An Answer is the tag set of a row.
type Answer struct {
	Tags   []int     // increasing
	Scores []float64 // of the tags: probabilities (of the softmax; after sigmoid_half each by itself), or for rules by prototypes the products with the vectors, in units of the mean squared norm of these
	Margin float64   // smallest score (logit, or product in these units) of a tag less the largest of the others; NaN where one of the two is missing
	First  []int     // the tags of the largest scores, in that order, as many as were asked for
	Firsts []float64 // their scores
}

// Check tells whether the model can decide by a rule.
func (m *Model) Check(rule Rule) error {
	switch {
	case rule.size == nil && rule.limit == nil:
		return fmt.Errorf("rule %s: takes more than the scores of a row", rule.Name)
	case rule.ByPrototypes() && m.Prototypes == nil:
		return fmt.Errorf("rule %s: there are no prototypes", rule.Name)
	case !rule.ByPrototypes() && m.Weights == nil:
		return fmt.Errorf("rule %s: there is no classifier", rule.Name)
	case len(m.Multiplicities) == 0:
		return fmt.Errorf("rule %s: no numbers of tags to choose from", rule.Name)
	}
	return nil
}

// panel is the right operand of a rule, packed once.
func (m *Model) panel(rule Rule) *kernel.Panel64 {
	m.packed.Lock()
	defer m.packed.Unlock()
	to, from := &m.packed.weights, m.Weights
	if rule.ByPrototypes() {
		to, from = &m.packed.vectors, m.Prototypes.Vectors
	}
	if *to == nil {
		*to = kernel.NewPanel64(m.Tags, m.Dim, from, m.Dim)
	}
	return *to
}

// Decode decides for the rows of x, len(out) x d, by a rule, and lists the first so many tags of each. Rows must be finite. Answers
// keep the memory that they have; each is the same whatever rows stand beside it.
func (m *Model) Decode(x []float64, rule Rule, first int, out []Answer) error {
	if err := m.Check(rule); err != nil {
		return err
	}
	if len(x) != len(out)*m.Dim {
		return fmt.Errorf("%d numbers for %d rows of %d", len(x), len(out), m.Dim)
	}
	const block = 64 // rows whose scores stay in the cache of a processor
	panel := m.panel(rule)
	blocks := (len(out) + block - 1) / block
	benches := make([]*bench, parallel.Workers())
	parallel.For(blocks, func(w, i int) {
		b := benches[w]
		if b == nil {
			b = &bench{decoder: Decoder{Tags: m.Tags, Multiplicities: m.Multiplicities, Prototypes: m.Prototypes}, scores: make([]float64, block*m.Tags)}
			benches[w] = b
		}
		lo, hi := i*block, min((i+1)*block, len(out))
		panel.Mul(b.scores, m.Tags, x[lo*m.Dim:hi*m.Dim], m.Dim, hi-lo)
		for row := lo; row < hi; row++ {
			z := b.scores[(row-lo)*m.Tags : (row-lo+1)*m.Tags]
			if !rule.ByPrototypes() {
				kernel.Add64(z, m.Bias)
			}
			b.decoder.Rank(z)
			b.decoder.answer(rule, first, &out[row])
		}
	})
	return nil
}

// bench is the scratch of a worker.
type bench struct {
	decoder Decoder
	scores  []float64
}

// answer decides for the row that was ranked.
func (d *Decoder) answer(rule Rule, first int, a *Answer) {
	unit := 1.0
	if rule.ByPrototypes() {
		unit = 1 / d.Prototypes.Square
	}
	score := func(z float64) float64 {
		switch {
		case rule.ByPrototypes():
			return z * unit
		case rule.Name == sigmoidHalf:
			return 1 / (1 + math.Exp(-z))
		}
		return math.Exp(z - d.r.logSumExp())
	}
	a.Tags, a.Margin = d.decide(a.Tags, rule)
	a.Margin *= unit
	a.Scores = a.Scores[:0]
	for _, k := range a.Tags {
		a.Scores = append(a.Scores, score(d.r.of[k]))
	}
	first = min(first, len(d.r.of))
	d.r.first(first)
	a.First, a.Firsts = append(a.First[:0], d.r.order[:first]...), a.Firsts[:0]
	for _, z := range d.r.best[:first] {
		a.Firsts = append(a.Firsts, score(z))
	}
}

// ByName finds a rule of a Decoder.
func ByName(name string) (Rule, bool) {
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		return Rule{}, false
	}
	return rules[i], true
}
