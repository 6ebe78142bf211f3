package collapse

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/moments"
)

var drawPicture = flag.Bool("draw", false, "rewrite the picture of docs/multilabel.md")

// The picture of matched and mismatched angles is that of the numbers: of every pair of tags {i, j} with rows, the angle of its mean and
// u_i + u_j, and those with the sums of all other pairs.
func TestAnglePicture(t *testing.T) {
	set, err := features.Open("../testdata/multilabel.npz", features.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	const left, width, line = 130, 460, 26
	at := func(angle float64) float64 { return left + angle/180*width }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="186" font-family="sans-serif" font-size="12" fill="#444">`+"\n", left+width+30)
	y := 24.0
	for _, split := range []*features.Split{set.Layers[0].Train, set.Layers[0].Test} {
		state, err := moments.Collect(context.Background(), split, moments.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s := newTagSample(split, state.Close(), set.Classifier, 1e-12)
		var matched, others []float64
		x := make([]float64, s.d)
		g := s.group(2)
		for c := g.first; c < g.first+g.sets; c++ {
			for i := range s.k {
				for j := range i {
					s.raw.sum(x, []int{j, i})
					a := degrees(x, s.row(c))
					if set := s.set(c); set[0] == j && set[1] == i {
						matched = append(matched, a)
					} else {
						others = append(others, a)
					}
				}
			}
		}
		if len(matched) != 10 || len(others) != 90 {
			t.Fatalf("%d matched and %d other angles", len(matched), len(others))
		}
		for _, row := range []struct {
			name, colour string
			angles       []float64
		}{{"own tags", "#1a7f37", matched}, {"other tags", "#b35900", others}} {
			fmt.Fprintf(&b, `<text x="6" y="%g">%s, %s</text>`+"\n", y+4, split.Name, row.name)
			b.WriteString(`<path d="`)
			for _, a := range row.angles {
				fmt.Fprintf(&b, "M%.1f %gv14", at(a), y-7)
			}
			fmt.Fprintf(&b, `" stroke="%s" stroke-opacity="0.6" stroke-width="2"/>`+"\n", row.colour)
			y += line
		}
		y += 10
	}
	fmt.Fprintf(&b, `<path d="M%d %gh%d" stroke="#444"/>`+"\n", left, y-8, width)
	for angle := 0; angle <= 180; angle += 30 {
		fmt.Fprintf(&b, `<path d="M%.1f %gv5" stroke="#444"/><text x="%.1f" y="%g" text-anchor="middle">%d</text>`+"\n", at(float64(angle)), y-8, at(float64(angle)), y+12, angle)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%g" text-anchor="middle">degrees between the mean of a pair and the sum of two single-tag means</text>`+"\n</svg>\n", left+width/2, y+28)
	const file = "../docs/multilabel_angles.svg"
	if *drawPicture {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the numbers give (%v): go test ./collapse -run AnglePicture -draw", file, err)
	}
}
