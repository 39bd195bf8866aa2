package main

import (
	"fmt"
	"net/netip"
	"slices"
)

const rulesPerGroup = 60

var (
	any4 = netip.MustParsePrefix("0.0.0.0/0")
	any6 = netip.MustParsePrefix("::/0")
)

// makeGroups gives every service a group of its own and every interface up to
// four of the groups that its tier shares.
func (w *world) makeGroups() {
	newGroup := func(name, description string) *group {
		g := &group{id: w.id("sg"), name: name, description: description, seen: map[ruleKey]bool{}}
		w.groups = append(w.groups, g)
		return g
	}
	for _, s := range w.services {
		s.group = newGroup(s.name, "service "+s.name)
	}
	var shared [tiers][]*group
	for t := range tiers {
		for i := range max(5, len(w.ifaces)*11/200) {
			g := newGroup(fmt.Sprintf("%s-shared-%02d", tierName[t], i), "shared by the "+tierName[t]+" tier")
			shared[t] = append(shared[t], g)
			w.add(g, ruleKey{proto: 6, from: 22, to: 22, peer: peer{prefix: tier4(ops)}}, "administration")
			if i%3 == 0 {
				w.add(g, ruleKey{proto: 6, from: 9100, to: 9100, peer: peer{prefix: tier4(ops)}}, "node exporter")
			}
			if i%4 == 1 {
				w.add(g, ruleKey{proto: 1, from: -1, to: -1, peer: peer{prefix: vpc4}}, "ping")
			}
		}
	}
	for _, f := range w.ifaces {
		f.groups = []*group{f.service.group}
		for _, i := range w.rng.Perm(len(shared[f.tier]))[:w.rng.IntN(5)] {
			f.groups = append(f.groups, shared[f.tier][i])
		}
		for _, g := range f.groups {
			g.members = append(g.members, f)
		}
	}
	for _, s := range w.services {
		switch {
		case s.tier == public && s.cdn:
			w.add(s.group, ruleKey{proto: 6, from: 443, to: 443, peer: peer{list: w.cdn4}}, "content network")
			w.add(s.group, ruleKey{proto: 6, from: 80, to: 80, peer: peer{list: w.cdn4}}, "content network")
		case s.tier == public:
			for _, port := range s.ports {
				w.add(s.group, ruleKey{proto: 6, from: port, to: port, peer: peer{prefix: any4}}, "")
				w.add(s.group, ruleKey{proto: 6, from: port, to: port, peer: peer{prefix: any6}}, "")
			}
		}
		if s.open {
			w.add(s.group, ruleKey{egress: true, proto: -1, from: anyPort, to: anyPort, peer: peer{prefix: any4}}, "")
			w.add(s.group, ruleKey{egress: true, proto: -1, from: anyPort, to: anyPort, peer: peer{prefix: any6}}, "")
		} else {
			w.add(s.group, ruleKey{egress: true, proto: 6, from: 443, to: 443, peer: peer{prefix: any4}}, "updates")
			w.add(s.group, ruleKey{egress: true, proto: 6, from: 443, to: 443, peer: peer{prefix: any6}}, "updates")
			w.add(s.group, ruleKey{egress: true, proto: 6, from: 443, to: 443, peer: peer{list: w.store}}, "object storage")
		}
	}
}

// add appends a rule unless the group is full or has it.
func (w *world) add(g *group, k ruleKey, description string) bool {
	if g.seen[k] || len(g.rules) == rulesPerGroup {
		return false
	}
	g.seen[k] = true
	g.rules = append(g.rules, &rule{ruleKey: k, id: w.id("sgr"), description: description})
	return true
}

