package collapse

import (
	"context"
	"math"
	"runtime"
	"slices"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
	"github.com/collapsar/collapsar/internal/linalg"
	"github.com/collapsar/collapsar/moments"
)

// sample is one layer and split, measured: what the metrics draw on. Indices c run over the K present classes.
type sample struct {
	opts   *Options
	split  *features.Split
	sum    *moments.Summary // first pass
	pass   *moments.Sums    // second pass
	k, d   int
	n      float64           // rows, as a number
	centre []float64         // global mean less the pivot
	means  *geometry.Vectors // m_c
	class  *classifier       // nil without weights for this layer

	within, between float64 // tr Sigma_W, tr Sigma_B
	largest         float64 // entry of the pivoted means, in size
	rank            int     // eigenvalues of Sigma_B above the cut
	route           route
	precision       string

	test     *testSample      // nil without test rows
	ood      *moments.Summary // one class; nil without rows out of distribution
	layoutOf *layout          // what the levels are measured against; nil without a verdict, or where there is nothing to measure

	full *fullSample // what the metrics of cost Full need; nil where none is asked for
}

// classifier is W, b and what is made of them.
type classifier struct {
	*features.Classifier
	all      *geometry.Vectors // rows of W
	centred  *geometry.Vectors // rows less their mean
	present  *geometry.Vectors // rows of the present classes
	mean     []float64         // of the rows of W
	products []float64         // Classes x K, (w_k - mean).m_j for present classes j
	cross    []float64         // K x K, the rows of present classes
	atCentre []float64         // W mu_G + b
}

// testSample is the test rows, by their own means and against the training means.
type testSample struct {
	own   *sample
	pass  *moments.Sums // against the means and classifier of the training rows
	known bool          // every test label has a training mean
}

// route is how traces against the pseudo-inverse of Sigma_B are taken.
type route struct {
	name     string // "svd", "gram", or "" where Sigma_B is zero
	moments  moments.Moments
	axes     []float64 // svd: rank x d
	singular []float64 // svd: of M, by axis
	inverse  []float64 // gram: t' inverse t over the rows sums to the trace
	exact    bool      // gram: moments must be summed in float64
}

// maxCondition is the largest condition of the Gram matrix of the means with which its inverse keeps 8 digits.
const maxCondition = 1e8

// narrowCondition is the same for moments summed in float32.
const narrowCondition = 1e3

// begin takes the first pass over.
func begin(o *Options, split *features.Split, sum *moments.Summary) *sample {
	s := &sample{opts: o, split: split, sum: sum, k: len(sum.Classes), d: sum.Dim, n: float64(sum.Rows)}
	s.centre = sum.Centre(o.GlobalMean == "sample")
	m := slices.Clone(sum.Mean)
	for c := range s.k {
		kernel.Axpy64(m[c*s.d:(c+1)*s.d], -1, s.centre)
	}
	if o.GlobalMean != "sample" {
		removeMean(m, s.k, s.d) // of what rounding left
	}
	s.means = geometry.New(s.k, s.d, m)
	s.within, s.between, s.largest = sum.Within(), s.means.Square()/float64(s.k), sum.MaxAbsMean()
	return s
}

// forget drops what the metrics made over all pairs of classes, where that is much.
func (s *sample) forget() {
	if s.k > geometry.SmallRank {
		s.means.Forget()
		if s.class != nil {
			s.class.all.ForgetGram()
			s.class.centred.ForgetGram()
			s.class.present.ForgetGram()
		}
	}
}

// free collects what a pass needed, where that is much: many times what is left, and the next tables fit there. It is not given
// back to the system: fresh pages cost more than filling them.
func free(sum *moments.Summary) {
	if sum.Dim*len(sum.Classes) > 1<<20 {
		runtime.GC()
	}
}

func removeMean(m []float64, k, d int) {
	mean := make([]float64, d)
	for c := range k {
		kernel.Axpy64(mean, 1/float64(k), m[c*d:(c+1)*d])
	}
	for c := range k {
		kernel.Axpy64(m[c*d:(c+1)*d], -1, mean)
	}
}

