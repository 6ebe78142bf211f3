package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dots makes the products of rows with so few columns that no tile fits them well. There is none for float64, where columns
// fill vectors of four better.
func dots(g *generator) {
	g.StaticGlobal("tail")
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		word := operand.U64(math.MaxUint64)
		if i >= 8 {
			word = 0
		}
		g.AppendDatum(word)
	}
	for n := 9; n <= 12; n++ {
		g.dots256(n)
	}
}

// dots256 makes a loop over rows with a register of sums for every column, and the contraction along its lanes: the left
// operand is read once, in order, two vectors at a time, and nothing is multiplied that is not wanted.
func (g *generator) dots256(n int) {
	name := fmt.Sprintf("dots32x%dAVX2", n)
	g.function(name, "func(rows, k int, a *float32, lda int, b, c *float32, ldc int, alpha, beta float32, load bool)",
		fmt.Sprintf("%s is the product of some rows with %d packed columns, see the type set.", name, n))
	var (
		a, lda, b, c, ldc = reg.RSI, reg.R8, reg.RDI, reg.R13, reg.RBX
		rows, pairs, rest = reg.RCX, reg.RAX, reg.RDX
		row, ahead, right = reg.R9, reg.R11, reg.R10
		left              = reg.R12
		x                 = [2]reg.VecPhysical{ymm[12], ymm[13]}
		mask              = [2]reg.VecPhysical{ymm[14], ymm[15]}
	)
	for _, p := range []struct {
		name string
		r    reg.Register
	}{{"rows", rows}, {"k", pairs}, {"a", a}, {"lda", lda}, {"b", b}, {"c", c}, {"ldc", ldc}} {
		g.Load(g.Param(p.name), p.r)
	}
	g.SHLQ(operand.Imm(2), lda)
	g.SHLQ(operand.Imm(2), ldc)
	g.Comment("Masks for what whole pairs of vectors leave over.")
	g.MOVQ(pairs, rest)
	g.ANDQ(operand.Imm(15), rest)
	g.SHRQ(operand.Imm(4), pairs)
	g.LEAQ(symbol("tail"), row)
	g.MOVQ(rest, left)
	g.SHLQ(operand.Imm(2), left)
	g.SUBQ(left, row)
	for i := range 2 {
		g.VMOVUPS(at(row, 64+32*i), mask[i])
	}

	next, loop, last, sums := g.label("row"), g.label("loop"), g.label("last"), g.label("sums")
	g.Label(next)
	g.MOVQ(a, row)
	g.LEAQ(indexed(a, lda, 2, 0), ahead)
	g.MOVQ(b, right)
	for j := range n {
		g.VXORPS(ymm[j], ymm[j], ymm[j])
	}
	g.MOVQ(pairs, left)
	g.TESTQ(left, left)
	g.JE(ref(last))
	g.Label(loop)
	g.Comment("The row after the next is asked for.")
	g.PREFETCHT0(at(ahead, 0))
	for i := range 2 {
		g.VMOVUPS(at(row, 32*i), x[i])
		for j := range n {
			g.VFMADD231PS(at(right, 32*(i*n+j)), x[i], ymm[j])
		}
	}
	g.ADDQ(operand.Imm(64), row)
	g.ADDQ(operand.Imm(64), ahead)
	g.ADDQ(operand.I32(64*n), right)
	g.DECQ(left)
	g.JNE(ref(loop))
	g.Label(last)
	g.TESTQ(rest, rest)
	g.JE(ref(sums))
	for i := range 2 {
		g.VMASKMOVPS(at(row, 32*i), mask[i], x[i])
		for j := range n {
			g.VFMADD231PS(at(right, 32*(i*n+j)), x[i], ymm[j])
		}
	}
	g.Label(sums)
	g.Comment("The lanes of eight sums are added, and those of the others.")
	g.addQuarters(0, 4, x)
	g.addQuarters(4, 4, x)
	g.VPERM2F128(operand.Imm(0x20), ymm[4], ymm[0], x[0])
	g.VPERM2F128(operand.Imm(0x31), ymm[4], ymm[0], x[1])
	g.VADDPS(x[1], x[0], ymm[0])
	g.addQuarters(8, n-8, x)
	g.VEXTRACTF128(operand.Imm(1), ymm[8], x[0].AsX())
	g.VADDPS(x[0].AsX(), ymm[8].AsX(), ymm[8].AsX())
	g.Comment("Scaled, they are the row of C, or are added to it.")
	for _, i := range []int{0, 8} {
		g.VBROADCASTSS(paramAddress(g, "alpha"), x[0])
		g.VMULPS(x[0], ymm[i], ymm[i])
	}
	plain := g.label("plain")
	g.CMPB(paramAddress(g, "load"), operand.Imm(0))
	g.JE(ref(plain))
	g.VBROADCASTSS(paramAddress(g, "beta"), x[0])
	g.VFMADD231PS(at(c, 0), x[0], ymm[0])
	g.few(n-8, at(c, 32), x[1].AsX(), false)
	g.VFMADD231PS(x[1], x[0], ymm[8])
	g.Label(plain)
	g.VMOVUPS(ymm[0], at(c, 0))
	g.few(n-8, at(c, 32), ymm[8].AsX(), true)
	g.ADDQ(lda, a)
	g.ADDQ(ldc, c)
	g.DECQ(rows)
	g.JNE(ref(next))
	g.VZEROUPPER()
	g.RET()
}

// addQuarters adds neighbouring lanes of up to four registers, so that a quarter of each half of the first is half of a sum.
func (g *generator) addQuarters(from, count int, temp [2]reg.VecPhysical) {
	s := func(i int) reg.VecPhysical { return ymm[from+min(i, count-1)] }
	g.VHADDPS(s(1), s(0), temp[0])
	g.VHADDPS(s(3), s(2), temp[1])
	g.VHADDPS(temp[1], temp[0], s(0))
}

// few moves one to four elements from memory, or there.
func (g *generator) few(count int, m operand.Mem, x reg.Register, store bool) {
	move := g.VMOVUPS
	switch count {
	case 1:
		move = g.VMOVSS
	case 2, 3:
		move = g.VMOVSD
	}
	third := m
	third.Disp += 8
	if store {
		move(x, m)
		if count == 3 {
			g.VEXTRACTPS(operand.Imm(2), x, third)
		}
		return
	}
	move(m, x)
	if count == 3 {
		g.VINSERTPS(operand.Imm(0x20), third, x, x)
	}
}
