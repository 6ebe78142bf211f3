package dataset

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/internal/random"
)

// Composite says how images of several classes are put into one frame of twice their height and width, so that a sample has
// several tags (Li et al. 2023). Every set of m different classes gets the same number of samples, for each m that is named.
type Composite struct {
	// Train and Test are the samples of each tag set, by the number of its tags, 1 to 4 ("quarters") or 1 to 3 ("corners").
	// Training frames are made of training images only, and test frames of test images.
	Train map[int]int `json:"train" yaml:"train"`
	Test  map[int]int `json:"test,omitempty" yaml:"test,omitempty"`

	// Ratio makes the training tag sets of a size unequal: their counts fall geometrically, in the order of their tags, from
	// that of Train down to that divided by the ratio (and to 1 at least). Sizes that are not named stay equal.
	Ratio map[int]float64 `json:"ratio,omitempty" yaml:"ratio,omitempty"`

	// Layout is "quarters" (the default): every image goes to a quarter of the frame of its own, drawn at random, and is moved right
	// and down; what passes an edge of the frame comes in at the other one. Or "corners": the first class stands in the corner at the top
	// left, the second in the opposite one, the third at the top right, all moved towards the middle.
	Layout string `json:"layout,omitempty" yaml:"layout,omitempty"`

	Shift int    `json:"shift" yaml:"shift"` // an image is moved by 0 to so many pixels, in both directions
	Halve bool   `json:"halve" yaml:"halve"` // frames shrink to the size of the images, by means of 2 x 2 pixels
	Seed  uint64 `json:"seed" yaml:"seed"`
}

// streamComposite is the stream of randomness of Composite; split, tag set and sample follow.
const streamComposite = 0x636f6d70

// Make puts the images of a set together. Frames of bytes are bytes, or where they shrink numbers from 0 to 1; those of numbers are
// numbers, none below that of the empty ground, 0. They stand in the order of their tag sets: by size, and then by their tags.
// The same seed gives the same frames, whatever else is made.
func (c Composite) Make(s *Set) (*Set, error) {
	most := 4
	switch c.Layout {
	case "", "quarters":
	case "corners":
		most = 3
	default:
		return nil, fmt.Errorf("composite: layout %q, expected quarters or corners", c.Layout)
	}
	if s.Train.Labels == nil {
		return nil, fmt.Errorf("composite: data set %s: one class a row is expected", s.Name)
	}
	if c.Shift < 0 || c.Shift >= max(1, min(s.Shape.Height, s.Shape.Width)) {
		return nil, fmt.Errorf("composite: shift %d, expected 0 to %d", c.Shift, min(s.Shape.Height, s.Shape.Width)-1)
	}
	if len(c.Train) == 0 {
		return nil, fmt.Errorf("composite: no numbers of samples, expected some for 1 to %d tags", most)
	}
	for m, r := range c.Ratio {
		if _, ok := c.Train[m]; !ok || !(r >= 1) || math.IsInf(r, 0) {
			return nil, fmt.Errorf("composite: ratio %v of tag sets of %d, expected a number from 1 on, of a size that train names", r, m)
		}
	}
	shape := Shape{2 * s.Shape.Height, 2 * s.Shape.Width, s.Shape.Channels}
	if c.Halve {
		shape = s.Shape
	}
	out := &Set{Name: s.Name + "-composite", Shape: shape, Classes: s.Classes}
	for i, part := range []struct {
		name   string
		counts map[int]int
		from   *Split
		to     *Split
	}{{"train", c.Train, &s.Train, &out.Train}, {"test", c.Test, &s.Test, &out.Test}} {
		ratio := c.Ratio
		if i == 1 {
			ratio = nil
		}
		sets, err := tagSets(len(s.Classes), most, part.counts, ratio)
		if err != nil {
			return nil, fmt.Errorf("composite: %s: %w", part.name, err)
		}
		byClass := make([][]int32, len(s.Classes))
		for row, class := range part.from.Labels {
			byClass[class] = append(byClass[class], int32(row))
		}
		for _, t := range sets {
			for _, k := range t.tags {
				if len(byClass[k]) == 0 {
					return nil, fmt.Errorf("composite: %s: class %s has no image", part.name, s.Classes[k])
				}
			}
		}
		c.fill(part.to, part.from, s, shape, sets, byClass, uint64(i))
	}
	return out, nil
}

// tagSet is a set of tags with its samples.
type tagSet struct {
	tags  []int
	count int
}

// tagSets lists the sets of 1 to most of k tags, by size and then by their tags.
func tagSets(k, most int, counts map[int]int, ratio map[int]float64) (sets []tagSet, err error) {
	const limit = 10_000_000
	total := 0
	for _, m := range slices.Sorted(maps.Keys(counts)) {
		if m < 1 || m > min(most, k) || counts[m] < 1 {
			return nil, fmt.Errorf("%d samples of each set of %d tags, expected at least 1 of 1 to %d tags", counts[m], m, min(most, k))
		}
		first := len(sets)
		tags := make([]int, m)
		for i := range tags {
			tags[i] = i
		}
		for ok := true; ok; ok = next(tags, k) {
			if total += counts[m]; total > limit || counts[m] > limit {
				return nil, fmt.Errorf("more than %d samples of sets of %d of %d tags", limit, m, k)
			}
			sets = append(sets, tagSet{slices.Clone(tags), counts[m]})
		}
		if r := ratio[m]; r > 1 && len(sets)-first > 1 {
			n := float64(len(sets) - first - 1)
			for i := first; i < len(sets); i++ {
				sets[i].count = max(1, int(math.Round(float64(counts[m])*math.Pow(r, -float64(i-first)/n))))
			}
		}
	}
	return sets, nil
}

