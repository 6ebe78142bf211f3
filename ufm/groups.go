package ufm

import (
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/root"
)

// Cross-entropy with class sizes that need not be equal, by the nuclear-norm reduction (Srebro 2004;
// Haeffele & Vidal 2015): over the K x K logits Z of the class means,
//
//	minimise  sum_k w_k CE(Z e_k, k) + mu ||Z diag(c)||_*      (decays: w_k = n_k/N, c_k = sqrt n_k, mu = sqrt(lambda_W lambda_H))
//	minimise  sum_k w_k CE(Z e_k, k)   s.t. ||Z||_* <= r       (layer-peeled model of Fang et al. 2021: r = K sqrt(E_W E_H))
//
// Both are convex and do not change when classes of the same size are exchanged, so there is a solution
// that does not change either: within a group of m classes Z acts as a number a on the vectors that
// sum to zero, and between groups it is one number per pair. What remains is G numbers a and a G x G
// matrix, whatever K is.

// A classGroup is a number of classes that all have the same size, and are treated alike.
type classGroup struct {
	classes int     // m
	weight  float64 // w of each class; over all classes the weights sum to 1
	scale   float64 // c, the weight of its columns in the nuclear norm
	offset  float64 // added to its logits in the loss (logit adjustment); not part of Z
}

// A groupOptimum is a solution in the coordinates of the groups.
type groupOptimum struct {
	groups  []classGroup
	mu      float64   // weight, or multiplier, of the nuclear norm
	within  []float64 // a_g >= 0: gap between the own logit and those of other classes of the group; 0 in a group of one class
	between []float64 // G x G: row g, column h is the mean logit of classes g on features of group h; columns sum to 0 over all classes
	bias    []float64 // added to the logits of each group; nil where there is none
	loss    float64   // sum_k w_k CE
	nuclear float64   // ||Z diag(c)||_*
}

// gap is how far, for a feature of group h, the own logit is above that of another class, of group g.
func (o *groupOptimum) gap(h, g int) float64 {
	if g == h {
		return o.within[h]
	}
	n := len(o.groups)
	gap := o.within[h]*(1-1/float64(o.groups[h].classes)) + o.between[h*n+h] - o.between[g*n+h]
	if o.bias != nil {
		gap += o.bias[h] - o.bias[g]
	}
	return gap
}

// A groupGeometry holds norms and cosines per group and between groups; cosines that do not exist are NaN.
type groupGeometry struct {
	w, h   []float64 // norms of a classifier row and of a feature
	cosine []float64 // G x G cosines between rows of W: within a group on the diagonal
}

// geometry returns what W and H look like: W W^T = kw (Z C^2 Z^T)^(1/2) and C H^T H C = kh (C Z^T Z C)^(1/2),
// with C = diag(c). For decays kw = sqrt(lambda_H/lambda_W) = 1/kh, for energies kw = K E_W/||Z||_* and
// kh = K E_H/||Z||_*. Rows up to negligible times the longest have no direction: 0 for what is exact, more for what a search found.
func (o *groupOptimum) geometry(kw, kh, negligible float64) (groupGeometry, error) {
	n := len(o.groups)
	block, flipped := make([]float64, n*n), make([]float64, n*n)
	for g, gg := range o.groups {
		for h, hh := range o.groups {
			v := o.between[g*n+h] * math.Sqrt(float64(gg.classes)*float64(hh.classes)) * hh.scale
			block[g*n+h], flipped[h*n+g] = v, v
		}
	}
	features, err := squareRootOfGram(n, block)
	if err != nil {
		return groupGeometry{}, err
	}
	rows, err := squareRootOfGram(n, flipped)
	if err != nil {
		return groupGeometry{}, err
	}
	geo := groupGeometry{w: make([]float64, n), h: make([]float64, n), cosine: make([]float64, n*n)}
	longest := 0.0
	for g, gg := range o.groups {
		m, s := float64(gg.classes), gg.scale*o.within[g]
		geo.w[g] = math.Sqrt(max(0, kw*(s*(1-1/m)+rows[g*n+g]/m))) // a search may leave s just below 0
		geo.h[g] = math.Sqrt(max(0, kh*(s*(1-1/m)+features[g*n+g]/m))) / gg.scale
		longest = max(longest, geo.w[g])
	}
	for g, gg := range o.groups {
		for h, hh := range o.groups {
			inner := rows[g*n+h] / math.Sqrt(float64(gg.classes)*float64(hh.classes))
			if g == h {
				inner -= gg.scale * o.within[g] / float64(gg.classes)
			}
			c := kw * inner / (geo.w[g] * geo.w[h])
			switch {
			case geo.w[g] <= negligible*longest || geo.w[h] <= negligible*longest || g == h && gg.classes == 1:
				c = math.NaN()
			case g == h && o.within[g] == 0:
				c = 1 // identical rows, whatever rounding says
			}
			geo.cosine[g*n+h] = c
		}
	}
	return geo, nil
}

