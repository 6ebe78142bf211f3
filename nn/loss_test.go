package nn

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// lossSpecs has every loss, with every option somewhere.
func lossSpecs() []LossSpec {
	return []LossSpec{
		{Name: "ce"},
		{Name: "ce", Smoothing: 0.1, FeatureDecay: 0.05},
		{Name: "ce", Adjustment: 1.5, Priors: []float64{4, 3, 2, 1, 0.5}},
		{Name: "ce", SVSL: 0.2},
		{Name: "ce", SVSL: 0.2, SVSLFrom: 1, FeatureDecay: 0.05},
		{Name: "label_smoothing"},
		{Name: "focal"},
		{Name: "focal", Gamma: 0.5, Adjustment: 1, Priors: []float64{4, 3, 2, 1, 0.5}},
		{Name: "mse"},
		{Name: "mse_rescaled", Kappa: 15, Scale: 3},
		{Name: "bce"},
		{Name: "pal", FeatureDecay: 0.05},
		{Name: "pal_mean"},
		{Name: "dot", Target: 2},
		{Name: "cosine_softmax", Temperature: 0.5, Margin: 0.35},
		{Name: "supcon"},
		{Name: "supcon", Temperature: 0.5, SVSL: 0.2, FeatureDecay: 0.05},
		{Name: "mcr2"},
		{Name: "mcr2", Distortion: 0.1, FeatureDecay: 0.05},
	}
}

func specName(s LossSpec) string {
	data, _ := json.Marshal(s)
	return string(data)
}

// newBatch is a batch of normal logits and taps of 3 and d columns, with places for all gradients.
func newBatch[T Float](seed uint64, n, k, d int, tags, weights bool) *Batch[T] {
	r := rand.New(rand.NewPCG(seed, 0))
	normal := func(n int) []T {
		x := make([]T, n)
		for i := range x {
			x[i] = T(math.Round(r.NormFloat64()*1024) / 1024) // exact in float32
		}
		return x
	}
	b := &Batch[T]{Rows: n, Classes: k, Logits: normal(n * k), DLogits: normal(n * k),
		Taps: [][]T{normal(n * 3), normal(n * d)}, DTaps: [][]T{normal(n * 3), normal(n * d)}}
	if tags {
		b.Tags = make([]T, n*k)
		for i := range b.Tags {
			b.Tags[i] = T(r.IntN(2))
		}
		clear(b.Tags[:k]) // a row without tags
		for j := range k {
			b.Tags[k+j] = 1 // and one with all of them
		}
	} else {
		b.Labels = make([]int32, n)
		for i := range b.Labels {
			b.Labels[i] = int32(r.IntN(k))
		}
	}
	if weights {
		b.Weight = make([]T, n)
		for i := range b.Weight {
			b.Weight[i] = T(r.IntN(4))
		}
		b.Weight[n-1] = 2
	}
	return b
}

