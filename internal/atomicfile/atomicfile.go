// Package atomicfile writes files whole or not at all: to a temporary file beside the final one, forced to the disk, then
// renamed. Whoever opens the final name finds the old file or the new one, whatever happens in between: a kill, a full disk, a
// loss of power.
package atomicfile

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
)

// Pattern is that of the names of temporary files. A process that is killed leaves one behind.
const Pattern = ".collapsar-*"

// Write writes the file that fill gives. On an error the file that was there before is still there, and nothing is left behind.
func Write(path string, fill func(w io.Writer) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, Pattern)
	if err != nil {
		return named(path, err)
	}
	defer os.Remove(f.Name()) // gone where it was renamed
	b := bufio.NewWriterSize(f, 1<<16)
	err = fill(b)
	if err == nil {
		err = b.Flush()
	}
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		syncDir(dir)
	}
	return named(path, err)
}

// named is a complaint of the system about a temporary file as one about the file that it would have become.
func named(path string, err error) error {
	if e, ok := err.(*os.PathError); ok {
		return &os.PathError{Op: "write", Path: path, Err: e.Err}
	}
	return err
}

// syncDir forces the new name to the disk. Systems that cannot open a folder, or not sync it, do so by themselves or not at all.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
