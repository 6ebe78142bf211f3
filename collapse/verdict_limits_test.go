package collapse_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/collapsar/collapsar/collapse"
)

// Where the noise of the means covers nearly all of what they differ by, the upper limit of an interval may be infinite: a null.
func TestVerdictInfiniteLimit(t *testing.T) {
	d := gaussian(0x69c, 60, 1, 4, 1)
	seen := 0
	for _, m := range motions(d, 1e-3, 0.1, rand.New(rand.NewPCG(0x69c, 5))) {
		r := m.data.measure(t, collapse.Options{Precision: "float64"})
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
		if l := r.Verdict.Levels.Level("variability"); l.High == nil {
			seen++
			if l.Verdict != collapse.Undecidable || l.Reason == "" || r.Verdict.Sentence == "" {
				t.Errorf("level %+v", l)
			}
		}
	}
	if seen == 0 {
		t.Error("no interval without an upper limit: this tests nothing")
	}
}
