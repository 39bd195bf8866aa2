package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/ingest"
)

// GoneError says that days cannot be made again, as source files of them are gone or hold
// something else.
type GoneError struct {
	Why   string   // what was to be done
	Days  []string // that stay as they are
	Files []string // that are missing
}

func (e *GoneError) Error() string {
	list := e.Files
	more := ""
	if len(list) > 3 {
		list, more = list[:3], fmt.Sprintf(" and %d more", len(e.Files)-3)
	}
	return fmt.Sprintf("%s needs other source files of the same days, which are gone or changed: %s%s; put them back, or make a new store of what is there", e.Why, strings.Join(list, ", "), more)
}

// replace takes out what replaced files held, and adds what their paths hold now: all days
// that they may have had a part in are made again from the other files.
func (in *intake) replace(ctx context.Context, p *plan) error {
	gone := make(map[int64]bool)
	for _, d := range p.replaced {
		gone[d.file.id] = true
	}
	// What a path holds now may be known from another one that was read in this run.
	held := make(map[string]bool)
	var jobs []*job
	copies := &plan{}
	for _, d := range p.replaced {
		if d.job.state != Replaced {
			continue
		}
		if f := in.cat.byContent[d.job.content]; f != nil && !gone[f.id] || held[d.job.content] {
			copies.known = append(copies.known, d.job)
			continue
		}
		held[d.job.content] = true
		jobs = append(jobs, d.job)
	}
	days, err := in.daysOf(ctx, gone)
	if err != nil {
		return err
	}
	others, err := in.filesOf(ctx, days, gone)
	if err != nil {
		return err
	}
	err = in.rebuild(ctx, days, others, gone, jobs)
	var missing *GoneError
	var unusable *ingest.InputError
	switch {
	case errors.As(err, &missing):
		missing.Why = "taking out what a replaced file held"
	case errors.As(err, &unusable):
	case err != nil:
		return err
	default:
		for _, j := range copies.known {
			j.state = Duplicate
		}
		return in.touch(ctx, copies)
	}
	for _, d := range p.replaced {
		in.fail(d.job, &ingest.InputError{Path: d.job.path, Err: fmt.Errorf("it was replaced since it was read, and stays as it was: %w", err)})
	}
	return nil
}

// rebuildAll makes all days again of which all files are there.
func (in *intake) rebuildAll(ctx context.Context) error {
	segs, err := in.s.segments(ctx, in.s.db)
	if err != nil {
		return err
	}
	days := make(map[int32]bool)
	for _, g := range segs {
		days[g.day] = true
	}
	all, err := in.filesOf(ctx, days, nil)
	if err != nil {
		return err
	}
	lost := make(map[int64]bool)
	var names []string
	for _, f := range all {
		if in.whereIs(f) == "" {
			lost[f.id] = true
			names = append(names, f.read.Path)
		}
	}
	kept, err := in.daysOf(ctx, lost)
	if err != nil {
		return err
	}
	for day := range kept {
		delete(days, day)
	}
	others, err := in.filesOf(ctx, days, nil)
	if err != nil {
		return err
	}
	if err := in.rebuild(ctx, days, others, nil, nil); err != nil {
		return err
	}
	if len(names) > 0 {
		slices.Sort(names)
		e := &GoneError{Why: "making days again", Files: names}
		for _, day := range slices.Sorted(maps.Keys(kept)) {
			e.Days = append(e.Days, dayText(day))
		}
		return e
	}
	return nil
}

// daysOf returns the days that the files may have had a part in.
func (in *intake) daysOf(ctx context.Context, ids map[int64]bool) (map[int32]bool, error) {
	days := make(map[int32]bool)
	for id := range ids {
		rows, err := in.s.db.QueryContext(ctx, `SELECT DISTINCT s.day FROM file_batches f JOIN segment_batches b ON b.batch = f.batch
			JOIN segments s ON s.id = b.segment WHERE f.file = ?`, id)
		if err != nil {
			return nil, err
		}
		list, err := scan(rows, func(d *int32) error { return rows.Scan(d) })
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			days[d] = true
		}
	}
	return days, nil
}

// filesOf returns the files that may have a part in days, but for some, by id.
func (in *intake) filesOf(ctx context.Context, days map[int32]bool, but map[int64]bool) ([]*file, error) {
	ids := make(map[int64]bool)
	for day := range days {
		rows, err := in.s.db.QueryContext(ctx, `SELECT DISTINCT f.file FROM segments s JOIN segment_batches b ON b.segment = s.id
			JOIN file_batches f ON f.batch = b.batch WHERE s.day = ?`, day)
		if err != nil {
			return nil, err
		}
		list, err := scan(rows, func(id *int64) error { return rows.Scan(id) })
		if err != nil {
			return nil, err
		}
		for _, id := range list {
			ids[id] = !but[id]
		}
	}
	var out []*file
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if ids[id] {
			out = append(out, in.cat.byID[id])
		}
	}
	return out, nil
}

// whereIs returns a path at which f lies still, of those that were touched since only if it
// holds f; empty if there is none.
func (in *intake) whereIs(f *file) string {
	var found, touched []string
	for _, p := range in.cat.paths {
		if p.file != f.id {
			continue
		}
		now, err := placeOf(p.path, in.opt.Now)
		switch {
		case err != nil:
		case now.same(p):
			found = append(found, p.path)
		default:
			touched = append(touched, p.path)
		}
	}
	if len(found) > 0 {
		return slices.Min(found)
	}
	slices.Sort(touched)
	for _, path := range touched {
		if c, _, err := ingest.ContentOf(path, 0); err == nil && c.Digest == f.read.Content.Digest {
			return path
		}
	}
	return ""
}

