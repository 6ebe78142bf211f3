package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strconv"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
)

const schema = "collapsar/1"

// document writes JSON of the schema: its head and then fields, of which lists have an element a line.
type document struct {
	*page
	err error
}

func newDocument(p *page, command string) *document {
	d := &document{page: p}
	d.printf(`{"schema":%s,"command":%s,"version":%s`, d.encode(schema), d.encode(command), d.encode(versionText()))
	return d
}

func (d *document) encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil && d.err == nil {
		d.err = err
	}
	return bytes.TrimSpace(b.Bytes())
}

func (d *document) field(name string, v any) { d.printf(",\n %s:%s", d.encode(name), d.encode(v)) }

// short is a field on the same line.
func (d *document) short(name string, v any) { d.printf(",%s:%s", d.encode(name), d.encode(v)) }

func list[T any](d *document, name string, elements []T) {
	d.printf(",\n %s:[", d.encode(name))
	for i, e := range elements {
		if i > 0 {
			d.WriteByte(',')
		}
		d.printf("\n  %s", d.encode(e))
	}
	d.WriteByte(']')
}

func (d *document) end() error {
	d.WriteString("}\n")
	return d.err
}

// effective are the options that numbers depend on, as they were in force.
type effective struct {
	GlobalMean    string   `json:"global_mean"`
	Precision     string   `json:"precision"`
	Metrics       []string `json:"metrics"`
	Compat        []string `json:"compat,omitempty"`
	PerClass      bool     `json:"per_class"`
	SkipNonfinite bool     `json:"skip_nonfinite"`
	RankTol       float64  `json:"rank_tol"`
	MSELambda     float64  `json:"mse_lambda"`
	DepthEps      float64  `json:"depth_eps"`
	Alpha         float64  `json:"alpha"`
	Confidence    float64  `json:"confidence"`
	NoVerdict     bool     `json:"no_verdict"`
	Predict       bool     `json:"predict,omitempty"`
	Seed          uint64   `json:"seed"`
	Minority      []int64  `json:"minority,omitempty"`
	Features      string   `json:"features,omitempty"`
	Labels        string   `json:"labels,omitempty"`
	Weights       string   `json:"weights,omitempty"`
	Bias          string   `json:"bias,omitempty"`
	Layer         string   `json:"layer,omitempty"`
	LabelsFile    string   `json:"labels_file,omitempty"`
	WeightsFile   string   `json:"weights_file,omitempty"`
	TestFile      string   `json:"test_file,omitempty"`
	BFloat16      bool     `json:"bfloat16,omitempty"`
	MultiLabel    string   `json:"multi_label"`
	LabelColumns  string   `json:"label_columns,omitempty"`
}

func optionsOf(o features.Options, m measureFlags) effective {
	metrics := m.Metrics
	if metrics == nil {
		metrics = []string{"default"}
	}
	return effective{
		m.GlobalMean, m.Precision, metrics, m.Compat, m.PerClass, m.SkipNonfinite, m.RankTol, m.MSELambda, m.DepthEps, m.Alpha, m.Confidence, m.NoVerdict, m.Predict, m.Seed, m.Minority,
		o.Features, o.Labels, o.Weights, o.Bias, o.Layer, o.LabelsFile, o.WeightsFile, o.TestFile, o.BFloat16, o.MultiLabel, o.LabelColumns,
	}
}

// fileJSON is an element of "files".
type fileJSON struct {
	Source   string                   `json:"source"`
	Sentence string                   `json:"sentence,omitempty"`
	Notes    []noteJSON               `json:"notes,omitempty"`
	Depth    *collapse.EffectiveDepth `json:"effective_depth,omitempty"`
	From     map[string]*string       `json:"holds_from_layer,omitempty"` // null where the last layer does not have it
}

type noteJSON struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func notesJSON(notes []features.Note) (out []noteJSON) {
	for _, n := range notes {
		out = append(out, noteJSON(n))
	}
	return out
}

type trajectoryJSON struct {
	Steps          []*int          `json:"steps"` // null where a name has no number
	ZeroErrorSince *int            `json:"zero_error_since"`
	HoldsSince     map[string]*int `json:"holds_since,omitempty"` // in the last layer
}

