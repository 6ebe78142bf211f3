package moments

import (
	"context"
	"math"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/kernel"
)

// TagPlan is what a second pass over rows with tag sets measures against. The classes of its summary are places in
// Tags.Sets, so that the tag sets of one multiplicity stand together; Groups has one part for each multiplicity.
type TagPlan struct {
	Summary *Summary
	Tags    *features.Tags
	Groups  []TagGroup
	Centre  []float64 // d, less the pivot: what rows are taken about for products with means and weights
	Weights []float64 // K x d, w_k less the mean row; nil without a classifier
	Offset  []float64 // K, logits at the centre, up to a constant
	Every   int       // only one row of so many is compared with the means of its multiplicity
	Double  bool      // products in float64, else in float32
}

// TagGroup is one multiplicity.
type TagGroup struct {
	Size        int       // m
	First, Sets int       // classes of the summary from First on
	Axes        []float64 // rows x d, unit vectors: squares of residuals are added up along them
}

// TagSums are the sums of one multiplicity.
type TagSums struct {
	Rows     int64
	Squares  []float64 // per axis, sum of (a.(h - mu_S))^2
	Loss     float64   // of pick-all-label cross-entropy
	Wrong    int64     // rows with a tag whose logit is not above all others
	Mass     float64   // of the softmax on the tags
	Overlap  float64   // sum_k min(p, y/m) / sum_k max(p, y/m)
	Compared int64     // rows compared with the means of their multiplicity
	Mismatch int64     // of these, rows whose nearest mean is not that of their m largest logits
}

func (s *TagSums) add(o *TagSums) {
	s.Rows += o.Rows
	kernel.Add64(s.Squares, o.Squares)
	s.Loss += o.Loss
	s.Wrong += o.Wrong
	s.Mass += o.Mass
	s.Overlap += o.Overlap
	s.Compared += o.Compared
	s.Mismatch += o.Mismatch
}

// Collect makes the pass over a split and returns the sums of each group. They do not depend on the number of workers.
func (p *TagPlan) Collect(ctx context.Context, split *features.Split, o ScanOptions) ([]TagSums, error) {
	if p.Double {
		return collectTags[float64](ctx, p, split, o)
	}
	return collectTags[float32](ctx, p, split, o)
}

func collectTags[T real](ctx context.Context, p *TagPlan, split *features.Split, o ScanOptions) ([]TagSums, error) {
	bench := newTagBench[T](p)
	sums := forest[[]TagSums]{merge: func(a, b []TagSums) []TagSums {
		for i := range a {
			a[i].add(&b[i])
		}
		return a
	}}
	err := Scan(ctx, split, o, func() Visitor { return &tagVisitor[T]{tagBench: bench, to: &sums} })
	if err != nil {
		return nil, err
	}
	total := p.empty()
	for _, part := range sums.parts() {
		for i := range total {
			total[i].add(&part.sum[i])
		}
	}
	return total, nil
}

func (p *TagPlan) empty() []TagSums {
	out := make([]TagSums, len(p.Groups))
	for i, g := range p.Groups {
		out[i].Squares = make([]float64, len(g.Axes)/p.Summary.Dim)
	}
	return out
}

// tagBench is the plan laid out for the rows.
type tagBench[T real] struct {
	*TagPlan
	d      int
	class  []int32 // by label: class of the summary, -1 where no row of it was finite
	group  []int32 // by label: its multiplicity's
	groups []tagOperands[T]
	offset []T
}

// tagOperands are the right operands of one multiplicity.
type tagOperands[T real] struct {
	axes     product[T]
	axesCols int
	other    product[T] // rows of the classifier, then means less the centre
	cols     int
	half     []T // |mean|^2/2
}

func newTagBench[T real](p *TagPlan) *tagBench[T] {
	s := p.Summary
	b := &tagBench[T]{TagPlan: p, d: s.Dim, class: make([]int32, len(p.Tags.Sets)), group: make([]int32, len(p.Tags.Sets)), offset: convert[T](p.Offset)}
	for i := range b.class {
		b.class[i] = -1
	}
	for g, group := range p.Groups {
		var o tagOperands[T]
		if len(group.Axes) > 0 {
			o.axes, o.axesCols = newProduct[T](b.d, group.Axes)
		}
		means := make([]float64, group.Sets*b.d)
		half := make([]float64, group.Sets)
		for i := range group.Sets {
			c := group.First + i
			b.class[s.Classes[c]], b.group[s.Classes[c]] = int32(c), int32(g)
			half[i] = kernel.Diff64(means[i*b.d:(i+1)*b.d], s.Mean[c*b.d:(c+1)*b.d], p.Centre) / 2
		}
		if p.Weights != nil && group.Size > 0 {
			o.half = convert[T](half)
			o.other, o.cols = newProduct[T](b.d, p.Weights, means)
		}
		b.groups = append(b.groups, o)
	}
	return b
}

