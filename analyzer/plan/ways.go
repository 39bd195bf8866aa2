package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// narrowings returns the ways to narrow r to points with at most limit rules, and why
// there are fewer than one might expect. The first option is always r itself; none
// follows where r cannot shrink.
func narrowings(w *world, r *rule, points []cover.Point, limit int) (menu, string) {
	asIs := menu{{size: r.weight}}
	if len(r.Match) != 1 || r.perhapsAnywhere() {
		return asIs, "it names several peers or ranges at once, or ones that are not known"
	}
	m := &r.Match[0]
	_, single := m.Protos.Single()
	if len(m.Remote.Prefixes)+len(m.Remote.Refs) != 1 || !single && m.Protos != policy.AnyProto {
		return asIs, "it names several peers or protocols at once"
	}
	n := narrower{w: w, r: r, limit: min(limit, mostPieces), byProto: make(map[flow.Proto][]cover.Point)}
	for _, pt := range points {
		proto, _ := pt.Services.Proto()
		if _, seen := n.byProto[proto]; !seen {
			n.protos = append(n.protos, proto)
		}
		n.byProto[proto] = append(n.byProto[proto], pt)
	}
	slices.Sort(n.protos)
	// The ports are narrowed per protocol, whatever becomes of the peer.
	best, reason := n.portsOnly(m.Remote, r.addrs), ""
	if len(m.Remote.Prefixes) == 1 {
		var peers []option
		if peers, reason = n.peers(points, best); peers != nil {
			best = peers
		}
	}
	return prune(append(asIs, best...)), reason
}

// prune keeps of options, the first being the rule as it is, those that are worth
// their rules.
func prune(options []option) menu {
	slices.SortStableFunc(options, func(a, b option) int {
		return cmp.Or(cmp.Compare(len(a.rules), len(b.rules)), a.size.Cmp(b.size))
	})
	out := menu{options[0]}
	for _, o := range options[1:] {
		last := out[len(out)-1]
		if len(o.rules) == 0 || !o.size.Less(last.size) {
			continue
		}
		factor := 1.0
		for range len(o.rules) - max(1, len(last.rules)) {
			factor *= worthWhile
		}
		if o.size.Float64()*factor <= last.size.Float64() {
			out = append(out, o)
		}
	}
	return out
}

// narrower looks for ways to narrow one rule.
type narrower struct {
	w       *world
	r       *rule
	limit   int // rules at most
	protos  []flow.Proto
	byProto map[flow.Proto][]cover.Point
}

// match returns the match of the new rule d of r.
func (r *rule) match(d draft) policy.Match {
	old := &r.Match[0]
	proto, single := d.services.Proto()
	if !single {
		return policy.NewMatch(r.Direction, policy.AnyProto, netset.AllPorts, policy.AnyICMP, d.peer)
	}
	ports, icmp := netset.AllPorts, policy.AnyICMP
	if proto.HasPorts() {
		ports = d.services.Ports()
	}
	if proto.IsICMP() && old.Protos != policy.AnyProto {
		icmp = old.ICMP
	}
	return policy.NewMatch(r.Direction, policy.OneProto(proto), ports, icmp, d.peer)
}

// perProtocol joins, for each number of rules, options of the single protocols: the
// best split (min-plus). Option k-1 of the result has at most k rules.
func (n *narrower) perProtocol(one func(proto flow.Proto, points []cover.Point, limit int) []option) []option {
	if len(n.protos) > n.limit {
		return nil // a rule for each protocol does not fit; one for all is what there is
	}
	if len(n.protos) == 1 {
		return one(n.protos[0], n.byProto[n.protos[0]], n.limit)
	}
	limit := n.limit - len(n.protos) + 1
	total := []option{{}}
	for _, proto := range n.protos {
		mine := one(proto, n.byProto[proto], limit)
		if len(mine) == 0 {
			return nil
		}
		next := make([]option, 0, n.limit)
		for k := 1; k <= n.limit; k++ {
			var best option
			for _, a := range total {
				for _, b := range mine {
					if len(b.rules) == 0 || len(a.rules)+len(b.rules) > k {
						continue
					}
					if s := a.size.Add(b.size); len(best.rules) == 0 || s.Less(best.size) {
						best = option{slices.Concat(a.rules, b.rules), s}
					}
				}
			}
			if len(best.rules) > 0 && (len(next) == 0 || best.size.Less(next[len(next)-1].size)) {
				next = append(next, best)
			}
		}
		if len(next) == 0 {
			return nil
		}
		total = next
	}
	return total
}

// portsOnly returns the options that name peer, which holds addrs, and narrow the
// services: ports are cut at the heaviest gaps, which is optimal.
func (n *narrower) portsOnly(peer policy.AddrSet, addrs []netset.Addrs) []option {
	return n.perProtocol(func(proto flow.Proto, points []cover.Point, limit int) []option {
		if limit == 1 { // the hull, without looking for it
			hull := n.within(points[0].Services)
			for _, pt := range points {
				s := n.within(pt.Services)
				hull = netset.Services{First: min(hull.First, s.First), Last: max(hull.Last, s.Last)}
			}
			return []option{{[]draft{{hull, peer}}, exposureOf(hull, addrs)}}
		}
		var at []cover.Point // all at one address
		for _, pt := range points {
			at = append(at, cover.Point{Addr: flow.Addr4(0), Services: n.within(pt.Services)})
		}
		var out []option
		for _, s := range cover.Solve(at, limit, cover.Options{}) {
			var o option
			for _, b := range s.Boxes {
				o.rules = append(o.rules, draft{n.within(b.Services), peer})
				o.size = o.size.Add(exposureOf(n.within(b.Services), addrs))
			}
			out = append(out, o)
		}
		return out
	})
}

