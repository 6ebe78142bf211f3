package features

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/parallel"
)

// Tags are the tag sets of a split whose rows have several labels each, or none. Split.Labels then holds, for every row,
// the place of its tag set in Sets.
type Tags struct {
	Count    int      // K: tags that there are
	Names    []string // of the tags, where labels are lists of words: in the order of the words; nil for numbers
	Sets     [][]int  // the distinct tag sets: by size, those of one size in the order of their tags; tags increase
	open     bool     // from lists: there may be more tags than these
	Weighted bool     // the labels held numbers other than 0 and 1; those above 0 counted as tags
}

// Multiplicities are the sizes of the tag sets, increasing; 0 is among them where rows have no tag.
func (t *Tags) Multiplicities() (sizes []int) {
	for _, s := range t.Sets {
		if n := len(sizes); n == 0 || sizes[n-1] != len(s) {
			sizes = append(sizes, len(s))
		}
	}
	return sizes
}

// A tagger numbers tag sets as they come up. A key has a bit for every tag.
type tagger struct {
	count, bytes int
	places       map[string]int64
	sets         [][]int
	size         int64 // about the memory of all this
	weighted     bool
}

func newTagger(count int) *tagger {
	return &tagger{count: count, bytes: (count + 7) / 8, places: map[string]int64{}}
}

func (b *tagger) place(key []byte) int64 {
	if i, ok := b.places[string(key)]; ok {
		return i
	}
	i := int64(len(b.sets))
	b.places[string(key)] = i
	set := []int{}
	for tag := range b.count {
		if key[tag/8]>>(tag%8)&1 == 1 {
			set = append(set, tag)
		}
	}
	b.sets = append(b.sets, set)
	b.size += int64(len(key) + 8*len(set) + 96)
	return i
}

// finish brings the tag sets into their order, and the rows' places with them.
func (b *tagger) finish(labels []int64) *Tags {
	order := make([]int, len(b.sets))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(len(b.sets[i]), len(b.sets[j])), slices.Compare(b.sets[i], b.sets[j]))
	})
	t := &Tags{Count: b.count, Weighted: b.weighted}
	to := make([]int64, len(order))
	for place, i := range order {
		t.Sets = append(t.Sets, b.sets[i])
		to[i] = int64(place)
	}
	for i, y := range labels {
		labels[i] = to[y]
	}
	return t
}

// turnBlocks is how many blocks of labels are decoded side by side before tag sets that are new among them are numbered.
const turnBlocks = 64

// readTags reads N x K labels: a finite number above 0 is a tag.
func (f *found) readTags(labels []int64, a array.Array, o Options) (*Tags, error) {
	info := a.Info()
	k, workers := info.Width(), 1
	if a.Random() {
		workers = parallel.Workers()
	}
	b := newTagger(k)
	rows := max(1, labelBlock/k)
	turn := min(turnBlocks*rows, len(labels))
	if err := f.fits(9*int64(workers)*int64(rows)*int64(k)+int64(turn)*int64(b.bytes), o); err != nil {
		return nil, err
	}
	keys := make([]byte, turn*b.bytes)
	looks := make([]tagLook, workers)
	var errs [turnBlocks]error
	var weighted [turnBlocks]bool
	budget := array.Options{Memory: o.Memory}.Budget()
	for from := 0; from < len(labels); from += turn {
		part := labels[from:min(from+turn, len(labels))]
		blocks := (len(part) + rows - 1) / rows
		parallel.Each(workers, blocks, func(w, i int) {
			lo, hi := i*rows, min((i+1)*rows, len(part))
			weighted[i], errs[i] = looks[w].rows(b, a, from+lo, part[lo:hi], keys[lo*b.bytes:hi*b.bytes])
		})
		for i, err := range errs[:blocks] {
			if err != nil {
				return nil, err
			}
			b.weighted = b.weighted || weighted[i]
		}
		for i, place := range part {
			if place < 0 {
				part[i] = b.place(keys[i*b.bytes : (i+1)*b.bytes])
			}
		}
		if b.size > budget {
			return nil, array.Errorf(TooLarge, info.Name, "the first %d rows have %d different tag sets, which take more than the budget of %d bytes; raise --memory", from+len(part), len(b.sets), budget)
		}
	}
	if len(b.sets) == 1 && len(b.sets[0]) == 0 {
		return nil, array.Errorf(Empty, info.Name, "no row has a tag: all of %s is 0", info)
	}
	return b.finish(labels), nil
}

// A tagLook is what one worker decodes labels in.
type tagLook struct {
	bytes  []byte
	floats []float64
}

