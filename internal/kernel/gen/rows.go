package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rows makes the row loops and conversions, each for AVX-512 and for AVX2.
func rows(g *generator) {
	g.constants()
	for _, wide := range []bool{true, false} {
		v := &vector{generator: g, wide: wide}
		for _, double := range []bool{false, true} {
			v.rowLoops(double)
			v.maximum(double)
			v.find(double)
		}
		v.scale()
		v.widen()
		v.narrow()
		v.sumExp32()
		v.sumExp64()
		v.half()
		v.bfloat16()
	}
}

// A vector writes code for one vector width. Sums and arithmetic are in float64 lanes.
type vector struct {
	*generator
	wide bool // AVX-512, else AVX2
}

func (v *vector) suffix() string {
	if v.wide {
		return "AVX512"
	}
	return "AVX2"
}

// lanes is the number of float64 in a register, bytes its size.
func (v *vector) lanes() int { return v.bytes() / 8 }

func (v *vector) bytes() int {
	if v.wide {
		return 64
	}
	return 32
}

// r is register i, h its lower half.
func (v *vector) r(i int) reg.VecPhysical {
	if v.wide {
		return zmm[i]
	}
	return ymm[i]
}

func (v *vector) h(i int) reg.VecPhysical {
	if v.wide {
		return zmm[i].AsY().(reg.VecPhysical)
	}
	return ymm[i].AsX().(reg.VecPhysical)
}

func (v *vector) x(i int) reg.VecPhysical { return zmm[i].AsX().(reg.VecPhysical) }

// The registers that every row loop uses: sums in 0 to 3, temporary ones in 4 to 11, the factor a in
// 12. AVX2 keeps the masks of the tail in 13 (float64) and 14 (float32), AVX-512 in K1.
const (
	regA      = 12
	regMask64 = 13
	regMask32 = 14
)

// constants are the tables that the loops read.
func (g *generator) constants() {
	table := func(name string, values ...operand.Constant) {
		g.StaticGlobal(name)
		g.DataAttributes(attr.RODATA | attr.NOPTR)
		for _, c := range values {
			g.AppendDatum(c)
		}
	}
	ones := operand.U64(math.MaxUint64)
	// AVX2 masks: loading at 8*(4-r) or 4*(8-r) sets the first r lanes.
	table("mask64", ones, ones, ones, ones, operand.U64(0), operand.U64(0), operand.U64(0), operand.U64(0))
	// A float32 exponential wants eight lanes; the row loops use four.
	table("mask32", ones, ones, ones, ones, operand.U64(0), operand.U64(0), operand.U64(0), operand.U64(0))
}

// symbol is the address of a table.
func symbol(name string) operand.Mem {
	return operand.NewDataAddr(operand.NewStaticSymbol(name), 0)
}

// A stream is an operand that the loop walks along.
type stream struct {
	name   string
	double bool
	r      reg.GPPhysical
}

func (s stream) size() int {
	if s.double {
		return 8
	}
	return 4
}

var streamRegisters = []reg.GPPhysical{reg.RSI, reg.RDI, reg.R8, reg.R9, reg.R10, reg.R11}

// count is the register that holds the number of elements left.
var count = reg.RCX

// number is an immediate operand of integer arithmetic.
func number(n int) operand.Constant { return operand.I32(n) }

// tailMask prepares the masks for the last elements, fewer than the lanes.
func (v *vector) tailMask() {
	if v.wide {
		v.MOVQ(operand.I32(-1), reg.RAX)
		v.BZHIQ(count, reg.RAX, reg.RAX)
		v.KMOVW(reg.EAX, reg.K1)
		return
	}
	v.MOVQ(operand.I32(4), reg.RAX)
	v.SUBQ(count, reg.RAX)
	v.LEAQ(symbol("mask64"), reg.RBX)
	v.VMOVUPD(indexed(reg.RBX, reg.RAX, 8, 0), ymm[regMask64])
	v.VMOVUPS(indexed(reg.RBX, reg.RAX, 4, 16), v.x(regMask32))
}

