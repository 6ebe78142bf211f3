package nn

import (
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/parallel"
)

// A setLoss looks at the features of a batch, scaled to unit length, together, and at no logits. A feature that is zero stays
// zero and has no gradient.
type setLoss[T Float] struct {
	eval func(b *Batch[T], total float64) float64 // total is the sum of the weights

	n, d     int
	norm     []float64
	unit     []float64 // n x d
	dunit    []float64 // its gradient
	pairs    []float64 // n x n
	sums     []float64 // by row
	classes  byClass
	gathered []float64 // rows of a class
	turned   []float64 // its transpose
	gram     []float64

	batch *Batch[T]
	total float64
	rate  float64 // 1/temperature
	rows  func(worker, i int)
}

func newSetLoss[T Float]() *setLoss[T] { return &setLoss[T]{} }

// begin scales the features to unit length and makes room.
func (s *setLoss[T]) begin(b *Batch[T]) {
	h := b.Taps[len(b.Taps)-1]
	s.n, s.d = b.Rows, 0
	if b.Rows > 0 {
		s.d = len(h) / b.Rows
	}
	s.norm, s.unit, s.dunit = grow(s.norm, s.n), grow(s.unit, s.n*s.d), grow(s.dunit, s.n*s.d)
	for i := range s.n {
		u := s.unit[i*s.d : (i+1)*s.d]
		top := 0.0
		for j, v := range h[i*s.d : (i+1)*s.d] {
			u[j] = float64(v)
			top = max(top, math.Abs(u[j]))
		}
		s.norm[i] = 0
		if top == 0 {
			continue
		}
		for j := range u { // by the largest first, so that no square overflows
			u[j] /= top
		}
		length := math.Sqrt(kernel.SumSquares64(u))
		kernel.Scale64(u, 1/length)
		s.norm[i] = length * top
	}
}

// end carries the gradient of the unit features to the features.
func (s *setLoss[T]) end(b *Batch[T]) {
	if len(b.DTaps) == 0 || b.DTaps[len(b.DTaps)-1] == nil {
		return
	}
	dh := b.DTaps[len(b.DTaps)-1]
	for i, norm := range s.norm {
		if norm == 0 {
			continue
		}
		u, du := s.unit[i*s.d:(i+1)*s.d], s.dunit[i*s.d:(i+1)*s.d]
		along := kernel.Dot64(u, du)
		for j, v := range du {
			dh[i*s.d+j] = T((v - along*u[j]) / norm)
		}
	}
}

// contrast is the supervised contrastive loss with the sum over the positives outside the logarithm and the anchor
// left out of both (Khosla et al. 2020, eq. 2). An anchor that is alone in its class has loss 0.
func (s *setLoss[T]) contrast(temperature float64) func(b *Batch[T], total float64) float64 {
	s.rate = 1 / temperature
	s.rows = s.anchor
	return func(b *Batch[T], total float64) float64 {
		s.begin(b)
		n := s.n
		s.pairs, s.sums = grow(s.pairs, n*n), grow(s.sums, n)
		kernel.Gemm64(false, true, n, n, s.d, 1, s.unit, s.d, s.unit, s.d, 0, s.pairs, n)
		s.batch, s.total = b, total
		if n*n < serialSize {
			for i := range n {
				s.anchor(0, i)
			}
		} else {
			parallel.For(n, s.rows)
		}
		s.batch = nil
		// Each similarity is that of two anchors.
		for i := range n {
			for j := range i {
				v := s.pairs[i*n+j] + s.pairs[j*n+i]
				s.pairs[i*n+j], s.pairs[j*n+i] = v, v
			}
		}
		kernel.Gemm64(false, false, n, s.d, n, 1, s.pairs, n, s.unit, s.d, 0, s.dunit, s.d)
		s.end(b)
		return sumOf(s.sums)
	}
}

// anchor replaces row i of the similarities by the gradient of the loss of that anchor.
func (s *setLoss[T]) anchor(_, i int) {
	n, labels := s.n, s.batch.Labels
	pairs := s.pairs[i*n : (i+1)*n]
	positives, top, attraction := 0, math.Inf(-1), 0.0
	for j, v := range pairs {
		if j == i {
			continue
		}
		top = max(top, v)
		if labels[j] == labels[i] {
			positives++
			attraction += v
		}
	}
	if positives == 0 {
		clear(pairs)
		s.sums[i] = 0
		return
	}
	all := 0.0
	for j, v := range pairs {
		if j == i {
			pairs[j] = 0
			continue
		}
		pairs[j] = math.Exp((v - top) * s.rate)
		all += pairs[j]
	}
	weight, each := rowWeight(s.batch, s.total, i), 1/float64(positives)
	s.sums[i] = weight * (math.Log(all) + s.rate*(top-attraction*each))
	for j := range pairs {
		pairs[j] /= all
		if j != i && labels[j] == labels[i] {
			pairs[j] -= each
		}
		pairs[j] *= weight * s.rate
	}
}

