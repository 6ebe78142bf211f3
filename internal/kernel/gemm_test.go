package kernel

import (
	"fmt"
	"math"
	"runtime"
	"testing"
)

type gemmFunc[T float] func(transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int)

// A problem is one product with guarded operands; the gaps between rows hold NaN too.
type problem[T float] struct {
	transA, transB bool
	m, n, k        int
	lda, ldb, ldc  int
	alpha, beta    T
	a, b, c        *guarded[T]
}

func (p problem[T]) String() string {
	return fmt.Sprintf("%v %v %dx%dx%d lda %d ldb %d ldc %d alpha %v beta %v", p.transA, p.transB, p.m, p.n, p.k, p.lda, p.ldb, p.ldc, p.alpha, p.beta)
}

func fillRows[T float](g *guarded[T], rows, cols, ld int, f func() T) {
	for i := range g.s {
		g.s[i] = guardValue[T]()
	}
	for i := range rows {
		for j := range cols {
			g.s[i*ld+j] = f()
		}
	}
}

func extent(rows, cols, ld int) int {
	if rows == 0 || cols == 0 {
		return 0
	}
	return (rows-1)*ld + cols
}

func shape(trans bool, rows, cols int) (int, int) {
	if trans {
		return cols, rows
	}
	return rows, cols
}

func newProblem[T float](transA, transB bool, m, n, k, pad, shift int, alpha, beta T) problem[T] {
	r := newRand()
	p := problem[T]{transA: transA, transB: transB, m: m, n: n, k: k, alpha: alpha, beta: beta}
	normal := func() T { return T(r.NormFloat64()) }
	rows, cols := shape(transA, m, k)
	p.lda = cols + pad
	p.a = newGuarded[T](extent(rows, cols, p.lda), shift)
	fillRows(p.a, rows, cols, p.lda, normal)
	rows, cols = shape(transB, k, n)
	p.ldb = cols + 2*pad
	p.b = newGuarded[T](extent(rows, cols, p.ldb), shift+1)
	fillRows(p.b, rows, cols, p.ldb, normal)
	p.ldc = n + 3*pad
	p.c = newGuarded[T](extent(m, n, p.ldc), shift+2)
	if beta == 0 {
		fillRows(p.c, m, n, p.ldc, guardValue[T]) // must not be read
	} else {
		fillRows(p.c, m, n, p.ldc, normal)
	}
	return p
}

func (p problem[T]) check(t *testing.T, f gemmFunc[T]) {
	t.Helper()
	before := append([]T(nil), p.c.s...)
	f(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a.s, p.lda, p.b.s, p.ldb, p.beta, p.c.s, p.ldc)
	p.a.check(t, p.String())
	p.b.check(t, p.String())
	p.c.check(t, p.String())
	for i := range p.c.s {
		if i%p.ldc >= p.n && !sameBits(p.c.s[i], guardValue[T]()) {
			t.Fatalf("%v: the gap after a row of C was written", p)
		}
	}
	for i := range p.m {
		for j := range p.n {
			var sum, size float64
			for q := range p.k {
				x, y := i*p.lda+q, q*p.ldb+j
				if p.transA {
					x = q*p.lda + i
				}
				if p.transB {
					y = j*p.ldb + q
				}
				v := float64(p.a.s[x]) * float64(p.b.s[y])
				sum += v
				size += math.Abs(v)
			}
			sum *= float64(p.alpha)
			size *= math.Abs(float64(p.alpha))
			if p.beta != 0 {
				v := float64(p.beta) * float64(before[i*p.ldc+j])
				sum += v
				size += math.Abs(v)
			}
			// Each of at most k+3 roundings on the way is at most epsilon of the sum of absolute
			// values, and so is each of the oracle's own when T is float64.
			limit := 2 * float64(p.k+3) * epsilon[T]() * size
			if got := float64(p.c.s[i*p.ldc+j]); !(math.Abs(got-sum) <= limit) {
				t.Fatalf("%v: element %d, %d is %v, want %v", p, i, j, got, sum)
			}
		}
	}
}

// testGemm takes every pair of small sizes for rows and columns, with the length of the contraction,
// the transposes, scale factors, gaps and alignments going round.
func testGemm[T float](t *testing.T, f gemmFunc[T]) {
	largest := 50
	if testing.Short() {
		largest = 26
	}
	factors := []T{1, 0, -0.5, 2}
	count := 0
	for m := range largest + 1 {
		for n := range largest + 1 {
			count++
			k := count * 7 % (largest + 1)
			alpha, beta := factors[count/4%4], factors[count/16%4]
			if count%3 != 0 {
				alpha = 1
			}
			newProblem[T](count&1 != 0, count&2 != 0, m, n, k, count%3, count%16, alpha, beta).check(t, f)
		}
	}
}

func TestGemmSmall(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testGemm(t, Gemm32) })
		t.Run("float64", func(t *testing.T) { testGemm(t, Gemm64) })
	})
}

