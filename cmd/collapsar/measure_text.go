package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
)

const digits = 5 // that count, in tables of metrics

// writeReport prints what was measured on a file: a column for every layer.
func writeReport(p *page, metrics []collapse.Metric, report *collapse.Report) {
	results := report.Results
	writeHead(p, report)
	writeVerdict(p, report)
	var heads []string
	if len(results) > 1 {
		for _, r := range results {
			heads = append(heads, columnName(r))
		}
	}
	for _, part := range parts(p, metrics, results, heads) {
		p.WriteByte('\n')
		var some []string
		if heads != nil {
			some = heads[part[0]:part[1]]
		}
		const roomy = 100 // narrower terminals have no room for limits
		metricTable(metrics, results[part[0]:part[1]], some, p.width == 0 || p.width >= roomy).write(p)
	}
	if heads != nil {
		writeMissing(p, metrics, results, heads)
	}
	if n := notRequested(metrics, results); n > 0 {
		p.WriteByte('\n')
		p.wrapped(dim, 0, fmt.Sprintf("%s not requested; --metrics all measures everything", plural(n, "metric")))
	}
	writeModels(p, results)
	writePredictions(p, results)
	writeCompat(p, results)
	for _, r := range results {
		writeClasses(p, r)
	}
}

// writeHead says what the numbers are about.
func writeHead(p *page, report *collapse.Report) {
	results := report.Results
	if len(results) == 0 {
		return
	}
	r := results[0]
	p.wrapped(bold, 2, clean(report.Source))
	counts := plural(r.ClassCounts.Max, "row")
	if r.ClassCounts.Max != r.ClassCounts.Min {
		counts = strconv.Itoa(r.ClassCounts.Min) + " to " + counts
	}
	classes := plural(r.PresentClasses, "class")
	if r.PresentClasses != r.Classes {
		classes = fmt.Sprintf("%d of %s present", r.PresentClasses, plural(r.Classes, "class"))
	}
	line := fmt.Sprintf("%s, %s (%s each)", plural(r.Samples, "row"), classes, counts)
	if r.Tags != nil {
		line = tagLine(r)
		for _, o := range results {
			if o.Split != r.Split {
				line += fmt.Sprintf("; %s rows: %s", o.Split, tagLine(o))
				break
			}
		}
	}
	if r.Skipped > 0 {
		line += fmt.Sprintf(", %s skipped", plural(r.Skipped, "row"))
	}
	p.wrapped(plain, 2, line)
	if len(results) == 1 || r.Tags != nil && !slices.ContainsFunc(results, func(o *collapse.Result) bool { return o.Layer != r.Layer }) {
		p.wrapped(plain, 2, clean(layerLine(r)))
	} else {
		t := table{columns: []alignment{left, left}}
		for _, r := range results {
			if r.Split == "train" {
				t.add(text(r.Layer), text(layerFacts(r)))
			}
		}
		t.write(p)
	}
	if d := depth(report); d != nil {
		line := fmt.Sprintf("effective depth %d of %d: ", d.Value, len(results))
		if d.Reached && d.Value >= 1 && d.Value <= len(results) {
			line += fmt.Sprintf("from %s on, the nearest class mean is wrong on at most %s of the rows", results[d.Value-1].Layer, percent(d.Eps))
		} else {
			line += fmt.Sprintf("in no layer is the nearest class mean wrong on at most %s of the rows", percent(d.Eps))
		}
		p.wrapped(plain, 2, clean(line))
	}
}

