module github.com/collapsar/collapsar

go 1.26.0

require golang.org/x/sys v0.49.0

require (
	github.com/klauspost/compress v1.20.3 // indirect
	gonum.org/v1/gonum v0.17.0 // indirect
)
