package policy

import (
	"math"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// rests is what the path of an interface rests on at some time. Those that are equal give
// equal paths.
type rests struct {
	own  string // what of the interface itself matters
	deps []any  // versions, in an order that own and the versions before settle
	both bool   // some version may have been one thing or another
}

func (r *rests) same(o *rests) bool { return r.own == o.own && slices.Equal(r.deps, o.deps) }

// find finds the eras of present interface f.
func (h *History) find(f *Interface) *eras {
	cuts := h.candidates(f)
	present := h.restsOn(f, math.MaxInt64)
	out := &eras{}
	var last rests
	for i := -1; i < len(cuts); i++ {
		t := int64(Ever)
		if i >= 0 {
			t = cuts[i]
		}
		now := h.restsOn(f, t)
		is := !now.both && now.same(&present)
		if i >= 0 {
			if now.same(&last) {
				continue
			}
			// Other groups of its own may come to the same.
			if era := &out.whens[len(out.whens)-1]; now.own != last.own && slices.EqualFunc(h.paths(f, t), h.paths(f, era.at), samePaths) {
				era.present, last = era.present || is, now
				continue
			}
			out.cuts = append(out.cuts, t)
		}
		out.whens = append(out.whens, era{at: t, present: is})
		last = now
	}
	return out
}

// restsOn returns what the path of f rests on at time t.
func (h *History) restsOn(f *Interface, t int64) rests {
	p := &h.past
	var out rests
	then := f
	if v := firstThere(p.Interfaces[f.ID], t); v != nil {
		for _, x := range [2]*Interface{v.Old, v.New} {
			if x != nil {
				then = x
			}
		}
		out.own = p.Present.PathKey(then) + " in " + then.Subnet
		if v.Old != nil && v.New != nil && v.Old != v.New {
			other := p.Present.PathKey(v.Old) + " in " + v.Old.Subnet
			out.both = out.both || other != out.own
			out.own += " or " + other
		}
		if v.Unsettled {
			out.own, out.both = "unsettled", false
			then = &Interface{Subnet: then.Subnet, NoACL: then.NoACL}
		}
	}
	seen := make(map[string]bool)
	members := func(id string) {
		if seen[id] {
			return
		}
		seen[id] = true
		if vs := h.memberSets[id]; len(vs) > 0 {
			v := at(vs, t)
			out.deps, out.both = append(out.deps, v), out.both || v.Old != v.New
		}
	}
	rules := func(g *Group) {
		if g.Intra {
			members(g.ID)
		}
		for i := range g.Rules {
			for _, r := range g.Rules[i].Refs() {
				if r.Kind == GroupSet {
					members(r.ID)
					if vs := p.Groups[r.ID]; len(vs) > 0 { // all that matters is whether it was there
						v := at(vs, t)
						out.deps, out.both = append(out.deps, v.Old != nil, v.New != nil), out.both || (v.Old != nil) != (v.New != nil)
					}
				} else if vs := p.Lists[r.ID]; len(vs) > 0 {
					v := at(vs, t)
					out.deps, out.both = append(out.deps, v), out.both || v.Old != v.New
				}
			}
		}
	}
	groups := slices.Clone(then.Groups)
	if v := firstThere(p.Interfaces[f.ID], t); v != nil && v.Old != nil && !v.Unsettled {
		groups = append(groups, v.Old.Groups...)
		slices.Sort(groups)
		groups = slices.Compact(groups)
	}
	for _, id := range groups {
		vs := p.Groups[id]
		if len(vs) == 0 {
			if g, ok := p.Present.Group(id); ok {
				rules(g)
			}
			continue
		}
		v := at(vs, t)
		out.deps, out.both = append(out.deps, v), out.both || v.Old != v.New
		for _, g := range [2]*Group{v.Old, v.New} {
			if g != nil {
				rules(g)
			}
		}
	}
	if len(seen) > 0 {
		out.deps = append(out.deps, t < h.lost)
	}
	if of := p.ACLOf[then.Subnet]; len(of) > 0 {
		v := at(of, t)
		out.deps, out.both = append(out.deps, v), out.both || v.Old != v.New
	}
	for _, id := range h.aclsOf(then.Subnet, t) {
		if vs := p.ACLs[id]; len(vs) > 0 && !then.NoACL {
			v := at(vs, t)
			out.deps, out.both = append(out.deps, v), out.both || v.Old != v.New
		}
	}
	return out
}

// aclsOf returns the network ACLs that subnet may have had at t.
func (h *History) aclsOf(subnet string, t int64) []string {
	vs := h.past.ACLOf[subnet]
	if len(vs) == 0 {
		if i, ok := h.past.Present.aclOf[subnet]; ok {
			return []string{h.past.Present.ACLs[i].ID}
		}
		return nil
	}
	v := at(vs, t)
	if v.Unsettled || v.Old == nil || v.New == nil {
		return nil
	}
	if *v.Old == *v.New {
		return []string{*v.New}
	}
	return []string{*v.Old, *v.New}
}

// candidates returns the times at which something changed that the path of f may rest on.
func (h *History) candidates(f *Interface) []int64 {
	p := &h.past
	var out []int64
	own := p.Interfaces[f.ID]
	out = append(out, times(own)...)
	groups, subnets := slices.Clone(f.Groups), []string{f.Subnet}
	for i := range own {
		for _, v := range [2]*Interface{own[i].Old, own[i].New} {
			if v != nil {
				groups, subnets = append(groups, v.Groups...), append(subnets, v.Subnet)
			}
		}
	}
	seen := make(map[SetRef]bool)
	names := func(g *Group) {
		if g.Intra {
			out = append(out, times(h.memberSets[g.ID])...)
		}
		for i := range g.Rules {
			for _, r := range g.Rules[i].Refs() {
				k := SetRef{Kind: r.Kind, ID: r.ID}
				if seen[k] {
					continue
				}
				seen[k] = true
				if r.Kind == ListSet {
					out = append(out, times(p.Lists[r.ID])...)
				} else {
					out = append(append(out, times(h.memberSets[r.ID])...), times(p.Groups[r.ID])...)
				}
			}
		}
	}
	slices.Sort(groups)
	for _, id := range slices.Compact(groups) {
		vs := p.Groups[id]
		out = append(out, times(vs)...)
		if g, ok := p.Present.Group(id); ok {
			names(g)
		}
		for i := range vs {
			for _, g := range [2]*Group{vs[i].Old, vs[i].New} {
				if g != nil {
					names(g)
				}
			}
		}
	}
	slices.Sort(subnets)
	for _, subnet := range slices.Compact(subnets) {
		of := p.ACLOf[subnet]
		out = append(out, times(of)...)
		for _, t := range append(times(of), Ever) {
			for _, id := range h.aclsOf(subnet, t) {
				out = append(out, times(p.ACLs[id])...)
			}
		}
	}
	if h.lost != Ever {
		out = append(out, h.lost)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// paths returns the paths that f, an interface of the present, may have had at time t.
func (h *History) paths(f *Interface, t int64) []Paths {
	old, both := h.snapshot(f, t, false)
	out := []Paths{pathsOf(old, f.ID)}
	if both {
		new, _ := h.snapshot(f, t, true)
		if p := pathsOf(new, f.ID); !samePaths(p, out[0]) {
			out = append(out, p)
		}
	}
	return out
}

// snapshot puts together what the path of f rested on at time t: nothing else is in it.
// both reports whether old and new states differ.
func (h *History) snapshot(f *Interface, t int64, new bool) (s *Snapshot, both bool) {
	p := &h.past
	s = &Snapshot{Platforms: p.Present.Platforms, platforms: p.Present.platforms, mixed: p.Present.mixed,
		interfaces: map[string]int{f.ID: 0}, groups: make(map[string]int), lists: make(map[string]int),
		subnets: make(map[string]int), aclOf: make(map[string]int), members: make(map[string][]netip.Prefix), carriers: make(map[string]int)}
	then := *f
	if v := firstThere(p.Interfaces[f.ID], t); v != nil {
		if x := pick(v, new); x != nil {
			then = *x
		}
		both = v.Old != v.New
		if v.Unsettled {
			then.Stages, then.Groups = nil, []string{unsettledGroup}
		}
	}
	s.Interfaces = []Interface{then}
	deny := s.PlatformOf(&then).GroupsDeny

	there := func(id string) (*Group, bool) {
		vs := p.Groups[id]
		if len(vs) == 0 {
			return p.Present.Group(id)
		}
		v := at(vs, t)
		both = both || v.Old != v.New
		g := pick(v, new)
		if g != nil && v.Unsettled {
			u := *g
			u.Rules, u.Intra = unsettledRules(unknownGroup, id, deny), false
			g = &u
		}
		return g, g != nil
	}
	add := func(id string) *Group {
		if i, ok := s.groups[id]; ok {
			return &s.Groups[i]
		}
		if v := at(h.memberSets[id], t); v != nil {
			s.members[id], both = *pick(v, new), both || v.Old != v.New
		}
		if g, ok := there(id); ok {
			s.groups[id] = len(s.Groups)
			s.Groups = append(s.Groups, *g)
			return &s.Groups[len(s.Groups)-1]
		}
		return nil
	}
	var refs []SetRef
	for _, id := range then.Groups {
		if g := add(id); g != nil {
			if g.Intra {
				s.carriers[id] = h.carriersAt(id, t, new)
			}
			for i := range g.Rules {
				refs = append(refs, g.Rules[i].Refs()...)
			}
		}
	}
	for _, r := range refs {
		if r.Kind == GroupSet {
			add(r.ID)
		} else if _, ok := s.lists[r.ID]; !ok {
			l, ok := p.Present.List(r.ID)
			if vs := p.Lists[r.ID]; len(vs) > 0 {
				v := at(vs, t)
				both = both || v.Old != v.New
				l = pick(v, new)
				ok = l != nil
			}
			if ok {
				s.lists[r.ID] = len(s.Lists)
				s.Lists = append(s.Lists, *l)
			}
		}
	}
	if len(refs) > 0 || len(s.Groups) > 0 {
		if t < h.lost || p.Present.MissingWhat("network-interfaces") {
			s.Missing = []Missing{{What: "network-interfaces"}}
		}
	}
	return s, h.addACL(s, &then, t, new) || both
}

// firstThere returns the version of an interface at t or, where it was not there yet, the
// first later one in which it was.
func firstThere(vs []Version[Interface], t int64) *Version[Interface] {
	v := at(vs, t)
	if v == nil || v.Old != nil && v.New != nil {
		return v
	}
	for i := range vs {
		if vs[i].From >= v.From && vs[i].Old != nil && vs[i].New != nil {
			return &vs[i]
		}
	}
	return v
}

// addACL adds to s the network ACL that filtered f at time t, and the subnet.
func (h *History) addACL(s *Snapshot, f *Interface, t int64, new bool) (both bool) {
	p := &h.past
	sub, ok := p.Present.Subnet(f.Subnet)
	if !ok {
		return false
	}
	s.Subnets, s.subnets[sub.ID] = []Subnet{*sub}, 0
	id, settled := "", true
	if i, ok := p.Present.aclOf[sub.ID]; ok {
		id = p.Present.ACLs[i].ID
	}
	if vs := p.ACLOf[sub.ID]; len(vs) > 0 {
		v := at(vs, t)
		both = v.Old != v.New
		settled = !v.Unsettled
		id = ""
		if x := pick(v, new); x != nil {
			id = *x
		}
	}
	var acl *ACL
	if settled {
		for i := range p.Present.ACLs {
			if p.Present.ACLs[i].ID == id {
				acl = &p.Present.ACLs[i]
			}
		}
		if vs := p.ACLs[id]; len(vs) > 0 {
			v := at(vs, t)
			both = both || v.Old != v.New
			acl, settled = pick(v, new), !v.Unsettled
		}
		if acl == nil && id != "" {
			settled = false // it had an ACL that is not known
		}
	}
	switch {
	case !settled:
		s.ACLs = []ACL{{ID: id, Rules: unsettledRules(unknownACL, id, true)}}
	case acl != nil:
		s.ACLs = []ACL{*acl}
	default:
		return both
	}
	s.aclOf[sub.ID] = 0
	return both
}

// unknownGroup and unknownACL start the ids of the implicit rules that stand for what is
// not known of a group or network ACL.
const (
	unknownGroup = "unknown-group:"
	unknownACL   = "unknown-acl:"
)

// unsettledGroup stands for the groups of an interface of which they are not known.
const unsettledGroup = "unsettled"

// unsettledRules stand for rules that are not known: they may allow anything and, where
// rules can, deny anything, at the strongest rank.
func unsettledRules(kind, owner string, deny bool) []Rule {
	var out []Rule
	for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		m := NewMatch(d, AnyProto, netset.AllPorts, AnyICMP, AddrSet{Unknown: true})
		may := Rule{Ref: Ref{ImplicitOwner, kind + owner + ":" + d.String()}, Direction: d, Action: Allow, Match: []Match{m}, Implicit: true}
		if deny {
			no := may
			no.Ref.Rule, no.Action = may.Ref.Rule+":deny", Deny
			out = append(out, no)
		}
		out = append(out, may)
	}
	return out
}

// samePaths reports whether a and b are the same stages with the same rules. What people
// wrote of a rule does not count.
func samePaths(a, b Paths) bool {
	for d := range a {
		if !slices.EqualFunc(a[d], b[d], sameStage) {
			return false
		}
	}
	return true
}

func sameStage(a, b Stage) bool {
	return a.Name == b.Name && a.Stateful == b.Stateful && a.Default == b.Default && a.DefaultRef == b.DefaultRef &&
		slices.Equal(a.Exempt, b.Exempt) && slices.EqualFunc(a.Tiers, b.Tiers, func(a, b Tier) bool {
		return a.Name == b.Name && slices.EqualFunc(a.Rules, b.Rules, func(a, b Rule) bool {
			return a.Ref == b.Ref && a.Direction == b.Direction && a.Rank == b.Rank && a.Action == b.Action &&
				slices.EqualFunc(a.Match, b.Match, sameMatch)
		})
	})
}

func sameMatch(a, b Match) bool {
	return a.Protos == b.Protos && a.ICMP == b.ICMP && a.LocalPorts == b.LocalPorts && a.RemotePorts == b.RemotePorts &&
		sameSet(a.Local, b.Local) && sameSet(a.Remote, b.Remote)
}

func sameSet(a, b AddrSet) bool {
	return a.Unknown == b.Unknown && slices.Equal(a.Prefixes, b.Prefixes)
}
