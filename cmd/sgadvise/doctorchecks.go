package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sgadvise/sgadvise/cmd/catalog"
	"github.com/sgadvise/sgadvise/cmd/config"
	"github.com/sgadvise/sgadvise/cmd/history"
	"github.com/sgadvise/sgadvise/cmd/lock"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
)

// How stale the newest log file may be before doctor minds, and how far a file may be
// ahead of the clock: flow logs are delivered within minutes, exports within a day.
const (
	staleAfter = 48 * time.Hour
	aheadBy    = 5 * time.Minute
)

// Room on a disk below which doctor minds, and below which it expects a run to fail. A
// report of 10,000 rules has some 30 MB in all formats together.
const (
	littleRoom = 1 << 30
	noRoom     = 64 << 20
)

// examine tries what a run with these flags would need.
func (f *doctorFlags) examine(d *diagnosis, c configured, s streams) {
	for _, name := range config.Unknown(os.Environ()) {
		d.add("settings", statusWarn, "%s in the environment is no setting", name)
	}
	var st settings
	var err error
	if f.history != "" {
		st, err = f.prepare()
	} else { // it is analyze that is looked at
		if f.store != "" {
			f.folder, f.sources, f.logs = f.store, f.logs, nil
		}
		st, err = f.settings()
	}
	if err != nil {
		d.add("settings", statusFail, "%s", config.Reword(err.Error(), c.values))
	} else {
		d.add("settings", statusOK, "they go together")
	}
	now := st.now
	if now.IsZero() {
		now = time.Now()
	}
	f.examinePolicy(d, s)
	newest := f.examineLogs(d)
	examineClock(d, now, newest)
	f.examineOutputs(d)
	f.examineHistory(d)
	f.examineStore(d)
}

func (f *doctorFlags) examinePolicy(d *diagnosis, s streams) {
	if len(f.policy) == 0 || slices.Contains(f.policy, "-") {
		return // said before, or nothing to try
	}
	h, inputs, err := f.readPolicy(s)
	if err != nil {
		d.add("policy", statusFail, "%v", err)
		return
	}
	used := 0
	for _, in := range inputs {
		if in.Kind != cloud.Ignored {
			used++
		}
	}
	snap := h.Present()
	d.add("policy", statusOK, "%s, %s, %s, %s", plural(used, "file", "files"), plural(len(snap.Groups), "group", "groups"),
		plural(len(snap.Rules()), "rule", "rules"), plural(len(snap.Interfaces), "interface", "interfaces"))
}

// examineLogs opens every file and returns the time of the newest.
func (f *doctorFlags) examineLogs(d *diagnosis) (newest time.Time) {
	logs := f.logs
	if f.folder != "" {
		logs = f.sources
	}
	if len(logs) == 0 || slices.Contains(logs, "-") {
		return newest
	}
	files, err := ingest.Files(logs)
	if err != nil {
		d.add("logs", statusFail, "%v", err)
		return newest
	}
	var bytes int64
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			d.add("logs", statusFail, "%v", namedPath(err))
			return newest
		}
		info, err := file.Stat()
		file.Close()
		if err != nil {
			d.add("logs", statusFail, "%v", namedPath(err))
			return newest
		}
		bytes += info.Size()
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	d.add("logs", statusOK, "%s, %s", plural(len(files), "file", "files"), size(bytes))
	return newest
}

