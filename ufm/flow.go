package ufm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/ode"
	"github.com/collapsar/collapsar/internal/optimize"
)

var flowQuestions = []Question{
	{"snc_vs_init", "squared error without decay: distance from strong collapse against the size of the start (Mixon et al. 2020)", "K n loss=mse_sum bias b0 starts", sncVersusInit},
	{"snc_linearised", "squared error without decay: the flow near zero", "K n d loss=mse_sum bias W0 H0 b0 t t_bias", sncLinearised},
	{"snc_subspace_flow", "squared error without decay: the flow within strong collapse", "K n d loss=mse_sum bias sigma0 t", sncSubspace},
	{"ce_gradient_flow_margin", "cross-entropy without decay: the way to the largest margin (Ji et al. 2021)", "K n d loss=ce_sum bias W0 H0 log_losses", ceMargin},
	{"decayed_flow_balance", "cross-entropy with decay: how the flow forgets the imbalance of its start", "K n d lambda_W lambda_H bias [lambda_b] loss=ce W0 H0 t", decayedBalance},
}

// Gradient flow is d(W, H, b)/dt = -gradient. Without decay W^T W - H^T H stays what it is at the start, for any loss.

// FlowPath is a gradient flow at several times.
type FlowPath struct {
	Points  []Point // at the times; the last one reached stands for those beyond it
	Reached float64 // the last time asked for, or where the integration ended before it
	Steps   int
	Status  optimize.Status // Converged: every time was reached; OutOfSteps or NotFinite: why not
}

// Flow follows the gradient flow from a point and returns the points at the given times, which ascend from 0, to about
// nine digits. It is for problems that hold no norms but by decays. Decays that are very different from the other
// slopes, and very long times, take more steps than are made: the path then ends early, and its status says so.
func (p Problem) Flow(ctx context.Context, start Point, times []float64) (*FlowPath, error) {
	return p.flow(ctx, start, times, precise)
}

func (p Problem) flow(ctx context.Context, start Point, times []float64, o ode.Options) (*FlowPath, error) {
	f, err := newObjective(p, false)
	if err != nil {
		return nil, err
	}
	x, err := f.values(start)
	if err != nil {
		return nil, err
	}
	s, err := ode.Start(func(_ float64, x, dx []float64) {
		f.value(x, dx)
		kernel.Scale64(dx, -1)
	}, 0, x, o)
	if err != nil {
		return nil, fmt.Errorf("gradient flow: %w", err)
	}
	path := &FlowPath{Status: optimize.Converged}
	for i, t := range times {
		if !(t >= 0) || math.IsInf(t, 0) || i > 0 && t < times[i-1] {
			return nil, fmt.Errorf("gradient flow: times %v, wanted finite ascending numbers of at least 0", times)
		}
		for s.Time() != t && path.Status == optimize.Converged {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			switch err := s.Step(t); {
			case err == nil:
			case errors.Is(err, ode.ErrMaxSteps):
				path.Status = optimize.OutOfSteps
			default:
				path.Status = optimize.NotFinite
			}
		}
		path.Points = append(path.Points, f.point(s.State()))
	}
	path.Reached, path.Steps = s.Time(), s.Stats().Steps
	return path, nil
}

// fields tell how far a flow came.
func (f *FlowPath) fields() Fields {
	return Fields{{"status", string(f.Status)}, {"time_reached", f.Reached}, {"steps", f.Steps}}
}

// precise are the options for references: 1e-6 and better at the end of a flow.
var precise = ode.Options{Rel: 1e-10, Abs: 1e-13, MaxSteps: 20_000}

// imbalance returns W^T W - H^T H, d x d.
func imbalance(d int, w, h []float64) []float64 {
	out := make([]float64, d*d)
	add := func(rows []float64, sign float64) {
		for len(rows) > 0 {
			for i, v := range rows[:d] {
				kernel.Axpy64(out[i*d:(i+1)*d], sign*v, rows[:d])
			}
			rows = rows[d:]
		}
	}
	add(w, 1)
	add(h, -1)
	return out
}

func frobenius(a []float64) float64 { return math.Sqrt(kernel.SumSquares64(a)) }

func difference(a, b []float64) []float64 {
	out := slices.Clone(a)
	kernel.Axpy64(out, -1, b)
	return out
}

