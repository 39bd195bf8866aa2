package inflate

import (
	"errors"
	"io"
	"slices"
)

// ErrTooLong says that data decompresses to more than was allowed.
var ErrTooLong = errors.New("decompresses to more than it may")

// maxRatio is above how many bytes a byte of deflate data can stand for: 258 of them to
// two bits.
const maxRatio = 1040

// A Memory decompresses gzip files that are in memory as a whole, such as the pages of
// a Parquet file, without a goroutine. The zero Memory is ready to use. A Memory is not
// safe for concurrent use and must not be copied.
type Memory struct {
	m members
}

// Append appends to dst what the gzip file src decompresses to, if that is at most that
// many bytes. It returns the errors that reading a [Reader] of src ends with, except
// io.EOF, io.ErrUnexpectedEOF also if src is empty, and ErrTooLong; what it appended is
// then of no use. dst may grow by some hundred bytes more than it must.
func (z *Memory) Append(dst, src []byte, most int) ([]byte, error) {
	most = min(most, maxRatio*len(src))
	from := len(dst)
	dst = slices.Grow(dst, most+outSlack+1) // one more than allowed would be seen
	d := &z.m.d
	d.reset(nil)
	d.in, d.srcErr = src, io.EOF
	if z.m.err = z.m.header(); z.m.err != nil {
		return dst, z.ended()
	}
	out, _ := z.m.next(dst[from : from+most+outSlack+1])
	switch {
	case len(out) > most:
		return dst, ErrTooLong
	case z.m.err != io.EOF:
		return dst, z.ended()
	}
	d.in, d.out = nil, nil
	return dst[:from+len(out)], nil
}

// ended returns the error that ended decompressing.
func (z *Memory) ended() error {
	if z.m.err == io.EOF { // there was no byte
		return io.ErrUnexpectedEOF
	}
	return z.m.err
}
