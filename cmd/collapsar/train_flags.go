package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/nn"
	"github.com/collapsar/collapsar/train"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configFlags adds a flag for every key of a configuration.
func configFlags(cmd *cobra.Command, c *train.Config) {
	f := cmd.Flags()
	f.StringVar(&c.Recipe, "recipe", c.Recipe, "published recipe that gives the defaults: "+strings.Join(train.Recipes(), ", "))

	d := &c.Data
	f.StringVar(&d.Root, "data-root", d.Root, "`folder` in which data sets are looked for by name; default $COLLAPSAR_DATA, then data")
	f.StringVar(&d.Stem, "stem", d.Stem, "MNIST family: what the `names` of the training files begin with")
	f.Var((*integers)(&d.Classes), "classes", "only these `classes`, as in 0,1,2")
	f.IntVar(&d.PerClass, "per-class", d.PerClass, "only the first so many training rows of each class")
	f.IntVar(&d.Majority, "majority", d.Majority, "step imbalance: so many classes have --per-class rows, the others that divided by --ratio")
	f.Float64Var(&d.Ratio, "ratio", d.Ratio, "of the step imbalance, or without --majority from the largest to the smallest class of a long tail")
	for _, o := range compositeFlags {
		f.Var(composite{&d.Composite, o}, o.name, o.words)
	}
	f.Lookup("composite-halve").NoOptDefVal = "true"
	f.Float64Var(&d.RandomLabels, "random-labels", d.RandomLabels, "`share` of training rows whose labels are permuted")
	f.StringVar(&d.Standardize, "standardize", d.Standardize, "by mean and deviation: global, channel or none")
	f.BoolVar(&d.Flip, "flip", d.Flip, "mirror images at random")
	f.IntVar(&d.Crop, "crop", d.Crop, "move images by up to so many `pixels` at random")
	f.StringVar(&d.Sampler, "sampler", d.Sampler, "uniform, oversample or undersample")
	f.StringVar(&d.ClassWeights, "class-weights", d.ClassWeights, "in the loss: none, inverse_frequency or effective_number")

	m := &c.Model
	f.StringVar(&m.Name, "model", m.Name, strings.Join(nn.Architectures(), ", "))
	f.IntVar(&m.Width, "width", m.Width, "of hidden layers, channels of the first stage; 0 for the model's own")
	f.IntVar(&m.Depth, "depth", m.Depth, "hidden layers of an mlp; 0 for two")
	f.StringVar(&m.Norm, "norm", m.Norm, "batch or none; default the model's own")
	f.IntVar(&m.FeatureDim, "feature-dim", m.FeatureDim, "dimension of the features; 0 for the model's own")
	f.StringVar(&m.Head.Name, "head", m.Head.Name, "classifier: "+headNames())
	f.Float64Var(&m.Head.Scale, "head-scale", m.Head.Scale, "length of the rows of a fixed or cosine head; 0 for 1")
	f.StringVar((*string)(&m.Head.Bias), "head-bias", string(m.Head.Bias), "free or none; default the head's own")
	f.BoolVar(&m.Head.UnitFeatures, "unit-features", m.Head.UnitFeatures, "scale the features to length 1")
	f.StringVar(&m.Init, "init", m.Init, strings.Join(nn.Initialisations(), ", "))
	f.StringVar(&m.InitFrom, "init-from", m.InitFrom, "begin with the weights in this `file`, .safetensors or .pt")

	l := &c.Loss
	f.StringVar(&l.Name, "loss", l.Name, lossNames())
	for _, o := range []struct {
		to          *float64
		name, words string
	}{
		{&l.Smoothing, "smoothing", "of the labels"}, {&l.Gamma, "gamma", "of the focal loss"}, {&l.Kappa, "kappa", "weight of the own logit's square (mse_rescaled)"},
		{&l.Scale, "loss-scale", "what the own logit aims at (mse_rescaled)"}, {&l.Target, "target", "of dot regression"}, {&l.Temperature, "temperature", "which cosines are divided by"},
		{&l.Margin, "margin", "taken from the own cosine"}, {&l.Distortion, "distortion", "epsilon squared of the coding rate"}, {&l.Adjustment, "adjustment", "tau of logit adjustment, by the class counts"},
		{&l.FeatureDecay, "feature-decay", "lambda in lambda/2 times the mean of |h|^2"}, {&l.SVSL, "svsl", "weight of the variability of layers"},
	} {
		f.Float64Var(o.to, o.name, *o.to, o.words)
	}
	f.IntVar(&l.SVSLFrom, "svsl-from", l.SVSLFrom, "number of the first layer of it")

	o := &c.Optimizer
	f.StringVar(&o.Name, "optimizer", o.Name, strings.Join(train.Optimizers(), ", "))
	f.Float64Var(&o.LR, "lr", o.LR, "learning rate")
	f.Float64Var(&o.Momentum, "momentum", o.Momentum, "of sgd")
	f.BoolVar(&o.Nesterov, "nesterov", o.Nesterov, "momentum of Nesterov")
	f.Float64Var(&o.Beta1, "beta1", o.Beta1, "of adam and adamw")
	f.Float64Var(&o.Beta2, "beta2", o.Beta2, "of adam and adamw")
	f.Float64Var(&o.Epsilon, "epsilon", o.Epsilon, "of adam and adamw")
	f.Float64Var(&o.WeightDecay, "weight-decay", o.WeightDecay, "lambda in lambda/2 |w|^2, of every parameter")
	f.Var(optional{&o.ClassifierDecay}, "classifier-decay", "of the classifier's weights; default --weight-decay")
	f.StringVar(&o.Decay, "decay", o.Decay, "what decays: all, or weights without biases and norms")
	f.IntVar(&o.Iterations, "iterations", o.Iterations, "of lbfgs on a batch")
	f.IntVar(&o.History, "history", o.History, "pairs that lbfgs keeps")

	s := &c.Schedule
	f.StringVar(&s.Name, "schedule", s.Name, "of the learning rate: "+strings.Join(train.Schedules(), ", "))
	f.Float64Var(&s.Factor, "factor", s.Factor, "step, multistep: of the rate at a milestone")
	f.IntVar(&s.Every, "step-every", s.Every, "step: epochs between milestones")
	f.Var((*integers)(&s.Milestones), "milestones", "multistep: `epochs` after which the rate falls; default after 1/3 and 2/3 of all")
	f.Float64Var(&s.Floor, "floor", s.Floor, "cosine, triangle: the last rate, as a share")
	f.Float64Var(&s.Warmup, "warmup", s.Warmup, "epochs in which the rate rises from 0")
	f.Float64Var(&s.Peak, "peak", s.Peak, "triangle: share of the training at which the rate is highest; 0 for 0.3")

	f.IntVar(&c.Epochs, "epochs", c.Epochs, "passes over the training rows")
	f.IntVar(&c.Batch, "batch", c.Batch, "rows of a step")
	f.BoolVar(&c.DropLast, "drop-last", c.DropLast, "leave out a last batch with fewer rows")
	f.StringVar(&c.DType, "dtype", c.DType, "float32 or float64")
	f.Var((*seeds)(&c.Seeds), "seeds", "runs one after another, as in 0..4 or 0,3")
	f.Lookup("seeds").DefValue = "0"

	e := &c.Measure
	f.IntVar(&e.Every, "measure-every", e.Every, "`epochs` between measurements; 0 for log-spaced ones")
	f.IntVar(&e.EvaluateEvery, "evaluate-every", e.EvaluateEvery, "`epochs` between looks at the training error until it is 0")
	f.Var((*texts)(&e.Layers), "layer", "only the layers that match these `globs`, and the last one")
	f.Var((*texts)(&e.Metrics), "metrics", "metrics to measure: ids or `globs`, all or default (all but those of cost F)")
	f.Float64Var(&e.Alpha, "alpha", e.Alpha, "levels at or below this count as collapsed, a tenth of it for the centre")
	f.Float64Var(&e.Confidence, "confidence", e.Confidence, "of the intervals of the levels")
	f.BoolVar(&e.NoVerdict, "no-verdict", e.NoVerdict, "leave out the levels and the verdict")
	f.BoolVar(&e.Predict, "predict", e.Predict, "of rows with several tags: also predict their tag sets, and score that")
	f.Var((*size)(&e.Memory), "memory", "for features that are measured at most, as in 512MiB or 2GB")
	f.IntVar(&c.Checkpoint.Every, "checkpoint-every", c.Checkpoint.Every, "`epochs` between weights that are kept; 0 for none")
	f.Float64Var(&c.Checkpoint.Seconds, "checkpoint-seconds", c.Checkpoint.Seconds, "between writes of the state, at least")

	for name, values := range map[string][]string{
		"recipe": train.Recipes(), "model": nn.Architectures(), "optimizer": train.Optimizers(), "schedule": train.Schedules(), "init": nn.Initialisations(), "loss": strings.Split(lossNames(), ", "),
		"head": strings.Split(headNames(), ", "), "dtype": {"float32", "float64"}, "norm": {"batch", "none"}, "decay": {"all", "weights"}, "sampler": {"uniform", "oversample", "undersample"},
		"standardize": {"global", "channel", "none"}, "class-weights": {"none", "inverse_frequency", "effective_number"}, "head-bias": {"free", "none"}, "composite-layout": {"quarters", "corners"},
	} {
		complete(cmd, name, values...)
	}
}

