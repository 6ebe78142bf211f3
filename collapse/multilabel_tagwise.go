package collapse

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/parallel"
)

// maxMismatched is the number of pairs of a tag set and another one up to which all are looked at. Above, drawnMismatched are drawn, which tell
// the mean of angles that differ by tens of degrees to some hundredths of one.
const maxMismatched, drawnMismatched = 4_000_000, 200_000

// tagFrame is the means of tag sets in some coordinates: those of the features, or those along a basis.
type tagFrame struct {
	dim int
	mu  []float64 // classes x dim
	u   []float64 // K x dim, zero for tags without rows of their own
}

// frame gives means in the coordinates of a basis, nil for their own.
func (s *tagSample) frame(basis []float64) tagFrame {
	f := tagFrame{dim: s.d, mu: s.mu}
	if basis != nil {
		f.dim = len(basis) / s.d
		n := len(s.sum.Classes)
		f.mu = make([]float64, n*f.dim)
		kernel.Gemm64(false, true, n, f.dim, s.d, 1, s.mu, s.d, basis, s.d, 0, f.mu, f.dim)
	}
	f.u = make([]float64, s.k*f.dim)
	for _, k := range s.ones {
		copy(f.u[k*f.dim:(k+1)*f.dim], f.row(s.single[k]))
	}
	return f
}

func (f *tagFrame) row(c int) []float64 { return f.mu[c*f.dim : (c+1)*f.dim] }

// sum is x_S.
func (f *tagFrame) sum(dst []float64, set []int) {
	clear(dst)
	for _, k := range set {
		kernel.Add64(dst, f.u[k*f.dim:(k+1)*f.dim])
	}
}

// tagwise is how the means of one multiplicity compare with the sums of those of their tags.
type tagwise struct {
	covered    int     // tag sets whose tags all have rows of their own
	angle      float64 // degrees, mean over covered S of that of mu_S and x_S
	mismatched float64 // the same of mu_S and x_S', over S' != S
	sampled    bool    // not all S' were looked at
	scale      float64 // C_m
	spread     float64 // of the scales of the single tag sets
	residual   float64
}

// tagwise compares a group in a frame. It is nil where no tag set is covered.
func (s *tagSample) tagwise(f *tagFrame, g *tagGroup) *tagwise {
	covered := s.covered(g)
	if len(covered) == 0 {
		return nil
	}
	n := float64(len(covered))
	t := &tagwise{covered: len(covered)}
	x := make([]float64, f.dim)
	var xx, xy float64
	var scales []float64
	for _, c := range covered {
		f.sum(x, s.set(c))
		y := f.row(c)
		t.angle += degrees(x, y) / n
		a, b := kernel.SumSquares64(x), kernel.Dot64(x, y)
		xx, xy = xx+a, xy+b
		scales = append(scales, b/a)
	}
	t.scale = xy / xx
	t.spread = deviation(scales) / math.Abs(mean(scales))
	var left, all float64
	for _, c := range covered {
		f.sum(x, s.set(c))
		all += kernel.SumSquares64(f.row(c))
		kernel.Scale64(x, t.scale)
		left += kernel.Distance64(x, f.row(c))
	}
	t.residual = math.Sqrt(left / all)
	s.mismatch(f, g.size, covered, t)
	return t
}

func (s *tagSample) covered(g *tagGroup) (out []int) {
	for c := g.first; c < g.first+g.sets; c++ {
		if !slices.ContainsFunc(s.set(c), func(k int) bool { return s.single[k] < 0 }) {
			out = append(out, c)
		}
	}
	return out
}

// mismatch finds the mean angle between mu_S and x_S' over the m-subsets S' != S of the tags that have rows of their own. Products come
// from mu u' and u u', so that a pair costs m additions, whatever the dimension.
func (s *tagSample) mismatch(f *tagFrame, m int, covered []int, t *tagwise) {
	n := len(s.ones)
	subsets := binomial(n, m)
	t.sampled = float64(len(covered))*subsets > maxMismatched
	gram := make([]float64, s.k*s.k)
	kernel.Gemm64(false, true, s.k, s.k, f.dim, 1, f.u, f.dim, f.u, f.dim, 0, gram, s.k)
	sums, counts := make([]float64, len(covered)), make([]float64, len(covered))
	parallel.For(len(covered), func(_, i int) {
		y, set := f.row(covered[i]), s.set(covered[i])
		others := &others{m: m, k: s.k, tags: s.ones, gram: gram, set: set, dot: make([]float64, s.k), picked: make([]int, 0, m)}
		for _, k := range s.ones {
			others.dot[k] = kernel.Dot64(f.u[k*f.dim:(k+1)*f.dim], y)
		}
		others.length = norm(y)
		if t.sampled {
			others.draw(rand.New(rand.NewPCG(s.seed, uint64(m)<<32|uint64(i))), max(1, drawnMismatched/len(covered)))
		} else {
			others.all(0, 0, 0)
		}
		sums[i], counts[i] = others.sum, others.count
	})
	sum, count := 0.0, 0.0
	for i := range sums {
		sum, count = sum+sums[i], count+counts[i]
	}
	t.mismatched = sum / count // NaN where there is one subset only
}

// others goes through the subsets other than one tag set.
type others struct {
	m, k   int
	tags   []int
	gram   []float64 // K x K
	dot    []float64 // u_k.mu_S
	length float64   // of mu_S
	set    []int     // S
	picked []int

	sum, count float64
}

// all visits the subsets that begin with those picked and go on with tags from a place on.
func (o *others) all(from int, dot, square float64) {
	if len(o.picked) == o.m {
		o.visit(dot, square)
		return
	}
	for i := from; i <= len(o.tags)-(o.m-len(o.picked)); i++ {
		k := o.tags[i]
		o.picked = append(o.picked, k)
		o.all(i+1, dot+o.dot[k], square+o.longer(k))
		o.picked = o.picked[:len(o.picked)-1]
	}
}

