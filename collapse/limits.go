package collapse

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/moments"
)

// Confidence limits of metrics are those of what endless samples of the same classes would show, so that a value from
// few samples, which the noise of the means has moved, may lie outside of its own limits. Metrics of the means' shape are drawn
// again, with the noise that the residuals drawn by lot have; those of spreads have influence functions.

// Limits of metrics are given up to these: the share of noise in the distances of means, and the simplex level that noise shows alone.
// Corrections of second order serve there.
const mostShare, mostFloor = 0.2, 0.25

// bound gives limits to a metric that was measured; both are nil where there are none.
func (values Values) bound(id string, low, high float64) {
	if !values.has(id) {
		return
	}
	v := values[id]
	v.Bounded, v.Low, v.High = true, finite(low), finite(high)
	if v.Low == nil || v.High == nil {
		v.Low, v.High = nil, nil
	}
	values[id] = v
}

// has reports whether a metric was measured.
func (values Values) has(id string) bool {
	v, ok := values[id]
	return ok && v.Defined()
}

// rates gives limits to the shares of rows (Wilson 1927).
func (s *sample) rates(values Values, z float64) {
	for _, id := range []string{"nc4_disagreement", "ncc_error", "classifier_error"} {
		values.rate(id, s.pass.Rows, z)
	}
	if s.test != nil {
		for _, id := range []string{"nc4_disagreement_test", "ncc_error_test", "classifier_error_test"} {
			values.rate(id, s.test.pass.Rows, z)
		}
	}
}

// rate gives limits to a share of so many rows.
func (values Values) rate(id string, rows int64, z float64) {
	if rows > 0 && values.has(id) {
		low, high := wilson(values[id].Number, float64(rows), z)
		values.bound(id, low, high)
	}
}

// limits gives limits to metrics of means and spreads.
func (s *sample) limits(values Values, l *layout, w *draw, f fourth, v *Levels) {
	share := v.Variability.NoiseShare
	fits := w != nil && l.k() == s.k && slices.Min(l.n) > 2 && share != nil && *share <= mostShare && v.Variability.Value != nil
	if floor := v.Simplex.Floor; floor != nil && *floor > mostFloor {
		fits = false
	}
	if fits {
		s.spreads(values, l, w, f, *v.Variability.Value)
		s.shapes(values, l, w, f)
		return
	}
	for _, id := range []string{"nc1", "nc1_svd", "nc1_quotient", "cdnv_mean"} {
		values.bound(id, math.NaN(), math.NaN())
	}
	for _, m := range shapeMetrics {
		values.bound(m.id, math.NaN(), math.NaN())
	}
}

// A redrawn shape is the means, drawn again, and the classifier as they see it.
type redrawn struct {
	k        int
	means    *geometry.Vectors
	weights  *geometry.Vectors // rows of W; nil without a classifier
	cross    []float64         // k x k, row c: w_j.m_c
	atCentre []float64         // logits at the global mean
	between  *angles           // once they are wanted
	spare    []float64         // k x k, to work in
}

// angles tell of the cosines between all pairs of means.
type angles struct{ mean, deviation, widest float64 }

// angles takes the cosines less that of a simplex, which keeps the digits of their spread.
func (h *redrawn) angles() *angles {
	if h.between != nil {
		return h.between
	}
	g, ideal := h.means.Gram(), -1/float64(h.k-1)
	inverse := make([]float64, h.k)
	for a, norm := range h.means.Norms() {
		inverse[a] = 1 / norm
	}
	var sum, square, size float64
	for a, ia := range inverse {
		row := g[a*h.k:]
		for b, ib := range inverse[:a] {
			d := row[b]*(ia*ib) - ideal
			sum += d
			square += d * d
			size += math.Abs(d)
		}
	}
	pairs := float64(h.k*(h.k-1)) / 2
	h.between = &angles{ideal + sum/pairs, math.Sqrt(max(0, square/pairs-sum/pairs*sum/pairs)), size / pairs}
	return h.between
}

func (h *redrawn) cosines() []float64 {
	out := make([]float64, h.k)
	for c := range out {
		out[c] = h.cross[c*h.k+c] / (h.weights.Norms()[c] * h.means.Norms()[c])
	}
	return out
}

