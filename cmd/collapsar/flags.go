package main

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/spf13/cobra"
)

// readFlags adds the flags that say what is what in a file.
func readFlags(cmd *cobra.Command, o *features.Options) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Features, "features", "", "`name` of the array of features, or of its folder of layers")
	f.StringVar(&o.Labels, "labels", "", "`name` of the array of labels")
	f.StringVar(&o.Weights, "weights", "", "`name` of the array of classifier weights")
	f.StringVar(&o.Bias, "bias", "", "`name` of the array of classifier biases")
	f.StringVar(&o.Layer, "layer", "", "only the layers that match this `glob`")
	f.StringVar(&o.LabelsFile, "labels-file", "", "`file` that holds the labels")
	f.StringVar(&o.WeightsFile, "weights-file", "", "`file` that holds the classifier")
	f.StringVar(&o.TestFile, "test-file", "", "`file` that holds the test rows")
	f.BoolVar(&o.BFloat16, "bfloat16", false, "16-bit unsigned integers hold bfloat16 numbers")
	o.MultiLabel = "auto"
	f.Var(oneOf{&o.MultiLabel, []string{"auto", "yes", "no"}}, "multi-label", "whether a matrix of labels has several tags a row")
	f.StringVar(&o.LabelColumns, "label-columns", "", "tables: which `columns` are labels, first:L or last:L")
	f.StringVar(&o.TagSeparator, "tag-separator", "", "CSV: `text` between the tags of a cell; default ; or |, or a JSON list")
	o.Memory = features.DefaultMemory
	f.Var((*size)(&o.Memory), "memory", "working storage at most, as in 512MiB or 2GB")
	cmd.MarkFlagFilename("labels-file")
	cmd.MarkFlagFilename("weights-file")
	cmd.MarkFlagFilename("test-file")
	complete(cmd, "multi-label", "auto", "yes", "no")
}

// measureFlags are those of a measurement.
type measureFlags struct {
	collapse.Options
	metrics  []string
	compat   []string
	failFast bool
}

func (m *measureFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&m.metrics, "metrics", nil, "metrics to measure: ids or `globs`, all or default (all but those of cost F)")
	m.GlobalMean, m.Precision, m.RankTol, m.MSELambda, m.DepthEps = "class", "auto", 1e-12, 2e-3, 0.01
	f.Var(oneOf{&m.GlobalMean, []string{"class", "sample"}}, "global-mean", "centre of the class means: the mean of the classes, or of all rows")
	f.Var(oneOf{&m.Precision, []string{"auto", "float64", "float32"}}, "precision", "of the products of the second pass")
	f.BoolVar(&m.PerClass, "per-class", false, "also a row for every class")
	f.StringSliceVar(&m.compat, "compat", nil, "also the numbers of published `scripts`: "+strings.Join(collapse.Scripts(), ", "))
	f.BoolVar(&m.SkipNonfinite, "skip-nonfinite", false, "leave out rows with NaN or infinity")
	f.Float64Var(&m.RankTol, "rank-tol", m.RankTol, "eigenvalues of the between-class scatter count above this share of the largest")
	f.Float64Var(&m.MSELambda, "mse-lambda", m.MSELambda, "weight decay of the mse_* metrics")
	f.Float64Var(&m.DepthEps, "depth-eps", m.DepthEps, "nearest-centre error at which a layer separates the classes (effective depth)")
	m.Alpha, m.Confidence = 0.10, 0.95
	f.Float64Var(&m.Alpha, "alpha", m.Alpha, "levels at or below this count as collapsed, a tenth of it for the centre")
	f.Float64Var(&m.Confidence, "confidence", m.Confidence, "of the intervals of the levels")
	f.BoolVar(&m.Predict, "predict", false, "of rows with several tags: also predict their tag sets, and score that")
	f.IntVar(&m.MinCount, "min-count", 0, "of rows with several tags: leave out tag sets with fewer rows, a `number`")
	f.BoolVar(&m.NoVerdict, "no-verdict", false, "leave out the levels and the verdict")
	f.Uint64Var(&m.Seed, "seed", 0, "of what is drawn by lot for the levels")
	f.Int64SliceVar(&m.Minority, "minority", nil, "the minority `classes`, as in 5,6; default: found from the counts")
	f.Lookup("minority").DefValue = ""
	f.IntVar(&m.Workers, "workers", 0, "processors to use; 0 for all")
	f.BoolVar(&m.failFast, "fail-fast", false, "stop at the first file that fails")
	var ids []string
	for _, metric := range everyMetric() {
		ids = append(ids, metric.ID)
	}
	complete(cmd, "metrics", append(ids, "all", "default")...)
	complete(cmd, "compat", collapse.Scripts()...)
	complete(cmd, "global-mean", "class", "sample")
	complete(cmd, "precision", "auto", "float64", "float32")
}

