package moments

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// A marshalled state begins with magic, version and kind, and ends with the CRC-32 of all before it. Between
// them are, as little-endian 64-bit words, the shape, the place in the sequence and the ranges held, each with its sums.
const (
	magic   = "COLLAPSR"
	version = 1

	kindState = 1
	kindPass2 = 2
)

// MarshalBinary writes the state, all of it: what is read back takes more rows, and merges as the original would.
// An open block is closed in what is written, so bits are kept where states are written at multiples of BlockRows.
func (s *State) MarshalBinary() ([]byte, error) {
	e := begin(kindState)
	e.ints(int64(s.dim), s.next, s.bad.Count, int64(len(s.bad.First)))
	for _, c := range s.bad.First {
		e.ints(c.Row, int64(c.Column))
		e.floats(c.Value)
	}
	e.ints(int64(len(s.pivot)))
	e.floats(s.pivot...)
	parts := s.forest.parts()
	open := s.open != nil && len(s.open.classes) > 0
	n := int64(len(parts))
	if open {
		n++
	}
	e.ints(n)
	for _, p := range parts {
		e.place(p.at, p.length)
		e.table(p.sum)
	}
	if open {
		e.place(place{0, s.next / BlockRows}, 0)
		e.table(s.open.copy().finish(s.pivot))
	}
	return e.end(), nil
}

// UnmarshalBinary reads what MarshalBinary wrote. It refuses other versions, naming both,
// and data whose check sum or sizes do not fit.
func (s *State) UnmarshalBinary(data []byte) error {
	d, err := open(data, kindState)
	if err != nil {
		return err
	}
	dim, next, bad, cells := d.int(), d.int(), d.int(), d.size(3)
	out := NewShard(int(min(dim, math.MaxInt32)), nil, next)
	out.bad.Count = bad
	for range cells {
		c := Cell{Row: d.int(), Column: int(d.int())}
		c.Value = d.float()
		out.bad.First = append(out.bad.First, c)
	}
	pivot := d.size(1)
	if pivot > 0 {
		out.pivot = make([]float64, pivot)
		d.floats(out.pivot)
	}
	for range d.size(3) {
		at, length := d.place()
		k := d.size(5)
		if d.failed || dim <= 0 || k > 0 && dim > int64(len(d.rest)/(8*2*k)) {
			d.failed = true
			break
		}
		t := newTable(out.dim)
		for range k {
			i, isNew := t.line(d.int())
			if !isNew {
				d.failed = true
				break
			}
			t.count[i], t.zero[i] = d.int(), d.int()
			t.m2[i], t.square[i] = d.float(), d.float()
			if t.count[i] <= 0 {
				d.failed = true
			}
		}
		d.floats(t.mean)
		d.floats(t.unit)
		out.forest.put(part[*table]{at, length, t})
	}
	if d.failed || len(d.rest) > 0 || next < 0 || dim <= 0 || dim > math.MaxInt32 || pivot != 0 && int64(pivot) != dim ||
		pivot == 0 && out.forest.groups != nil {
		return fmt.Errorf("moments: sizes in the state do not fit its length")
	}
	s.dim, s.pivot, s.next, s.bad, s.open = out.dim, out.pivot, out.next, out.bad, nil
	s.forest.waiting, s.forest.groups, s.forest.merge = out.forest.waiting, out.forest.groups, mergeTables
	return nil
}

// MarshalBinary writes the pass, all of it but the plan, of which only a fingerprint is kept.
func (p *Pass2) MarshalBinary() ([]byte, error) {
	e := begin(kindPass2)
	parts := p.forest.parts()
	var open *Sums
	if p.inside { // the worker goes on from where it is: its sums are copied
		open = p.work.peek()
	}
	n := int64(len(parts))
	if open != nil {
		n++
	}
	e.ints(p.plan.fingerprint(), p.next, int64(len(p.plan.Summary.Classes)), int64(p.plan.size()), n)
	for _, part := range parts {
		e.place(part.at, part.length)
		e.sums(part.sum)
	}
	if open != nil {
		e.place(place{0, p.next / BlockRows}, 0)
		e.sums(open)
	}
	return e.end(), nil
}

// UnmarshalBinary reads what MarshalBinary wrote into a pass with the same plan.
func (p *Pass2) UnmarshalBinary(data []byte) error {
	d, err := open(data, kindPass2)
	if err != nil {
		return err
	}
	if p.plan == nil {
		return fmt.Errorf("moments: a second pass is read into one that NewPass2 made")
	}
	if print := d.int(); !d.failed && print != p.plan.fingerprint() {
		return fmt.Errorf("moments: the second pass was made with another plan")
	}
	out := forest[*Sums]{merge: mergeSums}
	next := d.int()
	d.failed = d.failed || d.int() != int64(len(p.plan.Summary.Classes)) || d.int() != int64(p.plan.size())
	for range d.size(3) {
		if d.failed {
			break
		}
		at, length := d.place()
		s := newSums(p.plan)
		d.sums(s)
		out.put(part[*Sums]{at, length, s})
	}
	if d.failed || len(d.rest) > 0 || next < 0 {
		return fmt.Errorf("moments: sizes in the second pass do not fit its length")
	}
	p.next, p.inside, p.forest.waiting, p.forest.groups = next, false, out.waiting, out.groups
	return nil
}

