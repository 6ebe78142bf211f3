package ufm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/optimize/testproblems"
)

// combinations calls f for every combination of choices that is a problem, in small sizes.
func combinations(f func(name string, p Problem, collapsed bool)) {
	losses := []Loss{
		{Kind: CrossEntropy}, {Kind: CrossEntropy, Smoothing: 0.2}, {Kind: SquaredError, Sum: true}, {Kind: Focal, Focus: 2},
		{Kind: Focal, Focus: 0.5}, {Kind: PickAllLabel, Classes: 4, Sets: map[int]int{1: 2, 2: 1}},
		{Kind: PickAllLabel, Classes: 4, Sets: map[int]int{1: 1, 3: 2}, Average: true}, {Kind: DotRegression, Target: 1.5},
	}
	layers := [][]Layer{nil, {{Width: 4, Decay: 0.03}}, {{Width: 5, Decay: 0.02, ReLU: true}, {Width: 3, Decay: 0.01}}}
	held := []Regulariser{{}, Decay(0.1), Energy(1.3), Ball(2), Sphere(0.7)}
	for _, loss := range losses {
		for li, l := range layers {
			for _, w := range held {
				for _, h := range held {
					for _, bias := range []Bias{NoBias, FreeBias, DecayedBias} {
						for _, classifier := range []Polytope{Free, Simplex} {
							for _, nonNegative := range []bool{false, true} {
								for _, collapsed := range []bool{false, true} {
									p := Problem{Loss: loss, Counts: []int{3, 1, 2, 1}, Dim: 4, W: w, H: h, Layers: l,
										Bias: bias, NonNegative: nonNegative, Classifier: classifier}
									if bias == DecayedBias {
										p.B, p.Scale = 0.3, 2.5
									}
									if classifier != Free && w.Kind != SphereKind {
										continue
									}
									if loss.Kind == PickAllLabel {
										p.Counts = nil
									}
									name := fmt.Sprintf("%+v, layers %d, W %v, H %v, bias %s, classifier %q, nonneg %v, collapsed %v", loss, li, w, h, bias, classifier, nonNegative, collapsed)
									f(name, p, collapsed)
								}
							}
						}
					}
				}
			}
		}
	}
}

// TestDerivatives compares gradient and Hessian-vector product of every combination of choices with differences, at
// a random point along a random direction.
func TestDerivatives(t *testing.T) {
	seed, count := uint64(0), 0
	combinations(func(name string, p Problem, collapsed bool) {
		seed++
		o, err := newObjective(p, collapsed)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		count++
		lot := rand.New(rand.NewPCG(seed, 7))
		x, v := make([]float64, o.n), make([]float64, o.n)
		for again := true; again; again = rough(o, x, v) {
			copy(x, o.start(lot.Uint64()))
			for i := range v {
				v[i] = lot.NormFloat64()
			}
		}
		if err := testproblems.Check(o.value, o.product, x, v, 1e-6); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	t.Logf("%d combinations", count)
}

// rough tells whether a ReLU turns on or off on the way along which derivatives are compared, or a row that is
// divided by its norm is short.
func rough(o *objective, x, v []float64) bool {
	for _, f := range o.factors() {
		for i := range f.rows {
			if f.held.kind == SphereKind && length(f.held.free(x[f.at+i*f.cols:f.at+(i+1)*f.cols])) < 0.1 {
				return true
			}
		}
	}
	var first []bool
	for t := -2.0; t <= 2; t++ {
		y := slices.Clone(x)
		for i := range y {
			y[i] += t * 1.01e-3 * (1 + length(x)) / length(v) * v[i]
		}
		o.forward(y)
		var on []bool
		for l, layer := range o.p.Layers {
			if layer.ReLU {
				for _, a := range o.acts[l+1].v {
					on = append(on, a > 0)
				}
			}
		}
		if first == nil {
			first = on
		}
		if !slices.Equal(first, on) {
			return true
		}
	}
	return false
}

func length(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return math.Sqrt(s)
}

// TestCollapsedValue: with equal rows in every class, the objective of class means is that of all samples.
func TestCollapsedValue(t *testing.T) {
	combinations(func(name string, p Problem, collapsed bool) {
		if collapsed {
			return
		}
		small, err := newObjective(p, true)
		if err != nil {
			t.Fatal(err)
		}
		large, err := newObjective(p, false)
		if err != nil {
			t.Fatal(err)
		}
		x := small.start(5)
		want := small.value(x, make([]float64, small.n))
		at := small.point(x)
		large.value(large.start(1), make([]float64, large.n))
		got := large.valueAt(at)
		if math.Abs(got-want) > 1e-12*(1+math.Abs(want)) {
			t.Errorf("%s: %v of class means, %v of samples", name, want, got)
		}
	})
}
