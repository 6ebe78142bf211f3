package array

import (
	"io"
	"unsafe"
)

// Write writes elements as all formats store them, little-endian, without copying them where the host is.
func Write[T float32 | float64 | int64 | uint8](w io.Writer, v []T) error {
	var t T
	size := int(unsafe.Sizeof(t))
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*size)
	if hostBigEndian && size > 1 {
		raw = append([]byte(nil), raw...)
		swap(raw, size)
	}
	_, err := w.Write(raw)
	return err
}
