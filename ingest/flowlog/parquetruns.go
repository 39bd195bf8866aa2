package flowlog

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// hybrid reads numbers of a fixed width in bits from the hybrid of run lengths and packed bits
// that Parquet has.
type hybrid struct {
	width  uint
	rest   []byte // the runs to come
	count  int    // numbers left in the run at hand
	packed []byte // the numbers that are left, or nil: all of them are value
	value  uint32
	group  [8]uint32 // numbers come in groups of eight; the last left of the one begun
	left   int
}

// open begins to read data, in which n numbers must be, and slack behind it.
func (h *hybrid) open(data []byte, width uint, n int) error {
	total, err := checkRuns(data, width, n)
	if err != nil {
		return err
	}
	if total < n {
		return errFewValues
	}
	*h = hybrid{width: width, rest: data}
	return nil
}

// run begins with the next run that is not empty. That there is one has been checked.
func (h *hybrid) run() {
	for h.count == 0 {
		u, n := binary.Uvarint(h.rest)
		h.rest = h.rest[n:]
		h.packed = nil
		h.count = int(u >> 1)
		switch {
		case h.count == 0:
		case u&1 != 0:
			size := h.count * int(h.width)
			h.packed = h.rest[:size]
			h.count *= 8
			h.rest = h.rest[size:]
		default:
			size := int(h.width+7) / 8
			var word [4]byte
			copy(word[:], h.rest[:size])
			h.value = binary.LittleEndian.Uint32(word[:])
			h.rest = h.rest[size:]
		}
	}
}

// read fills out with the next numbers. It reports whether all are known to be the same.
func (h *hybrid) read(out []uint32) (same bool) {
	if h.count == 0 && len(out) > 0 {
		h.run()
	}
	same = h.packed == nil && h.count >= len(out)
	for len(out) > 0 {
		if h.count == 0 {
			h.run()
		}
		n := min(h.count, len(out))
		if h.packed == nil {
			for i := range out[:n] {
				out[i] = h.value
			}
		} else {
			h.unpack(out[:n])
		}
		h.count -= n
		out = out[n:]
	}
	return same
}

// unpack fills out from the run at hand, which has as many numbers.
func (h *hybrid) unpack(out []uint32) {
	if h.left > 0 {
		n := copy(out, h.group[8-h.left:])
		h.left -= n
		out = out[n:]
	}
	if whole := len(out) &^ 7; whole > 0 {
		unpackBits(out[:whole], h.packed, h.width)
		h.packed = h.packed[whole/8*int(h.width):]
		out = out[whole:]
	}
	if len(out) > 0 {
		unpackBits(h.group[:], h.packed, h.width)
		h.packed = h.packed[h.width:]
		h.left = 8 - copy(out, h.group[:])
	}
}

// unpackBits fills out, whole groups of eight, with numbers of the given width of at most 32 bits.
// It looks beyond the bytes that they are in, as far as slack is asked for.
func unpackBits(out []uint32, b []byte, width uint) {
	b = b[:cap(b)]
	mask := uint32(1<<width - 1)
	step := int(width)
	switch {
	case width == 0:
		clear(out)
	case width <= 8: // eight numbers are in eight bytes
		for ; len(out) >= 8; out = out[8:] {
			o, v := (*[8]uint32)(out), binary.LittleEndian.Uint64(b)
			for i := range o {
				o[i] = uint32(v) & mask
				v >>= width & 63
			}
			b = b[step:]
		}
	case width <= 16: // four of them are, though they may begin in the middle of a byte
		half, odd := step/2, width&1*4
		for ; len(out) >= 8; out = out[8:] {
			o := (*[8]uint32)(out)
			v, w := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[half:])>>odd
			for i := range 4 {
				o[i], o[i+4] = uint32(v)&mask, uint32(w)&mask
				v >>= width & 63
				w >>= width & 63
			}
			b = b[step:]
		}
	default:
		for ; len(out) >= 8; out = out[8:] {
			o := (*[8]uint32)(out)
			at := uint(0)
			for i := range o {
				o[i] = uint32(binary.LittleEndian.Uint64(b[at/8:])>>(at%8)) & mask
				at += width
			}
			b = b[step:]
		}
	}
}

// appendNulls appends the rows, of that many, whose definition level is not one.
func appendNulls(nulls []int32, levels []byte, rows int) ([]int32, error) {
	total, err := checkRuns(levels, 1, rows)
	switch {
	case err != nil:
		return nulls, err
	case total < rows:
		return nulls, errFewValues
	}
	for row := 0; row < rows; {
		u, n := binary.Uvarint(levels)
		levels = levels[n:]
		count := int(u >> 1)
		switch {
		case count == 0:
		case u&1 != 0:
			for at := 0; at < count && row+8*at < rows; {
				if at+8 <= count && binary.LittleEndian.Uint64(levels[at:]) == 1<<64-1 {
					at += 8
					continue
				}
				for zeros := ^levels[at]; zeros != 0; zeros &= zeros - 1 {
					if null := row + 8*at + bits.TrailingZeros8(zeros); null < rows {
						nulls = append(nulls, int32(null))
					}
				}
				at++
			}
			levels = levels[count:]
			row += 8 * count
		default:
			if levels[0] != 1 {
				for null := row; null < min(row+count, rows); null++ {
					nulls = append(nulls, int32(null))
				}
			}
			levels = levels[1:]
			row += count
		}
	}
	return nulls, nil
}

// checkRuns checks that data in that hybrid claims no more than n numbers of the given
// width, and returns how many. Some more are let pass: the last bits are packed in groups of
// eight at least.
func checkRuns(data []byte, width uint, n int) (total int, err error) {
	const spare = 1 << 10
	if width > 32 {
		return 0, errors.New("a page is damaged: numbers of more than 32 bits")
	}
	for len(data) > 0 {
		u, size := binary.Uvarint(data)
		if size <= 0 || u>>1 > maxPageValues {
			return 0, errRuns
		}
		data = data[size:]
		count, bytes := int(u>>1), int(width+7)/8
		if u&1 != 0 {
			count, bytes = 8*count, count*int(width)
		} else if count == 0 {
			continue // no value follows then
		}
		if total += count; total > n+spare || bytes > len(data) {
			return 0, errRuns
		}
		data = data[bytes:]
	}
	return total, nil
}
