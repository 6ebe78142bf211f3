package nn

import (
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/ufm"
)

// newHead is a network of one dense layer and a head, with random parameters.
func newHead[T Float](t *testing.T, s HeadSpec, classes, d int) *Network[T] {
	t.Helper()
	before, head, err := s.layers("fc", classes)
	if err != nil {
		t.Fatal(err)
	}
	layers := append([]Layer{Dense{Name: "l", Out: d, Bias: true}}, before...)
	net, err := New[T](Architecture{Name: "head", Input: Vector(6), Layers: layers, Head: head}, 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := net.Init("pytorch", 3); err != nil {
		t.Fatal(err)
	}
	return net
}

var headCases = []struct {
	spec       HeadSpec
	classes, d int
	cosine     func(classes int, i, j int) float64 // between rows; nil where they are trained
}{
	{HeadSpec{}, 4, 3, nil},
	{HeadSpec{Name: "linear", Bias: ufm.NoBias}, 4, 3, nil},
	{HeadSpec{Name: "linear", UnitFeatures: true}, 4, 3, nil},
	{HeadSpec{Name: "simplex"}, 4, 3, simplexCosine},
	{HeadSpec{Name: "simplex", Bias: ufm.FreeBias}, 4, 4, simplexCosine},
	{HeadSpec{Name: "simplex", Scale: 2, UnitFeatures: true}, 4, 9, simplexCosine},
	{HeadSpec{Name: "simplex"}, 2, 1, simplexCosine},
	{HeadSpec{Name: "orthoplex", Scale: 0.5}, 6, 3, func(k, i, j int) float64 {
		if (i-j+k)%k == k/2 {
			return -1
		}
		return 0
	}},
	{HeadSpec{Name: "cube"}, 8, 3, func(_, i, j int) float64 {
		agree := 0.0
		for bit := range 3 {
			agree += float64(1 - 2*((i^j)>>bit&1))
		}
		return agree / 3
	}},
	{HeadSpec{Name: "identity"}, 4, 4, func(int, int, int) float64 { return 0 }},
	{HeadSpec{Name: "identity", Scale: 3, Bias: ufm.FreeBias}, 4, 7, func(int, int, int) float64 { return 0 }},
	{HeadSpec{Name: "cosine", Scale: 5}, 4, 3, nil},
}

func simplexCosine(k, _, _ int) float64 { return -1 / float64(k-1) }

func TestHeadGradients(t *testing.T) {
	for _, c := range headCases {
		net := newHead[float64](t, c.spec, c.classes, c.d)
		checkGradients(t, net, 5)
		checkGradients(t, net, 2)
	}
}

// Fixed rows have the length and the angles of their polytope, are in the state and not in the parameters, and do
// not move with the initialisation.
func TestFixedRows(t *testing.T) {
	for _, c := range headCases {
		if c.cosine == nil {
			continue
		}
		net := newHead[float64](t, c.spec, c.classes, c.d)
		w, bias, k, d := net.Classifier()
		if k != c.classes || d != c.d || (bias != nil) != (c.spec.Bias == ufm.FreeBias) {
			t.Fatalf("%+v: classifier of %d classes and %d dimensions, bias %v", c.spec, k, d, bias)
		}
		length := c.spec.Scale
		if length == 0 {
			length = 1
		}
		for i := range k {
			for j := range k {
				want := length * length
				if i != j {
					want *= c.cosine(k, i, j)
				}
				got := 0.0
				for m := range d {
					got += w[i*d+m] * w[j*d+m]
				}
				if math.Abs(got-want) > 1e-14*length*length {
					t.Errorf("%+v: rows %d and %d have the product %v, wanted %v", c.spec, i, j, got, want)
				}
			}
		}
		trained := (6 + 1) * d
		if bias != nil {
			trained += k
		}
		if len(net.Params) != trained {
			t.Errorf("%+v: %d parameters, wanted %d", c.spec, len(net.Params), trained)
		}
		i := slices.IndexFunc(net.Tensors(), func(t Tensor[float64]) bool { return t.Name == "fc.weight" })
		if i < 0 {
			t.Fatalf("%+v: no tensor fc.weight", c.spec)
		}
		weight := net.Tensors()[i]
		got := make([]float64, k*d)
		if err := weight.Get(got); err != nil || weight.Trainable || weight.Kind != Weight || !slices.Equal(weight.Shape, []int{k, d}) || !slices.Equal(got, w) {
			t.Errorf("%+v: tensor %+v, %v", c.spec, weight, err)
		}
		if err := net.Init("xavier", 9); err != nil {
			t.Fatal(err)
		}
		if again, _, _, _ := net.Classifier(); !slices.Equal(again, got) {
			t.Errorf("%+v: the rows moved", c.spec)
		}
	}
}

// With as many dimensions as classes every coordinate of the simplex belongs to one class: the unit vectors are as good
// as the rows, which is what features behind a ReLU become.
func TestSimplexOfCoordinates(t *testing.T) {
	w, err := fixedRows(ufm.Simplex, 5, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		for j := range 5 {
			want := -math.Sqrt(5./4) / 5
			if i == j {
				want += math.Sqrt(5. / 4)
			}
			if math.Abs(w[i*5+j]-want) > 1e-15 {
				t.Errorf("row %d, coordinate %d: %v, wanted %v", i, j, w[i*5+j], want)
			}
		}
	}
}

func TestCosineHead(t *testing.T) {
	net := newHead[float64](t, HeadSpec{Name: "cosine", Scale: 5}, 4, 3)
	x := []float64{1, -2, 3, 0.5, 0, 1, 0, 0, 0, 0, 0, 0}
	for i := range 3 { // the dense layer's bias
		net.Params[18+i] = 0
	}
	z := slices.Clone(net.Forward(x, 2, Train))
	h := net.Output(len(net.Taps()) - 1)
	if length := math.Hypot(math.Hypot(h[0], h[1]), h[2]); math.Abs(length-1) > 1e-15 || h[3] != 0 || h[4] != 0 || h[5] != 0 {
		t.Errorf("features %v, wanted a unit vector and zeros", h)
	}
	w, b, k, d := net.Classifier()
	if b != nil {
		t.Error("a bias")
	}
	raw := net.Params[len(net.Params)-k*d:]
	for c := range k {
		row := raw[c*d : (c+1)*d]
		length := math.Hypot(math.Hypot(row[0], row[1]), row[2])
		cosine := (row[0]*h[0] + row[1]*h[1] + row[2]*h[2]) / length
		if math.Abs(z[c]-5*cosine) > 1e-14 || z[k+c] != 0 {
			t.Errorf("class %d: logits %v and %v, wanted %v and 0", c, z[c], z[k+c], 5*cosine)
		}
		for m := range d {
			if want := 5 * row[m] / length; math.Abs(w[c*d+m]-want) > 1e-14 {
				t.Errorf("classifier %v, wanted %v", w[c*d+m], want)
			}
		}
	}
	// Neither the length of a row nor that of the features matters.
	for i := range raw {
		raw[i] *= 1e30
	}
	for i := range x {
		x[i] *= 1e-200
	}
	for c, v := range net.Forward(x, 2, Train) {
		if math.Abs(v-z[c]) > 1e-14 {
			t.Errorf("logit %v after scaling, before %v", v, z[c])
		}
	}
}

// A row of zeros has no direction: it stays, and nothing becomes NaN.
func TestCosineHeadOfZeros(t *testing.T) {
	net := newHead[float32](t, HeadSpec{Name: "cosine"}, 4, 3)
	clear(net.Params)
	for _, v := range net.Forward(make([]float32, 12), 2, Train) {
		if v != 0 {
			t.Errorf("logit %v", v)
		}
	}
	net.Backward(slices.Repeat([]float32{1}, 8), nil)
	for _, v := range net.Grads {
		if v != 0 {
			t.Errorf("gradient %v", v)
		}
	}
}

func TestHeadFloat32(t *testing.T) {
	for _, c := range headCases {
		a, b := newHead[float32](t, c.spec, c.classes, c.d), newHead[float64](t, c.spec, c.classes, c.d)
		for i, v := range a.Params {
			b.Params[i] = float64(v)
		}
		x := make([]float64, 5*6)
		for i := range x {
			x[i] = float64(i*i%17-8) / 8
		}
		x32 := make([]float32, len(x))
		for i, v := range x {
			x32[i] = float32(v)
		}
		za, zb := a.Forward(x32, 5, Train), b.Forward(x, 5, Train)
		near := func(what string, a []float32, b []float64) {
			for i := range a {
				if math.Abs(float64(a[i])-b[i]) > 1e-5 { // values around 1, products of up to nine terms
					t.Errorf("%+v: %s %d: %v in float32, %v in float64", c.spec, what, i, a[i], b[i])
				}
			}
		}
		near("logit", za, zb)
		a.Backward(slices.Repeat([]float32{0.5}, len(za)), nil)
		b.Backward(slices.Repeat([]float64{0.5}, len(zb)), nil)
		near("gradient", a.Grads, b.Grads)
	}
}

func TestHeadErrors(t *testing.T) {
	for _, c := range []struct {
		spec HeadSpec
		want string
	}{
		{HeadSpec{Name: "simplx"}, `no head "simplx", there are linear, simplex, orthoplex, cube, identity, cosine; did you mean simplex?`},
		{HeadSpec{Name: "simplex", Bias: "decayed"}, `head simplex: bias "decayed", wanted free or none`},
		{HeadSpec{Name: "simplex", Scale: -1}, "head simplex: scale -1, wanted a number above 0"},
		{HeadSpec{Name: "cube", Scale: math.NaN()}, "head cube: scale NaN, wanted a number above 0"},
		{HeadSpec{Scale: 2}, "head linear: scale 2, but its rows have no fixed length"},
		{HeadSpec{Name: "cosine", Bias: ufm.FreeBias}, "head cosine: it has no bias"},
	} {
		if _, _, err := c.spec.layers("fc", 4); err == nil || err.Error() != c.want {
			t.Errorf("%+v:\n got %v\nwant %s", c.spec, err, c.want)
		}
	}
	for _, c := range []struct {
		head Layer
		d    int
		want string
	}{
		{FixedHead{Name: "fc", Out: 10, Shape: ufm.Simplex, Scale: 1}, 8, "nn: test: fc: a simplex of 10 classes needs at least 9 dimensions, not 8: choose another head or feature dimension"},
		{FixedHead{Name: "fc", Out: 10, Shape: ufm.Orthoplex, Scale: 1}, 8, "nn: test: fc: an orthoplex of 10 classes has K/2 dimensions, not 8: choose another head or feature dimension"},
		{FixedHead{Name: "fc", Out: 10, Shape: ufm.Cube, Scale: 1}, 8, "nn: test: fc: a cube has 2^d classes, in 8 dimensions not 10: choose another head or feature dimension"},
		{FixedHead{Name: "fc", Out: 10, Shape: ufm.Identity, Scale: 1}, 8, "nn: test: fc: an orthonormal frame of 10 classes needs as many dimensions, not 8: choose another head or feature dimension"},
	} {
		_, err := New[float32](Architecture{Name: "test", Input: Vector(c.d), Head: c.head}, 1)
		if err == nil || err.Error() != c.want {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
}

func TestHeadAllocates(t *testing.T) {
	if raced {
		t.Skip("the race detector makes pools forget")
	}
	for _, c := range headCases {
		net := newHead[float32](t, c.spec, c.classes, c.d)
		x, dz := make([]float32, 5*6), make([]float32, 5*c.classes)
		plain := newHead[float32](t, HeadSpec{}, c.classes, c.d)
		step := func(n *Network[float32]) float64 {
			return testing.AllocsPerRun(20, func() { n.Forward(x, 5, Train); n.Backward(dz, nil) })
		}
		if got, dense := step(net), step(plain); got > dense {
			t.Errorf("%+v: %v allocations a step, a dense head has %v", c.spec, got, dense)
		}
	}
}

// What a fixed head and a feature dimension of K save of a CIFAR ResNet-18 is 20.7 % (Zhu et al. 2021): the last
// convolution has 10 channels instead of 512, and so has its norm; its block gains a projection; the head is frozen.
func TestCount(t *testing.T) {
	count := func(o ArchitectureOptions) (trained, frozen int) {
		o.Input, o.Classes = Shape{32, 32, 3}, 10
		a, err := Build("resnet18", o)
		if err != nil {
			t.Fatal(err)
		}
		trained, frozen, err = Count(a)
		if err != nil {
			t.Fatal(err)
		}
		return trained, frozen
	}
	const whole = 11173962 // as torchvision's with the stem for 32 x 32
	for _, c := range []struct {
		o               ArchitectureOptions
		trained, frozen int
	}{
		{ArchitectureOptions{}, whole, 0},
		{ArchitectureOptions{Head: HeadSpec{Bias: ufm.NoBias}}, whole - 10, 0},
		{ArchitectureOptions{Head: HeadSpec{Name: "simplex"}}, whole - 513*10, 5120},
		{ArchitectureOptions{FeatureDim: 10, Head: HeadSpec{Name: "simplex"}}, whole - 512*9*502 - 2*502 + 512*10 + 2*10 - 513*10, 100},
	} {
		if trained, frozen := count(c.o); trained != c.trained || frozen != c.frozen {
			t.Errorf("%+v: %d trained and %d frozen, wanted %d and %d", c.o, trained, frozen, c.trained, c.frozen)
		}
	}
	if _, _, err := Count(Architecture{Name: "test", Input: Vector(3)}); err == nil || err.Error() != "nn: test: no head" {
		t.Errorf("no head: %v", err)
	}
}

func TestHeadWorkers(t *testing.T) {
	for _, s := range []HeadSpec{{UnitFeatures: true}, {Name: "simplex", Bias: ufm.FreeBias}, {Name: "cosine"}} {
		run := func(workers int) (logits, grads []float32) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(workers))
			const rows, classes = 128, 100
			before, head, err := s.layers("fc", classes)
			if err != nil {
				t.Fatal(err)
			}
			layers := append([]Layer{Dense{Name: "l", Out: 300}}, before...)
			net, err := New[float32](Architecture{Name: "head", Input: Vector(6), Layers: layers, Head: head}, rows)
			if err != nil {
				t.Fatal(err)
			}
			if err := net.Init("pytorch", 3); err != nil {
				t.Fatal(err)
			}
			x := make([]float32, rows*6)
			for i := range x {
				x[i] = float32(i*i%17-8) / 8
			}
			logits = slices.Clone(net.Forward(x, rows, Train))
			net.Backward(logits, nil)
			return logits, net.Grads
		}
		za, ga := run(1)
		zb, gb := run(2)
		if !slices.Equal(za, zb) || !slices.Equal(ga, gb) {
			t.Errorf("%+v: bits differ between one worker and two", s)
		}
	}
}

// A detached head learns and teaches nothing.
func TestDetachHead(t *testing.T) {
	net := newHead[float64](t, HeadSpec{}, 4, 3)
	x := []float64{1, -2, 3, 0.5, 0, 1}
	dz, dh := []float64{1, -1, 2, 0}, []float64{0.5, 1, -1}
	run := func(detach bool, dz, dh []float64) []float64 {
		net.DetachHead(detach)
		net.Forward(x, 1, Train)
		net.Backward(dz, [][]float64{dh})
		return slices.Clone(net.Grads)
	}
	const head = 6*3 + 3
	both, detached := run(false, dz, dh), run(true, dz, dh)
	if !slices.Equal(detached[head:], both[head:]) {
		t.Errorf("the head's gradient is %v, wanted %v", detached[head:], both[head:])
	}
	if want := run(false, make([]float64, 4), dh); !slices.Equal(detached[:head], want[:head]) {
		t.Errorf("gradient below the head %v, wanted %v", detached[:head], want[:head])
	}
	if again := run(false, dz, dh); !slices.Equal(again, both) {
		t.Error("the head stays detached")
	}
}

// Heads behind whole networks: features after ReLU and batch norm, and flattened from an image.
func TestBuildHeads(t *testing.T) {
	for _, s := range []HeadSpec{{Name: "cosine", Scale: 4}, {Name: "simplex", UnitFeatures: true}, {Name: "identity"}, {UnitFeatures: true}} {
		for _, name := range []string{"mlp", "cnn"} {
			a, err := Build(name, ArchitectureOptions{Input: Shape{4, 4, 2}, Classes: 3, Width: 4, FeatureDim: 5, Head: s})
			if err != nil {
				t.Fatal(err)
			}
			net, err := New[float64](a, 4)
			if err != nil {
				t.Fatal(err)
			}
			if err := net.Init("pytorch", 2); err != nil {
				t.Fatal(err)
			}
			checkGradients(t, net, 4)
		}
	}
	flat := Architecture{Name: "flat", Input: Shape{2, 2, 3}, Layers: []Layer{Conv{Name: "c", Out: 3, Kernel: 1}, Flatten{}}, Head: FixedHead{Name: "fc", Out: 4, Shape: ufm.Simplex, Scale: 1}}
	net, err := New[float64](flat, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := net.Init("pytorch", 2); err != nil {
		t.Fatal(err)
	}
	checkGradients(t, net, 3)

	_, err = Build("mlp", ArchitectureOptions{Input: Vector(4), Classes: 3, Head: HeadSpec{Name: "simplx"}})
	if want := `nn: mlp: no head "simplx", there are linear, simplex, orthoplex, cube, identity, cosine; did you mean simplex?`; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
