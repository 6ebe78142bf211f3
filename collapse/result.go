package collapse

import (
	"bytes"
	"encoding/json"
	"math"
)

// Value is a number, or the reason why there is none. The zero Value is the number 0.
type Value struct {
	Number float64
	Reason Reason  // empty where Number counts
	Worst  []int64 // the class, or the pair of classes, that a maximum or minimum comes from; nil for others

	Bounded   bool     // it is a metric that can have confidence limits, and they were asked for
	Low, High *float64 // confidence limits of what endless samples would show; nil where there are too few to tell
}

// Defined reports whether there is a number.
func (v Value) Defined() bool { return v.Reason == "" }

// Reason is the code of an undefined value, printed beside the null.
type Reason string

// The reasons. Which one a metric gives, and when, is part of its definition.
const (
	NeedsTwoClasses      Reason = "needs_two_classes"     // fewer than two present classes, or rows of W
	NeedsClassifier      Reason = "needs_classifier"      // no weights, or a layer whose width they do not have
	NotRequested         Reason = "not_requested"         // cost Full, and not asked for
	NeedsTest            Reason = "needs_test"            // no test rows
	NeedsOOD             Reason = "needs_ood"             // no out-of-distribution rows
	NoWithinSamples      Reason = "no_within_samples"     // no class has two rows
	BetweenZero          Reason = "between_zero"          // all class means equal
	CoincidentMeans      Reason = "coincident_means"      // two class means equal
	CoincidentDirections Reason = "coincident_directions" // two centred means point the same way
	RankDeficient        Reason = "rank_deficient"        // nc1_svd: fewer than min(K-1, d) directions
	ZeroNormMean         Reason = "zero_norm_mean"        // a centred mean without direction
	ZeroNormWeight       Reason = "zero_norm_weight"      // a row of W without direction
	ZeroNormFeature      Reason = "zero_norm_feature"     // a feature row on the global mean
	ZeroMatrix           Reason = "zero_matrix"           // division by a zero norm
	ConstantFeatures     Reason = "constant_features"     // division by a zero variance
	ZeroPull             Reason = "zero_pull"             // a class with zero pull
	Balanced             Reason = "balanced"              // no minority
	TooFewClasses        Reason = "too_few_classes"       // a group with one class
	NeedsEvenClasses     Reason = "needs_even_classes"
	NeedsPowerOfTwo      Reason = "needs_power_of_two_classes"
	ZeroMeanKernel       Reason = "zero_mean_kernel"        // gnc2_log_cov with a mean below 1e-12
	TestClassNotInTrain  Reason = "test_class_not_in_train" // a test label without train mean
	OutOfRange           Reason = "out_of_range"            // the number overflows float64
)

// Error makes a Reason usable as an error inside the package.
func (r Reason) Error() string { return string(r) }

// Warning is something a reader of the numbers should know. Code is stable, Message is for people.
type Warning struct {
	Code    string  `json:"code"`
	Count   int     `json:"count,omitempty"`
	Classes []int64 `json:"classes,omitempty"`
	Message string  `json:"message"`
}

// Range is a smallest and a largest count.
type Range struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// ClassRow holds what is known of one class (--per-class). Undefined numbers are nil.
type ClassRow struct {
	Class           int64    `json:"class"`
	Count           int      `json:"count"`
	Variance        *float64 `json:"variance"`          // var_c
	MeanNorm        *float64 `json:"mean_norm"`         // norm(m_c)
	NearestClass    *int64   `json:"nearest_class"`     // the class whose mean is nearest
	NearestDistance *float64 `json:"nearest_distance"`  // norm(mu_c - mu_nearest)
	CDNVMax         *float64 `json:"cdnv_max"`          // largest cdnv of a pair with this class
	CDNVWorst       *int64   `json:"cdnv_worst"`        // the other class of that pair
	NearestCosine   *float64 `json:"nearest_cosine"`    // largest cosine of m_c with another centred mean
	Alignment       *float64 `json:"alignment"`         // cos(w_c, m_c)
	WeightNorm      *float64 `json:"weight_norm"`       // norm(w_c)
	NCCErrors       int      `json:"ncc_errors"`        // rows nearer to another mean
	Errors          *int     `json:"classifier_errors"` // rows the classifier gets wrong
}

// Values holds a value for every id of the registry.
type Values map[string]Value

