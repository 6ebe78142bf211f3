package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemm makes the tiles and transpositions of the matrix products.
func gemm(g *generator) {
	for _, double := range []bool{false, true} {
		for v := 1; v <= 3; v++ {
			g.tile512(double, v, false)
			g.tile512(double, v, true)
		}
		for v := 1; v <= 2; v++ {
			g.tile256(double, 6, v, false)
			g.tile256(double, 6, v, true)
		}
		g.tile256(double, 4, 2, false)
	}
	g.packRows(64)
	g.packRows(128)
	g.transpose32()
	g.transpose64()
	g.interleave(false)
	g.interleave(true)
}

var (
	zmm = []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10,
		reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22,
		reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}
	ymm = []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10,
		reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}
	masks = []reg.OpmaskPhysical{nil, reg.K1, reg.K2, reg.K3}
)

// The registers of a tile.
var (
	tileK    = reg.RAX
	tileA    = reg.RSI // row 0
	tileA3   = reg.RDI // row 3
	tileARS  = reg.R8
	tileARS3 = reg.R9 // three rows
	tileACS  = reg.R10
	tileB    = reg.R11
	tileBRS  = reg.R12
	tileC    = reg.R13
	tileCRS  = reg.RBX
	tileRows = reg.RCX
	tileTemp = reg.RDX
)

// rowAddress is the address of row i of the left operand, from two base and two distance registers.
func rowAddress(i int) operand.Mem {
	switch i {
	case 0:
		return at(tileA, 0)
	case 1, 2, 4:
		return indexed(tileA, tileARS, uint8(i), 0)
	case 3:
		return at(tileA3, 0)
	case 5:
		return indexed(tileA3, tileARS, 2, 0)
	case 6:
		return indexed(tileA3, tileARS3, 1, 0)
	case 7:
		return indexed(tileA3, tileARS, 4, 0)
	}
	panic("a tile has at most eight rows")
}

func typeName(double bool) (name string, size int, suffix string) {
	if double {
		return "float64", 8, "64"
	}
	return "float32", 4, "32"
}

func (g *generator) tileHead(name string, double bool, mr, v, lanes int, masked bool) {
	typ, size, _ := typeName(double)
	g.function(name, fmt.Sprintf("func(k int, a *%[1]s, ars, acs int, b *%[1]s, brs int, c *%[1]s, crs, rows, cols int, alpha, beta %[1]s, load bool)", typ),
		fmt.Sprintf("%s is the tile of %d rows by %d columns, see the type set.", name, mr, v*lanes))
	if masked {
		g.columnMasks(double, v, lanes)
	}
	for _, p := range []struct {
		name string
		r    reg.Register
	}{{"k", tileK}, {"a", tileA}, {"ars", tileARS}, {"acs", tileACS}, {"b", tileB}, {"brs", tileBRS}, {"c", tileC}, {"crs", tileCRS}, {"rows", tileRows}} {
		g.Load(g.Param(p.name), p.r)
	}
	shift := operand.Imm(2)
	if size == 8 {
		shift = operand.Imm(3)
	}
	for _, r := range []reg.Register{tileARS, tileACS, tileBRS, tileCRS} {
		g.SHLQ(shift, r)
	}
	g.LEAQ(indexed(tileARS, tileARS, 2, 0), tileARS3)
	g.LEAQ(indexed(tileA, tileARS3, 1, 0), tileA3)
}

// columnMasks sets one mask for each vector of columns.
func (g *generator) columnMasks(double bool, v, lanes int) {
	g.Comment("One mask for each vector of columns.")
	g.Load(g.Param("cols"), tileTemp)
	g.MOVQ(operand.I32(-1), tileK)
	g.BZHIQ(tileTemp, tileK, tileTemp)
	for q := 1; q <= v; q++ {
		if double {
			g.KMOVB(tileTemp.As32(), masks[q])
		} else {
			g.KMOVW(tileTemp.As32(), masks[q])
		}
		if q < v {
			g.SHRQ(operand.Imm(uint64(lanes)), tileTemp)
		}
	}
}

