package orient

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// farLog is what the log of the far end proves of the connections between two hosts.
// Rows of one pair of hosts follow one another, so it is read once for each pair.
type farLog struct {
	proto         flow.Proto
	local, remote flow.Addr
	free          uint8 // see store.Row.RemoteFree
	// Client ports by service port of proven connections, as our side sees them: those
	// we opened to the far end's port, and those it opened to ours.
	opened, served []farService
	even           []farRow // proven rows that time alone tells apart
}

// farService is a service port and the client ports of connections to it.
type farService struct {
	port    uint16
	clients uint64
}

// farRow is a proven row, as our side sees it.
type farRow struct {
	port   uint16
	opener flow.Direction
	times
}

func (f *farLog) answersFor(r *store.Row) bool {
	return f.proto == r.Proto && f.local == r.Local && f.remote == r.Remote && f.free == r.RemoteFree
}

func (f *farLog) read(d *decider, r *store.Row) {
	f.proto, f.local, f.remote, f.free = r.Proto, r.Local, r.Remote, r.RemoteFree
	f.opened, f.served, f.even = f.opened[:0], f.served[:0], f.even[:0]
	if r.RemoteFree > 0 {
		return // several peers, none of which need have a log here
	}
	peer, ok := d.env.Peer(r.Interface, r.Remote)
	if !ok || peer == r.Interface {
		return
	}
	s := d.spans[peer]
	var x store.Row
	lo := s.lo
	for hi := s.hi; lo < hi; { // first row of (protocol, remote = our address)
		m := int(uint(lo+hi) >> 1)
		d.c.Head(m, &x)
		if cmp.Or(cmp.Compare(x.Proto, r.Proto), x.Remote.Compare(r.Local)) < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	for i := lo; i < s.hi; i++ {
		d.c.Head(i, &x)
		if x.Proto != r.Proto || x.Remote != r.Local {
			break
		}
		if x.Local != r.Remote || x.RemoteFree > 0 || !d.ops[i].Method.Proven() {
			continue
		}
		if even(&x) {
			first, last := d.c.Times(i)
			f.even = append(f.even, farRow{x.LocalPort, d.ops[i].Opener.Reverse(), times{first, last}})
		}
		switch {
		case d.ops[i].Opener == flow.Ingress && x.Client != store.LocalClient:
			f.opened = append(f.opened, farService{x.LocalPort, clientBits(x.Client, x.LocalPort, x.RemotePort, x.PortBits, flow.Ingress)})
		case d.ops[i].Opener == flow.Egress && x.Client != store.RemoteClient:
			f.served = append(f.served, farService{x.RemotePort, clientBits(x.Client, x.LocalPort, x.RemotePort, x.PortBits, flow.Egress)})
		}
	}
	f.opened, f.served = joined(f.opened), joined(f.served)
}

// joined returns s in the order of ports, each of them once.
func joined(s []farService) []farService {
	byPort := func(a, b farService) int { return cmp.Compare(a.port, b.port) }
	if !slices.IsSortedFunc(s, byPort) {
		slices.SortFunc(s, byPort)
	}
	out := s[:0]
	for _, x := range s {
		if n := len(out); n > 0 && out[n-1].port == x.port {
			out[n-1].clients |= x.clients
			continue
		}
		out = append(out, x)
	}
	return out
}

// clients returns the client ports of connections to port.
func clients(s []farService, port uint16) uint64 {
	n, ok := slices.BinarySearchFunc(s, port, func(x farService, port uint16) int { return cmp.Compare(x.port, port) })
	if !ok {
		return 0
	}
	return s[n].clients
}

// opener returns who opened row r, seen over t, if the far end's log proves it.
func (f *farLog) opener(r *store.Row, t times) flow.Direction {
	if even(r) {
		var by [3]bool
		for i := range f.even {
			if x := &f.even[i]; x.port == r.LocalPort && x.near(t) {
				by[x.opener] = true
			}
		}
		switch {
		case by[flow.Ingress] && !by[flow.Egress]:
			return flow.Ingress
		case by[flow.Egress] && !by[flow.Ingress]:
			return flow.Egress
		}
		return flow.DirectionUnknown
	}
	opened, served := clients(f.opened, r.RemotePort), clients(f.served, r.LocalPort)
	out := r.Client != store.RemoteClient && opened != 0 && clientBits(r.Client, r.LocalPort, r.RemotePort, r.PortBits, flow.Egress)&^opened == 0
	in := r.Client != store.LocalClient && served != 0 && clientBits(r.Client, r.LocalPort, r.RemotePort, r.PortBits, flow.Ingress)&^served == 0
	switch {
	case in && !out:
		return flow.Ingress
	case out && !in:
		return flow.Egress
	}
	return flow.DirectionUnknown
}
