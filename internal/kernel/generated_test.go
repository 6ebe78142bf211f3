package kernel

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:generate sh -c "cd gen && go run . -dir .."

// TestGeneratedFilesAreCurrent runs the generator and compares its files with those that are checked
// in.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to run the generator with")
	}
	run := func(arguments ...string) ([]byte, error) {
		c := exec.Command(tool, arguments...)
		c.Dir = "gen"
		// The generator runs here, whatever the tests run on.
		c.Env = append(os.Environ(), "GOARCH=", "GOOS=", "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
		return c.CombinedOutput()
	}
	if out, err := run("mod", "download"); err != nil {
		t.Skipf("the generator's modules are neither in the cache nor to be had: %s", out)
	}
	dir := t.TempDir()
	if out, err := run("run", ".", "-dir", dir); err != nil {
		t.Fatalf("the generator fails: %v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the generator wrote nothing (%v)", err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes: run go generate ./internal/kernel", name)
		}
	}
}
