package train

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What is written is read again, with every field changed.
func TestConfigRoundTrip(t *testing.T) {
	c := Default()
	n := 0
	var change func(v reflect.Value)
	change = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				change(v.Field(i))
			}
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			change(v.Elem())
		case reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.ValueOf(2), reflect.New(v.Type().Elem()).Elem())
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				change(v.Index(i))
			}
		case reflect.String:
			n++
			v.SetString("text" + strings.Repeat("x", n))
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Int, reflect.Int64:
			n++
			v.SetInt(int64(n))
		case reflect.Uint64:
			n++
			v.SetUint(uint64(n))
		case reflect.Float64:
			n++
			v.SetFloat(float64(n) + 1.0/3)
		default:
			t.Fatalf("a field of kind %v", v.Kind())
		}
	}
	change(reflect.ValueOf(&c).Elem())
	c.Recipe = "papyan"
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadConfig(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if !reflect.DeepEqual(got, c) {
		t.Errorf("read %+v\nwrote %+v\n%s", got, c, text)
	}
}

// A file changes what it names; the rest are the defaults, or those of its recipe. JSON is read too.
func TestReadConfig(t *testing.T) {
	c, err := ReadConfig([]byte("data: {source: mnist}\noptimizer: {momentum: 0, classifier_decay: 0}\nseeds: 0..2\n"))
	want := Default()
	want.Data.Source, want.Optimizer.Momentum, want.Optimizer.ClassifierDecay, want.Seeds = "mnist", 0, new(float64), Seeds{0, 1, 2}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = ReadConfig([]byte(`{"recipe": "papyan", "data": {"source": "mnist"}, "epochs": 10, "seeds": [4, 7]}`))
	if err != nil || c.Optimizer.LR != 0.0679 || c.Epochs != 10 || !slices.Equal(c.Seeds, Seeds{4, 7}) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = ReadConfig(nil); err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("of an empty file: %+v, %v", c, err)
	}
}

