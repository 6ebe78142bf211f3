package moments

import (
	"context"
	"fmt"
	"math"
	"unsafe"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/kernel"
)

// Sums is what a second pass adds up, over the rows of a split. Fields that the plan did not ask for are zero.
type Sums struct {
	Rows    int64
	Class   []ClassSums // by class of the plan; one more, the last, for rows of classes without a mean
	Moments []float64   // sum t_j^2, or the matrix sum t t^T, about the row's own mean
	Weak    []float64   // the same about the nearest mean
	WeakSq  float64     // sum |h - mu_nearest|^2

	Disagreements      int64   // rows where classifier and nearest mean differ
	Loss               float64 // sum of cross-entropies
	Margin, CosMargin  Spread  // z_y - max z_j over j != y; the same of cos(h - mu_G, w_j - wbar)
	MinNorm2, MaxNorm2 float64 // of |h - mu_G|^2, where cosine margins were asked for

	Levels    []LevelSums // by class of the plan
	Residuals []Residual
}

// ClassSums is the part of one class.
type ClassSums struct {
	Rows        int64
	Scatter     float64 // sum |h - mu_c|^2
	UnitScatter float64 // sum |h/|h| - u_c|^2, u_c the mean unit vector
	NCCErrors   int64   // rows nearer to another mean
	Errors      int64   // rows the classifier gives to another class
}

// Spread is the smallest and the sum of some numbers, and the class of the row that the smallest comes from.
type Spread struct {
	Min, Sum float64
	Class    int64
}

func (s *Spread) add(v float64, class int64) {
	s.Sum += v
	if v < s.Min {
		s.Min, s.Class = v, class
	}
}

func (s *Spread) merge(o Spread) {
	s.Sum += o.Sum
	if o.Min < s.Min {
		s.Min, s.Class = o.Min, o.Class
	}
}

func newSums(p *Plan) *Sums {
	s := &Sums{Class: make([]ClassSums, len(p.Summary.Classes)+1), Moments: make([]float64, p.size())}
	if p.Weak {
		s.Weak = make([]float64, p.size())
	}
	if p.Levels != nil {
		s.Levels = make([]LevelSums, len(p.Summary.Classes))
	}
	s.reset()
	return s
}

// reset empties the sums and keeps their memory.
func (s *Sums) reset() {
	inf := math.Inf(1)
	clear(s.Class)
	clear(s.Moments)
	clear(s.Weak)
	clear(s.Levels)
	*s = Sums{
		Class: s.Class, Moments: s.Moments, Weak: s.Weak, Levels: s.Levels, Residuals: s.Residuals[:0],
		Margin: Spread{Min: inf}, CosMargin: Spread{Min: inf}, MinNorm2: inf,
	}
}

// mergeSums adds b to a.
func mergeSums(a, b *Sums) *Sums {
	a.Rows += b.Rows
	for i := range a.Class {
		x, y := &a.Class[i], &b.Class[i]
		x.Rows += y.Rows
		x.Scatter += y.Scatter
		x.UnitScatter += y.UnitScatter
		x.NCCErrors += y.NCCErrors
		x.Errors += y.Errors
	}
	kernel.Add64(a.Moments, b.Moments)
	kernel.Add64(a.Weak, b.Weak)
	a.WeakSq += b.WeakSq
	a.Disagreements += b.Disagreements
	a.Loss += b.Loss
	a.Margin.merge(b.Margin)
	a.CosMargin.merge(b.CosMargin)
	a.MinNorm2, a.MaxNorm2 = min(a.MinNorm2, b.MinNorm2), max(a.MaxNorm2, b.MaxNorm2)
	for i := range a.Levels {
		a.Levels[i].merge(&b.Levels[i])
	}
	a.Residuals = append(a.Residuals, b.Residuals...)
	return a
}

// Pass2 is the second pass: sums over rows of their residuals' products with the class means and the classifier.
// Everything is computed from residuals h - mu_y, taken in float64, so neither an offset of the
// features nor tight classes cost digits, whatever the precision of the products. Passes over parts of a data
// set, made from equal plans, merge into the pass over the whole.
type Pass2 struct {
	plan   *Plan
	work   worker
	next   int64
	inside bool // a block is open
	forest forest[*Sums]
}

