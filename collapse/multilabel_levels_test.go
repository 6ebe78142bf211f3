package collapse

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/moments"
)

// A multiplicity seen in one row of three has nearly the directions' squares of all its rows, and everything else is untouched.
func TestSampledRows(t *testing.T) {
	w := tagWorld{k: 5, d: 16, alone: 600, n: 600, most: 2, spread: .1, bend: .1}
	r := rand.New(rand.NewPCG(3, 3))
	split := w.split(t, r, w.truth(r))
	of := func(every int) (*tagSample, *moments.TagPass) {
		state, err := moments.Collect(context.Background(), split, moments.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s := newTagSample(split, state.Close(), nil, 1e-12)
		s.whole.every = 1
		for _, g := range s.groups {
			g.every = every
		}
		pass, err := s.plan(true, nil).Collect(context.Background(), split, moments.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.take(pass)
		return s, pass
	}
	all, _ := of(1)
	part, pass := of(3)
	if a, b := all.nc1(all.whole).Number, part.nc1(part.whole).Number; math.Abs(a-b) > 1e-12*a {
		t.Errorf("ml_nc1 %v, from a part %v", a, b)
	}
	for i, g := range part.groups {
		if n := pass.Groups[i].Along; n < g.rows/3-1 || n > g.rows/3+1 {
			t.Errorf("%d of %d rows", n, g.rows)
		}
		if a, b := all.nc1(all.groups[i]).Number, part.nc1(g).Number; a == b || math.Abs(a-b) > .1*a {
			t.Errorf("ml_nc1_m%d %v, from a part %v", g.size, a, b)
		}
	}
}
