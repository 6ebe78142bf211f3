package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/ufm"
)

func solveJSON(p *page, r *ufm.Report) error {
	d := newDocument(p, "solve")
	d.field("problem", r.Problem)
	d.field("params", r.Params)
	d.field("closed_form", r.ClosedForm)
	d.field("solved", r.Solved)
	if r.Solved == nil {
		d.short("reason", r.NotSolved)
	}
	d.field("certificate", r.Certificate)
	if r.Saddle != nil {
		d.field("saddle", r.Saddle)
	}
	d.field("metrics", r.Metrics)
	d.field("words", r.Words)
	return d.end()
}

// solveText prints an answer for a person: words, the formula beside the search, the certificate, the metrics of collapse.
func solveText(p *page, r *ufm.Report) {
	q, _ := question(r.Problem)
	p.printf("%s  %s\n", p.styled(bold, r.Problem), q.Words)
	var given []string
	for _, f := range r.Params {
		if s := short(f.Value); s != "" {
			given = append(given, f.Name+" "+s)
		}
	}
	p.wrapped(dim, 0, strings.Join(given, ", "))
	p.WriteByte('\n')
	for _, s := range r.Words {
		p.wrapped(plain, 2, s)
	}
	if len(r.Words) > 0 {
		p.WriteByte('\n')
	}
	rows, _ := r.ClosedForm.Get("rows")
	if rows == nil {
		rows, _ = r.Solved.Get("rows")
	}
	tags, _ := r.ClosedForm.Get("tags")
	if tags == nil {
		tags, _ = r.Solved.Get("tags")
	}
	for _, rows := range []any{rows, tags} {
		if list, ok := rows.([]ufm.Fields); ok && len(list) > 0 {
			rowsText(p, list)
			p.WriteByte('\n')
		}
	}
	sideBySide(p, r)
	searchText(p, r)
	metricsText(p, r.Metrics)
}

// about are fields that say something about a number rather than being one of the answer.
var about = []string{"theorem", "proved", "status", "method", "iterations", "gradient_norm", "seeds", "seeds_at_best", "seed_best", "class_means", "value_worst_seed", "rows", "tags", "cosines"}

