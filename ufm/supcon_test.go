package ufm

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/optimize/testproblems"
)

// The derivatives, with batches in which a sample appears twice and anchors that are alone in their class.
func TestSupconDerivatives(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, self := range []bool{false, true} {
		for _, batches := range [][][]int{nil, {{0, 1, 4, 5, 6}, {2, 3, 0}, {6, 2, 4, 1}}} {
			p := Problem{Counts: []int{3, 2, 2}, Dim: 3, Loss: Loss{Kind: SupervisedContrastive,
				Contrast: Contrast{Temperature: 0.7, SelfIncluded: self, Batches: batches}}}
			l, err := newSupcon(p)
			if err != nil {
				t.Fatal(err)
			}
			x, v := make([]float64, 21), make([]float64, 21)
			for i := range x {
				x[i], v[i] = r.NormFloat64(), r.NormFloat64()
			}
			value := func(x, g []float64) float64 { return l.eval(x, nil, g, nil) }
			product := func(x, v, hv []float64) { l.eval(x, v, make([]float64, len(x)), hv) }
			if err := testproblems.Check(value, product, x, v, 1e-6); err != nil {
				t.Errorf("self %v, batches %v: %v", self, batches, err)
			}
		}
	}
}

// The loss by its definition, term by term.
func TestSupconLoss(t *testing.T) {
	labels := []int{0, 0, 0, 1, 1, 2}
	z := []float64{1, 2, -1, 0.5, 0, 1, 2, 2, -0.5, 1, 1, -1}
	s := func(i, j int) float64 { return (z[2*i]*z[2*j] + z[2*i+1]*z[2*j+1]) / 0.8 }
	want := 0.0
	for i := range labels {
		all, own, positives := 0.0, 0.0, 0.0
		for j := range labels {
			if j == i {
				continue
			}
			all += math.Exp(s(i, j))
			if labels[i] == labels[j] {
				own += s(i, j)
				positives++
			}
		}
		if positives > 0 {
			want += (math.Log(all) - own/positives) / 6
		}
	}
	l, err := newSupcon(Problem{Counts: []int{3, 2, 1}, Dim: 2, Loss: Loss{Contrast: Contrast{Temperature: 0.8}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.eval(z, nil, make([]float64, 12), nil); math.Abs(got-want) > 1e-14 {
		t.Errorf("%.15g, want %.15g", got, want)
	}
}

// The closed form is the loss at the collapsed simplex, whatever the batches: by counting there, by listing here.
func TestSupconClosedForm(t *testing.T) {
	const k, n, tau, radius = 4, 4, 0.9, 1.3
	corners, err := FixedClassifier(Simplex, k, k-1, radius*radius)
	if err != nil {
		t.Fatal(err)
	}
	var z []float64
	for class := range k {
		z = append(z, slices.Repeat(corners[class*(k-1):(class+1)*(k-1)], n)...)
	}
	for _, self := range []bool{false, true} {
		for _, batches := range []map[string]any{
			{"kind": "full"},
			{"kind": "all_subsets", "size": 2}, {"kind": "all_subsets", "size": 3}, {"kind": "all_subsets", "size": 14}, {"kind": "all_subsets", "size": 16},
			{"kind": "fixed_disjoint", "size": 8, "per_class": 2}, {"kind": "fixed_disjoint", "size": 4, "per_class": 1},
		} {
			values := map[string]any{"K": k, "n": n, "d": 3, "tau": tau, "radius": radius, "constraint": "sphere", "self_included": self, "batches": batches}
			report, err := Answer(context.Background(), Spec{"supcon", values}, Options{Method: methodNone})
			if err != nil {
				t.Fatal(err)
			}
			p := &params{values: map[string]any{"batches": batches}}
			l, err := newSupcon(Problem{Counts: slices.Repeat([]int{n}, k), Dim: k - 1,
				Loss: Loss{Contrast: Contrast{Temperature: tau, SelfIncluded: self, Batches: p.batching(k, n).list()}}})
			if err != nil {
				t.Fatal(err)
			}
			want := l.eval(z, nil, make([]float64, len(z)), nil)
			if got := report.ClosedForm.Number("value"); math.Abs(got-want) > 1e-12 {
				t.Errorf("self %v, %v: %.15g, want %.15g", self, batches, got, want)
			}
		}
	}
}
