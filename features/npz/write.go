package npz

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// Values of an array to write: float64 or int64, row-major.
type Values struct {
	Name   string
	Shape  []int
	Floats []float64
	Ints   []int64 // where Floats is nil
}

// Write writes arrays as numpy.savez does: an archive of .npy files of version 1.0, stored without compression, little-endian.
func Write(w io.Writer, arrays ...Values) error {
	archive := zip.NewWriter(w)
	for _, a := range arrays {
		part, err := archive.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
		if err == nil {
			_, err = part.Write(a.npy())
		}
		if err != nil {
			return fmt.Errorf("npz: %s: %w", a.Name, err)
		}
	}
	return archive.Close()
}

// npy is the array as an .npy file. Its header is padded with spaces to a multiple of 64 bytes.
func (a Values) npy() []byte {
	descr := "<f8"
	if a.Floats == nil {
		descr = "<i8"
	}
	shape := ""
	for _, n := range a.Shape {
		shape += fmt.Sprintf("%d,", n)
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
	const before = 10 // magic, version, length of the header
	header += strings.Repeat(" ", 63-(before+len(header))%64) + "\n"
	b := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	b = append(b, header...)
	for _, v := range a.Floats {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	for _, v := range a.Ints {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}
