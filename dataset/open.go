package dataset

import (
	"os"
	"path/filepath"
	"strconv"
)

// Options are the settings of Open. The zero value is what is wanted most often.
type Options struct {
	Root     string                  // the folder in which names are looked for; "" is $COLLAPSAR_DATA and then ./data
	Stem     string                  // MNIST family: what the names of the training files begin with, "" is "train"
	Memory   int64                   // bytes that pixels may take; 0 is DefaultMemory
	Progress func(done, total int64) // called while images are decoded, by any goroutine; may be nil
}

// DefaultMemory is the budget when none is given: 8 GiB.
const DefaultMemory = 8 << 30

func (o Options) memory() int64 {
	if o.Memory > 0 {
		return o.Memory
	}
	return DefaultMemory
}

// Open reads a data set: a name, or the path of a file or folder.
func Open(source string, o Options) (*Set, error) {
	path := source
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		path = filepath.Join(o.Root, source)
	}
	set, err := openIDX(path, o)
	if err != nil {
		return nil, err
	}
	return set, set.Check()
}

// numbers is the names "0", "1", ... of k classes.
func numbers(k int) []string {
	names := make([]string, k)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}

// widen is bytes as labels.
func widen(bytes []byte) []int32 {
	labels := make([]int32, len(bytes))
	for i, b := range bytes {
		labels[i] = int32(b)
	}
	return labels
}
