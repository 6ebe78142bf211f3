package ufm

import (
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
)

// held writes a matrix as a smooth function of free numbers v, so that the norms are as they have to be:
//
//	u = v, or v squared elementwise where the matrix is not negative
//	y_i = row_i c f(|u|^2) u_i,   |u| that of the row (ball, sphere) or of the whole matrix (energy), c = sqrt(size)
//
// with f(q) = 1/sqrt(q) on a sphere and 2/(1+q) in a ball. The latter covers the ball and is stationary at its edge, |u| = 1,
// in the direction that leaves it; so a minimum at the edge is one of the function too.
type held struct {
	kind    RegulariserKind
	size    float64
	squared bool
	row     []float64 // factor of each row; nil for 1
}

// shape returns f and its first two derivatives at q.
func (h *held) shape(q float64) (f, f1, f2 float64) {
	switch h.kind {
	case SphereKind:
		s := 1 / math.Sqrt(q)
		return s, -s / (2 * q), 3 * s / (4 * q * q)
	default:
		a := 1 / (1 + q)
		return 2 * a, -2 * a * a, 4 * a * a * a
	}
}

// plain tells that no norm is held.
func (h *held) plain() bool { return h.kind == Unregularised || h.kind == DecayKind }

// each calls f for every piece whose norm is held: rows, or the whole.
func (h *held) each(n *node, f func(from, to int)) {
	if h.kind == EnergyKind {
		f(0, len(n.v))
		return
	}
	for i := range n.rows {
		f(i*n.cols, (i+1)*n.cols)
	}
}

// free is u, or its change along dv.
func (h *held) free(v []float64) []float64 {
	if !h.squared {
		return v
	}
	u := make([]float64, len(v))
	for i, v := range v {
		u[i] = v * v
	}
	return u
}

func (h *held) freeTangent(v, dv []float64) []float64 {
	if !h.squared {
		return dv
	}
	du := make([]float64, len(v))
	for i, v := range v {
		du[i] = 2 * v * dv[i]
	}
	return du
}

// scaleRows multiplies the rows by their factors.
func (h *held) scaleRows(n *node, y []float64) {
	if h.row == nil {
		return
	}
	for i, r := range h.row {
		if r != 1 {
			kernel.Scale64(y[i*n.cols:(i+1)*n.cols], r)
		}
	}
}

// apply writes the matrix.
func (h *held) apply(n *node, v []float64) {
	u := h.free(v)
	copy(n.v, u)
	if !h.plain() {
		c := math.Sqrt(h.size)
		h.each(n, func(from, to int) {
			f, _, _ := h.shape(kernel.SumSquares64(u[from:to]))
			kernel.Scale64(n.v[from:to], c*f)
		})
	}
	h.scaleRows(n, n.v)
}

// applyTangent writes the change of the matrix along dv.
func (h *held) applyTangent(n *node, v, dv []float64) {
	u, du := h.free(v), h.freeTangent(v, dv)
	copy(n.dv, du)
	if !h.plain() {
		c := math.Sqrt(h.size)
		h.each(n, func(from, to int) {
			u, du, dy := u[from:to], du[from:to], n.dv[from:to]
			f, f1, _ := h.shape(kernel.SumSquares64(u))
			dq := 2 * kernel.Dot64(u, du)
			kernel.Scale64(dy, c*f)
			kernel.Axpy64(dy, c*f1*dq, u)
		})
	}
	h.scaleRows(n, n.dv)
}

// pull writes to g the gradient in v from that of the matrix, n.grad, of which the factors of the rows are taken in.
func (h *held) pull(n *node, v, g []float64) {
	copy(g, n.grad)
	h.scaleRows(n, g)
	if !h.plain() {
		c := math.Sqrt(h.size)
		u := h.free(v)
		h.each(n, func(from, to int) {
			u, g := u[from:to], g[from:to]
			f, f1, _ := h.shape(kernel.SumSquares64(u))
			s := kernel.Dot64(u, g)
			kernel.Scale64(g, c*f)
			kernel.Axpy64(g, 2*c*f1*s, u)
		})
	}
	if h.squared {
		for i := range g {
			g[i] *= 2 * v[i]
		}
	}
}

// pullTangent writes to hv the change along dv of what pull gives.
func (h *held) pullTangent(n *node, v, dv, hv []float64) {
	copy(hv, n.dgr)
	h.scaleRows(n, hv)
	if h.plain() && !h.squared {
		return
	}
	gu := make([]float64, len(v)) // gradient in u
	copy(gu, n.grad)
	h.scaleRows(n, gu)
	if !h.plain() {
		c := math.Sqrt(h.size)
		u, du := h.free(v), h.freeTangent(v, dv)
		h.each(n, func(from, to int) {
			u, du, gy, hv := u[from:to], du[from:to], gu[from:to], hv[from:to]
			f, f1, f2 := h.shape(kernel.SumSquares64(u))
			dq := 2 * kernel.Dot64(u, du)
			s := kernel.Dot64(u, gy)
			ds := kernel.Dot64(du, gy) + kernel.Dot64(u, hv)
			kernel.Scale64(hv, c*f)
			kernel.Axpy64(hv, c*f1*dq, gy)
			kernel.Axpy64(hv, 2*c*(f2*dq*s+f1*ds), u)
			kernel.Axpy64(hv, 2*c*f1*s, du)
			kernel.Scale64(gy, c*f)
			kernel.Axpy64(gy, 2*c*f1*s, u)
		})
	}
	if h.squared {
		for i := range hv {
			hv[i] = 2*v[i]*hv[i] + 2*dv[i]*gu[i]
		}
	}
}
