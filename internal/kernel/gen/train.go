package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// train makes the loops of training, float32 only, each for AVX-512 and for AVX2.
func train(g *generator) {
	g.constants()
	for _, wide := range []bool{true, false} {
		v := &vector{generator: g, wide: wide}
		v.elementwise()
		v.steps()
		v.exponentials()
		v.curves()
		v.columnLoops()
		v.moveMoments()
		v.windows()
		v.standardize()
	}
}

// The registers of the loops of training: AVX2 keeps the mask of the tail in 15, AVX-512 in K1; 14 is zero
// where one is needed.
const (
	trainZero = 14
	trainMask = 15
)

// floats is the number of float32 in a register.
func (v *vector) floats() int { return v.bytes() / 4 }

// floatMask prepares the mask for n elements, fewer than the floats. RAX and RBX are overwritten.
func (v *vector) floatMask(n reg.GPPhysical) {
	if v.wide {
		v.MOVQ(operand.I32(-1), reg.RAX)
		v.BZHIQ(n, reg.RAX, reg.RAX)
		v.KMOVW(reg.EAX, reg.K1)
		return
	}
	v.MOVQ(operand.I32(8), reg.RAX)
	v.SUBQ(n, reg.RAX)
	v.LEAQ(symbol("mask32"), reg.RBX)
	v.VMOVUPS(indexed(reg.RBX, reg.RAX, 4, 0), v.r(trainMask))
}

func (v *vector) loadFloats(from operand.Mem, to int, masked bool) {
	switch {
	case !masked:
		v.VMOVUPS(from, v.r(to))
	case v.wide:
		v.VMOVUPS_Z(from, reg.K1, v.r(to))
	default:
		v.VMASKMOVPS(from, v.r(trainMask), v.r(to))
	}
}

func (v *vector) storeFloats(from int, to operand.Mem, masked bool) {
	switch {
	case !masked:
		v.VMOVUPS(v.r(from), to)
	case v.wide:
		v.VMOVUPS(v.r(from), reg.K1, to)
	default:
		v.VMASKMOVPS(v.r(from), v.r(trainMask), to)
	}
}

// zero clears a register.
func (v *vector) zero(i int) { v.VXORPS(v.x(i), v.x(i), v.x(i)) }

// positive takes the positive part. VMAX returns its second source, the first operand here, when either is
// NaN, and when both are zeros.
func (v *vector) positive(i int) { v.VMAXPS(v.r(i), v.r(trainZero), v.r(i)) }

// pass keeps of register g the lanes where y is positive or NaN and clears the others; t is
// overwritten.
func (v *vector) pass(y, g, t int) {
	notLessOrEqual := operand.Imm(0x16)
	if v.wide {
		v.VCMPPS(notLessOrEqual, v.r(trainZero), v.r(y), reg.K2)
		v.VMOVAPS_Z(v.r(g), reg.K2, v.r(g))
		return
	}
	v.VCMPPS(notLessOrEqual, v.r(trainZero), v.r(y), v.r(t))
	v.VANDPS(v.r(t), v.r(g), v.r(g))
}

// A walk is a loop along arrays of equal length: four registers at a time, then one, then a masked one.
type walk struct {
	arrays  []string // *float32
	factors []string // float32, broadcast to registers 16-len(factors)-2 and on, see factor
}

// factor is the register of factor i: the last one before zero is 13.
func (w walk) factor(i int) int { return trainZero - len(w.factors) + i }

// walk makes the function. body works on registers 4*u to 4*u+3 or fewer, at the addresses of step u; unroll is how
// many steps have registers.
func (v *vector) walk(name string, w walk, unroll int, doc string, body func(r int, at func(array int) operand.Mem, masked bool)) {
	var arguments []string
	for _, a := range w.arrays {
		arguments = append(arguments, a+" *float32")
	}
	arguments = append(arguments, "n int")
	for _, f := range w.factors {
		arguments = append(arguments, f+" float32")
	}
	v.whole(name, "func("+strings.Join(arguments, ", ")+")", doc)
	for i, a := range w.arrays {
		v.Load(v.Param(a), streamRegisters[i])
	}
	v.Load(v.Param("n"), count)
	for i, f := range w.factors {
		v.VBROADCASTSS(paramAddress(v.generator, f), v.r(w.factor(i)))
	}
	v.zero(trainZero)
	v.steady(len(w.arrays), unroll, func(u int, masked bool) {
		body(u*(w.factor(0)/unroll), func(array int) operand.Mem { return at(streamRegisters[array], u*v.bytes()) }, masked)
	})
	v.finish()
}