// load reads lanes elements as float64 into register to.
func (v *vector) load(s stream, displacement int, to int, masked bool) {
	from := at(s.r, displacement)
	switch {
	case s.double && !masked:
		v.VMOVUPD(from, v.r(to))
	case s.double && v.wide:
		v.VMOVUPD_Z(from, reg.K1, v.r(to))
	case s.double:
		v.VMASKMOVPD(from, v.r(regMask64), v.r(to))
	case !masked:
		v.VCVTPS2PD(from, v.r(to))
	case v.wide:
		v.VCVTPS2PD_Z(from, reg.K1, v.r(to))
	default:
		v.VMASKMOVPS(from, v.x(regMask32), v.h(to))
		v.VCVTPS2PD(v.h(to), v.r(to))
	}
}

// store writes lanes elements. A conversion to float32 leaves its result in the register's lower half.
func (v *vector) store(s stream, displacement int, from int, masked bool) {
	to := at(s.r, displacement)
	source := v.r(from)
	if !s.double {
		source = v.h(from)
		if v.wide {
			v.VCVTPD2PS(v.r(from), source)
		} else {
			v.VCVTPD2PSY(v.r(from), source)
		}
	}
	switch {
	case !masked && s.double:
		v.VMOVUPD(source, to)
	case !masked:
		v.VMOVUPS(source, to)
	case v.wide && s.double:
		v.VMOVUPD(source, reg.K1, to)
	case v.wide:
		v.VMOVUPS(source, reg.K1, to)
	case s.double:
		v.VMASKMOVPD(source, v.r(regMask64), to)
	default:
		v.VMASKMOVPS(source, v.x(regMask32), to)
	}
}

// loop makes the walk along the streams: four vectors at a time, then one, then a masked one. body is
// called with the number of its sum and two temporary registers; it adds at the displacements of
// step u.
func (v *vector) loop(streams []stream, body func(u, t0, t1 int, at func(s stream) int, masked bool)) {
	four, one, tail, end := v.label("four"), v.label("one"), v.label("tail"), v.label("end")
	lanes := v.lanes()
	advance := func(vectors int) {
		for _, s := range streams {
			v.ADDQ(number(vectors*lanes*s.size()), s.r)
		}
		v.SUBQ(number(vectors*lanes), count)
	}
	v.Label(four)
	v.CMPQ(count, number(4*lanes))
	v.JLT(ref(one))
	for u := range 4 {
		body(u, 4+2*u, 5+2*u, func(s stream) int { return u * lanes * s.size() }, false)
	}
	advance(4)
	v.JMP(ref(four))
	start := func(s stream) int { return 0 }
	v.Label(one)
	v.CMPQ(count, number(lanes))
	v.JLT(ref(tail))
	body(0, 4, 5, start, false)
	advance(1)
	v.JMP(ref(one))
	v.Label(tail)
	v.TESTQ(count, count)
	v.JE(ref(end))
	v.tailMask()
	body(0, 4, 5, start, true)
	v.Label(end)
}

// clear sets the four sums to zero.
func (v *vector) clear() {
	for i := range 4 {
		v.VXORPD(v.x(i), v.x(i), v.x(i))
	}
}

// sum adds the lanes of the four sums into the result: (0 + 1) + (2 + 3), then halves.
func (v *vector) sum() {
	v.VADDPD(v.r(1), v.r(0), v.r(0))
	v.VADDPD(v.r(3), v.r(2), v.r(2))
	v.VADDPD(v.r(2), v.r(0), v.r(0))
	if v.wide {
		v.VEXTRACTF64X4(operand.Imm(1), zmm[0], ymm[1])
		v.VADDPD(ymm[1], ymm[0], ymm[0])
	}
	v.VEXTRACTF128(operand.Imm(1), ymm[0], reg.X1)
	v.VADDPD(reg.X1, reg.X0, reg.X0)
	v.VUNPCKHPD(reg.X0, reg.X0, reg.X1)
	v.VADDSD(reg.X1, reg.X0, reg.X0)
	v.Store(reg.X0, v.ReturnIndex(0))
	v.VZEROUPPER()
	v.RET()
}

// kinds names the element type of a stream in a signature.
func kind(double bool) string {
	name, _, _ := typeName(double)
	return name
}

