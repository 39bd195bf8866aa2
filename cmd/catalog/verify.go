package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sgadvise/sgadvise/ingest/store"
)

// Verified is the account of one Verify.
type Verified struct {
	Segments int      `json:"segments"` // that are sound
	Rows     int64    `json:"rows"`
	Bytes    int64    `json:"bytes"`
	Problems []string `json:"problems"` // damage, by segment
	Leftover []string `json:"leftover"` // files that the catalogue does not name; the next ingest removes them
}

// Verify reads every segment again and holds it against the catalogue. The error says that
// it could not look.
func (s *Store) Verify(ctx context.Context) (*Verified, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	out := &Verified{Problems: []string{}, Leftover: []string{}}
	var segs []segment
	err := s.snapshot(ctx, func(tx *sql.Tx) error {
		var check string
		if err := tx.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&check); err != nil {
			return err
		}
		if check != "ok" {
			out.Problems = append(out.Problems, filepath.Join(s.dir, catalogFile)+": "+check)
		}
		var err error
		if segs, err = s.segments(ctx, tx); err != nil {
			return err
		}
		return readCoverage(ctx, tx, segs)
	})
	if err != nil {
		return nil, err
	}
	named := make(map[string]bool)
	for i := range segs {
		g := &segs[i]
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		named[g.name] = true
		if err := s.verifySegment(g); err != nil {
			out.Problems = append(out.Problems, lostSegment(err).Error())
			continue
		}
		out.Segments++
		out.Rows += g.rows
		out.Bytes += g.bytes
	}
	root := filepath.Join(s.dir, segmentsDir)
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if rel, err := filepath.Rel(root, path); err != nil || !named[filepath.ToSlash(rel)] {
			out.Leftover = append(out.Leftover, path)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return out, err
}

// verifySegment reads one segment and counts its records again.
func (s *Store) verifySegment(g *segment) error {
	type part struct {
		iface string
		over  bool
	}
	flows := make(map[part]uint64)
	err := s.readSegment(g, func(names []string, rows []store.Kept) error {
		for i := range rows {
			k := &rows[i]
			if g.day != store.OddDay && (k.First < 0 || k.First/86400 != int64(g.day)) {
				return fmt.Errorf("a row of %s begins at %s", names[k.Interface], timeText(k.First))
			}
			flows[part{names[k.Interface], k.Over}] += k.Records
		}
		return nil
	})
	if err != nil {
		return err
	}
	var total uint64
	for i := range g.coverage {
		c := &g.coverage[i]
		at := part{c.Interface, c.Over}
		if got := flows[at] + c.NoData + c.SkipRows + c.Unsupported; got != c.Records {
			return &DamagedError{s.path(g), fmt.Errorf("%s has %d records, the catalogue says %d", c.Interface, got, c.Records)}
		}
		delete(flows, at)
		total += c.Records
	}
	if len(flows) > 0 || total != g.records {
		return &DamagedError{s.path(g), errors.New("it has records that the catalogue does not count")}
	}
	return nil
}
