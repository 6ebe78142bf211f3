package moments

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// Moments says which second moments the second pass adds up: those of t, made from a row's residual r = h - mu_y.
type Moments uint8

const (
	OnAxes   Moments = iota // t = V r, V orthonormal axes; only the squares: Rank numbers
	OfScores                // t = M r, the products with the centred means: K x K
	OfRows                  // t = r itself: d x d
)

// Weights are a classifier's, and what of them the second pass uses. Adding one vector to all rows
// of W changes no difference of logits, so the rows are taken less their mean: that costs no digits when they have a large part in common.
type Weights struct {
	Classes  int       // rows of W
	Centred  []float64 // Classes x d, w_k less the mean row
	Cross    []float64 // Classes x K, their products with the centred means
	Norm     []float64 // Classes, the norms of those rows
	AtCentre []float64 // Classes, logits at the global mean
	Cosines  bool      // rows all have a direction: find cosine margins
}

// Plan is what a second pass measures against: the finished first pass of the training rows and what was
// made of it. Rows of other splits are measured against the same plan.
type Plan struct {
	Summary *Summary
	Centre  []float64 // d, global mean less the pivot
	Means   []float64 // K x d, the centred means m_c
	Gram    []float64 // K x K, m_c.m_j
	Moments Moments
	Axes    []float64 // Rank x d, orthonormal rows (OnAxes)
	Rank    int
	Whole   bool     // the axes span all the means, so that scores may be found through them
	Weights *Weights // nil without a classifier
	Units   bool     // add up the scatter of the unit vectors about their class means (the plan's own rows)
	Weak    bool     // add up moments about the nearest mean also
	Double  bool     // products in float64, else in float32
	Levels  *Levels  // nil where they are not asked for
	Exact   bool     // matrices of moments in float64 even so, for ill-conditioned means
}

// width is the length of t.
func (p *Plan) width() int {
	switch p.Moments {
	case OnAxes:
		return p.Rank
	case OfScores:
		return len(p.Summary.Classes)
	}
	return p.Summary.Dim
}

// size is how many numbers the moments are.
func (p *Plan) size() int {
	if p.Moments == OnAxes {
		return p.Rank
	}
	return p.width() * p.width()
}

// check guards against plans put together wrongly.
func (p *Plan) check() error {
	s := p.Summary
	k, d := len(s.Classes), s.Dim
	ok := len(p.Centre) == d && len(p.Means) == k*d && len(p.Gram) == k*k &&
		(p.Moments != OnAxes || len(p.Axes) == p.Rank*d) &&
		(p.Weights == nil || len(p.Weights.Centred) == p.Weights.Classes*d && len(p.Weights.Cross) == k*p.Weights.Classes && len(p.Weights.Norm) == p.Weights.Classes &&
			len(p.Weights.AtCentre) == p.Weights.Classes)
	if l := p.Levels; l != nil {
		ok = ok && len(l.Used) == k && len(l.Scale) == k && l.Factors != nil
	}
	if !ok {
		return fmt.Errorf("moments: parts of the plan do not fit %d classes x %d dimensions", k, d)
	}
	return nil
}

// real is what products are made of.
type real interface{ float32 | float64 }

// product is a packed right operand: C = A B^T.
type product[T real] interface {
	Mul(c []T, ldc int, a []T, lda, m int)
}

// newProduct packs the rows of several matrices of k columns, one below the other, and returns the length of a row of
// the product: as many columns, filled up with zeros to 32 bytes, for incomplete vectors are slow.
func newProduct[T real](k int, parts ...[]float64) (product[T], int) {
	rows := 0
	for _, p := range parts {
		rows += len(p) / k
	}
	lanes := 32 / int(unsafe.Sizeof(T(0)))
	cols := (rows + lanes - 1) / lanes * lanes
	v := make([]T, cols*k)
	rest := v
	for _, p := range parts {
		convertTo(rest[:len(p)], p)
		rest = rest[len(p):]
	}
	switch v := any(v).(type) {
	case []float32:
		return any(kernel.NewPanel32(cols, k, v, k)).(product[T]), cols
	case []float64:
		return any(kernel.NewPanel64(cols, k, v, k)).(product[T]), cols
	}
	panic("unreachable")
}

// convert copies to T.
func convert[T real](v []float64) []T {
	out := make([]T, len(v))
	convertTo(out, v)
	return out
}

func convertTo[T real](dst []T, v []float64) {
	switch dst := any(dst).(type) {
	case []float32:
		kernel.Narrow(dst, v)
	case []float64:
		copy(dst, v)
	}
}

