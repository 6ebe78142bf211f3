package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// conv makes the tiles of the convolutions: four to six pixels, or rows of weights, by one or two
// vectors of channels; and the copy of pieces of eight channels.
func conv(g *generator) {
	for _, width := range []int{8, 16, 32} {
		for mr := 4; mr <= 6; mr++ {
			g.convTile(mr, width)
			g.convWeights(mr, width)
		}
	}
	g.packRows(32)
}

// The registers of a tile: operands of up to six rows, and the rest.
var (
	convRows  = []reg.GPPhysical{reg.RSI, reg.RDI, reg.R8, reg.R9, reg.R10, reg.R11}
	convTable = reg.R13
)

// convVectors are the registers of a tile width channels wide: v vectors for the right operand at the
// front, two for the left operand, and the sums.
func convVectors(width int) (v, size int, registers []reg.VecPhysical, suffix string) {
	switch width {
	case 8:
		return 1, 32, ymm, "AVX2"
	case 16:
		return 2, 32, ymm, "AVX2"
	}
	return 2, 64, zmm, "AVX512"
}

// convStep adds the products of one element of every row and one of every column.
func (g *generator) convStep(mr, v int, r []reg.VecPhysical, row func(i int) operand.Mem) {
	for i := range mr {
		g.VBROADCASTSS(row(i), r[2+i%2])
		for q := range v {
			g.VFMADD231PS(r[2+i%2], r[q], r[4+i*v+q])
		}
	}
}

func (g *generator) convTile(mr, width int) {
	v, size, r, suffix := convVectors(width)
	name := fmt.Sprintf("convTile%dx%d%s", mr, width, suffix)
	g.function(name, "func(tiles int, table *int32, x, w, bias, y *float32, rows, cols, run, xcol, xrow, wrow int)",
		fmt.Sprintf("%s is the tile of %d pixels by %d channels, see convTile.", name, mr, width))
	var (
		index = reg.RAX // into the operands of the pixels, in bytes
		b     = reg.RBX
		k     = reg.RCX
		row   = reg.RDX
		col   = reg.R12
	)
	for _, p := range []string{"xcol", "xrow", "wrow"} {
		g.SHLQ(operand.Imm(2), paramAddress(g, p))
	}
	g.Load(g.Param("table"), convTable)
	tile, rowLoop, colLoop, loop, store := g.label("tile"), g.label("row"), g.label("col"), g.label("loop"), g.label("store")
	g.Label(tile)
	g.Load(g.Param("x"), b)
	for i := range mr {
		g.MOVLQSX(at(convTable, 8*i), k)
		g.LEAQ(indexed(b, k, 4, 0), convRows[i])
	}
	g.Load(g.Param("bias"), b)
	for q := range v {
		g.VMOVUPS(at(b, size*q), r[4+q])
	}
	for i := 1; i < mr; i++ {
		for q := range v {
			g.VMOVAPS(r[4+q], r[4+i*v+q])
		}
	}
	g.Load(g.Param("w"), b)
	g.XORQ(index, index)
	g.Load(g.Param("rows"), row)
	g.TESTQ(row, row)
	g.JE(ref(store))
	g.Label(rowLoop)
	g.Load(g.Param("cols"), col)
	g.Label(colLoop)
	g.Load(g.Param("run"), k)
	g.Label(loop)
	for q := range v {
		g.VMOVUPS(at(b, size*q), r[q])
	}
	g.convStep(mr, v, r, func(i int) operand.Mem { return indexed(convRows[i], index, 1, 0) })
	g.ADDQ(operand.Imm(4), index)
	g.ADDQ(operand.I32(4*int32(width)), b)
	g.DECQ(k)
	g.JNE(ref(loop))
	g.ADDQ(paramAddress(g, "xcol"), index)
	g.DECQ(col)
	g.JNE(ref(colLoop))
	g.ADDQ(paramAddress(g, "xrow"), index)
	g.ADDQ(paramAddress(g, "wrow"), b)
	g.DECQ(row)
	g.JNE(ref(rowLoop))
	g.Label(store)
	g.Load(g.Param("y"), b)
	for i := range mr {
		g.MOVLQSX(at(convTable, 8*i+4), k)
		for q := range v {
			g.VMOVUPS(r[4+i*v+q], indexed(b, k, 4, size*q))
		}
	}
	g.ADDQ(operand.Imm(uint64(8*mr)), convTable)
	g.DECQ(paramAddress(g, "tiles"))
	g.JNE(ref(tile))
	g.VZEROUPPER()
	g.RET()
}

func (g *generator) convWeights(mr, width int) {
	v, size, r, suffix := convVectors(width)
	name := fmt.Sprintf("convWeights%dx%d%s", mr, width, suffix)
	g.function(name, "func(n int, table *int32, x *float32, delta *int32, dy, dw *float32, ldw, rows int)",
		fmt.Sprintf("%s is the tile of %d rows by %d channels, see convWeights.", name, mr, width))
	var (
		dx = reg.RAX
		py = reg.RBX
		k  = reg.RCX
		dy = reg.RDX
		dw = reg.R12
	)
	g.Load(g.Param("x"), dx)
	g.Load(g.Param("delta"), py)
	for i := range mr {
		g.MOVLQSX(at(py, 4*i), k)
		g.LEAQ(indexed(dx, k, 4, 0), convRows[i])
	}
	for i := range mr * v {
		g.VXORPS(r[4+i], r[4+i], r[4+i])
	}
	g.Load(g.Param("table"), convTable)
	g.Load(g.Param("dy"), dy)
	g.Load(g.Param("n"), k)
	// A pixel's place is in units of 8 elements.
	scale := uint8(8)
	if width == 8 {
		scale = 4
	}
	loop := g.label("loop")
	g.Label(loop)
	g.MOVLQSX(at(convTable, 0), dx)
	g.MOVLQSX(at(convTable, 4), py)
	if width == 32 {
		g.ADDQ(py, py)
	}
	for q := range v {
		g.VMOVUPS(indexed(dy, py, scale, size*q), r[q])
	}
	g.convStep(mr, v, r, func(i int) operand.Mem { return indexed(convRows[i], dx, 4, 0) })
	g.ADDQ(operand.Imm(8), convTable)
	g.DECQ(k)
	g.JNE(ref(loop))
	g.Load(g.Param("dw"), dw)
	g.Load(g.Param("ldw"), dx)
	g.SHLQ(operand.Imm(2), dx)
	g.Load(g.Param("rows"), k)
	end := g.label("end")
	for i := range mr {
		for q := range v {
			g.VADDPS(at(dw, size*q), r[4+i*v+q], r[4+i*v+q])
			g.VMOVUPS(r[4+i*v+q], at(dw, size*q))
		}
		if i < mr-1 {
			g.ADDQ(dx, dw)
			g.DECQ(k)
			g.JE(ref(end))
		}
	}
	g.Label(end)
	g.VZEROUPPER()
	g.RET()
}
