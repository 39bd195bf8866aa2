package ingest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/flowlog"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// defaultBlockSize is the text handed to a decoder at once, and the longest line:
// large enough that handing over costs nothing, small enough to stay in the cache
// between the reader's look at it and the decoder's.
const defaultBlockSize = 1 << 20

const progressEvery = 100 * time.Millisecond

// pipeline reads files on several goroutines:
//
//	readers (each a file at a time) ──► blocks of whole lines ──► decoders ──► adders
//	   └── JSON and Parquet are decoded where they are read ───────────────────┘
//
// A reader carries the layout from block to block, since a header line may change it
// anywhere, and counts lines, so that a decoder can take any block on its own. A
// fixed set of buffers bounds the memory: a reader holds one, and one more for the
// moment in which it moves the end of a block to the next.
type pipeline struct {
	ctx      context.Context
	opt      Options
	layouts  *layouts
	files    []fileState
	next     atomic.Int64 // the next file to read
	done     atomic.Int64 // how many were read
	blocks   chan block
	buffers  chan []byte
	adders   chan adder
	progress struct{ bytes, total atomic.Int64 }
	records  atomic.Uint64

	mu     sync.Mutex // guards failed and err
	failed int        // index of the first file with an error
	err    error
}

type fileState struct {
	File
	index int
	read  bool       // to its end
	mu    sync.Mutex // guards Stats while decoders are at work
}

func (f *fileState) merge(s *flowlog.Stats) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Stats.Merge(s)
}

// block is a piece of a file: whole lines, and what must be known to decode them.
type block struct {
	file   *fileState
	data   []byte
	line   int64 // number of the first line
	layout *flowlog.Layout
	buffer []byte // to give back
}

func newPipeline(ctx context.Context, opt Options, l *layouts, names []string, newAdder func() adder) *pipeline {
	readers := min(opt.Workers, len(names))
	p := &pipeline{
		ctx: ctx, opt: opt, layouts: l,
		files:   make([]fileState, len(names)),
		blocks:  make(chan block, opt.Workers),
		buffers: make(chan []byte, 2*readers+opt.Workers),
		adders:  make(chan adder, opt.Workers),
		failed:  len(names),
	}
	for i, name := range names {
		p.files[i].Path, p.files[i].index = name, i
	}
	for range cap(p.buffers) {
		p.buffers <- nil // allocated when first used
	}
	for range opt.Workers {
		p.adders <- newAdder()
	}
	return p
}

// run reads all files and returns the error of the first of them that has one.
func (p *pipeline) run() error {
	stop := p.reportProgress()
	defer stop()
	var readers, decoders sync.WaitGroup
	for range min(p.opt.Workers, len(p.files)) {
		readers.Go(p.readFiles)
	}
	for range p.opt.Workers {
		decoders.Go(p.decodeBlocks)
	}
	readers.Wait()
	close(p.blocks)
	decoders.Wait()
	if err := p.ctx.Err(); err != nil {
		return context.Cause(p.ctx)
	}
	return p.err
}

// fail notes the error of a file. The first file decides, so that the error does not
// depend on which worker was faster.
func (p *pipeline) fail(file int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if file < p.failed {
		p.failed, p.err = file, err
	}
}

// wanted reports whether a file need still be read: not after an earlier one failed.
func (p *pipeline) wanted(file int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return file < p.failed && p.ctx.Err() == nil
}

// stopped reports whether no further file is to be begun.
func (p *pipeline) stopped() bool {
	select {
	case <-p.opt.Stop:
		return true
	default:
		return false
	}
}

func (p *pipeline) readFiles() {
	for {
		i := int(p.next.Add(1) - 1)
		if i >= len(p.files) || !p.wanted(i) || p.stopped() {
			return
		}
		if err := p.readFile(&p.files[i]); err != nil {
			p.fail(i, err)
		}
		p.done.Add(1)
	}
}

func (p *pipeline) readFile(f *fileState) error {
	s, err := openSource(f.Path, p.opt.Stdin, &p.progress.bytes)
	if err != nil {
		return err
	}
	defer s.close()
	if p.opt.Contents {
		s.unpacked.sum = sha256.New()
	}
	format, layout, err := s.format(p.layouts)
	if err != nil {
		return s.fail(err)
	}
	f.Format, f.Compression = format, s.compression
	switch format {
	case formatParquet:
		err = p.readParquet(f, s)
	case formatJSON:
		err = p.readJSON(f, s, layout)
	default:
		err = p.readLines(f, s, layout)
	}
	if err == nil && p.opt.Contents {
		_, err = io.Copy(io.Discard, s.text)
	}
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return s.fail(err)
	}
	f.Bytes, f.Digest, f.read = s.raw.bytes, s.raw.digest(), true
	if p.opt.Contents {
		f.Content = s.content()
	}
	return nil
}

