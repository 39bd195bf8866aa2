package flowlog

import (
	"math/bits"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The parsers of single values. They take bytes and allocate nothing; the tests hold
// them to strconv and net/netip.

// missing reports whether a value says that there is none. Missing is never 0.
func missing(b []byte) bool {
	switch len(b) {
	case 0:
		return true
	case 1:
		return b[0] == '-'
	}
	return string(b) == "None"
}

// parseUint reads decimal digits.
func parseUint(b []byte) (n uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for i, c := range b {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false
		}
		if i < 19 { // 19 digits always fit
			n = n*10 + d
			continue
		}
		hi, lo := bits.Mul64(n, 10)
		sum, carry := bits.Add64(lo, d, 0)
		if hi != 0 || carry != 0 {
			return 0, false
		}
		n = sum
	}
	return n, true
}

// parseSmall reads decimal digits of a number up to most, which is below 1<<31.
func parseSmall(b []byte, most uint64) (n uint64, ok bool) {
	if len(b)-1 > 9 { // leading zeros, or far too large
		n, ok = parseUint(b)
		return n, ok && n <= most
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(b) > 0 && n <= most
}

// addrKind says what a value that should be an address is.
type addrKind uint8

const (
	addrBad         addrKind = iota
	addrMissing              // "-"
	addr4                    // IPv4
	addr6                    // IPv6
	addrMapped               // IPv4-mapped IPv6, ::ffff:a.b.c.d
	addrUnspecified          // ::
)

// parseAddr reads an address. A zone is not an address of a flow log.
func parseAddr(b []byte) (flow.Addr, addrKind) {
	if v, ok := parseIPv4(b); ok {
		return flow.Addr4(v), addr4
	}
	if missing(b) {
		return flow.Addr{}, addrMissing
	}
	a, ok := parseIPv6(b)
	switch {
	case !ok:
		return flow.Addr{}, addrBad
	case !a.IsValid():
		return a, addrUnspecified
	case a.Is4():
		return a, addrMapped
	}
	return a, addr6
}

// parseIPv4 reads four decimal octets without leading zeros.
func parseIPv4(b []byte) (uint32, bool) {
	if len(b)-7 > 15-7 || len(b) < 7 {
		return 0, false
	}
	var v, octet uint32
	dots, digits := 0, 0
	for _, c := range b {
		if d := uint32(c) - '0'; d <= 9 {
			if digits > 0 && octet == 0 { // a leading zero
				return 0, false
			}
			octet = octet*10 + d
			digits++
			continue
		}
		if c != '.' || digits == 0 || octet > 255 {
			return 0, false
		}
		v = v<<8 | octet
		octet, digits = 0, 0
		dots++
	}
	return v<<8 | octet, dots == 3 && digits > 0 && octet <= 255
}

// parseIPv6 reads any spelling of RFC 4291, including a trailing dotted quad.
func parseIPv6(b []byte) (flow.Addr, bool) {
	var groups [8]uint16
	n, gap := 0, -1 // groups read; how many of them stand before "::"
	i := 0
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, i = 0, 2
	}
	for i < len(b) {
		if n == 8 {
			return flow.Addr{}, false
		}
		start := i
		var g uint32
		for i < len(b) && i-start < 4 {
			d, ok := hexDigit(b[i])
			if !ok {
				break
			}
			g = g<<4 | d
			i++
		}
		if i == start {
			return flow.Addr{}, false
		}
		if i < len(b) && b[i] != ':' { // only a dotted quad may follow, and ends it
			v, ok := parseIPv4(b[start:])
			if !ok || n > 6 {
				return flow.Addr{}, false
			}
			groups[n], groups[n+1] = uint16(v>>16), uint16(v)
			n += 2
			break
		}
		groups[n] = uint16(g)
		n++
		if i == len(b) {
			break
		}
		i++ // the colon
		if i == len(b) {
			return flow.Addr{}, false
		}
		if b[i] == ':' {
			if gap >= 0 {
				return flow.Addr{}, false
			}
			gap = n
			i++
		}
	}
	switch {
	case gap < 0 && n != 8, gap >= 0 && n == 8:
		return flow.Addr{}, false
	case gap >= 0:
		copy(groups[8-(n-gap):], groups[gap:n])
		clear(groups[gap : 8-(n-gap)])
	}
	var a flow.Addr
	for k := range 4 {
		a.Hi = a.Hi<<16 | uint64(groups[k])
		a.Lo = a.Lo<<16 | uint64(groups[4+k])
	}
	return a, true
}

func hexDigit(c byte) (uint32, bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint32(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint32(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return uint32(c-'A') + 10, true
	}
	return 0, false
}
