package features

import (
	"github.com/collapsar/collapsar/internal/array"
)

// Rows are the rows of one layer in memory, row-major: Train and Test are whole rows of Dim numbers.
type Rows[T float32 | float64] struct {
	Name  string // "" for "features"
	Dim   int
	Train []T
	Test  []T // nil if there are none
}

// Labels are those of rows in memory: a class each, or tag sets.
type Labels struct {
	Classes []int64
	Tags    [][]int // instead of classes: row i has the tags Tags[i], each of 0..Count-1
	Count   int     // K, with tags
}

func (l Labels) rows() int { return max(len(l.Classes), len(l.Tags)) }

// From is a set of one layer in memory, to be measured as a file would be. The slices are not
// copied. The classifier may be nil.
func From[T float32 | float64](rows []T, dim int, labels []int64, c *Classifier) (*Set, error) {
	return FromLayers("", []Rows[T]{{Dim: dim, Train: rows}}, Labels{Classes: labels}, Labels{}, c)
}

// FromTags is From for rows with several tags each: row i has the tags of tags[i], each of 0..k-1.
func FromTags[T float32 | float64](rows []T, dim, k int, tags [][]int, c *Classifier) (*Set, error) {
	return FromLayers("", []Rows[T]{{Dim: dim, Train: rows}}, Labels{Tags: tags, Count: k}, Labels{}, c)
}

// FromLayers is a set of layers in memory, in depth order, with training and test rows; the labels are those of the rows of
// every layer. Nothing but tag sets is copied. The classifier, which may be nil, belongs to the last layer of its width.
func FromLayers[T float32 | float64](source string, layers []Rows[T], train, test Labels, c *Classifier) (*Set, error) {
	set := &Set{Source: source, Format: "memory", Classifier: c}
	last := -1 // of the width of the classifier
	for i, l := range layers {
		if l.Dim <= 0 || len(l.Train) == 0 {
			return nil, array.Errorf(Empty, l.array(), "%d numbers in rows of %d", len(l.Train), l.Dim)
		}
		for _, part := range []struct {
			prefix string
			rows   []T
			labels Labels
		}{{"", l.Train, train}, {"test_", l.Test, test}} {
			n := len(part.rows) / l.Dim
			if len(part.rows)%l.Dim != 0 || part.rows != nil && part.labels.rows() != n {
				return nil, mismatch(part.prefix+"labels", part.labels.rows(), part.prefix+l.array(), n)
			}
		}
		if c != nil && c.Dim == l.Dim {
			last = i
		}
	}
	if c != nil && (last < 0 || len(c.Weights) != c.Classes*c.Dim || len(c.Bias) != c.Classes) {
		return nil, array.Errorf(BadWeights, "weights", "%d columns, features have %d", c.Dim, layers[len(layers)-1].Dim)
	}
	trainLabels, trainTags, err := train.read("labels", c)
	if err != nil {
		return nil, err
	}
	testLabels, testTags, err := test.read("test_labels", c)
	if err != nil {
		return nil, err
	}
	for i, l := range layers {
		a := array.Values(array.Info{Name: l.array(), Shape: []int{len(l.Train) / l.Dim, l.Dim}}, l.Train)
		layer := Layer{Name: l.name(), Array: l.array(), Dim: l.Dim, DType: a.Info().DType}
		layer.Train = newSplit("train", a, trainLabels, "")
		layer.Train.Tags = trainTags
		if l.Test != nil {
			layer.Test = newSplit("test", array.Values(array.Info{Name: "test_" + l.array(), Shape: []int{len(l.Test) / l.Dim, l.Dim}}, l.Test), testLabels, "")
			layer.Test.Tags = testTags
		}
		if i == last {
			layer.Classifier = c
		}
		set.Layers = append(set.Layers, layer)
	}
	return set, nil
}

func (l Rows[T]) name() string {
	if l.Name == "" {
		return "features"
	}
	return l.Name
}

// array is how the layer would be called in a file.
func (l Rows[T]) array() string {
	if name := l.name(); name != "features" {
		return "features/" + name
	}
	return "features"
}

// read checks labels; those of tag sets are the places of the sets.
func (l Labels) read(name string, c *Classifier) ([]int64, *Tags, error) {
	if l.Tags == nil {
		return l.Classes, nil, checkLabels(name, l.Classes, c)
	}
	if c != nil && c.Classes != l.Count {
		return nil, nil, unlikeWeights(name, l.Count, c)
	}
	b := newTagger(l.Count)
	key := make([]byte, b.bytes)
	labels := make([]int64, len(l.Tags))
	for i, row := range l.Tags {
		clear(key)
		for _, tag := range row {
			if tag < 0 || tag >= l.Count {
				return nil, nil, array.Errorf(BadLabel, name, "row %d holds tag %d, expected 0..%d", i, tag, l.Count-1)
			}
			key[tag/8] |= 1 << (tag % 8)
		}
		labels[i] = b.place(key)
	}
	return labels, b.finish(labels), nil
}
