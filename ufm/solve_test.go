package ufm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var ctx = context.Background()

// known are problems with a closed form, and with a minimum that searches reach from anywhere.
func known() map[string]Problem {
	ce, mse := Loss{Kind: CrossEntropy}, Loss{Kind: SquaredError}
	four := []int{5, 5, 5, 5}
	return map[string]Problem{
		"cross-entropy":          {Loss: ce, Counts: four, Dim: 6, W: Decay(5e-3), H: Decay(1e-3)},
		"cross-entropy, K-1":     {Loss: ce, Counts: four, Dim: 3, W: Decay(5e-3), H: Decay(1e-3), Bias: FreeBias},
		"cross-entropy, decayed": {Loss: ce, Counts: four, Dim: 4, W: Decay(5e-3), H: Decay(1e-3), Bias: DecayedBias, B: 0.01},
		"label smoothing":        {Loss: Loss{Kind: CrossEntropy, Smoothing: 0.1}, Counts: four, Dim: 5, W: Decay(5e-3), H: Decay(2e-3)},
		"focal":                  {Loss: Loss{Kind: Focal, Focus: 2}, Counts: four, Dim: 5, W: Decay(5e-3), H: Decay(5e-3)},
		"squared, free bias":     {Loss: mse, Counts: four, Dim: 5, W: Decay(0.02), H: Decay(0.01), Bias: FreeBias},
		"energies":               {Loss: ce, Counts: four, Dim: 4, W: Energy(1), H: Energy(5)},
		"balls":                  {Loss: ce, Counts: four, Dim: 4, W: Ball(1), H: Ball(5), Bias: FreeBias},
		"spheres":                {Loss: ce, Counts: four, Dim: 4, W: Sphere(1), H: Sphere(2), Scale: 2},
		"fixed simplex":          {Loss: ce, Counts: four, Dim: 3, W: Sphere(1), Classifier: Simplex, H: Decay(0.01)},
		"fixed simplex, ball":    {Loss: ce, Counts: four, Dim: 3, W: Sphere(2), Classifier: Simplex, H: Ball(9)},
		"contrastive": {Loss: Loss{Kind: SupervisedContrastive, Contrast: Contrast{Temperature: 0.5}}, Counts: four, Dim: 4,
			H: Sphere(1)},
	}
}

