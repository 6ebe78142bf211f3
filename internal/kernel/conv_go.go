package kernel

// The portable tiles of the convolutions. Products are rounded before they are added, so the bits are
// the same on every processor.

// convSteps is how a tile runs through the taps of its pixels: rows times cols runs of products, with
// xcol elements of the operand between the runs of a row, and, after a row, xrow elements of the
// operand and wrow of the weights.
type convSteps struct{ rows, cols, run, xcol, xrow, wrow int }

// maxConvWidth is the width of the widest tile.
const maxConvWidth = 32

// convTileGo computes tiles*mr pixels, for width channels:
//
//	for each pixel, the pair (a, b) of the table, and j < width
//		s = bias[j]
//		for each row, col and i < run { s += x[a] * w[j]; a++; w = w[width:] }, with the steps between
//		y[b+j] = s
func convTileGo[T float](width, mr, tiles int, table []int32, x, w, bias, y []T, steps convSteps) {
	for ; len(table) > 0 && tiles > 0; tiles-- {
		for range mr {
			from, to := x[table[0]:], y[table[1]:]
			table = table[2:]
			for j := 0; j < width; j += 4 {
				s0, s1, s2, s3 := bias[j], bias[j+1], bias[j+2], bias[j+3]
				a, b := 0, j
				for range steps.rows {
					for range steps.cols {
						for _, v := range from[a : a+steps.run] {
							row := (*[4]T)(w[b:])
							s0 += T(v * row[0])
							s1 += T(v * row[1])
							s2 += T(v * row[2])
							s3 += T(v * row[3])
							b += width
						}
						a += steps.run + steps.xcol
					}
					a += steps.xrow
					b += steps.wrow
				}
				*(*[4]T)(to[j:]) = [4]T{s0, s1, s2, s3}
			}
		}
	}
}

// convWeightsGo adds the products of the pixels of a table to rows of a gradient, for width channels:
//
//	for i < rows, j < width
//		dw[i*ldw+j] += sum over the pairs (a, b) of the table { x[a+delta[i]] * dy[b/8*width+j] }
func convWeightsGo[T float](width int, table []int32, x []T, delta []int32, dy, dw []T, ldw, rows int) {
	for i := range rows {
		from, to := x[delta[i]:], dw[i*ldw:]
		for j := 0; j < width; j += 4 {
			var s0, s1, s2, s3 T
			for t := 0; t+1 < len(table); t += 2 {
				v := from[table[t]]
				row := (*[4]T)(dy[int(table[t+1])/8*width+j:])
				s0 += T(v * row[0])
				s1 += T(v * row[1])
				s2 += T(v * row[2])
				s3 += T(v * row[3])
			}
			to[j] += s0
			to[j+1] += s1
			to[j+2] += s2
			to[j+3] += s3
		}
	}
}

// convPackGo copies, for p < panels and i < rows, cols elements from src[i*lds+p*width] to
// dst[p*distance+i*width].
func convPackGo[T float](dst []T, width, distance int, src []T, lds, rows, panels, cols int) {
	for p := range panels {
		to, from := dst[p*distance:], src[p*width:]
		for i := range rows {
			copy(to[i*width:i*width+cols], from[i*lds:])
		}
	}
}
