package train

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/dataset"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/collapsar/collapsar/nn"
)

// Evaluation is what the network makes of the rows of a split in evaluation mode: with running statistics and without dropout.
type Evaluation struct {
	Rows   int      `json:"rows"`
	Wrong  int      `json:"wrong"`  // rows whose largest logits are not those of their labels
	Error  float64  `json:"error"`  // Wrong / Rows; of rows with several tags the set error: a row counts unless its m tags have the m largest logits
	Loss   float64  `json:"loss"`   // mean over rows, with the terms that the loss adds, without weight decay
	Floor  *float64 `json:"floor"`  // what the loss of the data cannot go below; null where that is not known
	Excess *float64 `json:"excess"` // how far the loss of the data is above it

	// Rows and Wrong of each class; nil where rows have several tags.
	ClassRows  []int `json:"class_rows,omitempty"`
	ClassWrong []int `json:"class_wrong,omitempty"`
}

// ErrorName is what Error is called: of rows with several tags the set error.
func (e *Evaluation) ErrorName() string {
	if e.ClassRows == nil {
		return "set error"
	}
	return "error"
}

// wrongRows counts the rows that the network gets wrong.
func wrongRows[T nn.Float](b *nn.Batch[T]) (wrong int) {
	for i := range b.Rows {
		if wrongRow(b, i) {
			wrong++
		}
	}
	return wrong
}

// wrongRow reports whether the label of a row has not the largest logit, or one of its tags has not a larger logit than every other
// tag. A tie counts as wrong unless the label is the first of the largest.
func wrongRow[T nn.Float](b *nn.Batch[T], i int) bool {
	z := b.Logits[i*b.Classes : (i+1)*b.Classes]
	if b.Tags == nil {
		at := 0
		for j, v := range z {
			if v > z[at] {
				at = j
			}
		}
		return at != int(b.Labels[i]) || z[at] != z[at]
	}
	var least, most T
	some, other := false, false
	for j, v := range z {
		if b.Tags[i*b.Classes+j] != 0 {
			if !some || v < least {
				least, some = v, true
			}
		} else if !other || v > most {
			most, other = v, true
		}
	}
	return some && other && !(least > most)
}

// A tap is an output of the network that is measured.
type tap struct {
	index  int // among those of the network
	name   string
	dim    int // numbers kept of a row
	pixels int // positions whose mean is kept; 1 where everything is
}

// chooseTaps finds the taps that are measured. Where those of all rows would not fit the memory, large images are measured by their
// mean over positions.
func chooseTaps(all []nn.Tap, c *Config, set *dataset.Set) ([]tap, error) {
	size := int64(4)
	if c.DType == "float64" {
		size = 8
	}
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
	}
	for _, glob := range c.Measure.Layers {
		if !slices.ContainsFunc(names, func(name string) bool { ok, _ := path.Match(glob, name); return ok }) {
			return nil, configError("measure.layers", "%q matches none of %s%s", glob, strings.Join(names, ", "), suggest.Hint(glob, names))
		}
	}
	rows := int64(set.Train.Rows + set.Test.Rows)
	var taps []tap
	var total int64
	for i, t := range all {
		named := slices.ContainsFunc(c.Measure.Layers, func(glob string) bool { ok, _ := path.Match(glob, t.Name); return ok })
		if named || i == len(all)-1 { // the features always
			taps = append(taps, tap{i, t.Name, t.Dim, 1})
			total += int64(t.Dim) * rows * size
		}
	}
	share := c.Measure.Memory / int64(len(taps))
	for i := range taps {
		t := &taps[i]
		shape := all[t.index].Shape
		if total <= c.Measure.Memory {
			break
		}
		if bytes := int64(t.dim) * rows * size; bytes > share && shape.Height*shape.Width > 1 {
			t.dim, t.pixels = shape.Channels, shape.Height*shape.Width
			total += int64(t.dim)*rows*size - bytes
		}
	}
	if total > c.Measure.Memory {
		return nil, configError("measure.memory", "the features of %d rows take %d bytes, at most %d are allowed; name fewer measure.layers, or allow more", rows, total, c.Measure.Memory)
	}
	return taps, nil
}

// kept is the features of all rows, by tap.
type kept[T nn.Float] struct{ train, test [][]T }

func newKept[T nn.Float](taps []tap, set *dataset.Set) *kept[T] {
	k := new(kept[T])
	for _, t := range taps {
		k.train = append(k.train, make([]T, set.Train.Rows*t.dim))
		k.test = append(k.test, make([]T, set.Test.Rows*t.dim))
	}
	return k
}

