// Package ode integrates ordinary differential equations y' = f(t, y) that are not stiff, by the
// embedded Runge-Kutta pair of order 5(4) of Dormand and Prince (1980), with control of the step and
// an interpolant of order 4 within each step.
//
// States at given times:
//
//	states, stats, err := ode.At(ctx, f, t0, y0, []float64{1, 10}, ode.Options{})
//
// What happens at times that are not known before (a loss falls below a level, a norm is
// passed) is found step by step:
//
//	s, err := ode.Start(f, t0, y0, ode.Options{})
//	for ... {
//		if err := s.Step(tMax); err != nil { ... }
//		if t, ok := s.Crossing(g); ok { s.At(t, y) ... }
//	}
//
// An integration is sequential; its bits depend on the kernel level of the processor and on nothing else. A stiff equation is
// integrated correctly, but in so many steps that Options.MaxSteps ends it.
package ode

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/collapsar/collapsar/internal/kernel"
)

// Func writes f(t, y) to dy. It must not keep or change y.
type Func func(t float64, y, dy []float64)

// Options say how exactly to integrate; the zero value means the defaults.
type Options struct {
	Rel, Abs  float64 // error of a step in component i is at most Abs + Rel |y_i|, in the root mean square; default 1e-9 and 1e-12
	FirstStep float64 // length of the first step tried; default: from the first derivatives
	MaxSteps  int     // steps tried before ErrMaxSteps; default 1,000,000
}

// Stats counts what an integration took.
type Stats struct {
	Steps       int // steps made
	Rejected    int // steps tried whose error was too large
	Evaluations int // calls of f
}

// What ends an integration before its time; errors wrap these with the time at which it happened.
var (
	ErrNotFinite = errors.New("the derivative is not finite")
	ErrMaxSteps  = errors.New("too many steps")
	ErrStepSize  = errors.New("the step has shrunk below the resolution of time: the solution blows up, or the equation is not smooth there")
)

