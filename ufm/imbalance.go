package ufm

import (
	"context"
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/root"
)

var imbalanceQuestions = []Question{
	{"layer_peeled_imbalanced", "layer-peeled model with classes of two sizes, along their ratio (Fang et al. 2021)", "K_A K_B E_W E_H ratios constraint=energy bias", layerPeeledImbalanced},
	{"layer_peeled_groups", "layer-peeled model with classes of any sizes", "counts d E_W E_H constraint=energy bias", layerPeeledGroups},
	{"layer_peeled_threshold", "ratios from which the classifiers of the smaller classes coincide, and vanish", "pairs products", layerPeeledThreshold},
	{"layer_peeled_product_only", "the same ratio for several energies of the same product", "K_A K_B energies", layerPeeledProductOnly},
	{"layer_peeled_threshold_search", "the ratio, looked for between two others, at which the smaller classes coincide", "K_A K_B E_W E_H between", layerPeeledThresholdSearch},
	{"ce_decay_imbalanced", "cross-entropy with decay and classes of two sizes", "counts d lambda_W lambda_H bias [lambda_b]", ceDecayImbalanced},
	{"ce_decay_imbalanced_groups", "cross-entropy with decay and classes of any sizes: which sizes coincide", "counts d decays", ceDecayImbalancedGroups},
	{"ce_decay_imbalanced_zero", "decays from which classifier and features are zero, for classes of any sizes", "counts", ceDecayImbalancedZero},
}

// twoSizes are K_A classes of one size and K_B of another, in the layer-peeled model: the loss is the mean over the
// samples, energies are averaged within a class first, so that only the ratio n_A/n_B counts.
func twoSizes(ka, kb int, ratio float64) (a, b classGroup) {
	total := ratio*float64(ka) + float64(kb)
	return classGroup{classes: ka, weight: ratio / total, scale: 1}, classGroup{classes: kb, weight: 1 / total, scale: 1}
}

// minorityCollapse is the ratio R_0 from which on the classifier rows of the K_B smaller classes are identical, for the
// product of the energies, and R_1 from which on they and the features of these classes are zero; R_1 is NaN where
// that never happens. Both are NaN where K_B is 1: a class cannot coincide with itself. R_0 is infinite beyond e^600.
//
// The smaller classes coincide iff their weight is at most the multiplier of the nuclear norm, whatever the rest does. So
// R_0 is where the norm at that very multiplier is what the energies allow: it grows with R from 0.
// They vanish where the matrix between the groups does, which leaves a_A = r/(K_A - 1) and a closed form.
func minorityCollapse(ka, kb int, product float64) (r0, r1 float64) {
	k := float64(ka + kb)
	budget := k * math.Sqrt(product)
	excess := func(logRatio float64) float64 {
		a, b := twoSizes(ka, kb, math.Exp(logRatio))
		return twoGroups(a, b, b.weight).nuclear - budget
	}
	r0, r1 = math.NaN(), math.NaN()
	if kb > 1 {
		const most = 600
		if r0 = math.Inf(1); excess(most) >= 0 {
			r0 = math.Exp(root.Between(excess, 0, most))
		}
	}
	if ka > 1 && kb > 1 {
		m, n := float64(ka), float64(kb)
		a := budget / (m - 1)
		if math.Exp(-a/m) > (math.Sqrt(k*n)-n)/m {
			x := math.Exp(-a * (1 - 1/m))
			d := 1 + (m-1)*math.Exp(-a) + n*x
			u, v := (m*math.Exp(-a)+n*x)/d, x/d
			r1 = math.Sqrt(m/k) / math.Sqrt(u*u-k*n*v*v)
		}
	}
	return r0, r1
}

// energies reads E_W and E_H.
func (p *params) energies() (ew, eh float64) { return p.positive("E_W"), p.positive("E_H") }

