//go:build !purego

package kernel

import "unsafe"

// convWidths are the widths of the tiles, the widest first.
func convWidths[T float]() []int {
	var zero T
	if _, ok := any(zero).(float32); ok {
		switch level {
		case levelAVX512:
			return []int{32, 16, 8}
		case levelAVX2:
			return []int{16, 8}
		}
	}
	return []int{8}
}

// convTile is the tile of mr pixels by width channels, see [convTileGo].
func convTile[T float](width, mr, tiles int, table []int32, x, w, bias, y []T, s convSteps) {
	if px, ok := any(&x[0]).(*float32); ok && level != levelGo {
		pw, pb, py := any(&w[0]).(*float32), any(&bias[0]).(*float32), any(&y[0]).(*float32)
		switch 16*width + mr {
		case 16*8 + 4:
			convTile4x8AVX2(tiles, &table[0], px, pw, pb, py, s.rows, s.cols, s.run, s.xcol, s.xrow, s.wrow)
		case 16*8 + 5:
			convTile5x8AVX2(tiles, &table[0], px, pw, pb, py, s.rows, s.cols, s.run, s.xcol, s.xrow, s.wrow)
		case 16*8 + 6:
			convTile6x8AVX2(tiles, &table[0], px, pw, pb, py, s.rows, s.cols, s.run, s.xcol, s.xrow, s.wrow)
		case 16*16 + 4:
			convTile4x16AVX2(tiles, &table[0], px, pw, pb, py, s.rows, s.cols, s.run, s.xcol, s.xrow, s.wrow)
		case 16*16 + 5:
			convTile5x16AVX2(tiles, &table[0], px, pw, pb, py, s.rows, s.cols, s.run, s.xcol, s.xrow, s.wrow)
		case 16*16 + 6:
			convTile6x16AVX2(tiles, &table[0], px, pw, pb, py, s.rows, s.cols, s.run, s.xcol, s.xrow, s.wrow)
		case 16*32 + 4:
			convTile4x32AVX512(tiles, &table[0], px, pw, pb, py, s.rows, s.cols, s.run, s.xcol, s.xrow, s.wrow)
		case 16*32 + 5:
			convTile5x32AVX512(tiles, &table[0], px, pw, pb, py, s.rows, s.cols, s.run, s.xcol, s.xrow, s.wrow)
		case 16*32 + 6:
			convTile6x32AVX512(tiles, &table[0], px, pw, pb, py, s.rows, s.cols, s.run, s.xcol, s.xrow, s.wrow)
		}
		return
	}
	convTileGo(width, mr, tiles, table, x, w, bias, y, s)
}

// convWeights is the product for the rows of a strip, by width channels, see [convWeightsGo].
func convWeights[T float](width int, table []int32, x []T, delta []int32, dy, dw []T, ldw, rows int) {
	px, ok := any(&x[0]).(*float32)
	if !ok || level == levelGo {
		convWeightsGo(width, table, x, delta, dy, dw, ldw, rows)
		return
	}
	n, py := len(table)/2, any(&dy[0]).(*float32)
	six, five, _ := convPieces(rows)
	for piece := 0; rows > 0; piece++ {
		pw := any(&dw[0]).(*float32)
		mr := 4
		if piece < six {
			mr = 6
		} else if piece < six+five {
			mr = 5
		}
		switch width {
		case 8:
			switch mr {
			case 6:
				convWeights6x8AVX2(n, &table[0], px, &delta[0], py, pw, ldw, rows)
			case 5:
				convWeights5x8AVX2(n, &table[0], px, &delta[0], py, pw, ldw, rows)
			case 4:
				convWeights4x8AVX2(n, &table[0], px, &delta[0], py, pw, ldw, rows)
			}
		case 16:
			switch mr {
			case 6:
				convWeights6x16AVX2(n, &table[0], px, &delta[0], py, pw, ldw, rows)
			case 5:
				convWeights5x16AVX2(n, &table[0], px, &delta[0], py, pw, ldw, rows)
			case 4:
				convWeights4x16AVX2(n, &table[0], px, &delta[0], py, pw, ldw, rows)
			}
		case 32:
			switch mr {
			case 6:
				convWeights6x32AVX512(n, &table[0], px, &delta[0], py, pw, ldw, rows)
			case 5:
				convWeights5x32AVX512(n, &table[0], px, &delta[0], py, pw, ldw, rows)
			case 4:
				convWeights4x32AVX512(n, &table[0], px, &delta[0], py, pw, ldw, rows)
			}
		}
		if rows -= mr; rows > 0 {
			delta, dw = delta[mr:], dw[mr*ldw:]
		}
	}
}

// convPack packs rows into panels, see [convPackGo]. Columns past the last one, in a panel by itself, may
// be anything.
func convPack[T float](dst []T, width, distance int, src []T, lds, rows, panels, cols int) {
	whole := 0 // rows that are copied in the full width
	if _, ok := any(&dst[0]).(*float32); ok && level != levelGo {
		whole = rows
		if cols < width {
			whole = min(rows, max(0, len(src)-width+lds)/lds)
		}
	}
	if whole > 0 {
		switch width {
		case 8:
			packRows32(dst, distance, src, lds, whole, panels)
		case 16:
			packRows64(dst, distance, src, lds, whole, panels)
		case 32:
			packRows128(dst, distance, src, lds, whole, panels)
		}
	}
	if whole < rows {
		convPackGo(dst[whole*width:], width, distance, src[whole*lds:], lds, rows-whole, panels, cols)
	}
}

func packRows32[T float](dst []T, distance int, src []T, lds, rows, panels int) {
	size := int(unsafe.Sizeof(dst[0]))
	packRows32AVX2((*byte)(unsafe.Pointer(&dst[0])), distance*size, (*byte)(unsafe.Pointer(&src[0])), lds*size, rows, panels)
}

// convTranspose is the transposition of the level, see [set].
func convTranspose[T float](dst []T, ldd int, src []T, lds, rows, n int) {
	if level != levelGo {
		switch d := any(dst).(type) {
		case []float32:
			transpose32(d, ldd, any(src).([]float32), lds, rows, n)
			return
		}
	}
	transposeGo(dst, ldd, src, lds, rows, n)
}
