// Rules prints how well tag sets are predicted after each loss and by each rule, beside one-vs-rest logistic regression:
//
//	go run ./examples/multilabel/rules RUNS TABLES
//
// RUNS has the folders of the runs, DATA-LOSS; TABLES has the data sets. A cell is in percent of the test rows; of the networks it is the mean
// over the seeds, and behind ± their standard deviation.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/dataset"
	"github.com/collapsar/collapsar/decode"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/logistic"
)

var (
	sets   = []string{"yeast", "scene", "emotions"}
	losses = []string{"pal", "pal_mean", "bce"}
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: rules RUNS TABLES")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := write(ctx, os.Stdout, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "rules:", err)
		os.Exit(1)
	}
}

// write prints the tables: first the scores that need no rule, then two scores of every rule.
func write(ctx context.Context, w io.Writer, runs, tables string) error {
	found := map[string][][]*collapse.Prediction{} // by set: the seeds of each loss, and then the linear model
	for _, set := range sets {
		for _, loss := range losses {
			seeds, err := read(filepath.Join(runs, set+"-"+loss, "run.json"))
			if err != nil {
				return err
			}
			found[set] = append(found[set], seeds)
		}
		p, err := linear(ctx, set, tables)
		if err != nil {
			return err
		}
		found[set] = append(found[set], []*collapse.Prediction{p})
	}
	fmt.Fprintf(w, "| | score | %s | linear |\n|---|---|---|---|---|---|\n", strings.Join(losses, " | "))
	for _, set := range sets {
		for _, s := range []struct {
			name string
			of   func(r *decode.Ranking) float64
		}{
			{"label ranking average precision", func(r *decode.Ranking) float64 { return r.LRAP }},
			{"mean average precision", func(r *decode.Ranking) float64 { return r.MapLogit }},
		} {
			fmt.Fprintf(w, "| %s | %s |", set, s.name)
			for _, seeds := range found[set] {
				fmt.Fprintf(w, " %s |", cell(seeds, func(p *collapse.Prediction) float64 { return s.of(&p.Ranking) }))
			}
			fmt.Fprintln(w)
		}
	}
	head := strings.Join(losses, " | ") + " | linear |"
	fmt.Fprintf(w, "\n| | rule | exact: %s F1: %s\n|---|---|%s\n", head, head, strings.Repeat("---|", 2*len(losses)+2))
	for _, set := range sets {
		for _, rule := range append(decode.Rules(), decode.Others()...) {
			fmt.Fprintf(w, "| %s | `%s` |", set, rule.Name)
			for _, score := range []func(s decode.Sets) float64{
				func(s decode.Sets) float64 { return s.ExactMatch },
				func(s decode.Sets) float64 { return s.F1Micro },
			} {
				for _, seeds := range found[set] {
					fmt.Fprintf(w, " %s |", cell(seeds, func(p *collapse.Prediction) float64 {
						s, ok := p.Rules[rule.Name]
						if !ok {
							return math.NaN()
						}
						return score(s)
					}))
				}
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}

// cell is the mean over seeds and their standard deviation, in percent.
func cell(seeds []*collapse.Prediction, of func(*collapse.Prediction) float64) string {
	mean, square, n := 0.0, 0.0, float64(len(seeds))
	for _, p := range seeds {
		mean += 100 * of(p) / n
	}
	for _, p := range seeds {
		square += (100*of(p) - mean) * (100*of(p) - mean)
	}
	switch {
	case math.IsNaN(mean):
		return "–"
	case n < 2:
		return fmt.Sprintf("%.1f", mean)
	}
	return fmt.Sprintf("%.1f ± %.1f", mean, math.Sqrt(square/(n-1)))
}

// read takes the predictions of the test rows at the end of each seed.
func read(path string) (seeds []*collapse.Prediction, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var run struct {
		Runs []struct {
			Result struct {
				Results []struct {
					Split   string               `json:"split"`
					Predict *collapse.Prediction `json:"predict"`
				} `json:"results"`
			} `json:"result"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(data, &run); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, r := range run.Runs {
		for _, result := range r.Result.Results {
			if result.Split == "test" && result.Predict != nil {
				seeds = append(seeds, result.Predict)
			}
		}
	}
	if len(seeds) == 0 {
		return nil, fmt.Errorf("%s: no predictions for test rows", path)
	}
	return seeds, nil
}

// linear is one-vs-rest logistic regression with C = 1 on standardised columns, its rules fitted and scored as those of a network whose
// features are the columns.
func linear(ctx context.Context, name, root string) (*collapse.Prediction, error) {
	set, err := dataset.Open(name, dataset.Options{Root: root})
	if err != nil {
		return nil, err
	}
	d, k := set.Shape.Size(), len(set.Classes)
	mean, std := set.Standardisation(true)
	rows := func(s *dataset.Split) []float64 {
		x := make([]float64, len(s.Values))
		for i, v := range s.Values {
			if std[i%d] > 0 {
				x[i] = (float64(v) - mean[i%d]) / std[i%d]
			}
		}
		return x
	}
	x := rows(&set.Train)
	m, err := logistic.Fit(ctx, x, d, set.Train.Tags, k, 1)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &features.Classifier{Classes: k, Dim: d, Weights: m.Weights, Bias: m.Bias, HasBias: true}
	labels := func(s *dataset.Split) features.Labels { return features.Labels{Tags: s.TagSets(k), Count: k} }
	f, err := features.FromLayers(name, []features.Rows[float64]{{Name: "columns", Dim: d, Train: x, Test: rows(&set.Test)}}, labels(&set.Train), labels(&set.Test), c)
	if err != nil {
		return nil, err
	}
	report, err := collapse.Measure(ctx, f, collapse.Options{Metrics: []string{"ml_n_empty"}, NoVerdict: true, Predict: true})
	if err != nil {
		return nil, err
	}
	return report.Results[len(report.Results)-1].Predict, nil
}
