//go:build !amd64 || purego

package kernel

func convWidths[T float]() []int { return []int{8} }

func convTile[T float](width, mr, tiles int, table []int32, x, w, bias, y []T, s convSteps) {
	convTileGo(width, mr, tiles, table, x, w, bias, y, s)
}

func convWeights[T float](width int, table []int32, x []T, delta []int32, dy, dw []T, ldw, rows int) {
	convWeightsGo(width, table, x, delta, dy, dw, ldw, rows)
}

func convPack[T float](dst []T, width, distance int, src []T, lds, rows, panels, cols int) {
	convPackGo(dst, width, distance, src, lds, rows, panels, cols)
}

func convTranspose[T float](dst []T, ldd int, src []T, lds, rows, n int) {
	transposeGo(dst, ldd, src, lds, rows, n)
}