func mustLoss[T Float](t testing.TB, s LossSpec) *Loss[T] {
	t.Helper()
	l, err := NewLoss[T](s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// eachCase runs f for every loss, for one and for several labels a row where it takes them, with and without weights.
func eachCase(t *testing.T, f func(t *testing.T, s LossSpec, tags, weights bool)) {
	for _, s := range lossSpecs() {
		for _, tags := range []bool{false, true} {
			if info, _ := findLoss(s.Name); tags && (!info.Tags || s.SVSL != 0) {
				continue
			}
			for _, weights := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/tags=%v/weights=%v", specName(s), tags, weights), func(t *testing.T) { f(t, s, tags, weights) })
			}
		}
	}
}

func TestLossGradients(t *testing.T) {
	eachCase(t, func(t *testing.T, s LossSpec, tags, weights bool) {
		for _, shape := range [][3]int{{7, 5, 4}, {4, 5, 9}, {2, 5, 1}} {
			b := newBatch[float64](1, shape[0], shape[1], shape[2], tags, weights)
			l := mustLoss[float64](t, s)
			if err := l.Check(b); err != nil {
				t.Fatal(err)
			}
			l.Value(b)
			dLogits := slices.Clone(b.DLogits)
			dTaps := [][]float64{slices.Clone(b.DTaps[0]), slices.Clone(b.DTaps[1])}
			value := *b
			value.DLogits, value.DTaps = nil, nil
			slope := func(x []float64, i int) float64 {
				const h = 1e-5
				at := x[i]
				x[i] = at + h
				up := l.Value(&value)
				x[i] = at - h
				down := l.Value(&value)
				x[i] = at
				return (up - down) / (2 * h)
			}
			check := func(name string, x, dx []float64) {
				for i := range x {
					// Rounding of the values gives 1e-15/h, the third derivative times h^2 the rest.
					if want := slope(x, i); math.Abs(dx[i]-want) > 2e-8*(1+math.Abs(want)) {
						t.Errorf("%v: %s[%d]: gradient %v, difference quotient %v", shape, name, i, dx[i], want)
					}
				}
			}
			if l.DetachesHead() { // the gradient is that of the probe
				probe := *b
				probe.DLogits = make([]float64, len(dLogits))
				mustLoss[float64](t, LossSpec{Name: "ce"}).Value(&probe)
				if !slices.Equal(dLogits, probe.DLogits) {
					t.Errorf("gradient of the logits %v, that of ce is %v", dLogits, probe.DLogits)
				}
			} else {
				check("logits", b.Logits, dLogits)
			}
			check("tap 0", b.Taps[0], dTaps[0])
			check("features", b.Taps[1], dTaps[1])
			for i, d := range dTaps {
				if zero := !slices.ContainsFunc(d, func(v float64) bool { return v != 0 }); shape[0] == 7 && zero == l.NeedsTap(i, 2) {
					t.Errorf("tap %d is needed: %v, but its gradient is zero: %v", i, l.NeedsTap(i, 2), zero)
				}
			}
		}
	})
}

func TestLossOfPyTorch(t *testing.T) {
	data, err := os.ReadFile("testdata/losses.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Logits, Features, Early, Tags []float64
		Labels                        []int32
		ClassWeights                  []float64 `json:"class_weights"`
		Cases                         map[string]struct {
			Spec           LossSpec
			Tags, Weighted bool
			Value          float64
			DLogits        []float64
			DFeatures      []float64
			DEarly         []float64
		}
	}
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	n := len(f.Labels)
	if n == 0 || len(f.Cases) < 20 {
		t.Fatalf("%d rows and %d cases", n, len(f.Cases))
	}
	for name, c := range f.Cases {
		l := mustLoss[float64](t, c.Spec)
		b := &Batch[float64]{Rows: n, Classes: len(f.Logits) / n, Logits: f.Logits, DLogits: make([]float64, len(f.Logits)),
			Taps: [][]float64{f.Early, f.Features}, DTaps: [][]float64{make([]float64, len(f.Early)), make([]float64, len(f.Features))}}
		if c.Tags {
			b.Tags = f.Tags
		} else {
			b.Labels = f.Labels
		}
		if c.Weighted {
			for _, y := range f.Labels {
				b.Weight = append(b.Weight, f.ClassWeights[y])
			}
		}
		if err := l.Check(b); err != nil {
			t.Fatal(err)
		}
		if got := l.Value(b); math.Abs(got-c.Value) > 1e-12*max(1, math.Abs(c.Value)) {
			t.Errorf("%s: %v, PyTorch has %v", name, got, c.Value)
		}
		for _, g := range []struct {
			of        string
			got, want []float64
		}{{"logits", b.DLogits, c.DLogits}, {"features", b.DTaps[1], c.DFeatures}, {"first tap", b.DTaps[0], c.DEarly}} {
			for i, v := range g.got {
				want := 0.0
				if g.want != nil {
					want = g.want[i]
				}
				if math.Abs(v-want) > 1e-12*max(1, math.Abs(want)) { // the file has 13 digits
					t.Errorf("%s: gradient of the %s, element %d: %v, PyTorch has %v", name, g.of, i, v, want)
				}
			}
		}
	}
}

// Inside, numbers are float64: float32 differs only by the rounding of what is written.
func TestLossFloat32(t *testing.T) {
	eachCase(t, func(t *testing.T, s LossSpec, tags, weights bool) {
		a, b := newBatch[float32](2, 40, 5, 7, tags, weights), newBatch[float64](2, 40, 5, 7, tags, weights)
		va, vb := mustLoss[float32](t, s).Value(a), mustLoss[float64](t, s).Value(b)
		if math.Abs(va-vb) > 1e-13*max(1, math.Abs(vb)) {
			t.Errorf("%v in float32, %v in float64", va, vb)
		}
		compare := func(a []float32, b []float64) {
			for i := range a {
				if math.Abs(float64(a[i])-b[i]) > 2e-7*(0.02+math.Abs(b[i])) { // a tap's gradient is a sum of up to three
					t.Fatalf("gradient %v in float32, %v in float64", a[i], b[i])
				}
			}
		}
		compare(a.DLogits, b.DLogits)
		compare(a.DTaps[0], b.DTaps[0])
		compare(a.DTaps[1], b.DTaps[1])
	})
}

func TestLossExtremes(t *testing.T) {
	eachCase(t, func(t *testing.T, s LossSpec, tags, weights bool) {
		for _, fill := range []func(i int) float32{
			func(i int) float32 { return 0 },
			func(i int) float32 { return 1e4 },
			func(i int) float32 { return -1e4 },
			func(i int) float32 { return 1e4 * float32(i%3-1) },
			func(i int) float32 { return 1e-30 * float32(i%3-1) },
			func(i int) float32 { return 1e15 * float32(i%5-2) },
		} {
			b := newBatch[float32](3, 20, 5, 6, tags, weights)
			for i := range b.Logits {
				b.Logits[i] = fill(i)
			}
			for i := range b.Taps[1] {
				b.Taps[1][i] = fill(i)
			}
			l := mustLoss[float32](t, s)
			if v := l.Value(b); math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("fill %v: loss %v", fill(2), v)
			}
			for _, g := range [][]float32{b.DLogits, b.DTaps[0], b.DTaps[1]} {
				for _, v := range g {
					if v != v || v-v != 0 {
						t.Fatalf("fill %v: gradient %v", fill(2), v)
					}
				}
			}
		}
	})
}

