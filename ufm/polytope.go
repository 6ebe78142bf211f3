package ufm

import (
	"fmt"
	"math"
	"math/bits"
)

// FixedClassifier returns K rows of squared norm size in d dimensions: the vertices of a simplex (d >= K-1, cosines -1/(K-1)),
// an orthoplex (K = 2d, rows j and j + K/2 opposite), a cube (K = 2^d, the binary digits of the class as signs) or the
// orthonormal frame of Identity (d >= K).
func FixedClassifier(shape Polytope, K, d int, size float64) ([]float64, error) {
	w := make([]float64, K*d)
	r := math.Sqrt(size)
	switch shape {
	case Simplex:
		if d < K-1 {
			return nil, fmt.Errorf("dim: %d, a simplex of %d classes needs at least %d", d, K, K-1)
		}
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
		if K != 2*d {
			return nil, fmt.Errorf("dim: %d, an orthoplex of %d classes has K/2 dimensions", d, K)
		}
		for j := range d {
			w[j*d+j], w[(j+d)*d+j] = r, -r
		}
	case Cube:
		if bits.OnesCount(uint(K)) != 1 || K != 1<<min(d, 62) {
			return nil, fmt.Errorf("dim: %d, a cube of %d classes has log2(K) dimensions, K a power of 2", d, K)
		}
		for k := range K {
			for j := range d {
				w[k*d+j] = r / math.Sqrt(float64(d)) * float64(1-2*(k>>j&1))
			}
		}
	case Identity:
		if d < K {
			return nil, fmt.Errorf("dim: %d, an orthonormal frame of %d classes needs at least %d", d, K, K)
		}
		for k := range K {
			w[k*d+k] = r
		}
	default:
		return nil, fmt.Errorf("classifier %q: not a polytope", shape)
	}
	return w, nil
}
