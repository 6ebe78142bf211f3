package features

import (
	"io"
	"path"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/suggest"
)

// A plan says which array plays which role. It is made from headers alone.
type plan struct {
	layers                            []planned
	labels, testLabels, weights, bias *found
	trainWant, testWant               string // what to call the arrays in complaints
	classifier                        int    // the layer that the weights belong to, -1 for none
	unlabelled                        bool   // labels are not wanted
	unused                            []array.Info
}

type planned struct {
	name             string
	train, test, ood *ref
}

// ref is one array of a file.
type ref struct {
	file *source
	info array.Info
}

// files are those that may hold the parts of a set; all but main may be nil.
type files struct{ main, labels, weights, test *source }

func (f *files) all() []*source {
	all := []*source{f.main}
	for _, s := range []*source{f.labels, f.weights, f.test} {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// openFiles opens the main file by the function given, and the others by their paths.
func openFiles(main func() (*source, error), o Options) (f *files, err error) {
	f = new(files)
	if f.main, err = main(); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		path string
		to   **source
	}{{o.LabelsFile, &f.labels}, {o.WeightsFile, &f.weights}, {o.TestFile, &f.test}} {
		if part.path == "" {
			continue
		}
		if *part.to, err = open(part.path, o); err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

func (f *files) close() {
	for _, s := range f.all() {
		s.Close()
	}
}

// Open opens a feature file: it finds the arrays, and reads and checks labels and classifier.
func Open(path string, o Options) (*Set, error) {
	return openSet(func() (*source, error) { return open(path, o) }, path, o)
}

// OpenReaderAt is Open on what is no file of the system. The name stands for its path; the caller
// closes it after the set. Reading at several places at once must be possible.
func OpenReaderAt(r io.ReaderAt, size int64, name string, o Options) (*Set, error) {
	return openSet(func() (*source, error) {
		s, err := openReader(r, size, name, o)
		if err != nil {
			return nil, array.InFile(err, name, "")
		}
		return s, nil
	}, name, o)
}

func openSet(main func() (*source, error), name string, o Options) (*Set, error) {
	f, err := openFiles(main, o)
	if err != nil {
		return nil, err
	}
	set := &Set{Source: name, Format: f.main.Format(), sources: f.all()}
	if err := set.load(f, o); err != nil {
		set.Close()
		return nil, err
	}
	return set, nil
}

func (set *Set) load(f *files, o Options) error {
	p, err := makePlan(f, o)
	if err != nil {
		return err
	}
	if err := p.check(f); err != nil {
		return err
	}
	if p.weights != nil {
		if set.Classifier, err = p.loadClassifier(o); err != nil {
			return err
		}
	}
	train, test := &labelling{from: p.labels}, &labelling{from: p.testLabels}
	splits := []*labelling{train}
	if o.Unlabelled {
		splits = nil
	} else if slices.ContainsFunc(p.layers, func(l planned) bool { return l.test != nil }) {
		splits = append(splits, test)
	}
	for _, l := range splits {
		if l.labels, l.tags, err = readLabels(l.from, set.Classifier, o); err != nil {
			return err
		}
	}
	if err := settle(splits, set.Classifier, o); err != nil {
		return err
	}
	wanted := 0
	for i, l := range p.layers {
		if o.Layer != "" {
			if ok, err := path.Match(o.Layer, l.name); err != nil {
				return f.main.errorf(NotFound, o.Layer, "not a pattern of layers: %v", err)
			} else if !ok {
				continue
			}
		}
		wanted++
		layer := Layer{Name: l.name, Array: l.train.info.Name}
		if layer.Train, err = l.train.split("train", train, o); err != nil {
			return err
		}
		layer.Dim, layer.DType = layer.Train.Dim, layer.Train.DType
		if l.test != nil {
			if layer.Test, err = l.test.split("test", test, o); err != nil {
				return err
			}
		}
		if l.ood != nil {
			if layer.OOD, err = l.ood.split("ood", new(labelling), o); err != nil {
				return err
			}
		}
		if i == p.classifier {
			layer.Classifier = set.Classifier
		}
		set.Layers = append(set.Layers, layer)
	}
	if wanted == 0 {
		var names []string
		for _, l := range p.layers {
			names = append(names, l.name)
		}
		return f.main.errorf(NotFound, o.Layer, "no layer is called so; there are %s%s", strings.Join(names, ", "), suggest.Hint(o.Layer, names))
	}
	for _, s := range f.all() {
		set.Notes = append(set.Notes, s.notes...)
	}
	return nil
}

func (r *ref) open(o Options) (array.Array, error) {
	a, err := r.file.Open(r.info.Name)
	if err != nil {
		return nil, array.InFile(err, r.file.path, r.info.Name)
	}
	if o.BFloat16 && r.info.DType == array.Uint16 {
		if b, ok := array.Reinterpret(a, array.BFloat16); ok {
			return b, nil
		}
	}
	return a, nil
}

func (r *ref) split(name string, l *labelling, o Options) (*Split, error) {
	a, err := r.open(o)
	if err != nil {
		return nil, err
	}
	s := newSplit(name, a, l.labels, r.file.path)
	s.Tags = l.tags
	return s, nil
}

// makePlan finds the arrays. What is missing or does not fit is left to check, so that a listing can
// be made of any file.
func makePlan(f *files, o Options) (*plan, error) {
	p := &plan{classifier: -1, unlabelled: o.Unlabelled}
	train, err := f.main.find(o.Features, "features", featureNames, true)
	if err != nil {
		return p, err
	}
	if train == nil && (f.main.Format() == "npy" || f.labels != nil) {
		train = f.main.only("features")
	}
	if train == nil {
		return p, f.main.missing("features", "no array of this name or an alias of it; name it with --features")
	}
	for _, info := range train.infos {
		p.layers = append(p.layers, planned{name: train.bare(info), train: &ref{f.main, info}})
	}
	if f.main.Format() == "safetensors" && len(p.layers) > 1 {
		slices.SortStableFunc(p.layers, func(a, b planned) int { return natural(a.name, b.name) })
		f.main.note("layer_order", "safetensors files keep no order of arrays: layers are taken in the natural order of their names")
	}

	if err := p.findTest(f, o); err != nil {
		return p, err
	}
	ood, err := f.main.find("", "ood_features", oodFeatureNames, true)
	if err != nil {
		return p, err
	}
	if ood == nil && f.test != nil {
		if ood, err = f.test.find("", "ood_features", oodFeatureNames, true); err != nil {
			return p, err
		}
	}
	if ood != nil {
		p.attach(ood, func(l *planned) **ref { return &l.ood })
	}

	if !o.Unlabelled {
		if p.labels, err = findLabels(f, o); err != nil {
			return p, err
		}
	}
	if err := p.findClassifier(f, o); err != nil {
		return p, err
	}
	return p, nil
}

// findTest finds test rows and their labels: in the test file, under any name, or in the main file.
func (p *plan) findTest(f *files, o Options) error {
	var test *found
	var err error
	if f.test != nil {
		if test, err = f.test.find("", "test_features", testFeatureNames, true); err != nil {
			return err
		}
		if test == nil && o.Features != "" {
			test = f.test.match(o.Features, true)
		}
		if test == nil {
			if test, err = f.test.find("", "features", featureNames, true); err != nil {
				return err
			}
		}
		if test == nil {
			test = f.test.only("test_features")
		}
		if test == nil {
			return f.test.missing("test_features", "no array of this name, nor features")
		}
	} else if test, err = f.main.find("", "test_features", testFeatureNames, true); err != nil {
		return err
	}
	if test == nil {
		return nil
	}
	p.attach(test, func(l *planned) **ref { return &l.test })

	for _, s := range []*source{f.test, f.labels, f.main} {
		if s == nil {
			continue
		}
		if p.testLabels, err = s.find("", "test_labels", testLabelNames, false); p.testLabels != nil || err != nil {
			return err
		}
		if s == f.test {
			if p.testLabels, err = s.find("", "labels", labelNames, false); p.testLabels != nil || err != nil {
				return err
			}
		}
	}
	return nil
}

// attach gives arrays to the layers of their name; without a name, or a layer of it, an array
// goes to the last layer of its width.
func (p *plan) attach(arrays *found, part func(*planned) **ref) {
	for _, info := range arrays.infos {
		name, to := arrays.bare(info), -1
		for i, l := range p.layers {
			if l.name == name {
				to = i
				break
			}
			if name == "features" && l.train.info.Width() == info.Width() {
				to = i
			}
		}
		if to < 0 && name == "features" {
			to = len(p.layers) - 1 // check says that the widths differ
		}
		if to < 0 {
			arrays.file.note("unused_array", "%s belongs to no layer", info.Name)
			continue
		}
		if slot := part(&p.layers[to]); *slot == nil {
			*slot = &ref{arrays.file, info}
		}
	}
}

func findLabels(f *files, o Options) (*found, error) {
	s := f.main
	if f.labels != nil {
		s = f.labels
	}
	labels, err := s.find(o.Labels, "labels", labelNames, false)
	if err != nil || labels != nil {
		return labels, err
	}
	if s == f.labels {
		if labels = s.only("labels"); labels != nil {
			return labels, nil
		}
		return nil, s.missing("labels", "no array of this name or an alias of it; name it with --labels")
	}
	return nil, nil
}

// findClassifier finds weights and the bias that goes with them: fc.bias with fc.weight.
func (p *plan) findClassifier(f *files, o Options) (err error) {
	s := f.main
	if f.weights != nil {
		s = f.weights
	}
	if p.weights, err = s.find(o.Weights, "weights", weightNames, false); err != nil {
		return err
	}
	if p.weights == nil && s == f.weights {
		if p.weights = s.only("weights"); p.weights == nil {
			return s.missing("weights", "no array of this name or an alias of it; name it with --weights")
		}
	}
	switch {
	case o.Bias != "":
		p.bias, err = s.find(o.Bias, "bias", nil, false)
	case p.weights != nil:
		names := [][]string{{"bias"}, {"b", "biases"}}
		if owner, ok := strings.CutSuffix(p.weights.name, ".weight"); ok {
			names[1] = []string{owner + ".bias"}
		}
		p.bias, err = s.find("", "bias", names, false)
	}
	if err != nil || p.weights == nil {
		return err
	}
	for i, l := range p.layers {
		if l.train.info.Width() == p.weights.infos[0].Width() {
			p.classifier = i
		}
	}
	return nil
}