// A network that diverges shows: NaN in what a loss looks at is NaN in its value.
func TestLossNaN(t *testing.T) {
	nan := math.NaN()
	for _, s := range lossSpecs() {
		b := newBatch[float64](3, 20, 5, 6, false, false)
		l := mustLoss[float64](t, s)
		if !l.DetachesHead() {
			b.Logits[2*5+int(b.Labels[2])] = nan
		} else {
			b.Taps[1][2*6+3] = nan
		}
		if v := l.Value(b); !math.IsNaN(v) {
			t.Errorf("%s: %v", specName(s), v)
		}
	}
	for _, s := range []LossSpec{{Name: "ce", FeatureDecay: 1}, {Name: "ce", SVSL: 1}} {
		b := newBatch[float64](3, 20, 5, 6, false, false)
		b.Taps[1][2*6+3] = nan
		if v := mustLoss[float64](t, s).Value(b); !math.IsNaN(v) {
			t.Errorf("%s: %v", specName(s), v)
		}
	}
}

// Known values at equal logits, and far out, where the digits of a loss near 0 have to survive.
func TestLossKnownValues(t *testing.T) {
	logits := func(z ...float64) *Batch[float64] {
		return &Batch[float64]{Rows: 1, Classes: len(z), Logits: z, DLogits: make([]float64, len(z)), Labels: []int32{0}}
	}
	ln := math.Log
	for _, c := range []struct {
		spec  LossSpec
		batch *Batch[float64]
		want  float64
		slope float64 // by the first logit
	}{
		{LossSpec{Name: "ce"}, logits(0, 0, 0, 0), ln(4), -0.75},
		{LossSpec{Name: "ce"}, logits(1e4, 1e4, 1e4, 1e4), ln(4), -0.75},
		{LossSpec{Name: "ce"}, logits(60, 0), math.Exp(-60), -math.Exp(-60)},
		{LossSpec{Name: "ce"}, logits(0, 1e4), 1e4, -1},
		{LossSpec{Name: "ce"}, logits(1e4, 0), 0, 0},
		{LossSpec{Name: "pal"}, logits(0, 0, 0, 0), ln(4), -0.75},
		{LossSpec{Name: "focal"}, logits(0, 0), 0.25 * ln(2), -0.25*0.5 - 2*0.5*0.5*ln(2)*0.5},
		{LossSpec{Name: "focal", Gamma: 0.5}, logits(1e4, 0), 0, 0},
		{LossSpec{Name: "mse"}, logits(0, 0, 2), 2.5, -1},
		{LossSpec{Name: "mse_rescaled", Kappa: 15, Scale: 30}, logits(29, 2), (15 + 4) / 2., -15},
		{LossSpec{Name: "bce"}, logits(0, 0, 0), 3 * ln(2), -0.5},
		{LossSpec{Name: "bce"}, logits(60, -60), 2 * math.Exp(-60), -math.Exp(-60)},
		{LossSpec{Name: "bce"}, logits(-1e4, 1e4), 2e4, -1},
		{LossSpec{Name: "dot", Target: 4}, logits(2, 7), 0.5, -0.5},
		{LossSpec{Name: "cosine_softmax", Temperature: 0.5, Margin: 0.25}, logits(0.25, 0), ln(2), -1},
		{LossSpec{Name: "ce", Adjustment: 1, Priors: []float64{1, 3}}, logits(0, 0), ln(4), -0.75},
	} {
		l := mustLoss[float64](t, c.spec)
		if got := l.Value(c.batch); math.Abs(got-c.want) > 1e-15*math.Abs(c.want) {
			t.Errorf("%s at %v: %v, wanted %v", specName(c.spec), c.batch.Logits, got, c.want)
		}
		if got := c.batch.DLogits[0]; math.Abs(got-c.slope) > 1e-15*math.Abs(c.slope) {
			t.Errorf("%s at %v: slope %v, wanted %v", specName(c.spec), c.batch.Logits, got, c.slope)
		}
	}
}

