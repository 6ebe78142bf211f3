package ufm

import (
	"context"
	"iter"

	"github.com/collapsar/collapsar/internal/optimize"
)

// Step is a point on the way down.
type Step struct {
	Iteration    int
	Point        Point
	Value        float64
	GradientNorm float64
	Last         bool
	Status       string // of the last one, see Start
}

// Descend yields the way of one search, from the random start of o.Seed on: its first points, then ever fewer, about fifteen
// for every factor of ten in the number of iterations, and the last. The method is that of o, by default "descent" with
// momentum 0.9 and a rate that it finds. Features are those of all samples. Leaving the loop ends the search. The error
// is that of Solve.
func (p Problem) Descend(ctx context.Context, o SolveOptions) (iter.Seq[Step], error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := p.bounded(); err != nil {
		return nil, err
	}
	f, err := newObjective(p, false)
	if err != nil {
		return nil, err
	}
	set := optimize.Settings{Gradient: o.Gradient, Iterations: o.Iterations, Rate: o.Rate, Momentum: o.Momentum}
	if o.Method == "" || o.Method == "auto" {
		o.Method = "descent"
	}
	if o.Method == "descent" && o.Momentum == 0 {
		set.Momentum = 0.9
	}
	return func(yield func(Step) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		next, shown, on := 0, -1, true
		show := func(s Step) {
			if on = on && yield(s); !on {
				stop()
			}
			shown = s.Iteration
		}
		// The objective holds the values of the point while its gradient is wanted, so points are taken by another one.
		at, _ := newObjective(p, false)
		set.Step = func(i int, x []float64, value, gradient float64) {
			if i >= next && on {
				next = max(i+1, i*7/6)
				show(Step{Iteration: i, Point: at.point(x), Value: value, GradientNorm: gradient})
			}
		}
		var r optimize.Result
		x := f.start(o.Seed)
		switch o.Method {
		case "lbfgs":
			r = optimize.LBFGS(ctx, f.problem(), x, set)
		case "trust-region":
			r = optimize.TrustRegion(ctx, f.problem(), x, set)
		case "spheres":
			r = optimize.Spheres(ctx, f.problem(), x, f.spheres(), set)
		default:
			r = optimize.Descent(ctx, f.problem(), x, set)
		}
		if on && (shown != r.Iterations || r.Status != "") {
			show(Step{Iteration: r.Iterations, Point: at.point(r.X), Value: r.Value, GradientNorm: r.GradientNorm, Last: true, Status: string(r.Status)})
		}
	}, nil
}
