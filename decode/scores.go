package decode

import (
	"cmp"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/parallel"
)

// Sets scores predicted tag sets against the true ones, over n rows of K tags. TP, FP, FN are counts.
type Sets struct {
	ExactMatch  float64 `json:"exact_match"`         // share of rows that agree
	HammingLoss float64 `json:"hamming_loss"`        // share of the n K entries that differ
	IoU         float64 `json:"iou"`                 // mean |P & S| / |P | S|; both empty: 1
	F1Sample    float64 `json:"f1_sample"`           // mean of a row's 2 TP/(2 TP + FP + FN); 0/0: 1
	F1Micro     float64 `json:"f1_micro"`            // the same of all entries
	F1Macro     float64 `json:"f1_macro"`            // mean of the same by tag, tags with 0/0 left out
	LeftOut     int     `json:"f1_macro_left_out"`   // how many these are
	RightSize   float64 `json:"right_size"`          // share of rows with as many tags
	Empty       int     `json:"n_empty_predictions"` // rows for which no tag is predicted
}

// A Tally counts predicted tag sets against the true ones.
type Tally struct {
	sums       Sets
	rows       int
	wrong      int
	tp, fp, fn []int // by tag
}

// NewTally returns a tally of k tags and no rows.
func NewTally(k int) *Tally {
	return &Tally{tp: make([]int, k), fp: make([]int, k), fn: make([]int, k)}
}

