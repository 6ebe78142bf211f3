package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/internal/atomicfile"
)

// A writer that fails leaves the old file, and nothing else.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	text := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			io.WriteString(w, s)
			return err
		}
	}
	full := errors.New("no space left on device")
	long := strings.Repeat("x", 1<<18)
	for _, c := range []struct {
		text string
		err  error
		want string
	}{{"one", nil, "one"}, {long, nil, long}, {"half", full, long}, {long[1:], full, long}, {"", nil, ""}} {
		if err := atomicfile.Write(path, text(c.text, c.err)); !errors.Is(err, c.err) {
			t.Fatalf("%v, wanted %v", err, c.err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.want {
			t.Errorf("%d bytes, %v, wanted %d", len(got), err, len(c.want))
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%d files are left, wanted one", len(list))
	}
	none := filepath.Join(dir, "none", "file")
	if err := atomicfile.Write(none, text("x", nil)); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), none) {
		t.Errorf("%v, expected to name %s", err, none)
	}
}
