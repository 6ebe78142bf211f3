package collapse

import (
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
)

// A match is how far the means of one multiplicity are from the sums of those of their tags:
//
//	E = mean_S |mu_S - C x_S|^2    B = mean_S mean_{S' != S} |mu_S - C x_S'|^2    C = sum_S x_S.mu_S / sum_S |x_S|^2
//
// over covered S and all subsets S' of as many tags that have rows of their own. E/B is 0 where the tag-wise average holds and 1 where the
// means know nothing of their tags, whatever the numbers of tags, dimensions and rows, and whatever all means have in common. What
// the noise of the means adds to E, B and the denominator of C is taken away, if it is known.
type match struct {
	covered         []int
	scale           float64
	own, other      float64 // E and B, and what of them is noise
	ownNoise, noise float64
	xx              float64   // sum |x_S|^2
	mid             []float64 // mean of x_S' over all S'
	square          float64   // mean of |x_S'|^2
	subsets         float64   // S' and S
}

// match compares a group in a frame. noise is the squared error of a class's mean, nil to leave it in. There is none where no tag set is covered, where
// there is no other subset, or where the noise covers what there is.
func (s *tagSample) match(f *tagFrame, g *tagGroup, noise func(c int) float64) (m *match, why string) {
	m = &match{covered: s.covered(g), subsets: binomial(len(s.ones), g.size), mid: make([]float64, f.dim)}
	if len(m.covered) == 0 || m.subsets < 2 {
		return nil, ""
	}
	if noise == nil {
		noise = func(int) float64 { return 0 }
	}
	size, tags := float64(g.size), float64(len(s.ones))
	alone, blur := 0.0, 0.0 // mean |u_k|^2, mean noise of u_k
	for _, k := range s.ones {
		u := f.u[k*f.dim : (k+1)*f.dim]
		kernel.Axpy64(m.mid, size/tags, u)
		alone += kernel.SumSquares64(u) / tags
		blur += noise(s.single[k]) / tags
	}
	pairs := size * (size - 1) / (tags * max(tags-1, 1)) // the chance that two tags are in S'
	m.square = size*alone + pairs*(kernel.SumSquares64(m.mid)*tags*tags/(size*size)-tags*alone)
	x := make([]float64, f.dim)
	xy, n := 0.0, float64(len(m.covered))
	for _, c := range m.covered {
		f.sum(x, s.set(c))
		xy += kernel.Dot64(x, f.row(c))
		m.xx += kernel.SumSquares64(x)
		for _, k := range s.set(c) {
			m.xx -= noise(s.single[k])
		}
	}
	if !(m.xx > 0) {
		return nil, "too few rows of one tag to tell their means apart"
	}
	m.scale = xy / m.xx
	c2 := m.scale * m.scale
	for _, c := range m.covered {
		f.sum(x, s.set(c))
		y := f.row(c)
		yy := kernel.SumSquares64(y)
		own := yy - 2*m.scale*kernel.Dot64(x, y) + c2*kernel.SumSquares64(x)
		all := yy - 2*m.scale*kernel.Dot64(m.mid, y) + c2*m.square
		kernel.Scale64(x, m.scale)
		own = kernel.Distance64(x, y) // without the cancellation
		m.own += own / n
		m.other += (m.subsets*all - own) / (m.subsets - 1) / n
		tagsNoise := 0.0
		for _, k := range s.set(c) {
			tagsNoise += noise(s.single[k])
		}
		m.ownNoise += (noise(c) + c2*tagsNoise) / n
		m.noise += (noise(c) + c2*(m.subsets*size*blur-tagsNoise)/(m.subsets-1)) / n
	}
	if !(m.other > 2*m.noise) {
		return nil, "too few rows a tag set to tell the means apart"
	}
	return m, ""
}

// ratio is E/B without noise.
func (m *match) ratio() float64 { return (m.own - m.ownNoise) / (m.other - m.noise) }

// severals are the multiplicities that M4 speaks of.
func (s *tagSample) severals() []*tagGroup {
	return slices.DeleteFunc(slices.Clone(s.groups), func(g *tagGroup) bool { return g.size < 2 || g.size >= s.k })
}

// plainTagwise is the level without any correction, nil where there is none.
func (s *tagSample) plainTagwise(f *tagFrame) *float64 {
	sum, n := 0.0, 0.0
	for _, g := range s.severals() {
		if m, _ := s.match(f, g, nil); m != nil {
			sum, n = sum+m.ratio(), n+1
		}
	}
	return finite(math.Sqrt(sum / n))
}

