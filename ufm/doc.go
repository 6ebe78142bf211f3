// Package ufm is the theory of neural collapse to calculate with: unconstrained features models, in which the last-layer
// features are free variables beside the classifier (Mixon et al. 2020; Fang et al. 2021, "layer-peeled model"; Zhu et al.
// 2021). For a loss, what holds the norms, a bias rule and class counts it gives the global optimum, the proof that it is
// one, and the way there:
//
//	p := ufm.Problem{Loss: ufm.Loss{Kind: ufm.CrossEntropy}, Counts: []int{100, 100, 100}, Dim: 8,
//		W: ufm.Decay(5e-4), H: ufm.Decay(5e-4)}
//	best, err := p.Optimum()                        // the closed form, and the theorem that it is from
//	found, err := p.Solve(ctx, ufm.SolveOptions{})  // the same by search from several seeds
//	proof, err := p.Certify(found.Point)            // lower bound and gap, without either
//
// Answer does all of this for a Spec: the name of a problem and its parameters, as a file holds them.
//
// Notation. K classes, d dimensions, n_k samples of class k (n where all are alike), N in all; H is N x d, row h_i is the
// feature of sample i; W is K x d, row w_k belongs to class k; b has K biases. Logits are L = H W^T + 1 b^T, N x K. Samples of
// a class are contiguous, in the order of the labels. A loss is the mean over the samples; a decay lambda costs lambda/2 times
// a sum of squares. Matrices are row-major without gaps. W and H are determined up to a rotation of the d dimensions only.
package ufm
