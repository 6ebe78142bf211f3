package kernel

import "github.com/collapsar/collapsar/internal/parallel"

// The gradient for the weights is, for each tap, a product: rows of input channels by columns of
// output channels, contracted over the pixels of all samples at which the tap lies inside the input.
// Pixels are taken from a table, as in the other passes. Both operands are packed, block of samples by
// block, into strips of a few channels, all pixels one after the other, for a chunk of two strips fits
// the first-level cache where a chunk of the whole does not. With less than four channels a tile wants
// the rows of several taps: then the sample is copied with its border of zeros instead, and all taps
// see all pixels.

// A convTap is rows of the gradient that see the same pixels.
type convTap struct {
	row    int     // the first of them
	pixels int     // in one sample
	table  []int32 // for the samples of a block, for each pixel: its place in a strip of x, and 8 times its number in dy
}

// A convStrip is rows of the gradient whose operands lie in one strip of x.
type convStrip struct {
	group int
	first int // row, from the first of a tap
	rows  int
	at    int     // the strip in the scratch space
	delta []int32 // place of each row from that of the pixel, the last repeated for incomplete tiles
}

const (
	// convChunk is the largest number of pixels in one call of a tile.
	convChunk = 192
	// stripWidth is the number of channels in a strip of x.
	stripWidth = 16
	// stripElements is the largest number of elements of x in a block of several samples.
	stripElements = 1 << 18
)

// convGradient is the pass that forms the gradient for the weights.
type convGradient[T float] struct {
	c        Conv
	in, out  int // channels of a group
	rows     int // of the gradient, all taps
	taps     []convTap
	strips   []convStrip
	panels   []convPanel
	total    int // sum of their widths
	images   int // samples of a block
	pixels   int // of dy in one sample
	bordered bool
	// The pixels of x that are packed: gridH x gridW in a sample, every step-th in both directions.
	gridH, gridW, step int

	parts   []T              // gradients of groups of samples
	scratch []convScratch[T] // of each worker

	// The call in progress, for the loop bodies, which are made once.
	dw, x, dy           []T
	n, parted           int
	sets, ranges        int  // into which taps and panels are divided
	direct              bool // dw is the only part
	products, summation func(worker, i int)
}

// convScratch is the space of one worker.
type convScratch[T float] struct{ x, dy []T }

func newConvGradient[T float](c Conv, rows int) *convGradient[T] {
	g := &convGradient[T]{c: c, in: c.In / c.Groups, out: c.Out / c.Groups, pixels: c.OutH() * c.OutW(),
		gridH: c.Height, gridW: c.Width, step: 1}
	g.rows = c.KernelH * c.KernelW * g.in
	g.panels, g.total = convPanels(c.Groups, g.out, convWidths[T]())
	single := c.KernelH == 1 && c.KernelW == 1
	if single && c.Pad == 0 {
		g.gridH, g.gridW, g.step = c.OutH(), c.OutW(), c.Stride
	}
	g.images = max(1, min(rows, convChunk/g.pixels, stripElements/(g.gridH*g.gridW*c.In)))
	if g.in < 4 && !single {
		g.bordered = true
		g.borderTap()
	} else {
		g.cutStrips()
		for r := range c.KernelH {
			for s := range c.KernelW {
				g.taps = append(g.taps, g.tap(r, s))
			}
		}
	}
	g.products = g.product
	g.summation = func(_, i int) { g.sum(i) }
	return g
}

// partsOf is the number of groups into which n samples are divided, each with a gradient of its own.
// It decides the order of summation, so it depends on the shape alone.
func (g *convGradient[T]) partsOf(n int) int {
	return max(1, min(16, n, 1<<20/(g.rows*g.total), n*g.pixels/512))
}

// convDeltas are the places of rows, with the last one repeated to fill tiles.
func convDeltas(rows int, place func(i int) int) []int32 {
	six, five, four := convPieces(rows)
	deltas := make([]int32, 6*six+5*five+4*four)
	for i := range deltas {
		deltas[i] = int32(place(min(i, rows-1)))
	}
	return deltas
}

