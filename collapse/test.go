package collapse

import (
	"math"

	"github.com/collapsar/collapsar/internal/kernel"
)

const hui = "after Hui, Belkin, Nakkiran 2022"

// testRows is the group of what happens to rows that were not trained on, and to rows of no class at all (NC5).
var testRows = []Metric{
	{ID: "nc1_test", Name: "nc1 of the test rows", Formula: "nc1 on the test rows, by their own means", Source: papyan, Cost: Pass2, ideal: zero,
		eval: ownTest(func(t *sample) Value { return t.nc1(t.pass.Moments, t.n) })},
	{ID: "nc1_quotient_test", Name: "nc1_quotient of the test rows", Formula: "nc1_quotient on the test rows, by their own means", Source: "Tirer, Bruna 2022", Cost: Pass1, ideal: zero,
		eval: ownTest(nc1Quotient)},
	{ID: "cdnv_test_mean", Name: "cdnv_mean of the test rows", Formula: "cdnv_mean on the test rows, by their own means", Source: "Galanti, Gyorgy, Hutter 2021", Cost: Pass1, ideal: zero,
		eval: ownTest(func(t *sample) Value { return t.cdnv(false) })},
	{ID: "cdnv_test_max", Name: "cdnv_max of the test rows", Formula: "cdnv_max on the test rows, by their own means", Source: "Galanti, Gyorgy, Hutter 2021", Cost: Pass1, ideal: zero,
		eval: ownTest(func(t *sample) Value { return t.cdnv(true) })},
	{ID: "test_collapse_strong", Name: "test rows about their train mean", Formula: "tr(S Sigma_B^+) / K, S = mean over test rows of (h - mu_y)(h - mu_y)', mu and Sigma_B of the train rows",
		Source: hui, Cost: Pass2, ideal: zero, eval: againstTrain(func(s *sample) Value {
			if !s.test.known {
				return undefined(TestClassNotInTrain)
			}
			return number(s.trace(s.test.pass.Moments, s.test.own.n))
		})},
	{ID: "test_collapse_weak", Name: "test rows about the nearest train mean", Formula: "test_collapse_strong with mu of the nearest train mean", Source: hui,
		Cost: Pass2, ideal: zero, eval: againstTrain(func(s *sample) Value { return number(s.trace(s.test.pass.Weak, s.test.own.n)) })},
	{ID: "test_collapse_strong_quotient", Name: "test rows about their train mean, in total", Formula: "tr S / tr Sigma_B", Source: hui, Cost: Pass2, ideal: zero,
		eval: againstTrain(func(s *sample) Value {
			if !s.test.known {
				return undefined(TestClassNotInTrain)
			}
			sum := 0.0
			for _, c := range s.test.pass.Class {
				sum += c.Scatter
			}
			return number(sum / s.test.own.n / s.between)
		})},
	{ID: "test_collapse_weak_quotient", Name: "test rows about the nearest train mean, in total", Formula: "tr S / tr Sigma_B", Source: hui, Cost: Pass2, ideal: zero,
		eval: againstTrain(func(s *sample) Value { return number(s.test.pass.WeakSq / s.test.own.n / s.between) })},
	{ID: "nc4_disagreement_test", Name: "nc4_disagreement on the test rows", Formula: "nc4_disagreement with train means", Source: papyan, Cost: Logits, ideal: zero,
		eval: onTest(func(s *sample) Value { return s.disagreement(s.test.pass.Disagreements, s.test.pass.Rows) })},
	{ID: "ncc_error_test", Name: "ncc_error on the test rows", Formula: "ncc_error with train means", Source: "Galanti, Gyorgy, Hutter 2021", Cost: Pass2, ideal: zero,
		eval: onTest(func(s *sample) Value {
			if s.k < 2 {
				return undefined(NeedsTwoClasses)
			}
			return count(s.test.pass.NCCErrors(), s.test.own.n)
		})},
	{ID: "classifier_error_test", Name: "classifier_error on the test rows", Formula: "classifier_error", Source: papyan, Cost: Logits, ideal: zero,
		eval: onTest(func(s *sample) Value {
			if s.class == nil {
				return undefined(NeedsClassifier)
			}
			return count(s.test.pass.Errors(), s.test.own.n)
		})},
	{ID: "ce_loss_test", Name: "ce_loss on the test rows", Formula: "ce_loss", Source: papyan, Cost: Logits,
		eval: onTest(func(s *sample) Value { return s.loss(s.test.pass.Loss, s.test.own.n) })},
	{ID: "class_separation_r2_test", Name: "class_separation_r2 of the test rows", Formula: "class_separation_r2 on the test rows", Source: "Kornblith et al. 2021", Cost: Pass2, ideal: one,
		eval: ownTest(classSeparation)},
	{ID: "nc5_orthodev", Name: "class means against rows of no class", Formula: "mean_c |cos(mu_c, mu_ood)|, means not centred", Source: "Ammar et al. 2024", Cost: Pass1, ideal: zero,
		eval: orthodev},
}

// onTest is a metric that needs test rows.
func onTest(f func(s *sample) Value) func(*sample) Value {
	return func(s *sample) Value {
		if s.test == nil {
			return undefined(NeedsTest)
		}
		return f(s)
	}
}

// ownTest is a metric of the test rows by their own means.
func ownTest(f func(t *sample) Value) func(*sample) Value {
	return onTest(func(s *sample) Value { return f(s.test.own) })
}

// againstTrain is a metric of the test rows against train means.
func againstTrain(f func(s *sample) Value) func(*sample) Value {
	return onTest(func(s *sample) Value {
		if r := s.needBetween(); r != "" {
			return undefined(r)
		}
		return f(s)
	})
}

func orthodev(s *sample) Value {
	if s.ood == nil {
		return undefined(NeedsOOD)
	}
	ood := s.ood.Absolute()
	mu := s.sum.Absolute()
	sum := 0.0
	for c := range s.k {
		row := mu[c*s.d : (c+1)*s.d]
		n := norm(row) * norm(ood)
		if n == 0 {
			return undefined(ZeroNormMean)
		}
		sum += math.Abs(kernel.Dot64(row, ood)) / n
	}
	return number(sum / float64(s.k))
}
