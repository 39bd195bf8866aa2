package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/flowlog"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// inputFlags say what a command reads and how: the one way from paths to a policy and
// a replay.
type inputFlags struct {
	logs, policy       []string
	store              string   // folder; in place of logs
	policyAt           []string // TIME=PATH
	logFormat, columns string
	from, to           string
	maxBadRows         int64
	exactRows          int
	strict             bool
	workers            int
	progress           string
	quiet              bool
	release            bool                   // rows are given back as they are replayed: see engine.ReplayReleasing
	given              func(flag string) bool // whether the flag is on the command line
	bounds             func(*store.Config)    // adds what another policy needs to tell ports apart; nil: nothing
}

// registerPaths defines --logs and --policy.
func (f *inputFlags) registerPaths(fs *pflag.FlagSet) {
	fs.SortFlags = false
	f.given = fs.Changed
	fs.StringArrayVar(&f.logs, "logs", nil, "flow logs to read (repeatable)")
	fs.StringVar(&f.store, "store", "", "store to take the logs from, made by sgadvise ingest")
	fs.StringArrayVar(&f.policy, "policy", nil, "policy exports to read, and records of changes (repeatable)")
	fs.StringArrayVar(&f.policyAt, "policy-at", nil, "TIME=PATH: exports of an earlier time (repeatable)")
}

// registerLayout defines what to read of the logs.
func (f *inputFlags) registerLayout(fs *pflag.FlagSet) {
	fs.StringVar(&f.from, "from", "", "leave out records that end before this time (RFC 3339 or date)")
	fs.StringVar(&f.to, "to", "", "leave out records that start at or after this time")
	fs.StringVar(&f.logFormat, "log-format", "", "field order of text logs without a header: '${version} ${account-id} …'")
	fs.StringVar(&f.columns, "columns", "", "column order of CSV without a header: 'version,account-id,…'")
}

// registerRows defines how many rows to keep.
func (f *inputFlags) registerRows(fs *pflag.FlagSet) {
	fs.IntVar(&f.exactRows, "exact-rows", 4e6, "distinct connections to keep apart; beyond, those of the busiest services are rolled up; 0: no limit")
}

// registerReading defines how to read them.
func (f *inputFlags) registerReading(fs *pflag.FlagSet) {
	fs.Int64Var(&f.maxBadRows, "max-bad-rows", -1, "malformed rows to tolerate (default: any number, counted)")
	fs.BoolVar(&f.strict, "strict", false, "stop at the first malformed row")
	fs.IntVar(&f.workers, "workers", runtime.NumCPU(), "goroutines to use (default: one per processor)")
	fs.StringVar(&f.progress, "progress", "auto", "progress on standard error: auto, plain, none")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "no messages on standard error but errors")
	for _, name := range []string{"max-bad-rows", "workers"} {
		fs.Lookup(name).DefValue = "0" // not shown: the text says it
	}
}

// check finds what cannot be read as asked for and returns the window.
func (f *inputFlags) check() (from, to time.Time, err error) {
	if len(f.policy) == 0 {
		return from, to, usageError("no policy: give --policy PATH")
	}
	if slices.Contains(f.logs, "-") && slices.Contains(f.policy, "-") {
		return from, to, usageError("standard input cannot be both --logs and --policy")
	}
	if f.store != "" {
		if err := f.checkStore(); err != nil {
			return from, to, err
		}
	}
	if err := f.checkReading(); err != nil {
		return from, to, err
	}
	if from, err = timeFlag("from", f.from); err != nil {
		return from, to, err
	}
	if to, err = timeFlag("to", f.to); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, usageError("--from %s is not before --to %s", f.from, f.to)
	}
	return from, to, f.checkDays(from, to)
}

// checkReading finds what logs cannot be read with.
func (f *inputFlags) checkReading() error {
	if f.maxBadRows < 0 && f.given("max-bad-rows") {
		return usageError("--max-bad-rows: %d is negative", f.maxBadRows)
	}
	if f.exactRows < 0 {
		return usageError("--exact-rows: %d is negative", f.exactRows)
	}
	if f.workers < 1 {
		return usageError("--workers: %d is not positive", f.workers)
	}
	if !slices.Contains([]string{"auto", "plain", "none"}, f.progress) {
		return usageError("--progress: %q is not auto, plain or none", f.progress)
	}
	if f.logFormat != "" {
		if _, err := flowlog.ParseLogFormat(f.logFormat); err != nil {
			return usageError("%v", err)
		}
	}
	if f.columns != "" {
		if _, err := flowlog.ParseColumns(f.columns, flowlog.DefaultLayout()); err != nil {
			return usageError("%v", err)
		}
	}
	return nil
}

