package collapse

import (
	"math"
	"testing"
)

// Mean, standard deviation and Student's interval, worked by hand: 2, 4, 9 have mean 5 and variance 13; t(0.975, 2) = 4.3026527.
func TestReplicates(t *testing.T) {
	run := func(v, low, high float64) *Report {
		r := &Result{Layer: "features", Metrics: Values{"nc1": {Number: v, Low: finite(low), High: finite(high)}, "cdnv_mean": undefined(NoWithinSamples)}}
		r.Verdict = &Verdict{Whole: Collapsed}
		r.Verdict.Levels.Variability = Level{Value: finite(v), Low: finite(low), High: finite(high), Verdict: Holds}
		return &Report{Results: []*Result{r}}
	}
	reports := []*Report{run(2, 1, 3), run(4, 3, 6), run(9, 8, 12)}
	last := reports[2].Results[0].Verdict
	last.Whole, last.Levels.Variability.Verdict = NotCollapsed, Fails
	out := Replicates(reports, 0.95)
	if len(out) != 1 || out[0].Runs != 3 || out[0].Verdicts[Collapsed] != 2 || out[0].Verdicts[NotCollapsed] != 1 {
		t.Fatalf("%+v", out)
	}
	half := 4.3026527 * math.Sqrt(13.0/3)
	is := func(name string, got *float64, want float64) {
		t.Helper()
		if got == nil || math.Abs(*got-want) > 1e-6 {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for name, o := range map[string]OverRuns{"nc1": out[0].Metrics["nc1"], "variability": out[0].Levels["variability"]} {
		is(name+" mean", o.Mean, 5)
		is(name+" sd", o.SD, math.Sqrt(13))
		is(name+" high", o.High, 5+half)
		is(name+" within, low", o.WithinLow, 4)
		is(name+" within, high", o.WithinHigh, 7)
	}
	is("lower limit of a metric", out[0].Metrics["nc1"].Low, 5-half)
	is("lower limit of a level", out[0].Levels["variability"].Low, 0)
	if h := out[0].Levels["variability"].Holds; h == nil || *h != 2 {
		t.Errorf("holds in %v runs", h)
	}
	if _, ok := out[0].Metrics["cdnv_mean"]; ok {
		t.Error("a metric that no run has")
	}
	one := Replicates(reports[:1], 0.95)[0].Metrics["nc1"]
	if one.SD != nil || one.Low != nil || one.Mean == nil {
		t.Errorf("one run has no spread: %+v", one)
	}
}
