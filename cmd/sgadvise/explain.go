package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/explain"
	"github.com/sgadvise/sgadvise/engine/policy"
	reports "github.com/sgadvise/sgadvise/report"
)

// explainFlags are the flags of the question why.
type explainFlags struct {
	inputFlags
	flow, rule   string
	interfaces   []string
	minDays, top int
	output       answerFlags
}

func newExplain(s streams) *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   `explain --policy PATH… (--flow "…" | --rule REF) [--logs PATH…] [flags]`,
		Short: "Say what decides one connection, or show the evidence behind one rule",
		Long: `Explain names the stage, tier and rule that decides a connection at each of its ends,
everything else that matches, what would decide next, and what would have to change for
the opposite verdict. With --rule it shows the evidence behind one rule instead: its
verdict, and its connections day by day.

A flow is ADDR[:PORT] -> ADDR[:PORT]/PROTOCOL, IPv6 addresses with a port in brackets:
10.2.0.5 -> [fd00::7]:443/tcp. ICMP takes a type and a code: 10.2.0.5 -> 10.1.0.7/icmp:8/0.
A rule is named as in reports: sg-0123/sgr-4567, acl-0123/ingress-100,
implicit/default:sg:egress.`,
		Example: `  sgadvise explain --policy ./export --flow "10.2.0.5:41000 -> 10.1.0.7:5432/tcp"
  sgadvise explain --policy ./export --logs ./AWSLogs --rule sg-0123/sgr-4567`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return explainOne(cmd.Context(), &f, s)
		},
	}
	fs := cmd.Flags()
	f.registerPaths(fs)
	fs.StringVar(&f.flow, "flow", "", "the connection to explain")
	fs.StringVar(&f.rule, "rule", "", "the rule to explain")
	fs.StringArrayVar(&f.interfaces, "interface", nil, "which owner of an address is meant, if there are several (repeatable)")
	fs.IntVar(&f.top, "top", 20, "connections of a rule to show; 0: all")
	fs.IntVar(&f.minDays, "min-days", analyzer.DefaultOptions.UnusedDays, "days of evidence before a rule is called unused")
	f.registerLayout(fs)
	f.output.register(fs)
	f.registerReading(fs)
	f.registerRows(fs)
	return cmd
}

func explainOne(ctx context.Context, f *explainFlags, s streams) error {
	from, to, err := f.check()
	if err != nil {
		return err
	}
	var flow explain.Flow
	switch {
	case (f.flow == "") == (f.rule == ""):
		return usageError("give --flow or --rule, one of them")
	case f.minDays < 0:
		return usageError("--min-days: %d is negative", f.minDays)
	case f.top < 0:
		return usageError("--top: %d is negative", f.top)
	case f.rule != "" && len(f.interfaces) > 0:
		return usageError("--interface goes with --flow")
	case f.flow != "":
		if flow, err = explain.ParseFlow(f.flow); err != nil {
			return &exitError{code: exitUsage, cause: fmt.Errorf("--%w", err), hint: `as in "10.2.0.5:41000 -> 10.1.0.7:5432/tcp"`}
		}
	}
	if err := f.output.check(); err != nil {
		return err
	}
	past, _, err := f.readPolicy(s)
	if err != nil {
		return err
	}
	var doc *reports.Explanation
	if f.flow != "" {
		doc, err = f.aboutFlow(ctx, past, flow, from, to, s)
	} else {
		doc, err = f.aboutRule(ctx, past, from, to, s)
	}
	if err != nil {
		return err
	}
	return f.output.write(answer{
		text:     func(w io.Writer, o reports.Options) error { return reports.ExplanationText(w, doc, o) },
		markdown: func(w io.Writer) error { return reports.ExplanationMarkdown(w, doc) },
		json:     func(w io.Writer) error { return reports.WriteExplanation(w, doc) },
	}, s)
}

func (f *explainFlags) aboutFlow(ctx context.Context, past *policy.History, flow explain.Flow, from, to time.Time, s streams) (*reports.Explanation, error) {
	snap := past.Present()
	e, err := explain.Explain(snap, flow, f.interfaces)
	if err != nil {
		return nil, unknownID(err)
	}
	var res *engine.Result
	if f.hasLogs() {
		if res, _, err = f.replay(ctx, past, from, to, s); err != nil {
			return nil, err
		}
	}
	return reports.BuildFlowExplanation(tool(), snap, e, res), nil
}

func (f *explainFlags) aboutRule(ctx context.Context, past *policy.History, from, to time.Time, s streams) (*reports.Explanation, error) {
	snap := past.Present()
	rule, err := explain.Rule(snap, f.rule)
	if err != nil {
		return nil, unknownID(err)
	}
	in := reports.Ruling{Tool: tool(), Snapshot: snap, Rule: rule, Top: f.top}
	if f.top == 0 {
		in.Top = -1
	}
	if f.hasLogs() {
		res, read, err := f.replay(ctx, past, from, to, s)
		if err != nil {
			return nil, err
		}
		opt := analyzer.DefaultOptions
		opt.Mode, opt.UnusedDays, opt.Workers, opt.Unread = plan.ModeNone, f.minDays, f.workers, read.Ledger.Total()
		if in.Analysis, err = analyzer.Run(ctx, res, opt); err != nil {
			return nil, err
		}
		in.Result = res
	}
	return reports.BuildRuleExplanation(in), nil
}