func headNames() string {
	var names []string
	for _, h := range nn.Heads() {
		names = append(names, h.Name)
	}
	return strings.Join(names, ", ")
}

func lossNames() string {
	var names []string
	for _, l := range nn.Losses() {
		names = append(names, l.Name)
	}
	return strings.Join(names, ", ")
}

// setAgain sets the flags that were given on a configuration.
func setAgain(cmd *cobra.Command, c *train.Config) (err error) {
	again := &cobra.Command{}
	configFlags(again, c)
	again.Flags().VisitAll(func(f *pflag.Flag) {
		if from := cmd.Flags().Lookup(f.Name); from.Changed && err == nil {
			err = f.Value.Set(from.Value.String())
		}
	})
	return err
}

// firstChanged is the first flag that was given and is not among those named, "" if there is none.
func firstChanged(cmd *cobra.Command, but ...string) (name string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if name == "" && !slices.Contains(but, f.Name) {
			name = f.Name
		}
	})
	return name
}

// integers is a flag of whole numbers, as in 0,1,2.
type integers []int

func (v *integers) String() string {
	var parts []string
	for _, n := range *v {
		parts = append(parts, strconv.Itoa(n))
	}
	return strings.Join(parts, ",")
}

func (v *integers) Set(s string) error {
	*v = nil
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return errors.New("must be whole numbers, as in 1,2,3")
		}
		*v = append(*v, n)
	}
	return nil
}

func (v *integers) Type() string { return "numbers" }

// texts is a flag of words, as in a,b.
type texts []string

func (v *texts) String() string     { return strings.Join(*v, ",") }
func (v *texts) Set(s string) error { *v = strings.Split(s, ","); return nil }
func (v *texts) Type() string       { return "names" }

// seeds is a flag of seeds.
type seeds train.Seeds

func (v *seeds) String() string { return train.Seeds(*v).String() }

func (v *seeds) Set(s string) error {
	parsed, err := train.ParseSeeds(s)
	if err != nil {
		return errors.New("must be whole numbers, as in 0..4 or 0,3")
	}
	*v = seeds(parsed)
	return nil
}

func (v *seeds) Type() string { return "seeds" }

// optional is a flag of a number that may be missing.
type optional struct{ to **float64 }

func (v optional) String() string {
	if v.to == nil || *v.to == nil {
		return ""
	}
	return strconv.FormatFloat(**v.to, 'g', -1, 64)
}

func (v optional) Set(s string) error {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return errors.New("must be a number")
	}
	*v.to = &n
	return nil
}

func (v optional) Type() string { return "float" }