func crossError(k int, g []float64) float64 {
	e, _ := geometry.ETFError(k, g)
	return e
}

// shapeMetrics are those that are drawn again. The squares of distances, which cannot be below 0, have the limits.
var shapeMetrics = []struct {
	id     string
	square bool
	dual   bool // of means and classifier
	bent   bool // not smooth at 0: where noise adds much, there are no limits
	eval   func(h *redrawn) float64
}{
	{"nc2_equinorm", true, false, false, func(h *redrawn) float64 { return equinorm(frame{Vectors: h.means}).Number }},
	{"nc2_equiangle", true, false, false, func(h *redrawn) float64 { return h.angles().deviation }},
	{"nc2_max_angle", true, false, true, func(h *redrawn) float64 { return h.angles().widest }},
	{"nc2_cos_mean", false, false, false, func(h *redrawn) float64 { return h.angles().mean }},
	{"nc2_etf", true, false, false, func(h *redrawn) float64 { return etf(frame{Vectors: h.means}).Number }},
	{"nc3_distance", true, true, false, func(h *redrawn) float64 {
		trace := 0.0
		for c := range h.k {
			trace += h.cross[c*h.k+c]
		}
		return root(2 - 2*trace/(h.weights.Frobenius()*h.means.Frobenius()))
	}},
	{"nc3_alignment", false, true, false, func(h *redrawn) float64 { return mean(h.cosines()) }},
	{"nc3_uniform", true, true, false, func(h *redrawn) float64 { return deviation(h.cosines()) }},
	{"nc3_etf", true, true, false, func(h *redrawn) float64 { return crossError(h.k, h.cross) }},
	{"nc3_etf_centred", true, true, false, func(h *redrawn) float64 {
		g := append(h.spare[:0], h.cross...)
		lessColumns(h.k, g, equal(h.k))
		return crossError(h.k, g)
	}},
	{"nc3_scale", false, true, false, func(h *redrawn) float64 { return h.weights.Frobenius() / h.means.Frobenius() }},
	{"nc3_bias", true, true, false, func(h *redrawn) float64 { return norm(h.atCentre) }},
	{"nc3_bias_centred", true, true, false, func(h *redrawn) float64 { return math.Sqrt(variance(h.atCentre) * float64(h.k)) }},
}

// centring are the weights of the classes in the global mean.
func (s *sample) centring() []float64 {
	w := equal(s.k)
	if s.opts.GlobalMean == "sample" {
		for c := range w {
			w[c] = float64(s.sum.Count[c]) / s.n
		}
	}
	return w
}

// equal weights.
func equal(k int) []float64 {
	w := make([]float64, k)
	for c := range w {
		w[c] = 1 / float64(k)
	}
	return w
}

// shapes takes the noise of the means out of their Gram matrix, as far as its expectation goes, and draws the means again and again from
// there (Efron 1979, with normal noise of the covariance that the lots have). What draws add on average is what the sample had added.
func (s *sample) shapes(values Values, l *layout, w *draw, f fourth) {
	k := s.k
	centring := s.centring()
	gram := make([]float64, k*k)
	for a := range k {
		gram[a*k+a] = -l.noise(a)
	}
	lessRows(k, gram, centring)
	lessColumns(k, gram, centring)
	kernel.Add64(gram, s.means.Gram())
	first := &redrawn{k: k, means: geometry.FromGram(k, gram)}
	var toWeights []float32
	reach := 0.0
	wanted := false
	for _, m := range shapeMetrics {
		if values.has(m.id) {
			wanted = true
			if m.dual && s.class.Classes == k && toWeights == nil {
				first.weights, first.cross, first.atCentre = s.class.all, s.rawCross(), s.class.atCentre
				toWeights, reach = w.times(s.class.all)
			}
		}
	}
	if !wanted {
		return
	}
	times := min(64, max(8, 6400/k))
	drawn := make([][]float64, len(shapeMetrics)) // metrics x draws
	for i := range drawn {
		drawn[i] = make([]float64, times)
	}
	measure := func(h *redrawn, i int) float64 {
		m := shapeMetrics[i]
		if m.dual && h.cross == nil {
			return math.NaN()
		}
		v := m.eval(h)
		if m.square {
			v *= v
		}
		return v
	}
	rooms := make([]room, parallel.Workers())
	parallel.For(times, func(worker, at int) {
		h := w.again(rand.New(rand.NewPCG(s.opts.Seed, 1<<32+uint64(at))), first, l, f, centring, toWeights, reach, &rooms[worker])
		for i, m := range shapeMetrics {
			if values.has(m.id) {
				drawn[i][at] = measure(h, i)
			}
		}
	})
	z := student(s.opts.Confidence, min(float64(times-1), max(l.harmonic()-1, 1))) // a metric may hang on one class
	for i, m := range shapeMetrics {
		if !values.has(m.id) || k == 2 && !m.dual { // two means have one shape
			continue
		}
		value, average := measure(first, i), mean(drawn[i])
		middle := 2*value - average
		half := z * deviation(drawn[i]) * math.Sqrt(1+2/float64(times))
		low, high := middle-half, middle+half
		if m.square {
			low, high = root(low), root(high)
			if math.IsNaN(middle) || m.bent && math.Abs(average-value) > 0.1*value {
				low = math.NaN()
			}
		}
		values.bound(m.id, low, high)
	}
}

