package ode

import (
	"context"
	"errors"
	"math"
	"testing"
)

// problems with known solutions
var problems = []struct {
	name     string
	f        Func
	t0, t1   float64
	y0       []float64
	solution func(t float64) []float64
}{
	{"decay", func(_ float64, y, dy []float64) { dy[0] = -y[0] }, 0, 10, []float64{1},
		func(t float64) []float64 { return []float64{math.Exp(-t)} }},
	{"oscillator", func(_ float64, y, dy []float64) { dy[0], dy[1] = y[1], -y[0] }, 0, 40, []float64{0, 1},
		func(t float64) []float64 { return []float64{math.Sin(t), math.Cos(t)} }},
	{"oscillator backwards", func(_ float64, y, dy []float64) { dy[0], dy[1] = y[1], -y[0] }, 3, -20, []float64{math.Sin(3), math.Cos(3)},
		func(t float64) []float64 { return []float64{math.Sin(t), math.Cos(t)} }},
	{"logistic", func(_ float64, y, dy []float64) { dy[0] = y[0] * (1 - y[0]) }, -8, 8, []float64{1 / (1 + math.Exp(8))},
		func(t float64) []float64 { return []float64{1 / (1 + math.Exp(-t))} }},
	{"depends on time", func(t float64, y, dy []float64) { dy[0] = 2 * t * y[0] }, 0, 2, []float64{1},
		func(t float64) []float64 { return []float64{math.Exp(t * t)} }},
	{"Bernoulli", func(_ float64, y, dy []float64) { dy[0] = 2*y[0] - y[0]*y[0]*y[0] }, 0, 5, []float64{1e-3},
		func(t float64) []float64 { return []float64{math.Sqrt(2 / (1 + (2/1e-6-1)*math.Exp(-4*t)))} }},
	{"nothing", func(float64, []float64, []float64) {}, 0, 1, []float64{}, func(float64) []float64 { return nil }},
}

func TestSolutions(t *testing.T) {
	for _, p := range problems {
		t.Run(p.name, func(t *testing.T) {
			times := []float64{p.t0, p.t0 + 0.3*(p.t1-p.t0), p.t1}
			states, stats, err := At(context.Background(), p.f, p.t0, p.y0, times, Options{})
			if err != nil {
				t.Fatal(err)
			}
			// The tolerance bounds the error of a step; over these times it grows less than a hundredfold.
			for i, s := range states {
				if e := distance(s, p.solution(times[i])); e > 1e-7 {
					t.Errorf("t = %g: error %.3g", times[i], e)
				}
			}
			if stats.Evaluations > 6*(stats.Steps+stats.Rejected)+2 {
				t.Errorf("%+v: more than six evaluations a step", stats)
			}
		})
	}
}

func distance(a, b []float64) float64 {
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(a[i]-b[i])/max(1, math.Abs(b[i])))
	}
	return worst
}

// With steps of a fixed length, the error of the state falls like the fifth power of the step, that of the
// interpolant inside the steps like the fourth at least.
func TestOrder(t *testing.T) {
	p := problems[1]
	run := func(h float64) (end, inside float64) {
		s, err := Start(p.f, 0, p.y0, Options{Rel: 1e6, Abs: 1e6, FirstStep: h}) // every step is accepted
		if err != nil {
			t.Fatal(err)
		}
		y := make([]float64, 2)
		for s.Time() < 8 {
			s.h = h
			if err := s.Step(8); err != nil {
				t.Fatal(err)
			}
			for _, x := range []float64{0.25, 0.5, 0.75} {
				at := s.Time() - h*x
				s.At(at, y)
				inside = max(inside, distance(y, p.solution(at)))
			}
		}
		return distance(s.State(), p.solution(8)), inside
	}
	e1, i1 := run(1. / 4)
	e2, i2 := run(1. / 8)
	if order := math.Log2(e1 / e2); math.Abs(order-5) > 0.3 {
		t.Errorf("order %.2f, want 5 (errors %.3g, %.3g)", order, e1, e2)
	}
	if order := math.Log2(i1 / i2); order < 3.8 {
		t.Errorf("order inside the steps %.2f, want at least 4 (errors %.3g, %.3g)", order, i1, i2)
	}
}

// The error follows the tolerance, and the number of steps grows like its fifth root.
func TestTolerance(t *testing.T) {
	p := problems[1]
	previous := 0
	for _, tol := range []float64{1e-4, 1e-6, 1e-8, 1e-10} {
		states, stats, err := At(context.Background(), p.f, p.t0, p.y0, []float64{p.t1}, Options{Rel: tol, Abs: tol})
		if err != nil {
			t.Fatal(err)
		}
		if e := distance(states[0], p.solution(p.t1)); e > 50*tol {
			t.Errorf("tolerance %g: error %.3g", tol, e)
		}
		if ratio := float64(stats.Steps) / float64(previous); previous > 0 && (ratio < 2 || ratio > 3.2) {
			t.Errorf("tolerance %g: %d steps after %d, want about 2.5 times as many", tol, stats.Steps, previous)
		}
		previous = stats.Steps
	}
}

