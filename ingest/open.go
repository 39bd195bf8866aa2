package ingest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/sgadvise/sgadvise/ingest/flowlog"
	"github.com/sgadvise/sgadvise/ingest/inflate"
)

const (
	rawBuffer  = 256 << 10 // read at once from a file
	sniffBytes = 64 << 10  // looked at to recognise a format
	maxWindow  = 128 << 20 // memory that a zstd frame may ask for
)

// source is an open file: its bytes as stored, counted and digested while they are
// read, and what they decompress to.
type source struct {
	path        string
	file        *os.File // nil for standard input
	raw         *rawReader
	unpacked    checkedReader // what decompresses raw, if it is compressed
	text        *bufio.Reader // decompressed
	dropped     int64         // bytes at the front of text that are no line
	compression string
	stop        func() // ends what reads raw beside the caller
	close       func()
}

// gzipReaders has readers to use again: logs come in many small files, and a reader
// takes longer to make than such a file to read.
var gzipReaders = sync.Pool{New: func() any { return new(inflate.Reader) }}

// checkedReader remembers the error of a reader, to tell damage in compressed data
// from damage in what was compressed.
type checkedReader struct {
	r   io.Reader
	err error // other than io.EOF

	sum   hash.Hash // of what was read; nil: not asked for
	bytes int64
	last  byte
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	if c.sum != nil && n > 0 {
		c.sum.Write(p[:n])
		c.bytes += int64(n)
		c.last = p[n-1]
	}
	return n, err
}

// rawReader reads a file as stored.
type rawReader struct {
	r     io.Reader
	sum   hash.Hash
	bytes int64
	last  byte
	total *atomic.Int64 // of all files, for progress
	err   error         // other than io.EOF: the file could not be read
	ended bool
}

// Read ends for good at the first end of the file: what is written to it from then on would
// be in the digest and not among the rows.
func (r *rawReader) Read(p []byte) (int, error) {
	if r.ended {
		return 0, io.EOF
	}
	n, err := r.r.Read(p)
	r.ended = err == io.EOF
	r.sum.Write(p[:n])
	r.bytes += int64(n)
	r.total.Add(int64(n))
	if n > 0 {
		r.last = p[n-1]
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func (r *rawReader) digest() string { return fmt.Sprintf("sha256:%x", r.sum.Sum(nil)) }

func openSource(path string, stdin io.Reader, total *atomic.Int64) (*source, error) {
	s := &source{path: path, compression: compressionNone, stop: func() {}, close: func() {}}
	var r io.Reader
	if path == stdinPath {
		if r = stdin; r == nil {
			return nil, &InputError{Path: path, Err: errors.New("there is no standard input")}
		}
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, &InputError{Path: path, Err: cause(err)}
		}
		s.file, r = f, f
		s.close = func() { f.Close() } // read only: nothing can be lost
	}
	s.raw = &rawReader{r: r, sum: sha256.New(), total: total}
	if err := s.decompress(bufio.NewReaderSize(s.raw, rawBuffer)); err != nil {
		err = s.fail(err)
		s.close()
		return nil, err
	}
	return s, nil
}

// decompress sets s.text by the magic number at the front, or, where the form of the
// data has none, by what it decompresses to.
func (s *source) decompress(br *bufio.Reader) error {
	magic, _ := br.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		s.compression = compressionGzip
		z := gzipReaders.Get().(*inflate.Reader)
		s.stop = func() { z.Close() } // returns nil
		closeFile := s.close
		s.close = func() { s.stop(); gzipReaders.Put(z); closeFile() }
		if err := z.Reset(br); err != nil {
			s.unpacked.err = err
			return err
		}
		s.unpacked.r = z
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		s.compression = compressionZstd
		// The goroutines of the pipeline are the concurrency; one block of one frame
		// at a time keeps memory bounded and the order of errors fixed.
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			s.unpacked.err = err
			return err
		}
		closeFile := s.close
		s.close = func() { z.Close(); closeFile() }
		s.unpacked.r = z
	default:
		r, found, err := snappyReader(br, strings.HasSuffix(strings.ToLower(s.path), snappySuffix))
		switch {
		case err != nil:
			s.compression, s.unpacked.err = compressionSnappy, err
			return err
		case !found && r == br:
			s.text = br
			return nil
		case !found:
			s.text = bufio.NewReaderSize(r, rawBuffer)
			return nil
		}
		s.compression, s.unpacked.r = compressionSnappy, r
	}
	s.text = bufio.NewReaderSize(&s.unpacked, sniffBytes)
	return nil
}

