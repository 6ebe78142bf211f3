package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/collapsar/collapsar/ufm"
	"github.com/spf13/cobra"
)

// solveFlags are the parameters of a problem that are no flag of solveFlagList by themselves.
type solveFlags struct {
	depth   int
	tagsets string
	other   []string
}

// solveFlag ties a flag to a parameter.
type solveFlag struct {
	flag, param string
	read        func(string) (any, error)
	help        string
}

var solveFlagList = []solveFlag{
	{"classes", "K", readWhole, "`number` of classes"},
	{"per-class", "n", readWhole, "`number` of samples of each class"},
	{"counts", "counts", readCounts, "samples of each class, a `list` as in 500,500,50 or 2x500,50"},
	{"dim", "d", readWhole, "`dimension` of the features"},
	{"lambda-w", "lambda_W", readReal, "decay of the classifier, a `number` (costs half of it times the sum of squares)"},
	{"lambda-h", "lambda_H", readReal, "decay of the features, a `number`"},
	{"lambda-b", "lambda_b", readReal, "decay of the bias, a `number`"},
	{"bias", "bias", readWord, "`rule` of the bias: none, free or decayed"},
	{"loss", "loss", readWord, "`name` of the loss: ce, mse, focal ..."},
	{"alpha", "alpha", readReal, "label smoothing, a `number`"},
	{"gamma", "gamma", readReal, "exponent of the focal loss, a `number`"},
	{"energy-w", "E_W", readReal, "mean squared `norm` of the rows of the classifier"},
	{"energy-h", "E_H", readReal, "mean squared `norm` of the features"},
	{"radius", "radius", readReal, "largest `norm` of a feature"},
	{"constraint", "constraint", readWord, "`kind` of bound: energy, ball or sphere"},
	{"logit-scale", "logit_scale", readReal, "`number` by which products become logits (1/temperature)"},
	{"tau", "tau", readReal, "`temperature` of the supervised contrastive loss"},
	{"self-included", "self_included", readYes, "supervised contrastive loss: a sample is its own positive"},
	{"lambdas", "lambdas", readReals, "decays of a product of factors, a `list`: outermost first, features last"},
	{"widths", "widths", readWholes, "inner dimensions of the product, a `list` in the same order"},
	{"majority", "K_A", readWhole, "`number` of large classes"},
	{"minority", "K_B", readWhole, "`number` of small classes"},
	{"ratio", "ratios", readRatios, "large count to small: a `list`, or lo..hi:points in log steps"},
	{"between", "between", readReals, "two `ratios`, between which the threshold is looked for"},
	{"samples", "samples_per_set", readSets, "`list` of how many samples each set of so many labels has, as in 1:150,2:30"},
	{"classifier", "classifier", readWord, "fixed classifier, a `name`: simplex, orthoplex, cube or identity"},
	{"beta", "beta", readReal, "decay behind batch normalisation, a `number`"},
	{"neurons", "neurons", readWhole, "`number` of neurons"},
}

func (s *solveFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	for _, flag := range solveFlagList {
		if flag.param == "self_included" {
			f.Bool(flag.flag, false, flag.help)
			continue
		}
		f.String(flag.flag, "", flag.help)
	}
	f.Bool("nonnegative", false, "features are at least 0")
	f.StringVar(&s.tagsets, "tagset-counts", "", "`file` of tag sets and their counts, CSV or JSON, or one whose labels are counted")
	f.IntVar(&s.depth, "depth", 0, "`number` of factors, classifier and features included: widths of --dim, decays of --lambda-w and --lambda-h")
	f.StringArrayVar(&s.other, "param", nil, "any other parameter, as `NAME=JSON`")
	complete(cmd, "bias", "none", "free", "decayed")
	complete(cmd, "constraint", "energy", "ball", "sphere")
	complete(cmd, "classifier", "simplex", "orthoplex", "cube", "identity")
}

// wanted is the parameters of a problem, with what stands for them where they are left out.
func wanted(q ufm.Question) (names []string, defaults map[string]string) {
	defaults = map[string]string{}
	for _, word := range strings.Fields(q.Params) {
		name, value, ok := strings.Cut(strings.Trim(word, "[]"), "=")
		names = append(names, name)
		if ok {
			defaults[name] = value
		}
	}
	return names, defaults
}

