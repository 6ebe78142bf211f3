package features

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/collapsar/collapsar/features/npy"
	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/features/safetensors"
	"github.com/collapsar/collapsar/internal/array"
	ft "github.com/collapsar/collapsar/internal/formattest"
)

// Files written by numpy and safetensors themselves pass the suite of the formats.
func TestFilesOfOthers(t *testing.T) {
	types := map[string]DType{"bool": array.Bool, "i1": array.Int8, "u1": array.Uint8, "i2": array.Int16, "u2": array.Uint16, "i4": array.Int32,
		"u4": array.Uint32, "i8": array.Int64, "u8": array.Uint64, "f2": array.Float16, "f4": array.Float32, "f8": array.Float64}
	var all []ft.Array
	for _, name := range []string{"bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"} {
		all = append(all, ft.Matrix("features/"+name, types[name], 6, 3))
	}
	labels := ft.Array{Name: "labels", DType: array.Int64, Shape: []int{6}, Values: []float64{0, 1, 2, 0, 1, 2}}
	all = append(all, labels)
	var orders []ft.Array
	for _, name := range []string{"f2", "f4", "f8", "i4"} {
		for _, order := range []string{"_be", "_le_f", "_be_f"} {
			orders = append(orders, ft.Matrix("features/"+name+order, types[name], 6, 3))
		}
	}
	// Its writer sorts by type, then by name.
	var sorted []ft.Array
	for _, name := range []string{"features/u8", "features/i8", "labels", "features/f8", "features/f4", "features/u4", "features/i4", "features/f2", "features/u2", "features/i2", "features/i1", "features/u1", "features/bool"} {
		sorted = append(sorted, all[slices.IndexFunc(all, func(a ft.Array) bool { return a.Name == name })])
	}
	isNPY := ft.Format{Name: "npy", Sniff: npy.Sniff, Open: npy.Open}
	isNPZ := ft.Format{Name: "npz", Sniff: npz.Sniff, Open: npz.Open}
	isSafetensors := ft.Format{Name: "safetensors", Sniff: safetensors.Sniff, Open: safetensors.Open}
	short := labels
	short.DType = array.Uint16
	for _, c := range []struct {
		format ft.Format
		name   string
		arrays []ft.Array
	}{
		{isNPY, "float32.npy", []ft.Array{ft.Matrix("array", array.Float32, 6, 3)}},
		{isNPY, "float16_fortran.npy", []ft.Array{ft.Matrix("array", array.Float16, 6, 3)}},
		{isNPY, "version2.npy", []ft.Array{ft.Matrix("array", array.Float64, 6, 3)}},
		{isNPY, "version3.npy", []ft.Array{ft.Matrix("array", array.Float64, 6, 3)}},
		{isNPZ, "stored.npz", all},
		{isNPZ, "deflated.npz", all},
		{isNPZ, "orders.npz", orders},
		{isSafetensors, "numpy.safetensors", sorted},
		{isSafetensors, "bfloat16.safetensors", []ft.Array{labels, ft.Matrix("features", array.BFloat16, 6, 3)}},
	} {
		data, err := os.ReadFile("../testdata/formats/" + c.name)
		if err != nil {
			t.Fatal(err)
		}
		ft.Run(t, c.format, ft.Case{Name: c.name, Data: data, Arrays: c.arrays, Random: true})
	}
}