// begin starts a row loop on the given streams, with or without the factor a and a result.
func (v *vector) begin(name string, streams []stream, factor, result bool, doc string) []stream {
	arguments := ""
	for i := range streams {
		streams[i].r = streamRegisters[i]
		arguments += fmt.Sprintf("%s *%s, ", streams[i].name, kind(streams[i].double))
	}
	if factor {
		arguments += "a float64, "
	}
	returns := ""
	if result {
		returns = " float64"
	}
	v.function(name+v.suffix(), "func("+arguments+"n int)"+returns, name+v.suffix()+" "+doc)
	for _, s := range streams {
		v.Load(v.Param(s.name), s.r)
	}
	v.Load(v.Param("n"), count)
	if factor {
		v.VBROADCASTSD(paramAddress(v.generator, "a"), v.r(regA))
	}
	if result {
		v.clear()
	}
	return streams
}

func (v *vector) finish() {
	v.VZEROUPPER()
	v.RET()
}

// rowLoops makes the loops over one row of x, float32 or float64.
func (v *vector) rowLoops(double bool) {
	_, _, bits := typeName(double)

	s := v.begin("sumSquares"+bits, []stream{{name: "x", double: double}}, false, true, "returns the sum of squares of x.")
	v.loop(s, func(u, t, _ int, at func(stream) int, masked bool) {
		v.load(s[0], at(s[0]), t, masked)
		v.VFMADD231PD(v.r(t), v.r(t), v.r(u))
	})
	v.sum()

	s = v.begin("addRow"+bits, []stream{{name: "sum", double: true}, {name: "unit", double: true}, {name: "x", double: double}, {name: "p", double: double}}, true, true,
		"adds x - p to sum and a x to unit, and returns the sum of squares of the differences.")
	v.loop(s, func(u, t, t1 int, at func(stream) int, masked bool) {
		v.load(s[2], at(s[2]), t, masked)
		v.load(s[3], at(s[3]), t1, masked)
		v.VSUBPD(v.r(t1), v.r(t), v.r(t))
		v.load(s[0], at(s[0]), t1, masked)
		v.VFMADD231PD(v.r(t), v.r(t), v.r(u))
		v.VADDPD(v.r(t), v.r(t1), v.r(t1))
		v.store(s[0], at(s[0]), t1, masked)
		v.load(s[2], at(s[2]), t, masked)
		v.load(s[1], at(s[1]), t1, masked)
		v.VFMADD231PD(v.r(t), v.r(regA), v.r(t1))
		v.store(s[1], at(s[1]), t1, masked)
	})
	v.sum()

	s = v.begin("axpy"+bits, []stream{{name: "sum", double: true}, {name: "x", double: double}}, true, false, "adds a x to sum.")
	v.loop(s, func(_, t, t1 int, at func(stream) int, masked bool) {
		v.load(s[1], at(s[1]), t, masked)
		v.load(s[0], at(s[0]), t1, masked)
		v.VFMADD231PD(v.r(t), v.r(regA), v.r(t1))
		v.store(s[0], at(s[0]), t1, masked)
	})
	v.finish()

	named := func(name string, target bool) string {
		if target == double {
			return name + bits
		}
		_, _, to := typeName(target)
		return name + bits + "To" + to
	}
	s = v.begin(named("diff", true), []stream{{name: "dst", double: true}, {name: "x", double: double}, {name: "mu", double: true}}, false, true,
		"writes x - mu to dst and returns the sum of squares of the differences.")
	v.loop(s, func(u, t, t1 int, at func(stream) int, masked bool) {
		v.load(s[1], at(s[1]), t, masked)
		v.load(s[2], at(s[2]), t1, masked)
		v.VSUBPD(v.r(t1), v.r(t), v.r(t))
		v.VFMADD231PD(v.r(t), v.r(t), v.r(u))
		v.store(s[0], at(s[0]), t, masked)
	})
	v.sum()
	for _, target := range []bool{false, true} {
		s = v.begin(named("residual", target), []stream{{name: "dst", double: target}, {name: "x", double: double}, {name: "p", double: true}, {name: "mu", double: true}}, false, true,
			"writes x - p - mu to dst and returns the sum of squares of the differences.")
		v.loop(s, func(u, t, t1 int, at func(stream) int, masked bool) {
			v.load(s[1], at(s[1]), t, masked)
			v.load(s[2], at(s[2]), t1, masked)
			v.VSUBPD(v.r(t1), v.r(t), v.r(t))
			v.load(s[3], at(s[3]), t1, masked)
			v.VSUBPD(v.r(t1), v.r(t), v.r(t))
			v.VFMADD231PD(v.r(t), v.r(t), v.r(u))
			v.store(s[0], at(s[0]), t, masked)
		})
		v.sum()
	}

	s = v.begin("scaledDistance"+bits, []stream{{name: "x", double: double}, {name: "u", double: true}}, true, true, "returns the sum of squares of a x - u.")
	v.loop(s, func(u, t, t1 int, at func(stream) int, masked bool) {
		v.load(s[0], at(s[0]), t, masked)
		v.load(s[1], at(s[1]), t1, masked)
		v.VFMSUB213PD(v.r(t1), v.r(regA), v.r(t))
		v.VFMADD231PD(v.r(t), v.r(t), v.r(u))
	})
	v.sum()

	s = v.begin("dot"+bits, []stream{{name: "x", double: double}, {name: "y", double: true}}, false, true, "returns the inner product of x and y.")
	v.loop(s, func(u, t, t1 int, at func(stream) int, masked bool) {
		v.load(s[0], at(s[0]), t, masked)
		v.load(s[1], at(s[1]), t1, masked)
		v.VFMADD231PD(v.r(t), v.r(t1), v.r(u))
	})
	v.sum()
}