// point returns W and the features of the samples, in d >= K-1 dimensions: class k belongs to group of[k], has counts[k] samples,
// and its column has the scale sqrt(counts[k]); kw as in geometry, with kh = 1/kw.
func (o *groupOptimum) point(of, counts []int, d int, kw float64) (Point, error) {
	k, n := len(of), len(o.groups)
	logits := make([]float64, k*k) // row c: those of class c, times its scale
	for c, h := range of {
		m := float64(o.groups[h].classes)
		for j, g := range of {
			v := o.between[g*n+h]
			if g == h {
				v -= o.within[h] / m
			}
			if j == c {
				v += o.within[h]
			}
			logits[c*k+j] = v * o.groups[h].scale
		}
	}
	s, right, err := linalg.SVD(k, k, slices.Clone(logits))
	if err != nil {
		return Point{}, fmt.Errorf("ufm: logits of the classes: %w", err)
	}
	at := Point{W: make([]float64, k*d)}
	means := make([]float64, k*d)
	for j, sj := range s[:min(k, d)] {
		if sj <= 1e-14*s[0] {
			break
		}
		v := right[j*k : (j+1)*k]
		for c, h := range of {
			at.W[c*d+j] = math.Sqrt(kw*sj) * v[c]
			means[c*d+j] = kernel.Dot64(logits[c*k:(c+1)*k], v) / (math.Sqrt(kw*sj) * o.groups[h].scale)
		}
	}
	for c, samples := range counts {
		at.H = append(at.H, slices.Repeat(means[c*d:(c+1)*d], samples)...)
	}
	for _, g := range of {
		if o.bias != nil {
			at.B = append(at.B, o.bias[g])
		}
	}
	return at, nil
}

// squareRootOfGram returns (X^T X)^(1/2) of an n x n matrix, which it destroys. It goes by singular values, for
// the eigenvalues of X^T X would lose half of the digits.
func squareRootOfGram(n int, x []float64) ([]float64, error) {
	s, v, err := linalg.SVD(n, n, x)
	if err != nil {
		return nil, fmt.Errorf("ufm: logits between groups: %w", err)
	}
	r := make([]float64, n*n)
	for k, sk := range s {
		for i := range n {
			for j := range n {
				r[i*n+j] += sk * v[k*n+i] * v[k*n+j]
			}
		}
	}
	return r, nil
}

// Two groups, A and B. The matrix between them has rank one,
//
//	columns of A: -p/K_B on each class of B, p/K_A in the mean of A's own;  columns of B: -q/K_A, q/K_B,
//
// and its part of the norm is |(P, Q)| with P = c_A p sqrt(K/K_B), Q = c_B q sqrt(K/K_A). The columns of A
// and those of B meet in this length only. At an optimum its gradient is a unit vector (cos t, sin t): the
// slopes of the loss along P and Q are mu cos t and mu sin t, and (P, Q) points along (cos t, sin t). Given its
// slopes, a column has a closed form, so t is the root of one increasing function.

// A column is what the features of one group see: the in-group gap, the coordinate (P or Q) of the
// matrix between the groups, and the loss.
type column struct {
	within, across, loss float64
}

