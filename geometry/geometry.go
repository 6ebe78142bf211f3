// Package geometry describes how K vectors lie to one another: class means about their centre, or the rows of a
// classifier. Everything that does not depend on the coordinates comes from the Gram matrix; small
// distances, which the Gram matrix cannot show, are taken from differences.
//
//	v := geometry.New(10, 512, means)
//	v.Cosine(0, 1)          // of the angle between two vectors
//	v.ETFError()            // distance of the Gram matrix from a centred simplex's
//	v.SingularValues()      // of the K x d matrix, largest first
//
// A Vectors is computed once, lazily, and is not safe for concurrent use.
package geometry

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/parallel"
)

// ZeroNorm is the norm, relative to the longest vector, below which a vector has no direction.
const ZeroNorm = 1e-12

// SmallRank is the largest rank at which spectra are found from the matrix itself; above it they come from the
// Gram matrix, in which singular values below 1e-8 of the largest are lost.
const SmallRank = 128

// Vectors are K vectors of D numbers.
type Vectors struct {
	K, D int
	Data []float64 // K x D, row-major

	whole     *Vectors // these are its vectors less their mean, which is no longer than they are; else nil
	norms     []float64
	gram      []float64
	cosines   []float64
	distances []float64
	singular  []float64
	axes      []float64
}

// New describes the rows of a K x d matrix, which must not change afterwards.
func New(k, d int, data []float64) *Vectors {
	v := &Vectors{K: k, D: d, Data: data, norms: make([]float64, k)}
	for i := range v.norms {
		v.norms[i] = math.Sqrt(kernel.SumSquares64(v.Row(i)))
	}
	return v
}

// FromGram describes K vectors of which only the inner products are known. It has no rows, axes or close distances.
func FromGram(k int, gram []float64) *Vectors {
	v := &Vectors{K: k, gram: gram, norms: make([]float64, k)}
	for i := range v.norms {
		v.norms[i] = math.Sqrt(max(gram[i*k+i], 0))
	}
	return v
}

// Row is one vector.
func (v *Vectors) Row(i int) []float64 { return v.Data[i*v.D : (i+1)*v.D] }

// Gram are the inner products, K x K.
func (v *Vectors) Gram() []float64 {
	switch {
	case v.gram != nil:
	case v.whole != nil:
		v.gram = slices.Clone(v.whole.Gram())
		centre(v.K, v.gram)
	default:
		v.gram = make([]float64, v.K*v.K)
		kernel.Syrk64(false, v.K, v.D, v.Data, v.D, v.gram, v.K)
	}
	return v.gram
}

// centre takes the means of rows and columns away from a symmetric matrix.
func centre(k int, g []float64) {
	row, all := make([]float64, k), 0.0
	for i := range k {
		for _, v := range g[i*k : (i+1)*k] {
			row[i] += v / float64(k)
		}
		all += row[i] / float64(k)
	}
	for i := range k {
		for j := range k {
			g[i*k+j] -= row[i] + row[j] - all
		}
	}
}

// Forget drops what can be made again: lists and matrices over all pairs, but the inner products.
func (v *Vectors) Forget() { v.cosines, v.distances, v.axes = nil, nil, nil }

// ForgetGram drops the inner products also.
func (v *Vectors) ForgetGram() {
	v.Forget()
	if v.Data != nil {
		v.gram = nil
	}
}

// Norms are the Euclidean norms.
func (v *Vectors) Norms() []float64 { return v.norms }

// Square is the squared Frobenius norm of the matrix.
func (v *Vectors) Square() float64 { return kernel.SumSquares64(v.norms) }

// Frobenius is the Frobenius norm of the matrix.
func (v *Vectors) Frobenius() float64 { return math.Sqrt(v.Square()) }

// Directed reports whether every vector has a direction: a norm above ZeroNorm of the largest.
func (v *Vectors) Directed() bool {
	return v.K > 0 && slices.Max(v.norms) > 0 && slices.Min(v.norms) > ZeroNorm*slices.Max(v.norms)
}

// Cosines are those of all pairs, K x K. Call it on Directed vectors only.
func (v *Vectors) Cosines() []float64 {
	if v.cosines == nil {
		v.cosines = make([]float64, v.K*v.K)
		gram := v.Gram()
		byRows(v.K, func(i int) {
			row, ni := v.cosines[i*v.K:(i+1)*v.K], v.norms[i]
			for j, g := range gram[i*v.K : (i+1)*v.K] {
				row[j] = g / (ni * v.norms[j])
			}
		})
	}
	return v.cosines
}

// Cosine is that of the angle between two vectors.
func (v *Vectors) Cosine(i, j int) float64 { return v.Cosines()[i*v.K+j] }

// byRows calls f for k rows, several at a time.
func byRows(k int, f func(i int)) {
	parallel.Ranges(k, 32, func(from, to int) {
		for i := from; i < to; i++ {
			f(i)
		}
	})
}

// Pairs lists f(i, j) over all pairs i < j. It calls f once, for what that makes of the vectors, and then several at a time.
func (v *Vectors) Pairs(f func(i, j int) float64) []float64 {
	out := make([]float64, v.K*(v.K-1)/2)
	if v.K < 2 {
		return out
	}
	f(0, 1)
	byRows(v.K, func(i int) {
		row := out[PairIndex(i, i+1, v.K):]
		for j := i + 1; j < v.K; j++ {
			row[j-i-1] = f(i, j)
		}
	})
	return out
}

