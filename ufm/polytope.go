package ufm

import (
	"fmt"
	"math"
	"math/bits"
)

// fits returns what keeps a polytope of K vertices from lying in d dimensions.
func (shape Polytope) fits(K, d int) error {
	switch shape {
	case Simplex:
		if d < K-1 {
			return fmt.Errorf("a simplex of %d classes needs at least %d dimensions, not %d", K, K-1, d)
		}
	case Orthoplex:
		if K != 2*d {
			return fmt.Errorf("an orthoplex of %d classes has K/2 dimensions, not %d", K, d)
		}
	case Cube:
		if bits.OnesCount(uint(K)) != 1 || K != 1<<min(d, 62) {
			return fmt.Errorf("a cube has 2^d classes, in %d dimensions not %d", d, K)
		}
	case Identity:
		if d < K {
			return fmt.Errorf("an orthonormal frame of %d classes needs as many dimensions, not %d", K, d)
		}
	default:
		return fmt.Errorf("classifier %q: not a polytope", shape)
	}
	return nil
}

// FixedClassifier returns K rows of squared norm size in d dimensions: the vertices of a simplex (d >= K-1, cosines -1/(K-1)),
// an orthoplex (K = 2d, rows j and j + K/2 opposite), a cube (K = 2^d, the binary digits of the class as signs) or the
// orthonormal frame of Identity (d >= K). The error says which shape does not fit.
func FixedClassifier(shape Polytope, K, d int, size float64) ([]float64, error) {
	if err := shape.fits(K, d); err != nil {
		return nil, err
	}
	w := make([]float64, K*d)
	r := math.Sqrt(size)
	switch shape {
	case Simplex:
		// Vertex k has its own coordinate k and the same remainder in every coordinate before it.
		for j := range K - 1 {
			left := float64(K - 1 - j) // vertices after j
			top := r * math.Sqrt(float64(K)*left/(float64(K-1)*(left+1)))
			w[j*d+j] = top
			for k := j + 1; k < K; k++ {
				w[k*d+j] = -top / left
			}
		}
	case Orthoplex:
		for j := range d {
			w[j*d+j], w[(j+d)*d+j] = r, -r
		}
	case Cube:
		for k := range K {
			for j := range d {
				w[k*d+j] = r / math.Sqrt(float64(d)) * float64(1-2*(k>>j&1))
			}
		}
	case Identity:
		for k := range K {
			w[k*d+k] = r
		}
	}
	return w, nil
}