// next is the following subset of 0..k-1 of the same size, in the order of the tags; false after the last.
func next(tags []int, k int) bool {
	m := len(tags)
	i := m - 1
	for i >= 0 && tags[i] == k-m+i {
		i--
	}
	if i < 0 {
		return false
	}
	tags[i]++
	for j := i + 1; j < m; j++ {
		tags[j] = tags[j-1] + 1
	}
	return true
}

// fill makes the frames of a split.
func (c *Composite) fill(to, from *Split, s *Set, shape Shape, sets []tagSet, byClass [][]int32, split uint64) {
	k := len(s.Classes)
	p := plan{c, s.Shape, sets, nil, byClass, split}
	for _, t := range sets {
		p.first = append(p.first, to.Rows)
		to.Rows += t.count
	}
	to.Tags = make([]uint8, to.Rows*k)
	for i, t := range sets {
		for row := p.first[i]; row < p.first[i]+t.count; row++ {
			for _, tag := range t.tags {
				to.Tags[row*k+tag] = 1
			}
		}
	}
	size := to.Rows * shape.Size()
	switch {
	case from.Values == nil && c.Halve:
		to.Values = make([]float32, size)
		draw(&p, from.Pixels, nil, to.Values, 255)
	case from.Values == nil:
		to.Pixels = make([]uint8, size)
		draw(&p, from.Pixels, to.Pixels, nil, 255)
	case c.Halve:
		to.Values = make([]float32, size)
		draw(&p, from.Values, nil, to.Values, 1)
	default:
		to.Values = make([]float32, size)
		draw(&p, from.Values, to.Values, nil, 1)
	}
}

// plan is what the frames of a split are made by.
type plan struct {
	*Composite
	shape   Shape // of an image
	sets    []tagSet
	first   []int // row of each of them
	byClass [][]int32
	split   uint64
}

// draw makes all frames of a plan out of images: in their full size, or else shrunk, and divided by the unit.
func draw[P uint8 | float32](p *plan, images, full []P, shrunk []float32, unit float32) {
	size := p.shape.Size()
	scratch := make([][]P, parallel.Workers())
	parallel.For(len(p.sets), func(w, i int) {
		for j := range p.sets[i].count {
			row := p.first[i] + j
			if full != nil {
				compose(p, full[row*4*size:(row+1)*4*size], images, i, j)
				continue
			}
			if scratch[w] == nil {
				scratch[w] = make([]P, 4*size)
			}
			clear(scratch[w])
			compose(p, scratch[w], images, i, j)
			halve(shrunk[row*size:(row+1)*size], scratch[w], p.shape, unit)
		}
	})
}

// compose draws frame j of a tag set: the larger value where images overlap.
func compose[P uint8 | float32](p *plan, frame, images []P, set, j int) {
	rng := random.New(p.Seed, streamComposite, p.split, uint64(set), uint64(j))
	h, w, ch := p.shape.Height, p.shape.Width, p.shape.Channels
	quarters := [...]int{0, 3, 1, 2} // opposite corners first
	if p.Layout != "corners" {
		rng.Shuffle(len(quarters), func(i, j int) { quarters[i], quarters[j] = quarters[j], quarters[i] })
	}
	for i, tag := range p.sets[set].tags {
		of := p.byClass[tag]
		image := images[int(of[rng.IntN(len(of))])*h*w*ch:][:h*w*ch]
		dy, dx := rng.IntN(p.Shift+1), rng.IntN(p.Shift+1)
		top, left := h*(quarters[i]/2), w*(quarters[i]%2)
		if p.Layout == "corners" {
			if top > 0 {
				dy = -dy
			}
			if left > 0 {
				dx = -dx
			}
		}
		for y := range h {
			fy := (top + y + dy) % (2 * h)
			for x := range w {
				at := (fy*2*w + (left+x+dx)%(2*w)) * ch
				for z, v := range image[(y*w+x)*ch : (y*w+x+1)*ch] {
					frame[at+z] = max(frame[at+z], v)
				}
			}
		}
	}
}

// halve writes means of 2 x 2 pixels, divided by the unit.
func halve[P uint8 | float32](dst []float32, frame []P, shape Shape, unit float32) {
	w, ch := shape.Width, shape.Channels
	for y := range shape.Height {
		for x := range w {
			for z := range ch {
				a := (2*y*2*w+2*x)*ch + z
				b := a + 2*w*ch
				sum := float32(frame[a]) + float32(frame[a+ch]) + float32(frame[b]) + float32(frame[b+ch])
				dst[(y*w+x)*ch+z] = sum / (4 * unit)
			}
		}
	}
}
