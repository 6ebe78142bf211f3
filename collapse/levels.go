package collapse

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/moments"
)

// A layout is the class means that the levels are measured against, less the noise that they carry: those of the classes
// with two rows or more, since the others say nothing about it. Matrices are over these classes.
type layout struct {
	used   []int     // places in the summary
	n, tau []float64 // rows; total variance, unbiased
	drawn  []float64 // rows that stand for all of them in the sums of the second pass; nil where all are in there
	clean  []float64 // |m_c - m_j|^2 less tau_c/n_c + tau_j/n_j
	bare   []float64 // Gram matrix of the centred means less the noise
	norm   float64   // |bare|_F
	trace  float64   // of bare
	reach  float64   // length of a mean, root mean square
	plan   *moments.Levels
}

func (l *layout) k() int { return len(l.used) }

// shares of a mean's squared length that are noise, by class.
func (l *layout) noise(c int) float64 { return l.tau[c] / l.n[c] }

// harmonic is the mean that noise goes by.
func (l *layout) harmonic() float64 {
	sum := 0.0
	for _, n := range l.n {
		sum += 1 / n
	}
	return float64(l.k()) / sum
}

// degrees of freedom that the spread within classes has.
func (l *layout) degrees() float64 {
	sum := 0.0
	for _, n := range l.n {
		sum += n - 1
	}
	return max(sum, 1)
}

// layout prepares the levels; it is nil where fewer than two classes have two rows.
func (s *sample) layout() *layout {
	l := &layout{}
	for c, n := range s.sum.Count {
		if n > 1 {
			l.used = append(l.used, c)
			l.n = append(l.n, float64(n))
			l.tau = append(l.tau, s.sum.Scatter[c]/float64(n-1))
		}
	}
	k := l.k()
	if k < 2 {
		return nil
	}
	l.clean = make([]float64, k*k)
	for a, c := range l.used {
		for b, j := range l.used {
			if a != b {
				l.clean[a*k+b] = s.means.Distance2(c, j) - l.noise(a) - l.noise(b)
			}
		}
	}
	l.bare = l.gram(s)
	noise := make([]float64, k*k) // E diag(noise) E
	for a := range k {
		l.reach += l.bare[a*k+a] / float64(k)
		noise[a*k+a] = l.noise(a)
	}
	centre(k, noise)
	kernel.Axpy64(l.bare, -1, noise)
	l.norm = norm(l.bare)
	for a := range k {
		l.trace += l.bare[a*k+a]
	}
	l.reach = math.Sqrt(l.reach)
	l.plan = s.levelPlan(l)
	return l
}

// gram are the inner products of the means, centred.
func (l *layout) gram(s *sample) []float64 {
	k, all := l.k(), s.means.Gram()
	g := make([]float64, 0, k*k)
	for _, c := range l.used {
		for _, j := range l.used {
			g = append(g, all[c*s.k+j])
		}
	}
	centre(k, g)
	return g
}

// centre takes the means of rows and columns away from a symmetric matrix.
func centre(k int, g []float64) {
	row, all := make([]float64, k), 0.0
	for a := range k {
		row[a] = mean(g[a*k : (a+1)*k])
		all += row[a] / float64(k)
	}
	for a := range k {
		for b := range k {
			g[a*k+b] -= row[a] + row[b] - all
		}
	}
}

// levelPlan says what the second pass is to add up.
func (s *sample) levelPlan(l *layout) *moments.Levels {
	k := l.k()
	p := &moments.Levels{Used: make([]bool, s.k), Scale: make([]float64, s.k), Kept: s.lots(), Seed: s.opts.Seed}
	at := make([]int, s.k) // place in the layout
	root := math.Sqrt(float64(k - 1))
	size := math.Sqrt(mean(l.tau)) // residuals of length about 1 are safe in float32
	for a, c := range l.used {
		p.Used[c], at[c] = true, a
		if size > 0 {
			p.Scale[c] = math.Sqrt(l.n[a]/(l.n[a]-1)) / size
		}
	}
	p.Factors = func(c int, inverse, shape []float64) {
		clear(inverse)
		clear(shape)
		if !p.Used[c] {
			return
		}
		a := at[c]
		for b, j := range l.used {
			if a != b && l.clean[a*k+b] > 0 {
				inverse[j] = 1 / l.clean[a*k+b]
			}
			if l.norm > 0 {
				e := -1 / float64(k)
				if a == b {
					e++
				}
				shape[j] = 2 * (e/(l.norm*root) - l.trace*l.bare[a*k+b]/(l.norm*l.norm*l.norm*root))
			}
		}
	}
	return p
}

