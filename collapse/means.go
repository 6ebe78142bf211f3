package collapse

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/geometry"
)

const (
	groupMeans      = "class means (NC2)"
	groupClassifier = "classifier (NC2)"
)

// A frame is a set of K vectors that a metric of shape looks at, and the labels they stand for. The same formulas serve the
// centred class means and the rows of W.
type frame struct {
	*geometry.Vectors
	classes []int64
	zero    Reason // what a vector without direction is called
}

// ofMeans are the centred class means.
func ofMeans(s *sample) (frame, Reason) {
	return frame{s.means, s.sum.Classes, ZeroNormMean}, s.needBetween()
}

// ofWeights are the rows of W, not centred.
func ofWeights(s *sample) (frame, Reason) {
	if s.class == nil {
		return frame{}, NeedsClassifier
	}
	if s.class.Classes < 2 {
		return frame{}, NeedsTwoClasses
	}
	return frame{s.class.all, allClasses(s.class.Classes), ZeroNormWeight}, ""
}

// ofCentredWeights are the rows of W less their mean.
func ofCentredWeights(s *sample) (frame, Reason) {
	f, r := ofWeights(s)
	if r == "" {
		f.Vectors = s.class.centred
	}
	return f, r
}

// shape makes a metric of a formula on vectors.
func shape(of func(*sample) (frame, Reason), f func(frame) Value) func(*sample) Value {
	return func(s *sample) Value {
		v, r := of(s)
		if r != "" {
			return undefined(r)
		}
		return f(v)
	}
}

// directed is a shape that needs every vector to have a direction.
func directed(of func(*sample) (frame, Reason), f func(frame) Value) func(*sample) Value {
	return shape(of, func(v frame) Value {
		if !v.Directed() {
			return undefined(v.zero)
		}
		return f(v)
	})
}

// separate is a shape that needs every two vectors to differ in direction.
func separate(of func(*sample) (frame, Reason), f func(frame) Value) func(*sample) Value {
	return directed(of, func(v frame) Value {
		if slices.Min(v.UnitDistances()) <= geometry.ZeroNorm {
			return undefined(CoincidentDirections)
		}
		return f(v)
	})
}

func equinorm(v frame) Value {
	if slices.Max(v.Norms()) == 0 {
		return undefined(ZeroMatrix)
	}
	return number(deviation(v.Norms()) / mean(v.Norms()))
}

func equiangle(v frame) Value { return number(deviation(v.Pairs(v.Cosine))) }

func maxAngle(v frame) Value {
	return number(mean(v.Pairs(func(i, j int) float64 { return math.Abs(v.Cosine(i, j) + 1/float64(v.K-1)) })))
}

func cosMean(v frame) Value { return number(mean(v.Pairs(v.Cosine))) }

func cosMax(v frame) Value { return largestPair(v.classes, v.Pairs(v.Cosine)) }

func etf(v frame) Value {
	e, ok := v.ETFError()
	if !ok {
		return undefined(ZeroMatrix)
	}
	return number(e)
}

// logs lists -log |u_c - u_c'|.
func logs(v frame) []float64 {
	out := slices.Clone(v.UnitDistances())
	for i, d := range out {
		out[i] = -math.Log(d)
	}
	return out
}

const (
	papyan   = "Papyan, Han, Donoho 2020"
	liu      = "Liu et al. 2023"
	wuPapyan = "Wu, Papyan 2024"
)

