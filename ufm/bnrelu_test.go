package ufm

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/internal/optimize/testproblems"
)

func TestBatchNormGradient(t *testing.T) {
	b := &batchNorm{k: 3, n: 2, m: 4, beta: 0.3}
	r := rand.New(rand.NewPCG(1, 1))
	x, v := make([]float64, b.size()), make([]float64, b.size())
	for i := range x {
		x[i], v[i] = r.NormFloat64(), r.NormFloat64()
	}
	if err := testproblems.Check(b.value, nil, x, v, 1e-6); err != nil {
		t.Error(err)
	}
}

// The optimum of the theorem, put together by hand, has its value and no slope.
func TestBatchNormConstruction(t *testing.T) {
	b := &batchNorm{k: 3, n: 3, m: 4, beta: 0.6}
	samples, root := 9, math.Sqrt(3)
	x, g := make([]float64, b.size()), make([]float64, b.size())
	c := math.Sqrt(root - b.beta)
	for j := range b.k {
		for i := range b.n {
			x[j*samples+j*b.n+i] = 1
		}
		at := b.m * samples
		x[at+j], x[at+b.m+j], x[at+2*b.m+j*b.m+j] = math.Sqrt(1-1./3)*c, c/math.Sqrt(3), c
	}
	x[3*samples] = 1 // the idle neuron needs a row that is not constant
	if got, want := b.value(x, g), 3*(b.beta*root-b.beta*b.beta/2); math.Abs(got-want) > 1e-12 {
		t.Errorf("%.15g, want %.15g", got, want)
	}
	if slope := frobenius(g); slope > 1e-12 {
		t.Errorf("gradient %.3g", slope)
	}
}
