package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/cmd/catalog"
)

// storeFlags are the flags of the commands below store.
type storeFlags struct {
	dir, format, before, now string
	dry                      bool
	workers                  int
}

func newStore(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store info|verify|prune|compact --store DIR",
		Short: "Look after a store: what it holds, whether it is sound, old days, small files",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	add := func(use, short, long string, register func(*cobra.Command, *storeFlags), run func(context.Context, *catalog.Store, *storeFlags) error) {
		var f storeFlags
		sub := &cobra.Command{Use: use + " --store DIR", Short: short, Long: long, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return f.open(cmd.Context(), run) }}
		fs := sub.Flags()
		fs.SortFlags = false
		fs.StringVar(&f.dir, "store", "", "folder of the store")
		fs.StringVar(&f.format, "format", "text", "text or json")
		if register != nil {
			register(sub, &f)
		}
		cmd.AddCommand(sub)
	}
	clock := func(c *cobra.Command, f *storeFlags) {
		c.Flags().StringVar(&f.now, "now", "", "the time that the store notes (RFC 3339; default: now)")
	}
	add("info", "What a store holds: days, rows, source files, gaps", "", nil,
		func(ctx context.Context, st *catalog.Store, f *storeFlags) error { return f.info(ctx, st, s.out) })
	add("verify", "Read every segment again and hold it against the catalogue",
		"Verify reads all that is stored and compares it with the digests and counts of the catalogue.\nExit code 1 says that something is damaged.", nil,
		func(ctx context.Context, st *catalog.Store, f *storeFlags) error { return f.verify(ctx, st, s.out) })
	add("prune", "Drop old days", "Prune drops all days before a date. The source files stay known, so that ingest does not add\nthem again.",
		func(c *cobra.Command, f *storeFlags) {
			c.Flags().StringVar(&f.before, "before", "", "the first day to keep (2006-01-02)")
			c.Flags().BoolVar(&f.dry, "dry-run", false, "say what would go, and change nothing")
			clock(c, f)
		},
		func(ctx context.Context, st *catalog.Store, f *storeFlags) error { return f.prune(ctx, st, s.out) })
	add("compact", "Make one segment of the several that days have", "Compact puts the segments of each day together. No result changes; analyses read fewer files.",
		func(c *cobra.Command, f *storeFlags) {
			c.Flags().IntVar(&f.workers, "workers", runtime.NumCPU(), "goroutines to use (default: one per processor)")
			c.Flags().Lookup("workers").DefValue = "0" // not shown: the text says it
			clock(c, f)
		},
		func(ctx context.Context, st *catalog.Store, f *storeFlags) error { return f.compact(ctx, st, s.out) })
	return cmd
}

// open opens the store for run.
func (f *storeFlags) open(ctx context.Context, run func(context.Context, *catalog.Store, *storeFlags) error) error {
	switch {
	case f.dir == "":
		return usageError("no store: give --store DIR")
	case f.format != "text" && f.format != "json":
		return usageError("--format: %q is not text or json", f.format)
	}
	st, err := catalog.Open(ctx, f.dir)
	if err != nil {
		return storeError(err)
	}
	defer st.Close()
	return run(ctx, st, f)
}

func (f *storeFlags) clock() (time.Time, error) {
	if f.now == "" {
		return time.Now(), nil
	}
	return timeFlag("now", f.now)
}

// show writes v as JSON, or text.
func (f *storeFlags) show(w io.Writer, v any, text string) error {
	var err error
	if f.format == "json" {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		err = e.Encode(v)
	} else {
		_, err = io.WriteString(w, text)
	}
	if err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	return nil
}

// maxGaps is how many interfaces with gaps the text of info names.
const maxGaps = 20