// rebuild makes days again from others, without the files that are gone, and with what jobs
// hold, as one change.
func (in *intake) rebuild(ctx context.Context, days map[int32]bool, others []*file, gone map[int64]bool, jobs []*job) error {
	if len(days) == 0 && len(jobs) == 0 && len(gone) == 0 {
		return nil
	}
	cfg := in.knows.config(in.opt.Reading.Workers)
	w := newWriter(in.s, in.nextBatch, cfg, days)
	segs, err := in.readAgain(ctx, others, w)
	if err != nil {
		w.discard()
		return err
	}
	fresh := newWriter(in.s, in.nextBatch, cfg, nil)
	fresh.files = w.files
	var done []*job
	if len(jobs) > 0 {
		read, err := in.read(ctx, jobs, fresh)
		var twice []*job
		if err == nil {
			if done, twice = in.sort(jobs, read); len(done) < len(jobs) || len(twice) > 0 {
				err = errors.New("files that were replaced hold the same; run again")
				if ctx.Err() != nil {
					err = context.Cause(ctx)
				}
			}
		}
		if err != nil {
			w.discard()
			fresh.discard()
			return err
		}
	}
	more, err := fresh.finish()
	if err != nil {
		w.discard()
		fresh.discard()
		return err
	}
	var old []segment
	err = in.s.inTx(ctx, func(tx *sql.Tx) error {
		ctx := context.WithoutCancel(ctx)
		if err := in.noteRun(ctx, tx, done); err != nil {
			return err
		}
		var err error
		if old, err = in.s.dropSegments(ctx, tx, func(g *segment) bool { return days[g.day] }); err != nil {
			return err
		}
		for id := range gone {
			for _, table := range []string{"file_batches WHERE file", "paths WHERE file", "files WHERE id"} {
				if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" = ?", id); err != nil {
					return err
				}
			}
		}
		for _, f := range others {
			if _, err := tx.ExecContext(ctx, "INSERT INTO file_batches (file, batch) VALUES (?, ?)", f.id, in.nextBatch); err != nil {
				return err
			}
		}
		if err := addSegments(ctx, tx, slices.Concat(segs, more), []int64{in.nextBatch}); err != nil {
			return err
		}
		return in.putFiles(ctx, tx, done)
	})
	if err != nil {
		w.discard()
		fresh.discard()
		return err
	}
	in.s.remove(old)
	in.report.Rebuilt += len(days)
	in.committed(done)
	return nil
}

// readAgain reads known files into w.
func (in *intake) readAgain(ctx context.Context, list []*file, w *writer) ([]segment, error) {
	groups := make(map[string][]*file) // by how they are read
	for _, f := range list {
		groups[f.reading] = append(groups[f.reading], f)
	}
	for _, how := range slices.Sorted(maps.Keys(groups)) {
		opt, err := in.reopen(how)
		if err != nil {
			return nil, err
		}
		var paths, missing []string
		want := make(map[string]*file)
		for _, f := range groups[how] {
			path := in.whereIs(f)
			if path == "" {
				missing = append(missing, f.read.Path)
				continue
			}
			paths = append(paths, path)
			want[path] = f
		}
		if len(missing) > 0 {
			return nil, &GoneError{Files: missing}
		}
		read, err := ingest.ReadTo(ctx, paths, opt, func() ingest.Adder { return w.adder() })
		if err != nil {
			return nil, err
		}
		for i := range read.Files {
			r := &read.Files[i]
			if f := want[r.Path]; f == nil || f.read.Content.Digest != r.Content.Digest {
				missing = append(missing, r.Path)
			}
		}
		if len(read.Files) != len(paths) {
			missing = append(missing, fmt.Sprintf("%d links", len(paths)-len(read.Files)))
		}
		if len(missing) > 0 {
			return nil, &GoneError{Files: missing}
		}
	}
	return w.finish()
}

// reopen returns the options under which files were read.
func (in *intake) reopen(how string) (ingest.Options, error) {
	opt := in.opt.Reading
	r, err := parseReading(how)
	opt.LogFormat, opt.Columns, opt.LogFormats = r.LogFormat, r.Columns, nil
	opt.Contents, opt.Skip, opt.SkipDigest, opt.Stop, opt.Progress = true, nil, nil, nil, nil
	opt.Strict, opt.MaxBadRows = false, -1 // they were taken before
	return opt, err
}

// dropSegments takes the segments that which picks out of the catalogue and returns them. Their
// files stay until the transaction has been committed.
func (s *Store) dropSegments(ctx context.Context, q querier, which func(*segment) bool) ([]segment, error) {
	all, err := s.segments(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []segment
	for _, g := range all {
		if !which(&g) {
			continue
		}
		for _, table := range []string{"coverage WHERE segment", "segment_batches WHERE segment", "segments WHERE id"} {
			if _, err := q.ExecContext(ctx, "DELETE FROM "+table+" = ?", g.id); err != nil {
				return nil, err
			}
		}
		out = append(out, g)
	}
	return out, nil
}
