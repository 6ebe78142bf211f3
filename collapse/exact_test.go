package collapse_test

import (
	"context"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
)

// Features with an offset of 1e4: classifier and nearest mean decided in exact arithmetic, row by row. In float64, logits from the raw
// features and distances by expanded squares lose the digits that decide.
func TestCentreOfShiftedFeaturesIsExact(t *testing.T) {
	path := filepath.Join(dumpFolder, "synth_shift_f64.npz")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s", path)
	}
	set, err := features.Open(path, features.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	split, c := set.Layers[0].Train, set.Classifier
	d := split.Dim
	var b features.Batch
	if err := split.Read(&b, 0, split.Rows); err != nil {
		t.Fatal(err)
	}
	// Sums and products of float64 are exact in so many bits.
	number := func() *big.Float { return new(big.Float).SetPrec(2000) }
	add := func(to *big.Float, x, y float64) {
		to.Add(to, number().Mul(number().SetFloat64(x), number().SetFloat64(y)))
	}
	sums, counts := map[int64][]*big.Float{}, map[int64]int64{}
	for i, label := range b.Labels {
		if sums[label] == nil {
			sums[label] = make([]*big.Float, d)
			for j := range d {
				sums[label][j] = number()
			}
		}
		counts[label]++
		for j, x := range b.Float64[i*d : (i+1)*d] {
			add(sums[label][j], x, 1)
		}
	}
	// |h - s/n|^2 is least where n (|s|^2 - 2 n h.s) / n^3 is: compared over the common denominator of all classes' counts.
	squares, common := map[int64]*big.Float{}, number().SetInt64(1)
	for label, s := range sums {
		squares[label] = number()
		for _, x := range s {
			squares[label].Add(squares[label], number().Mul(x, x))
		}
		n := number().SetInt64(counts[label])
		common.Mul(common, n.Mul(n, n))
	}
	disagree := 0
	for i := range split.Rows {
		row := b.Float64[i*d : (i+1)*d]
		var best *big.Float
		pick := int64(-1)
		for k := range c.Classes {
			z := number().SetFloat64(c.Bias[k])
			for j, x := range row {
				add(z, x, c.Weights[k*d+j])
			}
			if best == nil || z.Cmp(best) > 0 {
				best, pick = z, int64(k)
			}
		}
		var least *big.Float
		near := int64(-1)
		for label := int64(0); label < int64(c.Classes); label++ {
			s, ok := sums[label]
			if !ok {
				continue
			}
			dot := number()
			for j, x := range row {
				dot.Add(dot, number().Mul(s[j], number().SetFloat64(x)))
			}
			n := number().SetInt64(counts[label])
			v := number().Sub(squares[label], dot.Mul(dot, number().Mul(n, number().SetInt64(2))))
			n.Mul(n, n)
			v.Mul(v, number().Quo(common, n)) // a product of squares of counts over one of them: whole
			if least == nil || v.Cmp(least) < 0 {
				least, near = v, label
			}
		}
		if pick != near {
			disagree++
		}
	}
	report, err := collapse.Measure(context.Background(), set, collapse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := *report.Results[0].Verdict.Levels.Centre.Value
	if want := float64(disagree) / float64(split.Rows); got != want {
		t.Errorf("%v disagree, exactly %v", got, want)
	}
	if disagree != 0 {
		t.Errorf("%d of %d rows disagree", disagree, split.Rows)
	}
}