// NewPass2 starts a second pass at row first of a sequence.
func NewPass2(p *Plan, first int64) (*Pass2, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	return &Pass2{plan: p, next: first, forest: forest[*Sums]{merge: mergeSums}}, nil
}

// worker accumulates blocks of a plan.
type worker interface {
	begin(s *Sums) // a block, into empty sums
	rows(b *features.Batch)
	peek() *Sums // of the block so far, a copy
	end() *Sums
}

func newWorkers(p *Plan) func() worker {
	if p.Double {
		b := newBench[float64](p)
		return func() worker { return &rowWorker[float64]{bench: b} }
	}
	b := newBench[float32](p)
	return func() worker { return &rowWorker[float32]{bench: b} }
}

// Add takes the next rows, which must carry labels; rows with NaN or infinity are passed over.
func (p *Pass2) Add(b *features.Batch) error {
	if b.Dim != p.plan.Summary.Dim || len(b.Labels) != b.Rows || max(len(b.Float32), len(b.Float64)) != b.Rows*b.Dim {
		return fmt.Errorf("moments: batch of %d rows x %d with %d labels, plan has dimension %d",
			b.Rows, b.Dim, len(b.Labels), p.plan.Summary.Dim)
	}
	if p.work == nil {
		p.work = newWorkers(p.plan)()
	}
	for i := 0; i < b.Rows; {
		if !p.inside {
			p.work.begin(newSums(p.plan))
			p.inside = true
		}
		n := min(b.Rows-i, BlockRows-int(p.next%BlockRows))
		part := rowsOf(b, i, n)
		part.First = int(p.next)
		p.work.rows(&part)
		i, p.next = i+n, p.next+int64(n)
		if p.next%BlockRows == 0 {
			p.close(p.next/BlockRows - 1)
		}
	}
	return nil
}

func (p *Pass2) close(index int64) {
	if p.inside {
		p.forest.add(index, p.work.end())
		p.inside = false
	}
}

// Merge adds the rows of another pass with an equal plan, which must not be used afterwards.
func (p *Pass2) Merge(o *Pass2) error {
	a, b := p.plan, o.plan
	if a.size() != b.size() || len(a.Summary.Classes) != len(b.Summary.Classes) || a.Moments != b.Moments || a.Weak != b.Weak || (a.Levels == nil) != (b.Levels == nil) {
		return fmt.Errorf("moments: merging second passes of different plans")
	}
	p.close(p.next / BlockRows)
	o.close(o.next / BlockRows)
	for _, part := range o.forest.parts() {
		p.forest.put(part)
	}
	p.next = max(p.next, o.next)
	return nil
}

// Sums finishes the pass.
func (p *Pass2) Sums() *Sums {
	p.close(p.next / BlockRows)
	sums := newSums(p.plan)
	for _, part := range p.forest.parts() {
		mergeSums(sums, part.sum)
	}
	return sums
}

// Collect makes the second pass over a split. The result does not depend on the number of workers.
func (p *Plan) Collect(ctx context.Context, split *features.Split, o ScanOptions) (*Sums, error) {
	pass, err := NewPass2(p, int64(split.Rows))
	if err != nil {
		return nil, err
	}
	if o.ChunkRows == 0 { // the residuals of a chunk and its products share the cache with the operand's panels
		o.ChunkRows = max(32, min(256, (1<<18)/(4*split.Dim)))
		if len(p.Means)+len(p.Axes) > 1<<17 {
			o.ChunkRows = 256
		}
	}
	o.large = len(p.Means) > 1<<20
	workers := newWorkers(p)
	var sums spare[*Sums]
	pass.forest.merge = func(a, b *Sums) *Sums {
		mergeSums(a, b)
		b.reset()
		sums.put(b)
		return a
	}
	err = Scan(ctx, split, o, func() Visitor { return &gatherer{pass: pass, worker: workers(), spare: &sums} })
	if err != nil {
		return nil, err
	}
	return pass.Sums(), nil
}

type gatherer struct {
	worker
	pass  *Pass2
	spare *spare[*Sums]
	index int64
}

func (g *gatherer) Begin(block int) {
	g.index = int64(block)
	s, ok := g.spare.get()
	if !ok {
		s = newSums(g.pass.plan)
	}
	g.begin(s)
}
func (g *gatherer) Rows(b *features.Batch) { g.rows(b) }
func (g *gatherer) End()                   { g.pass.forest.add(g.index, g.end()) }

