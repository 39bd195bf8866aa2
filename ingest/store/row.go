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
// interface, side, protocol, pair of addresses and ports, action and flag class, in one
// era of the interface if the caller cut its time (see Config.Cuts).
//
// A client's port is folded to the lowest port of its class. A class is an
// interval of ports that no rule of the policy tells apart (the caller hands the
// bounds down, see Config.PortBounds), so every rule decides a folded row as it
// would decide each record in it. PortLo, PortHi and PortBits keep what was seen
// of the folded port.
//
// Counts stay at their greatest value rather than wrap. Local and Remote are as
// the log has them: where it mixes families, as packet addresses of a NAT64
// gateway may, so does the row.
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

	// EraLo and EraHi are the first and the last era of the interface that the records
	// touch, all of them the same ones; 0, 0 without cuts.
	EraLo, EraHi uint32
}

// EraSlack is how many seconds before and after its own time a record may belong to: logs
// begin and end a minute late or early, and so do changes of rules.
const EraSlack = 60

// Coverage is what the log shows of one interface whatever its traffic. Records
// last minutes, so of one that claims to touch more than three days only the
// first and the last count as Days.
type Coverage struct {
	Interface string
	From, To  int64   // least start and greatest end of any row; Unix s
	Records   uint64  // rows of every status
	NoData    uint64  // of them NODATA
	Days      []int32 // Unix days with any row except SKIPDATA, ascending; those outside 0 to 65535 count as the nearest
	Skips     []Span  // SKIPDATA intervals, sorted; merged where they overlap or follow each other without a second between
	SkipRows  uint64
}

// Span is a closed interval of Unix seconds.
type Span struct{ From, To int64 }

// Config tells a Tally what the policy knows, as plain values.
type Config struct {
	// Local gives the addresses of each interface, for logs that do not state the
	// direction. Interfaces that it lacks keep Side unknown unless the log says.
	Local map[string][]flow.Addr
	// PortBounds are the first ports of the port classes, in any order; 0 is implied.
	PortBounds []uint16
	// From and To bound the window: records that do not meet [From, To) are left
	// out and counted apart. Zero: no bound.
	From, To int64
	// Cuts gives, for the interfaces whose path changed over time, the moments at which it
	// did, ascending. Era n of such an interface begins at cut n-1, and records of
	// different eras are different rows.
	Cuts map[string][]int64
	// Workers is how many goroutines Finish uses; 0: one. It does not show in the result.
	Workers int
}
