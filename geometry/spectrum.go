package geometry

import "math"

// EffectiveRank is exp of the entropy of the singular values' shares (Roy, Vetterli 2007).
func EffectiveRank(s []float64) float64 {
	sum, entropy := 0.0, 0.0
	for _, v := range s {
		sum += v
	}
	for _, v := range s {
		if p := v / sum; p > 0 {
			entropy -= p * math.Log(p)
		}
	}
	return math.Exp(entropy)
}

// StableRank is the sum of the squared singular values over the largest of them.
func StableRank(s []float64) float64 {
	sum := 0.0
	for _, v := range s {
		sum += v / s[0] * (v / s[0])
	}
	return sum
}

// ParticipationRatio is (sum s^2)^2 / sum s^4.
func ParticipationRatio(s []float64) float64 {
	two, four := 0.0, 0.0
	for _, v := range s {
		q := v / s[0] * (v / s[0])
		two += q
		four += q * q
	}
	return two * two / four
}