// readLines cuts the lines of s into blocks.
func (p *pipeline) readLines(f *fileState, s *source, layout *flowlog.Layout) error {
	var begun flowlog.Stats
	for _, name := range layout.UnknownFields() {
		begun.AddUnknownField(name)
	}
	f.merge(&begun)
	if mark, _ := s.text.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		s.text.Discard(len(byteOrderMark)) // just peeked
		s.dropped = int64(len(byteOrderMark))
	}
	buffer := p.buffer()
	defer func() { p.buffers <- buffer }()
	layout, line, err := p.skip(f, s, layout, buffer)
	if err != nil {
		return err
	}
	filled := 0
	for p.wanted(f.index) {
		n, err := fill(s.text, buffer[filled:])
		filled += n
		last := err == io.EOF
		if err != nil && !last {
			return atLine(line+int64(bytes.Count(buffer[:filled], []byte("\n"))), err)
		}
		whole := filled
		if !last {
			if whole = bytes.LastIndexByte(buffer, '\n') + 1; whole == 0 {
				if err := p.skipLine(f, s, line); err != nil {
					return atLine(line, err)
				}
				line++
				filled = 0
				continue
			}
		}
		b := block{file: f, data: buffer[:whole], line: line, layout: layout, buffer: buffer}
		var lines int64
		layout, lines = layout.Scan(b.data)
		line += lines
		spare := p.buffer()
		filled = copy(spare, buffer[whole:filled])
		buffer = spare
		p.blocks <- b
		if last {
			return nil
		}
	}
	return nil
}

// fill reads until p is full or the input ends. Unlike io.ReadFull it returns the
// reader's own error, so that compressed data that is cut off does not pass for the
// end of the input.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var got int
		got, err = r.Read(p[n:])
		n += got
	}
	return n, err
}

// atLine names the line at which the data of a file ended too early.
func atLine(line int64, err error) error { return fmt.Errorf("line %d: %w", line, err) }

// skipLine passes over the rest of a line that is longer than a block.
func (p *pipeline) skipLine(f *fileState, s *source, line int64) error {
	const reason = "line is longer than a block"
	stats := flowlog.Stats{Records: 1}
	stats.AddMalformed(reason, flowlog.Sample{File: f.Path, Line: line,
		Message: fmt.Sprintf("line is longer than %d bytes", p.opt.blockSize)})
	f.merge(&stats)
	for {
		switch _, err := s.text.ReadSlice('\n'); err {
		case bufio.ErrBufferFull:
		case nil, io.EOF:
			return nil
		default:
			return err
		}
	}
}

// buffer takes a buffer from the set, waiting until one is free.
func (p *pipeline) buffer() []byte {
	b := <-p.buffers
	if b == nil {
		b = make([]byte, p.opt.blockSize)
	}
	return b
}

func (p *pipeline) decodeBlocks() {
	d := flowlog.NewLineDecoder(p.add)
	for b := range p.blocks {
		var stats flowlog.Stats
		if p.wanted(b.file.index) {
			if err := d.Decode(b.file.Path, b.data, b.line, b.layout, &stats); err != nil {
				p.fail(b.file.index, err)
			}
			b.file.merge(&stats)
			p.records.Add(stats.Records)
		}
		p.buffers <- b.buffer
	}
	if err := d.Flush(); err != nil {
		p.fail(0, err)
	}
}

// add hands a batch to whichever adder is free. It is safe for concurrent use.
func (p *pipeline) add(b *store.Batch) error {
	a := <-p.adders
	a.Add(b)
	p.adders <- a
	return p.ctx.Err()
}

func (p *pipeline) readJSON(f *fileState, s *source, text *flowlog.Layout) error {
	if mark, _ := s.text.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		s.text.Discard(len(byteOrderMark)) // just peeked
	}
	stats, err := flowlog.DecodeJSON(p.ctx, s.text, f.Path, text, p.add)
	if err != nil {
		return err
	}
	f.merge(stats)
	p.records.Add(stats.Records)
	return nil
}

// reportProgress calls Options.Progress now and then until stop is called, and once
// more then.
func (p *pipeline) reportProgress() (stop func()) {
	if p.opt.Progress == nil {
		return func() {}
	}
	var total int64
	for i := range p.files {
		info, err := os.Stat(p.files[i].Path)
		if err != nil || p.files[i].Path == stdinPath {
			total = 0
			break
		}
		total += info.Size()
	}
	now := func() {
		p.opt.Progress(Progress{Bytes: p.progress.bytes.Load(), Total: total, Records: p.records.Load()})
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				now()
				return
			case <-tick.C:
				now()
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// report sums up after run.
func (p *pipeline) report() *Report {
	r := &Report{Files: make([]File, 0, len(p.files))}
	for i := range p.files {
		f := &p.files[i]
		if !f.read {
			continue
		}
		f.Records = f.Stats.Records
		if name, ok := alibabaFormats[f.Format]; ok && f.Stats.Alibaba {
			f.Format = name
		}
		r.Files = append(r.Files, f.File)
		r.Stats.Merge(&f.Stats)
	}
	r.Ledger[flow.Malformed] = r.Stats.Malformed.Total()
	r.Ledger[flow.Unsupported] = r.Stats.Unsupported.Total()
	return r
}
