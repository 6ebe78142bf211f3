package nn

import (
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

// blockSize is how many numbers one goroutine takes at a time in the loops over all elements.
const blockSize = 1 << 14

// blocks is the number of blocks of n elements.
func blocks(n int) int { return (n + blockSize - 1) / blockSize }

// span is block i of n elements.
func span(i, n int) (lo, hi int) { return i * blockSize, min((i+1)*blockSize, n) }

// columnSums adds the rows of a matrix, which gives the gradient of a bias: every block of rows by itself, then
// the blocks in order.
type columnSums[T Float] struct {
	columns, block int // block: rows
	rows           []T
	partial        []float64 // of every block
	each           func(worker, block int)
}

func newColumnSums[T Float](rows, columns int) *columnSums[T] {
	s := &columnSums[T]{columns: columns, block: max(1, blockSize/columns)}
	s.partial = make([]float64, (rows+s.block-1)/s.block*columns)
	s.each = func(_, i int) {
		size := s.block * columns
		sums := s.partial[i*columns : (i+1)*columns]
		clear(sums)
		kernel.ColumnSums(sums, s.rows[i*size:min((i+1)*size, len(s.rows))])
	}
	return s
}

// write sets sums to those of the given rows.
func (s *columnSums[T]) write(sums, rows []T) {
	s.rows = rows
	size := s.block * s.columns
	n := (len(rows) + size - 1) / size
	parallel.For(n, s.each)
	for j := range sums {
		var sum float64
		for i := range n {
			sum += s.partial[i*s.columns+j]
		}
		sums[j] = T(sum)
	}
}
