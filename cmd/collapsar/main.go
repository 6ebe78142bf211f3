// Command collapsar measures neural collapse in files of features.
//
//	collapsar measure run.npz
//	collapsar measure checkpoints/ --json > run.json
//	collapsar measure run.npz --threshold 'nc1<0.1'
//	collapsar compare before.npz after.npz
//	collapsar metrics nc1
//
// The exit status is 0 when all is well, 1 when something failed or was interrupted, 2 for wrong usage,
// and 99 when a threshold was not met.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// The exit statuses.
const (
	statusFine      = 0
	statusFailed    = 1
	statusUsage     = 2
	statusThreshold = 99
)

func main() {
	// The large heaps are a few tables of numbers, cheap to collect and dear to hold twice; small ones are not worth collecting.
	// What is never touched takes no memory, but puts off the first collection to 20 MiB.
	ballast := make([]byte, 16<<20)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(28)
	}
	u := newUI(os.Stdout, os.Stderr)
	status := run(u, os.Args[1:])
	runtime.KeepAlive(ballast)
	os.Exit(status)
}

// run is the whole program but for the exit. What it means to print on standard output it prints at the end and in one
// piece, or not at all.
func run(u *ui, args []string) (status int) {
	defer func() {
		if p := recover(); p != nil {
			u.line.Load().Stop()
			u.errorLine(fmt.Errorf("internal: %v; this is a mistake in collapsar, please report it", p))
			u.stderr.Write(debug.Stack())
			status = statusFailed
		}
	}()
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	leave := context.AfterFunc(ctx, func() {
		release() // a second signal kills
		time.Sleep(max(900*time.Millisecond, time.Duration(u.grace.Load())))
		u.line.Load().Stop()
		u.errorLine(errInterrupted)
		os.Exit(statusFailed)
	})
	err := execute(ctx, u, args)
	if interrupted := ctx.Err() != nil; !leave() && interrupted || errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	release()
	u.line.Load().Stop()

	switch {
	case err == nil, errors.Is(err, errThreshold), errors.Is(err, errPartial):
		if e := u.flush(); e != nil {
			err = e
		}
	}
	var usage usageError
	switch {
	case err == nil:
		return statusFine
	case errors.Is(err, errThreshold):
		return statusThreshold
	case errors.Is(err, errPartial), errors.Is(err, errReported):
		return statusFailed
	case errors.As(err, &usage):
		u.errorLine(err)
		return statusUsage
	}
	u.errorLine(err)
	return statusFailed
}

var (
	errInterrupted = errors.New("interrupted")
	errThreshold   = errors.New("a threshold is not met")    // the line is printed already
	errPartial     = errors.New("some files failed")         // so are their lines
	errReported    = errors.New("failed, and nothing to do") // and there is nothing to print
)

// usageError says what is wrong with the command line.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }
