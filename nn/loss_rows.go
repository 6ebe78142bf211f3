package nn

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
)

// A row is one sample before a loss of logits. The loss may change z.
type row struct {
	z      []float64 // logits
	label  int       // own class, where rows have one label
	target []float64 // 1 for every label of the sample, 0 for the others; not filled for losses of one label
	g      []float64 // gradient, written
}

// A rowLoss returns the loss of a row and writes its gradient.
type rowLoss func(r *row) float64

func (r *row) read(labels []int32, i int) {
	if labels != nil {
		r.label = int(labels[i])
	}
}

func readTargets[T Float](r *row, b *Batch[T], i int) {
	if b.Tags != nil {
		for j, t := range b.Tags[i*b.Classes : (i+1)*b.Classes] {
			r.target[j] = float64(t)
		}
		return
	}
	clear(r.target)
	r.target[r.label] = 1
}

// softmax writes the probabilities p of the logits z and returns the logarithm of the sum of their exponentials less
// the largest logit, and that one.
func softmax(p, z []float64) (rest, top float64) {
	top = slices.Max(z)
	sum := kernel.Exp(p, z, top)
	kernel.Scale64(p, 1/sum)
	return math.Log(sum), top
}

// ownSoftmax writes the probabilities, and returns -ln p_y and 1 - p_y with their digits also where p_y is near 1.
func ownSoftmax(p, z []float64, y int) (loss, others float64) {
	own, top := z[y], slices.Max(z)
	others = kernel.Exp(p, z, top) - p[y]
	if own == top { // the difference may have lost digits
		p[y] = 0
		others = sumOf(p)
		p[y] = 1
		loss = math.Log1p(others)
	} else {
		loss = math.Log(p[y]+others) + (top - own)
	}
	scale := 1 / (p[y] + others)
	kernel.Scale64(p, scale)
	return loss, others * scale
}

// crossEntropy with targets (1-alpha) e_y + alpha/K (Szegedy et al. 2016, section 7) of the logits (z - margin e_y)/temperature
// (Wang et al. 2018, eq. 4; Kornblith et al. 2021). Alpha 0, temperature 1 and margin 0 are the plain one.
func crossEntropy(alpha, temperature, margin float64) rowLoss {
	rate := 1 / temperature
	return func(r *row) float64 {
		z, g, y := r.z, r.g, r.label
		if margin != 0 {
			z[y] -= margin
		}
		if rate != 1 {
			for j := range z {
				z[j] *= rate
			}
		}
		loss, others := ownSoftmax(g, z, y)
		g[y] = -others // p - 1 without cancellation
		if alpha != 0 {
			each := alpha / float64(len(z))
			smooth := 0.0
			for j, v := range z {
				smooth += z[y] - v
				g[j] -= each
			}
			g[y] += alpha
			loss += each * smooth
		}
		if rate != 1 {
			for j := range g {
				g[j] *= rate
			}
		}
		return loss
	}
}

// focal is -(1-p)^gamma ln p (Lin et al. 2017, eq. 4).
func focal(gamma float64) rowLoss {
	return func(r *row) float64 {
		g, y := r.g, r.label
		loss, miss := ownSoftmax(g, r.z, y)
		if miss == 0 {
			clear(g)
			return 0
		}
		own := g[y]
		power := math.Pow(miss, gamma)
		slope := -gamma*power/miss*own*loss - power // by ln p_y
		for j := range g {
			g[j] *= -slope
		}
		g[y] = slope * miss
		return power * loss
	}
}

// squaredError is (kappa sum_{k in S} (z_k - M)^2 + sum_{k not in S} z_k^2) / 2, K/2 times the rescaled loss of Hui and Belkin (2021).
// With kappa = M = 1 it is half the squared distance from the targets.
func squaredError(kappa, scale float64) rowLoss {
	return func(r *row) float64 {
		loss := 0.0
		for j, v := range r.z {
			weight := 1.0
			if r.target[j] != 0 {
				v -= scale
				weight = kappa
			}
			r.g[j] = weight * v
			loss += weight * v * v
		}
		return loss / 2
	}
}

// binaryCrossEntropy is the sum over the classes of ln(1 + e^z) - t z.
func binaryCrossEntropy(r *row) float64 {
	loss := 0.0
	for j, v := range r.z {
		small := math.Exp(-math.Abs(v)) // never overflows
		sign := 1.0                     // v is the logit of being wrong
		if r.target[j] != 0 {
			v, sign = -v, -1
		}
		loss += max(v, 0) + math.Log1p(small)
		if v > 0 {
			r.g[j] = sign / (1 + small)
		} else {
			r.g[j] = sign * small / (1 + small)
		}
	}
	return loss
}

// pickAllLabel is the sum, or the mean, of the cross-entropies of the m labels of a sample (Li et al. 2023). A
// sample without labels has loss and gradient 0.
func pickAllLabel(mean bool) rowLoss {
	return func(r *row) float64 {
		m := sumOf(r.target)
		if m == 0 {
			clear(r.g)
			return 0
		}
		rest, top := softmax(r.g, r.z)
		loss := m * rest
		scale := 1.0
		if mean {
			scale = 1 / m
		}
		for j, t := range r.target {
			if t != 0 {
				loss += top - r.z[j]
			}
			r.g[j] = scale * (m*r.g[j] - t)
		}
		return scale * loss
	}
}

// dotRegression looks at the own logit only: (z_y - target)^2 / (2 target) (Yang et al. 2022).
func dotRegression(target float64) rowLoss {
	return func(r *row) float64 {
		off := r.z[r.label] - target
		clear(r.g)
		r.g[r.label] = off / target
		return off * off / (2 * target)
	}
}
