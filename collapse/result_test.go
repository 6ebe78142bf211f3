package collapse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/collapsar/collapsar/collapse"
	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/formattest"

	"github.com/collapsar/collapsar/internal/array"
)

func TestRegistry(t *testing.T) {
	seen := map[string]bool{}
	groups := collapse.Groups()
	at := 0
	for _, m := range collapse.Metrics() {
		if seen[m.ID] || !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(m.ID) {
			t.Errorf("id %q twice, or not a name", m.ID)
		}
		seen[m.ID] = true
		if m.Name == "" || m.Formula == "" || m.Source == "" || m.Group == "" {
			t.Errorf("%s says too little of itself: %+v", m.ID, m)
		}
		if !slices.Contains([]string{"1", "2", "2z", "F"}, m.Cost.String()) {
			t.Errorf("%s: cost %q", m.ID, m.Cost)
		}
		for at < len(groups) && groups[at] != m.Group {
			at++
		}
		if at == len(groups) {
			t.Errorf("%s: group %q is in two places", m.ID, m.Group)
		}
		if _, ok := m.IdealAt(5); ok && m.Ideal == "" {
			t.Errorf("%s: an ideal number, and no text for it", m.ID)
		}
		if _, ok := m.IdealAt(1); ok {
			t.Errorf("%s: an ideal for one class", m.ID)
		}
		if found, ok := collapse.Lookup(m.ID); !ok || found.Formula != m.Formula {
			t.Errorf("%s is not found", m.ID)
		}
	}
	if _, ok := collapse.Lookup("nc9"); ok {
		t.Error("nc9 was found")
	}
	collapse.Metrics()[0].ID = "mine" // a copy
	if collapse.Metrics()[0].ID == "mine" {
		t.Error("the registry can be written to")
	}
}

func TestMatch(t *testing.T) {
	all, _ := collapse.Match([]string{"all"})
	if len(all) != len(collapse.Metrics()) {
		t.Errorf("all is %d of %d", len(all), len(collapse.Metrics()))
	}
	normal, _ := collapse.Match([]string{"default"})
	for _, id := range all {
		m, _ := collapse.Lookup(id)
		if slices.Contains(normal, id) == (m.Cost == collapse.Full) {
			t.Errorf("%s of cost %v: in the default set %v", id, m.Cost, slices.Contains(normal, id))
		}
	}
	for _, c := range []struct {
		patterns  []string
		ids       []string
		unmatched string
	}{
		{[]string{"nc1"}, []string{"nc1"}, ""},
		{[]string{"cdnv_m*"}, []string{"cdnv_mean", "cdnv_max"}, ""},
		{[]string{"cdnv_max", "nc1_qu*t", "cdnv_m*"}, []string{"nc1_quotient", "cdnv_mean", "cdnv_max", "nc1_quotient_test"}, ""}, // registry order, once
		{[]string{"nc2_equi?????"}, []string{"nc2_equiangle"}, ""},
		{[]string{"nc1", "bogus", "other"}, []string{"nc1"}, "bogus"},
		{[]string{"NC1"}, nil, "NC1"},
		{[]string{"["}, nil, "["},
		{nil, nil, ""},
	} {
		ids, unmatched := collapse.Match(c.patterns)
		if !slices.Equal(ids, c.ids) || unmatched != c.unmatched {
			t.Errorf("%v: %v, unmatched %q; want %v, %q", c.patterns, ids, unmatched, c.ids, c.unmatched)
		}
	}
	for _, id := range all {
		if ok, _ := path.Match("nc2_*", id); ok {
			ids, _ := collapse.Match([]string{"nc2_*"})
			if !slices.Contains(ids, id) {
				t.Errorf("nc2_* leaves out %s", id)
			}
		}
	}
}

