package collapse

import (
	"slices"
	"strings"

	"github.com/collapsar/collapsar/features"
)

// TagCounts tells of the tag sets of a result.
type TagCounts struct {
	Sets           int   `json:"tag_sets"`       // different ones that are not empty
	Multiplicities []int `json:"multiplicities"` // their sizes, increasing
	Rows           Range `json:"rows"`           // of a tag set

	All   [][]int `json:"-"` // the tag sets, with the empty one where it occurs
	Count []int   `json:"-"` // their rows
}

// nearestBudget is the number of operations up to which every row is compared with all means of its multiplicity: more would
// cost as much as all the rest, for a share of rows that some tens of thousands tell to a tenth of a per cent.
const nearestBudget = 1e10

// ownAxesBudget is the number of operations up to which every row of a multiplicity is projected on the directions of its means, beside
// those of all means: beyond are some thousand rows, and ml_nc1_mM is a mean of squares over K - 1 directions of each.
const ownAxesBudget = 5e9

// tagLayer measures the training rows and the test rows of a layer, each by their own means.
func (m *measurement) tagLayer(l *features.Layer) ([]*Result, error) {
	train, s, err := m.tagSplit(l, l.Train, l.Array)
	if err != nil {
		return nil, err
	}
	results := []*Result{train}
	splits := []*features.Split{l.Train}
	if l.Test != nil {
		test, _, err := m.tagSplit(l, l.Test, "test_"+l.Array)
		if err != nil {
			return nil, err
		}
		results, splits = append(results, test), append(splits, l.Test)
	}
	switch {
	case !m.opts.Predict:
		return results, nil
	case s.weights == nil:
		train.warn("no_prediction", 0, nil, "tag sets are predicted from logits, and there is no classifier for this layer")
		return results, nil
	}
	p := newPredictor(s)
	for i, r := range results {
		if r.Predict, err = p.predict(m.ctx, m.set.Source, splits[i], m.opts.Memory); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// tagSplit measures rows with tag sets.
func (m *measurement) tagSplit(l *features.Layer, split *features.Split, array string) (*Result, *tagSample, error) {
	sum, skipped, err := m.collect(split, array)
	if err != nil {
		return nil, nil, err
	}
	if last := sum.Classes[len(sum.Classes)-1]; len(split.Tags.Sets[last]) == 0 {
		return nil, nil, &features.Error{File: m.set.Source, Array: array, Kind: features.Empty, Message: "no finite row has a tag"}
	}
	s := newTagSample(split, sum, l.Classifier, m.opts.RankTol)
	s.seed = m.opts.Seed
	double := s.setPrecision(split, m.opts.Precision)
	var x *mlab
	extra := map[int][]float64{}
	if slices.Contains(m.opts.Compat, mlabScript) {
		if x, err = s.newMlab(split); err != nil {
			return nil, nil, err
		}
		if extra[1] = x.axes; x.axes != nil {
			s.group(1).every = 1
		}
	}
	plan := s.plan(double, extra)
	var lots *tagLots
	if !m.opts.NoVerdict {
		lots, plan.Lots = s.newTagLots(m.opts, split)
	}
	pass, err := plan.Collect(m.ctx, split, m.scan)
	if err != nil {
		return nil, nil, err
	}
	s.take(pass)
	r := s.result(m.set, l, split)
	if r.Skipped = int(skipped); skipped > 0 {
		r.warn("skipped_rows", int(skipped), nil, "%s with NaN or infinity left out", plural(int(skipped), "row", "rows"))
	}
	r.Metrics = s.evaluate(m.opts.Metrics)
	s.sampled(r)
	if lots != nil {
		lots.take(pass.Residuals)
		r.Verdict = s.verdict(lots, r.Metrics)
	}
	for _, name := range m.opts.Compat {
		s.imitate(r, x, name)
	}
	return r, s, nil
}

// setPrecision decides in what the products of the second pass are taken, and how many rows are compared with the means.
func (s *tagSample) setPrecision(split *features.Split, wanted string) (double bool) {
	cost := 0.0
	for _, g := range s.groups {
		cost += 2 * float64(g.rows) * float64(g.sets) * float64(s.d)
	}
	s.whole.every = 1 + int(cost/nearestBudget)
	for _, g := range s.groups {
		g.every = 1 + int(2*float64(g.rows)*float64(s.k)*float64(s.d)/ownAxesBudget)
	}
	double = wanted == "float64" || wanted == "auto" && (split.Wide() || 2*s.rows*float64(s.d)*float64(s.k) < 2e10)
	s.precision = "float32"
	if double {
		s.precision = "float64"
	}
	return double
}

// result starts the result of a split.
func (s *tagSample) result(set *features.Set, l *features.Layer, split *features.Split) *Result {
	r := &Result{
		Source: set.Source, Layer: l.Name, Split: split.Name, Samples: int(s.sum.Rows), Dimension: s.d,
		Classes: s.k, PresentClasses: len(s.seen), DType: split.DType.String(), Precision: s.precision,
		Tags: &TagCounts{Sets: s.whole.sets},
	}
	rows := make([]int64, s.k)
	alone, least, most := 0, s.sum.Count[s.first], s.sum.Count[s.first]
	for c, n := range s.sum.Count {
		r.Tags.All, r.Tags.Count = append(r.Tags.All, s.set(c)), append(r.Tags.Count, int(n))
	}
	for c := s.first; c < len(s.sum.Classes); c++ {
		n := s.sum.Count[c]
		least, most = min(least, n), max(most, n)
		if n == 1 {
			alone++
		}
		for _, k := range s.set(c) {
			rows[k] += n
		}
	}
	r.Tags.Rows = Range{int(least), int(most)}
	for _, g := range s.groups {
		r.Tags.Multiplicities = append(r.Tags.Multiplicities, g.size)
	}
	rows = slices.DeleteFunc(rows, func(n int64) bool { return n == 0 })
	r.ClassCounts = Range{int(slices.Min(rows)), int(slices.Max(rows))}

	lacking := func(of []int) (out []int64) {
		for k := range s.k {
			if !slices.Contains(of, k) {
				out = append(out, int64(k))
			}
		}
		return out
	}
	first := func(list []int64) []int64 { return list[:min(20, len(list))] }
	if absent := lacking(s.seen); absent != nil {
		r.warn("absent_classes", len(absent), first(absent), "%s of %d without rows, left out of M2 and M3", plural(len(absent), "tag", "tags"), s.k)
	}
	if never := lacking(s.ones); len(never) > 0 {
		r.warn("no_single_tag_rows", len(never), first(never), "%s of %d without rows of their own: tag sets with them say nothing about the tag-wise average", plural(len(never), "tag", "tags"), s.k)
	}
	if alone > 0 {
		r.warn("singleton_tag_sets", alone, nil, "%s of %d with one row, which counts as no spread", plural(alone, "tag set", "tag sets"), s.whole.sets)
	}
	return r
}

// sampled warns of numbers that were found from a part.
func (s *tagSample) sampled(r *Result) {
	for _, g := range s.groups {
		if g.every > 1 {
			r.warn("sampled_rows", int(g.pass.Along), nil, "ml_nc1_m%d from one row of %d", g.size, g.every)
		}
	}
	if s.weights != nil && s.whole.every > 1 {
		r.warn("sampled_rows", int(s.whole.pass.Compared), nil, "ml_nc4_mismatch from one row of %d", s.whole.every)
	}
	for _, g := range s.groups {
		if g.raw != nil && g.raw.sampled || g.projected != nil && g.projected.sampled {
			r.warn("sampled_pairs", drawnMismatched, nil, "mismatched angles of %d tags from pairs drawn by lot", g.size)
		}
	}
}

// imitate gives the numbers of a published script.
func (s *tagSample) imitate(r *Result, x *mlab, name string) {
	if r.Compat == nil {
		r.Compat = map[string]map[string]Value{}
	}
	at := slices.IndexFunc(scripts, func(o script) bool { return o.name == name })
	if name == mlabScript {
		r.Compat[name] = x.values(s)
		r.Notes = append(r.Notes, Warning{Code: "compat_" + name, Message: scripts[at].note})
		return
	}
	values := map[string]Value{}
	for _, q := range scripts[at].quantities {
		values[strings.TrimPrefix(q, "*")] = undefined(NeedsSingleLabel)
	}
	r.Compat[name] = values
}
