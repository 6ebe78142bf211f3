module github.com/collapsar/collapsar/bench

go 1.26.0

require github.com/collapsar/collapsar v0.0.0

require (
	github.com/klauspost/compress v1.20.3 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/collapsar/collapsar => ../
