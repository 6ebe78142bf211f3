package array

import (
	"errors"
	"io"
	"math"
	"math/bits"
	"sync"
	"unsafe"
)

// Options are the settings that every format's Open takes.
type Options struct {
	// Memory is the budget in bytes for what a reader has to hold at once because of what the
	// file declares (headers, an array that cannot be read by rows). 0 means DefaultMemory.
	Memory int64

	// Tables (CSV and Parquet) put their columns together by these; other formats ignore them.
	Features     string // the list column that holds the features, "" finds it
	Labels       string // the column that holds the labels, "" finds it
	LabelColumns string // "first:L" or "last:L": that many columns are the tags of a multi-label table
	TagSeparator string // what stands between the tags of a cell of CSV; "" for ; and |
}

// DefaultMemory is the budget when none is given.
const DefaultMemory = 1 << 30

// Budget is Memory or its default.
func (o Options) Budget() int64 {
	if o.Memory > 0 {
		return o.Memory
	}
	return DefaultMemory
}

// Layout says how the elements of an array lie in its bytes.
type Layout struct {
	BigEndian bool
	Strides   []int // in elements, one for each axis, none negative; nil for C order
}

// Fortran is the strides of an array stored column by column.
func Fortran(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i, d := range shape {
		s[i], n = n, n*d
	}
	return s
}

// At is an array whose bytes can be read at any place, the first element at offset. The caller
// has checked that the layout stays inside r.
func At(info Info, r io.ReaderAt, offset int64, l Layout) Array {
	strides := l.Strides
	if len(info.Shape) == 0 || len(info.Shape) == 1 && strides != nil && strides[0] == 1 {
		strides = nil
	}
	return &stored{info, r, offset, l.BigEndian != hostBigEndian, strides, true}
}

// Stream is an array in C order whose bytes come from a stream, e.g. an inflating one. The stream
// must hold the data of the array and nothing else; it is read to its end with the last row, so
// that a check sum kept there is compared.
func Stream(info Info, bigEndian bool, open func() (io.ReadCloser, error)) Array {
	size, _ := info.Bytes()
	return &stored{info, &forward{open: open, size: size}, 0, bigEndian != hostBigEndian, nil, false}
}

// Reinterpret is the array with its elements taken as another type of the same size: uint16 as
// bfloat16. It reports false for arrays that are not bytes of a file.
func Reinterpret(a Array, t DType) (Array, bool) {
	s, ok := a.(*stored)
	if !ok || s.info.DType.Size() != t.Size() {
		return nil, false
	}
	c := *s
	c.info.DType = t
	return &c, true
}

// Bytes is the size of the array's data; it reports false if the number does not fit an int64, or
// if an axis is negative.
func (a Info) Bytes() (int64, bool) {
	n, zero := uint64(max(1, a.DType.Size())), false
	for _, d := range a.Shape {
		if d < 0 {
			return 0, false
		}
		if d == 0 { // the others must not overflow all the same: Width multiplies them
			zero = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, false
		}
		n = lo
	}
	if zero {
		return 0, true
	}
	return int64(n), true
}

// ReadFull fills p from offset on; a file that ends before is Truncated.
func ReadFull(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) && (err == nil || err == io.EOF) {
		return nil
	}
	return readError(err, offset+int64(n))
}

func readError(err error, offset int64) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return err
	case err == nil, err == io.EOF, err == io.ErrUnexpectedEOF:
		return Errorf(Truncated, "", "the data end at byte %d, more were declared", offset)
	}
	e := Errorf(Unreadable, "", "reading at byte %d: %v", offset, err)
	e.Err = err
	return e
}

// stored is an array decoded from bytes on demand.
type stored struct {
	info    Info
	r       io.ReaderAt
	offset  int64
	swap    bool
	strides []int // nil for C order
	random  bool
}

func (a *stored) Info() Info   { return a.info }
func (a *stored) Random() bool { return a.random }

