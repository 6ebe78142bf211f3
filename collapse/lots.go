package collapse

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/moments"
)

// lots is how many residuals stand for all where sums of fourth order are estimated: as many as small data sets
// give for little, and in large ones enough for 25,000 pairs of one class.
func (s *sample) lots() int {
	if s.n*float64(s.d) <= 1<<23 {
		return 2048
	}
	return min(1536, max(512, int(225*math.Sqrt(float64(s.k)))))
}

// A draw is residuals drawn by lot, as many of every class, and their products. They are scaled to unit length on average, and
// to the covariance of their class (by n/(n-1)).
type draw struct {
	k, m       int
	class      []int     // m, in the layout
	begin, end []int     // m, the residuals of the same class
	rows       []float32 // m x d
	square     []float32 // m, |r_i|^2
	inner      []float32 // m x m, r_i.r_j, 0 on the diagonal
	scores     []float32 // m x k, r_i.m_j over the reach of the layout
	toward     []float32 // m x k, t_ij = r_i.(m_c - m_j)/delta~_cj^2
	unit       float64   // square of the length that rows were divided by
}

// draw prepares what was drawn; it is nil where that is too little.
func (s *sample) draw(l *layout) *draw {
	drawn := moments.Lots(s.pass.Residuals)
	k, d, m := l.k(), s.d, len(drawn)
	unit := mean(l.tau)
	if m < 2 || unit == 0 || l.reach == 0 {
		return nil
	}
	w := &draw{
		k: k, m: m, unit: unit, class: make([]int, m), begin: make([]int, m), end: make([]int, m),
		rows: make([]float32, m*d), square: make([]float32, m), inner: make([]float32, m*m), scores: make([]float32, m*k), toward: make([]float32, m*k),
	}
	for i, r := range drawn {
		copy(w.rows[i*d:], r.Row)
		w.class[i], _ = slices.BinarySearch(l.used, int(r.Class))
		w.begin[i] = i
		if i > 0 && w.class[i] == w.class[i-1] {
			w.begin[i] = w.begin[i-1]
		}
	}
	s.pass.Residuals = nil // they are in rows now
	for i := m - 1; i >= 0; i-- {
		w.end[i] = i + 1
		if i+1 < m && w.class[i] == w.class[i+1] {
			w.end[i] = w.end[i+1]
		}
	}
	means := narrowed(k, d, l.reach, func(a int) []float64 { return s.means.Row(l.used[a]) })
	kernel.Syrk32(false, m, d, w.rows, d, w.inner, m)
	for i := range m {
		w.square[i], w.inner[i*m+i] = w.inner[i*m+i], 0
	}
	kernel.Gemm32(false, true, m, k, d, 1, w.rows, d, means, d, 0, w.scores, k)
	size := math.Sqrt(unit) * l.reach
	parallel.For(m, func(_, i int) {
		c := w.class[i]
		scores, toward, clean := w.scores[i*k:(i+1)*k], w.toward[i*k:(i+1)*k], l.clean[c*k:(c+1)*k]
		own := float64(scores[c])
		for j, gap := range clean {
			if gap > 0 {
				toward[j] = float32((own - float64(scores[j])) * size / gap)
			}
		}
	})
	return w
}

// times are the products of the lots with vectors, m x K, over a reach.
func (w *draw) times(v *geometry.Vectors) (products []float32, reach float64) {
	products, reach = make([]float32, w.m*v.K), v.Frobenius()
	vectors := narrowed(v.K, v.D, reach, v.Row)
	kernel.Gemm32(false, true, w.m, v.K, v.D, 1, w.rows, v.D, vectors, v.D, 0, products, v.K)
	return products, reach
}

// narrowed are k vectors over a reach, or zeros over none.
func narrowed(k, d int, reach float64, row func(i int) []float64) []float32 {
	out := make([]float32, k*d)
	if reach == 0 {
		return out
	}
	parallel.For(k, func(_, i int) {
		to := out[i*d : (i+1)*d]
		for j, v := range row(i) {
			to[j] = float32(v * (1 / reach))
		}
	})
	return out
}

// of are the lots of the class of lot i.
func (w *draw) of(i int) float64 { return float64(w.end[i] - w.begin[i]) }

