package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/analyzer"
)

func newChecks(s streams) *cobra.Command {
	return &cobra.Command{
		Use:     "checks [NAME]",
		Short:   "List the checks, or explain one",
		Example: "  sgadvise checks unused-rule",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
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
}

func writeCheck(w io.Writer, a *analyzer.Analyzer) error {
	_, err := fmt.Fprintf(w, "%s (%s)\n%s.\n\n%s\n", a.Name, a.Severity, strings.TrimSuffix(a.Title, "."), a.Doc)
	return err
}
