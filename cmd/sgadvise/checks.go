package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/control"
)

func newChecks(s streams) *cobra.Command {
	frameworks := false
	cmd := &cobra.Command{
		Use:   "checks [NAME]",
		Short: "List the checks, or explain one",
		Long: `Checks lists the checks, or explains one. With --frameworks it lists the compliance
frameworks, or the controls of one with the checks that are evidence toward each.`,
		Example: "  sgadvise checks unused-rule\n  sgadvise checks --frameworks cis-aws-5.0",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if frameworks {
				return writeFrameworks(s.out, args)
			}
			if len(args) == 0 {
				for _, a := range analyzer.All {
					if _, err := fmt.Fprintf(s.out, "%-26s %-9s %s\n", a.Name, a.Severity, a.Title); err != nil {
						return err
					}
				}
				return nil
			}
			a := analyzer.ByName(args[0])
			if a == nil {
				return &exitError{code: exitUsage, cause: fmt.Errorf("no check is called %q", args[0]), hint: "sgadvise checks lists them"}
			}
			return writeCheck(s.out, a)
		},
	}
	cmd.Flags().BoolVar(&frameworks, "frameworks", false, "list the compliance frameworks, or the controls of one")
	return cmd
}

// writeFrameworks lists the frameworks, or the controls of the one that args names.
func writeFrameworks(w io.Writer, args []string) error {
	var b strings.Builder
	if len(args) == 0 {
		for i := range control.All {
			f := &control.All[i]
			fmt.Fprintf(&b, "%-16s %2d controls  %s\n", f.ID, len(f.Controls), f.Title)
		}
	} else {
		f := control.Find(args[0])
		if f == nil {
			return &exitError{code: exitUsage, cause: fmt.Errorf("no framework is called %q", args[0]), hint: "sgadvise checks --frameworks lists them"}
		}
		fmt.Fprintf(&b, "%s\n", f.Title)
		for i := range f.Controls {
			c := &f.Controls[i]
			fmt.Fprintf(&b, "\n%s  %s\n  %s\n", c.ID, c.Title, evidenceOf(c))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// evidenceOf says in words what is evidence toward c.
func evidenceOf(c *control.Control) string {
	if c.Never != "" {
		return "not assessable: " + c.Never
	}
	var parts []string
	for _, e := range c.By {
		text := e.Check
		var only []string
		if e.Direction != "" {
			only = append(only, e.Direction)
		}
		if only = append(only, e.Tags...); len(only) > 0 {
			text += " (" + strings.Join(only, ", ") + ")"
		}
		if !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	text := strings.Join(parts, ", ")
	if c.Judged {
		text += "; our judgement"
	}
	return text
}

func writeCheck(w io.Writer, a *analyzer.Analyzer) error {
	_, err := fmt.Fprintf(w, "%s (%s)\n%s.\n\n%s\n", a.Name, a.Severity, strings.TrimSuffix(a.Title, "."), a.Doc)
	return err
}
