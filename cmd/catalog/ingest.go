package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flowlog"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Options say how to add logs to a store.
type Options struct {
	// Reading says how to read logs. Its Contents, Skip, SkipDigest and Stop are not used.
	Reading ingest.Options
	// Config is what the present policy tells apart: PortBounds and Cuts. The store keeps
	// rows so that this policy, and all that it was told of before, can be replayed.
	Config store.Config
	// Rebuild makes all days again from the source files, which must still be there, so
	// that what Config tells apart is told apart in days that were stored before, too.
	Rebuild bool
	// Now is the time that the store notes, and by which files count as settled.
	Now time.Time
	// Command is how the run calls itself in the lock.
	Command string
	// BatchFiles is how many files are committed together at the most; 0: 2000.
	BatchFiles int
	// Grace is how long files under way may take after ctx has ended; 0: 20 s.
	Grace time.Duration
}

// State says what became of a path.
type State string

// What may become of a path.
const (
	New       State = "new"       // read and added
	Grown     State = "grown"     // what is new at its end was read and added
	Replaced  State = "replaced"  // read and added, and what it held before was taken out
	Unchanged State = "unchanged" // known, not read
	Duplicate State = "duplicate" // holds what another file holds
	Failed    State = "failed"    // could not be used; the store is as if it were not there
)

// Outcome is what became of a path.
type Outcome struct {
	Path    string
	State   State
	Of      string // of a duplicate: the file that counts
	Records uint64 // added
	Err     error  // of a failure
}

// Report is the account of one Ingest.
type Report struct {
	Outcomes  []Outcome // by path
	Records   uint64    // added
	Malformed uint64
	Batches   int // committed
	Rebuilt   int // days that were made again
}

// Count returns the number of paths in a state.
func (r *Report) Count(s State) (n int) {
	for i := range r.Outcomes {
		if r.Outcomes[i].State == s {
			n++
		}
	}
	return n
}

// Failures returns the errors of the paths that could not be used, joined; nil if all could.
func (r *Report) Failures() error {
	var errs []error
	for i := range r.Outcomes {
		if r.Outcomes[i].State == Failed {
			errs = append(errs, r.Outcomes[i].Err)
		}
	}
	return errors.Join(errs...)
}

const (
	// A batch is read, written and committed as one.
	batchBytes = 512 << 20 // of logs, as far as their sizes tell
	batchFiles = 2000

	defaultGrace = 20 * time.Second
)

// Ingest adds the logs that paths name, as [ingest.Read] would read them: each source file
// once, by what it holds. It makes the store if there is none.
//
// Files are committed in batches. Once ctx ends, the files under way are read to their end,
// what is whole is committed, and the error is the cause of ctx; the report then says what
// was done. A file that cannot be used fails alone, see [Report.Failures]. The error is a
// HeldError of cmd/lock if another run writes.
func (s *Store) Ingest(ctx context.Context, paths []string, opt Options) (*Report, error) {
	if opt.Grace == 0 {
		opt.Grace = defaultGrace
	}
	if opt.BatchFiles == 0 {
		opt.BatchFiles = batchFiles
	}
	if opt.Command == "" {
		opt.Command = "ingest"
	}
	report := &Report{}
	var names []string
	if len(paths) > 0 || !opt.Rebuild {
		var err error
		if names, err = ingest.Files(paths); err != nil {
			return report, err
		}
	}
	if err := makeDir(s.dir); err != nil {
		return report, err
	}
	err := s.write(ctx, opt.Command, opt.Now, func() error {
		in := &intake{s: s, opt: opt, report: report}
		return in.run(ctx, names)
	})
	slices.SortStableFunc(report.Outcomes, func(a, b Outcome) int {
		if a.Path < b.Path {
			return -1
		}
		if a.Path > b.Path {
			return 1
		}
		return 0
	})
	return report, err
}

// intake is one Ingest at work.
type intake struct {
	s      *Store
	opt    Options
	report *Report

	knows     knowledge
	cat       *files
	nextBatch int64
	runID     int64 // 0 until the first commit
	progress  ingest.Progress
}

