package collapse

import (
	"fmt"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/moments"
)

// rare is what --min-count left out.
type rare struct {
	sets, of int
	rows     int64
}

// leaveOut takes tag sets with fewer than least rows out of a summary: they are then as if no row had them. Rows without tags stay.
func leaveOut(sum *moments.Summary, tags *features.Tags, least int) (kept *moments.Summary, out rare) {
	k := &moments.Summary{Dim: sum.Dim, Pivot: sum.Pivot}
	for i, c := range sum.Classes {
		if len(tags.Sets[c]) > 0 {
			out.of++
			if sum.Count[i] < int64(least) {
				out.sets++
				out.rows += sum.Count[i]
				continue
			}
		}
		d := sum.Dim
		k.Rows += sum.Count[i]
		k.Classes = append(k.Classes, c)
		k.Count = append(k.Count, sum.Count[i])
		k.Zero = append(k.Zero, sum.Zero[i])
		k.Scatter = append(k.Scatter, sum.Scatter[i])
		k.Square = append(k.Square, sum.Square[i])
		k.Mean = append(k.Mean, sum.Mean[i*d:(i+1)*d]...)
		k.Unit = append(k.Unit, sum.Unit[i*d:(i+1)*d]...)
	}
	if out.sets == 0 {
		return sum, out
	}
	return k, out
}

// common leaves rare tag sets out of the first pass over a split, where that is wanted.
func (m *measurement) common(split *features.Split, array string, sum *moments.Summary) (*moments.Summary, error) {
	if split.Tags == nil || m.opts.MinCount < 2 {
		return sum, nil
	}
	kept, out := leaveOut(sum, split.Tags, m.opts.MinCount)
	if out.sets == out.of {
		return nil, &features.Error{File: m.set.Source, Array: array, Kind: features.Empty, Message: fmt.Sprintf("none of %s has %d rows", plural(out.of, "tag set", "tag sets"), m.opts.MinCount)}
	}
	if m.rare == nil {
		m.rare = map[*features.Split]rare{}
	}
	m.rare[split] = out
	return kept, nil
}

// sayRare warns of what was left out.
func (m *measurement) sayRare(r *Result, split *features.Split) {
	if out := m.rare[split]; out.sets > 0 {
		r.warn("rare_tag_sets", out.sets, nil, "%d of %s with fewer than %d rows left out, with %s", out.sets, plural(out.of, "tag set", "tag sets"), m.opts.MinCount, plural(int(out.rows), "row", "rows"))
	}
}
