package collapse

import (
	"context"

	"github.com/collapsar/collapsar/moments"
)

// fullSample is what the metrics of cost Full need: second moments of all rows and of each class.
type fullSample struct {
	features, within  []float64 // singular values of the rows less mu_S, and less their class mean; decreasing
	nuclearRatio      Value
	codingRate        Value
	codingRateClasses Value
}

// ofFull is a metric of cost Full.
func ofFull(f func(f *fullSample) Value) func(*sample) Value {
	return func(s *sample) Value {
		if s.full == nil {
			return undefined(NotRequested)
		}
		return f(s.full)
	}
}

func vci(s *sample) Value { return undefined(NotRequested) }

var squaredError = []Metric{}

var pushPull = []Metric{}

func measureFull(ctx context.Context, s *sample, scan moments.ScanOptions) (*fullSample, error) {
	return nil, nil
}
