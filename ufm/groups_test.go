package ufm

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomGroup has sizes, weights, scales and offsets over several orders of magnitude.
func randomGroup(r *rand.Rand) classGroup {
	return classGroup{classes: 1 + r.IntN(8), weight: math.Exp(4 * r.NormFloat64()), scale: math.Exp(r.NormFloat64()), offset: r.NormFloat64()}
}

func normaliseWeights(groups []classGroup) {
	total := 0.0
	for _, g := range groups {
		total += float64(g.classes) * g.weight
	}
	for i := range groups {
		groups[i].weight /= total
	}
}

// At an optimum the duality gap is zero; nothing in it is shared with how the optimum was found.
func TestTwoGroupsAreOptimal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	zero, apart, together := 0, 0, 0
	for range 2000 {
		groups := []classGroup{randomGroup(r), randomGroup(r)}
		normaliseWeights(groups)
		mu := math.Exp(-8 * r.Float64())
		o := twoGroups(groups[0], groups[1], mu)
		bound, err := o.lowerBound()
		if err != nil {
			t.Fatal(err)
		}
		value := o.loss + mu*o.nuclear
		if gap := value - bound; !(math.Abs(gap) <= 1e-11*max(1, value)) {
			t.Fatalf("%+v: gap %.3g", o, gap)
		}
		switch {
		case o.nuclear == 0:
			zero++
		case o.within[1] == 0 && groups[1].classes > 1:
			together++
		default:
			apart++
		}
		slope, _ := o.slope()
		if o.nuclear > 0 && math.Abs(slope/mu-1) > 1e-9 || slope > mu*(1+1e-9) {
			t.Fatalf("%+v: spectral norm %.15g, wanted mu %.15g", o, slope, mu)
		}
	}
	if min(zero, apart, together) < 50 {
		t.Errorf("%d zero, %d together, %d apart: the cases do not cover all", zero, together, apart)
	}
}

func TestTwoGroupsWithinAreOptimal(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		groups := []classGroup{randomGroup(r), randomGroup(r)}
		groups[0].scale, groups[1].scale = 1, 1
		normaliseWeights(groups)
		budget := math.Exp(5*r.Float64() - 1)
		o, err := twoGroupsWithin(groups[0], groups[1], budget)
		if err != nil {
			t.Fatal(err)
		}
		gap, err := o.gapWithin(budget)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(o.nuclear/budget-1) > 1e-9 || math.Abs(gap) > 1e-9 {
			t.Fatalf("%+v: norm %.12g of %.12g, gap %.3g", o, o.nuclear, budget, gap)
		}
	}
	if _, err := twoGroupsWithin(classGroup{2, 0.4, 1, 0}, classGroup{1, 0.2, 1, 0}, 1e6); err == nil {
		t.Error("a loss below the smallest number was taken")
	}
}

// Equal groups are one balanced problem, with its closed form (Zhu et al. 2021, Theorem 3.1).
func TestEqualGroupsAreBalanced(t *testing.T) {
	for _, lambda := range []float64{1e-6, 1e-3, 0.03, 0.2, 0.3} {
		const ka, kb, n = 2, 3, 4
		g := func(k int) classGroup { return classGroup{classes: k, weight: 1. / (ka + kb), scale: 2} }
		o := twoGroups(g(ka), g(kb), lambda)
		want := ceDecayValue(ka+kb, n, decays{W: lambda, H: lambda})
		if got := o.loss + lambda*o.nuclear; math.Abs(got-want) > 1e-13 {
			t.Errorf("lambda %g: %.15g, want %.15g", lambda, got, want)
		}
		if spread := slices.Max([]float64{o.within[0], o.within[1], o.gap(0, 1), o.gap(1, 0)}) - o.within[0]; math.Abs(spread) > 1e-12 {
			t.Errorf("lambda %g: gaps differ by %.3g", lambda, spread)
		}
	}
}

