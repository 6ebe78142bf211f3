package nn

import (
	"slices"
	"strconv"
	"strings"
)

// LossInfo describes a loss that LossSpec can name.
type LossInfo struct {
	Name     string
	Words    string // what it is, in a line
	Formula  string // of one sample; the training loss is the mean
	Source   string
	Options  string // its own, as LossSpec spells them, separated by spaces; "=2" behind one is its default
	Tags     bool   // takes rows with several tags
	Collapse string // what the features become at the optimum of the unconstrained features model
}

// Losses lists the losses.
func Losses() []LossInfo {
	infos := make([]LossInfo, len(lossEntries))
	for i, e := range lossEntries {
		infos[i] = e.LossInfo
		options := strings.Fields(e.Options)
		for j, name := range options {
			if v, ok := e.defaults[name]; ok {
				options[j] += "=" + strconv.FormatFloat(v, 'g', -1, 64)
			}
		}
		infos[i].Options = strings.Join(options, " ")
	}
	return infos
}

type lossEntry struct {
	LossInfo
	defaults map[string]float64
	advice   string // where an option that it needs is missing
}

const (
	simplexCollapse = "simplex, W its copy"
	adjustable      = " adjustment priors"
)

var lossEntries = []lossEntry{
	{LossInfo{"ce", "cross-entropy", "-ln p_y", "Zhu et al. 2021", "smoothing" + adjustable, false,
		simplexCollapse}, nil, ""},
	{LossInfo{"label_smoothing", "cross-entropy with smoothed labels", "-sum_k t_k ln p_k, t = (1-alpha) e_y + alpha/K",
		"Szegedy et al. 2016; Zhou et al. 2022", "smoothing" + adjustable, false,
		"simplex, with finite logits also without decay"}, map[string]float64{"smoothing": 0.1}, ""},
	{LossInfo{"focal", "focal loss", "-(1-p_y)^gamma ln p_y", "Lin et al. 2017; Zhou et al. 2022", "gamma" + adjustable, false,
		simplexCollapse}, map[string]float64{"gamma": 2}, ""},
	{LossInfo{"mse", "squared error", "|z - e_y|^2 / 2", "Tirer and Bruna 2022; Han et al. 2022", "", true,
		"orthogonal frame without bias, simplex with a free one"}, nil, ""},
	{LossInfo{"mse_rescaled", "squared error, the own logit weighted and aimed at M", "(kappa (z_y - M)^2 + sum_{k != y} z_k^2) / 2",
		"Hui and Belkin 2021; Zhou et al. 2022", "kappa scale", true,
		"as mse"}, nil, "; 15 and 30 are usual for 1,000 classes, and 1 and 1 are mse"},
	{LossInfo{"bce", "binary cross-entropies of the classes, summed", "sum_k ln(1 + e^z_k) - t_k z_k", "K times PyTorch's mean", "", true,
		"simplex, W its copy, with a free bias and one label a row"}, nil, ""},
	{LossInfo{"pal", "pick-all-label: cross-entropies of the labels, summed", "sum_{k in S} -ln p_k", "Li et al. 2023", "", true,
		"simplex; means of tag sets are scaled sums of those of their tags"}, nil, ""},
	{LossInfo{"pal_mean", "pick-all-label, mean over the labels", "sum_{k in S} -ln p_k / m", "Li et al. 2023", "", true,
		"as pal, with other scales"}, nil, ""},
	{LossInfo{"dot", "dot regression, for a fixed classifier and features of fixed norm", "(z_y - t)^2 / (2t), t = sqrt(E_W E_H)",
		"Yang et al. 2022", "target", false, "features along the rows of the fixed classifier, whatever the class counts"},
		map[string]float64{"target": 1}, ""},
	{LossInfo{"cosine_softmax", "cross-entropy of cosines over a temperature, for the cosine head", "-ln softmax_y((cos - margin e_y) / tau)",
		"Wang et al. 2018; Kornblith et al. 2021; Yaras et al. 2022", "temperature margin", false, "simplex on the sphere, W its copy"},
		map[string]float64{"temperature": 0.05}, ""},
	{LossInfo{"supcon", "supervised contrastive, of unit features; the classifier is trained beside them", "mean over positives j of -ln(e^{s_ij/tau} / sum_{a != i} e^{s_ia/tau})",
		"Khosla et al. 2020; Graf et al. 2021", "temperature", false, "simplex on the sphere; no W"},
		map[string]float64{"temperature": 0.1}, ""},
	{LossInfo{"mcr2", "maximal coding rate reduction, of unit features; the classifier is trained beside them",
		"-R(Z) + sum_c n_c/n R(Z_c), R = ln det(I + d/(n eps^2) Z^T Z) / 2",
		"Yu et al. 2020", "distortion", false, "none: classes span orthogonal subspaces, as large as they can be"},
		map[string]float64{"distortion": 0.5}, ""},
}

// A lossOption is a number of a LossSpec.
type lossOption struct {
	name     string
	at       func(*LossSpec) *float64
	required bool
	common   bool // of every loss
}

var lossOptions = []lossOption{
	{"smoothing", func(s *LossSpec) *float64 { return &s.Smoothing }, false, false},
	{"gamma", func(s *LossSpec) *float64 { return &s.Gamma }, false, false},
	{"kappa", func(s *LossSpec) *float64 { return &s.Kappa }, true, false},
	{"scale", func(s *LossSpec) *float64 { return &s.Scale }, true, false},
	{"target", func(s *LossSpec) *float64 { return &s.Target }, false, false},
	{"temperature", func(s *LossSpec) *float64 { return &s.Temperature }, false, false},
	{"margin", func(s *LossSpec) *float64 { return &s.Margin }, false, false},
	{"distortion", func(s *LossSpec) *float64 { return &s.Distortion }, false, false},
	{"adjustment", func(s *LossSpec) *float64 { return &s.Adjustment }, false, false},
	{"feature_decay", func(s *LossSpec) *float64 { return &s.FeatureDecay }, false, true},
	{"svsl", func(s *LossSpec) *float64 { return &s.SVSL }, false, true},
}

func (e *lossEntry) has(o lossOption) bool {
	return o.common || slices.Contains(strings.Fields(e.Options), o.name)
}

// optionNames are those that the loss has, its own and the common ones.
func (e *lossEntry) optionNames() string {
	return strings.Join(append(strings.Fields(e.Options), "feature_decay", "svsl", "svsl_from"), ", ")
}

func lossNames() []string {
	names := make([]string, len(lossEntries))
	for i, e := range lossEntries {
		names[i] = e.Name
	}
	return names
}
