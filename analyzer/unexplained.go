package analyzer

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// visit is accepted traffic that the rules of the snapshot do not admit, or only as
// what it does not look like, the answer of a service to what a client's port asked, or
// need not have been, where nothing but the rules tells who asked.
type visit struct {
	dir          flow.Direction
	proto        flow.Proto
	port, portHi uint16
	outside      bool // from or to an address that no interface could have as a private one
	doubtful     bool // the rules do admit it in a reading that they alone speak for, or that is not settled
}

// beyond is what may have been let in by a rule and fits it no more.
type beyond struct {
	visits      int
	unexplained bool // some of it fits no rule in any reading
}

// outgrown counts for each declared rule with a group or prefix list as its peer the
// accepted traffic that fits it in all but its peer, each kind at each interface once, and
// says whether the rules admit none of some.
// Members and entries are those of the snapshot: whoever was one when the log was
// written, or came through a load balancer that keeps its clients' addresses, may have
// been let in by this rule. Then its hits are not all of its use.
func outgrown(res *engine.Result, cov *ruleCoverage, visits map[int32][]visit) []beyond {
	rules := res.Snapshot.Rules()
	out := make([]beyond, len(rules))
	for i, r := range rules {
		if !refers(r) {
			continue
		}
		for _, f := range cov.interfaces[i] {
			for _, v := range visits[int32(f)] {
				if v.dir == r.Direction && v.fits(r) && (!v.outside || mayHoldOutsiders(res.Snapshot, r)) {
					out[i].visits++
					out[i].unexplained = out[i].unexplained || !v.doubtful
				}
			}
		}
	}
	return out
}

// unexplained returns the visits at each interface, of which strays are some; nil if no rule
// has a group or list as its peer.
func unexplained(res *engine.Result, strays []stray) map[int32][]visit {
	if !slices.ContainsFunc(res.Snapshot.Rules(), refers) {
		return nil
	}
	out := make(map[int32][]visit)
	seen := make(map[int32]map[visit]bool)
	add := func(f int32, v visit) {
		if seen[f] == nil {
			seen[f] = make(map[visit]bool)
		}
		if !seen[f][v] {
			seen[f][v] = true
			out[f] = append(out[f], v)
		}
	}
	for _, s := range strays {
		add(s.iface, s.visit)
	}
	// That the rules make a reading impossible is no proof where they name groups.
	index := make(map[string]int32)
	for i := range res.Snapshot.Interfaces {
		index[res.Snapshot.Interfaces[i].ID] = int32(i)
	}
	names := make([]int32, len(res.Store.Interfaces()))
	for i, id := range res.Store.Interfaces() {
		names[i] = -1
		if f, ok := index[id]; ok {
			names[i] = f
		}
	}
	var readings []orient.Reading
	for row, looks := range res.AgainstLooks() {
		f := names[row.Interface]
		if f < 0 {
			continue
		}
		readings = orient.Readings(readings[:0], row, orient.Opinion{Opener: looks, Method: orient.ByRules})
		for _, x := range readings {
			add(f, visit{looks, row.Proto, x.Port, max(x.Port, x.PortHi), outside(res.Snapshot, x.Remote), true})
		}
	}
	return out
}

// outside reports whether a is a public IPv4 address, and in no known subnet: members of a
// group are private addresses, so it never was one.
func outside(s *policy.Snapshot, a flow.Addr) bool {
	if !a.Is4() {
		return false
	}
	ip := a.Netip()
	if ip.IsPrivate() || ip.IsLinkLocalUnicast() || sharedSpace.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(s.Subnets, func(n policy.Subnet) bool { return holds(n.Blocks, ip) })
}

// sharedSpace is the address space that carriers share (RFC 6598), private to networks.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// mayHoldOutsiders reports whether r may let in public addresses although none is among
// its peers: a prefix list may have held them, and a network load balancer may pass its
// clients' on.
func mayHoldOutsiders(s *policy.Snapshot, r *policy.Rule) bool {
	return slices.ContainsFunc(r.Refs(), func(ref policy.SetRef) bool {
		return ref.Kind == policy.ListSet || slices.ContainsFunc(s.Attached(ref.ID), func(f *policy.Interface) bool { return f.Role == policy.NetworkBalancer })
	})
}

// refers reports whether a live group or list is among r's peers.
func refers(r *policy.Rule) bool {
	return slices.ContainsFunc(r.Refs(), func(s policy.SetRef) bool { return s.Dead == "" })
}

// fits reports whether r is for the service of v.
func (v visit) fits(r *policy.Rule) bool {
	return slices.ContainsFunc(r.Match, func(m policy.Match) bool {
		ports := m.ServicePorts(r.Direction)
		return m.Protos.Has(v.proto) && (!v.proto.HasPorts() || ports.First <= v.portHi && v.port <= ports.Last)
	})
}