// tagLine counts the rows, tags and tag sets of a result.
func tagLine(r *collapse.Result) string {
	sizes := make([]string, len(r.Tags.Multiplicities))
	for i, m := range r.Tags.Multiplicities {
		sizes[i] = strconv.Itoa(m)
	}
	last := len(sizes) - 1
	of := sizes[last] + " tags"
	switch {
	case last > 2 && r.Tags.Multiplicities[last]-r.Tags.Multiplicities[0] == last:
		of = sizes[0] + " to " + of
	case last > 0:
		of = strings.Join(sizes[:last], ", ") + " and " + of
	case sizes[0] == "1":
		of = "1 tag"
	}
	counts := plural(r.Tags.Rows.Max, "row")
	if r.Tags.Rows.Max != r.Tags.Rows.Min {
		counts = strconv.Itoa(r.Tags.Rows.Min) + " to " + counts
	}
	return fmt.Sprintf("%s, %s, %s of %s (%s each)", plural(r.Samples, "row"), plural(r.Classes, "tag"), plural(r.Tags.Sets, "tag set"), of, counts)
}

// columnName heads the column of a result: rows with several tags have one for training and one for test rows.
func columnName(r *collapse.Result) string {
	if r.Tags != nil && r.Layer == "features" {
		return r.Split
	}
	return resultName(r)
}

// depth is the effective depth of a file, nil where the errors that it comes from were not measured.
func depth(report *collapse.Report) *collapse.EffectiveDepth {
	d := report.Depth
	if d == nil || !slices.ContainsFunc(d.NCCError, func(e *float64) bool { return e != nil }) {
		return nil
	}
	return d
}

func percent(share float64) string { return number(100*share, 3) + " %" }

func layerLine(r *collapse.Result) string {
	name := ""
	if r.Layer != "features" {
		name = r.Layer + ": "
	}
	return name + layerFacts(r)
}

// layerFacts says how a layer is stored and how it was measured.
func layerFacts(r *collapse.Result) string {
	s := fmt.Sprintf("%s, %s", plural(r.Dimension, "dimension"), r.DType)
	if r.Precision != "" {
		s += ", products in " + r.Precision
	}
	if r.Route != "" {
		s += ", nc1 by " + r.Route
	}
	return s
}

// metricTable is a table of metrics with a column for every result, and one for the limits where there is one result.
func metricTable(metrics []collapse.Metric, results []*collapse.Result, heads []string, limits bool) *table {
	t := &table{indent: 2, columns: []alignment{left}}
	head := []cell{{}}
	for i := range results {
		t.columns = append(t.columns, point)
		title := "value"
		if heads != nil {
			title = heads[i]
		}
		head = append(head, cell{clean(title), bold})
	}
	limits = limits && heads == nil && slices.ContainsFunc(metrics, func(m collapse.Metric) bool { return value(results[0], m.ID).Low != nil })
	if limits { // of one layer only: more are too many columns
		t.columns = append(t.columns, left)
		head = append(head, cell{fmt.Sprintf("%g %% interval", 100*results[0].Verdict.Confidence), bold})
	}
	t.columns = append(t.columns, point, left)
	head = append(head, cell{"ideal", dim}, cell{})
	t.head(head...)
	for _, group := range grouped(metrics, results) {
		t.across(cell{group[0].Group, cyan})
		for _, l := range folded(group, results) {
			if l.count > 1 {
				line := []cell{{plural(l.count, "metric"), dim}}
				for range results {
					line = append(line, cell{none, dim})
				}
				if limits {
					line = append(line, cell{})
				}
				t.add(append(line, cell{}, cell{l.reason, dim})...)
				continue
			}
			line := []cell{text(l.metric.ID)}
			for _, r := range results {
				line = append(line, valueCell(value(r, l.metric.ID)))
			}
			if limits {
				v := value(results[0], l.metric.ID)
				line = append(line, text(betweenNumbers(v.Low, v.High)))
			}
			t.add(append(line, cell{idealText(l.metric, results), dim}, cell{remark(l.metric, results, true), dim})...)
		}
	}
	return t
}

func valueCell(v collapse.Value) cell {
	if !v.Defined() {
		return cell{none, dim}
	}
	return cell{number(v.Number, digits), bold}
}

