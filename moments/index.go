package moments

// An index finds the place of a label: at once for the small labels that nearly all files have, by hashing for others.
type index struct {
	small []int32 // place + 1, by label
	large map[int64]int32
}

const smallLabels = 1 << 14

func (x *index) get(label int64) (int32, bool) {
	if uint64(label) < uint64(len(x.small)) {
		v := x.small[label]
		return v - 1, v != 0
	}
	v, ok := x.large[label]
	return v, ok
}

func (x *index) set(label int64, place int32) {
	if uint64(label) < smallLabels {
		if int(label) >= len(x.small) {
			grown := make([]int32, min(smallLabels, max(64, 2*int(label)+1)))
			copy(grown, x.small)
			x.small = grown
		}
		x.small[label] = place + 1
		return
	}
	if x.large == nil {
		x.large = map[int64]int32{}
	}
	x.large[label] = place
}

func (x *index) reset() {
	clear(x.small)
	clear(x.large)
}

// distinct counts the classes of a block of rows with the given labels; rows without labels are one class. The
// index is empty before and after.
func (x *index) distinct(labels []int64, block int) int {
	if labels == nil {
		return 1
	}
	n := 0
	for _, label := range labels[block*BlockRows : min((block+1)*BlockRows, len(labels))] {
		if _, ok := x.get(label); !ok {
			x.set(label, 0)
			n++
		}
	}
	x.reset()
	return n
}
