package dataset

import (
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/random"
)

// Keep is the set of some classes, which become classes 0, 1, ... in the order given; both splits lose the others' rows.
func (s *Set) Keep(classes ...int) (*Set, error) {
	to := make([]int32, len(s.Classes))
	for i := range to {
		to[i] = -1
	}
	names := make([]string, len(classes))
	for i, c := range classes {
		if c < 0 || c >= len(to) || to[c] >= 0 {
			return nil, fmt.Errorf("classes to keep: class %d, expected different ones from 0 to %d", c, len(to)-1)
		}
		to[c], names[i] = int32(i), s.Classes[c]
	}
	if err := s.single("classes to keep"); err != nil {
		return nil, err
	}
	kept := *s
	kept.Classes = names
	for _, p := range []*Split{&kept.Train, &kept.Test} {
		var rows []int32
		for i, c := range p.Labels {
			if to[c] >= 0 {
				rows = append(rows, int32(i))
			}
		}
		*p = p.pick(rows, s.Shape.Size())
		for i, c := range p.Labels {
			p.Labels[i] = to[c]
		}
	}
	return &kept, nil
}

// FirstPerClass is the set with the first n training rows of each class, in the order of the file; a class that has fewer
// keeps them all.
func (s *Set) FirstPerClass(n int) (*Set, error) {
	counts := make([]int, len(s.Classes))
	for i := range counts {
		counts[i] = n
	}
	return s.first("samples per class", counts, false)
}

// Balanced is the set with n training rows of each class, drawn at random, in the order of the file. n = 0 is as many
// as the smallest class has.
func (s *Set) Balanced(n int, seed uint64) (*Set, error) {
	if err := s.single("balanced subset"); err != nil {
		return nil, err
	}
	counts := s.Counts()
	least := slices.Min(counts)
	if n == 0 {
		n = least
	}
	if n < 1 || n > least {
		return nil, fmt.Errorf("balanced subset: %d rows of each class, expected 1 to %d: class %s has no more", n, least, s.Classes[slices.Index(counts, least)])
	}
	byClass := make([][]int32, len(counts))
	for i, c := range s.Train.Labels {
		byClass[c] = append(byClass[c], int32(i))
	}
	var rows []int32
	for c, all := range byClass {
		random.New(seed, streamBalanced, uint64(c)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		rows = append(rows, all[:n]...)
	}
	slices.Sort(rows)
	return s.withTrain(rows), nil
}

// StepImbalance is the set with the first n training rows of each of the first majority classes and the first n/ratio
// (rounded, at least 1) of each other one: K_A majority classes with n_A = n and K_B minority classes with n_B = n/R of Fang, He, Long
// and Su (2021). The test rows stay as they are.
func (s *Set) StepImbalance(majority, n int, ratio float64) (*Set, error) {
	if majority < 1 || majority >= len(s.Classes) || n < 1 || !(ratio >= 1) {
		return nil, fmt.Errorf("step imbalance: %d majority classes of %d rows, ratio %g; expected 1 to %d classes, at least 1 row, a ratio of at least 1", majority, n, ratio, len(s.Classes)-1)
	}
	counts := make([]int, len(s.Classes))
	for c := range counts {
		counts[c] = n
		if c >= majority {
			counts[c] = max(1, int(math.Round(float64(n)/ratio)))
		}
	}
	return s.first("step imbalance", counts, true)
}

// LongTail is the set with the first n ratio^(-k/(K-1)) training rows (rounded down, at least 1) of class k: the exponential
// profile of Cui, Jia, Lin, Song and Belongie (2019), from n rows to n/ratio. The test rows stay as they are.
func (s *Set) LongTail(n int, ratio float64) (*Set, error) {
	k := len(s.Classes)
	if k < 2 || n < 1 || !(ratio >= 1) {
		return nil, fmt.Errorf("long tail: %d rows, ratio %g in %d classes; expected at least 1 row, a ratio of at least 1, 2 classes", n, ratio, k)
	}
	counts := make([]int, k)
	for c := range counts {
		rows := float64(n) * math.Pow(ratio, -float64(c)/float64(k-1))
		counts[c] = max(1, int(rows*(1+1e-12))) // 5000/100 is 50, not 49.999...
	}
	return s.first("long tail", counts, true)
}

// first keeps the first rows of each class; whole refuses classes that have too few.
func (s *Set) first(what string, counts []int, whole bool) (*Set, error) {
	if err := s.single(what); err != nil {
		return nil, err
	}
	have := s.Counts()
	for c, n := range counts {
		if n < 1 || whole && n > have[c] {
			return nil, fmt.Errorf("%s: %d rows of class %s, expected 1 to %d", what, n, s.Classes[c], have[c])
		}
	}
	taken := make([]int, len(counts))
	var rows []int32
	for i, c := range s.Train.Labels {
		if taken[c] < counts[c] {
			taken[c]++
			rows = append(rows, int32(i))
		}
	}
	return s.withTrain(rows), nil
}

// RandomLabels is the set with the labels of round(p N) training rows, chosen at random, permuted among themselves. Class counts
// stay as they are; with p = 1 all labels are permuted, and nothing is left to learn but the rows themselves (Zhang,
// Bengio, Hardt, Recht and Vinyals 2017). A permuted label may be the old one: about 1 in K is.
func (s *Set) RandomLabels(p float64, seed uint64) (*Set, error) {
	if err := s.single("random labels"); err != nil {
		return nil, err
	}
	if !(p >= 0 && p <= 1) {
		return nil, fmt.Errorf("random labels: rate %g, expected 0 to 1", p)
	}
	n := s.Train.Rows
	rows := random.New(seed, streamLabels, 0).Perm(n)[:int(math.Round(p*float64(n)))]
	changed := *s
	changed.Train.Labels = slices.Clone(s.Train.Labels)
	for i, from := range random.New(seed, streamLabels, 1).Perm(len(rows)) {
		changed.Train.Labels[rows[i]] = s.Train.Labels[rows[from]]
	}
	return &changed, nil
}

// single refuses rows with several tags.
func (s *Set) single(what string) error {
	if s.Train.Tags != nil {
		return fmt.Errorf("%s: goes by classes; the rows of %s have tags", what, s.Name)
	}
	return nil
}

// withTrain is the set with some of its training rows.
func (s *Set) withTrain(rows []int32) *Set {
	t := *s
	t.Train = s.Train.pick(rows, s.Shape.Size())
	return &t
}

// pick copies some rows.
func (p *Split) pick(rows []int32, size int) Split {
	t := Split{Rows: len(rows)}
	t.Pixels = pickRows(p.Pixels, rows, size)
	t.Values = pickRows(p.Values, rows, size)
	t.Labels = pickRows(p.Labels, rows, 1)
	if p.Tags != nil && p.Rows > 0 {
		t.Tags = pickRows(p.Tags, rows, len(p.Tags)/p.Rows)
	}
	return t
}

func pickRows[T any](from []T, rows []int32, size int) []T {
	if from == nil {
		return nil
	}
	to := make([]T, 0, len(rows)*size)
	for _, row := range rows {
		to = append(to, from[int(row)*size:(int(row)+1)*size]...)
	}
	return to
}
