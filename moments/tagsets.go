package moments

import (
	"context"
	"math"
	"slices"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/kernel"
)

// TagPlan is what a second pass over rows with tag sets measures against. The classes of its summary are places in
// Tags.Sets, so that the tag sets of one multiplicity stand together; Groups has one part for each multiplicity.
type TagPlan struct {
	Summary *Summary
	Tags    *features.Tags
	Axes    []float64 // rows x d, unit vectors: squares of residuals are added up along them
	Groups  []TagGroup
	Centre  []float64 // d, less the pivot: what rows are taken about for products with means
	Weights []float64 // K x d, w_k less the mean row; nil without a classifier
	Logits  []float64 // classes x K, logits at the class means, up to a constant of the class
	Every   int       // only one row of so many is compared with the means of its multiplicity
	Double  bool      // products in float64, else in float32
	Lots    *Levels   // residuals to be drawn by lot, and nothing else of it; nil for none
}

// TagGroup is one multiplicity.
type TagGroup struct {
	Size        int       // m
	First, Sets int       // classes of the summary from First on
	Axes        []float64 // rows x d, unit vectors of its own
	Every       int       // only one row of so many is projected on these; 0 and 1 for all
}

// TagPass is what the pass comes to.
type TagPass struct {
	Groups    []TagSums // in the order of the plan
	Residuals []Residual
}

// TagSums are the sums of one multiplicity.
type TagSums struct {
	Rows     int64
	Squares  []float64 // per axis of the plan, then of the group, sum of (a.(h - mu_S))^2
	Along    int64     // rows that were projected on the axes of the group
	Loss     float64   // of pick-all-label cross-entropy
	Wrong    int64     // rows with a tag whose logit is not above all others
	Mass     float64   // of the softmax on the tags
	Compared int64     // rows compared with the means of their multiplicity
	Mismatch int64     // of these, rows whose nearest mean is not that of their m largest logits
}

func (p *TagPass) add(o *TagPass) {
	for i := range p.Groups {
		a, b := &p.Groups[i], &o.Groups[i]
		a.Rows += b.Rows
		a.Along += b.Along
		kernel.Add64(a.Squares, b.Squares)
		a.Loss += b.Loss
		a.Wrong += b.Wrong
		a.Mass += b.Mass
		a.Compared += b.Compared
		a.Mismatch += b.Mismatch
	}
	p.Residuals = append(p.Residuals, o.Residuals...)
}

// Collect makes the pass over a split. What it comes to does not depend on the number of workers.
func (p *TagPlan) Collect(ctx context.Context, split *features.Split, o ScanOptions) (*TagPass, error) {
	if p.Double {
		return collectTags[float64](ctx, p, split, o)
	}
	return collectTags[float32](ctx, p, split, o)
}

func collectTags[T real](ctx context.Context, p *TagPlan, split *features.Split, o ScanOptions) (*TagPass, error) {
	bench := newTagBench[T](p)
	sums := forest[*TagPass]{merge: func(a, b *TagPass) *TagPass {
		a.add(b)
		return a
	}}
	if o.ChunkRows == 0 { // the rows of one multiplicity are to be many enough for a product of their own
		o.ChunkRows = max(64, min(512, (1<<19)/(4*split.Dim)))
	}
	err := Scan(ctx, split, o, func() Visitor { return &tagVisitor[T]{tagBench: bench, to: &sums} })
	if err != nil {
		return nil, err
	}
	total := p.empty()
	for _, part := range sums.parts() {
		total.add(part.sum)
	}
	return total, nil
}

func (p *TagPlan) empty() *TagPass {
	out := &TagPass{Groups: make([]TagSums, len(p.Groups))}
	for i, g := range p.Groups {
		out.Groups[i].Squares = make([]float64, (len(p.Axes)+len(g.Axes))/p.Summary.Dim)
	}
	return out
}

// tagBench is the plan laid out for the rows.
type tagBench[T real] struct {
	*TagPlan
	d      int
	class  []int32    // by label: class of the summary, -1 where no row of it was finite
	group  []int32    // by label: its multiplicity's
	axes   int        // rows of Axes
	shared product[T] // with all rows: axes, then rows of the classifier
	cols   int
	logits []T
	groups []tagOperands[T]
	keep   []uint64 // lots up to which residuals are kept, by class
}

// tagOperands are the right operands of one multiplicity.
type tagOperands[T real] struct {
	axes     product[T]
	axesCols int
	means    product[T] // less the centre
	cols     int
	half     []T // |mean|^2/2
}

