package analyzer

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// ruleLists are the ordered lists of a snapshot: what speaks together, in order.
type ruleLists struct {
	scopes []scope
	of     []int // interface → scope
	own    map[string]*[2]*space.List
}

// scope is interfaces on whose path the same group stages stand.
type scope struct {
	interfaces []int // in order
	behind     bool  // something in their network passes traffic on; see behindAppliance
	stages     [2][]stageList
}

// stageList is one stage of group rules in one direction.
type stageList struct {
	list *space.List
	// hedged is the list where nothing is for certain that rests on who is member of a
	// group: what an appliance passes on matches prefixes, and no reference.
	hedged *space.List
}

func side(d flow.Direction) int {
	if d == flow.Egress {
		return 1
	}
	return 0
}

var directions = [2]flow.Direction{flow.Ingress, flow.Egress}

func newRuleLists(s *policy.Snapshot) *ruleLists {
	l := &ruleLists{own: make(map[string]*[2]*space.List)}
	members := make(map[policy.Ref]bool)
	for _, r := range s.Rules() {
		members[r.Ref] = slices.ContainsFunc(r.Refs(), func(x policy.SetRef) bool { return x.Kind == policy.GroupSet })
	}
	type key struct {
		groups string
		behind bool
	}
	shared := make(map[lineKey]*space.Line)
	behind := behindAppliance(s)
	known := make(map[key]int)
	for i := range s.Interfaces {
		bare := s.Interfaces[i]
		bare.Subnet = "" // leaves the network ACL out
		k := key{s.PathKey(&bare), behind[i]}
		n, ok := known[k]
		if !ok {
			n = len(l.scopes)
			known[k] = n
			sc := scope{behind: behind[i]}
			for _, d := range directions {
				for _, st := range s.Path(s.Interfaces[i].ID, d) {
					if st.Stateful {
						sc.stages[side(d)] = append(sc.stages[side(d)], newStageList(&st, members, shared))
					}
				}
			}
			l.scopes = append(l.scopes, sc)
		}
		l.scopes[n].interfaces = append(l.scopes[n].interfaces, i)
		l.of = append(l.of, n)
	}
	for i := range s.Groups {
		l.own[s.Groups[i].ID] = ownLists(s, s.Groups[i].Rules)
	}
	for i := range s.ACLs {
		l.own[s.ACLs[i].ID] = ownLists(s, s.ACLs[i].Rules)
	}
	return l
}

// lineKey names a rule in one direction; hidden rules are of both.
type lineKey struct {
	ref policy.Ref
	d   flow.Direction
}

// newStageList returns the lists of st. Lines of the same rule share what they match:
// groups have thousands of members, and interfaces hundreds of sets of groups.
func newStageList(st *policy.Stage, members map[policy.Ref]bool, shared map[lineKey]*space.Line) stageList {
	out := stageList{list: space.Of(st)}
	for i := range out.list.Lines {
		x := &out.list.Lines[i]
		if x.Rule.Implicit && !isIntra(x.Rule.Ref) {
			continue // what a platform admits differs by platform
		}
		k := lineKey{x.Rule.Ref, x.Rule.Direction}
		if same := shared[k]; same != nil {
			x.Rule, x.Sure, x.Perhaps = same.Rule, same.Sure, same.Perhaps
		} else {
			own := *x.Rule // not the stage's, which can go
			x.Rule = &own
			shared[k] = x
		}
	}
	h := *out.list
	h.Lines = slices.Clone(h.Lines)
	for i := range h.Lines {
		if x := &h.Lines[i]; members[x.Rule.Ref] || isIntra(x.Rule.Ref) {
			x.Sure, x.Exact = nil, false
		}
	}
	out.hedged = &h
	return out
}

// ownLists are the rules of one group or network ACL alone, with nothing allowed by
// default.
func ownLists(s *policy.Snapshot, rules []policy.Rule) *[2]*space.List {
	var out [2]*space.List
	for _, d := range directions {
		var tier policy.Tier
		for i := range rules {
			if rules[i].Direction == d {
				tier.Rules = append(tier.Rules, resolved(s, &rules[i]))
			}
		}
		out[side(d)] = space.Of(&policy.Stage{Tiers: []policy.Tier{tier}, Default: policy.Deny})
	}
	return &out
}

// resolved returns r with its references replaced by what they hold.
func resolved(s *policy.Snapshot, r *policy.Rule) policy.Rule {
	e := *r
	e.Match = slices.Clone(r.Match)
	for i := range e.Match {
		e.Match[i].Remote = s.Resolve(e.Match[i].Remote)
		e.Match[i].Local = s.Resolve(e.Match[i].Local)
	}
	return e
}

// ofRule returns the lists in which rule r of interface f's groups stands: one for each
// stage that holds it.
func (l *ruleLists) ofRule(r *policy.Rule, f int) []listed {
	var out []listed
	sc := &l.scopes[l.of[f]]
	for n := range sc.stages[side(r.Direction)] {
		st := &sc.stages[side(r.Direction)][n]
		if i, ok := st.list.Find(r.Ref); ok {
			out = append(out, listed{st, st.list, i})
		}
	}
	return out
}

// listed is a rule in a list.
type listed struct {
	in   *stageList
	list *space.List
	at   int
}

// in returns what a and b share.
func both(a, b []netset.Box) []netset.Box {
	var out []netset.Box
	for _, x := range a {
		for _, y := range b {
			if z, ok := x.Intersect(y); ok {
				out = append(out, z)
			}
		}
	}
	return out
}

// meet reports whether a and b share anything.
func meet(a, b []netset.Box) bool {
	return slices.ContainsFunc(a, func(x netset.Box) bool { return slices.ContainsFunc(b, x.Overlaps) })
}
