package safetensors

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
)

// What was written is read back bit for bit, and twice the same gives the same bytes.
func TestWrite(t *testing.T) {
	meta := map[string]string{"format": "pt", "a \"quoted\" ünï": "{}"}
	tensors := []Values{
		{Name: "layer1.0.conv1.weight", Shape: []int{2, 1, 3}, Singles: []float32{1, -0.5, math.SmallestNonzeroFloat32, 3, 4, math.MaxFloat32}},
		{Name: "bn1.num_batches_tracked", Ints: []int64{1 << 40}},
		{Name: "f64", Shape: []int{1}, Floats: []float64{math.Pi}},
		{Name: "u8", Shape: []int{3}, Bytes: []uint8{0, 1, 255}},
		{Name: "none", Shape: []int{0, 4}},
	}
	var b, again bytes.Buffer
	for _, w := range []*bytes.Buffer{&b, &again} {
		if err := Write(w, meta, tensors...); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Error("not the same bytes twice")
	}
	r, size := bytes.NewReader(b.Bytes()), int64(b.Len())
	f, err := Open(r, size, array.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !Sniff(b.Bytes()) || len(f.Arrays()) != len(tensors) {
		t.Fatalf("%v", f.Arrays())
	}
	for i, info := range f.Arrays() {
		want := tensors[i]
		if info.Name != want.Name || !slices.Equal(info.Shape, want.Shape) {
			t.Errorf("%v, wanted %s %v", info, want.Name, want.Shape)
		}
		a, err := f.Open(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		n := info.Rows() * info.Width()
		values := slices.Clone(want.Floats)
		for _, v := range want.Singles {
			values = append(values, float64(v))
		}
		for _, v := range want.Ints {
			values = append(values, float64(v))
		}
		for _, v := range want.Bytes {
			values = append(values, float64(v))
		}
		got := make([]float64, n)
		if info.DType == array.Int64 {
			ints := make([]int64, n)
			if err := a.Int64s(ints, 0); err != nil || !slices.Equal(ints, want.Ints) {
				t.Errorf("%s: %v, %v", info.Name, ints, err)
			}
			continue
		}
		if err := a.Float64s(got, 0); err != nil || !slices.Equal(got, values) {
			t.Errorf("%s: %v, %v", info.Name, got, err)
		}
	}
	if got, err := Metadata(r, size, array.Options{}); err != nil || !maps.Equal(got, meta) {
		t.Errorf("%v, %v", got, err)
	}
	if err := Write(new(bytes.Buffer), nil, Values{Name: "x", Shape: []int{2}, Singles: []float32{1}}); err == nil || err.Error() != "safetensors: x: 1 elements, shape [2] has 2" {
		t.Errorf("%v", err)
	}
}