// timeFlag reads the value of a flag that names a time; "" is the zero time.
func timeFlag(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := parseTime(text)
	if err != nil {
		return t, usageError("--%s: %v", flag, err)
	}
	return t, nil
}

// readPolicy reads what --policy names, and what is known of how it was before.
func (f *inputFlags) readPolicy(s streams) (*policy.History, []cloud.Input, error) {
	dated, err := f.dated()
	if err != nil {
		return nil, nil, err
	}
	h, inputs, err := cloud.ReadHistory(f.policy, cloud.Options{Stdin: s.in, Dated: dated})
	collect(gcPercent)
	if err != nil {
		return nil, nil, inputError(err)
	}
	return h, inputs, nil
}

// dated reads the values of --policy-at. Those of one time are one snapshot.
func (f *inputFlags) dated() ([]cloud.DatedPaths, error) {
	var out []cloud.DatedPaths
	for _, text := range f.policyAt {
		at, path, ok := strings.Cut(text, "=")
		if !ok || path == "" {
			return nil, usageError("--policy-at: %q is not TIME=PATH", text)
		}
		t, err := timeFlag("policy-at", at)
		if err != nil {
			return nil, err
		}
		if path == "-" {
			return nil, usageError("--policy-at: standard input cannot be an earlier policy")
		}
		i := slices.IndexFunc(out, func(d cloud.DatedPaths) bool { return d.At.Equal(t) })
		if i < 0 {
			i = len(out)
			out = append(out, cloud.DatedPaths{At: t})
		}
		out[i].Paths = append(out[i].Paths, path)
	}
	return out, nil
}

// replay reads what --logs names, between from and to if they are not zero, and
// replays it against the policy as it was at the time.
func (f *inputFlags) replay(ctx context.Context, h *policy.History, from, to time.Time, s streams) (*engine.Result, *ingest.Report, error) {
	snap := h.Present()
	cfg := engine.HistoryConfig(h)
	cfg.Workers, cfg.MaxRows = f.workers, f.exactRows
	if !from.IsZero() {
		cfg.From = from.Unix()
	}
	if !to.IsZero() {
		cfg.To = to.Unix()
	}
	if f.bounds != nil {
		f.bounds(&cfg)
	}
	conns, read, err := f.read(ctx, cfg, snap, s)
	if err != nil {
		return nil, nil, err
	}
	if err := unusable(conns, snap, read); err != nil {
		return nil, nil, err
	}
	replay := engine.ReplayHistory
	if f.release {
		replay = engine.ReplayReleasing
	}
	res, err := replay(ctx, conns, h, f.workers)
	if err != nil {
		return nil, nil, err
	}
	return res, read, nil
}

// read reads what --logs names, or takes it from the store.
func (f *inputFlags) read(ctx context.Context, cfg store.Config, snap *policy.Snapshot, s streams) (*store.Connections, *ingest.Report, error) {
	if f.store != "" {
		return f.readStore(ctx, cfg)
	}
	tally := store.NewTally(cfg)
	show := newProgress(f.progress, f.quiet, s.err)
	opt := f.reading(snap, s)
	opt.Progress = show.update
	read, err := ingest.Read(ctx, f.logs, opt, tally)
	show.done()
	if err != nil {
		return nil, nil, err
	}
	return tally.Finish(), read, nil
}

// reading returns how logs are to be read; snap may be nil.
func (f *inputFlags) reading(snap *policy.Snapshot, s streams) ingest.Options {
	opt := ingest.Options{
		LogFormat:  f.logFormat,
		Columns:    f.columns,
		Workers:    f.workers,
		Strict:     f.strict,
		MaxBadRows: f.maxBadRows,
		Stdin:      s.in,
	}
	if snap != nil {
		opt.LogFormats = logFormats(snap)
	}
	return opt
}

// unusable says why nothing can be said of these logs and this policy at all.
func unusable(c *store.Connections, snap *policy.Snapshot, read *ingest.Report) error {
	l := c.Ledger()
	total := l.Total() + read.Ledger.Total() + c.Records()
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
