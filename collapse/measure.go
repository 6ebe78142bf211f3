package collapse

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/moments"
)

// Options of a measurement. The zero value is the documented default.
type Options struct {
	GlobalMean    string   // "class" (default): mean of the class means; "sample": mean of all rows
	Precision     string   // of the products of pass 2: "auto" (default), "float64", "float32"
	Metrics       []string // globs over ids, see Match; nil is "default"
	Compat        []string // published scripts to imitate, see Scripts
	PerClass      bool     // keep a ClassRow for every class
	SkipNonfinite bool     // leave out rows with NaN or infinity instead of refusing the file
	RankTol       float64  // relative cut on the eigenvalues of Sigma_B; default 1e-12
	MSELambda     float64  // weight decay of the mse_* metrics; default 2e-3
	DepthEps      float64  // nearest-centre error that counts as separated (effective depth); default 0.01
	Minority      []int64  // minority classes; nil finds them from the counts
	Alpha         float64  // levels at or below this count as collapsed; default 0.10
	Confidence    float64  // of the intervals of the levels; default 0.95
	Predict       bool     // of rows with several tags and a classifier: predict the tag sets by every rule, and score that
	MinCount      int      // of rows with several tags: leave out tag sets with fewer rows; 0 and 1 keep all
	NoVerdict     bool     // leave out levels and verdict, and their cost
	Seed          uint64   // of what is drawn by lot: rows for the errors of the levels, random directions
	Memory        int64    // bytes for working storage; default features.DefaultMemory
	Workers       int      // goroutines; default all processors; results do not depend on it

	// Progress, where not nil, is told how many of how many rows were read, over all layers and passes.
	// It is called by several goroutines, and must be quick.
	Progress func(done, total int64)
}

// Report is what was measured on one file: a result for every layer, in depth order; where rows have several tags, one for the
// training rows and one for the test rows of every layer.
type Report struct {
	Source  string
	Results []*Result
	Depth   *EffectiveDepth // nil for a single layer
	Notes   []features.Note // what was taken for what when the file was opened
}

// EffectiveDepth is the number (from 1) of the first layer whose nearest-centre training error is at most
// Eps, or the number of layers where none is (Galanti 2022).
type EffectiveDepth struct {
	Value    int        `json:"value"`
	Reached  bool       `json:"reached"`
	Eps      float64    `json:"eps"`
	NCCError []*float64 `json:"ncc_error"` // per layer; nil where undefined
}

// Measure reads the layers of a set and returns every metric that was asked for. Errors are *features.Error for what is
// wrong with the file, or the context's error.
func Measure(ctx context.Context, set *features.Set, o Options) (*Report, error) {
	if err := o.resolve(); err != nil {
		return nil, err
	}
	m := measurement{ctx: ctx, set: set, opts: &o, scan: moments.ScanOptions{Workers: o.Workers}}
	ids, _ := Match(o.Metrics)
	m.wanted = map[string]bool{}
	for _, id := range ids {
		m.wanted[id] = true
		if metric, _ := Lookup(id); metric.Cost == Full {
			m.full = true
		}
	}
	m.full = m.full || len(o.Compat) > 0
	m.watch()
	report := &Report{Source: set.Source, Notes: set.Notes}
	for i := range set.Layers {
		l := &set.Layers[i]
		if l.Train.Tags != nil {
			results, err := m.tagLayer(l)
			if err != nil {
				return nil, err
			}
			for i, split := range []*features.Split{l.Train, l.Test}[:len(results)] {
				m.sayRare(results[i], split)
			}
			report.Results = append(report.Results, results...)
			continue
		}
		r, err := m.layer(l)
		if err != nil {
			return nil, err
		}
		report.Results = append(report.Results, r)
	}
	if len(m.separated) > 1 {
		report.Depth = depth(m.separated, o.DepthEps)
	}
	return report, nil
}

// resolve checks the options and fills in the defaults.
func (o *Options) resolve() error {
	oneOf := func(name string, v *string, choices ...string) error {
		if *v == "" {
			*v = choices[0]
		}
		if !slices.Contains(choices, *v) {
			return fmt.Errorf("collapse: %s %q: expected one of %s", name, *v, strings.Join(choices, ", "))
		}
		return nil
	}
	if err := oneOf("global mean", &o.GlobalMean, "class", "sample"); err != nil {
		return err
	}
	if err := oneOf("precision", &o.Precision, "auto", "float64", "float32"); err != nil {
		return err
	}
	for _, name := range o.Compat {
		if err := oneOf("script", &name, Scripts()...); err != nil {
			return err
		}
	}
	if o.Metrics == nil {
		o.Metrics = []string{"default"}
	}
	if _, bad := Match(o.Metrics); bad != "" {
		return fmt.Errorf("collapse: no metric matches %q", bad)
	}
	if o.RankTol == 0 {
		o.RankTol = 1e-12
	}
	if o.MSELambda == 0 {
		o.MSELambda = 2e-3
	}
	if o.DepthEps == 0 {
		o.DepthEps = 0.01
	}
	if o.Alpha == 0 {
		o.Alpha = 0.10
	}
	if o.Confidence == 0 {
		o.Confidence = 0.95
	}
	if !(o.Alpha > 0 && o.Alpha < 1 && o.Confidence > 0 && o.Confidence < 1) {
		return fmt.Errorf("collapse: alpha %v and confidence %v: expected between 0 and 1", o.Alpha, o.Confidence)
	}
	if o.Memory == 0 {
		o.Memory = features.DefaultMemory
	}
	return nil
}

