package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// atBothTypes runs a test of the training loops at every level, in float32 and in float64.
func atBothTypes(t *testing.T, test32, test64 func(t *testing.T, r *rand.Rand)) {
	atEveryLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { test32(t, newRand()) })
		t.Run("float64", func(t *testing.T) { test64(t, newRand()) })
	})
}

// within fails unless got is want up to a number of roundings of a term of the given size.
func within[T float](t *testing.T, what string, got T, want, size float64, roundings int) {
	t.Helper()
	if !(math.Abs(float64(got)-want) <= float64(roundings)*epsilon[T]()*size) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// guards are checked together.
func checkAll[T float](t *testing.T, what string, all ...*guarded[T]) {
	t.Helper()
	for _, g := range all {
		g.check(t, what)
	}
}

// eachLength calls f for all lengths up to 100, at several alignments each, and for some longer ones.
func eachLength(f func(n, shift int)) {
	for n := range 101 {
		for _, shift := range []int{0, 1, 3, 4, 7} {
			f(n, shift)
		}
	}
	for _, n := range []int{255, 256, 1000, piece + 37} {
		f(n, n%3)
	}
}

func TestElementwise(t *testing.T) {
	atBothTypes(t, testElementwise[float32], testElementwise[float64])
}

func testElementwise[T float](t *testing.T, r *rand.Rand) {
	positive := func(v T) T {
		if v < 0 {
			return 0
		}
		return v
	}
	eachLength(func(n, shift int) {
		what := func(name string) string { return fmt.Sprintf("%s, length %d, shift %d", name, n, shift) }
		a, b := newGuarded[T](n, shift).random(r), newGuarded[T](n, shift/2).random(r)
		for i := range a.s {
			if i%11 == 3 {
				a.s[i] = 0
			}
		}
		y := newGuarded[T](n, shift/3)
		exact := func(name string, want func(i int) T) {
			t.Helper()
			for i, v := range y.s {
				if !sameBits(v, want(i)) {
					t.Fatalf("%s: element %d is %v, want %v", what(name), i, v, want(i))
				}
			}
			checkAll(t, what(name), y, a, b)
		}
		ReLU(y.s, a.s)
		exact("ReLU", func(i int) T { return positive(a.s[i]) })
		ReLUBackward(y.s, b.s, a.s)
		exact("ReLU backward", func(i int) T {
			if a.s[i] > 0 {
				return b.s[i]
			}
			return 0
		})
		Add(y.s, a.s, b.s)
		exact("sum", func(i int) T { return a.s[i] + b.s[i] })
		AddReLU(y.s, a.s, b.s)
		exact("sum and ReLU", func(i int) T { return positive(a.s[i] + b.s[i]) })
		Scale(y.s, 1.25, a.s)
		exact("multiple", func(i int) T { return 1.25 * a.s[i] })

		before := append([]T(nil), y.s...)
		AddScaled(y.s, -1.3, b.s)
		for i, v := range y.s {
			factor := T(-1.3)
			p := float64(factor) * float64(b.s[i])
			within(t, what("added multiple"), v, float64(before[i])+p, math.Abs(float64(before[i]))+2*math.Abs(p), 2) // in float64 what is wanted is rounded too
		}
		checkAll(t, what("added multiple"), y, b)
		copy(y.s, a.s)
		ReLU(y.s, y.s)
		exact("ReLU in place", func(i int) T { return positive(a.s[i]) })
	})
}

func TestCurves(t *testing.T) { atBothTypes(t, testCurves[float32], testCurves[float64]) }

func testCurves[T float](t *testing.T, r *rand.Rand) {
	normal := func(v float64) float64 { return 0.5 * math.Erfc(-v/math.Sqrt2) }
	sigmoid := func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
	for _, c := range []struct {
		name     string
		apply    func(y, dy, x []T)
		want     func(v float64) float64
		gradient bool
	}{
		{"sigmoid", func(y, _, x []T) { Sigmoid(y, x) }, sigmoid, false},
		{"SiLU", func(y, _, x []T) { SiLU(y, x) }, func(v float64) float64 { return v * sigmoid(v) }, false},
		{"tanh", func(y, _, x []T) { Tanh(y, x) }, math.Tanh, false},
		{"GELU", func(y, _, x []T) { GELU(y, x) }, func(v float64) float64 { return v * normal(v) }, false},
		{"SiLU backward", SiLUBackward[T], func(v float64) float64 { return sigmoid(v) * (1 + v*(1-sigmoid(v))) }, true},
		{"GELU backward", GELUBackward[T], func(v float64) float64 { return normal(v) + v*math.Exp(-0.5*v*v)/math.Sqrt(2*math.Pi) }, true},
	} {
		eachLength(func(n, shift int) {
			x, dy, y := newGuarded[T](n, shift).random(r), newGuarded[T](n, shift/2).random(r), newGuarded[T](n, shift/3)
			for i := range x.s {
				x.s[i] *= T(math.Exp(r.NormFloat64())) // from tiny ones to some of about 10
			}
			c.apply(y.s, dy.s, x.s)
			for i, v := range y.s {
				v0 := float64(x.s[i])
				want, size := c.want(v0), math.Abs(c.want(v0))
				// Roundings of exp, of its argument (v, or v^2/2) and of the fit; a derivative is a sum of two terms.
				roundings := 8 + 2*math.Abs(v0) + 2*v0*v0
				if c.gradient {
					want *= float64(dy.s[i])
					size = math.Abs(float64(dy.s[i])) * (size + math.Min(1, math.Exp(-math.Abs(v0))*(1+math.Abs(v0))))
				}
				within(t, c.name, v, want, size+0x1p-120, int(roundings))
			}
			checkAll(t, c.name, x, dy, y)
		})
		if c.gradient {
			continue
		}
		// Far away, and in place.
		x := []T{0, T(math.Inf(1)), 200, -200, 1e-30, -1e-30, T(math.NaN()), 20, -20, 3}
		y := append([]T(nil), x...)
		c.apply(y, y, y)
		for i, v := range x {
			if want := c.want(float64(v)); !(math.Abs(float64(y[i])-want) <= 1e-3*math.Abs(want)+1e-35) && !(want != want && y[i] != y[i]) && want != float64(y[i]) {
				t.Errorf("%s of %v is %v, want %v", c.name, v, y[i], want)
			}
		}
	}
}

// TestNaNPasses: a NaN in front of a ReLU, in a window or in a row of logits is not lost.
func TestNaNPasses(t *testing.T) {
	atBothTypes(t, testNaNPasses[float32], testNaNPasses[float64])
}

func testNaNPasses[T float](t *testing.T, _ *rand.Rand) {
	nan := T(math.NaN())
	for n := 1; n < 40; n++ {
		for k := range n {
			x, y := make([]T, n), make([]T, n)
			x[k] = nan
			lost := func(what string) {
				t.Helper()
				for i, v := range y {
					if (v != v) != (i == k) {
						t.Fatalf("%s: element %d of %d is %v with a NaN at %d", what, i, n, v, k)
					}
				}
			}
			ReLU(y, x)
			lost("ReLU")
			AddReLU(y, x, make([]T, n))
			lost("sum and ReLU")
			AddBiasReLU(y, x, make([]T, n))
			lost("bias and ReLU")
			one := make([]T, n)
			for i := range one {
				one[i] = 1
			}
			m := Norm[T]{Mean: make([]T, n), Scale: one, Shift: make([]T, n), ReLU: true}
			m.Forward(y, x)
			lost("norm")
			two := append(append([]T(nil), x...), one...)
			for range 2 { // the NaN first, then last
				MaxPool(y, make([]uint8, n), two, Pool{Height: 2, Width: 1, Channels: n, KernelH: 2, KernelW: 1, Stride: 1})
				lost("maximum")
				two = append(append([]T(nil), one...), x...)
			}
			if p := Softmax(y, x); p == p {
				t.Fatalf("softmax of %d elements with a NaN at %d: logarithm of the sum is %v", n, k, p)
			}
		}
	}
}

// eachMatrix calls f for small matrices of all widths and for some of the sizes of networks.
func eachMatrix(f func(rows, c, shift int)) {
	for c := 1; c <= 100; c++ {
		for _, rows := range []int{0, 1, 2, 7} {
			f(rows, c, (rows+c)%9)
		}
	}
	for _, c := range []int{3, 16, 33, 64, 130} {
		for _, rows := range []int{chunk - 1, chunk, chunk + 1, 3*chunk + 5} {
			f(rows, c, c%5)
		}
	}
}

func TestColumns(t *testing.T) { atBothTypes(t, testColumns[float32], testColumns[float64]) }

func testColumns[T float](t *testing.T, r *rand.Rand) {
	eachMatrix(func(rows, c, shift int) {
		what := func(name string) string { return fmt.Sprintf("%s, %d x %d, shift %d", name, rows, c, shift) }
		x, y := newGuarded[T](rows*c, shift).random(r), newGuarded[T](rows*c, shift/2)
		bias := newGuarded[T](c, shift/3).random(r)
		for _, on := range []bool{false, true} {
			if on {
				AddBiasReLU(y.s, x.s, bias.s)
			} else {
				AddBias(y.s, x.s, bias.s)
			}
			for i, v := range y.s {
				want := x.s[i] + bias.s[i%c]
				if on && want < 0 {
					want = 0
				}
				if !sameBits(v, want) {
					t.Fatalf("%s: element %d is %v, want %v", what("bias"), i, v, want)
				}
			}
			checkAll(t, what("bias"), x, y, bias)
		}

		sum, square := newGuarded[float64](c, shift).random(r), newGuarded[float64](c, shift/2).random(r)
		want, wantSquare := append([]float64(nil), sum.s...), append([]float64(nil), square.s...)
		size := make([]float64, c)
		for i, v := range x.s {
			want[i%c] += float64(v)
			size[i%c] += math.Abs(float64(v))
		}
		ColumnSums(sum.s, x.s)
		for j, v := range sum.s {
			within(t, what("column sum"), T(v-want[j]), 0, size[j]+1, rows+4)
		}
		copy(want, sum.s)
		clear(size)
		sizeSquare := make([]float64, c)
		for i, v := range x.s {
			j := i % c
			d := float64(v) - float64(bias.s[j])
			e := float64(x.s[i/c/chunk*chunk*c+j]) - float64(bias.s[j]) // the first row of the chunk
			want[j] += d
			wantSquare[j] += d * d
			size[j] += math.Abs(d) + 2*math.Abs(e)
			sizeSquare[j] += d*d + 4*e*e
		}
		Moments(sum.s, square.s, x.s, bias.s)
		for j := range c {
			within(t, what("sum"), T(sum.s[j]-want[j]), 0, size[j]+1, rows+4)
			within(t, what("sum of squares"), T(square.s[j]-wantSquare[j]), 0, sizeSquare[j]+1, rows+8)
		}
		checkAll(t, what("moments"), x, bias)
		checkAll(t, what("moments"), sum, square)
	})
}

// TestMomentsAtLargeMean: float32 columns far from 0, whose squares would have no digit of the variance, and
// rows among them that are far from all others.
func TestMomentsAtLargeMean(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := newRand()
		const rows, c = 2000, 19
		for _, far := range []int{-1, 0, chunk, 777} {
			// The worst case is a pivot at a distance of sqrt(chunk) standard deviations.
			tolerance := 2e-6
			if far >= 0 && far%chunk == 0 {
				tolerance *= chunk
			}
			x := make([]float32, rows*c)
			for i := range x {
				x[i] = float32(1e4 + r.NormFloat64())
				if i/c == far {
					x[i] = -1e4
				}
			}
			for _, shift := range [][]float32{make([]float32, c), x[:c]} {
				sum, square := make([]float64, c), make([]float64, c)
				Moments(sum, square, x, shift)
				for j := range c {
					var mean, variance float64
					for i := range rows {
						mean += float64(x[i*c+j]) / rows
					}
					for i := range rows {
						d := float64(x[i*c+j]) - mean
						variance += d * d / rows
					}
					m := sum[j] / rows
					if got := float64(shift[j]) + m; math.Abs(got-mean) > tolerance*math.Sqrt(variance) {
						t.Errorf("far row %d, column %d: mean %v, want %v", far, j, got, mean)
					}
					if got := square[j]/rows - m*m; math.Abs(got-variance) > tolerance*variance {
						t.Errorf("far row %d, column %d: variance %v, want %v", far, j, got, variance)
					}
				}
			}
		}
	})
}