func TestLossInvariances(t *testing.T) {
	eachCase(t, func(t *testing.T, s LossSpec, tags, weights bool) {
		const n, k, d = 12, 5, 6
		l := mustLoss[float64](t, s)
		b := newBatch[float64](4, n, k, d, tags, weights)
		want := l.Value(b)
		near := func(what string, got float64) {
			t.Helper()
			if math.Abs(got-want) > 1e-12*max(1, math.Abs(want)) {
				t.Errorf("%s: %v, before %v", what, got, want)
			}
		}

		// Classes under other names. Where classes have options of their own these go with them.
		perm := []int{3, 0, 4, 1, 2}
		moved := newBatch[float64](4, n, k, d, tags, weights)
		for i := range n {
			for j, to := range perm {
				moved.Logits[i*k+to] = b.Logits[i*k+j]
				if tags {
					moved.Tags[i*k+to] = b.Tags[i*k+j]
				}
			}
			if !tags {
				moved.Labels[i] = int32(perm[b.Labels[i]])
			}
		}
		other := s
		if s.Priors != nil {
			other.Priors = make([]float64, k)
			for j, to := range perm {
				other.Priors[to] = s.Priors[j]
			}
		}
		near("permuted classes", mustLoss[float64](t, other).Value(moved))
		for i := range n {
			for j, to := range perm {
				if a, b := moved.DLogits[i*k+to], b.DLogits[i*k+j]; math.Abs(a-b) > 1e-13 {
					t.Errorf("permuted classes: gradient %v, before %v", a, b)
				}
			}
		}

		// Softmax does not see a shift of a row's logits, and its gradients add to zero.
		switch s.Name {
		case "ce", "label_smoothing", "focal", "pal", "pal_mean", "cosine_softmax":
			shifted := newBatch[float64](4, n, k, d, tags, weights)
			for i := range shifted.Logits {
				shifted.Logits[i] += float64(i / k)
			}
			near("shifted logits", l.Value(shifted))
			for i := range n {
				if sum := sumOf(b.DLogits[i*k : (i+1)*k]); math.Abs(sum) > 1e-15 {
					t.Errorf("row %d: gradients add to %v", i, sum)
				}
			}
		}

		// Priors have no unit, and equal ones change nothing.
		if s.Priors != nil {
			other = s
			other.Priors = nil
			for _, p := range s.Priors {
				other.Priors = append(other.Priors, 7*p)
			}
			near("priors in another unit", mustLoss[float64](t, other).Value(b))
		}

		// A weight is a number of copies, for what is weighted.
		if weights && s.SVSL == 0 && s.FeatureDecay == 0 && s.Name != "supcon" {
			copies := &Batch[float64]{Classes: k, Taps: make([][]float64, 2)}
			for i := range n {
				for range int(b.Weight[i]) {
					copies.Rows++
					copies.Logits = append(copies.Logits, b.Logits[i*k:(i+1)*k]...)
					copies.Taps[0] = append(copies.Taps[0], b.Taps[0][i*3:(i+1)*3]...)
					copies.Taps[1] = append(copies.Taps[1], b.Taps[1][i*d:(i+1)*d]...)
					if tags {
						copies.Tags = append(copies.Tags, b.Tags[i*k:(i+1)*k]...)
					} else {
						copies.Labels = append(copies.Labels, b.Labels[i])
					}
				}
			}
			near("copies instead of weights", l.Value(copies))
		}
	})
}

