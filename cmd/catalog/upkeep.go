package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sgadvise/sgadvise/ingest/store"
)

// Pruned is the account of one Prune.
type Pruned struct {
	Days     int   `json:"days"`
	Segments int   `json:"segments"`
	Rows     int64 `json:"rows"`
	Bytes    int64 `json:"bytes"`
	Files    int   `json:"files"` // source files of which nothing is left
}

// errDry undoes what a dry run has done.
var errDry = errors.New("dry run")

// Prune drops all days before the day that begins at before, which is midnight UTC. The
// source files stay known, so that they are not read again. With dry set nothing is done,
// and the account says what would be.
func (s *Store) Prune(ctx context.Context, before time.Time, dry bool, now time.Time) (*Pruned, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	if before.Unix()%86400 != 0 {
		return nil, fmt.Errorf("%s is not midnight UTC", before.Format(time.RFC3339))
	}
	out := &Pruned{}
	var old []segment
	err := s.write(ctx, "prune", now, func() error {
		return s.inTx(ctx, func(tx *sql.Tx) error {
			var err error
			if old, err = s.prune(context.WithoutCancel(ctx), tx, before, out); err != nil || len(old) == 0 {
				return err
			}
			if dry {
				return errDry
			}
			_, err = note(context.WithoutCancel(ctx), tx, "prune", now, out.Files, 0, "before "+before.UTC().Format(time.DateOnly))
			return err
		})
	})
	switch {
	case errors.Is(err, errDry):
		return out, nil
	case err != nil:
		return nil, err
	}
	s.remove(old)
	return out, nil
}

// prune drops days in a transaction and returns their segments.
func (s *Store) prune(ctx context.Context, tx *sql.Tx, before time.Time, out *Pruned) ([]segment, error) {
	limit := int32(before.Unix() / 86400)
	rows, err := tx.QueryContext(ctx, "SELECT DISTINCT segment FROM coverage JOIN segments ON segments.id = segment WHERE day = ? AND last >= ?", store.OddDay, before.Unix())
	if err != nil {
		return nil, err
	}
	late, err := scan(rows, func(id *int64) error { return rows.Scan(id) })
	if err != nil {
		return nil, err
	}
	if rows, err = tx.QueryContext(ctx, "SELECT DISTINCT batch FROM segment_batches JOIN segments ON segments.id = segment WHERE day < ? ORDER BY batch", limit); err != nil {
		return nil, err
	}
	batches, err := scan(rows, func(b *int64) error { return rows.Scan(b) })
	if err != nil {
		return nil, err
	}
	old, err := s.dropSegments(ctx, tx, func(g *segment) bool { return g.day < limit && !slices.Contains(late, g.id) })
	if err != nil {
		return nil, err
	}
	days := make(map[int32]bool)
	for _, g := range old {
		days[g.day] = true
		out.Rows += g.rows
		out.Bytes += g.bytes
	}
	out.Days, out.Segments = len(days), len(old)
	for _, b := range batches {
		res, err := tx.ExecContext(ctx, `UPDATE files SET pruned = 1 WHERE pruned = 0 AND id IN (SELECT file FROM file_batches WHERE batch = ?)
			AND NOT EXISTS (SELECT 1 FROM file_batches f JOIN segment_batches b ON b.batch = f.batch WHERE f.file = files.id)`, b)
		if err != nil {
			return nil, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return nil, err
		}
		out.Files += int(n)
	}
	return old, nil
}

// Compacted is the account of one Compact: of what there was, and what there is.
type Compacted struct {
	Days   int   `json:"days"` // that had several segments
	Before Sizes `json:"before"`
	Now    Sizes `json:"now"`
}

// Sizes are those of segments.
type Sizes struct {
	Segments int   `json:"segments"`
	Rows     int64 `json:"rows"`
	Bytes    int64 `json:"bytes"`
}

func (z *Sizes) add(list []segment, sign int64) {
	for i := range list {
		z.Segments += int(sign)
		z.Rows += sign * list[i].rows
		z.Bytes += sign * list[i].bytes
	}
}

// Compact makes one segment of those of each day. What Load returns stays the same. A day is
// committed on its own.
func (s *Store) Compact(ctx context.Context, workers int, now time.Time) (*Compacted, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	out := &Compacted{}
	err := s.write(ctx, "compact", now, func() error { return s.compact(ctx, workers, now, out) })
	return out, err
}

func (s *Store) compact(ctx context.Context, workers int, now time.Time, out *Compacted) error {
	segs, err := s.segments(ctx, s.db)
	if err != nil {
		return err
	}
	if err := readCoverage(ctx, s.db, segs); err != nil {
		return err
	}
	knows, err := readKnowledge(ctx, s.db)
	if err != nil {
		return err
	}
	byDay := make(map[int32][]segment)
	for _, g := range segs {
		byDay[g.day] = append(byDay[g.day], g)
	}
	out.Before.add(segs, 1)
	out.Now = out.Before
	for _, day := range slices.Sorted(maps.Keys(byDay)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(byDay[day]) < 2 {
			continue
		}
		made, err := s.compactDay(ctx, byDay[day], knows.config(workers))
		if err != nil {
			return err
		}
		out.Days++
		out.Now.add(byDay[day], -1)
		out.Now.add(made, 1)
	}
	if out.Days == 0 {
		return nil
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := note(context.WithoutCancel(ctx), tx, "compact", now, 0, 0, fmt.Sprintf("%d days", out.Days))
		return err
	})
}

// compactDay replaces the segments of a day by one.
func (s *Store) compactDay(ctx context.Context, old []segment, cfg store.Config) ([]segment, error) {
	c := store.NewCompactor(cfg)
	if err := s.addAll(ctx, c, old, cfg.Workers); err != nil {
		return nil, err
	}
	var last int64
	if err := s.db.QueryRowContext(ctx, "SELECT seq FROM sqlite_sequence WHERE name = 'segments'").Scan(&last); err != nil {
		return nil, err
	}
	made, err := s.writeSegments(c.Segments(), last+1, compacted, cfg.Workers)
	if err != nil {
		return nil, err
	}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		ctx := context.WithoutCancel(ctx)
		gone, batches := make(map[int64]bool), make(map[int64]bool)
		for i := range old {
			gone[old[i].id] = true
			rows, err := tx.QueryContext(ctx, "SELECT batch FROM segment_batches WHERE segment = ?", old[i].id)
			if err != nil {
				return err
			}
			list, err := scan(rows, func(b *int64) error { return rows.Scan(b) })
			if err != nil {
				return err
			}
			for _, b := range list {
				batches[b] = true
			}
		}
		if _, err := s.dropSegments(ctx, tx, func(g *segment) bool { return gone[g.id] }); err != nil {
			return err
		}
		return addSegments(ctx, tx, made, slices.Sorted(maps.Keys(batches)))
	})
	if err != nil {
		s.remove(made)
		return nil, err
	}
	s.remove(old)
	return made, nil
}
