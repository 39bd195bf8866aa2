package orient

import (
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Roll-up
//
// A row that was rolled up says that some of its hosts did what it says, not which of them.
// What it says by itself, by its flags or by the rules, holds for all of them. What rows say
// of each other holds for rows of the same host alone: of such rows it is taken as far as no
// other host behind the row could contradict it, and what is left open stays open.

// proofs are what flags prove of connections with hosts that are rolled up at an interface:
// that they asked for a local endpoint, or were asked at a remote port, which stands there as
// an endpoint without address. Any host may be the one.
type proofs struct{ served, asked map[endpoint]bool }

// proofs collects those in s.
func (d *decider) proofs(s span) (p proofs) {
	if !d.rolled {
		return p
	}
	var r store.Row
	for i := s.lo; i < s.hi; i++ {
		d.c.Head(i, &r)
		if r.RemoteFree == 0 || r.Side == flow.DirectionUnknown || r.Class != flow.Opener && r.Class != flow.Answer {
			continue
		}
		if p.served == nil {
			p = proofs{make(map[endpoint]bool), make(map[endpoint]bool)}
		}
		t := talk{local: r.Local, client: r.Client, lport: r.LocalPort, rport: r.RemotePort, lo: r.PortLo, hi: r.PortHi}
		if (r.Side == flow.Ingress) == (r.Class == flow.Opener) {
			if port, ok := t.localPort(); ok {
				p.served[endpoint{r.Local, port, r.Proto, 0}] = true
			}
		} else if port, ok := t.remotePort(); ok {
			p.asked[endpoint{port: port, proto: r.Proto}] = true
		}
	}
	return p
}

// against reports whether p may prove of t that it was not opened in direction o.
func (p *proofs) against(proto flow.Proto, t *talk, o flow.Direction) bool {
	if p.served == nil || o == flow.DirectionUnknown {
		return false
	}
	var ports map[endpoint]bool
	at := endpoint{proto: proto}
	var port uint16
	var exact bool
	if o == flow.Egress {
		ports, at.addr = p.served, t.local
		port, exact = t.localPort()
	} else {
		ports = p.asked
		port, exact = t.remotePort()
	}
	if at.port = port; exact {
		return ports[at]
	}
	for e := range ports {
		if e.addr == at.addr && e.proto == proto && t.lo <= e.port && e.port <= t.hi && t.bits>>(e.port&63)&1 != 0 && !isService(proto, e.port) {
			return true
		}
	}
	return false
}

// attempt reports whether a rejected packet of t on this side, of hosts that are rolled up
// and had nothing accepted, can only have been an attempt: no other conversation, which may
// be of the same hosts, has the port that would then be the service's.
func (t *talk) attempt(at far, side flow.Direction, e *fans) bool {
	if side == flow.Egress {
		p, ok := t.localPort()
		return !ok || e.at[endpoint{t.local, p, at.proto, 0}].ends == 0
	}
	p, ok := t.remotePort()
	return !ok || !e.used[endpoint{port: p, proto: at.proto}]
}

// maybeAttempt reports whether o may be wrong of the rejected row r because it is of hosts
// that are rolled up: of one without any accepted row, it is an attempt of its sender, or
// nothing is known of it.
func maybeAttempt(at far, r *store.Row, o Opinion) bool {
	return at.folded() && r.Action == flow.Reject && (r.Class != flow.NoFlags || o.Opener != r.Side)
}

// or returns what is left of o if it may as well be p.
func (o Opinion) or(p Opinion) Opinion {
	switch {
	case o.Method != ByNothing && p.Method != ByNothing && o.Opener != p.Opener:
		return Opinion{}
	case o.Method == ByNothing:
		o, p = p, o
	}
	o.Weak = o.Method != ByNothing && (o.Weak || p.Weak || p.Method == ByNothing)
	return o
}

// staysOpen is the opinion, while opinions are made, on a row of which nothing is to be
// inferred any more.
var staysOpen = Opinion{Weak: true}