// keys lists the keys of a JSON object in order.
func keys(t *testing.T, text []byte) (out []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return out
		}
		if delim, ok := token.(json.Delim); ok {
			if delim == '{' || delim == '[' {
				depth++
			} else {
				depth--
			}
			continue
		}
		if depth == 1 {
			out = append(out, token.(string))
			var value json.RawMessage
			if err := d.Decode(&value); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestResultJSON: the element of results that the schema describes; every id in it, in the order of the registry; what does not
// exist is null with a reason; and the same bytes every time.
func TestResultJSON(t *testing.T) {
	d := gaussian(3, 80, 5, 4, 0.5)
	d.narrow = true
	bare := &data{dim: 1, rows: []float64{1, 2, 4}, labels: []int64{0, 0, 2}} // hardly anything is defined
	for name, d := range map[string]*data{"full": d, "bare": bare} {
		o := collapse.Options{PerClass: true}
		r := d.measure(t, o)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, workers := range []int{1, 3} {
			o.Workers = workers
			again, err := json.Marshal(d.measure(t, o))
			if err != nil || !bytes.Equal(again, text) {
				t.Errorf("%s: other bytes with %d workers (%v)", name, workers, err)
			}
		}
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(text, &parts); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"source", "layer", "step", "split", "samples", "dimension", "classes", "present_classes", "class_counts", "labels", "dtype", "precision", "verdict", "metrics", "per_class", "warnings"} {
			if _, ok := parts[key]; !ok {
				t.Errorf("%s: no %q", name, key)
			}
		}
		for key, want := range map[string]string{"layer": `"features"`, "split": `"train"`, "labels": `"single"`, "step": "null", "precision": `"float64"`} {
			if string(parts[key]) != want {
				t.Errorf("%s: %s is %s, want %s", name, key, parts[key], want)
			}
		}
		var ids []string
		for _, m := range collapse.Metrics() {
			ids = append(ids, m.ID)
		}
		if got := keys(t, parts["metrics"]); !slices.Equal(got, ids) {
			t.Errorf("%s: ids %v", name, got)
		}
		var metrics map[string]struct {
			Value  *float64
			Reason collapse.Reason
			Ideal  *float64
			Worst  []int64
		}
		if err := json.Unmarshal(parts["metrics"], &metrics); err != nil {
			t.Fatal(err)
		}
		for id, m := range metrics {
			v := r.Metrics[id]
			if (m.Value == nil) == (m.Reason == "") {
				t.Errorf("%s: %s has value %v and reason %q", name, id, m.Value, m.Reason)
			}
			if m.Reason != v.Reason || m.Value != nil && *m.Value != v.Number || !slices.Equal(m.Worst, v.Worst) { // all digits
				t.Errorf("%s: %s is %+v for %+v", name, id, m, v)
			}
			entry, _ := collapse.Lookup(id)
			if _, ok := entry.IdealAt(r.PresentClasses); ok != (m.Ideal != nil) {
				t.Errorf("%s: %s with ideal %v", name, id, m.Ideal)
			}
			if entry.Cost == collapse.Full && m.Reason != collapse.NotRequested {
				t.Errorf("%s: %s was not asked for, reason %q", name, id, m.Reason)
			}
		}
		var counts struct{ Min, Max int }
		if err := json.Unmarshal(parts["class_counts"], &counts); err != nil || counts.Min != r.ClassCounts.Min || counts.Max != r.ClassCounts.Max {
			t.Errorf("%s: class_counts %s", name, parts["class_counts"])
		}
		var classes []collapse.ClassRow
		if err := json.Unmarshal(parts["per_class"], &classes); err != nil || len(classes) != r.PresentClasses {
			t.Errorf("%s: per_class %s", name, parts["per_class"])
		}
	}
}

// What each metric keeps by class agrees with the metric.
func TestPerClass(t *testing.T) {
	d := gaussian(4, 100, 5, 4, 0.7)
	r := d.measure(t, collapse.Options{PerClass: true})
	var errs, ncc, count int
	cdnv, align := 0.0, 0.0
	for i, c := range r.PerClass {
		if c.Class != int64(i) {
			t.Errorf("class %d in place %d", c.Class, i)
		}
		count, ncc, errs = count+c.Count, ncc+c.NCCErrors, errs+*c.Errors
		cdnv, align = max(cdnv, *c.CDNVMax), align+*c.Alignment/4
		other := r.PerClass[*c.NearestClass]
		if *c.NearestDistance < *other.NearestDistance-1e-12 {
			t.Errorf("class %d is nearer to %d than that to any", c.Class, *c.NearestClass)
		}
	}
	near(t, "rows", float64(count), float64(r.Samples), 0, 0)
	near(t, "ncc_error", value(t, r, "ncc_error"), float64(ncc)/float64(count), 1e-15, 0)
	near(t, "classifier_error", value(t, r, "classifier_error"), float64(errs)/float64(count), 1e-15, 0)
	near(t, "cdnv_max", value(t, r, "cdnv_max"), cdnv, 0, 0)
	near(t, "nc3_alignment", value(t, r, "nc3_alignment"), align, 1e-14, 0)
	pair := r.Metrics["cdnv_max"].Worst
	if len(pair) != 2 || *r.PerClass[pair[0]].CDNVMax != cdnv || *r.PerClass[pair[0]].CDNVWorst != pair[1] {
		t.Errorf("worst pair %v", pair)
	}
}

