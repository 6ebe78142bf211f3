package ufm

import (
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/parallel"
)

// outputLoss is a loss as a function of the outputs of a problem, Z of rows x width: the logits, or the features
// where there is no classifier.
type outputLoss interface {
	// eval returns the loss of z and writes its gradient to g. Where dz is not nil it also writes to dg the change of the
	// gradient along dz, the Hessian times dz.
	eval(z, dz, g, dg []float64) float64
}

// A sampleRow is what the rows of H stand for: a sample, or several that have the same feature.
type sampleRow struct {
	class int     // index of the class; the first label for PickAllLabel
	set   []int   // PickAllLabel: the labels
	times float64 // samples that it stands for
}

// rowLoss is a loss that is a weighted sum over the rows of the logits.
type rowLoss struct {
	rows   []sampleRow
	width  int
	weight []float64 // of each row in the sum
	row    func(r sampleRow, z, dz, g, dg, scratch []float64) float64
}

// newRowLoss returns the loss of logits of the given width.
func newRowLoss(l Loss, rows []sampleRow, width int) (*rowLoss, error) {
	o := &rowLoss{rows: rows, width: width, weight: make([]float64, len(rows))}
	samples := 0.0
	for _, r := range rows {
		samples += r.times
	}
	for i, r := range rows {
		o.weight[i] = r.times
		if !l.Sum {
			o.weight[i] /= samples
		}
		if l.Average && len(r.set) > 0 {
			o.weight[i] /= float64(len(r.set))
		}
	}
	switch l.Kind {
	case CrossEntropy:
		o.row = crossEntropy(l.Smoothing)
	case PickAllLabel:
		o.row = pickAllLabel
	case SquaredError:
		o.row = squaredError
	case Focal:
		o.row = focal(l.Focus)
	case DotRegression:
		o.row = dotRegression(l.Target)
	default:
		return nil, fmt.Errorf("loss %q: not a loss of logits", l.Kind)
	}
	return o, nil
}

// eval implements outputLoss. Rows are added in blocks of fixed size, so that the result does not depend on the number
// of processors.
func (o *rowLoss) eval(z, dz, g, dg []float64) float64 {
	const block = 64
	k := o.width
	blocks := (len(o.rows) + block - 1) / block
	sums := make([]float64, blocks)
	work := func(_, b int) {
		scratch := make([]float64, k)
		var dzi, dgi []float64
		for i := b * block; i < min((b+1)*block, len(o.rows)); i++ {
			zi, gi := z[i*k:(i+1)*k], g[i*k:(i+1)*k]
			if dz != nil {
				dzi, dgi = dz[i*k:(i+1)*k], dg[i*k:(i+1)*k]
			}
			w := o.weight[i]
			sums[b] += w * o.row(o.rows[i], zi, dzi, gi, dgi, scratch)
			for j := range gi {
				gi[j] *= w
			}
			for j := range dgi {
				dgi[j] *= w
			}
		}
	}
	if len(z) < 4096 {
		for b := range blocks {
			work(0, b)
		}
	} else {
		parallel.For(blocks, work)
	}
	sum := 0.0
	for _, s := range sums {
		sum += s
	}
	return sum
}

