package moments

// Add adds a row of class c with scores s_j in float64 and the factors of its class (see Levels); toward is its product with w_c less the
// mean of the rows of W, 0 without a classifier. All classes count.
func (a *LevelSums) Add(c int, s, inverse, shape []float64, toward float64) {
	k := float64(len(s))
	var q, u, p, sum, square float64
	for j, v := range s {
		t := (s[c] - v) * inverse[j]
		q += t * t
		u += t
		p += v * shape[j]
		sum += v
		square += v * v
	}
	q, u = q/max(k-1, 1), u/max(k-1, 1)
	a.Q += q
	a.QQ += q * q
	a.QU += q * u
	a.U += u
	a.UU += u * u
	a.PP += p * p
	a.Square += square - sum*sum/k
	o := s[c] - sum/k
	a.OO += o * o
	a.WW += toward * toward
	a.WO += toward * o
}

// Scale multiplies all sums: those of some rows of a class stand for all then.
func (a *LevelSums) Scale(by float64) {
	for _, x := range a.fields() {
		*x *= by
	}
}