// rawCross are the products of the rows of W, as they are, with the means.
func (s *sample) rawCross() []float64 {
	g := make([]float64, s.k*s.k)
	for c := range s.k {
		shift := kernel.Dot64(s.class.mean, s.means.Row(c))
		for j := range s.k {
			g[c*s.k+j] = s.class.cross[j*s.k+c] + shift
		}
	}
	return g
}

// A room holds the matrices of one draw after another, k x k.
type room struct {
	x    []float64 // row c: m_j.N_c
	y    []float64 // row c: w_j.(m_c + N_c)
	gram []float64 // N N', and then all of (M + N)(M + N)'
}

// again draws a shape: M + N with N_c of covariance Sigma_c/n_c, as combinations of lots, in the products that metrics are made of.
// It lasts until the next one in the same room.
func (w *draw) again(r *rand.Rand, first *redrawn, l *layout, f fourth, centring []float64, toWeights []float32, reach float64, in *room) *redrawn {
	k := w.k
	if in.x == nil {
		in.x, in.gram = make([]float64, k*k), make([]float64, k*k)
		if toWeights != nil {
			in.y = make([]float64, k*k)
		}
	}
	x, y, gram := in.x, in.y, in.gram
	clear(x)
	copy(y, first.cross)
	with := 0
	for i := 0; i < w.m; i = w.end[i] {
		with++
	}
	up := math.Sqrt(float64(k) / float64(with)) // classes without a lot are as the others
	centre := make([]float64, k)                // of the rows of x, and of the noise in those of y
	drift := make([]float64, k)
	for i, c := range w.class {
		g := r.NormFloat64() * math.Sqrt(w.unit/(l.n[c]*w.of(i))) * up
		scores := w.scores[i*k : (i+1)*k]
		kernel.Axpy32(x[c*k:(c+1)*k], g*l.reach, scores)
		kernel.Axpy32(centre, g*l.reach*centring[c], scores)
		if y != nil {
			products := toWeights[i*k : (i+1)*k]
			kernel.Axpy32(y[c*k:(c+1)*k], g*reach, products)
			kernel.Axpy32(drift, g*reach*centring[c], products)
		}
	}
	size := make([]float64, k) // N_a.N_b has the variance tr Sigma_a Sigma_b/(n_a n_b), a product of two
	for a := range k {
		size[a] = math.Sqrt(math.Sqrt(max(f.other.value, 0)) * l.tau[a] / l.n[a])
	}
	share := make([]float64, k) // N N' times the centring
	for a := range k {
		row, own := gram[a*k:a*k+a+1], 0.0
		for b := range a {
			v := r.NormFloat64() * size[a] * size[b]
			row[b] = v
			own += v * centring[b]
			share[b] += v * centring[a]
		}
		row[a] = r.NormFloat64() * math.Sqrt(max(2*f.trace(l, a, a), 0)/(l.n[a]*(l.n[a]-1)))
		share[a] += own + row[a]*centring[a]
	}
	half := kernel.Dot64(share, centring) / 2
	for a := range k {
		centre[a] += share[a] - half
	}
	// Along rows and columns at once, piece by piece: whole columns would miss the caches.
	const piece = 32
	bare := first.means.Gram()
	for i := 0; i < k; i += piece {
		for j := 0; j <= i; j += piece {
			for a := i; a < min(i+piece, k); a++ {
				for b := j; b < min(j+piece, a+1); b++ {
					v := bare[a*k+b] + gram[a*k+b] + x[a*k+b] + x[b*k+a] - centre[a] - centre[b]
					gram[a*k+b], gram[b*k+a] = v, v
				}
			}
		}
	}
	h := &redrawn{k: k, means: geometry.FromGram(k, gram), weights: first.weights, spare: x}
	if y != nil {
		h.atCentre = slices.Clone(first.atCentre)
		kernel.Add64(h.atCentre, drift)
		for c := range k {
			kernel.Axpy64(y[c*k:(c+1)*k], -1, drift)
		}
		h.cross = y
	}
	return h
}