// sums are those of class a of the layout.
func (s *sample) levelSums(l *layout, a int) *moments.LevelSums { return &s.pass.Levels[l.used[a]] }

// variability measures how far samples stray towards other classes, as a part of the distance.
func (s *sample) variabilityLevel(l *layout, w *draw, f fourth) (v Level) {
	k := l.k()
	v.Null = finite(s.variabilityNull(l))
	share, worst, at, hidden := 0.0, math.Inf(-1), 0, false
	inverse := 0.0 // mean of 1/clean
	ratios := make([]struct {
		share, inverse, worst float64 // sums, and the largest
		at                    int
		hidden                bool
	}, k)
	parallel.For(k, func(_, a int) {
		r := &ratios[a]
		r.worst = math.Inf(-1)
		for b, clean := range l.clean[a*k : (a+1)*k] {
			if a == b {
				continue
			}
			part := math.Inf(1)
			noise := l.noise(a) + l.noise(b)
			if gap := clean + noise; gap > 0 {
				part = noise / gap
			}
			r.share += part
			if part > r.worst {
				r.worst, r.at = part, a*k+b
			}
			r.hidden = r.hidden || !(clean > 0)
			r.inverse += 1 / clean
		}
	})
	for _, r := range ratios {
		share += r.share / float64(k*(k-1))
		inverse += r.inverse / float64(k*(k-1))
		if r.worst > worst {
			worst, at = r.worst, r.at
		}
		hidden = hidden || r.hidden
	}
	v.NoiseShare = finite(share)
	if hidden || share > 0.5 {
		v.Low = finite(0)
		v.Reason = "too few samples a class to tell the means apart"
		var apart float64 // what noise and distance say together: at most so large can the distance be
		a, b := at/k, at%k
		v.Worst = []int64{s.sum.Classes[l.used[min(a, b)]], s.sum.Classes[l.used[max(a, b)]]}
		noise := l.noise(a) + l.noise(b)
		if f.same.value > 0 {
			own := func(c int) float64 { return math.Sqrt(2*f.trace(l, c, c)) / l.n[c] }
			apart = max(l.clean[at], 0) + 2*(own(a)+own(b))
		}
		if apart > 0 && noise > 0 {
			v.Needed = samples(max(math.Ceil(min(l.n[a], l.n[b])*noise/apart), min(l.n[a], l.n[b])+1))
		}
		for a := range k {
			for b := a + 1; b < k; b++ {
				if !(l.clean[a*k+b] > 0) {
					v.pairs = append(v.pairs, [2]int64{s.sum.Classes[l.used[a]], s.sum.Classes[l.used[b]]})
				}
			}
		}
		return v
	}
	v.Floor = finite(s.rounding() * math.Sqrt(inverse))
	noises := make([]struct{ noise, off, swing float64 }, k) // tr(Sigma_c S)/D^2, its error, and how it swings with the means that were drawn
	parallel.For(k, func(_, a int) {
		n, to := l.n[a], &noises[a]
		for b, clean := range l.clean[a*k : (a+1)*k] {
			if a != b {
				weight := 1 / (clean * clean) / float64(k-1)
				own, others := weight*l.tau[a]*l.tau[a], weight*l.tau[a]*l.tau[b]
				to.noise += own*f.same.value/n + others*f.other.value/l.n[b]
				x, y := own*f.same.err, others*f.other.err
				to.off += math.Sqrt(x*x+y*y) / n
				to.swing += (own*f.same.dev + others*f.other.dev) / n
			}
		}
	})
	var raw, less, lots, quadratic float64
	for a, v := range noises {
		n := l.n[a]
		raw += n / (n - 1) * s.levelSums(l, a).Q / n / float64(k)
		less += v.noise / float64(k)
		lots += v.off / float64(k)
		quadratic += v.swing * v.swing / float64(k*(k-1))
	}
	curve, pull := w.curvature(l, f)
	square := raw - less - curve.value
	var linear spread
	alike := 0.0 // what of it comes from the means, for noise alike in all directions
	for a := range k {
		p := s.levelSums(l, a)
		n, m := l.n[a], l.n[a]
		if l.drawn != nil {
			m = l.drawn[a]
		}
		bessel, own := m/(m-1), n/(n-1) // of what varies between rows; of residuals about their own mean
		q, u := p.Q/n, p.U/n
		few := (n - 1) / (n - 2) // residuals add up to 0: their squares vary together, and less
		varQ := (p.QQ/n - q*q) * own * own * bessel * few
		cov := (p.QU/n - q*u) * own * bessel * few
		if n == 2 { // both say the same: the most that they can vary by, in a single direction
			varQ, cov = 16./3*q*q, 0
		}
		varU := (p.UU/n - u*u) * bessel
		linear.add((varQ*n/m-8*square*cov+16*square*square*varU)/n, m-1)
		alike += 16 * square * square * varU / n
	}
	// Half the degrees of freedom, for squares have heavier tails than what they are squares of.
	z := linear.student(s.opts.Confidence, 0.5)
	more := max(pull.value-pull.err/2-alike, 0) // where it is not, and the lots are enough to tell; err counts pairs twice
	se := math.Sqrt(max((linear.sum+more)/float64(k*k)+lots*lots+curve.err*curve.err+quadratic, 0))
	if hidden := share > 1e-6; square <= 0 || hidden && math.Abs(curve.value) > raw/4 {
		v.Low, v.High = finite(0), finite(math.Sqrt(max(square, 0)+z*se))
		if hidden {
			v.Reason = "the noise of the means hides it"
			v.Needed = samples(math.Ceil(4 * l.harmonic()))
		} else {
			v.Value = finite(0)
		}
		return v
	}
	root := math.Sqrt(square)
	half := z * se / square / 2
	scarce := 1.0
	if n := l.harmonic(); n > 2 {
		scarce += 1 / n // variances of few squares against their mean are low by this, for normal noise
	}
	v.Value = finite(root * unroot(math.Sqrt(linear.sum*scarce)/float64(k)/square))
	v.Low, v.High, v.SE = finite(root*math.Exp(-half)), finite(root*math.Exp(half)), finite(root*se/square/2)
	v.approximate = max(share, less/raw) > 0.2
	return v
}

