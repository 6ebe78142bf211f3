// Package collapsar is the root of an instrument for neural collapse: the state that a classifier's
// last-layer features reach when it is trained far beyond zero error, in which every class shrinks to
// its mean and the means become a simplex that the classifier's weights copy. The command is
// cmd/collapsar; this package holds no code, only the map from the symbols of the theory to the rooms
// of the house.
//
//	symbol     meaning                                                   where it lives
//	h_i, y_i   feature row i of N, in d dimensions, and its class        features.Split, features.Batch
//	W, b       the classifier: K rows of weights, K biases               features.Classifier
//	n_c, mu_c  rows of class c and their mean                            moments.State (first pass)
//	var_c      mean squared distance of class c from mu_c                moments.Summary
//	mu_G       global mean: of the class means, or of all rows           collapse.Options.GlobalMean
//	m_c, M     mu_c - mu_G; the K x d matrix of them                     geometry.Vectors
//	Sigma_W    covariance within classes, seen along the means           moments.Pass2 (second pass)
//	Sigma_B    covariance of the class means, M'M / K                    geometry.Vectors (by its K x K Gram matrix)
//	z_i        logits W h_i + b                                          moments.Plan, moments.Pass2
//	nc1 ...    every metric: formula, source, value at collapse          collapse.Metrics, one entry each
//	           levels of collapse and the verdict on them                collapse.Verdict
//	S_i, C_m   tag sets of rows with several tags; scales of their means  features.Tags, collapse.MultiLabelMetrics, decode
//	simplex, orthoplex, cube: what the means may become                  geometry.Polytope
//	lambda_W   decays, energies, temperatures of free features           ufm.Problem
//	           networks, losses and heads, with gradients                nn.Network, nn.Loss
//	x_i        images and what is done to them before                    dataset.Set, dataset.Loader
//	           training past zero error, collapse on the way             train.Config, train.Run
//
// The layers import one another downwards only: cmd/collapsar, train, nn, ufm, collapse, moments, geometry, features, dataset,
// and below them the internal packages: kernel (matrix products and row loops, in assembly where the
// processor has it), linalg (eigenvalues and singular values of small matrices), parallel (the one worker
// pool), array (what the file formats share).
//
// A measurement from Go:
//
//	set, err := features.Open("run.npz", features.Options{})
//	if err != nil { ... }
//	defer set.Close()
//	report, err := collapse.Measure(ctx, set, collapse.Options{})
//	if err != nil { ... }
//	fmt.Println(report.Results[0].Metrics["nc1"].Number)
package collapsar