// columnAt returns the column of a group of m classes beside another one of k, whose slope along a is mu c and
// along the coordinate between the groups is sigma. With
//
//	x = exp(-gap to the other group), D = 1 + (m-1) e^-a + k x
//
// the conditions are w (m e^-a + k x)/D = mu c and (w/c) sqrt((m+k) k) x/D = sigma, which are linear in
// e^-a/D, x/D and 1/D. The first one has its solution at a > 0 iff mu c < w: otherwise the classes of the
// group coincide, a = 0, whatever the other group does. Where sigma is larger than any slope, the
// coordinate is minus infinity.
func columnAt(g, other classGroup, mu, sigma float64) column {
	m, k := float64(g.classes), float64(other.classes)
	x := sigma * g.scale / (g.weight * math.Sqrt((m+k)*k)) // x/D
	slope := mu * g.scale / g.weight
	var c column
	if slope < 1 && g.classes > 1 {
		inside := (slope - k*x) / m // e^-a/D
		if inside <= 0 {
			return column{across: math.Inf(-1)}
		}
		c.within = math.Log1p((1 - slope) / inside)
		c.loss = -math.Log1p(-(slope*(m-1) + k*x) / m)
	} else {
		if k*x >= 1 {
			return column{across: math.Inf(-1)}
		}
		c.loss = math.Log(m) - math.Log1p(-k*x)
	}
	// The loss sees the gap to the logits of the other group with offsets, the norm without.
	gap := -c.loss - math.Log(x) + other.offset - g.offset
	c.across = g.scale * math.Sqrt((m+k)/k) * (gap - c.within*(1-1/m)) * m * k / (m + k)
	return c
}

// columnAlone returns the column of a group whose coordinate between the groups is 0, and its slope sigma there.
func columnAlone(g, other classGroup, mu float64) (column, float64) {
	m, k := float64(g.classes), float64(other.classes)
	// e^-a, x and D as above
	terms := func(a float64) (e, x, d float64) {
		e, x = math.Exp(-a), math.Exp(other.offset-g.offset-a*(1-1/m))
		return e, x, 1 + (m-1)*e + k*x
	}
	excess := func(a float64) float64 {
		e, x, d := terms(a)
		return mu*g.scale - g.weight*(m*e+k*x)/d
	}
	var c column
	if g.classes > 1 && excess(0) < 0 {
		high := 1.0
		for excess(high) < 0 {
			high *= 2
		}
		c.within = root.Between(excess, 0, high)
	}
	_, x, d := terms(c.within)
	c.loss = math.Log(d)
	return c, g.weight / g.scale * math.Sqrt((m+k)*k) * x / d
}

// twoGroups minimises the loss plus mu times the nuclear norm for groups A and B; mu > 0.
func twoGroups(a, b classGroup, mu float64) groupOptimum {
	ca, slopeA := columnAlone(a, b, mu)
	cb, slopeB := columnAlone(b, a, mu)
	if math.Hypot(slopeA, slopeB) > mu {
		// tan t is e^y: a small group has a small angle, which y keeps.
		at := func(y float64) (column, column) {
			cos := 1 / math.Hypot(1, math.Exp(y))
			sin := 1 / math.Hypot(1, math.Exp(-y))
			return columnAt(a, b, mu, mu*cos), columnAt(b, a, mu, mu*sin)
		}
		y := root.Between(func(y float64) float64 {
			ca, cb := at(y)
			return math.Exp(y)*ca.across - cb.across
		}, -60, 60)
		ca, cb = at(y)
	}
	o := groupOptimum{groups: []classGroup{a, b}, mu: mu, within: []float64{ca.within, cb.within}}
	ma, mb := float64(a.classes), float64(b.classes)
	p, q := ca.across/a.scale*math.Sqrt(mb/(ma+mb)), cb.across/b.scale*math.Sqrt(ma/(ma+mb))
	o.between = []float64{p / ma, -q / ma, -p / mb, q / mb}
	o.loss = ma*a.weight*ca.loss + mb*b.weight*cb.loss
	o.nuclear = a.scale*(ma-1)*ca.within + b.scale*(mb-1)*cb.within + math.Hypot(ca.across, cb.across)
	return o
}

