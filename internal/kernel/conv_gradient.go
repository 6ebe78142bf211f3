package kernel

import "github.com/collapsar/collapsar/internal/parallel"

// The gradient for the weights is, for each tap, a product: rows of input channels by columns of
// output channels, contracted over the pixels of all samples at which the tap lies inside the input.
// Pixels are taken from a table, as in the other passes. dy is packed into panels; x is read where it
// lies, unless there are so few channels that a tile wants the rows of several taps: then the sample
// is copied with its border of zeros, and all taps see all pixels.

// A convJob is rows of the gradient that see the same pixels.
type convJob struct {
	row    int     // the first row of the gradient: tap times channels of a group
	rows   int     //
	delta  []int32 // place of each row in x, the last repeated for incomplete tiles
	pixels int     // in one sample
	table  []int32 // for the samples of a block, for each pixel: its place in x, and 8 times that in dy
}

// convChunk is the largest number of pixels in one call of a tile: a panel of so many stays in the
// first-level cache while all rows pass over it.
const convChunk = 256

// convGradient is the pass that forms the gradient for the weights.
type convGradient[T float] struct {
	c        Conv
	in, out  int // channels of a group
	jobs     []convJob
	sets     int // into which jobs are divided
	panels   []convPanel
	total    int // sum of their widths
	images   int // samples of a block
	pixels   int // of dy in one sample
	bordered bool

	parts   []T // gradients of groups of samples
	scratch []convScratch[T]

	// The call in progress, for the loop bodies, which are made once.
	dw, x, dy           []T
	n, parted, ranges   int
	direct              bool // dw is the only part
	products, summation func(worker, i int)
}

// convScratch is the space of one worker.
type convScratch[T float] struct{ x, dy []T }

func newConvGradient[T float](c Conv, rows int) *convGradient[T] {
	g := &convGradient[T]{c: c, in: c.In / c.Groups, out: c.Out / c.Groups, pixels: c.OutH() * c.OutW()}
	g.panels, g.total = convPanels(c.Groups, g.out, convWidths[T]())
	g.images = max(1, min(rows, convChunk/g.pixels))
	g.bordered = g.in < 4 && c.KernelH*c.KernelW > 1
	if g.bordered {
		g.sets = 1
		g.jobs = []convJob{g.borderedJob()}
	} else {
		g.sets = c.KernelH
		for r := range c.KernelH {
			for s := range c.KernelW {
				g.jobs = append(g.jobs, g.tapJob(r, s))
			}
		}
	}
	g.parts = make([]T, g.partsOf(rows)*c.KernelH*c.KernelW*g.in*g.total)
	g.products = g.product
	g.summation = func(_, i int) { g.sum(i) }
	return g
}

// partsOf is the number of groups into which n samples are divided, each with a gradient of its own.
// It decides the order of summation, so it depends on the shape alone.
func (g *convGradient[T]) partsOf(n int) int {
	return max(1, min(8, n, 1<<20/(g.c.KernelH*g.c.KernelW*g.in*g.total), n*g.pixels/512))
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

// tapJob is the rows of one tap.
func (g *convGradient[T]) tapJob(r, s int) convJob {
	c := g.c
	j := convJob{row: (r*c.KernelW + s) * g.in, rows: g.in, delta: convDeltas(g.in, func(i int) int { return i })}
	for image := range g.images {
		for o := range c.OutH() {
			for p := range c.OutW() {
				h, w := o*c.Stride+r-c.Pad, p*c.Stride+s-c.Pad
				if h >= 0 && w >= 0 && h < c.Height && w < c.Width {
					j.table = append(j.table, int32(image*c.InputSize()+(h*c.Width+w)*c.In), int32(8*(image*g.pixels+o*c.OutW()+p)))
				}
			}
		}
	}
	j.pixels = len(j.table) / 2 / g.images
	return j
}

// borderedJob is the rows of all taps, for samples with a border.
func (g *convGradient[T]) borderedJob() convJob {
	c := g.c
	row := (c.Width + 2*c.Pad) * c.In
	j := convJob{rows: c.KernelH * c.KernelW * g.in, pixels: g.pixels}
	j.delta = convDeltas(j.rows, func(i int) int {
		tap := i / g.in
		return tap/c.KernelW*row + tap%c.KernelW*c.In + i%g.in
	})
	for image := range g.images {
		for o := range c.OutH() {
			for p := range c.OutW() {
				j.table = append(j.table, int32(image*g.borderedSize()+o*c.Stride*row+p*c.Stride*c.In), int32(8*(image*g.pixels+o*c.OutW()+p)))
			}
		}
	}
	return j
}

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
		s := convScratch[T]{dy: make([]T, g.images*g.pixels*g.total)}
		if g.bordered {
			s.x = make([]T, g.images*g.borderedSize())
		}
		g.scratch = append(g.scratch, s)
	}
	g.parted = g.partsOf(n)
	g.direct = g.parted == 1 && g.total == g.c.Out
	g.ranges = 1
	for g.parted*g.sets*g.ranges < 8*parallel.Workers() && 2*g.ranges <= len(g.panels) {
		g.ranges *= 2
	}
	parallel.For(g.parted*g.sets*g.ranges, g.products)
	if !g.direct {
		parallel.For((g.c.KernelH*g.c.KernelW*g.in+sumRows-1)/sumRows, g.summation)
	}
	g.dw, g.x, g.dy = nil, nil, nil
}

