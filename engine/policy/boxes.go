package policy

import (
	"math/bits"
	"net/netip"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Boxes returns what m, read in direction d with its references resolved, admits as
// boxes of services and remote addresses. Services that follow one another on the
// axis share a box, so that "all traffic" is one box for each remote prefix.
//
// exact is false where boxes cannot say it all: m restricts the local addresses or
// the other side's ports, and the boxes are larger than m; or m holds addresses that
// are not known, and the boxes are what is known of it. Inexact boxes prove nothing:
// such a match neither covers others nor counts as covered.
func (m *Match) Boxes(d flow.Direction) (boxes []netset.Box, exact bool) {
	exact = m.Local.isAny() && m.Remote.known()
	ports, other := m.LocalPorts, m.RemotePorts
	if d == flow.Egress {
		ports, other = other, ports
	}
	var buf [4]netset.Services
	services := buf[:0]
	for n, word := range m.Protos {
		for ; word != 0; word &= word - 1 {
			p := flow.Proto(64*n + bits.TrailingZeros64(word))
			s := netset.ServiceOf(p, ports)
			switch {
			case p.IsICMP():
				s = netset.ICMPServices(p, m.ICMP.Type, m.ICMP.Code)
			case p.HasPorts() && other != netset.AllPorts:
				exact = false
			}
			if k := len(services) - 1; k >= 0 && services[k].Last+1 == s.First {
				services[k].Last = s.Last
			} else {
				services = append(services, s)
			}
		}
	}
	if n := len(m.Remote.Prefixes) * len(services); n > 0 {
		boxes = make([]netset.Box, 0, n)
	}
	for _, p := range m.Remote.Prefixes {
		for _, s := range services {
			boxes = append(boxes, netset.Box{Services: s, Addrs: netset.AddrsOf(p)})
		}
	}
	return boxes, exact
}

// Boxes returns the boxes of every match of r, references resolved; exact is as in
// [Match.Boxes], for all of them together.
func (r *Rule) Boxes() (boxes []netset.Box, exact bool) {
	exact = true
	for i := range r.Match {
		b, e := r.Match[i].Boxes(r.Direction)
		boxes = append(boxes, b...)
		exact = exact && e
	}
	return boxes, exact
}

// known reports whether every part of s is resolved.
func (s AddrSet) known() bool { return !s.Unknown && len(s.Refs) == 0 }

// isAny reports whether s holds every address of both families.
func (s AddrSet) isAny() bool {
	var v4, v6 bool
	for _, p := range s.Prefixes {
		v4 = v4 || p == netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		v6 = v6 || p == netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return v4 && v6
}