// lessRows takes the weighted mean of the rows of a k x k matrix away from each, and returns it.
func lessRows(k int, m, weights []float64) []float64 {
	centre := make([]float64, k)
	for c := range k {
		kernel.Axpy64(centre, weights[c], m[c*k:(c+1)*k])
	}
	for c := range k {
		kernel.Axpy64(m[c*k:(c+1)*k], -1, centre)
	}
	return centre
}

// lessColumns does the same to the columns.
func lessColumns(k int, m, weights []float64) {
	for a := range k {
		row := m[a*k : (a+1)*k]
		shift := kernel.Dot64(row, weights)
		for b := range row {
			row[b] -= shift
		}
	}
}

// spreads gives limits to nc1, nc1_quotient and cdnv_mean, on the log scale.
func (s *sample) spreads(values Values, l *layout, w *draw, f fourth, v float64) {
	k := l.k()
	kk := float64(k)
	influence := func(id string, value, more float64, of func(i, c int) float64) {
		if !slices.ContainsFunc(sameValue(id), values.has) {
			return
		}
		var sum spread
		for i := 0; i < w.m; i = w.end[i] {
			c, square := w.class[i], 0.0
			for j := i; j < w.end[i]; j++ {
				x := of(j, c)
				square += x * x / w.of(i)
			}
			sum.add(square/(l.n[c]-2), min(l.n[c]-1, max(w.of(i)-1, 1))) // n-2, for the squares of residuals vary together
		}
		z := sum.student(s.opts.Confidence, 0.5)
		half := z*math.Sqrt(sum.sum)/value + more
		for _, same := range sameValue(id) {
			values.bound(same, value*math.Exp(-half), value*math.Exp(half))
		}
	}
	second := 4 * v * v / l.harmonic()
	trace := 0.0
	within := 0.0
	for a := range k {
		within += l.n[a] / s.n * l.tau[a]
		trace += s.means.Gram()[a*k+a] / kk
	}
	centring := s.centring()
	noise := 0.0 // tr Sigma_B less this
	for a := range k {
		noise += l.noise(a) * (1/kk - 2*centring[a]/kk + centring[a]*centring[a])
	}
	between := trace - noise
	quotient := within / between
	weighted := func(i int) float64 { // r.(sum_c m_c - K sum_c w_c...): m_c.r less its centring
		sum := 0.0
		for j := range k {
			sum += float64(w.scores[i*k+j])
		}
		return sum * l.reach
	}
	influence("nc1_quotient", quotient, 0, func(i, c int) float64 {
		along := float64(w.scores[i*k+c])*l.reach - centring[c]*weighted(i)
		return l.n[c]/s.n*(float64(w.square[i])*w.unit-l.tau[c])/between - 2*quotient/between*along*math.Sqrt(w.unit)/kk
	})
	cdnv := 0.0
	pair := make([]float64, k) // mean over j of 1/(2 D)
	for a := range k {
		for b := range k {
			if a != b {
				pair[a] += 1 / (2 * l.clean[a*k+b]) / (kk - 1)
				cdnv += (l.tau[a] + l.tau[b]) / (2 * l.clean[a*k+b]) / (kk * (kk - 1))
			}
		}
	}
	cdnv /= 1 + 2*second
	influence("cdnv_mean", cdnv, 0, func(i, c int) float64 {
		sum := (float64(w.square[i])*w.unit - l.tau[c]) * pair[c]
		for j := range k {
			if j != c {
				sum -= (l.tau[c] + l.tau[j]) / l.clean[c*k+j] * float64(w.toward[i*k+j]) / (kk - 1)
			}
		}
		return 2 * sum / kk
	})
	s.nc1Limits(values, l, w, f, influence)
}

