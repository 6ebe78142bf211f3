// Command baseline compares the runs of this folder with the same recipe in PyTorch.
//
//	go run ./examples/baseline -reference training.json RUNS
//
// RUNS has a folder for every configuration, as run.sh leaves them. README.md states the rule. The exit status is 1 where a number is
// outside, or a run is missing.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// names are the configurations.
var names = []string{"mnist_mlp", "fashion_mlp", "mnist_random_labels"}

// reference is one entry of the reference file.
type reference struct {
	RandomLabels bool `json:"random_labels"`
	Runs         []struct {
		Zero  int `json:"first_zero_error_epoch"`
		Trace []struct {
			Epoch    int     `json:"epoch"`
			Accuracy float64 `json:"test_accuracy"`
			NC1      float64 `json:"nc1"`
			ETF      float64 `json:"nc2_etf"`
			Duality  float64 `json:"nc3_distance_centred"`
		} `json:"trace"`
	} `json:"runs"`
}

// end is the last line of a run's metrics.jsonl.
type end struct {
	Epoch int `json:"epoch"`
	Train struct {
		Error float64 `json:"error"`
	} `json:"train"`
	Test struct {
		Error float64 `json:"error"`
	} `json:"test"`
	Metrics map[string]struct {
		Value *float64 `json:"value"`
	} `json:"metrics"`
	Verdict struct {
		Levels map[string]struct {
			Plain *float64 `json:"plain"`
		} `json:"levels"`
	} `json:"verdict"`
	zero int // first epoch without error
}

func main() {
	path := flag.String("reference", "", "file with the reference runs")
	flag.Parse()
	if *path == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: baseline -reference FILE RUNS")
		os.Exit(2)
	}
	fine, err := compare(*path, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "baseline:", err)
	}
	if !fine || err != nil {
		os.Exit(1)
	}
}

func compare(path, runs string) (fine bool, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	fine = true
	for _, name := range names {
		var ref reference
		if err := json.Unmarshal(all[name], &ref); err != nil || len(ref.Runs) == 0 {
			return false, fmt.Errorf("%s: no runs of %s (%v)", path, name, err)
		}
		ends, err := read(filepath.Join(runs, name))
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Printf("%s: no run\n", name)
			fine = false
			continue
		}
		if err != nil {
			return false, err
		}
		fine = judge(name, &ref, ends) && fine
	}
	return fine, nil
}

// read reads the ends of all seeds of a run.
func read(dir string) ([]end, error) {
	folders, err := filepath.Glob(filepath.Join(dir, "seed_*"))
	if err != nil {
		return nil, err
	}
	if folders == nil {
		folders = []string{dir}
	}
	var out []end
	for _, folder := range folders {
		var record struct {
			Status string
			Result struct {
				Zero *int `json:"zero_error_epoch"`
			}
		}
		data, err := os.ReadFile(filepath.Join(folder, "run.json"))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &record); err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		if record.Status != "finished" {
			fmt.Printf("%s: %s, left out\n", folder, record.Status)
			continue
		}
		data, err = os.ReadFile(filepath.Join(folder, "metrics.jsonl"))
		if err != nil {
			return nil, err
		}
		var last []byte
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			last = slices.Clone(lines.Bytes())
		}
		var e end
		if err := json.Unmarshal(last, &e); err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		if record.Result.Zero != nil {
			e.zero = *record.Result.Zero
		}
		out = append(out, e)
	}
	if out == nil {
		return nil, fmt.Errorf("%s: no finished run: %w", dir, fs.ErrNotExist)
	}
	return out, nil
}

// judge prints a line for every number, and tells whether all are as the rule wants them.
func judge(name string, ref *reference, ends []end) bool {
	fmt.Printf("%s, %d runs against %d\n", name, len(ends), len(ref.Runs))
	fine := true
	line := func(what string, ok bool, values, wanted string) {
		mark := "ok"
		if !ok {
			mark, fine = "OUTSIDE", false
		}
		fmt.Printf("  %-22s %-7s %s, reference %s\n", what, mark, values, wanted)
	}
	type numbers struct{ nc1, etf, duality, zero, accuracy []float64 }
	var theirs, ours numbers
	for _, r := range ref.Runs {
		t := r.Trace[len(r.Trace)-1]
		theirs.nc1, theirs.etf, theirs.duality = append(theirs.nc1, t.NC1), append(theirs.etf, t.ETF), append(theirs.duality, t.Duality)
		theirs.zero, theirs.accuracy = append(theirs.zero, float64(r.Zero)), append(theirs.accuracy, t.Accuracy)
	}
	errors := 0.0
	for _, e := range ends {
		value := func(v *float64) float64 {
			if v == nil {
				return -1
			}
			return *v
		}
		ours.nc1, ours.etf = append(ours.nc1, value(e.Metrics["nc1"].Value)), append(ours.etf, value(e.Metrics["nc2_etf"].Value))
		ours.duality = append(ours.duality, value(e.Verdict.Levels["duality"].Plain))
		ours.zero, ours.accuracy = append(ours.zero, float64(e.zero)), append(ours.accuracy, 1-e.Test.Error)
		errors = max(errors, e.Train.Error)
	}
	line("training error", errors == 0, fmt.Sprint(errors), "0")
	for _, c := range []struct {
		what         string
		ours, theirs []float64
	}{{"nc1", ours.nc1, theirs.nc1}, {"nc2_etf", ours.etf, theirs.etf}, {"nc3 (rows centred)", ours.duality, theirs.duality}} {
		low, high := slices.Min(c.theirs)/1.5, slices.Max(c.theirs)*1.5
		line(c.what, slices.Min(c.ours) >= low && slices.Max(c.ours) <= high, span(c.ours), fmt.Sprintf("%s, allowed %.4f to %.4f", span(c.theirs), low, high))
	}
	line("first epoch of no error", slices.Min(ours.zero) > 0 && slices.Max(ours.zero) <= 2*slices.Max(theirs.zero), span(ours.zero), span(theirs.zero))
	a, b := mean(ours.accuracy), mean(theirs.accuracy)
	if ref.RandomLabels {
		line("mean test accuracy", a > 0.05 && a < 0.15, fmt.Sprintf("%.4f", a), fmt.Sprintf("%.4f, chance 0.1", b))
	} else {
		line("mean test accuracy", a > b-0.01 && a < b+0.01, fmt.Sprintf("%.4f", a), fmt.Sprintf("%.4f", b))
	}
	return fine
}

func span(v []float64) string { return fmt.Sprintf("%.5g to %.5g", slices.Min(v), slices.Max(v)) }

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}
