package netset

import (
	"math/bits"
	"net/netip"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Addrs is an interval of addresses of one family, both ends inclusive, First not
// after Last. It is comparable. The zero value holds only the unspecified IPv6
// address, which no flow has.
//
// flow.Addr keeps IPv4 as ::ffff:a.b.c.d. Those 2^32 values are no IPv6 addresses:
// an IPv6 interval may stretch over them but holds none of them, counts none of
// them, and never begins or ends there.
type Addrs struct{ First, Last flow.Addr }

// The IPv4 block inside the 128-bit numbers, and its neighbours.
var (
	first4 = flow.Addr4(0)
	last4  = flow.Addr4(1<<32 - 1)
	below4 = flow.Addr{Hi: first4.Hi, Lo: first4.Lo - 1}
	above4 = flow.Addr{Hi: last4.Hi, Lo: last4.Lo + 1}
)

// AddrsOf returns the addresses of p; bits below the mask do not matter, and an
// IPv4-mapped prefix is IPv4. The invalid prefix gives the zero Addrs.
func AddrsOf(p netip.Prefix) Addrs {
	p = p.Masked()
	if !p.IsValid() {
		return Addrs{}
	}
	a, n := flow.AddrFrom(p.Addr()), p.Bits()
	if p.Addr().Is4() {
		n += 96
	}
	hi, lo := hostMask(n)
	r := Addrs{a, flow.Addr{Hi: a.Hi | hi, Lo: a.Lo | lo}}
	if !a.Is4() && r.Last == last4 { // ::fffe:0:0/95: its upper half is the IPv4 block
		r.Last = below4
	}
	return r
}

// hostMask returns the 128-n low bits set.
func hostMask(n int) (hi, lo uint64) { return ^uint64(0) >> min(n, 64), ^uint64(0) >> max(n-64, 0) }

// OneAddr returns the interval that holds a alone.
func OneAddr(a flow.Addr) Addrs { return Addrs{a, a} }

// Folded returns the interval from first on that differs in the low free bits alone, which
// are 0 in first: what a row of the store that was rolled up holds.
func Folded(first flow.Addr, free uint8) Addrs {
	hi, lo := hostMask(128 - int(free))
	return Addrs{first, flow.Addr{Hi: first.Hi | hi, Lo: first.Lo | lo}}
}

// FoldedText returns [Folded] as text: the address where nothing is folded, else the prefix.
func FoldedText(first flow.Addr, free uint8) string {
	if free == 0 {
		return first.String()
	}
	return Folded(first, free).String()
}

// Is4 reports whether r is of IPv4.
func (r Addrs) Is4() bool { return r.First.Is4() }

// Contains reports whether a is in r.
func (r Addrs) Contains(a flow.Addr) bool {
	return a.Is4() == r.Is4() && !less(a, r.First) && !less(r.Last, a)
}

// Covers reports whether all of o is in r.
func (r Addrs) Covers(o Addrs) bool {
	return r.Is4() == o.Is4() && !less(o.First, r.First) && !less(r.Last, o.Last)
}

// Overlaps reports whether r and o share an address.
func (r Addrs) Overlaps(o Addrs) bool {
	return r.Is4() == o.Is4() && !less(o.Last, r.First) && !less(r.Last, o.First)
}

// Intersect returns what r and o share, if anything.
func (r Addrs) Intersect(o Addrs) (Addrs, bool) {
	if !r.Overlaps(o) {
		return Addrs{}, false
	}
	if less(r.First, o.First) {
		r.First = o.First
	}
	if less(o.Last, r.Last) {
		r.Last = o.Last
	}
	return r, true
}

// Size returns the number of addresses of r.
func (r Addrs) Size() Size {
	lo, b := bits.Sub64(r.Last.Lo, r.First.Lo, 0)
	hi, _ := bits.Sub64(r.Last.Hi, r.First.Hi, b)
	n := Size{mid: hi, lo: lo}.Add(SizeOf(1))
	if !r.Is4() && less(r.First, first4) && less(last4, r.Last) {
		n = n.Sub(SizeOf(1 << 32))
	}
	return n
}

// Prefix returns r as one prefix, if it is one.
func (r Addrs) Prefix() (netip.Prefix, bool) {
	p := r.longest()
	return p, AddrsOf(p) == r
}

// Hull returns the longest prefix that holds r and o, which must be of one family.
func (r Addrs) Hull(o Addrs) Addrs {
	if less(o.First, r.First) {
		r.First = o.First
	}
	if less(r.Last, o.Last) {
		r.Last = o.Last
	}
	hi, lo := hostMask(CommonBits(r.First, r.Last))
	h := Addrs{flow.Addr{Hi: r.First.Hi &^ hi, Lo: r.First.Lo &^ lo}, flow.Addr{Hi: r.Last.Hi | hi, Lo: r.Last.Lo | lo}}
	if h.Last == last4 && !r.Is4() {
		h.Last = below4
	}
	return h
}

// longest returns the longest prefix that holds all of r.
func (r Addrs) longest() netip.Prefix {
	n := CommonBits(r.First, r.Last)
	hi, lo := hostMask(n)
	a := flow.Addr{Hi: r.First.Hi &^ hi, Lo: r.First.Lo &^ lo}
	if r.Is4() {
		return netip.PrefixFrom(a.Netip(), n-96)
	}
	return netip.PrefixFrom(netip6(a), n)
}

// netip6 converts an IPv6 address; unlike flow.Addr.Netip it knows ::.
func netip6(a flow.Addr) netip.Addr {
	if !a.IsValid() {
		return netip.IPv6Unspecified()
	}
	return a.Netip()
}

// CommonBits returns how many leading bits of their 128-bit forms a and b share; two
// IPv4 addresses share 96 or more.
func CommonBits(a, b flow.Addr) int {
	if a.Hi != b.Hi {
		return bits.LeadingZeros64(a.Hi ^ b.Hi)
	}
	return 64 + bits.LeadingZeros64(a.Lo^b.Lo)
}

// Prefixes returns the least number of prefixes that make up r, in order.
func (r Addrs) Prefixes() []netip.Prefix {
	if p, ok := r.Prefix(); ok {
		return []netip.Prefix{p}
	}
	// Two halves: below and from the last bit in which the ends differ first.
	hi, lo := hostMask(CommonBits(r.First, r.Last) + 1)
	cut := flow.Addr{Hi: r.Last.Hi &^ hi, Lo: r.Last.Lo &^ lo}
	return append(Addrs{r.First, prev(cut)}.Prefixes(), Addrs{cut, r.Last}.Prefixes()...)
}

// String returns the prefix, or "first-last" if r is none.
func (r Addrs) String() string {
	if p, ok := r.Prefix(); ok {
		return p.String()
	}
	if r.Is4() {
		return r.First.String() + "-" + r.Last.String()
	}
	return netip6(r.First).String() + "-" + netip6(r.Last).String()
}

// less orders addresses of one family.
func less(a, b flow.Addr) bool { return a.Hi < b.Hi || a.Hi == b.Hi && a.Lo < b.Lo }

// next returns the address after a in its family; a must not be the last one.
func next(a flow.Addr) flow.Addr {
	if a == below4 {
		return above4
	}
	lo, c := bits.Add64(a.Lo, 1, 0)
	return flow.Addr{Hi: a.Hi + c, Lo: lo}
}

// prev returns the address before a in its family; a must not be the first one.
func prev(a flow.Addr) flow.Addr {
	if a == above4 {
		return below4
	}
	lo, b := bits.Sub64(a.Lo, 1, 0)
	return flow.Addr{Hi: a.Hi - b, Lo: lo}
}