// fingerprint tells plans apart.
func (p *Plan) fingerprint() int64 {
	e := encoder{}
	e.ints(p.Summary.Classes...)
	e.ints(int64(p.Summary.Dim), int64(p.Moments), int64(p.Rank), flag(p.Units), flag(p.Weak), flag(p.Double), flag(p.Exact), flag(p.Whole))
	e.floats(p.Summary.Pivot...)
	e.floats(p.Centre...)
	e.floats(p.Means...)
	e.floats(p.Axes...)
	if l := p.Levels; l != nil {
		e.ints(int64(l.Seed), int64(l.Kept))
		e.floats(l.Scale...)
		inverse, shape := make([]float64, len(l.Used)), make([]float64, len(l.Used))
		for c := range l.Used {
			l.Factors(c, inverse, shape)
			e.floats(inverse...)
			e.floats(shape...)
		}
	}
	if p.Weights != nil {
		e.floats(p.Weights.Centred...)
		e.floats(p.Weights.AtCentre...)
	}
	return int64(crc32.ChecksumIEEE(e.data))
}

func flag(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

type encoder struct{ data []byte }

func begin(kind int64) *encoder {
	e := &encoder{data: []byte(magic)}
	e.ints(version, kind)
	return e
}

func (e *encoder) ints(v ...int64) {
	for _, x := range v {
		e.data = binary.LittleEndian.AppendUint64(e.data, uint64(x))
	}
}

func (e *encoder) floats(v ...float64) {
	e.data = slices.Grow(e.data, 8*len(v))
	for _, x := range v {
		e.data = binary.LittleEndian.AppendUint64(e.data, math.Float64bits(x))
	}
}

func (e *encoder) place(at place, length int) { e.ints(int64(at.level), at.index, int64(length)) }

func (e *encoder) table(t *table) {
	e.ints(int64(len(t.classes)))
	for i, label := range t.classes {
		e.ints(label, t.count[i], t.zero[i])
		e.floats(t.m2[i], t.square[i])
	}
	e.floats(t.mean...)
	e.floats(t.unit...)
}

func (e *encoder) sums(s *Sums) {
	e.ints(s.Rows)
	for _, c := range s.Class {
		e.ints(c.Rows, c.NCCErrors, c.Errors)
		e.floats(c.Scatter, c.UnitScatter)
	}
	e.floats(s.Moments...)
	e.floats(s.Weak...)
	e.ints(s.Disagreements, s.Margin.Class, s.CosMargin.Class)
	e.floats(s.WeakSq, s.Loss, s.Margin.Min, s.Margin.Sum, s.CosMargin.Min, s.CosMargin.Sum, s.MinNorm2, s.MaxNorm2)
	for i := range s.Levels {
		for _, v := range s.Levels[i].fields() {
			e.floats(*v)
		}
	}
	e.ints(int64(len(s.Residuals)))
	for _, r := range s.Residuals {
		e.ints(int64(r.Key), int64(r.Class), int64(len(r.Row)))
		for _, v := range r.Row {
			e.floats(float64(v))
		}
	}
}

func (e *encoder) end() []byte {
	return binary.LittleEndian.AppendUint32(e.data, crc32.ChecksumIEEE(e.data))
}

// decoder reads words; it fails once and then gives zeros.
type decoder struct {
	rest   []byte
	failed bool
}

func open(data []byte, kind int64) (*decoder, error) {
	if len(data) < len(magic)+16+4 || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("moments: not a state of collapsar")
	}
	body := data[:len(data)-4]
	d := &decoder{rest: body[len(magic):]}
	if v := d.int(); v != version {
		return nil, fmt.Errorf("moments: state of version %d, this program reads version %d", v, version)
	}
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(data[len(body):]) {
		return nil, fmt.Errorf("moments: check sum of the state does not match: the data are damaged")
	}
	if k := d.int(); k != kind {
		return nil, fmt.Errorf("moments: state of kind %d where kind %d was expected (1: first pass, 2: second pass)", k, kind)
	}
	return d, nil
}

func (d *decoder) int() int64 {
	if len(d.rest) < 8 {
		d.failed = true
		return 0
	}
	v := binary.LittleEndian.Uint64(d.rest)
	d.rest = d.rest[8:]
	return int64(v)
}

func (d *decoder) float() float64 { return math.Float64frombits(uint64(d.int())) }

func (d *decoder) floats(dst []float64) {
	for i := range dst {
		dst[i] = d.float()
	}
}

// size reads a number of items of at least so many words each, as many as there can be.
func (d *decoder) size(words int) int {
	n := d.int()
	if n < 0 || n > int64(len(d.rest)/8/words) {
		d.failed = true
		return 0
	}
	return int(n)
}

func (d *decoder) place() (at place, length int) {
	level, index, n := d.int(), d.int(), d.int()
	if level < 0 || level > maxLevel || index < 0 || n < 0 || n > fanOut {
		d.failed = true
	}
	return place{uint8(level), index}, int(n)
}

func (d *decoder) sums(s *Sums) {
	s.Rows = d.int()
	for i := range s.Class {
		c := &s.Class[i]
		c.Rows, c.NCCErrors, c.Errors = d.int(), d.int(), d.int()
		c.Scatter, c.UnitScatter = d.float(), d.float()
	}
	d.floats(s.Moments)
	d.floats(s.Weak)
	s.Disagreements, s.Margin.Class, s.CosMargin.Class = d.int(), d.int(), d.int()
	for _, v := range []*float64{&s.WeakSq, &s.Loss, &s.Margin.Min, &s.Margin.Sum, &s.CosMargin.Min, &s.CosMargin.Sum, &s.MinNorm2, &s.MaxNorm2} {
		*v = d.float()
	}
	for i := range s.Levels {
		for _, v := range s.Levels[i].fields() {
			*v = d.float()
		}
	}
	for range d.size(3) {
		r := Residual{Key: uint64(d.int()), Class: int32(d.int())}
		r.Row = make([]float32, d.size(1))
		for i := range r.Row {
			r.Row[i] = float32(d.float())
		}
		s.Residuals = append(s.Residuals, r)
	}
}
