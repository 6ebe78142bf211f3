// Command conv times convolutions, on request. It is driven by conv.py, which times the same layers in
// PyTorch in turn.
//
// Each line on standard input is a request
//
//	pass height width in out kernel stride pad samples seconds
//
// with the pass forward, data or weights. The answer is the median time of as many repetitions as fit,
// at least three, in seconds.
package main

import (
	"bufio"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/collapsar/collapsar/internal/kernel"
)

func main() {
	log.SetFlags(0)
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		c := kernel.Conv{Groups: 1}
		var pass string
		var n int
		var seconds float64
		if _, err := fmt.Sscan(input.Text(), &pass, &c.Height, &c.Width, &c.In, &c.Out, &c.KernelH, &c.Stride, &c.Pad, &n, &seconds); err != nil {
			log.Fatalf("request %q: %v", input.Text(), err)
		}
		c.KernelW = c.KernelH
		if err := c.Check(); err != nil {
			log.Fatal(err)
		}
		v := kernel.NewConvolver[float32](c, n)
		x, y, w, bias := random(n*c.InputSize()), random(n*c.OutputSize()), random(c.WeightSize()), random(c.Out)
		run := func() { v.Forward(y, x, w, bias, n) }
		switch pass {
		case "data":
			run = func() { v.BackwardData(x, y, w, n) }
		case "weights":
			run = func() { v.BackwardWeights(w, x, y, n) }
		}
		run()
		run()
		var times []float64
		for begin := time.Now(); len(times) < 3 || time.Since(begin).Seconds() < seconds; {
			start := time.Now()
			run()
			times = append(times, time.Since(start).Seconds())
		}
		slices.Sort(times)
		fmt.Println(times[len(times)/2])
	}
}

func random(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(r.Float64() - 0.5)
	}
	return s
}
