package moments

import (
	"cmp"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/parallel"
)

// Levels asks the second pass for what the levels of collapse and their standard errors are made of: of every row, linear and
// quadratic forms of its scores s_j = r.m_j, added up by class, and a few residuals drawn by lot.
type Levels struct {
	Used  []bool    // K, classes that count; the rows and scores of others are passed over
	Scale []float64 // K, what the residuals kept are multiplied by
	Kept  int       // how many residuals are to be kept, as many from every class where it has them
	Seed  uint64    // of the lot

	// Factors writes those of class c, K each: what s_c - s_j is multiplied by, 0 for j = c, and what s_j is multiplied by.
	// A function, because two more K x K matrices are much memory where there are many classes; several goroutines call it.
	Factors func(c int, inverse, shape []float64)
}

// LevelSums are sums over the rows of a class. With sums and means over the classes used,
//
//	q = mean_{j != c} (inverse_cj (s_c - s_j))^2    u = mean_{j != c} inverse_cj (s_c - s_j)    p = sum_j shape_cj s_j
//	o = s_c - mean_j s_j                            w = r.(w_y - mean_k w_k)
type LevelSums struct {
	Q, QQ, QU, U, UU float64
	PP               float64
	Square           float64 // sum_j (s_j - mean s)^2
	WW, WO, OO       float64
}

func (a *LevelSums) merge(b *LevelSums) {
	x, y := a.fields(), b.fields()
	for i := range x {
		*x[i] += *y[i]
	}
}

func (a *LevelSums) fields() [10]*float64 {
	return [...]*float64{&a.Q, &a.QQ, &a.QU, &a.U, &a.UU, &a.PP, &a.Square, &a.WW, &a.WO, &a.OO}
}

// A Residual is a row drawn by lot.
type Residual struct {
	Key   uint64 // the lot
	Class int32  // of the plan
	Row   []float32
}

// Lots sorts what was drawn, by class.
func Lots(drawn []Residual) []Residual {
	out := slices.Clone(drawn)
	slices.SortFunc(out, func(a, b Residual) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Key, b.Key))
	})
	return out
}

// bars are the keys up to which the residuals of each class are kept: all of them where rows are few, else so many on average.
func (l *Levels) bars(s *Summary) []uint64 {
	used := 0
	for _, ok := range l.Used {
		if ok {
			used++
		}
	}
	out := make([]uint64, len(l.Used))
	for c, n := range s.Count {
		share := float64(l.Kept) / float64(used) / float64(n)
		if share >= 1 || s.Rows <= int64(l.Kept) {
			out[c] = math.MaxUint64
		} else {
			out[c] = uint64(share * 0x1p64)
		}
	}
	return out
}

// lot is the key of a row. It depends on the seed and the row alone (Steele, Lea, Flood 2014, the finishing steps of splitmix64).
func lot(seed uint64, row int64) uint64 {
	z := seed*0xd1342543de82ef95 + uint64(row+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// levelBench is Levels laid out for the rows.
type levelBench[T real] struct {
	*Levels
	used, inverse, shape []T
	labels               []int // rows of W whose mean is to be taken away; nil if that is zero
	classes              float64
	keep                 []uint64 // K
}

func newLevelBench[T real](p *Plan) *levelBench[T] {
	l := p.Levels
	if l == nil {
		return nil
	}
	k := len(l.Used)
	b := &levelBench[T]{Levels: l, inverse: make([]T, k*k), shape: make([]T, k*k), keep: l.bars(p.Summary)}
	parallel.Ranges(k, someRows, func(from, to int) {
		inverse, shape := make([]float64, k), make([]float64, k)
		for c := from; c < to; c++ {
			l.Factors(c, inverse, shape)
			convertTo(b.inverse[c*k:(c+1)*k], inverse)
			convertTo(b.shape[c*k:(c+1)*k], shape)
		}
	})
	var labels []int
	for c, ok := range l.Used {
		b.used = append(b.used, 0)
		if ok {
			b.used[c] = 1
			b.classes++
			labels = append(labels, int(p.Summary.Classes[c]))
		}
	}
	if p.Weights != nil && len(labels) < p.Weights.Classes {
		b.labels = labels
	}
	return b
}

// level adds row i of the chunk, of class c, with scores s and products z with the rows of W, nil if there are none.
func (w *rowWorker[T]) level(first, i int, s, z []T, y int) {
	l, c := w.levels, int(w.class[i])
	if c >= w.k || !l.Used[c] {
		return
	}
	k := len(s)
	inverse, shape, used := l.inverse[c*k:][:k], l.shape[c*k:][:k], l.used[:k]
	own := s[c]
	var q, u, p, sum, square float64
	for j, v := range s {
		t := float64((own - v) * inverse[j])
		x := float64(v * used[j])
		q += float64(t * t)
		u += t
		p += float64(x * float64(shape[j]))
		sum += x
		square += float64(x * x)
	}
	to := &w.sums.Levels[c]
	if l.classes > 1 {
		q, u = q/(l.classes-1), u/(l.classes-1)
	}
	to.Q += q
	to.QQ += float64(q * q)
	to.QU += float64(q * u)
	to.U += u
	to.UU += float64(u * u)
	to.PP += float64(p * p)
	to.Square += square - float64(sum*sum)/l.classes
	o := float64(own) - sum/l.classes
	to.OO += float64(o * o)
	if z != nil {
		r := float64(z[y])
		if l.labels != nil {
			mean := 0.0
			for _, j := range l.labels {
				mean += float64(z[j])
			}
			r -= mean / float64(len(l.labels))
		}
		to.WW += float64(r * r)
		to.WO += float64(r * o)
	}
	if key := lot(l.Seed, int64(first)+int64(w.source[i])); key <= l.keep[c] {
		row := make([]float32, w.d)
		scale := l.Scale[c]
		for j, v := range w.residual[i*w.d:][:w.d] {
			row[j] = float32(float64(v) * scale)
		}
		w.sums.Residuals = append(w.sums.Residuals, Residual{key, int32(c), row})
	}
}
