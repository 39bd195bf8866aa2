package flowlog

import (
	"bytes"
	"encoding/binary"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// The fast path takes lines that are plain: as many values as the layout has columns,
// none or all of them quoted, and every value that is read a flow's, written the usual way.
// Of all others it takes no part; decodeLine reads them, and is what defines a row.

// A plan says which columns of a layout the fast path reads. Columns that it does not
// read are not looked at.
type plan struct {
	layout *Layout
	fits   bool // lines of the layout can be plain
	sep    byte
	quote  byte // 0 in text

	iface, src, dst, srcPort, dstPort, proto, action, start, end           uint8
	version, packets, bytes, status, flags, typ, pktSrc, pktDst, direction int8 // below 0: none

	passed []uint8 // columns of text that are not read: they must not be empty, or spaces stand side by side
}

// maxPlanned bounds the columns of a plan.
const maxPlanned = 64

// linePlaces are the places that begin and end the values of a line: value k follows
// place k and ends at place k+1.
type linePlaces [2 * (maxPlanned + 1)]byte

func planOf(l *Layout) plan {
	p := plan{layout: l, sep: l.sep, quote: l.quote}
	if l.sep == 0 {
		p.sep, p.quote = ' ', 0
	}
	if l.fault != "" || l.lacks != "" || l.alibaba || l.n > maxPlanned || l.has(Message) {
		return p
	}
	read := map[int16]bool{}
	must := func(f Field, at *uint8) bool { *at = uint8(l.col[f]); read[l.col[f]] = true; return l.has(f) }
	may := func(f Field, at *int8) { *at = int8(l.col[f]); read[l.col[f]] = true }
	p.fits = must(InterfaceID, &p.iface) && must(SrcAddr, &p.src) && must(DstAddr, &p.dst) &&
		must(SrcPort, &p.srcPort) && must(DstPort, &p.dstPort) && must(Protocol, &p.proto) &&
		must(Action, &p.action) && must(Start, &p.start) && must(End, &p.end)
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
			p.passed = append(p.passed, uint8(c))
		}
	}
	return p
}

// decodeScan decodes lines of block from the given offset, some scanSize bytes of them,
// and returns the offset of the first line that it leaves. It leaves off early where a
// header line changes the layout.
func (d *LineDecoder) decodeScan(block []byte, from int) (next int, err error) {
	to := len(block)
	if to-from > scanSize {
		if to = from + bytes.LastIndexByte(block[from:from+scanSize], '\n') + 1; to == from {
			line, _, _ := bytes.Cut(block[from:], newline)
			return from + len(line) + 1, d.oddLine(line)
		}
	}
	front := min(from, valueSlack)
	b := block[from-front:]
	stop := to - from + front // places are offsets in b
	if d.places == nil {
		d.places = new(placeBuffer)
	}
	places := d.places
	found := places.scan(b[front:stop], front, d.plan.sep)
	places.set(found, 1<<16-1)
	quoted := d.plan.quote != 0 && bytes.IndexByte(b[front:stop], d.plan.quote) >= 0

	last := 2 * (d.layout.n - 1) // room that the separators of a line take
	p := placesFront             // the first separator of the line
	for at := front; at < stop; {
		end := stop
		if n := bytes.IndexByte(b[at:stop], '\n'); n >= 0 {
			end = at + n
		}
		q, first := p, at
		if d.plan.quote == 0 && p+last < found && places.get(p+last) < end && isExportTime(b[at:places.get(p)]) {
			q, first = p+2, places.get(p)+1
		}
		if q+last <= found && places.get(q+last-2) < end && places.get(q+last) > end &&
			first >= valueSlack && end+valueSlack <= len(b) {
			// The line with its start and its end in the places of separators of its neighbours.
			beyond := places.get(q + last)
			places.set(q-2, first-1)
			value := end
			if b[end-1] == '\r' {
				value--
			}
			places.set(q+last, value)
			line := (*linePlaces)(places[q-2:])
			trim, taken := uint(0), true
			if quoted {
				trim, taken = d.quotes(b, line)
			}
			var err error
			if taken {
				taken, err = d.plainLine(b, line, trim)
			}
			places.set(q+last, beyond)
			if err != nil {
				return 0, err
			}
			if taken {
				d.line++
				p = q + last
				at = end + 1
				continue
			}
		}
		if err := d.oddLine(b[at:end]); err != nil {
			return 0, err
		}
		if d.layout != d.plan.layout {
			return from - front + end + 1, nil
		}
		for p < found && places.get(p) < end {
			p += 2
		}
		at = end + 1
	}
	return to, nil
}

