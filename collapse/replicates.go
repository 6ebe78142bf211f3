package collapse

import (
	"math"
)

// OverRuns is a level or metric over several runs of one training: nil where too few runs have it.
type OverRuns struct {
	Runs       int      `json:"runs"`            // that have a value
	Mean       *float64 `json:"mean"`            // over them
	SD         *float64 `json:"sd"`              // standard deviation over them, with runs - 1
	Low        *float64 `json:"low"`             // confidence limits of the mean over runs (Student 1908), of which the runs are a sample
	High       *float64 `json:"high"`            // their upper end
	WithinLow  *float64 `json:"within_low"`      // mean lower limit within a run, of which the rows are a sample
	WithinHigh *float64 `json:"within_high"`     // mean upper limit
	Holds      *int     `json:"holds,omitempty"` // runs in which the property holds (levels with a verdict)
}

// Replicated is a layer over several runs.
type Replicated struct {
	Layer    string              `json:"layer"`
	Split    string              `json:"split,omitempty"`    // "test" for test rows, by their own means, of files with several tags a row
	Runs     int                 `json:"runs"`               // that have the layer
	Verdicts map[string]int      `json:"verdicts,omitempty"` // how many come to each
	Levels   map[string]OverRuns `json:"levels,omitempty"`   // by LevelNames
	Metrics  map[string]OverRuns `json:"metrics"`            // by id, those that some run has
}

// Replicates puts reports of several runs (files of one step, trained with other seeds) together, layer by layer. Intervals have the
// given confidence. An interval over runs says what another training would show; one within a run, what other rows would.
func Replicates(reports []*Report, confidence float64) []Replicated {
	var out []Replicated
	seen := map[[2]string]bool{}
	for _, report := range reports {
		for _, first := range report.Results {
			key := [2]string{first.Layer, first.Split}
			if seen[key] {
				continue
			}
			seen[key] = true
			var runs []*Result
			for _, other := range reports {
				for _, r := range other.Results {
					if r.Layer == first.Layer && r.Split == first.Split {
						runs = append(runs, r)
						break
					}
				}
			}
			one := replicated(first.Layer, runs, confidence)
			if first.Split != "train" {
				one.Split = first.Split
			}
			out = append(out, one)
		}
	}
	return out
}

func replicated(layer string, runs []*Result, confidence float64) Replicated {
	out := Replicated{Layer: layer, Runs: len(runs), Metrics: map[string]OverRuns{}}
	for _, m := range MetricsOf(runs...) {
		var values, lows, highs []*float64
		for _, r := range runs {
			if v, ok := r.Metrics[m.ID]; ok && v.Defined() {
				values, lows, highs = append(values, finite(v.Number)), append(lows, v.Low), append(highs, v.High)
			}
		}
		if values != nil {
			out.Metrics[m.ID] = overRuns(values, lows, highs, confidence)
		}
	}
	for _, name := range LevelNames() {
		var values, lows, highs []*float64
		holds, judged := 0, false
		for _, r := range runs {
			if r.Verdict == nil {
				continue
			}
			l := r.Verdict.Levels.Level(name)
			values, lows, highs = append(values, l.Value), append(lows, l.Low), append(highs, l.High)
			judged = judged || l.Verdict != ""
			if l.Verdict == Holds {
				holds++
			}
		}
		if values == nil || !judged && overRuns(values, lows, highs, confidence).Runs == 0 {
			continue
		}
		if out.Levels == nil {
			out.Levels = map[string]OverRuns{}
		}
		o := overRuns(values, lows, highs, confidence)
		if o.Low != nil {
			o.Low = finite(max(*o.Low, 0))
		}
		if judged {
			o.Holds = &holds
		}
		out.Levels[name] = o
	}
	for _, r := range runs {
		if r.Verdict != nil {
			if out.Verdicts == nil {
				out.Verdicts = map[string]int{}
			}
			out.Verdicts[r.Verdict.Whole]++
		}
	}
	return out
}

// overRuns summarises values, of which some may be missing, and their limits, of which all must be there.
func overRuns(values, lows, highs []*float64, confidence float64) (o OverRuns) {
	present := func(list []*float64) (out []float64) {
		for _, v := range list {
			if v != nil {
				out = append(out, *v)
			}
		}
		return out
	}
	have := present(values)
	o.Runs = len(have)
	if o.Runs > 0 {
		o.Mean = finite(mean(have))
	}
	if n := float64(o.Runs); o.Runs > 1 {
		sd := math.Sqrt(variance(have) * n / (n - 1))
		half := student(confidence, n-1) * sd / math.Sqrt(n)
		o.SD, o.Low, o.High = finite(sd), finite(*o.Mean-half), finite(*o.Mean+half)
	}
	if l, h := present(lows), present(highs); len(l) == len(lows) && len(h) == len(highs) {
		o.WithinLow, o.WithinHigh = finite(mean(l)), finite(mean(h))
	}
	return o
}
