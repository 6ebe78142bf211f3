package collapse

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/moments"
)

// fullSample is what the metrics of cost Full need: second moments of all rows and of each class. What no wanted
// metric needs is left empty.
type fullSample struct {
	d        int       // of the matrices
	within   []float64 // Sigma_W, d x d
	total    []float64 // Sigma_S, the covariance about mu_S, d x d
	features []float64 // singular values of the rows less mu_S, decreasing, up to a common factor

	vci               Value
	nuclearRatio      Value
	codingRate        Value
	codingRateClasses Value
	mse               squaredErrors
	push              pushSums
}

// ofFull is a metric of cost Full.
func ofFull(f func(f *fullSample) Value) func(*sample) Value {
	return func(s *sample) Value {
		if s.full == nil {
			return undefined(NotRequested)
		}
		return f(s.full)
	}
}

// factorWork is the number of operations up to which spectra are found from triangular factors. They keep the
// singular values that second moments lose, those below 1e-8 of the largest, at several times the price: 5e10 is some
// seconds, and allows for 50,000 rows in 700 dimensions.
var factorWork = 5e10

// fullNeeds says what has to be computed for the metrics that are wanted.
type fullNeeds struct {
	moments    bool // Sigma_W
	total      bool // Sigma_S
	spectrum   bool // singular values of the rows less mu_S
	vci        bool
	mse        bool
	rate       bool // coding rate of all rows
	classRates bool
	nuclear    bool
	push       bool // of features
	classPush  bool // of rows of W
	dim        int  // d of the coding rates
}

func (m *measurement) fullNeeds() (n fullNeeds) {
	want := func(ids ...string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return m.wanted[id] })
	}
	imitated := func(script string) bool { return slices.Contains(m.opts.Compat, script) }
	n.spectrum = want("erank_features", "srank_features", "top_energy")
	n.vci = want("vci")
	n.mse = want("mse_total", "mse_nc1", "mse_nc23", "mse_perp")
	n.total = want("pr_features") || n.mse || imitated("han")
	n.moments = want("pr_within") || n.vci || n.total || n.spectrum
	n.rate = want("coding_rate", "coding_rate_reduction")
	n.classRates = want("coding_rate_classes", "coding_rate_reduction")
	n.nuclear = want("nuclear_ratio") || imitated("zhou")
	n.push = want("pull_mean", "push_mean")
	n.classPush = want("clf_push_pull_max", "clf_push_pull_mean")
	return n
}

// on leaves out what is undefined on a sample anyway.
func (n fullNeeds) on(s *sample) fullNeeds {
	n.vci = n.vci && s.needSpread() == ""
	n.mse = n.mse && s.class != nil
	n.push = n.push && s.needLogits() == ""
	n.classPush = n.classPush && s.needLogits() == ""
	n.dim = s.d
	return n
}

// sweeps and blocks tell of the passes: over all rows together, and by class.
func (n fullNeeds) sweeps() bool { return n.moments || n.rate || n.push || n.classPush }
func (n fullNeeds) blocks() bool { return n.nuclear || n.classRates }

// passes is how often the rows are read, all groups of classes together counting as once.
func (n fullNeeds) passes() (count int64) {
	if n.sweeps() {
		count++
	}
	if n.blocks() {
		count++
	}
	return count
}

// third makes the third pass over the rows of a layer, and one more for every group of classes that fits in memory.
func (m *measurement) third(s *sample, l *features.Layer) (*fullSample, error) {
	need := m.fullNeeds().on(s)
	bytes := 8 * 8 * int64(s.d) * int64(s.d)
	if !(need.moments || need.rate) || bytes <= m.opts.Memory {
		return m.collectFull(s, need)
	}
	if s.n < float64(s.d) && len(m.opts.Compat) == 0 {
		if f, err := m.thirdInSpan(s, need); f != nil || err != nil {
			return f, err
		}
	}
	return nil, &features.Error{File: m.set.Source, Array: l.Array, Kind: features.TooLarge, Message: fmt.Sprintf(
		"second moments in %d dimensions need %d bytes, the budget is %d; raise --memory, or leave out metrics of cost F", s.d, bytes, m.opts.Memory)}
}

