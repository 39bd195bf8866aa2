package flowlog

import "encoding/binary"

// The parsers of single values that the fast path uses. They do the same steps for every
// value; of what is not a plain one they say so, and the parsers in parse.go decide. They
// look at bytes around the value as well, up to slack of them.

// number reads a number of 1 to 16 decimal digits, w[lo:hi]. wrong is 0 if it is one.
func (w *window) number(lo, hi uint) (n, wrong uint64) {
	if hi-lo <= 8 {
		return digits(w.word(lo), hi-lo)
	}
	left, bad := digits(w.word(lo), hi-lo-8)
	n, wrong = digits(w.word(hi-8), 8)
	return left*1e8 + n, wrong | bad
}

// digits reads the first size bytes of w, 1 to 8 decimal digits. wrong is 0 if they are.
func digits(w uint64, size uint) (n, wrong uint64) {
	w = (w ^ zeros) << ((64 - 8*size) & 63) // zeros come before the digits
	wrong = ((w+nines)|w)&high | uint64(size-1)>>3
	// Two digits are put together to a number, then two such numbers, then two of those.
	w = w * (1 + 10<<8) >> 8 & 0x00ff00ff00ff00ff
	w = w * (1 + 100<<16) >> 16 & 0x0000ffff0000ffff
	return w * (1 + 10000<<32) >> 32, wrong
}

// An octets says where the octets of an IPv4 address stand whose dots are known.
type octets struct {
	sizes  uint64 // of the first, third, second and last octet, 16 bits each; of the last its end is to be added
	dots   uint32 // the places of the three dots, a byte each
	shifts uint32 // 32 less the bits of the first three octets, a byte each
}

// dotted has the octets for each set of places of dots (bit 0 is place 1); for sets that
// no address has, their sizes are 0, which no octet has.
var dotted = func() (t [1 << 11]octets) {
	for a := uint32(1); a <= 3; a++ {
		for b := uint32(1); b <= 3; b++ {
			for c := uint32(1); c <= 3; c++ {
				dot1, dot2, dot3 := a, a+1+b, a+1+b+1+c
				t[1<<(dot1-1)|1<<(dot2-1)|1<<(dot3-1)] = octets{
					sizes:  uint64(a) | uint64(c)<<16 | uint64(b)<<32 - uint64(dot3+1)<<48,
					dots:   dot1 | dot2<<8 | dot3<<16,
					shifts: (32 - 8*a) | (32-8*b)<<8 | (32-8*c)<<16,
				}
			}
		}
	}
	return t
}()

// quad reads an IPv4 address, w[lo:hi]: four decimal octets without leading zeros.
// wrong is 0 if it is one.
func (w *window) quad(lo, hi uint) (v uint32, wrong uint64) {
	const (
		lanes  = 0x0001000100010001
		dots   = '.' * each
		digits = zeros & 0xffffffff
	)
	i := lo & 0xffff
	q, n := (*[20]byte)(w[i:i+20]), hi-lo
	left, right := binary.LittleEndian.Uint64(q[:]), binary.LittleEndian.Uint64(q[8:])
	found := gather(others(left, dots)) | gather(others(right, dots))<<8
	found = ^found & (1<<(n&15) - 1)
	o := &dotted[found>>1&(1<<11-1)]
	sizes := o.sizes + uint64(n)<<48

	// The digits of two octets each in a word: zeros, hundreds, tens, ones.
	w1 := (uint32(left) ^ digits) << (o.shifts & 31)
	w2 := (binary.LittleEndian.Uint32(q[o.dots&15+1:]) ^ digits) << (o.shifts >> 8 & 31)
	w3 := (binary.LittleEndian.Uint32(q[o.dots>>8&15+1:]) ^ digits) << (o.shifts >> 16 & 31)
	w4 := (binary.LittleEndian.Uint32(q[o.dots>>16&15+1:]) ^ digits) << ((32 - 8*uint32(sizes>>48)) & 31)
	x, y := uint64(w1)|uint64(w2)<<32, uint64(w3)|uint64(w4)<<32
	wrong = ((x + nines) | x | (y + nines) | y) & high

	x = x * (1 + 10<<8) >> 8 & 0x00ff00ff00ff00ff
	y = y * (1 + 10<<8) >> 8 & 0x00ff00ff00ff00ff
	x = x * (1 + 100<<16) >> 16 & 0x0000ffff0000ffff
	y = y * (1 + 100<<16) >> 16 & 0x0000ffff0000ffff

	// Each octet is below 256 and has as many digits as it needs.
	all := x | y<<16
	need := lanes + (all+(0x8000-10)*lanes)>>15&lanes + (all+(0x8000-100)*lanes)>>15&lanes
	wrong |= (all+(0x8000-256)*lanes)&(0x8000*lanes) | (need ^ sizes)
	wrong |= found&1 | found>>12 | uint64(n>>4)
	return uint32(x)<<24 | uint32(x>>32)<<16 | uint32(y)<<8 | uint32(y>>32), wrong
}
