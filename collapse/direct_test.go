package collapse_test

import (
	"gonum.org/v1/gonum/mat"
)

// directNC1 is tr(Sigma_W Sigma_B^+)/K by the d x d matrices and the singular value decomposition of another library.
func directNC1(d *data, bySample bool) float64 {
	k := 0
	for _, y := range d.labels {
		k = max(k, int(y)+1)
	}
	mu, n := make([]float64, k*d.dim), make([]float64, k)
	for i, y := range d.labels {
		n[y]++
		for j, v := range d.row(i) {
			mu[int(y)*d.dim+j] += v
		}
	}
	for i := range mu {
		mu[i] /= n[i/d.dim]
	}
	for range 1 { // remove the rounding of the means
		fix := make([]float64, len(mu))
		for i, y := range d.labels {
			for j, v := range d.row(i) {
				fix[int(y)*d.dim+j] += v - mu[int(y)*d.dim+j]
			}
		}
		for i := range mu {
			mu[i] += fix[i] / n[i/d.dim]
		}
	}
	centre := make([]float64, d.dim)
	for i, v := range mu {
		w := 1 / float64(k)
		if bySample {
			w = n[i/d.dim] / float64(d.n())
		}
		centre[i%d.dim] += w * v
	}
	m := clone(mu)
	for i := range m {
		m[i] -= centre[i%d.dim]
	}
	var svd mat.SVD
	if !svd.Factorize(mat.NewDense(k, d.dim, m), mat.SVDThin) {
		panic("no singular values")
	}
	s := svd.Values(nil)
	var v mat.Dense
	svd.VTo(&v)
	residuals := make([]float64, len(d.rows))
	for i, y := range d.labels {
		for j, x := range d.row(i) {
			residuals[i*d.dim+j] = x - mu[int(y)*d.dim+j]
		}
	}
	var t mat.Dense
	t.Mul(mat.NewDense(d.n(), d.dim, residuals), &v)
	sum := 0.0
	for j, sv := range s {
		if sv*sv <= 1e-12*s[0]*s[0] || j >= k-1 {
			break
		}
		for i := range d.n() {
			x := t.At(i, j) / sv
			sum += x * x
		}
	}
	return sum / float64(d.n()) // 1/K here and 1/K in Sigma_B
}
