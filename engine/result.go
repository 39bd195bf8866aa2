package engine

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Result is what replaying a set of connections against a policy showed. It is
// immutable and does not depend on the number of workers.
//
// Where the past of the policy is known, each record is judged by what was in force at
// its time: the ledger and the fidelity are those of the rules of then. What the result
// says of rules, and the verdicts of connections, are about the present ones.
type Result struct {
	Snapshot *policy.Snapshot // the present one
	Store    *store.Connections
	// History is the policy over time; nil if only one snapshot is known.
	History *policy.History

	Ledger   flow.Ledger // over all records that were read, less those of unread kinds (the caller adds them)
	Fidelity Fidelity

	// Rules are those of Snapshot.Rules(), same order, and after those the implicit
	// ones on the path of any interface that was logged, by ref. An implicit rule of both
	// directions (the members of a group among themselves) is there once, as ingress.
	Rules []*policy.Rule
	// Usage holds one entry for each rule of Rules.
	Usage []Usage

	// Connections are the distinct connections of interfaces that the snapshot
	// has, ordered by interface, direction, protocol, remote address, port.
	// Accepted ones whose opener is undecided, or weakly inferred, appear
	// once in each reading.
	Connections Connections
	// Parts divide connections over whose time other rules came into force: see [Part].
	Parts []Part

	// Openers holds, for each row of Store, who opened its connection and how that is known.
	Openers []orient.Opinion

	// Excerpts are what is left of the rows of Store, by interface; nil: all of them. See
	// [ReplayReleasing].
	Excerpts []Excerpt

	// Traffic says what rows there are of the interfaces that the snapshot has.
	Traffic struct{ Any, Accepted bool }

	// Signatures are the distinct sets of rules that connections credit.
	Signatures []Signature

	// Former counts the connections that were carried by rules which are no longer there,
	// or had another content, at some time. They credit no present rule; one that would
	// have carried them is a possible hit.
	Former uint64
	// Outlived counts the records of connections that the rules of their time do not
	// allow and earlier ones did: they were opened under those, and lived on.
	Outlived uint64
	// RejectedBy counts the rejected records by the layer that must have done it.
	RejectedBy RejectLayers

	Orientation Orientation
	Undecided   []Undecided // the greatest by records, at most 100
}

// Connection is what a group decides on: interface, direction, protocol, peer and
// service port, with the evidence for it.
type Connection struct {
	Interface int32 // index into Snapshot.Interfaces
	Direction flow.Direction
	Proto     flow.Proto
	Action    flow.Action // what the log says was done with the opener's packets; Accept if only replies were seen
	Remote    flow.Addr
	// RemoteFree is how many low bits of Remote are folded: the connection stands for all
	// those, at least one, with peers in the prefix that begins at Remote. 0: one peer.
	RemoteFree uint8
	// Port and PortHi are the service port. They differ only where the opener is
	// undecided or weakly inferred and the port was folded: then every port between them may have been
	// the service, and no rule on the paths of the interface tells them apart.
	Port, PortHi uint16
	Certain      bool           // the opener is decided; false: one of two readings, or the one that inference turned down
	Proven       bool           // by flags or by what the rules make impossible
	Answered     bool           // packets came back (TCP: other than a bare RST)
	Verdict      policy.Verdict // of the whole path, for the opener's packets
	// GroupVerdict is the verdict of the stateful stages alone. An accepted connection
	// that they allow is traffic the group rules carry, even where the snapshot's ACL
	// does not explain it.
	GroupVerdict policy.Verdict
	// Carried: accepted, and the rules of its time, which are known and not all those of
	// the present, carried every record of it. Where it is not known which of two were in
	// force, both do.
	Carried     bool
	Signature   int32  // index into Result.Signatures
	Records     uint64 // both directions
	Packets     uint64
	Bytes       uint64
	First, Last int64
	Days        uint64
}

// Peers returns the addresses that the peers of c are among: its one peer, or the prefix
// that they were rolled up to. No set of addresses that the snapshot knows cuts it.
func (c *Connection) Peers() netset.Addrs { return netset.Folded(c.Remote, c.RemoteFree) }

// Part is what of a connection one set of rules of the present has to do with, where it
// is not the same set for all of it. Parts are in order of their connection; those of one
// connection have all its records, each once, and all rules of its signature.
type Part struct {
	Connection int32 // index into Result.Connections
	Signature  int32
	Seen
}

// Seen is what was seen of a connection, or of a part of it.
type Seen struct {
	Records, Packets, Bytes uint64 // both directions
	First, Last             int64
	Days                    uint64
}

