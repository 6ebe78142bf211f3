package ufm

import (
	"context"
	"math"
	"testing"
)

func cureRows(t *testing.T, problem string, params map[string]any) map[string]Fields {
	r, err := Answer(context.Background(), Spec{problem, params}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := r.ClosedForm.Get("rows")
	out := map[string]Fields{}
	for _, row := range rows.([]Fields) {
		name, _ := row.Get("cure")
		out[name.(string)] = row
	}
	return out
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-11*max(1, math.Abs(want))) {
		t.Errorf("%s: %.15g, want %.15g", what, got, want)
	}
}

// With bounded energies, weights and resampling give back the balanced optimum (Fang et al. 2021), and so does dot regression on
// the fixed simplex (Yang et al. 2022); nothing is the imbalanced optimum itself.
func TestCuresWithin(t *testing.T) {
	const ka, kb, ew, eh = 4, 3, 2.0, 3.0
	rows := cureRows(t, "imbalance_cures", map[string]any{"K_A": ka, "K_B": kb, "n_A": 200, "n_B": 10, "E_W": ew, "E_H": eh})
	gap := math.Sqrt(ew*eh) * 7 / 6
	for _, name := range []string{"class_weights", "oversampling", "undersampling", "fixed_simplex_dot_regression"} {
		for _, field := range []string{"gap_major", "gap_minor", "gap_major_to_minor", "gap_minor_to_major"} {
			near(t, name+" "+field, rows[name].Number(field), gap)
		}
		near(t, name+" balanced_loss", rows[name].Number("balanced_loss"), math.Log1p(6*math.Exp(-gap)))
		near(t, name+" cos_w_minor", rows[name].Number("cos_w_minor"), -1./6)
		near(t, name+" w_norm_minor", rows[name].Number("w_norm_minor"), math.Sqrt(ew))
		near(t, name+" h_norm_major", rows[name].Number("h_norm_major"), math.Sqrt(eh))
	}
	r, err := Answer(context.Background(), Spec{"layer_peeled_imbalanced", map[string]any{"K_A": ka, "K_B": kb, "E_W": ew, "E_H": eh, "ratios": []any{20}, "constraint": "energy", "bias": "none"}}, Options{Method: methodNone})
	if err != nil {
		t.Fatal(err)
	}
	sweep, _ := r.ClosedForm.Get("rows")
	for _, field := range []string{"gap_minor", "gap_minor_to_major", "cos_w_cross", "h_norm_minor"} {
		near(t, "none "+field, rows["none"].Number(field), sweep.([]Fields)[0].Number(field))
	}
	// Logit adjustment makes the margin of small classes against large ones wider than that of large against small ones.
	if a := rows["logit_adjustment"]; !(a.Number("gap_minor_to_major") > rows["none"].Number("gap_minor_to_major")) {
		t.Errorf("logit adjustment: %v", a)
	}
}

// With decays, resampled classes are balanced ones of the size that they are brought to.
func TestCuresWithDecay(t *testing.T) {
	const ka, kb, na, nb, lw, lh = 4, 3, 200, 10, 2e-4, 3e-5
	rows := cureRows(t, "imbalance_cures_decay", map[string]any{"K_A": ka, "K_B": kb, "n_A": na, "n_B": nb, "lambda_W": lw, "lambda_H": lh})
	for name, n := range map[string]float64{"oversampling": na, "undersampling": nb} {
		gap := math.Log(1/math.Sqrt(n*lw*lh) - 6)
		for _, field := range []string{"gap_major", "gap_minor", "gap_major_to_minor", "gap_minor_to_major"} {
			near(t, name+" "+field, rows[name].Number(field), gap)
		}
	}
	r, err := Answer(context.Background(), Spec{"ce_decay_imbalanced", map[string]any{"counts": []any{na, na, na, na, nb, nb, nb}, "d": 7, "lambda_W": lw, "lambda_H": lh, "bias": "none"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"gap_minor", "gap_minor_to_major", "cos_w_cross", "h_norm_minor"} {
		near(t, "none "+field, rows["none"].Number(field), r.ClosedForm.Number(field))
	}
}
