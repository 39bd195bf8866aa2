package flowlog

import (
	"bytes"
	"encoding/binary"
)

// Words of eight equal bytes, for arithmetic on eight bytes at once.
const (
	each  = 0x0101010101010101
	high  = 0x80 * each
	nines = (0x80 - 10) * each // added to bytes below 0x80, sets the high bit of those above 9
	zeros = '0' * each
)

// others has the high bit set in the bytes of x that are not those of all, and nothing
// else. It is exact: no borrow leaves a byte, and a byte that differs in its high bit alone
// (0xa0 from a space) keeps that bit.
func others(x, all uint64) uint64 {
	x ^= all
	return (((x | high) - each) | x) & high
}

// above has the high bit set in the bytes of x that are above a limit below 0x80, and
// nothing else; rest is 0x7f less the limit in each byte.
func above(x, rest uint64) uint64 { return ((x&^high + rest) | x) & high }

// gather puts the high bits of the bytes of x together, the first byte's lowest; x has no
// other bits.
func gather(x uint64) uint64 { return x * 0x0002040810204081 >> 56 }

// marks says for each set of eight bits where the zeros are among them: the first four
// places and the others, and how many bytes they take.
var marks = func() (t [256]struct{ first, rest, size, _ uint64 }) {
	for set := range t {
		m, n := &t[set], 0
		for bit := range 8 {
			switch {
			case set>>bit&1 != 0:
				continue
			case n < 4:
				m.first |= uint64(bit) << (16 * n)
			default:
				m.rest |= uint64(bit) << (16 * (n - 4))
			}
			n++
		}
		m.size = uint64(2 * n)
	}
	return t
}()

const (
	// scanSize is what is scanned at once: whole lines, little enough that they and what is
	// known of them stay in the first-level cache, and that a place fits 16 bits.
	scanSize = 24 << 10
	// slack is the room on both sides of them: parsers of values look at bytes around these.
	slack = 32
	// scanLines is how many lines are decoded together.
	scanLines = 512
)

// A window is a part of a block. It is larger than what is scanned at once, so that no index
// of 16 bits leaves it: that need not be checked.
type window [1<<16 + slack]byte

// word returns the eight bytes from at on.
func (w *window) word(at uint) uint64 {
	i := at & 0xffff
	return binary.LittleEndian.Uint64(w[i : i+8])
}

// half returns the four bytes from at on.
func (w *window) half(at uint) uint32 {
	i := at & 0xffff
	return binary.LittleEndian.Uint32(w[i : i+4])
}

// A scan holds some lines of a block and where their values are.
type scan struct {
	text   *window          // the lines, from slack on; each ends with a newline
	own    *window          // for text, where the block is too small
	places [1<<16 + 16]byte // where separators and newlines are in text, two bytes each; one newline stands before the first line
	found  int              // where the places end
	at     int              // where the place is that ends the last line found so far

	// Of the lines found last: the place before the first value, the newline at the end, and
	// bits that are not zero if the line is not plain, or has addresses that are not IPv4.
	starts, ends [scanLines]uint16
	odd, odd4    [scanLines]uint64

	addrs [1 << recentAddrBits]recentAddr
	other recentAddr // an address that is not kept
}

func newScan() *scan { return &scan{own: new(window)} }

// place returns the place at index i of places.
func (s *scan) place(i int) uint {
	i &= 0xffff
	return uint(binary.LittleEndian.Uint16(s.places[i : i+2]))
}

// four returns the places at index i and the three that follow, two bytes each.
func (s *scan) four(i int) uint64 {
	i &= 0xffff
	return binary.LittleEndian.Uint64(s.places[i : i+8])
}

// span returns where a value is: from beyond the place at index i to the next one.
func (s *scan) span(i uint16) (lo, hi uint) {
	both := uint(binary.LittleEndian.Uint32(s.places[i : uint(i)+4]))
	return both&0xffff + 1, both >> 16
}

// load takes lines of block from the given offset on and finds the places of sep, quote,
// newlines and returns before them, and maybe of other bytes that plain lines have not, in them. It returns the
// number of bytes taken, 0 if the first line is too long.
func (s *scan) load(block []byte, from int, sep, quote byte) int {
	lines := block[from:]
	if len(lines) > scanSize {
		lines = lines[:bytes.LastIndexByte(lines[:scanSize], '\n')+1]
	}
	if len(lines) == 0 {
		return 0
	}
	end := slack + len(lines)
	if from >= slack && len(block)-from >= len(window{})-slack {
		s.text = (*window)(block[from-slack:])
	} else {
		s.text = s.own
		copy(s.text[slack:], lines)
		if s.text[end-1] != '\n' {
			s.text[end] = '\n'
			end++
		}
	}
	s.at, s.found = 0, 2
	binary.LittleEndian.PutUint16(s.places[:], slack-1)
	if limit := max(sep, quote, '\r'); limit <= ',' {
		s.findUpTo(end, limit)
	} else { // values have such bytes
		s.findAny(end, sep, quote)
	}
	return len(lines)
}

// findUpTo finds the places of bytes up to limit.
func (s *scan) findUpTo(end int, limit byte) {
	const every = 0x0001000100010001
	text, rest := s.text, uint64(0x7f-limit)*each
	at, n := uint64(slack*every), uint64(s.found)
	for i := uint(slack); i < uint(end); i += 32 {
		n = s.mark(n, gather(above(text.word(i), rest)), at)
		n = s.mark(n, gather(above(text.word(i+8), rest)), at+8*every)
		n = s.mark(n, gather(above(text.word(i+16), rest)), at+16*every)
		n = s.mark(n, gather(above(text.word(i+24), rest)), at+24*every)
		at += 32 * every
	}
	s.cut(int(n), end)
}

// findAny finds the places of sep, quote and the ends of lines, and no others.
func (s *scan) findAny(end int, sep, quote byte) {
	const every = 0x0001000100010001
	text, seps, quotes := s.text, uint64(sep)*each, uint64(quote)*each
	at, n := uint64(slack*every), uint64(s.found)
	for i := uint(slack); i < uint(end); i += 8 {
		x := text.word(i)
		n = s.mark(n, gather(others(x, seps)&others(x, quotes)&others(x, '\n'*each)&others(x, '\r'*each)), at)
		at += 8 * every
	}
	s.cut(int(n), end)
}

// cut sets found to n less the places from end on.
func (s *scan) cut(n, end int) {
	for n > s.found && int(s.place(n-2)) >= end {
		n -= 2
	}
	s.found = n
}

// mark writes from index n of places on where the zeros are in a set of eight bits, counted
// from at, and returns the index after them.
func (s *scan) mark(n, set, at uint64) uint64 {
	i := n & 0xffff
	m := &marks[set&0xff]
	binary.LittleEndian.PutUint64(s.places[i:i+8], m.first+at)
	if m.size > 8 {
		binary.LittleEndian.PutUint64(s.places[i+8:i+16], m.rest+at)
	}
	return n + m.size
}