// look evaluates the network, and measures collapse in the same pass if that is wanted.
func (r *run[T]) look(ctx context.Context, measured bool, epoch int) (train, test *Evaluation, report *collapse.Report, err error) {
	var keepTrain, keepTest [][]T
	if measured {
		if r.kept == nil {
			r.kept = newKept[T](r.taps, r.set)
		}
		keepTrain, keepTest = r.kept.train, r.kept.test
	}
	if train, err = r.evaluate(ctx, r.loader.fixed, keepTrain); err != nil || !measured {
		return train, nil, nil, err
	}
	if r.loader.test != nil {
		if test, err = r.evaluate(ctx, r.loader.test, keepTest); err != nil {
			return nil, nil, nil, err
		}
	}
	report, err = r.measure(ctx, epoch)
	return train, test, report, err
}

// evaluate passes all rows through the network, and keeps the outputs of the taps if there is room for them.
func (r *run[T]) evaluate(ctx context.Context, l *dataset.Loader[T], keep [][]T) (*Evaluation, error) {
	e := &Evaluation{}
	if k := len(r.set.Classes); r.labels != nil {
		e.ClassRows, e.ClassWrong = make([]int, k), make([]int, k)
	}
	var floor, data, weights float64
	known := true
	for batch := range l.Batches() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := r.fill(l, 0, batch)
		b := r.forLoss(r.net.Forward(r.x, n, nn.Evaluate), false)
		weight := float64(n)
		if b.Weight != nil {
			weight = 0
			for _, w := range b.Weight {
				weight += float64(w)
			}
		}
		e.Loss += weight * r.loss.Value(b)
		d, _, _ := r.loss.Terms()
		data += weight * d
		f, ok := r.loss.Floor(b)
		floor += weight * f
		known = known && ok
		weights += weight
		for i := range n {
			wrong := wrongRow(b, i)
			if wrong {
				e.Wrong++
			}
			if b.Tags == nil {
				e.ClassRows[b.Labels[i]]++
				if wrong {
					e.ClassWrong[b.Labels[i]]++
				}
			}
		}
		for i, t := range r.taps {
			if keep != nil {
				store(keep[i][e.Rows*t.dim:], b.Taps[t.index], t)
			}
		}
		e.Rows += n
	}
	e.Loss /= weights
	e.Error = float64(e.Wrong) / float64(e.Rows)
	if known && finite(e.Loss) {
		floor /= weights
		excess := data/weights - floor
		e.Floor, e.Excess = &floor, &excess
	}
	if !finite(e.Loss) {
		return nil, r.diverged(e.Loss)
	}
	return e, nil
}

// store copies the rows of a tap, or their means over positions.
func store[T nn.Float](to, rows []T, t tap) {
	if t.pixels == 1 {
		copy(to, rows)
		return
	}
	for i := 0; (i+1)*t.pixels*t.dim <= len(rows); i++ {
		image := rows[i*t.pixels*t.dim : (i+1)*t.pixels*t.dim]
		for c := range t.dim {
			sum := 0.0
			for p := range t.pixels {
				sum += float64(image[p*t.dim+c])
			}
			to[i*t.dim+c] = T(sum / float64(t.pixels))
		}
	}
}

// featureSet is the kept features as a set of layers.
func (r *run[T]) featureSet() (*features.Set, error) {
	var rows []features.Rows[T]
	for i, t := range r.taps {
		l := features.Rows[T]{Name: t.name, Dim: t.dim, Train: r.kept.train[i]}
		if r.set.Test.Rows > 0 {
			l.Test = r.kept.test[i]
		}
		rows = append(rows, l)
	}
	k := len(r.set.Classes)
	return features.FromLayers(cmp.Or(r.o.Dir, r.set.Name), rows, labelsOf(&r.set.Train, k), labelsOf(&r.set.Test, k), r.classifier())
}

// classifier is the head as features.Set has it, nil if there is none of the width of the features.
func (r *run[T]) classifier() *features.Classifier {
	w, b, k, d := r.net.Classifier()
	if last := r.taps[len(r.taps)-1]; len(w) == 0 || d != last.dim {
		return nil
	}
	c := &features.Classifier{Classes: k, Dim: d, Weights: make([]float64, k*d), Bias: make([]float64, k), HasBias: b != nil}
	for i, v := range w {
		c.Weights[i] = float64(v)
	}
	for i, v := range b {
		c.Bias[i] = float64(v)
	}
	return c
}

