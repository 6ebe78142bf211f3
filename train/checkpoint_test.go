package train

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/features/npz"
	"github.com/collapsar/collapsar/internal/atomicfile"
	"github.com/collapsar/collapsar/nn"
)

// TestMain lets the test binary be a run that can be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("COLLAPSAR_TEST_RUN"); dir != "" {
		_, err := os.Stat(filepath.Join(dir, "run.json"))
		if _, err := Run(context.Background(), small(), Options{Dir: dir, Resume: err == nil}); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A run that is killed at any moment, while files are written too, goes on to the same bits.
func TestKill(t *testing.T) {
	whole, parts := t.TempDir(), t.TempDir()
	train(t, t.Context(), small(), Options{Dir: whole})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for wait := 20 * time.Millisecond; ; wait += 29 * time.Millisecond {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "COLLAPSAR_TEST_RUN="+parts)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(wait, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			break
		}
		if cmd.ProcessState.Exited() {
			t.Fatalf("after %d kills: %s", kills, &stderr)
		}
		if kills++; kills > 400 {
			t.Fatal("it never ends")
		}
	}
	t.Logf("killed %d times", kills)
	if kills == 0 {
		t.Error("never killed")
	}
	same(t, whole, parts)
}

// A disk that is full in the middle of a checkpoint leaves the one before, from which the run goes on when there is room.
func TestFullDisk(t *testing.T) {
	c := small()
	whole, dir := t.TempDir(), t.TempDir()
	train(t, t.Context(), c, Options{Dir: whole})
	full := errors.New("no space left on device")
	set, err := c.Data.open(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: dir}
	r, err := newRun[float32](&c, &o, set, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.folder, err = openFolder(&c, &o, 0, dataInfo(set), r.modelInfo()); err != nil {
		t.Fatal(err)
	}
	writes := 0
	r.folder.write = func(path string, fill func(io.Writer) error) error {
		if writes++; writes < 12 {
			return atomicfile.Write(path, fill)
		}
		return atomicfile.Write(path, func(w io.Writer) error { return fill(&limited{w, 3000, full}) })
	}
	err = r.goOn(t.Context())
	if !errors.Is(err, full) || !strings.Contains(err.Error(), "the last good checkpoint, after step") {
		t.Fatalf("%v", err)
	}
	r.folder.close()
	if list, _ := filepath.Glob(filepath.Join(dir, "checkpoints", ".*")); list != nil {
		t.Errorf("%v is left behind", list)
	}
	if _, err := Run(t.Context(), c, Options{Dir: dir, Resume: true}); err != nil {
		t.Fatal(err)
	}
	same(t, whole, dir)
}

// limited is a writer with room for so many bytes.
type limited struct {
	w    io.Writer
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		n, _ := l.w.Write(p[:l.room])
		l.room = 0
		return n, l.err
	}
	l.room -= len(p)
	return l.w.Write(p)
}

