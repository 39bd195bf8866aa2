package catalog

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flowlog"
)

// stdin is the path of standard input.
const stdin = "-"

// file is a source file that the store knows, by its content.
type file struct {
	id      int64
	read    ingest.File // but for its Stats, if statsText has them
	reading string
	pruned  bool

	statsText string
}

// stats returns what was read of the rows. They are decoded when asked for: a store knows
// many files.
func (f *file) stats() (*flowlog.Stats, error) {
	if f.statsText == "" {
		stats := f.read.Stats
		return &stats, nil
	}
	stats := new(flowlog.Stats)
	return stats, json.Unmarshal([]byte(f.statsText), stats)
}

// files is what the catalogue knows of source files.
type files struct {
	byID      map[int64]*file
	byContent map[string]*file
	lengths   map[uint32]bool // of the decompressed contents, the low 32 bits
	paths     map[string]place
}

// place is a path and what it held when it was last looked at.
type place struct {
	path     string // absolute
	file     int64
	bytes    int64 // as stored
	modified int64 // Unix ns; 0: it was too young to tell a later change by
}

func readFiles(ctx context.Context, q querier) (*files, error) {
	c := &files{byID: map[int64]*file{}, byContent: map[string]*file{}, lengths: map[uint32]bool{}, paths: map[string]place{}}
	rows, err := q.QueryContext(ctx, `SELECT id, path, content, length, ends_line, digest, bytes, format, compression, records, stats, reading, pruned FROM files`)
	if err != nil {
		return nil, err
	}
	list, err := scan(rows, func(f *file) error {
		r := &f.read
		return rows.Scan(&f.id, &r.Path, &r.Content.Digest, &r.Content.Bytes, &r.Content.EndsLine, &r.Digest, &r.Bytes, &r.Format, &r.Compression,
			&r.Records, &f.statsText, &f.reading, &f.pruned)
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		c.put(&list[i])
	}
	if rows, err = q.QueryContext(ctx, "SELECT path, file, bytes, modified FROM paths"); err != nil {
		return nil, err
	}
	places, err := scan(rows, func(p *place) error { return rows.Scan(&p.path, &p.file, &p.bytes, &p.modified) })
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		c.paths[p.path] = p
	}
	return c, nil
}

// put makes f known, in place of what was known under its id.
func (c *files) put(f *file) {
	if was := c.byID[f.id]; was != nil {
		delete(c.byContent, was.read.Content.Digest)
	}
	c.byID[f.id] = f
	c.byContent[f.read.Content.Digest] = f
	c.lengths[uint32(f.read.Content.Bytes)] = true
}

// job is a path to look at.
type job struct {
	path    string // as ingest names it
	abs     string
	place   place // what a later run may know it by
	weight  int64 // about how much text it holds
	state   State
	old     *file  // that has grown
	skip    int64  // bytes of old, which were read before
	content string // digest, if it is known already

	read *ingest.File // after the reading
	file *file        // in the catalogue
}

// settled is how long a file must have been left alone for its time to tell a later change.
const settled = 2 * time.Second

// placeOf returns what is known of a path without reading it.
func placeOf(path string, now time.Time) (place, error) {
	p := place{path: absolute(path)}
	if path == stdin {
		return p, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return p, err
	}
	p.bytes = info.Size()
	if m := info.ModTime(); now.Sub(m) > settled {
		p.modified = m.UnixNano()
	}
	return p, nil
}

// same reports whether p surely holds what it held when it was o.
func (p place) same(o place) bool {
	return p.path == o.path && p.bytes == o.bytes && p.modified == o.modified && p.modified != 0
}

// putPath notes where a file lies.
func (in *intake) putPath(ctx context.Context, q querier, j *job, file int64) error {
	if j.path == stdin {
		return nil
	}
	_, err := q.ExecContext(ctx, `INSERT INTO paths (path, file, bytes, modified) VALUES (?, ?, ?, ?)
		ON CONFLICT (path) DO UPDATE SET file = excluded.file, bytes = excluded.bytes, modified = excluded.modified`, j.abs, file, j.place.bytes, j.place.modified)
	if err == nil {
		// If the transaction fails, the run does. Files that are read again later in it are
		// looked for where they lie now.
		in.cat.paths[j.abs] = place{path: j.abs, file: file, bytes: j.place.bytes, modified: j.place.modified}
	}
	return err
}
