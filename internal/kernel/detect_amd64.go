//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// detect returns the best level of this processor.
func detect() int {
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA || !x.HasF16C || !x.HasBMI2 {
		return levelGo
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		return levelAVX512
	}
	return levelAVX2
}
