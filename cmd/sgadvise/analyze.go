package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	reports "github.com/sgadvise/sgadvise/report"
)

// analyzeFlags are the flags of the main job.
type analyzeFlags struct {
	inputFlags
	now             string
	mode            string
	budget, minDays int
	minFidelity     float64
	requireCoverage float64
	failOn          string
	lists           listFlags
	output          outputFlags
	cpuProfile      string
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
	f.registerPaths(fs)
	fs.StringVar(&f.mode, "mode", "tighten", "edits a plan may hold: none, tidy (space unchanged), tighten")
	fs.IntVar(&f.budget, "budget", 0, "rules a group may have in each direction (default: as many as it has)")
	fs.IntVar(&f.minDays, "min-days", -1, "days of evidence before a rule is narrowed or called unused (default: 14 and 28; 0 waives it)")
	fs.Lookup("min-days").DefValue = "0" // not shown: the text says it
	fs.Float64Var(&f.minFidelity, "min-fidelity", analyzer.DefaultOptions.MinFidelity, "share of records the policy must explain before anything is planned")
	f.registerLayout(fs)
	f.output.register(fs)
	fs.StringVar(&f.failOn, "fail-on", "none", "exit 1 if a finding is at least this grave: none, low, medium, high, critical")
	f.lists.register(fs)
	fs.Float64Var(&f.requireCoverage, "require-coverage", 0, "exit 4 unless this share of interface-days has evidence (0 to 1)")
	fs.StringVar(&f.now, "now", "", "the time the report states (RFC 3339; default: now)")
	f.registerReading(fs)
	f.registerRows(fs)
	fs.StringVar(&f.cpuProfile, "cpu-profile", "", "write a CPU profile of the run to this file")
	_ = fs.MarkHidden("cpu-profile") // the flag is defined one line above
}

// settings are the flags, read and checked.
type settings struct {
	analyzer analyzer.Options
	from, to time.Time
	now      time.Time
}

func (f *analyzeFlags) settings() (settings, error) {
	st := settings{analyzer: analyzer.DefaultOptions}
	if !f.hasLogs() {
		return st, usageError("no logs: give --logs PATH or --store DIR")
	}
	var err error
	if st.from, st.to, err = f.check(); err != nil {
		return st, err
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
	if err := checkFailOn(f.failOn); err != nil {
		return st, err
	}
	if st.now, err = timeFlag("now", f.now); err != nil {
		return st, err
	}
	if f.now == "" {
		st.now = time.Now()
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
	st.analyzer.DropRows = true
	done, err := f.perform(ctx, &st, s)
	if err != nil {
		return err
	}
	if err := f.output.write(done.doc, s); err != nil {
		return err
	}
	f.warn(done.doc, s)
	return f.gate(&st, done.doc, done.an, s)
}

// analysis is what one run found, not written yet.
type analysis struct {
	doc *reports.Report
	an  *analyzer.Analysis
	res *engine.Result
}

// perform reads what the flags name, analyzes it, and makes the report.
func (f *analyzeFlags) perform(ctx context.Context, st *settings, s streams) (*analysis, error) {
	lists, err := f.lists.read()
	if err != nil {
		return nil, err
	}
	st.analyzer.Suppress, st.analyzer.Now, st.analyzer.Assert = lists.suppress, st.now, lists.assert
	past, inputs, err := f.readPolicy(s)
	if err != nil {
		return nil, err
	}
	f.release = st.analyzer.DropRows && st.analyzer.Mode == plan.ModeNone
	res, read, err := f.replay(ctx, past, st.from, st.to, s)
	if err != nil {
		return nil, err
	}
	st.analyzer.Unread = read.Ledger.Total()
	if f.release {
		collect(lastPercent)
	}
	an, err := analyzer.Run(ctx, res, st.analyzer)
	if err != nil {
		return nil, err
	}
	doc := reports.Build(reports.Input{
		Tool:     tool(),
		Now:      st.now,
		Settings: f.describe(st),
		Logs:     read,
		Policy:   inputs,
		Result:   res,
		Analysis: an,
		Lists:    lists.inputs,

		Frameworks: lists.frameworks,
	})
	return &analysis{doc, an, res}, nil
}

// warn says on standard error what of the lists has to be looked after.
func (f *analyzeFlags) warn(doc *reports.Report, s streams) {
	if f.quiet {
		return
	}
	for _, w := range reports.SuppressionWarnings(doc) {
		fmt.Fprintf(s.err, "sgadvise: warning: %s\n", w)
	}
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
	return f.gateOf(st, doc, an, false, s)
}

// gateOf is gate, with or without the findings.
func (f *analyzeFlags) gateOf(st *settings, doc *reports.Report, an *analyzer.Analysis, findingsElsewhere bool, s streams) error {
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
	if n := doc.FailedAssertions(); n > 0 {
		if !f.quiet {
			fmt.Fprintf(s.err, "sgadvise: %s not hold\n", plural(n, "assertion does", "assertions do"))
		}
		return &exitError{code: exitGate}
	}
	if !findingsElsewhere && doc.FailsAt(f.failOn) {
		if !f.quiet {
			fmt.Fprintf(s.err, "sgadvise: there are findings at or above %s\n", f.failOn)
		}
		return &exitError{code: exitGate}
	}
	return nil
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
		FailOn:          f.failOn,
		From:            reports.TimeOf(st.from),
		To:              reports.TimeOf(st.to),
	}
}
