package decode

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

func toSets(rows [][]int) (sets [][]int) {
	for _, row := range rows {
		set := []int{}
		for k, y := range row {
			if y != 0 {
				set = append(set, k)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

func compare(predicted, truth [][]int, k int) Sets {
	t := NewTally(k)
	for i, p := range predicted {
		t.Add(p, truth[i])
	}
	return t.Sets()
}

// near compares the JSON of scores with wanted numbers.
func near(t *testing.T, what string, got any, want map[string]float64, tol float64) {
	t.Helper()
	text, _ := json.Marshal(got)
	var have map[string]float64
	if err := json.Unmarshal(text, &have); err != nil {
		t.Fatal(err)
	}
	for name, w := range want {
		if v, ok := have[name]; !ok || math.Abs(v-w) > tol*max(1, math.Abs(w)) {
			t.Errorf("%s: %s is %v, expected %v", what, name, v, w)
		}
	}
}

// Seven rows with ties, without tags and with all of them, by hand.
func TestByHand(t *testing.T) {
	z := []float64{2, 1, 0, -1, 1, 1, 0, 0, 0, 3, 3, 1, .5, .5, .5, .5, 4, 0, 0, 1, 1, 2, 3, 4, 2, 2, 1, 0}
	truth := [][]int{{0}, {0, 2}, {1, 3}, {1}, {}, {0, 1, 2, 3}, {0, 1}}
	near(t, "ranking", Rank(z, truth, 4), map[string]float64{
		"coverage": 12. / 7, "ranking_loss": (.75 + .5 + 1) / 7, "one_error": 3. / 6,
		"lrap": (1 + (.5+2./4)/2 + (.5+2./3)/2 + .25 + 1 + 1 + 1) / 7,
	}, 1e-15)
	predicted := [][]int{{0}, {0, 1}, {1, 2}, {}, {}, {0, 1, 2}, {0, 1}}
	near(t, "sets", compare(predicted, truth, 4), map[string]float64{
		"exact_match": 3. / 7, "hamming_loss": 6. / 28, "iou": (1 + 1./3 + 1./3 + 0 + 1 + .75 + 1) / 7, "f1_sample": (1 + .5 + .5 + 0 + 1 + 6./7 + 1) / 7,
		"f1_micro": 16. / 22, "f1_macro": (1 + 6./8 + 2./4 + 0) / 4, "right_size": 5. / 7, "n_empty_predictions": 2, "f1_macro_left_out": 0,
	}, 1e-15)
}

// The same case against scikit-learn's numbers.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("../../shared/reference/multilabel.json")
	if err != nil {
		t.Skip("no reference values beside the repository")
	}
	var ref struct {
		Tiny struct {
			Logits              [][]float64
			Labels, Predictions [][]int
			Ranking, Sets       map[string]float64
		}
	}
	if err := json.Unmarshal(text, &ref); err != nil {
		t.Fatal(err)
	}
	truth := toSets(ref.Tiny.Labels)
	near(t, "ranking", Rank(slices.Concat(ref.Tiny.Logits...), truth, 4), ref.Tiny.Ranking, 1e-12)
	near(t, "sets", compare(toSets(ref.Tiny.Predictions), truth, 4), ref.Tiny.Sets, 1e-12)
}

// On vectors that are a simplex, the rule finds the nearest of all prototypes of the multiplicities.
func TestNearestPrototype(t *testing.T) {
	const k = 7
	d := &Decoder{Tags: k, Multiplicities: []int{1, 2, 3, 4}, Prototypes: &Prototypes{Scale: []float64{1, .9, .8, .75}, Square: 1 - 1./k}}
	v := make([]float64, k*k) // rows of I - 11'/k
	for i := range k {
		for j := range k {
			v[i*k+j] = -1. / k
		}
		v[i*k+i]++
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		q, a := make([]float64, k), make([]float64, k)
		for i := range q {
			q[i] = rng.NormFloat64()
		}
		for i := range k {
			for j := range k {
				a[i] += v[i*k+j] * q[j]
			}
		}
		best, least := []int(nil), math.Inf(1)
		cosine, most := []int(nil), math.Inf(-1)
		for bits := range 1 << k {
			var set []int
			p := make([]float64, k)
			for i := range k {
				if bits>>i&1 == 1 {
					set = append(set, i)
					for j := range k {
						p[j] += v[i*k+j]
					}
				}
			}
			at := slices.Index(d.Multiplicities, len(set))
			if at < 0 {
				continue
			}
			far, dot, square := 0.0, 0.0, 0.0
			for j := range k {
				x := d.Prototypes.Scale[at]*p[j] - q[j]
				far += x * x
				dot += p[j] * q[j]
				square += p[j] * p[j]
			}
			if far < least {
				best, least = set, far
			}
			if c := dot / math.Sqrt(square); c > most {
				cosine, most = set, c
			}
		}
		d.Rank(a)
		if got := d.Decide(nil, rules[0]); !slices.Equal(got, best) {
			t.Fatalf("euclid: %v, expected %v", got, best)
		}
		if got := d.Decide(nil, rules[1]); !slices.Equal(got, cosine) {
			t.Fatalf("cosine: %v, expected %v", got, cosine)
		}
	}
}

// Equal scores stand in the order of their tags, and the smaller of two multiplicities wins.
func TestTies(t *testing.T) {
	d := &Decoder{Tags: 4, Multiplicities: []int{1, 2}}
	d.Rank(make([]float64, 4))
	for i, want := range map[int][]int{2: {0, 1}, 3: {0, 1, 2, 3}, 4: {0}, 5: {}, 6: {0, 1, 2, 3}, 7: {0, 1, 2, 3}} {
		if got := d.Decide(nil, rules[i]); !slices.Equal(got, want) {
			t.Errorf("%s: %v, expected %v", rules[i].Name, got, want)
		}
	}
}

// Picking out the first of the scores gives what sorting gives, ties included, however many are asked for and in whatever order.
func TestFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	d := &Decoder{}
	for range 400 {
		k, kinds := 1+rng.IntN(90), 12
		if rng.IntN(2) == 0 {
			k, kinds = 1+rng.IntN(1200), 12<<rng.IntN(8)
		}
		z := make([]float64, k)
		for i := range z {
			z[i] = float64(rng.IntN(kinds)) // ties
		}
		order := make([]int, k)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int { return int(z[j] - z[i]) })
		d.Tags, d.Multiplicities = k, []int{1 + rng.IntN(k)}
		d.Rank(z)
		if d.r.top != z[order[0]] {
			t.Fatalf("largest of %v: %v", z, d.r.top)
		}
		limit := z[rng.IntN(k)] + float64(rng.IntN(2))/2
		var want []int
		least, other := math.Inf(1), math.Inf(-1)
		for i, x := range z {
			if x >= limit {
				want, least = append(want, i), min(least, x)
			} else {
				other = max(other, x)
			}
		}
		if got, a, b := d.r.above(nil, limit); !slices.Equal(got, want) || a != least || b != other {
			t.Fatalf("from %v on in %v: %v, %v, %v, expected %v, %v, %v", limit, z, got, a, b, want, least, other)
		}
		for range 4 {
			m := rng.IntN(k + 1)
			want := slices.Sorted(slices.Values(order[:m]))
			if got := d.First(nil, m); !slices.Equal(got, want) {
				t.Fatalf("first %d of %v: %v, expected %v", m, z, got, want)
			}
		}
	}
}

// After binary cross-entropy every tag is decided by itself: none, some or all, with the probability of its own logit.
func TestSigmoidHalf(t *testing.T) {
	m := &Model{Tags: 3, Dim: 3, Multiplicities: []int{1, 2}, Weights: []float64{1, 0, 0, 0, 1, 0, 0, 0, 1}, Bias: make([]float64, 3)}
	rule, ok := ByName("sigmoid_half")
	if !ok {
		t.Fatal("no such rule")
	}
	answers := make([]Answer, 3)
	if err := m.Decode([]float64{-1, -2, -3, -.5, 0, math.Log(3), 4, 5, 6}, rule, 0, answers); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]int{{}, {1, 2}, {0, 1, 2}} {
		if !slices.Equal(answers[i].Tags, want) {
			t.Errorf("row %d: %v, expected %v", i, answers[i].Tags, want)
		}
	}
	if s := answers[1].Scores; math.Abs(s[0]-.5) > 1e-15 || math.Abs(s[1]-.75) > 1e-15 {
		t.Errorf("scores %v, expected 0.5 and 0.75", s)
	}
}
