package store

import (
	"math"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// readPlain is record for the records from to end of b. Those of flows that are like nearly
// all others it turns into rows itself: of IPv4 and with ports, whose flags, or ports of
// which one only is of the highest tier, tell the client; on the day that was met last;
// with counts that fit. It decides nothing else than record would.
func (w *TallyWorker) readPlain(b *Batch, from, end int) {
	n := end - from
	iface, status, action, proto := b.Interface[from:][:n], b.Status[from:][:n], b.Action[from:][:n], b.Proto[from:][:n]
	srcs, dsts := b.Src[from:][:n], b.Dst[from:][:n]
	srcPorts, dstPorts := b.SrcPort[from:][:n], b.DstPort[from:][:n]
	starts, lasts := b.Start[from:][:n], b.End[from:][:n]
	allPackets, allBytes := b.Packets[from:][:n], b.Bytes[from:][:n]
	pktSrc, pktDst, sides, flags := piece(b.PktSrc, from, n), piece(b.PktDst, from, n), piece(b.Direction, from, n), piece(b.Flags, from, n)
	lo, hi := w.t.cfg.From, w.t.cfg.To
	if lo == 0 {
		lo = math.MinInt64
	}
	if hi == 0 {
		hi = math.MaxInt64
	}
	var unfolded [unfoldedRows]*portClasses // of the last rows
	count := 0
	for i := range iface {
		id := w.of[iface[i]]
		known := &w.ifaces[id]
		start, last, packets := starts[i], lasts[i], allPackets[i]
		src, dst := srcs[i], dsts[i]
		near, far := src, dst // those of the packets
		if pktSrc != nil && pktSrc[i].IsValid() {
			near = pktSrc[i]
		}
		if pktDst != nil && pktDst[i].IsValid() {
			far = pktDst[i]
		}
		srcPort, dstPort := srcPorts[i], dstPorts[i]
		var flag flow.TCPFlags
		if flags != nil {
			flag = flags[i]
		}
		class := flag.Class(proto[i])
		// As clientEnd, but for ports of lower tiers or of the same one.
		client := flagEnd[class&3] + int(srcPort>>15) - int(dstPort>>15)
		if status[i] != flow.StatusOK || uint8(action[i]-flow.Accept) > 1 || !proto[i].HasPorts() || client == 0 ||
			!bothIs4(src, dst) || !bothIs4(near, far) || (packets|uint64(start)|uint64(last))>>32 != 0 ||
			start > last || start < known.dayFrom || last >= known.dayTo || last < lo || start >= hi || known.cuts != nil {
			w.fold(unfolded[:count])
			count = 0
			w.record(b, from+i)
			continue
		}
		known.saw(start, last)
		today := &known.today[(action[i]-flow.Accept)&1]
		today.records++
		today.sum ^= hashRecord(b, from+i)

		side := flow.DirectionUnknown
		if sides != nil {
			side = sides[i]
		}
		if side != flow.Ingress && side != flow.Egress {
			side = known.side(src, dst)
		}
		var in uint64
		if side == flow.Ingress {
			in = math.MaxUint64
		}
		answer := uint16(client >> 16)
		remote := answer ^ uint16(in)
		other := either(answer, srcPort, dstPort)
		folded := srcPort ^ dstPort ^ other
		whose := uint(remote & remotePorts)
		if side == flow.DirectionUnknown {
			whose = eitherPorts
		}
		unfolded[count%unfoldedRows] = &known.ports[whose]
		count++
		swap := (near.Lo ^ far.Lo) & in
		r := w.nextNarrow()
		r.ends = uint64(id)<<32 | uint64(uint32(near.Lo^swap))
		r.remote = (far.Lo^swap)<<32 | uint64(other)<<(remote&16)
		r.kind = kindOf(proto[i], LocalClient+ClientSide(remote&1), side, action[i], class)
		r.flags, r.portLo, r.portHi, r.portBits, r.days = flag, folded, folded, 1<<(folded&63), w.dayBit(start)
		r.records, r.packets, r.bytes = 1, uint32(packets), allBytes[i]
		r.firstSec, r.lastSec = uint32(start), uint32(last)
		if count == unfoldedRows {
			w.fold(unfolded[:])
			count = 0
		}
	}
	w.fold(unfolded[:count])
}

// unfoldedRows is of how many rows at most the client's port is left to be folded later: in
// loops that do nothing else, as the classes of ports of many interfaces are more than the
// nearest cache holds, and this way the misses of some rows overlap.
const unfoldedRows = 64

// fold completes the last rows, whose ports are of these classes: it adds the client's port
// to their keys, where it is 0 so far, and appends their hashes.
func (w *TallyWorker) fold(classes []*portClasses) {
	rows := w.narrow[len(w.narrow)-len(classes):]
	for i := range rows {
		w.touched += classes[i].line(rows[i].portLo)[8]
	}
	for i := range rows {
		r := &rows[i]
		first := classes[i].of(r.portLo)
		local := r.kind >> 6 & 1 // LocalClient, else RemoteClient
		r.remote |= uint64(first) << (local << 4 & 16)
		w.narrowHashes = append(w.narrowHashes, w.t.seed.narrow(r.ends, r.remote, r.kind))
	}
}

// piece returns n values of a column, or nil if the log lacks it.
func piece[T any](all []T, from, n int) []T {
	if len(all) == 0 {
		return nil
	}
	return all[from:][:n]
}

func bothIs4(a, b flow.Addr) bool { return a.Hi|b.Hi|(a.Lo>>32^0xffff)|(b.Lo>>32^0xffff) == 0 }

// addPlain appends the key of a narrow row and its hash. The source is remote if in is all
// ones, local if it is all zeros.
func (w *TallyWorker) addPlain(id uint32, in, src, dst uint64, localPort, remotePort uint16, k kind) {
	swap := (src ^ dst) & in
	ends := uint64(id)<<32 | uint64(uint32(src^swap))
	far := (dst^swap)<<32 | uint64(localPort)<<16 | uint64(remotePort)
	w.narrowHashes = append(w.narrowHashes, w.t.seed.narrow(ends, far, k))
	r := w.nextNarrow()
	r.ends, r.remote, r.kind = ends, far, k
}