func (f *storeFlags) info(ctx context.Context, st *catalog.Store, w io.Writer) error {
	x, err := st.Info(ctx)
	if err != nil {
		return storeError(err)
	}
	out := ""
	row := func(name, format string, args ...any) {
		out += fmt.Sprintf("%-12s", name) + fmt.Sprintf(format, args...) + "\n"
	}
	if x.From == "" {
		row("days", "none")
	} else {
		row("days", "%s to %s (%s)", x.From, x.To, plural(len(x.Days), "day with records", "days with records"))
	}
	row("records", "%s, %s could not be read", grouped(x.Records), grouped(x.Malformed))
	row("rows", "%s in %s, %s", grouped(uint64(x.Rows)), plural(x.Segments, "segment", "segments"), size(x.Bytes))
	row("sources", "%s, %s; of %d all days were dropped", plural(x.Files, "file", "files"), size(x.SourceBytes), x.Pruned)
	row("interfaces", "%d", len(x.Interfaces))
	for _, r := range x.LastRuns {
		row("last run", "%s at %s, %s, %s%s", printable(r.Command), r.At, plural(r.Files, "file", "files"), plural(int(r.Records), "record", "records"), note(r.Note))
	}
	twice, days := []string{}, 0
	for _, i := range x.Interfaces {
		if len(i.Twice) > 0 {
			twice = append(twice, printable(i.Interface))
			days += len(i.Twice)
		}
	}
	if n := len(twice); n > 0 {
		text := strings.Join(twice[:min(n, maxGaps)], ", ")
		if n > maxGaps {
			text += fmt.Sprintf(" and %d more; --format json names all", n-maxGaps)
		}
		row("twice", "every accepted, or every refused, record of %s is there twice, as of two flow logs of the same traffic: %s", plural(days, "interface day", "interface days"), text)
	}
	gaps := 0
	for _, i := range x.Interfaces {
		if len(i.Missing) == 0 && i.SkipData == 0 {
			continue
		}
		if gaps++; gaps > maxGaps {
			continue
		}
		text := fmt.Sprintf("%s: ", printable(i.Interface))
		switch n := len(i.Missing); {
		case n == 1:
			text += "no record on " + i.Missing[0]
		case n > 1:
			text += fmt.Sprintf("no record on %d days, the first %s", n, i.Missing[0])
		}
		if i.SkipData > 0 {
			if len(i.Missing) > 0 {
				text += ", "
			}
			text += plural(int(i.SkipData), "SKIPDATA row", "SKIPDATA rows")
		}
		row("gap", "%s", text)
	}
	if gaps > maxGaps {
		row("gap", "and of %d more interfaces; --format json names all", gaps-maxGaps)
	}
	return f.show(w, x, out)
}

func note(s string) string {
	if s == "" {
		return ""
	}
	return ", " + printable(s)
}

func (f *storeFlags) verify(ctx context.Context, st *catalog.Store, w io.Writer) error {
	v, err := st.Verify(ctx)
	if err != nil {
		return storeError(err)
	}
	out := fmt.Sprintf("sound       %s with %s, %s\n", plural(v.Segments, "segment", "segments"), plural(int(v.Rows), "row", "rows"), size(v.Bytes))
	for _, p := range v.Problems {
		out += "damaged     " + printable(p) + "\n"
	}
	for _, p := range v.Leftover {
		out += "left over   " + printable(p) + ": no part of the store; the next ingest removes it\n"
	}
	if err := f.show(w, v, out); err != nil {
		return err
	}
	if len(v.Problems) > 0 {
		return &exitError{code: exitGate}
	}
	return nil
}

func (f *storeFlags) prune(ctx context.Context, st *catalog.Store, w io.Writer) error {
	if f.before == "" {
		return usageError("no date: give --before DATE")
	}
	before, err := timeFlag("before", f.before)
	if err != nil {
		return err
	}
	if before.Unix()%86400 != 0 {
		return usageError("--before %s is not midnight UTC: a store keeps whole days", f.before)
	}
	now, err := f.clock()
	if err != nil {
		return err
	}
	p, err := st.Prune(ctx, before, f.dry, now)
	if err != nil {
		return storeError(err)
	}
	verb := "dropped"
	if f.dry {
		verb = "would drop"
	}
	return f.show(w, p, fmt.Sprintf("%s %s with %s, %s; nothing is left of %s\n", verb, plural(p.Days, "day", "days"),
		plural(int(p.Rows), "row", "rows"), size(p.Bytes), plural(p.Files, "source file", "source files")))
}

func (f *storeFlags) compact(ctx context.Context, st *catalog.Store, w io.Writer) error {
	if f.workers < 1 {
		return usageError("--workers: %d is not positive", f.workers)
	}
	now, err := f.clock()
	if err != nil {
		return err
	}
	c, err := st.Compact(ctx, f.workers, now)
	if err != nil {
		return storeError(err)
	}
	return f.show(w, c, fmt.Sprintf("%s: %s with %s, %s; there were %d with %d, %s\n", plural(c.Days, "day made one", "days made one each"),
		plural(c.Now.Segments, "segment", "segments"), plural(int(c.Now.Rows), "row", "rows"), size(c.Now.Bytes), c.Before.Segments, c.Before.Rows, size(c.Before.Bytes)))
}

// grouped writes a number with commas.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
