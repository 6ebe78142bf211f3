package main

import (
	"slices"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/spf13/cobra"
)

func newMetrics(u *ui) *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "metrics [ID|GLOB]...",
		Short: "Explain the metrics",
		Long: `Metrics lists what can be measured: id, value at perfect collapse, formula
and source. With an id it prints everything about that metric.

The cost says what a metric needs: 1 is class means and spreads, 2 a second
pass over the rows, 2z a second pass with the classifier's logits, F second
moments; those of cost F are measured if they are asked for.`,
		Example: `  collapsar metrics
  collapsar metrics 'nc2_*'
  collapsar metrics nc1_quotient
  collapsar metrics --json`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, m := range everyMetric() {
				ids = append(ids, m.ID+"\t"+m.Name)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, pattern := range args {
				if err := checkPattern(pattern); err != nil {
					return err
				}
			}
			all := everyMetric()
			if len(args) > 0 {
				ids, _ := collapse.Match(args)
				ids = append(ids, collapse.MatchMultiLabel(args)...)
				all = slices.DeleteFunc(all, func(m collapse.Metric) bool { return !slices.Contains(ids, m.ID) })
			}
			switch {
			case u.json:
				return metricsJSON(&u.page, all)
			case markdown:
				metricsMarkdown(&u.page, all)
			case len(args) > 0 && len(all) == len(args) && !slices.ContainsFunc(args, isGlob):
				for i, m := range all {
					if i > 0 {
						u.WriteByte('\n')
					}
					explain(&u.page, m)
				}
			default:
				metricsTable(&u.page, all)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print a Markdown table")
	return cmd
}

func isGlob(s string) bool {
	_, ok := collapse.Lookup(s)
	return !ok
}

func metricsTable(p *page, metrics []collapse.Metric) {
	t := &table{indent: 2, columns: []alignment{left, left, left, left, left}}
	t.head(heads(bold, "id", "cost", "at collapse", "formula", "source")...)
	group := ""
	for _, m := range metrics {
		if m.Group != group {
			group = m.Group
			t.across(cell{group, cyan})
		}
		t.add(text(m.ID), faint(m.Cost.String()), text(ideal(m)), text(m.Formula), faint(m.Source))
	}
	if p.width > 0 && width(t) >= p.width { // what a metric is, and where it comes from, on a line of its own
		narrow := &table{indent: 2, columns: []alignment{left, left, left, left}}
		narrow.head(heads(bold, "id", "cost", "at collapse", "")...)
		for _, r := range t.rows[1:] {
			if r.wide {
				narrow.across(r.cells[0])
				continue
			}
			m, _ := collapse.Lookup(r.cells[0].text)
			narrow.add(append(slices.Clone(r.cells[:3]), text(m.Name))...)
		}
		narrow.write(p)
		p.WriteByte('\n')
		p.wrapped(dim, 0, "collapsar metrics ID prints formula and source; so does this table on a wider terminal.")
		return
	}
	t.write(p)
}

func ideal(m collapse.Metric) string {
	if m.Ideal == "" {
		return none
	}
	return m.Ideal
}

var costs = map[collapse.Cost]string{
	collapse.Pass1:  "class means and spreads, from one pass over the rows",
	collapse.Pass2:  "a second pass over the rows",
	collapse.Logits: "a second pass over the rows, with the classifier's logits",
	collapse.Full:   "second moments; measured if it is asked for",
}

// explain prints everything about a metric.
func explain(p *page, m collapse.Metric) {
	p.printf("%s  %s\n", p.styled(bold, m.ID), m.Name)
	t := table{indent: 2, columns: []alignment{left, left}}
	for _, line := range [][2]string{
		{"formula", m.Formula}, {"at collapse", ideal(m)}, {"source", m.Source}, {"group", m.Group}, {"needs", costs[m.Cost]},
	} {
		if line[1] != "" {
			t.add(faint(line[0]), text(line[1]))
		}
	}
	whole := page{colour: p.colour} // nothing is cut here
	t.write(&whole)
	whole.WriteTo(p)
}

func metricsMarkdown(p *page, metrics []collapse.Metric) {
	cell := strings.NewReplacer("|", `\|`, "*", `\*`, "_", `\_`, "<", `\<`)
	p.printf("| id | formula | at collapse | cost | source |\n|---|---|---|---|---|\n")
	group := ""
	for _, m := range metrics {
		if m.Group != group {
			group = m.Group
			p.printf("| **%s** | | | | |\n", cell.Replace(group))
		}
		p.printf("| `%s` | %s | %s | %s | %s |\n", m.ID, cell.Replace(m.Formula), cell.Replace(m.Ideal), m.Cost, cell.Replace(m.Source))
	}
}

func metricsJSON(p *page, metrics []collapse.Metric) error {
	type metricJSON struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Formula string `json:"formula"`
		Source  string `json:"source"`
		Group   string `json:"group"`
		Ideal   string `json:"ideal"`
		Cost    string `json:"cost"`
	}
	var out []metricJSON
	for _, m := range metrics {
		out = append(out, metricJSON{m.ID, m.Name, m.Formula, m.Source, m.Group, m.Ideal, m.Cost.String()})
	}
	d := newDocument(p, "metrics")
	list(d, "metrics", out)
	return d.end()
}
