package ufm

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestReadSpec: JSON and YAML say the same.
func TestReadSpec(t *testing.T) {
	json, err := ReadSpec([]byte(`{"problem": "pick_all_label_decay", "params": {"K": 4, "samples_per_set": {"1": 3, "2": 1}, "d": 4,
		"lambda_W": 1e-2, "lambda_H": 0.005, "bias": "none", "loss": "pal"}}`))
	if err != nil {
		t.Fatal(err)
	}
	yaml, err := ReadSpec([]byte("problem: pick_all_label_decay\nparams:\n  K: 4\n  samples_per_set: {1: 3, 2: 1}\n  d: 4\n  lambda_W: 1e-2\n  lambda_H: 0.005\n  bias: none\n  loss: pal\n"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := Answer(ctx, json, Options{Method: "none"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Answer(ctx, yaml, Options{Method: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a.ClosedForm, b.ClosedForm) {
		t.Errorf("%v\n%v", a.ClosedForm, b.ClosedForm)
	}
	for text, want := range map[string]string{
		"":                           "not a spec: EOF",
		"{":                          "not a spec: unexpected EOF",
		`{"problem": "x"} x`:         "not a spec: more follows after the object",
		`{"problem": "x", "what":1}`: `not a spec: unknown field "what"`,
		"problem: x\nwhat: 1\n":      "not a spec: unmarshal errors:\n  line 2: field what not found in type ufm.Spec",
		"- 1\n":                      "not a spec: unmarshal errors:\n  line 1: cannot unmarshal !!seq into ufm.Spec",
	} {
		if _, err := ReadSpec([]byte(text)); fmt.Sprint(err) != want {
			t.Errorf("%q: %v, wanted %s", text, err, want)
		}
	}
}

// TestAnswerErrors: what is wrong with a spec is named.
func TestAnswerErrors(t *testing.T) {
	good := func() map[string]any {
		return map[string]any{"K": 3, "n": 4, "d": 2, "lambda_W": 0.01, "lambda_H": 0.002, "bias": "none"}
	}
	for _, c := range []struct {
		change func(p map[string]any)
		want   string
	}{
		{func(p map[string]any) { delete(p, "n") }, "ce_decay: n: missing"},
		{func(p map[string]any) { p["lambda_w"] = 1; delete(p, "lambda_W") }, "ce_decay: lambda_W: missing"},
		{func(p map[string]any) { p["lambda_h"] = 1 }, "ce_decay: lambda_h: not a parameter; did you mean lambda_H?"},
		{func(p map[string]any) { p["K"] = 2.5 }, "ce_decay: K: 2.5, wanted a whole number"},
		{func(p map[string]any) { p["K"] = 1 }, "ce_decay: K: 1, wanted at least 2 classes"},
		{func(p map[string]any) { p["n"] = 0 }, "ce_decay: n: 0, wanted at least 1"},
		{func(p map[string]any) { p["n"] = 1e10 }, "ce_decay: n: 1e+10, wanted at most 1000000000"},
		{func(p map[string]any) { p["lambda_W"] = -1.0 }, "ce_decay: lambda_W: -1, wanted a number above 0"},
		{func(p map[string]any) { p["lambda_W"] = math.NaN() }, "ce_decay: lambda_W: NaN, wanted a finite number"},
		{func(p map[string]any) { p["lambda_W"] = math.Inf(1) }, "ce_decay: lambda_W: +Inf, wanted a finite number"},
		{func(p map[string]any) { p["lambda_W"] = "1" }, "ce_decay: lambda_W: 1, wanted a number"},
		{func(p map[string]any) { p["bias"] = "fre" }, "ce_decay: bias: fre, wanted none, free or decayed; did you mean free?"},
		{func(p map[string]any) { p["bias"] = "decayed" }, "ce_decay: lambda_b: missing"},
		{func(p map[string]any) { p["lambda_b"] = 1 }, "ce_decay: lambda_b: not a parameter; did you mean lambda_W?"},
		{func(p map[string]any) { p["d"] = 1 }, "ce_decay: d: 1, the theorem wants at least K-1 = 2: fewer dimensions have no simplex; --numeric solves it without a theorem"},
	} {
		p := good()
		c.change(p)
		if _, err := Answer(ctx, Spec{"ce_decay", p}, Options{Method: "none"}); fmt.Sprint(err) != c.want {
			t.Errorf("%v\nwanted %s", err, c.want)
		}
	}
	if _, err := Answer(ctx, Spec{Problem: "ce_decai"}, Options{}); fmt.Sprint(err) != "ce_decai: not a problem; did you mean ce_decay?" {
		t.Error(err)
	}
	if _, err := Answer(ctx, Spec{}, Options{}); fmt.Sprint(err) != "problem: missing" {
		t.Error(err)
	}
}

// TestParamsAreListed: every parameter that a problem reads is in its list, so that the command can take it, and every
// problem has words.
func TestParamsAreListed(t *testing.T) {
	for _, q := range Questions() {
		if q.Words == "" || q.Params == "" {
			t.Errorf("%s: words %q, params %q", q.Name, q.Words, q.Params)
		}
		listed := map[string]bool{}
		for _, word := range strings.Fields(q.Params) {
			name, _, _ := strings.Cut(strings.Trim(word, "[]"), "=")
			listed[name] = true
		}
		p := &params{values: map[string]any{}}
		q.answer(ctx, p, Options{Method: "none"})
		for _, f := range p.echo {
			if !listed[f.Name] {
				t.Errorf("%s reads %s, which its list has not", q.Name, f.Name)
			}
		}
	}
}

// FuzzSpec: whatever a file holds, it is answered or refused.
func FuzzSpec(f *testing.F) {
	f.Add([]byte(`{"problem": "ce_decay", "params": {"K": 3, "n": 4, "d": 2, "lambda_W": 0.01, "lambda_H": 0.002, "bias": "none"}}`))
	f.Add([]byte("problem: model\nparams: {loss: focal, gamma: 2, counts: [5, 3], d: 2, lambda_W: 0.1, lambda_H: 0.1, bias: free}\n"))
	f.Add([]byte("problem: &a [*a]\n"))
	files, _ := filepath.Glob("testdata/*.json")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := ReadSpec(data)
		if err != nil || strings.Contains(spec.Problem, "flow") || strings.HasPrefix(spec.Problem, "snc") {
			return // flows take their time
		}
		Answer(ctx, spec, Options{Method: "none"})
	})
}

// TestConstants holds formulas against numbers of another program in 30 digits, one or two for each family.
func TestConstants(t *testing.T) {
	for _, c := range []struct {
		problem string
		params  string
		field   string
		want    float64
	}{
		{"ce_decay", "K: 2, n: 1, d: 1, lambda_W: 0.05, lambda_H: 0.05, bias: none", "gap", 2.9444389791664403},
		{"ce_decay", "K: 3, n: 4, d: 2, lambda_W: 0.01, lambda_H: 0.002, bias: none", "W_fro2", 8.405274850357085},
		{"ce_decay_lower_bound", "K: 4, n: 5, lambda_W: 0.005, lambda_H: 0.001", "value", 0.094361693741118},
		{"ce_decay_low_dim", "K: 4, n: 2, d: 2, lambda_W: 0.03, lambda_H: 0.03, bias: none", "value", 0.5809290168127087},
		{"ce_layer_peeled", "K: 4, n: 3, d: 3, E_W: 1, E_H: 5, constraint: energy, bias: none", "value", 0.14163989408883415},
		{"ce_sphere", "K: 5, n: 1, d: 4, logit_scale: 1, constraint: sphere, bias: none", "value", 0.7636145851940535},
		{"ce_sphere_low_dim", "K: 5, n: 1, d: 2, logit_scale: 3, constraint: sphere, bias: none", "value", 0.23144539000480124},
		{"ce_output_ball", "K: 4, n: 1, radius: 3, constraint: ball", "value", 0.08975234519205902},
		{"ce_jensen", "K: 3, n: 4, logits: {det: [12, 3, 3], scale: 2}", "quadratic_lower_bound", 0.00967613381705895},
		{"label_smoothing_decay", "K: 4, n: 3, d: 5, alpha: 0.1, lambda_W: 0.005, lambda_H: 0.002, bias: none", "value", 0.4062857098935688},
		{"label_smoothing_logits", "K: 4, alpha: 0.1", "value", 0.34878038491802865},
		{"focal_decay", "K: 3, n: 2, d: 4, gamma: 2, lambda_W: 0.01, lambda_H: 0.01, bias: none", "gap", 1.9759606757214094},
		{"mse_decay", "K: 4, n: 3, d: 5, lambda_W: 0.02, lambda_H: 0.01, bias: decayed, lambda_b: 0.5", "value", 0.0907795897113271},
		{"mse_decay_imbalanced", "counts: [8, 4, 1], d: 4, lambda_W: 0.05, lambda_H: 0.05, bias: none", "value", 0.24267135623730954},
		{"mse_decay_imbalanced", "counts: [6, 3, 2], d: 4, lambda_W: 0.03, lambda_H: 0.03, bias: free", "value", 0.09748261099393003},
		{"pick_all_label_decay", "K: 4, samples_per_set: {1: 3, 2: 1}, d: 4, lambda_W: 0.01, lambda_H: 0.005, loss: pal, bias: none", "T", 277.590568492614},
		{"fixed_simplex_decay", "K: 4, n: 3, d: 3, E_W: 1, lambda_H: 0.01", "gap", 2.631243959079424},
		{"fixed_orthoplex_decay", "K: 6, n: 1, d: 3, E_W: 1, lambda_H: 0.01", "value", 0.4534278219848866},
		{"fixed_cube_decay", "K: 8, n: 1, d: 3, E_W: 2, lambda_H: 0.005", "value", 0.34811400880685484},
		{"fixed_identity_ball", "K: 4, n: 1, d: 4, E_W: 1, radius: 2", "value", 0.2607954635503411},
		{"dot_regression_decay", "counts: [6, 2, 1], d: 2, E_W: 1, E_H: 4, lambda_H: 0.05", "value", 0.4736842105263158},
		{"saddle_two_pairs", "K: 4, n: 2, d: 5, lambda_W: 0.02, lambda_H: 0.02, loss: ce, bias: none", "value", 0.9105666207463206},
		{"max_margin", "counts: [4, 4, 4], bias: none", "max_margin_unit_norm", 0.125},
	} {
		spec, err := ReadSpec([]byte("problem: " + c.problem + "\nparams: {" + c.params + "}\n"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Answer(ctx, spec, Options{Method: "none"})
		if err != nil {
			t.Errorf("%s: %v", c.problem, err)
			continue
		}
		if got := r.ClosedForm.Number(c.field); !(math.Abs(got-c.want) <= 1e-10*math.Abs(c.want)) {
			t.Errorf("%s: %s is %.16g, wanted %.16g", c.problem, c.field, got, c.want)
		}
	}
}
