package collapse

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Mark is what the rule says of a property.
type Mark string

// The marks. With the interval [low, high] of a level and the bound alpha (alpha/10 for the centre),
const (
	Holds       Mark = "holds"       // high <= alpha, and chance would not pass
	Fails       Mark = "fails"       // low > alpha
	Undecidable Mark = "undecidable" // neither
	Vacuous     Mark = "vacuous"     // it cannot fail: two means are always a simplex, one class has nothing to be compared with
	Impossible  Mark = "impossible"  // more than d + 1 means have no room for a simplex
	Absent      Mark = "absent"      // there is no classifier
)

// The verdicts on the whole.
const (
	Collapsed      = "collapsed"     // every property that says something holds
	NotCollapsed   = "not collapsed" // one fails
	WholeUndecided = "undecidable"
)

// A Level is a property of collapse as a number that means the same for every number of classes, dimensions and
// samples. Nil stands for what does not exist, and for an infinite limit.
type Level struct {
	Value      *float64 // with the noise of the means taken away
	Low, High  *float64 // its confidence interval
	SE         *float64 // standard error
	NoiseShare *float64 // part of the squared distances between means that is noise (variability)
	Floor      *float64 // what rounding (variability) or the noise of the means (others) shows by itself
	Null       *float64 // what chance shows
	NullLow    *float64 // what chance goes below once in a hundred times
	Bound      *float64 // least that the dimension allows (simplex)
	Plain      *float64 // without any correction
	Verdict    Mark
	Reason     string
	Worst      []int64 // classes whose means are the hardest to tell apart, where that is why
	WorstTags  [][]int // the same of tag sets
	Needed     *int    // samples a class, or a tag set, that would decide, where more would

	pairs        [][2]int64 // whose means cannot be told apart
	hidden       string     // the same in words, where they are not classes
	approximate  bool
	middle, half float64 // of the interval of the square
}

// Levels are those of a layer. NC1 and Spread stand beside the variability, TagwiseProjected beside Tagwise, and have no verdict of their own.
// Rows with several tags have no NC1 and no Centre, but Tagwise; variability is among tag sets, simplex and duality are of single tags.
type Levels struct {
	Variability Level // how far samples stray towards other classes, as a part of the way (NC1)
	NC1         Level // nc1 on the same scale: sqrt((K-1) nc1 / (2 r^2)), r the rank of Sigma_B
	Spread      Level // sqrt(cdnv_mean): the noise of all directions against the distance
	Simplex     Level // distance of the means from a simplex, at unit norm (NC2)
	Duality     Level // distance of classifier and means, at unit norm (NC3)
	Centre      Level // share of samples on which classifier and nearest mean disagree (NC4)

	Tagwise          Level // how far means of several tags are from scaled sums of those of their tags, as a part of the way to other sums (M4)
	TagwiseProjected Level // the same in what the classifier sees, without any correction
}

// LevelNames are the names of the levels in JSON, tables and thresholds.
func LevelNames() []string {
	return []string{"variability", "nc1", "spread", "simplex", "duality", "centre", "tagwise", "tagwise_projected"}
}

// Properties are the names of the levels that the verdicts on some results are about; those of all verdicts without results.
func Properties(results ...*Result) []string {
	return slices.DeleteFunc([]string{"variability", "simplex", "duality", "centre", "tagwise"}, func(name string) bool {
		return len(results) > 0 && !slices.ContainsFunc(results, func(r *Result) bool {
			return r.Verdict != nil && r.Verdict.Levels.Level(name).Verdict != ""
		})
	})
}

// Level finds a level by its name, nil if it is none.
func (l *Levels) Level(name string) *Level {
	i := slices.Index(LevelNames(), name)
	if i < 0 {
		return nil
	}
	return [...]*Level{&l.Variability, &l.NC1, &l.Spread, &l.Simplex, &l.Duality, &l.Centre, &l.Tagwise, &l.TagwiseProjected}[i]
}

// Fields are the names of the numbers of a level.
func Fields() []string {
	return []string{"value", "low", "high", "se", "noise_share", "floor", "null", "null_low", "bound", "plain"}
}

