package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Widens reports whether planned may admit something that old does not, on any
// interface and whatever the traffic, and names the first rule for which that could not
// be ruled out; empty: it admits no more. It compares boxes, not connections: every allow
// rule of planned that old does not have must be covered, on each interface that carries
// its group, by what old admits there, or name the same peer as a rule of old that names
// its services. Rules and network ACL lines that deny and are gone must have decided
// nothing; where that, or what is new, cannot be shown rule by rule, lists are compared as
// a whole.
//
// Both snapshots must have the same interfaces, groups and lists.
func Widens(old, planned *policy.Snapshot) string {
	x := &wider{old: old, planned: planned, a: newWorld(old), b: newWorld(planned), lists: make(map[listKey]*space.List)}
	if rule := x.allows(); rule != "" {
		return rule
	}
	if rule := x.denies(); rule != "" {
		return rule
	}
	return x.lines()
}

// wider compares two snapshots.
type wider struct {
	old, planned *policy.Snapshot
	a, b         *world
	lists        map[listKey]*space.List
}

// listKey is the group stage of a class, or a network ACL by an interface that it
// filters, in one direction of one snapshot.
type listKey struct {
	snap      *policy.Snapshot
	stage, at string
	d         flow.Direction
}

// list returns the list of stage name on the path of interface at; nil: there is none.
// Nothing is hedged in it: it is what a decision rests on.
func (x *wider) list(s *policy.Snapshot, name, at string, d flow.Direction) *space.List {
	key := listKey{s, name, at, d}
	l, ok := x.lists[key]
	if !ok {
		for _, st := range s.Path(at, d) {
			if st.Name == name {
				l = space.Of(&st)
			}
		}
		x.lists[key] = l
	}
	return l
}

// allows names an allow rule of planned that admits what old does not.
func (x *wider) allows() string {
	for i := range x.b.rules {
		r := &x.b.rules[i]
		if at, ok := x.a.at[r.Ref]; ok && sameRule(x.a.rules[at].Rule, r.Rule) || r.Action == policy.Deny {
			continue
		}
		for k, c := range r.classes {
			if !x.admits(r, k, c) && !x.within(c, r.Direction) {
				return fmt.Sprintf("rule %s (%s %s %s %s) admits more than the old rules of its interfaces",
					r.Ref, r.Direction, r.Protocol(), r.Ports(), r.Peer())
			}
		}
	}
	return ""
}

// admits reports whether the rules of old admit all of r, a rule of planned, on class c,
// the k-th of r's; the classes of both are the same as their interfaces are. No deny of
// old may be gone without having been needless, which denies asks.
func (x *wider) admits(r *rule, k int, c int32) bool {
	s := side(r.Direction)
	if int(c) >= len(x.a.classes) || x.a.classes[c].opaque || x.b.classes[c].opaque {
		return false
	}
	if x.a.classes[c].lists[s] == nil && x.b.classes[c].lists[s] == nil {
		return x.a.admits(c, r)
	}
	id := x.a.classes[c].first.ID
	a, b := x.list(x.old, policy.GroupStage, id, r.Direction), x.list(x.planned, policy.GroupStage, id, r.Direction)
	if a == nil || b == nil {
		return false
	}
	i, ok := b.Find(r.Ref)
	if !ok {
		return false
	}
	n := reachIn(a, r.Rank, b.Lines[i].Perhaps)
	var by []netset.Box
	switch {
	case a.Default == policy.Deny:
	case n == everywhere:
		by = space.Everything()
	default:
		by = a.ByDefault().Sure
	}
	for j := range a.Lines {
		q := &a.Lines[j]
		if q.Rule.Action != policy.Allow || !meet(q.Perhaps, b.Lines[i].Perhaps) && len(q.Perhaps) > 0 {
			continue
		}
		at, declared := x.a.at[q.Rule.Ref]
		switch {
		case declared && n.holds(q.Rule.Rank):
			if namesSame(r.Rule, x.a.rules[at].Rule) {
				return true
			}
			by = append(by, q.Sure...)
		default:
			by = append(by, a.Admits(j).Sure...)
		}
	}
	ok, _ = netset.CoveredAll(b.Admits(i).Perhaps, by)
	return ok
}

// admits reports whether the rules of a, which all allow, admit all of r on class c.
func (a *world) admits(c int32, r *rule) bool {
	var by []netset.Box
	for _, i := range a.classes[c].rules[side(r.Direction)] {
		if namesSame(r.Rule, a.rules[i].Rule) {
			return true
		}
		by = append(by, a.rules[i].boxes...)
	}
	if r.unknown || r.odd {
		return false
	}
	ok, _ := netset.CoveredAll(r.boxes, by)
	return ok
}