func TestNorm(t *testing.T) { atBothTypes(t, testNorm[float32], testNorm[float64]) }

func testNorm[T float](t *testing.T, r *rand.Rand) {
	eachMatrix(func(rows, c, shift int) {
		what := func(name string) string { return fmt.Sprintf("%s, %d x %d, shift %d", name, rows, c, shift) }
		forward, back := what("norm"), what("norm backward")
		vector := func() *guarded[T] { return newGuarded[T](c, r.IntN(9)).random(r) }
		mean, scale, beta, slope, offset := vector(), vector(), vector(), vector(), vector()
		x, dy := newGuarded[T](rows*c, shift).random(r), newGuarded[T](rows*c, shift/2).random(r)
		y, dx := newGuarded[T](rows*c, shift/3), newGuarded[T](rows*c, shift/4)
		for _, on := range []bool{false, true} {
			n := Norm[T]{Mean: mean.s, Scale: scale.s, Shift: beta.s, ReLU: on}
			n.Forward(y.s, x.s)
			sum, dot := newGuarded[float64](c, shift), newGuarded[float64](c, shift/2)
			clear(sum.s)
			clear(dot.s)
			n.Sums(sum.s, dot.s, dy.s, x.s)
			n.Backward(dx.s, dy.s, x.s, slope.s, offset.s)
			want, wantDot, size := make([]float64, c), make([]float64, c), make([]float64, c)
			for i := range x.s {
				j := i % c
				d := float64(x.s[i] - mean.s[j])
				v := d*float64(scale.s[j]) + float64(beta.s[j])
				g := float64(dy.s[i])
				if on {
					v = max(v, 0)
					// The gradient passes where the result as written is positive.
					if y.s[i] <= 0 {
						g = 0
					}
				}
				within(t, forward, y.s[i], v, math.Abs(d*float64(scale.s[j]))+math.Abs(float64(beta.s[j])), 3)
				want[j] += g
				wantDot[j] += g * d
				size[j] += math.Abs(g) * (1 + math.Abs(d))
				wantX := float64(scale.s[j])*g + d*float64(slope.s[j]) + float64(offset.s[j])
				within(t, back, dx.s[i], wantX, math.Abs(float64(scale.s[j])*g)+math.Abs(d*float64(slope.s[j]))+math.Abs(float64(offset.s[j])), 4)
			}
			for j := range c {
				within(t, what("gradient sum"), T(sum.s[j]-want[j]), 0, size[j]+1, rows+4)
				within(t, what("gradient product"), T(dot.s[j]-wantDot[j]), 0, size[j]+1, rows+4)
			}
			checkAll(t, what("norm"), mean, scale, beta, slope, offset, x, dy, y, dx)
			checkAll(t, what("norm"), sum, dot)
		}
	})
}

