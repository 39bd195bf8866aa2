package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/flowlog"
	"github.com/sgadvise/sgadvise/ingest/store"
	reports "github.com/sgadvise/sgadvise/report"
)

// analyzeFlags are the flags of the main job.
type analyzeFlags struct {
	logs, policy       []string
	logFormat, columns string
	from, to, now      string
	mode               string
	budget, minDays    int
	minFidelity        float64
	requireCoverage    float64
	maxBadRows         int64
	strict             bool
	workers            int
	failOn             string
	output             outputFlags
	given              func(flag string) bool // whether the flag is on the command line
	progress           string
	quiet              bool
	cpuProfile         string
}

func newAnalyze(s streams) *cobra.Command {
	var f analyzeFlags
	cmd := &cobra.Command{
		Use:   "analyze --logs PATH… --policy PATH… [flags]",
		Short: "Replay flow logs against a policy and say what can go and what can be tighter",
		Long: `Analyze reads flow logs, replays every connection against the effective rules of the
policy, judges each rule, and makes one plan of edits that is proven not to deny
anything that was observed.

Paths are files, folders (walked), globs in quotes, or - for standard input. Formats are
recognised from content: text, CSV, JSON and Parquet, plain or compressed; the policy is
JSON as the cloud's command line prints it.`,
		Example: `  sgadvise analyze --logs ./AWSLogs --policy ./export --export report.html --export report.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return analyze(cmd.Context(), &f, s)
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func (f *analyzeFlags) register(fs *pflag.FlagSet) {
	fs.SortFlags = false
	f.given = fs.Changed
	fs.StringArrayVar(&f.logs, "logs", nil, "flow logs to read (repeatable)")
	fs.StringArrayVar(&f.policy, "policy", nil, "policy exports to read (repeatable)")
	fs.StringVar(&f.mode, "mode", "tighten", "edits a plan may hold: none, tidy (space unchanged), tighten")
	fs.IntVar(&f.budget, "budget", 0, "rules a group may have in each direction (default: as many as it has)")
	fs.IntVar(&f.minDays, "min-days", -1, "days of evidence before a rule is narrowed or called unused (default: 14 and 28; 0 waives it)")
	fs.Float64Var(&f.minFidelity, "min-fidelity", analyzer.DefaultOptions.MinFidelity, "share of records the policy must explain before anything is planned")
	fs.StringVar(&f.from, "from", "", "leave out records that end before this time (RFC 3339 or date)")
	fs.StringVar(&f.to, "to", "", "leave out records that start at or after this time")
	fs.StringVar(&f.logFormat, "log-format", "", "field order of text logs without a header: '${version} ${account-id} …'")
	fs.StringVar(&f.columns, "columns", "", "column order of CSV without a header: 'version,account-id,…'")
	f.output.register(fs)
	fs.StringVar(&f.failOn, "fail-on", "none", "exit 1 if a finding is at least this grave: none, low, medium, high, critical")
	fs.Float64Var(&f.requireCoverage, "require-coverage", 0, "exit 4 unless this share of interface-days has evidence (0 to 1)")
	fs.Int64Var(&f.maxBadRows, "max-bad-rows", -1, "malformed rows to tolerate (default: any number, counted)")
	fs.BoolVar(&f.strict, "strict", false, "stop at the first malformed row")
	fs.IntVar(&f.workers, "workers", runtime.NumCPU(), "goroutines to use (default: one per processor)")
	fs.StringVar(&f.now, "now", "", "the time the report states (RFC 3339; default: now)")
	fs.StringVar(&f.progress, "progress", "auto", "progress on standard error: auto, plain, none")
	for _, name := range []string{"min-days", "max-bad-rows", "workers"} {
		fs.Lookup(name).DefValue = "0" // not shown: the text says it
	}
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "no messages on standard error but errors")
	fs.StringVar(&f.cpuProfile, "cpu-profile", "", "write a CPU profile of the run to this file")
	_ = fs.MarkHidden("cpu-profile") // the flag is defined one line above
}

// settings are the flags, read and checked.
type settings struct {
	analyzer analyzer.Options
	from, to time.Time
	now      time.Time
	failOn   analyzer.Severity // empty: never
}

func (f *analyzeFlags) settings() (settings, error) {
	st := settings{analyzer: analyzer.DefaultOptions}
	if len(f.logs) == 0 {
		return st, usageError("no logs: give --logs PATH")
	}
	if len(f.policy) == 0 {
		return st, usageError("no policy: give --policy PATH")
	}
	if slices.Contains(f.logs, "-") && slices.Contains(f.policy, "-") {
		return st, usageError("standard input cannot be both --logs and --policy")
	}
	o := &st.analyzer
	o.Mode = plan.Mode(f.mode)
	if !slices.Contains([]plan.Mode{plan.ModeNone, plan.ModeTidy, plan.ModeTighten}, o.Mode) {
		return st, usageError("--mode: %q is not none, tidy or tighten", f.mode)
	}
	if f.budget < 0 {
		return st, usageError("--budget: %d is negative", f.budget)
	}
	if f.minDays < 0 && f.given("min-days") {
		return st, usageError("--min-days: %d is negative", f.minDays)
	}
	if f.maxBadRows < 0 && f.given("max-bad-rows") {
		return st, usageError("--max-bad-rows: %d is negative", f.maxBadRows)
	}
	if f.workers < 1 {
		return st, usageError("--workers: %d is not positive", f.workers)
	}
	for _, r := range []struct {
		flag string
		v    float64
	}{{"--min-fidelity", f.minFidelity}, {"--require-coverage", f.requireCoverage}} {
		if math.IsNaN(r.v) || r.v < 0 || r.v > 1 {
			return st, usageError("%s: %v is not in 0 to 1", r.flag, r.v)
		}
	}
	o.Budget, o.MinFidelity, o.Workers = f.budget, f.minFidelity, f.workers
	if f.minDays >= 0 {
		o.NarrowDays, o.UnusedDays = f.minDays, f.minDays
	}
	if f.failOn != "none" {
		st.failOn = analyzer.Severity(f.failOn)
		if !slices.Contains(analyzer.Severities, st.failOn) || st.failOn == analyzer.Info {
			return st, usageError("--fail-on: %q is not none, low, medium, high or critical", f.failOn)
		}
	}
	if !slices.Contains([]string{"auto", "plain", "none"}, f.progress) {
		return st, usageError("--progress: %q is not auto, plain or none", f.progress)
	}
	if f.logFormat != "" {
		if _, err := flowlog.ParseLogFormat(f.logFormat); err != nil {
			return st, usageError("%v", err)
		}
	}
	if f.columns != "" {
		if _, err := flowlog.ParseColumns(f.columns, flowlog.DefaultLayout()); err != nil {
			return st, usageError("%v", err)
		}
	}
	st.now = time.Now()
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"--from", f.from, &st.from}, {"--to", f.to, &st.to}, {"--now", f.now, &st.now}} {
		if t.text == "" {
			continue
		}
		v, err := parseTime(t.text)
		if err != nil {
			return st, usageError("%s: %v", t.flag, err)
		}
		*t.to = v
	}
	if !st.from.IsZero() && !st.to.IsZero() && !st.from.Before(st.to) {
		return st, usageError("--from %s is not before --to %s", f.from, f.to)
	}
	return st, f.output.check()
}

// parseTime reads a date or a time of RFC 3339, in UTC unless it says otherwise.
func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a date (2006-01-02) nor a time (2006-01-02T15:04:05Z)", s)
	}
	return t.UTC(), nil
}

func analyze(ctx context.Context, f *analyzeFlags, s streams) error {
	st, err := f.settings()
	if err != nil {
		return err
	}
	if f.cpuProfile != "" {
		stop, err := profile(f.cpuProfile)
		if err != nil {
			return err
		}
		defer stop()
	}
	snap, inputs, err := cloud.Read(f.policy, cloud.Options{Stdin: s.in})
	if err != nil {
		return inputError(err)
	}

	cfg := engine.StoreConfig(snap)
	cfg.Workers = f.workers
	if !st.from.IsZero() {
		cfg.From = st.from.Unix()
	}
	if !st.to.IsZero() {
		cfg.To = st.to.Unix()
	}
	tally := store.NewTally(cfg)
	show := newProgress(f.progress, f.quiet, s.err)
	read, err := ingest.Read(ctx, f.logs, ingest.Options{
		LogFormat:  f.logFormat,
		LogFormats: logFormats(snap),
		Columns:    f.columns,
		Workers:    f.workers,
		Strict:     f.strict,
		MaxBadRows: f.maxBadRows,
		Stdin:      s.in,
		Progress:   show.update,
	}, tally)
	show.done()
	if err != nil {
		return err
	}
	conns := tally.Finish()
	if err := unusable(conns, snap, read); err != nil {
		return err
	}
	res, err := engine.Replay(ctx, conns, snap, f.workers)
	if err != nil {
		return err
	}
	st.analyzer.Unread = read.Ledger.Total()
	an, err := analyzer.Run(ctx, res, st.analyzer)
	if err != nil {
		return err
	}
	doc := reports.Build(reports.Input{
		Tool:     reports.Tool{Name: "sgadvise", Version: versionString()},
		Now:      st.now,
		Settings: f.describe(&st),
		Logs:     read,
		Policy:   inputs,
		Result:   res,
		Analysis: an,
	})
	if err := f.output.write(doc, s); err != nil {
		return err
	}
	return f.gate(&st, doc, an, s)
}

// profile starts a CPU profile and returns what ends it.
func profile(name string) (stop func(), err error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		file.Close()
	}, nil
}

// gate turns what the report says into an exit code.
func (f *analyzeFlags) gate(st *settings, doc *reports.Report, an *analyzer.Analysis, s streams) error {
	if f.requireCoverage > 0 {
		switch {
		case an.Evidence.RejectOnly:
			fmt.Fprintln(s.err, "sgadvise: the logs hold no accepted traffic: they cannot show that a rule is used")
			return &exitError{code: exitIncomplete}
		case doc.Coverage.Ratio < f.requireCoverage:
			fmt.Fprintf(s.err, "sgadvise: evidence covers %s of interface-days, %s are required\n", reports.Percent(doc.Coverage.Ratio), reports.Percent(f.requireCoverage))
			return &exitError{code: exitIncomplete}
		}
	}
	if st.failOn != "" && slices.ContainsFunc(an.Findings, func(x analyzer.Finding) bool { return x.Severity.AtLeast(st.failOn) }) {
		if !f.quiet {
			fmt.Fprintf(s.err, "sgadvise: there are findings at or above %s\n", st.failOn)
		}
		return &exitError{code: exitGate}
	}
	return nil
}

// unusable says why nothing can be said of these logs and this policy at all.
func unusable(c *store.Connections, snap *policy.Snapshot, read *ingest.Report) error {
	l := c.Ledger()
	total := l.Total() + read.Ledger.Total()
	for i, r := 0, new(store.Row); i < c.Len(); i++ {
		c.Row(i, r)
		total += r.Records
	}
	switch {
	case total == 0 && c.Outside() > 0:
		return inputError(fmt.Errorf("no record of the logs lies in the window that was asked for; %d lie outside", c.Outside()))
	case total == 0:
		return inputError(errors.New("the logs hold no record"))
	}
	if lost := read.Ledger[flow.Malformed] + read.Ledger[flow.Unsupported]; total > 0 && lost == total {
		msg := "no record could be used"
		for _, reasons := range []flowlog.Reasons{read.Stats.Malformed, read.Stats.Unsupported} {
			if first, ok := reasons.First(); ok {
				msg += ": " + first.String()
				break
			}
		}
		return inputError(errors.New(msg))
	}
	known := 0
	for _, name := range c.Interfaces() {
		if _, ok := snap.Interface(name); ok {
			known++
		}
	}
	if known == 0 && len(c.Interfaces()) > 0 {
		return &exitError{
			code:  exitInput,
			cause: errors.New("no interface of the logs occurs in the policy"),
			hint:  fmt.Sprintf("%d in the logs, %d in the policy; are both from the same account and region?", len(c.Interfaces()), len(snap.Interfaces)),
		}
	}
	return nil
}

// logFormats gives the field order of each described flow log.
func logFormats(snap *policy.Snapshot) map[string]string {
	out := make(map[string]string)
	for _, l := range snap.FlowLogs {
		if l.Format != "" {
			out[l.ID] = l.Format
		}
	}
	return out
}

// describe writes the settings down for the report.
func (f *analyzeFlags) describe(st *settings) reports.Settings {
	o := st.analyzer
	return reports.Settings{
		Mode:            string(o.Mode),
		Budget:          o.Budget,
		MinDaysNarrow:   o.NarrowDays,
		MinDaysUnused:   o.UnusedDays,
		MinFidelity:     o.MinFidelity,
		RequireCoverage: f.requireCoverage,
		MaxBadRows:      f.maxBadRows,
		Strict:          f.strict,
		From:            reports.TimeOf(st.from),
		To:              reports.TimeOf(st.to),
	}
}
