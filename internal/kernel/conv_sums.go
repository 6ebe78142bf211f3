package kernel

import (
	"slices"

	"github.com/collapsar/collapsar/internal/parallel"
)

// The forward pass and the gradient for the input are both sums over the taps of the kernel: each
// pixel of the result takes, from each of some pixels of an operand, a row of channels times a matrix
// of weights. Neither needs a border of zeros or a copy of patches: pixels are sorted into classes
// which see the same taps (inner pixels, edges, corners; with a stride, in the gradient, also by
// phase), and a tile takes any few pixels of one class, by a table of their places. In an operand row
// the taps of a class lie side by side, so that a tile runs through them, and through the weights, as
// through one row of a matrix.

// A convStop is one position of the result along one axis. It sees the taps [tap, tap+taps) of its
// phase, the first of them at position at of the operand.
type convStop struct{ phase, tap, taps, at int }

// forwardStops returns the stops of an output of length out.
func forwardStops(out, n, kernel, stride, pad int) []convStop {
	stops := make([]convStop, out)
	for o := range stops {
		from := max(0, pad-o*stride)
		stops[o] = convStop{tap: from, taps: max(0, min(kernel, n+pad-o*stride)-from), at: o*stride - pad + from}
	}
	return stops
}

// phaseTaps is the number of taps r with r mod stride = phase.
func phaseTaps(phase, kernel, stride int) int { return (kernel - phase + stride - 1) / stride }

// dataStops returns the stops of an input of length n. Input i meets output o at tap i+pad-o*stride:
// every stride-th tap, the last one first.
func dataStops(n, out, kernel, stride, pad int) []convStop {
	stops := make([]convStop, n)
	for i := range stops {
		phase := (i + pad) % stride
		taps := max(0, phaseTaps(phase, kernel, stride))
		first := (i+pad)/stride - (taps - 1) // the output at the first of them
		from := max(0, -first)
		stops[i] = convStop{phase: phase, tap: from, taps: max(0, min(taps, out-first)-from), at: first + from}
	}
	return stops
}

// kind is the stop with its position left aside.
func (s convStop) kind() convStop {
	s.at = 0
	return s
}

// kinds returns the different kinds of stops.
func kinds(stops []convStop) []convStop {
	var found []convStop
	for _, s := range stops {
		if !slices.Contains(found, s.kind()) {
			found = append(found, s.kind())
		}
	}
	return found
}

// A convClass is the pixels of the result that see the same taps.
type convClass struct {
	weights int     // number of taps that are packed before the first one of the class
	rows    int     // rows of taps
	cols    int     // taps in a row
	skip    int     // taps to skip in the packed weights after a row
	pixels  int     // in one sample
	table   []int32 // for the samples of a block, for each pixel: its places in operand and result
}

// A convPanel is a range of channels of the result that a tile takes together.
type convPanel struct {
	group int
	first int // channel within the group
	width int
	cols  int // at most width
	at    int // sum of the widths before
}

// convPanels cuts groups of channels into panels of the given widths, the widest first. The sum of the
// widths is the second result.
func convPanels(groups, channels int, widths []int) (panels []convPanel, total int) {
	for g := range groups {
		for first := 0; first < channels; {
			left := channels - first
			width := widths[len(widths)-1]
			for i := len(widths) - 2; i >= 0; i-- {
				if w := widths[i]; left >= w || i == len(widths)-2 && left > widths[i+1] {
					width = w
				}
			}
			panels = append(panels, convPanel{group: g, first: first, width: width, cols: min(width, left), at: total})
			first += width
			total += width
		}
	}
	return panels, total
}

// convSums is a pass that sums over taps.
type convSums[T float] struct {
	in, out         int // channels of a group, of operand and result
	inWidth         int // elements of a pixel of the operand
	outWidth        int // elements of a pixel of the result
	inRow           int // elements of a row of the operand
	inSize, outSize int // elements of a sample
	panels          []convPanel
	width           int // sum of their widths
	classes         []convClass
	images          int   // samples of a block, which the tables cover
	taps            []int // the tap that is packed at each place
	transposed      bool  // a column of the packed weights is a row of the weights
	weightRow       int   // elements of a row of the weights

	packed, bias []T // by panel

	// The call in progress, for the loop bodies, which are made once.
	result, operand, w, given []T
	n, ranges                 int
	pack, tiles               func(worker, i int)
}

