package ufm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/optimize"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/internal/suggest"
)

// SolveOptions say how to search. The zero value is the documented default.
type SolveOptions struct {
	Seeds int    // random starts; default 5
	Seed  uint64 // number of the first

	// Method is "auto" (L-BFGS, then Newton steps in a trust region; the default), "lbfgs", "trust-region", "descent" (gradient
	// descent with momentum) or "spheres" (Riemannian conjugate gradients, where every norm is fixed).
	Method string

	Gradient   float64 // norm of the gradient that counts as zero; default 1e-10
	Iterations int     // of every start; default 20,000
	Rate       float64 // descent: step in gradients; 0 finds it
	Momentum   float64 // descent: in [0, 1)

	// AllSamples searches features of all samples also where class means are known to be enough.
	AllSamples bool
}

// Methods lists those of SolveOptions.
func Methods() []string { return []string{"auto", "lbfgs", "trust-region", "descent", "spheres"} }

// Solution is the best point that was found.
type Solution struct {
	Problem Problem
	Point
	Value        float64 // loss and decays
	GradientNorm float64 // in the variables of the search
	Status       string  // why the best start ended; "converged" or a reason, see Start
	Method       string
	Starts       []Start // in the order of the seeds
	Best         int     // index of the best start
	// ClassMeans tells that H has one row for each class (each set of labels), which stands for all of its samples. At an
	// optimum they are equal: the loss is convex in the logits, and the mean of the features of a class costs no more than they
	// do (Jensen's inequality). It keeps memory independent of the number of samples.
	ClassMeans bool
}

// Start is the end of one search.
type Start struct {
	Seed         uint64
	Value        float64
	GradientNorm float64
	// Status is "converged", "stalled" (no step lowers the value to its last digit), "out_of_iterations", "unbounded",
	// "interrupted" or "not_finite".
	Status     string
	Iterations int
}

// Reached counts the starts that end at the best value, to 1e-8.
func (s *Solution) Reached() int {
	n := 0
	for _, start := range s.Starts {
		if start.Value <= s.Value+1e-8*max(1, math.Abs(s.Value)) {
			n++
		}
	}
	return n
}

// allSamples is the number of variables up to which features of all samples are searched.
const allSamples = 20_000

