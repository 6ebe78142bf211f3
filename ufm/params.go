package ufm

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/suggest"
)

// params reads the parameters of a spec, one by one. What is wrong first is kept, and every later answer is a harmless
// value, so that a question reads all it wants and then looks at done once.
type params struct {
	values map[string]any
	echo   Fields // what was read, in that order
	prefix string // where the values stand, for messages
	parent *params
	err    error
}

// most is the largest count: two of them multiply without overflow.
const most = 1_000_000_000

// mostClasses keeps what has a number for each class in memory.
const mostClasses = 1_000_000

// fail keeps the first error.
func (p *params) fail(name, format string, args ...any) {
	if p.parent != nil {
		p.parent.fail(p.prefix+name, format, args...)
		return
	}
	if p.err == nil {
		p.err = fmt.Errorf("%s%s: %s", p.prefix, name, fmt.Sprintf(format, args...))
	}
}

// done returns the first error, or the complaint about a name that nobody asked for.
func (p *params) done() error {
	names := make([]string, len(p.echo))
	for i, f := range p.echo {
		names[i] = f.Name
	}
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if !slices.Contains(names, name) {
			p.fail(name, "not a parameter%s", suggest.Hint(name, names))
		}
	}
	if p.parent != nil {
		return p.parent.err
	}
	return p.err
}

// has tells whether a parameter stands there; it does not count as read.
func (p *params) has(name string) bool { _, ok := p.values[name]; return ok }

// get reads a value.
func (p *params) get(name string) (any, bool) {
	v, ok := p.values[name]
	p.echo.Add(name, v)
	if !ok {
		p.fail(name, "missing")
	}
	return v, ok
}

// number is what a value is as a number.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		x, err := v.Float64()
		return x, err == nil || math.IsInf(x, 0)
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}

// real reads any finite number.
func (p *params) real(name string) float64 {
	v, ok := p.get(name)
	if !ok {
		return 0
	}
	return p.toReal(name, v)
}

func (p *params) toReal(name string, v any) float64 {
	x, ok := number(v)
	switch {
	case !ok:
		p.fail(name, "%v, wanted a number", v)
	case math.IsNaN(x) || math.IsInf(x, 0):
		p.fail(name, "%v, wanted a finite number", v)
	default:
		return x
	}
	return 0
}

// positive reads a number above 0. After an error it is 1.
func (p *params) positive(name string) float64 {
	v, ok := p.get(name)
	if !ok {
		return 1
	}
	return p.toPositive(name, v)
}

func (p *params) toPositive(name string, v any) float64 {
	x := p.toReal(name, v)
	if !(x > 0) {
		p.fail(name, "%v, wanted a number above 0", v)
		return 1
	}
	return x
}

// nonNegative reads a number of at least 0.
func (p *params) nonNegative(name string) float64 {
	x := p.real(name)
	if x < 0 {
		p.fail(name, "%v, wanted a number of at least 0", x)
		return 0
	}
	return x
}

// reals reads a list of finite numbers.
func (p *params) reals(name string) []float64 { return readList(p, name, p.toReal) }

// positives reads a list of numbers above 0.
func (p *params) positives(name string) []float64 { return readList(p, name, p.toPositive) }

// count reads a whole number of at least 1. After an error it is 1.
func (p *params) count(name string) int {
	v, ok := p.get(name)
	if !ok {
		return 1
	}
	return p.toCount(name, v)
}

func (p *params) toCount(name string, v any) int {
	x, ok := number(v)
	switch {
	case !ok || x != math.Trunc(x):
		p.fail(name, "%v, wanted a whole number", v)
	case x < 1:
		p.fail(name, "%v, wanted at least 1", v)
	case x > most:
		p.fail(name, "%v, wanted at most %d", v, most)
	default:
		return int(x)
	}
	return 1
}

// classes reads a number of classes, at least 2.
func (p *params) classes(name string) int {
	k := p.count(name)
	if k < 2 {
		p.fail(name, "%d, wanted at least 2 classes", k)
		return 2
	}
	if k > mostClasses {
		p.fail(name, "%d, wanted at most %d classes", k, mostClasses)
		return 2
	}
	return k
}

// counts reads a list of whole numbers of at least 1.
func (p *params) counts(name string) []int { return readList(p, name, p.toCount) }

// classCounts reads the samples of each class, of two classes at least.
func (p *params) classCounts(name string) []int {
	n := p.counts(name)
	if len(n) < 2 {
		p.fail(name, "%d classes, wanted at least 2", len(n))
		return []int{1, 1}
	}
	return n
}

