package decode

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/internal/kernel"
)

// BenchmarkDecode decodes rows of K = 1000 tags in 64 dimensions, multiplicities 1 to 8, by the nearest of all tag-wise prototypes:
// "product" is the one matrix product with the vectors alone, the others do it and decide.
func BenchmarkDecode(b *testing.B) {
	const k, d, n = 1000, 64, 16384
	m := &Model{Tags: k, Dim: d, Multiplicities: []int{1, 2, 3, 4, 5, 6, 7, 8}, Prototypes: &Prototypes{Square: 1}}
	rng := rand.New(rand.NewPCG(1, 2))
	m.Prototypes.Vectors = make([]float64, k*d)
	for i := range m.Prototypes.Vectors {
		m.Prototypes.Vectors[i] = rng.NormFloat64() / math.Sqrt(d)
	}
	for i := range m.Multiplicities {
		m.Prototypes.Scale = append(m.Prototypes.Scale, 1-.03*float64(i))
	}
	m.Weights, m.Bias = m.Prototypes.Vectors, make([]float64, k)
	x := make([]float64, n*d)
	for i := range n {
		size := 1 + rng.IntN(8)
		for range size {
			kernel.Add64(x[i*d:(i+1)*d], m.Prototypes.Vectors[rng.IntN(k)*d:][:d])
		}
		for j := range d {
			x[i*d+j] += .1 * rng.NormFloat64()
		}
	}
	b.Run("product", func(b *testing.B) {
		z := make([]float64, n*k)
		for b.Loop() {
			kernel.Gemm64(false, true, n, k, d, 1, x, d, m.Prototypes.Vectors, d, 0, z, k)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
	})
	out := make([]Answer, n)
	for _, rule := range Rules() {
		b.Run(fmt.Sprint(rule.Name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Decode(x, rule, 0, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
