package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/cmd/history"
	reports "github.com/sgadvise/sgadvise/report"
)

// diffFlags are the flags of diff.
type diffFlags struct {
	failOn  string
	history string
	answer  answerFlags
}

func newDiff(s streams) *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff OLD.json NEW.json [flags]",
		Short: "Say what changed between two stored reports, and why",
		Long: `Diff compares two reports that analyze wrote as JSON; one of them may be - for standard
input. With --history each may also be a run of the audit: its id, the beginning of one, or
last, previous or first. Findings are matched by fingerprint: new, worsened, improved, resolved, persisting.
Changes of the policy stand apart from changes of the traffic: a verdict that moved on a
rule that did not change is explained. Then come the plan, with the edits that were
applied, and what the logs could show.

With --fail-on, exit code 1 says that a finding at or above that severity is in the new
report and was not in the old one: it was not there, or less grave, or suppressed.`,
		Example: `  sgadvise diff last-week.json today.json --fail-on high
  sgadvise diff previous last --history ./history`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return f.run(args[0], args[1], s) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.answer.register(fs)
	fs.StringVar(&f.history, "history", "", "history of the audit in which to look for runs")
	fs.StringVar(&f.failOn, "fail-on", "none", "exit 1 if a new finding is at least this grave: none, low, medium, high, critical")
	return cmd
}

func (f *diffFlags) run(older, newer string, s streams) error {
	if err := f.answer.check(); err != nil {
		return err
	}
	if err := checkFailOn(f.failOn); err != nil {
		return err
	}
	if older == "-" && newer == "-" {
		return usageError("standard input cannot be read twice")
	}
	a, err := f.read(older, s)
	if err != nil {
		return err
	}
	b, err := f.read(newer, s)
	if err != nil {
		return err
	}
	doc := reports.Compare(tool(), a, b)
	err = f.answer.write(answer{
		text:     func(w io.Writer, o reports.Options) error { return reports.ComparisonText(w, doc, o) },
		markdown: func(w io.Writer) error { return reports.ComparisonMarkdown(w, doc) },
		json:     func(w io.Writer) error { return reports.WriteComparison(w, doc) },
	}, s)
	if err != nil {
		return err
	}
	if doc.Fails(f.failOn) {
		fmt.Fprintf(s.err, "sgadvise: there are new findings at or above %s\n", f.failOn)
		return &exitError{code: exitGate}
	}
	return nil
}

// read reads a report by the name of its file or, if there is none, of its run.
func (f *diffFlags) read(name string, s streams) (*reports.Report, error) {
	_, err := os.Stat(name)
	if f.history == "" || name == "-" || err == nil {
		doc, err := readReport(name, s)
		if err != nil {
			return nil, hinted(err)
		}
		return doc, nil
	}
	lines, err := history.ReadLines(f.history)
	if err != nil {
		return nil, inputError(namedPath(err))
	}
	run, err := history.Find(lines, name)
	switch {
	case err != nil:
		return nil, &exitError{code: exitUsage, cause: err, hint: "sgadvise audit history lists the runs; there is no file of that name either"}
	case !run.Complete():
		return nil, usageError("the run %s made no report: %s", run.ID, run.Error)
	}
	doc, err := history.ReadReport(f.history, run.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, inputError(fmt.Errorf("the report of the run %s is not kept any more (--keep)", run.ID))
	}
	if err != nil {
		return nil, inputError(namedPath(err))
	}
	return doc, nil
}
