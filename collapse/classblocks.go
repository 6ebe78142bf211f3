package collapse

import (
	"context"
	"math"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/moments"
)

// classes finds the spectrum and the coding rate of every class on its raw rows, reading the rows once for every group of
// classes whose working storage fits in half of the memory.
func (f *fullSample) classes(ctx context.Context, s *sample, scan moments.ScanOptions, need fullNeeds) error {
	work := 0.0
	for _, n := range s.sum.Count {
		work += 2 * float64(n) * float64(s.d) * float64(min(n, int64(s.d)))
	}
	kind := classKind{d: s.d, dim: need.dim, wide: s.split.Wide(), nuclear: need.nuclear, rate: need.classRates, factor: work <= factorWork}
	groups := kind.groups(s.sum.Count, s.opts.Memory/2)
	progress := scan.Progress
	if progress != nil { // all groups together count as one pass
		scan.Progress = func(rows int) { progress(rows / len(groups)) }
	}
	scan.Workers, scan.ChunkRows = 1, max(64, min(moments.BlockRows, (1<<22)/s.d))
	ratios, rate := 0.0, 0.0
	f.nuclearRatio, f.codingRateClasses = Value{}, Value{}
	for _, g := range groups {
		blocks := make([]*classBlock, s.k)
		for c := g.from; c < g.to; c++ {
			blocks[c] = &classBlock{kind: &kind, mul: multiplier{double: s.double()}}
		}
		if err := moments.Scan(ctx, s.split, scan, func() moments.Visitor { return &classVisitor{s, blocks, nil} }); err != nil {
			return err
		}
		if err := finishBlocks(ctx, blocks[g.from:g.to]); err != nil {
			return err
		}
		for c := g.from; c < g.to; c++ {
			if blocks[c].zero {
				f.nuclearRatio = undefined(ZeroMatrix)
			}
			ratios += blocks[c].ratio
			rate += float64(s.sum.Count[c]) / s.n * blocks[c].codingRate
		}
	}
	if f.nuclearRatio.Defined() {
		f.nuclearRatio = number(ratios / float64(s.k))
	}
	f.codingRateClasses = number(rate)
	return nil
}

// classKind is what the blocks of all classes have in common.
type classKind struct {
	d, dim        int  // of the rows, and of the coding rate
	wide          bool // rows are float64
	nuclear, rate bool // what is to be found
	factor        bool // spectra from triangular factors
}

// limit is the number of rows that a block keeps before it folds them into matrices. Each time costs as much as d rows more.
func (k *classKind) limit() int { return max(2*k.d, 256) }

// bytes is the storage of the block of a class with n rows.
func (k *classKind) bytes(n int64) int64 {
	d, limit, size := int64(k.d), int64(k.limit()), int64(4)
	if k.wide {
		size = 8
	}
	b := min(n, limit) * d * size
	if n > limit {
		if k.nuclear {
			b += 8 * d * d
		}
		if k.rate {
			b += 8 * d * d
		}
	}
	return b
}

type classRange struct{ from, to int }

// groups cuts the classes into ranges that fit in memory, of one class at least.
func (k *classKind) groups(count []int64, memory int64) (out []classRange) {
	var used int64
	for c, n := range count {
		b := k.bytes(n)
		if c == 0 || used+b > memory {
			out, used = append(out, classRange{c, c}), 0
		}
		used += b
		out[len(out)-1].to = c + 1
	}
	return out
}

// classVisitor hands rows to the blocks of their classes.
type classVisitor struct {
	s      *sample
	blocks []*classBlock // nil for classes of other groups
	class  []int
}

func (v *classVisitor) Begin(int) {}
func (v *classVisitor) End()      {}

func (v *classVisitor) Rows(b *features.Batch) {
	v.class = classesOf(v.class, v.s, b, func(c int) bool { return v.blocks[c] != nil })
	for i, c := range v.class {
		if c >= 0 {
			v.blocks[c].add(b, i, int(v.s.sum.Count[c]))
		}
	}
}

// A classBlock holds the raw rows of one class: as they are up to a limit, in matrices from there on.
type classBlock struct {
	kind *classKind
	mul  multiplier

	held    features.Batch // rows not yet folded
	folded  int
	factor  *linalg.RFactor // of the folded rows, or
	scatter []float64       // sum h h'
	units   []float64       // sum v v', v = h/|h|

	ratio, codingRate float64
	zero              bool // nothing but zeros: there is no ratio
}

// add takes row i of a batch; total is the number of rows that the class has.
func (b *classBlock) add(x *features.Batch, i, total int) {
	h, d, limit := &b.held, b.kind.d, b.kind.limit()
	if h.Float32 == nil && h.Float64 == nil {
		h.Dim = d
		if x.Float64 != nil {
			h.Float64 = make([]float64, 0, min(total, limit)*d)
		} else {
			h.Float32 = make([]float32, 0, min(total, limit)*d)
		}
	}
	if h.Rows == limit {
		b.fold()
	}
	x32, x64 := rowOf(x, i)
	if x64 != nil {
		h.Float64 = append(h.Float64, x64...)
	} else {
		h.Float32 = append(h.Float32, x32...)
	}
	h.Rows++
}