// variabilityNull is what noise alike in all directions shows when it is cut into classes at random, before any correction: the least
// that chance can show.
func (s *sample) variabilityNull(l *layout) float64 {
	return math.Sqrt((l.harmonic() - 1) / (2 * float64(s.d)))
}

// dualityNull is the 1 % quantile of the distance of k random directions from the means.
func dualityNull(k, d int) float64 {
	return root(2 - 2*2.33/math.Sqrt(float64(k-1)*float64(d)))
}

// unroot takes away what a root is low by on average, for a square with a relative standard error: 1/8 of that error's square.
func unroot(relative float64) float64 { return 1 + min(relative*relative, 1)/8 }

// A spread is a variance that is the sum of estimated ones.
type spread struct{ sum, squares float64 }

// add counts a variance from a class with so many degrees of freedom.
func (s *spread) add(part, degrees float64) {
	s.sum += part
	s.squares += part * part / degrees
}

// student is the quantile of Student's distribution, with the degrees of freedom that Welch and Satterthwaite give, or a part of them.
func (s *spread) student(confidence, part float64) float64 {
	if s.squares <= 0 {
		return student(confidence, 1e9)
	}
	return student(confidence, max(part*s.sum*s.sum/s.squares, 1))
}

// rounding is the error of a feature that its data type leaves, root mean square.
func (s *sample) rounding() float64 {
	square := 0.0
	for _, v := range s.sum.Square {
		square += v
	}
	unit := 0.0 // integers are exact
	switch s.split.DType {
	case array.Float64:
		unit = 0x1p-53
	case array.Float32:
		unit = 0x1p-24
	case array.Float16:
		unit = 0x1p-11
	case array.BFloat16:
		unit = 0x1p-8
	}
	return math.Sqrt(square/(s.n*float64(s.d))) * unit / math.Sqrt(3)
}