// ratio is a/b, and 1 for 0/0.
func ratio(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

// Add counts a row: what was predicted, and its tags. Both are increasing.
func (t *Tally) Add(predicted, truth []int) {
	s, both := &t.sums, 0
	for _, tag := range predicted {
		if _, ok := slices.BinarySearch(truth, tag); ok {
			both++
			t.tp[tag]++
		} else {
			t.fp[tag]++
		}
	}
	for _, tag := range truth {
		if _, ok := slices.BinarySearch(predicted, tag); !ok {
			t.fn[tag]++
		}
	}
	differ := len(predicted) + len(truth) - 2*both
	t.rows++
	t.wrong += differ
	s.IoU += ratio(both, len(predicted)+len(truth)-both)
	s.F1Sample += ratio(2*both, len(predicted)+len(truth))
	if differ == 0 {
		s.ExactMatch++
	}
	if len(predicted) == len(truth) {
		s.RightSize++
	}
	if len(predicted) == 0 {
		s.Empty++
	}
}

// Sets are the scores of the rows so far, of which there must be one.
func (t *Tally) Sets() Sets {
	s, k := t.sums, len(t.tp)
	var hits, all int
	for tag := range k {
		of := 2*t.tp[tag] + t.fp[tag] + t.fn[tag]
		hits, all = hits+2*t.tp[tag], all+of
		if of == 0 {
			s.LeftOut++
			continue
		}
		s.F1Macro += ratio(2*t.tp[tag], of)
	}
	n := float64(t.rows)
	s.ExactMatch, s.RightSize, s.IoU, s.F1Sample = s.ExactMatch/n, s.RightSize/n, s.IoU/n, s.F1Sample/n
	s.HammingLoss = float64(t.wrong) / (n * float64(k))
	s.F1Micro = ratio(hits, all)
	if s.LeftOut < k {
		s.F1Macro /= float64(k - s.LeftOut)
	}
	return s
}

// Ranking scores the logits of n rows themselves. The first two and OneError are means over rows with tags, the maps over tags
// that occur, the others over all rows. Ties count against.
type Ranking struct {
	Mass       float64 `json:"mass_on_tags"` // of the softmax
	SoftIoU    float64 `json:"soft_iou"`     // sum_k min(p, y/m) / sum_k max(p, y/m)
	MapLogit   float64 `json:"map_logit"`    // mean average precision, rows ranked by the logit of a tag
	MapSoftmax float64 `json:"map_softmax"`  // by its probability
	Coverage   float64 `json:"coverage"`     // worst rank of a tag, from 0; no tags: 0
	Loss       float64 `json:"ranking_loss"` // share of pairs of a tag and another one with z_k <= z_l; no pairs: 0
	OneError   float64 `json:"one_error"`    // whether one of the tags with the largest logit is wrong
	LRAP       float64 `json:"lrap"`         // mean over tags of |{j in S: z_j >= z_k}| / rank_k; no pairs: 1
}

// Rank scores logits, n x k, against the true tag sets, of which one at least has a tag.
func Rank(z []float64, truth [][]int, k int) Ranking {
	var r Ranking
	n := len(truth)
	p := make([]float64, len(z))
	is := make([]bool, k)
	withTags := 0.0
	for i, set := range truth {
		row, soft := z[i*k:(i+1)*k], p[i*k:(i+1)*k]
		lse := logSumExp(row, slices.Max(row))
		for j, x := range row {
			soft[j] = math.Exp(x - lse)
		}
		for _, tag := range set {
			is[tag] = true
		}
		r.add(row, soft, set, is)
		for _, tag := range set {
			is[tag] = false
		}
		if len(set) > 0 {
			withTags++
		}
	}
	r.Mass, r.SoftIoU, r.OneError = r.Mass/withTags, r.SoftIoU/withTags, r.OneError/withTags
	rows := float64(n)
	r.Coverage, r.Loss, r.LRAP = r.Coverage/rows, r.Loss/rows, r.LRAP/rows
	r.MapLogit, r.MapSoftmax = meanPrecision(z, truth, k), meanPrecision(p, truth, k)
	return r
}

// add counts a row.
func (r *Ranking) add(z, p []float64, set []int, is []bool) {
	k, m := len(z), len(set)
	if m == 0 {
		r.LRAP++
		return
	}
	share := 1 / float64(m)
	top, lower, upper := slices.Max(z), 0.0, 0.0
	for j := range z {
		y := 0.0
		if is[j] {
			y = share
			r.Mass += p[j]
		}
		lower, upper = lower+min(p[j], y), upper+max(p[j], y)
	}
	r.SoftIoU += lower / upper
	for j := range z {
		if z[j] == top && !is[j] {
			r.OneError++
			break
		}
	}
	worst, pairs, precision := 0, 0, 0.0
	for _, tag := range set {
		rank, inside := 0, 0
		for j, x := range z {
			if x >= z[tag] {
				rank++
				if is[j] {
					inside++
				}
			}
		}
		worst = max(worst, rank)
		pairs += rank - inside
		precision += float64(inside) / float64(rank)
	}
	r.Coverage += float64(worst - 1)
	if m == k {
		r.LRAP++
		return
	}
	r.Loss += float64(pairs) / float64(m*(k-m))
	r.LRAP += precision * share
}

// meanPrecision is the mean over the tags that occur of average precision: rows of one score enter together.
func meanPrecision(scores []float64, truth [][]int, k int) float64 {
	rows := make([][]int, k)
	for i, set := range truth {
		for _, tag := range set {
			rows[tag] = append(rows[tag], i)
		}
	}
	precision := make([]float64, k)
	columns := make([][]scored, parallel.Workers())
	parallel.For(k, func(w, tag int) {
		if len(rows[tag]) == 0 {
			return
		}
		if columns[w] == nil {
			columns[w] = make([]scored, len(truth))
		}
		precision[tag] = averagePrecision(columns[w], scores, rows[tag], tag, k)
	})
	sum, tags := 0.0, 0.0
	for tag, p := range precision {
		if len(rows[tag]) > 0 {
			sum, tags = sum+p, tags+1
		}
	}
	return sum / tags
}

// scored is a row's score for a tag, and whether it has the tag.
type scored struct {
	score float64
	has   bool
}

// averagePrecision is that of one tag, which the rows given have.
func averagePrecision(column []scored, scores []float64, with []int, tag, k int) float64 {
	sum := 0.0
	for i := range column {
		column[i] = scored{score: scores[i*k+tag]}
	}
	for _, i := range with {
		column[i].has = true
	}
	slices.SortFunc(column, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	hits, before := 0, 0
	for i, row := range column {
		if row.has {
			hits++
		}
		if i+1 == len(column) || column[i+1].score != row.score {
			sum += float64(hits-before) * float64(hits) / float64(i+1)
			before = hits
		}
	}
	return sum / float64(len(with))
}
