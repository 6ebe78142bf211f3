package ufm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/internal/suggest"
	"go.yaml.in/yaml/v3"
)

// Spec is a question: the name of a problem, and its parameters. Questions lists the names; docs/solve.md tells what
// each wants and gives. There are no defaults: a missing parameter is an error, and so is an unknown one.
type Spec struct {
	Problem string         `json:"problem" yaml:"problem"`
	Params  map[string]any `json:"params" yaml:"params"`
}

// Question is a problem that a Spec can name.
type Question struct {
	Name  string
	Words string // what is asked
	// Params names the parameters, separated by spaces: in brackets those that only some choices have, and after = what
	// the command takes where a flag is left out. A Spec has to give them all the same.
	Params string

	answer func(ctx context.Context, p *params, o Options) (*Report, error)
}

// Questions returns every problem that a Spec can name, in the order of the theory.
func Questions() []Question { return append(theoryQuestions(), modelQuestions...) }

// theoryQuestions are those that theory says something about.
func theoryQuestions() []Question {
	return slices.Concat(ceQuestions, normQuestions, smoothingQuestions, squaredQuestions, pathQuestions, deepQuestions,
		supconQuestions, palQuestions, imbalanceQuestions, cureQuestions, certificateQuestions, flowQuestions, bnReLUQuestions,
		fixedQuestions)
}

// Options say how an answer is found. The zero value is the documented default.
type Options struct {
	// Seeds is the number of random starts of a search, 5 where it is 0.
	Seeds int
	// Seed is the number of the first start.
	Seed uint64
	// Method is that of SolveOptions, or "none", which leaves the search out.
	Method string
	// Numeric solves what theory does not cover (too few dimensions for a simplex) instead of refusing it,
	// and searches however large the problem is.
	Numeric bool
	// ExplainSaddle adds the saddle at zero, and the way out of it, where a problem has one.
	ExplainSaddle bool
}

// Answer finds the question of a spec and answers it. An error says what is wrong with the spec, or is the
// context's.
func Answer(ctx context.Context, spec Spec, o Options) (*Report, error) {
	return answer(ctx, Questions(), spec, o)
}

func answer(ctx context.Context, questions []Question, spec Spec, o Options) (*Report, error) {
	if spec.Problem == "" {
		return nil, fmt.Errorf("problem: missing")
	}
	var names []string
	for _, q := range questions {
		if q.Name == spec.Problem {
			p := &params{values: spec.Params}
			report, err := q.answer(ctx, p, o)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", q.Name, err)
			}
			report.Problem, report.Params = q.Name, p.echo
			return report, nil
		}
		names = append(names, q.Name)
	}
	return nil, fmt.Errorf("%s: not a problem%s", spec.Problem, suggest.Hint(spec.Problem, names))
}

// MaxSpec is the largest file, in bytes, that is taken for a spec.
const MaxSpec = 16 << 20

// ReadSpec reads a spec from JSON, or from YAML where it does not begin with a brace.
func ReadSpec(data []byte) (Spec, error) {
	var spec Spec
	if len(data) > MaxSpec {
		return spec, fmt.Errorf("not a spec: %d bytes, wanted at most %d", len(data), MaxSpec)
	}
	if begin := bytes.TrimSpace(data); len(begin) == 0 || begin[0] != '{' {
		d := yaml.NewDecoder(bytes.NewReader(data))
		d.KnownFields(true)
		if err := d.Decode(&spec); err != nil {
			return Spec{}, fmt.Errorf("not a spec: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		spec.Params = plainKeys(spec.Params).(map[string]any)
		return spec, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(&spec); err != nil {
		return Spec{}, fmt.Errorf("not a spec: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if d.More() {
		return Spec{}, fmt.Errorf("not a spec: more follows after the object")
	}
	return spec, nil
}

// plainKeys makes strings of the keys of objects, which in YAML may be numbers.
func plainKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			v[name] = plainKeys(value)
		}
		return v
	case map[any]any:
		out := map[string]any{}
		for name, value := range v {
			out[fmt.Sprint(name)] = plainKeys(value)
		}
		return out
	case []any:
		for i := range v {
			v[i] = plainKeys(v[i])
		}
	}
	return v
}
