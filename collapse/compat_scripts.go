package collapse

import (
	"math"
	"slices"

	"github.com/collapsar/collapsar/geometry"
	"github.com/collapsar/collapsar/internal/kernel"
)

// scripts holds what is known of each published program.
var scripts = []script{
	{
		name:       "papyan",
		quantities: []string{"Sw_invSb", "norm_M_CoV", "*norm_W_CoV", "cos_M", "*cos_W", "*W_M_dist", "*NCC_mismatch"},
		note: "papyan: the notebook of Papyan, Han, Donoho 2020. Sw_invSb is K nc1_svd (no factor 1/K, K-1 directions without a cut, K-1 < d required); " +
			"norm_*_CoV take the sample deviation: sqrt(K/(K-1)) times nc2_equinorm and nc2w_equinorm; cos_* are nc2_max_angle and nc2w_max_angle; " +
			"W_M_dist is nc3_distance squared; NCC_mismatch is nc4_disagreement. Global mean over classes, W not centred.",
		run: imitatePapyan,
	},
	{
		name:       "han",
		quantities: []string{"*MSE_wd_features", "*LNC1", "*LNC23", "*Lperp"},
		note: "han: the squared-error part of the same notebook (Han, Papyan, Donoho 2021), lambda = 2.5e-4 (half of weight decay 5e-4). " +
			"They are mse_total, mse_nc1, mse_nc23 and mse_perp at that lambda, except that W* and the last two weigh classes equally: " +
			"with unequal class counts the parts do not add up to the total.",
		run: imitateHan,
	},
	{
		name:       "zhu",
		quantities: []string{"collapse_metric", "*ETF_metric", "*WH_relation_metric", "*Wh_b_relation_metric"},
		note: "zhu: validate_NC.py of Zhu et al. 2021. Global mean over all rows, Sigma_B weighs classes equally, W not centred. " +
			"collapse_metric is nc1 (with the factor 1/K), ETF_metric nc2w_etf, WH_relation_metric nc3_etf, Wh_b_relation_metric nc3_bias, " +
			"each with --global-mean sample. The pseudo-inverse cuts at d eps of float64; the float32 original cuts at d eps of float32 and loses small directions.",
		run: imitateZhu,
	},
	{
		name:       "zhou",
		quantities: []string{"collapse_metric", "nuclear_metric", "*ETF_metric", "*WH_relation_metric", "*Wh_b_relation_metric", "*avg_cos_margin"},
		note: "zhou: validate_NC.py of Zhou et al. 2022. As zhu, but with W centred in ETF_metric (nc2w_etf_centred) and WH_relation_metric (nc3_etf_centred). " +
			"nuclear_metric is nuclear_ratio. avg_cos_margin divides W h, neither of them centred, by |h - mu_S| |w_k - wbar|: no cosine, and not " +
			"unchanged by a shift of the features as cos_margin_mean is.",
		run: imitateZhou,
	},
	{
		name: "rhubarb",
		quantities: []string{"nc1_pinv", "nc1_svd", "nc1_quot", "nc1_cdnv", "nc2_etf_err", "nc2g_dist", "nc2g_log",
			"*nc3_dual_err", "*nc3u_uni_dual", "*nc4_agree", "nc5_ood_dev"},
		note: "rhubarb: the package neural_collapse (Wu, Papyan 2024). Global mean over classes; a class without rows counts, with a zero mean. " +
			"nc1_pinv, nc1_svd (K-1 < d required), nc1_quot, nc1_cdnv are nc1, nc1_svd, nc1_quotient, cdnv_mean; nc2_etf_err is nc2_etf; nc2g_dist and nc2g_log " +
			"are gnc2_dist_var and gnc2_log_var; nc3_dual_err is nc3_etf, not nc3_distance; nc3u_uni_dual is the sample variance of the inner products w_k.m_k, " +
			"not of cosines; nc4_agree is an agreement, and drops the bias: 1 - nc4_disagreement only for b = 0; nc5_ood_dev is nc5_orthodev.",
		run: imitateRhubarb,
	},
	{
		name: "lpm",
		quantities: []string{"avg_square_feature_norm",
			"features_norm_cov", "features_avg_cos", "features_std_cos", "features_avg_cos_to_etf",
			"features_avg_cos_small", "features_std_cos_small", "features_norm_cov_small",
			"*weights_norm_cov", "*weights_avg_cos", "*weights_std_cos", "*weights_avg_cos_to_etf",
			"*weights_avg_cos_small", "*weights_std_cos_small", "*weights_norm_cov_small",
			"*dual_distance", "*dual_distance_square"},
		note: "lpm: utils.py of the layer-peeled model (Fang, He, Long, Su 2021). Global mean over all rows, W not centred, population deviations. " +
			"features_* are nc2_equinorm, nc2_cos_mean, nc2_equiangle, nc2_max_angle and weights_* their nc2w forms, *_avg_cos_small minority_cos_mean and " +
			"minority_cos_w, dual_distance nc3_distance, each with --global-mean sample. The original has the number of majority classes typed in; here it is found from the counts, or named.",
		run: imitateLPM,
	},
	mlabCompat,
}

