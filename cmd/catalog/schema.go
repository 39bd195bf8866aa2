package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite" // and the driver
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	catalogFile  = "catalog.sqlite"
	segmentsDir  = "segments"
	lockFile     = "lock"
	schemaNumber = 2
)

// schema makes the tables of an empty catalogue. docs/store.md describes them for readers.
const schema = `
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
	id INTEGER PRIMARY KEY, command TEXT NOT NULL, at INTEGER NOT NULL, files INTEGER NOT NULL, records INTEGER NOT NULL, note TEXT NOT NULL
);
CREATE TABLE files (
	id INTEGER PRIMARY KEY, path TEXT NOT NULL, content TEXT NOT NULL UNIQUE, length INTEGER NOT NULL, ends_line INTEGER NOT NULL,
	digest TEXT NOT NULL, bytes INTEGER NOT NULL, format TEXT NOT NULL, compression TEXT NOT NULL, records INTEGER NOT NULL,
	stats TEXT NOT NULL, reading TEXT NOT NULL, pruned INTEGER NOT NULL DEFAULT 0, run INTEGER NOT NULL REFERENCES runs(id)
);
CREATE TABLE paths (
	path TEXT PRIMARY KEY, file INTEGER NOT NULL REFERENCES files(id), bytes INTEGER NOT NULL, modified INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX paths_file ON paths(file);
CREATE TABLE file_batches (file INTEGER NOT NULL REFERENCES files(id), batch INTEGER NOT NULL, PRIMARY KEY (file, batch)) WITHOUT ROWID;
CREATE TABLE segments (
	id INTEGER PRIMARY KEY AUTOINCREMENT, day INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL, records INTEGER NOT NULL,
	bytes INTEGER NOT NULL, digest TEXT NOT NULL
);
CREATE INDEX segments_day ON segments(day);
CREATE TABLE segment_batches (segment INTEGER NOT NULL REFERENCES segments(id), batch INTEGER NOT NULL, PRIMARY KEY (segment, batch)) WITHOUT ROWID;
CREATE INDEX segment_batches_batch ON segment_batches(batch);
CREATE TABLE coverage (
	segment INTEGER NOT NULL REFERENCES segments(id), interface TEXT NOT NULL, next_day INTEGER NOT NULL,
	first INTEGER NOT NULL, last INTEGER NOT NULL, records INTEGER NOT NULL, nodata INTEGER NOT NULL, skipdata INTEGER NOT NULL,
	unsupported INTEGER NOT NULL, days TEXT NOT NULL, skips TEXT NOT NULL, prints TEXT NOT NULL, PRIMARY KEY (segment, interface, next_day)
) WITHOUT ROWID;
`

// openDB opens the catalogue of dir, and makes it if it is not there and create is set.
func openDB(ctx context.Context, dir string, create bool) (*sql.DB, error) {
	path := filepath.Join(dir, catalogFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, &NoStoreError{Dir: dir}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	mode := "rw"
	if create {
		mode = "rwc"
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// A journal that is rolled back, not a log of writes ahead: that one needs shared
	// memory, which folders on other machines do not have.
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: url.Values{
		"mode": {mode}, "_txlock": {"immediate"},
		"_pragma": {"busy_timeout(30000)", "journal_mode(DELETE)", "synchronous(EXTRA)", "foreign_keys(1)"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	err = checkSchema(ctx, db, create)
	if errors.Is(err, errEmpty) {
		err = &NoStoreError{Dir: dir}
	} else if err != nil {
		err = fmt.Errorf("%s: %w", path, damagedCatalogue(err))
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// errEmpty says that a catalogue has no tables: the run that was to make it was cut off, and
// the next one will.
var errEmpty = errors.New("the catalogue is empty")

// damagedCatalogue says what to do about an error of SQLite that means damage.
func damagedCatalogue(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: the catalogue is damaged; restore the store, or make a new one from the logs", err)
	}
	return err
}

// checkSchema makes the tables if there are none.
func checkSchema(ctx context.Context, db *sql.DB, create bool) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version == schemaNumber:
		return nil
	case version != 0:
		return fmt.Errorf("the store has version %d, this program reads version %d: make a new one from the logs with ingest", version, schemaNumber)
	}
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return err
	}
	switch {
	case tables > 0:
		return errors.New("it is the database of another program")
	case !create:
		return errEmpty
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA user_version = %d;", schemaNumber)); err != nil {
		return err
	}
	return tx.Commit()
}
