// Package testproblems holds functions with known minima, to try methods of optimisation on: classical ones of Moré, Garbow and
// Hillstrom (1981, "Testing unconstrained optimization software"), and factorisations, which are flat along rotations and
// have saddles, as unconstrained features models do. Check compares their derivatives with finite differences.
package testproblems

import (
	"fmt"
	"math"
)

// Problem is a function with a known minimum.
type Problem struct {
	Name    string
	Value   func(x, g []float64) float64 // value at x; gradient to g
	Product func(x, v, hv []float64)     // Hessian at x times v, to hv
	Start   []float64
	Minimum float64   // the lowest value
	At      []float64 // where it is, nil where that is not one point
}

// All returns the problems.
func All() []Problem {
	return []Problem{rosenbrock(), powell(), wood(), beale(), quadratic(), factorisation(), monkey()}
}

// rosenbrock is a curved valley in ten variables, in pairs (number 21).
func rosenbrock() Problem {
	start, at := make([]float64, 10), make([]float64, 10)
	for i := range start {
		start[i] = []float64{-1.2, 1}[i%2]
		at[i] = 1
	}
	return Problem{Name: "extended Rosenbrock", Start: start, At: at,
		Value: func(x, g []float64) (f float64) {
			for i := 0; i < len(x); i += 2 {
				a, b := x[i+1]-x[i]*x[i], 1-x[i]
				f += 100*a*a + b*b
				g[i], g[i+1] = -400*x[i]*a-2*b, 200*a
			}
			return f
		},
		Product: func(x, v, hv []float64) {
			for i := 0; i < len(x); i += 2 {
				a := x[i+1] - x[i]*x[i]
				hv[i] = (800*x[i]*x[i]-400*a+2)*v[i] - 400*x[i]*v[i+1]
				hv[i+1] = -400*x[i]*v[i] + 200*v[i+1]
			}
		},
	}
}

// powell has a singular Hessian at its minimum (number 13).
func powell() Problem {
	return Problem{Name: "Powell singular", Start: []float64{3, -1, 0, 1}, At: make([]float64, 4),
		Value: func(x, g []float64) float64 {
			a, b, c, d := x[0]+10*x[1], x[2]-x[3], x[1]-2*x[2], x[0]-x[3]
			g[0] = 2*a + 40*d*d*d
			g[1] = 20*a + 4*c*c*c
			g[2] = 10*b - 8*c*c*c
			g[3] = -10*b - 40*d*d*d
			return a*a + 5*b*b + c*c*c*c + 10*d*d*d*d
		},
		Product: func(x, v, hv []float64) {
			c, d := x[1]-2*x[2], x[0]-x[3]
			a, b := v[0]+10*v[1], v[2]-v[3]
			e, f := 12*c*c*(v[1]-2*v[2]), 120*d*d*(v[0]-v[3])
			hv[0], hv[1], hv[2], hv[3] = 2*a+f, 20*a+e, 10*b-2*e, -10*b-f
		},
	}
}

// wood has a long valley with a saddle in it (number 14).
func wood() Problem {
	return Problem{Name: "Wood", Start: []float64{-3, -1, -3, -1}, At: []float64{1, 1, 1, 1},
		Value: func(x, g []float64) float64 {
			a, b, c, d := x[1]-x[0]*x[0], 1-x[0], x[3]-x[2]*x[2], 1-x[2]
			e, f := x[1]+x[3]-2, x[1]-x[3]
			g[0] = -400*x[0]*a - 2*b
			g[1] = 200*a + 20*e + 0.2*f
			g[2] = -360*x[2]*c - 2*d
			g[3] = 180*c + 20*e - 0.2*f
			return 100*a*a + b*b + 90*c*c + d*d + 10*e*e + 0.1*f*f
		},
		Product: func(x, v, hv []float64) {
			a, c := x[1]-x[0]*x[0], x[3]-x[2]*x[2]
			e, f := v[1]+v[3], v[1]-v[3]
			hv[0] = (800*x[0]*x[0]-400*a+2)*v[0] - 400*x[0]*v[1]
			hv[1] = -400*x[0]*v[0] + 200*v[1] + 20*e + 0.2*f
			hv[2] = (720*x[2]*x[2]-360*c+2)*v[2] - 360*x[2]*v[3]
			hv[3] = -360*x[2]*v[2] + 180*v[3] + 20*e - 0.2*f
		},
	}
}