// matrix is the rows held, in float64.
func (b *classBlock) matrix() []float64 {
	x := make([]float64, b.held.Rows*b.kind.d)
	copy(x, b.held.Float64)
	kernel.Widen(x[:len(b.held.Float32)], b.held.Float32)
	return x
}

// fold moves the rows held into the matrices.
func (b *classBlock) fold() {
	k, n, d := b.kind, b.held.Rows, b.kind.d
	if b.folded == 0 {
		if k.nuclear && k.factor {
			b.factor = linalg.NewRFactor(d)
		} else if k.nuclear {
			b.scatter = make([]float64, d*d)
		}
		if k.rate {
			b.units = make([]float64, d*d)
		}
	}
	x := b.matrix()
	if b.scatter != nil {
		b.mul.addScatter(b.scatter, x, n, d)
	}
	if b.units != nil {
		v := make([]float64, n*d)
		eachRow(n, func(i int) { unitRow(v[i*d:(i+1)*d], &b.held, i) })
		b.mul.addScatter(b.units, v, n, d)
	}
	if b.factor != nil {
		b.factor.Add(x, n)
	}
	b.folded += n
	b.held.Rows, b.held.Float32, b.held.Float64 = 0, b.held.Float32[:0], b.held.Float64[:0]
}

// finishBlocks makes numbers of the blocks: large ones one after another, by all processors, small ones side by side.
func finishBlocks(ctx context.Context, blocks []*classBlock) error {
	const small = 1 << 17 // numbers
	var rest []*classBlock
	for _, b := range blocks {
		if (b.held.Rows+b.folded)*b.kind.d <= small {
			rest = append(rest, b)
			continue
		}
		if err := interruptible(ctx, b.finish); err != nil {
			return err
		}
	}
	parallel.For(len(rest), func(_, i int) {
		if ctx.Err() == nil {
			rest[i].finish()
		}
	})
	return ctx.Err()
}

// finish finds the ratio and the rate, and lets go of the rows.
func (b *classBlock) finish() {
	if b.folded > 0 && b.held.Rows > 0 {
		b.fold()
	}
	if b.folded > 0 {
		b.finishFolded()
	} else {
		b.finishHeld()
	}
	b.held, b.factor, b.scatter, b.units, b.mul = features.Batch{}, nil, nil, nil, multiplier{}
}

func (b *classBlock) finishFolded() {
	k, d := b.kind, b.kind.d
	if k.rate {
		b.codingRate = codingRate(d, float64(b.folded), k.dim, b.units)
	}
	switch {
	case b.factor != nil:
		b.nuclear(linalg.SingularValues(d, d, b.factor.R()))
	case b.scatter != nil:
		b.nuclear(rootsAbove(linalg.Eigenvalues(d, b.scatter), 0), nil)
	}
}

// finishHeld works on the n x n matrix H H' where the class has fewer rows than there are dimensions.
func (b *classBlock) finishHeld() {
	k, n, d := b.kind, b.held.Rows, b.kind.d
	x := b.matrix()
	side := min(n, d)
	var gram []float64
	if k.rate || !k.factor {
		gram = make([]float64, side*side)
		kernel.Syrk64(n >= d, side, max(n, d), x, d, gram, side)
	}
	if k.rate {
		g := make([]float64, side*side)
		if n < d { // v_i.v_j from h_i.h_j
			unitGram(n, g, gram)
		} else {
			v := make([]float64, n*d)
			eachRow(n, func(i int) { unitRow(v[i*d:(i+1)*d], &b.held, i) })
			kernel.Syrk64(true, d, n, v, d, g, d)
		}
		b.codingRate = codingRate(side, float64(n), k.dim, g)
	}
	switch {
	case !k.nuclear:
	case !k.factor:
		b.nuclear(rootsAbove(linalg.Eigenvalues(side, gram), 0), nil)
	case n < d:
		b.nuclear(linalg.SingularValues(n, n, linalg.QR(d, n, transpose(n, d, x))))
	default:
		b.nuclear(linalg.SingularValues(d, d, linalg.QR(n, d, x)))
	}
}

// unitGram divides the elements of a Gram matrix by the norms of their rows; a zero row stays zero.
func unitGram(n int, dst, gram []float64) {
	for i := range n {
		for j := range n {
			if p := math.Sqrt(gram[i*n+i]) * math.Sqrt(gram[j*n+j]); p > 0 {
				dst[i*n+j] = gram[i*n+j] / p
			}
		}
	}
}

// nuclear takes the ratio of the nuclear to the Frobenius norm from singular values.
func (b *classBlock) nuclear(sv []float64, err error) {
	if err != nil {
		b.ratio = math.NaN()
		return
	}
	if len(sv) == 0 || sv[0] == 0 {
		b.zero = true
		return
	}
	sum, square := 0.0, 0.0
	for _, v := range sv {
		v /= sv[0]
		sum += v
		square += v * v
	}
	b.ratio = sum / math.Sqrt(square)
}

// transpose copies an m x n matrix to n x m.
func transpose(m, n int, a []float64) []float64 {
	out := make([]float64, m*n)
	const tile = 32
	for i := 0; i < m; i += tile {
		for j := 0; j < n; j += tile {
			for p := i; p < min(m, i+tile); p++ {
				for q := j; q < min(n, j+tile); q++ {
					out[q*m+p] = a[p*n+q]
				}
			}
		}
	}
	return out
}