// classMeans is the group of NC2 on the means, and its generalisation to any number of classes (gnc2).
var classMeans = []Metric{
	{ID: "nc2_equinorm", Name: "spread of the norms", Formula: "std_c |m_c| / mean_c |m_c|", Source: papyan, ideal: zero, eval: shape(ofMeans, equinorm)},
	{ID: "nc2_equiangle", Name: "spread of the cosines", Formula: "std over pairs of cos(m_c, m_c')", Source: papyan, ideal: zero, eval: directed(ofMeans, equiangle)},
	{ID: "nc2_max_angle", Name: "distance from the widest angle", Formula: "mean over pairs of |cos(m_c, m_c') + 1/(K-1)|", Source: papyan, ideal: zero, eval: directed(ofMeans, maxAngle)},
	{ID: "nc2_cos_mean", Name: "mean cosine", Formula: "mean over pairs of cos(m_c, m_c')", Source: papyan, ideal: idealCosine, eval: directed(ofMeans, cosMean)},
	{ID: "nc2_cos_max", Name: "largest cosine (coherence)", Formula: "max over pairs of cos(m_c, m_c')", Source: papyan, ideal: idealCosine, eval: directed(ofMeans, cosMax)},
	{ID: "nc2_etf", Name: "distance from a simplex", Formula: "|G/|G|_F - (I - 11'/K)/sqrt(K-1)|_F, G = M M'", Source: "Zhu et al. 2021; Kothapalli 2023", ideal: zero, eval: shape(ofMeans, etf)},
	{ID: "gnc2_dist_mean", Name: "distance of directions, mean", Formula: "mean over pairs of |u_c - u_c'|, u = m/|m|", Source: liu, ideal: idealDistance,
		eval: directed(ofMeans, func(v frame) Value { return number(mean(v.UnitDistances())) })},
	{ID: "gnc2_dist_var", Name: "distance of directions, variance", Formula: "var over pairs of |u_c - u_c'|", Source: wuPapyan, ideal: zero,
		eval: directed(ofMeans, func(v frame) Value { return number(variance(v.UnitDistances())) })},
	{ID: "gnc2_log_mean", Name: "log kernel, mean", Formula: "mean over pairs of -log |u_c - u_c'|", Source: liu,
		ideal: ideal{"-log(2K/(K-1))/2", func(k int) float64 { return -math.Log(simplexDistance(k)) }}, eval: separate(ofMeans, func(v frame) Value { return number(mean(logs(v))) })},
	{ID: "gnc2_log_var", Name: "log kernel, variance", Formula: "var over pairs of -log |u_c - u_c'|", Source: wuPapyan, ideal: zero,
		eval: separate(ofMeans, func(v frame) Value { return number(variance(logs(v))) })},
	{ID: "gnc2_log_cov", Name: "log kernel, relative spread", Formula: "sqrt(gnc2_log_var) / |gnc2_log_mean|", Source: wuPapyan, ideal: zero,
		eval: separate(ofMeans, func(v frame) Value {
			l := logs(v)
			m := math.Abs(mean(l))
			if m < 1e-12 {
				return undefined(ZeroMeanKernel)
			}
			return number(deviation(l) / m)
		})},
	{ID: "gnc2_riesz_mean", Name: "Riesz kernel, mean", Formula: "mean over pairs of 1/|u_c - u_c'|", Source: liu,
		ideal: ideal{"sqrt((K-1)/(2K))", func(k int) float64 { return 1 / simplexDistance(k) }},
		eval: separate(ofMeans, func(v frame) Value {
			inv := slices.Clone(v.UnitDistances())
			for i, d := range inv {
				inv[i] = 1 / d
			}
			return number(mean(inv))
		})},
	{ID: "gnc2_min_angle", Name: "smallest angle, degrees", Formula: "min over pairs of 2 asin(|u_c - u_c'|/2)", Source: "Tammes problem",
		ideal: idealAngle,
		eval: directed(ofMeans, func(v frame) Value {
			least, at := math.Inf(1), 0
			a, b := 0, 0
			for i := range v.K {
				for j := i + 1; j < v.K; j++ {
					if d := v.UnitDistances()[at]; d < least {
						least, a, b = d, i, j
					}
					at++
				}
			}
			return Value{Number: v.Angle(a, b) * 180 / math.Pi, Worst: []int64{v.classes[a], v.classes[b]}}
		})},
}

// classifierShape is the same of the rows of W.
var classifierShape = []Metric{
	{ID: "nc2w_equinorm", Name: "spread of the norms", Formula: "std_k |w_k| / mean_k |w_k|", Source: papyan, ideal: zero, eval: shape(ofWeights, equinorm)},
	{ID: "nc2w_equiangle", Name: "spread of the cosines", Formula: "std over pairs of cos(w_k, w_k')", Source: papyan, ideal: zero, eval: directed(ofWeights, equiangle)},
	{ID: "nc2w_max_angle", Name: "distance from the widest angle", Formula: "mean over pairs of |cos(w_k, w_k') + 1/(K-1)|", Source: papyan, ideal: zero, eval: directed(ofWeights, maxAngle)},
	{ID: "nc2w_cos_mean", Name: "mean cosine", Formula: "mean over pairs of cos(w_k, w_k')", Source: papyan, ideal: idealCosine, eval: directed(ofWeights, cosMean)},
	{ID: "nc2w_cos_max", Name: "largest cosine", Formula: "max over pairs of cos(w_k, w_k')", Source: papyan, ideal: idealCosine, eval: directed(ofWeights, cosMax)},
	{ID: "nc2w_etf", Name: "distance from a simplex", Formula: "nc2_etf with G = W W'", Source: "Zhu et al. 2021", ideal: zero, eval: shape(ofWeights, etf)},
	{ID: "nc2w_etf_centred", Name: "distance of centred rows from a simplex", Formula: "nc2_etf with the Gram matrix of w_k - wbar", Source: "Zhou et al. 2022", ideal: zero, eval: shape(ofCentredWeights, etf)},
	{ID: "nc2w_offset", Name: "mean row against the rows", Formula: "|wbar| / sqrt(|W|_F^2 / K)", Source: "this project", ideal: zero,
		eval: shape(ofWeights, func(v frame) Value {
			if v.Square() == 0 {
				return undefined(ZeroMatrix)
			}
			return number(norm(v.Mean()) / math.Sqrt(v.Square()/float64(v.K)))
		})},
}
