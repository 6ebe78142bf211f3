package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/collapsar/collapsar/internal/atomicfile"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newMan writes a manual page for every command. Packagers run it.
func newMan(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write manual pages",
		Example: "  collapsar man /usr/local/share/man/man1",
		Hidden:  true,
		Args:    atLeast(1, "a directory to write to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return err
			}
			return manTree(cmd.Root(), args[0])
		},
	}
}

func manTree(cmd *cobra.Command, dir string) error {
	cmd.InitDefaultHelpFlag()
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := atomicfile.Write(filepath.Join(dir, name), func(w io.Writer) error { _, err := w.Write(manPage(cmd)); return err }); err != nil {
		return err
	}
	for _, c := range visible(cmd) {
		if err := manTree(c, dir); err != nil {
			return err
		}
	}
	return nil
}

func visible(cmd *cobra.Command) (out []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
			out = append(out, c)
		}
	}
	return out
}

// roff escapes text: backslashes, hyphens that are typed, and what would be a request at the beginning of a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func manPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	path := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH \"%s\" 1 \"\" \"collapsar %s\" \"Collapsar\"\n", strings.ToUpper(path), versionText())
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(path), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", strings.ReplaceAll(roff(long), "\n\n", "\n.PP\n"))
	if cmd.HasExample() {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	options := func(title string, flags *pflag.FlagSet) {
		if !flags.HasAvailableFlags() {
			return
		}
		fmt.Fprintf(&b, ".SH %s\n", title)
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			kind, usage := pflag.UnquoteUsage(f)
			short := ""
			if f.Shorthand != "" {
				short = "-" + f.Shorthand + ", "
			}
			fmt.Fprintf(&b, ".TP\n.B %s", roff(short+"--"+f.Name))
			if kind != "" {
				fmt.Fprintf(&b, " \\fI%s\\fR", roff(kind))
			}
			fmt.Fprintf(&b, "\n%s\n", roff(usage))
		})
	}
	options("OPTIONS", cmd.NonInheritedFlags())
	options("OPTIONS OF EVERY COMMAND", cmd.InheritedFlags())
	fmt.Fprintf(&b, ".SH EXIT STATUS\n0 when all is well, 1 when something failed, 2 for wrong usage, 99 when a threshold is not met.\n")
	var also []string
	if cmd.HasParent() {
		also = append(also, cmd.Parent().CommandPath())
	}
	for _, c := range visible(cmd) {
		also = append(also, c.CommandPath())
	}
	if also != nil {
		fmt.Fprintf(&b, ".SH SEE ALSO\n")
		for i, name := range also {
			comma := ","
			if i == len(also)-1 {
				comma = ""
			}
			fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(strings.ReplaceAll(name, " ", "-")), comma)
		}
	}
	return b.Bytes()
}