// marshal writes the metrics in their order, for k classes; an undefined value is null with its reason.
func (v Values) marshal(metrics []Metric, k int) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range metrics {
		if i > 0 {
			b.WriteByte(',')
		}
		e := struct {
			Value  *float64 `json:"value"`
			Reason Reason   `json:"reason,omitempty"`
			Ideal  *float64 `json:"ideal,omitempty"`
			Worst  []int64  `json:"worst,omitempty"`
		}{}
		var bounds struct {
			Low  *float64 `json:"low"`
			High *float64 `json:"high"`
		}
		val, ok := v[m.ID]
		if !ok {
			val.Reason = NotRequested
		}
		if val.Defined() && !math.IsInf(val.Number, 0) && !math.IsNaN(val.Number) {
			e.Value, e.Worst = &val.Number, val.Worst
		} else {
			e.Reason = val.Reason
		}
		if at, ok := m.IdealAt(k); ok {
			e.Ideal = &at
		}
		enc, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		if val.Bounded { // limits stand behind the rest, null where there are none
			bounds.Low, bounds.High = val.Low, val.High
			more, err := json.Marshal(bounds)
			if err != nil {
				return nil, err
			}
			enc = append(append(enc[:len(enc)-1], ','), more[1:]...)
		}
		b.WriteString(`"` + m.ID + `":`)
		b.Write(enc)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Result is what was measured on one layer of one file: one element of the JSON's "results".
type Result struct {
	Source         string
	Layer          string // the bare name; "features" where the file has one layer
	Step           *int   // nil outside a trajectory, or without a number in the name
	Split          string // "train"; of rows with several tags also "test"
	Samples        int    // rows measured
	Skipped        int    // rows with NaN or infinity left out (SkipNonfinite)
	Dimension      int
	Classes        int // rows of W, else the largest label + 1
	PresentClasses int
	ClassCounts    Range
	Tags           *TagCounts // nil where rows have one class each; else classes are tags
	DType          string     // as stored
	Precision      string     // of the products of pass 2: "float64" or "float32"
	Route          string     // how nc1 was found: "svd", "gram", or "" where it is undefined
	Verdict        *Verdict   // nil with NoVerdict
	Metrics        Values
	PerClass       []ClassRow                  // nil unless asked for
	Compat         map[string]map[string]Value // script -> quantity -> value; nil unless asked for
	Predict        *Prediction                 // of rows with several tags; nil unless asked for
	Model          any                         // what a theory predicts for it, of whoever asks one; written as it is
	Notes          []Warning                   // peculiarities of the compat scripts asked for
	Warnings       []Warning
}

// MarshalJSON writes the element of "results" that schema collapsar/1 describes. Keys are in a fixed order.
func (r *Result) MarshalJSON() ([]byte, error) {
	metrics, err := r.Metrics.marshal(MetricsOf(r), r.PresentClasses)
	if err != nil {
		return nil, err
	}
	type number struct {
		Value  *float64 `json:"value"`
		Reason Reason   `json:"reason,omitempty"`
	}
	var compat map[string]map[string]number
	for script, quantities := range r.Compat {
		if compat == nil {
			compat = map[string]map[string]number{}
		}
		compat[script] = map[string]number{}
		for q, v := range quantities {
			n := number{Reason: v.Reason}
			if v.Defined() {
				n.Value = &v.Number
			}
			compat[script][q] = n
		}
	}
	labels := "single"
	if r.Tags != nil {
		labels = "multi"
	}
	warnings := r.Warnings
	if warnings == nil {
		warnings = []Warning{}
	}
	return json.Marshal(struct {
		Source         string `json:"source"`
		Layer          string `json:"layer"`
		Step           *int   `json:"step"`
		Split          string `json:"split"`
		Samples        int    `json:"samples"`
		Skipped        int    `json:"skipped_rows,omitempty"`
		Dimension      int    `json:"dimension"`
		Classes        int    `json:"classes"`
		PresentClasses int    `json:"present_classes"`
		ClassCounts    Range  `json:"class_counts"`
		Labels         string `json:"labels"`
		*TagCounts
		DType     string                       `json:"dtype"`
		Precision string                       `json:"precision"`
		Route     string                       `json:"nc1_route,omitempty"`
		Verdict   *Verdict                     `json:"verdict,omitempty"`
		Metrics   json.RawMessage              `json:"metrics"`
		PerClass  []ClassRow                   `json:"per_class,omitempty"`
		Compat    map[string]map[string]number `json:"compat,omitempty"`
		Predict   *Prediction                  `json:"predict,omitempty"`
		Model     any                          `json:"model,omitempty"`
		Notes     []Warning                    `json:"notes,omitempty"`
		Warnings  []Warning                    `json:"warnings"`
	}{r.Source, r.Layer, r.Step, r.Split, r.Samples, r.Skipped, r.Dimension, r.Classes, r.PresentClasses, r.ClassCounts,
		labels, r.Tags, r.DType, r.Precision, r.Route, r.Verdict, metrics, r.PerClass, compat, r.Predict, r.Model, r.Notes, warnings})
}