func TestPools(t *testing.T) { atBothTypes(t, testPools[float32], testPools[float64]) }

func testPools[T float](t *testing.T, r *rand.Rand) {
	test := func(p Pool) {
		t.Helper()
		if err := p.Check(); err != nil {
			return
		}
		what := fmt.Sprintf("%+v", p)
		back := what + " backward"
		c := p.Channels
		in, out := p.Height*p.Width*c, p.OutH()*p.OutW()*c
		x, y := newGuarded[T](in, r.IntN(9)).random(r), newGuarded[T](out, r.IntN(9))
		for i := range x.s {
			x.s[i] = T(math.Round(2 * float64(x.s[i]))) // with ties
		}
		dy, dx := newGuarded[T](out, r.IntN(9)).random(r), newGuarded[T](in, r.IntN(9))
		mean, dmean := newGuarded[T](out, r.IntN(9)), newGuarded[T](in, r.IntN(9))
		places := make([]uint8, out+128)
		for i := range places {
			places[i] = 0xa5
		}
		place := places[64 : 64+out]
		MaxPool(y.s, place, x.s, p)
		MaxPoolBackward(dx.s, dy.s, place, p)
		AveragePool(mean.s, x.s, p)
		AveragePoolBackward(dmean.s, dy.s, p)
		want, wantMean := make([]float64, in), make([]float64, in)
		area := float64(p.KernelH * p.KernelW)
		for i := range p.OutH() {
			for j := range p.OutW() {
				for k := range c {
					o := (i*p.OutW()+j)*c + k
					best, number, from, sum, size := math.Inf(-1), -1, -1, 0.0, 0.0
					for h := range p.KernelH {
						for w := range p.KernelW {
							row, column := i*p.Stride-p.Pad+h, j*p.Stride-p.Pad+w
							if row < 0 || row >= p.Height || column < 0 || column >= p.Width {
								continue
							}
							e := (row*p.Width+column)*c + k
							v := float64(x.s[e])
							sum += v / area
							size += math.Abs(v) / area
							wantMean[e] += float64(dy.s[o]) / area
							if v > best {
								best, number, from = v, h*p.KernelW+w, e
							}
						}
					}
					if float64(y.s[o]) != best || int(place[o]) != number {
						t.Fatalf("%s: output %d is %v at place %d, want %v at %d", what, o, y.s[o], place[o], best, number)
					}
					want[from] += float64(dy.s[o])
					within(t, what, mean.s[o], sum, size, p.KernelH*p.KernelW+4)
				}
			}
		}
		for i := range want {
			within(t, back, dx.s[i], want[i], 8, int(area)+4)
			within(t, back, dmean.s[i], wantMean[i], 8, int(area)+4)
		}
		checkAll(t, what, x, y, dx, dy, mean, dmean)
		for i, b := range places {
			if (i < 64 || i >= 64+out) && b != 0xa5 {
				t.Fatalf("%s: place %d of %d was written", what, i-64, out)
			}
		}
	}
	for c := 1; c <= 40; c++ {
		test(Pool{Height: 6, Width: 5, Channels: c, KernelH: 2, KernelW: 2, Stride: 2})
		test(Pool{Height: 5, Width: 6, Channels: c, KernelH: 3, KernelW: 3, Stride: 2, Pad: 1})
	}
	for _, c := range []int{3, 17, 32} {
		for kh := 1; kh <= 4; kh++ {
			for kw := 1; kw <= 4; kw++ {
				for stride := 1; stride <= 3; stride++ {
					for pad := range 3 {
						test(Pool{Height: 7, Width: 8, Channels: c, KernelH: kh, KernelW: kw, Stride: stride, Pad: pad})
					}
				}
			}
		}
	}
	test(Pool{Height: 16, Width: 16, Channels: 3, KernelH: 16, KernelW: 16, Stride: 1})
}

