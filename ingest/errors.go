package ingest

import (
	"errors"
	"fmt"

	"github.com/sgadvise/sgadvise/ingest/flowlog"
)

// ErrNoInput says that a path names no file. The error that wraps it names the path.
var ErrNoInput = errors.New("no file matched")

// InputError says that a file could not be used as a whole.
type InputError struct {
	Path string
	// Corrupt: the file was read, and its content is damaged or no flow log.
	// Otherwise the file could not be read.
	Corrupt bool
	Err     error
}

func (e *InputError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// BadRowsError says that there were more malformed rows than allowed.
type BadRowsError struct {
	Count   uint64
	Allowed int64
	First   flowlog.Sample // the first by file and line
}

func (e *BadRowsError) Error() string {
	return fmt.Sprintf("%v (%d malformed rows, %d allowed)", e.First, e.Count, e.Allowed)
}
