package decode

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/internal/array"
)

func example() *Model {
	return &Model{Tags: 3, Dim: 2, Names: []string{"cat", "dog", "é"}, Multiplicities: []int{1, 2},
		Prototypes: &Prototypes{Vectors: []float64{1, 0, -.5, .75, -.5, -.75}, Scale: []float64{1, .9}, Square: .8}}
}

func write(t *testing.T, fill func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := fill(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "p.npz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is written comes back, and decides alike.
func TestFile(t *testing.T) {
	m := example()
	back, err := Open(write(t, func(b *bytes.Buffer) error { return m.Write(b) }))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, m) {
		t.Errorf("%v, expected %v", back, m)
	}
	x := []float64{2, 0, -1, .1, .1, 1}
	for _, rule := range Rules()[:2] {
		a, b := make([]Answer, 3), make([]Answer, 3)
		if m.Decode(x, rule, 2, a) != nil || back.Decode(x, rule, 2, b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %v, read back %v", rule.Name, a, b)
		}
		if !reflect.DeepEqual(a[0].Tags, []int{0}) || math.Abs(a[0].Scores[0]-2.5) > 1e-15 || a[0].First[0] != 0 || len(a[0].First) != 2 ||
			math.Abs(a[0].Margin-(2+1)/.8) > 1e-15 {
			t.Errorf("%s: %v", rule.Name, a[0])
		}
	}
	if err := m.Decode(x, Rules()[4], 0, make([]Answer, 3)); err == nil || err.Error() != "rule gap: there is no classifier" {
		t.Error(err)
	}
}

// Files of something else, and files that disagree with themselves, are refused.
func TestBadFile(t *testing.T) {
	values := func(change func(v []npz.Values) []npz.Values) string {
		return write(t, func(b *bytes.Buffer) error {
			return npz.Write(b, change([]npz.Values{
				{Name: "vectors", Shape: []int{3, 2}, Floats: []float64{1, 0, -.5, .75, -.5, -.75}},
				{Name: "multiplicities", Shape: []int{2}, Ints: []int64{1, 2}},
				{Name: "scale", Shape: []int{2}, Floats: []float64{1, .9}},
				{Name: "square", Shape: []int{1}, Floats: []float64{.8}},
			})...)
		})
	}
	if _, err := Open(values(func(v []npz.Values) []npz.Values { return v })); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kind   error
		change func(v []npz.Values) []npz.Values
	}{
		"no vectors":     {array.NotFound, func(v []npz.Values) []npz.Values { return v[1:] }},
		"a vector":       {array.Malformed, func(v []npz.Values) []npz.Values { v[0].Shape = []int{6}; return v }},
		"not a number":   {array.NonFinite, func(v []npz.Values) []npz.Values { v[0].Floats[1] = math.NaN(); return v }},
		"scales":         {array.Mismatch, func(v []npz.Values) []npz.Values { v[2].Shape, v[2].Floats = []int{1}, v[2].Floats[:1]; return v }},
		"square":         {array.Malformed, func(v []npz.Values) []npz.Values { v[3].Floats[0] = 0; return v }},
		"multiplicities": {array.Malformed, func(v []npz.Values) []npz.Values { v[1].Ints[1] = 3; return v }},
		"order":          {array.Malformed, func(v []npz.Values) []npz.Values { v[1].Ints[0] = 2; return v }},
		"names": {array.Mismatch, func(v []npz.Values) []npz.Values {
			return append(v, npz.Values{Name: "names", Shape: []int{3}, Bytes: []byte("a\nb")})
		}},
	} {
		if _, err := Open(values(c.change)); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(write(t, func(b *bytes.Buffer) error { b.WriteString("label,x\n"); return nil })); !errors.Is(err, array.Unsupported) {
		t.Error(err)
	}
	if _, err := Open("nowhere.npz"); !errors.Is(err, array.Unreadable) {
		t.Error(err)
	}
}
