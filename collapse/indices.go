package collapse

import (
	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
)

// indices is the group of other published indices of class structure.
var indices = []Metric{
	{ID: "class_separation_r2", Name: "cosine distance explained by classes", Formula: "1 - D_w/D_t, mean cosine distances within classes and in all, classes weighted equally",
		Source: "Kornblith et al. 2021", Cost: Pass2, ideal: one, eval: classSeparation},
	{ID: "coding_rate", Name: "coding rate", Formula: "(1/2) logdet(I + d/(N eps2) sum_i v_i v_i'), v = h/|h|, eps2 = 0.5", Source: "Yu et al. 2020",
		Cost: Full, eval: ofFull(func(f *fullSample) Value { return f.codingRate })},
	{ID: "coding_rate_classes", Name: "coding rate of the classes", Formula: "sum_c (n_c/(2N)) logdet(I + d/(n_c eps2) sum_{i in c} v_i v_i')", Source: "Yu et al. 2020",
		Cost: Full, Ideal: "log(1 + d/eps2)/2", eval: ofFull(func(f *fullSample) Value { return f.codingRateClasses })},
	{ID: "coding_rate_reduction", Name: "coding rate reduction", Formula: "coding_rate - coding_rate_classes", Source: "Yu et al. 2020",
		Cost: Full, eval: ofFull(func(f *fullSample) Value {
			if !f.codingRate.Defined() {
				return f.codingRate
			}
			return number(f.codingRate.Number - f.codingRateClasses.Number)
		})},
}

// classSeparation takes D_w as the mean squared deviation of the unit vectors plus the share of zero rows, which have no direction.
func classSeparation(s *sample) Value {
	if s.k < 2 {
		return undefined(NeedsTwoClasses)
	}
	within, centre := 0.0, make([]float64, s.d)
	for c := range s.k {
		n := float64(s.sum.Count[c])
		within += (s.pass.Class[c].UnitScatter + float64(s.sum.Zero[c])) / n
		kernel.Axpy64(centre, 1/float64(s.k), s.unit(c))
	}
	within /= float64(s.k)
	spread := 0.0
	for c := range s.k {
		spread += distance2(s.unit(c), centre)
	}
	total := within + spread/float64(s.k)
	if total < 1e-30 { // unit vectors are rounded to 1e-16
		return undefined(ConstantFeatures)
	}
	return number(1 - within/total)
}

// unit is the mean unit vector of a class.
func (s *sample) unit(c int) []float64 { return s.sum.Unit[c*s.d : (c+1)*s.d] }

const pernici = "after Pernici et al. 2021"

// polytopes is the group of distances to regular arrangements of directions, whatever the order of the classes.
var polytopes = []Metric{
	{ID: "polytope_simplex", Name: "means to a simplex", Formula: "rms over sorted cosines of m_c less -1/(K-1)", Source: pernici, ideal: zero, eval: polytope(ofMeans, geometry.Simplex)},
	{ID: "polytope_orthoplex", Name: "means to an orthoplex", Formula: "rms over sorted cosines of m_c less (-1, 0, ..., 0), even K", Source: pernici, Ideal: "0 at the orthoplex", eval: polytope(ofMeans, geometry.Orthoplex)},
	{ID: "polytope_cube", Name: "means to a cube", Formula: "rms over sorted cosines of m_c less 1 - 2h/m, binomial(m, h) times each, K = 2^m", Source: pernici, Ideal: "0 at the cube", eval: polytope(ofMeans, geometry.Cube)},
	{ID: "polytope_w_simplex", Name: "W to a simplex", Formula: "polytope_simplex of the rows w_k - wbar", Source: pernici, ideal: zero, eval: polytope(ofCentredWeights, geometry.Simplex)},
	{ID: "polytope_w_orthoplex", Name: "W to an orthoplex", Formula: "polytope_orthoplex of the rows w_k - wbar", Source: pernici, Ideal: "0 at the orthoplex", eval: polytope(ofCentredWeights, geometry.Orthoplex)},
	{ID: "polytope_w_cube", Name: "W to a cube", Formula: "polytope_cube of the rows w_k - wbar", Source: pernici, Ideal: "0 at the cube", eval: polytope(ofCentredWeights, geometry.Cube)},
}

func polytope(of func(*sample) (frame, Reason), p geometry.Polytope) func(*sample) Value {
	return directed(of, func(v frame) Value {
		if !p.Exists(v.K) {
			if p == geometry.Orthoplex {
				return undefined(NeedsEvenClasses)
			}
			return undefined(NeedsPowerOfTwo)
		}
		return number(v.PolytopeDistance(p))
	})
}
