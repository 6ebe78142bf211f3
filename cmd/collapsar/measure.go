package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/array"
	"github.com/spf13/cobra"
)

func newMeasure(u *ui) *cobra.Command {
	var o features.Options
	var m measureFlags
	var model modelFlags
	var limits []string
	var csv, replicates bool
	cmd := &cobra.Command{
		Use:   "measure FILE|DIRECTORY|GLOB...",
		Short: "Measure how far features have collapsed",
		Long: `Measure prints the metrics of neural collapse of a file: of every layer that
it holds.

Several files, a directory or a glob are a trajectory: a line for every file,
in natural order. The step is the last number in a file's name. With
--replicates they are runs of one step, trained with other seeds: mean,
standard deviation and an interval over runs of every number.

The exit status is 0 when all is well, 1 when a file failed, 2 for wrong
usage, and 99 when a result did not meet a --threshold.`,
		Example: `  collapsar measure run.npz
  collapsar measure run.npz --metrics 'nc1*,nc2_etf' --per-class
  collapsar measure checkpoints/ --csv > run.csv
  collapsar measure --replicates seed1.npz seed2.npz seed3.npz
  collapsar measure run.npz --threshold 'nc1<0.1'
  collapsar measure tags.npz --lambda-w 5e-4 --lambda-h 1e-6 --loss pal
  collapsar measure x.npy --labels-file y.npy --weights-file head.pt
  collapsar measure run.npz --compat papyan --global-mean sample`,
		Args: atLeast(1, "a file, a directory or a glob"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if csv && u.json {
				return usagef("measure: --csv and --json exclude each other")
			}
			if err := m.check(&o); err != nil {
				return err
			}
			if err := model.check(); err != nil {
				return err
			}
			var thresholds []threshold
			for _, text := range limits {
				t, err := parseThreshold(text)
				if err != nil {
					return err
				}
				switch {
				case !strings.HasPrefix(t.id, levelPrefix):
					m.want(t.id)
				case m.NoVerdict:
					return usagef("--threshold %s: --no-verdict leaves out the levels", text)
				}
				thresholds = append(thresholds, t)
			}
			in, err := expand(args)
			if err != nil {
				return err
			}
			if replicates {
				if len(in.steps) < 2 || csv {
					return usagef("measure: --replicates takes several files, and no --csv")
				}
				in.trajectory = false
			}
			reports, err := measureAll(cmd.Context(), u, in, o, m)
			if len(reports) == 0 {
				return err
			}
			if model.wanted() {
				if e := model.predict(cmd.Context(), u, reports); e != nil {
					return e
				}
			}
			switch {
			case u.json:
				var runs []collapse.Replicated
				if replicates {
					runs = collapse.Replicates(reports, m.Confidence)
				}
				if e := writeJSON(&u.page, optionsOf(o, m), in.trajectory, reports, runs); e != nil {
					return e
				}
			case csv:
				writeCSV(&u.page, metricsOf(reports), reports)
			case replicates:
				writeReplicates(&u.page, metricsOf(reports), reports, m.Confidence)
			case len(in.steps) == 1:
				writeReport(&u.page, metricsOf(reports), reports[0])
			default:
				writeTrajectory(&u.page, metricsOf(reports), reports, m.metrics != nil)
			}
			if e := u.flush(); e != nil {
				return e
			}
			warnings(u, reports)
			if (m.PerClass || m.Compat != nil) && (csv || len(in.steps) > 1) {
				u.warn("--per-class and --compat show in the table of a single file, and with --json")
			}
			if !check(u, reports, thresholds) && err == nil {
				err = errThreshold
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&limits, "threshold", nil, "`condition` that every result has to meet, as in 'nc1<0.1'")
	f.BoolVar(&csv, "csv", false, "print a table for programs: a row a result, a column a metric")
	f.BoolVar(&replicates, "replicates", false, "the files are runs of one step: mean and spread over them")
	m.add(cmd)
	model.add(cmd)
	readFlags(cmd, &o)
	return cmd
}

// metricsOf lists the metrics that the results of files can have.
func metricsOf(reports []*collapse.Report) []collapse.Metric {
	return collapse.MetricsOf(everyResult(reports)...)
}

func everyResult(reports []*collapse.Report) (all []*collapse.Result) {
	for _, r := range reports {
		all = append(all, r.Results...)
	}
	return all
}

// resultName is how a result is called beside the others of its file: by its layer, and by its rows if they are not those trained on.
func resultName(r *collapse.Result) string {
	switch {
	case r.Split == "train":
		return r.Layer
	case r.Layer == "features":
		return r.Split
	}
	return r.Layer + " " + r.Split
}

// input is the files of a command line.
type input struct {
	steps      []features.Step
	trajectory bool // several files, or a directory or glob
}

// expand turns arguments into files.
func expand(args []string) (input, error) {
	steps, err := features.Trajectory(args)
	if err != nil {
		return input{}, err
	}
	return input{steps, len(steps) != 1 || steps[0].Path != args[0]}, nil
}

// measureAll measures files, one after the other. The lines about those that fail are printed, and the error says
// that there were some; there are no reports if it is to be the end.
func measureAll(ctx context.Context, u *ui, in input, o features.Options, m measureFlags) ([]*collapse.Report, error) {
	var reports []*collapse.Report
	failed := false
	u.progress(len(in.steps))
	defer u.line.Load().Stop()
	m.Progress = u.line.Load().Rows
	for i, step := range in.steps {
		u.line.Load().Item(i, step.Path)
		report, err := measureFile(ctx, step.Path, o, m.Options)
		switch {
		case ctx.Err() != nil:
			return nil, errInterrupted
		case err != nil:
			u.errorLine(array.About(err, step.Path))
			if failed = true; m.failFast {
				return nil, errReported
			}
			continue
		}
		for _, r := range report.Results {
			if in.trajectory && step.HasStep {
				n := step.Step
				r.Step = &n
			}
		}
		reports = append(reports, report)
	}
	if failed {
		return reports, errPartial
	}
	return reports, nil
}

func measureFile(ctx context.Context, path string, o features.Options, m collapse.Options) (*collapse.Report, error) {
	set, err := features.Open(path, o)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	return collapse.Measure(ctx, set, m)
}

// check prints a line for every result that misses a threshold.
func check(u *ui, reports []*collapse.Report, thresholds []threshold) bool {
	all := true
	for _, report := range reports {
		for _, r := range report.Results {
			for _, t := range thresholds {
				if ok, found := t.met(r); !ok {
					all = false
					u.errorLine(fmt.Errorf("%s: %s: threshold_not_met: %s is %s, wanted %s", r.Source, resultName(r), t.id, found, t.text))
				}
			}
		}
	}
	return all
}

// warnings prints notes and warnings, once for all files that have them.
func warnings(u *ui, reports []*collapse.Report) {
	type line struct{ where, what string }
	var lines []line
	files := map[line]int{}
	add := func(file, layer, kind, code, message string) {
		l := line{layer, fmt.Sprintf("%s: %s: %s", kind, code, message)}
		if files[l]++; files[l] == 1 {
			lines = append(lines, line{file, l.where + "\x00" + l.what})
		}
	}
	for _, report := range reports {
		for _, n := range report.Notes {
			add(report.Source, "", "note", n.Code, n.Message)
		}
		for _, r := range report.Results {
			layer := resultName(r)
			if len(report.Results) == 1 {
				layer = ""
			}
			for _, w := range r.Warnings {
				add(report.Source, layer, "warning", w.Code, w.Message)
			}
		}
	}
	for _, l := range lines {
		layer, what, _ := strings.Cut(l.what, "\x00")
		where := l.where
		if layer != "" {
			where += ": " + layer
		}
		if n := files[line{layer, what}]; n > 1 {
			what += fmt.Sprintf(" (and in %s)", plural(n-1, "more file"))
		}
		u.warn("%s: %s", where, what)
	}
}
