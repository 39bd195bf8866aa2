package flowlog

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// parquetDecoder decodes row groups; one goroutine uses it.
//
// It goes from run to run of rows: some that are on one page in every column and fit into
// the batch at hand. What a column has of the run goes right into the batch, and what it
// has to say against a row is noted beside it. Rows that are left without a family then
// go the slow way, and those after them are moved up if a row is not used.
type parquetDecoder struct {
	schema  *parquetSchema
	readers []parquetColumn
	byField [NumFields]*parquetColumn
	lines   *LineDecoder // reads the rows that are not plain
	stats   *Stats
	fast    bool    // the columns that a flow needs are there
	absent  []Field // columns of the batch that the file lacks

	families [store.BatchSize]families // of each row of the run
	text     []byte
	pos      []span
}

func newParquetDecoder(schema *parquetSchema, name string, hand *handOver, workers int) *parquetDecoder {
	l := schema.layout
	d := &parquetDecoder{schema: schema, stats: &Stats{},
		lines: NewLineDecoder(nil),
		fast:  l.lacks == "" && !l.has(TransitGateway) && l.has(SrcAddr) && l.has(DstAddr) && l.has(Start) && l.has(End),
		pos:   make([]span, l.n),
	}
	d.lines.file, d.lines.layout, d.lines.stats = name, l, d.stats
	d.lines.columns.emit = newHanding(hand, d.lines.columns, workers-1).batch
	d.lines.columns.need(l.optional())
	d.readers = append(d.readers, schema.columns...)
	slices.SortStableFunc(d.readers, func(a, b parquetColumn) int { // those that may repeat others come last
		return cmp.Compare(a.field-a.field.flowAddr(), b.field-b.field.flowAddr())
	})
	unpack := new(unpacker)
	for i := range d.readers {
		c := &d.readers[i]
		d.byField[c.field] = c
		c.pages.unpack = unpack
		if twin := d.byField[c.field.flowAddr()]; twin != nil && twin != c {
			c.mayRepeat(twin)
		}
	}
	for f, c := range d.byField {
		if c == nil {
			d.absent = append(d.absent, Field(f))
		}
	}
	return d
}

// rowGroup decodes a row group of the file, of the given size, that r holds; meta is what
// the footer says of it, and before is the number of rows before it.
func (d *parquetDecoder) rowGroup(ctx context.Context, r io.ReaderAt, size int64, meta *format.RowGroup, before int64) error {
	rows := meta.NumRows
	for i := range d.readers {
		c := &d.readers[i]
		if err := c.open(r, size, &meta.Columns[c.index].MetaData); err != nil {
			return d.at(c, err)
		}
	}
	for done := int64(0); done < rows; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d.lines.columns.n == store.BatchSize {
			if err := d.lines.columns.flush(); err != nil {
				return err
			}
		}
		n, err := d.load(int(min(rows-done, int64(store.BatchSize-d.lines.columns.n))))
		if err != nil {
			return err
		}
		if err := d.run(n, before+done); err != nil {
			return err
		}
		for i := range d.readers {
			d.readers[i].end(n)
		}
		done += int64(n)
	}
	for i := range d.readers {
		c := &d.readers[i]
		if err := guarded(func() error { _, err := c.load(); return err }); err != io.EOF {
			if err == nil {
				err = fmt.Errorf("it has more rows than its row group")
			}
			return d.at(c, err)
		}
	}
	return nil
}

// at names the column that err is about.
func (d *parquetDecoder) at(c *parquetColumn, err error) error {
	return fmt.Errorf("column %s: %w", c.field, err)
}

// load makes the next rows ready in every column, at most n, and returns how many: a run
// never crosses the end of a page. It fills the rows of the batch that come next, and notes of
// which families each may be.
func (d *parquetDecoder) load(n int) (int, error) {
	var at *parquetColumn
	err := guarded(func() error {
		for i := range d.readers {
			at = &d.readers[i]
			left, err := at.load()
			if err != nil {
				return endOf(err)
			}
			n = min(n, left)
		}
		if d.fast {
			d.lines.columns.need(d.needs())
		}
		of := d.families[:n]
		for i := range of {
			of[i] = anyFamily
		}
		for i := range d.readers {
			at = &d.readers[i]
			if err := at.begin(n); err != nil {
				return err
			}
			if d.fast {
				d.fill(at, of)
			}
		}
		return nil
	})
	if err == nil {
		return n, nil
	}
	if at.codes != nil {
		for i := range min(n, len(at.codes)) {
			if beyond := at.check(i); beyond != nil {
				err = beyond // what the panic was about
				break
			}
		}
	}
	return 0, d.at(at, err)
}

