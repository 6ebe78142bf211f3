package ufm

import (
	"bytes"
	"encoding/json"
	"math"
)

// Report is the answer to a Spec. A part that does not exist is nil.
type Report struct {
	Problem string
	Params  Fields
	// ClosedForm holds what formulas and scalar roots give, with "theorem" and "proved".
	ClosedForm Fields
	// Solved holds what iteration gives, with "status", "iterations", "gradient_norm", "seeds".
	Solved Fields
	// NotSolved says why Solved is nil: "not_requested" or "nothing_to_solve".
	NotSolved string
	// Certificate holds what bounds the optimum: "global", "spectral_norm", "threshold", "lower_bound", "gap".
	Certificate Fields
	// Saddle is a critical point that is not global, and the way out of it; see Options.ExplainSaddle.
	Saddle Fields
	// Metrics are those of collapse at the optimum, by their ids.
	Metrics Fields
	// Model is the problem that was, or could be, searched; nil where there is nothing to search.
	Model *Problem
	// Words tell the answer to a person, a sentence each.
	Words []string
}

// Fields are named values in a stable order. A value is a number, a string, a bool, nil, a list, or Fields; NaN and
// infinities are null in JSON, as nil is.
type Fields []Field

// Field is a named value.
type Field struct {
	Name  string
	Value any
}

// Add appends a value.
func (f *Fields) Add(name string, value any) { *f = append(*f, Field{name, value}) }

// Get returns the value of a name.
func (f Fields) Get(name string) (value any, ok bool) {
	for _, field := range f {
		if field.Name == name {
			return field.Value, true
		}
	}
	return nil, false
}

// Number returns the number of a name, NaN where there is none.
func (f Fields) Number(name string) float64 {
	value, _ := f.Get(name)
	switch v := value.(type) {
	case float64:
		return v
	case int:
		return float64(v)
	}
	return math.NaN()
}

// MarshalJSON writes an object, in order.
func (f Fields) MarshalJSON() ([]byte, error) {
	if f == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, field := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(field.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(finite(field.Value))
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// finite replaces what JSON has no number for by nil.
func finite(value any) any {
	switch v := value.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
	case []float64:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = finite(x)
		}
		return out
	case [][]float64:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = finite(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = finite(x)
		}
		return out
	}
	return value
}