func TestPoolCheck(t *testing.T) {
	good := Pool{Height: 4, Width: 4, Channels: 2, KernelH: 2, KernelW: 2, Stride: 2}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(p *Pool){
		"no channels":         func(p *Pool) { p.Channels = 0 },
		"no height":           func(p *Pool) { p.Height = 0 },
		"no window":           func(p *Pool) { p.KernelW = 0 },
		"257 places":          func(p *Pool) { p.Height, p.KernelH, p.KernelW = 300, 257, 1 },
		"overflow":            func(p *Pool) { p.KernelH, p.KernelW = math.MaxInt, 2 },
		"no stride":           func(p *Pool) { p.Stride = 0 },
		"padding over half":   func(p *Pool) { p.Pad = 2 },
		"negative padding":    func(p *Pool) { p.Pad = -1 },
		"window over picture": func(p *Pool) { p.KernelH = 5 },
	} {
		p := good
		change(&p)
		if p.Check() == nil {
			t.Errorf("%s: no error for %+v", name, p)
		}
	}
}

func TestSoftmax(t *testing.T) { atBothTypes(t, testSoftmax[float32], testSoftmax[float64]) }

func testSoftmax[T float](t *testing.T, r *rand.Rand) {
	eachLength(func(n, shift int) {
		if n == 0 {
			return
		}
		what := fmt.Sprintf("softmax, length %d, shift %d", n, shift)
		z, p := newGuarded[T](n, shift).random(r), newGuarded[T](n, shift/2)
		for i := range z.s {
			z.s[i] *= 10
		}
		z.s[r.IntN(n)] = 1000 // without a shift it would overflow
		z.s[r.IntN(n)] = T(math.Inf(-1))
		most := math.Inf(-1)
		for _, v := range z.s {
			most = max(most, float64(v))
		}
		if math.IsInf(most, 0) {
			return
		}
		logSum := Softmax(p.s, z.s)
		sum := 0.0
		for _, v := range z.s {
			sum += math.Exp(float64(v) - most)
		}
		within(t, what, T(logSum), most+math.Log(sum), math.Abs(most)+math.Log(sum), 4)
		for i, v := range p.s {
			want := math.Exp(float64(z.s[i])-most) / sum
			// The argument is rounded: an error relative to its size.
			within(t, what, v, want, want*(2+math.Abs(math.Max(float64(z.s[i])-most, -1000)))+0x1p-126, 4)
		}
		checkAll(t, what, z, p)
	})
}

