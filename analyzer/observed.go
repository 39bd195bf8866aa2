package analyzer

import (
	"net/netip"
	"runtime"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// observed is the hull of the accepted connections that a rule matched, in any
// reading.
type observed struct {
	connections uint64
	v4, v6      addrHull
	answered    [2]addrHull // of those that were answered: IPv4, IPv6
	services    []protoHull // by protocol
}

type addrHull struct {
	seen     bool
	min, max flow.Addr
}

type protoHull struct {
	proto  flow.Proto
	lo, hi uint16
}

// sightings is what the checks ask of all connections, seen in one go.
type sightings struct {
	rules   []observed // of Snapshot.Rules(), same order
	stopped []int32    // indexes of rejected connections that the groups, or all rules, admit
	strays  []stray    // accepted ones that the groups do not admit, of each kind one at least
}

// stray is a visit at an interface.
type stray struct {
	iface int32
	visit visit
}

// observe looks at every connection. Several goroutines take a part each; what they saw
// joins in order.
func observe(res *engine.Result) *sightings {
	type part struct {
		bySignature []observed
		sightings
	}
	parts := make([]part, runtime.GOMAXPROCS(0))
	n := res.Connections.Len()
	parallel(len(parts), func(k int) {
		p := &parts[k]
		p.bySignature = make([]observed, len(res.Signatures))
		known := make(map[stray]bool)
		for i, c := range res.Connections.Range(k*n/len(parts), (k+1)*n/len(parts)) {
			if c.Action == flow.Reject && (c.GroupVerdict == policy.Allowed || c.Verdict == policy.Allowed) {
				p.stopped = append(p.stopped, int32(i))
			}
			if c.Action != flow.Accept {
				continue
			}
			p.bySignature[c.Signature].add(c)
			if c.GroupVerdict == policy.Denied && !c.Carried {
				x := stray{c.Interface, visit{c.Direction, c.Proto, c.Port, max(c.Port, c.PortHi), outside(res.Snapshot, c.Remote), !c.Certain}}
				if !known[x] {
					known[x] = true
					p.strays = append(p.strays, x)
				}
			}
		}
	})
	out := &sightings{rules: make([]observed, len(res.Snapshot.Rules()))}
	for k := range parts {
		p := &parts[k]
		out.stopped, out.strays = append(out.stopped, p.stopped...), append(out.strays, p.strays...)
		for i := range p.bySignature {
			if p.bySignature[i].connections == 0 {
				continue
			}
			s := &res.Signatures[i]
			for _, ids := range [2][]int32{s.Hits, s.Possible} {
				for _, id := range ids {
					if int(id) < len(out.rules) {
						out.rules[id].join(&p.bySignature[i])
					}
				}
			}
		}
	}
	return out
}

// join adds what x saw.
func (o *observed) join(x *observed) {
	o.connections += x.connections
	o.v4.join(&x.v4)
	o.v6.join(&x.v6)
	for family := range o.answered {
		o.answered[family].join(&x.answered[family])
	}
	for _, s := range x.services {
		o.addService(s)
	}
}

func (h *addrHull) join(x *addrHull) {
	if x.seen {
		h.add(netset.Addrs{First: x.min, Last: x.max})
	}
}

func (o *observed) add(c *engine.Connection) {
	o.connections++
	h, family := &o.v6, 1
	if c.Remote.Is4() {
		h, family = &o.v4, 0
	}
	peers := c.Peers()
	h.add(peers)
	if c.Answered {
		o.answered[family].add(peers)
	}
	o.addService(protoHull{c.Proto, c.Port, c.PortHi})
}

func (o *observed) addService(s protoHull) {
	for i := range o.services {
		if p := &o.services[i]; p.proto == s.proto {
			p.lo, p.hi = min(p.lo, s.lo), max(p.hi, s.hi)
			return
		}
	}
	o.services = append(o.services, s)
	slices.SortFunc(o.services, func(a, b protoHull) int { return int(a.proto) - int(b.proto) })
}

func (h *addrHull) add(a netset.Addrs) {
	if !h.seen {
		h.seen, h.min, h.max = true, a.First, a.Last
	}
	if a.First.Compare(h.min) < 0 {
		h.min = a.First
	}
	if a.Last.Compare(h.max) > 0 {
		h.max = a.Last
	}
}

// prefix returns the smallest prefix that holds all that was seen.
func (h *addrHull) prefix() (netip.Prefix, bool) {
	if !h.seen {
		return netip.Prefix{}, false
	}
	bits := netset.CommonBits(h.min, h.max)
	if h.min.Is4() {
		bits -= 96
	}
	p, err := h.min.Netip().Prefix(bits)
	return p, err == nil
}

// peers returns the observed hull of addresses as text.
func (o *observed) peers() string { return hulls(&o.v4, &o.v6) }

// answeredPeers is peers of the connections that were answered.
func (o *observed) answeredPeers() string { return hulls(&o.answered[0], &o.answered[1]) }

func hulls(hs ...*addrHull) string {
	var parts []string
	for _, h := range hs {
		if p, ok := h.prefix(); ok {
			parts = append(parts, p.String())
		}
	}
	return strings.Join(parts, ", ")
}

// ports returns the observed services as text: "tcp 443, udp 53-123".
func (o *observed) ports() string {
	var parts []string
	for _, p := range o.services {
		if p.proto.HasPorts() {
			parts = append(parts, p.proto.Name()+" "+netset.PortRange{First: p.lo, Last: p.hi}.String())
		} else {
			parts = append(parts, p.proto.Name())
		}
	}
	return strings.Join(parts, ", ")
}