// tagwiseLevel is how far the means of several tags are from scaled sums of those of their tags, as a part of the way to the sums of other tags:
// the root of the mean over multiplicities of E/B (see match). Its error comes from the derivatives of that by all means, along which
// the spread of the lots is known, and from what squares of noise add. The scales get limits too.
func (s *tagSample) tagwiseLevel(lots *tagLots, f fourth, values Values) (v Level) {
	groups := s.severals()
	if len(groups) == 0 {
		return Level{Verdict: Vacuous, Reason: "no row has several tags, so there is nothing to average"}
	}
	tau, ok := s.variances()
	if !ok {
		return Level{Verdict: Undecidable, Low: finite(0), Reason: "it takes tag sets of two rows"}
	}
	noise := func(c int) float64 { return tau[c] / float64(s.sum.Count[c]) }
	var matches []*match
	why, worst, most := "no tag set has all its tags in rows of one tag", 0, 0.0
	for _, g := range groups {
		m, reason := s.match(&s.raw, g, noise)
		if m == nil {
			if reason != "" {
				why = reason
			}
			continue
		}
		matches = append(matches, m)
		if r := m.ratio(); r > most {
			worst, most = g.size, r
		}
	}
	if len(matches) == 0 {
		return Level{Verdict: Undecidable, Low: finite(0), Reason: why}
	}
	n := float64(len(matches))
	var middle, floor, quadratic, least, inverse, sets float64
	var linear spread
	pull := make([]float64, len(s.ones)*s.d) // derivative by the means of single tags
	for _, m := range matches {
		size := len(s.set(m.covered[0]))
		part := 1 / n
		middle += part * m.ratio()
		floor += part * m.ownNoise / (m.other - m.noise)
		slope := s.slopes(lots, m, part, pull, &linear)
		values.scaleLimits(fmt.Sprintf("ml_scale_m%d", size), m.scale, slope, lots.opts.Confidence)
		quadratic += part * part * s.squares(m, f, tau)
		least += part / (float64(len(m.covered)) * float64(min(s.d, len(s.ones))))
		for _, c := range m.covered {
			inverse, sets = inverse+1/float64(s.sum.Count[c]), sets+1
		}
	}
	s.alongSingles(lots, pull, &linear)
	v.Null, v.NullLow = finite(1), finite(root(1-6.63*least)) // 1 % quantile of squared cosines of random directions
	v.Plain = s.plainTagwise(&s.raw)
	v.Floor = finite(math.Sqrt(floor))
	z := linear.student(lots.opts.Confidence, 1)
	v.set(middle, z*math.Sqrt(linear.sum+quadratic))
	if middle > 0 {
		v.SE = finite(math.Sqrt(linear.sum / middle / 4))
	}
	v.judgeSquare(lots.opts.Alpha, sets/inverse, "tag sets that know nothing of their tags")
	if v.Verdict == Fails && v.Reason == "" && n > 1 {
		v.Reason = fmt.Sprintf("%s for sets of %d tags, the farthest", Percent(math.Sqrt(most)), worst)
	}
	return v
}

// variances are the total variances of all tag sets, for those of one row the mean of the others; false where no tag set has two.
func (s *tagSample) variances() (tau []float64, ok bool) {
	tau = make([]float64, len(s.sum.Count))
	sum, n := 0.0, 0.0
	for c := s.first; c < len(tau); c++ {
		if s.sum.Count[c] > 1 {
			tau[c] = s.sum.Scatter[c] / float64(s.sum.Count[c]-1)
			sum, n = sum+tau[c], n+1
		}
	}
	for c := s.first; c < len(tau); c++ {
		if s.sum.Count[c] == 1 {
			tau[c] = sum / n
		}
	}
	return tau, n > 0
}