// use brings in the classifier of the layer.
func (s *sample) use(c *features.Classifier) {
	if c == nil {
		return
	}
	cl := &classifier{Classifier: c, all: geometry.New(c.Classes, c.Dim, c.Weights)}
	cl.centred, cl.mean = cl.all.Centred()
	places := make([]int, s.k)
	for i, label := range s.sum.Classes {
		places[i] = int(label)
	}
	cl.present = cl.all.Subset(places)
	cl.products = make([]float64, c.Classes*s.k)
	kernel.Gemm64(false, true, c.Classes, s.k, s.d, 1, cl.centred.Data, s.d, s.means.Data, s.d, 0, cl.products, s.k)
	cl.cross = cl.products
	if s.k < c.Classes {
		cl.cross = make([]float64, 0, s.k*s.k)
		for _, k := range places {
			cl.cross = append(cl.cross, cl.products[k*s.k:(k+1)*s.k]...)
		}
	}
	cl.atCentre = make([]float64, c.Classes)
	for k := range cl.atCentre {
		w := cl.all.Row(k)
		cl.atCentre[k] = preciseDot(w, s.sum.Pivot, c.Bias[k]) + kernel.Dot64(w, s.centre)
	}
	s.class = cl
}

// preciseDot is x.y + c as if in twice the precision, rounded once (Ogita, Rump, Oishi 2005): a large
// offset of the features and the bias that makes up for it cancel here.
func preciseDot(x, y []float64, c float64) float64 {
	sum, low := c, 0.0
	for i, v := range x {
		p := v * y[i]
		low += math.FMA(v, y[i], -p)
		s := sum + p
		z := s - sum
		low += (sum - (s - z)) + (p - z)
		sum = s
	}
	return sum + low
}

// double decides the precision of the products of the second pass: float64 where the input has it, or where it costs little.
func (s *sample) double() bool {
	switch s.opts.Precision {
	case "float64":
		return true
	case "float32":
		return false
	}
	return s.split.Wide() || 2*s.n*float64(s.k)*float64(s.d) < 2e10
}

// plan lays out the second pass. With classify, decisions and margins are found too.
func (s *sample) plan(classify bool) *moments.Plan {
	p := &moments.Plan{
		Summary: s.sum, Centre: s.centre, Means: s.means.Data, Gram: s.means.Gram(), Double: s.double(), Units: true,
		Moments: s.route.moments, Exact: s.route.exact, Axes: s.route.axes, Rank: s.rank,
		Whole: s.rank == min(s.k-1, s.d) && s.rank > 0,
	}
	if p.Moments != moments.OnAxes {
		p.Axes, p.Rank = nil, 0
	}
	if classify && s.class != nil {
		c := s.class
		p.Weights = &moments.Weights{
			Classes: c.Classes, Centred: c.centred.Data, Cross: c.products, Norm: c.centred.Norms(), Cosines: c.centred.Directed(),
			AtCentre: c.atCentre,
		}
	}
	return p
}

// measure makes the second pass over the sample's own rows.
func (s *sample) measure(ctx context.Context, scan moments.ScanOptions, classify bool) (err error) {
	s.precision = "float32"
	if s.double() {
		s.precision = "float64"
	}
	s.choose()
	p := s.plan(classify)
	if classify && !s.opts.NoVerdict {
		if s.layoutOf = s.layout(); s.layoutOf != nil {
			p.Levels = s.layoutOf.plan
		}
	}
	s.pass, err = p.Collect(ctx, s.split, scan)
	if err != nil {
		return err
	}
	if s.layoutOf != nil {
		s.layoutOf.plan = nil
	}
	free(s.sum)
	// The scatter about the finished means replaces the first pass's: it has no cancellation at all.
	within := 0.0
	for c := range s.k {
		s.sum.Scatter[c] = s.pass.Class[c].Scatter
		within += s.sum.Scatter[c]
	}
	s.within = within / s.n
	return nil
}

// needBetween is the reason why nothing can be said of the class means, if there is one.
func (s *sample) needBetween() Reason {
	if s.k < 2 {
		return NeedsTwoClasses
	}
	big := max(s.largest, math.Sqrt(s.within), 1e-300)
	if s.between <= 1e-13*big*(1e-13*big) {
		return BetweenZero
	}
	return ""
}

