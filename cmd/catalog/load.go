package catalog

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// DamagedError says that a segment is not what the catalogue says it is.
type DamagedError struct {
	Path string
	Err  error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s: %v; restore the file, or make its day again with ingest --rebuild", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Load returns what the store knows of the window of cfg, for the policy that cfg is of: the
// same Connections as the source files themselves give, and the account of those files. The
// window must begin and end at midnight UTC; zero is no bound.
//
// The error is a [store.BoundsError] if the rows that are kept do not tell apart what the
// policy does; see Options.Rebuild.
func (s *Store) Load(ctx context.Context, cfg store.Config) (*store.Connections, *ingest.Report, error) {
	if err := s.reading(); err != nil {
		return nil, nil, err
	}
	for attempt := 1; ; attempt++ {
		c, r, err := s.load(ctx, cfg)
		// A run that ends in this moment may have replaced files by others.
		if errors.Is(err, fs.ErrNotExist) && attempt < 5 {
			continue
		}
		return c, r, damagedCatalogue(lostSegment(err))
	}
}

// lostSegment says of a segment that is not there what to do about it.
func lostSegment(err error) error {
	var e *fs.PathError
	if errors.Is(err, fs.ErrNotExist) && errors.As(err, &e) {
		return &DamagedError{e.Path, errors.New("the file is gone")}
	}
	return err
}

func (s *Store) load(ctx context.Context, cfg store.Config) (*store.Connections, *ingest.Report, error) {
	restorer, err := store.NewRestorer(cfg)
	if err != nil {
		return nil, nil, err
	}
	var segs []segment
	var report *ingest.Report
	err = s.snapshot(ctx, func(tx *sql.Tx) error {
		var err error
		if segs, err = s.segments(ctx, tx); err != nil {
			return err
		}
		if err := readCoverage(ctx, tx, segs); err != nil {
			return err
		}
		files, err := readFiles(ctx, tx)
		if err != nil {
			return err
		}
		report, err = files.report()
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if err := s.addAll(ctx, restorer, segs, cfg.Workers); err != nil {
		return nil, nil, err
	}
	c, err := restorer.Connections()
	return c, report, err
}

// snapshot runs f in a transaction that reads.
func (s *Store) snapshot(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return f(tx)
}

// addAll adds segments to a restorer, on several goroutines.
func (s *Store) addAll(ctx context.Context, r *store.Restorer, segs []segment, workers int) error {
	errs := make([]error, len(segs))
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range max(1, min(workers, len(segs))) {
		wg.Go(func() {
			w := r.Worker()
			defer w.Flush()
			for {
				i := int(next.Add(1) - 1)
				if i >= len(segs) || failed.Load() > 0 || ctx.Err() != nil {
					return
				}
				w.Cover(segs[i].day, segs[i].coverage)
				if !r.Wants(segs[i].day) {
					continue
				}
				errs[i] = s.readSegment(&segs[i], func(names []string, rows []store.Kept) error {
					w.Rows(segs[i].day, names, rows)
					return ctx.Err()
				})
				if errs[i] != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// readSegment reads the file of g, once its digest has been checked.
func (s *Store) readSegment(g *segment, f func(names []string, rows []store.Kept) error) error {
	path := s.path(g)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if digest := fmt.Sprintf("sha256:%x", sha256.Sum256(b)); digest != g.digest {
		return &DamagedError{path, fmt.Errorf("its digest is not that of the catalogue: %d bytes, %d expected", len(b), g.bytes)}
	}
	var n int64
	err = store.ReadParquet(bytes.NewReader(b), int64(len(b)), g.day, func(names []string, rows []store.Kept) error {
		n += int64(len(rows))
		return f(names, rows)
	})
	switch {
	case err != nil:
		return &DamagedError{path, err}
	case n != g.rows:
		return &DamagedError{path, fmt.Errorf("it has %d rows, the catalogue says %d", n, g.rows)}
	}
	return nil
}

// readCoverage sets the coverage of segs.
func readCoverage(ctx context.Context, q querier, segs []segment) error {
	at := make(map[int64]*segment, len(segs))
	for i := range segs {
		at[segs[i].id] = &segs[i]
	}
	rows, err := q.QueryContext(ctx, "SELECT segment, interface, next_day, first, last, records, nodata, skipdata, unsupported, days, skips, prints FROM coverage")
	if err != nil {
		return err
	}
	defer rows.Close()
	names := make(map[string]string)
	for rows.Next() {
		var id int64
		var c store.DayCoverage
		var days, skips, prints string
		if err := rows.Scan(&id, &c.Interface, &c.Over, &c.From, &c.To, &c.Records, &c.NoData, &c.SkipRows, &c.Unsupported, &days, &skips, &prints); err != nil {
			return err
		}
		if c.Days, err = parseDays(days); err == nil {
			c.Skips, err = parseSkips(skips)
		}
		if err == nil {
			c.Prints, err = parsePrints(prints)
		}
		if err != nil {
			return fmt.Errorf("coverage of segment %d: %w", id, err)
		}
		if name, ok := names[c.Interface]; ok {
			c.Interface = name
		} else {
			names[c.Interface] = c.Interface
		}
		if g := at[id]; g != nil {
			g.coverage = append(g.coverage, c)
		}
	}
	return rows.Err()
}

func parseDays(text string) (days []int32, err error) {
	err = json.Unmarshal([]byte(text), &days)
	return days, err
}

func parseSkips(text string) ([]store.Span, error) {
	if text == "[]" {
		return nil, nil
	}
	var pairs [][2]int64
	if err := json.Unmarshal([]byte(text), &pairs); err != nil {
		return nil, err
	}
	var out []store.Span
	for _, p := range pairs {
		out = append(out, store.Span{From: p[0], To: p[1]})
	}
	return out, nil
}

// report returns the account of the files of which days are left.
func (c *files) report() (*ingest.Report, error) {
	r := &ingest.Report{}
	for _, f := range c.byID {
		if f.pruned {
			continue
		}
		stats, err := f.stats()
		if err != nil {
			return nil, fmt.Errorf("%s: stats: %w", f.read.Path, err)
		}
		read := f.read
		read.Stats = *stats
		r.Files = append(r.Files, read)
	}
	slices.SortFunc(r.Files, func(a, b ingest.File) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Digest, b.Digest))
	})
	for i := range r.Files {
		r.Stats.Merge(&r.Files[i].Stats)
	}
	r.Ledger[flow.Malformed] = r.Stats.Malformed.Total()
	r.Ledger[flow.Unsupported] = r.Stats.Unsupported.Total()
	return r, nil
}
