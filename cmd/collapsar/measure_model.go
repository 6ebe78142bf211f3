package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/ufm"
	"github.com/spf13/cobra"
)

// modelFlags are the unconstrained features model that measured scales are held against: pick-all-label cross-entropy with the counts of
// the tag sets of the training rows, and decays.
type modelFlags struct {
	W, H, B float64
	Loss    string
}

func (m *modelFlags) add(cmd *cobra.Command) {
	m.Loss = "pal"
	f := cmd.Flags()
	f.Float64Var(&m.W, "lambda-w", 0, "of rows with several tags: decay of the classifier in training, for the scales that the theory predicts")
	f.Float64Var(&m.H, "lambda-h", 0, "decay of the features, of the sum over all training rows")
	f.Float64Var(&m.B, "lambda-b", 0, "decay of the bias; 0 for a bias without decay")
	f.Var(oneOf{&m.Loss, []string{"pal", "pal_mean"}}, "loss", "loss in training: pick-all-label, or divided by the number of tags")
	complete(cmd, "loss", "pal", "pal_mean")
}

// wanted reports whether there is a model.
func (m *modelFlags) wanted() bool { return m.W != 0 || m.H != 0 }

func (m *modelFlags) check() error {
	for _, f := range []struct {
		flag  string
		value float64
	}{{"lambda-w", m.W}, {"lambda-h", m.H}} {
		if m.wanted() && (!(f.value > 0) || math.IsInf(f.value, 0)) {
			return usagef("--%s %v: --lambda-w and --lambda-h must both be numbers above 0", f.flag, f.value)
		}
	}
	if !(m.B >= 0) || math.IsInf(m.B, 0) {
		return usagef("--lambda-b %v: must be a number of at least 0", m.B)
	}
	return nil
}

// modelJSON is the "model" of a result: what the theory predicts of metrics, by multiplicity.
type modelJSON struct {
	Loss        string              `json:"loss"`
	W           float64             `json:"lambda_w"`
	H           float64             `json:"lambda_h"`
	B           float64             `json:"lambda_b"`              // 0: a free bias
	ClosedForm  bool                `json:"closed_form"`           // else by search
	Certificate *float64            `json:"certificate,omitempty"` // of a search: 1 at the optimum (docs/solve.md)
	Metrics     map[string]*float64 `json:"metrics"`               // predicted: ml_margin_m1, ml_scale_m2, ...; null where the model has none
	Reason      string              `json:"reason,omitempty"`      // why there is no prediction
}

// predict solves the model of every result of training rows.
func (m *modelFlags) predict(ctx context.Context, u *ui, reports []*collapse.Report) error {
	for _, report := range reports {
		for _, r := range report.Trained() {
			if r.Tags == nil {
				return fmt.Errorf("%s: --lambda-w and --lambda-h are for rows with several tags; these have one label each", report.Source)
			}
			p := ufm.Problem{
				Loss: ufm.Loss{Kind: ufm.PickAllLabel, Classes: r.Classes, Average: m.Loss == "pal_mean"},
				Dim:  r.Dimension, W: ufm.Decay(m.W), H: ufm.Decay(m.H), Bias: ufm.FreeBias,
			}
			if m.B > 0 {
				p.Bias, p.B = ufm.DecayedBias, m.B
			}
			for i, tags := range r.Tags.All {
				p.Loss.TagSets = append(p.Loss.TagSets, ufm.TagSet{Tags: tags, Count: r.Tags.Count[i]})
			}
			out := &modelJSON{Loss: m.Loss, W: m.W, H: m.H, B: m.B, Metrics: map[string]*float64{}}
			r.Model = out
			optimum, err := p.TagSets(ctx, ufm.SolveOptions{Seeds: 2})
			switch {
			case ctx.Err() != nil:
				return errInterrupted
			case errors.Is(err, ufm.ErrTooLarge):
				out.Reason = err.Error()
				u.warn("%s: no prediction: %v", report.Source, err)
				continue
			case err != nil:
				return array.About(err, report.Source)
			}
			out.ClosedForm = optimum.ClosedForm
			if optimum.Certificate != nil {
				out.Certificate = finite(optimum.Certificate.SpectralNorm / optimum.Certificate.Threshold)
			}
			for _, size := range optimum.Sizes {
				at := strconv.Itoa(size.Size)
				out.Metrics["ml_margin_m"+at] = finite(size.Margin)
				if size.Size > 1 {
					out.Metrics["ml_scale_m"+at] = finite(size.Scale)
				}
			}
		}
	}
	return nil
}

func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// writeModels prints what was measured beside what is predicted.
func writeModels(p *page, results []*collapse.Result) {
	for _, r := range results {
		m, ok := r.Model.(*modelJSON)
		if !ok || m.Reason != "" {
			continue
		}
		how := "by search"
		if m.ClosedForm {
			how = "in closed form"
		}
		t := &table{indent: 2, columns: []alignment{left, point, right, point, left}}
		p.WriteByte('\n')
		title := fmt.Sprintf("Unconstrained features model, loss %s, lambda_W %.6g, lambda_H %.6g, the counts of these rows, %s", m.Loss, m.W, m.H, how)
		if r.Layer != "features" {
			title = r.Layer + ": " + title
		}
		p.wrapped(cyan, 2, clean(title))
		t.head(heads(bold, "", "measured", "interval", "predicted")...)
		for _, metric := range collapse.MetricsOf(r) {
			v, predicted := m.Metrics[metric.ID]
			if !predicted {
				continue
			}
			measured := value(r, metric.ID)
			t.add(text(metric.ID), valueCell(measured), shown(betweenNumbers(measured.Low, measured.High)), shownNumber(v, bold), cell{metric.Name, dim})
		}
		t.write(p)
	}
}
