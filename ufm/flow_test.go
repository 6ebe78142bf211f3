package ufm

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/ode"
)

// The flow in logarithms is the gradient flow of the summed cross-entropy, faster by the loss.
func TestMarginFlowIsGradientFlow(t *testing.T) {
	const k, n, d = 4, 2, 3
	p := Problem{Loss: Loss{Kind: CrossEntropy, Sum: true}, Counts: slices.Repeat([]int{n}, k), Dim: d, Bias: NoBias}
	o, err := newObjective(p, false)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	f := newMarginFlow(k, n, d)
	for _, scale := range []float64{1e-3, 0.3, 1, 3, 10} {
		x := make([]float64, o.n)
		for i := range x {
			x[i] = scale * r.NormFloat64()
		}
		g, dx := make([]float64, o.n), make([]float64, o.n)
		loss := o.value(x, g)
		logLoss, _ := f.look(x)
		if math.Abs(logLoss-math.Log(loss)) > 1e-12*max(1, math.Abs(logLoss)) {
			t.Errorf("scale %g: ln loss %.15g, want %.15g", scale, logLoss, math.Log(loss))
		}
		f.derivative(0, x, dx)
		for i := range dx {
			dx[i] = dx[i]*loss + g[i]
		}
		if off := frobenius(dx); off > 1e-12*frobenius(g) {
			t.Errorf("scale %g: derivative off by %.3g of %.3g", scale, off, frobenius(g))
		}
	}
}

// At the collapsed simplex everything is known, also where the loss is exp(-10000): margin, slopes, and that the flow goes
// straight outwards.
func TestMarginFlowFarOut(t *testing.T) {
	const k, n, d = 3, 2, 2
	corners, err := FixedClassifier(Simplex, k, d, 1)
	if err != nil {
		t.Fatal(err)
	}
	f := newMarginFlow(k, n, d)
	for _, radius := range []float64{1, 100, 3e4} {
		var x []float64
		for _, v := range corners {
			x = append(x, v*math.Sqrt(radius*math.Sqrt(n)))
		}
		for i := range k * n {
			for j := range d {
				x = append(x, corners[i/n*d+j]*math.Sqrt(radius/math.Sqrt(n)))
			}
		}
		gap := radius * k / (k - 1.)
		logLoss, margin := f.look(x)
		want := math.Log(k*n) + math.Log((k-1)*math.Exp(-min(gap, 700))) - max(0, gap-700)
		if gap < 30 {
			want = math.Log(k * n * math.Log1p((k-1)*math.Exp(-gap)))
		}
		if math.Abs(margin/gap-1) > 1e-12 || math.Abs(logLoss-want) > 1e-10*max(1, math.Abs(want)) {
			t.Errorf("radius %g: margin %.12g, want %.12g; ln loss %.12g, want %.12g", radius, margin, gap, logLoss, want)
		}
		dx := make([]float64, len(x))
		f.derivative(0, x, dx)
		along := 0.0
		for i := range x {
			along += x[i] * dx[i] / (frobenius(x) * frobenius(dx))
		}
		if math.Abs(along-1) > 1e-12 {
			t.Errorf("radius %g: cosine of flow and position %.15g", radius, along)
		}
	}
}

