package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The rows of a run stand beside those of the linear model, which tells tags that one column shows apart without a mistake.
func TestWrite(t *testing.T) {
	runs, tables := t.TempDir(), t.TempDir()
	put := func(folder, name, text string) {
		t.Helper()
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	seed := func(exact string) string {
		return `{"result": {"results": [{"split": "train", "predict": {"rules": {"gap": {"exact_match": 1}}}},
			{"split": "test", "predict": {"rules": {"gap": {"exact_match": ` + exact + `, "f1_micro": 0.5}}, "ranking": {"lrap": 0.75}}}]}}`
	}
	for _, set := range sets {
		for _, loss := range losses {
			put(filepath.Join(runs, set+"-"+loss), "run.json", `{"runs": [`+seed("0.25")+`, `+seed("0.75")+`]}`)
		}
		rows := strings.Repeat("9,-9,3,1,0\n-9,9,3,0,1\n9,9,3,1,1\n8,-9,3,1,0\n-9,8,3,0,1\n9,8,3,1,1\n", 3)
		head := "@relation r\n@attribute a numeric\n@attribute b numeric\n@attribute same numeric\n@attribute x {0,1}\n@attribute y {0,1}\n@attribute z {0,1}\n@data\n"
		rows = strings.ReplaceAll(rows, "\n", ",0\n")
		put(tables, set+"-train.arff", head+rows+"0,0,3,0,0,1\n")
		put(tables, set+"-test.arff", head+rows)
		put(tables, set+".xml", `<labels><label name="x"/><label name="y"/><label name="z"/></labels>`)
	}
	var b strings.Builder
	if err := write(context.Background(), &b, runs, tables); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| yeast | label ranking average precision | 75.0 ± 0.0 | 75.0 ± 0.0 | 75.0 ± 0.0 | 100.0 |\n",
		"| scene | `sigmoid_half` | – | – | – | 100.0 | – | – | – | 100.0 |\n",
		"| emotions | `gap` | 50.0 ± 35.4 | 50.0 ± 35.4 | 50.0 ± 35.4 | ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	put(filepath.Join(runs, "yeast-pal"), "run.json", `{"runs": []}`)
	if err := write(context.Background(), &b, runs, tables); err == nil || !strings.Contains(err.Error(), "no predictions for test rows") {
		t.Error(err)
	}
}
