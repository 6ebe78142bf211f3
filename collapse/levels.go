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

// lots is how many residuals stand for all where fourth-order sums are estimated: as many as small data sets
// give for little, and in large ones enough for 25,000 pairs of one class.
func (s *sample) lots() int {
	const most, least = 2048, 512
	if s.n*float64(s.d) <= 1<<23 {
		return most
	}
	return min(most, max(least, int(225*math.Sqrt(float64(s.k)))))
}

// A layout is the class means that the levels are measured against, less the noise that they carry: those of the classes
// with two rows or more, since the others say nothing about it. Matrices are over these classes.
type layout struct {
	used   []int     // places in the summary
	n, tau []float64 // rows; total variance, unbiased
	gram   []float64 // of the means, centred
	gap    []float64 // |m_c - m_j|^2
	clean  []float64 // the same less tau_c/n_c + tau_j/n_j
	bare   []float64 // gram less the noise
	norm   float64   // |bare|_F
	trace  float64   // of bare
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
	l.gram, l.gap, l.clean = make([]float64, k*k), make([]float64, k*k), make([]float64, k*k)
	for a, c := range l.used {
		for b, j := range l.used {
			l.gram[a*k+b] = s.means.Gram[c*s.k+j]
			if a != b {
				l.gap[a*k+b] = s.means.Distance2(c, j)
				l.clean[a*k+b] = l.gap[a*k+b] - l.noise(a) - l.noise(b)
			}
		}
	}
	centre(k, l.gram)
	l.bare = make([]float64, k*k) // E diag(noise) E, and then the rest
	for a := range k {
		l.bare[a*k+a] = -l.noise(a)
	}
	centre(k, l.bare)
	kernel.Add64(l.bare, l.gram)
	l.norm = norm(l.bare)
	for a := range k {
		l.trace += l.bare[a*k+a]
	}
	l.plan = s.levelPlan(l)
	return l
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
	k, K := l.k(), s.k
	p := &moments.Levels{
		Used: make([]bool, K), Inverse: make([]float64, K*K), Shape: make([]float64, K*K), Scale: make([]float64, K),
		Kept: s.lots(), Seed: s.opts.Seed,
	}
	root := math.Sqrt(float64(k - 1))
	size := math.Sqrt(mean(l.tau)) // residuals of length about 1 are safe in float32
	for a, c := range l.used {
		p.Used[c] = true
		if size > 0 {
			p.Scale[c] = math.Sqrt(l.n[a]/(l.n[a]-1)) / size
		}
		for b, j := range l.used {
			if a != b && l.clean[a*k+b] > 0 {
				p.Inverse[c*K+j] = 1 / l.clean[a*k+b]
			}
			if l.norm > 0 {
				e := -1 / float64(k)
				if a == b {
					e++
				}
				p.Shape[c*K+j] = 2 * (e/(l.norm*root) - l.trace*l.bare[a*k+b]/(l.norm*l.norm*l.norm*root))
			}
		}
	}
	return p
}

// fourth are traces of products of covariances, averaged over classes, and their standard errors.
type fourth struct {
	same, other     float64 // tr Sigma_c^2, tr Sigma_c Sigma_j
	errSame, errOth float64
}

