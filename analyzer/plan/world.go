package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// world is a snapshot made ready for planning: the group rules with their references
// resolved, and the classes of interfaces on which they are in force. It is rebuilt
// for each round, from the snapshot that the round before left.
type world struct {
	snap    *policy.Snapshot
	rules   []rule // declared group rules, in the order of Snapshot.Rules
	at      map[policy.Ref]int
	classOf []int32 // interface index → class
	classes []class
	hosts   *hosts
	filters *filters
	by      []netset.Box // of covered, reused
}

// class is the interfaces whose group stages are the same: what a group rule admits is
// the same on all of them.
type class struct {
	first *policy.Interface
	all   []int32     // indexes of the interfaces, ascending
	vpcs  []string    // where they are
	rules [2][]int32  // indexes into rules, by direction
	lists [2]*ordered // nil: the rules all allow, and nothing else speaks
	// opaque: its stages are spelled out, or rules pass on to later ones; nothing is
	// planned for the rules that are in force here.
	opaque bool
}

// rule is one group rule in force.
type rule struct {
	*policy.Rule
	index   int // in world.rules
	group   *policy.Group
	classes []int32
	boxes   []netset.Box // what it admits for certain
	addrs   []netset.Addrs
	named   []netset.Services // the services it names, whatever the peer
	weight  netset.Size       // exposure of boxes

	refs    bool         // it names a group or a prefix list
	dead    bool         // and nothing but dead ones
	empty   bool         // a live reference resolves to no address now
	unknown bool         // a part of its addresses cannot be resolved
	behind  bool         // it names the group of a network load balancer, which may pass clients' addresses
	shifts  bool         // it names what changes without anyone's doing: a managed interface's group, a provider's list
	future  []netset.Box // what such peers may come to hold
	adrift  bool         // and it cannot be said what
	odd     bool         // it restricts what boxes do not show: local addresses, client ports
	mixed   bool         // it names different peers for different services
	apart   bool         // in force where an appliance passes traffic on, or outside its group's network
	foreign bool         // its rank cannot be given to a new rule
	distant bool         // it names a group whose members' packets it may not match: they pass a router, or come from another network

	places []place // of classes, same order; nil if all of them are without order
	kept   string  // why the plan leaves it as it is; empty: it need not
}

func side(d flow.Direction) int {
	if d == flow.Egress {
		return 1
	}
	return 0
}

var directions = [2]flow.Direction{flow.Ingress, flow.Egress}

func newWorld(snap *policy.Snapshot) *world {
	w := &world{snap: snap, at: make(map[policy.Ref]int), classOf: make([]int32, len(snap.Interfaces)), hosts: newHosts(snap), filters: newFilters(snap)}
	inClass := make(map[string][]int32) // group → classes
	byKey := make(map[string]int32)
	for i := range snap.Interfaces {
		bare := snap.Interfaces[i]
		bare.Subnet = "" // leaves the network ACL out
		key := snap.PathKey(&bare)
		c, ok := byKey[key]
		if !ok {
			c = int32(len(w.classes))
			byKey[key] = c
			w.classes = append(w.classes, class{first: &snap.Interfaces[i], opaque: len(bare.Stages) > 0})
			for _, g := range bare.Groups {
				inClass[g] = append(inClass[g], c)
			}
		}
		w.classOf[i] = c
		w.classes[c].all = append(w.classes[c].all, int32(i))
		if v := bare.VPC; !slices.Contains(w.classes[c].vpcs, v) {
			w.classes[c].vpcs = append(w.classes[c].vpcs, v)
		}
	}
	weights := cover.DefaultWeights()
	for g := range snap.Groups {
		group := &snap.Groups[g]
		for k := range group.Rules {
			r := w.describe(group, &group.Rules[k])
			r.index, r.classes = len(w.rules), w.filtered(inClass[group.ID], r.Direction)
			w.locate(&r)
			r.weight = weights.Exposure(r.boxes)
			at := int32(len(w.rules))
			w.at[r.Ref] = int(at)
			w.rules = append(w.rules, r)
			for _, c := range r.classes {
				s := side(r.Direction)
				w.classes[c].rules[s] = append(w.classes[c].rules[s], at)
			}
		}
	}
	for c := range w.classes {
		w.order(&w.classes[c])
	}
	w.place()
	return w
}

// filtered returns those of classes on which groups filter direction d at all.
func (w *world) filtered(classes []int32, d flow.Direction) []int32 {
	open := func(c int32) bool { return d == flow.Egress && w.classes[c].first.IngressOpen && !w.classes[c].opaque }
	if !slices.ContainsFunc(classes, open) {
		return classes
	}
	return slices.DeleteFunc(slices.Clone(classes), open)
}

