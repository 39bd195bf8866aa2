package catalog

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockHandle locks f for this process alone, without waiting. The part that is locked lies
// behind what is written to it, which other processes may read.
func lockHandle(f *os.File) error {
	at := windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errHeld
	}
	return err
}

// syncDir does nothing: folders cannot be synchronised here.
func syncDir(string) error { return nil }