// A loss that is not a number stops the run; the last good checkpoint is named, and is good.
func TestDivergence(t *testing.T) {
	c := small()
	c.Model.Norm, c.Optimizer.LR = "none", 1e5
	dir := t.TempDir()
	_, err := Run(t.Context(), c, Options{Dir: dir})
	var d *DivergedError
	if !errors.As(err, &d) || finite(d.Loss) || d.Step < 1 || !strings.Contains(err.Error(), "try a smaller learning rate") {
		t.Fatalf("%v", err)
	}
	var record struct{ Status string }
	data, _ := os.ReadFile(filepath.Join(dir, "run.json"))
	if err := json.Unmarshal(data, &record); err != nil || record.Status != diverged {
		t.Errorf("status %q, %v", record.Status, err)
	}
	if d.Checkpoint == "" {
		t.Fatal("no checkpoint is named")
	}
	set, err := c.Data.open(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	net, err := network[float32](&c.Model, set, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := loadWeights(net, d.Checkpoint); err != nil {
		t.Fatal(err)
	}
	for _, v := range net.Params {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			t.Fatalf("the checkpoint has %v", v)
		}
	}
}

// A run can begin with the weights of another, and PyTorch reads them by its own names and shapes and computes the same logits.
func TestWeights(t *testing.T) {
	c := small()
	c.Model = Model{Name: "lenet", Norm: "batch", Head: nn.HeadSpec{Name: "linear"}, Init: "pytorch"}
	c.Epochs = 2
	dir := t.TempDir()
	c.Checkpoint.Every = 1
	first := train(t, t.Context(), c, Options{Dir: dir})
	path := filepath.Join(dir, "weights.safetensors")
	next := c
	next.Model.InitFrom = path
	r := train(t, t.Context(), next, Options{})
	if got, want := r.Runs[0].Reports[0].Results[0].Metrics["nc1"], first.Runs[0].Reports[len(first.Runs[0].Reports)-1].Results[0].Metrics["nc1"]; got.Number != want.Number || got.Reason != want.Reason {
		t.Errorf("nc1 is %v at the start, %v at the end of the run before", got.Number, want.Number)
	}
	for _, name := range []string{"epoch_00001", "epoch_00002", "best", "last"} {
		next.Model.InitFrom = filepath.Join(dir, "checkpoints", name+".safetensors")
		set, _ := c.Data.open(0, nil)
		if _, err := network[float32](&next.Model, set, 0, 1); err != nil {
			t.Error(err)
		}
	}
	next.Model.Name = "cnn"
	next.Model.InitFrom = path
	if _, err := Run(t.Context(), next, Options{}); err == nil || !strings.Contains(err.Error(), "conv1.weight: length_mismatch: shape [6 1 5 5], the network's is [32 1 3 3]") {
		t.Errorf("another network: %v", err)
	}

	if testing.Short() {
		t.Skip("PyTorch takes its time to begin")
	}
	python, err := filepath.Abs("../bench/.venv/bin/python")
	if _, e := os.Stat(python); err != nil || e != nil {
		t.Skip("no PyTorch: bench/setup.sh installs it")
	}
	export, images := filepath.Join(dir, "features.npz"), filepath.Join(dir, "images.npz")
	c.Measure.Layers = []string{"features"}
	set, err := c.Data.open(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLoaders[float32](set, &c, 0, set.Train.Rows)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, set.Train.Rows*set.Shape.Size())
	l.fixed.Fill(x, nil, nil, 0, 0)
	if err := atomicfile.Write(images, func(w io.Writer) error {
		return npz.Write(w, npz.Values{Name: "x", Shape: []int{set.Train.Rows, set.Shape.Height, set.Shape.Width, set.Shape.Channels}, Singles: x})
	}); err != nil {
		t.Fatal(err)
	}
	train(t, t.Context(), c, Options{Export: export, Dir: filepath.Join(dir, "again")})
	path = filepath.Join(dir, "again", "weights.safetensors")
	out, err := exec.Command(python, "testdata/check_weights.py", path, images, export, filepath.Join(dir, "from_torch.pt")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	next = c
	next.Model.InitFrom = filepath.Join(dir, "from_torch.pt")
	a, err := network[float32](&next.Model, set, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	next.Model.InitFrom = path
	b, err := network[float32](&next.Model, set, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Params, b.Params) || !slices.Equal(a.Stats, b.Stats) {
		t.Error("a state_dict saved by PyTorch is not read as it was written")
	}
}

// What is exported gives the numbers that were measured on the way.
func TestExport(t *testing.T) {
	for _, name := range []string{"features.npz", "features.safetensors"} {
		path := filepath.Join(t.TempDir(), name)
		c := small()
		c.Epochs = 3
		r := train(t, t.Context(), c, Options{Export: path})
		set, err := features.Open(path, features.Options{})
		if err != nil {
			t.Fatal(err)
		}
		report, err := collapse.Measure(t.Context(), set, collapse.Options{})
		if err != nil {
			t.Fatal(err)
		}
		set.Close()
		want := r.Runs[0].Reports[len(r.Runs[0].Reports)-1].Results
		if len(report.Results) != len(want) || len(want) < 2 {
			t.Fatalf("%d layers, wanted %d", len(report.Results), len(want))
		}
		for i, got := range report.Results {
			for id, v := range want[i].Metrics {
				if g := got.Metrics[id]; g.Number != v.Number || g.Reason != v.Reason {
					t.Errorf("%s of %s: %v, wanted %v", id, got.Layer, g, v)
				}
			}
			if _, bare, _ := strings.Cut(got.Layer, "_"); got.Layer != want[i].Layer && bare != want[i].Layer {
				t.Errorf("layer %s, wanted %s", got.Layer, want[i].Layer)
			}
		}
	}
	c := small()
	if _, err := Run(t.Context(), c, Options{Export: "features.csv"}); err == nil || !strings.Contains(err.Error(), ".npz and .safetensors") {
		t.Errorf("%v", err)
	}
}

// Several seeds are runs of one result, each in its folder; a run that has one is not written over.
func TestSeveralSeeds(t *testing.T) {
	c := small()
	c.Seeds, c.Epochs = Seeds{0, 3}, 3
	dir := t.TempDir()
	r := train(t, t.Context(), c, Options{Dir: dir})
	if len(r.Runs) != 2 || r.Replicates == nil || r.Replicates[0].Runs != 2 {
		t.Fatalf("%+v", r)
	}
	alone := c
	alone.Seeds = Seeds{3}
	one := train(t, t.Context(), alone, Options{})
	last := func(r *RunResult) float64 { return r.Reports[len(r.Reports)-1].Results[0].Metrics["nc1"].Number }
	if last(one.Runs[0]) != last(r.Runs[1]) || last(r.Runs[0]) == last(r.Runs[1]) {
		t.Errorf("nc1 %v alone, %v and %v together", last(one.Runs[0]), last(r.Runs[0]), last(r.Runs[1]))
	}
	before, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), c, Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "has a run already") {
		t.Errorf("%v", err)
	}
	train(t, t.Context(), c, Options{Dir: dir, Resume: true}) // everything is done: measured again, to the same
	if after, _ := os.ReadFile(filepath.Join(dir, "run.json")); string(before) != string(after) {
		t.Error("run.json differs after a resumption that had nothing to do")
	}
	changed := c
	changed.Optimizer.LR = 0.1
	if _, err := Run(t.Context(), changed, Options{Dir: dir, Resume: true}); err == nil || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("%v", err)
	}
}

