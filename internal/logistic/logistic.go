// Package logistic fits one-vs-rest logistic regression: the linear baseline for rows with several tags, one binary problem a tag.
package logistic

import (
	"context"
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/optimize"
	"github.com/collapsar/collapsar/internal/parallel"
)

// Model is K linear functions: a row x has tag k with probability 1/(1 + exp(-(w_k x + b_k))).
type Model struct {
	Tags, Dim     int
	Weights, Bias []float64 // K x d and K
}

// Fit minimises, for each tag, c sum_i ln(1 + exp(-y_i (w x_i + b))) + |w|^2/2 with y_i = 1 or -1: what scikit-learn calls C, with the
// bias free. x is n x d, tags n x k of 0 and 1. A tag that all rows have, or none, gets weights of zero and a bias of plus or minus
// infinity, where the minimum lies. The tags are fitted at the same time, each to a gradient of 1e-8 c n.
func Fit(ctx context.Context, x []float64, d int, tags []uint8, k int, c float64) (*Model, error) {
	if d < 1 || k < 1 || len(x) == 0 || len(x)%d != 0 || len(tags) != len(x)/d*k {
		return nil, fmt.Errorf("logistic: %d numbers in rows of %d, %d tags of %d", len(x), d, len(tags), k)
	}
	if !(c > 0) || math.IsInf(c, 0) {
		return nil, fmt.Errorf("logistic: c is %v, expected a number above 0", c)
	}
	m := &Model{Tags: k, Dim: d, Weights: make([]float64, k*d), Bias: make([]float64, k)}
	failed := make([]error, k)
	parallel.For(k, func(_, tag int) {
		b := newBinary(x, d, tags, k, tag, c)
		if b.positive == 0 || b.positive == len(b.y) {
			m.Bias[tag] = math.Inf(2*b.positive - 1)
			return
		}
		r := optimize.TrustRegion(ctx, optimize.Problem{Value: b.value, Product: b.product}, make([]float64, d+1),
			optimize.Settings{Gradient: 1e-8 * c * float64(len(b.y)), Iterations: 1000})
		switch r.Status {
		case optimize.Converged, optimize.Stalled:
		default:
			failed[tag] = fmt.Errorf("logistic: tag %d: %s after %d steps", tag, r.Status, r.Iterations)
		}
		copy(m.Weights[tag*d:(tag+1)*d], r.X)
		m.Bias[tag] = r.X[d]
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, err := range failed {
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Logits writes w_k x + b_k of rows, n x k.
func (m *Model) Logits(x []float64) []float64 {
	n := len(x) / m.Dim
	z := make([]float64, n*m.Tags)
	kernel.Gemm64(false, true, n, m.Tags, m.Dim, 1, x, m.Dim, m.Weights, m.Dim, 0, z, m.Tags)
	for i := range n {
		kernel.Add64(z[i*m.Tags:(i+1)*m.Tags], m.Bias)
	}
	return z
}

// binary is the problem of one tag; the last variable is the bias.
type binary struct {
	x        []float64
	d        int
	y        []float64 // 1 or -1
	positive int
	c        float64

	at   []float64 // where curve was taken
	curv []float64 // c p (1-p) of each row
}

func newBinary(x []float64, d int, tags []uint8, k, tag int, c float64) *binary {
	b := &binary{x: x, d: d, y: make([]float64, len(x)/d), c: c}
	b.curv = make([]float64, len(b.y))
	for i := range b.y {
		if b.y[i] = -1; tags[i*k+tag] != 0 {
			b.y[i] = 1
			b.positive++
		}
	}
	return b
}

// value is the objective; g is its gradient.
func (b *binary) value(v, g []float64) float64 {
	w, sum := v[:b.d], kernel.SumSquares64(v[:b.d])/2
	copy(g, w)
	g[b.d] = 0
	for i, y := range b.y {
		row := b.x[i*b.d : (i+1)*b.d]
		z := y * (kernel.Dot64(w, row) + v[b.d])
		var p float64 // of the wrong answer
		if z > 0 {
			e := math.Exp(-z)
			sum += b.c * math.Log1p(e)
			p = e / (1 + e)
		} else {
			e := math.Exp(z)
			sum += b.c * (math.Log1p(e) - z)
			p = 1 / (1 + e)
		}
		b.curv[i] = b.c * p * (1 - p)
		kernel.Axpy64(g[:b.d], -b.c*y*p, row)
		g[b.d] -= b.c * y * p
	}
	b.at = append(b.at[:0], v...)
	return sum
}

// product is the Hessian at v times dv.
func (b *binary) product(v, dv, out []float64) {
	for i := range v {
		if len(b.at) == 0 || b.at[i] != v[i] {
			b.value(v, make([]float64, len(v)))
			break
		}
	}
	copy(out, dv[:b.d])
	out[b.d] = 0
	for i, c := range b.curv {
		row := b.x[i*b.d : (i+1)*b.d]
		s := c * (kernel.Dot64(dv[:b.d], row) + dv[b.d])
		kernel.Axpy64(out[:b.d], s, row)
		out[b.d] += s
	}
}
