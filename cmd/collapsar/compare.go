package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
	"github.com/spf13/cobra"
)

func newCompare(u *ui) *cobra.Command {
	var o features.Options
	var m measureFlags
	cmd := &cobra.Command{
		Use:   "compare A B [C...]",
		Short: "Measure files or trajectories side by side",
		Long: `Compare measures two or more files and prints them side by side, a column
each, and which of them is closer to perfect collapse. An argument may also
be a directory or a quoted glob: a trajectory, of which the last step is
compared, and the way there is drawn.

Layers are paired by position; where files have different numbers of layers,
their last ones are compared.`,
		Example: `  collapsar compare sgd.npz adam.npz
  collapsar compare run1/ run2/ run3/
  collapsar compare 'sgd/*.npz' 'adam/*.npz' --metrics 'nc*' --json`,
		Args: atLeast(2, "two files, directories or globs, or more"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.check(&o); err != nil {
				return err
			}
			var all input
			var sides []*side
			for _, arg := range args {
				in, err := expand([]string{arg})
				if err != nil {
					return err
				}
				sides = append(sides, &side{argument: arg, files: len(in.steps), trajectory: in.trajectory})
				all.steps = append(all.steps, in.steps...)
			}
			all.trajectory = slices.ContainsFunc(sides, func(s *side) bool { return s.trajectory })
			m.failFast = true // a column that is missing leaves nothing to compare
			reports, err := measureAll(cmd.Context(), u, all, o, m)
			if err != nil {
				return err
			}
			at := 0
			for _, s := range sides {
				s.reports = reports[at : at+s.files]
				at += s.files
			}
			if u.json {
				return compareJSON(&u.page, metricsOf(reports), optionsOf(o, m), sides)
			}
			compareText(&u.page, metricsOf(reports), sides)
			if err := u.flush(); err != nil {
				return err
			}
			warnings(u, reports)
			return nil
		},
	}
	m.add(cmd)
	readFlags(cmd, &o)
	cmd.Flags().MarkHidden("per-class")
	cmd.Flags().MarkHidden("compat")
	return cmd
}

// side is one column of a comparison.
type side struct {
	argument   string
	files      int
	trajectory bool
	reports    []*collapse.Report
}

func (s *side) last() *collapse.Report { return s.reports[len(s.reports)-1] }

// A pairing is the results that are compared with one another, one of every side.
type pairing struct {
	layer   string
	results []*collapse.Result
}

