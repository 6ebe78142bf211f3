package collapse

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/moments"
)

// The levels of rows with several tags are those of classes, where tag sets are the classes that rows may stray to (M1), and the rows of
// one tag are the classes whose means are to be a simplex (M2) that the classifier copies (M3). What is new is M4, see tagwiseLevel.
// Noise is looked at in residuals drawn by lot: all of them where rows are few.

// levelSets is the number of tag sets up to which rows may stray from each to all. Of more, so many are drawn.
const levelSets = 512

// tagLots is what the levels are found from beside means.
type tagLots struct {
	opts      *Options
	split     *features.Split
	among     []int // classes that rows stray between, all of two rows or more
	singles   []int // classes of one tag, of two rows or more
	unit      float64
	residuals map[int][]moments.Residual // by class, of length about 1: to be multiplied by unit
	rows      int                        // of them
}

// newTagLots chooses the tag sets, and asks the second pass for residuals of theirs.
func (s *tagSample) newTagLots(o *Options, split *features.Split) (*tagLots, *moments.Levels) {
	class := *o
	class.GlobalMean = "class"
	l := &tagLots{opts: &class, split: split}
	total := 0.0
	for c := s.first; c < len(s.sum.Classes); c++ {
		n := s.sum.Count[c]
		if n < 2 {
			continue
		}
		l.among = append(l.among, c)
		if len(s.set(c)) == 1 {
			l.singles = append(l.singles, c)
		}
		total += s.sum.Scatter[c] / float64(n-1)
	}
	if len(l.among) == 0 {
		return l, nil
	}
	l.unit = math.Sqrt(total / float64(len(l.among)))
	if len(l.among) > levelSets {
		rng := rand.New(rand.NewPCG(o.Seed, 1<<33))
		rng.Shuffle(len(l.among), func(i, j int) { l.among[i], l.among[j] = l.among[j], l.among[i] })
		l.among = l.among[:levelSets]
		slices.Sort(l.among)
	}
	p := &moments.Levels{Used: make([]bool, len(s.sum.Classes)), Scale: make([]float64, len(s.sum.Classes)), Seed: o.Seed}
	used := 0
	for _, c := range slices.Concat(l.among, l.singles) {
		if !p.Used[c] {
			p.Used[c], used = true, used+1
		}
		if l.unit > 0 {
			p.Scale[c] = 1 / l.unit
		}
	}
	p.Kept = max(2048, (1<<22)/s.d, 16*used)
	return l, p
}

// take sorts the residuals by class. Of few rows drawn one or none may come from a class; it has no say in the variability then.
func (l *tagLots) take(drawn []moments.Residual) {
	l.residuals = map[int][]moments.Residual{}
	for _, r := range moments.Lots(drawn) {
		l.residuals[int(r.Class)] = append(l.residuals[int(r.Class)], r)
		l.rows++
	}
	l.among = slices.DeleteFunc(l.among, func(c int) bool { return len(l.residuals[c]) < 2 })
}

// along is the variance of a row's residual along a vector, of its class; false where no residual says.
func (l *tagLots) along(c int, n int64, v []float64) (variance float64, ok bool) {
	for _, r := range l.residuals[c] {
		x := kernel.Dot32(r.Row, v) * l.unit
		variance += x * x
	}
	m := float64(len(l.residuals[c]))
	return variance / m * float64(n) / float64(n-1), m > 0
}

