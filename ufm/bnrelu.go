package ufm

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/optimize"
)

var bnReLUQuestions = []Question{
	{"bn_relu_squared", "squared error of free neurons behind batch normalisation and ReLU (Ergen, Pilanci 2021)", "K n beta neurons loss=mse_sum bias", bnReLU},
}

// A batchNorm is the model of Ergen & Pilanci (2021), Theorem 4.4: m neurons with free rows r_j over the N samples,
//
//	|W relu(BN(R)) - Y|^2/2 + beta/2 (|W|^2 + |gamma|^2 + |alpha|^2),  BN(r) = gamma (r - mean)/|r - mean| + alpha/sqrt N
//
// with the Euclidean norm in place of the standard deviation, which is sqrt N times smaller. In x stand R (m x N), gamma (m),
// alpha (m) and W (K x m).
type batchNorm struct {
	k, n, m int
	beta    float64
}

func (b *batchNorm) size() int { return b.m*b.k*b.n + 2*b.m + b.k*b.m }

func (b *batchNorm) value(x, g []float64) float64 {
	samples, m := b.k*b.n, b.m
	at := m * samples
	rows, gamma, alpha, w := x[:at], x[at:at+m], x[at+m:at+2*m], x[at+2*m:]
	gRows, gGamma, gAlpha, gW := g[:at], g[at:at+m], g[at+m:at+2*m], g[at+2*m:]
	unit, features := make([]float64, at), make([]float64, at)
	lengths := make([]float64, m)
	for j := range m {
		u := unit[j*samples : (j+1)*samples]
		copy(u, rows[j*samples:])
		centre(u)
		lengths[j] = frobenius(u)
		kernel.Scale64(u, 1/lengths[j])
		for i, v := range u {
			features[j*samples+i] = max(0, gamma[j]*v+alpha[j]/math.Sqrt(float64(samples)))
		}
	}
	residual := make([]float64, b.k*samples)
	kernel.Gemm64(false, false, b.k, samples, m, 1, w, m, features, samples, 0, residual, samples)
	for i := range samples {
		residual[i/b.n*samples+i]--
	}
	value := (kernel.SumSquares64(residual) + b.beta*kernel.SumSquares64(x[at:])) / 2
	kernel.Gemm64(false, true, b.k, m, samples, 1, residual, samples, features, samples, 0, gW, m)
	kernel.Gemm64(true, false, m, samples, b.k, 1, w, m, residual, samples, 0, gRows, samples)
	for j := range m {
		u, f, gr := unit[j*samples:(j+1)*samples], features[j*samples:(j+1)*samples], gRows[j*samples:(j+1)*samples]
		sum := 0.0
		for i := range gr {
			if f[i] <= 0 {
				gr[i] = 0
			}
			sum += gr[i]
		}
		along := kernel.Dot64(gr, u)
		gGamma[j], gAlpha[j] = along, sum/math.Sqrt(float64(samples))
		kernel.Axpy64(gr, -along, u)
		centre(gr)
		kernel.Scale64(gr, gamma[j]/lengths[j])
	}
	kernel.Axpy64(g[at:], b.beta, x[at:])
	return value
}

// centre subtracts the mean.
func centre(v []float64) {
	mean := 0.0
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for i := range v {
		v[i] -= mean
	}
}

func bnReLU(ctx context.Context, p *params, o Options) (*Report, error) {
	b := &batchNorm{k: p.classes("K"), n: p.count("n"), beta: p.positive("beta"), m: p.count("neurons")}
	p.oneOf("loss", "mse_sum")
	p.oneOf("bias", string(NoBias))
	if b.m < b.k {
		p.fail("neurons", "%d, wanted at least the %d classes", b.m, b.k)
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	k, n := float64(b.k), float64(b.n)
	root := math.Sqrt(n)
	s := max(0, 1-b.beta/root)
	value := k * n / 2
	if s > 0 {
		value = k * (b.beta*root - b.beta*b.beta/2)
	}
	scale := math.Sqrt(max(0, root-b.beta))
	gamma, alpha := math.Sqrt(1-1/k), 1/math.Sqrt(k)
	r := &Report{}
	r.ClosedForm = Fields{{"value", value}, {"s", s}, {"trivial", s == 0},
		{"feature_row_norm", scale}, {"gamma", gamma * scale}, {"alpha", alpha * scale}, {"w_norm", scale},
		{"unit_gamma", gamma}, {"unit_alpha", alpha}, {"w_norm_if_unit", max(0, root-b.beta)},
		{"theorem", "Ergen, Pilanci 2021, Theorem 4.4"}, {"proved", true}}
	if s == 0 {
		r.Words = []string{fmt.Sprintf("Everything is zero: beta is at least sqrt n = %.6g.", root)}
	} else {
		r.Words = []string{"One neuron is active per class, on its samples alone: the features are an orthogonal frame, about their mean a simplex."}
	}
	return r, b.search(ctx, r, o)
}

// mostVariables is the size up to which the rows of neurons are searched.
const mostVariables = 20_000

// search adds the best of several starts to the report.
func (b *batchNorm) search(ctx context.Context, r *Report, o Options) error {
	if o.Method == methodNone || (b.m > mostVariables/(b.k*b.n) && !o.Numeric) {
		r.NotSolved = notRequested
		return nil
	}
	seeds := o.Seeds
	if seeds < 1 {
		seeds = 5
	}
	var results []optimize.Result
	for seed := range seeds {
		random := rand.New(rand.NewPCG(o.Seed+uint64(seed), 0))
		x := make([]float64, b.size())
		for i := range x {
			x[i] = random.NormFloat64()
		}
		results = append(results, optimize.LBFGS(ctx, optimize.Problem{Value: b.value}, x, optimize.Settings{Gradient: 1e-9, Iterations: 5000}))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	best, atBest := lowestOf(results)
	r.Solved = Fields{{"value", best.Value}, {"status", string(best.Status)}, {"iterations", best.Iterations}, {"gradient_norm", best.GradientNorm},
		{"seeds", seeds}, {"seeds_at_best", atBest}}
	return nil
}

// lowestOf returns the best of several searches, and how many ended within 1e-8 of it.
func lowestOf(results []optimize.Result) (best optimize.Result, atBest int) {
	best = results[0]
	for _, r := range results {
		if r.Value < best.Value {
			best = r
		}
	}
	for _, r := range results {
		if r.Value <= best.Value+1e-8 {
			atBest++
		}
	}
	return best, atBest
}
