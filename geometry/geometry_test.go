package geometry_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/collapsar/collapsar/geometry"
)

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*max(1, math.Abs(want))) {
		t.Errorf("%s is %v, want %v (difference %.1e)", what, got, want, got-want)
	}
}

func nearAll(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range got {
		near(t, fmt.Sprintf("%s[%d]", what, i), got[i], want[i], tol)
	}
}

// simplex are k vertices about their centre, orthoplex those of +-e_j, cube those of (+-1, ..., +-1).
func simplex(k int) *geometry.Vectors {
	m := make([]float64, k*k)
	for i := range m {
		m[i] = -1 / float64(k)
	}
	for c := range k {
		m[c*k+c]++
	}
	return geometry.New(k, k, m)
}

func orthoplex(k int) *geometry.Vectors {
	d := k / 2
	m := make([]float64, k*d)
	for j := range d {
		m[2*j*d+j], m[(2*j+1)*d+j] = 2, -3 // norms do not matter
	}
	return geometry.New(k, d, m)
}

func cube(k int) *geometry.Vectors {
	d := 0
	for 1<<d < k {
		d++
	}
	m := make([]float64, k*d)
	for i := range k {
		for j := range d {
			m[i*d+j] = float64(2*(i>>j&1) - 1)
		}
	}
	return geometry.New(k, d, m)
}

// shuffled is the vectors in another order, in other coordinates.
func shuffled(v *geometry.Vectors, seed uint64) *geometry.Vectors {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := v.D + 2
	var q mat.QR
	a := mat.NewDense(d, d, nil)
	for i := range d {
		for j := range d {
			a.Set(i, j, rng.NormFloat64())
		}
	}
	q.Factorize(a)
	var o mat.Dense
	q.QTo(&o)
	out := make([]float64, 0, v.K*d)
	for _, i := range rng.Perm(v.K) {
		for j := range d {
			sum := 0.0
			for l, x := range v.Row(i) {
				sum += x * o.At(l, j)
			}
			out = append(out, 4.5*sum)
		}
	}
	return geometry.New(v.K, d, out)
}

func TestPolytopes(t *testing.T) {
	for name, c := range map[string]struct {
		polytope geometry.Polytope
		sizes    []int
		vertices func(k int) *geometry.Vectors
	}{
		"simplex":   {geometry.Simplex, []int{2, 3, 4, 5, 10, 33}, simplex},
		"orthoplex": {geometry.Orthoplex, []int{4, 6, 8, 20}, orthoplex},
		"cube":      {geometry.Cube, []int{4, 8, 16, 64}, cube},
	} {
		for _, k := range c.sizes {
			if !c.polytope.Exists(k) {
				t.Errorf("no %s of %d", name, k)
			}
			v := c.vertices(k)
			near(t, fmt.Sprintf("%s of %d", name, k), v.PolytopeDistance(c.polytope), 0, 1e-15)
			near(t, fmt.Sprintf("turned %s of %d", name, k), shuffled(v, 3).PolytopeDistance(c.polytope), 0, 1e-14)
		}
	}
	for k := range 70 {
		power := k >= 4 && math.Trunc(math.Log2(float64(k))) == math.Log2(float64(k))
		if geometry.Simplex.Exists(k) != (k >= 2) || geometry.Orthoplex.Exists(k) != (k >= 4 && k%2 == 0) || geometry.Cube.Exists(k) != power {
			t.Errorf("K=%d: simplex %v, orthoplex %v, cube %v", k, geometry.Simplex.Exists(k), geometry.Orthoplex.Exists(k), geometry.Cube.Exists(k))
		}
	}
	// A square is an orthoplex of 4 and a cube of 4.
	near(t, "square as cube", orthoplex(4).PolytopeDistance(geometry.Cube), 0, 1e-15)
	near(t, "square as orthoplex", cube(4).PolytopeDistance(geometry.Orthoplex), 0, 1e-15)
	// By hand, for 8: cosines of an orthoplex are -1 and 0 six times, of a cube -1, -1/3 three times and 1/3 three times.
	near(t, "orthoplex as cube", orthoplex(8).PolytopeDistance(geometry.Cube), math.Sqrt(6.0/9/7), 1e-15)
	near(t, "cube as orthoplex", cube(8).PolytopeDistance(geometry.Orthoplex), math.Sqrt(6.0/9/7), 1e-15)
	square := func(x float64) float64 { return x * x }
	near(t, "orthoplex as simplex", orthoplex(8).PolytopeDistance(geometry.Simplex), math.Sqrt((square(6.0/7)+6*square(1.0/7))/7), 1e-15)
	near(t, "cube as simplex", cube(8).PolytopeDistance(geometry.Simplex), math.Sqrt((square(6.0/7)+3*square(1.0/3-1.0/7)+3*square(1.0/3+1.0/7))/7), 1e-15)
}