func (in *intake) run(ctx context.Context, names []string) error {
	var err error
	if in.knows, err = readKnowledge(ctx, in.s.db); err != nil {
		return err
	}
	in.knows.learn(in.opt.Config)
	if in.cat, err = readFiles(ctx, in.s.db); err != nil {
		return err
	}
	err = in.s.db.QueryRowContext(ctx, "SELECT max(coalesce((SELECT max(batch) FROM file_batches), 0), coalesce((SELECT max(batch) FROM segment_batches), 0)) + 1").Scan(&in.nextBatch)
	if err != nil {
		return err
	}
	plan, err := in.plan(ctx, names)
	if err != nil {
		return err
	}
	in.progress.Total = plan.bytes
	if err := in.touch(ctx, plan); err != nil {
		return err
	}
	for todo := plan.jobs; len(todo) > 0; {
		batch := nextBatch(todo, in.opt.BatchFiles)
		todo = todo[len(batch):]
		again, err := in.add(ctx, batch)
		if err != nil {
			return err
		}
		todo = slices.Concat(again, todo)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if len(plan.replaced) > 0 {
		if err := in.replace(ctx, plan); err != nil {
			return err
		}
	}
	if in.opt.Rebuild {
		return in.rebuildAll(ctx)
	}
	return nil
}

// nextBatch returns the jobs at the front of todo that are done together. Standard input
// cannot be read twice, and so is alone; what holds the same as another file waits until
// that is in the catalogue.
func nextBatch(todo []*job, most int) []*job {
	var bytes int64
	held := make(map[string]bool)
	for i, j := range todo {
		bytes += j.weight
		if i > 0 && (bytes > batchBytes || i == most || j.path == stdin || todo[i-1].path == stdin || held[j.content]) {
			return todo[:i]
		}
		held[j.content] = j.content != ""
	}
	return todo
}

// add reads the jobs and commits what they hold. It returns those that must be done again.
func (in *intake) add(ctx context.Context, batch []*job) (again []*job, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if batch, err = in.known(ctx, batch); err != nil || len(batch) == 0 {
		return nil, err
	}
	w := newWriter(in.s, in.nextBatch, in.knows.config(in.opt.Reading.Workers), nil)
	read, err := in.read(ctx, batch, w)
	var unusable *ingest.InputError
	if errors.As(err, &unusable) {
		w.discard()
		i := slices.IndexFunc(batch, func(j *job) bool { return j.path == unusable.Path })
		if i < 0 {
			return nil, err
		}
		in.fail(batch[i], err)
		return slices.Concat(batch[:i], batch[i+1:]), nil
	}
	if err != nil {
		w.discard()
		return nil, err
	}
	done, twice := in.sort(batch, read)
	if len(twice) > 0 {
		// Their rows are among the others: once more without them. Those that hold what
		// another of this batch holds will find it known.
		w.discard()
		once := slices.DeleteFunc(slices.Clone(batch), func(j *job) bool { return slices.Contains(twice, j) })
		return slices.Concat(once, twice), nil
	}
	segs, err := w.finish()
	if err != nil {
		w.discard()
		return nil, err
	}
	err = in.s.inTx(ctx, func(tx *sql.Tx) error {
		ctx := context.WithoutCancel(ctx)
		if err := in.noteRun(ctx, tx, done); err != nil {
			return err
		}
		if err := addSegments(ctx, tx, segs, []int64{in.nextBatch}); err != nil {
			return err
		}
		return in.putFiles(ctx, tx, done)
	})
	if err != nil {
		w.discard()
		return nil, err
	}
	in.committed(done)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, nil
}

// committed brings the account up to date after a commit.
func (in *intake) committed(done []*job) {
	in.nextBatch++
	in.report.Batches++
	for _, j := range done {
		in.cat.put(j.file)
		in.report.Records += j.read.Records
		in.report.Malformed += j.read.Stats.Malformed.Total()
		in.report.Outcomes = append(in.report.Outcomes, Outcome{Path: j.path, State: j.state, Records: j.read.Records})
	}
}

// read reads the jobs into w. When ctx ends, no further file is begun.
func (in *intake) read(ctx context.Context, batch []*job, w *writer) (*ingest.Report, error) {
	opt := in.opt.Reading
	opt.Contents, opt.Skip, opt.SkipDigest = true, map[string]int64{}, map[string]string{}
	if opt.MaxBadRows >= 0 && !opt.Strict {
		opt.MaxBadRows = max(0, opt.MaxBadRows-int64(in.report.Malformed))
	}
	var paths []string
	for _, j := range batch {
		paths = append(paths, j.path)
		if j.skip > 0 {
			opt.Skip[j.path], opt.SkipDigest[j.path] = j.skip, j.old.read.Content.Digest
		}
	}
	before := in.progress
	if tell := in.opt.Reading.Progress; tell != nil {
		opt.Progress = func(p ingest.Progress) {
			in.progress.Bytes, in.progress.Records = before.Bytes+p.Bytes, before.Records+p.Records
			tell(in.progress)
		}
	}
	hard, stop, done := graceful(ctx, in.opt.Grace)
	defer done()
	opt.Stop = stop
	read, err := ingest.ReadTo(hard, paths, opt, func() ingest.Adder { return w.adder() })
	if hard.Err() != nil {
		in.progress = before
		return nil, context.Cause(ctx)
	}
	return read, err
}

// graceful returns a channel that is closed when ctx ends, and a context that ends some time
// later. The caller calls done.
func graceful(ctx context.Context, grace time.Duration) (hard context.Context, stop <-chan struct{}, done func()) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	closed := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		close(closed)
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(hard, func() { timer.Stop() })
	})
	return hard, closed, func() { end(); cancel() }
}