// needWithin is the reason why nothing can be said of the spread within classes, if there is one.
func (s *sample) needWithin() Reason {
	if slices.Max(s.sum.Count) < 2 {
		return NoWithinSamples
	}
	return ""
}

func (s *sample) needSpread() Reason {
	if r := s.needBetween(); r != "" {
		return r
	}
	return s.needWithin()
}

// choose finds the rank of Sigma_B and the route to its pseudo-inverse. Singular vectors keep the digits of small directions
// and serve at any condition, but cost too much for many classes; the Gram matrix of the means serves where it is well conditioned.
func (s *sample) choose() {
	s.rank, s.route = 0, route{}
	if s.needBetween() != "" {
		return
	}
	tol := s.opts.RankTol
	most := min(s.k-1, s.d)
	sv := s.means.SingularValues()[:most]
	s.rank = countAbove(sv, tol)
	if most > geometry.SmallRank && s.rank == most && sv[0]*sv[0] <= maxCondition*sv[most-1]*sv[most-1] {
		if inverse, kind, ok := s.gramInverse(); ok {
			s.route = route{name: "gram", moments: kind, inverse: inverse, exact: sv[0]*sv[0] > narrowCondition*sv[most-1]*sv[most-1]}
			return
		}
	}
	axes := s.means.Axes()
	sv = s.means.SingularValues()[:most]
	s.rank = countAbove(sv, tol)
	s.route = route{name: "svd", axes: axes[:s.rank*s.d], singular: sv[:s.rank]}
}

// countAbove is the number of squares of s above tol times the first.
func countAbove(s []float64, tol float64) int {
	n := 0
	for n < len(s) && s[n]*s[n] > tol*s[0]*s[0] {
		n++
	}
	return n
}

// gramInverse is P with tr(Sigma_W Sigma_B^+) / K = sum t' P t / N over the rows: (M'M)^-1 on the residuals themselves where d < K, else the
// square of the pseudo-inverse of G = M M' on the scores.
func (s *sample) gramInverse() (p []float64, kind moments.Moments, ok bool) {
	if s.d < s.k {
		p = s.means.Scatter()
		if !linalg.Cholesky(s.d, p) {
			return nil, 0, false
		}
		return linalg.CholeskyInverse(s.d, p), moments.OfRows, true
	}
	// G has one known null vector z: ones, or the class shares where the centre weighs samples. With z filled up G is
	// regular, and what is filled in meets nothing, for scores are orthogonal to z.
	k := s.k
	g := slices.Clone(s.means.Gram())
	z := s.nullVector()
	fill := s.means.Square() / float64(k)
	for i := range k {
		kernel.Axpy64(g[i*k:(i+1)*k], fill*z[i], z)
	}
	if !linalg.Cholesky(k, g) {
		return nil, 0, false
	}
	inv := linalg.CholeskyInverse(k, g)
	kernel.Syrk64(false, k, k, inv, k, g, k)
	return g, moments.OfScores, true
}

// nullVector is the unit vector z with z' M = 0.
func (s *sample) nullVector() []float64 {
	z := make([]float64, s.k)
	for c := range z {
		z[c] = 1
		if s.opts.GlobalMean == "sample" {
			z[c] = float64(s.sum.Count[c])
		}
	}
	kernel.Scale64(z, 1/math.Sqrt(kernel.SumSquares64(z)))
	return z
}

// trace is tr(S Sigma_B^+) / K of the second moments S = (1/rows) sum x x' of residuals, from the sums of the second pass.
func (s *sample) trace(sums []float64, rows float64) float64 {
	total := 0.0
	if s.route.name == "gram" {
		total = kernel.Dot64(sums, s.route.inverse)
	} else {
		for j, sv := range s.route.singular {
			total += sums[j] / sv / sv
		}
	}
	return total / rows
}

// number and undefined make values.
func number(v float64) Value          { return Value{Number: v} }
func undefined(r Reason) Value        { return Value{Reason: r} }
func count(n int64, of float64) Value { return Value{Number: float64(n) / of} }

// evaluate computes a metric; what overflows becomes undefined.
func (s *sample) evaluate(m Metric) Value {
	v := m.eval(s)
	if v.Defined() && (math.IsNaN(v.Number) || math.IsInf(v.Number, 0)) {
		return undefined(OutOfRange)
	}
	return v
}