func (s *Seen) add(o Seen) {
	if s.Records == 0 {
		s.First, s.Last = o.First, o.Last
	}
	s.First, s.Last, s.Days = min(s.First, o.First), max(s.Last, o.Last), s.Days|o.Days
	s.Records, s.Packets, s.Bytes = sum(s.Records, o.Records), sum(s.Packets, o.Packets), sum(s.Bytes, o.Bytes)
}

// Reaches reports whether what was in force until some time, in Unix seconds, matters to
// the window of the log: connections that show in it may have been opened before it.
func (r *Result) Reaches(until int64) bool {
	from, _ := r.Store.Window()
	return reaches(until, from)
}

// Seen returns what was seen of connection i while rule id, which is in its signature,
// decided it; where the rule never certainly did, while it perhaps did.
func (r *Result) Seen(i int, id int32) Seen {
	n, ok := slices.BinarySearchFunc(r.Parts, int32(i), func(p Part, i int32) int { return cmp.Compare(p.Connection, i) })
	if !ok {
		c := r.Connections.At(i)
		return Seen{c.Records, c.Packets, c.Bytes, c.First, c.Last, c.Days}
	}
	hi := n
	for hi < len(r.Parts) && r.Parts[hi].Connection == int32(i) {
		hi++
	}
	return seenBy(id, r.Parts[n:hi], func(p *Part) *Signature { return &r.Signatures[p.Signature] })
}

// seenBy is Seen for the parts of one connection.
func seenBy(id int32, parts []Part, signature func(*Part) *Signature) Seen {
	var hit, perhaps Seen
	for n := range parts {
		switch s := signature(&parts[n]); {
		case has(s.Hits, id):
			hit.add(parts[n].Seen)
		case has(s.Possible, id):
			perhaps.add(parts[n].Seen)
		}
	}
	if hit.Records > 0 {
		return hit
	}
	return perhaps
}

// Signature is what a connection says of rules. Rules are indexes into Result.Usage,
// ascending.
type Signature struct {
	Hits     []int32 // rules that win it, or won it as they are, the ACL lines that pass its replies included
	Decisive []int32 // of them, those without which its verdict would change
	// Possible are rules it would or might win in a reading that is not settled or not
	// ruled out, and those that would win it now and were not there.
	Possible []int32
}

// Usage is the evidence for one rule.
type Usage struct {
	Ref  policy.Ref
	Hits uint64 // distinct decided connections that the rule wins; at least so many, if Folded is not 0
	// Folded are, of the hits, those that stand for all connections with the peers of a
	// prefix. Their records are the rule's as soon as those of one of the peers are.
	Folded   uint64
	Decisive uint64 // of them, those whose verdict would change without the rule
	Proven   uint64 // of the decisive ones, those whose opener is proven
	Answered uint64 // of the hits, those that were answered
	Possible uint64 // connections it would win under an undecided reading or one that a weak inference turned down, or perhaps matches

	Records, Packets, Bytes uint64
	First, Last             int64 // 0, 0 without hits
	Days                    uint64
	Peers                   uint64 // distinct remote addresses of the hits; at least so many, if Folded is not 0
	Interfaces              uint64 // interfaces on which it has hits
}

// Fidelity says how far the policy explains the log.
type Fidelity struct {
	Judged, Agree uint64
	Interfaces    []InterfaceFidelity // in order of id, those with any judged record
}

// Rate returns agree / judged, 1 if nothing was judged.
func (f *Fidelity) Rate() float64 {
	if f.Judged == 0 {
		return 1
	}
	return float64(f.Agree) / float64(f.Judged)
}

// InterfaceFidelity is the fidelity of one interface with the causes of its
// disagreements: cause → records.
type InterfaceFidelity struct {
	Interface     string
	Judged, Agree uint64
	Outlived      uint64 // of the agreeing records, those that earlier rules alone explain
	Causes        map[string]uint64
}

// RejectLayers counts rejected records by what must have rejected them, as far as the
// policy tells: the log does not. Packets that open nothing and belong to nothing open
// are rejected by no rule, and not counted; neither are those of interfaces that the
// policy does not have.
type RejectLayers struct {
	Groups uint64 // the groups deny, and no network ACL does: it allows, or does not filter inside a subnet
	ACL    uint64 // the network ACL denies, and the groups allow, or do not filter answers
	Either uint64 // both deny; or the groups do, and what the network ACL does is not known
	// Unknown: everything that is known allows, or too little is known: a network ACL that
	// is not exported, a change that is not recorded, a control beside the rules.
	Unknown uint64
}

// Orientation counts records by how their opener was decided.
type Orientation [orient.NumMethods]uint64

// Undecided is a connection whose opener stays open, for the list in the report.
type Undecided struct {
	Interface             string
	Proto                 flow.Proto
	Local, Remote         flow.Addr
	LocalPort, RemotePort uint16
	RemoteFree            uint8 // see Connection
	Records               uint64
}
