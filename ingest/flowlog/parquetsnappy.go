package flowlog

import (
	"encoding/binary"
	"errors"
)

// A page of numbers is a mix of short literals and short copies in no order that a
// processor could foresee: decoders that branch on the kind of each of them spend nearly
// half of their time on wrong guesses. Here a literal is a copy too, from the
// compressed bytes, which lie in the same slice; only where they are does the kind decide.

const (
	snappyStep  = 16 // bytes copied at once
	snappyAhead = 24 // bytes looked at beyond a tag: the literal of a step, or an offset
)

// snappyTags says what a tag of at most a step asks for: in the lowest byte how many
// bytes to put out, in the next two what to add to the offset that follows, and in the
// upper half the bits of that. It is 0 of tags that ask for more. The offset of a literal
// is not used, and has a value that is always allowed.
var snappyTags = func() (t [256]uint64) {
	for tag := range t {
		n, mask, high := uint64(tag>>2+1), uint64(0), uint64(0)
		switch tag & 3 {
		case 0:
			high = snappyStep
		case 1:
			n, mask, high = uint64(tag>>2&7+4), 0xff, uint64(tag>>5<<8)
		case 2:
			mask = 0xffff
		case 3:
			mask = 0xffffffff
		}
		if n <= snappyStep {
			t[tag] = mask<<32 | high<<8 | n
		}
	}
	return t
}()

// snappySizes is how many bytes a tag and what follows it are, of those in snappyTags.
var snappySizes = func() (t [256]uint8) {
	for tag := range t {
		t[tag] = [...]uint8{uint8(tag>>2) + 2, 2, 3, 5}[tag&3]
	}
	return t
}()

var errSnappy = errors.New("snappy data is damaged")

// maxSnappy is how many bytes one of snappy data can stand for: three of them copy 64.
const maxSnappy = 22

// unsnappy decompresses the snappy block b[at:], of at most that many bytes and no more
// than come before it, to the beginning of b.
func unsnappy(b []byte, at, most int) ([]byte, error) {
	size, head := binary.Uvarint(b[at:])
	switch {
	case head <= 0 || size > maxSnappy*uint64(len(b)-at):
		return nil, errSnappy
	case size > uint64(most):
		return nil, errExpands
	}
	return b[:size], unsnap(b, at+head, int(size))
}

// unsnap decompresses the elements of a snappy block, b[s:], into b[:n]; n <= s.
func unsnap(b []byte, s, n int) error {
	sEnd, dEnd := len(b)-snappyAhead, n-snappyStep
	for d := 0; ; {
		for d >= snappyStep && s < sEnd && d < dEnd {
			tag := b[s]
			t := snappyTags[tag]
			offset := int(uint64(binary.LittleEndian.Uint32(b[s+1:]))&(t>>32) + t>>8&0xffff)
			// A copy from less than eight bytes before would read what it has yet to write.
			if uint(offset-8) > uint(d-8) || t == 0 {
				break
			}
			literal := (int(tag&3) - 1) >> 63 // all ones or all zeros
			from := d - offset
			from ^= (from ^ (s + 1)) & literal
			in, out := (*[snappyStep]byte)(b[from:]), (*[snappyStep]byte)(b[d:])
			binary.LittleEndian.PutUint64(out[:8], binary.LittleEndian.Uint64(in[:8]))
			binary.LittleEndian.PutUint64(out[8:], binary.LittleEndian.Uint64(in[8:]))
			d += int(t & 0xff)
			s += int(snappySizes[tag])
		}
		if s == len(b) {
			if d != n {
				return errSnappy
			}
			return nil
		}
		var ok bool
		if s, d, ok = snappyElement(b, s, d, n); !ok {
			return errSnappy
		}
	}
}

// snappyElement puts out the element at b[s:] the plain way, to b[d:n]. It returns where
// the next one is and goes.
func snappyElement(b []byte, s, d, n int) (int, int, bool) {
	tag := b[s]
	s++
	length, extra := uint64(tag>>2), 0
	switch tag & 3 {
	case 0:
		extra = max(0, int(length)-59)
	case 1:
		length, extra = uint64(tag>>2&7+3), 1
	case 2:
		extra = 2
	case 3:
		extra = 4
	}
	if extra > len(b)-s {
		return 0, 0, false
	}
	var word [8]byte
	copy(word[:], b[s:s+extra])
	more := binary.LittleEndian.Uint64(word[:])
	s += extra
	if tag&3 == 0 && extra > 0 {
		length = more
	}
	if length >= uint64(n-d) {
		return 0, 0, false
	}
	out := b[d : d+int(length)+1]
	if tag&3 == 0 {
		if len(out) > len(b)-s {
			return 0, 0, false
		}
		return s + copy(out, b[s:]), d + len(out), true
	}
	if tag&3 == 1 {
		more |= uint64(tag>>5) << 8
	}
	if more == 0 || more > uint64(d) {
		return 0, 0, false
	}
	for i := range out { // what is written is read again if they overlap
		out[i] = b[d-int(more)+i]
	}
	return s, d + len(out), true
}
