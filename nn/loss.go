package nn

import (
	"fmt"
	"math"
	"strings"

	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/internal/suggest"
)

// LossSpec names a loss and its options, as a file holds them. An option that is 0 takes the default that Losses states;
// one that the loss does not have has to be 0.
type LossSpec struct {
	Name string `json:"name" yaml:"name"` // one of Losses

	Smoothing   float64 `json:"smoothing,omitempty" yaml:"smoothing,omitempty"`     // alpha: targets (1-alpha) e_y + alpha/K
	Gamma       float64 `json:"gamma,omitempty" yaml:"gamma,omitempty"`             // of the focal loss
	Kappa       float64 `json:"kappa,omitempty" yaml:"kappa,omitempty"`             // weight of the own logit's square
	Scale       float64 `json:"scale,omitempty" yaml:"scale,omitempty"`             // M, what the own logit aims at
	Target      float64 `json:"target,omitempty" yaml:"target,omitempty"`           // of dot regression: sqrt(E_W E_H)
	Temperature float64 `json:"temperature,omitempty" yaml:"temperature,omitempty"` // tau, which cosines are divided by
	Margin      float64 `json:"margin,omitempty" yaml:"margin,omitempty"`           // taken from the own cosine
	Distortion  float64 `json:"distortion,omitempty" yaml:"distortion,omitempty"`   // epsilon^2 of the coding rate

	// Adjustment is tau of logit adjustment (Menon et al. 2021, eq. 10): tau ln pi_k is added to the logits inside the loss.
	// Priors are the pi, in any unit: class counts will do. The one needs the other.
	Adjustment float64   `json:"adjustment,omitempty" yaml:"adjustment,omitempty"`
	Priors     []float64 `json:"priors,omitempty" yaml:"priors,omitempty"`

	// The terms below are added to any loss.

	// FeatureDecay is lambda in lambda/2 times the mean over the batch of |h|^2. In the words of package ufm it is
	// N lambda_H.
	FeatureDecay float64 `json:"feature_decay,omitempty" yaml:"feature_decay,omitempty"`
	// SVSL is alpha in alpha times the sum over the taps from number SVSLFrom on of the mean squared distance of a
	// sample's output from the mean of its class in the batch (Ben-Shaul and Dekel 2022).
	SVSL     float64 `json:"svsl,omitempty" yaml:"svsl,omitempty"`
	SVSLFrom int     `json:"svsl_from,omitempty" yaml:"svsl_from,omitempty"`
}

// Batch is what a loss reads, and where it writes its gradients. Matrices are row-major without gaps, a row a sample.
type Batch[T Float] struct {
	Rows, Classes int // n and K

	Logits  []T // n x K
	DLogits []T // n x K, written; nil where no gradient is wanted

	Labels []int32 // n; nil where Tags is set
	Tags   []T     // n x K of 0 and 1, several labels a sample

	// Weight has a number >= 0 for each sample, nil for 1. The data loss is the weighted mean, sum w l / sum w, as PyTorch
	// has it for class weights; it is 0 where all weights are. SVSL and feature decay do not look at weights.
	Weight []T

	// Taps are the outputs of the network's taps, in order; the last are the features. DTaps are where their gradients are
	// written, zeros where the loss has none; one that is nil is not written, see Loss.NeedsTap.
	Taps, DTaps [][]T
}

// Loss is a loss function with its scratch space, for one goroutine at a time; it divides its work over the pool. It allocates
// in its first calls only (mcr2: the closures of its factorisations in all), and its bits do not depend on the
// number of workers.
type Loss[T Float] struct {
	spec LossSpec
	info *lossEntry

	row     rowLoss     // of the logits
	targets bool        // row reads row.target
	set     *setLoss[T] // of the features, where the loss looks at these; row is then that of the probe
	shift   []float64   // what logit adjustment adds

	batch  *Batch[T]
	work   []row // a worker's scratch
	sums   []float64
	total  float64 // sum of the weights
	svsl   *variability[T]
	blocks func(worker, block int)

	data, pull, decay float64
}

