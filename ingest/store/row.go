package store

import "github.com/sgadvise/sgadvise/ingest/flow"

// ClientSide says whose port of a row was folded into its port class because the
// record says, by itself, that this side looks like the client.
type ClientSide uint8

const (
	NoClient     ClientSide = iota // both ports are exact
	LocalClient                    // LocalPort is a class; RemotePort is exact
	RemoteClient                   // RemotePort is a class; LocalPort is exact
)

// Row is one distinct connection half as the store keeps it: all records of one
// interface, side, protocol, pair of addresses and ports, action and flag class.
//
// A client's port is folded to the lowest port of its class. A class is an
// interval of ports that no rule of the policy tells apart (the caller hands the
// bounds down, see Config.PortBounds), so every rule decides a folded row as it
// would decide each record in it. PortLo, PortHi and PortBits keep what was seen
// of the folded port.
type Row struct {
	Interface             uint32 // index into Connections.Interfaces
	Side                  flow.Direction
	Proto                 flow.Proto
	Action                flow.Action
	Class                 flow.FlagClass
	Client                ClientSide
	Local, Remote         flow.Addr // packet addresses where the log has them; source and destination if Side is unknown
	LocalPort, RemotePort uint16

	PortLo, PortHi uint16 // least and greatest folded port; 0, 0 if Client is NoClient
	PortBits       uint64 // bit i: a folded port p with p%64 == i was seen (a linear counter)

	Flags                   flow.TCPFlags // OR of all
	Records, Packets, Bytes uint64
	First, Last             int64  // least start, greatest end; Unix s
	Days                    uint64 // bit d%64: a record started on Unix day d
}

// Coverage is what the log shows of one interface whatever its traffic.
type Coverage struct {
	Interface string
	From, To  int64   // least start and greatest end of any row; Unix s
	Records   uint64  // rows of every status
	NoData    uint64  // of them NODATA
	Days      []int32 // Unix days with any row except SKIPDATA, ascending
	Skips     []Span  // SKIPDATA intervals, sorted, merged where they meet
	SkipRows  uint64
}

// Span is a closed interval of Unix seconds.
type Span struct{ From, To int64 }

// Config tells a Tally what the policy knows, as plain values.
type Config struct {
	// Local gives the addresses of each interface, for logs that do not state the
	// direction. Interfaces that it lacks keep Side unknown unless the log says.
	Local map[string][]flow.Addr
	// PortBounds are the first ports of the port classes, ascending; 0 is implied.
	PortBounds []uint16
	// From and To bound the window: records that do not meet [From, To) are left
	// out and counted apart. Zero: no bound.
	From, To int64
	Workers  int // 0: one
}
