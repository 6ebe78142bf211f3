// Package features turns a file into layers of labelled rows.
//
// Open takes .npy, .npz, .safetensors, .pt, Parquet and CSV files, told apart by their content. A
// Set holds the layers in depth order, each with its training rows, test rows and rows out of
// distribution, and the classifier on the last layer that it fits. Labels and classifier are
// read and checked at once; features stay in the file and are read in batches, as often as wanted:
//
//	set, err := features.Open("run.npz", features.Options{})
//	if err != nil { ... }
//	defer set.Close()
//	for _, layer := range set.Layers {
//		for batch, err := range layer.Train.Batches(ctx, 1024) {
//			if err != nil { ... }
//			// batch.Float32 or batch.Float64 holds batch.Rows rows of batch.Dim numbers
//		}
//	}
//
// Memory is bounded by the batch, the labels and the classifier, whatever the size of the file.
// Every error about a file is an *Error; its kind can be tested by errors.Is.
package features

import (
	"context"
	"iter"

	"github.com/collapsar/collapsar/internal/array"
)

// Error is a complaint about a file. It prints as "FILE: ARRAY: code: message".
type Error = array.Error

// Kind says what sort of complaint an Error is; it is the code printed.
type Kind = array.Kind

// DType is the element type of an array as stored.
type DType = array.DType

// The kinds of errors.
const (
	Malformed    = array.Malformed
	Truncated    = array.Truncated
	Unsupported  = array.Unsupported
	TooLarge     = array.TooLarge
	NotFound     = array.NotFound
	Mismatch     = array.Mismatch
	BadLabel     = array.BadLabel
	BadWeights   = array.BadWeights
	NonFinite    = array.NonFinite
	Inconsistent = array.Inconsistent
	Empty        = array.Empty
	MultiLabel   = array.MultiLabel
	Ambiguous    = array.Ambiguous
	Unreadable   = array.Unreadable
)

// DefaultMemory is the memory budget when none is given, in bytes.
const DefaultMemory = array.DefaultMemory

// Options says what is what in a file. The zero value finds arrays by their names and aliases.
type Options struct {
	Features, Labels, Weights, Bias   string // array names; "" finds them
	LabelsFile, WeightsFile, TestFile string // other files that hold them
	Layer                             string // pattern (path.Match) of the layers wanted, "" for all
	BFloat16                          bool   // uint16 features and weights hold bfloat16
	MultiLabel                        string // "auto" (or ""), "yes" or "no": what N x K labels are
	LabelColumns                      string // tables: "first:L" or "last:L"
	TagSeparator                      string // CSV: what stands between the tags of a cell; "" for ; and |
	Unlabelled                        bool   // labels are not looked for: for rows that are to be predicted
	Memory                            int64  // budget in bytes for labels, classifier and headers; 0 for DefaultMemory
}

// Note is a remark about a file that was read all the same.
type Note struct{ Code, Message string }

// A Set is an opened file.
type Set struct {
	Source     string // the path
	Format     string // "npz", ...
	Layers     []Layer
	Classifier *Classifier // nil if there is none
	Notes      []Note

	sources []*source
}

// Close closes the files. Splits cannot be read afterwards.
func (s *Set) Close() error {
	var first error
	for _, f := range s.sources {
		if err := f.Close(); err != nil && first == nil {
			first = err
		}
	}
	s.sources = nil
	return first
}

// A Layer is the features of one place in the network.
type Layer struct {
	Name       string // "features", or the bare name of "features/<name>"
	Array      string // the name in the file
	Dim        int
	DType      DType
	Train      *Split
	Test, OOD  *Split      // nil if there are none
	Classifier *Classifier // nil unless the weights belong to this layer
}

// A Classifier is the linear map after the last layer: logits = Weights * feature + Bias.
type Classifier struct {
	Classes, Dim int
	Weights      []float64 // Classes x Dim, row-major
	Bias         []float64 // zeros if there is none
	HasBias      bool
	DType        DType
}

// A Split is rows of one layer.
type Split struct {
	Name      string // "train", "test" or "ood"
	Rows, Dim int
	DType     DType
	Labels    []int64 // one a row, not to be changed; nil for "ood", and where labels were not wanted
	Tags      *Tags   // what the labels mean where rows have several tags; nil where a label is a class

	array array.Array
	file  string
}

// A Batch is consecutive rows, in row-major order. One of Float32 and Float64 is nil.
type Batch struct {
	First, Rows, Dim int
	Float32          []float32
	Float64          []float64
	Labels           []int64
}

func newSplit(name string, a array.Array, labels []int64, file string) *Split {
	i := a.Info()
	return &Split{Name: name, Rows: i.Rows(), Dim: i.Width(), DType: i.DType, Labels: labels, array: a, file: file}
}

// Wide reports whether rows are read as float64: for float64 and for integers beyond 16 bits.
func (s *Split) Wide() bool {
	return s.DType == array.Float64 || s.DType.IsInteger() && s.DType.Size() > 2
}

// Random reports whether several goroutines may read at once, at any row. Other splits are
// streams (deflated archives, tables): they are read by one goroutine at a time, forward, and
// start again when read at a row before.
func (s *Split) Random() bool { return s.array.Random() }

// Read fills the batch with rows from first on, in the memory that the batch has already.
func (s *Split) Read(b *Batch, first, rows int) error {
	n := rows * s.Dim
	b.First, b.Rows, b.Dim = first, rows, s.Dim
	var err error
	if s.Wide() {
		b.Float32, b.Float64 = nil, grow(b.Float64, n)
		err = s.array.Float64s(b.Float64, first)
	} else {
		b.Float32, b.Float64 = grow(b.Float32, n), nil
		err = s.array.Float32s(b.Float32, first)
	}
	if err != nil {
		return array.InFile(err, s.file, s.array.Info().Name)
	}
	b.Labels = nil
	if s.Labels != nil {
		b.Labels = s.Labels[first : first+rows]
	}
	return nil
}

func grow[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}

// Batches reads all rows in order, so many at a time; the last batch may be shorter. The next batch
// is read while one is worked on. A batch is valid until the next one is asked for. After
// an error, a cancelled context among them, nothing follows.
func (s *Split) Batches(ctx context.Context, rows int) iter.Seq2[Batch, error] {
	rows = max(1, rows)
	return func(yield func(Batch, error) bool) {
		type result struct {
			batch *Batch
			err   error
		}
		full, free := make(chan result, 1), make(chan *Batch, 2)
		free <- new(Batch)
		free <- new(Batch)
		stop := make(chan struct{})
		go func() {
			defer close(full)
			for first := 0; first < s.Rows; first += rows {
				var b *Batch
				select {
				case b = <-free:
				case <-stop:
					return
				}
				err := ctx.Err()
				if err == nil {
					err = s.Read(b, first, min(rows, s.Rows-first))
				}
				full <- result{b, err} // has room, or the reader below waits for it
				if err != nil {
					return
				}
			}
		}()
		defer func() { // no reading goes on after the loop has been left
			close(stop)
			for range full {
			}
		}()
		for r := range full {
			if r.err != nil {
				yield(Batch{}, r.err)
				return
			}
			if !yield(*r.batch, nil) {
				return
			}
			free <- r.batch
		}
	}
}
