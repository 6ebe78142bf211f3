package nn

import (
	"math"
	"testing"

	"github.com/collapsar/collapsar/internal/optimize"
	"github.com/collapsar/collapsar/ufm"
)

// freeFeatures is a network whose features are parameters: sample i is the unit vector i, and one dense layer without bias
// stands before the head. Trained to the end it has to reach what the theory of unconstrained features says, which
// knows nothing of these losses, heads and gradients.
type freeFeatures struct {
	net     *Network[float64]
	loss    *Loss[float64]
	batch   Batch[float64]
	x       []float64
	decay   float64 // lambda_W, of the trained rows
	n, k, d int
}

func newFreeFeatures(t *testing.T, labels []int32, tags []float64, k, d int, head HeadSpec, spec LossSpec, decay float64) *freeFeatures {
	t.Helper()
	f := &freeFeatures{loss: mustLoss[float64](t, spec), decay: decay, n: len(labels) + len(tags)/k, k: k, d: d}
	before, classifier, err := head.layers("fc", k)
	if err != nil {
		t.Fatal(err)
	}
	layers := append([]Layer{Dense{Name: "h", Out: d}}, before...)
	f.net, err = New[float64](Architecture{Name: "free", Input: Vector(f.n), Layers: layers, Head: classifier}, f.n)
	if err != nil {
		t.Fatal(err)
	}
	f.net.DetachHead(f.loss.DetachesHead())
	f.x = make([]float64, f.n*f.n)
	for i := range f.n {
		f.x[i*f.n+i] = 1
	}
	f.batch = Batch[float64]{Rows: f.n, Classes: k, Labels: labels, Tags: tags, DLogits: make([]float64, f.n*k),
		DTaps: [][]float64{make([]float64, f.n*d)}}
	return f
}

func (f *freeFeatures) value(x, g []float64) float64 {
	copy(f.net.Params, x)
	f.batch.Logits = f.net.Forward(f.x, f.n, Train)
	f.batch.Taps = [][]float64{f.net.Output(0)}
	v := f.loss.Value(&f.batch)
	f.net.Backward(f.batch.DLogits, f.batch.DTaps)
	copy(g, f.net.Grads)
	for _, t := range f.net.Tensors() {
		if t.Name == "fc.weight" && t.Trainable {
			for i := t.Offset; i < t.Offset+t.Len(); i++ {
				v += f.decay / 2 * x[i] * x[i]
				g[i] += f.decay * x[i]
			}
		}
	}
	return v
}

// best is the lowest value of a few random starts.
func (f *freeFeatures) best(t *testing.T) float64 {
	best := math.Inf(1)
	var at []float64
	for seed := range uint64(4) {
		if err := f.net.Init("pytorch", seed); err != nil {
			t.Fatal(err)
		}
		r := optimize.LBFGS(t.Context(), optimize.Problem{Value: f.value}, append([]float64(nil), f.net.Params...), optimize.Settings{Gradient: 1e-11, Iterations: 3000})
		if r.Value < best {
			best, at = r.Value, r.X
		}
	}
	f.value(at, make([]float64, len(at)))
	return best
}

// cosines returns the largest distance of a row from its class mean, and the least and largest cosine of two means.
func (f *freeFeatures) cosines() (spread, least, most float64) {
	h := f.batch.Taps[0]
	mean, count := make([]float64, f.k*f.d), make([]float64, f.k)
	for i, y := range f.batch.Labels {
		count[y]++
		for j, v := range h[i*f.d : (i+1)*f.d] {
			mean[int(y)*f.d+j] += v
		}
	}
	for i := range mean {
		mean[i] /= count[i/f.d]
	}
	for i, y := range f.batch.Labels {
		for j, v := range h[i*f.d : (i+1)*f.d] {
			spread = max(spread, math.Abs(v-mean[int(y)*f.d+j]))
		}
	}
	product := func(a, b int) (s float64) {
		for j := range f.d {
			s += mean[a*f.d+j] * mean[b*f.d+j]
		}
		return s
	}
	least, most = 1, -1
	for a := range f.k {
		for b := range a {
			c := product(a, b) / math.Sqrt(product(a, a)*product(b, b))
			least, most = min(least, c), max(most, c)
		}
	}
	return spread, least, most
}