// Kepler's orbit of eccentricity 0.5 conserves energy and angular momentum and comes back after its period.
func TestKepler(t *testing.T) {
	f := func(_ float64, y, dy []float64) {
		r := math.Hypot(y[0], y[1])
		dy[0], dy[1], dy[2], dy[3] = y[2], y[3], -y[0]/(r*r*r), -y[1]/(r*r*r)
	}
	y0 := []float64{0.5, 0, 0, math.Sqrt(3)}
	states, _, err := At(context.Background(), f, 0, y0, []float64{2 * math.Pi, 20 * math.Pi}, Options{Rel: 1e-11, Abs: 1e-13})
	if err != nil {
		t.Fatal(err)
	}
	if e := distance(states[0], y0); e > 1e-8 {
		t.Errorf("after one period %.3g from the start", e)
	}
	y := states[1]
	energy := (y[2]*y[2]+y[3]*y[3])/2 - 1/math.Hypot(y[0], y[1])
	momentum := y[0]*y[3] - y[1]*y[2]
	if math.Abs(energy+0.5) > 1e-9 || math.Abs(momentum-math.Sqrt(0.75)) > 1e-9 {
		t.Errorf("after ten periods energy %.12f, angular momentum %.12f", energy, momentum)
	}
}

func TestCrossing(t *testing.T) {
	p := problems[1]
	s, err := Start(p.f, 0, p.y0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Crossing(func(t float64, _ []float64) float64 { return t }); ok {
		t.Error("crossing before the first step")
	}
	var found []float64
	for s.Time() < 10 {
		if err := s.Step(10); err != nil {
			t.Fatal(err)
		}
		if at, ok := s.Crossing(func(_ float64, y []float64) float64 { return y[0] }); ok {
			found = append(found, at)
		}
	}
	if len(found) != 3 {
		t.Fatalf("zeros of sin between 0 and 10: %v", found)
	}
	for i, at := range found {
		if math.Abs(at-float64(i+1)*math.Pi) > 1e-7 {
			t.Errorf("zero %d at %.12f", i+1, at)
		}
	}
}

// A time may be passed again: steps stop exactly where they are told to.
func TestStepsEndExactly(t *testing.T) {
	p := problems[0]
	s, err := Start(p.f, 0, p.y0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []float64{1e-9, 0.1, 0.7, 0.7, 0.2, 2} {
		for s.Time() != end {
			if err := s.Step(end); err != nil {
				t.Fatal(err)
			}
		}
		if e := math.Abs(s.State()[0] - math.Exp(-end)); e > 1e-8 {
			t.Errorf("t = %g: error %.3g", end, e)
		}
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	square := func(_ float64, y, dy []float64) { dy[0] = y[0] * y[0] } // y = 1/(1-t)
	_, _, err := At(ctx, square, 0, []float64{1}, []float64{2}, Options{})
	if !errors.Is(err, ErrStepSize) && !errors.Is(err, ErrNotFinite) {
		t.Errorf("blow-up: %v", err)
	}
	root := func(_ float64, y, dy []float64) { dy[0] = -1 / math.Sqrt(y[0]) } // ends at t = 2/3
	if _, _, err := At(ctx, root, 0, []float64{1}, []float64{1}, Options{}); !errors.Is(err, ErrNotFinite) && !errors.Is(err, ErrStepSize) {
		t.Errorf("end of the domain: %v", err)
	}
	if _, _, err := At(ctx, square, 0, []float64{math.NaN()}, []float64{1}, Options{}); !errors.Is(err, ErrNotFinite) {
		t.Errorf("start at NaN: %v", err)
	}
	if _, _, err := At(ctx, square, 0, []float64{-1}, []float64{math.Inf(1)}, Options{}); err == nil {
		t.Error("infinite time taken")
	}
	if _, _, err := At(ctx, square, 0, []float64{-1}, []float64{1}, Options{Rel: -1}); err == nil {
		t.Error("negative tolerance taken")
	}
	p := problems[1]
	states, stats, err := At(ctx, p.f, 0, p.y0, []float64{1, 1000}, Options{MaxSteps: 100})
	if !errors.Is(err, ErrMaxSteps) || len(states) != 1 || stats.Steps+stats.Rejected != 100 {
		t.Errorf("100 steps: %d states, %+v, %v", len(states), stats, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := At(ended, p.f, 0, p.y0, []float64{1}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// After an error the solver is where it was.
func TestStateAfterError(t *testing.T) {
	s, err := Start(func(_ float64, y, dy []float64) { dy[0] = y[0] * y[0] }, 0, []float64{1}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = s.Step(2)
	}
	if math.Abs(s.Time()-1) > 1e-8 || !(s.State()[0] > 1e6) || !finite(s.State()) {
		t.Errorf("t = %.17g, y = %g", s.Time(), s.State()[0])
	}
}

func BenchmarkStep(b *testing.B) {
	const n = 1000
	f := func(_ float64, y, dy []float64) {
		for i := 0; i < n; i += 2 {
			dy[i], dy[i+1] = y[i+1], -y[i]
		}
	}
	y := make([]float64, n)
	for i := range y {
		y[i] = 1
	}
	s, err := Start(f, 0, y, Options{MaxSteps: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Step(math.MaxFloat64); err != nil {
			b.Fatal(err)
		}
	}
}
