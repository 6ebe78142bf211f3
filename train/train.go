// Package train takes networks past zero training error and measures their collapse on the way.
//
// A run is described by a Config, a value that a file in YAML or JSON holds, and leaves a folder behind:
//
//	c := train.Default()
//	c.Data.Source = "geomnist"
//	c.Model.Name = "lenet"
//	result, err := train.Run(ctx, c, train.Options{Dir: "runs/geomnist"})
//	if err != nil { ... }
//	last := result.Runs[0].Reports[len(result.Runs[0].Reports)-1]
//
//	runs/geomnist/config.yaml       the configuration with all defaults; it can be run again
//	runs/geomnist/run.json          configuration, versions, hash of the data, what came out
//	runs/geomnist/metrics.jsonl     a line for every layer of every measurement
//	runs/geomnist/epochs.csv        a line an epoch
//	runs/geomnist/weights.safetensors             the final network, named as PyTorch does
//	runs/geomnist/checkpoints/last.safetensors    the state: a run that was interrupted goes on from it
//	runs/geomnist/checkpoints/best.safetensors    weights with the smallest test error
//
// Several seeds have a folder each below it (seed_0, seed_1, ...), and one result.
//
// The numbers of a run depend on the configuration, the data, the version and the kernel level alone: not on the number of workers, nor on
// interruptions. All randomness is a function of the seed and of positions (epoch, step, row), so that a run that was killed at any
// moment and resumed has the bits of one that was not.
//
// config.go and schedule.go say what can be set; loop.go has the steps, evaluate.go what is measured between them, checkpoint.go and
// folder.go what is written.
package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"unsafe"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/dataset"
	"github.com/collapsar/collapsar/nn"
)

// Options are what numbers do not depend on.
type Options struct {
	Dir       string // the run folder; "" writes nothing
	Resume    bool   // go on with the run in the folder, which has to be of the same configuration and data
	Overwrite bool   // begin anew where the folder has a run
	Export    string // also write the features of the end to this file, .npz or .safetensors
	Version   string // of the program, for run.json

	Log      func(line string)                                // told of what happens: what is trained on, measurements, the terminal phase; may be nil
	Progress func(Progress)                                   // told after every step; has to be quick; may be nil
	Loading  func(done, total int64)                          // told of images that are decoded; called by any goroutine; may be nil
	Measured func(seed uint64, epoch int, r *collapse.Report) // told of every measurement; may be nil
}

// Progress is where a run stands.
type Progress struct {
	Seed           uint64
	Epoch, Epochs  int   // the one under way, from 1; of so many
	Done, Total    int64 // rows, since the run was begun or resumed, and until its end
	Loss           float64
	Error          float64          // of the epoch under way, in training mode
	ZeroErrorEpoch *int             // the first epoch with no training error, nil so far
	Last           *collapse.Result // training rows of the last layer at the last measurement, nil so far
}

// Result is what came of a configuration.
type Result struct {
	Config     Config
	Data       DataInfo
	Model      ModelInfo
	Runs       []*RunResult
	Replicates []collapse.Replicated // over the ends of the runs, where there are several
}

// RunResult is what came of a seed.
type RunResult struct {
	Seed           uint64
	Dir            string // its folder, "" without one
	Epochs, Steps  int    // done
	ZeroErrorEpoch *int   // the first epoch at whose end no training row was misclassified, nil if there was none
	Train, Test    *Evaluation
	Reports        []*collapse.Report // the measurements of this process, in order; the last is that of the end
	MeasuredEpochs []int              // of the reports
}

// DataInfo tells of a data set.
type DataInfo struct {
	Name      string   `json:"name"`
	Hash      string   `json:"hash"` // see dataset.Set.Hash; of the first seed's, where labels are random
	Shape     [3]int   `json:"shape"`
	Classes   []string `json:"classes"`
	Counts    []int    `json:"counts"` // training rows of each class, or with each tag
	TrainRows int      `json:"train_rows"`
	TestRows  int      `json:"test_rows"`
	Multi     bool     `json:"multi_label"`
}

