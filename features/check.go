package features

import (
	"fmt"
	"math"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
)

// check compares the shapes of the arrays that were found.
func (p *plan) check(f *files) error {
	for _, l := range p.layers {
		for _, r := range []*ref{l.train, l.test, l.ood} {
			if r == nil {
				continue
			}
			if err := r.checkFeatures(); err != nil {
				return err
			}
			if r.info.Width() != l.train.info.Width() {
				return r.file.errorf(Mismatch, r.info.Name, "%d columns, %s: %d", r.info.Width(), l.train.info.Name, l.train.info.Width())
			}
		}
		if l.test != nil && p.testLabels == nil && !p.unlabelled {
			return l.test.file.missing("test_labels", "test rows ("+l.test.info.Name+") need labels")
		}
	}
	if p.unlabelled {
		return p.checkClassifier()
	}
	if p.labels == nil {
		if f.main.Format() == "npy" {
			return f.main.errorf(NotFound, "labels", "an .npy file holds features only; give the labels with --labels-file")
		}
		return f.main.missing("labels", "no array of this name or an alias of it; name it with --labels, or give --labels-file")
	}
	for _, l := range p.layers {
		if err := sameRows(p.labels, l.train); err != nil {
			return err
		}
		if l.test != nil {
			if err := sameRows(p.testLabels, l.test); err != nil {
				return err
			}
		}
	}
	return p.checkClassifier()
}

// checkFeatures wants a matrix with rows and columns.
func (r *ref) checkFeatures() error {
	i := r.info
	switch {
	case i.Refused != nil:
		return array.InFile(i.Refused, r.file.path, i.Name)
	case len(i.Shape) < 2:
		return r.file.errorf(Unsupported, i.Name, "%s, expected rows x columns; if it is one number a row, reshape it to (N, 1)", i)
	case len(i.Shape) > 2:
		return r.file.errorf(Unsupported, i.Name, "%s has %d axes, expected rows x columns; flatten it, x.reshape(len(x), -1), or average over positions first", i, len(i.Shape))
	case i.Shape[0] == 0:
		return r.file.errorf(Empty, i.Name, "no rows (%s)", i)
	case i.Shape[1] == 0:
		return r.file.errorf(Empty, i.Name, "no columns (%s)", i)
	}
	return nil
}

func sameRows(labels *found, r *ref) error {
	i := labels.infos[0]
	if i.Refused != nil {
		return array.InFile(i.Refused, labels.file.path, i.Name)
	}
	if len(i.Shape) == 0 || len(i.Shape) > 2 {
		return labels.file.errorf(Unsupported, i.Name, "%s, expected one label a row", i)
	}
	if i.Rows() != r.info.Rows() {
		return array.InFile(mismatch(i.Name, i.Rows(), r.info.Name, r.info.Rows()), labels.file.path, i.Name)
	}
	return nil
}

func mismatch(name string, n int, other string, m int) *Error {
	return array.Errorf(Mismatch, name, "%s: %d rows, %s: %d", name, n, other, m)
}

func (p *plan) checkClassifier() error {
	if p.weights == nil {
		return nil
	}
	s, w := p.weights.file, p.weights.infos[0]
	switch {
	case w.Refused != nil:
		return array.InFile(w.Refused, s.path, w.Name)
	case len(w.Shape) != 2 || w.Shape[0] == 0:
		return s.errorf(BadWeights, w.Name, "%s, expected classes x columns", w)
	case p.classifier < 0:
		var widths []string
		turned := ""
		for _, l := range p.layers {
			widths = append(widths, fmt.Sprintf("%s: %d", l.train.info.Name, l.train.info.Width()))
			if l.train.info.Width() == w.Shape[0] {
				turned = "; it seems to be transposed"
			}
		}
		return s.errorf(BadWeights, w.Name, "%d columns, %s%s", w.Shape[1], strings.Join(widths, ", "), turned)
	}
	if p.bias == nil {
		return nil
	}
	b := p.bias.infos[0]
	if b.Refused != nil {
		return array.InFile(b.Refused, p.bias.file.path, b.Name)
	}
	if len(b.Shape) == 0 || b.Shape[0] != w.Shape[0] || b.Width() != 1 {
		return p.bias.file.errorf(BadWeights, b.Name, "%s, %s: %d rows", b, w.Name, w.Shape[0])
	}
	return nil
}

// loadClassifier reads weights and bias whole.
func (p *plan) loadClassifier(o Options) (*Classifier, error) {
	w := p.weights.infos[0]
	c := &Classifier{Classes: w.Shape[0], Dim: w.Shape[1], DType: w.DType}
	var err error
	if c.Weights, err = p.weights.loadFloats(o); err != nil {
		return nil, err
	}
	if p.bias == nil {
		c.Bias = make([]float64, c.Classes)
		return c, nil
	}
	c.HasBias = true
	c.Bias, err = p.bias.loadFloats(o)
	return c, err
}

