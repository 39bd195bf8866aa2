package store

import (
	"math"
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// row appends the row of record i of b.
func (w *TallyWorker) row(b *Batch, i int, id uint32, known *ifaceConfig) {
	src, dst, action := b.Src[i], b.Dst[i], b.Action[i]
	if !src.IsValid() || !dst.IsValid() || action != flow.Accept && action != flow.Reject {
		w.unsupported++
		return
	}
	proto := b.Proto[i]
	var flags flow.TCPFlags
	if len(b.Flags) > 0 {
		flags = b.Flags[i]
	}
	class := flags.Class(proto)
	side := flow.DirectionUnknown
	if len(b.Direction) > 0 {
		side = b.Direction[i]
	}
	if side != flow.Ingress && side != flow.Egress {
		side = known.side(src, dst)
	}
	// Whose addresses decides the side, but whom the packets came from decides
	// which rules they met: behind a NAT gateway the two differ.
	if len(b.PktSrc) > 0 && b.PktSrc[i].IsValid() {
		src = b.PktSrc[i]
	}
	if len(b.PktDst) > 0 && b.PktDst[i].IsValid() {
		dst = b.PktDst[i]
	}

	// Records of either direction, and of clients at either end, come in turn. So what
	// follows chooses by masks, all ones or all zeros, and not by branches, which would
	// be foreseen half of the time.
	var in uint64 // the source is remote
	if side == flow.Ingress {
		in = math.MaxUint64
	}
	var client ClientSide
	var localPort, remotePort, folded uint16
	var portBits uint64
	if proto.HasPorts() {
		srcPort, dstPort := b.SrcPort[i], b.DstPort[i]
		if end := clientEnd(class, srcPort, dstPort); end != 0 {
			answer := uint16(end >> 16) // the client is the destination
			far := answer ^ uint16(in)  // the client is remote
			other := either(answer, srcPort, dstPort)
			folded = srcPort ^ dstPort ^ other
			portBits = 1 << (folded & 63)
			whose := uint(far & remotePorts)
			if side == flow.DirectionUnknown {
				whose = eitherPorts
			}
			first := known.ports[whose].of(folded)
			localPort, remotePort = either(far, other, first), either(far, first, other)
			client = LocalClient + ClientSide(far&1)
		} else {
			localPort, remotePort = either(uint16(in), dstPort, srcPort), either(uint16(in), srcPort, dstPort)
		}
	}

	k := kindOf(proto, client, side, action, class)
	start, last := b.Start[i], b.End[i]
	packets, bytes := b.Packets[i], b.Bytes[i]
	days := w.dayBit(start)
	if w.classes == nil && src.Is4() && dst.Is4() && (packets|uint64(start)|uint64(last))>>32 == 0 {
		// What addRow would do, without the detour.
		w.addPlain(id, in, src.Lo, dst.Lo, localPort, remotePort, k)
		r := &w.narrow[len(w.narrow)-1]
		r.flags, r.portLo, r.portHi, r.portBits, r.days = flags, folded, folded, portBits, days
		r.records, r.packets, r.bytes = 1, uint32(packets), bytes
		r.firstSec, r.lastSec = uint32(start), uint32(last)
		return
	}
	if in != 0 {
		src, dst = dst, src
	}
	w.addRow(&wideRow{
		wideKey: wideKey{local: src, remote: dst, iface: id, localPort: localPort, remotePort: remotePort, kind: k},
		flags:   flags, portLo: folded, portHi: folded, portBits: portBits, days: days,
		records: 1, packets: packets, bytes: bytes, first: start, last: last,
	})
}

// either returns a if mask is all ones, b if it is all zeros.
func either(mask, a, b uint16) uint16 { return b ^ (a^b)&mask }

// nextNarrow appends a narrow row, every field of which the caller sets.
func (w *TallyWorker) nextNarrow() *narrowRow {
	n := len(w.narrow)
	if n == cap(w.narrow) {
		w.narrow = slices.Grow(w.narrow, BatchSize)
	}
	w.narrow = w.narrow[:n+1]
	return &w.narrow[n]
}

// dayBit returns the bit of the day of the second t; see Row.Days. Nearly always it is the
// day that was asked for last.
func (w *TallyWorker) dayBit(t int64) uint64 {
	if uint64(t-w.dayFrom) >= secondsPerDay || w.day == 0 {
		d := dayOf(t)
		w.dayFrom, w.day = d*secondsPerDay, 1<<(d&63)
	}
	return w.day
}

// sideOf returns the direction in which packets from src to dst crossed an
// interface with the addresses own, which are sorted.
func sideOf(own []flow.Addr, src, dst flow.Addr) flow.Direction {
	out, in := owns(own, src), owns(own, dst)
	switch {
	case out == in:
		return flow.DirectionUnknown
	case in:
		return flow.Ingress
	}
	return flow.Egress
}

// owns reports whether a is one of own, which are sorted.
func owns(own []flow.Addr, a flow.Addr) bool {
	if len(own) <= 8 { // nearly all; looking at each is faster
		for i := range own {
			if own[i] == a {
				return true
			}
		}
		return false
	}
	_, found := slices.BinarySearchFunc(own, a, flow.Addr.Compare)
	return found
}

// mirror returns c with local and remote exchanged.
func (c ClientSide) mirror() ClientSide {
	switch c {
	case LocalClient:
		return RemoteClient
	case RemoteClient:
		return LocalClient
	}
	return NoClient
}

// side returns the direction in which packets from src to dst crossed the interface.
func (c *ifaceConfig) side(src, dst flow.Addr) flow.Direction {
	if c.only4 == 0 || !src.Is4() || !dst.Is4() {
		return sideOf(c.local, src, dst)
	}
	var out, in flow.Direction
	if src.Lo == c.only4 {
		out = 1
	}
	if dst.Lo == c.only4 {
		in = 1
	}
	return (in&^out)*flow.Ingress + (out&^in)*flow.Egress
}
