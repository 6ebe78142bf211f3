package collapse

import (
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/kernel"
	zerosOf "github.com/collapsar/collapsar/internal/root"
)

const liMulti = "Li et al. 2023 (multi-label)"

// A tagMetric is a multi-label metric, or one for every multiplicity: its id then ends in "_mM", and M is the number.
type tagMetric struct {
	Metric
	from int // the smallest multiplicity that it has, 0 for all rows together
	of   func(s *tagSample, g *tagGroup) Value
}

// familySuffix ends the id of a metric that each multiplicity has.
const familySuffix = "_mM"

// at is the metric of multiplicity m.
func (t tagMetric) at(m int) Metric {
	out := t.Metric
	if t.from > 0 {
		out.ID = strings.TrimSuffix(out.ID, familySuffix) + "_m" + strconv.Itoa(m)
		out.Name = strings.ReplaceAll(out.Name, "M tags", plural(m, "tag", "tags"))
	}
	return out
}

// tagRegistry holds the multi-label metrics, in the order of the tables.
var tagRegistry = slices.Concat(
	tagGrouped("multi-label: counts", tagCounts),
	tagGrouped("multi-label: variability (M1)", tagVariability),
	tagGrouped("multi-label: rows of one tag, classifier (M2)", tagSimplex),
	tagGrouped("multi-label: duality (M3)", tagDuality),
	tagGrouped("multi-label: tag-wise average (M4)", tagAverage),
	tagGrouped("multi-label: margins", tagMargins),
	tagGrouped("multi-label: loss and decisions", tagDecisions),
)

func tagGrouped(name string, metrics []tagMetric) []tagMetric {
	for i := range metrics {
		metrics[i].under(name)
	}
	return metrics
}

// MultiLabelMetrics is the registry of metrics of rows with several tags. An id that ends in "_mM" stands for one of every
// multiplicity M that occurs: ml_scale_m2, ml_scale_m3. The slice is the caller's.
func MultiLabelMetrics() (out []Metric) {
	for _, t := range tagRegistry {
		out = append(out, t.Metric)
	}
	return out
}

// MetricsOf lists what the results can have, in the order of the tables: single-label metrics, or multi-label ones of every
// multiplicity that occurs in one of them.
func MetricsOf(results ...*Result) (out []Metric) {
	var sizes []int
	single, multi := len(results) == 0, false
	for _, r := range results {
		if r.Tags == nil {
			single = true
			continue
		}
		multi = true
		sizes = append(sizes, r.Tags.Multiplicities...)
	}
	if single {
		out = Metrics()
	}
	if multi {
		slices.Sort(sizes)
		out = append(out, tagMetrics(slices.Compact(sizes))...)
	}
	return out
}

// tagMetrics are the metrics for some multiplicities: within a group, those of one multiplicity stand together.
func tagMetrics(sizes []int) (out []Metric) {
	for i := 0; i < len(tagRegistry); {
		end := i
		for end < len(tagRegistry) && tagRegistry[end].Group == tagRegistry[i].Group {
			end++
		}
		for _, t := range tagRegistry[i:end] {
			if t.from == 0 {
				out = append(out, t.Metric)
			}
		}
		for _, m := range sizes {
			for _, t := range tagRegistry[i:end] {
				if t.from > 0 && m >= t.from {
					out = append(out, t.at(m))
				}
			}
		}
		i = end
	}
	return out
}

var multiplicitySuffix = regexp.MustCompile(`_m([1-9][0-9]{0,6})$`)

// family splits an id such as "ml_scale_m2" into "ml_scale_mM" and 2; other ids stay as they are, with 0.
func family(id string) (string, int) {
	at := multiplicitySuffix.FindStringSubmatchIndex(id)
	if at == nil {
		return id, 0
	}
	m, _ := strconv.Atoi(id[at[2]:at[3]])
	return id[:at[0]] + familySuffix, m
}

