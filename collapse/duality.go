package collapse

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
)

func norm(v []float64) float64 { return math.Sqrt(kernel.SumSquares64(v)) }

// duality is the group of NC3: the classifier against the class means. Rows of W are matched to present classes by label.
var duality = []Metric{
	{ID: "nc3_distance", Name: "distance of W and M at unit norm", Formula: "|W/|W|_F - M/|M|_F|_F", Source: papyan, ideal: zero,
		eval: dual(func(s *sample) Value {
			w, m := s.class.present, s.means
			nw, nm := w.Frobenius(), m.Frobenius()
			if nw == 0 {
				return undefined(ZeroMatrix)
			}
			sum := 0.0
			for i, v := range w.Data {
				d := v/nw - m.Data[i]/nm
				sum += d * d
			}
			return number(math.Sqrt(sum))
		})},
	{ID: "nc3_alignment", Name: "cosine of w_k and m_k, mean", Formula: "mean_k cos(w_k, m_k)", Source: papyan + "; " + wuPapyan, ideal: one,
		eval: aligned(func(_ *sample, cos []float64) Value { return number(mean(cos)) })},
	{ID: "nc3_alignment_min", Name: "cosine of w_k and m_k, smallest", Formula: "min_k cos(w_k, m_k)", Source: "this project", ideal: one,
		eval: aligned(func(s *sample, cos []float64) Value {
			return smallest(s.sum.Classes, func(c int) float64 { return cos[c] })
		})},
	{ID: "nc3_uniform", Name: "cosine of w_k and m_k, spread", Formula: "std_k cos(w_k, m_k)", Source: wuPapyan, ideal: zero,
		eval: aligned(func(_ *sample, cos []float64) Value { return number(deviation(cos)) })},
	{ID: "nc3_etf", Name: "distance of W M' from a simplex", Formula: "nc2_etf with G = W M'", Source: "Zhu et al. 2021", ideal: zero,
		eval: dual(func(s *sample) Value { return s.crossETF(s.class.mean) })},
	{ID: "nc3_etf_centred", Name: "distance of centred W M' from a simplex", Formula: "nc2_etf with G = (W - wbar) M'", Source: "Zhou et al. 2022", ideal: zero,
		eval: dual(func(s *sample) Value {
			offset := make([]float64, s.d) // of the mean of all rows from that of the present ones
			for c := range s.k {
				kernel.Axpy64(offset, 1/float64(s.k), s.class.present.Row(c))
			}
			for j, v := range s.class.mean {
				offset[j] = v - offset[j]
			}
			return s.crossETF(offset)
		})},
	{ID: "nc3_bias", Name: "logits at the global mean", Formula: "|W mu_G + b|", Source: "Zhu et al. 2021", ideal: zero,
		eval: func(s *sample) Value {
			if s.class == nil {
				return undefined(NeedsClassifier)
			}
			return number(norm(s.class.atCentre))
		}},
	{ID: "nc3_bias_centred", Name: "logits at the global mean, less their mean", Formula: "|v - mean v|, v = W mu_G + b", Source: "this project", ideal: zero,
		eval: func(s *sample) Value {
			if s.class == nil {
				return undefined(NeedsClassifier)
			}
			return number(math.Sqrt(variance(s.class.atCentre) * float64(s.class.Classes)))
		}},
	{ID: "nc3_scale", Name: "norm of W against that of M", Formula: "|W|_F / |M|_F", Source: "this project",
		eval: dual(func(s *sample) Value { return number(s.class.present.Frobenius() / s.means.Frobenius()) })},
}

// dual is a metric of a classifier against class means.
func dual(f func(s *sample) Value) func(*sample) Value {
	return func(s *sample) Value {
		if s.class == nil {
			return undefined(NeedsClassifier)
		}
		if r := s.needBetween(); r != "" {
			return undefined(r)
		}
		return f(s)
	}
}

// aligned is one of the cosines of w_k and m_k.
func aligned(f func(s *sample, cos []float64) Value) func(*sample) Value {
	return dual(func(s *sample) Value {
		if !s.class.present.Directed() {
			return undefined(ZeroNormWeight)
		}
		if !s.means.Directed() {
			return undefined(ZeroNormMean)
		}
		return f(s, s.alignments())
	})
}

func (s *sample) alignments() []float64 {
	cos := make([]float64, s.k)
	for c := range cos {
		cos[c] = kernel.Dot64(s.class.present.Row(c), s.means.Row(c)) / (s.class.present.Norms()[c] * s.means.Norms()[c])
	}
	return cos
}

// crossETF is the distance from a simplex of W M' when a vector is added to the centred rows of W.
func (s *sample) crossETF(plus []float64) Value {
	g := slices.Clone(s.class.cross)
	shift := make([]float64, s.k)
	for c := range s.k {
		shift[c] = kernel.Dot64(plus, s.means.Row(c))
	}
	for c := range s.k {
		kernel.Add64(g[c*s.k:(c+1)*s.k], shift)
	}
	e, ok := geometry.ETFError(s.k, g)
	if !ok {
		return undefined(ZeroMatrix)
	}
	return number(e)
}
