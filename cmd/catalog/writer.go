package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/cmd/lock"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// maxRows is how many rows are in memory before they are written: some 400 MB at the most.
const maxRows = 3_000_000

// checkEvery is how many records are added between two looks at the number of rows.
const checkEvery = 500_000

// writer turns batches of records into segment files, which count once they are in the
// catalogue. Its adders may run concurrently.
type writer struct {
	s     *Store
	batch int64
	cfg   store.Config
	only  map[int32]bool // days to keep; nil: all

	records atomic.Int64 // since the last look

	mu     sync.RWMutex // held for reading while a batch is added
	days   *store.Days
	adders []*adder
	files  int // written so far
	out    []segment
	err    error
}

func newWriter(s *Store, batch int64, cfg store.Config, only map[int32]bool) *writer {
	return &writer{s: s, batch: batch, cfg: cfg, only: only, days: store.NewDays(cfg)}
}

// adder is one goroutine's way to a writer.
type adder struct {
	w  *writer
	to *store.DaysWorker
}

func (w *writer) adder() *adder {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := &adder{w: w, to: w.days.Worker()}
	w.adders = append(w.adders, a)
	return a
}

// Add adds the records of b. An error shows when the writer is finished.
func (a *adder) Add(b *store.Batch) {
	w := a.w
	w.mu.RLock()
	a.to.Add(b)
	w.mu.RUnlock()
	if w.records.Add(int64(b.Len())) < checkEvery {
		return
	}
	w.records.Store(0)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.days.Rows() >= maxRows {
		w.flush()
		w.days = store.NewDays(w.cfg)
		for _, a := range w.adders {
			a.to = w.days.Worker()
		}
	}
}

// finish writes what is left and returns the segments, which are not in the catalogue yet.
func (w *writer) finish() ([]segment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return w.out, w.err
}

// discard removes what was written.
func (w *writer) discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.s.remove(w.out)
	w.out = nil
}

// flush writes the rows at hand, a file a day.
func (w *writer) flush() {
	if w.err != nil {
		return
	}
	var list []*store.Segment
	for _, g := range w.days.Finish() {
		if w.only == nil || w.only[g.Day] {
			list = append(list, g)
		}
	}
	out, err := w.s.writeSegments(list, w.batch, w.files, w.cfg.Workers)
	w.files++
	w.out, w.err = append(w.out, out...), err
}

// remove removes the files of segments that the catalogue does not name, or no longer. What
// cannot be removed now is when the next run begins.
func (s *Store) remove(list []segment) {
	for i := range list {
		path := s.path(&list[i])
		os.Remove(path)
		os.Remove(filepath.Dir(path)) // if it was the last of its day
	}
}

// compacted is the part that says that a segment was made of others.
const compacted = -1

// writeSegments writes segments to files that have the number of their batch, and part, in
// their names, on several goroutines.
func (s *Store) writeSegments(list []*store.Segment, batch int64, part, workers int) ([]segment, error) {
	out := make([]segment, len(list))
	errs := make([]error, len(list))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, min(workers, len(list))) {
		wg.Go(func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= len(list) {
					return
				}
				name := fmt.Sprintf("%s/%08d-%d.parquet", dayText(list[i].Day), batch, part)
				if part == compacted {
					name = fmt.Sprintf("%s/compact-%08d.parquet", dayText(list[i].Day), batch)
				}
				out[i], errs[i] = s.writeSegment(list[i], name)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	dirs := map[string]bool{filepath.Join(s.dir, segmentsDir): true, s.dir: true}
	for i := range out {
		dirs[filepath.Dir(s.path(&out[i]))] = true
	}
	if len(out) > 0 {
		for dir := range dirs {
			if err := lock.SyncFolder(dir); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// writeSegment writes one file, under its name once it is whole and on disk.
func (s *Store) writeSegment(g *store.Segment, name string) (segment, error) {
	meta := segment{day: g.Day, name: name, rows: int64(g.Len()), records: g.Records(), coverage: g.Coverage}
	path := s.path(&meta)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return meta, err
	}
	f, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return meta, err
	}
	sum := sha256.New()
	count := &counter{w: io.MultiWriter(f, sum)}
	err = g.WriteParquet(count)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		os.Remove(path + ".part")
		return meta, err
	}
	meta.bytes, meta.digest = count.n, fmt.Sprintf("sha256:%x", sum.Sum(nil))
	return meta, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// addSegments puts segments into the catalogue, as made from the files of batches.
func addSegments(ctx context.Context, q querier, list []segment, batches []int64) error {
	for i := range list {
		g := &list[i]
		res, err := q.ExecContext(ctx, "INSERT INTO segments (day, name, rows, records, bytes, digest) VALUES (?, ?, ?, ?, ?, ?)",
			g.day, g.name, g.rows, int64(g.records), g.bytes, g.digest)
		if err != nil {
			return err
		}
		if g.id, err = res.LastInsertId(); err != nil {
			return err
		}
		for _, b := range batches {
			if _, err := q.ExecContext(ctx, "INSERT INTO segment_batches (segment, batch) VALUES (?, ?)", g.id, b); err != nil {
				return err
			}
		}
		if err := addCoverage(ctx, q, g); err != nil {
			return err
		}
	}
	return nil
}

func addCoverage(ctx context.Context, q querier, g *segment) error {
	const insert = `INSERT INTO coverage (segment, interface, next_day, first, last, records, nodata, skipdata, unsupported, days, skips, prints)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	for i := range g.coverage {
		c := &g.coverage[i]
		days, err := json.Marshal(c.Days)
		if err != nil {
			return err
		}
		skips := make([][2]int64, len(c.Skips))
		for i, s := range c.Skips {
			skips[i] = [2]int64{s.From, s.To}
		}
		gaps, err := json.Marshal(skips)
		if err != nil {
			return err
		}
		prints, err := json.Marshal(packPrints(c.Prints))
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, insert, g.id, c.Interface, c.Over, c.From, c.To, int64(c.Records), int64(c.NoData), int64(c.SkipRows), int64(c.Unsupported), string(days), string(gaps), string(prints))
		if err != nil {
			return err
		}
	}
	return nil
}

// packPrints writes prints as numbers: day, 1 if refused, records, and the bits of the sum.
func packPrints(list []store.Print) [][4]int64 {
	out := make([][4]int64, len(list))
	for i, p := range list {
		out[i] = [4]int64{int64(p.Day), 0, int64(p.Records), int64(p.Sum)}
		if p.Reject {
			out[i][1] = 1
		}
	}
	return out
}

func parsePrints(text string) ([]store.Print, error) {
	var list [][4]int64
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	var out []store.Print
	for _, v := range list {
		out = append(out, store.Print{Day: int32(v[0]), Reject: v[1] != 0, Records: uint64(v[2]), Sum: uint64(v[3])})
	}
	return out, nil
}
