package main

import (
	"strconv"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/decode"
)

// writePredictions prints how well each rule finds the tag sets of each split.
func writePredictions(p *page, results []*collapse.Result) {
	for _, r := range results {
		if r.Predict == nil {
			continue
		}
		t := table{indent: 2, columns: []alignment{left, point, point, point, point, point, point, right, left}}
		t.head(heads(bold, "rule", "exact", "iou", "f1 row", "f1 micro", "f1 macro", "right size", "empty", "")...)
		share := func(v float64) cell { return text(number(v, 4)) }
		for _, rule := range append(decode.Rules(), decode.Others()...) {
			s, ok := r.Predict.Rules[rule.Name]
			if !ok {
				continue
			}
			t.add(text(rule.Name), share(s.ExactMatch), share(s.IoU), share(s.F1Sample), share(s.F1Micro), share(s.F1Macro), share(s.RightSize),
				text(strconv.Itoa(s.Empty)), cell{rule.Text, dim})
		}
		p.WriteByte('\n')
		title := "Predicted tag sets, " + columnName(r) + " rows"
		if r.Predict.Unseen > 0 {
			title += " (" + plural(r.Predict.Unseen, "row") + " with a tag set that no training row has)"
		}
		p.printf("%s\n", p.styled(cyan, clean(title)))
		hidden := t.fit(p)
		t.write(p)
		if len(hidden) > 0 {
			p.wrapped(dim, 2, "  a wider terminal or --json shows more")
		}
		k := r.Predict.Ranking
		p.wrapped(plain, 2, "  ranking: "+"average precision "+number(k.MapLogit, 4)+" by logits, "+number(k.MapSoftmax, 4)+" by softmax; coverage "+number(k.Coverage, 4)+
			"; ranking loss "+number(k.Loss, 4)+"; one-error "+number(k.OneError, 4)+"; label ranking precision "+number(k.LRAP, 4))
	}
}
