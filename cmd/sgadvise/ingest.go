package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/cmd/catalog"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// ingestFlags are the flags of ingest.
type ingestFlags struct {
	inputFlags
	rebuild bool
	batch   int
	format  string
	now     string

	cpuProfile string
}

func newIngest(s streams) *cobra.Command {
	var f ingestFlags
	cmd := &cobra.Command{
		Use:   "ingest PATH… --store DIR [flags]",
		Short: "Add flow logs to a store: each file once, interrupted runs continue",
		Long: `Ingest reduces flow logs to days of distinct connections and keeps them in a folder, so
that analyses of many days need not read the logs again.

A file counts once, by what it holds: copies, renamed files and files that were compressed
again are recognised. Of text that has grown, what is new is added; a file that was
replaced takes the place of what it was, if the other files of its days are still there.

Give the --policy that the store will be analysed with: its rules say which client ports
must be told apart. For a policy that tells more apart than the store knows, --rebuild makes
all days again from their source files.

Stopped by SIGINT or SIGTERM, it ends the files under way, commits what is whole, and the
next run continues.`,
		Example: `  sgadvise ingest ./AWSLogs --store ./store --policy ./export
  sgadvise analyze --store ./store --policy ./export`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args, s) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.given = fs.Changed
	fs.StringVar(&f.store, "store", "", "folder of the store; made if it is not there")
	fs.StringArrayVar(&f.policy, "policy", nil, "policy exports that say what to tell apart (repeatable)")
	fs.StringArrayVar(&f.policyAt, "policy-at", nil, "TIME=PATH: exports of an earlier time (repeatable)")
	fs.BoolVar(&f.rebuild, "rebuild", false, "make all days again from their source files, for this policy")
	fs.StringVar(&f.logFormat, "log-format", "", "field order of text logs without a header: '${version} ${account-id} …'")
	fs.StringVar(&f.columns, "columns", "", "column order of CSV without a header: 'version,account-id,…'")
	fs.StringVar(&f.format, "format", "text", "text or json")
	f.registerReading(fs)
	fs.IntVar(&f.batch, "batch-files", 0, "files to commit together at the most")
	_ = fs.MarkHidden("batch-files") // it is there
	fs.StringVar(&f.now, "now", "", "the time that the store notes (RFC 3339; default: now)")
	fs.StringVar(&f.cpuProfile, "cpu-profile", "", "write a CPU profile of the run to this file")
	_ = fs.MarkHidden("cpu-profile") // it is there
	return cmd
}

func (f *ingestFlags) run(ctx context.Context, paths []string, s streams) error {
	switch {
	case f.store == "":
		return usageError("no store: give --store DIR")
	case len(paths) == 0 && !f.rebuild:
		return usageError("no logs: give PATH…, or --rebuild")
	case f.batch < 0:
		return usageError("--batch-files: %d is negative", f.batch)
	case f.format != "text" && f.format != "json":
		return usageError("--format: %q is not text or json", f.format)
	case slices.Contains(paths, "-") && slices.Contains(f.policy, "-"):
		return usageError("standard input cannot be both logs and --policy")
	}
	if f.cpuProfile != "" {
		stop, err := profile(f.cpuProfile)
		if err != nil {
			return usageError("--cpu-profile: %v", err)
		}
		defer stop()
	}
	dir := f.store
	f.store = "" // the flags below are about reading logs
	if err := f.checkReading(); err != nil {
		return err
	}
	now, err := timeFlag("now", f.now)
	if err != nil {
		return err
	}
	if f.now == "" {
		now = time.Now()
	}
	var snap *policy.Snapshot
	var cfg store.Config
	if len(f.policy) > 0 {
		past, _, err := f.readPolicy(s)
		if err != nil {
			return err
		}
		snap, cfg = past.Present(), engine.HistoryConfig(past)
	}
	st, err := catalog.Open(ctx, dir)
	if err != nil {
		return storeError(err)
	}
	defer st.Close()
	show := newProgress(f.progress, f.quiet, s.err)
	opt := catalog.Options{Reading: f.reading(snap, s), Config: cfg, Rebuild: f.rebuild, Now: now, Command: "sgadvise ingest", BatchFiles: f.batch}
	opt.Reading.Progress = show.update
	report, err := st.Ingest(ctx, paths, opt)
	show.done()
	if written := f.write(report, err == nil, s.out); written != nil && err == nil {
		err = &exitError{code: exitInternal, cause: written}
	}
	if err != nil {
		return storeError(err)
	}
	if err := report.Failures(); err != nil {
		return inputError(err)
	}
	return nil
}

// states are those of paths in the order in which they are told.
var states = []catalog.State{catalog.New, catalog.Grown, catalog.Replaced, catalog.Duplicate, catalog.Unchanged, catalog.Failed}

// write tells what became of the paths; whole says that the run came to its end.
func (f *ingestFlags) write(r *catalog.Report, whole bool, w io.Writer) error {
	if f.format == "json" {
		return writeIngested(r, whole, w)
	}
	if f.quiet || r.Batches == 0 && len(r.Outcomes) == 0 && r.Rebuilt == 0 {
		return nil
	}
	out := ""
	for _, state := range states {
		if n := r.Count(state); n > 0 {
			out += fmt.Sprintf("%-10s %s\n", state, plural(n, "file", "files"))
		}
	}
	for _, o := range r.Outcomes {
		if o.State == catalog.Duplicate {
			out += fmt.Sprintf("  %s holds what %s holds\n", printable(o.Path), printable(o.Of))
		}
	}
	out += fmt.Sprintf("%-10s %s added", "records", grouped(r.Records))
	if r.Malformed > 0 {
		out += fmt.Sprintf(", %s of them could not be read", grouped(r.Malformed))
	}
	out += "\n"
	if r.Rebuilt > 0 {
		out += fmt.Sprintf("%-10s %s made again\n", "days", grouped(uint64(r.Rebuilt)))
	}
	if !whole {
		out += "not everything was done; the next run continues\n"
	}
	_, err := io.WriteString(w, out)
	return err
}

// writeIngested writes the account for programs.
func writeIngested(r *catalog.Report, whole bool, w io.Writer) error {
	type outcome struct {
		Path    string        `json:"path"`
		State   catalog.State `json:"state"`
		Of      string        `json:"of,omitempty"`
		Records uint64        `json:"records"`
		Error   string        `json:"error,omitempty"`
	}
	doc := struct {
		Complete  bool      `json:"complete"`
		Records   uint64    `json:"records"`
		Malformed uint64    `json:"malformed"`
		Batches   int       `json:"batches"`
		Rebuilt   int       `json:"days_made_again"`
		Files     []outcome `json:"files"`
	}{whole, r.Records, r.Malformed, r.Batches, r.Rebuilt, []outcome{}}
	for _, o := range r.Outcomes {
		x := outcome{o.Path, o.State, o.Of, o.Records, ""}
		if o.Err != nil {
			x.Error = o.Err.Error()
		}
		doc.Files = append(doc.Files, x)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}
