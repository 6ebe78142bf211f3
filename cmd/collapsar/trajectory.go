package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
)

// headline are the metrics that a trajectory is told by; those that fit a terminal are taken in this order, and stand in that
// of the registry.
var headline = []string{
	"level.variability", "level.simplex", "level.duality", "level.centre", "level.tagwise", "nc1", "nc2_max_angle", "nc3_distance", "nc4_disagreement", "classifier_error", "nc2_equinorm", "nc1_quotient",
	"ncc_error", "cdnv_mean", "nc2_etf",
	"ml_nc1", "ml_nc2_single_etf", "ml_nc3_dual", "ml_tagwise_angle_ratio_m2", "ml_tagwise_angle_ratio_m3", "ml_set_error",
}

// more are shown where there is room, after the headline.
var more = []string{
	"ml_scale_m2", "ml_scale_spread_m2", "ml_nc2_w_etf", "ml_pal_excess",
	"classifier_error_test", "nc1_test", "nc3_alignment", "ce_loss", "nc2w_etf", "ncc_error_test", "cdnv_max", "margin_min",
}

// A way is how the steps of a trajectory are called: by a number of some unit, or by names of files.
type way struct {
	unit   string // "step", "epoch"
	labels []string
}

// name is how a sentence calls a step.
func (w way) name(i int) string {
	if _, err := strconv.Atoi(w.labels[i]); err == nil {
		return w.unit + " " + w.labels[i]
	}
	return clean(w.labels[i])
}

// writeTrajectory prints a line for every file, and how each metric went.
func writeTrajectory(p *page, metrics []collapse.Metric, reports []*collapse.Report, chosen bool) {
	p.wrapped(bold, 2, clean(fmt.Sprintf("%s, %s to %s", plural(len(reports), "file"), reports[0].Source, reports[len(reports)-1].Source)))
	writeWay(p, metrics, reports, way{"step", stepLabels(reports)}, chosen)
}

// writeWay prints a line for every report, and how each metric went.
func writeWay(p *page, metrics []collapse.Metric, reports []*collapse.Report, w way, chosen bool) {
	if !chosen {
		metrics = slices.Concat(levelColumns(), metrics)
	}
	for i, layer := range layersOf(reports) {
		if i > 0 {
			p.WriteByte('\n')
		}
		results := make([]*collapse.Result, len(reports)) // nil where a file does not have the layer
		for j, report := range reports {
			for _, r := range report.Results {
				if resultName(r) == layer {
					results[j] = r
				}
			}
		}
		writeSteps(p, metrics, layer, w, results, chosen)
	}
	since := zeroErrorSince(reports)
	if since >= 0 || judged(reports) {
		p.WriteByte('\n')
	}
	if since >= 0 {
		p.wrapped(plain, 2, fmt.Sprintf("no training row is misclassified from %s on", w.name(since)))
	}
	writeSince(p, w, reports)
}

// layersOf lists the layers of all files, in the order in which they come up.
func layersOf(reports []*collapse.Report) (layers []string) {
	for _, report := range reports {
		for _, r := range report.Results {
			if name := resultName(r); !slices.Contains(layers, name) {
				layers = append(layers, name)
			}
		}
	}
	return layers
}

// stepLabels are the steps, or the names of the files where those do not tell them apart.
func stepLabels(reports []*collapse.Report) []string {
	labels := make([]string, len(reports))
	for i, r := range reports {
		step := stepOf(r)
		if step == nil || i > 0 && *step <= *stepOf(reports[i-1]) {
			return fileLabels(reports)
		}
		labels[i] = strconv.Itoa(*step)
	}
	return labels
}

// fileLabels are the names of the files, with their folders where those differ.
func fileLabels(reports []*collapse.Report) []string {
	labels := make([]string, len(reports))
	for i, r := range reports {
		labels[i] = filepath.Base(r.Source)
		if filepath.Dir(r.Source) != filepath.Dir(reports[0].Source) {
			for i, r := range reports {
				labels[i] = r.Source
			}
			break
		}
	}
	return labels
}

