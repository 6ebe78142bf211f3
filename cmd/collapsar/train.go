package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/train"
	"github.com/spf13/cobra"
)

// trainFlags are those that are no part of the configuration.
type trainFlags struct {
	config, out, resume, export string
	overwrite                   bool
	workers                     int
}

func newTrain(u *ui) *cobra.Command {
	var given trainFlags
	scratch := train.Default() // flags are parsed into it; those that were given are set again on what the file says
	cmd := &cobra.Command{
		Use:   "train [DATA]",
		Short: "Train a network past zero error, and measure collapse on the way",
		Long: `Train takes a network past zero training error and measures the collapse of every
layer on the way, on training and test rows.

DATA is the name or path of a data set. All that the numbers depend on is a
configuration, which --config reads; flags win over it. The folder of the run
holds the configuration, the measurements, and checkpoints from which --resume
goes on, to the same bits as without an interruption.

docs/train.md describes the configuration and the folder.`,
		Example: `  collapsar train geomnist --model lenet --epochs 40
  collapsar train mnist --data-root images --per-class 500 --seeds 0..4
  collapsar train mnist --recipe papyan --model resnet18 --width 16 --out runs/papyan
  collapsar train --config runs/papyan/config.yaml --lr 0.02 --out runs/slower
  collapsar train --resume runs/papyan`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, o, err := given.configuration(cmd, args)
			if err != nil {
				return err
			}
			if given.workers < 0 {
				return usagef("train: --workers %d: must be 1 or more, or 0 for all", given.workers)
			}
			if given.workers > 0 {
				runtime.GOMAXPROCS(given.workers)
			}
			result, err := runTraining(cmd.Context(), u, c, o)
			if result == nil || len(result.Runs) == 0 || len(result.Runs[0].Reports) == 0 || errors.Is(err, context.Canceled) {
				return err
			}
			if e := writeTraining(u, result); e != nil {
				return e
			}
			if err != nil {
				u.flush()
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&given.config, "config", "", "`file` with the configuration, YAML or JSON")
	f.StringVar(&given.out, "out", "", "`folder` of the run; default runs/DATA_MODEL")
	f.StringVar(&given.resume, "resume", "", "go on with the run in this `folder`")
	f.BoolVar(&given.overwrite, "overwrite", false, "begin anew where the folder has a run")
	f.StringVar(&given.export, "export", "", "write the features of the end to this `file`, .npz or .safetensors")
	configFlags(cmd, &scratch)
	f.IntVar(&given.workers, "workers", 0, "processors to use; 0 for all. Numbers do not depend on it")
	cmd.MarkFlagFilename("config", "yaml", "yml", "json")
	cmd.MarkFlagDirname("out")
	cmd.MarkFlagDirname("resume")
	cmd.MarkFlagFilename("export", "npz", "safetensors")
	return cmd
}

// configuration puts file and flags together.
func (g *trainFlags) configuration(cmd *cobra.Command, args []string) (c train.Config, o train.Options, err error) {
	o = train.Options{Dir: g.out, Overwrite: g.overwrite, Export: g.export, Version: versionText()}
	if g.resume != "" {
		if flag := firstChanged(cmd, "resume", "export", "workers", "quiet", "json"); flag != "" || len(args) > 0 {
			if flag == "" {
				flag = args[0]
			} else {
				flag = "--" + flag
			}
			return c, o, usagef("train: %s: --resume goes on with the configuration of the run; to change it, begin a new one with --config %s", flag, filepath.Join(g.resume, "config.yaml"))
		}
		o.Dir, o.Resume = g.resume, true
		if c, err = train.ConfigOf(g.resume); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: not the folder of a run: it has no config.yaml", g.resume)
		}
		return c, o, err
	}
	if g.config != "" {
		data, err := os.ReadFile(g.config)
		if err != nil {
			return c, o, err
		}
		if c, err = train.ReadConfig(data); err != nil {
			return c, o, fmt.Errorf("%s: %w", g.config, err)
		}
	} else {
		c = train.Default()
	}
	if f := cmd.Flags().Lookup("recipe"); f.Changed {
		if g.config != "" {
			return c, o, usagef("train: --recipe: gives the defaults; write it into %s", g.config)
		}
		if c, err = train.WithRecipe(f.Value.String()); err != nil {
			return c, o, usagef("train: %s", strings.TrimPrefix(err.Error(), "config: "))
		}
	}
	if err := setAgain(cmd, &c); err != nil {
		return c, o, err
	}
	if len(args) > 0 {
		c.Data.Source = args[0]
	}
	if err := c.Check(); err != nil {
		var e *train.ConfigError
		if errors.As(err, &e) && e.Key == "data.source" {
			return c, o, usagef("train: wants a data set: a name or a path; see collapsar train --help")
		}
		return c, o, usagef("train: %s", strings.TrimPrefix(err.Error(), "config: "))
	}
	if o.Dir == "" {
		o.Dir = defaultFolder(&c)
	}
	return c, o, nil
}

