package ufm

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/optimize"
)

// Any number of groups, and a bias. The matrix between the groups times diag(c) is factored as P Q^T, and each a as u v/c:
// half the sum of squares of all factors is then the smallest nuclear norm of the product, and what is minimised is
// the original problem again, W and H in the directions that the groups leave, of size G^2 instead of K d.
// It is not convex, but has no other minima than the global ones where no factor is short of columns (Zhu et al. 2021);
// groupOptimum.slope certifies what is found.

// A groupProblem is loss + mu (sum of squares of the factors)/2 + decay of the bias. In x stand P (G x G), Q (G x G),
// sqrt(m-1) u and sqrt(m-1) v (G each), and b (G) where there is a bias.
type groupProblem struct {
	groups []classGroup
	mu     float64
	bias   Bias
	decay  float64 // lambda_b; 0 for a free bias
}

func (p *groupProblem) size() int {
	n := len(p.groups)
	if p.bias == NoBias {
		return 2*n*n + 2*n
	}
	return 2*n*n + 3*n
}

// factors are the parts of x.
func (p *groupProblem) factors(x []float64) (left, right, u, v, b []float64) {
	n := len(p.groups)
	return x[:n*n], x[n*n : 2*n*n], x[2*n*n : 2*n*n+n], x[2*n*n+n : 2*n*n+2*n], x[2*n*n+2*n:]
}

// shrink is what the entry (g, h) of the matrix between the groups is divided by, to be a logit.
func (p *groupProblem) shrink(g, h int) float64 {
	return p.groups[h].scale * math.Sqrt(float64(p.groups[g].classes)*float64(p.groups[h].classes))
}

// inner is what u v of a group is divided by, to be a gap.
func (p *groupProblem) inner(h int) float64 {
	return float64(p.groups[h].classes-1) * p.groups[h].scale
}

// logits returns what the loss sees: within[h] = a_h, and between[g n + h], the mean logit of the classes of group g on
// features of group h, with offset and bias.
func (p *groupProblem) logits(x []float64) (within, between []float64) {
	n := len(p.groups)
	left, right, u, v, b := p.factors(x)
	within, between = make([]float64, n), make([]float64, n*n)
	kernel.Gemm64(false, true, n, n, n, 1, left, n, right, n, 0, between, n)
	for h, hh := range p.groups {
		if hh.classes > 1 {
			within[h] = u[h] * v[h] / p.inner(h)
		}
		for g, gg := range p.groups {
			between[g*n+h] = between[g*n+h]/p.shrink(g, h) + gg.offset
			if p.bias != NoBias {
				between[g*n+h] += b[g]
			}
		}
	}
	return within, between
}

// column returns the loss of a feature of group h, and the probabilities of the own class, of each other class of the group
// (p[h]), and of each class of the groups g.
func (p *groupProblem) column(h int, within, between, prob []float64) (loss, own float64) {
	n := len(p.groups)
	m := float64(p.groups[h].classes)
	ownLogit := between[h*n+h] + within[h]*(1-1/m)
	top := ownLogit
	for g := range p.groups {
		prob[g] = between[g*n+h]
		if g == h {
			prob[g] -= within[h] / m
		}
		top = max(top, prob[g])
	}
	own = math.Exp(ownLogit - top)
	total := own
	for g, gg := range p.groups {
		prob[g] = math.Exp(prob[g] - top)
		if g == h {
			total += (m - 1) * prob[g]
		} else {
			total += float64(gg.classes) * prob[g]
		}
	}
	for g := range prob {
		prob[g] /= total
	}
	return math.Log(total) + top - ownLogit, own / total
}

// loss returns sum_k w_k CE and its slopes along within and between, where those are not nil.
func (p *groupProblem) loss(within, between, dw, db []float64) float64 {
	n := len(p.groups)
	prob := make([]float64, n)
	sum := 0.0
	for h, hh := range p.groups {
		loss, own := p.column(h, within, between, prob)
		m, w := float64(hh.classes), float64(hh.classes)*hh.weight
		sum += w * loss
		if dw == nil {
			continue
		}
		dw[h] = w * (1 - 1/m) * (own - 1 - prob[h])
		for g, gg := range p.groups {
			if g == h {
				db[g*n+h] = w * (own - 1 + (m-1)*prob[g])
			} else {
				db[g*n+h] = w * float64(gg.classes) * prob[g]
			}
		}
	}
	return sum
}

