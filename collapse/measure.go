package collapse

import (
	"context"

	"github.com/collapsar/collapsar/features"
)

// Options of a measurement. The zero value is the documented default.
type Options struct {
	GlobalMean    string   // "class" (default): mean of the class means; "sample": mean of all rows
	Precision     string   // of the products of pass 2: "auto" (default), "float64", "float32"
	Metrics       []string // globs over ids, see Match; nil is "default"
	Compat        []string // published scripts to imitate, see Scripts
	PerClass      bool     // keep a ClassRow for every class
	SkipNonfinite bool     // leave out rows with NaN or infinity instead of refusing the file
	RankTol       float64  // relative cut on the eigenvalues of Sigma_B; default 1e-12
	MSELambda     float64  // weight decay of the mse_* metrics; default 2e-3
	DepthEps      float64  // nearest-centre error that counts as separated (effective depth); default 0.01
	Minority      []int64  // minority classes; nil finds them from the counts
	Memory        int64    // bytes for working storage; default features.DefaultMemory
	Workers       int      // goroutines; default all processors; results do not depend on it

	// Progress, where not nil, is told how many of how many rows were read, over all layers and passes.
	// It is called by several goroutines, and must be quick.
	Progress func(done, total int64)
}

// Report is what was measured on one file: a result for every layer, in depth order.
type Report struct {
	Source  string
	Results []*Result
	Depth   *EffectiveDepth // nil for a single layer
	Notes   []features.Note // what was taken for what when the file was opened
}

// EffectiveDepth is the number (from 1) of the first layer whose nearest-centre training error is at most
// Eps, or the number of layers where none is (Galanti 2022).
type EffectiveDepth struct {
	Value    int        `json:"value"`
	Reached  bool       `json:"reached"`
	Eps      float64    `json:"eps"`
	NCCError []*float64 `json:"ncc_error"` // per layer; nil where undefined
}

// Measure reads the layers of a set and returns every metric that was asked for. Errors are *features.Error for what is
// wrong with the file, or the context's error.
func Measure(ctx context.Context, set *features.Set, o Options) (*Report, error) {
	panic("not yet")
}