func TestOptionsRefused(t *testing.T) {
	d := gaussian(1, 30, 3, 3, 0.5)
	for want, o := range map[string]collapse.Options{
		`global mean "median"`:             {GlobalMean: "median"},
		`precision "float16"`:              {Precision: "float16"},
		`no metric matches "nc9"`:          {Metrics: []string{"nc1", "nc9"}},
		`script "galanti"`:                 {Compat: []string{"papyan", "galanti"}},
		"expected one of class, sample":    {GlobalMean: "x"},
		"expected one of auto, float64, f": {Precision: "x"},
	} {
		if _, err := collapse.Measure(t.Context(), d.set(t), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}

// TestProgress: the rows of all passes, never backwards past the total, which is reached once, by the last call.
func TestProgress(t *testing.T) {
	d := gaussian(2, 9000, 3, 3, 0.5)
	for name, o := range map[string]collapse.Options{
		"default": {}, "one worker": {Workers: 1}, "all": {Metrics: []string{"all"}}, "compat": {Compat: []string{"papyan", "zhou"}}, "float32": {Precision: "float32"},
	} {
		for _, test := range []bool{true, false} {
			c := *d
			if !test {
				c.testRows, c.testLabels, c.oodRows = nil, nil, nil
			}
			var mu sync.Mutex
			var most, total, calls, full int64
			o.Progress = func(done, of int64) {
				mu.Lock()
				defer mu.Unlock()
				calls++
				most, total = max(most, done), of
				if done == of {
					full++
				}
				if done > of {
					t.Errorf("%s: %d of %d", name, done, of)
				}
			}
			c.measure(t, o)
			if full != 1 || most != total || calls < 4 {
				t.Errorf("%s, test rows %v: %d calls, total %d of %d reached %d times", name, test, calls, most, total, full)
			}
		}
	}
}

// watched counts the reads of a file.
type watched struct {
	*bytes.Reader
	reads atomic.Int64
}

func (w *watched) ReadAt(p []byte, at int64) (int, error) {
	w.reads.Add(1)
	return w.Reader.ReadAt(p, at)
}

// TestMeasureCancelled: wherever a measurement is when its context ends, it returns that error and reads no more.
func TestMeasureCancelled(t *testing.T) {
	d := gaussian(2, 40000, 4, 3, 0.5)
	arrays := d.arrays(array.Float64)
	text := formattest.NPZ(false, list(arrays, "features", "labels", "weights", "bias", "test_features", "test_labels")...)
	file := &watched{Reader: bytes.NewReader(text)}
	set, err := features.OpenReaderAt(file, int64(len(text)), "f.npz", features.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	for _, metrics := range []string{"default", "all"} {
		var calls int64
		o := collapse.Options{Metrics: []string{metrics}, Progress: func(int64, int64) { atomic.AddInt64(&calls, 1) }}
		if _, err := collapse.Measure(t.Context(), set, o); err != nil {
			t.Fatal(err)
		}
		for at := int64(0); at < calls; at += 1 + calls/12 {
			ctx, cancel := context.WithCancelCause(t.Context())
			var seen, after int64
			o.Progress = func(int64, int64) {
				if n := atomic.AddInt64(&seen, 1); n == at {
					cancel(nil)
					after = file.reads.Load()
				}
			}
			if at == 0 {
				cancel(nil)
				after = file.reads.Load()
			}
			report, err := collapse.Measure(ctx, set, o)
			if report != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: cancelled at %d of %d: report %v, error %v", metrics, at, calls, report != nil, err)
			}
			// A block under way reads up to the next chunk, on each processor.
			if n := file.reads.Load() - after; n > 16 {
				t.Errorf("%s: cancelled at %d of %d: %d reads afterwards", metrics, at, calls, n)
			}
			cancel(nil)
		}
	}
}

// Percentages have two digits below one, and one after the point above.
func TestPercent(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0 %", 1e-9: "1e-07 %", 0.000123: "0.012 %", 0.00094: "0.094 %", 0.009949: "0.99 %", 0.00997: "1.0 %", 0.01: "1.0 %", 0.0999: "10.0 %", 1.5: "150.0 %",
	} {
		if got := collapse.Percent(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
