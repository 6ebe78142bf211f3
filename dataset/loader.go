package dataset

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/internal/random"
)

// Sampler says how often a row comes in an epoch.
type Sampler int

const (
	Uniform     Sampler = iota // every row once
	Oversample                 // every class as often as the largest: whole rounds of its rows, and for the rest a random part of them
	Undersample                // every class as often as the smallest: a random part of its rows, another one each epoch
)

// LoaderOptions are the settings of a Loader. The zero value of all but Batch hands out the rows in order, as they are.
type LoaderOptions struct {
	Batch    int    // rows of a batch, at least 1
	Seed     uint64 // of order and augmentation
	Shuffle  bool   // another order each epoch
	DropLast bool   // leave out a last batch with fewer rows
	Sampler  Sampler

	// Mean and Std standardise: x = (pixel/255 - Mean) / Std. One number, or one for each channel; nil is 0 and 1.
	// Values are not divided by 255.
	Mean, Std []float64

	Flip bool // mirror left and right with probability 1/2
	Crop int  // surround with that many black pixels, and cut out the old size at a random place; 0 is off
}

// A Loader fills batches. Order and augmentation are functions of seed and epoch alone, so a run can be taken up
// at any batch; bits do not depend on the number of goroutines. A Loader is for one goroutine at a time.
type Loader[T float32 | float64] struct {
	shape   Shape
	classes int
	split   Split
	o       LoaderOptions
	rows    int            // of an epoch
	byClass [][]int32      // rows of each class, for samplers
	scale   []T            // what a pixel or value is multiplied by, by channel
	shift   []T            // and what is then added; this is also what lies around the image
	epoch   int            // whose order is at hand, -1 for none
	order   []int32        // rows of the epoch
	draws   []uint64       // for augmentation, by place in the epoch
	rooms   []room         // by worker
	fill    func(_, b int) // fills block b of the batch below
	batch   struct {       // what Fill works on
		x, tags []T
		labels  []int32
		first   int
		n       int
	}
}

// A room is space for one changed image.
type room struct {
	pixels []uint8
	values []float32
}

// NewLoader makes a loader of rows of a set: set.Train or set.Test.
func NewLoader[T float32 | float64](set *Set, split Split, o LoaderOptions) (*Loader[T], error) {
	l := &Loader[T]{shape: set.Shape, classes: len(set.Classes), split: split, o: o, epoch: -1}
	channels := set.Shape.Channels
	switch {
	case o.Batch < 1:
		return nil, fmt.Errorf("loader: batches of %d rows, expected at least 1", o.Batch)
	case split.Rows == 0:
		return nil, fmt.Errorf("loader: no rows")
	case o.Crop < 0:
		return nil, fmt.Errorf("loader: crop by %d pixels, expected at least 0", o.Crop)
	case len(o.Mean) > 1 && len(o.Mean) != channels || len(o.Std) > 1 && len(o.Std) != channels:
		return nil, fmt.Errorf("loader: %d means and %d deviations for %d channels", len(o.Mean), len(o.Std), channels)
	case o.Sampler != Uniform && split.Labels == nil:
		return nil, fmt.Errorf("loader: oversampling and undersampling go by classes; these rows have tags")
	}
	unit := 1.0
	if split.Pixels != nil {
		unit = 255
	}
	l.scale, l.shift = make([]T, channels), make([]T, channels)
	for c := range channels {
		mean, std := pick(o.Mean, c, 0), pick(o.Std, c, 1)
		if !(std > 0) {
			return nil, fmt.Errorf("loader: deviation %g of channel %d, expected above 0", std, c)
		}
		l.scale[c], l.shift[c] = T(1/(unit*std)), T(-mean/std)
	}
	l.rows = split.Rows
	if o.Sampler != Uniform {
		l.group()
	}
	if l.Batches() == 0 {
		return nil, fmt.Errorf("loader: an epoch of %d rows has no whole batch of %d", l.rows, o.Batch)
	}
	l.order, l.draws = make([]int32, l.rows, l.rows+split.Rows), make([]uint64, l.rows) // sample needs the room behind
	l.fill = l.block
	return l, nil
}

// pick is the number of a channel.
func pick(v []float64, c int, none float64) float64 {
	switch len(v) {
	case 0:
		return none
	case 1:
		return v[0]
	}
	return v[c]
}

// group lists the rows of each class that has any, and sets the length of an epoch.
func (l *Loader[T]) group() {
	byClass := make([][]int32, l.classes)
	for i, c := range l.split.Labels {
		byClass[c] = append(byClass[c], int32(i))
	}
	most, least := 0, l.split.Rows
	for _, rows := range byClass {
		if len(rows) > 0 {
			l.byClass = append(l.byClass, rows)
			most, least = max(most, len(rows)), min(least, len(rows))
		}
	}
	if l.o.Sampler == Oversample {
		l.rows = most * len(l.byClass)
	} else {
		l.rows = least * len(l.byClass)
	}
}

// Batches is the number of batches of an epoch.
func (l *Loader[T]) Batches() int {
	if l.o.DropLast {
		return l.rows / l.o.Batch
	}
	return (l.rows + l.o.Batch - 1) / l.o.Batch
}

// Rows is the number of rows of an epoch, before the last batch is dropped.
func (l *Loader[T]) Rows() int { return l.rows }

