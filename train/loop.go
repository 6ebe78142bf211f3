package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/dataset"
	"github.com/collapsar/collapsar/internal/optimize"
	"github.com/collapsar/collapsar/nn"
)

// A position is where a run stands between two steps. With the parameters and the state of the optimiser it is all that the rest of
// the run depends on: order, augmentation and dropout are functions of the seed, the epoch and the step.
type position struct {
	Epoch int `json:"epoch"` // epochs done
	Batch int `json:"batch"` // steps done of the epoch under way
	Step  int `json:"step"`  // steps done in all

	// Of the epoch under way, in training mode.
	Loss  float64 `json:"loss"`  // sum over rows
	Rows  int     `json:"rows"`  // rows seen
	Wrong int     `json:"wrong"` // of those, wrong

	Zero *int  `json:"zero_error_epoch"` // the first epoch whose end had no training error
	Best *best `json:"best"`

	Metrics int64 `json:"metrics_bytes"` // length of metrics.jsonl
	Epochs  int64 `json:"epochs_bytes"`  // length of epochs.csv
}

// best is the epoch with the smallest test error so far, the first of equals.
type best struct {
	Epoch int     `json:"epoch"`
	Error float64 `json:"error"`
}

// A run is the training of one seed.
type run[T nn.Float] struct {
	c      *Config
	o      *Options
	seed   uint64
	set    *dataset.Set
	net    *nn.Network[T]
	loss   *nn.Loss[T]
	opt    *optimizer[T]
	loader *loaders[T]
	taps   []tap
	folder *folder

	at    position
	saved time.Time // when the last state was written

	x            []T
	labels       []int32
	tags         []T
	weight       []T
	dLogits      []T
	classWeights []float64
	batch        nn.Batch[T]
	kept         *kept[T]

	first   int64 // rows that had been seen when this process began
	reports []*collapse.Report
	epochs  []int // of the reports
	train   *Evaluation
	test    *Evaluation
}

func newRun[T nn.Float](c *Config, o *Options, set *dataset.Set, seed uint64) (*run[T], error) {
	r := &run[T]{c: c, o: o, seed: seed, set: set}
	rows := max(min(c.Batch, set.Train.Rows), min(64, set.Train.Rows)) // a batch of one row is slow to evaluate with
	var err error
	if r.net, err = network[T](&c.Model, set, seed, rows); err != nil {
		return nil, err
	}
	if r.loader, err = newLoaders[T](set, c, seed, rows); err != nil {
		return nil, err
	}
	counts := set.Counts()
	if r.loss, err = nn.NewLoss[T](c.lossSpec(counts)); err != nil {
		return nil, configError("loss", "%v", err)
	}
	r.net.DetachHead(r.loss.DetachesHead())
	if r.classWeights, err = c.Data.classWeights(counts); err != nil {
		return nil, configError("data.class_weights", "%v", err)
	}
	r.opt = newOptimizer(r.net, c.Optimizer)
	k := len(set.Classes)
	r.x = make([]T, rows*set.Shape.Size())
	r.dLogits = make([]T, rows*k)
	if set.Train.Tags != nil {
		r.tags = make([]T, rows*k)
	} else {
		r.labels = make([]int32, rows)
	}
	if r.classWeights != nil {
		r.weight = make([]T, rows)
	}
	r.batch.Classes = k
	if r.taps, err = chooseTaps(r.net.Taps(), c, set); err != nil {
		return nil, err
	}
	n := len(r.net.Taps())
	r.batch.Taps, r.batch.DTaps = make([][]T, n), make([][]T, n)
	for i, t := range r.net.Taps() {
		if r.loss.NeedsTap(i, n) {
			r.batch.DTaps[i] = make([]T, rows*t.Dim)
		}
	}
	r.fill(r.loader.train, 0, 0)
	logits := r.net.Forward(r.x, r.batch.Rows, nn.Evaluate)
	if err := r.loss.Check(r.forLoss(logits, true)); err != nil {
		return nil, configError("loss", "%v", err)
	}
	return r, nil
}

// fill reads a batch.
func (r *run[T]) fill(l *dataset.Loader[T], epoch, batch int) int {
	n := l.Fill(r.x, r.labels, r.tags, epoch, batch)
	b := &r.batch
	b.Rows = n
	if r.tags != nil {
		b.Tags = r.tags[:n*b.Classes]
	} else {
		b.Labels = r.labels[:n]
	}
	if r.weight != nil {
		b.Weight = r.weight[:n]
		for i, y := range b.Labels {
			b.Weight[i] = T(r.classWeights[y])
		}
	}
	return n
}

