package main

import (
	"github.com/spf13/cobra"

	reports "github.com/sgadvise/sgadvise/report"
)

func newSchema(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the report document",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := s.out.Write(reports.Schema())
			return err
		},
	}
}
