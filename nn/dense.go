package nn

import (
	"fmt"
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
)

// Dense is a fully connected layer, y = W x + b, with W out x in.
type Dense struct {
	Name string
	Out  int
	Bias bool
}

func (Dense) kind() string { return "dense layer" }

type dense[T Float] struct {
	in, out      *value[T]
	w, dw, b, db []T
	columns      *columnSums[T]
}

func compileDense[T Float](b *builder[T], l Dense, in *value[T]) (*value[T], error) {
	d := in.shape.Channels
	if in.shape != Vector(d) {
		return nil, fmt.Errorf("%s takes a vector, not an image %v: flatten or pool before it", l.Name, in.shape)
	}
	if l.Out < 1 || l.Out > math.MaxInt32 {
		return nil, fmt.Errorf("%s has %d outputs", l.Name, l.Out)
	}
	if l.Out > math.MaxInt32/d {
		return nil, fmt.Errorf("%s has %d x %d weights, too many", l.Name, l.Out, d)
	}
	o := &dense[T]{in: in, out: b.value(Vector(l.Out))}
	weight := Tensor[T]{Name: l.Name + ".weight", Shape: []int{l.Out, d}, fanIn: d, order: channelsFirst(l.Out, in.image)}
	if err := b.param(&o.w, &o.dw, weight); err != nil {
		return nil, err
	}
	if l.Bias {
		o.columns = newColumnSums[T](b.rows, l.Out)
		if err := b.param(&o.b, &o.db, Tensor[T]{Name: l.Name + ".bias", Shape: []int{l.Out}, Kind: Bias, fanIn: d}); err != nil {
			return nil, err
		}
	}
	b.add(o, traits{keepsIn: true}, in, o.out)
	return o.out, nil
}

// channelsFirst is the order of the columns of a matrix whose input was flattened from an image: PyTorch's columns
// run over channels, rows, columns, ours over rows, columns, channels.
func channelsFirst(out int, s Shape) []int32 {
	pixels, d := s.Height*s.Width, s.Size()
	if pixels <= 1 || s.Channels == 1 {
		return nil
	}
	order := make([]int32, 0, out*d)
	for o := range out {
		for c := range s.Channels {
			for p := range pixels {
				order = append(order, int32(o*d+p*s.Channels+c))
			}
		}
	}
	return order
}

func (o *dense[T]) classifier() (w, b []T) { return o.w, o.b }

func (o *dense[T]) forward(n int, _ Mode) {
	in, out := o.in.shape.Size(), o.out.shape.Size()
	y := o.out.rows(n)
	var beta T
	if o.b != nil {
		beta = 1
		for i := range n {
			copy(y[i*out:(i+1)*out], o.b)
		}
	}
	gemm(false, true, n, out, in, o.in.rows(n), in, o.w, in, beta, y, out)
}

func (o *dense[T]) backward(n int) {
	in, out := o.in.shape.Size(), o.out.shape.Size()
	dy := o.out.grad(n)
	if o.dw != nil { // the rows are trained
		gemm(true, false, out, in, n, dy, out, o.in.rows(n), in, 0, o.dw, in)
	}
	if o.b != nil {
		o.columns.write(o.db, dy)
	}
	if dx := o.in.grad(n); dx != nil {
		gemm(false, false, n, in, out, dy, out, o.w, in, 0, dx, in)
	}
}

// gemm is C = op(A) op(B) + beta C, see kernel.Gemm32.
func gemm[T Float](transA, transB bool, m, n, k int, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	switch a := any(a).(type) {
	case []float32:
		kernel.Gemm32(transA, transB, m, n, k, 1, a, lda, any(b).([]float32), ldb, float32(beta), any(c).([]float32), ldc)
	case []float64:
		kernel.Gemm64(transA, transB, m, n, k, 1, a, lda, any(b).([]float64), ldb, float64(beta), any(c).([]float64), ldc)
	}
}
