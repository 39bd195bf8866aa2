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

	lines   []space.Line            // of Snapshot.Rules(), same order
	members map[*policy.Rule]bool   // rules of lines that name a group
	intra   map[lineKey]*space.Line // of hidden rules
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
	rules := s.Rules()
	l := &ruleLists{own: make(map[string]*[2]*space.List), lines: make([]space.Line, len(rules)), members: make(map[*policy.Rule]bool), intra: make(map[lineKey]*space.Line)}
	parallel(len(rules), func(i int) { l.lines[i] = space.LineOf(resolved(s, rules[i]), 0) })
	for i, r := range rules {
		if namesGroup(r) {
			l.members[l.lines[i].Rule] = true
		}
	}
	for i := 0; i < len(rules); {
		owner := rules[i].Ref.Owner
		first := i
		for i < len(rules) && rules[i].Ref.Owner == owner {
			i++
		}
		l.own[owner] = ownLists(l.lines[first:i])
	}
	for i := range s.Groups {
		l.noRules(s.Groups[i].ID)
	}
	for i := range s.ACLs {
		l.noRules(s.ACLs[i].ID)
	}
	type key struct {
		groups string
		behind bool
	}
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
				for _, st := range s.Outline(s.Interfaces[i].ID, d) {
					if st.Stateful {
						sc.stages[side(d)] = append(sc.stages[side(d)], l.stage(&st, d))
					}
				}
			}
			l.scopes = append(l.scopes, sc)
		}
		l.scopes[n].interfaces = append(l.scopes[n].interfaces, i)
		l.of = append(l.of, n)
	}
	return l
}

// noRules notes that owner has no rules, unless it has.
func (l *ruleLists) noRules(owner string) {
	if l.own[owner] == nil {
		l.own[owner] = ownLists(nil)
	}
}

// namesGroup reports whether a group is among r's peers.
func namesGroup(r *policy.Rule) bool {
	return slices.ContainsFunc(r.Match, func(m policy.Match) bool {
		return slices.ContainsFunc(m.Remote.Refs, func(x policy.SetRef) bool { return x.Kind == policy.GroupSet })
	})
}

// lineKey names a rule in one direction; hidden rules are of both.
type lineKey struct {
	ref policy.Ref
	d   flow.Direction
}

// stage returns the lists of st, an outline. Lines of the same rule share what they match:
// groups have thousands of members, and interfaces hundreds of sets of groups.
func (l *ruleLists) stage(st *policy.Stage, d flow.Direction) stageList {
	n := 0
	for t := range st.Tiers {
		for i := range st.Tiers[t].Rules {
			n++
			if r := &st.Tiers[t].Rules[i]; r.Ref.Rule == "" {
				n += len(l.own[r.Ref.Owner][side(d)].Lines)
			}
		}
	}
	lines := make([]space.Line, 0, n)
	hedge := false
	for t := range st.Tiers {
		for i := range st.Tiers[t].Rules {
			r := &st.Tiers[t].Rules[i]
			if r.Ref.Rule == "" {
				for _, x := range l.own[r.Ref.Owner][side(d)].Lines {
					x.Tier = t
					lines = append(lines, x)
					hedge = hedge || l.members[x.Rule]
				}
				continue
			}
			x := space.LineOf(r, t)
			if isIntra(r.Ref) {
				hedge = true
				if same := l.intra[lineKey{r.Ref, d}]; same != nil {
					x.Rule, x.Sure, x.Perhaps = same.Rule, same.Sure, same.Perhaps
				} else {
					first := x
					l.intra[lineKey{r.Ref, d}] = &first
				}
			}
			lines = append(lines, x)
		}
	}
	out := stageList{list: space.Join(st.Default, lines)}
	if out.hedged = out.list; hedge {
		h := *out.list
		h.Lines = slices.Clone(h.Lines)
		for i := range h.Lines {
			if x := &h.Lines[i]; l.members[x.Rule] || isIntra(x.Rule.Ref) {
				x.Sure, x.Exact = nil, false
			}
		}
		out.hedged = &h
	}
	return out
}

// ownLists are the lines of one group or network ACL alone, with nothing allowed by
// default.
func ownLists(lines []space.Line) *[2]*space.List {
	var out [2]*space.List
	for _, d := range directions {
		var mine []space.Line
		for i := range lines {
			if lines[i].Rule.Direction == d {
				mine = append(mine, lines[i])
			}
		}
		out[side(d)] = space.Join(policy.Deny, mine)
	}
	return &out
}

// resolved returns r with its references replaced by what they hold; r itself if it has
// none.
func resolved(s *policy.Snapshot, r *policy.Rule) *policy.Rule {
	if !slices.ContainsFunc(r.Match, func(m policy.Match) bool { return len(m.Remote.Refs)+len(m.Local.Refs) > 0 }) {
		return r
	}
	e := *r
	e.Match = slices.Clone(r.Match)
	for i := range e.Match {
		e.Match[i].Remote = s.Resolve(e.Match[i].Remote)
		e.Match[i].Local = s.Resolve(e.Match[i].Local)
	}
	return &e
}

// ofRule returns the lists in which rule n of interface f's groups stands: one for each
// stage that holds it.
func (l *ruleLists) ofRule(n, f int) []listed {
	r := l.lines[n].Rule
	var out []listed
	sc := &l.scopes[l.of[f]]
	for k := range sc.stages[side(r.Direction)] {
		st := &sc.stages[side(r.Direction)][k]
		if i, ok := st.list.FindRule(r); ok {
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
