package features

import (
	"cmp"
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
	disk   io.Closer // nil if the caller closes it
	notes  []Note
}

// open opens a file by its content.
func open(path string, o Options) (*source, error) {
	// Opening a pipe would wait for its writer, so the kind of file is asked first.
	stat, err := os.Stat(path)
	if err != nil {
		return nil, array.InFile(err, path, "")
	}
	switch mode := stat.Mode(); {
	case mode.IsDir():
		return nil, array.InFile(array.Errorf(Unreadable, "", "a directory, expected a file"), path, "")
	case !mode.IsRegular():
		return nil, array.InFile(array.Errorf(Unreadable, "", "a pipe or device, expected a file: its rows are read twice"), path, "")
	}
	disk, err := os.Open(path)
	if err != nil {
		return nil, array.InFile(err, path, "")
	}
	var s *source
	if stat, err = disk.Stat(); err == nil {
		s, err = openReader(disk, stat.Size(), path, o)
	}
	if err != nil {
		disk.Close()
		return nil, array.InFile(err, path, "")
	}
	s.disk = disk
	return s, nil
}

func openReader(r io.ReaderAt, size int64, path string, o Options) (*source, error) {
	if size == 0 {
		return nil, array.Errorf(Empty, "", "the file has no bytes")
	}
	head := make([]byte, min(size, 512))
	if err := array.ReadFull(r, head, 0); err != nil {
		return nil, err
	}
	f := identify(head)
	if f == nil {
		for _, other := range foreign {
			if len(head) >= len(other.magic) && string(head[:len(other.magic)]) == other.magic {
				return nil, array.Errorf(Unsupported, "", "%s", other.what)
			}
		}
		return nil, array.Errorf(Unsupported, "", "begins with %q, which is none of %s", head[:min(len(head), 8)], formatNames())
	}
	file, err := f.open(r, size, array.Options{Memory: o.Memory, Features: o.Features, Labels: o.Labels, LabelColumns: o.LabelColumns, TagSeparator: o.TagSeparator})
	if err != nil {
		return nil, err
	}
	return &source{File: file, path: path, size: size, arrays: file.Arrays()}, nil
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
	if s.disk == nil {
		return err
	}
	return cmp.Or(err, s.disk.Close())
}

func (s *source) note(code, message string, args ...any) {
	s.notes = append(s.notes, Note{code, fmt.Sprintf(message, args...)})
}

func (s *source) errorf(kind Kind, name, message string, args ...any) error {
	return array.InFile(array.Errorf(kind, name, message, args...), s.path, "")
}
