package moments_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/collapsar/collapsar/moments"
)

// exactly is the class statistics of rows in rational arithmetic, rounded once.
func exactly(r *rows, label int64) (mean []float64, scatter, square float64, count int64) {
	sums := make([]*big.Rat, r.dim)
	for j := range sums {
		sums[j] = new(big.Rat)
	}
	total, squares := new(big.Rat), new(big.Rat)
	x := new(big.Rat)
	for i := range r.len() {
		if r.labels[i] != label {
			continue
		}
		count++
		for j, v := range r.at(i) {
			x.SetFloat64(v)
			sums[j].Add(sums[j], x)
			x.Mul(x, x)
			squares.Add(squares, x)
		}
	}
	n := new(big.Rat).SetInt64(count)
	total.Set(squares)
	for _, s := range sums {
		x.Mul(s, s)
		total.Sub(total, x.Quo(x, n))
		m, _ := new(big.Rat).Quo(s, n).Float64()
		mean = append(mean, m)
	}
	scatter, _ = total.Float64()
	square, _ = squares.Float64()
	return mean, scatter, square, count
}

// Means and scatters agree with rational arithmetic, whatever the offset: the rows themselves are exact.
func TestStateExact(t *testing.T) {
	for _, c := range []struct {
		offset float64
		wide   bool
	}{{0, true}, {0, false}, {3, false}, {1e4, true}, {1e4, false}, {1e9, true}, {-1e12, true}} {
		t.Run(fmt.Sprintf("offset %v wide %v", c.offset, c.wide), func(t *testing.T) {
			r := clusters(1, 300, 4, []int64{2, 5, 9}, c.offset, c.wide)
			for i := range r.labels { // no zero rows here: they are far from an offset
				if i%9 == 5 {
					for j := range r.dim {
						if c.wide {
							r.f64[i*r.dim+j] = c.offset
						} else {
							r.f32[i*r.dim+j] = float32(c.offset)
						}
					}
				}
			}
			sum := whole(t, r).Summary()
			for k, label := range sum.Classes {
				mean, scatter, square, count := exactly(r, label)
				if sum.Count[k] != count {
					t.Errorf("class %d: %d rows, want %d", label, sum.Count[k], count)
				}
				same(t, fmt.Sprintf("mean of class %d", label), sum.Absolute()[k*r.dim:(k+1)*r.dim], mean, 1e-15)
				if e := math.Abs(sum.Scatter[k]-scatter) / scatter; e > 1e-13 {
					t.Errorf("class %d: scatter %v, want %v (relative %.1e)", label, sum.Scatter[k], scatter, e)
				}
				if e := math.Abs(sum.Square[k]-square) / square; e > 1e-14 {
					t.Errorf("class %d: square %v, want %v (relative %.1e)", label, sum.Square[k], square, e)
				}
			}
		})
	}
}

// The rounding of a mean is no part of the pivoted mean: an offset of 1e12 leaves its digits alone.
func TestStatePivotKeepsDigits(t *testing.T) {
	const offset = 1 << 40
	r := &rows{dim: 1, labels: []int64{0, 0, 0}, f64: []float64{offset, offset + 1.0/64, offset + 1.0/32}}
	sum := whole(t, r).Summary()
	if got, want := sum.Mean[0], 1.0/64; sum.Pivot[0] != offset || got != want {
		t.Errorf("mean %v about %v, want %v about %v", got, sum.Pivot[0], want, offset)
	}
	if got, want := sum.Scatter[0], 2.0/64/64; got != want {
		t.Errorf("scatter %v, want %v", got, want)
	}
}

func TestZeroRows(t *testing.T) {
	r := &rows{dim: 2, labels: []int64{1, 1, 0, 1}, f32: []float32{0, 0, 3, 4, 0, 0, -6, -8}}
	sum := whole(t, r).Summary()
	same(t, "zero rows", []float64{float64(sum.Zero[0]), float64(sum.Zero[1])}, []float64{1, 1}, 0)
	same(t, "unit means", sum.Unit, []float64{0, 0, 0, 0}, 1e-16)
	same(t, "squares", sum.Square, []float64{0, 125}, 0)
}

