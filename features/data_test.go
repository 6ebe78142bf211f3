package features

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// Feature dumps with known values lie beside the repository where it is developed.
func dumps(t *testing.T) []string {
	t.Helper()
	files, _ := filepath.Glob("../../shared/data/features/*.npz")
	if len(files) == 0 {
		t.Skip("no feature dumps beside the repository")
	}
	return files
}

// Every dump opens and reads twice alike, or is refused for the reason that its name says.
func TestDumps(t *testing.T) {
	refused := map[string]string{
		"edge_bad_labels.npz":      "labels: label_out_of_range: 2 of 32 rows: row 5 holds 4, row 11 holds -1; expected 0..3, for weights has 4 rows",
		"edge_length_mismatch.npz": "labels: length_mismatch: labels: 31 rows, features: 32",
	}
	for _, path := range dumps(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want := refused[filepath.Base(path)]
			set, err := Open(path, Options{})
			if err != nil || want != "" {
				if err == nil || !strings.HasSuffix(err.Error(), want) || want == "" {
					t.Fatalf("%v, expected %s", err, want)
				}
				return
			}
			defer set.Close()
			for _, l := range set.Layers {
				var sums [2]float64
				for pass := range sums {
					rows := 0
					for b, err := range l.Train.Batches(context.Background(), 37) {
						if err != nil {
							t.Fatal(err)
						}
						rows += b.Rows
						for _, x := range b.Float32 {
							sums[pass] += float64(x)
						}
						for _, x := range b.Float64 {
							sums[pass] += x
						}
					}
					if rows != l.Train.Rows {
						t.Errorf("%d rows, expected %d", rows, l.Train.Rows)
					}
				}
				if math.Float64bits(sums[0]) != math.Float64bits(sums[1]) {
					t.Errorf("sums of two passes: %v", sums)
				}
			}
		})
	}
}
