package flowlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/sgadvise/sgadvise/ingest/store"
)

// LineDecoder decodes blocks of lines, whose columns are separated as their layout says. It is reused over blocks and files; one goroutine uses it at a time.
type LineDecoder struct {
	columns *columns
	file    string
	line    int64
	layout  *Layout
	stats   *Stats

	plan plan  // how to read plain lines of layout
	scan *scan // made when it is needed

	pos     []span // the columns of the current line
	cells   []byte // its values, where a quoted line must be rewritten
	message *LineDecoder
}

// NewLineDecoder returns a decoder that hands on full batches to emit. The batch is
// valid during the call only.
func NewLineDecoder(emit func(*store.Batch) error) *LineDecoder {
	return &LineDecoder{columns: newColumns(emit)}
}

// Decode decodes block, which holds whole lines of the named file, the first of them
// with the given 1-based number, under layout l. Header lines in the block change
// the layout from there on, as [Layout.Scan] says. Every row is counted in stats.
// The error, if any, is that of emit.
func (d *LineDecoder) Decode(file string, block []byte, firstLine int64, l *Layout, stats *Stats) error {
	d.file, d.line, d.layout, d.stats = file, firstLine-1, l, stats
	stats.Alibaba = stats.Alibaba || l.alibaba
	d.columns.need(l.optional())
	for at := 0; at < len(block); {
		if d.plan.layout != d.layout {
			d.plan = planOf(d.layout)
		}
		if d.plan.fits {
			next, err := d.decodeScan(block, at)
			if err != nil {
				return err
			}
			at = next
			continue
		}
		line, _, _ := bytes.Cut(block[at:], newline)
		at += len(line) + 1
		if err := d.oddLine(line); err != nil {
			return err
		}
	}
	return nil
}

// oddLine decodes the next line, whatever it is.
func (d *LineDecoder) oddLine(line []byte) error {
	d.line++
	if d.layout.mayBeHeader(line) {
		if h := d.layout.header(line); h != nil {
			d.use(h)
			return nil
		}
	}
	return d.decodeLine(line)
}

// Flush hands on the rows that are not in a full batch yet.
func (d *LineDecoder) Flush() error { return d.columns.flush() }

// use makes l the layout of the lines that follow.
func (d *LineDecoder) use(l *Layout) {
	if d.layout != l {
		for _, name := range l.unknown {
			d.stats.AddUnknownField(name)
		}
	}
	d.layout = l
	d.columns.need(l.optional())
	d.stats.Alibaba = d.stats.Alibaba || l.alibaba
}

func (d *LineDecoder) decodeLine(line []byte) error {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	l := d.layout
	if cap(d.pos) < l.n+2 {
		d.pos = make([]span, l.n+2)
	}
	pos := d.pos[:l.n+2] // room for a time in front, and to see that a line is too long
	base := line
	var n int
	if l.sep != 0 {
		if blank(line) {
			return nil
		}
		var wrong string
		if base, n, wrong = d.splitSeparated(line, l.sep, l.quote, pos); wrong != "" {
			d.stats.Records++
			d.refuse(0, wrong, wrong)
			return nil
		}
	} else {
		if n = splitSpaces(line, pos); n == 0 {
			return nil
		}
		if n == l.n+1 && isExportTime(line[pos[0].lo:pos[0].hi]) {
			pos, n = pos[1:], l.n
		}
	}
	d.stats.Records++
	switch {
	case l.fault != "":
		d.refuse(0, l.fault, l.fault)
		return nil
	case n != l.n:
		d.refuseCount(n)
		return nil
	case l.has(Message):
		p := pos[l.col[Message]]
		return d.decodeMessage(base[p.lo:p.hi])
	}
	return d.record(base, pos[:n])
}

// refuseCount counts a line whose number of fields n differs from the layout.
func (d *LineDecoder) refuseCount(n int) {
	l := d.layout
	found := fmt.Sprintf("%d fields", n)
	if n == l.n+2 || l.sep != 0 && n > l.n {
		found = fmt.Sprintf("more than %d fields", l.n)
	}
	if l.assumed {
		d.refuse(0, causeNoLayout, found+"; "+adviceNoLayout)
		return
	}
	d.refuse(0, causeCount, fmt.Sprintf("%s, the layout has %d", found, l.n))
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' {
			return false
		}
	}
	return true
}

// splitSpaces finds the values of a line, which runs of spaces separate. It stores
// as many as pos takes and returns their number; if it returns len(pos) there may
// be more.
func splitSpaces(line []byte, pos []span) int {
	const (
		spaces = 0x2020202020202020
		low7   = 0x7f7f7f7f7f7f7f7f
	)
	n, start := 0, 0
	sep := func(at int) bool { // a separator at that place; false when pos is full
		if at > start {
			pos[n] = span{uint32(start), uint32(at)}
			n++
		}
		start = at + 1
		return n < len(pos)
	}
	i := 0
	for ; i+8 <= len(line); i += 8 {
		// A byte of x is 0 where the line has a space. The sum sets the high bit of
		// every other byte, exactly: no carry leaves a byte. (Folding the high bit
		// away first is faster and takes 0xa0 for a space.)
		x := binary.LittleEndian.Uint64(line[i:]) ^ spaces
		m := ^((x&low7 + low7) | x | low7)
		for ; m != 0; m &= m - 1 {
			if !sep(i + bits.TrailingZeros64(m)>>3) {
				return n
			}
		}
	}
	for ; i < len(line); i++ {
		if line[i] == ' ' && !sep(i) {
			return n
		}
	}
	sep(len(line))
	return n
}

// isExportTime reports whether v is the time that export tasks of CloudWatch Logs
// put in front of each line, as in 2024-01-01T00:00:00.000Z.
func isExportTime(v []byte) bool {
	const shape = "dddd-dd-ddTdd:dd:dd"
	if len(v) < len(shape)+1 || v[len(v)-1] != 'Z' {
		return false
	}
	for i := range len(shape) {
		if digit := '0' <= v[i] && v[i] <= '9'; shape[i] == 'd' && !digit || shape[i] != 'd' && v[i] != shape[i] {
			return false
		}
	}
	fraction := v[len(shape) : len(v)-1]
	if len(fraction) == 0 {
		return true
	}
	for _, c := range fraction[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return fraction[0] == '.' && len(fraction) > 1
}
