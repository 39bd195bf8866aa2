package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sgadvise/sgadvise/cmd/lock"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// NoStoreError says that a folder holds no store.
type NoStoreError struct{ Dir string }

func (e *NoStoreError) Error() string { return e.Dir + ": no store here" }

// Store is a store on disk. It is for one goroutine at a time; other processes may read the
// same store at any time, and write when this one does not.
type Store struct {
	dir string
	db  *sql.DB // nil until a first run makes the store
}

// Open opens the store in the folder dir. If there is none, only Ingest can be called, and
// makes one. The caller calls Close.
func Open(ctx context.Context, dir string) (*Store, error) {
	db, err := openDB(ctx, dir, false)
	if errors.As(err, new(*NoStoreError)) {
		return &Store{dir: dir}, nil
	}
	if err != nil {
		return nil, err
	}
	return &Store{dir: dir, db: db}, nil
}

// Exists reports whether there is a store to read.
func (s *Store) Exists() bool { return s.db != nil }

// Close lets go of the store.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// reading returns an error if there is nothing to read.
func (s *Store) reading() error {
	if s.db == nil {
		return &NoStoreError{Dir: s.dir}
	}
	return nil
}

// write runs f with the lock held, after removing what a run that was cut off has left.
func (s *Store) write(ctx context.Context, command string, now time.Time, f func() error) error {
	l, err := lock.Take(filepath.Join(s.dir, lockFile), command, now)
	if err != nil {
		return err
	}
	defer l.Release()
	if s.db == nil {
		if s.db, err = openDB(ctx, s.dir, true); err != nil {
			s.db = nil
			return err
		}
	}
	if err := s.clean(ctx); err != nil {
		return err
	}
	return f()
}

// clean removes segment files that the catalogue does not name.
func (s *Store) clean(ctx context.Context) error {
	segs, err := s.segments(ctx, s.db)
	if err != nil {
		return err
	}
	named := make(map[string]bool)
	for _, g := range segs {
		named[g.name] = true
	}
	root := filepath.Join(s.dir, segmentsDir)
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || named[filepath.ToSlash(rel)] {
			return err
		}
		return os.Remove(path)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}

// segment is a line of the table of segments.
type segment struct {
	id      int64
	day     int32
	name    string // below the folder of segments, with slashes
	rows    int64
	records uint64
	bytes   int64
	digest  string

	coverage []store.DayCoverage // of one that is not in the catalogue yet
}

// path returns where the file of g lies.
func (s *Store) path(g *segment) string {
	return filepath.Join(s.dir, segmentsDir, filepath.FromSlash(g.name))
}

// segments returns all segments, by day and name.
func (s *Store) segments(ctx context.Context, q querier) ([]segment, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, day, name, rows, records, bytes, digest FROM segments ORDER BY day, name")
	if err != nil {
		return nil, err
	}
	return scan(rows, func(g *segment) error {
		return rows.Scan(&g.id, &g.day, &g.name, &g.rows, &g.records, &g.bytes, &g.digest)
	})
}

// scan reads all rows and closes them.
func scan[T any](rows *sql.Rows, one func(*T) error) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := one(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// knowledge is what a store was told of policies so far: rows are kept so that any of them
// can be told apart.
type knowledge struct {
	Bounds []uint16           `json:"port_bounds"` // that any rule has
	Cuts   map[string][]int64 `json:"cuts"`
	// Sides are what rules tell apart of the interfaces that they decide about; many
	// interfaces have the same.
	Sides  []store.SideBounds `json:"sides"`
	SideOf map[string]int     `json:"side_of"`
}

const knowledgeName = "knowledge"

func readKnowledge(ctx context.Context, q querier) (knowledge, error) {
	k := knowledge{Bounds: slices.Clone(fixedBounds())}
	var text string
	err := q.QueryRowContext(ctx, "SELECT value FROM settings WHERE name = ?", knowledgeName).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return k, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &k)
	}
	return k, err
}

// learn adds what cfg tells apart.
func (k *knowledge) learn(cfg store.Config) {
	k.learnSides(cfg)
	k.Bounds = union(k.Bounds, cfg.PortBounds)
	for id, cuts := range cfg.Cuts {
		if k.Cuts == nil {
			k.Cuts = make(map[string][]int64)
		}
		k.Cuts[id] = union(k.Cuts[id], cuts)
	}
}

// learnSides adds what cfg tells apart of each interface. For those of which it does not
// say it, all of its bounds count; so do all former ones for an interface that is new here.
func (k *knowledge) learnSides(cfg store.Config) {
	if len(cfg.PortBounds) == 0 && len(cfg.Ports) == 0 {
		return
	}
	now := make(map[string]store.SideBounds)
	for id, n := range k.SideOf {
		b, ok := cfg.Ports[id]
		if !ok {
			b = store.SideBounds{Local: cfg.PortBounds, Remote: cfg.PortBounds}
		}
		now[id] = store.SideBounds{Local: union(k.Sides[n].Local, b.Local), Remote: union(k.Sides[n].Remote, b.Remote)}
	}
	for id, b := range cfg.Ports {
		if _, ok := now[id]; !ok {
			now[id] = store.SideBounds{Local: union(k.Bounds, b.Local), Remote: union(k.Bounds, b.Remote)}
		}
	}
	k.Sides, k.SideOf = nil, make(map[string]int)
	known := make(map[string]int)
	for _, id := range slices.Sorted(maps.Keys(now)) {
		key := fmt.Sprint(now[id])
		n, ok := known[key]
		if !ok {
			n = len(k.Sides)
			known[key] = n
			k.Sides = append(k.Sides, now[id])
		}
		k.SideOf[id] = n
	}
}

func (k *knowledge) write(ctx context.Context, q querier) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", knowledgeName, string(text))
	return err
}

// config returns the Config of rows to keep.
func (k *knowledge) config(workers int) store.Config {
	cfg := store.Config{PortBounds: k.Bounds, Cuts: maps.Clone(k.Cuts), Workers: workers, Ports: make(map[string]store.SideBounds)}
	for id, n := range k.SideOf {
		cfg.Ports[id] = k.Sides[n]
	}
	return cfg
}

// union returns the numbers of a and b, ascending and each once.
func union[T int64 | uint16](a, b []T) []T {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// fixedBounds are the bounds that rows are kept apart by whatever the policy: the ports
// that rules name most, alone, and the ends of the ranges that clients draw from.
func fixedBounds() []uint16 {
	out := []uint16{1024, 30000, 32768, 49152, 60000, 61000, 61001}
	for p := range 1024 {
		out = append(out, uint16(p)) // hardly a client has one of these
	}
	for p := 1024; p < 32768; p++ {
		if store.WellKnown(uint16(p)) {
			out = append(out, uint16(p), uint16(p)+1)
		}
	}
	return union(out, nil)
}

// dayText writes a Unix day as a date; the odd ones have no date.
func dayText(day int32) string {
	if day == store.OddDay {
		return "undated"
	}
	return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly)
}

// note writes a run down.
func note(ctx context.Context, q querier, command string, at time.Time, files int, records uint64, text string) (int64, error) {
	res, err := q.ExecContext(ctx, "INSERT INTO runs (command, at, files, records, note) VALUES (?, ?, ?, ?, ?)", command, at.Unix(), files, int64(records), text)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// inTx runs f in a transaction.
func (s *Store) inTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	// What is whole is committed even when the run is being stopped.
	ctx = context.WithoutCancel(ctx)
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