func pairings(sides []*side) (out []pairing) {
	layers := len(sides[0].last().Results)
	if slices.ContainsFunc(sides, func(s *side) bool { return len(s.last().Results) != layers }) {
		layers = 1
	}
	for i := range layers {
		var p pairing
		var names []string
		for _, s := range sides {
			results := s.last().Results
			r := results[len(results)-layers+i]
			p.results = append(p.results, r)
			if name := resultName(r); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		p.layer = strings.Join(names, " / ")
		out = append(out, p)
	}
	return out
}

// same reports whether two numbers differ by rounding at most.
func same(a, b float64) bool {
	return a == b || math.Abs(a-b) <= max(1e-14, 1e-12*min(math.Abs(a), math.Abs(b)))
}

// nearest is the result that is nearest to its ideal, or -1 if there is none, or not only one.
func nearest(m collapse.Metric, results []*collapse.Result) int {
	at, ok := ideals(m, results)
	if !ok {
		return -1
	}
	best, least, tie := -1, math.Inf(1), false
	for i, r := range results {
		v := value(r, m.ID)
		if !v.Defined() {
			continue
		}
		switch d := math.Abs(v.Number - at[i]); {
		case same(d, least):
			tie = true
		case d < least:
			best, least, tie = i, d, false
		}
	}
	if tie {
		return -1
	}
	return best
}

// change says how the second of two results differs from the first.
func change(m collapse.Metric, results []*collapse.Result) cell {
	a, b := value(results[0], m.ID), value(results[1], m.ID)
	if !a.Defined() || !b.Defined() {
		return cell{}
	}
	if same(a.Number, b.Number) {
		return cell{"=", dim}
	}
	c := cell{fmt.Sprintf("%+.4g", b.Number-a.Number), plain}
	if m.Ideal == "0" && a.Number > 0 && b.Number > 0 {
		c.text = "×" + number(b.Number/a.Number, 3)
	}
	switch nearest(m, results) {
	case 0:
		c.text += " farther"
		c.style = yellow
	case 1:
		c.text += " closer"
		c.style = green
	}
	return c
}

func compareText(p *page, metrics []collapse.Metric, sides []*side) {
	t := table{columns: []alignment{left, left, left}}
	for i, s := range sides {
		facts := ""
		for _, r := range s.last().Results { // the last layer
			if r.Split == "train" {
				facts = sampleFacts(r)
			}
		}
		if len(s.reports) > 1 {
			facts = fmt.Sprintf("last of %s, %s: %s", plural(len(s.reports), "file"), filepath.Base(s.last().Source), facts)
		}
		t.add(cell{letter(i), bold}, text(s.argument), faint(facts))
	}
	t.write(p)
	for _, pair := range pairings(sides) {
		p.WriteByte('\n')
		t := comparisonTable(metrics, pair)
		hidden := slices.DeleteFunc(t.fit(p), func(head string) bool { return head == "" })
		t.write(p)
		if len(hidden) > 0 {
			p.wrapped(dim, 2, "a wider terminal or --json shows "+strings.Join(hidden, ", "))
		}
		writeMissing(p, metrics, pair.results, letters(len(sides)))
	}
	compareWays(p, metrics, sides)
}

// letter is the head of a column.
func letter(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return strconv.Itoa(i + 1)
}

func comparisonTable(metrics []collapse.Metric, pair pairing) *table {
	t := &table{indent: 2, columns: []alignment{left}}
	head := []cell{{}}
	two := len(pair.results) == 2
	for i := range pair.results {
		t.columns = append(t.columns, point)
		head = append(head, cell{letter(i), bold})
		if !two {
			t.columns = append(t.columns, left)
			head = append(head, cell{})
		}
	}
	if two {
		t.columns = append(t.columns, left)
		head = append(head, cell{"A to B", bold})
	}
	t.columns = append(t.columns, point, left)
	head = append(head, cell{"ideal", dim}, cell{})
	if pair.layer != "features" {
		t.across(cell{clean(pair.layer), bold})
	}
	t.head(head...)
	for _, group := range grouped(metrics, pair.results) {
		t.across(cell{group[0].Group, cyan})
		for _, l := range folded(group, pair.results) {
			if l.count > 1 {
				t.add(cell{plural(l.count, "metric"), dim}, cell{none + " " + l.reason, dim})
				continue
			}
			m := l.metric
			best := nearest(m, pair.results)
			line := []cell{text(m.ID)}
			for i, r := range pair.results {
				c := valueCell(value(r, m.ID))
				if i == best {
					c.style = green
				}
				line = append(line, c)
				if !two {
					mark := cell{"", plain}
					if i == best {
						mark = cell{"*", green}
					}
					line = append(line, mark)
				}
			}
			if two {
				line = append(line, change(m, pair.results))
			}
			t.add(append(line, cell{idealText(m, pair.results), dim}, cell{remark(m, pair.results, false), dim})...)
		}
	}
	if !two {
		t.across(cell{"* is closest to the ideal", dim})
	}
	return t
}

// compareWays draws how the headline metrics went in every trajectory.
func compareWays(p *page, metrics []collapse.Metric, sides []*side) {
	if !slices.ContainsFunc(sides, func(s *side) bool { return len(s.reports) > 1 }) {
		return
	}
	t := table{indent: 2, columns: []alignment{left}}
	t.across(cell{"Along the way, in the last layer", cyan})
	head := []cell{{}}
	for i := range sides {
		t.columns = append(t.columns, left)
		head = append(head, cell{letter(i), bold})
	}
	t.rows = append(t.rows, row{cells: head})
	room := 24
	if p.width > 0 {
		room = max(4, min(room, (p.width-22)/len(sides)-len(gutter)))
	}
	for _, m := range metrics {
		if !slices.Contains(headline, m.ID) {
			continue
		}
		var ways [][]float64
		for _, s := range sides {
			var values []float64
			for _, report := range s.reports {
				x := math.NaN()
				if n := len(report.Results); n > 0 {
					if v := value(report.Results[n-1], m.ID); v.Defined() {
						x = v.Number
					}
				}
				values = append(values, x)
			}
			ways = append(ways, values)
		}
		low, high := span(ways...) // all sides are drawn on one scale
		if low > high {
			continue
		}
		line := []cell{text(m.ID)}
		for _, values := range ways {
			line = append(line, cell{spark(values, room, low, high), green})
		}
		t.add(line...)
	}
	line := []cell{faint("no error since")}
	for _, s := range sides {
		c := cell{none, dim}
		if i := zeroErrorSince(s.reports); i >= 0 {
			c = text(stepLabels(s.reports)[i])
		}
		line = append(line, c)
	}
	t.add(line...)
	p.WriteByte('\n')
	t.write(p)
}

func compareJSON(p *page, metrics []collapse.Metric, o effective, sides []*side) error {
	type sideJSON struct {
		Argument   string          `json:"argument"`
		Files      []fileJSON      `json:"files"`
		Trajectory *trajectoryJSON `json:"trajectory,omitempty"`
	}
	type lineJSON struct {
		Layer   string     `json:"layer"`
		ID      string     `json:"id"`
		Values  []*float64 `json:"values"`
		Nearest *int       `json:"nearest"` // the side nearest to its ideal, from 0; null if none is
	}
	var out []sideJSON
	var results []*collapse.Result
	for _, s := range sides {
		some, files := measured(s.reports)
		results = append(results, some...)
		j := sideJSON{Argument: s.argument, Files: files}
		if s.trajectory {
			t := trajectoryOf(s.reports)
			j.Trajectory = &t
		}
		out = append(out, j)
	}
	var lines []lineJSON
	for _, pair := range pairings(sides) {
		for _, group := range grouped(metrics, pair.results) {
			for _, m := range group {
				l := lineJSON{Layer: pair.layer, ID: m.ID}
				for _, r := range pair.results {
					var x *float64
					if v := value(r, m.ID); v.Defined() {
						x = &v.Number
					}
					l.Values = append(l.Values, x)
				}
				if i := nearest(m, pair.results); i >= 0 {
					l.Nearest = &i
				}
				lines = append(lines, l)
			}
		}
	}
	d := newDocument(p, "compare")
	d.field("options", o)
	list(d, "results", results)
	list(d, "sides", out)
	list(d, "comparison", lines)
	return d.end()
}

func letters(n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = letter(i)
	}
	return s
}
