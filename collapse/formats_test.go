package collapse_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/formattest"
)

// arrays is the data as a file's arrays, features of some type.
func (d *data) arrays(dtype array.DType) map[string]formattest.Array {
	whole := func(labels []int64) (out []float64) {
		for _, v := range labels {
			out = append(out, float64(v))
		}
		return out
	}
	out := map[string]formattest.Array{}
	put := func(name string, dtype array.DType, cols int, values []float64) {
		a := formattest.Array{Name: name, DType: dtype, Shape: []int{len(values) / cols, cols}, Values: values}
		if cols == 1 {
			a.Shape = a.Shape[:1]
		}
		out[name] = a
	}
	put("features", dtype, d.dim, d.rows)
	put("labels", array.Int64, 1, whole(d.labels))
	put("weights", array.Float64, d.dim, d.w)
	put("bias", array.Float64, 1, d.b)
	put("test_features", dtype, d.dim, d.testRows)
	put("test_labels", array.Int32, 1, whole(d.testLabels))
	put("ood_features", dtype, d.dim, d.oodRows)
	return out
}

func list(arrays map[string]formattest.Array, names ...string) (out []formattest.Array) {
	for _, name := range names {
		out = append(out, arrays[name])
	}
	return out
}

// metricsOf is the metrics of a file as JSON.
func metricsOf(t *testing.T, path string, o features.Options, precision string) string {
	t.Helper()
	set, err := features.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	report, err := collapse.Measure(t.Context(), set, collapse.Options{Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	return metricsJSON(t, report.Results[0])
}

func metricsJSON(t testing.TB, r *collapse.Result) string {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		t.Fatal(err)
	}
	return string(parts["metrics"])
}

// rounded is the data with features rounded to a type.
func (d *data) rounded(dtype array.DType) *data {
	round := func(v []float64) []float64 {
		out := make([]float64, len(v))
		for i, x := range v {
			switch dtype {
			case array.Float64:
				out[i] = x
			case array.Float32:
				out[i] = float64(float32(x))
			case array.Float16: // 11 bits; what would be subnormal is 0
				m, e := math.Frexp(x)
				if out[i] = math.Ldexp(math.RoundToEven(m*(1<<11)), e-11); math.Abs(out[i]) < 0x1p-14 {
					out[i] = 0
				}
			case array.BFloat16:
				m, e := math.Frexp(x)
				out[i] = math.Ldexp(math.RoundToEven(m*(1<<8)), e-8)
			}
		}
		return out
	}
	c := *d
	c.rows, c.testRows, c.oodRows = round(d.rows), round(d.testRows), round(d.oodRows)
	c.narrow = dtype != array.Float64
	return &c
}

// TestFormats: the same arrays give the same bits from every kind of file, in every type that holds them.
func TestFormats(t *testing.T) {
	base := gaussian(31, 400, 6, 5, 0.4)
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	everything := []string{"features", "labels", "weights", "bias", "test_features", "test_labels", "ood_features"}
	for _, dtype := range []array.DType{array.Float64, array.Float32, array.Float16, array.BFloat16} {
		d := base.rounded(dtype)
		arrays := d.arrays(dtype)
		for _, precision := range []string{"float64", "float32"} {
			want := metricsJSON(t, d.measure(t, collapse.Options{Precision: precision}))
			check := func(format, path string, o features.Options) {
				t.Helper()
				if got := metricsOf(t, path, o, precision); got != want {
					t.Errorf("%s of %v, %s: %s", format, dtype, precision, firstDifference(got, want))
				}
			}
			check("safetensors", write("all.safetensors", formattest.Safetensors(list(arrays, everything...)...)), features.Options{})
			check("pt", write("all.pt", formattest.Torch(list(arrays, everything...)...)), features.Options{})
			if dtype == array.BFloat16 { // numpy has no such type
				continue
			}
			check("npz", write("stored.npz", formattest.NPZ(false, list(arrays, everything...)...)), features.Options{})
			check("deflated npz", write("deflated.npz", formattest.NPZ(true, list(arrays, everything...)...)), features.Options{})
			rest := write("rest.npz", formattest.NPZ(false, list(arrays, everything[1:]...)...))
			check("Fortran npz", write("fortran.npz", formattest.Zip(
				formattest.Entry{Name: "features.npy", Data: formattest.NPY(arrays["features"], true, true)},
				formattest.Entry{Name: "labels.npy", Data: formattest.NPY(arrays["labels"], true, false)},
				formattest.Entry{Name: "weights.npy", Data: formattest.NPY(arrays["weights"], false, true)},
				formattest.Entry{Name: "bias.npy", Data: formattest.NPY(arrays["bias"], false, false)},
				formattest.Entry{Name: "test_features.npy", Data: formattest.NPY(arrays["test_features"], true, true), Deflate: true},
				formattest.Entry{Name: "test_labels.npy", Data: formattest.NPY(arrays["test_labels"], false, false)},
				formattest.Entry{Name: "ood_features.npy", Data: formattest.NPY(arrays["ood_features"], false, true)},
			)), features.Options{})

			// An .npy holds the features alone.
			alone := *d
			alone.testRows, alone.testLabels, alone.oodRows = nil, nil, nil
			want = metricsJSON(t, alone.measure(t, collapse.Options{Precision: precision}))
			labels := write("labels.npy", formattest.NPY(arrays["labels"], false, false))
			o := features.Options{LabelsFile: labels, WeightsFile: rest}
			check("npy", write("features.npy", formattest.NPY(arrays["features"], false, false)), o)
			check("Fortran npy", write("fortran.npy", formattest.NPY(arrays["features"], true, true)), o)
			if dtype == array.Float64 {
				var text strings.Builder
				for j := range d.dim {
					fmt.Fprintf(&text, "f%d,", j)
				}
				text.WriteString("label\n")
				for i, y := range d.labels {
					for _, v := range d.row(i) {
						fmt.Fprintf(&text, "%v,", v)
					}
					fmt.Fprintln(&text, y)
				}
				check("csv", write("rows.csv", []byte(text.String())), features.Options{WeightsFile: rest})
			}
		}
	}
}

// TestParquetFormats: the same for the Parquet files of the fixtures, whose features are ((31 i + 17 j) mod 64)/8 - 4 and whose
// labels are i mod 3.
func TestParquetFormats(t *testing.T) {
	d := &data{dim: 5, narrow: true}
	for i := range 40 {
		for j := range d.dim {
			d.rows = append(d.rows, float64((31*i+17*j)%64)/8-4)
		}
		d.labels = append(d.labels, int64(i%3))
	}
	want := metricsJSON(t, d.measure(t, collapse.Options{}))
	for _, name := range []string{"scalars_gzip_v2", "encodings_zstd", "lists"} {
		if got := metricsOf(t, filepath.Join("../testdata/formats", name+".parquet"), features.Options{}, ""); got != want {
			t.Errorf("%s: %s", name, firstDifference(got, want))
		}
	}
}

func firstDifference(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	from := max(0, i-60)
	return fmt.Sprintf("%q for %q", a[from:min(len(a), i+60)], b[from:min(len(b), i+60)])
}
