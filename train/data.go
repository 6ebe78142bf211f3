package train

import (
	"fmt"
	"strings"

	"github.com/collapsar/collapsar/dataset"
)

var samplers = []string{"uniform", "oversample", "undersample"}

// open reads the data of a configuration and changes them as it says, for the run of a seed.
func (d *Data) open(seed uint64, progress func(done, total int64)) (*dataset.Set, error) {
	set, err := dataset.Open(d.Source, dataset.Options{Root: d.Root, Stem: d.Stem, Progress: progress})
	if err != nil {
		return nil, err
	}
	for _, change := range []struct {
		key    string
		wanted bool
		make   func(*dataset.Set) (*dataset.Set, error)
	}{
		{"classes", len(d.Classes) > 0, func(s *dataset.Set) (*dataset.Set, error) { return s.Keep(d.Classes...) }},
		{"majority", d.Majority > 0, func(s *dataset.Set) (*dataset.Set, error) { return s.StepImbalance(d.Majority, d.PerClass, d.Ratio) }},
		{"ratio", d.Majority == 0 && d.Ratio > 0, func(s *dataset.Set) (*dataset.Set, error) { return s.LongTail(d.PerClass, d.Ratio) }},
		{"per_class", d.Ratio == 0 && d.PerClass > 0, func(s *dataset.Set) (*dataset.Set, error) { return s.FirstPerClass(d.PerClass) }},
		{"composite", d.Composite != nil, func(s *dataset.Set) (*dataset.Set, error) { return d.Composite.Make(s) }},
		{"random_labels", d.RandomLabels > 0, func(s *dataset.Set) (*dataset.Set, error) { return s.RandomLabels(d.RandomLabels, seed) }},
	} {
		if !change.wanted {
			continue
		}
		if set, err = change.make(set); err != nil {
			return nil, configError("data."+change.key, "%s", strings.TrimPrefix(err.Error(), change.key+": "))
		}
	}
	if set.Train.Tags == nil && len(set.Classes) < 2 {
		return nil, configError("data", "%s has one class, a classifier needs two or more", set.Name)
	}
	if set.Train.Tags != nil && d.ClassWeights != "none" {
		return nil, configError("data.class_weights", "%s: the rows of %s have several tags", d.ClassWeights, set.Name)
	}
	return set, nil
}

// minority are the small classes of a step imbalance, which the metrics of imbalance compare whatever the ratio; nil finds them from
// the counts.
func (d *Data) minority(classes int) (small []int64) {
	if d.Majority == 0 || d.Composite != nil {
		return nil
	}
	for c := d.Majority; c < classes; c++ {
		small = append(small, int64(c))
	}
	return small
}

// loaders are the batches of training, and those of evaluation: the rows as they are, in order. Test is nil without test rows.
type loaders[T float32 | float64] struct {
	train, fixed, test *dataset.Loader[T]
}

// newLoaders makes the loaders of a run. Evaluation takes rows at a time.
func newLoaders[T float32 | float64](set *dataset.Set, c *Config, seed uint64, rows int) (l *loaders[T], err error) {
	d := &c.Data
	o := dataset.LoaderOptions{Batch: rows}
	if d.Standardize != "none" {
		o.Mean, o.Std = set.Standardisation(d.Standardize == "channel")
	}
	l = new(loaders[T])
	if l.fixed, err = dataset.NewLoader[T](set, set.Train, o); err != nil {
		return nil, err
	}
	if set.Test.Rows > 0 {
		if l.test, err = dataset.NewLoader[T](set, set.Test, o); err != nil {
			return nil, err
		}
	}
	o.Batch, o.Seed, o.Shuffle, o.DropLast, o.Flip, o.Crop = min(c.Batch, set.Train.Rows), seed, true, c.DropLast, d.Flip, d.Crop
	switch d.Sampler {
	case "oversample":
		o.Sampler = dataset.Oversample
	case "undersample":
		o.Sampler = dataset.Undersample
	}
	l.train, err = dataset.NewLoader[T](set, set.Train, o)
	return l, err
}

// classWeights are the weights of classes in the loss, nil for 1.
func (d *Data) classWeights(counts []int) ([]float64, error) {
	switch d.ClassWeights {
	case "inverse_frequency":
		return dataset.InverseFrequency(counts), nil
	case "effective_number":
		return dataset.EffectiveNumber(counts, d.Beta)
	}
	return nil, nil
}

// words say what the data are.
func words(set *dataset.Set) string {
	counts := set.Counts()
	least, most := counts[0], counts[0]
	for _, n := range counts {
		least, most = min(least, n), max(most, n)
	}
	each := fmt.Sprintf("%d each", most)
	if least < most {
		each = fmt.Sprintf("%d to %d each", least, most)
	}
	what := "classes"
	if set.Train.Tags != nil {
		what = "tags"
	}
	return strings.Join([]string{
		fmt.Sprintf("%s: %d training rows of %s, %d %s (%s)", set.Name, set.Train.Rows, set.Shape, len(set.Classes), what, each),
		fmt.Sprintf("%d test rows", set.Test.Rows),
	}, ", ")
}