// Field is a number of a level by its name; ok is false if there is no such name.
func (l *Level) Field(name string) (v *float64, ok bool) {
	i := slices.Index(Fields(), name)
	if i < 0 {
		return nil, false
	}
	return [...]*float64{l.Value, l.Low, l.High, l.SE, l.NoiseShare, l.Floor, l.Null, l.NullLow, l.Bound, l.Plain}[i], true
}

// MarshalJSON writes what there is. The value always stands there, and the limits where there is a verdict on them.
func (l Level) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	put := func(name string, v any) error {
		text, err := json.Marshal(v)
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(name) + ":" + string(text))
		return err
	}
	for _, name := range Fields() {
		v, _ := l.Field(name)
		limit := (name == "low" || name == "high") && l.Verdict != "" && l.Verdict != Absent
		if v != nil || name == "value" || limit {
			if err := put(name, v); err != nil {
				return nil, err
			}
		}
	}
	for _, e := range []struct {
		name string
		is   bool
		v    any
	}{{"verdict", l.Verdict != "", l.Verdict}, {"reason", l.Reason != "", l.Reason}, {"worst", l.Worst != nil, l.Worst}, {"worst", l.WorstTags != nil, l.WorstTags}, {"needed", l.Needed != nil, l.Needed}} {
		if e.is {
			if err := put(e.name, e.v); err != nil {
				return nil, err
			}
		}
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// Verdict is what a layer comes to.
type Verdict struct {
	Whole      string  // Collapsed, NotCollapsed or WholeUndecided
	Sentence   string  // the same for people
	Alpha      float64 // the bound on the levels
	Confidence float64 // of the intervals
	Levels     Levels
	LeftOut    []int64 // present classes with one sample, which say nothing about variability, simplex and duality
}

// MarshalJSON writes the "verdict" of schema collapsar/1.
func (v *Verdict) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	for _, name := range LevelNames() {
		l := v.Levels.Level(name)
		if l.Verdict == "" && l.Value == nil && l.Reason == "" {
			continue // rows of this kind do not have it
		}
		text, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(name) + ":" + string(text))
	}
	return json.Marshal(struct {
		Whole      string          `json:"whole"`
		Sentence   string          `json:"sentence"`
		Alpha      float64         `json:"alpha"`
		Confidence float64         `json:"confidence"`
		LeftOut    []int64         `json:"left_out,omitempty"`
		Levels     json.RawMessage `json:"levels"`
	}{v.Whole, v.Sentence, v.Alpha, v.Confidence, v.LeftOut, json.RawMessage("{" + b.String() + "}")})
}

// finite is a number, nil if it is none.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// samples is a number of samples, nil beyond all use.
func samples(v float64) *int {
	if !(v < 1e12) {
		return nil
	}
	n := int(v)
	return &n
}

