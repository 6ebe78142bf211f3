package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/internal/atomicfile"
	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/collapsar/collapsar/ufm"
	"github.com/spf13/cobra"
)

func newSolve(u *ui) *cobra.Command {
	var o ufm.Options
	var specFile, pathDir string
	pathSteps := 10_000
	o.Method = "auto"
	var given solveFlags
	cmd := &cobra.Command{
		Use:   "solve PROBLEM | --spec FILE",
		Short: "Solve unconstrained features models: optimum, proof, and the way there",
		Long: `Solve answers problems of the theory of neural collapse, in which the features
are free variables beside the classifier: the closed form and its theorem where
there is one, what a search from several random starts finds, a certificate that
it is the global optimum, and the metrics of collapse there.

Without a problem it lists them. A problem takes the flags of its parameters,
or a file: JSON or YAML, {"problem": NAME, "params": {...}}.`,
		Example: `  collapsar solve ce_decay --classes 10 --per-class 100 --dim 64 --lambda-w 5e-4 --lambda-h 1e-5
  collapsar solve layer_peeled_imbalanced --classes 10 --energy-w 1 --energy-h 5 --ratio 1..1000:13
  collapsar solve ce_decay_imbalanced --counts 5x500,5x50 --dim 20 --lambda-w 1e-3 --lambda-h 1e-3
  collapsar solve model --loss focal --gamma 2 --counts 30,20,10 --dim 8 --lambda-w 1e-3 --lambda-h 1e-3
  collapsar solve ce_decay --classes 4 --per-class 10 --dim 8 --lambda-w 1e-3 --lambda-h 1e-3 --path run
  collapsar solve pal --classes 10 --samples 1:150,2:30 --dim 32 --lambda-w 2e-2 --lambda-h 7e-6
  collapsar solve pal --tagset-counts train.csv --dim 64 --lambda-w 5e-4 --lambda-h 1e-5 --bias free
  collapsar solve --spec problem.yaml --json`,
		Args: atMost(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, q := range ufm.Questions() {
				names = append(names, q.Name+"\t"+q.Words)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := given.spec(cmd, args, specFile)
			if err != nil {
				return err
			}
			if spec.Problem == "" {
				listQuestions(&u.page)
				return nil
			}
			if o.Seeds < 0 {
				return usagef("--seeds %d: must be 1 or more", o.Seeds)
			}
			if pathDir != "" && pathSteps < 1 {
				return usagef("--path-steps %d: must be 1 or more", pathSteps)
			}
			r, err := ufm.Answer(cmd.Context(), spec, o)
			if err != nil {
				if errors.Is(err, context.Canceled) {
					return err
				}
				if specFile != "" {
					return fmt.Errorf("%s: %w", specFile, err)
				}
				return usagef("%s", asFlags(err.Error()))
			}
			if u.json {
				err = solveJSON(&u.page, r)
			} else {
				solveText(&u.page, r)
			}
			if o.ExplainSaddle && r.Saddle == nil && r.Model == nil && !strings.HasPrefix(r.Problem, "saddle_") {
				u.warn("--explain-saddle: nothing is searched in %s, so there is no saddle to explain", r.Problem)
			}
			if err != nil || pathDir == "" {
				return err
			}
			return writePath(cmd.Context(), u, r, o, pathDir, pathSteps)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&specFile, "spec", "", "`file` with the problem and its parameters, JSON or YAML")
	given.add(cmd)
	f.Var(oneOf{&o.Method, append(ufm.Methods(), "none")}, "method", "of the search; none leaves it out")
	f.IntVar(&o.Seeds, "seeds", 5, "random starts of the search")
	f.Uint64Var(&o.Seed, "seed", 0, "number of the first start")
	f.BoolVar(&o.Numeric, "numeric", false, "search where theory has no answer, and however large the problem is")
	f.BoolVar(&o.ExplainSaddle, "explain-saddle", false, "show the saddle at zero, and the way out of it")
	f.StringVar(&pathDir, "path", "", "write the way of one search into this `folder`, for collapsar measure")
	f.IntVar(&pathSteps, "path-steps", pathSteps, "iterations of that search at most")
	cmd.MarkFlagFilename("spec")
	cmd.MarkFlagDirname("path")
	complete(cmd, "method", append(ufm.Methods(), "none")...)
	return cmd
}

// question finds a problem by its name, in which hyphens stand for underscores.
func question(name string) (ufm.Question, error) {
	name = strings.ReplaceAll(name, "-", "_")
	var names []string
	for _, q := range ufm.Questions() {
		if q.Name == name {
			return q, nil
		}
		names = append(names, q.Name)
	}
	hint := suggest.Hint(name, names)
	if hint == "" {
		hint = "; collapsar solve lists them"
	}
	return ufm.Question{}, usagef("solve: no problem is called %s%s", name, hint)
}

func listQuestions(p *page) {
	t := table{indent: 2, columns: []alignment{left, left}}
	t.head(heads(bold, "problem", "")...)
	for _, q := range ufm.Questions() {
		t.add(text(q.Name), text(q.Words))
	}
	t.write(p)
	p.WriteByte('\n')
	p.wrapped(dim, 0, "collapsar solve PROBLEM says which parameters are missing; docs/solve.md tells what each means.")
}

// writePath writes the points of one search as step_000000.npz and so on.
func writePath(ctx context.Context, u *ui, r *ufm.Report, o ufm.Options, dir string, steps int) error {
	m := r.Model
	switch {
	case m == nil:
		return usagef("--path: nothing is searched in %s", r.Problem)
	case m.Loss.Kind == ufm.PickAllLabel:
		return usagef("--path: samples have several labels, which files of features cannot be measured with")
	}
	if old, _ := filepath.Glob(filepath.Join(dir, "step_*.npz")); len(old) > 0 {
		return fmt.Errorf("%s: holds steps already, of another search; name a new folder", dir)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	way, err := m.Descend(ctx, ufm.SolveOptions{Method: o.Method, Seed: o.Seed, Iterations: steps})
	if err != nil {
		return fmt.Errorf("--path: %w", err)
	}
	var labels []int64
	for c, n := range m.Counts {
		labels = append(labels, slices.Repeat([]int64{int64(c)}, n)...)
	}
	written := 0
	var last ufm.Step
	for s := range way {
		if last = s; s.Last && s.Iteration == 0 && written > 0 {
			break
		}
		rows, width := m.LastFeatures(s.Point)
		arrays := []npz.Values{{Name: "features", Shape: []int{len(labels), width}, Floats: rows}, {Name: "labels", Shape: []int{len(labels)}, Ints: labels}}
		if s.Point.W != nil {
			arrays = append(arrays, npz.Values{Name: "weights", Shape: []int{len(m.Counts), width}, Floats: s.Point.W})
		}
		if s.Point.B != nil {
			arrays = append(arrays, npz.Values{Name: "bias", Shape: []int{len(m.Counts)}, Floats: s.Point.B})
		}
		if err := atomicfile.Write(filepath.Join(dir, fmt.Sprintf("step_%06d.npz", s.Iteration)), func(w io.Writer) error { return npz.Write(w, arrays...) }); err != nil {
			return err
		}
		written++
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	u.warn("%s: %s of a search that ended at %s (%s); collapsar measure %s", dir, plural(written, "step"), number(last.Value, 7), strings.ReplaceAll(last.Status, "_", " "), dir)
	return nil
}
