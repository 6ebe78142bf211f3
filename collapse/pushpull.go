package collapse

import (
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
)

const yang = "Yang et al. 2022"

// pushPull is the group of the two halves of the cross-entropy's gradient: what draws a feature to its row of W and what drives
// it from the others, and the same for the rows of W.
var pushPull = []Metric{
	{ID: "pull_mean", Name: "pull on features", Formula: "mean_i |(1 - p_iy) w_y|, p = softmax(z)", Source: yang, Cost: Full, Ideal: "(K-1) push_mean",
		eval: pushed(func(_ *sample, p *pushSums) Value { return number(p.pull) })},
	{ID: "push_mean", Name: "push on features", Formula: "mean_i |sum_{k != y_i} p_ik w_k|", Source: yang, Cost: Full, Ideal: "pull_mean/(K-1)",
		eval: pushed(func(_ *sample, p *pushSums) Value { return number(p.push) })},
	{ID: "clf_push_pull_max", Name: "push against pull on a row of W, largest", Formula: "max_k |sum_{y_i != k} p_ik h_i| / |sum_{y_i = k} (1 - p_ik) h_i|", Source: yang,
		Cost: Full, Ideal: "1/(K-1) (global mean 0)", eval: classPushed(func(s *sample, ratio []float64) Value {
			return largest(s.sum.Classes, func(c int) float64 { return ratio[c] })
		})},
	{ID: "clf_push_pull_mean", Name: "push over pull of a row of W, mean", Formula: "mean over present classes of the same", Source: yang,
		Cost: Full, Ideal: "1/(K-1) (global mean 0)", eval: classPushed(func(_ *sample, ratio []float64) Value { return number(mean(ratio)) })},
}

func pushed(f func(*sample, *pushSums) Value) func(*sample) Value {
	return func(s *sample) Value {
		if r := s.needLogits(); r != "" {
			return undefined(r)
		}
		return ofFull(func(full *fullSample) Value { return f(s, &full.push) })(s)
	}
}

func classPushed(f func(s *sample, ratio []float64) Value) func(*sample) Value {
	return pushed(func(s *sample, p *pushSums) Value {
		if p.still {
			return undefined(ZeroPull)
		}
		return f(s, p.ratio)
	})
}

// pushSums is what the metrics of the group are.
type pushSums struct {
	pull, push float64   // means over the rows
	ratio      []float64 // push against pull on the rows of W, by class
	still      bool      // there is a class without pull
}

// pushPullSums adds up push and pull over the rows. A row enters by its residual r = h - mu_y alone: its logits are differences
// W r + (W mu_y + b), and sums of p h are sums of p r and of p mu_y.
type pushPullSums struct {
	s       *sample
	logits  []float64 // present classes x Classes, at the class means
	norms   []float64 // of the rows of W
	frame   []float64 // side x Classes: columns with the inner products of the rows of W
	side    int
	clf     bool // for the rows of W also
	pullSum float64
	pushSum float64

	pull []float64 // K x d, sum over the class of (1 - p_iy) r_i
	mass []float64 // K, sum over the class of 1 - p_iy
	push []float64 // Classes x d, sum over other classes of p_ik r_i
	from []float64 // K x Classes, sum over the class of p_ik, k != y

	p, others, ahead, length []float64 // of a chunk
}

func newPushPullSums(s *sample, need fullNeeds) *pushPullSums {
	w, d := s.class, s.d
	kw := w.Classes
	v := &pushPullSums{s: s, norms: w.all.Norms(), clf: need.classPush}
	v.logits = s.logitsAtMeans()
	// Products with W that are asked only for their norms take fewer coordinates in a basis of its rows.
	transposed := transpose(kw, d, w.Weights)
	v.frame, v.side = transposed, d
	if kw < d {
		v.frame, v.side = linalg.QR(d, kw, transposed), kw
	}
	if v.clf {
		v.pull, v.mass = make([]float64, s.k*d), make([]float64, s.k)
		v.push, v.from = make([]float64, kw*d), make([]float64, s.k*kw)
	}
	return v
}