// NewLoss returns the loss of a spec, with the defaults filled in. The error names the option that is wrong.
func NewLoss[T Float](spec LossSpec) (*Loss[T], error) {
	info, err := findLoss(spec.Name)
	if err != nil {
		return nil, err
	}
	if spec, err = info.resolve(spec); err != nil {
		return nil, fmt.Errorf("loss %s: %w", info.Name, err)
	}
	l := &Loss[T]{spec: spec, info: info, row: crossEntropy(spec.Smoothing, 1, 0), targets: info.Tags}
	switch info.Name {
	case "cosine_softmax":
		l.row = crossEntropy(0, spec.Temperature, spec.Margin)
	case "focal":
		l.row = focal(spec.Gamma)
	case "mse":
		l.row = squaredError(1, 1)
	case "mse_rescaled":
		l.row = squaredError(spec.Kappa, spec.Scale)
	case "bce":
		l.row = binaryCrossEntropy
	case "pal":
		l.row = pickAllLabel(false)
	case "pal_mean":
		l.row = pickAllLabel(true)
	case "dot":
		l.row = dotRegression(spec.Target)
	case "supcon":
		l.set = newSetLoss[T]()
		l.set.eval = l.set.contrast(spec.Temperature)
	case "mcr2":
		l.set = newSetLoss[T]()
		l.set.eval = l.set.codingRate(spec.Distortion)
	}
	if spec.Adjustment != 0 {
		sum := 0.0
		for _, p := range spec.Priors {
			sum += p
		}
		l.shift = make([]float64, len(spec.Priors))
		for k, p := range spec.Priors {
			l.shift[k] = spec.Adjustment * math.Log(p/sum)
		}
	}
	if spec.SVSL != 0 {
		l.svsl = newVariability[T]()
	}
	l.blocks = l.block
	return l, nil
}

// resolve fills defaults in and looks for mistakes.
func (e *lossEntry) resolve(s LossSpec) (LossSpec, error) {
	s.Name = e.Name
	for _, o := range lossOptions {
		v := o.at(&s)
		own := e.has(o)
		switch {
		case math.IsNaN(*v) || math.IsInf(*v, 0):
			return s, fmt.Errorf("%s: %v, wanted a number", o.name, *v)
		case *v < 0:
			return s, fmt.Errorf("%s: %v, wanted a number of at least 0", o.name, *v)
		case *v != 0 && !own:
			return s, fmt.Errorf("%s: not an option of this loss (it has %s)", o.name, e.optionNames())
		case *v == 0 && own:
			*v = e.defaults[o.name]
			if o.required && *v == 0 {
				return s, fmt.Errorf("%s: missing%s", o.name, e.advice)
			}
		}
	}
	if s.Smoothing >= 1 {
		return s, fmt.Errorf("smoothing: %v, wanted less than 1", s.Smoothing)
	}
	switch {
	case s.SVSLFrom < 0:
		return s, fmt.Errorf("svsl_from: %d, wanted the number of a tap, from 0", s.SVSLFrom)
	case s.SVSLFrom > 0 && s.SVSL == 0:
		return s, fmt.Errorf("svsl_from: %d, but svsl is 0", s.SVSLFrom)
	case s.Adjustment != 0 && len(s.Priors) == 0:
		return s, fmt.Errorf("priors: missing; adjustment needs the class counts or their shares")
	case s.Adjustment == 0 && len(s.Priors) > 0:
		return s, fmt.Errorf("priors: %d numbers, but adjustment is 0", len(s.Priors))
	}
	for k, p := range s.Priors {
		if !(p > 0) || math.IsInf(p, 0) {
			return s, fmt.Errorf("priors: %v for class %d, wanted a number above 0", p, k)
		}
	}
	return s, nil
}

// Spec is what NewLoss was given, with the defaults filled in.
func (l *Loss[T]) Spec() LossSpec { return l.spec }

// DetachesHead says whether the loss is one of features only, supcon or mcr2. The gradient of the logits that Value writes is then that
// of the cross-entropy, which is not in the value: with Network.DetachHead it trains a classifier on features that it does not
// move, as is otherwise done in a second stage (Khosla et al. 2020).
func (l *Loss[T]) DetachesHead() bool { return l.set != nil }

// NeedsTap says whether the loss has a gradient at tap i of the given number of taps, or reads its output.
func (l *Loss[T]) NeedsTap(i, taps int) bool {
	if i == taps-1 && (l.set != nil || l.spec.FeatureDecay != 0) {
		return true
	}
	return l.svsl != nil && i >= l.spec.SVSLFrom && i < taps
}

