package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The exponential: x = n ln 2 + r with n the nearest integer, a Taylor polynomial in r, and a scaling
// by 2^n. The argument is clamped where the result is 0 or +Inf anyway; a NaN passes through the
// clamp, whose instructions return their second source when either is NaN.

// An exponential holds the parameters of one precision.
type exponential struct {
	double          bool
	low, high       float64 // clamp
	log2e, hi, lo   float64 // hi + lo is ln 2; n*hi is exact
	degree          int     // of the Taylor polynomial
	bias, exponents int     // of the floating-point format
}

var (
	exponential32 = exponential{low: -104, high: 89, log2e: math.Log2E, hi: 0.693359375, lo: -2.12194440054690583e-4, degree: 7, bias: 127, exponents: 23}
	exponential64 = exponential{double: true, low: -746, high: 710, log2e: math.Log2E, hi: 6.93147180369123816490e-01, lo: 1.90821492927058770002e-10, degree: 13, bias: 1023, exponents: 52}
)

// constant makes a register of equal numbers in memory, once, and returns its address.
func (v *vector) constant(double bool, value float64) operand.Mem {
	name := fmt.Sprintf("c%016x", math.Float64bits(value))
	bits := operand.Constant(operand.U64(math.Float64bits(value)))
	if !double {
		b := uint64(math.Float32bits(float32(value)))
		name = fmt.Sprintf("c%08x", b)
		bits = operand.U64(b<<32 | b)
	}
	return v.table(name, bits)
}

func (v *vector) integer(double bool, value int) operand.Mem {
	bits := operand.U64(value)
	if !double {
		bits = operand.U64(uint64(value)<<32 | uint64(value))
	}
	return v.table(fmt.Sprintf("i%d", value), bits)
}

func (v *vector) table(name string, word operand.Constant) operand.Mem {
	if v.made == nil {
		v.made = map[string]bool{}
	}
	if !v.made[name] {
		v.made[name] = true
		v.StaticGlobal(name)
		v.DataAttributes(attr.RODATA | attr.NOPTR)
		for range 8 {
			v.AppendDatum(word)
		}
	}
	return symbol(name)
}

// exp replaces register x by its exponential; t, n and p are overwritten.
func (v *vector) exp(e exponential, x, n, p int) {
	add, mul, max, min, fma, fnma := v.VADDPS, v.VMULPS, v.VMAXPS, v.VMINPS, v.VFMADD213PS, v.VFNMADD231PS
	move := v.VMOVUPS
	if e.double {
		add, mul, max, min, fma, fnma = v.VADDPD, v.VMULPD, v.VMAXPD, v.VMINPD, v.VFMADD213PD, v.VFNMADD231PD
		move = v.VMOVUPD
	}
	X, N, P := v.r(x), v.r(n), v.r(p)
	c := func(value float64) operand.Mem { return v.constant(e.double, value) }
	move(c(e.low), N)
	max(X, N, X)
	move(c(e.high), N)
	min(X, N, X)
	mul(c(e.log2e), X, N)
	switch {
	case v.wide && e.double:
		v.VRNDSCALEPD(operand.Imm(8), N, N)
	case v.wide:
		v.VRNDSCALEPS(operand.Imm(8), N, N)
	case e.double:
		v.VROUNDPD(operand.Imm(8), N, N)
	default:
		v.VROUNDPS(operand.Imm(8), N, N)
	}
	fnma(c(e.hi), N, X)
	fnma(c(e.lo), N, X)
	factorial := 1.0
	for i := 2; i <= e.degree; i++ {
		factorial *= float64(i)
	}
	move(c(1/factorial), P)
	for i := e.degree; i >= 3; i-- {
		factorial /= float64(i)
		fma(c(1/factorial), X, P)
	}
	// 1 + (r + r^2 p): the small terms first.
	mul(X, P, P)
	fma(X, X, P)
	add(c(1), P, P)
	switch {
	case v.wide && e.double:
		v.VSCALEFPD(N, P, X)
		return
	case v.wide:
		v.VSCALEFPS(N, P, X)
		return
	}
	// Two factors, so that neither leaves the range of normal numbers.
	bias := v.integer(e.double, e.bias)
	shift := operand.Imm(uint64(e.exponents))
	if e.double {
		v.VCVTPD2DQY(N, v.h(n))
		v.VPSRAD(operand.Imm(1), v.h(n), v.h(x))
		v.VPSUBD(v.h(x), v.h(n), v.h(n))
		for _, i := range []int{n, x} {
			v.VPMOVSXDQ(v.h(i), v.r(i))
			v.VPADDQ(bias, v.r(i), v.r(i))
			v.VPSLLQ(shift, v.r(i), v.r(i))
		}
	} else {
		v.VCVTPS2DQ(N, N)
		v.VPSRAD(operand.Imm(1), N, X)
		v.VPSUBD(X, N, N)
		for _, i := range []int{n, x} {
			v.VPADDD(bias, v.r(i), v.r(i))
			v.VPSLLD(shift, v.r(i), v.r(i))
		}
	}
	mul(N, P, P)
	mul(X, P, X)
}

