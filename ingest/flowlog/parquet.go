package flowlog

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/sgadvise/sgadvise/ingest/store"
)

// DecodeParquet decodes the Parquet file of the given size that r holds; name stands
// for it in messages. Columns are found by name in any spelling that fields.go
// knows. Numbers may be integers of any width, floating-point numbers, or text;
// start and end may be timestamps; null and "-" are missing. Rows are judged by the
// same rules as lines of text, and the Line of a sample is the 1-based row number.
//
// Row groups are decoded by up to workers goroutines (0: one), and each of them calls
// emit, so emit must be safe for concurrent use; a batch is valid during the call only. Those
// that have no row group emit batches of the others.
// If DecodeParquet returns an error, batches may have been emitted before, the Stats are
// nil, and the file must not count as read. The error is the first one of emit, or that
// of ctx, as it was; or it says what is wrong with the file and begins with its name,
// which what it wraps does not.
//
// Sizes that a damaged file claims are checked before memory is spent on them. What
// is not checked is how far a page really expands that is compressed with zstd or brotli.
func DecodeParquet(ctx context.Context, r io.ReaderAt, size int64, name string, workers int, emit func(*store.Batch) error) (*Stats, error) {
	file, err := openParquet(r, size)
	if err != nil {
		return nil, inFile(name, err)
	}
	var schema *parquetSchema
	if err := guarded(func() error { schema, err = readSchema(file); return err }); err != nil {
		return nil, inFile(name, err)
	}

	groups := file.Metadata().RowGroups
	before := make([]int64, len(groups)+1) // rows before each group
	for g := range groups {
		n := groups[g].NumRows
		if before[g+1] = before[g] + n; n < 0 || before[g+1] < before[g] {
			return nil, inFile(name, fmt.Errorf("row group %d: damaged: it has %d rows", g+1, n))
		}
		for _, c := range schema.columns {
			if groups[g].Columns[c.index].CryptoMetadata.Value != nil {
				return nil, inFile(name, fmt.Errorf("column %s: encrypted Parquet is not read", c.field))
			}
			if codec := groups[g].Columns[c.index].MetaData.Codec; !readable(codec) {
				return nil, inFile(name, fmt.Errorf("column %s: compression %s is not read; snappy, gzip, zstd and brotli are", c.field, codec))
			}
		}
	}

	out := &emitter{emit: emit}
	failed := make([]error, len(groups))
	var next, bad atomic.Int64
	var wait sync.WaitGroup
	workers = max(1, workers)
	decoders := make([]*parquetDecoder, min(workers, max(1, len(groups))))
	hand := newHandOver(out, len(decoders))
	for w := range decoders {
		d := newParquetDecoder(schema, name, hand, workers)
		decoders[w] = d
		wait.Go(func() {
			// Groups that were begun are finished although a later one failed, so that
			// the first error is the same one whatever the number of workers.
			for bad.Load() == 0 {
				g := int(next.Add(1)) - 1
				if g >= len(groups) {
					_ = d.lines.Flush() // out keeps the error
					break
				}
				if err := d.rowGroup(ctx, r, size, &groups[g], before[g]); err != nil {
					failed[g] = err
					bad.Add(1)
				}
			}
			hand.leave()
			hand.take()
		})
	}
	for range workers - len(decoders) {
		wait.Go(hand.take)
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := out.err.Load(); err != nil {
		return nil, *err
	}
	for g, err := range failed {
		if err != nil {
			return nil, inFile(name, fmt.Errorf("row group %d: %w", g+1, err))
		}
	}
	stats := &Stats{Alibaba: schema.layout.alibaba}
	for _, d := range decoders {
		stats.Merge(d.stats)
	}
	for _, column := range schema.layout.unknown {
		stats.AddUnknownField(column)
	}
	return stats, nil
}

// inFile puts the name of the file before an error of its content.
func inFile(name string, err error) error { return fmt.Errorf("%s: %w", name, err) }

// readable reports whether pages of a codec can be trusted. LZ4_RAW cannot: version
// 0.32.0 of the library returns other bytes than it decompressed when a page shrank
// to more than a third, without an error.
func readable(codec format.CompressionCodec) bool {
	switch codec {
	case format.Uncompressed, format.Snappy, format.Gzip, format.Zstd, format.Brotli:
		return true
	}
	return false
}

// emitter calls emit on behalf of several goroutines until one call fails.
type emitter struct {
	emit func(*store.Batch) error
	err  atomic.Pointer[error] // the first
}

func (e *emitter) batch(b *store.Batch) error {
	if err := e.failed(); err != nil {
		return err
	}
	err := e.emit(b)
	if err != nil {
		e.err.CompareAndSwap(nil, &err)
	}
	return err
}

// failed returns the error of the first call that failed.
func (e *emitter) failed() error {
	if err := e.err.Load(); err != nil {
		return *err
	}
	return nil
}

// openParquet opens a file. The library allocates what the footer claims and may
// panic on claims that contradict one another, hence the check and the recovery.
func openParquet(r io.ReaderAt, size int64) (file *parquet.File, err error) {
	if err := checkFooter(r, size); err != nil {
		return nil, err
	}
	err = guarded(func() error {
		file, err = parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("not a complete Parquet file: %w", err)
	}
	return file, nil
}

// guarded calls f and turns a panic into an error: on contradictory input the library
// indexes out of range.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	return f()
}

// parquetSchema says which columns of a file are read, and how.
type parquetSchema struct {
	layout  *Layout         // for the fields of the columns, in their order
	columns []parquetColumn // templates of the readers
}

// readSchema finds the columns of a flow log.
func readSchema(file *parquet.File) (*parquetSchema, error) {
	s := &parquetSchema{}
	var names, all []string
	where := [NumFields]string{}
	nested, alibaba := false, false
	for _, c := range file.Root().Columns() {
		alibaba = alibaba || c.Leaf() && speaksAlibaba([]string{c.Name()})
	}
	for _, c := range file.Root().Columns() {
		all = append(all, clip(c.Name()))
		if !c.Leaf() {
			nested = true
			continue
		}
		f, known := lookupIn(c.Name(), alibaba)
		if f == Message {
			f, known = Carried, true
		}
		if known && (f == Carried || f == Version && !alibaba) {
			continue
		}
		if !known {
			names = append(names, c.Name())
			continue
		}
		if f != TransitGateway && where[f] != "" {
			return nil, fmt.Errorf("columns %s and %s both mean %s", clip(where[f]), clip(c.Name()), f)
		}
		col, err := newParquetColumn(c, f)
		if err != nil && (f == Version || f == VSwitchID) {
			continue // only the sign of a fault can be seen in it
		}
		where[f] = c.Name()
		names = append(names, c.Name())
		if f == TransitGateway {
			continue
		}
		col.alibaba = alibaba
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", clip(c.Name()), err)
		}
		s.columns = append(s.columns, col)
	}
	s.layout = newLayoutIn(names, 0, alibaba)
	if s.layout.fault != "" {
		return nil, fmt.Errorf("more than %d columns", maxColumns)
	}
	l := s.layout
	if !l.has(InterfaceID) && !l.has(SrcAddr) && !l.has(DstAddr) && !l.has(PktSrcAddr) && !l.has(PktDstAddr) {
		what := "none of its columns is an interface or an address of a flow log"
		if nested {
			what = "its columns are nested (OCSF, as in Security Lake, is not read)"
		}
		return nil, fmt.Errorf("not a VPC flow log: %s; needed are interface_id, srcaddr, dstaddr, srcport, dstport, protocol, action, start, end; found %s",
			what, listed(all))
	}
	return s, nil
}

// listed joins names for a message, not too many of them.
func listed(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