// makeRelations lets services call one another, with the rules that it takes,
// until there are about n edges.
func (w *world) makeRelations(n int) {
	var by [tiers][]*service
	named := map[string][]*service{}
	for _, s := range w.services {
		by[s.tier] = append(by[s.tier], s)
		if s.tier == ops {
			kind := s.name[:len(s.name)-3]
			named[kind] = append(named[kind], s)
		}
	}
	pick := func(l []*service) *service {
		if len(l) == 0 {
			return nil
		}
		return l[w.rng.IntN(len(l))]
	}
	for tries := 0; len(w.edges) < n && tries < 20*len(w.services); tries++ {
		var c, s *service
		proto, oneWay := uint8(6), false
		port := 0
		switch x := w.rng.IntN(100); {
		case x < 30:
			c, s = pick(by[public]), pick(by[app])
		case x < 60:
			c, s = pick(by[app]), pick(by[app])
		case x < 90:
			c, s = pick(by[app]), pick(by[data])
		case x < 92:
			c, s, port = pick(named["bastion"]), pick(w.services), 22
		case x < 94:
			c, s, port = pick(named["monitoring"]), pick(w.services), 9100
		case x < 95:
			c, s, proto = pick(named["monitoring"]), pick(w.services), 1
		case x < 97:
			c, s, proto = pick(w.services), pick(named["dns"]), 17
		case x < 98:
			c, s, proto = pick(w.services), pick(named["ntp"]), 17
		case x < 99:
			c, s, proto, oneWay = pick(w.services), pick(named["logs"]), 17, true
		default:
			c, s = pick(by[app]), pick(slices.Concat(named["vault"], named["ldap"], named["proxy"]))
		}
		if c == nil || s == nil || c == s {
			continue
		}
		if port == 0 && proto != 1 {
			port = s.ports[w.rng.IntN(len(s.ports))]
		}
		w.relate(c, s, proto, port, oneWay)
	}
	// A few clients that nobody allowed.
	for range len(w.edges) / 100 {
		c, s := w.ifaces[w.rng.IntN(len(w.ifaces))], w.ifaces[w.rng.IntN(len(w.ifaces))]
		if c != s {
			w.edges = append(w.edges, edge{client: c, server: s, proto: 6, port: uint16(1024 + w.rng.IntN(9000))})
		}
	}
	w.rng.Shuffle(len(w.edges), func(i, j int) { w.edges[i], w.edges[j] = w.edges[j], w.edges[i] })
}

// relate lets the members of c call those of s.
func (w *world) relate(c, s *service, proto uint8, port int, oneWay bool) {
	k := ruleKey{proto: int(proto), from: port, to: port}
	if proto == 1 {
		k.from, k.to = -1, -1
	}
	switch x := w.rng.IntN(10); {
	case x < 5:
		k.peer.group = c.group
	case x < 7 && (c.tier == app || c.tier == public):
		k.peer.list = w.inner
	case x < 9:
		k.peer.prefix = tier4(c.tier)
	default:
		k.peer.prefix = vpc4
	}
	if !w.add(s.group, k, c.name) && !s.group.seen[k] {
		return // the group is full
	}
	if !c.open {
		k.egress = true
		k.peer = peer{group: s.group}
		if w.rng.IntN(3) == 0 {
			k.peer = peer{prefix: tier4(s.tier)}
		}
		w.add(c.group, k, s.name)
	}
	for _, cf := range c.members {
		for _, sf := range s.members {
			w.edges = append(w.edges, edge{client: cf, server: sf, proto: proto, port: uint16(port), oneWay: oneWay})
		}
	}
}

// fillGroups adds what years leave behind, up to rulesPerGroup rules in each group.
func (w *world) fillGroups() {
	ports := []int{22, 80, 443, 1433, 1521, 2049, 3306, 3389, 5432, 5601, 6379, 8080, 8443, 8888, 9000, 9092, 9200, 11211, 27017}
	for _, g := range w.groups {
		for len(g.rules) < rulesPerGroup {
			k := ruleKey{egress: w.rng.IntN(4) == 0, proto: 6}
			switch x := w.rng.IntN(100); {
			case x < 10:
				k.proto = 17
			case x < 12:
				k.proto, k.from, k.to = 1, 8, -1
			}
			if k.proto != 1 {
				k.from = ports[w.rng.IntN(len(ports))]
				k.to = k.from
				switch x := w.rng.IntN(10); {
				case x < 2:
					k.from = 1024 + w.rng.IntN(60000)
					k.to = min(65535, k.from+1+w.rng.IntN(100))
				case x < 3:
					k.from, k.to = 0, 65535
				case x < 6:
					k.from = 1024 + w.rng.IntN(60000)
					k.to = k.from
				}
			}
			switch x := w.rng.IntN(1000); {
			case x < 190:
				k.peer.group = w.groups[w.rng.IntN(len(w.groups))]
			case x < 260:
				k.peer.list = w.lists[w.rng.IntN(len(w.lists))]
			case x < 330:
				b := [16]byte{0x2a, 0x02, 0x26, 0xf0, byte(w.rng.IntN(256)), byte(w.rng.IntN(256))}
				k.peer.prefix = netip.PrefixFrom(netip.AddrFrom16(b), 48)
			case x < 333:
				k.peer.prefix = any4
				k.from, k.to = max(k.from, k.to), max(k.from, k.to)
			default:
				k.peer.prefix = w.oldPrefix()
			}
			w.add(g, k, []string{"", "", "temporary", "migration", "ticket " + w.hex(5), "vendor access"}[w.rng.IntN(6)])
		}
	}
	// The default group nobody uses, as the cloud makes it.
	g := &group{id: w.id("sg"), name: "default", description: "default VPC security group", seen: map[ruleKey]bool{}}
	w.add(g, ruleKey{proto: -1, from: anyPort, to: anyPort, peer: peer{group: g}}, "")
	w.add(g, ruleKey{egress: true, proto: -1, from: anyPort, to: anyPort, peer: peer{prefix: any4}}, "")
	w.groups = append(w.groups, g)
}

