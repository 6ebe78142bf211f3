package ufm

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// BenchmarkSolve searches from one random start to a gradient of norm 1e-9.
func BenchmarkSolve(b *testing.B) {
	for _, c := range []struct {
		K, n, d int
		all     bool
	}{{10, 100, 64, true}, {10, 100, 64, false}, {100, 100, 256, false}} {
		b.Run(fmt.Sprintf("K=%d/n=%d/d=%d/all=%v", c.K, c.n, c.d, c.all), func(b *testing.B) {
			p := Problem{Loss: Loss{Kind: CrossEntropy}, Counts: slices.Repeat([]int{c.n}, c.K), Dim: c.d, W: Decay(5e-4), H: Decay(1e-5)}
			for b.Loop() {
				s, err := p.Solve(context.Background(), SolveOptions{Seeds: 1, Gradient: 1e-9, AllSamples: c.all})
				if err != nil || s.Status != "converged" {
					b.Fatal(s, err)
				}
				b.ReportMetric(float64(s.Starts[0].Iterations), "steps")
			}
		})
	}
}
