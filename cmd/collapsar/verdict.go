package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/internal/suggest"
)

// levelPrefix begins the names of levels where metrics may stand too: "level.variability", "level.variability.high".
const levelPrefix = "level."

// levelValue finds a number of a level.
func levelValue(r *collapse.Result, id string) collapse.Value {
	name, field, _ := strings.Cut(strings.TrimPrefix(id, levelPrefix), ".")
	if r.Verdict == nil {
		return collapse.Value{Reason: collapse.NotRequested}
	}
	l := r.Verdict.Levels.Level(name)
	if l == nil {
		return collapse.Value{Reason: collapse.NotRequested}
	}
	if field == "" {
		field = "value"
	}
	if v, ok := l.Field(field); ok && v != nil {
		return collapse.Value{Number: *v}
	}
	if l.Verdict == collapse.Absent {
		return collapse.Value{Reason: collapse.NeedsClassifier}
	}
	return collapse.Value{Reason: "undecidable"}
}

// checkLevel wants the name of a level, and of one of its numbers.
func checkLevel(id string) error {
	name, field, has := strings.Cut(strings.TrimPrefix(id, levelPrefix), ".")
	if names := collapse.LevelNames(); !slices.Contains(names, name) {
		return usagef("no level is called %s; there are %s%s", name, strings.Join(names, ", "), suggest.Hint(name, names))
	}
	if fields := collapse.Fields(); has && !slices.Contains(fields, field) {
		return usagef("a level has no %s; there are %s%s", field, strings.Join(fields, ", "), suggest.Hint(field, fields))
	}
	return nil
}

// levelColumns are the properties as columns of a trajectory.
func levelColumns() (out []collapse.Metric) {
	for _, name := range collapse.Properties() {
		out = append(out, collapse.Metric{ID: levelPrefix + name})
	}
	return out
}

// writeVerdict prints what a file comes to, in a sentence and a line for every property.
func writeVerdict(p *page, report *collapse.Report) {
	sentence := report.Sentence()
	if sentence == "" {
		return
	}
	p.WriteByte('\n')
	p.wrapped(bold, 0, clean(sentence))
	p.WriteByte('\n')
	if len(report.Trained()) == 1 {
		levelTable(report.Results[0]).write(p)
		for _, r := range report.Results[1:] { // test rows
			p.WriteByte('\n')
			p.wrapped(bold, 0, clean("Rows of the "+r.Split+" set: "+r.Verdict.Sentence))
			p.WriteByte('\n')
			levelTable(r).write(p)
		}
		return
	}
	results := report.Results
	for from := 0; from < len(results); {
		to := len(results)
		for to > from+1 && p.width > 0 && width(layerLevels(results[from:to])) >= p.width {
			to--
		}
		layerLevels(results[from:to]).write(p)
		from = to
	}
}

func markCell(m collapse.Mark) cell {
	switch m {
	case collapse.Holds:
		return cell{string(m), green}
	case collapse.Fails:
		return cell{string(m), yellow}
	}
	return cell{string(m), dim}
}

// levelTable has a line for every property of a layer.
func levelTable(r *collapse.Result) *table {
	v, each := r.Verdict, "a class"
	if r.Tags != nil {
		each = "a tag set"
	}
	t := &table{indent: 2, columns: []alignment{left, right, right, right, left, left}}
	t.head(cell{}, cell{"level", bold}, cell{fmt.Sprintf("%g %% interval", 100*v.Confidence), bold}, cell{"chance", bold}, cell{}, cell{})
	share := func(x *float64) cell {
		if x == nil {
			return cell{none, dim}
		}
		return text(collapse.Percent(*x))
	}
	for _, name := range collapse.Properties(r) {
		l := v.Levels.Level(name)
		if l.Verdict == collapse.Absent {
			t.add(text(name), cell{none, dim}, cell{none, dim}, cell{none, dim}, cell{"absent", dim}, cell{"there is no classifier", dim})
			continue
		}
		between := cell{none, dim}
		if s := l.Interval(); s != "" {
			between = text(s)
		}
		level := share(l.Value)
		level.style = bold
		why := l.Reason
		if l.Needed != nil {
			why += fmt.Sprintf(" (%s %s)", plural(*l.Needed, "sample"), each)
		}
		t.add(text(name), level, between, share(l.Null), markCell(l.Verdict), cell{clean(why), dim})
	}
	return t
}

// layerLevels has a column for every layer.
func layerLevels(results []*collapse.Result) *table {
	t := &table{indent: 2, columns: []alignment{left}}
	head := []cell{{}}
	for _, r := range results {
		t.columns = append(t.columns, right, left)
		head = append(head, cell{}, cell{clean(resultName(r)), bold})
	}
	t.head(head...)
	for _, name := range collapse.Properties(results...) {
		line := []cell{text(name)}
		for _, r := range results {
			l := r.Verdict.Levels.Level(name)
			level := cell{none, dim}
			if l.Value != nil {
				level = cell{collapse.Percent(*l.Value), bold}
			}
			line = append(line, level, markCell(l.Verdict))
		}
		t.add(line...)
	}
	return t
}

// sinceJSON is the step since which each property holds: null where it does not hold in the end, or the file has no number.
func sinceJSON(reports []*collapse.Report) map[string]*int {
	out := map[string]*int{}
	for name, i := range collapse.HoldsSince(reports) {
		out[name] = nil
		if i >= 0 {
			out[name] = stepOf(reports[i])
		}
	}
	return out
}

// writeSince prints since when the properties hold.
func writeSince(p *page, w way, reports []*collapse.Report) {
	since := collapse.HoldsSince(reports)
	var parts []string
	for _, name := range collapse.Properties() {
		if i, judged := since[name]; judged && i >= 0 {
			parts = append(parts, name+" since "+w.name(i))
		}
	}
	if parts != nil {
		p.wrapped(plain, 2, "holds: "+strings.Join(parts, ", "))
	}
	if last := reports[len(reports)-1]; last.Sentence() != "" {
		p.wrapped(bold, 2, clean(w.name(len(reports)-1)+": "+last.Sentence()))
	}
}

// judged reports whether there are verdicts.
func judged(reports []*collapse.Report) bool {
	return slices.ContainsFunc(reports, func(r *collapse.Report) bool { return r.Sentence() != "" })
}