// sort finds what became of the jobs that were read: those that are done, and those that
// hold what another file holds.
func (in *intake) sort(batch []*job, read *ingest.Report) (done, twice []*job) {
	byPath := make(map[string]*ingest.File, len(read.Files))
	for i := range read.Files {
		byPath[read.Files[i].Path] = &read.Files[i]
	}
	seen := make(map[string]bool)
	for _, j := range batch {
		j.read = byPath[j.path]
		if j.read == nil {
			continue // not begun
		}
		digest := j.read.Content.Digest
		j.content = digest
		if same := in.cat.byContent[digest]; same != nil && same != j.old || seen[digest] {
			twice = append(twice, j)
			continue
		}
		seen[digest] = true
		done = append(done, j)
	}
	return done, twice
}

func (in *intake) fail(j *job, err error) {
	in.report.Outcomes = append(in.report.Outcomes, Outcome{Path: j.path, State: Failed, Err: err})
}

// noteRun writes the run down, and what it knows of policies, with its first commit.
func (in *intake) noteRun(ctx context.Context, q querier, done []*job) error {
	var records uint64
	for _, j := range done {
		records += j.read.Records
	}
	if in.runID != 0 {
		_, err := q.ExecContext(ctx, "UPDATE runs SET files = files + ?, records = records + ? WHERE id = ?", len(done), int64(records), in.runID)
		return err
	}
	id, err := note(ctx, q, in.opt.Command, in.opt.Now, len(done), records, "")
	if err != nil {
		return err
	}
	in.runID = id
	return in.knows.write(ctx, q)
}

// putFiles writes the files of done down.
func (in *intake) putFiles(ctx context.Context, q querier, done []*job) error {
	for _, j := range done {
		f, err := in.fileOf(j)
		if err != nil {
			return err
		}
		stats, err := json.Marshal(f.read.Stats)
		if err != nil {
			return err
		}
		if j.old == nil {
			res, err := q.ExecContext(ctx, `INSERT INTO files (path, content, length, ends_line, digest, bytes, format, compression, records, stats, reading, run)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, f.read.Path, f.read.Content.Digest, f.read.Content.Bytes, f.read.Content.EndsLine,
				f.read.Digest, f.read.Bytes, f.read.Format, f.read.Compression, int64(f.read.Records), string(stats), f.reading, in.runID)
			if err != nil {
				return err
			}
			if f.id, err = res.LastInsertId(); err != nil {
				return err
			}
		} else {
			_, err := q.ExecContext(ctx, `UPDATE files SET path = ?, content = ?, length = ?, ends_line = ?, digest = ?, bytes = ?, format = ?, compression = ?,
				records = ?, stats = ?, pruned = 0, run = ? WHERE id = ?`, f.read.Path, f.read.Content.Digest, f.read.Content.Bytes, f.read.Content.EndsLine,
				f.read.Digest, f.read.Bytes, f.read.Format, f.read.Compression, int64(f.read.Records), string(stats), in.runID, f.id)
			if err != nil {
				return err
			}
		}
		if _, err := q.ExecContext(ctx, "INSERT OR IGNORE INTO file_batches (file, batch) VALUES (?, ?)", f.id, in.nextBatch); err != nil {
			return err
		}
		if err := in.putPath(ctx, q, j, f.id); err != nil {
			return err
		}
		j.file = f
	}
	return nil
}

// fileOf returns what the catalogue is to say of a job that was read.
func (in *intake) fileOf(j *job) (*file, error) {
	f := &file{read: *j.read, reading: in.readingOf(j.path)}
	if j.old == nil {
		return f, nil
	}
	f.id, f.reading = j.old.id, j.old.reading
	if j.skip > 0 {
		stats, err := j.old.stats()
		if err != nil {
			return nil, err
		}
		f.read.Records += j.old.read.Records
		moveSamples(stats, f.read.Path)
		stats.Merge(&f.read.Stats)
		f.read.Stats = *stats
		f.read.Format = j.old.read.Format
	}
	return f, nil
}

// moveSamples says that the samples of a file are at another path now.
func moveSamples(s *flowlog.Stats, path string) {
	for _, reasons := range []flowlog.Reasons{s.Malformed, s.Unsupported, s.Conflicts, s.Partial} {
		for _, r := range reasons {
			for i := range r.Samples {
				r.Samples[i].File = path
			}
		}
	}
}

// readingOf returns, as text, what options decide how the file of a path is read.
func (in *intake) readingOf(path string) string {
	o := &in.opt.Reading
	r := reading{LogFormat: o.LogFormat, Columns: o.Columns}
	if r.LogFormat == "" {
		r.LogFormat = o.LogFormats[ingest.FlowLogOf(path)]
	}
	b, err := json.Marshal(r)
	if err != nil {
		return "{}" // two strings always can be
	}
	return string(b)
}

// reading is what decides how a file is read.
type reading struct {
	LogFormat string `json:"log_format,omitempty"`
	Columns   string `json:"columns,omitempty"`
}

func absolute(path string) string {
	if path == stdin {
		return stdin
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

func parseReading(text string) (r reading, err error) {
	err = json.Unmarshal([]byte(text), &r)
	return r, err
}

func makeDir(dir string) error { return os.MkdirAll(dir, 0o755) }