func TestOptimizers(t *testing.T) { atBothTypes(t, testOptimizers[float32], testOptimizers[float64]) }

func testOptimizers[T float](t *testing.T, r *rand.Rand) {
	eachLength(func(n, shift int) {
		g := newGuarded[T](n, shift).random(r)
		start := newGuarded[T](n, shift/2).random(r)
		for _, s := range []SGDStep{{Rate: 0.1}, {Rate: 0.1, Decay: 0.01}, {Rate: 0.1, Momentum: 0.9, Decay: 0.01}, {Rate: 0.1, Momentum: 0.9, Decay: 0.01, Nesterov: true}} {
			what := fmt.Sprintf("%+v, length %d, shift %d", s, n, shift)
			w, v := newGuarded[T](n, shift/3), newGuarded[T](n, shift/4)
			copy(w.s, start.s)
			clear(v.s)
			ew, ev := make([]float64, n), make([]float64, n)
			for i := range ew {
				ew[i] = float64(start.s[i])
			}
			for range 2 {
				SGD(w.s, v.s, g.s, s)
				for i := range ew {
					d := float64(g.s[i]) + s.Decay*ew[i]
					if s.Momentum != 0 {
						ev[i] = s.Momentum*ev[i] + d
						if s.Nesterov {
							d += s.Momentum * ev[i]
						} else {
							d = ev[i]
						}
					}
					ew[i] -= s.Rate * d
				}
			}
			for i := range ew {
				size := math.Abs(float64(start.s[i])) + math.Abs(float64(g.s[i]))
				within(t, what, w.s[i], ew[i], 2*size, 8)
				within(t, what, v.s[i], ev[i], 4*size, 8)
			}
			checkAll(t, what, g, start, w, v)
		}
		for _, decoupled := range []bool{false, true} {
			what := fmt.Sprintf("Adam, decoupled %v, length %d, shift %d", decoupled, n, shift)
			w, m, v := newGuarded[T](n, shift/3), newGuarded[T](n, shift/4), newGuarded[T](n, shift/5)
			copy(w.s, start.s)
			clear(m.s)
			clear(v.s)
			ew, em, ev := make([]float64, n), make([]float64, n), make([]float64, n)
			for i := range ew {
				ew[i] = float64(start.s[i])
			}
			for step := 1; step <= 2; step++ {
				s := AdamStep{Rate: 0.01, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Decay: 0.1, Decoupled: decoupled, Step: step}
				Adam(w.s, m.s, v.s, g.s, s)
				for i := range ew {
					d := float64(g.s[i])
					if decoupled {
						ew[i] *= 1 - s.Rate*s.Decay
					} else {
						d += s.Decay * ew[i]
					}
					em[i] = s.Beta1*em[i] + (1-s.Beta1)*d
					ev[i] = s.Beta2*ev[i] + (1-s.Beta2)*d*d
					ew[i] -= s.Rate / (1 - math.Pow(s.Beta1, float64(step))) * em[i] / (math.Sqrt(ev[i]/(1-math.Pow(s.Beta2, float64(step)))) + s.Epsilon)
				}
			}
			for i := range ew {
				d := math.Abs(float64(g.s[i])) + math.Abs(float64(start.s[i]))
				within(t, what, m.s[i], em[i], d, 8)
				within(t, what, v.s[i], ev[i], d*d, 16)
				// Where decay and gradient cancel, the quotient of the two has a relative error of its own.
				cancel := 1.0
				if !decoupled {
					cancel = d / (math.Sqrt(ev[i]/0.002) + 1e-30)
				}
				within(t, what, w.s[i], ew[i], math.Abs(ew[i])+0.02+0.02*cancel, 12)
			}
			checkAll(t, what, g, w, m, v)
		}
	})
}

