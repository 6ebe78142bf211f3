package kernel

import "sync"

// A scratch is a buffer that is kept between calls, so that steady work allocates nothing.
type scratch[T float] struct{ s []T }

var (
	scratch32 = sync.Pool{New: func() any { return new(scratch[float32]) }}
	scratch64 = sync.Pool{New: func() any { return new(scratch[float64]) }}
)

func poolOf[T float]() *sync.Pool {
	var zero T
	if _, ok := any(zero).(float32); ok {
		return &scratch32
	}
	return &scratch64
}

// take returns a buffer of at least n elements with arbitrary contents.
func take[T float](n int) *scratch[T] {
	b := poolOf[T]().Get().(*scratch[T])
	if cap(b.s) < n {
		b.s = make([]T, n)
	}
	b.s = b.s[:n]
	return b
}

// give hands a buffer back.
func give[T float](b *scratch[T]) { poolOf[T]().Put(b) }
