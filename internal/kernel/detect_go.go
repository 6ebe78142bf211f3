//go:build !amd64 || purego

package kernel

func detect() int { return levelGo }