// open1 writes files to a folder and opens the first.
func open1(t *testing.T, o Options, files ...testFile) (*Set, error) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for _, f := range files {
		if err := os.WriteFile(f.name, f.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := Open(files[0].name, o)
	if err == nil {
		t.Cleanup(func() { set.Close() })
	}
	return set, err
}

type testFile struct {
	name string
	data []byte
}

func f32(name string, rows, cols int) ft.Array { return ft.Matrix(name, array.Float32, rows, cols) }

// ints is classes 0, 1, ..., k-1 again and again.
func ints(name string, n, k int) ft.Array {
	a := ft.Array{Name: name, DType: array.Int64, Shape: []int{n}}
	for i := range n {
		a.Values = append(a.Values, float64(i%k))
	}
	return a
}

func values(a ft.Array, t DType, v ...float64) ft.Array {
	a.DType, a.Values = t, v
	a.Shape = append([]int{len(v)}, a.Shape[1:]...)
	return a
}

func shaped(a ft.Array, shape ...int) ft.Array {
	a.Shape = shape
	return a
}

func archive(arrays ...ft.Array) testFile { return testFile{"a.npz", ft.NPZ(false, arrays...)} }

func plain(name string, a ft.Array) testFile { return testFile{name, ft.NPY(a, false, false)} }

// describe says what a set holds, in a line for each layer.
func describe(s *Set) []string {
	var lines []string
	for _, l := range s.Layers {
		line := fmt.Sprintf("%s=%s %s %dx%d %v", l.Name, l.Array, l.DType, l.Train.Rows, l.Dim, l.Train.Labels)
		if l.Test != nil {
			line += fmt.Sprintf(" test %dx%d %v", l.Test.Rows, l.Test.Dim, l.Test.Labels)
		}
		if l.OOD != nil {
			line += fmt.Sprintf(" ood %dx%d", l.OOD.Rows, l.OOD.Dim)
		}
		if l.Classifier != nil {
			line += fmt.Sprintf(" classifier %d bias %v", l.Classifier.Classes, l.Classifier.HasBias)
		}
		lines = append(lines, line)
	}
	for _, n := range s.Notes {
		lines = append(lines, n.Code+": "+n.Message)
	}
	return lines
}

func TestOpen(t *testing.T) {
	x, y, w, b := f32("features", 4, 3), ints("labels", 4, 2), f32("weights", 2, 3), ft.Vector("bias", array.Float32, 2)
	rename := func(a ft.Array, name string) ft.Array { a.Name = name; return a }
	for _, c := range []struct {
		name  string
		o     Options
		files []testFile
		want  []string
	}{
		{"plain", Options{}, []testFile{archive(x, y)}, []string{"features=features float32 4x3 [0 1 0 1]"}},
		{"classifier", Options{}, []testFile{archive(x, y, w, b)}, []string{"features=features float32 4x3 [0 1 0 1] classifier 2 bias true"}},
		{"no bias", Options{}, []testFile{archive(x, y, w)}, []string{"features=features float32 4x3 [0 1 0 1] classifier 2 bias false"}},
		{"bias column", Options{}, []testFile{archive(x, y, w, shaped(b, 2, 1))}, []string{"features=features float32 4x3 [0 1 0 1] classifier 2 bias true"}},
		{"deflated", Options{}, []testFile{{"x.bin", ft.NPZ(true, x, y)}}, []string{"features=features float32 4x3 [0 1 0 1]"}},
		{"safetensors", Options{}, []testFile{{"x", ft.Safetensors(x, y)}}, []string{"features=features float32 4x3 [0 1 0 1]"}},
		{"column labels", Options{}, []testFile{archive(x, shaped(y, 4, 1))}, []string{"features=features float32 4x3 [0 1 0 1]"}},
		{"float labels", Options{}, []testFile{archive(x, values(y, array.Float32, 0, 1, 1, 4e9))}, []string{"features=features float32 4x3 [0 1 1 4000000000]"}},
		{"bool labels", Options{}, []testFile{archive(x, values(y, array.Bool, 0, 1, 1, 0))}, []string{"features=features float32 4x3 [0 1 1 0]"}},
		{"uint64 labels", Options{}, []testFile{archive(x, values(y, array.Uint64, 0, 1, 1<<40, 0))}, []string{"features=features float32 4x3 [0 1 1099511627776 0]"}},
		{"one tag a row", Options{}, []testFile{archive(x, shaped(values(y, array.Float32, 1, 0, 0, .5, 1, 0, 0, 1), 4, 2))}, []string{"features=features float32 4x3 [0 1 0 1]"}},
		{"aliases", Options{}, []testFile{archive(rename(x, "embeddings"), rename(y, "targets"), rename(w, "fc.weight"), rename(b, "fc.bias"))}, []string{
			"features=embeddings float32 4x3 [0 1 0 1] classifier 2 bias true", "alias_taken: embeddings is taken as features",
			"alias_taken: targets is taken as labels", "alias_taken: fc.weight is taken as weights", "alias_taken: fc.bias is taken as bias"}},
		{"name before alias", Options{}, []testFile{archive(rename(x, "h"), x, rename(y, "y"), y)}, []string{"features=features float32 4x3 [0 1 0 1]"}},
		{"embeddings before inputs", Options{}, []testFile{archive(rename(f32("", 4, 9), "X"), rename(x, "h"), y)}, []string{"features=h float32 4x3 [0 1 0 1]", "alias_taken: h is taken as features"}},
		{"bias of the weights", Options{}, []testFile{archive(x, y, rename(w, "head.weight"), rename(b, "fc.bias"))}, []string{"features=features float32 4x3 [0 1 0 1] classifier 2 bias false", "alias_taken: head.weight is taken as weights"}},
		{"names", Options{Features: "p", Labels: "q", Weights: "r", Bias: "s"}, []testFile{archive(rename(x, "p"), rename(y, "q"), rename(w, "r"), rename(b, "s"))}, []string{"features=p float32 4x3 [0 1 0 1] classifier 2 bias true"}},
		{"one layer by name", Options{Features: "features/two"}, []testFile{archive(rename(x, "features/one"), rename(x, "features/two"), y)}, []string{"two=features/two float32 4x3 [0 1 0 1]"}},
		{"layers", Options{}, []testFile{archive(rename(x, "features/z"), f32("features/a", 4, 5), y, w, f32("test_features/z", 2, 3), f32("test_features/a", 2, 5), ints("test_labels", 2, 2), f32("ood_features", 3, 5))}, []string{
			"z=features/z float32 4x3 [0 1 0 1] test 2x3 [0 1] classifier 2 bias false", "a=features/a float32 4x5 [0 1 0 1] test 2x5 [0 1] ood 3x5"}},
		{"last layer of the width", Options{}, []testFile{archive(rename(x, "features/a"), rename(x, "features/b"), f32("features/c", 4, 2), y, w, f32("test_features", 2, 3), ints("test_labels", 2, 2))}, []string{
			"a=features/a float32 4x3 [0 1 0 1]", "b=features/b float32 4x3 [0 1 0 1] test 2x3 [0 1] classifier 2 bias false", "c=features/c float32 4x2 [0 1 0 1]"}},
		{"layer pattern", Options{Layer: "b*"}, []testFile{archive(rename(x, "features/a"), rename(x, "features/b1"), rename(x, "features/b2"), y)}, []string{"b1=features/b1 float32 4x3 [0 1 0 1]", "b2=features/b2 float32 4x3 [0 1 0 1]"}},
		{"alias layers", Options{}, []testFile{archive(rename(x, "h/one"), rename(x, "h/two"), y)}, []string{"one=h/one float32 4x3 [0 1 0 1]", "two=h/two float32 4x3 [0 1 0 1]", "alias_taken: h is taken as features"}},
		{"layers of safetensors", Options{}, []testFile{{"x", ft.Safetensors(rename(x, "features/block10"), rename(x, "features/block2"), y)}}, []string{
			"block2=features/block2 float32 4x3 [0 1 0 1]", "block10=features/block10 float32 4x3 [0 1 0 1]",
			"layer_order: safetensors files keep no order of arrays: layers are taken in the natural order of their names"}},
		{"unused test layer", Options{}, []testFile{archive(rename(x, "features/a"), y, f32("test_features/b", 2, 3), ints("test_labels", 2, 2))}, []string{"a=features/a float32 4x3 [0 1 0 1]", "unused_array: test_features/b belongs to no layer"}},
		{"test aliases", Options{}, []testFile{archive(rename(x, "feats"), y, f32("feats_test", 2, 3), ints("y_test", 2, 2))}, []string{"features=feats float32 4x3 [0 1 0 1] test 2x3 [0 1]",
			"alias_taken: feats is taken as features", "alias_taken: feats_test is taken as test_features", "alias_taken: y_test is taken as test_labels"}},
		{"npy and labels file", Options{LabelsFile: "y.npy"}, []testFile{plain("x.npy", x), plain("y.npy", y)}, []string{"features=array float32 4x3 [0 1 0 1]"}},
		{"labels in csv", Options{LabelsFile: "y.csv"}, []testFile{plain("x.npy", x), {"y.csv", []byte("label\n0\n1\n0\n1\n")}}, []string{"features=array float32 4x3 [0 1 0 1]"}},
		{"only array of a labels file", Options{LabelsFile: "y.npz"}, []testFile{plain("x.npy", x), {"y.npz", ft.NPZ(false, rename(y, "cls"))}}, []string{"features=array float32 4x3 [0 1 0 1]", "alias_taken: cls, the only array, is taken as labels"}},
		{"weights file", Options{WeightsFile: "w.st"}, []testFile{archive(x, y), {"w.st", ft.Safetensors(f32("conv.weight", 7, 7), rename(w, "fc.weight"), rename(b, "fc.bias"))}}, []string{
			"features=features float32 4x3 [0 1 0 1] classifier 2 bias true", "alias_taken: fc.weight is taken as weights", "alias_taken: fc.bias is taken as bias"}},
		{"weights npy", Options{WeightsFile: "w.npy"}, []testFile{archive(x, y), plain("w.npy", w)}, []string{"features=features float32 4x3 [0 1 0 1] classifier 2 bias false"}},
		{"test file", Options{TestFile: "t.npz"}, []testFile{archive(x, y), {"t.npz", ft.NPZ(false, f32("features", 2, 3), ints("labels", 2, 2))}}, []string{"features=features float32 4x3 [0 1 0 1] test 2x3 [0 1]"}},
		{"test npy and labels file", Options{TestFile: "t.npy", LabelsFile: "y.npz"}, []testFile{plain("x.npy", x), plain("t.npy", f32("", 2, 3)), {"y.npz", ft.NPZ(false, y, ints("test_labels", 2, 2))}}, []string{"features=array float32 4x3 [0 1 0 1] test 2x3 [0 1]"}},
		{"bfloat16", Options{BFloat16: true}, []testFile{archive(ft.Matrix("features", array.BFloat16, 4, 3), values(y, array.Uint16, 0, 1, 0, 1))}, []string{"features=features bfloat16 4x3 [0 1 0 1]"}},
		{"integers", Options{}, []testFile{archive(ft.Matrix("features", array.Int32, 4, 3), y)}, []string{"features=features int32 4x3 [0 1 0 1]"}},
		{"other arrays are no matter", Options{}, []testFile{{"a.npz", read(t, "../testdata/formats/other.npz")}}, []string{"features=features float32 6x3 [0 1 2 0 1 2]"}},
		{"csv", Options{}, []testFile{{"a.csv", []byte("a,b,label\n1,2,0\n3,4,1\n")}}, []string{"features=features float64 2x2 [0 1]"}},
		{"label columns", Options{LabelColumns: "last:2"}, []testFile{{"a.csv", []byte("a,b,p,q\n1,2,0,1\n3,4,1,0\n")}}, []string{"features=features float64 2x2 [1 0]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := open1(t, c.o, c.files...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, describe(set)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRefused(t *testing.T) {
	x, y, w, b := f32("features", 4, 3), ints("labels", 4, 2), f32("weights", 2, 3), ft.Vector("bias", array.Float32, 2)
	rename := func(a ft.Array, name string) ft.Array { a.Name = name; return a }
	two := func(name string) ft.Array {
		return shaped(values(ints(name, 4, 2), array.Uint8, 1, 0, 0, 1, 1, 1, 0, 1), 4, 2)
	}
	for _, c := range []struct {
		name  string
		o     Options
		files []testFile
		want  string
	}{
		// Names.
		{"no features", Options{}, []testFile{archive(rename(x, "featurs"), y)}, "a.npz: features: not_found: no array of this name or an alias of it; name it with --features; the file holds featurs (float32 4 x 3), labels (int64 4); did you mean featurs?"},
		{"wrong features", Options{Features: "emb"}, []testFile{archive(x, y)}, "a.npz: emb: not_found: no such array; the file holds features (float32 4 x 3), labels (int64 4)"},
		{"wrong labels", Options{Labels: "Label"}, []testFile{archive(x, y)}, "a.npz: Label: not_found: no such array; the file holds features (float32 4 x 3), labels (int64 4); did you mean labels?"},
		{"wrong weights", Options{Weights: "fc"}, []testFile{archive(x, y)}, "a.npz: fc: not_found: no such array; the file holds features (float32 4 x 3), labels (int64 4)"},
		{"wrong bias", Options{Bias: "fc"}, []testFile{archive(x, y, w)}, "a.npz: fc: not_found: no such array; the file holds features (float32 4 x 3), labels (int64 4), weights (float32 2 x 3)"},
		{"no labels", Options{}, []testFile{archive(x)}, "a.npz: labels: not_found: no array of this name or an alias of it; name it with --labels, or give --labels-file; the file holds features (float32 4 x 3)"},
		{"npy alone", Options{}, []testFile{plain("x.npy", x)}, "x.npy: labels: not_found: an .npy file holds features only; give the labels with --labels-file"},
		{"positional names", Options{}, []testFile{{"a.npz", read(t, "../testdata/formats/arrays.npz")}}, "a.npz: features: not_found: no array of this name or an alias of it; name it with --features; the file holds arr_0 (float32 6 x 3), arr_1 (int64 6)"},
		{"labels file without labels", Options{LabelsFile: "y.npz"}, []testFile{archive(x), {"y.npz", ft.NPZ(false, rename(y, "one"), rename(y, "two"))}}, "y.npz: labels: not_found: no array of this name or an alias of it; name it with --labels; the file holds one (int64 4), two (int64 4)"},
		{"weights file without weights", Options{WeightsFile: "w.npz"}, []testFile{archive(x, y), {"w.npz", ft.NPZ(false, rename(w, "one"), rename(w, "two"))}}, "w.npz: weights: not_found: no array of this name or an alias of it; name it with --weights; the file holds one (float32 2 x 3), two (float32 2 x 3)"},
		{"test file without features", Options{TestFile: "t.npz"}, []testFile{archive(x, y), {"t.npz", ft.NPZ(false, rename(w, "one"), rename(w, "two"))}}, "t.npz: test_features: not_found: no array of this name, nor features; the file holds one (float32 2 x 3), two (float32 2 x 3)"},
		{"ambiguous features", Options{}, []testFile{archive(rename(x, "h"), rename(x, "feats"), y)}, "a.npz: features: ambiguous: could be feats, h; name one with --features"},
		{"ambiguous labels", Options{}, []testFile{archive(x, rename(y, "y"), rename(y, "targets"))}, "a.npz: labels: ambiguous: could be targets, y; name one with --labels"},
		{"ambiguous test features", Options{}, []testFile{archive(x, y, rename(x, "test_h"), rename(x, "test_feats"))}, "a.npz: test_features: ambiguous: could be test_feats, test_h; call one test_features"},
		{"no such layer", Options{Layer: "blok1"}, []testFile{archive(rename(x, "features/block1"), rename(x, "features/block2"), y)}, "a.npz: blok1: not_found: no layer is called so; there are block1, block2; did you mean block1?"},
		{"bad pattern", Options{Layer: "[a"}, []testFile{archive(x, y)}, "a.npz: [a: not_found: not a pattern of layers: syntax error in pattern"},
		{"test rows without labels", Options{}, []testFile{archive(x, y, rename(x, "test_features"))}, "a.npz: test_labels: not_found: test rows (test_features) need labels; the file holds features (float32 4 x 3), labels (int64 4), test_features (float32 4 x 3)"},

		// Shapes.
		{"label count", Options{}, []testFile{archive(f32("features", 32, 3), ints("labels", 31, 2))}, "a.npz: labels: length_mismatch: labels: 31 rows, features: 32"},
		{"label count of a layer", Options{}, []testFile{archive(rename(x, "features/a"), f32("features/b", 5, 3), y)}, "a.npz: labels: length_mismatch: labels: 4 rows, features/b: 5"},
		{"label count of a file", Options{LabelsFile: "y.npy"}, []testFile{archive(x), plain("y.npy", ints("", 3, 2))}, "y.npy: array: length_mismatch: array: 3 rows, features: 4"},
		{"test label count", Options{}, []testFile{archive(x, y, rename(x, "test_features"), ints("test_labels", 3, 2))}, "a.npz: test_labels: length_mismatch: test_labels: 3 rows, test_features: 4"},
		{"test width", Options{}, []testFile{archive(x, y, f32("test_features", 2, 4), ints("test_labels", 2, 2))}, "a.npz: test_features: length_mismatch: 4 columns, features: 3"},
		{"ood width", Options{}, []testFile{archive(x, y, f32("ood_features", 2, 4))}, "a.npz: ood_features: length_mismatch: 4 columns, features: 3"},
		{"vector features", Options{}, []testFile{archive(shaped(x, 12), ints("labels", 12, 2))}, "a.npz: features: unsupported: float32 12, expected rows x columns; if it is one number a row, reshape it to (N, 1)"},
		{"three axes", Options{}, []testFile{archive(shaped(x, 2, 2, 3), ints("labels", 2, 2))}, "a.npz: features: unsupported: float32 2 x 2 x 3 has 3 axes, expected rows x columns; flatten it, x.reshape(len(x), -1), or average over positions first"},
		{"no rows", Options{}, []testFile{archive(f32("features", 0, 3), shaped(ft.Array{Name: "labels", DType: array.Int64}, 0))}, "a.npz: features: empty: no rows (float32 0 x 3)"},
		{"no columns", Options{}, []testFile{archive(f32("features", 4, 0), y)}, "a.npz: features: empty: no columns (float32 4 x 0)"},
		{"label axes", Options{}, []testFile{archive(x, shaped(y, 4, 1, 1))}, "a.npz: labels: unsupported: int64 4 x 1 x 1, expected one label a row"},
		{"label scalar", Options{}, []testFile{archive(x, ft.Array{Name: "labels", DType: array.Int64, Shape: []int{}, Values: []float64{1}})}, "a.npz: labels: unsupported: int64, expected one label a row"},
		{"label columns", Options{}, []testFile{archive(x, ft.Array{Name: "labels", DType: array.Int64, Shape: []int{4, 0}})}, "a.npz: labels: empty: no columns (int64 4 x 0)"},
		{"weights width", Options{}, []testFile{archive(x, y, f32("weights", 2, 4))}, "a.npz: weights: weights_mismatch: 4 columns, features: 3"},
		{"weights of no layer", Options{}, []testFile{archive(rename(x, "features/a"), f32("features/b", 4, 5), y, f32("weights", 2, 4))}, "a.npz: weights: weights_mismatch: 4 columns, features/a: 3, features/b: 5"},
		{"weights transposed", Options{}, []testFile{archive(x, y, f32("weights", 3, 2))}, "a.npz: weights: weights_mismatch: 2 columns, features: 3; it seems to be transposed"},
		{"weights vector", Options{}, []testFile{archive(x, y, shaped(w, 6))}, "a.npz: weights: weights_mismatch: float32 6, expected classes x columns"},
		{"bias length", Options{}, []testFile{archive(x, y, w, ft.Vector("bias", array.Float32, 3))}, "a.npz: bias: weights_mismatch: float32 3, weights: 2 rows"},
		{"text features", Options{Features: "names"}, []testFile{{"a.npz", read(t, "../testdata/formats/other.npz")}}, "a.npz: names: unsupported: text (<U3), expected numbers"},
		{"pickled labels", Options{Labels: "objects"}, []testFile{{"a.npz", read(t, "../testdata/formats/other.npz")}}, "a.npz: objects: unsupported: an object array, which is a pickle and could run code; save plain numbers, e.g. np.stack(list)"},
		{"dates as weights", Options{Weights: "dates"}, []testFile{{"a.npz", read(t, "../testdata/formats/other.npz")}}, "a.npz: dates: unsupported: dates (<M8[D]), expected numbers"},

		// Values.
		{"label beyond the classifier", Options{}, []testFile{archive(x, values(y, array.Int32, 0, 2, 1, -1), w, b)}, "a.npz: labels: label_out_of_range: 2 of 4 rows: row 1 holds 2, row 3 holds -1; expected 0..1, for weights has 2 rows"},
		{"negative label", Options{}, []testFile{archive(x, values(y, array.Int8, 0, 2, 1, -1))}, "a.npz: labels: label_out_of_range: 1 of 4 rows: row 3 holds -1; expected whole numbers from 0 on"},
		{"label half", Options{}, []testFile{archive(x, values(y, array.Float64, 0, .5, math.NaN(), 1))}, "a.npz: labels: label_out_of_range: 2 of 4 rows: row 1 holds 0.5, row 2 holds NaN; expected whole numbers from 0 on"},
		{"label infinite", Options{}, []testFile{archive(x, values(y, array.Float32, 0, math.Inf(1), 0, 1))}, "a.npz: labels: label_out_of_range: 1 of 4 rows: row 1 holds +Inf; expected whole numbers from 0 on"},
		{"label too large", Options{}, []testFile{archive(x, values(y, array.Uint64, 0, 1<<63, 0, 1))}, "a.npz: labels: label_out_of_range: row 1 holds 9223372036854775808: a label is an integer"},
		{"many bad labels", Options{}, []testFile{archive(f32("features", 9, 3), values(y, array.Int64, -1, -2, -3, -4, -5, -6, -7, -8, -9))}, "a.npz: labels: label_out_of_range: 9 of 9 rows: row 0 holds -1, row 1 holds -2, row 2 holds -3, row 3 holds -4, row 4 holds -5, ...; expected whole numbers from 0 on"},
		{"test label", Options{}, []testFile{archive(x, y, w, rename(x, "test_features"), values(ints("test_labels", 4, 2), array.Int64, 0, 0, 0, 2))}, "a.npz: test_labels: label_out_of_range: 1 of 4 rows: row 3 holds 2; expected 0..1, for weights has 2 rows"},
		{"two tags, no", Options{MultiLabel: "no"}, []testFile{archive(x, two("labels"))}, "a.npz: labels: multi_label: row 2 has 2 tags of 2, expected one with --multi-label no"},
		{"no tags, no", Options{MultiLabel: "no"}, []testFile{archive(x, shaped(values(y, array.Int8, 1, 0, 0, 0, 1, 0, 0, 1), 4, 2))}, "a.npz: labels: multi_label: row 1 has 0 tags of 2, expected one with --multi-label no"},
		{"no tags at all", Options{}, []testFile{archive(x, shaped(values(y, array.Int8, 0, 0, 0, 0, 0, 0, 0, 0), 4, 2))}, "a.npz: labels: empty: no row has a tag: all of int8 4 x 2 is 0"},
		{"tags and weights", Options{}, []testFile{archive(x, two("labels"), f32("weights", 3, 3))}, "a.npz: labels: weights_mismatch: 2 columns of tags, weights has 3 rows"},
		{"tags and test tags", Options{}, []testFile{archive(x, two("labels"), rename(x, "test_features"), shaped(values(ints("test_labels", 4, 2), array.Int8, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0), 4, 3))}, "a.npz: labels: length_mismatch: 2 columns of tags, elsewhere there are 3"},
		{"too many tags", Options{MultiLabel: "yes"}, []testFile{archive(x, values(y, array.Int64, 0, 1, 2, 1<<40))}, "a.npz: labels: too_large: 2147483648 tags, the limit is 1048576"},
		{"tag NaN", Options{}, []testFile{archive(x, shaped(values(y, array.Float32, 1, 0, 0, math.NaN(), 1, 0, 0, 1), 4, 2))}, "a.npz: labels: label_out_of_range: row 1, column 1 holds NaN, expected a tag: 0 or more"},
		{"negative byte", Options{}, []testFile{archive(x, shaped(values(y, array.Int8, 1, 0, 0, -1, 1, 0, 0, 1), 4, 2))}, "a.npz: labels: label_out_of_range: row 1, column 1 holds -1, expected a tag: 0 or more"},
		{"negative tag", Options{}, []testFile{archive(x, shaped(values(y, array.Float32, 1, 0, 0, -1, 1, 0, 0, 1), 4, 2))}, "a.npz: labels: label_out_of_range: row 1, column 1 holds -1, expected a tag: 0 or more"},
		{"weights not finite", Options{}, []testFile{archive(x, y, shaped(values(w, array.Float32, 1, 2, 3, 4, math.NaN(), 6), 2, 3))}, "a.npz: weights: nonfinite_rows: row 1, column 1 is NaN"},
		{"bias not finite", Options{}, []testFile{archive(x, y, w, values(b, array.Float32, 1, math.Inf(-1)))}, "a.npz: bias: nonfinite_rows: row 1, column 0 is -Inf"},
		{"labels beyond the budget", Options{Memory: 31}, []testFile{archive(x, y)}, "a.npz: labels: too_large: int64 4 takes 32 bytes, the budget is 31; raise --memory"},
		{"weights beyond the budget", Options{Memory: 47}, []testFile{archive(x, y, w)}, "a.npz: weights: too_large: float32 2 x 3 takes 48 bytes, the budget is 47; raise --memory"},

		// Files.
		{"no bytes", Options{}, []testFile{{"a.npz", nil}}, "a.npz: empty: the file has no bytes"},
		{"hdf5", Options{}, []testFile{{"a.h5", []byte("\x89HDF\r\n\x1a\n.......")}}, "a.h5: unsupported: HDF5 (or MATLAB 7.3); in Python: import h5py, numpy; f = h5py.File(IN); numpy.savez(OUT, **{k: f[k][()] for k in f})"},
		{"gzip", Options{}, []testFile{{"a.npy.gz", []byte("\x1f\x8b\x08.......")}}, "a.npy.gz: unsupported: gzip; unpack it first"},
		{"zip", Options{}, []testFile{{"a.zip", ft.Zip(ft.Entry{Name: "hello.txt"})}}, "a.zip: unsupported: a zip archive that is neither .npz nor .pt"},
		{"unknown", Options{}, []testFile{{"a.bin", []byte("\x00\x01\x02\x03")}}, `a.bin: unsupported: begins with "\x00\x01\x02\x03", which is none of npy, npz, safetensors, pt, parquet and csv`},
		{"labels file missing", Options{LabelsFile: "y.npy"}, []testFile{archive(x)}, "y.npy: unreadable: no such file or directory"},
		{"cut", Options{}, []testFile{{"x.npy", ft.NPY(x, false, false)[:150]}}, "x.npy: array: truncated: float32 4 x 3 takes 48 bytes, the file has 22"},
		{"directory", Options{LabelsFile: "."}, []testFile{archive(x)}, ".: unreadable: a directory, expected a file"},
		{"device", Options{LabelsFile: "/dev/null"}, []testFile{archive(x)}, "/dev/null: unreadable: a pipe or device, expected a file: its rows are read twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open1(t, c.o, c.files...)
			if err == nil || err.Error() != c.want {
				t.Fatalf("%v\nexpected: %s", err, c.want)
			}
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, e.Kind) || e.File == "" {
				t.Errorf("%#v", err)
			}
			// A listing says the same, where headers tell.
			if l, err := Inspect(c.files[0].name, c.o); err == nil && l.Err != nil && l.Err.Error() != c.want {
				t.Errorf("listing: %v", l.Err)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	t.Chdir(t.TempDir())
	file := archive(f32("features/a", 4, 3), f32("features/b", 4, 2), ints("labels", 4, 2), f32("weights", 2, 3), ft.Vector("bias", array.Float32, 2),
		f32("test_features/a", 2, 3), ints("test_labels", 2, 2), f32("ood_features", 2, 2), f32("pixels", 4, 9))
	if err := os.WriteFile(file.name, file.data, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Inspect(file.name, Options{})
	if err != nil || l.Err != nil {
		t.Fatal(err, l.Err)
	}
	var got []string
	for _, a := range l.Arrays {
		got = append(got, fmt.Sprintf("%s %s %v: %s", a.Name, a.DType, a.Shape, a.Role))
	}
	want := []string{
		"features/a float32 [4 3]: layer a", "features/b float32 [4 2]: layer b", "labels int64 [4]: labels",
		"weights float32 [2 3]: weights, of layer a", "bias float32 [2]: bias",
		"test_features/a float32 [2 3]: test rows of layer a", "test_labels int64 [2]: test labels",
		"ood_features float32 [2 2]: rows out of distribution for layer b", "pixels float32 [4 9]: ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if l.Format != "npz" || l.Size != int64(len(file.data)) {
		t.Error(l.Format, l.Size)
	}

	// What cannot be measured is listed all the same.
	other, _ := filepath.Abs("a.npz")
	if err := os.WriteFile(other, ft.NPZ(false, f32("p", 2, 2)), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err = Inspect("a.npz", Options{}); err != nil || len(l.Arrays) != 1 || !errors.Is(l.Err, NotFound) {
		t.Error(l, err)
	}
}

func TestTrajectory(t *testing.T) {
	t.Chdir(t.TempDir())
	npz := ft.NPZ(false, f32("features", 1, 1))
	for _, name := range []string{"run/ckpt_10.npz", "run/ckpt_9.npz", "run/ckpt_010b.npz", "run/final.npz", "run/.hidden.npz", "run/epoch3", "run/README.md", "run/step=5-loss=0.25.npz", "run/deep/x1.npz", "none/notes.txt"} {
		os.MkdirAll(filepath.Dir(name), 0o700)
		data := npz
		if strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".txt") {
			data = []byte("a,b\n1,2\n")
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	show := func(steps []Step) (s []string) {
		for _, x := range steps {
			if x.HasStep {
				s = append(s, fmt.Sprint(x.Path, " ", x.Step))
			} else {
				s = append(s, x.Path)
			}
		}
		return s
	}
	for _, c := range []struct {
		paths []string
		want  []string
		err   string
	}{
		{[]string{"run"}, []string{"run/ckpt_9.npz 9", "run/ckpt_10.npz 10", "run/ckpt_010b.npz 10", "run/epoch3 3", "run/final.npz", "run/step=5-loss=0.25.npz 25"}, ""},
		{[]string{"run/ckpt_*.npz"}, []string{"run/ckpt_9.npz 9", "run/ckpt_10.npz 10", "run/ckpt_010b.npz 10"}, ""},
		{[]string{"run/final.npz", "run/ckpt_10.npz", "run/ckpt_9.npz", "run/ckpt_9.npz"}, []string{"run/ckpt_9.npz 9", "run/ckpt_10.npz 10", "run/final.npz"}, ""},
		{[]string{"gone_7.npz"}, []string{"gone_7.npz 7"}, ""},
		{[]string{"x99999999999999999999.npz"}, []string{"x99999999999999999999.npz"}, ""},
		{[]string{"run/x*"}, nil, "run/x*: not_found: no file of this pattern"},
		{[]string{"run/[x"}, nil, "run/[x: not_found: not a pattern of files: syntax error in pattern"},
		{[]string{"none"}, nil, "none: empty: a directory without feature files"},
	} {
		steps, err := Trajectory(c.paths)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%v: %v\nexpected: %s", c.paths, err, c.err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, show(steps)); err != nil || diff != "" {
			t.Errorf("%v: %v\n%s", c.paths, err, diff)
		}
	}
}

func TestNatural(t *testing.T) {
	order := []string{"", "01", "1", "2", "10", "a", "a1", "a1b", "a2", "a10", "b"}
	for i, a := range order {
		for j, b := range order {
			if got := natural(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("natural(%q, %q) = %d", a, b, got)
			}
		}
	}
}

func TestBatches(t *testing.T) {
	x := f32("features", 10, 3)
	set, err := open1(t, Options{}, archive(x, ints("labels", 10, 2)))
	if err != nil {
		t.Fatal(err)
	}
	split := set.Layers[0].Train
	var got []float64
	var labels []int64
	for b, err := range split.Batches(t.Context(), 4) {
		if err != nil || b.First != len(labels) || b.Float64 != nil || len(b.Float32) != b.Rows*b.Dim {
			t.Fatal(b, err)
		}
		for _, v := range b.Float32 {
			got = append(got, float64(v))
		}
		labels = append(labels, b.Labels...)
	}
	if !slices.Equal(got, x.Values) || !slices.Equal(labels, split.Labels) {
		t.Error(got, labels)
	}

	before := runtime.NumGoroutine()
	for range 10 {
		for range split.Batches(t.Context(), 1) {
			break
		}
	}
	left := func() int { return runtime.NumGoroutine() - before }
	for deadline := time.Now().Add(10 * time.Second); left() > 0 && time.Now().Before(deadline); { // those that are told to end take their time
		time.Sleep(time.Millisecond)
	}
	if n := left(); n > 0 {
		t.Errorf("%d goroutines are left", n)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range split.Batches(ctx, 1) {
		if n++; n == 3 {
			cancel()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if n > 7 {
		t.Errorf("%d batches after cancelling", n)
	}

	// The file gets shorter while it is open.
	if err := os.Truncate("a.npz", 100); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range split.Batches(t.Context(), 4) {
		last = err
	}
	if want := "a.npz: features: truncated: the data end at byte 0, more were declared"; last == nil || !errors.Is(last, Truncated) || !strings.HasPrefix(last.Error(), want[:40]) {
		t.Errorf("%v, expected %s", last, want)
	}
}

func TestDamagedRows(t *testing.T) {
	file := archive(f32("features", 100, 5), ints("labels", 100, 2))
	file.data[1000] ^= 1
	set, err := open1(t, Options{}, file)
	if err != nil {
		t.Fatal(err)
	}
	var last error
	n := 0
	for _, err := range set.Layers[0].Train.Batches(t.Context(), 7) {
		last = err
		n++
	}
	if last == nil || n != 15 || !strings.HasPrefix(last.Error(), "a.npz: features: malformed: CRC-32 of the data is ") {
		t.Errorf("batch %d: %v", n, last)
	}
}

func TestFrom(t *testing.T) {
	set, err := From([]float64{1, 2, 3, 4, 5, 6}, 2, []int64{0, 1, 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	if err := set.Layers[0].Train.Read(&b, 1, 2); err != nil || !slices.Equal(b.Float64, []float64{3, 4, 5, 6}) || !slices.Equal(b.Labels, []int64{1, 1}) {
		t.Error(b, err)
	}
	for want, f := range map[string]func() error{
		"labels: length_mismatch: labels: 2 rows, features: 3": func() error { _, err := From(make([]float32, 6), 2, make([]int64, 2), nil); return err },
		"features: empty: 6 numbers in rows of 0":              func() error { _, err := From(make([]float32, 6), 0, nil, nil); return err },
		"weights: weights_mismatch: 3 columns, features have 2": func() error {
			_, err := From(make([]float32, 6), 2, make([]int64, 3), &Classifier{Classes: 1, Dim: 3, Weights: make([]float64, 3), Bias: make([]float64, 1)})
			return err
		},
		"labels: label_out_of_range: 1 of 3 rows: row 1 holds -4; expected whole numbers from 0 on": func() error { _, err := From(make([]float32, 6), 2, []int64{0, -4, 0}, nil); return err },
	} {
		if err := f(); err == nil || err.Error() != want {
			t.Errorf("%v\nexpected: %s", err, want)
		}
	}
}

// Rows of a file far larger than the memory allowed.
func TestLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("a file of 5 GB, though without blocks on disk")
	}
	const rows, cols = 2_500_000, 512
	t.Chdir(t.TempDir())
	head := ft.NPYHeader(fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d)}", rows, cols))
	os.WriteFile("x.npy", head, 0o600)
	if err := os.Truncate("x.npy", int64(len(head))+4*rows*cols); err != nil {
		t.Skip(err)
	}
	y := ft.NPYHeader(fmt.Sprintf("{'descr': '|u1', 'fortran_order': False, 'shape': (%d,)}", rows))
	os.WriteFile("y.npy", append(y, make([]byte, rows)...), 0o600)
	set, err := Open("x.npy", Options{LabelsFile: "y.npy"})
	if err != nil {
		t.Skip(err) // no file system for it
	}
	defer set.Close()
	var b Batch
	if err := set.Layers[0].Train.Read(&b, rows-10, 10); err != nil {
		t.Error(err)
	}
	if err := set.Layers[0].Train.Read(&b, rows-10, 11); err == nil || errors.Is(err, io.EOF) {
		t.Error("a row beyond the last was read")
	}
}

// Whatever the bytes, opening and reading a set ends with a result or an *Error.
func FuzzOpen(f *testing.F) {
	x, y, w := f32("features", 4, 3), ints("labels", 4, 2), f32("weights", 2, 3)
	f.Add(ft.NPZ(false, x, y, w, ft.Vector("bias", array.Float32, 2)))
	f.Add(ft.NPZ(true, f32("h/a", 4, 2), f32("h/b", 4, 3), y, w, f32("test_features", 2, 3), ints("test_labels", 2, 2)))
	f.Add(ft.Safetensors(x, shaped(values(y, array.Float32, 1, 0, 0, 1, 1, 0, 0, 1), 4, 2)))
	f.Add([]byte("a,b,label\n1,2,0\n3,4,1\n"))
	f.Add(ft.NPY(x, false, false))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := OpenReaderAt(bytes.NewReader(data), int64(len(data)), "f", Options{Memory: 8 << 20})
		var known *Error
		if err != nil {
			if !errors.As(err, &known) || known.File != "f" {
				t.Fatalf("%#v", err)
			}
			return
		}
		defer set.Close()
		for _, l := range set.Layers {
			for _, s := range []*Split{l.Train, l.Test, l.OOD} {
				if s == nil || s.Dim > 1<<12 {
					continue
				}
				n := 0
				for b, err := range s.Batches(context.Background(), 5) {
					if err != nil && !errors.As(err, &known) {
						t.Fatalf("%#v", err)
					}
					if n += b.Rows; n > 1000 {
						break
					}
				}
			}
		}
	})
}
