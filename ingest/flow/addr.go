package flow

import (
	"cmp"
	"encoding/binary"
	"net/netip"
)

// Addr is an IP address as two words without pointers, so that columns of
// addresses cost the garbage collector nothing. An IPv4 address is kept in its
// IPv4-mapped form (::ffff:a.b.c.d); that is unambiguous because addresses that
// arrive in mapped form are unmapped on entry. The zero Addr is "no address":
// the unspecified address :: never appears in a flow.
//
// Addr is comparable and usable as a map key.
type Addr struct{ Hi, Lo uint64 }

const mapped4 = 0xffff_0000_0000

// AddrFrom converts a; zones are dropped, IPv4-mapped addresses are unmapped.
// The zero netip.Addr gives the zero Addr.
func AddrFrom(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	b := a.As16()
	return Addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Addr4 returns the IPv4 address with the 32-bit value v.
func Addr4(v uint32) Addr { return Addr{0, mapped4 | uint64(v)} }

// IsValid reports whether a is an address at all.
func (a Addr) IsValid() bool { return a != Addr{} }

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool { return a.Hi == 0 && a.Lo>>32 == 0xffff }

// V4 returns the 32-bit value of an IPv4 address.
func (a Addr) V4() uint32 { return uint32(a.Lo) }

// Netip converts back; the zero Addr gives the zero netip.Addr.
func (a Addr) Netip() netip.Addr {
	if !a.IsValid() {
		return netip.Addr{}
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.Hi)
	binary.BigEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b).Unmap()
}

// Compare orders IPv4 before IPv6, each by value.
func (a Addr) Compare(b Addr) int {
	if x, y := a.Is4(), b.Is4(); x != y {
		if x {
			return -1
		}
		return 1
	}
	if c := cmp.Compare(a.Hi, b.Hi); c != 0 {
		return c
	}
	return cmp.Compare(a.Lo, b.Lo)
}

func (a Addr) String() string {
	if !a.IsValid() {
		return "-"
	}
	return a.Netip().String()
}
