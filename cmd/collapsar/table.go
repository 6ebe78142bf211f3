package main

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A table is rows of cells in columns. Numbers stand with their points below one another.
type table struct {
	indent  int
	columns []alignment
	rows    []row
}

type alignment uint8

const (
	left alignment = iota
	right
	point // on the decimal point
)

type cell struct {
	text  string
	style style
}

type row struct {
	cells []cell
	head  bool // aligned as words, whatever the column
	wide  bool // one cell across all columns
}

func (t *table) add(cells ...cell)  { t.rows = append(t.rows, row{cells: cells}) }
func (t *table) head(cells ...cell) { t.rows = append(t.rows, row{cells: cells, head: true}) }
func (t *table) across(c cell)      { t.rows = append(t.rows, row{cells: []cell{c}, wide: true}) }
func (t *table) gap()               { t.across(cell{}) }
func text(s string) cell            { return cell{clean(s), plain} }
func faint(s string) cell           { return cell{clean(s), dim} }
func heads(style style, s ...string) (c []cell) {
	for _, s := range s {
		c = append(c, cell{clean(s), style})
	}
	return c
}

const gutter = "  "

// extent is what a column needs: in all, and before and after the point.
type extent struct{ all, before, after int }

func (t *table) extents() []extent {
	e := make([]extent, len(t.columns))
	for _, r := range t.rows {
		if r.wide {
			continue
		}
		for j, c := range r.cells {
			n := cells(c.text)
			if t.columns[j] == point && !r.head && numeric(c.text) {
				before := unit(c.text)
				e[j].before = max(e[j].before, before)
				e[j].after = max(e[j].after, n-before)
				n = e[j].before + e[j].after
			}
			e[j].all = max(e[j].all, n)
		}
	}
	return e
}

// write prints the table. On a terminal the last cell of a row gives way.
func (t *table) write(p *page) {
	e := t.extents()
	for _, r := range t.rows {
		var b strings.Builder
		at, owed := 0, t.indent // cells written, and spaces owed before the next text
		if r.wide {
			owed = 0
		}
		for j, c := range r.cells {
			before, after := 0, 0
			if !r.wide {
				before, after = e[j].pad(t.columns[j], r.head, c.text)
			}
			owed += before
			text := c.text
			if j == len(r.cells)-1 && p.width > 0 {
				text = cut(text, p.width-1-at-owed)
			}
			if text != "" {
				b.WriteString(strings.Repeat(" ", owed) + p.styled(c.style, text))
				at += owed + cells(text)
				owed = 0
			}
			owed += after + len(gutter)
		}
		p.printf("%s\n", b.String())
	}
}

// pad is the spaces before and after a text in its column.
func (e extent) pad(a alignment, head bool, text string) (before, after int) {
	free := e.all - cells(text)
	switch {
	case a == left:
		before = 0
	case a == right || head || !numeric(text):
		before = free
	default:
		before = e.all - e.after - unit(text)
	}
	return before, free - before
}

// cells is how many columns of a terminal a text takes.
func cells(s string) int { return utf8.RuneCountInString(s) }

// numeric reports whether a text is a number, or stands for one.
func numeric(s string) bool {
	return s == none || strings.IndexAny(s, "0123456789") >= 0 && strings.Trim(s, "0123456789.eE+-×") == ""
}

// unit is how many cells stand before the decimal point, or before where it would be.
func unit(s string) int {
	if i := strings.IndexAny(s, ".e"); i >= 0 {
		return cells(s[:i])
	}
	return cells(s)
}

// cut shortens a text to n cells.
func cut(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	return strings.TrimRight(string([]rune(s)[:n-1]), " ") + "…"
}

// number is a number with so many digits that count. Whole numbers are printed whole.
func number(v float64, digits int) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v) && a < 1e7:
		return strconv.FormatFloat(v+0, 'f', -1, 64)
	case a >= 1e-4 && a < 1e6:
		return strconv.FormatFloat(v, 'f', max(0, digits-1-int(math.Floor(math.Log10(a)))), 64)
	}
	return strconv.FormatFloat(v, 'e', digits-1, 64)
}

const none = "–" // stands for a number that does not exist

// spark draws numbers in at most n cells, between two that are the bottom and the top: on a logarithmic scale where
// they are positive and more than a factor of twenty apart. A NaN leaves its cell empty.
func spark(v []float64, n int, low, high float64) string {
	if len(v) > n {
		short := make([]float64, n)
		for i := range short {
			short[i] = mean(v[i*len(v)/n : (i+1)*len(v)/n])
		}
		v = short
	}
	scale := func(x float64) float64 { return x }
	if low > 0 && high > 20*low {
		scale = math.Log
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	line := make([]rune, len(v))
	for i, x := range v {
		switch {
		case math.IsNaN(x):
			line[i] = ' '
		case high == low:
			line[i] = bars[0]
		default:
			line[i] = bars[min(7, int(8*(scale(x)-scale(low))/(scale(high)-scale(low))))]
		}
	}
	return string(line)
}

// mean is over what is a number; a NaN where nothing is.
func mean(v []float64) float64 {
	sum, n := 0.0, 0.0
	for _, x := range v {
		if !math.IsNaN(x) {
			sum += x
			n++
		}
	}
	return sum / n
}

// span is the smallest and the largest of numbers.
func span(lists ...[]float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range lists {
		for _, x := range v {
			if !math.IsNaN(x) {
				low, high = min(low, x), max(high, x)
			}
		}
	}
	return low, high
}

// fit takes columns off the right until the table fits the terminal, and returns their heads. A last column of words may be
// cut instead.
func (t *table) fit(p *page) (hidden []string) {
	if p.width == 0 {
		return nil
	}
	used, keep := t.indent-len(gutter), 0
	for j, e := range t.extents() {
		need := e.all
		if j > 0 && j == len(t.columns)-1 && t.columns[j] == left {
			need = 0
		}
		if used += len(gutter) + need; used > p.width-1 {
			break
		}
		keep++
	}
	for i, r := range t.rows {
		if r.wide || len(r.cells) <= keep {
			continue
		}
		if hidden == nil && r.head {
			for _, c := range r.cells[keep:] {
				hidden = append(hidden, c.text)
			}
		}
		t.rows[i].cells = r.cells[:keep]
	}
	t.columns = t.columns[:keep]
	return hidden
}