// beale is flat far out (number 5).
func beale() Problem {
	y := []float64{1.5, 2.25, 2.625}
	return Problem{Name: "Beale", Start: []float64{1, 1}, At: []float64{3, 0.5},
		Value: func(x, g []float64) (f float64) {
			g[0], g[1] = 0, 0
			for i, y := range y {
				n := float64(i + 1)
				p := math.Pow(x[1], n)
				r := y - x[0]*(1-p)
				dp := n * math.Pow(x[1], n-1)
				f += r * r
				g[0] -= 2 * r * (1 - p)
				g[1] += 2 * r * x[0] * dp
			}
			return f
		},
		Product: func(x, v, hv []float64) {
			hv[0], hv[1] = 0, 0
			for i, y := range y {
				n := float64(i + 1)
				p := math.Pow(x[1], n)
				r := y - x[0]*(1-p)
				dp := n * math.Pow(x[1], n-1)
				ddp := 0.0
				if n > 1 {
					ddp = n * (n - 1) * math.Pow(x[1], n-2)
				}
				a, b := -(1 - p), x[0]*dp
				hv[0] += 2*a*a*v[0] + 2*(a*b+r*dp)*v[1]
				hv[1] += 2*(a*b+r*dp)*v[0] + 2*(b*b+r*x[0]*ddp)*v[1]
			}
		},
	}
}

// quadratic has a condition number of 10^6.
func quadratic() Problem {
	const n = 40
	curvature := make([]float64, n)
	start := make([]float64, n)
	for i := range n {
		curvature[i] = math.Pow(10, 6*float64(i)/(n-1))
		start[i] = 1
	}
	return Problem{Name: "quadratic of condition 1e6", Start: start, At: make([]float64, n),
		Value: func(x, g []float64) (f float64) {
			for i, c := range curvature {
				g[i] = c * x[i]
				f += c * x[i] * x[i] / 2
			}
			return f
		},
		Product: func(x, v, hv []float64) {
			for i, c := range curvature {
				hv[i] = c * v[i]
			}
		},
	}
}

// factorisation is 1/2 |W H^T - Y|^2 + lambda/2 (|W|^2 + |H|^2), Y = diag(3, 2, 1, 0.1), lambda = 1/2, in four
// dimensions: every singular value y above lambda is lowered by lambda (Srebro 2004). It is flat along rotations, and has a
// saddle for every set of directions that is left out. The start is close to the one at zero.
func factorisation() Problem {
	const n, lambda = 4, 0.5
	y := []float64{3, 2, 1, 0.1}
	minimum := 0.0
	for _, y := range y {
		s := max(0, y-lambda)
		minimum += (y-s)*(y-s)/2 + lambda*s
	}
	start := make([]float64, 2*n*n)
	for i := range start {
		start[i] = 0.05 * math.Sin(float64(3*i*i+1))
	}
	product := func(a, b []float64, i, j int) (s float64) { // row i of a with row j of b
		for k := range n {
			s += a[i*n+k] * b[j*n+k]
		}
		return s
	}
	return Problem{Name: "factorisation with decay", Start: start, Minimum: minimum,
		Value: func(x, g []float64) (f float64) {
			w, h := x[:n*n], x[n*n:]
			gw, gh := g[:n*n], g[n*n:]
			for i, v := range x {
				f += lambda / 2 * v * v
				g[i] = lambda * v
			}
			for i := range n {
				for j := range n {
					r := product(w, h, i, j)
					if i == j {
						r -= y[i]
					}
					f += r * r / 2
					for k := range n {
						gw[i*n+k] += r * h[j*n+k]
						gh[j*n+k] += r * w[i*n+k]
					}
				}
			}
			return f
		},
		Product: func(x, v, hv []float64) {
			w, h := x[:n*n], x[n*n:]
			dw, dh := v[:n*n], v[n*n:]
			ow, oh := hv[:n*n], hv[n*n:]
			for i := range v {
				hv[i] = lambda * v[i]
			}
			for i := range n {
				for j := range n {
					r := product(w, h, i, j)
					if i == j {
						r -= y[i]
					}
					dr := product(dw, h, i, j) + product(w, dh, i, j)
					for k := range n {
						ow[i*n+k] += dr*h[j*n+k] + r*dh[j*n+k]
						oh[j*n+k] += dr*w[i*n+k] + r*dw[i*n+k]
					}
				}
			}
		},
	}
}

