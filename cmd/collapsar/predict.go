package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/decode"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/atomicfile"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/spf13/cobra"
)

// predictFlags are those of a prediction.
type predictFlags struct {
	decoder, rows   string
	prototypes, out string
	top             int
	skip            bool
}

func newPredict(u *ui) *cobra.Command {
	var o features.Options
	var p predictFlags
	cmd := &cobra.Command{
		Use:   "predict FILE",
		Short: "Predict tag sets by tag-wise prototypes or logits",
		Long: `Predict decides for the tag set of every row, and writes them as CSV, or with
--json as JSON: the tags, the score of each, and the margin between the last tag
taken and the first one left.

Prototypes are fitted on the labelled training rows of the file, or read from
one that --prototypes-out wrote; then no labels are wanted. They are one vector
for each tag and one scale for each number of tags, and stand for all tag sets.
How good the predictions are, collapsar measure --predict tells.`,
		Example: `  collapsar predict run.npz > tags.csv
  collapsar predict run.npz --rows train --decoder pal_kl --json
  collapsar predict run.npz --prototypes-out animals.npz
  collapsar predict new.npy --prototypes animals.npz --top 5`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rule, ok := decode.ByName(p.decoder)
			if !ok {
				return usagef("--decoder %s: not a rule; there are %s%s", p.decoder, strings.Join(decoders(), ", "), suggest.Hint(p.decoder, decoders()))
			}
			if p.top < 0 {
				return usagef("--top %d: must be 0 or more", p.top)
			}
			if p.prototypes != "" && p.out != "" {
				return usagef("predict: --prototypes and --prototypes-out exclude each other")
			}
			return p.run(cmd.Context(), u, args[0], o, rule)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	p.decoder = "onn_euclid"
	f.StringVar(&p.decoder, "decoder", p.decoder, "`rule` that decides: "+strings.Join(decoders(), ", "))
	f.Var(oneOf{&p.rows, []string{"train", "test", "ood"}}, "rows", "which rows to predict; default: test rows, or the training rows where there are none")
	f.IntVar(&p.top, "top", 0, "also the first so many tags with their scores, whatever the tag set")
	f.StringVar(&p.prototypes, "prototypes", "", "`file` of prototypes, instead of fitting them on labelled rows")
	f.StringVar(&p.out, "prototypes-out", "", "write the prototypes to this `file` (.npz)")
	f.BoolVar(&p.skip, "skip-nonfinite", false, "leave out rows with NaN or infinity")
	readFlags(cmd, &o)
	cmd.MarkFlagFilename("prototypes")
	complete(cmd, "decoder", decoders()...)
	complete(cmd, "rows", "train", "test", "ood")
	return cmd
}

// decoders are the names of the rules that need nothing but the scores of a row.
func decoders() (names []string) {
	for _, r := range decode.Rules() {
		names = append(names, r.Name)
	}
	return names
}

func (p *predictFlags) run(ctx context.Context, u *ui, path string, o features.Options, rule decode.Rule) error {
	o.Unlabelled = p.prototypes != ""
	set, err := features.Open(path, o)
	if err != nil {
		return err
	}
	defer set.Close()
	layer := &set.Layers[len(set.Layers)-1]
	for i := range set.Layers {
		if set.Layers[i].Classifier != nil {
			layer = &set.Layers[i]
		}
	}
	model, err := p.model(ctx, set, layer, o)
	if err != nil {
		return array.About(err, path)
	}
	if err := model.Check(rule); err != nil {
		var can []string
		for _, r := range decode.Rules() {
			if model.Check(r) == nil {
				can = append(can, r.Name)
			}
		}
		return fmt.Errorf("%s: --decoder: %w; possible here: %s", path, err, strings.Join(can, ", "))
	}
	if p.out != "" {
		if err := atomicfile.Write(p.out, model.Write); err != nil {
			return fmt.Errorf("--prototypes-out: %w", err)
		}
	}
	split := layer.Test
	switch {
	case p.rows == "train", p.rows == "" && split == nil:
		split = layer.Train
	case p.rows == "ood":
		split = layer.OOD
	}
	if split == nil {
		return fmt.Errorf("%s: --rows %s: the file has no such rows for layer %s", path, p.rows, layer.Name)
	}
	var out predictions
	if u.json {
		out = &jsonPredictions{document: newDocument(&u.page, "predict"), model: model, top: p.top > 0}
	} else {
		out = newCSVPredictions(&u.page, model, p.top > 0)
	}
	out.begin(set, layer, split, rule)
	if err := p.decode(ctx, model, split, rule, out.add); err != nil {
		return array.About(err, path)
	}
	return out.end()
}

// model fits prototypes, or reads them and takes the classifier of the file beside them.
func (p *predictFlags) model(ctx context.Context, set *features.Set, layer *features.Layer, o features.Options) (*decode.Model, error) {
	if p.prototypes == "" {
		m, err := collapse.FitModel(ctx, set, layer, collapse.Options{SkipNonfinite: p.skip, Memory: o.Memory})
		if err == nil && p.out != "" && m.Prototypes == nil {
			err = fmt.Errorf("--prototypes-out: there are no prototypes: a tag has neither rows of its own nor a row of a classifier")
		}
		return m, err
	}
	m, err := decode.Open(p.prototypes)
	if err != nil {
		return nil, err
	}
	if m.Dim != layer.Dim {
		return nil, fmt.Errorf("%s: %d dimensions, layer %s has %d", p.prototypes, m.Dim, layer.Name, layer.Dim)
	}
	if c := layer.Classifier; c != nil {
		if c.Classes != m.Tags {
			return nil, fmt.Errorf("%s: %d tags, the classifier has %d rows", p.prototypes, m.Tags, c.Classes)
		}
		m.Weights, m.Bias = c.Weights, c.Bias
	}
	return m, nil
}

// decode goes over the rows of a split.
func (p *predictFlags) decode(ctx context.Context, m *decode.Model, split *features.Split, rule decode.Rule, add func(row int, a *decode.Answer)) error {
	const block = 4096
	var x []float64
	answers := make([]decode.Answer, block)
	for b, err := range split.Batches(ctx, block) {
		if err != nil {
			return err
		}
		if x = b.Float64; x == nil {
			x = make([]float64, b.Rows*b.Dim)
			kernel.Widen(x, b.Float32)
		}
		var rows []int
		for i := range b.Rows {
			row := x[i*b.Dim : (i+1)*b.Dim]
			if s := kernel.SumSquares64(row); math.IsNaN(s) || math.IsInf(s, 0) {
				if p.skip {
					continue
				}
				return &features.Error{Kind: features.NonFinite, Message: fmt.Sprintf("row %d holds NaN or infinity; --skip-nonfinite leaves such rows out", b.First+i)}
			}
			copy(x[len(rows)*b.Dim:], row)
			rows = append(rows, b.First+i)
		}
		out := answers[:len(rows)]
		if err := m.Decode(x[:len(rows)*b.Dim], rule, p.top, out); err != nil {
			return err
		}
		for i := range out {
			add(rows[i], &out[i])
		}
	}
	return ctx.Err()
}

// predictions is where the answers go.
type predictions interface {
	begin(set *features.Set, layer *features.Layer, split *features.Split, rule decode.Rule)
	add(row int, a *decode.Answer)
	end() error
}

// csvPredictions writes a line a row: tags and scores are joined by semicolons, and no tag is an empty cell.
type csvPredictions struct {
	w     *csv.Writer
	model *decode.Model
	top   bool
}

func newCSVPredictions(w io.Writer, m *decode.Model, top bool) *csvPredictions {
	return &csvPredictions{csv.NewWriter(w), m, top}
}

func (c *csvPredictions) begin(*features.Set, *features.Layer, *features.Split, decode.Rule) {
	head := []string{"row", "tags", "scores", "margin"}
	if c.top {
		head = append(head, "top", "top_scores")
	}
	c.w.Write(head)
}

func (c *csvPredictions) add(row int, a *decode.Answer) {
	cells := []string{strconv.Itoa(row), strings.Join(c.model.TagNames(a.Tags), ";"), scores(a.Scores), ""}
	if !math.IsNaN(a.Margin) {
		cells[3] = strconv.FormatFloat(a.Margin, 'g', 6, 64)
	}
	if c.top {
		cells = append(cells, strings.Join(c.model.TagNames(a.First), ";"), scores(a.Firsts))
	}
	c.w.Write(cells)
}

func (c *csvPredictions) end() error {
	c.w.Flush()
	return c.w.Error()
}

func scores(v []float64) string {
	parts := make([]string, len(v))
	for i, x := range v {
		parts[i] = strconv.FormatFloat(x, 'g', 6, 64)
	}
	return strings.Join(parts, ";")
}

// jsonPredictions writes an object a row.
type jsonPredictions struct {
	*document
	model *decode.Model
	top   bool
	rows  int
}

func (j *jsonPredictions) begin(set *features.Set, layer *features.Layer, split *features.Split, rule decode.Rule) {
	j.field("source", set.Source)
	j.short("layer", layer.Name)
	j.short("split", split.Name)
	j.short("decoder", rule.Name)
	j.field("tags", j.model.Tags)
	j.short("multiplicities", j.model.Multiplicities)
	if j.model.Names != nil {
		j.field("names", j.model.Names)
	}
	j.printf(",\n \"rows\":[")
}

func (j *jsonPredictions) add(row int, a *decode.Answer) {
	type answer struct {
		Row    int       `json:"row"`
		Tags   []int     `json:"tags"`
		Scores []float64 `json:"scores"`
		Margin *float64  `json:"margin"`
		Top    []int     `json:"top,omitempty"`
		Tops   []float64 `json:"top_scores,omitempty"`
	}
	if j.rows++; j.rows > 1 {
		j.WriteByte(',')
	}
	out := answer{Row: row, Tags: slices.Concat([]int{}, a.Tags), Scores: slices.Concat([]float64{}, a.Scores)}
	if !math.IsNaN(a.Margin) {
		out.Margin = &a.Margin
	}
	if j.top {
		out.Top, out.Tops = a.First, a.Firsts
	}
	j.printf("\n  %s", j.encode(out))
}

func (j *jsonPredictions) end() error {
	j.printf("]")
	return j.document.end()
}