// steady makes the loop of a walk; its streams are the first stream registers.
func (v *vector) steady(streams, unroll int, step func(u int, masked bool)) {
	many, one, tail, end := v.label("many"), v.label("one"), v.label("tail"), v.label("end")
	advance := func(vectors int) {
		for _, r := range streamRegisters[:streams] {
			v.ADDQ(number(vectors*v.bytes()), r)
		}
		v.SUBQ(number(vectors*v.floats()), count)
	}
	v.Label(many)
	v.CMPQ(count, number(unroll*v.floats()))
	v.JLT(ref(one))
	for u := range unroll {
		step(u, false)
	}
	advance(unroll)
	v.JMP(ref(many))
	v.Label(one)
	v.CMPQ(count, number(v.floats()))
	v.JLT(ref(tail))
	step(0, false)
	advance(1)
	v.JMP(ref(one))
	v.Label(tail)
	v.TESTQ(count, count)
	v.JE(ref(end))
	v.floatMask(count)
	step(0, true)
	v.Label(end)
}

func (v *vector) elementwise() {
	v.walk("relu", walk{arrays: []string{"y", "x"}}, 4, "writes the positive part of x.",
		func(r int, at func(int) operand.Mem, masked bool) {
			v.loadFloats(at(1), r, masked)
			v.positive(r)
			v.storeFloats(r, at(0), masked)
		})
	v.walk("reluBackward", walk{arrays: []string{"dx", "dy", "y"}}, 4, "writes dy where y is positive, else 0.",
		func(r int, at func(int) operand.Mem, masked bool) {
			v.loadFloats(at(1), r, masked)
			v.loadFloats(at(2), r+1, masked)
			v.pass(r+1, r, r+2)
			v.storeFloats(r, at(0), masked)
		})
	for _, on := range []bool{false, true} {
		name, doc := "add", "writes a + b."
		if on {
			name, doc = "addReLU", "writes the positive part of a + b."
		}
		v.walk(name, walk{arrays: []string{"y", "a", "b"}}, 4, doc,
			func(r int, at func(int) operand.Mem, masked bool) {
				v.loadFloats(at(1), r, masked)
				v.loadFloats(at(2), r+1, masked)
				v.VADDPS(v.r(r+1), v.r(r), v.r(r))
				if on {
					v.positive(r)
				}
				v.storeFloats(r, at(0), masked)
			})
	}
	add := walk{arrays: []string{"y", "x"}, factors: []string{"a"}}
	v.walk("addScaled", add, 4, "adds a x to y.",
		func(r int, at func(int) operand.Mem, masked bool) {
			v.loadFloats(at(1), r, masked)
			v.loadFloats(at(0), r+1, masked)
			v.VFMADD231PS(v.r(r), v.r(add.factor(0)), v.r(r+1))
			v.storeFloats(r+1, at(0), masked)
		})
	v.walk("scaleInto", add, 4, "writes a x to y.",
		func(r int, at func(int) operand.Mem, masked bool) {
			v.loadFloats(at(1), r, masked)
			v.VMULPS(v.r(add.factor(0)), v.r(r), v.r(r))
			v.storeFloats(r, at(0), masked)
		})
}