// grouped are the metrics asked for, under their headings.
func grouped(metrics []collapse.Metric, results []*collapse.Result) (groups [][]collapse.Metric) {
	for _, m := range metrics {
		if !slices.ContainsFunc(results, func(r *collapse.Result) bool { return value(r, m.ID).Reason != collapse.NotRequested }) {
			continue
		}
		i := slices.IndexFunc(groups, func(g []collapse.Metric) bool { return g[0].Group == m.Group })
		if i < 0 {
			groups = append(groups, []collapse.Metric{m})
		} else {
			groups[i] = append(groups[i], m)
		}
	}
	return groups
}

func notRequested(metrics []collapse.Metric, results []*collapse.Result) (n int) {
	for _, m := range metrics {
		if !slices.ContainsFunc(results, func(r *collapse.Result) bool { return value(r, m.ID).Reason != collapse.NotRequested }) {
			n++
		}
	}
	return n
}

// A line of a table is about a metric, or about several that do not exist for one reason.
type line struct {
	metric collapse.Metric
	count  int
	reason string
}

// folded makes lines of a group: one of all metrics that no result has for the same reason, if they are three or more, or all.
func folded(group []collapse.Metric, results []*collapse.Result) (lines []line) {
	count := map[string]int{}
	for _, m := range group {
		count[missing(m, results)]++
	}
	for _, m := range group {
		reason := missing(m, results)
		switch n := count[reason]; {
		case reason == "" || n == 1 || n == 2 && len(group) > 2:
			lines = append(lines, line{m, 1, reason})
		case n > 0:
			lines = append(lines, line{m, n, reason})
			count[reason] = -1 // said
		}
	}
	return lines
}

// missing is why no result has a metric, "" if one has it.
func missing(m collapse.Metric, results []*collapse.Result) string {
	var why []string
	for _, r := range results {
		v := value(r, m.ID)
		if v.Defined() {
			return ""
		}
		if s := words(v.Reason); !slices.Contains(why, s) {
			why = append(why, s)
		}
	}
	return strings.Join(why, ", ")
}

func words(r collapse.Reason) string { return strings.ReplaceAll(string(r), "_", " ") }

// idealText is the value at perfect collapse, if it is a number, and the same for all results.
func idealText(m collapse.Metric, results []*collapse.Result) string {
	at, ok := ideals(m, results)
	if !ok || slices.ContainsFunc(at, func(v float64) bool { return v != at[0] }) {
		return ""
	}
	return number(at[0], digits)
}

// ideals are the values at perfect collapse of the results, and whether there are any.
func ideals(m collapse.Metric, results []*collapse.Result) (at []float64, ok bool) {
	for _, r := range results {
		v, has := m.IdealAt(r.PresentClasses)
		if !has {
			return nil, false
		}
		at = append(at, v)
	}
	return at, true
}

// remark is what stands behind the numbers of a metric: the classes that a maximum comes from, its name, and its ideal if
// that is not a number; or why there is no number.
func remark(m collapse.Metric, results []*collapse.Result, classes bool) string {
	if why := missing(m, results); why != "" {
		return why
	}
	s := m.Name
	if m.Ideal != "" && idealText(m, results) == "" {
		s += " (ideal " + m.Ideal + ")"
	}
	if len(results) == 1 && classes { // of several layers, the JSON tells which class it is in each
		if worst := value(results[0], m.ID).Worst; worst != nil {
			s = classList(worst) + ": " + s
		}
	}
	return s
}

// writeMissing says why some results lack what others have.
func writeMissing(p *page, metrics []collapse.Metric, results []*collapse.Result, heads []string) {
	var reasons []collapse.Reason
	where := map[collapse.Reason][]string{}
	for _, m := range metrics {
		if missing(m, results) != "" {
			continue
		}
		for i, r := range results {
			if v := value(r, m.ID); !v.Defined() {
				if where[v.Reason] == nil {
					reasons = append(reasons, v.Reason)
				}
				if !slices.Contains(where[v.Reason], heads[i]) {
					where[v.Reason] = append(where[v.Reason], heads[i])
				}
			}
		}
	}
	for _, reason := range reasons {
		p.wrapped(dim, 4, clean(fmt.Sprintf("%s in %s: %s", none, strings.Join(where[reason], ", "), words(reason))))
	}
}