// W^T W - H^T H stays what it is for every loss, and decays like e^(-2 lambda t) with equal decays.
func TestFlowConserves(t *testing.T) {
	const k, n, d = 3, 2, 4
	r := rand.New(rand.NewPCG(2, 2))
	w, h := make([]float64, k*d), make([]float64, k*n*d)
	for _, v := range [][]float64{w, h} {
		for i := range v {
			v[i] = r.NormFloat64()
		}
	}
	before := imbalance(d, w, h)
	for _, loss := range []Loss{{Kind: CrossEntropy}, {Kind: SquaredError}, {Kind: Focal, Focus: 2}, {Kind: CrossEntropy, Smoothing: 0.1}, {Kind: SquaredError, Sum: true}} {
		for _, bias := range []Bias{NoBias, FreeBias} {
			for _, lambda := range []float64{0, 0.02} {
				p := Problem{Loss: loss, Counts: slices.Repeat([]int{n}, k), Dim: d, Bias: bias}
				if lambda > 0 {
					p.W, p.H = Decay(lambda), Decay(lambda)
				}
				var b []float64
				if bias == FreeBias {
					b = make([]float64, k)
				}
				path, err := p.Flow(context.Background(), Point{W: w, H: h, B: b}, []float64{7})
				if err != nil {
					t.Fatal(err)
				}
				after := imbalance(d, path.Points[0].W, path.Points[0].H)
				for i := range after {
					if want := before[i] * math.Exp(-2*lambda*7); math.Abs(after[i]-want) > 1e-8 {
						t.Fatalf("%+v, bias %s, decay %g: %.12g, want %.12g", loss, bias, lambda, after[i], want)
					}
				}
			}
		}
	}
}

