package dataset

import (
	"slices"
	"testing"
)

// glyphs is a set of images of one bright value per class, 4 x 6, three of each class.
func glyphs() *Set {
	s := &Set{Name: "glyphs", Shape: Shape{4, 6, 1}, Classes: []string{"a", "b", "c", "d"}}
	for _, p := range []*Split{&s.Train, &s.Test} {
		for i := range 12 {
			p.Labels = append(p.Labels, int32(i%4))
			for range 24 {
				p.Pixels = append(p.Pixels, uint8(40*(i%4+1)))
			}
		}
		p.Rows = 12
	}
	return s
}

// Every tag set has its samples, in order; a frame without shift shows each image whole in a quarter of its own.
func TestComposite(t *testing.T) {
	s, err := Composite{Train: map[int]int{1: 5, 2: 2, 3: 1}, Test: map[int]int{2: 3}, Seed: 7}.Make(glyphs())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if s.Train.Rows != 4*5+6*2+4 || s.Test.Rows != 6*3 || s.Shape != (Shape{8, 12, 1}) {
		t.Fatal(s.Train.Rows, s.Test.Rows, s.Shape)
	}
	if got := s.Counts(); !slices.Equal(got, []int{5 + 6 + 3, 5 + 6 + 3, 5 + 6 + 3, 5 + 6 + 3}) {
		t.Error("samples of each tag", got)
	}
	places := map[int]bool{}
	for row := range s.Train.Rows {
		frame := s.Train.Pixels[row*96 : (row+1)*96]
		var seen [4]bool
		for q := range 4 {
			v := frame[4*(q/2)*12+6*(q%2)]
			for y := range 4 {
				for x := range 6 {
					if frame[(4*(q/2)+y)*12+6*(q%2)+x] != v {
						t.Fatalf("row %d: a quarter holds several values", row)
					}
				}
			}
			if v > 0 {
				seen[v/40-1] = true
				places[q] = true
			}
		}
		for k, ok := range seen {
			if (s.Train.Tags[row*4+k] == 1) != ok {
				t.Errorf("row %d: tags %v, the frame shows %v", row, s.Train.Tags[row*4:row*4+4], seen)
			}
		}
	}
	if len(places) != 4 {
		t.Error("quarters used:", places)
	}
}

