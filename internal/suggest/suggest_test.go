package suggest

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"nc1", "nc1_quotient", "nc2_etf", "nc2_max_angle", "cdnv_mean", "cdnv_max", "classifier_error"}
	for _, c := range []struct{ want, near string }{
		{"nc1", "nc1"},
		{"NC1", "nc1"},
		{"nc1_quotent", "nc1_quotient"},
		{"cdvn_mean", "cdnv_mean"},
		{"nc2etf", "nc2_etf"},
		{"classifier", "classifier_error"},
		{"error", "classifier_error"},
		{"nc9", "nc1"},
		{"accuracy", ""},
		{"", ""},
	} {
		if got := Nearest(c.want, names); got != c.near {
			t.Errorf("Nearest(%q) = %q, want %q", c.want, got, c.near)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1},
		{"kitten", "sitting", 3}, {"abcd", "abxd", 1}, {"ab", "ba", 1},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
