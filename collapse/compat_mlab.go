package collapse

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
)

// mlabScript is the name of the evaluation that came with the multi-label paper.
const mlabScript = "mlab"

var mlabCompat = script{
	name:       mlabScript,
	quantities: []string{"*nc1", "*nc2_w", "*nc2_h", "*nc3", "*angle_diff", "*angle_metric", "*iou"},
	note: "mlab: the evaluation of Li et al. 2023 (multi-label), multiplicities 1 and 2 only. Slips kept: the global mean divides the sum of the rows of one tag by the number of " +
		"all rows, which gives Sigma_B a K-th direction, and nc1 divides by it where it exceeds the cut-off of single precision (right: ml_nc1_m1); the first row of each tag is overwritten by the mean, so nc1 misses it and " +
		"later means are off by (mu - h)/n; nc2_h compares means that are not centred with a simplex; angle_metric divides by the angles of all pairs, the matching ones included " +
		"(right: ml_tagwise_angle_ratio_m2); iou is the softmax mass on the tags, without a union.",
	run: func(*imitation) error { return NeedsMultiLabel },
}

// mlab is what the script needs beside the moments.
type mlab struct {
	reason Reason    // why there are no numbers, "" if there are
	first  []float64 // K x d, the first row of each tag that has no other
	mean   []float64 // K x d, u_k
	about  []float64 // K x d, u_k less the script's global mean
	axes   []float64 // r x d, along which it inverts Sigma_B
	lambda []float64 // r
}

// newMlab prepares the script's numbers, before the second pass.
func (s *tagSample) newMlab(split *features.Split) (*mlab, error) {
	x := &mlab{}
	switch {
	case s.weights == nil:
		x.reason = NeedsClassifier
	case len(s.ones) < s.k:
		x.reason = AbsentSingles
	case s.group(2) == nil:
		x.reason = NoPairs
	}
	if x.reason != "" {
		return x, nil
	}
	centre := make([]float64, s.d)
	for _, c := range s.single {
		x.mean = append(x.mean, s.row(c)...)
		kernel.Axpy64(centre, float64(s.sum.Count[c])/s.rows, s.row(c)) // slip: all rows in the denominator
	}
	x.about = slices.Clone(x.mean)
	for k := range s.k {
		kernel.Axpy64(x.about[k*s.d:(k+1)*s.d], -1, centre)
	}
	values, axes, err := linalg.SVD(s.k, s.d, slices.Clone(x.about))
	if err != nil {
		x.reason = OutOfRange
		return x, nil
	}
	cut := float64(s.d) * 0x1p-23
	for j, v := range values {
		if v*v > cut*values[0]*values[0] {
			x.axes = append(x.axes, axes[j*s.d:(j+1)*s.d]...)
			x.lambda = append(x.lambda, v*v/float64(s.k))
		}
	}
	return x, x.readFirst(s, split)
}

// readFirst reads the first row of each tag that stands alone.
func (x *mlab) readFirst(s *tagSample, split *features.Split) error {
	x.first = make([]float64, s.k*s.d)
	var b features.Batch
	left := s.k
	done := make([]bool, s.k)
	for i, label := range split.Labels {
		set := s.tags.Sets[label]
		if len(set) != 1 || done[set[0]] {
			continue
		}
		if err := split.Read(&b, i, 1); err != nil {
			return err
		}
		row := x.first[set[0]*s.d : (set[0]+1)*s.d]
		copy(row, b.Float64)
		kernel.Widen(row[:len(b.Float32)], b.Float32)
		if firstBad := slices.IndexFunc(row, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }); firstBad >= 0 {
			continue // left out: the next row is the first
		}
		done[set[0]] = true
		if left--; left == 0 {
			break
		}
	}
	return nil
}

// values are the script's numbers.
func (x *mlab) values(s *tagSample) map[string]Value {
	out := map[string]Value{}
	for _, q := range mlabCompat.quantities {
		out[q[1:]] = undefined(x.reason)
	}
	if x.reason != "" {
		return out
	}
	ones := s.group(1)
	squares := ones.pass.Squares[len(ones.lambda):]
	trace := 0.0
	for j, l := range x.lambda {
		sum, axis := squares[j], x.axes[j*s.d:(j+1)*s.d]
		for k := range s.k {
			t := kernel.Dot64(axis, x.first[k*s.d:(k+1)*s.d]) - kernel.Dot64(axis, x.mean[k*s.d:(k+1)*s.d])
			sum -= t * t // slip: this row was overwritten by the mean
		}
		trace += sum / float64(ones.rows) / l
	}
	out["nc1"] = number(trace / float64(s.k))
	out["nc2_w"] = simplexDeviation(s.k, s.d, s.weights.Weights, s.weights.Weights)
	out["nc2_h"] = simplexDeviation(s.k, s.d, x.mean, x.mean)
	out["nc3"] = simplexDeviation(s.k, s.d, s.weights.Weights, x.about)
	out["iou"] = number(s.whole.pass.Mass / s.rows)

	stored := slices.Clone(x.mean)
	for k, c := range s.single {
		row, n := stored[k*s.d:(k+1)*s.d], float64(s.sum.Count[c])
		kernel.Axpy64(row, 1/n, x.mean[k*s.d:(k+1)*s.d])
		kernel.Axpy64(row, -1/n, x.first[k*s.d:(k+1)*s.d])
	}
	f := tagFrame{dim: s.d, u: stored}
	pairs := s.group(2)
	sum, all := make([]float64, s.d), 0.0
	matched := 0.0
	for i := range s.k {
		for j := range i {
			f.sum(sum, []int{j, i})
			for c := pairs.first; c < pairs.first+pairs.sets; c++ {
				a := degrees(sum, s.row(c))
				all += a
				if set := s.set(c); set[0] == j && set[1] == i {
					matched += a
				}
			}
		}
	}
	n := float64(pairs.sets)
	out["angle_diff"] = angleValue(matched / n)
	out["angle_metric"] = angleValue(matched / n / (all / (n * binomial(s.k, 2))))
	return out
}
