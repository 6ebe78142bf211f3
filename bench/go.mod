module github.com/collapsar/collapsar/bench

go 1.26.0

require github.com/collapsar/collapsar v0.0.0

require golang.org/x/sys v0.49.0 // indirect

replace github.com/collapsar/collapsar => ../