// sameValue are the metrics that have the same value as one, where they have one.
func sameValue(id string) []string {
	if id == "nc1" {
		return []string{"nc1", "nc1_svd"}
	}
	return []string{id}
}

// nc1Limits are those of nc1: second moments along the axes of the means, or with the inverse of their Gram matrix.
func (s *sample) nc1Limits(values Values, l *layout, w *draw, f fourth, influence func(id string, value, more float64, of func(i, c int) float64)) {
	k := s.k
	kk := float64(k)
	none := func() {
		for _, same := range sameValue("nc1") {
			values.bound(same, math.NaN(), math.NaN())
		}
	}
	if !slices.ContainsFunc(sameValue("nc1"), values.has) {
		return
	}
	if s.rank < min(k-1, s.d) || s.route.moments == moments.OfRows {
		none()
		return
	}
	free := s.n / (s.n - kk)
	tau, noise, traces := 0.0, 0.0, 0.0
	for a := range k {
		noise += l.noise(a) / kk
		tau += l.tau[a] / kk
	}
	for a := range k {
		own := l.n[a] / s.n * l.tau[a]
		traces += own * (f.other.value*(kk*noise-l.noise(a)) + f.same.value*l.noise(a)) / kk
	}
	sv := s.means.SingularValues()[:s.rank]
	value, plain, inverse := 0.0, 0.0, 0.0
	for _, x := range sv {
		if x*x <= noise {
			none()
			return
		}
		plain += 1 / (x * x)
		inverse += 1 / (x*x - noise)
	}
	if s.route.name == "svd" {
		for j, x := range sv {
			value += (s.pass.Moments[j]/s.n*free*x*x - traces) / ((x*x - noise) * (x*x - noise))
		}
	} else {
		value = s.trace(s.pass.Moments, s.n) * free * inverse / plain
	}
	single, double := 0.0, 0.0 // sums of 1/lambda and its square
	for _, x := range sv {
		single += 1 / (x*x - noise)
		double += 1 / ((x*x - noise) * (x*x - noise))
	}
	value /= 1 + value/l.harmonic()*(1+(kk+1)*double/(single*single)) // what the curvature of 1/lambda adds, for noise alike in all directions
	part, back := make([]float64, w.m), make([]float64, w.m)
	if s.route.name == "svd" {
		r := s.rank
		axes, reach := w.times(geometry.New(r, s.d, s.route.axes))
		at := make([]float64, k*r)
		kernel.Gemm64(false, true, k, r, s.d, 1, s.means.Data, s.d, s.route.axes, s.d, 0, at, r)
		for i, c := range w.class {
			for j, x := range sv {
				a := float64(axes[i*r+j]) * reach
				part[i] += a * a / (x * x)
				back[i] += at[c*r+j] * a / (x * x * x * x)
			}
		}
	} else {
		const some = 256 // lots at a time
		scores, product := make([]float64, some*k), make([]float64, some*k)
		for i := 0; i < w.m; i += some {
			n := min(some, w.m-i)
			kernel.Widen(scores, w.scores[i*k:(i+n)*k])
			kernel.Gemm64(false, false, n, k, k, l.reach, scores, k, s.route.inverse, k, 0, product, k)
			for j, c := range w.class[i : i+n] {
				part[i+j] = kernel.Dot64(product[j*k:(j+1)*k], scores[j*k:(j+1)*k]) * l.reach
				back[i+j] = product[j*k+c]
			}
		}
	}
	average := make([]float64, k)
	for i, c := range w.class {
		average[c] += part[i] / w.of(i)
	}
	// What is beyond that is taken to be at most a tenth of all corrections.
	found := s.trace(s.pass.Moments, s.n) * free
	influence("nc1", value, math.Abs(math.Log(value/found))/10, func(i, c int) float64 {
		return l.n[c]/s.n*(part[i]-average[c])*w.unit*value/found - 2*value*back[i]*math.Sqrt(w.unit)/plain
	})
}
