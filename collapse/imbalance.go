package collapse

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/geometry"
)

const fang = "Fang, He, Long, Su 2021"

// imbalance is the group of what happens to classes with few rows.
var imbalance = []Metric{
	{ID: "imbalance_ratio", Name: "largest class against the smallest", Formula: "max n_c / min n_c over present classes", Source: fang,
		eval: func(s *sample) Value {
			if s.k < 2 {
				return undefined(NeedsTwoClasses)
			}
			return number(float64(slices.Max(s.sum.Count)) / float64(slices.Min(s.sum.Count)))
		}},
	{ID: "minority_cos_mean", Name: "cosine of minority means", Formula: "mean over minority pairs of cos(m_c, m_c')", Source: fang, ideal: idealCosine,
		eval: groupCosine(groupMean, true)},
	{ID: "majority_cos_mean", Name: "cosine of majority means", Formula: "mean over majority pairs of cos(m_c, m_c')", Source: fang, ideal: idealCosine,
		eval: groupCosine(groupMean, false)},
	{ID: "minority_cos_w", Name: "cosine of minority rows of W", Formula: "mean over minority pairs of cos(w_c, w_c')", Source: fang, ideal: idealCosine,
		eval: groupCosine(groupWeight, true)},
	{ID: "majority_cos_w", Name: "cosine of majority rows of W", Formula: "mean over majority pairs of cos(w_c, w_c')", Source: fang, ideal: idealCosine,
		eval: groupCosine(groupWeight, false)},
	{ID: "minority_angle_w", Name: "angle of minority rows of W, degrees", Formula: "mean over minority pairs of acos cos(w_c, w_c')", Source: fang,
		ideal: idealAngle,
		eval: group(groupWeight, true, func(v *geometry.Vectors) float64 {
			return mean(v.Pairs(func(i, j int) float64 { return math.Acos(max(-1, min(1, v.Cosine(i, j)))) * 180 / math.Pi }))
		})},
	{ID: "minority_norm_ratio_mean", Name: "norm of minority means against majority", Formula: "mean minority |m_c| / mean majority |m_c|", Source: fang, ideal: one,
		eval: normRatio(groupMean)},
	{ID: "minority_norm_ratio_w", Name: "norm of minority rows of W against majority", Formula: "mean minority |w_c| / mean majority |w_c|", Source: fang, ideal: one,
		eval: normRatio(groupWeight)},
}

// minority marks the minority classes: those named, or else those beyond the largest ratio of neighbours in the sorted counts.
func (s *sample) minority() (mask []bool, r Reason) {
	if s.k < 2 {
		return nil, NeedsTwoClasses
	}
	mask = make([]bool, s.k)
	if s.opts.Minority != nil {
		any := false
		for c, label := range s.sum.Classes {
			mask[c] = slices.Contains(s.opts.Minority, label)
			any = any || mask[c]
		}
		if !any || !slices.Contains(mask, false) {
			return nil, Balanced
		}
		return mask, ""
	}
	order := make([]int, s.k)
	for c := range order {
		order[c] = c
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(s.sum.Count[b] - s.sum.Count[a]) })
	cut, most := 0, 0.0
	for i := range s.k - 1 {
		if r := float64(s.sum.Count[order[i]]) / float64(s.sum.Count[order[i+1]]); r > most {
			cut, most = i, r
		}
	}
	if most < 2 {
		return nil, Balanced
	}
	for _, c := range order[cut+1:] {
		mask[c] = true
	}
	return mask, ""
}

// groupMean and groupWeight are the vectors whose groups are compared.
func groupMean(s *sample) (frame, Reason) { return ofMeans(s) }

func groupWeight(s *sample) (frame, Reason) {
	if s.class == nil {
		return frame{}, NeedsClassifier
	}
	return frame{s.class.present, s.sum.Classes, ZeroNormWeight}, ""
}

// group is a metric of the minority's or majority's vectors alone.
func group(of func(*sample) (frame, Reason), minority bool, f func(*geometry.Vectors) float64) func(*sample) Value {
	return func(s *sample) Value {
		v, r := of(s)
		if r != "" {
			return undefined(r)
		}
		mask, r := s.minority()
		if r != "" {
			return undefined(r)
		}
		var places []int
		for c, m := range mask {
			if m == minority {
				places = append(places, c)
			}
		}
		if len(places) < 2 {
			return undefined(TooFewClasses)
		}
		g := v.Subset(places)
		if !g.Directed() {
			return undefined(v.zero)
		}
		return number(f(g))
	}
}

func groupCosine(of func(*sample) (frame, Reason), minority bool) func(*sample) Value {
	return group(of, minority, func(v *geometry.Vectors) float64 { return mean(v.Pairs(v.Cosine)) })
}

func normRatio(of func(*sample) (frame, Reason)) func(*sample) Value {
	return func(s *sample) Value {
		v, r := of(s)
		if r != "" {
			return undefined(r)
		}
		mask, r := s.minority()
		if r != "" {
			return undefined(r)
		}
		var small, large []float64
		for c, m := range mask {
			if m {
				small = append(small, v.Norms()[c])
			} else {
				large = append(large, v.Norms()[c])
			}
		}
		if mean(large) == 0 {
			return undefined(ZeroMatrix)
		}
		return number(mean(small) / mean(large))
	}
}
