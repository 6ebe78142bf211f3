package train

import (
	"io"
	"os"
	"strings"

	"github.com/collapsar/collapsar/dataset"
	"github.com/collapsar/collapsar/features/safetensors"
	"github.com/collapsar/collapsar/features/torch"
	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/collapsar/collapsar/nn"
)

func headNames() (names []string) {
	for _, h := range nn.Heads() {
		names = append(names, h.Name)
	}
	return names
}

// architecture describes the network of a model for the data.
func (m *Model) architecture(set *dataset.Set) (nn.Architecture, error) {
	a, err := nn.Build(m.Name, nn.ArchitectureOptions{
		Input: nn.Shape(set.Shape), Classes: len(set.Classes), Width: m.Width, Depth: m.Depth, Norm: m.Norm, FeatureDim: m.FeatureDim, Head: m.Head,
	})
	if err != nil {
		return a, configError("model", "%s", strings.TrimPrefix(err.Error(), "nn: "))
	}
	return a, nil
}

// network is the network of a model at its start, for batches of so many rows.
func network[T nn.Float](m *Model, set *dataset.Set, seed uint64, rows int) (*nn.Network[T], error) {
	a, err := m.architecture(set)
	if err != nil {
		return nil, err
	}
	net, err := nn.New[T](a, rows)
	if err != nil {
		return nil, configError("model", "%s", strings.TrimPrefix(err.Error(), "nn: "))
	}
	if err := net.Init(m.Init, seed); err != nil {
		return nil, configError("model.init", "%s", strings.TrimPrefix(err.Error(), "nn: "))
	}
	if m.InitFrom != "" {
		if err := loadWeights(net, m.InitFrom); err != nil {
			return nil, err
		}
	}
	return net, nil
}

// loadWeights fills a network from a file of PyTorch's names and shapes, .safetensors or .pt.
func loadWeights[T nn.Float](net *nn.Network[T], path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	if err := readWeights(net, f, stat.Size()); err != nil {
		return array.About(err, path)
	}
	return nil
}

func readWeights[T nn.Float](net *nn.Network[T], r io.ReaderAt, size int64) error {
	head := make([]byte, min(size, 512))
	if err := array.ReadFull(r, head, 0); err != nil {
		return err
	}
	open := torch.Open
	if safetensors.Sniff(head) {
		open = safetensors.Open
	} else if !torch.Sniff(head) {
		return array.Errorf(array.Unsupported, "", "expected weights as .safetensors or .pt")
	}
	file, err := open(r, size, array.Options{})
	if err != nil {
		return err
	}
	defer file.Close()
	return setTensors(net, file)
}

// setTensors fills a network from the arrays of a file. Their names may have something before them, the same for all: "model/", as a
// nested dict gives, or "module.", as parallel modules do.
func setTensors[T nn.Float](net *nn.Network[T], file array.File) error {
	infos := map[string]array.Info{}
	var names []string
	for _, info := range file.Arrays() {
		infos[info.Name] = info
		names = append(names, info.Name)
	}
	tensors := net.Tensors()
	prefix := ""
	if _, ok := infos[tensors[0].Name]; !ok {
		for _, name := range names {
			if p, ok := strings.CutSuffix(name, tensors[0].Name); ok && (strings.HasSuffix(p, "/") || strings.HasSuffix(p, ".")) {
				prefix = p
				break
			}
		}
	}
	for _, t := range tensors {
		name := prefix + t.Name
		info, ok := infos[name]
		if !ok {
			if t.Kind == nn.Statistic && t.Len() == 1 && len(t.Shape) == 0 {
				continue // the number of batches counts for nothing but itself
			}
			return array.Errorf(array.NotFound, name, "the network has it, the file does not%s", suggest.Hint(name, names))
		}
		n := 1
		same := len(info.Shape) == len(t.Shape)
		for i, axis := range info.Shape {
			n *= axis
			same = same && axis == t.Shape[i]
		}
		if !same && !(n == 1 && t.Len() == 1) {
			return array.Errorf(array.Mismatch, name, "shape %v, the network's is %v", info.Shape, t.Shape)
		}
		a, err := file.Open(name)
		if err != nil {
			return err
		}
		values := make([]T, n)
		if err := read(a, values); err != nil {
			return err
		}
		if err := t.Set(values); err != nil {
			return err
		}
	}
	return nil
}

// read reads a whole array.
func read[T nn.Float](a array.Array, to []T) error {
	switch to := any(to).(type) {
	case []float32:
		return a.Float32s(to, 0)
	case []float64:
		return a.Float64s(to, 0)
	}
	return nil
}

// weights are the tensors of a network as PyTorch's state_dict has them.
func weights[T nn.Float](net *nn.Network[T]) ([]safetensors.Values, error) {
	var out []safetensors.Values
	for _, t := range net.Tensors() {
		v := make([]T, t.Len())
		if err := t.Get(v); err != nil {
			return nil, err
		}
		if t.Kind == nn.Statistic && len(t.Shape) == 0 { // num_batches_tracked
			out = append(out, safetensors.Values{Name: t.Name, Ints: []int64{int64(v[0])}})
			continue
		}
		out = append(out, tensorValues(t.Name, t.Shape, v))
	}
	return out, nil
}
