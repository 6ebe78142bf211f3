package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/spf13/cobra"
)

func newPlace(u *ui) *cobra.Command {
	alpha, seed := 0.10, uint64(0)
	cmd := &cobra.Command{
		Use:   "place NC1=VALUE K=CLASSES [d=DIMENSION] [n=SAMPLES]",
		Short: "Put a published NC1 on the common scale",
		Long: `Place puts an NC1 that a paper prints on the scale of the level of variability,
which means the same for every number of classes, and says what can be
concluded from it. With the dimension d and the number of samples a class n,
it also tells what chance would show.`,
		Example: `  collapsar place NC1=0.02 K=10
  collapsar place NC1=0.02 K=10 d=512 n=5000`,
		Args: atLeast(2, "NC1=VALUE and K=CLASSES"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !(alpha > 0 && alpha < 1) {
				return usagef("--alpha %v: must be a number between 0 and 1", alpha)
			}
			p, err := parsePublished(args)
			if err != nil {
				return err
			}
			at, err := collapse.PlaceNC1(p, alpha, seed)
			if err != nil {
				return usagef("place: %s", strings.TrimPrefix(err.Error(), "collapse: "))
			}
			if u.json {
				d := newDocument(&u.page, "place")
				d.field("place", at)
				if err := d.end(); err != nil {
					return err
				}
			} else {
				writePlace(&u.page, at)
			}
			return u.flush()
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Float64Var(&alpha, "alpha", alpha, "levels at or below this count as collapsed")
	f.Uint64Var(&seed, "seed", 0, "of the random directions")
	return cmd
}

// parsePublished reads NC1=0.02 K=10 d=512 n=500, in any order and case.
func parsePublished(args []string) (p collapse.Published, err error) {
	seen := map[string]bool{}
	for _, arg := range args {
		name, text, ok := strings.Cut(arg, "=")
		name = strings.ToLower(name)
		if !ok {
			return p, usagef("place: %s: wants NAME=NUMBER, as in NC1=0.02", arg)
		}
		if seen[name] {
			return p, usagef("place: %s is given twice", name)
		}
		seen[name] = true
		counts := map[string]*int{"k": &p.Classes, "d": &p.Dim, "n": &p.Samples}
		if name == "nc1" {
			p.NC1, err = strconv.ParseFloat(text, 64)
		} else if to := counts[name]; to != nil {
			if *to, err = strconv.Atoi(text); err == nil && *to < 1 {
				err = strconv.ErrRange
			}
		} else {
			return p, usagef("place: no number is called %s; there are NC1, K, d and n%s", name, suggest.Hint(name, []string{"nc1"}))
		}
		if err != nil {
			return p, usagef("place: %s: %s is not a number that it can be", arg, text)
		}
	}
	if !seen["nc1"] || !seen["k"] {
		return p, usagef("place: wants NC1=VALUE and K=CLASSES; see collapsar place --help")
	}
	return p, nil
}

func writePlace(p *page, at *collapse.Place) {
	given := fmt.Sprintf("NC1 = %s of %s", number(at.NC1, 4), plural(at.Classes, "class"))
	if at.Dim > 0 {
		given += ", " + plural(at.Dim, "dimension")
	}
	if at.Samples > 0 {
		given += ", " + plural(at.Samples, "sample") + " a class"
	}
	p.wrapped(bold, 2, given)
	p.WriteByte('\n')
	t := table{indent: 2, columns: []alignment{left, right, left}}
	t.add(text("level"), cell{collapse.Percent(at.Level), bold}, faint("sqrt(NC1 / (2 (K-1)))"))
	if at.Null != nil {
		t.add(text("noise at random"), text(collapse.Percent(*at.Null)), faint("what it shows at least, with so many samples and dimensions"))
	}
	t.add(text("crossing"), text(collapse.Percent(at.Crossing)), faint("chance of a sample to lie nearer to a given class, for normal noise"))
	if at.SimplexNull != nil {
		t.add(text("simplex, at random"), text(collapse.Percent(*at.SimplexNull)), faint("distance from a simplex that random directions have (nc2_etf)"))
	}
	t.write(p)
	p.WriteByte('\n')
	p.wrapped(cyan, 0, "It says:")
	for _, s := range at.Says {
		p.wrapped(plain, 4, "- "+s)
	}
	p.wrapped(cyan, 0, "It does not say:")
	for _, s := range at.SaysNot {
		p.wrapped(plain, 4, "- "+s)
	}
}