// within cuts services to those of the rule: of a rule for one ICMP type nothing else
// is ever proposed.
func (n *narrower) within(s netset.Services) netset.Services {
	for _, have := range n.r.named {
		if x, ok := have.Intersect(s); ok {
			return x
		}
	}
	return s
}

func exposureOf(s netset.Services, addrs []netset.Addrs) netset.Size {
	boxes := make([]netset.Box, len(addrs))
	for i, a := range addrs {
		boxes[i] = netset.Box{Services: s, Addrs: a}
	}
	return cover.Exposure(boxes)
}

// peers returns the options that name fewer peers than the rule does, a group where
// one explains what was seen, else prefixes; or nil and why there are none. ports are the
// options that keep the peer.
func (n *narrower) peers(points []cover.Point, ports []option) ([]option, string) {
	old := n.r.Match[0].Remote.Prefixes[0]
	if id, ok := n.w.explainingGroup(n.r, old, points); ok {
		peer := policy.AddrSet{Refs: []policy.SetRef{{Kind: policy.GroupSet, ID: id}}}
		var addrs []netset.Addrs
		for _, m := range n.w.snap.Members(id) {
			addrs = append(addrs, netset.AddrsOf(m))
		}
		if o := n.portsOnly(peer, outermost(addrs)); len(o) > 0 && o[0].size.Less(n.r.weight) {
			return o, ""
		}
	}
	public, folded := 0, false
	for i, pt := range points {
		if (i == 0 || pt.Addr != points[i-1].Addr) && !n.w.hosts.private(pt.Addr) {
			public++
			folded = folded || pt.Free > 0
		}
	}
	if folded {
		// A service is rolled up when it has more peers than anybody lists.
		return nil, fmt.Sprintf("a public service with more peers than are kept apart, in at least %s: they are not narrowed", plural(public, "network"))
	}
	if public > fewClients {
		return nil, fmt.Sprintf("a public service with %d public peers: its peers are not narrowed", public)
	}
	if n.w.unstable(old, points) {
		return nil, "peers belong to a managed service whose addresses change, and its subnet is not inside the rule"
	}
	subnets := n.w.subnetsIn(old)
	solve := func(at []cover.Point, limit int) []option {
		opt := cover.Options{Named: subnets, NoHost: n.w.managed, Inside: n.r.boxes}
		var out []option
		for _, s := range cover.Solve(at, limit, opt) {
			if len(s.Boxes) == 0 || !n.w.wholeSubnets(s.Boxes, at) || old.Bits() == 0 && slices.ContainsFunc(s.Boxes, n.w.vague) {
				continue
			}
			o := option{size: s.Exposure}
			for _, b := range s.Boxes {
				o.rules = append(o.rules, draft{b.Services, policy.AddrSet{Prefixes: []netip.Prefix{b.Prefix}}})
			}
			out = append(out, o)
		}
		return out
	}
	var out []option
	if n.r.Match[0].Protos == policy.AnyProto {
		// One rule for all protocols may still name fewer peers.
		at := make([]cover.Point, len(points))
		for i, pt := range points {
			at[i] = cover.Point{Addr: pt.Addr, Services: netset.AllServices, Free: pt.Free}
		}
		out = solve(at, n.limit)
	}
	out = append(out, n.perProtocol(func(proto flow.Proto, points []cover.Point, limit int) []option {
		at := make([]cover.Point, len(points))
		for i, pt := range points {
			at[i] = cover.Point{Addr: pt.Addr, Services: n.within(pt.Services), Free: pt.Free}
		}
		if limit == 1 && n.filled(at) {
			return nil
		}
		return solve(at, limit)
	})...)
	if len(out) == 0 {
		return nil, ""
	}
	// Where prefixes leave more than half of what the ports alone leave, the peers are
	// everywhere, and a list of them would only pretend to a choice.
	if len(ports) > 0 && ports[len(ports)-1].size.Less(out[len(out)-1].size.Mul(2)) {
		if out[0].size.Less(ports[0].size) {
			return nil, "its peers are spread over most of what it admits: they are not narrowed"
		}
		return nil, ""
	}
	return append(out, ports...), ""
}

// vague reports whether a box names a part of the public address space that is no
// network: a rule is open to the world or to somebody, not to a sixteenth of the world.
func (w *world) vague(b cover.Box) bool {
	least := 16
	if b.Prefix.Addr().Is6() {
		least = 32
	}
	return b.Prefix.Bits() < least && !w.hosts.private(flow.AddrFrom(b.Prefix.Addr()))
}

// filled reports whether one rule for points would be the rule as it is.
func (n *narrower) filled(points []cover.Point) bool {
	hull := netset.Box{Services: points[0].Services, Addrs: points[0].Addrs()}
	for _, pt := range points { // in order of address
		hull.Services.First, hull.Services.Last = min(hull.Services.First, pt.Services.First), max(hull.Services.Last, pt.Services.Last)
		if last := pt.Addrs().Last; last.Compare(hull.Addrs.Last) > 0 {
			hull.Addrs.Last = last
		}
	}
	if len(n.r.boxes) != 1 || n.r.boxes[0].Services != hull.Services {
		return false
	}
	old := n.r.boxes[0].Addrs
	return old == hull.Addrs || netset.CommonBits(hull.Addrs.First, hull.Addrs.Last) == netset.CommonBits(old.First, old.Last)
}
