package formattest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
)

// Encode is the values as elements of a type, in the order given.
func Encode(t array.DType, order binary.AppendByteOrder, values []float64) []byte {
	var b []byte
	for _, v := range values {
		switch t {
		case array.Bool, array.Uint8:
			b = append(b, byte(v))
		case array.Int8:
			b = append(b, byte(int8(v)))
		case array.Int16:
			b = order.AppendUint16(b, uint16(int16(v)))
		case array.Uint16:
			b = order.AppendUint16(b, uint16(v))
		case array.Int32:
			b = order.AppendUint32(b, uint32(int32(v)))
		case array.Uint32:
			b = order.AppendUint32(b, uint32(v))
		case array.Int64:
			b = order.AppendUint64(b, uint64(int64(v)))
		case array.Uint64:
			b = order.AppendUint64(b, uint64(v))
		case array.Float16:
			b = order.AppendUint16(b, half(v))
		case array.BFloat16:
			b = order.AppendUint16(b, uint16(math.Float32bits(float32(v))>>16))
		case array.Float32:
			b = order.AppendUint32(b, math.Float32bits(float32(v)))
		case array.Float64:
			b = order.AppendUint64(b, math.Float64bits(v))
		}
	}
	return b
}

// half is a value that float16 holds exactly, as a normal number, zero, infinity or NaN.
func half(v float64) uint16 {
	b := math.Float64bits(v)
	sign, exp, frac := uint16(b>>63)<<15, int(b>>52&0x7ff)-1023, uint16(b>>42&0x3ff)
	switch {
	case v == 0:
		return sign
	case exp == 1024 && b<<12 != 0:
		return sign | 0x7e00
	case exp > 15:
		return sign | 0x7c00
	}
	return sign | uint16(exp+15)<<10 | frac
}

// Descr is the name of a type in an .npy header.
func Descr(t array.DType, big bool) string {
	kind := map[array.DType]string{
		array.Bool: "b1", array.Int8: "i1", array.Uint8: "u1", array.Int16: "i2", array.Uint16: "u2",
		array.Int32: "i4", array.Uint32: "u4", array.Int64: "i8", array.Uint64: "u8",
		array.Float16: "f2", array.BFloat16: "u2", array.Float32: "f4", array.Float64: "f8",
	}[t]
	switch {
	case t.Size() == 1:
		return "|" + kind
	case big:
		return ">" + kind
	}
	return "<" + kind
}

// NPYHeader is an .npy header of version 1 around any dictionary.
func NPYHeader(dict string) []byte {
	pad := 63 - (10+len(dict))%64
	h := []byte("\x93NUMPY\x01\x00")
	h = binary.LittleEndian.AppendUint16(h, uint16(len(dict)+pad+1))
	return append(h, dict+strings.Repeat(" ", pad)+"\n"...)
}

// NPY is an array as an .npy file.
func NPY(a Array, big, fortran bool) []byte {
	shape, order := "(", "False"
	for _, n := range a.Shape {
		shape += fmt.Sprintf("%d,", n)
	}
	values := a.Values
	if fortran {
		order = "True"
		values = make([]float64, len(a.Values))
		rows := a.Shape[0]
		width := len(values) / rows
		for i, v := range a.Values { // a matrix
			values[i%width*rows+i/width] = v
		}
	}
	var bytes binary.AppendByteOrder = binary.LittleEndian
	if big {
		bytes = binary.BigEndian
	}
	h := NPYHeader(fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s), }", Descr(a.DType, big), order, shape))
	return append(h, Encode(a.DType, bytes, values)...)
}

// An Entry is a file in an archive.
type Entry struct {
	Name    string
	Data    []byte
	Deflate bool
}

// Zip is an archive of entries, with their sizes in the local headers, as numpy writes them.
func Zip(entries ...Entry) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		data := e.Data
		h := &zip.FileHeader{Name: e.Name, Method: zip.Store}
		if e.Deflate {
			data, h.Method = deflate(e.Data), zip.Deflate
		}
		h.CRC32 = crc(e.Data)
		h.UncompressedSize64, h.CompressedSize64 = uint64(len(e.Data)), uint64(len(data))
		part, err := w.CreateRaw(h)
		if err == nil {
			_, err = part.Write(data)
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// NPZ is arrays as an .npz file.
func NPZ(deflate bool, arrays ...Array) []byte {
	var entries []Entry
	for _, a := range arrays {
		entries = append(entries, Entry{a.Name + ".npy", NPY(a, false, false), deflate})
	}
	return Zip(entries...)
}

// SafetensorsHeader is a header, whatever it is, before data.
func SafetensorsHeader(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

// Safetensors is arrays as a .safetensors file.
func Safetensors(arrays ...Array) []byte {
	kinds := map[array.DType]string{
		array.Bool: "BOOL", array.Int8: "I8", array.Uint8: "U8", array.Int16: "I16", array.Uint16: "U16",
		array.Int32: "I32", array.Uint32: "U32", array.Int64: "I64", array.Uint64: "U64",
		array.Float16: "F16", array.BFloat16: "BF16", array.Float32: "F32", array.Float64: "F64",
	}
	var data []byte
	header := `{"__metadata__":{"format":"pt"}`
	for _, a := range arrays {
		begin := len(data)
		data = append(data, Encode(a.DType, binary.LittleEndian, a.Values)...)
		name, _ := json.Marshal(a.Name)
		shape, _ := json.Marshal(append([]int{}, a.Shape...))
		header += fmt.Sprintf(`,%s:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, kinds[a.DType], shape, begin, len(data))
	}
	return SafetensorsHeader(header+"}", data)
}

// Torch is arrays as torch.save writes a dict of contiguous tensors.
func Torch(arrays ...Array) []byte {
	storages := map[array.DType]string{
		array.Bool: "Bool", array.Int8: "Char", array.Uint8: "Byte", array.Int16: "Short", array.Int32: "Int", array.Int64: "Long",
		array.Float16: "Half", array.BFloat16: "BFloat16", array.Float32: "Float", array.Float64: "Double",
	}
	text := func(v string) string {
		return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(v)))) + v
	}
	number := func(n int) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	var entries []Entry
	pickle := "\x80\x02}("
	for i, a := range arrays {
		n := 1
		for _, length := range a.Shape {
			n *= length
		}
		shape, stride, step := "", "", n
		for _, length := range a.Shape {
			step /= length
			shape, stride = shape+number(length), stride+number(step)
		}
		key := fmt.Sprint(i)
		pickle += text(a.Name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + storages[a.DType] + "Storage\n" +
			text(key) + text("cpu") + number(n) + "tQ" + number(0) + "(" + shape + "t(" + stride + "t\x89ccollections\nOrderedDict\n)RtR"
		entries = append(entries, Entry{Name: "archive/data/" + key, Data: Encode(a.DType, binary.LittleEndian, a.Values)})
	}
	entries = append([]Entry{{Name: "archive/data.pkl", Data: []byte(pickle + "u.")}}, entries...)
	return Zip(append(entries, Entry{Name: "archive/version", Data: []byte("3\n")})...)
}

func crc(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

func deflate(b []byte) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return out.Bytes()
}
