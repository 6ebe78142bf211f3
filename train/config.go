package train

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/dataset"
	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/collapsar/collapsar/nn"
	"go.yaml.in/yaml/v3"
)

// Config is all that the numbers of a run depend on, besides the version of the program. It is complete: Default and ReadConfig
// fill in every default, and what was filled in is saved with the run. The keys are those of a file in YAML or JSON.
type Config struct {
	Recipe     string      `json:"recipe" yaml:"recipe"` // where defaults come from, see Recipes; "" for those of Default
	Data       Data        `json:"data" yaml:"data"`
	Model      Model       `json:"model" yaml:"model"`
	Loss       nn.LossSpec `json:"loss" yaml:"loss"`
	Optimizer  Optimizer   `json:"optimizer" yaml:"optimizer"`
	Schedule   Schedule    `json:"schedule" yaml:"schedule"`
	Epochs     int         `json:"epochs" yaml:"epochs"`
	Batch      int         `json:"batch" yaml:"batch"`         // rows of a step
	DropLast   bool        `json:"drop_last" yaml:"drop_last"` // leave out a last batch with fewer rows
	DType      string      `json:"dtype" yaml:"dtype"`         // float32 or float64
	Seeds      Seeds       `json:"seeds" yaml:"seeds"`         // a run for each
	Measure    Measure     `json:"measure" yaml:"measure"`
	Checkpoint Checkpoint  `json:"checkpoint" yaml:"checkpoint"`
}

// Data says what is learnt. Transformations are made in the order of the fields.
type Data struct {
	Source string `json:"source" yaml:"source"`                 // a name or a path, see dataset.Open
	Root   string `json:"root,omitempty" yaml:"root,omitempty"` // where names are looked for
	Stem   string `json:"stem,omitempty" yaml:"stem,omitempty"` // what the names of training files begin with (MNIST family)

	Classes      []int              `json:"classes,omitempty" yaml:"classes,omitempty,flow"`        // the classes kept, all if empty
	PerClass     int                `json:"per_class,omitempty" yaml:"per_class,omitempty"`         // the first so many rows of each class; 0 for all
	Majority     int                `json:"majority,omitempty" yaml:"majority,omitempty"`           // step imbalance: so many classes keep per_class rows, the others per_class/ratio
	Ratio        float64            `json:"ratio,omitempty" yaml:"ratio,omitempty"`                 // R of the step imbalance, or with majority 0 of the long tail
	Composite    *dataset.Composite `json:"composite,omitempty" yaml:"composite,omitempty"`         // images of several classes in one frame, which has their tags
	RandomLabels float64            `json:"random_labels,omitempty" yaml:"random_labels,omitempty"` // share of training rows whose labels are permuted, by the seed of the run

	Standardize  string  `json:"standardize" yaml:"standardize"`                         // by mean and deviation of the training rows: "global", "channel" or "none"
	Flip         bool    `json:"flip,omitempty" yaml:"flip,omitempty"`                   // mirror at random
	Crop         int     `json:"crop,omitempty" yaml:"crop,omitempty"`                   // move by up to so many pixels at random
	Sampler      string  `json:"sampler,omitempty" yaml:"sampler,omitempty"`             // "uniform", "oversample" or "undersample"
	ClassWeights string  `json:"class_weights,omitempty" yaml:"class_weights,omitempty"` // of the loss: "none", "inverse_frequency" or "effective_number"
	Beta         float64 `json:"beta,omitempty" yaml:"beta,omitempty"`                   // of the effective number
}

// Model says what learns: an architecture of nn.Build with its options.
type Model struct {
	Name       string      `json:"name" yaml:"name"`
	Width      int         `json:"width,omitempty" yaml:"width,omitempty"`             // 0 for the architecture's own
	Depth      int         `json:"depth,omitempty" yaml:"depth,omitempty"`             // hidden layers of an MLP
	Norm       string      `json:"norm,omitempty" yaml:"norm,omitempty"`               // batch or none; "" for the architecture's own
	FeatureDim int         `json:"feature_dim,omitempty" yaml:"feature_dim,omitempty"` // what the head sees; 0 for the architecture's own
	Head       nn.HeadSpec `json:"head" yaml:"head"`                                   // the classifier: see nn.Heads
	Init       string      `json:"init" yaml:"init"`                                   // see nn.Initialisations
	InitFrom   string      `json:"init_from,omitempty" yaml:"init_from,omitempty"`     // a file with weights (.safetensors, .pt) to begin with
}

