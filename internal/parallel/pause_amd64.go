//go:build !purego

package parallel

// pause tells the processor that it runs a spin loop.
//
//go:noescape
func pause()