// lookupTag finds a multi-label metric by its id, with M or with a number for it.
func lookupTag(id string) (Metric, bool) {
	name, m := family(id)
	for _, t := range tagRegistry {
		switch {
		case t.ID == id:
			return t.Metric, true
		case t.ID == name && m >= t.from:
			return t.at(m), true
		}
	}
	return Metric{}, false
}

// named reports whether a pattern names the metric, of some multiplicity.
func (t tagMetric) named(pattern string) bool {
	if pattern == "all" || pattern == "default" {
		return true
	}
	if ok, err := path.Match(pattern, t.ID); ok && err == nil {
		return true
	}
	if name, m := family(pattern); name == t.ID && m >= t.from {
		return true
	}
	const most = 64 // multiplicities that a glob with a number in it is tried on
	for m := t.from; t.from > 0 && m <= most; m++ {
		if ok, err := path.Match(pattern, t.at(m).ID); ok && err == nil {
			return true
		}
	}
	return false
}

// wanted reports whether patterns ask for the metric of multiplicity m.
func (t tagMetric) wanted(patterns []string, m int) bool {
	id := t.at(m).ID
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "all" || p == "default" || p == id || p == t.ID {
			return true
		}
		one, _ := path.Match(p, id)
		all, _ := path.Match(p, t.ID)
		return one || all
	})
}

// evaluate computes the metrics asked for.
func (s *tagSample) evaluate(patterns []string) Values {
	out := Values{}
	put := func(t tagMetric, g *tagGroup) {
		v := undefined(NotRequested)
		if t.wanted(patterns, g.size) {
			v = t.of(s, g)
			if v.Defined() && (math.IsNaN(v.Number) || math.IsInf(v.Number, 0)) {
				v = undefined(OutOfRange)
			}
		}
		out[t.at(g.size).ID] = v
	}
	for _, t := range tagRegistry {
		if t.from == 0 {
			put(t, s.whole)
			continue
		}
		for _, g := range s.groups {
			if g.size >= t.from {
				put(t, g)
			}
		}
	}
	return out
}

var tagCounts = []tagMetric{
	{Metric{ID: "ml_n_empty", Name: "rows without a tag, left out of all geometry", Formula: "#{i : S_i empty}", Source: liMulti}, 0,
		func(s *tagSample, _ *tagGroup) Value { return number(s.rows - float64(s.whole.rows)) }},
	{Metric{ID: "ml_n_tagsets", Name: "different tag sets", Formula: "|T|", Source: liMulti}, 0,
		func(s *tagSample, g *tagGroup) Value { return number(float64(g.sets)) }},
	{Metric{ID: "ml_n_samples_mM", Name: "rows with M tags", Formula: "#{i : |S_i| = M}", Source: liMulti}, 1,
		func(s *tagSample, g *tagGroup) Value { return number(float64(g.rows)) }},
	{Metric{ID: "ml_n_tagsets_mM", Name: "different tag sets of M tags", Formula: "|T_M|", Source: liMulti}, 1,
		func(s *tagSample, g *tagGroup) Value { return number(float64(g.sets)) }},
}

var tagVariability = []tagMetric{
	{Metric{ID: "ml_nc1", Name: "within tag sets against between", Formula: "tr(Sigma_W Sigma_B^+) / K over tag sets, r = min(K-1, |T|-1) directions", Source: liMulti, Cost: Pass2, ideal: zero}, 0, (*tagSample).nc1},
	{Metric{ID: "ml_nc1_trace", Name: "within tag sets against between, in total", Formula: "tr Sigma_W / tr Sigma_B over tag sets", Source: liMulti, ideal: zero}, 0, (*tagSample).nc1Trace},
	{Metric{ID: "ml_nc1_mM", Name: "ml_nc1 among tag sets of M tags", Formula: "ml_nc1 in T_M", Source: liMulti, Cost: Pass2, ideal: zero}, 1, (*tagSample).nc1},
	{Metric{ID: "ml_nc1_trace_mM", Name: "ml_nc1_trace among tag sets of M tags", Formula: "ml_nc1_trace in T_M", Source: liMulti, ideal: zero}, 1, (*tagSample).nc1Trace},
}