func balancedLabels(k, n int) []int32 {
	labels := make([]int32, k*n)
	for i := range labels {
		labels[i] = int32(i / n)
	}
	return labels
}

// TestTheory trains free features with every loss, and compares value and geometry of the end with the closed forms of package ufm
// and, where it has none, with those beside the case.
func TestTheory(t *testing.T) {
	const k, n, lambdaW, lambdaH = 4, 3, 0.01, 0.002
	const N = k * n
	lam := math.Sqrt(n * lambdaW * lambdaH)
	none, free := HeadSpec{Bias: ufm.NoBias}, HeadSpec{Bias: ufm.FreeBias}
	counts := []int{n, n, n, n}
	theory := func(l ufm.Loss, d int, change func(p *ufm.Problem)) float64 {
		p := ufm.Problem{Loss: l, Counts: counts, Dim: d, W: ufm.Decay(lambdaW), H: ufm.Decay(lambdaH), Bias: ufm.NoBias}
		if change != nil {
			change(&p)
		}
		best, err := p.Optimum()
		if err != nil {
			t.Fatal(err)
		}
		return best.Value
	}
	withBias := func(p *ufm.Problem) { p.Bias = ufm.FreeBias }
	fixed := func(shape ufm.Polytope, size float64) func(p *ufm.Problem) {
		return func(p *ufm.Problem) { p.Classifier, p.W = shape, ufm.Sphere(size) }
	}
	orthogonal, simplex := 0.0, -1./(k-1)
	for _, c := range []struct {
		name   string
		spec   LossSpec
		head   HeadSpec
		d      int
		want   float64
		cosine float64 // between class means; NaN: not looked at
	}{
		{"ce", LossSpec{Name: "ce"}, none, 3, theory(ufm.Loss{Kind: ufm.CrossEntropy}, 3, nil), simplex},
		{"ce, bias", LossSpec{Name: "ce"}, free, 5, theory(ufm.Loss{Kind: ufm.CrossEntropy}, 5, withBias), simplex},
		{"ce, svsl does not move the optimum", LossSpec{Name: "ce", SVSL: 0.1}, none, 3, theory(ufm.Loss{Kind: ufm.CrossEntropy}, 3, nil), simplex},
		{"label smoothing", LossSpec{Name: "label_smoothing", Smoothing: 0.2}, none, 3, theory(ufm.Loss{Kind: ufm.CrossEntropy, Smoothing: 0.2}, 3, nil), simplex},
		{"focal", LossSpec{Name: "focal"}, none, 4, theory(ufm.Loss{Kind: ufm.Focal, Focus: 2}, 4, nil), simplex},
		{"mse", LossSpec{Name: "mse"}, none, 4, theory(ufm.Loss{Kind: ufm.SquaredError}, 4, nil), orthogonal},
		{"mse, bias", LossSpec{Name: "mse"}, free, 4, theory(ufm.Loss{Kind: ufm.SquaredError}, 4, withBias), simplex},
		// The own logit o, the others 0, cost kappa/2 (o-M)^2 + K Lambda o.
		{"mse_rescaled", LossSpec{Name: "mse_rescaled", Kappa: 3, Scale: 2}, none, 4, k*lam*2 - k*k*lam*lam/6, orthogonal},
		// The own logit o, the others q, cost kappa/2 (o-M)^2 + (K-1)/2 q^2 + (K-1) Lambda (o-q).
		{"mse_rescaled, bias", LossSpec{Name: "mse_rescaled", Kappa: 3, Scale: 2}, free, 4, (k-1)*lam*2 - (k-1)*(k-1)*lam*lam/6 - (k-1)*lam*lam/2, simplex},
		{"bce, bias", LossSpec{Name: "bce"}, free, 4, bceOptimum(k, lam), simplex},
		{"pal of one label", LossSpec{Name: "pal"}, none, 3, theory(ufm.Loss{Kind: ufm.CrossEntropy}, 3, nil), simplex},
		{"fixed simplex", LossSpec{Name: "ce"}, HeadSpec{Name: "simplex", Scale: 2}, 6, theory(ufm.Loss{Kind: ufm.CrossEntropy}, 6, fixed(ufm.Simplex, 4)), simplex},
		{"fixed orthoplex", LossSpec{Name: "ce"}, HeadSpec{Name: "orthoplex", Scale: 2}, 2, theory(ufm.Loss{Kind: ufm.CrossEntropy}, 2, fixed(ufm.Orthoplex, 4)), math.NaN()},
		{"fixed cube", LossSpec{Name: "ce"}, HeadSpec{Name: "cube", Scale: 2}, 2, theory(ufm.Loss{Kind: ufm.CrossEntropy}, 2, fixed(ufm.Cube, 4)), math.NaN()},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.FeatureDecay = N * lambdaH
			f := newFreeFeatures(t, balancedLabels(k, n), nil, k, c.d, c.head, c.spec, lambdaW)
			if got := f.best(t); math.Abs(got-c.want) > 1e-10 {
				t.Errorf("value %.13f, theory %.13f", got, c.want)
			}
			f.geometry(t, c.cosine, 1e-6)
		})
	}
}

