package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/random"
	"github.com/collapsar/collapsar/internal/suggest"
)

// Initialisations lists the schemes of Init.
func Initialisations() []string {
	return []string{"pytorch", "kaiming", "xavier", "orthogonal", "scaled"}
}

// Init fills the parameters, every tensor from a stream of its own.
//
//   - pytorch, which PyTorch does by default: weights and biases uniform within 1/sqrt(fan_in);
//   - kaiming: weights normal with variance 2/fan_in, biases 0 (He, Zhang, Ren, Sun 2015);
//   - xavier: weights uniform within sqrt(6/(fan_in + fan_out)), biases 0 (Glorot and Bengio 2010);
//   - orthogonal: matrices with orthonormal rows or columns, times sqrt(2) where a ReLU follows, times 1 in the head; biases 0 (Saxe, McClelland, Ganguli 2014);
//   - scaled:F: as pytorch, times the number F (small F: rich, large F: lazy training, Chizat, Oyallon, Bach 2019).
//
// Scales of norms become 1 and shifts 0, running means 0 and running variances 1, whatever the scheme. Frozen
// weights stay. An empty scheme is pytorch.
func (net *Network[T]) Init(scheme string, seed uint64) error {
	name, factor, err := parseScheme(scheme)
	if err != nil {
		return err
	}
	for i, t := range net.tensors {
		switch {
		case t.Kind == Norm || t.Kind == Statistic:
			for j := range t.data {
				t.data[j] = t.start
			}
		case t.Trainable:
			t.draw(name, factor, random.New(seed, uint64(i)), i >= net.headTensors)
		}
	}
	return nil
}

func parseScheme(scheme string) (name string, factor float64, err error) {
	name, number, hasNumber := strings.Cut(scheme, ":")
	if name == "" {
		name = "pytorch"
	}
	if !slices.Contains(Initialisations(), name) {
		return "", 0, fmt.Errorf("nn: no initialisation %q%s", name, suggest.Hint(name, Initialisations()))
	}
	if hasNumber != (name == "scaled") {
		return "", 0, fmt.Errorf("nn: initialisation %q: a factor belongs to scaled and to no other, as in scaled:0.1", scheme)
	}
	if !hasNumber {
		return name, 1, nil
	}
	factor, err = strconv.ParseFloat(number, 64)
	if err != nil || !(factor > 0) || math.IsInf(factor, 0) {
		return "", 0, fmt.Errorf("nn: initialisation %q: the factor must be a positive number", scheme)
	}
	return name, factor, nil
}

// draw fills a weight or a bias, in PyTorch's order.
func (t Tensor[T]) draw(name string, factor float64, r *rand.Rand, inHead bool) {
	x := make([]float64, t.Len())
	uniform := func(limit float64) {
		for i := range x {
			x[i] = (2*r.Float64() - 1) * limit
		}
	}
	normal := func(sd float64) {
		for i := range x {
			x[i] = r.NormFloat64() * sd
		}
	}
	fanIn := float64(t.fanIn)
	switch {
	case name == "pytorch" || name == "scaled":
		uniform(factor / math.Sqrt(fanIn))
	case t.Kind == Bias:
	case name == "kaiming":
		normal(math.Sqrt(2 / fanIn))
	case name == "xavier":
		fanOut := fanIn * float64(t.Shape[0]) / float64(t.Shape[1])
		uniform(math.Sqrt(6 / (fanIn + fanOut)))
	case name == "orthogonal":
		normal(1)
		gain := math.Sqrt2
		if inHead {
			gain = 1
		}
		orthogonal(t.Shape[0], t.Len()/t.Shape[0], x, gain)
	}
	values := make([]T, len(x))
	for i, v := range x {
		values[i] = T(v)
	}
	if err := t.Set(values); err != nil {
		panic(err) // the lengths are equal
	}
}

// orthogonal replaces a random m x n matrix by one whose rows (m <= n) or columns are orthogonal vectors of
// length gain: the Q of its QR factorisation, R with a positive diagonal, which is uniformly distributed if the
// numbers were normal.
func orthogonal(m, n int, a []float64, gain float64) {
	rows := a // the vectors, as columns, for QR
	if m < n {
		rows = transposed(m, n, a)
		m, n = n, m
		defer func() { copy(a, transposed(m, n, rows)) }()
	}
	r := linalg.QR(m, n, slices.Clone(rows))
	// A = Q R, so that R^T Q^T = A^T.
	q := transposed(m, n, rows)
	linalg.SolveLower(n, transposed(n, n, r), m, q)
	for i, v := range transposed(n, m, q) {
		rows[i] = v * gain
	}
}

// transposed is the transpose of an m x n matrix.
func transposed(m, n int, a []float64) []float64 {
	b := make([]float64, len(a))
	for i := range m {
		for j := range n {
			b[j*m+i] = a[i*n+j]
		}
	}
	return b
}