// rowWorker turns rows into sums, in products of type T.
type rowWorker[T real] struct {
	*bench[T]
	index    index
	sums     *Sums
	residual []T // chunk x d
	products []T // chunk x cols
	scored   []T // chunk x K, filled up likewise
	class    []int32
	source   []int32 // row of the batch
	square   []float64
	wide     []float64 // one row
	block    []T       // t of the block's rows so far (OfScores, OfRows)
	nearest  []T       // t about the nearest mean (Weak)
	filled   int       // rows in block
	matrix   []float64 // t t^T of some rows, formed in float64
	narrow   []float32 // or in float32
}

func (w *rowWorker[T]) begin(s *Sums) {
	if w.class == nil {
		for i, label := range w.Summary.Classes {
			w.index.set(label, int32(i))
		}
		w.wide = make([]float64, w.d)
	}
	w.sums = s
}

func (w *rowWorker[T]) end() *Sums {
	w.flush()
	return w.sums
}

func (w *rowWorker[T]) peek() *Sums {
	w.flush()
	return mergeSums(newSums(w.Plan), w.sums)
}

// momentRows is how many rows' t are kept before their products are added up.
const momentRows = 1024

// flush adds up t t^T over the rows kept.
func (w *rowWorker[T]) flush() {
	if w.filled > 0 {
		w.gram(w.sums.Moments, w.block)
		if w.Weak {
			w.gram(w.sums.Weak, w.nearest)
		}
	}
	w.block, w.nearest, w.filled = w.block[:0], w.nearest[:0], 0
}

// gram adds the sum of t t^T over the rows of a matrix.
func (w *rowWorker[T]) gram(dst []float64, rows []T) {
	width, n := w.width(), w.filled
	wide, isWide := any(rows).([]float64)
	if narrow, ok := any(rows).([]float32); ok && w.Exact {
		wide, isWide = make([]float64, len(narrow)), true
		kernel.Widen(wide, narrow)
	}
	if isWide {
		w.matrix = resize(w.matrix, width*width)
		kernel.Syrk64(true, width, n, wide, width, w.matrix, width)
		kernel.Add64(dst, w.matrix)
	} else {
		w.narrow = resize(w.narrow, width*width)
		kernel.Syrk32(true, width, n, any(rows).([]float32), width, w.narrow, width)
		kernel.Axpy32(dst, 1, w.narrow)
	}
}

func resize[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}

func (w *rowWorker[T]) rows(b *features.Batch) {
	m := w.residuals(b)
	if m == 0 {
		return
	}
	k, d := w.k, w.d
	w.products = resize(w.products, m*w.cols)
	w.operand.Mul(w.products, w.cols, w.residual, d, m)
	scores, stride := w.products, w.cols
	if w.means < 0 {
		stride = w.scoreCols
		w.scored = resize(w.scored, m*stride)
		w.scores.Mul(w.scored, stride, w.products, w.cols, m)
		scores = w.scored
	} else {
		scores = scores[w.means:]
	}
	for i := range m {
		w.row(b, i, scores[i*stride:][:k], w.products[i*w.cols:][:w.cols])
	}
}

// residuals fills the matrix of h - mu_y from a batch and returns the number of its rows.
func (w *rowWorker[T]) residuals(b *features.Batch) int {
	d := w.d
	w.residual = resize(w.residual, b.Rows*d)
	w.class, w.source, w.square = resize(w.class, b.Rows), resize(w.source, b.Rows), resize(w.square, b.Rows)
	m := 0
	for i := range b.Rows {
		c, ok := w.index.get(b.Labels[i])
		if !ok {
			c = int32(w.k)
		}
		pivot, base, dst := w.Summary.Pivot, w.base(int(c)), w.residual[m*d:][:d]
		var sq, norm2 float64
		var x32 []float32
		var x64 []float64
		if b.Float64 != nil {
			x64 = b.Float64[i*d : (i+1)*d]
			sq = residual64(dst, x64, pivot, base)
		} else {
			x32 = b.Float32[i*d : (i+1)*d]
			sq = residual32(dst, x32, pivot, base)
		}
		if math.IsNaN(sq) || math.IsInf(sq, 0) {
			copy(w.wide, x64)
			kernel.Widen(w.wide[:len(x32)], x32)
			if firstNonfinite(w.wide) >= 0 {
				continue
			}
		}
		if w.Units && ok {
			unit := w.Summary.Unit[int(c)*d:][:d]
			if x64 != nil {
				norm2 = kernel.SumSquares64(x64)
			} else {
				norm2 = kernel.SumSquares32(x32)
			}
			inverse := 0.0
			if norm2 > 0 {
				inverse = 1 / math.Sqrt(norm2)
			}
			if x64 != nil {
				w.sums.Class[c].UnitScatter += kernel.ScaledDistance64(x64, inverse, unit)
			} else {
				w.sums.Class[c].UnitScatter += kernel.ScaledDistance32(x32, inverse, unit)
			}
		}
		w.class[m], w.source[m], w.square[m] = c, int32(i), sq
		m++
	}
	return m
}