// longer is what the last tag picked adds to the square of the sum.
func (o *others) longer(k int) float64 {
	add := o.gram[k*o.k+k]
	for _, j := range o.picked[:len(o.picked)-1] {
		add += 2 * o.gram[j*o.k+k]
	}
	return add
}

func (o *others) visit(dot, square float64) {
	if slices.Equal(o.picked, o.set) {
		return
	}
	cos := max(-1, min(1, dot/(o.length*math.Sqrt(square))))
	o.sum += math.Acos(cos) * 180 / math.Pi
	o.count++
}

// draw visits subsets drawn by lot, with equal chances (Floyd's algorithm; Bentley 1987).
func (o *others) draw(rng *rand.Rand, times int) {
	for range times {
		o.picked = o.picked[:0]
		for j := len(o.tags) - o.m; j < len(o.tags); j++ {
			k := o.tags[rng.IntN(j+1)]
			if slices.Contains(o.picked, k) {
				k = o.tags[j]
			}
			o.picked = append(o.picked, k)
		}
		slices.Sort(o.picked)
		picked, dot, square := o.picked, 0.0, 0.0
		for i, k := range picked {
			o.picked = picked[:i+1]
			dot += o.dot[k]
			square += o.longer(k)
		}
		o.visit(dot, square)
	}
}

func binomial(n, m int) float64 {
	b := 1.0
	for i := range m {
		b *= float64(n-i) / float64(i+1)
	}
	return math.Round(b)
}

// centredAngle is the tag-wise angle with all means less that of the u_k.
func (s *tagSample) centredAngle(g *tagGroup) Value {
	covered := s.covered(g)
	if len(covered) == 0 {
		return undefined(NoSingleTags)
	}
	o := make([]float64, s.d)
	for _, k := range s.ones {
		kernel.Axpy64(o, 1/float64(len(s.ones)), s.row(s.single[k]))
	}
	x, y, sum := make([]float64, s.d), make([]float64, s.d), 0.0
	for _, c := range covered {
		s.raw.sum(x, s.set(c))
		kernel.Axpy64(x, -float64(g.size), o)
		kernel.Diff64(y, s.row(c), o)
		sum += degrees(x, y)
	}
	return angleValue(sum / float64(len(covered)))
}

func angleValue(v float64) Value {
	if math.IsNaN(v) {
		return undefined(ZeroNormMean)
	}
	return number(v)
}

// dualAngle is the mean angle of P mu_S and P sum_{k in S} (w_k - wbar).
func (s *tagSample) dualAngle(g *tagGroup) Value {
	switch {
	case s.weights == nil:
		return undefined(NeedsClassifier)
	case g.size == s.k:
		return undefined(AllTags)
	case len(s.basis) == 0:
		return undefined(ZeroMatrix)
	}
	r := len(s.basis) / s.d
	w := make([]float64, s.k*r)
	kernel.Gemm64(false, true, s.k, r, s.d, 1, s.centred, s.d, s.basis, s.d, 0, w, r)
	x, sum := make([]float64, r), 0.0
	for c := g.first; c < g.first+g.sets; c++ {
		clear(x)
		for _, k := range s.set(c) {
			kernel.Add64(x, w[k*r:(k+1)*r])
		}
		sum += degrees(s.projected.row(c), x)
	}
	return angleValue(sum / float64(g.sets))
}

// additiveR2 is how much of the spread of the means of one multiplicity a sum of free vectors v_k over the tags explains. It needs
// no rows of one tag. A shift of the features changes nothing, for the v_k take it up.
func (s *tagSample) additiveR2(g *tagGroup) Value {
	if g.size == s.k {
		return undefined(AllTags)
	}
	xx := make([]float64, s.k*s.k)
	for c := g.first; c < g.first+g.sets; c++ {
		for _, i := range s.set(c) {
			for _, j := range s.set(c) {
				xx[i*s.k+j]++
			}
		}
	}
	values, axes := linalg.EigenSym(s.k, xx)
	rank := 0
	for rank < len(values) && values[rank] > 1e-10*values[0] {
		rank++
	}
	if g.sets <= rank {
		return undefined(NoDegrees)
	}
	means := slices.Clone(s.sum.Mean[g.first*s.d : (g.first+g.sets)*s.d])
	removeMean(means, g.sets, s.d)
	total := kernel.SumSquares64(means)
	if total == 0 {
		return undefined(BetweenZero)
	}
	sums := make([]float64, s.k*s.d) // X' mu
	for i := range g.sets {
		for _, k := range s.set(g.first + i) {
			kernel.Add64(sums[k*s.d:(k+1)*s.d], means[i*s.d:(i+1)*s.d])
		}
	}
	along := make([]float64, rank*s.d)
	kernel.Gemm64(false, false, rank, s.d, s.k, 1, axes, s.k, sums, s.d, 0, along, s.d)
	for j := range rank {
		kernel.Scale64(along[j*s.d:(j+1)*s.d], 1/values[j])
	}
	v := make([]float64, s.k*s.d)
	kernel.Gemm64(true, false, s.k, s.d, rank, 1, axes, s.k, along, s.d, 0, v, s.d)
	fit, left := make([]float64, s.d), 0.0
	for i := range g.sets {
		clear(fit)
		for _, k := range s.set(g.first + i) {
			kernel.Add64(fit, v[k*s.d:(k+1)*s.d])
		}
		left += kernel.Distance64(fit, means[i*s.d:(i+1)*s.d])
	}
	return number(1 - left/total)
}
