package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/collapsar/collapsar/features/safetensors"
	"github.com/collapsar/collapsar/internal/array"
)

// A state file is a .safetensors file: the tensors of the network under PyTorch's names, the slices of the optimiser under
// "optimizer/", and in the metadata, as JSON, the position. It is replaced as a whole, so that there is always a good one.

// stateVersion is that of the state file; another one is refused.
const stateVersion = 1

type stateHead struct {
	Version int      `json:"version"`
	Seed    uint64   `json:"seed"`
	Config  string   `json:"config"` // as YAML
	Steps   int      `json:"optimizer_steps"`
	At      position `json:"at"`
}

const stateKey = "collapsar_state"

// save writes the state. A state with parameters that are not numbers is not written.
func (r *run[T]) save() error {
	if r.folder == nil {
		return nil
	}
	for _, v := range r.net.Params {
		if !finite(float64(v)) {
			return r.diverged(math.NaN())
		}
	}
	config, err := r.c.YAML()
	if err != nil {
		return err
	}
	head, err := json.Marshal(stateHead{stateVersion, r.seed, string(config), r.opt.steps, r.at})
	if err != nil {
		return err
	}
	tensors, err := weights(r.net)
	if err != nil {
		return err
	}
	tensors = append(tensors, r.opt.state()...)
	path := r.folder.last()
	if err := r.folder.write(path, func(w io.Writer) error {
		return safetensors.Write(w, map[string]string{"format": "pt", stateKey: string(head)}, tensors...)
	}); err != nil {
		return r.folder.notSaved(path, err)
	}
	r.saved, r.folder.savedStep = time.Now(), r.at.Step
	return nil
}

// notSaved says what is left when a checkpoint cannot be written.
func (f *folder) notSaved(path string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if f.savedStep < 0 {
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%s: %w; the last good checkpoint, after step %d, is still there: make room, and resume", path, err, f.savedStep)
}

// saveWeights writes the weights alone, in the checkpoints.
func (r *run[T]) saveWeights(name string) error {
	return r.folder.writeWeights(filepath.Join(r.folder.dir, "checkpoints", name+".safetensors"), r)
}

// A weighted has weights to write.
type weighted interface {
	weights() ([]safetensors.Values, error)
}

func (r *run[T]) weights() ([]safetensors.Values, error) { return weights(r.net) }

func (f *folder) writeWeights(path string, r weighted) error {
	tensors, err := r.weights()
	if err != nil {
		return err
	}
	if err := f.write(path, func(w io.Writer) error {
		return safetensors.Write(w, map[string]string{"format": "pt"}, tensors...)
	}); err != nil {
		return f.notSaved(path, err)
	}
	return nil
}

// resume reads the state of the folder.
func (r *run[T]) resume() error {
	path := r.folder.last()
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := r.readState(data); err != nil {
		return array.About(err, path)
	}
	r.saved, r.folder.savedStep = time.Now(), r.at.Step
	return r.folder.cut(&r.at)
}

func (r *run[T]) readState(data []byte) error {
	in, size := bytes.NewReader(data), int64(len(data))
	meta, err := safetensors.Metadata(in, size, array.Options{})
	if err != nil {
		return err
	}
	var head stateHead
	if err := json.Unmarshal([]byte(meta[stateKey]), &head); err != nil {
		return fmt.Errorf("not the state of a run: %w", err)
	}
	config, err := r.c.YAML()
	switch {
	case err != nil:
		return err
	case head.Version != stateVersion:
		return fmt.Errorf("a state of version %d, this program knows version %d", head.Version, stateVersion)
	case head.Seed != r.seed:
		return fmt.Errorf("the state of seed %d, not of %d", head.Seed, r.seed)
	case head.Config != string(config):
		return fmt.Errorf("the state of a run with another configuration; its own is in config.yaml")
	}
	file, err := safetensors.Open(in, size, array.Options{})
	if err != nil {
		return err
	}
	defer file.Close()
	if err := setTensors(r.net, file); err != nil {
		return err
	}
	for _, p := range r.opt.parts() {
		a, err := file.Open(p.name)
		if err != nil {
			return err
		}
		if n := a.Info().Rows(); n != len(p.v) {
			return array.Errorf(array.Mismatch, p.name, "%d numbers, expected %d", n, len(p.v))
		}
		if err := read(a, p.v); err != nil {
			return err
		}
	}
	r.opt.steps, r.at = head.Steps, head.At
	return nil
}