// fourth estimates them from the inner products of residuals drawn by lot. Those of one class depend on
// each other through their mean; that is corrected for.
func (s *sample) fourth(l *layout) (f fourth) {
	lots := l.plan.Lots(s.pass.Residuals)
	m := len(lots)
	if m < 2 {
		return f
	}
	d := s.d
	rows, inner := make([]float32, m*d), make([]float32, m*m)
	class := make([]int, m) // in the layout
	for i, r := range lots {
		copy(rows[i*d:], r.Row)
		class[i], _ = slices.BinarySearch(l.used, int(r.Class))
	}
	kernel.Syrk32(false, m, d, rows, d, inner, m)
	unit := mean(l.tau)
	begin, end := make([]int, m), make([]int, m) // of the rows of the same class
	for i := range lots {
		if i > 0 && class[i] == class[i-1] {
			begin[i] = begin[i-1]
		} else {
			begin[i] = i
		}
	}
	for i := m - 1; i >= 0; i-- {
		end[i] = i + 1
		if i+1 < m && class[i] == class[i+1] {
			end[i] = end[i+1]
		}
	}
	same, other := make([]float64, m), make([]float64, m)
	parallel.For((m+63)/64, func(_, part int) {
		for i := 64 * part; i < min(m, 64*part+64); i++ {
			row := inner[i*m : (i+1)*m]
			same[i] = kernel.SumSquares32(row[begin[i]:i]) + kernel.SumSquares32(row[i+1:end[i]])
			other[i] = kernel.SumSquares32(row[:begin[i]]) + kernel.SumSquares32(row[end[i]:])
		}
	})
	average := func(sums []float64, pairs func(i int) int, less func(i int) float64) (v, se float64, ok bool) {
		var total, count float64
		var means []float64
		for i, x := range sums {
			if n := float64(pairs(i)); n > 0 {
				x = x*unit*unit - n*less(i)
				total, count = total+x, count+n
				means = append(means, x/n)
			}
		}
		if count == 0 {
			return 0, 0, false
		}
		return total / count, 2 * deviation(means) / math.Sqrt(float64(len(means))), true
	}
	var ok bool
	f.other, f.errOth, _ = average(other, func(i int) int { return m - (end[i] - begin[i]) }, func(int) float64 { return 0 })
	f.same, f.errSame, ok = average(same, func(i int) int { return end[i] - begin[i] - 1 }, func(i int) float64 {
		v := l.tau[class[i]] / (l.n[class[i]] - 1)
		return v * v
	})
	if !ok {
		f.same, f.errSame = f.other, f.errOth
	}
	return f
}

// sums are those of class a of the layout.
func (s *sample) levelSums(l *layout, a int) *moments.LevelSums { return &s.pass.Levels[l.used[a]] }