func newTagBench[T real](p *TagPlan) *tagBench[T] {
	s := p.Summary
	b := &tagBench[T]{TagPlan: p, d: s.Dim, class: make([]int32, len(p.Tags.Sets)), group: make([]int32, len(p.Tags.Sets)), axes: len(p.Axes) / s.Dim, logits: convert[T](p.Logits)}
	for i := range b.class {
		b.class[i] = -1
	}
	if len(p.Axes)+len(p.Weights) > 0 {
		b.shared, b.cols = newProduct[T](b.d, p.Axes, p.Weights)
	}
	if p.Lots != nil {
		b.keep = p.Lots.bars(s)
	}
	for g, group := range p.Groups {
		var o tagOperands[T]
		if len(group.Axes) > 0 {
			o.axes, o.axesCols = newProduct[T](b.d, group.Axes)
		}
		for c := group.First; c < group.First+group.Sets; c++ {
			b.class[s.Classes[c]], b.group[s.Classes[c]] = int32(c), int32(g)
		}
		if p.Weights != nil && group.Size > 0 {
			means, half := make([]float64, group.Sets*b.d), make([]float64, group.Sets)
			for i := range group.Sets {
				c := group.First + i
				half[i] = kernel.Diff64(means[i*b.d:(i+1)*b.d], s.Mean[c*b.d:(c+1)*b.d], p.Centre) / 2
			}
			o.half = convert[T](half)
			o.means, o.cols = newProduct[T](b.d, means)
		}
		b.groups = append(b.groups, o)
	}
	return b
}

// tagVisitor sorts the rows of a batch by multiplicity and adds up.
type tagVisitor[T real] struct {
	*tagBench[T]
	to    *forest[*TagPass]
	sums  *TagPass
	block int

	rows     [][]int32 // by group, rows of the batch
	source   []int32   // rows of the batch in the order of the groups
	left     []T       // their residuals
	out      []T       // products of all with the shared operand
	own      []T       // products of one group
	compared []int32   // rows of left
	best     []int     // tags of the largest logits
	mark     []bool
}

func (v *tagVisitor[T]) Begin(block int) {
	v.block, v.sums = block, v.empty()
	if v.rows == nil {
		v.rows = make([][]int32, len(v.Groups))
		v.mark = make([]bool, v.Tags.Count)
	}
}

func (v *tagVisitor[T]) End() { v.to.add(int64(v.block), v.sums) }

func (v *tagVisitor[T]) Rows(b *features.Batch) {
	for g := range v.rows {
		v.rows[g] = v.rows[g][:0]
	}
	for i, label := range b.Labels {
		if v.class[label] >= 0 {
			v.rows[v.group[label]] = append(v.rows[v.group[label]], int32(i))
		}
	}
	v.residuals(b)
	n := len(v.source)
	if v.shared != nil && n > 0 {
		v.out = resize(v.out, n*v.cols)
		v.shared.Mul(v.out, v.cols, v.left, v.d, n)
	}
	for g, from := 0, 0; g < len(v.rows); g++ {
		to := from + len(v.rows[g])
		if to > from {
			v.spread(b, g, from, to)
			if v.Weights != nil && v.Groups[g].Size > 0 {
				v.decide(b, g, from, to)
			}
		}
		from = to
	}
}

// residuals are taken of the finite rows, by multiplicity; rows lists these.
func (v *tagVisitor[T]) residuals(b *features.Batch) {
	s := v.Summary
	v.left, v.source = resize(v.left, b.Rows*v.d), v.source[:0]
	for g, rows := range v.rows {
		kept := rows[:0]
		for _, i := range rows {
			n, c := len(v.source), int(v.class[b.Labels[i]])
			row := v.left[n*v.d : (n+1)*v.d]
			sq := difference(row, b, int(i), s.Pivot, s.Mean[c*v.d:(c+1)*v.d])
			if math.IsNaN(sq) || math.IsInf(sq, 0) {
				continue // the first pass left it out
			}
			kept, v.source = append(kept, i), append(v.source, i)
			if v.keep != nil && v.Lots.Used[c] {
				if key := lot(v.Lots.Seed, int64(b.First)+int64(i)); key <= v.keep[c] {
					v.sums.Residuals = append(v.sums.Residuals, Residual{key, int32(c), scaled(row, v.Lots.Scale[c])})
				}
			}
		}
		v.rows[g] = kept
	}
}

// spread adds up squares of residuals along the axes.
func (v *tagVisitor[T]) spread(b *features.Batch, g, from, to int) {
	o, sums := &v.groups[g], &v.sums.Groups[g]
	sums.Rows += int64(to - from)
	add := func(dst []float64, products []T, cols, rows int) {
		for i := range rows {
			for j, t := range products[i*cols:][:len(dst)] {
				dst[j] += float64(t) * float64(t)
			}
		}
	}
	if v.axes > 0 {
		add(sums.Squares[:v.axes], v.out[from*v.cols:], v.cols, to-from)
	}
	n := to - from
	if every := v.Groups[g].Every; every > 1 { // what is projected is moved to the front: all products with the other residuals are made
		n = 0
		for at := from; at < to; at++ {
			if (b.First+int(v.source[at]))%every == 0 {
				copy(v.left[(from+n)*v.d:(from+n+1)*v.d], v.left[at*v.d:(at+1)*v.d])
				n++
			}
		}
	}
	if sums.Along += int64(n); o.axes != nil && n > 0 {
		v.own = resize(v.own, n*o.axesCols)
		o.axes.Mul(v.own, o.axesCols, v.left[from*v.d:], v.d, n)
		add(sums.Squares[v.axes:], v.own, o.axesCols, n)
	}
}

