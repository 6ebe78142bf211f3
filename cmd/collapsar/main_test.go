package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"collapsar": main})
}

// Every script in testdata/script runs the real command in a folder that holds the files of fixtures.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               func(e *testscript.Env) error { return fixtures(e.WorkDir) },
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":    status,
			"json":      jsonPath,
			"interrupt": interrupt,
			"sparse":    sparse,
		},
	})
}

// status N COMMAND... runs a command that has to end with status N.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			ts.Check(err)
		}
		got = e.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("status %d, want %s", got, args[0])
	}
}

// json FILE PATH [WANT] takes a value out of a file, by keys and indices with dots between. It has to be as wanted, or, with
// "! json", not to be there.
func jsonPath(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: json file path [want]")
	}
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	if d.More() {
		ts.Fatalf("more than one document")
	}
	there := true
	for _, key := range strings.Split(args[1], ".") {
		switch in := v.(type) {
		case map[string]any:
			v, there = in[key]
		case []any:
			i, err := strconv.Atoi(key)
			there = err == nil && i < len(in)
			if there {
				v = in[i]
			}
		default:
			there = false
		}
		if !there {
			break
		}
	}
	if there == neg {
		ts.Fatalf("%s: there is %v", args[1], v)
	}
	if len(args) == 3 && fmt.Sprint(v) != args[2] {
		ts.Fatalf("%s is %v, want %s", args[1], v, args[2])
	}
}

// interrupt COMMAND... interrupts a command a moment after its start. It has to end with status 1 within a second, and say only
// that it was interrupted.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	var path string
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if p := filepath.Join(dir, args[0]); path == "" && isFile(p) {
			path = p
		}
	}
	var took time.Duration
	for range 3 { // a machine may have other things to do
		var stdout, stderr strings.Builder
		cmd := exec.Command(path, args[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &stdout, &stderr
		ts.Check(cmd.Start())
		time.Sleep(500 * time.Millisecond)
		begin := time.Now()
		ts.Check(cmd.Process.Signal(syscall.SIGINT))
		cmd.Wait()
		took = time.Since(begin)
		if code := cmd.ProcessState.ExitCode(); code != 1 {
			ts.Fatalf("status %d", code)
		}
		if stdout.String() != "" || stderr.String() != "collapsar: interrupted\n" {
			ts.Fatalf("stdout %q, stderr %q", &stdout, &stderr)
		}
		if took < time.Second {
			return
		}
	}
	ts.Fatalf("ended %v after the signal", took)
}

func isFile(path string) bool {
	s, err := os.Stat(path)
	return err == nil && s.Mode().IsRegular()
}

// sparse FILE N... writes an array of zeros that takes no room on the disk.
func sparse(ts *testscript.TestScript, neg bool, args []string) {
	a, bytes := npy{data: []float64{}}, int64(8)
	for _, arg := range args[1:] {
		n, err := strconv.Atoi(arg)
		ts.Check(err)
		a.shape = append(a.shape, n)
		bytes *= int64(n)
	}
	path, header := ts.MkAbs(args[0]), a.header()
	ts.Check(os.WriteFile(path, header, 0o666))
	ts.Check(os.Truncate(path, int64(len(header))+bytes))
}
