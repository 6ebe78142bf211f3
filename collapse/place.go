package collapse

import (
	"fmt"
	"math"
)

// Published is a number from a paper: nc1 of K classes, and what may be known of how it was measured (0 where it is not).
type Published struct {
	NC1     float64 `json:"nc1"`
	Classes int     `json:"classes"`
	Dim     int     `json:"dimension,omitempty"`
	Samples int     `json:"samples_a_class,omitempty"`
}

// A Place is where a published number stands on the common scale.
type Place struct {
	Published
	Level       float64  `json:"level"`                  // sqrt(nc1 / (2 (K-1)))
	Most        float64  `json:"most"`                   // what variability may be at most with this nc1, where noise lies along the means
	Crossing    float64  `json:"crossing"`               // chance that a sample crosses to a given class, for normal noise
	Null        *float64 `json:"null,omitempty"`         // level of noise cut into classes at random; needs dimension and samples
	SimplexNull *float64 `json:"simplex_null,omitempty"` // nc2_etf of random directions; needs the dimension
	SimplexLow  *float64 `json:"simplex_null_low,omitempty"`
	Needed      *int     `json:"needed,omitempty"` // samples a class from which on noise would show more; needs the dimension
	Alpha       float64  `json:"alpha"`
	Says        []string `json:"says"`
	SaysNot     []string `json:"says_not"`
}

// PlaceNC1 puts a published nc1 on the scale of the levels. Alpha is the bound that counts as collapsed, the seed that of Options.
func PlaceNC1(p Published, alpha float64, seed uint64) (*Place, error) {
	switch {
	case !(p.NC1 >= 0) || math.IsInf(p.NC1, 0):
		return nil, fmt.Errorf("collapse: nc1 %v: expected a number of 0 or more", p.NC1)
	case p.Classes < 2:
		return nil, fmt.Errorf("collapse: %s: expected 2 or more", plural(p.Classes, "class", "classes"))
	case p.Dim < 0 || p.Samples < 0 || p.Samples == 1:
		return nil, fmt.Errorf("collapse: dimension %d and %d samples a class: expected 1 or more and 2 or more", p.Dim, p.Samples)
	}
	k := float64(p.Classes)
	v := math.Sqrt(p.NC1 / (2 * (k - 1)))
	at := &Place{Published: p, Level: v, Most: v * math.Sqrt(max(1, (k-1)/2)), Alpha: alpha}
	if v > 0 {
		at.Crossing = math.Erfc(1/(2*v*math.Sqrt2)) / 2
	}
	at.Says = append(at.Says, fmt.Sprintf("samples stray %s of the way to other classes, root mean square, if the means are a simplex and the noise is the same in all directions between them", Percent(v)))
	if v <= alpha {
		at.Says = append(at.Says, fmt.Sprintf("that is within %s, so variability has collapsed as far as this number tells", short(alpha)))
	} else {
		at.Says = append(at.Says, fmt.Sprintf("that is above %s, so variability has not collapsed", short(alpha)))
	}
	if at.Most > v {
		text := fmt.Sprintf("how far samples stray along the means themselves, which nc1 hardly counts: with that the level may be up to %s", Percent(at.Most))
		if v <= alpha && at.Most > alpha {
			text += fmt.Sprintf(", which is above %s", short(alpha))
		}
		at.SaysNot = append(at.SaysNot, text)
	}
	if d := float64(p.Dim); p.Dim > 0 {
		if p.Samples > 0 {
			null := math.Sqrt((float64(p.Samples) - 1) / (2 * d))
			at.Null = &null
			if v >= null {
				at.SaysNot = append(at.SaysNot, fmt.Sprintf("anything about collapse: noise cut into classes at random shows as little (%s) with %d samples a class in %s, so the number is no evidence of collapse", Percent(null), p.Samples, plural(p.Dim, "dimension", "dimensions")))
			} else {
				at.Says = append(at.Says, fmt.Sprintf("it is no artefact of few samples: noise cut into classes at random would show %s or more", Percent(null)))
			}
		}
		at.Needed = samples(math.Floor(1+2*d*v*v) + 1)
		if p.Classes > p.Dim+1 {
			at.SaysNot = append(at.SaysNot, fmt.Sprintf("how exact the level is: %d means have no room for a simplex in %s", p.Classes, plural(p.Dim, "dimension", "dimensions")))
		} else if p.Classes > 2 {
			null, low := simplexNull(p.Classes, p.Dim, seed)
			at.SimplexNull, at.SimplexLow = &null, &low
			at.SaysNot = append(at.SaysNot, fmt.Sprintf("whether the means are a simplex: %d random directions in %s are %s away from one already", p.Classes, plural(p.Dim, "dimension", "dimensions"), Percent(null)))
		}
	}
	if p.Dim == 0 || p.Samples == 0 {
		at.SaysNot = append(at.SaysNot, "whether so few samples would show the same of any network: that takes d and n")
	}
	at.SaysNot = append(at.SaysNot, "how certain the number is: papers print no interval")
	return at, nil
}