// decide looks at the logits of the rows of a multiplicity, and at the means that some of them are near to.
func (v *tagVisitor[T]) decide(b *features.Batch, g, from, to int) {
	k, sums := v.Tags.Count, &v.sums.Groups[g]
	v.compared = v.compared[:0]
	for n := from; n < to; n++ {
		i := v.source[n]
		label := b.Labels[i]
		z := v.out[n*v.cols+v.axes:][:k]
		kernel.Add(z, z, v.logits[int(v.class[label])*k:][:k])
		judge(sums, z, v.Tags.Sets[label])
		if (b.First+int(i))%v.Every == 0 {
			v.compared = append(v.compared, int32(n))
		}
	}
	if len(v.compared) == 0 {
		return
	}
	o, s := &v.groups[g], v.Summary
	for at, n := range v.compared { // residuals at places from here on have served
		difference(v.left[(from+at)*v.d:][:v.d], b, int(v.source[n]), s.Pivot, v.Centre)
	}
	v.own = resize(v.own, len(v.compared)*o.cols)
	o.means.Mul(v.own, o.cols, v.left[from*v.d:], v.d, len(v.compared))
	for at, n := range v.compared {
		near, most := 0, T(math.Inf(-1))
		for j, x := range v.own[at*o.cols:][:len(o.half)] {
			if score := x - o.half[j]; score > most {
				near, most = j, score
			}
		}
		v.best = largest(v.best, v.out[int(n)*v.cols+v.axes:][:k], v.Groups[g].Size)
		sums.Compared++
		if !sameTags(v.Tags.Sets[s.Classes[v.Groups[g].First+near]], v.best, v.mark) {
			sums.Mismatch++
		}
	}
}

// judge adds up what the logits z say of a tag set. They are left as they were.
func judge[T real](s *TagSums, z []T, set []int) {
	top := z[argMax(z)]
	total := sumExp(z, top)
	least, off := math.Inf(1), T(math.Inf(-1))
	var kept [16]T
	saved := kept[:0]
	for _, k := range set {
		x := z[k]
		least = min(least, float64(x))
		s.Loss -= float64(x - top)
		s.Mass += math.Exp(float64(x-top)) / total
		saved = append(saved, x)
		z[k] = off
	}
	s.Loss += float64(len(set)) * math.Log(total)
	if other := z[argMax(z)]; least <= float64(other) {
		s.Wrong++
	}
	for i, k := range set {
		z[k] = saved[i]
	}
}

// largest lists the places of the m largest numbers in dst; of equal ones, those that come first. z is left as it was.
func largest[T real](dst []int, z []T, m int) []int {
	dst = dst[:0]
	var kept [16]T
	saved, off := kept[:0], T(math.Inf(-1))
	for range min(m, len(z)) {
		best := argMax(z)
		if !(z[best] > off) { // nothing but -Inf and NaN is left
			best = 0
			for slices.Contains(dst, best) {
				best++
			}
		}
		saved = append(saved, z[best])
		z[best] = off
		dst = append(dst, best)
	}
	for i, j := range dst {
		z[j] = saved[i]
	}
	return dst
}

// sameTags compares a set with tags in any order; is is false before and after.
func sameTags(set, tags []int, is []bool) bool {
	for _, k := range set {
		is[k] = true
	}
	same := len(set) == len(tags)
	for _, k := range tags {
		same = same && is[k]
	}
	for _, k := range set {
		is[k] = false
	}
	return same
}

// difference is row i of a batch less two vectors; it returns the sum of squares.
func difference[T real](dst []T, b *features.Batch, i int, p, mu []float64) float64 {
	d := b.Dim
	switch dst := any(dst).(type) {
	case []float64:
		if b.Float64 != nil {
			return kernel.Residual64(dst, b.Float64[i*d:(i+1)*d], p, mu)
		}
		return kernel.Residual32To64(dst, b.Float32[i*d:(i+1)*d], p, mu)
	case []float32:
		if b.Float64 != nil {
			return kernel.Residual64To32(dst, b.Float64[i*d:(i+1)*d], p, mu)
		}
		return kernel.Residual32(dst, b.Float32[i*d:(i+1)*d], p, mu)
	}
	panic("unreachable")
}

// scaled is a copy of a row, times a number.
func scaled[T real](row []T, by float64) []float32 {
	out := make([]float32, len(row))
	for j, x := range row {
		out[j] = float32(float64(x) * by)
	}
	return out
}
