package orient

import (
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Weights of the inference, in half points. Measured on synthetic pairs fan-in alone is
// right in 97 %, ports alone in 89 %. A score below strong is enough to say which
// reading is likely, not to rule the other one out: a client's port may be low behind
// address translation and load balancers, and a service's high.
const (
	fanWeight       = 6
	serviceWeight   = 4
	ephemeralWeight = 3
	enough          = 2
	strong          = 6
)

// guess applies fan-in, ports and one-way traffic to a conversation. Where hosts are rolled
// up it weighs all that may be behind it: what does not come out the same is weak.
func (g *hosts) guess(t *talk, e *fans, v *veil) Opinion {
	at := &g.at
	oneWay, rejected := flow.DirectionUnknown, false
	var perhaps [3]bool // of hosts whose answers alone were rejected
	for _, side := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		back := side.Reverse()
		perhaps[side] = at.folded() && t.accept[side] && t.reject[back]
		if !t.accept[side] || t.accept[back] || t.accept[flow.DirectionUnknown] {
			continue
		}
		// Answers were rejected, or (UDP, different ports) there is none at all.
		if t.reject[back] || at.proto == flow.UDP && !t.equalPorts() {
			oneWay, rejected = side, t.reject[back]
		}
	}
	if rejected && !at.folded() {
		return v.soften(Opinion{oneWay, ByOneWay, false})
	}
	var o Opinion
	if at.proto.HasPorts() && !t.equalPorts() {
		o = g.compare(t, e, v)
	}
	if o.Method == ByNothing && oneWay != flow.DirectionUnknown {
		o = Opinion{oneWay, ByOneWay, true}
	}
	for _, side := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		if perhaps[side] {
			o = o.or(Opinion{side, ByOneWay, false})
		}
	}
	return v.soften(o)
}

// compare compares the two ends of t.
func (g *hosts) compare(t *talk, e *fans, v *veil) Opinion {
	lport, exact := t.localPort()
	l, r := e.look(endpoint{t.local, lport, g.at.proto}, exact), g.lookFar(t)
	if v == nil {
		return compare(l, r, g.at.proto)
	}
	x := t.see(&g.at, e, v, l, r)
	o := compare(x.forLocal[0], x.forLocal[1], g.at.proto).or(compare(x.forRemote[0], x.forRemote[1], g.at.proto))
	if v.against(g.at.proto, t, o.Opener) {
		return Opinion{}
	}
	return o
}

func (t *talk) equalPorts() bool {
	l, lok := t.localPort()
	r, rok := t.remotePort()
	return lok && rok && l == r
}

// looks is what an endpoint looks like.
type looks struct {
	ends, hosts int  // what meets there
	service     bool // its port is a service's by convention
	ephemeral   bool // its port, or the least of them, is a client's by convention
}

// compare says which of two endpoints is the service, if enough speaks for it. The
// opinion is weak unless the other reading would need something odd: the winner has a
// service's port, or (where connections have one client each) several hosts meet there.
func compare(l, r looks, proto flow.Proto) Opinion {
	score, method := 0, ByPorts
	switch {
	case l.ends >= 3 && l.ends >= 2*r.ends:
		score, method = fanWeight, ByFanIn
	case r.ends >= 3 && r.ends >= 2*l.ends:
		score, method = -fanWeight, ByFanIn
	}
	switch {
	case l.service && !r.service:
		score += serviceWeight
	case r.service && !l.service:
		score -= serviceWeight
	}
	switch {
	case r.ephemeral && !l.ephemeral:
		score += ephemeralWeight
	case l.ephemeral && !r.ephemeral:
		score -= ephemeralWeight
	}
	// A client of UDP may ask many servers from one port: there, fan-in alone is weak.
	weak := func(winner, loser looks) bool {
		return max(score, -score) < strong || !(winner.service && !loser.service) && (winner.hosts < 2 || proto == flow.UDP)
	}
	switch {
	case score >= enough:
		return Opinion{flow.Ingress, method, weak(l, r)}
	case score <= -enough:
		return Opinion{flow.Egress, method, weak(r, l)}
	}
	return Opinion{}
}

// ephemeral is where the client ranges of Linux (32768) and Windows (49152) begin;
// load balancers and NAT gateways use ports from 1024, so a lower port proves nothing.
const ephemeral = 32768

// servicePorts are the services among the ports from 512 to 1023; the others are source
// ports of file and remote-shell clients as often as services.
var servicePorts = []uint16{514, 515, 520, 543, 544, 546, 547, 548, 554, 563, 587, 593, 623, 631, 636, 646, 749, 853, 860, 873, 902, 989, 990, 992, 993, 995}

// peerPorts are UDP ports from which peers also ask each other: time, key exchange.
var peerPorts = []uint16{123, 500}

// udpServices are the services of UDP from 1024 on: tunnels, authentication, counters,
// discovery. Media streams use any port there, those that TCP services have, too.
var udpServices = []uint16{1194, 1645, 1646, 1701, 1812, 1813, 1900, 2049, 2055, 3478, 4739, 4789, 5353, 5355, 6081, 6343, 8125, 8472, 9995, 9996, 11211}

// isService reports whether p is a service's port by convention. 20 is the source of
// active FTP data.
func isService(proto flow.Proto, p uint16) bool {
	switch {
	case proto == flow.UDP && slices.Contains(peerPorts, p):
		return false
	case p < 512:
		return p != 20
	case p < 1024:
		_, ok := slices.BinarySearch(servicePorts, p)
		return ok
	}
	if proto == flow.UDP {
		_, ok := slices.BinarySearch(udpServices, p)
		return ok
	}
	return store.WellKnown(p)
}

// isSource reports whether p is a port below 1024 that connections are opened from: a
// server of active FTP fans out from one, to as many ports as it sends files.
func isSource(p uint16) bool { return p < 1024 && !isService(flow.TCP, p) }
