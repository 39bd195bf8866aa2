package plan

import (
	"slices"
	"sort"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// memory holds the answers of one ground, question by question, so that packets which
// nothing on either path tells apart are asked about once. One goroutine uses it.
type memory struct {
	ground  *ground
	answers map[question]answer
	near    map[service][2][]policy.Stage
	// Rows of one pair of hosts follow one another.
	local, remote [2]lastAddr
}

// question is what the rules of a ground tell apart about a packet: its protocol, and
// the classes of its addresses and ports.
type question struct {
	local, remote         int32
	localPort, remotePort int32
	icmp                  policy.TypeCode
	proto                 flow.Proto
	egress, reply         bool
}

// lastAddr is an address with its class.
type lastAddr struct {
	addr  flow.Addr
	class int32
}

// service is what of a packet decides which rules can match it at all.
type service struct {
	egress bool
	proto  flow.Proto
	port   int32 // its class
}

// turnTo forgets what m knows unless it is of g.
func (m *memory) turnTo(g *ground) {
	if m.ground == g {
		return
	}
	*m = memory{ground: g, answers: make(map[question]answer), near: make(map[service][2][]policy.Stage)}
	for s := range directions {
		m.local[s].class = addrClass(g.localAddrs[s], flow.Addr{})
		m.remote[s].class = addrClass(g.remoteAddrs[s], flow.Addr{})
	}
}

// ask answers q, with policy.Decide if nothing like it has been asked.
func (m *memory) ask(q *asked) answer {
	g, s := m.ground, side(q.direction)
	k := question{
		local: m.local[s].of(g.localAddrs[s], q.local), remote: m.remote[s].of(g.remoteAddrs[s], q.remote),
		localPort: portClass(g.local[s], q.localPort), remotePort: portClass(g.remote[s], q.remotePort),
		icmp: q.icmp, proto: q.proto, egress: q.direction == flow.Egress, reply: q.reply,
	}
	a, ok := m.answers[k]
	if !ok {
		a = m.decide(q, &k)
		m.answers[k] = a
	}
	return a
}

func (m *memory) decide(q *asked, k *question) answer {
	at := service{k.egress, k.proto, k.localPort}
	if k.egress {
		at.port = k.remotePort
	}
	paths, ok := m.near[at]
	if !ok {
		s := side(q.direction)
		paths = [2][]policy.Stage{rulesFor(m.ground.old[s], q), rulesFor(m.ground.planned[s], q)}
		m.near[at] = paths
	}
	decide := policy.Decide
	if q.reply {
		decide = policy.DecidePacket
	}
	c := q.conn()
	return answer{decide(paths[0], &c).Verdict, decide(paths[1], &c).Verdict}
}

// rulesFor returns path without the rules that cannot match the protocol and service
// port of q.
func rulesFor(path []policy.Stage, q *asked) []policy.Stage {
	port := q.localPort
	if q.direction == flow.Egress {
		port = q.remotePort
	}
	out := slices.Clone(path)
	for i := range out {
		out[i].Tiers = slices.Clone(out[i].Tiers)
		for t := range out[i].Tiers {
			all := out[i].Tiers[t].Rules
			var rules []policy.Rule
			for k := range all {
				if slices.ContainsFunc(all[k].Match, func(m policy.Match) bool {
					return m.Protos.Has(q.proto) && (!q.proto.HasPorts() || m.ServicePorts(q.direction).Contains(port))
				}) {
					rules = append(rules, all[k])
				}
			}
			out[i].Tiers[t].Rules = rules
		}
	}
	return out
}

// of returns the class of a among those that begin at bounds.
func (l *lastAddr) of(bounds []flow.Addr, a flow.Addr) int32 {
	if a != l.addr {
		*l = lastAddr{a, addrClass(bounds, a)}
	}
	return l.class
}

// addrClass returns how many of bounds are not after a.
func addrClass(bounds []flow.Addr, a flow.Addr) int32 {
	return int32(sort.Search(len(bounds), func(i int) bool { return bounds[i].Compare(a) > 0 }))
}

// portClass returns how many of bounds are not after port.
func portClass(bounds []uint16, port uint16) int32 {
	lo, hi := 0, len(bounds)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); bounds[mid] <= port {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return int32(lo)
}