func TestStandardize(t *testing.T) {
	atBothTypes(t, testStandardize[float32], testStandardize[float64])
}

func testStandardize[T float](t *testing.T, r *rand.Rand) {
	standardized := []int{28 * 28, 32 * 32 * 3, piece + 37}
	for n := range 101 {
		standardized = append(standardized, n)
	}
	for c := 1; c <= 17; c++ {
		a, b := newGuarded[T](c, c).random(r), newGuarded[T](c, c).random(r)
		for _, n := range standardized {
			src := make([]uint8, n)
			for i := range src {
				src[i] = uint8(r.IntN(256))
			}
			dst := newGuarded[T](n, n%7)
			Standardize(dst.s, src, a.s, b.s)
			what := fmt.Sprintf("standardised bytes, length %d, %d channels", n, c)
			for i, v := range dst.s {
				p := float64(src[i]) * float64(a.s[i%c])
				within(t, what, v, p+float64(b.s[i%c]), math.Abs(p)+math.Abs(float64(b.s[i%c])), 2)
			}
			checkAll(t, what, dst, a, b)
		}
	}
}

// TestTrainingAllocatesNothing calls every loop in both types.
func TestTrainingAllocatesNothing(t *testing.T) {
	atBothTypes(t, testNoAllocation[float32], testNoAllocation[float64])
}

