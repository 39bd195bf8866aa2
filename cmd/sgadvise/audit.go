package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sgadvise/sgadvise/cmd/history"
	"github.com/sgadvise/sgadvise/cmd/lock"
	reports "github.com/sgadvise/sgadvise/report"
)

// auditFlags are the flags of the scheduled job: those of analyze, and what it remembers
// and tells.
type auditFlags struct {
	analyzeFlags
	history             string
	window, keep, watch int
	newOnly             bool
	changes             []string
	prometheus          string
	onFinish            string

	sources []string // logs that the store is fed from
	folder  string   // of the store

	stop func(step string) error // for tests: ends the run before a step as a crash would
}

func newAudit(s streams) *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit --config sgadvise.yaml",
		Short: "The scheduled job: analyze, compare with the last run, write reports, gate",
		Long: `Audit is one run of a job that nobody watches. It adds what is new to the store, if there
is one, analyzes what the configuration file names, compares the outcome with the last run, says whether anything broke since rules
were taken away, replaces the reports, and keeps what it found in the history. A run that
fails leaves the reports of the last good one where they are.

It exits 1 if there are findings at or above --fail-on (with --fail-on-new: only new,
worse or re-opened ones, and those whose suppression expired), or if a rule that was taken
away blocks a connection from inside that no run told of before; 6 if another run is at
work.`,
		Example: `  sgadvise audit --config sgadvise.yaml
  sgadvise audit history --config sgadvise.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return audit(cmd.Context(), &f, configuration(cmd), s)
		},
	}
	f.register(cmd.Flags())
	cmd.AddCommand(newAuditHistory(s), newAuditTrend(s))
	return cmd
}

func (f *auditFlags) register(fs *pflag.FlagSet) {
	f.analyzeFlags.register(fs)
	f.failOn = "high"
	fs.Lookup("fail-on").DefValue = "high"
	for _, name := range []string{"output", "format", "cpu-profile"} {
		_ = fs.MarkHidden(name) // they are flags of analyze
	}
	fs.StringVar(&f.history, "history", "", "folder that keeps what every run found")
	fs.IntVar(&f.window, "window", 90, "days of logs to look at, up to today; 0: all there are")
	fs.StringArrayVar(&f.changes, "changes", nil, "write what changed since the last run to this file: .txt, .md or .json (repeatable)")
	fs.BoolVar(&f.newOnly, "fail-on-new", false, "let --fail-on speak of new findings only")
	fs.StringVar(&f.prometheus, "prometheus", "", "write metrics to this file, for the textfile collector (.prom)")
	fs.StringVar(&f.onFinish, "on-finish", "", "command to run at the end, also of a failed run, with JSON on its standard input")
	fs.IntVar(&f.watch, "watch", 30, "days to look for connections that a rule which was taken away would have let through")
	fs.IntVar(&f.keep, "keep", 400, "days to keep the full report of a run; its line in the history stays")
}

// prepare checks the flags and settles the window.
func (f *auditFlags) prepare() (settings, error) {
	var st settings
	switch {
	case f.history == "":
		return st, usageError("no history: give --history DIR")
	case slices.Contains(f.logs, "-") || slices.Contains(f.policy, "-"):
		return st, usageError("an audit cannot read standard input: nobody is there to write to it")
	case f.window < 0:
		return st, usageError("--window: %d is negative", f.window)
	case f.keep < 1:
		return st, usageError("--keep: %d is not positive", f.keep)
	case f.watch < 0:
		return st, usageError("--watch: %d is negative", f.watch)
	case f.prometheus != "" && filepath.Ext(f.prometheus) != ".prom":
		return st, usageError("--prometheus: %q does not end in .prom, and would not be collected", f.prometheus)
	}
	for _, name := range f.changes {
		if changesFormat(name) == nil {
			return st, usageError("--changes: %q does not end in .txt, .md or .json", name)
		}
	}
	if err := f.noneTwice(); err != nil {
		return st, err
	}
	// With a store the logs are what it is fed from, and that is no contradiction.
	f.sources, f.folder = f.logs, f.store
	if f.store != "" && len(f.logs) > 0 {
		f.store = ""
	}
	st, err := f.settings()
	if f.store = f.folder; f.store != "" {
		f.logs = nil
	}
	if err == nil && f.window > 0 && st.from.IsZero() {
		// Whole days, so that runs at different hours of a day look at the same.
		st.from = st.now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -f.window)
	}
	return st, err
}

// noneTwice finds files that two outputs would be written to.
func (f *auditFlags) noneTwice() error {
	seen := map[string]bool{}
	for _, name := range slices.Concat(f.output.export, f.changes, []string{f.prometheus}) {
		if name != "" && seen[filepath.Clean(name)] {
			return usageError("%s is named twice as a file to write", name)
		}
		seen[filepath.Clean(name)] = true
	}
	return nil
}

// auditRun is one run under way.
type auditRun struct {
	f       *auditFlags
	st      settings
	s       streams
	config  string
	started time.Time // of the real clock, for how long it takes
	hist    *history.History
	line    history.Line
	prev    *reports.Report // of the last complete run; nil: there is none
	prevAt  *history.Line
	state   *history.State
	policy  policyState
	cmp     *reports.Comparison // nil in the first run
	done    *analysis
}

// audit makes one run and tells how it ended, whichever way.
func audit(ctx context.Context, f *auditFlags, c configured, s streams) error {
	a := &auditRun{f: f, s: s, config: c.file, started: time.Now()}
	st, err := f.prepare()
	if f.given("output") || f.given("format") {
		err = &exitError{code: exitUsage, cause: errors.New("an audit writes its report to what --export names"), hint: "--changes names files for what changed"}
	}
	a.st = st
	if a.st.now.IsZero() {
		a.st.now = a.started
	}
	now := a.st.now.UTC().Truncate(time.Second)
	a.line = history.Line{Schema: history.LineSchema, Started: now, Version: versionString(), ID: now.Format("20060102T150405Z")}
	if err == nil {
		err = a.once(ctx)
	}
	var crash *crashed
	if errors.As(err, &crash) {
		if a.hist != nil {
			a.hist.Close()
		}
		return err
	}
	err = a.finish(ctx, err)
	if a.hist != nil {
		a.hist.Close()
	}
	return err
}

// crashed ends a run in a test as if the machine had.
type crashed struct{ step string }

func (c *crashed) Error() string { return "stopped before " + c.step }

// step is a place at which a test may end the run.
func (f *auditFlags) step(name string) error {
	if f.stop == nil {
		return nil
	}
	return f.stop(name)
}

// once does the work, up to the line of the history.
func (a *auditRun) once(ctx context.Context) error {
	f := a.f
	var err error
	a.hist, err = history.Open(f.history, "sgadvise audit", a.st.now)
	var held *lock.HeldError
	if errors.As(err, &held) {
		return &exitError{code: exitLocked, cause: err, hint: "it ends by itself; if it hangs, end that process: the lock goes with it"}
	}
	if err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	a.line.ID = a.hist.NewID(a.line.Started)
	a.line.Notes = append(a.line.Notes, a.hist.Repaired...)
	if err := a.recall(); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	if err := a.keepPolicy(); err != nil {
		return err
	}
	if err := a.feed(ctx, false); err != nil {
		return err
	}
	if err := f.step("analysis"); err != nil {
		return err
	}
	opened, err := a.analyze(ctx)
	if err != nil {
		return err
	}
	a.compare(opened)
	if err := a.write(); err != nil {
		var crash *crashed
		if errors.As(err, &crash) {
			return err
		}
		return &exitError{code: exitInternal, cause: err}
	}
	return a.gate()
}

// recall reads what the last complete run left.
func (a *auditRun) recall() error {
	a.state = &history.State{}
	a.prevAt = history.Last(a.hist.Lines)
	if a.prevAt == nil {
		return nil
	}
	var err error
	if a.prev, err = history.ReadReport(a.hist.Dir, a.prevAt.ID); err != nil {
		return err
	}
	if a.state, err = history.ReadState(a.hist.Dir, a.prevAt.ID); err != nil {
		return err
	}
	if !a.prevAt.Started.Before(a.line.Started) {
		a.note("the clock went back: the last run was at %s", stamp(a.prevAt.Started))
	}
	return nil
}

func (a *auditRun) note(format string, args ...any) {
	a.line.Notes = append(a.line.Notes, fmt.Sprintf(format, args...))
}

// gate turns what was found into an exit code.
func (a *auditRun) gate() error {
	f := a.f
	err := f.analyzeFlags.gateOf(&a.st, a.done.doc, a.done.an, f.newOnly && a.cmp != nil, a.s)
	if err != nil || f.failOn == "none" {
		return err
	}
	if f.newOnly && a.cmp != nil && a.cmp.Fails(f.failOn) {
		fmt.Fprintf(a.s.err, "sgadvise: there are new findings at or above %s\n", f.failOn)
		return &exitError{code: exitGate}
	}
	if a.line.Rejects > 0 {
		fmt.Fprintf(a.s.err, "sgadvise: %s blocked that a rule which was taken away would have let through\n", plural(a.line.Rejects, "connection is", "connections are"))
		return &exitError{code: exitGate}
	}
	return nil
}
