package collapse

import "math"

// An ideal is the value of a metric at perfect collapse of K classes.
type ideal struct {
	text string
	at   func(k int) float64
}

// simplexCosine is that of two vertices of a simplex seen from its centre.
func simplexCosine(k int) float64 { return -1 / float64(k-1) }

// simplexDistance is that of two vertices of a simplex at unit distance from its centre.
func simplexDistance(k int) float64 { return math.Sqrt(2 * float64(k) / float64(k-1)) }

var (
	zero           = ideal{"0", func(int) float64 { return 0 }}
	one            = ideal{"1", func(int) float64 { return 1 }}
	idealRank      = ideal{"K-1", func(k int) float64 { return float64(k - 1) }}
	idealCosine    = ideal{"-1/(K-1)", simplexCosine}
	idealDistance  = ideal{"sqrt(2K/(K-1))", simplexDistance}
	idealAngle     = ideal{"acos(-1/(K-1))", func(k int) float64 { return math.Acos(simplexCosine(k)) * 180 / math.Pi }}
	idealCosMargin = ideal{"K/(K-1)", func(k int) float64 { return float64(k) / float64(k-1) }}
)