var newline = []byte("\n")

// value returns where the value of a column is.
func (p *linePlaces) value(column uint8) (lo, hi uint) {
	both := binary.LittleEndian.Uint32(p[2*int(column&(maxPlanned-1)):])
	return uint(both&0xffff) + 1, uint(both >> 16)
}

// quotes returns how many quotes there are on either side of each value of a line, none or
// one, and false if there are any others.
func (d *LineDecoder) quotes(b []byte, places *linePlaces) (n uint, plain bool) {
	columns := d.layout.n
	from, _ := places.value(0)
	_, to := places.value(uint8(columns - 1))
	switch bytes.Count(b[from:to], []byte{d.plan.quote}) {
	case 0:
		return 0, true
	case 2 * columns:
	default:
		return 0, false
	}
	for c := range columns {
		lo, hi := places.value(uint8(c))
		if hi-lo < 2 || hi < lo || b[lo] != d.plan.quote || b[hi-1] != d.plan.quote {
			return 0, false
		}
	}
	return 1, true
}

// plainLine decodes a line if it is plain, with trim quotes on either side of each value.
func (d *LineDecoder) plainLine(b []byte, places *linePlaces, trim uint) (taken bool, err error) {
	p := &d.plan
	value := func(column uint8) (lo, hi uint) {
		lo, hi = places.value(column)
		return lo + trim, hi - trim
	}
	for _, c := range p.passed {
		if lo, hi := value(c); lo >= hi {
			return false, nil
		}
	}
	if p.version >= 0 {
		if lo, hi := value(uint8(p.version)); hi-lo != 1 || b[lo] != '2' {
			return false, nil
		}
	}
	if p.status >= 0 {
		if lo, hi := value(uint8(p.status)); string(b[lo:hi]) != "OK" {
			return false, nil
		}
	}
	var action flow.Action
	lo, hi := value(p.action)
	switch string(b[lo:hi]) {
	case "ACCEPT":
		action = flow.Accept
	case "REJECT":
		action = flow.Reject
	default:
		return false, nil
	}
	var direction flow.Direction
	if p.direction >= 0 {
		lo, hi = value(uint8(p.direction))
		switch string(b[lo:hi]) {
		case "ingress":
			direction = flow.Ingress
		case "egress":
			direction = flow.Egress
		default:
			return false, nil
		}
	}

	lo, hi = value(p.srcPort)
	srcPort, wrong := small(b, lo, hi)
	lo, hi = value(p.dstPort)
	dstPort, bad := small(b, lo, hi)
	wrong |= bad | (srcPort|dstPort)>>16
	lo, hi = value(p.proto)
	proto, bad := small(b, lo, hi)
	wrong |= bad | proto>>8
	if !flow.Proto(proto).HasPorts() {
		srcPort, dstPort = 0, 0
	}
	lo, hi = value(p.start)
	start, bad := number(b, lo, hi)
	wrong |= bad
	lo, hi = value(p.end)
	end, bad := number(b, lo, hi)
	wrong |= bad | (start|end)>>31 | (end-start)>>63 // seconds, in order
	var packets, octets uint64
	if p.packets >= 0 {
		lo, hi = value(uint8(p.packets))
		packets, bad = number(b, lo, hi)
		wrong |= bad
	}
	if p.bytes >= 0 {
		lo, hi = value(uint8(p.bytes))
		octets, bad = number(b, lo, hi)
		wrong |= bad
	}
	var flags flow.TCPFlags
	if p.flags >= 0 {
		lo, hi = value(uint8(p.flags))
		n, bad := small(b, lo, hi)
		wrong |= bad | n>>8
		flags = flow.FlagsKnown | flow.TCPFlags(n)
	}
	if wrong != 0 {
		return false, nil
	}

	srcLo, srcHi := value(p.src)
	dstLo, dstHi := value(p.dst)
	src4, wrong := quad(b, srcLo, srcHi)
	dst4, bad := quad(b, dstLo, dstHi)
	src, dst, kind := flow.Addr4(src4), flow.Addr4(dst4), addr4
	if wrong|bad != 0 {
		kind = addr6
		var srcKind, dstKind addrKind
		src, srcKind = parseAddr(b[srcLo:srcHi])
		dst, dstKind = parseAddr(b[dstLo:dstHi])
		if srcKind != kind || dstKind != kind {
			return false, nil
		}
	}
	if p.typ >= 0 {
		lo, hi = value(uint8(p.typ))
		if t := b[lo:hi]; !(kind == addr4 && string(t) == "IPv4" || kind == addr6 && string(t) == "IPv6") {
			return false, nil
		}
	}
	var pktSrc, pktDst flow.Addr
	if p.pktSrc >= 0 {
		lo, hi = value(uint8(p.pktSrc))
		if pktSrc = sameAddr(b, lo, hi, srcLo, srcHi, src, kind); !pktSrc.IsValid() {
			return false, nil
		}
	}
	if p.pktDst >= 0 {
		lo, hi = value(uint8(p.pktDst))
		if pktDst = sameAddr(b, lo, hi, dstLo, dstHi, dst, kind); !pktDst.IsValid() {
			return false, nil
		}
	}
	lo, hi = value(p.iface)
	if missing(b[lo:hi]) {
		return false, nil
	}

	c := d.columns
	i := c.n
	if i == store.BatchSize {
		if err := c.flush(); err != nil {
			return false, err
		}
		i = 0
	}
	c.n = i + 1
	d.stats.Records++
	d.stats.Rows++
	r := c.rows
	r.iface[i] = c.iface(b[lo:hi])
	r.src[i], r.dst[i] = src, dst
	r.srcPort[i], r.dstPort[i] = uint16(srcPort), uint16(dstPort)
	r.proto[i], r.action[i], r.status[i] = flow.Proto(proto), action, flow.StatusOK
	r.packets[i], r.bytes[i] = packets, octets
	r.start[i], r.end[i] = int64(start), int64(end)
	if c.has&hasPackets != 0 {
		r.pktSrc[i], r.pktDst[i] = pktSrc, pktDst
	}
	if c.has&hasFlags != 0 {
		r.flags[i] = flags
	}
	if c.has&hasDirection != 0 {
		r.direction[i] = direction
	}
	return true, nil
}

// small reads a number of 1 to 8 decimal digits, b[lo:hi]. wrong is 0 if it is one.
func small(b []byte, lo, hi uint) (n, wrong uint64) {
	return digits(load64(b, hi-8), hi-lo)
}

// sameAddr reads the address b[lo:hi], which often is the one that b[lo2:hi2] has been
// read to be. It returns the zero address if it is not an address of that kind.
func sameAddr(b []byte, lo, hi, lo2, hi2 uint, known flow.Addr, kind addrKind) flow.Addr {
	if string(b[lo:hi]) == string(b[lo2:hi2]) {
		return known
	}
	if kind == addr4 {
		if v, wrong := quad(b, lo, hi); wrong == 0 {
			return flow.Addr4(v)
		}
		return flow.Addr{}
	}
	if a, got := parseAddr(b[lo:hi]); got == kind {
		return a
	}
	return flow.Addr{}
}