// geometry wants the features at their class means, and these at one cosine to one another, unless that is NaN.
func (f *freeFeatures) geometry(t *testing.T, cosine, tolerance float64) {
	t.Helper()
	spread, least, most := f.cosines()
	if spread > tolerance {
		t.Errorf("features are %v away from their class means", spread)
	}
	if max(math.Abs(least-cosine), math.Abs(most-cosine)) > tolerance {
		t.Errorf("cosines of the means from %v to %v, wanted %v", least, most, cosine)
	}
}

// bceOptimum minimises ln(1+e^-a) + (K-1) ln(1+e^c) + (K-1) Lambda (a-c) over the own logit a and the others c, which is what is left
// with a free bias: both derivatives are of one variable.
func bceOptimum(k, lam float64) float64 {
	a := math.Log(1/((k-1)*lam) - 1) // sigmoid(-a) = (K-1) Lambda
	c := -math.Log(1/lam - 1)        // sigmoid(c) = Lambda
	return math.Log1p(math.Exp(-a)) + (k-1)*math.Log1p(math.Exp(c)) + (k-1)*lam*(a-c)
}

// On the sphere: cosines over a temperature, with and without margin, and the supervised contrastive loss.
func TestTheoryOnTheSphere(t *testing.T) {
	const k, n, d = 4, 3, 3
	simplex := -1. / (k - 1)
	for _, c := range []struct {
		spec LossSpec
		want float64
	}{
		{LossSpec{Name: "cosine_softmax", Temperature: 0.5}, math.Log1p((k - 1) * math.Exp((simplex-1)/0.5))},
		{LossSpec{Name: "cosine_softmax", Temperature: 0.5, Margin: 0.3}, math.Log1p((k - 1) * math.Exp((simplex-1+0.3)/0.5))},
		{LossSpec{Name: "supcon", Temperature: 0.5}, math.Log(n - 1 + n*(k-1)*math.Exp((simplex-1)/0.5))},
	} {
		t.Run(specName(c.spec), func(t *testing.T) {
			f := newFreeFeatures(t, balancedLabels(k, n), nil, k, d, HeadSpec{Name: "cosine"}, c.spec, 0)
			if f.loss.DetachesHead() { // the value does not have what trains the head
				f = newFreeFeatures(t, balancedLabels(k, n), nil, k, d, HeadSpec{Name: "simplex", UnitFeatures: true}, c.spec, 0)
			}
			if got := f.best(t); math.Abs(got-c.want) > 1e-10 {
				t.Errorf("value %.13f, theory %.13f", got, c.want)
			}
			f.geometry(t, simplex, 1e-6)
		})
	}
}