func TestLossAllWeightsZero(t *testing.T) {
	for _, s := range lossSpecs() {
		if s.SVSL != 0 || s.FeatureDecay != 0 {
			continue
		}
		b := newBatch[float64](5, 6, 5, 4, false, true)
		clear(b.Weight)
		l := mustLoss[float64](t, s)
		v := l.Value(b)
		floor, _ := l.Floor(b)
		if v != 0 || floor != 0 || slices.Max(b.DLogits) != 0 || slices.Max(b.DTaps[1]) != 0 {
			t.Errorf("%s: value %v, floor %v, gradients %v %v", specName(s), v, floor, b.DLogits, b.DTaps[1])
		}
	}
}

// The floor is below every value, and is reached at logits that are known to be optimal.
func TestLossFloor(t *testing.T) {
	eachCase(t, func(t *testing.T, s LossSpec, tags, weights bool) {
		const n, k = 12, 5
		b := newBatch[float64](6, n, k, 4, tags, weights)
		l := mustLoss[float64](t, s)
		floor, ok := l.Floor(b)
		if !ok {
			if s.Name != "mcr2" {
				t.Error("no floor")
			}
			return
		}
		l.Value(b)
		if data, _, _ := l.Terms(); data < floor && s.Name != "supcon" {
			t.Errorf("loss %v below its floor %v", data, floor)
		}
		if s.Name == "supcon" {
			return // see TestSupconSimplex
		}
		for i := range n {
			for j := range k {
				own := tags && b.Tags[i*k+j] == 1 || !tags && int(b.Labels[i]) == j
				z := &b.Logits[i*k+j]
				switch {
				case s.Name == "mse", s.Name == "mse_rescaled", s.Name == "dot":
					*z = 0
					if own {
						*z = max(l.Spec().Scale, l.Spec().Target, 0)
						if s.Name == "mse" {
							*z = 1
						}
					}
				case l.Spec().Smoothing > 0: // t is (1-a) e_y + a/K
					a := l.Spec().Smoothing
					*z = math.Log(a / k)
					if own {
						*z = math.Log(1 - a + a/k)
					}
				case own:
					*z = 50
				default:
					*z = -50
				}
			}
		}
		l.Value(b)
		if data, _, _ := l.Terms(); math.Abs(data-floor) > 1e-14*max(1, floor) {
			t.Errorf("loss %v at its infimum, floor %v", data, floor)
		}
	})
}

// simplexBatch has each of k classes as often at a vertex of a simplex of unit vectors, scaled by class.
func simplexBatch(k, each int, scale float64) *Batch[float64] {
	b := &Batch[float64]{Rows: k * each, Classes: k, Taps: [][]float64{nil}, DTaps: [][]float64{make([]float64, k*each*k)}}
	r := math.Sqrt(float64(k) / float64(k-1))
	for i := range b.Rows {
		y := i % k
		b.Labels = append(b.Labels, int32(y))
		for j := range k {
			v := -r / float64(k)
			if j == y {
				v += r
			}
			b.Taps[0] = append(b.Taps[0], scale*v)
		}
	}
	return b
}

// At the collapsed simplex the loss is its floor, and there is no gradient, whatever the length of the features.
func TestSupconSimplex(t *testing.T) {
	for _, k := range []int{2, 3, 7} {
		b := simplexBatch(k, 4, 3)
		l := mustLoss[float64](t, LossSpec{Name: "supcon", Temperature: 0.2})
		value := l.Value(b)
		floor, ok := l.Floor(b)
		if !ok || math.Abs(value-floor) > 1e-13 {
			t.Errorf("K=%d: loss %v, floor %v", k, value, floor)
		}
		// ln(n-1 + n (K-1) exp(-K/((K-1) tau))) of n samples a class
		x := math.Exp(-float64(k) / (float64(k-1) * 0.2))
		if want := math.Log(3 + 4*float64(k-1)*x); math.Abs(value-want) > 1e-13 {
			t.Errorf("K=%d: loss %v, wanted %v", k, value, want)
		}
		for _, v := range b.DTaps[0] {
			if math.Abs(v) > 1e-13 {
				t.Fatalf("K=%d: gradient %v at the optimum", k, v)
			}
		}
		for seed := range uint64(20) { // nothing is below it
			c := newBatch[float64](seed, 4*k, k, k, false, false)
			copy(c.Labels, b.Labels)
			if v := l.Value(c); v < floor {
				t.Errorf("K=%d: loss %v below its floor %v", k, v, floor)
			}
		}
	}
}