// An estimate has a standard error.
type estimate struct {
	value, err float64
	dev        float64 // standard deviation of what single lots say, relative to the size of their class
}

// relative is the standard error over the value.
func (e estimate) relative() float64 {
	if e.value == 0 {
		return 0
	}
	return e.err / e.value
}

// stray is the variance of a row's sum of squared scores over its class's mean.
func (w *draw) stray(s *sample, l *layout) float64 {
	if w == nil {
		return 0
	}
	sum := 0.0
	for i, c := range w.class {
		n := l.n[c]
		expected := s.levelSums(l, c).Square / (n - 1)
		if expected > 0 {
			scores, total := w.scores[i*w.k:(i+1)*w.k], 0.0
			for _, x := range scores {
				total += float64(x)
			}
			square := kernel.SumSquares32(scores) - total*total/float64(w.k)
			d := square*w.unit*l.reach*l.reach/expected - 1
			sum += d * d / float64(w.m)
		}
	}
	return sum
}

// classMean averages sums over lots: those of a class by their number of pairs, then the classes. What
// each lot adds is taken to be independent of the others of its class, so that each pair counts in two.
func (w *draw) classMean(sums []float64, pairs func(i int) float64, size func(c int) float64) (e estimate, ok bool) {
	var means, spreads, counts []float64
	var relative, lots float64
	for i := 0; i < w.m; i = w.end[i] {
		total, count := 0.0, 0.0
		var each []float64
		for j := i; j < w.end[i]; j++ {
			if n := pairs(j); n > 0 {
				total, count = total+sums[j], count+n
				each = append(each, sums[j]/n)
			}
		}
		if count == 0 {
			continue
		}
		means = append(means, total/count)
		if n := float64(len(each)); n > 1 {
			v := variance(each) * n / (n - 1)
			spreads, counts = append(spreads, v), append(counts, n)
			if s := size(w.class[i]); s > 0 {
				relative, lots = relative+v/(s*s)*n, lots+n
			}
		}
	}
	if means == nil {
		return e, false
	}
	e.value = mean(means)
	k := float64(len(means))
	switch {
	case spreads == nil: // one lot a class: the classes' differences are all there is to go by
		e.err = 2 * deviation(means) / math.Sqrt(k)
	default:
		square := 0.0
		for i, v := range spreads {
			square += v / counts[i]
		}
		e.err = 2 * math.Sqrt(square/float64(len(spreads))/k)
	}
	if lots > 0 {
		e.dev = math.Sqrt(relative / lots)
	}
	return e, true
}

func (w *draw) samePairs(i int) float64  { return w.of(i) - 1 }
func (w *draw) otherPairs(i int) float64 { return float64(w.m) - w.of(i) }

// fourth are tr(Sigma_c Sigma_j)/(tau_c tau_j) over the classes, for j = c and for others: the inverse of the number of
// directions that the noise has.
type fourth struct{ same, other estimate }

// trace is tr(Sigma_c Sigma_j).
func (f fourth) trace(l *layout, c, j int) float64 {
	if c == j {
		return f.same.value * l.tau[c] * l.tau[c]
	}
	return f.other.value * l.tau[c] * l.tau[j]
}