func (a *stored) Float32s(dst []float32, lo int) error { return read(a, dst, lo, Float32, toFloat32) }
func (a *stored) Float64s(dst []float64, lo int) error { return read(a, dst, lo, Float64, toFloat64) }
func (a *stored) Int64s(dst []int64, lo int) error     { return read(a, dst, lo, Int64, toInt64) }

// Bytes fills dst with whole rows from row lo on as they are stored, where elements are single bytes that lie in C order and can be
// read at any place; it reports false for other arrays.
func Bytes(a Array, dst []byte, lo int) (ok bool, err error) {
	s, ok := a.(*stored)
	if !ok || !s.random || s.strides != nil || s.info.DType.Size() != 1 {
		return false, nil
	}
	return true, read(s, dst, lo, s.info.DType, nil)
}

// A block is the unit of decoding: it stays in the cache between reading and converting. It is
// made of words so that every element type is aligned.
const blockLen = 1 << 14

type block [blockLen]uint64

var blocks = sync.Pool{New: func() any { return new(block) }}

type element interface {
	int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64 | float32 | float64
}

func (b *block) bytes() []byte { return unsafe.Slice((*byte)(unsafe.Pointer(b)), len(b)*8) }

// view is the slice's memory as elements of another type; the caller knows it to be aligned.
func view[T element](raw []byte) []T {
	var t T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(raw))), len(raw)/int(unsafe.Sizeof(t)))
}

func rawBytes[T element](v []T) []byte {
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(t)))
}

// A decoder converts the elements in raw, which are in the byte order of the host, and returns the
// index of the first that the destination cannot hold, or -1.
type decoder[T element] func(dst []T, raw []byte, t DType) int

// read fills dst with whole rows; same is the stored type that needs no conversion.
func read[T element](a *stored, dst []T, lo int, same DType, decode decoder[T]) error {
	if err := a.info.check(len(dst), lo); err != nil || len(dst) == 0 {
		return err
	}
	if a.strides != nil {
		return gather(a, dst, lo, decode)
	}
	size := a.info.DType.Size()
	offset := a.offset + int64(lo)*int64(a.info.Width())*int64(size)
	if a.info.DType == same {
		raw := rawBytes(dst)
		err := ReadFull(a.r, raw, offset)
		if a.swap {
			swap(raw, size)
		}
		return Locate(err, "", a.info.Name)
	}
	b := blocks.Get().(*block)
	defer blocks.Put(b)
	for done := 0; done < len(dst); {
		n := min(len(dst)-done, blockLen)
		raw := b.bytes()[:n*size]
		if err := ReadFull(a.r, raw, offset); err != nil {
			return Locate(err, "", a.info.Name)
		}
		if a.swap {
			swap(raw, size)
		}
		if bad := decode(dst[done:done+n], raw, a.info.DType); bad >= 0 {
			return a.info.notInteger(lo, done+bad, raw[bad*size:])
		}
		done += n
		offset += int64(len(raw))
	}
	return nil
}