func newConvForward[T float](c Conv, rows int) *convSums[T] {
	s := &convSums[T]{in: c.In / c.Groups, out: c.Out / c.Groups, inWidth: c.In, outWidth: c.Out,
		inRow: c.Width * c.In, inSize: c.InputSize(), outSize: c.OutputSize(), weightRow: c.Out}
	for t := range c.KernelH * c.KernelW {
		s.taps = append(s.taps, t)
	}
	s.classify(forwardStops(c.OutH(), c.Height, c.KernelH, c.Stride, c.Pad),
		forwardStops(c.OutW(), c.Width, c.KernelW, c.Stride, c.Pad),
		func(phaseH, phaseW int) (first, width int) { return 0, c.KernelW }, rows)
	s.prepare(c.Groups)
	return s
}

func newConvData[T float](c Conv, rows int) *convSums[T] {
	s := &convSums[T]{in: c.Out / c.Groups, out: c.In / c.Groups, inWidth: c.Out, outWidth: c.In,
		inRow: c.OutW() * c.Out, inSize: c.OutputSize(), outSize: c.InputSize(), weightRow: c.Out, transposed: true}
	// Phase after phase, within each the taps from the last to the first.
	first := make([]int, c.Stride*c.Stride)
	for h := range c.Stride {
		for w := range c.Stride {
			first[h*c.Stride+w] = len(s.taps)
			for i := phaseTaps(h, c.KernelH, c.Stride) - 1; i >= 0; i-- {
				for j := phaseTaps(w, c.KernelW, c.Stride) - 1; j >= 0; j-- {
					s.taps = append(s.taps, (h+i*c.Stride)*c.KernelW+w+j*c.Stride)
				}
			}
		}
	}
	s.classify(dataStops(c.Height, c.OutH(), c.KernelH, c.Stride, c.Pad),
		dataStops(c.Width, c.OutW(), c.KernelW, c.Stride, c.Pad),
		func(phaseH, phaseW int) (int, int) {
			return first[phaseH*c.Stride+phaseW], phaseTaps(phaseW, c.KernelW, c.Stride)
		}, rows)
	s.prepare(c.Groups)
	return s
}

// A block of samples has, if that is more than one sample, at most this many pixels in the result, and
// elements in the operand: all panels pass over it while it is in the second-level cache.
const (
	blockPixels   = 1024
	blockElements = 1 << 16
)

// classify sorts the pixels and writes the tables. phase tells where the taps of a phase begin among the
// packed ones, and how many lie in a row.
func (s *convSums[T]) classify(height, width []convStop, phase func(h, w int) (first, width int), rows int) {
	s.images = max(1, min(rows, blockPixels/(len(height)*len(width)), blockElements/s.inSize))
	for _, h := range kinds(height) {
		for _, w := range kinds(width) {
			first, row := phase(h.phase, w.phase)
			c := convClass{weights: first + h.tap*row + w.tap, rows: h.taps, cols: w.taps, skip: row - w.taps}
			if c.rows == 0 || c.cols == 0 {
				c = convClass{} // nothing is read
			}
			for image := range s.images {
				for i, top := range height {
					for j, left := range width {
						if top.kind() != h || left.kind() != w {
							continue
						}
						place := 0
						if c.rows > 0 {
							place = image*s.inSize + top.at*s.inRow + left.at*s.inWidth
						}
						c.table = append(c.table, int32(place), int32(image*s.outSize+(i*len(width)+j)*s.outWidth))
					}
				}
			}
			c.pixels = len(c.table) / 2 / s.images
			s.classes = append(s.classes, c)
		}
	}
}

// prepare makes panels and loop bodies.
func (s *convSums[T]) prepare(groups int) {
	s.panels, s.width = convPanels(groups, s.out, convWidths[T]())
	s.pack = func(_, i int) { s.packPanel(s.panels[i]) }
	s.tiles = func(_, i int) {
		block, part := i/s.ranges, i%s.ranges
		first := block * s.images
		for _, p := range s.panels[part*len(s.panels)/s.ranges : (part+1)*len(s.panels)/s.ranges] {
			s.panel(p, s.result[first*s.outSize:], s.operand[first*s.inSize:], min(s.images, s.n-first))
		}
	}
}

