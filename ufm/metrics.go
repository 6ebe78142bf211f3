package ufm

import (
	"context"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
)

// metricIDs are the metrics of collapse that a report shows.
var metricIDs = []string{"nc1", "nc1_quotient", "cdnv_max", "nc2_equinorm", "nc2_equiangle", "nc2_max_angle", "nc2_cos_mean", "nc2_etf",
	"nc2w_etf", "nc3_distance", "nc3_alignment", "nc3_etf", "nc4_disagreement", "ncc_error"}

// LastFeatures returns the rows that the classifier sees, N x width: H itself, or what the layers make of it.
func (p *Problem) LastFeatures(at Point) (rows []float64, width int) {
	rows, width = at.H, p.Dim
	for i, l := range p.Layers {
		n := len(rows) / width
		out := &node{rows: n, cols: l.Width}
		next := make([]float64, n*l.Width)
		product(out, rows, at.Layers[i], next, 1, 0)
		if l.ReLU {
			for i, v := range next {
				next[i] = max(v, 0)
			}
		}
		rows, width = next, l.Width
	}
	return rows, width
}

// measure returns the metrics of collapse at a point, nil for losses with several labels a sample.
func (p *Problem) measure(ctx context.Context, at Point) (Fields, error) {
	if p.Loss.Kind == PickAllLabel {
		return nil, nil
	}
	rows, width := p.LastFeatures(at)
	var labels []int64
	if float64(len(rows)) == p.samples()*float64(width) {
		for k, n := range p.Counts {
			for range n {
				labels = append(labels, int64(k))
			}
		}
	} else { // one row for each class: two are enough to be compared
		single := rows
		rows = nil
		for k, n := range p.Counts {
			for range min(n, 2) {
				rows = append(rows, single[k*width:(k+1)*width]...)
				labels = append(labels, int64(k))
			}
		}
	}
	var classifier *features.Classifier
	if at.W != nil {
		classifier = &features.Classifier{Classes: len(p.Counts), Dim: width, Weights: at.W, Bias: at.B, HasBias: at.B != nil}
		if at.B == nil {
			classifier.Bias = make([]float64, len(p.Counts))
		}
	}
	set, err := features.From(rows, width, labels, classifier)
	if err != nil {
		return nil, err
	}
	report, err := collapse.Measure(ctx, set, collapse.Options{Precision: "float64", Metrics: metricIDs, NoVerdict: true})
	if err != nil {
		return nil, err
	}
	var f Fields
	for _, id := range metricIDs {
		if v := report.Results[0].Metrics[id]; v.Defined() {
			f.Add(id, v.Number)
		} else {
			f.Add(id, nil)
		}
	}
	return f, nil
}
