package npz

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
)

// Values of an array to write, row-major: one of the slices is not nil, or the array is an empty one of int64.
type Values struct {
	Name    string
	Shape   []int
	Singles []float32
	Floats  []float64
	Ints    []int64
	Bytes   []uint8
}

// Write writes arrays as numpy.savez does: an archive of .npy files of version 1.0, stored without compression, little-endian.
func Write(w io.Writer, arrays ...Values) error {
	archive := zip.NewWriter(w)
	for _, a := range arrays {
		part, err := archive.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
		if err == nil {
			err = a.npy(part)
		}
		if err != nil {
			return fmt.Errorf("npz: %s: %w", a.Name, err)
		}
	}
	return archive.Close()
}

// npy writes the array as an .npy file. Its header is padded with spaces to a multiple of 64 bytes.
func (a Values) npy(w io.Writer) error {
	descr := "<i8"
	switch {
	case a.Floats != nil:
		descr = "<f8"
	case a.Singles != nil:
		descr = "<f4"
	case a.Bytes != nil:
		descr = "|u1"
	}
	shape := ""
	for _, n := range a.Shape {
		shape += fmt.Sprintf("%d,", n)
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
	const before = 10 // magic, version, length of the header
	header += strings.Repeat(" ", 63-(before+len(header))%64) + "\n"
	b := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	if _, err := w.Write(append(b, header...)); err != nil {
		return err
	}
	switch {
	case a.Floats != nil:
		return array.Write(w, a.Floats)
	case a.Singles != nil:
		return array.Write(w, a.Singles)
	case a.Bytes != nil:
		return array.Write(w, a.Bytes)
	}
	return array.Write(w, a.Ints)
}
