//go:build !amd64 || purego

package kernel

func convWidths[T float]() []int { return []int{8} }

func convTile[T float](width, mr, tiles int, table []int32, x, w, bias, y []T, s convSteps) {
	convTileGo(width, mr, tiles, table, x, w, bias, y, s)
}

func convWeights[T float](width, mr int, table []int32, x []T, delta []int32, dy, dw []T, ldw, rows int) {
	convWeightsGo(width, table, x, delta, dy, dw, ldw, rows)
}

func convTranspose[T float](dst []T, ldd int, src []T, lds, rows, n int) {
	transposeGo(dst, ldd, src, lds, rows, n)
}
