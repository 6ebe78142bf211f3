package collapse

import "math"

// decisions is the group of NC4: what the classifier and the nearest class mean decide on the training rows.
var decisions = []Metric{
	{ID: "nc4_disagreement", Name: "classifier differs from nearest mean", Formula: "share of rows with argmax_k z_ik != argmin_c |h_i - mu_c|", Source: papyan,
		Cost: Logits, ideal: zero, eval: func(s *sample) Value { return s.disagreement(s.pass.Disagreements, s.pass.Rows) }},
	{ID: "ncc_error", Name: "error of the nearest mean", Formula: "share of rows with argmin_c |h_i - mu_c| != y_i", Source: "Galanti, Gyorgy, Hutter 2021; Galanti 2022",
		Cost: Pass2, ideal: zero, eval: func(s *sample) Value {
			if s.k < 2 {
				return undefined(NeedsTwoClasses)
			}
			return count(s.pass.NCCErrors(), s.n)
		}},
	{ID: "classifier_error", Name: "error of the classifier", Formula: "share of rows with argmax_k z_ik != y_i", Source: papyan,
		Cost: Logits, ideal: zero, eval: func(s *sample) Value {
			if s.class == nil {
				return undefined(NeedsClassifier)
			}
			return count(s.pass.Errors(), s.n)
		}},
	{ID: "ce_loss", Name: "cross-entropy", Formula: "mean_i log(1 + sum_{j != y_i} exp(z_ij - z_iy_i))", Source: papyan,
		Cost: Logits, eval: func(s *sample) Value { return s.loss(s.pass.Loss, s.n) }},
}

func (s *sample) disagreement(n, rows int64) Value {
	if s.class == nil {
		return undefined(NeedsClassifier)
	}
	if s.k < 2 {
		return undefined(NeedsTwoClasses)
	}
	return count(n, float64(rows))
}

// needLogits is the reason why there is nothing to compare logits with.
func (s *sample) needLogits() Reason {
	if s.class == nil {
		return NeedsClassifier
	}
	if s.class.Classes < 2 {
		return NeedsTwoClasses
	}
	return ""
}

func (s *sample) loss(sum, rows float64) Value {
	if r := s.needLogits(); r != "" {
		return undefined(r)
	}
	return number(sum / rows)
}

// margins is the group of the distances that decisions keep.
var margins = []Metric{
	{ID: "margin_min", Name: "logit margin, smallest", Formula: "min_i q_i, q_i = z_iy_i - max_{j != y_i} z_ij", Source: "Ji et al. 2021",
		Cost: Logits, eval: margin(func(s *sample) Value {
			return Value{Number: s.pass.Margin.Min, Worst: []int64{s.pass.Margin.Class}}
		})},
	{ID: "margin_mean", Name: "logit margin, mean", Formula: "mean_i q_i", Source: "Ji et al. 2021",
		Cost: Logits, eval: margin(func(s *sample) Value { return number(s.pass.Margin.Sum / s.n) })},
	{ID: "margin_normalised", Name: "smallest margin against its bound", Formula: "q_min N (K-1) / (K |H|_F sqrt(sum_c n_c |w_c - wbar|^2))", Source: "this project; balanced: Ji et al. 2021",
		Cost: Logits, Ideal: "1 (global mean 0)", eval: margin(func(s *sample) Value {
			square, weighted := 0.0, 0.0
			for c, label := range s.sum.Classes {
				square += s.sum.Square[c]
				w := s.class.centred.Norms()[label]
				weighted += float64(s.sum.Count[c]) * w * w
			}
			k := float64(s.class.Classes)
			den := k * math.Sqrt(square) * math.Sqrt(weighted)
			if den == 0 {
				return undefined(ZeroMatrix)
			}
			return number(s.pass.Margin.Min * s.n * (k - 1) / den)
		})},
	{ID: "cos_margin_min", Name: "cosine margin, smallest", Formula: "q_i with z_ij replaced by cos(h_i - mu_G, w_j - wbar); min_i", Source: "Zhou et al. 2022, centred consistently",
		Cost: Logits, ideal: idealCosMargin, eval: cosMargin(func(s *sample) Value {
			return Value{Number: s.pass.CosMargin.Min, Worst: []int64{s.pass.CosMargin.Class}}
		})},
	{ID: "cos_margin_mean", Name: "cosine margin, mean", Formula: "mean_i of the margin of cos_margin_min", Source: "Zhou et al. 2022, centred consistently",
		Cost: Logits, ideal: idealCosMargin, eval: cosMargin(func(s *sample) Value { return number(s.pass.CosMargin.Sum / s.n) })},
}

func margin(f func(s *sample) Value) func(*sample) Value {
	return func(s *sample) Value {
		if r := s.needLogits(); r != "" {
			return undefined(r)
		}
		return f(s)
	}
}

func cosMargin(f func(s *sample) Value) func(*sample) Value {
	return margin(func(s *sample) Value {
		if !s.class.centred.Directed() {
			return undefined(ZeroNormWeight)
		}
		if p := s.pass; p.MaxNorm2 == 0 || p.MinNorm2 <= 1e-24*p.MaxNorm2 {
			return undefined(ZeroNormFeature)
		}
		return f(s)
	})
}