// onSingles is a metric of the centred means u_k of rows of one tag: k rows of M.
func onSingles(f func(s *tagSample, k int, m []float64) Value) func(*tagSample, *tagGroup) Value {
	return func(s *tagSample, _ *tagGroup) Value {
		if len(s.ones) < 2 {
			return undefined(NeedsSingleTags)
		}
		return f(s, len(s.ones), s.singles())
	}
}

// cosines are those of all pairs of rows.
func cosines(k, d int, m []float64) (list []float64, r Reason) {
	for i := range k {
		if norm(m[i*d:(i+1)*d]) == 0 {
			return nil, ZeroNormMean
		}
		for j := range i {
			x, y := m[i*d:(i+1)*d], m[j*d:(j+1)*d]
			list = append(list, kernel.Dot64(x, y)/norm(x)/norm(y))
		}
	}
	return list, ""
}

var tagSimplex = []tagMetric{
	{Metric{ID: "ml_nc2_single_etf", Name: "distance of single-tag means from a simplex", Formula: "|G/|G|_F - (I - 11'/K)/sqrt(K-1)|_F, G = M M', rows of M: u_k - mean u", Source: liMulti, ideal: zero}, 0,
		onSingles(func(s *tagSample, k int, m []float64) Value { return simplexDeviation(k, s.d, m, m) })},
	{Metric{ID: "ml_nc2_single_norm_cv", Name: "spread of the norms of single-tag means", Formula: "std_k |M_k| / mean_k |M_k|", Source: liMulti, ideal: zero}, 0,
		onSingles(func(s *tagSample, k int, m []float64) Value {
			var norms []float64
			for i := range k {
				norms = append(norms, norm(m[i*s.d:(i+1)*s.d]))
			}
			if mean(norms) == 0 {
				return undefined(CoincidentMeans)
			}
			return number(deviation(norms) / mean(norms))
		})},
	{Metric{ID: "ml_nc2_single_cos_std", Name: "spread of the cosines of single-tag means", Formula: "std over pairs of cos(M_k, M_l)", Source: liMulti, ideal: zero}, 0,
		onSingles(func(s *tagSample, k int, m []float64) Value {
			list, r := cosines(k, s.d, m)
			if r != "" {
				return undefined(r)
			}
			return number(deviation(list))
		})},
	{Metric{ID: "ml_nc2_single_cos_dev", Name: "cosines of single-tag means against a simplex's", Formula: "mean over pairs of |cos(M_k, M_l) + 1/(K-1)|", Source: liMulti, ideal: zero}, 0,
		onSingles(func(s *tagSample, k int, m []float64) Value {
			list, r := cosines(k, s.d, m)
			if r != "" {
				return undefined(r)
			}
			sum := 0.0
			for _, c := range list {
				sum += math.Abs(c - simplexCosine(k))
			}
			return number(sum / float64(len(list)))
		})},
	{Metric{ID: "ml_nc2_w_etf", Name: "distance of the classifier from a simplex", Formula: "ml_nc2_single_etf with G = W W', not centred", Source: liMulti, ideal: zero}, 0,
		func(s *tagSample, _ *tagGroup) Value {
			if s.weights == nil {
				return undefined(NeedsClassifier)
			}
			w := s.rowsOfWeights()
			return simplexDeviation(len(s.seen), s.d, w, w)
		}},
}

// dualTags is a metric of the rows of W and the centred means of rows of one tag, which all tags that occur must have.
func dualTags(f func(s *tagSample, k int, w, m []float64) Value) func(*tagSample, *tagGroup) Value {
	return func(s *tagSample, _ *tagGroup) Value {
		switch {
		case s.weights == nil:
			return undefined(NeedsClassifier)
		case len(s.ones) < len(s.seen):
			return undefined(NeedsSingleTags)
		}
		return f(s, len(s.seen), s.rowsOfWeights(), s.singles())
	}
}

