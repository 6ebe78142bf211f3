package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/internal/atomicfile"
	"github.com/collapsar/collapsar/internal/kernel"
)

// schema is that of run.json, and of metrics.jsonl.
const schema = "collapsar/1"

// A record is run.json.
type record struct {
	Schema     string                `json:"schema"`
	Command    string                `json:"command"` // "train"
	Version    string                `json:"version"`
	Go         string                `json:"go"`
	Kernels    string                `json:"kernels"` // the level of instructions; bits depend on it
	Status     string                `json:"status"`  // running, stopped, diverged, failed or finished
	Seed       *uint64               `json:"seed,omitempty"`
	Config     *Config               `json:"config"`
	Data       DataInfo              `json:"data"`
	Model      ModelInfo             `json:"model"`
	Result     *resultJSON           `json:"result"`
	Runs       []runJSON             `json:"runs,omitempty"`
	Replicates []collapse.Replicated `json:"replicates,omitempty"`
}

type resultJSON struct {
	Epochs    int                `json:"epochs"`
	Steps     int                `json:"steps"`
	ZeroError *int               `json:"zero_error_epoch"`
	Train     *Evaluation        `json:"train"`
	Test      *Evaluation        `json:"test"`
	Results   []*collapse.Result `json:"results"` // of the last measurement
}

type runJSON struct {
	Seed   uint64     `json:"seed"`
	Folder string     `json:"folder"`
	Result resultJSON `json:"result"`
}

func newRecord(c *Config, o *Options) record {
	return record{Schema: schema, Command: "train", Version: o.Version, Go: runtime.Version(), Kernels: kernel.Level(), Status: running, Config: c}
}

func (r *RunResult) json() *resultJSON {
	out := &resultJSON{Epochs: r.Epochs, Steps: r.Steps, ZeroError: r.ZeroErrorEpoch, Train: r.Train, Test: r.Test}
	if n := len(r.Reports); n > 0 {
		out.Results = r.Reports[n-1].Results
	}
	return out
}

func (r *record) write(dir string) error {
	return atomicfile.Write(filepath.Join(dir, "run.json"), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		return e.Encode(r)
	})
}

// readRecord reads the parts of run.json that a resumed run is compared with.
func readRecord(dir string) (*record, error) {
	data, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		return nil, err
	}
	var r struct {
		Schema, Version, Status, Kernels string
		Data                             DataInfo
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "run.json"), err)
	}
	if r.Schema != schema {
		return nil, fmt.Errorf("%s: schema %q, expected %q", filepath.Join(dir, "run.json"), r.Schema, schema)
	}
	return &record{Schema: r.Schema, Version: r.Version, Status: r.Status, Kernels: r.Kernels, Data: r.Data}, nil
}