// labelsOf is the labels of a split as features.Labels.
func labelsOf(s *dataset.Split, k int) features.Labels {
	if s.Tags != nil {
		return features.Labels{Tags: s.TagSets(k), Count: k}
	}
	l := features.Labels{Classes: make([]int64, len(s.Labels))}
	for i, y := range s.Labels {
		l.Classes[i] = int64(y)
	}
	return l
}

// measure measures the collapse of the kept features.
func (r *run[T]) measure(ctx context.Context, epoch int) (*collapse.Report, error) {
	set, err := r.featureSet()
	if err != nil {
		return nil, err
	}
	m := &r.c.Measure
	report, err := collapse.Measure(ctx, set, collapse.Options{Metrics: m.Metrics, Alpha: m.Alpha, Confidence: m.Confidence, NoVerdict: m.NoVerdict, Predict: m.Predict, Seed: r.seed, Minority: r.c.Data.minority(len(r.set.Classes))})
	if err != nil {
		return nil, err
	}
	for _, result := range report.Results {
		step := r.at.Step
		result.Step = &step
	}
	return report, nil
}

// metricLines are the lines of metrics.jsonl: elements of "results" of the schema, with the epoch and what was evaluated before them.
func (r *run[T]) metricLines(epoch int, train, test *Evaluation, report *collapse.Report) func() ([]byte, error) {
	return func() ([]byte, error) {
		if report == nil {
			return nil, nil
		}
		head, err := json.Marshal(struct {
			Epoch int         `json:"epoch"`
			Seed  uint64      `json:"seed"`
			Train *Evaluation `json:"train"`
			Test  *Evaluation `json:"test"`
		}{epoch, r.seed, train, test})
		if err != nil {
			return nil, err
		}
		var out []byte
		for _, result := range report.Results {
			body, err := json.Marshal(result)
			if err != nil {
				return nil, err
			}
			out = append(append(out, head[:len(head)-1]...), ',')
			out = append(append(out, body[1:]...), '\n')
		}
		return out, nil
	}
}

const epochHead = "epoch,step,lr,loss,error,train_error,train_loss,test_error\n"

// epochLine is the line of epochs.csv: what the epoch was in training mode, and what was evaluated at its end.
func (r *run[T]) epochLine(epoch int, train, test *Evaluation) []byte {
	if epoch == 0 {
		return nil
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	rows := float64(r.at.Rows)
	batches := r.loader.train.Batches()
	cells := []string{
		strconv.Itoa(epoch), strconv.Itoa(r.at.Step), number(r.c.Optimizer.LR * r.c.Schedule.Rate(epoch-1, r.c.Epochs, batches-1, batches)),
		number(r.at.Loss / rows), number(float64(r.at.Wrong) / rows), "", "", "",
	}
	if train != nil {
		cells[5], cells[6] = number(train.Error), number(train.Loss)
	}
	if test != nil {
		cells[7] = number(test.Error)
	}
	return []byte(strings.Join(cells, ",") + "\n")
}

// measuredLine is a measurement for people.
func (r *run[T]) measuredLine(epoch int, train, test *Evaluation, report *collapse.Report) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "epoch %d of %d: loss %.4g", epoch, r.c.Epochs, train.Loss)
	if train.Floor != nil && *train.Floor > 0 {
		fmt.Fprintf(&b, " (%.4g above the floor)", *train.Excess)
	}
	fmt.Fprintf(&b, ", train %s %s", train.ErrorName(), collapse.Percent(train.Error))
	if test != nil {
		fmt.Fprintf(&b, ", test %s %s", test.ErrorName(), collapse.Percent(test.Error))
	}
	b.WriteString(levels(lastTraining(report)))
	return b.String()
}

// lastTraining is the result of the last layer's training rows, nil if there is none.
func lastTraining(report *collapse.Report) *collapse.Result {
	for _, result := range slices.Backward(report.Results) {
		if result.Split == "train" {
			return result
		}
	}
	return nil
}

// levels are the levels of a result in a few words: ", variability 3.1 %, simplex 20 %", "" without a verdict.
func levels(result *collapse.Result) string {
	if result == nil || result.Verdict == nil {
		return ""
	}
	var b strings.Builder
	for _, name := range collapse.Properties() {
		if l := result.Verdict.Levels.Level(name); l != nil && l.Value != nil {
			fmt.Fprintf(&b, ", %s %s", name, collapse.Percent(*l.Value))
		}
	}
	return b.String()
}