func (v *vector) scale() {
	s := v.begin("scale64", []stream{{name: "x", double: true}}, true, false, "multiplies x by a.")
	v.loop(s, func(_, t, _ int, at func(stream) int, masked bool) {
		v.load(s[0], at(s[0]), t, masked)
		v.VMULPD(v.r(regA), v.r(t), v.r(t))
		v.store(s[0], at(s[0]), t, masked)
	})
	v.finish()
}

func (v *vector) convert(name string, to, from bool, doc string) {
	s := v.begin(name, []stream{{name: "dst", double: to}, {name: "src", double: from}}, false, false, doc)
	v.loop(s, func(_, t, _ int, at func(stream) int, masked bool) {
		v.load(s[1], at(s[1]), t, masked)
		v.store(s[0], at(s[0]), t, masked)
	})
	v.finish()
}

func (v *vector) widen()  { v.convert("widen", true, false, "converts float32 to float64.") }
func (v *vector) narrow() { v.convert("narrow", false, true, "converts float64 to float32.") }

// The remaining loops take whole registers only: n is a multiple of their lanes.

// whole begins a loop over whole registers of elements of the given size.
func (v *vector) whole(name, signature, doc string) {
	v.function(name+v.suffix(), signature, name+v.suffix()+" "+doc)
}

// half converts 16 or 8 numbers at a time.
func (v *vector) half() {
	v.halves("half", "converts half precision to float32; n is a multiple of the float32 lanes.", func(from operand.Mem) {
		v.VCVTPH2PS(from, v.r(0))
	})
}

func (v *vector) bfloat16() {
	v.halves("bfloat16", "converts bfloat16 to float32; n is a multiple of the float32 lanes.", func(from operand.Mem) {
		v.VPMOVZXWD(from, v.r(0))
		v.VPSLLD(operand.Imm(16), v.r(0), v.r(0))
	})
}

func (v *vector) halves(name, doc string, step func(from operand.Mem)) {
	v.whole(name, "func(dst *float32, src *uint16, n int)", doc)
	v.Load(v.Param("dst"), reg.RDI)
	v.Load(v.Param("src"), reg.RSI)
	v.Load(v.Param("n"), count)
	loop, end := v.label("loop"), v.label("end")
	v.TESTQ(count, count)
	v.JE(ref(end))
	v.Label(loop)
	step(at(reg.RSI, 0))
	v.VMOVUPS(v.r(0), at(reg.RDI, 0))
	v.ADDQ(number(v.bytes()/2), reg.RSI)
	v.ADDQ(number(v.bytes()), reg.RDI)
	v.SUBQ(number(v.bytes()/4), count)
	v.JNE(ref(loop))
	v.Label(end)
	v.finish()
}