// loadFloats reads an array whole, within the budget; every number has to be finite.
func (f *found) loadFloats(o Options) ([]float64, error) {
	info := f.infos[0]
	if err := f.fits(8*int64(info.Rows())*int64(info.Width()), o); err != nil {
		return nil, err
	}
	a, err := (&ref{f.file, info}).open(o)
	if err != nil {
		return nil, err
	}
	v := make([]float64, info.Rows()*info.Width())
	if err := a.Float64s(v, 0); err != nil {
		return nil, array.InFile(err, f.file.path, info.Name)
	}
	for i, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, f.file.errorf(NonFinite, info.Name, "row %d, column %d is %v", i/info.Width(), i%info.Width(), x)
		}
	}
	return v, nil
}

func (f *found) fits(bytes int64, o Options) error {
	budget := array.Options{Memory: o.Memory}.Budget()
	if bytes > budget {
		return f.file.errorf(TooLarge, f.infos[0].Name, "%s takes %d bytes, the budget is %d; raise --memory", f.infos[0], bytes, budget)
	}
	return nil
}

// readLabels reads the labels of a split: a class for each row, or of N x K labels the tag sets.
func readLabels(f *found, c *Classifier, o Options) (labels []int64, tags *Tags, err error) {
	info := f.infos[0]
	if err := f.fits(8*int64(info.Rows()), o); err != nil {
		return nil, nil, err
	}
	o.BFloat16 = false // uint16 labels are integers
	labels = make([]int64, info.Rows())
	if info.DType == array.Tags {
		tags, err = f.readTagLists(labels, o)
		if err != nil {
			return nil, nil, array.InFile(err, f.file.path, info.Name)
		}
		return labels, tags, nil
	}
	a, err := (&ref{f.file, info}).open(o)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case info.Width() > 1:
		tags, err = f.readTags(labels, a, o)
	case info.Width() == 0:
		err = f.file.errorf(Empty, info.Name, "no columns (%s)", info)
	case info.DType.IsFloat():
		err = wholeLabels(labels, a, c)
	default:
		err = a.Int64s(labels, 0)
	}
	if err == nil && tags == nil {
		err = checkLabels(info.Name, labels, c)
	}
	if err != nil {
		return nil, nil, array.InFile(err, f.file.path, info.Name)
	}
	return labels, tags, nil
}

// labelBlock is how many label values are decoded at a time.
const labelBlock = 1 << 16

// wholeLabels reads labels stored as floating-point numbers.
func wholeLabels(labels []int64, a array.Array, c *Classifier) error {
	bad := badLabels{rows: len(labels), c: c}
	v := make([]float64, min(len(labels), labelBlock))
	for lo := 0; lo < len(labels); lo += len(v) {
		v = v[:min(len(v), len(labels)-lo)]
		if err := a.Float64s(v, lo); err != nil {
			return err
		}
		for i, x := range v {
			if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
				bad.add(lo+i, x)
				continue
			}
			labels[lo+i] = int64(x)
		}
	}
	return bad.err(a.Info().Name)
}

// checkLabels wants classes: rows of the classifier, or any number that is not negative.
func checkLabels(name string, labels []int64, c *Classifier) error {
	bad := badLabels{rows: len(labels), c: c}
	limit := int64(math.MaxInt64)
	if c != nil {
		limit = int64(c.Classes) - 1
	}
	for i, y := range labels {
		if y < 0 || y > limit {
			bad.add(i, y)
		}
	}
	return bad.err(name)
}

// badLabels collects what is wrong with labels: the first rows, and the count of all.
type badLabels struct {
	rows  int
	c     *Classifier
	count int
	first []string
}

func (b *badLabels) add(row int, value any) {
	const most = 5
	if b.count++; b.count <= most {
		b.first = append(b.first, fmt.Sprintf("row %d holds %v", row, value))
	}
}

func (b *badLabels) err(name string) error {
	if b.count == 0 {
		return nil
	}
	want := "whole numbers from 0 on"
	if b.c != nil {
		want = fmt.Sprintf("0..%d, for weights has %d rows", b.c.Classes-1, b.c.Classes)
	}
	more := ""
	if b.count > len(b.first) {
		more = ", ..."
	}
	return array.Errorf(BadLabel, name, "%d of %d rows: %s%s; expected %s", b.count, b.rows, strings.Join(b.first, ", "), more, want)
}
