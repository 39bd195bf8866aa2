package main

import (
	"context"
	"time"

	"github.com/sgadvise/sgadvise/cmd/catalog"
	"github.com/sgadvise/sgadvise/engine"
)

// feed adds to the store what is new in the logs, or makes all its days again. Without a
// store, or without logs to feed it from, there is nothing to do.
func (a *auditRun) feed(ctx context.Context, rebuild bool) error {
	f := a.f
	if f.folder == "" || len(f.sources) == 0 {
		return nil
	}
	past, _, err := f.readPolicy(a.s)
	if err != nil {
		return err
	}
	cfg := engine.HistoryConfig(past)
	if f.bounds != nil {
		f.bounds(&cfg)
	}
	st, err := catalog.Open(ctx, f.folder)
	if err != nil {
		return storeError(err)
	}
	defer st.Close()
	before, err := daysOfStore(ctx, st)
	if err != nil {
		return storeError(err)
	}
	show := newProgress(f.progress, f.quiet, a.s.err)
	opt := catalog.Options{Reading: f.reading(past.Present(), a.s), Config: cfg, Rebuild: rebuild, Now: a.st.now, Command: "sgadvise audit"}
	opt.Reading.Progress = show.update
	report, err := st.Ingest(ctx, f.sources, opt)
	show.done()
	if err != nil {
		return storeError(err)
	}
	if err := report.Failures(); err != nil {
		return inputError(err)
	}
	if rebuild {
		return nil
	}
	for _, x := range []struct {
		state catalog.State
		words string
	}{{catalog.Replaced, "replaced"}, {catalog.Duplicate, "a copy of another, not counted"}} {
		if n := report.Count(x.state); n > 0 && report.Records > 0 {
			a.note("logs: %s %s", plural(n, "file", "files"), x.words)
		}
	}
	after, err := daysOfStore(ctx, st)
	if err != nil {
		return storeError(err)
	}
	a.noteLate(before, after)
	return nil
}

// daysOfStore returns the records of each day of a store, which need not be there.
func daysOfStore(ctx context.Context, st *catalog.Store) (map[string]uint64, error) {
	m := map[string]uint64{}
	if !st.Exists() {
		return m, nil
	}
	info, err := st.Info(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range info.Days {
		m[d.Day] = d.Records
	}
	return m, nil
}

// noteLate says which days that the last run spoke of have other records now.
func (a *auditRun) noteLate(before, after map[string]uint64) {
	if a.prev == nil {
		return
	}
	last := time.Unix(int64(a.prev.Window.To), 0).UTC().Format(time.DateOnly)
	for _, day := range sortedKeys(after) {
		if n := after[day]; day < last && n != before[day] {
			a.note("late: %s of %s arrived after the last run", counted(int64(n)-int64(before[day])), day)
		}
	}
}

// counted is a number of records; fewer are those of files that were replaced.
func counted(n int64) string {
	if n < 0 {
		return "-" + plural(int(-n), "record", "records")
	}
	return plural(int(n), "record", "records")
}