func (w *world) describe(g *policy.Group, p *policy.Rule) rule {
	r := rule{Rule: p, group: g}
	live := false
	for i := range p.Match {
		m := p.Match[i]
		r.odd = r.odd || !anywhere(w.snap.Resolve(m.Local)) || clientPorts(&m, p.Direction) != netset.AllPorts && hasPorts(m.Protos)
		r.refs = r.refs || len(m.Remote.Refs) > 0
		r.mixed = r.mixed || !samePeer(m.Remote, p.Match[0].Remote)
		live = live || len(m.Remote.Prefixes) > 0 || m.Remote.Unknown
		for _, s := range m.Remote.Refs {
			if s.Dead != "" {
				continue
			}
			live = true
			set := w.snap.Resolve(policy.AddrSet{Refs: []policy.SetRef{s}})
			r.empty = r.empty || len(set.Prefixes) == 0
			r.behind = r.behind || s.Kind == policy.GroupSet && w.passesClients(s.ID)
			w.foresee(&r, &p.Match[i], s)
		}
		m.Remote = w.snap.Resolve(m.Remote)
		r.unknown = r.unknown || m.Remote.Unknown
		boxes, _ := m.Boxes(p.Direction)
		r.boxes = append(r.boxes, boxes...)
		m.Remote = onePoint
		boxes, _ = m.Boxes(p.Direction)
		for _, b := range boxes {
			r.named = append(r.named, b.Services)
		}
	}
	r.dead = r.refs && !live
	if r.odd { // the boxes are larger than the rule
		r.boxes = nil
	}
	for _, b := range r.boxes {
		r.addrs = append(r.addrs, b.Addrs)
	}
	r.addrs = outermost(r.addrs)
	return r
}

// locate notes where r is in force, as far as references need it to be near.
func (w *world) locate(r *rule) {
	r.apart = w.hosts.appliance[r.group.VPC]
	far := w.hosts.routed[r.group.VPC]
	for _, c := range r.classes {
		for _, v := range w.classes[c].vpcs {
			r.apart = r.apart || v != r.group.VPC || w.hosts.appliance[v]
			far = far || v != r.group.VPC || w.hosts.routed[v]
		}
	}
	for _, c := range r.classes {
		p := w.snap.PlatformOf(w.classes[c].first)
		r.foreign = r.foreign || p.RankMax > 0 && (r.Rank < p.RankMin || r.Rank > p.RankMax)
	}
	for _, s := range r.Refs() {
		r.distant = r.distant || s.Kind == policy.GroupSet && (far ||
			slices.ContainsFunc(w.snap.Attached(s.ID), func(f *policy.Interface) bool { return f.VPC != r.group.VPC }))
	}
}

// certain returns those of rules, which all match some traffic, that match it whichever
// way it came; all of them if none does.
func (w *world) certain(rules []int32) []int32 {
	distant := func(i int32) bool { return w.rules[i].distant }
	if !slices.ContainsFunc(rules, distant) {
		return rules
	}
	if near := slices.DeleteFunc(slices.Clone(rules), distant); len(near) > 0 {
		return near
	}
	return rules
}

// foresee notes what the peer s of r's match m may hold tomorrow, if services see to it:
// any address of the subnets in which managed members are, and whatever a provider puts
// into its list.
func (w *world) foresee(r *rule, m *policy.Match, s policy.SetRef) {
	var to policy.AddrSet
	switch s.Kind {
	case policy.GroupSet:
		for _, f := range w.snap.Attached(s.ID) {
			for _, a := range f.Addresses {
				if !f.RequesterManaged {
					break
				}
				r.shifts = true
				if b := blockOf(w.snap, f, a); b.IsValid() {
					to.Prefixes = append(to.Prefixes, b)
				} else {
					r.adrift = true
				}
			}
		}
	case policy.ListSet:
		if l, ok := w.snap.List(s.ID); ok && l.Provider {
			r.shifts = true
			for _, e := range l.Entries {
				to.Prefixes = append(to.Prefixes, netip.PrefixFrom(e.Addr(), 0).Masked())
			}
		}
	}
	slices.SortFunc(to.Prefixes, policy.ComparePrefix)
	to.Prefixes = slices.Compact(to.Prefixes)
	boxes, _ := (&policy.Match{Protos: m.Protos, ICMP: m.ICMP, LocalPorts: m.LocalPorts, RemotePorts: m.RemotePorts, Local: m.Local, Remote: to}).Boxes(r.Direction)
	r.future = append(r.future, boxes...)
}

// outermost sorts prefixes, which are nested or disjoint, and drops those inside others.
func outermost(as []netset.Addrs) []netset.Addrs {
	slices.SortFunc(as, func(a, b netset.Addrs) int {
		return cmp.Or(a.First.Compare(b.First), b.Last.Compare(a.Last))
	})
	out := as[:0]
	for _, a := range as {
		if len(out) == 0 || !out[len(out)-1].Covers(a) {
			out = append(out, a)
		}
	}
	return out
}

