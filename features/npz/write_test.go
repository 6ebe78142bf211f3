package npz_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/internal/array"
)

// TestWrite reads back what was written, bit for bit.
func TestWrite(t *testing.T) {
	want := []float64{1, -0.1, math.Pi, 5e-324, math.MaxFloat64, 0}
	var b bytes.Buffer
	err := npz.Write(&b, npz.Values{Name: "features", Shape: []int{3, 2}, Floats: want}, npz.Values{Name: "labels", Shape: []int{3}, Ints: []int64{0, 1, 1 << 40}},
		npz.Values{Name: "f32", Shape: []int{2}, Singles: []float32{1.5, math.SmallestNonzeroFloat32}}, npz.Values{Name: "u8", Shape: []int{1, 3}, Bytes: []uint8{0, 7, 255}})
	if err != nil {
		t.Fatal(err)
	}
	if !npz.Sniff(b.Bytes()) {
		t.Error("not known as an .npz file")
	}
	f, err := npz.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), array.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	infos := f.Arrays()
	if len(infos) != 4 || infos[0].Name != "features" || !slices.Equal(infos[0].Shape, []int{3, 2}) || infos[0].DType != array.Float64 ||
		infos[1].Name != "labels" || !slices.Equal(infos[1].Shape, []int{3}) || infos[1].DType != array.Int64 {
		t.Fatalf("%+v", infos)
	}
	features, err := f.Open("features")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, len(want))
	if err := features.Float64s(got, 0); err != nil || !slices.Equal(got, want) {
		t.Errorf("features %v, %v, wanted %v", got, err, want)
	}
	for name, want := range map[string][]float64{"f32": {1.5, math.SmallestNonzeroFloat32}, "u8": {0, 7, 255}} {
		a, err := f.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, len(want))
		if err := a.Float64s(got, 0); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s %v, %v, wanted %v", name, got, err, want)
		}
	}
	labels, err := f.Open("labels")
	if err != nil {
		t.Fatal(err)
	}
	ints := make([]int64, 3)
	if err := labels.Int64s(ints, 0); err != nil || !slices.Equal(ints, []int64{0, 1, 1 << 40}) {
		t.Errorf("labels %v, %v", ints, err)
	}
}