// Optimizer says how parameters follow their gradient. Decays are lambda in lambda/2 |w|^2; that of sgd and adam is added to
// the gradient, that of adamw is not (Loshchilov and Hutter 2019), as in PyTorch.
type Optimizer struct {
	Name            string   `json:"name" yaml:"name"` // sgd, adam, adamw or lbfgs
	LR              float64  `json:"lr" yaml:"lr"`     // learning rate; of lbfgs: not used
	Momentum        float64  `json:"momentum" yaml:"momentum"`
	Nesterov        bool     `json:"nesterov,omitempty" yaml:"nesterov,omitempty"`
	Beta1           float64  `json:"beta1" yaml:"beta1"` // adam, adamw
	Beta2           float64  `json:"beta2" yaml:"beta2"`
	Epsilon         float64  `json:"epsilon" yaml:"epsilon"`
	WeightDecay     float64  `json:"weight_decay" yaml:"weight_decay"`
	ClassifierDecay *float64 `json:"classifier_decay" yaml:"classifier_decay"` // of the head's weights; null for weight_decay
	Decay           string   `json:"decay" yaml:"decay"`                       // "all" parameters, or "weights" without biases and norms
	Iterations      int      `json:"iterations" yaml:"iterations"`             // lbfgs: steps on a batch
	History         int      `json:"history" yaml:"history"`                   // lbfgs: pairs that are kept
}

// Measure says when and what is measured on the way.
type Measure struct {
	Every         int      `json:"every" yaml:"every"`                               // epochs; 0 for log-spaced ones, see Epochs
	EvaluateEvery int      `json:"evaluate_every" yaml:"evaluate_every"`             // epochs between looks at the training error, until it is 0
	Layers        []string `json:"layers" yaml:"layers,flow"`                        // globs over the names of taps
	Metrics       []string `json:"metrics" yaml:"metrics,flow"`                      // as in collapse.Options
	Alpha         float64  `json:"alpha" yaml:"alpha"`                               // levels at or below this count as collapsed
	Confidence    float64  `json:"confidence" yaml:"confidence"`                     // of the intervals of the levels
	NoVerdict     bool     `json:"no_verdict,omitempty" yaml:"no_verdict,omitempty"` // leave out levels and verdict
	Predict       bool     `json:"predict,omitempty" yaml:"predict,omitempty"`       // rows with several tags: also predict their tag sets
	Memory        int64    `json:"memory" yaml:"memory"`                             // bytes that kept features may take
}

// Checkpoint says what is kept besides the last state.
type Checkpoint struct {
	Every   int     `json:"every" yaml:"every"`     // epochs between weights that are kept; 0 for none
	Seconds float64 `json:"seconds" yaml:"seconds"` // between writes of the last state, at least; numbers do not depend on it
}

// Default is the configuration of a file that says nothing.
func Default() Config {
	return Config{
		Data:       Data{Standardize: "global", Sampler: "uniform", ClassWeights: "none", Beta: 0.999},
		Model:      Model{Name: "mlp", Head: nn.HeadSpec{Name: "linear"}, Init: "pytorch"},
		Loss:       nn.LossSpec{Name: "ce"},
		Optimizer:  Optimizer{Name: "sgd", LR: 0.05, Momentum: 0.9, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 5e-4, Decay: "all", Iterations: 20, History: 10},
		Schedule:   Schedule{Name: "multistep", Factor: 0.1},
		Epochs:     150,
		Batch:      128,
		DType:      "float32",
		Seeds:      Seeds{0},
		Measure:    Measure{EvaluateEvery: 1, Layers: []string{"*"}, Metrics: []string{"default"}, Alpha: 0.10, Confidence: 0.95, Memory: 1 << 30},
		Checkpoint: Checkpoint{Seconds: 20},
	}
}

