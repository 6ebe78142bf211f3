package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// Feature files with known numbers. The class means of a star are a simplex of norm 2 about an offset; the rows of a
// class are its mean plus and minus sigma along every axis, so that Sigma_W is sigma^2/d times the identity, and
//
//	nc1 = sigma^2 (K-1)^2 / (d r^2 K)        nc1_quotient = sigma^2 / r^2
//
// A tilt makes the norms of the means differ, so that nothing depends on rounding: class c is longer by c times the tilt.
type star struct {
	K, d    int
	sigma   float64
	rows    []float64
	labels  []int64
	weights []float64
	bias    []float64
}

func newStar(K, d int, sigma, tilt float64) star {
	s := star{K: K, d: d, sigma: sigma}
	const r, offset = 2, 3
	means := make([][]float64, K)
	for c := range means {
		m := make([]float64, d)
		for j := range K - 1 { // columns of a Helmert matrix: an orthonormal basis of what sums to zero
			h := 0.0
			switch {
			case c <= j:
				h = 1 / math.Sqrt(float64((j+1)*(j+2)))
			case c == j+1:
				h = -float64(j+1) / math.Sqrt(float64((j+1)*(j+2)))
			}
			m[j] = (1 + tilt*float64(c)) * r * math.Sqrt(float64(K)/float64(K-1)) * h
		}
		means[c] = m
		b := 0.0
		for _, x := range m {
			b -= x * offset
		}
		s.weights = append(s.weights, m...)
		s.bias = append(s.bias, b)
	}
	for c, m := range means {
		for axis := range d {
			for _, side := range []float64{-sigma, sigma} {
				for j := range d {
					x := m[j] + offset
					if j == axis {
						x += side
					}
					s.rows = append(s.rows, x)
				}
				s.labels = append(s.labels, int64(c))
			}
		}
	}
	return s
}

func (s star) features() npy { return npy{[]int{len(s.labels), s.d}, s.rows} }

// arrays are those of a file with a classifier.
func (s star) arrays() []member {
	return []member{
		{"features", s.features()}, {"labels", npy{[]int{len(s.labels)}, s.labels}},
		{"weights", npy{[]int{s.K, s.d}, s.weights}}, {"bias", npy{[]int{s.K}, s.bias}},
	}
}

// fixtures writes the files that scripts use.
func fixtures(dir string) error {
	run, test, wide := newStar(4, 5, 0.25, 0.05), newStar(4, 5, 0.5, 0.1), newStar(4, 5, 1, 0.2)
	pure := newStar(4, 5, 0.25, 0)
	noTests := run.arrays()
	withTests := append(run.arrays(), member{"test_features", test.features()}, member{"test_labels", npy{[]int{len(test.labels)}, test.labels}})
	nan := newStar(4, 5, 0.25, 0)
	nan.rows[7] = math.NaN()
	absent := newStar(4, 5, 0.25, 0)
	absent.labels = absent.labels[:30]
	absent.rows = absent.rows[:30*5]
	layers := append([]member{{"features/block1", wide.features()}}, run.arrays()...)
	layers[1].name = "features/head"
	var tags []int64 // of a row: its class, and of every other row the next one too
	for i, label := range run.labels {
		row := make([]int64, run.K)
		row[label] = 1
		row[(int(label)+i%2)%run.K] = 1
		tags = append(tags, row...)
	}
	files := map[string][]member{
		"tags.npz":    {{"x", run.features()}, {"y", npy{[]int{len(run.labels), run.K}, tags}}},
		"run.npz":     withTests,
		"bare.npz":    pure.arrays()[:2],
		"before.npz":  wide.arrays(),
		"layers.npz":  layers,
		"nan.npz":     nan.arrays(),
		"absent.npz":  absent.arrays(),
		"short.npz":   {noTests[0], {"labels", npy{[]int{39}, run.labels[:39]}}},
		"aliases.npz": {{"h", run.features()}, {"y", npy{[]int{40}, run.labels}}},
		"a\tb.npz":    {{"features", run.features()}, {"tar\x1b[31mgets", npy{[]int{40}, run.labels}}},
	}
	for step, sigma := range map[int]float64{1: 2.5, 2: 1, 10: 0.25, 30: 0.05} {
		files[fmt.Sprintf("ckpts/ckpt_%d.npz", step)] = newStar(4, 5, sigma, sigma/5).arrays()
	}
	for step, sigma := range map[int]float64{1: 2, 2: 0.5} {
		files[fmt.Sprintf("other/ckpt_%d.npz", step)] = newStar(4, 5, sigma, sigma/5).arrays()
	}
	for name, members := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, archive(members), 0o666); err != nil {
			return err
		}
	}
	trained, err := os.ReadFile("../../testdata/multilabel.npz")
	if err != nil {
		return err
	}
	os.WriteFile(filepath.Join(dir, "multilabel.npz"), trained, 0o666)
	os.WriteFile(filepath.Join(dir, "features.npy"), run.features().bytes(), 0o666)
	os.WriteFile(filepath.Join(dir, "labels.npy"), npy{[]int{40}, run.labels}.bytes(), 0o666)
	os.WriteFile(filepath.Join(dir, "garbage.npz"), []byte("no archive"), 0o666)
	return nil
}

type member struct {
	name string
	npy
}

func archive(members []member) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.Create(m.name + ".npy")
		if err != nil {
			panic(err)
		}
		f.Write(m.bytes())
	}
	w.Close()
	return b.Bytes()
}

// npy is an array in numpy's format.
type npy struct {
	shape []int
	data  any // []float64 or []int64
}

func (a npy) header() []byte {
	kind := "<i8"
	if _, ok := a.data.([]float64); ok {
		kind = "<f8"
	}
	shape := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(a.shape)), ", "), "[]")
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }", kind, shape)
	text += strings.Repeat(" ", 63-(10+len(text))%64) + "\n"
	return append([]byte("\x93NUMPY\x01\x00"+string(binary.LittleEndian.AppendUint16(nil, uint16(len(text))))), text...)
}

func (a npy) bytes() []byte {
	b := bytes.NewBuffer(a.header())
	binary.Write(b, binary.LittleEndian, a.data)
	return b.Bytes()
}