// rows reads the labels of rows from lo on, makes keys of them, and looks up the places of these: -1 for a tag set that has none yet.
func (l *tagLook) rows(b *tagger, a array.Array, lo int, places []int64, keys []byte) (weighted bool, err error) {
	l.bytes = grow(l.bytes, len(places)*b.count)
	stored, err := array.Bytes(a, l.bytes, lo)
	if err != nil {
		return false, err
	}
	if !stored || !packBytes(keys, l.bytes, b.count) {
		l.floats = grow(l.floats, len(l.bytes))
		if err := a.Float64s(l.floats, lo); err != nil {
			return false, err
		}
		var bad int
		if weighted, bad = packFloats(keys, l.floats, b.count); bad >= 0 {
			return false, array.Errorf(BadLabel, a.Info().Name, "row %d, column %d holds %v, expected a tag: 0 or more", lo+bad/b.count, bad%b.count, l.floats[bad])
		}
	}
	for i := range places {
		place, known := b.places[string(keys[i*b.bytes:(i+1)*b.bytes])]
		if !known {
			place = -1
		}
		places[i] = place
	}
	return weighted, nil
}

// packBytes makes keys of rows of k labels, eight at a time. It reports false where one is neither 0 nor 1.
func packBytes(keys, labels []byte, k int) bool {
	const ones = 0x0101010101010101
	other, at := uint64(0), 0
	pack := func(eight uint64) {
		other |= eight &^ ones
		keys[at] = byte(eight * 0x0102040810204080 >> 56) // brings bit 8i to bit 56 + i
		at++
	}
	for ; len(labels) > 0; labels = labels[k:] {
		row := labels[:k]
		for ; len(row) >= 8; row = row[8:] {
			pack(binary.LittleEndian.Uint64(row))
		}
		if len(row) > 0 {
			var last [8]byte
			copy(last[:], row)
			pack(binary.LittleEndian.Uint64(last[:]))
		}
	}
	return other == 0
}

// packFloats is packBytes for all numbers above 0, weighted if one is not 1. The first that is no tag is at bad, or else that is -1.
func packFloats(keys []byte, labels []float64, k int) (weighted bool, bad int) {
	clear(keys)
	size := (k + 7) / 8
	for i := 0; i < len(labels); i += k {
		key := keys[i/k*size:][:size]
		for j, x := range labels[i : i+k] {
			if x == 0 {
				continue
			}
			if !(x > 0) || math.IsInf(x, 0) {
				return weighted, i + j
			}
			key[j/8] |= 1 << (j % 8)
			weighted = weighted || x != 1
		}
	}
	return weighted, -1
}

func unlikeWeights(name string, k int, c *Classifier) error {
	return array.Errorf(BadWeights, name, "%d columns of tags, weights has %d rows", k, c.Classes)
}

