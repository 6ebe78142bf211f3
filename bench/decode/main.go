// Command decode times the decoders on a million rows, in batches, beside the one matrix product of all rows with all vectors. It is
// driven by compare.py, which times numpy's product in turn. For every request on standard input, a line that is empty, it answers with
// the seconds of each part, in the order of the first line that it printed, which names them.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/collapsar/collapsar/decode"
	"github.com/collapsar/collapsar/internal/kernel"
)

func main() {
	log.SetFlags(0)
	rows := flag.Int("rows", 1_000_000, "rows")
	k := flag.Int("tags", 1000, "tags")
	d := flag.Int("dim", 64, "dimensions")
	most := flag.Int("most", 8, "tags of a row, at most")
	batch := flag.Int("batch", 16384, "rows at a time")
	flag.Parse()

	m, x := world(*rows, *k, *d, *most)
	names := []string{"product"}
	for _, rule := range decode.Rules() {
		names = append(names, rule.Name)
	}
	fmt.Println(strings.Join(names, " "))

	products := make([]float64, *batch**k)
	answers := make([]decode.Answer, *batch)
	each := func(do func(x []float64, n int)) {
		begin := time.Now()
		for lo := 0; lo < *rows; lo += *batch {
			hi := min(lo+*batch, *rows)
			do(x[lo**d:hi**d], hi-lo)
		}
		fmt.Printf("%.4f ", time.Since(begin).Seconds())
	}
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		each(func(x []float64, n int) {
			kernel.Gemm64(false, true, n, *k, *d, 1, x, *d, m.Prototypes.Vectors, *d, 0, products, *k)
		})
		for _, rule := range decode.Rules() {
			each(func(x []float64, n int) {
				if err := m.Decode(x, rule, 0, answers[:n]); err != nil {
					log.Fatal(err)
				}
			})
		}
		fmt.Println()
	}
}

// world is tags with random vectors, and rows that are sums of those of 1 to most tags, with noise. The logits tell tags as clearly as those of a
// trained classifier do, with 0 half-way to a row of a tag.
func world(rows, k, d, most int) (*decode.Model, []float64) {
	m := &decode.Model{Tags: k, Dim: d, Prototypes: &decode.Prototypes{Square: 1}}
	rng := rand.New(rand.NewPCG(1, 2))
	v := make([]float64, k*d)
	for i := range v {
		v[i] = rng.NormFloat64() / math.Sqrt(float64(d))
	}
	m.Prototypes.Vectors = v
	for size := 1; size <= most; size++ {
		m.Multiplicities = append(m.Multiplicities, size)
		m.Prototypes.Scale = append(m.Prototypes.Scale, 1-.03*float64(size-1))
	}
	m.Weights, m.Bias = make([]float64, k*d), make([]float64, k)
	for i, w := range v {
		m.Weights[i] = 16 * w
	}
	for i := range m.Bias {
		m.Bias[i] = -8
	}
	x := make([]float64, rows*d)
	for i := range rows {
		row := x[i*d : (i+1)*d]
		for range 1 + rng.IntN(most) {
			kernel.Add64(row, v[rng.IntN(k)*d:][:d])
		}
		for j := range row {
			row[j] += .1 * rng.NormFloat64()
		}
	}
	return m, x
}
