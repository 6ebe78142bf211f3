package nn

import "fmt"

// A Network is a compiled architecture with its parameters.
type Network[T Float] struct {
	Architecture Architecture
	Params       []T // everything that is trained
	Grads        []T // what the last Backward found, element by element as Params
	Stats        []T // running statistics: of the state, but not trained

	rows        int
	batch       int // samples of the last Forward
	nodes       []node[T]
	inlets      []*inlet[T]
	names       []string
	tensors     []Tensor[T]
	headTensors int // the first that belongs to the head
	head        classifier[T]
	input       *buffer[T]
	slope       *buffer[T] // of the logits
	logits      *value[T]
	key         *key
	memory      int // elements of all rows and gradients
}

// A classifier is the op of a head.
type classifier[T Float] interface {
	op[T]
	classifier() (w, b []T) // what collapse measures: classes x features, and classes (nil: no bias)
}

// New compiles an architecture for batches of at most rows samples. The parameters are zero until Init or the
// Set of their tensors.
func New[T Float](a Architecture, rows int) (*Network[T], error) {
	net, err := compile[T](a, rows)
	if err != nil {
		return nil, fmt.Errorf("nn: %s: %w", a.Name, err)
	}
	return net, nil
}

// A draft is a compiled network without its parameters and the memory of its rows.
type draft[T Float] struct {
	*builder[T]
	in, logits  *value[T]
	headTensors int
	head        classifier[T]
}

func sketch[T Float](a Architecture, rows int) (*draft[T], error) {
	if rows < 1 {
		return nil, fmt.Errorf("batches of %d rows", rows)
	}
	if a.Input.Height < 1 || a.Input.Width < 1 || a.Input.Channels < 1 {
		return nil, fmt.Errorf("input of shape %v", a.Input)
	}
	if a.Head == nil {
		return nil, fmt.Errorf("no head")
	}
	b := &builder[T]{rows: rows, key: &key{}, seen: map[string]bool{}}
	in := &value[T]{shape: a.Input, isData: true, data: &buffer[T]{}}
	features, err := b.sequence(a.Layers, in)
	if err != nil {
		return nil, err
	}
	if features.shape != Vector(features.shape.Channels) {
		return nil, fmt.Errorf("the head takes a vector, but the layer before it gives %v", features.shape)
	}
	if b.names == nil || b.names[len(b.names)-1] != "features" {
		features = b.tap("features", features)
	}
	headTensors := len(b.tensors)
	logits, err := b.sequence([]Layer{a.Head}, features)
	if err != nil {
		return nil, err
	}
	head, ok := b.nodes[len(b.nodes)-1].op.(classifier[T])
	if !ok {
		return nil, fmt.Errorf("a %s is no head", a.Head.kind())
	}
	return &draft[T]{b, in, logits, headTensors, head}, nil
}

func compile[T Float](a Architecture, rows int) (*Network[T], error) {
	b, err := sketch[T](a, rows)
	if err != nil {
		return nil, err
	}
	net := &Network[T]{
		Architecture: a,
		Params:       make([]T, b.params), Grads: make([]T, b.params), Stats: make([]T, b.stats),
		rows: rows, nodes: b.nodes, inlets: b.inlets, names: b.names, tensors: b.tensors, headTensors: b.headTensors,
		head: b.head, input: b.in.data, slope: &buffer[T]{}, logits: b.logits, key: b.key,
	}
	for _, bind := range b.binds {
		bind(net.Params, net.Grads, net.Stats)
	}
	for i := range net.tensors {
		t := &net.tensors[i]
		switch {
		case t.Kind == Statistic:
			t.data = net.Stats[t.Offset : t.Offset+t.Len()]
		case t.Trainable:
			t.data = net.Params[t.Offset : t.Offset+t.Len()]
		}
	}
	net.memory = lay(net.nodes, rows, net.input, net.slope)
	return net, nil
}

// Rows is the largest batch.
func (net *Network[T]) Rows() int { return net.rows }

// Forward computes the logits, n x K, of n samples, n x height x width x channels. The result is valid until the
// next Forward; x must not change before Backward. It panics if n is not in 1..Rows() or x holds fewer samples.
func (net *Network[T]) Forward(x []T, n int, m Mode) (logits []T) {
	if size := net.Architecture.Input.Size(); n < 1 || n > net.rows || len(x) < n*size {
		panic(fmt.Sprintf("nn: a batch of %d rows and %d numbers, for a network of %d rows of %d", n, len(x), net.rows, size))
	}
	net.input.memory, net.batch = x, n
	for _, nd := range net.nodes {
		nd.op.forward(n, m)
	}
	return net.logits.rows(n)
}

// Backward writes the gradient of the loss with respect to Params to Grads, given that with respect to the
// logits of the last Forward, which was one in mode Train, n x K. dTaps[i], unless nil, is added to the gradient
// of the output of tap i; dTaps itself may be nil. A gradient at the network's input is not formed.
func (net *Network[T]) Backward(dLogits []T, dTaps [][]T) {
	net.slope.memory = dLogits
	for i, o := range net.inlets {
		o.extra = nil
		if i < len(dTaps) {
			o.extra = dTaps[i]
		}
	}
	for i := len(net.nodes) - 1; i >= 0; i-- {
		net.nodes[i].op.backward(net.batch)
	}
}

// DetachHead says whether the gradient of the logits stops at the head: it then trains the head's parameters,
// and the features have the gradients of the taps only.
func (net *Network[T]) DetachHead(on bool) { net.inlets[len(net.inlets)-1].shut = on }

// Step names the training step: dropout draws from the stream of this seed and step.
func (net *Network[T]) Step(seed, step uint64) { *net.key = key{seed, step} }

// Tap describes an output that can be measured.
type Tap struct {
	Name  string
	Shape Shape
	Dim   int // Shape.Size()
}

// Taps lists the outputs that can be measured, in order of depth. The last is "features", what the head sees.
func (net *Network[T]) Taps() []Tap {
	taps := make([]Tap, len(net.inlets))
	for i, o := range net.inlets {
		taps[i] = Tap{net.names[i], o.out.shape, o.out.shape.Size()}
	}
	return taps
}

// Output is the output of tap i for the n samples of the last Forward, n x Dim; images are n x height x width x
// channels. It is valid until Backward or the next Forward.
func (net *Network[T]) Output(i int) []T { return net.inlets[i].out.rows(net.batch) }

// Classifier returns the weights that meet the features, k x d by rows, and the bias, nil without one. They change
// as training goes on.
func (net *Network[T]) Classifier() (w, b []T, k, d int) {
	w, b = net.head.classifier()
	k = net.logits.shape.Size()
	return w, b, k, len(w) / k
}

// Tensors lists the network's state, in PyTorch's order.
func (net *Network[T]) Tensors() []Tensor[T] { return net.tensors }
