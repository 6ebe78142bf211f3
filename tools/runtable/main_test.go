package main

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "run.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	run := func(wrong, cosine string) string {
		return `{"zero_error_epoch": 7, "train": {"error": 0}, "test": {"error": 0.25, "class_rows": [10, 10, 20], "class_wrong": [0, ` + wrong + `]},
			"results": [{"split": "train", "metrics": {"minority_cos_w": {"value": 9}}},
				{"split": "train", "metrics": {"minority_cos_w": {"value": ` + cosine + `}, "nc1": {"value": null}}}, {"split": "test", "metrics": {}, "predict": {"rules": {"gap": {"exact_match": 0.5}}}}]}`
	}
	file := func(status, parameters, result string) string {
		return `{"status": "` + status + `", "model": {"parameters": ` + parameters + `}, "result": ` + result + `}`
	}
	write("several/seed_0", file("finished", "1234", run("2, 3", "0.5")))
	write("several/seed_1", file("finished", "1234", run("1, 5", "0.7")))
	write("several/seed_2", file("running", "1234", "null"))
	several := filepath.Join(dir, "several")
	one := write("one", file("finished", "99", run("0, 0", "0.25")))
	none := write("none", file("running", "99", "null"))

	// Classes 1 and 2 have 25 and 24 of 30 right; the deviation of two numbers is their difference over sqrt 2, the standard error of
	// their mean half the difference.
	for _, c := range []struct {
		args       []string
		columns    string
		difference string
		want       string
	}{
		{[]string{"10 | linear=" + several, "a=" + one}, "runs,train,test,test:1-2,zero,parameters,minority_cos_w,nc1,gap/exact_match", "",
			"| 10 | linear | 2 | 100 | 75 | 81.7 ± 2.4 | 7 | 1234 | 0.60 ± 0.14 | – | 50 |\n| a | 1 | 100 | 75 | 100 | 7 | 99 | 0.25 | – | 50 |\n"},
		{[]string{"a=" + several, "b=" + several}, "parameters", "minority_cos_w", "| a | 1234 | |\n| b | 1234 | 0.00 ± 0.14 |\n"},
		{[]string{"a=" + several, "b=" + one}, "parameters", "minority_cos_w", "| a | 1234 | |\n| b | 99 | – |\n"},
	} {
		var b strings.Builder
		if err := table(&b, c.args, strings.Split(c.columns, ","), c.difference); err != nil || b.String() != c.want {
			t.Errorf("%q, %v, wanted %q", b.String(), err, c.want)
		}
	}
	for column, want := range map[string]string{"nc5": "no such column", "test:2-3": "of 3", "test:1": "of 3", "gap/f2": "no such rule"} {
		if err := table(io.Discard, []string{"a=" + several}, []string{column}, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, wanted %q", column, err, want)
		}
	}
	if err := table(io.Discard, []string{"a=" + none}, []string{"train"}, ""); err == nil || !strings.Contains(err.Error(), "no run is finished") {
		t.Errorf("%v", err)
	}
}

func TestCell(t *testing.T) {
	for want, values := range map[string][]float64{
		"0.997":           {0.9968},
		"-0.111":          {-1. / 9, -1. / 9, -1./9 + 1e-17, -1./9 - 1e-16},
		"512":             {512, 512, 512},
		"98.10 ± 0.10":    {98, 98.1, 98.2},
		"0.0020 ± 0.0010": {0.001, 0.002, 0.003},
		"150 ± 50":        {100, 150, 200},
		"–":               {1, math.NaN()},
	} {
		if got := cell(values); got != want {
			t.Errorf("%v: %q, wanted %q", values, got, want)
		}
	}
}