// Check returns what is wrong with a batch: lengths that do not fit Rows and Classes, a label or a tag that is none, a kind
// of labels that the loss cannot use. It reads every label, and no logit.
func (l *Loss[T]) Check(b *Batch[T]) error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("loss %s: "+format, append([]any{l.info.Name}, a...)...)
	}
	n, k := b.Rows, b.Classes
	if n < 0 || k < 1 {
		return fail("%d rows and %d classes", n, k)
	}
	for _, m := range []struct {
		name     string
		got      int
		want     int
		optional bool
	}{
		{"logits", len(b.Logits), n * k, l.set != nil && b.DLogits == nil},
		{"gradient of the logits", len(b.DLogits), n * k, true},
		{"labels", len(b.Labels), n, b.Tags != nil},
		{"tags", len(b.Tags), n * k, b.Tags == nil},
		{"weights", len(b.Weight), n, b.Weight == nil},
	} {
		if m.got != m.want && !(m.optional && m.got == 0) {
			return fail("%s: %d numbers, wanted %d for %d rows and %d classes", m.name, m.got, m.want, n, k)
		}
	}
	if len(l.shift) > 0 && len(l.shift) != k {
		return fail("priors: %d numbers, wanted %d, one a class", len(l.shift), k)
	}
	if b.Tags != nil {
		if b.Labels != nil {
			return fail("labels and tags: wanted one of them")
		}
		if !l.info.Tags {
			return fail("rows with several tags, wanted one label a row; bce, mse, pal and pal_mean take tags")
		}
		if l.svsl != nil {
			return fail("svsl: rows with several tags, wanted one label a row")
		}
	}
	for i, y := range b.Labels {
		if y < 0 || int(y) >= k {
			return fail("label %d in row %d, wanted 0 to %d", y, i, k-1)
		}
	}
	for i, t := range b.Tags {
		if t != 0 && t != 1 {
			return fail("tag %v in row %d, wanted 0 or 1", t, i/k)
		}
	}
	for i, w := range b.Weight {
		if !(w >= 0) || math.IsInf(float64(w), 0) {
			return fail("weight %v of row %d, wanted a number of at least 0", w, i)
		}
	}
	if len(b.DTaps) != 0 && len(b.DTaps) != len(b.Taps) {
		return fail("taps: %d gradients, wanted %d", len(b.DTaps), len(b.Taps))
	}
	if (l.set != nil || l.spec.FeatureDecay != 0) && len(b.Taps) == 0 {
		return fail("taps: none, wanted the features")
	}
	if l.svsl != nil && l.spec.SVSLFrom >= len(b.Taps) {
		return fail("svsl_from: %d, wanted the number of a tap, 0 to %d", l.spec.SVSLFrom, len(b.Taps)-1)
	}
	for i, h := range b.Taps {
		if !l.NeedsTap(i, len(b.Taps)) {
			continue
		}
		if n > 0 && (len(h) == 0 || len(h)%n != 0) {
			return fail("tap %d: %d numbers in %d rows", i, len(h), n)
		}
		if b.DLogits != nil && (len(b.DTaps) == 0 || b.DTaps[i] == nil) {
			return fail("tap %d: no place for its gradient, which this loss has", i)
		}
	}
	for i, d := range b.DTaps {
		if d != nil && len(d) != len(b.Taps[i]) {
			return fail("gradient of tap %d: %d numbers, wanted %d", i, len(d), len(b.Taps[i]))
		}
	}
	return nil
}

// Value returns the loss of a batch for which Check has no objection, and writes the gradients that the batch has room for.
// Loss and gradients are of the mean over the rows. Inside, numbers are float64.
func (l *Loss[T]) Value(b *Batch[T]) float64 {
	for _, d := range b.DTaps {
		clear(d)
	}
	l.total = totalWeight(b)
	l.pull, l.decay = 0, 0
	if l.set == nil {
		l.data = l.logits(b)
	} else {
		l.data = l.set.eval(b, l.total)
		if b.DLogits != nil {
			l.logits(b)
		}
	}
	if l.svsl != nil {
		for i := l.spec.SVSLFrom; i < len(b.Taps); i++ {
			l.pull += l.svsl.add(b, i, l.spec.SVSL)
		}
	}
	if l.spec.FeatureDecay != 0 {
		l.decay = featureDecay(b, l.spec.FeatureDecay)
	}
	return l.data + l.pull + l.decay
}

