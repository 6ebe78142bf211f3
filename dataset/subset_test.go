package dataset

import (
	"math"
	"slices"
	"testing"
)

func must(t testing.TB) func(*Set, error) *Set {
	return func(s *Set, err error) *Set {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// rowsOf is where the training rows of a part lie in the whole, by their pixels, which are all different.
func rowsOf(t *testing.T, part, whole *Set) []int {
	t.Helper()
	size := whole.Shape.Size()
	var rows []int
	for i := range part.Train.Rows {
		found := -1
		for j := range whole.Train.Rows {
			if slices.Equal(part.Train.Pixels[i*size:(i+1)*size], whole.Train.Pixels[j*size:(j+1)*size]) {
				found = j
			}
		}
		if found < 0 {
			t.Fatalf("row %d is not in the whole", i)
		}
		rows = append(rows, found)
	}
	return rows
}

func TestSubsets(t *testing.T) {
	set := toy(Shape{2, 4, 1}, 40, 30, 8)
	before := set.Hash()
	first := must(t)(set.FirstPerClass(10))
	if got := first.Counts(); !slices.Equal(got, []int{10, 10, 8}) {
		t.Errorf("counts %v, want 10 10 8", got)
	}
	// np.sort(np.concatenate([np.flatnonzero(y == c)[:10] for c in range(3)]))
	var want []int
	taken := make([]int, 3)
	for i, c := range set.Train.Labels {
		if taken[c]++; taken[c] <= 10 {
			want = append(want, i)
		}
	}
	if got := rowsOf(t, first, set); !slices.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}

	a, b := must(t)(set.Balanced(5, 1)), must(t)(set.Balanced(5, 2))
	if rows := rowsOf(t, a, set); !slices.Equal(a.Counts(), []int{5, 5, 5}) || !slices.IsSorted(rows) {
		t.Errorf("counts %v of rows %v", a.Counts(), rows)
	}
	if a.Hash() == b.Hash() || a.Hash() != must(t)(set.Balanced(5, 1)).Hash() {
		t.Error("a balanced subset is not a function of its seed")
	}
	if all := must(t)(set.Balanced(0, 1)); !slices.Equal(all.Counts(), []int{8, 8, 8}) {
		t.Errorf("counts %v, want 8 8 8", all.Counts())
	}

	kept := must(t)(set.Keep(2, 0))
	if !slices.Equal(kept.Classes, []string{"2", "0"}) || !slices.Equal(kept.Counts(), []int{8, 40}) || kept.Test.Rows != 48 {
		t.Errorf("%v, %v, %d test rows", kept.Classes, kept.Counts(), kept.Test.Rows)
	}

	if step := must(t)(set.StepImbalance(1, 25, 10)); !slices.Equal(step.Counts(), []int{25, 3, 3}) || step.Test.Rows != set.Test.Rows { // 2.5 is rounded to 3
		t.Errorf("counts %v, want 25 3 3", step.Counts())
	}
	wide := toy(Shape{1, 1, 1}, 5000, 5000, 5000, 5000, 5000)
	// int(5000 * 0.01 ** (k / 4)), the published profile, for k = 0..4
	if tail := must(t)(wide.LongTail(5000, 100)); !slices.Equal(tail.Counts(), []int{5000, 1581, 500, 158, 50}) {
		t.Errorf("counts %v, want 5000 1581 500 158 50", tail.Counts())
	}
	if set.Hash() != before {
		t.Error("a set was changed by taking parts of it")
	}

	for want, err := range map[string]error{
		"samples per class: 0 rows of class 0, expected 1 to 40":                                                                second(set.FirstPerClass(0)),
		"step imbalance: 35 rows of class 1, expected 1 to 30":                                                                  second(set.StepImbalance(2, 35, 2)),
		"step imbalance: 3 majority classes of 5 rows, ratio 2; expected 1 to 2 classes, at least 1 row, a ratio of at least 1": second(set.StepImbalance(3, 5, 2)),
		"long tail: 5 rows, ratio NaN in 3 classes; expected at least 1 row, a ratio of at least 1, 2 classes":                  second(set.LongTail(5, math.NaN())),
		"balanced subset: 9 rows of each class, expected 1 to 8: class 2 has no more":                                           second(set.Balanced(9, 1)),
		"classes to keep: class 0, expected different ones from 0 to 2":                                                         second(set.Keep(0, 0)),
		"random labels: rate 1.5, expected 0 to 1":                                                                              second(set.RandomLabels(1.5, 0)),
		"random labels: goes by classes; the rows of tags have tags":                                                            second((&Set{Name: "tags", Train: Split{Tags: []uint8{1}}}).RandomLabels(1, 0)),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func second(_ *Set, err error) error { return err }

func TestRandomLabels(t *testing.T) {
	set := toy(Shape{1, 1, 1}, 4000, 3000, 3000)
	for _, p := range []float64{0, 0.3, 1} {
		random := must(t)(set.RandomLabels(p, 7))
		if !slices.Equal(random.Counts(), set.Counts()) {
			t.Errorf("rate %g: counts %v, want %v", p, random.Counts(), set.Counts())
		}
		changed := 0
		for i, c := range random.Train.Labels {
			if c != set.Train.Labels[i] {
				changed++
			}
		}
		// A permuted label differs from the old one with probability 1 - sum of squares of the shares; five standard errors.
		want := p * 10000 * (1 - 0.16 - 0.09 - 0.09)
		if math.Abs(float64(changed)-want) > 5*math.Sqrt(10000*0.25) || p == 0 && changed > 0 {
			t.Errorf("rate %g: %d labels differ, want about %g", p, changed, want)
		}
		if !slices.Equal(must(t)(set.RandomLabels(p, 7)).Train.Labels, random.Train.Labels) {
			t.Errorf("rate %g: the same seed gives other labels", p)
		}
	}
}

func TestWeights(t *testing.T) {
	counts := []int{900, 90, 10, 0}
	w := InverseFrequency(counts)
	for k, n := range counts[:3] {
		if math.Abs(w[k]*float64(n)-1000./3) > 1e-10 {
			t.Errorf("class %d weighs %g", k, w[k])
		}
	}
	if w[3] != 0 {
		t.Errorf("a class without rows weighs %g", w[3])
	}
	// (1 - beta)/(1 - beta^n), scaled to add up to 3, as the formula is written.
	e, err := EffectiveNumber(counts, 0.999)
	if err != nil {
		t.Fatal(err)
	}
	raw := []float64{0.001 / (1 - math.Pow(0.999, 900)), 0.001 / (1 - math.Pow(0.999, 90)), 0.001 / (1 - math.Pow(0.999, 10)), 0}
	for k := range e {
		if want := raw[k] * 3 / (raw[0] + raw[1] + raw[2]); math.Abs(e[k]-want) > 1e-12 {
			t.Errorf("class %d weighs %g, want %g", k, e[k], want)
		}
	}
	// The two ends: no weights, and inverse frequency but for the scale.
	flat, _ := EffectiveNumber(counts, 0)
	steep, _ := EffectiveNumber(counts, 1-1e-12)
	for k := range 3 {
		if flat[k] != 1 || math.Abs(steep[k]/steep[0]-w[k]/w[0]) > 1e-6*w[k]/w[0] {
			t.Errorf("class %d: %g with beta 0, %g with beta near 1", k, flat[k], steep[k])
		}
	}
	if _, err := EffectiveNumber(counts, 1); err == nil {
		t.Error("beta 1 was taken")
	}
	p, err := LogPriors(counts[:3])
	if err != nil || p[0] != math.Log(0.9) || p[2] != math.Log(0.01) {
		t.Errorf("%v, %v", p, err)
	}
	if _, err := LogPriors(counts); err == nil || err.Error() != "priors for logit adjustment: class 3 has no rows" {
		t.Error(err)
	}
}

func TestStandardisation(t *testing.T) {
	set := &Set{Name: "x", Shape: Shape{1, 2, 2}, Classes: numbers(1), Train: Split{Rows: 2, Pixels: []uint8{0, 255, 51, 255, 102, 0, 153, 0}, Labels: []int32{0, 0}}}
	mean, std := set.Standardisation(true)
	// Channel 0 holds 0, 0.2, 0.4, 0.6; channel 1 holds 1, 1, 0, 0.
	if math.Abs(mean[0]-0.3) > 1e-15 || math.Abs(mean[1]-0.5) > 1e-15 || math.Abs(std[0]-math.Sqrt(0.05)) > 1e-15 || math.Abs(std[1]-0.5) > 1e-15 {
		t.Errorf("means %v, deviations %v", mean, std)
	}
	values := *set
	values.Train.Values = make([]float32, 8)
	for i, v := range set.Train.Pixels {
		values.Train.Values[i] = float32(v) / 256
	}
	values.Train.Pixels = nil
	one, dev := set.Standardisation(false)
	other, spread := values.Standardisation(false)
	if math.Abs(other[0]*256/255-one[0]) > 1e-15 || math.Abs(spread[0]*256/255-dev[0]) > 1e-15 {
		t.Errorf("values %v, %v, pixels %v, %v", other, spread, one, dev)
	}
}

func TestCheck(t *testing.T) {
	good := toy(Shape{1, 2, 1}, 2, 2)
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Set){
		"data set toy: samples of 1 x 0 x 1 in 2 classes, expected at least one of each":                     func(s *Set) { s.Shape.Width = 0 },
		"data set toy, train: 4 rows of 1 x 2 x 1 in 2 classes with 7 pixels, 0 values, 4 labels and 0 tags": func(s *Set) { s.Train.Pixels = s.Train.Pixels[:7] },
		"data set toy, train: 4 rows of 1 x 2 x 1 in 2 classes with 8 pixels, 0 values, 3 labels and 0 tags": func(s *Set) { s.Train.Labels = s.Train.Labels[:3] },
		"data set toy, test: row 1 has label 2, expected 0..1":                                               func(s *Set) { s.Test.Labels = []int32{0, 2, 0, 0} },
		"data set toy, test: row 1 has 2 for tag 1, expected 0 or 1":                                         func(s *Set) { s.Test.Labels, s.Test.Tags = nil, []uint8{0, 0, 1, 2, 0, 0, 0, 0} },
	} {
		bad := *good
		change(&bad)
		if err := bad.Check(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	// The hash sees pixels, labels and their order, not names.
	same := *good
	same.Name = "other"
	labels := toy(Shape{1, 2, 1}, 2, 2)
	labels.Train.Labels[0] = 1 - labels.Train.Labels[0]
	if same.Hash() != good.Hash() || labels.Hash() == good.Hash() || len(good.Hash()) != 64 {
		t.Error("the hash is not that of the data")
	}
}
