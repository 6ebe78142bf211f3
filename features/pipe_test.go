//go:build unix

package features

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe is not opened: that would wait for a writer.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, Unreadable) {
		t.Error(err)
	}
}