// PairIndex is the place of i < j in a list over the pairs of k.
func PairIndex(i, j, k int) int { return i*(2*k-i-1)/2 + j - i - 1 }

// Distance2 is |a_i - a_j|^2, to full precision however close the two are.
func (v *Vectors) Distance2(i, j int) float64 {
	gram := v.Gram()
	both := gram[i*v.K+i] + gram[j*v.K+j]
	if d := both - 2*gram[i*v.K+j]; d > 0.05*both {
		return d
	}
	return kernel.Distance64(v.Row(i), v.Row(j))
}

// UnitDistances lists |u_i - u_j| over all pairs i < j, u_i = a_i/|a_i|, to full precision. Call it on Directed vectors only.
func (v *Vectors) UnitDistances() []float64 {
	if v.distances == nil {
		v.distances = v.Pairs(func(i, j int) float64 {
			if c := v.Cosine(i, j); c < 0.9 {
				return math.Sqrt(2 - 2*c)
			}
			u, w := slices.Clone(v.Row(i)), slices.Clone(v.Row(j))
			kernel.Scale64(u, 1/v.norms[i])
			kernel.Scale64(w, 1/v.norms[j])
			return math.Sqrt(kernel.Distance64(u, w))
		})
	}
	return v.distances
}

// Angle is that between two vectors, in radians: 2 atan2(|u - w|, |u + w|) of the unit vectors, to full precision near 0 and pi
// too. Call it on Directed vectors only.
func (v *Vectors) Angle(i, j int) float64 {
	u, w := slices.Clone(v.Row(i)), slices.Clone(v.Row(j))
	kernel.Scale64(u, 1/v.norms[i])
	kernel.Scale64(w, 1/v.norms[j])
	apart := kernel.Distance64(u, w)
	kernel.Add64(u, w)
	return 2 * math.Atan2(math.Sqrt(apart), math.Sqrt(kernel.SumSquares64(u)))
}

// SingularValues of the K x D matrix, in decreasing order: min(K, D) of them.
func (v *Vectors) SingularValues() []float64 {
	v.spectrum(false)
	return v.singular
}

// Axes are the right singular vectors, as the rows of a min(K, D) x D matrix.
func (v *Vectors) Axes() []float64 {
	v.spectrum(true)
	return v.axes
}

func (v *Vectors) spectrum(axes bool) {
	if v.singular != nil && (!axes || v.axes != nil) {
		return
	}
	m := min(v.K, v.D)
	if axes || m <= SmallRank {
		s, right, err := linalg.SVD(v.K, v.D, slices.Clone(v.Data))
		if err == nil {
			v.singular, v.axes = s, right
			return
		}
		v.axes = make([]float64, m*v.D)
	}
	v.singular = linalg.Eigenvalues(m, v.smallGram())
	for i, l := range v.singular {
		v.singular[i] = math.Sqrt(max(0, l))
	}
}

// smallGram is a copy of A A^T or A^T A, whichever is smaller.
func (v *Vectors) smallGram() []float64 {
	if v.K <= v.D {
		return slices.Clone(v.Gram())
	}
	return v.Scatter()
}

// Scatter is A^T A, D x D.
func (v *Vectors) Scatter() []float64 {
	out := make([]float64, v.D*v.D)
	kernel.Syrk64(true, v.D, v.K, v.Data, v.D, out, v.D)
	return out
}

// ETFError is the distance of the vectors' Gram matrix from a centred simplex's, both at unit Frobenius norm.
func (v *Vectors) ETFError() (e float64, ok bool) { return ETFError(v.K, v.Gram()) }

// ETFError is | G/|G| - (I - 11'/K)/sqrt(K-1) | in Frobenius norms, for a K x K matrix (Zhu et al. 2021). It is not ok for G = 0.
func ETFError(k int, g []float64) (e float64, ok bool) {
	norm := math.Sqrt(kernel.SumSquares64(g))
	if norm == 0 || k < 2 {
		return 0, false
	}
	root := math.Sqrt(float64(k - 1))
	simplex := make([]float64, k) // a row of its matrix
	for j := range simplex {
		simplex[j] = -1 / (float64(k) * root)
	}
	sum := 0.0
	for i := range k {
		simplex[i] += 1 / root
		sum += kernel.ScaledDistance64(g[i*k:(i+1)*k], 1/norm, simplex)
		simplex[i] = -1 / (float64(k) * root)
	}
	return math.Sqrt(sum), true
}

// Centred are the vectors less their mean, and that mean.
func (v *Vectors) Centred() (*Vectors, []float64) {
	mean := v.Mean()
	data := slices.Clone(v.Data)
	for i := range v.K {
		kernel.Axpy64(data[i*v.D:(i+1)*v.D], -1, mean)
	}
	c := New(v.K, v.D, data)
	if float64(v.K)*kernel.SumSquares64(mean) <= c.Square() { // inner products less their means lose no digits
		c.whole = v
	}
	return c, mean
}

// Subset are some of the vectors, by their places.
func (v *Vectors) Subset(places []int) *Vectors {
	n := len(places)
	if n == v.K && !slices.ContainsFunc(places, func(p int) bool { return places[p] != p }) { // all, in order
		return v
	}
	data := make([]float64, 0, n*v.D)
	for _, p := range places {
		data = append(data, v.Row(p)...)
	}
	return New(n, v.D, data)
}

// Mean is the mean vector.
func (v *Vectors) Mean() []float64 {
	mean := make([]float64, v.D)
	for i := range v.K {
		kernel.Axpy64(mean, 1/float64(v.K), v.Row(i))
	}
	return mean
}