// defaultFolder is runs/DATA_MODEL.
func defaultFolder(c *train.Config) string {
	name, _, _ := strings.Cut(filepath.Base(c.Data.Source), ":")
	return filepath.Join("runs", strings.TrimSuffix(name, filepath.Ext(name))+"_"+c.Model.Name)
}

// runTraining runs a configuration, with a status line on a terminal and log lines.
func runTraining(ctx context.Context, u *ui, c train.Config, o train.Options) (*train.Result, error) {
	u.grace.Store(int64(time.Minute)) // to save the state
	defer u.grace.Store(0)
	u.progress(1)
	defer func() { u.line.Load().Stop() }()
	o.Log = func(line string) { u.warn("%s", line) }
	o.Loading = func(done, total int64) { u.line.Load().Rows(done, total) }
	var seed *uint64
	o.Progress = func(p train.Progress) {
		if seed == nil || *seed != p.Seed { // the line begins anew: rate and time left are those of a seed
			seed = &p.Seed
			u.line.Load().Stop()
			u.progress(1)
		}
		line := u.line.Load()
		line.Rows(p.Done, p.Total)
		line.Name(progressName(&c, p))
	}
	result, err := train.Run(ctx, c, o)
	switch {
	case o.Dir == "" || ctx.Err() == nil:
	case errors.Is(err, context.Canceled):
		u.warn("the state is saved: collapsar train --resume %s goes on", o.Dir)
	case err != nil: // the state could not be saved
		u.warn("%v", err)
	}
	return result, err
}

// progressName is what the status line says besides rate and time left: short, for it has to fit into 80 columns. The levels are
// those of the last measurement, in the order of the line that tells of it.
func progressName(c *train.Config, p train.Progress) string {
	s := fmt.Sprintf("%d/%d loss %.2g", p.Epoch, p.Epochs, p.Loss)
	if len(c.Seeds) > 1 {
		s = fmt.Sprintf("seed %d ", p.Seed) + s
	}
	if p.Error > 0 {
		s += " error " + collapse.Percent(p.Error)
	}
	if p.Last == nil || p.Last.Verdict == nil {
		return s
	}
	var levels []string
	for _, name := range collapse.Properties(p.Last) {
		text := "–"
		if l := p.Last.Verdict.Levels.Level(name); l.Value != nil {
			if text = fmt.Sprintf("%.1f", 100**l.Value); len(text) > 3 {
				text = fmt.Sprintf("%.0f", 100**l.Value)
			}
		}
		levels = append(levels, text)
	}
	return s + " levels " + strings.Join(levels, "/") + " %"
}

