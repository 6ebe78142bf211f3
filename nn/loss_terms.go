package nn

import "github.com/collapsar/collapsar/internal/parallel"

// variability is the term of stochastic variability-simplification (Ben-Shaul and Dekel 2022): alpha times the mean over the rows of
// the squared distance of a tap's output from the mean of its class in the batch. The mean over the rows, rather than the sum, is
// our choice. The means move with the rows, which leaves the gradient as it is, because distances from a mean add to zero.
type variability[T Float] struct {
	classes byClass
	sums    []float64
	means   [][]float64 // by worker
	work    func(worker, strip int)

	n, d  int
	tap   []T
	slope []T // nil where not wanted
	alpha float64
}

func newVariability[T Float]() *variability[T] {
	v := &variability[T]{}
	v.work = v.strip
	return v
}

// strips of columns are divided over the pool.
const stripColumns = 256

// add returns the term of one tap and adds its gradient.
func (v *variability[T]) add(b *Batch[T], tap int, alpha float64) float64 {
	if b.Rows == 0 {
		return 0
	}
	v.n, v.tap, v.slope, v.alpha = b.Rows, b.Taps[tap], nil, alpha
	v.d = len(v.tap) / v.n
	if len(b.DTaps) > 0 {
		v.slope = b.DTaps[tap]
	}
	v.classes.sort(b.Labels, b.Classes)
	for len(v.means) < parallel.Workers() {
		v.means = append(v.means, make([]float64, stripColumns))
	}
	strips := (v.d + stripColumns - 1) / stripColumns
	v.sums = grow(v.sums, strips)
	if len(v.tap) < serialSize {
		for i := range strips {
			v.strip(0, i)
		}
	} else {
		parallel.For(strips, v.work)
	}
	v.tap, v.slope = nil, nil
	return alpha / float64(v.n) * sumOf(v.sums)
}

func (v *variability[T]) strip(worker, strip int) {
	from, to := strip*stripColumns, min((strip+1)*stripColumns, v.d)
	mean := v.means[worker][:to-from]
	scale := T(2 * v.alpha / float64(v.n))
	total := 0.0
	for k := range len(v.classes.begin) - 2 {
		rows := v.classes.of(k)
		if len(rows) < 2 {
			continue
		}
		clear(mean)
		for _, i := range rows {
			for j, x := range v.tap[int(i)*v.d+from : int(i)*v.d+to] {
				mean[j] += float64(x)
			}
		}
		for j := range mean {
			mean[j] /= float64(len(rows))
		}
		for _, i := range rows {
			row := v.tap[int(i)*v.d+from : int(i)*v.d+to]
			for j, x := range row {
				off := float64(x) - mean[j]
				total += off * off
			}
			if v.slope != nil {
				slope := v.slope[int(i)*v.d+from : int(i)*v.d+to]
				for j, x := range row {
					slope[j] += scale * T(float64(x)-mean[j])
				}
			}
		}
	}
	v.sums[strip] = total
}

// featureDecay is lambda/2 times the mean squared norm of the features, and adds its gradient.
func featureDecay[T Float](b *Batch[T], lambda float64) float64 {
	if b.Rows == 0 {
		return 0
	}
	last := len(b.Taps) - 1
	h := b.Taps[last]
	squares := 0.0
	for _, v := range h {
		squares += float64(v) * float64(v)
	}
	if len(b.DTaps) > 0 && b.DTaps[last] != nil {
		scale := T(lambda / float64(b.Rows))
		for i, v := range h {
			b.DTaps[last][i] += scale * v
		}
	}
	return lambda / (2 * float64(b.Rows)) * squares
}
