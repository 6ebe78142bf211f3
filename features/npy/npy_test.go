package npy

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/formattest"
)

var format = formattest.Format{Name: "npy", Sniff: Sniff, Open: Open}

func TestFormat(t *testing.T) {
	run := func(name string, a formattest.Array, big, fortran bool) {
		a.Name = Name
		formattest.Run(t, format, formattest.Case{
			Name: name, Data: formattest.NPY(a, big, fortran), Arrays: []formattest.Array{a}, Random: true,
		})
	}
	for _, dtype := range formattest.Types {
		if dtype == array.BFloat16 { // the format has none
			continue
		}
		for _, big := range []bool{false, true} {
			for _, fortran := range []bool{false, true} {
				run(fmt.Sprintf("%s big=%v fortran=%v", dtype, big, fortran), formattest.Matrix("", dtype, 11, 5), big, fortran)
			}
		}
	}
	for _, big := range []bool{false, true} {
		for _, fortran := range []bool{false, true} { // beyond one block of decoding
			run(fmt.Sprintf("large big=%v fortran=%v", big, fortran), formattest.Matrix("", array.Float16, 17000, 3), big, fortran)
		}
	}
	run("vector", formattest.Vector("", array.Int64, 9), false, false)
	run("column", formattest.Matrix("", array.Float32, 9, 1), false, true)
	special := formattest.Matrix("", array.Float32, 2, 3)
	copy(special.Values, []float64{math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, 0x1p-149, -0x1p-126})
	run("special", special, true, false)
	three := formattest.Matrix("", array.Float32, 4, 6)
	three.Shape = []int{4, 2, 3}
	run("three axes", three, false, false)
	empty := formattest.Matrix("", array.Float32, 0, 3)
	t.Run("empty", func(t *testing.T) {
		f, err := Open(bytes.NewReader(formattest.NPY(empty, false, false)), int64(len(formattest.NPY(empty, false, false))), array.Options{})
		if err != nil || f.Arrays()[0].Rows() != 0 {
			t.Error(f, err)
		}
	})
}

// A matrix of three axes in Fortran order: the general case of strides.
func TestFortranThreeAxes(t *testing.T) {
	shape := []int{3, 4, 5}
	var data []float64
	for k := range 5 {
		for j := range 4 {
			for i := range 3 {
				data = append(data, float64(100*i+10*j+k))
			}
		}
	}
	file := append(header("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4, 5)}"), floats(data)...)
	f, err := Open(bytes.NewReader(file), int64(len(file)), array.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.Open(Name)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, 2*20)
	if err := a.Float64s(got, 1); err != nil {
		t.Fatal(err)
	}
	at := 0
	for i := 1; i < shape[0]; i++ {
		for j := range 4 {
			for k := range 5 {
				if want := float64(100*i + 10*j + k); got[at] != want {
					t.Fatalf("(%d, %d, %d) is %v, expected %v", i, j, k, got[at], want)
				}
				at++
			}
		}
	}
}