// maximum makes the largest element of whole registers, -Inf where there is none. A NaN leaves the
// maximum as it is: VMAX returns its second source when either is NaN.
func (v *vector) maximum(double bool) {
	typ, size, bits := typeName(double)
	v.whole("max"+bits, fmt.Sprintf("func(x *%s, n int) %s", typ, typ), "returns the largest number among whole registers of x, or -Inf.")
	v.Load(v.Param("x"), reg.RSI)
	v.Load(v.Param("n"), count)
	max, move := v.VMAXPS, v.VMOVUPS
	if double {
		max, move = v.VMAXPD, v.VMOVUPD
		v.MOVQ(operand.U64(math.Float64bits(math.Inf(-1))), reg.RAX)
		v.MOVQ(reg.RAX, reg.X0)
		v.VBROADCASTSD(reg.X0, v.r(0))
	} else {
		v.MOVL(operand.U32(math.Float32bits(float32(math.Inf(-1)))), reg.EAX)
		v.MOVD(reg.EAX, reg.X0)
		v.VBROADCASTSS(reg.X0, v.r(0))
	}
	loop, end := v.label("loop"), v.label("end")
	v.TESTQ(count, count)
	v.JE(ref(end))
	v.Label(loop)
	move(at(reg.RSI, 0), v.r(1))
	max(v.r(0), v.r(1), v.r(0))
	v.ADDQ(number(v.bytes()), reg.RSI)
	v.SUBQ(number(v.bytes()/size), count)
	v.JNE(ref(loop))
	v.Label(end)
	if v.wide {
		v.VEXTRACTF64X4(operand.Imm(1), zmm[0], ymm[1])
		max(ymm[1], ymm[0], ymm[0])
	}
	v.VEXTRACTF128(operand.Imm(1), ymm[0], reg.X1)
	max(reg.X1, reg.X0, reg.X0)
	v.VUNPCKHPD(reg.X0, reg.X0, reg.X1)
	max(reg.X1, reg.X0, reg.X0)
	if !double {
		v.VMOVSHDUP(reg.X0, reg.X1)
		v.VMAXSS(reg.X1, reg.X0, reg.X0)
	}
	v.Store(reg.X0, v.ReturnIndex(0))
	v.finish()
}

// find makes the search for the first element equal to a number in whole registers.
func (v *vector) find(double bool) {
	typ, size, bits := typeName(double)
	v.whole("find"+bits, fmt.Sprintf("func(x *%s, n int, a %s) int", typ, typ), "returns the first index of a among whole registers of x, or n.")
	v.Load(v.Param("x"), reg.RSI)
	v.Load(v.Param("n"), count)
	compare := v.VCMPPS
	if double {
		compare = v.VCMPPD
		v.VBROADCASTSD(paramAddress(v.generator, "a"), v.r(0))
	} else {
		v.VBROADCASTSS(paramAddress(v.generator, "a"), v.r(0))
	}
	loop, found, end := v.label("loop"), v.label("found"), v.label("end")
	v.XORQ(reg.RDX, reg.RDX)
	v.Label(loop)
	v.CMPQ(reg.RDX, count)
	v.JGE(ref(end))
	if v.wide {
		compare(operand.Imm(0), at(reg.RSI, 0), v.r(0), reg.K1)
		v.KMOVW(reg.K1, reg.EAX)
	} else {
		compare(operand.Imm(0), at(reg.RSI, 0), v.r(0), v.r(1))
		if double {
			v.VMOVMSKPD(v.r(1), reg.EAX)
		} else {
			v.VMOVMSKPS(v.r(1), reg.EAX)
		}
	}
	v.TESTL(reg.EAX, reg.EAX)
	v.JNE(ref(found))
	v.ADDQ(number(v.bytes()), reg.RSI)
	v.ADDQ(number(v.bytes()/size), reg.RDX)
	v.JMP(ref(loop))
	v.Label(found)
	v.BSFL(reg.EAX, reg.EAX)
	v.ADDQ(reg.RAX, reg.RDX)
	v.Label(end)
	v.Store(reg.RDX, v.ReturnIndex(0))
	v.finish()
}