// slopes adds the variance of E/B, times a factor, that comes from the means of several tags, and the derivatives by those of one to pull. It
// returns the same of the scale C, relative to it, from all means.
func (s *tagSample) slopes(lots *tagLots, m *match, part float64, pull []float64, to *spread) (scale spread) {
	d, n := s.d, float64(len(m.covered))
	f := &s.raw
	ratio, c := m.ratio(), m.scale
	by := 1 / (m.other - m.noise)
	place := make([]int, s.k) // of a tag in ones
	for i, k := range s.ones {
		place[k] = i
	}
	x, e, b, mu := make([]float64, d), make([]float64, d), make([]float64, d), make([]float64, d)
	errors, means, sums := make([]float64, len(pull)), make([]float64, len(pull)), make([]float64, len(pull)) // by tag, over the S with it
	bend := 0.0                                                                                               // dB/dC
	each := func(visit func(at int)) {
		for _, at := range m.covered {
			f.sum(x, s.set(at))
			copy(e, f.row(at))
			kernel.Axpy64(e, -c, x)
			visit(at)
		}
	}
	each(func(at int) {
		y := f.row(at)
		kernel.Axpy64(mu, 1/n, y)
		bend += (m.subsets*(2*c*m.square-2*kernel.Dot64(m.mid, y)) + 2*kernel.Dot64(e, x)) / (m.subsets - 1) / n
		for _, k := range s.set(at) {
			i := place[k] * d
			kernel.Add64(errors[i:i+d], e)
			kernel.Add64(means[i:i+d], y)
			kernel.Add64(sums[i:i+d], x)
		}
	})
	var several, scales spread
	seen := 0.0
	each(func(at int) {
		rows := s.sum.Count[at]
		copy(b, f.row(at)) // (N (mu - C mid) - e)/(N - 1), half the derivative of B's part
		kernel.Axpy64(b, -c, m.mid)
		kernel.Scale64(b, m.subsets)
		kernel.Axpy64(b, -1, e)
		kernel.Scale64(b, -2*ratio*by/n/(m.subsets-1))
		kernel.Axpy64(b, 2*by/n, e)
		kernel.Axpy64(b, -ratio*by*bend/m.xx, x)
		own, ok := lots.along(at, rows, b)
		if !ok || rows < 2 {
			return
		}
		seen++
		degrees := float64(len(lots.residuals[at]) - 1)
		several.add(part*part*own/float64(rows), max(degrees, 1))
		own, _ = lots.along(at, rows, x)
		scales.add(own/float64(rows)/(m.xx*m.xx), max(degrees, 1))
	})
	if seen > 0 {
		several.times(n / seen)
		scales.times(n / seen)
		to.join(several)
	}
	size, tags := float64(len(s.set(m.covered[0]))), float64(len(s.ones))
	whole := make([]float64, d) // sum of all u
	copy(whole, m.mid)
	kernel.Scale64(whole, tags/size)
	pairs := size * (size - 1) / (tags * max(tags-1, 1))
	by2 := make([]float64, len(pull)) // derivative of the scale
	for i, k := range s.ones {
		g, u := b, f.u[k*d:(k+1)*d]
		clear(g) // dB/du_k
		kernel.Axpy64(g, -2*c*size/tags, mu)
		kernel.Axpy64(g, 2*c*c*(size/tags-pairs), u)
		kernel.Axpy64(g, 2*c*c*pairs, whole)
		kernel.Scale64(g, m.subsets/(m.subsets-1))
		err := errors[i*d : (i+1)*d]
		kernel.Axpy64(g, 2*c/n/(m.subsets-1), err)
		slope := by2[i*d : (i+1)*d]
		copy(slope, means[i*d:(i+1)*d])
		kernel.Axpy64(slope, -2*c, sums[i*d:(i+1)*d])
		kernel.Scale64(slope, 1/m.xx)
		row := pull[i*d : (i+1)*d]
		kernel.Axpy64(row, -2*c/n*by*part, err)
		kernel.Axpy64(row, -ratio*by*part, g)
		kernel.Axpy64(row, -ratio*by*bend*part, slope)
	}
	s.alongSingles(lots, by2, &scales)
	scales.times(1 / (c * c))
	return scales
}

// alongSingles adds the variance that comes from the means of single tags, with the derivatives by them.
func (s *tagSample) alongSingles(lots *tagLots, pull []float64, to *spread) {
	var sum spread
	seen := 0.0
	for i, k := range s.ones {
		c := s.single[k]
		rows := s.sum.Count[c]
		if own, ok := lots.along(c, rows, pull[i*s.d:(i+1)*s.d]); ok && rows > 1 {
			seen++
			sum.add(own/float64(rows), max(float64(len(lots.residuals[c])-1), 1))
		}
	}
	if seen > 0 {
		sum.times(float64(len(s.ones)) / seen)
		to.join(sum)
	}
}

// squares is the variance of E/B from the squares of noise: E has the quadratic form of the mean errors nu with the matrix L'L,
// L = (I, -C X), X the tags of the covered sets.
func (s *tagSample) squares(m *match, f fourth, tau []float64) float64 {
	blur := func(a, b int) float64 { // tr(Sigma_a Sigma_b)/(n_a n_b)
		by := f.other.value
		na, nb := float64(s.sum.Count[a]), float64(s.sum.Count[b])
		if a == b {
			by = f.same.value
			nb = max(nb-1, 1)
		}
		return max(by, 0) * tau[a] * tau[b] / (na * nb)
	}
	sum, c2 := 0.0, m.scale*m.scale
	both := make([]float64, s.k*s.k)
	for _, c := range m.covered {
		sum += 2 * blur(c, c)
		for _, k := range s.set(c) {
			sum += 4 * c2 * blur(c, s.single[k])
			for _, j := range s.set(c) {
				both[k*s.k+j]++
			}
		}
	}
	for _, k := range s.ones {
		for _, j := range s.ones {
			if times := both[k*s.k+j]; times > 0 {
				sum += 2 * c2 * c2 * times * times * blur(s.single[k], s.single[j])
			}
		}
	}
	by := float64(len(m.covered)) * (m.other - m.noise)
	return sum / (by * by)
}

// times scales the variance.
func (s *spread) times(by float64) { s.sum, s.squares = s.sum*by, s.squares*by*by }

// join adds another variance to it.
func (s *spread) join(o spread) { s.sum, s.squares = s.sum+o.sum, s.squares+o.squares }

// scaleLimits gives limits to a scale, on the log scale, about what it is without the noise of the single-tag means, which lowers it.
func (values Values) scaleLimits(id string, scale float64, relative spread, confidence float64) {
	if !values.has(id) || !(scale > 0) || !(relative.sum >= 0) {
		return
	}
	half := relative.student(confidence, 1) * math.Sqrt(relative.sum)
	values.bound(id, scale*math.Exp(-half), scale*math.Exp(half))
}
