package collapse

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/moments"
)

// Reasons that only multi-label numbers have.
const (
	NoSingleTags      Reason = "no_single_tag_rows"     // no tag set of this size has all its tags in rows of one tag
	NeedsSingleTags   Reason = "needs_single_tag_rows"  // a tag has no row of its own
	AllTags           Reason = "all_tags"               // the tag set is that of all tags, whose logits are all equal
	TooFewTagSets     Reason = "too_few_tag_sets"       // fewer than two tag sets
	NoDegrees         Reason = "no_degrees_of_freedom"  // not more tag sets than free vectors
	MarginNotPositive Reason = "margin_not_positive"    // the margin law holds for positive margins
	NeedsMultiLabel   Reason = "needs_multiple_labels"  // a number of rows with several tags
	NeedsSingleLabel  Reason = "needs_one_label_a_row"  // a number of rows with one class each
	NoPairs           Reason = "no_rows_with_two_tags"  // the script looks at pairs only
	AbsentSingles     Reason = "absent_single_tag_rows" // the script divides by the count of a tag that never stands alone
)

// tagSample is one split of one layer with tag sets, measured: what the ml_* metrics draw on.
//
// The classes c of the summary are tag sets, by size and then by their tags. mu_S is a tag set's mean, u_k that of the rows whose
// only tag is k, T_m the tag sets of size m, x_S the sum of u_k over the tags k of S.
type tagSample struct {
	tags   *features.Tags
	sum    *moments.Summary
	k, d   int
	rows   float64   // with any tags or none
	centre []float64 // mean of the mu_S of non-empty S, less the pivot
	mu     []float64 // classes x d, mu_S
	single []int     // by tag, the class of its rows of one tag; -1 if there are none
	ones   []int     // tags that have such rows
	seen   []int     // tags that occur
	first  int       // classes before are empty tag sets: 0 or 1

	weights *features.Classifier
	centred []float64 // rows of W less their mean
	basis   []float64 // r x d, orthonormal rows that span the rows of centred

	whole  *tagGroup   // all multiplicities together
	groups []*tagGroup // one for each multiplicity from 1 on, increasing
	seed   uint64

	raw, projected tagFrame // what the tag-wise numbers are taken in
	precision      string
}

// tagGroup is the tag sets of one multiplicity, or all of them.
type tagGroup struct {
	size        int // m; 0 for all
	first, sets int // classes
	rows        int64
	axes        []float64 // r x d, directions of the mu_S about their mean
	lambda      []float64 // r, eigenvalues of their covariance
	between     float64   // trace of that covariance
	pass        moments.TagSums
	every       int // one row of so many was compared with the means; of a multiplicity, projected on axes of its own

	raw, projected *tagwise
	additive       *Value
	margins        []float64 // once they are wanted
}

// newTagSample takes the first pass over.
func newTagSample(split *features.Split, sum *moments.Summary, c *features.Classifier, rankTol float64) *tagSample {
	t := split.Tags
	s := &tagSample{tags: t, sum: sum, k: t.Count, d: sum.Dim, rows: float64(sum.Rows), mu: sum.Absolute(), weights: c}
	if len(t.Sets[sum.Classes[0]]) == 0 {
		s.first = 1
	}
	s.single = make([]int, s.k)
	for k := range s.single {
		s.single[k] = -1
	}
	occurs := make([]bool, s.k)
	n := len(sum.Classes) - s.first
	s.whole = &tagGroup{first: s.first, sets: n}
	s.centre = make([]float64, s.d)
	for c := s.first; c < len(sum.Classes); c++ {
		kernel.Axpy64(s.centre, 1/float64(n), sum.Mean[c*s.d:(c+1)*s.d])
		set := s.set(c)
		for _, k := range set {
			occurs[k] = true
		}
		if len(set) == 1 {
			s.single[set[0]] = c
		}
		if g := len(s.groups); g == 0 || s.groups[g-1].size != len(set) {
			s.groups = append(s.groups, &tagGroup{size: len(set), first: c})
		}
		g := s.groups[len(s.groups)-1]
		g.sets++
		g.rows += sum.Count[c]
		s.whole.rows += sum.Count[c]
	}
	for k := range s.k {
		if s.single[k] >= 0 {
			s.ones = append(s.ones, k)
		}
		if occurs[k] {
			s.seen = append(s.seen, k)
		}
	}
	for _, g := range append([]*tagGroup{s.whole}, s.groups...) {
		s.directions(g, rankTol)
	}
	if c != nil {
		s.centred = slices.Clone(c.Weights)
		removeMean(s.centred, s.k, s.d)
		s.basis = rowSpace(s.k, s.d, s.centred)
	}
	s.raw = s.frame(nil)
	if len(s.basis) > 0 {
		s.projected = s.frame(s.basis)
	}
	return s
}

