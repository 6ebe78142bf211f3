package features

import (
	"fmt"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/suggest"
)

// The names under which arrays are found. The first tier is the name of the contract; an alias of
// an earlier tier is preferred to one of a later; two of the same tier are ambiguous. The last tier of
// the features are names that often mean something else, such as the inputs.
var (
	featureNames = [][]string{
		{"features"},
		{"feats", "feat", "feature", "feat_list", "features_list", "embeddings", "embedding", "embeds", "embed_list", "h", "H", "representations", "representation", "penultimate"},
		{"hidden", "hidden_states", "activations", "z", "Z", "X", "x"},
		{"tensor"}, // what a bare tensor of torch.save is listed as
	}
	labelNames = [][]string{
		{"labels"},
		{"label", "label_list", "labels_list", "targets", "target", "y", "Y", "y_true", "tags"},
	}
	weightNames = [][]string{
		{"weights"},
		{"fc.weight", "head.weight", "classifier.weight", "lm_head.weight", "linear.weight", "module.fc.weight", "model.fc.weight", "weight", "W", "w"},
	}
	testFeatureNames = variants("test", featureNames)
	testLabelNames   = variants("test", labelNames)
	oodFeatureNames  = variants("ood", featureNames)
)

// variants is test_features, and then features_test and the aliases likewise.
func variants(prefix string, names [][]string) [][]string {
	v := make([][]string, len(names)+1)
	for i, tier := range names {
		for _, name := range tier {
			to := i + 1
			if i == 0 {
				v[0] = append(v[0], prefix+"_"+name)
			} else {
				v[to] = append(v[to], prefix+"_"+name)
			}
			v[to] = append(v[to], name+"_"+prefix)
		}
	}
	return v
}

// A found is the arrays that play a role in a file: one, or the layers under a name ("features/...").
type found struct {
	file  *source
	name  string // "features", or the alias
	infos []array.Info
}

// bare is the name of the layer whose features an array holds.
func (f found) bare(info array.Info) string {
	if layer, ok := strings.CutPrefix(info.Name, f.name+"/"); ok {
		return layer
	}
	return "features"
}

// find looks for a role's arrays. want is the name that the user gave, "" for the known names; only
// with layered are arrays below a name, such as features/block1, taken as layers. Nothing found is
// no error here unless it was asked for by name.
func (s *source) find(want, role string, names [][]string, layered bool) (*found, error) {
	if want != "" {
		if f := s.match(want, layered); f != nil {
			if bare, ok := strings.CutPrefix(want, role+"/"); ok && bare != "" && layered {
				f.name = role // --features features/block1 is still called block1
			}
			return f, nil
		}
		return nil, s.missing(want, "no such array")
	}
	for i, tier := range names {
		var hits []*found
		for _, name := range tier {
			if f := s.match(name, layered); f != nil {
				hits = append(hits, f)
			}
		}
		if len(hits) > 1 {
			hits = slices.DeleteFunc(hits, func(f *found) bool { return f.infos[0].Refused != nil })
		}
		switch {
		case len(hits) > 1:
			var list []string
			for _, f := range hits {
				list = append(list, f.name)
			}
			return nil, s.errorf(Ambiguous, role, "could be %s; %s", strings.Join(list, ", "), choose(role))
		case len(hits) == 1:
			if i > 0 && !(s.isTable() && role == "labels") { // there a column "label" has its proper name
				s.note("alias_taken", "%s is taken as %s", hits[0].name, role)
			}
			return hits[0], nil
		}
	}
	return nil, nil
}

func (s *source) isTable() bool {
	return slices.Contains([]string{"csv", "tsv", "parquet"}, s.Format())
}

func (s *source) match(name string, layered bool) *found {
	f := &found{file: s, name: name}
	for _, info := range s.arrays {
		if info.Name == name || layered && strings.HasPrefix(info.Name, name+"/") {
			f.infos = append(f.infos, info)
		}
	}
	if f.infos == nil {
		return nil
	}
	return f
}

// only is the one array that a file holds.
func (s *source) only(role string) *found {
	if len(s.arrays) != 1 {
		return nil
	}
	if s.Format() != "npy" {
		s.note("alias_taken", "%s, the only array, is taken as %s", s.arrays[0].Name, role)
	}
	return &found{s, s.arrays[0].Name, s.arrays}
}

// missing is the complaint that an array is not there: with what is there, and what is nearest.
func (s *source) missing(name, what string) error {
	const most = 24
	var list []string
	for _, info := range s.arrays[:min(len(s.arrays), most)] {
		if info.Refused != nil {
			list = append(list, info.Name)
		} else {
			list = append(list, fmt.Sprintf("%s (%s)", info.Name, info))
		}
	}
	if more := len(s.arrays) - most; more > 0 {
		list = append(list, fmt.Sprintf("%d more", more))
	}
	holds := strings.Join(list, ", ")
	if holds == "" {
		holds = "no arrays"
	}
	var names []string
	for _, info := range s.arrays {
		names = append(names, info.Name)
	}
	return s.errorf(NotFound, name, "%s; the file holds %s%s", what, holds, suggest.Hint(name, names))
}

// choose is what to do about several candidates.
func choose(role string) string {
	if strings.Contains(role, "_") { // test_features and the like have no flag
		return "call one " + role
	}
	return "name one with --" + role
}