// finish reads what is left of the file, so that the digest is of the whole of it.
func (s *source) finish() error {
	s.stop()
	_, err := io.Copy(io.Discard, s.raw)
	return err
}

// fail makes the InputError of an error met while reading s.
func (s *source) fail(err error) error {
	s.stop()
	var done *InputError
	switch {
	case errors.As(err, &done):
		return err
	case s.raw.err != nil:
		return &InputError{Path: s.path, Err: cause(s.raw.err)}
	case s.unpacked.err == nil:
	case errors.Is(s.unpacked.err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("%s data cut off at byte %d: %w", s.compression, s.raw.bytes, err)
	default:
		err = fmt.Errorf("%s data damaged before byte %d: %w", s.compression, s.raw.bytes, err)
	}
	return &InputError{Path: s.path, Corrupt: true, Err: err}
}

// format recognises what s.text holds, without reading it, and the layout under
// which its lines start.
func (s *source) format(l *layouts) (format string, layout *flowlog.Layout, err error) {
	head, err := s.text.Peek(sniffBytes)
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return "", nil, err
	}
	if bytes.HasPrefix(head, []byte("PAR1")) {
		return formatParquet, nil, nil
	}
	head = bytes.TrimPrefix(head, []byte(byteOrderMark))
	if what := notText(head); what != "" {
		return "", nil, fmt.Errorf("no flow log: %s", what)
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	text := l.textFor(s.path)
	switch {
	case len(head) == 0:
		return formatEmpty, text, nil
	case head[0] == '{', head[0] == '[':
		return formatJSON, text, nil
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if layout := l.csvFor(line, text); layout != nil {
		return formatCSV, layout, nil
	}
	return formatText, text, nil
}

// csvFor returns the layout under which the lines of a file start if its first line
// is CSV, and nil if it is not. Commas, tabs and bars are told from text by a header
// line, by the number of columns given or by their number. Spaces, which text has too,
// need a header line or columns that text does not explain.
func (l *layouts) csvFor(line []byte, text *flowlog.Layout) *flowlog.Layout {
	quote := byte('"')
	if line[0] == '\'' {
		quote = '\''
	}
	plain, _ := text.Scan(line)
	spaced := plain == text && !text.Fits(line)
	for _, sep := range []byte(",\t| ") {
		start := flowlog.CSVLayout(sep, quote, text)
		header, _ := start.Scan(line)
		if header != start && bytes.IndexByte(line, sep) >= 0 && (sep != ' ' || spaced) {
			return start
		}
	}
	if l.columns != nil {
		for _, sep := range []byte(",\t| ") {
			if c := l.columns.Separated(sep, quote); bytes.IndexByte(line, sep) >= 0 && c.Fits(line) && (sep != ' ' || spaced) {
				return c
			}
		}
	}
	for _, sep := range []byte(",\t|") {
		if bytes.Count(line, []byte{sep}) <= bytes.Count(line, []byte(" ")) {
			continue
		}
		if l.columns != nil {
			return l.columns.Separated(sep, quote)
		}
		return flowlog.CSVLayout(sep, quote, text)
	}
	return nil
}

const byteOrderMark = "\ufeff"

// notText says what data that is not text looks like, or nothing if it is text.
func notText(head []byte) string {
	for _, m := range []struct{ magic, what string }{
		{"PK\x03\x04", "a zip archive"},
		{"BZh", "bzip2 data"},
		{"\xfd7zXZ\x00", "xz data"},
		{"\x1f\x8b", "gzip data inside gzip data"},
		{"\xff\xfe", "UTF-16 text"},
		{"\xfe\xff", "UTF-16 text"},
		{"ORC", "an ORC file"},
		{"Obj\x01", "an Avro file"},
		{"\xff\x06\x00\x00sNaPpY", "snappy data"},
	} {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.what
		}
	}
	for i, c := range head {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return fmt.Sprintf("binary data, byte 0x%02x at offset %d", c, i)
		}
	}
	return ""
}
