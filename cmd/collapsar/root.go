package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/internal/suggest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// execute runs the command line.
func execute(ctx context.Context, u *ui, args []string) error {
	root := newRoot(u, args)
	root.SetArgs(args)
	root.SetOut(&u.page)
	root.SetErr(u.stderr)
	return root.ExecuteContext(ctx)
}

func newRoot(u *ui, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "collapsar",
		Short: "Measure neural collapse",
		Long: `Collapsar measures neural collapse: how far the last-layer features of a
classifier have drawn together within their classes, and how close their
means are to a simplex.

It reads features and labels, and optionally the classifier and test rows,
from .npz, .npy, .safetensors, .pt, Parquet and CSV files.`,
		Example: `  collapsar measure run.npz                          every metric of a file
  collapsar measure checkpoints/                     how they went along training
  collapsar measure run.npz --json                   for programs
  collapsar measure run.npz --threshold 'nc1<0.1'    exit status 99 if it is not so
  collapsar compare before.npz after.npz             side by side
  collapsar metrics nc1                              what a number means`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			if _, err := os.Stat(args[0]); err == nil {
				return usagef("%s: not a command; to measure a file, write: collapsar measure %s", args[0], args[0])
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			return usagef("%s: not a command%s", args[0], suggest.Hint(args[0], names))
		},
	}
	root.Version = versionText()
	root.SetVersionTemplate(versionLine())
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", u.width)))
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.BoolVar(&u.json, "json", false, "print JSON, schema collapsar/1")
	flags.BoolVarP(&u.quiet, "quiet", "q", false, "no warnings, no progress")
	root.AddCommand(newMeasure(u), newPredict(u), newInspect(u), newCompare(u), newPlace(u), newSolve(u), newTrain(u), newDemo(u), newMetrics(u), newVersion(u), newMan(u))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Short = "Print a script that completes the command in a shell"
		}
	}
	return root
}

// flagError turns a complaint about a flag into wrong usage, with the flag that may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	hint := ""
	if text, rest, found := strings.Cut(err.Error(), ": strconv.Parse"); found { // what Go calls its own functions helps nobody
		what := "a whole number that is not too large"
		switch {
		case strings.HasPrefix(rest, "Float"):
			what = "a number"
		case strings.HasPrefix(rest, "Bool"):
			what = "true or false"
		}
		err = errors.New(text + ": must be " + what)
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := suggest.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			hint = "; did you mean --" + near + "?"
		}
	}
	if cmd.HasParent() {
		return usagef("%s: %v%s", cmd.Name(), err, hint)
	}
	return usagef("%v%s", err, hint)
}

// atLeast wants a number of arguments, and says what they are.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usagef("%s: wants %s; see collapsar %s --help", cmd.Name(), what, cmd.Name())
		}
		return nil
	}
}

// atMost wants no more than a number of arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("%s: %s: one argument too many; see collapsar %s --help", cmd.Name(), args[n], cmd.Name())
		}
		return nil
	}
}

// oneOf is a string flag with few values.
type oneOf struct {
	to     *string
	values []string
}

func (f oneOf) String() string {
	if f.to == nil {
		return ""
	}
	return *f.to
}

func (f oneOf) Type() string { return strings.Join(f.values, "|") }

func (f oneOf) Set(s string) error {
	if !slices.Contains(f.values, s) {
		return errors.New("must be " + alternatives(f.values) + suggest.Hint(s, f.values))
	}
	*f.to = s
	return nil
}

// alternatives is "a, b or c".
func alternatives(names []string) string {
	s := ""
	for i, name := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			s += " or "
		default:
			s += ", "
		}
		s += name
	}
	return s
}