// steps makes the steps of the optimisers.
func (v *vector) steps() {
	plain := walk{arrays: []string{"w", "grad"}, factors: []string{"rate", "decay"}}
	v.walk("descend", plain, 4, "takes a step of gradient descent.",
		func(r int, at func(int) operand.Mem, masked bool) {
			w, d := r, r+1
			v.loadFloats(at(0), w, masked)
			v.loadFloats(at(1), d, masked)
			v.VFMADD231PS(v.r(plain.factor(1)), v.r(w), v.r(d))
			v.VFNMADD231PS(v.r(plain.factor(0)), v.r(d), v.r(w))
			v.storeFloats(w, at(0), masked)
		})
	moving := walk{arrays: []string{"w", "v", "grad"}, factors: []string{"rate", "decay", "momentum"}}
	for _, nesterov := range []bool{false, true} {
		name := "descendMomentum"
		if nesterov {
			name = "descendNesterov"
		}
		v.walk(name, moving, 3, "takes a step of gradient descent with momentum.",
			func(r int, at func(int) operand.Mem, masked bool) {
				w, d, u := r, r+1, r+2
				v.loadFloats(at(0), w, masked)
				v.loadFloats(at(2), d, masked)
				v.loadFloats(at(1), u, masked)
				v.VFMADD231PS(v.r(moving.factor(1)), v.r(w), v.r(d))
				v.VFMADD213PS(v.r(d), v.r(moving.factor(2)), v.r(u)) // u = momentum u + d
				v.storeFloats(u, at(1), masked)
				if nesterov {
					v.VFMADD231PS(v.r(moving.factor(2)), v.r(u), v.r(d))
					u = d
				}
				v.VFNMADD231PS(v.r(moving.factor(0)), v.r(u), v.r(w))
				v.storeFloats(w, at(0), masked)
			})
	}
	adam := walk{arrays: []string{"w", "m", "v", "grad"}, factors: []string{"keep", "decay", "beta1", "gain1", "beta2", "gain2", "rate", "root", "epsilon"}}
	v.walk("adam", adam, 1, "takes a step of Adam, see adamFactors.",
		func(r int, at func(int) operand.Mem, masked bool) {
			keep, decay, beta1, gain1, beta2, gain2, rate, root, epsilon := v.r(adam.factor(0)), v.r(adam.factor(1)), v.r(adam.factor(2)),
				v.r(adam.factor(3)), v.r(adam.factor(4)), v.r(adam.factor(5)), v.r(adam.factor(6)), v.r(adam.factor(7)), v.r(adam.factor(8))
			w, d, m, u, t := r, r+1, r+2, r+3, r+4
			v.loadFloats(at(0), w, masked)
			v.loadFloats(at(3), d, masked)
			v.loadFloats(at(1), m, masked)
			v.loadFloats(at(2), u, masked)
			v.VFMADD231PS(decay, v.r(w), v.r(d))
			v.VMULPS(beta1, v.r(m), v.r(m))
			v.VFMADD231PS(gain1, v.r(d), v.r(m))
			v.VMULPS(v.r(d), v.r(d), v.r(d))
			v.VMULPS(beta2, v.r(u), v.r(u))
			v.VFMADD231PS(gain2, v.r(d), v.r(u))
			v.storeFloats(m, at(1), masked)
			v.storeFloats(u, at(2), masked)
			v.VSQRTPS(v.r(u), v.r(t))
			v.VFMADD213PS(epsilon, root, v.r(t)) // t = root t + epsilon
			v.VMULPS(rate, v.r(m), v.r(m))
			v.VDIVPS(v.r(t), v.r(m), v.r(m))
			v.VFMSUB213PS(v.r(m), keep, v.r(w)) // w = keep w - m
			v.storeFloats(w, at(0), masked)
		})
}

// exponentials writes exponentials and adds them as sumExp32 does.
func (v *vector) exponentials() {
	v.whole("exponentials", "func(y, x *float32, n int, shift float32) float64",
		"writes the exponentials of x - shift and returns their sum.")
	v.Load(v.Param("y"), streamRegisters[0])
	v.Load(v.Param("x"), streamRegisters[1])
	v.Load(v.Param("n"), count)
	v.VBROADCASTSS(paramAddress(v.generator, "shift"), v.r(regA))
	v.clear()
	v.steady(2, 2, func(u int, masked bool) {
		x, n, p := 4+3*u, 5+3*u, 6+3*u
		v.loadFloats(at(streamRegisters[1], u*v.bytes()), x, masked)
		v.VSUBPS(v.r(regA), v.r(x), v.r(x))
		v.exp(exponential32, x, n, p)
		v.storeFloats(x, at(streamRegisters[0], u*v.bytes()), masked)
		if masked && v.wide {
			v.VMOVAPS_Z(v.r(x), reg.K1, v.r(x))
		} else if masked {
			v.VANDPS(v.r(trainMask), v.r(x), v.r(x))
		}
		v.VCVTPS2PD(v.h(x), v.r(n))
		v.VADDPD(v.r(n), v.r(2*u), v.r(2*u))
		if v.wide {
			v.VEXTRACTF64X4(operand.Imm(1), v.r(x), v.h(x))
		} else {
			v.VEXTRACTF128(operand.Imm(1), v.r(x), v.h(x))
		}
		v.VCVTPS2PD(v.h(x), v.r(n))
		v.VADDPD(v.r(n), v.r(2*u+1), v.r(2*u+1))
	})
	v.sum()
}