// set is the tags of a class.
func (s *tagSample) set(c int) []int { return s.tags.Sets[s.sum.Classes[c]] }

// row is the mean of a class.
func (s *tagSample) row(c int) []float64 { return s.mu[c*s.d : (c+1)*s.d] }

// directions finds those of the means of a group about their own mean: at most K-1, for at collapse what lies beyond goes
// to zero, and dividing by it would make the number grow.
func (s *tagSample) directions(g *tagGroup, tol float64) {
	if g.sets < 2 {
		return
	}
	m := slices.Clone(s.sum.Mean[g.first*s.d : (g.first+g.sets)*s.d])
	removeMean(m, g.sets, s.d)
	g.between = kernel.SumSquares64(m) / float64(g.sets)
	if !(g.between > 0) {
		return
	}
	rows := g.sets
	if rows > 2*s.d { // a triangle of d rows has the same singular values and directions
		f := linalg.NewRFactor(s.d)
		const block = 512
		for i := 0; i < rows; i += block {
			n := min(block, rows-i)
			f.Add(m[i*s.d:(i+n)*s.d], n)
		}
		rows, m = s.d, f.R()
	}
	values, axes, err := linalg.Leading(rows, s.d, min(s.k, g.sets)-1, m)
	if err != nil {
		return
	}
	r := countAbove(values, tol)
	g.axes = axes[:r*s.d]
	for _, v := range values[:r] {
		g.lambda = append(g.lambda, v*v/float64(g.sets))
	}
}

// rowSpace is an orthonormal basis of the rows of an n x d matrix, as rows.
func rowSpace(n, d int, m []float64) []float64 {
	values, axes, err := linalg.SVD(n, d, slices.Clone(m))
	if err != nil || values[0] == 0 {
		return nil
	}
	r := 0
	for r < len(values) && values[r] > 1e-10*values[0] {
		r++
	}
	return axes[:r*d]
}

// plan is that of the second pass.
func (s *tagSample) plan(double bool, extra map[int][]float64) *moments.TagPlan {
	p := &moments.TagPlan{Summary: s.sum, Tags: s.tags, Axes: s.whole.axes, Centre: s.centre, Double: double, Every: s.whole.every}
	if s.first > 0 {
		p.Groups = append(p.Groups, moments.TagGroup{Sets: 1})
	}
	for _, g := range s.groups {
		p.Groups = append(p.Groups, moments.TagGroup{Size: g.size, First: g.first, Sets: g.sets, Axes: slices.Concat(g.axes, extra[g.size]), Every: g.every})
	}
	if s.weights != nil {
		p.Weights = s.centred
		at := make([]float64, s.k)
		for k := range at {
			at[k] = preciseDot(s.centred[k*s.d:(k+1)*s.d], s.sum.Pivot, s.weights.Bias[k])
		}
		n := len(s.sum.Classes)
		p.Logits = make([]float64, n*s.k)
		kernel.Gemm64(false, true, n, s.k, s.d, 1, s.sum.Mean, s.d, s.centred, s.d, 0, p.Logits, s.k)
		for c := range n {
			kernel.Add64(p.Logits[c*s.k:(c+1)*s.k], at)
		}
	}
	return p
}

// take brings in the sums of the second pass.
func (s *tagSample) take(pass *moments.TagPass) {
	sums := pass.Groups[s.first:]
	n := len(s.whole.lambda)
	s.whole.pass.Squares = make([]float64, n)
	for i, g := range s.groups {
		kernel.Add64(s.whole.pass.Squares, sums[i].Squares[:n])
		g.pass = sums[i]
		g.pass.Squares = sums[i].Squares[n:]
		w := &s.whole.pass
		w.Rows += g.pass.Rows
		w.Along += g.pass.Rows // all are projected on the axes of the whole
		w.Loss += g.pass.Loss
		w.Wrong += g.pass.Wrong
		w.Mass += g.pass.Mass
		w.Compared += g.pass.Compared
		w.Mismatch += g.pass.Mismatch
	}
}

