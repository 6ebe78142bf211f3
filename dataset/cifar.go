package dataset

import (
	"archive/tar"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
)

// A cifar is one of the two data sets in its binary version (Krizhevsky 2009). A record is the label bytes, of which the
// last counts (CIFAR-100 has a coarse one before it), then the planes R, G, B of 32 x 32 bytes.
type cifar struct {
	train   []string // files
	test    string
	names   string // file with the names of the classes, if it is there
	labels  int    // label bytes of a record
	classes []string
}

var (
	cifar10Classes = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
	cifars         = []cifar{
		{[]string{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"}, "test_batch.bin", "batches.meta.txt", 1, cifar10Classes},
		{[]string{"train.bin"}, "test.bin", "fine_label_names.txt", 2, numbers(100)},
	}
)

// cifarOf is the data set that a file belongs to, nil for other files.
func cifarOf(name string) *cifar {
	for i, c := range cifars {
		if slices.Contains(c.train, name) || name == c.test {
			return &cifars[i]
		}
	}
	return nil
}

// openCIFARFolder reads the files of a folder, each plain or gzipped.
func openCIFARFolder(folder string, c *cifar, o Options) (*Set, error) {
	parts, names := map[string]Split{}, c.classes
	for _, name := range append([]string{c.names, c.test}, c.train...) {
		at := filepath.Join(folder, name)
		if !exists(at) {
			at += ".gz"
		}
		s, err := openStream(at)
		if err != nil {
			if os.IsNotExist(err.(*Error).Err) {
				continue // put says what is missing
			}
			return nil, err
		}
		if name == c.names {
			names, err = c.readNames(s)
		} else {
			parts[name], err = c.read(s, o)
		}
		s.Close()
		if err != nil {
			return nil, err
		}
	}
	return c.put(folder, parts, names)
}

// openCIFARTar reads them from an archive, of which some members may have been passed.
func openCIFARTar(s *stream, t *tar.Reader, h *tar.Header, c *cifar, o Options) (*Set, error) {
	parts, names := map[string]Split{}, c.classes
	var err error
	for ; err == nil; h, err = t.Next() {
		name := path.Base(h.Name)
		if h.Typeflag != tar.TypeReg || cifarOf(name) != c && name != c.names {
			continue
		}
		m, err := newStream(s.name, t, h.Size)
		if err == nil {
			if name == c.names {
				names, err = c.readNames(m)
			} else {
				parts[name], err = c.read(m, o)
			}
		}
		if err != nil {
			return nil, array.Locate(err, "", h.Name)
		}
	}
	if err != io.EOF {
		return nil, s.failed(err)
	}
	return c.put(s.name, parts, names)
}

// read reads records to the end.
func (c *cifar) read(s *stream, o Options) (Split, error) {
	const plane = 32 * 32
	size := int64(c.labels + 3*plane)
	if s.exact && s.size%size != 0 {
		return Split{}, s.errorf(array.Malformed, "%d bytes, expected a multiple of %d: images of 32 x 32 x 3 with %d label bytes", s.size, size, c.labels)
	}
	var p Split
	record := make([]byte, size)
	for {
		switch n, err := io.ReadFull(s, record); {
		case err == io.EOF && p.Rows == 0:
			return p, s.errorf(array.Empty, "no images")
		case err == io.EOF:
			return p, nil
		case err == io.ErrUnexpectedEOF:
			return p, s.errorf(array.Truncated, "image %d has %d of %d bytes", p.Rows, n, size)
		case err != nil:
			return p, err
		}
		label := int32(record[c.labels-1])
		if int(label) >= len(c.classes) {
			return p, s.errorf(array.BadLabel, "image %d has label %d, expected 0 to %d", p.Rows, label, len(c.classes)-1)
		}
		if int64(len(p.Pixels))+3*plane > o.memory() {
			return p, s.errorf(array.TooLarge, "more than %d images, the budget is %d bytes", p.Rows, o.memory())
		}
		p.Rows++
		p.Labels = append(p.Labels, label)
		r, g, b := record[c.labels:][:plane], record[c.labels+plane:][:plane], record[c.labels+2*plane:][:plane]
		for i := range r {
			p.Pixels = append(p.Pixels, r[i], g[i], b[i])
		}
	}
}

// readNames reads one name a line; a file with another number of them is passed over.
func (c *cifar) readNames(s *stream) ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(s, 1<<16))
	if names := strings.Fields(string(text)); err == nil && len(names) == len(c.classes) {
		return names, nil
	}
	return c.classes, err
}

// put puts the parts together, in the order of their numbers.
func (c *cifar) put(file string, parts map[string]Split, names []string) (*Set, error) {
	set := &Set{Shape: Shape{32, 32, 3}, Classes: names, Test: parts[c.test]}
	for _, name := range c.train {
		p, ok := parts[name]
		if !ok {
			return nil, inFile(file, array.Errorf(array.NotFound, name, "not there; expected are %s, and %s for the test", strings.Join(c.train, ", "), c.test))
		}
		set.Train.Rows += p.Rows
		set.Train.Pixels = append(set.Train.Pixels, p.Pixels...)
		set.Train.Labels = append(set.Train.Labels, p.Labels...)
	}
	return set, nil
}
