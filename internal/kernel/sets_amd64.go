//go:build !purego

package kernel

import "unsafe"

var (
	set32 = [3]*set[float32]{
		levelGo: goSet[float32](512),
		levelAVX2: {mr: 6, lanes: 8, widest: 2, kc: 512, whole: 1024, tile: tile32AVX2, packRows: packRows64[float32], transpose: transpose32,
			dots: dots32AVX2, dotsFrom: 9, dotsTo: 12},
		levelAVX512: {mr: 8, lanes: 16, widest: 3, kc: 512, whole: 1024, masks: true, tile: tile32AVX512, packRows: packRows128[float32], transpose: transpose32},
	}
	set64 = [3]*set[float64]{
		levelGo:     goSet[float64](256),
		levelAVX2:   {mr: 6, lanes: 4, widest: 2, kc: 256, tile: tile64AVX2, packRows: packRows64[float64], transpose: transpose64},
		levelAVX512: {mr: 8, lanes: 8, widest: 3, kc: 384, masks: true, tile: tile64AVX512, packRows: packRows128[float64], transpose: transpose64},
	}
)

func tile32AVX512(v, k int, a []float32, ars, acs int, b []float32, brs int, c []float32, crs, rows, cols int, alpha, beta float32, load bool) {
	switch v {
	case 1:
		tile32x1AVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 2:
		tile32x2AVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 3:
		tile32x3AVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 1 | stream:
		tile32x1StreamAVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 2 | stream:
		tile32x2StreamAVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 3 | stream:
		tile32x3StreamAVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	}
}

func tile64AVX512(v, k int, a []float64, ars, acs int, b []float64, brs int, c []float64, crs, rows, cols int, alpha, beta float64, load bool) {
	switch v {
	case 1:
		tile64x1AVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 2:
		tile64x2AVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 3:
		tile64x3AVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 1 | stream:
		tile64x1StreamAVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 2 | stream:
		tile64x2StreamAVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case 3 | stream:
		tile64x3StreamAVX512(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	}
}

// The AVX2 tiles write whole vectors: a tile with fewer columns goes through a buffer.

func tile32AVX2(v, k int, a []float32, ars, acs int, b []float32, brs int, c []float32, crs, rows, cols int, alpha, beta float32, load bool) {
	switch {
	case cols < v&^stream*8:
		edge32AVX2(v, k, a, ars, acs, b, brs, c, crs, rows, cols, alpha, beta, load)
	case v == 1:
		tile32x1AVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case v == 1|stream:
		tile32x1StreamAVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case v == 2|stream:
		tile32x2StreamAVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case rows <= 4:
		tile32x2Rows4AVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	default:
		tile32x2AVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	}
}

func edge32AVX2(v, k int, a []float32, ars, acs int, b []float32, brs int, c []float32, crs, rows, cols int, alpha, beta float32, load bool) {
	var edge [6 * 16]float32
	width := v &^ stream * 8
	copyRows(edge[:], width, c, crs, rows, cols, load)
	tile32AVX2(v, k, a, ars, acs, b, brs, edge[:], width, rows, width, alpha, beta, load)
	copyRows(c, crs, edge[:], width, rows, cols, true)
}

func tile64AVX2(v, k int, a []float64, ars, acs int, b []float64, brs int, c []float64, crs, rows, cols int, alpha, beta float64, load bool) {
	switch {
	case cols < v&^stream*4:
		edge64AVX2(v, k, a, ars, acs, b, brs, c, crs, rows, cols, alpha, beta, load)
	case v == 1:
		tile64x1AVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case v == 1|stream:
		tile64x1StreamAVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case v == 2|stream:
		tile64x2StreamAVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	case rows <= 4:
		tile64x2Rows4AVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	default:
		tile64x2AVX2(k, &a[0], ars, acs, &b[0], brs, &c[0], crs, rows, cols, alpha, beta, load)
	}
}

func edge64AVX2(v, k int, a []float64, ars, acs int, b []float64, brs int, c []float64, crs, rows, cols int, alpha, beta float64, load bool) {
	var edge [6 * 8]float64
	width := v &^ stream * 4
	copyRows(edge[:], width, c, crs, rows, cols, load)
	tile64AVX2(v, k, a, ars, acs, b, brs, edge[:], width, rows, width, alpha, beta, load)
	copyRows(c, crs, edge[:], width, rows, cols, true)
}

func dots32AVX2(n, rows, k int, a []float32, lda int, b, c []float32, ldc int, alpha, beta float32, load bool) {
	switch n {
	case 9:
		dots32x9AVX2(rows, k, &a[0], lda, &b[0], &c[0], ldc, alpha, beta, load)
	case 10:
		dots32x10AVX2(rows, k, &a[0], lda, &b[0], &c[0], ldc, alpha, beta, load)
	case 11:
		dots32x11AVX2(rows, k, &a[0], lda, &b[0], &c[0], ldc, alpha, beta, load)
	case 12:
		dots32x12AVX2(rows, k, &a[0], lda, &b[0], &c[0], ldc, alpha, beta, load)
	}
}

// copyRows copies rows of cols elements, if wanted.
func copyRows[T float](dst []T, ldd int, src []T, lds, rows, cols int, wanted bool) {
	if wanted {
		for i := range rows {
			copy(dst[i*ldd:i*ldd+cols], src[i*lds:])
		}
	}
}

func transpose32(dst []float32, ldd int, src []float32, lds, rows, n int) {
	whole := n &^ 7
	i := 0
	if whole > 0 {
		if rows == 6 && ldd == 6 {
			interleave32AVX2(&dst[0], &src[0], lds, whole)
			i = 6
		}
		for ; i+8 <= rows; i += 8 {
			transpose32AVX2(&dst[i], ldd, &src[i*lds], lds, whole)
		}
	}
	transposeRest(dst, ldd, src, lds, rows, n, i, whole)
}

func transpose64(dst []float64, ldd int, src []float64, lds, rows, n int) {
	whole := n &^ 3
	i := 0
	if whole > 0 {
		if rows == 6 && ldd == 6 {
			interleave64AVX2(&dst[0], &src[0], lds, whole)
			i = 6
		}
		for ; i+4 <= rows; i += 4 {
			transpose64AVX2(&dst[i], ldd, &src[i*lds], lds, whole)
		}
	}
	transposeRest(dst, ldd, src, lds, rows, n, i, whole)
}

// transposeRest transposes what is outside the first whole columns of the first done rows.
func transposeRest[T float](dst []T, ldd int, src []T, lds, rows, n, done, whole int) {
	if whole < n {
		for i := range done {
			for p := whole; p < n; p++ {
				dst[p*ldd+i] = src[i*lds+p]
			}
		}
	}
	if done < rows {
		transposeGo(dst[done:], ldd, src[done*lds:], lds, rows-done, n)
	}
}

// The panels are 64 bytes wide for AVX2 and 128 for AVX-512, in both types.

func packRows64[T float](dst []T, distance int, src []T, lds, rows, panels int) {
	size := int(unsafe.Sizeof(dst[0]))
	packRows64AVX2((*byte)(unsafe.Pointer(&dst[0])), distance*size, (*byte)(unsafe.Pointer(&src[0])), lds*size, rows, panels)
}

func packRows128[T float](dst []T, distance int, src []T, lds, rows, panels int) {
	size := int(unsafe.Sizeof(dst[0]))
	packRows128AVX2((*byte)(unsafe.Pointer(&dst[0])), distance*size, (*byte)(unsafe.Pointer(&src[0])), lds*size, rows, panels)
}
