package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// lengths are all short ones and some around the piece.
func lengths() []int {
	var n []int
	for i := range 150 {
		n = append(n, i)
	}
	n = append(n, 255, 256, 257, 511, 512, 513, 1000)
	if !testing.Short() {
		n = append(n, piece-1, piece, piece+1, 2*piece+37)
	}
	return n
}

// closeTo fails unless got is want up to the roundings of n+4 operations on terms whose absolute
// values add up to size.
func closeTo(t *testing.T, what string, got, want, size float64, n int) {
	t.Helper()
	if !(math.Abs(got-want) <= float64(n+4)*0x1p-52*size) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func testRows[T float](t *testing.T, r *rand.Rand, n, shift int,
	sumSquares func(x []T) float64,
	addRow func(sum, unit []float64, a float64, x, p []T) float64,
	axpy func(sum []float64, a float64, x []T),
	scaledDistance func(x []T, a float64, u []float64) float64,
	dot func(x []T, y []float64) float64,
	diff func(dst []float64, x []T, mu []float64) float64,
	to32 func(dst []float32, x []T, p, mu []float64) float64,
	to64 func(dst []float64, x []T, p, mu []float64) float64) {
	t.Helper()
	x := newGuarded[T](n, shift).random(r)
	y := newGuarded[float64](n, shift/2).random(r)
	sum := newGuarded[float64](n, shift/3).random(r)
	before := append([]float64(nil), sum.s...)
	what := func(name string) string { return fmt.Sprintf("%s, length %d, shift %d", name, n, shift) }
	const a = -1.25

	var sq, dq, sd, dt, size, terms float64
	for i, v := range x.s {
		v := float64(v)
		sq += v * v
		dq += (v - y.s[i]) * (v - y.s[i])
		sd += (a*v - y.s[i]) * (a*v - y.s[i])
		terms += math.Abs(a*v-y.s[i]) * (math.Abs(a*v) + math.Abs(y.s[i])) // a v is rounded at level "go" alone
		dt += v * y.s[i]
		size += math.Abs(v * y.s[i])
	}
	closeTo(t, what("sum of squares"), sumSquares(x.s), sq, sq, n)
	closeTo(t, what("scaled distance"), scaledDistance(x.s, a, y.s), sd, terms, n)
	closeTo(t, what("dot"), dot(x.s, y.s), dt, size, n)

	p := newGuarded[T](n, shift/2).random(r)
	unit := newGuarded[float64](n, shift/3+1).random(r)
	unitBefore := append([]float64(nil), unit.s...)
	var pq float64
	for i, v := range x.s {
		d := float64(v) - float64(p.s[i])
		pq += d * d
	}
	closeTo(t, what("add row"), addRow(sum.s, unit.s, a, x.s, p.s), pq, pq, n)
	for i, v := range sum.s {
		closeTo(t, what("add row, sum"), v, before[i]+(float64(x.s[i])-float64(p.s[i])), math.Abs(before[i])+8, 1)
		closeTo(t, what("add row, unit"), unit.s[i], unitBefore[i]+a*float64(x.s[i]), math.Abs(unitBefore[i])+8, 1)
	}
	p.check(t, what("p"))
	unit.check(t, what("unit"))
	copy(before, sum.s)
	axpy(sum.s, a, x.s)
	for i, v := range sum.s {
		closeTo(t, what("axpy"), v, before[i]+a*float64(x.s[i]), math.Abs(before[i])+8, 1)
	}

	wide := newGuarded[float64](n, shift+1)
	closeTo(t, what("difference"), diff(wide.s, x.s, y.s), dq, dq, n)
	pivot := newGuarded[float64](n, shift/2+1).random(r)
	var rq float64
	for i, v := range x.s {
		d := (float64(v) - pivot.s[i]) - y.s[i]
		rq += d * d
	}
	small := newGuarded[float32](n, shift+2)
	closeTo(t, what("residual in float32"), to32(small.s, x.s, pivot.s, y.s), rq, rq, n)
	large := newGuarded[float64](n, shift+3)
	closeTo(t, what("residual in float64"), to64(large.s, x.s, pivot.s, y.s), rq, rq, n)
	for i, v := range x.s {
		d, e := float64(v)-y.s[i], (float64(v)-pivot.s[i])-y.s[i]
		if !sameBits(wide.s[i], d) || !sameBits(small.s[i], float32(e)) || !sameBits(large.s[i], e) {
			t.Fatalf("%s: element %d is %v, %v, %v, want %v and %v", what("difference"), i, wide.s[i], small.s[i], large.s[i], d, e)
		}
	}
	pivot.check(t, what("pivot"))
	x.check(t, what("x"))
	y.check(t, what("y"))
	sum.check(t, what("sum"))
	wide.check(t, what("difference"))
	small.check(t, what("residual in float32"))
	large.check(t, what("residual in float64"))
}

func TestRows(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := newRand()
		for _, n := range lengths() {
			for shift := range 9 {
				testRows(t, r, n, shift, SumSquares32, AddRow32, Axpy32, ScaledDistance32, Dot32, Diff32To64, Residual32, Residual32To64)
				testRows(t, r, n, shift, SumSquares64, AddRow64, Axpy64, ScaledDistance64, Dot64, Diff64, Residual64To32, Residual64)
				if n > 1000 {
					break
				}
			}
		}
	})
}

