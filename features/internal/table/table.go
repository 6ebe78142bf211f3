// Package table says how the columns of a table (CSV, Parquet) become arrays.
package table

import (
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
)

// A Group is an array made of columns: one column as it is, or several side by side.
type Group struct {
	Name    string
	Columns []int
	Joined  bool // rows x columns, also where there is one column
}

// labels are the names of columns that hold classes.
var labels = []string{"label", "labels", "y", "target", "tags"}

// IsLabel tells whether a column holds the labels of the rows.
func IsLabel(name string, o array.Options) bool {
	return name == o.Labels || o.Labels == "" && o.LabelColumns == "" && slices.Contains(labels, name)
}

// Groups puts columns of numbers, given by their names, together: the label columns apart, the
// others side by side as "features", or every one apart. With LabelColumns set the first or last
// of all are joined as "labels".
func Groups(names []string, apart bool, o array.Options) ([]Group, error) {
	lo, hi, err := labelColumns(o.LabelColumns, len(names))
	if err != nil {
		return nil, err
	}
	var groups []Group
	var rest []int
	for i, name := range names {
		label := IsLabel(name, o)
		switch {
		case i >= lo && i < hi:
		case label || apart || name == o.Features:
			groups = append(groups, Group{name, []int{i}, false})
		default:
			rest = append(rest, i)
		}
	}
	if lo < hi {
		joined := make([]int, hi-lo)
		for i := range joined {
			joined[i] = lo + i
		}
		groups = append(groups, Group{"labels", joined, true})
	}
	if len(rest) > 0 {
		groups = append(groups, Group{"features", rest, true})
	}
	seen := map[string]bool{}
	for _, g := range groups {
		if seen[g.Name] {
			return nil, array.Errorf(array.Inconsistent, g.Name, "a single column has the name of the columns that are joined")
		}
		seen[g.Name] = true
	}
	return groups, nil
}

// labelColumns is the range of columns that "first:L" or "last:L" means.
func labelColumns(s string, columns int) (lo, hi int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	side, count, _ := strings.Cut(s, ":")
	n, bad := strconv.Atoi(count)
	if bad != nil || n < 1 || side != "first" && side != "last" {
		return 0, 0, array.Errorf(array.Inconsistent, "", "label columns %.40q: first:L or last:L was expected, e.g. last:20", s)
	}
	if n > columns {
		return 0, 0, array.Errorf(array.Inconsistent, "", "label columns %s: the table has %d columns of numbers", s, columns)
	}
	if side == "first" {
		return 0, n, nil
	}
	return columns - n, columns, nil
}

// Free says whether the name of an array is taken already: by a column that is refused, which is
// then the complaint, or by another one.
func Free(infos []array.Info, name string) error {
	for _, a := range infos {
		switch {
		case a.Name == name && a.Refused != nil:
			return a.Refused
		case a.Name == name:
			return array.Errorf(array.Inconsistent, name, "a column has the name of the columns that are joined")
		}
	}
	return nil
}

// DType is the element type of columns side by side.
func DType(types []array.DType) array.DType {
	same, integer := true, true
	for _, t := range types {
		same = same && t == types[0]
		integer = integer && t.IsInteger() && t != array.Uint64
	}
	switch {
	case same:
		return types[0]
	case integer:
		return array.Int64
	}
	return array.Float64
}