// Rows that are not finite are counted and shown, the first of them by row, and are no part of anything.
func TestNonfinite(t *testing.T) {
	for _, wide := range []bool{false, true} {
		r := clusters(2, 9000, 3, few(3), 1, wide)
		clean := &rows{dim: 3}
		set := func(i, j int, v float64) {
			if wide {
				r.f64[i*3+j] = v
			} else {
				r.f32[i*3+j] = float32(v)
			}
		}
		bad := map[int]bool{}
		for _, i := range []int{0, 8999, 4096, 17, 5000, 18, 4095, 7} {
			bad[i] = true
			set(i, 1, math.Inf(1))
			set(i, 2, math.NaN())
		}
		for i := range r.len() {
			if bad[i] {
				continue
			}
			clean.labels = append(clean.labels, r.labels[i])
			clean.f64 = append(clean.f64, r.at(i)...)
		}
		want := numbersOfState(whole(t, clean))
		want[1] = float64(len(bad))
		check := func(name string, s *moments.State, tol float64) {
			t.Helper()
			n := s.Nonfinite()
			if n.Count != int64(len(bad)) || len(n.First) != 5 {
				t.Fatalf("%s: %d rows not finite, %d shown; want %d, 5", name, n.Count, len(n.First), len(bad))
			}
			for i, row := range []int64{0, 7, 17, 18, 4095} {
				if c := n.First[i]; c.Row != row || c.Column != 1 || !math.IsInf(c.Value, 1) {
					t.Errorf("%s: cell %d is %+v, want row %d, column 1, +Inf", name, i, c, row)
				}
			}
			same(t, name, numbersOfState(s), want, tol)
		}
		check("at once", whole(t, r), 1e-12)
		for _, workers := range []int{1, 2, 5} {
			check(fmt.Sprintf("%d workers", workers), collect(t, r.split(t), moments.ScanOptions{Workers: workers, ChunkRows: 33}), 1e-12)
		}
		left, right := moments.NewShard(3, []float64{1, 1, 1}, 0), moments.NewShard(3, []float64{1, 1, 1}, 4500)
		for _, err := range []error{left.Add(r.batch(0, 4500)), right.Add(r.batch(4500, 9000)), right.Merge(left)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		check("merged from the right", right, 1e-12)
	}
}

func TestNothingFinite(t *testing.T) {
	nan := float32(math.NaN())
	r := &rows{dim: 2, labels: []int64{0, 1}, f32: []float32{nan, 1, 2, nan}}
	for name, s := range map[string]*moments.State{"Add": whole(t, r), "Collect": collect(t, r.split(t), moments.ScanOptions{})} {
		if sum := s.Summary(); len(sum.Classes) != 0 || sum.Rows != 0 || s.Nonfinite().Count != 2 {
			t.Errorf("%s: %d classes, %d rows, %d not finite", name, len(sum.Classes), sum.Rows, s.Nonfinite().Count)
		}
	}
}

// Numbers whose square overflows are finite all the same.
func TestHuge(t *testing.T) {
	r := &rows{dim: 1, labels: []int64{0, 0}, f64: []float64{1e200, -1e200}}
	s := whole(t, r)
	if s.Nonfinite().Count != 0 || s.Summary().Rows != 2 {
		t.Errorf("%d rows, %d not finite", s.Summary().Rows, s.Nonfinite().Count)
	}
}

// naive is the second pass as its definition reads, a row at a time in float64.
func naive(r *rows, p *moments.Plan) *moments.Sums {
	sum := p.Summary
	k, d := len(sum.Classes), sum.Dim
	inf := math.Inf(1)
	out := &moments.Sums{Class: make([]moments.ClassSums, k+1), Margin: moments.Spread{Min: inf}, CosMargin: moments.Spread{Min: inf}, MinNorm2: inf}
	width := map[moments.Moments]int{moments.OnAxes: p.Rank, moments.OfScores: k, moments.OfRows: d}[p.Moments]
	size := width * width
	if p.Moments == moments.OnAxes {
		size = width
	}
	out.Moments = make([]float64, size)
	if p.Weak {
		out.Weak = make([]float64, size)
	}
	mu := sum.Absolute()
	centre := append([]float64(nil), p.Centre...)
	for j := range centre {
		centre[j] += sum.Pivot[j]
	}
	diff := func(a, b []float64) []float64 {
		v := make([]float64, d)
		for j := range v {
			v[j] = a[j] - b[j]
		}
		return v
	}
	addMoments := func(dst, v []float64) {
		t := v
		switch p.Moments {
		case moments.OnAxes:
			t = make([]float64, p.Rank)
			for a := range t {
				t[a] = dot(p.Axes[a*d:(a+1)*d], v)
				dst[a] += t[a] * t[a]
			}
			return
		case moments.OfScores:
			t = make([]float64, k)
			for a := range t {
				t[a] = dot(p.Means[a*d:(a+1)*d], v)
			}
		}
		for a, x := range t {
			for b, y := range t {
				dst[a*width+b] += x * y
			}
		}
	}
	for i := range r.len() {
		h := r.at(i)
		if math.IsNaN(dot(h, h)) || math.IsInf(dot(h, h), 0) {
			continue
		}
		c := k
		for j, label := range sum.Classes {
			if label == r.labels[i] {
				c = j
			}
		}
		base := centre
		if c < k {
			base = mu[c*d : (c+1)*d]
		}
		res := diff(h, base)
		out.Rows++
		cl := &out.Class[c]
		cl.Rows++
		cl.Scatter += dot(res, res)
		if c < k {
			u := append([]float64(nil), h...)
			if n := math.Sqrt(dot(h, h)); n > 0 {
				for j := range u {
					u[j] /= n
				}
			}
			u = diff(u, sum.Unit[c*d:(c+1)*d])
			cl.UnitScatter += dot(u, u)
		}
		near, least := 0, inf
		for j := range k {
			v := diff(h, mu[j*d:(j+1)*d])
			if q := dot(v, v); q < least {
				near, least = j, q
			}
		}
		if sum.Classes[near] != r.labels[i] {
			cl.NCCErrors++
		}
		addMoments(out.Moments, res)
		if p.Weak {
			addMoments(out.Weak, diff(h, mu[near*d:(near+1)*d]))
			out.WeakSq += least
		}
		w := p.Weights
		if w == nil {
			continue
		}
		g, y := diff(h, centre), int(r.labels[i])
		norm := math.Sqrt(dot(g, g))
		z, cos := make([]float64, w.Classes), make([]float64, w.Classes)
		for j := range z {
			q := dot(g, w.Centred[j*d:(j+1)*d])
			z[j], cos[j] = q+w.AtCentre[j], q/norm/w.Norm[j]
		}
		best := 0
		for j := range z {
			if z[j] > z[best] {
				best = j
			}
		}
		if best != y {
			cl.Errors++
		}
		if int64(best) != sum.Classes[near] {
			out.Disagreements++
		}
		loss, q, qcos := 0.0, inf, inf
		for j := range z {
			if j != y {
				loss += math.Exp(z[j] - z[y])
				q, qcos = min(q, z[y]-z[j]), min(qcos, cos[y]-cos[j])
			}
		}
		out.Loss += math.Log1p(loss)
		for _, m := range []struct {
			to *moments.Spread
			v  float64
		}{{&out.Margin, q}, {&out.CosMargin, qcos}} {
			m.to.Sum += m.v
			if m.v < m.to.Min {
				m.to.Min, m.to.Class = m.v, int64(y)
			}
		}
		out.MinNorm2, out.MaxNorm2 = min(out.MinNorm2, norm*norm), max(out.MaxNorm2, norm*norm)
	}
	return out
}

// TestPassNaive compares with the definitions. Float32 products carry 24 bits, and matrices of them are added up in
// float32 over 1024 rows.
func TestPassNaive(t *testing.T) {
	for name, o := range map[string]option{
		"axes":                      {kind: moments.OnAxes, double: true, classifier: true, weak: true},
		"axes and products":         {kind: moments.OnAxes, double: true, classifier: true, weak: true, scored: true},
		"scores":                    {kind: moments.OfScores, double: true, classifier: true, weak: true},
		"rows":                      {kind: moments.OfRows, double: true, classifier: true, weak: true},
		"no classifier":             {kind: moments.OnAxes, double: true},
		"float32 axes":              {kind: moments.OnAxes, classifier: true, weak: true},
		"float32 axes, products":    {kind: moments.OnAxes, classifier: true, scored: true},
		"float32 scores":            {kind: moments.OfScores, classifier: true, weak: true},
		"float32 rows":              {kind: moments.OfRows, classifier: true, weak: true},
		"float32 scores, exact sum": {kind: moments.OfScores, classifier: true, exact: true, weak: true},
	} {
		for _, dim := range []int{1, 3, 8, 33} {
			for _, offset := range []float64{0, 100} {
				t.Run(fmt.Sprintf("%s d=%d offset %v", name, dim, offset), func(t *testing.T) {
					r := clusters(20+uint64(dim), 1500, dim, few(6), offset, o.double)
					state := whole(t, r)
					plan := planOf(state, o)
					test := clusters(40+uint64(dim), 700, dim, few(7), offset, o.double) // class 6 has no mean
					sums, err := plan.Collect(t.Context(), test.split(t), moments.ScanOptions{})
					if err != nil {
						t.Fatal(err)
					}
					want := naive(test, plan)
					// The rows that are 0 lie 100 from the means then, and squares of that are compared with squares of 1.
					scale := 1 + offset*offset*float64(dim)
					tol := 1e-11
					if !o.double {
						tol = 1e-5
						if !o.exact && o.kind != moments.OnAxes { // small sums of 700 products of either sign, of about 1 each
							tol = 1e-4
						}
					}
					if want.CosMargin.Sum != 0 && dim == 1 { // cosines of numbers are +-1: the margin is 0 or 2, its sign rounding
						want.CosMargin, sums.CosMargin = moments.Spread{}, moments.Spread{}
					}
					g, w := numbersOfSums(sums), numbersOfSums(want)
					for i := range g {
						if math.Abs(g[i]-w[i]) > tol*max(scale, math.Abs(w[i])) {
							t.Fatalf("number %d of %d is %v, want %v", i, len(g), g[i], w[i])
						}
					}
				})
			}
		}
	}
}

// A row on the border of two classes is the lower one's, in every layout and precision.
func TestNearestTies(t *testing.T) {
	for _, double := range []bool{true, false} {
		for _, kind := range []moments.Moments{moments.OnAxes, moments.OfScores, moments.OfRows} {
			// Means at -1, 1 and 3 on a line, and rows halfway, exactly.
			train := &rows{dim: 2, labels: []int64{0, 1, 2}, f64: []float64{-1, 0.5, 1, 0.5, 3, 0.5}}
			state := whole(t, train)
			plan := planOf(state, option{kind: kind, double: double})
			test := &rows{dim: 2, labels: []int64{0, 1, 1, 2, 2}, f64: []float64{0, 9, 0, -9, 2, 7, 2, 0, 0, 0}}
			sums, err := plan.Collect(t.Context(), test.split(t), moments.ScanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := []int64{sums.Class[0].NCCErrors, sums.Class[1].NCCErrors, sums.Class[2].NCCErrors}
			if want := [3]int64{0, 1, 2}; [3]int64(got) != want {
				t.Errorf("kind %d, double %v: errors by class %v, want %v", kind, double, got, want)
			}
		}
	}
}