// value returns the objective at x and writes its gradient to g, with mu as the weight of the squares.
func (p *groupProblem) value(x, g []float64) float64 {
	n := len(p.groups)
	within, between := p.logits(x)
	dw, db := make([]float64, n), make([]float64, n*n)
	f := p.loss(within, between, dw, db)
	p.pull(x, dw, db, g)
	for i := range 2*n*n + 2*n {
		f += p.mu / 2 * x[i] * x[i]
		g[i] += p.mu * x[i]
	}
	if p.bias != NoBias {
		_, _, _, _, b := p.factors(x)
		_, _, _, _, gb := p.factors(g)
		for i, v := range b {
			m := float64(p.groups[i].classes)
			f += p.decay / 2 * m * v * v
			gb[i] += p.decay * m * v
		}
	}
	return f
}

// pull writes to g the slopes along x that belong to slopes dw, db along the logits; it destroys db.
func (p *groupProblem) pull(x, dw, db, g []float64) {
	n := len(p.groups)
	left, right, u, v, _ := p.factors(x)
	gl, gr, gu, gv, gb := p.factors(g)
	clear(gb)
	for h, hh := range p.groups {
		gu[h], gv[h] = 0, 0
		if hh.classes > 1 {
			gu[h], gv[h] = dw[h]*v[h]/p.inner(h), dw[h]*u[h]/p.inner(h)
		}
		for k := range p.groups {
			if p.bias != NoBias {
				gb[k] += db[k*n+h]
			}
			db[k*n+h] /= p.shrink(k, h)
		}
	}
	kernel.Gemm64(false, false, n, n, n, 1, db, n, right, n, 0, gl, n)
	kernel.Gemm64(true, false, n, n, n, 1, db, n, left, n, 0, gr, n)
}

// product writes the Hessian at x times y to hy.
func (p *groupProblem) product(x, y, hy []float64) {
	n := len(p.groups)
	within, between := p.logits(x)
	left, right, u, v, _ := p.factors(x)
	yl, yr, yu, yv, yb := p.factors(y)
	// change of the logits along y
	cw, cb := make([]float64, n), make([]float64, n*n)
	kernel.Gemm64(false, true, n, n, n, 1, yl, n, right, n, 0, cb, n)
	kernel.Gemm64(false, true, n, n, n, 1, left, n, yr, n, 1, cb, n)
	for h, hh := range p.groups {
		if hh.classes > 1 {
			cw[h] = (yu[h]*v[h] + u[h]*yv[h]) / p.inner(h)
		}
		for g := range p.groups {
			cb[g*n+h] /= p.shrink(g, h)
			if p.bias != NoBias {
				cb[g*n+h] += yb[g]
			}
		}
	}
	// change of the slopes
	dw, db := make([]float64, n), make([]float64, n*n)
	sw, sb := make([]float64, n), make([]float64, n*n)
	prob := make([]float64, n)
	for h, hh := range p.groups {
		_, own := p.column(h, within, between, prob)
		m, w := float64(hh.classes), float64(hh.classes)*hh.weight
		ownChange, inside := cb[h*n+h]+cw[h]*(1-1/m), cb[h*n+h]-cw[h]/m
		mean := own*ownChange + (m-1)*prob[h]*inside
		for g, gg := range p.groups {
			if g != h {
				mean += float64(gg.classes) * prob[g] * cb[g*n+h]
			}
		}
		dOwn, dInside := own*(ownChange-mean), prob[h]*(inside-mean)
		dw[h], sw[h] = w*(1-1/m)*(dOwn-dInside), w*(1-1/m)*(own-1-prob[h])
		for g, gg := range p.groups {
			if g == h {
				db[g*n+h], sb[g*n+h] = w*(dOwn+(m-1)*dInside), w*(own-1+(m-1)*prob[g])
			} else {
				db[g*n+h], sb[g*n+h] = w*float64(gg.classes)*prob[g]*(cb[g*n+h]-mean), w*float64(gg.classes)*prob[g]
			}
		}
	}
	p.pull(x, dw, db, hy)
	// and the slopes as they are, along the change of the factors
	second := make([]float64, len(x))
	p.pull(y, sw, sb, second)
	for i := range 2*n*n + 2*n {
		hy[i] += second[i] + p.mu*y[i]
	}
	if p.bias != NoBias {
		_, _, _, _, hb := p.factors(hy)
		for i, b := range yb {
			hb[i] += p.decay * float64(p.groups[i].classes) * b
		}
	}
}

