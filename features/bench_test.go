package features

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
	ft "github.com/collapsar/collapsar/internal/formattest"
)

// BenchmarkRead reads files that lie in the page cache, in batches of 256 rows: by one goroutine,
// and by as many as there are processors where rows may be read at any place.
func BenchmarkRead(b *testing.B) {
	const rows, cols = 1 << 15, 512
	b.Chdir(b.TempDir())
	for _, c := range []struct {
		name  string
		dtype DType
		data  func(a ft.Array) []byte
	}{
		{"npy float32", array.Float32, func(a ft.Array) []byte { return ft.NPY(a, false, false) }},
		{"npy float64", array.Float64, func(a ft.Array) []byte { return ft.NPY(a, false, false) }},
		{"npy float16", array.Float16, func(a ft.Array) []byte { return ft.NPY(a, false, false) }},
		{"npy float32 big-endian", array.Float32, func(a ft.Array) []byte { return ft.NPY(a, true, false) }},
		{"npy float32 Fortran", array.Float32, func(a ft.Array) []byte { return ft.NPY(a, false, true) }},
		{"npz float32 stored", array.Float32, func(a ft.Array) []byte { return ft.NPZ(false, a) }},
		{"npz float32 deflated", array.Float32, func(a ft.Array) []byte { return ft.NPZ(true, a) }},
		{"safetensors bfloat16", array.BFloat16, func(a ft.Array) []byte { return ft.Safetensors(a) }},
	} {
		name := filepath.Clean(c.name)
		if err := os.WriteFile(name, c.data(ft.Matrix("features", c.dtype, rows, cols)), 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile("labels", ft.NPY(ints("", rows, 10), false, false), 0o600); err != nil {
			b.Fatal(err)
		}
		for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
			b.Run(fmt.Sprintf("%s/goroutines=%d", c.name, workers), func(b *testing.B) {
				b.SetBytes(rows * cols * int64(c.dtype.Size()))
				for b.Loop() {
					set, err := Open(name, Options{LabelsFile: "labels"})
					if err != nil {
						b.Fatal(err)
					}
					split := set.Layers[0].Train
					var wg sync.WaitGroup
					for g := range workers {
						wg.Go(func() {
							var batch Batch
							for lo := 256 * g; lo < rows; lo += 256 * workers {
								if err := split.Read(&batch, lo, 256); err != nil {
									b.Error(err)
								}
							}
						})
					}
					wg.Wait()
					set.Close()
				}
			})
		}
	}
}
