package collapse

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/moments"
)

// rowSums is what scripts add up over rows one by one.
type rowSums struct {
	margin      float64
	least, most float64 // the shortest and the longest h - mu_S
	agree       int64
}

// overRows makes one more pass over the rows, in float64. Sums are formed within blocks and then in the order of the
// blocks. add is asked for once a goroutine, so that what it returns may keep scratch space.
func (i *imitation) overRows(add func() func(to *rowSums, rows []float64, labels []int64)) (rowSums, error) {
	blocks := make([]rowSums, (i.split.Rows+moments.BlockRows-1)/moments.BlockRows)
	err := moments.Scan(i.ctx, i.split, i.scan, func() moments.Visitor { return &rowVisitor{blocks: blocks, add: add()} })
	total := rowSums{least: math.Inf(1)}
	for _, b := range blocks {
		total.margin += b.margin
		total.agree += b.agree
		total.least, total.most = min(total.least, b.least), max(total.most, b.most)
	}
	return total, err
}

type rowVisitor struct {
	add    func(to *rowSums, rows []float64, labels []int64)
	blocks []rowSums
	block  *rowSums
	rows   []float64
	labels []int64
}

func (v *rowVisitor) Begin(block int) {
	v.block = &v.blocks[block]
	v.block.least = math.Inf(1)
}

func (v *rowVisitor) End() {}

func (v *rowVisitor) Rows(b *features.Batch) {
	v.rows, v.labels = resize(v.rows, b.Rows*b.Dim), v.labels[:0]
	for i := range b.Rows {
		row := v.rows[len(v.labels)*b.Dim:][:b.Dim]
		x32, x64 := rowOf(b, i)
		copy(row, x64)
		kernel.Widen(row[:len(x32)], x32)
		if !math.IsNaN(squareOf(b, i)) {
			v.labels = append(v.labels, b.Labels[i])
		}
	}
	if len(v.labels) > 0 {
		v.add(v.block, v.rows[:len(v.labels)*b.Dim], v.labels)
	}
}

// mixedMargin is the mean over rows of q_y - max_{j != y} q_j, q_k = w_k.h / (|h - mu_S| |w_k - wbar|).
func (i *imitation) mixedMargin(t *sample) (Value, error) {
	if !t.class.centred.Directed() {
		return undefined(ZeroNormWeight), nil
	}
	centre := slices.Clone(t.centre)
	kernel.Add64(centre, t.sum.Pivot)
	scaled := slices.Clone(t.class.Weights)
	for k, n := range t.class.centred.Norms() {
		kernel.Scale64(scaled[k*t.d:(k+1)*t.d], 1/n)
	}
	weights := kernel.NewPanel64(t.class.Classes, t.d, scaled, t.d)
	sums, err := i.overRows(func() func(*rowSums, []float64, []int64) {
		var scores []float64
		return func(to *rowSums, rows []float64, labels []int64) {
			k := t.class.Classes
			scores = resize(scores, len(labels)*k)
			weights.Mul(scores, k, rows, t.d, len(labels))
			for r, y := range labels {
				n := math.Sqrt(kernel.Distance64(rows[r*t.d:(r+1)*t.d], centre))
				to.least, to.most = min(to.least, n), max(to.most, n)
				z := scores[r*k : (r+1)*k]
				own := z[y]
				z[y] = math.Inf(-1)
				to.margin += (own - slices.Max(z)) / n
			}
		}
	})
	if sums.most == 0 || sums.least <= geometry.ZeroNorm*sums.most {
		return undefined(ZeroNormFeature), err
	}
	return number(sums.margin / t.n), err
}

// agreement is the share of rows where argmax_k w_k.h is the class of the nearest mean. The products are those of the rows as they
// are: for a row of zeros all are equal, and the first class has it.
func (i *imitation) agreement(t *sample) (Value, error) {
	k, d := t.class.Classes, t.d
	centre := slices.Clone(t.centre)
	kernel.Add64(centre, t.sum.Pivot)
	weights := kernel.NewPanel64(k, d, t.class.Weights, d)
	means := kernel.NewPanel64(k, d, t.means.Data, d)
	sums, err := i.overRows(func() func(*rowSums, []float64, []int64) {
		var scores []float64
		return func(to *rowSums, rows []float64, labels []int64) {
			n := len(labels)
			scores = resize(scores, 2*n*k)
			weights.Mul(scores, 2*k, rows, d, n)
			for r := range n {
				kernel.Axpy64(rows[r*d:(r+1)*d], -1, centre)
			}
			means.Mul(scores[k:], 2*k, rows, d, n)
			for r := range n {
				z := scores[2*k*r:][:2*k]
				if kernel.ArgMax64(z[:k]) == nearest(t.means, rows[r*d:(r+1)*d], z[k:]) {
					to.agree++
				}
			}
		}
	})
	return count(sums.agree, t.n), err
}

// nearest is the first of the vectors nearest to row, of which products are those with the vectors. Where the best are
// within rounding of each other distances decide.
func nearest(v *geometry.Vectors, row, products []float64) int {
	largest := 0.0
	for c := range products {
		own := v.Gram()[c*v.K+c]
		products[c] -= own / 2
		largest = max(largest, own)
	}
	at := kernel.ArgMax64(products)
	square := kernel.SumSquares64(row)
	enough := products[at] - 4*0x1p-52*math.Sqrt(float64(v.D))*(math.Sqrt(square*largest)+largest)
	least := math.Inf(1)
	for c, p := range products {
		if p < enough {
			continue
		}
		if d := kernel.Distance64(row, v.Row(c)); d < least {
			at, least = c, d
		}
	}
	return at
}