// Classes in orthogonal subspaces, evenly filled, have the rate reduction that Yu et al. (2020) give: here K lines
// of one direction each.
func TestRateReductionOrthogonal(t *testing.T) {
	const k, each, eps2 = 4, 6, 0.5
	b := &Batch[float64]{Rows: k * each, Classes: k, Taps: [][]float64{make([]float64, k*each*k)}, DTaps: [][]float64{make([]float64, k*each*k)}}
	for i := range b.Rows {
		b.Labels = append(b.Labels, int32(i%k))
		b.Taps[0][i*k+i%k] = 5
	}
	l := mustLoss[float64](t, LossSpec{Name: "mcr2", Distortion: eps2})
	// Z^T Z = (n/K) I, Z_c^T Z_c = (n/K) e_c e_c^T
	want := -k/2.*math.Log(1+1/eps2) + 0.5*math.Log(1+k/eps2)
	if got := l.Value(b); math.Abs(got-want) > 1e-13 {
		t.Errorf("loss %v, wanted %v", got, want)
	}
}

func TestLossAllocates(t *testing.T) {
	if raced {
		t.Skip("the race detector makes pools forget")
	}
	for _, s := range lossSpecs() {
		tags := s.Name == "pal"
		b := newBatch[float32](7, 64, 5, 16, tags, true)
		l := mustLoss[float32](t, s)
		l.Value(b)
		allowed := map[string]float64{"mcr2": 64}[s.Name] // closures of the factorisations
		got := testing.AllocsPerRun(20, func() { l.Value(b) })
		if got > allowed {
			t.Errorf("%s: %v allocations a call", specName(s), got)
		}
		// Large enough for the pool, on all processors.
		if s.Name == "mcr2" {
			continue
		}
		s = widen(s, 300)
		b = newBatch[float32](7, 100, 300, 300, tags, true)
		l = mustLoss[float32](t, s)
		const times = 10
		fewest := uint64(math.MaxUint64) // of a few rounds: a collection takes scratch space of products, which is then made again
		for range 4 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range times {
				l.Value(b)
			}
			runtime.ReadMemStats(&after)
			fewest = min(fewest, after.Mallocs-before.Mallocs)
		}
		if fewest > times { // the runtime's own
			t.Errorf("%s: %d allocations in %d calls on %d processors", specName(s), fewest, times, runtime.GOMAXPROCS(0))
		}
	}
}

func TestLossWorkers(t *testing.T) {
	eachCase(t, func(t *testing.T, s LossSpec, tags, weights bool) {
		s = widen(s, 300)
		run := func(workers int) (*Batch[float32], float64) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(workers))
			b := newBatch[float32](8, 200, 300, 600, tags, weights)
			return b, mustLoss[float32](t, s).Value(b)
		}
		a, va := run(1)
		b, vb := run(2)
		if math.Float64bits(va) != math.Float64bits(vb) {
			t.Errorf("%v on one worker, %v on two", va, vb)
		}
		if !slices.Equal(a.DLogits, b.DLogits) || !slices.Equal(a.DTaps[0], b.DTaps[0]) || !slices.Equal(a.DTaps[1], b.DTaps[1]) {
			t.Error("gradients differ between one worker and two")
		}
	})
}

// widen gives a spec priors for k classes.
func widen(s LossSpec, k int) LossSpec {
	if s.Priors != nil {
		s.Priors = make([]float64, k)
		for j := range s.Priors {
			s.Priors[j] = float64(j + 1)
		}
	}
	return s
}