// check looks at what the flags cannot see by themselves.
func (m *measureFlags) check(o *features.Options) error {
	m.Memory = o.Memory
	m.Metrics, m.Compat = nil, nil
	for _, p := range m.metrics {
		if err := checkPattern(p); err != nil {
			return err
		}
		m.Metrics = append(m.Metrics, p)
	}
	scripts := collapse.Scripts()
	for _, name := range m.compat {
		if !slices.Contains(scripts, name) {
			return usagef("--compat %s: not a script; there are %s%s", name, strings.Join(scripts, ", "), suggest.Hint(name, scripts))
		}
		if !slices.Contains(m.Compat, name) {
			m.Compat = append(m.Compat, name)
		}
	}
	if _, err := path.Match(o.Layer, ""); err != nil {
		return usagef("--layer %s: not a glob", o.Layer)
	}
	for _, f := range []struct {
		flag  string
		value float64
	}{{"rank-tol", m.RankTol}, {"mse-lambda", m.MSELambda}, {"depth-eps", m.DepthEps}} {
		if !(f.value > 0) || math.IsInf(f.value, 0) {
			return usagef("--%s %v: must be a number above 0", f.flag, f.value)
		}
	}
	for _, f := range []struct {
		flag  string
		value float64
	}{{"alpha", m.Alpha}, {"confidence", m.Confidence}} {
		if !(f.value > 0 && f.value < 1) {
			return usagef("--%s %v: must be a number between 0 and 1", f.flag, f.value)
		}
	}
	if m.MinCount < 0 {
		return usagef("--min-count %d: must be 0 or more", m.MinCount)
	}
	if m.Workers < 0 {
		return usagef("--workers %d: must be 1 or more, or 0 for all", m.Workers)
	}
	return nil
}

// everyMetric is both registries.
func everyMetric() []collapse.Metric {
	return append(collapse.Metrics(), collapse.MultiLabelMetrics()...)
}

// want adds a metric to those measured.
func (m *measureFlags) want(id string) {
	if m.Metrics == nil {
		m.Metrics = []string{"default"}
	}
	if !slices.Contains(m.Metrics, id) {
		m.Metrics = append(m.Metrics, id)
	}
}

// checkPattern wants a pattern of metrics to name one.
func checkPattern(pattern string) error {
	if _, unmatched := collapse.Match([]string{pattern}); unmatched == "" {
		return nil
	}
	if strings.ContainsAny(pattern, `*?[\`) {
		return usagef("no metric matches %s; collapsar metrics lists them", pattern)
	}
	return unknownMetric(pattern)
}

func unknownMetric(id string) error {
	var ids []string
	for _, m := range everyMetric() {
		ids = append(ids, m.ID)
	}
	hint := suggest.Hint(id, ids)
	if hint == "" {
		hint = "; collapsar metrics lists them"
	}
	return usagef("no metric is called %s%s", id, hint)
}

func complete(cmd *cobra.Command, flag string, values ...string) {
	cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// size is a flag of so many bytes.
type size int64

var units = []struct {
	name  string
	bytes float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40}, {"b", 1}, {"", 1},
}

func (n *size) Set(s string) error {
	text := strings.ToLower(strings.TrimSpace(s))
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || !(v > 0) {
			break
		}
		if v *= u.bytes; v < 1 || v > 1<<62 {
			return errors.New("must be from 1 byte to 4 EiB")
		}
		*n = size(v)
		return nil
	}
	return errors.New("must be a number of bytes, as in 512MiB or 2GB")
}

func (n *size) Type() string   { return "size" }
func (n *size) String() string { return strings.ReplaceAll(bytesText(int64(*n)), " ", "") }

// bytesText is a number of bytes in the largest unit that keeps it above one.
func bytesText(n int64) string {
	v, i := float64(n), 0
	for ; v >= 1024 && i < 4; i++ {
		v /= 1024
	}
	unit := [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[i]
	if v == math.Trunc(v) {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}