// within reports whether planned permits nothing on class c that old does not, list
// against list.
func (x *wider) within(c int32, d flow.Direction) bool {
	if int(c) >= len(x.a.classes) || x.a.classes[c].opaque || x.b.classes[c].opaque {
		return false
	}
	id := x.a.classes[c].first.ID
	a, b := x.list(x.old, policy.GroupStage, id, d), x.list(x.planned, policy.GroupStage, id, d)
	return a != nil && b != nil && contained(b, a)
}

func contained(b, a *space.List) bool { ok, _ := space.Within(b, a); return ok }

// denies names a group rule of old that does not allow and is changed or gone, where
// something may be admitted for that.
func (x *wider) denies() string {
	for i := range x.a.rules {
		r := &x.a.rules[i]
		if at, ok := x.b.at[r.Ref]; r.Action == policy.Allow || ok && sameRule(x.b.rules[at].Rule, r.Rule) {
			continue
		}
		for _, c := range r.classes {
			id := x.a.classes[c].first.ID
			a, b := x.list(x.old, policy.GroupStage, id, r.Direction), x.list(x.planned, policy.GroupStage, id, r.Direction)
			if x.a.classes[c].opaque || a == nil || b == nil || !x.needless(a, b) && !x.within(c, r.Direction) {
				return fmt.Sprintf("rule %s, which does not allow, is changed", r.Ref)
			}
		}
	}
	return ""
}

// needless reports whether the denies of a that b lacks decide nothing in a beside those
// that b has: one after the other, from the last to the first.
func (x *wider) needless(a, b *space.List) bool {
	left := make([]bool, len(a.Lines)) // what is no longer there
	for i := len(a.Lines) - 1; i >= 0; i-- {
		q := &a.Lines[i]
		if q.Rule.Action == policy.Allow {
			continue
		}
		j, ok := b.Find(q.Rule.Ref)
		if ok && sameRule(q.Rule, b.Lines[j].Rule) {
			continue
		}
		if ok {
			return false
		}
		keep := func(j int) bool { return !left[j] }
		if a.Redundant(i, keep) == space.Needed {
			at, declared := x.old.RuleIndex(q.Rule.Ref)
			if !declared {
				return false
			}
			if _, ok := twinDeny(x.old, x.old.Rules()[at], a, i, keep); !ok {
				return false
			}
		}
		left[i] = true
	}
	return true
}

// reachIn is reachOf for a list by itself.
func reachIn(l *space.List, rank uint32, boxes []netset.Box) reach {
	n := everywhere
	for i := range l.Lines {
		if q := &l.Lines[i]; q.Rule.Action == policy.Deny && q.Rule.Rank > rank && meet(q.Perhaps, boxes) {
			n = min(n, reach(q.Rule.Rank))
		}
	}
	return n
}

func sameRule(a, b *policy.Rule) bool {
	if a.Direction != b.Direction || a.Rank != b.Rank || a.Action != b.Action || len(a.Match) != len(b.Match) {
		return false
	}
	for i := range a.Match {
		if !sameMatch(a.Match[i], b.Match[i]) {
			return false
		}
	}
	return true
}

// lines names a network ACL line of planned that is new or changed, or one of old that
// does not allow and is gone, where the ACL may pass more for that.
func (x *wider) lines() string {
	aclOf := make(map[string]string) // network ACL → an interface it filters
	for i := range x.old.Interfaces {
		f := &x.old.Interfaces[i]
		if acl, _, ok := x.old.ACLFor(f); ok && aclOf[acl.ID] == "" {
			aclOf[acl.ID] = f.ID
		}
	}
	lines := make(map[policy.Ref]*policy.Rule)
	for i := range x.old.ACLs {
		for k := range x.old.ACLs[i].Rules {
			lines[x.old.ACLs[i].Rules[k].Ref] = &x.old.ACLs[i].Rules[k]
		}
	}
	lists := func(r *policy.Rule) (a, b *space.List) {
		at := aclOf[r.Ref.Owner]
		return x.list(x.old, policy.ACLStage, at, r.Direction), x.list(x.planned, policy.ACLStage, at, r.Direction)
	}
	var gone []*policy.Rule
	for i := range x.planned.ACLs {
		for k := range x.planned.ACLs[i].Rules {
			r := &x.planned.ACLs[i].Rules[k]
			if o, ok := lines[r.Ref]; ok && sameRule(o, r) {
				delete(lines, r.Ref)
				continue
			}
			if a, b := lists(r); a == nil || b == nil || !contained(b, a) {
				return fmt.Sprintf("line %s is new or changed", r.Ref)
			}
			delete(lines, r.Ref)
		}
	}
	for _, r := range lines {
		if r.Action != policy.Allow {
			gone = append(gone, r)
		}
	}
	slices.SortFunc(gone, func(a, b *policy.Rule) int { return cmp.Or(a.Ref.Compare(b.Ref)) })
	for _, r := range gone {
		if a, b := lists(r); a == nil || b == nil || !x.needless(a, b) && !contained(b, a) {
			return fmt.Sprintf("line %s, which does not allow, is gone", r.Ref)
		}
	}
	return ""
}
