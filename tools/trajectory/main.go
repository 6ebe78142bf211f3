// Command trajectory draws the levels of a training run over its epochs, as SVG on standard output, from the
// metrics.jsonl of the run:
//
//	go run ./tools/trajectory runs/mnist/metrics.jsonl > docs/pictures/mnist.svg
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: trajectory RUN/metrics.jsonl > picture.svg")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "trajectory:", err)
		os.Exit(1)
	}
}

func run(path string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = io.WriteString(w, t.svg())
	return err
}

// A level is a property of collapse at one epoch, with its interval.
type level struct{ Value, Low, High *float64 }

// A point is one measurement of the last layer.
type point struct {
	epoch  float64
	levels map[string]level
	wrong  int // training rows that are misclassified
}

type trajectory struct {
	points []point
	alpha  float64
}

// properties in the order in which they are drawn, with the colours of Okabe and Ito (2008), which colour-blind eyes tell apart.
var properties = []struct{ name, colour string }{
	{"variability", "#0072b2"}, {"simplex", "#d55e00"}, {"duality", "#009e73"}, {"centre", "#cc79a7"},
}

// read takes the training rows of the layer "features" from the lines of a run.
func read(r io.Reader) (*trajectory, error) {
	t := &trajectory{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		var line struct {
			Epoch   float64
			Layer   string
			Split   string
			Train   struct{ Wrong int }
			Verdict *struct {
				Alpha  float64
				Levels map[string]level
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if line.Layer != "features" || line.Split != "train" || line.Verdict == nil || line.Epoch < 1 { // the axis is logarithmic
			continue
		}
		t.alpha = line.Verdict.Alpha
		t.points = append(t.points, point{line.Epoch, line.Verdict.Levels, line.Train.Wrong})
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(t.points) < 2 {
		return nil, fmt.Errorf("%d measurements of the layer features with a verdict, expected two or more", len(t.points))
	}
	return t, nil
}

// The picture: its size, the frame of the axes in it, and the range of levels that it shows.
const (
	width, height            = 760, 380
	left, right, top, bottom = 64, 640, 28, 330
	least, most              = 0.001, 1.0
)

func (t *trajectory) x(epoch float64) float64 {
	return left + (right-left)*math.Log(epoch/t.points[0].epoch)/math.Log(t.points[len(t.points)-1].epoch/t.points[0].epoch)
}

func y(v float64) float64 {
	v = min(max(v, least), most)
	return bottom - (bottom-top)*math.Log(v/least)/math.Log(most/least)
}

func (t *trajectory) svg() string {
	var b strings.Builder
	draw := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	draw(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13">`, width, height, width, height)
	draw(`<title>Levels of collapse over the epochs of training</title>`)
	draw(`<rect width="%d" height="%d" fill="#fff"/>`, width, height)
	for _, tick := range []float64{0.001, 0.01, 0.1, 1} {
		draw(`<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#444">%g %%</text>`, left, y(tick), right, left-8, y(tick)+4, 100*tick)
	}
	first, last := t.points[0].epoch, t.points[len(t.points)-1].epoch
	for decade := 1.0; decade <= last; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if e := m * decade; e >= first && e <= last {
				draw(`<path d="M%.1f %dv4" stroke="#444"/><text x="%.1f" y="%d" text-anchor="middle" fill="#444">%g</text>`, t.x(e), bottom, t.x(e), bottom+18, e)
			}
		}
	}
	draw(`<text x="%d" y="%d" text-anchor="middle" fill="#444">epoch</text>`, (left+right)/2, height-14)
	draw(`<path d="M%d %.1fH%d" stroke="#444" stroke-dasharray="5 4"/><text x="%d" y="%.1f" fill="#444">collapsed at %g %%</text>`,
		left, y(t.alpha), right, left+8, y(t.alpha)+16, 100*t.alpha)
	for _, p := range t.points {
		if p.wrong == 0 {
			draw(`<path d="M%.1f %dV%d" stroke="#888" stroke-dasharray="2 3"/><text x="%.1f" y="%d" text-anchor="middle" fill="#444">no training error</text>`,
				t.x(p.epoch), top, bottom, t.x(p.epoch), top-8)
			break
		}
	}
	labels := map[string]float64{}
	for _, p := range properties {
		var band, back, line []string
		for _, at := range t.points {
			l, ok := at.levels[p.name]
			if !ok || l.Value == nil {
				continue
			}
			x := t.x(at.epoch)
			line = append(line, fmt.Sprintf("%.1f %.1f", x, y(*l.Value)))
			labels[p.name] = y(*l.Value)
			if l.Low != nil && l.High != nil {
				band = append(band, fmt.Sprintf("%.1f %.1f", x, y(*l.High)))
				back = append([]string{fmt.Sprintf("%.1f %.1f", x, y(*l.Low))}, back...)
			}
		}
		if len(band) > 1 {
			draw(`<path d="M%sZ" fill="%s" fill-opacity="0.18"/>`, strings.Join(append(band, back...), "L"), p.colour)
		}
		if len(line) > 1 {
			draw(`<path d="M%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(line, "L"), p.colour)
		}
	}
	// Names stand beside the ends of their lines, a line of text apart.
	for i, p := range properties {
		at, ok := labels[p.name]
		if !ok {
			continue
		}
		for _, other := range properties[:i] {
			if o, ok := labels[other.name]; ok && math.Abs(o-at) < 15 {
				at = o + math.Copysign(15, at-o)
			}
		}
		labels[p.name] = at
		draw(`<text x="%d" y="%.1f" fill="%s">%s</text>`, right+8, at+4, p.colour, p.name)
	}
	draw(`</svg>`)
	return b.String()
}