// classList is "class 3", or "classes 3, 5".
func classList(classes []int64) string {
	parts := make([]string, len(classes))
	for i, c := range classes {
		parts[i] = strconv.FormatInt(c, 10)
	}
	if len(parts) == 1 {
		return "class " + parts[0]
	}
	return "classes " + strings.Join(parts, ", ")
}

// parts cuts columns into tables that fit the terminal.
func parts(p *page, metrics []collapse.Metric, results []*collapse.Result, heads []string) [][2]int {
	if len(results) == 1 || p.width == 0 {
		return [][2]int{{0, len(results)}}
	}
	e := metricTable(metrics, results, heads, false).extents()
	room := p.width - 1 - 2 - e[0].all - e[len(e)-2].all - 2*len(gutter) - 8
	var out [][2]int
	for i := 0; i < len(results); {
		used, j := 0, i
		for j < len(results) && (j == i || used+e[j+1].all+len(gutter) <= room) {
			used += e[j+1].all + len(gutter)
			j++
		}
		out = append(out, [2]int{i, j})
		i = j
	}
	return out
}

// writeCompat prints the numbers of published scripts.
func writeCompat(p *page, results []*collapse.Result) {
	for _, script := range sortedKeys(results[0].Compat) {
		t := table{indent: 2, columns: []alignment{left}}
		for range results {
			t.columns = append(t.columns, point)
		}
		t.columns = append(t.columns, left)
		t.across(cell{"As computed by the script " + script, cyan})
		for _, q := range sortedKeys(results[0].Compat[script]) {
			line, why := []cell{text(q)}, ""
			for _, r := range results {
				v := r.Compat[script][q]
				line = append(line, valueCell(v))
				if !v.Defined() {
					why = words(v.Reason)
				}
			}
			t.add(append(line, cell{why, dim})...)
		}
		p.WriteByte('\n')
		t.write(p)
		for _, n := range results[0].Notes {
			if n.Code == "compat_"+script {
				p.wrapped(dim, 0, clean(n.Message))
			}
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// writeClasses prints a row for every class.
func writeClasses(p *page, r *collapse.Result) {
	if len(r.PerClass) == 0 {
		return
	}
	real := func(v *float64) cell {
		if v == nil || math.IsNaN(*v) {
			return cell{none, dim}
		}
		return text(number(*v, 4))
	}
	class := func(v *int64) cell {
		if v == nil {
			return cell{none, dim}
		}
		return text(strconv.FormatInt(*v, 10))
	}
	t := table{indent: 2, columns: []alignment{
		right, right, right, right, point, point, right, point, point, right, point, point, point,
	}}
	t.head(heads(bold, "class", "rows", "ncc", "wrong", "variance", "mean", "near", "at", "cdnv", "with", "cosine", "align", "weight")...)
	for _, c := range r.PerClass {
		wrong := cell{none, dim}
		if c.Errors != nil {
			wrong = text(strconv.Itoa(*c.Errors))
		}
		t.add(class(&c.Class), text(strconv.Itoa(c.Count)), text(strconv.Itoa(c.NCCErrors)), wrong,
			real(c.Variance), real(c.MeanNorm), class(c.NearestClass), real(c.NearestDistance),
			real(c.CDNVMax), class(c.CDNVWorst), real(c.NearestCosine), real(c.Alignment), real(c.WeightNorm))
	}
	p.WriteByte('\n')
	title := "Classes"
	if r.Layer != "features" {
		title += " of " + clean(r.Layer)
	}
	p.printf("%s\n", p.styled(cyan, title))
	hidden := t.fit(p)
	t.write(p)
	if len(hidden) > 0 {
		p.wrapped(dim, 2, "  a wider terminal or --json shows "+strings.Join(hidden, ", "))
	}
}
