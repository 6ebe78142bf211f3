// Package npz reads NumPy's .npz files: zip archives of .npy files, stored or deflated.
//
// A stored array is read at any place, by any number of goroutines. A deflated one is inflated whole
// when it is opened and kept, while the budget lets it: up to a quarter of it for all of a file.
// Beyond that it is a stream, which starts again when it is read from the beginning. Check sums
// are compared while the data are read for the first time: see checked.
package npz

import (
	"bytes"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate" // half as fast again as the standard library's on rows of floats

	"github.com/collapsar/collapsar/features/npy"
	"github.com/collapsar/collapsar/internal/array"
)

// Sniff reports whether head, the first bytes of a file, begins a zip archive whose first entry is
// called *.npy.
func Sniff(head []byte) bool {
	if len(head) < localLen || string(head[:4]) != localMagic {
		return false
	}
	name := head[localLen:min(len(head), localLen+(int(head[26])|int(head[27])<<8))]
	return bytes.HasSuffix(name, []byte(".npy"))
}

// Open reads the directory and the headers of the arrays.
func Open(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
	entries, err := readZip(r, size)
	if err != nil {
		return nil, err
	}
	f := &file{members: make([]member, 0, len(entries)), budget: o.Budget(), keep: o.Budget() / 4}
	names := make(map[string]bool, len(entries))
	var inflate io.ReadCloser
	for _, e := range entries {
		if strings.HasSuffix(e.name, "/") && e.size == 0 {
			continue // a folder, which packing by hand leaves behind
		}
		m := member{entry: e, raw: io.NewSectionReader(r, e.data, e.compressed)}
		name, ok := strings.CutSuffix(e.name, ".npy")
		if name == "" || names[name] {
			return nil, malformed(name, "two arrays of this name, or none")
		}
		names[name] = true
		if !ok {
			m.npy.Info = array.Info{Name: name, Refused: array.Errorf(array.Unsupported, name, "not an .npy entry")}
			f.members = append(f.members, m)
			continue
		}
		var head io.Reader
		if e.method == methodStore {
			m.checked = &checked{r: m.raw, size: e.size, want: e.crc}
			head = io.NewSectionReader(m.checked, 0, e.size)
		} else {
			if inflate == nil {
				inflate = flate.NewReader(m.raw)
			} else if err := inflate.(flate.Resetter).Reset(m.raw, nil); err != nil {
				return nil, malformed(e.name, "%v", err)
			}
			m.npy.Info.Name = name // for what inflating says
			head = &inflating{m: &m, flate: inflate}
		}
		if m.npy, err = npy.ReadHeader(head, name); err == nil {
			err = m.npy.CheckSize(e.size)
		}
		if err != nil {
			return nil, err
		}
		f.members = append(f.members, m)
	}
	return f, nil
}

type file struct {
	members []member
	budget  int64

	mu   sync.Mutex
	keep int64 // bytes that may still be inflated and kept
}

type member struct {
	entry
	npy     npy.Header
	raw     *io.SectionReader // the bytes as they lie in the archive
	checked *checked          // the same of a stored entry
	data    []byte            // what has been inflated and kept
}

func (f *file) Format() string { return "npz" }
func (f *file) Close() error   { return nil }

func (f *file) Arrays() []array.Info {
	infos := make([]array.Info, len(f.members))
	for i, m := range f.members {
		infos[i] = m.npy.Info
	}
	return infos
}

func (f *file) Open(name string) (array.Array, error) {
	for i := range f.members {
		if f.members[i].npy.Info.Name == name {
			return f.open(&f.members[i])
		}
	}
	return nil, array.Errorf(array.NotFound, name, "no such array")
}

func (f *file) open(m *member) (array.Array, error) {
	info := m.npy.Info
	if info.Refused != nil {
		return nil, info.Refused
	}
	if m.checked != nil {
		return array.At(info, m.checked, m.npy.Size, m.npy.Layout), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.data == nil {
		size, _ := info.Bytes()
		limit := f.keep
		if m.npy.Layout.Strides != nil { // its rows come together only at the end
			limit = f.budget
		}
		switch {
		case size <= limit:
			if err := m.inflate(int(size)); err != nil {
				return nil, err
			}
			f.keep = max(0, f.keep-size)
		case m.npy.Layout.Strides != nil:
			return nil, array.Errorf(array.TooLarge, info.Name, "%s, deflated in Fortran order, has to be held whole: %d bytes, the budget is %d; raise --memory, or save np.ascontiguousarray(x)", info, size, f.budget)
		default:
			return array.Stream(info, m.npy.Layout.BigEndian, m.stream), nil
		}
	}
	return array.At(info, bytes.NewReader(m.data), 0, m.npy.Layout), nil
}

// inflate reads the data whole. Memory grows with what is really there: rows of floats rarely
// deflate to less than an eighth.
func (m *member) inflate(size int) error {
	rc, err := m.stream()
	if err != nil {
		return err
	}
	defer rc.Close()
	data := make([]byte, 0, min(int64(size), 8*m.compressed))
	for len(data) < size {
		if len(data) == cap(data) {
			data = slices.Grow(data, min(size-len(data), len(data)+4096))
		}
		n, err := io.ReadFull(rc, data[len(data):min(cap(data), size)])
		data = data[:len(data)+n]
		if err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, rc); err != nil { // the check sum is compared at the end
		return err
	}
	m.data = data
	return nil
}

// stream inflates the data behind the header.
func (m *member) stream() (io.ReadCloser, error) {
	in := &inflating{m: m, flate: flate.NewReader(io.NewSectionReader(m.raw, 0, m.compressed))}
	if _, err := io.CopyN(io.Discard, in, m.npy.Size); err != nil {
		return nil, err
	}
	return in, nil
}

// inflating compares size and check sum at the end.
type inflating struct {
	m     *member
	flate io.ReadCloser
	n     int64
	crc   uint32
}

func (s *inflating) Read(p []byte) (int, error) {
	n, err := s.flate.Read(p)
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p[:n])
	s.n += int64(n)
	name := s.m.npy.Info.Name
	switch {
	case s.n > s.m.size, err == io.EOF && s.n < s.m.size:
		return 0, malformed(name, "inflates to more or fewer than the %d bytes declared", s.m.size)
	case err == io.EOF && s.crc != s.m.crc:
		return 0, malformed(name, "CRC-32 of the data is %08x, the archive has %08x: the file is damaged", s.crc, s.m.crc)
	case err != nil && err != io.EOF:
		return 0, malformed(name, "deflated data: %v", strings.TrimPrefix(err.Error(), "flate: "))
	}
	return n, err
}

func (s *inflating) Close() error { return s.flate.Close() }
