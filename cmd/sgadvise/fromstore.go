package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sgadvise/sgadvise/cmd/catalog"
	"github.com/sgadvise/sgadvise/cmd/lock"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// hasLogs reports whether there is anything to replay.
func (f *inputFlags) hasLogs() bool { return len(f.logs) > 0 || f.store != "" }

// checkStore finds flags that a store leaves no room for.
func (f *inputFlags) checkStore() error {
	if len(f.logs) > 0 {
		return usageError("give --logs or --store, one of them; sgadvise ingest adds logs to a store")
	}
	for _, name := range []string{"log-format", "columns"} {
		if f.given != nil && f.given(name) {
			return usageError("--%s belongs to sgadvise ingest: a store has the logs as they were read", name)
		}
	}
	return nil
}

// checkDays finds bounds of the window that a store cannot keep to.
func (f *inputFlags) checkDays(from, to time.Time) error {
	if f.store == "" {
		return nil
	}
	for _, b := range []struct {
		flag string
		t    time.Time
	}{{"from", from}, {"to", to}} {
		if !b.t.IsZero() && b.t.Unix()%86400 != 0 {
			return usageError("--%s %s is not midnight UTC: a store keeps whole days; give a date, or --logs", b.flag, b.t.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// readStore takes the days of the window from the store.
func (f *inputFlags) readStore(ctx context.Context, cfg store.Config) (*store.Connections, *ingest.Report, error) {
	if err := f.checkDays(moment64(cfg.From), moment64(cfg.To)); err != nil {
		return nil, nil, err
	}
	st, err := catalog.Open(ctx, f.store)
	if err != nil {
		return nil, nil, storeError(err)
	}
	defer st.Close()
	conns, read, err := st.Load(ctx, cfg)
	if err != nil {
		return nil, nil, storeError(err)
	}
	return conns, read, ingest.CheckBadRows(&read.Stats, ingest.Options{Strict: f.strict, MaxBadRows: f.maxBadRows})
}

// moment64 is a bound of a window as a time; 0 is none.
func moment64(t int64) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(t, 0).UTC()
}

// storeError gives an error of a store its exit code, and says what to do about it.
func storeError(err error) error {
	var none *catalog.NoStoreError
	var bounds *store.BoundsError
	var odd *store.OddError
	var held *lock.HeldError
	var damaged *catalog.DamagedError
	var gone *catalog.GoneError
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &none):
		return &exitError{code: exitInput, cause: err, hint: "sgadvise ingest PATH… --store DIR makes one"}
	case errors.As(err, &bounds):
		return &exitError{code: exitInput, cause: err,
			hint: "sgadvise ingest --rebuild --store DIR --policy PATH… makes the days again from their source files; with --policy, days that are added later have it right at once"}
	case errors.As(err, &odd):
		return &exitError{code: exitInput, cause: err, hint: "leave --from and --to out, or give --logs"}
	case errors.As(err, &held):
		return &exitError{code: exitLocked, cause: err, hint: "it ends by itself; if it hangs, end that process: the lock goes with it"}
	case errors.As(err, &damaged), errors.As(err, &gone):
		return inputError(err)
	case errors.As(err, new(*ingest.InputError)), errors.As(err, new(*ingest.BadRowsError)), errors.Is(err, ingest.ErrNoInput):
		return err
	}
	return &exitError{code: exitInternal, cause: fmt.Errorf("store: %w", err)}
}