// sumExp32 adds exponentials of float32. A register of them is two registers of float64: the lower
// half goes to sum 2u, the upper one to sum 2u+1.
func (v *vector) sumExp32() {
	v.whole("sumExp32", "func(x *float32, n int, shift float32) float64",
		"returns the sum of the exponentials of x - shift.")
	v.Load(v.Param("x"), reg.RSI)
	v.Load(v.Param("n"), count)
	v.VBROADCASTSS(paramAddress(v.generator, "shift"), v.r(regA))
	v.clear()
	lanes := 2 * v.lanes()
	step := func(u, displacement int, masked bool) {
		x, n, p := 4+3*u, 5+3*u, 6+3*u
		from := at(reg.RSI, displacement)
		switch {
		case !masked:
			v.VMOVUPS(from, v.r(x))
		case v.wide:
			v.VMOVUPS_Z(from, reg.K1, v.r(x))
		default:
			v.VMASKMOVPS(from, v.r(regMask32), v.r(x))
		}
		v.VSUBPS(v.r(regA), v.r(x), v.r(x))
		v.exp(exponential32, x, n, p)
		if masked && v.wide {
			v.VMOVAPS_Z(v.r(x), reg.K1, v.r(x))
		} else if masked {
			v.VANDPS(v.r(regMask32), v.r(x), v.r(x))
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
	}
	v.twice(lanes, v.bytes(), step, func() {
		if v.wide {
			v.tailMask()
			return
		}
		v.MOVQ(operand.I32(8), reg.RAX)
		v.SUBQ(count, reg.RAX)
		v.LEAQ(symbol("mask32"), reg.RBX)
		v.VMOVUPS(indexed(reg.RBX, reg.RAX, 4, 0), v.r(regMask32))
	})
	v.sum()
}

// sumExp64 adds exponentials of float64.
func (v *vector) sumExp64() {
	v.whole("sumExp64", "func(x *float64, n int, shift float64) float64",
		"returns the sum of the exponentials of x - shift.")
	v.Load(v.Param("x"), reg.RSI)
	v.Load(v.Param("n"), count)
	v.VBROADCASTSD(paramAddress(v.generator, "shift"), v.r(regA))
	v.clear()
	step := func(u, displacement int, masked bool) {
		x, n, p := 4+3*u, 5+3*u, 6+3*u
		v.load(stream{double: true, r: reg.RSI}, displacement, x, masked)
		v.VSUBPD(v.r(regA), v.r(x), v.r(x))
		v.exp(exponential64, x, n, p)
		if masked && v.wide {
			v.VMOVAPD_Z(v.r(x), reg.K1, v.r(x))
		} else if masked {
			v.VANDPD(v.r(regMask64), v.r(x), v.r(x))
		}
		v.VADDPD(v.r(x), v.r(u), v.r(u))
	}
	v.twice(v.lanes(), v.bytes(), step, v.tailMask)
	v.sum()
}

// twice is a loop of two steps at a time, then one, then a masked one.
func (v *vector) twice(lanes, bytes int, step func(u, displacement int, masked bool), mask func()) {
	two, one, tail, end := v.label("two"), v.label("one"), v.label("tail"), v.label("end")
	v.Label(two)
	v.CMPQ(count, number(2*lanes))
	v.JLT(ref(one))
	step(0, 0, false)
	step(1, bytes, false)
	v.ADDQ(number(2*bytes), reg.RSI)
	v.SUBQ(number(2*lanes), count)
	v.JMP(ref(two))
	v.Label(one)
	v.CMPQ(count, number(lanes))
	v.JLT(ref(tail))
	step(0, 0, false)
	v.ADDQ(number(bytes), reg.RSI)
	v.SUBQ(number(lanes), count)
	v.JMP(ref(one))
	v.Label(tail)
	v.TESTQ(count, count)
	v.JE(ref(end))
	mask()
	step(0, 0, true)
	v.Label(end)
}