// curves makes the activations that need an exponential, and their derivatives.
func (v *vector) curves() {
	c := func(value float64) operand.Mem { return v.constant(false, value) }
	set := func(value float64, to int) { v.VMOVUPS(c(value), v.r(to)) }
	// sigmoid replaces x by 1 / (1 + exp(-x)); t and u are overwritten.
	sigmoid := func(x, t, u int) {
		v.VSUBPS(v.r(x), v.r(trainZero), v.r(x))
		v.exp(exponential32, x, t, u)
		set(1, t)
		v.VADDPS(v.r(t), v.r(x), v.r(x))
		v.VDIVPS(v.r(x), v.r(t), v.r(x))
	}
	forward, backward := walk{arrays: []string{"y", "x"}}, walk{arrays: []string{"dx", "dy", "x"}}
	v.walk("sigmoid", forward, 2, "writes 1 / (1 + exp(-x)).",
		func(r int, at func(int) operand.Mem, masked bool) {
			v.loadFloats(at(1), r, masked)
			sigmoid(r, r+1, r+2)
			v.storeFloats(r, at(0), masked)
		})
	v.walk("silu", forward, 2, "writes x / (1 + exp(-x)).",
		func(r int, at func(int) operand.Mem, masked bool) {
			v.loadFloats(at(1), r, masked)
			v.VMOVAPS(v.r(r), v.r(r+3))
			sigmoid(r, r+1, r+2)
			v.VMULPS(v.r(r+3), v.r(r), v.r(r))
			v.storeFloats(r, at(0), masked)
		})
	v.walk("siluBackward", backward, 2, "writes dy s (1 + x (1 - s)), s the sigmoid of x.",
		func(r int, at func(int) operand.Mem, masked bool) {
			s, t, u, x := r, r+1, r+2, r+3
			v.loadFloats(at(2), s, masked)
			v.VMOVAPS(v.r(s), v.r(x))
			sigmoid(s, t, u)
			set(1, t)
			v.VSUBPS(v.r(s), v.r(t), v.r(u))      // 1 - s
			v.VFMADD213PS(v.r(t), v.r(x), v.r(u)) // 1 + x (1 - s)
			v.VMULPS(v.r(s), v.r(u), v.r(u))
			v.loadFloats(at(1), t, masked)
			v.VMULPS(v.r(t), v.r(u), v.r(u))
			v.storeFloats(u, at(0), masked)
		})
	v.walk("tanh", forward, 2, "writes 1 - 2 / (exp(2x) + 1), and for small x the Taylor series.",
		func(r int, at func(int) operand.Mem, masked bool) {
			e, t, u, x, s := r, r+1, r+2, r+3, r+4
			v.loadFloats(at(1), x, masked)
			v.VADDPS(v.r(x), v.r(x), v.r(e))
			v.exp(exponential32, e, t, u)
			set(1, t)
			v.VADDPS(v.r(t), v.r(e), v.r(e))
			set(2, u)
			v.VDIVPS(v.r(e), v.r(u), v.r(e))
			v.VSUBPS(v.r(e), v.r(t), v.r(e))
			v.VMULPS(v.r(x), v.r(x), v.r(s))
			set(21844./6081075, u)
			for _, a := range []float64{-1382. / 155925, 62. / 2835, -17. / 315, 2. / 15, -1. / 3} {
				v.VFMADD213PS(c(a), v.r(s), v.r(u))
			}
			v.VMULPS(v.r(x), v.r(s), v.r(t))
			v.VFMADD213PS(v.r(x), v.r(t), v.r(u)) // x + x^3 series
			// Where x^2 is less than 0.16.
			less := operand.Imm(0x11)
			if v.wide {
				v.VCMPPS(less, c(0.16), v.r(s), reg.K2)
				v.VMOVAPS(v.r(u), reg.K2, v.r(e))
			} else {
				v.VCMPPS(less, c(0.16), v.r(s), v.r(t))
				v.VBLENDVPS(v.r(t), v.r(u), v.r(e), v.r(e))
			}
			v.storeFloats(e, at(0), masked)
		})
	// normal writes the normal distribution function of x to q; a, n and p are overwritten. The complementary error function is the
	// Chebyshev fit of Press et al., Numerical Recipes, section 6.2, with a relative error of 1.2e-7.
	normal := func(x, q, a, n, p int) {
		v.VSUBPS(v.r(x), v.r(trainZero), v.r(a))
		v.VMAXPS(v.r(a), v.r(x), v.r(a)) // |x|
		set(1, p)
		v.VFMADD132PS(c(0.5/math.Sqrt2), v.r(p), v.r(a)) // 1 + |x| / sqrt(8)
		v.VDIVPS(v.r(a), v.r(p), v.r(a))
		set(0.17087277, q)
		for _, b := range []float64{-0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223} {
			v.VFMADD213PS(c(b), v.r(a), v.r(q))
		}
		v.VMULPS(c(-0.5), v.r(x), v.r(n))
		v.VFMADD231PS(v.r(x), v.r(n), v.r(q))
		v.exp(exponential32, q, n, p)
		v.VMULPS(c(0.5), v.r(a), v.r(a))
		v.VMULPS(v.r(a), v.r(q), v.r(q)) // the smaller side
		set(1, p)
		v.VSUBPS(v.r(q), v.r(p), v.r(p))
		greater := operand.Imm(0x1e)
		if v.wide {
			v.VCMPPS(greater, v.r(trainZero), v.r(x), reg.K2)
			v.VMOVAPS(v.r(p), reg.K2, v.r(q))
		} else {
			v.VCMPPS(greater, v.r(trainZero), v.r(x), v.r(n))
			v.VBLENDVPS(v.r(n), v.r(p), v.r(q), v.r(q))
		}
	}
	v.walk("gelu", forward, 2, "writes x times the normal distribution function of x.",
		func(r int, at func(int) operand.Mem, masked bool) {
			x, q := r, r+1
			v.loadFloats(at(1), x, masked)
			normal(x, q, r+2, r+3, r+4)
			v.VMULPS(v.r(q), v.r(x), v.r(x))
			v.storeFloats(x, at(0), masked)
		})
	v.walk("geluBackward", backward, 2, "writes dy times the derivative of x times the normal distribution function of x.",
		func(r int, at func(int) operand.Mem, masked bool) {
			x, q, a, n, p := r, r+1, r+2, r+3, r+4
			v.loadFloats(at(2), x, masked)
			normal(x, q, a, n, p)
			v.VMULPS(c(-0.5), v.r(x), v.r(a))
			v.VMULPS(v.r(x), v.r(a), v.r(a))
			v.exp(exponential32, a, n, p)
			v.VMULPS(c(1/math.Sqrt(2*math.Pi)), v.r(a), v.r(a))
			v.VFMADD231PS(v.r(x), v.r(a), v.r(q))
			v.loadFloats(at(1), a, masked)
			v.VMULPS(v.r(a), v.r(q), v.r(q))
			v.storeFloats(q, at(0), masked)
		})
}