func (m *measurement) collectFull(s *sample, need fullNeeds) (*fullSample, error) {
	f := &fullSample{d: s.d}
	if need.sweeps() {
		if err := f.sweep(m.ctx, s, m.scan, need); err != nil {
			return nil, err
		}
	}
	if need.blocks() {
		if err := f.classes(m.ctx, s, m.scan, need); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// thirdInSpan serves few rows in many dimensions: rows and classifier are turned into the span of both, where d is their number.
// No metric of cost Full changes under rotation. It returns nil if that does not fit in memory either.
func (m *measurement) thirdInSpan(s *sample, need fullNeeds) (*fullSample, error) {
	n, d, kw := int(s.n), s.d, 0
	if s.class != nil {
		kw = s.class.Classes
	}
	side := n + kw
	if side >= d || 8*(3*int64(side)*int64(d)+8*int64(side)*int64(side)) > m.opts.Memory {
		return nil, nil
	}
	vectors := make([]float64, 0, side*d)
	labels := make([]int64, 0, n)
	for b, err := range s.split.Batches(m.ctx, 256) {
		if err != nil {
			return nil, err
		}
		for i := range b.Rows {
			if math.IsNaN(squareOf(&b, i)) {
				continue
			}
			x32, x64 := rowOf(&b, i)
			row := make([]float64, d)
			copy(row, x64)
			kernel.Widen(row[:len(x32)], x32)
			vectors, labels = append(vectors, row...), append(labels, b.Labels[i])
		}
	}
	if s.class != nil {
		vectors = append(vectors, s.class.Weights...)
	}
	var coordinates []float64 // of vector i: column i of the triangular factor of the vectors as columns
	if err := interruptible(m.ctx, func() {
		coordinates = transpose(side, side, linalg.QR(d, side, transpose(side, d, vectors)))
	}); err != nil {
		return nil, err
	}
	var class *features.Classifier
	if s.class != nil {
		c := *s.class.Classifier
		c.Dim, c.Weights = side, coordinates[n*side:]
		class = &c
	}
	set, err := features.From(coordinates[:n*side], side, labels, class)
	if err != nil {
		return nil, err
	}
	turned := *m
	turned.set, turned.scan.Progress = set, nil
	t, _, err := turned.first(set.Layers[0].Train, "")
	if err != nil {
		return nil, err
	}
	t.use(class)
	if err := t.measure(m.ctx, turned.scan, false); err != nil {
		return nil, err
	}
	return turned.collectFull(t, need)
}

// sweep makes the pass over all rows, and what is made of its sums.
func (f *fullSample) sweep(ctx context.Context, s *sample, scan moments.ScanOptions, need fullNeeds) error {
	v := newSweep(s, need)
	// One chunk is worked on at a time, by all processors: sums are formed in the order of the rows, and only once.
	scan.Workers, scan.ChunkRows = 1, max(64, min(moments.BlockRows, (1<<22)/s.d))
	if err := moments.Scan(ctx, s.split, scan, func() moments.Visitor { return v }); err != nil {
		return err
	}
	f.push = v.push.finish()
	steps := []struct {
		wanted bool
		do     func()
	}{
		{need.rate, func() { f.codingRate = number(codingRate(s.d, s.n, need.dim, v.units)); v.units = nil }},
		{need.moments, func() { f.moments(s, v) }},
		{need.spectrum, func() { f.spectrum(s, v) }},
		{need.vci, func() { f.vci = variabilityIndex(s, f.within) }},
		{need.mse, func() { f.mse = squaredErrorsOf(s, f.within, f.total) }},
	}
	for _, step := range steps {
		if step.wanted {
			if err := interruptible(ctx, step.do); err != nil {
				return err
			}
		}
	}
	return nil
}

// interruptible runs f, which may take seconds in matrices of thousands of rows. It returns when the context is done, and leaves
// f to come to its end in the background.
func interruptible(ctx context.Context, f func()) error {
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		f()
	}()
	select {
	case failure := <-done:
		if failure != nil {
			panic(failure)
		}
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rowSweep adds up what all rows contribute.
type rowSweep struct {
	s     *sample
	bases []float64 // K x d, the class means
	mul   multiplier
	push  *pushPullSums // nil where not needed

	gathered []float64       // the residuals themselves, where they are fewer than their dimensions and spectra are wanted,
	factor   *linalg.RFactor // or their triangular factor,
	scatter  []float64       // or sum r r'
	units    []float64       // sum v v', v = h/|h|
	order    []int           // classes of the gathered rows

	all       []int     // classes of the rows of a batch
	kept      []int     // rows of the batch that are finite
	class     []int     // their classes
	residuals []float64 // h - mu_y
	scratch   []float64
}

func newSweep(s *sample, need fullNeeds) *rowSweep {
	v := &rowSweep{s: s, bases: s.sum.Absolute(), mul: multiplier{double: s.double()}}
	d := s.d
	if need.push || need.classPush {
		v.push = newPushPullSums(s, need)
	}
	switch work := 2 * s.n * float64(d) * min(s.n, float64(d)); {
	case need.spectrum && work <= factorWork && s.n < float64(d):
		v.gathered = make([]float64, 0, int(s.n)*d)
	case need.spectrum && work <= factorWork:
		v.factor = linalg.NewRFactor(d)
	case need.moments:
		v.scatter = make([]float64, d*d)
	}
	if need.rate {
		v.units = make([]float64, d*d)
	}
	return v
}

// Begin and End have nothing to do: chunks are worked on as they come.
func (v *rowSweep) Begin(int) {}
func (v *rowSweep) End()      {}

// rowTile is the number of rows that a goroutine takes at a time.
const rowTile = 32

// eachRow calls f for every row, by all processors.
func eachRow(n int, f func(i int)) {
	parallel.Ranges(n, rowTile, func(from, to int) {
		for i := from; i < to; i++ {
			f(i)
		}
	})
}

func (v *rowSweep) Rows(b *features.Batch) {
	d := v.s.d
	v.keep(b)
	n := len(v.kept)
	v.residuals = resize(v.residuals, n*d)
	eachRow(n, func(i int) {
		x32, x64 := rowOf(b, v.kept[i])
		dst, mu := v.residuals[i*d:(i+1)*d], v.bases[v.class[i]*d:][:d]
		if x64 != nil {
			kernel.Diff64(dst, x64, mu)
		} else {
			kernel.Diff32To64(dst, x32, mu)
		}
	})
	if v.push != nil {
		v.push.add(&v.mul, v.residuals, v.class)
	}
	if v.units != nil {
		v.scratch = resize(v.scratch, n*d)
		eachRow(n, func(i int) { unitRow(v.scratch[i*d:(i+1)*d], b, v.kept[i]) })
		v.mul.addScatter(v.units, v.scratch, n, d)
	}
	switch {
	case v.gathered != nil:
		v.gathered = append(v.gathered, v.residuals...)
		v.order = append(v.order, v.class...)
	case v.factor != nil:
		v.factor.Add(v.residuals, n)
	case v.scatter != nil:
		v.mul.addScatter(v.scatter, v.residuals, n, d)
	}
}

// keep lists the finite rows of a batch and their classes.
func (v *rowSweep) keep(b *features.Batch) {
	v.all = classesOf(v.all, v.s, b, func(int) bool { return true })
	v.kept, v.class = v.kept[:0], v.class[:0]
	for i, c := range v.all {
		if c >= 0 {
			v.kept, v.class = append(v.kept, i), append(v.class, c)
		}
	}
}

// classesOf finds the class of every row of a batch, -1 for rows that are not finite or not wanted.
func classesOf(dst []int, s *sample, b *features.Batch, want func(c int) bool) []int {
	dst = resize(dst, b.Rows)
	eachRow(b.Rows, func(i int) {
		c, ok := slices.BinarySearch(s.sum.Classes, b.Labels[i])
		if !ok || !want(c) || math.IsNaN(squareOf(b, i)) {
			c = -1
		}
		dst[i] = c
	})
	return dst
}

// rowOf is row i of a batch, in the type that it has.
func rowOf(b *features.Batch, i int) (x32 []float32, x64 []float64) {
	if b.Float64 != nil {
		return nil, b.Float64[i*b.Dim : (i+1)*b.Dim]
	}
	return b.Float32[i*b.Dim : (i+1)*b.Dim], nil
}

// squareOf is |h|^2 of row i of a batch, NaN if the row is not finite.
func squareOf(b *features.Batch, i int) float64 {
	x32, x64 := rowOf(b, i)
	if x64 == nil { // squares of float32 do not overflow
		sq := kernel.SumSquares32(x32)
		return sq + (sq - sq)
	}
	sq := kernel.SumSquares64(x64)
	if math.IsInf(sq, 1) && slices.ContainsFunc(x64, func(x float64) bool { return math.IsNaN(x - x) }) {
		return math.NaN()
	}
	return sq
}

// unitRow writes h/|h|, or 0 for a zero row.
func unitRow(dst []float64, b *features.Batch, i int) {
	clear(dst)
	square := squareOf(b, i)
	if square == 0 {
		return
	}
	x32, x64 := rowOf(b, i)
	if x64 != nil {
		kernel.Axpy64(dst, 1/math.Sqrt(square), x64)
	} else {
		kernel.Axpy32(dst, 1/math.Sqrt(square), x32)
	}
}

// deviations is the K x d matrix of sqrt(n_c/N) (mu_c - mu_S), the part of Sigma_S that is not Sigma_W.
func (s *sample) deviations() []float64 {
	out := slices.Clone(s.sum.Mean)
	centre := s.sum.Centre(true)
	for c := range s.k {
		row := out[c*s.d : (c+1)*s.d]
		kernel.Axpy64(row, -1, centre)
		kernel.Scale64(row, math.Sqrt(float64(s.sum.Count[c])/s.n))
	}
	return out
}

// moments makes Sigma_W and Sigma_S of the sums.
func (f *fullSample) moments(s *sample, v *rowSweep) {
	d := s.d
	f.within = v.scatter
	if v.scatter == nil {
		f.within = make([]float64, d*d)
		if v.factor != nil {
			kernel.Syrk64(true, d, d, v.factor.R(), d, f.within, d)
		} else {
			kernel.Syrk64(true, d, len(v.order), v.gathered, d, f.within, d)
		}
	}
	kernel.Scale64(f.within, 1/s.n)
	f.total = make([]float64, d*d)
	kernel.Syrk64(true, d, s.k, s.deviations(), d, f.total, d)
	kernel.Add64(f.total, f.within)
}

// spectrum finds the singular values of the rows less mu_S, up to a common factor.
func (f *fullSample) spectrum(s *sample, v *rowSweep) {
	d := s.d
	var sv []float64
	var err error
	switch {
	case v.gathered != nil:
		centre := s.sum.Centre(true)
		for i, c := range v.order {
			row := v.gathered[i*d : (i+1)*d]
			kernel.Add64(row, s.sum.Mean[c*d:(c+1)*d])
			kernel.Axpy64(row, -1, centre)
		}
		n := len(v.order)
		sv, err = linalg.SingularValues(n, n, linalg.QR(d, n, transpose(n, d, v.gathered)))
	case v.factor != nil:
		between := s.deviations()
		kernel.Scale64(between, math.Sqrt(s.n))
		v.factor.Add(between, s.k)
		sv, err = linalg.SingularValues(d, d, v.factor.R())
	}
	if sv != nil && err == nil {
		f.features = sv
		return
	}
	noise := 0.0
	if !s.double() {
		noise = math.Sqrt(float64(s.d)) * 0x1p-23 * trace(s.d, f.within) / float64(s.d)
	}
	f.features = rootsAbove(linalg.Eigenvalues(s.d, slices.Clone(f.total)), noise)
}

// rootsAbove turns eigenvalues of second moments into singular values: those at the level of rounding count as zero.
func rootsAbove(lambda []float64, noise float64) []float64 {
	if len(lambda) > 0 {
		noise = max(noise, float64(len(lambda))*0x1p-52*lambda[0])
	}
	for i, l := range lambda {
		if l <= noise {
			clear(lambda[i:])
			break
		}
		lambda[i] = math.Sqrt(l)
	}
	return lambda
}

func trace(n int, a []float64) (sum float64) {
	for i := range n {
		sum += a[i*n+i]
	}
	return sum
}

// participation is the participation ratio of the spectrum of a symmetric matrix, tr(A)^2 / |A|_F^2.
func participation(n int, a []float64) Value {
	tr := trace(n, a)
	if tr == 0 {
		return undefined(ZeroMatrix)
	}
	square := 0.0 // of A/tr A, which cannot overflow
	for _, v := range a {
		v /= tr
		square += v * v
	}
	return number(1 / square)
}

// vci is undefined where Sigma_B or Sigma_W is.
func vci(s *sample) Value {
	if r := s.needSpread(); r != "" {
		return undefined(r)
	}
	return ofFull(func(f *fullSample) Value { return f.vci })(s)
}

// variabilityIndex is 1 - tr(Sigma_T^+ Sigma_B) / rank(Sigma_B), Sigma_T = Sigma_W + Sigma_B.
func variabilityIndex(s *sample, within []float64) Value {
	k := float64(s.k)
	total := s.means.Scatter()
	kernel.Scale64(total, 1/k)
	kernel.Add64(total, within)
	explained, ok := explainedByInverse(s.means, slices.Clone(total), s.opts.RankTol)
	if !ok {
		explained = explainedBySpectrum(s.means, total, s.opts.RankTol)
	}
	return number(min(1, max(0, 1-explained/k/float64(s.rank)))) // rounding may leave -1e-16
}

// explainedByInverse is tr(T^-1 M'M) by a Cholesky factor, where T is so well conditioned that no eigenvalue is under the cut.
// Coordinates in which all rows agree, and T is zero, are left out.
func explainedByInverse(m *geometry.Vectors, t []float64, tol float64) (sum float64, ok bool) {
	var used []int
	for j := range m.D {
		if t[j*m.D+j] > 0 {
			used = append(used, j)
		}
	}
	n := len(used)
	means := make([]float64, n*m.K) // transposed
	for i, row := range used {
		for j, col := range used {
			t[i*n+j] = t[row*m.D+col]
		}
		for c := range m.K {
			means[i*m.K+c] = m.Data[c*m.D+row]
		}
	}
	t = t[:n*n]
	all := trace(n, t)
	if !linalg.Cholesky(n, t) {
		return 0, false
	}
	// lambda_n >= 1/tr T^-1 and lambda_1 <= tr T
	if !(trace(n, linalg.CholeskyInverse(n, t))*all*tol < 1) {
		return 0, false
	}
	linalg.SolveLower(n, t, m.K, means)
	return kernel.SumSquares64(means), true
}

// explainedBySpectrum is tr(T^+ M'M), over the eigenvectors of T whose eigenvalues are above the cut.
func explainedBySpectrum(m *geometry.Vectors, t []float64, tol float64) float64 {
	lambda, axes := linalg.EigenSym(m.D, t)
	r := 0
	for r < m.D && lambda[r] > tol*lambda[0] {
		r++
	}
	on := make([]float64, r*m.K)
	kernel.Gemm64(false, true, r, m.K, m.D, 1, axes, m.D, m.Data, m.D, 0, on, m.K)
	sum := 0.0
	for j := range r {
		sum += kernel.SumSquares64(on[j*m.K:(j+1)*m.K]) / lambda[j]
	}
	return sum
}

const codingEps2 = 0.5

// codingRate is (1/2) logdet(I + d/(count eps2) G) for the n x n matrix G = sum v v', or V V', which is destroyed.
func codingRate(n int, count float64, d int, g []float64) float64 {
	kernel.Scale64(g, float64(d)/(count*codingEps2))
	for i := range n {
		g[i*n+i]++
	}
	if !linalg.Cholesky(n, g) {
		return math.NaN()
	}
	return linalg.LogDetCholesky(n, g) / 2
}

// A multiplier forms products over the rows of chunks in the precision of the second pass: in float64, or in float32 with sums
// across chunks in float64.
type multiplier struct {
	double bool
	a, b   []float32
	c      []float32
	sum    []float64
}

// addScatter adds A'A to sum, for A n x d.
func (m *multiplier) addScatter(sum, a []float64, n, d int) {
	if m.double {
		m.sum = resize(m.sum, d*d)
		kernel.Syrk64(true, d, n, a, d, m.sum, d)
		eachRow(d, func(i int) { kernel.Add64(sum[i*d:(i+1)*d], m.sum[i*d:(i+1)*d]) })
		return
	}
	m.a, m.c = narrow(m.a, a[:n*d]), resize(m.c, d*d)
	kernel.Syrk32(true, d, n, m.a, d, m.c, d)
	m.addNarrow(sum, d, d)
}

// addCross adds A'B to sum, for A n x p and B n x q.
func (m *multiplier) addCross(sum, a, b []float64, n, p, q int) {
	if m.double {
		kernel.Gemm64(true, false, p, q, n, 1, a, p, b, q, 1, sum, q)
		return
	}
	m.a, m.b, m.c = narrow(m.a, a[:n*p]), narrow(m.b, b[:n*q]), resize(m.c, p*q)
	kernel.Gemm32(true, false, p, q, n, 1, m.a, p, m.b, q, 0, m.c, q)
	m.addNarrow(sum, p, q)
}

// mul writes A B' to c, for A n x p and B q x p.
func (m *multiplier) mul(c, a, b []float64, n, p, q int) {
	if m.double {
		kernel.Gemm64(false, true, n, q, p, 1, a, p, b, p, 0, c, q)
		return
	}
	m.a, m.b, m.c = narrow(m.a, a[:n*p]), narrow(m.b, b[:q*p]), resize(m.c, n*q)
	kernel.Gemm32(false, true, n, q, p, 1, m.a, p, m.b, p, 0, m.c, q)
	eachRow(n, func(i int) { kernel.Widen(c[i*q:(i+1)*q], m.c[i*q:(i+1)*q]) })
}

func (m *multiplier) addNarrow(sum []float64, rows, cols int) {
	eachRow(rows, func(i int) { kernel.Axpy32(sum[i*cols:(i+1)*cols], 1, m.c[i*cols:(i+1)*cols]) })
}

// narrow rounds to float32, into dst where it fits.
func narrow(dst []float32, src []float64) []float32 {
	dst = resize(dst, len(src))
	const tile = 1 << 15
	parallel.Ranges(len(src), tile, func(from, to int) { kernel.Narrow(dst[from:to], src[from:to]) })
	return dst
}

// resize is a slice of n elements, v's own storage where it suffices.
func resize[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}
