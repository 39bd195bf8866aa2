package orient

import "github.com/sgadvise/sgadvise/ingest/flow"

// Method is how the opener of a connection was decided, strongest first.
type Method uint8

const (
	ByNothing   Method = iota // undecided
	ByFlags                   // SYN, or SYN and ACK, in the record itself
	ByPair                    // another record of the same connection has the flags
	ByRules                   // the rules make the other reading impossible
	ByPeer                    // the far end's own log decides it
	ByFanIn                   // many clients, one service
	ByPorts                   // one side has a service port, well known or known from other connections of the hosts
	ByOneWay                  // packets in one direction only, or answers rejected
	ByRejection               // a rejected packet without any accepted one is an attempt of its sender
	NumMethods  = iota
)

func (m Method) String() string {
	return [...]string{"undecided", "flags", "pair", "rules", "peer", "fan-in", "ports", "one-way", "rejection"}[m]
}

// Proven reports whether m is proof rather than inference.
func (m Method) Proven() bool { return m >= ByFlags && m <= ByPeer }

// Opinion is who opened the connection of one row, as the direction in which its
// first packet crossed the interface: Ingress if the remote side opened it,
// Egress if the local side did, DirectionUnknown if undecided.
type Opinion struct {
	Opener flow.Direction
	Method Method
	// Weak: the other reading is less likely, and not ruled out. Whoever decides what
	// may go must count it, too.
	Weak bool
}
