// Runtable prints what training runs came to as a table of Markdown, a row for every run folder:
//
//	go run ./tools/runtable -columns test,test:5-9,minority_cos_w NAME=FOLDER...
//
// NAME is what the first columns of the row say, with | between them. A cell is the mean over the seeds that are finished, and behind ±
// their standard deviation (divided by the number less one). Columns are
//
//	runs            how many are finished
//	train, test     accuracy, in percent; test:5-9 that of classes 5 to 9
//	zero            first epoch without training error
//	parameters      that are trained; saved and memory are as run.json has them
//	ID              a metric of the last layer's training rows at the end, as in minority_cos_w
//	RULE/SCORE      how well a rule predicts the tag sets of test rows, in percent, as in onn_euclid/exact_match
//
// -difference COLUMN adds a last one: how far the mean is from that of the first folder, and behind ± the standard error of that, from both
// deviations.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/train"
)

// record is what is read of run.json.
type record struct {
	Status string          `json:"status"`
	Model  train.ModelInfo `json:"model"`
	Result *result         `json:"result"`
}

type result struct {
	ZeroError *int              `json:"zero_error_epoch"`
	Train     *train.Evaluation `json:"train"`
	Test      *train.Evaluation `json:"test"`
	Results   []struct {
		Split   string `json:"split"`
		Metrics map[string]struct {
			Value *float64 `json:"value"`
		} `json:"metrics"`
		Predict struct {
			Rules map[string]map[string]float64 `json:"rules"`
		} `json:"predict"`
	} `json:"results"`
}

func main() {
	columns := flag.String("columns", "train,test", "what the columns hold, after the names")
	difference := flag.String("difference", "", "column whose difference from the first folder's is added")
	flag.Parse()
	if err := table(os.Stdout, flag.Args(), strings.Split(*columns, ","), *difference); err != nil {
		fmt.Fprintln(os.Stderr, "runtable:", err)
		os.Exit(1)
	}
}

// table prints the rows of NAME=FOLDER.
func table(w io.Writer, args, columns []string, difference string) error {
	var first []float64
	for _, arg := range args {
		name, folder, found := strings.Cut(arg, "=")
		if !found {
			return fmt.Errorf("%q, expected NAME=FOLDER", arg)
		}
		runs, err := read(folder)
		if err != nil {
			return err
		}
		line := "| " + name + " |"
		for _, column := range columns {
			v, err := values(runs, column)
			if err != nil {
				return fmt.Errorf("%s: %w", folder, err)
			}
			line += " " + cell(v) + " |"
		}
		if difference != "" {
			v, err := values(runs, difference)
			if err != nil {
				return fmt.Errorf("%s: %w", folder, err)
			}
			if first == nil {
				first, line = v, line+" |"
			} else {
				line += " " + apart(v, first) + " |"
			}
		}
		fmt.Fprintln(w, line)
	}
	return nil
}

// read reads the finished runs of a folder: one, or one for each seed.
func read(folder string) (runs []record, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "seed_*", "run.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		paths = []string{filepath.Join(folder, "run.json")}
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var r record
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if r.Status == "finished" && r.Result != nil {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("%s: no run is finished", folder)
	}
	return runs, nil
}

// values are what a column says of every run.
func values(runs []record, column string) (out []float64, err error) {
	if column == "runs" {
		return []float64{float64(len(runs))}, nil
	}
	for _, r := range runs {
		v, err := r.Result.value(column, &r.Model)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", column, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// value is what a column says of a run; NaN where there is nothing.
func (r *result) value(column string, m *train.ModelInfo) (float64, error) {
	switch kind, classes, _ := strings.Cut(column, ":"); kind {
	case "train":
		return accuracy(r.Train, classes)
	case "test":
		return accuracy(r.Test, classes)
	case "zero":
		if r.ZeroError == nil {
			return math.NaN(), nil
		}
		return float64(*r.ZeroError), nil
	case "parameters":
		return float64(m.Parameters), nil
	case "saved":
		return float64(m.Saved), nil
	case "memory":
		return float64(m.Memory), nil
	}
	if rule, score, ok := strings.Cut(column, "/"); ok {
		for _, result := range r.Results {
			if v, ok := result.Predict.Rules[rule][score]; ok && result.Split == "test" {
				return 100 * v, nil
			}
		}
		return 0, errors.New("there is no such rule or score of test rows")
	}
	for i := len(r.Results) - 1; i >= 0; i-- {
		if r.Results[i].Split != "train" {
			continue
		}
		m, ok := r.Results[i].Metrics[column]
		if !ok {
			return 0, errors.New("there is no such column or metric")
		}
		if m.Value == nil {
			return math.NaN(), nil
		}
		return *m.Value, nil
	}
	return 0, errors.New("nothing was measured")
}

// accuracy is the share of rows that are right, in percent, of all classes or of those from-to.
func accuracy(e *train.Evaluation, classes string) (float64, error) {
	if e == nil {
		return math.NaN(), nil
	}
	if classes == "" {
		return 100 * (1 - e.Error), nil
	}
	from, to, _ := strings.Cut(classes, "-")
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	if err := errors.Join(err1, err2); err != nil || first > last || first < 0 || last >= len(e.ClassRows) {
		return 0, fmt.Errorf("classes %q of %d, expected as in 5-9", classes, len(e.ClassRows))
	}
	rows, wrong := 0, 0
	for c := first; c <= last; c++ {
		rows += e.ClassRows[c]
		wrong += e.ClassWrong[c]
	}
	return 100 * (1 - float64(wrong)/float64(rows)), nil
}

// moments are the mean and the standard deviation.
func moments(values []float64) (mean, deviation float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v
	}
	mean /= n // once: numbers that are all alike have that very mean
	for _, v := range values {
		deviation += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(deviation / (n - 1))
}

// cell is mean and standard deviation; what does not vary is alone.
func cell(values []float64) string {
	mean, deviation := moments(values)
	switch {
	case math.IsNaN(mean):
		return "–"
	case deviation > 1e-9*math.Abs(mean): // not rounding alone
		return plusMinus(mean, deviation)
	case mean == math.Trunc(mean):
		return strconv.FormatFloat(mean, 'f', 0, 64)
	}
	return strconv.FormatFloat(mean, 'g', 3, 64)
}

// apart is the difference of two means and its standard error, – where a run alone has none.
func apart(a, b []float64) string {
	x, s := moments(a)
	y, t := moments(b)
	if math.IsNaN(s + t) {
		return "–"
	}
	return plusMinus(x-y, math.Sqrt(s*s/float64(len(a))+t*t/float64(len(b))))
}

// plusMinus is a number and its uncertainty, to two digits of the latter.
func plusMinus(v, uncertainty float64) string {
	digits := 0
	if uncertainty > 0 {
		digits = max(0, 1-int(math.Floor(math.Log10(uncertainty))))
	}
	return fmt.Sprintf("%.*f ± %.*f", digits, v, digits, uncertainty)
}
