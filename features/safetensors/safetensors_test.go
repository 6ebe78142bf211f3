package safetensors

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/formattest"
)

var format = formattest.Format{Name: "safetensors", Sniff: Sniff, Open: Open}

func TestFormat(t *testing.T) {
	var all []formattest.Array
	for _, dtype := range formattest.Types {
		all = append(all, formattest.Matrix("features/"+dtype.String(), dtype, 13, 5))
	}
	all = append(all, formattest.Vector("labels", array.Int64, 13), formattest.Vector("ünï \"code\"", array.Uint8, 3))
	large := []formattest.Array{formattest.Matrix("features", array.BFloat16, 20_000, 20), formattest.Vector("labels", array.Uint8, 20_000)}
	for _, c := range []formattest.Case{
		{Name: "all types", Data: formattest.Safetensors(all...), Arrays: all, Random: true},
		{Name: "large", Data: formattest.Safetensors(large...), Arrays: large, Random: true},
		{Name: "padded", Data: raw(`{"x":{"shape":[1],"data_offsets":[0,1],"dtype":"U8"}}     `, 1), Arrays: []formattest.Array{{Name: "x", DType: array.Uint8, Shape: []int{1}, Values: []float64{0}}}, Random: true},
		{Name: "other order", Data: raw(`{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"e":{"dtype":"F32","shape":[0,3],"data_offsets":[1,1]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, 2),
			Arrays: []formattest.Array{{Name: "b", DType: array.Uint8, Shape: []int{1}, Values: []float64{0}}, {Name: "e", DType: array.Float32, Shape: []int{0, 3}}, {Name: "a", DType: array.Uint8, Shape: []int{}, Values: []float64{0}}}, Random: true},
	} {
		formattest.Run(t, format, c)
	}
}

// raw is a header before zero bytes.
func raw(header string, data int) []byte {
	return formattest.SafetensorsHeader(header, make([]byte, data))
}

// Every bad file with the words of its refusal.
var bad = map[string]struct {
	data []byte
	want string
}{
	"too short":          {[]byte{1, 2, 3}, "truncated: 3 bytes, expected the length of the header in the first 8"},
	"long header":        {binary.LittleEndian.AppendUint64(nil, 100_000_001), "too_large: a header of 100000001 bytes, at most 100000000 are read"},
	"header cut":         {binary.LittleEndian.AppendUint64(nil, 100), "truncated: a header of 100 bytes, the file has 0"},
	"no brace":           {raw(` {}`, 0), "malformed: the header does not begin with a brace"},
	"no header":          {raw(``, 0), "malformed: the header does not begin with a brace"},
	"not utf-8":          {raw("{\"\xff\":1}", 0), "malformed: the header is not UTF-8"},
	"not json":           {raw(`{"x":}`, 0), "malformed: the header is not JSON"},
	"after json":         {raw(`{}{}`, 0), "malformed: the header is not JSON"},
	"tensor twice":       {raw(`{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0078":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), "x: malformed: two tensors of this name"},
	"key twice":          {raw(`{"x":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}`, 1), `x: malformed: key "dtype" twice`},
	"metadata twice":     {raw(`{"__metadata__":{},"__metadata__":{}}`, 0), "__metadata__: malformed: two tensors of this name"},
	"metadata key twice": {raw(`{"__metadata__":{"a":"b","a":"c"}}`, 0), `__metadata__: malformed: key "a" twice`},
	"metadata number":    {raw(`{"__metadata__":{"a":1}}`, 0), `__metadata__: malformed: the value of "a" is not a string`},
	"metadata list":      {raw(`{"__metadata__":[]}`, 0), "__metadata__: malformed: expected an object"},
	"tensor number":      {raw(`{"x":1}`, 0), "x: malformed: expected an object"},
	"unknown key":        {raw(`{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"file":"/etc/passwd"}}`, 1), `x: malformed: unknown key "file"`},
	"missing key":        {raw(`{"x":{"dtype":"U8","data_offsets":[0,1]}}`, 1), "x: malformed: no shape"},
	"dtype number":       {raw(`{"x":{"dtype":8,"shape":[1],"data_offsets":[0,1]}}`, 1), "x: malformed: dtype is not a string"},
	"unknown dtype":      {raw(`{"x":{"dtype":"F33","shape":[1],"data_offsets":[0,1]}}`, 1), `x: malformed: unknown type "F33"`},
	"fp8":                {raw(`{"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}`, 1), "x: unsupported: type F8_E4M3; save it as F16, BF16, F32 or F64"},
	"fp4":                {raw(`{"x":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}`, 1), "x: unsupported: type F4; save it as F16, BF16, F32 or F64"},
	"negative axis":      {raw(`{"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, 1), "x: malformed: shape holds -1, expected a whole number from 0 on"},
	"float axis":         {raw(`{"x":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}`, 1), "x: malformed: shape holds 1.0, expected a whole number from 0 on"},
	"text axis":          {raw(`{"x":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}}`, 1), "x: malformed: shape holds something else than numbers"},
	"nested shape":       {raw(`{"x":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}}`, 1), "x: malformed: shape holds something else than numbers"},
	"shape number":       {raw(`{"x":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}`, 1), "x: malformed: shape is not a list"},
	"many axes":          {raw(`{"x":{"dtype":"U8","shape":[`+strings.Repeat("1,", 64)+`1],"data_offsets":[0,1]}}`, 1), "x: malformed: shape has more than 64 numbers"},
	"overflow":           {raw(`{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,1]}}`, 1), "x: malformed: shape [4294967296 4294967296]: the number of elements overflows"},
	"hidden overflow":    {raw(`{"x":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}`, 0), "x: malformed: shape [0 4294967296 4294967296]: the number of elements overflows"},
	"size":               {raw(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}}`, 7), "x: malformed: F32 [2] takes 8 bytes, data_offsets are [0, 7]"},
	"offsets turned":     {raw(`{"x":{"dtype":"U8","shape":[1],"data_offsets":[2,1]}}`, 2), "x: malformed: data_offsets are [2 1], expected begin and end"},
	"one offset":         {raw(`{"x":{"dtype":"U8","shape":[1],"data_offsets":[1]}}`, 2), "x: malformed: data_offsets are [1], expected begin and end"},
	"overlap":            {raw(`{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), "y: malformed: overlaps the tensor before: it begins at byte 1 of the data, expected 2"},
	"same place":         {raw(`{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 2), "y: malformed: overlaps the tensor before: it begins at byte 0 of the data, expected 2"},
	"hole":               {raw(`{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3), "y: malformed: leaves a hole: it begins at byte 2 of the data, expected 1"},
	"data cut":           {raw(`{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 3), "truncated: 4 bytes of data are declared, the file has 3"},
	"data after":         {raw(`{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 5), "malformed: 1 bytes follow the data"},
}

func TestBad(t *testing.T) {
	for name, c := range bad {
		f, err := Open(bytes.NewReader(c.data), int64(len(c.data)), array.Options{})
		if err == nil && len(f.Arrays()) > 0 {
			_, err = f.Open(f.Arrays()[0].Name)
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nexpected: %s", name, err, c.want)
		}
	}
}

func TestBudget(t *testing.T) {
	data := raw(`{"`+strings.Repeat("x", 1000)+`":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1)
	_, err := Open(bytes.NewReader(data), int64(len(data)), array.Options{Memory: 1000})
	if want := "too_large: a header of 1052 bytes takes four times as many to read, the budget is 1000; raise --memory"; err == nil || err.Error() != want {
		t.Errorf("%v\nexpected: %s", err, want)
	}
}

func FuzzOpen(f *testing.F) {
	seeds := [][]byte{
		formattest.Safetensors(formattest.Matrix("features", array.BFloat16, 3, 2), formattest.Vector("labels", array.Int64, 3)),
		formattest.Safetensors(formattest.Matrix("features", array.Float32, 3, 2)),
	}
	for _, c := range bad {
		seeds = append(seeds, c.data)
	}
	formattest.Fuzz(f, Open, seeds...)
}