// Recipes are the published recipes that Config.Recipe names: "papyan" is that of Papyan, Han and Donoho (2020) for data sets other
// than ImageNet: 350 epochs of SGD with momentum 0.9, batches of 128, weight decay 5e-4, the rate divided by 10 after 1/3 and 2/3
// of the epochs. Their rates are the best of 25; 0.0679 is that of their public notebook.
func Recipes() []string { return []string{"papyan"} }

// WithRecipe is Default with the defaults of a recipe.
func WithRecipe(name string) (Config, error) {
	c := Default()
	switch c.Recipe = name; name {
	case "":
	case "papyan":
		c.Epochs = 350
		c.Optimizer.LR = 0.0679
	default:
		return c, configError("recipe", "%q, expected %s%s", name, strings.Join(Recipes(), " or "), suggest.Hint(name, Recipes()))
	}
	return c, nil
}

// ReadConfig reads a configuration from a file in YAML or JSON, over the defaults of the recipe that it names. A key that does not
// exist is an error. The result is not checked yet, so that flags can be set on it: Check does that.
func ReadConfig(data []byte) (Config, error) {
	var head struct {
		Recipe string `yaml:"recipe"`
	}
	if err := yaml.Unmarshal(data, &head); err != nil {
		return Config{}, readable(err)
	}
	c, err := WithRecipe(head.Recipe)
	if err != nil {
		return c, err
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, readable(err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("config: more than one document")
	}
	return c, nil
}

// YAML is the configuration as a file that ReadConfig takes.
func (c Config) YAML() ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(c); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

var unknownKey = regexp.MustCompile(`^line (\d+): field (.+) not found in type`)

// readable says what is wrong with a file in its own words.
func readable(err error) error {
	var list *yaml.TypeError
	if !errors.As(err, &list) {
		return fmt.Errorf("config: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var lines []string
	for _, line := range list.Errors {
		if m := unknownKey.FindStringSubmatch(line); m != nil {
			line = fmt.Sprintf("line %s: no key is called %s%s", m[1], m[2], keyHint(m[2]))
		}
		line = strings.NewReplacer("cannot unmarshal ", "", "!!str ", "", "!!int ", "", "!!seq", "a list", "!!map", "a group of keys", " into ", ", expected ").Replace(line)
		lines = append(lines, line)
	}
	return fmt.Errorf("config: %s", strings.Join(lines, "; "))
}

// keyHint names the keys that may have been meant, with their groups: all of the same name, else the one most like it.
func keyHint(name string) string {
	paths := keys(reflect.TypeFor[Config](), "")
	var names, meant []string
	for _, p := range paths {
		names = append(names, p[strings.LastIndexByte(p, '.')+1:])
	}
	near := suggest.Nearest(name, names)
	for i, p := range paths {
		if near != "" && names[i] == near {
			meant = append(meant, p)
		}
	}
	if len(meant) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(meant, " or ") + "?"
}

// keys are the names of all keys of a struct, behind those of the groups that they are in.
func keys(t reflect.Type, group string) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		names = append(names, group+name)
		at := f.Type
		if at.Kind() == reflect.Pointer {
			at = at.Elem()
		}
		if at.Kind() == reflect.Struct {
			names = append(names, keys(at, group+name+".")...)
		}
	}
	return names
}

// ConfigError is a complaint about one key.
type ConfigError struct{ Key, Message string }

func (e *ConfigError) Error() string { return "config: " + e.Key + ": " + e.Message }

func configError(key, format string, args ...any) error {
	return &ConfigError{key, fmt.Sprintf(format, args...)}
}

// Check returns what is wrong with a configuration, as a *ConfigError that names the key, what was found and what was expected. What
// depends on the data (sizes that fit an architecture, losses that take tags) is found when a run begins.
func (c *Config) Check() error {
	if c.Data.Source == "" {
		return configError("data.source", "missing: the name or path of a data set")
	}
	for _, f := range []struct {
		key    string
		value  string
		values []string
	}{
		{"data.standardize", c.Data.Standardize, []string{"global", "channel", "none"}},
		{"data.sampler", c.Data.Sampler, samplers},
		{"data.class_weights", c.Data.ClassWeights, []string{"none", "inverse_frequency", "effective_number"}},
		{"model.name", c.Model.Name, nn.Architectures()},
		{"model.head.name", c.Model.Head.Name, headNames()},
		{"model.init", c.Model.Init, nn.Initialisations()},
		{"optimizer.name", c.Optimizer.Name, Optimizers()},
		{"optimizer.decay", c.Optimizer.Decay, []string{"all", "weights"}},
		{"schedule.name", c.Schedule.Name, Schedules()},
		{"dtype", c.DType, []string{"float32", "float64"}},
	} {
		if !slices.Contains(f.values, f.value) {
			return configError(f.key, "%q, expected one of %s%s", f.value, strings.Join(f.values, ", "), suggest.Hint(f.value, f.values))
		}
	}
	for _, f := range []struct {
		key   string
		value float64
		least float64
		most  float64
	}{
		{"epochs", float64(c.Epochs), 1, 1e7},
		{"batch", float64(c.Batch), 1, 1 << 24},
		{"data.per_class", float64(c.Data.PerClass), 0, 1 << 30},
		{"data.majority", float64(c.Data.Majority), 0, 1 << 30},
		{"data.ratio", c.Data.Ratio, 0, math.MaxFloat64},
		{"data.random_labels", c.Data.RandomLabels, 0, 1},
		{"data.crop", float64(c.Data.Crop), 0, 1 << 16},
		{"data.beta", c.Data.Beta, 0, 1 - 1e-15},
		{"model.width", float64(c.Model.Width), 0, 1 << 20},
		{"model.depth", float64(c.Model.Depth), 0, 1 << 16},
		{"model.feature_dim", float64(c.Model.FeatureDim), 0, 1 << 20},
		{"optimizer.lr", c.Optimizer.LR, math.SmallestNonzeroFloat64, 1e6},
		{"optimizer.momentum", c.Optimizer.Momentum, 0, 1},
		{"optimizer.beta1", c.Optimizer.Beta1, 0, 1 - 1e-15},
		{"optimizer.beta2", c.Optimizer.Beta2, 0, 1 - 1e-15},
		{"optimizer.epsilon", c.Optimizer.Epsilon, 0, 1},
		{"optimizer.weight_decay", c.Optimizer.WeightDecay, 0, 1e6},
		{"optimizer.classifier_decay", c.Optimizer.classifierDecay(), 0, 1e6},
		{"optimizer.iterations", float64(c.Optimizer.Iterations), 1, 1e9},
		{"optimizer.history", float64(c.Optimizer.History), 1, 1000},
		{"measure.every", float64(c.Measure.Every), 0, 1e9},
		{"measure.evaluate_every", float64(c.Measure.EvaluateEvery), 1, 1e9},
		{"measure.alpha", c.Measure.Alpha, math.SmallestNonzeroFloat64, 1 - 1e-15},
		{"measure.confidence", c.Measure.Confidence, math.SmallestNonzeroFloat64, 1 - 1e-15},
		{"measure.memory", float64(c.Measure.Memory), 1, 1 << 62},
		{"checkpoint.every", float64(c.Checkpoint.Every), 0, 1e9},
		{"checkpoint.seconds", c.Checkpoint.Seconds, 0, 1e9},
	} {
		switch {
		case f.value >= f.least && f.value <= f.most:
		case f.least == math.SmallestNonzeroFloat64:
			return configError(f.key, "%v, expected a number above 0, at most %.4g", f.value, f.most)
		case f.most == math.MaxFloat64:
			return configError(f.key, "%v, expected a number from %.4g on", f.value, f.least)
		default:
			return configError(f.key, "%v, expected %.4g to %.4g", f.value, f.least, f.most)
		}
	}
	if d := c.Data; d.Majority > 0 && (d.PerClass == 0 || d.Ratio < 1) {
		return configError("data.majority", "%d classes keep per_class rows, the others per_class/ratio: both are needed, and a ratio of at least 1", d.Majority)
	} else if d.Ratio != 0 && (d.Ratio < 1 || d.PerClass == 0) {
		return configError("data.ratio", "%v, expected a number from 1 on, with per_class, the rows of the largest class", d.Ratio)
	}
	if _, err := nn.NewLoss[float32](c.lossSpec([]int{1, 1})); err != nil {
		return configError("loss", "%s", strings.TrimPrefix(err.Error(), "loss "))
	}
	if err := c.Schedule.check(c.Epochs); err != nil {
		return err
	}
	for _, glob := range c.Measure.Layers {
		if _, err := path.Match(glob, ""); err != nil {
			return configError("measure.layers", "%q is not a glob", glob)
		}
	}
	for _, glob := range c.Measure.Metrics {
		if _, unmatched := collapse.Match([]string{glob}); unmatched != "" {
			return configError("measure.metrics", "no metric matches %q", glob)
		}
	}
	if c.Optimizer.Nesterov && c.Optimizer.Momentum == 0 {
		return configError("optimizer.nesterov", "needs a momentum above 0")
	}
	if len(c.Seeds) == 0 {
		return configError("seeds", "none, expected one or more, as in 0..4")
	}
	if c.Optimizer.Name == "lbfgs" && c.Checkpoint.Seconds < 0 {
		return configError("checkpoint.seconds", "%v", c.Checkpoint.Seconds)
	}
	return nil
}

func (o *Optimizer) classifierDecay() float64 {
	if o.ClassifierDecay != nil {
		return *o.ClassifierDecay
	}
	return o.WeightDecay
}

// lossSpec is the loss for data of the given class counts, whose shares logit adjustment needs.
func (c *Config) lossSpec(counts []int) nn.LossSpec {
	s := c.Loss
	if s.Adjustment != 0 && s.Priors == nil {
		for _, n := range counts {
			s.Priors = append(s.Priors, float64(n))
		}
	}
	return s
}

// Seeds are the seeds of the runs. In a file and as text they are a number, a list "0,3,4" or a range "0..4".
type Seeds []uint64

// ParseSeeds reads a text.
func ParseSeeds(text string) (Seeds, error) {
	var out Seeds
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "..")
		a, err := strconv.ParseUint(from, 10, 64)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseUint(to, 10, 64)
		}
		if err != nil || b < a || b-a > 10_000 {
			return nil, fmt.Errorf("seeds %q: expected whole numbers, as in 0..4 or 0,3,4", text)
		}
		for s := a; s <= b; s++ {
			if slices.Contains(out, s) {
				return nil, fmt.Errorf("seeds %q: %d comes twice", text, s)
			}
			out = append(out, s)
		}
	}
	return out, nil
}

func (s Seeds) String() string {
	var parts []string
	for i := 0; i < len(s); {
		j := i
		for j+1 < len(s) && s[j+1] == s[j]+1 {
			j++
		}
		part := strconv.FormatUint(s[i], 10)
		if j > i {
			part += ".." + strconv.FormatUint(s[j], 10)
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// UnmarshalYAML reads a number, a text or a list.
func (s *Seeds) UnmarshalYAML(n *yaml.Node) error {
	texts := []string{n.Value}
	if n.Kind == yaml.SequenceNode {
		texts = nil
		for _, e := range n.Content {
			texts = append(texts, e.Value)
		}
	}
	out, err := ParseSeeds(strings.Join(texts, ","))
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %v", n.Line, err)}}
	}
	*s = out
	return nil
}

// MarshalYAML writes a range or a list.
func (s Seeds) MarshalYAML() (any, error) { return s.String(), nil }
