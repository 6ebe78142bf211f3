package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/collapsar/collapsar/internal/array"
)

// Values of a tensor to write, row-major: one of the slices is not nil, or the tensor is an empty one of F32.
type Values struct {
	Name    string
	Shape   []int // nil for a scalar
	Singles []float32
	Floats  []float64
	Ints    []int64
	Bytes   []uint8
}

// Write writes tensors in the order given, with metadata (may be nil) in the header under __metadata__. The same values give the
// same bytes. The header is padded with spaces to a multiple of 8 bytes, as the reference implementation does.
func Write(w io.Writer, metadata map[string]string, tensors ...Values) error {
	header := []byte{'{'}
	field := func(name string, v any) error {
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		text, err := json.Marshal(v) // keys of maps are sorted
		if err != nil {
			return err
		}
		if len(header) > 1 {
			header = append(header, ',')
		}
		header = append(append(append(header, key...), ':'), text...)
		return nil
	}
	if metadata != nil {
		if err := field("__metadata__", metadata); err != nil {
			return fmt.Errorf("safetensors: metadata: %w", err)
		}
	}
	at := 0
	for _, t := range tensors {
		dtype, size, n := t.kind()
		want := 1
		shape := []int{}
		for _, axis := range t.Shape {
			want *= axis
			shape = append(shape, axis)
		}
		if n != want {
			return fmt.Errorf("safetensors: %s: %d elements, shape %v has %d", t.Name, n, t.Shape, want)
		}
		entry := struct {
			DType   string `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}{dtype, shape, [2]int{at, at + n*size}}
		if err := field(t.Name, entry); err != nil {
			return fmt.Errorf("safetensors: %s: %w", t.Name, err)
		}
		at += n * size
	}
	header = append(header, '}')
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	if _, err := w.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)); err != nil {
		return err
	}
	for _, t := range tensors {
		if err := t.write(w); err != nil {
			return err
		}
	}
	return nil
}

func (t Values) kind() (dtype string, size, n int) {
	switch {
	case t.Floats != nil:
		return "F64", 8, len(t.Floats)
	case t.Ints != nil:
		return "I64", 8, len(t.Ints)
	case t.Bytes != nil:
		return "U8", 1, len(t.Bytes)
	}
	return "F32", 4, len(t.Singles)
}

func (t Values) write(w io.Writer) error {
	switch {
	case t.Floats != nil:
		return array.Write(w, t.Floats)
	case t.Ints != nil:
		return array.Write(w, t.Ints)
	case t.Bytes != nil:
		return array.Write(w, t.Bytes)
	}
	return array.Write(w, t.Singles)
}

// Metadata reads what stands under __metadata__ in the header of a file, nil if there is nothing.
func Metadata(r io.ReaderAt, size int64, o array.Options) (map[string]string, error) {
	if _, err := Open(r, size, o); err != nil { // lengths and the whole header are checked there
		return nil, err
	}
	var prefix [8]byte
	if err := array.ReadFull(r, prefix[:], 0); err != nil {
		return nil, err
	}
	header := make([]byte, binary.LittleEndian.Uint64(prefix[:]))
	if err := array.ReadFull(r, header, 8); err != nil {
		return nil, err
	}
	var in struct {
		Metadata map[string]string `json:"__metadata__"`
	}
	if err := json.Unmarshal(header, &in); err != nil {
		return nil, array.Errorf(array.Malformed, "__metadata__", "%v", err)
	}
	return in.Metadata, nil
}