// fourth estimates them from the inner products of residuals. Those of one class depend on each other through
// their mean, with correlation kappa = -1/(n-1); for normal noise and tau from the same residuals, E (r_i.r_j - kappa tau)^2 =
// (1 + kappa^2 + 2 kappa^3) tr Sigma_c^2. (The mean of (r_i.r_j)^2 - kappa^2 tau^2 is the same, but strays far more where few of a
// small class are drawn.)
func (w *draw) fourth(l *layout) (f fourth) {
	if w == nil {
		return f
	}
	m := w.m
	same, other, along := make([]float64, m), make([]float64, m), make([]float64, m)
	parallel.Ranges(m, 64, func(from, to int) {
		for i := from; i < to; i++ {
			row := w.inner[i*m : (i+1)*m]
			for _, x := range row[w.begin[i]:w.end[i]] {
				along[i] += float64(x) * w.unit
			}
			same[i] = kernel.SumSquares32(row[w.begin[i]:w.end[i]]) * w.unit * w.unit
			other[i] = (kernel.SumSquares32(row[:w.begin[i]]) + kernel.SumSquares32(row[w.end[i]:])) * w.unit * w.unit
		}
	})
	var own, all float64
	for _, tau := range l.tau {
		all += tau
		own += tau * tau
	}
	k := float64(l.k())
	pairs := func(i int) float64 {
		if l.n[w.class[i]] < 3 { // two residuals are opposites, whatever the noise
			return 0
		}
		return w.samePairs(i)
	}
	for i, c := range w.class {
		kappa := -1 / (l.n[c] - 1)
		tau := l.tau[c]
		if n := pairs(i); n > 0 {
			same[i] = (same[i] - 2*kappa*tau*along[i] + n*kappa*kappa*tau*tau) / (1 + kappa*kappa + 2*kappa*kappa*kappa)
		}
	}
	scaled := func(e estimate, by float64) estimate { return estimate{e.value / by, e.err / by, e.dev} }
	if e, ok := w.classMean(other, w.otherPairs, func(c int) float64 { return l.tau[c] * (all - l.tau[c]) / (k - 1) }); ok && all*all > own {
		f.other = scaled(e, (all*all-own)/(k*(k-1)))
	}
	if e, ok := w.classMean(same, pairs, func(c int) float64 { return l.tau[c] * l.tau[c] }); ok {
		f.same = scaled(e, own/k)
	} else {
		f.same = f.other
	}
	return f
}

