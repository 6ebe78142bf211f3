package collapse

import (
	"context"
	"os"
	"testing"

	"github.com/collapsar/collapsar/features"
)

// BenchmarkFile measures the file named by COLLAPSAR_BENCH_FILE, from opening to result.
func BenchmarkFile(b *testing.B) {
	path := os.Getenv("COLLAPSAR_BENCH_FILE")
	if path == "" {
		b.Skip("COLLAPSAR_BENCH_FILE names no file")
	}
	for b.Loop() {
		set, err := features.Open(path, features.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Measure(context.Background(), set, Options{}); err != nil {
			b.Fatal(err)
		}
		set.Close()
	}
}