// passesClients reports whether group id is on a network load balancer: its targets
// accept what the balancer passes on, even with the client's own address.
func (w *world) passesClients(id string) bool {
	return slices.ContainsFunc(w.snap.Attached(id), func(f *policy.Interface) bool {
		return f.Role == policy.NetworkBalancer
	})
}

func anywhere(s policy.AddrSet) bool {
	v4, v6 := false, false
	for _, p := range s.Prefixes {
		v4 = v4 || p.Bits() == 0 && p.Addr().Is4()
		v6 = v6 || p.Bits() == 0 && p.Addr().Is6()
	}
	return v4 && v6
}

// clientPorts returns the ports that few platforms' rules read: the far side's of an
// ingress rule, the own ones of an egress rule.
func clientPorts(m *policy.Match, d flow.Direction) netset.PortRange {
	return m.ServicePorts(d.Reverse())
}

func hasPorts(s policy.ProtoSet) bool { return s.Has(flow.TCP) || s.Has(flow.UDP) }

// perhapsAnywhere reports whether the rule may match addresses it is not known to hold.
func (r *rule) perhapsAnywhere() bool { return r.unknown || r.behind || r.odd }

// covered says whether r, a rule of this world or of one with the same interfaces and at
// most more rules that allow, admits nothing that the rules of keep do not admit, or the
// implicit ones that given names, on every interface where r is in force, whatever the
// traffic.
func (w *world) covered(r *rule, keep func(*rule) bool, given carriers) bool {
	if len(r.classes) == 0 {
		return false
	}
	for k, c := range r.classes {
		cl := &w.classes[c]
		if cl.opaque {
			return false
		}
		at := r.in(k)
		if r.odd && len(at.perhaps) == 0 {
			return false
		}
		if o := cl.lists[side(r.Direction)]; o != nil {
			if !w.coveredIn(o, r, at, keep, given) {
				return false
			}
			continue
		}
		w.by = w.by[:0]
		same := false
		for _, i := range cl.rules[side(r.Direction)] {
			q := &w.rules[i]
			if q.Ref == r.Ref || !r.meets(q) || !keep(q) {
				continue
			}
			if r.refs && q.refs && namesSame(r.Rule, q.Rule) {
				same = true
				break
			}
			if q.mayMiss(r) {
				continue
			}
			w.by = append(w.by, q.boxes...)
		}
		if same {
			continue
		}
		if r.unsettled() {
			return false
		}
		if ok, _ := netset.CoveredAll(at.admits.Perhaps, w.by); !ok {
			return false
		}
		if ok, _ := netset.CoveredAll(r.future, w.by); !ok {
			return false
		}
	}
	return true
}

// unsettled reports whether r may match more tomorrow, or today, than anyone can say.
func (r *rule) unsettled() bool { return r.unknown || r.empty || r.behind || r.adrift }

// mayMiss reports whether q may fail to match packets that r matches, though it names
// their addresses: what passes an appliance or a transit gateway may match no reference,
// only prefixes.
func (q *rule) mayMiss(r *rule) bool { return q.distant && !r.distant || q.refs && !r.refs && r.apart }

// meets reports whether r and q may admit something in common: false is certain.
func (r *rule) meets(q *rule) bool {
	if len(r.named) == 1 && len(q.named) == 1 && !r.named[0].Overlaps(q.named[0]) {
		return false
	}
	return r.refs || q.refs || len(r.addrs) != 1 || len(q.addrs) != 1 || r.addrs[0].Overlaps(q.addrs[0])
}

// namesSame reports whether q admits all of r because both name the same peer, whatever
// that peer holds now or later.
func namesSame(r, q *policy.Rule) bool {
	if q.Action != r.Action || len(r.Match) != 1 || len(q.Match) != 1 {
		return false
	}
	a, b := &r.Match[0], &q.Match[0]
	if !samePeer(a.Remote, b.Remote) || a.Remote.Unknown || b.Remote.Unknown {
		return false
	}
	if clientPorts(b, q.Direction) != netset.AllPorts || !anywhere(b.Local) {
		return false
	}
	x, y := policy.Match{Protos: a.Protos, ICMP: a.ICMP, LocalPorts: a.LocalPorts, RemotePorts: a.RemotePorts, Remote: onePoint},
		policy.Match{Protos: b.Protos, ICMP: b.ICMP, LocalPorts: b.LocalPorts, RemotePorts: b.RemotePorts, Remote: onePoint}
	xs, _ := x.Boxes(r.Direction)
	ys, _ := y.Boxes(q.Direction)
	ok, _ := netset.CoveredAll(xs, ys)
	return ok
}

// onePoint stands for the peer where two rules are known to have the same one.
var onePoint = policy.AddrSet{Prefixes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32")}}

func samePeer(a, b policy.AddrSet) bool {
	return slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.Refs, b.Refs)
}
