package dataset

import (
	"bufio"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/gzip" // twice as fast as the standard library's

	"github.com/collapsar/collapsar/internal/array"
)

// A stream is a file read from its beginning, inflated if it is a gzip file.
type stream struct {
	name  string // the file, for complaints
	r     *bufio.Reader
	size  int64 // the length, exact for plain files; of gzip files as much as they can inflate to
	exact bool
	read  int64
	file  io.Closer
}

// openStream opens a file.
func openStream(path string) (*stream, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, array.InFile(err, path, "")
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, array.InFile(err, path, "")
	}
	s, err := newStream(path, f, info.Size())
	if err != nil {
		f.Close()
		return nil, err
	}
	s.file = f
	return s, nil
}

// newStream reads size bytes of r.
func newStream(name string, r io.Reader, size int64) (*stream, error) {
	s := &stream{name: name, r: bufio.NewReaderSize(r, 1<<16), size: size, exact: true}
	if magic, _ := s.r.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(s.r)
		if err != nil {
			return nil, s.failed(err)
		}
		const most = 1032 // bytes that one byte of deflated data stands for at most
		s.r, s.size, s.exact = bufio.NewReaderSize(z, 1<<16), min(size, 1<<50)*most, false
	}
	return s, nil
}

// Close closes the file.
func (s *stream) Close() {
	if s.file != nil {
		s.file.Close()
	}
}

// Read makes a stream an io.Reader whose errors are complaints about the file.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.read += int64(n)
	if err != nil && err != io.EOF {
		err = s.failed(err)
	}
	return n, err
}

// bytes reads n bytes. Memory grows with what is really there.
func (s *stream) bytes(n int64) ([]byte, error) {
	if n > s.size-s.read {
		return nil, s.errorf(array.Truncated, "%d bytes are declared from byte %d on, the file has at most %d", n, s.read, s.size-s.read)
	}
	first := n
	if !s.exact {
		first = min(n, 1<<20)
	}
	data := make([]byte, 0, first)
	for int64(len(data)) < n {
		if len(data) == cap(data) {
			data = slices.Grow(data, int(min(n-int64(len(data)), int64(len(data)))))
		}
		m, err := io.ReadFull(s.r, data[len(data):min(int64(cap(data)), n)])
		data = data[:len(data)+m]
		s.read += int64(m)
		if err != nil {
			return nil, s.failed(err)
		}
	}
	return data, nil
}

// end reads to the end, where a gzip file has its check sum; there must be no more data.
func (s *stream) end() error {
	n, err := io.Copy(io.Discard, io.LimitReader(s.r, 1))
	switch {
	case err != nil:
		return s.failed(err)
	case n > 0:
		return s.errorf(array.Malformed, "data go on after the %d bytes that were declared", s.read)
	}
	return nil
}

func (s *stream) errorf(kind array.Kind, format string, args ...any) *Error {
	return inFile(s.name, array.Errorf(kind, "", format, args...))
}

// failed is the complaint that reading ended early.
func (s *stream) failed(err error) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return err
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return s.errorf(array.Truncated, "the file ends early, after %d bytes of data", s.read)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return s.errorf(array.Malformed, "%v: the file is damaged", err)
	}
	var path *os.PathError
	if errors.As(err, &path) {
		return array.InFile(err, s.name, "")
	}
	return s.errorf(array.Malformed, "after %d bytes: %v", s.read, err)
}

// inFile says which file a new complaint is about.
func inFile(file string, e *Error) *Error {
	e.File = file
	return e
}
