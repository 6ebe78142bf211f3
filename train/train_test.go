package train

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

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