// run writes the result of n samples.
func (s *convSums[T]) run(result, operand, w, bias []T, n int) {
	if n == 0 {
		return
	}
	if s.packed == nil {
		s.packed, s.bias = make([]T, s.width*len(s.taps)*s.in), make([]T, s.width)
	}
	s.result, s.operand, s.w, s.given, s.n = result, operand, w, bias, n
	parallel.For(len(s.panels), s.pack)
	blocks := (n + s.images - 1) / s.images
	// Items enough that no worker waits long for another at the end.
	s.ranges = 1
	for blocks*s.ranges < 8*parallel.Workers() && 2*s.ranges <= len(s.panels) {
		s.ranges *= 2
	}
	parallel.For(blocks*s.ranges, s.tiles)
	s.result, s.operand, s.w, s.given = nil, nil, nil, nil
}

// packPanel packs the weights of a panel, tap after tap: in rows of width columns. Columns past the
// last channel stay zero.
func (s *convSums[T]) packPanel(p convPanel) {
	bias := s.bias[p.at : p.at+p.cols]
	clear(bias)
	if s.given != nil {
		copy(bias, s.given[p.group*s.out+p.first:])
	}
	dst := s.packed[p.at*len(s.taps)*s.in:]
	for _, tap := range s.taps {
		if s.transposed {
			// The rows of the weights are the channels of the result.
			src := s.w[(tap*s.out+p.first)*s.weightRow+p.group*s.in:]
			convTranspose(dst, p.width, src, s.weightRow, p.cols, s.in)
		} else {
			convPack(dst, p.width, 0, s.w[tap*s.in*s.weightRow+p.group*s.out+p.first:], s.weightRow, s.in, 1, p.cols)
		}
		dst = dst[s.in*p.width:]
	}
}

// panel computes the channels of one panel for the samples of a block.
func (s *convSums[T]) panel(p convPanel, result, operand []T, images int) {
	w := s.packed[p.at*len(s.taps)*s.in:]
	bias := s.bias[p.at:]
	operand = operand[p.group*s.in:]
	result = result[p.group*s.out+p.first:]
	for i := range s.classes {
		c := &s.classes[i]
		steps := convSteps{rows: c.rows, cols: c.cols, run: s.in, xcol: s.inWidth - s.in,
			xrow: s.inRow - c.cols*s.inWidth, wrow: c.skip * s.in * p.width}
		if s.in == s.inWidth { // the channels of neighbours lie side by side
			steps.cols, steps.run = 1, c.cols*s.in
		}
		table, weights := c.table[:2*images*c.pixels], w[c.weights*s.in*p.width:]
		if p.cols < p.width {
			s.edge(p, table, operand, weights, bias, result, steps)
			continue
		}
		convPixels(p.width, table, operand, weights, bias, result, steps)
	}
}

// convPixels computes the pixels of a table.
func convPixels[T float](width int, table []int32, x, w, bias, y []T, steps convSteps) {
	n := len(table) / 2
	six, five, four := convPieces(n)
	if six > 0 {
		convTile(width, 6, six, table, x, w, bias, y, steps)
		table = table[12*six:]
	}
	if five > 0 {
		convTile(width, 5, five, table, x, w, bias, y, steps)
		table = table[10*five:]
	}
	if 8*four > len(table) { // the last pixel several times
		var last [16]int32
		for i := copy(last[:], table); i < 8*four; i++ {
			last[i] = last[i-2]
		}
		convTile(width, 4, four, last[:], x, w, bias, y, steps)
	} else if four > 0 {
		convTile(width, 4, four, table, x, w, bias, y, steps)
	}
}

// convPieces divides n rows into as few tiles as possible of six, five and four rows. For 1 to 3 and
// 7 rows, which cannot be so divided, the tiles have more rows than n.
func convPieces(n int) (six, five, four int) {
	tiles := (n + 5) / 6
	less := 6*tiles - n
	four = min(tiles, max(0, less-tiles))
	five = min(tiles-four, less-2*four)
	return tiles - four - five, five, four
}

// edge computes the pixels of a table for a panel that is wider than its channels, through a buffer.
func (s *convSums[T]) edge(p convPanel, table []int32, x, w, bias, y []T, steps convSteps) {
	const pixels = 24
	var places [2 * pixels]int32
	var buffer [pixels * maxConvWidth]T
	for ; len(table) > 0; table = table[min(len(table), 2*pixels):] {
		part := places[:min(len(table), 2*pixels)]
		for i := range len(part) / 2 {
			part[2*i], part[2*i+1] = table[2*i], int32(i*p.width)
		}
		convPixels(p.width, part, x, w, bias, buffer[:], steps)
		for i := range len(part) / 2 {
			at := int(table[2*i+1])
			copy(y[at:at+p.cols], buffer[i*p.width:])
		}
	}
}