// The size of the start decides how far from strong collapse the flow ends: SNC1 like its square, SNC2 and SNC3 like
// the size itself (values of ../shared/reference/ufm.json, j01, by another integrator).
func TestStrongCollapseErrors(t *testing.T) {
	start := func(d int, scale, end float64) map[string]any {
		return map[string]any{"d": d, "t_end": end, "W0": map[string]any{"det": []any{3, d, 1}, "scale": scale}, "H0": map[string]any{"det": []any{12, d, 2}, "scale": scale}}
	}
	r, err := Answer(context.Background(), Spec{"snc_vs_init", map[string]any{"K": 3, "n": 4, "loss": "mse_sum", "bias": "free", "b0": []any{0, 0, 0},
		"starts": []any{start(6, 0.1, 31.15129254649702), start(6, 0.01, 32.30258509299404), start(2, 0.01, 32.30258509299404)}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := r.Solved.Get("rows")
	want := [][3]float64{{0.03395626309965112, 0.43968943329385823, 0.025845479118105797}, {0.0004199711905406106, 0.044502519510348656, 0.002700108714574947}, {4.31e-4, 1.24e-2, 5.05e-3}}
	for i, row := range rows.([]Fields) {
		for j, name := range []string{"SNC1", "SNC2", "SNC3"} {
			tolerance := 1e-3
			if i == 2 {
				tolerance = 5e-3 // known to three digits
			}
			if got := row.Number(name); math.Abs(got/want[i][j]-1) > tolerance {
				t.Errorf("row %d: %s %.9g, want %.9g", i, name, got, want[i][j])
			}
		}
		if drift := row.Number("conservation_error"); drift > 1e-6 {
			t.Errorf("row %d: W^T W - H^T H drifted by %.3g", i, drift)
		}
	}
}

// In one dimension two classes of three kinds cannot all be separated: the answer says that it did not get there.
func TestMarginFlowSaysNo(t *testing.T) {
	r, err := Answer(context.Background(), Spec{"ce_gradient_flow_margin", map[string]any{"K": 4, "n": 1, "d": 1, "loss": "ce_sum", "bias": "none",
		"W0": map[string]any{"det": []any{4, 1, 1}, "scale": 0.5}, "H0": map[string]any{"det": []any{4, 1, 2}, "scale": 0.5}, "log_losses": []any{1, -5}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := r.Solved.Get("status"); status != "out_of_iterations" {
		t.Errorf("status %v", status)
	}
	rows, _ := r.Solved.Get("rows")
	if last := rows.([]Fields)[1]; !math.IsNaN(last.Number("margin_ratio")) {
		t.Errorf("a level that was not reached has values: %v", last)
	}
}

// Layers between features and classifier conserve the imbalance of every pair of neighbours.
func TestFlowBehindLayers(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	random := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = 0.5 * r.NormFloat64()
		}
		return v
	}
	p := Problem{Loss: Loss{Kind: SquaredError}, Counts: []int{2, 2, 1}, Dim: 4, Layers: []Layer{{Width: 5}}, Bias: NoBias}
	start := Point{W: random(3 * 5), Layers: [][]float64{random(5 * 4)}, H: random(5 * 4)}
	path, err := p.Flow(context.Background(), start, []float64{0, 2, 5})
	if err != nil {
		t.Fatal(err)
	}
	// the layer is 5 x 4: W^T W - L L^T and L^T L - H^T H are conserved
	outer := func(at Point) []float64 {
		l := make([]float64, 20) // L^T, so that imbalance takes L L^T from it
		for i, v := range at.Layers[0] {
			l[i%4*5+i/4] = v
		}
		return append(imbalance(5, at.W, l), imbalance(4, at.Layers[0], at.H)...)
	}
	for i, at := range path.Points {
		if drift := frobenius(difference(outer(at), outer(start))); drift > 1e-8 {
			t.Errorf("point %d drifted by %.3g", i, drift)
		}
	}
	if !slices.Equal(path.Points[0].W, start.W) || slices.Equal(path.Points[1].W, start.W) || path.Reached != 5 {
		t.Errorf("the path does not begin at its start: %+v", path)
	}
	if _, err := p.Flow(context.Background(), start, []float64{2, 1}); err == nil {
		t.Error("descending times were taken")
	}
}

// A flow that takes too many steps ends where it came to, and says so.
func TestFlowSaysNo(t *testing.T) {
	r, err := Answer(context.Background(), Spec{"decayed_flow_balance", map[string]any{"K": 2, "n": 1, "d": 1, "lambda_W": 0.1, "lambda_H": 0.1, "bias": "none", "loss": "ce", "t": 1e9,
		"W0": map[string]any{"det": []any{2, 1, 1}, "scale": 1}, "H0": map[string]any{"det": []any{2, 1, 2}, "scale": 1}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	status, _ := r.Solved.Get("status")
	if reached := r.Solved.Number("time_reached"); status != "out_of_iterations" || !(reached > 1000 && reached < 1e9) {
		t.Errorf("status %v at t = %g", status, reached)
	}
}

// The signal-to-noise ratios against the flow that they come from: gradient flow of all features on the loss of the
// least-squares classifier, projected so that the covariance within classes stays I (Han et al. 2021).
func TestSignalToNoiseFlow(t *testing.T) {
	const k, n, d = 3, 5, 4
	const samples = k * n
	r := rand.New(rand.NewPCG(3, 3))
	h := make([]float64, samples*d)
	for i := range h {
		h[i] = r.NormFloat64()
	}
	whiten(t, k, n, d, h)
	start, err := signalToNoise(k, n, d, h)
	if err != nil {
		t.Fatal(err)
	}
	// With Sigma_W = I the loss is tr((K I + M M^T)^-1)/2 less its trivial part, and its gradient moves class means only: the
	// features of class c by -(K I + M M^T)^-2 M /n... by differences of the loss, so that nothing is assumed.
	loss := func(h []float64) float64 {
		omega, err := signalToNoise(k, n, d, h)
		if err != nil || omega == nil {
			t.Fatal("covariance within classes became singular")
		}
		return leastSquaresLoss(k, omega)
	}
	const t1 = 30.0
	states, _, err := ode.At(context.Background(), func(_ float64, x, dx []float64) {
		const e = 1e-4
		y := slices.Clone(x)
		for i := range x {
			y[i] = x[i] + e
			up := loss(y)
			y[i] = x[i] - e
			dx[i] = -(up - loss(y)) / (2 * e)
			y[i] = x[i]
		}
		project(k, n, d, x, dx)
	}, 0, h, []float64{t1}, ode.Options{Rel: 1e-7, Abs: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	got, err := signalToNoise(k, n, d, states[0])
	if err != nil {
		t.Fatal(err)
	}
	omega := make([]any, len(start))
	for i, v := range start {
		omega[i] = v
	}
	report, err := Answer(context.Background(), Spec{"snr_flow", map[string]any{"K": k, "n": n, "omega0": omega, "t": t1}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := report.ClosedForm.Get("omega")
	for i, w := range want.([]float64) {
		if math.Abs(got[i]-w) > 1e-6*w || w < start[i]*1.005 {
			t.Errorf("ratio %d: %.9g by the flow of all features, %.9g by the formula, %.9g at the start", i, got[i], w, start[i])
		}
	}
}

// withinCovariance returns Sigma_W of n samples in each of k classes, and the rows less their class means.
func withinCovariance(k, n, d int, h []float64) (sigma, centred []float64) {
	means := classMeans(k, n, d, h)
	centred = slices.Clone(h)
	sigma = make([]float64, d*d)
	for i := range k * n {
		row := centred[i*d : (i+1)*d]
		for j := range row {
			row[j] -= means[i/n*d+j]
		}
		for a, x := range row {
			for b, y := range row {
				sigma[a*d+b] += x * y / float64(k*n)
			}
		}
	}
	return sigma, centred
}

// whiten scales the rows within classes so that Sigma_W = I, one dimension after another (Gram and Schmidt).
func whiten(t *testing.T, k, n, d int, h []float64) {
	for a := range d {
		for b := range a {
			sigma, centred := withinCovariance(k, n, d, h)
			for i := range k * n {
				h[i*d+a] -= sigma[a*d+b] * centred[i*d+b]
			}
		}
		sigma, _ := withinCovariance(k, n, d, h)
		for i := range k * n {
			h[i*d+a] /= math.Sqrt(sigma[a*d+a])
		}
	}
	sigma, _ := withinCovariance(k, n, d, h)
	for i, v := range sigma {
		want := 0.0
		if i/d == i%d {
			want = 1
		}
		if math.Abs(v-want) > 1e-10 {
			t.Fatalf("not whitened: %v", sigma)
		}
	}
}

// project removes from a motion what changes Sigma_W = I: for centred rows C, the symmetric part of C^T dC/N times C.
func project(k, n, d int, h, dh []float64) {
	_, centred := withinCovariance(k, n, d, h)
	_, moving := withinCovariance(k, n, d, dh)
	change := make([]float64, d*d)
	for i := range k * n {
		for a := range d {
			for b := range d {
				change[a*d+b] += (centred[i*d+a]*moving[i*d+b] + moving[i*d+a]*centred[i*d+b]) / float64(2*k*n)
			}
		}
	}
	for i := range k * n {
		for a := range d {
			for b := range d {
				dh[i*d+a] -= centred[i*d+b] * change[b*d+a]
			}
		}
	}
}

// The parts of the central path add up to the loss itself, and the least-squares classifier is the lowest.
func TestCentralPath(t *testing.T) {
	params := map[string]any{"K": 4, "n": 6, "d": 3, "lambda_W": 0.02, "lambda_b": 0.02, "bias": "decayed", "b": []any{0.1, 0, -0.1, 0.2},
		"H": map[string]any{"det": []any{24, 3, 1}, "scale": 1.5}, "W": map[string]any{"det": []any{4, 3, 2}, "scale": 0.7}}
	r, err := Answer(context.Background(), Spec{"mse_central_path", params}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := r.ClosedForm
	if total, sum := f.Number("total"), f.Number("LS")+f.Number("perp"); math.Abs(total-sum) > 1e-12 {
		t.Errorf("total %.15g, parts %.15g", total, sum)
	}
	if ls, sum := f.Number("LS"), f.Number("NC1_term")+f.Number("NC23_term"); math.Abs(ls-sum) > 1e-12 {
		t.Errorf("least squares %.15g, parts %.15g", ls, sum)
	}
	// with next to no decay the loss of the least-squares classifier is that of the signal-to-noise ratios
	params["lambda_W"], params["lambda_b"] = 1e-9, 1e-9
	if r, err = Answer(context.Background(), Spec{"mse_central_path", params}, Options{}); err != nil {
		t.Fatal(err)
	}
	if a, b := r.ClosedForm.Number("LS"), r.ClosedForm.Number("LS_lambda0"); math.Abs(a-b) > 1e-7 {
		t.Errorf("without decay %.12g, by signal to noise %.12g", a, b)
	}
}