// The same seed gives the same frames, also where other tag sets are made beside them; shifts keep the light of an image.
func TestCompositeSeed(t *testing.T) {
	make1 := func(c Composite) *Set {
		s, err := c.Make(glyphs())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a := make1(Composite{Train: map[int]int{1: 4}, Shift: 3, Seed: 1})
	b := make1(Composite{Train: map[int]int{1: 4, 2: 3}, Test: map[int]int{1: 1}, Shift: 3, Seed: 1})
	if !slices.Equal(a.Train.Pixels, b.Train.Pixels[:len(a.Train.Pixels)]) {
		t.Error("frames depend on what else is made")
	}
	if c := make1(Composite{Train: map[int]int{1: 4}, Shift: 3, Seed: 2}); slices.Equal(a.Train.Pixels, c.Train.Pixels) {
		t.Error("another seed gives the same frames")
	}
	for row := range a.Train.Rows {
		n := 0
		for _, v := range a.Train.Pixels[row*96 : (row+1)*96] {
			if v > 0 {
				n++
			}
		}
		if n != 24 {
			t.Errorf("row %d: %d pixels of light, expected 24", row, n)
		}
	}
	half := make1(Composite{Train: map[int]int{1: 4}, Shift: 3, Seed: 1, Halve: true})
	if half.Shape != (Shape{4, 6, 1}) {
		t.Error(half.Shape)
	}
	for row := range a.Train.Rows { // the mean light is the same
		sum, light := 0.0, 0.0
		for _, v := range half.Train.Values[row*24 : (row+1)*24] {
			sum += float64(v) / 24
		}
		for _, v := range a.Train.Pixels[row*96 : (row+1)*96] {
			light += float64(v) / 255 / 96
		}
		if d := sum - light; d > 1e-6 || d < -1e-6 {
			t.Errorf("row %d: mean %v, halved %v", row, light, sum)
		}
	}
}

// Corners: the classes of a pair stand opposite each other, shifts go towards the middle, so nothing leaves the frame.
func TestCompositeCorners(t *testing.T) {
	s, err := Composite{Train: map[int]int{2: 20}, Layout: "corners", Shift: 3}.Make(glyphs())
	if err != nil {
		t.Fatal(err)
	}
	for row := range s.Train.Rows {
		frame, tags := s.Train.Pixels[row*96:(row+1)*96], s.Train.Tags[row*4:]
		first := uint8(40 * (slices.Index(tags[:4], 1) + 1))
		for y := range 8 {
			for x := range 12 {
				switch v := frame[y*12+x]; {
				case v == first && (y >= 4+3 || x >= 6+3), v > first && (y < 4-3 || x < 6-3):
					t.Fatalf("row %d: %d at %d, %d", row, v, y, x)
				}
			}
		}
	}
}

// Unequal tag sets fall from the count to its share.
func TestCompositeRatio(t *testing.T) {
	s, err := Composite{Train: map[int]int{1: 3, 2: 32}, Test: map[int]int{2: 2}, Ratio: map[int]float64{2: 32}}.Make(glyphs())
	if err != nil {
		t.Fatal(err)
	}
	if want := 12 + 32 + 16 + 8 + 4 + 2 + 1; s.Train.Rows != want || s.Test.Rows != 12 {
		t.Errorf("%d and %d rows, expected %d and 12", s.Train.Rows, s.Test.Rows, want)
	}
}

// Images of numbers give the frames that the same images of bytes give.
func TestCompositeOfNumbers(t *testing.T) {
	numbers := glyphs()
	for _, p := range []*Split{&numbers.Train, &numbers.Test} {
		for _, v := range p.Pixels {
			p.Values = append(p.Values, float32(v)/255)
		}
		p.Pixels = nil
	}
	for _, c := range []Composite{{Halve: true}, {Layout: "corners"}} {
		c.Train, c.Test, c.Shift = map[int]int{1: 2, 2: 3}, map[int]int{3: 1}, 2
		want, err := c.Make(glyphs())
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Make(numbers)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Train.Tags, want.Train.Tags) {
			t.Error("other tags")
		}
		for i, v := range got.Train.Values {
			w := float32(0)
			if c.Halve {
				w = want.Train.Values[i]
			} else {
				w = float32(want.Train.Pixels[i]) / 255
			}
			if diff := v - w; diff > 1e-6 || diff < -1e-6 {
				t.Fatalf("number %d is %v, expected %v", i, v, w)
			}
		}
		if len(got.Train.Values) != got.Train.Rows*got.Shape.Size() || got.Test.Rows != want.Test.Rows {
			t.Error(len(got.Train.Values), got.Train.Rows, got.Test.Rows)
		}
	}
}

func TestCompositeRefusals(t *testing.T) {
	one := map[int]int{1: 1}
	for want, c := range map[string]Composite{
		`composite: layout "middle", expected quarters or corners`:                                       {Train: one, Layout: "middle"},
		"composite: shift 4, expected 0 to 3":                                                            {Train: one, Shift: 4},
		"composite: no numbers of samples, expected some for 1 to 4 tags":                                {},
		"composite: train: 1 samples of each set of 4 tags, expected at least 1 of 1 to 3 tags":          {Train: map[int]int{4: 1}, Layout: "corners"},
		"composite: train: 0 samples of each set of 1 tags, expected at least 1 of 1 to 4 tags":          {Train: map[int]int{1: 0}},
		"composite: train: more than 10000000 samples of sets of 2 of 4 tags":                            {Train: map[int]int{2: 9_000_000}},
		"composite: ratio 0.5 of tag sets of 1, expected a number from 1 on, of a size that train names": {Train: one, Ratio: map[int]float64{1: .5}},
	} {
		if _, err := c.Make(glyphs()); err == nil || err.Error() != want {
			t.Errorf("%v, expected %s", err, want)
		}
	}
	empty := glyphs()
	empty.Test = Split{}
	if _, err := (Composite{Train: one, Test: one}).Make(empty); err == nil || err.Error() != "composite: test: class a has no image" {
		t.Error(err)
	}
}
