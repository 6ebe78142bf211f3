package collapse

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/moments"
)

// Reasons that only the numbers of published scripts have.
const (
	AbsentClasses  Reason = "absent_classes"   // the script divides by the count of a class without rows
	TooManyClasses Reason = "too_many_classes" // the script's truncated decomposition wants K - 1 < d
	TooLarge       Reason = "too_large"        // the means of all classes exceed the memory limit
)

// Scripts lists the published scripts whose numbers can be had under their own names.
func Scripts() []string {
	var out []string
	for _, s := range scripts {
		out = append(out, s.name)
	}
	return out
}

// A script is a published program: what it prints, how it comes to it, and what to know about that.
type script struct {
	name       string
	quantities []string // those beginning with "*" need the classifier
	note       string
	run        func(*imitation) error // a Reason is that of all quantities not yet set
}

// imitate gives the numbers of a script as it would have them in float64, under its names.
func (s *sample) imitate(ctx context.Context, scan moments.ScanOptions, r *Result, name string) error {
	at := slices.IndexFunc(scripts, func(s script) bool { return s.name == name })
	i := imitation{
		sample: s, ctx: ctx, scan: moments.ScanOptions{Workers: scan.Workers},
		classes: r.Classes, values: map[string]Value{},
	}
	if err := i.run(scripts[at]); err != nil {
		return err
	}
	if r.Compat == nil {
		r.Compat = map[string]map[string]Value{}
	}
	r.Compat[name] = i.values
	r.Notes = append(r.Notes, Warning{Code: "compat_" + name, Message: scripts[at].note})
	return nil
}

// imitation is one script on one layer.
type imitation struct {
	*sample
	ctx     context.Context
	scan    moments.ScanOptions
	classes int // rows of W, else the largest label + 1: scripts count classes that have no rows
	values  map[string]Value
}

// run gives every quantity of the script a value or a reason.
func (i *imitation) run(s script) error {
	var err error = NeedsTwoClasses
	if i.classes >= 2 {
		err = s.run(i)
	}
	rest, undefinedAll := err.(Reason)
	if err != nil && !undefinedAll {
		return err
	}
	for _, q := range s.quantities {
		q, needsW := strings.CutPrefix(q, "*")
		v, ok := i.values[q]
		switch {
		case needsW && i.class == nil:
			v = undefined(NeedsClassifier)
		case !ok:
			v = undefined(rest)
		case math.IsNaN(v.Number) || math.IsInf(v.Number, 0):
			v = undefined(OutOfRange)
		}
		i.values[q] = Value{Number: v.Number, Reason: v.Reason}
	}
	return nil
}

func (i *imitation) set(q string, v Value) { i.values[q] = v }

// complete is the reason why a script that divides by every class count has no means.
func (i *imitation) complete() error {
	if i.k < i.classes {
		return AbsentClasses
	}
	return nil
}

// fits is the reason why a few matrices of n numbers are too much.
func (i *imitation) fits(n float64) error {
	if 4*8*n > float64(i.opts.Memory) {
		return TooLarge
	}
	return nil
}

// metric is one of ours on a sample as the script sees it.
func metric(s *sample, id string) Value {
	m, _ := Lookup(id)
	return s.evaluate(m)
}

// times scales a value, where there is one.
func times(v Value, a float64) Value {
	v.Number *= a
	return v
}

// view is the sample under a script's conventions: classes, global mean, the cut on the eigenvalues of Sigma_B, products in
// float64. What a second pass gives is there once it is scanned.
func (i *imitation) view(sum *moments.Summary, globalMean string) *sample {
	t, o := *i.sample, *i.opts
	o.Precision, o.RankTol = "float64", float64(i.d)*0x1p-52
	t.opts, t.pass = &o, nil
	balanced := slices.Min(sum.Count) == slices.Max(sum.Count)
	if sum != i.sum || globalMean != o.GlobalMean && !balanced {
		o.GlobalMean = globalMean
		t.sum, t.k = sum, len(sum.Classes)
		t.place()
	}
	t.choose()
	return &t
}

// place finds the class means about the global mean, and what the classifier has to do with them.
func (s *sample) place() {
	s.centre = s.sum.Centre(s.opts.GlobalMean == "sample")
	m := slices.Clone(s.sum.Mean)
	for c := range s.k {
		kernel.Axpy64(m[c*s.d:(c+1)*s.d], -1, s.centre)
	}
	if s.opts.GlobalMean != "sample" {
		removeMean(m, s.k, s.d)
	}
	s.means = geometry.New(s.k, s.d, m)
	s.between, s.largest = s.means.Square()/float64(s.k), s.sum.MaxAbsMean()
	if s.class != nil {
		s.use(s.class.Classifier)
	}
}

// scanned makes the second pass over the rows, or takes the one that was made where it is the same.
func (i *imitation) scanned(t *sample) (err error) {
	if i.double() && t.means == i.means && t.rank == i.rank {
		t.pass, t.route = i.pass, i.route
		return nil
	}
	p := t.plan(false)
	p.Units = false
	t.pass, err = p.Collect(i.ctx, i.split, i.scan)
	return err
}

// pinv is tr(Sigma_W Sigma_B^+) / K after a second pass. The pseudo-inverse of zero is zero.
func pinv(t *sample) Value {
	switch r := t.needBetween(); {
	case t.between == 0:
		return number(0)
	case r != "":
		return undefined(r)
	}
	return number(t.trace(t.pass.Moments, t.n))
}

// truncated is the same over the K - 1 leading directions, whatever their eigenvalues. Where one of those is rounding the
// script divides by it, and its number is rounding too.
func truncated(t *sample) Value {
	switch r := t.needBetween(); {
	case t.k-1 >= t.d:
		return undefined(TooManyClasses)
	case r != "":
		return undefined(r)
	case t.rank < t.k-1:
		return undefined(RankDeficient)
	}
	return number(t.trace(t.pass.Moments, t.n))
}

// withZeroMeans is the first pass with a mean of 0 for every class that has no rows.
func withZeroMeans(sum *moments.Summary, classes int) *moments.Summary {
	d := sum.Dim
	out := *sum
	out.Classes = allClasses(classes)
	out.Count, out.Zero = make([]int64, classes), make([]int64, classes)
	out.Scatter, out.Square = make([]float64, classes), make([]float64, classes)
	out.Mean, out.Unit = make([]float64, classes*d), make([]float64, classes*d)
	for k := range classes {
		row := out.Mean[k*d : (k+1)*d]
		c, ok := slices.BinarySearch(sum.Classes, int64(k))
		if !ok {
			kernel.Axpy64(row, -1, sum.Pivot)
			continue
		}
		out.Count[k], out.Zero[k], out.Scatter[k], out.Square[k] = sum.Count[c], sum.Zero[c], sum.Scatter[c], sum.Square[c]
		copy(row, sum.Mean[c*d:(c+1)*d])
		copy(out.Unit[k*d:(k+1)*d], sum.Unit[c*d:(c+1)*d])
	}
	return &out
}
