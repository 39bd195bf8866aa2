// Package history keeps what the runs of the scheduled audit found: one folder a run, and
// a line a run in history.jsonl, which is written last. A run without its line did not
// happen: its folder is removed when the next run begins.
//
//	lock                     held by the run at work
//	history.jsonl            one line a run, the earliest first, failed ones included
//	runs/ID/report.json.gz   the report document
//	runs/ID/diff.json        what changed since the run before it
//	runs/ID/state.json       what is known of findings and changes from this and earlier runs
//	policy/DIGEST/           the files of one state of the policy
package history

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/cmd/lock"
	"github.com/sgadvise/sgadvise/report"
)

const (
	linesFile  = "history.jsonl"
	runsDir    = "runs"
	policyDir  = "policy"
	unfinished = ".tmp-" // begins the names of folders that are being written
)

// LockFile is the name of the lock in the folder.
const LockFile = "lock"

// The files of a run.
const (
	ReportFile = "report.json.gz"
	DiffFile   = "diff.json"
	StateFile  = "state.json"
)

// History is a folder of runs that this process writes to.
type History struct {
	Dir      string
	Lines    []Line   // the earliest first
	Repaired []string // what earlier runs left behind, in words
	lock     *lock.Lock
}

// Open takes the lock of the folder, which is made if need be, and tidies up after runs
// that were cut off. It fails with a [lock.HeldError] while another run is at work.
func Open(dir, command string, now time.Time) (*History, error) {
	for _, d := range []string{dir, filepath.Join(dir, runsDir), filepath.Join(dir, policyDir)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	l, err := lock.Take(filepath.Join(dir, LockFile), command, now)
	if err != nil {
		return nil, err
	}
	h := &History{Dir: dir, lock: l}
	if err := h.repair(); err != nil {
		l.Release()
		return nil, err
	}
	return h, nil
}

// Close gives up the lock.
func (h *History) Close() { h.lock.Release() }

// repair makes the folder what it was when the last line was written.
func (h *History) repair() error {
	lines, whole, torn, err := readLines(h.Dir)
	if err != nil {
		return err
	}
	h.Lines = lines
	if torn {
		if err := os.Truncate(filepath.Join(h.Dir, linesFile), whole); err != nil {
			return err
		}
		h.Repaired = append(h.Repaired, "the last line of the history was cut off and is gone")
	}
	for _, dir := range []string{runsDir, policyDir} {
		entries, err := os.ReadDir(filepath.Join(h.Dir, dir))
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			left := strings.HasPrefix(name, unfinished)
			if dir == runsDir && !left {
				left = !slices.ContainsFunc(lines, func(l Line) bool { return l.ID == name && l.Complete() })
			}
			if !left {
				continue
			}
			if err := os.RemoveAll(filepath.Join(h.Dir, dir, name)); err != nil {
				return err
			}
			if dir == runsDir {
				h.Repaired = append(h.Repaired, fmt.Sprintf("the run %s was cut off before its end; what it left is gone", strings.TrimPrefix(name, unfinished)))
			}
		}
	}
	return nil
}

// ReadLines returns the lines of the history in dir, the earliest first. It needs no
// lock: a line that is being written is not there yet.
func ReadLines(dir string) ([]Line, error) {
	lines, _, _, err := readLines(dir)
	return lines, err
}

// readLines also returns the length of the whole lines, and whether there is more.
func readLines(dir string) (lines []Line, whole int64, torn bool, err error) {
	name := filepath.Join(dir, linesFile)
	body, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, err
	}
	n := 0
	for len(body) > 0 {
		end := bytes.IndexByte(body, '\n')
		if end < 0 {
			return lines, whole, true, nil
		}
		n++
		var l Line
		if err := json.Unmarshal(body[:end], &l); err != nil {
			return nil, 0, false, fmt.Errorf("%s:%d: it is not a line of the history (%w): take it out, or move the folder away to begin a new one", name, n, err)
		}
		if l.Schema != LineSchema {
			return nil, 0, false, fmt.Errorf("%s:%d: schema %q, this version reads %s", name, n, l.Schema, LineSchema)
		}
		lines = append(lines, l)
		whole += int64(end) + 1
		body = body[end+1:]
	}
	return lines, whole, false, nil
}

