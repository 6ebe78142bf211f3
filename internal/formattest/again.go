package formattest

import (
	"fmt"
	"io"
	"math"

	"github.com/collapsar/collapsar/internal/array"
)

// Again makes a format read the first rows twice whenever they are asked for, and complain if the two
// readings differ. The complaint is no *array.Error, so that a fuzz target fails with it.
func Again(open Open) Open {
	return func(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
		f, err := open(r, size, o)
		if err != nil {
			return nil, err
		}
		return againFile{f}, nil
	}
}

type againFile struct{ array.File }

func (f againFile) Open(name string) (array.Array, error) {
	a, err := f.File.Open(name)
	if err != nil {
		return nil, err
	}
	return againArray{a}, nil
}

type againArray struct{ array.Array }

func (a againArray) Float64s(dst []float64, lo int) error {
	err := a.Array.Float64s(dst, lo)
	if lo > 0 || len(dst) == 0 {
		return err
	}
	again := make([]float64, len(dst))
	switch err2 := a.Array.Float64s(again, lo); {
	case (err == nil) != (err2 == nil):
		return fmt.Errorf("%s: read once with %v, then with %v", a.Info().Name, err, err2)
	case err != nil:
		return err
	}
	for i, v := range dst {
		if math.Float64bits(v) != math.Float64bits(again[i]) {
			return fmt.Errorf("%s: element %d is %v, and %v when read again", a.Info().Name, i, v, again[i])
		}
	}
	return nil
}