func imitatePapyan(i *imitation) error {
	k := float64(i.classes)
	unbiased := math.Sqrt(k / (k - 1)) // deviations divide by K - 1
	i.set("norm_W_CoV", times(metric(i.sample, "nc2w_equinorm"), unbiased))
	i.set("cos_W", metric(i.sample, "nc2w_max_angle"))
	if err := i.complete(); err != nil {
		return err
	}
	t := i.view(i.sum, "class")
	distance := metric(t, "nc3_distance")
	i.set("norm_M_CoV", times(metric(t, "nc2_equinorm"), unbiased))
	i.set("cos_M", metric(t, "nc2_max_angle"))
	i.set("W_M_dist", times(distance, distance.Number))
	i.set("NCC_mismatch", metric(i.sample, "nc4_disagreement"))
	if err := i.scanned(t); err != nil {
		return err
	}
	i.set("Sw_invSb", times(truncated(t), k))
	return nil
}

func imitateZhu(i *imitation) error {
	i.set("ETF_metric", metric(i.sample, "nc2w_etf"))
	if err := i.complete(); err != nil {
		return err
	}
	t := i.view(i.sum, "sample")
	i.set("WH_relation_metric", metric(t, "nc3_etf"))
	i.set("Wh_b_relation_metric", metric(t, "nc3_bias"))
	if err := i.scanned(t); err != nil {
		return err
	}
	i.set("collapse_metric", pinv(t))
	return nil
}

func imitateZhou(i *imitation) error {
	i.set("ETF_metric", metric(i.sample, "nc2w_etf_centred"))
	if err := i.complete(); err != nil {
		return err
	}
	t := i.view(i.sum, "sample")
	i.set("nuclear_metric", metric(i.sample, "nuclear_ratio"))
	i.set("WH_relation_metric", metric(t, "nc3_etf_centred"))
	i.set("Wh_b_relation_metric", metric(t, "nc3_bias"))
	if err := i.scanned(t); err != nil {
		return err
	}
	i.set("collapse_metric", pinv(t))
	if i.class == nil {
		return nil
	}
	margin, err := i.mixedMargin(t)
	if err != nil {
		return err
	}
	i.set("avg_cos_margin", margin)
	return nil
}

func imitateRhubarb(i *imitation) error {
	sum := i.sum
	if i.k < i.classes {
		if err := i.fits(float64(i.classes) * float64(i.d)); err != nil {
			return err
		}
		sum = withZeroMeans(sum, i.classes)
	}
	t := i.view(sum, "class")
	i.set("nc1_quot", quotient(t))
	i.set("nc1_cdnv", cdnvWithZeros(t))
	i.set("nc2_etf_err", metric(t, "nc2_etf"))
	i.set("nc2g_dist", metric(t, "gnc2_dist_var"))
	i.set("nc2g_log", metric(t, "gnc2_log_var"))
	i.set("nc5_ood_dev", orthodevWithZeros(t))
	if t.class != nil {
		i.set("nc3_dual_err", metric(t, "nc3_etf"))
		i.set("nc3u_uni_dual", dualVariance(t))
		agree, err := i.agreement(t)
		if err != nil {
			return err
		}
		i.set("nc4_agree", agree)
	}
	if err := i.scanned(t); err != nil {
		return err
	}
	i.set("nc1_pinv", pinv(t))
	i.set("nc1_svd", truncated(t))
	return nil
}