// spec is the problem that the command line asks for; its name is empty where it asks for none.
func (s *solveFlags) spec(cmd *cobra.Command, args []string, file string) (spec ufm.Spec, err error) {
	var set []string
	for _, flag := range append(slices.Clone(solveFlagList), solveFlag{flag: "nonnegative"}, solveFlag{flag: "depth"}, solveFlag{flag: "tagset-counts"}, solveFlag{flag: "param"}) {
		if cmd.Flags().Changed(flag.flag) {
			set = append(set, flag.flag)
		}
	}
	if file != "" {
		if len(args) > 0 {
			return spec, usagef("solve: --spec names the problem, so %s is one too many", args[0])
		}
		if len(set) > 0 {
			return spec, usagef("solve: --spec has all parameters, so --%s is one too many", set[0])
		}
		f, err := os.Open(file)
		if err != nil {
			return spec, err
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, ufm.MaxSpec+1))
		if err != nil {
			return spec, err
		}
		if spec, err = ufm.ReadSpec(data); err != nil {
			return spec, fmt.Errorf("%s: %w", file, err)
		}
		if spec.Problem == "" {
			return spec, fmt.Errorf("%s: problem: missing", file)
		}
		return spec, nil
	}
	if len(args) == 0 {
		if len(set) > 0 {
			return spec, usagef("solve: wants a problem; collapsar solve lists them")
		}
		return spec, nil
	}
	q, err := question(args[0])
	if err != nil {
		return spec, err
	}
	spec = ufm.Spec{Problem: q.Name, Params: map[string]any{}}
	names, defaults := wanted(q)
	takes := func(name string) bool { return slices.Contains(names, name) }
	for _, flag := range solveFlagList {
		if !slices.Contains(set, flag.flag) {
			continue
		}
		given := cmd.Flags().Lookup(flag.flag).Value.String()
		v, err := flag.read(given)
		if err != nil {
			return spec, usagef("--%s %s: %v", flag.flag, given, err)
		}
		spec.Params[flag.param] = v
	}
	for _, p := range s.other {
		name, value, ok := strings.Cut(p, "=")
		var v any
		d := json.NewDecoder(strings.NewReader(value))
		d.UseNumber()
		if !ok || d.Decode(&v) != nil {
			return spec, usagef("--param %s: must be NAME=JSON, as in t=2.5 or omega0=[1,2]", p)
		}
		spec.Params[name] = v
	}
	if slices.Contains(set, "nonnegative") {
		switch {
		case takes("nonnegative"):
			spec.Params["nonnegative"] = true
		case defaults["constraint"] == "nonneg":
		default:
			return spec, usagef("--nonnegative: not with %s; %s", q.Name, "mse_nonneg_features, ce_nonneg_features and model take it")
		}
	}
	if s.tagsets != "" {
		if !takes("tag_sets") {
			return spec, usagef("--tagset-counts: not with %s; pal and pal_mean take it", q.Name)
		}
		if err := tagSetCounts(s.tagsets, spec.Params); err != nil {
			return spec, err
		}
	}
	if err := s.fill(q, spec.Params, takes); err != nil {
		return spec, err
	}
	for name, value := range defaults {
		if _, ok := spec.Params[name]; !ok {
			spec.Params[name] = value
		}
	}
	if _, ok := spec.Params["bias"]; !ok && takes("bias") {
		spec.Params["bias"] = "none"
		if _, decayed := spec.Params["lambda_b"]; decayed {
			spec.Params["bias"] = "decayed"
		}
	}
	if takes("batches") && spec.Params["batches"] == nil {
		spec.Params["batches"] = map[string]any{"kind": "full"}
	}
	if takes("self_included") && spec.Params["self_included"] == nil {
		spec.Params["self_included"] = false
	}
	for _, flag := range solveFlagList {
		if _, there := spec.Params[flag.param]; there && !takes(flag.param) {
			return spec, usagef("--%s: %s has no such parameter; it takes %s", flag.flag, q.Name, takenFlags(names))
		}
	}
	for name := range spec.Params {
		if !takes(name) {
			return spec, usagef("--param %s: %s has no such parameter%s", name, q.Name, suggest.Hint(name, names))
		}
	}
	return spec, nil
}

// fill translates what can be said in two ways: classes and samples into counts and back, classes into large and small
// halves, a depth into widths and decays.
func (s *solveFlags) fill(q ufm.Question, params map[string]any, takes func(string) bool) error {
	k, haveK := params["K"].(int)
	n, haveN := params["n"].(int)
	counts, haveCounts := params["counts"].([]any)
	if haveCounts && (haveK || haveN) {
		return usagef("--counts: has classes and samples already, so --classes and --per-class are too many")
	}
	switch {
	case takes("K"):
		if haveCounts && !takes("counts") && takes("n") {
			for _, c := range counts {
				if c != counts[0] {
					return usagef("--counts: %s wants equal counts; ce_decay_imbalanced, mse_decay_imbalanced, layer_peeled_imbalanced and model take others", q.Name)
				}
			}
			params["K"], params["n"] = len(counts), counts[0]
			delete(params, "counts")
		}
	case takes("counts") && haveK && haveN:
		if k < 1 || k > 1_000_000 {
			return usagef("--classes %d: must be from 1 to 1000000", k)
		}
		params["counts"] = slices.Repeat([]any{n}, k)
		delete(params, "K")
		delete(params, "n")
	case takes("K_A") && haveK:
		if params["K_A"] == nil && params["K_B"] == nil {
			params["K_A"], params["K_B"] = k-k/2, k/2
		}
		delete(params, "K")
	}
	if s.depth == 0 {
		return nil
	}
	d, ok := params["d"].(int)
	if s.depth < 2 || s.depth > 100 || !ok || params["lambda_W"] == nil || params["lambda_H"] == nil {
		return usagef("--depth %d: must be from 2 to 100 factors, with --dim, --lambda-w and --lambda-h", s.depth)
	}
	switch {
	case takes("widths"):
		params["widths"] = slices.Repeat([]any{d}, s.depth-1)
		params["lambdas"] = append(slices.Repeat([]any{params["lambda_W"]}, s.depth-1), params["lambda_H"])
		delete(params, "d")
		delete(params, "lambda_W")
		delete(params, "lambda_H")
	case takes("layers"):
		layer := map[string]any{"width": d, "lambda": params["lambda_W"]}
		params["layers"] = slices.Repeat([]any{layer}, s.depth-2)
		if s.depth == 2 {
			delete(params, "layers")
		}
	default:
		return usagef("--depth: %s has two factors; deep_linear_mse, deep_linear_ce and model take more", q.Name)
	}
	return nil
}