// forLoss is the batch with what the network made of it.
func (r *run[T]) forLoss(logits []T, gradient bool) *nn.Batch[T] {
	b := r.batch
	b.Logits = logits
	b.Taps, b.DTaps = slices.Clone(r.batch.Taps), nil
	for i := range b.Taps {
		b.Taps[i] = r.net.Output(i)
	}
	if gradient {
		b.DLogits = r.dLogits[:len(logits)]
		b.DTaps = slices.Clone(r.batch.DTaps)
		for i, d := range b.DTaps {
			if d != nil {
				b.DTaps[i] = d[:len(b.Taps[i])]
			}
		}
	}
	return &b
}

// gradient computes the loss of a batch and its gradient.
func (r *run[T]) gradient(epoch, batch int) (loss float64, n, wrong int) {
	n = r.fill(r.loader.train, epoch, batch)
	logits := r.net.Forward(r.x, n, nn.Train)
	b := r.forLoss(logits, true)
	loss = r.loss.Value(b)
	r.net.Backward(b.DLogits, b.DTaps)
	return loss, n, wrongRows(b)
}

// goOn trains from where the run stands to the end. When the context is cancelled the state is saved, and the context's error
// returned.
func (r *run[T]) goOn(ctx context.Context) error {
	r.first = r.rowsSeen()
	if r.at.Step == 0 && r.at.Metrics == 0 && r.c.Measure.wanted(0, r.c.Epochs) {
		if err := r.endEpoch(ctx, 0); err != nil {
			return r.leave(err)
		}
	}
	for r.at.Epoch < r.c.Epochs {
		if err := r.epoch(ctx); err != nil {
			return r.leave(err)
		}
		if err := r.endEpoch(ctx, r.at.Epoch+1); err != nil {
			return r.leave(err)
		}
	}
	return nil
}

// leave saves the state when a run is interrupted. The error is that of the saving if it fails.
func (r *run[T]) leave(err error) error {
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return cmp.Or(r.save(), err)
}