// product forms some panels of the gradient of some taps, for one group of samples.
func (g *convGradient[T]) product(worker, i int) {
	part, rest := i/(g.sets*g.ranges), i%(g.sets*g.ranges)
	set, columns := rest/g.ranges, rest%g.ranges
	size := g.c.KernelH * g.c.KernelW * g.in * g.total
	dw := g.dw
	if !g.direct {
		dw = g.parts[part*size : (part+1)*size]
	}
	panels := g.panels[columns*len(g.panels)/g.ranges : (columns+1)*len(g.panels)/g.ranges]
	jobs := g.jobs[set*len(g.jobs)/g.sets : (set+1)*len(g.jobs)/g.sets]
	from, to := panels[0].at, panels[len(panels)-1].at+panels[len(panels)-1].width
	for _, j := range jobs {
		for r := j.row; r < j.row+j.rows; r++ {
			clear(dw[r*g.total+from : r*g.total+to])
		}
	}
	scratch := g.scratch[worker]
	last := (part + 1) * g.n / g.parted
	for first := part * g.n / g.parted; first < last; first += g.images {
		images := min(g.images, last-first)
		pixels := images * g.pixels
		for _, p := range panels {
			convCopy(scratch.dy[(p.at-from)*pixels:], p.width, g.dy[first*g.c.OutputSize()+p.group*g.out+p.first:], g.c.Out, pixels, p.cols)
		}
		x := g.x[first*g.c.InputSize():]
		if g.bordered {
			g.border(scratch.x, x, images)
			x = scratch.x
		}
		for _, j := range jobs {
			count := images * j.pixels
			chunks := (count + convChunk - 1) / convChunk
			for chunk := range chunks {
				table := j.table[2*(chunk*count/chunks) : 2*((chunk+1)*count/chunks)]
				for _, p := range panels {
					g.tiles(&j, p, table, dw[j.row*g.total+p.at:], x[p.group*g.in:], scratch.dy[(p.at-from)*pixels:])
				}
			}
		}
	}
}

// tiles adds the products of the pixels of a table to the rows of a job, for one panel.
func (g *convGradient[T]) tiles(j *convJob, p convPanel, table []int32, dw, x, dy []T) {
	six, five, four := convPieces(j.rows)
	row := 0
	for i := range six + five + four {
		mr := 6
		if i >= six+five {
			mr = 4
		} else if i >= six {
			mr = 5
		}
		if row >= j.rows {
			break
		}
		convWeights(p.width, mr, table, x, j.delta[row:], dy, dw[row*g.total:], g.total, min(mr, j.rows-row))
		row += mr
	}
}

// border copies samples of x into the middle of zeros. The border itself is never written.
func (g *convGradient[T]) border(dst, x []T, images int) {
	c := g.c
	row := (c.Width + 2*c.Pad) * c.In
	for i := range images {
		to := dst[i*g.borderedSize()+c.Pad*row+c.Pad*c.In:]
		from := x[i*c.InputSize():]
		for h := range c.Height {
			copy(to[h*row:h*row+c.Width*c.In], from[h*c.Width*c.In:])
		}
	}
}

// sumRows is the number of rows of an item of the summation.
const sumRows = 32

// sum adds the parts, for some rows, in order.
func (g *convGradient[T]) sum(i int) {
	rows := g.c.KernelH * g.c.KernelW * g.in
	size := rows * g.total
	for r := i * sumRows; r < min(rows, (i+1)*sumRows); r++ {
		for _, p := range g.panels {
			dst := g.dw[r*g.c.Out+p.group*g.out+p.first:][:p.cols]
			copy(dst, g.parts[r*g.total+p.at:])
			for part := 1; part < g.parted; part++ {
				for q, v := range g.parts[part*size+r*g.total+p.at:][:len(dst)] {
					dst[q] += v
				}
			}
		}
	}
}