// bench is the plan laid out for the rows: one right operand for all products with the residual, and for every base
// (a class mean, or for rows of unknown class the centre, which comes last) the part of each product that the base adds.
type bench[T real] struct {
	*Plan
	k, kw, d, r int
	operand     product[T]
	cols        int        // of the operand: axes, then means, then weights, as present, then zeros
	means       int        // column of the first mean, -1 if scores come from the axes
	weights     int        // column of the first weight row
	scores      product[T] // from coordinates on the axes
	scoreCols   int        // their columns
	coords      []T        // (K+1) x width, t of the base less the centre (Weak)
	rank        []T        // (K+1) x K, m_base.m_j - |m_j|^2/2: scores plus this rank the means by nearness
	logits      []T        // (K+1) x Classes, logits at the base
	cosines     []T        // (K+1) x Classes, (w_j - wbar).m_base
	inverse     []T        // 1/|w_j - wbar|
	largest     float64    // norm of the longest centred mean
	levels      *levelBench[T]
}

// someRows of a table are filled by one goroutine at a time.
const someRows = 32

func newBench[T real](p *Plan) *bench[T] {
	s := p.Summary
	k, d := len(s.Classes), s.Dim
	b := &bench[T]{Plan: p, k: k, d: d, r: p.Rank, means: -1, levels: newLevelBench[T](p)}
	var operand [][]float64
	if p.Moments == OnAxes {
		operand = append(operand, p.Axes)
		b.weights = p.Rank
	}
	if p.Moments != OnAxes || !p.Whole {
		b.means, b.weights = b.weights, b.weights+k
		operand = append(operand, p.Means)
	}
	if p.Weights != nil {
		b.kw = p.Weights.Classes
		operand = append(operand, p.Weights.Centred)
	}
	b.operand, b.cols = newProduct[T](d, operand...)

	var onAxes []float64 // coordinates of the means, K x r
	if p.Moments == OnAxes {
		onAxes = make([]float64, k*p.Rank)
		kernel.Gemm64(false, true, k, p.Rank, d, 1, p.Means, d, p.Axes, d, 0, onAxes, p.Rank)
		if b.means < 0 {
			b.scores, b.scoreCols = newProduct[T](p.Rank, onAxes)
		}
	}
	if p.Weak {
		coords := onAxes
		switch p.Moments {
		case OfScores:
			coords = p.Gram
		case OfRows:
			coords = p.Means
		}
		b.coords = convert[T](append(slices.Clone(coords), make([]float64, p.width())...))
	}

	b.rank = make([]T, (k+1)*k) // the last base is the centre itself
	parallel.Ranges(k+1, someRows, func(from, to int) {
		row := make([]float64, k)
		for i := from; i < to; i++ {
			for j := range row {
				row[j] = -p.Gram[j*k+j] / 2
			}
			if i < k {
				kernel.Add64(row, p.Gram[i*k:(i+1)*k])
			}
			convertTo(b.rank[i*k:(i+1)*k], row)
		}
	})
	for j := range k {
		b.largest = max(b.largest, p.Gram[j*k+j])
	}

	if p.Weights != nil {
		w, kw := p.Weights, b.kw
		b.cosines, b.logits = make([]T, (k+1)*kw), make([]T, (k+1)*kw)
		parallel.Ranges(k+1, someRows, func(from, to int) {
			at := make([]float64, (to-from)*kw)
			for j := range kw {
				for i := from; i < min(to, k); i++ {
					at[(i-from)*kw+j] = w.Cross[j*k+i]
				}
			}
			convertTo(b.cosines[from*kw:to*kw], at)
			for i := from; i < to; i++ {
				row := at[(i-from)*kw : (i-from+1)*kw]
				kernel.Add64(row, w.AtCentre)
				shift := row[0] // logits matter by their differences: keep them small
				if i < k && s.Classes[i] >= 0 && s.Classes[i] < int64(kw) {
					shift = row[s.Classes[i]]
				}
				for j := range row {
					row[j] -= shift
				}
			}
			convertTo(b.logits[from*kw:to*kw], at)
		})
		inverse := make([]float64, b.kw)
		for j, n := range w.Norm {
			if n > 0 {
				inverse[j] = 1 / n
			}
		}
		b.inverse = convert[T](inverse)
	}
	return b
}

// base is what is subtracted from a row of class c, beside the pivot.
func (b *bench[T]) base(c int) []float64 {
	if c == b.k {
		return b.Centre
	}
	return b.Summary.Mean[c*b.d:][:b.d]
}
