package analyzer

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
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

func observe(res *engine.Result) []observed {
	out := make([]observed, len(res.Snapshot.Rules()))
	for _, c := range res.Connections.All() {
		if c.Action != flow.Accept {
			continue
		}
		s := &res.Signatures[c.Signature]
		for _, ids := range [2][]int32{s.Hits, s.Possible} {
			for _, id := range ids {
				if int(id) < len(out) {
					out[id].add(c)
				}
			}
		}
	}
	return out
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
	for i := range o.services {
		if p := &o.services[i]; p.proto == c.Proto {
			p.lo, p.hi = min(p.lo, c.Port), max(p.hi, c.PortHi)
			return
		}
	}
	o.services = append(o.services, protoHull{c.Proto, c.Port, c.PortHi})
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