// Coefficients of Dormand and Prince, "A family of embedded Runge-Kutta formulae", J. Comput. Appl.
// Math. 6 (1980) 19-26, table 2; the last row of stages is the solution of order 5 itself, so that
// its derivative is the first stage of the next step.
var (
	nodes  = [7]float64{0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1}
	stages = [7][6]float64{
		{},
		{1. / 5},
		{3. / 40, 9. / 40},
		{44. / 45, -56. / 15, 32. / 9},
		{19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
		{9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
		{35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84},
	}
	// order 5 less order 4: the estimate of the error
	difference = [7]float64{71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40}
	// the term of degree 4 of the interpolant of Hairer, Norsett and Wanner, "Solving Ordinary
	// Differential Equations I", 2nd edition, section II.6
	interpolant = [7]float64{-12715105075. / 11282082432, 0, 87487479700. / 32700410799, -10690763975. / 1880347072,
		701980252875. / 199316789632, -1453857185. / 822651844, 69997945. / 29380423}
)

// A Solver is an integration under way. It is not safe for concurrent use.
type Solver struct {
	f     Func
	opt   Options
	stats Stats

	t, h     float64 // time reached; length of the next step to try, > 0
	previous float64 // error of the step before this one, for the controller
	y        []float64
	k        [7][]float64 // stages of the step tried; k[0] is the derivative at (t, y)

	from, length float64      // of the last step made; length 0 before the first
	dense        [5][]float64 // its interpolant
	next, trial  []float64    // scratch
}

// Start begins an integration at time t in state y, which is copied. It fails with ErrNotFinite where
// t, y or the first derivative is not finite, and on options that are negative or not finite.
func Start(f Func, t float64, y []float64, o Options) (*Solver, error) {
	for _, v := range []float64{o.Rel, o.Abs, o.FirstStep, float64(o.MaxSteps)} {
		if !(v >= 0) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("ode: options %+v: expected finite numbers, none negative", o)
		}
	}
	if o.Rel == 0 {
		o.Rel = 1e-9
	}
	if o.Abs == 0 {
		o.Abs = 1e-12
	}
	if o.MaxSteps == 0 {
		o.MaxSteps = 1_000_000
	}
	s := &Solver{f: f, opt: o, t: t, previous: 1e-4}
	n := len(y)
	buffer := make([]float64, 15*n)
	take := func() []float64 {
		v := buffer[:n:n]
		buffer = buffer[n:]
		return v
	}
	s.y, s.next, s.trial = take(), take(), take()
	for i := range s.k {
		s.k[i] = take()
	}
	for i := range s.dense {
		s.dense[i] = take()
	}
	copy(s.y, y)
	s.evaluate(t, s.y, s.k[0])
	if !finite(s.y) || !finite(s.k[0]) || math.IsNaN(t) || math.IsInf(t, 0) {
		return nil, fmt.Errorf("ode: at the start, t = %g: %w", t, ErrNotFinite)
	}
	return s, nil
}

// Time is the time that has been reached.
func (s *Solver) Time() float64 { return s.t }

// State is the state at Time. It belongs to the solver: the next step changes it.
func (s *Solver) State() []float64 { return s.y }

// Stats counts the work so far.
func (s *Solver) Stats() Stats { return s.stats }

// Step makes one step towards the time end, forwards or backwards, and never past it: a step that
// would nearly reach it ends exactly there. At end it does nothing. After an error the solver stays
// at the last good time.
func (s *Solver) Step(end float64) error {
	direction := 1.0
	if end < s.t {
		direction = -1
	}
	if s.h == 0 {
		if s.h = s.opt.FirstStep; s.h == 0 {
			s.h = s.firstStep(direction, math.Abs(end-s.t))
		}
	}
	rejected := false
	for s.t != end {
		if s.stats.Steps+s.stats.Rejected >= s.opt.MaxSteps {
			return fmt.Errorf("ode: %d steps, t = %g of %g: %w", s.opt.MaxSteps, s.t, end, ErrMaxSteps)
		}
		h, last := direction*s.h, false
		if remaining := end - s.t; s.h*1.01 >= math.Abs(remaining) {
			h, last = remaining, true
		}
		err := s.try(h)
		if !(err <= 1) {
			// An error that is not a number comes from a state where f does not exist: come closer in
			// small steps.
			factor := 0.1
			if err > 1 && !math.IsInf(err, 0) {
				factor = max(0.2, 0.9*math.Pow(err, -0.2))
			}
			s.h = math.Abs(h) * factor
			if s.h <= max(8*epsilon*math.Abs(s.t), 1e-300) {
				cause := ErrStepSize
				if math.IsNaN(err) || math.IsInf(err, 0) {
					cause = ErrNotFinite
				}
				return fmt.Errorf("ode: t = %g: %w", s.t, cause)
			}
			s.stats.Rejected++
			rejected = true
			continue
		}
		s.accept(h)
		if s.t += h; last {
			s.t = end
		}
		// The controller of Gustafsson, with the constants of Hairer, Norsett and Wanner: it looks at the
		// error before as well, which keeps the steps from swinging where stability limits them.
		err = max(err, 1e-10)
		factor := 0.9 * math.Pow(err, -(0.2-0.75*0.04)) * math.Pow(s.previous, 0.04)
		factor = min(10, max(0.2, factor))
		if rejected {
			factor = min(1, factor)
		}
		s.previous = max(err, 1e-4)
		if !last || factor < 1 || math.Abs(h) >= s.h {
			s.h = math.Abs(h) * factor // a step cut short by the end says nothing about longer ones
		}
		s.stats.Steps++
		return nil
	}
	return nil
}

const epsilon = 0x1p-52

// try computes the stages of a step of length h and the state after it, and returns its error in units
// of the tolerance.
func (s *Solver) try(h float64) float64 {
	for i := 1; i < len(s.k); i++ {
		out := s.trial
		if i == len(s.k)-1 {
			out = s.next
		}
		copy(out, s.y)
		for j, a := range stages[i][:i] {
			if a != 0 {
				kernel.Axpy64(out, h*a, s.k[j])
			}
		}
		s.evaluate(s.t+nodes[i]*h, out, s.k[i])
	}
	clear(s.trial)
	for j, e := range difference {
		if e != 0 {
			kernel.Axpy64(s.trial, h*e, s.k[j])
		}
	}
	sum := 0.0
	for i, e := range s.trial {
		e /= s.opt.Abs + s.opt.Rel*max(math.Abs(s.y[i]), math.Abs(s.next[i]))
		sum += e * e
	}
	if !finite(s.next) || !finite(s.k[6]) {
		return math.NaN()
	}
	return math.Sqrt(sum / float64(max(1, len(s.y))))
}

// accept makes the step tried the state of the solver and forms its interpolant.
func (s *Solver) accept(h float64) {
	d := &s.dense
	copy(d[0], s.y)
	for i := range s.y {
		rise := s.next[i] - s.y[i]
		left := h*s.k[0][i] - rise
		d[1][i], d[2][i] = rise, left
		d[3][i] = rise - h*s.k[6][i] - left
	}
	clear(d[4])
	for j, c := range interpolant {
		if c != 0 {
			kernel.Axpy64(d[4], h*c, s.k[j])
		}
	}
	s.from, s.length = s.t, h
	s.y, s.next = s.next, s.y
	s.k[0], s.k[6] = s.k[6], s.k[0]
}

// At writes the state at time t to y, for t within the last step; beyond it the interpolant is continued,
// without warrant. Before the first step it is the state at the start.
func (s *Solver) At(t float64, y []float64) {
	if s.length == 0 {
		copy(y, s.y)
		return
	}
	x := (t - s.from) / s.length
	d := &s.dense
	for i := range y {
		y[i] = d[0][i] + x*(d[1][i]+(1-x)*(d[2][i]+x*(d[3][i]+(1-x)*d[4][i])))
	}
}

// Crossing returns a time within the last step at which g changes its sign, to the resolution of
// time, and whether its ends have different signs (a value of 0 at the beginning of the step was found by
// the step before). g must not keep or change y.
func (s *Solver) Crossing(g func(t float64, y []float64) float64) (float64, bool) {
	if s.length == 0 {
		return 0, false
	}
	y := s.trial
	value := func(t float64) float64 {
		s.At(t, y)
		return g(t, y)
	}
	a, b := s.from, s.t
	va, vb := value(a), value(b)
	if va == 0 || va*vb > 0 || math.IsNaN(va*vb) {
		return 0, false
	}
	for range 200 {
		m := a + (b-a)/2
		if m == a || m == b {
			break
		}
		if vm := value(m); vm == 0 {
			return m, true
		} else if (vm > 0) == (va > 0) {
			a = m
		} else {
			b = m
		}
	}
	return b, true
}

// At integrates from (t0, y0) and returns the states at the given times, in their order. Steps end at
// each of them exactly, so that a state is as exact as the steps are; for very many times a Solver and its
// interpolant are faster. On an error, also that of the context, it returns the states that were reached.
func At(ctx context.Context, f Func, t0 float64, y0 []float64, times []float64, o Options) ([][]float64, Stats, error) {
	s, err := Start(f, t0, y0, o)
	if err != nil {
		return nil, Stats{}, err
	}
	var states [][]float64
	for _, t := range times {
		if math.IsNaN(t) || math.IsInf(t, 0) {
			return states, s.stats, fmt.Errorf("ode: times %v: expected finite times", times)
		}
		for s.t != t {
			if err := ctx.Err(); err != nil {
				return states, s.stats, err
			}
			if err := s.Step(t); err != nil {
				return states, s.stats, err
			}
		}
		states = append(states, slices.Clone(s.y))
	}
	return states, s.stats, nil
}

// firstStep is the choice of Hairer, Norsett and Wanner, section II.4: so that an explicit Euler step
// and the change of the derivative over it stay small in units of the tolerance.
func (s *Solver) firstStep(direction, limit float64) float64 {
	norm := func(v []float64) float64 {
		sum := 0.0
		for i, x := range v {
			x /= s.opt.Abs + s.opt.Rel*math.Abs(s.y[i])
			sum += x * x
		}
		return math.Sqrt(sum / float64(max(1, len(v))))
	}
	d0, d1 := norm(s.y), norm(s.k[0])
	h := 1e-6
	if d0 >= 1e-5 && d1 >= 1e-5 {
		h = 0.01 * d0 / d1
	}
	h = min(h, limit)
	copy(s.trial, s.y)
	kernel.Axpy64(s.trial, direction*h, s.k[0])
	s.evaluate(s.t+direction*h, s.trial, s.k[1])
	for i := range s.trial {
		s.trial[i] = s.k[1][i] - s.k[0][i]
	}
	d2 := norm(s.trial) / h
	next := max(1e-6, h*1e-3)
	if steep := max(d1, d2); steep > 1e-15 {
		next = math.Pow(0.01/steep, 0.2)
	}
	if math.IsNaN(next) {
		return h
	}
	return min(100*h, next, limit)
}

func (s *Solver) evaluate(t float64, y, dy []float64) {
	s.f(t, y, dy)
	s.stats.Evaluations++
}

func finite(v []float64) bool {
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}