// tile512 makes a tile of eight rows by v vectors with column masks. The right operand and C are
// touched only in valid columns.
func (g *generator) tile512(double bool, v int, stream bool) {
	const mr = 8
	_, size, suffix := typeName(double)
	lanes := 64 / size
	name := fmt.Sprintf("tile%sx%dAVX512", suffix, v)
	if stream {
		name = fmt.Sprintf("tile%sx%dStreamAVX512", suffix, v)
	}
	g.tileHead(name, double, mr, v, lanes, true)

	// Registers 0 to 2 hold the right operand, 4 to 7 the left one, the sums begin at 8.
	sum := func(i, q int) reg.VecPhysical { return zmm[8+i*v+q] }
	for i := range mr * v {
		g.VPXORQ(zmm[8+i], zmm[8+i], zmm[8+i])
	}
	move, moveZ, broadcast, fma := g.VMOVUPS, g.VMOVUPS_Z, g.VBROADCASTSS, g.VFMADD231PS
	multiply := g.VMULPS
	if double {
		move, moveZ, broadcast, fma, multiply = g.VMOVUPD, g.VMOVUPD_Z, g.VBROADCASTSD, g.VFMADD231PD, g.VMULPD
	}
	loop := g.beginLoop(stream, mr, 64/size)
	for q := range v {
		moveZ(at(tileB, 64*q), masks[q+1], zmm[q])
	}
	for i := range mr {
		broadcast(rowAddress(i), zmm[4+i%4])
		for q := range v {
			fma(zmm[4+i%4], zmm[q], sum(i, q))
		}
	}
	g.ADDQ(tileACS, tileA)
	g.ADDQ(tileACS, tileA3)
	g.ADDQ(tileBRS, tileB)
	g.endLoop(loop)

	g.Comment("Scale, and add the scaled C if it is wanted.")
	broadcast(paramAddress(g, "alpha"), zmm[4])
	broadcast(paramAddress(g, "beta"), zmm[5])
	for i := range mr {
		for q := range v {
			multiply(zmm[4], sum(i, q), sum(i, q))
		}
	}
	load, end := g.label("load"), g.label("end")
	g.CMPB(paramAddress(g, "load"), operand.Imm(0))
	g.JNE(ref(load))
	for pass := range 2 {
		for i := range mr {
			for q := range v {
				if pass == 1 {
					moveZ(at(tileC, 64*q), masks[q+1], zmm[q])
					fma(zmm[q], zmm[5], sum(i, q))
				}
				move(sum(i, q), masks[q+1], at(tileC, 64*q))
			}
			if i < mr-1 {
				g.CMPQ(tileRows, operand.Imm(uint64(i+1)))
				g.JE(ref(end))
				g.ADDQ(tileCRS, tileC)
			}
		}
		if pass == 0 {
			g.JMP(ref(end))
			g.Label(load)
		}
	}
	g.Label(end)
	g.VZEROUPPER()
	g.RET()
}