// larger shapes, chosen to enter every path of the macro loops.
var largerShapes = []struct {
	name    string
	m, n, k int
}{
	{"several contraction blocks", 70, 90, 1100},
	{"rows shared", 290, 70, 530},
	{"row length a power of two", 17, 1024, 1024},
	{"long, few rows", 10, 130, 4200},
	{"long, few columns", 130, 10, 4200},
	{"long, tiny", 3, 2, 5000},
	{"logits", 2000, 10, 128},
	{"logits in several blocks", 90, 10, 1300},
	{"logits from memory", 4200, 20, 130},
	{"columns in several packings", 33, 4200, 20},
	{"blocks both ways", 1100, 600, 20},
}

func TestGemmLarger(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		for _, s := range largerShapes {
			t.Run(s.name, func(t *testing.T) {
				for trans := range 4 {
					newProblem[float32](trans&1 != 0, trans&2 != 0, s.m, s.n, s.k, 0, trans, 1, 0).check(t, Gemm32)
					newProblem[float64](trans&1 != 0, trans&2 != 0, s.m, s.n, s.k, trans, 0, -1, 0.5).check(t, Gemm64)
				}
			})
		}
	})
}

// Few columns and many rows, at every length of the last vectors of a row.
func TestGemmFewColumns(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		for n := 8; n <= 13; n++ {
			for k := range 70 {
				newProblem[float32](false, k&1 != 0, 24+k%5, n, k, k%3, k%16, 1, []float32{0, 1, -0.5}[k%3]).check(t, Gemm32)
			}
		}
	})
}

// TestWorkersDoNotMatter compares the bits of one worker with those of several.
func TestWorkersDoNotMatter(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
		for _, s := range largerShapes {
			for trans := range 4 {
				if trans == 1 || trans == 2 { // the mixed ones take the same paths
					continue
				}
				var want []float32
				var wantSyrk []float32
				for _, procs := range []int{1, 2, 5} {
					runtime.GOMAXPROCS(procs)
					p := newProblem[float32](trans&1 != 0, trans&2 != 0, s.m, s.n, s.k, 1, 0, 1, 2)
					Gemm32(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a.s, p.lda, p.b.s, p.ldb, p.beta, p.c.s, p.ldc)
					rows, cols := shape(p.transA, p.m, p.k)
					n, k := rows, cols
					if trans&2 != 0 {
						n, k = cols, rows
					}
					if n > 300 {
						n = 300
					}
					c := make([]float32, n*n)
					Syrk32(trans&2 != 0, n, k, p.a.s, p.lda, c, n)
					if procs == 1 {
						want, wantSyrk = p.c.s, c
						continue
					}
					for i, v := range p.c.s {
						if !sameBits(v, want[i]) {
							t.Fatalf("%s, %d workers: element %d is %v, with one worker %v", s.name, procs, i, v, want[i])
						}
					}
					for i, v := range c {
						if !sameBits(v, wantSyrk[i]) {
							t.Fatalf("syrk %d x %d, %d workers: element %d is %v, with one worker %v", n, k, procs, i, v, wantSyrk[i])
						}
					}
				}
			}
		}
	})
}

func testSyrk[T float](t *testing.T, f func(trans bool, n, k int, a []T, lda int, c []T, ldc int), n, k, pad, shift int, trans bool) {
	t.Helper()
	r := newRand()
	rows, cols := n, k
	if trans {
		rows, cols = k, n
	}
	lda, ldc := cols+pad, n+pad
	a := newGuarded[T](extent(rows, cols, lda), shift)
	fillRows(a, rows, cols, lda, func() T { return T(r.NormFloat64()) })
	c := newGuarded[T](extent(n, n, ldc), shift+1)
	fillRows(c, n, n, ldc, guardValue[T])
	what := fmt.Sprintf("syrk trans %v n %d k %d", trans, n, k)
	f(trans, n, k, a.s, lda, c.s, ldc)
	a.check(t, what)
	c.check(t, what)
	for i := range c.s {
		if i%ldc >= n && !sameBits(c.s[i], guardValue[T]()) {
			t.Fatalf("%s: the gap after a row was written", what)
		}
	}
	for i := range n {
		for j := range n {
			var sum, size float64
			for p := range k {
				x, y := i*lda+p, j*lda+p
				if trans {
					x, y = p*lda+i, p*lda+j
				}
				v := float64(a.s[x]) * float64(a.s[y])
				sum += v
				size += math.Abs(v)
			}
			if got := float64(c.s[i*ldc+j]); !(math.Abs(got-sum) <= 2*float64(k+20)*epsilon[T]()*size) {
				t.Fatalf("%s: element %d, %d is %v, want %v", what, i, j, got, sum)
			}
			if !sameBits(c.s[i*ldc+j], c.s[j*ldc+i]) {
				t.Fatalf("%s: not symmetric at %d, %d", what, i, j)
			}
		}
	}
}