// Exchanging the groups exchanges the answer.
func TestGroupsExchange(t *testing.T) {
	a, b := classGroup{3, 0.3, 2, 0.5}, classGroup{2, 0.05, 1, -1}
	x, y := twoGroups(a, b, 0.01), twoGroups(b, a, 0.01)
	for i, want := range []float64{x.loss, x.nuclear, x.within[0], x.within[1], x.gap(0, 1), x.gap(1, 0)} {
		if got := []float64{y.loss, y.nuclear, y.within[1], y.within[0], y.gap(1, 0), y.gap(0, 1)}[i]; math.Abs(got-want) > 1e-12 {
			t.Errorf("%d: %.15g, want %.15g", i, got, want)
		}
	}
}

// The gradient against differences of the value, the product against differences of the gradient.
func TestGroupDerivatives(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for trial := range 20 {
		p := &groupProblem{mu: 0.05, bias: []Bias{NoBias, FreeBias, DecayedBias}[trial%3], decay: 0.1 * float64(trial%3/2)}
		for range 1 + r.IntN(4) {
			p.groups = append(p.groups, randomGroup(r))
		}
		normaliseWeights(p.groups)
		n := p.size()
		x, v, g, forward, back, hv := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], v[i] = r.NormFloat64(), r.NormFloat64()
		}
		p.value(x, g)
		p.product(x, v, hv)
		const h = 1e-5
		moved := func(s float64) []float64 {
			y := slices.Clone(x)
			for i := range y {
				y[i] += s * v[i]
			}
			return y
		}
		slope := (p.value(moved(h), forward) - p.value(moved(-h), back)) / (2 * h)
		along := 0.0
		for i := range g {
			along += g[i] * v[i]
		}
		if math.Abs(slope-along) > 1e-6*(1+math.Abs(along)) {
			t.Errorf("%d groups, bias %s: slope %.9g, differences %.9g", len(p.groups), p.bias, along, slope)
		}
		for i := range hv {
			if d := (forward[i] - back[i]) / (2 * h); math.Abs(d-hv[i]) > 1e-5*(1+math.Abs(d)) {
				t.Errorf("%d groups, bias %s: product[%d] %.9g, differences %.9g", len(p.groups), p.bias, i, hv[i], d)
			}
		}
	}
}