// simplexFloor is the loss of contrast where every class is one point and the points are a simplex (Graf et al. 2021, theorem 2).
func (s *setLoss[T]) simplexFloor(b *Batch[T], total, temperature float64) float64 {
	k := float64(b.Classes)
	apart := 0.0
	if k > 1 {
		apart = math.Exp(-k / ((k - 1) * temperature))
	}
	s.classes.sort(b.Labels, b.Classes)
	floor := 0.0
	for c := range b.Classes {
		own := s.classes.of(c)
		l := float64(len(own))
		if l < 2 {
			continue
		}
		least := math.Log(l - 1 + (float64(b.Rows)-l)*apart)
		for _, i := range own {
			floor += rowWeight(b, total, int(i)) * least
		}
	}
	return floor
}

// codingRate is minus the rate reduction of the features (Yu et al. 2020), distortion being epsilon^2:
//
//	-1/2 ln det(I + d/(n epsilon^2) Z^T Z) + sum_c n_c/(2n) ln det(I + d/(n_c epsilon^2) Z_c^T Z_c)
//
// A weight counts as so many samples.
func (s *setLoss[T]) codingRate(distortion float64) func(b *Batch[T], total float64) float64 {
	return func(b *Batch[T], total float64) float64 {
		s.begin(b)
		if total == 0 || s.n == 0 {
			return 0
		}
		clear(s.dunit)
		s.classes.sort(b.Labels, b.Classes)
		value := s.volume(b, s.classes.order, total, -0.5, distortion)
		for c := range b.Classes {
			own := s.classes.of(c)
			count := 0.0
			for _, i := range own {
				count += sampleWeight(b, int(i))
			}
			if count > 0 {
				value += s.volume(b, own, count, count/(2*total), distortion)
			}
		}
		s.end(b)
		return value
	}
}

// volume returns scale ln det(I + a Z^T Z), a = d/(count epsilon^2), for some rows, and adds its gradient to dunit. The smaller
// of Z^T Z and Z Z^T is factored: with X the one of Z and Z^T that has fewer rows, the gradient is 2 a (I + a X X^T)^-1 X.
func (s *setLoss[T]) volume(b *Batch[T], rows []int32, count, scale, distortion float64) float64 {
	m, d := len(rows), s.d
	s.gathered = grow(s.gathered, s.n*d)
	x := s.gathered[:m*d]
	for r, i := range rows {
		root := math.Sqrt(sampleWeight(b, int(i)))
		for j, v := range s.unit[int(i)*d : (int(i)+1)*d] {
			x[r*d+j] = root * v
		}
	}
	high, wide := m, d
	if m > d {
		high, wide = d, m
		s.turned = grow(s.turned, s.n*d)
		transposeTo(s.turned, x, m, d)
		x = s.turned[:m*d]
	}
	a := float64(d) / (count * distortion)
	s.gram = grow(s.gram, max(high*high, min(s.n, d)*min(s.n, d)))
	gram := s.gram[:high*high]
	kernel.Syrk64(false, high, wide, x, wide, gram, high)
	for i := range high {
		row := gram[i*high : (i+1)*high]
		kernel.Scale64(row, a)
		row[i]++
	}
	if !linalg.Cholesky(high, gram) {
		return math.NaN() // a feature is not finite
	}
	value := scale * linalg.LogDetCholesky(high, gram)
	linalg.SolveLower(high, gram, wide, x)
	linalg.SolveLowerTransposed(high, gram, wide, x)
	if m > d {
		transposeTo(s.gathered, x, d, m)
		x = s.gathered[:m*d]
	}
	for r, i := range rows {
		by := 2 * scale * a * math.Sqrt(sampleWeight(b, int(i)))
		kernel.Axpy64(s.dunit[int(i)*d:(int(i)+1)*d], by, x[r*d:(r+1)*d])
	}
	return value
}

// transposeTo writes the transpose of x, m x n, to y.
func transposeTo(y, x []float64, m, n int) {
	for i := range m {
		for j := range n {
			y[j*m+i] = x[i*n+j]
		}
	}
}

// sampleWeight is the weight of a sample, rowWeight its share of the mean.
func sampleWeight[T Float](b *Batch[T], i int) float64 {
	if b.Weight == nil {
		return 1
	}
	return float64(b.Weight[i])
}

func rowWeight[T Float](b *Batch[T], total float64, i int) float64 {
	if total == 0 {
		return 0
	}
	return sampleWeight(b, i) / total
}

func totalWeight[T Float](b *Batch[T]) (total float64) {
	for i := range b.Rows {
		total += sampleWeight(b, i)
	}
	return total
}

// byClass holds the rows of each class, in their order.
type byClass struct {
	order []int32
	begin []int // of each class, and the end
}

func (c *byClass) sort(labels []int32, classes int) {
	c.order, c.begin = grow(c.order, len(labels)), grow(c.begin, classes+2)
	clear(c.begin)
	for _, y := range labels {
		c.begin[y+2]++
	}
	for k := range classes {
		c.begin[k+2] += c.begin[k+1]
	}
	for i, y := range labels {
		c.order[c.begin[y+1]] = int32(i)
		c.begin[y+1]++
	}
}

func (c *byClass) of(class int) []int32 { return c.order[c.begin[class]:c.begin[class+1]] }
