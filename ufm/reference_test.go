package ufm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// A referenceCase is one of ../shared/reference/ufm.json: values from formulas in 30 digits, searches and integrations of
// other programs.
type referenceCase struct {
	ID       string
	Problem  string
	Reach    string
	Marks    []string
	Params   map[string]any
	Expected any
	Tol      struct {
		Value, Scalars float64
		Rel            *float64
		Floor          float64
		Fields         map[string]tolerance
		Only           []string
	}
}

type tolerance struct{ Rel, Floor float64 }

func referenceCases(t *testing.T) []referenceCase {
	data, err := os.ReadFile("../../shared/reference/ufm.json")
	if err != nil {
		t.Skip("reference cases are not here: ", err)
	}
	var file struct{ Cases []referenceCase }
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file.Cases
}

// TestReference answers every case, and holds its fields against the expected ones in the tolerance of the case.
func TestReference(t *testing.T) {
	for _, c := range referenceCases(t) {
		t.Run(c.ID+"_"+c.Problem, func(t *testing.T) {
			r, err := Answer(context.Background(), Spec{Problem: c.Problem, Params: c.Params}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			have := map[string]any{}
			for _, part := range []Fields{r.Certificate, r.Solved, r.ClosedForm} {
				for name, value := range asJSON(t, part) {
					have[name] = value
				}
			}
			c.compare(t, "", c.Expected, have)
			if c.Reach == "both" && r.Solved != nil { // search alone reaches the value too
				want, have := c.Expected.(map[string]any), asJSON(t, r.Solved)
				if want["value"] != nil {
					c.compare(t, "value", want["value"], have["value"])
				}
				if rows, ok := want["rows"].([]any); ok {
					for i, row := range rows {
						c.compare(t, fmt.Sprintf("rows[%d].value", i), row.(map[string]any)["value"], have["rows"].([]any)[i].(map[string]any)["value"])
					}
				}
			}
		})
	}
}

func asJSON(t *testing.T, f Fields) map[string]any {
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (c *referenceCase) compare(t *testing.T, name string, want, have any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			t.Errorf("%s: %v, want an object", name, have)
			return
		}
		for key, value := range want {
			if name == "" && c.Tol.Only != nil && !strings.Contains(" "+strings.Join(c.Tol.Only, " ")+" ", " "+key+" ") {
				continue
			}
			got, ok := have[key]
			if !ok {
				t.Errorf("%s.%s: missing", name, key)
				continue
			}
			c.compare(t, strings.TrimPrefix(name+"."+key, "."), value, got)
		}
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			t.Errorf("%s: %v, want %v", name, have, want)
			return
		}
		for i := range want {
			c.compare(t, fmt.Sprintf("%s[%d]", name, i), want[i], have[i])
		}
	case json.Number:
		got, ok := have.(json.Number)
		if !ok {
			t.Errorf("%s: %v, want %v", name, have, want)
			return
		}
		w, _ := want.Float64()
		g, _ := got.Float64()
		if limit := c.limit(name, w); !(math.Abs(g-w) <= limit) {
			t.Errorf("%s: %.15g, want %.15g (off by %.2g, limit %.2g)", name, g, w, math.Abs(g-w), limit)
		}
	default:
		if want != have {
			t.Errorf("%s: %v, want %v", name, have, want)
		}
	}
}

// limit is what the tolerance of the case allows for a field of that value.
func (c *referenceCase) limit(name string, want float64) float64 {
	leaf := name
	for part := range strings.SplitSeq(name, ".") {
		part, _, _ = strings.Cut(part, "[")
		leaf = part
		if f, ok := c.Tol.Fields[part]; ok {
			return max(f.Rel*math.Abs(want), f.Floor)
		}
	}
	switch {
	case c.Tol.Rel != nil:
		return max(*c.Tol.Rel*math.Abs(want), c.Tol.Floor)
	case leaf == "value":
		return c.Tol.Value * max(1, math.Abs(want))
	}
	return c.Tol.Scalars * max(1, math.Abs(want))
}
