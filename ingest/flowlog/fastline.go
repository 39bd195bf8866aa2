package flowlog

import (
	"bytes"

	"github.com/sgadvise/sgadvise/ingest/store"
)

// The fast path takes lines that are plain: as many values as the layout has columns,
// none or all of them quoted, and every value that is read a flow's, written the usual way.
// Of all others it takes no part; decodeLine reads them, and is what defines a row.
//
// It goes over some hundred lines column by column: the loop over the values of a column
// is short and does the same for each, so that the processor works on many at once.

// A plan says which columns of a layout the fast path reads. Columns that it does not
// read are not looked at.
type plan struct {
	layout *Layout
	fits   bool // lines of the layout can be plain
	sep    byte
	quote  byte // 0 in text

	iface, src, dst, srcPort, dstPort, proto, action, start, end           column
	version, packets, bytes, status, flags, typ, pktSrc, pktDst, direction column

	passed []column // columns of text that are not read: they must not be empty, or spaces stand side by side
}

// A column is the index of a column of a layout, below 0 for none.
type column int16

// maxPlanned bounds the columns of a plan.
const maxPlanned = 64

func planOf(l *Layout) plan {
	p := plan{layout: l, sep: l.sep, quote: l.quote}
	if l.sep == 0 {
		p.sep, p.quote = ' ', 0
	}
	if l.fault != "" || l.lacks != "" || l.alibaba || l.n > maxPlanned || l.has(Message) {
		return p
	}
	read := map[int16]bool{}
	may := func(f Field, at *column) bool { *at = column(l.col[f]); read[l.col[f]] = true; return l.has(f) }
	p.fits = may(InterfaceID, &p.iface) && may(SrcAddr, &p.src) && may(DstAddr, &p.dst) &&
		may(SrcPort, &p.srcPort) && may(DstPort, &p.dstPort) && may(Protocol, &p.proto) &&
		may(Action, &p.action) && may(Start, &p.start) && may(End, &p.end)
	p.version = -1
	if l.assumed {
		may(Version, &p.version)
	}
	may(Packets, &p.packets)
	may(Bytes, &p.bytes)
	may(LogStatus, &p.status)
	may(TCPFlags, &p.flags)
	may(Type, &p.typ)
	may(PktSrcAddr, &p.pktSrc)
	may(PktDstAddr, &p.pktDst)
	may(FlowDirection, &p.direction)
	for c := range l.n {
		if l.sep == 0 && !read[int16(c)] {
			p.passed = append(p.passed, column(c))
		}
	}
	return p
}

// decodeScan decodes lines of block from the given offset, some scanSize bytes of them,
// and returns the offset of the first line that it leaves. It leaves off early where a
// header line changes the layout.
func (d *LineDecoder) decodeScan(block []byte, from int) (next int, err error) {
	if d.scan == nil {
		d.scan = newScan()
	}
	s, c, p := d.scan, d.columns, &d.plan
	size := s.load(block, from, p.sep, p.quote)
	if size == 0 {
		line, _, _ := bytes.Cut(block[from:], newline)
		return from + len(line) + 1, d.oddLine(line)
	}
	in := shape{plan: p, step: 2}
	if p.quote != 0 && beginsQuoted(block[from:from+size], p.quote) {
		in.step, in.first = 6, 2
	}
	for s.at+2 < s.found {
		if c.n == store.BatchSize {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
		begin := s.place(s.at) + 1
		n := s.lines(in, min(scanLines, store.BatchSize-c.n))
		s.read(in, c, n)
		done, err := d.take(in, n, begin)
		if err != nil {
			return 0, err
		}
		if d.layout != p.layout {
			return from + int(done) - slack, nil
		}
	}
	return from + size, nil
}

var newline = []byte("\n")

// A shape says where the values of a plan's columns are in a line that is plain: how many
// bytes of places each takes, and how many come before the first one.
type shape struct {
	*plan
	step, first uint16
}

// of returns where the place before the values of a column is, from that before the line.
func (in shape) of(c column) uint16 { return in.first + in.step*uint16(c) }

// beginsQuoted reports whether the first quote in text is at the beginning of a line.
func beginsQuoted(text []byte, quote byte) bool {
	at := bytes.IndexByte(text, quote)
	return at == 0 || at > 0 && text[at-1] == '\n'
}

// lines finds the next lines, most of them at most, and returns how many. Those that are
// not of the shape are odd.
func (s *scan) lines(in shape, most int) (n int) {
	size := int(in.step) * in.layout.n // of the places of a line
	for ; n < most && s.at+2 < s.found; n++ {
		at := s.at
		end := at + size
		if in.layout.sep == 0 && end < s.found && s.text[s.place(end)] == in.sep && isExportTime(s.text[s.place(at)+1:s.place(at+2)]) {
			at, end = at+2, end+2
		}
		s.starts[n], s.odd[n], s.odd4[n] = uint16(at), 0, 0
		if end >= s.found || !s.separate(at, end, in) {
			s.odd[n], end = 1, s.at+2
		}
		for s.text[s.place(end)] != '\n' {
			end += 2
		}
		s.ends[n] = uint16(s.place(end))
		s.at = end
	}
	return n
}

// separate reports whether the places from at to end separate the values of a line of that
// shape, and nothing else.
func (s *scan) separate(at, end int, in shape) bool {
	last := s.text[s.place(end)]
	if last == '\r' && end+2 < s.found && s.place(end+2) == s.place(end)+1 {
		last = s.text[s.place(end+2)]
	}
	wrong := last ^ '\n'
	if in.first == 0 {
		i := at + 2
		for ; i+8 <= end; i += 8 {
			p := s.four(i)
			wrong |= (s.text[p&0xffff] ^ in.sep) | (s.text[p>>16&0xffff] ^ in.sep) | (s.text[p>>32&0xffff] ^ in.sep) | (s.text[p>>48] ^ in.sep)
		}
		for ; i < end; i += 2 {
			wrong |= s.text[s.place(i)] ^ in.sep
		}
		return wrong == 0
	}
	for i := at; i < end; i += 6 {
		before, first, second, after := s.place(i), s.place(i+2), s.place(i+4), s.place(i+6)
		if first != before+1 || after != second+1 {
			return false
		}
		wrong |= (s.text[first] ^ in.quote) | (s.text[second] ^ in.quote)
		if i+6 < end {
			wrong |= s.text[after] ^ in.sep
		}
	}
	return wrong == 0
}

// take takes the n lines found last, of which the first begins at the given place: those
// that are plain as the rows to which they were read, the others by oddLine. It returns the
// place after the last one taken, which is a header line if the layout is a new one.
func (d *LineDecoder) take(in shape, n int, begin uint) (done uint, err error) {
	s, c := d.scan, d.columns
	first, line, odd := c.n, d.line, 0
	for i := 0; i < n; {
		from := i
		for i < n && (s.odd[i]|s.odd4[i] == 0 || s.read6(in, c, i, first+i)) {
			i++
		}
		if i > from {
			if c.n != first+from {
				c.rows.move(c.n, first+from, i-from)
			}
			c.n += i - from
			begin = uint(s.ends[i-1]) + 1
		}
		if i == n {
			break
		}
		odd++
		end := uint(s.ends[i])
		d.line = line + int64(i)
		// It makes one row at most, for which there is room: its own.
		if err := d.oddLine(s.text[begin:end]); err != nil {
			return 0, err
		}
		begin = end + 1
		if i++; d.layout != in.layout {
			n = i
		}
	}
	d.line = line + int64(n)
	d.stats.Records += uint64(n - odd)
	d.stats.Rows += uint64(n - odd)
	return begin, nil
}