func layerPeeledImbalanced(ctx context.Context, p *params, o Options) (*Report, error) {
	ka, kb := p.count("K_A"), p.count("K_B")
	ew, eh := p.energies()
	ratios := p.positives("ratios")
	p.oneOf("constraint", string(EnergyKind))
	p.oneOf("bias", string(NoBias))
	for i, r := range ratios {
		if r < 1 {
			p.fail(fmt.Sprintf("ratios[%d]", i), "%g, wanted at least 1: A are the larger classes", r)
		}
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	r0, r1 := minorityCollapse(ka, kb, ew*eh)
	budget := float64(ka+kb) * math.Sqrt(ew*eh)
	var rows, solved []Fields
	worst, off := 0.0, 0.0 // largest duality gap; largest difference of search and formula
	for _, ratio := range ratios {
		a, b := twoSizes(ka, kb, ratio)
		best, err := twoGroupsWithin(a, b, budget)
		if err != nil {
			return nil, err
		}
		gap, err := best.gapWithin(budget)
		if err != nil {
			return nil, err
		}
		worst = max(worst, gap)
		row := Fields{{"ratio", ratio}, {"value", best.loss}, {"multiplier", best.mu}}
		if err := row.addGroups(&best, float64(ka+kb)*ew/best.nuclear, float64(ka+kb)*eh/best.nuclear, exact); err != nil {
			return nil, err
		}
		row.Add("minority_collapse", kb > 1 && b.weight <= best.mu)
		rows = append(rows, row)
		if o.Method == methodNone {
			continue
		}
		found, err := (&groupProblem{groups: best.groups, bias: NoBias}).search(ctx, o, budget)
		if err != nil {
			return nil, err
		}
		row = append(Fields{{"ratio", ratio}}, found.fields()...)
		off = max(off, math.Abs(found.objective-best.loss))
		row.Add("multiplier", found.mu)
		if err := row.addGroups(&found.groupOptimum, float64(ka+kb)*ew/found.nuclear, float64(ka+kb)*eh/found.nuclear, searched); err != nil {
			return nil, err
		}
		solved = append(solved, row)
	}
	r := &Report{}
	r.ClosedForm.Add("rows", rows)
	r.ClosedForm.Add("R0", r0)
	r.ClosedForm.Add("R1", r1)
	r.ClosedForm.Add("theorem", "nuclear-norm reduction (Srebro 2004; Haeffele, Vidal 2015) of the layer-peeled model (Fang et al. 2021), KKT conditions by scalar roots")
	r.ClosedForm.Add("proved", true)
	if solved != nil {
		r.Solved = Fields{{"status", "converged"}, {"largest_difference", off}, {"rows", solved}}
		for _, row := range solved {
			if status, _ := row.Get("status"); status != "converged" {
				r.Solved[0].Value = status
			}
		}
	} else {
		r.NotSolved = notRequested
	}
	r.Certificate.Add("global", worst <= certified)
	r.Certificate.Add("gap", worst)
	r.Words = minorityWords(ka, kb, ew*eh, r0, r1)
	if worst <= certified {
		r.Words = append(r.Words, fmt.Sprintf("Global optima, proved by duality: at no ratio is anything lower by more than %.1g.", roundUp(worst)))
	}
	if solved != nil {
		r.Words = append(r.Words, fmt.Sprintf("Every search ends within %.1g of its closed form.", roundUp(off)))
	}
	return r, nil
}

const (
	methodNone   = "none"
	notRequested = "not_requested"
)

func layerPeeledGroups(ctx context.Context, p *params, o Options) (*Report, error) {
	counts, d := p.classCounts("counts"), p.count("d")
	ew, eh := p.energies()
	p.oneOf("constraint", string(EnergyKind))
	p.oneOf("bias", string(NoBias))
	if err := p.done(); err != nil {
		return nil, err
	}
	k := float64(len(counts))
	if d < len(counts)-1 {
		return nil, fmt.Errorf("d: %d, wanted at least %d (K-1): with fewer the nuclear norm is only a bound; model searches", d, len(counts)-1)
	}
	if o.Method == methodNone {
		return &Report{NotSolved: notRequested}, nil
	}
	s := bySize(counts)
	for g := range s.groups {
		s.groups[g].scale = 1 // energies are averaged within a class first
	}
	budget := k * math.Sqrt(ew*eh)
	found, err := (&groupProblem{groups: s.groups, bias: NoBias}).search(ctx, o, budget)
	if err != nil {
		return nil, err
	}
	gap, err := found.gapWithin(budget)
	if err != nil {
		return nil, err
	}
	geo, err := found.geometry(k*ew/found.nuclear, k*eh/found.nuclear, searched)
	if err != nil {
		return nil, err
	}
	n := len(s.groups)
	var rows []Fields
	for g, gg := range s.groups {
		row := Fields{{"samples", s.counts[g]}, {"classes", gg.classes}, {"gap_within", found.within[g]}, {"w_norm", geo.w[g]}, {"h_norm", geo.h[g]},
			{"cos_w_within", geo.cosine[g*n+g]}, {"coincide", nil}}
		if gg.classes > 1 {
			row[len(row)-1].Value = gg.weight <= found.mu
		}
		rows = append(rows, row)
	}
	r := &Report{Solved: found.fields()}
	r.Solved.Add("multiplier", found.mu)
	r.Solved.Add("rows", rows)
	r.Certificate = Fields{{"global", gap <= certified}, {"lower_bound", found.loss - gap}, {"gap", gap}}
	r.Words = []string{fmt.Sprintf("Classes of n samples have identical classifiers iff n/N is at most the multiplier of the energies: here up to %.6g samples.", found.mu*s.n)}
	return r, nil
}

// roundUp is the next power of ten, from 1e-12 on: more digits of a rounding error say nothing.
func roundUp(v float64) float64 { return math.Pow(10, math.Ceil(math.Log10(max(v, 1e-12)))) }

// certified is the duality gap up to which an optimum counts as proved: the rounding of a sum over the classes.
const certified = 1e-7

func minorityWords(ka, kb int, product, r0, r1 float64) []string {
	if math.IsNaN(r0) {
		return []string{"With a single smaller class no two of its classifiers can coincide."}
	}
	if math.IsInf(r0, 1) {
		return []string{"The classifiers of the small classes stay apart up to ratios of e^600 at least."}
	}
	words := []string{fmt.Sprintf("%d large and %d small classes, E_W E_H = %g: from ratio %.6g on the classifiers of the small classes are identical.", ka, kb, product, r0)}
	if math.IsNaN(r1) {
		return append(words, "They never vanish.")
	}
	return append(words, fmt.Sprintf("From ratio %.6g on they and the features of these classes are zero.", r1))
}

// exact and searched are how long a row of W is, against the longest, that has no direction: a search leaves the square
// root of its tolerance of what vanishes.
const (
	exact    = 0
	searched = 1e-4
)

// addGroups appends gaps, norms and cosines of two groups.
func (f *Fields) addGroups(o *groupOptimum, kw, kh, negligible float64) error {
	geo, err := o.geometry(kw, kh, negligible)
	if err != nil {
		return err
	}
	f.Add("gap_major", o.within[0])
	f.Add("gap_minor", o.within[1])
	f.Add("gap_major_to_minor", o.gap(0, 1))
	f.Add("gap_minor_to_major", o.gap(1, 0))
	f.Add("w_norm_major", geo.w[0])
	f.Add("w_norm_minor", geo.w[1])
	f.Add("cos_w_major", geo.cosine[0])
	f.Add("cos_w_minor", geo.cosine[3])
	f.Add("cos_w_cross", geo.cosine[1])
	f.Add("h_norm_major", geo.h[0])
	f.Add("h_norm_minor", geo.h[1])
	return nil
}

func layerPeeledThreshold(_ context.Context, p *params, _ Options) (*Report, error) {
	sizes, products := pairs(p, "pairs", p.toCount), p.positives("products")
	if err := p.done(); err != nil {
		return nil, err
	}
	var rows []Fields
	for _, s := range sizes {
		for _, product := range products {
			r0, r1 := minorityCollapse(s[0], s[1], product)
			rows = append(rows, Fields{{"K_A", s[0]}, {"K_B", s[1]}, {"product", product}, {"R0", r0}, {"R1", r1}})
		}
	}
	r := &Report{NotSolved: "nothing_to_solve"}
	r.ClosedForm.Add("rows", rows)
	r.ClosedForm.Add("theorem", "KKT conditions of the nuclear-norm reduction: identical iff n_B/N is at most the multiplier; finite thresholds, which Fang et al. 2021 observe and prove in the limit only")
	r.ClosedForm.Add("proved", true)
	return r, nil
}

func layerPeeledProductOnly(_ context.Context, p *params, _ Options) (*Report, error) {
	ka, kb := p.count("K_A"), p.count("K_B")
	energies := pairs(p, "energies", p.toPositive)
	product := 1.0
	for i, e := range energies {
		if i == 0 {
			product = e[0] * e[1]
		} else if math.Abs(e[0]*e[1]-product) > 1e-12*product {
			p.fail(fmt.Sprintf("energies[%d]", i), "product %g, wanted that of the first, %g", e[0]*e[1], product)
		}
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	r0, r1 := minorityCollapse(ka, kb, product)
	r := &Report{NotSolved: "nothing_to_solve", Words: minorityWords(ka, kb, product, r0, r1)}
	r.ClosedForm = Fields{{"R0", r0}, {"R1", r1},
		{"theorem", "nuclear-norm reduction (Srebro 2004): only the product of the energies counts"}, {"proved", true}}
	return r, nil
}

func layerPeeledThresholdSearch(_ context.Context, p *params, _ Options) (*Report, error) {
	ka, kb := p.count("K_A"), p.count("K_B")
	ew, eh := p.energies()
	between := p.positives("between")
	if len(between) > 0 && (len(between) != 2 || between[0] < 1 || between[1] <= between[0]) {
		p.fail("between", "%v, wanted two ratios of at least 1, the smaller first", between)
	}
	if kb < 2 {
		p.fail("K_B", "%d, wanted at least 2 classes: one alone cannot coincide with another", kb)
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	budget := float64(ka+kb) * math.Sqrt(ew*eh)
	// how far the multiplier is above the weight of the small classes: they coincide where it is not negative
	calls := 0
	margin := func(logRatio float64) float64 {
		calls++
		a, b := twoSizes(ka, kb, math.Exp(logRatio))
		best, err := twoGroupsWithin(a, b, budget)
		if err != nil {
			return math.NaN()
		}
		return best.mu/b.weight - 1
	}
	low, high := math.Log(between[0]), math.Log(between[1])
	if margin(low) >= 0 {
		return nil, fmt.Errorf("between: the small classes coincide at ratio %g already, wanted a smaller one to begin with", between[0])
	}
	if margin(high) < 0 {
		return nil, fmt.Errorf("between: the small classes are apart at ratio %g still, wanted a larger one to end with", between[1])
	}
	found := math.Exp(root.Between(margin, low, high))
	r0, r1 := minorityCollapse(ka, kb, ew*eh)
	r := &Report{Words: minorityWords(ka, kb, ew*eh, r0, r1)}
	r.ClosedForm = Fields{{"R0", r0}, {"R1", r1}, {"theorem", "KKT conditions of the nuclear-norm reduction"}, {"proved", true}}
	r.Solved = Fields{{"R0", found}, {"status", "converged"}, {"evaluations", calls}}
	return r, nil
}

// A sizes is the classes of a list of counts, gathered by their size.
type sizes struct {
	groups []classGroup
	counts []int // samples per class of each group
	of     []int // the group of each class
	n      float64
}

// bySize groups classes by their number of samples, in the order in which sizes first appear; as decays see them: w = n/N,
// c = sqrt n.
func bySize(counts []int) sizes {
	var s sizes
	index := map[int]int{}
	for _, n := range counts {
		g, ok := index[n]
		if !ok {
			g = len(s.groups)
			index[n] = g
			s.groups = append(s.groups, classGroup{})
			s.counts = append(s.counts, n)
		}
		s.groups[g].classes++
		s.of = append(s.of, g)
		s.n += float64(n)
	}
	for g, n := range s.counts {
		s.groups[g].weight = float64(n) / s.n
		s.groups[g].scale = math.Sqrt(float64(n))
	}
	return s
}

// coincide tells whether classes of n samples have identical classifier rows and features, for cross-entropy with decays:
// iff n <= N^2 lambda_W lambda_H, with any bias and whatever the other classes are.
func (s *sizes) coincide(n int, d decays) bool { return float64(n) <= s.collapseCount(d) }

func (s *sizes) collapseCount(d decays) float64 { return s.n * s.n * d.W * d.H }

// measurable is the number of entries of H up to which the metrics of collapse are taken at an optimum.
const measurable = 4_000_000

// tooNarrow is the refusal of what has no room for the theory.
func tooNarrow(k, d int) error {
	return fmt.Errorf("d: %d, wanted at least %d (K-1): with fewer the nuclear norm is only a bound; --numeric searches", d, k-1)
}

// decayed is cross-entropy with decays.
func decayed(counts []int, d int, dec decays) Problem {
	return Problem{Loss: Loss{Kind: CrossEntropy}, Counts: counts, Dim: d, W: Decay(dec.W), H: Decay(dec.H), Bias: dec.Bias, B: dec.B}
}

const groupTheorem = "nuclear-norm reduction (Srebro 2004; Haeffele, Vidal 2015) on the sizes; classes of n samples coincide iff n <= N^2 lambda_W lambda_H, derived for this project (Hong, Ling 2023 have a threshold for two sizes)"

func ceDecayImbalanced(ctx context.Context, p *params, o Options) (*Report, error) {
	counts, d, dec := p.classCounts("counts"), p.count("d"), p.decays()
	s := bySize(counts)
	switches := 0
	for i := range counts[1:] {
		if counts[i] != counts[i+1] {
			switches++
		}
	}
	if len(s.groups) != 2 || switches != 1 || s.counts[0] < s.counts[1] {
		p.fail("counts", "%v, wanted two sizes, the large classes first (ce_decay_imbalanced_groups takes any)", counts)
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	if d < len(counts)-1 {
		if !o.Numeric {
			return nil, tooNarrow(len(counts), d)
		}
		r := &Report{}
		return r, r.searchInto(ctx, decayed(counts, d, dec), o)
	}
	mu, kw := math.Sqrt(dec.W*dec.H), math.Sqrt(dec.H/dec.W)
	a, b := s.groups[0], s.groups[1]
	r := &Report{}
	var best groupOptimum
	answer := func(f *Fields, best *groupOptimum, value, negligible float64) error {
		f.Add("value", value)
		f.Add("minority_collapse", b.classes > 1 && s.coincide(s.counts[1], dec))
		f.Add("collapse_count", s.collapseCount(dec))
		return f.addGroups(best, kw, 1/kw, negligible)
	}
	certify := func(best *groupOptimum, value float64) error {
		slope, err := best.slope()
		if err != nil {
			return err
		}
		r.Certificate = Fields{{"global", slope <= mu*(1+certified)}, {"spectral_norm", slope}, {"threshold", mu}}
		if dec.Bias == NoBias {
			bound, err := best.lowerBound()
			if err != nil {
				return err
			}
			r.Certificate.Add("lower_bound", bound)
			r.Certificate.Add("gap", value-bound)
		}
		return nil
	}
	if dec.Bias == NoBias {
		best = twoGroups(a, b, mu)
		value := best.loss + mu*best.nuclear
		if err := answer(&r.ClosedForm, &best, value, exact); err != nil {
			return nil, err
		}
		if err := certify(&best, value); err != nil {
			return nil, err
		}
	} else { // the threshold is the same with any bias; the rest has no formula
		r.ClosedForm = Fields{{"minority_collapse", b.classes > 1 && s.coincide(s.counts[1], dec)}, {"collapse_count", s.collapseCount(dec)}}
	}
	r.ClosedForm.Add("theorem", groupTheorem)
	r.ClosedForm.Add("proved", true)
	if r.NotSolved = notRequested; o.Method != methodNone {
		problem := &groupProblem{groups: s.groups, mu: mu, bias: dec.Bias, decay: dec.B}
		found, err := problem.search(ctx, o, 0)
		if err != nil {
			return nil, err
		}
		r.NotSolved, r.Solved = "", found.fields()[1:]
		if err := answer(&r.Solved, &found.groupOptimum, found.objective, searched); err != nil {
			return nil, err
		}
		if dec.Bias != NoBias {
			best = found.groupOptimum
			if err := certify(&found.groupOptimum, found.objective); err != nil {
				return nil, err
			}
		}
	}
	if best.groups != nil && s.n*float64(d) <= measurable {
		at, err := best.point(s.of, counts, d, kw)
		if err != nil {
			return nil, err
		}
		problem := decayed(counts, d, dec)
		if r.Metrics, err = problem.measure(ctx, at); err != nil {
			return nil, err
		}
	}
	r.Words = []string{fmt.Sprintf("Classes coincide up to %.6g samples (N^2 lambda_W lambda_H), whatever the others have.", s.collapseCount(dec))}
	return r, nil
}

func ceDecayImbalancedGroups(ctx context.Context, p *params, o Options) (*Report, error) {
	counts, d := p.classCounts("counts"), p.count("d")
	pairs := pairs(p, "decays", p.toPositive)
	if err := p.done(); err != nil {
		return nil, err
	}
	narrow := d < len(counts)-1
	if narrow && !o.Numeric {
		return nil, tooNarrow(len(counts), d)
	}
	if o.Method == methodNone {
		return &Report{NotSolved: notRequested}, nil
	}
	s := bySize(counts)
	var rows []Fields
	all := Fields{{"status", "converged"}, {"seeds", 0}, {"seeds_at_best", nil}, {"iterations", 0}, {"gradient_norm", 0.0}} // of the hardest row
	for _, pair := range pairs {
		row := Fields{{"lambda_W", pair[0]}, {"lambda_H", pair[1]}}
		slopes := Fields{}
		for _, rule := range []struct {
			suffix string
			bias   Bias
		}{{"", NoBias}, {"_free_bias", FreeBias}} {
			dec := decays{W: pair[0], H: pair[1], Bias: rule.bias}
			var found Fields
			var err error
			if narrow {
				found, err = searchWhole(ctx, decayed(counts, d, dec), o)
			} else {
				found, err = s.search(ctx, dec, o)
			}
			if err != nil {
				return nil, err
			}
			get := func(name string) any { v, _ := found.Get(name); return v }
			row.Add("value"+rule.suffix, get("value"))
			slopes.Add("seeds_at_best"+rule.suffix, get("seeds_at_best"))
			slopes.Add("spectral_norm"+rule.suffix, get("spectral_norm"))
			if all[0].Value == "converged" {
				all[0].Value = get("status")
			}
			all[1].Value = get("seeds")
			if reached := found.Number("seeds_at_best"); !(reached >= all.Number("seeds_at_best")) {
				all[2].Value = get("seeds_at_best")
			}
			all[3].Value = int(max(all.Number("iterations"), found.Number("iterations")))
			all[4].Value = max(all.Number("gradient_norm"), found.Number("gradient_norm"))
		}
		row.Add("collapsed_groups", nil)
		if !narrow {
			dec := decays{W: pair[0], H: pair[1]}
			row[len(row)-1].Value = s.together(counts, dec)
			row.Add("collapse_count", s.collapseCount(dec))
		}
		rows = append(rows, append(row, slopes...))
	}
	return &Report{Solved: append(all, Field{"rows", rows})}, nil
}

// search finds the optimum in the coordinates of the sizes.
func (s *sizes) search(ctx context.Context, d decays, o Options) (Fields, error) {
	found, err := (&groupProblem{groups: s.groups, mu: math.Sqrt(d.W * d.H), bias: d.Bias, decay: d.B}).search(ctx, o, 0)
	if err != nil {
		return nil, err
	}
	slope, err := found.slope()
	return found.fields().with(Field{"spectral_norm", slope}), err
}

// searchWhole finds it where the sizes do not suffice.
func searchWhole(ctx context.Context, p Problem, o Options) (Fields, error) {
	found, why, err := search(ctx, p, o)
	if err != nil || found == nil {
		return Fields{{"status", why}}, err
	}
	return found.fields(), nil
}

// together tells for every run of equal counts whether its classes coincide; nil where there is only one class of that size.
func (s *sizes) together(counts []int, d decays) []any {
	var out []any
	for i, n := range counts {
		switch {
		case i > 0 && n == counts[i-1]:
		case s.groups[s.of[i]].classes == 1:
			out = append(out, nil)
		default:
			out = append(out, s.coincide(n, d))
		}
	}
	return out
}

func ceDecayImbalancedZero(_ context.Context, p *params, _ Options) (*Report, error) {
	counts := p.classCounts("counts")
	if err := p.done(); err != nil {
		return nil, err
	}
	s := bySize(counts)
	// The gradient at zero: probabilities 1/K without a bias; with a free one, the shares of the samples.
	zero := groupOptimum{groups: s.groups, within: make([]float64, len(s.groups)), between: make([]float64, len(s.groups)*len(s.groups))}
	plain, err := zero.slope()
	if err != nil {
		return nil, err
	}
	entropy := 0.0
	for g, n := range s.counts {
		share := float64(n) / s.n
		entropy -= float64(s.groups[g].classes) * share * math.Log(share)
		zero.bias = append(zero.bias, math.Log(share))
	}
	free, err := zero.slope()
	if err != nil {
		return nil, err
	}
	r := &Report{NotSolved: "nothing_to_solve"}
	r.ClosedForm = Fields{
		{"threshold_sqrt_lWlH_no_bias", plain}, {"threshold_sqrt_lWlH_free_bias", free},
		{"value_zero_no_bias", math.Log(float64(len(counts)))}, {"value_zero_free_bias", entropy},
		{"theorem", "spectral test at zero (Zhu et al. 2021, Lemma C.4)"}, {"proved", true}}
	r.Words = []string{fmt.Sprintf("Everything is zero from sqrt(lambda_W lambda_H) = %.6g on without a bias, from %.6g on with a free one.", plain, free)}
	return r, nil
}