// verdict finds the levels of a sample whose second pass asked for them, and judges them. Metrics that were measured get limits.
func (s *sample) verdict(values Values) *Verdict {
	alpha := s.opts.Alpha
	v := &Verdict{Alpha: alpha, Confidence: s.opts.Confidence}
	for c, n := range s.sum.Count {
		if n == 1 {
			v.LeftOut = append(v.LeftOut, s.sum.Classes[c])
		}
	}
	l := &v.Levels
	if m := s.nc1(s.pass.Moments, s.n); m.Defined() && s.rank > 0 {
		l.NC1.Value = finite(math.Sqrt(float64(s.k-1)*m.Number/2) / float64(s.rank))
	} else {
		l.NC1.Reason = string(m.Reason)
	}
	if m := s.cdnv(false); m.Defined() {
		l.Spread.Value = finite(math.Sqrt(m.Number))
	} else {
		l.Spread.Reason = string(m.Reason)
	}
	z := student(v.Confidence, max(s.n-float64(s.k), 1))
	switch {
	case s.k < 2:
		for _, name := range []string{"variability", "simplex", "duality", "centre"} {
			*l.Level(name) = Level{Verdict: Vacuous, Reason: "one class has nothing to be compared with"}
		}
	case s.layoutOf == nil:
		for _, name := range []string{"variability", "simplex", "duality"} {
			*l.Level(name) = Level{Verdict: Undecidable, Low: finite(0), Reason: "it takes two classes of two samples"}
		}
	default:
		m := s.layoutOf
		w := s.draw(m)
		f := w.fourth(m)
		l.Variability = s.variabilityLevel(m, w, f)
		l.Variability.judgeVariability(alpha, m.harmonic(), float64(s.d))
		l.Simplex = s.simplexLevel(m, w, f)
		l.Simplex.judgeSimplex(alpha, m.harmonic(), m.k(), s.d, "class means", "; gnc2_* measure how evenly they spread")
		if s.class != nil {
			l.Duality = s.dualityLevel(m, f)
			l.Duality.judgeSquare(alpha, m.harmonic(), randomDirections)
		}
		free(s.sum)
		s.limits(values, m, w, f, l)
	}
	if s.k >= 2 && s.class != nil {
		l.Centre = s.centreLevel(z)
		l.Centre.judgeShare(alpha/10, z, s.n, s.k)
	}
	if s.class == nil && s.k >= 2 {
		l.Duality = Level{Verdict: Absent}
		l.Centre = Level{Verdict: Absent}
	}
	s.rates(values, z)
	v.Whole = l.whole()
	v.Sentence = v.sentence(s.k, s.d)
	return v
}

// whole puts the marks of the properties together.
func (l *Levels) whole() string {
	said, all := false, true
	for _, name := range Properties() {
		switch l.Level(name).Verdict {
		case Fails:
			return NotCollapsed
		case Holds:
			said = true
		case Undecidable:
			all = false
		}
	}
	if said && all {
		return Collapsed
	}
	return WholeUndecided
}

// rule is the mark of an interval against a bound and what chance shows.
func rule(low, high *float64, alpha, chance float64) Mark {
	switch {
	case high == nil:
		return Undecidable
	case *high <= alpha && *high < chance:
		return Holds
	case *low > alpha:
		return Fails
	}
	return Undecidable
}

func (l *Level) judgeVariability(alpha, n, d float64) {
	l.Verdict = rule(l.Low, l.High, alpha, *l.Null)
	switch {
	case l.Verdict != Undecidable || l.Reason != "":
		if l.Verdict == Holds || l.Verdict == Fails {
			if l.Reason == "" && l.approximate {
				l.Reason = "the noise of the means is large, so the interval is approximate"
			}
			if l.Verdict == Fails && *l.Floor > alpha {
				l.Reason = fmt.Sprintf("rounding alone may show %s", Percent(*l.Floor))
			}
			l.Needed = nil
		}
	case l.Floor != nil && *l.Floor > alpha:
		l.Reason = fmt.Sprintf("rounding alone shows %s", Percent(*l.Floor))
	case l.High != nil && *l.High <= alpha:
		l.Reason = fmt.Sprintf("noise cut into classes at random shows as little (%s)", Percent(*l.Null))
		l.Needed = samples(math.Floor(2+2*d**l.High**l.High) + 1)
	default:
		l.Reason = fmt.Sprintf("the interval includes %s", short(alpha))
		if l.High != nil && l.Value != nil && *l.Value > 0 {
			l.more(n, math.Log(*l.High / *l.Value), math.Abs(math.Log(alpha / *l.Value)))
		}
	}
}

// more sets the samples with which a half width shrinks to a gap.
func (l *Level) more(n, half, gap float64) {
	if gap > 0 {
		l.Needed = samples(math.Ceil(n * math.Max(1, half/gap*(half/gap))))
	}
}

// randomDirections are what simplex and duality are compared with.
const randomDirections = "random directions"

