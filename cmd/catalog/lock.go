package catalog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// LockedError says that another run is writing to the store.
type LockedError struct {
	Path   string // of the lock file
	Holder string // what the other run wrote about itself; may be empty
}

func (e *LockedError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "another run"
	}
	return fmt.Sprintf("the store is locked by %s (%s)", holder, e.Path)
}

// errHeld says that another process holds a lock.
var errHeld = errors.New("held by another process")

// lock is held by the one process that writes to a store. The system gives it up when the
// process ends, however it ends.
type lock struct{ file *os.File }

// takeLock takes the lock of dir without waiting. What is written to the file is for people.
func takeLock(dir, command string, now time.Time) (*lock, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockHandle(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errHeld) {
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		b := make([]byte, 1<<10)
		n, _ := f.ReadAt(b, 0) // nothing to say then
		line, _, _ := strings.Cut(string(b[:n]), "\n")
		return nil, &LockedError{Path: path, Holder: printable(line)}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	text := fmt.Sprintf("process %d on %s, %s, since %s\n", os.Getpid(), host, command, now.UTC().Format(time.RFC3339))
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &lock{f}, nil
}

// release gives the lock up. The file stays: were it removed, two runs could each hold one.
func (l *lock) release() {
	l.file.Truncate(0) // only for people
	l.file.Close()
}

// printable keeps what others wrote from controlling a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
