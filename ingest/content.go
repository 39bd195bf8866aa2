package ingest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/ingest/flowlog"
)

// Content identifies what a file holds, however it is named and compressed.
type Content struct {
	Digest   string // "sha256:" and the hexadecimal digest of the decompressed bytes
	Bytes    int64  // decompressed
	EndsLine bool   // the last byte is a line feed
}

// ContentOf reads a file without decoding it and says what it holds. Prefix is the digest
// of its first n bytes, decompressed, and empty if there are fewer. The error is an
// [InputError].
func ContentOf(path string, n int64) (c Content, prefix string, err error) {
	var total atomic.Int64
	s, err := openSource(path, nil, &total)
	if err != nil {
		return c, "", err
	}
	defer s.close()
	s.unpacked.sum = sha256.New()
	sum := sha256.New()
	got, err := io.CopyN(sum, s.text, n)
	if err == nil {
		prefix = fmt.Sprintf("sha256:%x", sum.Sum(nil))
	}
	if err == nil || errors.Is(err, io.EOF) && got < n {
		_, err = io.Copy(io.Discard, s.text)
	}
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return c, "", s.fail(err)
	}
	return s.content(), prefix, nil
}

// content returns what s held, once it has been read to its end with a digest.
func (s *source) content() Content {
	if s.compression == compressionNone {
		return Content{Digest: s.raw.digest(), Bytes: s.raw.bytes, EndsLine: s.raw.last == '\n'}
	}
	return Content{
		Digest: fmt.Sprintf("sha256:%x", s.unpacked.sum.Sum(nil)), Bytes: s.unpacked.bytes, EndsLine: s.unpacked.last == '\n',
	}
}

// skip passes over what Options.Skip says of f and returns the layout and the number of
// the line after it. It uses buffer.
func (p *pipeline) skip(f *fileState, s *source, layout *flowlog.Layout, buffer []byte) (*flowlog.Layout, int64, error) {
	line, left := int64(1), p.opt.Skip[f.Path]
	if left == 0 {
		return layout, line, nil
	}
	front := io.LimitReader(s.text, left-s.dropped)
	want, sum := p.opt.SkipDigest[f.Path], sha256.New()
	if want != "" {
		io.WriteString(sum, byteOrderMark[:s.dropped])
		front = io.TeeReader(front, sum)
	}
	text := bufio.NewReaderSize(front, len(buffer))
	for p.wanted(f.index) {
		// Whole lines; a line longer than the buffer names no fields.
		head, err := text.Peek(len(buffer))
		if len(head) == 0 {
			if err != io.EOF {
				return nil, 0, atLine(line, err)
			}
			if want != "" && want != fmt.Sprintf("sha256:%x", sum.Sum(nil)) {
				return nil, 0, errors.New("it was replaced by another file while it was read; run again")
			}
			return layout, line, nil
		}
		if end := bytes.LastIndexByte(head, '\n') + 1; end > 0 {
			var lines int64
			layout, lines = layout.Scan(head[:end])
			line += lines
			text.Discard(end) // just peeked
			continue
		}
		for {
			_, err := text.ReadSlice('\n')
			if err == nil || err == io.EOF {
				break
			}
			if err != bufio.ErrBufferFull {
				return nil, 0, atLine(line, err)
			}
		}
		line++
	}
	return layout, line, nil
}