// logitsAtMeans is W mu_c + b for every present class, up to a number that all logits of a class share: rows of W are taken less
// their mean, which costs no digits when they have a large part in common.
func (s *sample) logitsAtMeans() []float64 {
	w, kw := s.class, s.class.Classes
	centre := append([]float64(nil), s.centre...)
	kernel.Add64(centre, s.sum.Pivot)
	at := make([]float64, s.k*kw)
	kernel.Gemm64(false, true, s.k, kw, s.d, 1, s.means.Data, s.d, w.centred.Data, s.d, 0, at, kw)
	for k := range kw {
		base := w.Bias[k] + kernel.Dot64(w.centred.Row(k), centre)
		for c := range s.k {
			at[c*kw+k] += base
		}
	}
	return at
}

// add takes the residuals of a chunk of rows.
func (v *pushPullSums) add(mul *multiplier, residuals []float64, class []int) {
	s, n, d, kw := v.s, len(class), v.s.d, v.s.class.Classes
	v.p, v.others = resize(v.p, n*kw), resize(v.others, n)
	mul.mul(v.p, residuals, s.class.centred.Data, n, d, kw)
	eachRow(n, func(i int) {
		p, c := v.p[i*kw:(i+1)*kw], class[i]
		kernel.Add64(p, v.logits[c*kw:(c+1)*kw])
		v.others[i] = softmaxOfOthers(p, int(s.sum.Classes[c]))
		if !mul.double {
			flush(p)
		}
	})
	v.ahead, v.length = resize(v.ahead, n*v.side), resize(v.length, n)
	mul.mul(v.ahead, v.p, v.frame, n, kw, v.side)
	eachRow(n, func(i int) { v.length[i] = norm(v.ahead[i*v.side : (i+1)*v.side]) })
	for i, c := range class {
		v.pullSum += v.others[i] * v.norms[s.sum.Classes[c]]
		v.pushSum += v.length[i]
	}
	if !v.clf {
		return
	}
	for i, c := range class {
		v.mass[c] += v.others[i]
		kernel.Axpy64(v.pull[c*d:(c+1)*d], v.others[i], residuals[i*d:(i+1)*d])
		kernel.Add64(v.from[c*kw:(c+1)*kw], v.p[i*kw:(i+1)*kw])
	}
	mul.addCross(v.push, v.p, residuals, n, kw, d)
}

// softmaxOfOthers turns logits into probabilities, that of class y into 0, and returns 1 - p_y, the sum of what is left: without
// subtracting from 1, so that it keeps its digits however small.
func softmaxOfOthers(z []float64, y int) (others float64) {
	top := z[kernel.ArgMax64(z)]
	own := math.Exp(z[y] - top)
	for k := range z {
		if k == y {
			z[k] = 0
			continue
		}
		z[k] = math.Exp(z[k] - top)
		others += z[k]
	}
	kernel.Scale64(z, 1/(own+others))
	return others / (own + others)
}

// flush clears what would be denormal in float32, where it counts for nothing and is slow.
func flush(p []float64) {
	for k, x := range p {
		if x < 0x1p-126 {
			p[k] = 0
		}
	}
}

// finish makes means and ratios of the sums.
func (v *pushPullSums) finish() (out pushSums) {
	if v == nil {
		return out
	}
	s, d, kw := v.s, v.s.d, v.s.class.Classes
	out.pull, out.push = v.pullSum/s.n, v.pushSum/s.n
	if !v.clf {
		return out
	}
	mu := s.sum.Absolute()
	kernel.Gemm64(true, false, kw, d, s.k, 1, v.from, kw, mu, d, 1, v.push, d)
	out.ratio = make([]float64, s.k)
	for c, label := range s.sum.Classes {
		pull := v.pull[c*d : (c+1)*d]
		kernel.Axpy64(pull, v.mass[c], mu[c*d:(c+1)*d])
		out.ratio[c] = norm(v.push[int(label)*d:][:d]) / norm(pull)
		out.still = out.still || norm(pull) == 0
	}
	return out
}
