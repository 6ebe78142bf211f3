package train

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/collapsar/collapsar/dataset"
	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/features/safetensors"
	"github.com/collapsar/collapsar/internal/atomicfile"
)

// checkExport wants a name of a format that features are exported to, in a folder that is there: it would be too late to find out
// after the training.
func checkExport(path string) error {
	if path == "" {
		return nil
	}
	if ext := filepath.Ext(path); ext != ".npz" && ext != ".safetensors" {
		return fmt.Errorf("%s: features are exported to .npz and .safetensors files", path)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%s: its folder is not there: %w", path, err)
	}
	return nil
}

// export writes the features of the last measurement, with labels and classifier, to a file that can be measured.
func (r *run[T]) export(path string) error {
	var arrays []safetensors.Values
	for _, part := range []struct {
		prefix string
		split  *dataset.Split
		rows   func(i int) []T
	}{{"", &r.set.Train, func(i int) []T { return r.kept.train[i] }}, {"test_", &r.set.Test, func(i int) []T { return r.kept.test[i] }}} {
		if part.split.Rows == 0 {
			continue
		}
		for i, t := range r.taps {
			name := part.prefix + "features"
			switch {
			case len(r.taps) == 1:
			case filepath.Ext(path) == ".safetensors": // layers are read in the order of their names
				name += fmt.Sprintf("/%02d_%s", i+1, t.name)
			default:
				name += "/" + t.name
			}
			arrays = append(arrays, tensorValues(name, []int{part.split.Rows, t.dim}, part.rows(i)))
		}
		labels := safetensors.Values{Name: part.prefix + "labels", Shape: []int{part.split.Rows}}
		if part.split.Tags != nil {
			labels.Shape, labels.Bytes = append(labels.Shape, len(r.set.Classes)), part.split.Tags
		} else {
			labels.Ints = make([]int64, part.split.Rows)
			for i, y := range part.split.Labels {
				labels.Ints[i] = int64(y)
			}
		}
		arrays = append(arrays, labels)
	}
	if w, b, k, d := r.net.Classifier(); len(w) > 0 && d == r.taps[len(r.taps)-1].dim {
		arrays = append(arrays, tensorValues("weights", []int{k, d}, w))
		if b != nil {
			arrays = append(arrays, tensorValues("bias", []int{k}, b))
		}
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		if filepath.Ext(path) == ".safetensors" {
			return safetensors.Write(w, nil, arrays...)
		}
		members := make([]npz.Values, len(arrays))
		for i, a := range arrays {
			members[i] = npz.Values(a)
		}
		return npz.Write(w, members...)
	})
}
