package geometry

import (
	"math"
	"math/bits"
	"slices"
)

// A Polytope is a regular arrangement of K directions.
type Polytope uint8

// The polytopes that have one for every dimension (Pernici et al. 2021).
const (
	Simplex   Polytope = iota // any K: all cosines -1/(K-1)
	Orthoplex                 // even K >= 4: vertices +-e_j
	Cube                      // K = 2^m >= 4: vertices (+-1, ..., +-1)
)

// Exists reports whether the polytope has k vertices.
func (p Polytope) Exists(k int) bool {
	switch p {
	case Orthoplex:
		return k >= 4 && k%2 == 0
	case Cube:
		return k >= 4 && k&(k-1) == 0
	}
	return k >= 2
}

// row lists the cosines seen from one vertex, in increasing order.
func (p Polytope) row(k int) []float64 {
	row := make([]float64, k-1)
	switch p {
	case Simplex:
		for i := range row {
			row[i] = -1 / float64(k-1)
		}
	case Orthoplex:
		row[0] = -1
	case Cube:
		m := bits.Len(uint(k)) - 1
		for h := 1; h < k; h++ {
			row[h-1] = 1 - 2*float64(bits.OnesCount(uint(h)))/float64(m)
		}
		slices.Sort(row)
	}
	return row
}

// PolytopeDistance is the root mean square difference between the sorted cosines seen from every vector and those seen from
// a vertex: 0 at the polytope, whatever the order of the vectors. Sorting forgets which vector is which, so 0 is
// necessary for the polytope, not sufficient. Call it on Directed vectors, for a polytope that exists.
func (v *Vectors) PolytopeDistance(p Polytope) float64 {
	ideal, k := p.row(v.K), v.K
	row := make([]float64, k-1)
	sum := 0.0
	for i := range k {
		cos := v.Cosines()[i*k : (i+1)*k]
		copy(row, cos[:i])
		copy(row[i:], cos[i+1:])
		switch p { // equal ideals need no order
		case Orthoplex:
			least := 0
			for j, c := range row {
				if c < row[least] {
					least = j
				}
			}
			row[0], row[least] = row[least], row[0]
		case Cube:
			slices.Sort(row)
		}
		for j, c := range row {
			sum += (c - ideal[j]) * (c - ideal[j])
		}
	}
	return math.Sqrt(sum / float64(k*(k-1)))
}