// examineClock compares the clock with the newest file, and says which zone holds.
func examineClock(d *diagnosis, now, newest time.Time) {
	switch {
	case newest.IsZero():
	case newest.After(now.Add(aheadBy)):
		d.add("clock", statusWarn, "the newest log file is of %s, after now (%s): is the clock right?", stamp(newest), stamp(now))
	case now.Sub(newest) > staleAfter:
		d.add("clock", statusWarn, "the newest log file is of %s, %d hours before now: do logs still arrive?", stamp(newest), int(now.Sub(newest).Hours()))
	default:
		d.add("clock", statusOK, "now is %s, the newest log file is of %s", stamp(now), stamp(newest))
	}
	zone, offset := now.Local().Zone()
	if offset == 0 {
		d.add("time zone", statusOK, "%s: as in reports", zone)
	} else {
		d.add("time zone", statusWarn, "%s (%+d min): reports, days and windows are in UTC, timers and cron are in local time", zone, offset/60)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// examineOutputs tries to write where reports go.
func (f *doctorFlags) examineOutputs(d *diagnosis) {
	var folders []string
	for _, name := range slices.Concat(f.output.export, f.changes, []string{f.prometheus}) {
		if name != "" {
			folders = append(folders, filepath.Dir(name))
		}
	}
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		examineFolder(d, "outputs", folder)
	}
}

// examineHistory looks at the folder of the history, or where it would be made, and at
// its lock.
func (f *doctorFlags) examineHistory(d *diagnosis) {
	if f.history == "" {
		return
	}
	if _, err := os.Stat(f.history); errors.Is(err, os.ErrNotExist) {
		d.add("history", statusOK, "%s will be made by the first run", f.history)
		examineFolder(d, "history", filepath.Dir(f.history))
		return
	}
	examineFolder(d, "history", f.history)
	lines, err := history.ReadLines(f.history)
	if err != nil {
		d.add("history", statusFail, "%v", namedPath(err))
	} else if n := len(lines); n > 0 {
		d.add("history", statusOK, "%s, the last at %s: %s", plural(n, "run", "runs"), stamp(lines[n-1].Started), lines[n-1].Status())
	}
	examineLock(d, filepath.Join(f.history, history.LockFile))
}

// examineStore looks at the store and at its lock.
func (f *doctorFlags) examineStore(d *diagnosis) {
	dir := f.folder
	if dir == "" {
		return
	}
	st, err := catalog.Open(context.Background(), dir)
	if err != nil {
		d.add("store", statusFail, "%s: %v", dir, err)
		return
	}
	defer st.Close()
	switch {
	case !st.Exists() && len(f.sources) > 0:
		d.add("store", statusOK, "%s will be made by the first run", dir)
		return
	case !st.Exists():
		d.add("store", statusFail, "%s: no store here, and no logs to make one from", dir)
		return
	}
	info, err := st.Info(context.Background())
	if err != nil {
		d.add("store", statusFail, "%s: %v", dir, err)
		return
	}
	if info.From == "" {
		d.add("store", statusOK, "%s has no day of records yet", dir)
	} else {
		d.add("store", statusOK, "%s to %s, %s of %s, %s", info.From, info.To, plural(int(info.Records), "record", "records"), plural(info.Files, "file", "files"), size(info.Bytes))
	}
	if len(f.sources) > 0 {
		examineFolder(d, "store", dir)
		examineLock(d, filepath.Join(dir, catalog.LockFile))
	}
}

// examineLock tries to take a lock.
func examineLock(d *diagnosis, path string) {
	l, err := lock.Take(path, "sgadvise doctor", time.Now())
	var held *lock.HeldError
	switch {
	case errors.As(err, &held):
		d.add("lock", statusWarn, "%v", err)
	case err != nil:
		d.add("lock", statusFail, "%v", namedPath(err))
	default:
		l.Release()
		d.add("lock", statusOK, "%s: no run is at work", filepath.Dir(path))
	}
}

// examineFolder tries to write to folder, and looks at the room there.
func examineFolder(d *diagnosis, check, folder string) {
	if err := tryWriting(folder); err != nil {
		d.add(check, statusFail, "%s: it cannot be written to: %v", folder, err)
		return
	}
	free, known, err := freeSpace(folder)
	switch {
	case err != nil:
		d.add(check, statusWarn, "%s: its free space is not known: %v", folder, reason(err))
	case !known:
		d.add(check, statusOK, "%s can be written to", folder)
	case free < noRoom:
		d.add(check, statusFail, "%s has %s left", folder, size(int64(free)))
	case free < littleRoom:
		d.add(check, statusWarn, "%s has only %s left", folder, size(int64(free)))
	default:
		d.add(check, statusOK, "%s can be written to and has room", folder)
	}
}

// tryWriting writes a file to folder and removes it.
func tryWriting(folder string) error {
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return reason(err)
	case !info.IsDir():
		return errors.New("it is no folder")
	}
	file, err := os.CreateTemp(folder, ".sgadvise-*")
	if err != nil {
		return reason(err)
	}
	_, err = file.WriteString("sgadvise doctor\n")
	if e := file.Close(); err == nil {
		err = e
	}
	if e := os.Remove(file.Name()); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("%w", reason(err))
	}
	return nil
}
