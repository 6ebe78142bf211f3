package features

import (
	"slices"
	"testing"
)

// Layers in memory are what a file of the same arrays would be.
func TestFromLayers(t *testing.T) {
	c := &Classifier{Classes: 3, Dim: 2, Weights: make([]float64, 6), Bias: make([]float64, 3)}
	layers := []Rows[float32]{
		{Name: "block1", Dim: 1, Train: []float32{1, 2, 3, 4}, Test: []float32{5, 6}},
		{Dim: 2, Train: []float32{1, 2, 3, 4, 5, 6, 7, 8}, Test: []float32{-1, -2, -3, -4}},
	}
	set, err := FromLayers("run", layers, Labels{Classes: []int64{0, 1, 2, 0}}, Labels{Classes: []int64{1, 2}}, c)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range set.Layers {
		names = append(names, l.Name)
		if l.Train.Rows != 4 || l.Test.Rows != 2 || (l.Classifier == c) != (l.Name == "features") {
			t.Errorf("%+v", l)
		}
	}
	if !slices.Equal(names, []string{"block1", "features"}) || set.Source != "run" {
		t.Errorf("%v of %s", names, set.Source)
	}
	var b Batch
	if err := set.Layers[1].Test.Read(&b, 1, 1); err != nil || !slices.Equal(b.Float32, []float32{-3, -4}) || !slices.Equal(b.Labels, []int64{2}) {
		t.Errorf("%+v, %v", b, err)
	}
	tags := Labels{Tags: [][]int{{0}, {0, 2}, {}, {1}}, Count: 3}
	if set, err = FromLayers("", layers, tags, Labels{Tags: [][]int{{2}, {1}}, Count: 3}, c); err != nil {
		t.Fatal(err)
	}
	l := set.Layers[0]
	if got := l.Train.Tags.Sets[l.Train.Labels[1]]; !slices.Equal(got, []int{0, 2}) || len(l.Test.Tags.Sets) != 2 {
		t.Errorf("tags %v of row 1, %v", got, l.Test.Tags)
	}
	for want, labels := range map[string][2]Labels{
		"labels: length_mismatch: labels: 3 rows, features/block1: 4":                {{Classes: []int64{0, 1, 2}}, {Classes: []int64{1, 2}}},
		"test_labels: length_mismatch: test_labels: 0 rows, test_features/block1: 2": {{Classes: []int64{0, 1, 2, 0}}, {}},
		"test_labels: label_out_of_range: row 0 holds tag 3, expected 0..2":          {tags, {Tags: [][]int{{3}, {1}}, Count: 3}},
		"labels: weights_mismatch: 4 columns of tags, weights has 3 rows":            {{Tags: tags.Tags, Count: 4}, {Tags: [][]int{{2}, {1}}, Count: 4}},
	} {
		if _, err := FromLayers("", layers, labels[0], labels[1], c); err == nil || err.Error() != want {
			t.Errorf("%v, wanted %s", err, want)
		}
	}
}