// tagVisitor sorts the rows of a block by multiplicity and adds up.
type tagVisitor[T real] struct {
	*tagBench[T]
	to    *forest[[]TagSums]
	sums  []TagSums
	block int

	rows     [][]int32 // by group, rows of the batch
	left     []T
	out      []T
	exp      []float64
	best     []int // tags of the largest logits
	is, mark []bool
}

func (v *tagVisitor[T]) Begin(block int) {
	v.block, v.sums = block, v.empty()
	if v.rows == nil {
		v.rows = make([][]int32, len(v.Groups))
		v.exp, v.is, v.mark = make([]float64, v.Tags.Count), make([]bool, v.Tags.Count), make([]bool, v.Tags.Count)
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
	for g, rows := range v.rows {
		if len(rows) > 0 {
			v.spread(b, g, rows)
			if v.groups[g].other != nil {
				v.decide(b, g, rows)
			}
		}
	}
}

// spread adds up squares of residuals along the axes.
func (v *tagVisitor[T]) spread(b *features.Batch, g int, rows []int32) {
	o, s := &v.groups[g], v.Summary
	v.left = resize(v.left, len(rows)*v.d)
	n := 0
	for _, i := range rows {
		c := int(v.class[b.Labels[i]])
		sq := difference(v.left[n*v.d:(n+1)*v.d], b, int(i), s.Pivot, s.Mean[c*v.d:(c+1)*v.d])
		if math.IsNaN(sq) || math.IsInf(sq, 0) {
			continue // the first pass left it out
		}
		n++
	}
	v.sums[g].Rows += int64(n)
	if o.axes == nil || n == 0 {
		return
	}
	v.out = resize(v.out, n*o.axesCols)
	o.axes.Mul(v.out, o.axesCols, v.left, v.d, n)
	sums := v.sums[g].Squares
	for i := range n {
		for j, t := range v.out[i*o.axesCols:][:len(sums)] {
			sums[j] += float64(t) * float64(t)
		}
	}
}

// decide looks at the logits of the rows, and at the means that they are near to.
func (v *tagVisitor[T]) decide(b *features.Batch, g int, rows []int32) {
	o, s, k := &v.groups[g], v.Summary, v.Tags.Count
	v.left = resize(v.left, len(rows)*v.d)
	kept := rows[:0]
	for _, i := range rows {
		n := len(kept)
		sq := difference(v.left[n*v.d:(n+1)*v.d], b, int(i), s.Pivot, v.Centre)
		if math.IsNaN(sq) || math.IsInf(sq, 0) {
			continue
		}
		kept = append(kept, i)
	}
	if len(kept) == 0 {
		return
	}
	v.out = resize(v.out, len(kept)*o.cols)
	o.other.Mul(v.out, o.cols, v.left, v.d, len(kept))
	sums := &v.sums[g]
	for n, i := range kept {
		row := v.out[n*o.cols:]
		z := row[:k]
		for j := range z {
			z[j] += v.offset[j]
		}
		v.judge(sums, z, v.Tags.Sets[b.Labels[i]])
		if (b.First+int(i))%v.Every != 0 {
			continue
		}
		near, most := 0, T(math.Inf(-1))
		for j, h := range o.half {
			if score := row[k+j] - h; score > most {
				near, most = j, score
			}
		}
		v.best = Largest(v.best, z, v.Groups[g].Size, v.mark)
		set := v.Tags.Sets[s.Classes[v.Groups[g].First+near]]
		sums.Compared++
		if !sameTags(set, v.best, v.is) {
			sums.Mismatch++
		}
	}
}

// judge adds up what the logits z say of a tag set.
func (v *tagVisitor[T]) judge(s *TagSums, z []T, set []int) {
	top := z[0]
	for _, x := range z {
		top = max(top, x)
	}
	total := 0.0
	for j, x := range z {
		v.exp[j] = math.Exp(float64(x - top))
		total += v.exp[j]
	}
	lse := math.Log(total)
	for _, k := range set {
		v.is[k] = true
	}
	m := float64(len(set))
	least, other := math.Inf(1), math.Inf(-1)
	mass, lower, upper := 0.0, 0.0, 0.0
	for j, x := range z {
		p := v.exp[j] / total
		if v.is[j] {
			least = min(least, float64(x))
			mass += p
			lower, upper = lower+min(p, 1/m), upper+max(p, 1/m)
			s.Loss += lse - float64(x-top)
		} else {
			other = max(other, float64(x))
			upper += p
		}
	}
	for _, k := range set {
		v.is[k] = false
	}
	if least <= other {
		s.Wrong++
	}
	s.Mass += mass
	s.Overlap += lower / upper
}

// Largest lists the places of the m largest numbers in dst; of equal ones, those that come first. mark has the length of z,
// and is false before and after. It takes time m len(z).
func Largest[T real](dst []int, z []T, m int, mark []bool) []int {
	dst = dst[:0]
	for range min(m, len(z)) {
		best := -1
		for j, x := range z {
			if !mark[j] && (best < 0 || x > z[best]) {
				best = j
			}
		}
		mark[best] = true
		dst = append(dst, best)
	}
	for _, j := range dst {
		mark[j] = false
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