func testNoAllocation[T float](t *testing.T, r *rand.Rand) {
	const c = 24
	p := Pool{Height: 4, Width: 4, Channels: c, KernelH: 2, KernelW: 2, Stride: 2}
	x, y, z, u := make([]T, 16*c), make([]T, 16*c), make([]T, 16*c), make([]T, 16*c)
	sum, square := make([]float64, c), make([]float64, c)
	place, bytes := make([]uint8, 16*c), make([]uint8, 16*c)
	n := Norm[T]{Mean: x[:c], Scale: y[:c], Shift: y[:c], ReLU: true}
	if got := testing.AllocsPerRun(10, func() {
		ReLU(y, x)
		ReLUBackward(y, x, z)
		Add(y, x, z)
		AddReLU(y, x, z)
		AddScaled(y, 0.5, x)
		Scale(y, 0.5, x)
		AddBias(y, x, z[:c])
		AddBiasReLU(y, x, z[:c])
		ColumnSums(sum, x)
		Moments(sum, square, x, x[:c])
		n.Forward(z, x)
		n.Sums(sum, square, z, x)
		n.Backward(z, z, x, x[:c], x[:c])
		MaxPool(y, place, x, p)
		MaxPoolBackward(z, y, place, p)
		AveragePool(y, x, p)
		AveragePoolBackward(z, y, p)
		Softmax(y, x)
		SGD(x, y, z, SGDStep{Rate: 0.1, Momentum: 0.9})
		SGD(x, nil, z, SGDStep{Rate: 0.1})
		Adam(x, y, z, u, AdamStep{Rate: 0.1, Beta1: 0.9, Beta2: 0.99, Epsilon: 1, Step: 1})
		Standardize(x, bytes, y[:3], z[:3])
		Sigmoid(y, x)
		SiLU(y, x)
		SiLUBackward(u, y, x)
		Tanh(y, x)
		GELU(y, x)
		GELUBackward(u, y, x)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
