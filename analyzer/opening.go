package analyzer

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The addresses that a stranger may have: all IPv4 addresses but those that are private,
// shared, local or multicast (RFC 6890), and the IPv6 addresses that are assigned to
// anybody (RFC 4291).
var public4, public6 = func() (v4, v6 []netset.Box) {
	var special []netset.Box
	for _, s := range []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"} {
		special = append(special, prefixBoxes([]netip.Prefix{netip.MustParsePrefix(s)})...)
	}
	v4, _ = netset.Residual(allIPv4, special, 1<<10)
	return v4, prefixBoxes([]netip.Prefix{netip.MustParsePrefix("2000::/3")})
}()

// opening is what one match of an ingress rule opens to the world.
type opening struct {
	rule   *policy.Rule
	match  *policy.Match
	v4, v6 bool         // it holds all public addresses of the family
	with   []policy.Ref // together with these rules of its owner; empty: alone
	places []place
}

// place is where a rule is in force: what it admits there, and on how many interfaces.
type place struct {
	interfaces int
	admits     []netset.Box
}

// openingOf returns what match m of rule i opens.
func (p *Pass) openingOf(i int, m *policy.Match) *opening {
	r := p.Snapshot.Rules()[i]
	o := &opening{rule: r, match: m}
	mine := p.Snapshot.Resolve(m.Remote).Prefixes
	o.v4, o.v6 = everybody(mine)
	if !o.v4 && !o.v6 && slices.ContainsFunc(mine, vast) {
		o.v4, o.v6, o.with = p.everybodyWith(i, m, mine)
	}
	if !o.v4 && !o.v6 {
		return o
	}
	own := p.Coverage.lists.own[r.Ref.Owner][side(r.Direction)]
	if in := p.Coverage.interfaces[i]; len(in) == 0 || isACL(p.Snapshot, r.Ref.Owner) {
		at, _ := own.Find(r.Ref)
		o.places = []place{{len(in), own.Admits(at).Perhaps}}
		return o
	}
	at := make(map[int]int) // scope → index in places
	for _, f := range p.Coverage.interfaces[i] {
		n := p.Coverage.lists.of[f]
		k, ok := at[n]
		if !ok {
			k = len(o.places)
			at[n] = k
			var pl place
			for _, x := range p.Coverage.lists.ofRule(i, f) {
				pl.admits = append(pl.admits, x.list.Admits(x.at).Perhaps...)
			}
			o.places = append(o.places, pl)
		}
		o.places[k].interfaces++
	}
	return o
}

// vast reports whether p is a great part of its family: rules that open all of it
// together have at least one such prefix each, or are too many to be meant so.
func vast(p netip.Prefix) bool { return p.Bits() <= 8 }

// everybody reports whether ps hold all public addresses of a family, and of which.
func everybody(ps []netip.Prefix) (v4, v6 bool) {
	by := prefixBoxes(ps)
	all := func(public []netset.Box) bool {
		return !slices.ContainsFunc(public, func(b netset.Box) bool { return !covers(by, b) })
	}
	return all(public4), all(public6)
}

// everybodyWith reports whether the prefixes mine of rule i and those of other rules of
// its group or ACL that permit the same services hold all public addresses of a family
// together, and not without mine. Rules that do so alone do not count.
func (p *Pass) everybodyWith(i int, m *policy.Match, mine []netip.Prefix) (v4, v6 bool, with []policy.Ref) {
	r := p.Snapshot.Rules()[i]
	type part struct {
		ref      policy.Ref
		prefixes []netip.Prefix
	}
	var parts []part
	for _, x := range p.Coverage.lists.own[r.Ref.Owner][side(r.Direction)].Lines {
		if x.Rule.Ref == r.Ref || x.Rule.Action != policy.Allow || x.Rule.Peer() == r.Peer() {
			continue
		}
		for n := range x.Rule.Match {
			q := &x.Rule.Match[n]
			if a, b := everybody(q.Remote.Prefixes); a || b || !slices.ContainsFunc(q.Remote.Prefixes, vast) || !samePlace(q, m) {
				continue
			}
			parts = append(parts, part{x.Rule.Ref, q.Remote.Prefixes})
		}
	}
	union := func(ps []part, more []netip.Prefix) []netip.Prefix {
		out := slices.Clone(more)
		for _, x := range ps {
			out = append(out, x.prefixes...)
		}
		return out
	}
	v4, v6 = everybody(union(parts, mine))
	if a, b := everybody(union(parts, nil)); a || b {
		v4, v6 = v4 && !a, v6 && !b
	}
	if !v4 && !v6 {
		return false, false, nil
	}
	for n := 0; n < len(parts); { // leave out what is not needed
		without := slices.Delete(slices.Clone(parts), n, n+1)
		if a, b := everybody(union(without, mine)); a == v4 && b == v6 {
			parts = without
		} else {
			n++
		}
	}
	for _, x := range parts {
		with = append(with, x.ref)
	}
	sortRefs(with)
	return v4, v6, slices.Compact(with)
}

// samePlace reports whether a permits all services that b does, at any local address and
// from any port.
func samePlace(a, b *policy.Match) bool {
	for n := range a.Protos {
		if b.Protos[n]&^a.Protos[n] != 0 {
			return false
		}
	}
	v4, v6 := worldOpen(a.Local.Prefixes)
	return v4 && v6 && a.LocalPorts.Covers(b.LocalPorts) && a.RemotePorts.Covers(b.RemotePorts)
}

// left reports whether any public address may use services s by the rule, after what
// stronger rules deny, somewhere.
func (o *opening) left(s netset.Services) bool {
	return slices.ContainsFunc(o.places, func(pl place) bool { return o.leftAt(&pl, s) })
}

func (o *opening) leftAt(pl *place, s netset.Services) bool {
	var public []netset.Box
	if o.v4 {
		public = append(public, public4...)
	}
	if o.v6 {
		public = append(public, public6...)
	}
	for n := range public {
		public[n].Services = s
	}
	return meet(pl.admits, public)
}

// interfaces counts the interfaces where the rule opens anything to the world.
func (o *opening) interfaces() int {
	n := 0
	for k := range o.places {
		if o.leftAt(&o.places[k], netset.AllServices) {
			n += o.places[k].interfaces
		}
	}
	return n
}

// ports returns which of ports are open over any of protos.
func (o *opening) ports(ports []uint16, protos ...flow.Proto) []uint16 {
	var out []uint16
	for _, port := range ports {
		if o.match.ServicePorts(o.rule.Direction).Contains(port) && slices.ContainsFunc(protos, func(proto flow.Proto) bool {
			return o.match.Protos.Has(proto) && o.left(netset.Point(proto, port))
		}) {
			out = append(out, port)
		}
	}
	return out
}

// beyond reports whether any port of proto but those in except, which ascend, is open.
func (o *opening) beyond(proto flow.Proto, except []uint16) bool {
	if !o.match.Protos.Has(proto) {
		return false
	}
	ports := o.match.ServicePorts(o.rule.Direction)
	first := int(ports.First)
	for _, x := range append(slices.Clone(except), 0) {
		last := int(x) - 1
		if x == 0 {
			last = int(ports.Last) // the rest
		}
		last = min(last, int(ports.Last))
		if first <= last && o.left(netset.ServiceOf(proto, netset.PortRange{First: uint16(first), Last: uint16(last)})) {
			return true
		}
		first = max(first, int(x)+1)
	}
	return false
}