// centreRows subtracts from a K x d matrix the mean of its rows: S a.
func centreRows(k, d int, a []float64) []float64 {
	out := slices.Clone(a)
	for j := range d {
		mean := 0.0
		for i := range k {
			mean += a[i*d+j] / float64(k)
		}
		for i := range k {
			out[i*d+j] -= mean
		}
	}
	return out
}

// classMeans returns the means of n rows each.
func classMeans(k, n, d int, h []float64) []float64 {
	out := make([]float64, k*d)
	for i := range k * n {
		kernel.Axpy64(out[i/n*d:(i/n+1)*d], 1/float64(n), h[i*d:(i+1)*d])
	}
	return out
}

// squaredFlow reads the parameters that flows of the squared error share: its rate is that of the sum over the samples,
// or of their mean.
func (p *params) squaredFlow() (k, n int, loss Loss, rate float64) {
	k, n = p.classes("K"), p.count("n")
	loss = Loss{Kind: SquaredError, Sum: p.oneOf("loss", "mse_sum", "mse") == "mse_sum"}
	p.oneOf("bias", string(FreeBias))
	rate = 1
	if !loss.Sum {
		rate = 1 / float64(k*n)
	}
	if k*n > mostFlow {
		p.fail("n", "%d samples in all, wanted at most %d for an integration", k*n, mostFlow)
	}
	return k, n, loss, rate
}

// mostFlow is the number of samples up to which a flow is integrated.
const mostFlow = 100_000

func (p *params) startBias(k int) []float64 {
	b := p.reals("b0")
	if p.err == nil && len(b) != k {
		p.fail("b0", "%d numbers, wanted %d", len(b), k)
	}
	return b
}

// grown returns the parts of S W that grow and shrink like e^(sqrt(n) t) and e^(-sqrt(n) t) near zero (Mixon et al. 2020):
// S (W0 +- Hsum/sqrt(n))/2, Hsum the sums of the features of each class.
func grown(k, n, d int, w, h []float64) (grow, shrink []float64) {
	means := classMeans(k, n, d, h)
	r := math.Sqrt(float64(n))
	a, b := slices.Clone(w), slices.Clone(w)
	kernel.Axpy64(a, r, means) // Hsum/sqrt n
	kernel.Axpy64(b, -r, means)
	kernel.Scale64(a, 0.5)
	kernel.Scale64(b, 0.5)
	return centreRows(k, d, a), centreRows(k, d, b)
}

// polar returns the polar factor of a K x d matrix of rank at most K-1: the nearest one with all singular values 1.
func polar(k, d int, a []float64) ([]float64, error) {
	s, v, err := linalg.SVD(k, d, slices.Clone(a))
	if err != nil {
		return nil, err
	}
	out := make([]float64, k*d)
	for j := range min(k-1, d) {
		if s[j] <= 1e-14*s[0] {
			break
		}
		right := v[j*d : (j+1)*d]
		for i := range k {
			kernel.Axpy64(out[i*d:(i+1)*d], kernel.Dot64(a[i*d:(i+1)*d], right)/s[j], right)
		}
	}
	return out, nil
}

