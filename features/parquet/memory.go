package parquet

import (
	"math/bits"
	"sync"
)

// memory lends buffers for pages to the columns of an array, and never more than a budget.
type memory struct {
	budget int64

	mu   sync.Mutex
	held int64 // lent and free
	free [][]byte
}

// get lends n bytes, or nil if that is more than there may be.
func (m *memory) get(n int64) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	best := -1
	for i, b := range m.free {
		if int64(cap(b)) >= n && (best < 0 || cap(b) < cap(m.free[best])) {
			best = i
		}
	}
	if best >= 0 {
		b := m.free[best]
		m.free = append(m.free[:best], m.free[best+1:]...)
		return b[:n]
	}
	for n > m.budget-m.held && len(m.free) > 0 {
		last := len(m.free) - 1
		m.held -= int64(cap(m.free[last]))
		m.free = m.free[:last]
	}
	if n > m.budget-m.held {
		return nil
	}
	size := int64(1) << max(10, bits.Len64(uint64(n-1))) // so that pages a little larger do not each need a buffer
	if size > m.budget-m.held {
		size = n
	}
	m.held += size
	return make([]byte, n, size)
}

// put takes a buffer back.
func (m *memory) put(b []byte) {
	if cap(b) > 0 {
		m.mu.Lock()
		m.free = append(m.free, b)
		m.mu.Unlock()
	}
}