// TestOptimumAndSolve: the closed form, found by way of Problem, is what the search finds from every seed; the point is collapsed
// by the metrics of the instrument; and where there is a certificate it proves it.
func TestOptimumAndSolve(t *testing.T) {
	for name, p := range known() {
		t.Run(name, func(t *testing.T) {
			best, err := p.Optimum()
			if err != nil {
				t.Fatal(err)
			}
			s, err := p.Solve(ctx, SolveOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if s.Status != "converged" || s.Reached() != 5 {
				t.Errorf("%s, %d of 5 starts at the best", s.Status, s.Reached())
			}
			for _, start := range s.Starts {
				if start.Value < best.Value-1e-12 {
					t.Errorf("seed %d ends at %.15g, below the optimum %.15g", start.Seed, start.Value, best.Value)
				}
			}
			if math.Abs(s.Value-best.Value) > 1e-10 {
				t.Errorf("search %.15g, theory %.15g (%s)", s.Value, best.Value, best.Theorem)
			}
			metrics, err := p.measure(ctx, s.Point)
			if err != nil {
				t.Fatal(err)
			}
			limits := map[string]float64{"nc1": 1e-8, "nc1_quotient": 1e-8, "cdnv_max": 1e-8, "nc2_equinorm": 1e-6, "nc2_etf": 1e-6, "ncc_error": 0}
			if s.W != nil {
				limits["nc2w_etf"], limits["nc3_distance"], limits["nc3_etf"], limits["nc4_disagreement"] = 1e-6, 1e-6, 1e-6, 0
			}
			for id, limit := range limits {
				if v := metrics.Number(id); !(v <= limit) {
					t.Errorf("%s is %.3g, wanted at most %g", id, v, limit)
				}
			}
			c, err := p.Certify(s.Point)
			if err != nil {
				t.Fatal(err)
			}
			if convex := p.Loss.Kind == CrossEntropy || p.Loss.Kind == SquaredError; c.Global != convex {
				t.Errorf("certificate: %+v", c)
			}
		})
	}
}

// TestLowerBound: no bound is above the optimum, at any point, for any convex loss, counts and bias.
func TestLowerBound(t *testing.T) {
	lot := rand.New(rand.NewPCG(3, 4))
	for name, p := range map[string]Problem{
		"cross-entropy":           {Loss: Loss{Kind: CrossEntropy}, Counts: []int{5, 3, 1}, Dim: 4, W: Decay(0.02), H: Decay(0.01)},
		"cross-entropy, decayed":  {Loss: Loss{Kind: CrossEntropy}, Counts: []int{5, 3, 1}, Dim: 4, W: Decay(0.02), H: Decay(0.01), Bias: DecayedBias, B: 0.05},
		"label smoothing, scaled": {Loss: Loss{Kind: CrossEntropy, Smoothing: 0.2}, Counts: []int{5, 3, 1}, Dim: 4, W: Decay(0.02), H: Decay(0.01)},
		"squared":                 {Loss: Loss{Kind: SquaredError}, Counts: []int{5, 3, 1}, Dim: 4, W: Decay(0.02), H: Decay(0.01)},
		"squared, decayed":        {Loss: Loss{Kind: SquaredError}, Counts: []int{5, 3, 1}, Dim: 4, W: Decay(0.02), H: Decay(0.01), Bias: DecayedBias, B: 0.3},
		"energies":                {Loss: Loss{Kind: CrossEntropy}, Counts: []int{5, 3, 1}, Dim: 4, W: Energy(1), H: Energy(2)},
		"energies, squared":       {Loss: Loss{Kind: SquaredError}, Counts: []int{5, 3, 1}, Dim: 4, W: Energy(0.2), H: Energy(0.3)},
		"balls, decayed":          {Loss: Loss{Kind: CrossEntropy}, Counts: []int{5, 3, 1}, Dim: 4, W: Ball(1), H: Ball(2), Bias: DecayedBias, B: 0.1},
		"spheres":                 {Loss: Loss{Kind: CrossEntropy}, Counts: []int{5, 3, 1}, Dim: 4, W: Sphere(1), H: Sphere(2), Scale: 1.5},
		"pick-all-label":          {Loss: Loss{Kind: PickAllLabel, Classes: 3, Sets: map[int]int{1: 2, 2: 1}}, Dim: 3, W: Decay(0.02), H: Decay(0.01)},
		"pick-all-label, average": {Loss: Loss{Kind: PickAllLabel, Classes: 3, Sets: map[int]int{1: 2, 2: 3}, Average: true}, Dim: 3, W: Decay(0.02), H: Decay(0.01)},
		"fixed, decay":            {Loss: Loss{Kind: CrossEntropy}, Counts: []int{5, 3, 1}, Dim: 3, W: Sphere(1), Classifier: Identity, H: Decay(0.02)},
		"fixed, ball":             {Loss: Loss{Kind: SquaredError}, Counts: []int{5, 3, 1}, Dim: 3, W: Sphere(1), Classifier: Identity, H: Ball(0.4)},
		"fixed, energy":           {Loss: Loss{Kind: CrossEntropy}, Counts: []int{5, 3, 1}, Dim: 2, W: Sphere(1), Classifier: Simplex, H: Energy(2)},
	} {
		s, err := p.Solve(ctx, SolveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Certify(s.Point)
		if err != nil {
			t.Fatal(err)
		}
		if tight := !strings.HasPrefix(name, "balls") && name != "spheres"; tight && !c.Global {
			t.Errorf("%s: gap %.3g at the optimum", name, c.Gap)
		}
		f, err := newObjective(p, false)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			x := f.start(lot.Uint64())
			for i := range x {
				x[i] *= 3 * lot.Float64()
			}
			c, err := p.Certify(f.point(x))
			if err != nil {
				t.Fatal(err)
			}
			if !(c.LowerBound <= s.Value+1e-9) {
				t.Fatalf("%s: lower bound %.12g above the optimum %.12g", name, c.LowerBound, s.Value)
			}
		}
	}
}

// TestMethods: every method ends at the same value.
func TestMethods(t *testing.T) {
	p := known()["cross-entropy, decayed"]
	ball := known()["spheres"]
	for _, method := range Methods() {
		q := p
		if method == "spheres" {
			q = ball
		}
		want, err := q.Optimum()
		if err != nil {
			t.Fatal(err)
		}
		s, err := q.Solve(ctx, SolveOptions{Method: method, Gradient: 1e-8, Iterations: 200_000, Momentum: 0.9})
		if err != nil {
			t.Fatal(err)
		}
		if s.Status != "converged" || math.Abs(s.Value-want.Value) > 1e-9 {
			t.Errorf("%s: %s, %.12g, wanted %.12g", method, s.Status, s.Value, want.Value)
		}
	}
	_, err := p.Solve(ctx, SolveOptions{Method: "lbfg"})
	if fmt.Sprint(err) != `method: "lbfg", wanted auto, lbfgs, trust-region, descent or spheres; did you mean lbfgs?` {
		t.Error(err)
	}
}

// TestClassMeans: features of all samples and of class means end at the same value, with unequal counts too.
func TestClassMeans(t *testing.T) {
	p := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: []int{3000, 200, 200, 10}, Dim: 6, W: Decay(2e-3), H: Decay(1e-4), Bias: FreeBias}
	small, err := p.Solve(ctx, SolveOptions{Seeds: 2})
	if err != nil {
		t.Fatal(err)
	}
	if !small.ClassMeans || len(small.H) != 4*6 {
		t.Fatalf("class means %v, %d numbers in H", small.ClassMeans, len(small.H))
	}
	large, err := p.Solve(ctx, SolveOptions{Seeds: 1, AllSamples: true})
	if err != nil {
		t.Fatal(err)
	}
	if large.ClassMeans || len(large.H) != 3410*6 || math.Abs(small.Value-large.Value) > 1e-10 {
		t.Errorf("%.14g of class means, %.14g of samples", small.Value, large.Value)
	}
	for _, name := range []string{"W_fro2", "H_fro2", "gap", "gap_least", "h_row_norm"} {
		a, b := small.describe().Number(name), large.describe().Number(name)
		if math.Abs(a-b) > 1e-5*max(1, math.Abs(b)) {
			t.Errorf("%s: %.10g of class means, %.10g of samples", name, a, b)
		}
	}
	c, err := p.Certify(small.Point)
	if err != nil || !c.Global {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestLaws: the value of a problem with decays depends on their product only; the loss summed over samples is N times the mean;
// a scale of the logits is one of the energies; counts in another order give the same value.
func TestLaws(t *testing.T) {
	value := func(p Problem) float64 {
		t.Helper()
		s, err := p.Solve(ctx, SolveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Value
	}
	p := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: []int{6, 3, 1}, Dim: 3, W: Decay(0.02), H: Decay(0.01)}
	want := value(p)
	same := func(what string, q Problem, want float64) {
		if got := value(q); math.Abs(got-want) > 1e-10 {
			t.Errorf("%s: %.14g, wanted %.14g", what, got, want)
		}
	}
	q := p
	q.W, q.H = Decay(0.001), Decay(0.2)
	same("decays of the same product", q, want)
	q = p
	q.Counts = []int{1, 6, 3}
	same("other order", q, want)
	q = p
	q.Dim = 7
	same("more dimensions", q, want)
	q = p
	q.Loss.Sum, q.W, q.H = true, Decay(0.2), Decay(0.1)
	same("sum over samples", q, 10*want)
	q.Loss.Sum, q.W, q.H, q.Scale = false, Energy(1), Energy(2), 3
	scaled := value(q)
	q.W, q.Scale = Energy(9), 0
	same("scale as energy", q, scaled)
}

// TestNotConverged: a search that is cut short says so, and gives its best point.
func TestNotConverged(t *testing.T) {
	p := known()["cross-entropy"]
	s, err := p.Solve(ctx, SolveOptions{Iterations: 3, Method: "lbfgs"})
	if err != nil {
		t.Fatal(err)
	}
	status, _ := s.fields().Get("status")
	if s.Status != "out_of_iterations" || status != "not converged: out_of_iterations" || !(s.Value < math.Log(4)) || !(s.GradientNorm > 1e-10) {
		t.Errorf("%s, %v, %g", s.Status, status, s.Value)
	}
	c, err := p.Certify(s.Point)
	if err != nil || c.Global || !(c.LowerBound <= 0.1) || !strings.HasPrefix(c.Words, "Not proved: the optimum may be lower by up to ") {
		t.Errorf("%+v, %v", c, err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := p.Solve(stopped, SolveOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestNoMinimum: what falls for ever is refused.
func TestNoMinimum(t *testing.T) {
	for _, p := range []Problem{
		{Loss: Loss{Kind: CrossEntropy}, Counts: []int{2, 2}, Dim: 2},
		{Loss: Loss{Kind: CrossEntropy}, Counts: []int{2, 2}, Dim: 2, W: Decay(0.1)},
		{Loss: Loss{Kind: SquaredError}, Counts: []int{2, 2}, Dim: 2, H: Decay(0.1)},
		{Loss: Loss{Kind: SquaredError}, Counts: []int{2, 2}, Dim: 2, W: Decay(0.1), H: Decay(0.1), Layers: []Layer{{Width: 3}}},
	} {
		if _, err := p.Solve(ctx, SolveOptions{}); err == nil || !strings.HasPrefix(err.Error(), "no minimum: ") {
			t.Errorf("%+v: %v", p, err)
		}
	}
	free := Problem{Loss: Loss{Kind: SquaredError}, Counts: []int{2, 2}, Dim: 2}
	if s, err := free.Solve(ctx, SolveOptions{}); err != nil || s.Value > 1e-15 {
		t.Errorf("squared error without decay: %v, %v", s, err)
	}
}

// TestSaddle: from zero, from merged pairs and from classes left out, the curvature is as the formula says, and the escape
// ends at the optimum.
func TestSaddle(t *testing.T) {
	for _, bias := range []Bias{NoBias, FreeBias, DecayedBias} {
		for _, kind := range []LossKind{CrossEntropy, SquaredError} {
			p := Problem{Loss: Loss{Kind: kind}, Counts: slices.Repeat([]int{3}, 5), Dim: 7, W: Decay(0.01), H: Decay(0.02), Bias: bias}
			if bias == DecayedBias {
				p.B = 0.1
			}
			r := &Report{}
			if err := r.explainZero(ctx, p); err != nil {
				t.Fatal(err)
			}
			want, err := p.Optimum()
			if err != nil {
				t.Fatal(err)
			}
			f := r.Saddle
			if off := f.Number("curvature_measured") - f.Number("negative_curvature"); !(math.Abs(off) < 1e-10) || !(f.Number("negative_curvature") < -0.01) {
				t.Errorf("%s, bias %s: curvature off by %g", kind, bias, off)
			}
			if !(f.Number("gradient_norm") < 1e-9) || !(math.Abs(f.Number("escape_value")-want.Value) < 1e-9) {
				t.Errorf("%s, bias %s: gradient %g, escape to %.12g, optimum %.12g", kind, bias, f.Number("gradient_norm"), f.Number("escape_value"), want.Value)
			}
		}
	}
	p := known()["cross-entropy"]
	s, err := p.Solve(ctx, SolveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Saddle(ctx, s.Point); err == nil || !strings.HasPrefix(err.Error(), "no saddle: ") {
		t.Errorf("a saddle at the optimum: %v", err)
	}
}

// TestDescend: the way begins at the start and goes down; leaving it ends the search.
func TestDescend(t *testing.T) {
	p := known()["cross-entropy"]
	for _, method := range []string{"", "lbfgs", "trust-region"} {
		way, err := p.Descend(ctx, SolveOptions{Method: method, Seed: 3, Iterations: 5000, Gradient: 1e-8})
		if err != nil {
			t.Fatal(err)
		}
		last, value, steps := -1, math.Inf(1), 0
		for s := range way {
			if s.Iteration < last || s.Value > value+1e-12 || s.Last != (s.Status != "") {
				t.Errorf("%s: step %d at %g after step %d at %g", method, s.Iteration, s.Value, last, value)
			}
			last, value = s.Iteration, s.Value
			steps++
			f, err := p.objectiveFor(s.Point)
			if err != nil || math.Abs(f.valueAt(s.Point)-s.Value) > 1e-12 {
				t.Errorf("%s: step %d: the point has another value", method, s.Iteration)
			}
		}
		want, _ := p.Optimum()
		if math.Abs(value-want.Value) > 1e-10 || steps < 10 || steps > 100 {
			t.Errorf("%s: ends at %.12g after %d points", method, value, steps)
		}
		for range way {
			break
		}
	}
}

// TestNoTheory: a combination without a theorem is solved all the same.
func TestNoTheory(t *testing.T) {
	p := Problem{Loss: Loss{Kind: Focal, Focus: 1}, Counts: []int{4, 2, 1}, Dim: 3, W: Energy(2), H: Decay(0.01), Bias: DecayedBias, B: 0.1}
	if _, err := p.Optimum(); !errors.Is(err, ErrNoTheory) {
		t.Error(err)
	}
	s, err := p.Solve(ctx, SolveOptions{})
	if err != nil || s.Status != "converged" {
		t.Errorf("%+v, %v", s, err)
	}
	low := known()["cross-entropy"]
	low.Dim = 1
	if _, err := low.Optimum(); !errors.Is(err, ErrNoTheory) || !strings.Contains(err.Error(), "d = K/2") {
		t.Error(err)
	}
}

// TestBadPoints: a point of another shape, or options out of range, are refused.
func TestBadPoints(t *testing.T) {
	p := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: []int{2, 3}, Dim: 2, W: Decay(0.1), H: Decay(0.1), Bias: FreeBias}
	for _, c := range []struct {
		at   Point
		want string
	}{
		{Point{W: make([]float64, 4), H: make([]float64, 9), B: make([]float64, 2)}, "H: 9 numbers, wanted 2 for each sample, or for each class"},
		{Point{W: make([]float64, 5), H: make([]float64, 4), B: make([]float64, 2)}, "W: 5 numbers, wanted 2 x 2"},
		{Point{W: make([]float64, 4), H: make([]float64, 10)}, "b: 0 numbers, wanted 2"},
		{Point{W: make([]float64, 4), H: make([]float64, 4), B: make([]float64, 2), Layers: [][]float64{nil}}, "layers: 1, wanted 0"},
	} {
		if _, err := p.Certify(c.at); fmt.Sprint(err) != c.want {
			t.Errorf("%v, wanted %s", err, c.want)
		}
	}
	for _, o := range []SolveOptions{{Momentum: 1}, {Momentum: -0.1}, {Rate: math.NaN()}, {Iterations: -1}} {
		if _, err := p.Solve(ctx, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	sets := Problem{Loss: Loss{Kind: PickAllLabel, Classes: 3, Sets: map[int]int{0: 1}}, Dim: 2, W: Decay(0.1), H: Decay(0.1)}
	if _, err := sets.Solve(ctx, SolveOptions{}); err == nil {
		t.Error("samples without labels: no error")
	}
	sets.Loss.Classes, sets.Loss.Sets = 60, map[int]int{30: 1}
	if _, err := sets.Solve(ctx, SolveOptions{}); err == nil {
		t.Error("10^17 sets of labels: no error")
	}
}