func sncVersusInit(ctx context.Context, p *params, _ Options) (*Report, error) {
	k, n, loss, rate := p.squaredFlow()
	b0 := p.startBias(k)
	type start struct {
		d    int
		w, h []float64
		end  float64
	}
	var starts []start
	for _, o := range p.objects("starts") {
		s := start{d: o.count("d")}
		s.w, s.h = o.matrix("W0", k, s.d, 0), o.matrix("H0", k*n, s.d, 0)
		s.end = o.nonNegative("t_end")
		if o.done() != nil {
			break
		}
		starts = append(starts, s)
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	root := math.Sqrt(float64(n))
	status := optimize.Converged
	var rows []Fields
	for _, s := range starts {
		problem := Problem{Loss: loss, Counts: slices.Repeat([]int{n}, k), Dim: s.d, Bias: FreeBias}
		path, err := problem.Flow(ctx, Point{W: s.w, H: s.h, B: b0}, []float64{s.end})
		if err != nil {
			return nil, err
		}
		at := path.Points[0]
		if path.Status != optimize.Converged {
			status = path.Status
		}
		grow, _ := grown(k, n, s.d, s.w, s.h)
		target, err := polar(k, s.d, grow)
		if err != nil {
			return nil, err
		}
		kernel.Scale64(target, math.Sqrt(root))
		// SNC1: W W^T = sqrt(n) S; SNC2: every feature is its row of W over sqrt(n); SNC3: b = 1/K
		snc1, snc2, snc3, within, residual := 0.0, 0.0, 0.0, 0.0, 0.0
		means := classMeans(k, n, s.d, at.H)
		for i := range k {
			wi := at.W[i*s.d : (i+1)*s.d]
			for j := range k {
				want := -root / float64(k)
				if i == j {
					want += root
				}
				snc1 += square(kernel.Dot64(wi, at.W[j*s.d:(j+1)*s.d]) - want)
			}
			snc3 += square(at.B[i] - 1/float64(k))
		}
		for i := range k * n {
			c := i / n
			h := at.H[i*s.d : (i+1)*s.d]
			for j, v := range h {
				snc2 += square(v - at.W[c*s.d+j]/root)
				within += square(v - means[c*s.d+j])
			}
			for j := range k {
				e := kernel.Dot64(h, at.W[j*s.d:(j+1)*s.d]) + at.B[j]
				if j == c {
					e--
				}
				residual += e * e
			}
		}
		drift := difference(imbalance(s.d, at.W, at.H), imbalance(s.d, s.w, s.h))
		rows = append(rows, Fields{{"d", s.d}, {"start_norm", math.Sqrt(kernel.SumSquares64(s.w) + kernel.SumSquares64(s.h))},
			{"SNC1", math.Sqrt(snc1)}, {"SNC2", math.Sqrt(snc2)}, {"SNC3", math.Sqrt(snc3)}, {"within_class", math.Sqrt(within)},
			{"loss", residual / 2 * rate}, {"distance_to_polar", frobenius(difference(at.W, target))},
			{"conservation_error", frobenius(drift)}}.with(path.fields()...))
	}
	r := &Report{Solved: Fields{{"status", string(status)}, {"rows", rows}}}
	r.Words = []string{"Distances from strong collapse at the end of the flow. They shrink with the size of the start: SNC1 like its square, SNC2 and SNC3 like the size itself.",
		"Without decay W^T W - H^T H never changes, so that spread within classes outside of the means' directions remains."}
	return r, nil
}

func square(x float64) float64 { return x * x }

func sncLinearised(ctx context.Context, p *params, o Options) (*Report, error) {
	k, n, loss, rate := p.squaredFlow()
	d := p.count("d")
	w, h := p.matrix("W0", k, d, 0), p.matrix("H0", k*n, d, 0)
	b0 := p.startBias(k)
	t, tBias := p.nonNegative("t"), p.nonNegative("t_bias")
	for _, b := range b0 {
		if b != b0[0] {
			p.fail("b0", "%v, wanted equal entries", b0)
		}
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	samples := float64(k * n)
	root := math.Sqrt(float64(n))
	grow, shrink := grown(k, n, d, w, h)
	linear := slices.Clone(grow)
	kernel.Scale64(linear, math.Exp(rate*root*t))
	kernel.Axpy64(linear, math.Exp(-rate*root*t), shrink)
	decay := math.Exp(-rate * samples * tBias)
	r := &Report{NotSolved: notRequested}
	r.ClosedForm = Fields{{"growth_rate", rate * root}, {"bias_rate", rate * samples}, {"W_centred_fro", frobenius(linear)},
		{"A_fro_over_scale", frobenius(grow) / p.matrixScale("W0")}, {"bias_at_t_bias", (1-decay)/float64(k) + decay*b0[0]},
		{"growth_rate_mse", root / samples}, {"bias_rate_mse", 1.0},
		{"theorem", "Mixon et al. 2020, linearised flow"}, {"proved", true}}
	r.Words = []string{fmt.Sprintf("Near zero the part of W and H that collapses grows at rate %.6g, while the bias reaches 1/K at rate %.6g.", rate*root, rate*samples)}
	if o.Method == methodNone {
		return r, nil
	}
	options := precise
	options.Abs = 1e-12 * max(frobenius(w), frobenius(h)) // the start may be as small as it likes
	problem := Problem{Loss: loss, Counts: slices.Repeat([]int{n}, k), Dim: d, Bias: FreeBias}
	times := []float64{min(t, tBias), max(t, tBias)}
	path, err := problem.flow(ctx, Point{W: w, H: h, B: b0}, times, options)
	if err != nil {
		return nil, err
	}
	at, atBias := path.Points[slices.Index(times, t)], path.Points[slices.Index(times, tBias)]
	centred := centreRows(k, d, at.W)
	r.NotSolved = ""
	r.Solved = Fields{{"W_centred_fro", frobenius(centred)}, {"bias_at_t_bias", atBias.B[0]},
		{"relative_difference", frobenius(difference(centred, linear)) / frobenius(linear)}}.with(path.fields()...)
	return r, nil
}

// matrixScale is the scale of a test matrix that has been read.
func (p *params) matrixScale(name string) float64 {
	m, _ := p.values[name].(map[string]any)
	x, _ := number(m["scale"])
	return x
}

func sncSubspace(ctx context.Context, p *params, o Options) (*Report, error) {
	k, n, loss, rate := p.squaredFlow()
	d := p.count("d")
	sigma, t := p.positives("sigma0"), p.nonNegative("t")
	if len(sigma) > min(k-1, d) {
		p.fail("sigma0", "%d singular values, wanted at most %d (K-1 and d)", len(sigma), min(k-1, d))
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	root := math.Sqrt(float64(n))
	exact := make([]float64, len(sigma))
	for j, s := range sigma {
		// s' = sqrt(n) s - s^3, an equation of Bernoulli
		exact[j] = math.Sqrt(root / (1 + (root/(s*s)-1)*math.Exp(-2*rate*root*t)))
	}
	r := &Report{NotSolved: notRequested}
	r.ClosedForm = Fields{{"sigma", exact}, {"limit", math.Sqrt(root)}, {"theorem", "Mixon et al. 2020: the flow stays within strong collapse"}, {"proved", true}}
	r.Words = []string{fmt.Sprintf("Every singular value of W goes to n^(1/4) = %.6g by itself: W becomes a simplex.", math.Sqrt(root))}
	if o.Method == methodNone {
		return r, nil
	}
	// column j of W is sigma_j times a unit vector that sums to zero, all of them orthogonal
	w, h := make([]float64, k*d), make([]float64, k*n*d)
	for j, s := range sigma {
		length := math.Sqrt(float64(j+1) * float64(j+2))
		for i := range j + 1 {
			w[i*d+j] = s / length
		}
		w[(j+1)*d+j] = -s * float64(j+1) / length
	}
	for i := range k * n {
		kernel.Axpy64(h[i*d:(i+1)*d], 1/root, w[i/n*d:(i/n+1)*d])
	}
	problem := Problem{Loss: loss, Counts: slices.Repeat([]int{n}, k), Dim: d, Bias: FreeBias}
	path, err := problem.Flow(ctx, Point{W: w, H: h, B: slices.Repeat([]float64{1 / float64(k)}, k)}, []float64{t})
	if err != nil {
		return nil, err
	}
	found := make([]float64, len(sigma))
	for j := range found {
		for i := range k {
			found[j] = math.Hypot(found[j], path.Points[0].W[i*d+j])
		}
	}
	r.NotSolved = ""
	r.Solved = Fields{{"sigma", found}}.with(path.fields()...)
	return r, nil
}

// A marginFlow is the gradient flow of cross-entropy without decay in the time s with ds = loss dt. The slopes of the
// loss over the loss itself are ordinary numbers even where the loss is exp(-10000): everything is carried in logarithms.
type marginFlow struct {
	k, n, d      int
	logs, logits []float64 // ln of the loss of each sample; logits less the own one
	slopes       []float64 // of the loss along the logits, over the loss
}

func newMarginFlow(k, n, d int) *marginFlow {
	return &marginFlow{k, n, d, make([]float64, k*n), make([]float64, k*n*k), make([]float64, k*n*k)}
}

// look computes ln of the summed loss, the smallest margin, and the slopes, at x = [W | H].
func (f *marginFlow) look(x []float64) (logLoss, margin float64) {
	k, d := f.k, f.d
	w, h := x[:k*d], x[k*d:]
	samples := k * f.n
	kernel.Gemm64(false, true, samples, k, d, 1, h, d, w, d, 0, f.logits, k)
	margin, top := math.Inf(1), math.Inf(-1)
	for i := range samples {
		row, own := f.logits[i*k:(i+1)*k], i/f.n
		highest := math.Inf(-1)
		base := row[own]
		for j := range row {
			row[j] -= base
			if j != own {
				highest = max(highest, row[j])
			}
		}
		margin = min(margin, -highest)
		sum := 0.0
		for j, v := range row {
			if j != own {
				sum += math.Exp(v - highest)
			}
		}
		odds := highest + math.Log(sum) // ln of sum over the others of e^(logit - own); the loss is ln(1 + e^odds)
		switch {
		case odds < -36: // ln(1+x) = x to the last digit
			f.logs[i] = odds
		case odds > 36:
			f.logs[i] = math.Log(odds)
		default:
			f.logs[i] = math.Log(math.Log1p(math.Exp(odds)))
		}
		top = max(top, f.logs[i])
	}
	sum := 0.0
	for _, l := range f.logs {
		sum += math.Exp(l - top)
	}
	logLoss = top + math.Log(sum)
	for i := range samples {
		row, slopes, own := f.logits[i*k:(i+1)*k], f.slopes[i*k:(i+1)*k], i/f.n
		loss := math.Exp(f.logs[i])
		total := 0.0
		for j, v := range row {
			if j != own {
				slopes[j] = math.Exp(v - loss - logLoss) // probability e^v / e^loss
				total += slopes[j]
			}
		}
		slopes[own] = -total
	}
	return logLoss, margin
}

// derivative writes minus the gradient over the loss.
func (f *marginFlow) derivative(_ float64, x, dx []float64) {
	f.look(x)
	k, d := f.k, f.d
	kernel.Gemm64(true, false, k, d, k*f.n, -1, f.slopes, k, x[k*d:], d, 0, dx[:k*d], d)
	kernel.Gemm64(false, false, k*f.n, d, k, -1, f.slopes, k, x[:k*d], d, 0, dx[k*d:], d)
}

func ceMargin(ctx context.Context, p *params, _ Options) (*Report, error) {
	k, n, d := p.classes("K"), p.count("n"), p.count("d")
	mean := 0.0
	if p.oneOf("loss", "ce_sum", "ce") == "ce" {
		mean = math.Log(float64(k * n)) // the flow is that of the sum, in another time
	}
	p.oneOf("bias", string(NoBias))
	if k*n > mostFlow {
		p.fail("n", "%d samples in all, wanted at most %d for an integration", k*n, mostFlow)
	}
	w, h := p.matrix("W0", k, d, 0), p.matrix("H0", k*n, d, 0)
	levels := p.reals("log_losses")
	for i := 1; i < len(levels); i++ {
		if levels[i] >= levels[i-1] {
			p.fail("log_losses", "%v, wanted descending numbers", levels)
		}
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	f := newMarginFlow(k, n, d)
	x := slices.Concat(w, h)
	if start, _ := f.look(x); start-mean <= levels[0] {
		return nil, fmt.Errorf("log_losses[0]: %g, wanted less than that of the start, %.6g", levels[0], start-mean)
	}
	conserved := imbalance(d, w, h)
	r := &Report{Solved: Fields{{"max_margin", 1 / (2 * float64(k-1) * math.Sqrt(float64(n)))}}}
	var rows []Fields
	s, err := ode.Start(f.derivative, 0, x, ode.Options{MaxSteps: 20_000})
	status := optimize.Converged
	for err == nil && len(rows) < len(levels) {
		if err = ctx.Err(); err != nil {
			return nil, err
		}
		if err = s.Step(math.MaxFloat64); err != nil {
			break
		}
		for len(rows) < len(levels) {
			t, ok := s.Crossing(func(_ float64, x []float64) float64 {
				l, _ := f.look(x)
				return l - mean - levels[len(rows)]
			})
			if !ok {
				break
			}
			s.At(t, x)
			logLoss, margin := f.look(x)
			rows = append(rows, Fields{{"log_loss", logLoss - mean}, {"time", t}}.with(f.margins(x, margin, conserved)...))
		}
	}
	if err != nil {
		// no further, for the data cannot be separated in d dimensions, or too slowly
		status = optimize.NotFinite
		if errors.Is(err, ode.ErrMaxSteps) {
			status = optimize.OutOfSteps
		}
		for _, level := range levels[len(rows):] {
			rows = append(rows, Fields{{"log_loss", level}, {"time", nil}, {"margin_ratio", nil}, {"norm2", nil}, {"simplex_error", nil}, {"conservation_error", nil}})
		}
	}
	r.Solved.Add("status", string(status))
	if s != nil {
		r.Solved.Add("steps", s.Stats().Steps)
	}
	r.Solved.Add("rows", rows)
	r.Words = []string{"Without decay the loss falls for ever. The margin, over the sum of squares of W and H, comes near the largest possible like 1 - c/|ln loss|: a loss of 1e-40 does not give the geometry to 1 %."}
	return r, nil
}

// with returns the fields and more.
func (f Fields) with(more ...Field) Fields { return append(f, more...) }

func (f *marginFlow) margins(x []float64, margin float64, conserved []float64) Fields {
	k, d := f.k, f.d
	w, h := x[:k*d], x[k*d:]
	ww := kernel.SumSquares64(w)
	total := ww + kernel.SumSquares64(h)
	far := 0.0
	for i := range k {
		for j := range k {
			want := -1 / (float64(k) * float64(k-1))
			if i == j {
				want = 1 / float64(k)
			}
			far += square(kernel.Dot64(w[i*d:(i+1)*d], w[j*d:(j+1)*d])/ww - want)
		}
	}
	return Fields{{"margin_ratio", 2 * float64(k-1) * math.Sqrt(float64(f.n)) * margin / total}, {"norm2", total}, {"simplex_error", math.Sqrt(far)},
		{"conservation_error", frobenius(difference(imbalance(d, w, h), conserved))}}
}

func decayedBalance(ctx context.Context, p *params, _ Options) (*Report, error) {
	k, n, d := p.classes("K"), p.count("n"), p.count("d")
	dec := p.decays()
	kind := LossKind(p.oneOf("loss", string(CrossEntropy), string(SquaredError)))
	if k*n > mostFlow {
		p.fail("n", "%d samples in all, wanted at most %d for an integration", k*n, mostFlow)
	}
	w, h := p.matrix("W0", k, d, 0), p.matrix("H0", k*n, d, 0)
	t := p.nonNegative("t")
	if err := p.done(); err != nil {
		return nil, err
	}
	problem := Problem{Loss: Loss{Kind: kind}, Counts: slices.Repeat([]int{n}, k), Dim: d, W: Decay(dec.W), H: Decay(dec.H), Bias: dec.Bias, B: dec.B}
	var b []float64
	if dec.Bias != NoBias {
		b = make([]float64, k)
	}
	path, err := problem.Flow(ctx, Point{W: w, H: h, B: b}, []float64{t})
	if err != nil {
		return nil, err
	}
	at := path.Points[0]
	f, err := newObjective(problem, false)
	if err != nil {
		return nil, err
	}
	x, err := f.values(at)
	if err != nil {
		return nil, err
	}
	before, after := frobenius(imbalance(d, w, h)), frobenius(imbalance(d, at.W, at.H))
	r := &Report{Solved: Fields{{"imbalance_fro_0", before}, {"imbalance_fro_t", after}, {"objective_at_t", f.value(x, make([]float64, f.n))}}.with(path.fields()...)}
	if dec.W == dec.H {
		r.ClosedForm.Add("imbalance_fro_t", before*math.Exp(-2*dec.W*t))
		r.ClosedForm.Add("theorem", "W^T W - H^T H decays like e^(-2 lambda t) where both decays are lambda")
		r.ClosedForm.Add("proved", true)
	}
	if kind == CrossEntropy && d >= k-1 {
		r.ClosedForm.Add("value_at_infinity", ceDecayValue(k, n, dec))
	} else {
		r.ClosedForm.Add("value_at_infinity", nil)
	}
	return r, nil
}

// ceDecayValue is the optimum of balanced cross-entropy with decays, with any bias (Zhu et al. 2021, Theorem 3.1).
func ceDecayValue(k, n int, d decays) float64 {
	classes, lambda := float64(k), math.Sqrt(float64(n)*d.W*d.H)
	if classes*lambda >= 1 {
		return math.Log(classes)
	}
	return -math.Log1p(-(classes-1)*lambda) + (classes-1)*lambda*math.Log(1/lambda-(classes-1))
}
