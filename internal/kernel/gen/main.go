// Command gen writes the assembly of package kernel and its Go declarations:
//
//	go run . -dir ..
//
// It is a module of its own, so that the packages that need the kernels do not need the generator's
// dependencies.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// A generator makes the functions of one assembly file.
type generator struct {
	*build.Context
	labels int
	made   map[string]bool // constants that exist
}

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", "..", "write the files to `directory`")
	flag.Parse()
	for _, file := range []struct {
		name string
		fill func(*generator)
	}{
		{"gemm", gemm},
		{"dots", dots},
		{"rows", rows},
		{"train", train},
		{"conv", conv},
	} {
		if err := write(*dir, file.name, file.fill); err != nil {
			log.Fatal(err)
		}
	}
}

// write makes one pair of files. Both are complete before either is put in place.
func write(dir, name string, fill func(*generator)) error {
	g := &generator{Context: build.NewContext()}
	g.ConstraintExpr("!purego")
	fill(g)
	file, err := g.Result()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := pass.Compile.Execute(file); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	config := printer.Config{Name: "internal/kernel/gen", Pkg: "kernel"}
	assembly, err := printer.NewGoAsm(config).Print(file)
	if err != nil {
		return err
	}
	stubs, err := printer.NewStubs(config).Print(file)
	if err != nil {
		return err
	}
	for _, out := range []struct {
		name string
		data []byte
	}{
		{name + "_amd64.s", assembly},
		{name + "_stubs_amd64.go", stubs},
	} {
		path := filepath.Join(dir, out.name)
		if err := os.WriteFile(path+".new", out.data, 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

// function begins a function without a frame.
func (g *generator) function(name, signature string, doc ...string) {
	g.Function(name)
	g.Attributes(attr.NOSPLIT)
	g.Pragma("noescape")
	g.SignatureExpr(signature)
	g.Doc(doc...)
}

// label makes a label that is unique in its file.
func (g *generator) label(base string) string {
	g.labels++
	return fmt.Sprintf("%s%d", base, g.labels)
}

// ref is a reference to a label.
func ref(label string) operand.LabelRef { return operand.LabelRef(label) }

// at is a memory operand base + index*scale + displacement.
func at(base reg.Register, displacement int) operand.Mem {
	return operand.Mem{Base: base, Disp: displacement}
}

func indexed(base, index reg.Register, scale uint8, displacement int) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: scale, Disp: displacement}
}
