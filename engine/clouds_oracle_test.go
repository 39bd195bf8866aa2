package engine_test

import (
	"slices"
	"strings"
)

// This file says once more, straight from the vendor's documents, what a world does
// with a connection: no type, table or idea of engine/policy is used. It is slow and
// plain on purpose.

// worldConn is a new session as one ENI sees it, or a packet of one.
type worldConn struct {
	egress                bool
	protocol              int
	local, remote         address
	localPort, remotePort int
}

// answer is what one filter says of a connection.
type answer struct {
	skipped     bool // the filter does not see this traffic
	allow, deny bool // what it may do; both: a part that decides is not in the export
	// by names the rules that decide for certain: "group/rule", "intra group", "platform"
	// or "default".
	by []string
}

func (a *answer) unknown() bool { return a.allow && a.deny }

// sameDo reports whether a and b do the same for certain.
func (a *answer) sameDo(b *answer) bool {
	return !a.unknown() && a.allow == b.allow && a.deny == b.deny
}

// byGroups is the security groups of e: intra-group, then the rules of all groups
// by priority, Drop before Accept on a tie, then the platform, then the default of
// the kind of group. without names deciding elements to leave out.
func (w *world) byGroups(e *worldENI, c *worldConn, without []string) answer {
	if len(e.groups) == 0 {
		return answer{skipped: true, allow: true}
	}
	if e.balancer && c.egress {
		return answer{skipped: true, allow: true} // what leaves a load balancer is not filtered
	}
	left := func(name string) bool { return !slices.Contains(without, name) }

	// Intra-group: the peer is another ENI that shares a basic Accept group with e.
	var mates []string
	basic, unseen := false, false
	for _, id := range e.groups {
		g := w.group(id)
		if g == nil {
			unseen = true
			continue
		}
		basic = basic || !g.enterprise // all groups of an ENI are of one kind
		if !g.enterprise && !g.innerDrop && w.memberOf(id, c.remote) && left("intra "+id) {
			mates = append(mates, "intra "+id)
		}
	}
	if len(mates) > 0 {
		return answer{allow: true, by: mates}
	}

	// Custom rules.
	var rules []named
	for _, id := range e.groups {
		g := w.group(id)
		if g == nil {
			continue
		}
		for i := range g.permissions {
			if name := id + "/" + g.permissions[i].id; left(name) {
				rules = append(rules, named{name, &g.permissions[i]})
			}
		}
	}
	a, decided := w.firstOf(rules, c)
	if unseen { // whose rules may do anything, at any priority
		a.allow, a.deny = true, true
	}
	if decided {
		return a
	}
	if platformBlock.has(c.remote) && left("platform") {
		return a.or(false, "platform")
	}
	return a.or(!(e.balancer || basic && c.egress), "default")
}

// byACL is the network ACL of e's vSwitch, for any packet: stateless.
func (w *world) byACL(e *worldENI, c *worldConn, without []string) answer {
	if !e.vswitch.bound || e.cutThrough {
		return answer{skipped: true, allow: true}
	}
	for _, b := range slices.Concat(e.vswitch.blocks, aclExempt) {
		if b.has(c.remote) {
			return answer{skipped: true, allow: true}
		}
	}
	var rules []named
	for i := range e.vswitch.acl {
		if p := &e.vswitch.acl[i]; !slices.Contains(without, p.id) {
			rules = append(rules, named{p.id, p})
		}
	}
	a, decided := w.firstOf(rules, c)
	if decided {
		return a
	}
	return a.or(true, "default")
}

// or adds what speaks for certain if all of a is not so.
func (a answer) or(deny bool, name string) answer {
	a.deny, a.allow = a.deny || deny, a.allow || !deny
	a.by = []string{name}
	return a
}

type named struct {
	name string
	*permission
}

// firstOf finds what speaks among rules, by priority and with Drop first on a tie.
// What may match, because its peers are not in the export, may speak; decided: there
// is a rule that certainly matches.
func (w *world) firstOf(rules []named, c *worldConn) (a answer, decided bool) {
	type match struct {
		named
		certain bool
	}
	var all []match
	for _, r := range rules {
		if yes, maybe := w.matches(r.permission, c); yes || maybe {
			all = append(all, match{r, yes})
		}
	}
	slices.SortStableFunc(all, func(x, y match) int {
		if x.priority != y.priority {
			return x.priority - y.priority
		}
		return dropFirst(x.permission) - dropFirst(y.permission)
	})
	for i, m := range all {
		a.deny, a.allow = a.deny || m.drop, a.allow || !m.drop
		if !m.certain {
			continue
		}
		// Nothing weaker is heard; its equals decide with it.
		for _, o := range all[i:] {
			if o.certain && o.priority == m.priority && o.drop == m.drop {
				a.by = append(a.by, o.name)
			}
		}
		return a, true
	}
	return a, false
}

func dropFirst(p *permission) int {
	if p.drop {
		return 0
	}
	return 1
}

// matches reports whether p matches c; maybe: it would if some address were among
// those that the export does not hold.
func (w *world) matches(p *permission, c *worldConn) (yes, maybe bool) {
	if p.egress != c.egress || p.protocol != anyProtocol && p.protocol != c.protocol {
		return false, false
	}
	destination, source := c.localPort, c.remotePort
	if c.egress {
		destination, source = c.remotePort, c.localPort
	}
	if len(p.ports) > 0 && !slices.ContainsFunc(p.ports, func(r [2]int) bool { return r[0] <= destination && destination <= r[1] }) {
		return false, false
	}
	if p.source != nil && (source < p.source[0] || p.source[1] < source) {
		return false, false
	}
	if p.local != "" && !p.localBlock.has(c.local) {
		return false, false
	}
	switch {
	case strings.HasPrefix(p.peer, "sg-"):
		if w.group(p.peer) == nil {
			return false, true // of another account: its members are not visible
		}
		return w.memberOf(p.peer, c.remote), false
	case strings.HasPrefix(p.peer, "pl-"):
		l := w.lists[p.peer]
		in := slices.ContainsFunc(l.blocks, func(b block) bool { return b.has(c.remote) })
		return in, !l.known
	}
	return p.peerBlock.has(c.remote), false
}

// memberOf reports whether a is a private address of an ENI in group id: primary,
// secondary, IPv6 or of a delegated prefix.
func (w *world) memberOf(id string, a address) bool {
	for _, e := range w.enis {
		if !slices.Contains(e.groups, id) {
			continue
		}
		if e.has(a) {
			return true
		}
	}
	return false
}

// has reports whether e owns a.
func (e *worldENI) has(a address) bool {
	return slices.Contains(e.addresses, a) || slices.ContainsFunc(e.delegated, func(b block) bool { return b.has(a) })
}
