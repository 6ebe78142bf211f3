package ufm

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
)

// What is missing, unknown, of the wrong kind or size is refused by name, or answered; nothing panics, hangs, or takes memory
// for it (which the limits of the test run would show). Each problem is tried at one of its reference cases.
func TestRefusals(t *testing.T) {
	ctx := context.Background()
	seen := map[string]bool{}
	for _, c := range referenceCases(t) {
		if seen[c.Problem] {
			continue
		}
		seen[c.Problem] = true
		if starts, ok := c.Params["starts"].([]any); ok {
			c.Params["starts"] = starts[:2]
		}
		ask := func(params map[string]any) error {
			_, err := Answer(ctx, Spec{c.Problem, params}, Options{Method: methodNone})
			return err
		}
		for name := range c.Params {
			params := maps.Clone(c.Params)
			delete(params, name)
			if err := ask(params); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s without %s: %v", c.Problem, name, err)
			}
			for _, bad := range []any{nil, "x", -1, 0, 1e-300, 0.5, 1e9, 1e300, "NaN", []any{}, []any{0}, []any{-1, 1e300}, []any{1e9, 1e9, 1e9}, []any{[]any{1, 2, 3}},
				map[string]any{}, map[string]any{"det": []any{1e9, 1e9, 1}, "scale": 1}, map[string]any{"kind": "all_subsets", "size": 1e9}, true} {
				params[name] = bad
				if err := ask(params); err != nil && !strings.Contains(err.Error(), c.Problem) {
					t.Errorf("%s with %s = %v: the message does not name the problem: %v", c.Problem, name, bad, err)
				}
			}
		}
		params := maps.Clone(c.Params)
		params["zzz"] = 1
		if err := ask(params); err == nil || !strings.Contains(err.Error(), "zzz") {
			t.Errorf("%s with an unknown parameter: %v", c.Problem, err)
		}
	}
	if len(seen) == 0 {
		t.Error("no cases")
	}
}

// Messages of refusals say what is wrong, what was given, and what is wanted.
func TestRefusalMessages(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{"layer_peeled_imbalanced", map[string]any{"K_A": 5, "K_B": 5, "E_W": 1, "E_H": 5, "ratios": []any{1, 0.5}, "constraint": "energy", "bias": "none"}},
			"layer_peeled_imbalanced: ratios[1]: 0.5, wanted at least 1: A are the larger classes"},
		{Spec{"layer_peeled_threshold_search", map[string]any{"K_A": 5, "K_B": 5, "E_W": 1, "E_H": 5, "between": []any{1, 10}}},
			"layer_peeled_threshold_search: between: the small classes are apart at ratio 10 still, wanted a larger one to end with"},
		{Spec{"layer_peeled_threshold_search", map[string]any{"K_A": 5, "K_B": 5, "E_W": 1, "E_H": 5, "between": []any{13, 100}}},
			"layer_peeled_threshold_search: between: the small classes coincide at ratio 13 already, wanted a smaller one to begin with"},
		{Spec{"layer_peeled_threshold_search", map[string]any{"K_A": 5, "K_B": 1, "E_W": 1, "E_H": 5, "between": []any{1, 100}}},
			"layer_peeled_threshold_search: K_B: 1, wanted at least 2 classes: one alone cannot coincide with another"},
		{Spec{"ce_decay_imbalanced", map[string]any{"counts": []any{5, 5, 2, 0}, "d": 5, "lambda_W": 0.1, "lambda_H": 0.1, "bias": "none"}},
			"ce_decay_imbalanced: counts[3]: 0, wanted at least 1"},
		{Spec{"ce_decay_imbalanced", map[string]any{"counts": []any{2, 5, 5}, "d": 5, "lambda_W": 0.1, "lambda_H": 0.1, "bias": "none"}},
			"ce_decay_imbalanced: counts: [2 5 5], wanted two sizes, the large classes first (ce_decay_imbalanced_groups takes any)"},
		{Spec{"ce_decay_imbalanced", map[string]any{"counts": []any{5, 5, 2}, "d": 1, "lambda_W": 0.1, "lambda_H": 0.1, "bias": "none"}},
			"ce_decay_imbalanced: d: 1, wanted at least 2 (K-1): with fewer the nuclear norm is only a bound; --numeric searches"},
		{Spec{"deep_linear_mse", map[string]any{"K": 3, "n": 2, "widths": []any{4, 2}, "lambdas": []any{0.1, 0.1, 0.1}, "bias": "none"}},
			"deep_linear_mse: widths[1]: 2, wanted at least the 3 classes"},
		{Spec{"supcon", map[string]any{"K": 3, "n": 4, "d": 2, "tau": 0.5, "radius": 1, "constraint": "sphere", "self_included": false, "batches": map[string]any{"kind": "fixed_disjoint", "size": 7, "per_class": 2}}},
			"supcon: batches.size: 7, wanted 6: 2 of each class"},
		{Spec{"imbalance_cures", map[string]any{"K_A": 5, "K_B": 5, "n_A": 1, "n_B": 5, "E_W": 1, "E_H": -5}},
			"imbalance_cures: n_A: 1, wanted at least n_B, 5: A are the larger classes"},
		{Spec{"snr_flow", map[string]any{"K": 3, "n": 5, "omega0": []any{1, 2, 3}, "t": 1}},
			"snr_flow: omega0: 3 values, wanted at most K-1 = 2"},
	} {
		_, err := Answer(context.Background(), c.spec, Options{Method: methodNone})
		if fmt.Sprint(err) != c.want {
			t.Errorf("%s\n got %v\nwant %s", c.spec.Problem, err, c.want)
		}
	}
}

// Where theory has no formula, an answer comes from the search alone, and says so.
func TestTooFewDimensions(t *testing.T) {
	spec := Spec{"ce_decay_imbalanced", map[string]any{"counts": []any{9, 9, 4, 4, 4}, "d": 2, "lambda_W": 0.005, "lambda_H": 0.005, "bias": "none"}}
	r, err := Answer(context.Background(), spec, Options{Numeric: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.ClosedForm != nil || r.Solved == nil {
		t.Errorf("closed form %v, solved %v", r.ClosedForm, r.Solved)
	}
	groups := Spec{"ce_decay_imbalanced_groups", map[string]any{"counts": []any{9, 9, 4, 4, 4}, "d": 2, "decays": []any{[]any{0.005, 0.005}}}}
	if _, err := Answer(context.Background(), groups, Options{}); err == nil {
		t.Error("too few dimensions were taken")
	}
	several, err := Answer(context.Background(), groups, Options{Numeric: true})
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := several.Solved.Get("rows")
	if row := rows.([]Fields)[0]; math.Abs(row.Number("value")-r.Solved.Number("value")) > 1e-8 {
		t.Errorf("%v, want the value %g", row, r.Solved.Number("value"))
	}
	spec.Params["d"] = 4
	wide, err := Answer(context.Background(), spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !(r.Solved.Number("value") > wide.ClosedForm.Number("value")+1e-3) {
		t.Errorf("in two dimensions %g, in four %g", r.Solved.Number("value"), wide.ClosedForm.Number("value"))
	}
}
