package array

import (
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"github.com/collapsar/collapsar/internal/kernel"
)

var hostBigEndian = func() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 0
}()

// swap reverses the bytes of every element.
func swap(raw []byte, size int) {
	switch size {
	case 2:
		for i := 0; i+2 <= len(raw); i += 2 {
			raw[i], raw[i+1] = raw[i+1], raw[i]
		}
	case 4:
		v := view[uint32](raw)
		for i := range v {
			v[i] = bits.ReverseBytes32(v[i])
		}
	case 8:
		v := view[uint64](raw)
		for i := range v {
			v[i] = bits.ReverseBytes64(v[i])
		}
	}
}

func toFloat32(dst []float32, raw []byte, t DType) int {
	switch t {
	case Float16:
		kernel.Half(dst, view[uint16](raw))
	case BFloat16:
		kernel.BFloat16(dst, view[uint16](raw))
	case Float64:
		kernel.Narrow(dst, view[float64](raw))
	case Float32:
		copy(dst, view[float32](raw))
	default:
		toFloat(dst, raw, t)
	}
	return -1
}

func toFloat64(dst []float64, raw []byte, t DType) int {
	switch t {
	case Float16, BFloat16:
		var part [512]float32
		for src := view[uint16](raw); len(src) > 0; {
			n := min(len(src), len(part))
			toFloat32(part[:n], rawBytes(src[:n]), t)
			kernel.Widen(dst, part[:n])
			src, dst = src[n:], dst[n:]
		}
	case Float32:
		kernel.Widen(dst, view[float32](raw))
	case Float64:
		copy(dst, view[float64](raw))
	default:
		toFloat(dst, raw, t)
	}
	return -1
}

// toFloat converts the integer types.
func toFloat[T float32 | float64](dst []T, raw []byte, t DType) {
	switch t {
	case Bool:
		for i, v := range raw {
			dst[i] = 0
			if v != 0 {
				dst[i] = 1
			}
		}
	case Int8:
		convert(dst, view[int8](raw))
	case Uint8:
		convert(dst, raw)
	case Int16:
		convert(dst, view[int16](raw))
	case Uint16:
		convert(dst, view[uint16](raw))
	case Int32:
		convert(dst, view[int32](raw))
	case Uint32:
		convert(dst, view[uint32](raw))
	case Int64:
		convert(dst, view[int64](raw))
	case Uint64:
		convert(dst, view[uint64](raw))
	}
}

func toInt64(dst []int64, raw []byte, t DType) int {
	switch t {
	case Bool:
		for i, v := range raw {
			dst[i] = 0
			if v != 0 {
				dst[i] = 1
			}
		}
	case Int8:
		convert(dst, view[int8](raw))
	case Uint8:
		convert(dst, raw)
	case Int16:
		convert(dst, view[int16](raw))
	case Uint16:
		convert(dst, view[uint16](raw))
	case Int32:
		convert(dst, view[int32](raw))
	case Uint32:
		convert(dst, view[uint32](raw))
	case Int64:
		copy(dst, view[int64](raw))
	case Uint64:
		for i, v := range view[uint64](raw) {
			if v > math.MaxInt64 {
				return i
			}
			dst[i] = int64(v)
		}
	default:
		for i := range dst {
			v, ok := integral(float(raw, i, t))
			if !ok {
				return i
			}
			dst[i] = v
		}
	}
	return -1
}

func convert[D, S element](dst []D, src []S) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = D(v)
	}
}

// integral is v as an integer, if it is one.
func integral(v float64) (int64, bool) {
	if v != math.Trunc(v) || v < -1<<63 || v >= 1<<63 { // NaN fails the first
		return 0, false
	}
	return int64(v), true
}

// float is element i of a floating-point type.
func float(raw []byte, i int, t DType) float64 {
	switch t {
	case Float64:
		return view[float64](raw)[i]
	case Float32:
		return float64(view[float32](raw)[i])
	}
	var v [1]float32
	toFloat32(v[:], raw[2*i:2*i+2], t)
	return float64(v[0])
}

// notInteger is the complaint about an element that is no int64: the one at raw, the k-th of the
// rows from lo on.
func (a Info) notInteger(lo, k int, raw []byte) error {
	w := a.Width()
	var v any
	if a.DType == Uint64 {
		v = view[uint64](raw)[0]
	} else {
		v = float(raw, 0, a.DType)
	}
	at := fmt.Sprintf("row %d", lo+k/w)
	if w > 1 {
		at += fmt.Sprintf(", column %d", k%w)
	}
	return Errorf(BadLabel, a.Name, "%s holds %v: a label is an integer", at, v)
}
