package inflate

import (
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
)

// stream writes deflate streams that compressors do not write.
type stream struct {
	out  []byte
	acc  uint64
	n    uint
	text []byte // what it decompresses to
}

func (s *stream) bits(v uint64, n uint) {
	s.acc |= v << s.n
	for s.n += n; s.n >= 8; s.n -= 8 {
		s.out = append(s.out, byte(s.acc))
		s.acc >>= 8
	}
}

func (s *stream) align() {
	if s.n > 0 {
		s.bits(0, 8-s.n)
	}
}

func (s *stream) stored(final uint64, p []byte) {
	s.bits(final, 3)
	s.align()
	n := uint16(len(p))
	s.out = le.AppendUint16(le.AppendUint16(s.out, n), ^n)
	s.out = append(s.out, p...)
	s.text = append(s.text, p...)
}

// gzip ends s and returns it as a member of a gzip file.
func (s *stream) gzip() []byte {
	s.align()
	z := append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), s.out...)
	z = le.AppendUint32(z, crc32.ChecksumIEEE(s.text))
	return le.AppendUint32(z, uint32(len(s.text)))
}

// code is a canonical code, made bit by bit as RFC 1951, section 3.2.2, says.
type code struct {
	lengths []uint8
	codes   []uint64 // the first bit lowest
}

func canonical(lengths []uint8) code {
	c := code{lengths, make([]uint64, len(lengths))}
	next := uint16(0)
	for n := uint8(1); n <= maxCode; n++ {
		next <<= 1
		for s, l := range lengths {
			if l == n {
				c.codes[s] = uint64(bits.Reverse16(next) >> (16 - n))
				next++
			}
		}
	}
	return c
}

func (s *stream) symbol(c code, symbol int) { s.bits(c.codes[symbol], uint(c.lengths[symbol])) }

func fixedCodes() (lit, dist code) {
	var lengths, five [288]uint8
	for i := range lengths {
		lengths[i], five[i] = 8, 5
		if i >= 144 && i < 256 {
			lengths[i] = 9
		} else if i >= 256 && i < 280 {
			lengths[i] = 7
		}
	}
	return canonical(lengths[:]), canonical(five[:32])
}

// dynamic writes the header of a block with its own codes, their lengths one by one in
// a code of four bits each.
func (s *stream) dynamic(final uint64, lit, dist code) {
	s.bits(final|2<<1, 3)
	s.bits(uint64(len(lit.lengths)-257), 5)
	s.bits(uint64(len(dist.lengths)-1), 5)
	s.bits(15, 4)
	for _, c := range codeOrder {
		if c < 16 {
			s.bits(4, 3)
		} else {
			s.bits(0, 3)
		}
	}
	for _, c := range []code{lit, dist} {
		for _, n := range c.lengths {
			s.bits(uint64(bits.Reverse8(n)>>4), 4)
		}
	}
}

func (s *stream) literal(lit code, c byte) {
	s.symbol(lit, int(c))
	s.text = append(s.text, c)
}

// match writes a match by the plain tables of RFC 1951, section 3.2.5.
func (s *stream) match(lit, dist code, length, distance int) {
	c, base, extra := lengthSymbol(length)
	s.symbol(lit, c)
	s.bits(uint64(length-base), extra)
	c, base, extra = distanceSymbol(distance)
	s.symbol(dist, c)
	s.bits(uint64(distance-base), extra)
	for range length {
		s.text = append(s.text, s.text[len(s.text)-distance])
	}
}

func lengthSymbol(length int) (symbol, base int, extra uint) {
	if length == 258 {
		return 285, 258, 0
	}
	bases := []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227}
	extras := []uint{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5}
	i := len(bases) - 1
	for bases[i] > length {
		i--
	}
	return 257 + i, bases[i], extras[i]
}

func distanceSymbol(distance int) (symbol, base int, extra uint) {
	bases := []int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	extras := []uint{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	i := len(bases) - 1
	for bases[i] > distance {
		i--
	}
	return i, bases[i], extras[i]
}

// randomCode returns a complete code of random shape for the symbols given, at least
// two of them, out of n.
func randomCode(rng *rand.Rand, symbols []int, n int) code {
	leaves := []uint8{1, 1}
	for len(leaves) < len(symbols) {
		// The last leaf made is often taken again, to get long codes.
		i := len(leaves) - 1
		if rng.IntN(3) > 0 || leaves[i] == maxCode {
			i = rng.IntN(len(leaves))
		}
		if leaves[i] < maxCode {
			leaves[i]++
			leaves = append(leaves, leaves[i])
		}
	}
	lengths := make([]uint8, n)
	for i, j := range rng.Perm(len(symbols)) {
		lengths[symbols[i]] = leaves[j]
	}
	return canonical(lengths)
}

// randomStream returns a stream of blocks with random codes that takes its symbols from
// all that have one.
func randomStream(rng *rand.Rand, blocks, symbols int) *stream {
	s := new(stream)
	s.stored(0, []byte("some text to begin with"))
	for b := range blocks {
		lits := append([]int{256}, rng.Perm(256)[:1+rng.IntN(255)]...)
		lens := rng.Perm(29)[:1+rng.IntN(29)]
		for _, l := range lens {
			lits = append(lits, 257+l)
		}
		dists := rng.Perm(30)[:2+rng.IntN(29)]
		lit, dist := randomCode(rng, lits, 286), randomCode(rng, dists, 30)
		final := uint64(0)
		if b == blocks-1 {
			final = 1
		}
		s.dynamic(final, lit, dist)
		for range rng.IntN(symbols) {
			length, distance := 3+rng.IntN(256), 1+rng.IntN(min(window, len(s.text)))
			l, _, _ := lengthSymbol(length)
			d, _, _ := distanceSymbol(distance)
			if c := lits[rng.IntN(len(lits))]; c < 256 && rng.IntN(4) > 0 {
				s.literal(lit, byte(c))
			} else if lit.lengths[l] > 0 && dist.lengths[d] > 0 {
				s.match(lit, dist, length, distance)
			}
		}
		s.symbol(lit, 256)
	}
	return s
}