// ModelInfo tells of a network.
type ModelInfo struct {
	Parameters int       `json:"parameters"` // that are trained
	Saved      int       `json:"saved"`      // that many fewer than with a linear head on the architecture's own features
	Memory     int64     `json:"memory"`     // bytes of parameters, gradient and state of the optimiser
	Frozen     int       `json:"frozen"`     // weights that are not: of a fixed head
	FeatureDim int       `json:"feature_dim"`
	Layers     []TapInfo `json:"layers"` // that are measured
}

// TapInfo tells of a layer that is measured.
type TapInfo struct {
	Name      string `json:"name"`
	Dimension int    `json:"dimension"`
	Averaged  int    `json:"averaged,omitempty"` // positions over whose mean it is measured; 0 for none
}

// Run trains a network for every seed of a configuration, one after the other. When the context is cancelled it saves the state and
// returns the context's error with what there is. A loss that is not a number is a *DivergedError, a mistake in the configuration a
// *ConfigError.
func Run(ctx context.Context, c Config, o Options) (*Result, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := checkExport(o.Export); err != nil {
		return nil, err
	}
	if err := o.vacant(); err != nil {
		return nil, err
	}
	if err := o.vacant(); err != nil {
		return nil, err
	}
	if c.DType == "float64" {
		return runAll[float64](ctx, c, o)
	}
	return runAll[float32](ctx, c, o)
}

func runAll[T nn.Float](ctx context.Context, c Config, o Options) (*Result, error) {
	result := &Result{Config: c}
	var top *top
	begin := func(r *run[T]) (err error) { // once there is something to train, so that a mistake leaves no folder
		result.Data, result.Model = dataInfo(r.set), r.modelInfo()
		r.log("%s", words(r.set))
		r.log("%s", r.modelWords())
		top, err = openTop(&c, &o)
		return err
	}
	for i, seed := range c.Seeds {
		one := o
		if o.Dir != "" && len(c.Seeds) > 1 {
			one.Dir = filepath.Join(o.Dir, fmt.Sprintf("seed_%d", seed))
		}
		if o.Export != "" && len(c.Seeds) > 1 {
			ext := filepath.Ext(o.Export)
			one.Export = o.Export[:len(o.Export)-len(ext)] + fmt.Sprintf("_seed_%d", seed) + ext
		}
		if i > 0 {
			begin = func(*run[T]) error { return nil }
		}
		r, err := runSeed(ctx, &c, &one, seed, begin)
		if r != nil {
			result.Runs = append(result.Runs, r)
		}
		if err != nil {
			if len(c.Seeds) > 1 && !errors.Is(err, ctx.Err()) {
				err = fmt.Errorf("seed %d: %w", seed, err)
			}
			return result, both(err, top.finish(result, statusOf(err)))
		}
	}
	if len(result.Runs) > 1 {
		var ends []*collapse.Report
		for _, r := range result.Runs {
			ends = append(ends, r.Reports[len(r.Reports)-1])
		}
		result.Replicates = collapse.Replicates(ends, c.Measure.Confidence)
	}
	return result, top.finish(result, finished)
}

// runSeed trains one seed. Begin is called before anything is written.
func runSeed[T nn.Float](ctx context.Context, c *Config, o *Options, seed uint64, begin func(*run[T]) error) (*RunResult, error) {
	set, err := c.Data.open(seed, o.Loading)
	if err != nil {
		return nil, err
	}
	r, err := newRun[T](c, o, set, seed)
	if err != nil {
		return nil, err
	}
	if err := begin(r); err != nil {
		return nil, err
	}
	if r.folder, err = openFolder(c, o, seed, dataInfo(set), r.modelInfo()); err != nil {
		return nil, err
	}
	defer r.folder.close()
	defer r.folder.close()
	if r.folder != nil && r.folder.resumed {
		if err := r.resume(); err != nil {
			return nil, err
		}
	}
	if len(c.Seeds) > 1 {
		r.log("seed %d", seed)
	}
	err = r.goOn(ctx)
	if err == nil {
		err = r.finish(ctx)
	}
	out := &RunResult{Seed: seed, Dir: o.Dir, Epochs: r.at.Epoch, Steps: r.at.Step, ZeroErrorEpoch: r.at.Zero, Train: r.train, Test: r.test, Reports: r.reports, MeasuredEpochs: r.epochs}
	if r.folder != nil {
		err = both(err, r.folder.finish(out, statusOf(err)))
	}
	return out, err
}

