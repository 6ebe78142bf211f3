package features

import (
	"fmt"

	"github.com/collapsar/collapsar/internal/array"
)

// A Listing is what a file holds, read from its headers.
type Listing struct {
	Source string
	Format string
	Size   int64 // of the file, in bytes
	Arrays []ArrayInfo
	Notes  []Note
	Err    error // why Open would refuse the file, as far as headers tell; nil if it would not
}

// ArrayInfo is one array of a file.
type ArrayInfo struct {
	Name    string
	DType   DType // array.Invalid prints as "invalid": see Refused
	Shape   []int
	Role    string // what it is taken as, e.g. "layer block1", "labels"; "" if nothing
	Refused string // why it cannot be read, "" if it can
}

// Inspect lists the arrays of a file and the roles that Open would give them. No data are read.
func Inspect(path string, o Options) (*Listing, error) {
	f, err := openFiles(func() (*source, error) { return open(path, o) }, o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	p, err := makePlan(f, o)
	if err == nil {
		err = p.check(f)
	}
	l := &Listing{Source: path, Format: f.main.Format(), Size: f.main.size, Notes: f.main.notes, Err: err}
	for _, info := range f.main.arrays {
		a := ArrayInfo{Name: info.Name, DType: info.DType, Shape: info.Shape, Role: p.role(f.main, info)}
		if info.Refused != nil {
			a.Refused = info.Refused.Message
		}
		l.Arrays = append(l.Arrays, a)
	}
	return l, nil
}

// role is what an array is taken as.
func (p *plan) role(s *source, info array.Info) string {
	for i, l := range p.layers {
		for _, part := range []struct {
			r    *ref
			role string
		}{{l.train, "layer %s"}, {l.test, "test rows of layer %s"}, {l.ood, "rows out of distribution for layer %s"}} {
			if part.r != nil && part.r.file == s && part.r.info.Name == info.Name {
				return fmt.Sprintf(part.role, l.name)
			}
		}
		if i == p.classifier && p.weights.is(s, info) {
			return "weights, of layer " + l.name
		}
	}
	switch {
	case p.labels.is(s, info):
		return "labels" + columnsOfTags(info)
	case p.testLabels.is(s, info):
		return "test labels" + columnsOfTags(info)
	case p.weights.is(s, info):
		return "weights"
	case p.bias.is(s, info):
		return "bias"
	}
	return ""
}

// columnsOfTags says of a matrix of labels what its columns are.
func columnsOfTags(info array.Info) string {
	if info.DType == array.Tags {
		return ", a list of tags in every row"
	}
	if info.Width() < 2 {
		return ""
	}
	return fmt.Sprintf(", a column for each of %d tags", info.Width())
}

func (f *found) is(s *source, info array.Info) bool {
	return f != nil && f.file == s && f.infos[0].Name == info.Name
}
