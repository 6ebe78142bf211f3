package collapse

import "github.com/collapsar/collapsar/geometry"

const groupVariability = "variability (NC1)"

// variability is the group of NC1: how small the classes are against their distances.
var variability = []Metric{
	{ID: "nc1", Name: "within against between, by directions", Formula: "tr(Sigma_W Sigma_B^+) / K", Source: "Papyan, Han, Donoho 2020",
		Cost: Pass2, ideal: zero, eval: func(s *sample) Value { return s.nc1(s.pass.Moments, s.n) }},
	{ID: "nc1_svd", Name: "nc1 over exactly min(K-1, d) directions", Formula: "(1/K) sum_{j<=r} u_j' Sigma_W u_j / lambda_j, r = min(K-1, d)",
		Source: "Han, Papyan, Donoho 2021", Cost: Pass2, ideal: zero, eval: func(s *sample) Value {
			if r := s.needSpread(); r != "" {
				return undefined(r)
			}
			if s.rank < min(s.k-1, s.d) {
				return undefined(RankDeficient)
			}
			return s.nc1(s.pass.Moments, s.n)
		}},
	{ID: "nc1_quotient", Name: "within against between, in total", Formula: "tr Sigma_W / tr Sigma_B", Source: "Tirer, Bruna 2022",
		Cost: Pass1, ideal: zero, eval: nc1Quotient},
	{ID: "nc1_class_max", Name: "widest class against its mean", Formula: "max_c var_c / |m_c|^2", Source: "this project",
		Cost: Pass1, ideal: zero, eval: func(s *sample) Value {
			if r := s.needSpread(); r != "" {
				return undefined(r)
			}
			if !s.means.Directed() {
				return undefined(ZeroNormMean)
			}
			return largest(s.sum.Classes, func(c int) float64 { return s.sum.Var(c) / s.means.Gram()[c*s.k+c] })
		}},
	{ID: "within_fraction", Name: "share of the variance within classes", Formula: "tr Sigma_W / tr Sigma_S", Source: "analysis of variance, 1 - R^2",
		Cost: Pass1, ideal: zero, eval: func(s *sample) Value {
			if r := s.needWithin(); r != "" {
				return undefined(r)
			}
			total := s.totalVariance()
			if total == 0 {
				return undefined(ConstantFeatures)
			}
			return number(s.within / total)
		}},
	{ID: "vci", Name: "variability collapse index", Formula: "1 - tr(Sigma_T^+ Sigma_B) / rank(Sigma_B), Sigma_T = Sigma_W + Sigma_B", Source: "Xu, Liu 2023",
		Cost: Full, ideal: zero, eval: vci},
	{ID: "cdnv_mean", Name: "class-distance normalised variance, mean", Formula: "mean over pairs of (var_c + var_c') / (2 |mu_c - mu_c'|^2)",
		Source: "Galanti, Gyorgy, Hutter 2021", Cost: Pass1, ideal: zero, eval: func(s *sample) Value { return s.cdnv(false) }},
	{ID: "cdnv_max", Name: "class-distance normalised variance, worst pair", Formula: "max over pairs of (var_c + var_c') / (2 |mu_c - mu_c'|^2)",
		Source: "Galanti, Gyorgy, Hutter 2021", Cost: Pass1, ideal: zero, eval: func(s *sample) Value { return s.cdnv(true) }},
}

// nc1 is tr(S Sigma_B^+) / K for second moments from the second pass.
func (s *sample) nc1(sums []float64, rows float64) Value {
	if r := s.needSpread(); r != "" {
		return undefined(r)
	}
	return number(s.trace(sums, rows))
}

func nc1Quotient(s *sample) Value {
	if r := s.needSpread(); r != "" {
		return undefined(r)
	}
	return number(s.within / s.between)
}

// totalVariance is tr Sigma_S = tr Sigma_W + sum_c (n_c/N) |mu_c - mu_S|^2.
func (s *sample) totalVariance() float64 {
	if s.opts.GlobalMean == "sample" {
		return s.within + s.weightedSquare()
	}
	// |mu_c - mu_S|^2 = |m_c - delta|^2, delta = mu_S - mu_G
	delta := s.sum.Centre(true)
	for j := range delta {
		delta[j] -= s.centre[j]
	}
	sum := s.within
	for c := range s.k {
		sum += float64(s.sum.Count[c]) / s.n * distance2(s.means.Row(c), delta)
	}
	return sum
}

// weightedSquare is sum_c (n_c/N) |m_c|^2.
func (s *sample) weightedSquare() float64 {
	sum := 0.0
	for c := range s.k {
		sum += float64(s.sum.Count[c]) / s.n * s.means.Gram()[c*s.k+c]
	}
	return sum
}

// cdnvPairs lists (var_c + var_c') / (2 |mu_c - mu_c'|^2) over pairs c < c'.
func (s *sample) cdnvPairs() ([]float64, Reason) {
	if r := s.needSpread(); r != "" {
		return nil, r
	}
	least, most := 0.0, 0.0
	d2 := s.means.Pairs(s.means.Distance2)
	for i, d := range d2 {
		if i == 0 || d < least {
			least = d
		}
		most = max(most, d)
	}
	if most == 0 || least <= geometry.ZeroNorm*geometry.ZeroNorm*most {
		return nil, CoincidentMeans
	}
	return s.means.Pairs(func(a, b int) float64 {
		return (s.sum.Var(a) + s.sum.Var(b)) / (2 * d2[geometry.PairIndex(a, b, s.k)])
	}), ""
}

func (s *sample) cdnv(worst bool) Value {
	v, r := s.cdnvPairs()
	if r != "" {
		return undefined(r)
	}
	if worst {
		return largestPair(s.sum.Classes, v)
	}
	return number(mean(v))
}