func trajectoryOf(reports []*collapse.Report) trajectoryJSON {
	t := trajectoryJSON{Steps: []*int{}}
	for _, r := range reports {
		t.Steps = append(t.Steps, stepOf(r))
	}
	if i := zeroErrorSince(reports); i >= 0 {
		t.ZeroErrorSince = t.Steps[i]
	}
	if judged(reports) {
		t.HoldsSince = sinceJSON(reports)
	}
	return t
}

func stepOf(r *collapse.Report) *int {
	if len(r.Results) == 0 {
		return nil
	}
	return r.Results[0].Step
}

// zeroErrorSince is the first report from which on no training row is misclassified: by the classifier, or by
// the nearest class mean where there is none; of rows with several tags, no largest logits are others than their tags. It is -1 if the last report has errors.
func zeroErrorSince(reports []*collapse.Report) int {
	since := -1
	for i, report := range reports {
		fine := false
		for _, r := range report.Results { // the last layer's decides
			if r.Split != "train" {
				continue
			}
			v := value(r, "classifier_error")
			switch {
			case r.Tags != nil:
				v = value(r, "ml_set_error")
			case !v.Defined():
				v = value(r, "ncc_error")
			}
			fine = v.Defined() && v.Number == 0
		}
		switch {
		case !fine:
			since = -1
		case since < 0:
			since = i
		}
	}
	return since
}

// writeJSON prints what was measured, a result a line.
func writeJSON(p *page, o effective, trajectory bool, reports []*collapse.Report, runs []collapse.Replicated) error {
	d := newDocument(p, "measure")
	d.field("options", o)
	results, files := measured(reports)
	list(d, "results", results)
	list(d, "files", files)
	if trajectory {
		d.field("trajectory", trajectoryOf(reports))
	}
	if runs != nil {
		list(d, "replicates", runs)
	}
	return d.end()
}

func measured(reports []*collapse.Report) (results []*collapse.Result, files []fileJSON) {
	for _, r := range reports {
		results = append(results, r.Results...)
		f := fileJSON{Source: r.Source, Sentence: r.Sentence(), Notes: notesJSON(r.Notes), Depth: depth(r)}
		if f.Sentence != "" && len(r.Results) > 1 {
			f.From = r.HoldsFromLayer()
		}
		files = append(files, f)
	}
	return results, files
}

// writeCSV prints a row a result. The columns are those of every measurement; an undefined number is an empty cell.
func writeCSV(p *page, metrics []collapse.Metric, reports []*collapse.Report) {
	w := csv.NewWriter(p)
	head := []string{"source", "layer", "step", "split", "samples", "dimension", "classes"}
	for _, m := range metrics {
		head = append(head, m.ID)
	}
	withVerdict := judged(reports)
	if withVerdict {
		head = append(head, "verdict")
		for _, name := range collapse.Properties(everyResult(reports)...) {
			head = append(head, levelPrefix+name, levelPrefix+name+".low", levelPrefix+name+".high")
		}
	}
	w.Write(head)
	for _, report := range reports {
		for _, r := range report.Results {
			step := ""
			if r.Step != nil {
				step = strconv.Itoa(*r.Step)
			}
			line := []string{r.Source, r.Layer, step, r.Split, strconv.Itoa(r.Samples), strconv.Itoa(r.Dimension), strconv.Itoa(r.Classes)}
			for _, m := range metrics {
				cell := ""
				if v := value(r, m.ID); v.Defined() {
					cell = strconv.FormatFloat(v.Number, 'g', -1, 64)
				}
				line = append(line, cell)
			}
			if withVerdict {
				line = append(line, r.Verdict.Whole)
				for _, id := range head[len(line):] {
					cell := ""
					if v := value(r, id); v.Defined() {
						cell = strconv.FormatFloat(v.Number, 'g', -1, 64)
					}
					line = append(line, cell)
				}
			}
			w.Write(line)
		}
	}
	w.Flush() // into memory: it cannot fail
}