// readTagLists reads lists of tags, of words or of numbers from 0 on. Words become the tags 0, 1, ... in their order.
func (f *found) readTagLists(labels []int64, o Options) (*Tags, error) {
	name := f.infos[0].Name
	lists, ok := f.file.File.(array.Lister)
	if !ok {
		return nil, array.Errorf(Unsupported, name, "lists of tags are not read from %s files", f.file.Format())
	}
	budget := array.Options{Memory: o.Memory}.Budget()
	var words []string
	ids, places := map[string]int{}, map[string]int64{}
	var sets [][]int
	var size int64
	var key []byte
	var set []int
	err := lists.TagLists(name, func(row int, list []string) error {
		set = set[:0]
		for _, w := range list {
			id, known := ids[w]
			if !known {
				id = len(words)
				w = strings.Clone(w)
				ids[w] = id
				words = append(words, w)
				size += int64(len(w)) + 64
			}
			set = append(set, id)
		}
		slices.Sort(set)
		set = slices.Compact(set)
		key = key[:0]
		for _, id := range set {
			key = binary.AppendUvarint(key, uint64(id))
		}
		place, known := places[string(key)]
		if !known {
			place = int64(len(sets))
			places[string(key)] = place
			sets = append(sets, slices.Clone(set))
			size += int64(len(key) + 8*len(set) + 96)
		}
		labels[row] = place
		if size > budget {
			return array.Errorf(TooLarge, name, "the first %d rows have %d different tags in %d tag sets, which take more than the budget of %d bytes; raise --memory", row+1, len(words), len(sets), budget)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, array.Errorf(Empty, name, "no row has a tag")
	}
	t := &tagger{count: len(words), sets: sets}
	to, names := NumberTags(words)
	if names == nil {
		t.count = slices.Max(to) + 1
	}
	for _, s := range sets {
		for i, id := range s {
			s[i] = to[id]
		}
		slices.Sort(s)
	}
	tags := t.finish(labels)
	tags.Names, tags.open = names, true
	return tags, nil
}

// NumberTags is the tags that different words stand for: the numbers that they are, if all are whole numbers from 0 on, and names is
// nil; else their places among the sorted words, which are then the names.
func NumberTags(words []string) (tags []int, names []string) {
	const most = 1 << 20
	tags = make([]int, len(words))
	for i, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil || n < 0 || n >= most || strconv.Itoa(n) != w {
			names = slices.Sorted(slices.Values(words))
			break
		}
		tags[i] = n
	}
	if names != nil {
		for i, w := range words {
			tags[i], _ = slices.BinarySearch(names, w)
		}
	}
	return tags, names
}

// shareNames numbers tags that are words alike in all splits.
func shareNames(splits []*labelling) error {
	var all []string
	for _, l := range splits {
		if l.tags != nil {
			all = append(all, l.tags.Names...)
		}
	}
	if all == nil {
		return nil
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, l := range splits {
		if l.tags == nil || l.tags.Names == nil {
			return array.InFile(array.Errorf(Mismatch, l.name(), "the tags are numbers here, and words elsewhere"), l.from.file.path, l.name())
		}
		for _, s := range l.tags.Sets { // the order of words is that of their numbers, before and after
			for i, k := range s {
				s[i], _ = slices.BinarySearch(all, l.tags.Names[k])
			}
		}
		l.tags.Count, l.tags.Names = len(all), all
	}
	return nil
}

// A labelling is the labels of a split while it is not decided whether they are classes or tag sets.
type labelling struct {
	from   *found
	labels []int64
	tags   *Tags // nil for a class a row
}

func (l *labelling) name() string { return l.from.infos[0].Name }

// settle decides for all splits whether their rows have one class or a tag set each: one class, if every row of every split
// has one tag and nothing else was asked for.
func settle(splits []*labelling, c *Classifier, o Options) error {
	multi := o.MultiLabel == "yes"
	count := 0 // of tags
	if err := shareNames(splits); err != nil {
		return err
	}
	for _, l := range splits {
		if l.tags != nil {
			multi = multi || o.MultiLabel != "no" && !l.tags.single()
			count = max(count, l.tags.Count)
		} else if len(l.labels) > 0 {
			count = max(count, int(min(slices.Max(l.labels), math.MaxInt32))+1)
		}
	}
	if c != nil {
		count = c.Classes
	}
	for _, l := range splits {
		var err error
		switch {
		case !multi && l.tags != nil:
			if err = l.tags.asClasses(l.labels, l.name()); err == nil {
				l.tags, err = nil, checkLabels(l.name(), l.labels, c)
			}
		case multi && l.tags == nil:
			const most = 1 << 20 // tags: a key has a bit for each
			if count > most {
				err = array.Errorf(TooLarge, l.name(), "%d tags, the limit is %d", count, most)
			} else {
				l.tags = asTags(l.labels, count)
			}
		case multi && l.tags.open && l.tags.Names == nil && l.tags.Count <= count:
			l.tags.Count = count
		case multi && l.tags.open && l.tags.Count != count:
			err = array.Errorf(BadWeights, l.name(), "%d different tags, weights has %d rows", l.tags.Count, count)
		case multi && c != nil && l.tags.Count != c.Classes:
			err = unlikeWeights(l.name(), l.tags.Count, c)
		case multi && l.tags.Count != count:
			err = array.Errorf(Mismatch, l.name(), "%d columns of tags, elsewhere there are %d", l.tags.Count, count)
		}
		if err != nil {
			return array.InFile(err, l.from.file.path, l.name())
		}
		if multi && l.tags.Weighted {
			l.from.file.note("label_weights", "%s holds numbers other than 0 and 1: what is above 0 is taken as a tag, and its size does not count", l.name())
		}
	}
	return nil
}

// asClasses makes the places of tag sets into classes, where each has one tag.
func (t *Tags) asClasses(labels []int64, name string) error {
	for row, y := range labels {
		s := t.Sets[y]
		if len(s) != 1 {
			return array.Errorf(MultiLabel, name, "row %d has %s of %d, expected one with --multi-label no", row, tagCount(len(s)), t.Count)
		}
		labels[row] = int64(s[0])
	}
	return nil
}

func tagCount(n int) string {
	if n == 1 {
		return "1 tag"
	}
	return strconv.Itoa(n) + " tags"
}

// single reports whether every row has one tag.
func (t *Tags) single() bool {
	return !slices.ContainsFunc(t.Sets, func(s []int) bool { return len(s) != 1 })
}

// asTags makes classes into tag sets of one tag each, out of count.
func asTags(labels []int64, count int) *Tags {
	b := newTagger(count)
	key := make([]byte, b.bytes)
	for i, y := range labels {
		clear(key)
		key[y/8] |= 1 << (y % 8)
		labels[i] = b.place(key)
	}
	return b.finish(labels)
}