// Dot regression on a fixed simplex: features along their rows whatever the class counts (Yang et al. 2022).
func TestTheoryDotRegression(t *testing.T) {
	labels := []int32{0, 0, 0, 0, 0, 0, 1, 2, 2, 3}
	f := newFreeFeatures(t, labels, nil, 4, 4, HeadSpec{Name: "simplex", Scale: 2, UnitFeatures: true}, LossSpec{Name: "dot", Target: 2}, 0)
	if got := f.best(t); got > 1e-12 {
		t.Errorf("value %v, wanted 0", got)
	}
	f.geometry(t, -1./3, 1e-3) // the loss is of fourth order in the angle
}

// Pick-all-label with all sets of one and two tags (Li et al. 2023), summed and averaged.
func TestTheoryPickAllLabel(t *testing.T) {
	const k, d, lambdaW, lambdaH = 4, 3, 0.01, 0.002
	sets := map[int]int{1: 2, 2: 1}
	var tags []float64
	add := func(set ...int) {
		row := make([]float64, k)
		for _, j := range set {
			row[j] = 1
		}
		tags = append(tags, row...)
	}
	for i := range k {
		add(i)
		add(i)
		for j := range i {
			add(i, j)
		}
	}
	samples := float64(len(tags) / k)
	for name, average := range map[string]bool{"pal": false, "pal_mean": true} {
		p := ufm.Problem{Loss: ufm.Loss{Kind: ufm.PickAllLabel, Sets: sets, Classes: k, Average: average}, Dim: d,
			W: ufm.Decay(lambdaW), H: ufm.Decay(lambdaH), Bias: ufm.NoBias}
		want, err := p.Optimum()
		if err != nil {
			t.Fatal(err)
		}
		f := newFreeFeatures(t, nil, tags, k, d, HeadSpec{Bias: ufm.NoBias}, LossSpec{Name: name, FeatureDecay: samples * lambdaH}, lambdaW)
		if got := f.best(t); math.Abs(got-want.Value) > 1e-10 {
			t.Errorf("%s: value %.13f, theory %.13f", name, got, want.Value)
		}
		floor, _ := f.loss.Floor(&f.batch)
		data, _, _ := f.loss.Terms()
		if half := 6 * math.Log(2) / samples; data < floor || math.Abs(floor-map[bool]float64{false: 2 * half, true: half}[average]) > 1e-15 {
			t.Errorf("%s: loss %v, floor %v", name, data, floor)
		}
	}
}

// Rate reduction spreads a class in a subspace of its own instead of a point: class means of unit features stay short of
// length 1, and features of different classes are orthogonal (Yu et al. 2020).
func TestTheoryRateReduction(t *testing.T) {
	const k, n, d = 3, 6, 6
	f := newFreeFeatures(t, balancedLabels(k, n), nil, k, d, HeadSpec{Name: "simplex", UnitFeatures: true}, LossSpec{Name: "mcr2"}, 0)
	// Two dimensions a class, evenly filled: Z^T Z = N/d I, each class n/2 in its two.
	want := -0.5*d*math.Log1p(1/0.5) + k*(1./k)*0.5*2*math.Log1p(d/(n*0.5)*n/2)
	if got := f.best(t); math.Abs(got-want) > 1e-9 {
		t.Errorf("value %.12f, wanted %.12f", got, want)
	}
	h := f.batch.Taps[0]
	for i, y := range f.batch.Labels {
		for j, w := range f.batch.Labels[:i] {
			cosine := 0.0
			for m := range d {
				cosine += h[i*d+m] * h[j*d+m]
			}
			if y != w && math.Abs(cosine) > 1e-4 {
				t.Fatalf("rows %d and %d of different classes have the cosine %v", i, j, cosine)
			}
		}
	}
}
