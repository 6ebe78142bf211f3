package ufm

import (
	"maps"
	"slices"
)

// sortedKeys lists the keys of a map in order.
func sortedKeys(m map[int]int) []int { return slices.Sorted(maps.Keys(m)) }

// binomial is the number of subsets of size m, exact as long as it fits.
func binomial(n, m int) int {
	if m < 0 || m > n {
		return 0
	}
	b := 1
	for i := range min(m, n-m) {
		b = b * (n - i) / (i + 1)
	}
	return b
}

// subsets lists the subsets of {0, ..., n-1} of size m, in order.
func subsets(n, m int) [][]int {
	var out [][]int
	set := make([]int, m)
	for i := range set {
		set[i] = i
	}
	for m <= n {
		out = append(out, slices.Clone(set))
		i := m - 1
		for i >= 0 && set[i] == n-m+i {
			i--
		}
		if i < 0 {
			break
		}
		set[i]++
		for j := i + 1; j < m; j++ {
			set[j] = set[j-1] + 1
		}
	}
	return out
}
