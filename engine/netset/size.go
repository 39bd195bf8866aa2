package netset

import (
	"math"
	"math/bits"
)

// Size is an unsigned integer of 192 bits. All services of all IPv6 addresses,
// weighted as exposure is, need 152, so sums of a trillion boxes still fit; float64
// would lose ties from 2^53 on. The zero value is 0; sizes compare with == and
// [Size.Cmp]. Arithmetic that leaves the range wraps, as with Go's own integers.
type Size struct{ hi, mid, lo uint64 }

// SizeOf returns n.
func SizeOf(n uint64) Size { return Size{lo: n} }

// Add returns s + o.
func (s Size) Add(o Size) Size {
	lo, c := bits.Add64(s.lo, o.lo, 0)
	mid, c := bits.Add64(s.mid, o.mid, c)
	hi, _ := bits.Add64(s.hi, o.hi, c)
	return Size{hi, mid, lo}
}

// Sub returns s - o; o must not be greater.
func (s Size) Sub(o Size) Size {
	lo, b := bits.Sub64(s.lo, o.lo, 0)
	mid, b := bits.Sub64(s.mid, o.mid, b)
	hi, _ := bits.Sub64(s.hi, o.hi, b)
	return Size{hi, mid, lo}
}

// Mul returns s × n.
func (s Size) Mul(n uint64) Size {
	c, lo := bits.Mul64(s.lo, n)
	c2, mid := bits.Mul64(s.mid, n)
	mid, carry := bits.Add64(mid, c, 0)
	return Size{s.hi*n + c2 + carry, mid, lo}
}

// Cmp returns -1, 0 or +1 as s is less than, equal to or greater than o.
func (s Size) Cmp(o Size) int {
	switch {
	case s == o:
		return 0
	case s.Less(o):
		return -1
	}
	return 1
}

// Less reports whether s < o.
func (s Size) Less(o Size) bool {
	if s.hi != o.hi {
		return s.hi < o.hi
	}
	if s.mid != o.mid {
		return s.mid < o.mid
	}
	return s.lo < o.lo
}

// IsZero reports whether s is 0.
func (s Size) IsZero() bool { return s == Size{} }

// Uint64 returns s, if it fits.
func (s Size) Uint64() (uint64, bool) { return s.lo, s.hi == 0 && s.mid == 0 }

// BitLen returns the number of bits of s; 0 for 0.
func (s Size) BitLen() int {
	switch {
	case s.hi != 0:
		return 128 + bits.Len64(s.hi)
	case s.mid != 0:
		return 64 + bits.Len64(s.mid)
	}
	return bits.Len64(s.lo)
}

// Float64 returns the value of s, rounded.
func (s Size) Float64() float64 {
	return math.Ldexp(float64(s.hi), 128) + math.Ldexp(float64(s.mid), 64) + float64(s.lo)
}

// Ratio returns a / b, and 1 if both are 0, for people to read: it is rounded.
func Ratio(a, b Size) float64 {
	if a.IsZero() && b.IsZero() {
		return 1
	}
	return a.Float64() / b.Float64()
}

// String returns s in decimal.
func (s Size) String() string {
	const chunk = 1e19 // the greatest power of ten in 64 bits: 19 digits a step
	var digits [60]byte
	at := len(digits)
	for {
		var r uint64
		s.hi, r = bits.Div64(0, s.hi, chunk)
		s.mid, r = bits.Div64(r, s.mid, chunk)
		s.lo, r = bits.Div64(r, s.lo, chunk)
		for range 19 {
			at--
			digits[at] = byte('0' + r%10)
			r /= 10
			if r == 0 && s.IsZero() {
				return string(digits[at:])
			}
		}
	}
}
