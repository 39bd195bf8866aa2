package flowlog

import (
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// read reads the columns of the n lines found last to rows of c, from row c.n on. Of lines
// that are odd, or turn out to be, it does not matter what becomes; of those with other
// addresses than IPv4 what remains is left to read6.
func (s *scan) read(in shape, c *columns, n int) {
	s.checkWords(in, n)
	s.readPorts(in, c, n)
	s.readTimes(in, c, n)
	s.readCount(in, in.packets, c.rows.packets[c.n:][:n])
	s.readCount(in, in.bytes, c.rows.bytes[c.n:][:n])
	s.readActions(in, c, n)
	s.readAddresses(in, c, n)
	if c.has&hasPackets != 0 {
		s.readPacketAddresses(in, in.pktSrc, in.src, c.rows.src[c.n:][:n], c.rows.pktSrc[c.n:][:n])
		s.readPacketAddresses(in, in.pktDst, in.dst, c.rows.dst[c.n:][:n], c.rows.pktDst[c.n:][:n])
	}
	if c.has&hasFlags != 0 {
		s.readFlags(in, c.rows.flags[c.n:][:n])
	}
	if c.has&hasDirection != 0 {
		s.readDirections(in, c.rows.direction[c.n:][:n])
	}
	s.readNames(in, c, n) // last, since a name that was read is known from then on
}

// letters returns a short text as the lowest bytes of a word.
func letters(text string) (w uint64) {
	for i := range len(text) {
		w |= uint64(text[i]) << (8 * i)
	}
	return w
}

// short returns the value w[lo:hi] like letters if it has the given size, less than 8, else 0.
func (w *window) short(lo, hi, size uint) uint64 {
	if hi-lo != size {
		return 0
	}
	return w.word(lo) & (1<<(8*size) - 1)
}

// bit returns 1 if the condition holds, else 0.
func bit(condition bool) uint64 {
	if condition {
		return 1
	}
	return 0
}

// checkWords checks the columns of which plain lines all have the same value, and those of
// which they have any.
func (s *scan) checkWords(in shape, n int) {
	text, starts := s.text, s.starts[:n]
	for _, c := range in.passed {
		at := in.of(c)
		for i, start := range starts {
			lo, hi := s.span(start + at)
			s.odd[i] |= bit(lo >= hi)
		}
	}
	if in.version >= 0 {
		at := in.of(in.version)
		for i, start := range starts {
			lo, hi := s.span(start + at)
			s.odd[i] |= text.short(lo, hi, 1) ^ '2'
		}
	}
	if in.status >= 0 {
		at, ok := in.of(in.status), letters("OK")
		for i, start := range starts {
			lo, hi := s.span(start + at)
			s.odd[i] |= text.short(lo, hi, 2) ^ ok
		}
	}
	if in.typ >= 0 {
		at, v4 := in.of(in.typ), letters("IPv4")
		for i, start := range starts {
			lo, hi := s.span(start + at)
			s.odd4[i] |= text.short(lo, hi, 4) ^ v4
		}
	}
}

func (s *scan) readPorts(in shape, c *columns, n int) {
	text := s.text
	srcAt, dstAt, protoAt := in.of(in.srcPort), in.of(in.dstPort), in.of(in.proto)
	src, dst, proto := c.rows.srcPort[c.n:][:n], c.rows.dstPort[c.n:][:n], c.rows.proto[c.n:][:n]
	for i, start := range s.starts[:n] {
		lo, hi := s.span(start + srcAt)
		x, wrong := digits(text.word(lo), hi-lo)
		lo, hi = s.span(start + dstAt)
		y, bad := digits(text.word(lo), hi-lo)
		wrong |= bad | (x|y)>>16
		lo, hi = s.span(start + protoAt)
		p, bad := digits(text.word(lo), hi-lo)
		s.odd[i] |= wrong | bad | p>>8
		if !flow.Proto(p).HasPorts() {
			x, y = 0, 0
		}
		src[i], dst[i], proto[i] = uint16(x), uint16(y), flow.Proto(p)
	}
}

// readTimes reads the times, nearly all of which have ten digits and begin with the same two
// for years.
func (s *scan) readTimes(in shape, c *columns, n int) {
	text := s.text
	startAt, endAt := in.of(in.start), in.of(in.end)
	starts, ends := c.rows.start[c.n:][:n], c.rows.end[c.n:][:n]
	front, base := uint16(0), uint64(0) // the two digits, and what they stand for
	for i, start := range s.starts[:n] {
		lo, hi := s.span(start + startAt)
		lo2, hi2 := s.span(start + endAt)
		var x, y, wrong, bad uint64
		if hi-lo == 10 && hi2-lo2 == 10 && uint16(text.half(lo)) == front && uint16(text.half(lo2)) == front {
			x, wrong = digits(text.word(hi-8), 8)
			y, bad = digits(text.word(hi2-8), 8)
			x, y = x+base, y+base
		} else {
			x, wrong = text.number(lo, hi)
			y, bad = text.number(lo2, hi2)
			if wrong == 0 && hi-lo == 10 {
				front, base = uint16(text.half(lo)), x/1e8*1e8
			}
		}
		s.odd[i] |= wrong | bad | (x|y)>>31 | (y-x)>>63 // seconds, in order
		starts[i], ends[i] = int64(x), int64(y)
	}
}

// readCount reads a column of numbers, if there is one.
func (s *scan) readCount(in shape, c column, values []uint64) {
	if c < 0 {
		clear(values)
		return
	}
	text, at := s.text, in.of(c)
	for i, start := range s.starts[:len(values)] {
		lo, hi := s.span(start + at)
		v, wrong := text.number(lo, hi)
		s.odd[i] |= wrong
		values[i] = v
	}
}

func (s *scan) readActions(in shape, c *columns, n int) {
	text, at, accept, reject := s.text, in.of(in.action), letters("ACCEPT"), letters("REJECT")
	actions, status := c.rows.action[c.n:][:n], c.rows.status[c.n:][:n]
	for i, start := range s.starts[:n] {
		lo, hi := s.span(start + at)
		actions[i], status[i] = flow.Accept, flow.StatusOK
		if v := text.short(lo, hi, 6); v != accept {
			actions[i] = flow.Reject
			s.odd[i] |= v ^ reject
		}
	}
}

func (s *scan) readFlags(in shape, flags []flow.TCPFlags) {
	if in.flags < 0 {
		clear(flags)
		return
	}
	text, at := s.text, in.of(in.flags)
	for i, start := range s.starts[:len(flags)] {
		lo, hi := s.span(start + at)
		v, wrong := digits(text.word(lo), hi-lo)
		s.odd[i] |= wrong | v>>8
		flags[i] = flow.FlagsKnown | flow.TCPFlags(v)
	}
}

func (s *scan) readDirections(in shape, directions []flow.Direction) {
	if in.direction < 0 {
		clear(directions)
		return
	}
	text, at, ingress, egress := s.text, in.of(in.direction), letters("ingress"), letters("egress")
	for i, start := range s.starts[:len(directions)] {
		lo, hi := s.span(start + at)
		directions[i] = flow.Ingress
		if text.short(lo, hi, 7) != ingress {
			directions[i] = flow.Egress
			s.odd[i] |= text.short(lo, hi, 6) ^ egress
		}
	}
}

func (s *scan) readAddresses(in shape, c *columns, n int) {
	text := s.text
	srcAt, dstAt := in.of(in.src), in.of(in.dst)
	src, dst := c.rows.src[c.n:][:n], c.rows.dst[c.n:][:n]
	for i, start := range s.starts[:n] {
		lo, hi := s.span(start + srcAt)
		front, back := text.word(lo), text.word(hi-8)
		e := s.recent(front, back)
		if e.front != front || e.back != back || e.size != uint32(hi-lo) {
			e = s.addr(e, lo, hi, i)
		}
		src[i] = flow.Addr4(e.addr)

		lo, hi = s.span(start + dstAt)
		front, back = text.word(lo), text.word(hi-8)
		e = s.recent(front, back)
		if e.front != front || e.back != back || e.size != uint32(hi-lo) {
			e = s.addr(e, lo, hi, i)
		}
		dst[i] = flow.Addr4(e.addr)
	}
}

// A recentAddr is an IPv4 address that was read: its text's first and last eight bytes and
// the size, from 8 to 15, and its value.
type recentAddr struct {
	front, back uint64
	size, addr  uint32
}

const recentAddrBits = 11

// recent returns where the address with those first and last bytes is, if it was read
// lately. Most records have an address that many others have, of an interface or a service.
func (s *scan) recent(front, back uint64) *recentAddr {
	return &s.addrs[(3*front+back)*0x9e3779b97f4a7c15>>(64-recentAddrBits)]
}

// addr reads s.text[lo:hi], an address of a line, and keeps it as e. If it is not IPv4, that
// is noted of the line.
func (s *scan) addr(e *recentAddr, lo, hi uint, line int) *recentAddr {
	v, wrong := s.text.quad(lo, hi)
	s.odd4[line] |= wrong
	if wrong != 0 || hi-lo < 8 {
		e = &s.other // of no use to any other line
	}
	*e = recentAddr{s.text.word(lo), s.text.word(hi - 8), uint32(hi - lo), v}
	return e
}

// readPacketAddresses reads a column of addresses, which often are those of another column
// that have been read.
func (s *scan) readPacketAddresses(in shape, c, other column, known, addrs []flow.Addr) {
	if c < 0 {
		clear(addrs)
		return
	}
	text, at, otherAt := s.text, in.of(c), in.of(other)
	for i, start := range s.starts[:len(addrs)] {
		lo, hi := s.span(start + at)
		if from, to := s.span(start + otherAt); text.same(lo, hi, from, to) {
			addrs[i] = known[i]
			continue
		}
		v, wrong := text.quad(lo, hi)
		s.odd4[i] |= wrong
		addrs[i] = flow.Addr4(v)
	}
}

// same reports whether two values of 8 to 16 bytes are the same. Of others it may not see it.
func (w *window) same(lo, hi, lo2, hi2 uint) bool {
	return hi-lo == hi2-lo2 && hi-lo-8 <= 8 && w.word(lo) == w.word(lo2) && w.word(hi-8) == w.word(hi2-8)
}

// readNames reads the interfaces of lines that are not odd so far, and have IPv4 addresses.
func (s *scan) readNames(in shape, c *columns, n int) {
	text, at := s.text, in.of(in.iface)
	ifaces := c.rows.iface[c.n:][:n]
	for i, start := range s.starts[:n] {
		if s.odd[i]|s.odd4[i] != 0 {
			continue
		}
		lo, hi := s.span(start + at)
		if hi-lo == recentSize {
			name := recentName{text.word(lo), text.word(lo + 8), text.word(hi - 8), 0}
			slot := c.slot(name.back)
			if slot[0].is(name) {
				ifaces[i] = slot[0].index
				continue
			}
			if slot[1].is(name) {
				ifaces[i] = slot[1].index
				continue
			}
		}
		if name := text[lo:hi]; missing(name) {
			s.odd[i] = 1
		} else {
			ifaces[i] = c.iface(name)
		}
	}
}

// read6 reads the addresses of a line that are not IPv4, and the interface, to a row and
// reports whether the line is plain.
func (s *scan) read6(in shape, c *columns, line, row int) bool {
	value := func(col column) []byte {
		lo, hi := s.span(s.starts[line] + in.of(col))
		return s.text[lo:hi]
	}
	if s.odd[line] != 0 || in.typ >= 0 && string(value(in.typ)) != "IPv6" || missing(value(in.iface)) {
		return false
	}
	ok := true
	read := func(col column) flow.Addr {
		a, kind := parseAddr(value(col))
		ok = ok && kind == addr6
		return a
	}
	c.rows.src[row], c.rows.dst[row] = read(in.src), read(in.dst)
	if in.pktSrc >= 0 {
		c.rows.pktSrc[row] = read(in.pktSrc)
	}
	if in.pktDst >= 0 {
		c.rows.pktDst[row] = read(in.pktDst)
	}
	if ok {
		c.rows.iface[row] = c.iface(value(in.iface))
	}
	return ok
}