func TestSyrk(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		for n := range 70 {
			for i, k := range []int{0, 1, 19} {
				testSyrk(t, Syrk32, n, k, (n+i)%3, n%16, n&1 != 0)
				testSyrk(t, Syrk64, n, k, (n+i)%3, n%16, n&1 == 0)
			}
		}
		for _, trans := range []bool{false, true} {
			testSyrk(t, Syrk32, 150, 1100, 1, 0, trans)
			testSyrk(t, Syrk64, 100, 700, 0, 1, trans)
			testSyrk(t, Syrk32, 21, 4500, 0, 3, trans)
			testSyrk(t, Syrk64, 37, 2100, 2, 3, trans)
		}
	})
}

func testPanel[T float](t *testing.T, n, k, m, shift int, mul func(n, k, m int, b []T, ldb int, c []T, ldc int, a []T, lda int)) {
	t.Helper()
	p := newProblem[T](false, true, m, n, k, shift%3, shift, 1, 0)
	p.check(t, func(_, _ bool, m, n, k int, _ T, a []T, lda int, b []T, ldb int, _ T, c []T, ldc int) {
		mul(n, k, m, b, ldb, c, ldc, a, lda)
	})
}

func mulPanel32(n, k, m int, b []float32, ldb int, c []float32, ldc int, a []float32, lda int) {
	NewPanel32(n, k, b, ldb).Mul(c, ldc, a, lda, m)
}

func mulPanel64(n, k, m int, b []float64, ldb int, c []float64, ldc int, a []float64, lda int) {
	NewPanel64(n, k, b, ldb).Mul(c, ldc, a, lda, m)
}

func TestPanel(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		for n := range 70 {
			for i, k := range []int{0, 1, 5, 8, 33} {
				m := (n*5 + i*3) % 27
				testPanel(t, n, k, m, n%16, mulPanel32)
				testPanel(t, n, k, m, n%16, mulPanel64)
			}
		}
		testPanel(t, 150, 1100, 21, 0, mulPanel32)
		testPanel(t, 150, 1100, 21, 0, mulPanel64)
		testPanel(t, 200, 1024, 9, 0, mulPanel32)
		testPanel(t, 401, 1024, 300, 0, mulPanel32) // blocks beyond the cache, more rows than a strip; their distance makes them collide
		testPanel(t, 211, 1024, 150, 0, mulPanel64)
	})
}

// TestPanelRowsAreIndependent: the bits of a row do not depend on its neighbours or its position.
func TestPanelRowsAreIndependent(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		const k, m = 77, 29
		for _, n := range []int{10, 20} { // by dot products, by tiles
			p := newProblem[float32](false, true, m, n, k, 0, 0, 1, 0)
			panel := NewPanel32(n, k, p.b.s, k)
			panel.Mul(p.c.s, n, p.a.s, k, m)
			for i := range m {
				row := make([]float32, n)
				panel.Mul(row, n, p.a.s[i*k:], k, 1)
				for j, v := range row {
					if !sameBits(v, p.c.s[i*n+j]) {
						t.Fatalf("%d columns: row %d alone differs in column %d", n, i, j)
					}
				}
			}
		}
	})
}

func TestPanelAllocatesNothing(t *testing.T) {
	const n, k, m = 20, 64, 32
	p := newProblem[float32](false, true, m, n, k, 0, 0, 1, 0)
	panel := NewPanel32(n, k, p.b.s, k)
	if got := testing.AllocsPerRun(100, func() { panel.Mul(p.c.s, n, p.a.s, k, m) }); got >= 1 {
		t.Errorf("%v allocations a product", got)
	}
}

func TestGemmRefusesShortSlices(t *testing.T) {
	for _, test := range []struct {
		name    string
		a, b, c int
	}{{"A", 11, 20, 15}, {"B", 12, 19, 15}, {"C", 12, 20, 14}} {
		t.Run(test.name, func(t *testing.T) {
			c := make([]float32, test.c)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
				for _, v := range c {
					if v != 0 {
						t.Error("C was written")
					}
				}
			}()
			a, b := make([]float32, test.a), make([]float32, test.b)
			for i := range a {
				a[i] = 1
			}
			for i := range b {
				b[i] = 1
			}
			Gemm32(false, false, 3, 5, 4, 1, a, 4, b, 5, 0, c, 5)
		})
	}
}

func testTranspose[T float](t *testing.T, transpose func(dst []T, ldd int, src []T, lds, rows, n int)) {
	r := newRand()
	for rows := 1; rows <= 17; rows++ {
		for n := 1; n < 35; n++ {
			lds, ldd := n+rows%3, rows
			src := newGuarded[T](extent(rows, n, lds), n%16).random(r)
			dst := newGuarded[T](n*ldd, rows)
			transpose(dst.s, ldd, src.s, lds, rows, n)
			dst.check(t, fmt.Sprintf("%d rows of %d", rows, n))
			for i := range rows {
				for p := range n {
					if dst.s[p*ldd+i] != src.s[i*lds+p] {
						t.Fatalf("%d rows of %d: row %d, column %d is wrong", rows, n, i, p)
					}
				}
			}
		}
	}
}

func TestTranspose(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		testTranspose(t, set32[level].transpose)
		testTranspose(t, set64[level].transpose)
	})
}
