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
// places and the others, in 16 bits each, and their number.
var places = func() (t struct {
	first, rest [256]uint64
	count       [256]uint8
}) {
	for set := range t.count {
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
		t.count[set] = uint8(n)
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
	const every = 0x0001000100010001
	all := uint64(sep) * each
	at := uint64(first) * every
	for ; len(text) >= 32; text = text[32:] {
		words := (*[32]byte)(text)
		for i := 0; i < 32; i += 8 {
			set := gather(others(binary.LittleEndian.Uint64(words[i:]), all)) & 0xff
			binary.LittleEndian.PutUint64(pos[n:], places.first[set]+at)
			count := places.count[set]
			if count > 4 {
				binary.LittleEndian.PutUint64(pos[n+8:], places.rest[set]+at)
			}
			n += 2 * int(count)
			at += 8 * every
		}
	}
	for i, c := range text {
		if c == sep {
			binary.LittleEndian.PutUint16(pos[n:], uint16(at)+uint16(i))
			n += 2
		}
	}
	return n
}
