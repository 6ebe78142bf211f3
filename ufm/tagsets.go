package ufm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/kernel"
)

// checkTagSets wants tags in order, below K, and every set once.
func checkTagSets(l Loss) error {
	if len(l.TagSets) == 0 {
		return nil
	}
	if len(l.Sets) > 0 {
		return fmt.Errorf("tag sets: Loss.Sets has counts too")
	}
	seen := map[string]bool{}
	for i, s := range l.TagSets {
		if s.Count < 1 {
			return fmt.Errorf("tag_sets[%d]: %d samples, wanted at least 1", i, s.Count)
		}
		for j, k := range s.Tags {
			if k < 0 || k >= l.Classes || j > 0 && k <= s.Tags[j-1] {
				return fmt.Errorf("tag_sets[%d]: %v, wanted increasing tags of 0..%d", i, s.Tags, l.Classes-1)
			}
		}
		key := fmt.Sprint(s.Tags)
		if seen[key] {
			return fmt.Errorf("tag_sets[%d]: %v a second time", i, s.Tags)
		}
		seen[key] = true
	}
	return nil
}

// balanced is how many samples each set of m labels has, by m. ok is false where sets of one size differ in that.
func (l *Loss) balanced() (sets map[int]int, ok bool) {
	if len(l.TagSets) == 0 {
		return l.Sets, true
	}
	sets, occur := map[int]int{}, map[int]int{}
	for _, s := range l.TagSets {
		m := len(s.Tags)
		if n, there := sets[m]; m == 0 || there && n != s.Count {
			return nil, false
		}
		sets[m] = s.Count
		occur[m]++
	}
	for m, n := range occur {
		if math.Abs(math.Exp(lchoose(l.Classes, m))-float64(n)) > 0.5 {
			return nil, false
		}
	}
	return sets, true
}

// TagSetOptimum is what the pick-all-label model says about a data set: about each of its tag sets, multiplicities and tags.
//
// Logits are z = W h + b. The margin of a tag set is the mean of the logits of its tags less that of the others; scales and
// angles compare the feature of a tag set with the sum of those of its single tags, and are NaN where one of these has no
// samples. Angles are in degrees.
type TagSetOptimum struct {
	ClosedForm  bool         // by the margin law; otherwise by search
	Value       float64      // loss and decays
	Loss, Floor float64      // mean loss, and what it cannot fall below
	Certificate *Certificate // nil for a closed form, which is proved
	Sizes       []TagSizeOptimum
	Sets        []TagSetPart // weakest first: by Least
	Cosines     []float64    // K x K, of the rows of W
	Norms       []float64    // of the rows of W
	Bias        []float64    // nil without
	Solution    *Solution    // nil for a closed form
}

// TagSizeOptimum is the tag sets of one multiplicity.
type TagSizeOptimum struct {
	Size   int     // m
	Sets   int     // how many occur
	Margin float64 // t_m, mean over the tag sets
	Scale  float64 // C_m (ml_scale)
	Spread float64 // of the scales of the tag sets (ml_scale_spread)
	Angle  float64 // tag-wise angle (ml_tagwise_angle)
}

// TagSetPart is one tag set.
type TagSetPart struct {
	TagSet
	Margin float64
	Least  float64 // smallest logit of its tags less the largest of the others
	Scale  float64
	Angle  float64
}