func residual32[T real](dst []T, x []float32, pivot, base []float64) float64 {
	switch dst := any(dst).(type) {
	case []float32:
		return kernel.Residual32(dst, x, pivot, base)
	case []float64:
		return kernel.Residual32To64(dst, x, pivot, base)
	}
	panic("unreachable")
}

func residual64[T real](dst []T, x, pivot, base []float64) float64 {
	switch dst := any(dst).(type) {
	case []float32:
		return kernel.Residual64To32(dst, x, pivot, base)
	case []float64:
		return kernel.Residual64(dst, x, pivot, base)
	}
	panic("unreachable")
}

// row adds row i of the chunk, of which s are the scores and p all products with the residual.
func (w *rowWorker[T]) row(b *features.Batch, i int, s, p []T) {
	k, c := w.k, int(w.class[i])
	sums, square := w.sums, w.square[i]
	class := &sums.Class[c]
	sums.Rows++
	class.Rows++
	class.Scatter += square

	near := w.nearestMean(b, i, s)
	label := b.Labels[w.source[i]]
	nearLabel := w.Summary.Classes[near]
	if nearLabel != label {
		class.NCCErrors++
	}
	w.moments(i, s, p, near)
	if w.Weak {
		// |h - mu_near|^2 = |r|^2 + 2 r.(m_c - m_near) + |m_c - m_near|^2
		if near == c {
			sums.WeakSq += square
		} else {
			sums.WeakSq += w.distance(b, i, near)
		}
	}
	var z []T
	if w.Weights != nil {
		z = p[w.weights:][:w.kw]
	}
	y := int(label)
	if w.levels != nil {
		w.level(b.First, i, s, z, y)
	}
	if z == nil {
		return
	}
	if w.Weights.Cosines {
		own := 0.0 // r.m_c
		if c < k {
			own = float64(s[c])
		}
		w.cosine(b, i, z, y, square+2*own+w.centreDistance(c), c)
	}
	kernel.Add(z, z, w.logits[c*w.kw:][:w.kw])
	best := argMax(z)
	if best != y {
		class.Errors++
	}
	if int64(best) != nearLabel {
		sums.Disagreements++
	}
	if w.kw < 2 {
		return
	}
	zy := z[y]
	z[y] = T(math.Inf(-1))
	if best == y {
		best = argMax(z)
	}
	gap := float64(z[best]) - float64(zy) // the best of the others against the true class
	sums.Margin.add(-gap, label)
	if gap < 30 {
		sums.Loss += math.Log1p(sumExp(z, zy))
	} else {
		l := gap + math.Log(sumExp(z, z[best]))
		sums.Loss += l + math.Log1p(math.Exp(-l))
	}
}

// centreDistance is |mu_base - mu_G|^2.
func (w *rowWorker[T]) centreDistance(c int) float64 {
	if c < w.k {
		return w.Gram[c*w.k+c]
	}
	return 0
}

// cosine adds the margin of the cosines between h - mu_G and the centred rows of W.
func (w *rowWorker[T]) cosine(b *features.Batch, i int, z []T, y int, norm2 float64, c int) {
	if norm2 < 1e-6*(w.square[i]+w.centreDistance(c)) { // close to the global mean: the sum has lost its digits
		norm2 = w.distance(b, i, w.k)
	}
	w.sums.MinNorm2, w.sums.MaxNorm2 = min(w.sums.MinNorm2, norm2), max(w.sums.MaxNorm2, norm2)
	if norm2 <= 0 || w.kw < 2 {
		return
	}
	base := w.cosines[c*w.kw:][:len(z)]
	inverse := w.inverse[:len(z)]
	own := (z[y] + base[y]) * inverse[y]
	other := T(math.Inf(-1))
	for j, v := range z {
		if u := (v + base[j]) * inverse[j]; u > other && j != y {
			other = u
		}
	}
	w.sums.CosMargin.add(float64(own-other)/math.Sqrt(norm2), int64(y))
}

