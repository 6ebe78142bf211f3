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
	last := tiles*mr - 1
	for p := 0; p <= last; p += 2 { // two pixels at a time
		q := min(p+1, last)
		first, second := x[table[2*p]:], x[table[2*q]:]
		for j := 0; j < width; j += 4 {
			s00, s01, s02, s03 := bias[j], bias[j+1], bias[j+2], bias[j+3]
			s10, s11, s12, s13 := s00, s01, s02, s03
			a, b := 0, j
			for range steps.rows {
				for range steps.cols {
					other := second[a : a+steps.run]
					for i, x0 := range first[a : a+steps.run] {
						x1 := other[i]
						row := (*[4]T)(w[b:])
						s00 += T(x0 * row[0])
						s01 += T(x0 * row[1])
						s02 += T(x0 * row[2])
						s03 += T(x0 * row[3])
						s10 += T(x1 * row[0])
						s11 += T(x1 * row[1])
						s12 += T(x1 * row[2])
						s13 += T(x1 * row[3])
						b += width
					}
					a += steps.run + steps.xcol
				}
				a += steps.xrow
				b += steps.wrow
			}
			*(*[4]T)(y[int(table[2*p+1])+j:]) = [4]T{s00, s01, s02, s03}
			*(*[4]T)(y[int(table[2*q+1])+j:]) = [4]T{s10, s11, s12, s13}
		}
	}
}

// convWeightsGo adds the products of the pixels of a table to rows of a gradient, for width channels:
//
//	for i < rows, j < width
//		dw[i*ldw+j] += sum over the pairs (a, b) of the table { x[a+delta[i]] * dy[b/8*width+j] }
func convWeightsGo[T float](width int, table []int32, x []T, delta []int32, dy, dw []T, ldw, rows int) {
	for i := 0; i < rows; i += 2 { // two rows at a time
		next := min(i+1, rows-1)
		first, second := x[delta[i]:], x[delta[next]:]
		for j := 0; j < width; j += 4 {
			var s00, s01, s02, s03, s10, s11, s12, s13 T
			for t := table; len(t) >= 2; t = t[2:] {
				x0, x1 := first[t[0]], second[t[0]]
				row := (*[4]T)(dy[int(t[1])/8*width+j:])
				s00 += T(x0 * row[0])
				s01 += T(x0 * row[1])
				s02 += T(x0 * row[2])
				s03 += T(x0 * row[3])
				s10 += T(x1 * row[0])
				s11 += T(x1 * row[1])
				s12 += T(x1 * row[2])
				s13 += T(x1 * row[3])
			}
			addFour(dw[i*ldw+j:], s00, s01, s02, s03)
			if next > i {
				addFour(dw[next*ldw+j:], s10, s11, s12, s13)
			}
		}
	}
}

func addFour[T float](dst []T, s0, s1, s2, s3 T) {
	to := (*[4]T)(dst)
	to[0] += s0
	to[1] += s1
	to[2] += s2
	to[3] += s3
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