func TestETFError(t *testing.T) {
	for _, k := range []int{2, 3, 10, 100} {
		e, ok := simplex(k).ETFError()
		near(t, fmt.Sprintf("simplex of %d", k), e, 0, 5e-16*float64(k)) // sums of k products, in the order of any kernel
		identity := make([]float64, k*k)
		for i := range k {
			identity[i*k+i] = 5
		}
		// I/sqrt K against (I - 11'/K)/sqrt(K-1): 2 - 2 sqrt((K-1)/K).
		e, ok2 := geometry.ETFError(k, identity)
		near(t, fmt.Sprintf("identity of %d", k), e, math.Sqrt(2-2*math.Sqrt(float64(k-1)/float64(k))), 1e-14)
		ones := make([]float64, k*k)
		for i := range ones {
			ones[i] = 0.25
		}
		e, ok3 := geometry.ETFError(k, ones) // orthogonal to a simplex's matrix
		near(t, fmt.Sprintf("ones of %d", k), e, math.Sqrt2, 1e-12)
		for i := range identity { // the opposite of a simplex
			identity[i] = 1
			if i%(k+1) == 0 {
				identity[i] = 1 - float64(k)
			}
		}
		e, ok4 := geometry.ETFError(k, identity)
		near(t, fmt.Sprintf("opposite of %d", k), e, 2, 1e-12)
		if !ok || !ok2 || !ok3 || !ok4 {
			t.Error("not ok")
		}
	}
	if _, ok := geometry.ETFError(3, make([]float64, 9)); ok {
		t.Error("a zero matrix is ok")
	}
	if _, ok := geometry.ETFError(1, []float64{1}); ok {
		t.Error("one vector is ok")
	}
	// Orthoplex and cube, by the participation ratio of their spectra: sqrt(2 - 2 sqrt(pr/(K-1))), pr = d.
	equal := func(k int) *geometry.Vectors { // of equal norms
		d := k / 2
		m := make([]float64, k*d)
		for j := range d {
			m[2*j*d+j], m[(2*j+1)*d+j] = 1, -1
		}
		return geometry.New(k, d, m)
	}
	e, _ := equal(8).ETFError()
	near(t, "orthoplex of 8", e, math.Sqrt(2-2*math.Sqrt(4.0/7)), 1e-14)
	e, _ = cube(8).ETFError()
	near(t, "cube of 8", e, math.Sqrt(2-2*math.Sqrt(3.0/7)), 1e-14)
}