// classes is two or more tag sets as a sample of classes with the given labels, its second pass made of the lots. For duality the labels are
// rows of the classifier.
func (s *tagSample) classes(lots *tagLots, classes []int, labels []int64, dual bool) (*sample, *layout) {
	sum := &moments.Summary{Dim: s.d, Classes: labels, Pivot: s.sum.Pivot}
	for _, c := range classes {
		sum.Rows += s.sum.Count[c]
		sum.Count = append(sum.Count, s.sum.Count[c])
		sum.Scatter = append(sum.Scatter, s.sum.Scatter[c])
		sum.Square = append(sum.Square, s.sum.Square[c])
		sum.Mean = append(sum.Mean, s.sum.Mean[c*s.d:(c+1)*s.d]...)
	}
	x := begin(lots.opts, lots.split, sum)
	if dual && s.weights != nil {
		x.use(s.weights)
	}
	l := x.layout()
	x.pass = &moments.Sums{Rows: sum.Rows, Levels: make([]moments.LevelSums, x.k)}
	l.drawn = make([]float64, x.k)
	means := narrowed(x.k, s.d, l.reach, x.means.Row)
	var weights []float64
	if x.class != nil {
		weights = slices.Clone(x.class.present.Data)
		removeMean(weights, x.k, s.d)
	}
	packed := kernel.NewPanel32(x.k, s.d, means, s.d)
	parallel.For(x.k, func(_, c int) {
		rows := lots.residuals[classes[c]]
		l.drawn[c] = float64(len(rows))
		x.pass.Levels[c] = lots.forms(rows, c, x.k, packed, l, weights)
		share := float64(sum.Count[c]) / max(l.drawn[c], 1)
		x.pass.Levels[c].Scale(share)
	})
	// A few of the lots stand for all where sums of fourth order are estimated.
	most := max(2, x.lots()/x.k)
	if lots.rows <= x.lots() {
		most = lots.rows
	}
	for c, from := range classes {
		rows := lots.residuals[from]
		for _, r := range rows[:min(most, len(rows))] {
			scaled := make([]float32, s.d)
			for j, v := range r.Row {
				scaled[j] = float32(float64(v) * lots.unit * l.plan.Scale[c])
			}
			x.pass.Residuals = append(x.pass.Residuals, moments.Residual{Key: r.Key, Class: int32(c), Row: scaled})
		}
	}
	l.plan = nil
	return x, l
}

// forms adds up the forms of the residuals of a class.
func (lots *tagLots) forms(rows []moments.Residual, c, k int, means *kernel.Panel32, l *layout, weights []float64) (sums moments.LevelSums) {
	m, d := len(rows), lots.split.Dim
	together, scores := make([]float32, m*d), make([]float32, m*k)
	for i, r := range rows {
		copy(together[i*d:], r.Row)
	}
	means.Mul(scores, k, together, d, m)
	inverse, shape, s := make([]float64, k), make([]float64, k), make([]float64, k)
	l.plan.Factors(c, inverse, shape)
	for i, r := range rows {
		for j, v := range scores[i*k : (i+1)*k] {
			s[j] = float64(v) * l.reach * lots.unit
		}
		toward := 0.0
		if weights != nil {
			toward = kernel.Dot32(r.Row, weights[c*d:(c+1)*d]) * lots.unit
		}
		sums.Add(c, s, inverse, shape, toward)
	}
	return sums
}

// verdict finds the levels and judges them; metrics that were measured get limits.
func (s *tagSample) verdict(lots *tagLots, values Values) *Verdict {
	o := lots.opts
	v := &Verdict{Alpha: o.Alpha, Confidence: o.Confidence}
	l := &v.Levels
	d := float64(s.d)
	var f fourth
	if len(lots.among) < 2 {
		l.Variability = Level{Verdict: Undecidable, Low: finite(0), Reason: "it takes two tag sets of two rows"}
		if s.whole.sets == 1 {
			l.Variability = Level{Verdict: Vacuous, Reason: "one tag set has nothing to be compared with"}
		}
	} else {
		labels := make([]int64, len(lots.among))
		for i, c := range lots.among {
			labels[i] = int64(c)
		}
		x, near := s.classes(lots, lots.among, labels, false)
		w := x.draw(near)
		f = w.fourth(near)
		l.Variability = x.variabilityLevel(near, w, f)
		l.Variability.judgeVariability(o.Alpha, near.harmonic(), d)
		s.nameHidden(&l.Variability)
		if m := x.cdnv(false); m.Defined() {
			l.Spread.Value = finite(math.Sqrt(m.Number))
		} else {
			l.Spread.Reason = string(m.Reason)
		}
	}
	s.judgeSingles(lots, l)
	l.Tagwise = s.tagwiseLevel(lots, f, values)
	if l.Tagwise.Verdict != Vacuous && s.weights != nil && s.projected.dim > 0 {
		l.TagwiseProjected.Value = s.plainTagwise(&s.projected)
	}
	for _, level := range []*Level{&l.Variability, &l.Simplex, &l.Duality} { // which speak of classes
		level.Reason = strings.ReplaceAll(level.Reason, "a class", "a tag set")
	}
	z := student(o.Confidence, max(s.rows-float64(s.whole.sets), 1))
	values.rate("ml_set_error", s.whole.rows, z)
	values.rate("ml_nc4_mismatch", s.whole.pass.Compared, z)
	v.Whole = l.whole()
	v.Sentence = v.sentence(len(s.ones), s.d)
	return v
}