// ConfigOf is the configuration of the run in a folder.
func ConfigOf(dir string) (Config, error) {
	path := filepath.Join(dir, "config.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := ReadConfig(data)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// hasRun reports whether there is a run in the folder.
func (o *Options) hasRun() bool {
	_, err := os.Stat(filepath.Join(o.Dir, "run.json"))
	return o.Dir != "" && err == nil
}

// vacant refuses a folder with a run that is neither to be resumed nor to be overwritten.
func (o *Options) vacant() error {
	if !o.Resume && !o.Overwrite && o.hasRun() {
		return fmt.Errorf("%s: has a run already: resume it, overwrite it, or name another folder", o.Dir)
	}
	return nil
}

// prepare makes a run folder with its config.yaml, or checks that the one that is there may be used.
func prepare(c *Config, o *Options) error {
	if err := o.vacant(); err != nil {
		return err
	}
	if o.Overwrite && !o.Resume && o.hasRun() {
		for _, name := range []string{"run.json", "metrics.jsonl", "epochs.csv", "weights.safetensors", "checkpoints"} {
			if err := os.RemoveAll(filepath.Join(o.Dir, name)); err != nil {
				return err
			}
		}
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return err
	}
	text, err := c.YAML()
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(o.Dir, "config.yaml"), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// A top is the folder of several seeds.
type top struct {
	record
	dir string
}

func openTop(c *Config, o *Options) (*top, error) {
	if o.Dir == "" || len(c.Seeds) == 1 {
		return nil, nil
	}
	t := &top{newRecord(c, o), o.Dir}
	if err := prepare(c, o); err != nil {
		return nil, err
	}
	return t, t.write(t.dir)
}

func (t *top) finish(r *Result, status string) error {
	if t == nil {
		return nil
	}
	t.Status, t.Data, t.Model, t.Replicates = status, r.Data, r.Model, r.Replicates
	for _, run := range r.Runs {
		t.Runs = append(t.Runs, runJSON{run.Seed, filepath.Base(run.Dir), *run.json()})
	}
	return t.write(t.dir)
}

// A folder is where a run writes.
type folder struct {
	record
	dir       string
	resumed   bool   // there is a state to go on from
	savedStep int    // steps that the last state has; -1 for none
	release   func() // lets other runs in

	// write writes a file whole; tests let it fail.
	write func(path string, fill func(w io.Writer) error) error
}

func openFolder(c *Config, o *Options, seed uint64, data DataInfo, model ModelInfo) (*folder, error) {
	if o.Dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return nil, err
	}
	release, err := lock(o.Dir)
	if err != nil {
		return nil, err
	}
	f := &folder{record: newRecord(c, o), dir: o.Dir, savedStep: -1, write: atomicfile.Write, release: release}
	if err := f.open(c, o, seed, data, model); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// open makes the folder ready for a run, or for what is left of it.
func (f *folder) open(c *Config, o *Options, seed uint64, data DataInfo, model ModelInfo) error {
	f.Seed, f.Data, f.Model = &seed, data, model
	if o.Resume {
		old, err := readRecord(o.Dir)
		switch {
		case errors.Is(err, fs.ErrNotExist): // killed before it began, or a seed whose turn had not come
		case err != nil:
			return err
		case old.Data.Hash != data.Hash:
			return fmt.Errorf("%s: the data have changed since the run began: hash %.12s, it was %.12s", o.Dir, data.Hash, old.Data.Hash)
		case old.Kernels != f.Kernels && o.Log != nil:
			o.Log(fmt.Sprintf("the run began with %s kernels and goes on with %s: its last bits will differ from those of an uninterrupted run", old.Kernels, f.Kernels))
		}
		if _, err := os.Stat(f.last()); err == nil {
			f.resumed = true
		}
	}
	if err := prepare(c, o); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, "checkpoints"), 0o777); err != nil {
		return err
	}
	for _, dir := range []string{o.Dir, filepath.Join(o.Dir, "checkpoints")} { // what a run that was killed had half written
		left, _ := filepath.Glob(filepath.Join(dir, atomicfile.Pattern))
		for _, path := range left {
			os.Remove(path)
		}
	}
	if !f.resumed {
		for name, head := range map[string]string{"metrics.jsonl": "", "epochs.csv": epochHead} {
			if err := os.WriteFile(filepath.Join(o.Dir, name), []byte(head), 0o666); err != nil {
				return err
			}
		}
	}
	return f.record.write(f.dir)
}

// close lets other runs into the folder.
func (f *folder) close() {
	if f != nil {
		f.release()
	}
}

// last is the path of the last state.
func (f *folder) last() string { return filepath.Join(f.dir, "checkpoints", "last.safetensors") }

// append writes what an epoch gave behind epochs.csv and metrics.jsonl, forces it to the disk, and notes how long the files are now: a
// resumed run cuts off what was written after the state that it goes on from.
func (f *folder) append(at *position, epoch []byte, metrics func() ([]byte, error)) error {
	lines, err := metrics()
	if err != nil {
		return err
	}
	if at.Epochs == 0 {
		at.Epochs = int64(len(epochHead))
	}
	if at.Epochs, err = appendAt(filepath.Join(f.dir, "epochs.csv"), at.Epochs, epoch); err != nil {
		return err
	}
	at.Metrics, err = appendAt(filepath.Join(f.dir, "metrics.jsonl"), at.Metrics, lines)
	return err
}

// appendAt writes at a place of a file, which then ends there, and returns the new length.
func appendAt(path string, at int64, data []byte) (int64, error) {
	if len(data) == 0 {
		return at, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return at, err
	}
	_, err = f.WriteAt(data, at)
	if err == nil {
		err = f.Truncate(at + int64(len(data)))
	}
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return at, err
	}
	return at + int64(len(data)), nil
}

// cut shortens the files to what they were at a position.
func (f *folder) cut(at *position) error {
	for name, size := range map[string]int64{"epochs.csv": max(at.Epochs, int64(len(epochHead))), "metrics.jsonl": at.Metrics} {
		path := filepath.Join(f.dir, name)
		stat, err := os.Stat(path)
		if err != nil {
			return err
		}
		if stat.Size() < size {
			return fmt.Errorf("%s: %d bytes, the state was saved when there were %d", path, stat.Size(), size)
		}
		if err := os.Truncate(path, size); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) finish(r *RunResult, status string) error {
	f.Status, f.Result = status, r.json()
	return f.record.write(f.dir)
}