// What numpy and others write in ways of their own, all the same array.
func TestHeaders(t *testing.T) {
	data := []byte{1, 0, 0, 0, 2, 0, 0, 0}
	v1 := func(dict string) []byte { return append(formattest.NPYHeader(dict), data...) }
	long := func(version byte, dict string) []byte {
		h := []byte{0x93, 'N', 'U', 'M', 'P', 'Y', version, 0, byte(len(dict)), 0, 0, 0}
		return append(append(h, dict...), data...)
	}
	for name, file := range map[string][]byte{
		"other order":   v1(`{'shape': (2,), 'fortran_order': False, 'descr': '<i4'}`),
		"double quotes": v1(`{"descr": "<i4", "fortran_order": False, "shape": (2,)}`),
		"no space":      v1(`{'descr':'<i4','fortran_order':False,'shape':(2,),}`),
		"python 2":      v1(`{'descr': '<i4', 'fortran_order': False, 'shape': (2L,), }`),
		"fortran":       v1(`{'descr': '<i4', 'fortran_order': True, 'shape': (2,), }`),
		"version 2":     long(2, "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n"),
		"version 3":     long(3, "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n"),
		"no newline":    long(2, "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }"),
	} {
		f, err := Open(bytes.NewReader(file), int64(len(file)), array.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a, err := f.Open(Name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got [2]int64
		if err := a.Int64s(got[:], 0); err != nil || got != [2]int64{1, 2} {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// Every bad file with the words of its refusal.
var bad = map[string]struct {
	data []byte
	want string
}{
	"empty":            {nil, "array: truncated: no bytes, expected an npy header"},
	"magic":            {[]byte("\x93NUMPZ\x01\x00\x10\x00"), `array: malformed: begins with "\x93NUMPZ", expected "\x93NUMPY"`},
	"version":          {[]byte("\x93NUMPY\x04\x00\x10\x00"), "array: unsupported: format version 4.0, known are 1.0, 2.0 and 3.0"},
	"no length":        {[]byte("\x93NUMPY\x01\x00\x10"), "array: truncated: the header ends before its length"},
	"cut header":       {[]byte("\x93NUMPY\x01\x00\x10\x00{'descr"), "array: truncated: the header ends after 7 of 16 bytes"},
	"long header":      {[]byte("\x93NUMPY\x02\x00\x00\x00\x00\x80"), "array: too_large: the header is longer than 10000 bytes"},
	"not utf-8":        {[]byte("\x93NUMPY\x03\x00\x01\x00\x00\x00\xff"), "array: malformed: the header is not UTF-8"},
	"no brace":         {header(`'descr': '<f4'`), `array: malformed: header: "'descr': '<f" at byte 0, expected '{'`},
	"not closed":       {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (1,)`), `array: malformed: header: "" at byte 118, expected '}'`},
	"missing key":      {header(`{'descr': '<f4', 'shape': (1,)}`), `array: malformed: header: no key "fortran_order"`},
	"key twice":        {header(`{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}`), `array: malformed: header: key "descr" twice`},
	"unknown key":      {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}`), `array: malformed: header: unknown key "x"`},
	"call":             {header(`{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}`), `array: malformed: header: "__import__('" at byte 10, expected a string`},
	"escape":           {header(`{'de\x73cr': '<f4'}`), "array: malformed: header: a string with an escape at byte 4"},
	"after":            {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + x`), `array: malformed: header: "+ x         " after the dictionary`},
	"order":            {header(`{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}`), `array: malformed: header: "0, 'shape': " at byte 34, expected True or False`},
	"negative":         {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}`), "array: malformed: header: an axis of length -3"},
	"huge axis":        {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}`), "array: malformed: header: an axis of length 99999999999999999999"},
	"overflow":         {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}`), "array: malformed: shape [4294967296 4294967296]: the number of elements overflows"},
	"hidden overflow":  {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296)}`), "array: malformed: shape [0 4294967296 4294967296]: the number of elements overflows"},
	"float axis":       {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}`), `array: malformed: header: ".5,)}       " at byte 52, expected ')'`},
	"many axes":        {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (` + strings.Repeat("1,", 65) + `)}`), "array: malformed: header: more than 64 axes"},
	"short":            {append(header(`{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}`), 1, 2, 3), "array: truncated: float32 2 takes 8 bytes, the file has 3"},
	"trailing":         {append(header(`{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)}`), 1, 2, 3, 4, 5), "array: malformed: 1 bytes follow the data of float32 1 x 1"},
	"object":           {header(`{'descr': '|O', 'fortran_order': False, 'shape': (1,)}`), "array: unsupported: an object array, which is a pickle and could run code; save plain numbers, e.g. np.stack(list)"},
	"record":           {header(`{'descr': [('x', '<f4'), ('y', '<f4', (2,))], 'fortran_order': False, 'shape': (1,)}`), "array: unsupported: a record array; save its fields as arrays of their own"},
	"text":             {header(`{'descr': '<U10', 'fortran_order': False, 'shape': (1,)}`), "array: unsupported: text (<U10), expected numbers"},
	"date":             {header(`{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,)}`), "array: unsupported: dates (<M8[ns]), expected numbers"},
	"complex":          {header(`{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}`), "array: unsupported: complex numbers (<c8), expected real ones"},
	"ml_dtypes":        {header(`{'descr': '<V2', 'fortran_order': False, 'shape': (1,)}`), "array: unsupported: raw 2-byte values (<V2); if they are bfloat16, save x.view(np.uint16) and read it with --bfloat16"},
	"raw":              {header(`{'descr': '|V8', 'fortran_order': False, 'shape': (1,)}`), "array: unsupported: raw bytes (|V8), expected numbers"},
	"long double":      {header(`{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}`), `array: unsupported: unknown type "<f16"`},
	"unknown type":     {header(`{'descr': 'f', 'fortran_order': False, 'shape': (1,)}`), `array: unsupported: unknown type "f"`},
	"unended list":     {header(`{'descr': [('x', '<f4')`), "array: malformed: header: a list without an end"},
	"unended string":   {[]byte("\x93NUMPY\x01\x00\x02\x00{'"), "array: malformed: header: a string without an end at byte 1"},
	"missing axis end": {header(`{'descr': '<f4', 'fortran_order': False, 'shape': (1,`), `array: malformed: header: "" at byte 54, expected a length`},
}

func header(dict string) []byte { return formattest.NPYHeader(dict) }

func floats(v []float64) []byte {
	file := formattest.NPY(formattest.Array{DType: array.Float64, Shape: []int{len(v)}, Values: v}, false, false)
	return file[len(file)-8*len(v):]
}

func TestBad(t *testing.T) {
	for name, c := range bad {
		file, err := Open(bytes.NewReader(c.data), int64(len(c.data)), array.Options{})
		if err == nil {
			_, err = file.Open(Name)
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nexpected: %s", name, err, c.want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	seeds := [][]byte{
		formattest.NPY(formattest.Matrix("", array.Float32, 3, 2), false, false),
		formattest.NPY(formattest.Matrix("", array.Float16, 3, 2), true, true),
		formattest.NPY(formattest.Vector("", array.Uint64, 3), true, false),
	}
	for _, c := range bad {
		seeds = append(seeds, c.data)
	}
	formattest.Fuzz(f, Open, seeds...)
}
