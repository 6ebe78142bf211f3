package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/dataset"
)

// A compositeFlag is one for a part of data.composite.
type compositeFlag struct {
	name, words string
	get         func(c *dataset.Composite) string
	set         func(c *dataset.Composite, text string) error
}

var compositeFlags = []compositeFlag{
	{"composite", "put images of several classes into one frame, which has their tags: training `samples` of every tag set by its size, as in 1:150,2:30",
		func(c *dataset.Composite) string { return bySize(c.Train) },
		func(c *dataset.Composite, text string) (err error) {
			c.Train, err = parseBySize(text, strconv.Atoi)
			return err
		}},
	{"composite-test", "test `samples` of every tag set, likewise; without it there are none",
		func(c *dataset.Composite) string { return bySize(c.Test) },
		func(c *dataset.Composite, text string) (err error) {
			c.Test, err = parseBySize(text, strconv.Atoi)
			return err
		}},
	{"composite-ratio", "make training tag sets of a size unequal: `ratios` of the largest to the smallest, as in 2:10",
		func(c *dataset.Composite) string { return bySize(c.Ratio) },
		func(c *dataset.Composite, text string) (err error) {
			c.Ratio, err = parseBySize(text, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
			return err
		}},
	{"composite-layout", "quarters (a quarter for each image, at random) or corners (opposite corners first)",
		func(c *dataset.Composite) string { return c.Layout },
		func(c *dataset.Composite, text string) error { c.Layout = text; return nil }},
	{"composite-shift", "move each image by up to so many `pixels`",
		func(c *dataset.Composite) string { return strconv.Itoa(c.Shift) },
		func(c *dataset.Composite, text string) (err error) {
			c.Shift, err = strconv.Atoi(text)
			return err
		}},
	{"composite-halve", "shrink frames to the size of the images",
		func(c *dataset.Composite) string { return strconv.FormatBool(c.Halve) },
		func(c *dataset.Composite, text string) (err error) {
			c.Halve, err = strconv.ParseBool(text)
			return err
		}},
	{"composite-seed", "`number` that the frames are drawn by, whatever the seed of the run",
		func(c *dataset.Composite) string { return strconv.FormatUint(c.Seed, 10) },
		func(c *dataset.Composite, text string) (err error) {
			c.Seed, err = strconv.ParseUint(text, 10, 64)
			return err
		}},
}

// composite is the value of one of them. The first that is set makes the composite.
type composite struct {
	to   **dataset.Composite
	flag compositeFlag
}

func (v composite) String() string {
	if v.to == nil || *v.to == nil {
		return ""
	}
	return v.flag.get(*v.to)
}

func (v composite) Set(text string) error {
	if *v.to == nil {
		*v.to = new(dataset.Composite)
	}
	err := v.flag.set(*v.to, text)
	if errors.Is(err, strconv.ErrSyntax) || errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%q is not what is expected", text)
	}
	return err
}

func (v composite) Type() string {
	if v.flag.name == "composite-halve" {
		return "bool"
	}
	return "string"
}

// bySize writes numbers by the size of tag sets, as parseBySize reads them.
func bySize[V int | float64](of map[int]V) string {
	var parts []string
	for _, size := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%d:%v", size, of[size]))
	}
	return strings.Join(parts, ",")
}

// parseBySize reads a list of SIZE:NUMBER.
func parseBySize[V int | float64](text string, parse func(string) (V, error)) (map[int]V, error) {
	of := map[int]V{}
	for part := range strings.SplitSeq(text, ",") {
		left, right, ok := strings.Cut(strings.TrimSpace(part), ":")
		size, err := strconv.Atoi(left)
		v, err2 := parse(right)
		if err := cmp.Or(err, err2); err != nil || !ok {
			return nil, errors.New("must be TAGS:NUMBER, as in 1:150,2:30")
		}
		if _, twice := of[size]; twice {
			return nil, fmt.Errorf("%d tags come twice", size)
		}
		of[size] = v
	}
	return of, nil
}