// gather reads rows of an array that is not in C order: runs along the axis whose elements lie
// closest together, once for every index of the other axes. Runs that are neighbours on the last
// axis are decoded together, so that whole cache lines are written.
func gather[T element](a *stored, dst []T, lo int, decode decoder[T]) error {
	shape := append([]int(nil), a.info.Shape...)
	shape[0] = len(dst) / a.info.Width()
	last := len(shape) - 1
	to := make([]int, len(shape)) // strides in dst
	for i, n := last, 1; i >= 0; i-- {
		to[i], n = n, n*shape[i]
	}
	run := last
	for i, s := range a.strides {
		if shape[i] > 1 && s > 0 && (shape[run] == 1 || a.strides[run] == 0 || s < a.strides[run]) {
			run = i
		}
	}
	n, stride, toStride := shape[run], a.strides[run], to[run]
	shape[run] = 1
	tile, span := 1, 1 // runs decoded together, and how much of them
	if stride > 0 {
		span = (blockLen-1)/stride + 1
	}
	if run != last {
		tile = 16
		span = min(span, blockLen/tile)
	}

	b, c := blocks.Get().(*block), blocks.Get().(*block)
	defer func() { blocks.Put(b); blocks.Put(c) }()
	size := a.info.DType.Size()
	index := make([]int, len(shape))
	from, at := int64(lo)*int64(a.strides[0]), 0
	for {
		k := min(tile, shape[last]-index[last])
		for done := 0; done < n; {
			m := min(n-done, span)
			part := view[T](c.bytes())[:k*m]
			for j := range k {
				raw := b.bytes()[:((m-1)*stride+1)*size]
				first := from + int64(done)*int64(stride) + int64(j)*int64(a.strides[last])
				if err := ReadFull(a.r, raw, a.offset+first*int64(size)); err != nil {
					return Locate(err, "", a.info.Name)
				}
				if stride > 1 {
					raw = pack(raw, size, stride, m)
				}
				if a.swap {
					swap(raw, size)
				}
				if bad := decode(part[j*m:(j+1)*m], raw, a.info.DType); bad >= 0 {
					return a.info.notInteger(lo, at+(done+bad)*toStride+j, raw[bad*size:])
				}
			}
			for i := range m {
				row := dst[at+(done+i)*toStride:][:k]
				for j := range row {
					row[j] = part[j*m+i]
				}
			}
			done += m
		}
		step := k
		i := last
		for ; i >= 0; i-- {
			index[i] += step
			from += int64(step) * int64(a.strides[i])
			at += step * to[i]
			if index[i] < shape[i] {
				break
			}
			from -= int64(index[i]) * int64(a.strides[i])
			at -= index[i] * to[i]
			index[i] = 0
			step = 1
		}
		if i < 0 {
			return nil
		}
	}
}

// pack moves every stride-th of the elements to the front.
func pack(raw []byte, size, stride, n int) []byte {
	for i := 1; i < n; i++ {
		copy(raw[i*size:(i+1)*size], raw[i*stride*size:])
	}
	return raw[:n*size]
}

// check refuses rows that the array does not have.
func (a Info) check(n, lo int) error {
	w := a.Width()
	if w == 0 && n == 0 || w > 0 && n%w == 0 && lo >= 0 && lo <= a.Rows() && n/w <= a.Rows()-lo {
		return nil
	}
	return Errorf(Inconsistent, a.Name, "%d elements from row %d on were asked for, the array is %s", n, lo, a)
}

// forward lets a stream be read as if at any place: forward by skipping, backward from the start.
type forward struct {
	open func() (io.ReadCloser, error)
	size int64

	mu   sync.Mutex
	rc   io.ReadCloser
	next int64
}

func (f *forward) ReadAt(p []byte, offset int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.read(p, offset)
	if err != nil || f.next == f.size {
		f.stop()
	}
	return n, err
}

func (f *forward) read(p []byte, offset int64) (int, error) {
	if f.rc != nil && offset < f.next {
		f.stop()
	}
	if f.rc == nil {
		rc, err := f.open()
		if err != nil {
			return 0, err
		}
		f.rc, f.next = rc, 0
	}
	if offset > f.next {
		n, err := io.CopyN(io.Discard, f.rc, offset-f.next)
		f.next += n
		if err != nil {
			return 0, err
		}
	}
	n, err := io.ReadFull(f.rc, p)
	f.next += int64(n)
	if err != nil || f.next < f.size {
		return n, err
	}
	var one [1]byte
	switch m, err := io.ReadFull(f.rc, one[:]); {
	case m > 0:
		return 0, Errorf(Malformed, "", "data go on after the %d bytes that were declared", f.size)
	case err != io.EOF:
		return 0, err
	}
	return n, nil
}

func (f *forward) stop() {
	if f.rc != nil {
		f.rc.Close()
	}
	f.rc, f.next = nil, 0
}