// A table is a loop over a matrix whose rows lie one after the other: some rows at a time, so that what belongs
// to a column (vectors of numbers, sums that are added to) is loaded once for all of them.
type table struct {
	arrays  []string // rows x c
	vectors []string // c
	rows    int      // at a time: 2 or 4
}

// The registers of a table.
var (
	tableArrays  = []reg.GPPhysical{reg.RSI, reg.RDI, reg.R8}
	tableVectors = []reg.GPPhysical{reg.R9, reg.R10, reg.R11, reg.R12, reg.R13}
	tableColumn  = reg.RDX // bytes
	tableWhole   = reg.RAX // bytes of a row in whole registers
	tableStride  = reg.RBX // bytes of a row
	tableStride3 = reg.R14 // three rows
)

// table makes the function. body gets the number of rows, the address of column j of a row of an array, and that of a vector.
func (v *vector) table32(name string, t table, doc string, body func(rows int, array func(a, row int) operand.Mem, vector func(i int) operand.Mem, masked bool)) {
	v.whole(name, fmt.Sprintf("func(%s *float32, rows, c int)", strings.Join(append(append([]string{}, t.arrays...), t.vectors...), ", ")), doc)
	v.Load(v.Param("c"), tableColumn)
	v.MOVQ(tableColumn, reg.RCX)
	v.ANDQ(number(v.floats()-1), reg.RCX)
	v.floatMask(reg.RCX)
	v.MOVQ(tableColumn, tableWhole)
	v.SUBQ(reg.RCX, tableWhole)
	v.SHLQ(operand.Imm(2), tableWhole)
	v.MOVQ(tableColumn, tableStride)
	v.SHLQ(operand.Imm(2), tableStride)
	if t.rows == 4 {
		v.LEAQ(indexed(tableStride, tableStride, 2, 0), tableStride3)
	}
	for i, a := range t.arrays {
		v.Load(v.Param(a), tableArrays[i])
	}
	for i, a := range t.vectors {
		v.Load(v.Param(a), tableVectors[i])
	}
	v.Load(v.Param("rows"), count)
	v.zero(trainZero)
	array := func(a, row int) operand.Mem {
		switch row {
		case 0:
			return at(tableArrays[a], 0)
		case 3:
			return indexed(tableArrays[a], tableStride3, 1, 0)
		}
		return indexed(tableArrays[a], tableStride, uint8(row), 0)
	}
	vector := func(i int) operand.Mem { return indexed(tableVectors[i], tableColumn, 1, 0) }
	for _, rows := range []int{t.rows, 1} {
		group, columns, tail, next, end := v.label("group"), v.label("columns"), v.label("tail"), v.label("next"), v.label("end")
		v.Label(group)
		v.CMPQ(count, number(rows))
		v.JLT(ref(end))
		v.XORQ(tableColumn, tableColumn)
		v.Label(columns)
		v.CMPQ(tableColumn, tableWhole)
		v.JGE(ref(tail))
		body(rows, array, vector, false)
		for i := range t.arrays {
			v.ADDQ(number(v.bytes()), tableArrays[i])
		}
		v.ADDQ(number(v.bytes()), tableColumn)
		v.JMP(ref(columns))
		v.Label(tail)
		v.CMPQ(tableWhole, tableStride)
		v.JE(ref(next))
		body(rows, array, vector, true)
		v.Label(next)
		for i := range t.arrays {
			r := tableArrays[i]
			v.SUBQ(tableWhole, r)
			switch rows {
			case 4:
				v.ADDQ(tableStride3, r)
				v.ADDQ(tableStride, r)
			case 2:
				v.LEAQ(indexed(r, tableStride, 2, 0), r)
			default:
				v.ADDQ(tableStride, r)
			}
		}
		v.SUBQ(number(rows), count)
		v.JMP(ref(group))
		v.Label(end)
	}
	v.finish()
}

