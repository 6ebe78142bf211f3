//go:build !amd64 || purego

package parallel

// pause is the body of a spin loop.
func pause() {}
