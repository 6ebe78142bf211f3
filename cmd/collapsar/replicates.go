package main

import (
	"fmt"
	"strings"

	"github.com/collapsar/collapsar/collapse"
)

// writeReplicates prints what several runs come to: mean and spread over them, and intervals over and within runs.
func writeReplicates(p *page, metrics []collapse.Metric, reports []*collapse.Report, confidence float64) {
	p.wrapped(bold, 2, clean(fmt.Sprintf("%s, %s to %s", plural(len(reports), "run"), reports[0].Source, reports[len(reports)-1].Source)))
	for _, layer := range collapse.Replicates(reports, confidence) {
		p.WriteByte('\n')
		name := strings.TrimPrefix(layer.Layer, "features")
		if layer.Split != "" {
			name = strings.TrimSpace(name + " " + layer.Split + " rows")
		}
		if name != "" {
			p.wrapped(cyan, 2, clean(name)+": "+plural(layer.Runs, "run"))
		}
		over := fmt.Sprintf("%g %% over runs", 100*confidence)
		if layer.Levels != nil {
			verdict := ""
			for _, whole := range []string{collapse.Collapsed, collapse.NotCollapsed, collapse.WholeUndecided} {
				if n := layer.Verdicts[whole]; n > 0 {
					if verdict != "" {
						verdict += ", "
					}
					verdict += fmt.Sprintf("%s in %d of %s", whole, n, plural(layer.Runs, "run"))
				}
			}
			p.wrapped(bold, 0, clean(verdict))
			p.WriteByte('\n')
			t := &table{indent: 2, columns: []alignment{left, right, right, right, right, left}}
			t.head(cell{}, cell{"mean", bold}, cell{"sd", bold}, cell{over, bold}, cell{"within a run", bold}, cell{})
			for _, name := range collapse.Properties() {
				o, ok := layer.Levels[name]
				if !ok {
					continue
				}
				remark := cell{"no value", dim}
				if o.Holds != nil {
					remark = cell{fmt.Sprintf("holds in %d of %s", *o.Holds, plural(layer.Runs, "run")), plain}
				}
				between := func(low, high *float64) cell {
					level := collapse.Level{Low: low, High: high}
					return shown(level.Interval())
				}
				t.add(text(name), shownShare(o.Mean, bold), shownShare(o.SD, plain), between(o.Low, o.High), between(o.WithinLow, o.WithinHigh), remark)
			}
			t.write(p)
			p.WriteByte('\n')
		}
		t := &table{indent: 2, columns: []alignment{left, point, point, right, right, left}}
		t.head(cell{}, cell{"mean", bold}, cell{"sd", bold}, cell{over, bold}, cell{"within a run", bold}, cell{})
		for _, m := range metrics {
			o, ok := layer.Metrics[m.ID]
			if !ok {
				continue
			}
			remark := m.Name
			if o.Runs < layer.Runs {
				remark = fmt.Sprintf("%d of %s: %s", o.Runs, plural(layer.Runs, "run"), remark)
			}
			t.add(text(m.ID), shownNumber(o.Mean, bold), shownNumber(o.SD, plain), shown(betweenNumbers(o.Low, o.High)), shown(betweenNumbers(o.WithinLow, o.WithinHigh)), cell{remark, dim})
		}
		t.write(p)
	}
}

func shown(s string) cell {
	if s == "" {
		return cell{none, dim}
	}
	return text(s)
}

func shownShare(v *float64, s style) cell {
	if v == nil {
		return cell{none, dim}
	}
	return cell{collapse.Percent(*v), s}
}

func shownNumber(v *float64, s style) cell {
	if v == nil {
		return cell{none, dim}
	}
	return cell{number(*v, 4), s}
}

// betweenNumbers is an interval of plain numbers, "" where it is not known.
func betweenNumbers(low, high *float64) string {
	if low == nil || high == nil {
		return ""
	}
	return number(*low, 4) + " to " + number(*high, 4)
}