func writeSteps(p *page, metrics []collapse.Metric, layer string, w way, results []*collapse.Result, chosen bool) {
	var first *collapse.Result
	var shown []collapse.Metric // what exists in some step
	for _, m := range metrics {
		for _, r := range results {
			if r == nil {
				continue
			}
			if first == nil {
				first = r
			}
			if (chosen || slices.Contains(headline, m.ID) || slices.Contains(more, m.ID)) && value(r, m.ID).Defined() {
				shown = append(shown, m)
				break
			}
		}
	}
	if first == nil {
		return
	}
	title := layer
	if layer == "features" {
		title = ""
	}
	facts := sampleFacts(first)
	if slices.ContainsFunc(results, func(r *collapse.Result) bool { return r != nil && sampleFacts(r) != facts }) {
		facts = "rows, classes, dimensions or precision differ from file to file"
	}
	p.wrapped(plain, 2, clean(strings.TrimPrefix(title+": "+facts, ": ")))

	rank := func(m collapse.Metric) int { // which come first where not all fit
		if chosen {
			return slices.IndexFunc(shown, func(o collapse.Metric) bool { return o.ID == m.ID })
		}
		if i := slices.Index(headline, m.ID); i >= 0 {
			return i
		}
		return len(headline) + slices.Index(more, m.ID)
	}
	columns := slices.Clone(shown)
	slices.SortFunc(columns, func(a, b collapse.Metric) int { return rank(a) - rank(b) })
	if !chosen && p.width == 0 {
		columns = slices.DeleteFunc(columns, func(m collapse.Metric) bool { return rank(m) >= len(headline) })
	}
	for len(columns) > 1 && p.width > 0 {
		if width(stepTable(inOrder(metrics, columns), w, results)) < p.width {
			break
		}
		columns = columns[:len(columns)-1]
	}
	p.WriteByte('\n')
	t := stepTable(inOrder(metrics, columns), w, results)
	t.write(p)
	p.WriteByte('\n')
	if !chosen {
		shown = slices.DeleteFunc(shown, func(m collapse.Metric) bool {
			return !slices.Contains(headline, m.ID) && !slices.ContainsFunc(columns, func(o collapse.Metric) bool { return o.ID == m.ID })
		})
	}
	writeTrends(p, shown, results)
}

func sampleFacts(r *collapse.Result) string {
	if r.Tags != nil {
		return tagLine(r) + ", " + layerFacts(r)
	}
	return fmt.Sprintf("%s, %s, %s", plural(r.Samples, "row"), plural(r.PresentClasses, "class"), layerFacts(r))
}

func inOrder(metrics, some []collapse.Metric) (out []collapse.Metric) {
	for _, m := range metrics {
		if slices.ContainsFunc(some, func(o collapse.Metric) bool { return o.ID == m.ID }) {
			out = append(out, m)
		}
	}
	return out
}

func width(t *table) int {
	w := t.indent - len(gutter)
	for _, e := range t.extents() {
		w += e.all + len(gutter)
	}
	return w
}

// stepTable has a row for every step. The heads are broken at underscores.
func stepTable(metrics []collapse.Metric, w way, results []*collapse.Result) *table {
	t := &table{indent: 2, columns: []alignment{right}}
	title := w.unit
	if _, err := strconv.Atoi(w.labels[0]); err != nil {
		t.columns[0], title = left, "file"
	}
	words := make([][]string, len(metrics))
	lines := 1
	for i, m := range metrics {
		t.columns = append(t.columns, point)
		words[i] = broken(m.ID)
		lines = max(lines, len(words[i]))
	}
	for l := range lines {
		head := []cell{{}}
		if l == lines-1 {
			head[0] = cell{title, bold}
		}
		for _, parts := range words {
			c := cell{}
			if i := l - (lines - len(parts)); i >= 0 {
				c = cell{parts[i], bold}
			}
			head = append(head, c)
		}
		t.head(head...)
	}
	for i, r := range results {
		line := []cell{faint(w.labels[i])}
		for _, m := range metrics {
			c := cell{none, dim}
			if r != nil {
				if v := value(r, m.ID); v.Defined() {
					c = cell{number(v.Number, 4), plain}
				}
			}
			line = append(line, c)
		}
		t.add(line...)
	}
	return t
}

// broken cuts an id into lines of a head: "nc2_max_angle" into nc2_, max_, angle.
func broken(id string) []string {
	if name, ok := strings.CutPrefix(id, levelPrefix); ok {
		return []string{levelPrefix, name}
	}
	return strings.SplitAfter(id, "_")
}

// writeTrends prints for every metric where it began, where it ended, and the way between.
func writeTrends(p *page, metrics []collapse.Metric, results []*collapse.Result) {
	t := table{indent: 2, columns: []alignment{left, point, point, left}}
	t.head(cell{}, cell{"first", bold}, cell{"last", bold}, cell{})
	var ways [][]float64
	for _, m := range metrics {
		values := make([]float64, len(results))
		ends := [2]cell{{none, dim}, {none, dim}}
		for i, r := range results {
			values[i] = math.NaN()
			if r == nil {
				continue
			}
			if v := value(r, m.ID); v.Defined() {
				values[i] = v.Number
				if ends[0].text == none {
					ends[0] = cell{number(v.Number, 4), plain}
				}
				ends[1] = cell{number(v.Number, 4), bold}
			}
		}
		t.add(text(m.ID), ends[0], ends[1], cell{})
		ways = append(ways, values)
	}
	room := 40
	if p.width > 0 {
		room = max(8, min(room, p.width-1-width(&t)))
	}
	for i, values := range ways {
		low, high := span(values)
		t.rows[i+1].cells[3] = cell{spark(values, room, low, high), green}
	}
	t.write(p)
}