// cutStrips divides the channels of x into strips.
func (g *convGradient[T]) cutStrips() {
	for group := range g.c.Groups {
		for first := 0; first < g.in; first += stripWidth {
			rows := min(stripWidth, g.in-first)
			g.strips = append(g.strips, convStrip{group: group, first: first, rows: rows,
				at:    len(g.strips) * stripWidth * g.images * g.gridH * g.gridW,
				delta: convDeltas(rows, func(i int) int { return i })})
		}
	}
}

// tap finds the pixels of one tap.
func (g *convGradient[T]) tap(r, s int) convTap {
	c := g.c
	t := convTap{row: (r*c.KernelW + s) * g.in}
	for image := range g.images {
		for o := range c.OutH() {
			for p := range c.OutW() {
				h, w := o*c.Stride+r-c.Pad, p*c.Stride+s-c.Pad
				if h >= 0 && w >= 0 && h < c.Height && w < c.Width {
					pixel := (image*g.gridH+h/g.step)*g.gridW + w/g.step
					t.table = append(t.table, int32(stripWidth*pixel), int32(8*(image*g.pixels+o*c.OutW()+p)))
				}
			}
		}
	}
	t.pixels = len(t.table) / 2 / g.images
	return t
}

// borderTap makes one tap of all, and one strip, for samples with a border.
func (g *convGradient[T]) borderTap() {
	c := g.c
	row := (c.Width + 2*c.Pad) * c.In
	g.strips = []convStrip{{rows: g.rows, delta: convDeltas(g.rows, func(i int) int {
		tap := i / g.in
		return tap/c.KernelW*row + tap%c.KernelW*c.In + i%g.in
	})}}
	t := convTap{pixels: g.pixels}
	for image := range g.images {
		for o := range c.OutH() {
			for p := range c.OutW() {
				t.table = append(t.table, int32(image*g.borderedSize()+o*c.Stride*row+p*c.Stride*c.In), int32(8*(image*g.pixels+o*c.OutW()+p)))
			}
		}
	}
	g.taps = []convTap{t}
}

// borderedSize is the number of elements of a sample of x with its border.
func (g *convGradient[T]) borderedSize() int {
	return (g.c.Height + 2*g.c.Pad) * (g.c.Width + 2*g.c.Pad) * g.c.In
}

// run writes the gradient of n samples.
func (g *convGradient[T]) run(dw, x, dy []T, n int) {
	if n == 0 {
		clear(dw[:g.c.WeightSize()])
		return
	}
	g.dw, g.x, g.dy, g.n = dw, x, dy, n
	for len(g.scratch) < parallel.Workers() {
		size := len(g.strips) * stripWidth * g.images * g.gridH * g.gridW
		if g.bordered {
			size = g.images * g.borderedSize()
		}
		g.scratch = append(g.scratch, convScratch[T]{x: make([]T, size), dy: make([]T, g.images*g.pixels*g.total)})
	}
	g.parted = g.partsOf(n)
	g.direct = g.parted == 1 && g.total == g.c.Out
	if size := g.parted * g.rows * g.total; !g.direct && len(g.parts) < size {
		g.parts = make([]T, size)
	}
	// Items enough that no worker waits long for another at the end.
	g.sets, g.ranges = 1, 1
	items := 4 * parallel.Workers()
	if g.parted < items && !g.bordered {
		g.sets = g.c.KernelH
	}
	for g.parted*g.sets*g.ranges < items && 2*g.ranges <= len(g.panels) {
		g.ranges *= 2
	}
	parallel.For(g.parted*g.sets*g.ranges, g.products)
	if !g.direct {
		parallel.For((g.rows+sumRows-1)/sumRows, g.summation)
	}
	g.dw, g.x, g.dy = nil, nil, nil
}