// group finds a multiplicity, nil if no row has it.
func (s *tagSample) group(m int) *tagGroup {
	i := slices.IndexFunc(s.groups, func(g *tagGroup) bool { return g.size == m })
	if i < 0 {
		return nil
	}
	return s.groups[i]
}

// nc1 is (1/K) tr(Sigma_W Sigma_B^+) of a group, on the directions kept.
func (s *tagSample) nc1(g *tagGroup) Value {
	switch {
	case g.sets < 2:
		return undefined(TooFewTagSets)
	case len(g.lambda) == 0:
		return undefined(BetweenZero)
	}
	sum := 0.0
	for j, l := range g.lambda {
		sum += g.pass.Squares[j] / l
	}
	return number(sum / float64(g.pass.Along) / float64(s.k))
}

// nc1Trace is tr Sigma_W / tr Sigma_B of a group.
func (s *tagSample) nc1Trace(g *tagGroup) Value {
	switch {
	case g.sets < 2:
		return undefined(TooFewTagSets)
	case !(g.between > 0):
		return undefined(BetweenZero)
	}
	sum := 0.0
	for c := g.first; c < g.first+g.sets; c++ {
		sum += s.sum.Scatter[c]
	}
	return number(sum / float64(g.rows) / g.between)
}

// singles are the means of rows of one tag about their mean: rows for the tags in ones.
func (s *tagSample) singles() []float64 {
	var m []float64
	for _, k := range s.ones {
		c := s.single[k]
		m = append(m, s.sum.Mean[c*s.d:(c+1)*s.d]...)
	}
	removeMean(m, len(s.ones), s.d)
	return m
}

// rowsOfWeights are the rows of W of tags that occur.
func (s *tagSample) rowsOfWeights() []float64 {
	var w []float64
	for _, k := range s.seen {
		w = append(w, s.weights.Weights[k*s.d:(k+1)*s.d]...)
	}
	return w
}

// simplexDeviation is |A/|A|_F - (I - 11'/k)/sqrt(k-1)|_F for the product A = x y' of two k x d matrices.
func simplexDeviation(k, d int, x, y []float64) Value {
	if k < 2 {
		return undefined(NeedsTwoClasses)
	}
	a := make([]float64, k*k)
	kernel.Gemm64(false, true, k, k, d, 1, x, d, y, d, 0, a, k)
	size := norm(a)
	if size == 0 {
		return undefined(ZeroMatrix)
	}
	sum, unit := 0.0, math.Sqrt(float64(k-1))
	for i := range k {
		for j := range k {
			e := -1 / float64(k)
			if i == j {
				e++
			}
			v := a[i*k+j]/size - e/unit
			sum += v * v
		}
	}
	return number(math.Sqrt(sum))
}

// degrees is the angle between two vectors, exactly 0 for equal ones: 2 atan2(|u - v|, |u + v|) of the unit vectors, which
// keeps the digits of small angles. It is NaN for a vector of length 0.
func degrees(x, y []float64) float64 {
	nx, ny := norm(x), norm(y)
	if nx == 0 || ny == 0 {
		return math.NaN()
	}
	minus, plus := 0.0, 0.0
	for i, v := range x {
		u, w := v/nx, y[i]/ny
		minus += (u - w) * (u - w)
		plus += (u + w) * (u + w)
	}
	return 2 * 180 / math.Pi * math.Atan2(math.Sqrt(minus), math.Sqrt(plus))
}

// margins are t_S = mean_{k in S} z_k - mean_{k not in S} z_k, z = W mu_S + b, of the tag sets of a group.
func (s *tagSample) margins(g *tagGroup) []float64 {
	if g.margins != nil {
		return g.margins
	}
	out := make([]float64, g.sets)
	g.margins = out
	z := make([]float64, s.k)
	for i := range out {
		total := 0.0
		for k := range z {
			z[k] = kernel.Dot64(s.centred[k*s.d:(k+1)*s.d], s.row(g.first+i)) + s.weights.Bias[k]
			total += z[k]
		}
		in := 0.0
		for _, k := range s.set(g.first + i) {
			in += z[k]
		}
		out[i] = in/float64(g.size) - (total-in)/float64(s.k-g.size)
	}
	return out
}

// logPhi is the logarithm of phi_m(t) = t (m e^t + K - m), for t > 0 (the margin law of the unconstrained features model).
func logPhi(k, m int, t float64) float64 {
	return math.Log(t) + t + math.Log(float64(m)+float64(k-m)*math.Exp(-t))
}