// judgeSquare judges levels whose intervals are of squares; random is what their null is about.
func (l *Level) judgeSquare(alpha, n float64, random string) {
	chance := *l.NullLow
	l.Verdict = rule(l.Low, l.High, alpha, chance)
	beyond := l.Value != nil && *l.Value >= chance
	switch {
	case l.Verdict == Holds || l.Reason != "":
	case l.Verdict == Fails:
		if beyond {
			l.Reason = fmt.Sprintf("no closer than %s (%s)", random, Percent(*l.Null))
		}
	case l.High == nil || l.Value == nil:
	case *l.High <= alpha || beyond && *l.Value <= alpha:
		l.Reason = fmt.Sprintf("%s can come as close (%s on average)", random, Percent(*l.Null))
		if !beyond && chance > 0 {
			l.more(n, l.half, chance*chance-l.middle)
		}
	default:
		l.Reason = fmt.Sprintf("the interval includes %s", short(alpha))
		if l.Floor != nil && *l.Floor > alpha {
			l.Reason = fmt.Sprintf("the noise of the means alone shows %s", Percent(*l.Floor))
		}
		l.more(n, l.half, math.Abs(alpha*alpha-l.middle))
	}
}

// judgeSimplex judges the simplex of k means in d dimensions, where k and d leave it open; instead says what to look at where
// there is no room.
func (l *Level) judgeSimplex(alpha, n float64, k, d int, means, instead string) {
	switch {
	case k == 2:
		l.Verdict, l.Reason = Vacuous, fmt.Sprintf("two %s are always a simplex", means)
	case k > d+1:
		l.Verdict = Impossible
		l.Reason = fmt.Sprintf("%d %s have no room for a simplex in %s%s", k, means, plural(d, "dimension", "dimensions"), instead)
	default:
		l.judgeSquare(alpha, n, randomDirections)
	}
}

// judgeShare judges the centre.
func (l *Level) judgeShare(alpha, z, n float64, k int) {
	l.Verdict = rule(l.Low, l.High, alpha, *l.Null)
	if l.Verdict != Undecidable {
		return
	}
	l.Reason = fmt.Sprintf("the interval includes %s", short(alpha))
	for more := n; more < 1e12; more *= 1.05 {
		if low, high := wilson(*l.Value, more, z); high <= alpha || low > alpha {
			l.Needed = samples(math.Ceil(more / float64(k)))
			return
		}
	}
}

// Percent is a share for people, as in "3.2 %".
func Percent(v float64) string { return percentDigits(v) + " %" }

