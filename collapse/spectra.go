package collapse

import (
	"math"

	"github.com/collapsar/collapsar/geometry"
)

const roy = "Roy, Vetterli 2007"

// spectra is the group of ranks: how many directions features, means and classifier use.
var spectra = []Metric{
	{ID: "sb_rank", Name: "rank of Sigma_B", Formula: "eigenvalues of Sigma_B above rank_tol times the largest", Source: "this project", Ideal: "min(K-1, d)",
		eval: between(func(s *sample) Value { return number(float64(s.rank)) })},
	{ID: "sb_condition", Name: "condition of Sigma_B", Formula: "largest / smallest kept eigenvalue of Sigma_B", Source: "this project", ideal: one,
		eval: between(func(s *sample) Value {
			sv := s.means.SingularValues()
			ratio := sv[0] / sv[s.rank-1]
			return number(ratio * ratio)
		})},
	{ID: "erank_features", Name: "effective rank of the features", Formula: "exp(-sum p_i log p_i), p = s/sum s, s of the rows h_i - mu_S", Source: roy,
		Cost: Full, Ideal: "K-1 (balanced)", eval: ofFull(func(f *fullSample) Value { return spectrumValue(f.features, geometry.EffectiveRank) })},
	{ID: "srank_features", Name: "stable rank of the features", Formula: "sum s_i^2 / s_1^2, s of the rows h_i - mu_S", Source: roy,
		Cost: Full, Ideal: "K-1 (balanced)", eval: ofFull(func(f *fullSample) Value { return spectrumValue(f.features, geometry.StableRank) })},
	{ID: "pr_features", Name: "participation ratio of the features", Formula: "(sum s_i^2)^2 / sum s_i^4, s of the rows h_i - mu_S", Source: roy,
		Cost: Full, Ideal: "K-1 (balanced)", eval: ofFull(func(f *fullSample) Value { return participation(f.d, f.total) })},
	{ID: "erank_means", Name: "effective rank of the means", Formula: "erank of M", Source: roy, ideal: idealRank, eval: between(meansSpectrum(geometry.EffectiveRank))},
	{ID: "srank_means", Name: "stable rank of the means", Formula: "srank of M", Source: roy, ideal: idealRank, eval: between(meansSpectrum(geometry.StableRank))},
	{ID: "pr_means", Name: "participation ratio of the means", Formula: "pr of M", Source: roy, ideal: idealRank, eval: between(meansSpectrum(geometry.ParticipationRatio))},
	{ID: "pr_within", Name: "participation ratio within classes", Formula: "pr of the rows h_i - mu_y", Source: roy,
		Cost: Full, eval: func(s *sample) Value {
			if r := s.needWithin(); r != "" {
				return undefined(r)
			}
			return ofFull(func(f *fullSample) Value { return participation(f.d, f.within) })(s)
		}},
	{ID: "erank_weights", Name: "effective rank of W", Formula: "erank of W, not centred", Source: roy, ideal: idealRank, eval: weightsSpectrum(geometry.EffectiveRank)},
	{ID: "srank_weights", Name: "stable rank of W", Formula: "srank of W, not centred", Source: roy, ideal: idealRank, eval: weightsSpectrum(geometry.StableRank)},
	{ID: "top_energy", Name: "variance in the K-1 leading directions", Formula: "share of the variance of h_i - mu_S", Source: "this project",
		Cost: Full, ideal: one, eval: topEnergy},
	{ID: "nuclear_ratio", Name: "nuclear over Frobenius norm of a class", Formula: "mean_c |H_c|_* / |H_c|_F, H_c the raw rows of class c", Source: "Zhou et al. 2022",
		Cost: Full, ideal: one, eval: ofFull(func(f *fullSample) Value { return f.nuclearRatio })},
	{ID: "global_mean_ratio", Name: "global mean against the spread of the means", Formula: "|mu_G| / sqrt(tr Sigma_B)", Source: "this project",
		eval: between(func(s *sample) Value {
			sum := 0.0
			for j, v := range s.centre {
				v += s.sum.Pivot[j]
				sum += v * v
			}
			return number(math.Sqrt(sum / s.between))
		})},
}

// between is a metric of class means that differ.
func between(f func(s *sample) Value) func(*sample) Value {
	return func(s *sample) Value {
		if r := s.needBetween(); r != "" {
			return undefined(r)
		}
		return f(s)
	}
}

// meansSpectrum is a statistic of the singular values of M, of which at most min(K-1, d) are not rounding.
func meansSpectrum(f func([]float64) float64) func(s *sample) Value {
	return func(s *sample) Value { return spectrumValue(s.means.SingularValues()[:min(s.k-1, s.d)], f) }
}

func weightsSpectrum(f func([]float64) float64) func(s *sample) Value {
	return func(s *sample) Value {
		if s.class == nil {
			return undefined(NeedsClassifier)
		}
		return spectrumValue(s.class.all.SingularValues(), f)
	}
}

func spectrumValue(s []float64, f func([]float64) float64) Value {
	if len(s) == 0 || s[0] == 0 {
		return undefined(ZeroMatrix)
	}
	return number(f(s))
}

func topEnergy(s *sample) Value {
	if s.k < 2 {
		return undefined(NeedsTwoClasses)
	}
	return ofFull(func(f *fullSample) Value {
		return spectrumValue(f.features, func(sv []float64) float64 {
			top, all := 0.0, 0.0
			for i, v := range sv {
				if i < s.k-1 {
					top += v * v
				}
				all += v * v
			}
			return top / all
		})
	})(s)
}