// The search, which knows nothing of the equations for two groups, finds the same; also with offsets, and where
// classes coincide or everything is zero.
func TestGroupSearchAgrees(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		a, b classGroup
		mu   float64
	}{
		{classGroup{5, 0.18, 1, 0}, classGroup{5, 0.02, 1, 0}, 0.01},
		{classGroup{5, 0.18, 1, 0}, classGroup{5, 0.02, 1, 0}, 0.03},
		{classGroup{3, 0.25, 2, -0.3}, classGroup{5, 0.05, 0.7, -2}, 0.02},
		{classGroup{1, 0.7, 3, 0}, classGroup{3, 0.1, 1, 0}, 0.05},
		{classGroup{2, 0.4, 1, 0}, classGroup{1, 0.2, 1, 0}, 0.5},
	} {
		want := twoGroups(c.a, c.b, c.mu)
		found, err := (&groupProblem{groups: want.groups, mu: c.mu, bias: NoBias}).search(ctx, Options{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		value := want.loss + c.mu*want.nuclear
		if math.Abs(found.objective-value) > 1e-10 || found.atBest != found.seeds {
			t.Errorf("%+v: %.12g from %d of %d seeds, want %.12g", c, found.objective, found.atBest, found.seeds, value)
		}
		if want.nuclear == 0 {
			continue
		}
		within, err := (&groupProblem{groups: want.groups, bias: NoBias}).search(ctx, Options{}, want.nuclear)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(within.objective-want.loss) > 1e-10 || math.Abs(within.mu-c.mu) > 1e-6 {
			t.Errorf("%+v: within the norm %.12g at multiplier %.9g, want %.12g at %.9g", c, within.objective, within.mu, want.loss, c.mu)
		}
	}
}

// Many groups of one class each, with and without a bias: the duality gap, and the search of the whole problem.
func TestManyGroups(t *testing.T) {
	ctx := context.Background()
	counts := []int{40, 31, 22, 22, 13, 9, 4, 3, 3, 1}
	for _, bias := range []Bias{NoBias, FreeBias, DecayedBias} {
		s := bySize(counts)
		d := decays{W: 2e-3, H: 5e-3, Bias: bias}
		if bias == DecayedBias {
			d.B = 0.01
		}
		found, err := (&groupProblem{groups: s.groups, mu: math.Sqrt(d.W * d.H), bias: bias, decay: d.B}).search(ctx, Options{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if bias == NoBias {
			bound, err := found.lowerBound()
			if err != nil {
				t.Fatal(err)
			}
			if gap := found.objective - bound; gap > 1e-10 {
				t.Errorf("gap %.3g", gap)
			}
		}
		whole, err := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: counts, Dim: len(counts), W: Decay(d.W), H: Decay(d.H), Bias: bias, B: d.B}.Solve(ctx, SolveOptions{Seeds: 1})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(whole.Value-found.objective) > 1e-9 {
			t.Errorf("bias %s: %.12g by groups, %.12g by class", bias, found.objective, whole.Value)
		}
		for g, n := range s.counts {
			if s.groups[g].classes > 1 && (math.Abs(found.within[g]) < 1e-9) != s.coincide(n, d) {
				t.Errorf("bias %s: classes of %d samples: gap %.3g, threshold %.3g", bias, n, found.within[g], s.collapseCount(d))
			}
		}
	}
}

// The layer-peeled model with three sizes: proved by its gap, the same as with two sizes where two of three are one, and as the
// whole problem.
func TestLayerPeeledGroups(t *testing.T) {
	ctx := context.Background()
	ask := func(counts ...any) Fields {
		r, err := Answer(ctx, Spec{"layer_peeled_groups", map[string]any{"counts": counts, "d": len(counts), "E_W": 1, "E_H": 3, "constraint": "energy", "bias": "none"}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if gap := r.Certificate.Number("gap"); !(math.Abs(gap) < 1e-9) {
			t.Errorf("%v: gap %g", counts, gap)
		}
		return r.Solved
	}
	two := ask(300, 300, 300, 10, 10)
	a, b := twoSizes(3, 2, 30)
	want, err := twoGroupsWithin(a, b, 5*math.Sqrt(3))
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(two.Number("value")-want.loss) > 1e-10 || math.Abs(two.Number("multiplier")-want.mu) > 1e-7 {
		t.Errorf("two sizes: %v, want %g at %g", two, want.loss, want.mu)
	}
	three := ask(300, 300, 40, 40, 2, 2, 2)
	whole, err := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: []int{300, 300, 40, 40, 2, 2, 2}, Dim: 7, W: Energy(1), H: Energy(3), Bias: NoBias}.Solve(ctx, SolveOptions{Seeds: 2})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(three.Number("value")-whole.Value) > 1e-8 {
		t.Errorf("three sizes: %.12g by groups, %.12g by class", three.Number("value"), whole.Value)
	}
	rows, _ := three.Get("rows")
	for i, together := range []bool{false, false, true} {
		row := rows.([]Fields)[i]
		if got, _ := row.Get("coincide"); got != together || (math.Abs(row.Number("gap_within")) < 1e-6) != together {
			t.Errorf("group %d: %v", i, row)
		}
	}
}

// W and H put together from the groups have the value of the closed form, no slope, and the norms and cosines that are reported.
func TestGroupPoint(t *testing.T) {
	counts := []int{9, 9, 9, 2, 2}
	s := bySize(counts)
	for _, d := range []decays{{W: 0.003, H: 0.008, Bias: NoBias}, {W: 0.06, H: 0.05, Bias: NoBias}} {
		kw := math.Sqrt(d.H / d.W)
		best := twoGroups(s.groups[0], s.groups[1], math.Sqrt(d.W*d.H))
		at, err := best.point(s.of, counts, 6, kw)
		if err != nil {
			t.Fatal(err)
		}
		o, err := newObjective(decayed(counts, 6, d), false)
		if err != nil {
			t.Fatal(err)
		}
		x, err := o.values(at)
		if err != nil {
			t.Fatal(err)
		}
		g := make([]float64, o.n)
		value := o.value(x, g)
		if want := best.loss + best.mu*best.nuclear; math.Abs(value-want) > 1e-13 || frobenius(g) > 1e-12 {
			t.Errorf("%+v: value %.15g, want %.15g; gradient %.3g", d, value, want, frobenius(g))
		}
		geo, err := best.geometry(kw, 1/kw, exact)
		if err != nil {
			t.Fatal(err)
		}
		row := func(k int) []float64 { return at.W[k*6 : (k+1)*6] }
		cosine := func(i, j int) float64 {
			dot := 0.0
			for k, v := range row(i) {
				dot += v * row(j)[k]
			}
			return dot / (frobenius(row(i)) * frobenius(row(j)))
		}
		for _, v := range [][2]float64{{frobenius(row(0)), geo.w[0]}, {frobenius(row(4)), geo.w[1]}, {frobenius(at.H[:6]), geo.h[0]}, {frobenius(at.H[30*6 : 31*6]), geo.h[1]},
			{cosine(0, 2), geo.cosine[0]}, {cosine(1, 4), geo.cosine[1]}, {cosine(3, 4), geo.cosine[3]}} {
			if math.Abs(v[0]-v[1]) > 1e-12 {
				t.Errorf("%+v: %.15g, reported %.15g", d, v[0], v[1])
			}
		}
	}
}

// Values of ../shared/reference/ufm.json (h09), by roots in 30 digits along another branch of the conditions.
func TestMinorityCollapse(t *testing.T) {
	for _, c := range []struct {
		ka, kb  int
		product float64
		r0, r1  float64
	}{
		{5, 5, 5, 12.192447080325936, math.NaN()},
		{5, 5, 1, 1.735415604259001, 2.7488811850777966},
		{3, 7, 20, 640073.6104979138, math.NaN()},
		{8, 2, 2, 1.5862853809874347, 1.7258235420629207},
		{7, 3, 10, 13.665857142514641, 26.24090173859041},
		{2, 2, 2, 7.6180128917598475, math.NaN()},
		{1, 2, 1, 13.466783, math.NaN()},
		{3, 1, 4, math.NaN(), math.NaN()},
	} {
		r0, r1 := minorityCollapse(c.ka, c.kb, c.product)
		for _, v := range [][2]float64{{r0, c.r0}, {r1, c.r1}} {
			tolerance := 1e-11
			if c.ka == 1 {
				tolerance = 1e-7 // known to seven digits only
			}
			if math.IsNaN(v[0]) != math.IsNaN(v[1]) || math.Abs(v[0]/v[1]-1) > tolerance {
				t.Errorf("%d and %d classes, product %g: %.15g, want %.15g", c.ka, c.kb, c.product, v[0], v[1])
			}
		}
	}
	if r0, _ := minorityCollapse(2, 2, 1e6); !math.IsInf(r0, 1) {
		t.Errorf("a threshold beyond all numbers: %g", r0)
	}
}

// The threshold by bisection of the test is that of the direct equation.
func TestThresholdSearch(t *testing.T) {
	r, err := Answer(context.Background(), Spec{"layer_peeled_threshold_search", map[string]any{"K_A": 3, "K_B": 7, "E_W": 2, "E_H": 2.5, "between": []any{2, 1e4}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Solved.Number("R0"), 245.49693059826; math.Abs(got/want-1) > 1e-9 || math.Abs(r.ClosedForm.Number("R0")/want-1) > 1e-9 {
		t.Errorf("%.12g and %.12g, want %.12g", got, r.ClosedForm.Number("R0"), want)
	}
}

// With a bias there is no formula for the gaps: the search of the sizes against that of all samples.
func TestImbalancedWithBias(t *testing.T) {
	ctx := context.Background()
	counts := []int{12, 12, 5, 5, 5}
	for _, d := range []decays{{W: 0.01, H: 0.004, Bias: FreeBias}, {W: 0.01, H: 0.004, Bias: DecayedBias, B: 0.05}} {
		params := map[string]any{"counts": counts, "d": 5, "lambda_W": d.W, "lambda_H": d.H, "bias": string(d.Bias)}
		if d.Bias == DecayedBias {
			params["lambda_b"] = d.B
		}
		r, err := Answer(ctx, Spec{"ce_decay_imbalanced", params}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := decayed(counts, 5, d).Solve(ctx, SolveOptions{Seeds: 1})
		if err != nil {
			t.Fatal(err)
		}
		if global, _ := r.Certificate.Get("global"); math.Abs(r.Solved.Number("value")-whole.Value) > 1e-10 || global != true {
			t.Errorf("bias %s: %v, whole %.12g, certificate %v", d.Bias, r.Solved, whole.Value, r.Certificate)
		}
		if _, there := r.ClosedForm.Get("value"); there || math.Abs(r.ClosedForm.Number("collapse_count")-0.06084) > 1e-12 {
			t.Errorf("bias %s: closed form %v", d.Bias, r.ClosedForm)
		}
		if nc1 := r.Metrics.Number("nc1"); !(nc1 < 1e-8) {
			t.Errorf("bias %s: nc1 %g", d.Bias, nc1)
		}
	}
}

// On either side of the thresholds: apart and identical, there and gone.
func TestAroundThresholds(t *testing.T) {
	const ka, kb, product = 8, 2, 2.0
	budget := (ka + kb) * math.Sqrt(product)
	r0, r1 := minorityCollapse(ka, kb, product)
	at := func(ratio float64) groupOptimum {
		a, b := twoSizes(ka, kb, ratio)
		o, err := twoGroupsWithin(a, b, budget)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := at(r0 * 0.9999); !(o.within[1] > 0) {
		t.Errorf("below R0: gap %g", o.within[1])
	}
	if o := at(r0 * 1.0001); o.within[1] != 0 || o.between[3] == 0 {
		t.Errorf("above R0: gap %g, mean logit %g", o.within[1], o.between[3])
	}
	if o := at(r1 * 0.9999); o.between[3] == 0 {
		t.Error("below R1: vanished")
	}
	if o := at(r1 * 1.0001); o.between[3] != 0 {
		t.Errorf("above R1: mean logit %g", o.between[3])
	}
}

func BenchmarkImbalanceSweep(b *testing.B) {
	ratios := make([]any, 41)
	for i := range ratios {
		ratios[i] = math.Pow(10, float64(i)/10)
	}
	spec := Spec{Problem: "layer_peeled_imbalanced", Params: map[string]any{"K_A": 5, "K_B": 5, "E_W": 1, "E_H": 5, "ratios": ratios, "constraint": "energy", "bias": "none"}}
	b.Run("closed", func(b *testing.B) { benchmarkAnswer(b, spec, Options{Method: methodNone}) })
	b.Run("closed_and_searched", func(b *testing.B) { benchmarkAnswer(b, spec, Options{}) })
}

func BenchmarkThousandClasses(b *testing.B) {
	spec := Spec{Problem: "layer_peeled_imbalanced", Params: map[string]any{"K_A": 500, "K_B": 500, "E_W": 1, "E_H": 5, "ratios": []any{100}, "constraint": "energy", "bias": "none"}}
	b.Run("closed", func(b *testing.B) { benchmarkAnswer(b, spec, Options{Method: methodNone}) })
	b.Run("closed_and_searched", func(b *testing.B) { benchmarkAnswer(b, spec, Options{}) })
}

// A hundred classes, no two of the same size.
func BenchmarkHundredSizes(b *testing.B) {
	counts := make([]any, 100)
	for i := range counts {
		counts[i] = 5 + i*i
	}
	benchmarkAnswer(b, Spec{Problem: "layer_peeled_groups", Params: map[string]any{"counts": counts, "d": 100, "E_W": 1, "E_H": 5, "constraint": "energy", "bias": "none"}}, Options{})
}

func benchmarkAnswer(b *testing.B, spec Spec, o Options) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Answer(context.Background(), spec, o); err != nil {
			b.Fatal(err)
		}
	}
}
