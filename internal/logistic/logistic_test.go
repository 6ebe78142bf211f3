package logistic

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/collapsar/collapsar/internal/optimize"
)

// rows are those of testdata/make_logistic.py.
func rows() (x []float64, d int) {
	for i := range 60 {
		for j := range 7 {
			s := float64(7*i + j + 1)
			x = append(x, math.Sin(.37*s*s))
		}
	}
	return x, 7
}

// Weights and biases are those of scikit-learn, whose solver stops at about six digits.
func TestScikitLearn(t *testing.T) {
	data, err := os.ReadFile("../../testdata/logistic.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref struct {
		Tags  []int
		Cases []struct {
			C       float64
			Weights [][]float64
			Bias    []float64
		}
	}
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	tags := make([]uint8, len(ref.Tags))
	for i, v := range ref.Tags {
		tags[i] = uint8(v)
	}
	x, d := rows()
	for _, c := range ref.Cases {
		m, err := Fit(context.Background(), x, d, tags, 3, c.C)
		if err != nil {
			t.Fatal(err)
		}
		for k := range c.Bias {
			near := func(what string, have, want float64) {
				if math.Abs(have-want) > 1e-5*max(1, math.Abs(want)) {
					t.Errorf("C %v, tag %d, %s: %v, scikit-learn has %v", c.C, k, what, have, want)
				}
			}
			near("bias", m.Bias[k], c.Bias[k])
			for j, w := range c.Weights[k] {
				near("weight", m.Weights[k*d+j], w)
			}
			b := newBinary(x, d, tags, 3, k, c.C) // and the gradient is zero there
			g := make([]float64, d+1)
			b.value(append(append([]float64{}, m.Weights[k*d:(k+1)*d]...), m.Bias[k]), g)
			for _, v := range g {
				if math.Abs(v) > 1e-6*c.C*60 {
					t.Errorf("C %v, tag %d: gradient %v", c.C, k, v)
				}
			}
		}
	}
}

// A tag that all rows have, or none, is decided by the bias alone.
func TestConstantTags(t *testing.T) {
	m, err := Fit(context.Background(), []float64{1, 2, 3}, 1, []uint8{1, 0, 1, 0, 1, 0}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	if z := m.Logits([]float64{5}); !math.IsInf(z[0], 1) || !math.IsInf(z[1], -1) {
		t.Error(z)
	}
	for _, bad := range []struct {
		x []float64
		c float64
	}{{[]float64{1}, 1}, {[]float64{1, 2, 3}, 0}, {[]float64{1, 2, 3}, math.Inf(1)}} {
		if _, err := Fit(context.Background(), bad.x, 1, []uint8{1, 0, 1, 0, 1, 0}, 2, bad.c); err == nil {
			t.Error("taken:", bad)
		}
	}
}

// Gradient and Hessian products agree with differences.
func TestDerivatives(t *testing.T) {
	x, d := rows()
	tags := make([]uint8, 60)
	for i := range tags {
		tags[i] = uint8(i % 3 & 1)
	}
	b := newBinary(x, d, tags, 1, 0, 2)
	at := []float64{.3, -.2, .5, .1, -.7, .4, .2, -.1}
	p := optimize.Problem{Value: b.value, Product: b.product}
	g, v, hv, up, down := make([]float64, 8), []float64{1, -1, .5, .2, 0, .3, -.4, .7}, make([]float64, 8), make([]float64, 8), make([]float64, 8)
	p.Value(at, g)
	p.Product(at, v, hv)
	const h = 1e-5
	move := func(s float64) []float64 {
		out := append([]float64{}, at...)
		for i := range out {
			out[i] += s * v[i]
		}
		return out
	}
	slope := (p.Value(move(h), up) - p.Value(move(-h), down)) / (2 * h)
	want := 0.0
	for i := range g {
		want += g[i] * v[i]
		if d := (up[i] - down[i]) / (2 * h); math.Abs(d-hv[i]) > 1e-6*max(1, math.Abs(d)) {
			t.Errorf("Hessian product %d: %v, by differences %v", i, hv[i], d)
		}
	}
	if math.Abs(slope-want) > 1e-6*max(1, math.Abs(want)) {
		t.Errorf("slope %v, by differences %v", want, slope)
	}
}
