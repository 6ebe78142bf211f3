package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/features"
	tags "github.com/collapsar/collapsar/features/csv"
)

// counted are tag sets by words, with their counts.
type counted struct {
	index map[string]int
	words []string
	sets  map[string]int   // by their key
	of    map[string][]int // word numbers of a key
	order []string
}

func newCounted() *counted {
	return &counted{index: map[string]int{}, sets: map[string]int{}, of: map[string][]int{}}
}

func (c *counted) add(words []string, n int) {
	var set []int
	for _, w := range words {
		i, known := c.index[w]
		if !known {
			i = len(c.words)
			c.index[w] = i
			c.words = append(c.words, w)
		}
		set = append(set, i)
	}
	slices.Sort(set)
	set = slices.Compact(set)
	key := fmt.Sprint(set)
	if _, known := c.of[key]; !known {
		c.of[key] = set
		c.order = append(c.order, key)
	}
	c.sets[key] += n
}

// tagSetCounts fills in the tag sets of a file: a table or a JSON document of tag sets and counts, or labels, which are counted.
func tagSetCounts(path string, params map[string]any) error {
	c := newCounted()
	var err error
	switch {
	case strings.HasSuffix(path, ".json"):
		err = c.readJSON(path)
	case strings.HasSuffix(path, ".csv"), strings.HasSuffix(path, ".tsv"):
		err = c.readCSV(path)
	default:
		return countLabels(path, params)
	}
	if err != nil {
		return fmt.Errorf("--tagset-counts %s: %w", path, err)
	}
	numbers, names := features.NumberTags(c.words)
	k := 2
	for _, n := range numbers {
		k = max(k, n+1)
	}
	var sets []any
	for _, key := range c.order {
		if c.sets[key] == 0 {
			continue
		}
		list := []any{}
		for _, w := range c.of[key] {
			list = append(list, numbers[w])
		}
		sets = append(sets, map[string]any{"tags": list, "count": c.sets[key]})
	}
	return putTagSets(path, params, sets, k, names)
}

func putTagSets(path string, params map[string]any, sets []any, k int, names []string) error {
	if len(sets) == 0 {
		return fmt.Errorf("--tagset-counts %s: no samples", path)
	}
	if _, given := params["K"]; !given {
		params["K"] = k
	}
	params["tag_sets"] = sets
	if names != nil {
		list := []any{}
		for _, n := range names {
			list = append(list, n)
		}
		params["names"] = list
	}
	return nil
}

// countLabels counts the training labels of a file of features.
func countLabels(path string, params map[string]any) error {
	set, err := features.Open(path, features.Options{MultiLabel: "yes"})
	if err != nil {
		return err
	}
	defer set.Close()
	split := set.Layers[0].Train
	counts := make([]int, len(split.Tags.Sets))
	for _, y := range split.Labels {
		counts[y]++
	}
	var sets []any
	for i, s := range split.Tags.Sets {
		list := []any{}
		for _, k := range s {
			list = append(list, k)
		}
		if counts[i] > 0 {
			sets = append(sets, map[string]any{"tags": list, "count": counts[i]})
		}
	}
	return putTagSets(path, params, sets, split.Tags.Count, split.Tags.Names)
}

// readCSV reads a column of tag sets (tags, labels, label or tag_set) and one of counts (count, counts, samples or n); without counts
// every row is a sample.
func (c *counted) readCSV(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := csv.NewReader(f)
	if strings.HasSuffix(path, ".tsv") {
		r.Comma = '\t'
	}
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("empty: a header with a column tags was expected")
	}
	if err != nil {
		return err
	}
	column := func(names ...string) int {
		return slices.IndexFunc(head, func(h string) bool {
			return slices.Contains(names, strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))
		})
	}
	set, count := column("tags", "labels", "label", "tag_set"), column("count", "counts", "samples", "n")
	if set < 0 {
		return fmt.Errorf("columns %s: one called tags was expected", strings.Join(head, ", "))
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line, _ := r.FieldPos(0)
		words, err := tags.Words(nil, []byte(row[set]), "")
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		n := 1
		if count >= 0 {
			if n, err = strconv.Atoi(strings.TrimSpace(row[count])); err != nil || n < 0 {
				return fmt.Errorf("line %d: %q samples, expected a whole number", line, row[count])
			}
		}
		c.add(words, n)
	}
}

// readJSON reads {"cat;dog": 20, ...} or [{"tags": ["cat", "dog"], "count": 20}, ...].
func (c *counted) readJSON(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var object map[string]int
	if json.Unmarshal(data, &object) == nil {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			n := object[key]
			words, err := tags.Words(nil, []byte(key), "")
			if err != nil || n < 0 {
				return fmt.Errorf("%q: %d: expected tags with ; between, and a count", key, n)
			}
			c.add(words, n)
		}
		return nil
	}
	var list []struct {
		Tags  json.RawMessage
		Count int
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf(`expected {"cat;dog": 20, ...} or [{"tags": ["cat", "dog"], "count": 20}, ...]: %w`, err)
	}
	for i, e := range list {
		words, err := tags.Words(nil, e.Tags, "")
		if err != nil || e.Count < 0 {
			return fmt.Errorf("[%d]: expected tags, a list, and a count of 0 or more", i)
		}
		c.add(words, e.Count)
	}
	return nil
}
