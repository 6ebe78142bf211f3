package ufm

import (
	"fmt"
	"math"
)

// Problem is an unconstrained features model. Its choices are independent of one another.
type Problem struct {
	Loss   Loss
	Counts []int // samples of each class, in the order of the labels; for PickAllLabel empty, see Loss.Sets
	Dim    int   // d, dimension of the features

	// W and H are what holds the norms of classifier and features; B is the decay of the bias, where it is decayed.
	W, H Regulariser
	Bias Bias
	B    float64

	// Layers stand between the features and the classifier, in the order of the computation.
	Layers []Layer
	// NonNegative wants every feature to be at least 0.
	NonNegative bool
	// Classifier is "" where W is free; a name fixes W to rows of squared norm W.Size, see FixedClassifier.
	Classifier Polytope
	// Scale multiplies the products H W^T (the inverse of a temperature); 0 stands for 1.
	Scale float64
}

// Loss of the outputs, and its parameters.
type Loss struct {
	Kind      LossKind
	Smoothing float64     // CrossEntropy: alpha, targets (1-alpha) e_y + alpha/K
	Focus     float64     // Focal: gamma
	Sets      map[int]int // PickAllLabel: how many samples each set of m labels has, by m
	TagSets   []TagSet    // PickAllLabel: the sets of labels that occur, instead of Sets
	Classes   int         // PickAllLabel: K
	Average   bool        // PickAllLabel: divided by the number of labels of the sample
	Target    float64     // DotRegression: the product of feature and classifier row that is aimed at
	Contrast  Contrast    // SupervisedContrastive
	Sum       bool        // summed over the samples, instead of their mean
}

// TagSet is a set of labels, increasing, and how many samples have it. A sample without labels costs nothing but counts.
type TagSet struct {
	Tags  []int
	Count int
}

// LossKind names a loss.
type LossKind string

const (
	CrossEntropy          LossKind = "ce"
	SquaredError          LossKind = "mse"   // half the squared distance of the logits from e_y
	Focal                 LossKind = "focal" // -(1-p)^gamma ln p, p the probability of the own class (Lin et al. 2017)
	PickAllLabel          LossKind = "pal"   // sum of cross-entropies over the labels of a sample (Li et al. 2023)
	DotRegression         LossKind = "dot"   // (w_y.h - target)^2 / (2 target) (Yang et al. 2022)
	SupervisedContrastive LossKind = "supcon"
)

// Bias is the rule of the bias.
type Bias string

const (
	NoBias      Bias = "none" // b = 0
	FreeBias    Bias = "free"
	DecayedBias Bias = "decayed" // costs B/2 |b|^2
)

// Regulariser is what holds the norms of a matrix. The zero value is nothing.
type Regulariser struct {
	Kind RegulariserKind
	Size float64
}

// RegulariserKind names a regulariser. The rows of W are classes; a row of H is a sample, and its energy is averaged within
// its class first (Fang et al. 2021).
type RegulariserKind string

const (
	Unregularised RegulariserKind = ""
	DecayKind     RegulariserKind = "decay"  // Size/2 times the sum of squares
	EnergyKind    RegulariserKind = "energy" // mean squared norm of a row at most Size
	BallKind      RegulariserKind = "ball"   // squared norm of every row at most Size
	SphereKind    RegulariserKind = "sphere" // squared norm of every row equal to Size
)

// Decay costs lambda/2 times the sum of squares.
func Decay(lambda float64) Regulariser { return Regulariser{DecayKind, lambda} }

// Energy holds the mean squared norm of the rows at or below size.
func Energy(size float64) Regulariser { return Regulariser{EnergyKind, size} }

// Ball holds the squared norm of every row at or below size.
func Ball(size float64) Regulariser { return Regulariser{BallKind, size} }

// Sphere fixes the squared norm of every row.
func Sphere(size float64) Regulariser { return Regulariser{SphereKind, size} }