// epoch takes the steps of an epoch that are left.
func (r *run[T]) epoch(ctx context.Context) error {
	batches := r.loader.train.Batches()
	for r.at.Batch < batches {
		if err := ctx.Err(); err != nil {
			return err
		}
		rate := r.c.Optimizer.LR * r.c.Schedule.Rate(r.at.Epoch, r.c.Epochs, r.at.Batch, batches)
		r.net.Step(r.seed, uint64(r.at.Step))
		var loss float64
		var n, wrong int
		if r.c.Optimizer.Name == "lbfgs" {
			var err error
			if loss, n, wrong, err = r.minimise(ctx); err != nil {
				return err
			}
		} else {
			if loss, n, wrong = r.gradient(r.at.Epoch, r.at.Batch); finite(loss) {
				r.opt.step(r.net.Params, r.net.Grads, rate)
			}
		}
		if !finite(loss) {
			return r.diverged(loss)
		}
		r.at.Loss += loss * float64(n)
		r.at.Rows += n
		r.at.Wrong += wrong
		r.at.Batch++
		r.at.Step++
		r.progress()
		if s := r.c.Checkpoint.Seconds; s > 0 && time.Since(r.saved).Seconds() >= s && r.at.Batch < batches {
			if err := r.save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// minimise takes the steps of L-BFGS on the batch that is next.
func (r *run[T]) minimise(ctx context.Context) (loss float64, n, wrong int, err error) {
	before := append([]T(nil), r.net.Params...)
	stats := append([]T(nil), r.net.Stats...)
	result := r.opt.minimise(ctx, r.net.Params, r.net.Grads, func() float64 {
		copy(r.net.Stats, stats) // the running statistics see the batch once
		var value float64
		value, n, wrong = r.gradient(r.at.Epoch, r.at.Batch)
		return value
	})
	if result.Status == optimize.Interrupted { // the batch is begun again
		copy(r.net.Params, before)
		copy(r.net.Stats, stats)
		return 0, 0, 0, ctx.Err()
	}
	copy(r.net.Stats, stats)
	loss, n, wrong = r.gradient(r.at.Epoch, r.at.Batch) // at the point that was found
	return loss, n, wrong, nil
}

// DivergedError says where a loss ceased to be a number.
type DivergedError struct {
	Epoch, Step int     // the epoch under way, from 1; steps taken in all
	Loss        float64 // NaN or infinity
	Checkpoint  string  // the last good one, "" if there is none
	Saved       int     // the steps that it has
}

func (e *DivergedError) Error() string {
	s := fmt.Sprintf("diverged: the loss is %v in step %d, epoch %d", e.Loss, e.Step, e.Epoch)
	if e.Checkpoint != "" {
		s += fmt.Sprintf("; the last good checkpoint is %s, after step %d", e.Checkpoint, e.Saved)
	}
	return s + "; try a smaller learning rate, or a warm-up"
}

func (r *run[T]) diverged(loss float64) error {
	e := &DivergedError{Epoch: r.at.Epoch + 1, Step: r.at.Step + 1, Loss: loss}
	if r.folder != nil && r.folder.savedStep >= 0 {
		e.Checkpoint, e.Saved = r.folder.last(), r.folder.savedStep
	}
	return e
}

// rowsSeen is how many rows have passed through the network in all steps.
func (r *run[T]) rowsSeen() int64 {
	batches := int64(r.loader.train.Batches())
	rows := int64(r.loader.train.Rows())
	return int64(r.at.Epoch)*rows + rows*int64(r.at.Batch)/batches
}

func (r *run[T]) progress() {
	if r.o.Progress == nil {
		return
	}
	p := Progress{Seed: r.seed, Epoch: r.at.Epoch + 1, Epochs: r.c.Epochs, Done: r.rowsSeen() - r.first, Total: int64(r.c.Epochs)*int64(r.loader.train.Rows()) - r.first,
		Loss: r.at.Loss / float64(r.at.Rows), Error: float64(r.at.Wrong) / float64(r.at.Rows), ZeroErrorEpoch: r.at.Zero}
	if n := len(r.reports); n > 0 {
		p.Last = lastTraining(r.reports[n-1])
	}
	r.o.Progress(p)
}

// endEpoch evaluates and measures after an epoch, writes down what was found, and then counts the epoch as done. Epoch 0 is the
// start.
func (r *run[T]) endEpoch(ctx context.Context, epoch int) error {
	m := &r.c.Measure
	measured := m.wanted(epoch, r.c.Epochs)
	looked := measured || r.at.Zero == nil && epoch > 0 && epoch%m.EvaluateEvery == 0
	var report *collapse.Report
	var train, test *Evaluation
	var err error
	zero := r.at.Zero
	if looked {
		if train, test, report, err = r.look(ctx, measured, epoch); err != nil {
			return err
		}
		if train.Wrong == 0 && zero == nil && epoch > 0 {
			zero = &epoch
			if !measured {
				if train, test, report, err = r.look(ctx, true, epoch); err != nil {
					return err
				}
			}
		}
	}
	// Nothing is changed before all that can be interrupted is done.
	if zero != nil && r.at.Zero == nil {
		r.log("epoch %d: no training row is misclassified any more: the terminal phase begins", epoch)
	}
	if report != nil {
		r.reports, r.epochs, r.train, r.test = append(r.reports, report), append(r.epochs, epoch), train, test
		r.log("%s", r.measuredLine(epoch, train, test, report))
	}
	at := r.at
	at.Zero = zero
	if r.folder != nil {
		if err := r.folder.append(&at, r.epochLine(epoch, train, test), r.metricLines(epoch, train, test, report)); err != nil {
			return err
		}
	}
	at.Loss, at.Rows, at.Wrong = 0, 0, 0
	if epoch > 0 {
		at.Epoch, at.Batch = epoch, 0
	}
	isBest := test != nil && epoch > 0 && (at.Best == nil || test.Error < at.Best.Error)
	if isBest {
		at.Best = &best{epoch, test.Error}
	}
	r.at = at
	if r.folder == nil {
		return nil
	}
	if isBest {
		if err := r.saveWeights("best"); err != nil {
			return err
		}
	}
	if every := r.c.Checkpoint.Every; every > 0 && epoch > 0 && epoch%every == 0 {
		if err := r.saveWeights(fmt.Sprintf("epoch_%05d", epoch)); err != nil {
			return err
		}
	}
	if epoch == r.c.Epochs || time.Since(r.saved).Seconds() >= r.c.Checkpoint.Seconds {
		return r.save()
	}
	return nil
}

func (r *run[T]) log(format string, args ...any) {
	if r.o.Log != nil {
		r.o.Log(fmt.Sprintf(format, args...))
	}
}

// wanted reports whether an epoch of so many is measured: every so many, or the epochs 0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100,
// ..., which are about evenly spaced on a logarithmic axis; the last one in any case.
func (m *Measure) wanted(epoch, epochs int) bool {
	if epoch == epochs {
		return true
	}
	if m.Every > 0 {
		return epoch%m.Every == 0
	}
	scale := 1
	for epoch >= 10*scale {
		scale *= 10
	}
	switch {
	case epoch%scale == 0:
		return slices.Contains([]int{0, 1, 2, 3, 5, 7}, epoch/scale)
	case scale >= 10 && epoch%(scale/10) == 0:
		return epoch/(scale/10) == 15
	}
	return false
}
