package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/analyzer"
	reports "github.com/sgadvise/sgadvise/report"
)

// renderFlags are the flags of render.
type renderFlags struct {
	failOn string
	output outputFlags
}

func newRender(s streams) *cobra.Command {
	var f renderFlags
	cmd := &cobra.Command{
		Use:   "render REPORT.json [flags]",
		Short: "Write a stored report in other formats",
		Long: `Render reads a report that analyze wrote as JSON, or - for standard input, and writes it
in other formats: the same bytes as analyze would have written. Nothing is analyzed
again; no log and no policy is read. Where --export names files and neither -o nor
--format is given, those files are all that is written.

With --fail-on it is a gate on the stored report, for pipelines that publish the report
first and fail afterwards.`,
		Example: `  sgadvise render report.json --export report.html --export report.sarif --export junit.xml
  sgadvise render report.json --fail-on high`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed
			f.output.exportOnly = len(f.output.export) > 0 && !given("output") && !given("format")
			return f.run(args[0], s)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.output.register(fs)
	fs.StringVar(&f.failOn, "fail-on", "", "exit 1 if a finding is at least this grave, in place of what the report was made with: none, low, medium, high, critical")
	return cmd
}

func (f *renderFlags) run(name string, s streams) error {
	if err := f.output.check(); err != nil {
		return err
	}
	if f.failOn != "" {
		if err := checkFailOn(f.failOn); err != nil {
			return err
		}
	}
	doc, err := readReport(name, s)
	if err != nil {
		return hinted(err)
	}
	if f.failOn != "" {
		doc.Options.FailOn = f.failOn
	}
	if err := f.output.write(doc, s); err != nil {
		return err
	}
	if n := doc.FailedAssertions(); n > 0 && f.failOn != "" && f.failOn != "none" {
		fmt.Fprintf(s.err, "sgadvise: %s not hold\n", plural(n, "assertion does", "assertions do"))
		return &exitError{code: exitGate}
	}
	if f.failOn != "" && doc.FailsAt(f.failOn) {
		fmt.Fprintf(s.err, "sgadvise: there are findings at or above %s\n", f.failOn)
		return &exitError{code: exitGate}
	}
	return nil
}

// checkFailOn holds the value of --fail-on to what it may be.
func checkFailOn(v string) error {
	if v != "none" && (v == string(analyzer.Info) || !slices.Contains(analyzer.Severities, analyzer.Severity(v))) {
		return usageError("--fail-on: %q is not none, low, medium, high or critical", v)
	}
	return nil
}

// hinted adds to an error of readReport what to do about it.
func hinted(err error) error {
	out := &exitError{code: exitInput, cause: err}
	var schema *reports.SchemaError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		out.hint = "sgadvise analyze … -o report.json writes what can be read here"
	case errors.As(err, &schema):
		out.hint = "sgadvise analyze … -o report.json writes what can be read here"
		if strings.HasPrefix(schema.Schema, "sgadvise.report/") {
			out.hint = "another version of sgadvise made it, and can read it"
		}
		for _, x := range schemas {
			if x.name != "report" && strings.HasPrefix(schema.Schema, "sgadvise."+x.name+"/") {
				out.hint = "it is what sgadvise " + x.name + " writes; reports come from sgadvise analyze"
			}
		}
	}
	return out
}
