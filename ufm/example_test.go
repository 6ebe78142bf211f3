package ufm_test

import (
	"context"
	"fmt"

	"github.com/collapsar/collapsar/ufm"
)

// The optimum of cross-entropy with decays, what a search finds, and the proof that nothing is lower.
func ExampleProblem() {
	p := ufm.Problem{
		Loss: ufm.Loss{Kind: ufm.CrossEntropy}, Counts: []int{100, 100, 100, 100}, Dim: 8,
		W: ufm.Decay(5e-4), H: ufm.Decay(1e-4), Bias: ufm.FreeBias,
	}
	best, err := p.Optimum()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("theory: %.8f, gap %.4f (%s)\n", best.Value, best.Fields.Number("gap"), best.Theorem)
	found, err := p.Solve(context.Background(), ufm.SolveOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("search: %.8f, %s, %d of %d starts\n", found.Value, found.Status, found.Reached(), len(found.Starts))
	proof, err := p.Certify(found.Point)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("global:", proof.Global)
	// Output:
	// theory: 0.04762607, gap 6.0963 (Zhu et al. 2021, Theorem 3.1)
	// search: 0.04762607, converged, 5 of 5 starts
	// global: true
}

// The ratio of counts from which the classifiers of five rare classes of ten coincide.
func ExampleAnswer() {
	spec, err := ufm.ReadSpec([]byte("problem: layer_peeled_threshold\nparams: {pairs: [[5, 5]], products: [5]}\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := ufm.Answer(context.Background(), spec, ufm.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	rows, _ := r.ClosedForm.Get("rows")
	for _, row := range rows.([]ufm.Fields) {
		fmt.Printf("minority collapse from ratio %.6f on\n", row.Number("R0"))
	}
	// Output: minority collapse from ratio 12.192447 on
}