// product forms some panels of the gradient of some taps, for one group of samples.
func (g *convGradient[T]) product(worker, i int) {
	part, rest := i/(g.sets*g.ranges), i%(g.sets*g.ranges)
	set, columns := rest/g.ranges, rest%g.ranges
	dw := g.dw
	if !g.direct {
		dw = g.parts[part*g.rows*g.total:]
	}
	panels := g.panels[columns*len(g.panels)/g.ranges : (columns+1)*len(g.panels)/g.ranges]
	taps := g.taps[set*len(g.taps)/g.sets : (set+1)*len(g.taps)/g.sets]
	from, to := panels[0].at, panels[len(panels)-1].at+panels[len(panels)-1].width
	for r := set * g.rows / g.sets; r < (set+1)*g.rows/g.sets; r++ {
		clear(dw[r*g.total+from : r*g.total+to])
	}
	scratch := g.scratch[worker]
	last := (part + 1) * g.n / g.parted
	for first := part * g.n / g.parted; first < last; first += g.images {
		images := min(g.images, last-first)
		x := g.packX(scratch.x, g.x[first*g.c.InputSize():], images, panels)
		dy := g.packY(scratch.dy, g.dy[first*g.c.OutputSize():], images, panels)
		for _, tap := range taps {
			count := images * tap.pixels
			chunks := (count + convChunk - 1) / convChunk
			for chunk := range chunks {
				table := tap.table[2*(chunk*count/chunks) : 2*((chunk+1)*count/chunks)]
				for _, p := range panels {
					panel := dy[(p.at-from)*images*g.pixels:]
					for _, s := range g.strips {
						if s.group == p.group {
							convWeights(p.width, table, x[s.at:], s.delta, panel, dw[(tap.row+s.first)*g.total+p.at:], g.total, s.rows)
						}
					}
				}
			}
		}
	}
}

// packX returns the samples in strips, or with a border.
func (g *convGradient[T]) packX(dst, x []T, images int, panels []convPanel) []T {
	c := g.c
	switch {
	case g.bordered:
		row := (c.Width + 2*c.Pad) * c.In
		for i := range images {
			to := dst[i*g.borderedSize()+c.Pad*row+c.Pad*c.In:]
			from := x[i*c.InputSize():]
			for h := range c.Height {
				copy(to[h*row:h*row+c.Width*c.In], from[h*c.Width*c.In:])
			}
		}
		return dst
	case c.In == stripWidth && g.step == 1:
		return x
	}
	// Strips of the groups that the panels need; whole ones that lie side by side are packed together.
	strips := g.strips
	for strips[0].group < panels[0].group {
		strips = strips[1:]
	}
	for len(strips) > 0 && strips[0].group <= panels[len(panels)-1].group {
		s, together := strips[0], 1
		for together < len(strips) && strips[together].group == s.group && strips[together].rows == s.rows {
			together++
		}
		strips = strips[together:]
		src := x[s.group*g.in+s.first:]
		if g.step == 1 {
			convPack(dst[s.at:], stripWidth, stripWidth*g.images*g.gridH*g.gridW, src, c.In, images*g.gridH*g.gridW, together, s.rows)
			continue
		}
		for i := range images * g.gridH {
			convPack(dst[s.at+i*g.gridW*stripWidth:], stripWidth, stripWidth*g.images*g.gridH*g.gridW,
				src[i/g.gridH*c.InputSize()+i%g.gridH*g.step*c.Width*c.In:], g.step*c.In, g.gridW, together, s.rows)
		}
	}
	return dst
}

// packY returns the panels of dy.
func (g *convGradient[T]) packY(dst, dy []T, images int, panels []convPanel) []T {
	if len(g.panels) == 1 && g.total == g.c.Out {
		return dy
	}
	pixels, from := images*g.pixels, panels[0].at
	for len(panels) > 0 {
		p, together := panels[0], 1
		for together < len(panels) && panels[together].group == p.group && panels[together].width == p.width && panels[together].cols == p.cols {
			together++
		}
		panels = panels[together:]
		convPack(dst[(p.at-from)*pixels:], p.width, p.width*pixels, dy[p.group*g.out+p.first:], g.c.Out, pixels, together, p.cols)
	}
	return dst
}

// sumRows is the number of rows of an item of the summation.
const sumRows = 32

// sum adds the parts, for some rows, in order.
func (g *convGradient[T]) sum(i int) {
	for r := i * sumRows; r < min(g.rows, (i+1)*sumRows); r++ {
		for _, p := range g.panels {
			dst := g.dw[r*g.c.Out+p.group*g.out+p.first:][:p.cols]
			copy(dst, g.parts[r*g.total+p.at:])
			for part := 1; part < g.parted; part++ {
				for q, v := range g.parts[(part*g.rows+r)*g.total+p.at:][:len(dst)] {
					dst[q] += v
				}
			}
		}
	}
}