func TestScaleAddDistance(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := newRand()
		for _, n := range lengths() {
			x, y := newGuarded[float64](n, n%7).random(r), newGuarded[float64](n, n%5).random(r)
			want := 0.0
			sum := append([]float64(nil), x.s...)
			for i, v := range x.s {
				want += (v - y.s[i]) * (v - y.s[i])
				sum[i] = v + y.s[i]
			}
			closeTo(t, "distance", Distance64(x.s, y.s), want, want, n)
			Add64(x.s, y.s)
			Scale64(y.s, 3)
			for i, v := range x.s {
				if v != sum[i] {
					t.Fatalf("add: element %d of %d is %v, want %v", i, n, v, sum[i])
				}
			}
			x.check(t, "add")
			y.check(t, "scale")
		}
	})
}

// TestDifferencesAreExactWhereItMatters: a mean of 1e4 with a spread of 1e-3 must not lose the spread.
func TestDifferencesAreExactWhereItMatters(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		x := []float32{10000, 10000.001, 9999.999, 10000.002, 10000}
		p := []float64{10000, 10000, 10000, 10000, 10000}
		mu := []float64{5e-4, 5e-4, 5e-4, 5e-4, 5e-4}
		dst := make([]float32, len(x))
		Residual32(dst, x, p, mu)
		for i, v := range dst {
			if want := float32(float64(x[i]) - 10000 - mu[i]); v != want {
				t.Errorf("element %d: %v, want %v", i, v, want)
			}
		}
	})
}

func testArgMax[T float](t *testing.T, argMax func([]T) int) {
	r := newRand()
	nan, inf := T(math.NaN()), T(math.Inf(1))
	for n := range 200 {
		for shift := range 5 {
			x := newGuarded[T](n, shift).random(r)
			kinds := r.IntN(6)
			for i := range x.s {
				switch {
				case kinds >= 1:
					x.s[i] = T(r.IntN(3)) // ties
				}
				if kinds == 2 && r.IntN(2) == 0 || kinds == 3 {
					x.s[i] = nan
				}
				if kinds == 4 {
					x.s[i] = -inf
					if r.IntN(3) == 0 {
						x.s[i] = nan
					}
				}
				if kinds == 5 && r.IntN(8) == 0 {
					x.s[i] = inf
				}
			}
			want := -1
			for i, v := range x.s {
				if v == v && (want < 0 || v > x.s[want]) {
					want = i
				}
			}
			want = max(want, 0)
			if got := argMax(x.s); got != want {
				t.Fatalf("length %d kind %d: %d, want %d in %v", n, kinds, got, want, x.s)
			}
		}
	}
	long := make([]T, 3*piece)
	long[2*piece+5], long[2*piece+6] = 1, 1
	if got := argMax(long); got != 2*piece+5 {
		t.Errorf("long: %d", got)
	}
}

func TestArgMax(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		testArgMax(t, ArgMax32)
		testArgMax(t, ArgMax64)
	})
}

func TestPeaks(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := newRand()
		for n := range 200 {
			for _, run := range []int{1, 3, 4, 8, 13, 32, 64} {
				x := newGuarded[float64](n, n%5).random(r)
				for i := range x.s {
					switch r.IntN(9) {
					case 0:
						x.s[i] = math.NaN()
					case 1:
						x.s[i] = math.Inf(1 - 2*r.IntN(2))
					}
				}
				got, want := make([]float64, (n+run-1)/run), make([]float64, (n+run-1)/run)
				peaksGo(want, x.s, run)
				Peaks64(got, x.s, run)
				if !slices.Equal(got, want) {
					t.Fatalf("length %d, runs of %d: %v, want %v", n, run, got, want)
				}
				for i, peak := range want {
					part := x.s[i*run : min((i+1)*run, n)]
					if best := part[argMaxGo(part)]; peak != best && !(best != best && math.IsInf(peak, -1)) {
						t.Fatalf("length %d, run %d of %d: %v, want %v", n, i, run, peak, best)
					}
				}
			}
		}
	})
}

