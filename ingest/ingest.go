package ingest

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/flowlog"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Options say how to read logs. The zero value reads what describes itself, on one
// worker per processor, and takes no bad row (see MaxBadRows).
type Options struct {
	// LogFormat is the order of fields of text logs without a header line, written
	// as the LogFormat of the flow log: "${version} ${account-id} …".
	LogFormat string
	// LogFormats gives the LogFormat by flow log id (fl-…), which the names of
	// objects in S3 carry. It is asked where LogFormat is empty.
	LogFormats map[string]string
	// Columns are the names of the columns of CSV without a header line, with commas
	// between them whatever the CSV has.
	Columns string

	Workers    int   // decoders that run at once; 0: one per processor
	Strict     bool  // a malformed row is an error
	MaxBadRows int64 // more malformed rows than this are an error; below 0: no limit

	Stdin    io.Reader      // what the path "-" reads
	Progress func(Progress) // if set, called now and then, from one goroutine

	// Contents asks for the Content of each file.
	Contents bool
	// Skip gives, by path, how many bytes at the front of the decompressed text were read
	// before, and end a line. They give no rows, only the layout of what follows. See
	// [ContentOf]. SkipDigest gives their digest, if it is known: a file that begins with
	// other bytes by now cannot be used.
	Skip       map[string]int64
	SkipDigest map[string]string
	// Stop, once closed, keeps further files from being begun. Those under way are read
	// to their end, and the Report has the files that were read.
	Stop <-chan struct{}

	blockSize int // of text handed to a decoder; 0: defaultBlockSize
}

// Progress says how far the reading is.
type Progress struct {
	Bytes   int64 // read from files, as they are stored
	Total   int64 // bytes of all files; 0 if standard input is among them
	Records uint64
}

// Report is the account of one Read.
type Report struct {
	Files  []File // by path
	Stats  flowlog.Stats
	Ledger flow.Ledger // of the dispositions settled by decoding: malformed and unsupported
}

// File is the account of one file.
type File struct {
	Path        string
	Format      string // vpc-text, csv, json, parquet or empty; alibaba-text, alibaba-csv and so on
	Compression string // gzip, zstd, snappy or none
	Bytes       int64  // as stored
	Records     uint64
	Digest      string  // "sha256:" and the hexadecimal digest of the bytes as stored
	Content     Content // if Options.Contents
	Stats       flowlog.Stats
}

// Formats and compressions, as a File names them.
const (
	formatText    = "vpc-text"
	formatCSV     = "csv"
	formatJSON    = "json"
	formatParquet = "parquet"
	formatEmpty   = "empty"

	compressionNone   = "none"
	compressionGzip   = "gzip"
	compressionZstd   = "zstd"
	compressionSnappy = "snappy"
)

// alibabaFormats are the names of formats where the fields have those of Alibaba Cloud.
var alibabaFormats = map[string]string{
	formatText: "alibaba-text", formatCSV: "alibaba-csv", formatJSON: "alibaba-json", formatParquet: "alibaba-parquet",
}

// Read reads the flow logs that paths name into tally, which the caller finishes.
//
// A path is a file, a folder to walk, a glob, or "-" for standard input; a file named
// several times is read once. The error is [ErrNoInput] if a path names no file, an
// [InputError] if a file cannot be read or is damaged, a [BadRowsError] if there are
// more malformed rows than the options allow, or that of ctx. After an error the
// tally holds a part of the input and must not be used.
func Read(ctx context.Context, paths []string, opt Options, tally *store.Tally) (*Report, error) {
	return read(ctx, paths, opt, func() adder { return tally.Worker() })
}

// Adder takes batches and keeps no reference to them; one goroutine uses it at a time.
type Adder interface{ Add(*store.Batch) }

type adder = Adder

// ReadTo is [Read] into what newAdder makes; it is called once for each of Options.Workers,
// by one goroutine. After an error they hold a part of the input.
func ReadTo(ctx context.Context, paths []string, opt Options, newAdder func() Adder) (*Report, error) {
	return read(ctx, paths, opt, newAdder)
}

func read(ctx context.Context, paths []string, opt Options, newAdder func() adder) (*Report, error) {
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.blockSize == 0 {
		opt.blockSize = defaultBlockSize
	}
	layouts, err := newLayouts(&opt)
	if err != nil {
		return nil, err
	}
	names, err := expand(paths)
	if err != nil {
		return nil, err
	}
	p := newPipeline(ctx, opt, layouts, names, newAdder)
	if err := p.run(); err != nil {
		return nil, err
	}
	report := p.report()
	return report, checkBadRows(&report.Stats, opt)
}

// CheckBadRows returns the [BadRowsError] that Read would return of such stats.
func CheckBadRows(stats *flowlog.Stats, opt Options) error { return checkBadRows(stats, opt) }

func checkBadRows(stats *flowlog.Stats, opt Options) error {
	bad := stats.Malformed.Total()
	allowed := opt.MaxBadRows
	if opt.Strict {
		allowed = 0
	}
	if allowed < 0 || bad <= uint64(allowed) {
		return nil
	}
	first, _ := stats.Malformed.First()
	return &BadRowsError{Count: bad, Allowed: allowed, First: first}
}

// layouts holds the layouts that the options give.
type layouts struct {
	text    *flowlog.Layout            // of text without a header line
	byLog   map[string]*flowlog.Layout // by flow log id
	columns *flowlog.Layout            // of CSV without a header line; nil: not given
}

func newLayouts(opt *Options) (*layouts, error) {
	l := &layouts{text: flowlog.DefaultLayout(), byLog: map[string]*flowlog.Layout{}}
	var err error
	if opt.LogFormat != "" {
		if l.text, err = flowlog.ParseLogFormat(opt.LogFormat); err != nil {
			return nil, err
		}
	} else {
		for id, format := range opt.LogFormats {
			if l.byLog[id], err = flowlog.ParseLogFormat(format); err != nil {
				return nil, fmt.Errorf("%s: %w", id, err)
			}
		}
	}
	if opt.Columns != "" {
		if l.columns, err = flowlog.ParseColumns(opt.Columns, l.text); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// textFor returns the layout of text in the file of that path.
func (l *layouts) textFor(path string) *flowlog.Layout {
	if layout, ok := l.byLog[FlowLogOf(path)]; ok {
		return layout
	}
	return l.text
}

// FlowLogOf returns the flow log id (fl-…) in the name of an object of S3; empty if there
// is none.
func FlowLogOf(path string) string {
	for part := range strings.SplitSeq(filepath.Base(path), "_") {
		if strings.HasPrefix(part, "fl-") {
			return part
		}
	}
	return ""
}