// readList reads a list, each element by itself.
func readList[T any](p *params, name string, element func(name string, v any) T) []T {
	var out []T
	v, ok := p.get(name)
	if !ok {
		return nil
	}
	for i, e := range p.list(name, v) {
		out = append(out, element(fmt.Sprintf("%s[%d]", name, i), e))
	}
	return out
}

// list is what a value is as a list; never empty without an error.
func (p *params) list(name string, v any) []any {
	var out []any
	switch v := v.(type) {
	case []any:
		out = v
	case []float64:
		for _, x := range v {
			out = append(out, x)
		}
	case []int:
		for _, x := range v {
			out = append(out, x)
		}
	default:
		p.fail(name, "%v, wanted a list", v)
		return nil
	}
	if len(out) == 0 {
		p.fail(name, "an empty list")
	}
	return out
}

// pairs reads a list of pairs.
func pairs[T any](p *params, name string, element func(name string, v any) T) [][2]T {
	return readList(p, name, func(name string, v any) (out [2]T) {
		l := p.list(name, v)
		if len(l) != 2 {
			p.fail(name, "%d numbers, wanted 2", len(l))
			return out
		}
		for i := range out {
			out[i] = element(fmt.Sprintf("%s[%d]", name, i), l[i])
		}
		return out
	})
}

// yes reads a bool.
func (p *params) yes(name string) bool {
	v, ok := p.get(name)
	b, is := v.(bool)
	if ok && !is {
		p.fail(name, "%v, wanted true or false", v)
	}
	return b
}

// oneOf reads one of several words. After an error it is the first.
func (p *params) oneOf(name string, words ...string) string {
	v, ok := p.get(name)
	if !ok {
		return words[0]
	}
	s, _ := v.(string)
	if !slices.Contains(words, s) {
		p.fail(name, "%v, wanted %s%s", v, alternatives(words), suggest.Hint(s, words))
		return words[0]
	}
	return s
}

// alternatives is "a, b or c".
func alternatives(words []string) string {
	s := words[0]
	for i, w := range words[1:] {
		if i == len(words)-2 {
			s += " or " + w
		} else {
			s += ", " + w
		}
	}
	return s
}

// object reads the parameters inside a parameter; done is to be called on it too.
func (p *params) object(name string) *params {
	v, ok := p.get(name)
	if !ok {
		return &params{parent: p, prefix: name + "."}
	}
	return p.toObject(name, v)
}

// objects reads a list of objects; done is to be called on each of them too.
func (p *params) objects(name string) []*params { return readList(p, name, p.toObject) }

func (p *params) toObject(name string, v any) *params {
	m, ok := v.(map[string]any)
	if !ok {
		p.fail(name, "%v, wanted an object", v)
	}
	return &params{values: m, parent: p, prefix: name + "."}
}

// bias reads the rule of the bias, and its decay where it has one.
func (p *params) bias() (Bias, float64) {
	if b := Bias(p.oneOf("bias", string(NoBias), string(FreeBias), string(DecayedBias))); b != DecayedBias {
		return b, 0
	}
	return DecayedBias, p.positive("lambda_b")
}

// decays are those of W, H and b.
type decays struct {
	W, H, B float64
	Bias    Bias
}

// decays reads lambda_W, lambda_H, the rule of the bias, and its decay where it has one.
func (p *params) decays() decays {
	d := decays{W: p.positive("lambda_W"), H: p.positive("lambda_H")}
	d.Bias, d.B = p.bias()
	return d
}

// matrix reads a test matrix, {"det": [rows, cols, s], "scale": x}: entry (i, j) is x sin(0.37 m^2 + 0.7 s),
// m = i cols + j + 1. With "normalise": "energy" it is then scaled to a sum of squares of rows times energy.
func (p *params) matrix(name string, rows, cols int, energy float64) []float64 {
	o := p.object(name)
	det := o.reals("det")
	scale := o.real("scale")
	normalise := o.has("normalise")
	if normalise {
		o.oneOf("normalise", "energy")
	}
	if o.done() != nil {
		return nil
	}
	if len(det) != 3 || det[0] != float64(rows) || det[1] != float64(cols) {
		p.fail(name, "det %v, wanted [%d, %d, s]", det, rows, cols)
		return nil
	}
	a := make([]float64, rows*cols)
	sum := 0.0
	for i := range a {
		m := float64(i + 1)
		a[i] = scale * math.Sin(0.37*m*m+0.7*det[2])
		sum += a[i] * a[i]
	}
	if normalise {
		f := math.Sqrt(float64(rows) * energy / sum)
		for i := range a {
			a[i] *= f
		}
	}
	return a
}