// simplexLevel measures how far the Gram matrix of the means is from a simplex's.
func (s *sample) simplexLevel(l *layout, w *draw, f fourth) (v Level) {
	k := l.k()
	v.Bound = finite(0)
	if k == 2 {
		v.Value, v.Low, v.High = finite(0), finite(0), finite(0)
		return v
	}
	v.Bound = finite(math.Sqrt(max(0, 2-2*math.Sqrt(min(1, float64(s.d)/float64(k-1))))))
	null, low := simplexNull(k, s.d, s.opts.Seed)
	v.Null, v.NullLow = finite(null), finite(low)
	plain, ok := geometry.ETFError(k, l.gram(s))
	if !ok || !(l.norm > 0) || s.needBetween() != "" {
		v.Low, v.Reason = finite(0), "the class means coincide"
		return v
	}
	v.Plain = finite(plain)
	// With unit e along a simplex's Gram matrix, G = a e + R: D follows from |R|^2/a^2. The noise of the means adds to |R|^2
	// the linear part L = M N' + N M' and the quadratic Q = N N' - diag(tau/n), centred, each less its part along e.
	ks := float64(k)
	less, part := 1-1/ks, 1-1/(ks-1)
	var error2 spread
	var linear, quadratic, total, alongError2 float64
	var ofOther, ofSame, drawn2 float64 // what noise owes to the two of fourth; the variance of what it owes to the rows
	stray := w.stray(s, l)
	for b := range k {
		total += l.noise(b)
	}
	for a := range k {
		p, n := s.levelSums(l, a), l.n[a]
		bessel := n / (n - 1)
		error2.add(p.PP/n*bessel/n, n-1)
		own, others := l.noise(a)*l.tau[a]*f.same.value, (total-l.noise(a))*l.tau[a]*f.other.value
		pairs := others / n * (1/(ks*ks) + less*less - 2/(ks*ks*(ks-1)))
		square := 2 * f.trace(l, a, a) / (n * (n - 1)) * less * less * part
		ofOther += pairs - 2/n*others*(less*less+(2*part-1)/(ks*ks))
		ofSame += square - 2/n*own*2*less*less*part
		sway := 2 / n * less * p.Square / n * bessel
		drawn2 += sway * sway * stray / n
		trace := p.Square/n*bessel - less*(own+others)          // tr M Sigma_c M'
		along := p.OO/n*bessel - less*less*own - others/(ks*ks) // m_c' Sigma_c m_c
		linear += 2 / n * (less*trace + (2*part-1)*along)
		alongError2 += (4*along/n + less*less*2*f.trace(l, a, a)/(n*(n-1)) + 2*others/n/(ks*ks)) / (ks - 1)
		quadratic += pairs + square
	}
	along := l.trace / math.Sqrt(ks-1)
	if !(along > 2*math.Sqrt(max(alongError2, 0))) {
		v.Low, v.Reason = finite(0), "too few samples a class to tell the means apart"
		return v
	}
	noise := max(linear+quadratic, 0) / (along * along)
	rest := l.norm*l.norm/(along*along) - 1 - noise // |R|^2/a^2
	v.Floor = finite(math.Sqrt(noise) * along / l.norm)
	if *v.Floor > mostBlurred {
		v.Low, v.Reason = finite(0), "too few samples a class to tell the means apart"
		return v
	}
	cos := 1 / math.Sqrt(max(1+rest, 1e-3))
	middle := 2 - 2*cos
	slope := math.Pow(min(cos, 1), 3) // of D^2 by |R|^2/a^2
	z := error2.student(s.opts.Confidence, 1)
	free := max(ks*(ks-1)/2-1, 1)
	off, offSame := ofOther*f.other.relative(), ofSame*f.same.relative()
	unsure := (off*off + offSame*offSame + drawn2) / (along * along * along * along)
	v.set(middle, z*math.Sqrt(4*error2.sum+(2*noise*noise/free+unsure)*slope*slope))
	if middle > 0 {
		v.SE = finite(math.Sqrt(error2.sum / middle))
	}
	return v
}

