package features

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
	ft "github.com/collapsar/collapsar/internal/formattest"
)

func tagged(t *testing.T, o Options, labels ft.Array, more ...ft.Array) *Set {
	t.Helper()
	rows := labels.Shape[0]
	files := archive(append([]ft.Array{f32("features", rows, 3), labels}, more...)...)
	set, err := open1(t, o, files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

// Tag sets stand by size and then by their tags, whatever the order of the rows.
func TestTagSets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const k, n = 70, 400 // more tags than a word has bits
	rows := make([][]int, n)
	for i := range rows {
		for range rng.IntN(4) {
			if tag := rng.IntN(6) * 13; !slices.Contains(rows[i], tag) {
				rows[i] = append(rows[i], tag)
			}
		}
	}
	var first *Tags
	for range 3 {
		set, err := FromTags(make([]float32, n*2), 2, k, rows, nil)
		if err != nil {
			t.Fatal(err)
		}
		split := set.Layers[0].Train
		for i, y := range split.Labels {
			want := slices.Sorted(slices.Values(rows[i]))
			if !slices.Equal(split.Tags.Sets[y], want) {
				t.Fatalf("row %d: %v, expected %v", i, split.Tags.Sets[y], want)
			}
		}
		if first == nil {
			first = split.Tags
		}
		if !reflect.DeepEqual(split.Tags, first) {
			t.Error("the order of the rows shows in the tag sets")
		}
		for i, s := range split.Tags.Sets[1:] {
			if before := split.Tags.Sets[i]; len(before) > len(s) || len(before) == len(s) && slices.Compare(before, s) >= 0 {
				t.Errorf("%v stands before %v", before, s)
			}
		}
		rng.Shuffle(n, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
	if m := first.Multiplicities(); !slices.Equal(m, []int{0, 1, 2, 3}) {
		t.Error("multiplicities", m)
	}
}

// One tag in every row is a class, unless it is said otherwise; one row elsewhere with two makes tag sets of all.
func TestOneTagEach(t *testing.T) {
	one := shaped(values(ints("labels", 4, 2), array.Int8, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0), 4, 3)
	set := tagged(t, Options{}, one)
	if s := set.Layers[0].Train; s.Tags != nil || !slices.Equal(s.Labels, []int64{2, 0, 1, 0}) {
		t.Error(s.Tags, s.Labels)
	}
	want := [][]int{{0}, {1}, {2}}
	set = tagged(t, Options{MultiLabel: "yes"}, one)
	if s := set.Layers[0].Train; s.Tags == nil || !reflect.DeepEqual(s.Tags.Sets, want) || !slices.Equal(s.Labels, []int64{2, 0, 1, 0}) {
		t.Error(s.Tags, s.Labels)
	}
	classes := values(ints("labels", 4, 2), array.Int8, 2, 0, 1, 0)
	set = tagged(t, Options{MultiLabel: "yes"}, classes, f32("weights", 4, 3))
	if s := set.Layers[0].Train; s.Tags.Count != 4 || !reflect.DeepEqual(s.Tags.Sets, want) {
		t.Error(s.Tags)
	}
	two := shaped(values(ints("test_labels", 4, 2), array.Int8, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0), 4, 3)
	set = tagged(t, Options{}, one, f32("test_features", 4, 3), two)
	if l := set.Layers[0]; l.Train.Tags == nil || !reflect.DeepEqual(l.Test.Tags.Sets, [][]int{{0}, {1}, {1, 2}}) {
		t.Error(l.Train.Tags, l.Test.Tags)
	}
}

// Numbers other than 0 and 1 are tags where they are above 0, and that is noted.
func TestWeightedTags(t *testing.T) {
	set := tagged(t, Options{}, shaped(values(ints("labels", 2, 2), array.Float32, .5, .5, 0, 1), 2, 2))
	s := set.Layers[0].Train
	if !reflect.DeepEqual(s.Tags.Sets, [][]int{{1}, {0, 1}}) || !s.Tags.Weighted {
		t.Error(s.Tags)
	}
	if len(set.Notes) != 1 || set.Notes[0].Code != "label_weights" {
		t.Error(set.Notes)
	}
}

// Lists of words are tags in the order of the words, over all splits; lists of numbers are those tags; an empty cell is none.
func TestTagLists(t *testing.T) {
	open := func(o Options, train, test string) (*Set, error) {
		dir := t.TempDir()
		path := filepath.Join(dir, "train.csv")
		if err := os.WriteFile(path, []byte(train), 0o644); err != nil {
			t.Fatal(err)
		}
		if test != "" {
			o.TestFile = filepath.Join(dir, "test.csv")
			if err := os.WriteFile(o.TestFile, []byte(test), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return Open(path, o)
	}
	set, err := open(Options{}, "x,y0,tags\n1,2,dog;cat\n3,4,\n5,6,dog\n7,8,cat;dog;cat\n", "x,y0,tags\n1,2,ant\n3,4,dog|bee\n")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	l := set.Layers[0]
	if got := l.Train.Tags; !slices.Equal(got.Names, []string{"ant", "bee", "cat", "dog"}) || got.Count != 4 || !reflect.DeepEqual(got.Sets, [][]int{{}, {3}, {2, 3}}) || !slices.Equal(l.Train.Labels, []int64{2, 0, 1, 2}) {
		t.Error(got, l.Train.Labels)
	}
	if got := l.Test.Tags; got.Count != 4 || !reflect.DeepEqual(got.Sets, [][]int{{0}, {1, 3}}) {
		t.Error(got)
	}
	set, err = open(Options{}, "x,y0,labels\n1,2,0;3\n3,4,\n5,6,2\n", "x,y0,labels\n1,2,7\n3,4,1;2\n")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if got := set.Layers[0].Train.Tags; got.Names != nil || got.Count != 8 || !reflect.DeepEqual(got.Sets, [][]int{{}, {2}, {0, 3}}) {
		t.Error(got)
	}
	// One tag in every row is a class.
	set, err = open(Options{}, "x,y0,tags\n1,2,dog\n3,4,cat\n", "")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if s := set.Layers[0].Train; s.Tags != nil || !slices.Equal(s.Labels, []int64{1, 0}) {
		t.Error(s.Tags, s.Labels)
	}
	for _, c := range []struct {
		train, test string
		kind        error
	}{
		{"x,y0,tags\n1,2,\n3,4,\n", "", Empty},
		{"x,y0,tags\n1,2,a;b\n", "x,y0,tags\n1,2,3;4\n", Mismatch},
	} {
		if _, err := open(Options{}, c.train, c.test); !errors.Is(err, c.kind) {
			t.Errorf("%q: %v", c.train, err)
		}
	}
	weights := filepath.Join(t.TempDir(), "w.csv")
	if err := os.WriteFile(weights, []byte("a,b\n1,2\n3,4\n5,6\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{WeightsFile: weights, Weights: "features"}
	if _, err := open(o, "x,y0,tags\n1,2,a;b\n", ""); !errors.Is(err, BadWeights) {
		t.Error(err)
	}
	set, err = open(o, "x,y0,tags\n1,2,0;1\n", "")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if k := set.Layers[0].Train.Tags.Count; k != 3 {
		t.Errorf("%d tags, the classifier has 3", k)
	}
}

// Matrices of labels of every type and width say what their elements say, over several turns and with labels of every kind.
func TestTagMatrices(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, k := range []int{2, 7, 8, 9, 16, 23, 70, labelBlock/2 + 1} {
		const rows = turnBlocks + 6 // of the widest matrix a block each
		for _, of := range []struct {
			dtype array.DType
			most  int
		}{{array.Bool, 1}, {array.Uint8, 1}, {array.Uint8, 2}, {array.Uint8, 3}, {array.Int8, 1}, {array.Int64, 1}, {array.Float32, 2}} {
			if k > 70 && of.dtype != array.Uint8 {
				continue
			}
			labels := ints("labels", rows*k, 1)
			v := make([]float64, rows*k)
			want := make([][]int, rows)
			for i := range rows {
				for range 1 + rng.IntN(3) {
					j := rng.IntN(min(k, 9)) * ((k - 1) / min(k-1, 8))
					v[i*k+j] = float64(1 + rng.IntN(of.most))
				}
				for j := range k {
					if v[i*k+j] > 0 {
						want[i] = append(want[i], j)
					}
				}
			}
			file := ft.NPZ(of.most == 3, f32("features", rows, 3), shaped(values(labels, of.dtype, v...), rows, k)) // deflated or not
			set, err := open1(t, Options{MultiLabel: "yes"}, testFile{"a.npz", file})
			if err != nil {
				t.Fatal(err)
			}
			s := set.Layers[0].Train
			for i, y := range s.Labels {
				if !slices.Equal(s.Tags.Sets[y], want[i]) {
					t.Fatalf("%s, %d columns, row %d: %v, expected %v", of.dtype, k, i, s.Tags.Sets[y], want[i])
				}
			}
			if s.Tags.Weighted != (of.most > 1) {
				t.Errorf("%s up to %d: weighted %v", of.dtype, of.most, s.Tags.Weighted)
			}
			set.Close()
		}
	}
}