// moments adds t, or keeps it until the end of the block.
func (w *rowWorker[T]) moments(i int, s, p []T, near int) {
	c, width := int(w.class[i]), w.width()
	t := p
	switch w.Moments {
	case OfScores:
		t = s
	case OfRows:
		t = w.residual[i*w.d:]
	}
	t = t[:width]
	if w.Moments == OnAxes {
		for j, v := range t {
			w.sums.Moments[j] += float64(v) * float64(v)
		}
	} else {
		if w.filled == momentRows {
			w.flush()
		}
		if cap(w.block) == 0 {
			w.block = make([]T, 0, momentRows*width)
		}
		w.block = append(w.block, t...)
		w.filled++
	}
	if !w.Weak {
		return
	}
	from, to := w.coords[c*width:][:width], w.coords[near*width:][:width]
	if w.Moments == OnAxes {
		for j, v := range t {
			u := float64(v) + (float64(from[j]) - float64(to[j]))
			w.sums.Weak[j] += u * u
		}
		return
	}
	for j, v := range t {
		w.nearest = append(w.nearest, v+(from[j]-to[j]))
	}
}

// nearestMean is the class whose mean is nearest; the first of several. Means are ranked by r.m_j + m_c.m_j - |m_j|^2/2;
// where the best are within rounding of each other, distances are taken in float64.
func (w *rowWorker[T]) nearestMean(b *features.Batch, i int, s []T) int {
	rank := w.rank[int(w.class[i])*w.k:][:len(s)]
	best, second, at := T(math.Inf(-1)), T(math.Inf(-1)), 0
	for j, v := range s {
		v += rank[j]
		if v > best {
			best, second, at = v, best, j
		} else if v > second {
			second = v
		}
	}
	tol := T(w.tolerance(w.square[i]))
	if best-second > tol || len(s) < 2 {
		return at
	}
	least := math.Inf(1)
	for j, v := range s {
		if v+rank[j] >= best-tol {
			if dist := w.distance(b, i, j); dist < least {
				least, at = dist, j
			}
		}
	}
	return at
}

// tolerance bounds the rounding of the scores of a row with |r|^2 = square.
func (w *rowWorker[T]) tolerance(square float64) float64 {
	eps := 0x1p-52
	if unsafe.Sizeof(T(0)) == 4 {
		eps = 0x1p-23
	}
	return 4 * eps * math.Sqrt(float64(w.d)) * (math.Sqrt(square*w.largest) + w.largest)
}

// distance is |h - base|^2 in float64.
func (w *rowWorker[T]) distance(b *features.Batch, i, base int) float64 {
	at, pivot, mu := int(w.source[i]), w.Summary.Pivot, w.base(base)
	if b.Float64 != nil {
		return kernel.Residual64(w.wide, b.Float64[at*w.d:][:w.d], pivot, mu)
	}
	return kernel.Residual32To64(w.wide, b.Float32[at*w.d:][:w.d], pivot, mu)
}

func argMax[T real](v []T) int {
	switch v := any(v).(type) {
	case []float32:
		return kernel.ArgMax32(v)
	case []float64:
		return kernel.ArgMax64(v)
	}
	panic("unreachable")
}

func sumExp[T real](v []T, shift T) float64 {
	switch v := any(v).(type) {
	case []float32:
		return kernel.SumExp32(v, float32(shift))
	case []float64:
		return kernel.SumExp64(v, float64(shift))
	}
	panic("unreachable")
}

// NCCErrors is the number of rows that are nearer to another mean than to their own.
func (s *Sums) NCCErrors() (n int64) {
	for _, c := range s.Class {
		n += c.NCCErrors
	}
	return n
}

// Errors is the number of rows that the classifier gives to another class.
func (s *Sums) Errors() (n int64) {
	for _, c := range s.Class {
		n += c.Errors
	}
	return n
}