// Every mistake is named, with what was expected.
func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"epoch: 3":                  "config: line 1: no key is called epoch; did you mean epochs?",
		"optimizer:\n  learning: 1": "config: line 2: no key is called learning",
		"lr: 0.1":                   "config: line 1: no key is called lr; did you mean optimizer.lr?",
		"optimizer: {epoch: 1}":     "config: line 1: no key is called epoch; did you mean epochs?",
		"width: 8":                  "config: line 1: no key is called width; did you mean model.width?",
		"weigth_decay: 8":           "config: line 1: no key is called weigth_decay; did you mean optimizer.weight_decay?",
		"every: 8":                  "config: line 1: no key is called every; did you mean schedule.every or measure.every or checkpoint.every?",
		"epochs: many":              "config: line 1: `many`, expected int",
		"seeds: 3..1":               `config: line 1: seeds "3..1": expected whole numbers, as in 0..4 or 0,3,4`,
		"seeds: [1, 1]":             `config: line 1: seeds "1,1": 1 comes twice`,
		"recipe: papian":            `config: recipe: "papian", expected papyan; did you mean papyan?`,
		"epochs: [":                 "config: line 1: did not find expected node content",
		"epochs: 1\n---\nepochs: 2": "config: more than one document",
		"epochs: 1":                 "config: data.source: missing: the name or path of a data set",
		"epochs: 0":                 "config: epochs: 0, expected 1 to 1e+07",
		"batch: -1":                 "config: batch: -1, expected 1 to 1.678e+07",
		"optimizer: {name: sdg}":    `config: optimizer.name: "sdg", expected one of sgd, adam, adamw, lbfgs; did you mean sgd?`,
		"optimizer: {nesterov: true, momentum: 0}":  "config: optimizer.nesterov: needs a momentum above 0",
		"optimizer: {lr: 0}":                        "config: optimizer.lr: 0, expected a number above 0, at most 1e+06",
		"optimizer: {lr: .nan}":                     "config: optimizer.lr: NaN, expected a number above 0, at most 1e+06",
		"model: {name: resnet19}":                   `config: model.name: "resnet19", expected one of`,
		"model: {head: {name: etf}}":                `config: model.head.name: "etf", expected one of linear, simplex`,
		"loss: {name: focal, smoothing: 1}":         "config: loss: focal: smoothing: not an option of this loss",
		"loss: {name: cross}":                       `config: loss: "cross", expected one of ce, label_smoothing`,
		"schedule: {name: step}":                    "config: schedule.every: 0, expected the epochs between two steps",
		"schedule: {milestones: [5, 3]}":            "config: schedule.milestones: [5 3], expected epochs that grow, from 1 on",
		"schedule: {name: cosine, milestones: [5]}": "config: schedule.milestones: [5]: they belong to multistep, the schedule is cosine",
		"data: {majority: 5}":                       "config: data.majority: 5 classes keep per_class rows, the others per_class/ratio: both are needed, and a ratio of at least 1",
		"data: {ratio: 10}":                         "config: data.ratio: 10, expected a number from 1 on, with per_class, the rows of the largest class",
		"measure: {metrics: [nc9]}":                 `config: measure.metrics: no metric matches "nc9"`,
		"measure: {layers: ['[']}":                  `config: measure.layers: "[" is not a glob`,
		"seeds: []":                                 "config: ",
		"dtype: float16":                            `config: dtype: "float16", expected one of float32, float64; did you mean float32?`,
		"optimizer: {classifier_decay: -1}":         "config: optimizer.classifier_decay: -1, expected 0 to 1e+06",
		"data: {random_labels: 1.5}":                "config: data.random_labels: 1.5, expected 0 to 1",
	} {
		c, err := ReadConfig([]byte(text))
		if err == nil {
			if !strings.HasPrefix(text, "epochs: 1") {
				c.Data.Source = cmpOr(c.Data.Source, "mnist")
			}
			err = c.Check()
			var key *ConfigError
			if err != nil && !errors.As(err, &key) {
				t.Errorf("%q: %v is no *ConfigError", text, err)
			}
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n  %v, wanted\n  %s", text, err, want)
		}
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// The factors of the rate against those that PyTorch's schedulers give when they are stepped once an epoch (MultiStepLR at 3 and 6,
// StepLR of 4, CosineAnnealingLR of 9 with eta_min 0.1, all of rate 1), by their formulas.
func TestSchedules(t *testing.T) {
	const epochs, batches = 9, 4
	for name, c := range map[string]struct {
		s    Schedule
		want func(epoch, batch int) float64
	}{
		"constant":   {Schedule{Name: "constant"}, func(int, int) float64 { return 1 }},
		"multistep":  {Schedule{Name: "multistep", Factor: 0.1}, func(e, _ int) float64 { return []float64{1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01}[e] }},
		"milestones": {Schedule{Name: "multistep", Factor: 0.5, Milestones: []int{2, 8}}, func(e, _ int) float64 { return []float64{1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25}[e] }},
		"step":       {Schedule{Name: "step", Factor: 0.5, Every: 4}, func(e, _ int) float64 { return []float64{1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25}[e] }},
		"cosine":     {Schedule{Name: "cosine", Floor: 0.1}, func(e, _ int) float64 { return 0.1 + 0.9*(1+math.Cos(math.Pi*float64(e)/9))/2 }},
		"warm-up":    {Schedule{Name: "constant", Warmup: 2}, func(e, b int) float64 { return min(1, float64(4*e+b+1)/8) }},
		"triangle": {Schedule{Name: "triangle", Peak: 1.0 / 3}, func(e, b int) float64 {
			if at := float64(4*e + b + 1); at <= 12 {
				return at / 12
			} else {
				return (36 - at) / 24
			}
		}},
	} {
		if err := c.s.check(epochs); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for e := range epochs {
			for b := range batches {
				if got, want := c.s.Rate(e, epochs, b, batches), c.want(e, b); math.Abs(got-want) > 1e-12 {
					t.Errorf("%s: %v in step %d of epoch %d, wanted %v", name, got, b, e, want)
				}
			}
		}
	}
	thirds := Schedule{Name: "multistep", Factor: 0.1} // the recipe: 350 epochs, 116 and 233
	for epoch, want := range map[int]float64{0: 1, 115: 1, 116: 0.1, 232: 0.1, 233: 0.01, 349: 0.01} {
		if got := thirds.Rate(epoch, 350, 0, 10); math.Abs(got-want) > 1e-15 {
			t.Errorf("epoch %d of 350: %v, wanted %v", epoch, got, want)
		}
	}
}

// The epochs that are measured are about evenly spaced on a logarithmic axis.
func TestMeasuredEpochs(t *testing.T) {
	list := func(m Measure, epochs int) (out []int) {
		for e := range epochs + 1 {
			if m.wanted(e, epochs) {
				out = append(out, e)
			}
		}
		return out
	}
	if got, want := list(Measure{}, 350), []int{0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 350}; !slices.Equal(got, want) {
		t.Errorf("%v, wanted %v", got, want)
	}
	if got, want := list(Measure{Every: 4}, 10), []int{0, 4, 8, 10}; !slices.Equal(got, want) {
		t.Errorf("%v, wanted %v", got, want)
	}
}

func TestSeeds(t *testing.T) {
	for text, want := range map[string]Seeds{"0": {0}, "0..4": {0, 1, 2, 3, 4}, "3,5..6": {3, 5, 6}, "7, 2": {7, 2}} {
		got, err := ParseSeeds(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := ParseSeeds(got.String()); err != nil || !slices.Equal(again, want) {
			t.Errorf("%q again: %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "-1", "a", "1..", "2..1", "1,1", "0..99999999"} {
		if got, err := ParseSeeds(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