// sideBySide prints what the formula gives beside what the search finds, and then what only one of them has.
func sideBySide(p *page, r *ufm.Report) {
	t := table{indent: 2, columns: []alignment{left, point, point, left}}
	head := []cell{{}, {"closed form", bold}, {"search", bold}}
	switch {
	case r.Solved == nil:
		head = head[:2]
	case r.ClosedForm == nil:
		head = []cell{{}, {}, {"search", bold}}
	}
	t.head(head...)
	var names []string
	for _, f := range slices.Concat(r.ClosedForm, r.Solved) {
		if !slices.Contains(about, f.Name) && !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	any := false
	for _, name := range names {
		a, inForm := r.ClosedForm.Get(name)
		b, inSearch := r.Solved.Get(name)
		if r.ClosedForm != nil && !inForm { // the formula has what matters
			continue
		}
		left, right := short(a), short(b)
		if !inForm && left == "" || !inSearch && right == "" {
			if left == "" && right == "" {
				continue
			}
		}
		any = true
		t.add(faint(name), cell{dash(left, inForm), plain}, cell{dash(right, inSearch), plain}, difference(a, b))
	}
	if any {
		t.write(p)
		p.WriteByte('\n')
	}
}

func dash(s string, there bool) string {
	if s != "" {
		return s
	}
	if there {
		return none
	}
	return ""
}

// difference says how far two numbers are apart, where they are.
func difference(a, b any) cell {
	x, ok := a.(float64)
	y, also := b.(float64)
	if !ok || !also || math.IsNaN(x) || math.IsNaN(y) {
		return cell{}
	}
	off := math.Abs(x - y)
	if off <= 1e-6*max(1, math.Abs(x)) {
		return cell{"agree", green}
	}
	return cell{"off by " + number(off, 2), yellow}
}

func searchText(p *page, r *ufm.Report) {
	t := table{indent: 2, columns: []alignment{left, left}}
	if theorem, ok := r.ClosedForm.Get("theorem"); ok {
		s := fmt.Sprint(theorem)
		if proved, _ := r.ClosedForm.Get("proved"); proved == false {
			s += "; not proved"
		}
		t.add(faint("theorem"), text(s))
	}
	if r.Solved != nil {
		if status, ok := r.Solved.Get("status"); ok {
			s := fmt.Sprint(status)
			if g := r.Solved.Number("gradient_norm"); !math.IsNaN(g) {
				s += ", gradient " + tiny(g, 1e-10)
			}
			t.add(faint("search"), text(s))
		}
		if n, there := r.Solved.Get("seeds"); there {
			s := fmt.Sprintf("%v of %v starts reach this value", get(r.Solved, "seeds_at_best"), n)
			if worst, any := r.Solved.Get("value_worst_seed"); any {
				s += fmt.Sprintf("; the highest ends at %s, a local minimum or a slow start", short(worst))
			}
			t.add(faint("starts"), text(s))
		}
		if means, _ := r.Solved.Get("class_means"); means == true {
			t.add(faint("features"), text("one for each class: equal features are optimal, for the loss is convex in the logits"))
		}
	} else if r.NotSolved == "not_requested" {
		t.add(faint("search"), text("not requested"))
	}
	if r.Certificate != nil {
		if v := r.Certificate.Number("spectral_norm"); !math.IsNaN(v) {
			s := "spectral norm of the gradient in the logits " + number(v, 7)
			if w := r.Certificate.Number("threshold"); !math.IsNaN(w) {
				s += ", threshold " + number(w, 7)
			}
			t.add(faint("certificate"), text(s))
		}
		if v := r.Certificate.Number("lower_bound"); !math.IsNaN(v) {
			t.add(faint("lower bound"), text(fmt.Sprintf("%s, gap %s", number(v, 10), tiny(r.Certificate.Number("gap"), 1e-9))))
		}
	}
	if len(t.rows) > 0 {
		t.write(p)
	}
}

func get(f ufm.Fields, name string) any { v, _ := f.Get(name); return v }

// tiny is a number, or that it is below what counts.
func tiny(v, limit float64) string {
	if v < limit {
		return "below " + number(limit, 1)
	}
	return number(v, 2)
}

func metricsText(p *page, f ufm.Fields) {
	if f == nil {
		return
	}
	p.WriteByte('\n')
	t := table{indent: 2, columns: []alignment{left, right, right, left}}
	t.head(cell{"collapse", bold}, cell{"value", bold}, cell{"ideal", bold}, cell{})
	for _, m := range f {
		entry, _ := collapse.Lookup(m.Name)
		value := none
		if v, ok := m.Value.(float64); ok {
			value = number(v, 5)
			if math.Abs(v) < 1e-8 {
				value = "0"
			}
		}
		t.add(faint(m.Name), text(value), faint(ideal(entry)), faint(entry.Name))
	}
	t.write(p)
}

// rowsText prints a sweep: a row for each point, and how each number goes along.
func rowsText(p *page, rows []ufm.Fields) {
	var names []string
	columns := []alignment{}
	for _, f := range rows[0] {
		names = append(names, f.Name)
		columns = append(columns, point)
	}
	const most = 25 // points that are printed; the lines show them all
	t := table{indent: 2, columns: columns}
	var top, bottom []cell
	for _, name := range names {
		a, b := name, ""
		if i := strings.LastIndex(name, "_"); i > 0 {
			a, b = name[:i], name[i+1:]
		}
		top, bottom = append(top, cell{a, bold}), append(bottom, cell{b, bold})
	}
	t.head(top...)
	t.head(bottom...)
	_, runs := rows[0][0].Value.(float64)
	every := 1
	if runs {
		every = (len(rows) + most - 1) / most
	}
	for i, row := range rows {
		if i%every != 0 && i != len(rows)-1 || i/every >= most && !runs {
			continue
		}
		var cells []cell
		for _, f := range row {
			cells = append(cells, text(dash(shortTo(f.Value, 5), true)))
		}
		t.add(cells...)
	}
	hidden := t.fit(p)
	t.write(p)
	if len(hidden) > 0 {
		p.wrapped(dim, 2, "not shown for want of width: "+strings.Join(names[len(names)-len(hidden):], ", "))
	}
	if !runs && len(rows) > most {
		p.wrapped(dim, 2, fmt.Sprintf("the first %d of %d; --json has all", most, len(rows)))
	}
	// lines say something along a number that runs, not from word to word or count to count
	if !runs || len(rows) < 3 {
		return
	}
	p.WriteByte('\n')
	lines := table{indent: 2, columns: []alignment{left, point, point, left}}
	lines.head(cell{}, cell{"first", bold}, cell{"last", bold}, cell{})
	for i, name := range names[1:] {
		values := make([]float64, len(rows))
		for j, row := range rows {
			values[j] = math.NaN()
			if i+1 < len(row) {
				values[j] = row.Number(name)
			}
		}
		low, high := span(values)
		if math.IsInf(low, 1) {
			continue
		}
		lines.add(faint(name), text(dash(shortTo(rows[0][i+1].Value, 5), true)), text(dash(shortTo(rows[len(rows)-1][i+1].Value, 5), true)), cell{spark(values, 48, low, high), green})
	}
	lines.write(p)
}

// short is a value in few characters, "" where it has no short form.
func short(v any) string { return shortTo(v, 8) }

func shortTo(v any, digits int) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return ""
		}
		if math.Abs(v) < 1e-13 {
			return "0"
		}
		return strconv.FormatFloat(v, 'g', digits, 64)
	case json.Number:
		return v.String()
	case int:
		return fmt.Sprint(v)
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	case string:
		return v
	case []any:
		return joined(v, digits)
	case []float64:
		return joined(v, digits)
	case []int:
		return joined(v, digits)
	case []bool:
		return joined(v, digits)
	case ufm.Fields:
		var parts []string
		for _, f := range v {
			if s := shortTo(f.Value, min(digits, 6)); s != "" {
				parts = append(parts, f.Name+": "+s)
			}
		}
		return strings.Join(parts, ", ")
	}
	return ""
}

// joined is a list with commas; what is equal in a row is counted.
func joined[T any](list []T, digits int) string {
	var parts []string
	for i := 0; i < len(list); {
		s := shortTo(list[i], min(digits, 6))
		if s == "" {
			return ""
		}
		n := 1
		for i+n < len(list) && shortTo(list[i+n], min(digits, 6)) == s {
			n++
		}
		if n > 2 {
			s = fmt.Sprintf("%dx%s", n, s)
		} else {
			n = 1
		}
		parts = append(parts, s)
		i += n
	}
	if len(parts) > 8 {
		parts = append(parts[:6], "...", parts[len(parts)-1])
	}
	return strings.Join(parts, ",")
}
