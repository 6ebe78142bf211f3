package ufm

// outputLoss is a loss as a function of the outputs of a problem, Z of rows x width: the logits, or the features
// where there is no classifier.
type outputLoss interface {
	// eval returns the loss of z and writes its gradient to g. Where dz is not nil it also writes to dg the change of the
	// gradient along dz, the Hessian times dz.
	eval(z, dz, g, dg []float64) float64
}
