// Package lock keeps two runs from writing to one folder. A lock is a file that the
// system holds for a process: it is free again when the process ends, however it ends.
package lock

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// HeldError says that another process holds a lock.
type HeldError struct {
	Path   string // of the lock file
	Holder string // what the other process wrote about itself; may be empty
}

func (e *HeldError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("%s: another run holds the lock", e.Path)
	}
	return fmt.Sprintf("%s: another run holds the lock: %s", e.Path, e.Holder)
}

// errHeld is what the system's call is turned into.
var errHeld = errors.New("held by another process")

// Lock is one that this process holds.
type Lock struct{ file *os.File }

// Take takes the lock of that path without waiting. What is written to the file, command
// and the time among it, is for people; a [HeldError] repeats it.
func Take(path, command string, now time.Time) (*Lock, error) {
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
		return nil, &HeldError{path, printable(line)}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	text := fmt.Sprintf("process %d on %s, %s, since %s\n", os.Getpid(), host, command, now.UTC().Format(time.RFC3339))
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Lock{f}, nil
}

// Release gives the lock up. The file stays: were it removed, two runs could each hold
// one.
func (l *Lock) Release() {
	_ = l.file.Truncate(0) // what it says is only for people
	l.file.Close()
}

// printable keeps what others wrote from controlling a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}