// oldPrefix returns a block that somebody once needed: offices, partners, hosts.
func (w *world) oldPrefix() netip.Prefix {
	r := w.rng
	switch r.IntN(5) {
	case 0: // a host of the VPC
		return netip.PrefixFrom(w.ifaces[r.IntN(len(w.ifaces))].v4, 32)
	case 1:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(r.IntN(256)), 0}), 24)
	case 2:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(32 + r.IntN(200)), 0, 0}), 16)
	case 3:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(16 + r.IntN(16)), byte(r.IntN(16) * 16), 0}), 20)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{185, byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}), 32)
}

// settle collects the rules of every interface and decides every edge once:
// neither rules nor ACL lines tell client ports apart.
func (w *world) settle() {
	for _, f := range w.ifaces {
		for _, g := range f.groups {
			for _, r := range g.rules {
				f.rules[direction(r.egress)] = append(f.rules[direction(r.egress)], r)
			}
		}
	}
	const client = 40000
	for i := range w.edges {
		e := &w.edges[i]
		reply := uint16(client)
		if e.proto == 1 {
			reply = 0
		}
		c, s := e.client, e.server
		e.out = verdicts{c.opens(true, e.proto, e.port, s.v4, s) && c.passes(true, e.proto, e.port, s.v4),
			s.passes(false, e.proto, e.port, c.v4) && s.opens(false, e.proto, e.port, c.v4, c)}
		e.back = verdicts{s.passes(true, e.proto, reply, c.v4), c.passes(false, e.proto, reply, s.v4)}
	}
}

func direction(egress bool) int {
	if egress {
		return 1
	}
	return 0
}

// opens reports whether a group of f allows a new connection to or from remote;
// other is the interface that has the remote address, nil if none has.
func (f *iface) opens(egress bool, proto uint8, port uint16, remote netip.Addr, other *iface) bool {
	for _, r := range f.rules[direction(egress)] {
		if r.proto >= 0 && r.proto != int(proto) {
			continue
		}
		if (proto == 6 || proto == 17) && r.proto >= 0 && (int(port) < r.from || int(port) > r.to) {
			continue
		}
		if proto == 1 && r.proto == 1 && r.from >= 0 {
			continue // a log shows no ICMP types: no traffic rests on such a rule
		}
		if r.peer.has(remote, other) {
			return true
		}
	}
	return false
}

func (p *peer) has(a netip.Addr, other *iface) bool {
	switch {
	case p.group != nil:
		return other != nil && slices.Contains(other.groups, p.group)
	case p.list != nil:
		return slices.ContainsFunc(p.list.entries, func(e netip.Prefix) bool { return e.Contains(a) })
	}
	return p.prefix.Contains(a)
}

// passes reports whether the ACL of the subnet of f lets a packet through.
func (f *iface) passes(egress bool, proto uint8, port uint16, remote netip.Addr) bool {
	if f.subnet.v4.Contains(remote) || f.subnet.v6.Contains(remote) {
		return true
	}
	for _, e := range f.subnet.acl.entries[direction(egress)] {
		if e.proto >= 0 && e.proto != int(proto) || !e.prefix.Contains(remote) {
			continue
		}
		if (proto == 6 || proto == 17) && e.proto >= 0 && (int(port) < e.from || int(port) > e.to) {
			continue
		}
		return e.allow
	}
	return false
}
