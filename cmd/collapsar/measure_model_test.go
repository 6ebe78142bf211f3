package main

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
)

// The prediction for the counts of a data set: in closed form where they are equal within a multiplicity (the worked example of four tags),
// by search, with a certificate, where pairs have 20, 10, 5, 5, 2, 1 rows.
func TestModel(t *testing.T) {
	measure := func(pairs []int, loss string) *modelJSON {
		var tags [][]int
		for k := range 4 {
			for range 5 {
				tags = append(tags, []int{k})
			}
		}
		at := 0
		for i := range 4 {
			for j := i + 1; j < 4; j++ {
				for range pairs[at] {
					tags = append(tags, []int{i, j})
				}
				at++
			}
		}
		rng := rand.New(rand.NewPCG(1, 2))
		rows := make([]float64, 6*len(tags))
		for i := range rows {
			rows[i] = rng.NormFloat64()
		}
		set, err := features.FromTags(rows, 6, 4, tags, nil)
		if err != nil {
			t.Fatal(err)
		}
		report, err := collapse.Measure(context.Background(), set, collapse.Options{NoVerdict: true})
		if err != nil {
			t.Fatal(err)
		}
		m := modelFlags{5e-3, 2e-4, 0.01, loss}
		if err := m.predict(context.Background(), nil, []*collapse.Report{report}); err != nil {
			t.Fatal(err)
		}
		return report.Results[0].Model.(*modelJSON)
	}
	near := func(m *modelJSON, id string, want, tol float64) {
		t.Helper()
		v := m.Metrics[id]
		if v == nil {
			t.Errorf("no %s", id)
		} else if math.Abs(*v-want) > tol {
			t.Errorf("%s is %v, expected %v", id, *v, want)
		}
	}
	equal := measure([]int{5, 5, 5, 5, 5, 5}, "pal")
	if !equal.ClosedForm || equal.Certificate != nil {
		t.Errorf("equal counts: %+v", equal)
	}
	near(equal, "ml_margin_m1", 5.656074, 1e-6)
	near(equal, "ml_margin_m2", 5.075447, 1e-6)
	near(equal, "ml_scale_m2", 0.897345, 1e-6)
	averaged := measure([]int{5, 5, 5, 5, 5, 5}, "pal_mean")
	if s := averaged.Metrics["ml_scale_m2"]; s == nil || *s > 0.85 {
		t.Errorf("averaged loss: scale %v", s)
	}
	unequal := measure([]int{20, 10, 5, 5, 2, 1}, "pal")
	if unequal.ClosedForm || unequal.Certificate == nil || math.Abs(*unequal.Certificate-1) > 1e-4 {
		t.Errorf("unequal counts: %+v", unequal)
	}
	near(unequal, "ml_scale_m2", 0.894, 5e-4)
}