// takenFlags lists flags for parameters.
func takenFlags(names []string) string {
	var out []string
	for _, name := range names {
		for _, f := range solveFlagList {
			if f.param == name {
				out = append(out, "--"+f.flag)
			}
		}
	}
	return strings.Join(out, ", ")
}

// asFlags names a missing parameter by its flag.
func asFlags(message string) string {
	for _, f := range solveFlagList {
		if m, ok := strings.CutSuffix(message, ": "+f.param+": missing"); ok {
			return fmt.Sprintf("%s: wants --%s", m, f.flag)
		}
		message = strings.Replace(message, ": "+f.param+": ", ": --"+f.flag+": ", 1)
	}
	if m, ok := strings.CutSuffix(message, ": missing"); ok {
		return m + ": missing; give it by --param NAME=JSON, or all by --spec FILE"
	}
	return message
}

func readWord(s string) (any, error) { return s, nil }

func readYes(s string) (any, error) { return strconv.ParseBool(s) }

func readWhole(s string) (any, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return nil, fmt.Errorf("must be a whole number")
	}
	return n, nil
}

func readReal(s string) (any, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return nil, fmt.Errorf("must be a finite number")
	}
	return x, nil
}

// readEach reads a list with commas.
func readEach(s string, read func(string) (any, error)) (any, error) {
	var out []any
	for part := range strings.SplitSeq(s, ",") {
		v, err := read(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func readReals(s string) (any, error)  { return readEach(s, readReal) }
func readWholes(s string) (any, error) { return readEach(s, readWhole) }

// readCounts reads 500,500,50 or 2x500,50.
func readCounts(s string) (any, error) {
	var out []any
	for part := range strings.SplitSeq(s, ",") {
		times := 1
		if a, b, ok := strings.Cut(part, "x"); ok {
			v, err := strconv.Atoi(strings.TrimSpace(a))
			if err != nil || v < 1 || v > 1_000_000 {
				return nil, fmt.Errorf("must be counts, as in 500,500,50 or 2x500,50")
			}
			times, part = v, b
		}
		n, err := readWhole(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("must be counts, as in 500,500,50 or 2x500,50")
		}
		out = append(out, slices.Repeat([]any{n}, times)...)
	}
	return out, nil
}

// readRatios reads a number, a list, or lo..hi:points in log steps.
func readRatios(s string) (any, error) {
	low, rest, ok := strings.Cut(s, "..")
	if !ok {
		return readReals(s)
	}
	high, points, ok := strings.Cut(rest, ":")
	n := 0
	a, errA := strconv.ParseFloat(low, 64)
	b, errB := strconv.ParseFloat(high, 64)
	if ok {
		n, _ = strconv.Atoi(points)
	}
	if errA != nil || errB != nil || !(a > 0) || !(b > a) || math.IsInf(b, 0) || n < 2 || n > 100_000 {
		return nil, fmt.Errorf("must be lo..hi:points with 0 < lo < hi and at least 2 points, as in 1..1000:13")
	}
	out := make([]any, n)
	for i := range out {
		out[i] = a * math.Pow(b/a, float64(i)/float64(n-1))
	}
	out[n-1] = b
	return out, nil
}

// readSets reads 1:3,2:1.
func readSets(s string) (any, error) {
	out := map[string]any{}
	for part := range strings.SplitSeq(s, ",") {
		m, times, ok := strings.Cut(strings.TrimSpace(part), ":")
		n, err := strconv.Atoi(times)
		if !ok || err != nil || out[m] != nil {
			return nil, fmt.Errorf("must be LABELS:SAMPLES, as in 1:3,2:1")
		}
		out[m] = n
	}
	return out, nil
}