// monkey is a monkey saddle in a bowl: the Hessian is zero at the start's neighbour, and three minima are equally low.
func monkey() Problem {
	// In polar coordinates r^3 cos 3t + r^4: lowest at cos 3t = -1, r = 3/4.
	return Problem{Name: "monkey saddle", Start: []float64{1e-3, 1e-4}, Minimum: -27.0 / 256,
		Value: func(x, g []float64) float64 {
			a, b := x[0], x[1]
			rr := a*a + b*b
			g[0] = 3*a*a - 3*b*b + 4*rr*a
			g[1] = -6*a*b + 4*rr*b
			return a*a*a - 3*a*b*b + rr*rr
		},
		Product: func(x, v, hv []float64) {
			a, b := x[0], x[1]
			rr := a*a + b*b
			hv[0] = (6*a+4*rr+8*a*a)*v[0] + (-6*b+8*a*b)*v[1]
			hv[1] = (-6*b+8*a*b)*v[0] + (-6*a+4*rr+8*b*b)*v[1]
		},
	}
}

// Check compares gradient and Hessian of a function at x with differences of values and gradients along v, central and
// of the fourth order. tolerance is relative to the size of what is compared.
func Check(value func(x, g []float64) float64, product func(x, v, hv []float64), x, v []float64, tolerance float64) error {
	n := len(x)
	g, hv := make([]float64, n), make([]float64, n)
	value(x, g)
	scale := 1e-3 * (1 + length(x)) / (1e-300 + length(v))
	at := func(t float64) (float64, []float64) {
		y, gy := make([]float64, n), make([]float64, n)
		for i := range y {
			y[i] = x[i] + t*scale*v[i]
		}
		return value(y, gy), gy
	}
	f1, g1 := at(1)
	f2, g2 := at(2)
	e1, h1 := at(-1)
	e2, h2 := at(-2)
	slope, got, size := (8*(f1-e1)-(f2-e2))/(12*scale), 0.0, 0.0
	for i := range g {
		got += g[i] * v[i]
		size += math.Abs(g[i] * v[i])
	}
	if off := math.Abs(slope - got); !(off <= tolerance*(size+1e-3*math.Abs(f1)+1e-6)) {
		return fmt.Errorf("slope %.15g, by differences %.15g", got, slope)
	}
	if product == nil {
		return nil
	}
	product(x, v, hv)
	off, size := 0.0, 0.0
	for i := range hv {
		d := (8*(g1[i]-h1[i]) - (g2[i] - h2[i])) / (12 * scale)
		off, size = math.Hypot(off, hv[i]-d), math.Hypot(size, d)
	}
	if !(off <= tolerance*(size+1e-3*length(g)*length(v)+1e-6)) {
		return fmt.Errorf("Hessian times vector is off by %.3g of %.3g", off, size)
	}
	return nil
}

func length(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return math.Sqrt(s)
}
