package collapse

import (
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
)

const han = "Han, Papyan, Donoho 2021"

// squaredError is the group of the squared error against one-hot targets, and of its parts: mse_total = mse_nc1 + mse_nc23 + mse_perp.
var squaredError = []Metric{
	{ID: "mse_total", Name: "squared error of the classifier", Formula: "(1/2) (mean_i |W h_i + b - e_y|^2 + lambda (|W|^2 + |b|^2))", Source: han, Cost: Full,
		eval: squared(func(e squaredErrors) float64 { return e.total })},
	{ID: "mse_nc1", Name: "part within classes", Formula: "(1/2) (tr(W* Sigma_W W*') + lambda (|W*|^2 + |b*|^2)), W*, b* the minimiser of mse_total", Source: han, Cost: Full,
		eval: squared(func(e squaredErrors) float64 { return e.nc1 })},
	{ID: "mse_nc23", Name: "part of the class means", Formula: "(1/2) sum_c (n_c/N) |W* mu_c + b* - e_c|^2", Source: han, Cost: Full,
		eval: squared(func(e squaredErrors) float64 { return e.nc23 })},
	{ID: "mse_perp", Name: "part of the classifier", Formula: "(1/2) (mean_i |(W-W*) h_i + (b-b*)|^2 + lambda (|W-W*|^2 + |b-b*|^2))", Source: han, Cost: Full, Ideal: "0 (W = W*, b = b*)",
		eval: squared(func(e squaredErrors) float64 { return e.perp })},
}

// squaredErrors are the numbers of the group.
type squaredErrors struct{ total, nc1, nc23, perp float64 }

func squared(f func(e squaredErrors) float64) func(*sample) Value {
	return func(s *sample) Value {
		if s.class == nil {
			return undefined(NeedsClassifier)
		}
		return ofFull(func(full *fullSample) Value { return number(f(full.mse)) })(s)
	}
}

// squaredErrorsOf evaluates the group from Sigma_W and Sigma_S. The minimiser is written around mu = mu_S, so that an offset of the
// features costs no digits: with A = Sigma_S + lambda I, C = mean_i e_y (h_i - mu)', g = lambda/(1+lambda), v = A^-1 mu and
// e = (ybar - C v)/(1 + g mu.v), it is W* = C A^-1 + g e v' and b* = e/(1+lambda); W* mu + b* = ybar - g e.
func squaredErrorsOf(s *sample, within, total []float64) squaredErrors {
	d, k, kw := s.d, s.k, s.class.Classes
	lambda := s.opts.MSELambda
	g := lambda / (1 + lambda)

	centre := s.sum.Centre(true)
	dev := append([]float64(nil), s.sum.Mean...) // mu_c - mu
	for c := range k {
		kernel.Axpy64(dev[c*d:(c+1)*d], -1, centre)
	}
	mu := append([]float64(nil), centre...)
	kernel.Add64(mu, s.sum.Pivot)

	a := append([]float64(nil), total...)
	for i := range d {
		a[i*d+i] += lambda
	}
	if !linalg.Cholesky(d, a) {
		nan := math.NaN()
		return squaredErrors{nan, nan, nan, nan}
	}
	// Columns of the right side: mu, then C' for the present classes; C is zero for the others.
	cols := k + 1
	x := make([]float64, d*cols)
	share := make([]float64, k)
	for c := range k {
		share[c] = float64(s.sum.Count[c]) / s.n
	}
	for j := range d {
		row := x[j*cols : (j+1)*cols]
		row[0] = mu[j]
		for c := range k {
			row[c+1] = share[c] * dev[c*d+j]
		}
	}
	linalg.SolveLower(d, a, cols, x)
	linalg.SolveLowerTransposed(d, a, cols, x)
	v := make([]float64, d)
	best := make([]float64, kw*d) // W*
	for j := range d {
		row := x[j*cols : (j+1)*cols]
		v[j] = row[0]
		for c, label := range s.sum.Classes {
			best[int(label)*d+j] = row[c+1]
		}
	}
	at := make([]float64, kw) // W* mu + b*
	bias := make([]float64, kw)
	scale := 1 + g*kernel.Dot64(mu, v)
	for c, label := range s.sum.Classes {
		e := share[c] * (1 - kernel.Dot64(dev[c*d:(c+1)*d], v)) / scale
		kernel.Axpy64(best[int(label)*d:][:d], g*e, v)
		at[label], bias[label] = share[c]-g*e, e/(1+lambda)
	}

	// Errors at the class means, for a classifier with the value at mu_S given.
	atMeans := func(w, at []float64) float64 {
		z := make([]float64, k*kw)
		kernel.Gemm64(false, true, k, kw, d, 1, dev, d, w, d, 0, z, kw)
		sum := 0.0
		for c, label := range s.sum.Classes {
			row := z[c*kw : (c+1)*kw]
			kernel.Add64(row, at)
			row[label]--
			sum += share[c] * kernel.SumSquares64(row)
		}
		return sum
	}
	spread := func(w, sigma []float64) float64 { // tr(W Sigma W')
		p := make([]float64, kw*d)
		kernel.Gemm64(false, false, kw, d, d, 1, w, d, sigma, d, 0, p, d)
		return kernel.Dot64(p, w)
	}
	decay := func(w, b []float64) float64 { return lambda * (kernel.SumSquares64(w) + kernel.SumSquares64(b)) }

	w := s.class.Weights
	own := append([]float64(nil), s.class.Bias...) // W mu + b
	for i := range own {
		own[i] += kernel.Dot64(s.class.all.Row(i), mu)
	}
	var out squaredErrors
	out.total = (spread(w, within) + atMeans(w, own) + decay(w, s.class.Bias)) / 2
	out.nc1 = (spread(best, within) + decay(best, bias)) / 2
	out.nc23 = atMeans(best, at) / 2
	dw, db, dat := append([]float64(nil), w...), append([]float64(nil), s.class.Bias...), own
	kernel.Axpy64(dw, -1, best)
	kernel.Axpy64(db, -1, bias)
	kernel.Axpy64(dat, -1, at)
	out.perp = (spread(dw, total) + kernel.SumSquares64(dat) + decay(dw, db)) / 2
	return out
}
