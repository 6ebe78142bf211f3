package kernel

// The portable tile: two rows by one or two groups of four columns. Products are rounded before they
// are added, so the bits are the same on every processor.

const (
	goRows  = 2
	goLanes = 4
)

func goSet[T float](kc int) *set[T] {
	return &set[T]{mr: goRows, lanes: goLanes, widest: 2, kc: kc, tile: tileGo[T],
		packRows: func(dst []T, distance int, src []T, lds, rows, panels int) {
			packRowsGo(2*goLanes, dst, distance, src, lds, rows, panels)
		},
		transpose: transposeGo[T]}
}

func tileGo[T float](v, k int, a []T, ars, acs int, b []T, brs int, c []T, crs, rows, cols int, alpha, beta T, load bool) {
	for g := 0; g < cols; g += goLanes {
		var s [goRows][goLanes]T
		var s00, s01, s02, s03, s10, s11, s12, s13 T
		for p := range k {
			x0, x1 := a[p*acs], a[ars+p*acs]
			y := (*[goLanes]T)(b[p*brs+g:])
			s00 += T(x0 * y[0])
			s01 += T(x0 * y[1])
			s02 += T(x0 * y[2])
			s03 += T(x0 * y[3])
			s10 += T(x1 * y[0])
			s11 += T(x1 * y[1])
			s12 += T(x1 * y[2])
			s13 += T(x1 * y[3])
		}
		s[0] = [goLanes]T{s00, s01, s02, s03}
		s[1] = [goLanes]T{s10, s11, s12, s13}
		for i := range rows {
			row := c[i*crs+g : i*crs+min(cols, g+goLanes)]
			for j := range row {
				t := alpha * s[i][j]
				if load {
					t += T(beta * row[j])
				}
				row[j] = t
			}
		}
	}
}

func transposeGo[T float](dst []T, ldd int, src []T, lds, rows, n int) {
	for i := range rows {
		row := src[i*lds : i*lds+n]
		for p, v := range row {
			dst[p*ldd+i] = v
		}
	}
}
