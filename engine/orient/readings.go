package orient

import (
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Reading is one way to understand a row: who is local, who opened the connection,
// which port was the service.
type Reading struct {
	Opener                flow.Direction // direction of the connection's first packet
	Packet                flow.Direction // direction of the row's own packets
	Local, Remote         flow.Addr
	RemoteFree            uint8  // low bits of Remote that are folded, as in the row
	LocalPort, RemotePort uint16 // a folded port is the lowest of its class
	// Port and PortHi bound the service port; they differ only if that port was
	// folded and several were seen.
	Port, PortHi uint16
}

// IsReply reports whether the row's packets run against the opening direction.
func (r *Reading) IsReply() bool { return r.Packet != r.Opener }

// Readings appends to dst every reading of row r that opinion o leaves open: one if the
// opener and the side are known, up to four otherwise.
func Readings(dst []Reading, r *store.Row, o Opinion) []Reading {
	for _, packet := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		if r.Side != flow.DirectionUnknown && r.Side != packet {
			continue
		}
		for _, opener := range [2]flow.Direction{flow.Ingress, flow.Egress} {
			switch {
			case o.Opener != flow.DirectionUnknown && o.Opener != opener:
				continue
			case o.Opener == flow.DirectionUnknown && r.Class == flow.Opener && opener != packet,
				o.Opener == flow.DirectionUnknown && r.Class == flow.Answer && opener == packet:
				// The flags say which end of the packet opened, only not which end is ours.
				continue
			}
			dst = append(dst, Read(r, packet, opener))
		}
	}
	return dst
}

// Read returns the reading of r whose own packets ran in direction packet, and whose
// connection was opened in direction opener.
func Read(r *store.Row, packet, opener flow.Direction) Reading {
	x := Reading{Opener: opener, Packet: packet, Local: r.Local, Remote: r.Remote, RemoteFree: r.RemoteFree,
		LocalPort: r.LocalPort, RemotePort: r.RemotePort}
	client := r.Client
	if r.Side == flow.DirectionUnknown && packet == flow.Ingress {
		// Such a row holds its source as local; seen as ingress, the source is remote.
		x.Local, x.Remote = r.Remote, r.Local
		x.LocalPort, x.RemotePort = r.RemotePort, r.LocalPort
		switch client {
		case store.LocalClient:
			client = store.RemoteClient
		case store.RemoteClient:
			client = store.LocalClient
		}
	}
	service, folded := x.LocalPort, client == store.LocalClient
	if opener == flow.Egress {
		service, folded = x.RemotePort, client == store.RemoteClient
	}
	x.Port, x.PortHi = service, service
	if folded {
		x.Port, x.PortHi = r.PortLo, r.PortHi
	}
	return x
}
