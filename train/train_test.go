package train

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/nn"
)

// small is a training of some seconds: a network on GeoMNIST, past zero error.
func small() Config {
	c := Default()
	c.Data.Source = "geomnist:train=40,test=10"
	c.Model.Width, c.Model.Depth = 24, 2
	c.Epochs, c.Batch = 12, 16
	c.Checkpoint.Seconds = 0
	return c
}

func train(t *testing.T, ctx context.Context, c Config, o Options) *Result {
	t.Helper()
	r, err := Run(ctx, c, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// contents reads the files of a run that have to be the same bytes.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{"metrics.jsonl", "epochs.csv", "weights.safetensors", "checkpoints/last.safetensors", "checkpoints/best.safetensors", "run.json"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	return files
}

// same compares two runs byte by byte; where they lie differs, and stands in the results.
func same(t *testing.T, a, b string) {
	t.Helper()
	x, y := contents(t, a), contents(t, b)
	for name, data := range x {
		data = bytes.ReplaceAll(data, []byte(a), []byte("DIR"))
		other := bytes.ReplaceAll(y[name], []byte(b), []byte("DIR"))
		if !bytes.Equal(data, other) {
			t.Errorf("%s differs: %d and %d bytes", name, len(data), len(other))
		}
	}
}

// optimizers are configurations in which every part of the state counts.
func optimizers() map[string]func(*Config) {
	return map[string]func(*Config){
		"sgd": func(c *Config) { c.Optimizer.Nesterov = true },
		"adamw": func(c *Config) {
			c.Optimizer.Name, c.Optimizer.LR, c.Schedule.Name = "adamw", 2e-3, "cosine"
			c.Data.Crop, c.Data.Flip = 1, true
		},
		"lbfgs": func(c *Config) {
			c.Optimizer.Name, c.Optimizer.Iterations, c.Batch, c.DType = "lbfgs", 4, 60, "float64"
		},
		"triangle": func(c *Config) {
			c.Schedule.Name = "triangle"
			c.Data.Sampler = "oversample"
			c.Data.RandomLabels = 0.2
		},
	}
}

// A run that is stopped again and again and resumed has the bits of one that is not, wherever it was stopped.
func TestResume(t *testing.T) {
	for name, set := range optimizers() {
		t.Run(name, func(t *testing.T) {
			c := small()
			set(&c)
			whole, parts := t.TempDir(), t.TempDir()
			train(t, t.Context(), c, Options{Dir: whole})
			stops := 0
			for after := 1; ; after = after*2%11 + 1 {
				ctx, cancel := context.WithCancel(t.Context())
				steps := 0
				_, err := Run(ctx, c, Options{Dir: parts, Resume: stops > 0, Progress: func(Progress) {
					if steps++; steps == after {
						cancel()
					}
				}})
				cancel()
				if err == nil {
					break
				}
				if err != context.Canceled {
					t.Fatal(err)
				}
				stops++
			}
			if stops < 5 {
				t.Fatalf("stopped %d times only", stops)
			}
			same(t, whole, parts)
		})
	}
}

// The numbers do not depend on the number of workers.
func TestWorkers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	c := small()
	c.Model = Model{Name: "cnn", Width: 4, Head: nn.HeadSpec{Name: "linear"}, Init: "pytorch"}
	c.Epochs = 2
	var dirs []string
	for _, n := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(n)
		dirs = append(dirs, t.TempDir())
		train(t, t.Context(), c, Options{Dir: dirs[len(dirs)-1]})
	}
	same(t, dirs[0], dirs[1])
	same(t, dirs[0], dirs[2])
}