// Layer is a linear layer without bias between features and classifier, with or without ReLU after it.
type Layer struct {
	Width int
	Decay float64
	ReLU  bool
}

// Polytope names the fixed rows of a classifier.
type Polytope string

const (
	Free      Polytope = ""
	Simplex   Polytope = "simplex"   // K points in d >= K-1 dimensions, cosines -1/(K-1)
	Orthoplex Polytope = "orthoplex" // K = 2d, +-e_j
	Cube      Polytope = "cube"      // K = 2^d, (+-1, ..., +-1)
	Identity  Polytope = "identity"  // d = K, e_k
)

// samples is N as a number.
func (p *Problem) samples() float64 {
	n := 0.0
	for m, times := range p.Loss.Sets {
		n += float64(times) * float64(binomial(p.Loss.Classes, m))
	}
	for _, s := range p.Loss.TagSets {
		n += float64(s.Count)
	}
	for _, c := range p.Counts {
		n += float64(c)
	}
	return n
}

// kinds is the number of classes, or of tag sets that occur.
func (p *Problem) kinds() float64 {
	n := float64(len(p.Counts) + len(p.Loss.TagSets))
	for m := range p.Loss.Sets {
		n += math.Exp(lchoose(p.Loss.Classes, m))
	}
	return n
}

// mostNumbers is the largest size of a matrix of a problem.
const mostNumbers = 1 << 28

// Check returns what is wrong with a problem, nil where it can be solved.
func (p *Problem) Check() error {
	if p.Dim < 1 {
		return fmt.Errorf("dim: %d, wanted at least 1", p.Dim)
	}
	if p.classes() < 2 {
		return fmt.Errorf("counts: %d classes, wanted at least 2", p.classes())
	}
	for i, n := range p.Counts {
		if n < 1 {
			return fmt.Errorf("counts[%d]: %d, wanted at least 1", i, n)
		}
	}
	if p.Loss.Kind == PickAllLabel {
		if len(p.Counts) > 0 {
			return fmt.Errorf("counts: with several labels a sample, Loss.Sets or Loss.TagSets has them")
		}
		for m, n := range p.Loss.Sets {
			if m < 1 || m > p.Loss.Classes || n < 1 {
				return fmt.Errorf("sets: %d samples for each set of %d labels, wanted at least 1, and from 1 to %d labels", n, m, p.Loss.Classes)
			}
		}
		if err := checkTagSets(p.Loss); err != nil {
			return err
		}
	}
	widest := p.Dim
	for i, l := range p.Layers {
		if l.Width < 1 || !(l.Decay >= 0) || math.IsInf(l.Decay, 0) {
			return fmt.Errorf("layers[%d]: width %d, decay %v, wanted a width of at least 1 and a finite decay of at least 0", i, l.Width, l.Decay)
		}
		widest = max(widest, l.Width)
	}
	rows := p.kinds()
	if !p.collapses() {
		rows = max(rows, p.samples())
	}
	if max(rows, float64(widest))*float64(widest) > mostNumbers && (len(p.Layers) > 0 || rows*float64(p.Dim) > mostNumbers) {
		return fmt.Errorf("%.0f rows of features in %d dimensions: too large to search", rows, widest)
	}
	for _, r := range []struct {
		name string
		Regulariser
	}{{"W", p.W}, {"H", p.H}} {
		if !(r.Size >= 0) || math.IsInf(r.Size, 0) {
			return fmt.Errorf("%s: %s %v, wanted a finite number of at least 0", r.name, r.Kind, r.Size)
		}
	}
	if p.Loss.Kind == DotRegression && !(p.Loss.Target > 0) {
		return fmt.Errorf("target: %v, wanted a number above 0", p.Loss.Target)
	}
	if p.Bias == DecayedBias && !(p.B > 0) {
		return fmt.Errorf("decay of the bias: %v, wanted a number above 0", p.B)
	}
	return nil
}