var tagDuality = []tagMetric{
	{Metric{ID: "ml_nc3_single", Name: "classifier against single-tag means, by products", Formula: "ml_nc2_single_etf with G = W M'", Source: liMulti, ideal: zero}, 0,
		dualTags(func(s *tagSample, k int, w, m []float64) Value { return simplexDeviation(k, s.d, w, m) })},
	{Metric{ID: "ml_nc3_dual", Name: "distance of classifier and single-tag means at unit norm", Formula: "|W/|W|_F - M/|M|_F|_F", Source: liMulti, ideal: zero}, 0,
		dualTags(func(s *tagSample, k int, w, m []float64) Value {
			nw, nm := norm(w), norm(m)
			if nw == 0 || nm == 0 {
				return undefined(ZeroMatrix)
			}
			kernel.Scale64(w, 1/nw)
			kernel.Scale64(m, 1/nm)
			return number(math.Sqrt(kernel.Distance64(w, m)))
		})},
	{Metric{ID: "ml_dual_angle_mM", Name: "angle of means of M tags and sums of their classifier rows, degrees", Formula: "mean over S in T_M of angle(P mu_S, P sum_{k in S} (w_k - wbar))", Source: "this project", ideal: zero}, 1, (*tagSample).dualAngle},
}

// average is a metric of the tag-wise comparison, in the features or (projected) in the space of the classifier.
func average(projected bool, f func(t *tagwise) float64) func(*tagSample, *tagGroup) Value {
	return func(s *tagSample, g *tagGroup) Value {
		frame, kept := &s.raw, &g.raw
		if projected {
			if s.weights == nil {
				return undefined(NeedsClassifier)
			}
			frame, kept = &s.projected, &g.projected
		}
		switch {
		case g.size == s.k:
			return undefined(AllTags)
		case frame.dim == 0:
			return undefined(ZeroMatrix)
		}
		if *kept == nil {
			*kept = s.tagwise(frame, g)
		}
		if *kept == nil {
			return undefined(NoSingleTags)
		}
		return angleValue(f(*kept))
	}
}

var tagAverage = slices.Concat(
	averages(false, "_mM", "", ""),
	averages(true, "_proj_mM", ", in the space of the classifier", ", mu and u times P'"),
	[]tagMetric{
		{Metric{ID: "ml_tagwise_angle_centred_mM", Name: "the angle with all means less that of the u_k (diagnostic: ReLU features read 12 to 22 degrees at collapse)", Formula: "mean of angle(mu_S - mean u, sum_{k in S} (u_k - mean u))", Source: "this project"}, 2,
			func(s *tagSample, g *tagGroup) Value {
				if g.size == s.k {
					return undefined(AllTags)
				}
				return s.centredAngle(g)
			}},
		{Metric{ID: "ml_tagwise_covered_mM", Name: "tag sets whose tags all have rows of their own", Formula: "share of T_M", Source: "this project", ideal: one}, 2,
			func(s *tagSample, g *tagGroup) Value {
				if g.size == s.k {
					return undefined(AllTags)
				}
				return number(float64(len(s.covered(g))) / float64(g.sets))
			}},
		{Metric{ID: "ml_additive_r2_mM", Name: "means of M tags explained by a sum over their tags", Formula: "R^2 of least squares mu_S ~ sum_{k in S} v_k, v free", Source: "this project", ideal: one}, 1,
			func(s *tagSample, g *tagGroup) Value {
				if g.additive == nil {
					g.additive = pointer(s.additiveR2(g))
				}
				return *g.additive
			}},
	},
)