// columnLoops makes the loops by column.
func (v *vector) columnLoops() {
	for _, on := range []bool{false, true} {
		suffix, also := "", ""
		if on {
			suffix, also = "ReLU", ", behind a ReLU"
		}
		v.table32("addBias"+suffix, table{arrays: []string{"y", "x"}, vectors: []string{"bias"}, rows: 2}, "adds the bias to every row"+also+".",
			func(rows int, array func(a, row int) operand.Mem, vector func(i int) operand.Mem, masked bool) {
				v.loadFloats(vector(0), 0, masked)
				for i := range rows {
					v.loadFloats(array(1, i), 1+i, masked)
					v.VADDPS(v.r(0), v.r(1+i), v.r(1+i))
					if on {
						v.positive(1 + i)
					}
					v.storeFloats(1+i, array(0, i), masked)
				}
			})
		v.table32("normForward"+suffix, table{arrays: []string{"y", "x"}, vectors: []string{"mean", "scale", "shift"}, rows: 2}, "applies the map of a Norm"+also+".",
			func(rows int, array func(a, row int) operand.Mem, vector func(i int) operand.Mem, masked bool) {
				for i := range 3 {
					v.loadFloats(vector(i), i, masked)
				}
				for i := range rows {
					x := 3 + i
					v.loadFloats(array(1, i), x, masked)
					v.VSUBPS(v.r(0), v.r(x), v.r(x))
					v.VFMADD213PS(v.r(2), v.r(1), v.r(x))
					if on {
						v.positive(x)
					}
					v.storeFloats(x, array(0, i), masked)
				}
			})
		v.table32("normSums"+suffix, table{arrays: []string{"dy", "x"}, vectors: []string{"sum", "dot", "mean", "scale", "shift"}, rows: 4}, "adds the sums of the gradient of a Norm"+also+".",
			func(rows int, array func(a, row int) operand.Mem, vector func(i int) operand.Mem, masked bool) {
				last := 3
				if on {
					last = 5
				}
				for i := range last {
					v.loadFloats(vector(i), i, masked)
				}
				for i := range rows {
					d, g, y := 5+2*i, 6+2*i, 13
					v.loadFloats(array(1, i), d, masked)
					v.loadFloats(array(0, i), g, masked)
					v.VSUBPS(v.r(2), v.r(d), v.r(d))
					if on {
						v.VMOVAPS(v.r(d), v.r(y))
						v.VFMADD213PS(v.r(4), v.r(3), v.r(y))
						v.pass(y, g, y)
					}
					v.VADDPS(v.r(g), v.r(0), v.r(0))
					v.VFMADD231PS(v.r(g), v.r(d), v.r(1))
				}
				v.storeFloats(0, vector(0), masked)
				v.storeFloats(1, vector(1), masked)
			})
		v.table32("normBackward"+suffix, table{arrays: []string{"dx", "dy", "x"}, vectors: []string{"mean", "scale", "shift", "slope", "offset"}, rows: 2}, "writes the gradient of a Norm"+also+".",
			func(rows int, array func(a, row int) operand.Mem, vector func(i int) operand.Mem, masked bool) {
				for i := range 5 {
					v.loadFloats(vector(i), i, masked)
				}
				for i := range rows {
					d, g, y := 5+3*i, 6+3*i, 7+3*i
					v.loadFloats(array(2, i), d, masked)
					v.loadFloats(array(1, i), g, masked)
					v.VSUBPS(v.r(0), v.r(d), v.r(d))
					if on {
						v.VMOVAPS(v.r(d), v.r(y))
						v.VFMADD213PS(v.r(2), v.r(1), v.r(y))
						v.pass(y, g, y)
					}
					v.VFMADD213PS(v.r(4), v.r(3), v.r(d)) // d = slope d + offset
					v.VFMADD231PS(v.r(1), v.r(g), v.r(d))
					v.storeFloats(d, array(0, i), masked)
				}
			})
	}
	v.table32("columnSums", table{arrays: []string{"x"}, vectors: []string{"sum"}, rows: 4}, "adds the rows of x to sum.",
		func(rows int, array func(a, row int) operand.Mem, vector func(i int) operand.Mem, masked bool) {
			v.loadFloats(vector(0), 0, masked)
			for i := range rows {
				v.loadFloats(array(0, i), 1+i, masked)
				v.VADDPS(v.r(1+i), v.r(0), v.r(0))
			}
			v.storeFloats(0, vector(0), masked)
		})
	v.table32("columnMoments", table{arrays: []string{"x"}, vectors: []string{"sum", "square", "shift"}, rows: 4}, "adds x - shift and its square.",
		func(rows int, array func(a, row int) operand.Mem, vector func(i int) operand.Mem, masked bool) {
			for i := range 3 {
				v.loadFloats(vector(i), i, masked)
			}
			// The rows are added to one another first, which keeps the running sums from as many roundings.
			sum, square := 3, 7
			for i := range rows {
				d := 3 + i
				v.loadFloats(array(0, i), d, masked)
				v.VSUBPS(v.r(2), v.r(d), v.r(d))
				if i == 0 {
					v.VMULPS(v.r(d), v.r(d), v.r(square))
				} else {
					v.VFMADD231PS(v.r(d), v.r(d), v.r(square))
					v.VADDPS(v.r(d), v.r(sum), v.r(sum))
				}
			}
			v.VADDPS(v.r(sum), v.r(0), v.r(0))
			v.VADDPS(v.r(square), v.r(1), v.r(1))
			v.storeFloats(0, vector(0), masked)
			v.storeFloats(1, vector(1), masked)
		})
}