func imitateLPM(i *imitation) error {
	spread := func(name string, s *sample, of func(*sample) (frame, Reason), equinorm, cosine, equiangle, angle string) {
		i.set(name+"_norm_cov", metric(s, equinorm))
		i.set(name+"_avg_cos", metric(s, cosine))
		i.set(name+"_std_cos", metric(s, equiangle))
		i.set(name+"_avg_cos_to_etf", metric(s, angle))
		small := func(f func(v *geometry.Vectors) float64) Value { return group(of, true, f)(s) }
		i.set(name+"_avg_cos_small", small(func(v *geometry.Vectors) float64 { return mean(v.Pairs(v.Cosine)) }))
		i.set(name+"_std_cos_small", small(func(v *geometry.Vectors) float64 { return deviation(v.Pairs(v.Cosine)) }))
		i.set(name+"_norm_cov_small", small(func(v *geometry.Vectors) float64 { return deviation(v.Norms()) / mean(v.Norms()) }))
	}
	spread("weights", i.sample, groupWeight, "nc2w_equinorm", "nc2w_cos_mean", "nc2w_equiangle", "nc2w_max_angle")
	if err := i.complete(); err != nil {
		return err
	}
	t := i.view(i.sum, "sample")
	spread("features", t, groupMean, "nc2_equinorm", "nc2_cos_mean", "nc2_equiangle", "nc2_max_angle")
	total := 0.0
	for c := range t.k {
		total += t.sum.Var(c) + t.means.Gram()[c*t.k+c]
	}
	i.set("avg_square_feature_norm", number(total/float64(t.k)))
	distance := metric(t, "nc3_distance")
	i.set("dual_distance", distance)
	i.set("dual_distance_square", times(distance, distance.Number))
	return nil
}

// imitateHan takes our own decomposition as if all classes had equally many rows, with a Sigma_B to match.
func imitateHan(i *imitation) error {
	if i.class == nil {
		return NeedsClassifier
	}
	if err := i.complete(); err != nil {
		return err
	}
	t, o := i.view(i.sum, "class"), *i.opts
	o.MSELambda = 0.5 * 5e-4
	t.opts = &o
	i.set("MSE_wd_features", number(squaredErrorsOf(t, i.full.within, i.full.total).total))

	sum := *t.sum
	sum.Count = slices.Repeat([]int64{1}, t.k)
	sum.Rows = int64(t.k)
	t.sum, t.n = &sum, float64(t.k)
	total := t.means.Scatter()
	kernel.Scale64(total, 1/t.n)
	kernel.Add64(total, i.full.within)
	e := squaredErrorsOf(t, i.full.within, total)
	i.set("LNC1", number(e.nc1))
	i.set("LNC23", number(e.nc23))
	i.set("Lperp", number(e.perp))
	return nil
}

// quotient is nc1_quotient, defined for single rows too.
func quotient(t *sample) Value {
	if r := t.needBetween(); r != "" {
		return undefined(r)
	}
	return number(t.within / t.between)
}

// cdnvWithZeros is cdnv_mean where classes without rows have no variance.
func cdnvWithZeros(t *sample) Value {
	if r := t.needBetween(); r != "" {
		return undefined(r)
	}
	d2 := t.means.Pairs(t.means.Distance2)
	if slices.Min(d2) <= geometry.ZeroNorm*geometry.ZeroNorm*slices.Max(d2) {
		return undefined(CoincidentMeans)
	}
	variance := func(c int) float64 { return t.sum.Scatter[c] / float64(max(1, t.sum.Count[c])) }
	return number(mean(t.means.Pairs(func(a, b int) float64 {
		return (variance(a) + variance(b)) / 2 / d2[geometry.PairIndex(a, b, t.k)]
	})))
}

// dualVariance is the sample variance of the inner products of w_k and m_k.
func dualVariance(t *sample) Value {
	products := make([]float64, t.k)
	for c := range products {
		products[c] = kernel.Dot64(t.class.present.Row(c), t.means.Row(c))
	}
	return number(variance(products) * float64(t.k) / float64(t.k-1))
}

// orthodevWithZeros is nc5_orthodev where the cosine with a zero mean is 0.
func orthodevWithZeros(t *sample) Value {
	if t.ood == nil {
		return undefined(NeedsOOD)
	}
	ood, mu, sum := t.ood.Absolute(), t.sum.Absolute(), 0.0
	for c := range t.k {
		row := mu[c*t.d : (c+1)*t.d]
		if n := norm(row) * norm(ood); n > 0 {
			sum += math.Abs(kernel.Dot64(row, ood)) / n
		}
	}
	return number(sum / float64(t.k))
}