// averages are the numbers of the tag-wise average.
func averages(projected bool, suffix, where, formula string) []tagMetric {
	entry := func(id, name, f, source string, at ideal, of func(t *tagwise) float64) tagMetric {
		return tagMetric{Metric{ID: "ml_" + id + suffix, Name: name + where, Formula: f + formula, Source: source, ideal: at}, 2, average(projected, of)}
	}
	return []tagMetric{
		entry("tagwise_angle", "angle of means of M tags and sums of single-tag means, degrees", "mean over S in T_M of angle(mu_S, x_S), x_S = sum_{k in S} u_k", liMulti, zero, func(t *tagwise) float64 { return t.angle }),
		entry("tagwise_angle_mismatched", "the same with sums of other tags", "mean over S in T_M and S' != S of angle(mu_S, x_S')", liMulti, ideal{}, func(t *tagwise) float64 { return t.mismatched }),
		entry("tagwise_angle_ratio", "their quotient: 1 where there is no relation", "ml_tagwise_angle / ml_tagwise_angle_mismatched", liMulti, zero, func(t *tagwise) float64 { return t.angle / t.mismatched }),
		entry("scale", "scale of means of M tags", "C_M = sum_S x_S.mu_S / sum_S |x_S|^2", "this project", ideal{}, func(t *tagwise) float64 { return t.scale }),
		entry("scale_spread", "spread of the scales of single tag sets", "std_S c_S / |mean_S c_S|, c_S = x_S.mu_S / |x_S|^2", "this project", zero, func(t *tagwise) float64 { return t.spread }),
		entry("tagwise_residual", "what the tag-wise average leaves", "|mu - C_M x|_F / |mu|_F over S in T_M", "this project", zero, func(t *tagwise) float64 { return t.residual }),
	}
}

// onMargins is a metric of the margins of a multiplicity.
func onMargins(f func(s *tagSample, g *tagGroup, t []float64) Value) func(*tagSample, *tagGroup) Value {
	return func(s *tagSample, g *tagGroup) Value {
		switch {
		case s.weights == nil:
			return undefined(NeedsClassifier)
		case g.size == s.k:
			return undefined(AllTags)
		}
		return f(s, g, s.margins(g))
	}
}

// onBothMargins is one of the mean margins of multiplicities M and 1.
func onBothMargins(f func(k, m int, t1, t float64) Value) func(*tagSample, *tagGroup) Value {
	return onMargins(func(s *tagSample, g *tagGroup, t []float64) Value {
		ones := s.group(1)
		if ones == nil {
			return undefined(NoSingleTags)
		}
		return f(s.k, g.size, mean(s.margins(ones)), mean(t))
	})
}

// marginLaw is log phi_m(t) - log phi_1(t_1).
func marginLaw(k, m int, t1, t float64) Value {
	if !(t1 > 0) || !(t > 0) {
		return undefined(MarginNotPositive)
	}
	return number(logPhi(k, m, t) - logPhi(k, 1, t1))
}

// scaleTheory is C_m where the margin law holds and rows of one tag have margin t1 > 0.
func scaleTheory(k, m int, t1 float64) float64 {
	aim := logPhi(k, 1, t1)
	return zerosOf.Between(func(t float64) float64 { return logPhi(k, m, t) - aim }, math.SmallestNonzeroFloat64, t1) / t1
}

const marginLawSource = "this project, after Li et al. 2023"