// softmax writes the probabilities of logits and returns the logarithm of the sum of their exponentials.
func softmax(p, z []float64) float64 {
	top := math.Inf(-1)
	for _, v := range z {
		top = max(top, v)
	}
	sum := 0.0
	for j, v := range z {
		p[j] = math.Exp(v - top)
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
	return top + math.Log(sum)
}

// softmaxChange writes the change of the probabilities p along dz, and returns the mean of dz under p.
func softmaxChange(dp, p, dz []float64) float64 {
	mean := 0.0
	for j := range p {
		mean += p[j] * dz[j]
	}
	for j := range p {
		dp[j] = p[j] * (dz[j] - mean)
	}
	return mean
}

// crossEntropy with targets (1-alpha) e_y + alpha/K (Szegedy et al. 2016); alpha 0 is the plain one.
func crossEntropy(alpha float64) func(r sampleRow, z, dz, g, dg, p []float64) float64 {
	return func(r sampleRow, z, dz, g, dg, p []float64) float64 {
		// ln sum exp(z - z_y), so that a loss near 0 keeps its digits.
		own := z[r.class]
		rest, top := 0.0, 0.0
		for j, v := range z {
			if j != r.class {
				top = max(top, v-own)
			}
		}
		if top > 0 {
			rest = softmax(p, z) - own
		} else {
			for j, v := range z {
				if j != r.class {
					p[j] = math.Exp(v - own)
					rest += p[j]
				}
			}
			scale := 1 / (1 + rest)
			for j := range p {
				p[j] *= scale
			}
			p[r.class] = scale
			rest = math.Log1p(rest)
		}
		smooth := 0.0
		k := float64(len(z))
		others := 0.0
		for j := range z {
			g[j] = p[j]
			if alpha != 0 {
				g[j] -= alpha / k
				smooth += z[j] - own
			}
			if j != r.class {
				others += p[j]
			}
		}
		g[r.class] = -others // p - 1 without cancellation
		if alpha != 0 {
			g[r.class] += alpha - alpha/k
		}
		if dz != nil {
			softmaxChange(dg, p, dz)
		}
		return rest - alpha/k*smooth
	}
}

// pickAllLabel is the sum of the cross-entropies of all labels of a sample (Li et al. 2023).
func pickAllLabel(r sampleRow, z, dz, g, dg, p []float64) float64 {
	m := float64(len(r.set))
	v := m * softmax(p, z)
	for j := range z {
		g[j] = m * p[j]
	}
	for _, j := range r.set {
		v -= z[j]
		g[j]--
	}
	if dz != nil {
		softmaxChange(dg, p, dz)
		for j := range dg {
			dg[j] *= m
		}
	}
	return v
}

// squaredError is half the squared distance from e_y.
func squaredError(r sampleRow, z, dz, g, dg, _ []float64) float64 {
	v := 0.0
	for j := range z {
		g[j] = z[j]
		if j == r.class {
			g[j]--
		}
		v += g[j] * g[j] / 2
	}
	copy(dg, dz)
	return v
}

// focal is -(1-p)^gamma ln p (Lin et al. 2017), with l = ln p as its variable.
func focal(gamma float64) func(r sampleRow, z, dz, g, dg, p []float64) float64 {
	return func(r sampleRow, z, dz, g, dg, p []float64) float64 {
		l := z[r.class] - softmax(p, z)
		own := p[r.class]
		miss := -math.Expm1(l)
		power := func(e float64) float64 { // miss^e; where miss is 0 it comes with a factor l that is 0 too
			if miss <= 0 && e < 0 {
				return 0
			}
			return math.Pow(max(miss, 0), e)
		}
		first := gamma*power(gamma-1)*own*l - power(gamma) // dv/dl
		for j := range z {
			g[j] = -first * p[j]
		}
		g[r.class] += first
		if dz != nil {
			second := gamma*power(gamma-1)*own*(l+2) - gamma*(gamma-1)*power(gamma-2)*own*own*l
			mean := softmaxChange(dg, p, dz)
			dl := dz[r.class] - mean
			for j := range dg {
				dg[j] = -first*dg[j] - second*dl*p[j]
			}
			dg[r.class] += second * dl
		}
		return -power(gamma) * l
	}
}

// dotRegression looks at the logit of the own class only (Yang et al. 2022).
func dotRegression(target float64) func(r sampleRow, z, dz, g, dg, p []float64) float64 {
	return func(r sampleRow, z, dz, g, dg, _ []float64) float64 {
		off := z[r.class] - target
		clear(g)
		g[r.class] = off / target
		if dz != nil {
			clear(dg)
			dg[r.class] = dz[r.class] / target
		}
		return off * off / (2 * target)
	}
}