// variability measures how far samples stray towards other classes, as a part of the distance.
func (s *sample) variabilityLevel(l *layout, f fourth, z float64) (v Level) {
	k := l.k()
	v.Null = finite(math.Sqrt((l.harmonic() - 1) / (2 * float64(s.d))))
	share, worst, at, hidden := 0.0, math.Inf(-1), 0, false
	inverse := 0.0 // mean of 1/clean
	for a := range k {
		for b := range k {
			if a == b {
				continue
			}
			part := math.Inf(1)
			if l.gap[a*k+b] > 0 {
				part = (l.noise(a) + l.noise(b)) / l.gap[a*k+b]
			}
			share += part / float64(k*(k-1))
			if part > worst {
				worst, at = part, a*k+b
			}
			hidden = hidden || !(l.clean[a*k+b] > 0)
			inverse += 1 / l.clean[a*k+b] / float64(k*(k-1))
		}
	}
	v.NoiseShare = finite(share)
	if hidden || share > 0.5 {
		v.Low = finite(0)
		v.Reason = "too few samples a class to tell the means apart"
		var apart float64 // what noise and distance say together: at most so large can the distance be
		a, b := at/k, at%k
		v.Worst = []int64{s.sum.Classes[l.used[min(a, b)]], s.sum.Classes[l.used[max(a, b)]]}
		noise := l.noise(a) + l.noise(b)
		if f.same > 0 {
			own := func(c int) float64 { // sqrt(2 tr Sigma_c^2) / n_c, as the others' goes with their variance
				return math.Sqrt(2*f.same/mean2(l.tau)) * l.noise(c)
			}
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
	var square, error2, spread, lots float64
	for a := range k {
		p := s.levelSums(l, a)
		n, less, inv4 := l.n[a], 0.0, 0.0
		for b := range k {
			if a != b {
				w := 1 / (l.clean[a*k+b] * l.clean[a*k+b]) / float64(k-1)
				inv4 += w
				less += w * (f.same/n + f.other/l.n[b])
			}
		}
		bessel := n / (n - 1)
		q := p.Q / n
		square += (bessel*q - less) / float64(k)
		lots += inv4 / n / float64(k)
	}
	for a := range k {
		p := s.levelSums(l, a)
		n := l.n[a]
		bessel := n / (n - 1)
		q, u := p.Q/n, p.U/n
		varQ := (p.QQ/n - q*q) * bessel * bessel * bessel
		cov := (p.QU/n - q*u) * bessel * bessel
		varU := (p.UU/n - u*u) * bessel
		part := (varQ - 8*square*cov + 16*square*square*varU) / n
		error2 += part
		spread += part * part / (n - 1)
	}
	// Degrees of freedom by Welch and Satterthwaite; half of them, for squares have heavier tails than what they are squares of.
	if spread > 0 {
		z = student(s.opts.Confidence, max(error2*error2/spread/2, 1))
	}
	error2 /= float64(k * k)
	lots *= math.Hypot(f.errSame, f.errOth)
	se := math.Sqrt(max(error2+lots*lots, 0))
	if square <= 0 {
		v.Low, v.High = finite(0), finite(math.Sqrt(z*se))
		if share > 1e-6 {
			v.Reason = "the noise of the means hides it"
			v.Needed = samples(math.Ceil(4 * l.harmonic()))
		} else {
			v.Value = finite(0)
		}
		return v
	}
	root := math.Sqrt(square)
	half := z * se / (2 * square)
	v.Value, v.Low, v.High, v.SE = finite(root), finite(root*math.Exp(-half)), finite(root*math.Exp(half)), finite(se/(2*root))
	v.approximate = share > 0.2
	return v
}

// mean2 is the mean square.
func mean2(v []float64) float64 { return kernel.SumSquares64(v) / float64(len(v)) }

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
func (s *sample) simplexLevel(l *layout, z float64) (v Level) {
	k := l.k()
	v.Bound = finite(0)
	if k == 2 {
		v.Value, v.Low, v.High = finite(0), finite(0), finite(0)
		return v
	}
	v.Bound = finite(math.Sqrt(max(0, 2-2*math.Sqrt(min(1, float64(s.d)/float64(k-1))))))
	null, low := simplexNull(k, s.d, s.opts.Seed)
	v.Null, v.NullLow = finite(null), finite(low)
	plain, ok := geometry.ETFError(k, l.gram)
	if !ok || !(l.norm > 0) || s.needBetween() != "" {
		v.Low, v.Reason = finite(0), "the class means coincide"
		return v
	}
	root := math.Sqrt(float64(k - 1))
	cos := l.trace / (l.norm * root)
	var error2, floor2 float64
	for a := range k {
		p, n := s.levelSums(l, a), l.n[a]
		bessel := n / (n - 1)
		error2 += p.PP / n * bessel / n
		floor2 += 2 * p.Square / n * bessel / n
	}
	floor2 /= l.norm * l.norm
	middle := 2 - 2*cos - floor2
	free := max(float64(k*(k-1))/2-1, 1)
	half := z * math.Sqrt(4*error2+2*floor2*floor2/free)
	v.set(middle, half)
	if d := 2 - 2*cos; d > 0 {
		v.SE = finite(math.Sqrt(error2 / d))
	}
	v.Plain, v.Floor = finite(plain), finite(math.Sqrt(floor2))
	return v
}

// set takes value and limits from those of the square.
func (v *Level) set(middle, half float64) {
	v.Value, v.Low, v.High = finite(root(middle)), finite(root(middle-half)), finite(root(middle+half))
	v.middle, v.half = middle, half
}

func root(v float64) float64 { return math.Sqrt(max(v, 0)) }

// dualityLevel measures how far classifier and means are from each other.
func (s *sample) dualityLevel(l *layout, f fourth, z float64) (v Level) {
	k, d := l.k(), s.d
	v.Null = finite(math.Sqrt2)
	v.NullLow = finite(root(2 - 2*2.33/math.Sqrt(float64(k-1)*float64(d))))
	w := make([]float64, 0, k*d)
	for _, c := range l.used {
		w = append(w, s.class.present.Row(c)...)
	}
	removeMean(w, k, d)
	size := norm(w)
	square, noise, cross, counts := 0.0, 0.0, 0.0, 0.0
	for a, c := range l.used {
		square += l.gram[a*k+a]
		noise += l.noise(a) * (1 - 1/float64(k))
		cross += kernel.Dot64(w[a*d:(a+1)*d], s.means.Row(c))
		counts += 1 / (l.n[a] * l.n[a])
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
	error2 := 0.0
	for a := range k {
		p, n := s.levelSums(l, a), l.n[a]
		error2 += max(0, alpha*alpha*p.WW-2*alpha*beta*p.WO+beta*beta*p.OO) / n / (n - 1)
	}
	v.set(2-2*cos, z*math.Sqrt(4*error2+2*f.same*counts/(square*square)))
	if cos < 1 {
		v.SE = finite(math.Sqrt(error2 / (2 - 2*cos)))
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