// A groupSearch is what several starts found.
type groupSearch struct {
	groupOptimum
	objective float64         // loss + mu nuclear norm + decay of the bias, at the best point
	best      optimize.Result // of the best start
	seeds     int
	atBest    int // starts that ended within 1e-8 of the best
}

// search minimises from several random starts. Where radius is above 0, the sum of squares of the factors is held at
// 2 radius (which is the ball of the nuclear norm, for the loss falls outwards) and mu found on the way.
func (p *groupProblem) search(ctx context.Context, o Options, radius float64) (*groupSearch, error) {
	seeds := o.Seeds
	if seeds < 1 {
		seeds = 5
	}
	f := optimize.Problem{Value: p.value, Product: p.product}
	var results []optimize.Result
	for seed := range seeds {
		random := rand.New(rand.NewPCG(o.Seed+uint64(seed), 0))
		x := make([]float64, p.size())
		for i := range x {
			x[i] = random.NormFloat64() / math.Sqrt(float64(len(p.groups)))
		}
		var r optimize.Result
		if radius > 0 {
			r = optimize.LBFGS(ctx, onSphere(f, math.Sqrt(2*radius)), x, optimize.Settings{Gradient: 1e-11})
			kernel.Scale64(r.X, math.Sqrt(2*radius)/frobenius(r.X))
		} else {
			r = optimize.TrustRegion(ctx, f, x, optimize.Settings{Gradient: 1e-12})
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	s := &groupSearch{seeds: seeds}
	s.best, s.atBest = lowestOf(results)
	s.objective = s.best.Value
	var err error
	if s.groupOptimum, err = p.optimum(s.best.X); err != nil {
		return nil, err
	}
	if radius > 0 {
		g := make([]float64, p.size())
		p.value(s.best.X, g)
		for i, v := range s.best.X {
			s.mu -= v * g[i] / (2 * radius) // the gradient is -mu x
		}
	}
	return s, nil
}

// onSphere is a function of the direction of x alone: its value at the multiple of x that has the given norm.
func onSphere(f optimize.Problem, norm float64) optimize.Problem {
	var y []float64
	return optimize.Problem{Value: func(x, g []float64) float64 {
		c := norm / frobenius(x)
		y = append(y[:0], x...)
		kernel.Scale64(y, c)
		value := f.Value(y, g)
		kernel.Axpy64(g, -kernel.Dot64(g, y)/(norm*norm), y)
		kernel.Scale64(g, c)
		return value
	}}
}

// optimum is a point in the coordinates of the groups.
func (p *groupProblem) optimum(x []float64) (groupOptimum, error) {
	n := len(p.groups)
	o := groupOptimum{groups: p.groups, mu: p.mu}
	var between []float64
	o.within, between = p.logits(x)
	o.loss = p.loss(o.within, between, nil, nil)
	_, _, _, _, b := p.factors(x)
	if p.bias != NoBias {
		o.bias = b
	}
	o.between = between
	block := make([]float64, n*n)
	for h, hh := range p.groups {
		o.nuclear += float64(hh.classes-1) * hh.scale * math.Abs(o.within[h])
		for g, gg := range p.groups {
			o.between[g*n+h] -= gg.offset
			if o.bias != nil {
				o.between[g*n+h] -= o.bias[g]
			}
			block[g*n+h] = o.between[g*n+h] * hh.scale * math.Sqrt(float64(gg.classes)*float64(hh.classes))
		}
	}
	s, err := linalg.SingularValues(n, n, block)
	if err != nil {
		return o, fmt.Errorf("ufm: logits between groups: %w", err)
	}
	for _, v := range s {
		o.nuclear += v
	}
	return o, nil
}

// fields are the status of a search, as in every answer.
func (s *groupSearch) fields() Fields {
	return Fields{{"value", s.objective}, {"status", string(s.best.Status)}, {"iterations", s.best.Iterations},
		{"gradient_norm", s.best.GradientNorm}, {"seeds", s.seeds}, {"seeds_at_best", s.atBest}}
}
