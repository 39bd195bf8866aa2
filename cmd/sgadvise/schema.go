package main

import (
	"github.com/spf13/cobra"

	reports "github.com/sgadvise/sgadvise/report"
)

// schemas are the documents that have a JSON Schema.
var schemas = []struct {
	name   string
	schema func() []byte
}{
	{"report", reports.Schema},
	{"effective", reports.EffectiveJSONSchema},
	{"explain", reports.ExplainJSONSchema},
	{"verify", reports.VerifyJSONSchema},
	{"diff", reports.DiffJSONSchema},
}

func newSchema(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema [report|effective|explain|verify|diff]",
		Short: "Print the JSON Schema of the report, or of another document",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, x := range schemas {
				if len(args) == 0 || args[0] == x.name {
					_, err := s.out.Write(x.schema())
					return err
				}
			}
			return usageError("no document is called %q", args[0])
		},
	}
}
