package ufm

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// The closed form against the lowest of a fine grid of the cost of one direction.
func TestDeepSquareIsLowest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	trivial := 0
	for range 300 {
		m := 2 + r.IntN(5)
		d := depth{classes: 2 + r.IntN(5), samples: 1 + r.IntN(5), bias: []Bias{NoBias, FreeBias}[r.IntN(2)]}
		for range m {
			d.decays = append(d.decays, math.Exp(-3*r.Float64())/float64(d.classes))
		}
		q := d.square()
		lowest := math.Inf(1)
		for i := range 20001 {
			s := float64(i) / 20000
			lowest = min(lowest, (1-s)*(1-s)+float64(m)*q.kb*math.Pow(s, 2/float64(m)))
		}
		lowest *= q.directions / (2 * float64(d.classes))
		if q.value > lowest+1e-12 || q.value < lowest-1e-6 {
			t.Errorf("%+v: %.12g, the lowest of a grid is %.12g", d, q.value, lowest)
		}
		if q.s == 0 {
			trivial++
		}
	}
	if trivial < 30 || trivial > 270 {
		t.Errorf("%d of 300 are zero: the cases do not cover both", trivial)
	}
}

// Known thresholds: M = 2 is continuous at 1; M = 3 jumps at 2^(-4/3) (Tirer & Bruna 2022), M = 4 at (2/3)^(1/2)/3.
func TestDeepThresholds(t *testing.T) {
	for m, want := range map[int][3]float64{2: {0, 1, 1}, 3: {0.5, math.Pow(2, -4./3), 0.4724703937105774}, 4: {2. / 3, math.Sqrt(2./3) / 3, 0.3849001794597505}} {
		d := depth{classes: 2, samples: 1}
		for range m {
			d.decays = append(d.decays, 0.1)
		}
		q := d.square()
		for i, got := range []float64{q.atGlobal, q.global, q.existence} {
			if math.Abs(got-want[i]) > 1e-12 {
				t.Errorf("M = %d: %.15g, want %.15g", m, got, want[i])
			}
		}
	}
	// just below and above the jump
	for _, side := range []float64{-1, 1} {
		d := depth{classes: 1, samples: 1, decays: []float64{1, 1, math.Pow(math.Pow(2, -4./3)*(1+side*1e-9), 3)}}
		if q := d.square(); (q.s == 0) != (side > 0) || math.Abs(q.value-0.5) > 1e-8 {
			t.Errorf("side %g: s %g, value %g", side, q.s, q.value)
		}
	}
}

// Two factors are cross-entropy with decay, where the simplex is proved; there no orthoplex is lower.
func TestDeepCEOfTwoFactors(t *testing.T) {
	for _, k := range []int{2, 3, 4, 6, 10} {
		spec := Spec{"deep_linear_ce", map[string]any{"K": k, "n": 3, "widths": []any{k}, "lambdas": []any{0.01, 0.002}, "bias": "none"}}
		r, err := Answer(context.Background(), spec, Options{Method: methodNone})
		if err != nil {
			t.Fatal(err)
		}
		want := ceDecayValue(k, 3, decays{W: 0.01, H: 0.002})
		if got := r.ClosedForm.Number("value"); math.Abs(got-want) > 1e-12 {
			t.Errorf("K = %d: %.15g, want %.15g", k, got, want)
		}
		if best, _ := r.ClosedForm.Get("best"); best != "simplex" {
			t.Errorf("K = %d: %v", k, best)
		}
	}
}

// A search never ends below the closed form.
func TestDeepSearchIsNotLower(t *testing.T) {
	for i, spec := range []Spec{
		{"deep_linear_mse", map[string]any{"K": 4, "n": 3, "widths": []any{4, 5, 6}, "lambdas": []any{0.02, 0.03, 0.01, 0.02}, "bias": "free"}},
		{"two_layer_relu_mse", map[string]any{"K": 3, "n": 2, "widths": []any{6, 6}, "lambdas": []any{0.02, 0.02, 0.03}, "bias": "none"}},
		{"mse_nonneg_features", map[string]any{"K": 5, "n": 2, "d": 6, "lambda_W": 0.01, "lambda_H": 0.02, "bias": "free", "constraint": "nonneg"}},
		{"ce_nonneg_features", map[string]any{"K": 5, "n": 3, "d": 7, "lambda_W": 0.003, "lambda_H": 0.002, "bias": "none", "constraint": "nonneg"}},
		{"deep_linear_ce", map[string]any{"K": 6, "n": 2, "widths": []any{7, 6}, "lambdas": []any{0.003, 0.002, 0.002}, "bias": "none"}},
	} {
		t.Run(fmt.Sprint(i, spec.Problem), func(t *testing.T) {
			r, err := Answer(context.Background(), spec, Options{Seeds: 10})
			if err != nil {
				t.Fatal(err)
			}
			closed, solved := r.ClosedForm.Number("value"), r.Solved.Number("value")
			if !(solved >= closed-1e-8) || !(solved <= closed+1e-7) {
				t.Errorf("search %.12g, closed form %.12g", solved, closed)
			}
		})
	}
}