func TestSumExp(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := newRand()
		for _, n := range lengths() {
			x, y := newGuarded[float32](n, n%9).random(r), newGuarded[float64](n, n%5).random(r)
			var want32, want64 float64
			for i := range n {
				x.s[i] *= 5
				y.s[i] *= 5
				want32 += math.Exp(float64(x.s[i] - 2.5))
				want64 += math.Exp(y.s[i] - 2.5)
			}
			if got := SumExp32(x.s, 2.5); !(math.Abs(got-want32) <= 1.5e-7*want32) {
				t.Fatalf("float32, length %d: %v, want %v", n, got, want32)
			}
			if got := SumExp64(y.s, 2.5); !(math.Abs(got-want64) <= (8+float64(n))*0x1p-53*want64) {
				t.Fatalf("float64, length %d: %v, want %v", n, got, want64)
			}
		}
	})
}

// TestExponential walks over the whole range of the exponential, one element at a time.
func TestExponential(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		worst := 0.0
		for x := float32(-105); x < 90; x += 0.00731 {
			got := SumExp32([]float32{x}, 0)
			want := math.Exp(float64(x))
			switch {
			case want > math.MaxFloat32:
				if !math.IsInf(got, 1) && got < math.MaxFloat32 {
					t.Fatalf("exp(%v) = %v", x, got)
				}
			case want < 0x1p-126: // denormal: within a unit in the last place
				if !(math.Abs(got-want) <= 0x1p-149) {
					t.Fatalf("exp(%v) = %v, want %v", x, got, want)
				}
			default:
				worst = max(worst, math.Abs(got-want)/want)
			}
		}
		t.Logf("float32: relative error at most %.2g", worst)
		if worst > 1.3e-7 {
			t.Errorf("float32: relative error %v", worst)
		}
		worst = 0
		for x := -750.0; x < 712; x += 0.0317 {
			got := SumExp64([]float64{x}, 0)
			want := math.Exp(x)
			if x > 709 { // math.Exp may overflow a little early
				want = math.Exp(x-1) * math.E
			}
			switch {
			case math.IsInf(want, 1):
				if !math.IsInf(got, 1) {
					t.Fatalf("exp(%v) = %v", x, got)
				}
			case want < 0x1p-1022:
				if !(math.Abs(got-want) <= 0x1p-1074) {
					t.Fatalf("exp(%v) = %v, want %v", x, got, want)
				}
			default:
				worst = max(worst, math.Abs(got-want)/want)
			}
		}
		t.Logf("float64: relative error at most %.2g", worst)
		if worst > 6*0x1p-53 {
			t.Errorf("float64: relative error %v", worst)
		}
	})
}

func TestExponentialSpecialValues(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		inf := math.Inf(1)
		for _, x := range []float64{0, math.Copysign(0, -1), 1, -1e30, 1e30, -inf, inf, -200, 200, -1000, 1000, 0x1p-149} {
			want := math.Exp(x)
			for _, n := range []int{1, 4, 8, 16, 17} { // masked, whole, and both
				v32, v64 := make([]float32, n), make([]float64, n)
				for i := range n {
					v32[i], v64[i] = float32(x), x
				}
				w32 := float64(n) * float64(float32(want))
				if got := SumExp32(v32, 0); got != w32 && !(math.Abs(got-w32) <= 1e-7*w32) {
					t.Errorf("float32, %d times %v: %v, want %v", n, x, got, w32)
				}
				w64 := float64(n) * want
				if got := SumExp64(v64, 0); got != w64 && !(math.Abs(got-w64) <= 1e-15*w64) {
					t.Errorf("float64, %d times %v: %v, want %v", n, x, got, w64)
				}
			}
		}
		for n := 1; n < 40; n++ {
			v32, v64 := make([]float32, n), make([]float64, n)
			v32[n-1], v64[n-1] = float32(math.NaN()), math.NaN()
			if got := SumExp32(v32, 0); got == got {
				t.Errorf("float32 with a NaN: %v", got)
			}
			if got := SumExp64(v64, 0); got == got {
				t.Errorf("float64 with a NaN: %v", got)
			}
		}
	})
}

