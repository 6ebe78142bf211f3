package dataset

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// images is the folder with real images beside the repository; tests that need it are skipped where it is not.
func images(t testing.TB) string {
	path := filepath.Join("..", "..", "shared", "data", "images")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not there: the numbers of real data sets are not checked", path)
	}
	return path
}

func classMeans[T uint8 | float32](x []T, y []int32, d, k int) [][]float64 {
	means, counts := make([][]float64, k), make([]float64, k)
	for c := range means {
		means[c] = make([]float64, d)
	}
	for i, c := range y {
		counts[c]++
		for j, v := range x[i*d : (i+1)*d] {
			means[c][j] += float64(v)
		}
	}
	for c := range means {
		for j := range means[c] {
			means[c][j] /= counts[c]
		}
	}
	return means
}

func squaredDistance[T uint8 | float32](x []T, m []float64) float64 {
	sum := 0.0
	for j, v := range x {
		sum += (float64(v) - m[j]) * (float64(v) - m[j])
	}
	return sum
}

// nearestMeanError is the error on test rows of the classifier that picks the nearest class mean of the training rows.
func nearestMeanError[T uint8 | float32](x []T, y []int32, testX []T, testY []int32, d, k int) float64 {
	means := classMeans(x, y, d, k)
	wrong := 0
	for i, want := range testY {
		best, least := 0, math.Inf(1)
		for c, m := range means {
			if s := squaredDistance(testX[i*d:(i+1)*d], m); s < least {
				best, least = c, s
			}
		}
		if best != int(want) {
			wrong++
		}
	}
	return float64(wrong) / float64(len(testY))
}

// ridgeAccuracy is that of least squares with decay 1 on rows with a 1 at their end, in its dual form.
func ridgeAccuracy(x []float32, y []int32, testX []float32, testY []int32, d, k int) float64 {
	rows := func(x []float32) *mat.Dense {
		m := mat.NewDense(len(x)/d, d+1, nil)
		for i := range len(x) / d {
			for j, v := range x[i*d : (i+1)*d] {
				m.Set(i, j, float64(v))
			}
			m.Set(i, d, 1)
		}
		return m
	}
	a, b := rows(x), rows(testX)
	targets := mat.NewDense(len(y), k, nil)
	for i, c := range y {
		targets.Set(i, int(c), 1)
	}
	var gram, dual, cross, scores mat.Dense
	gram.Mul(a, a.T())
	for i := range y {
		gram.Set(i, i, gram.At(i, i)+1)
	}
	if err := dual.Solve(&gram, targets); err != nil {
		panic(err)
	}
	cross.Mul(b, a.T())
	scores.Mul(&cross, &dual)
	right := 0
	for i, want := range testY {
		best := 0
		for c := range k {
			if scores.At(i, c) > scores.At(i, best) {
				best = c
			}
		}
		if best == int(want) {
			right++
		}
	}
	return float64(right) / float64(len(testY))
}