// curvature is what v^2 is off by because distances and spreads are taken between means that carry noise: of second order in that noise.
// With phi = Delta' Sigma_c Delta / D^2 and D = |Delta|^2 of a pair c, j and S = Sigma_c/n_c + Sigma_j/n_j,
//
//	E phi^ - phi = 12 phi Delta' S Delta / D^2 - 8 Delta' Sigma_c S Delta / D^3 + ...
//
// averaged over pairs. What the noise of the means adds to Delta' Sigma_c Delta and Delta' Sigma_c S Delta themselves, tr(Sigma_c S) and
// tr(Sigma_c S S), is taken away first; the latter as for noise that is alike in all its directions.
//
// The second result is the variance, times K^2, that v^2 has from what the means do to distances and spreads: of r.b_c over the rows of
// a class, with b_c = mean over j of 2 (Sigma_c + Sigma_j) Delta/D^2 - 4 (phi_cj + phi_jc) Delta/D. Two halves of the lots stand for the two Sigma in
// its square.
func (w *draw) curvature(l *layout, f fourth) (curve, pull estimate) {
	if w == nil {
		return curve, pull
	}
	k, m := w.k, w.m
	scale := 1 / float64(k-1)
	own, share, level := make([]float64, k), make([]float64, k), make([]float64, k) // tr Sigma_c^2/n_c, that over tau_c, tau_c/n_c
	for c := range k {
		own[c] = f.trace(l, c, c) / l.n[c]
		share[c], level[c] = own[c]/l.tau[c], l.noise(c)
	}
	noise := func(c, j int, inverse float64) float64 { // tr(Sigma_c S) / D^2
		return (own[c] + f.other.value*l.tau[c]*level[j]) * (inverse * inverse)
	}
	phi, phiAcross := make([]float64, k*k), make([]float64, k*k) // mean of t^2 over the lots of the class; transposed
	across := make([]float32, k*m)                               // toward, transposed
	var blocks []int                                             // where classes begin
	for i := 0; i < m; i = w.end[i] {
		blocks = append(blocks, i)
	}
	parallel.Ranges(k, 32, func(from, to int) { // of columns
		for i, c := range w.class {
			weight := 1 / w.of(i)
			for j, t := range w.toward[i*k+from : i*k+to] {
				square := float64(t) * float64(t) * weight
				phi[c*k+from+j] += square
				phiAcross[(from+j)*k+c] += square
				across[(from+j)*m+i] = t
			}
		}
	})
	same, other := make([]float64, m), make([]float64, m)
	half := [2][]float64{make([]float64, m), make([]float64, m)} // r.b of each lot, by halves of the others
	parallel.For(len(blocks), func(_, part int) {
		from := blocks[part]
		to, c := w.end[from], w.class[from]
		size, n, tau := to-from, l.n[c], l.tau[c]
		fellows := float64(size - 1)
		kappa2 := 1 / ((n - 1) * (n - 1))
		middle := from + size/2
		cuts := [2]float64{float64(middle - from), float64(to - middle)}
		direction := f.trace(l, c, c) / tau // variance in a direction of the noise
		var products [2][]float32           // P T of the class, by halves of the lots
		for h, part := range [2][2]int{{from, middle}, {middle, to}} {
			products[h] = make([]float32, size*k)
			if at := part[0]; at < part[1] && size > 1 {
				kernel.Gemm32(false, false, size, k, part[1]-at, 1, w.inner[from*m+at:], m, w.toward[at*k:], k, 0, products[h], k)
			}
		}
		// Of each lot; the sums of all go to their places at the end, for several goroutines write there.
		sums := make([]struct {
			half        [2]float64
			same, other float64
		}, size)
		for j := range k {
			if j == c || size == 1 {
				continue
			}
			inverse := 1 / l.clean[c*k+j]
			extra, mean := noise(c, j, inverse), phi[c*k+j]*(fellows+1)
			unit := w.unit * inverse
			for x := range sums {
				sum, i := &sums[x], from+x
				t := float64(w.toward[i*k+j])
				own := t * t
				rest := mean - own
				first, second := float64(products[0][x*k+j])*unit, float64(products[1][x*k+j])*unit
				a, b := cuts[0], cuts[1]
				if i < middle {
					a--
				} else {
					b--
				}
				if a > 0 && b > 0 {
					sum.half[0] += 2 * scale * first / a
					sum.half[1] += 2 * scale * second / b
				}
				psi := t * (first + second)
				psi = (psi-kappa2*tau*inverse*(own*fellows+rest)/2)/(1+kappa2) - fellows*extra*direction*inverse
				sum.same += (12*(own-extra)*(rest-fellows*extra) - 8*psi) * scale / n
			}
		}
		for _, at := range blocks {
			j, last := w.class[at], w.end[at]
			if j == c {
				continue
			}
			inverse := 1 / l.clean[c*k+j]
			extra, back := noise(c, j, inverse), phiAcross[c*k+j]-noise(j, c, inverse)
			third := f.trace(l, c, j) * (share[c] + share[j]) * (inverse * inverse * inverse) // tr(Sigma_c Sigma_j S) / D^3
			bend := 4 * scale * (max(phi[c*k+j]-extra, 0) + max(back, 0))
			number := last - at
			cut := number / 2
			unit, weight := w.unit*inverse, scale/l.n[j]
			var pulls [2]float64
			if cut > 0 {
				pulls = [2]float64{2 * scale * unit / float64(cut), 2 * scale * unit / float64(number-cut)}
			}
			unit /= float64(number)
			col := across[c*m+at : c*m+last]
			for x := range sums {
				sum, i := &sums[x], from+x
				row := w.inner[i*m+at : i*m+last]
				var first, second float32
				for y, p := range row[:cut] {
					first += p * col[y]
				}
				for y, p := range row[cut:] {
					second += p * col[cut+y]
				}
				t := float64(w.toward[i*k+j])
				sum.half[0] -= bend*t + pulls[0]*float64(first)
				sum.half[1] -= bend*t + pulls[1]*float64(second)
				psi := -t*float64(first+second)*unit - third
				sum.other += (12*(t*t-extra)*back - 8*psi) * weight
			}
		}
		for x, sum := range sums {
			half[0][from+x], half[1][from+x], same[from+x], other[from+x] = sum.half[0], sum.half[1], sum.same, sum.other
		}
	})
	one := func(int) float64 { return 1 }
	a, _ := w.classMean(same, w.samePairs, one)
	b, _ := w.classMean(other, one, one)
	for i, c := range w.class {
		half[0][i] *= half[1][i] / l.n[c] * float64(k)
	}
	pull, _ = w.classMean(half[0], one, one)
	return estimate{value: a.value + b.value, err: math.Hypot(a.err, b.err)}, pull
}