// Vectors that are nearly equal, or nearly opposite, keep the digits of their distance.
func TestDistances(t *testing.T) {
	for _, gap := range []float64{1, 0x1p-10, 0x1p-20, 0x1p-40, 0x1p-50, 0} {
		v := geometry.New(3, 2, []float64{3, 1, 3 + gap, 1, -3, -1})
		near(t, fmt.Sprintf("gap %.0e", gap), v.Distance2(0, 1)/max(gap*gap, 1e-300), map[bool]float64{true: 1, false: 0}[gap > 0], 1e-15)
		near(t, "symmetric", v.Distance2(1, 0), v.Distance2(0, 1), 0)
		near(t, "opposite", v.Distance2(0, 2), 40, 1e-15)
		near(t, "itself", v.Distance2(1, 1), 0, 0)
	}
	// Directions an angle apart: 2 sin(angle/2), whatever the norms.
	for _, angle := range []float64{math.Pi, 2, 1, 0.5, 0.4, 1e-3, 1e-6, 1e-9} {
		v := geometry.New(2, 2, []float64{7, 0, 0.01 * math.Cos(angle), 0.01 * math.Sin(angle)})
		want := 2 * math.Sin(angle/2)
		if got := v.UnitDistances(); len(got) != 1 || math.Abs(got[0]-want) > 3e-16+1e-15*want {
			t.Errorf("angle %v: distance %v, want %v", angle, got, want)
		}
		near(t, "cosine", v.Cosine(0, 1), math.Cos(angle), 1e-15)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	data := make([]float64, 7*5)
	for i := range data {
		data[i] = rng.NormFloat64()
	}
	v := geometry.New(7, 5, data)
	at := 0
	units := v.UnitDistances()
	for i := range 7 {
		for j := i + 1; j < 7; j++ {
			want, unit := 0.0, 0.0
			for l := range 5 {
				x := v.Row(i)[l] - v.Row(j)[l]
				u := v.Row(i)[l]/v.Norms()[i] - v.Row(j)[l]/v.Norms()[j]
				want += x * x
				unit += u * u
			}
			near(t, "distance", v.Distance2(i, j), want, 1e-14)
			near(t, "distance of directions", units[at], math.Sqrt(unit), 1e-14)
			at++
		}
	}
	pairs := v.Pairs(func(i, j int) float64 { return float64(10*i + j) })
	if len(pairs) != 21 || pairs[0] != 1 || pairs[1] != 2 || pairs[6] != 12 || pairs[20] != 56 {
		t.Errorf("pairs %v", pairs)
	}
}

func TestDirected(t *testing.T) {
	for _, c := range []struct {
		data []float64
		want bool
	}{
		{[]float64{1, 0, 0, 1}, true},
		{[]float64{1, 0, 0, 0}, false},
		{[]float64{0, 0, 0, 0}, false},
		{[]float64{1, 0, 0, 1e-11}, true},
		{[]float64{1, 0, 0, 1e-13}, false},
		{[]float64{1e-20, 0, 0, 1e-20}, true}, // relative to the longest
	} {
		if got := geometry.New(2, 2, c.data).Directed(); got != c.want {
			t.Errorf("%v: directed %v", c.data, got)
		}
	}
}

func TestSubsetAndCentred(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	data := make([]float64, 6*4)
	for i := range data {
		data[i] = 100 + rng.NormFloat64()
	}
	v := geometry.New(6, 4, data)
	for _, places := range [][]int{{0, 1, 2, 3, 4, 5}, {5, 0, 2}, {3}, {}, {1, 1, 4}, {0, 0, 1, 2, 3, 4}} {
		s := v.Subset(places)
		if s.K != len(places) {
			t.Fatalf("%v: %d vectors", places, s.K)
		}
		var want []float64
		for _, p := range places {
			want = append(want, v.Row(p)...)
		}
		fresh := geometry.New(len(places), 4, want)
		nearAll(t, fmt.Sprintf("%v: data", places), s.Data, fresh.Data, 0)
		nearAll(t, fmt.Sprintf("%v: Gram", places), s.Gram(), fresh.Gram(), 1e-14)
		nearAll(t, fmt.Sprintf("%v: norms", places), s.Norms(), fresh.Norms(), 1e-14)
		if len(places) > 0 {
			nearAll(t, fmt.Sprintf("%v: singular values", places), s.SingularValues(), fresh.SingularValues(), 1e-12)
		}
	}
	before := slices.Clone(v.Data)
	c, mean := v.Centred()
	nearAll(t, "the original", v.Data, before, 0)
	for j := range 4 {
		sum, total := 0.0, 0.0
		for i := range 6 {
			sum += c.Row(i)[j]
			total += v.Row(i)[j]
			near(t, "row and mean", c.Row(i)[j]+mean[j], v.Row(i)[j], 1e-15)
		}
		near(t, "sum of centred rows", sum, 0, 1e-12)
		near(t, "mean", mean[j], total/6, 1e-14)
	}
	nearAll(t, "Mean", v.Mean(), mean, 0)
	square := 0.0
	for _, x := range v.Data {
		square += x * x
	}
	near(t, "Square", v.Square(), square, 1e-14)
	near(t, "Frobenius", v.Frobenius(), math.Sqrt(square), 1e-14)
}

// TestCentredGram: of few vectors beside a mean that is small, of the same size, or large, the inner products are those of their rows. The errors
// are those of products of the longest.
func TestCentredGram(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for _, offset := range []float64{0, 0.3, 1, 1e3, 1e6} {
		const k, d = 40, 11
		data := make([]float64, k*d)
		for i := range data {
			data[i] = rng.NormFloat64() + offset
		}
		c, _ := geometry.New(k, d, data).Centred()
		got := slices.Clone(c.Gram())
		for i := range k {
			for j := range k {
				want := 0.0
				for p := range d {
					want += c.Row(i)[p] * c.Row(j)[p]
				}
				if math.Abs(got[i*k+j]-want) > 1e-14*c.Square() {
					t.Fatalf("offset %v: product %d, %d is %v, want %v", offset, i, j, got[i*k+j], want)
				}
			}
		}
		c.ForgetGram()
		nearAll(t, "made again", c.Gram(), got, 0)
	}
}

// TestPairs: every pair has its place, of any number of vectors.
func TestPairs(t *testing.T) {
	for _, k := range []int{0, 1, 2, 3, 31, 32, 33, 70} {
		v := geometry.FromGram(k, make([]float64, k*k))
		list := v.Pairs(func(i, j int) float64 { return float64(i*1000 + j) })
		at := 0
		for i := range k {
			for j := i + 1; j < k; j++ {
				if list[at] != float64(i*1000+j) || geometry.PairIndex(i, j, k) != at {
					t.Fatalf("%d vectors: place %d holds %v, pair %d, %d has place %d", k, at, list[at], i, j, geometry.PairIndex(i, j, k))
				}
				at++
			}
		}
		if len(list) != at {
			t.Errorf("%d vectors: %d pairs, want %d", k, len(list), at)
		}
	}
}

// Spectra of matrices that are known, of tall and of wide ones, below and above the size where the way changes.
func TestSpectrum(t *testing.T) {
	for _, k := range []int{2, 5, 20} {
		want := make([]float64, k)
		for i := range k - 1 {
			want[i] = 1
		}
		nearAll(t, fmt.Sprintf("simplex of %d", k), simplex(k).SingularValues(), want, 1e-14)
	}
	nearAll(t, "cube of 16", cube(16).SingularValues(), []float64{4, 4, 4, 4}, 1e-14)
	nearAll(t, "diagonal", geometry.New(3, 4, []float64{0, 0, -2, 0, 1e-9, 0, 0, 0, 0, 0, 0, 5}).SingularValues(), []float64{5, 2, 1e-9}, 1e-22)

	rng := rand.New(rand.NewPCG(3, 3))
	for _, size := range [][2]int{{1, 1}, {1, 6}, {6, 1}, {4, 9}, {9, 4}, {30, 30}, {geometry.SmallRank + 8, geometry.SmallRank + 30}, {geometry.SmallRank + 30, geometry.SmallRank + 8}} {
		k, d := size[0], size[1]
		data := make([]float64, k*d)
		for i := range data {
			data[i] = rng.NormFloat64()
		}
		var svd mat.SVD
		svd.Factorize(mat.NewDense(k, d, slices.Clone(data)), mat.SVDNone)
		want := svd.Values(nil)
		for name, v := range map[string]*geometry.Vectors{"values first": geometry.New(k, d, data), "axes first": geometry.New(k, d, data)} {
			if name == "axes first" {
				v.Axes()
			}
			tol := 1e-13
			if min(k, d) > geometry.SmallRank && name == "values first" {
				tol = 1e-10 // roots of eigenvalues: the smallest lose half their digits
			}
			got := v.SingularValues()
			nearAll(t, fmt.Sprintf("%v, %s", size, name), got, want, tol)
			if !slices.IsSortedFunc(got, func(a, b float64) int { return int(math.Copysign(1, b-a)) }) {
				t.Errorf("%v: not in decreasing order", size)
			}
			axes, m := v.Axes(), min(k, d)
			for i := range m {
				for j := range m {
					dot := 0.0
					for l := range d {
						dot += axes[i*d+l] * axes[j*d+l]
					}
					near(t, fmt.Sprintf("%v: axes %d and %d", size, i, j), dot, map[bool]float64{true: 1}[i == j], 1e-12)
				}
				image := 0.0 // |A v|
				for r := range k {
					dot := 0.0
					for l := range d {
						dot += data[r*d+l] * axes[i*d+l]
					}
					image += dot * dot
				}
				near(t, fmt.Sprintf("%v: image of axis %d", size, i), math.Sqrt(image), want[i], 1e-12)
			}
		}
	}
	v := geometry.New(3, 2, []float64{1, 2, 3, 4, 5, 6})
	nearAll(t, "scatter", v.Scatter(), []float64{35, 44, 44, 56}, 0)
}

func TestRanks(t *testing.T) {
	for _, c := range []struct {
		s                 []float64
		effective, stable float64
		participation     float64
	}{
		{[]float64{3, 3, 3, 3}, 4, 4, 4},
		{[]float64{7}, 1, 1, 1},
		{[]float64{2, 0, 0}, 1, 1, 1},
		{[]float64{2, 1}, math.Exp(math.Log(3) - 2.0/3*math.Log(2)), 1.25, 25.0 / 17},
		{[]float64{2e-200, 1e-200}, math.Exp(math.Log(3) - 2.0/3*math.Log(2)), 1.25, 25.0 / 17},
		{[]float64{2e200, 1e200}, math.Exp(math.Log(3) - 2.0/3*math.Log(2)), 1.25, 25.0 / 17},
	} {
		near(t, fmt.Sprint(c.s, " effective"), geometry.EffectiveRank(c.s), c.effective, 1e-14)
		near(t, fmt.Sprint(c.s, " stable"), geometry.StableRank(c.s), c.stable, 1e-14)
		near(t, fmt.Sprint(c.s, " participation"), geometry.ParticipationRatio(c.s), c.participation, 1e-14)
	}
}