// TagSets solves a pick-all-label problem with decays, and says what its optimum is for every tag set. Where every set of a size
// has equally many samples the closed form answers; otherwise a search, in at most K dimensions, for more do not matter. A problem
// of more than 400,000 variables is refused with ErrTooLarge.
func (p Problem) TagSets(ctx context.Context, o SolveOptions) (*TagSetOptimum, error) {
	if p.Loss.Kind != PickAllLabel {
		return nil, fmt.Errorf("loss %q: wanted %q", p.Loss.Kind, PickAllLabel)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if b, ok := p.palClosedForm(); ok && b.shape == palLinear {
		return p.fromMargins(b), nil
	}
	if !p.NonNegative && p.Classifier == Free {
		p.Dim = min(p.Dim, p.Loss.Classes)
	}
	if (p.kinds()+float64(p.classes()))*float64(p.Dim) > searchable {
		return nil, fmt.Errorf("%w: %.0f tag sets in %d dimensions", ErrTooLarge, p.kinds(), p.Dim)
	}
	s, err := p.Solve(ctx, o)
	if err != nil {
		return nil, err
	}
	return s.tagSets()
}

// ErrTooLarge says that a problem is not searched without being asked to.
var ErrTooLarge = errors.New("more than 400,000 variables to search")

// palClosedForm is the closed form of a pick-all-label problem, where it has one.
func (p *Problem) palClosedForm() (*palBalanced, bool) {
	if p.H.Kind != DecayKind || p.Dim < p.Loss.Classes-1 || len(p.Layers) > 0 || p.Scale != 0 && p.Scale != 1 || p.Loss.Sum {
		return nil, false
	}
	lambda := decays{W: p.W.Size, H: p.H.Size}
	samples := map[int]float64{}
	for _, s := range p.Loss.TagSets {
		samples[len(s.Tags)] += float64(s.Count)
	}
	for m, n := range p.Loss.Sets {
		samples[m] = float64(n) * float64(binomial(p.Loss.Classes, m))
	}
	_, equal := p.Loss.balanced()
	solve := func(shape palShape) (*palBalanced, bool) {
		return newPAL(p.Loss.Classes, samples, p.Loss.Average, shape, lambda, p.W.Size), true
	}
	switch {
	case p.Classifier == Simplex && !p.NonNegative && (p.Bias == NoBias || p.Bias == ""):
		return solve(palFixed)
	case p.Classifier != Free || p.W.Kind != DecayKind || !equal:
		return nil, false
	case !p.NonNegative:
		return solve(palLinear)
	case p.Dim >= p.Loss.Classes && (p.Bias == NoBias || p.Bias == ""):
		return solve(palNonNegative)
	}
	return nil, false
}

// fromMargins spells a closed form out.
func (p *Problem) fromMargins(b *palBalanced) *TagSetOptimum {
	K := p.Loss.Classes
	out := &TagSetOptimum{ClosedForm: true, Value: b.value, Loss: b.loss, Floor: b.floor(), Cosines: diagonal(K, 1+1/(b.K-1), -1/(b.K-1))}
	for range K {
		out.Norms = append(out.Norms, math.Sqrt(b.a2*(b.K-1)/b.K))
	}
	if b.trivial() {
		for i := range out.Cosines {
			out.Cosines[i] = math.NaN()
		}
	}
	if p.Bias != NoBias && p.Bias != "" {
		out.Bias = make([]float64, K)
	}
	at := map[int]multiplicity{}
	for _, u := range b.all {
		at[u.m] = u
		size := TagSizeOptimum{Size: u.m, Sets: int(math.Round(math.Exp(lchoose(K, u.m)))), Margin: u.margin, Scale: b.scale(u)}
		if u.m == K {
			size.Margin = math.NaN()
		}
		if math.IsNaN(size.Scale) {
			size.Spread, size.Angle = math.NaN(), math.NaN()
		}
		out.Sizes = append(out.Sizes, size)
	}
	for _, r := range p.rows(true) {
		if len(r.set) == 0 {
			continue
		}
		u := at[len(r.set)]
		part := TagSetPart{TagSet: TagSet{r.set, int(r.times)}, Margin: u.margin, Least: u.margin, Scale: b.scale(u)}
		if u.m == K {
			part.Margin, part.Least = math.NaN(), math.NaN()
		}
		if math.IsNaN(part.Scale) {
			part.Angle = math.NaN()
		}
		out.Sets = append(out.Sets, part)
	}
	out.weakestFirst()
	return out
}

func (t *TagSetOptimum) weakestFirst() {
	slices.SortStableFunc(t.Sets, func(a, b TagSetPart) int {
		switch x, y := math.IsNaN(a.Least), math.IsNaN(b.Least); {
		case x != y && x:
			return 1
		case x != y:
			return -1
		}
		if math.Abs(a.Least-b.Least) > 1e-7*max(1, math.Abs(a.Least)) {
			return cmp.Compare(a.Least, b.Least)
		}
		return cmp.Or(cmp.Compare(len(a.Tags), len(b.Tags)), slices.Compare(a.Tags, b.Tags))
	})
}

// tagSets describes a point that was found. Features of the same tag set are averaged.
func (s *Solution) tagSets() (*TagSetOptimum, error) {
	p := &s.Problem
	K, d := p.Loss.Classes, p.Dim
	c, err := p.Certify(s.Point)
	if err != nil {
		return nil, err
	}
	out := &TagSetOptimum{Value: s.Value, Certificate: c, Solution: s, Bias: s.B, Floor: p.floor()}
	o, err := p.objectiveFor(s.Point)
	if err != nil {
		return nil, err
	}
	o.valueAt(s.Point)
	out.Loss = o.lossAt()
	out.Cosines = make([]float64, K*K)
	kernel.Gemm64(false, true, K, K, d, 1, s.W, d, s.W, d, 0, out.Cosines, K)
	for i := range K {
		out.Norms = append(out.Norms, math.Sqrt(out.Cosines[i*K+i]))
	}
	for i := range K {
		for j := range K {
			out.Cosines[i*K+j] /= out.Norms[i] * out.Norms[j]
		}
		out.Cosines[i*K+i] = 1
	}
	groups := p.rows(true)
	mean := make([]float64, len(groups)*d)
	if s.ClassMeans {
		copy(mean, s.H)
	} else {
		row := 0
		for i, g := range groups {
			for range int(g.times) {
				kernel.Axpy64(mean[i*d:(i+1)*d], 1/g.times, s.H[row*d:(row+1)*d])
				row++
			}
		}
	}
	single := make([][]float64, K)
	for i, g := range groups {
		if len(g.set) == 1 {
			single[g.set[0]] = mean[i*d : (i+1)*d]
		}
	}
	scale := p.Scale
	if scale == 0 {
		scale = 1
	}
	sizes := map[int]*sizeSums{}
	z, x := make([]float64, K), make([]float64, d)
	for i, g := range groups {
		m := len(g.set)
		if m == 0 {
			continue
		}
		h := mean[i*d : (i+1)*d]
		for k := range z {
			z[k] = scale * kernel.Dot64(s.W[k*d:(k+1)*d], h)
			if s.B != nil {
				z[k] += s.B[k]
			}
		}
		part := TagSetPart{TagSet: TagSet{g.set, int(g.times)}, Scale: math.NaN(), Angle: math.NaN()}
		part.Margin, part.Least = margins(z, g.set)
		sums := sizes[m]
		if sums == nil {
			sums = &sizeSums{}
			sizes[m] = sums
		}
		sums.margin += part.Margin
		sums.sets++
		clear(x)
		covered := true
		for _, k := range g.set {
			if covered = covered && single[k] != nil; covered {
				kernel.Add64(x, single[k])
			}
		}
		if xx := kernel.SumSquares64(x); covered && xx > 0 && m < K {
			xy := kernel.Dot64(x, h)
			part.Scale, part.Angle = xy/xx, degrees(x, h)
			sums.xx, sums.xy, sums.angle = sums.xx+xx, sums.xy+xy, sums.angle+part.Angle
			sums.scales = append(sums.scales, part.Scale)
		}
		out.Sets = append(out.Sets, part)
	}
	for _, m := range slices.Sorted(maps.Keys(sizes)) {
		out.Sizes = append(out.Sizes, sizes[m].optimum(m))
	}
	out.weakestFirst()
	return out, nil
}

// sizeSums add up the tag sets of one size.
type sizeSums struct {
	sets                  int
	margin, xx, xy, angle float64
	scales                []float64
}

func (s *sizeSums) optimum(m int) TagSizeOptimum {
	t := TagSizeOptimum{Size: m, Sets: s.sets, Margin: s.margin / float64(s.sets), Scale: math.NaN(), Spread: math.NaN(), Angle: math.NaN()}
	if n := float64(len(s.scales)); n > 0 {
		t.Scale, t.Angle = s.xy/s.xx, s.angle/n
		mean, square := 0.0, 0.0
		for _, c := range s.scales {
			mean += c / n
		}
		for _, c := range s.scales {
			square += (c - mean) * (c - mean) / n
		}
		t.Spread = math.Sqrt(square) / math.Abs(mean)
	}
	return t
}

// margins are the mean and the smallest difference between the logits of a tag set and the others; NaN for all tags.
func margins(z []float64, set []int) (mean, least float64) {
	if len(set) == len(z) {
		return math.NaN(), math.NaN()
	}
	in, all, low, high := 0.0, 0.0, math.Inf(1), math.Inf(-1)
	for k, v := range z {
		all += v
		if _, there := slices.BinarySearch(set, k); there {
			in, low = in+v, min(low, v)
		} else {
			high = max(high, v)
		}
	}
	m := float64(len(set))
	return in/m - (all-in)/(float64(len(z))-m), low - high
}

// degrees is the angle between two vectors, by the difference and the sum of the unit vectors, which keeps small angles.
func degrees(x, y []float64) float64 {
	nx, ny := math.Sqrt(kernel.SumSquares64(x)), math.Sqrt(kernel.SumSquares64(y))
	minus, plus := 0.0, 0.0
	for i, v := range x {
		u, w := v/nx, y[i]/ny
		minus += (u - w) * (u - w)
		plus += (u + w) * (u + w)
	}
	return 360 / math.Pi * math.Atan2(math.Sqrt(minus), math.Sqrt(plus))
}

// floor is what the mean loss cannot fall below.
func (p *Problem) floor() float64 {
	sum := 0.0
	for _, r := range p.rows(true) {
		if m := float64(len(r.set)); m > 0 {
			if v := r.times * math.Log(m); p.Loss.Average {
				sum += v
			} else {
				sum += m * v
			}
		}
	}
	return sum / p.samples()
}

const tagSetParams = "K [samples_per_set] [tag_sets] [names] d lambda_H [lambda_W] [classifier] [E_W] [nonnegative] bias [lambda_b]"

// tag reads the number of a tag, from 0 on.
func (p *params) tag(name string, v any) int {
	x := p.toReal(name, v)
	if x != math.Trunc(x) || x < 0 || x >= mostClasses {
		p.fail(name, "%v, wanted the number of a tag, from 0 on", v)
		return 0
	}
	return int(x)
}

// tagSets reads a list of {"tags": [0, 3], "count": 20}.
func (p *params) tagSets() (sets []TagSet) {
	for _, o := range p.objects("tag_sets") {
		s := TagSet{Count: o.count("count"), Tags: []int{}}
		if list, ok := o.get("tags"); ok {
			if l, isList := list.([]any); !isList || len(l) > 0 { // no tags is a tag set too
				for i, v := range o.list("tags", list) {
					s.Tags = append(s.Tags, o.tag(fmt.Sprintf("tags[%d]", i), v))
				}
			}
		}
		o.done()
		slices.Sort(s.Tags)
		sets = append(sets, s)
	}
	return sets
}

// names reads what the tags are called, K names.
func (p *params) names(K int) (names []string) {
	for i, v := range readList(p, "names", func(_ string, v any) any { return v }) {
		s, ok := v.(string)
		if !ok {
			p.fail(fmt.Sprintf("names[%d]", i), "%v, wanted a word", v)
		}
		names = append(names, s)
	}
	if p.err == nil && len(names) != K {
		p.fail("names", "%d names, wanted %d", len(names), K)
	}
	return names
}

func tagSetQuestion(average bool) func(context.Context, *params, Options) (*Report, error) {
	return func(ctx context.Context, p *params, o Options) (*Report, error) {
		m := Problem{Loss: Loss{Kind: PickAllLabel, Average: average, Classes: p.classes("K")}}
		if p.has("tag_sets") {
			m.Loss.TagSets = p.tagSets()
			if p.has("samples_per_set") {
				p.fail("samples_per_set", "not together with tag_sets")
			}
		} else {
			m.Loss.Sets = p.setSizes(m.Loss.Classes)
		}
		var names []string
		if p.has("names") {
			names = p.names(m.Loss.Classes)
		}
		m.Dim = p.count("d")
		if p.has("classifier") {
			p.oneOf("classifier", string(Simplex))
			m.Classifier, m.W = Simplex, Sphere(p.positive("E_W"))
		} else {
			m.W = Decay(p.positive("lambda_W"))
		}
		m.H = Decay(p.positive("lambda_H"))
		m.Bias, m.B = p.bias()
		if p.has("nonnegative") {
			m.NonNegative = p.yes("nonnegative")
		}
		if err := p.done(); err != nil {
			return nil, err
		}
		if err := m.Check(); err != nil {
			return nil, err
		}
		return m.tagSetReport(ctx, names, o)
	}
}

// tagSetReport answers a pick-all-label problem.
func (p *Problem) tagSetReport(ctx context.Context, names []string, o Options) (*Report, error) {
	r := &Report{Model: p}
	b, exact := p.palClosedForm()
	if !exact && p.Dim < p.Loss.Classes-1 && !o.Numeric {
		return nil, tooFewDimensions(p.Loss.Classes, p.Dim)
	}
	var at *TagSetOptimum
	if exact {
		r.ClosedForm = b.fields()
		r.Words = b.words(decays{W: p.W.Size, H: p.H.Size})
		if p.Classifier == Free { // of a fixed one the sets follow from their size
			at = p.fromMargins(b)
		}
	}
	found, why, err := search(ctx, *p, o)
	if err != nil {
		return nil, err
	}
	if r.NotSolved = why; found != nil {
		if at, err = found.tagSets(); err != nil {
			return nil, err
		}
		r.Solved = append(found.fields(), at.fields(names)...)
		r.Certificate = at.Certificate.fields()
		r.Words = append(r.Words, at.Certificate.Words)
	}
	if at == nil {
		return r, nil
	}
	r.Words = append(r.Words, at.words(names)...)
	if found == nil {
		r.ClosedForm = append(r.ClosedForm, at.tables(names)...)
	}
	return r, nil
}

// fields are what a closed form gives.
func (b *palBalanced) fields() Fields {
	var margins, scales, norms Fields
	for _, u := range b.all {
		name := strconv.Itoa(u.m)
		if float64(u.m) == b.K {
			margins.Add(name, nil)
		} else {
			margins.Add(name, u.margin)
		}
		scales.Add(name, b.scale(u))
		norms.Add(name, b.norm2(u))
	}
	f := Fields{{"value", b.value}, {"loss", b.loss}, {"floor", b.floor()}, {"trivial", b.trivial()}, {"N", int(b.N)}, {"T", b.T},
		{"margin", margins}, {"scale", scales}, {"a2", b.a2}, {"w_row_norm2", b.a2 * (b.K - 1) / b.K}, {"h_norm2", norms}}
	theorem, proved := "Li et al. 2023 (tag-wise average); margin law derived here", true
	switch b.shape {
	case palLinear:
		f.Add("threshold_lambda_W_lambda_H", b.threshold*b.threshold)
	case palNonNegative:
		f.Add("threshold_lambda_W_lambda_H", b.threshold*b.threshold)
		theorem, proved = "orthogonal frame, derived here as a candidate", false
	case palFixed:
		theorem = "margin law of a fixed simplex, derived here: counts do not matter"
	}
	return append(f, Fields{{"theorem", theorem}, {"proved", proved}}...)
}

// fields are what a search gives.
func (t *TagSetOptimum) fields(names []string) Fields {
	var margins, scales, spreads, angles Fields
	for _, s := range t.Sizes {
		name := strconv.Itoa(s.Size)
		margins.Add(name, s.Margin)
		scales.Add(name, s.Scale)
		spreads.Add(name, s.Spread)
		angles.Add(name, s.Angle)
	}
	f := Fields{{"loss", t.Loss}, {"floor", t.Floor}, {"margin", margins}, {"scale", scales}, {"scale_spread", spreads}, {"tagwise_angle", angles}}
	return append(f, t.tables(names)...)
}

// tables are a row for each tag set, weakest first, and one for each tag.
func (t *TagSetOptimum) tables(names []string) Fields {
	var sets, tags []Fields
	for _, s := range t.Sets {
		sets = append(sets, Fields{{"tag_set", tagNames(s.Tags, names)}, {"samples", s.Count}, {"margin_least", s.Least}, {"margin_mean", s.Margin}, {"scale", s.Scale}, {"tagwise_angle", s.Angle}})
	}
	samples := make([]int, len(t.Norms))
	for _, s := range t.Sets {
		for _, k := range s.Tags {
			samples[k] += s.Count
		}
	}
	for k, norm := range t.Norms {
		f := Fields{{"tag", tagNames([]int{k}, names)}, {"samples", samples[k]}, {"w_norm", norm}}
		if t.Bias != nil {
			f.Add("bias", t.Bias[k])
		}
		near := t.nearest(k)
		f = append(f, Fields{{"nearest_tag", tagNames([]int{near}, names)}, {"nearest_cos", t.cosine(k, near)}}...)
		tags = append(tags, f)
	}
	return Fields{{"rows", sets}, {"tags", tags}, {"cosines", t.cosineRows()}}
}

func (t *TagSetOptimum) cosine(i, j int) float64 { return t.Cosines[i*len(t.Norms)+j] }

// nearest is the tag whose classifier row has the largest cosine with that of k, the first of equal ones.
func (t *TagSetOptimum) nearest(k int) int {
	best := -1
	for j := range t.Norms {
		if j != k && (best < 0 || t.cosine(k, j) > t.cosine(k, best)+1e-9) {
			best = j
		}
	}
	return best
}

// cosineRows is the matrix of cosines, a list of rows.
func (t *TagSetOptimum) cosineRows() (rows [][]float64) {
	K := len(t.Norms)
	for i := range K {
		rows = append(rows, t.Cosines[i*K:(i+1)*K])
	}
	return rows
}

// words say which tag set is weakest.
func (t *TagSetOptimum) words(names []string) []string {
	if len(t.Sets) < 2 || math.IsNaN(t.Sets[0].Least) || t.Sets[0].Least < 1e-9 {
		return nil
	}
	w, s := t.Sets[0], t.Sets[0]
	for _, x := range t.Sets {
		if x.Least > s.Least+1e-6*s.Least {
			s = x
		}
	}
	if s.Least-w.Least < 1e-6*s.Least {
		return []string{fmt.Sprintf("All tag sets have the margin %.4g.", w.Least)}
	}
	return []string{fmt.Sprintf("The weakest tag set is %s (%d samples): the last of its tags is %.4g above the first other; the strongest, %s, %.4g.",
		tagNames(w.Tags, names), w.Count, w.Least, tagNames(s.Tags, names), s.Least)}
}

// tagNames is the names of tags, or their numbers, joined by +.
func tagNames(tags []int, names []string) string {
	if len(tags) == 0 {
		return "(none)"
	}
	parts := make([]string, len(tags))
	for i, k := range tags {
		if parts[i] = strconv.Itoa(k); names != nil {
			parts[i] = names[k]
		}
	}
	return strings.Join(parts, "+")
}