// Solve searches the minimum of a problem from several random starts. An error says what keeps the problem from having a
// minimum, or is the context's; a search that does not converge is no error, see Solution.Status.
func (p Problem) Solve(ctx context.Context, o SolveOptions) (*Solution, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := p.bounded(); err != nil {
		return nil, err
	}
	if o.Seeds <= 0 {
		o.Seeds = 5
	}
	if o.Method == "" {
		o.Method = "auto"
	}
	if methods := Methods(); !slices.Contains(methods, o.Method) {
		return nil, fmt.Errorf("method: %q, wanted %s%s", o.Method, alternatives(methods), suggest.Hint(o.Method, methods))
	}
	if !(o.Momentum >= 0 && o.Momentum < 1) || !(o.Rate >= 0) || !(o.Gradient >= 0) || o.Iterations < 0 {
		return nil, fmt.Errorf("momentum %v, rate %v, gradient %v, iterations %d: wanted at least 0, and momentum below 1", o.Momentum, o.Rate, o.Gradient, o.Iterations)
	}
	large := p.samples()*float64(p.Dim) > allSamples || len(p.Loss.TagSets) > 0
	collapsed := !o.AllSamples && p.collapses() && large
	first, err := newObjective(p, collapsed)
	if err != nil {
		return nil, err
	}
	results := make([]optimize.Result, o.Seeds)
	search := func(f *objective, i int) {
		results[i] = f.minimise(ctx, o, f.start(o.Seed+uint64(i)))
	}
	if first.n <= allSamples { // small: the starts at the same time
		parallel.For(o.Seeds, func(_, i int) {
			f, _ := newObjective(p, collapsed)
			search(f, i)
		})
	} else {
		for i := range results {
			search(first, i)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Solution{Problem: p, Method: o.Method, ClassMeans: collapsed}
	for i, r := range results {
		s.Starts = append(s.Starts, Start{o.Seed + uint64(i), r.Value, r.GradientNorm, string(r.Status), r.Iterations})
		if better(r, results[s.Best]) {
			s.Best = i
		}
	}
	best := results[s.Best]
	s.Point = first.pointOfRows(best.X)
	s.Value, s.GradientNorm, s.Status = best.Value, best.GradientNorm, string(best.Status)
	return s, nil
}

// better compares ends: the lower value, where it differs by more than rounding, then the smaller gradient.
func better(a, b optimize.Result) bool {
	if math.IsNaN(b.Value) {
		return true
	}
	if blur := 1e-13 * (1 + math.Abs(b.Value)); math.Abs(a.Value-b.Value) > blur {
		return a.Value < b.Value
	}
	return a.GradientNorm < b.GradientNorm
}

// minimise searches from one start.
func (o *objective) minimise(ctx context.Context, s SolveOptions, x []float64) optimize.Result {
	set := optimize.Settings{Gradient: s.Gradient, Iterations: s.Iterations, Rate: s.Rate, Momentum: s.Momentum}
	if set.Iterations == 0 {
		set.Iterations = 20_000
	}
	if set.Gradient == 0 {
		set.Gradient = 1e-10
	}
	switch s.Method {
	case "lbfgs":
		return optimize.LBFGS(ctx, o.problem(), x, set)
	case "trust-region":
		return optimize.TrustRegion(ctx, o.problem(), x, set)
	case "descent":
		return optimize.Descent(ctx, o.problem(), x, set)
	case "spheres":
		return optimize.Spheres(ctx, o.problem(), x, o.spheres(), set)
	}
	// Products with the Hessian pay near the end only, where few steps are left, or where L-BFGS is slow: near a threshold, for
	// example, where the Hessian is nearly singular.
	rough := set
	rough.Gradient = max(set.Gradient, 1e-8)
	rough.Iterations = min(set.Iterations, 1000)
	rough.Memory = 10
	first := optimize.LBFGS(ctx, o.problem(), x, rough)
	if first.Status == optimize.Unbounded || first.Status == optimize.NotFinite || first.Status == optimize.Interrupted || first.GradientNorm <= set.Gradient {
		return first
	}
	last := set
	last.Iterations = 200
	r := optimize.TrustRegion(ctx, o.problem(), first.X, last)
	if r.Status != optimize.Converged { // ill-conditioned, or with a kink: what is left goes slowly
		set.Iterations = max(1, set.Iterations-first.Iterations)
		again := optimize.LBFGS(ctx, o.problem(), r.X, set)
		again.Iterations += r.Iterations
		again.Evaluations += r.Evaluations
		again.Products = r.Products
		r = again
	}
	r.Iterations += first.Iterations
	r.Evaluations += first.Evaluations
	return r
}

// spheres lists the ends of the pieces of the variables that have a norm of their own: rows that are scaled to a sphere.
func (o *objective) spheres() []int {
	var ends []int
	for _, f := range o.factors() {
		if f.held.kind != SphereKind {
			continue
		}
		for i := range f.rows {
			ends = append(ends, f.at+(i+1)*f.cols)
		}
	}
	return ends
}

// collapses tells whether equal features within a class are known to be optimal: the loss is convex in the logits, these are
// linear in the features, and so is nothing that holds them stricter for the mean than for what it is the mean of.
func (p *Problem) collapses() bool {
	switch p.Loss.Kind {
	case CrossEntropy, SquaredError, PickAllLabel, DotRegression:
	default:
		return false
	}
	for _, l := range p.Layers {
		if l.ReLU {
			return false
		}
	}
	return p.H.Kind != SphereKind
}

// bounded returns why a problem has no minimum.
func (p *Problem) bounded() error {
	held := map[bool]int{}
	count := func(r Regulariser) { held[r.Kind != Unregularised && r.Size > 0]++ }
	if p.Loss.Kind != SupervisedContrastive && p.Classifier == Free {
		count(p.W)
	}
	for _, l := range p.Layers {
		count(Decay(l.Decay))
	}
	count(p.H)
	grows := p.Loss.Kind == CrossEntropy && p.Loss.Smoothing == 0 || p.Loss.Kind == Focal || p.Loss.Kind == PickAllLabel || p.Loss.Kind == SupervisedContrastive
	switch {
	case held[false] == 0:
		return nil
	case held[true] == 0 && !grows:
		return nil
	case held[true] == 0:
		return fmt.Errorf("no minimum: the loss falls as long as the logits grow, and nothing holds them; wants decays, or bounds of the norms")
	default:
		return fmt.Errorf("no minimum: one of the factors costs nothing, so that the others can shrink for ever; wants all of them held, or none")
	}
}

// searchable is the number of variables that are searched without being asked to.
const searchable = 400_000

// search solves a problem for a report. Where it does not, why says so.
func search(ctx context.Context, p Problem, o Options) (found *Solution, why string, err error) {
	if o.Method == methodNone {
		return nil, "not_requested", nil
	}
	rows := p.kinds()
	if !p.collapses() {
		rows = p.samples()
	}
	if (rows+float64(p.classes()))*float64(p.Dim) > searchable && !o.Numeric {
		return nil, "not_requested", nil
	}
	s := SolveOptions{Seeds: o.Seeds, Seed: o.Seed, Method: o.Method}
	found, err = p.Solve(ctx, s)
	return found, "", err
}

// searchInto searches the minimum of a problem and adds what it finds to the report, with the certificate and the metrics of
// collapse at that point.
func (r *Report) searchInto(ctx context.Context, p Problem, o Options) error {
	r.Model = &p
	found, why, err := search(ctx, p, o)
	if err != nil {
		return err
	}
	if r.NotSolved = why; found == nil {
		return nil
	}
	r.Solved = append(found.fields(), found.describe()...)
	c, err := p.Certify(found.Point)
	if err != nil {
		return err
	}
	r.Certificate = c.fields()
	r.Words = append(r.Words, c.Words)
	if r.Metrics, err = p.measure(ctx, found.Point); err != nil || !o.ExplainSaddle {
		return err
	}
	return r.explainZero(ctx, p)
}

// fields are those that every solution has.
func (s *Solution) fields() Fields {
	best := s.Starts[s.Best]
	status := s.Status
	if status != string(optimize.Converged) {
		status = "not converged: " + status
	}
	f := Fields{
		{"value", s.Value}, {"status", status}, {"method", s.Method}, {"iterations", best.Iterations}, {"gradient_norm", s.GradientNorm},
		{"seeds", len(s.Starts)}, {"seeds_at_best", s.Reached()}, {"seed_best", best.Seed}, {"class_means", s.ClassMeans},
	}
	worst := s.Value
	for _, start := range s.Starts {
		worst = max(worst, start.Value)
	}
	if s.Reached() < len(s.Starts) {
		f.Add("value_worst_seed", worst)
	}
	return f
}

// describe returns what a solution looks like: norms and logits. What a problem has not is left out.
func (s *Solution) describe() Fields {
	p := &s.Problem
	rows := p.rows(s.ClassMeans)
	h2 := 0.0
	for i, r := range rows {
		h2 += r.times * kernel.SumSquares64(s.H[i*p.Dim:(i+1)*p.Dim])
	}
	if s.W == nil {
		return Fields{{"H_fro2", h2}}
	}
	f := Fields{{"W_fro2", kernel.SumSquares64(s.W)}, {"H_fro2", h2}}
	if p.Loss.Kind == PickAllLabel {
		return f
	}
	k := len(p.Counts)
	last, width := p.LastFeatures(s.Point)
	means, h := make([]float64, k*width), 0.0
	for i, r := range rows {
		row := last[i*width : (i+1)*width]
		h += r.times * kernel.SumSquares64(row)
		kernel.Axpy64(means[r.class*width:(r.class+1)*width], r.times/float64(p.Counts[r.class]), row)
	}
	scale := p.Scale
	if scale == 0 {
		scale = 1
	}
	z := make([]float64, k*k) // row c: logits of the mean of class c
	product(&node{rows: k, cols: k}, means, s.W, z, scale, 0)
	if s.B != nil {
		addRows(z, s.B)
	}
	own, other, least := 0.0, 0.0, math.Inf(1)
	for c := range k {
		for j := range k {
			v := z[c*k+j]
			if j == c {
				own += v / float64(k)
				continue
			}
			other += v / float64(k*(k-1))
			least = min(least, z[c*k+c]-v)
		}
	}
	return append(f, Fields{{"gap", own - other}, {"gap_least", least}, {"own_logit", own}, {"other_logit", other},
		{"w_row_norm", math.Sqrt(kernel.SumSquares64(s.W) / float64(k))}, {"h_row_norm", math.Sqrt(h / p.samples())}}...)
}
