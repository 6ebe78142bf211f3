package moments_test

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/moments"
)

// small is a state and a pass with something of everything: an open block, sparse labels, rows not finite, no class mean.
func small(t testing.TB) (*moments.State, *moments.Pass2) {
	t.Helper()
	r := clusters(1, 40, 2, []int64{0, 1, 2}, 1, false)
	r.f32[11] = float32(math.NaN())
	s := whole(t, r)
	p, err := moments.NewPass2(planOf(s, option{kind: moments.OfRows, weak: true, classifier: true}), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Add(r.batch(0, 40)); err != nil {
		t.Fatal(err)
	}
	return s, p
}

func marshalled(t testing.TB, v interface{ MarshalBinary() ([]byte, error) }) []byte {
	t.Helper()
	text, err := v.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sealed gives data the check sum of what they are, so that a reader looks at the rest.
func sealed(data []byte) []byte {
	n := len(data) - 4
	return binary.LittleEndian.AppendUint32(append([]byte(nil), data[:n]...), crc32.ChecksumIEEE(data[:n]))
}

// unmarshallers reads either kind into something fresh.
func unmarshallers(t testing.TB) map[string]struct {
	data []byte
	read func([]byte) error
} {
	s, p := small(t)
	plan := planOf(s, option{kind: moments.OfRows, weak: true, classifier: true})
	return map[string]struct {
		data []byte
		read func([]byte) error
	}{
		"state": {marshalled(t, s), func(b []byte) error { return new(moments.State).UnmarshalBinary(b) }},
		"pass": {marshalled(t, p), func(b []byte) error {
			fresh, err := moments.NewPass2(plan, 0)
			if err != nil {
				t.Fatal(err)
			}
			return fresh.UnmarshalBinary(b)
		}},
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for name, u := range unmarshallers(t) {
		t.Run(name, func(t *testing.T) {
			if err := u.read(u.data); err != nil {
				t.Fatal(err)
			}
			for n := range u.data {
				if u.read(u.data[:n]) == nil {
					t.Errorf("the first %d bytes of %d were taken", n, len(u.data))
				}
				if n > 28 && u.read(sealed(u.data[:n])) == nil {
					t.Errorf("the first %d bytes of %d were taken with a check sum", n, len(u.data))
				}
				for _, flip := range []byte{1, 0x80} {
					bad := append([]byte(nil), u.data...)
					bad[n] ^= flip
					if u.read(bad) == nil {
						t.Errorf("byte %d changed by %#x was taken", n, flip)
					}
				}
			}
			if u.read(append(append([]byte(nil), u.data...), 0)) == nil || u.read(sealed(append(append([]byte(nil), u.data...), make([]byte, 8)...))) == nil {
				t.Error("data with something after them were taken")
			}
			later := append([]byte(nil), u.data...)
			later[8] = 7
			if err := u.read(sealed(later)); err == nil || !strings.Contains(err.Error(), "version 7") || !strings.Contains(err.Error(), "version 1") {
				t.Errorf("another version: %v, expected both named", err)
			}
		})
	}
	s, p := small(t)
	if err := s.UnmarshalBinary(marshalled(t, p)); err == nil || !strings.Contains(err.Error(), "kind 2") || !strings.Contains(err.Error(), "kind 1") {
		t.Errorf("a pass read as a state: %v", err)
	}
	if err := p.UnmarshalBinary(marshalled(t, s)); err == nil || !strings.Contains(err.Error(), "kind 2") || !strings.Contains(err.Error(), "kind 1") {
		t.Errorf("a state read as a pass: %v", err)
	}
	if err := new(moments.Pass2).UnmarshalBinary(marshalled(t, p)); err == nil {
		t.Error("a pass was read without a plan")
	}
}

// A pass belongs to its plan: to the means, the classifier and what is asked for.
func TestUnmarshalOtherPlan(t *testing.T) {
	s, p := small(t)
	text := marshalled(t, p)
	base := option{kind: moments.OfRows, weak: true, classifier: true}
	moved := clusters(1, 40, 2, []int64{0, 1, 2}, 3, false)
	for name, plan := range map[string]*moments.Plan{
		"kind":       planOf(s, option{kind: moments.OfScores, weak: true, classifier: true}),
		"weak":       planOf(s, option{kind: moments.OfRows, classifier: true}),
		"classifier": planOf(s, option{kind: moments.OfRows, weak: true}),
		"precision":  planOf(s, option{kind: moments.OfRows, weak: true, classifier: true, double: true}),
		"rows":       planOf(whole(t, moved), base),
	} {
		other, err := moments.NewPass2(plan, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.UnmarshalBinary(text); err == nil || !strings.Contains(err.Error(), "another plan") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Sizes that a file claims cost nothing before they are seen to fit, even those whose product overflows.
func TestUnmarshalClaims(t *testing.T) {
	words := func(v ...uint64) []byte {
		data := []byte("COLLAPSR")
		for _, w := range append([]uint64{1, 1}, v...) {
			data = binary.LittleEndian.AppendUint64(data, w)
		}
		return sealed(append(data, 0, 0, 0, 0))
	}
	pad := make([]uint64, 64)
	for name, data := range map[string][]byte{
		"dimension 2^62":           words(append([]uint64{1 << 62, 0, 0, 0, 0, 1, 0, 0, 2}, pad...)...),
		"dimension 2^62, pivot":    words(append([]uint64{1 << 62, 0, 0, 0, 1 << 62, 1, 0, 0, 2}, pad...)...),
		"dimension 2^31":           words(append([]uint64{1 << 31, 0, 0, 0, 0, 1, 0, 0, 1}, pad...)...),
		"negative dimension":       words(append([]uint64{1 << 63, 0, 0, 0, 0, 1, 0, 0, 2}, pad...)...),
		"classes":                  words(append([]uint64{1, 0, 0, 0, 0, 1, 0, 0, 1 << 61}, pad...)...),
		"ranges":                   words(append([]uint64{1, 0, 0, 0, 0, 1 << 60}, pad...)...),
		"cells":                    words(append([]uint64{1, 0, 0, 1 << 60}, pad...)...),
		"level":                    words(append([]uint64{1, 0, 0, 0, 0, 1, 63, 0, 0}, pad...)...),
		"rows before the first":    words(1, 1<<63, 0, 0, 0, 0),
		"no dimension":             words(0, 0, 0, 0, 0, 0),
		"sums without a pivot":     words(1, 0, 0, 0, 0, 1, 0, 0, 1, 5, 1, 0, 0, 0, 0, 0),
		"a class twice":            words(1, 0, 0, 0, 1, 0, 1, 0, 0, 2, 5, 1, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 0),
		"a class without rows":     words(1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0),
		"pivot of other dimension": words(2, 0, 0, 0, 1, 0, 0),
	} {
		var s moments.State
		got := allocated(func() {
			if s.UnmarshalBinary(data) == nil {
				t.Errorf("%s: taken", name)
			}
		})
		if got > 1<<20 {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(data))
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzUnmarshal: whatever is read, with a fitting check sum too, nothing panics and memory is bounded by the
// data; and what was taken can be used.
func FuzzUnmarshal(f *testing.F) {
	s, p := small(f)
	for _, text := range [][]byte{marshalled(f, s), marshalled(f, moments.New(3)), marshalled(f, p)} {
		f.Add(text, false)
		f.Add(text, true)
		f.Add(text[:len(text)/2], true)
	}
	plan := planOf(s, option{kind: moments.OfRows, weak: true, classifier: true})
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal && len(data) >= 4 {
			data = sealed(data)
		}
		var state moments.State
		pass, err := moments.NewPass2(plan, 0)
		if err != nil {
			t.Fatal(err)
		}
		var stateErr, passErr error
		// A class of a state has a table of labels of at most 64 kB, and is at least 9 words.
		if got, most := allocated(func() {
			stateErr, passErr = state.UnmarshalBinary(data), pass.UnmarshalBinary(data)
		}), uint64(1<<20+2000*len(data)); got > most {
			t.Errorf("%d bytes allocated for %d", got, len(data))
		}
		if stateErr == nil && state.Dim() < 1000 {
			again := marshalled(t, &state)
			if err := new(moments.State).UnmarshalBinary(again); err != nil {
				t.Errorf("what was read cannot be written and read: %v", err)
			}
			one := &features.Batch{Rows: 1, Dim: state.Dim(), Float64: make([]float64, state.Dim()), Labels: []int64{3}}
			if err := state.Add(one); err != nil {
				t.Error(err)
			}
			state.Summary()
		}
		if passErr == nil {
			if err := new(moments.State).UnmarshalBinary(data); err == nil {
				t.Error("read as both kinds")
			}
			pass.Sums()
		}
	})
}
