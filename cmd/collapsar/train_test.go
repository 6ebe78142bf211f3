package main

import (
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/train"
)

// The status line of a long run has room for its levels in 80 columns, of which rate and time left take about 30.
func TestProgressName(t *testing.T) {
	level := func(v float64) collapse.Level { return collapse.Level{Value: &v, Verdict: collapse.Fails} }
	result := &collapse.Result{Verdict: &collapse.Verdict{Levels: collapse.Levels{Variability: level(0.0576), Simplex: level(0.126), Duality: level(1.114), Centre: level(0)}}}
	c := train.Default()
	p := train.Progress{Seed: 3, Epoch: 103, Epochs: 350, Loss: 0.00087912, Error: 0.0456, Last: result}
	for _, test := range []struct {
		change func()
		want   string
	}{
		{func() {}, "103/350 loss 0.00088 error 4.6 % levels 5.8/13/111/0.0 %"},
		{func() { p.Error = 0 }, "103/350 loss 0.00088 levels 5.8/13/111/0.0 %"},
		{func() { c.Seeds = train.Seeds{3, 4} }, "seed 3 103/350 loss 0.00088 levels 5.8/13/111/0.0 %"},
		{func() { p.Last = nil }, "seed 3 103/350 loss 0.00088"},
	} {
		if test.change(); progressName(&c, p) != test.want {
			t.Errorf("%q, expected %q", progressName(&c, p), test.want)
		}
	}
}