// needs returns the optional columns of a batch for the pages at hand.
func (d *parquetDecoder) needs() optional {
	set := d.schema.layout.optional()
	for _, f := range [...]Field{PktSrcAddr, PktDstAddr} {
		if c := d.byField[f]; c != nil && !c.pages.repeats {
			return set
		}
	}
	return set &^ hasPackets
}

// fill fills a column of the batch, but for the names of interfaces.
func (d *parquetDecoder) fill(c *parquetColumn, of []families) {
	cols := d.lines.columns
	b, from, to := cols.rows, cols.n, cols.n+len(of)
	switch c.field {
	case InterfaceID:
	case SrcAddr:
		c.addresses(b.src[from:to], of)
	case DstAddr:
		c.addresses(b.dst[from:to], of)
	case PktSrcAddr:
		d.packets(c, b.pktSrc[from:to], of)
	case PktDstAddr:
		d.packets(c, b.pktDst[from:to], of)
	case SrcPort:
		numbers(c, b.srcPort[from:to], of)
	case DstPort:
		numbers(c, b.dstPort[from:to], of)
	case Protocol:
		numbers(c, b.proto[from:to], of)
	case Packets:
		numbers(c, b.packets[from:to], of)
	case Bytes:
		numbers(c, b.bytes[from:to], of)
	case Start:
		numbers(c, b.start[from:to], of)
	case End:
		numbers(c, b.end[from:to], of)
	case Action:
		numbers(c, b.action[from:to], of)
	case TCPFlags:
		numbers(c, b.flags[from:to], of)
	case FlowDirection:
		numbers(c, b.direction[from:to], of)
	case LogStatus, Type, Version, VSwitchID: // seen in no batch
		c.judge(of)
	}
}

// packets fills out with addresses of the packet header.
func (d *parquetDecoder) packets(c *parquetColumn, out []flow.Addr, of []families) {
	switch {
	case !c.pages.repeats:
		c.addresses(out, of)
	case d.lines.columns.has&hasPackets != 0:
		clear(out) // the same as those of the flow
	}
}

// run makes n rows, of which before rows come first, rows of the batch.
func (d *parquetDecoder) run(n int, before int64) error {
	d.stats.Records += uint64(n)
	cols, of := d.lines.columns, d.families[:n]
	if d.fast {
		d.finish(of)
	} else {
		clear(of)
	}
	from := cols.n
	for i := 0; i < n; i++ {
		plain := i
		for i < n && of[i] != 0 {
			i++
		}
		if cols.n != from+plain {
			cols.rows.move(cols.n, from+plain, i-plain)
		}
		cols.n += i - plain
		d.stats.Rows += uint64(i - plain)
		if i == n {
			break
		}
		// It fills one row at most, and this one is free.
		if err := d.slow(i, before+int64(i)+1); err != nil {
			return err
		}
	}
	return nil
}

// finish fills what depends on several columns, and what the file lacks.
func (d *parquetDecoder) finish(of []families) {
	cols := d.lines.columns
	b, from, to := cols.rows, cols.n, cols.n+len(of)
	for _, f := range d.absent {
		if cols.has&f.optional() == f.optional() {
			b.clear(f, from, to)
		}
	}
	clear(b.status[from:to]) // flow.StatusOK
	start, end := b.start[from:to], b.end[from:to]
	for i := range of {
		if end[i] < start[i] {
			of[i] = 0
		}
	}
	srcPort, dstPort := b.srcPort[from:to], b.dstPort[from:to]
	for i, proto := range b.proto[from:to] {
		srcPort[i] &= portMasks[proto]
		dstPort[i] &= portMasks[proto]
	}
	if c := d.byField[InterfaceID]; c != nil {
		c.names(b.iface[from:to], of, cols)
		return
	}
	for i := range of {
		if of[i] != 0 {
			b.iface[from+i] = cols.iface(ifaceName(nil))
		}
	}
}

// portMasks are the bits that count of the ports of each protocol.
var portMasks = func() (masks [256]uint16) {
	for p := range masks {
		if flow.Proto(p).HasPorts() {
			masks[p] = math.MaxUint16
		}
	}
	return masks
}()

// slow reads row i of the run as if it were a line of text.
func (d *parquetDecoder) slow(i int, row int64) error {
	d.text = d.text[:0]
	clear(d.pos)
	for k := range d.readers {
		c := &d.readers[k]
		if err := c.check(i); err != nil {
			return d.at(c, err)
		}
		lo := len(d.text)
		d.text = c.appendText(d.text, i)
		if len(d.text) > math.MaxUint32 {
			return fmt.Errorf("row %d is too long", row)
		}
		d.pos[d.schema.layout.col[c.field]] = span{uint32(lo), uint32(len(d.text))}
	}
	d.lines.line = row
	return d.lines.record(d.text, d.pos)
}
