package ingest

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/ingest/flowlog"
)

// readParquet reads a Parquet file, whose index stands at its end: from where it
// lies, or, if it comes through a pipe or compressed, by way of a temporary file.
func (p *pipeline) readParquet(f *fileState, s *source) error {
	at := s.file
	if at == nil || s.compression != compressionNone {
		spool, err := os.CreateTemp("", "sgadvise-*.parquet")
		if err != nil {
			return &InputError{Path: s.path, Err: cause(err)}
		}
		defer func() {
			spool.Close() // read back already
			os.Remove(spool.Name())
		}()
		at = spool
		if _, err := io.Copy(spool, s.text); err != nil {
			return err
		}
	}
	info, err := at.Stat()
	if err != nil {
		return &InputError{Path: s.path, Err: cause(err)}
	}
	digested := s.digestBeside()
	stats, err := flowlog.DecodeParquet(p.ctx, at, info.Size(), f.Path, p.share(), p.add)
	if failed := digested(err == nil); err == nil {
		err = failed
	}
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil && strings.HasPrefix(err.Error(), f.Path+": ") {
			err = inner // the InputError names the file
		}
		return err
	}
	f.merge(stats)
	p.records.Add(stats.Records)
	return nil
}

// digestBeside reads s to its end, for the digest of the file, while the caller reads
// the same file in an order of its own. The function that it returns waits for that and
// returns its error; unless whole is true it waits only for it to stop.
func (s *source) digestBeside() (wait func(whole bool) error) {
	var stop atomic.Bool
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for err == nil && !stop.Load() {
			_, err = s.text.Discard(rawBuffer)
		}
	}()
	return func(whole bool) error {
		stop.Store(!whole)
		<-done
		if err == io.EOF {
			return nil
		}
		return err
	}
}

// share returns how many goroutines may decode the row groups of one file: all workers
// if no other file is left, else its part of twice as many, so that what decoders hold
// does not grow with the square of the workers.
func (p *pipeline) share() int {
	left := max(1, min(p.opt.Workers, len(p.files)-int(p.done.Load())))
	return min(p.opt.Workers, (2*p.opt.Workers+left-1)/left)
}
