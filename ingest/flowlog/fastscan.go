package flowlog

import "encoding/binary"

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

// gather puts the high bits of the bytes of x together, the first byte's lowest; x has no
// other bits.
func gather(x uint64) uint64 { return x * 0x0002040810204081 >> 56 }

// places says for each set of eight bits where the zeros are among them: the first four
// places and the others, and how many bytes they take.
var places = func() (t struct {
	first, rest [256]uint64
	size        [256]uint8
}) {
	for set := range t.size {
		n := 0
		for bit := range 8 {
			switch {
			case set>>bit&1 != 0:
				continue
			case n < 4:
				t.first[set] |= uint64(bit) << (16 * n)
			default:
				t.rest[set] |= uint64(bit) << (16 * (n - 4))
			}
			n++
		}
		t.size[set] = uint8(2 * n)
	}
	return t
}()

// scanSize is what is scanned at once: whole lines, little enough that they and what is
// known of them stay in the first-level cache, and that a place fits 16 bits.
const scanSize = 16 << 10

// A placeBuffer holds places, two bytes each. It has room for those of a scan in which
// each byte is one, and for some before and after them, and is larger yet, so that an index
// cut to 16 bits is one.
type placeBuffer [1<<16 + 16]byte

// placesFront is where the places of a scan begin: before them is room for one more.
const placesFront = 2

// get returns the place at index i.
func (b *placeBuffer) get(i int) int { return int(binary.LittleEndian.Uint16(b[i&0xffff:])) }

func (b *placeBuffer) set(i, place int) {
	binary.LittleEndian.PutUint16(b[i&0xffff:], uint16(place))
}

// scan fills b with the places in text, which has at most scanSize bytes, at which sep
// stands, counted from the given first one, and returns the index after the last place.
// What follows is overwritten.
func (b *placeBuffer) scan(text []byte, first int, sep byte) int {
	const every = 0x0001000100010001
	all := uint64(sep) * each
	at := uint64(first) * every
	i, n := 0, uint64(placesFront)
	for ; i+32 <= len(text); i += 32 {
		w := (*[32]byte)(text[i : i+32 : i+32])
		n = b.mark(n, gather(others(binary.LittleEndian.Uint64(w[:]), all)), at)
		n = b.mark(n, gather(others(binary.LittleEndian.Uint64(w[8:]), all)), at+8*every)
		n = b.mark(n, gather(others(binary.LittleEndian.Uint64(w[16:]), all)), at+16*every)
		n = b.mark(n, gather(others(binary.LittleEndian.Uint64(w[24:]), all)), at+24*every)
		at += 32 * every
	}
	for ; i < len(text); i++ {
		if text[i] == sep {
			b.set(int(n), first+i)
			n += 2
		}
	}
	return int(n)
}

// mark writes from index n on where the zeros are in a set of eight bits, counted from at,
// and returns the index after them.
func (b *placeBuffer) mark(n, set, at uint64) uint64 {
	i := n & 0xffff
	binary.LittleEndian.PutUint64(b[i:i+8], places.first[set&0xff]+at)
	size := uint64(places.size[set&0xff])
	if size > 8 {
		binary.LittleEndian.PutUint64(b[i+8:i+16], places.rest[set&0xff]+at)
	}
	return n + size
}
