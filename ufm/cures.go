package ufm

import (
	"context"
	"fmt"
	"math"
)

var cureQuestions = []Question{
	{"imbalance_cures", "what is done against imbalance, side by side: layer-peeled model", "K_A K_B n_A n_B E_W E_H", curesWithin},
	{"imbalance_cures_decay", "what is done against imbalance, side by side: cross-entropy with decay", "K_A K_B n_A n_B lambda_W lambda_H", curesWithDecay},
}

// A cure changes what classes of two sizes weigh in the loss, in the norm, or what is added to their logits in the loss.
type cure struct {
	name, words string
	groups      [2]classGroup
}

// cures lists what is done against imbalance, nothing first. scale is sqrt n of each size with decays, 1 without.
func cures(ka, kb, na, nb int, scale func(n float64) float64) []cure {
	k, a, b := float64(ka+kb), float64(na), float64(nb)
	total := float64(ka)*a + float64(kb)*b
	groups := func(wa, wb, na, nb float64) [2]classGroup {
		return [2]classGroup{{classes: ka, weight: wa, scale: scale(na)}, {classes: kb, weight: wb, scale: scale(nb)}}
	}
	adjusted := groups(a/total, b/total, a, b)
	adjusted[0].offset, adjusted[1].offset = math.Log(a/total), math.Log(b/total)
	return []cure{
		{"none", "the loss as it is", groups(a/total, b/total, a, b)},
		{"class_weights", "every class weighs the same", groups(1/k, 1/k, a, b)},
		{"oversampling", "small classes repeated, with features of their own, to the size of the large ones", groups(1/k, 1/k, a, a)},
		{"undersampling", "large classes cut to the size of the small ones", groups(1/k, 1/k, b, b)},
		{"logit_adjustment", "ln of the share of its samples added to each logit in the loss (Menon et al. 2021)", adjusted},
	}
}

func (p *params) twoClassSizes() (ka, kb, na, nb int) {
	ka, kb, na, nb = p.count("K_A"), p.count("K_B"), p.count("n_A"), p.count("n_B")
	if na < nb {
		p.fail("n_A", "%d, wanted at least n_B, %d: A are the larger classes", na, nb)
	}
	return ka, kb, na, nb
}

// describe is the row of a cure: what it leads to.
func (c cure) describe(o *groupOptimum, kw, kh float64) (Fields, error) {
	row := Fields{{"cure", c.name}, {"balanced_loss", o.balancedLoss()}, {"minority_collapse", o.groups[1].classes > 1 && o.within[1] == 0}}
	err := row.addGroups(o, kw, kh, exact)
	return row, err
}

// balancedLoss is the mean over the classes of the cross-entropy of the plain logits, as they are used on new samples.
func (o *groupOptimum) balancedLoss() float64 {
	plain := *o
	plain.groups = append([]classGroup(nil), o.groups...)
	classes := 0.0
	for g := range plain.groups {
		plain.groups[g].offset = 0
		classes += float64(plain.groups[g].classes)
	}
	loss := 0.0
	for g, gg := range plain.groups {
		own, _ := plain.probabilities(g)
		loss -= float64(gg.classes) / classes * math.Log(own)
	}
	return loss
}

func curesWithin(_ context.Context, p *params, _ Options) (*Report, error) {
	ka, kb, na, nb := p.twoClassSizes()
	ew, eh := p.energies()
	if err := p.done(); err != nil {
		return nil, err
	}
	k := float64(ka + kb)
	budget := k * math.Sqrt(ew*eh)
	var rows []Fields
	for _, c := range cures(ka, kb, na, nb, func(float64) float64 { return 1 }) {
		best, err := twoGroupsWithin(c.groups[0], c.groups[1], budget)
		if err != nil {
			return nil, err
		}
		row, err := c.describe(&best, k*ew/best.nuclear, k*eh/best.nuclear)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	// Dot regression on the fixed simplex: h = sqrt(E_H/E_W) w for every class, whatever the sizes (Yang et al. 2022).
	gap := math.Sqrt(ew*eh) * k / (k - 1)
	inside := func(classes int, v float64) float64 { // what exists between two classes of a size
		if classes == 1 {
			return math.NaN()
		}
		return v
	}
	alone := func(classes int) float64 {
		if classes == 1 {
			return 0
		}
		return gap
	}
	rows = append(rows, Fields{{"cure", "fixed_simplex_dot_regression"}, {"balanced_loss", math.Log1p((k - 1) * math.Exp(-gap))}, {"minority_collapse", false},
		{"gap_major", alone(ka)}, {"gap_minor", alone(kb)}, {"gap_major_to_minor", gap}, {"gap_minor_to_major", gap},
		{"w_norm_major", math.Sqrt(ew)}, {"w_norm_minor", math.Sqrt(ew)},
		{"cos_w_major", inside(ka, -1/(k-1))}, {"cos_w_minor", inside(kb, -1/(k-1))}, {"cos_w_cross", -1 / (k - 1)},
		{"h_norm_major", math.Sqrt(eh)}, {"h_norm_minor", math.Sqrt(eh)}})
	return cureReport(rows, "Energies are averaged within classes, so that weights and both ways of resampling have the same optimum here; with decay they differ."), nil
}

func curesWithDecay(_ context.Context, p *params, _ Options) (*Report, error) {
	ka, kb, na, nb := p.twoClassSizes()
	lw, lh := p.positive("lambda_W"), p.positive("lambda_H")
	if err := p.done(); err != nil {
		return nil, err
	}
	mu, kw := math.Sqrt(lw*lh), math.Sqrt(lh/lw)
	var rows []Fields
	for _, c := range cures(ka, kb, na, nb, math.Sqrt) {
		best := twoGroups(c.groups[0], c.groups[1], mu)
		row, err := c.describe(&best, kw, 1/kw)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return cureReport(rows, "Decays cost every sample, so that resampling changes what the features of a class cost together, and class weights do not."), nil
}

func cureReport(rows []Fields, note string) *Report {
	r := &Report{NotSolved: "nothing_to_solve"}
	r.ClosedForm = Fields{{"rows", rows}, {"theorem", "KKT conditions of the nuclear-norm reduction; Yang et al. 2022 (dot regression)"}, {"proved", true}}
	best := rows[0]
	for _, row := range rows {
		if row.Number("balanced_loss") < best.Number("balanced_loss") {
			best = row
		}
	}
	name, _ := best.Get("cure")
	r.Words = []string{fmt.Sprintf("With all classes weighed alike, the cross-entropy of the plain logits is lowest with %v: %.4g, against %.4g of doing nothing.", name, best.Number("balanced_loss"), rows[0].Number("balanced_loss")),
		note, "The model knows no new samples: it does not see what undersampling throws away, nor what a repeated sample cannot teach."}
	return r
}