// TestHalf checks all patterns against a decoder that works on the numbers, not on the bits.
func TestHalf(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		src := make([]uint16, 1<<16)
		for i := range src {
			src[i] = uint16(i)
		}
		dst := newGuarded[float32](len(src), 3)
		Half(dst.s, src)
		dst.check(t, "half")
		for i, v := range dst.s {
			exponent, fraction := i>>10&31, i&1023
			var want float64
			switch {
			case exponent == 31 && fraction != 0:
				if v == v || math.Float32bits(v) != uint32(i&0x8000)<<16|0x7fc00000|uint32(fraction)<<13 {
					t.Fatalf("%#04x: %#08x is not its quiet NaN", i, math.Float32bits(v))
				}
				continue
			case exponent == 31:
				want = math.Inf(1)
			case exponent == 0:
				want = math.Ldexp(float64(fraction), -24)
			default:
				want = math.Ldexp(float64(1024+fraction), exponent-25)
			}
			if i&0x8000 != 0 {
				want = -want
			}
			if !sameBits(v, float32(want)) {
				t.Fatalf("%#04x: %v, want %v", i, v, want)
			}
		}
	})
}

func TestBFloat16(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		src := make([]uint16, 1<<16)
		for i := range src {
			src[i] = uint16(i)
		}
		dst := newGuarded[float32](len(src), 1)
		BFloat16(dst.s, src)
		dst.check(t, "bfloat16")
		for i, v := range dst.s {
			if math.Float32bits(v) != uint32(i)<<16 {
				t.Fatalf("%#04x: %#08x", i, math.Float32bits(v))
			}
		}
	})
}

func TestConversionLengths(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := newRand()
		for _, n := range lengths() {
			for shift := range 4 {
				src := make([]uint16, n+shift)[shift:]
				for i := range src {
					src[i] = uint16(r.IntN(0x7c00))
				}
				x, y := newGuarded[float32](n, shift), newGuarded[float32](n, shift+1)
				Half(x.s, src)
				BFloat16(y.s, src)
				wide, narrow := newGuarded[float64](n, shift), newGuarded[float32](n, shift)
				Widen(wide.s, x.s)
				for i := range wide.s {
					wide.s[i] *= 1 + 0x1p-30
				}
				Narrow(narrow.s, wide.s)
				for i, h := range src {
					if !sameBits(x.s[i], half(h)) || math.Float32bits(y.s[i]) != uint32(h)<<16 ||
						wide.s[i] != float64(x.s[i])*(1+0x1p-30) || !sameBits(narrow.s[i], float32(wide.s[i])) {
						t.Fatalf("length %d: element %d", n, i)
					}
				}
				x.check(t, "half")
				y.check(t, "bfloat16")
				wide.check(t, "widen")
				narrow.check(t, "narrow")
			}
		}
		special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), 1e300, -1e300, 0x1p-140, 0x1p-150, 1 + 0x1p-24, 1 + 0x1.8p-23, math.NaN()}
		dst := make([]float32, len(special))
		Narrow(dst, special)
		for i, v := range special {
			if !sameBits(dst[i], float32(v)) && v == v {
				t.Errorf("narrow %v: %v", v, dst[i])
			}
		}
	})
}

func TestShortCompanionPanicsFirst(t *testing.T) {
	x, short := make([]float64, 8), make([]float64, 7)
	for i := range x {
		x[i] = 1
	}
	for name, f := range map[string]func(){
		"AddRow64, sum":  func() { AddRow64(short[:7:7], x, 1, x, x) },
		"AddRow64, unit": func() { AddRow64(x, short[:7:7], 1, x, x) },
		"AddRow64, p":    func() { AddRow64(x, x, 1, x, short[:7:7]) },
		"Axpy64":         func() { Axpy64(short[:7:7], 1, x) },
		"Diff64":         func() { Diff64(short[:7:7], x, x) },
		"Dot64":          func() { Dot64(x, short[:7:7]) },
		"Narrow":         func() { Narrow(make([]float32, 7), x) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
				if x[0] != 1 || short[0] != 0 {
					t.Error("written before the panic")
				}
			}()
			f()
		})
	}
}

func BenchmarkRows(b *testing.B) {
	for _, d := range []int{64, 512, 2048} {
		x, y, sum := make([]float32, d), make([]float64, d), make([]float64, d)
		for _, test := range []struct {
			name string
			f    func()
		}{
			{"SumSquares32", func() { SumSquares32(x) }},
			{"AddRow32", func() { AddRow32(sum, sum, 1, x, x) }},
			{"Axpy32", func() { Axpy32(sum, 1, x) }},
			{"Residual32", func() { Residual32(x, x, y, y) }},
			{"ScaledDistance32", func() { ScaledDistance32(x, 1, y) }},
			{"Dot64", func() { Dot64(sum, y) }},
			{"ArgMax32", func() { ArgMax32(x) }},
			{"SumExp32", func() { SumExp32(x, 0) }},
			{"SumExp64", func() { SumExp64(y, 0) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", test.name, d), func(b *testing.B) {
				b.SetBytes(int64(4 * d))
				for b.Loop() {
					test.f()
				}
			})
		}
	}
}