// mostBlurred is the floor up to which there is a simplex level: beyond it the noise of the means is half of their Gram matrix, and
// what is left when it is taken away hangs on the estimate of the noise.
const mostBlurred = 0.7

// set takes value and limits from those of the square.
func (v *Level) set(middle, half float64) {
	v.Value, v.Low, v.High = finite(root(middle)), finite(root(middle-half)), finite(root(min(middle+half, 4)))
	v.middle, v.half = middle, half
}

func root(v float64) float64 { return math.Sqrt(max(v, 0)) }

// dualityLevel measures how far classifier and means are from each other.
func (s *sample) dualityLevel(l *layout, f fourth) (v Level) {
	k, d := l.k(), s.d
	v.Null = finite(math.Sqrt2)
	v.NullLow = finite(dualityNull(k, d))
	w := make([]float64, 0, k*d)
	for _, c := range l.used {
		w = append(w, s.class.present.Row(c)...)
	}
	removeMean(w, k, d)
	size := norm(w)
	square, noise, cross := float64(k)*l.reach*l.reach, 0.0, 0.0
	for a, c := range l.used {
		noise += l.noise(a) * (1 - 1/float64(k))
		cross += kernel.Dot64(w[a*d:(a+1)*d], s.means.Row(c))
	}
	switch {
	case size == 0:
		v.Low, v.High, v.Reason = finite(0), finite(2), "the rows of the classifier are all the same"
		return v
	case s.needBetween() != "":
		v.Low, v.High, v.Reason = finite(0), finite(2), "the class means coincide"
		return v
	case square <= noise:
		v.Value, v.Plain, v.Low, v.High = finite(math.Sqrt2), finite(math.Sqrt2), finite(0), finite(2)
		v.Reason = "too few samples a class to tell the means apart"
		return v
	}
	v.Plain = finite(root(2 - 2*cross/(size*math.Sqrt(square))))
	square -= noise
	alpha := 1 / (size * math.Sqrt(square))
	cos := cross * alpha
	beta := cos / square
	var error2 spread
	var both, twice, fourths float64 // covariance of <W, M>/|W| and |M|^2, variance of |M|^2
	for a := range k {
		p, n := s.levelSums(l, a), l.n[a]
		error2.add(max(0, alpha*alpha*p.WW-2*alpha*beta*p.WO+beta*beta*p.OO)/n/(n-1), n-1)
		own := f.trace(l, a, a) / (n * n)
		both += 2 * p.WO / n / (n - 1) / size
		twice += 4*(p.OO/n/(n-1)-own) + 2*own
		fourths += own
	}
	cos *= 1 + both*size/(2*cross*square) - 3*twice/(8*square*square) // second order
	z := error2.student(s.opts.Confidence, 1)
	v.set(2-2*cos, z*math.Sqrt(4*error2.sum+2*fourths/(square*square)))
	if cos < 1 {
		v.SE = finite(math.Sqrt(error2.sum / (2 - 2*cos)))
	}
	v.Floor = finite(math.Sqrt(noise / square))
	return v
}

// centreLevel is the share of samples on which classifier and nearest mean disagree.
func (s *sample) centreLevel(z float64) (v Level) {
	n := float64(s.pass.Rows)
	p := float64(s.pass.Disagreements) / n
	low, high := wilson(p, n, z)
	v.Value, v.Low, v.High, v.SE = finite(p), finite(low), finite(high), finite(math.Sqrt(p*(1-p)/n))
	v.Null = finite(1 - 1/float64(s.k))
	return v
}

// wilson is the score interval of a share (Wilson 1927).
func wilson(p, n, z float64) (low, high float64) {
	scale := 1 / (1 + z*z/n)
	middle := (p + z*z/(2*n)) * scale
	half := z * scale * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	low, high = max(0, middle-half), min(1, middle+half)
	if p == 0 {
		low = 0
	}
	if p == 1 {
		high = 1
	}
	return low, high
}

// nullDraws is how many sets of random directions the quantile comes from.
const nullDraws = 2000

type nullKey struct {
	k, d int
	seed uint64
}

