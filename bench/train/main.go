// Command train times whole training steps, on request. It is driven by compare.py, which times the same steps in
// PyTorch in turn.
//
// Each line on standard input is a request
//
//	architecture width height channels classes batch steps
//
// with the width of the network (0: its default) and the height, which is also the width, of the images. The
// answer is one line with the time of each step in seconds: forward, cross-entropy, backward, SGD with momentum
// and weight decay. The network is kept until another is asked for.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"runtime"
	"time"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/internal/random"
	"github.com/collapsar/collapsar/nn"
)

type request struct {
	architecture                            string
	width, height, channels, classes, batch int
}

func main() {
	log.SetFlags(0)
	input := bufio.NewScanner(os.Stdin)
	var last request
	var step func()
	for input.Scan() {
		var r request
		var steps int
		if _, err := fmt.Sscan(input.Text(), &r.architecture, &r.width, &r.height, &r.channels, &r.classes, &r.batch, &steps); err != nil {
			log.Fatalf("request %q: %v", input.Text(), err)
		}
		if step == nil || r != last {
			var err error
			if step, err = prepare(r); err != nil {
				log.Fatal(err)
			}
			last = r
			runtime.GC()
			step()
		}
		step() // wakes the pool
		for range steps {
			start := time.Now()
			step()
			fmt.Printf("%.9f ", time.Since(start).Seconds())
		}
		fmt.Println()
	}
}

// prepare returns a training step on a batch of noise.
func prepare(r request) (func(), error) {
	a, err := nn.Build(r.architecture, nn.ArchitectureOptions{
		Input: nn.Shape{Height: r.height, Width: r.height, Channels: r.channels}, Classes: r.classes, Width: r.width,
	})
	if err != nil {
		return nil, err
	}
	net, err := nn.New[float32](a, r.batch)
	if err != nil {
		return nil, err
	}
	if err := net.Init("pytorch", 1); err != nil {
		return nil, err
	}
	loss, err := nn.NewLoss[float32](nn.LossSpec{Name: "ce"})
	if err != nil {
		return nil, err
	}
	source := random.New(2)
	x := make([]float32, r.batch*a.Input.Size())
	for i := range x {
		x[i] = float32(source.NormFloat64())
	}
	batch := nn.Batch[float32]{Rows: r.batch, Classes: r.classes, DLogits: make([]float32, r.batch*r.classes), Labels: make([]int32, r.batch)}
	for i := range batch.Labels {
		batch.Labels[i] = int32(source.IntN(r.classes))
	}
	velocity := make([]float32, len(net.Params))
	const block = 1 << 14
	update := func(_, i int) {
		lo, hi := i*block, min((i+1)*block, len(velocity))
		kernel.SGD(net.Params[lo:hi], velocity[lo:hi], net.Grads[lo:hi], kernel.SGDStep{Rate: 0.01, Momentum: 0.9, Decay: 5e-4})
	}
	return func() {
		batch.Logits = net.Forward(x, r.batch, nn.Train)
		loss.Value(&batch)
		net.Backward(batch.DLogits, nil)
		parallel.For((len(velocity)+block-1)/block, update)
	}, nil
}