// Order is the rows of an epoch in the order in which they come, valid until the next call of Order or Fill.
func (l *Loader[T]) Order(epoch int) []int32 {
	if epoch == l.epoch {
		return l.order
	}
	l.epoch = epoch
	if l.byClass == nil {
		for i := range l.order {
			l.order[i] = int32(i)
		}
	} else {
		l.sample(epoch)
	}
	if l.o.Shuffle {
		r := random.New(l.o.Seed, streamOrder, uint64(epoch))
		r.Shuffle(len(l.order), func(i, j int) { l.order[i], l.order[j] = l.order[j], l.order[i] })
	}
	if l.o.Flip || l.o.Crop > 0 {
		r := random.New(l.o.Seed, streamAugment, uint64(epoch))
		for i := range l.draws {
			l.draws[i] = r.Uint64()
		}
	}
	return l.order
}

// sample takes equally many rows of each class, class by class.
func (l *Loader[T]) sample(epoch int) {
	each := l.rows / len(l.byClass)
	order := l.order[:0]
	r := random.New(l.o.Seed, streamSample, uint64(epoch))
	for _, rows := range l.byClass {
		left := each
		for ; left >= len(rows); left -= len(rows) {
			order = append(order, rows...)
		}
		// The first of a shuffle that is stopped early are a random part.
		part := append(order, rows...)[len(order):]
		for i := range left {
			j := i + r.IntN(len(part)-i)
			part[i], part[j] = part[j], part[i]
		}
		order = append(order, part[:left]...)
	}
}

// blockRows is how many rows of a batch are filled in one piece of work.
const blockRows = 8

// Fill writes batch number batch, 0 to Batches()-1, of an epoch and returns its number of rows n: x gets n x H x W x C values, labels (may
// be nil) n classes, tags (may be nil) n x K of 0 and 1. Rows with tags leave labels alone and the other way
// round. The slices must have room for a whole batch.
func (l *Loader[T]) Fill(x []T, labels []int32, tags []T, epoch, batch int) int {
	l.Order(epoch)
	first := batch * l.o.Batch
	n := min(l.o.Batch, l.rows-first)
	b := &l.batch
	b.x, b.labels, b.tags, b.first, b.n = x[:n*l.shape.Size()], labels, tags, first, n
	for len(l.rooms) < parallel.Workers() {
		l.rooms = append(l.rooms, room{})
	}
	parallel.For((n+blockRows-1)/blockRows, l.fill)
	b.x, b.labels, b.tags = nil, nil, nil
	return n
}

// block fills some rows of the batch.
func (l *Loader[T]) block(worker, block int) {
	b := &l.batch
	size := l.shape.Size()
	for i := block * blockRows; i < min(b.n, (block+1)*blockRows); i++ {
		row := int(l.order[b.first+i])
		x := b.x[i*size : (i+1)*size]
		room := &l.rooms[worker]
		if l.split.Pixels != nil {
			kernel.Standardize(x, augment(l, &room.pixels, l.split.Pixels, row, b.first+i), l.scale, l.shift)
		} else {
			l.convert(x, augment(l, &room.values, l.split.Values, row, b.first+i))
		}
		if b.labels != nil && l.split.Labels != nil {
			b.labels[i] = l.split.Labels[row]
		}
		if b.tags != nil && l.split.Tags != nil {
			for k, tag := range l.split.Tags[row*l.classes : (row+1)*l.classes] {
				b.tags[i*l.classes+k] = T(tag)
			}
		}
	}
}

// augmentation is how far the image moves down and right, and whether it is mirrored.
func (l *Loader[T]) augmentation(draw uint64) (dy, dx int, flip bool) {
	n := uint32(2*l.o.Crop + 1)
	y, _ := bits.Mul32(uint32(draw)>>1<<1, n) // the lowest bit is for the mirror
	x, _ := bits.Mul32(uint32(draw>>32), n)
	return int(y) - l.o.Crop, int(x) - l.o.Crop, l.o.Flip && draw&1 == 1
}

// convert is kernel.Standardize for values.
func (l *Loader[T]) convert(dst []T, src []float32) {
	c := 0
	for i, v := range src {
		dst[i] = T(T(v)*l.scale[c]) + l.shift[c]
		if c++; c == len(l.scale) {
			c = 0
		}
	}
}

// augment is a row of the set as it comes at a place of the epoch: itself, or a changed copy in room.
func augment[T float32 | float64, S uint8 | float32](l *Loader[T], room *[]S, rows []S, row, place int) []S {
	size := l.shape.Size()
	src := rows[row*size : (row+1)*size]
	if l.o.Crop == 0 && !l.o.Flip {
		return src
	}
	dy, dx, flip := l.augmentation(l.draws[place])
	if *room == nil {
		*room = make([]S, size)
	}
	cut(*room, src, l.shape, dy, dx, flip)
	return *room
}

// cut writes an image moved by dy, dx and then mirrored, with 0, which is black, where it has left.
func cut[S uint8 | float32](dst, src []S, shape Shape, dy, dx int, flip bool) {
	h, w, c := shape.Height, shape.Width, shape.Channels
	from, to := max(0, dx), min(w, w+dx) // columns of dst that the image covers
	for y := range h {
		row := dst[y*w*c : (y+1)*w*c]
		if y < dy || y >= h+dy || from >= to {
			clear(row)
			continue
		}
		clear(row[:from*c])
		clear(row[to*c:])
		copy(row[from*c:to*c], src[((y-dy)*w+from-dx)*c:])
		if flip {
			mirrorRow(row, c)
		}
	}
}

// mirrorRow turns a row of pixels round.
func mirrorRow[S uint8 | float32](row []S, channels int) {
	if channels == 1 {
		slices.Reverse(row)
		return
	}
	for i, j := 0, len(row)-channels; i < j; i, j = i+channels, j-channels {
		for k := range channels {
			row[i+k], row[j+k] = row[j+k], row[i+k]
		}
	}
}