// moveMoments makes the move of a chunk's moments from one pivot to another, in float64.
func (v *vector) moveMoments() {
	s := []stream{{name: "sum", double: true}, {name: "square", double: true}, {name: "chunkSum"}, {name: "chunkSquare"}, {name: "first"}, {name: "shift"}}
	s = v.begin("moveMoments", s, true, false, "adds the moments of a rows about first, as moments about shift.")
	v.loop(s, func(_, t, t1 int, at func(stream) int, masked bool) {
		e, sum := 0, 1
		v.load(s[4], at(s[4]), e, masked)
		v.load(s[5], at(s[5]), t, masked)
		v.VSUBPD(v.r(t), v.r(e), v.r(e)) // e = first - shift
		v.load(s[2], at(s[2]), t, masked)
		v.VMOVAPD(v.r(t), v.r(t1))
		v.VFMADD231PD(v.r(regA), v.r(e), v.r(t1)) // the sum about shift: t + a e
		v.load(s[0], at(s[0]), sum, masked)
		v.VADDPD(v.r(t1), v.r(sum), v.r(sum))
		v.store(s[0], at(s[0]), sum, masked)
		v.VADDPD(v.r(t), v.r(t1), v.r(t1)) // 2 t + a e
		v.load(s[3], at(s[3]), t, masked)
		v.VFMADD231PD(v.r(t1), v.r(e), v.r(t)) // the squares about shift
		v.load(s[1], at(s[1]), sum, masked)
		v.VADDPD(v.r(t), v.r(sum), v.r(sum))
		v.store(s[1], at(s[1]), sum, masked)
	})
	v.finish()
}

