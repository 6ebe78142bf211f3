//go:build !purego

package kernel

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

// convWeights is the tile of mr rows of the gradient by width channels, see [convWeightsGo].
func convWeights[T float](width, mr int, table []int32, x []T, delta []int32, dy, dw []T, ldw, rows int) {
	if px, ok := any(&x[0]).(*float32); ok && level != levelGo {
		py, pw := any(&dy[0]).(*float32), any(&dw[0]).(*float32)
		switch 16*width + mr {
		case 16*8 + 4:
			convWeights4x8AVX2(len(table)/2, &table[0], px, &delta[0], py, pw, ldw, rows)
		case 16*8 + 5:
			convWeights5x8AVX2(len(table)/2, &table[0], px, &delta[0], py, pw, ldw, rows)
		case 16*8 + 6:
			convWeights6x8AVX2(len(table)/2, &table[0], px, &delta[0], py, pw, ldw, rows)
		case 16*16 + 4:
			convWeights4x16AVX2(len(table)/2, &table[0], px, &delta[0], py, pw, ldw, rows)
		case 16*16 + 5:
			convWeights5x16AVX2(len(table)/2, &table[0], px, &delta[0], py, pw, ldw, rows)
		case 16*16 + 6:
			convWeights6x16AVX2(len(table)/2, &table[0], px, &delta[0], py, pw, ldw, rows)
		case 16*32 + 4:
			convWeights4x32AVX512(len(table)/2, &table[0], px, &delta[0], py, pw, ldw, rows)
		case 16*32 + 5:
			convWeights5x32AVX512(len(table)/2, &table[0], px, &delta[0], py, pw, ldw, rows)
		case 16*32 + 6:
			convWeights6x32AVX512(len(table)/2, &table[0], px, &delta[0], py, pw, ldw, rows)
		}
		return
	}
	convWeightsGo(width, table, x, delta, dy, dw, ldw, rows)
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
