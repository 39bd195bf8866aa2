package flowlog

import "encoding/binary"

// Words of eight equal bytes, for arithmetic on eight bytes at once.
const (
	each  = 0x0101010101010101
	high  = 0x80 * each
	nines = (0x80 - 10) * each // added to bytes below 0x80, sets the high bit of those above 9
	zeros = '0' * each
)

// equals has the high bit set in the bytes of x that are those of all, and nothing else.
// It is exact: no borrow leaves a byte, and a byte that differs in its high bit alone
// (0xa0 from a space) keeps that bit.
func equals(x, all uint64) uint64 {
	x ^= all
	return ^(((x | high) - each) | x) & high
}

// gather moves the high bits of the bytes of x to the lowest byte, in their order.
func gather(x uint64) uint64 { return (x >> 7) * 0x0102040810204080 >> 56 }

// places says for each set of eight bits where they are: four places of 16 bits in a
// word, four more in the next, and twice their number, in bytes of places.
var places = func() (t [256]struct {
	first, rest uint64
	size        uint8
}) {
	for set := range t {
		n := 0
		for bit := range 8 {
			if set>>bit&1 == 0 {
				continue
			}
			if n < 4 {
				t[set].first |= uint64(bit) << (16 * n)
			} else {
				t[set].rest |= uint64(bit) << (16 * (n - 4))
			}
			n++
		}
		t[set].size = uint8(2 * n)
	}
	return t
}()

const (
	// scanSize is what is scanned at once: whole lines, little enough that they and what
	// is known of them stay in the first-level cache, and that a place fits 16 bits.
	scanSize = 16 << 10
	// placeSlack is how far past the last place scanFor may write: what is known of a
	// word is written whole.
	placeSlack = 16
)

// scanFor writes to pos, as two bytes each, the places in text at which sep stands,
// counted from the given first one, and returns the number of bytes written. text has at
// most scanSize bytes, and pos has room for two for each of them and placeSlack more. What
// follows the places in pos is overwritten.
func scanFor(pos, text []byte, first int, sep byte) (n int) {
	all := uint64(sep) * each
	const every = 0x0001000100010001
	at := uint64(first) * every
	for ; len(text) >= 8; text = text[8:] {
		found := gather(equals(binary.LittleEndian.Uint64(text), all))
		p := &places[found]
		out := pos[n : n+16]
		binary.LittleEndian.PutUint64(out, p.first+at)
		binary.LittleEndian.PutUint64(out[8:], p.rest+at)
		n += int(p.size)
		at += 8 * every
	}
	for i, c := range text {
		if c == sep {
			binary.LittleEndian.PutUint16(pos[n:], uint16(at)+uint16(i))
			n += 2
		}
	}
	return n
}