// The terminal phase is noticed in the first epoch without error, and measured.
func TestTerminalPhase(t *testing.T) {
	c := small()
	var measured []int
	var lines []string
	r := train(t, t.Context(), c, Options{Log: func(line string) { lines = append(lines, line) }})
	run := r.Runs[0]
	if run.ZeroErrorEpoch == nil || run.Train.Error != 0 || run.Train.Wrong != 0 {
		t.Fatalf("no epoch without error: %+v\n%q", run.Train, lines)
	}
	measured = run.MeasuredEpochs
	for _, want := range []int{0, 1, 2, 3, 5, 7, 10, 12, *run.ZeroErrorEpoch} {
		if !slices.Contains(measured, want) {
			t.Errorf("epoch %d is not among those measured, %v", want, measured)
		}
	}
	for i, report := range run.Reports {
		v := report.Results[len(report.Results)-1].Metrics["classifier_error"]
		if past := measured[i] == *run.ZeroErrorEpoch; past != (v.Number == 0 && !slices.ContainsFunc(measured[:i], func(e int) bool { return e == *run.ZeroErrorEpoch })) {
			t.Errorf("epoch %d: classifier_error %v, the first without error is %d", measured[i], v.Number, *run.ZeroErrorEpoch)
		}
	}
}

// Of a step imbalance the small classes are known whatever the ratio, and errors are counted by class: both agree with the features
// and the classifier that were exported.
func TestImbalance(t *testing.T) {
	c := small()
	c.Data.Source = "geomnist:train=40,test=10,classes=4"
	c.Data.PerClass, c.Data.Majority, c.Data.Ratio = 40, 2, 1
	c.Epochs = 1
	c.Optimizer.LR = 1e-3
	path := filepath.Join(t.TempDir(), "features.npz")
	run := train(t, t.Context(), c, Options{Export: path}).Runs[0]
	set, err := features.Open(path, features.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	report, err := collapse.Measure(t.Context(), set, collapse.Options{Minority: []int64{2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	end := len(report.Results) - 1
	got, want := run.Reports[len(run.Reports)-1].Results[end].Metrics["minority_cos_w"], report.Results[end].Metrics["minority_cos_w"]
	if got.Reason != "" || got.Number != want.Number {
		t.Errorf("minority_cos_w %v, wanted %v", got, want)
	}

	layer, head := set.Layers[len(set.Layers)-1], set.Classifier
	for _, f := range []struct {
		split *features.Split
		e     *Evaluation
		rows  int
	}{{layer.Train, run.Train, 40}, {layer.Test, run.Test, 10}} {
		wrong := make([]int, 4)
		for batch, err := range f.split.Batches(t.Context(), 64) {
			if err != nil {
				t.Fatal(err)
			}
			for i := range batch.Rows {
				best, most := 0, math.Inf(-1)
				for k := range 4 {
					z := head.Bias[k]
					for j := range batch.Dim {
						z += head.Weights[k*batch.Dim+j] * float64(batch.Float32[i*batch.Dim+j])
					}
					if z > most {
						best, most = k, z
					}
				}
				if y := int(batch.Labels[i]); best != y {
					wrong[y]++
				}
			}
		}
		if f.e.Wrong == 0 || !slices.Equal(f.e.ClassWrong, wrong) || !slices.Equal(f.e.ClassRows, slices.Repeat([]int{f.rows}, 4)) {
			t.Errorf("wrong %v of %v rows, wanted %v of %d each", f.e.ClassWrong, f.e.ClassRows, wrong, f.rows)
		}
	}
}

// One class is no classification.
func TestOneClass(t *testing.T) {
	c := Default()
	c.Data.Source, c.Data.Classes = "geomnist:train=4,test=2", []int{1}
	if _, err := Run(t.Context(), c, Options{}); err == nil || !strings.Contains(err.Error(), "has one class, a classifier needs two or more") {
		t.Errorf("%v", err)
	}
}

// A pattern that no layer has is a mistake, with the layers that there are.
func TestLayersOfNoName(t *testing.T) {
	c := Default()
	c.Data.Source, c.Model.Name, c.Measure.Layers = "geomnist:train=4,test=2", "lenet", []string{"features", "conv3"}
	_, err := Run(t.Context(), c, Options{})
	if want := `config: measure.layers: "conv3" matches none of conv1, conv2, fc1, features; did you mean conv1?`; err == nil || err.Error() != want {
		t.Errorf("%v, wanted %s", err, want)
	}
}
