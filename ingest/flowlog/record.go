package flowlog

import (
	"fmt"
	"strconv"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// span is the place of one value: base[lo:hi].
type span struct{ lo, hi uint32 }

// Causes of rows that are well-formed but are not IP flows of a network interface.
const (
	causeGateway     = "transit gateway record"
	causeEFA         = "type is EFA: not an IP flow"
	causeType        = "type is not IPv4, IPv6 or EFA"
	causeNoStatus    = "status unknown, no flow"
	causeNoAction    = "no action"
	causeNoProtocol  = "no protocol"
	causeNoAddress   = "no address"
	causeUnspecified = "address is ::"
	causeMapped      = "IPv4-mapped address beside an IPv6 address"
	causeNoPort      = "tcp or udp without a port"
	causeNoTime      = "no start and end"
)

// Causes of rows that cannot be read, beside those of values.
const (
	causeCount     = "number of fields differs from the layout"
	causeNoLayout  = "no header line, and not the default layout"
	causeFamilies  = "addresses of different families"
	causeBackward  = "end before start"
	causeMisplaced = "values stand under the wrong names"
)

// Causes of rows that are used although two of their fields disagree.
const (
	causeStatusAction = "log-status says no flow, yet there is an action"
	causeTypeFamily   = "type differs from the family of the addresses"
)

// rules say, for each field, what its value must be. A value that is not is
// malformed, for the cause "<field> <rule>".
var rules = [NumFields]string{
	SrcAddr:       "is not an address",
	DstAddr:       "is not an address",
	PktSrcAddr:    "is not an address",
	PktDstAddr:    "is not an address",
	SrcPort:       "is not in 0-65535",
	DstPort:       "is not in 0-65535",
	Protocol:      "is not in 0-255",
	Packets:       "is not a count",
	Bytes:         "is not a count",
	Start:         "is not a Unix time",
	End:           "is not a Unix time",
	Action:        "is not ACCEPT or REJECT",
	LogStatus:     "is not OK, NODATA or SKIPDATA",
	TCPFlags:      "is not in 0-255",
	FlowDirection: "is not ingress or egress",
	ENIDirection:  "is not in or out",
	Version:       "is not 2",
}

// record is the one reading of a row: what columns.go holds of it, or why not.
// pos gives the place of each column of the layout in base. The order of the checks
// decides under which cause a row is counted that has several faults.
func (d *LineDecoder) record(base []byte, pos []span) error {
	l := d.layout
	value := func(f Field) []byte {
		c := l.col[f]
		if c < 0 {
			return nil
		}
		p := pos[c]
		return base[p.lo:p.hi]
	}
	if l.has(TransitGateway) {
		d.unsupported(causeGateway)
		return nil
	}

	status, stated := flow.StatusOK, true
	switch v := value(LogStatus); {
	case string(v) == "OK":
	case string(v) == "NODATA":
		status = flow.StatusNoData
	case string(v) == "SKIPDATA":
		status = flow.StatusSkipData
	case missing(v) && !l.assumed:
		stated = false
	default:
		d.malformed(LogStatus, v)
		return nil
	}
	if l.alibaba && misplaced(value(Version), value(VSwitchID)) {
		d.refuse(0, causeMisplaced, fmt.Sprintf("version is %s, vswitch-id %s: %s", show(value(Version)), show(value(VSwitchID)), causeMisplaced))
		return nil
	}
	if l.assumed && string(value(Version)) != "2" {
		d.malformed(Version, value(Version))
		return nil
	}

	action := flow.ActionNone
	switch v := value(Action); {
	case string(v) == "ACCEPT":
		action = flow.Accept
	case string(v) == "REJECT":
		action = flow.Reject
	case missing(v):
	default:
		d.malformed(Action, v)
		return nil
	}

	var a addresses
	if !d.readAddresses(&a, value(SrcAddr), value(DstAddr), value(PktSrcAddr), value(PktDstAddr)) {
		return nil
	}

	start, okStart := parseTime(value(Start))
	end, okEnd := parseTime(value(End))
	switch {
	case !okStart && !missing(value(Start)):
		d.malformed(Start, value(Start))
		return nil
	case !okEnd && !missing(value(End)):
		d.malformed(End, value(End))
		return nil
	case !okStart:
		start = end
	case !okEnd:
		end = start
	}
	timed := okStart || okEnd
	if l.alibaba && !timed && l.has(Start) {
		d.refuse(0, causeNoTime, causeNoTime) // every record of that cloud has both
		return nil
	}
	if end < start {
		d.refuse(End, causeBackward, fmt.Sprintf("%d is before the start, %d", end, start))
		return nil
	}

	if status != flow.StatusOK {
		if !timed {
			d.unsupported(causeNoTime)
			return nil
		}
		if action != flow.ActionNone {
			d.stats.AddConflict(causeStatusAction, d.sample(LogStatus, status.String()+" beside the action "+action.String()))
		}
		return d.coverage(value(InterfaceID), status, start, end)
	}

	if l.lacks != "" {
		d.unsupported(l.lacks)
		return nil
	}
	if !stated && a.srcKind == addrMissing && action == flow.ActionNone {
		d.unsupported(causeNoStatus)
		return nil
	}
	var stated4, stated6 bool
	switch v := value(Type); {
	case string(v) == "IPv4":
		stated4 = true
	case string(v) == "IPv6":
		stated6 = true
	case missing(v):
	case string(v) == "EFA":
		d.unsupported(causeEFA)
		return nil
	default:
		d.unsupported(causeType)
		return nil
	}

	proto, ok := parseSmall(value(Protocol), 255)
	if !ok && !missing(value(Protocol)) {
		d.malformed(Protocol, value(Protocol))
		return nil
	}
	noProto := !ok
	srcPort, okSrc := parseSmall(value(SrcPort), 65535)
	if !okSrc && !missing(value(SrcPort)) {
		d.malformed(SrcPort, value(SrcPort))
		return nil
	}
	dstPort, okDst := parseSmall(value(DstPort), 65535)
	if !okDst && !missing(value(DstPort)) {
		d.malformed(DstPort, value(DstPort))
		return nil
	}
	flags, direction := flow.TCPFlags(0), flow.DirectionUnknown
	if v := value(TCPFlags); !missing(v) {
		n, ok := parseSmall(v, 255)
		if !ok {
			d.malformed(TCPFlags, v)
			return nil
		}
		flags = flow.FlagsKnown | flow.TCPFlags(n)
		if l.alibaba {
			flags = alibabaFlags(flags)
		}
	}
	switch v := value(FlowDirection); {
	case string(v) == "ingress", l.alibaba && string(v) == "in":
		direction = flow.Ingress
	case string(v) == "egress", l.alibaba && string(v) == "out":
		direction = flow.Egress
	case missing(v):
	case l.alibaba:
		d.malformed(ENIDirection, v)
		return nil
	default:
		d.malformed(FlowDirection, v)
		return nil
	}
	packets, ok := parseUint(value(Packets))
	if !ok && !missing(value(Packets)) {
		d.malformed(Packets, value(Packets))
		return nil
	}
	octets, ok := parseUint(value(Bytes))
	if !ok && !missing(value(Bytes)) {
		d.malformed(Bytes, value(Bytes))
		return nil
	}

	// All that is there can be read. Is all there that a flow needs?
	if cause := d.settle(&a, stated4); cause != "" {
		if cause == causeFamilies {
			d.refuse(0, cause, fmt.Sprintf("%s and %s are of different families", show(value(SrcAddr)), show(value(DstAddr))))
		} else {
			d.unsupported(cause)
		}
		return nil
	}
	switch {
	case action == flow.ActionNone:
		d.unsupported(causeNoAction)
		return nil
	case noProto:
		d.unsupported(causeNoProtocol)
		return nil
	case !timed:
		d.unsupported(causeNoTime)
		return nil
	case !flow.Proto(proto).HasPorts():
		srcPort, dstPort = 0, 0
	case !okSrc || !okDst:
		d.unsupported(causeNoPort)
		return nil
	}
	if stated4 && !a.src.Is4() || stated6 && a.src.Is4() {
		d.stats.AddConflict(causeTypeFamily, d.sample(Type, show(value(Type))+" beside the address "+a.src.String()))
	}

	i, err := d.columns.next()
	if err != nil {
		return err
	}
	d.stats.Rows++
	c := d.columns
	r := c.rows
	r.iface[i] = c.iface(ifaceName(value(InterfaceID)))
	r.src[i], r.dst[i] = a.src, a.dst
	r.srcPort[i], r.dstPort[i] = uint16(srcPort), uint16(dstPort)
	r.proto[i], r.action[i], r.status[i] = flow.Proto(proto), action, flow.StatusOK
	r.packets[i], r.bytes[i] = packets, octets
	r.start[i], r.end[i] = start, end
	if c.has&hasPackets != 0 {
		r.pktSrc[i], r.pktDst[i] = a.pktSrc, a.pktDst
	}
	if c.has&hasFlags != 0 {
		r.flags[i] = flags
	}
	if c.has&hasDirection != 0 {
		r.direction[i] = direction
	}
	return nil
}

// coverage fills a NODATA or SKIPDATA row.
func (d *LineDecoder) coverage(name []byte, status flow.Status, start, end int64) error {
	i, err := d.columns.next()
	if err != nil {
		return err
	}
	d.stats.Rows++
	r := d.columns.rows
	r.iface[i] = d.columns.iface(ifaceName(name))
	r.src[i], r.dst[i], r.pktSrc[i], r.pktDst[i] = flow.Addr{}, flow.Addr{}, flow.Addr{}, flow.Addr{}
	r.srcPort[i], r.dstPort[i] = 0, 0
	r.proto[i], r.direction[i] = 0, flow.DirectionUnknown
	r.action[i], r.status[i], r.flags[i] = flow.ActionNone, status, 0
	r.packets[i], r.bytes[i] = 0, 0
	r.start[i], r.end[i] = start, end
	return nil
}

// ifaceName gives the one name "-" to rows that name no interface. No policy has
// such an interface, so they end as unscoped.
func ifaceName(v []byte) []byte {
	if missing(v) {
		return []byte("-")
	}
	return v
}

// maxTime is the last second that AWS can mean by seconds; above it a time is in
// milliseconds. It stands until 2038, and milliseconds pass it after 25 days of 1970.
const maxTime = 1<<31 - 1

// parseTime reads a Unix time in seconds or milliseconds and returns seconds.
func parseTime(b []byte) (int64, bool) {
	n, ok := parseUint(b)
	if n > maxTime {
		n /= 1000
	}
	return int64(n), ok && n <= maxTime
}

// addresses are the four addresses of a row.
type addresses struct {
	src, dst, pktSrc, pktDst                 flow.Addr
	srcKind, dstKind, pktSrcKind, pktDstKind addrKind
}

// readAddresses parses the four values; it counts the row and returns false if one
// is not an address.
func (d *LineDecoder) readAddresses(a *addresses, src, dst, pktSrc, pktDst []byte) bool {
	if a.src, a.srcKind = parseAddr(src); a.srcKind == addrBad {
		d.malformed(SrcAddr, src)
		return false
	}
	if a.dst, a.dstKind = parseAddr(dst); a.dstKind == addrBad {
		d.malformed(DstAddr, dst)
		return false
	}
	if a.pktSrc, a.pktSrcKind = parseAddr(pktSrc); a.pktSrcKind == addrBad {
		d.malformed(PktSrcAddr, pktSrc)
		return false
	}
	if a.pktDst, a.pktDstKind = parseAddr(pktDst); a.pktDstKind == addrBad {
		d.malformed(PktDstAddr, pktDst)
		return false
	}
	return true
}

// settle decides the family of a row and returns the cause why there is none. Where
// the log has only the addresses of the packet header they stand in for the others.
//
// A mapped address is IPv4 if the row says so (type) or both of its addresses are
// mapped. Otherwise it is an IPv6 address that merely looks so, and since an Addr
// cannot hold it, the row is not used.
func (d *LineDecoder) settle(a *addresses, stated4 bool) (cause string) {
	if a.srcKind == addrMissing {
		a.src, a.srcKind = a.pktSrc, a.pktSrcKind
	}
	if a.dstKind == addrMissing {
		a.dst, a.dstKind = a.pktDst, a.pktDstKind
	}
	if a.srcKind == addrMissing || a.dstKind == addrMissing {
		return causeNoAddress
	}
	if cause := sameFamily(a.srcKind, a.dstKind, stated4); cause != "" {
		return cause
	}
	if a.pktSrcKind == addrMissing && a.pktDstKind == addrMissing {
		return ""
	}
	ps, pd := a.pktSrcKind, a.pktDstKind
	if ps == addrMissing {
		ps = a.srcKind
	}
	if pd == addrMissing {
		pd = a.dstKind
	}
	return sameFamily(ps, pd, stated4)
}

func sameFamily(a, b addrKind, stated4 bool) (cause string) {
	if a == addr4 && b == addr4 || a == addr6 && b == addr6 {
		return ""
	}
	if a == addrUnspecified || b == addrUnspecified {
		return causeUnspecified
	}
	if stated4 || a == addrMapped && b == addrMapped {
		if a == addrMapped {
			a = addr4
		}
		if b == addrMapped {
			b = addr4
		}
	}
	switch {
	case a == b:
		return ""
	case a == addrMapped && b == addr6, a == addr6 && b == addrMapped:
		return causeMapped
	}
	return causeFamilies
}

// malformed counts a row whose value of f breaks the rule of f.
func (d *LineDecoder) malformed(f Field, v []byte) {
	cause, note := f.String()+" "+rules[f], ""
	if d.layout.assumed {
		switch f {
		case Version, SrcAddr, DstAddr, Action, LogStatus:
			cause, note = causeNoLayout, "; "+adviceNoLayout
		}
	}
	r := d.stats.Malformed.at(cause)
	r.Count++
	if r.wants(d.file, d.line) {
		r.keep(d.sample(f, show(v)+" "+rules[f]+note))
	}
}

const adviceNoLayout = "no header line came before, so the default layout was tried: give --log-format"

// refuse counts a row as malformed for a cause of its own.
func (d *LineDecoder) refuse(f Field, cause, message string) {
	d.stats.AddMalformed(cause, d.sample(f, message))
}

func (d *LineDecoder) unsupported(cause string) {
	d.stats.AddUnsupported(cause, d.sample(0, cause))
}

// sample places a message at the current line; f is 0 for the row as a whole.
func (d *LineDecoder) sample(f Field, message string) Sample {
	s := Sample{File: d.file, Line: d.line, Message: message}
	if f != 0 {
		s.Field = f.String()
	}
	return s
}

// maxShown bounds values and names from the input in messages.
const maxShown = 64

func clip(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	return s
}

// show writes a value from the input for a message: as it is if it is plain, else
// quoted, and never long.
func show(v []byte) string {
	s := clip(string(v[:min(len(v), maxShown+1)]))
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '"' {
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