// nameHidden writes tag sets for the places in the list of classes.
func (s *tagSample) nameHidden(l *Level) {
	for _, label := range l.Worst {
		l.WorstTags = append(l.WorstTags, s.set(int(label)))
	}
	l.Worst = nil
	if n := len(l.pairs); n > 0 {
		p := l.pairs[n-1]
		l.hidden = fmt.Sprintf("tag sets %s and %s", s.tagsText(p[0]), s.tagsText(p[1]))
		if n > 1 {
			l.hidden += fmt.Sprintf(" and of %s more", plural(n-1, "pair", "pairs"))
		}
		l.pairs = nil
	}
}

// tagsText is the tag set of a class for people: "{1, 4}", or "{ball, dog}" where the file has words.
func (s *tagSample) tagsText(class int64) string {
	var words []string
	for _, k := range s.set(int(class)) {
		if s.tags.Names == nil {
			words = append(words, strconv.Itoa(k))
		} else {
			words = append(words, s.tags.Names[k])
		}
	}
	return "{" + strings.Join(words, ", ") + "}"
}

// judgeSingles finds how close the means of rows of one tag are to a simplex, and to the classifier.
func (s *tagSample) judgeSingles(lots *tagLots, l *Levels) {
	alpha := lots.opts.Alpha
	k := len(lots.singles)
	if s.weights == nil {
		l.Duality = Level{Verdict: Absent}
	}
	if k < 2 {
		none := Level{Verdict: Undecidable, Low: finite(0), Reason: "it takes two tags with two rows of their own"}
		l.Simplex = none
		if s.weights != nil {
			l.Duality = none
		}
	} else {
		labels := make([]int64, k)
		for i, c := range lots.singles {
			labels[i] = int64(s.set(c)[0])
		}
		x, m := s.classes(lots, lots.singles, labels, true)
		w := x.draw(m)
		f := w.fourth(m)
		l.Simplex = x.simplexLevel(m, w, f)
		l.Simplex.judgeSimplex(alpha, m.harmonic(), k, s.d, "means", "")
		if s.weights != nil {
			l.Duality = x.dualityLevel(m, f)
			l.Duality.judgeSquare(alpha, m.harmonic(), randomDirections)
		}
	}
	s.classifierSimplex(l, k, lots.opts)
}

// classifierSimplex looks at the rows of the classifier: they stand for the means where fewer than three tags have rows of their own, and
// are named where the means fail.
func (s *tagSample) classifierSimplex(l *Levels, singles int, o *Options) {
	k := len(s.seen)
	if s.weights == nil || k < 3 || k > s.d+1 {
		return
	}
	w := s.rowsOfWeights()
	removeMean(w, k, s.d)
	e, ok := geometry.New(k, s.d, w).ETFError()
	switch {
	case !ok:
	case singles >= 3:
		if l.Simplex.Verdict == Fails && l.Simplex.Reason == "" && e <= o.Alpha {
			l.Simplex.Reason = fmt.Sprintf("the rows of the classifier are within %s", Percent(e))
		}
	default:
		null, low := simplexNull(k, s.d, o.Seed)
		l.Simplex = Level{Value: finite(e), Low: finite(e), High: finite(e), Floor: finite(0), Null: finite(null), NullLow: finite(low), Plain: finite(e), middle: e * e}
		l.Simplex.judgeSquare(o.Alpha, 1, randomDirections)
		l.Simplex.Needed = nil
		if l.Simplex.Reason == "" {
			l.Simplex.Reason = "of the classifier's rows, for too few tags have rows of their own"
		}
	}
}