// writeTraining prints what came out.
func writeTraining(u *ui, r *train.Result) error {
	if u.json {
		return writeTrainingJSON(&u.page, r)
	}
	p := &u.page
	for i, run := range r.Runs {
		if len(run.Reports) == 0 {
			continue
		}
		if i > 0 {
			p.WriteByte('\n')
		}
		title := fmt.Sprintf("%s, %s, seed %d, %s", r.Data.Name, r.Config.Model.Name, run.Seed, plural(run.Epochs, "epoch"))
		if run.Dir != "" {
			title += ", " + run.Dir
		}
		p.wrapped(bold, 2, clean(title))
		if len(r.Runs) > 1 && i < len(r.Runs)-1 { // of several runs, the way of the last
			writeEnd(p, run)
			continue
		}
		w := way{unit: "epoch"}
		for _, epoch := range run.MeasuredEpochs {
			w.labels = append(w.labels, strconv.Itoa(epoch))
		}
		last := lastLayers(run.Reports)
		writeWay(p, metricsOf(last), last, w, false)
		if end := run.Reports[len(run.Reports)-1]; len(end.Results) > len(last[0].Results) && end.Results[0].Verdict != nil {
			p.printf("\nat the end, by layer\n")
			layerLevels(trainingRows(end.Results)).write(p)
			p.WriteByte('\n')
		}
		writeEnd(p, run)
	}
	if r.Replicates != nil {
		var ends []*collapse.Report
		for _, run := range r.Runs {
			ends = append(ends, run.Reports[len(run.Reports)-1])
		}
		p.WriteByte('\n')
		writeReplicates(p, metricsOf(ends), ends, r.Config.Measure.Confidence)
	}
	return nil
}

// lastLayers is the reports with the results of their last layers alone.
func lastLayers(reports []*collapse.Report) (out []*collapse.Report) {
	for _, r := range reports {
		one := *r
		one.Results = nil
		for _, result := range r.Results {
			if result.Layer == r.Results[len(r.Results)-1].Layer {
				one.Results = append(one.Results, result)
			}
		}
		out = append(out, &one)
	}
	return out
}

// trainingRows are the results of training rows.
func trainingRows(results []*collapse.Result) (out []*collapse.Result) {
	for _, r := range results {
		if r.Split == "train" {
			out = append(out, r)
		}
	}
	return out
}

// writeEnd prints the errors at the end of a run.
func writeEnd(p *page, run *train.RunResult) {
	s := "train " + run.Train.ErrorName() + " " + collapse.Percent(run.Train.Error)
	if run.ZeroErrorEpoch != nil {
		s += fmt.Sprintf(" (first 0 at epoch %d)", *run.ZeroErrorEpoch)
	}
	if run.Test != nil {
		s += ", test " + run.Test.ErrorName() + " " + collapse.Percent(run.Test.Error)
	}
	p.wrapped(plain, 2, s)
}

// trainingJSON is an element of "runs".
type trainingJSON struct {
	Seed      uint64            `json:"seed"`
	Folder    string            `json:"folder,omitempty"`
	Epochs    int               `json:"epochs"`
	Steps     int               `json:"steps"`
	ZeroError *int              `json:"zero_error_epoch"`
	Train     *train.Evaluation `json:"train"`
	Test      *train.Evaluation `json:"test"`
	Measured  []int             `json:"measured_epochs"` // as the results below, one for every layer of each
	Way       trajectoryJSON    `json:"trajectory"`
}

func writeTrainingJSON(p *page, r *train.Result) error {
	d := newDocument(p, "train")
	d.field("options", r.Config)
	d.field("data", r.Data)
	d.field("model", r.Model)
	var results []*collapse.Result
	var runs []trainingJSON
	for _, run := range r.Runs {
		for _, report := range run.Reports {
			results = append(results, report.Results...)
		}
		runs = append(runs, trainingJSON{run.Seed, run.Dir, run.Epochs, run.Steps, run.ZeroErrorEpoch, run.Train, run.Test, run.MeasuredEpochs, trajectoryOf(run.Reports)})
	}
	list(d, "results", results)
	list(d, "runs", runs)
	if r.Replicates != nil {
		list(d, "replicates", r.Replicates)
	}
	return d.end()
}
