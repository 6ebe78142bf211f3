package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/features"
	"github.com/collapsar/collapsar/internal/array"
	"github.com/spf13/cobra"
)

func newInspect(u *ui) *cobra.Command {
	var o features.Options
	var failFast bool
	cmd := &cobra.Command{
		Use:   "inspect FILE|DIRECTORY|GLOB...",
		Short: "Show what files hold, and what measure would take for what",
		Long: `Inspect lists the arrays of a file with their types and shapes, and the part
that each would play in a measurement. It reads headers only.`,
		Example: `  collapsar inspect run.npz
  collapsar inspect model.pt --features penultimate
  collapsar inspect checkpoints/ --json`,
		Args: atLeast(1, "a file, a directory or a glob"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := expand(args)
			if err != nil {
				return err
			}
			var listings []*features.Listing
			var failed error
			for _, step := range in.steps {
				if cmd.Context().Err() != nil {
					return errInterrupted
				}
				l, err := features.Inspect(step.Path, o)
				if err != nil {
					u.errorLine(array.About(err, step.Path))
					if failed = errPartial; failFast {
						return errReported
					}
					continue
				}
				listings = append(listings, l)
			}
			switch {
			case len(listings) == 0:
			case u.json:
				if err := inspectJSON(&u.page, listings); err != nil {
					return err
				}
			default:
				for i, l := range listings {
					if i > 0 {
						u.WriteByte('\n')
					}
					inspectText(&u.page, l)
				}
			}
			return failed
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&failFast, "fail-fast", false, "stop at the first file that fails")
	readFlags(cmd, &o)
	return cmd
}

func inspectText(p *page, l *features.Listing) {
	p.printf("%s  %s, %s, %s\n", p.styled(bold, clean(l.Source)), l.Format, bytesText(l.Size), plural(len(l.Arrays), "array"))
	t := table{indent: 2, columns: []alignment{left, left, left, left}}
	for _, a := range l.Arrays {
		what, look := a.Role, green
		switch {
		case a.Refused != "":
			what, look = "cannot be read: "+a.Refused, yellow
		case what == "":
			what, look = "not used", dim
		}
		dtype := a.DType.String()
		if a.Refused != "" {
			dtype = none
		}
		t.add(text(a.Name), faint(dtype), faint(shape(a.Shape)), cell{clean(what), look})
	}
	t.write(p)
	for _, n := range l.Notes {
		p.wrapped(dim, 2, "note: "+clean(n.Message))
	}
	if l.Err != nil {
		p.wrapped(yellow, 2, "measure would refuse it: "+clean(strings.TrimPrefix(l.Err.Error(), l.Source+": ")))
	}
}

func shape(s []int) string {
	if len(s) == 0 {
		return "scalar"
	}
	parts := make([]string, len(s))
	for i, n := range s {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, " x ")
}

func inspectJSON(p *page, listings []*features.Listing) error {
	type arrayJSON struct {
		Name    string `json:"name"`
		DType   string `json:"dtype,omitempty"`
		Shape   []int  `json:"shape"`
		Role    string `json:"role,omitempty"`
		Refused string `json:"refused,omitempty"`
	}
	type problemJSON struct {
		Array   string `json:"array,omitempty"`
		Code    string `json:"code,omitempty"`
		Message string `json:"message"`
	}
	type listingJSON struct {
		Source  string       `json:"source"`
		Format  string       `json:"format"`
		Bytes   int64        `json:"bytes"`
		Arrays  []arrayJSON  `json:"arrays"`
		Notes   []noteJSON   `json:"notes,omitempty"`
		Problem *problemJSON `json:"problem,omitempty"` // why measure would refuse the file
	}
	var files []listingJSON
	for _, l := range listings {
		f := listingJSON{Source: l.Source, Format: l.Format, Bytes: l.Size, Arrays: []arrayJSON{}, Notes: notesJSON(l.Notes)}
		for _, a := range l.Arrays {
			j := arrayJSON{Name: a.Name, Shape: a.Shape, Role: a.Role, Refused: a.Refused}
			if a.Refused == "" {
				j.DType = a.DType.String()
			}
			if j.Shape == nil {
				j.Shape = []int{}
			}
			f.Arrays = append(f.Arrays, j)
		}
		if l.Err != nil {
			f.Problem = &problemJSON{Message: l.Err.Error()}
			var e *features.Error
			if errors.As(l.Err, &e) {
				f.Problem = &problemJSON{e.Array, string(e.Kind), e.Message}
			}
		}
		files = append(files, f)
	}
	d := newDocument(p, "inspect")
	list(d, "files", files)
	return d.end()
}