// Last returns the last complete run of lines, or nil.
func Last(lines []Line) *Line {
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].Complete() {
			return &lines[i]
		}
	}
	return nil
}

// NewID returns a name for a run at that time that no line has yet.
func (h *History) NewID(at time.Time) string {
	base := at.UTC().Format("20060102T150405Z")
	id := base
	for n := 2; slices.ContainsFunc(h.Lines, func(l Line) bool { return l.ID == id }); n++ {
		id = fmt.Sprintf("%s-%d", base, n)
	}
	return id
}

// File is one file of a run or of a policy, which may lie in a folder there.
type File struct {
	Name string
	Body []byte
}

// WriteRun writes the folder of a run, which does not count before its line is written.
func (h *History) WriteRun(id string, files []File) error {
	return h.writeFolder(runsDir, id, files, "")
}

// WritePolicy keeps the files of a policy under their digest, unless they are there.
// Files that the policy of the last run has, too, are kept once: of an export mostly the
// interfaces change.
func (h *History) WritePolicy(digest string, files []File) error {
	if h.HasPolicy(digest) {
		return nil
	}
	before := ""
	if l := Last(h.Lines); l != nil && h.HasPolicy(l.Policy) {
		before = h.PolicyFolder(l.Policy)
	}
	return h.writeFolder(policyDir, digest, files, before)
}

// PolicyFolder is where the files of a policy are.
func (h *History) PolicyFolder(digest string) string { return filepath.Join(h.Dir, policyDir, digest) }

// HasPolicy reports whether the files of a policy are still there.
func (h *History) HasPolicy(digest string) bool {
	_, err := os.Stat(h.PolicyFolder(digest))
	return digest != "" && err == nil
}

// writeFolder writes files to a new folder. Those that are the same in the folder before
// become links.
func (h *History) writeFolder(kind, name string, files []File, before string) error {
	tmp := filepath.Join(h.Dir, kind, unfinished+name)
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tmp, f.Name)), 0o755); err != nil {
			return err
		}
		if before != "" {
			have, err := os.ReadFile(filepath.Join(before, f.Name))
			if err == nil && bytes.Equal(have, f.Body) && os.Link(filepath.Join(before, f.Name), filepath.Join(tmp, f.Name)) == nil {
				continue // nobody writes to these files again
			}
		}
		if err := writeSynced(filepath.Join(tmp, f.Name), f.Body, os.O_CREATE|os.O_EXCL); err != nil {
			return err
		}
	}
	if err := lock.SyncFolder(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(h.Dir, kind, name)); err != nil {
		return err
	}
	return lock.SyncFolder(filepath.Join(h.Dir, kind))
}

func writeSynced(name string, body []byte, how int) error {
	f, err := os.OpenFile(name, os.O_WRONLY|how, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// Append writes the line of a run: with it, the run has happened.
func (h *History) Append(l Line) error {
	l.Schema = LineSchema
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(h.Dir, linesFile), append(body, '\n'), os.O_CREATE|os.O_APPEND); err != nil {
		return err
	}
	h.Lines = append(h.Lines, l)
	return lock.SyncFolder(h.Dir)
}

// Prune removes the folders of runs before a time, but for the last complete one, and the
// policies that no run since another time had. Lines stay for ever.
func (h *History) Prune(runs, policies time.Time) error {
	last := Last(h.Lines)
	had := map[string]bool{}
	for i := range h.Lines {
		l := &h.Lines[i]
		if l == last || !l.Started.Before(policies) {
			had[l.Policy] = true
		}
		if l == last || !l.Started.Before(runs) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(h.Dir, runsDir, l.ID)); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(filepath.Join(h.Dir, policyDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !had[e.Name()] {
			if err := os.RemoveAll(filepath.Join(h.Dir, policyDir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// RunFile is the path of a file of a run.
func RunFile(dir, id, name string) string { return filepath.Join(dir, runsDir, id, name) }

// ReadReport returns the report of a run.
func ReadReport(dir, id string) (*report.Report, error) {
	name := RunFile(dir, id, ReportFile)
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r, err := report.Read(z)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// Pack compresses a report for [ReportFile].
func Pack(r *report.Report) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := report.Write(z, r); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// ReadState returns the state after a run.
func ReadState(dir, id string) (*State, error) {
	name := RunFile(dir, id, StateFile)
	body, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	s := new(State)
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(s); err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}