var tagMargins = []tagMetric{
	{Metric{ID: "ml_margin_mM", Name: "margin of means of M tags", Formula: "mean over T_M of t_S = mean_{k in S} z_k - mean_{k not in S} z_k, z = W mu_S + b", Source: marginLawSource}, 1,
		onMargins(func(_ *tagSample, _ *tagGroup, t []float64) Value { return number(mean(t)) })},
	{Metric{ID: "ml_margin_cv_mM", Name: "spread of these margins", Formula: "std t_S / |mean t_S|", Source: marginLawSource, ideal: zero}, 1,
		onMargins(func(_ *tagSample, _ *tagGroup, t []float64) Value { return number(deviation(t) / math.Abs(mean(t))) })},
	{Metric{ID: "ml_margin_ratio_mM", Name: "margin against that of one tag", Formula: "ml_margin_mM / ml_margin_m1", Source: marginLawSource, Ideal: "C_M"}, 2,
		onBothMargins(func(_, _ int, t1, t float64) Value { return number(t / t1) })},
	{Metric{ID: "ml_scale_theory_mM", Name: "C_M by the margin law, from ml_margin_m1", Formula: "t/t_1 with phi_M(t) = phi_1(t_1), phi_m(t) = t (m e^t + K - m)", Source: marginLawSource, Ideal: "C_M"}, 2,
		onBothMargins(func(k, m int, t1, _ float64) Value {
			if !(t1 > 0) {
				return undefined(MarginNotPositive)
			}
			return number(scaleTheory(k, m, t1))
		})},
	{Metric{ID: "ml_margin_law_mM", Name: "deviation from the margin law (pick-all-label loss, linear features; about -log M after the averaged loss)", Formula: "log(phi_M(t_M) / phi_1(t_1))", Source: marginLawSource, ideal: zero}, 2,
		onBothMargins(marginLaw)},
	{Metric{ID: "ml_margin_law_relu_mM", Name: "deviation from the margin law for ReLU features", Formula: "ml_margin_law - log((K-M)/(K-1))", Source: marginLawSource, ideal: zero}, 2,
		onBothMargins(func(k, m int, t1, t float64) Value {
			v := marginLaw(k, m, t1, t)
			v.Number -= math.Log(float64(k-m) / float64(k-1))
			return v
		})},
}

// onLogits is a metric of the logits of all rows.
func onLogits(f func(s *tagSample, g *tagGroup) Value) func(*tagSample, *tagGroup) Value {
	return func(s *tagSample, g *tagGroup) Value {
		if s.weights == nil {
			return undefined(NeedsClassifier)
		}
		return f(s, g)
	}
}

// floor is what pick-all-label cross-entropy cannot go below: m tags share the probability.
func (s *tagSample) floor() float64 {
	sum := 0.0
	for _, g := range s.groups {
		sum += float64(g.rows) * float64(g.size) * math.Log(float64(g.size))
	}
	return sum / s.rows
}

var tagDecisions = []tagMetric{
	{Metric{ID: "ml_pal_loss", Name: "pick-all-label cross-entropy", Formula: "mean_i of m_i log sum_j exp z_ij - sum_{k in S_i} z_ik", Source: "Reddi et al. 2019; Li et al. 2023", Cost: Logits}, 0,
		onLogits(func(s *tagSample, g *tagGroup) Value { return number(g.pass.Loss / s.rows) })},
	{Metric{ID: "ml_pal_floor", Name: "the least that it can be", Formula: "mean_i of m_i log m_i", Source: "this project"}, 0,
		onLogits(func(s *tagSample, g *tagGroup) Value { return number(s.floor()) })},
	{Metric{ID: "ml_pal_excess", Name: "what it is above that", Formula: "ml_pal_loss - ml_pal_floor", Source: "this project", Cost: Logits}, 0,
		onLogits(func(s *tagSample, g *tagGroup) Value { return number(g.pass.Loss/s.rows - s.floor()) })},
	{Metric{ID: "ml_set_error", Name: "rows whose largest logits are not their tags", Formula: "share of rows with min_{k in S} z_k <= max_{k not in S} z_k", Source: "this project", Cost: Logits, ideal: zero}, 0,
		onLogits(func(s *tagSample, g *tagGroup) Value { return count(g.pass.Wrong, s.rows) })},
	{Metric{ID: "ml_nc4_mismatch", Name: "rows whose nearest mean of as many tags is not their largest logits", Formula: "share of rows with argmin_{S in T_m} |h - mu_S| not the m largest z_k", Source: "this project", Cost: Logits, ideal: zero}, 0,
		onLogits(func(s *tagSample, g *tagGroup) Value { return count(g.pass.Mismatch, float64(g.pass.Compared)) })},
}