func TestLossSpecErrors(t *testing.T) {
	for _, c := range []struct {
		spec LossSpec
		want string
	}{
		{LossSpec{}, "loss: missing, expected one of ce, label_smoothing, focal, mse, mse_rescaled, bce, pal, pal_mean, dot, cosine_softmax, supcon, mcr2"},
		{LossSpec{Name: "focl"}, `loss "focl", expected one of ce, label_smoothing, focal, mse, mse_rescaled, bce, pal, pal_mean, dot, cosine_softmax, supcon, mcr2; did you mean focal?`},
		{LossSpec{Name: "xyzzy"}, `loss "xyzzy", expected one of ce, label_smoothing, focal, mse, mse_rescaled, bce, pal, pal_mean, dot, cosine_softmax, supcon, mcr2`},
		{LossSpec{Name: "focal", Smoothing: 0.1}, "loss focal: smoothing: not an option of this loss (it has gamma, adjustment, priors, feature_decay, svsl, svsl_from)"},
		{LossSpec{Name: "mse", Gamma: 2}, "loss mse: gamma: not an option of this loss (it has feature_decay, svsl, svsl_from)"},
		{LossSpec{Name: "pal", Adjustment: 1, Priors: []float64{1, 1}}, "loss pal: adjustment: not an option of this loss (it has feature_decay, svsl, svsl_from)"},
		{LossSpec{Name: "ce", Smoothing: 1}, "loss ce: smoothing: 1, wanted less than 1"},
		{LossSpec{Name: "ce", Smoothing: -0.1}, "loss ce: smoothing: -0.1, wanted a number of at least 0"},
		{LossSpec{Name: "focal", Gamma: math.NaN()}, "loss focal: gamma: NaN, wanted a number"},
		{LossSpec{Name: "ce", FeatureDecay: math.Inf(1)}, "loss ce: feature_decay: +Inf, wanted a number"},
		{LossSpec{Name: "ce", SVSL: -1}, "loss ce: svsl: -1, wanted a number of at least 0"},
		{LossSpec{Name: "ce", SVSL: 1, SVSLFrom: -1}, "loss ce: svsl_from: -1, wanted the number of a tap, from 0"},
		{LossSpec{Name: "ce", SVSLFrom: 2}, "loss ce: svsl_from: 2, but svsl is 0"},
		{LossSpec{Name: "mse_rescaled", Scale: 30}, "loss mse_rescaled: kappa: missing; 15 and 30 are usual for 1,000 classes, and 1 and 1 are mse"},
		{LossSpec{Name: "mse_rescaled", Kappa: 15}, "loss mse_rescaled: scale: missing; 15 and 30 are usual for 1,000 classes, and 1 and 1 are mse"},
		{LossSpec{Name: "ce", Adjustment: 1}, "loss ce: priors: missing; adjustment needs the class counts or their shares"},
		{LossSpec{Name: "ce", Priors: []float64{1, 2}}, "loss ce: priors: 2 numbers, but adjustment is 0"},
		{LossSpec{Name: "ce", Adjustment: 1, Priors: []float64{1, 0}}, "loss ce: priors: 0 for class 1, wanted a number above 0"},
	} {
		_, err := NewLoss[float32](c.spec)
		if err == nil || err.Error() != c.want {
			t.Errorf("%+v:\n got %v\nwant %s", c.spec, err, c.want)
		}
	}
}

