package flowlog

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go/format"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// runRows bounds the rows that are turned from columns into a batch at once: the
// values of a run, a hundred bytes a row, stay in the first-level caches.
const runRows = 256

// parquetDecoder decodes row groups; one goroutine uses it.
type parquetDecoder struct {
	schema  *parquetSchema
	readers []parquetColumn
	byField [NumFields]*parquetColumn
	lines   *LineDecoder // reads the rows that are not plain
	stats   *Stats
	fast    bool // the columns that a flow needs are there

	num  [NumFields][runRows]uint64
	addr [NumFields][]flow.Addr // of the address fields: runRows long
	text []byte
	pos  []span
}

func newParquetDecoder(schema *parquetSchema, name string, emit func(*store.Batch) error) *parquetDecoder {
	l := schema.layout
	d := &parquetDecoder{schema: schema, stats: &Stats{},
		lines: NewLineDecoder(emit),
		fast:  l.lacks == "" && !l.has(TransitGateway) && l.has(SrcAddr) && l.has(DstAddr) && l.has(Start) && l.has(End),
		pos:   make([]span, l.n),
	}
	d.lines.file, d.lines.layout, d.lines.stats = name, l, d.stats
	d.lines.columns.need(l.optional())
	d.readers = append(d.readers, schema.columns...)
	unpack := new(unpacker)
	for i := range d.readers {
		d.byField[d.readers[i].field] = &d.readers[i]
		d.readers[i].pages.unpack = unpack
	}
	for _, f := range [...]Field{SrcAddr, DstAddr, PktSrcAddr, PktDstAddr} {
		d.addr[f] = make([]flow.Addr, runRows)
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
		n, err := d.load(int(min(rows-done, runRows)))
		if err != nil {
			return err
		}
		if err := d.run(n, before+done); err != nil {
			return err
		}
		for i := range d.readers {
			d.readers[i].advance(n)
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

// load makes the next rows ready in every column, at most n, and returns how many:
// a run never crosses the end of a page.
func (d *parquetDecoder) load(n int) (int, error) {
	for i := range d.readers {
		c := &d.readers[i]
		err := guarded(func() error {
			left, err := c.load()
			n = min(n, left)
			return err
		})
		if err != nil {
			return 0, d.at(c, endOf(err))
		}
	}
	for i := range d.readers {
		c := &d.readers[i]
		err := guarded(func() error {
			c.locate(n)
			switch {
			case c.field == InterfaceID:
				return c.checkNames(n)
			case d.addr[c.field] != nil:
				c.addresses(d.addr[c.field][:n])
			default:
				c.numbers(d.num[c.field][:n])
			}
			return nil
		})
		if err != nil {
			return 0, d.at(c, err)
		}
	}
	return n, nil
}

// run turns n rows, of which before rows come first, into rows of the batch.
func (d *parquetDecoder) run(n int, before int64) error {
	d.stats.Records += uint64(n)
	cols := d.lines.columns
	b := cols.rows
	names := d.byField[InterfaceID]
	for i := range n {
		src, dst := d.addr[SrcAddr][i], d.addr[DstAddr][i]
		pktSrc, pktDst := d.addr[PktSrcAddr][i], d.addr[PktDstAddr][i]
		srcPort, dstPort, proto := d.num[SrcPort][i], d.num[DstPort][i], d.num[Protocol][i]
		packets, octets, flags := d.num[Packets][i], d.num[Bytes][i], d.num[TCPFlags][i]
		start, end := d.num[Start][i], d.num[End][i]
		action, status, direction := d.num[Action][i], d.num[LogStatus][i], d.num[FlowDirection][i]
		four := src.Is4()
		if !d.fast || action == odd || status == odd || direction == odd || flags == odd ||
			proto == odd || srcPort == odd || dstPort == odd || packets == odd || octets == odd ||
			start == odd || end == odd || end < start ||
			d.num[Version][i] == odd || d.num[VSwitchID][i] == odd ||
			!plainPair(src, dst, four) || !plainPacket(pktSrc, four) || !plainPacket(pktDst, four) ||
			!plainType(d.num[Type][i], four) {
			if err := d.slow(i, before+int64(i)+1); err != nil {
				return err
			}
			continue
		}
		if d.schema.layout.alibaba {
			flags = uint64(alibabaFlags(flow.TCPFlags(flags)))
		}
		if !flow.Proto(proto).HasPorts() {
			srcPort, dstPort = 0, 0
		}
		at, err := cols.next()
		if err != nil {
			return err
		}
		k := uint(at) % store.BatchSize // at, but the compiler sees that it is in bounds
		d.stats.Rows++
		if names != nil {
			b.iface[k] = names.name(i, cols)
		} else {
			b.iface[k] = cols.iface(ifaceName(nil))
		}
		b.src[k], b.dst[k] = src, dst
		b.srcPort[k], b.dstPort[k] = uint16(srcPort), uint16(dstPort)
		b.proto[k], b.action[k], b.status[k] = flow.Proto(proto), flow.Action(action), flow.StatusOK
		b.packets[k], b.bytes[k] = packets, octets
		b.start[k], b.end[k] = int64(start), int64(end)
		if cols.has&hasPackets != 0 {
			b.pktSrc[k], b.pktDst[k] = pktSrc, pktDst
		}
		if cols.has&hasFlags != 0 {
			b.flags[k] = flow.TCPFlags(flags)
		}
		if cols.has&hasDirection != 0 {
			b.direction[k] = flow.Direction(direction)
		}
	}
	return nil
}

// plainPair reports whether two addresses are there and of the family that four says.
func plainPair(src, dst flow.Addr, four bool) bool {
	return src.IsValid() && dst.IsValid() && src != oddAddr && dst != oddAddr && dst.Is4() == four
}

// plainPacket is the same for an address of the packet header, which may be missing.
func plainPacket(a flow.Addr, four bool) bool {
	return !a.IsValid() || a != oddAddr && a.Is4() == four
}

// plainType reports whether the type is missing or agrees with the family.
func plainType(t uint64, four bool) bool {
	return t == 0 || t == typeIPv4 && four || t == typeIPv6 && !four
}

// slow reads row i of the run as if it were a line of text.
func (d *parquetDecoder) slow(i int, row int64) error {
	d.text = d.text[:0]
	clear(d.pos)
	for k := range d.readers {
		c := &d.readers[k]
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