func percentDigits(v float64) string {
	switch v *= 100; {
	case v == 0:
		return "0"
	case v < 1e-6:
		return strconv.FormatFloat(v, 'e', 0, 64)
	case v < 0.995: // what is above is 1.0
		digits := 1 - int(math.Floor(math.Log10(v)))
		return strings.TrimRight(strconv.FormatFloat(v, 'f', digits, 64), "0")
	default:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
}

// short is Percent of a number that people chose.
func short(v float64) string {
	return strconv.FormatFloat(math.Round(1e8*v)/1e6, 'g', -1, 64) + " %"
}

// Interval is the confidence interval for people, as in "3.1-3.3 %"; "" where it is not finite.
func (l *Level) Interval() string {
	if l.Low == nil || l.High == nil {
		return ""
	}
	low, high := percentDigits(*l.Low), percentDigits(*l.High)
	if low == high {
		return low + " %"
	}
	return low + "-" + high + " %"
}

// A phrase says how a property does.
type phrase struct {
	name               string
	holds, fails, open string
}

var classPhrases = []phrase{
	{"variability", "samples stray only %s of the way to other classes", "samples stray %s of the way to other classes",
		"how far samples stray towards other classes cannot be told"},
	{"simplex", "the class means are within %s of a simplex, all as far apart as can be", "the class means are %s away from a simplex, where all are as far apart as can be",
		"whether the class means form a simplex cannot be told"},
	{"duality", "the classifier points where the means do, within %s", "the classifier's directions are %s away from those of the means",
		"whether the classifier points where the means do cannot be told"},
	{"centre", "the classifier picks the nearest class mean for all but %s of the samples", "the classifier does not pick the nearest class mean for %s of the samples",
		"whether the classifier picks the nearest class mean cannot be told"},
}

var tagPhrases = []phrase{
	{"variability", "samples stray only %s of the way to other tag sets", "samples stray %s of the way to other tag sets",
		"how far samples stray towards other tag sets cannot be told"},
	{"simplex", "the means of single tags are within %s of a simplex, all as far apart as can be", "the means of single tags are %s away from a simplex, where all are as far apart as can be",
		"whether the means of single tags form a simplex cannot be told"},
	{"duality", "the classifier points where the means of single tags do, within %s", "the classifier's directions are %s away from those of the means of single tags",
		"whether the classifier points where the means of single tags do cannot be told"},
	{"tagwise", "the mean of several tags is the scaled sum of the means of its tags, within %s of the way to other tags",
		"the means of several tags are off the scaled sums of the means of their tags, by %s of the way to other tags",
		"whether the mean of several tags is the scaled sum of the means of its tags cannot be told"},
}

// sentence says the verdict in words that need no knowledge of the field.
func (v *Verdict) sentence(k, d int) string {
	l := &v.Levels
	phrases, each, means := classPhrases, "a class", "class means"
	if l.Tagwise.Verdict != "" {
		phrases, each, means = tagPhrases, "a tag set", "means of single tags"
	}
	var holds, fails, open []string
	total := 0
	with := func(l *Level, format string) string {
		value := "0 %"
		if l.Value != nil {
			value = Percent(*l.Value)
		}
		if between := l.Interval(); between != "" && between != value {
			value += " (" + between + ")"
		}
		return fmt.Sprintf(format, value)
	}
	more := func(l *Level) string {
		text := l.Reason
		if len(l.pairs) > 0 {
			text = "the means of " + pairsText(l.pairs) + " coincide within their noise"
		}
		if l.hidden != "" {
			text = "the means of " + l.hidden + " coincide within their noise"
		}
		switch {
		case l.Needed == nil:
		case l.Worst != nil || l.WorstTags != nil:
			text += fmt.Sprintf(" (it takes at least %s %s)", plural(*l.Needed, "sample", "samples"), each)
		default:
			text += fmt.Sprintf(" (about %s %s would decide)", plural(*l.Needed, "sample", "samples"), each)
		}
		return strings.TrimSpace(text)
	}
	for _, p := range phrases {
		level := l.Level(p.name)
		switch level.Verdict {
		case Holds:
			total++
			if level == &l.Centre && *level.Value == 0 {
				holds = append(holds, "the classifier always picks the nearest class mean")
			} else {
				holds = append(holds, with(level, p.holds))
			}
		case Fails:
			total++
			text := with(level, p.fails)
			if level.Reason != "" {
				text += ": " + level.Reason
			}
			fails = append(fails, text)
		case Undecidable:
			total++
			text := p.open
			if r := more(level); r != "" {
				text += ", for " + r
			}
			open = append(open, text)
		}
	}
	var b strings.Builder
	switch {
	case total == 0:
		return fmt.Sprintf("Undecided: %s.", l.Variability.Reason)
	case v.Whole == Collapsed && total == 1:
		b.WriteString("Collapsed")
	case v.Whole == Collapsed:
		fmt.Fprintf(&b, "Collapsed in all %d properties", total)
	case v.Whole == NotCollapsed:
		fmt.Fprintf(&b, "Not collapsed: %d of %d properties hold", len(holds), total)
	default:
		fmt.Fprintf(&b, "Undecided: %d of %d properties hold", len(holds), total)
	}
	if len(holds) == 1 && v.Whole != Collapsed {
		text := b.String()
		b.Reset()
		b.WriteString(strings.Replace(text, "properties hold", "properties holds", 1))
	}
	sep := ". "
	part := func(list []string) {
		if len(list) > 0 {
			text := enumerate(list)
			b.WriteString(sep + strings.ToUpper(text[:1]) + text[1:])
			sep = ". "
		}
	}
	part(holds)
	if len(fails) > 0 && len(holds) > 0 {
		b.WriteString("; but " + enumerate(fails))
	} else {
		part(fails)
	}
	if len(open) > 0 {
		part([]string{strings.Join(open, "; ")})
	}
	if len(fails) > 0 {
		fmt.Fprintf(&b, ". At most %s counts as collapsed", short(v.Alpha))
		if l.Centre.Verdict == Fails {
			fmt.Fprintf(&b, ", of disagreements %s", short(v.Alpha/10))
		}
	}
	switch l.Simplex.Verdict {
	case Vacuous:
		fmt.Fprintf(&b, ". Two %s are always a simplex, so that says nothing", means)
	case Impossible:
		fmt.Fprintf(&b, ". %d %s have no room for a simplex in %s", k-len(v.LeftOut), strings.Replace(means, "class means", "classes", 1), plural(d, "dimension", "dimensions"))
	}
	if l.Tagwise.Verdict == Vacuous {
		b.WriteString(". No row has several tags, so there is nothing to average")
	}
	if l.Duality.Verdict == Absent {
		b.WriteString(". There is no classifier to compare with")
	}
	return b.String() + "."
}

// enumerate is "a, b and c".
func enumerate(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// pairsText names pairs of classes, the first few.
func pairsText(pairs [][2]int64) string {
	const most = 3
	var named []int64 // where all pairs are among few classes, the classes say it
	for _, p := range pairs {
		for _, c := range p {
			if !slices.Contains(named, c) {
				named = append(named, c)
			}
		}
	}
	if m := len(named); len(pairs) == m*(m-1)/2 && m <= 10 {
		slices.Sort(named)
		text := make([]string, m)
		for i, c := range named {
			text[i] = strconv.FormatInt(c, 10)
		}
		return "classes " + enumerate(text)
	}
	var text []string
	for _, p := range pairs[:min(len(pairs), most)] {
		text = append(text, fmt.Sprintf("%d and %d", p[0], p[1]))
	}
	s := "classes " + strings.Join(text, ", ")
	if n := len(pairs) - most; n > 0 {
		s += fmt.Sprintf(" and %s more", plural(n, "pair", "pairs"))
	}
	return s
}

// Trained are the results of the rows trained on, a layer each: all, but for the test rows of files with several tags a row.
func (r *Report) Trained() []*Result {
	return slices.DeleteFunc(slices.Clone(r.Results), func(o *Result) bool { return o.Split != "train" })
}

// last is the last layer's result, nil where there is none or it has no verdict.
func (r *Report) last() *Result {
	results := r.Trained()
	if len(results) == 0 || results[len(results)-1].Verdict == nil {
		return nil
	}
	return results[len(results)-1]
}

// Sentence says what a file comes to: its last layer, and from where on its layers have what that one has.
func (r *Report) Sentence() string {
	last := r.last()
	if last == nil {
		return ""
	}
	if len(r.Trained()) == 1 {
		return last.Verdict.Sentence
	}
	var from []string
	layers := r.HoldsFromLayer()
	for _, name := range Properties(last) {
		if layer := layers[name]; layer != nil && *layer != last.Layer {
			from = append(from, name+" from "+*layer)
		}
	}
	text := last.Layer + ", the last layer: " + last.Verdict.Sentence
	if from != nil {
		text += " Before it, properties hold already: " + enumerate(from) + " on."
	}
	return text
}

// HoldsFromLayer tells for every property the first layer from which on it holds in all layers, nil where the last does not have it.
func (r *Report) HoldsFromLayer() map[string]*string {
	out := map[string]*string{}
	results := r.Trained()
	for _, name := range Properties(results...) {
		out[name] = nil
		for i := len(results) - 1; i >= 0; i-- {
			v := results[i].Verdict
			if v == nil || v.Levels.Level(name).Verdict != Holds {
				break
			}
			out[name] = &results[i].Layer
		}
	}
	return out
}

// HoldsSince tells for every property the first of several reports since which it holds in the last layer, -1 where it does not hold in the end.
func HoldsSince(reports []*Report) map[string]int {
	out := map[string]int{}
	var all []*Result
	for _, r := range reports {
		if last := r.last(); last != nil {
			all = append(all, last)
		}
	}
	if all == nil {
		return out
	}
	for _, name := range Properties(all...) {
		out[name] = -1
		for i := len(reports) - 1; i >= 0; i-- {
			last := reports[i].last()
			if last == nil || last.Verdict.Levels.Level(name).Verdict != Holds {
				break
			}
			out[name] = i
		}
	}
	return out
}
