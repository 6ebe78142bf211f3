package dataset

import (
	"fmt"
	"math"
)

// InverseFrequency is weights of classes, N/(K n_k): the weighted counts of all classes are equal, and the mean weight of a row
// is 1 (King and Zeng 2001). A class without rows has weight 0 and is not counted in K.
func InverseFrequency(counts []int) []float64 {
	total, present := 0, 0
	for _, n := range counts {
		total += n
		if n > 0 {
			present++
		}
	}
	weights := make([]float64, len(counts))
	for k, n := range counts {
		if n > 0 {
			weights[k] = float64(total) / (float64(present) * float64(n))
		}
	}
	return weights
}

// EffectiveNumber is weights of classes, (1 - beta)/(1 - beta^n_k), scaled so that they add up to the number of classes that have
// rows (Cui, Jia, Lin, Song and Belongie 2019). beta is from 0 (all weights 1) to below 1; towards 1 it becomes inverse frequency, scaled
// otherwise. A class without rows has weight 0.
func EffectiveNumber(counts []int, beta float64) ([]float64, error) {
	if !(beta >= 0 && beta < 1) {
		return nil, fmt.Errorf("effective number: beta %g, expected 0 to below 1", beta)
	}
	weights := make([]float64, len(counts))
	var sum, present float64
	for k, n := range counts {
		if n > 0 {
			// 1 - beta^n without cancellation
			weights[k] = (1 - beta) / -math.Expm1(float64(n)*math.Log(beta))
			sum += weights[k]
			present++
		}
	}
	for k := range weights {
		weights[k] *= present / sum
	}
	return weights, nil
}

// LogPriors is ln(n_k/N), which, times a temperature, logit adjustment adds to the logits of training (Menon, Jayasumana, Rawat,
// Jain, Veit and Kumar 2021). A class without rows has none: that is an error.
func LogPriors(counts []int) ([]float64, error) {
	total := 0
	for k, n := range counts {
		if n < 1 {
			return nil, fmt.Errorf("priors for logit adjustment: class %d has no rows", k)
		}
		total += n
	}
	priors := make([]float64, len(counts))
	for k, n := range counts {
		priors[k] = math.Log(float64(n) / float64(total))
	}
	return priors, nil
}

// Standardisation is mean and deviation (of N, not N-1) of the training rows, as a Loader takes them: in units of pixel/255, or of
// Values; over all numbers, or one pair for each channel.
func (s *Set) Standardisation(perChannel bool) (mean, std []float64) {
	groups := 1
	if perChannel {
		groups = s.Shape.Channels
	}
	mean, std = make([]float64, groups), make([]float64, groups)
	if s.Train.Pixels != nil {
		counts := make([][256]int, groups)
		g := 0
		for _, v := range s.Train.Pixels {
			counts[g][v]++
			if g++; g == groups {
				g = 0
			}
		}
		for g := range counts {
			var n, sum, squares int
			for v, times := range counts[g] {
				n, sum, squares = n+times, sum+v*times, squares+v*v*times
			}
			m := float64(sum) / float64(n)
			mean[g], std[g] = m/255, math.Sqrt(float64(squares)/float64(n)-m*m)/255
		}
		return mean, std
	}
	n := float64(len(s.Train.Values) / groups)
	for i, v := range s.Train.Values {
		mean[i%groups] += float64(v) / n
	}
	for i, v := range s.Train.Values {
		d := float64(v) - mean[i%groups]
		std[i%groups] += d * d / n
	}
	for g := range std {
		std[g] = math.Sqrt(std[g])
	}
	return mean, std
}
