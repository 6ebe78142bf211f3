package ufm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/ode"
	"github.com/collapsar/collapsar/internal/optimize"
	"github.com/collapsar/collapsar/internal/root"
)

var pathQuestions = []Question{
	{"mse_central_path", "squared error of a classifier, taken apart around the least-squares one (Han, Papyan, Donoho 2021)", "K n d lambda_W lambda_b bias H W b", centralPath},
	{"snr_flow", "renormalised flow on the central path: signal-to-noise ratios (Han, Papyan, Donoho 2021)", "K n omega0 t", snrFlow},
}

// centralPath evaluates, with x = [h, 1], one decay lambda on [W, b] and fixed features,
//
//	F(W) = |X W^T - Y|^2/(2N) + lambda/2 |W|^2 = F(W_LS) + tr((W - W_LS) C (W - W_LS)^T)/2
//	F(W_LS) = tr(W_LS (Sigma_W + lambda I) W_LS^T)/2 + |W_LS M^T - I|^2/(2K)
//
// with C = X^T X/N + lambda I, W_LS = M C^-1/K, M the K class means of x (Webb & Lowe 1990; Han et al. 2021).
func centralPath(_ context.Context, p *params, _ Options) (*Report, error) {
	k, n, d := p.classes("K"), p.count("n"), p.count("d")
	lambda := p.positive("lambda_W")
	if _, decay := p.bias(); p.err == nil && decay != lambda {
		p.fail("lambda_b", "%g, wanted lambda_W, %g, with a decayed bias", decay, lambda)
	}
	if k*n > mostFlow {
		p.fail("n", "%d samples in all, wanted at most %d", k*n, mostFlow)
	}
	h, w := p.matrix("H", k*n, d, 0), p.matrix("W", k, d, 0)
	b := p.reals("b")
	if p.err == nil && len(b) != k {
		p.fail("b", "%d numbers, wanted %d", len(b), k)
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	samples := k * n
	e := d + 1
	x := make([]float64, samples*e)
	for i := range samples {
		copy(x[i*e:], h[i*d:(i+1)*d])
		x[i*e+d] = 1
	}
	given := make([]float64, k*e)
	for i := range k {
		copy(given[i*e:], w[i*d:(i+1)*d])
		given[i*e+d] = b[i]
	}
	means := classMeans(k, n, e, x)
	c := make([]float64, e*e)
	kernel.Gemm64(true, false, e, e, samples, 1/float64(samples), x, e, x, e, 0, c, e)
	for i := range e {
		c[i*e+i] += lambda
	}
	within := make([]float64, e*e) // covariance within classes
	for i := range samples {
		row := difference(x[i*e:(i+1)*e], means[i/n*e:(i/n+1)*e])
		for j, v := range row {
			kernel.Axpy64(within[j*e:(j+1)*e], v/float64(samples), row)
		}
	}
	factor := slices.Clone(c)
	if !linalg.Cholesky(e, factor) {
		return nil, fmt.Errorf("lambda_W: %g, wanted more: the second moments of the features are singular to rounding", lambda)
	}
	inverse := linalg.CholeskyInverse(e, factor)
	least := make([]float64, k*e)
	kernel.Gemm64(false, false, k, e, e, 1/float64(k), means, e, inverse, e, 0, least, e)

	perp := quadratic(k, e, difference(given, least), c) / 2
	spread := (quadratic(k, e, least, within) + lambda*kernel.SumSquares64(least)) / 2
	misses := 0.0
	for i := range k {
		for j := range k {
			v := kernel.Dot64(least[i*e:(i+1)*e], means[j*e:(j+1)*e])
			if i == j {
				v--
			}
			misses += v * v / (2 * float64(k))
		}
	}
	total := lambda / 2 * kernel.SumSquares64(given)
	for i := range samples {
		for j := range k {
			v := kernel.Dot64(x[i*e:(i+1)*e], given[j*e:(j+1)*e])
			if j == i/n {
				v--
			}
			total += v * v / (2 * float64(samples))
		}
	}
	rows := make([][]float64, k)
	for i := range rows {
		rows[i] = least[i*e : (i+1)*e]
	}
	r := &Report{NotSolved: "nothing_to_solve"}
	r.ClosedForm = Fields{{"total", total}, {"LS", spread + misses}, {"perp", perp}, {"NC1_term", spread}, {"NC23_term", misses}, {"W_LS", rows}}
	ratios, err := signalToNoise(k, n, d, h)
	if err != nil {
		return nil, err
	}
	if ratios != nil {
		r.ClosedForm.Add("LS_lambda0", leastSquaresLoss(k, ratios))
		r.ClosedForm.Add("snr_singular_values", ratios)
	} else {
		r.ClosedForm.Add("LS_lambda0", nil)
		r.ClosedForm.Add("snr_singular_values", nil)
		r.Words = append(r.Words, "The covariance within the classes is singular: the signal-to-noise matrix does not exist.")
	}
	r.ClosedForm.Add("theorem", "Webb, Lowe 1990; Han, Papyan, Donoho 2021")
	r.ClosedForm.Add("proved", true)
	r.Words = append(r.Words, fmt.Sprintf("Of the loss %.6g, %.6g is the way to the least-squares classifier; of what that one has, %.6g is spread within the classes and %.6g misses of the class means.", total, perp, spread, misses))
	return r, nil
}

// quadratic is the trace of A C A^T for a rows x n matrix A and a symmetric n x n matrix C.
func quadratic(rows, n int, a, c []float64) float64 {
	sum := 0.0
	for i := range rows {
		row := a[i*n : (i+1)*n]
		for j, v := range row {
			sum += v * kernel.Dot64(c[j*n:(j+1)*n], row)
		}
	}
	return sum
}

// signalToNoise returns the min(K-1, d) singular values of M Sigma_W^(-1/2), M the centred class means, descending; nil where
// Sigma_W is singular.
func signalToNoise(k, n, d int, h []float64) ([]float64, error) {
	means := classMeans(k, n, d, h)
	noise := make([]float64, d*d)
	for i := range k * n {
		row := difference(h[i*d:(i+1)*d], means[i/n*d:(i/n+1)*d])
		for j, v := range row {
			kernel.Axpy64(noise[j*d:(j+1)*d], v/float64(k*n), row)
		}
	}
	if !linalg.Cholesky(d, noise) {
		return nil, nil
	}
	// With Sigma_W = L L^T, M L^-T has the same singular values; its transpose is L^-1 M^T.
	signal := make([]float64, d*k)
	for i, v := range centreRows(k, d, means) {
		signal[i%d*k+i/d] = v
	}
	linalg.SolveLower(d, noise, k, signal)
	s, err := linalg.SingularValues(d, k, signal)
	if err != nil {
		return nil, err
	}
	return s[:min(k-1, d)], nil
}

// leastSquaresLoss is the loss of the least-squares classifier with a free bias and no decay, (1/2) sum over K-1 directions of
// 1/(K + omega^2); directions beyond those given have omega = 0.
func leastSquaresLoss(k int, omega []float64) float64 {
	sum := float64(k-1-len(omega)) / float64(k)
	for _, w := range omega {
		sum += 1 / (float64(k) + w*w)
	}
	return sum / 2
}

// snrFlow follows d omega/dt = omega/(n (K + omega^2)^2), of which K^2 ln omega + K omega^2 + omega^4/4 = t/n + const is the
// implicit solution: gradient flow of the features on the loss of the least-squares classifier, with the covariance within
// classes kept at I (Han et al. 2021, with the constants of the loss here).
func snrFlow(ctx context.Context, p *params, o Options) (*Report, error) {
	k, n := p.classes("K"), p.count("n")
	start, t := p.positives("omega0"), p.nonNegative("t")
	if len(start) > k-1 {
		p.fail("omega0", "%d values, wanted at most K-1 = %d", len(start), k-1)
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	classes, samples := float64(k), float64(n)
	clock := func(logOmega float64) float64 {
		square := math.Exp(2 * logOmega)
		return classes*classes*logOmega + classes*square + square*square/4
	}
	omega := make([]float64, len(start))
	for j, s := range start {
		now := clock(math.Log(s))
		// omega^4 < omega_0^4 + 4 t/n and ln omega < ln omega_0 + t/(n K^2) bound it from above
		high := min(math.Log(s)+t/(samples*classes*classes), math.Log(s*s*s*s+4*t/samples)/4+1e-9)
		omega[j] = s
		if t > 0 {
			omega[j] = math.Exp(root.Between(func(l float64) float64 { return clock(l) - now - t/samples }, math.Log(s), high))
		}
	}
	r := &Report{NotSolved: notRequested}
	r.ClosedForm = Fields{{"omega", omega}, {"loss", nil}, {"spread", slices.Max(omega)/slices.Min(omega) - 1},
		{"theorem", "Han, Papyan, Donoho 2021: each signal-to-noise ratio by itself, implicit solution"}, {"proved", true}}
	if len(start) == k-1 {
		r.ClosedForm[1].Value = leastSquaresLoss(k, omega)
	}
	r.Words = []string{fmt.Sprintf("The signal-to-noise ratios grow like (4t/n)^(1/4) and towards one another, that is to a simplex: at t = %g the largest is %.3g %% above the smallest.", t, 100*(slices.Max(omega)/slices.Min(omega)-1))}
	if o.Method == methodNone {
		return r, nil
	}
	states, stats, err := ode.At(ctx, func(_ float64, y, dy []float64) {
		for j, w := range y {
			dy[j] = w / (samples * square(classes+w*w))
		}
	}, 0, start, []float64{t}, precise)
	switch r.NotSolved = ""; {
	case err == nil:
		r.Solved = Fields{{"omega", states[0]}, {"status", string(optimize.Converged)}, {"steps", stats.Steps}}
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		r.Solved = Fields{{"omega", nil}, {"status", string(optimize.OutOfSteps)}, {"steps", stats.Steps}}
	}
	return r, nil
}
