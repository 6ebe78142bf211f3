package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

const run2 = `{"epoch":0,"layer":"features","split":"train","train":{"wrong":9},"verdict":{"alpha":0.1,"levels":{"variability":{"value":2}}}}
{"epoch":1,"layer":"features","split":"train","train":{"wrong":3},"verdict":{"alpha":0.1,"levels":{"variability":{"value":1,"low":0.9,"high":1.1},"simplex":{"value":0.5}}}}
{"epoch":1,"layer":"hidden","split":"train","train":{"wrong":3},"verdict":{"alpha":0.1,"levels":{"variability":{"value":0.7}}}}
{"epoch":10,"layer":"features","split":"train","train":{"wrong":0},"verdict":{"alpha":0.1,"levels":{"variability":{"value":0.01,"low":0.009,"high":0.02},"simplex":{"value":null}}}}
`

// The lines go from frame to frame; a level that is absent breaks off, and the verticals stand where the rows say.
func TestPicture(t *testing.T) {
	run, err := read(strings.NewReader(run2))
	if err != nil {
		t.Fatal(err)
	}
	picture := run.svg()
	for _, want := range []string{
		`<path d="M64.0 28.0L640.0 229.3" fill="none" stroke="#0072b2"`, // 100 % to 1 %: two decades of three
		`collapsed at 10 %`, `no training error`, `>variability</text>`,
	} {
		if !strings.Contains(picture, want) {
			t.Errorf("no %s in\n%s", want, picture)
		}
	}
	if strings.Contains(picture, "#d55e00\" stroke-width") {
		t.Error("one point is drawn as a line")
	}
	d := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNothingToDraw(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "0 measurements",
		"{}\n{":                           "line 2",
		strings.SplitAfter(run2, "\n")[1]: "1 measurements",
	} {
		if _, err := read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
