// Command kernels times one kernel at a time, on request. It is driven by compare.py, which times the
// same products in numpy in turn; see the README beside it.
//
// Each line on standard input is a request
//
//	operation type m n k workers level repetitions
//
// with the type float32 or float64. The answer is one line with the time of each repetition in
// seconds. The operands are kept until a request with another operation, type or shape arrives.
package main

import (
	"bufio"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
)

type request struct {
	operation, kind string
	m, n, k         int
}

func main() {
	log.SetFlags(0)
	input := bufio.NewScanner(os.Stdin)
	var last request
	var run func()
	processors := runtime.GOMAXPROCS(0)
	for input.Scan() {
		var r request
		var workers, repetitions int
		var level string
		if _, err := fmt.Sscan(input.Text(), &r.operation, &r.kind, &r.m, &r.n, &r.k, &workers, &level, &repetitions); err != nil {
			log.Fatalf("request %q: %v", input.Text(), err)
		}
		if workers == 0 {
			workers = processors
		}
		runtime.GOMAXPROCS(workers)
		restore, ok := kernel.SetLevel(level)
		if !ok {
			restore, _ = kernel.SetLevel(kernel.Level())
		}
		if r != last || run == nil {
			last = r
			if r.kind == "float32" {
				run = prepare(r, kernel.Gemm32, kernel.Syrk32, mul32)
			} else {
				run = prepare(r, kernel.Gemm64, kernel.Syrk64, mul64)
			}
			runtime.GC()
		}
		run()
		for range repetitions {
			start := time.Now()
			run()
			fmt.Printf("%.9f ", time.Since(start).Seconds())
		}
		fmt.Println()
		restore()
	}
}

func mul32(n, k int, b []float32) func(c, a []float32, m int) {
	p := kernel.NewPanel32(n, k, b, k)
	return func(c, a []float32, m int) { p.Mul(c, n, a, k, m) }
}

func mul64(n, k int, b []float64) func(c, a []float64, m int) {
	p := kernel.NewPanel64(n, k, b, k)
	return func(c, a []float64, m int) { p.Mul(c, n, a, k, m) }
}

func prepare[T float32 | float64](r request,
	gemm func(transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int),
	syrk func(trans bool, n, k int, a []T, lda int, c []T, ldc int),
	panel func(n, k int, b []T) func(c, a []T, m int)) func() {
	random := rand.New(rand.NewPCG(1, 2))
	matrix := func(n int) []T {
		s := make([]T, n)
		for i := range s {
			s[i] = T(random.Float64() - 0.5)
		}
		return s
	}
	m, n, k := r.m, r.n, r.k
	switch r.operation {
	case "nn":
		a, b, c := matrix(m*k), matrix(k*n), matrix(m*n)
		return func() { gemm(false, false, m, n, k, 1, a, k, b, n, 0, c, n) }
	case "tn":
		a, b, c := matrix(m*k), matrix(k*n), matrix(m*n)
		return func() { gemm(true, false, m, n, k, 1, a, m, b, n, 0, c, n) }
	case "nt":
		a, b, c := matrix(m*k), matrix(k*n), matrix(m*n)
		return func() { gemm(false, true, m, n, k, 1, a, k, b, k, 0, c, n) }
	case "tt":
		a, b, c := matrix(m*k), matrix(k*n), matrix(m*n)
		return func() { gemm(true, true, m, n, k, 1, a, m, b, k, 0, c, n) }
	case "syrk": // A A^T, A n x k
		a, c := matrix(n*k), matrix(n*n)
		return func() { syrk(false, n, k, a, k, c, n) }
	case "syrkt": // A^T A, A k x n
		a, c := matrix(n*k), matrix(n*n)
		return func() { syrk(true, n, k, a, n, c, n) }
	case "panel": // rows in chunks of 512, each on one worker
		const chunk = 512
		a, b, c := matrix(m*k), matrix(n*k), matrix(m*n)
		mul := panel(n, k, b)
		return func() {
			parallel.For((m+chunk-1)/chunk, func(_, i int) {
				mul(c[i*chunk*n:], a[i*chunk*k:], min(chunk, m-i*chunk))
			})
		}
	}
	log.Fatalf("unknown operation %q", r.operation)
	return nil
}