// A folder is one run's at a time, and what a killed one had half written goes.
func TestFolderIsLocked(t *testing.T) {
	c := small()
	c.Epochs = 1
	dir := t.TempDir()
	release, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), c, Options{Dir: dir}); runtime.GOOS != "windows" && (err == nil || err.Error() != dir+": a run is under way in this folder") {
		t.Errorf("%v", err)
	}
	release()
	half := filepath.Join(dir, ".collapsar-123")
	if err := os.WriteFile(half, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	train(t, t.Context(), c, Options{Dir: dir, Overwrite: true})
	if _, err := os.Stat(half); err == nil {
		t.Error("what was half written is still there")
	}
}

// That a folder cannot take what is to be exported, or has a run, is found before anything is read or trained.
func TestFoundEarly(t *testing.T) {
	c := small()
	c.Data.Source = "not there"
	dir := t.TempDir()
	if _, err := Run(t.Context(), c, Options{Export: filepath.Join(dir, "none", "f.npz")}); err == nil || !strings.Contains(err.Error(), "f.npz: its folder is not there") {
		t.Errorf("%v", err)
	}
	c.Seeds = Seeds{0, 1}
	if _, err := Run(t.Context(), c, Options{Dir: filepath.Join(dir, "run")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if list, _ := os.ReadDir(dir); len(list) > 0 {
		t.Errorf("%v is left by a run without data", list)
	}
	if err := os.WriteFile(filepath.Join(dir, "run.json"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), c, Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "has a run already") {
		t.Errorf("%v", err)
	}
}
