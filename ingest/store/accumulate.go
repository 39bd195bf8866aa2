package store

import (
	"math"
	"math/bits"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// A row is accumulated in one of two forms. The narrow one is for rows of IPv4
// whose counts and times fit 32 bits, nearly all of them; it is one cache line.
// The wide one takes any row. A narrow row that would overflow is moved to the
// wide form, so the form never shows in the result.

// narrowRow is an accumulating row of two IPv4 addresses, or one record of it.
// A row that was moved to the wide form has kind 0, which no row has (its action
// is never none).
type narrowRow struct {
	ends   uint64 // interface id, local address
	remote uint64 // remote address, local port, remote port
	kind   kind
	flags  flow.TCPFlags

	portLo, portHi uint16
	portBits       uint64
	days           uint64
	bytes          uint64
	records        uint32
	packets        uint32
	firstSec       uint32
	lastSec        uint32
}

// wideKey identifies a row of any kind.
type wideKey struct {
	local, remote         flow.Addr
	iface                 uint32
	localPort, remotePort uint16
	kind                  kind
	free                  uint8 // low bits of remote that are folded
}

// wideRow is an accumulating row of any kind, or one record of it.
type wideRow struct {
	wideKey
	flags          flow.TCPFlags
	portLo, portHi uint16

	portBits                uint64
	days                    uint64
	records, packets, bytes uint64
	first, last             int64
}

// kind packs what a row's key holds beside interface, addresses and ports. The
// low byte orders as rows do: client, side, action, class.
type kind uint16

func kindOf(p flow.Proto, c ClientSide, side flow.Direction, a flow.Action, class flow.FlagClass) kind {
	return kind(p)<<8 | kind(c)<<6 | kind(side)<<4 | kind(a)<<2 | kind(class)
}

func (k kind) split() (p flow.Proto, c ClientSide, side flow.Direction, a flow.Action, class flow.FlagClass) {
	return flow.Proto(k >> 8), ClientSide(k >> 6 & 3), flow.Direction(k >> 4 & 3), flow.Action(k >> 2 & 3), flow.FlagClass(k & 3)
}

func (r *narrowRow) iface() uint32 { return uint32(r.ends >> 32) }

// sameKey reports whether r and o are the same row.
func (r *narrowRow) sameKey(o *narrowRow) bool {
	return r.ends == o.ends && r.remote == o.remote && r.kind == o.kind
}

// add adds o, of the same row, to r. If a count would not fit it leaves r as it
// is and returns false.
func (r *narrowRow) add(o *narrowRow) bool {
	records, packets := uint64(r.records)+uint64(o.records), uint64(r.packets)+uint64(o.packets)
	if (records|packets)>>32 != 0 {
		return false
	}
	r.records, r.packets = uint32(records), uint32(packets)
	r.bytes = saturatingAdd(r.bytes, o.bytes)
	r.flags |= o.flags
	r.portLo, r.portHi = min(r.portLo, o.portLo), max(r.portHi, o.portHi)
	r.portBits |= o.portBits
	r.days |= o.days
	r.firstSec, r.lastSec = min(r.firstSec, o.firstSec), max(r.lastSec, o.lastSec)
	return true
}

// wide returns r in the wide form.
func (r *narrowRow) wide() wideRow {
	return wideRow{
		wideKey: r.key(), flags: r.flags, portLo: r.portLo, portHi: r.portHi, portBits: r.portBits, days: r.days,
		records: uint64(r.records), packets: uint64(r.packets), bytes: r.bytes,
		first: int64(r.firstSec), last: int64(r.lastSec),
	}
}

func (r *narrowRow) key() wideKey {
	return wideKey{
		local: flow.Addr4(uint32(r.ends)), remote: flow.Addr4(uint32(r.remote >> 32)),
		iface: r.iface(), localPort: uint16(r.remote >> 16), remotePort: uint16(r.remote), kind: r.kind,
	}
}

// narrow sets n to r and reports whether r fits the narrow form.
func (r *wideRow) narrow(n *narrowRow) bool {
	if !r.is4() || r.free != 0 || (r.records|r.packets|uint64(r.first)|uint64(r.last))>>32 != 0 {
		return false
	}
	*n = narrowRow{
		ends: r.ends4(), remote: r.remote4(), kind: r.kind, flags: r.flags,
		portLo: r.portLo, portHi: r.portHi, portBits: r.portBits, days: r.days, bytes: r.bytes,
		records: uint32(r.records), packets: uint32(r.packets), firstSec: uint32(r.first), lastSec: uint32(r.last),
	}
	return true
}

func (k *wideKey) is4() bool     { return k.local.Is4() && k.remote.Is4() }
func (k *wideKey) ends4() uint64 { return uint64(k.iface)<<32 | uint64(k.local.V4()) }
func (k *wideKey) remote4() uint64 {
	return uint64(k.remote.V4())<<32 | uint64(k.localPort)<<16 | uint64(k.remotePort)
}

// add adds o, of the same row, to r.
func (r *wideRow) add(o *wideRow) {
	r.records = saturatingAdd(r.records, o.records)
	r.packets = saturatingAdd(r.packets, o.packets)
	r.bytes = saturatingAdd(r.bytes, o.bytes)
	r.flags |= o.flags
	r.portLo, r.portHi = min(r.portLo, o.portLo), max(r.portHi, o.portHi)
	r.portBits |= o.portBits
	r.days |= o.days
	r.first, r.last = min(r.first, o.first), max(r.last, o.last)
}

// saturatingAdd returns a+b, or the greatest number if that overflows. Unlike
// wrapping it is safe to read, and like it, it does not depend on the order.
func saturatingAdd(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}
