package collapse_test

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// direct is class means and the singular value decomposition of M, by another library.
type direct struct {
	k        int
	mu       []float64 // K x d
	singular []float64 // above the cut
	axes     *mat.Dense
}

func newDirect(d *data, bySample bool) *direct {
	out := &direct{}
	for _, y := range d.labels {
		out.k = max(out.k, int(y)+1)
	}
	k, dim := out.k, d.dim
	mu, n := make([]float64, k*dim), make([]float64, k)
	for i, y := range d.labels {
		n[y]++
		for j, v := range d.row(i) {
			mu[int(y)*dim+j] += v
		}
	}
	for i := range mu {
		mu[i] /= n[i/dim]
	}
	fix := make([]float64, len(mu)) // the rounding of the means
	for i, y := range d.labels {
		for j, v := range d.row(i) {
			fix[int(y)*dim+j] += v - mu[int(y)*dim+j]
		}
	}
	for i := range mu {
		mu[i] += fix[i] / n[i/dim]
	}
	centre := make([]float64, dim)
	for i, v := range mu {
		w := 1 / float64(k)
		if bySample {
			w = n[i/dim] / float64(d.n())
		}
		centre[i%dim] += w * v
	}
	m := clone(mu)
	for i := range m {
		m[i] -= centre[i%dim]
	}
	var svd mat.SVD
	if !svd.Factorize(mat.NewDense(k, dim, m), mat.SVDThin) {
		panic("no singular values")
	}
	s := svd.Values(nil)
	r := 0
	for r < len(s) && r < k-1 && s[r]*s[r] > 1e-12*s[0]*s[0] {
		r++
	}
	out.mu, out.singular, out.axes = mu, s[:r], new(mat.Dense)
	svd.VTo(out.axes)
	return out
}

// trace is tr(S Sigma_B^+)/K of rows about the means that base picks.
func (s *direct) trace(rows []float64, dim int, base func(i int) int) float64 {
	n := len(rows) / dim
	residuals := make([]float64, len(rows))
	for i := range n {
		mu := s.mu[base(i)*dim:]
		for j := range dim {
			residuals[i*dim+j] = rows[i*dim+j] - mu[j]
		}
	}
	var t mat.Dense
	t.Mul(mat.NewDense(n, dim, residuals), s.axes)
	sum := 0.0
	for j, sv := range s.singular {
		for i := range n {
			x := t.At(i, j) / sv
			sum += x * x
		}
	}
	return sum / float64(n) // 1/K here and 1/K in Sigma_B
}

func directNC1(d *data, bySample bool) float64 {
	return newDirect(d, bySample).trace(d.rows, d.dim, func(i int) int { return int(d.labels[i]) })
}

// directTest is test_collapse_strong and test_collapse_weak.
func directTest(d *data, bySample bool) (strong, weak float64) {
	s := newDirect(d, bySample)
	strong = s.trace(d.testRows, d.dim, func(i int) int { return int(d.testLabels[i]) })
	weak = s.trace(d.testRows, d.dim, func(i int) int {
		near, least := 0, math.Inf(1)
		for c := range s.k {
			dist := 0.0
			for j := range d.dim {
				x := d.testRows[i*d.dim+j] - s.mu[c*d.dim+j]
				dist += x * x
			}
			if dist < least {
				near, least = c, dist
			}
		}
		return near
	})
	return strong, weak
}
