package features

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
)

// A Step is one file of a trajectory.
type Step struct {
	Path    string
	Step    int  // the last number in the name of the file
	HasStep bool // false if there is none, or it does not fit an int
}

// Trajectory turns files, directories and patterns (filepath.Glob) into files in natural order,
// each once. Of a directory it takes the feature files: those with an extension of a known
// format, and others whose content is of one; not the directories below, nor hidden files.
func Trajectory(paths []string) ([]Step, error) {
	var all []string
	for _, path := range paths {
		stat, err := os.Stat(path)
		switch {
		case err == nil && stat.IsDir():
			found, err := featureFiles(path)
			if err != nil {
				return nil, array.InFile(err, path, "")
			}
			if len(found) == 0 {
				return nil, &Error{File: path, Kind: Empty, Message: "a directory without feature files"}
			}
			all = append(all, found...)
		case err != nil && strings.ContainsAny(path, "*?["):
			found, err := filepath.Glob(path)
			if err != nil {
				return nil, &Error{File: path, Kind: NotFound, Message: "not a pattern of files: " + err.Error(), Err: err}
			}
			found = slices.DeleteFunc(found, func(name string) bool {
				stat, err := os.Stat(name)
				return err == nil && stat.IsDir()
			})
			if len(found) == 0 {
				return nil, &Error{File: path, Kind: NotFound, Message: "no file of this pattern"}
			}
			all = append(all, found...)
		default: // a file that is not there is reported when it is opened, so that others are measured
			all = append(all, path)
		}
	}
	slices.SortFunc(all, natural)
	all = slices.Compact(all)
	steps := make([]Step, len(all))
	for i, path := range all {
		steps[i] = Step{Path: path}
		steps[i].Step, steps[i].HasStep = stepOf(path)
	}
	return steps, nil
}

var extensions = []string{".npy", ".npz", ".safetensors", ".pt", ".pth", ".parquet", ".csv", ".tsv"}

func featureFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if stat, err := os.Stat(name); err != nil || !stat.Mode().IsRegular() {
			continue
		}
		if slices.Contains(extensions, strings.ToLower(filepath.Ext(name))) || hasFeatures(name) {
			found = append(found, name)
		}
	}
	return found, nil
}

// hasFeatures reports whether the content is of a known format. Text is not asked: a table needs its
// extension, lest every README be one.
func hasFeatures(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 512)
	n, _ := io.ReadFull(f, head)
	found := identify(head[:n])
	return found != nil && found.name != "csv"
}

// stepOf is the last number in the name of a file, its extension aside.
func stepOf(path string) (int, bool) {
	name := filepath.Base(path)
	name = strings.TrimSuffix(name, filepath.Ext(name))
	end := strings.LastIndexAny(name, "0123456789") + 1
	if end == 0 {
		return 0, false
	}
	begin := end
	for begin > 0 && '0' <= name[begin-1] && name[begin-1] <= '9' {
		begin--
	}
	n, err := strconv.Atoi(name[begin:end])
	return n, err == nil
}

// natural compares names with their numbers by value: ckpt_9 comes before ckpt_10.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		n, m := digits(x), digits(y)
		if n == 0 || m == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		p, q := significant(x[:n]), significant(y[:m])
		if c := cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q)); c != 0 {
			return c
		}
		x, y = x[n:], y[m:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// digits is the length of the number that s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

func significant(number string) string {
	for len(number) > 1 && number[0] == '0' {
		number = number[1:]
	}
	return number
}
