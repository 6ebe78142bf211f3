module github.com/collapsar/collapsar

go 1.26