func TestLossCheck(t *testing.T) {
	for _, c := range []struct {
		spec   LossSpec
		change func(b *Batch[float32])
		want   string
	}{
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.Classes = 0 }, "loss ce: 6 rows and 0 classes"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.Logits = b.Logits[1:] }, "loss ce: logits: 29 numbers, wanted 30 for 6 rows and 5 classes"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.DLogits = b.DLogits[1:] }, "loss ce: gradient of the logits: 29 numbers, wanted 30 for 6 rows and 5 classes"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.Labels = nil }, "loss ce: labels: 0 numbers, wanted 6 for 6 rows and 5 classes"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.Labels[3] = 5 }, "loss ce: label 5 in row 3, wanted 0 to 4"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.Labels[3] = -1 }, "loss ce: label -1 in row 3, wanted 0 to 4"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.Labels, b.Tags = nil, make([]float32, 30) }, "loss ce: rows with several tags, wanted one label a row; bce, mse, pal and pal_mean take tags"},
		{LossSpec{Name: "pal"}, func(b *Batch[float32]) { b.Tags = make([]float32, 30) }, "loss pal: labels and tags: wanted one of them"},
		{LossSpec{Name: "pal"}, func(b *Batch[float32]) { b.Labels, b.Tags = nil, make([]float32, 29) }, "loss pal: tags: 29 numbers, wanted 30 for 6 rows and 5 classes"},
		{LossSpec{Name: "pal"}, func(b *Batch[float32]) { b.Labels, b.Tags = nil, make([]float32, 30); b.Tags[12] = 0.5 }, "loss pal: tag 0.5 in row 2, wanted 0 or 1"},
		{LossSpec{Name: "pal", SVSL: 1}, func(b *Batch[float32]) { b.Labels, b.Tags = nil, make([]float32, 30) }, "loss pal: svsl: rows with several tags, wanted one label a row"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.Weight = make([]float32, 5) }, "loss ce: weights: 5 numbers, wanted 6 for 6 rows and 5 classes"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.Weight = []float32{1, 1, -1, 1, 1, 1} }, "loss ce: weight -1 of row 2, wanted a number of at least 0"},
		{LossSpec{Name: "ce", Adjustment: 1, Priors: []float64{1, 2}}, func(b *Batch[float32]) {}, "loss ce: priors: 2 numbers, wanted 5, one a class"},
		{LossSpec{Name: "ce", FeatureDecay: 1}, func(b *Batch[float32]) { b.Taps, b.DTaps = nil, nil }, "loss ce: taps: none, wanted the features"},
		{LossSpec{Name: "ce", SVSL: 1, SVSLFrom: 2}, func(b *Batch[float32]) {}, "loss ce: svsl_from: 2, wanted the number of a tap, 0 to 1"},
		{LossSpec{Name: "ce", SVSL: 1}, func(b *Batch[float32]) { b.Taps[0] = b.Taps[0][1:] }, "loss ce: tap 0: 17 numbers in 6 rows"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.DTaps = b.DTaps[1:] }, "loss ce: taps: 1 gradients, wanted 2"},
		{LossSpec{Name: "ce", FeatureDecay: 1}, func(b *Batch[float32]) { b.DTaps[1] = nil }, "loss ce: tap 1: no place for its gradient, which this loss has"},
		{LossSpec{Name: "ce"}, func(b *Batch[float32]) { b.DTaps[1] = b.DTaps[1][1:] }, "loss ce: gradient of tap 1: 23 numbers, wanted 24"},
	} {
		b := newBatch[float32](9, 6, 5, 4, false, false)
		c.change(b)
		if err := mustLoss[float32](t, c.spec).Check(b); err == nil || err.Error() != c.want {
			t.Errorf("%+v:\n got %v\nwant %s", c.spec, err, c.want)
		}
	}
}

// Every loss is described, and its options are fields of the spec with the same name in files.
func TestLosses(t *testing.T) {
	for _, info := range Losses() {
		if info.Words == "" || info.Formula == "" || info.Source == "" || info.Collapse == "" {
			t.Errorf("%s: not described: %+v", info.Name, info)
		}
		for _, o := range strings.Fields(info.Options) {
			name, value, has := strings.Cut(o, "=")
			if !has {
				value = "1"
			}
			if name == "priors" {
				value = "[1]"
			}
			d := json.NewDecoder(strings.NewReader(fmt.Sprintf(`{"name": %q, %q: %s}`, info.Name, name, value)))
			d.DisallowUnknownFields()
			if err := d.Decode(&LossSpec{}); err != nil {
				t.Errorf("%s: %v", info.Name, err)
			}
		}
		s := LossSpec{Name: info.Name}
		if info.Name == "mse_rescaled" {
			s.Kappa, s.Scale = 1, 1
		}
		l := mustLoss[float32](t, s)
		again, err := NewLoss[float32](l.Spec())
		if err != nil || specName(again.Spec()) != specName(l.Spec()) {
			t.Errorf("%s: resolved spec %s becomes %s, %v", info.Name, specName(l.Spec()), specName(again.Spec()), err)
		}
	}
}

func BenchmarkLoss(b *testing.B) {
	for _, name := range []string{"ce", "pal", "bce", "supcon", "mcr2"} {
		for _, k := range []int{10, 1000} {
			b.Run(fmt.Sprintf("%s/128x%d", name, k), func(b *testing.B) {
				l, batch := mustLoss[float32](b, LossSpec{Name: name}), newBatch[float32](1, 128, k, 512, false, false)
				for b.Loop() {
					l.Value(batch)
				}
			})
		}
	}
	b.Run("svsl/128x32768", func(b *testing.B) {
		l, batch := mustLoss[float32](b, LossSpec{Name: "ce", SVSL: 1, SVSLFrom: 1}), newBatch[float32](1, 128, 10, 32768, false, false)
		for b.Loop() {
			l.Value(batch)
		}
	})
}