// windows makes the loops over n windows of a max-pooling that lie beside each other, skip bytes from the end of the channels of one to the
// beginning of the next. Channels come in whole registers: c is a multiple of the floats.
func (v *vector) windows() {
	var (
		y, place, x, c = reg.RSI, reg.RDI, reg.R8, reg.R9
		h, w, tap, row = reg.R10, reg.R11, reg.R12, reg.R13
		pixel, stride  = reg.RDX, reg.RBX
		windows        = reg.R14
	)
	const (
		best, number_, one, jump, new, index, not = 0, 1, 2, 3, 4, 5, 6
	)
	begin := func(name, signature, doc string) {
		v.whole(name, signature, doc)
		v.MOVQ(operand.I32(1), reg.RAX)
		v.MOVQ(reg.RAX, reg.X0)
		v.VPBROADCASTD(reg.X0, v.r(one))
		v.VBROADCASTSS(paramAddress(v.generator, "jump"), v.r(jump))
		v.Load(v.Param("n"), windows)
		v.Load(v.Param("c"), c)
		v.Load(v.Param("pixel"), pixel)
		v.Load(v.Param("stride"), stride)
		v.Load(v.Param("x"), x)
		v.Load(v.Param("y"), y)
		v.Load(v.Param("place"), place)
	}
	// taps calls body for every place of the window, tap at its address.
	taps := func(body func()) {
		rows, columns := v.label("rows"), v.label("columns")
		v.VBROADCASTSS(paramAddress(v.generator, "first"), v.r(number_))
		v.MOVQ(x, row)
		v.Load(v.Param("h"), h)
		v.Label(rows)
		v.MOVQ(row, tap)
		v.Load(v.Param("w"), w)
		v.Label(columns)
		body()
		v.VPADDD(v.r(one), v.r(number_), v.r(number_))
		v.ADDQ(pixel, tap)
		v.DECQ(w)
		v.JNE(ref(columns))
		v.VPADDD(v.r(jump), v.r(number_), v.r(number_))
		v.ADDQ(stride, row)
		v.DECQ(h)
		v.JNE(ref(rows))
	}
	next := func(loop string) {
		v.ADDQ(number(v.bytes()), y)
		v.ADDQ(number(v.bytes()), x)
		v.ADDQ(number(v.floats()), place)
		v.SUBQ(number(v.floats()), c)
		v.JNE(ref(loop))
		v.Load(v.Param("c"), c)
		v.ADDQ(paramAddress(v.generator, "skip"), x)
		v.DECQ(windows)
		v.JNE(ref(loop))
		v.finish()
	}
	const parameters = "(y *float32, place *uint8, x *float32, n, skip, c, h, w, pixel, stride int, first, jump int32)"

	begin("maxWindows", "func"+parameters, "writes the maxima of h x w pixels and their numbers: first, one more to the right, jump more at the end of a row.")
	loop := v.label("loop")
	v.Label(loop)
	v.VBROADCASTSS(paramAddress(v.generator, "first"), v.r(index))
	v.VMOVUPS(at(x, 0), v.r(best))
	taps(func() {
		greater, unordered := operand.Imm(0x1e), operand.Imm(3)
		v.VMOVUPS(at(tap, 0), v.r(new))
		if v.wide {
			v.VCMPPS(greater, v.r(best), v.r(new), reg.K1)
			v.VCMPPS(unordered, v.r(new), v.r(new), reg.K2)
			v.KORW(reg.K1, reg.K2, reg.K1)
			v.VMOVUPS(v.r(new), reg.K1, v.r(best))
			v.VMOVDQA32(v.r(number_), reg.K1, v.r(index))
			return
		}
		v.VCMPPS(greater, v.r(best), v.r(new), v.r(not))
		v.VCMPPS(unordered, v.r(new), v.r(new), v.r(not+1))
		v.VORPS(v.r(not+1), v.r(not), v.r(not))
		v.VBLENDVPS(v.r(not), v.r(new), v.r(best), v.r(best))
		v.VBLENDVPS(v.r(not), v.r(number_), v.r(index), v.r(index))
	})
	v.VMOVUPS(v.r(best), at(y, 0))
	if v.wide {
		v.VPMOVDB(v.r(index), at(place, 0))
	} else {
		v.VEXTRACTI128(operand.Imm(1), v.r(index), v.h(new))
		v.VPACKUSDW(v.h(new), v.h(index), v.h(index))
		v.VPACKUSWB(v.h(index), v.h(index), v.h(index))
		v.VMOVQ(v.h(index), at(place, 0))
	}
	next(loop)

	begin("maxWindowsBackward", "func"+parameters, "adds y to the pixel whose number is the place; x is the gradient that is added to.")
	loop = v.label("loop")
	v.Label(loop)
	v.VMOVUPS(at(y, 0), v.r(best))
	v.VPMOVZXBD(at(place, 0), v.r(index))
	taps(func() {
		if v.wide {
			v.VPCMPEQD(v.r(number_), v.r(index), reg.K1)
			v.VMOVAPS_Z(v.r(best), reg.K1, v.r(new))
		} else {
			v.VPCMPEQD(v.r(number_), v.r(index), v.r(not))
			v.VANDPS(v.r(not), v.r(best), v.r(new))
		}
		v.VADDPS(at(tap, 0), v.r(new), v.r(new))
		v.VMOVUPS(v.r(new), at(tap, 0))
	})
	next(loop)
}

// standardize converts bytes by a pattern of three registers.
func (v *vector) standardize() {
	v.whole("standardize", "func(dst *float32, src *uint8, n int, scale, shift *float32)",
		"writes scale src + shift; n is a multiple of three registers, the length of scale and shift.")
	v.Load(v.Param("dst"), reg.RDI)
	v.Load(v.Param("src"), reg.RSI)
	v.Load(v.Param("n"), count)
	v.Load(v.Param("scale"), reg.R8)
	v.Load(v.Param("shift"), reg.R9)
	for i := range 3 {
		v.VMOVUPS(at(reg.R8, i*v.bytes()), v.r(3+i))
		v.VMOVUPS(at(reg.R9, i*v.bytes()), v.r(6+i))
	}
	loop, end := v.label("loop"), v.label("end")
	v.Label(loop)
	v.TESTQ(count, count)
	v.JE(ref(end))
	for i := range 3 {
		v.VPMOVZXBD(at(reg.RSI, i*v.floats()), v.r(i))
		v.VCVTDQ2PS(v.r(i), v.r(i))
		v.VFMADD213PS(v.r(6+i), v.r(3+i), v.r(i))
		v.VMOVUPS(v.r(i), at(reg.RDI, i*v.bytes()))
	}
	v.ADDQ(number(3*v.bytes()), reg.RDI)
	v.ADDQ(number(3*v.floats()), reg.RSI)
	v.SUBQ(number(3*v.floats()), count)
	v.JMP(ref(loop))
	v.Label(end)
	v.finish()
}