// finish writes what the end of a run leaves. A run that was at its end when it was resumed is measured again, to the same numbers.
func (r *run[T]) finish(ctx context.Context) error {
	if len(r.reports) == 0 {
		train, test, report, err := r.look(ctx, true, r.at.Epoch)
		if err != nil {
			return err
		}
		r.reports, r.epochs, r.train, r.test = append(r.reports, report), append(r.epochs, r.at.Epoch), train, test
	}
	if r.folder != nil {
		if err := r.folder.writeWeights(filepath.Join(r.folder.dir, "weights.safetensors"), r); err != nil {
			return err
		}
	}
	if r.o.Export == "" {
		return nil
	}
	return r.export(r.o.Export)
}

// The states of a run.
const (
	running  = "running"
	finished = "finished"
	stopped  = "stopped"
	diverged = "diverged"
	failed   = "failed"
)

func statusOf(err error) string {
	var d *DivergedError
	switch {
	case err == nil:
		return finished
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return stopped
	case errors.As(err, &d):
		return diverged
	}
	return failed
}

// both is one error, or two joined.
func both(a, b error) error {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return errors.Join(a, b)
}

func dataInfo(set *dataset.Set) DataInfo {
	return DataInfo{
		Name: set.Name, Hash: set.Hash(), Shape: [3]int{set.Shape.Height, set.Shape.Width, set.Shape.Channels}, Classes: set.Classes, Counts: set.Counts(),
		TrainRows: set.Train.Rows, TestRows: set.Test.Rows, Multi: set.Train.Tags != nil,
	}
}

func (r *run[T]) modelInfo() ModelInfo {
	n := len(r.net.Params)
	slots := 2 + len(r.opt.parts())
	m := ModelInfo{Parameters: n, Memory: int64(n) * int64(slots) * int64(unsafe.Sizeof(r.net.Params[0]))}
	plain := r.c.Model
	plain.Head, plain.FeatureDim = nn.HeadSpec{}, 0
	if a, err := plain.architecture(r.set); err == nil {
		if trained, _, err := nn.Count(a); err == nil {
			m.Saved = trained - n
		}
	}
	for _, t := range r.net.Tensors() {
		if !t.Trainable && t.Kind != nn.Statistic {
			m.Frozen += t.Len()
		}
	}
	for _, t := range r.taps {
		info := TapInfo{Name: t.name, Dimension: t.dim}
		if t.pixels > 1 {
			info.Averaged = t.pixels
		}
		m.Layers = append(m.Layers, info)
	}
	m.FeatureDim = r.taps[len(r.taps)-1].dim
	return m
}

// modelWords say what the network is.
func (r *run[T]) modelWords() string {
	m := r.modelInfo()
	s := fmt.Sprintf("%s: %s parameters (%.3g MiB with gradient and optimizer state), %d features", r.c.Model.Name, parameterCount(m.Parameters), float64(m.Memory)/(1<<20), m.FeatureDim)
	if m.Saved > 0 {
		s += fmt.Sprintf(", %s parameters (%.2g %%, %.3g MiB) saved against a linear head on the model's own features", parameterCount(m.Saved), 100*float64(m.Saved)/float64(m.Saved+m.Parameters), float64(m.Memory)*float64(m.Saved)/float64(m.Parameters)/(1<<20))
	}
	for _, l := range m.Layers {
		if l.Averaged > 0 {
			s += fmt.Sprintf("; %s is measured by its mean over %d positions", l.Name, l.Averaged)
		}
	}
	return s
}
