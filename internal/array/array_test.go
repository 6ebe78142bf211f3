package array

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Any strides, as views of tensors have, against one element at a time.
func TestStrides(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	data := make([]byte, 0, 400_000)
	for i := range 100_000 {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
	}
	for _, c := range []struct{ shape, strides []int }{
		{[]int{7, 5}, []int{1, 7}},
		{[]int{7, 5}, []int{10, 2}},
		{[]int{7, 5}, []int{0, 1}},
		{[]int{7, 5}, []int{0, 0}},
		{[]int{7, 5}, []int{3, 0}},
		{[]int{7, 50}, []int{1, 100}},
		{[]int{7, 1}, []int{9, 1}},
		{[]int{1, 7}, []int{1, 1000}},
		{[]int{60, 3}, []int{1000, 20_000}},
		{[]int{20_000, 4}, []int{1, 20_000}},
		{[]int{20_000, 4}, []int{2, 10_001}},
		{[]int{4, 3, 5}, []int{1, 4, 12}},
		{[]int{4, 3, 50}, []int{3, 1, 12}},
		{[]int{4, 3, 5}, []int{5, 20, 1}},
		{[]int{4, 3, 2, 5}, []int{30, 1, 3, 6}},
		{[]int{9}, []int{4}},
		{[]int{}, []int{}},
	} {
		a := At(Info{"x", Float32, c.shape, nil}, bytes.NewReader(data), 8, Layout{Strides: c.strides})
		rows, width := a.Info().Rows(), a.Info().Width()
		for range 8 {
			lo := rng.IntN(rows)
			n := 1 + rng.IntN(rows-lo)
			got := make([]float64, n*width)
			if err := a.Float64s(got, lo); err != nil {
				t.Fatal(c, err)
			}
			for i, v := range got {
				element, rest := 2, lo*width+i
				for axis := len(c.shape) - 1; axis >= 0; axis-- {
					element += rest % c.shape[axis] * c.strides[axis]
					rest /= c.shape[axis]
				}
				if v != float64(element) {
					t.Fatalf("%v: element %d of rows from %d is %v, expected %d", c, i, lo, v, element)
				}
			}
		}
	}
}

// Every half and every bfloat16, as both floats and as integers.
func TestHalves(t *testing.T) {
	data := make([]byte, 0, 2<<16)
	for i := range 1 << 16 {
		data = binary.BigEndian.AppendUint16(data, uint16(i))
	}
	for _, dtype := range []DType{Float16, BFloat16} {
		a := At(Info{"x", dtype, []int{1 << 16}, nil}, bytes.NewReader(data), 0, Layout{BigEndian: true})
		f32, f64 := make([]float32, 1<<16), make([]float64, 1<<16)
		if err := errors.Join(a.Float32s(f32, 0), a.Float64s(f64, 0)); err != nil {
			t.Fatal(err)
		}
		for i := range f32 {
			want := float64(math.Float32frombits(uint32(i) << 16))
			if dtype == Float16 {
				e, m := i>>10&31, float64(i&1023)
				switch {
				case e == 31 && m == 0:
					want = math.Inf(1)
				case e == 31:
					want = math.NaN()
				case e == 0:
					want = math.Ldexp(m, -24)
				default:
					want = math.Ldexp(1024+m, e-25)
				}
				if i>>15 == 1 {
					want = -want
				}
			}
			if math.IsNaN(want) != math.IsNaN(f64[i]) || !math.IsNaN(want) && (f64[i] != want || float64(f32[i]) != want) {
				t.Fatalf("%s %04x is %v and %v, expected %v", dtype, i, f32[i], f64[i], want)
			}
			var n [1]int64
			err := a.Int64s(n[:], i)
			if whole := want == math.Trunc(want) && want >= -1<<63 && want < 1<<63; whole != (err == nil) || whole && float64(n[0]) != want {
				t.Fatalf("%s %04x as integer is %d, %v", dtype, i, n[0], err)
			}
		}
	}
}

// A stream says where it was cut, that it goes on, and what its own end says.
func TestStreamEnds(t *testing.T) {
	info := Info{"x", Uint8, []int{4}, nil}
	bad := errors.New("bad end")
	for name, c := range map[string]struct {
		r    io.Reader
		want string
	}{
		"good":    {bytes.NewReader([]byte{1, 2, 3, 4}), ""},
		"short":   {bytes.NewReader([]byte{1, 2, 3}), "x: truncated: the data end at byte 3, more were declared"},
		"long":    {bytes.NewReader([]byte{1, 2, 3, 4, 5}), "x: malformed: data go on after the 4 bytes that were declared"},
		"failing": {io.MultiReader(bytes.NewReader([]byte{1, 2, 3, 4}), failing{bad}), "x: unreadable: reading at byte 0: bad end"},
	} {
		a := Stream(info, false, func() (io.ReadCloser, error) { return io.NopCloser(c.r), nil })
		err := a.Int64s(make([]int64, 4), 0)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s: %v, expected %s", name, err, c.want)
		}
		if name == "failing" && !errors.Is(err, bad) {
			t.Error("the cause is lost")
		}
	}
	refused := Stream(info, false, func() (io.ReadCloser, error) { return nil, bad })
	if err := refused.Int64s(make([]int64, 4), 0); !errors.Is(err, bad) {
		t.Error(err)
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func TestValues(t *testing.T) {
	a := Values(Info{Name: "x", Shape: []int{3, 2}}, []float64{0, 1, 2, 3.5, 4, 5})
	got := make([]float32, 4)
	if err := a.Float32s(got, 1); err != nil || !slices.Equal(got, []float32{2, 3.5, 4, 5}) || a.Info().DType != Float64 || !a.Random() {
		t.Error(got, err)
	}
	ints := make([]int64, 2)
	if err := a.Int64s(ints, 2); err != nil || !slices.Equal(ints, []int64{4, 5}) {
		t.Error(ints, err)
	}
	if err := a.Int64s(ints, 1); err == nil || err.Error() != "x: label_out_of_range: row 1, column 1 holds 3.5: a label is an integer" {
		t.Error(err)
	}
	if err := a.Float64s(make([]float64, 4), 2); !errors.Is(err, Inconsistent) {
		t.Error(err)
	}
	big := Values(Info{Name: "y", Shape: []int{1}}, []int64{1<<62 + 1})
	if err := big.Int64s(ints[:1], 0); err != nil || ints[0] != 1<<62+1 {
		t.Error(ints[0], err)
	}
}

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		shape []int
		want  int64
		ok    bool
	}{
		{nil, 8, true}, {[]int{3, 4}, 96, true}, {[]int{3, 0}, 0, true}, {[]int{-1}, 0, false},
		{[]int{1 << 60}, 0, false}, {[]int{0, 1 << 60}, 0, false}, {[]int{1 << 40, 1 << 40}, 0, false}, {[]int{1<<60 - 1}, 1<<63 - 8, true},
	} {
		if got, ok := (Info{DType: Float64, Shape: c.shape}).Bytes(); got != c.want || ok != c.ok {
			t.Errorf("%v: %d, %v", c.shape, got, ok)
		}
	}
}
