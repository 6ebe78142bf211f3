package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker for releases.
var version = ""

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func versionLine() string {
	return fmt.Sprintf("collapsar %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func newVersion(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  collapsar version --json",
		Args:    nothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			if u.json {
				d := newDocument(&u.page, "version")
				d.field("go", runtime.Version())
				d.field("platform", runtime.GOOS+"/"+runtime.GOARCH)
				return d.end()
			}
			u.WriteString(versionLine())
			return nil
		},
	}
}

func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s: takes no arguments, got %s", cmd.Name(), args[0])
	}
	return nil
}
