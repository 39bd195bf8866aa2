package ingest

import (
	"errors"
	"io"
	"os"
	"strings"

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
	} else if _, err := io.Copy(io.Discard, s.text); err != nil { // for the digest
		return err
	}
	info, err := at.Stat()
	if err != nil {
		return &InputError{Path: s.path, Err: cause(err)}
	}
	stats, err := flowlog.DecodeParquet(p.ctx, at, info.Size(), f.Path, p.opt.Workers, p.add)
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
