package features

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/collapsar/collapsar/features/csv"
	"github.com/collapsar/collapsar/features/npy"
	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/features/parquet"
	"github.com/collapsar/collapsar/features/safetensors"
	"github.com/collapsar/collapsar/features/torch"
	"github.com/collapsar/collapsar/internal/array"
)

// A format is one that Open knows. The order of the table is that in which content is tried.
type format struct {
	name  string
	sniff func(head []byte) bool
	open  func(r io.ReaderAt, size int64, o array.Options) (array.File, error)
}

var formats = []format{
	{"npy", npy.Sniff, npy.Open},
	{"npz", npz.Sniff, npz.Open},
	{"safetensors", safetensors.Sniff, safetensors.Open},
	{"pt", torch.Sniff, torch.Open},
	{"parquet", parquet.Sniff, parquet.Open},
	{"csv", csv.Sniff, csv.Open},
}

// foreign is formats that are known and not read, by their first bytes, with what to do.
var foreign = []struct{ magic, what string }{
	{"\x89HDF\r\n\x1a\n", "HDF5 (or MATLAB 7.3); in Python: import h5py, numpy; f = h5py.File(IN); numpy.savez(OUT, **{k: f[k][()] for k in f})"},
	{"MATLAB 5.0 MAT-file", "a MATLAB file; in Python: import scipy.io, numpy; numpy.savez(OUT, features=scipy.io.loadmat(IN)['features'], ...)"},
	{"\x1f\x8b", "gzip; unpack it first"},
	{"\x28\xb5\x2f\xfd", "Zstandard; unpack it first"},
	{"PK\x03\x04", "a zip archive that is neither .npz nor .pt"},
	{"PK\x05\x06", "an empty zip archive"},
	{"ARROW1", "an Arrow file; write Parquet instead"},
}

// A source is one opened file with its arrays.
type source struct {
	array.File
	path   string
	size   int64
	arrays []array.Info
	disk   *os.File
	notes  []Note
}

// open opens a file by its content.
func open(path string, o Options) (*source, error) {
	s := &source{path: path}
	// Opening a pipe would wait for its writer, so the kind of file is asked first.
	stat, err := os.Stat(path)
	if err == nil && stat.Mode().IsRegular() {
		if s.disk, err = os.Open(path); err == nil {
			stat, err = s.disk.Stat()
		}
	}
	if err == nil {
		err = s.begin(stat, o)
	}
	if err != nil {
		if s.disk != nil {
			s.disk.Close()
		}
		return nil, inFile(err, path, "")
	}
	return s, nil
}

func (s *source) begin(stat os.FileInfo, o Options) error {
	switch mode := stat.Mode(); {
	case mode.IsDir():
		return array.Errorf(Unreadable, "", "a directory, expected a file")
	case !mode.IsRegular():
		return array.Errorf(Unreadable, "", "a pipe or device, expected a file: its rows are read twice")
	case stat.Size() == 0:
		return array.Errorf(Empty, "", "the file has no bytes")
	}
	s.size = stat.Size()
	head := make([]byte, min(s.size, 512))
	if err := array.ReadFull(s.disk, head, 0); err != nil {
		return err
	}
	f := identify(head)
	if f == nil {
		for _, other := range foreign {
			if len(head) >= len(other.magic) && string(head[:len(other.magic)]) == other.magic {
				return array.Errorf(Unsupported, "", "%s", other.what)
			}
		}
		return array.Errorf(Unsupported, "", "begins with %q, which is none of %s", head[:min(len(head), 8)], formatNames())
	}
	var err error
	s.File, err = f.open(s.disk, s.size, array.Options{Memory: o.Memory, Features: o.Features, Labels: o.Labels, LabelColumns: o.LabelColumns})
	if err != nil {
		return err
	}
	s.arrays = s.File.Arrays()
	return nil
}

func identify(head []byte) *format {
	for i := range formats {
		if formats[i].sniff(head) {
			return &formats[i]
		}
	}
	return nil
}

func formatNames() string {
	s := ""
	for i, f := range formats {
		switch {
		case i == 0:
		case i == len(formats)-1:
			s += " and "
		default:
			s += ", "
		}
		s += f.name
	}
	return s
}

// Close closes the file.
func (s *source) Close() error {
	err := s.File.Close()
	if e := s.disk.Close(); err == nil {
		err = e
	}
	return err
}

func (s *source) note(code, message string, args ...any) {
	s.notes = append(s.notes, Note{code, fmt.Sprintf(message, args...)})
}

func (s *source) errorf(kind Kind, name, message string, args ...any) error {
	return inFile(array.Errorf(kind, name, message, args...), s.path, "")
}

// inFile says in which file, and array, an error came up. What is no *Error comes from the system.
func inFile(err error, path, name string) error {
	var e *Error
	if errors.As(err, &e) {
		c := *e
		if c.File == "" {
			c.File = path
		}
		if c.Array == "" {
			c.Array = name
		}
		return &c
	}
	message := err.Error()
	var p *os.PathError
	if errors.As(err, &p) { // the path is said already
		message = p.Err.Error()
	}
	return &Error{File: path, Array: name, Kind: Unreadable, Message: message, Err: err}
}
