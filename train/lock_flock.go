//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package train

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock keeps other runs out of a folder until release is called or the process is gone, however it ends. Where the file system has
// no locks it does nothing.
func lock(dir string) (release func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("%s: a run is under way in this folder", dir)
	}
	return func() { f.Close() }, nil
}
