package main

import (
	"math"
	"strings"
	"testing"
)

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{
		{0, "0"}, {math.Copysign(0, -1), "0"}, {1, "1"}, {-3, "-3"}, {9999999, "9999999"}, {1e7, "1.0000e+07"},
		{0.0065394901, "0.0065395"}, {0.1, "0.10000"}, {-0.111111111, "-0.11111"}, {86.2583, "86.258"}, {14673.96, "14674"},
		{123456.7, "123457"}, {1234567.8, "1.2346e+06"}, {0.0001, "0.00010000"}, {0.00001234567, "1.2346e-05"},
		{0.999999, "1.00000"}, {1.0000001, "1.0000"}, {math.MaxFloat64, "1.7977e+308"}, {5e-324, "4.9407e-324"},
	} {
		if got := number(c.v, 5); got != c.want {
			t.Errorf("number(%v) = %q, want %q", c.v, got, c.want)
		}
	}
}

func TestSpark(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name string
		v    []float64
		n    int
		want string
	}{
		{"linear", []float64{0, 1, 2, 3, 4, 5, 6, 7}, 10, "▁▂▃▄▅▆▇█"},
		{"logarithmic", []float64{100, 10, 1}, 10, "█▅▁"},
		{"constant", []float64{2, 2, 2}, 10, "▁▁▁"},
		{"a gap", []float64{1, nan, 0}, 10, "█ ▁"},
		{"nothing", []float64{nan, nan}, 10, "  "},
		{"short", []float64{0, 0, 3, 5, nan, 8}, 3, "▁▅█"},
		{"none", nil, 10, ""},
	} {
		low, high := span(c.v)
		if got := spark(c.v, c.n, low, high); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	table := table{indent: 2, columns: []alignment{left, point, right, left}}
	table.head(heads(bold, "", "value", "n", "what")...)
	table.across(cell{"a group", cyan})
	table.add(text("one"), text("1.25"), text("7"), text("first"))
	table.add(text("two"), text("-12.5"), text("1234"), cell{})
	table.add(text("three"), text(none), cell{}, text("nothing to see"))
	table.add(text("four"), text("3e-05"), text("1"), text("small"))
	want := `
           value     n  what
a group
  one      1.25      7  first
  two    -12.5    1234
  three    –            nothing to see
  four     3e-05     1  small
`[1:]
	var p page
	table.write(&p)
	if p.String() != want {
		t.Errorf("in a file:\n%s\nwant:\n%s", &p, want)
	}

	narrow := page{width: 30, colour: true}
	table.write(&narrow)
	for _, line := range strings.Split(narrow.String(), "\n") {
		for _, s := range []style{bold, cyan, dim, ""} {
			line = strings.ReplaceAll(line, "\x1b["+string(s)+"m", "")
		}
		line = strings.ReplaceAll(line, "\x1b[0m", "")
		if cells(line) >= 30 {
			t.Errorf("%q is too wide for a terminal of 30", line)
		}
	}

	if hidden := table.fit(&page{width: 30}); hidden != nil {
		t.Errorf("in 30 columns %q are hidden", hidden)
	}
	if hidden := table.fit(&page{width: 21}); len(hidden) != 2 || hidden[0] != "n" {
		t.Errorf("in 21 columns %q are hidden", hidden)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{{"short", 5, "short"}, {"longer", 5, "long…"}, {"two words", 5, "two…"}, {"–––", 2, "–…"}, {"x", 0, ""}, {"", 0, ""}} {
		if got := cut(c.s, c.n); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.s, c.n, got, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"run.npz": "run.npz", "größe": "größe", "a\nb": `a\nb`, "\x1b[2J": `\x1b[2J`, "bad\xff": "bad\ufffd", "rtl\u202e": `rtl\u202e`,
	} {
		if got := clean(s); got != want {
			t.Errorf("clean(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for s, want := range map[string]int64{"1024": 1024, "1GiB": 1 << 30, "512MiB": 512 << 20, "2GB": 2e9, "1.5k": 1536, "3 GiB": 3 << 30, "100B": 100} {
		var n size
		if err := n.Set(s); err != nil || int64(n) != want {
			t.Errorf("%q is %d (%v), want %d", s, n, err, want)
		}
	}
	for _, s := range []string{"", "GiB", "-1", "0", "0.1", "1e99", "nan", "1PB", "one"} {
		var n size
		if err := n.Set(s); err == nil {
			t.Errorf("%q is %d", s, n)
		}
	}
}

func TestParseThreshold(t *testing.T) {
	for _, c := range []struct {
		text, id, op string
		limit        float64
	}{{"nc1<0.1", "nc1", "<", 0.1}, {" nc1 <= 1e-3 ", "nc1", "<=", 1e-3}, {"nc3_alignment>.9", "nc3_alignment", ">", 0.9}, {"margin_min>=-1", "margin_min", ">=", -1}} {
		got, err := parseThreshold(c.text)
		if err != nil || got.id != c.id || got.op != c.op || got.limit != c.limit {
			t.Errorf("%q is %q %q %v (%v)", c.text, got.id, got.op, got.limit, err)
		}
	}
	for _, text := range []string{"", "nc1", "nc1=0.1", "nc1<", "<0.1", "nc1<0.1<0.2", "nc1<inf", "nc1<nan", "nc1 0.1", "accuracy>0"} {
		if _, err := parseThreshold(text); err == nil {
			t.Errorf("%q is a threshold", text)
		}
	}
}
