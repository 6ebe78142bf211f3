package collapse

import (
	"path"
	"slices"
)

// Cost says what a metric needs beyond the class statistics of the first pass.
type Cost uint8

// The costs, in the order in which they grow.
const (
	Pass1  Cost = iota // class counts, means and scalar spreads
	Pass2              // a second pass: products of every row with the class means
	Logits             // a second pass that also computes the classifier's logits
	Full               // second moments, of all rows or of each class: memory min(d, N)^2 or more
)

// String is the mark used in tables: "1", "2", "2z" or "F".
func (c Cost) String() string { return [...]string{"1", "2", "2z", "F"}[c] }

// A Metric is one number of the literature: everything there is to know about it, in one entry.
// The tables of the README and of `collapsar metrics`, the JSON and the report are made from these entries.
type Metric struct {
	ID      string // the name in JSON, thresholds and globs: "nc1_quotient"
	Name    string // a few words for a table
	Formula string // in the notation of the package comment
	Source  string // authors and year
	Group   string // the heading it stands under
	Ideal   string // value at perfect collapse, as text: "0", "-1/(K-1)", "" where it depends on scale
	Cost    Cost

	ideal ideal                 // the same as a number for K classes
	eval  func(s *sample) Value // the value on a finished sample; never panics, never NaN
}

// IdealAt is the value at perfect collapse for k classes; ok is false where it depends on more than k.
func (m Metric) IdealAt(k int) (v float64, ok bool) {
	if m.ideal.at == nil || k < 2 {
		return 0, false
	}
	return m.ideal.at(k), true
}

// Groups lists the headings in the order of the tables.
func Groups() []string {
	var out []string
	for _, m := range append(Metrics(), MultiLabelMetrics()...) {
		if !slices.Contains(out, m.Group) {
			out = append(out, m.Group)
		}
	}
	return out
}

// Metrics is the registry of rows with one class each: every single-label metric, in the order of the tables. The slice is the caller's.
func Metrics() []Metric { return slices.Clone(registry) }

// Lookup finds a metric by its id, single-label or multi-label.
func Lookup(id string) (Metric, bool) {
	i := slices.IndexFunc(registry, func(m Metric) bool { return m.ID == id })
	if i < 0 {
		return lookupTag(id)
	}
	return registry[i], true
}

// Match returns the ids of single-label metrics that any of the patterns names, in registry order, and the first pattern that
// names none, multi-label ones included. A pattern is a glob as in package path ("nc2_*"); "all" names every metric,
// "default" all but those of cost Full.
func Match(patterns []string) (ids []string, unmatched string) {
	hit := make([]bool, len(registry))
	for _, p := range patterns {
		any := slices.ContainsFunc(tagRegistry, func(t tagMetric) bool { return t.named(p) })
		for i, m := range registry {
			ok, err := path.Match(p, m.ID)
			if p == "all" || p == "default" && m.Cost != Full || err == nil && ok {
				hit[i], any = true, true
			}
		}
		if !any && unmatched == "" {
			unmatched = p
		}
	}
	for i, m := range registry {
		if hit[i] {
			ids = append(ids, m.ID)
		}
	}
	return ids, unmatched
}

// MatchMultiLabel is Match for multi-label metrics; an id that ends in "_mM" stands for those of all multiplicities, also where
// a pattern names one of them.
func MatchMultiLabel(patterns []string) (ids []string) {
	for _, t := range tagRegistry {
		if slices.ContainsFunc(patterns, t.named) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}
