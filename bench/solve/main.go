// Command solve times searches and sweeps of unconstrained features models and prints a JSON object: seconds by case, the
// best of several rounds, for compare.py.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/collapsar/collapsar/ufm"
)

type result struct {
	Seconds    float64 `json:"seconds"`
	Value      float64 `json:"value"`
	Gradient   float64 `json:"gradient_norm,omitempty"`
	Iterations int     `json:"iterations,omitempty"`
	Gap        float64 `json:"gap,omitempty"`
	Megabytes  float64 `json:"megabytes"` // allocated in all
}

func best(rounds int, f func() result) result {
	var out result
	for i := range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		r := f()
		r.Seconds = time.Since(begin).Seconds()
		runtime.ReadMemStats(&after)
		r.Megabytes = float64(after.TotalAlloc-before.TotalAlloc) / 1e6
		if i == 0 || r.Seconds < out.Seconds {
			out = r
		}
	}
	return out
}

// search goes from one random start to a gradient of norm 1e-9, and certifies the end.
func search(p ufm.Problem, allSamples bool) func() result {
	return func() result {
		s, err := p.Solve(context.Background(), ufm.SolveOptions{Seeds: 1, Gradient: 1e-9, AllSamples: allSamples})
		if err != nil {
			log.Fatal(err)
		}
		c, err := p.Certify(s.Point)
		if err != nil {
			log.Fatal(err)
		}
		return result{Value: s.Value, Gradient: s.GradientNorm, Iterations: s.Starts[0].Iterations, Gap: c.Gap}
	}
}

func answer(spec ufm.Spec, o ufm.Options) func() result {
	return func() result {
		r, err := ufm.Answer(context.Background(), spec, o)
		if err != nil {
			log.Fatal(err)
		}
		rows, _ := r.ClosedForm.Get("rows")
		list, ok := rows.([]ufm.Fields)
		if !ok || len(list) == 0 {
			log.Fatal("no rows")
		}
		return result{Value: list[len(list)-1].Number("value")}
	}
}

func balanced(k, n, d int) ufm.Problem {
	return ufm.Problem{Loss: ufm.Loss{Kind: ufm.CrossEntropy}, Counts: slices.Repeat([]int{n}, k), Dim: d, W: ufm.Decay(5e-4), H: ufm.Decay(1e-5)}
}

func sweep(ka, kb, points int) ufm.Spec {
	ratios := make([]any, points)
	for i := range ratios {
		ratios[i] = 1 + 2*float64(i)
	}
	return ufm.Spec{Problem: "layer_peeled_imbalanced", Params: map[string]any{"K_A": ka, "K_B": kb, "E_W": 1, "E_H": 5, "ratios": ratios,
		"constraint": "energy", "bias": "none"}}
}

func main() {
	only := ufm.Options{Method: "none"}
	counts := make([]int, 200) // all different
	for i := range counts {
		counts[i] = 5 + 10*i
	}
	many := balanced(1, 1, 256)
	many.Counts, many.W, many.H = counts, ufm.Decay(1e-4), ufm.Decay(1e-4)
	out := map[string]result{
		"ce_k10_n100_d64":             best(5, search(balanced(10, 100, 64), false)),
		"ce_k10_n100_d64_all_samples": best(5, search(balanced(10, 100, 64), true)),
		"ce_k100_n100_d256":           best(2, search(balanced(100, 100, 256), false)),
		"ce_200_counts_d256":          best(1, search(many, false)),
		"sweep_41_ratios_k10":         best(10, answer(sweep(5, 5, 41), only)),
		"layer_peeled_point_k1000":    best(10, answer(sweep(500, 500, 1), only)),
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", " ")
	if err := e.Encode(out); err != nil {
		log.Fatal(err)
	}
}
