package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/cmd/history"
	reports "github.com/sgadvise/sgadvise/report"
)

// pastFlags are the flags of the commands that look back.
type pastFlags struct {
	history, format string
	last            int
}

func (f *pastFlags) command(use, short, long string, s streams, text func(io.Writer, []history.Line)) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.NoArgs,
		Example: "  sgadvise audit " + use + " --config sgadvise.yaml",
		RunE: func(*cobra.Command, []string) error {
			lines, err := f.read()
			if err != nil {
				return err
			}
			if f.format == "json" {
				e := json.NewEncoder(s.out)
				e.SetIndent("", "  ")
				e.SetEscapeHTML(false)
				return e.Encode(lines)
			}
			var b strings.Builder
			text(&b, lines)
			_, err = io.WriteString(s.out, b.String())
			return err
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.history, "history", "", "folder that keeps what every run found")
	fs.IntVar(&f.last, "last", 0, "show so many of the last runs; 0: all")
	fs.StringVar(&f.format, "format", "text", "format of the answer: text, json")
	return cmd
}

func (f *pastFlags) read() ([]history.Line, error) {
	switch {
	case f.history == "":
		return nil, usageError("no history: give --history DIR")
	case !slices.Contains([]string{"text", "json"}, f.format):
		return nil, usageError("--format: %q is not text or json", f.format)
	case f.last < 0:
		return nil, usageError("--last: %d is negative", f.last)
	}
	lines, err := history.ReadLines(f.history)
	if err != nil {
		return nil, inputError(namedPath(err))
	}
	if len(lines) == 0 {
		return nil, &exitError{code: exitInput, cause: fmt.Errorf("%s: there is no run in this history", f.history), hint: "sgadvise audit makes one"}
	}
	if f.last > 0 {
		lines = lines[max(0, len(lines)-f.last):]
	}
	return lines, nil
}

func newAuditHistory(s streams) *cobra.Command {
	var f pastFlags
	return f.command("history", "Tell run by run what happened",
		`History tells of every run of the audit: how it ended, what changed and why, what was
missing, and whether rules that were taken away are missed.`, s, historyText)
}

func newAuditTrend(s streams) *cobra.Command {
	var f pastFlags
	return f.command("trend", "Show run by run the findings, the exposure and the evidence",
		`Trend shows a line for every run that made a report: findings by severity, rules, edits of
the plan, what the plan would leave of the exposure, fidelity and coverage.`, s, trendText)
}

// historyText tells of each run in a paragraph.
func historyText(w io.Writer, lines []history.Line) {
	for i := range lines {
		l := &lines[i]
		fmt.Fprintf(w, "%s  %-11s  %s", l.Started.UTC().Format("2006-01-02 15:04"), l.Status(), l.ID)
		if t := l.Trend; t != nil {
			fmt.Fprintf(w, "  logs %s to %s, %s", dayOf(t.From), dayOf(t.To), plural(int(l.Records), "record", "records"))
		}
		fmt.Fprintln(w)
		if l.Error != "" {
			fmt.Fprintf(w, "    exit %d: %s\n", l.Exit, printable(l.Error))
		}
		if l.Headline != "" {
			fmt.Fprintf(w, "    %s\n", printable(l.Headline))
		}
		for _, n := range l.Notes {
			fmt.Fprintf(w, "    - %s\n", printable(n))
		}
	}
}

func dayOf(t reports.Time) string { return minuteOf(t)[:len("2006-01-02")] }

// trendText shows each run as a line of numbers.
func trendText(w io.Writer, lines []history.Line) {
	head := []string{"run", "critical", "high", "medium", "low", "info", "accepted", "rules", "unused", "edits", "left IPv4", "left IPv6", "fidelity", "coverage"}
	rows := [][]string{head}
	for i := range lines {
		l := &lines[i]
		t := l.Trend
		if t == nil {
			continue
		}
		row := []string{l.Started.UTC().Format("2006-01-02 15:04")}
		for _, n := range []int{t.Findings.Critical, t.Findings.High, t.Findings.Medium, t.Findings.Low, t.Findings.Info, l.Suppressed, t.Rules, l.Unused, t.Edits} {
			row = append(row, fmt.Sprint(n))
		}
		for _, family := range []string{"ipv4", "ipv6"} {
			left := "-"
			for _, e := range t.Exposure {
				if e.Family == family {
					left = reports.Percent(e.Ratio)
				}
			}
			row = append(row, left)
		}
		rows = append(rows, append(row, reports.Percent(t.Fidelity), reports.Percent(t.Coverage)))
	}
	width := make([]int, len(head))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		line := fmt.Sprintf("%-*s", width[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %*s", width[i+1], cell)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
