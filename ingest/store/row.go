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
// bounds down, see Config.PortBounds and Ports), so every rule decides a folded row as it
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

	// RemoteFree is how many low bits of Remote are folded: the row is of all its peers in
	// the prefix that begins at Remote, whose low RemoteFree bits are 0, and not of any
	// other. 0: Remote is the one peer. See Config.MaxRows.
	RemoteFree uint8

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
	Prints    []Print // of the records of flows, by day and verdict; see Twice
}

// Span is a closed interval of Unix seconds.
type Span struct{ From, To int64 }

// SideBounds are the first ports of the port classes of an interface: of the ports on its
// own side, and of its peers'. A row whose side is unknown is folded by both.
type SideBounds struct{ Local, Remote []uint16 }

// Config tells a Tally what the policy knows, as plain values.
type Config struct {
	// Local gives the addresses of each interface, for logs that do not state the
	// direction. Interfaces that it lacks keep Side unknown unless the log says.
	Local map[string][]flow.Addr
	// PortBounds are the first ports of the port classes, in any order; 0 is implied.
	PortBounds []uint16
	// Ports gives the bounds of interfaces that only some of the rules decide about: those
	// of these rules alone. Fewer bounds are fewer rows. For interfaces that it lacks
	// PortBounds counts, on both sides.
	Ports map[string]SideBounds
	// From and To bound the window: records that do not meet [From, To) are left
	// out and counted apart. Zero: no bound.
	From, To int64
	// Cuts gives, for the interfaces whose path changed over time, the moments at which it
	// did, ascending. Era n of such an interface begins at cut n-1, and records of
	// different eras are different rows.
	Cuts map[string][]int64
	// MaxRows is how many distinct rows are kept as they are; 0: any number. When there are
	// more, the services with the most rows are rolled up: a service is what an interface,
	// from one address, talks about with whomever, by the ports that are exact, in an era.
	// Its peers are put together to prefixes of /24 (IPv6 /48), then /20 (/40), and so on.
	// What is rolled up follows from the set of all records alone, whatever their order,
	// batches, workers and merging:
	//
	//   - All rows of a service are at one level: each has the level's prefix, or the
	//     longest part of it with the peer that no AddrBounds cuts. So each rule decides all
	//     addresses of a row alike, if the bounds are those of all rules.
	//   - Each record is in exactly one row: that of its service whose prefix holds its
	//     peer. Its prefixes are apart from each other.
	//   - A service with no more than [RollUp.Peers] rows is exact. In a service that is
	//     not, even of a peer alone in its prefix only the prefix is kept.
	//   - Rows of an unknown Side are exact.
	//
	// More rows than this are left if the services, with their prefixes at the coarsest
	// level, are more: nothing is dropped.
	MaxRows int
	// AddrBounds are the first addresses of the address classes, in any order: for each set
	// of addresses that remote addresses will be compared with, the first address of each
	// of its ranges, and the first one behind. They count with MaxRows only.
	AddrBounds []flow.Addr
	// Workers is how many goroutines Finish uses; 0: one. It does not show in the result.
	Workers int
}