// Terms are the parts of the last Value: the loss of the data, SVSL and feature decay.
func (l *Loss[T]) Terms() (data, svsl, featureDecay float64) { return l.data, l.pull, l.decay }

// Rows are cut into blocks of blockRows, and the pool is asked for help from serialSize logits on.
const (
	blockRows  = 16
	serialSize = 1 << 13
)

// logits is the mean of a loss that looks at each row of the logits by itself.
func (l *Loss[T]) logits(b *Batch[T]) float64 {
	blocks := (b.Rows + blockRows - 1) / blockRows
	l.sums = grow(l.sums, blocks)
	for len(l.work) < parallel.Workers() {
		l.work = append(l.work, row{})
	}
	for w := range l.work {
		r := &l.work[w]
		r.z, r.g = grow(r.z, b.Classes), grow(r.g, b.Classes)
		if l.targets {
			r.target = grow(r.target, b.Classes)
		}
	}
	l.batch = b
	if b.Rows*b.Classes < serialSize {
		for i := range blocks {
			l.block(0, i)
		}
	} else {
		parallel.For(blocks, l.blocks)
	}
	l.batch = nil
	return sumOf(l.sums)
}

func (l *Loss[T]) block(worker, block int) {
	b, r := l.batch, &l.work[worker]
	k := b.Classes
	total := 0.0
	for i := block * blockRows; i < min((block+1)*blockRows, b.Rows); i++ {
		weight := rowWeight(b, l.total, i)
		for j, v := range b.Logits[i*k : (i+1)*k] {
			r.z[j] = float64(v)
		}
		for j, v := range l.shift {
			r.z[j] += v
		}
		r.read(b.Labels, i)
		if l.targets {
			readTargets(r, b, i)
		}
		total += weight * l.row(r)
		if b.DLogits != nil {
			for j := range b.DLogits[i*k : (i+1)*k] {
				b.DLogits[i*k+j] = T(weight * r.g[j])
			}
		}
	}
	l.sums[block] = total
}

// Floor returns the infimum of the data loss for the labels and weights of a batch, whatever the logits: the training loss is to be
// read as its excess over it. For pick-all-label it is the mean of m ln m (Li et al. 2023), for smoothed labels their entropy.
// For supcon it is the value at the collapsed simplex (Graf et al. 2021), the least that batches with the same number of samples of
// every class can have, and the least mean of batches drawn without regard to class. ok is false for mcr2, whose is
// not known in closed form.
func (l *Loss[T]) Floor(b *Batch[T]) (floor float64, ok bool) {
	l.total = totalWeight(b)
	switch l.info.Name {
	case "mcr2":
		return 0, false
	case "supcon":
		return l.set.simplexFloor(b, l.total, l.spec.Temperature), true
	case "pal", "pal_mean":
		if b.Tags == nil {
			return 0, true
		}
		for i := range b.Rows {
			m := 0.0
			for _, t := range b.Tags[i*b.Classes : (i+1)*b.Classes] {
				m += float64(t)
			}
			if m > 1 {
				least := math.Log(m)
				if l.info.Name == "pal" {
					least *= m
				}
				floor += rowWeight(b, l.total, i) * least
			}
		}
		return floor, true
	}
	if a := l.spec.Smoothing; a > 0 && l.total > 0 {
		k := float64(b.Classes)
		own, other := 1-a+a/k, a/k
		return -own*math.Log(own) - (k-1)*other*math.Log(other), true
	}
	return 0, true
}

func findLoss(name string) (*lossEntry, error) {
	if name == "" {
		return nil, fmt.Errorf("loss: missing, expected one of %s", strings.Join(lossNames(), ", "))
	}
	for i := range lossEntries {
		if lossEntries[i].Name == name {
			return &lossEntries[i], nil
		}
	}
	return nil, fmt.Errorf("loss %q, expected one of %s%s", name, strings.Join(lossNames(), ", "), suggest.Hint(name, lossNames()))
}

// grow returns a slice of n numbers, x where it has room.
func grow[E any](x []E, n int) []E {
	if cap(x) < n {
		return make([]E, n)
	}
	return x[:n]
}

func sumOf(x []float64) (s float64) {
	for _, v := range x {
		s += v
	}
	return s
}