// paramAddress is the place of a parameter in the caller's frame.
func paramAddress(g *generator, name string) operand.Mem {
	b, err := g.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// tile256 makes a tile of six or four rows by v vectors. It reads and writes all its columns.
func (g *generator) tile256(double bool, mr, v int, stream bool) {
	_, size, suffix := typeName(double)
	lanes := 32 / size
	name := fmt.Sprintf("tile%sx%dAVX2", suffix, v)
	if mr == 4 {
		name = fmt.Sprintf("tile%sx%dRows4AVX2", suffix, v)
	}
	if stream {
		name = fmt.Sprintf("tile%sx%dStreamAVX2", suffix, v)
	}
	g.tileHead(name, double, mr, v, lanes, false)
	// Registers 0 and 1 hold the right operand, 2 and 3 the left one, the sums begin at 4.
	sum := func(i, q int) reg.VecPhysical { return ymm[4+i*v+q] }
	g.prefetch(mr)
	for i := range mr * v {
		g.VXORPS(ymm[4+i], ymm[4+i], ymm[4+i])
	}
	move, broadcast, fma, multiply := g.VMOVUPS, g.VBROADCASTSS, g.VFMADD231PS, g.VMULPS
	if double {
		move, broadcast, fma, multiply = g.VMOVUPD, g.VBROADCASTSD, g.VFMADD231PD, g.VMULPD
	}
	loop := g.beginLoop(stream, mr, 64/size)
	for q := range v {
		move(at(tileB, 32*q), ymm[q])
	}
	for i := range mr {
		broadcast(rowAddress(i), ymm[2+i%2])
		for q := range v {
			fma(ymm[2+i%2], ymm[q], sum(i, q))
		}
	}
	g.ADDQ(tileACS, tileA)
	g.ADDQ(tileACS, tileA3)
	g.ADDQ(tileBRS, tileB)
	g.endLoop(loop)
	g.Comment("Scale, and add the scaled C if it is wanted.")
	broadcast(paramAddress(g, "alpha"), ymm[2])
	broadcast(paramAddress(g, "beta"), ymm[3])
	for i := range mr {
		for q := range v {
			multiply(ymm[2], sum(i, q), sum(i, q))
		}
	}
	load, end := g.label("load"), g.label("end")
	g.CMPB(paramAddress(g, "load"), operand.Imm(0))
	g.JNE(ref(load))
	for pass := range 2 {
		for i := range mr {
			for q := range v {
				if pass == 1 {
					fma(at(tileC, 32*q), ymm[3], sum(i, q))
				}
				move(sum(i, q), at(tileC, 32*q))
			}
			if i < mr-1 {
				g.CMPQ(tileRows, operand.Imm(uint64(i+1)))
				g.JE(ref(end))
				g.ADDQ(tileCRS, tileC)
			}
		}
		if pass == 0 {
			g.JMP(ref(end))
			g.Label(load)
		}
	}
	g.Label(end)
	g.VZEROUPPER()
	g.RET()
}

// A tileLoop is the loop over the contraction.
type tileLoop struct {
	step, line, done string
	stream           bool
}

// beginLoop begins it. Where the left operand is a stream of rows from memory, the tile asks, once
// for each line of its rows, for the same line of the rows after them.
func (g *generator) beginLoop(stream bool, mr, perLine int) tileLoop {
	l := tileLoop{g.label("loop"), g.label("line"), g.label("done"), stream}
	g.TESTQ(tileK, tileK)
	g.JE(ref(l.done))
	if stream {
		g.Label(l.line)
		// The next row of tiles begins mr rows further on: at six or eight times the distance.
		if mr == 6 {
			g.LEAQ(indexed(tileA, tileARS3, 2, 0), tileRows)
		} else {
			g.LEAQ(indexed(tileA, tileARS, 8, 0), tileRows)
		}
		for i := range mr {
			g.PREFETCHT0(at(tileRows, 0))
			if i < mr-1 {
				g.ADDQ(tileARS, tileRows)
			}
		}
		g.MOVQ(operand.I32(perLine), tileTemp)
		g.CMPQ(tileTemp, tileK)
		g.CMOVQGT(tileK, tileTemp)
		g.SUBQ(tileTemp, tileK)
	}
	g.Label(l.step)
	return l
}

// endLoop ends it.
func (g *generator) endLoop(l tileLoop) {
	if l.stream {
		g.DECQ(tileTemp)
		g.JNE(ref(l.step))
		g.TESTQ(tileK, tileK)
		g.JNE(ref(l.line))
		g.Label(l.done)
		g.Load(g.Param("rows"), tileRows)
		return
	}
	g.DECQ(tileK)
	g.JNE(ref(l.step))
	g.Label(l.done)
}

// prefetch asks for the rows of C, which are wanted when the sums are complete.
func (g *generator) prefetch(mr int) {
	last := g.label("rows")
	g.MOVQ(tileC, tileTemp)
	for i := range mr {
		g.PREFETCHT0(at(tileTemp, 0))
		if i < mr-1 {
			g.CMPQ(tileRows, operand.Imm(uint64(i+1)))
			g.JE(ref(last))
			g.ADDQ(tileCRS, tileTemp)
		}
	}
	g.Label(last)
}

// transposeHead loads the arguments of a transposition of rows x rows blocks and begins its loop.
func (g *generator) transposeHead(double bool, rows int) (loop string) {
	typ, size, suffix := typeName(double)
	name := fmt.Sprintf("transpose%sAVX2", suffix)
	g.function(name, fmt.Sprintf("func(dst *%[1]s, ldd int, src *%[1]s, lds, n int)", typ),
		fmt.Sprintf("%s writes dst[p*ldd+i] = src[i*lds+p] for i < %d and p < n, n a positive multiple of %d.", name, rows, rows))
	g.Load(g.Param("dst"), reg.RDI)
	g.Load(g.Param("ldd"), reg.R8)
	g.Load(g.Param("src"), reg.RSI)
	g.Load(g.Param("lds"), reg.R9)
	g.Load(g.Param("n"), reg.RCX)
	shift := operand.Imm(2)
	if size == 8 {
		shift = operand.Imm(3)
	}
	g.SHLQ(shift, reg.R8)
	g.SHLQ(shift, reg.R9)
	g.LEAQ(indexed(reg.R8, reg.R8, 2, 0), reg.R10)
	g.LEAQ(indexed(reg.R9, reg.R9, 2, 0), reg.R11)
	g.LEAQ(indexed(reg.RSI, reg.R9, 4, 0), reg.RBX)
	loop = g.label("loop")
	g.Label(loop)
	return loop
}

// fourRows are the addresses of four rows from base, at distance d, d3 being three times d.
func fourRows(base, d, d3 reg.Register) [4]operand.Mem {
	return [4]operand.Mem{at(base, 0), indexed(base, d, 1, 0), indexed(base, d, 2, 0), indexed(base, d3, 1, 0)}
}

func (g *generator) transpose32() {
	loop := g.transposeHead(false, 8)
	low, high := fourRows(reg.RSI, reg.R9, reg.R11), fourRows(reg.RBX, reg.R9, reg.R11)
	for i := range 4 {
		g.VMOVUPS(low[i], ymm[i])
		g.VMOVUPS(high[i], ymm[4+i])
	}
	// Pairs of rows, then quadruples, then halves.
	for i := range 4 {
		g.VUNPCKLPS(ymm[2*i+1], ymm[2*i], ymm[8+2*i])
		g.VUNPCKHPS(ymm[2*i+1], ymm[2*i], ymm[9+2*i])
	}
	for h := range 2 {
		x := 8 + 4*h
		y := 4 * h
		g.VSHUFPS(operand.Imm(0x44), ymm[x+2], ymm[x], ymm[y])
		g.VSHUFPS(operand.Imm(0xee), ymm[x+2], ymm[x], ymm[y+1])
		g.VSHUFPS(operand.Imm(0x44), ymm[x+3], ymm[x+1], ymm[y+2])
		g.VSHUFPS(operand.Imm(0xee), ymm[x+3], ymm[x+1], ymm[y+3])
	}
	for i := range 4 {
		g.VPERM2F128(operand.Imm(0x20), ymm[4+i], ymm[i], ymm[8+i])
		g.VPERM2F128(operand.Imm(0x31), ymm[4+i], ymm[i], ymm[12+i])
	}
	g.LEAQ(indexed(reg.RDI, reg.R8, 4, 0), reg.RDX)
	low, high = fourRows(reg.RDI, reg.R8, reg.R10), fourRows(reg.RDX, reg.R8, reg.R10)
	for i := range 4 {
		g.VMOVUPS(ymm[8+i], low[i])
		g.VMOVUPS(ymm[12+i], high[i])
	}
	g.ADDQ(operand.Imm(32), reg.RSI)
	g.ADDQ(operand.Imm(32), reg.RBX)
	g.LEAQ(indexed(reg.RDI, reg.R8, 8, 0), reg.RDI)
	g.SUBQ(operand.Imm(8), reg.RCX)
	g.JNE(ref(loop))
	g.VZEROUPPER()
	g.RET()
}

func (g *generator) transpose64() {
	loop := g.transposeHead(true, 4)
	rows := fourRows(reg.RSI, reg.R9, reg.R11)
	for i := range 4 {
		g.VMOVUPD(rows[i], ymm[i])
	}
	for i := range 2 {
		g.VUNPCKLPD(ymm[2*i+1], ymm[2*i], ymm[4+2*i])
		g.VUNPCKHPD(ymm[2*i+1], ymm[2*i], ymm[5+2*i])
	}
	for i := range 2 {
		g.VPERM2F128(operand.Imm(0x20), ymm[6+i], ymm[4+i], ymm[8+i])
		g.VPERM2F128(operand.Imm(0x31), ymm[6+i], ymm[4+i], ymm[10+i])
	}
	rows = fourRows(reg.RDI, reg.R8, reg.R10)
	for i := range 4 {
		g.VMOVUPD(ymm[8+i], rows[i])
	}
	g.ADDQ(operand.Imm(32), reg.RSI)
	g.LEAQ(indexed(reg.RDI, reg.R8, 4, 0), reg.RDI)
	g.SUBQ(operand.Imm(4), reg.RCX)
	g.JNE(ref(loop))
	g.VZEROUPPER()
	g.RET()
}

// interleave makes the transposition of six rows: of four in quadruples, of two in pairs.
func (g *generator) interleave(double bool) {
	typ, size, suffix := typeName(double)
	lanes := 32 / size
	name := fmt.Sprintf("interleave%sAVX2", suffix)
	g.function(name, fmt.Sprintf("func(dst, src *%s, lds, n int)", typ),
		fmt.Sprintf("%s writes dst[p*6+i] = src[i*lds+p] for i < 6 and p < n, n a positive multiple of %d.", name, lanes))
	g.Load(g.Param("dst"), reg.RDI)
	g.Load(g.Param("src"), reg.RSI)
	g.Load(g.Param("lds"), reg.R9)
	g.Load(g.Param("n"), reg.RCX)
	g.SHLQ(operand.Imm(uint64(1+size/4)), reg.R9)
	g.LEAQ(indexed(reg.R9, reg.R9, 2, 0), reg.R11)
	g.LEAQ(indexed(reg.RSI, reg.R9, 4, 0), reg.RBX)
	rows := fourRows(reg.RSI, reg.R9, reg.R11)
	loop := g.label("loop")
	g.Label(loop)
	move, low, high := g.VMOVUPS, g.VUNPCKLPS, g.VUNPCKHPS
	if double {
		move, low, high = g.VMOVUPD, g.VUNPCKLPD, g.VUNPCKHPD
	}
	for i := range 4 {
		move(rows[i], ymm[i])
	}
	move(at(reg.RBX, 0), ymm[4])
	move(indexed(reg.RBX, reg.R9, 1, 0), ymm[5])
	for i := range 3 {
		low(ymm[2*i+1], ymm[2*i], ymm[6+2*i])
		high(ymm[2*i+1], ymm[2*i], ymm[7+2*i])
	}
	column := func(p int) int { return p * 6 * size }
	if double {
		for i := range 2 {
			g.VPERM2F128(operand.Imm(0x20), ymm[8+i], ymm[6+i], ymm[i])
			g.VPERM2F128(operand.Imm(0x31), ymm[8+i], ymm[6+i], ymm[2+i])
		}
		for p := range 4 {
			g.VMOVUPD(ymm[p], at(reg.RDI, column(p)))
			if p < 2 {
				g.VMOVUPD(ymm[10+p].AsX(), at(reg.RDI, column(p)+32))
			} else {
				g.VEXTRACTF128(operand.Imm(1), ymm[10+p-2], at(reg.RDI, column(p)+32))
			}
		}
	} else {
		for i := range 2 {
			g.VSHUFPS(operand.Imm(0x44), ymm[8+i], ymm[6+i], ymm[2*i])
			g.VSHUFPS(operand.Imm(0xee), ymm[8+i], ymm[6+i], ymm[2*i+1])
		}
		g.VEXTRACTF128(operand.Imm(1), ymm[10], reg.X12)
		g.VEXTRACTF128(operand.Imm(1), ymm[11], reg.X13)
		pairs := []reg.VecPhysical{reg.X10, reg.X11, reg.X12, reg.X13}
		for p := range 8 {
			if p < 4 {
				g.VMOVUPS(ymm[p].AsX(), at(reg.RDI, column(p)))
			} else {
				g.VEXTRACTF128(operand.Imm(1), ymm[p-4], at(reg.RDI, column(p)))
			}
			pair := pairs[p/4*2+p/2%2]
			if p%2 == 0 {
				g.VMOVLPS(pair, at(reg.RDI, column(p)+16))
			} else {
				g.VMOVHPS(pair, at(reg.RDI, column(p)+16))
			}
		}
	}
	g.ADDQ(operand.Imm(32), reg.RSI)
	g.ADDQ(operand.Imm(32), reg.RBX)
	g.ADDQ(operand.I32(column(lanes)), reg.RDI)
	g.SUBQ(operand.Imm(uint64(lanes)), reg.RCX)
	g.JNE(ref(loop))
	g.VZEROUPPER()
	g.RET()
}

// packRows makes the copy of pieces of rows, of the given number of bytes each, one after the other.
func (g *generator) packRows(bytes int) {
	name := fmt.Sprintf("packRows%dAVX2", bytes)
	g.function(name, "func(dst *byte, distance int, src *byte, lds, rows, panels int)",
		fmt.Sprintf("%s copies %d bytes from src + q*lds + p*%[2]d to dst + p*distance + q*%[2]d for q < rows and p < panels, all in bytes, both positive.", name, bytes))
	g.Load(g.Param("dst"), reg.RDI)
	g.Load(g.Param("distance"), reg.R8)
	g.Load(g.Param("src"), reg.RSI)
	g.Load(g.Param("lds"), reg.R9)
	g.Load(g.Param("rows"), reg.RCX)
	g.Load(g.Param("panels"), reg.RDX)
	row, panel := g.label("row"), g.label("panel")
	g.Label(row)
	g.MOVQ(reg.RDI, reg.R10)
	g.MOVQ(reg.RSI, reg.R11)
	g.MOVQ(reg.RDX, reg.RBX)
	g.Label(panel)
	for i := range bytes / 32 {
		g.VMOVUPS(at(reg.R11, 32*i), ymm[i])
	}
	for i := range bytes / 32 {
		g.VMOVUPS(ymm[i], at(reg.R10, 32*i))
	}
	g.ADDQ(operand.I32(bytes), reg.R11)
	g.ADDQ(reg.R8, reg.R10)
	g.DECQ(reg.RBX)
	g.JNE(ref(panel))
	g.ADDQ(reg.R9, reg.RSI)
	g.ADDQ(operand.I32(bytes), reg.RDI)
	g.DECQ(reg.RCX)
	g.JNE(ref(row))
	g.VZEROUPPER()
	g.RET()
}
