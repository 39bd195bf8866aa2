package flow

import "net/netip"

// Direction is the way a packet crosses an interface: in or out. It is not who
// opened the connection. The zero value means "not known".
type Direction uint8

const (
	DirectionUnknown Direction = iota
	Ingress
	Egress
)

func (d Direction) String() string {
	switch d {
	case Ingress:
		return "ingress"
	case Egress:
		return "egress"
	}
	return "unknown"
}

// Reverse returns the other direction; the unknown one stays unknown.
func (d Direction) Reverse() Direction {
	switch d {
	case Ingress:
		return Egress
	case Egress:
		return Ingress
	}
	return d
}

// Action is what the log says was done with the packets of a record.
type Action uint8

const (
	ActionNone Action = iota // "-": no flow, or not stated
	Accept
	Reject
)

func (a Action) String() string {
	switch a {
	case Accept:
		return "ACCEPT"
	case Reject:
		return "REJECT"
	}
	return "-"
}

// Status is the log's own word on a row.
type Status uint8

const (
	StatusOK       Status = iota // a flow
	StatusNoData                 // capture worked, no traffic: coverage
	StatusSkipData               // records were lost: a gap
)

func (s Status) String() string {
	return [...]string{"OK", "NODATA", "SKIPDATA"}[s]
}

// TCPFlags holds the flags of a TCP record, OR-ed over its interval, with
// FlagsKnown set when the log stated them. The zero value means "not stated",
// which is different from "stated, and none recorded" (FlagsKnown alone).
type TCPFlags uint16

const (
	FIN        TCPFlags = 1
	SYN        TCPFlags = 2
	RST        TCPFlags = 4
	ACK        TCPFlags = 16
	FlagsKnown TCPFlags = 1 << 8
)

// FlagClass is what the flags of one record say about its source.
type FlagClass uint8

const (
	NoFlags FlagClass = iota // not TCP, or flags not stated
	Opener                   // SYN without ACK: the record's source opened the connection
	Answer                   // SYN and ACK: the record's destination opened it
	Midlife                  // flags stated, without SYN: opened earlier, by whom is not said here
)

func (c FlagClass) String() string {
	return [...]string{"no-flags", "opener", "answer", "midlife"}[c]
}

// Class returns the class of the flags f of a record of protocol p.
func (f TCPFlags) Class(p Proto) FlagClass {
	switch {
	case p != TCP || f&FlagsKnown == 0:
		return NoFlags
	case f&(SYN|ACK) == SYN:
		return Opener
	case f&(SYN|ACK) == SYN|ACK:
		return Answer
	}
	return Midlife
}

// Record is one row of a flow log as captured. Addresses are unmapped; the zero
// netip.Addr means "-". Ports are 0 for protocols without ports.
type Record struct {
	Interface        string
	Src, Dst         netip.Addr
	PktSrc, PktDst   netip.Addr // addresses in the packet header, where the log has them
	SrcPort, DstPort uint16
	Proto            Proto
	Direction        Direction
	Action           Action
	Status           Status
	Flags            TCPFlags
	Packets, Bytes   uint64
	Start, End       int64 // Unix seconds, UTC; End >= Start
}