// measurement is one call of Measure.
type measurement struct {
	ctx       context.Context
	set       *features.Set
	opts      *Options
	scan      moments.ScanOptions
	wanted    map[string]bool
	full      bool    // something of cost Full is wanted
	separated []Value // nearest-centre errors of the layers so far
	rare      map[*features.Split]rare
}

// watch counts rows for the progress.
func (m *measurement) watch() {
	if m.opts.Progress == nil {
		return
	}
	var total int64
	for _, l := range m.set.Layers {
		total += 2 * int64(l.Train.Rows)
		if l.Train.Tags != nil {
			if l.Test != nil {
				total += 2 * int64(l.Test.Rows)
			}
			continue
		}
		total += m.fullNeeds().passes() * int64(l.Train.Rows)
		if l.Test != nil {
			total += 3 * int64(l.Test.Rows)
		}
		if l.OOD != nil {
			total += int64(l.OOD.Rows)
		}
	}
	var done atomic.Int64
	m.scan.Progress = func(rows int) { m.opts.Progress(min(done.Add(int64(rows)), total), total) }
}

// layer measures one layer.
func (m *measurement) layer(l *features.Layer) (*Result, error) {
	s, skipped, err := m.first(l.Train, l.Array)
	if err != nil {
		return nil, err
	}
	s.use(l.Classifier)
	if l.Test != nil {
		if err := m.testFirst(s, l); err != nil {
			return nil, err
		}
	}
	if l.OOD != nil {
		ood, _, err := m.first(l.OOD, "ood_features")
		if err != nil {
			return nil, err
		}
		s.ood = ood.sum
	}
	if err := s.measure(m.ctx, m.scan, true); err != nil {
		return nil, err
	}
	if s.test != nil {
		if err := m.testSecond(s, l); err != nil {
			return nil, err
		}
	}
	if m.full {
		if s.full, err = m.third(s, l); err != nil {
			return nil, err
		}
	}
	ncc, _ := Lookup("ncc_error")
	m.separated = append(m.separated, s.evaluate(ncc))
	r := s.result(m.set, l)
	r.Skipped = int(skipped)
	if skipped > 0 {
		r.warn("skipped_rows", int(skipped), nil, "%s with NaN or infinity left out", plural(int(skipped), "row", "rows"))
	}
	for _, metric := range registry {
		v := undefined(NotRequested)
		if m.wanted[metric.ID] {
			v = s.evaluate(metric)
		}
		r.Metrics[metric.ID] = v
	}
	if !m.opts.NoVerdict {
		s.forget()
		free(s.sum)
		r.Verdict = s.verdict(r.Metrics)
	}
	if m.opts.PerClass {
		r.PerClass = s.perClass()
	}
	for _, name := range m.opts.Compat {
		if err := s.imitate(m.ctx, m.scan, r, name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// first makes the first pass over a split with classes.
func (m *measurement) first(split *features.Split, array string) (*sample, int64, error) {
	sum, skipped, err := m.collect(split, array)
	if err != nil {
		return nil, 0, err
	}
	return begin(m.opts, split, sum), skipped, nil
}

// collect makes the first pass over a split, and refuses rows that are not finite unless they are to be skipped: it
// returns how many were.
func (m *measurement) collect(split *features.Split, array string) (*moments.Summary, int64, error) {
	state, err := moments.Collect(m.ctx, split, m.scan)
	if err != nil {
		return nil, 0, err
	}
	bad := state.Nonfinite()
	fault := func(k features.Kind, format string, args ...any) error {
		return &features.Error{File: m.set.Source, Array: array, Kind: k, Message: fmt.Sprintf(format, args...)}
	}
	if bad.Count > 0 && !m.opts.SkipNonfinite {
		cells := make([]string, len(bad.First))
		for i, c := range bad.First {
			cells[i] = fmt.Sprintf("row %d column %d (%v)", c.Row, c.Column, c.Value)
		}
		return nil, 0, fault(features.NonFinite, "%d of %s with NaN or infinity, first %s; --skip-nonfinite leaves them out",
			bad.Count, plural(split.Rows, "row", "rows"), strings.Join(cells, ", "))
	}
	sum := state.Close()
	if len(sum.Classes) == 0 {
		return nil, 0, fault(features.Empty, "none of %d rows is finite", split.Rows)
	}
	if sum, err = m.common(split, array, sum); err != nil {
		return nil, 0, err
	}
	free(sum)
	return sum, bad.Count, nil
}

// testFirst makes the first pass over the test rows.
func (m *measurement) testFirst(s *sample, l *features.Layer) error {
	own, _, err := m.first(l.Test, "test_"+l.Array)
	if err != nil {
		return err
	}
	s.test = &testSample{own: own, known: true}
	for _, label := range own.sum.Classes {
		if _, ok := slices.BinarySearch(s.sum.Classes, label); !ok {
			s.test.known = false
		}
	}
	return nil
}

// testSecond makes the second passes over the test rows: by their own means, and against the training rows.
func (m *measurement) testSecond(s *sample, l *features.Layer) (err error) {
	if err := s.test.own.measure(m.ctx, m.scan, false); err != nil {
		return err
	}
	p := s.plan(true)
	p.Units, p.Weak = false, true
	s.test.pass, err = p.Collect(m.ctx, l.Test, m.scan)
	return err
}

// result starts the result of a sample.
func (s *sample) result(set *features.Set, l *features.Layer) *Result {
	sum := s.sum
	last := sum.Classes[s.k-1]
	r := &Result{
		Source: set.Source, Layer: l.Name, Split: "train", Samples: int(sum.Rows), Dimension: s.d,
		Classes: int(last) + 1, PresentClasses: s.k,
		ClassCounts: Range{int(slices.Min(sum.Count)), int(slices.Max(sum.Count))},
		DType:       l.DType.String(), Precision: s.precision, Route: s.route.name, Metrics: Values{},
	}
	if set.Classifier != nil {
		r.Classes = set.Classifier.Classes
	}
	if missing := r.Classes - s.k; missing > 0 {
		var named []int64
		for label := int64(0); label < int64(r.Classes) && len(named) < 20; label++ {
			if _, ok := slices.BinarySearch(sum.Classes, label); !ok {
				named = append(named, label)
			}
		}
		r.warn("absent_classes", missing, named, "%s of %d without rows, left out of the means", plural(missing, "class", "classes"), r.Classes)
	}
	var single []int64
	for c, n := range sum.Count {
		if n == 1 {
			single = append(single, sum.Classes[c])
		}
	}
	if len(single) > 0 {
		r.warn("singleton_classes", len(single), single[:min(20, len(single))], "%s of one row, which counts as no spread", plural(len(single), "class", "classes"))
	}
	if s.k == 2 {
		r.warn("trivial_simplex", 0, nil, "two class means are always a simplex: nc2 of the means says nothing")
	}
	if s.needBetween() == "" && s.rank < min(s.k-1, s.d) {
		r.warn("rank_deficient", 0, nil, "the class means span %d directions instead of %d", s.rank, min(s.k-1, s.d))
	}
	return r
}

func (r *Result) warn(code string, n int, classes []int64, format string, args ...any) {
	r.Warnings = append(r.Warnings, Warning{Code: code, Count: n, Classes: classes, Message: fmt.Sprintf(format, args...)})
}

// depth is the effective depth of layers with the given nearest-centre errors.
func depth(ncc []Value, eps float64) *EffectiveDepth {
	d := &EffectiveDepth{Value: len(ncc), Eps: eps}
	for i, v := range ncc {
		if !v.Defined() {
			d.NCCError = append(d.NCCError, nil)
			continue
		}
		d.NCCError = append(d.NCCError, &v.Number)
		if v.Number <= eps && !d.Reached {
			d.Value, d.Reached = i+1, true
		}
	}
	return d
}

// perClass lists what is known of each class.
func (s *sample) perClass() []ClassRow {
	rows := make([]ClassRow, s.k)
	pairs, pairsReason := s.cdnvPairs()
	var align []float64
	if s.class != nil && s.needBetween() == "" && s.class.present.Directed() && s.means.Directed() {
		align = s.alignments()
	}
	for c, label := range s.sum.Classes {
		sums := s.pass.Class[c]
		row := ClassRow{Class: label, Count: int(s.sum.Count[c]), NCCErrors: int(sums.NCCErrors)}
		row.MeanNorm = pointer(s.means.Norms()[c])
		if s.sum.Count[c] > 1 {
			row.Variance = pointer(s.sum.Var(c))
		}
		near, least, best := -1, math.Inf(1), math.Inf(-1)
		for j := range s.k {
			if j == c {
				continue
			}
			if d := s.means.Distance2(c, j); d < least {
				near, least = j, d
			}
			if s.means.Directed() {
				best = max(best, s.means.Cosine(c, j))
			}
		}
		if near >= 0 {
			row.NearestClass, row.NearestDistance = pointer(s.sum.Classes[near]), pointer(math.Sqrt(least))
			if s.means.Directed() {
				row.NearestCosine = pointer(best)
			}
		}
		if pairsReason == "" {
			most, at := math.Inf(-1), -1
			for j := range s.k {
				if j == c {
					continue
				}
				if v := pairs[geometry.PairIndex(min(c, j), max(c, j), s.k)]; v > most {
					most, at = v, j
				}
			}
			row.CDNVMax, row.CDNVWorst = pointer(most), pointer(s.sum.Classes[at])
		}
		if s.class != nil {
			row.WeightNorm, row.Errors = pointer(s.class.present.Norms()[c]), pointer(int(sums.Errors))
			if align != nil {
				row.Alignment = pointer(align[c])
			}
		}
		rows[c] = row
	}
	return rows
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func pointer[T any](v T) *T { return &v }