// twoGroupsWithin minimises the loss where the nuclear norm is at most r. It looks for the multiplier at which the norm is r:
// the norm falls as the multiplier grows.
func twoGroupsWithin(a, b classGroup, r float64) (groupOptimum, error) {
	// Above this multiplier the logits are zero: no slope of the loss at zero is larger.
	ma, mb := float64(a.classes), float64(b.classes)
	ceiling := math.Hypot(a.weight/a.scale*math.Sqrt(ma+mb), b.weight/b.scale*math.Sqrt(ma+mb))
	excess := func(logMu float64) float64 { return r - twoGroups(a, b, math.Exp(logMu)).nuclear }
	const floor = -690 // exp of less is not a normal number
	if excess(floor) > 0 {
		return groupOptimum{}, fmt.Errorf("ufm: a nuclear norm of %g allows gaps beyond 690, where the loss is below 1e-300: expected smaller energies", r)
	}
	return twoGroups(a, b, math.Exp(root.Between(excess, floor, math.Log(ceiling)))), nil
}

// probabilities returns, for a feature of group h, the probability of its own class, of each other class of its group, and
// of each class of the other groups g (p[h] is the one inside the group). The loss sees the logits with their offsets.
func (o *groupOptimum) probabilities(h int) (own float64, p []float64) {
	p = make([]float64, len(o.groups))
	total := 1.0
	for g, gg := range o.groups {
		p[g] = math.Exp(gg.offset - o.groups[h].offset - o.gap(h, g))
		if g == h {
			total += float64(gg.classes-1) * p[g]
		} else {
			total += float64(gg.classes) * p[g]
		}
	}
	for g := range p {
		p[g] /= total
	}
	return 1 / total, p
}

// slope returns the spectral norm of the gradient of the loss, weighted as the norm of Z is: ||G diag(1/c)||_2 with
// columns G e_k = w_k (p_k - e_k). The point is optimal iff it is mu (or the zero point, iff it is at most mu).
func (o *groupOptimum) slope() (float64, error) {
	n := len(o.groups)
	norm := 0.0
	block := make([]float64, n*n)
	for h, hh := range o.groups {
		own, p := o.probabilities(h)
		m, w := float64(hh.classes), hh.weight/hh.scale
		if hh.classes > 1 {
			norm = max(norm, w*math.Abs(1-own+p[h]))
		}
		for g, gg := range o.groups {
			mean := p[g]
			if g == h {
				mean = (own - 1 + (m-1)*p[h]) / m
			}
			block[g*n+h] = w * mean * math.Sqrt(float64(gg.classes)*m)
		}
	}
	s, err := linalg.SingularValues(n, n, block)
	if err != nil {
		return 0, fmt.Errorf("ufm: probabilities of the groups: %w", err)
	}
	return max(norm, s[0]), nil
}

// gapWithin bounds how far the loss is above the smallest one within the nuclear norm r: r ||G||_2 + <G, Z>,
// by convexity, for scales of 1.
func (o *groupOptimum) gapWithin(r float64) (float64, error) {
	slope, err := o.slope()
	product := 0.0
	for h, hh := range o.groups {
		_, p := o.probabilities(h)
		for g, gg := range o.groups {
			classes := float64(gg.classes)
			if g == h {
				classes--
			}
			// <p - e_k, z> = -sum over the other classes of their probability times the gap to them
			product -= float64(hh.classes) * hh.weight * classes * p[g] * o.gap(h, g)
		}
	}
	return r*slope + product, err
}

// lowerBound is a value that loss + mu ||Z diag(c)||_* exceeds everywhere: with s = min(1, mu/||G||_2) the distributions
// q_k = (1-s) e_k + s p_k give sum_k w_k (entropy of q_k + the mean offset under q_k - the own offset). Not for a bias.
func (o *groupOptimum) lowerBound() (float64, error) {
	slope, err := o.slope()
	s := 1.0
	if slope > o.mu {
		s = o.mu / slope
	}
	bound := 0.0
	add := func(weight, q, offset float64) {
		if q > 0 {
			bound += weight * q * (offset - math.Log(q))
		}
	}
	for h, hh := range o.groups {
		own, p := o.probabilities(h)
		w := float64(hh.classes) * hh.weight
		add(w, 1-s*(1-own), 0)
		for g, gg := range o.groups {
			classes := float64(gg.classes)
			if g == h {
				classes--
			}
			add(w*classes, s*p[g], gg.offset-hh.offset)
		}
	}
	return bound, err
}
