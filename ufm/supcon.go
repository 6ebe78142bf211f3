package ufm

var supconQuestions []Question

// Contrast holds the parameters of the supervised contrastive loss.
type Contrast struct{}