// nulls keeps what was drawn, for the files of a trajectory share it.
var nulls sync.Map // of nullKey to [2]float64

// simplexNull is the simplex level of k random directions in d dimensions, its mean and its 1 % quantile: from draws of their
// Gram matrix (Bartlett 1933) for few classes, by formula for many.
func simplexNull(k, d int, seed uint64) (middle, low float64) {
	formula := math.Sqrt(2 - 2/math.Sqrt(1+float64(k)/float64(d)))
	if k > 50 || k > d+1 {
		return formula, formula * (1 - 2.5/float64(k))
	}
	key := nullKey{k, d, seed}
	if v, ok := nulls.Load(key); ok {
		pair := v.([2]float64)
		return pair[0], pair[1]
	}
	p := k - 1
	draws := make([]float64, nullDraws)
	const batch = 50
	parallel.For(nullDraws/batch, func(_, part int) {
		source := rand.NewPCG(seed, 0)
		r := rand.New(source)
		a := make([]float64, p*p)
		for i := batch * part; i < batch*(part+1); i++ {
			source.Seed(seed, uint64(i)+1)
			draws[i] = bartlett(r, p, d, a)
		}
	})
	middle = formula
	if k < 10 {
		middle = mean(draws)
	}
	slices.Sort(draws)
	low = quantile(draws, 0.01)
	nulls.Store(key, [2]float64{middle, low})
	return middle, low
}

// bartlett draws L L' of p directions in d dimensions and returns its level. The scratch is p x p.
func bartlett(r *rand.Rand, p, d int, l []float64) float64 {
	trace, square := 0.0, 0.0
	for i := range p {
		for j := range i {
			l[i*p+j] = r.NormFloat64()
		}
		l[i*p+i] = math.Sqrt(chiSquare(r, float64(max(d-i, 1))))
		for j := range i + 1 {
			dot := 0.0
			for m, v := range l[j*p : j*p+j+1] {
				dot += float64(v * l[i*p+m])
			}
			if i == j {
				trace += dot
				square += dot * dot
			} else {
				square += 2 * dot * dot
			}
		}
	}
	return root(2 - 2*trace/math.Sqrt(square*float64(p)))
}

// chiSquare draws from the distribution with so many degrees of freedom (Marsaglia, Tsang 2000).
func chiSquare(r *rand.Rand, degrees float64) float64 {
	shape, boost := degrees/2, 1.0
	if shape < 1 {
		boost = math.Pow(1-r.Float64(), 1/shape)
		shape++
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v *= v * v
		if math.Log(1-r.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return 2 * d * v * boost
		}
	}
}

// quantile of sorted numbers, with a straight line between neighbours.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// student is the quantile of Student's distribution at 1/2 + confidence/2.
func student(confidence, degrees float64) float64 {
	tail := (1 - confidence) / 2
	low, high := 0.0, 2.0
	for studentTail(high, degrees) > tail {
		low, high = high, 2*high
	}
	for range 80 {
		if m := (low + high) / 2; studentTail(m, degrees) > tail {
			low = m
		} else {
			high = m
		}
	}
	return (low + high) / 2
}

// studentTail is the chance to lie above t > 0.
func studentTail(t, degrees float64) float64 {
	if degrees > 1e7 {
		return math.Erfc(t/math.Sqrt2) / 2
	}
	return betaRatio(degrees/(degrees+t*t), degrees/2, 0.5) / 2
}

// betaRatio is the regularised incomplete beta function, by its continued fraction (Lentz's way).
func betaRatio(x, a, b float64) float64 {
	if x <= 0 || x >= 1 {
		return min(max(x, 0), 1)
	}
	if x > (a+1)/(a+b+2) {
		return 1 - betaRatio(1-x, b, a)
	}
	sum, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	front := math.Exp(sum-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	c, d := 1.0, 1/(1-(a+b)*x/(a+1))
	f := d
	for i := 1; i < 10000; i++ {
		m := float64(i)
		for _, t := range [2]float64{
			m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m)),
			-(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1)),
		} {
			d = 1 / (1 + t*d)
			c = 1 + t/c
			f *= c * d
		}
		if math.Abs(c*d-1) < 1e-15 {
			break
		}
	}
	return front * f
}
