package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/collapse"
)

// A threshold is a condition that every result has to meet.
type threshold struct {
	text  string // as it was written
	id    string
	op    string
	limit float64
	find  func(*collapse.Result) collapse.Value
}

var thresholdForm = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(<=|>=|<|>)\s*(\S+)\s*$`)

func parseThreshold(text string) (t threshold, err error) {
	parts := thresholdForm.FindStringSubmatch(text)
	if parts == nil {
		return t, usagef("--threshold %s: wants a metric, one of < <= > >=, and a number, as in 'nc1<0.1'", text)
	}
	t = threshold{text: parts[1] + parts[2] + parts[3], id: parts[1], op: parts[2]}
	if t.limit, err = strconv.ParseFloat(parts[3], 64); err != nil || math.IsNaN(t.limit) || math.IsInf(t.limit, 0) {
		return t, usagef("--threshold %s: %s is not a number", text, parts[3])
	}
	t.find, err = quantity(t.id)
	return t, err
}

// quantity finds what a threshold is about.
func quantity(id string) (func(*collapse.Result) collapse.Value, error) {
	if strings.HasPrefix(id, levelPrefix) {
		if err := checkLevel(id); err != nil {
			return nil, err
		}
	} else if _, ok := collapse.Lookup(id); !ok {
		return nil, unknownMetric(id)
	}
	return func(r *collapse.Result) collapse.Value { return value(r, id) }, nil
}

// met reports whether a result meets the threshold, and what was found. What does not exist meets none.
func (t threshold) met(r *collapse.Result) (ok bool, found string) {
	v := t.find(r)
	if !v.Defined() {
		return false, fmt.Sprintf("undefined (%s)", v.Reason)
	}
	switch t.op {
	case "<":
		ok = v.Number < t.limit
	case "<=":
		ok = v.Number <= t.limit
	case ">":
		ok = v.Number > t.limit
	case ">=":
		ok = v.Number >= t.limit
	}
	return ok, strconv.FormatFloat(v.Number, 'g', -1, 64)
}

// value is the value of a metric, or of a number of a level, in a result.
func value(r *collapse.Result, id string) collapse.Value {
	if strings.HasPrefix(id, levelPrefix) {
		return levelValue(r, id)
	}
	if v, ok := r.Metrics[id]; ok {
		return v
	}
	return collapse.Value{Reason: collapse.NotRequested}
}
